/* tests/schedule/test_group.c: schedules for GPUs: work-items, shared copies and barriers, run by
 * the interpreter, which also catches work-items that race; and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/schedule/lower_cases.h"
#include "tests/schedule/schedule_testing.h"

static const char gemm[] = "te 1\n"
                           "b0 in f32 [24,20]\n"
                           "b1 const f32 [20,32]\n"
                           "b2 const f32 [32]\n"
                           "b3 tmp f32 [24,32]\n"
                           "b4 out f32 [24,32]\n"
                           "B0 b3[i0, i1] s[24,32] r[20] add f32:0\n"
                           "  mul(b0[i0, i2], b1[i2, i1])\n"
                           "B1 b4[i0, i1] s[24,32]\n"
                           "  max(add(b3[i0, i1], b2[i1]), f32:0)\n";

static const char conv[] =
    "te 1\n"
    "b0 in f32 [1,5,8,12]\n"
    "b1 const f32 [16,5,3,3]\n"
    "b2 tmp f32 [1,16,8,12]\n"
    "b3 out f32 [1,16,8,12]\n"
    "B0 b2[i0, i1, i2, i3] s[1,16,8,12] r[5,3,3] add f32:0\n"
    "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<8, 0<=i3+i6-1<12 else 0], b1[i1, i4, i5, i6])\n"
    "B1 b3[i0, i1, i2, i3] s[1,16,8,12]\n"
    "  max(b2[0, i1, i2, i3], f32:0)\n";

static const char map[] = "te 1\n"
                          "b0 in f32 [5,37]\n"
                          "b1 out f32 [5,37]\n"
                          "B0 b1[i0, i1] s[5,37]\n"
                          "  exp(b0[i0, i1])\n";

/* A copy of a copy: elements that other work-items have copied are copied once more. */
static const char chain[] = "te 1\n"
                            "b0 in f32 [8,16]\n"
                            "b1 tmp f32 [8,16]\n"
                            "b2 tmp f32 [8,16]\n"
                            "b3 out f32 [8,16]\n"
                            "B0 b1[i0, i1] s[8,16]\n"
                            "  mul(b0[i0, i1], f32:2)\n"
                            "B1 b2[i0, i1] s[8,16]\n"
                            "  add(b1[i0, -i1+15], f32:1)\n"
                            "B2 b3[i0, i1] s[8,16]\n"
                            "  max(b2[i0, -i1+15], f32:0)\n";

#define TILE                                                                                       \
  "split B3.0 4 2; split B3.1 4 4; order B3 0.0 1.0 0.1 1.1 0.2 1.2; parallel B3 2; group B3 2; "  \
  "vector B3.1.2; at B2 B3 4 reg; vector B2.1.1; "

static void computes(void **state) {
  (void)state;
  static const char *const gemms[] = {
      /* tails in the grid and in the group */
      "s1; alg direct; split B1.0 5; split B1.1 7 2; order B1 0.0 1.0 0.1 1.1 1.2; parallel B1 2; "
      "group B1 2; at B0 B1 4 reg",
      /* both factors shared, the long axis in blocks that do or do not divide */
      "s1; alg stage; " TILE "split B2.1 4; split B2.2 5; order B2 2.0 2.1 0 1.0 1.1; "
      "at B0 B2 1 shared; at B1 B2 1 shared",
      "s1; alg stage; " TILE "split B2.1 4; split B2.2 8; order B2 2.0 2.1 0 1.0 1.1; "
      "at B0 B2 1 shared; at B1 B2 1 shared",
      /* copied in vectors; only one of them shared, the other a launch of its own */
      "s1; alg stage; " TILE "split B2.1 4; split B2.2 4; order B2 2.0 2.1 0 1.0 1.1; "
      "split B0.1 4; vector B0.1.1; at B0 B2 1 shared; parallel B1 1; group B1 1",
      /* the reduction is the launch itself */
      "s1; alg stage; split B2.0 8; split B2.1 8; order B2 0.0 1.0 0.1 1.1 2; parallel B2 2; "
      "group B2 2; at B0 B2 4 shared; at B1 B2 4 shared; parallel B3 1; group B3 1",
  };
  static const char *const convs[] = {
      "s1; alg stage; split B3.1 4 2; split B3.3 6; order B3 0 2 1.0 3.0 1.1 3.1 1.2; "
      "parallel B3 4; group B3 2; split B2.4 2; order B2 4.0 5 6 4.1 0 2 3 1; at B2 B3 6 reg; "
      "at B0 B2 1 shared; at B1 B2 1 shared",
      "s1; alg stage; split B3.1 4 2; split B3.3 6; order B3 0 2 1.0 3.0 1.1 3.1 1.2; "
      "parallel B3 4; group B3 2; order B2 4 5 6 0 2 3 1; at B2 B3 6 reg; at B0 B2 2 shared; "
      "at B1 B2 3 shared",
  };
  static const char *const maps[] = {
      "s1; alg direct; split B0.1 8 2; order B0 0 1.0 1.1 1.2; parallel B0 2; group B0 1; "
      "vector B0.1.2",
      "s1; alg direct; parallel B0 0; group B0 2",
  };
  static const char *const chains[] = {
      "s1; alg direct; order B2 0 1; parallel B2 1; group B2 1; at B0 B2 2 shared; "
      "at B1 B2 2 shared",
  };
  schedule_testing t;
  schedule_testing_begin(&t, chain, 4);
  for (int k = 0; k < NEO_COUNT(chains); k++)
    schedule_testing_check(&t, chains[k], 1e-5);
  schedule_testing_end(&t);
  schedule_testing_begin(&t, gemm, 1);
  for (int k = 0; k < NEO_COUNT(gemms); k++)
    schedule_testing_check(&t, gemms[k], 1e-5);
  schedule_testing_end(&t);
  schedule_testing_begin(&t, conv, 2);
  for (int k = 0; k < NEO_COUNT(convs); k++)
    schedule_testing_check(&t, convs[k], 1e-5);
  schedule_testing_end(&t);
  schedule_testing_begin(&t, map, 3);
  for (int k = 0; k < NEO_COUNT(maps); k++)
    schedule_testing_check(&t, maps[k], 1e-5);
  schedule_testing_end(&t);
}

static const char pool[] = "te 1\n"
                           "b0 in f32 [2,3,5,9]\n"
                           "b1 out f32 [2,3]\n"
                           "B0 b1[i0, i1] s[2,3] r[5,9] add f32:0\n"
                           "  b0[i0, i1, i2, i3]\n";

static const char total[] = "te 1\n"
                            "b0 in f32 [100]\n"
                            "b1 tmp f32 []\n"
                            "b2 out f32 [100]\n"
                            "B0 b1[] s[] r[100] add f32:0\n"
                            "  b0[i0]\n"
                            "B1 b2[i0] s[100]\n"
                            "  mul(b0[i0], b1[])\n";

static const char gemv[] = "te 1\n"
                           "b0 in f32 [1,40]\n"
                           "b1 const f32 [12,40]\n"
                           "b2 const f32 [12]\n"
                           "b3 tmp f32 [1,12]\n"
                           "b4 out f32 [1,12]\n"
                           "B0 b3[i0, i1] s[1,12] r[40] add f32:0\n"
                           "  mul(b0[0, i2], b1[i1, i2])\n"
                           "B1 b4[i0, i1] s[1,12]\n"
                           "  max(add(b3[0, i1], b2[i1]), f32:0)\n";

#define SOFTMAX                                                                                    \
  "parallel B3 1; group B3 0 16; at B0 B3 1 shared; at B1 B3 1 shared; at B2 B3 1 shared"

/* Reductions whose parts are of several work-items. */
static void reduces_together(void **state) {
  (void)state;
  static const struct {
    const char *te, *line;
  } rows[] = {
      /* parts that do not divide the row, more parts than work-items, and than elements */
      {te_softmax, "s1; alg direct; split B0.1 8; split B2.1 16; " SOFTMAX},
      {te_softmax, "s1; alg direct; split B0.1 32; split B2.1 64; " SOFTMAX},
      {te_softmax,
       "s1; alg direct; split B0.1 2 4; unroll B0.1.1; split B2.1 3 8; unroll B2.1.1; " SOFTMAX},
      /* several rows of a group, vectors of the last block */
      {te_softmax,
       "s1; alg direct; split B3.0 3; order B3 0.0 0.1 1; split B0.1 4; split B2.1 8; " SOFTMAX},
      {te_softmax,
       "s1; alg direct; split B3.0 2; split B3.1 4; order B3 0.0 0.1 1.0 1.1; vector B3.1.1; "
       "split B0.1 4; split B2.1 4; " SOFTMAX},
      /* the reduction is the launch */
      {pool, "s1; alg direct; split B0.3 4; parallel B0 1; group B0 0 8"},
      {pool, "s1; alg direct; split B0.3 8; parallel B0 2; group B0 0 8"},
      {pool, "s1; alg direct; split B0.2 2; order B0 0 1 3 2.0 2.1; parallel B0 1; group B0 0 64"},
      {pool, "s1; alg direct; lay b1 1,0; split B0.3 16; parallel B0 0; group B0 0 32"},
      {total, "s1; alg direct; split B0.0 32; parallel B1 0; group B1 0 32; at B0 B1 0 shared"},
      {total, "s1; alg direct; split B0.0 128; parallel B1 0; group B1 0 50; at B0 B1 0 shared"},
      {gemv, "s1; alg direct; split B1.1 4; order B1 0 1.0 1.1; split B0.2 16; parallel B1 2; "
             "group B1 0 64; at B0 B1 2 shared"},
      {gemv, "s1; alg direct; split B1.1 6; order B1 0 1.0 1.1; split B0.2 2 4; unroll B0.2.1; "
             "parallel B1 2; group B1 0 16; at B0 B1 2 shared"},
  };
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    schedule_testing t;
    schedule_testing_begin(&t, rows[k].te, (uint64_t)k);
    schedule_testing_check(&t, rows[k].line, 1e-5);
    schedule_testing_end(&t);
  }
}

static void refuses(void **state) {
  (void)state;
  static const struct {
    const char *te, *line, *why;
  } rows[] = {
      {gemm, "s1; alg direct; order B1 0 1; group B1 3", "more loops than the block has"},
      {gemm, "s1; alg direct; group B0 3", "a reduce loop is among the outer 3"},
      {gemm,
       "s1; alg stage; split B3.0 8; order B3 0.0 0.1 1; parallel B3 1; group B3 1; "
       "at B2 B3 3 reg; at B0 B2 0 shared",
       "inside a loop of one work-item"},
      {gemm, "s1; alg stage; parallel B3 1; at B2 B3 1 stack; at B0 B2 0 shared", "no group"},
      {gemm,
       "s1; alg stage; parallel B3 1; group B3 1; order B2 0 1 2; at B2 B3 2 stack; "
       "at B0 B2 1 shared",
       "shared inside a loop of one work-item"},
      /* 5 does not divide 24: not all work-items of the last group would reach the barrier */
      {gemm,
       "s1; alg stage; split B3.0 5 2; order B3 0.0 0.1 1 0.2; parallel B3 1; group B3 2; "
       "at B2 B3 3 reg; order B2 2 0 1; at B0 B2 1 shared",
       "not all work-items reach"},
      /* what work-items copy together is not computed by one of them */
      {chain,
       "s1; alg direct; order B2 0 1; parallel B2 1; group B2 1; at B0 B1 0 stack; "
       "at B1 B2 2 shared",
       "computed by work-items in turn"},
      {conv, "s1; alg direct; group B1 4", "1536 work-items, 1024 at"},
      {te_softmax,
       "s1; alg direct; split B0.1 8; split B2.1 8; order B2 0 1.0 1.1; parallel B3 1; "
       "group B3 1 16; at B0 B3 2 shared",
       "either loops of the group, or how many"},
      {te_softmax, "s1; alg direct; split B0.1 6; split B2.1 8; " SOFTMAX, "a power of two"},
      {te_softmax, "s1; alg direct; split B2.1 8; " SOFTMAX, "a power of two"},
      {te_softmax, "s1; alg direct; split B0.1 8; unroll B0.1.1; split B2.1 8; " SOFTMAX,
       "a power of two"},
      {pool, "s1; alg direct; split B0.3 4; order B0 0 2 3.0 3.1 1; parallel B0 1; group B0 0 8",
       "a power of two"},
      {te_softmax,
       "s1; alg direct; split B0.1 8; split B2.1 8; parallel B3 1; group B3 0 16; "
       "at B0 B3 1 shared; at B1 B3 1 stack; at B2 B3 1 shared",
       "computed by work-items in turn"},
      {gemv,
       "s1; alg direct; split B0.2 8; split B1.1 5; order B1 0 1.0 1.1; parallel B1 2; "
       "group B1 0 16; at B0 B1 1 shared",
       "does not fit"},
  };
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    schedule_testing t;
    schedule_testing_begin(&t, rows[k].te, 1);
    neo_schedule line;
    neo_nest *nest = neo_arena_alloc(&t.arena, sizeof(*nest));
    neo_target target;
    assert_int_equal(neo_target_find(&t.ctx, "opencl", &target), NEO_OK);
    assert_int_equal(neo_schedule_parse(&t.ctx, rows[k].line, &line), NEO_OK);
    if (neo_schedule_lower(&t.ctx, t.te, &line, &target, &t.arena, nest) != NEO_BAD_INPUT)
      fail_msg("%d lowers", k);
    if (!strstr(t.ctx.message, rows[k].why))
      fail_msg("%d: '%s' is not in: %s", k, rows[k].why, t.ctx.message);
    schedule_testing_end(&t);
  }
}

static void lines_round_trip(void **state) {
  (void)state;
  static const char line[] = "s1; alg stage; split B3.0 4 2; order B3 0.0 0.1 0.2 1; "
                             "parallel B3 1; group B3 1; at B2 B3 2 reg; at B0 B2 1 shared";
  neo_ctx ctx;
  neo_schedule schedule;
  neo_buf text = {0};
  neo_ctx_init(&ctx, 1);
  assert_int_equal(neo_schedule_parse(&ctx, line, &schedule), NEO_OK);
  neo_schedule_print(&text, &schedule);
  assert_string_equal(text.data, line);
  neo_buf_fini(&text);
}

/* ---- nests ----------------------------------------------------------------------------------------- */

/* Each group of 4 reverses its 4 elements through shared memory. */
#define REVERSE(barrier)                                                                           \
  "nest 1\nb0 param f32 12\nb1 param out f32 12\nb2 shared f32 4\nlaunch i0 3 lanes i1 4\n"        \
  "  b2[i1] = b0[i0*4+i1]\n" barrier "  b1[i0*4+i1] = b2[-i1+3]\n"

static neo_status parse(neo_ctx *ctx, neo_arena *arena, const char *text, neo_nest **out) {
  *out = neo_arena_alloc(arena, sizeof(**out));
  neo_ctx_init(ctx, 1);
  return neo_nest_parse(ctx, arena, text, *out);
}

static void races_are_caught(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_arena arena;
  neo_nest *nest;
  neo_buf text = {0};
  float in[12], out[12] = {0};
  void *params[] = {in, out};
  for (int i = 0; i < 12; i++)
    in[i] = (float)i;
  neo_arena_init(&arena);
  assert_int_equal(parse(&ctx, &arena, REVERSE("  barrier\n"), &nest), NEO_OK);
  neo_nest_print(&text, nest);
  assert_string_equal(text.data, REVERSE("  barrier\n"));
  assert_int_equal(neo_nest_interpret(&ctx, nest, params), NEO_OK);
  for (int i = 0; i < 12; i++)
    assert_true(out[i] == (float)(i / 4 * 4 + 3 - i % 4));
  assert_int_equal(parse(&ctx, &arena, REVERSE(""), &nest), NEO_OK);
  assert_int_equal(neo_nest_interpret(&ctx, nest, params), NEO_BAD_INPUT);
  assert_non_null(strstr(ctx.message, "race"));
  neo_buf_fini(&text);
  neo_arena_fini(&arena);
}

static void divergent_barriers_are_refused(void **state) {
  (void)state;
#define HEAD "nest 1\nb0 param out f32 64\nlaunch i0 4 lanes i1 8\n"
  static const char *const bad[] = {
      HEAD "  if lt(i1, 4)\n    barrier\n",
      HEAD "  let i2 = floordiv(i1, 2)\n    for i3 i2+1\n      barrier\n",
      HEAD "  if lt(i0, 2)\n    b0[0] = f32:0\n  else\n    if lt(i1, 3)\n      barrier\n",
      "nest 1\nb0 param out f32 64\nb1 shared f32 99999\nlaunch i0 4\n  b0[i0] = f32:0\n",
      "nest 1\nb0 param out f32 64\nlaunch i0 4 lanes i1 2000\n  b0[i0] = f32:0\n",
      "nest 1\nb0 param out f32 64\nlaunch i0 4 lanes i0 8\n  b0[i0] = f32:0\n",
  };
  static const char *const good[] = {
      HEAD "  if lt(i0, 2)\n    barrier\n  for i2 i0+1\n    barrier\n    b0[i0*8+i1] = f32:1\n",
  };
  for (int k = 0; k < NEO_COUNT(bad) + NEO_COUNT(good); k++) {
    neo_ctx ctx;
    neo_arena arena;
    neo_nest *nest;
    bool is_bad = k < NEO_COUNT(bad);
    neo_arena_init(&arena);
    const char *text = is_bad ? bad[k] : good[k - NEO_COUNT(bad)];
    if ((parse(&ctx, &arena, text, &nest) == NEO_OK) == is_bad)
      fail_msg("%s\n%s", ctx.message, text);
    neo_arena_fini(&arena);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(computes),         cmocka_unit_test(reduces_together),
      cmocka_unit_test(refuses),          cmocka_unit_test(lines_round_trip),
      cmocka_unit_test(races_are_caught), cmocka_unit_test(divergent_barriers_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
