/* tests/frontends/test_tflite_models.c: TFLite models against TFLite's own outputs: float, 8-bit,
 * WHILE loops, attention; and that 8-bit models agree to the last bit. */
#include "tests/frontends/rows_case.h"

static neo_ctx ctx;

static const rows_case cases[] = {
    {"tflite", "mnist_seq", 2},     {"tflite", "mnist_seq_int8", 2}, {"tflite", "lstm_text", 1},
    {"tflite", "attention", 1},     {"tflite", "signal", 0},         {"tflite", "exact_bytes", 0},
    {"tflite", "detector_int8", 1},
};

static void stored_cases(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(cases); i++)
    rows_run(&ctx, &cases[i]);
}

/* Suppression, unique, a slice up to a count: what the interpreter has behind the count is
 * nobody's. */
static void extents_by_data(void **state) {
  (void)state;
  rows_loaded c;
  neo_tensor got[ROWS_MAX];
  int bounded = 0;
  rows_load(&ctx, &(rows_case){"tflite", "extents", 0}, &c);
  neo_graph *graph = rows_import(&ctx, &c);
  rows_must(&ctx, neo_graph_optimise(&ctx, graph));
  rows_must(&ctx, neo_graph_interpret(&ctx, graph, c.input, got));
  for (int k = 0; k < c.n_outputs; k++) {
    bounded += graph->value[graph->output[k]].bounded != 0;
    if (graph->value[graph->output[k]].bounded == 1 && got[k].shape.dim[0] == 15)
      rows_cut(&got[k], c.output[k].shape.dim[0], 15);
    rows_compare(&c, k, &got[k]);
    neo_tensor_free(&ctx, &got[k]);
  }
  assert_int_equal(bounded, 1);
  neo_graph_destroy(graph);
  rows_release(&ctx, &c);
}

static void integers_agree_to_the_last_bit(void **state) {
  (void)state;
  rows_loaded c;
  neo_tensor got;
  rows_load(&ctx, &(rows_case){"tflite", "mnist_seq_int8", 8}, &c);
  neo_graph *graph = rows_import(&ctx, &c);
  rows_must(&ctx, neo_graph_optimise(&ctx, graph));
  rows_must(&ctx, neo_graph_interpret(&ctx, graph, c.input, &got));
  assert_int_equal(got.size, c.output[0].size);
  assert_memory_equal(got.data, c.output[0].data, got.size);
  neo_tensor_free(&ctx, &got);
  neo_graph_destroy(graph);
  rows_release(&ctx, &c);
}

static void free_batch_is_read_without_a_binding(void **state) {
  (void)state;
  char path[600];
  neo_graph *graph = NULL;
  snprintf(path, sizeof path, "%s/tests/data/tflite/attention/model.tflite", NEO_SOURCE_DIR);
  rows_must(&ctx, neo_import(&ctx, path, NULL, &graph));
  assert_int_equal(graph->value[graph->input[0]].shape.dim[0], -1);
  assert_int_equal(graph->value[graph->input[0]].shape.dim[1], 20);
  neo_graph_destroy(graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stored_cases),
      cmocka_unit_test(extents_by_data),
      cmocka_unit_test(integers_agree_to_the_last_bit),
      cmocka_unit_test(free_batch_is_read_without_a_binding),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
