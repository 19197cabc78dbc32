/* benchmarks/bench_operator.c: one operator outside of any model, for benchmarks/bar_operators.sh
 * and benchmarks/bar_dayzero.sh.
 *
 *   bench_operator [options] --pick TE          prints the schedule that an empty database gives
 *   bench_operator [options] --tune SECONDS TE  searches, prints "ns trials failed schedule";
 *                                               --trials N: ends it, too; --trace: prints every
 *                                               trial, "trial number seconds ns kind predicted
 *                                               schedule";
 *                                               --measure URL: local, simulated: or emulated:
 *   bench_operator [options] --once TE...       measures one schedule of each, prints "ns path"
 *   bench_operator [options] --serve TE         a worker of benchmarks/pair: nanoseconds of one run
 *   bench_operator [options] --compare TE...    GFLOP/s of all, interleaved; ratio to the first
 *
 *   --threads N   default 1               --line SCHEDULE  instead of the analytic pick; naive: the
 *   --target T    default: this machine                    nest that nothing was done to
 *   --row-major   inputs and outputs are row-major; default: the schedule chooses their layouts
 *   --cold        constants leave the caches before every run   --rounds N   of --compare
 *
 * Why: a model's time mixes kernels, layout changes and idle gaps. Here a te (benchmarks/bars/
 * layers.py writes those that models make) is scheduled with the layouts that suit it and timed
 * alone, as libraries time their operators with layouts of their own choice.
 *
 * How: a measurement is a batch of runs that lasts 2 ms or more, warm but for --cold, where only
 * the runs themselves count. --tune and --once go through measure/ as neo-tune does: verified,
 * interleaved with the incumbent. --compare measures all kernels once per round, so that a change
 * of the machine's speed meets all of them. */
#include "base/host.h"
#include "codegen/codegen.h"
#include "measure/measure.h"
#include "runtime/cpu.h"
#include "runtime/runtime.h"
#include "schedule/schedule.h"
#include "search/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_KERNELS = 32, MAX_ROUNDS = 101, ROUND = 16 };

typedef enum mode { NONE, PICK, TUNE, ONCE, SERVE, COMPARE } mode;

typedef struct bench {
  neo_ctx ctx;
  neo_arena arena;
  neo_target target;
  neo_pool *pool;
  mode mode;
  const char *line;
  int threads, rounds;
  double seconds;
  bool row_major, cold;
  int trials; /* of --tune; 0: as many as there is time for */
  bool trace;
  const char *measurer, *target_name;
} bench;

typedef struct kernel {
  const char *path;
  neo_te *te;
  neo_space *space;
  neo_schedule line;
  double predicted;
  neo_nest *nest;
  neo_object object;
  neo_loaded *loaded;
  neo_kernel_fn fn[NEO_NEST_MAX_LAUNCHES];
  int64_t grid[NEO_NEST_MAX_LAUNCHES];
  void *buf[NEO_NEST_MAX_BUFFERS];
  bool constant[NEO_NEST_MAX_BUFFERS];
  void *work, *scratch;
  neo_pool_call call;
  int batch;
} kernel;

/* ---- from a te to something that runs --------------------------------------------------------- */

static neo_status open_space(bench *b, const char *path, kernel *k) {
  static const neo_layout row_major = {0};
  neo_buf text = {0};
  k->path = path;
  k->te = neo_arena_alloc(&b->arena, sizeof *k->te);
  neo_status status = neo_file_read(&b->ctx, path, 0, &text);
  if (status == NEO_OK)
    status = neo_te_parse(&b->ctx, &b->arena, text.data, k->te);
  neo_space_options options = {.threads = b->threads, .accuracy = NEO_ACCURACY_DEFAULT};
  for (int i = 0; status == NEO_OK && b->row_major && i < k->te->n_buffers; i++)
    if (k->te->buffer[i].role == NEO_TE_IN || k->te->buffer[i].role == NEO_TE_OUT)
      options.fixed[i] = &row_major;
  if (status == NEO_OK)
    status = neo_space_build(&b->ctx, k->te, &b->target, &options, &k->space);
  neo_buf_fini(&text);
  return status;
}

static neo_status choose(bench *b, kernel *k) {
  if (b->line && strcmp(b->line, "naive") == 0) {
    neo_schedule_naive(&k->line);
    return NEO_OK;
  }
  if (b->line)
    return neo_schedule_parse(&b->ctx, b->line, &k->line);
  neo_candidate *pick = neo_arena_alloc(&b->arena, sizeof *pick);
  neo_space_analytic(k->space, 1, pick);
  neo_space_schedule(k->space, pick, &k->line);
  k->predicted = neo_space_predict(k->space, pick);
  return NEO_OK;
}

static neo_status load(bench *b, kernel *k) {
  const neo_codegen *codegen = neo_codegen_find("llvm");
  k->nest = neo_arena_alloc(&b->arena, sizeof *k->nest);
  NEO_TRY(neo_schedule_lower(&b->ctx, k->te, &k->line, &b->target, &b->arena, k->nest));
  neo_nest_expand_math(k->nest);
  NEO_TRY(codegen->build(&b->ctx, k->nest, &b->target, "k", &k->object));
  NEO_TRY(neo_object_load(&b->ctx, (const uint8_t *)k->object.bytes.data, k->object.bytes.size,
                          &k->loaded));
  for (int i = 0; i < k->nest->n_launches; i++) {
    char name[32];
    snprintf(name, sizeof name, "k_%d", i);
    k->fn[i] = neo_object_symbol(k->loaded, name);
    k->grid[i] = k->nest->launch[i].grid;
    if (!k->fn[i])
      return neo_fail(&b->ctx, NEO_INTERNAL, "no symbol %s", name);
  }
  return NEO_OK;
}

/* The nest's parameters are the te's IN, CONST and OUT buffers in order. */
static neo_status allocate(bench *b, kernel *k) {
  int at = 0;
  for (int i = 0; i < k->te->n_buffers && at < k->nest->n_params; i++)
    if (k->te->buffer[i].role != NEO_TE_TMP)
      k->constant[at++] = k->te->buffer[i].role == NEO_TE_CONST;
  for (int i = 0; i < k->nest->n_params; i++) {
    const neo_nest_buffer *buffer = &k->nest->buffer[i];
    k->buf[i] =
        neo_aligned_alloc(&b->ctx, (size_t)buffer->elements * neo_dtype_size(buffer->dtype) + 64);
    if (!k->buf[i])
      return neo_fail(&b->ctx, NEO_NO_MEMORY, "no memory for a buffer of %s", k->path);
    for (int64_t j = 0; buffer->dtype == NEO_F32 && j < buffer->elements; j++)
      ((float *)k->buf[i])[j] = (float)(j % 17) * 0.01f;
  }
  int64_t scratch = (k->nest->scratch_bytes + 63) / 64 * 64;
  k->work = neo_aligned_alloc(&b->ctx, (size_t)k->nest->work_bytes + 64);
  k->scratch = neo_aligned_alloc(&b->ctx, (size_t)(scratch * b->threads) + 64);
  if (!k->work || !k->scratch)
    return neo_fail(&b->ctx, NEO_NO_MEMORY, "no memory for work areas of %s", k->path);
  k->call = (neo_pool_call){.n_launches = k->nest->n_launches,
                            .fn = k->fn,
                            .grid = k->grid,
                            .buf = k->buf,
                            .work = k->work,
                            .scratch = k->scratch,
                            .scratch_bytes = scratch};
  return NEO_OK;
}

static void release(bench *b, kernel *k) {
  for (int i = 0; i < NEO_NEST_MAX_BUFFERS; i++)
    neo_aligned_free(&b->ctx, k->buf[i]);
  neo_aligned_free(&b->ctx, k->work);
  neo_aligned_free(&b->ctx, k->scratch);
  neo_object_unload(k->loaded);
  neo_object_fini(&k->object);
  neo_space_destroy(k->space);
}

/* ---- timing ------------------------------------------------------------------------------------- */

static void evict(const kernel *k) {
  for (int i = 0; i < k->nest->n_params; i++)
    if (k->constant[i])
      neo_cpu_evict(k->buf[i],
                    (size_t)k->nest->buffer[i].elements * neo_dtype_size(k->nest->buffer[i].dtype));
}

/* Nanoseconds per run over a batch. */
static double time_batch(bench *b, const kernel *k, int batch) {
  uint64_t total = 0, start = neo_now_ns(&b->ctx);
  for (int i = 0; i < batch; i++) {
    if (b->cold) {
      evict(k);
      start = neo_now_ns(&b->ctx);
    }
    neo_pool_launch(b->pool, &k->call);
    if (b->cold)
      total += neo_now_ns(&b->ctx) - start;
  }
  return (double)(b->cold ? total : neo_now_ns(&b->ctx) - start) / batch;
}

static neo_status prepare(bench *b, const char *path, kernel *k) {
  NEO_TRY(open_space(b, path, k));
  NEO_TRY(choose(b, k));
  NEO_TRY(load(b, k));
  NEO_TRY(allocate(b, k));
  time_batch(b, k, 1);
  double ns = time_batch(b, k, 1);
  k->batch = (int)fmax(1, fmin(2000, ceil(2e6 / fmax(ns, 1))));
  return NEO_OK;
}

static neo_status serve(bench *b, const char *path) {
  static kernel k;
  char line[64];
  neo_status status = prepare(b, path, &k);
  while (status == NEO_OK && fgets(line, sizeof line, stdin)) {
    time_batch(b, &k, k.batch); /* the other worker has had caches and clock */
    printf("%.0f\n", time_batch(b, &k, k.batch));
    fflush(stdout);
  }
  release(b, &k);
  return status;
}

static int compare_double(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *v, int n) {
  qsort(v, (size_t)n, sizeof *v, compare_double);
  return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Columns: path, best and median GFLOP/s, median over the rounds of GFLOP/s against the first's,
 * predicted against measured time, schedule. */
static void print_comparison(const kernel *k, int n, double (*ns)[MAX_ROUNDS], int rounds) {
  double base_flops = neo_te_flops(k[0].te);
  for (int i = 0; i < n; i++) {
    double ratio[MAX_ROUNDS], sorted[MAX_ROUNDS], flops = neo_te_flops(k[i].te);
    for (int r = 0; r < rounds; r++) {
      ratio[r] = flops / ns[i][r] / (base_flops / ns[0][r]);
      sorted[r] = ns[i][r];
    }
    double middle = median(sorted, rounds);
    neo_buf line = {0};
    neo_schedule_print(&line, &k[i].line);
    printf("%s\t%.2f\t%.2f\t%.4f\t%.3f\t%s\n", k[i].path, flops / sorted[0], flops / middle,
           median(ratio, rounds), k[i].predicted / middle, line.data);
    neo_buf_fini(&line);
  }
}

static neo_status compare(bench *b, int n, char **paths) {
  static kernel k[MAX_KERNELS];
  static double ns[MAX_KERNELS][MAX_ROUNDS];
  neo_status status =
      n <= MAX_KERNELS ? NEO_OK : neo_fail(&b->ctx, NEO_USAGE, "%d files at most", MAX_KERNELS);
  for (int i = 0; status == NEO_OK && i < n; i++)
    status = prepare(b, paths[i], &k[i]);
  for (int r = 0; status == NEO_OK && r < b->rounds; r++)
    for (int i = 0; i < n; i++) {
      int at = r % 2 ? n - 1 - i : i;
      time_batch(b, &k[at], 1);
      ns[at][r] = time_batch(b, &k[at], k[at].batch);
    }
  if (status == NEO_OK)
    print_comparison(k, n, ns, b->rounds);
  for (int i = 0; i < n && i < MAX_KERNELS; i++)
    release(b, &k[i]);
  return status;
}

static neo_status pick(bench *b, const char *path) {
  static kernel k;
  neo_buf line = {0};
  neo_status status = open_space(b, path, &k);
  if (status == NEO_OK)
    status = choose(b, &k);
  if (status == NEO_OK) {
    neo_schedule_print(&line, &k.line);
    printf("%.0f\t%s\n", k.predicted, line.data);
  }
  neo_buf_fini(&line);
  release(b, &k);
  return status;
}

/* ---- tuning ------------------------------------------------------------------------------------- */

typedef struct tuning {
  neo_measurer *measurer;
  neo_search *search;
  int trials, failed;
  uint64_t start;
  char first_failure[400];
} tuning;

static void trace(bench *b, const kernel *k, const tuning *t, const neo_candidate *candidate,
                  const neo_trial_result *result) {
  neo_schedule line;
  neo_buf text = {0};
  if (!b->trace)
    return;
  neo_space_schedule(k->space, candidate, &line);
  neo_schedule_print(&text, &line);
  printf("trial\t%d\t%.3f\t%.0f\t%s\t%.0f\t%s\n", t->trials,
         (double)(neo_now_ns(&b->ctx) - t->start) / 1e9,
         neo_trial_usable(result->kind) ? result->ns : 0, neo_trial_kind_name(result->kind),
         neo_space_predict(k->space, candidate), text.data);
  neo_buf_fini(&text);
}

static neo_status tune_round(bench *b, const kernel *k, tuning *t, int *n) {
  static neo_candidate candidate[ROUND];
  int first = t->trials;
  int want = b->trials > 0 && b->trials - t->trials < ROUND ? b->trials - t->trials : ROUND;
  *n = want > 0 ? neo_search_propose(t->search, want, candidate) : 0;
  for (int i = 0; i < *n; i++) {
    neo_schedule line;
    neo_space_schedule(k->space, &candidate[i], &line);
    NEO_TRY(neo_measurer_submit(&b->ctx, t->measurer, (uint64_t)i, 0, &line));
  }
  double ns[ROUND] = {0};
  while (t->trials < first + *n) {
    neo_trial_result result;
    bool got = false;
    NEO_TRY(neo_measurer_poll(&b->ctx, t->measurer, 1000, &result, &got));
    if (!got)
      continue;
    t->trials++;
    trace(b, k, t, &candidate[result.id], &result);
    if (neo_trial_usable(result.kind)) {
      ns[result.id] = result.ns;
    } else if (t->failed++ == 0) {
      snprintf(t->first_failure, sizeof t->first_failure, "%s", result.text);
    }
  }
  for (int i = 0; i < *n; i++)
    neo_search_tell(t->search, &candidate[i], ns[i], !(ns[i] > 0));
  return NEO_OK;
}

static neo_status print_best(bench *b, const kernel *k, const tuning *t) {
  neo_candidate best;
  neo_schedule line;
  neo_buf text = {0};
  double ns;
  if (!neo_search_best(t->search, &best, &ns))
    return neo_fail(&b->ctx, NEO_NOTHING_MEASURED, "none of %d trials could be measured: %s",
                    t->trials, t->first_failure);
  neo_space_schedule(k->space, &best, &line);
  neo_schedule_print(&text, &line);
  printf("%.0f\t%d\t%d\t%s\n", ns, t->trials, t->failed, text.data);
  neo_buf_fini(&text);
  return NEO_OK;
}

static neo_status open_measurer(bench *b, neo_measurer **out) {
  char folder[512], board[600];
  bool emulated = strncmp(b->measurer, "emulated:", 9) == 0;
  NEO_TRY(neo_self_dir(&b->ctx, folder));
  snprintf(board, sizeof board, "%s/../bin/neo-board%s%s", folder, emulated ? "-" : "",
           emulated ? b->target.arch : "");
  neo_measure_options options = {.threads = b->threads, .board_program = board, .seed = 1};
  options.timing = (neo_timing_policy){.race_factor = 3,
                                       .max_total_ns = 15e6,
                                       .min_batches = 3,
                                       .max_batches = 12,
                                       .settled = 0.99,
                                       .cold = b->cold};
  return neo_measurer_open(&b->ctx, b->measurer, &b->target, &options, out);
}

static neo_status add_task(bench *b, const kernel *k, neo_measurer *measurer, int task) {
  char key[33];
  neo_te_key(k->te, key);
  return neo_measurer_task(&b->ctx, measurer, task, k->te, key);
}

static neo_status tune(bench *b, const char *path) {
  static kernel k;
  tuning t = {0};
  neo_model *model = NULL;
  t.start = neo_now_ns(&b->ctx);
  neo_status status = open_space(b, path, &k);
  if (status == NEO_OK)
    status = neo_model_create(&b->ctx, &model);
  neo_search_options options = {.seed = 1, .model = model};
  if (status == NEO_OK)
    status = neo_search_create(&b->ctx, k.space, &options, &t.search);
  if (status == NEO_OK)
    status = open_measurer(b, &t.measurer);
  if (status == NEO_OK)
    status = add_task(b, &k, t.measurer, 0);
  int n = 1;
  while (status == NEO_OK && n > 0 && (double)(neo_now_ns(&b->ctx) - t.start) < b->seconds * 1e9) {
    status = tune_round(b, &k, &t, &n);
    if (status == NEO_OK)
      status = neo_model_fit(&b->ctx, model);
  }
  if (status == NEO_OK)
    status = print_best(b, &k, &t);
  neo_measurer_close(t.measurer);
  neo_search_destroy(t.search);
  neo_model_destroy(model);
  release(b, &k);
  return status;
}

static neo_status measure_line(bench *b, const kernel *k, neo_measurer *measurer, int task) {
  neo_trial_result result;
  bool got = false;
  NEO_TRY(add_task(b, k, measurer, task));
  NEO_TRY(neo_measurer_submit(&b->ctx, measurer, 0, task, &k->line));
  while (!got)
    NEO_TRY(neo_measurer_poll(&b->ctx, measurer, 1000, &result, &got));
  neo_measurer_drop(measurer, task);
  if (!neo_trial_usable(result.kind))
    return neo_fail(&b->ctx, NEO_NOTHING_MEASURED, "%s: %s: %s", k->path,
                    neo_trial_kind_name(result.kind), result.text);
  printf("%.0f\t%s\n", result.ns, k->path);
  return NEO_OK;
}

static neo_status measure_once(bench *b, int n, char **paths) {
  neo_measurer *measurer = NULL;
  neo_status status = open_measurer(b, &measurer);
  for (int i = 0; status == NEO_OK && i < n; i++) {
    kernel k = {0};
    status = open_space(b, paths[i], &k);
    if (status == NEO_OK)
      status = choose(b, &k);
    if (status == NEO_OK)
      status = measure_line(b, &k, measurer, i);
    release(b, &k);
  }
  neo_measurer_close(measurer);
  return status;
}

/* ---- command line --------------------------------------------------------------------------------- */

/* The number of arguments that the option takes; -1: there is no such option. */
static int parse_option(bench *b, const char *name, const char *value) {
  static const struct {
    const char *name;
    mode mode;
  } modes[] = {{"--pick", PICK},
               {"--tune", TUNE},
               {"--once", ONCE},
               {"--serve", SERVE},
               {"--compare", COMPARE}};
  for (int i = 0; i < NEO_COUNT(modes); i++)
    if (strcmp(name, modes[i].name) == 0)
      b->mode = modes[i].mode;
  if (strcmp(name, "--row-major") == 0)
    b->row_major = true;
  else if (strcmp(name, "--cold") == 0)
    b->cold = true;
  else if (strcmp(name, "--trace") == 0)
    b->trace = true;
  else if (strcmp(name, "--trials") == 0)
    return b->trials = (int)strtol(value, NULL, 10), 1;
  else if (strcmp(name, "--measure") == 0)
    return b->measurer = value, 1;
  else if (strcmp(name, "--tune") == 0)
    return b->seconds = strtod(value, NULL), 1;
  else if (strcmp(name, "--threads") == 0)
    return b->threads = (int)strtol(value, NULL, 10), 1;
  else if (strcmp(name, "--rounds") == 0)
    return b->rounds = (int)strtol(value, NULL, 10), 1;
  else if (strcmp(name, "--line") == 0)
    return b->line = value, 1;
  else if (strcmp(name, "--target") == 0)
    return b->target_name = value, 1;
  else if (strcmp(name, "--pick") != 0 && strcmp(name, "--once") != 0 &&
           strcmp(name, "--serve") != 0 && strcmp(name, "--compare") != 0)
    return -1;
  return 0;
}

static int usage(void) {
  fprintf(stderr, "usage: bench_operator [--threads N] [--row-major] [--cold] [--line SCHEDULE] "
                  "[--rounds N] [--trials N] [--trace] [--measure URL] [--target T] "
                  "--pick|--tune SECONDS|--once|--serve|--compare TE...\n");
  return NEO_USAGE;
}

int main(int argc, char **argv) {
  bench b = {.threads = 1, .rounds = 9, .measurer = "local"};
  int at = 1;
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
    int taken = parse_option(&b, argv[at], at + 1 < argc ? argv[at + 1] : "");
    if (taken < 0)
      return usage();
    at += taken;
  }
  if (b.mode == NONE || at >= argc || b.threads < 1 || b.rounds < 1 || b.rounds > MAX_ROUNDS)
    return usage();
  neo_ctx_init(&b.ctx, 1);
  neo_arena_init(&b.arena);
  neo_status status = neo_target_find(&b.ctx, b.target_name, &b.target);
  if (status == NEO_OK)
    status = neo_pool_create(&b.ctx, NEO_POOL_DEFAULT, b.threads, NULL, &b.pool);
  if (status == NEO_OK && b.mode == PICK)
    status = pick(&b, argv[at]);
  else if (status == NEO_OK && b.mode == TUNE)
    status = tune(&b, argv[at]);
  else if (status == NEO_OK && b.mode == ONCE)
    status = measure_once(&b, argc - at, argv + at);
  else if (status == NEO_OK && b.mode == SERVE)
    status = serve(&b, argv[at]);
  else if (status == NEO_OK)
    status = compare(&b, argc - at, argv + at);
  if (status != NEO_OK)
    fprintf(stderr, "bench_operator: %s: %s\n", argv[at], b.ctx.message);
  neo_pool_destroy(b.pool);
  neo_arena_fini(&b.arena);
  return (int)status;
}
