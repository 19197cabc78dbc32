/* ir/pass_carry.h: permutations, and how operators carry them. For pass_transpose.c only. */
#ifndef NEO_IR_PASS_CARRY_H
#define NEO_IR_PASS_CARRY_H

#include "ir/graph_edit.h"

/* As a transpose's perm: dimension i of the result is dimension at[i] of the source. */
typedef struct neo_perm {
  int n, at[NEO_MAX_RANK];
} neo_perm;

neo_perm neo_perm_inverse(const neo_perm *perm);
bool neo_perm_is_identity(const neo_perm *perm);
neo_shape neo_perm_shape(const neo_perm *perm, const neo_shape *shape);
/* Does transposing a tensor of this shape leave its elements in order? */
bool neo_perm_is_view(const neo_perm *perm, const neo_shape *shape);

typedef struct neo_carry {
  const char *op;
  char data; /* 'a', 's', 'f': see pass_transpose.def */
  bool (*carry)(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out);
} neo_carry;

const neo_carry *neo_carry_find(const neo_node *node); /* NULL: stops a transpose */
/* Is `out` always `in`, with one data input? */
bool neo_carry_keeps_rank(const neo_carry *row);

#endif
