/* The agent with kernels of a GPU (of tests/runtime/cuda/fake_cuda.c): honest ones are measured,
 * damaged ones refused, and whatever happens the next job is served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "rpc/board.h"
#include "tests/rpc/board_fixture.h"

static test_data data;
static neo_job job;
static test_board board;

static int start(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  data_init(&data, "gpu_candidates");
  for (int c = 0; c < 2; c++) {
    for (int i = 0; i < ELEMENTS; i++)
      data.want[c][i] = (double)data.a[c][i] + (double)data.b[i];
    data.blob[3 + 2 * c] = blob_of(data.want[c], sizeof(data.want[c]));
  }
  board = board_start(NULL, 64 << 20);
  return neo_board_put(&ctx, board.fd, 6, data.blob, WAIT_MS) != NEO_OK;
}

static int stop(void **state) {
  (void)state;
  neo_buf_fini(&data.object);
  return board_stop(&board);
}

static void expect(const char *what, neo_job_outcome outcome, const char *text) {
  neo_job_result r = board_submit(&board, &job);
  if (r.outcome != outcome || (text && !strstr(r.text, text)))
    fail_msg("%s: outcome %d: %s", what, (int)r.outcome, r.text);
}

static void honest_kernels_are_measured(void **state) {
  (void)state;
  job_init(&job, &data, "good");
  expect("alone", NEO_OUTCOME_OK, NULL);
  job.has_incumbent = 1;
  kernel_init(&job.incumbent, &data, "good");
  expect("beside an incumbent", NEO_OUTCOME_OK, NULL);
}

static void damaged_kernels_are_refused(void **state) {
  (void)state;
  static const char *const names[] = {
      "absent",     "endless_name", "no_items",        "many_items",     "few_args",
      "many_args",  "no_magic",     "other_api",       "name_inside",    "name_outside",
      "no_program", "short",        "program_outside", "program_around",
  };
  for (int k = 0; k < NEO_COUNT(names); k++) {
    job_init(&job, &data, names[k]);
    neo_job_result r = board_submit(&board, &job);
    if (r.outcome != NEO_OUTCOME_LOAD && r.outcome != NEO_OUTCOME_BOARD)
      fail_msg("%s: outcome %d: %s", names[k], (int)r.outcome, r.text);
  }
  job_init(&job, &data, "late");
  /* the first six launches verify, and what is loaded later mends the damage */
  expect("damages memory while it is timed", NEO_OUTCOME_VERDICT, "wrote outside its memory");
  job_init(&job, &data, "broken");
  expect("fails when it runs", NEO_OUTCOME_VERDICT, "kernel returned");
  job_init(&job, &data, "good");
  job.kernel.grid[0] = INT64_C(1) << 33;
  expect("a grid too large", NEO_OUTCOME_VERDICT, "kernel returned");
  job.kernel.grid[0] = 0;
  expect("no grid", NEO_OUTCOME_VERDICT, NULL);
}

/* Code of the processor never runs without limits because the other kernel needs none. */
static void kinds_are_not_mixed(void **state) {
  (void)state;
  static const char *const names[] = {"good", "code"};
  for (int k = 0; k < 2; k++) {
    job_init(&job, &data, names[k]);
    job.has_incumbent = 1;
    kernel_init(&job.incumbent, &data, names[1 - k]);
    neo_job_result r = board_submit(&board, &job);
    assert_true(r.outcome == NEO_OUTCOME_LOAD || r.outcome == NEO_OUTCOME_BOARD);
    kernel_init(&job.incumbent, &data, names[k]);
    expect(names[k], NEO_OUTCOME_OK, NULL);
  }
  job_init(&job, &data, "good");
  job.has_incumbent = 1;
  kernel_init(&job.incumbent, &data, "code");
  expect("code beside a GPU's", NEO_OUTCOME_LOAD, "one kernel is for the GPU");
}

/* What a board says of three drivers that hang until three have been asked. */
static neo_hello ask_drivers_that_meet(uint32_t n, int gpu_ms) {
  char path[] = "/tmp/neo-meet-XXXXXX";
  neo_hello hello = {.n_gpus = n};
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  for (uint32_t g = 0; g < n; g++)
    snprintf(hello.gpu[g].api, sizeof hello.gpu[g].api, "cuda");
  setenv("FAKE_CUDA_MEET", path, 1);
  neo_board_find_gpus(&ctx, &hello, gpu_ms);
  unsetenv("FAKE_CUDA_MEET");
  unlink(path);
  return hello;
}

static void drivers_are_asked_at_once(void **state) {
  (void)state;
  neo_hello hello = ask_drivers_that_meet(3, WAIT_MS);
  for (uint32_t g = 0; g < 3; g++)
    assert_true(hello.gpu[g].device[0]); /* one after the other the first would hang */
}

static void drivers_that_hang_are_left(void **state) {
  (void)state;
  neo_hello hello = ask_drivers_that_meet(2, 300);
  for (uint32_t g = 0; g < 2; g++)
    assert_string_equal(hello.gpu[g].device, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(honest_kernels_are_measured), cmocka_unit_test(damaged_kernels_are_refused),
      cmocka_unit_test(kinds_are_not_mixed), cmocka_unit_test(drivers_are_asked_at_once),
      cmocka_unit_test(drivers_that_hang_are_left)};
  return cmocka_run_group_tests(tests, start, stop);
}
