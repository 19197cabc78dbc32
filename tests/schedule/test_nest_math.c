/* The expansion of real functions: ulp against libm over sweeps, special values, nothing left
 * unexpanded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/nest.h"
#include "schedule/ptr_map.h"

#include "tests/arena_fixture.h" /* after headers whose parameters have its names */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define POINTS 4000

typedef struct function_row {
  const char *name;
  long double (*exact)(long double);
  double lo, hi; /* sweep */
  double max_ulp32, max_ulp64;
} function_row;

static const function_row rows[] = {
    {"exp", expl, -87, 88, 2, 2},     {"exp", expl, -1, 1, 2, 2},
    {"log", logl, 1e-30, 1e30, 2, 2}, {"log", logl, 0.5, 2, 2, 2},
    {"sin", sinl, -1e5, 1e5, 2, 3},   {"sin", sinl, -4, 4, 2, 2},
    {"cos", cosl, -1e5, 1e5, 2, 3},   {"cos", cosl, -4, 4, 2, 2},
    {"tan", tanl, -50, 50, 4, 4},     {"asin", asinl, -1, 1, 4, 4},
    {"acos", acosl, -1, 1, 4, 4},     {"atan", atanl, -20, 20, 3, 3},
    {"sinh", sinhl, -88, 88, 4, 4},   {"sinh", sinhl, -2, 2, 4, 4},
    {"cosh", coshl, -88, 88, 4, 4},   {"tanh", tanhl, -10, 10, 3, 3},
    {"tanh", tanhl, -0.7, 0.7, 3, 3}, {"asinh", asinhl, -1e4, 1e4, 4, 4},
    {"asinh", asinhl, -2, 2, 4, 4},   {"acosh", acoshl, 1, 1e4, 4, 4},
    {"acosh", acoshl, 1, 2, 4, 4},    {"atanh", atanhl, -1, 1, 4, 4},
    {"erf", erfl, -4.5, 4.5, 2, 3},   {"erf", erfl, -1, 1, 2, 2},
};

/* Visits each node once (the expression is a DAG). */
static bool has_function(neo_ptr_map *seen, const neo_expr *e) {
  bool first;
  neo_ptr_map_at(seen, e, &first);
  if (!first)
    return false;
  if ((e->op >= NEO_EXPR_EXP && e->op <= NEO_EXPR_ERF) || e->op == NEO_EXPR_POW)
    return true;
  for (int i = 0; i < e->n_args; i++)
    if (has_function(seen, e->arg[i]))
      return true;
  return false;
}

/* out[i] = body over n elements; body may read b0[i0] and b1[i0]. */
static void evaluate(const char *dtype, const char *body, int n, void *a, void *b, void *out) {
  char text[512];
  snprintf(
      text, sizeof(text),
      "nest 1\nb0 param %s %d\nb1 param %s %d\nb2 param out %s %d\nlaunch i0 %d\n  b2[i0] = %s\n",
      dtype, n, dtype, n, dtype, n, n, body);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  neo_ctx_clear(&ctx);
  if (neo_nest_parse(&ctx, &arena, text, nest) != NEO_OK)
    fail_msg("%s\n%s", ctx.message, text);
  neo_nest_expand_math(nest);
  neo_ptr_map seen = {.arena = &arena};
  assert_false(has_function(&seen, nest->launch[0].body->u.store.value));
  void *params[] = {a, b, out};
  if (neo_nest_check(&ctx, nest) != NEO_OK || neo_nest_interpret(&ctx, nest, params) != NEO_OK)
    fail_msg("%s", ctx.message);
}

static double ulp32(float got, long double exact) {
  float nearest = (float)exact;
  if (got == nearest || (isnan(got) && isnan(nearest)))
    return 0;
  if (isnan(got) || isnan(nearest) || isinf(nearest))
    return INFINITY;
  int exponent;
  frexpf(nearest, &exponent);
  return fabs(
      (double)(((long double)got - exact) / ldexpl(1, exponent > -125 ? exponent - 24 : -149)));
}

static double ulp64(double got, long double exact) {
  double nearest = (double)exact;
  if (got == nearest || (isnan(got) && isnan(nearest)))
    return 0;
  if (isnan(got) || isnan(nearest) || isinf(nearest))
    return INFINITY;
  int exponent;
  frexp(nearest, &exponent);
  return fabs(
      (double)(((long double)got - exact) / ldexpl(1, exponent > -1021 ? exponent - 53 : -1074)));
}

/* Half of the points uniform, half spread over magnitudes. */
static double point(const function_row *row, int i, neo_rng *rng) {
  double u = neo_rng_unit(rng);
  if (i % 2 == 0)
    return row->lo + (row->hi - row->lo) * u;
  double top = row->lo < 0 && neo_rng_below(rng, 2) ? -row->lo : row->hi;
  double sign = row->lo < 0 && neo_rng_below(rng, 2) ? -1 : 1;
  double v = sign * top * pow(2, -40 * u);
  return v < row->lo || v > row->hi ? row->hi : v;
}

static void f32_is_within_ulp(void **state) {
  (void)state;
  static float x[POINTS], y[POINTS];
  for (int r = 0; r < NEO_COUNT(rows); r++) {
    char body[64];
    neo_rng rng;
    neo_rng_init(&rng, 3);
    for (int i = 0; i < POINTS; i++)
      x[i] = (float)point(&rows[r], i, &rng);
    snprintf(body, sizeof(body), "%s(b0[i0])", rows[r].name);
    evaluate("f32", body, POINTS, x, x, y);
    double worst = 0;
    int where = 0;
    for (int i = 0; i < POINTS; i++) {
      double ulp = ulp32(y[i], rows[r].exact((long double)x[i]));
      if (!(ulp <= worst)) {
        worst = ulp;
        where = i;
      }
    }
    print_message("f32 %-6s [%g, %g]: %.2f ulp\n", rows[r].name, rows[r].lo, rows[r].hi, worst);
    if (!(worst <= rows[r].max_ulp32))
      fail_msg("%s(%.9g) is %.9g: %.2f ulp", rows[r].name, (double)x[where], (double)y[where],
               worst);
  }
}

static void f64_is_within_ulp(void **state) {
  (void)state;
  static double x[POINTS], y[POINTS];
  for (int r = 0; r < NEO_COUNT(rows); r++) {
    char body[64];
    neo_rng rng;
    neo_rng_init(&rng, 3);
    for (int i = 0; i < POINTS; i++)
      x[i] = point(&rows[r], i, &rng);
    snprintf(body, sizeof(body), "%s(b0[i0])", rows[r].name);
    evaluate("f64", body, POINTS, x, x, y);
    double worst = 0;
    int where = 0;
    for (int i = 0; i < POINTS; i++) {
      double ulp = ulp64(y[i], rows[r].exact((long double)x[i]));
      if (!(ulp <= worst)) {
        worst = ulp;
        where = i;
      }
    }
    print_message("f64 %-6s [%g, %g]: %.2f ulp\n", rows[r].name, rows[r].lo, rows[r].hi, worst);
    if (!(worst <= rows[r].max_ulp64))
      fail_msg("%s(%.17g) is %.17g: %.2f ulp", rows[r].name, x[where], y[where], worst);
  }
}

static void pow_is_within_ulp(void **state) {
  (void)state;
  static double x[POINTS], y[POINTS], r[POINTS];
  static float fx[POINTS], fy[POINTS], fr[POINTS];
  neo_rng rng;
  neo_rng_init(&rng, 5);
  for (int i = 0; i < POINTS; i++) {
    x[i] = exp(neo_rng_normal(&rng) * 4);
    y[i] = neo_rng_normal(&rng) * 10;
    if (i % 5 == 0) {
      x[i] = -x[i];
      y[i] = rint(y[i]);
    }
    fx[i] = (float)x[i];
    fy[i] = (float)y[i];
  }
  evaluate("f64", "pow(b0[i0], b1[i0])", POINTS, x, y, r);
  evaluate("f32", "pow(b0[i0], b1[i0])", POINTS, fx, fy, fr);
  double worst64 = 0, worst32 = 0;
  for (int i = 0; i < POINTS; i++) {
    worst64 = fmax(worst64, ulp64(r[i], powl((long double)x[i], (long double)y[i])));
    worst32 = fmax(worst32, ulp32(fr[i], powl((long double)fx[i], (long double)fy[i])));
  }
  print_message("pow: f64 %.2f ulp, f32 %.2f ulp\n", worst64, worst32);
  assert_true(worst64 <= 4);
  assert_true(worst32 <= 2);
}

static const double special[] = {
    0.0,      -0.0,      1,   -1,   2,     -2,    0.5,    -0.5, 3,     -3,    1e-40, -1e-40, 1e-320,
    INFINITY, -INFINITY, NAN, 1e38, -1e38, 1e300, -1e300, 1000, -1000, 1e-10, 7,     5e-8};

static bool same(double a, double b, double tolerance) {
  if (isnan(a) || isnan(b))
    return isnan(a) && isnan(b);
  if (a == b)
    return a != 0 || signbit(a) == signbit(b);
  return fabs(a - b) <= tolerance * fabs(b);
}

static void special_values(void **state) {
  (void)state;
  enum { N = NEO_COUNT(special) };
  double x[N], y[N];
  for (int r = 0; r < NEO_COUNT(rows); r++) {
    char body[64];
    memcpy(x, special, sizeof(x));
    snprintf(body, sizeof(body), "%s(b0[i0])", rows[r].name);
    evaluate("f64", body, N, x, x, y);
    bool circular = strcmp(rows[r].name, "sin") == 0 || strcmp(rows[r].name, "cos") == 0 ||
                    strcmp(rows[r].name, "tan") == 0;
    for (int i = 0; i < N; i++) {
      double exact = (double)rows[r].exact((long double)x[i]);
      if (circular && fabs(x[i]) > 1e6 && !isinf(x[i])) {
        assert_true(fabs(y[i]) <= 1.0001);
        continue;
      }
      if (!same(y[i], exact, 1e-13))
        fail_msg("f64 %s(%g) is %g, %g expected", rows[r].name, x[i], y[i], exact);
    }
  }
}

static void special_powers(void **state) {
  (void)state;
  enum { N = NEO_COUNT(special) };
  static double x[N * N], y[N * N], r[N * N];
  for (int i = 0; i < N * N; i++) {
    x[i] = special[i / N];
    y[i] = special[i % N];
  }
  evaluate("f64", "pow(b0[i0], b1[i0])", N * N, x, y, r);
  for (int i = 0; i < N * N; i++)
    if (!same(r[i], pow(x[i], y[i]), 1e-13))
      fail_msg("pow(%g, %g) is %g, %g expected", x[i], y[i], r[i], pow(x[i], y[i]));
}

static void half_precision_goes_through_f32(void **state) {
  (void)state;
  uint16_t x[3] = {0x3c00, 0x4000, 0xbc00}, y[3];
  evaluate("f16", "exp(b0[i0])", 3, x, x, y);
  for (int i = 0; i < 3; i++)
    assert_int_equal(y[i], neo_f32_to_f16(expf(neo_f16_to_f32(x[i]))));
}

/* a / (1 + exp(-x)) has an expansion of its own: sigmoid, SiLU, and what they are at the ends.
 * Where they are tiny they have a digit less: one product with log2(e), which is rounded, makes the
 * exponent. */
static void logistic_functions(void **state) {
  (void)state;
  enum { N = 4001 };
  static float x[N], unused[N], sigmoid[N], silu[N];
  for (int i = 0; i < N; i++)
    x[i] = (float)(-120 + 240.0 * i / (N - 1));
  x[0] = -INFINITY, x[1] = INFINITY, x[2] = NAN, x[3] = -0.0f, x[4] = 1e30f, x[5] = -1e30f;
  evaluate("f32", "div(f32:1, add(f32:1, exp(neg(b0[i0]))))", N, x, unused, sigmoid);
  evaluate("f32", "mul(b0[i0], div(f32:1, add(exp(neg(b0[i0])), f32:1)))", N, x, unused, silu);
  assert_true(sigmoid[0] >= 0 && sigmoid[0] < 1e-37f && sigmoid[1] == 1);
  assert_true(isnan(sigmoid[2]) && isnan(silu[2]) && isinf(silu[1]) && silu[4] == 1e30f);
  assert_true(sigmoid[3] == 0.5f && silu[3] == 0);
  for (int i = 6; i < N; i++) {
    long double exact = 1 / (1 + expl(-(long double)x[i]));
    if (x[i] > -87) {
      double limit = 4 + fmax(0, -x[i]) / 3;
      assert_true(ulp32(sigmoid[i], exact) <= limit);
      assert_true(ulp32(silu[i], exact * x[i]) <= limit);
    } else {
      assert_true(fabsf(sigmoid[i]) < 1e-37f && fabsf(silu[i]) < 1e-35f);
    }
  }
}

/* 1 + erf(x), the factor of GELU, has an expansion of its own. Past its ends it is 0 and 2, not
 * nearly so: GELU multiplies it by x. */
static void one_plus_erf(void **state) {
  (void)state;
  enum { N = 4001 };
  static float x[N], unused[N], left[N], right[N];
  for (int i = 0; i < N; i++)
    x[i] = (float)(-6 + 12.0 * i / (N - 1));
  x[0] = -INFINITY, x[1] = INFINITY, x[2] = NAN, x[3] = -0.0f, x[4] = 1e30f, x[5] = -1e30f;
  evaluate("f32", "add(erf(b0[i0]), f32:1)", N, x, unused, left);
  evaluate("f32", "add(f32:1, erf(b0[i0]))", N, x, unused, right);
  assert_true(isnan(left[2]) && left[0] == 0 && left[1] == 2 && left[3] == 1);
  for (int i = 3; i < N; i++) {
    assert_true(left[i] == right[i]);
    assert_true(fabsl(left[i] - (1 + erfl(x[i]))) <= 4e-7);
    if (fabsf(x[i]) >= 3.92f)
      assert_true(left[i] == (x[i] < 0 ? 0 : 2));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f32_is_within_ulp), cmocka_unit_test(f64_is_within_ulp),
      cmocka_unit_test(pow_is_within_ulp), cmocka_unit_test(special_values),
      cmocka_unit_test(special_powers),    cmocka_unit_test(logistic_functions),
      cmocka_unit_test(one_plus_erf),      cmocka_unit_test(half_precision_goes_through_f32),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
