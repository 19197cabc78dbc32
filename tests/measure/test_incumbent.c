/* The local measurer's incumbent: what times are relative to, and what may become one. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "measure/measure.h"

static const char *const product = "te 1\n"
                                   "b0 in f32 [64,96]\n"
                                   "b1 const f32 [48,96]\n"
                                   "b2 tmp f32 [64,48]\n"
                                   "b3 out f32 [64,48]\n"
                                   "B0 b2[i0, i1] s[64,48] r[96] add f32:0\n"
                                   "  mul(b0[i0, i2], b1[i1, i2])\n"
                                   "B1 b3[i0, i1] s[64,48]\n"
                                   "  max(b2[i0, i1], f32:0)\n";

typedef struct fixture {
  neo_ctx ctx;
  neo_arena arena;
  neo_target target;
  neo_te te;
  neo_measurer *measurer;
  neo_space *space;
  neo_candidate best[4];
  int n_best;
} fixture;

static void must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), ctx->message);
}

static void open_all(fixture *f) {
  static const neo_layout row_major = {0};
  char key[33];
  memset(f, 0, sizeof *f);
  neo_ctx_init(&f->ctx, 1);
  neo_arena_init(&f->arena);
  must(&f->ctx, neo_target_find(&f->ctx, NULL, &f->target));
  must(&f->ctx, neo_te_parse(&f->ctx, &f->arena, product, &f->te));
  neo_te_key(&f->te, key);
  neo_space_options space = {.threads = 1, .accuracy = NEO_ACCURACY_EXACT};
  for (int b = 0; b < f->te.n_buffers; b++)
    space.fixed[b] = f->te.buffer[b].role == NEO_TE_CONST ? NULL : &row_major;
  must(&f->ctx, neo_space_build(&f->ctx, &f->te, &f->target, &space, &f->space));
  f->n_best = neo_space_analytic(f->space, 4, f->best);
  assert_true(f->n_best >= 2);
  neo_measure_options options = {.threads = 1,
                                 .board_program = NEO_BINARY_DIR "/bin/neo-board",
                                 .seed = 1,
                                 .timing = {.race_factor = 3, .max_total_ns = 5e6}};
  must(&f->ctx, neo_measurer_open(&f->ctx, "local", &f->target, &options, &f->measurer));
  must(&f->ctx, neo_measurer_task(&f->ctx, f->measurer, 0, &f->te, key));
}

static void close_all(fixture *f) {
  neo_measurer_close(f->measurer);
  neo_space_destroy(f->space);
  neo_arena_fini(&f->arena);
}

static void submit(fixture *f, int id) {
  neo_schedule schedule;
  neo_space_schedule(f->space, &f->best[id], &schedule);
  must(&f->ctx, neo_measurer_submit(&f->ctx, f->measurer, (uint64_t)id, 0, &schedule));
}

/* All pending results in the order in which they came. */
static int collect(fixture *f, neo_trial_result *out) {
  int n = 0;
  while (neo_measurer_pending(f->measurer) > 0) {
    bool got = false;
    must(&f->ctx, neo_measurer_poll(&f->ctx, f->measurer, 1000, &out[n], &got));
    n += got;
  }
  return n;
}

/* A second candidate leaves for the board before the caller has heard of the first: its ratio must
 * speak of the first all the same, and its time must be that ratio times the first's. */
static void test_times_follow_the_incumbent(void **state) {
  (void)state;
  fixture f;
  neo_trial_result result[4];
  neo_schedule naive;
  open_all(&f);
  neo_schedule_naive(&naive);
  must(&f.ctx, neo_measurer_incumbent(&f.ctx, f.measurer, 0, &naive, 1e9));
  for (int i = 0; i < f.n_best; i++)
    submit(&f, i);
  int n = collect(&f, result);
  double incumbent_ns = 1e9;
  assert_int_equal(n, f.n_best);
  for (int i = 0; i < n; i++) {
    const neo_trial_result *r = &result[i];
    if (r->kind == NEO_TRIAL_DUPLICATE)
      continue;
    assert_true(r->kind == NEO_TRIAL_OK || r->kind == NEO_TRIAL_SLOW);
    assert_true(r->ratio > 0);
    bool small = r->ratio < 1 && r->ratio >= 0.99; /* confirmed or a tie */
    if (!small || r->ns != incumbent_ns)
      assert_true(fabs(r->ns / (r->ratio * incumbent_ns) - 1) < 1e-12);
    if (r->kind == NEO_TRIAL_OK && r->ns < incumbent_ns)
      incumbent_ns = r->ns;
  }
  assert_true(result[0].ratio < 0.99 && result[0].ns < 1e9); /* the naive one is far slower */
  close_all(&f);
}

/* A slower schedule does not replace the incumbent, the same one neither. */
static void test_incumbent_never_gets_slower(void **state) {
  (void)state;
  fixture f;
  neo_trial_result result[4];
  neo_schedule naive, first;
  open_all(&f);
  neo_schedule_naive(&naive);
  neo_space_schedule(f.space, &f.best[0], &first);
  must(&f.ctx, neo_measurer_incumbent(&f.ctx, f.measurer, 0, &first, 1e6));
  must(&f.ctx, neo_measurer_incumbent(&f.ctx, f.measurer, 0, &naive, 2e6));
  submit(&f, 1);
  assert_int_equal(collect(&f, result), 1);
  if (result[0].kind == NEO_TRIAL_OK)
    assert_true(result[0].ratio > 0.1); /* against the naive one it would be far below */
  close_all(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_times_follow_the_incumbent),
      cmocka_unit_test(test_incumbent_never_gets_slower),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
