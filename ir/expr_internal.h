/* ir/expr_internal.h: shared by the expr_*.c files only. */
#ifndef NEO_IR_EXPR_INTERNAL_H
#define NEO_IR_EXPR_INTERNAL_H

#include "ir/expr.h"

/* A node exactly as given: no folding. */
neo_expr *neo_expr_raw(neo_arena *arena, neo_expr_op op, neo_dtype dtype, int lanes, int n_args,
                       const neo_expr *const *arg);
/* True if the operation accepts these arguments; constructors assert it, the parser asks first. */
bool neo_expr_types_agree(neo_expr_op op, int n, const neo_expr *const *arg);
/* Total order on structure. */
int neo_expr_compare(const neo_expr *a, const neo_expr *b);

/* base + sum coef * atom over scalar i64; atoms are no sums, no constants, no constant multiples;
 * sorted, distinct, coefficients non-zero. Arithmetic wraps. */
typedef struct neo_linear_term {
  const neo_expr *atom;
  int64_t coef;
} neo_linear_term;

#define NEO_LINEAR_INLINE 24

typedef struct neo_linear {
  neo_arena *arena;
  int64_t base;
  int n, cap;
  neo_linear_term *term;
  neo_linear_term room[NEO_LINEAR_INLINE];
} neo_linear;

void neo_linear_init(neo_linear *l, neo_arena *arena);
void neo_linear_add(neo_linear *l, const neo_expr *e, int64_t coef); /* l += coef * e */
void neo_linear_add_term(neo_linear *l, const neo_expr *atom, int64_t coef);
const neo_expr *neo_linear_expr(const neo_linear *l);

/* neo_expr_range where, in addition, the guards are known to hold. Infinite ends are INT64_MIN and
 * INT64_MAX. */
neo_range neo_expr_range_facts(const neo_expr *e, const neo_range *range, int n,
                               const neo_guard *fact, int n_facts);

static inline int64_t neo_wrap_add(int64_t a, int64_t b) {
  return (int64_t)((uint64_t)a + (uint64_t)b);
}
static inline int64_t neo_wrap_sub(int64_t a, int64_t b) {
  return (int64_t)((uint64_t)a - (uint64_t)b);
}
static inline int64_t neo_wrap_mul(int64_t a, int64_t b) {
  return (int64_t)((uint64_t)a * (uint64_t)b);
}

#endif
