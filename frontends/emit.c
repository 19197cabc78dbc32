/* frontends/emit.c: what readers build graphs with (emit.h).
 *
 * Inference while reading walks only the nodes made since the last time. A node is inferred when
 * the types of all its inputs are known; nothing becomes known later, since inputs get their shapes
 * when they are made, so one visit each is enough. Once something is unsupported the types behind
 * it mean nothing, so inference stops there: the list will be the error. */
#include "frontends/emit.h"

#include <string.h>

/* ---- the list of what is unsupported ------------------------------------------------------------ */

void neo_unsupported_add(neo_unsupported *list, const char *format, ...) {
  va_list args;
  va_start(args, format);
  neo_buf_vprintf(&list->text, format, args);
  va_end(args);
  neo_buf_text(&list->text, "\n");
  list->n++;
}

neo_status neo_unsupported_end(neo_ctx *ctx, const neo_source *source,
                               const neo_unsupported *list) {
  const char *path = source->path;
  const char *text = list->text.data ? list->text.data : "";
  size_t room = sizeof ctx->message - 200, cut = room;
  if (list->n == 0)
    return NEO_OK;
  if (source->options.unsupported) {
    neo_buf_append(source->options.unsupported, text, list->text.size);
    return NEO_OK;
  }
  if (list->text.size <= room)
    return neo_fail(ctx, NEO_UNSUPPORTED, "%s: %d unsupported:\n%s", path, list->n, text);
  for (const char *at = text; *at;) {
    size_t length = strcspn(at, "\n");
    neo_log(ctx, NEO_LOG_ERROR, "%.*s", (int)length, at);
    at += length + (at[length] == '\n');
  }
  while (cut > 0 && text[cut - 1] != '\n')
    cut--;
  return neo_fail(ctx, NEO_UNSUPPORTED, "%s: %d unsupported (all are in the log), the first:\n%.*s",
                  path, list->n, (int)cut, text);
}

void neo_unsupported_fini(neo_unsupported *list) {
  neo_buf_fini(&list->text);
}

/* ---- life --------------------------------------------------------------------------------------- */

neo_status neo_emitter_init(neo_emitter *e, neo_ctx *ctx, const neo_source *source,
                            const char *name) {
  *e = (neo_emitter){.ctx = ctx, .source = source, .scope = ""};
  NEO_TRY(neo_graph_create(ctx, name, &e->graph));
  e->graph->budget->bytes = source->options.max_model_bytes;
  return NEO_OK;
}

void neo_emitter_drop(neo_emitter *e) {
  neo_unsupported_fini(&e->unsupported);
  neo_graph_destroy(e->graph);
  e->graph = NULL;
}

neo_status neo_emitter_end(neo_emitter *e, neo_graph **out) {
  neo_status status = neo_unsupported_end(e->ctx, e->source, &e->unsupported);
  bool whole = e->unsupported.n == 0;
  if (status == NEO_OK && whole)
    status = e->failed;
  if (status == NEO_OK && whole)
    status = neo_graph_check(e->ctx, e->graph);
  if (status != NEO_OK)
    return status;
  *out = e->graph;
  e->graph = NULL;
  neo_unsupported_fini(&e->unsupported);
  return NEO_OK;
}

void neo_emit_unsupported(neo_emitter *e, const char *op, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  neo_unsupported_add(&e->unsupported, "node '%s' (%s): %s", e->scope, op, text);
}

/* ---- values --------------------------------------------------------------------------------------- */

int neo_emit_input(neo_emitter *e, const char *name, neo_dtype dtype, const neo_shape *shape) {
  const neo_import_options *options = &e->source->options;
  neo_shape bound = *shape;
  for (int i = 0; i < options->n_bindings; i++)
    if (strcmp(options->binding[i].name, name) == 0) {
      if (shape->rank <= 0 || options->binding[i].shape.rank == shape->rank)
        bound = options->binding[i].shape; /* else pass_bind names both */
      dtype = options->binding[i].has_dtype ? options->binding[i].dtype : dtype;
    }
  return neo_graph_add_input(e->graph, name, dtype, &bound);
}

int neo_emit_tensor(neo_emitter *e, const char *name, const neo_tensor *tensor) {
  return neo_graph_add_constant(e->graph, name, tensor);
}

static neo_tensor small_tensor(neo_emitter *e, neo_dtype dtype, int rank, int n) {
  neo_tensor tensor = {dtype, {rank, {n}}, NULL, neo_dtype_size(dtype) * (size_t)n};
  tensor.data = neo_arena_alloc(e->graph->arena, tensor.size + 16);
  return tensor;
}

static int add_small(neo_emitter *e, const neo_tensor *tensor) {
  const char *name = neo_arena_printf(e->graph->arena, "%s.c%d", e->scope, e->graph->n_values);
  return neo_graph_add_constant(e->graph, name, tensor);
}

int neo_emit_ints(neo_emitter *e, int n, const int64_t *v) {
  neo_tensor tensor = small_tensor(e, NEO_I64, 1, n);
  for (int i = 0; i < n; i++)
    neo_tensor_set_i64(&tensor, i, v[i]);
  return add_small(e, &tensor);
}

int neo_emit_int(neo_emitter *e, int64_t v) {
  neo_tensor tensor = small_tensor(e, NEO_I64, 0, 1);
  neo_tensor_set_i64(&tensor, 0, v);
  return add_small(e, &tensor);
}

int neo_emit_floats(neo_emitter *e, int n, const double *v) {
  neo_tensor tensor = small_tensor(e, NEO_F32, 1, n);
  for (int i = 0; i < n; i++)
    neo_tensor_set_f64(&tensor, i, v[i]);
  return add_small(e, &tensor);
}

int neo_emit_scalar(neo_emitter *e, neo_dtype dtype, double v) {
  neo_tensor tensor = small_tensor(e, dtype, 0, 1);
  neo_tensor_set_f64(&tensor, 0, v);
  return add_small(e, &tensor);
}

/* ---- nodes ---------------------------------------------------------------------------------------- */

neo_node *neo_emit_node(neo_emitter *e, const char *op, int n_inputs, const int *inputs,
                        int n_outputs) {
  while (n_inputs > 0 && inputs[n_inputs - 1] == NEO_NO_VALUE)
    n_inputs--;
  if (!neo_op_find(op)) {
    neo_emit_unsupported(e, op, "operator not implemented");
    op = "identity";
  }
  return neo_graph_add_node(e->graph, op, neo_arena_strdup(e->graph->arena, e->scope), n_inputs,
                            inputs, n_outputs);
}

int neo_emit_unary(neo_emitter *e, const char *op, int x) {
  return neo_emit_node(e, op, 1, &x, 1)->output[0];
}

int neo_emit_binary(neo_emitter *e, const char *op, int a, int b) {
  return neo_emit_node(e, op, 2, (int[]){a, b}, 1)->output[0];
}

int neo_emit_transpose(neo_emitter *e, int x, int n, const int64_t *perm) {
  neo_node *node = neo_emit_node(e, "transpose", 1, &x, 1);
  neo_node_set_ints(e->graph, node, "perm", n, perm);
  return node->output[0];
}

int neo_emit_reshape(neo_emitter *e, int x, int n, const int64_t *shape) {
  int target = neo_emit_ints(e, n, shape);
  neo_node *node = neo_emit_node(e, "reshape", 2, (int[]){x, target}, 1);
  neo_node_set_int(e->graph, node, "allowzero", 1);
  return node->output[0];
}

int neo_emit_cast(neo_emitter *e, int x, neo_dtype dtype) {
  neo_node *node = neo_emit_node(e, "cast", 1, &x, 1);
  neo_node_set_string(e->graph, node, "to", neo_dtype_name(dtype));
  return node->output[0];
}

/* ---- types ------------------------------------------------------------------------------------------ */

static bool value_known(const neo_graph *graph, int id) {
  const neo_value *value = &graph->value[id];
  if (value->dtype >= NEO_DTYPE_COUNT || value->shape.rank < 0)
    return false;
  for (int d = 0; d < value->shape.rank; d++)
    if (value->shape.dim[d] < 0)
      return false;
  return true;
}

static bool inputs_known(const neo_graph *graph, const neo_node *node) {
  for (int i = 0; i < node->n_inputs; i++)
    if (node->input[i] != NEO_NO_VALUE && !value_known(graph, node->input[i]))
      return false;
  return true;
}

void neo_emit_infer(neo_emitter *e) {
  for (; e->inferred < e->graph->n_nodes; e->inferred++) {
    const neo_node *node = &e->graph->node[e->inferred];
    if (e->failed != NEO_OK || e->unsupported.n > 0)
      return;
    if (!node->dead && inputs_known(e->graph, node))
      e->failed = neo_node_infer(e->ctx, e->graph, e->inferred);
  }
}

const neo_shape *neo_emit_shape(neo_emitter *e, int value) {
  if (value < 0)
    return NULL;
  neo_emit_infer(e);
  return value_known(e->graph, value) ? &e->graph->value[value].shape : NULL;
}

int neo_emit_rank(neo_emitter *e, int value) {
  if (value < 0)
    return -1;
  neo_emit_infer(e);
  return e->graph->value[value].shape.rank;
}

neo_dtype neo_emit_dtype(neo_emitter *e, int value) {
  if (value < 0)
    return NEO_DTYPE_COUNT;
  neo_emit_infer(e);
  return e->graph->value[value].dtype;
}

const neo_tensor *neo_emit_const(neo_emitter *e, int value) {
  if (value < 0)
    return NULL;
  neo_emit_infer(e);
  return e->graph->value[value].constant;
}
