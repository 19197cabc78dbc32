/* tests/frontends/test_onnx_node.c: the onnx package's backend test cases, from the file through
 * import, optimise and the graph interpreter to the numbers. (tests/tools/onnx_suites.py runs them
 * compiled.)
 *
 * The cases are packed in tests/data/onnx/node_cases.bin (see tests/tools/pack_node_cases.py).
 * Cases feed everything as graph inputs, shapes and axes too; where an operator needs those at
 * compile time, the case runs again with all inputs but the first, then with all of them, as
 * constants. A case that we do not support must be listed, with the reason, in
 * tests/data/onnx/node_unsupported.txt; one that passes must not be. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"

#define MAX_TENSORS 64

typedef struct node_case {
  char name[200];
  int n_inputs, n_outputs;
  double rtol, atol;
  const char *model;
  size_t model_bytes;
  /* the elements of sequences one by one, absent values left out; inputs, then outputs; data copied
   * to be aligned */
  neo_tensor tensor[MAX_TENSORS];
  char tensor_name[MAX_TENSORS][128];
  bool fixed[MAX_TENSORS]; /* cannot become a constant: an element of a sequence */
  int n_tensors;
  int n_bindings; /* of the inputs, and of the lengths of sequences */
  neo_binding binding[2 * MAX_TENSORS];
} node_case;

typedef struct reader {
  const char *at, *end;
} reader;

static bool line(reader *r, char *out, size_t size) {
  const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
  if (!stop || (size_t)(stop - r->at) >= size)
    return false;
  memcpy(out, r->at, (size_t)(stop - r->at));
  out[stop - r->at] = 0;
  r->at = stop + 1;
  return true;
}

static neo_arena texts; /* of all cases */

static void read_texts(reader *r, neo_tensor *out) {
  int64_t n = 0;
  neo_shape_elements(&out->shape, &n);
  for (int64_t i = 0; i < n; i++) {
    uint32_t length;
    memcpy(&length, r->at, sizeof length);
    ((const char **)out->data)[i] = neo_arena_strndup(&texts, r->at + 4, length);
    r->at += 4 + length;
  }
}

static void read_data(neo_ctx *ctx, reader *r, neo_scan *scan, const char *dtype, neo_tensor *out) {
  int64_t rank, bytes;
  neo_shape shape = {0};
  neo_dtype type;
  assert_true(neo_dtype_find(dtype, &type));
  assert_true(neo_scan_int(scan, &rank) && rank <= NEO_MAX_RANK);
  shape.rank = (int)rank;
  for (int i = 0; i < rank; i++)
    assert_true(neo_scan_int(scan, &shape.dim[i]));
  assert_true(neo_scan_int(scan, &bytes));
  assert_int_equal(neo_tensor_create(ctx, type, &shape, out), NEO_OK);
  if (type == NEO_STR) {
    read_texts(r, out);
    return;
  }
  assert_int_equal((int64_t)out->size, bytes);
  if (bytes > 0)
    memcpy(out->data, r->at, (size_t)bytes);
  r->at += bytes;
}

static void bind(node_case *c, const char *name, const neo_shape *shape) {
  c->binding[c->n_bindings++] = (neo_binding){name, *shape, false, NEO_F32};
}

/* A value, or the elements of a list. */
static void read_value(neo_ctx *ctx, reader *r, node_case *c, bool input, bool element) {
  char text[512], *kind = text;
  assert_true(line(r, text, sizeof text) && c->n_tensors < MAX_TENSORS);
  kind = strchr(text, ' ');
  *kind++ = 0;
  neo_scan scan;
  neo_scan_init(&scan, kind);
  int at = c->n_tensors;
  char *name = c->tensor_name[at];
  snprintf(name, sizeof c->tensor_name[at], "%.127s", text);
  if (*kind == '-')
    return;
  if (neo_scan_token(&scan, "list ")) {
    int64_t n;
    assert_true(neo_scan_int(&scan, &n));
    if (input)
      bind(c, strdup(text), &(neo_shape){1, {n}});
    for (int64_t i = 0; i < n; i++)
      read_value(ctx, r, c, input, true);
    return;
  }
  char dtype[16];
  assert_true(neo_scan_name(&scan, dtype, sizeof dtype));
  read_data(ctx, r, &scan, dtype, &c->tensor[at]);
  c->fixed[at] = element;
  c->n_tensors++;
  if (input)
    bind(c, name, &c->tensor[at].shape);
}

static void read_case(neo_ctx *ctx, reader *r, node_case *c) {
  char text[512];
  int64_t n_in, n_out, bytes;
  memset(c, 0, sizeof *c);
  assert_true(line(r, text, sizeof text));
  neo_scan scan;
  neo_scan_init(&scan, text);
  assert_true(neo_scan_token(&scan, "case ") && neo_scan_name(&scan, c->name, sizeof c->name));
  assert_true(neo_scan_int(&scan, &n_in) && neo_scan_int(&scan, &n_out));
  assert_true(neo_scan_double(&scan, &c->rtol) && neo_scan_double(&scan, &c->atol));
  assert_true(neo_scan_int(&scan, &bytes));
  c->model = r->at;
  c->model_bytes = (size_t)bytes;
  r->at += bytes;
  for (int i = 0; i < n_in; i++)
    read_value(ctx, r, c, true, false);
  c->n_inputs = c->n_tensors;
  for (int i = 0; i < n_out; i++)
    read_value(ctx, r, c, false, false);
  c->n_outputs = c->n_tensors - c->n_inputs;
}

static void free_case(neo_ctx *ctx, node_case *c) {
  for (int k = 0; k < c->n_tensors; k++)
    neo_tensor_free(ctx, &c->tensor[k]);
  for (int k = 0; k < c->n_bindings; k++)
    if ((const char *)c->binding[k].name < (const char *)c ||
        (const char *)c->binding[k].name >= (const char *)(c + 1))
      free((void *)c->binding[k].name);
}

/* Input k of the graph stops being one. */
static void make_constant(neo_graph *graph, int k, const neo_tensor *tensor) {
  neo_value *value = &graph->value[graph->input[k]];
  value->constant = neo_arena_copy(graph->arena, tensor, sizeof *tensor);
  value->is_input = false;
  value->shape = tensor->shape;
  value->dtype = tensor->dtype;
}

/* from: inputs from this one on become constants. Keeps the tensors of those that stay in order. */
static void make_constants(const node_case *c, neo_graph *graph, int from, neo_tensor *inputs) {
  int kept = 0;
  for (int k = 0; k < graph->n_inputs; k++) {
    if (k >= from && !c->fixed[k]) {
      make_constant(graph, k, &inputs[k]);
      continue;
    }
    inputs[kept] = inputs[k];
    graph->input[kept++] = graph->input[k];
  }
  graph->n_inputs = kept;
}

static neo_status compare_texts(neo_ctx *ctx, const node_case *c, int k, const neo_tensor *got,
                                int64_t n) {
  const char *const *a = got->data, *const *b = c->tensor[c->n_inputs + k].data;
  for (int64_t i = 0; i < n; i++)
    if (strcmp(a[i] ? a[i] : "", b[i]) != 0)
      return neo_fail(ctx, NEO_INTERNAL, "%s: output %d, element %lld: '%s', '%s' expected",
                      c->name, k, (long long)i, a[i], b[i]);
  return NEO_OK;
}

static bool is_random(const char *name) {
  return strstr(name, "test_bernoulli") ||
         (strstr(name, "test_training_dropout") && !strstr(name, "zero"));
}

/* Draws of our own: 0, or what is also drawn in the reference; some of each kind where there are
 * many. */
static neo_status compare_random(neo_ctx *ctx, const node_case *c, int k, const neo_tensor *got,
                                 int64_t n) {
  const neo_tensor *want = &c->tensor[c->n_inputs + k];
  int64_t zeros = 0;
  for (int64_t i = 0; i < n; i++) {
    double a = neo_tensor_get_f64(got, i), b = neo_tensor_get_f64(want, i);
    zeros += a == 0;
    if (a != 0 && b != 0 && fabs(a - b) > 1e-5 + c->rtol * fabs(b))
      return neo_fail(ctx, NEO_INTERNAL, "%s: output %d, element %lld: %.9g, 0 or %.9g expected",
                      c->name, k, (long long)i, a, b);
  }
  return n < 30 || (zeros > 0 && zeros < n)
             ? NEO_OK
             : neo_fail(ctx, NEO_INTERNAL, "%s: output %d: %lld zeros of %lld", c->name, k,
                        (long long)zeros, (long long)n);
}

static neo_status compare(neo_ctx *ctx, const node_case *c, int k, const neo_tensor *got) {
  const neo_tensor *want = &c->tensor[c->n_inputs + k];
  int64_t n;
  if (got->dtype != want->dtype || !neo_shape_equal(&got->shape, &want->shape)) {
    neo_buf text = {0};
    neo_shape_print(&text, &got->shape);
    neo_fail(ctx, NEO_INTERNAL, "%s: output %d is %s %s", c->name, k, neo_dtype_name(got->dtype),
             text.data);
    neo_buf_fini(&text);
    return NEO_INTERNAL;
  }
  neo_shape_elements(&want->shape, &n);
  if (want->dtype == NEO_STR)
    return compare_texts(ctx, c, k, got, n);
  if (is_random(c->name))
    return compare_random(ctx, c, k, got, n);
  /* the references round to short floats in other places than we do: two units in the last place */
  double ulp = want->dtype == NEO_BF16 ? 0x1p-6 : want->dtype == NEO_F16 ? 0x1p-9 : 0;
  bool real = neo_dtype_class(want->dtype) == 'f' || neo_narrow_find(want->dtype);
  double rtol = c->rtol > ulp ? c->rtol : ulp;
  /* where the exact value is 0 the reference of the inverse has rounding noise of 1.9e-7 */
  double atol = strncmp(c->name, "test_dft_inverse", 16) == 0 ? 1e-6 : c->atol;
  for (int64_t i = 0; i < n; i++) {
    double a = neo_tensor_get_f64(got, i), b = neo_tensor_get_f64(want, i);
    bool equal = a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= atol + rtol * fabs(b);
    if (!real)
      equal = neo_tensor_get_i64(got, i) == neo_tensor_get_i64(want, i);
    if (!equal)
      return neo_fail(ctx, NEO_INTERNAL, "%s: output %d, element %lld: %.9g, %.9g expected",
                      c->name, k, (long long)i, a, b);
  }
  return NEO_OK;
}

static neo_status run_graph(neo_ctx *ctx, const node_case *c, neo_graph *graph,
                            int constants_from) {
  neo_tensor inputs[MAX_TENSORS], outputs[MAX_TENSORS];
  memcpy(inputs, c->tensor, sizeof inputs);
  if (c->n_inputs != graph->n_inputs || c->n_outputs != graph->n_outputs)
    return neo_fail(ctx, NEO_INTERNAL, "%s: %d inputs and %d outputs", c->name, graph->n_inputs,
                    graph->n_outputs);
  NEO_TRY(neo_pass_bind(ctx, graph, c->n_bindings, c->binding));
  make_constants(c, graph, constants_from, inputs);
  NEO_TRY(neo_graph_optimise(ctx, graph));
  NEO_TRY(neo_graph_interpret(ctx, graph, inputs, outputs));
  neo_status status = NEO_OK;
  for (int k = 0; k < c->n_outputs; k++) {
    if (status == NEO_OK)
      status = compare(ctx, c, k, &outputs[k]);
    neo_tensor_free(ctx, &outputs[k]);
  }
  return status;
}

static neo_status run_case(neo_ctx *ctx, const node_case *c, const char *path) {
  static const int constants_from[] = {MAX_TENSORS, 1, 0};
  neo_status status = NEO_OK;
  assert_int_equal(neo_file_write(ctx, path, c->model, c->model_bytes), NEO_OK);
  for (int i = 0; i < 3; i++) {
    neo_graph *graph = NULL;
    neo_ctx_clear(ctx);
    neo_import_options options = {.n_bindings = c->n_bindings, .binding = c->binding};
    NEO_TRY(neo_import(ctx, path, &options, &graph));
    status = run_graph(ctx, c, graph, constants_from[i]);
    neo_graph_destroy(graph);
    if (status == NEO_OK || status == NEO_INTERNAL)
      return status;
  }
  return status;
}

/* The reason that the list gives for this case, or NULL. Lines: NAME reason. */
static const char *listed_reason(const neo_buf *list, const char *name) {
  size_t length = strlen(name);
  for (const char *at = list->data; at && *at; at = strchr(at, '\n'), at += at != NULL)
    if (strncmp(at, name, length) == 0 && at[length] == ' ')
      return at + length + 1;
  return NULL;
}

/* Every case of a file of tests/data/onnx. */
static void every_case_of(const char *name) {
  neo_ctx ctx;
  neo_mapping file;
  neo_buf list = {0};
  char text[64], folder[256], path[300];
  int64_t count, passed = 0, unsupported = 0, wrong = 0;
  const char *only = getenv("NEO_NODE_CASE");
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&texts);
  snprintf(path, sizeof path, "%s/tests/data/onnx/%s", NEO_SOURCE_DIR, name);
  assert_int_equal(neo_file_map(&ctx, path, &file), NEO_OK);
  assert_int_equal(
      neo_file_read(&ctx, NEO_SOURCE_DIR "/tests/data/onnx/node_unsupported.txt", 0, &list),
      NEO_OK);
  assert_int_equal(neo_dir_temp(&ctx, NULL, folder), NEO_OK);
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  reader r = {(const char *)file.data, (const char *)file.data + file.size};
  assert_true(line(&r, text, sizeof text) && strncmp(text, "NEONODES 2 ", 11) == 0);
  count = strtoll(text + 11, NULL, 10);
  node_case *c = neo_alloc(&ctx, sizeof *c);
  for (int64_t i = 0; i < count; i++) {
    read_case(&ctx, &r, c);
    bool skip = only && strcmp(only, c->name) != 0;
    neo_status status = skip ? NEO_OK : run_case(&ctx, c, path);
    const char *reason = listed_reason(&list, c->name);
    if (skip) {
      passed++;
    } else if (status == NEO_OK && !reason) {
      passed++;
    } else if ((status == NEO_UNSUPPORTED && reason) ||
               (status == NEO_INTERNAL && reason && strncmp(reason, "differs: ", 9) == 0)) {
      unsupported++;
    } else {
      wrong++;
      print_message("%s %s: %s%s\n", c->name, neo_status_name(status), ctx.message,
                    reason ? " (but it is listed as unsupported)" : "");
    }
    free_case(&ctx, c);
  }
  print_message("%s: %lld passed, %lld unsupported as listed, %lld wrong\n", name,
                (long long)passed, (long long)unsupported, (long long)wrong);
  neo_free(&ctx, c);
  neo_buf_fini(&list);
  neo_file_unmap(&file);
  neo_dir_remove(&ctx, folder);
  neo_arena_fini(&texts);
  assert_int_equal(wrong, 0);
}

static void every_node_case(void **state) {
  (void)state;
  every_case_of("node_cases.bin");
}

static void every_case_of_onnxruntime(void **state) {
  (void)state;
  every_case_of("ort_cases.bin");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_node_case),
                                     cmocka_unit_test(every_case_of_onnxruntime)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
