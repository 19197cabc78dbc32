/* tests/arena_fixture.h: a context and an arena for each test of a file:
 * cmocka_unit_test_setup_teardown(test, setup, teardown). Include cmocka first. */
#ifndef NEO_TESTS_ARENA_FIXTURE_H
#define NEO_TESTS_ARENA_FIXTURE_H

#include "base/core.h"

static neo_arena arena;
static neo_ctx ctx;

static int setup(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  return 0;
}

static int teardown(void **state) {
  (void)state;
  neo_arena_fini(&arena);
  return 0;
}

#endif
