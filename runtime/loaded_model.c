/* A loaded artifact: compiled.so (.dll) with its kernels and plan, compiled.params mapped
 * read-only.
 *
 * Why dlopen and mmap: code and weights are then shared between the processes that run a model, and
 * loading costs what is looked at. The plan is decoded, and with it every number that the executor
 * will use, before anything runs (plan_decode.c); the target is compared with this processor before
 * the first kernel is called, so a wrong artifact is a message and not SIGILL.
 *
 * Formats: docs/formats/plan.md, docs/formats/params.md. A model is immutable after neo_rt_load. */
#include "runtime/model.h"

#include <string.h>

#include "runtime/cpu.h"
#include "runtime/dtype.h"
#include "runtime/os.h"

int neo_rt_report(neo_rt_error *error, neo_status status, const neo_ctx *ctx) {
  static const struct {
    neo_status status;
    int code;
  } codes[] = {{NEO_OK, NEO_RT_OK},
               {NEO_USAGE, NEO_RT_USAGE},
               {NEO_UNSUPPORTED, NEO_RT_UNSUPPORTED},
               {NEO_NO_MEMORY, NEO_RT_NO_MEMORY},
               {NEO_IO, NEO_RT_IO}};
  int code = NEO_RT_BAD_ARTIFACT;
  for (int i = 0; i < NEO_COUNT(codes); i++)
    if (codes[i].status == status)
      code = codes[i].code;
  if (error) {
    error->code = code;
    snprintf(error->text, sizeof(error->text), "%.511s", status == NEO_OK ? "" : ctx->message);
  }
  return code;
}

size_t neo_rt_dense_bytes(const neo_plan_value *value) {
  size_t bytes = neo_rt_dtype_size(value->dtype);
  for (int i = 0; i < value->rank; i++)
    bytes *= (size_t)value->dim[i];
  return bytes;
}

static neo_status join(neo_ctx *ctx, const char *dir, const char *file, char *out, size_t size) {
  int n = snprintf(out, size, "%s/%s", dir, file);
  if (n < 0 || (size_t)n >= size)
    return neo_fail(ctx, NEO_USAGE, "artifact: path is longer than %zu bytes", size - 1);
  return NEO_OK;
}

static neo_status open_library(neo_ctx *ctx, const char *dir, neo_rt_model *model) {
  char path[4096];
  NEO_TRY(join(ctx, dir, neo_os_library_name, path, sizeof(path)));
  NEO_TRY(neo_os_library_open(ctx, path, &model->library));
  const neo_module *module = neo_os_library_symbol(model->library, NEO_MODULE_SYMBOL);
  if (!module)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "%s: no symbol '" NEO_MODULE_SYMBOL "': not an artifact of Neo", path);
  if (module->magic != NEO_MODULE_MAGIC || !module->plan)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: magic 0x%08x, 0x%08x expected", path,
                    (unsigned)module->magic, NEO_MODULE_MAGIC);
  if (module->abi_version != NEO_ABI_VERSION)
    return neo_fail(ctx, NEO_UNSUPPORTED, "%s: ABI version %u, this runtime has %u: compile again",
                    path, (unsigned)module->abi_version, NEO_ABI_VERSION);
  for (uint64_t i = 0; i < module->n_functions; i++)
    if (!module->functions || !module->functions[i])
      return neo_fail(ctx, NEO_BAD_INPUT, "%s: function %llu is missing", path,
                      (unsigned long long)i);
  model->functions = module->functions;
  return neo_plan_decode(ctx, module->plan, module->plan_size, module->n_functions, &model->plan);
}

static neo_status check_processor(neo_ctx *ctx, const neo_plan *plan) {
  if (strcmp(plan->arch, "c") != 0 && strcmp(plan->arch, neo_cpu_arch()) != 0)
    return neo_fail(ctx, NEO_UNSUPPORTED, "artifact: compiled for %.32s, this machine is %s",
                    plan->arch, neo_cpu_arch());
  uint64_t missing = plan->isa & ~neo_cpu_isa();
  if (!missing)
    return NEO_OK;
  char names[160];
  neo_cpu_names(missing, names, sizeof(names));
  return neo_fail(ctx, NEO_UNSUPPORTED, "artifact: this processor lacks %s (compiled for %.160s)",
                  names, plan->target);
}

neo_status neo_params_check(neo_ctx *ctx, const char *path, const uint8_t *file, size_t size,
                            int64_t needed) {
  neo_reader in = {.data = file, .size = size};
  const uint8_t *magic = neo_read_bytes(&in, 8);
  uint32_t version = neo_read_u32le(&in), zero = neo_read_u32le(&in);
  uint64_t bytes = neo_read_u64le(&in);
  uint32_t crc = neo_read_u32le(&in);
  if (in.failed || size < NEO_PARAMS_HEADER || memcmp(magic, NEO_PARAMS_MAGIC, 8) != 0 || zero)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: not a parameter file", path);
  if (version != 1)
    return neo_fail(ctx, NEO_UNSUPPORTED, "%s: version %u, this runtime reads 1", path,
                    (unsigned)version);
  if (bytes != size - NEO_PARAMS_HEADER)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: %zu bytes of data, its header says %llu", path,
                    size - NEO_PARAMS_HEADER, (unsigned long long)bytes);
  if ((uint64_t)needed != bytes)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "%s: %llu bytes of data, the plan needs %lld: of another artifact", path,
                    (unsigned long long)bytes, (long long)needed);
  if (neo_crc32(0, file + NEO_PARAMS_HEADER, bytes) != crc)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: checksum does not match: the file is damaged", path);
  return NEO_OK;
}

static neo_status map_params(neo_ctx *ctx, const char *dir, neo_rt_model *model) {
  char path[4096];
  NEO_TRY(join(ctx, dir, "compiled.params", path, sizeof(path)));
  NEO_TRY(neo_os_file_map(ctx, path, &model->map, &model->map_size));
  model->params = (const uint8_t *)model->map + NEO_PARAMS_HEADER;
  return neo_params_check(ctx, path, model->map, model->map_size, model->plan->params_bytes);
}

static neo_rt_tensor_info describe(const neo_plan_value *value, const char *name) {
  neo_rt_tensor_info info = {.name = name,
                             .dtype = neo_rt_dtype_name(value->dtype),
                             .rank = value->rank,
                             .bytes = neo_rt_dense_bytes(value)};
  memcpy(info.dim, value->dim, sizeof(info.dim));
  return info;
}

static neo_status describe_all(neo_ctx *ctx, neo_rt_model *model) {
  const neo_plan *plan = model->plan;
  model->n_shapes = 1 + (int)plan->n_more;
  size_t n = (size_t)model->n_shapes;
  model->input = neo_alloc(ctx, n * plan->n_inputs * sizeof(*model->input));
  model->output = neo_alloc(ctx, n * plan->n_outputs * sizeof(*model->output));
  if (!model->input || !model->output)
    return neo_fail(ctx, NEO_NO_MEMORY, "artifact: out of memory");
  neo_rt_tensor_info *input = model->input, *output = model->output;
  for (int k = 0; k < model->n_shapes; k++) {
    const neo_plan *p = neo_rt_plan(model, k);
    for (uint32_t i = 0; i < p->n_inputs; i++)
      *input++ = describe(&p->value[p->input[i]], p->value[p->input[i]].name);
    for (uint32_t i = 0; i < p->n_outputs; i++)
      *output++ = describe(&p->value[p->output[i]], p->output_name[i]);
  }
  return NEO_OK;
}

static neo_status load(neo_ctx *ctx, const char *dir, neo_rt_model *model) {
  NEO_TRY(open_library(ctx, dir, model));
  NEO_TRY(check_processor(ctx, model->plan));
  NEO_TRY(map_params(ctx, dir, model));
  return describe_all(ctx, model);
}

int neo_rt_load(const char *dir, neo_rt_model **out, neo_rt_error *error) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  if (!dir || !out)
    return neo_rt_report(error, neo_fail(&ctx, NEO_USAGE, "neo_rt_load: NULL argument"), &ctx);
  neo_rt_model *model = neo_alloc(&ctx, sizeof(*model));
  neo_status status =
      model ? load(&ctx, dir, model) : neo_fail(&ctx, NEO_NO_MEMORY, "artifact: out of memory");
  if (status == NEO_OK)
    *out = model;
  else
    neo_rt_unload(model);
  return neo_rt_report(error, status, &ctx);
}

void neo_rt_unload(neo_rt_model *model) {
  if (!model)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  neo_free(&ctx, model->input);
  neo_free(&ctx, model->output);
  neo_plan_free(&ctx, model->plan);
  neo_os_file_unmap(model->map, model->map_size);
  neo_os_library_close(model->library);
  neo_free(&ctx, model);
}

int neo_rt_inputs(const neo_rt_model *model) {
  return (int)model->plan->n_inputs;
}
int neo_rt_outputs(const neo_rt_model *model) {
  return (int)model->plan->n_outputs;
}
int neo_rt_threads(const neo_rt_model *model) {
  return (int)model->plan->threads;
}

int neo_rt_shapes(const neo_rt_model *model) {
  return model->n_shapes;
}

const neo_rt_tensor_info *neo_rt_shape_input(const neo_rt_model *model, int shape, int i) {
  int n = neo_rt_inputs(model);
  bool good = shape >= 0 && shape < model->n_shapes && i >= 0 && i < n;
  return good ? &model->input[shape * n + i] : NULL;
}

const neo_rt_tensor_info *neo_rt_shape_output(const neo_rt_model *model, int shape, int i) {
  int n = neo_rt_outputs(model);
  bool good = shape >= 0 && shape < model->n_shapes && i >= 0 && i < n;
  return good ? &model->output[shape * n + i] : NULL;
}

int neo_rt_shape_rows(const neo_rt_model *model, int shape, int i, int64_t *least) {
  if (!neo_rt_shape_input(model, shape, i))
    return 0;
  const neo_plan *plan = neo_rt_plan(model, shape);
  if (plan->rows == 0 || plan->input_rows[i] == 0)
    return 0;
  if (least)
    *least = plan->rows_least;
  return (int)plan->input_rows[i];
}

const neo_rt_tensor_info *neo_rt_input_info(const neo_rt_model *model, int i) {
  return neo_rt_shape_input(model, 0, i);
}

const neo_rt_tensor_info *neo_rt_output_info(const neo_rt_model *model, int i) {
  return neo_rt_shape_output(model, 0, i);
}

const char *neo_rt_step_name(const neo_rt_model *model, int i) {
  for (int k = 0; i >= 0 && k < model->n_shapes; k++) {
    const neo_plan *plan = neo_rt_plan(model, k);
    if ((uint32_t)i < plan->n_steps)
      return plan->step[i].name;
    i -= (int)plan->n_steps;
  }
  return NULL;
}

size_t neo_rt_activation_bytes(const neo_rt_model *model) {
  int64_t arena = 0, scratch = 0;
  for (int k = 0; k < model->n_shapes; k++) {
    const neo_plan *plan = neo_rt_plan(model, k);
    arena = plan->arena_bytes > arena ? plan->arena_bytes : arena;
    scratch = plan->scratch_bytes > scratch ? plan->scratch_bytes : scratch;
  }
  return (size_t)arena + (size_t)scratch * model->plan->threads;
}

const char *neo_rt_version(void) {
  return NEO_RT_VERSION;
}
