/* ir/bounded_choice.c: `if` whose branches differ in an extent.
 *
 * "No boxes, or those that are left" is written as an `if` whose branches return tensors of
 * different extents, of which one depends on data. Its branches may read values of bounded extent
 * from outside. There both branches are computed, and each result is chosen: what it costs is
 * bounded by the model, and what is chosen is bounded as everything else is. An `if` that returns
 * equal types and reads nothing bounded stays one. */
#include "ir/bounded.h"

#include "ir/flow.h"
#include "ir/ops_internal.h"

#include <string.h>

/* Nothing that may fail, or run for longer than its shapes say. */
static bool is_harmless(const neo_graph *graph) {
  static const char *const not_these[] = {"loop", "unreachable", "text_parse", "image_decode"};
  for (int i = 0; i < graph->n_nodes; i++) {
    for (int k = 0; k < NEO_COUNT(not_these); k++)
      if (!graph->node[i].dead && neo_op_is(&graph->node[i], not_these[k]))
        return false;
    for (int k = 0; k < graph->node[i].n_attrs; k++)
      if (graph->node[i].attr[k].kind == NEO_ATTR_GRAPH &&
          !is_harmless(graph->node[i].attr[k].graph))
        return false;
  }
  return true;
}

bool neo_bounded_is_choice(const neo_graph *graph, const neo_node *node) {
  bool bounded = false;
  if (!neo_op_is(node, "if") || graph->value[node->input[0]].constant)
    return false;
  for (int k = 1; k < node->n_inputs; k++)
    bounded |= node->input[k] != NEO_NO_VALUE && graph->value[node->input[k]].bounded;
  return bounded && is_harmless(neo_node_graph(node, "then")) &&
         is_harmless(neo_node_graph(node, "else"));
}

/* The dimension in which they may differ; -1: none, -2: they cannot be joined. */
static int differing(const neo_expander *x, int a, int b) {
  neo_shape p = neo_xp_shape(x, a), q = neo_xp_shape(x, b);
  int axis = neo_bd_is(x, a) ? neo_bd_axis(x, a) : neo_bd_axis(x, b);
  if (p.rank != q.rank || neo_xp_dtype(x, a) != neo_xp_dtype(x, b) ||
      (neo_bd_is(x, b) && neo_bd_axis(x, b) != axis))
    return -2;
  for (int d = 0; d < p.rank; d++) {
    if (p.dim[d] == q.dim[d] || d == axis)
      continue;
    if (axis >= 0)
      return -2;
    axis = d;
  }
  return axis;
}

static int padded(neo_expander *x, int v, int axis, int64_t room) {
  int64_t pads[2 * NEO_MAX_RANK] = {0};
  int rank = neo_xp_rank(x, v);
  pads[rank + axis] = room - neo_xp_dim(x, v, axis);
  if (pads[rank + axis] == 0)
    return v;
  return neo_xp_op(x, "pad", 1, &v, NEO_XP_ATTRS(NEO_XP_INTS("pads", 2 * rank, pads)));
}

static int choose(neo_expander *x, int cond, int yes, int no) {
  int axis = differing(x, yes, no);
  if (axis == -2) {
    neo_xp_fail(x, NEO_UNSUPPORTED, "its branches return values of different types");
    return NEO_NO_VALUE;
  }
  if (axis < 0)
    return neo_xp_3(x, "where", cond, yes, no);
  neo_extent a =
      neo_bd_is(x, yes) ? neo_bd_count(x, yes) : neo_extent_number(neo_xp_dim(x, yes, axis));
  neo_extent b =
      neo_bd_is(x, no) ? neo_bd_count(x, no) : neo_extent_number(neo_xp_dim(x, no, axis));
  int64_t room = neo_max_i64(neo_xp_dim(x, yes, axis), neo_xp_dim(x, no, axis));
  int count = neo_xp_3(x, "where", cond, neo_bd_scalar(x, a), neo_bd_scalar(x, b));
  int all = neo_bd_raw(x, neo_xp_dim(x, yes, axis) == 0 ? no : yes);
  if (neo_xp_dim(x, yes, axis) != 0 && neo_xp_dim(x, no, axis) != 0)
    all = neo_xp_3(x, "where", cond, padded(x, neo_bd_raw(x, yes), axis, room),
                   padded(x, neo_bd_raw(x, no), axis, room));
  if (neo_extent_same(x->graph, &a, &b))
    return neo_bd_cut(x, all, axis, a);
  return neo_bd_cut(x, all, axis,
                    (neo_extent){.value = count, .lo = neo_min_i64(a.lo, b.lo), .hi = room});
}

neo_status neo_bounded_choose(neo_ctx *ctx, neo_graph *graph, int id, int yes, int no, int *out) {
  neo_expander x = {.ctx = ctx, .graph = graph, .node = graph->node[id]};
  int cond = neo_xp_reshape(&x, x.node.input[0], 0, NULL);
  if (x.status == NEO_OK)
    *out = choose(&x, cond, yes, no);
  return x.status;
}
