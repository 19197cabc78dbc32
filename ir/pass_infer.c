/* ir/pass_infer.c: dtypes and shapes of all values, in one walk.
 *
 * Shape computations (shape -> gather -> concat -> reshape) are evaluated on the way: once a node's
 * type is known and all its inputs are constants, a small result becomes a constant at once, so
 * that the operators that need it as a constant find it. With bound inputs every dimension is
 * known, so `shape` is a constant, too.
 *
 * Operators that are written as others (ir/expand.h) are replaced on the way, too, and control flow
 * is solved (ir/pass_flow.c): what takes a node's place is appended, inferred already, and the walk
 * ends with a sort.
 *
 * Bounded on hostile files: results over SMALL elements are left to neo_pass_fold; a value may have
 * at most 2^40 elements. */
#include "ir/bounded.h"
#include "ir/expand.h"
#include "ir/flow.h"
#include "ir/pass_internal.h"

#define SMALL 65536
#define MAX_ELEMENTS ((int64_t)1 << 40)

static neo_status check_outputs(neo_ctx *ctx, const neo_graph *graph, const neo_node *node) {
  for (int i = 0; i < node->n_outputs; i++) {
    const neo_value *value = &graph->value[node->output[i]];
    int64_t n;
    if (value->dtype >= NEO_DTYPE_COUNT || value->shape.rank < 0 ||
        value->shape.rank > NEO_MAX_RANK)
      return neo_fail(ctx, NEO_INTERNAL, "infer: node '%s' (%s) left output %d without a type",
                      node->name, node->op->name, i);
    if (!neo_shape_elements(&value->shape, &n) || n > MAX_ELEMENTS)
      return neo_fail(ctx, NEO_BAD_INPUT,
                      "infer: node '%s' (%s): output %d is too large or has a negative dimension",
                      node->name, node->op->name, i);
  }
  return NEO_OK;
}

/* `shape` and `size` need only their input's type. */
static neo_status fold_shape_query(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  bool size = neo_edit_is(node, "size");
  const neo_shape in = graph->value[node->input[0]].shape;
  neo_value *out = &graph->value[node->output[0]];
  neo_tensor tensor;
  int64_t n = 0;
  NEO_TRY(neo_tensor_create(ctx, out->dtype, &out->shape, &tensor));
  neo_graph_adopt(graph, tensor.data);
  neo_shape_elements(&in, &n);
  int start = (int)neo_node_int(node, "start", 0);
  start = start < 0 ? start + in.rank : start;
  start = start < 0 ? 0 : start;
  for (int i = 0; size ? i < 1 : i < out->shape.dim[0]; i++)
    neo_tensor_set_i64(&tensor, i, size ? n : in.dim[start + i]);
  neo_fold_replace(graph, node, &tensor);
  return NEO_OK;
}

/* Empty parts of a concat add nothing; a te cannot read them. */
static void drop_empty_parts(const neo_graph *graph, neo_node *node) {
  int kept = 0;
  int *inputs = neo_arena_alloc(graph->arena, sizeof(int) * (size_t)node->n_inputs);
  for (int i = 0; i < node->n_inputs; i++) {
    int64_t n;
    if (neo_shape_elements(&graph->value[node->input[i]].shape, &n) && n > 0)
      inputs[kept++] = node->input[i];
  }
  if (kept > 0) {
    node->input = inputs;
    node->n_inputs = kept;
  }
}

/* Empty parts of a split are constants of no elements; the node keeps the others. */
static void drop_empty_outputs(neo_graph *graph, neo_node *node) {
  int64_t sizes[256], n;
  int kept = 0, axis = (int)neo_node_int(node, "axis", 0);
  int *outputs = neo_arena_alloc(graph->arena, sizeof(int) * (size_t)node->n_outputs);
  if (node->n_outputs > NEO_COUNT(sizes))
    return;
  axis += axis < 0 ? graph->value[node->input[0]].shape.rank : 0;
  for (int i = 0; i < node->n_outputs; i++) {
    const neo_value *value = &graph->value[node->output[i]];
    if (!neo_shape_elements(&value->shape, &n) || n == 0)
      continue;
    sizes[kept] = value->shape.dim[axis];
    outputs[kept++] = node->output[i];
  }
  if (kept == 0 || kept == node->n_outputs)
    return;
  for (int i = 0; i < node->n_outputs; i++) {
    neo_value *value = &graph->value[node->output[i]];
    neo_tensor empty = {value->dtype, value->shape, neo_arena_alloc(graph->arena, 16), 0};
    value->node = -1;
    value->constant = neo_arena_copy(graph->arena, &empty, sizeof empty);
  }
  for (int i = 0; i < kept; i++) {
    graph->value[outputs[i]].node = (int)(node - graph->node);
    graph->value[outputs[i]].output = i;
    graph->value[outputs[i]].constant = NULL;
  }
  node->output = outputs;
  node->n_outputs = kept;
  node->n_inputs = 1;
  neo_node_set_ints(graph, node, "split", kept, sizes);
}

/* What is picked out of a list of which only other parts depend on data. */
static neo_status fold_picked(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  const neo_value *out = &graph->value[node->output[0]];
  neo_tensor tensor;
  int64_t n = 0, v[NEO_MAX_RANK];
  char cls = neo_dtype_class(out->dtype);
  if ((cls != 'i' && cls != 'u') || out->shape.rank > 1 || out->bounded ||
      !neo_shape_elements(&out->shape, &n) || n < 1 || n > NEO_MAX_RANK)
    return NEO_OK;
  for (int64_t i = 0; i < n; i++) {
    neo_extent e = neo_extent_at(graph, node->output[0], i);
    if (!e.known)
      return NEO_OK;
    v[i] = e.n;
  }
  NEO_TRY(neo_tensor_create(ctx, out->dtype, &out->shape, &tensor));
  neo_graph_adopt(graph, tensor.data);
  for (int64_t i = 0; i < n; i++)
    neo_tensor_set_i64(&tensor, i, v[i]);
  neo_fold_replace(graph, node, &tensor);
  return NEO_OK;
}

neo_status neo_node_infer(neo_ctx *ctx, neo_graph *graph, int index) {
  neo_node *node = &graph->node[index];
  NEO_TRY(node->op->infer(ctx, graph, node));
  node = &graph->node[index];
  NEO_TRY(check_outputs(ctx, graph, node));
  NEO_TRY(neo_node_bounds(ctx, graph, node));
  if (neo_edit_is(node, "concat"))
    drop_empty_parts(graph, node);
  if (neo_edit_is(node, "split"))
    drop_empty_outputs(graph, node);
  if (neo_edit_is(node, "shape") || neo_edit_is(node, "size"))
    return fold_shape_query(ctx, graph, node);
  NEO_TRY(neo_fold_node(ctx, graph, node, SMALL));
  node = &graph->node[index];
  if (!node->dead &&
      (neo_edit_is(node, "gather") || neo_edit_is(node, "slice") || neo_edit_is(node, "where")))
    return fold_picked(ctx, graph, node);
  return NEO_OK;
}

/* What a walk changes on its way: alias[v] stands for v, an output of control flow that is gone. */
typedef struct walk {
  neo_arena arena;
  int n_nodes, n_values; /* at the start: nodes appended later are inferred already */
  int *alias;            /* NULL until needed */
  bool appended;
  void (*problem)(void *self, neo_status status,
                  const char *text); /* NULL: the first one ends it */
  void *self;
  neo_flow_budget *budget;
} walk;

/* alias covers the values there are now. */
static void cover_values(const neo_graph *graph, walk *w) {
  int covered = w->alias ? w->n_values : 0;
  if (w->alias && covered >= graph->n_values)
    return;
  int *alias = neo_arena_alloc(&w->arena, sizeof *alias * (size_t)(graph->n_values + 1));
  for (int k = 0; k < graph->n_values; k++)
    alias[k] = k < covered ? w->alias[k] : k;
  w->alias = alias;
  w->n_values = graph->n_values;
}

static neo_status infer_one(neo_ctx *ctx, neo_graph *graph, int i, neo_flow_budget *budget,
                            walk *w);

/* A branch's nodes in the graph, inferred. outputs: as many as the node has. */
static neo_status infer_branch(neo_ctx *ctx, neo_graph *graph, int i, const char *name, walk *w,
                               int *outputs) {
  const neo_graph *from = neo_node_graph(&graph->node[i], name);
  int *map = neo_arena_alloc(&w->arena, sizeof *map * (size_t)(from->n_values + 1));
  for (int k = 0; k < from->n_inputs; k++)
    map[from->input[k]] = graph->node[i].input[k + 1];
  neo_flow_target to = {ctx, graph, &w->arena};
  int first = graph->n_nodes, n = graph->node[i].n_outputs, before = graph->n_outputs;
  NEO_TRY(neo_flow_paste(&to, from, map));
  int end = graph->n_nodes;
  for (int k = 0; k < n; k++) /* found again after replacements */
    neo_graph_add_output(graph, map[from->output[k]], "");
  neo_status status = NEO_OK;
  for (int k = first; status == NEO_OK && k < end; k++) {
    cover_values(graph, w);
    neo_edit_resolve_inputs(&graph->node[k], w->alias, w->n_values);
    status = --w->budget->nodes < 0 ? neo_fail(ctx, NEO_UNSUPPORTED, "infer: too many branches")
                                    : infer_one(ctx, graph, k, w->budget, w);
  }
  for (int k = 0; k < n; k++) {
    int v = graph->output[before + k];
    while (v < w->n_values && w->alias[v] != v)
      v = w->alias[v];
    outputs[k] = v;
  }
  graph->n_outputs = before;
  return status;
}

/* Both branches are computed, and each output is chosen. */
static neo_status infer_both(neo_ctx *ctx, neo_graph *graph, int i, walk *w) {
  int n = graph->node[i].n_outputs;
  int *no = neo_arena_alloc(&w->arena, sizeof *no * (size_t)(n + 1));
  int *yes = neo_arena_alloc(&w->arena, sizeof *yes * (size_t)(n + 1));
  if (++w->budget->depth > NEO_MAX_GRAPH_DEPTH)
    return neo_fail(ctx, NEO_UNSUPPORTED, "infer: branches nest deeper than %d",
                    NEO_MAX_GRAPH_DEPTH);
  cover_values(graph, w);
  NEO_TRY(infer_branch(ctx, graph, i, "else", w, no));
  NEO_TRY(infer_branch(ctx, graph, i, "then", w, yes));
  w->budget->depth--;
  for (int k = 0; k < n; k++) {
    int chosen;
    NEO_TRY(neo_bounded_choose(ctx, graph, i, yes[k], no[k], &chosen));
    cover_values(graph, w);
    w->alias[graph->node[i].output[k]] = chosen;
  }
  graph->node[i].dead = true;
  w->appended = true;
  return NEO_OK;
}

static neo_status infer_flow(neo_ctx *ctx, neo_graph *graph, int i, neo_flow_budget *budget,
                             walk *w) {
  neo_flow flow;
  cover_values(graph, w);
  NEO_TRY(neo_flow_check(ctx, graph, &graph->node[i]));
  if (neo_bounded_is_choice(graph, &graph->node[i]))
    return infer_both(ctx, graph, i, w);
  NEO_TRY(neo_flow_solve(ctx, graph, &graph->node[i], budget, &flow));
  w->appended |= flow.inlined;
  neo_status status = neo_flow_commit(ctx, graph, i, &flow, w->alias);
  neo_flow_free(&flow);
  if (status == NEO_OK && !graph->node[i].dead) {
    NEO_TRY(check_outputs(ctx, graph, &graph->node[i]));
    NEO_TRY(neo_node_bounds(ctx, graph, &graph->node[i]));
    status = neo_fold_node(ctx, graph, &graph->node[i], SMALL);
  }
  return status;
}

static bool inputs_known(const neo_graph *graph, const neo_node *node) {
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_value *v = node->input[k] == NEO_NO_VALUE ? NULL : &graph->value[node->input[k]];
    if (v && (v->shape.rank < 0 || v->dtype >= NEO_DTYPE_COUNT))
      return false;
  }
  return true;
}

static neo_status infer_one(neo_ctx *ctx, neo_graph *graph, int i, neo_flow_budget *budget,
                            walk *w) {
  if (neo_flow_is(&graph->node[i]))
    return infer_flow(ctx, graph, i, budget, w);
  bool done = false;
  NEO_TRY(neo_bounded_rewrite(ctx, graph, i, 0, &done));
  w->appended |= done;
  if (done)
    return NEO_OK;
  NEO_TRY(neo_node_infer(ctx, graph, i));
  if (!graph->node[i].dead && neo_expansion_find(graph->node[i].op)) {
    NEO_TRY(neo_expand_node(ctx, graph, i, 0));
    w->appended = true;
  }
  return NEO_OK;
}

/* Tells it, and leaves the node's outputs unknown. */
static neo_status go_on(neo_ctx *ctx, neo_graph *graph, int i, neo_status status, const walk *w) {
  if (status == NEO_OK || !w->problem || status == NEO_NO_MEMORY || status == NEO_INTERNAL)
    return status;
  w->problem(w->self, status, ctx->message);
  neo_ctx_clear(ctx);
  for (int k = 0; k < graph->node[i].n_outputs; k++) {
    neo_value *v = &graph->value[graph->node[i].output[k]];
    v->shape.rank = -1;
    v->dtype = NEO_DTYPE_COUNT;
  }
  return NEO_OK;
}

static neo_status infer_all(neo_ctx *ctx, neo_graph *graph, neo_flow_budget *budget, walk *w) {
  int seen = graph->n_nodes;
  w->budget = budget;
  for (int i = 0; i < w->n_nodes; i++) {
    neo_node *node = &graph->node[i];
    if (node->dead)
      continue;
    if (budget->depth > 0 && (budget->nodes -= 1 + graph->n_nodes - seen) < 0)
      return neo_fail(ctx, NEO_UNSUPPORTED,
                      "infer: node '%s' (%s): control flow is nested and repeated too often",
                      node->name, node->op->name);
    seen = graph->n_nodes;
    if (w->alias)
      neo_edit_resolve_inputs(node, w->alias, w->n_values);
    if (w->problem && !inputs_known(graph, node))
      continue;
    NEO_TRY(go_on(ctx, graph, i, infer_one(ctx, graph, i, budget, w), w));
  }
  if (w->alias)
    neo_edit_resolve_outputs(graph, w->alias, w->n_values);
  return w->appended ? neo_edit_sort(ctx, graph) : NEO_OK;
}

neo_status neo_infer_within(neo_ctx *ctx, neo_graph *graph, neo_flow_budget *budget) {
  walk w = {.n_nodes = graph->n_nodes, .n_values = graph->n_values};
  neo_arena_init(&w.arena);
  neo_status status = infer_all(ctx, graph, budget, &w);
  neo_arena_fini(&w.arena);
  return status;
}

neo_status neo_pass_infer_all(neo_ctx *ctx, neo_graph *graph,
                              void (*problem)(void *self, neo_status status, const char *text),
                              void *self) {
  neo_flow_budget budget = NEO_FLOW_BUDGET;
  walk w = {
      .n_nodes = graph->n_nodes, .n_values = graph->n_values, .problem = problem, .self = self};
  neo_arena_init(&w.arena);
  neo_status status = infer_all(ctx, graph, &budget, &w);
  neo_arena_fini(&w.arena);
  return status;
}

neo_status neo_pass_infer(neo_ctx *ctx, neo_graph *graph) {
  neo_flow_budget budget = NEO_FLOW_BUDGET;
  return neo_infer_within(ctx, graph, &budget);
}
