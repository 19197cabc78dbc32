/* ir/ops_gather.c: operators that index by data: gather, gather_elements, one_hot.
 *
 * An index from data must provably stay in bounds (te invariant 2). Valid indices are -n .. n-1, so
 * the te uses floormod(index, n), which is the right one for those and harmless for others (the
 * wrong answer, not a wild read). */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

static neo_status check_indices(neo_ctx *ctx, const neo_node *node, const neo_value *indices) {
  char cls = neo_dtype_class(indices->dtype);
  if (cls != 'i' && cls != 'u')
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "indices are %s", neo_dtype_name(indices->dtype));
  return NEO_OK;
}

static const neo_expr *data_index(neo_lowering *l, const neo_expr *value, int64_t n) {
  return neo_expr_floormod(l->arena, neo_expr_cast(l->arena, NEO_I64, value), n, NULL, 0);
}

/* ---- gather -------------------------------------------------------------------------------------- */

neo_status neo_infer_gather(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int axis;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0), *indices = neo_op_in(graph, node, 1);
  NEO_TRY(check_indices(ctx, node, indices));
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 0), x->shape.rank, &axis));
  int rank = x->shape.rank - 1 + indices->shape.rank;
  if (rank > NEO_MAX_RANK)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "an output of rank %d", rank);
  neo_shape shape = {.rank = rank};
  for (int d = 0; d < rank; d++) {
    int in = d - axis;
    shape.dim[d] = d < axis                   ? x->shape.dim[d]
                   : in < indices->shape.rank ? indices->shape.dim[in]
                                              : x->shape.dim[d - indices->shape.rank + 1];
  }
  int64_t n;
  if (x->shape.dim[axis] == 0 && neo_shape_elements(&shape, &n) && n > 0)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "gathers from an empty axis");
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_gather(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                            int *in_value) {
  NEO_LOWERING(l);
  int axis;
  const neo_expr *index[NEO_MAX_RANK], *at[NEO_MAX_RANK];
  const neo_shape *shape = &neo_op_in(graph, node, 0)->shape;
  int more = neo_op_in(graph, node, 1)->shape.rank;
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 0), shape->rank, &axis));
  int x = neo_lower_input(&l, 0);
  for (int d = 0; d < more; d++)
    at[d] = neo_i_var(&l, axis + d);
  for (int d = 0; d < shape->rank; d++)
    index[d] = neo_i_var(&l, d < axis ? d : d + more - 1);
  index[axis] = data_index(&l, neo_lower_operand(&l, 1, more, at), shape->dim[axis]);
  neo_lower_output(&l, 0)->body = neo_lower_raw_load(&l, x, index);
  return NEO_OK;
}

/* ---- gather_elements ------------------------------------------------------------------------------- */

neo_status neo_infer_gather_elements(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int axis;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0), *indices = neo_op_in(graph, node, 1);
  NEO_TRY(check_indices(ctx, node, indices));
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 0), x->shape.rank, &axis));
  bool fits = indices->shape.rank == x->shape.rank && x->shape.dim[axis] > 0;
  for (int d = 0; fits && d < x->shape.rank; d++)
    fits = d == axis || indices->shape.dim[d] <= x->shape.dim[d];
  if (!fits)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the indices do not fit the input");
  neo_shape shape = indices->shape;
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_gather_elements(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                     neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  int axis;
  const neo_expr *index[NEO_MAX_RANK];
  const neo_shape *shape = &neo_op_in(graph, node, 0)->shape;
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 0), shape->rank, &axis));
  int x = neo_lower_input(&l, 0);
  for (int d = 0; d < shape->rank; d++)
    index[d] = neo_i_var(&l, d);
  index[axis] = data_index(&l, neo_lower_operand(&l, 1, shape->rank, index), shape->dim[axis]);
  neo_lower_output(&l, 0)->body = neo_lower_raw_load(&l, x, index);
  return NEO_OK;
}

/* ---- one_hot ------------------------------------------------------------------------------------- */

static neo_status read_one_hot(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               int *axis, int64_t *depth) {
  const neo_value *indices = neo_op_in(graph, node, 0), *values = neo_op_in(graph, node, 2);
  bool given;
  double d = 0;
  NEO_TRY(neo_op_scalar(ctx, graph, node, 1, &given, &d));
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", -1), indices->shape.rank + 1, axis));
  *depth = (int64_t)d;
  if (d < 1 || d > 1e12 || values->shape.rank != 1 || values->shape.dim[0] != 2 ||
      indices->shape.rank == NEO_MAX_RANK || indices->dtype == NEO_BOOL)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "depth %g, or values that are not a pair", d);
  return NEO_OK;
}

neo_status neo_infer_one_hot(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int axis;
  int64_t depth;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_one_hot(ctx, graph, node, &axis, &depth));
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape;
  neo_shape shape = {.rank = in->rank + 1};
  for (int d = 0; d < shape.rank; d++)
    shape.dim[d] = d < axis ? in->dim[d] : d == axis ? depth : in->dim[d - 1];
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 2)->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_one_hot(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                             int *in_value) {
  NEO_LOWERING(l);
  int axis;
  int64_t depth;
  const neo_expr *at[NEO_MAX_RANK], *zero = neo_i_const(&l, 0), *one = neo_i_const(&l, 1);
  NEO_TRY(read_one_hot(ctx, graph, node, &axis, &depth));
  int rank = neo_op_in(graph, node, 0)->shape.rank;
  for (int d = 0; d < rank; d++)
    at[d] = neo_i_var(&l, d < axis ? d : d + 1);
  const neo_expr *i = neo_expr_cast(l.arena, NEO_I64, neo_lower_operand(&l, 0, rank, at));
  int values = neo_lower_input(&l, 2);
  i = neo_x_select(&l, neo_x2(&l, NEO_EXPR_LT, i, zero), neo_xc(&l, NEO_EXPR_ADD, i, (double)depth),
                   i);
  const neo_expr *hit = neo_x2(&l, NEO_EXPR_EQ, i, neo_i_var(&l, axis));
  neo_lower_output(&l, 0)->body = neo_x_select(&l, hit, neo_lower_raw_load(&l, values, &one),
                                               neo_lower_raw_load(&l, values, &zero));
  return NEO_OK;
}
