/* ir/expand.c: the machinery of operators that are written as others; see ir/expand.h.
 *
 * Why not at import: shapes are known only after inputs are bound, and every reader profits. Why
 * not by a te: a recurrent layer or an attention is several contractions, which the partition cuts
 * and fuses better than one te with phases could say. */
#include "ir/bounded.h"

#include <string.h>

#include "ir/ops_internal.h"
#include "ir/pass_internal.h"

#define MAX_DEPTH 8
#define MAX_NODES (1 << 20)
#define CONCAT_PARTS 32
#define FOLD_ELEMENTS ((int64_t)1 << 24)

#define X(name, fn) neo_status fn(neo_expander *x); /* some functions have several rows */
#include "ir/expansions.def"
#undef X

static const struct {
  const char *name;
  neo_expand_fn fn;
} rows[] = {
#define X(name, fn) {#name, fn},
#include "ir/expansions.def"
#undef X
};

neo_expand_fn neo_expansion_find(const neo_op *op) {
  if (op->lower || op->eval)
    return NULL;
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, op->name) == 0)
      return rows[i].fn;
  return NULL;
}

/* ---- replacing a node ------------------------------------------------------------------------ */

static bool is_used(const neo_graph *graph, int value) {
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->output[i] == value)
      return true;
  for (int i = 0; i < graph->n_nodes; i++)
    for (int k = 0; !graph->node[i].dead && k < graph->node[i].n_inputs; k++)
      if (graph->node[i].input[k] == value)
        return true;
  return false;
}

/* Output k's users now read `to`, which must be of the inferred type. */
static neo_status bind_output(neo_expander *x, int k, int to) {
  neo_graph *graph = x->graph;
  int from = x->node.output[k];
  graph->value[from].node = -1;
  if (to == NEO_NO_VALUE && !is_used(graph, from))
    return NEO_OK;
  if (to == NEO_NO_VALUE)
    return neo_xp_fail(x, NEO_INTERNAL, "its expansion makes no output %d", k);
  neo_value *old = &graph->value[from], *made = &graph->value[to];
  if (old->dtype != made->dtype || !neo_shape_equal(&old->shape, &made->shape))
    return neo_xp_fail(x, NEO_INTERNAL, "its expansion's output %d is %s of rank %d, not %s", k,
                       neo_dtype_name(made->dtype), made->shape.rank, neo_dtype_name(old->dtype));
  if (made->node >= 0)
    made->name = old->name;
  neo_edit_replace(graph, from, to);
  return NEO_OK;
}

neo_status neo_expand_node(neo_ctx *ctx, neo_graph *graph, int id, int depth) {
  neo_expander x = {.ctx = ctx, .graph = graph, .node = graph->node[id], .depth = depth};
  neo_expand_fn fn = neo_expansion_find(x.node.op);
  neo_assert(fn != NULL);
  if (depth > MAX_DEPTH || x.node.n_outputs > NEO_XP_MAX_OUTPUTS || graph->n_nodes > MAX_NODES)
    return neo_xp_fail(&x, NEO_UNSUPPORTED, "too many nodes, outputs or levels of expansion");
  for (int k = 0; k < NEO_XP_MAX_OUTPUTS; k++)
    x.out[k] = NEO_NO_VALUE;
  neo_status status = fn(&x);
  NEO_TRY(x.status != NEO_OK ? x.status : status);
  for (int k = 0; k < x.node.n_outputs; k++)
    NEO_TRY(bind_output(&x, k, x.out[k]));
  graph->node[id].dead = true;
  return NEO_OK;
}

/* ---- evaluating ------------------------------------------------------------------------------ */

static void copy_site(neo_graph *to, const neo_graph *graph, const neo_node *node,
                      neo_tensor *const *in) {
  int *input = neo_arena_alloc(to->arena, sizeof(int) * (size_t)(node->n_inputs + 1));
  for (int k = 0; k < node->n_inputs; k++) {
    input[k] = NEO_NO_VALUE;
    if (in[k] && node->input[k] != NEO_NO_VALUE)
      input[k] = graph->value[node->input[k]].constant
                     ? neo_graph_add_constant(to, "", in[k])
                     : neo_graph_add_input(to, "", in[k]->dtype, &in[k]->shape);
  }
  neo_node *copy =
      neo_graph_add_node(to, node->op->name, node->name, node->n_inputs, input, node->n_outputs);
  copy->n_attrs = node->n_attrs;
  copy->attr = node->attr;
  for (int k = 0; k < node->n_outputs; k++)
    neo_graph_add_output(to, copy->output[k], "");
}

neo_status neo_expand_eval(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                           neo_tensor *const *in, neo_tensor *out) {
  neo_graph *own;
  neo_arena scratch;
  NEO_TRY(neo_graph_create(ctx, "expansion", &own));
  neo_arena_init(&scratch);
  copy_site(own, graph, node, in);
  neo_tensor *inputs = neo_arena_alloc(&scratch, sizeof *inputs * (size_t)(node->n_inputs + 1));
  int n = 0;
  for (int k = 0; k < node->n_inputs; k++)
    if (in[k] && node->input[k] != NEO_NO_VALUE && !graph->value[node->input[k]].constant)
      inputs[n++] = *in[k];
  neo_status status = neo_pass_infer(ctx, own);
  if (status == NEO_OK)
    status = neo_graph_interpret(ctx, own, inputs, out);
  neo_arena_fini(&scratch);
  neo_graph_destroy(own);
  return status;
}

/* ---- types ----------------------------------------------------------------------------------- */

neo_status neo_infer_expanded(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_graph *own;
  neo_tensor tensors[NEO_XP_MAX_INPUTS], *in[NEO_XP_MAX_INPUTS];
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  if (node->n_inputs > NEO_XP_MAX_INPUTS || node->n_outputs > NEO_XP_MAX_OUTPUTS)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "%d inputs", node->n_inputs);
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    in[k] = v ? &tensors[k] : NULL;
    if (v)
      tensors[k] = v->constant ? *v->constant : (neo_tensor){v->dtype, v->shape, NULL, 0};
  }
  NEO_TRY(neo_graph_create(ctx, "expansion", &own));
  copy_site(own, graph, node, in);
  neo_expander x = {.ctx = ctx, .graph = own, .node = own->node[0], .depth = MAX_DEPTH - 2};
  for (int k = 0; k < NEO_XP_MAX_OUTPUTS; k++)
    x.out[k] = NEO_NO_VALUE;
  neo_status status = neo_expansion_find(node->op)(&x);
  status = x.status != NEO_OK ? x.status : status;
  for (int k = 0; status == NEO_OK && k < node->n_outputs; k++) {
    if (x.out[k] == NEO_NO_VALUE)
      status = neo_op_fail(ctx, node, NEO_BAD_INPUT, "it has no output %d", k);
    else
      neo_op_set(graph, node, k, own->value[x.out[k]].dtype, &own->value[x.out[k]].shape);
  }
  neo_graph_destroy(own);
  return status;
}

/* ---- reading --------------------------------------------------------------------------------- */

neo_status neo_xp_fail(neo_expander *x, neo_status status, const char *format, ...) {
  char text[512];
  va_list args;
  if (x->status != NEO_OK)
    return x->status;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  x->status = neo_op_fail(x->ctx, &x->node, status, "%s", text);
  return x->status;
}

int neo_xp_in(const neo_expander *x, int k) {
  return k < x->node.n_inputs ? x->node.input[k] : NEO_NO_VALUE;
}

bool neo_xp_wants(const neo_expander *x, int k) {
  return k < x->node.n_outputs && is_used(x->graph, x->node.output[k]);
}

neo_shape neo_xp_shape(const neo_expander *x, int v) {
  return v == NEO_NO_VALUE ? (neo_shape){0} : x->graph->value[v].shape;
}

int neo_xp_rank(const neo_expander *x, int v) {
  return neo_xp_shape(x, v).rank;
}

int64_t neo_xp_dim(const neo_expander *x, int v, int d) {
  neo_shape shape = neo_xp_shape(x, v);
  d = d < 0 ? d + shape.rank : d;
  return d >= 0 && d < shape.rank ? shape.dim[d] : 1;
}

neo_dtype neo_xp_dtype(const neo_expander *x, int v) {
  return v == NEO_NO_VALUE ? NEO_F32 : x->graph->value[v].dtype;
}

const neo_tensor *neo_xp_tensor(const neo_expander *x, int v) {
  return v == NEO_NO_VALUE ? NULL : x->graph->value[v].constant;
}

/* ---- building -------------------------------------------------------------------------------- */

static void set_attributes(neo_graph *graph, neo_node *node, const neo_attr *attr) {
  for (; attr && attr->name; attr++) {
    if (attr->kind == NEO_ATTR_INT)
      neo_node_set_int(graph, node, attr->name, attr->i);
    else if (attr->kind == NEO_ATTR_FLOAT)
      neo_node_set_float(graph, node, attr->name, attr->f);
    else if (attr->kind == NEO_ATTR_STRING)
      neo_node_set_string(graph, node, attr->name, attr->s);
    else if (attr->kind == NEO_ATTR_INTS)
      neo_node_set_ints(graph, node, attr->name, attr->n, attr->ints);
    else if (attr->kind == NEO_ATTR_FLOATS)
      neo_node_set_floats(graph, node, attr->name, attr->n, attr->floats);
    else
      neo_node_set_tensor(graph, node, attr->name, attr->tensor);
  }
}

/* Types the new node, and replaces it in turn if it is to be expanded. */
static neo_status settle(neo_expander *x, int id, int n_outputs, int *out) {
  neo_graph *graph = x->graph;
  bool done = false;
  int before = graph->n_outputs;
  for (int k = 0; k < n_outputs; k++) /* found again after the replacement */
    neo_graph_add_output(graph, out[k], "");
  neo_status status = neo_bounded_rewrite(x->ctx, graph, id, x->depth, &done);
  if (status == NEO_OK && !done)
    status = neo_node_infer(x->ctx, graph, id);
  if (status == NEO_OK && !done && neo_expansion_find(graph->node[id].op))
    status = neo_expand_node(x->ctx, graph, id, x->depth + 1);
  else if (status == NEO_OK && !done)
    status = neo_fold_node(x->ctx, graph, &graph->node[id], FOLD_ELEMENTS);
  for (int k = 0; k < n_outputs; k++)
    out[k] = graph->output[before + k];
  graph->n_outputs = before;
  return status;
}

void neo_xp_emit(neo_expander *x, const neo_xp_call *call, int *out) {
  for (int k = 0; k < call->n_outputs; k++)
    out[k] = NEO_NO_VALUE;
  if (x->status != NEO_OK)
    return;
  int n = call->n_inputs, own[NEO_XP_MAX_OUTPUTS];
  while (n > 0 && call->input[n - 1] == NEO_NO_VALUE)
    n--;
  char *name = neo_arena_printf(x->graph->arena, "%s/%d", x->node.name, x->serial++);
  neo_node *node = neo_graph_add_node(x->graph, call->op, name, n, call->input, call->n_outputs);
  neo_assert(node != NULL && call->n_outputs <= NEO_XP_MAX_OUTPUTS);
  set_attributes(x->graph, node, call->attr);
  memcpy(own, node->output, sizeof(int) * (size_t)call->n_outputs);
  x->status = settle(x, x->graph->n_nodes - 1, call->n_outputs, own);
  for (int k = 0; x->status == NEO_OK && k < call->n_outputs; k++)
    out[k] = own[k];
}

int neo_xp_op(neo_expander *x, const char *op, int n, const int *in, const neo_attr *attr) {
  int out;
  neo_xp_emit(x, &(neo_xp_call){op, n, in, 1, attr}, &out);
  return out;
}

int neo_xp_1(neo_expander *x, const char *op, int a) {
  return neo_xp_op(x, op, 1, &a, NULL);
}

int neo_xp_2(neo_expander *x, const char *op, int a, int b) {
  return neo_xp_op(x, op, 2, (int[]){a, b}, NULL);
}

int neo_xp_3(neo_expander *x, const char *op, int a, int b, int c) {
  return neo_xp_op(x, op, 3, (int[]){a, b, c}, NULL);
}

int neo_xp_c(neo_expander *x, const char *op, int a, double b) {
  return neo_xp_2(x, op, a, neo_xp_scalar(x, neo_xp_dtype(x, a), b));
}

static const char *constant_name(neo_expander *x) {
  return neo_arena_printf(x->graph->arena, "%s/c%d", x->node.name, x->serial++);
}

int neo_xp_scalar(neo_expander *x, neo_dtype dtype, double v) {
  return x->status == NEO_OK ? neo_edit_scalar(x->graph, constant_name(x), dtype, v) : NEO_NO_VALUE;
}

int neo_xp_constant(neo_expander *x, neo_dtype dtype, const neo_shape *shape, neo_tensor **out) {
  int value = NEO_NO_VALUE;
  *out = NULL;
  if (x->status == NEO_OK)
    x->status = neo_edit_constant(x->ctx, x->graph, constant_name(x), dtype, shape, &value);
  if (x->status == NEO_OK)
    *out = x->graph->value[value].constant;
  return value;
}

int neo_xp_ints(neo_expander *x, int n, const int64_t *v) {
  neo_tensor *tensor;
  int value = neo_xp_constant(x, NEO_I64, &(neo_shape){1, {n}}, &tensor);
  for (int i = 0; tensor && i < n; i++)
    neo_tensor_set_i64(tensor, i, v[i]);
  return value;
}

int neo_xp_iota(neo_expander *x, neo_dtype dtype, int64_t n) {
  neo_tensor *tensor;
  int value = neo_xp_constant(x, dtype, &(neo_shape){1, {n}}, &tensor);
  for (int64_t i = 0; tensor && i < n; i++)
    neo_tensor_set_i64(tensor, i, i);
  return value;
}

int neo_xp_cast(neo_expander *x, int v, neo_dtype dtype) {
  if (neo_xp_dtype(x, v) == dtype)
    return v;
  return neo_xp_op(x, "cast", 1, &v, NEO_XP_ATTRS(NEO_XP_STRING("to", neo_dtype_name(dtype))));
}

int neo_xp_reshape_to(neo_expander *x, int v, const neo_shape *shape) {
  return neo_xp_reshape(x, v, shape->rank, shape->dim);
}

int neo_xp_reshape(neo_expander *x, int v, int rank, const int64_t *dims) {
  neo_shape now = neo_xp_shape(x, v), want = {.rank = rank};
  for (int d = 0; d < rank; d++)
    want.dim[d] = dims[d];
  if (neo_shape_equal(&now, &want))
    return v;
  return neo_xp_op(x, "reshape", 2, (int[]){v, neo_xp_ints(x, rank, dims)},
                   NEO_XP_ATTRS(NEO_XP_INT("allowzero", 1)));
}

int neo_xp_expand(neo_expander *x, int v, const neo_shape *shape) {
  neo_shape now = neo_xp_shape(x, v);
  if (neo_shape_equal(&now, shape))
    return v;
  return neo_xp_2(x, "expand", v, neo_xp_ints(x, shape->rank, shape->dim));
}

int neo_xp_transpose(neo_expander *x, int v, int rank, const int64_t *perm) {
  return neo_xp_op(x, "transpose", 1, &v, NEO_XP_ATTRS(NEO_XP_INTS("perm", rank, perm)));
}

int neo_xp_slice(neo_expander *x, int v, int axis, int64_t from, int64_t to) {
  int64_t at = axis;
  if (from == 0 && to == neo_xp_dim(x, v, axis))
    return v;
  return neo_xp_op(x, "slice", 1, &v,
                   NEO_XP_ATTRS(NEO_XP_INTS("starts", 1, &from), NEO_XP_INTS("ends", 1, &to),
                                NEO_XP_INTS("axes", 1, &at)));
}

int neo_xp_at(neo_expander *x, int v, int axis, int64_t at) {
  neo_shape shape = neo_xp_shape(x, v);
  int part = neo_xp_slice(x, v, axis, at, at + 1);
  for (int d = axis; d + 1 < shape.rank; d++)
    shape.dim[d] = shape.dim[d + 1];
  shape.rank = shape.rank > 0 ? shape.rank - 1 : 0;
  return neo_xp_reshape_to(x, part, &shape);
}

/* A te has few buffers, so many parts are joined in a tree. */
int neo_xp_concat(neo_expander *x, int axis, int n, const int *v) {
  const neo_attr *attr = NEO_XP_ATTRS(NEO_XP_INT("axis", axis));
  int *level = neo_arena_copy(x->graph->arena, v, sizeof *v * (size_t)n);
  while (n > 1) {
    int joined = 0;
    for (int i = 0; i < n; i += CONCAT_PARTS) {
      int parts = n - i < CONCAT_PARTS ? n - i : CONCAT_PARTS;
      level[joined++] = parts == 1 ? level[i] : neo_xp_op(x, "concat", parts, level + i, attr);
    }
    n = joined;
  }
  return level[0];
}

int neo_xp_reduce(neo_expander *x, const char *op, int v, int64_t axis, bool keepdims) {
  return neo_xp_op(x, op, 1, &v,
                   NEO_XP_ATTRS(NEO_XP_INTS("axes", 1, &axis), NEO_XP_INT("keepdims", keepdims)));
}

int neo_xp_gather(neo_expander *x, int v, int indices, int64_t axis) {
  return neo_xp_op(x, "gather", 2, (int[]){v, indices}, NEO_XP_ATTRS(NEO_XP_INT("axis", axis)));
}

int neo_xp_unsqueeze(neo_expander *x, int v, int axis) {
  neo_shape shape = neo_xp_shape(x, v);
  if (shape.rank == NEO_MAX_RANK) {
    neo_xp_fail(x, NEO_UNSUPPORTED, "more than %d dimensions", NEO_MAX_RANK);
    return NEO_NO_VALUE;
  }
  for (int d = shape.rank; d > axis; d--)
    shape.dim[d] = shape.dim[d - 1];
  shape.dim[axis] = 1;
  shape.rank++;
  return neo_xp_reshape_to(x, v, &shape);
}
