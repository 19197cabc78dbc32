/* References: their quick nest computes what the te says, and one that does not is found out. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/parts.h"

static const char *const convolution =
    "te 1\n"
    "b0 in f32 [1,24,21,21]\n"
    "b1 const f32 [40,24,3,3]\n"
    "b2 const f32 [40]\n"
    "b3 tmp f32 [1,40,21,21]\n"
    "b4 out f32 [1,40,21,21]\n"
    "B0 b3[i0, i1, i2, i3] s[1,40,21,21] r[24,3,3] add f32:0\n"
    "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<21, 0<=i3+i6-1<21 else 0], b1[i1, i4, i5, i6])\n"
    "B1 b4[i0, i1, i2, i3] s[1,40,21,21]\n"
    "  max(add(b3[0, i1, i2, i3], b2[i1]), f32:0)\n";

static const char *const strided = "te 1\n"
                                   "b0 in f32 [1,8,23,23]\n"
                                   "b1 const f32 [6,8]\n"
                                   "b2 out f32 [1,6,12,12]\n"
                                   "B0 b2[i0, i1, i2, i3] s[1,6,12,12] r[8] add f32:0\n"
                                   "  mul(b0[0, i4, i2*2, i3*2], b1[i1, i4])\n";

static const char *const product = "te 1\n"
                                   "b0 in f32 [13,50]\n"
                                   "b1 const f32 [50,333]\n"
                                   "b2 out f32 [13,333]\n"
                                   "B0 b2[i0, i1] s[13,333] r[50] add f32:0\n"
                                   "  mul(b0[i0, i2], b1[i2, i1])\n";

typedef struct fixture {
  neo_ctx ctx;
  neo_arena arena;
  neo_target target;
  neo_te te, wide;
  neo_tensor tensor[NEO_TE_MAX_BUFFERS], want[NEO_TE_MAX_BUFFERS];
} fixture;

static void must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), ctx->message);
}

static void open_te(fixture *f, const char *text) {
  memset(f, 0, sizeof *f);
  neo_ctx_init(&f->ctx, 1);
  neo_arena_init(&f->arena);
  must(&f->ctx, neo_target_find(&f->ctx, NULL, &f->target));
  must(&f->ctx, neo_te_parse(&f->ctx, &f->arena, text, &f->te));
  must(&f->ctx, neo_te_widen(&f->ctx, &f->te, &f->arena, &f->wide));
  neo_tensor *all[NEO_TE_MAX_BUFFERS] = {0};
  for (int b = 0; b < f->te.n_buffers; b++) {
    const neo_te_buffer *buffer = &f->te.buffer[b];
    if (buffer->role == NEO_TE_TMP)
      continue;
    must(&f->ctx, neo_tensor_create(&f->ctx, NEO_F32, &buffer->shape, &f->tensor[b]));
    must(&f->ctx, neo_tensor_create(&f->ctx, NEO_F32, &buffer->shape, &f->want[b]));
    for (size_t i = 0; i < f->tensor[b].size / sizeof(float); i++)
      ((float *)f->tensor[b].data)[i] =
          buffer->role == NEO_TE_OUT ? NAN : (float)neo_rng_normal(&f->ctx.rng);
    memcpy(f->want[b].data, f->tensor[b].data, f->tensor[b].size);
    all[b] = &f->want[b];
  }
  must(&f->ctx, neo_te_interpret(&f->ctx, &f->wide, all));
}

static void close_te(fixture *f) {
  for (int b = 0; b < f->te.n_buffers; b++) {
    neo_tensor_free(&f->ctx, &f->tensor[b]);
    neo_tensor_free(&f->ctx, &f->want[b]);
  }
  neo_arena_fini(&f->arena);
}

/* Runs the schedule's nest, of each launch the first `part` indices if it is not 0. */
static void run(fixture *f, const neo_schedule *schedule, int64_t part) {
  neo_nest *nest = neo_arena_alloc(&f->arena, sizeof *nest);
  void *params[NEO_NEST_MAX_BUFFERS];
  int n = 0;
  must(&f->ctx, neo_schedule_lower(&f->ctx, &f->wide, schedule, &f->target, &f->arena, nest));
  for (int l = 0; part > 0 && l < nest->n_launches; l++)
    nest->launch[l].grid = part;
  for (int b = 0; b < f->te.n_buffers; b++)
    if (f->te.buffer[b].role != NEO_TE_TMP)
      params[n++] = f->tensor[b].data;
  assert_int_equal(n, nest->n_params);
  must(&f->ctx, neo_nest_interpret(&f->ctx, nest, params));
}

/* The first `part` of `parts` of each output are right, the rest is untouched. */
static void expect(const fixture *f, int64_t part, int64_t parts) {
  for (int b = 0; b < f->te.n_buffers; b++) {
    if (f->te.buffer[b].role != NEO_TE_OUT)
      continue;
    const float *got = f->tensor[b].data, *want = f->want[b].data;
    int64_t n = (int64_t)(f->tensor[b].size / sizeof(float));
    assert_int_equal(n % parts, 0);
    for (int64_t i = 0; i < n; i++) {
      bool made = i < n / parts * part;
      if (made ? !(fabsf(got[i] - want[i]) <= 2e-7f * fabsf(want[i]) + 1e-30f) : !isnan(got[i]))
        fail_msg("buffer %d element %lld: %g, %g expected", b, (long long)i, (double)got[i],
                 (double)want[i]);
    }
  }
}

static void test_quick_nests_compute_the_te(void **state) {
  (void)state;
  static const char *const tes[] = {convolution, strided, product};
  for (int t = 0; t < NEO_COUNT(tes); t++)
    for (int lanes = 2; lanes <= 8; lanes *= 2) {
      fixture f;
      neo_schedule schedule;
      open_te(&f, tes[t]);
      must(&f.ctx, neo_reference_quick(&f.ctx, &f.wide, lanes, &f.arena, &schedule));
      run(&f, &schedule, 0);
      expect(&f, 1, 1);
      close_te(&f);
    }
}

static void test_naive_nests_compute_parts(void **state) {
  (void)state;
  static const char *const tes[] = {convolution, strided, product};
  static const int64_t grids[] = {40, 6, 13};
  for (int t = 0; t < NEO_COUNT(tes); t++) {
    fixture f;
    neo_schedule schedule;
    int64_t grid = 0;
    open_te(&f, tes[t]);
    must(&f.ctx, neo_reference_naive(&f.ctx, &f.wide, &schedule, &grid));
    assert_int_equal(grid, grids[t]);
    run(&f, &schedule, 2);
    expect(&f, 2, grid);
    close_te(&f);
  }
}

/* Rows of a softmax are not row by row from one reduction: no quick nest, and no harm. */
static void test_other_forms_have_none(void **state) {
  (void)state;
  fixture f;
  neo_schedule schedule;
  open_te(&f, "te 1\n"
              "b0 in f32 [5]\n"
              "b1 out f32 [5]\n"
              "B0 b1[i0] s[5]\n"
              "  exp(b0[i0])\n");
  assert_int_equal(neo_reference_quick(&f.ctx, &f.wide, 8, &f.arena, &schedule), NEO_UNSUPPORTED);
  close_te(&f);
}

/* The first candidate of a convolution of more than QUICK_FLOPS, on a board that may tamper. */
static neo_trial_kind measure_one(const char *mode) {
  static const char *const large =
      "te 1\n"
      "b0 in f32 [1,64,14,14]\n"
      "b1 const f32 [64,64,3,3]\n"
      "b2 out f32 [1,64,14,14]\n"
      "B0 b2[i0, i1, i2, i3] s[1,64,14,14] r[64,3,3] add f32:0\n"
      "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<14, 0<=i3+i6-1<14 else 0], b1[i1, i4, i5, "
      "i6])\n";
  static const neo_layout row_major = {0};
  fixture f;
  char key[33];
  neo_measurer *measurer = NULL;
  neo_space *space = NULL;
  neo_candidate best;
  neo_schedule schedule;
  neo_trial_result result = {0};
  bool got = false;
  memset(&f, 0, sizeof f);
  neo_ctx_init(&f.ctx, 1);
  neo_arena_init(&f.arena);
  must(&f.ctx, neo_target_find(&f.ctx, NULL, &f.target));
  must(&f.ctx, neo_te_parse(&f.ctx, &f.arena, large, &f.te));
  neo_te_key(&f.te, key);
  neo_space_options options = {.threads = 1};
  for (int b = 0; b < f.te.n_buffers; b++)
    options.fixed[b] = f.te.buffer[b].role == NEO_TE_CONST ? NULL : &row_major;
  must(&f.ctx, neo_space_build(&f.ctx, &f.te, &f.target, &options, &space));
  assert_int_equal(neo_space_analytic(space, 1, &best), 1);
  neo_space_schedule(space, &best, &schedule);
  setenv("NEO_TAMPER", mode, 1);
  setenv("NEO_TAMPER_BOARD", NEO_BINARY_DIR "/bin/neo-board", 1);
  neo_measure_options measure = {.threads = 1,
                                 .seed = 1,
                                 .board_program = NEO_BINARY_DIR "/tests/tampering-board",
                                 .timing = {.max_total_ns = 1e6}};
  must(&f.ctx, neo_measurer_open(&f.ctx, "local", &f.target, &measure, &measurer));
  must(&f.ctx, neo_measurer_task(&f.ctx, measurer, 0, &f.te, key));
  must(&f.ctx, neo_measurer_submit(&f.ctx, measurer, 1, 0, &schedule));
  while (!got)
    must(&f.ctx, neo_measurer_poll(&f.ctx, measurer, 1000, &result, &got));
  neo_measurer_close(measurer);
  neo_space_destroy(space);
  neo_arena_fini(&f.arena);
  unsetenv("NEO_TAMPER");
  return result.kind;
}

/* Compared with the spoiled reference, an honest candidate would be wrong. */
static void test_a_wrong_quick_reference_is_not_used(void **state) {
  (void)state;
  assert_int_equal(measure_one("honest"), NEO_TRIAL_OK);
  assert_int_equal(measure_one("liar"), NEO_TRIAL_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quick_nests_compute_the_te),
      cmocka_unit_test(test_naive_nests_compute_parts),
      cmocka_unit_test(test_other_forms_have_none),
      cmocka_unit_test(test_a_wrong_quick_reference_is_not_used),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
