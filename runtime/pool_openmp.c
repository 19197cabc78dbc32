/* The OpenMP row of the pool: for processes that already compute with OpenMP, whose worker threads
 * are then shared instead of doubled.
 *
 * Why no state: libgomp keeps one team per calling host thread and reuses it while the team size
 * stays the same, so nothing is allocated after the first run.
 *
 * Invariant: if the runtime grants fewer threads than asked (limits, nesting), the parts of the
 * missing workers are computed by those that came: every part runs exactly once. */
#include "runtime/pool.h"

#include <omp.h>
#include <string.h>

#include "runtime/os.h"

typedef struct openmp_pool {
  neo_pool base;
  bool pinned;
  int cpu[];
} openmp_pool;

static void run(neo_pool *base, int64_t n, neo_pool_fn fn, void *self) {
  openmp_pool *pool = (openmp_pool *)base;
  int threads = base->threads;
#pragma omp parallel num_threads(threads)
  {
    int me = omp_get_thread_num(), team = omp_get_num_threads();
    if (pool->pinned && neo_os_cpu_now() != pool->cpu[me]) /* the team may be another's since */
      neo_os_pin(pool->cpu[me]);
    for (int worker = me; worker < threads; worker += team)
      neo_pool_part(threads, worker, n, fn, self);
  }
}

static neo_status create(neo_ctx *ctx, int threads, const int *cpus, neo_pool **out) {
  size_t count = (size_t)threads;
  openmp_pool *pool = neo_alloc(ctx, sizeof(*pool) + count * sizeof(int));
  if (!pool)
    return neo_fail(ctx, NEO_NO_MEMORY, "pool: out of memory");
  if (cpus) {
    pool->pinned = true;
    memcpy(pool->cpu, cpus, count * sizeof(int));
  }
  *out = &pool->base;
  return NEO_OK;
}

static void destroy(neo_ctx *ctx, neo_pool *pool) {
  neo_free(ctx, pool);
}

const neo_pool_row neo_pool_openmp = {NEO_POOL_OPENMP, create, destroy, run};
