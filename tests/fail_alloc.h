/* tests/fail_alloc.h: an allocator whose n-th request fails, and the loop that tries every n.
 *
 * Use. Write what is tested as a function that releases all it made, then sweep it:
 *
 *   static neo_status load(void *self, neo_ctx *ctx) { ...; return status; }
 *   ...
 *   neo_fail_alloc_sweep(load, &input);
 *
 * The sweep calls load once per allocation that load makes, failing the first, the second, ... of
 * them, until a call meets no failure. It asserts, with cmocka, that every failed allocation gives
 * NEO_NO_MEMORY with a message, that the untroubled call gives NEO_OK, and that no block is left
 * over after any of them. It returns how many allocations were failed, to assert that it is not 0.
 * Only what goes through the context's allocator is seen; for code that calls malloc itself
 * (neo_buf, neo_map) see tests/fail_malloc.h. */
#ifndef NEO_TESTS_FAIL_ALLOC_H
#define NEO_TESTS_FAIL_ALLOC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/core.h"

typedef struct neo_fail_alloc {
  neo_allocator allocator; /* give its address to ctx->allocator */
  long fail_at;            /* the request that fails, from 1; 0: none */
  long requests;           /* so far */
  long failures;           /* 0 or 1 */
  long live;               /* blocks not yet released */
} neo_fail_alloc;

static inline void *neo_fail_alloc_resize(void *self, void *ptr, size_t size) {
  neo_fail_alloc *state = self;
  if (size == 0) {
    state->live -= ptr ? 1 : 0;
    free(ptr);
    return NULL;
  }
  if (++state->requests == state->fail_at) {
    state->failures++;
    return NULL;
  }
  void *block = realloc(ptr, size);
  state->live += block && !ptr ? 1 : 0;
  return block;
}

static inline void neo_fail_alloc_init(neo_fail_alloc *state, long fail_at) {
  *state = (neo_fail_alloc){.fail_at = fail_at};
  state->allocator = (neo_allocator){.resize = neo_fail_alloc_resize, .self = state};
}

static inline long neo_fail_alloc_sweep(neo_status (*run)(void *self, neo_ctx *ctx), void *self) {
  for (long n = 1;; n++) {
    neo_fail_alloc state;
    neo_fail_alloc_init(&state, n);
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    ctx.allocator = &state.allocator;
    neo_status status = run(self, &ctx);
    assert_int_equal(state.live, 0);
    if (state.failures == 0) {
      assert_int_equal(status, NEO_OK);
      return n - 1;
    }
    assert_int_equal(status, NEO_NO_MEMORY);
    assert_int_equal(ctx.status, NEO_NO_MEMORY);
    assert_true(ctx.message[0] != '\0');
  }
}

#endif
