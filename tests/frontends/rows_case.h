/* tests/frontends/rows_case.h: cases as their framework left them (meta.json, .npy files), of which
 * only the first rows are run: the interpreter is slow. Each is imported with its inputs bound to
 * those rows, and interpreted as read and as optimised against the same rows of the stored outputs.
 */
#ifndef NEO_TESTS_ROWS_CASE_H
#define NEO_TESTS_ROWS_CASE_H

#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"

#define ROWS_MAX 12

typedef struct rows_case {
  const char *format, *name;
  int64_t rows; /* 0: all; else of every input, and in proportion of every output */
} rows_case;

typedef struct rows_loaded {
  char folder[500];
  json_t *meta;
  int n_inputs, n_outputs;
  neo_tensor input[ROWS_MAX], output[ROWS_MAX];
  neo_binding binding[ROWS_MAX];
  double rtol, atol;
} rows_loaded;

static inline void rows_must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), ctx->message);
}

static inline const char *rows_text(const json_t *list, int i, const char *key) {
  return json_string_value(json_object_get(json_array_get(list, (size_t)i), key));
}

/* The first part / whole of the tensor. */
static inline void rows_cut(neo_tensor *tensor, int64_t part, int64_t whole) {
  assert_true(tensor->shape.rank > 0 && tensor->shape.dim[0] * part % whole == 0);
  tensor->shape.dim[0] = tensor->shape.dim[0] * part / whole;
  tensor->size = tensor->size * (size_t)part / (size_t)whole;
}

static inline int rows_tensors(neo_ctx *ctx, const rows_loaded *c, const char *key,
                               neo_tensor *out) {
  const json_t *list = json_object_get(c->meta, key);
  char path[600];
  int n = (int)json_array_size(list);
  assert_in_range(n, 1, ROWS_MAX);
  for (int i = 0; i < n; i++) {
    snprintf(path, sizeof path, "%s/%s", c->folder, rows_text(list, i, "file"));
    rows_must(ctx, neo_npy_read(ctx, path, &out[i]));
  }
  return n;
}

static inline void rows_load(neo_ctx *ctx, const rows_case *what, rows_loaded *c) {
  char path[600];
  neo_buf text = {0};
  memset(c, 0, sizeof *c);
  snprintf(c->folder, sizeof c->folder, "%s/tests/data/%s/%s", NEO_SOURCE_DIR, what->format,
           what->name);
  snprintf(path, sizeof path, "%s/meta.json", c->folder);
  rows_must(ctx, neo_file_read(ctx, path, 0, &text));
  rows_must(ctx, neo_json_parse(ctx, path, text.data, text.size, &c->meta));
  neo_buf_fini(&text);
  c->n_inputs = rows_tensors(ctx, c, "inputs", c->input);
  c->n_outputs = rows_tensors(ctx, c, "outputs", c->output);
  int64_t all = c->input[0].shape.dim[0];
  for (int i = 0; what->rows && i < c->n_inputs; i++)
    rows_cut(&c->input[i], what->rows, all);
  for (int i = 0; what->rows && i < c->n_outputs; i++)
    rows_cut(&c->output[i], what->rows, all);
  for (int i = 0; i < c->n_inputs; i++)
    c->binding[i] = (neo_binding){.name = rows_text(json_object_get(c->meta, "inputs"), i, "name"),
                                  .shape = c->input[i].shape};
  c->rtol = json_number_value(json_object_get(c->meta, "rtol"));
  c->atol = json_number_value(json_object_get(c->meta, "atol"));
  assert_true(c->atol > 0);
}

static inline void rows_release(neo_ctx *ctx, rows_loaded *c) {
  for (int i = 0; i < c->n_inputs; i++)
    neo_tensor_free(ctx, &c->input[i]);
  for (int i = 0; i < c->n_outputs; i++)
    neo_tensor_free(ctx, &c->output[i]);
  json_decref(c->meta);
}

static inline void rows_compare(const rows_loaded *c, int k, const neo_tensor *got) {
  const neo_tensor *want = &c->output[k];
  int64_t n = 0;
  assert_true(neo_shape_equal(&got->shape, &want->shape));
  neo_shape_elements(&want->shape, &n);
  for (int64_t i = 0; i < n; i++) {
    double a = neo_tensor_get_f64(got, i), b = neo_tensor_get_f64(want, i);
    if (!(fabs(a - b) <= c->atol + c->rtol * fabs(b)))
      fail_msg("%s: output %d, element %lld: %.9g, %.9g expected", c->folder, k, (long long)i, a,
               b);
  }
}

static inline void rows_interpret(neo_ctx *ctx, const rows_loaded *c, const neo_graph *graph) {
  neo_tensor input[ROWS_MAX], got[ROWS_MAX];
  const json_t *outputs = json_object_get(c->meta, "outputs");
  assert_int_equal(graph->n_inputs, c->n_inputs);
  assert_int_equal(graph->n_outputs, c->n_outputs);
  for (int i = 0; i < c->n_inputs; i++) {
    const char *name = graph->value[graph->input[i]].name;
    int k = 0;
    while (k < c->n_inputs && strcmp(name, c->binding[k].name) != 0)
      k++;
    assert_true(k < c->n_inputs);
    input[i] = c->input[k];
  }
  for (int i = 0; i < c->n_outputs; i++)
    assert_string_equal(graph->output_name[i], rows_text(outputs, i, "name"));
  rows_must(ctx, neo_graph_interpret(ctx, graph, input, got));
  for (int i = 0; i < c->n_outputs; i++) {
    rows_compare(c, i, &got[i]);
    neo_tensor_free(ctx, &got[i]);
  }
}

static inline neo_graph *rows_import(neo_ctx *ctx, const rows_loaded *c) {
  char path[600];
  neo_graph *graph = NULL;
  neo_import_options options = {.n_bindings = c->n_inputs, .binding = c->binding};
  snprintf(path, sizeof path, "%s/%s", c->folder,
           json_string_value(json_array_get(json_object_get(c->meta, "model"), 0)));
  rows_must(ctx, neo_import(ctx, path, &options, &graph));
  rows_must(ctx, neo_pass_bind(ctx, graph, c->n_inputs, c->binding));
  return graph;
}

/* As read, then optimised. */
static inline void rows_run(neo_ctx *ctx, const rows_case *what) {
  rows_loaded c;
  rows_load(ctx, what, &c);
  neo_graph *graph = rows_import(ctx, &c);
  rows_must(ctx, neo_pass_infer(ctx, graph));
  rows_interpret(ctx, &c, graph);
  rows_must(ctx, neo_graph_optimise(ctx, graph));
  rows_interpret(ctx, &c, graph);
  neo_graph_destroy(graph);
  rows_release(ctx, &c);
}

#endif
