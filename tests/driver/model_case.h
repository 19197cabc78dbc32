/* tests/driver/model_case.h: the committed model cases (model, input, the framework's own output,
 * tolerances), as projects and as runs of compiled artifacts. */
#ifndef NEO_TESTS_MODEL_CASE_H
#define NEO_TESTS_MODEL_CASE_H

#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "driver/driver.h"
#include "neo/neo_rt.h"
#include "runtime/device.h"
#include "tests/foreign_driver.h"

/* A GPU's row of target/gpus.def, where a test is built for one; "": this machine. */
#ifndef MODEL_CASE_TARGET
#define MODEL_CASE_TARGET ""
#endif

typedef struct model_case {
  char model[600], input_name[80];
  neo_tensor input, want;
  double rtol, atol;
} model_case;

static inline const char *case_target(void) {
  return MODEL_CASE_TARGET[0] ? MODEL_CASE_TARGET : NULL;
}

/* 0; or 77, with a message, if the test needs a GPU's driver that is not here. */
static inline int case_missing(void) {
  neo_ctx ctx;
  neo_device *device = NULL;
  neo_ctx_init(&ctx, 1);
  const char *refused = foreign_driver_refused();
  bool there =
      !case_target() || (!refused && neo_device_open(&ctx, MODEL_CASE_TARGET, &device) == NEO_OK);
  neo_device_close(device);
  if (there)
    return 0;
  print_message("skipped: %s\n", refused ? refused : ctx.message);
  return 77;
}

static inline void must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), ctx->message);
}

/* The path of a case's file; models that are fetched rather than committed lie in the user's cache
 * (scripts/models.sh). */
static inline void case_path(const char *name, const char *file, char *out, size_t size) {
  snprintf(out, size, "%s/tests/data/onnx/%s/%s", NEO_SOURCE_DIR, name, file);
  if (neo_file_exists(out) || strncmp(name, "real_", 5) != 0)
    return;
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (cache && cache[0])
    snprintf(out, size, "%s/neo/models/%s/%s", cache, name + 5, file);
  else
    snprintf(out, size, "%s/.cache/neo/models/%s/%s", home ? home : "", name + 5, file);
}

static inline void case_load(neo_ctx *ctx, const char *name, model_case *out) {
  char path[600];
  neo_buf text = {0};
  json_t *meta = NULL;
  memset(out, 0, sizeof *out);
  case_path(name, "model.onnx", out->model, sizeof out->model);
  case_path(name, "meta.json", path, sizeof path);
  must(ctx, neo_file_read(ctx, path, 0, &text));
  must(ctx, neo_json_parse(ctx, path, text.data, text.size, &meta));
  const json_t *inputs = json_object_get(meta, "inputs");
  assert_int_equal(json_array_size(inputs), 1);
  snprintf(out->input_name, sizeof out->input_name, "%s",
           json_string_value(json_object_get(json_array_get(inputs, 0), "name")));
  out->rtol = json_number_value(json_object_get(meta, "rtol"));
  out->atol = json_number_value(json_object_get(meta, "atol"));
  assert_true(out->rtol >= 0 && out->atol > 0);
  json_decref(meta);
  neo_buf_fini(&text);
  case_path(name, "input_0.npy", path, sizeof path);
  must(ctx, neo_npy_read(ctx, path, &out->input));
  case_path(name, "output_0.npy", path, sizeof path);
  must(ctx, neo_npy_read(ctx, path, &out->want));
}

static inline void case_release(neo_ctx *ctx, model_case *c) {
  neo_tensor_free(ctx, &c->input);
  neo_tensor_free(ctx, &c->want);
}

/* batch 0: as in the case's input. */
static inline void case_project(neo_ctx *ctx, const model_case *c, int threads, int64_t batch,
                                neo_project *out) {
  neo_binding binding = {.name = c->input_name, .shape = c->input.shape};
  if (batch > 0)
    binding.shape.dim[0] = batch;
  neo_project_options options = {
      .model = c->model, .n_bindings = 1, .bindings = &binding, .threads = threads};
  options.target = case_target();
  must(ctx, neo_project_open(ctx, &options, out));
}

static inline void rt_must(int code, const neo_rt_error *error) {
  if (code)
    fail_msg("runtime error %d: %s", code, error->text);
}

/* Runs the artifact on the case's input, twice, and compares with the stored output. */
static inline void case_run(const model_case *c, const char *dir, int threads) {
  neo_rt_error error = {0};
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  rt_must(neo_rt_load(dir, &model, &error), &error);
  assert_int_equal(neo_rt_inputs(model), 1);
  assert_int_equal(neo_rt_outputs(model), 1);
  assert_int_equal(neo_rt_threads(model), threads);
  rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
  rt_must(neo_rt_set_input(session, c->input_name, c->input.data, c->input.size, &error), &error);
  const neo_rt_tensor_info *info = neo_rt_output_info(model, 0);
  assert_int_equal(info->bytes, c->want.size);
  assert_int_equal(info->rank, c->want.shape.rank);
  assert_memory_equal(info->dim, c->want.shape.dim, sizeof(int64_t) * (size_t)info->rank);
  assert_string_equal(info->dtype, neo_dtype_name(c->want.dtype));
  double worst = 0;
  for (int round = 0; round < 2; round++) {
    const void *data = NULL;
    rt_must(neo_rt_run(session, &error), &error);
    rt_must(neo_rt_output(session, 0, &data, &error), &error);
    neo_tensor result = c->want;
    result.data = (void *)(uintptr_t)data;
    for (size_t i = 0; i < info->bytes / neo_dtype_size(result.dtype); i++) {
      double got = neo_tensor_get_f64(&result, (int64_t)i),
             want = neo_tensor_get_f64(&c->want, (int64_t)i);
      double excess = fabs(got - want) / (c->atol + c->rtol * fabs(want));
      worst = excess > worst ? excess : worst;
      if (!(excess <= 1))
        fail_msg("%s, run %d, element %zu: %g, %g expected", c->model, round, i, got, want);
    }
  }
  print_message("%d threads: largest error %.2g of the tolerance\n", threads, worst);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
}

/* The first step of a fixture: a fresh directory, to be removed with scratch_remove. */
static inline void scratch_create(neo_ctx *ctx, char out[256]) {
  must(ctx, neo_dir_temp(ctx, getenv("TMPDIR"), out));
}

static inline void scratch_remove(neo_ctx *ctx, const char *dir) {
  must(ctx, neo_dir_remove(ctx, dir));
}

#endif
