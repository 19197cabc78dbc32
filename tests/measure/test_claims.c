/* Claims of the local measurer: what is timed a second time, against what, and what counts then.
 * The board is a scripted one: candidates are built, run and verified, but their ratios are made
 * up; its log tells which jobs there were. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "measure/measure.h"
#include "schedule/algorithm.h"

enum { CANDIDATES = 64, JOBS = 16 };

static const char *const product = "te 1\n"
                                   "b0 in f32 [64,96]\n"
                                   "b1 const f32 [48,96]\n"
                                   "b2 tmp f32 [64,48]\n"
                                   "b3 out f32 [64,48]\n"
                                   "B0 b2[i0, i1] s[64,48] r[96] add f32:0\n"
                                   "  mul(b0[i0, i2], b1[i1, i2])\n"
                                   "B1 b3[i0, i1] s[64,48]\n"
                                   "  max(b2[i0, i1], f32:0)\n";

static const char *const convolution =
    "te 1\n"
    "b0 in f32 [1,32,14,14]\n"
    "b1 const f32 [32,32,3,3]\n"
    "b2 tmp f32 [1,32,14,14]\n"
    "b3 out f32 [1,32,14,14]\n"
    "B0 b2[i0, i1, i2, i3] s[1,32,14,14] r[32,3,3] add f32:0\n"
    "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<14, 0<=i3+i6-1<14 else 0], b1[i1, i4, i5, i6])\n"
    "B1 b3[i0, i1, i2, i3] s[1,32,14,14]\n"
    "  max(b2[0, i1, i2, i3], f32:0)\n";

typedef struct job {
  char kernel[40], incumbent[40];
  int cases;
} job;

typedef struct fixture {
  neo_ctx ctx;
  neo_arena arena;
  neo_te te;
  neo_space *space;
  neo_candidate best[CANDIDATES];
  int n_best, next;
  neo_measurer *measurer;
  char dir[256], log[300];
  job job[JOBS];
  int n_jobs;
} fixture;

static void must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), ctx->message);
}

/* The first known schedule is the naive one, at 1e6 ns: it vets without the script. */
static void open_all(fixture *f, const char *text, const char *script) {
  static const neo_layout row_major = {0};
  char key[33];
  neo_target target;
  neo_schedule naive;
  memset(f, 0, sizeof *f);
  neo_ctx_init(&f->ctx, 1);
  neo_arena_init(&f->arena);
  must(&f->ctx, neo_target_find(&f->ctx, NULL, &target));
  must(&f->ctx, neo_te_parse(&f->ctx, &f->arena, text, &f->te));
  neo_te_key(&f->te, key);
  neo_space_options space = {
      .threads = 1, .accuracy = NEO_ACCURACY_DEFAULT, .max_params_growth = 8};
  for (int b = 0; b < f->te.n_buffers; b++) /* convolutions choose their layouts */
    space.fixed[b] =
        f->te.buffer[b].shape.rank == 2 && f->te.buffer[b].role != NEO_TE_CONST ? &row_major : NULL;
  must(&f->ctx, neo_space_build(&f->ctx, &f->te, &target, &space, &f->space));
  f->n_best = neo_space_analytic(f->space, CANDIDATES, f->best);
  must(&f->ctx, neo_dir_temp(&f->ctx, NULL, f->dir));
  snprintf(f->log, sizeof f->log, "%s/log", f->dir);
  setenv("NEO_TAMPER", "script", 1);
  setenv("NEO_TAMPER_BOARD", NEO_BINARY_DIR "/bin/neo-board", 1);
  setenv("NEO_TAMPER_SCRIPT", script, 1);
  setenv("NEO_TAMPER_LOG", f->log, 1);
  neo_measure_options options = {.threads = 1,
                                 .board_program = NEO_BINARY_DIR "/tests/tampering-board",
                                 .seed = 1,
                                 .timing = {.race_factor = 1e6, .max_total_ns = 1e6}};
  must(&f->ctx, neo_measurer_open(&f->ctx, "local", &target, &options, &f->measurer));
  must(&f->ctx, neo_measurer_task(&f->ctx, f->measurer, 0, &f->te, key));
  neo_schedule_naive(&naive);
  must(&f->ctx, neo_measurer_incumbent(&f->ctx, f->measurer, 0, &naive, 1e6));
}

static void close_all(fixture *f) {
  neo_measurer_close(f->measurer);
  neo_space_destroy(f->space);
  neo_arena_fini(&f->arena);
  neo_dir_remove(&f->ctx, f->dir);
  unsetenv("NEO_TAMPER");
}

static void read_log(fixture *f) {
  neo_buf text = {0};
  f->n_jobs = 0;
  if (neo_file_exists(f->log))
    must(&f->ctx, neo_file_read(&f->ctx, f->log, 0, &text));
  for (char *line = text.data; line && *line && f->n_jobs < JOBS; f->n_jobs++) {
    job *to = &f->job[f->n_jobs];
    char *end = strchr(line, '\n');
    assert_true(end && end - line > 66);
    memcpy(to->kernel, line, 32);
    memcpy(to->incumbent, line + 33, 32);
    to->cases = (int)strtol(line + 66, NULL, 10);
    line = end + 1;
  }
  neo_buf_fini(&text);
}

static neo_trial_result measure(fixture *f, const neo_candidate *candidate) {
  neo_schedule schedule;
  neo_trial_result result = {0};
  bool got = false;
  neo_space_schedule(f->space, candidate, &schedule);
  must(&f->ctx, neo_measurer_submit(&f->ctx, f->measurer, 1, 0, &schedule));
  while (!got)
    must(&f->ctx, neo_measurer_poll(&f->ctx, f->measurer, 1000, &result, &got));
  read_log(f);
  return result;
}

/* Another candidate with code of its own. */
static neo_trial_result measure_next(fixture *f) {
  for (;;) {
    assert_true(f->next < f->n_best);
    neo_trial_result result = measure(f, &f->best[f->next++]);
    if (result.kind != NEO_TRIAL_DUPLICATE)
      return result;
  }
}

static void expect(const neo_trial_result *result, double ns) {
  if (result->kind != NEO_TRIAL_OK)
    fail_msg("%s: %s", neo_trial_kind_name(result->kind), result->text);
  if (!(fabs(result->ns / ns - 1) < 1e-9))
    fail_msg("%.1f ns, %.1f expected", result->ns, ns);
}

/* The second time of a claim is taken against the anchor, the first incumbent, not against the
 * winner before; the worse of the two counts; and the anchor gives way to what is twice as fast. */
static void test_claims_are_confirmed_against_the_anchor(void **state) {
  (void)state;
  fixture f;
  open_all(&f, product, "0.8 0.9  0.9 0.7  0.6 0.3  0.95 0.9  0.9 0.8");
  neo_trial_result result = measure_next(&f);
  expect(&result, 0.9e6); /* 0.8 and 0.9 x 1e6 */
  assert_int_equal(f.n_jobs, 2);
  assert_true(f.job[0].cases == 1 && f.job[1].cases == 2);
  assert_string_equal(f.job[1].incumbent, f.job[0].incumbent);
  result = measure_next(&f);
  expect(&result, 0.81e6); /* 0.9 x 0.9e6, and 0.7 x 1e6 */
  assert_int_equal(f.n_jobs, 4);
  assert_string_equal(f.job[2].incumbent, f.job[0].kernel);
  assert_string_equal(f.job[3].incumbent, f.job[0].incumbent);
  result = measure_next(&f);
  expect(&result, 0.486e6); /* 0.6 x 0.81e6, and 0.3 x 1e6 */
  assert_string_equal(f.job[5].incumbent, f.job[0].incumbent);
  result = measure_next(&f);
  expect(&result, 0.95 * 0.486e6); /* and 0.9 x 0.486e6: less than half of 1e6 is the new anchor */
  assert_string_equal(f.job[7].incumbent, f.job[4].kernel);
  result = measure_next(&f);
  expect(&result, 0.9 * 0.95 * 0.486e6);
  assert_string_equal(f.job[8].incumbent, f.job[6].kernel);
  assert_string_equal(f.job[9].incumbent, f.job[4].kernel); /* more than half of it: it stays */
  close_all(&f);
}

/* A claim that does not hold is no gain, and the next one is timed against the old incumbent. */
static void test_claims_that_do_not_hold_are_ties(void **state) {
  (void)state;
  fixture f;
  open_all(&f, product, "0.8 0.8  0.9 0.795  0.9 0.9  1.5");
  neo_trial_result result = measure_next(&f);
  expect(&result, 0.8e6);
  result = measure_next(&f);
  expect(&result, 0.8e6); /* 0.72e6, then 0.795e6: within a per cent */
  result = measure_next(&f);
  expect(&result, 0.9e6); /* 0.72e6, then 0.9e6 */
  result = measure_next(&f);
  expect(&result, 1.2e6);
  assert_int_equal(f.n_jobs, 7);
  assert_string_equal(f.job[6].incumbent, f.job[0].kernel);
  close_all(&f);
}

/* Number n of the candidates of an algorithm. */
static neo_candidate find_algorithm(const fixture *f, const char *prefix, int n) {
  neo_rng rng;
  neo_candidate candidate;
  neo_schedule schedule;
  neo_rng_init(&rng, 1);
  for (int tries = 0; tries < 20000; tries++) {
    neo_space_sample(f->space, &rng, &candidate);
    neo_space_schedule(f->space, &candidate, &schedule);
    if (strncmp(schedule.instr[0].name, prefix, strlen(prefix)) == 0 && n-- == 0)
      return candidate;
  }
  fail_msg("no candidate of '%s'", prefix);
  return candidate;
}

/* The best of an algorithm is verified fully though it is slower, for compiling may choose it for
 * its size; but not if it is larger than one that is faster and no less accurate. */
static void test_slower_algorithms_matter_if_they_are_smaller(void **state) {
  (void)state;
  fixture f;
  open_all(&f, convolution, "1.5  0.5 0.4  1.6 0.8  1.7");
  neo_candidate winograd[2] = {find_algorithm(&f, "winograd m=4 n=4", 0),
                               find_algorithm(&f, "winograd m=4 n=4", 1)};
  neo_candidate direct[2] = {find_algorithm(&f, "direct", 0), find_algorithm(&f, "direct", 1)};
  neo_trial_result result = measure(&f, &winograd[0]);
  expect(&result, 1.5e6); /* the naive one, direct, is faster and four times smaller */
  assert_int_equal(f.n_jobs, 1);
  result = measure(&f, &winograd[1]);
  expect(&result, 0.5e6);
  assert_int_equal(f.n_jobs, 3);
  result = measure(&f, &direct[0]);
  expect(&result, 0.8e6); /* slower, but smaller, and faster than the best direct one */
  assert_int_equal(f.n_jobs, 5);
  assert_int_equal(f.job[4].cases, 2);
  result = measure(&f, &direct[1]);
  expect(&result, 0.85e6); /* not even that */
  assert_int_equal(f.n_jobs, 6);
  close_all(&f);
}

/* What the next job needs is packed while the one before is on the board; if that becomes the
 * incumbent, the one that it beat is gone when the next job leaves. */
static void test_what_was_packed_ahead_outlives_its_incumbent(void **state) {
  enum { AT_ONCE = 16 };
  static const char better[] = "0.9 0.01 "; /* than the incumbent, and than the anchor */
  (void)state;
  fixture f;
  neo_buf script = {0};
  for (int i = 0; i < AT_ONCE; i++)
    neo_buf_text(&script, better);
  setenv("NEO_TAMPER_FORGETS", "1", 1);
  open_all(&f, product, script.data);
  assert_true(f.n_best >= AT_ONCE);
  for (int i = 0; i < AT_ONCE; i++) {
    neo_schedule schedule;
    neo_space_schedule(f.space, &f.best[i], &schedule);
    must(&f.ctx, neo_measurer_submit(&f.ctx, f.measurer, (uint64_t)i, 0, &schedule));
  }
  while (neo_measurer_pending(f.measurer) > 0) {
    neo_trial_result result;
    bool got = false;
    must(&f.ctx, neo_measurer_poll(&f.ctx, f.measurer, 1000, &result, &got));
    if (got && result.kind != NEO_TRIAL_OK && result.kind != NEO_TRIAL_DUPLICATE)
      fail_msg("%s: %s", neo_trial_kind_name(result.kind), result.text);
  }
  close_all(&f);
  unsetenv("NEO_TAMPER_FORGETS");
  neo_buf_fini(&script);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_claims_are_confirmed_against_the_anchor),
      cmocka_unit_test(test_claims_that_do_not_hold_are_ties),
      cmocka_unit_test(test_slower_algorithms_matter_if_they_are_smaller),
      cmocka_unit_test(test_what_was_packed_ahead_outlives_its_incumbent),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
