/* The context, allocation, arenas and maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/core.h"
#include "tests/fail_alloc.h"

static void test_first_failure_wins(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  assert_int_equal(neo_fail(&ctx, NEO_BAD_INPUT, "node %d", 7), NEO_BAD_INPUT);
  assert_int_equal(neo_fail(&ctx, NEO_IO, "later"), NEO_IO);
  assert_int_equal(ctx.status, NEO_BAD_INPUT);
  assert_string_equal(ctx.message, "node 7");
  neo_ctx_clear(&ctx);
  assert_int_equal(ctx.status, NEO_OK);
  assert_string_equal(ctx.message, "");
  char longer[3000];
  memset(longer, 'x', sizeof(longer) - 1);
  longer[sizeof(longer) - 1] = '\0';
  neo_fail(&ctx, NEO_IO, "%s", longer);
  assert_int_equal(strlen(ctx.message), sizeof(ctx.message) - 1);
}

static void keep_log(void *self, neo_log_level level, const char *text) {
  snprintf(self, 64, "%d %s", (int)level, text);
}

static uint64_t fixed_clock(void *self) {
  return *(uint64_t *)self;
}

static void test_fork_shares_services_not_errors(void **state) {
  (void)state;
  char kept[64] = "";
  uint64_t now = 12345;
  neo_ctx parent, child, second;
  neo_ctx_init(&parent, 1);
  parent.log = keep_log;
  parent.log_self = kept;
  parent.now_ns = fixed_clock;
  parent.now_self = &now;
  neo_fail(&parent, NEO_IO, "parent's");
  neo_ctx_fork(&child, &parent);
  neo_ctx_fork(&second, &parent);
  assert_int_equal(child.status, NEO_OK);
  assert_int_equal(neo_now_ns(&child), 12345);
  neo_log(&child, NEO_LOG_WARN, "hot %d", 3);
  assert_string_equal(kept, "1 hot 3");
  assert_true(neo_rng_next(&child.rng) != neo_rng_next(&second.rng));
}

static void test_clock_is_monotonic(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  uint64_t first = neo_now_ns(&ctx);
  assert_true(first > 0 && neo_now_ns(&ctx) >= first);
}

static void test_every_status_has_a_name(void **state) {
  (void)state;
  const neo_status all[] = {NEO_OK,          NEO_INTERNAL,         NEO_USAGE,       NEO_BAD_INPUT,
                            NEO_UNSUPPORTED, NEO_NOTHING_MEASURED, NEO_UNREACHABLE, NEO_NO_MEMORY,
                            NEO_IO,          NEO_INTERRUPTED};
  for (int i = 0; i < NEO_COUNT(all); i++)
    for (int j = 0; j < i; j++)
      assert_string_not_equal(neo_status_name(all[i]), neo_status_name(all[j]));
  assert_string_equal(neo_status_name((neo_status)99), "unknown status");
}

static void test_aligned_blocks(void **state) {
  (void)state;
  neo_fail_alloc alloc;
  neo_fail_alloc_init(&alloc, 0);
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  ctx.allocator = &alloc.allocator;
  for (size_t size = 0; size < 200; size += 7) {
    unsigned char *block = neo_aligned_alloc(&ctx, size);
    assert_non_null(block);
    assert_int_equal((uintptr_t)block % 64, 0);
    for (size_t i = 0; i < size; i++)
      assert_int_equal(block[i], 0);
    memset(block, 0xff, size);
    neo_aligned_free(&ctx, block);
  }
  assert_null(neo_aligned_alloc(&ctx, SIZE_MAX - 8));
  neo_aligned_free(&ctx, NULL);
  assert_int_equal(alloc.live, 0);
}

static void test_arithmetic(void **state) {
  (void)state;
  size_t product = 1;
  assert_true(neo_mul_size(SIZE_MAX, 1, &product) && product == SIZE_MAX);
  assert_true(neo_mul_size(SIZE_MAX, 0, &product) && product == 0);
  assert_false(neo_mul_size(SIZE_MAX / 2 + 1, 2, &product));
  for (int64_t a = -9; a <= 9; a++)
    for (int64_t b = 1; b <= 4; b++) {
      int64_t q = neo_floor_div(a, b), r = neo_floor_mod(a, b);
      assert_int_equal(q * b + r, a);
      assert_in_range(r, 0, b - 1);
    }
  assert_int_equal(neo_ceil_div(7, 3), 3);
  assert_int_equal(neo_ceil_div(6, 3), 2);
}

static void test_arena_blocks_are_apart_zeroed_and_aligned(void **state) {
  (void)state;
  neo_arena arena;
  neo_arena_init(&arena);
  neo_rng rng;
  neo_rng_init(&rng, 5);
  enum { BLOCKS = 400 };
  unsigned char *blocks[BLOCKS];
  size_t sizes[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    sizes[i] = i % 20 == 0 ? neo_rng_below(&rng, 100000) : neo_rng_below(&rng, 300);
    blocks[i] = neo_arena_alloc(&arena, sizes[i]);
    assert_int_equal((uintptr_t)blocks[i] % 16, 0);
    for (size_t j = 0; j < sizes[i]; j++)
      assert_int_equal(blocks[i][j], 0);
    memset(blocks[i], i & 0xff, sizes[i]);
  }
  for (int i = 0; i < BLOCKS; i++)
    for (size_t j = 0; j < sizes[i]; j++)
      assert_int_equal(blocks[i][j], i & 0xff);
  neo_arena_fini(&arena);
  neo_arena_fini(&arena);
}

static void test_arena_reset_reuses_and_zeroes(void **state) {
  (void)state;
  neo_arena arena;
  neo_arena_init(&arena);
  neo_arena_reset(&arena);
  for (int round = 0; round < 50; round++) {
    for (int i = 0; i < 100; i++) {
      char *block = neo_arena_alloc(&arena, 1000);
      assert_int_equal(block[0] | block[999], 0);
      memset(block, 1, 1000);
    }
    neo_arena_reset(&arena);
    assert_int_equal(arena.used, 0);
    assert_in_range(arena.total, 1, 1 << 20);
  }
  neo_arena_fini(&arena);
}

static void test_arena_texts_and_growth(void **state) {
  (void)state;
  neo_arena arena;
  neo_arena_init(&arena);
  assert_string_equal(neo_arena_strdup(&arena, "te"), "te");
  assert_string_equal(neo_arena_strndup(&arena, "tensor", 3), "ten");
  assert_string_equal(neo_arena_printf(&arena, "%s_%d", "i", 12), "i_12");
  assert_int_equal(strlen(neo_arena_printf(&arena, "%5000d", 1)), 5000);
  assert_memory_equal(neo_arena_copy(&arena, "\1\2\3", 3), "\1\2\3", 3);
  int *values = NULL, cap = 0;
  for (int n = 0; n < 1000; n++) {
    values = neo_arena_grow(&arena, values, &cap, n + 1, sizeof(*values));
    values[n] = n;
  }
  assert_in_range(cap, 1000, 2048);
  for (int n = 0; n < 1000; n++)
    assert_int_equal(values[n], n);
  neo_arena_fini(&arena);
}

static void test_map_of_many_keys(void **state) {
  (void)state;
  neo_map map = {0};
  assert_null(neo_map_get(&map, "absent"));
  static int values[5000];
  char key[32];
  for (int i = 0; i < 5000; i++) {
    snprintf(key, sizeof(key), "/layer%d/w", i);
    assert_true(neo_map_put(&map, key, &values[i]));
  }
  assert_int_equal(map.used, 5000);
  assert_true(neo_map_put(&map, "/layer7/w", &values[0]));
  assert_int_equal(map.used, 5000);
  for (int i = 0; i < 5000; i++) {
    snprintf(key, sizeof(key), "/layer%d/w", i);
    assert_ptr_equal(neo_map_get(&map, key), i == 7 ? &values[0] : &values[i]);
  }
  assert_null(neo_map_get(&map, "/layer5000/w"));
  assert_true(neo_map_put(&map, "", &values[1]));
  assert_ptr_equal(neo_map_get(&map, ""), &values[1]);
  neo_map_fini(&map);
  assert_null(neo_map_get(&map, ""));
}

/* The harness itself: a function that leaks on its second failure would be caught. */
static neo_status allocates_three(void *self, neo_ctx *ctx) {
  (void)self;
  neo_status status = NEO_OK;
  char *first = neo_alloc(ctx, 10);
  char *second = first ? neo_resize(ctx, NULL, 20) : NULL;
  char *third = second ? neo_aligned_alloc(ctx, 30) : NULL;
  if (!third)
    status = neo_fail(ctx, NEO_NO_MEMORY, "three blocks: out of memory");
  neo_free(ctx, first);
  neo_free(ctx, second);
  neo_aligned_free(ctx, third);
  return status;
}

static void test_fail_alloc_sweep_reaches_every_allocation(void **state) {
  (void)state;
  assert_int_equal(neo_fail_alloc_sweep(allocates_three, NULL), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_failure_wins),
      cmocka_unit_test(test_fork_shares_services_not_errors),
      cmocka_unit_test(test_clock_is_monotonic),
      cmocka_unit_test(test_every_status_has_a_name),
      cmocka_unit_test(test_aligned_blocks),
      cmocka_unit_test(test_arithmetic),
      cmocka_unit_test(test_arena_blocks_are_apart_zeroed_and_aligned),
      cmocka_unit_test(test_arena_reset_reuses_and_zeroes),
      cmocka_unit_test(test_arena_texts_and_growth),
      cmocka_unit_test(test_map_of_many_keys),
      cmocka_unit_test(test_fail_alloc_sweep_reaches_every_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
