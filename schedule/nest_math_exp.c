/* Exponentials, logarithms and their relatives as formulas.
 *
 * exp: x = n ln2 + r by two fused steps, a polynomial on |r| <= ln2/2 (Cephes' for f32, Taylor's to
 * degree 13 for f64), 2^n in two factors so that subnormal results and overflow round right. log: x
 * = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), s = f / (2 + f), odd series in s (the
 * coefficients of FreeBSD's msun e_log.c and e_logf.c, Sun Microsystems 1993, freely granted).
 * pow: f32 through f64; f64 with the logarithm as an unevaluated sum of two doubles.
 * erf: f32 after N. Juffa's single-precision polynomials, in 1 + erf a rational fit of erf(x)/x
 * over x^2 in [0, 3.92^2] (relative error 2^-25.7), beyond which erf is 1; f64: Chebyshev fits of
 * erf(x)/x over x^2 in [0, 1] and of exp(x^2) erfc(x) over t = (x - 3.5) / (x + 3.5). tanh near 0
 * and atan: Cephes.
 */
#include "schedule/nest_math.h"

#include <math.h>

#define MANTISSA(m) (neo_math_is64(m) ? 52 : 23)
#define BIAS(m) (neo_math_is64(m) ? 1023 : 127)

static neo_term shift(const neo_math *m, neo_expr_op op, neo_term a, int by) {
  return neo_expr_binary(m->arena, op, a, neo_math_int(m, by));
}

/* 2^k as a float, for k of a normal number. */
static neo_term power_of_two(const neo_math *m, neo_term k) {
  return neo_math_float(
      m, shift(m, NEO_EXPR_SHL, neo_math_add(m, k, neo_math_int(m, BIAS(m))), MANTISSA(m)));
}

static const double exp_f32[] = {1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3,
                                 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1};
static const double exp_f64[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                                 1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                                 1.0 / 120,        1.0 / 24,        1.0 / 6,        0.5};

/* exp(x + tail) for |tail| far below |x|'s last place. */
static neo_term exp_sum(const neo_math *m, neo_term x, neo_term tail) {
  bool wide = neo_math_is64(m);
  neo_term low = neo_math_const(m, wide ? -746.0 : -104.0),
           high = neo_math_const(m, wide ? 710.0 : 89.0);
  x = neo_math_select(m, neo_math_lt(m, x, low), low, x);
  x = neo_math_select(m, neo_math_lt(m, high, x), high, x);
  neo_term n, k = neo_math_round(m, x, 1.4426950408889634074, &n);
  neo_term r =
      neo_math_fma(m, n, neo_math_const(m, wide ? -6.93147180369123816490e-01 : -0.693359375), x);
  r = neo_math_fma(m, n, neo_math_const(m, wide ? -1.90821492927058770002e-10 : 2.12194440e-4), r);
  if (tail)
    r = neo_math_add(m, r, tail);
  neo_term p = wide ? neo_math_poly(m, r, exp_f64, 12) : neo_math_poly(m, r, exp_f32, 6);
  p = neo_math_fma(m, neo_math_mul(m, r, r), p, r);
  p = neo_math_add(m, p, neo_math_const(m, 1));
  neo_term half = shift(m, NEO_EXPR_SHR, k, 1);
  p = neo_math_mul(m, p, power_of_two(m, half));
  return neo_math_mul(m, p, power_of_two(m, neo_math_sub(m, k, half)));
}

neo_term neo_math_exp(const neo_math *m, neo_term x) {
  return exp_sum(m, x, NULL);
}

/* 2^r on |r| <= 1/2, relative error 8e-8. */
static const double exp2_short[] = {1.3276472029e-03, 9.6755414798e-03, 5.5507132746e-02,
                                    2.4022119721e-01, 6.9314696706e-01, 1};

/* 2^n 2^r with n + r = x log2(e): what the rounded constant loses grows with |x|, to 1e-6 of the
 * exponential where that is below e^-40 or above e^40. With `magic` = 3 2^22 added, the low bits of
 * the float are those of n, and magic's own leave the word when they are shifted to the exponent's
 * place, so that they are added to those of 2^r. */
neo_term neo_math_one_plus_exp(const neo_math *m, neo_term x) {
  bool minus = x->op == NEO_EXPR_NEG; /* goes into the constants */
  x = minus ? x->arg[0] : x;
  neo_term low = neo_math_const(m, minus ? -88.0 : -87.0),
           high = neo_math_const(m, minus ? 87.0 : 88.0), one = neo_math_const(m, 1),
           log2e = neo_math_const(m, minus ? -1.4426950408889634074 : 1.4426950408889634074);
  x = neo_math_select(m, neo_math_lt(m, x, low), low, x);
  x = neo_math_select(m, neo_math_lt(m, high, x), high, x);
  neo_term magic = neo_math_const(m, 12582912.0);
  neo_term shifted = neo_math_fma(m, x, log2e, magic);
  neo_term r = neo_math_fma(m, x, log2e, neo_math_sub(m, magic, shifted));
  neo_term p = neo_math_poly(m, r, exp2_short, NEO_COUNT(exp2_short));
  neo_term exponent = shift(m, NEO_EXPR_SHL, neo_math_bits(m, shifted), MANTISSA(m));
  neo_term power = neo_math_float(m, neo_math_add(m, exponent, neo_math_bits(m, p)));
  return neo_math_add(m, power, one);
}

/* ---- log ------------------------------------------------------------------------------------------------- */

static const double log_even_f64[] = {1.479819860511658591e-01, 1.818357216161805012e-01,
                                      2.857142874366239149e-01, 6.666666666666735130e-01};
static const double log_odd_f64[] = {1.531383769920937332e-01, 2.222219843214978396e-01,
                                     3.999999999940941908e-01};
static const double log_even_f32[] = {0x91e9eep-25, 0xaaaaaap-24};
static const double log_odd_f32[] = {0xf89e26p-26, 0xccce13p-25};

/* x = 2^k (1 + f); x is positive and finite. Subnormals are scaled first. */
static neo_term log_split(const neo_math *m, neo_term x, neo_term *out_k) {
  bool wide = neo_math_is64(m);
  neo_term tiny = neo_math_lt(m, x, neo_math_const(m, wide ? 0x1p-1022 : 0x1p-126));
  neo_term scaled = neo_math_mul(m, x, neo_math_const(m, wide ? 0x1p54 : 0x1p25));
  neo_term bits = neo_math_bits(m, neo_math_select(m, tiny, scaled, x));
  int64_t root = wide ? 0x3fe6a09e667f3bcd : 0x3f3504f3;
  neo_term k = shift(m, NEO_EXPR_SHR, neo_math_sub(m, bits, neo_math_int(m, root)), MANTISSA(m));
  neo_term one_f = neo_math_float(m, neo_math_sub(m, bits, shift(m, NEO_EXPR_SHL, k, MANTISSA(m))));
  neo_term less = neo_math_sub(m, k, neo_math_int(m, wide ? 54 : 25));
  *out_k = neo_expr_cast(m->arena, m->dtype, neo_math_select(m, tiny, less, k));
  return neo_math_sub(m, one_f, neo_math_const(m, 1));
}

/* R(s^2) of log(1 + f) = f - f^2/2 + s (f^2/2 + R). */
static neo_term log_series(const neo_math *m, neo_term s) {
  bool wide = neo_math_is64(m);
  neo_term z = neo_math_mul(m, s, s), w = neo_math_mul(m, z, z);
  neo_term even =
      wide ? neo_math_poly(m, w, log_even_f64, 4) : neo_math_poly(m, w, log_even_f32, 2);
  neo_term odd = wide ? neo_math_poly(m, w, log_odd_f64, 3) : neo_math_poly(m, w, log_odd_f32, 2);
  return neo_math_fma(m, z, even, neo_math_mul(m, w, odd));
}

static double ln2_high(const neo_math *m) {
  return neo_math_is64(m) ? 6.93147180369123816490e-01 : 6.9313812256e-01;
}

static double ln2_low(const neo_math *m) {
  return neo_math_is64(m) ? 1.90821492927058770002e-10 : 9.0580006145e-06;
}

neo_term neo_math_log(const neo_math *m, neo_term x) {
  neo_term k, f = log_split(m, x, &k);
  neo_term s = neo_math_div(m, f, neo_math_add(m, f, neo_math_const(m, 2)));
  neo_term half = neo_math_mul(m, neo_math_mul(m, f, f), neo_math_const(m, 0.5));
  neo_term r = neo_math_mul(m, s, neo_math_add(m, half, log_series(m, s)));
  r = neo_math_fma(m, k, neo_math_const(m, ln2_low(m)), r);
  r = neo_math_add(m, neo_math_sub(m, r, half), f);
  r = neo_math_fma(m, k, neo_math_const(m, ln2_high(m)), r);
  neo_term zero = neo_math_const(m, 0), infinity = neo_math_const(m, INFINITY);
  neo_term inside = neo_math_lt(m, zero, x);
  r = neo_math_select(m, neo_math_lt(m, x, infinity), r, x); /* +inf and NaN stay */
  neo_term outside = neo_math_select(m, neo_math_eq(m, x, zero), neo_math_const(m, -INFINITY),
                                     neo_math_const(m, NAN));
  return neo_math_select(m, inside, r, outside);
}

/* log(1 + u) with the rounding of 1 + u repaired. */
static neo_term log_plus_one(const neo_math *m, neo_term u) {
  neo_term one = neo_math_const(m, 1), w = neo_math_add(m, u, one);
  neo_term lost = neo_math_div(m, neo_math_sub(m, u, neo_math_sub(m, w, one)), w);
  neo_term r = neo_math_add(m, neo_math_log(m, w), lost);
  return neo_math_select(m, neo_math_lt(m, w, neo_math_const(m, INFINITY)), r, w);
}

/* ---- pow -------------------------------------------------------------------------------------------------- */

/* a + b exactly, as sum and *out_error. */
static neo_term two_sum(const neo_math *m, neo_term a, neo_term b, neo_term *out_error) {
  neo_term sum = neo_math_add(m, a, b), bb = neo_math_sub(m, sum, a);
  neo_term rest = neo_math_sub(m, a, neo_math_sub(m, sum, bb));
  *out_error = neo_math_add(m, rest, neo_math_sub(m, b, bb));
  return sum;
}

static const double atanh_series[] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15,
                                      1.0 / 13, 1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5};

/* log(x) of a positive finite f64 as a sum: 2 s + (2/3) s^3 + ... in two doubles. */
static neo_term log_double(const neo_math *m, neo_term x, neo_term *out_low) {
  neo_term k, f = log_split(m, x, &k);
  neo_term two_f, den = two_sum(m, f, neo_math_const(m, 2), &two_f);
  neo_term s = neo_math_div(m, f, den), minus_s = neo_expr_unary(m->arena, NEO_EXPR_NEG, s);
  neo_term s_low = neo_math_fma(m, minus_s, den, f);
  s_low = neo_math_div(m, neo_math_fma(m, minus_s, two_f, s_low), den);
  /* z = s^2 = z + z_low; s^3/3 = c + c_low */
  neo_term z = neo_math_mul(m, s, s);
  neo_term z_low = neo_math_fma(m, s, s, neo_expr_unary(m->arena, NEO_EXPR_NEG, z));
  z_low = neo_math_fma(m, neo_math_mul(m, s, neo_math_const(m, 2)), s_low, z_low);
  neo_term third = neo_math_const(m, 1.0 / 3), third_low = neo_math_const(m, 1.850371707708594e-17);
  neo_term tail = neo_math_mul(m, z, neo_math_poly(m, z, atanh_series, 10));
  neo_term q_low, q = two_sum(m, third, tail, &q_low);
  q_low = neo_math_add(m, q_low, third_low);
  neo_term p = neo_math_mul(m, z, q);
  neo_term p_low = neo_math_fma(m, z, q, neo_expr_unary(m->arena, NEO_EXPR_NEG, p));
  p_low = neo_math_add(m, p_low, neo_math_fma(m, z, q_low, neo_math_mul(m, z_low, q)));
  /* log(1 + f) = 2 s (1 + p) */
  neo_term g = neo_math_mul(m, s, p);
  neo_term g_low = neo_math_fma(m, s, p, neo_expr_unary(m->arena, NEO_EXPR_NEG, g));
  g_low = neo_math_add(m, g_low, neo_math_fma(m, s, p_low, neo_math_mul(m, s_low, p)));
  neo_term e1, h = two_sum(m, s, g, &e1), two = neo_math_const(m, 2);
  neo_term h_low = neo_math_add(m, e1, neo_math_add(m, s_low, g_low));
  neo_term e2, sum = two_sum(m, neo_math_mul(m, k, neo_math_const(m, ln2_high(m))),
                             neo_math_mul(m, h, two), &e2);
  neo_term low = neo_math_fma(m, k, neo_math_const(m, ln2_low(m)), neo_math_mul(m, h_low, two));
  *out_low = neo_math_add(m, e2, low);
  return sum;
}

/* exp(y log(a)) for positive finite a. */
static neo_term pow_core(const neo_math *m, neo_term a, neo_term y) {
  neo_term low, high = log_double(m, a, &low);
  neo_term p = neo_math_mul(m, y, high);
  neo_term error = neo_math_fma(m, y, high, neo_expr_unary(m->arena, NEO_EXPR_NEG, p));
  error = neo_math_fma(m, y, low, error);
  neo_term finite = neo_math_lt(m, neo_math_abs(m, p), neo_math_const(m, 1000));
  return exp_sum(m, p, neo_math_select(m, finite, error, neo_math_const(m, 0)));
}

static neo_term pow_f64(const neo_math *m, neo_term x, neo_term y) {
  neo_term zero = neo_math_const(m, 0), one = neo_math_const(m, 1),
           inf = neo_math_const(m, INFINITY);
  neo_term a = neo_math_abs(m, x), half_y = neo_math_mul(m, y, neo_math_const(m, 0.5));
  neo_term whole = neo_math_eq(m, neo_expr_unary(m->arena, NEO_EXPR_FLOOR, y), y);
  neo_term even = neo_math_eq(m, neo_expr_unary(m->arena, NEO_EXPR_FLOOR, half_y), half_y);
  neo_term odd =
      neo_expr_binary(m->arena, NEO_EXPR_AND, whole, neo_expr_unary(m->arena, NEO_EXPR_NOT, even));
  neo_term r = pow_core(m, a, y);
  /* |y| infinite, a zero or infinite: 0 or infinity by which side of 1 a and of 0 y are on. */
  neo_term grows = neo_math_eq(m, neo_math_lt(m, one, a), neo_math_lt(m, zero, y));
  neo_term extreme = neo_expr_binary(
      m->arena, NEO_EXPR_OR, neo_math_eq(m, neo_math_abs(m, y), inf),
      neo_expr_binary(m->arena, NEO_EXPR_OR, neo_math_eq(m, a, zero), neo_math_eq(m, a, inf)));
  r = neo_math_select(m, extreme, neo_math_select(m, grows, inf, zero), r);
  neo_term unknown =
      neo_expr_binary(m->arena, NEO_EXPR_OR, neo_expr_unary(m->arena, NEO_EXPR_ISNAN, x),
                      neo_expr_unary(m->arena, NEO_EXPR_ISNAN, y));
  r = neo_math_select(m, unknown, neo_math_const(m, NAN), r);
  neo_term negative = neo_math_lt(m, neo_math_bits(m, x), neo_math_int(m, 0));
  neo_term flipped = neo_math_select(m, neo_expr_binary(m->arena, NEO_EXPR_AND, negative, odd),
                                     neo_expr_unary(m->arena, NEO_EXPR_NEG, r), r);
  neo_term below =
      neo_expr_binary(m->arena, NEO_EXPR_AND, neo_math_lt(m, x, zero), neo_math_lt(m, a, inf));
  neo_term undefined =
      neo_expr_binary(m->arena, NEO_EXPR_AND, below, neo_expr_unary(m->arena, NEO_EXPR_NOT, whole));
  r = neo_math_select(m, undefined, neo_math_const(m, NAN), flipped);
  neo_term unit = neo_expr_binary(m->arena, NEO_EXPR_AND, neo_math_eq(m, a, one),
                                  neo_math_eq(m, neo_math_abs(m, y), inf));
  unit = neo_expr_binary(m->arena, NEO_EXPR_OR, unit, neo_math_eq(m, x, one));
  unit = neo_expr_binary(m->arena, NEO_EXPR_OR, unit, neo_math_eq(m, y, zero));
  return neo_math_select(m, unit, one, r);
}

neo_term neo_math_pow(const neo_math *m, neo_term x, neo_term y) {
  neo_math wide = {m->arena, NEO_F64};
  if (neo_math_is64(m))
    return pow_f64(m, x, y);
  neo_term r =
      pow_f64(&wide, neo_expr_cast(m->arena, NEO_F64, x), neo_expr_cast(m->arena, NEO_F64, y));
  return neo_expr_cast(m->arena, NEO_F32, r);
}

/* ---- erf -------------------------------------------------------------------------------------------------- */

static const double erf_small_f32[] = {-5.96761703e-4, 4.99119423e-3,  -2.67681349e-2,
                                       1.12819925e-1,  -3.76125336e-1, 1.28379166e-1};
static const double erf_large_f32[] = {-1.72853470e-5, 3.83197126e-4,  -3.88396438e-3,
                                       2.42546219e-2,  -1.06777877e-1, -6.34846687e-1,
                                       -1.28717512e-1};
static const double erf_small_f64[] = {
    -4.2309458242953378173e-12,  8.7090451290531066896e-11, -1.2164560057283450081e-9,
    1.4792401209404813002e-8,    -1.6364642158167615302e-7, 1.6462045441468418937e-6,
    -0.000014925647567519332125, 0.0001205533290288873541,  -0.00085483270219348295955,
    0.0052239776254232983087,    -0.026866170645129840806,  0.11283791670955120236,
    -0.37612638903183752379,     1.1283791670955125739};
static const double erfc_f64[] = {
    2.4672901309497503494e-8,  2.7457657378545909565e-7,   3.9516104802761895863e-7,
    -1.5298796383398882886e-6, -1.6374197540328061436e-6,  0.000013345731012108300949,
    -4.6727311947461196087e-6, -0.00010808467869923643734, 0.00028855515729536363509,
    0.00026738508410344219077, -0.0042422386022100505806,  0.016976760931568463039,
    -0.045436761183737921782,  0.094427806909191126565,    -0.16133852476450406222,
    0.23313048160025076285,    -0.28926504483276744422,    0.15529365560889429738};

static neo_term erf_f32(const neo_math *m, neo_term x) {
  neo_term t = neo_math_abs(m, x), s = neo_math_mul(m, x, x), one = neo_math_const(m, 1);
  neo_term small = neo_math_fma(m, neo_math_poly(m, s, erf_small_f32, 6), x, x);
  neo_term p = neo_math_poly(m, t, erf_large_f32, 7);
  p = neo_math_fma(m, p, t, neo_expr_unary(m->arena, NEO_EXPR_NEG, t));
  neo_term large = neo_math_copysign(m, neo_math_sub(m, one, neo_math_exp(m, p)), x);
  large = neo_math_select(m, neo_math_lt(m, neo_math_const(m, 4), t), neo_math_copysign(m, one, x),
                          large);
  return neo_math_select(m, neo_math_lt(m, neo_math_const(m, 0.927734375), t), large, small);
}

static const double erf_p[] = {2.05006060712472e-06,   2.8488467356062183e-04,
                               3.7657291239898993e-03, 5.2749078110012476e-02,
                               1.9040914840943488e-01, 1.1283791461290928};
static const double erf_q[] = {3.809153766290698e-05,  1.1625614126140782e-03,
                               1.4969445725956524e-02, 1.1411021920316017e-01,
                               5.0207845499594510e-01, 1};

neo_term neo_math_one_plus_erf(const neo_math *m, neo_term x) {
  neo_term low = neo_math_const(m, -3.92), high = neo_math_const(m, 3.92);
  x = neo_math_select(m, neo_math_lt(m, x, low), low, x);
  x = neo_math_select(m, neo_math_lt(m, high, x), high, x);
  neo_term s = neo_math_mul(m, x, x);
  neo_term p = neo_math_mul(m, x, neo_math_poly(m, s, erf_p, 6));
  neo_term erf = neo_math_div(m, p, neo_math_poly(m, s, erf_q, 6));
  return neo_math_add(m, erf, neo_math_const(m, 1));
}

static neo_term erf_f64(const neo_math *m, neo_term x) {
  neo_term t = neo_math_abs(m, x), s = neo_math_mul(m, x, x), one = neo_math_const(m, 1);
  neo_term small = neo_math_mul(m, x, neo_math_poly(m, s, erf_small_f64, 14));
  neo_term middle = neo_math_const(m, 3.5);
  neo_term u = neo_math_div(m, neo_math_sub(m, t, middle), neo_math_add(m, t, middle));
  neo_term tail = neo_math_mul(m, neo_math_exp(m, neo_expr_unary(m->arena, NEO_EXPR_NEG, s)),
                               neo_math_poly(m, u, erfc_f64, 18));
  neo_term large = neo_math_copysign(m, neo_math_sub(m, one, tail), x);
  large = neo_math_select(m, neo_math_lt(m, neo_math_const(m, 6), t), neo_math_copysign(m, one, x),
                          large);
  return neo_math_select(m, neo_math_lt(m, one, t), large, small);
}

neo_term neo_math_erf(const neo_math *m, neo_term x) {
  return neo_math_is64(m) ? erf_f64(m, x) : erf_f32(m, x);
}

/* ---- hyperbolic ---------------------------------------------------------------------------------------------- */

static const double sinh_f64[] = {
    1.0 / 355687428096000, 1.0 / 1307674368000, 1.0 / 6227020800, 1.0 / 39916800,
    1.0 / 362880,          1.0 / 5040,          1.0 / 120,        1.0 / 6};

neo_term neo_math_sinh(const neo_math *m, neo_term x) {
  neo_term a = neo_math_abs(m, x), z = neo_math_mul(m, x, x);
  int skip = neo_math_is64(m) ? 0 : 4;
  neo_term p = neo_math_poly(m, z, sinh_f64 + skip, 8 - skip);
  neo_term small = neo_math_fma(m, neo_math_mul(m, z, p), x, x);
  neo_term h = neo_math_exp(m, neo_math_mul(m, a, neo_math_const(m, 0.5))),
           half = neo_math_const(m, 0.5);
  neo_term up = neo_math_mul(m, neo_math_mul(m, h, half), h);
  neo_term down = neo_math_div(m, neo_math_div(m, half, h), h);
  neo_term large = neo_math_copysign(m, neo_math_sub(m, up, down), x);
  return neo_math_select(m, neo_math_lt(m, a, neo_math_const(m, 1)), small, large);
}

neo_term neo_math_cosh(const neo_math *m, neo_term x) {
  neo_term half = neo_math_const(m, 0.5);
  neo_term h = neo_math_exp(m, neo_math_mul(m, neo_math_abs(m, x), half));
  neo_term up = neo_math_mul(m, neo_math_mul(m, h, half), h);
  return neo_math_add(m, up, neo_math_div(m, neo_math_div(m, half, h), h));
}

static const double tanh_f32[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                                  1.33314422036e-1, -3.33332819422e-1};
static const double tanh_p[] = {-9.64399179425052238628e-1, -9.92877231001918586564e1,
                                -1.61468768441708447952e3};
static const double tanh_q[] = {1, 1.12811678491632931402e2, 2.23548839060100448583e3,
                                4.84406305325125486048e3};

neo_term neo_math_tanh(const neo_math *m, neo_term x) {
  neo_term a = neo_math_abs(m, x), z = neo_math_mul(m, x, x), one = neo_math_const(m, 1);
  neo_term p = neo_math_is64(m)
                   ? neo_math_div(m, neo_math_poly(m, z, tanh_p, 3), neo_math_poly(m, z, tanh_q, 4))
                   : neo_math_poly(m, z, tanh_f32, 5);
  neo_term small = neo_math_fma(m, neo_math_mul(m, z, p), x, x);
  neo_term e = neo_math_exp(m, neo_math_add(m, a, a));
  neo_term large =
      neo_math_sub(m, one, neo_math_div(m, neo_math_const(m, 2), neo_math_add(m, e, one)));
  neo_term near = neo_math_lt(m, a, neo_math_const(m, 0.625));
  return neo_math_copysign(m, neo_math_select(m, near, small, large), x);
}

/* log(2 a) where a^2 would overflow or 1 be lost, else `near`. */
static neo_term log_far(const neo_math *m, neo_term a, neo_term near) {
  neo_term limit = neo_math_const(m, neo_math_is64(m) ? 0x1p28 : 0x1p12);
  neo_term far = neo_math_add(m, neo_math_log(m, a), neo_math_const(m, 0.69314718055994530942));
  return neo_math_select(m, neo_math_lt(m, limit, a), far, near);
}

neo_term neo_math_asinh(const neo_math *m, neo_term x) {
  neo_term a = neo_math_abs(m, x), z = neo_math_mul(m, x, x), one = neo_math_const(m, 1);
  neo_term root = neo_math_sqrt(m, neo_math_add(m, z, one));
  neo_term u = neo_math_add(m, a, neo_math_div(m, z, neo_math_add(m, root, one)));
  return neo_math_copysign(m, log_far(m, a, log_plus_one(m, u)), x);
}

neo_term neo_math_acosh(const neo_math *m, neo_term x) {
  neo_term one = neo_math_const(m, 1), t = neo_math_sub(m, x, one);
  neo_term root = neo_math_sqrt(m, neo_math_mul(m, t, neo_math_add(m, x, one)));
  neo_term near = log_far(m, x, log_plus_one(m, neo_math_add(m, t, root)));
  return neo_math_select(m, neo_math_lt(m, x, one), neo_math_const(m, NAN), near);
}

neo_term neo_math_atanh(const neo_math *m, neo_term x) {
  neo_term a = neo_math_abs(m, x), one = neo_math_const(m, 1);
  neo_term u = neo_math_div(m, neo_math_add(m, a, a), neo_math_sub(m, one, a));
  neo_term r = neo_math_mul(m, log_plus_one(m, u), neo_math_const(m, 0.5));
  r = neo_math_select(m, neo_math_lt(m, one, a), neo_math_const(m, NAN), r);
  return neo_math_copysign(m, r, x);
}
