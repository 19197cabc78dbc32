/* ir/bounded_read.c: rules of operators that look at a whole extent: sums and maxima, orders,
 * suppression, joining; and of those whose operands have to agree in it. */
#include "ir/bounded.h"

#include "ir/ops_internal.h"

#include <math.h>
#include <string.h>

/* ---- whole extents --------------------------------------------------------------------------- */

neo_status neo_bounded_nonzero(neo_expander *x) {
  int in = neo_bd_fill(x, neo_xp_in(x, 0), 0), out[2];
  neo_xp_emit(x, &(neo_xp_call){"nonzero", 1, &in, 2, NULL}, out);
  x->out[0] = out[0];
  x->out[1] = out[1];
  return x->status;
}

/* A mean is a sum over what is real. */
static void reduce_mean(neo_expander *x, int in, int axis) {
  neo_dtype dtype = neo_xp_dtype(x, in);
  neo_shape shape = neo_xp_shape(x, in);
  bool flag[NEO_MAX_RANK], given;
  int64_t others = 1;
  x->status = neo_op_axes(&(neo_op_site){x->ctx, x->graph, &x->node}, 1, shape.rank, flag, &given);
  for (int d = 0; d < shape.rank; d++)
    others *= d != axis && (!given || flag[d]) ? shape.dim[d] : 1;
  neo_extent n = neo_bd_scale(x, neo_bd_count(x, in), others, 1);
  int list[2] = {neo_bd_fill(x, in, 0), neo_xp_in(x, 1)};
  neo_bd_again(x, "reduce_sum", 2, list);
  int sum = x->out[0], real = neo_xp_cast(x, neo_bd_scalar(x, n), dtype);
  x->out[0] = neo_xp_2(x, "div", sum, real);
}

neo_status neo_bounded_reduce(neo_expander *x) {
  static const struct {
    const char *op;
    double fill;
  } fills[] = {{"reduce_sum", 0},        {"reduce_l1", 0},      {"reduce_l2", 0},
               {"reduce_sum_square", 0}, {"reduce_log_sum", 0}, {"reduce_log_sum_exp", -INFINITY},
               {"reduce_prod", 1}};
  int in = neo_xp_in(x, 0), axis = neo_bd_axis(x, in);
  bool flag[NEO_MAX_RANK], given, max = neo_op_is(&x->node, "reduce_max");
  if (axis < 0)
    return NEO_OK;
  NEO_TRY(
      neo_op_axes(&(neo_op_site){x->ctx, x->graph, &x->node}, 1, neo_xp_rank(x, in), flag, &given));
  if ((given && !flag[axis]) || (!given && neo_node_int(&x->node, "noop_with_empty_axes", 0)))
    return NEO_OK;
  int list[2] = {NEO_NO_VALUE, neo_xp_in(x, 1)};
  if (max || neo_op_is(&x->node, "reduce_min")) {
    neo_dtype dtype = neo_xp_dtype(x, in);
    list[0] = neo_bd_fill(x, in, max ? neo_dtype_lowest(dtype) : neo_dtype_highest(dtype));
  }
  for (int i = 0; i < NEO_COUNT(fills); i++)
    if (neo_op_is(&x->node, fills[i].op))
      list[0] = neo_bd_fill(x, in, fills[i].fill);
  if (list[0] != NEO_NO_VALUE)
    neo_bd_again(x, x->node.op->name, 2, list);
  else if (neo_op_is(&x->node, "reduce_mean"))
    reduce_mean(x, in, axis);
  return x->status;
}

static bool is_along(const neo_expander *x, int v, int64_t otherwise) {
  int64_t axis = neo_node_int(&x->node, "axis", otherwise);
  return neo_bd_is(x, v) && neo_bd_axis(x, v) == axis + (axis < 0 ? neo_xp_rank(x, v) : 0);
}

neo_status neo_bounded_arg(neo_expander *x) {
  int in = neo_xp_in(x, 0);
  neo_dtype dtype = neo_xp_dtype(x, in);
  if (!is_along(x, in, 0))
    return NEO_OK;
  in = neo_bd_fill(
      x, in, neo_op_is(&x->node, "arg_max") ? neo_dtype_lowest(dtype) : neo_dtype_highest(dtype));
  neo_bd_again(x, x->node.op->name, 1, &in);
  return x->status;
}

neo_status neo_bounded_softmax(neo_expander *x) {
  int in = neo_xp_in(x, 0), axis = neo_bd_axis(x, in);
  if (!is_along(x, in, -1) || neo_node_int(&x->node, "coerce_2d", 0))
    return NEO_OK;
  neo_extent count = neo_bd_count(x, in);
  neo_bd_again(x, x->node.op->name, 1, (int[]){neo_bd_fill(x, in, -INFINITY)});
  x->out[0] = neo_bd_cut(x, x->out[0], axis, count);
  return x->status;
}

/* ---- orders ---------------------------------------------------------------------------------- */

/* What is not real comes last. */
static int last(neo_expander *x, int in) {
  neo_dtype dtype = neo_xp_dtype(x, in);
  return neo_bd_fill(x, in,
                     neo_node_int(&x->node, "largest", 1) ? neo_dtype_lowest(dtype)
                                                          : neo_dtype_highest(dtype));
}

neo_status neo_bounded_top_k(neo_expander *x) {
  int in = neo_xp_in(x, 0), axis = neo_bd_axis(x, in);
  if (is_along(x, in, -1)) {
    in = last(x, in);
    neo_bd_again(x, "top_k", 1, &in);
    return x->status;
  }
  neo_extent count = neo_bd_count(x, in);
  neo_bd_again(x, "top_k", 1, (int[]){neo_bd_raw(x, in)});
  for (int k = 0; k < x->node.n_outputs; k++)
    x->out[k] = neo_bd_cut(x, x->out[k], axis, count);
  return x->status;
}

/* k is known at run time only: as many as there can be, of which the first k are real. */
neo_status neo_bounded_topk(neo_expander *x) {
  int in = neo_xp_in(x, 0), rank = neo_xp_rank(x, in), out[2];
  int64_t axis = neo_node_int(&x->node, "axis", -1);
  axis += axis < 0 ? rank : 0;
  if (neo_xp_in(x, 1) == NEO_NO_VALUE || neo_xp_tensor(x, neo_xp_in(x, 1)) || axis < 0 ||
      axis >= rank || neo_bd_elements(x, neo_xp_in(x, 1)) != 1 ||
      (neo_bd_is(x, in) && neo_bd_axis(x, in) != axis))
    return NEO_OK;
  neo_extent k = neo_bd_extent(x, neo_xp_in(x, 1), 0);
  int64_t most = neo_min_i64(k.hi, neo_xp_dim(x, in, (int)axis));
  if (k.known || most < 0)
    return NEO_OK;
  in = last(x, in);
  neo_xp_emit(
      x,
      &(neo_xp_call){"top_k", 1, &in, 2,
                     NEO_XP_ATTRS(NEO_XP_INT("k", most), NEO_XP_INT("axis", axis),
                                  NEO_XP_INT("largest", neo_node_int(&x->node, "largest", 1)),
                                  NEO_XP_INT("sorted", 1))},
      out);
  for (int i = 0; i < 2; i++)
    x->out[i] = neo_bd_cut(x, out[i], (int)axis, k);
  return x->status;
}

/* A score of -infinity is below every threshold. */
neo_status neo_bounded_nms(neo_expander *x) {
  int in[5], out[2];
  const int axis[2] = {1, 2};
  for (int k = 0; k < 5; k++)
    in[k] = neo_xp_in(x, k);
  if (!neo_bd_unify(x, 2, in, axis) || !neo_bd_is(x, in[1]))
    return NEO_OK;
  bool limited = in[4] != NEO_NO_VALUE || neo_node_int(&x->node, "has_score_threshold", 0);
  in[0] = neo_bd_raw(x, in[0]);
  in[1] = neo_bd_fill(x, in[1], -INFINITY);
  if (!limited)
    in[4] = neo_xp_scalar(x, NEO_F32, -INFINITY);
  neo_xp_emit(
      x,
      &(neo_xp_call){"non_max_suppression", 5, in, 2,
                     NEO_XP_ATTRS(NEO_XP_INT("center_point_box",
                                             neo_node_int(&x->node, "center_point_box", 0)))},
      out);
  x->out[0] = out[0];
  x->out[1] = out[1];
  return x->status;
}

/* ---- joining --------------------------------------------------------------------------------- */

/* Place j of the result is in part p if j >= the counts of all before; in memory, part p begins
 * where the rooms of all before it end: j plus, for each part that ends at or before j, what its
 * room has over its count. */
static int places(neo_expander *x, int n, const int *in, int axis, neo_extent *total) {
  int64_t room = 0, before = 0;
  neo_extent sum = neo_extent_number(0);
  for (int k = 0; k < n; k++)
    room += neo_xp_dim(x, in[k], axis);
  int j = neo_bd_places(x, NEO_I64, room), at = j;
  for (int k = 0; k < n; k++) {
    int64_t own = neo_xp_dim(x, in[k], axis);
    neo_extent count = neo_bd_is(x, in[k]) ? neo_bd_count(x, in[k]) : neo_extent_number(own);
    sum = neo_bd_add(x, sum, count);
    before += own;
    if (k + 1 == n || !neo_bd_is(x, in[k]))
      continue;
    neo_extent gap = neo_bd_sub(x, neo_extent_number(own), count);
    int behind = neo_xp_2(x, "greater_equal", j, neo_bd_scalar(x, sum));
    int shift = neo_xp_2(x, "mul", neo_xp_cast(x, behind, NEO_I64), neo_bd_scalar(x, gap));
    at = neo_xp_2(x, "add", at, shift);
  }
  *total = sum;
  total->hi = neo_min_i64(total->hi, room);
  return neo_xp_c(x, "min", at, (double)(room - 1));
}

neo_status neo_bounded_concat(neo_expander *x) {
  int n = x->node.n_inputs, kept = 0, first = -1;
  int *in = neo_arena_alloc(x->graph->arena, sizeof *in * (size_t)n);
  int *axes = neo_arena_alloc(x->graph->arena, sizeof *axes * (size_t)n);
  int64_t axis = neo_node_int(&x->node, "axis", 0);
  axis += axis < 0 ? neo_xp_rank(x, neo_xp_in(x, 0)) : 0;
  bool along = false, across = false;
  for (int k = 0; k < n; k++) {
    int v = neo_xp_in(x, k);
    if (!neo_bd_is(x, v) && neo_bd_elements(x, v) == 0)
      continue;
    in[kept] = v;
    if (neo_bd_is(x, v)) {
      along |= neo_bd_axis(x, v) == axis;
      across |= neo_bd_axis(x, v) != axis;
      first = neo_bd_axis(x, v);
    }
    kept++;
  }
  if (across) {
    for (int k = 0; k < kept; k++)
      axes[k] = first;
    if (along || !neo_bd_unify(x, kept, in, axes))
      return NEO_OK;
    bool same = true;
    for (int k = 0; k < kept; k++)
      same &= in[k] == neo_xp_in(x, k);
    if (!same || kept < n)
      x->out[0] = neo_xp_concat(x, (int)axis, kept, in);
    return x->status;
  }
  if (kept == 1) {
    x->out[0] = in[0];
    return x->status;
  }
  neo_extent total;
  int index = places(x, kept, in, (int)axis, &total);
  for (int k = 0; k < kept; k++)
    in[k] = neo_bd_raw(x, in[k]);
  int all = neo_xp_gather(x, neo_xp_concat(x, (int)axis, kept, in), index, axis);
  x->out[0] = neo_bd_cut(x, all, (int)axis, total);
  return x->status;
}

/* ---- indexing -------------------------------------------------------------------------------- */

/* Negative indices count from the real end. */
neo_status neo_bounded_gather(neo_expander *x) {
  int in = neo_xp_in(x, 0), index = neo_xp_in(x, 1);
  if (!is_along(x, in, 0))
    return NEO_OK;
  if (!neo_value_counts(x->graph, index)) {
    int count = neo_xp_cast(x, x->graph->value[in].count, neo_xp_dtype(x, index));
    index = neo_xp_3(x, "where", neo_xp_c(x, "less", index, 0), neo_xp_2(x, "add", index, count),
                     index);
  }
  neo_bd_again(x, "gather", 2, (int[]){neo_bd_raw(x, in), index});
  return x->status;
}

/* Updates behind the end go to no row. */
neo_status neo_bounded_scatter_rows(neo_expander *x) {
  int in[3] = {neo_xp_in(x, 0), neo_xp_in(x, 1), neo_xp_in(x, 2)};
  const int axis[2] = {0, 0};
  bool bounded = neo_bd_is(x, in[0]);
  if ((bounded && neo_bd_axis(x, in[0]) != 0) || !neo_bd_unify(x, 2, in + 1, axis) ||
      (neo_bd_is(x, in[2]) && !neo_bd_is(x, in[1])))
    return NEO_OK;
  neo_extent count = bounded ? neo_bd_count(x, in[0]) : neo_extent_number(0);
  in[0] = neo_bd_raw(x, in[0]);
  in[1] = neo_bd_fill(x, in[1], -1);
  in[2] = neo_bd_raw(x, in[2]);
  neo_bd_again(x, "scatter_rows", 3, in);
  if (bounded)
    x->out[0] = neo_bd_cut(x, x->out[0], 0, count);
  return x->status;
}

/* ---- operands of one extent ------------------------------------------------------------------ */

neo_status neo_bounded_elementwise(neo_expander *x) {
  int n = x->node.n_inputs, rank = 0, at = -1;
  int *in = neo_arena_alloc(x->graph->arena, sizeof *in * (size_t)n);
  int *axis = neo_arena_alloc(x->graph->arena, sizeof *axis * (size_t)n);
  for (int k = 0; k < n; k++)
    rank = neo_xp_rank(x, neo_xp_in(x, k)) > rank ? neo_xp_rank(x, neo_xp_in(x, k)) : rank;
  for (int k = 0; k < n && at < 0; k++)
    if (neo_bd_is(x, neo_xp_in(x, k)))
      at = neo_bd_axis(x, neo_xp_in(x, k)) + rank - neo_xp_rank(x, neo_xp_in(x, k));
  for (int k = 0; k < n; k++) {
    in[k] = neo_xp_in(x, k);
    axis[k] = neo_bd_is(x, in[k]) ? at - rank + neo_xp_rank(x, in[k]) : -1;
    if (neo_bd_is(x, in[k]) && axis[k] < 0)
      return NEO_OK;
  }
  if (!neo_bd_unify(x, n, in, axis))
    return NEO_OK;
  for (int k = 0; k < n; k++)
    if (in[k] != neo_xp_in(x, k)) {
      neo_bd_again(x, x->node.op->name, n, in);
      return x->status;
    }
  return x->status;
}

neo_status neo_bounded_roi_align(neo_expander *x) {
  int in[3] = {neo_xp_in(x, 0), neo_xp_in(x, 1), neo_xp_in(x, 2)};
  const int axis[2] = {0, 0};
  if (!neo_bd_unify(x, 2, in + 1, axis) || (in[1] == neo_xp_in(x, 1) && in[2] == neo_xp_in(x, 2)))
    return NEO_OK;
  neo_bd_again(x, "roi_align", 3, in);
  return x->status;
}
