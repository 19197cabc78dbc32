/* ir/ops_text.c: operators on strings.
 *
 * A string tensor's elements are pointers to texts (base/text.h) that live as long as the graph, or
 * as whoever gave an input keeps them. What only moves elements (gather, where, reshape, ...) is
 * compiled as for 64-bit integers; what looks into them is here for the interpreter and in
 * runtime/op_text.c for artifacts, both over base/text.h.
 *
 * An artifact's constants cannot hold pointers: neo_pass_text, the last pass, puts `text_load` in
 * the place of every string constant, which makes pointers of offsets into one block of bytes. */
#include "base/text.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"
#include "ir/pass_internal.h"

#include <inttypes.h>
#include <string.h>

static const char *element(const neo_tensor *t, int64_t i) {
  return neo_text_of(((const char *const *)t->data)[i]);
}

static char *graph_room(void *graph, size_t bytes) {
  return neo_arena_alloc(((neo_graph *)graph)->arena, bytes);
}

/* Texts that the interpreter makes stay with the graph: it is an oracle, not a program to run for
 * long. */
static neo_text_room room_of(const neo_graph *graph) {
  return (neo_text_room){graph_room, (void *)(uintptr_t)graph};
}

static int64_t elements(const neo_shape *shape) {
  int64_t n = 0;
  neo_shape_elements(shape, &n);
  return n;
}

static neo_status check_texts(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int n) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  for (int k = 0; k < n; k++)
    if (neo_op_in(graph, node, k)->dtype != NEO_STR)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is %s, strings expected", k,
                         neo_dtype_name(neo_op_in(graph, node, k)->dtype));
  return NEO_OK;
}

/* ---- text_load ------------------------------------------------------------------------------- */

neo_status neo_infer_text_load(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *at = neo_op_in(graph, node, 0), *bytes = neo_op_in(graph, node, 1);
  if (at->dtype != NEO_I64 || bytes->dtype != NEO_U8 || bytes->shape.rank != 1)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "offsets i64 and bytes u8 [n] expected");
  neo_shape shape = at->shape;
  neo_op_set(graph, node, 0, NEO_STR, &shape);
  return NEO_OK;
}

neo_status neo_eval_text_load(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_tensor *const *in, neo_tensor *out) {
  const char *bytes = in[1]->data;
  (void)graph;
  if (in[1]->size == 0 || bytes[in[1]->size - 1] != 0)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "its bytes do not end with 0");
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++) {
    int64_t at = neo_tensor_get_i64(in[0], i);
    if (at < 0 || (size_t)at >= in[1]->size)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "offset %" PRId64 " of %zu bytes", at,
                         in[1]->size);
    ((const char **)out->data)[i] = bytes + at;
  }
  return NEO_OK;
}

static int load_constant(neo_graph *graph, const neo_tensor *texts, const char *name) {
  int64_t n = elements(&texts->shape);
  neo_tensor at = {NEO_I64, texts->shape, neo_arena_alloc(graph->arena, 8 * (size_t)n + 8),
                   8 * (size_t)n};
  neo_buf bytes = {0};
  for (int64_t i = 0; i < n; i++) {
    neo_tensor_set_i64(&at, i, (int64_t)bytes.size);
    neo_buf_append(&bytes, element(texts, i), strlen(element(texts, i)) + 1);
  }
  neo_buf_append(&bytes, "", 1);
  neo_tensor block = {NEO_U8, {1, {(int64_t)bytes.size}}, NULL, bytes.size};
  block.data = neo_arena_copy(graph->arena, bytes.data, bytes.size);
  neo_buf_fini(&bytes);
  int in[2] = {neo_graph_add_constant(graph, name, &at),
               neo_graph_add_constant(graph, name, &block)};
  neo_node *node = neo_graph_add_node(graph, "text_load", name, 2, in, 1);
  graph->value[node->output[0]].dtype = NEO_STR;
  graph->value[node->output[0]].shape = texts->shape;
  return node->output[0];
}

neo_status neo_pass_text(neo_ctx *ctx, neo_graph *graph) {
  int n = graph->n_values;
  bool any = false;
  for (int v = 0; v < n; v++) {
    if (!graph->value[v].constant || graph->value[v].constant->dtype != NEO_STR)
      continue;
    const neo_tensor texts = *graph->value[v].constant;
    neo_edit_replace(graph, v, load_constant(graph, &texts, graph->value[v].name));
    graph->value[v].constant = NULL;
    any = true;
  }
  return any ? neo_edit_sort(ctx, graph) : NEO_OK;
}

/* ---- text_concat, text_equal ----------------------------------------------------------------- */

neo_status neo_infer_text_pair(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_shape shape;
  NEO_TRY(check_texts(ctx, graph, node, 2));
  if (!neo_shape_broadcast(&neo_op_in(graph, node, 0)->shape, &neo_op_in(graph, node, 1)->shape,
                           &shape))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "its inputs' shapes do not broadcast");
  neo_op_set(graph, node, 0, neo_op_is(node, "text_concat") ? NEO_STR : NEO_BOOL, &shape);
  return NEO_OK;
}

neo_status neo_eval_text_pair(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_tensor *const *in, neo_tensor *out) {
  bool join = neo_op_is(node, "text_concat");
  const neo_shape *s = &out->shape;
  (void)ctx;
  for (int64_t i = 0, n = elements(s); i < n; i++) {
    const char *part[2];
    for (int k = 0; k < 2; k++)
      part[k] = element(
          in[k], neo_text_broadcast(i, s->rank, s->dim, in[k]->shape.rank, in[k]->shape.dim));
    if (join)
      ((const char **)out->data)[i] = neo_text_concat(part[0], part[1], room_of(graph));
    else
      ((uint8_t *)out->data)[i] = neo_text_same(part[0], part[1]);
  }
  return NEO_OK;
}

/* ---- text_match, text_find ------------------------------------------------------------------- */

neo_status neo_infer_text_match(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(check_texts(ctx, graph, node, 2));
  const neo_value *pattern = neo_op_in(graph, node, 1);
  if (elements(&pattern->shape) != 1)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "one pattern expected");
  if (pattern->constant) { /* wrong ones are found now */
    neo_text_pattern *compiled = NULL;
    NEO_TRY(neo_text_pattern_create(ctx, element(pattern->constant, 0), &compiled));
    neo_text_pattern_destroy(ctx, compiled);
  }
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  neo_op_set(graph, node, 0, NEO_BOOL, &shape);
  return NEO_OK;
}

neo_status neo_eval_text_match(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               neo_tensor *const *in, neo_tensor *out) {
  neo_text_pattern *pattern = NULL;
  (void)graph;
  (void)node;
  NEO_TRY(neo_text_pattern_create(ctx, element(in[1], 0), &pattern));
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++)
    ((uint8_t *)out->data)[i] = neo_text_match(pattern, element(in[0], i));
  neo_text_pattern_destroy(ctx, pattern);
  return NEO_OK;
}

neo_status neo_infer_text_find(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(check_texts(ctx, graph, node, 2));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  neo_op_set(graph, node, 0, NEO_I64, &shape);
  return NEO_OK;
}

neo_status neo_eval_text_find(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_tensor *const *in, neo_tensor *out) {
  int64_t keys = elements(&in[1]->shape);
  (void)ctx;
  (void)graph;
  (void)node;
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++) {
    int64_t at = 0;
    while (at < keys && !neo_text_same(element(in[0], i), element(in[1], at)))
      at++;
    neo_tensor_set_i64(out, i, at < keys ? at : -1);
  }
  return NEO_OK;
}

/* ---- text_case, text_filter ------------------------------------------------------------------ */

neo_status neo_infer_text_case(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(check_texts(ctx, graph, node, 1));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  neo_op_set(graph, node, 0, NEO_STR, &shape);
  return NEO_OK;
}

neo_status neo_eval_text_case(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_tensor *const *in, neo_tensor *out) {
  neo_text_case to = neo_node_int(node, "upper", 0) ? NEO_TEXT_UPPER : NEO_TEXT_LOWER;
  (void)ctx;
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++)
    ((const char **)out->data)[i] = neo_text_change_case(element(in[0], i), to, room_of(graph));
  return NEO_OK;
}

/* Is element i of x none of the words to leave out? */
static bool stays(const neo_graph *graph, const neo_node *node, neo_tensor *const *in, int64_t i) {
  bool exact = neo_node_int(node, "sensitive", 1) != 0;
  for (int64_t k = 0, n = elements(&in[1]->shape); k < n; k++) {
    const char *x = element(in[0], i), *word = element(in[1], k);
    if (!exact) {
      x = neo_text_change_case(x, NEO_TEXT_LOWER, room_of(graph));
      word = neo_text_change_case(word, NEO_TEXT_LOWER, room_of(graph));
    }
    if (neo_text_same(x, word))
      return false;
  }
  return true;
}

static int64_t count_staying(const neo_graph *graph, const neo_node *node, neo_tensor *const *in) {
  int64_t found = 0;
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++)
    found += stays(graph, node, in, i);
  return found ? found : 1; /* an empty string alone */
}

/* The words of x that stay, along its last dimension; all others are 1. Of constants their number
 * is known; else the result is bounded. */
neo_status neo_infer_text_filter(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(check_texts(ctx, graph, node, 2));
  const neo_value *x = neo_op_in(graph, node, 0), *words = neo_op_in(graph, node, 1);
  neo_shape shape = x->shape;
  if (shape.rank < 1 || elements(&shape) != shape.dim[shape.rank - 1] ||
      shape.dim[shape.rank - 1] < 1)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "[n] or [1, n] expected");
  if (x->bounded || words->bounded) /* what is behind their ends would stay, or be looked for */
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                       "its inputs' extents are known at run time only");
  if (x->constant && words->constant && node->n_outputs == 1) {
    shape.dim[shape.rank - 1] =
        count_staying(graph, node, (neo_tensor *const[]){x->constant, words->constant});
    neo_op_set(graph, node, 0, NEO_STR, &shape);
    return NEO_OK;
  }
  neo_op_set(graph, node, 0, NEO_STR, &shape);
  neo_op_add_count(graph, node);
  return NEO_OK;
}

neo_status neo_eval_text_filter(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                neo_tensor *const *in, neo_tensor *out) {
  int64_t found = 0;
  (void)ctx;
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++)
    if (stays(graph, node, in, i))
      ((const char **)out->data)[found++] = element(in[0], i);
  if (found == 0)
    ((const char **)out->data)[found++] = "";
  if (node->n_outputs == 2)
    neo_tensor_set_i64(&out[1], 0, found);
  return NEO_OK;
}

/* ---- text_parse, text_print ------------------------------------------------------------------ */

neo_status neo_infer_text_parse(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  const char *to = neo_node_string(node, "to", "f64");
  NEO_TRY(check_texts(ctx, graph, node, 1));
  if (strcmp(to, "f64") != 0 && strcmp(to, "i64") != 0)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "to is '%s', f64 or i64 expected", to);
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  neo_op_set(graph, node, 0, strcmp(to, "f64") == 0 ? NEO_F64 : NEO_I64, &shape);
  return NEO_OK;
}

neo_status neo_eval_text_parse(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               neo_tensor *const *in, neo_tensor *out) {
  (void)graph;
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++) {
    double *real = (double *)out->data + i;
    if (out->dtype == NEO_F64 ? !neo_text_to_real(element(in[0], i), real)
                              : !neo_text_to_int(element(in[0], i), (int64_t *)out->data + i))
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "'%s' is no number", element(in[0], i));
  }
  return NEO_OK;
}

neo_status neo_infer_text_print(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (x->dtype != NEO_F32 && x->dtype != NEO_F64 && x->dtype != NEO_I64)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "f32, f64 or i64 expected, not %s",
                       neo_dtype_name(x->dtype));
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, NEO_STR, &shape);
  return NEO_OK;
}

neo_status neo_eval_text_print(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               neo_tensor *const *in, neo_tensor *out) {
  (void)ctx;
  (void)node;
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++)
    ((const char **)out->data)[i] =
        in[0]->dtype == NEO_I64 ? neo_text_of_int(neo_tensor_get_i64(in[0], i), room_of(graph))
                                : neo_text_of_real(neo_tensor_get_f64(in[0], i), 8, room_of(graph));
  return NEO_OK;
}

/* ---- text_split ------------------------------------------------------------------------------ */

static int64_t count_parts(const neo_node *node, const char *text, const char *delimiter) {
  neo_text_parts parts = {0};
  const char *start;
  size_t length;
  int64_t n = 0;
  while (
      neo_text_next(&parts, text, delimiter, neo_node_int(node, "maxsplit", -1), &start, &length))
    n++;
  return n;
}

/* How many parts there are at most must be known: of constants only. */
neo_status neo_infer_text_split(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(check_texts(ctx, graph, node, 2));
  const neo_value *x = neo_op_in(graph, node, 0), *delimiter = neo_op_in(graph, node, 1);
  if (!x->constant || !delimiter->constant)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                       "the number of parts is known for constant strings only");
  neo_shape shape = x->shape;
  if (shape.rank == NEO_MAX_RANK)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "more than %d dimensions", NEO_MAX_RANK);
  int64_t most = 0;
  for (int64_t i = 0, n = elements(&shape); i < n; i++)
    most = neo_max_i64(most,
                       count_parts(node, element(x->constant, i), element(delimiter->constant, 0)));
  neo_op_set(graph, node, 1, NEO_I64, &shape);
  shape.dim[shape.rank++] = most;
  neo_op_set(graph, node, 0, NEO_STR, &shape);
  return NEO_OK;
}

neo_status neo_eval_text_split(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               neo_tensor *const *in, neo_tensor *out) {
  int64_t most = out[0].shape.dim[out[0].shape.rank - 1];
  const char *delimiter = element(in[1], 0), *start;
  (void)ctx;
  for (int64_t i = 0, n = elements(&in[0]->shape); i < n; i++) {
    neo_text_parts parts = {0};
    size_t length;
    int64_t k = 0;
    while (k < most && neo_text_next(&parts, element(in[0], i), delimiter,
                                     neo_node_int(node, "maxsplit", -1), &start, &length)) {
      char *copy = neo_arena_alloc(graph->arena, length + 1);
      memcpy(copy, start, length);
      ((const char **)out[0].data)[i * most + k++] = copy;
    }
    if (node->n_outputs > 1)
      neo_tensor_set_i64(&out[1], i, k);
    for (; k < most; k++)
      ((const char **)out[0].data)[i * most + k] = "";
  }
  return NEO_OK;
}
