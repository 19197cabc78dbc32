/* tests/driver/test_models.c: whole networks, compiled without a tuning database and run by the
 * runtime, give the output that their framework stored. One test per model; models that are not
 * committed are skipped when scripts/models.sh has not fetched them. */
#include "tests/driver/model_case.h"

typedef struct row {
  const char *name;
  bool codegen_c; /* also through C text, which is slow to build */
  bool gpu;       /* also where the test is built for a GPU */
} row;

static const row rows[] = {
    {"mnist_cnn_op13", true, true},
    {"mnist_cnn_dynamo", false, false},
    {"mnist_cnn_tf2onnx", false, false},
    {"resnet18_w8_op13", false, true},
    {"resnet_small_tf2onnx", false, false},
    {"mobilenet_v1_025_tf1_tf2onnx", true, false},
    {"mobilenet_v2_035_dynamo", false, true},
    {"mobilenet_v3_small_050_op13", false, false},
    {"convs_f16", false, true},
    {"unet_op13", false, false},
    {"unet_dynamo", false, false},
    {"real_ocr_det", false, false},
    {"real_ocr_rec", false, false},
    {"real_ocr_cls", false, true},
};

static void compile_and_run(neo_ctx *ctx, const model_case *c, const char *codegen, int threads,
                            const char *dir) {
  neo_project project;
  neo_compile_result result;
  case_project(ctx, c, threads, 0, &project);
  neo_compile_options options = {.output = dir, .codegen = codegen};
  must(ctx, neo_compile(ctx, &project, NULL, &options, &result));
  assert_true(result.n_tasks > 0);
  assert_int_equal(result.hits + result.near, 0);
  /* a task that falls back to the naive nest is a defect of its space */
  assert_int_equal(result.analytic, result.n_tasks);
  assert_true(result.generated_share >= 0.99);
  neo_project_close(&project);
  case_run(c, dir, threads);
}

static void model_runs(void **state) {
  const row *what = *state;
  neo_ctx ctx;
  model_case c;
  char scratch[256], dir[300], path[600];
  neo_ctx_init(&ctx, 1);
  case_path(what->name, "model.onnx", path, sizeof path);
  if (!neo_file_exists(path)) {
    print_message("SKIPPED: %s is not there; scripts/models.sh fetches it\n", path);
    skip();
  }
  case_load(&ctx, what->name, &c);
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  bool fetched = strncmp(what->name, "real_", 5) == 0; /* larger: with 2 threads only */
  for (int threads = fetched || case_target() ? 2 : 1; threads <= 2; threads++)
    compile_and_run(&ctx, &c, NULL, threads, dir);
  if (what->codegen_c && !case_target())
    compile_and_run(&ctx, &c, "c", 2, dir);
  scratch_remove(&ctx, scratch);
  case_release(&ctx, &c);
}

static int64_t member(const json_t *values, const json_t *args, size_t k, const char *name) {
  const json_t *value = json_array_get(values, (size_t)json_integer_value(json_array_get(args, k)));
  const json_t *storage = json_object_get(value, "storage");
  bool arena = strcmp(json_string_value(storage), "arena") == 0;
  return arena ? json_integer_value(json_object_get(value, name)) : -1;
}

/* Products of the artifact whose result has the place of an operand. */
static int products_in_place(neo_ctx *ctx, const char *dir) {
  char path[400];
  neo_buf text = {0};
  json_t *plan = NULL, *step;
  size_t i;
  int n = 0;
  snprintf(path, sizeof path, "%s/compiled_model.json", dir);
  must(ctx, neo_file_read(ctx, path, 0, &text));
  must(ctx, neo_json_parse(ctx, path, text.data, text.size, &plan));
  const json_t *values = json_object_get(plan, "values");
  json_array_foreach(json_object_get(plan, "steps"), i, step) {
    const json_t *args = json_object_get(step, "args");
    size_t last = json_array_size(args) - 1;
    int64_t bytes = member(values, args, last, "bytes"), slot = member(values, args, last, "slot");
    bool same = false;
    for (size_t k = 0; k < last && bytes > 0; k++)
      same = same ||
             (member(values, args, k, "bytes") == bytes && member(values, args, k, "slot") == slot);
    n += same && strstr(json_string_value(json_object_get(step, "name")), "(mul)") != NULL;
  }
  json_decref(plan);
  neo_buf_fini(&text);
  return n;
}

/* The scaling of squeeze and excite may overwrite what it scales. With several workers it does not:
 * the mean read the same lines in other parts, so that they are in several caches. */
static void shared_values_keep_their_memory(void **state) {
  (void)state;
  neo_ctx ctx;
  model_case c;
  char scratch[256], dir[300];
  neo_ctx_init(&ctx, 1);
  case_load(&ctx, "mobilenet_v3_small_050_op13", &c);
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  compile_and_run(&ctx, &c, NULL, 1, dir);
  assert_true(products_in_place(&ctx, dir) > 0);
  compile_and_run(&ctx, &c, NULL, 2, dir);
  assert_int_equal(products_in_place(&ctx, dir), 0);
  scratch_remove(&ctx, scratch);
  case_release(&ctx, &c);
}

int main(void) {
  struct CMUnitTest tests[NEO_COUNT(rows) + 1];
  int n = 0;
  if (case_missing())
    return 77;
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (rows[i].gpu || !case_target())
      tests[n++] = (struct CMUnitTest){
          .name = rows[i].name, .test_func = model_runs, .initial_state = (void *)&rows[i]};
  if (!case_target())
    tests[n++] = (struct CMUnitTest)cmocka_unit_test(shared_values_keep_their_memory);
  return _cmocka_run_group_tests("models", tests, (size_t)n, NULL, NULL);
}
