/* neo run and neo bench: an artifact through libneo_rt, as a user's program would. */
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "cli/commands.h"
#include "neo/neo_rt.h"

typedef struct opened {
  neo_rt_model *model;
  neo_rt_session *session;
  int threads;
  int n_texts;
  neo_tensor *texts; /* inputs that are strings: the session reads them in place */
} opened;

static neo_status rt_fail(neo_ctx *ctx, int code, const neo_rt_error *error) {
  neo_status status = code == NEO_RT_KERNEL ? NEO_INTERNAL : (neo_status)code;
  return neo_fail(ctx, status, "%s", error->text);
}

static neo_status open_artifact(neo_ctx *ctx, const cli_args *args, opened *out) {
  neo_rt_error error = {0};
  int64_t threads = 0;
  memset(out, 0, sizeof *out);
  NEO_TRY(cli_int(ctx, args, "--threads", 1, 256, &threads));
  int code = neo_rt_load(args->argument[0], &out->model, &error);
  if (code)
    return rt_fail(ctx, code, &error);
  out->threads = threads ? (int)threads : neo_rt_threads(out->model);
  if (out->threads != neo_rt_threads(out->model))
    neo_log(
        ctx, NEO_LOG_WARN,
        "the artifact was compiled for %d threads; running with %d works but is not what was tuned",
        neo_rt_threads(out->model), out->threads);
  neo_rt_options options = {.threads = out->threads, .pin = 1};
  code = neo_rt_session_create(out->model, &options, &out->session, &error);
  return code ? rt_fail(ctx, code, &error) : NEO_OK;
}

static void close_artifact(neo_ctx *ctx, opened *o) {
  neo_rt_session_destroy(o->session);
  neo_rt_unload(o->model);
  for (int i = 0; i < o->n_texts; i++)
    neo_tensor_free(ctx, &o->texts[i]);
  free(o->texts);
}

static neo_status keep_texts(neo_ctx *ctx, opened *o, neo_tensor *tensor) {
  neo_tensor *more = realloc(o->texts, sizeof *more * (size_t)(o->n_texts + 1));
  if (!more) {
    neo_tensor_free(ctx, tensor);
    return neo_fail(ctx, NEO_NO_MEMORY, "input");
  }
  o->texts = more;
  o->texts[o->n_texts++] = *tensor;
  return NEO_OK;
}

static neo_status set_input(neo_ctx *ctx, opened *o, const char *text) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text)
    return neo_fail(ctx, NEO_USAGE, "--input %s: write NAME=FILE.npy", text);
  char *name = strndup(text, (size_t)(equals - text));
  neo_tensor tensor = {0};
  neo_rt_error error = {0};
  neo_status status =
      name ? neo_npy_read(ctx, equals + 1, &tensor) : neo_fail(ctx, NEO_NO_MEMORY, "input");
  if (status == NEO_OK) {
    neo_rt_tensor_info info = {.name = name,
                               .dtype = neo_dtype_name(tensor.dtype),
                               .rank = tensor.shape.rank,
                               .bytes = tensor.size};
    memcpy(info.dim, tensor.shape.dim, sizeof(int64_t) * (size_t)tensor.shape.rank);
    int code = neo_rt_set_tensor(o->session, &info, tensor.data, &error);
    status = code ? rt_fail(ctx, code, &error) : NEO_OK;
  }
  free(name);
  if (status == NEO_OK && tensor.dtype == NEO_STR)
    return keep_texts(ctx, o, &tensor);
  neo_tensor_free(ctx, &tensor);
  return status;
}

/* Every input must be given once. */
static neo_status set_inputs(neo_ctx *ctx, const cli_args *args, opened *o) {
  neo_buf missing = {0};
  const char *text;
  neo_status status = cli_names_once(ctx, args, "--input");
  for (int k = 0; status == NEO_OK && (text = cli_value_at(args, "--input", k)); k++)
    status = set_input(ctx, o, text);
  for (int i = 0; i < neo_rt_inputs(o->model); i++) {
    const char *name = neo_rt_input_info(o->model, i)->name;
    bool given = false;
    for (int k = 0; (text = cli_value_at(args, "--input", k)); k++)
      given = given || (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == '=');
    if (!given)
      neo_buf_printf(&missing, " --input %s=FILE.npy", name);
  }
  if (status == NEO_OK && missing.size)
    status = neo_fail(ctx, NEO_USAGE, "inputs are missing:%s", missing.data);
  neo_buf_fini(&missing);
  return status;
}

/* NAME.npy with '/' and ':' written '_'; names that collide get .1, .2, ... */
static neo_status write_output(neo_ctx *ctx, opened *o, const char *dir, int index) {
  neo_rt_tensor_info shape = {0}, *info = &shape;
  neo_rt_output_shape(o->session, index, info);
  char base[256], other[256];
  cli_file_name(info->name, base, sizeof base);
  int earlier = 0;
  for (int i = 0; i < index; i++) {
    cli_file_name(neo_rt_output_info(o->model, i)->name, other, sizeof other);
    earlier += strcmp(base, other) == 0;
  }
  char path[1200], suffix[16] = "";
  if (earlier)
    snprintf(suffix, sizeof suffix, ".%d", earlier);
  snprintf(path, sizeof path, "%s/%s%s.npy", dir, base, suffix);
  neo_tensor tensor = {.size = info->bytes};
  neo_rt_error error = {0};
  const void *data = NULL;
  int code = neo_rt_output(o->session, index, &data, &error);
  if (code)
    return rt_fail(ctx, code, &error);
  neo_assert(neo_dtype_find(info->dtype, &tensor.dtype));
  tensor.shape.rank = info->rank;
  memcpy(tensor.shape.dim, info->dim, sizeof(int64_t) * (size_t)info->rank);
  tensor.data = (void *)data;
  NEO_TRY(neo_npy_write(ctx, path, &tensor));
  printf("%s %s [", path, info->dtype);
  for (int d = 0; d < info->rank; d++)
    printf("%s%lld", d ? "," : "", (long long)info->dim[d]);
  printf("]\n");
  return NEO_OK;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Times `runs` runs after one to warm up; ns sorted. */
static neo_status time_runs(neo_ctx *ctx, opened *o, int runs, double *ns) {
  neo_rt_error error = {0};
  int code = neo_rt_run(o->session, &error);
  for (int r = 0; r < runs && !code; r++) {
    uint64_t start = neo_now_ns(ctx);
    code = neo_rt_run(o->session, &error);
    ns[r] = (double)(neo_now_ns(ctx) - start);
  }
  if (code)
    return rt_fail(ctx, code, &error);
  qsort(ns, (size_t)runs, sizeof *ns, compare);
  return NEO_OK;
}

/* FLOPs of one run of the largest shape from compiled.meta; 0 if it cannot be read. */
static double flops_of(neo_ctx *ctx, const char *dir) {
  char path[1100];
  snprintf(path, sizeof path, "%s/compiled.meta", dir);
  neo_buf text = {0};
  json_t *meta = NULL;
  double flops = 0;
  if (neo_file_read(ctx, path, 64u << 20, &text) == NEO_OK &&
      neo_json_parse(ctx, path, text.data, text.size, &meta) == NEO_OK)
    flops = json_number_value(json_object_get(meta, "flops"));
  neo_ctx_clear(ctx);
  json_decref(meta);
  neo_buf_fini(&text);
  return flops;
}

static void print_times(neo_ctx *ctx, const cli_args *args, const opened *o, int runs,
                        const double *ns) {
  double min = ns[0] / 1e6, median = ns[runs / 2] / 1e6,
         p90 = ns[(runs * 9) / 10 < runs ? (runs * 9) / 10 : runs - 1] / 1e6;
  double gflops = flops_of(ctx, args->argument[0]) / ns[runs / 2];
  if (cli_has(args, "--json"))
    printf("{\"latency_ms\": {\"min\": %.6f, \"median\": %.6f, \"p90\": %.6f}, \"threads\": %d, "
           "\"runs\": %d, \"gflops\": %.4f}\n",
           min, median, p90, o->threads, runs, gflops);
  else
    printf("latency min %.3f ms, median %.3f ms, p90 %.3f ms; %d runs, %d threads, %.1f GFLOP/s\n",
           min, median, p90, runs, o->threads, gflops);
}

static neo_status time_and_print(neo_ctx *ctx, const cli_args *args, opened *o, int runs) {
  double *ns = calloc((size_t)runs, sizeof *ns);
  if (!ns)
    return neo_fail(ctx, NEO_NO_MEMORY, "%d runs", runs);
  neo_status status = time_runs(ctx, o, runs, ns);
  if (status == NEO_OK)
    print_times(ctx, args, o, runs, ns);
  free(ns);
  return status;
}

neo_status cli_run(neo_ctx *ctx, const cli_args *args) {
  opened o;
  int64_t repeat = 0;
  neo_rt_error error = {0};
  const char *dir = cli_value(args, "--output-dir", ".");
  NEO_TRY(cli_int(ctx, args, "--repeat", 1, 1000000, &repeat));
  neo_status status = open_artifact(ctx, args, &o);
  if (status == NEO_OK)
    status = set_inputs(ctx, args, &o);
  if (status == NEO_OK) {
    int code = neo_rt_run(o.session, &error);
    status = code ? rt_fail(ctx, code, &error) : neo_dir_create(ctx, dir);
  }
  for (int i = 0; status == NEO_OK && i < neo_rt_outputs(o.model); i++)
    status = write_output(ctx, &o, dir, i);
  if (status == NEO_OK && repeat > 0)
    status = time_and_print(ctx, args, &o, (int)repeat);
  close_artifact(ctx, &o);
  return status;
}

/* The shape that --input names for this input, else the model's. */
static neo_status bench_shape(neo_ctx *ctx, const cli_args *args, const neo_rt_tensor_info *info,
                              neo_arena *arena, neo_shape *out) {
  const char *text;
  out->rank = info->rank;
  memcpy(out->dim, info->dim, sizeof(int64_t) * (size_t)info->rank);
  for (int k = 0; (text = cli_value_at(args, "--input", k)); k++) {
    neo_binding binding;
    NEO_TRY(cli_binding(ctx, arena, text, NULL, &binding));
    if (strcmp(binding.name, info->name) == 0)
      *out = binding.shape;
  }
  return NEO_OK;
}

static neo_status check_names(neo_ctx *ctx, const cli_args *args, const opened *o) {
  const char *text;
  for (int k = 0; (text = cli_value_at(args, "--input", k)); k++) {
    bool known = false;
    for (int i = 0; i < neo_rt_inputs(o->model) && !known; i++) {
      const char *name = neo_rt_input_info(o->model, i)->name;
      known = strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == '=';
    }
    if (!known)
      return neo_fail(ctx, NEO_USAGE, "--input %s: the artifact has no such input", text);
  }
  return NEO_OK;
}

static neo_status fill_input(neo_ctx *ctx, opened *o, const neo_rt_tensor_info *info,
                             const neo_shape *shape, neo_rng *rng) {
  neo_tensor tensor = {0};
  neo_dtype dtype;
  neo_rt_error error = {0};
  neo_rt_tensor_info given = *info;
  neo_assert(neo_dtype_find(info->dtype, &dtype));
  NEO_TRY(neo_tensor_create(ctx, dtype, shape, &tensor));
  for (size_t e = 0; neo_dtype_class(dtype) == 'f' && e < tensor.size / neo_dtype_size(dtype); e++)
    neo_tensor_set_f64(&tensor, (int64_t)e, neo_rng_unit(rng));
  given.rank = shape->rank;
  memcpy(given.dim, shape->dim, sizeof(int64_t) * (size_t)shape->rank);
  int code = neo_rt_set_tensor(o->session, &given, tensor.data, &error);
  neo_tensor_free(ctx, &tensor);
  return code ? rt_fail(ctx, code, &error) : NEO_OK;
}

/* Inputs of a benchmark: uniform in [0, 1), from a fixed seed; integers stay 0 so that they are
 * legal indices. */
static neo_status fill_inputs(neo_ctx *ctx, const cli_args *args, opened *o) {
  neo_rng rng;
  neo_arena arena;
  neo_arena_init(&arena);
  neo_rng_init(&rng, 1);
  neo_status status = cli_names_once(ctx, args, "--input");
  if (status == NEO_OK)
    status = check_names(ctx, args, o);
  for (int i = 0; i < neo_rt_inputs(o->model) && status == NEO_OK; i++) {
    const neo_rt_tensor_info *info = neo_rt_input_info(o->model, i);
    neo_shape shape;
    status = bench_shape(ctx, args, info, &arena, &shape);
    if (status == NEO_OK)
      status = fill_input(ctx, o, info, &shape, &rng);
  }
  neo_arena_fini(&arena);
  return status;
}

static neo_status print_profile(neo_ctx *ctx, opened *o) {
  const double *ns = NULL;
  int n = 0;
  neo_rt_error error = {0};
  neo_rt_profile(o->session, 1, &ns, &n);
  for (int r = 0; r < 2; r++) {
    int code = neo_rt_run(o->session, &error);
    if (code)
      return rt_fail(ctx, code, &error);
  }
  neo_rt_profile(o->session, 1, &ns, &n);
  for (int s = 0; s < n; s++)
    if (ns[s] > 0 || neo_rt_shapes(o->model) == 1)
      printf("%10.1f us  %s\n", ns[s] / 1e3, neo_rt_step_name(o->model, s));
  neo_rt_profile(o->session, 0, &ns, &n);
  return NEO_OK;
}

/* A worker of benchmarks/pair: `runs` timed runs back to back per line of standard input,
 * nanoseconds of one on standard output. */
static neo_status serve(neo_ctx *ctx, opened *o, int runs) {
  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    neo_rt_error error = {0};
    uint64_t start = neo_now_ns(ctx);
    int code = 0;
    for (int r = 0; r < runs && code == 0; r++)
      code = neo_rt_run(o->session, &error);
    double ns = (double)(neo_now_ns(ctx) - start) / runs;
    if (code)
      return rt_fail(ctx, code, &error);
    printf("%.0f\n", ns);
    fflush(stdout);
  }
  return NEO_OK;
}

neo_status cli_bench(neo_ctx *ctx, const cli_args *args) {
  opened o;
  int64_t runs = 0;
  NEO_TRY(cli_int(ctx, args, "--runs", 1, 1000000, &runs));
  neo_status status = open_artifact(ctx, args, &o);
  if (status == NEO_OK)
    status = fill_inputs(ctx, args, &o);
  if (status == NEO_OK && cli_has(args, "--profile"))
    status = print_profile(ctx, &o);
  double once = 0;
  if (status == NEO_OK && cli_has(args, "--serve")) {
    status = serve(ctx, &o, runs > 0 ? (int)runs : 1);
    close_artifact(ctx, &o);
    return status;
  }
  if (status == NEO_OK)
    status = time_runs(ctx, &o, 1, &once);
  if (status == NEO_OK && runs == 0) {
    double fitting = once > 0 ? 2e9 / once : 100; /* about two seconds */
    runs = fitting < 10 ? 10 : fitting > 2000 ? 2000 : (int64_t)fitting;
  }
  if (status == NEO_OK)
    status = time_and_print(ctx, args, &o, (int)runs);
  close_artifact(ctx, &o);
  return status;
}
