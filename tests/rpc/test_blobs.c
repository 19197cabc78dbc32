/* The blob cache against a simple model of it: what was used last stays, bytes are never mixed up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/blobs.h"
#include "tests/fail_alloc.h"

static void keeps_and_forgets(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_blobs *blobs;
  const void *data;
  size_t size;
  static char bytes[4096];
  assert_int_equal(neo_blobs_create(&ctx, 8192, &blobs), NEO_OK);
  assert_false(neo_blobs_get(blobs, "a", &data, &size));
  assert_int_equal(neo_blobs_put(&ctx, blobs, "a", "first", 5), NEO_OK);
  assert_int_equal(neo_blobs_put(&ctx, blobs, "b", bytes, 4000), NEO_OK);
  assert_int_equal(neo_blobs_put(&ctx, blobs, "empty", NULL, 0), NEO_OK);
  assert_true(neo_blobs_get(blobs, "empty", &data, &size) && size == 0);
  assert_true(neo_blobs_get(blobs, "a", &data, &size)); /* used now: b is the oldest */
  assert_int_equal(neo_blobs_put(&ctx, blobs, "c", bytes, 4096), NEO_OK);
  assert_false(neo_blobs_get(blobs, "b", &data, &size));
  assert_true(neo_blobs_get(blobs, "a", &data, &size));
  assert_int_equal(size, 5);
  assert_memory_equal(data, "first", 5);
  assert_int_equal(neo_blobs_put(&ctx, blobs, "huge", bytes, 8192), NEO_NO_MEMORY);
  assert_true(neo_blobs_get(blobs, "c", &data, &size)); /* nothing was thrown out for it */
  neo_blobs_destroy(blobs);
  neo_blobs_destroy(NULL);
}

enum { KEYS = 200, ROUNDS = 20000, CAPACITY = 64 << 10 };

static void fill(uint8_t *bytes, int key, size_t size) {
  for (size_t i = 0; i < size; i++)
    bytes[i] = (uint8_t)((size_t)key * 31 + i * 7);
}

static void random_use(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 5);
  neo_blobs *blobs;
  static uint8_t bytes[4096], want[4096];
  assert_int_equal(neo_blobs_create(&ctx, CAPACITY, &blobs), NEO_OK);
  int hits = 0, misses = 0;
  for (int i = 0; i < ROUNDS; i++) {
    int k = (int)neo_rng_below(&ctx.rng, KEYS);
    size_t size = (size_t)(k * 97 % 4096), got;
    const void *data;
    char key[16];
    snprintf(key, sizeof(key), "key%d", k);
    if (!neo_blobs_get(blobs, key, &data, &got)) {
      misses++;
      fill(bytes, k, size);
      assert_int_equal(neo_blobs_put(&ctx, blobs, key, bytes, size), NEO_OK);
      assert_true(neo_blobs_get(blobs, key, &data, &got));
    } else {
      hits++;
    }
    fill(want, k, size);
    assert_int_equal(got, size);
    assert_memory_equal(data, want, size);
  }
  assert_true(hits > ROUNDS / 20 && misses > ROUNDS / 20);
  neo_blobs_destroy(blobs);
}

static void children_cannot_write(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_blobs *blobs;
  const void *data;
  size_t size;
  int status;
  assert_int_equal(neo_blobs_create(&ctx, 8192, &blobs), NEO_OK);
  assert_int_equal(neo_blobs_put(&ctx, blobs, "a", "text", 5), NEO_OK);
  assert_true(neo_blobs_get(blobs, "a", &data, &size));
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGSEGV, SIG_DFL);
    neo_blobs_protect(blobs);
    *(volatile char *)(uintptr_t)data = 'X';
    _exit(0);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  assert_string_equal(data, "text");
  neo_blobs_destroy(blobs);
}

static neo_status fill_cache(void *self, neo_ctx *ctx) {
  (void)self;
  neo_blobs *blobs;
  NEO_TRY(neo_blobs_create(ctx, 8192, &blobs));
  neo_status status = neo_blobs_put(ctx, blobs, "a", "first", 5);
  if (status == NEO_OK)
    status = neo_blobs_put(ctx, blobs, "b", "second", 6);
  neo_blobs_destroy(blobs);
  return status;
}

static void survives_failed_allocations(void **state) {
  (void)state;
  assert_int_equal(neo_fail_alloc_sweep(fill_cache, NULL), 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_and_forgets),
      cmocka_unit_test(random_use),
      cmocka_unit_test(children_cannot_write),
      cmocka_unit_test(survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
