/* tests/frontends/test_mxnet_models.c: MXNet symbols of 0.9, 0.11 and 1.9 and Gluon's exports
 * against MXNet's own outputs; which parameter file belongs to a symbol. */
#include "tests/frontends/rows_case.h"

static neo_ctx ctx;

static const rows_case cases[] = {
    {"mxnet", "lstm_unrolled_v09", 0}, {"mxnet", "mnist_lenet_v011", 2}, {"mxnet", "ops_mix", 1},
    {"mxnet", "special", 0},           {"mxnet", "regions", 0},          {"gluon", "ssd", 0},
    {"gluon", "lstm_text", 1},         {"gluon", "attention", 1},        {"gluon", "flow", 0},
};

static void stored_cases(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(cases); i++)
    rows_run(&ctx, &cases[i]);
}

static void copy(const char *from, const char *folder, const char *name) {
  char path[600];
  neo_buf data = {0};
  snprintf(path, sizeof path, "%s/tests/data/mxnet/mnist_lenet_v011/%s", NEO_SOURCE_DIR, from);
  rows_must(&ctx, neo_file_read(&ctx, path, 0, &data));
  snprintf(path, sizeof path, "%s/%s", folder, name);
  rows_must(&ctx, neo_file_write(&ctx, path, data.data, data.size));
  neo_buf_fini(&data);
}

static char logged[1024];

static void keep_log(void *self, neo_log_level level, const char *text) {
  (void)self;
  (void)level;
  snprintf(logged, sizeof logged, "%s", text);
}

static void the_newest_epoch_is_taken_and_said(void **state) {
  (void)state;
  char folder[256], path[600];
  neo_graph *graph = NULL;
  neo_binding data = {"data", {4, {1, 1, 28, 28}}, false, NEO_F32};
  neo_import_options options = {.n_bindings = 1, .binding = &data};
  rows_must(&ctx, neo_dir_temp(&ctx, NULL, folder));
  copy("mnist_lenet-symbol.json", folder, "net-symbol.json");
  copy("mnist_lenet-0003.params", folder, "net-0012.params");
  snprintf(path, sizeof path, "%s/net-0003.params", folder);
  rows_must(&ctx, neo_file_write(&ctx, path, "nonsense", 8));
  snprintf(path, sizeof path, "%s/net-symbol.json", folder);
  ctx.log = keep_log;
  rows_must(&ctx, neo_import(&ctx, path, &options, &graph));
  ctx.log = NULL;
  assert_non_null(strstr(logged, "net-0012.params"));
  assert_int_equal(graph->n_inputs, 1);
  assert_string_equal(graph->output_name[0], "softmax_output");
  neo_graph_destroy(graph);
  rows_must(&ctx, neo_dir_remove(&ctx, folder));
}

/* What one operator makes of six numbers [2, 3]. */
static void of_six(const char *op, const char *attrs, const float *data, const float *want) {
  char folder[256], path[600];
  neo_buf text = {0};
  neo_graph *graph = NULL;
  neo_binding binding = {"data", {2, {2, 3}}, false, NEO_F32};
  neo_import_options options = {.n_bindings = 1, .binding = &binding};
  neo_tensor in, out;
  rows_must(&ctx, neo_dir_temp(&ctx, NULL, folder));
  copy("mnist_lenet-0003.params", folder, "net-0001.params");
  neo_buf_printf(&text,
                 "{\"nodes\": [{\"op\": \"null\", \"name\": \"data\", \"inputs\": []},"
                 "{\"op\": \"%s\", \"name\": \"y\", \"attrs\": {%s}, \"inputs\": [[0,0,0]]}],"
                 "\"arg_nodes\": [0], \"heads\": [[1,0,0]]}",
                 op, attrs);
  snprintf(path, sizeof path, "%s/net-symbol.json", folder);
  rows_must(&ctx, neo_file_write(&ctx, path, text.data, text.size));
  rows_must(&ctx, neo_import(&ctx, path, &options, &graph));
  rows_must(&ctx, neo_pass_bind(&ctx, graph, 1, &binding));
  rows_must(&ctx, neo_pass_infer(&ctx, graph));
  rows_must(&ctx, neo_tensor_create(&ctx, NEO_F32, &binding.shape, &in));
  memcpy(in.data, data, in.size);
  rows_must(&ctx, neo_graph_interpret(&ctx, graph, &in, &out));
  assert_int_equal(out.size, 6 * sizeof(float));
  for (int i = 0; i < 6; i++)
    if (((const float *)out.data)[i] != want[i])
      fail_msg("%s: element %d is %g", op, i, (double)((const float *)out.data)[i]);
  neo_tensor_free(&ctx, &in);
  neo_tensor_free(&ctx, &out);
  neo_graph_destroy(graph);
  neo_buf_fini(&text);
  rows_must(&ctx, neo_dir_remove(&ctx, folder));
}

/* An axis of None sorted rows; erfinv(1) was -inf. */
static void corners_of_special_operators(void **state) {
  static const float data[] = {6, 1, 5, 2, 4, 3}, sorted[] = {1, 2, 3, 4, 5, 6},
                     rows[] = {1, 5, 6, 2, 3, 4}, ends[] = {1, -1, 0, 1, -1, 0},
                     infinite[] = {INFINITY, -INFINITY, 0, INFINITY, -INFINITY, 0};
  (void)state;
  of_six("sort", "\"axis\": \"None\"", data, sorted);
  of_six("sort", "", data, rows);
  of_six("erfinv", "", ends, infinite);
}

static void shapes_not_given_are_asked_for(void **state) {
  (void)state;
  char path[600];
  neo_graph *graph = NULL;
  snprintf(path, sizeof path, "%s/tests/data/gluon/lstm_text/lstm_text-symbol.json",
           NEO_SOURCE_DIR);
  assert_int_equal(neo_import(&ctx, path, NULL, &graph), NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "--input"));
  neo_ctx_clear(&ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stored_cases),
      cmocka_unit_test(the_newest_epoch_is_taken_and_said),
      cmocka_unit_test(corners_of_special_operators),
      cmocka_unit_test(shapes_not_given_are_asked_for),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
