/* Worker pools: every index exactly once, at 1, 2 and 5 threads, for every kind; stress; failures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "runtime/runtime.h"
#include "tests/fail_alloc.h"

static const neo_pool_kind kinds[] = {NEO_POOL_DEFAULT, NEO_POOL_PTHREAD, NEO_POOL_OPENMP};
static const int thread_counts[] = {1, 2, 5};

enum { MAX_N = 1000 };

typedef struct tally {
  int seen[MAX_N];
  int worker[MAX_N];
  atomic_int calls;
} tally;

static void count(void *self, int worker, int64_t begin, int64_t end) {
  tally *t = self;
  atomic_fetch_add(&t->calls, 1);
  for (int64_t i = begin; i < end; i++) {
    t->seen[i]++;
    t->worker[i] = worker;
  }
}

static void check_split(neo_pool *pool, int64_t n) {
  static tally t;
  memset(&t, 0, sizeof(t));
  neo_pool_run(pool, n, count, &t);
  for (int64_t i = 0; i < n; i++) {
    assert_int_equal(t.seen[i], 1);
    assert_true(t.worker[i] >= 0 && t.worker[i] < neo_pool_threads(pool));
    assert_true(i == 0 || t.worker[i] >= t.worker[i - 1]);
  }
  assert_true(atomic_load(&t.calls) <= neo_pool_threads(pool));
}

static void every_index_once(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  for (int k = 0; k < NEO_COUNT(kinds); k++)
    for (int t = 0; t < NEO_COUNT(thread_counts); t++) {
      neo_pool *pool;
      assert_int_equal(neo_pool_create(&ctx, kinds[k], thread_counts[t], NULL, &pool), NEO_OK);
      assert_int_equal(neo_pool_threads(pool), thread_counts[t]);
      for (int64_t n = 0; n < 14; n++)
        check_split(pool, n);
      check_split(pool, MAX_N);
      neo_pool_destroy(pool);
    }
}

static void add_one(void *self, int worker, int64_t begin, int64_t end) {
  (void)worker;
  (void)begin;
  (void)end;
  atomic_fetch_add((atomic_int *)self, 1);
}

/* Short rounds back to back: lost wake-ups would hang here. */
static void many_short_rounds(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  for (int k = 1; k < NEO_COUNT(kinds); k++)
    for (int t = 0; t < NEO_COUNT(thread_counts); t++) {
      neo_pool *pool;
      assert_int_equal(neo_pool_create(&ctx, kinds[k], thread_counts[t], NULL, &pool), NEO_OK);
      int rounds = kinds[k] == NEO_POOL_OPENMP && thread_counts[t] == 5 ? 20 : 3000;
      atomic_int sum = 0;
      for (int i = 0; i < rounds; i++)
        neo_pool_run(pool, thread_counts[t] + 1, add_one, &sum);
      assert_int_equal(atomic_load(&sum), rounds * thread_counts[t]);
      neo_pool_destroy(pool);
    }
}

/* Workers that fell asleep between rounds are woken. */
static void rounds_after_a_pause(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_pool *pool;
  assert_int_equal(neo_pool_create(&ctx, NEO_POOL_PTHREAD, 5, NULL, &pool), NEO_OK);
  atomic_int sum = 0;
  for (int i = 0; i < 20; i++) {
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
    neo_pool_run(pool, 5, add_one, &sum);
  }
  assert_int_equal(atomic_load(&sum), 100);
  neo_pool_destroy(pool);
}

static int32_t fill(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  int32_t *out = buf[0];
  for (int64_t i = env->begin; i < env->end; i++) {
    ((int32_t *)env->scratch)[0] = (int32_t)(i * dim[0]);
    out[i] = ((int32_t *)env->scratch)[0] + ((int32_t *)env->work)[0];
  }
  return 0;
}

static int32_t fail_at_three(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)buf;
  (void)dim;
  return env->begin <= 3 && 3 < env->end ? 42 : 0;
}

static void launches_in_order(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_pool *pool;
  assert_int_equal(neo_pool_create(&ctx, NEO_POOL_DEFAULT, 2, NULL, &pool), NEO_OK);
  int32_t out[10] = {0}, work[1] = {7};
  int64_t scratch[16], dim[1] = {3}, grid[2] = {10, 10};
  void *buf[1] = {out};
  const neo_kernel_fn good[1] = {fill};
  neo_pool_call call = {1, good, grid, buf, dim, work, scratch, 8};
  assert_int_equal(neo_pool_launch(pool, &call), 0);
  for (int i = 0; i < 10; i++)
    assert_int_equal(out[i], 3 * i + 7);
  const neo_kernel_fn bad[2] = {fail_at_three, fill};
  memset(out, 0, sizeof(out));
  call.n_launches = 2;
  call.fn = bad;
  assert_int_equal(neo_pool_launch(pool, &call), 42);
  assert_int_equal(out[1], 0); /* the launch after a failed one does not run */
  neo_pool_destroy(pool);
}

static void where(void *self, int worker, int64_t begin, int64_t end) {
  (void)begin;
  (void)end;
  ((int *)self)[worker] = sched_getcpu();
}

static void workers_are_pinned(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  cpu_set_t before;
  assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
  int cpus[2], found = 0;
  for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
    if (CPU_ISSET(i, &before))
      cpus[found++] = i;
  if (found < 2)
    skip(); /* one cpu: nothing to tell apart */
  for (int k = 1; k < NEO_COUNT(kinds); k++) {
    neo_pool *pool;
    int at[2] = {-1, -1};
    assert_int_equal(neo_pool_create(&ctx, kinds[k], 2, cpus, &pool), NEO_OK);
    neo_pool_run(pool, 2, where, at);
    assert_int_equal(at[0], cpus[0]);
    assert_int_equal(at[1], cpus[1]);
    neo_pool_destroy(pool);
    sched_setaffinity(0, sizeof(before), &before);
  }
}

static void bad_requests(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_pool *pool = NULL;
  assert_int_equal(neo_pool_create(&ctx, NEO_POOL_DEFAULT, 0, NULL, &pool), NEO_USAGE);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_pool_create(&ctx, (neo_pool_kind)9, 2, NULL, &pool), NEO_UNSUPPORTED);
  assert_null(pool);
  neo_pool_destroy(NULL);
}

static void survives_failed_allocations(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(kinds); k++)
    for (int threads = 1; threads < 3; threads++) {
      neo_ctx ctx;
      neo_fail_alloc alloc;
      neo_pool *pool = NULL;
      neo_ctx_init(&ctx, 1);
      neo_fail_alloc_init(&alloc, 1);
      ctx.allocator = &alloc.allocator;
      assert_int_equal(neo_pool_create(&ctx, kinds[k], threads, NULL, &pool), NEO_NO_MEMORY);
      assert_null(pool);
      neo_fail_alloc_init(&alloc, 0);
      neo_ctx_clear(&ctx);
      assert_int_equal(neo_pool_create(&ctx, kinds[k], threads, NULL, &pool), NEO_OK);
      long calls = alloc.requests;
      atomic_int sum = 0;
      neo_pool_run(pool, 8, add_one, &sum);
      assert_int_equal(alloc.requests, calls);
      neo_pool_destroy(pool);
      assert_int_equal(alloc.live, 0);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_index_once),
      cmocka_unit_test(many_short_rounds),
      cmocka_unit_test(rounds_after_a_pause),
      cmocka_unit_test(launches_in_order),
      cmocka_unit_test(workers_are_pinned),
      cmocka_unit_test(bad_requests),
      cmocka_unit_test(survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
