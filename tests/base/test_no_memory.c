/* Every failed malloc below the context: growable bytes, maps, file reads, JSON printing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/host.h"
#include "tests/fail_malloc.h"

static void test_buf_survives_each_failed_malloc(void **state) {
  (void)state;
  long n = 1;
  for (;; n++) {
    neo_buf buf = {0};
    neo_fail_malloc_at(n);
    for (int i = 0; i < 100; i++)
      neo_buf_printf(&buf, "%d ", i);
    long failed = neo_fail_malloc_count();
    neo_fail_malloc_at(0);
    assert_int_equal(buf.failed, failed > 0);
    neo_buf_fini(&buf);
    if (!failed)
      break;
  }
  assert_in_range(n, 4, 20);
}

static void test_map_survives_each_failed_malloc(void **state) {
  (void)state;
  static int value;
  char key[16];
  long n = 1;
  for (;; n++) {
    neo_map map = {0};
    int failed_puts = 0;
    neo_fail_malloc_at(n);
    for (int i = 0; i < 40; i++) {
      snprintf(key, sizeof(key), "k%d", i);
      bool put = neo_map_put(&map, key, &value);
      failed_puts += !put;
      assert_int_equal(neo_map_get(&map, key) != NULL, put);
    }
    long failed = neo_fail_malloc_count();
    neo_fail_malloc_at(0);
    assert_int_equal(failed_puts, failed);
    assert_int_equal(map.used, 40 - failed_puts);
    neo_map_fini(&map);
    if (!failed)
      break;
  }
  assert_in_range(n, 42, 60);
}

static void test_file_read_survives_each_failed_malloc(void **state) {
  (void)state;
  long failures = 0;
  for (long n = 1;; n++) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    neo_buf buf = {0};
    neo_fail_malloc_at(n);
    neo_status status = neo_file_read(&ctx, "/proc/self/exe", 0, &buf);
    long failed = neo_fail_malloc_count();
    neo_fail_malloc_at(0);
    assert_int_equal(status, failed ? NEO_NO_MEMORY : NEO_OK);
    assert_int_equal(buf.data == NULL, failed > 0);
    neo_buf_fini(&buf);
    if (!failed)
      break;
    failures++;
  }
  assert_true(failures > 0);
}

/* n-th malloc fails; n 0: the size itself overflows. */
static int exit_code_of_arena(long n, size_t size) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    fclose(stderr);
    neo_arena arena;
    neo_arena_init(&arena);
    neo_fail_malloc_at(n);
    neo_arena_alloc(&arena, 100);
    neo_arena_alloc(&arena, size);
    _exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_arena_exits_when_memory_runs_out(void **state) {
  (void)state;
  assert_int_equal(exit_code_of_arena(0, SIZE_MAX - 8), NEO_NO_MEMORY);
  assert_int_equal(exit_code_of_arena(1, 1), NEO_NO_MEMORY);
  assert_int_equal(exit_code_of_arena(2, 100000), NEO_NO_MEMORY);
  assert_int_equal(exit_code_of_arena(0, 100000), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_buf_survives_each_failed_malloc),
      cmocka_unit_test(test_map_survives_each_failed_malloc),
      cmocka_unit_test(test_arena_exits_when_memory_runs_out),
      cmocka_unit_test(test_file_read_survives_each_failed_malloc),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
