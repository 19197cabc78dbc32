/* tests/driver/test_mobile_models.c: TFLite, MXNet and Gluon models, compiled without a tuning
 * database and run by the runtime, give the outputs that their framework stored. */
#include "tests/driver/model_case.h"
#include "tests/frontends/rows_case.h"

static const rows_case cases[] = {
    {"tflite", "mnist_seq_int8", 0},  {"tflite", "lstm_text", 1}, {"tflite", "detector_int8", 0},
    {"mxnet", "mnist_lenet_v011", 0}, {"gluon", "ssd", 0},        {"gluon", "lstm_text", 0},
};

static void compile(neo_ctx *ctx, const rows_loaded *c, const char *dir) {
  char model[700];
  neo_project project;
  neo_compile_result result;
  snprintf(model, sizeof model, "%s/%s", c->folder,
           json_string_value(json_array_get(json_object_get(c->meta, "model"), 0)));
  neo_project_options options = {
      .model = model, .n_bindings = c->n_inputs, .bindings = c->binding, .threads = 1};
  must(ctx, neo_project_open(ctx, &options, &project));
  must(ctx, neo_compile(ctx, &project, NULL, &(neo_compile_options){.output = dir}, &result));
  neo_project_close(&project);
}

static void compare_outputs(const rows_loaded *c, neo_rt_model *model, neo_rt_session *session) {
  neo_rt_error error = {0};
  assert_int_equal(neo_rt_outputs(model), c->n_outputs);
  for (int k = 0; k < c->n_outputs; k++) {
    const neo_rt_tensor_info *info = neo_rt_output_info(model, k);
    const void *data = NULL;
    neo_tensor got = c->output[k];
    rt_must(neo_rt_output(session, k, &data, &error), &error);
    assert_int_equal(info->bytes, got.size);
    got.data = (void *)(uintptr_t)data;
    rows_compare(c, k, &got);
  }
}

static void model_runs(void **state) {
  neo_ctx ctx;
  rows_loaded c;
  char scratch[256], dir[300];
  neo_rt_error error = {0};
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_ctx_init(&ctx, 1);
  rows_load(&ctx, *state, &c);
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  compile(&ctx, &c, dir);
  rt_must(neo_rt_load(dir, &model, &error), &error);
  rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
  for (int i = 0; i < c.n_inputs; i++)
    rt_must(neo_rt_set_input(session, c.binding[i].name, c.input[i].data, c.input[i].size, &error),
            &error);
  for (int round = 0; round < 2; round++) {
    rt_must(neo_rt_run(session, &error), &error);
    compare_outputs(&c, model, session);
  }
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  scratch_remove(&ctx, scratch);
  rows_release(&ctx, &c);
}

int main(void) {
  struct CMUnitTest tests[NEO_COUNT(cases)];
  for (int i = 0; i < NEO_COUNT(cases); i++)
    tests[i] = (struct CMUnitTest){
        .name = cases[i].name, .test_func = model_runs, .initial_state = (void *)&cases[i]};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
