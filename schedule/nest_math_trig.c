/* Circular functions and their inverses as formulas.
 *
 * sin, cos: x - n pi/2 by three fused steps of Cody and Waite (in f64 also for f32), then Cephes'
 * (f32) or msun's (f64; Sun Microsystems 1993, freely granted) polynomials on |r| <= pi/4. Good to
 * |x| of about 1e5 and far beyond; where n no longer fits, the result is bounded but meaningless.
 * atan: 1/a above 1, (t - 1) / (t + 1) above tan(pi/8), an odd polynomial below. asin and acos
 * through atan of quotients whose conditioning is at most 1. */
#include "schedule/nest_math.h"

#include <math.h>

static const double sin_f32[] = {-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1};
static const double cos_f32[] = {2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2};
static const double sin_f64[] = {1.58969099521155010221e-10, -2.50507602534068634195e-08,
                                 2.75573137070700676789e-06, -1.98412698298579493134e-04,
                                 8.33333333332248946124e-03, -1.66666666666666324348e-01};
static const double cos_f64[] = {-1.13596475577881948265e-11, 2.08757232129817482790e-09,
                                 -2.75573143513906633035e-07, 2.48015872894767294178e-05,
                                 -1.38888888888741095749e-03, 4.16666666666666019037e-02};

/* x = quadrant * pi/2 + r, |r| <= pi/4; the quadrant is an i64, r in m's precision. */
static neo_term reduce(const neo_math *m, neo_term x, neo_term *out_r) {
  neo_math wide = {m->arena, NEO_F64};
  neo_term n, w = neo_expr_cast(m->arena, NEO_F64, x);
  neo_term quadrant = neo_math_round(&wide, w, 0.63661977236758134308, &n);
  neo_term minus = neo_expr_unary(m->arena, NEO_EXPR_NEG, n);
  neo_term r = neo_math_fma(&wide, minus, neo_math_const(&wide, 0x1.921fb54442d18p+0), w);
  r = neo_math_fma(&wide, minus, neo_math_const(&wide, 0x1.1a62633145c07p-54), r);
  /* Beyond 2^51 or so n is wrong: keep r small; infinities and NaN become NaN. */
  neo_term sane = neo_math_lt(&wide, neo_math_abs(&wide, r), neo_math_const(&wide, 0.8));
  r = neo_math_select(&wide, sane, r, neo_math_mul(&wide, r, neo_math_const(&wide, 0)));
  *out_r = neo_expr_cast(m->arena, m->dtype, r);
  return quadrant;
}

static neo_term sin_core(const neo_math *m, neo_term r) {
  neo_term z = neo_math_mul(m, r, r);
  neo_term p = neo_math_is64(m) ? neo_math_poly(m, z, sin_f64, 6) : neo_math_poly(m, z, sin_f32, 3);
  return neo_math_fma(m, neo_math_mul(m, z, p), r, r);
}

static neo_term cos_core(const neo_math *m, neo_term r) {
  neo_term z = neo_math_mul(m, r, r), one = neo_math_const(m, 1);
  neo_term p = neo_math_is64(m) ? neo_math_poly(m, z, cos_f64, 6) : neo_math_poly(m, z, cos_f32, 3);
  neo_term half = neo_math_mul(m, z, neo_math_const(m, 0.5));
  neo_term w = neo_math_sub(m, one, half);
  neo_term lost = neo_math_sub(m, neo_math_sub(m, one, w), half);
  return neo_math_add(m, w, neo_math_fma(m, neo_math_mul(m, z, z), p, lost));
}

static neo_term bit_is_set(const neo_math *m, neo_term quadrant, int64_t bit) {
  neo_term zero = neo_expr_const_i(m->arena, NEO_I64, 0);
  neo_term masked = neo_expr_binary(m->arena, NEO_EXPR_BITAND, quadrant,
                                    neo_expr_const_i(m->arena, NEO_I64, bit));
  return neo_expr_binary(m->arena, NEO_EXPR_NE, masked, zero);
}

/* sin(x + shift * pi/2) */
static neo_term shifted_sin(const neo_math *m, neo_term x, int64_t shift) {
  neo_term r, quadrant = reduce(m, x, &r);
  quadrant =
      neo_expr_binary(m->arena, NEO_EXPR_ADD, quadrant, neo_expr_const_i(m->arena, NEO_I64, shift));
  neo_term v = neo_math_select(m, bit_is_set(m, quadrant, 1), cos_core(m, r), sin_core(m, r));
  return neo_math_select(m, bit_is_set(m, quadrant, 2), neo_expr_unary(m->arena, NEO_EXPR_NEG, v),
                         v);
}

/* The reduction turns -0 into +0. */
static neo_term keep_zero(const neo_math *m, neo_term x, neo_term r) {
  return neo_math_select(m, neo_math_eq(m, x, neo_math_const(m, 0)), x, r);
}

neo_term neo_math_sin(const neo_math *m, neo_term x) {
  return keep_zero(m, x, shifted_sin(m, x, 0));
}

neo_term neo_math_cos(const neo_math *m, neo_term x) {
  return shifted_sin(m, x, 1);
}

neo_term neo_math_tan(const neo_math *m, neo_term x) {
  neo_term r, quadrant = reduce(m, x, &r);
  neo_term s = sin_core(m, r), c = cos_core(m, r), odd = bit_is_set(m, quadrant, 1);
  neo_term top = neo_math_select(m, odd, neo_expr_unary(m->arena, NEO_EXPR_NEG, c), s);
  return keep_zero(m, x, neo_math_div(m, top, neo_math_select(m, odd, s, c)));
}

static const double atan_f32[] = {8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1,
                                  -3.33329491539e-1};
static const double atan_f64[] = {
    1.62858201153657823623e-02,  -3.65315727442169155270e-02, 4.97687799461593236017e-02,
    -5.83357013379057348645e-02, 6.66107313738753120669e-02,  -7.69187620504482999495e-02,
    9.09088713343650656196e-02,  -1.11111104054623557880e-01, 1.42857142725034663711e-01,
    -1.99999999998764832476e-01, 3.33333333333329318027e-01};

/* atan(t) for 0 <= t <= 1. */
static neo_term atan_unit(const neo_math *m, neo_term t) {
  bool wide = neo_math_is64(m);
  neo_term one = neo_math_const(m, 1);
  neo_term above = neo_math_lt(m, neo_math_const(m, 0.41421356237309503), t);
  neo_term turned = neo_math_div(m, neo_math_sub(m, t, one), neo_math_add(m, t, one));
  neo_term u = neo_math_select(m, above, turned, t), z = neo_math_mul(m, u, u);
  neo_term p = wide ? neo_expr_unary(m->arena, NEO_EXPR_NEG, neo_math_poly(m, z, atan_f64, 11))
                    : neo_math_poly(m, z, atan_f32, 4);
  neo_term rest = neo_math_mul(m, neo_math_mul(m, z, p), u);
  neo_term low = neo_math_const(m, wide ? 3.06161699786838301793e-17 : -2.1855694143368964e-8);
  neo_term r = neo_math_add(m, neo_math_select(m, above, neo_math_add(m, rest, low), rest), u);
  neo_term quarter = neo_math_const(m, 0.78539816339744830962);
  return neo_math_select(m, above, neo_math_add(m, r, quarter), r);
}

neo_term neo_math_atan(const neo_math *m, neo_term x) {
  neo_term a = neo_math_abs(m, x), one = neo_math_const(m, 1), far = neo_math_lt(m, one, a);
  neo_term r = atan_unit(m, neo_math_select(m, far, neo_math_div(m, one, a), a));
  neo_term half_pi = neo_math_const(m, 1.57079632679489661923);
  neo_term low =
      neo_math_const(m, neo_math_is64(m) ? 6.12323399573676603587e-17 : -4.371138828673793e-8);
  neo_term other = neo_math_add(m, neo_math_sub(m, half_pi, r), low);
  return neo_math_copysign(m, neo_math_select(m, far, other, r), x);
}

neo_term neo_math_asin(const neo_math *m, neo_term x) {
  neo_term one = neo_math_const(m, 1);
  neo_term d = neo_math_mul(m, neo_math_sub(m, one, x), neo_math_add(m, one, x));
  return neo_math_atan(m, neo_math_div(m, x, neo_math_sqrt(m, d)));
}

neo_term neo_math_acos(const neo_math *m, neo_term x) {
  neo_term one = neo_math_const(m, 1);
  neo_term q = neo_math_div(m, neo_math_sub(m, one, x), neo_math_add(m, one, x));
  neo_term r = neo_math_atan(m, neo_math_sqrt(m, q));
  return neo_math_add(m, r, r);
}
