/* Worker pools: the part that all kinds share.
 *
 * Why: operators are short (tens of microseconds), so a pool must hand out work without allocating
 * and without a system call when its workers are awake; and a session in somebody else's process
 * must own its workers, or share those of OpenMP if the process already has them.
 *
 * Design: ranges are static (one contiguous part a worker), because a kernel's grid is made even by
 * its schedule; so a run is deterministic in who computes what. One worker, or one grid index, runs
 * inline. A kernel that fails does not stop the others of its launch, only the following launches.
 */
#include "runtime/pool.h"

#include <stdatomic.h>

#include "runtime/os.h"

static const neo_pool_row *const rows[] = {&neo_pool_pthread, &neo_pool_openmp};

/* A pool of one: the caller itself. */
static neo_status solo_create(neo_ctx *ctx, int threads, const int *cpus, neo_pool **out) {
  neo_pool *pool = neo_alloc(ctx, sizeof(*pool));
  if (!pool)
    return neo_fail(ctx, NEO_NO_MEMORY, "pool: out of memory");
  (void)threads;
  if (cpus)
    neo_os_pin(cpus[0]);
  *out = pool;
  return NEO_OK;
}

static void solo_destroy(neo_ctx *ctx, neo_pool *pool) {
  neo_free(ctx, pool);
}

static void solo_run(neo_pool *pool, int64_t n, neo_pool_fn fn, void *self) {
  (void)pool;
  fn(self, 0, 0, n);
}

static const neo_pool_row solo = {NEO_POOL_DEFAULT, solo_create, solo_destroy, solo_run};

void neo_pool_part(int threads, int worker, int64_t n, neo_pool_fn fn, void *self) {
  int64_t each = n / threads, rest = n % threads;
  int64_t begin = each * worker + neo_min_i64(worker, rest);
  int64_t end = begin + each + (worker < rest);
  if (begin < end)
    fn(self, worker, begin, end);
}

static const neo_pool_row *row_find(neo_pool_kind kind, int threads) {
  if (threads == 1)
    return &solo;
  if (kind == NEO_POOL_DEFAULT)
    return &neo_pool_pthread;
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (rows[i]->kind == kind)
      return rows[i];
  return NULL;
}

neo_status neo_pool_create(neo_ctx *ctx, neo_pool_kind kind, int threads, const int *cpus,
                           neo_pool **out) {
  enum { MAX_THREADS = 1024 };
  if (threads < 1 || threads > MAX_THREADS)
    return neo_fail(ctx, NEO_USAGE, "pool: %d threads, 1 to %d expected", threads, MAX_THREADS);
  const neo_pool_row *row = row_find(kind, threads);
  if (!row)
    return neo_fail(ctx, NEO_UNSUPPORTED, "pool: kind %d is not in this build", (int)kind);
  neo_pool *pool;
  NEO_TRY(row->create(ctx, threads, cpus, &pool));
  pool->row = row;
  pool->allocator = ctx->allocator;
  pool->threads = threads;
  *out = pool;
  return NEO_OK;
}

void neo_pool_destroy(neo_pool *pool) {
  if (!pool)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = pool->allocator;
  pool->row->destroy(&ctx, pool);
}

int neo_pool_threads(const neo_pool *pool) {
  return pool->threads;
}

void neo_pool_run(neo_pool *pool, int64_t n, neo_pool_fn fn, void *self) {
  if (n <= 0)
    return;
  if (n == 1)
    fn(self, 0, 0, 1);
  else
    pool->row->run(pool, n, fn, self);
}

typedef struct launch_part {
  const neo_pool_call *call;
  neo_kernel_fn fn;
  int64_t scratch_stride;
  atomic_int_least32_t result;
} launch_part;

static void launch_worker(void *self, int worker, int64_t begin, int64_t end) {
  launch_part *part = self;
  const neo_pool_call *call = part->call;
  neo_kernel_env env = {.begin = begin, .end = end, .work = call->work};
  if (call->scratch)
    env.scratch = (char *)call->scratch + worker * part->scratch_stride;
  int32_t result = part->fn(&env, call->buf, call->dim);
  int_least32_t none = 0;
  if (result)
    atomic_compare_exchange_strong(&part->result, &none, result);
}

int32_t neo_pool_launch(neo_pool *pool, const neo_pool_call *call) {
  launch_part part = {.call = call, .scratch_stride = (call->scratch_bytes + 63) / 64 * 64};
  atomic_init(&part.result, 0);
  for (int i = 0; i < call->n_launches; i++) {
    part.fn = call->fn[i];
    neo_pool_run(pool, call->grid[i], launch_worker, &part);
    int32_t result = atomic_load(&part.result);
    if (result)
      return result;
  }
  return 0;
}
