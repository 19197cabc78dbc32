/* The agent: honest kernels are measured, liars refused, crashes and hangs reported with signal and
 * phase, and whatever happens the next job is served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <spawn.h>
#include <time.h>

#include "rpc/sandbox.h"
#include "tests/fail_alloc.h"
#include "tests/rpc/board_fixture.h"

static test_data data;
static neo_job job;
static test_board board;

static void put_all(neo_ctx *ctx) {
  if (neo_board_put(ctx, board.fd, 6, data.blob, WAIT_MS) != NEO_OK)
    fail_msg("%s", ctx->message);
}

static int start(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  data_init(&data, "candidates");
  board = board_start(NULL, 64 << 20);
  put_all(&ctx);
  return 0;
}

static int stop(void **state) {
  (void)state;
  neo_buf_fini(&data.object);
  return board_stop(&board);
}

static neo_job_result measure(const char *symbol) {
  job_init(&job, &data, symbol);
  return board_submit(&board, &job);
}

static void expect_ok(void) {
  neo_job_result r = measure("honest");
  if (r.outcome != NEO_OUTCOME_OK)
    fail_msg("outcome %u, phase %s: %s", r.outcome, r.phase, r.text);
  neo_job_result_fini(&r);
}

/* The refusal comes when the job's result is waited for, and must not be taken for it. */
static void a_refused_blob_leaves_the_stream_in_step(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_blob bad[2] = {data.blob[0], data.blob[1]};
  neo_ctx_init(&ctx, 1);
  bad[0].key[0] = bad[0].key[0] == 'a' ? 'b' : 'a'; /* not the key of its bytes */
  bad[1].key[0] = bad[1].key[0] == 'a' ? 'b' : 'a';
  for (int i = 0; i < 2; i++) {
    if (neo_board_put(&ctx, board.fd, 2, bad, WAIT_MS) != NEO_OK) /* once more: with answers left */
      fail_msg("%s", ctx.message);
  }
  job_init(&job, &data, "honest");
  memcpy(job.kernel.object, bad[0].key, sizeof bad[0].key);
  neo_job_result r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_BOARD);
  assert_non_null(strstr(r.text, "missing blob"));
  expect_ok();
}

static void says_hello(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_hello hello;
  neo_ctx_init(&ctx, 1);
  assert_int_equal(neo_board_hello(&ctx, board.fd, NULL, &hello, WAIT_MS), NEO_OK);
  assert_int_equal(hello.pid, board.pid);
  assert_true(hello.threads >= 1 && hello.bandwidth > 0 && hello.cpu_model[0]);
}

static void measures_an_honest_kernel(void **state) {
  (void)state;
  for (uint32_t threads = 1; threads <= 2; threads++) {
    job_init(&job, &data, "honest");
    job.threads = threads;
    job.pin = 1;
    neo_job_result r = board_submit(&board, &job);
    if (r.outcome != NEO_OUTCOME_OK)
      fail_msg("%s: %s", r.phase, r.text);
    assert_string_equal(r.phase, "done");
    assert_int_equal(r.verify.verdict, NEO_VERDICT_OK);
    assert_true(r.timing.n >= 1 && r.timing.typical > 0 && r.timing.ratio == 0);
    assert_true(r.board_ns > r.timing.typical);
    assert_int_equal(r.n_outputs, 0);
  }
}

static void compares_with_the_incumbent(void **state) {
  (void)state;
  job_init(&job, &data, "slow");
  job.has_incumbent = 1;
  kernel_init(&job.incumbent, &data, "honest");
  neo_job_result r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_OK);
  assert_true(r.timing.ratio > 2 && r.timing.base_typical > 0 && !r.timing.raced);
  job.timing.race_factor = 2;
  r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_OK);
  assert_true(r.timing.raced && r.timing.n == 1);
}

static void runs_and_returns_outputs(void **state) {
  (void)state;
  job_init(&job, &data, "honest");
  job.kind = NEO_JOB_RUN;
  job.n_cases = 1;
  job.kernel.data[0][2][0] = '\0'; /* no reference */
  neo_job_result r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_OK);
  assert_int_equal(r.n_outputs, 1);
  assert_int_equal(r.output[0].size, 4 * ELEMENTS);
  const float *out = (const float *)(const void *)r.output[0].data;
  for (int i = 0; i < ELEMENTS; i++)
    assert_true((double)out[i] == data.want[0][i]);
  neo_job_result_fini(&r);
}

/* DESIGN: wrong in the tail only, one element out of bounds, right on seed 1 only, reads stale
 * output, caches its result. */
static void five_liars_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *symbol;
    neo_verdict verdict;
  } rows[] = {{"wrong_tail", NEO_VERDICT_WRONG},
              {"one_beyond", NEO_VERDICT_REDZONE},
              {"knows_seed_one", NEO_VERDICT_WRONG},
              {"reads_stale_output", NEO_VERDICT_STALE},
              {"caches_in_work", NEO_VERDICT_STALE}};
  for (int i = 0; i < NEO_COUNT(rows); i++)
    for (uint32_t threads = 1; threads <= 2; threads++) {
      job_init(&job, &data, rows[i].symbol);
      job.threads = threads;
      neo_job_result r = board_submit(&board, &job);
      if (r.outcome != NEO_OUTCOME_VERDICT || r.verify.verdict != rows[i].verdict)
        fail_msg("%s: outcome %u, verdict %d: %s", rows[i].symbol, r.outcome, (int)r.verify.verdict,
                 r.text);
      assert_string_equal(r.phase, "verify");
      assert_int_equal(r.timing.n, 0); /* it never got a time */
      assert_true(r.text[0]);
    }
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  test_data other;
  data_init(&other, "caches_in_static");
  assert_int_equal(neo_board_put(&ctx, board.fd, 6, other.blob, WAIT_MS), NEO_OK);
  job_init(&job, &other, "caches_in_static");
  neo_job_result r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_LOAD);
  assert_non_null(strstr(r.text, "kernels keep no state"));
  neo_buf_fini(&other.object);
}

static void crashes_are_reported(void **state) {
  (void)state;
  static const struct {
    const char *symbol;
    int signal;
  } rows[] = {
      {"segv", SIGSEGV}, {"ill", 0}, {"aborts", SIGABRT}, {"far_write", SIGSEGV}, {"exits", 0}};
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_job_result r = measure(rows[i].symbol);
    if (strcmp(rows[i].symbol, "far_write") == 0 && r.verify.verdict == NEO_VERDICT_REDZONE)
      continue; /* zones of 64 KB pages reach as far */
    if (r.outcome != NEO_OUTCOME_CRASH)
      fail_msg("%s: outcome %u: %s", rows[i].symbol, r.outcome, r.text);
    if (rows[i].signal)
      assert_int_equal(r.signal, rows[i].signal);
    else if (strcmp(rows[i].symbol, "ill") == 0)
      assert_true(r.signal == SIGILL || r.signal == SIGTRAP ||
                  (r.signal == SIGSEGV && board_arch())); /* Hexagon's trap is a bad address */
    assert_string_equal(r.phase, "verify");
    expect_ok();
  }
}

static void kernels_are_confined(void **state) {
  (void)state;
  static const struct {
    const char *symbol, *text;
  } rows[] = {{"opens", "kernels may not make: openat"},
              {"opens_socket", "kernels may not make: socket"},
              {"forks", "kernels may not make: clone"},
              {"makes_code", "kernels may not make: mprotect"},
              {"signals_its_parent", "kernels may not make: kill"},
              {"calls_nothing_known", "kernels may not make: another (number 4095)"},
              {"old_gate", "signal 31"}};
  if (board_arch() || strcmp(neo_sandbox_kind(), "none") == 0) {
    print_message("SKIPPED: no seccomp here, or a build with sanitizers\n");
    skip();
  }
  for (int i = 0; i < NEO_COUNT(rows); i++)
    for (uint32_t threads = 1; threads <= 2; threads++) {
      job_init(&job, &data, rows[i].symbol);
      job.threads = threads;
      neo_job_result r = board_submit(&board, &job);
      if (strcmp(rows[i].symbol, "old_gate") == 0 && r.outcome == NEO_OUTCOME_LOAD)
        continue; /* only x86-64 has it */
      if (r.outcome != NEO_OUTCOME_CRASH || r.signal != SIGSYS || !strstr(r.text, rows[i].text))
        fail_msg("%s: outcome %u, signal %d: %s", rows[i].symbol, r.outcome, r.signal, r.text);
      assert_string_equal(r.phase, "verify");
      expect_ok();
    }
}

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void hangs_are_ended(void **state) {
  (void)state;
  job_init(&job, &data, "hang");
  job.timeout_ms = 1000;
  double before = now_ms();
  neo_job_result r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_HANG);
  assert_string_equal(r.phase, "verify");
  assert_true(now_ms() - before >= 1000);
  assert_non_null(strstr(r.text, "1000 ms"));
  expect_ok();
}

static void failing_kernels_are_refused(void **state) {
  (void)state;
  neo_job_result r = measure("fails");
  assert_int_equal(r.outcome, NEO_OUTCOME_VERDICT);
  assert_int_equal(r.verify.verdict, NEO_VERDICT_FAILED);
  assert_string_equal(r.text, "kernel returned 5");
  job.kind = NEO_JOB_RUN;
  r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_VERDICT);
  assert_string_equal(r.phase, "run");
}

static void what_cannot_be_loaded(void **state) {
  (void)state;
  neo_job_result r = measure("no_such_kernel");
  assert_int_equal(r.outcome, NEO_OUTCOME_LOAD);
  assert_string_equal(r.text, "object has no function 'no_such_kernel_0'");
  memcpy(job.kernel.object, data.blob[1].key, 33); /* floats are no object */
  r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_LOAD);
  assert_non_null(strstr(r.text, "not an ELF file"));
  expect_ok();
}

static void trouble_of_the_board_is_not_the_candidates(void **state) {
  (void)state;
  job_init(&job, &data, "honest");
  memset(job.kernel.data[1][0], 'a', 32);
  neo_job_result r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_BOARD);
  assert_non_null(strstr(r.text, "missing blob aaaa"));
  job_init(&job, &data, "honest");
  job.kernel.bytes[0] = 8;
  r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_BOARD);
  assert_non_null(strstr(r.text, "buffer 0 has 8 bytes"));
  job_init(&job, &data, "honest");
  job.kernel.data[0][0][0] = '\0';
  r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_BOARD);
  job_init(&job, &data, "honest");
  job.kernel.work_bytes = (int64_t)1 << 40; /* more than there is */
  r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_BOARD);
  job_init(&job, &data, "honest");
  job.kernel.dtype[0] = 99; /* refused by the decoder: an ERROR frame */
  r = board_submit(&board, &job);
  assert_int_equal(r.outcome, NEO_OUTCOME_BOARD);
  assert_non_null(strstr(r.text, "role or type"));
  expect_ok();
}

static void bad_messages_are_answered(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_frame frame = {.type = 77, .id = 5};
  assert_int_equal(neo_frame_send(&ctx, board.fd, &frame, WAIT_MS), NEO_OK);
  assert_int_equal(neo_frame_receive(&ctx, board.fd, &frame, WAIT_MS), NEO_OK);
  assert_true(frame.type == NEO_MESSAGE_ERROR && frame.id == 5);
  neo_buf_clear(&frame.payload);
  frame.type = NEO_MESSAGE_BLOB_PUT;
  neo_buf_text(&frame.payload, "00000000000000000000000000000000not these bytes");
  assert_int_equal(neo_frame_send(&ctx, board.fd, &frame, WAIT_MS), NEO_OK);
  assert_int_equal(neo_frame_receive(&ctx, board.fd, &frame, WAIT_MS), NEO_OK);
  assert_int_equal(frame.type, NEO_MESSAGE_ERROR);
  neo_buf_clear(&frame.payload);
  frame.type = NEO_MESSAGE_PING;
  frame.id = 9;
  assert_int_equal(neo_frame_send(&ctx, board.fd, &frame, WAIT_MS), NEO_OK);
  assert_int_equal(neo_frame_receive(&ctx, board.fd, &frame, WAIT_MS), NEO_OK);
  assert_true(frame.type == NEO_MESSAGE_PING && frame.id == 9);
  static const uint16_t types[] = {NEO_MESSAGE_HELLO, NEO_MESSAGE_BLOB_HAVE, NEO_MESSAGE_BLOB_PUT,
                                   NEO_MESSAGE_JOB};
  for (int i = 0; i < NEO_COUNT(types); i++) {
    neo_buf_clear(&frame.payload);
    neo_buf_text(&frame.payload, "junk");
    frame.type = types[i];
    assert_int_equal(neo_frame_send(&ctx, board.fd, &frame, WAIT_MS), NEO_OK);
    assert_int_equal(neo_frame_receive(&ctx, board.fd, &frame, WAIT_MS), NEO_OK);
    assert_int_equal(frame.type, NEO_MESSAGE_ERROR);
  }
  neo_buf_fini(&frame.payload);
  expect_ok();
}

static void a_damaged_stream_ends_the_session(void **state) {
  (void)state;
  test_board other = board_start(NULL, 1 << 20);
  assert_int_equal(write(other.fd, "this is not a frame, not at all", 31), 31);
  assert_int_equal(board_stop(&other), NEO_BAD_INPUT);
  other = board_start(NULL, 1 << 20);
  assert_int_equal(write(other.fd, "NEOF", 4), 4); /* cut off */
  assert_int_equal(board_stop(&other), NEO_OK);
}

/* Large buffers, more than the pipe and the cache hold at once. */
static void large_jobs_and_a_small_cache(void **state) {
  (void)state;
  enum { SIZE = 3 << 20 };
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  test_board keep = board;
  board = board_start(NULL, 8 << 20);
  char *bytes = malloc(SIZE);
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < SIZE; i++)
      bytes[i] = (char)(i * (round + 3) + i / 1000);
    neo_blob blobs[2] = {data.blob[0], blob_of(bytes, SIZE)};
    assert_int_equal(neo_board_put(&ctx, board.fd, 2, blobs, WAIT_MS), NEO_OK);
    job_init(&job, &data, "copy");
    job.kind = NEO_JOB_RUN;
    job.n_cases = 1;
    job.kernel.n_buffers = 2;
    job.kernel.grid[0] = SIZE;
    job.kernel.role[1] = 1;
    for (int i = 0; i < 2; i++) {
      job.kernel.dtype[i] = 8;
      job.kernel.bytes[i] = SIZE;
    }
    memcpy(job.kernel.data[0][0], blobs[1].key, 33);
    job.kernel.data[0][1][0] = '\0';
    neo_job_result r = board_submit(&board, &job);
    if (r.outcome != NEO_OUTCOME_OK)
      fail_msg("%s: %s", r.phase, r.text);
    assert_int_equal(r.output[0].size, SIZE);
    assert_memory_equal(r.output[0].data, bytes, SIZE);
    neo_job_result_fini(&r);
  }
  free(bytes);
  assert_int_equal(board_stop(&board), 0);
  board = keep;
}

/* Trivial jobs one after another; the figure is printed, never judged. */
static void many_jobs(void **state) {
  (void)state;
  enum { IN_FLIGHT = 8 };
  const uint32_t jobs = board_arch() ? 20 : 200;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  job_init(&job, &data, "honest");
  job.timing = (neo_timing_policy){.min_batch_ns = 1, .max_batches = 1, .max_total_ns = 1};
  double before = now_ms();
  for (uint32_t sent = 0, got = 0; got < jobs;) {
    if (sent < jobs && sent - got < IN_FLIGHT) {
      assert_int_equal(neo_board_submit(&ctx, board.fd, sent++, &job, WAIT_MS), NEO_OK);
      continue;
    }
    neo_job_result r;
    uint32_t id;
    assert_int_equal(neo_board_result(&ctx, board.fd, &id, &r, WAIT_MS), NEO_OK);
    assert_int_equal(id, got++);
    assert_int_equal(r.outcome, NEO_OUTCOME_OK);
  }
  print_message("%.0f jobs/s\n", jobs / (now_ms() - before) * 1e3);
}

/* The board with its n-th allocation failing: it may refuse, it never dies. Returns whether it went
 * well. */
static bool attempt(int n) {
  neo_fail_alloc alloc;
  neo_fail_alloc_init(&alloc, n);
  neo_ctx ctx;
  neo_job_result r = {0};
  uint32_t id;
  neo_ctx_init(&ctx, 1);
  board = board_start(&alloc.allocator, 4 << 20);
  neo_hello hello;
  bool well = neo_board_hello(&ctx, board.fd, NULL, &hello, WAIT_MS) == NEO_OK &&
              neo_board_put(&ctx, board.fd, 6, data.blob, WAIT_MS) == NEO_OK;
  if (well) {
    job_init(&job, &data, "honest");
    well = neo_board_submit(&ctx, board.fd, 1, &job, WAIT_MS) == NEO_OK &&
           neo_board_result(&ctx, board.fd, &id, &r, WAIT_MS) == NEO_OK;
    assert_true(!well || r.outcome == NEO_OUTCOME_OK || r.outcome == NEO_OUTCOME_BOARD);
    well = well && r.outcome == NEO_OUTCOME_OK && hello.bandwidth > 0;
  }
  int code = board_stop(&board);
  assert_true(code == NEO_OK || code == NEO_NO_MEMORY);
  return well;
}

static void survives_failed_allocations(void **state) {
  (void)state;
  if (board_arch())
    skip();
  test_board keep = board;
  int n = 1, good = 0;
  for (; good < 2; n++) { /* two in a row: the last failures lie beyond what is allocated */
    good = attempt(n) ? good + 1 : 0;
    assert_true(n < 120);
  }
  assert_true(n > 15);
  board = keep;
}

/* Its exit code, without streams; -1: it could not be started, or was killed. */
static int run_words(char *const *argv) {
  char *env[] = {NULL};
  pid_t pid;
  int status;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", 0, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", 1, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", 1, 0);
  int error = posix_spawnp(&pid, argv[0], &actions, NULL, argv, env);
  posix_spawn_file_actions_destroy(&actions);
  if (error)
    return -1;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run_program(const char *argument) {
  char program[] = NEO_BINARY_DIR "/bin/neo-board", copy[64];
  snprintf(copy, sizeof(copy), "%s", argument ? argument : "");
  return run_words((char *[]){program, argument ? copy : NULL, NULL});
}

static void counters_must_be_there(void **state) {
  (void)state;
  if (board_arch())
    skip();
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  const neo_board_options options = {.in_fd = -1, .out_fd = -1, .counters = "/nowhere/counters"};
  assert_int_equal(neo_board_serve(&ctx, &options), NEO_USAGE);
  assert_non_null(strstr(ctx.message, "/nowhere/counters"));
}

static void the_program(void **state) {
  (void)state;
  if (board_arch())
    skip();
  assert_int_equal(run_program("--help"), 0);
  assert_int_equal(run_program("--stdio"), 0); /* closed at once */
  assert_int_equal(run_program("--frobnicate"), 2);
  assert_int_equal(run_program("--cpus"), 2);
  assert_int_equal(run_program("--counters"), 2);
  assert_int_equal(run_program(NULL), 2);
}

/* Says what is missing. */
static bool can_emulate(void) {
  char program[512];
  snprintf(program, sizeof program, "%s/bin/neo-board-%s", NEO_BINARY_DIR, board_arch());
  bool has_board = access(program, X_OK) == 0;
  bool has_emulator = run_words((char *[]){getenv("NEO_TEST_EMULATOR"), "--version", NULL}) == 0;
  if (!has_board)
    print_message("SKIPPED: %s was not built, its compiler is missing\n", program);
  else if (!has_emulator)
    print_message("SKIPPED: %s is not installed\n", getenv("NEO_TEST_EMULATOR"));
  return has_board && has_emulator;
}

int main(void) {
  enum { SKIPPED = 77 };
  if (board_arch() && !can_emulate())
    return SKIPPED;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(says_hello),
      cmocka_unit_test(a_refused_blob_leaves_the_stream_in_step),
      cmocka_unit_test(measures_an_honest_kernel),
      cmocka_unit_test(compares_with_the_incumbent),
      cmocka_unit_test(runs_and_returns_outputs),
      cmocka_unit_test(five_liars_are_refused),
      cmocka_unit_test(crashes_are_reported),
      cmocka_unit_test(kernels_are_confined),
      cmocka_unit_test(hangs_are_ended),
      cmocka_unit_test(failing_kernels_are_refused),
      cmocka_unit_test(what_cannot_be_loaded),
      cmocka_unit_test(trouble_of_the_board_is_not_the_candidates),
      cmocka_unit_test(bad_messages_are_answered),
      cmocka_unit_test(a_damaged_stream_ends_the_session),
      cmocka_unit_test(large_jobs_and_a_small_cache),
      cmocka_unit_test(many_jobs),
      cmocka_unit_test(survives_failed_allocations),
      cmocka_unit_test(counters_must_be_there),
      cmocka_unit_test(the_program),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
