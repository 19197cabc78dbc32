/* tests/driver/test_models.c: whole networks, compiled without a tuning database and run by the
 * runtime, give the output that their framework stored. One test per model; models that are not
 * committed are skipped when scripts/models.sh has not fetched them. */
#include "tests/driver/model_case.h"

typedef struct row {
  const char *name;
  bool codegen_c; /* also through C text, which is slow to build */
} row;

static const row rows[] = {
    {"mnist_cnn_op13", true},
    {"mnist_cnn_dynamo", false},
    {"mnist_cnn_tf2onnx", false},
    {"resnet18_w8_op13", false},
    {"resnet_small_tf2onnx", false},
    {"mobilenet_v1_025_tf1_tf2onnx", true},
    {"mobilenet_v2_035_dynamo", false},
    {"mobilenet_v3_small_050_op13", false},
    {"unet_op13", false},
    {"unet_dynamo", false},
    {"real_ocr_det", false},
    {"real_ocr_rec", false},
    {"real_ocr_cls", false},
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
  for (int threads = fetched ? 2 : 1; threads <= 2; threads++)
    compile_and_run(&ctx, &c, NULL, threads, dir);
  if (what->codegen_c)
    compile_and_run(&ctx, &c, "c", 2, dir);
  scratch_remove(&ctx, scratch);
  case_release(&ctx, &c);
}

int main(void) {
  struct CMUnitTest tests[NEO_COUNT(rows)];
  for (int i = 0; i < NEO_COUNT(rows); i++)
    tests[i] = (struct CMUnitTest){
        .name = rows[i].name, .test_func = model_runs, .initial_state = (void *)&rows[i]};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
