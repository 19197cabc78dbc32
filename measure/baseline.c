/* OpenBLAS as the baseline of GEMM-shaped tasks, loaded at run time.
 *
 * A task is GEMM-shaped when its first reducing block adds up products of two loads over exactly
 * one reduce axis, and each spatial axis indexes one operand (M or N) or both (batch). The time is
 * sgemm's alone, best layout for it, data in cache: a generous baseline. */
#include <dlfcn.h>
#include <string.h>

#include "measure/parts.h"

typedef struct gemm_shape {
  int64_t m, n, k, batch;
} gemm_shape;

static const neo_expr *strip_cast(const neo_expr *e) {
  while (e->op == NEO_EXPR_CAST)
    e = e->arg[0];
  return e;
}

static bool load_uses(const neo_expr *load, int axis) {
  for (int i = 0; i < load->n_args; i++)
    if (neo_expr_uses_var(load->arg[i], axis))
      return true;
  return false;
}

static bool gemm_of(const neo_te *te, gemm_shape *out) {
  const neo_te_block *block = NULL;
  for (int b = 0; b < te->n_blocks && !block; b++)
    if (te->block[b].n_reduce == 1 && te->block[b].combine == NEO_COMBINE_ADD &&
        te->block[b].body->op == NEO_EXPR_MUL)
      block = &te->block[b];
  if (!block)
    return false;
  const neo_expr *a = strip_cast(block->body->arg[0]), *b = strip_cast(block->body->arg[1]);
  if (a->op != NEO_EXPR_LOAD || b->op != NEO_EXPR_LOAD || a->dtype != NEO_F32 ||
      b->dtype != NEO_F32)
    return false;
  gemm_shape shape = {1, 1, block->extent[block->n_spatial], 1};
  for (int i = 0; i < block->n_spatial; i++) {
    bool in_a = load_uses(a, i), in_b = load_uses(b, i);
    if (in_a && in_b)
      shape.batch *= block->extent[i];
    else if (in_a)
      shape.m *= block->extent[i];
    else if (in_b)
      shape.n *= block->extent[i];
  }
  *out = shape;
  return shape.m > 1 && shape.n > 1 && shape.k > 1;
}

typedef void (*sgemm_fn)(int order, int ta, int tb, int m, int n, int k, float alpha,
                         const float *a, int lda, const float *b, int ldb, float beta, float *c,
                         int ldc);

static neo_status time_gemm(neo_ctx *ctx, sgemm_fn sgemm, const gemm_shape *shape, double *out_ns) {
  int m = (int)shape->m, n = (int)shape->n, k = (int)shape->k;
  float *a = neo_aligned_alloc(ctx, sizeof(float) * (size_t)(shape->m * shape->k));
  float *b = neo_aligned_alloc(ctx, sizeof(float) * (size_t)(shape->k * shape->n));
  float *c = neo_aligned_alloc(ctx, sizeof(float) * (size_t)(shape->m * shape->n));
  double best = 0;
  for (int run = 0; run < 8 && a && b && c; run++) {
    uint64_t start = neo_now_ns(ctx);
    sgemm(101, 111, 111, m, n, k, 1, a, k, b, n, 0, c, n); /* row-major, no transposes */
    double ns = (double)(neo_now_ns(ctx) - start);
    if (run == 1 || (run > 1 && ns < best))
      best = ns;
  }
  bool ok = a && b && c;
  neo_aligned_free(ctx, a);
  neo_aligned_free(ctx, b);
  neo_aligned_free(ctx, c);
  if (!ok)
    return neo_fail(ctx, NEO_NO_MEMORY, "baseline: gemm %d x %d x %d", m, n, k);
  *out_ns = best * (double)shape->batch;
  return NEO_OK;
}

bool neo_measure_has_baseline(const neo_te *te) {
  gemm_shape shape;
  return gemm_of(te, &shape) && shape.m <= INT32_MAX && shape.n <= INT32_MAX;
}

neo_status neo_measure_baseline(neo_ctx *ctx, const neo_te *te, int threads, double *out_ns,
                                char core[32]) {
  gemm_shape shape;
  if (!gemm_of(te, &shape) || shape.m > INT32_MAX || shape.n > INT32_MAX)
    return neo_fail(ctx, NEO_UNSUPPORTED, "baseline: not a matrix product");
  void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return neo_fail(ctx, NEO_UNSUPPORTED, "baseline: OpenBLAS is not installed (%s)", dlerror());
  sgemm_fn sgemm;
  void (*set_threads)(int);
  char *(*corename)(void);
  *(void **)&sgemm = dlsym(library, "cblas_sgemm");
  *(void **)&set_threads = dlsym(library, "openblas_set_num_threads");
  *(void **)&corename = dlsym(library, "openblas_get_corename");
  if (!sgemm || !set_threads || !corename) /* stays loaded: its threads cannot be stopped */
    return neo_fail(ctx, NEO_UNSUPPORTED, "baseline: this OpenBLAS lacks cblas_sgemm");
  set_threads(threads);
  snprintf(core, 32, "%s", corename());
  return time_gemm(ctx, sgemm, &shape, out_ns);
}
