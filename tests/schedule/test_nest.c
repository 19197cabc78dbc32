/* Nests: text round trips, what the checker refuses, interpreter and counts on known nests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/intrinsic.h"
#include "tests/schedule/schedule_testing.h"

#include "tests/arena_fixture.h" /* after headers whose parameters have its names */

static neo_status try_parse(const char *text, neo_nest **out) {
  *out = neo_arena_alloc(&arena, sizeof(**out));
  neo_ctx_clear(&ctx);
  return neo_nest_parse(&ctx, &arena, text, *out);
}

static neo_nest *load(const char *name) {
  char path[512];
  snprintf(path, sizeof(path), NEO_SOURCE_DIR "/tests/data/nest/%s.nest", name);
  char *text = testing_read(path);
  neo_nest *nest;
  if (try_parse(text, &nest) != NEO_OK)
    fail_msg("%s: %s", name, ctx.message);
  neo_buf buf = {0};
  neo_nest_print(&buf, nest);
  assert_string_equal(buf.data, text);
  neo_buf_fini(&buf);
  free(text);
  return nest;
}

static void texts_round_trip(void **state) {
  (void)state;
  const char *names[] = {"scale",    "vector_tail", "matmul_reg", "two_launches",
                         "integers", "math",        "gather"};
  for (int i = 0; i < NEO_COUNT(names); i++)
    load(names[i]);
}

static void vector_tail_adds(void **state) {
  (void)state;
  neo_nest *nest = load("vector_tail");
  float a[37], b[37], c[37];
  for (int i = 0; i < 37; i++) {
    a[i] = (float)i;
    b[i] = 0.5f;
    c[i] = -1;
  }
  void *params[] = {a, b, c};
  assert_int_equal(neo_nest_interpret(&ctx, nest, params), NEO_OK);
  for (int i = 0; i < 37; i++)
    assert_true(c[i] == (float)i + 0.5f);
  assert_true(nest->flops == 5 * 8);
  assert_true(nest->bytes == 3 * 37 * 4);
}

static void matmul_multiplies(void **state) {
  (void)state;
  neo_nest *nest = load("matmul_reg");
  float a[84], b[112], c[192];
  for (int i = 0; i < 84; i++)
    a[i] = (float)(i % 5) - 1;
  for (int i = 0; i < 112; i++)
    b[i] = (float)(i % 7) - 2;
  void *params[] = {a, b, c};
  assert_int_equal(neo_nest_interpret(&ctx, nest, params), NEO_OK);
  for (int row = 0; row < 6; row++)
    for (int col = 0; col < 16; col++) {
      float sum = 0;
      for (int k = 0; k < 7; k++)
        sum += a[row * 7 + k] * b[col / 8 * 56 + k * 8 + col % 8];
      assert_true(c[row / 3 * 48 + row % 3 * 16 + col] == (sum > 0 ? sum : 0));
    }
  assert_true(nest->fmas == 6 * 16 * 7);
  assert_true(nest->flops == 6 * 16 * (2 * 7 + 1));
}

static void dot_products_sum_groups(void **state) {
  (void)state;
  neo_nest *nest = load("dot");
  uint8_t a[24];
  int8_t b[64];
  int32_t c[24];
  for (int i = 0; i < 24; i++)
    a[i] = (uint8_t)(250 - 7 * i);
  for (int i = 0; i < 64; i++)
    b[i] = (int8_t)(i * 5 - 128);
  void *params[] = {a, b, c};
  assert_int_equal(neo_nest_interpret(&ctx, nest, params), NEO_OK);
  for (int row = 0; row < 3; row++)
    for (int l = 0; l < 8; l++) {
      int32_t sum = 0;
      for (int k = 0; k < 8; k++)
        sum += a[row * 8 + k] * b[k / 4 * 32 + l * 4 + k % 4];
      assert_int_equal(c[row * 8 + l], sum);
    }
  neo_scalar wraps = {.i = INT32_MAX}, one[4] = {{.i = 1}, {.i = 0}, {.i = 0}, {.i = 0}};
  assert_int_equal(neo_intrinsic_apply(0, wraps, one, one).i, INT32_MIN);
}

static void launches_see_each_other(void **state) {
  (void)state;
  neo_nest *nest = load("two_launches");
  float a[60], out[12];
  for (int i = 0; i < 60; i++)
    a[i] = (float)(i % 9);
  void *params[] = {a, out};
  assert_int_equal(neo_nest_interpret(&ctx, nest, params), NEO_OK);
  for (int i = 0; i < 12; i++) {
    float sum = 0;
    for (int k = 0; k < 5; k++)
      sum += a[i * 5 + k] * a[i * 5 + k];
    assert_true(fabsf(out[i] - sqrtf(sum)) < 1e-6f);
  }
  assert_int_equal(nest->work_bytes, 64);
  assert_int_equal(nest->scratch_bytes, 64);
}

static const struct {
  const char *what, *text;
} refused[] = {
    {"no such intrinsic", "nest 1\nb0 param u8 4\nb1 param i8 4\nb2 param out i32 1\nlaunch i0 1\n"
                          "  b2[0] = intrinsic.99.i32.x1(b2[0], b0.x4[0], b1.x4[0])\n"},
    {"intrinsic of other types",
     "nest 1\nb0 param i8 4\nb1 param i8 4\nb2 param out i32 1\nlaunch i0 1\n"
     "  b2[0] = intrinsic.0.i32.x1(b2[0], b0.x4[0], b1.x4[0])\n"},
    {"intrinsic of other lanes",
     "nest 1\nb0 param u8 8\nb1 param i8 4\nb2 param out i32 1\nlaunch i0 1\n"
     "  b2[0] = intrinsic.0.i32.x1(b2[0], b0.x8[0], b1.x4[0])\n"},
    {"intrinsic without its third operand",
     "nest 1\nb0 param u8 8\nb1 param i8 4\nb2 param out i32 1\nlaunch i0 1\n"
     "  b2[0] = intrinsic.0.i32.x1(b2[0], b0.x4[0])\n"},
    {"intrinsic of a computed operand",
     "nest 1\nb0 param u8 8\nb1 param i8 4\nb2 param out i32 1\nlaunch i0 1\n"
     "  b2[0] = intrinsic.0.i32.x1(b2[0], neg(b0.x4[0]), b1.x4[0])\n"},
    {"past the end", "nest 1\nb0 param out f32 4\nlaunch i0 5\n  b0[i0] = f32:0\n"},
    {"before the start", "nest 1\nb0 param out f32 4\nlaunch i0 4\n  b0[i0-1] = f32:0\n"},
    {"vector past the end",
     "nest 1\nb0 param out f32 12\nlaunch i0 2\n  b0.x8[i0*8] = bcast.x8(f32:0)\n"},
    {"tail of the wrong branch", "nest 1\nb0 param out f32 12\nlaunch i0 2\n  if lt(i0, 1)\n    "
                                 "b0.x8a4[i0*8] = bcast.x8(f32:0)\n"
                                 "  else\n    b0.x8[i0*8] = bcast.x8(f32:0)\n"},
    {"store to an input", "nest 1\nb0 param f32 4\nlaunch i0 4\n  b0[i0] = f32:0\n"},
    {"unbound variable", "nest 1\nb0 param out f32 4\nlaunch i0 4\n  b0[i1] = f32:0\n"},
    {"bound twice", "nest 1\nb0 param out f32 4\nlaunch i0 4\n  for i0 4\n    b0[i0] = f32:0\n"},
    {"variable after its loop",
     "nest 1\nb0 param out f32 4\nlaunch i0 1\n  for i1 4\n    b0[i1] = f32:0\n  b0[i1] = f32:0\n"},
    {"other element type", "nest 1\nb0 param out f32 4\nlaunch i0 4\n  b0[i0] = f64:0\n"},
    {"register under a serial loop",
     "nest 1\nb0 param out f32 4\nb1 reg f32 4 x1\nlaunch i0 1\n  for i1 4\n    b1[i1] = f32:0\n"},
    {"register with other lanes",
     "nest 1\nb0 reg f32 8 x8\nlaunch i0 1\n  b0.x4[0] = bcast.x4(f32:0)\n"},
    {"register between its groups",
     "nest 1\nb0 reg f32 16 x8\nlaunch i0 1\n  b0.x8[4] = bcast.x8(f32:0)\n"},
    {"unrolled without constant extent",
     "nest 1\nb0 param out f32 8\nlaunch i0 4\n  for i1 min(4, i0+1) unroll\n    b0[i1] = f32:0\n"},
    {"unbounded indirect load", "nest 1\nb0 param i64 4\nb1 param out f32 4\nb2 param f32 "
                                "9\nlaunch i0 4\n  b1[i0] = b2[b0[i0]]\n"},
    {"big stack", "nest 1\nb0 stack f32 5000\nlaunch i0 1\n  b0[0] = f32:0\n"},
    {"empty body", "nest 1\nb0 param out f32 4\nlaunch i0 4\n"},
    {"wrong indentation", "nest 1\nb0 param out f32 4\nlaunch i0 4\n   b0[i0] = f32:0\n"},
    {"loop that never runs",
     "nest 1\nb0 param out f32 4\nlaunch i0 4\n  for i1 0\n    b0[i0] = f32:0\n"},
};

static void checker_refuses(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(refused); i++) {
    neo_nest *nest;
    if (try_parse(refused[i].text, &nest) != NEO_BAD_INPUT)
      fail_msg("accepted: %s", refused[i].what);
    assert_true(strlen(ctx.message) > 0);
  }
}

/* Facts of branches and of dynamic extents bound sums of variables. */
static void checker_accepts_tails(void **state) {
  (void)state;
  const char *text = "nest 1\n"
                     "b0 param out f32 53\n"
                     "launch i0 4\n"
                     "  for i1 min(4, floordiv(i0*-16+56, 4))\n"
                     "    if lt(i0*16+i1*4, 52)\n"
                     "      for i2 4\n"
                     "        b0[i0*16+i1*4+i2] = f32:1\n"
                     "    else\n"
                     "      b0[i0*16+i1*4] = f32:1\n";
  neo_nest *nest;
  if (try_parse(text, &nest) != NEO_OK)
    fail_msg("%s", ctx.message);
  float out[53];
  void *params[] = {out};
  memset(out, 0, sizeof(out));
  assert_int_equal(neo_nest_interpret(&ctx, nest, params), NEO_OK);
  for (int i = 0; i < 53; i++)
    assert_true(out[i] == 1);
  assert_true(nest->bytes == 53 * 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_round_trip),        cmocka_unit_test(vector_tail_adds),
      cmocka_unit_test(matmul_multiplies),       cmocka_unit_test(dot_products_sum_groups),
      cmocka_unit_test(launches_see_each_other), cmocka_unit_test(checker_refuses),
      cmocka_unit_test(checker_accepts_tails),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
