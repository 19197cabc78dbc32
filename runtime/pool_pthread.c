/* The pthread row of the pool: workers that one session owns.
 *
 * Why: the time between two operators is microseconds, so a worker first spins for the next piece
 * of work and only then sleeps; and with more workers than cpus spinning steals the cpu that the
 * work needs, so then nobody spins.
 *
 * Algorithm: the caller publishes (fn, self, n), sets `pending` and increments `round`. A worker
 * that sees a new round does its part and decrements `pending`; the last one wakes the caller if it
 * sleeps. Sleepers announce themselves in `sleepers` (or `caller_sleeps`) before they look at the
 * counter once more under the lock, and wakers change the counter before they look at the
 * announcement; both sequentially consistent, so no wake-up is lost and an awake pool takes no lock
 * at all.
 *
 * Invariants
 * 1. fn, self and n are written only while pending == 0.
 * 2. A worker takes part in every round exactly once (its own `seen` counter). */
#include "runtime/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "runtime/os.h"

enum { SPINS = 4000 }; /* about 60 to 100 us */

/* Tells the core that we are spinning. */
#if defined(__x86_64__)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() atomic_signal_fence(memory_order_seq_cst)
#endif

typedef struct worker {
  struct pthread_pool *pool;
  pthread_t thread;
  int index, cpu; /* cpu -1: not pinned */
} worker;

typedef struct pthread_pool {
  neo_pool base;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
  atomic_uint round;
  atomic_int pending, sleepers, caller_sleeps;
  atomic_bool stop;
  int spins, started;
  neo_pool_fn fn;
  void *self;
  int64_t n;
  worker worker[]; /* 0 is the caller */
} pthread_pool;

static bool spin_for_round(pthread_pool *pool, unsigned seen) {
  for (int i = 0; i < pool->spins; i++) {
    if (atomic_load_explicit(&pool->round, memory_order_acquire) != seen)
      return true;
    RELAX();
  }
  return false;
}

static void wait_for_round(pthread_pool *pool, unsigned seen) {
  if (spin_for_round(pool, seen))
    return;
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_add(&pool->sleepers, 1);
  while (atomic_load(&pool->round) == seen)
    pthread_cond_wait(&pool->wake, &pool->lock);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->lock);
}

static void finish_part(pthread_pool *pool) {
  if (atomic_fetch_sub(&pool->pending, 1) != 1 || !atomic_load(&pool->caller_sleeps))
    return;
  pthread_mutex_lock(&pool->lock);
  pthread_cond_signal(&pool->done);
  pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *argument) {
  worker *me = argument;
  pthread_pool *pool = me->pool;
  if (me->cpu >= 0)
    neo_os_pin(me->cpu);
  for (unsigned seen = 0;; seen++) {
    wait_for_round(pool, seen);
    if (atomic_load(&pool->stop))
      return NULL;
    neo_pool_part(pool->base.threads, me->index, pool->n, pool->fn, pool->self);
    finish_part(pool);
  }
}

static void start_round(pthread_pool *pool) {
  atomic_fetch_add(&pool->round, 1);
  if (!atomic_load(&pool->sleepers))
    return;
  pthread_mutex_lock(&pool->lock);
  pthread_cond_broadcast(&pool->wake);
  pthread_mutex_unlock(&pool->lock);
}

static void wait_for_workers(pthread_pool *pool) {
  for (int i = 0; i < pool->spins; i++) {
    if (atomic_load_explicit(&pool->pending, memory_order_acquire) == 0)
      return;
    RELAX();
  }
  pthread_mutex_lock(&pool->lock);
  atomic_store(&pool->caller_sleeps, 1);
  while (atomic_load(&pool->pending) != 0)
    pthread_cond_wait(&pool->done, &pool->lock);
  atomic_store(&pool->caller_sleeps, 0);
  pthread_mutex_unlock(&pool->lock);
}

static void run(neo_pool *base, int64_t n, neo_pool_fn fn, void *self) {
  pthread_pool *pool = (pthread_pool *)base;
  pool->fn = fn;
  pool->self = self;
  pool->n = n;
  atomic_store(&pool->pending, base->threads - 1);
  start_round(pool);
  neo_pool_part(base->threads, 0, n, fn, self);
  wait_for_workers(pool);
}

static void destroy(neo_ctx *ctx, neo_pool *base) {
  pthread_pool *pool = (pthread_pool *)base;
  atomic_store(&pool->stop, true);
  start_round(pool);
  for (int i = 1; i <= pool->started; i++)
    pthread_join(pool->worker[i].thread, NULL);
  pthread_cond_destroy(&pool->done);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->lock);
  neo_free(ctx, pool);
}

static neo_status create(neo_ctx *ctx, int threads, const int *cpus, neo_pool **out) {
  pthread_pool *pool = neo_alloc(ctx, sizeof(*pool) + (size_t)threads * sizeof(worker));
  if (!pool)
    return neo_fail(ctx, NEO_NO_MEMORY, "pool: out of memory");
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->wake, NULL);
  pthread_cond_init(&pool->done, NULL);
  int allowed[1024];
  pool->spins = cpus || threads <= neo_os_cpus(allowed, NEO_COUNT(allowed)) ? SPINS : 0;
  for (int i = 1; i < threads; i++) {
    worker *w = &pool->worker[i];
    *w = (worker){.pool = pool, .index = i, .cpu = cpus ? cpus[i] : -1};
    int error = pthread_create(&w->thread, NULL, worker_main, w);
    if (error) {
      destroy(ctx, &pool->base);
      return neo_fail(ctx, NEO_NO_MEMORY, "pool: worker %d of %d could not be started: %s", i,
                      threads, strerror(error));
    }
    pool->started = i;
  }
  if (cpus)
    neo_os_pin(cpus[0]);
  *out = &pool->base;
  return NEO_OK;
}

const neo_pool_row neo_pool_pthread = {NEO_POOL_PTHREAD, create, destroy, run};
