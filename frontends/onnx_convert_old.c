/* frontends/onnx_convert_old.c: forms that operators had until opset 6: broadcasting by attributes,
 * shapes and element types as attributes. */
#include "frontends/onnx_import.h"

#include <string.h>

/* ---- broadcasting ------------------------------------------------------------------------------ */

/* b with dimensions of 1 behind it, so that its first one meets dimension `axis` of a. */
static neo_status align(onnx_import *im, onnx_node *node, int a, int64_t axis, int *b) {
  int rank_a = neo_emit_rank(&im->e, a), rank_b = neo_emit_rank(&im->e, *b);
  if (rank_a < 0 || rank_b < 0)
    return onnx_unsupported(im, node, "broadcasting along an axis of unknown shapes");
  axis += axis < 0 ? rank_a : 0;
  int64_t behind = rank_a - axis - rank_b, axes[NEO_MAX_RANK];
  if (axis < 0 || behind < 0)
    return onnx_bad(im, node, "axis %lld of rank %d does not fit an operand of rank %d",
                    (long long)axis, rank_a, rank_b);
  if (behind == 0)
    return NEO_OK;
  for (int k = 0; k < behind; k++)
    axes[k] = rank_b + k;
  int in[2] = {*b, onnx_make_ints(im, node, "axes", (int)behind, axes)};
  neo_node *made = onnx_emit(im, node, "unsqueeze", 2, in, 1);
  if (made)
    *b = made->output[0];
  return NEO_OK;
}

/* Two operands: equal shapes, or with broadcast=1 the second is part of the first, from `axis` on.
 * PRelu's slope is one per channel. */
neo_status onnx_binary_6(onnx_import *im, onnx_node *node) {
  int64_t broadcast = 0, axis = INT64_MAX;
  int in[2] = {onnx_input(node, 0), onnx_input(node, 1)};
  NEO_TRY(onnx_attr_int(im, node, "broadcast", &broadcast));
  NEO_TRY(onnx_attr_int(im, node, "axis", &axis));
  if (in[0] == NEO_NO_VALUE || in[1] == NEO_NO_VALUE)
    return onnx_bad(im, node, "two inputs expected");
  if (strcmp(node->row->op, "prelu") == 0) {
    const neo_shape *slope = neo_emit_shape(&im->e, in[1]);
    axis = slope && slope->rank == 1 && slope->dim[0] > 1 ? 1 : INT64_MAX;
  } else if (!broadcast) {
    axis = INT64_MAX;
  }
  if (axis != INT64_MAX)
    NEO_TRY(align(im, node, in[0], axis, &in[1]));
  onnx_emit_row(im, node, 2, in);
  return NEO_OK;
}

/* ---- attributes that are inputs now ------------------------------------------------------------ */

neo_status onnx_cast_1(onnx_import *im, onnx_node *node) {
  const char *to = "";
  char lower[24] = "";
  neo_dtype dtype;
  NEO_TRY(onnx_attr_string(im, node, "to", &to));
  for (size_t k = 0; to[k] && k + 1 < sizeof lower; k++)
    lower[k] = (char)(to[k] >= 'A' && to[k] <= 'Z' ? to[k] - 'A' + 'a' : to[k]);
  if (!neo_dtype_find(lower, &dtype))
    return onnx_unsupported(im, node, "to '%s'", to);
  neo_node *made = onnx_emit_row(im, node, node->n_inputs, node->input);
  if (made) {
    neo_node_set_string(im->e.graph, made, "to", neo_dtype_name(dtype));
    im->e.graph->value[made->output[0]].dtype = dtype;
  }
  return NEO_OK;
}

neo_status onnx_reshape_1(onnx_import *im, onnx_node *node) {
  const int64_t *shape;
  int n;
  NEO_TRY(onnx_attr_ints(im, node, "shape", &n, &shape));
  if (n < 0)
    return onnx_bad(im, node, "no attribute 'shape'");
  onnx_emit_row(im, node, 2,
                (int[]){onnx_input(node, 0), onnx_make_ints(im, node, "shape", n, shape)});
  return NEO_OK;
}

/* (x, tiles, axis), both constant scalars. */
neo_status onnx_tile_1(onnx_import *im, onnx_node *node) {
  const neo_tensor *tiles = onnx_const(im, onnx_input(node, 1)),
                   *axis = onnx_const(im, onnx_input(node, 2));
  int64_t repeats[NEO_MAX_RANK];
  int rank = onnx_input(node, 0) < 0 ? -1 : neo_emit_rank(&im->e, onnx_input(node, 0));
  if (!tiles || !axis || tiles->size == 0 || axis->size == 0 || rank < 0)
    return onnx_unsupported(im, node, "tiles and axis must be constants, the rank known");
  int64_t at = neo_tensor_get_i64(axis, 0);
  if (at < 0 || at >= rank)
    return onnx_bad(im, node, "axis %lld of rank %d", (long long)at, rank);
  for (int d = 0; d < rank; d++)
    repeats[d] = d == at ? neo_tensor_get_i64(tiles, 0) : 1;
  onnx_emit_row(im, node, 2,
                (int[]){onnx_input(node, 0), onnx_make_ints(im, node, "repeats", rank, repeats)});
  return NEO_OK;
}

/* The norm's order was a float. */
neo_status onnx_lp_1(onnx_import *im, onnx_node *node) {
  double p = 2;
  NEO_TRY(onnx_attr_float(im, node, "p", &p));
  if (p != (double)(int64_t)p)
    return onnx_unsupported(im, node, "p=%g", p);
  neo_node *made = onnx_emit_row(im, node, node->n_inputs, node->input);
  if (!made)
    return NEO_OK;
  neo_node_set_int(im->e.graph, made, "p", (int64_t)p);
  return onnx_copy_attrs(im, node, made);
}

neo_status onnx_upsample_1(onnx_import *im, onnx_node *node) {
  double scales[4] = {1, 1, 1, 1};
  NEO_TRY(onnx_attr_float(im, node, "height_scale", &scales[2]));
  NEO_TRY(onnx_attr_float(im, node, "width_scale", &scales[3]));
  int in[3] = {onnx_input(node, 0), NEO_NO_VALUE, onnx_make_floats(im, node, "scales", 4, scales)};
  neo_node *made = onnx_emit_row(im, node, 3, in);
  if (!made)
    return NEO_OK;
  NEO_TRY(onnx_copy_attrs(im, node, made));
  neo_node_set_string(im->e.graph, made, "coordinate_transformation_mode", "asymmetric");
  neo_node_set_string(im->e.graph, made, "nearest_mode", "floor");
  if (strcmp(neo_node_string(made, "mode", ""), "bilinear") == 0)
    neo_node_set_string(im->e.graph, made, "mode", "linear");
  return NEO_OK;
}
