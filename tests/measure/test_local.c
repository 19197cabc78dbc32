/* tests/measure/test_local.c: the local measurer: candidates are built, verified and timed; what
 * fails is a result of its kind, and whatever happens to the board, exactly one result comes for
 * each candidate. That kernels cannot lie to the agent is tested in tests/rpc. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/measure/conv_task.h"

enum { CANDIDATES = 6 };

typedef struct fixture {
  neo_ctx ctx;
  conv_task task;
  neo_candidate candidate[CANDIDATES];
  int n;
  neo_measurer *measurer;
  neo_trial_result result[CANDIDATES]; /* by id */
  int count[NEO_TRIAL_KIND_COUNT];
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  neo_ctx_init(&f->ctx, 1);
  conv_task_init(&f->ctx, &f->task);
  f->n = neo_space_analytic(f->task.space, CANDIDATES, f->candidate);
  assert_true(f->n >= 3);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  neo_measurer_close(f->measurer);
  conv_task_fini(&f->task);
  free(f);
  unsetenv("NEO_TAMPER");
  return 0;
}

/* mode NULL: the real board. */
static void open_local(fixture *f, const char *mode, int timeout_ms) {
  neo_measure_options options = {
      .threads = 1,
      .seed = 1,
      .run_timeout_ms = timeout_ms,
      .board_program = NEO_BINARY_DIR "/bin/neo-board",
      .timing = {.max_total_ns = 5e6},
  };
  if (mode) {
    setenv("NEO_TAMPER", mode, 1);
    setenv("NEO_TAMPER_BOARD", NEO_BINARY_DIR "/bin/neo-board", 1);
    options.board_program = NEO_BINARY_DIR "/tests/tampering-board";
  }
  must(&f->ctx, neo_measurer_open(&f->ctx, "local", &f->task.target, &options, &f->measurer));
  must(&f->ctx, neo_measurer_task(&f->ctx, f->measurer, 0, &f->task.te, f->task.key));
}

static void submit(fixture *f, uint64_t id) {
  neo_schedule schedule;
  neo_space_schedule(f->task.space, &f->candidate[id], &schedule);
  must(&f->ctx, neo_measurer_submit(&f->ctx, f->measurer, id, 0, &schedule));
}

/* Takes every pending result; each id comes once. */
static void collect(fixture *f) {
  bool seen[CANDIDATES] = {false};
  while (neo_measurer_pending(f->measurer) > 0) {
    neo_trial_result result;
    bool got = false;
    must(&f->ctx, neo_measurer_poll(&f->ctx, f->measurer, 1000, &result, &got));
    if (!got)
      continue;
    assert_true(result.id < CANDIDATES && !seen[result.id]);
    seen[result.id] = true;
    f->result[result.id] = result;
    f->count[result.kind]++;
    if (!neo_trial_usable(result.kind) && result.kind != NEO_TRIAL_CANCELLED)
      assert_true(result.text[0]);
  }
}

static void submit_all(fixture *f) {
  for (int i = 0; i < f->n; i++)
    submit(f, (uint64_t)i);
}

static int usable(const fixture *f) {
  return f->count[NEO_TRIAL_OK] + f->count[NEO_TRIAL_SLOW] + f->count[NEO_TRIAL_DUPLICATE];
}

static void honest_candidates_are_timed(void **state) {
  fixture *f = *state;
  open_local(f, NULL, 0);
  assert_true(neo_measurer_facts(f->measurer)->peak_gflops > 0);
  submit_all(f);
  collect(f);
  assert_int_equal(usable(f), f->n);
  for (int i = 0; i < f->n; i++) {
    const neo_trial_result *r = &f->result[i];
    assert_true(r->ns > 0 && r->max_error <= 1 && r->code_hash[0]);
    assert_true(r->kind == NEO_TRIAL_DUPLICATE || r->n_repeats > 0);
  }
  submit(f, 0); /* the same code is not measured twice */
  collect(f);
  assert_int_equal(f->result[0].kind, NEO_TRIAL_DUPLICATE);
}

static void builds_that_fail_are_results(void **state) {
  fixture *f = *state;
  neo_schedule schedule;
  open_local(f, NULL, 0);
  must(&f->ctx, neo_schedule_parse(&f->ctx, "s1; alg direct; split B7.1 7", &schedule));
  must(&f->ctx, neo_measurer_submit(&f->ctx, f->measurer, 1, 0, &schedule));
  submit(f, 0);
  collect(f);
  assert_int_equal(f->result[1].kind, NEO_TRIAL_BUILD);
  assert_string_equal(f->result[1].phase, "lower");
  assert_int_equal(f->result[0].kind, NEO_TRIAL_OK);
}

static void time_outs_are_hangs(void **state) {
  fixture *f = *state;
  open_local(f, NULL, 1); /* verification alone takes longer */
  f->n = 2;
  submit_all(f);
  collect(f);
  if (f->count[NEO_TRIAL_HANG] == 0) {
    print_message("SKIPPED: everything was done within 1 ms\n");
    skip();
  }
  assert_int_equal(f->count[NEO_TRIAL_HANG] + usable(f), 2);
}

static void times_too_good_to_be_true_are_refused(void **state) {
  fixture *f = *state;
  open_local(f, "fast", 0);
  submit_all(f);
  collect(f);
  assert_int_equal(f->count[NEO_TRIAL_IMPLAUSIBLE], f->n);
  assert_non_null(strstr(f->result[0].text, " ns "));
}

/* Else the first candidate became an incumbent that nothing is faster than. */
static void times_that_are_no_numbers_are_refused(void **state) {
  fixture *f = *state;
  open_local(f, "nan", 0);
  submit_all(f);
  collect(f);
  assert_int_equal(f->count[NEO_TRIAL_IMPLAUSIBLE], f->n);
}

static void verdicts_are_passed_on(void **state) {
  fixture *f = *state;
  open_local(f, "wrong", 0);
  submit_all(f);
  collect(f);
  assert_int_equal(f->count[NEO_TRIAL_REDZONE], f->n);
}

/* A board that dies with every candidate ends the run, in bounded time, with a reason. */
static void boards_that_always_die_end_the_run(void **state) {
  fixture *f = *state;
  neo_status status = NEO_OK;
  open_local(f, "dies", 0);
  submit_all(f);
  for (int i = 0; i < 200 && status == NEO_OK && neo_measurer_pending(f->measurer) > 0; i++) {
    neo_trial_result result;
    bool got = false;
    status = neo_measurer_poll(&f->ctx, f->measurer, 1000, &result, &got);
    if (got)
      assert_int_equal(result.kind, NEO_TRIAL_BOARD_LOST);
  }
  assert_int_equal(status, NEO_UNREACHABLE);
  assert_non_null(strstr(f->ctx.message, "lost"));
}

/* Kills this process's children called neo-board; their number. */
static int kill_boards(void) {
  int killed = 0;
  DIR *proc = opendir("/proc");
  assert_non_null(proc);
  for (struct dirent *entry; (entry = readdir(proc));) {
    char path[300], text[300] = "", *at;
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    FILE *in = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
    if (!in)
      continue;
    if (fgets(text, sizeof text, in) && strstr(text, "(neo-board)") && (at = strrchr(text, ')')) &&
        strtol(at + 4, NULL, 10) == getpid())
      killed += kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL) == 0;
    fclose(in);
  }
  closedir(proc);
  return killed;
}

static void a_killed_board_is_started_again(void **state) {
  fixture *f = *state;
  open_local(f, NULL, 0);
  for (int round = 0; round < 3; round++) {
    bool got = false;
    neo_trial_result result;
    memset(f->count, 0, sizeof f->count);
    submit_all(f);
    if (round != 1) /* so that something is built or on the board when it dies */
      must(&f->ctx, neo_measurer_poll(&f->ctx, f->measurer, 1000, &result, &got));
    assert_int_equal(kill_boards(), 1);
    collect(f);
    assert_true(f->count[NEO_TRIAL_BOARD_LOST] <= 1);
    assert_int_equal(usable(f) + f->count[NEO_TRIAL_BOARD_LOST] + got, f->n);
    neo_measurer_drop(f->measurer, 0); /* forget the codes: measure anew */
    must(&f->ctx, neo_measurer_task(&f->ctx, f->measurer, 0, &f->task.te, f->task.key));
  }
}

/* A task announced while the board is dead: the reference is made on a new one. */
static void references_survive_a_killed_board(void **state) {
  fixture *f = *state;
  open_local(f, NULL, 0);
  assert_int_equal(kill_boards(), 1);
  must(&f->ctx, neo_measurer_task(&f->ctx, f->measurer, 0, &f->task.te, f->task.key));
  submit_all(f);
  collect(f);
  assert_int_equal(usable(f), f->n);
}

static void cancelled_ones_come_back(void **state) {
  fixture *f = *state;
  open_local(f, NULL, 0);
  submit_all(f);
  neo_measurer_cancel(f->measurer);
  collect(f);
  assert_int_equal(usable(f) + f->count[NEO_TRIAL_CANCELLED], f->n);
  assert_int_equal(neo_measurer_pending(f->measurer), 0);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FIXTURE(honest_candidates_are_timed),
      WITH_FIXTURE(builds_that_fail_are_results),
      WITH_FIXTURE(time_outs_are_hangs),
      WITH_FIXTURE(times_too_good_to_be_true_are_refused),
      WITH_FIXTURE(times_that_are_no_numbers_are_refused),
      WITH_FIXTURE(verdicts_are_passed_on),
      WITH_FIXTURE(boards_that_always_die_end_the_run),
      WITH_FIXTURE(a_killed_board_is_started_again),
      WITH_FIXTURE(references_survive_a_killed_board),
      WITH_FIXTURE(cancelled_ones_come_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
