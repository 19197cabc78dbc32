/* benchmarks/bench_kernel.c: speed of one kernel against the FMA peak of this machine.
 *
 *   bench_kernel [options] TE_FILE SCHEDULE_FILE...   lowers each line of the schedule files and
 * times it bench_kernel [options] NEST_FILE                  times a nest given as text
 *
 *   --text   also print the generated code        --codegen NAME   llvm (default) or c
 *   --target NAME   default: host; with --text, code of another architecture is printed only
 *                  --repeats N      default 15
 *
 * Why: code quality is judged by GFLOP/s of the whole kernel, not by reading assembly. The peak is
 * measured in the same run with a nest of independent FMA chains in registers, compiled by the same
 * generator.
 *
 * How: one thread, warm caches; a batch runs the kernel until 2 ms are over; best and median batch
 * are printed, together with the milliseconds that building took. */
#include "base/host.h"
#include "codegen/codegen.h"
#include "runtime/runtime.h"
#include "schedule/schedule.h"

#include <stdlib.h>
#include <string.h>

typedef struct bench {
  neo_ctx ctx;
  neo_target target;
  const neo_codegen *codegen;
  bool text, foreign; /* foreign: code that this machine does not run is printed only */
  int repeats, space;
  double peak; /* GFLOP/s */
} bench;

typedef struct result {
  double best, median, build_ms; /* ns */
} result;

static int compare_double(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

/* Small random values, so that sums of floats stay finite and integers differ. */
static void fill(neo_rng *rng, neo_dtype dtype, void *data, int64_t n) {
  neo_shape shape = {1, {n}};
  neo_tensor t = {dtype, shape, data, (size_t)n * neo_dtype_size(dtype)};
  for (int64_t i = 0; i < n; i++)
    if (neo_dtype_class(dtype) == 'f')
      neo_tensor_set_f64(&t, i, neo_rng_unit(rng) - 0.5);
    else
      neo_tensor_set_i64(&t, i, (int64_t)neo_rng_below(rng, 7));
}

typedef struct runner {
  const neo_nest *nest;
  neo_kernel_fn fn[NEO_NEST_MAX_LAUNCHES];
  void *buf[NEO_NEST_MAX_BUFFERS];
  void *work, *scratch;
} runner;

static void run_once(const runner *r) {
  for (int k = 0; k < r->nest->n_launches; k++) {
    neo_kernel_env env = {0, r->nest->launch[k].grid, r->work, r->scratch, NULL};
    r->fn[k](&env, r->buf, NULL);
  }
}

static void time_runs(bench *b, const runner *r, result *out) {
  double ns[101];
  int n = b->repeats > 101 ? 101 : b->repeats, batch = 1;
  run_once(r);
  for (;;) {
    uint64_t start = neo_now_ns(&b->ctx);
    for (int k = 0; k < batch; k++)
      run_once(r);
    if (neo_now_ns(&b->ctx) - start > 2000000u)
      break;
    batch *= 2;
  }
  for (int i = 0; i < n; i++) {
    uint64_t start = neo_now_ns(&b->ctx);
    for (int k = 0; k < batch; k++)
      run_once(r);
    ns[i] = (double)(neo_now_ns(&b->ctx) - start) / batch;
  }
  qsort(ns, (size_t)n, sizeof *ns, compare_double);
  out->best = ns[0];
  out->median = ns[n / 2];
}

static neo_status allocate(bench *b, runner *r) {
  neo_rng rng;
  neo_rng_init(&rng, 1);
  for (int k = 0; k < r->nest->n_params; k++) {
    const neo_nest_buffer *buffer = &r->nest->buffer[k];
    r->buf[k] =
        neo_aligned_alloc(&b->ctx, (size_t)buffer->elements * neo_dtype_size(buffer->dtype));
    if (!r->buf[k])
      return neo_fail(&b->ctx, NEO_NO_MEMORY, "no memory for b%d", k);
    fill(&rng, buffer->dtype, r->buf[k], buffer->elements);
  }
  r->work = neo_aligned_alloc(&b->ctx, (size_t)r->nest->work_bytes + 64);
  r->scratch = neo_aligned_alloc(&b->ctx, (size_t)r->nest->scratch_bytes + 64);
  return r->work && r->scratch ? NEO_OK
                               : neo_fail(&b->ctx, NEO_NO_MEMORY, "no memory for work areas");
}

static void release(bench *b, runner *r) {
  for (int k = 0; k < r->nest->n_params; k++)
    neo_aligned_free(&b->ctx, r->buf[k]);
  neo_aligned_free(&b->ctx, r->work);
  neo_aligned_free(&b->ctx, r->scratch);
}

static neo_status load_functions(bench *b, const neo_loaded *loaded, runner *r) {
  for (int k = 0; k < r->nest->n_launches; k++) {
    char name[32];
    snprintf(name, sizeof name, "k_%d", k);
    r->fn[k] = neo_object_symbol(loaded, name);
    if (!r->fn[k])
      return neo_fail(&b->ctx, NEO_INTERNAL, "no symbol %s", name);
  }
  return NEO_OK;
}

static neo_status print_text(bench *b, const neo_nest *nest) {
  neo_buf out = {0};
  neo_nest_print(&out, nest);
  neo_status status = b->codegen->text(&b->ctx, nest, &b->target, "k", &out);
  fwrite(out.data, 1, out.size, stdout);
  neo_buf_fini(&out);
  return status;
}

static neo_status measure(bench *b, neo_nest *nest, result *out) {
  neo_object object = {0};
  neo_loaded *loaded = NULL;
  runner r = {.nest = nest};
  neo_nest_expand_math(nest);
  double build_ms = 1e9;
  neo_status status = b->text ? print_text(b, nest) : NEO_OK;
  for (int k = 0; k < 5 && status == NEO_OK; k++) {
    uint64_t start = neo_now_ns(&b->ctx);
    neo_object_fini(&object);
    status = b->codegen->build(&b->ctx, nest, &b->target, "k", &object);
    double ms = (double)(neo_now_ns(&b->ctx) - start) * 1e-6;
    build_ms = ms < build_ms ? ms : build_ms;
  }
  if (status == NEO_OK)
    status =
        neo_object_load(&b->ctx, (const uint8_t *)object.bytes.data, object.bytes.size, &loaded);
  if (status == NEO_OK)
    status = load_functions(b, loaded, &r);
  if (status == NEO_OK)
    status = allocate(b, &r);
  if (status == NEO_OK) {
    time_runs(b, &r, out);
    out->build_ms = build_ms;
  }
  release(b, &r);
  neo_object_unload(loaded);
  neo_object_fini(&object);
  return status;
}

/* Independent chains of FMAs in registers: as many as the latency needs on two ports. */
static neo_status measure_peak(bench *b) {
  int lanes = b->target.vector_bytes / 4;
  if (lanes < 2)
    lanes = 4;
  neo_arena arena;
  neo_arena_init(&arena);
  const char *text = neo_arena_printf(
      &arena,
      "nest 1\nb0 param f32 %d\nb1 param out f32 %d\nb2 reg f32 %d x%d\nlaunch i0 1\n"
      "  for i1 12 unroll\n    b2.x%d[i1*%d] = b0.x%d[0]\n"
      "  for i2 4096\n    for i3 12 unroll\n"
      "      b2.x%d[i3*%d] = fma(b2.x%d[i3*%d], b0.x%d[0], b0.x%d[%d])\n"
      "  for i4 12 unroll\n    b1.x%d[i4*%d] = b2.x%d[i4*%d]\n",
      2 * lanes, 12 * lanes, 12 * lanes, lanes, lanes, lanes, lanes, lanes, lanes, lanes, lanes,
      lanes, lanes, lanes, lanes, lanes, lanes, lanes);
  neo_nest nest = {0};
  result r = {0};
  bool print = b->text;
  b->text = false;
  neo_status status = neo_nest_parse(&b->ctx, &arena, text, &nest);
  if (status == NEO_OK)
    status = measure(b, &nest, &r);
  b->text = print;
  if (status == NEO_OK) {
    b->peak = 2.0 * 4096 * 12 * lanes / r.best;
    printf("fma peak %.1f GFLOP/s (%d lanes, %s)\n", b->peak, lanes, b->codegen->name);
  }
  neo_arena_fini(&arena);
  return status;
}

static neo_status report(bench *b, const char *name, neo_nest *nest, double flops) {
  result r = {0};
  neo_nest_count(nest);
  if (b->foreign) {
    neo_nest_expand_math(nest);
    return print_text(b, nest);
  }
  NEO_TRY(measure(b, nest, &r));
  double best = flops / r.best, median = flops / r.median;
  printf("%8.1f GFLOP/s best %6.1f %%  %8.1f median %6.1f %%  %9.1f us  build %6.2f ms  %s\n", best,
         100 * best / b->peak, median, 100 * median / b->peak, r.best * 1e-3, r.build_ms, name);
  return NEO_OK;
}

/* The analytic model's opinion of a line of the direct space. */
static void print_prediction(bench *b, const neo_te *te, const neo_schedule *schedule) {
  neo_space_options options = {.threads = 1, .accuracy = NEO_ACCURACY_DEFAULT};
  neo_space *space = NULL;
  neo_candidate *found = neo_alloc(&b->ctx, sizeof *found);
  if (found && neo_space_build(&b->ctx, te, &b->target, &options, &space) == NEO_OK &&
      neo_space_find(space, schedule, found))
    printf("predicted %9.1f us ", neo_space_predict(space, found) * 1e-3);
  neo_space_destroy(space);
  neo_free(&b->ctx, found);
}

static neo_status bench_line(bench *b, const neo_te *te, const char *line) {
  neo_arena arena;
  neo_arena_init(&arena);
  neo_schedule *schedule = neo_arena_alloc(&arena, sizeof *schedule);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_status status = neo_schedule_parse(&b->ctx, line, schedule);
  if (status == NEO_OK)
    status = neo_schedule_lower(&b->ctx, te, schedule, &b->target, &arena, nest);
  if (status == NEO_OK && !b->space)
    print_prediction(b, te, schedule);
  if (status == NEO_OK)
    status = report(b, line, nest, neo_te_flops(te));
  neo_arena_fini(&arena);
  return status;
}

static neo_status bench_candidate(bench *b, const neo_te *te, const neo_space *space,
                                  const neo_candidate *candidate) {
  neo_schedule *schedule = neo_alloc(&b->ctx, sizeof *schedule);
  neo_buf line = {0};
  if (!schedule)
    return neo_fail(&b->ctx, NEO_NO_MEMORY, "no memory for a schedule");
  neo_space_schedule(space, candidate, schedule);
  neo_schedule_print(&line, schedule);
  printf("predicted %9.1f us ", neo_space_predict(space, candidate) * 1e-3);
  neo_status status = bench_line(b, te, line.data);
  neo_buf_fini(&line);
  neo_free(&b->ctx, schedule);
  return status;
}

static neo_status bench_space(bench *b, const neo_te *te) {
  neo_space_options options = {.threads = 1, .accuracy = NEO_ACCURACY_DEFAULT};
  neo_space *space = NULL;
  NEO_TRY(neo_space_build(&b->ctx, te, &b->target, &options, &space));
  neo_candidate *best = neo_alloc(&b->ctx, sizeof *best * (size_t)b->space);
  neo_status status =
      best ? NEO_OK : neo_fail(&b->ctx, NEO_NO_MEMORY, "no memory for %d candidates", b->space);
  int n = best ? neo_space_analytic(space, b->space, best) : 0;
  for (int k = 0; k < n && status == NEO_OK; k++)
    status = bench_candidate(b, te, space, &best[k]);
  printf("random\n");
  for (int k = 0; k < n && status == NEO_OK; k++) {
    neo_space_sample(space, &b->ctx.rng, &best[0]);
    status = bench_candidate(b, te, space, &best[0]);
  }
  neo_free(&b->ctx, best);
  neo_space_destroy(space);
  return status;
}

static neo_status bench_schedules(bench *b, const neo_te *te, const char *path) {
  neo_buf lines = {0};
  NEO_TRY(neo_file_read(&b->ctx, path, 0, &lines));
  neo_status status = NEO_OK;
  char *save = NULL;
  for (char *line = strtok_r(lines.data, "\n", &save); line && status == NEO_OK;
       line = strtok_r(NULL, "\n", &save))
    if (line[0] != '#')
      status = bench_line(b, te, line);
  neo_buf_fini(&lines);
  return status;
}

static neo_status bench_file(bench *b, const char *path, int n, char **schedules) {
  neo_buf source = {0};
  neo_arena arena;
  neo_arena_init(&arena);
  neo_status status = neo_file_read(&b->ctx, path, 0, &source);
  if (status == NEO_OK && strncmp(source.data, "nest ", 5) == 0) {
    neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
    status = neo_nest_parse(&b->ctx, &arena, source.data, nest);
    if (status == NEO_OK) {
      neo_nest_count(nest);
      status = report(b, path, nest, nest->flops > 0 ? nest->flops : 2 * nest->fmas);
    }
  } else if (status == NEO_OK) {
    neo_te *te = neo_arena_alloc(&arena, sizeof *te);
    status = neo_te_parse(&b->ctx, &arena, source.data, te);
    if (status == NEO_OK && b->space)
      status = bench_space(b, te);
    for (int k = 0; k < n && status == NEO_OK; k++)
      status = bench_schedules(b, te, schedules[k]);
  }
  neo_buf_fini(&source);
  neo_arena_fini(&arena);
  return status;
}

int main(int argc, char **argv) {
  bench b = {.repeats = 15};
  const char *target = NULL, *codegen = "llvm";
  int at = 1;
  neo_ctx_init(&b.ctx, 1);
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
    if (strcmp(argv[at], "--text") == 0)
      b.text = true;
    else if (strcmp(argv[at], "--codegen") == 0 && at + 1 < argc)
      codegen = argv[++at];
    else if (strcmp(argv[at], "--target") == 0 && at + 1 < argc)
      target = argv[++at];
    else if (strcmp(argv[at], "--space") == 0 && at + 1 < argc)
      b.space = (int)strtol(argv[++at], NULL, 10);
    else if (strcmp(argv[at], "--repeats") == 0 && at + 1 < argc)
      b.repeats = (int)strtol(argv[++at], NULL, 10);
  }
  b.codegen = neo_codegen_find(codegen);
  if (at >= argc || !b.codegen || b.repeats < 1 || b.space < 0) {
    fprintf(stderr, "usage: bench_kernel [--text] [--codegen llvm|c] [--target T] [--repeats N] TE "
                    "SCHEDULES... | NEST\n");
    return NEO_USAGE;
  }
  neo_target here;
  neo_status status = neo_target_find(&b.ctx, NULL, &here);
  if (status == NEO_OK)
    status = neo_target_find(&b.ctx, target, &b.target);
  b.foreign = status == NEO_OK && b.text && strcmp(here.arch, b.target.arch) != 0;
  if (status == NEO_OK && !b.foreign)
    status = measure_peak(&b);
  if (status == NEO_OK)
    status = bench_file(&b, argv[at], argc - at - 1, argv + at + 1);
  if (status != NEO_OK)
    fprintf(stderr, "bench_kernel: %s\n", b.ctx.message);
  return (int)status;
}
