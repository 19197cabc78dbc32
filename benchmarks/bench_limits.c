/* benchmarks/bench_limits.c: what this machine can do at most, for benchmarks/bar_limits.sh.
 *
 *   bench_limits [--threads N]      one line per limit: name, best, median, unit
 *
 * Why: a kernel's speed means something beside the limit that it runs into.
 *
 * How: every limit is a nest compiled by the generator that kernels come from. Peaks: independent
 * accumulators in registers, operands too; integers and bf16 through the rows of
 * schedule/intrinsics.def where the processor has the instruction. Bandwidth: each worker sums its
 * own stretch of memory again and again, the stretch being half of L1 or L2, a quarter of L3, or
 * eight times L3 for memory (shared among the workers). */
#include "base/host.h"
#include "codegen/codegen.h"
#include "runtime/runtime.h"
#include "schedule/intrinsic.h"
#include "schedule/nest.h"

#include <stdlib.h>
#include <string.h>

enum { CHAINS = 16, REPEATS = 15, MAX_PARAMS = 3 };

typedef struct bench {
  neo_ctx ctx;
  neo_target target;
  neo_pool *pool;
  int threads;
} bench;

typedef struct limit {
  const char *name, *unit;
  double amount; /* of unit x 1e9 in one run */
} limit;

static int compare_double(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void time_call(bench *b, const neo_pool_call *call, const limit *l) {
  double ns[REPEATS];
  neo_pool_launch(b->pool, call);
  for (int i = 0; i < REPEATS; i++) {
    uint64_t start = neo_now_ns(&b->ctx);
    neo_pool_launch(b->pool, call);
    ns[i] = (double)(neo_now_ns(&b->ctx) - start);
  }
  qsort(ns, REPEATS, sizeof *ns, compare_double);
  printf("%s\t%.1f\t%.1f\t%s\n", l->name, l->amount / ns[0], l->amount / ns[REPEATS / 2], l->unit);
  fflush(stdout);
}

static neo_status run_loaded(bench *b, const neo_nest *nest, const neo_loaded *loaded,
                             const limit *l) {
  neo_kernel_fn fn = neo_object_symbol(loaded, "k_0");
  void *buf[MAX_PARAMS] = {NULL};
  neo_status status = fn ? NEO_OK : neo_fail(&b->ctx, NEO_INTERNAL, "no symbol k_0");
  for (int i = 0; i < nest->n_params && status == NEO_OK; i++) {
    size_t bytes = (size_t)nest->buffer[i].elements * neo_dtype_size(nest->buffer[i].dtype);
    buf[i] = neo_aligned_alloc(&b->ctx, bytes);
    if (buf[i])
      memset(buf[i], 0x11, bytes); /* small floats and integers; and the pages are there */
    else
      status = neo_fail(&b->ctx, NEO_NO_MEMORY, "%s: no memory", l->name);
  }
  neo_pool_call call = {.n_launches = 1, .fn = &fn, .grid = &nest->launch[0].grid, .buf = buf};
  if (status == NEO_OK)
    time_call(b, &call, l);
  for (int i = 0; i < MAX_PARAMS; i++)
    neo_aligned_free(&b->ctx, buf[i]);
  return status;
}

static neo_status measure(bench *b, const char *text, const limit *l) {
  neo_arena arena;
  neo_object object = {0};
  neo_loaded *loaded = NULL;
  neo_arena_init(&arena);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_status status = neo_nest_parse(&b->ctx, &arena, text, nest);
  if (status == NEO_OK)
    status = neo_codegen_find("llvm")->build(&b->ctx, nest, &b->target, "k", &object);
  if (status == NEO_OK)
    status =
        neo_object_load(&b->ctx, (const uint8_t *)object.bytes.data, object.bytes.size, &loaded);
  if (status == NEO_OK)
    status = run_loaded(b, nest, loaded, l);
  neo_object_unload(loaded);
  neo_object_fini(&object);
  neo_arena_fini(&arena);
  return status;
}

/* step: what an accumulator chain does, over b0 (elements of type `a`), b1 (of type `w`) and the
 * chain's register. */
static neo_status measure_peak(bench *b, const limit *l, const char *buffers, const char *type,
                               const char *step) {
  enum { ITERATIONS = 1000000 };
  neo_buf text = {0};
  int lanes = b->target.vector_bytes / 4, width = CHAINS * lanes;
  limit whole = *l;
  whole.amount *= (double)ITERATIONS * CHAINS * lanes * b->threads;
  neo_buf_printf(&text,
                 "nest 1\n%sb2 param out %s %d\nb3 reg %s %d x%d\nlaunch i0 %d\n"
                 "  for i1 %d unroll\n    b3.x%d[i1*%d] = bcast.x%d(%s:0)\n"
                 "  for i2 %d\n    for i3 %d unroll\n      b3.x%d[i3*%d] = %s\n"
                 "  for i4 %d unroll\n    b2.x%d[i0*%d+i4*%d] = b3.x%d[i4*%d]\n",
                 buffers, type, width * b->threads, type, width, lanes, b->threads, CHAINS, lanes,
                 lanes, lanes, type, ITERATIONS, CHAINS, lanes, lanes, step, CHAINS, lanes, width,
                 lanes, lanes, lanes);
  neo_status status = measure(b, text.data, &whole);
  neo_buf_fini(&text);
  return status;
}

static neo_status measure_fma(bench *b) {
  char buffers[100], step[100];
  int lanes = b->target.vector_bytes / 4;
  snprintf(buffers, sizeof buffers, "b0 param f32 %d\nb1 param f32 %d\n", lanes, lanes);
  snprintf(step, sizeof step, "fma(b3.x%d[i3*%d], b0.x%d[0], b1.x%d[0])", lanes, lanes, lanes,
           lanes);
  return measure_peak(b, &(limit){"fma f32", "GFLOP/s", 2}, buffers, "f32", step);
}

/* Left out where the processor would not get the instruction itself. */
static neo_status measure_row(bench *b, const char *row, const limit *l) {
  char buffers[100], step[160];
  int number = neo_intrinsic_find(row), lanes = b->target.vector_bytes / 4;
  const neo_intrinsic *r = neo_intrinsic_get(number);
  if (!r || !(b->target.isa & r->isa))
    return NEO_OK;
  const char *type = neo_dtype_name(r->acc);
  int n = r->group * lanes;
  limit scaled = *l;
  scaled.amount = 2.0 * r->group;
  snprintf(buffers, sizeof buffers, "b0 param %s %d\nb1 param %s %d\n", neo_dtype_name(r->a), n,
           neo_dtype_name(r->b), n);
  snprintf(step, sizeof step, "intrinsic.%d.%s.x%d(b3.x%d[i3*%d], b0.x%d[0], b1.x%d[0])", number,
           type, lanes, lanes, lanes, n, n);
  return measure_peak(b, &scaled, buffers, type, step);
}

/* bytes: read by each worker, again and again until about 256 MB were read. */
static neo_status measure_read(bench *b, const char *name, int64_t bytes) {
  neo_buf text = {0};
  int lanes = b->target.vector_bytes / 4, block = CHAINS * lanes;
  int64_t blocks = neo_max_i64(1, bytes / (4 * block)), elements = blocks * block;
  int64_t rounds = neo_max_i64(1, (256 << 20) / (elements * 4));
  neo_buf_printf(&text,
                 "nest 1\nb0 param f32 %lld\nb1 param out f32 %d\nb2 reg f32 %d x%d\nlaunch i0 %d\n"
                 "  for i1 %d unroll\n    b2.x%d[i1*%d] = bcast.x%d(f32:0)\n"
                 "  for i2 %lld\n    for i3 %lld\n      for i4 %d unroll\n"
                 "        b2.x%d[i4*%d] = add(b2.x%d[i4*%d], b0.x%d[i0*%lld+i3*%d+i4*%d])\n"
                 "  for i5 %d unroll\n    b1.x%d[i0*%d+i5*%d] = b2.x%d[i5*%d]\n",
                 (long long)(elements * b->threads), block * b->threads, block, lanes, b->threads,
                 CHAINS, lanes, lanes, lanes, (long long)rounds, (long long)blocks, CHAINS, lanes,
                 lanes, lanes, lanes, lanes, (long long)elements, block, lanes, CHAINS, lanes,
                 block, lanes, lanes, lanes);
  limit l = {name, "GB/s", (double)rounds * (double)elements * 4 * b->threads};
  neo_status status = measure(b, text.data, &l);
  neo_buf_fini(&text);
  return status;
}

static neo_status measure_all(bench *b) {
  const neo_target *t = &b->target;
  NEO_TRY(measure_fma(b));
  NEO_TRY(measure_row(b, "vpdpbusd", &(limit){"dot u8 s8", "GOP/s", 0}));
  NEO_TRY(measure_row(b, "vdpbf16ps", &(limit){"dot bf16", "GFLOP/s", 0}));
  if (t->l1d > 0)
    NEO_TRY(measure_read(b, "read L1", t->l1d / 2));
  if (t->l2 > 0)
    NEO_TRY(measure_read(b, "read L2", t->l2 / 2));
  if (t->l3 > 0)
    NEO_TRY(measure_read(b, "read L3", t->l3 / 4));
  return measure_read(b, "read memory",
                      8 * neo_max_i64(t->l3 > 0 ? t->l3 : t->l2, 16 << 20) / b->threads);
}

int main(int argc, char **argv) {
  bench b = {.threads = 1};
  if (argc == 3 && strcmp(argv[1], "--threads") == 0)
    b.threads = (int)strtol(argv[2], NULL, 10);
  if ((argc != 1 && argc != 3) || b.threads < 1) {
    fprintf(stderr, "usage: bench_limits [--threads N]\n");
    return NEO_USAGE;
  }
  neo_ctx_init(&b.ctx, 1);
  neo_status status = neo_target_find(&b.ctx, NULL, &b.target);
  if (status == NEO_OK && b.target.vector_bytes < 16)
    status = neo_fail(&b.ctx, NEO_UNSUPPORTED, "this processor has no vectors");
  if (status == NEO_OK)
    status = neo_pool_create(&b.ctx, NEO_POOL_DEFAULT, b.threads, NULL, &b.pool);
  if (status == NEO_OK)
    status = measure_all(&b);
  if (status != NEO_OK)
    fprintf(stderr, "bench_limits: %s\n", b.ctx.message);
  neo_pool_destroy(b.pool);
  return (int)status;
}
