/* Measures schedules of single layers: how good the analytic pick is, and how well the model ranks.
 *
 * usage: bench_space [--layer TEXT] [--top N] [--samples N] [--threads N] [--target T] [--accuracy
 * fast|default]
 *                    [--row-major | --channels-last] [--cold] [--seed S] [--verbose]
 *                    [--line SCHEDULE] [--alg TEXT] [--te FILE]
 * --alg: random ones of this algorithm only. For each layer: the best N candidates by the model and
 * N random ones are built with the LLVM generator and timed in this process (minimum of
 * batches), warm, or with --cold after constants were evicted from the caches, as in a model.
 * Columns: layer, predicted and measured microseconds of the pick, its GFLOP/s, the best measured
 * of the top list and of the samples, Spearman's rank correlation between prediction and
 * measurement. */
#include "base/host.h"
#include "codegen/codegen.h"
#include "runtime/cpu.h"
#include "runtime/runtime.h"
#include "schedule/schedule.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct layer {
  const char *name;
  int c, h, w, o, k, stride, pad;
  char kind; /* c conv, d depthwise, m matmul (c = K, h = M, o = N), p max pool, e add, s softmax, t
                NCHW->NHWC */
} layer;

static const layer layers[] = {
    {"conv1 7x7s2", 3, 224, 224, 64, 7, 2, 3, 'c'},
    {"56 1x1 64-64", 64, 56, 56, 64, 1, 1, 0, 'c'},
    {"56 3x3 64-64", 64, 56, 56, 64, 3, 1, 1, 'c'},
    {"56 1x1 64-256", 64, 56, 56, 256, 1, 1, 0, 'c'},
    {"56 1x1 256-64", 256, 56, 56, 64, 1, 1, 0, 'c'},
    {"56 3x3s2 128", 128, 56, 56, 128, 3, 2, 1, 'c'},
    {"28 1x1 128-512", 128, 28, 28, 512, 1, 1, 0, 'c'},
    {"28 1x1 512-128", 512, 28, 28, 128, 1, 1, 0, 'c'},
    {"28 3x3 128-128", 128, 28, 28, 128, 3, 1, 1, 'c'},
    {"14 1x1 256-1024", 256, 14, 14, 1024, 1, 1, 0, 'c'},
    {"14 1x1 1024-256", 1024, 14, 14, 256, 1, 1, 0, 'c'},
    {"14 3x3 256-256", 256, 14, 14, 256, 3, 1, 1, 'c'},
    {"7 1x1 512-2048", 512, 7, 7, 2048, 1, 1, 0, 'c'},
    {"7 3x3 512-512", 512, 7, 7, 512, 3, 1, 1, 'c'},
    {"56 1x1s2 256-512", 256, 56, 56, 512, 1, 2, 0, 'c'},
    {"dw 3x3 112 32", 32, 112, 112, 32, 3, 1, 1, 'd'},
    {"dw 3x3s2 56 144", 144, 56, 56, 144, 3, 2, 1, 'd'},
    {"dw 5x5 14 240", 240, 14, 14, 240, 5, 1, 2, 'd'},
    {"fc 2048-1000", 2048, 1, 1, 1000, 1, 1, 0, 'm'},
    {"gemm 128 768 768", 768, 128, 1, 768, 1, 1, 0, 'm'},
    {"gemm 512 512 512", 512, 512, 1, 512, 1, 1, 0, 'm'},
    {"max pool 3x3s2", 64, 112, 112, 64, 3, 2, 1, 'p'},
    {"global pool", 2048, 7, 7, 2048, 7, 7, 0, 'p'},
    {"add", 256, 56, 56, 256, 1, 1, 0, 'e'},
    {"softmax", 512, 128, 1, 512, 1, 1, 0, 's'},
    {"transpose", 64, 56, 56, 64, 1, 1, 0, 't'},
};

typedef struct bench {
  neo_ctx ctx;
  neo_target target;
  neo_pool *pool;
  const char *only, *line, *alg, *te;
  int top, samples, threads, climb;
  bool row_major, channels_last, cold, verbose;
  neo_accuracy accuracy;
  uint64_t seed;
} bench;

/* ---- tes ---------------------------------------------------------------------------------------------- */

static void image_text(const layer *l, neo_buf *out) {
  int oh = (l->h + 2 * l->pad - l->k) / l->stride + 1,
      ow = (l->w + 2 * l->pad - l->k) / l->stride + 1;
  bool deep = l->kind == 'd', pool = l->kind == 'p';
  neo_buf_printf(out, "te 1\nb0 in f32 [1,%d,%d,%d]\n", l->c, l->h, l->w);
  if (!pool)
    neo_buf_printf(out, "b1 const f32 [%d,%d,%d,%d]\nb2 const f32 [%d]\n", l->o, deep ? 1 : l->c,
                   l->k, l->k, l->o);
  int t = pool ? 1 : 3, first = deep || pool ? 4 : 5;
  neo_buf_printf(out, "b%d tmp f32 [1,%d,%d,%d]\nb%d out f32 [1,%d,%d,%d]\n", t, l->o, oh, ow,
                 t + 1, l->o, oh, ow);
  neo_buf_printf(out, "B0 b%d[i0, i1, i2, i3] s[1,%d,%d,%d] r[", t, l->o, oh, ow);
  if (first == 5)
    neo_buf_printf(out, "%d,", l->c);
  neo_buf_printf(out, "%d,%d] %s\n  ", l->k, l->k, pool ? "max f32:-inf" : "add f32:0");
  neo_buf_printf(out, "%sb0[0, %s, i2*%d+i%d-%d, i3*%d+i%d-%d", pool ? "" : "mul(",
                 first == 5 ? "i4" : "i1", l->stride, first, l->pad, l->stride, first + 1, l->pad);
  if (l->pad)
    neo_buf_printf(out, " | 0<=i2*%d+i%d-%d<%d, 0<=i3*%d+i%d-%d<%d else %s", l->stride, first,
                   l->pad, l->h, l->stride, first + 1, l->pad, l->w, pool ? "-inf" : "0");
  neo_buf_text(out, "]");
  if (!pool)
    neo_buf_printf(out, ", b1[i1, %s, i%d, i%d])", deep ? "0" : "i4", first, first + 1);
  neo_buf_printf(out, "\nB1 b%d[i0, i1, i2, i3] s[1,%d,%d,%d]\n", t + 1, l->o, oh, ow);
  neo_buf_printf(out,
                 pool ? "  b1[0, i1, i2, i3]\n" : "  max(add(b3[0, i1, i2, i3], b2[i1]), f32:0)\n");
}

static void layer_text(const layer *l, neo_buf *out) {
  if (strchr("cdp", l->kind))
    image_text(l, out);
  else if (l->kind == 'm')
    neo_buf_printf(
        out,
        "te 1\nb0 in f32 [%d,%d]\nb1 const f32 [%d,%d]\nb2 const f32 [%d]\nb3 tmp f32 [%d,%d]\n"
        "b4 out f32 [%d,%d]\nB0 b3[i0, i1] s[%d,%d] r[%d] add f32:0\n  mul(b0[i0, i2], b1[i1, "
        "i2])\n"
        "B1 b4[i0, i1] s[%d,%d]\n  add(b3[i0, i1], b2[i1])\n",
        l->h, l->c, l->o, l->c, l->o, l->h, l->o, l->h, l->o, l->h, l->o, l->c, l->h, l->o);
  else if (l->kind == 'e')
    neo_buf_printf(out,
                   "te 1\nb0 in f32 [1,%d,%d,%d]\nb1 in f32 [1,%d,%d,%d]\nb2 out f32 [1,%d,%d,%d]\n"
                   "B0 b2[i0, i1, i2, i3] s[1,%d,%d,%d]\n  max(add(b0[0, i1, i2, i3], b1[0, i1, "
                   "i2, i3]), f32:0)\n",
                   l->c, l->h, l->w, l->c, l->h, l->w, l->c, l->h, l->w, l->c, l->h, l->w);
  else if (l->kind == 't')
    neo_buf_printf(
        out, "te 1\nb0 in f32 [%d,%d]\nb1 out f32 [%d,%d]\nB0 b1[i0, i1] s[%d,%d]\n  b0[i1, i0]\n",
        l->c, l->h * l->w, l->h * l->w, l->c, l->h * l->w, l->c);
  else
    neo_buf_printf(out,
                   "te 1\nb0 in f32 [%d,%d]\nb1 tmp f32 [%d]\nb2 tmp f32 [%d,%d]\nb3 tmp f32 "
                   "[%d]\nb4 out f32 [%d,%d]\n"
                   "B0 b1[i0] s[%d] r[%d] max f32:-inf\n  b0[i0, i1]\n"
                   "B1 b2[i0, i1] s[%d,%d]\n  exp(sub(b0[i0, i1], b1[i0]))\n"
                   "B2 b3[i0] s[%d] r[%d] add f32:0\n  b2[i0, i1]\n"
                   "B3 b4[i0, i1] s[%d,%d]\n  div(b2[i0, i1], b3[i0])\n",
                   l->h, l->c, l->h, l->h, l->c, l->h, l->h, l->c, l->h, l->c, l->h, l->c, l->h,
                   l->c, l->h, l->c);
}

/* ---- measuring ------------------------------------------------------------------------------------------- */

static void evict_constants(const bench *b, const neo_nest *nest, void *const *buf) {
  for (int p = 0; b->cold && p < nest->n_params; p++)
    if (nest->buffer[p].constant)
      neo_cpu_evict(buf[p],
                    (size_t)nest->buffer[p].elements * neo_dtype_size(nest->buffer[p].dtype));
}

static double time_call(bench *b, const neo_nest *nest, const neo_pool_call *call) {
  neo_pool_launch(b->pool, call);
  double best = INFINITY;
  uint64_t start = neo_now_ns(&b->ctx);
  for (int batch = 0; batch < 60; batch++) {
    evict_constants(b, nest, call->buf);
    uint64_t begin = neo_now_ns(&b->ctx);
    neo_pool_launch(b->pool, call);
    uint64_t end = neo_now_ns(&b->ctx);
    best = fmin(best, (double)(end - begin));
    if (batch >= 5 && end - start > 60000000)
      break;
  }
  return best;
}

static double run_nest(bench *b, const neo_nest *nest, const neo_loaded *loaded) {
  neo_kernel_fn fn[NEO_NEST_MAX_LAUNCHES];
  int64_t grid[NEO_NEST_MAX_LAUNCHES];
  void *buf[NEO_NEST_MAX_BUFFERS];
  for (int k = 0; k < nest->n_launches; k++) {
    char name[32];
    snprintf(name, sizeof(name), "k_%d", k);
    fn[k] = neo_object_symbol(loaded, name);
    grid[k] = nest->launch[k].grid;
  }
  for (int p = 0; p < nest->n_params; p++) {
    int64_t n = nest->buffer[p].elements;
    buf[p] = neo_aligned_alloc(&b->ctx, (size_t)n * neo_dtype_size(nest->buffer[p].dtype) + 64);
    for (int64_t i = 0; nest->buffer[p].dtype == NEO_F32 && i < n; i++)
      ((float *)buf[p])[i] = (float)(i % 17) * 0.01f;
  }
  int64_t scratch = (nest->scratch_bytes + 63) / 64 * 64;
  void *work = neo_aligned_alloc(&b->ctx, (size_t)nest->work_bytes + 64);
  void *local = neo_aligned_alloc(&b->ctx, (size_t)(scratch * b->threads) + 64);
  neo_pool_call call = {nest->n_launches, fn, grid, buf, NULL, work, local, scratch};
  double ns = time_call(b, nest, &call);
  for (int p = 0; p < nest->n_params; p++)
    neo_aligned_free(&b->ctx, buf[p]);
  neo_aligned_free(&b->ctx, work);
  neo_aligned_free(&b->ctx, local);
  return ns;
}

/* Nanoseconds; infinite if it does not build. */
static double measure(bench *b, const neo_te *te, const neo_schedule *line) {
  neo_arena arena;
  neo_object object = {0};
  neo_loaded *loaded = NULL;
  neo_arena_init(&arena);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  double ns = INFINITY;
  neo_ctx_clear(&b->ctx);
  if (neo_schedule_lower(&b->ctx, te, line, &b->target, &arena, nest) == NEO_OK) {
    neo_nest_expand_math(nest);
    const neo_codegen *codegen = neo_codegen_find("llvm");
    if (codegen->build(&b->ctx, nest, &b->target, "k", &object) == NEO_OK &&
        neo_object_load(&b->ctx, (const uint8_t *)object.bytes.data, object.bytes.size, &loaded) ==
            NEO_OK)
      ns = run_nest(b, nest, loaded);
  }
  if (ns == INFINITY)
    fprintf(stderr, "bench_space: %s\n", b->ctx.message);
  neo_object_unload(loaded);
  neo_object_fini(&object);
  neo_arena_fini(&arena);
  return ns;
}

/* ---- ranking ----------------------------------------------------------------------------------------------- */

static double rank_of(const double *v, int n, int i) {
  double rank = 0;
  for (int k = 0; k < n; k++)
    rank += v[k] < v[i] || (v[k] == v[i] && k < i);
  return rank;
}

static double spearman(const double *a, const double *b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) {
    double d = rank_of(a, n, i) - rank_of(b, n, i);
    sum += d * d;
  }
  return n < 2 ? 1 : 1 - 6 * sum / ((double)n * ((double)n * n - 1));
}

static void show(const bench *b, const neo_space *space, const neo_candidate *c, double predicted,
                 double ns) {
  if (!b->verbose)
    return;
  neo_schedule line;
  neo_buf text = {0};
  neo_space_schedule(space, c, &line);
  neo_schedule_print(&text, &line);
  printf("    %9.1f %9.1f  %s\n", predicted / 1e3, ns / 1e3, text.data);
  neo_buf_fini(&text);
}

#define MAX_CANDIDATES 512

static void bench_space(bench *b, const layer *l, const neo_te *te, const neo_space *space) {
  static neo_candidate c[MAX_CANDIDATES];
  double predicted[MAX_CANDIDATES], ns[MAX_CANDIDATES], best_top = INFINITY, best = INFINITY;
  uint64_t start = neo_now_ns(&b->ctx);
  int n = neo_space_analytic(space, b->top, c), n_top = n;
  double analytic_ms = (double)(neo_now_ns(&b->ctx) - start) / 1e6;
  neo_rng rng;
  neo_rng_init(&rng, b->seed);
  for (int i = 0; i < 100000 && n < n_top + b->samples && n < MAX_CANDIDATES; i++) {
    neo_schedule line;
    neo_space_sample(space, &rng, &c[n]);
    neo_space_schedule(space, &c[n], &line);
    n += !b->alg || strstr(line.instr[0].name, b->alg);
  }
  for (int i = 0; i < n; i++) {
    neo_schedule line;
    neo_space_schedule(space, &c[i], &line);
    predicted[i] = neo_space_predict(space, &c[i]);
    ns[i] = measure(b, te, &line);
    if (i < n_top)
      best_top = fmin(best_top, ns[i]);
    best = fmin(best, ns[i]);
    show(b, space, &c[i], predicted[i], ns[i]);
  }
  printf("%-18s %9.1f %9.1f %7.1f  %9.1f %9.1f %6.2f %8.1f\n", l->name, predicted[0] / 1e3,
         ns[0] / 1e3, neo_te_flops(te) / ns[0], best_top / 1e3, best / 1e3,
         spearman(predicted, ns, n), analytic_ms);
  fflush(stdout);
}

/* Measured coordinate descent from the pick: what a short search would find. */
static void climb(bench *b, const neo_te *te, const neo_space *space) {
  neo_candidate at, next;
  neo_schedule line;
  neo_space_analytic(space, 1, &at);
  neo_space_schedule(space, &at, &line);
  double ns = measure(b, te, &line);
  int left = b->climb;
  bool better = true;
  while (better && left > 0) {
    better = false;
    for (int k = 0; left > 0 && neo_space_neighbour(space, &at, k, &next); k++, left--) {
      neo_space_schedule(space, &next, &line);
      double made = measure(b, te, &line);
      if (made >= ns * 0.98)
        continue;
      ns = made;
      at = next;
      k = -1;
      better = true;
      show(b, space, &at, neo_space_predict(space, &at), ns);
    }
  }
  printf("%-18s %9.1f %9.1f %7.1f  after %d trials\n", "  climbed",
         neo_space_predict(space, &at) / 1e3, ns / 1e3, neo_te_flops(te) / ns, b->climb - left);
}

static neo_status bench_layer(bench *b, const layer *l) {
  neo_arena arena;
  neo_buf text = {0};
  neo_te te;
  neo_space *space = NULL;
  neo_arena_init(&arena);
  neo_status status = NEO_OK;
  if (b->te)
    status = neo_file_read(&b->ctx, b->te, 0, &text);
  else
    layer_text(l, &text);
  if (status == NEO_OK)
    status = neo_te_parse(&b->ctx, &arena, text.data, &te);
  neo_space_options options = {.threads = b->threads, .accuracy = b->accuracy};
  neo_layout row_major = {0}, channels_last = {0};
  if (status == NEO_OK)
    status = neo_layout_parse(&b->ctx, "0,2,3,1", 4, &channels_last);
  for (int k = 0; status == NEO_OK && k < te.n_buffers; k++)
    if (b->row_major)
      options.fixed[k] = &row_major;
    else if (b->channels_last && te.buffer[k].shape.rank == 4 &&
             (te.buffer[k].role == NEO_TE_IN || te.buffer[k].role == NEO_TE_OUT))
      options.fixed[k] = &channels_last;
  if (status == NEO_OK)
    status = neo_space_build(&b->ctx, &te, &b->target, &options, &space);
  if (status == NEO_OK && b->line) {
    neo_schedule line;
    status = neo_schedule_parse(&b->ctx, b->line, &line);
    if (status == NEO_OK) {
      double ns = measure(b, &te, &line);
      printf("%-18s %9.1f us %7.1f GFLOP/s\n", l->name, ns / 1e3, neo_te_flops(&te) / ns);
    }
  } else if (status == NEO_OK) {
    bench_space(b, l, &te, space);
    if (b->climb > 0)
      climb(b, &te, space);
  }
  neo_space_destroy(space);
  neo_buf_fini(&text);
  neo_arena_fini(&arena);
  return status;
}

static bool parse_options(bench *b, int argc, char **argv, const char **target) {
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(argv[i], "--row-major") == 0)
      b->row_major = true;
    else if (strcmp(argv[i], "--channels-last") == 0)
      b->channels_last = true;
    else if (strcmp(argv[i], "--verbose") == 0)
      b->verbose = true;
    else if (strcmp(argv[i], "--cold") == 0)
      b->cold = true;
    else if (i + 1 == argc)
      return false;
    else if (strcmp(argv[i], "--layer") == 0)
      b->only = argv[++i];
    else if (strcmp(argv[i], "--te") == 0)
      b->te = argv[++i];
    else if (strcmp(argv[i], "--alg") == 0)
      b->alg = argv[++i];
    else if (strcmp(argv[i], "--line") == 0)
      b->line = argv[++i];
    else if (strcmp(argv[i], "--top") == 0)
      b->top = (int)strtol(argv[++i], NULL, 10);
    else if (strcmp(argv[i], "--samples") == 0)
      b->samples = (int)strtol(argv[++i], NULL, 10);
    else if (strcmp(argv[i], "--climb") == 0)
      b->climb = (int)strtol(argv[++i], NULL, 10);
    else if (strcmp(argv[i], "--threads") == 0)
      b->threads = (int)strtol(argv[++i], NULL, 10);
    else if (strcmp(argv[i], "--seed") == 0)
      b->seed = strtoull(argv[++i], NULL, 10);
    else if (strcmp(argv[i], "--target") == 0)
      *target = argv[++i];
    else if (strcmp(argv[i], "--accuracy") == 0)
      b->accuracy = strcmp(argv[++i], "fast") == 0 ? NEO_ACCURACY_FAST : NEO_ACCURACY_DEFAULT;
    else
      return false;
    (void)value;
  }
  return b->top >= 1 && b->top + b->samples <= MAX_CANDIDATES && b->threads >= 1;
}

int main(int argc, char **argv) {
  bench b = {.top = 4, .samples = 12, .threads = 1, .accuracy = NEO_ACCURACY_DEFAULT, .seed = 1};
  const char *target = NULL;
  neo_ctx_init(&b.ctx, 1);
  if (!parse_options(&b, argc, argv, &target)) {
    fprintf(
        stderr,
        "usage: bench_space [--layer TEXT] [--top N] [--samples N] [--climb N] [--threads N] "
        "[--target T] "
        "[--accuracy fast|default] [--row-major | --channels-last] [--cold] [--seed S] [--verbose] "
        "[--line SCHEDULE] [--alg TEXT] [--te FILE]\n");
    return NEO_USAGE;
  }
  neo_status status = neo_target_find(&b.ctx, target, &b.target);
  if (status == NEO_OK)
    status = neo_pool_create(&b.ctx, NEO_POOL_DEFAULT, b.threads, NULL, &b.pool);
  printf("%-18s %9s %9s %7s  %9s %9s %6s %8s\n", "layer", "pred us", "pick us", "GFLOP/s", "top us",
         "best us", "rank", "model ms");
  if (status == NEO_OK && b.te) {
    const char *slash = strrchr(b.te, '/');
    layer file = {.name = slash ? slash + 1 : b.te};
    status = bench_layer(&b, &file);
  }
  for (int i = 0; status == NEO_OK && !b.te && i < NEO_COUNT(layers); i++)
    if (!b.only || strstr(layers[i].name, b.only))
      status = bench_layer(&b, &layers[i]);
  if (status != NEO_OK)
    fprintf(stderr, "bench_space: %s\n", b.ctx.message);
  neo_pool_destroy(b.pool);
  return status;
}
