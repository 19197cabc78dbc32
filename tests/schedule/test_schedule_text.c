/* Schedule lines and layouts: round trips, refusals, packing in and out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/schedule.h"

#include <stdlib.h>
#include <string.h>

static neo_ctx ctx;
static neo_schedule schedule, again;

static int setup(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  return 0;
}

static void assert_line(const char *line, const char *expected) {
  neo_buf buf = {0};
  neo_ctx_clear(&ctx);
  if (neo_schedule_parse(&ctx, line, &schedule) != NEO_OK)
    fail_msg("%s\n%s", line, ctx.message);
  neo_schedule_print(&buf, &schedule);
  assert_string_equal(buf.data, expected);
  assert_int_equal(neo_schedule_parse(&ctx, buf.data, &again), NEO_OK);
  assert_memory_equal(&schedule, &again, sizeof(schedule));
  neo_buf_fini(&buf);
}

static void lines_round_trip(void **state) {
  (void)state;
  const char *lines[] = {
      "s1; alg direct",
      "s1; alg winograd m=4 r=3 points=0,1,-1",
      "s1; alg pad; lay b0 0,2,3,1; pack b1 0/16,2,3,1,0%16; lay b4 0,1,2,3",
      "s1; alg direct; lay b0 0,2,3,1~128; lay b1 0,1~9,2,3",
      "s1; alg pad; split B2.1 2 8; split B2.3 6; order B2 0 1.0 2 3.0 3.1 1.1 1.2; at B1 B2 4 reg",
      "s1; alg direct; inline B0; parallel B1 2; vector B1.2.1; unroll B1.0.0; prefetch b3 B1.2.0 "
      "4",
      "s1; alg direct; peel B0.1.0; tensorize B0.2.1 vpdpbusd; at B0 B1 1 stack; at B1 B2 0 work",
      "s1; choose nms_simple 3",
  };
  for (int i = 0; i < NEO_COUNT(lines); i++)
    assert_line(lines[i], lines[i]);
}

static void lines_become_canonical(void **state) {
  (void)state;
  assert_line("s1;alg  pad ;split B0.1   4; order B0 0.0 1 1.1;vector B0.2",
              "s1; alg pad; split B0.1 4; order B0 0 1.0 1.1; vector B0.2.0");
}

static void bad_lines_are_refused(void **state) {
  (void)state;
  const char *lines[] = {
      "",
      "s1",
      "s2; alg direct",
      "s1; split B0.1 4",
      "s1; alg direct; alg direct",
      "s1; alg direct; frobnicate B0",
      "s1; alg direct; split B0.1",
      "s1; alg direct; split B0.1 2 2 2 2",
      "s1; alg direct; split B0.1 0",
      "s1; alg direct; split B0.99 2",
      "s1; alg direct; split B64.0 2",
      "s1; alg direct; split B0.1 99999999999",
      "s1; alg direct; lay b0 0,0",
      "s1; alg direct; lay b0 0,2",
      "s1; alg direct; lay b0 0/8,1",
      "s1; alg direct; lay b0 0/8,1,0%4",
      "s1; alg direct; lay b0 0~0,1",
      "s1; alg direct; lay b0 0~,1",
      "s1; alg direct; lay b0 0/8~2,1,0%8",
      "s1; alg direct; at B0 B1 1 global",
      "s1; alg direct; order B0 -1",
      "s1; alg direct; vector B0.1.0 extra",
      "s1; alg direct;",
      "s1; alg a123456789012345678901234567890123456789012345678901234567890123456789",
  };
  for (int i = 0; i < NEO_COUNT(lines); i++) {
    neo_ctx_clear(&ctx);
    if (neo_schedule_parse(&ctx, lines[i], &schedule) != NEO_BAD_INPUT)
      fail_msg("accepted: %s", lines[i]);
    assert_true(strlen(ctx.message) > 0);
  }
}

static void layouts_of_a_line(void **state) {
  (void)state;
  neo_layout nhwc, plain;
  neo_buf buf = {0};
  assert_int_equal(neo_layout_parse(&ctx, "0,2,3,1", 4, &nhwc), NEO_OK);
  assert_int_equal(neo_layout_parse(&ctx, "0,1,2,3", 4, &plain), NEO_OK);
  assert_int_equal(plain.n, 0);
  neo_schedule_naive(&schedule);
  assert_null(neo_schedule_layout(&schedule, 0));
  neo_schedule_set_layout(&schedule, 0, &nhwc);
  neo_schedule_set_layout(&schedule, 2, &nhwc);
  assert_true(neo_layout_equal(neo_schedule_layout(&schedule, 0), &nhwc));
  neo_schedule_set_layout(&schedule, 2, &plain);
  assert_null(neo_schedule_layout(&schedule, 2));
  neo_te te;
  neo_arena arena;
  neo_arena_init(&arena);
  neo_te_init(&te, &arena);
  neo_shape shape = {4, {1, 8, 4, 4}};
  neo_te_add_buffer(&te, NEO_TE_IN, NEO_F32, &shape);
  neo_te_add_buffer(&te, NEO_TE_TMP, NEO_F32, &shape);
  neo_te_add_buffer(&te, NEO_TE_OUT, NEO_F32, &shape);
  neo_schedule_set_layout(&schedule, 1, &nhwc);
  neo_schedule_set_layout(&schedule, 2, &nhwc);
  neo_schedule_signature(&buf, &te, &schedule);
  assert_string_equal(buf.data, "b0=0,2,3,1 b2=0,2,3,1");
  neo_buf_fini(&buf);
  neo_arena_fini(&arena);
}

static void packing_goes_there_and_back(void **state) {
  (void)state;
  const char *texts[] = {"0,1,2",   "2,0,1",   "0,1/4,2,1%4", "1/4,0,2/3,1%4,2%3",
                         "0,1~7,2", "0,2,1~9", "1,0~3,2~5"};
  neo_shape shape = {3, {2, 6, 5}};
  neo_tensor from, to;
  assert_int_equal(neo_tensor_create(&ctx, NEO_I16, &shape, &from), NEO_OK);
  assert_int_equal(neo_tensor_create(&ctx, NEO_I16, &shape, &to), NEO_OK);
  for (int i = 0; i < 60; i++)
    neo_tensor_set_i64(&from, i, i + 1);
  int64_t sizes[] = {60, 60, 80, 96, 65, 87, 85};
  for (int i = 0; i < NEO_COUNT(texts); i++) {
    neo_layout layout;
    assert_int_equal(neo_layout_parse(&ctx, texts[i], 3, &layout), NEO_OK);
    int64_t n = neo_layout_elements(&layout, &shape), zeros = 0;
    assert_int_equal(n, sizes[i]);
    int16_t *packed = malloc((size_t)n * sizeof(*packed));
    memset(packed, 0xff, (size_t)n * sizeof(*packed));
    neo_layout_pack(&layout, &from, packed);
    for (int64_t k = 0; k < n; k++)
      zeros += packed[k] == 0;
    assert_int_equal(zeros, n - 60);
    neo_layout_unpack(&layout, packed, &to);
    assert_memory_equal(from.data, to.data, 120);
    free(packed);
  }
  neo_layout blocked;
  assert_int_equal(neo_layout_parse(&ctx, "0,1/4,2,1%4", 3, &blocked), NEO_OK);
  int16_t packed[80];
  neo_layout_pack(&blocked, &from, packed);
  assert_int_equal(packed[40 + 20 + 3 * 4 + 1], 1 * 30 + 5 * 5 + 3 + 1);
  neo_tensor_free(&ctx, &from);
  neo_tensor_free(&ctx, &to);
}

/* Rows longer than the table of offsets, and many short ones. */
static void long_rows_are_packed(void **state) {
  (void)state;
  static const neo_shape shapes[] = {{2, {3, 9001}}, {3, {700, 5, 3}}};
  static const char *const texts[] = {"1/16,0,1%16", "0/32,1,2,0%32"};
  for (int i = 0; i < NEO_COUNT(shapes); i++) {
    neo_tensor from, to;
    neo_layout layout;
    int64_t n = 0;
    assert_int_equal(neo_tensor_create(&ctx, NEO_F32, &shapes[i], &from), NEO_OK);
    assert_int_equal(neo_tensor_create(&ctx, NEO_F32, &shapes[i], &to), NEO_OK);
    assert_int_equal(neo_layout_parse(&ctx, texts[i], shapes[i].rank, &layout), NEO_OK);
    assert_true(neo_shape_elements(&shapes[i], &n));
    for (int64_t k = 0; k < n; k++)
      neo_tensor_set_f64(&from, k, (double)(k + 1));
    float *packed = malloc((size_t)neo_layout_elements(&layout, &shapes[i]) * sizeof *packed);
    neo_layout_pack(&layout, &from, packed);
    if (i == 0)
      assert_true(packed[(8999 / 16 * 3 + 2) * 16 + 8999 % 16] == 2 * 9001 + 8999 + 1);
    else
      assert_true(packed[((650 / 32 * 5 + 4) * 3 + 1) * 32 + 650 % 32] == 650 * 15 + 4 * 3 + 1 + 1);
    neo_layout_unpack(&layout, packed, &to);
    assert_memory_equal(from.data, to.data, from.size);
    free(packed);
    neo_tensor_free(&ctx, &from);
    neo_tensor_free(&ctx, &to);
  }
}

/* Parts of a value lie where the whole has them. */
static void windows_of_a_layout(void **state) {
  (void)state;
  static const char *const whole[] = {"0,1,2,3", "0,2,3,1", "0,1~20,2,3", "3,2,1,0"};
  static const char *const wanted[] = {"0,1~12,2,3~5", "0,2,3~5,1~12", "0,1~20,2,3~5",
                                       "3,2,1~12,0"};
  neo_shape shape = {4, {2, 12, 3, 5}}, part = {4, {2, 4, 3, 2}}, rows = {4, {1, 4, 3, 5}};
  for (int i = 0; i < NEO_COUNT(whole); i++) {
    neo_layout layout, window;
    neo_buf text = {0};
    assert_int_equal(neo_layout_parse(&ctx, whole[i], 4, &layout), NEO_OK);
    neo_layout_window(&layout, &shape, &part, &window);
    neo_layout_print(&text, &window, 4);
    assert_string_equal(text.data, wanted[i]);
    assert_true(neo_layout_fits(&window, &part));
    int64_t first[4] = {0, 5, 0, 1};
    for (int k = 0; k < 48; k++) {
      int64_t at[4] = {k / 24, k / 6 % 4, k / 2 % 3, k % 2}, in_whole[4];
      for (int d = 0; d < 4; d++)
        in_whole[d] = first[d] + at[d];
      assert_int_equal(neo_layout_place(&layout, &shape, first) +
                           neo_layout_place(&window, &part, at),
                       neo_layout_place(&layout, &shape, in_whole));
    }
    neo_buf_fini(&text);
  }
  neo_layout plain = {0}, window;
  neo_layout_window(&plain, &shape, &rows, &window);
  assert_int_equal(window.n, 0); /* one piece of the whole */
  assert_int_equal(neo_layout_parse(&ctx, "0,1~3,2,3", 4, &window), NEO_OK);
  assert_false(neo_layout_fits(&window, &part));
}

/* Offsets agree with where pack puts the element. */
static void offsets_agree_with_packing(void **state) {
  (void)state;
  neo_arena arena;
  neo_arena_init(&arena);
  neo_shape shape = {3, {2, 6, 5}};
  neo_layout layout;
  assert_int_equal(neo_layout_parse(&ctx, "1/4,0,2/3,1%4,2%3", 3, &layout), NEO_OK);
  neo_tensor t;
  assert_int_equal(neo_tensor_create(&ctx, NEO_I16, &shape, &t), NEO_OK);
  for (int i = 0; i < 60; i++)
    neo_tensor_set_i64(&t, i, i + 1);
  int16_t packed[96];
  neo_layout_pack(&layout, &t, packed);
  for (int i = 0; i < 60; i++) {
    const neo_expr *index[3] = {neo_expr_index(&arena, i / 30), neo_expr_index(&arena, i / 5 % 6),
                                neo_expr_index(&arena, i % 5)};
    int64_t offset;
    assert_true(
        neo_expr_is_const(neo_layout_offset(&arena, &layout, &shape, index, NULL, 0), &offset));
    assert_int_equal(packed[offset], i + 1);
  }
  neo_tensor_free(&ctx, &t);
  neo_arena_fini(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_round_trip),
      cmocka_unit_test(lines_become_canonical),
      cmocka_unit_test(bad_lines_are_refused),
      cmocka_unit_test(layouts_of_a_line),
      cmocka_unit_test(packing_goes_there_and_back),
      cmocka_unit_test(long_rows_are_packed),
      cmocka_unit_test(windows_of_a_layout),
      cmocka_unit_test(offsets_agree_with_packing),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
