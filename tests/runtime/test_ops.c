/* Operators of the runtime against slow definitions of the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/ops.h"

typedef struct runner {
  neo_ctx ctx;
  int threads;
} runner;

static runner runner_of(int threads) {
  runner r = {.threads = threads};
  neo_ctx_init(&r.ctx, 1);
  return r;
}

/* Prepares and runs one operator over the given values; work memory comes and goes here. */
static neo_status run(runner *r, const char *name, const char *attributes, int n,
                      const neo_plan_value *values, void *const *data) {
  const neo_plan_value *pointers[4];
  for (int i = 0; i < n; i++)
    pointers[i] = &values[i];
  neo_plan_step step = {.kind = NEO_PLAN_RUNTIME,
                        .name = "step",
                        .n_args = (uint32_t)n,
                        .runtime = name,
                        .attributes = attributes};
  neo_op_call call;
  NEO_TRY(neo_op_prepare(&r->ctx, &step, pointers, &call));
  call.data = data;
  call.work = malloc(call.work_bytes * (size_t)r->threads + 1);
  NEO_TRY(neo_pool_create(&r->ctx, NEO_POOL_DEFAULT, r->threads, NULL, &call.pool));
  call.op->run(&call);
  neo_pool_destroy(call.pool);
  free(call.work);
  return NEO_OK;
}

static neo_plan_value value(int dtype, int rank, const int64_t *dim, bool output) {
  neo_plan_value v = {.name = "",
                      .dtype = (uint8_t)dtype,
                      .rank = (uint8_t)rank,
                      .storage = output ? NEO_STORE_OUTPUT : NEO_STORE_INPUT,
                      .bytes = (int64_t)neo_rt_dtype_size(dtype)};
  for (int i = 0; i < rank; i++) {
    v.dim[i] = dim[i];
    v.bytes *= dim[i];
  }
  return v;
}

enum { A = 3, N = 7, B = 4 };

/* Rank of element i in its slice: how many come before it. */
static int place_of(const float *x, int a, int i, int b, int sign) {
  int before = 0;
  float mine = x[(a * N + i) * B + b];
  for (int j = 0; j < N; j++) {
    float other = x[(a * N + j) * B + b];
    before += sign * (int)((other > mine) - (other < mine)) > 0 || (other == mine && j < i);
  }
  return before;
}

static void top_k_along_any_axis(void **state) {
  (void)state;
  neo_rng rng;
  neo_rng_init(&rng, 3);
  float x[A * N * B];
  for (int i = 0; i < A * N * B; i++)
    x[i] = (float)neo_rng_below(&rng, 9); /* with ties */
  for (int64_t k = 0; k <= N; k++)
    for (int largest = 0; largest < 2; largest++)
      for (int threads = 1; threads <= 2; threads++) {
        float out[A * N * B];
        int64_t index[A * N * B];
        const int64_t in_dim[] = {A, N, B}, out_dim[] = {A, k, B};
        neo_plan_value values[] = {value(NEO_RT_F32, 3, in_dim, false),
                                   value(NEO_RT_F32, 3, out_dim, true),
                                   value(NEO_RT_I64, 3, out_dim, true)};
        void *data[] = {x, out, index};
        char attributes[64];
        snprintf(attributes, sizeof(attributes), "k=%d axis=-2 largest=%d", (int)k, largest);
        runner runner_ = runner_of(threads);
        assert_int_equal(run(&runner_, "top_k", attributes, 3, values, data), NEO_OK);
        for (int a = 0; a < A; a++)
          for (int b = 0; b < B; b++)
            for (int i = 0; i < (int)k; i++) {
              int at = (a * (int)k + i) * B + b;
              assert_int_equal(place_of(x, a, (int)index[at], b, largest ? 1 : -1), i);
              assert_true(out[at] == x[(a * N + index[at]) * B + b]);
            }
      }
}

static void arg_max_and_min(void **state) {
  (void)state;
  const int64_t dim[] = {2, 4}, out_dim[] = {2};
  float x[8] = {1, 5, 5, 2, -1, -3, -3, NAN};
  int64_t index[2];
  int32_t small[2];
  runner runner_ = runner_of(1);
  neo_plan_value values[] = {value(NEO_RT_F32, 2, dim, false), value(NEO_RT_I64, 1, out_dim, true)};
  void *data[] = {x, index};
  assert_int_equal(run(&runner_, "arg_max", "axis=1", 2, values, data), NEO_OK);
  assert_true(index[0] == 1 && index[1] == 3); /* NaN is the greatest, as in numpy */
  assert_int_equal(run(&runner_, "arg_max", "axis=1 last=1", 2, values, data), NEO_OK);
  assert_int_equal(index[0], 2);
  values[1] = value(NEO_RT_I32, 1, out_dim, true);
  data[1] = small;
  assert_int_equal(run(&runner_, "arg_min", "axis=-1", 2, values, data), NEO_OK);
  assert_true(small[0] == 0 && small[1] == 1);
  int64_t big[8] = {INT64_MAX - 1, INT64_MAX,     0, 0,
                    INT64_MIN,     INT64_MIN + 1, 0, 0}; /* not exact in double */
  values[0] = value(NEO_RT_I64, 2, dim, false);
  data[0] = big;
  assert_int_equal(run(&runner_, "arg_max", "axis=1", 2, values, data), NEO_OK);
  assert_int_equal(small[0], 1);
  assert_int_equal(run(&runner_, "arg_min", "axis=1", 2, values, data), NEO_OK);
  assert_int_equal(small[1], 0);
}

/* ONNX's own examples (test_nonmaxsuppression_*). */
static void suppresses_overlapping_boxes(void **state) {
  (void)state;
  float boxes[24] = {0, 0,  1, 1,  0, 0.1f,  1, 1.1f,  0, -0.1f, 1, 0.9f,
                     0, 10, 1, 11, 0, 10.1f, 1, 11.1f, 0, 100,   1, 101};
  float flipped[24], centers[24];
  for (int i = 0; i < 6; i++) {
    const float *b = boxes + 4 * i;
    const float f[4] = {b[2], b[3], b[0], b[1]};
    const float c[4] = {(b[0] + b[2]) / 2, (b[1] + b[3]) / 2, b[2] - b[0], b[3] - b[1]};
    memcpy(flipped + 4 * i, f, sizeof(f));
    memcpy(centers + 4 * i, c, sizeof(c));
  }
  float scores[6] = {0.9f, 0.75f, 0.6f, 0.95f, 0.5f, 0.3f};
  const int64_t box_dim[] = {1, 6, 4}, score_dim[] = {1, 1, 6}, out_dim[] = {4, 3}, one[] = {1};
  static const struct {
    const char *attributes;
    int which, n, box[4];
  } rows[] = {
      {"max_output_boxes_per_class=3 iou_threshold=0.5 score_threshold=0 has_score_threshold=1",
       0,
       3,
       {3, 0, 5}},
      {"max_output_boxes_per_class=3 iou_threshold=0.5 score_threshold=0.4 has_score_threshold=1",
       0,
       2,
       {3, 0}},
      {"max_output_boxes_per_class=2 iou_threshold=0.5", 0, 2, {3, 0}},
      {"max_output_boxes_per_class=3 iou_threshold=0.5", 1, 3, {3, 0, 5}},
      {"max_output_boxes_per_class=3 iou_threshold=0.5 center_point_box=1", 2, 3, {3, 0, 5}},
      {"max_output_boxes_per_class=6 iou_threshold=1", 0, 6, {3, 0, 1, 2}},
      {"iou_threshold=0.5", 0, 0, {0}},
  };
  float *inputs[] = {boxes, flipped, centers};
  for (int r = 0; r < NEO_COUNT(rows); r++) {
    int64_t out[12], count = -7;
    neo_plan_value values[] = {
        value(NEO_RT_F32, 3, box_dim, false), value(NEO_RT_F32, 3, score_dim, false),
        value(NEO_RT_I64, 2, out_dim, true), value(NEO_RT_I64, 1, one, true)};
    void *data[] = {inputs[rows[r].which], scores, out, &count};
    runner runner_ = runner_of(1);
    assert_int_equal(run(&runner_, "non_max_suppression", rows[r].attributes, 4, values, data),
                     NEO_OK);
    assert_int_equal(count, rows[r].n);
    for (int i = 0; i < 4; i++) {
      bool used = i < rows[r].n;
      assert_int_equal(out[3 * i], used ? 0 : -1);
      assert_int_equal(out[3 * i + 2], used ? rows[r].box[i] : -1);
    }
  }
}

static void nonzero_lists_indices(void **state) {
  (void)state;
  const int64_t dim[] = {2, 3}, out_dim[] = {2, 4}, one[] = {1};
  uint8_t x[6] = {0, 1, 1, 1, 0, 0};
  int64_t out[8], count;
  const int64_t want[8] = {0, 0, 1, -1, 1, 2, 0, -1};
  neo_plan_value values[] = {value(NEO_RT_BOOL, 2, dim, false), value(NEO_RT_I64, 2, out_dim, true),
                             value(NEO_RT_I64, 1, one, true)};
  void *data[] = {x, out, &count};
  runner runner_ = runner_of(1);
  assert_int_equal(run(&runner_, "nonzero", "", 3, values, data), NEO_OK);
  assert_int_equal(count, 3);
  assert_memory_equal(out, want, sizeof(want));
}

static void scatters_rows_in_order(void **state) {
  (void)state;
  const int64_t dim[] = {3, 2}, m[] = {4}, update_dim[] = {4, 2};
  const int64_t rows[] = {2, 0, 2, 3}; /* the last is no row */
  const int32_t x[] = {1, 2, 3, 4, 5, 6}, updates[] = {10, 20, -7, 8, 30, 1, 99, 99};
  static const int32_t want[5][6] = {{-7, 8, 3, 4, 30, 1},
                                     {-6, 10, 3, 4, 45, 27},
                                     {-7, 16, 3, 4, 1500, 120},
                                     {1, 8, 3, 4, 30, 20},
                                     {-7, 2, 3, 4, 5, 1}};
  for (int how = 0; how < 5; how++) {
    int32_t out[6] = {0};
    neo_plan_value values[] = {value(NEO_RT_I32, 2, dim, false), value(NEO_RT_I64, 1, m, false),
                               value(NEO_RT_I32, 2, update_dim, false),
                               value(NEO_RT_I32, 2, dim, true)};
    void *data[] = {(void *)(uintptr_t)x, (void *)(uintptr_t)rows, (void *)(uintptr_t)updates, out};
    char attributes[32];
    snprintf(attributes, sizeof attributes, "reduction=%d", how);
    runner runner_ = runner_of(1);
    assert_int_equal(run(&runner_, "scatter_rows", attributes, 4, values, data), NEO_OK);
    assert_memory_equal(out, want[how], sizeof out);
  }
}

/* Two classes: the probability of the pair, as near as it stops. */
static void couples_pairs_of_classes(void **state) {
  const int64_t two[] = {2, 1}, out_two[] = {2, 2}, four[] = {1, 6}, out_four[] = {1, 4};
  float pairs[2] = {0.75f, 0.2f}, p[4];
  float many[6] = {0.9f, 0.9f, 0.9f, 0.5f, 0.5f, 0.5f};
  (void)state;
  neo_plan_value values[] = {value(NEO_RT_F32, 2, two, false), value(NEO_RT_F32, 2, out_two, true)};
  runner runner_ = runner_of(1);
  assert_int_equal(run(&runner_, "couple_pairs", "", 2, values, (void *[]){pairs, p}), NEO_OK);
  assert_true(fabsf(p[0] - 0.75f) < 0.01f && fabsf(p[0] + p[1] - 1) < 1e-6f);
  assert_true(fabsf(p[2] - 0.2f) < 0.01f && fabsf(p[2] + p[3] - 1) < 1e-6f);
  values[0] = value(NEO_RT_F32, 2, four, false);
  values[1] = value(NEO_RT_F32, 2, out_four, true);
  assert_int_equal(run(&runner_, "couple_pairs", "", 2, values, (void *[]){many, p}), NEO_OK);
  assert_true(p[0] > 0.7f && fabsf(p[1] - p[2]) < 0.01f && fabsf(p[2] - p[3]) < 0.01f);
  values[1] = value(NEO_RT_F32, 2, out_two, true);
  assert_int_equal(run(&runner_, "couple_pairs", "", 2, values, (void *[]){many, p}),
                   NEO_BAD_INPUT);
}

static void refused(const char *name, const char *attributes, int n, const neo_plan_value *values,
                    const char *word) {
  runner runner_ = runner_of(1);
  assert_int_not_equal(run(&runner_, name, attributes, n, values, NULL), NEO_OK);
  if (!strstr(runner_.ctx.message, word))
    fail_msg("'%s' does not say '%s'", runner_.ctx.message, word);
}

static void refuses_what_does_not_fit(void **state) {
  (void)state;
  const int64_t dim[] = {2, 4}, out_dim[] = {2, 2};
  neo_plan_value values[] = {value(NEO_RT_F32, 2, dim, false), value(NEO_RT_F32, 2, out_dim, true),
                             value(NEO_RT_I64, 2, out_dim, true)};
  refused("top_k", "k=5", 3, values, "k is 5");
  refused("top_k", "k=-1", 3, values, "k is -1");
  refused("top_k", "k=3", 3, values, "do not fit");
  refused("top_k", "k=2 axis=2", 3, values, "axis 2");
  refused("top_k", "", 3, values, "'k' is missing");
  refused("top_k", "k=x", 3, values, "not an integer");
  refused("top_k", "k=2 colour=1", 3, values, "'colour' is unknown");
  refused("top_k", "k=2 k=2", 3, values, "given twice");
  refused("top_k", "k", 3, values, "k=v");
  refused("top_k", "k=2", 2, values, "2 arguments");
  refused("sort_of", "k=2", 3, values, "no operator");
  values[1].storage = NEO_STORE_PARAM;
  refused("top_k", "k=2", 3, values, "not writable");
  values[1].storage = NEO_STORE_OUTPUT;
  values[0].bytes = 4;
  refused("top_k", "k=2", 3, values, "its shape needs");
  refused("arg_max", "axis=0", 2, values, "its shape needs");
  refused("nonzero", "", 2, values, "its shape needs");
  refused("non_max_suppression", "", 3, values, "boxes must be");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(top_k_along_any_axis),         cmocka_unit_test(arg_max_and_min),
      cmocka_unit_test(suppresses_overlapping_boxes), cmocka_unit_test(nonzero_lists_indices),
      cmocka_unit_test(refuses_what_does_not_fit),    cmocka_unit_test(scatters_rows_in_order),
      cmocka_unit_test(couples_pairs_of_classes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
