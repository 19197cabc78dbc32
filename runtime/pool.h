/* runtime/pool.h: between pool.c and its rows (pool_pthread.c, pool_openmp.c); nobody else includes
 * it. */
#ifndef NEO_RUNTIME_POOL_H
#define NEO_RUNTIME_POOL_H

#include "runtime/runtime.h"

/* A row starts with this header. */
struct neo_pool {
  const struct neo_pool_row *row;
  const neo_allocator *allocator;
  int threads;
};

typedef struct neo_pool_row {
  neo_pool_kind kind;
  /* threads >= 2. cpus may be NULL. */
  neo_status (*create)(neo_ctx *ctx, int threads, const int *cpus, neo_pool **out);
  void (*destroy)(neo_ctx *ctx, neo_pool *pool);
  /* n >= 2: calls neo_pool_part for every worker and waits. */
  void (*run)(neo_pool *pool, int64_t n, neo_pool_fn fn, void *self);
} neo_pool_row;

extern const neo_pool_row neo_pool_pthread, neo_pool_openmp;

/* Worker's share of [0, n): calls fn unless it is empty. */
void neo_pool_part(int threads, int worker, int64_t n, neo_pool_fn fn, void *self);

#endif
