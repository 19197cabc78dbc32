/* ir/pass_simplify.c: local rewrites, each exact, applied in one walk in topological order.
 *
 * A rule looks at one node and its producers; it either redirects the node's output to an existing
 * value or turns the node into another operator in place. Rules are rows of a table; the walk
 * repeats until no rule fires (each makes the graph smaller or its operators simpler, so that
 * ends). Patterns of several nodes that stand for one operator are in pass_pattern.c, transposes in
 * pass_transpose.c. Shapes must
 * be inferred. */
#include "ir/graph_edit.h"
#include "ir/pass_internal.h"

#include <string.h>

#define MAX_ROUNDS 8

/* The node's only output is this value from now on. */
static bool forward(neo_simplifier *s, neo_node *node, int value) {
  s->alias[node->output[0]] = value;
  node->dead = true;
  return true;
}

static bool same_type(const neo_graph *graph, int a, int b) {
  return graph->value[a].dtype == graph->value[b].dtype &&
         neo_shape_equal(&graph->value[a].shape, &graph->value[b].shape);
}

/* ---- nodes that do nothing ------------------------------------------------------------------- */

/* A graph output must not become an input or constant: some step has to write it. */
static bool may_forward(const neo_simplifier *s, const neo_node *node) {
  const neo_value *in = &s->graph->value[node->input[0]];
  return !s->uses.is_output[node->output[0]] || in->node >= 0;
}

static bool drop_identity(neo_simplifier *s, neo_node *node) {
  static const char *const names[] = {"identity", "cast",    "expand",   "slice",
                                      "tile",     "pad",     "concat",   "reshape",
                                      "flatten",  "squeeze", "unsqueeze"};
  bool candidate = false;
  for (int i = 0; i < NEO_COUNT(names); i++)
    candidate |= neo_edit_is(node, names[i]);
  if (!candidate || node->n_outputs != 1 || !same_type(s->graph, node->input[0], node->output[0]) ||
      !may_forward(s, node))
    return false;
  if (neo_edit_is(node, "concat") && node->n_inputs != 1)
    return false;
  if (neo_edit_is(node, "slice")) { /* equal shapes: whole, unless it runs backwards */
    int64_t step[NEO_MAX_RANK];
    const neo_tensor *steps = node->n_inputs > 4 && node->input[4] != NEO_NO_VALUE
                                  ? s->graph->value[node->input[4]].constant
                                  : NULL;
    int n = neo_node_ints(node, "steps", step, NEO_MAX_RANK);
    if (n > 0 || (node->n_inputs > 4 && node->input[4] != NEO_NO_VALUE && !steps))
      return false;
    for (int64_t i = 0; steps && i < steps->shape.dim[0]; i++)
      if (neo_tensor_get_i64(steps, i) < 0)
        return false;
  }
  if (neo_edit_is(node, "pad")) /* pads and crops could cancel out */
    return false;
  return forward(s, node, node->input[0]);
}

static bool drop_dropout(neo_simplifier *s, neo_node *node) {
  if (!neo_edit_is(node, "dropout") || !may_forward(s, node) ||
      (node->n_outputs > 1 && s->uses.count[node->output[1]] > 0))
    return false;
  return forward(s, node, node->input[0]);
}

/* x + 0, x - 0, x * 1, x / 1, x ^ 1 with a constant that does not widen x. */
static bool drop_neutral(neo_simplifier *s, neo_node *node) {
  static const struct {
    const char *op;
    double neutral;
    bool commutes;
  } rules[] = {
      {"add", 0, true}, {"sub", 0, false}, {"mul", 1, true}, {"div", 1, false}, {"pow", 1, false}};
  double v;
  for (int i = 0; i < NEO_COUNT(rules); i++)
    for (int k = 0; k < 2 && neo_edit_is(node, rules[i].op); k++) {
      if (k == 0 && !rules[i].commutes)
        continue;
      int x = node->input[1 - k];
      if (neo_edit_scalar_value(s->graph, node->input[k], &v) && v == rules[i].neutral &&
          same_type(s->graph, x, node->output[0]) &&
          (s->graph->value[x].node >= 0 || !s->uses.is_output[node->output[0]]))
        return forward(s, node, x);
    }
  return false;
}

static bool cheaper_power(neo_simplifier *s, neo_node *node) {
  double v;
  int x = node->input[0];
  if (!neo_edit_is(node, "pow") || !neo_edit_scalar_value(s->graph, node->input[1], &v) ||
      neo_dtype_class(s->graph->value[x].dtype) != 'f' || !same_type(s->graph, x, node->output[0]))
    return false;
  if (v == 2)
    neo_edit_become(s->graph, node, "mul", 2, (int[2]){x, x});
  else if (v == -1)
    neo_edit_become(s->graph, node, "reciprocal", 1, &x);
  else
    return false;
  return true;
}

/* ---- views ----------------------------------------------------------------------------------- */

/* A view of a view is one reshape. */
static bool merge_views(neo_simplifier *s, neo_node *node) {
  if (node->op->fuse != 'v')
    return false;
  const neo_node *before = neo_edit_producer(s->graph, node->input[0]);
  if (!before || before->op->fuse != 'v')
    return false;
  neo_shape shape = s->graph->value[node->output[0]].shape;
  neo_edit_become_reshape(s->graph, node, before->input[0], &shape);
  return true;
}

/* ---- pads ------------------------------------------------------------------------------------ */

/* The pads of a `pad` node as begins and ends per dimension; only constant mode, value 0, no crops.
 */
static bool read_zero_pad(const neo_graph *graph, const neo_node *node, int64_t *pads, int *rank) {
  double fill = neo_node_float(node, "value", 0);
  const neo_shape *in = &graph->value[node->input[0]].shape;
  *rank = in->rank;
  if (strcmp(neo_node_string(node, "mode", "constant"), "constant") != 0 ||
      (node->n_inputs > 3 && node->input[3] != NEO_NO_VALUE))
    return false;
  if (node->n_inputs > 2 && node->input[2] != NEO_NO_VALUE &&
      !neo_edit_scalar_value(graph, node->input[2], &fill))
    return false;
  if (node->n_inputs > 1 && node->input[1] != NEO_NO_VALUE) {
    const neo_tensor *given = graph->value[node->input[1]].constant;
    if (!given || given->shape.rank != 1 || given->shape.dim[0] != 2 * in->rank)
      return false;
    for (int i = 0; i < 2 * in->rank; i++)
      pads[i] = neo_tensor_get_i64(given, i);
  } else if (neo_node_ints(node, "pads", pads, 2 * NEO_MAX_RANK) != 2 * in->rank) {
    return false;
  }
  for (int i = 0; i < 2 * in->rank; i++)
    if (pads[i] < 0 || (i % in->rank < 2 && pads[i] != 0))
      return false;
  return fill == 0 && in->rank > 2;
}

/* Zero padding joins a convolution's own, or an average pool's that has none and then counts it. */
static bool absorb_pad(neo_simplifier *s, neo_node *node) {
  const neo_node *pad = neo_edit_producer(s->graph, node->input[0]);
  int64_t outer[2 * NEO_MAX_RANK], own[2 * NEO_MAX_RANK] = {0};
  bool conv = neo_edit_is(node, "conv"), pool = neo_edit_is(node, "average_pool");
  int rank;
  if ((!conv && !pool) || !neo_edit_is(pad, "pad") || !read_zero_pad(s->graph, pad, outer, &rank))
    return false;
  const char *auto_pad = neo_node_string(node, "auto_pad", "notset");
  int n = neo_node_ints(node, "pads", own, 2 * NEO_MAX_RANK), spatial = rank - 2;
  if (strcmp(auto_pad, "valid") == 0) {
    memset(own, 0, sizeof own);
    n = 0;
  } else if (strcmp(auto_pad, "notset") != 0) {
    return false;
  }
  if (n != 0 && n != 2 * spatial)
    return false;
  for (int i = 0; pool && i < n; i++)
    if (own[i] != 0)
      return false;
  if (pool && neo_node_int(node, "ceil_mode", 0) != 0)
    return false;
  for (int i = 0; i < spatial; i++) {
    own[i] += outer[2 + i];
    own[spatial + i] += outer[rank + 2 + i];
  }
  neo_node_set_ints(s->graph, node, "pads", 2 * spatial, own);
  neo_node_set_string(s->graph, node, "auto_pad", "notset");
  if (pool)
    neo_node_set_int(s->graph, node, "count_include_pad", 1);
  int *inputs = neo_arena_copy(s->graph->arena, node->input, sizeof(int) * (size_t)node->n_inputs);
  inputs[0] = pad->input[0];
  node->input = inputs;
  return true;
}

/* ---- the walk -------------------------------------------------------------------------------- */

typedef bool (*rule)(neo_simplifier *s, neo_node *node);

static const rule rules[] = {drop_identity, drop_dropout, drop_neutral,
                             cheaper_power, merge_views,  absorb_pad};

static bool round_of_rules(neo_simplifier *s) {
  bool changed = false;
  int n = s->graph->n_nodes;
  neo_uses_update(&s->uses, s->graph);
  int n_values = s->graph->n_values;
  s->alias = neo_arena_alloc(&s->uses.arena, sizeof(int) * (size_t)(n_values + 1));
  for (int i = 0; i < n_values; i++)
    s->alias[i] = i;
  for (int i = 0; i < n; i++) {
    neo_node *node = &s->graph->node[i];
    neo_edit_resolve_inputs(node, s->alias, n_values);
    for (int r = 0; r < NEO_COUNT(rules); r++)
      if (!node->dead && node->n_inputs > 0 && node->input[0] != NEO_NO_VALUE)
        changed |= rules[r](s, node);
  }
  neo_edit_resolve_outputs(s->graph, s->alias, n_values);
  return changed;
}

static neo_status simplify(neo_ctx *ctx, neo_simplifier *s) {
  bool changed = true;
  for (int i = 0; i < MAX_ROUNDS && changed; i++) {
    changed = round_of_rules(s);
    NEO_TRY(neo_pass_dce(ctx, s->graph));
    NEO_TRY(neo_simplify_patterns(s, &changed));
    NEO_TRY(neo_pass_dce(ctx, s->graph));
  }
  return NEO_OK;
}

neo_status neo_pass_simplify(neo_ctx *ctx, neo_graph *graph) {
  neo_simplifier s = {.ctx = ctx, .graph = graph};
  neo_uses_init(&s.uses);
  neo_status status = simplify(ctx, &s);
  neo_uses_fini(&s.uses);
  return status;
}
