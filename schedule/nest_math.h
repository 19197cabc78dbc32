/* schedule/nest_math.h: what the files of the math expansion (nest_math*.c) share. Inside schedule/
 * only. */
#ifndef NEO_SCHEDULE_NEST_MATH_H
#define NEO_SCHEDULE_NEST_MATH_H

#include "ir/expr.h"

/* Expands in this precision: f32 or f64. */
typedef struct neo_math {
  neo_arena *arena;
  neo_dtype dtype;
} neo_math;

typedef const neo_expr *neo_term; /* in these files only: expressions read like formulas */

static inline bool neo_math_is64(const neo_math *m) {
  return m->dtype == NEO_F64;
}
neo_term neo_math_const(const neo_math *m, double v);
neo_term neo_math_int(const neo_math *m, int64_t v); /* of the integer type with the float's bits */
neo_term neo_math_add(const neo_math *m, neo_term a, neo_term b);
neo_term neo_math_sub(const neo_math *m, neo_term a, neo_term b);
neo_term neo_math_mul(const neo_math *m, neo_term a, neo_term b);
neo_term neo_math_div(const neo_math *m, neo_term a, neo_term b);
neo_term neo_math_fma(const neo_math *m, neo_term a, neo_term b, neo_term c);
neo_term neo_math_sqrt(const neo_math *m, neo_term a);
neo_term neo_math_abs(const neo_math *m, neo_term a);
neo_term neo_math_lt(const neo_math *m, neo_term a, neo_term b);
neo_term neo_math_eq(const neo_math *m, neo_term a, neo_term b);
neo_term neo_math_select(const neo_math *m, neo_term cond, neo_term a, neo_term b);
neo_term neo_math_bits(const neo_math *m, neo_term a);
neo_term neo_math_float(const neo_math *m, neo_term bits);
neo_term neo_math_copysign(const neo_math *m, neo_term magnitude, neo_term sign);
/* coef[0] z^(n-1) + ... + coef[n-1] */
neo_term neo_math_poly(const neo_math *m, neo_term z, const double *coef, int n);
/* round(x * scale) as a float (*out_n) and as an integer (result); |x * scale| < 2^21 (2^50). */
neo_term neo_math_round(const neo_math *m, neo_term x, double scale, neo_term *out_n);

/* nest_math_exp.c */
neo_term neo_math_exp(const neo_math *m, neo_term x);
/* 1 + exp(x) of f32, for dividing by: exp(x) stays within 2^-126 .. 2^127, so that one factor 2^n
 * will do. */
neo_term neo_math_one_plus_exp(const neo_math *m, neo_term x);
neo_term neo_math_log(const neo_math *m, neo_term x);
neo_term neo_math_pow(const neo_math *m, neo_term x, neo_term y);
neo_term neo_math_erf(const neo_math *m, neo_term x);
/* 1 + erf(x) of f32 within 4e-7. */
neo_term neo_math_one_plus_erf(const neo_math *m, neo_term x);
neo_term neo_math_sinh(const neo_math *m, neo_term x);
neo_term neo_math_cosh(const neo_math *m, neo_term x);
neo_term neo_math_tanh(const neo_math *m, neo_term x);
neo_term neo_math_asinh(const neo_math *m, neo_term x);
neo_term neo_math_acosh(const neo_math *m, neo_term x);
neo_term neo_math_atanh(const neo_math *m, neo_term x);

/* nest_math_trig.c */
neo_term neo_math_sin(const neo_math *m, neo_term x);
neo_term neo_math_cos(const neo_math *m, neo_term x);
neo_term neo_math_tan(const neo_math *m, neo_term x);
neo_term neo_math_asin(const neo_math *m, neo_term x);
neo_term neo_math_acos(const neo_math *m, neo_term x);
neo_term neo_math_atan(const neo_math *m, neo_term x);

#endif
