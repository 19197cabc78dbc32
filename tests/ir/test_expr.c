/* tests/ir/test_expr.c: constructors, text, affine forms, intervals and the quasi-affine
 * simplifier. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ir/expr.h"
#include "tests/arena_fixture.h"

#include <math.h>
#include <string.h>

/* Buffers of the tests: b0 f32, b1 i64, b2 i32, b3 bool, b4 f16. */
static bool dtype_of(void *self, int buffer, neo_dtype *out) {
  static const neo_dtype dtypes[] = {NEO_F32, NEO_I64, NEO_I32, NEO_BOOL, NEO_F16};
  (void)self;
  if (buffer < 0 || buffer >= NEO_COUNT(dtypes))
    return false;
  *out = dtypes[buffer];
  return true;
}

static const neo_expr *parse(const char *text) {
  neo_scan scan;
  const neo_expr *e = NULL;
  neo_scan_init(&scan, text);
  neo_ctx_clear(&ctx);
  if (neo_expr_parse(&ctx, &arena, &scan, dtype_of, NULL, &e) != NEO_OK)
    fail_msg("%s: %s", text, ctx.message);
  assert_true(neo_scan_end(&scan));
  return e;
}

static void assert_prints(const neo_expr *e, const char *expected) {
  neo_buf buf = {0};
  neo_expr_print(&buf, e);
  assert_string_equal(buf.data, expected);
  neo_buf_fini(&buf);
}

/* ---- normal form and text
 * ------------------------------------------------------------------------ */

static const struct {
  const char *text, *canonical;
} forms[] = {
    {"3", "3"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"i2*2 + i5 - 1", "i2*2+i5-1"},
    {"i5 + i2 - 1 + i2", "i2*2+i5-1"},
    {"i1 - i0", "-i0+i1"},
    {"i1 - i1", "0"},
    {"mul(i0 + 1, 4)", "i0*4+4"},
    {"add(i0, 0)", "i0"},
    {"-i3*2", "-i3*2"},
    {"mul(i0, i1)", "mul(i0, i1)"},
    {"i0*9223372036854775807+i0", "-i0*9223372036854775808"},
    {"floordiv(i0*8+i1, 4)", "i0*2+floordiv(i1, 4)"},
    {"floormod(i0*8+i1+9, 4)", "floormod(i1+1, 4)"},
    {"floordiv(floordiv(i0, 3), 5)", "floordiv(i0, 15)"},
    {"floormod(7, 4)", "3"},
    {"floordiv(-1, 4)", "-1"},
    {"f32:0.5", "f32:0.5"},
    {"f32:0.1", "f32:0.10000000149011612"},
    {"f32:nan", "f32:nan"},
    {"f32:-inf", "f32:-inf"},
    {"add(f32:1, f32:2)", "f32:3"},
    {"add(b0[i0], f32:0)", "add(b0[i0], f32:0)"},
    {"add(b0[i0], f32:-0)", "b0[i0]"},
    {"sub(b0[i0], f32:0)", "b0[i0]"},
    {"mul(f32:1, b0[i0])", "b0[i0]"},
    {"mul(f32:0, b0[i0])", "mul(b0[i0], f32:0)"},
    {"mul(b2[i0], i32:0)", "i32:0"},
    {"max(f32:0, b0[i0])", "max(f32:0, b0[i0])"},
    {"neg(neg(b0[i0]))", "b0[i0]"},
    {"select(bool:1, b0[i0], b0[i1])", "b0[i0]"},
    {"select(b3[i0], b0[i1], b0[i1])", "b0[i1]"},
    {"and(b3[i0], bool:0)", "bool:0"},
    {"i8:200", "i8:-56"},
    {"cast.i8(f32:300)", "i8:127"},
    {"cast.u8(f32:nan)", "u8:0"},
    {"cast.i8(i32:300)", "i8:44"},
    {"cast.f32(b0[i0])", "b0[i0]"},
    {"bitcast.i32(f32:1)", "i32:1065353216"},
    {"round(f32:2.5)", "f32:2"},
    {"lt(i0, i0+1)", "lt(i0, i0+1)"},
    {"b0[i0, i1+1, 0]", "b0[i0, i1+1, 0]"},
    {"b0[]", "b0[]"},
    {"b0[i0, i2+i5-1 | 0<=i2+i5-1<56, -3<=i0<4 else 0.5]",
     "b0[i0, i2+i5-1 | 0<=i2+i5-1<56, -3<=i0<4 else 0.5]"},
    {"b0[i0 | 0<=2<4 else 7]", "b0[i0]"},
    {"b0[floormod(b1[i0], 10)]", "b0[floormod(b1[i0], 10)]"},
    {"b1[i0] + b1[i1] + 1", "b1[i0]+b1[i1]+1"},
    {"b0.x8[i0*8]", "b0.x8[i0*8]"},
    {"b0.x8a5[i0*8]", "b0.x8a5[i0*8]"},
    {"bcast.x8(b0[i0])", "bcast.x8(b0[i0])"},
    {"fma(b0.x4[0], b0[3], f32:0)", "fma(b0.x4[0], bcast.x4(b0[3]), bcast.x4(f32:0))"},
    {"mul(b0.x4[0], f32:1)", "b0.x4[0]"},
    {"add(bcast.x4(f32:1), f32:2)", "bcast.x4(f32:3)"},
    {"intrinsic.2.i32.x16(bcast.x16(i32:1), b2.x16[i0])",
     "intrinsic.2.i32.x16(bcast.x16(i32:1), b2.x16[i0])"},
};

static void text_has_one_normal_form(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(forms); k++) {
    const neo_expr *e = parse(forms[k].text);
    assert_prints(e, forms[k].canonical);
    assert_true(neo_expr_equal(parse(forms[k].canonical), e));
  }
}

static void bad_text_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {"",
                                      "i",
                                      "f32:",
                                      "add(i0)",
                                      "add(i0, f32:1)",
                                      "b9[i0]",
                                      "b0[i0",
                                      "b0[f32:1]",
                                      "sqrt(i0)",
                                      "and(i0, i1)",
                                      "foo(i0)",
                                      "cast.f33(i0)",
                                      "b0[i0 | 0<=i0 else 0]",
                                      "b0.x1[i0]",
                                      "b0.x8a9[i0]",
                                      "bcast.x0(i0)",
                                      "b0[i0]+b0[i0]",
                                      "not(f32:1)",
                                      "select(i0, i1, i2)",
                                      "bitcast.i8(f32:1)",
                                      "shl(f32:1, f32:2)",
                                      "99999999999999999999"};
  for (int k = 0; k < NEO_COUNT(texts); k++) {
    neo_scan scan;
    const neo_expr *e;
    neo_scan_init(&scan, texts[k]);
    neo_ctx_clear(&ctx);
    assert_int_equal(neo_expr_parse(&ctx, &arena, &scan, dtype_of, NULL, &e), NEO_BAD_INPUT);
    assert_true(ctx.message[0] != 0);
  }
}

static void deep_text_is_refused_not_overflown(void **state) {
  (void)state;
  neo_buf buf = {0};
  for (int k = 0; k < 100000; k++)
    neo_buf_text(&buf, "neg(");
  neo_scan scan;
  const neo_expr *e;
  neo_scan_init(&scan, buf.data);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_expr_parse(&ctx, &arena, &scan, dtype_of, NULL, &e), NEO_BAD_INPUT);
  neo_buf_fini(&buf);
}

/* ---- random index expressions: what simplification must preserve
 * ------------------------------------ */

#define VARS 4

static int64_t value_of(const neo_expr *e, const int64_t *var) {
  if (e->op == NEO_EXPR_VAR)
    return var[e->u.var];
  if (e->op == NEO_EXPR_CONST)
    return e->u.i;
  neo_scalar arg[3] = {{0}};
  for (int k = 0; k < e->n_args; k++)
    arg[k].i = value_of(e->arg[k], var);
  return neo_expr_apply(e, arg).i;
}

static const neo_expr *random_index(neo_rng *rng, int depth) {
  int what = (int)neo_rng_below(rng, depth > 0 ? 8 : 2);
  if (what == 0)
    return neo_expr_index(&arena, (int64_t)neo_rng_below(rng, 41) - 20);
  if (what == 1)
    return neo_expr_var(&arena, (int)neo_rng_below(rng, VARS));
  const neo_expr *a = random_index(rng, depth - 1);
  int64_t d = (int64_t)neo_rng_below(rng, 12) + 1;
  switch (what) {
  case 2:
    return neo_expr_binary(&arena, NEO_EXPR_FLOORDIV, a, neo_expr_index(&arena, d));
  case 3:
    return neo_expr_binary(&arena, NEO_EXPR_FLOORMOD, a, neo_expr_index(&arena, d));
  case 4:
    return neo_expr_binary(&arena, NEO_EXPR_MUL, a, neo_expr_index(&arena, d - 6));
  case 5:
    return neo_expr_binary(&arena, NEO_EXPR_SUB, a, random_index(rng, depth - 1));
  case 6:
    return neo_expr_binary(&arena, NEO_EXPR_MIN, a, random_index(rng, depth - 1));
  default:
    return neo_expr_binary(&arena, NEO_EXPR_ADD, a, random_index(rng, depth - 1));
  }
}

static void random_point(neo_rng *rng, const neo_range *range, int64_t *var) {
  for (int k = 0; k < VARS; k++)
    var[k] = range[k].lo + (int64_t)neo_rng_below(rng, (uint64_t)(range[k].hi - range[k].lo + 1));
}

static void random_indices_keep_their_values(void **state) {
  (void)state;
  static const neo_range range[VARS] = {{0, 3}, {0, 6}, {-5, 5}, {0, 63}};
  neo_rng rng;
  neo_rng_init(&rng, 7);
  for (int trial = 0; trial < 3000; trial++) {
    int64_t d = (int64_t)neo_rng_below(&rng, 16) + 1;
    const neo_expr *e = random_index(&rng, 4);
    const neo_expr *q = neo_expr_floordiv(&arena, e, d, range, VARS);
    const neo_expr *m = neo_expr_floormod(&arena, e, d, range, VARS);
    const neo_expr *s = neo_expr_simplify(&arena, e, range, VARS);
    neo_buf buf = {0};
    neo_expr_print(&buf, e);
    assert_true(neo_expr_equal(parse(buf.data), e));
    neo_range r;
    assert_true(neo_expr_range(e, range, VARS, &r));
    for (int point = 0; point < 10; point++) {
      int64_t var[VARS];
      random_point(&rng, range, var);
      int64_t v = value_of(e, var);
      if (v < r.lo || v > r.hi || value_of(q, var) != neo_floor_div(v, d) ||
          value_of(m, var) != neo_floor_mod(v, d) || value_of(s, var) != v)
        fail_msg("%s by %d", buf.data, (int)d);
    }
    neo_buf_fini(&buf);
    neo_arena_reset(&arena);
  }
}

static void division_splits_blocked_indices(void **state) {
  (void)state;
  /* i0 in [0,8), i1 in [0,16): what a 16-channel block of a layout makes of i0*16+i1 */
  static const neo_range range[] = {{0, 7}, {0, 15}, {0, 2}};
  const neo_expr *e = parse("i0*16+i1");
  assert_prints(neo_expr_floordiv(&arena, e, 16, range, 3), "i0");
  assert_prints(neo_expr_floormod(&arena, e, 16, range, 3), "i1");
  assert_prints(neo_expr_floordiv(&arena, e, 32, range, 3), "floordiv(i0, 2)");
  assert_prints(neo_expr_floormod(&arena, e, 32, range, 3), "i1+floormod(i0, 2)*16");
  assert_prints(neo_expr_floordiv(&arena, parse("i0*16+i1+i2*8"), 16, range, 3),
                "i0+floordiv(i1+i2*8, 16)");
  assert_prints(neo_expr_floordiv(&arena, parse("i0*128+i1*8+i2+5"), 8, range, 3), "i0*16+i1");
  assert_prints(neo_expr_floormod(&arena, parse("i2-3"), 8, range, 3), "i2+5");
}

/* On random expressions of variables that are multiples themselves. */
static void twos_divide(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int twos;
  } rows[] = {{"i0*4+i1*8", 2},
              {"i2*4+16", 4},
              {"i2*3", 3},
              {"i0*4+6", 1},
              {"i0", 0},
              {"max(i2*2-32, 0)", 4},
              {"floordiv(i2*8, 4)", 4},
              {"floordiv(i2*8, 3)", 0},
              {"floormod(i0*16, 24)", 3},
              {"select(lt(i0, 3), i2, 0)", 3},
              {"0", 30},
              {"b1[i0]*4", 2}};
  static const uint8_t known[] = {0, 0, 3};
  for (int k = 0; k < NEO_COUNT(rows); k++)
    if (neo_expr_twos(parse(rows[k].text), known, 3) != rows[k].twos)
      fail_msg("%s: %d", rows[k].text, neo_expr_twos(parse(rows[k].text), known, 3));
  neo_rng rng;
  neo_rng_init(&rng, 7);
  for (int round = 0; round < 2000; round++) {
    const neo_expr *e = random_index(&rng, 4);
    uint8_t twos[VARS];
    neo_range range[VARS];
    for (int k = 0; k < VARS; k++) {
      twos[k] = (uint8_t)neo_rng_below(&rng, 5);
      range[k] = (neo_range){-20, 20};
    }
    for (int point = 0; point < 10; point++) {
      int64_t var[VARS];
      random_point(&rng, range, var);
      for (int k = 0; k < VARS; k++)
        var[k] *= INT64_C(1) << twos[k];
      int64_t v = value_of(e, var), d = INT64_C(1) << neo_expr_twos(e, twos, VARS);
      if (v % d != 0) {
        neo_buf buf = {0};
        neo_expr_print(&buf, e);
        fail_msg("%s is %lld", buf.data, (long long)v);
      }
    }
    neo_arena_reset(&arena);
  }
}

static void affine_form_round_trips(void **state) {
  (void)state;
  neo_affine a;
  assert_true(neo_expr_affine(parse("i5*3-i1+7"), &a));
  assert_int_equal(a.n, 2);
  assert_int_equal(a.base, 7);
  assert_int_equal(neo_affine_coef(&a, 5), 3);
  assert_int_equal(neo_affine_coef(&a, 1), -1);
  assert_int_equal(neo_affine_coef(&a, 0), 0);
  assert_prints(neo_affine_expr(&arena, &a), "-i1+i5*3+7");
  assert_true(neo_expr_affine(parse("-4"), &a));
  assert_int_equal(a.base, -4);
  assert_false(neo_expr_affine(parse("floordiv(i0, 2)"), &a));
  assert_false(neo_expr_affine(parse("i0+mul(i1, i2)"), &a));
  assert_false(neo_expr_affine(parse("b1[i0]"), &a));
}

static void ranges_of_data_are_unbounded_until_clamped(void **state) {
  (void)state;
  static const neo_range range[] = {{0, 9}};
  neo_range r;
  assert_false(neo_expr_range(parse("b1[i0]"), range, 1, &r));
  assert_false(neo_expr_range(parse("b1[i0]+i0"), range, 1, &r));
  assert_true(neo_expr_range(parse("floormod(b1[i0], 5)+i0"), range, 1, &r));
  assert_int_equal(r.lo, 0);
  assert_int_equal(r.hi, 13);
  assert_true(neo_expr_range(parse("max(min(b1[i0], 7), -1)"), range, 1, &r));
  assert_int_equal(r.lo, -1);
  assert_int_equal(r.hi, 7);
}

/* ---- rewriting ---------------------------------------------------------------------------------
 */

static const neo_expr *swap_buffer(void *self, const neo_expr *load) {
  ++*(int *)self;
  if (load->u.load.buffer != 1)
    return NULL;
  return neo_expr_index(&arena, 4);
}

static void substitution_reaches_indices_and_guards(void **state) {
  (void)state;
  const neo_expr *map[2] = {neo_expr_index(&arena, 3), NULL};
  const neo_expr *e = parse("b0[i0+i1, i1 | 0<=i0+i1<9 else 1]");
  assert_prints(neo_expr_substitute(&arena, e, map, 2), "b0[i1+3, i1 | 0<=i1+3<9 else 1]");
  int seen = 0;
  assert_prints(neo_expr_map_loads(&arena, parse("add(b0[b1[i0]*2], b0[i0])"), swap_buffer, &seen),
                "add(b0[8], b0[i0])");
  assert_int_equal(seen, 3);
  assert_true(neo_expr_uses_var(e, 1));
  assert_false(neo_expr_uses_var(e, 2));
  static const neo_range range[] = {{0, 3}, {0, 4}};
  assert_prints(neo_expr_simplify(&arena, e, range, 2), "b0[i0+i1, i1]");
  assert_prints(neo_expr_simplify(&arena, parse("select(lt(i0, 4), i0, i1)"), range, 2), "i0");
  assert_prints(neo_expr_simplify(&arena, parse("b0[i0 | 9<=i0<20 else 2]"), range, 2), "f32:2");
}

/* b0[0] -> b0[7], b0[anything else] -> b0[0] */
static const neo_expr *move_to_front(void *self, const neo_expr *load) {
  int64_t at;
  (void)self;
  if (load->u.load.buffer != 0)
    return NULL;
  bool front = neo_expr_is_const(load->arg[0], &at) && at == 0;
  const neo_expr *index = neo_expr_index(&arena, front ? 7 : 0);
  return neo_expr_load(&arena, NEO_F32, 0, 1, &index);
}

static void a_load_that_is_left_over_is_replaced_once(void **state) {
  (void)state;
  const neo_expr *e = parse("select(b3[i0], b0[i0], b0[i1])");
  assert_prints(neo_expr_map_loads(&arena, e, move_to_front, NULL), "b0[0]");
  e = parse("max(b0[i0], b0[i1])");
  assert_prints(neo_expr_map_loads(&arena, e, move_to_front, NULL), "b0[0]");
}

/* ---- scalar semantics
 * ---------------------------------------------------------------------------- */

static const struct {
  const char *text, *value;
} values[] = {
    {"div(i32:7, i32:-2)", "i32:-3"},
    {"mod(i32:-7, i32:2)", "i32:-1"},
    {"floormod(i32:-7, i32:2)", "i32:1"},
    {"floormod(i32:7, i32:-3)", "i32:-2"},
    {"floordiv(i32:7, i32:-2)", "i32:-4"},
    {"div(i32:-2147483648, i32:-1)", "i32:-2147483648"},
    {"div(i8:5, i8:0)", "i8:0"},
    {"add(u8:250, u8:10)", "u8:4"},
    {"neg(i8:-128)", "i8:-128"},
    {"lt(u64:-1, u64:1)", "bool:0"},
    {"shr(i8:-128, i8:3)", "i8:-16"},
    {"shl(u8:129, u8:1)", "u8:2"},
    {"shr(u16:32768, u16:16)", "u16:0"},
    {"pow(i32:3, i32:4)", "i32:81"},
    {"pow(f32:2, f32:0.5)", "f32:1.4142135381698608"},
    {"max(f32:nan, f32:1)", "f32:nan"},
    {"max(f32:1, f32:nan)", "f32:1"},
    {"floormod(f32:-1, f32:3)", "f32:2"},
    {"mod(f32:-1, f32:3)", "f32:-1"},
    {"fma(f32:0.1, f32:10, f32:-1)", "f32:1.4901161193847656e-08"},
    {"cast.f16(f32:65520)", "f16:inf"},
    {"cast.f16(f64:1.00048828125001)", "f16:1.0009765625"},
    {"cast.bf16(f32:1.00390625)", "bf16:1"},
    {"cast.f32(u64:-1)", "f32:18446744073709552000"},
    {"cast.i64(f64:1e300)", "9223372036854775807"},
    {"isnan(f32:nan)", "bool:1"},
    {"abs(i32:-5)", "i32:5"},
};

static void constants_fold_with_the_documented_semantics(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(values); k++) {
    const neo_expr *e = parse(values[k].text);
    if (!neo_expr_equal(e, parse(values[k].value))) {
      neo_buf buf = {0};
      neo_expr_print(&buf, e);
      fail_msg("%s is %s, %s expected", values[k].text, buf.data, values[k].value);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(text_has_one_normal_form, setup, teardown),
      cmocka_unit_test_setup_teardown(bad_text_is_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(deep_text_is_refused_not_overflown, setup, teardown),
      cmocka_unit_test_setup_teardown(random_indices_keep_their_values, setup, teardown),
      cmocka_unit_test_setup_teardown(division_splits_blocked_indices, setup, teardown),
      cmocka_unit_test_setup_teardown(twos_divide, setup, teardown),
      cmocka_unit_test_setup_teardown(affine_form_round_trips, setup, teardown),
      cmocka_unit_test_setup_teardown(ranges_of_data_are_unbounded_until_clamped, setup, teardown),
      cmocka_unit_test_setup_teardown(substitution_reaches_indices_and_guards, setup, teardown),
      cmocka_unit_test_setup_teardown(a_load_that_is_left_over_is_replaced_once, setup, teardown),
      cmocka_unit_test_setup_teardown(constants_fold_with_the_documented_semantics, setup,
                                      teardown),
  };
  return cmocka_run_group_tests_name("expr", tests, NULL, NULL);
}
