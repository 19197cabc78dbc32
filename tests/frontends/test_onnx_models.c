/* tests/frontends/test_onnx_models.c: real exported networks: read, bound, optimised, partitioned;
 * the small ones also run by the graph interpreter against the framework's own outputs, as read and
 * optimised. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"

static neo_ctx ctx;

typedef struct model {
  const char *name;
  int64_t run_batch; /* rows of the input to interpret; 0: too large for the interpreter */
  int max_groups;    /* te groups after fusion: more means a lost fusion */
  double atol;       /* as in the case's meta.json; rtol is 1e-3 everywhere */
  int runtime;       /* groups that are runtime operators */
} model;

static const model models[] = {
    {"mnist_cnn_op13", 2, 7, 3e-3},      {"mnist_cnn_dynamo", 2, 7, 3e-3},
    {"mnist_cnn_tf2onnx", 2, 8, 3e-3},   {"resnet18_w8_op13", 0, 24, 1.85e-4},
    {"resnet_small_tf2onnx", 0, 20},     {"mobilenet_v1_025_tf1_tf2onnx", 0, 19},
    {"mobilenet_v2_035_dynamo", 0, 54},  {"mobilenet_v3_small_050_op13", 0, 73},
    {"unet_op13", 1, 17, 7.86e-5},       {"unet_dynamo", 1, 17, 7.86e-5},
    {"mnist_cnn_qdq", 2, 9, 0.78},       {"resnet18_w8_qop", 0, 40, 0.056},
    {"skl_forest", 60, 5, 1e-4, 1},      {"skl_pipeline_logreg", 60, 6, 1e-4},
    {"lstm_text_op13", 3, 460, 3.03e-5},
};

static void path_of(const model *m, const char *file, char *out, size_t size) {
  snprintf(out, size, "%s/tests/data/onnx/%s/%s", NEO_SOURCE_DIR, m->name, file);
}

static void check(neo_status status) {
  if (status != NEO_OK)
    print_message("%s: %s\n", neo_status_name(status), ctx.message);
  assert_int_equal(status, NEO_OK);
}

/* The first `rows` rows. */
static void cut(neo_tensor *tensor, int64_t rows) {
  assert_true(tensor->shape.rank > 0 && rows <= tensor->shape.dim[0]);
  tensor->size = tensor->size / (size_t)tensor->shape.dim[0] * (size_t)rows;
  tensor->shape.dim[0] = rows;
}

static neo_graph *load(const model *m, const neo_shape *shape) {
  char path[512];
  neo_graph *graph = NULL;
  path_of(m, "model.onnx", path, sizeof path);
  check(neo_import(&ctx, path, NULL, &graph));
  assert_int_equal(graph->n_inputs, 1);
  neo_binding binding = {graph->value[graph->input[0]].name, *shape, false, NEO_F32};
  check(neo_pass_bind(&ctx, graph, 1, &binding));
  return graph;
}

static void compare(const model *m, const neo_graph *graph, const neo_tensor *input) {
  char path[512], file[32];
  neo_tensor want = {0}, got[4];
  assert_true(graph->n_outputs <= NEO_COUNT(got));
  check(neo_graph_interpret(&ctx, graph, input, got));
  for (int k = 0; k < graph->n_outputs; k++) {
    int64_t n;
    snprintf(file, sizeof file, "output_%d.npy", k);
    path_of(m, file, path, sizeof path);
    check(neo_npy_read(&ctx, path, &want));
    cut(&want, m->run_batch);
    assert_true(neo_shape_equal(&want.shape, &got[k].shape));
    neo_shape_elements(&want.shape, &n);
    for (int64_t i = 0; i < n; i++) {
      double a = neo_tensor_get_f64(&got[k], i), b = neo_tensor_get_f64(&want, i);
      if (fabs(a - b) > m->atol + 1e-3 * fabs(b))
        fail_msg("%s: output %d, element %lld: %g, %g expected", m->name, k, (long long)i, a, b);
    }
    neo_tensor_free(&ctx, &want);
    neo_tensor_free(&ctx, &got[k]);
  }
}

static void check_partition(const model *m, const neo_graph *graph) {
  neo_arena arena;
  neo_partition partition;
  neo_buf text = {0};
  int te = 0, other = 0;
  neo_arena_init(&arena);
  check(neo_graph_partition(&ctx, graph, &arena, &partition));
  for (int i = 0; i < partition.n_groups; i++) {
    te += partition.group[i].kind == NEO_STEP_TE;
    other += partition.group[i].kind == NEO_STEP_RUNTIME;
    if (partition.group[i].kind == NEO_STEP_TE)
      check(neo_te_check(&ctx, &partition.group[i].te));
  }
  neo_partition_print(&text, &partition);
  if (te > m->max_groups || other != m->runtime)
    print_message("%s", text.data);
  print_message("%s: %d nodes, %d te groups\n", m->name, graph->n_nodes, te);
  assert_int_equal(other, m->runtime);
  assert_true(te <= m->max_groups);
  neo_buf_fini(&text);
  neo_arena_fini(&arena);
}

static void run(const model *m) {
  char path[512];
  neo_tensor input;
  path_of(m, "input_0.npy", path, sizeof path);
  check(neo_npy_read(&ctx, path, &input));
  if (m->run_batch)
    cut(&input, m->run_batch);
  neo_graph *graph = load(m, &input.shape);
  if (m->run_batch) {
    check(neo_pass_infer(&ctx, graph));
    compare(m, graph, &input);
  }
  check(neo_graph_optimise(&ctx, graph));
  if (m->run_batch)
    compare(m, graph, &input);
  check_partition(m, graph);
  neo_graph_destroy(graph);
  neo_tensor_free(&ctx, &input);
}

static void corpus_models(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(models); i++)
    run(&models[i]);
}

static void free_dims_are_one_error(void **state) {
  (void)state;
  char path[512];
  neo_graph *graph = NULL;
  path_of(&models[0], "model.onnx", path, sizeof path);
  check(neo_import(&ctx, path, NULL, &graph));
  neo_value *input = &graph->value[graph->input[0]];
  input->shape.dim[0] = -1;
  input->dim_name[0] = "batch";
  assert_int_equal(neo_pass_bind(&ctx, graph, 0, NULL), NEO_USAGE);
  assert_non_null(strstr(ctx.message, "<batch>"));
  neo_ctx_clear(&ctx);
  neo_binding wrong = {"nonsense", {1, {1}}, false, NEO_F32};
  assert_int_equal(neo_pass_bind(&ctx, graph, 1, &wrong), NEO_USAGE);
  assert_non_null(strstr(ctx.message, input->name));
  neo_ctx_clear(&ctx);
  neo_graph_destroy(graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(corpus_models),
      cmocka_unit_test(free_dims_are_one_error),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
