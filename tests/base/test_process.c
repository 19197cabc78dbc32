/* Subprocesses: output, exit codes, signals, time-outs that take the whole group, socketpair
 * children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/host.h"

static neo_ctx ctx;

static neo_process_result run(const char *script, int timeout_ms) {
  const char *argv[] = {"sh", "-c", script, NULL};
  neo_process_result result;
  assert_int_equal(neo_process_run(&ctx, argv, timeout_ms, &result), NEO_OK);
  return result;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void test_output_and_exit_code(void **state) {
  (void)state;
  neo_process_result result = run("echo out; echo err >&2; read line; exit 3", 0);
  assert_int_equal(result.exit_code, 3);
  assert_int_equal(result.signal, 0);
  assert_false(result.timed_out);
  assert_string_equal(result.output.data, "out\nerr\n");
  neo_buf_fini(&result.output);
}

static void test_killed_by_signal(void **state) {
  (void)state;
  neo_process_result result = run("kill -SEGV $$", 0);
  assert_int_equal(result.exit_code, -1);
  assert_int_equal(result.signal, SIGSEGV);
  neo_buf_fini(&result.output);
}

static void test_output_is_capped(void **state) {
  (void)state;
  neo_process_result result = run("head -c 1000000 /dev/zero", 0);
  assert_int_equal(result.exit_code, 0);
  assert_int_equal(result.output.size, 64 * 1024);
  neo_buf_fini(&result.output);
}

static void test_missing_program(void **state) {
  (void)state;
  const char *argv[] = {"no-such-program-of-neo", NULL};
  neo_process_result result = {.exit_code = 77};
  assert_int_equal(neo_process_run(&ctx, argv, 0, &result), NEO_IO);
  assert_non_null(strstr(ctx.message, "no-such-program-of-neo"));
  assert_int_equal(result.exit_code, 77);
  neo_process process;
  assert_int_equal(neo_process_spawn(&ctx, argv, true, &process), NEO_IO);
  neo_ctx_clear(&ctx);
}

/* No process is left, or at most a zombie that init has not collected yet. */
static bool is_running(int pid) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  neo_buf text = {0};
  bool alive = neo_file_read(&ctx, path, 0, &text) == NEO_OK;
  const char *after_name = alive ? strrchr(text.data, ')') : NULL;
  bool running = after_name && after_name[2] != 'Z' && after_name[2] != 'X';
  neo_buf_fini(&text);
  neo_ctx_clear(&ctx);
  return running;
}

static bool ends_soon(int pid) {
  for (int i = 0; i < 6000 && is_running(pid); i++)
    usleep(10000);
  return !is_running(pid);
}

static void test_time_out_kills_the_group(void **state) {
  (void)state;
  double start = seconds();
  neo_process_result result =
      run("trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $!; "
          "while :; do sleep 1; done",
          3000);
  double took = seconds() - start;
  assert_true(result.timed_out);
  assert_int_equal(result.signal, SIGKILL);
  assert_true(took >= 2.9 && took < 50);
  int grandchild = (int)strtol(result.output.data, NULL, 10);
  assert_true(grandchild > 1);
  assert_true(ends_soon(grandchild));
  neo_buf_fini(&result.output);
}

static void test_time_out_asks_first(void **state) {
  (void)state;
  neo_process_result result =
      run("trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.01; done", 3000);
  assert_true(result.timed_out);
  assert_int_equal(result.exit_code, 9);
  assert_non_null(strstr(result.output.data, "bye\n"));
  neo_buf_fini(&result.output);
}

static void test_background_child_does_not_block(void **state) {
  (void)state;
  double start = seconds();
  neo_process_result result = run("sleep 40 & echo done", 0);
  assert_true(seconds() - start < 30);
  assert_string_equal(result.output.data, "done\n");
  neo_buf_fini(&result.output);
}

static void test_no_shell_and_no_inherited_files(void **state) {
  (void)state;
  int leak = dup(1);
  assert_true(leak >= 3);
  const char *echo[] = {"echo", "$HOME; `id`", "*", NULL};
  neo_process_result result;
  assert_int_equal(neo_process_run(&ctx, echo, 0, &result), NEO_OK);
  assert_string_equal(result.output.data, "$HOME; `id` *\n");
  neo_buf_fini(&result.output);
  char script[64];
  snprintf(script, sizeof(script), "test -e /proc/self/fd/%d && echo leaked", leak);
  result = run(script, 0);
  assert_int_equal(result.output.size, 0);
  neo_buf_fini(&result.output);
  close(leak);
}

static void test_spawned_child_talks_over_its_socket(void **state) {
  (void)state;
  const char *argv[] = {"cat", NULL};
  neo_process process;
  assert_int_equal(neo_process_spawn(&ctx, argv, true, &process), NEO_OK);
  assert_int_equal(write(process.fd, "ping", 4), 4);
  char answer[8] = "";
  assert_int_equal(read(process.fd, answer, 4), 4);
  assert_string_equal(answer, "ping");
  double start = seconds();
  int pid = process.pid;
  neo_process_stop(&process);
  assert_true(seconds() - start < 30);
  assert_int_equal(kill(pid, 0), -1);
  neo_process_stop(&process);
}

static void test_stop_kills_a_child_that_ignores_it(void **state) {
  (void)state;
  const char *argv[] = {"sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done", NULL};
  neo_process process;
  assert_int_equal(neo_process_spawn(&ctx, argv, true, &process), NEO_OK);
  char answer[3];
  assert_int_equal(read(process.fd, answer, 3), 3);
  int pid = process.pid;
  double start = seconds();
  neo_process_stop(&process);
  assert_true(seconds() - start < 30);
  assert_int_equal(kill(pid, 0), -1);
}

static void test_self_dir(void **state) {
  (void)state;
  char dir[512];
  assert_int_equal(neo_self_dir(&ctx, dir), NEO_OK);
  char path[600];
  snprintf(path, sizeof(path), "%s/test_process", dir);
  assert_true(neo_file_exists(path));
}

int main(void) {
  neo_ctx_init(&ctx, 1);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_output_and_exit_code),
      cmocka_unit_test(test_killed_by_signal),
      cmocka_unit_test(test_output_is_capped),
      cmocka_unit_test(test_missing_program),
      cmocka_unit_test(test_time_out_kills_the_group),
      cmocka_unit_test(test_time_out_asks_first),
      cmocka_unit_test(test_background_child_does_not_block),
      cmocka_unit_test(test_no_shell_and_no_inherited_files),
      cmocka_unit_test(test_spawned_child_talks_over_its_socket),
      cmocka_unit_test(test_stop_kills_a_child_that_ignores_it),
      cmocka_unit_test(test_self_dir),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
