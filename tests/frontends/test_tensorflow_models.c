/* tests/frontends/test_tensorflow_models.c: models written by TensorFlow, with its own inputs and
 * outputs: imported with their shapes bound, optimised, interpreted, and compared within the
 * tolerance of meta.json. tests/data/tensorflow/README says where the cases come from. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"

#define MOST 16

static neo_ctx ctx;

static void check(neo_status status) {
  if (status != NEO_OK)
    print_message("%s: %s\n", neo_status_name(status), ctx.message);
  assert_int_equal(status, NEO_OK);
}

typedef struct values {
  int n;
  const char *name[MOST];
  neo_tensor tensor[MOST];
} values;

static void load(const char *folder, const json_t *list, values *v) {
  char path[512];
  v->n = (int)json_array_size(list);
  assert_in_range(v->n, 1, MOST);
  for (int i = 0; i < v->n; i++) {
    const json_t *entry = json_array_get(list, (size_t)i);
    v->name[i] = json_string_value(json_object_get(entry, "name"));
    snprintf(path, sizeof path, "%s/%s", folder, json_string_value(json_object_get(entry, "file")));
    check(neo_npy_read(&ctx, path, &v->tensor[i]));
  }
}

static void release(values *v) {
  for (int i = 0; i < v->n; i++)
    neo_tensor_free(&ctx, &v->tensor[i]);
}

static void import_bound(const char *path, const values *input, neo_graph **out) {
  neo_binding binding[MOST];
  for (int i = 0; i < input->n; i++)
    binding[i] = (neo_binding){.name = input->name[i],
                               .shape = input->tensor[i].shape,
                               .has_dtype = true,
                               .dtype = input->tensor[i].dtype};
  neo_import_options options = {.n_bindings = input->n, .binding = binding};
  check(neo_import(&ctx, path, &options, out));
  check(neo_pass_bind(&ctx, *out, input->n, binding));
  check(neo_graph_optimise(&ctx, *out));
}

static int find(const values *v, const char *name) {
  for (int i = 0; i < v->n; i++)
    if (strcmp(v->name[i], name) == 0)
      return i;
  fail_msg("no value named '%s'", name);
  return -1;
}

static void compare(const neo_tensor *got, const neo_tensor *want, double rtol, double atol) {
  int64_t n;
  assert_true(neo_shape_equal(&got->shape, &want->shape));
  neo_shape_elements(&got->shape, &n);
  for (int64_t i = 0; i < n; i++) {
    double a = neo_tensor_get_f64(got, i), b = neo_tensor_get_f64(want, i);
    if (!(fabs(a - b) <= atol + rtol * fabs(b)) && !(isnan(a) && isnan(b)))
      fail_msg("element %lld: %g, %g expected", (long long)i, a, b);
  }
}

static void run(neo_graph *graph, const values *input, const values *output, const json_t *meta) {
  neo_tensor in[MOST], out[MOST];
  assert_int_equal(graph->n_inputs, input->n);
  assert_int_equal(graph->n_outputs, output->n);
  for (int i = 0; i < input->n; i++)
    in[i] = input->tensor[find(input, graph->value[graph->input[i]].name)];
  check(neo_graph_interpret(&ctx, graph, in, out));
  for (int i = 0; i < graph->n_outputs; i++) {
    const neo_tensor *want = &output->tensor[find(output, graph->output_name[i])];
    if (graph->value[graph->output[i]].bounded == 1 && out[i].shape.dim[0] > want->shape.dim[0])
      out[i].shape.dim[0] = want->shape.dim[0]; /* behind the count is nobody's */
    compare(&out[i], want, json_number_value(json_object_get(meta, "rtol")),
            json_number_value(json_object_get(meta, "atol")));
    neo_tensor_free(&ctx, &out[i]);
  }
}

static void agrees(const char *name) {
  char folder[400], path[512];
  neo_buf text = {0};
  json_t *meta;
  values input = {0}, output = {0};
  neo_graph *graph = NULL;
  snprintf(folder, sizeof folder, "%s/tests/data/tensorflow/%s", NEO_SOURCE_DIR, name);
  snprintf(path, sizeof path, "%s/meta.json", folder);
  check(neo_file_read(&ctx, path, 0, &text));
  check(neo_json_parse(&ctx, path, text.data, text.size, &meta));
  load(folder, json_object_get(meta, "inputs"), &input);
  load(folder, json_object_get(meta, "outputs"), &output);
  snprintf(path, sizeof path, "%s/%s", folder,
           json_string_value(json_array_get(json_object_get(meta, "model"), 0)));
  import_bound(path, &input, &graph);
  run(graph, &input, &output, meta);
  neo_graph_destroy(graph);
  release(&input);
  release(&output);
  json_decref(meta);
  neo_buf_fini(&text);
}

static void frames_of_tensorflow_1(void **state) {
  (void)state;
  agrees("graphdef_lstm_dynamic_tf1");
  agrees("own_gd_while_v1");
}

static void switch_and_merge(void **state) {
  (void)state;
  agrees("savedmodel_mnist_cnn_tf1");
  agrees("own_gd_cond_v1");
}

static void rarer_operators(void **state) {
  (void)state;
  agrees("own_gd_special");
  agrees("own_gd_more");
  agrees("own_gd_image");
  agrees("own_gd_detections");
  agrees("own_gd_case");
  agrees("own_gd_signal");
  agrees("own_gd_extents");
}

static void functional_control_flow(void **state) {
  (void)state;
  agrees("own_gd_cond");
  agrees("own_gd_while");
  agrees("own_sm_for");
  agrees("own_sm_tables");
  agrees("own_gd_scan_long");
}

static void plain_graphs(void **state) {
  (void)state;
  agrees("graphdef_lstm_static_tf1");
  agrees("graphdef_two_inputs_k2");
  agrees("own_gd_slices");
  agrees("own_gd_index");
}

static void saved_models(void **state) {
  (void)state;
  agrees("savedmodel_lstm_text");
  agrees("savedmodel_detector");
}

/* Data is NHWC in these files; between the borders no transpose may be left. */
static void transposes_stay_at_borders(void **state) {
  (void)state;
  neo_graph *graph;
  int n = 0;
  neo_binding binding = {.name = "image", .shape = {4, {2, 64, 64, 3}}};
  neo_import_options options = {.n_bindings = 1, .binding = &binding};
  check(neo_import(&ctx, NEO_SOURCE_DIR "/tests/data/tensorflow/savedmodel_detector/saved_model",
                   &options, &graph));
  check(neo_pass_bind(&ctx, graph, 1, &binding));
  check(neo_graph_optimise(&ctx, graph));
  for (int i = 0; i < graph->n_nodes; i++)
    n += !graph->node[i].dead && strcmp(graph->node[i].op->name, "transpose") == 0;
  assert_in_range(n, 1, 5); /* the image; two heads on two scales mix anchors with channels */
  neo_graph_destroy(graph);
}

/* Free dimensions are no obstacle to looking at a model. */
static void without_bindings(void **state) {
  (void)state;
  neo_graph *graph;
  check(neo_import(&ctx,
                   NEO_SOURCE_DIR "/tests/data/tensorflow/savedmodel_mnist_cnn_tf1/saved_model",
                   NULL, &graph));
  assert_int_equal(graph->value[graph->input[0]].shape.dim[0], -1);
  assert_string_equal(graph->value[graph->input[0]].name, "image:0");
  assert_string_equal(graph->output_name[0], "out0:0");
  neo_graph_destroy(graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(frames_of_tensorflow_1),
      cmocka_unit_test(switch_and_merge),
      cmocka_unit_test(functional_control_flow),
      cmocka_unit_test(rarer_operators),
      cmocka_unit_test(plain_graphs),
      cmocka_unit_test(saved_models),
      cmocka_unit_test(transposes_stay_at_borders),
      cmocka_unit_test(without_bindings),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
