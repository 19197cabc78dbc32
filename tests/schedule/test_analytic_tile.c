/* What the analytic model knows of register tiles: pairs of tes that differ in one respect only,
 * and the same schedules over both. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schedule/schedule.h"

typedef struct pair {
  neo_ctx ctx;
  neo_arena arena;
  neo_target target;
  neo_space *space[2];
} pair;

static void open_space(pair *p, int side, const char *text, const char *layout) {
  neo_te *te = neo_arena_alloc(&p->arena, sizeof *te);
  neo_layout *lay = neo_arena_alloc(&p->arena, sizeof *lay);
  neo_space_options options = {.threads = 1, .max_params_growth = 4};
  assert_int_equal(neo_te_parse(&p->ctx, &p->arena, text, te), NEO_OK);
  for (int b = 0; b < te->n_buffers; b++) {
    if (te->buffer[b].role != NEO_TE_IN && te->buffer[b].role != NEO_TE_OUT)
      continue;
    assert_int_equal(neo_layout_parse(&p->ctx, layout, te->buffer[b].shape.rank, lay), NEO_OK);
    options.fixed[b] = lay;
  }
  if (neo_space_build(&p->ctx, te, &p->target, &options, &p->space[side]) != NEO_OK)
    fail_msg("%s", p->ctx.message);
}

static void open_pair(pair *p) {
  *p = (pair){0};
  neo_ctx_init(&p->ctx, 1);
  neo_arena_init(&p->arena);
  assert_int_equal(neo_target_find(&p->ctx, "znver4", &p->target), NEO_OK);
}

static void close_pair(pair *p) {
  neo_space_destroy(p->space[0]);
  neo_space_destroy(p->space[1]);
  neo_arena_fini(&p->arena);
}

static bool is_same(const neo_schedule *a, const neo_schedule *b) {
  neo_buf x = {0}, y = {0};
  neo_schedule_print(&x, a);
  neo_schedule_print(&y, b);
  bool same = strcmp(x.data, y.data) == 0;
  neo_buf_fini(&x);
  neo_buf_fini(&y);
  return same;
}

/* The largest ratio of predicted times, first over second, of schedules that are good for the
 * second and lower alike for both. */
static double largest_ratio(pair *p, bool (*want)(const neo_schedule *)) {
  neo_rng rng;
  neo_candidate there, here;
  neo_schedule schedule, other;
  double largest = 0;
  neo_rng_init(&rng, 1);
  assert_int_equal(neo_space_analytic(p->space[1], 1, &there), 1);
  double pick = neo_space_predict(p->space[1], &there);
  for (int i = 0; i < 4000; i++) {
    neo_space_sample(p->space[1], &rng, &there);
    neo_space_schedule(p->space[1], &there, &schedule);
    double ns = neo_space_predict(p->space[1], &there);
    if (ns > 1.5 * pick || !want(&schedule) || !neo_space_transfer(p->space[0], &schedule, &here))
      continue;
    neo_space_schedule(p->space[0], &here, &other);
    if (is_same(&schedule, &other))
      largest = fmax(largest, neo_space_predict(p->space[0], &here) / ns);
  }
  return largest;
}

static bool is_any(const neo_schedule *schedule) {
  (void)schedule;
  return true;
}

static void product(neo_buf *out, int reduce) {
  neo_buf_printf(out,
                 "te 1\nb0 in f32 [112,%d]\nb1 const f32 [%d,64]\nb2 out f32 [112,64]\n"
                 "B0 b2[i0, i1] s[112,64] r[%d] add f32:0\n  mul(b0[i0, i2], b1[i2, i1])\n",
                 reduce, reduce, reduce);
}

/* Rows of 4096 bytes share one set of the first-level cache, those of 4032 do not. */
static void rows_that_share_a_set_are_slow(void **state) {
  (void)state;
  pair p;
  neo_buf page = {0}, less = {0};
  open_pair(&p);
  product(&page, 1024);
  product(&less, 1008);
  open_space(&p, 0, page.data, "0,1");
  open_space(&p, 1, less.data, "0,1");
  double ratio = largest_ratio(&p, is_any) * 1008 / 1024;
  print_message("rows of a page: %.2f times as slow\n", ratio);
  assert_true(ratio > 1.5);
  neo_buf_fini(&page);
  neo_buf_fini(&less);
  close_pair(&p);
}

static bool is_peeled(const neo_schedule *schedule) {
  for (int i = 0; i < schedule->n; i++)
    if (schedule->instr[i].kind == NEO_INSTR_PEEL)
      return strcmp(schedule->instr[0].name, "direct") == 0;
  return false;
}

/* The same convolution with padding, which tiles at borders must select, and with guards that
 * exclude nothing. */
static void tiles_at_borders_are_slower(void **state) {
  (void)state;
  pair p;
  open_pair(&p);
  open_space(&p, 0,
             "te 1\nb0 in f32 [1,64,28,28]\nb1 const f32 [64,64,3,3]\nb2 out f32 [1,64,28,28]\n"
             "B0 b2[i0, i1, i2, i3] s[1,64,28,28] r[64,3,3] add f32:0\n  mul(b0[0, i4, i2+i5-1, "
             "i3+i6-1 | 0<=i2+i5-1<28, 0<=i3+i6-1<28 else 0], b1[i1, i4, i5, i6])\n",
             "0,2,3,1");
  open_space(&p, 1,
             "te 1\nb0 in f32 [1,64,30,30]\nb1 const f32 [64,64,3,3]\nb2 out f32 [1,64,28,28]\n"
             "B0 b2[i0, i1, i2, i3] s[1,64,28,28] r[64,3,3] add f32:0\n"
             "  mul(b0[0, i4, i2+i5, i3+i6 | 0<=i2+i5<30, 0<=i3+i6<30 else 0], b1[i1, i4, i5, "
             "i6])\n",
             "0,2,3,1");
  double ratio = largest_ratio(&p, is_peeled);
  print_message("peeled tiles with borders: %.2f times as slow\n", ratio);
  assert_true(ratio > 1.2);
  close_pair(&p);
}

static double pick_ns(pair *p, int side) {
  neo_candidate pick;
  assert_int_equal(neo_space_analytic(p->space[side], 1, &pick), 1);
  return neo_space_predict(p->space[side], &pick);
}

/* Rows of half a line that lie 1024 bytes apart were taken for 8 MB in one piece. */
static void rows_of_a_window_are_no_stream(void **state) {
  static const char *const text = "te 1\nb0 in f32 [262144,8]\nb1 out f32 [262144,8]\n"
                                  "B0 b1[i0, i1] s[262144,8]\n  add(b0[i0, i1], f32:1)\n";
  (void)state;
  pair p;
  open_pair(&p);
  open_space(&p, 0, text, "0,1~256");
  open_space(&p, 1, text, "0,1");
  double ratio = pick_ns(&p, 0) / pick_ns(&p, 1);
  print_message("rows of a window: %.2f times as slow\n", ratio);
  assert_true(ratio > 1.2);
  close_pair(&p);
}

/* The pick summed six channels at a time of blocks of four: each scalar was a load of its own. */
static void four_neighbours_are_one_load_on_arm64(void **state) {
  (void)state;
  pair p;
  neo_candidate pick;
  neo_schedule line;
  neo_buf text = {0};
  int64_t unroll = 0;
  neo_scan scan;
  open_pair(&p);
  assert_int_equal(neo_target_find(&p.ctx, "cortex-a72", &p.target), NEO_OK);
  open_space(&p, 0,
             "te 1\nb0 in f32 [2,96,12,12]\nb1 in f32 [2,16,12,12]\nb2 const f32 [16,96,1,1]\n"
             "b3 tmp f32 [2,16,12,12]\nb4 out f32 [2,16,12,12]\n"
             "B0 b3[i0, i1, i2, i3] s[2,16,12,12] r[96,1,1] add f32:0\n"
             "  mul(b0[i0, i4, i2, i3], b2[i1, i4, 0, 0])\n"
             "B1 b4[i0, i1, i2, i3] s[2,16,12,12]\n  add(b3[i0, i1, i2, i3], b1[i0, i1, i2, "
             "i3])\n",
             "0,1/4,2,3,1%4");
  assert_int_equal(neo_space_analytic(p.space[0], 1, &pick), 1);
  neo_space_schedule(p.space[0], &pick, &line);
  neo_schedule_print(&text, &line);
  print_message("%s\n", text.data);
  const char *split = strstr(text.data, "split B0.4 ");
  assert_non_null(split);
  neo_scan_init(&scan, split + strlen("split B0.4 "));
  assert_true(neo_scan_int(&scan, &unroll));
  assert_int_equal(unroll % 4, 0);
  neo_buf_fini(&text);
  close_pair(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_that_share_a_set_are_slow),
      cmocka_unit_test(tiles_at_borders_are_slower),
      cmocka_unit_test(rows_of_a_window_are_no_stream),
      cmocka_unit_test(four_neighbours_are_one_load_on_arm64),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
