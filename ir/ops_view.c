/* ir/ops_view.c: operators that only rename dimensions: reshape, flatten, squeeze, unsqueeze.
 * Partition makes no code for them; their te (a copy through the flat index) exists for when they
 * are fused. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

neo_status neo_infer_reshape(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_shape to = {0};
  int wild = -1;
  int64_t n, known = 1;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape;
  NEO_TRY(neo_op_ints(NEO_SITE, 1, "shape", to.dim, NEO_MAX_RANK, &to.rank));
  to.rank = to.rank < 0 ? 0 : to.rank;
  for (int d = 0; d < to.rank; d++) {
    if (to.dim[d] == 0 && !neo_node_int(node, "allowzero", 0) && d < in->rank)
      to.dim[d] = in->dim[d];
    if (to.dim[d] < -1 || (to.dim[d] == -1 && wild >= 0) || to.dim[d] > INT64_C(1) << 40)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "shape value %d is %" PRId64, d, to.dim[d]);
    if (to.dim[d] == -1)
      wild = d;
    else if (to.dim[d] && known > (INT64_C(1) << 60) / to.dim[d])
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the shape is too large");
    else
      known *= to.dim[d];
  }
  neo_shape_elements(in, &n);
  if (wild >= 0 && known > 0)
    to.dim[wild] = n / known;
  if (wild >= 0 ? known == 0 || n % known : n != known)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "%" PRId64 " elements do not fill the shape", n);
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &to);
  return NEO_OK;
}

neo_status neo_infer_flatten(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape;
  int64_t axis = neo_node_int(node, "axis", 1);
  if (axis < -in->rank || axis > in->rank)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "axis %" PRId64 " of a tensor of rank %d", axis,
                       in->rank);
  neo_shape to = {.rank = 2, .dim = {1, 1}};
  for (int d = 0; d < in->rank; d++)
    to.dim[d >= (axis < 0 ? axis + in->rank : axis)] *= in->dim[d];
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &to);
  return NEO_OK;
}

neo_status neo_infer_squeeze(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  bool flag[NEO_MAX_RANK], given;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape;
  NEO_TRY(neo_op_axes(NEO_SITE, 1, in->rank, flag, &given));
  neo_shape to = {0};
  for (int d = 0; d < in->rank; d++) {
    bool drop = given ? flag[d] : in->dim[d] == 1;
    if (drop && in->dim[d] != 1)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "dimension %d is %" PRId64 ", not 1", d,
                         in->dim[d]);
    if (!drop)
      to.dim[to.rank++] = in->dim[d];
  }
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &to);
  return NEO_OK;
}

neo_status neo_infer_unsqueeze(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int64_t axes[NEO_MAX_RANK];
  bool fresh[NEO_MAX_RANK] = {false};
  int n, axis, from = 0;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape;
  NEO_TRY(neo_op_ints(NEO_SITE, 1, "axes", axes, NEO_MAX_RANK, &n));
  neo_shape to = {.rank = in->rank + (n < 0 ? 0 : n)};
  if (n < 0 || to.rank > NEO_MAX_RANK)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "no axes, or a result of rank %d", to.rank);
  for (int k = 0; k < n; k++) {
    NEO_TRY(neo_op_axis(ctx, node, axes[k], to.rank, &axis));
    if (fresh[axis])
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "axis %d is named twice", axis);
    fresh[axis] = true;
  }
  for (int d = 0; d < to.rank; d++)
    to.dim[d] = fresh[d] ? 1 : in->dim[from++];
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &to);
  return NEO_OK;
}

/* OUT[i] = in[coordinates of the same flat index]. */
neo_status neo_lower_view(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                          int *in_value) {
  NEO_LOWERING(l);
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape,
                  *out = &graph->value[node->output[0]].shape;
  const neo_expr *index[NEO_MAX_RANK], *flat = neo_i_const(&l, 0);
  neo_range range[NEO_MAX_RANK];
  int x = neo_lower_input(&l, 0);
  for (int d = 0; d < out->rank; d++) {
    const neo_expr *var = out->dim[d] == 1 ? neo_i_const(&l, 0) : neo_i_var(&l, d);
    range[d] = (neo_range){0, out->dim[d] - 1};
    flat = neo_i_affine(&l, flat, out->dim[d], var, 0);
  }
  for (int d = in->rank - 1; d >= 0; d--) {
    index[d] = neo_expr_floormod(l.arena, flat, in->dim[d], range, out->rank);
    flat = neo_expr_floordiv(l.arena, flat, in->dim[d], range, out->rank);
  }
  neo_lower_output(&l, 0)->body = neo_lower_raw_load(&l, x, index);
  return NEO_OK;
}

neo_status neo_eval_view(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                         neo_tensor *const *in, neo_tensor *out) {
  (void)graph;
  if (in[0]->size != out[0].size)
    return neo_op_fail(ctx, node, NEO_INTERNAL, "a view of another size");
  memcpy(out[0].data, in[0]->data, out[0].size);
  return NEO_OK;
}
