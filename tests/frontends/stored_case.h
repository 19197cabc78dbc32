/* tests/frontends/stored_case.h: cases as their framework left them: a folder with meta.json (model
 * files, inputs, outputs, rtol, atol) and .npy files. Each model file is imported with its inputs
 * bound, and interpreted as read and as optimised against the stored outputs. */
#ifndef NEO_TESTS_STORED_CASE_H
#define NEO_TESTS_STORED_CASE_H

#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"

#define STORED_MAX 16

typedef struct stored_case {
  char folder[400];
  json_t *meta;
  int n_inputs, n_outputs;
  neo_tensor input[STORED_MAX], output[STORED_MAX];
  neo_binding binding[STORED_MAX];
  double rtol, atol;
} stored_case;

static inline void stored_must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), ctx->message);
}

static inline const char *stored_text(const json_t *list, int i, const char *key) {
  return json_string_value(json_object_get(json_array_get(list, (size_t)i), key));
}

static inline void stored_load(neo_ctx *ctx, const char *format, const char *name,
                               stored_case *out) {
  char path[600];
  neo_buf text = {0};
  memset(out, 0, sizeof *out);
  snprintf(out->folder, sizeof out->folder, "%s/tests/data/%s/%s", NEO_SOURCE_DIR, format, name);
  snprintf(path, sizeof path, "%s/meta.json", out->folder);
  stored_must(ctx, neo_file_read(ctx, path, 0, &text));
  stored_must(ctx, neo_json_parse(ctx, path, text.data, text.size, &out->meta));
  neo_buf_fini(&text);
  const json_t *in = json_object_get(out->meta, "inputs"),
               *want = json_object_get(out->meta, "outputs");
  out->n_inputs = (int)json_array_size(in);
  out->n_outputs = (int)json_array_size(want);
  assert_in_range(out->n_inputs, 1, STORED_MAX);
  assert_in_range(out->n_outputs, 1, STORED_MAX);
  for (int i = 0; i < out->n_inputs; i++) {
    snprintf(path, sizeof path, "%s/%s", out->folder, stored_text(in, i, "file"));
    stored_must(ctx, neo_npy_read(ctx, path, &out->input[i]));
    out->binding[i] =
        (neo_binding){.name = stored_text(in, i, "name"), .shape = out->input[i].shape};
  }
  for (int i = 0; i < out->n_outputs; i++) {
    snprintf(path, sizeof path, "%s/%s", out->folder, stored_text(want, i, "file"));
    stored_must(ctx, neo_npy_read(ctx, path, &out->output[i]));
  }
  out->rtol = json_number_value(json_object_get(out->meta, "rtol"));
  out->atol = json_number_value(json_object_get(out->meta, "atol"));
  assert_true(out->rtol > 0 && out->atol > 0);
}

static inline void stored_release(neo_ctx *ctx, stored_case *c) {
  for (int i = 0; i < c->n_inputs; i++)
    neo_tensor_free(ctx, &c->input[i]);
  for (int i = 0; i < c->n_outputs; i++)
    neo_tensor_free(ctx, &c->output[i]);
  json_decref(c->meta);
}

/* Path of model file k, or NULL after the last. */
static inline const char *stored_model(const stored_case *c, int k, char *path, size_t size) {
  const char *file =
      json_string_value(json_array_get(json_object_get(c->meta, "model"), (size_t)k));
  if (!file)
    return NULL;
  snprintf(path, size, "%s/%s", c->folder, file);
  return path;
}

static inline void stored_compare(const stored_case *c, const char *what, int k,
                                  const neo_tensor *got) {
  const neo_tensor *want = &c->output[k];
  int64_t n = 0;
  if (!neo_shape_equal(&got->shape, &want->shape))
    fail_msg("%s: output %d has another shape", what, k);
  neo_shape_elements(&want->shape, &n);
  for (int64_t i = 0; i < n; i++) {
    double a = neo_tensor_get_f64(got, i), b = neo_tensor_get_f64(want, i);
    if (!(fabs(a - b) <= c->atol + c->rtol * fabs(b)))
      fail_msg("%s: output %d, element %lld: %.9g, %.9g expected", what, k, (long long)i, a, b);
  }
}

static inline void stored_interpret(neo_ctx *ctx, const stored_case *c, const neo_graph *graph,
                                    const char *what) {
  neo_tensor input[STORED_MAX], got[STORED_MAX];
  assert_int_equal(graph->n_inputs, c->n_inputs);
  assert_int_equal(graph->n_outputs, c->n_outputs);
  for (int i = 0; i < c->n_inputs; i++) {
    int k = 0;
    while (k < c->n_inputs && strcmp(graph->value[graph->input[i]].name, c->binding[k].name) != 0)
      k++;
    if (k == c->n_inputs)
      fail_msg("%s: an input named %s", what, graph->value[graph->input[i]].name);
    input[i] = c->input[k];
  }
  const json_t *outputs = json_object_get(c->meta, "outputs");
  for (int i = 0; i < c->n_outputs; i++)
    assert_string_equal(graph->output_name[i], stored_text(outputs, i, "name"));
  stored_must(ctx, neo_graph_interpret(ctx, graph, input, got));
  for (int i = 0; i < c->n_outputs; i++) {
    stored_compare(c, what, i, &got[i]);
    neo_tensor_free(ctx, &got[i]);
  }
}

/* Every model file of the case, as read and optimised. */
static inline void stored_run(neo_ctx *ctx, const char *format, const char *name) {
  stored_case c;
  char path[600];
  stored_load(ctx, format, name, &c);
  neo_import_options options = {.n_bindings = c.n_inputs, .binding = c.binding};
  for (int k = 0; stored_model(&c, k, path, sizeof path); k++) {
    neo_graph *graph = NULL;
    stored_must(ctx, neo_import(ctx, path, &options, &graph));
    stored_must(ctx, neo_pass_bind(ctx, graph, c.n_inputs, c.binding));
    stored_must(ctx, neo_pass_infer(ctx, graph));
    stored_interpret(ctx, &c, graph, path);
    stored_must(ctx, neo_graph_optimise(ctx, graph));
    stored_interpret(ctx, &c, graph, path);
    neo_graph_destroy(graph);
  }
  stored_release(ctx, &c);
}

#endif
