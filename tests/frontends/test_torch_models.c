/* tests/frontends/test_torch_models.c: models saved by PyTorch (traced, scripted, exported): read
 * with the shapes of their inputs, optimised, and run by the graph interpreter against the
 * framework's own outputs; all by meta.json. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"

enum { MAX_VALUES = 8 };

static neo_ctx ctx;

typedef struct model {
  const char *folder, *file; /* below tests/data */
  json_t *meta;
  int n_inputs, n_outputs;
  neo_tensor input[MAX_VALUES], want[MAX_VALUES];
  neo_binding binding[MAX_VALUES];
} model;

static void check(neo_status status) {
  if (status != NEO_OK)
    print_message("%s: %s\n", neo_status_name(status), ctx.message);
  assert_int_equal(status, NEO_OK);
}

static int load_values(const model *m, const char *key, neo_tensor *out) {
  json_t *list = json_object_get(m->meta, key);
  char path[512];
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *file = json_string_value(json_object_get(json_array_get(list, i), "file"));
    snprintf(path, sizeof path, "%s/tests/data/%s/%s", NEO_SOURCE_DIR, m->folder, file);
    check(neo_npy_read(&ctx, path, &out[i]));
  }
  return (int)json_array_size(list);
}

static void open_model(model *m) {
  char path[512];
  neo_buf text = {0};
  snprintf(path, sizeof path, "%s/tests/data/%s/meta.json", NEO_SOURCE_DIR, m->folder);
  check(neo_file_read(&ctx, path, 0, &text));
  check(neo_json_parse(&ctx, path, text.data, text.size, &m->meta));
  neo_buf_fini(&text);
  m->n_inputs = load_values(m, "inputs", m->input);
  m->n_outputs = load_values(m, "outputs", m->want);
  for (int i = 0; i < m->n_inputs; i++) {
    const json_t *entry = json_array_get(json_object_get(m->meta, "inputs"), (size_t)i);
    m->binding[i] =
        (neo_binding){json_string_value(json_object_get(entry, "name")), m->input[i].shape};
  }
}

static void close_model(model *m) {
  for (int i = 0; i < m->n_inputs; i++)
    neo_tensor_free(&ctx, &m->input[i]);
  for (int i = 0; i < m->n_outputs; i++)
    neo_tensor_free(&ctx, &m->want[i]);
  json_decref(m->meta);
}

static neo_graph *import(model *m) {
  char path[512];
  neo_graph *graph = NULL;
  neo_import_options options = {.n_bindings = m->n_inputs, .binding = m->binding};
  snprintf(path, sizeof path, "%s/tests/data/%s/%s", NEO_SOURCE_DIR, m->folder, m->file);
  check(neo_import(&ctx, path, &options, &graph));
  return graph;
}

static void names_are_forwards(const model *m, const neo_graph *graph) {
  assert_int_equal(graph->n_inputs, m->n_inputs);
  assert_int_equal(graph->n_outputs, m->n_outputs);
  for (int i = 0; i < m->n_inputs; i++) {
    assert_string_equal(graph->value[graph->input[i]].name, m->binding[i].name);
    assert_int_equal(graph->value[graph->input[i]].dtype, m->input[i].dtype);
  }
  for (int i = 0; i < m->n_outputs; i++) {
    char name[16];
    snprintf(name, sizeof name, "out%d", i);
    assert_string_equal(graph->output_name[i], name);
  }
}

static void compare(const model *m, const neo_tensor *got) {
  double rtol = json_number_value(json_object_get(m->meta, "rtol"));
  double atol = json_number_value(json_object_get(m->meta, "atol"));
  for (int k = 0; k < m->n_outputs; k++) {
    int64_t n;
    assert_true(neo_shape_equal(&got[k].shape, &m->want[k].shape));
    assert_true(neo_shape_elements(&got[k].shape, &n));
    for (int64_t i = 0; i < n; i++) {
      double want = neo_tensor_get_f64(&m->want[k], i), have = neo_tensor_get_f64(&got[k], i);
      if (!(fabs(have - want) <= atol + rtol * fabs(want)))
        fail_msg("%s: output %d, element %lld: %g, expected %g", m->folder, k, (long long)i, have,
                 want);
    }
  }
}

static void reads_runs_agrees(model *m) {
  neo_tensor got[MAX_VALUES] = {0};
  neo_ctx_clear(&ctx);
  open_model(m);
  neo_graph *graph = import(m);
  names_are_forwards(m, graph);
  check(neo_pass_bind(&ctx, graph, m->n_inputs, m->binding));
  check(neo_graph_optimise(&ctx, graph));
  check(neo_graph_interpret(&ctx, graph, m->input, got));
  compare(m, got);
  for (int k = 0; k < m->n_outputs; k++)
    neo_tensor_free(&ctx, &got[k]);
  neo_graph_destroy(graph);
  close_model(m);
}

static void exported_encoder(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torch_export/encoder", .file = "model.pt2"});
}

static void exported_lstm(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torch_export/lstm_text", .file = "model.pt2"});
}

static void exported_detector_head(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torch_export/ssd_head", .file = "model.pt2"});
}

/* torch.stft and istft, transforms of every kind, arithmetic of complex numbers. */
static void complex_numbers(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torch_export/signal", .file = "model.pt2"});
  reads_runs_agrees(&(model){.folder = "torchscript/signal", .file = "model.pt"});
  reads_runs_agrees(&(model){.folder = "torchscript/angle", .file = "model.pt"});
}

static void exported_unet(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torch_export/unet", .file = "model.pt2"});
}

static void traced_encoder(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torchscript/encoder", .file = "model.pt"});
}

static void traced_detector_head(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torchscript/ssd_head", .file = "model.pt"});
}

static void traced_convolution_with_same_padding(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torchscript/conv_same", .file = "model.pt"});
  reads_runs_agrees(&(model){.folder = "torchscript/special", .file = "model.pt"});
}

static void operators_made_of_others(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torchscript/more", .file = "model.pt"});
}

static void scripted_lstm(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torchscript/lstm_text_scripted", .file = "model.pt"});
}

/* Types of inputs by their use; the layers' fast paths; views of views; projected states. */
static void scripted_layers(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torchscript/scripted", .file = "model.pt"});
  reads_runs_agrees(&(model){.folder = "torchscript/scripted_half", .file = "model.pt"});
}

static void quantised_models(void **state) {
  (void)state;
  reads_runs_agrees(&(model){.folder = "torchscript/quantised_dynamic", .file = "model.pt"});
  reads_runs_agrees(&(model){.folder = "torchscript/quantised_static", .file = "model.pt"});
}

/* Its batch of 64 is too slow for the interpreter: 4 rows. */
static void scripted_cnn(void **state) {
  (void)state;
  model m = {.folder = "torchscript/mnist_cnn_scripted", .file = "model.pt"};
  neo_tensor got[1] = {0};
  neo_ctx_clear(&ctx);
  open_model(&m);
  neo_tensor *cut[2] = {&m.input[0], &m.want[0]};
  for (int i = 0; i < 2; i++) {
    cut[i]->size = cut[i]->size / (size_t)cut[i]->shape.dim[0] * 4;
    cut[i]->shape.dim[0] = 4;
  }
  m.binding[0].shape = m.input[0].shape;
  neo_graph *graph = import(&m);
  check(neo_graph_optimise(&ctx, graph));
  check(neo_graph_interpret(&ctx, graph, m.input, got));
  compare(&m, got);
  neo_tensor_free(&ctx, &got[0]);
  neo_graph_destroy(graph);
  close_model(&m);
}

static void missing_shapes_are_listed(void **state) {
  (void)state;
  neo_graph *graph = NULL;
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_import(&ctx,
                              NEO_SOURCE_DIR "/tests/data/torchscript/lstm_text_scripted/model.pt",
                              NULL, &graph),
                   NEO_USAGE);
  assert_non_null(strstr(ctx.message, "--input ids=SHAPE"));
}

static void a_traces_example_gives_shapes(void **state) {
  (void)state;
  neo_graph *graph = NULL;
  neo_ctx_clear(&ctx);
  check(neo_import(&ctx, NEO_SOURCE_DIR "/tests/data/torchscript/encoder/model.pt", NULL, &graph));
  assert_int_equal(graph->value[graph->input[0]].dtype, NEO_I64);
  assert_int_equal(graph->value[graph->input[1]].dtype, NEO_BOOL);
  assert_int_equal(graph->value[graph->input[0]].shape.dim[1], 24);
  neo_graph_destroy(graph);
}

static void inputs_are_also_arg_k(void **state) {
  (void)state;
  neo_graph *graph = NULL;
  neo_binding binding = {.name = "arg0", .shape = {2, {2, 12}}};
  neo_import_options options = {.n_bindings = 1, .binding = &binding};
  neo_ctx_clear(&ctx);
  check(neo_import(&ctx, NEO_SOURCE_DIR "/tests/data/torchscript/lstm_text_scripted/model.pt",
                   &options, &graph));
  assert_string_equal(graph->value[graph->input[0]].name, "arg0");
  neo_graph_destroy(graph);
}

static void a_fixed_size_cannot_be_bound_otherwise(void **state) {
  (void)state;
  neo_graph *graph = NULL;
  neo_binding binding = {.name = "x", .shape = {4, {1, 3, 32, 32}}};
  neo_import_options options = {.n_bindings = 1, .binding = &binding};
  neo_ctx_clear(&ctx);
  assert_int_equal(
      neo_import(&ctx, NEO_SOURCE_DIR "/tests/data/torch_export/unet/model.pt2", &options, &graph),
      NEO_USAGE);
  assert_non_null(strstr(ctx.message, "dimension 2 must be 48"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exported_encoder),
      cmocka_unit_test(exported_lstm),
      cmocka_unit_test(exported_detector_head),
      cmocka_unit_test(complex_numbers),
      cmocka_unit_test(exported_unet),
      cmocka_unit_test(traced_encoder),
      cmocka_unit_test(traced_detector_head),
      cmocka_unit_test(traced_convolution_with_same_padding),
      cmocka_unit_test(operators_made_of_others),
      cmocka_unit_test(scripted_lstm),
      cmocka_unit_test(scripted_layers),
      cmocka_unit_test(quantised_models),
      cmocka_unit_test(scripted_cnn),
      cmocka_unit_test(missing_shapes_are_listed),
      cmocka_unit_test(a_traces_example_gives_shapes),
      cmocka_unit_test(inputs_are_also_arg_k),
      cmocka_unit_test(a_fixed_size_cannot_be_bound_otherwise),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
