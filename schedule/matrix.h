/* schedule/matrix.h: matrix instructions as rows of schedule/matrices.def, and the nest's statement
 * of them.
 *
 * A matrix instruction is executed by the 32 work-items of a warp together, but to a nest it is a
 * statement of one work-item with a meaning of its own, no exchange between work-items:
 *
 *   acc[r, c] += sum over k of a[r, k] * b[k, c]    for r < rows, c < columns, k < the row's k
 *
 * on its registers, from memory that its warp can read. That is the instruction's own meaning,
 * since which row, column or k a label of the instruction stands for is free as long as A, B and C
 * agree: rows are labelled so that work-item (g, t) = (lane / 4, lane % 4) holds neighbouring rows
 * and neighbouring columns of C, whatever their number, and k's so that it supplies neighbouring
 * ones. What remains are conditions on who computes what (neo_nest_check):
 * 1. all work-items of a warp reach the statement together; a group is whole warps;
 * 2. a's place depends on g and not on t; b's place on t, by the same step each, and not on g. So
 *    the 8 * rows rows and 4 * columns columns of a warp are a product of matrices. */
#ifndef NEO_SCHEDULE_MATRIX_H
#define NEO_SCHEDULE_MATRIX_H

#include "ir/te.h"
#include "schedule/nest.h"
#include "target/target.h"

#define NEO_MATRIX_WARP 32
#define NEO_MATRIX_ROW_ITEMS 8    /* work-items along the rows of C: g */
#define NEO_MATRIX_COLUMN_ITEMS 4 /* along its columns: t */
#define NEO_MATRIX_MAX_K 32
#define NEO_MATRIX_MAX_TILE 64 /* rows, or columns, of one work-item */

typedef struct neo_matrix {
  const char *name;
  neo_dtype acc, a, b;
  int m, n, k;
  int sm; /* the least architecture that has it */
} neo_matrix;

int neo_matrix_count(void);
const neo_matrix *neo_matrix_get(int row);
int neo_matrix_find(const char *name); /* -1: unknown */
/* Has the target the instruction? */
bool neo_matrix_native(int row, const neo_target *target);
/* Multiples of these are a work-item's rows and columns: m / 8 and n / 4. */
int neo_matrix_rows(int row);
int neo_matrix_columns(int row);

/* The two factors of the products that a block sums, each a load whose value is widened to the
 * accumulator's type or has it already; false if it does not sum such products. */
bool neo_matrix_factors(const neo_te_block *block, const neo_expr **out_x, const neo_expr **out_y);
/* One element: a and b hold the row's k values each; floats are fused one by one. */
neo_scalar neo_matrix_apply(int row, neo_scalar acc, const neo_scalar *a, const neo_scalar *b);

/* One operand's places in its buffer, in elements. */
typedef struct neo_matrix_place {
  int buffer;
  const neo_expr *offset; /* scalar i64, affine */
  int64_t step[3];        /* acc: a row, a column; a: a row, a k; b: a k, a column, a work-item t */
} neo_matrix_place;

struct neo_matrix_stmt {
  int row;
  int rows, columns; /* of the work-item's own tile */
  neo_matrix_place acc, a, b;
};

neo_stmt *neo_nest_matrix(neo_arena *arena, const neo_matrix_stmt *made);

/* What is known about work-items: how many a group has; by variable, may it differ between them,
 * and its value for each where that follows from the work-item's number alone, else NULL. */
typedef struct neo_matrix_scope {
  int lanes;
  const bool *varies;
  const int64_t *const *value;
} neo_matrix_scope;

/* Conditions 1 and 2, but for who reaches the statement: NULL if they hold, else what is wrong. */
const char *neo_matrix_uneven(const neo_matrix_stmt *s, const neo_matrix_scope *scope);

#endif
