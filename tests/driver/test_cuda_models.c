/* tests/driver/test_cuda_models.c: whole models for Nvidia's GPUs: compiled to cubins by NVRTC, and
 * run as far as that goes without a device: by a libcuda that checks every call and computes
 * nothing (tests/runtime/cuda/fake_cuda.c). Values are checked by test_models_opencl: the rules
 * that make the schedules, the lowering and the printer are the same. */
#include "tests/driver/model_case.h"

#include <dlfcn.h>

typedef struct row {
  const char *name, *target;
  int matrices; /* kernels by tensor cores, at least */
} row;

typedef void (*report_fn)(int *violations, int *left, int *launches);

static void report(int *violations, int *left, int *launches) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  report_fn fn = library ? (report_fn)(uintptr_t)dlsym(library, "fake_cuda_report") : NULL;
  assert_non_null(fn);
  fn(violations, left, launches);
}

static void run(const model_case *c, const char *dir) {
  neo_rt_error error = {0};
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  const void *data;
  rt_must(neo_rt_load(dir, &model, &error), &error);
  rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
  rt_must(neo_rt_set_input(session, c->input_name, c->input.data, c->input.size, &error), &error);
  for (int round = 0; round < 2; round++) {
    rt_must(neo_rt_run(session, &error), &error);
    rt_must(neo_rt_output(session, 0, &data, &error), &error);
  }
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
}

/* In a process of its own that does not find the fake: NVRTC asks a libcuda, too. */
static int compile(neo_ctx *ctx, const model_case *c, const char *target, const char *dir) {
  neo_process_result result = {0};
  neo_buf input = {0};
  neo_buf_printf(&input, "%s=", c->input_name);
  for (int d = 0; d < c->input.shape.rank; d++)
    neo_buf_printf(&input, "%s%lld", d ? "," : "", (long long)c->input.shape.dim[d]);
  const char *argv[] = {"env",
                        "-u",
                        "LD_LIBRARY_PATH",
                        NEO_BINARY_DIR "/bin/neo",
                        "compile",
                        c->model,
                        "-o",
                        dir,
                        "--db",
                        "none",
                        "--target",
                        target,
                        "--input",
                        input.data,
                        "--quiet",
                        NULL};
  must(ctx, neo_process_run(ctx, argv, 120000, &result));
  if (result.exit_code)
    print_message("%s\n", result.output.data);
  neo_buf_fini(&result.output);
  neo_buf_fini(&input);
  return result.exit_code;
}

/* Schedules of an artifact that use a matrix instruction. */
static int matrices_of(neo_ctx *ctx, const char *dir) {
  neo_process_result result = {0};
  const char *argv[] = {NEO_BINARY_DIR "/bin/neo", "inspect", dir, "--schedule", NULL};
  int n = 0;
  must(ctx, neo_process_run(ctx, argv, 60000, &result));
  assert_int_equal(result.exit_code, 0);
  for (const char *at = result.output.data; (at = strstr(at, "; tensorize ")); at++)
    n++;
  neo_buf_fini(&result.output);
  return n;
}

static void every_call_is_right(void **state) {
  const row *what = *state;
  neo_ctx ctx;
  model_case c;
  char scratch[256], dir[300];
  int violations, left, before, launches;
  neo_ctx_init(&ctx, 1);
  case_load(&ctx, what->name, &c);
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  int code = compile(&ctx, &c, what->target, dir);
  if (code == NEO_UNSUPPORTED) {
    scratch_remove(&ctx, scratch);
    skip();
  }
  assert_int_equal(code, 0);
  assert_true(matrices_of(&ctx, dir) >= what->matrices);
  report(&violations, &left, &before);
  run(&c, dir);
  report(&violations, &left, &launches);
  assert_int_equal(violations, 0);
  assert_int_equal(left, 0);
  assert_true(launches - before >= 2 * 3);
  scratch_remove(&ctx, scratch);
  case_release(&ctx, &c);
}

int main(void) {
  if (foreign_driver_refused()) {
    print_message("skipped: %s\n", foreign_driver_refused());
    return 77;
  }
  static row rows[] = {{"mnist_cnn_op13", "cuda", 0}, {"mobilenet_v2_035_dynamo", "cuda", 0},
                       {"convs_f16", "cuda", 3},      {"convs_f16", "cuda-sm80", 3},
                       {"mnist_cnn_qdq", "cuda", 2},  {"mnist_cnn_qdq", "cuda-sm90", 2}};
  struct CMUnitTest tests[NEO_COUNT(rows)];
  for (int i = 0; i < NEO_COUNT(rows); i++)
    tests[i] = (struct CMUnitTest){
        .name = rows[i].name, .test_func = every_call_is_right, .initial_state = &rows[i]};
  return _cmocka_run_group_tests("cuda models", tests, NEO_COUNT(tests), NULL, NULL);
}
