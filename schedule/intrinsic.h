/* schedule/intrinsic.h: dot-product instructions as rows of schedule/intrinsics.def, for the
 * lowering, the nest's checker and interpreter, and code generators.
 *
 * In a nest a row is the expression intrinsic.ROW.DTYPE.xL(acc, a, b): acc has L lanes of the
 * accumulator's type; a and b have group * L lanes, lane l's group at group * l, or `group` lanes
 * that all L lanes share. Integer sums wrap. Of a float row each product is fused into the
 * accumulator, the last of the group first, with one rounding each. */
#ifndef NEO_SCHEDULE_INTRINSIC_H
#define NEO_SCHEDULE_INTRINSIC_H

#include "ir/te.h"
#include "target/target.h"

#define NEO_INTRINSIC_MAX_GROUP 4

typedef struct neo_intrinsic {
  const char *name, *about;
  neo_dtype acc, a, b;
  int group;
  uint64_t isa; /* bits of neo_isa: any of them */
} neo_intrinsic;

int neo_intrinsic_count(void);
const neo_intrinsic *neo_intrinsic_get(int row);
int neo_intrinsic_find(const char *name); /* -1: unknown */
/* Has the target the row's own instruction? */
bool neo_intrinsic_native(int row, const neo_target *target);

/* Is the block a sum of the row's products? Then the loads that are its operands a and b. */
bool neo_intrinsic_match(int row, const neo_te_block *block, const neo_expr **out_a,
                         const neo_expr **out_b);
/* Are the expression's row, dtype, lanes and arguments as described above? */
bool neo_intrinsic_check(const neo_expr *e);
/* One lane: a and b hold `group` values each. */
neo_scalar neo_intrinsic_apply(int row, neo_scalar acc, const neo_scalar *a, const neo_scalar *b);

#endif
