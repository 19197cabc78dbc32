/* frontends/keras_ops_nn.c: functions of keras.ops that normalise, gather by segments and write
 * into tensors. Convolutions and pools stand beside the layers of that kind, in keras_layers_conv.c
 * and keras_layers_more.c. */
#include <string.h>

#include "frontends/keras_ops.h"

static int where(keras_call *c, int condition, int a, int b) {
  return keras_node(c, "where", 3, (int[]){condition, a, b}, 1)->output[0];
}

int keras_given(const keras_call *c, int k, const char *name) {
  int at = 0;
  for (int i = 0; i < c->n_inputs; i++)
    if (c->keyword[i] && strcmp(c->keyword[i], name) == 0)
      return i;
  for (int i = 0; i <= k; i++) {
    const json_t *v = json_array_get(c->args, (size_t)i);
    bool counts = json_is_number(v) || json_is_object(v) || json_is_array(v);
    if (i == k)
      return counts && at < c->n_inputs ? at : -1;
    at += counts;
  }
  return -1;
}

/* (x, mean, variance, offset?, scale?), the vectors along one axis */
void keras_op_batch_norm(keras_call *c, const char *op) {
  int rank = c->input[0].rank, axis = keras_axis(c, "axis", -1, rank);
  int64_t shape[NEO_MAX_RANK];
  (void)op;
  if (!keras_need(c, 3))
    return;
  if (axis < 0) {
    keras_unsupported(c, "several axes");
    return;
  }
  for (int d = 0; d < rank; d++)
    shape[d] = d == axis ? -1 : 1;
  int offset = keras_given(c, 3, "offset"), scale = keras_given(c, 4, "scale");
  int spread = neo_emit_unary(
      c->im->e, "sqrt",
      keras_binary(c, "add", c->input[2].value, keras_scalar(c, keras_number(c, "epsilon", 1e-3))));
  int factor = neo_emit_unary(c->im->e, "reciprocal", spread);
  if (scale >= 0)
    factor = keras_binary(c, "mul", factor, c->input[scale].value);
  int constant = neo_emit_unary(c->im->e, "neg", keras_binary(c, "mul", c->input[1].value, factor));
  if (offset >= 0)
    constant = keras_binary(c, "add", constant, c->input[offset].value);
  int y = keras_binary(c, "mul", c->input[0].value, keras_reshape(c, factor, rank, shape));
  keras_out(c, keras_binary(c, "add", y, keras_reshape(c, constant, rank, shape)), rank);
}

/* ---- segments ----------------------------------------------------------------------------------------- */

/* What a segment without elements has. */
static double start_of(const char *reduction, neo_dtype dtype) {
  if (strcmp(reduction, "add") == 0 || strcmp(reduction, "mul") == 0)
    return reduction[0] == 'm';
  double far = neo_dtype_class(dtype) == 'f' ? 3.4028234663852886e38
               : dtype == NEO_I64            ? 9223372036854775807.0
                                             : 2147483647.0;
  return strcmp(reduction, "max") == 0 ? -far : far;
}

/* How many segments there are if the call does not say it: TensorFlow takes the largest id, but for
 * unsorted sums the number of different ones. -1: ids are known at run time only. */
static int64_t count_segments(keras_call *c, const char *reduction, bool *gap) {
  const neo_tensor *ids = neo_emit_const(c->im->e, c->input[1].value);
  int64_t n = 0, most = 0, unlike = 0;
  *gap = false;
  if (!ids || !neo_shape_elements(&ids->shape, &n) || n > 4096)
    return -1;
  for (int64_t i = 0; i < n; i++) {
    bool known = false;
    for (int64_t k = 0; k < i && !known; k++)
      known = neo_tensor_get_i64(ids, k) == neo_tensor_get_i64(ids, i);
    unlike += !known;
    most = neo_max_i64(most, neo_tensor_get_i64(ids, i) + 1);
  }
  *gap = unlike != most;
  return strcmp(reduction, "add") == 0 && !keras_bool(c, "sorted", false) ? unlike : most;
}

/* (data [n, ..], ids [n]); op: the reduction. Elements of ids below zero belong to no segment: they
 * go to one behind the last, which is cut off. */
void keras_op_segment(keras_call *c, const char *op) {
  neo_emitter *e = c->im->e;
  if (!keras_need(c, 2))
    return;
  const neo_shape *data = neo_emit_shape(e, c->input[0].value);
  int rank = c->input[0].rank;
  neo_dtype dtype = c->input[0].dtype;
  if (!data || data->rank < 1 || c->input[1].rank != 1) {
    keras_unsupported(c, data ? "ids that are no vector"
                              : "the input's shape must be bound (--input)");
    return;
  }
  neo_shape out = *data;
  bool gap = false, sorted = keras_bool(c, "sorted", false);
  int64_t n = keras_int(c, "num_segments", -1);
  n = n < 0 ? count_segments(c, op, &gap) : n;
  if (n < 0 || (sorted && gap && strcmp(op, "add") != 0)) {
    keras_unsupported(c, "num_segments is not given, or sorted ids leave segments out");
    return;
  }
  out.dim[0] = n + 1;
  int last = neo_emit_scalar(e, NEO_I64, (double)n), ids = keras_operand(c, 1, NEO_I64);
  ids = where(c, keras_binary(c, "less", ids, neo_emit_scalar(e, NEO_I64, 0)), last, ids);
  ids = keras_binary(c, "unsqueeze", ids, neo_emit_int(e, -1));
  int base = keras_binary(c, "expand", neo_emit_scalar(e, dtype, start_of(op, dtype)),
                          neo_emit_ints(e, rank, out.dim));
  neo_node *node = keras_node(c, "scatter_nd", 3, (int[]){base, ids, c->input[0].value}, 1);
  neo_node_set_string(e->graph, node, "reduction", op);
  keras_out(c, keras_part(c, node->output[0], 0, 0, n, 1), rank);
}

/* ---- writing into tensors ------------------------------------------------------------------------------- */

/* (x, indices [.., k], updates) */
void keras_op_scatter_update(keras_call *c, const char *op) {
  const char *reduction = keras_text(c, "reduction", "none");
  (void)op;
  if (!keras_need(c, 3))
    return;
  int input[3] = {c->input[0].value, keras_operand(c, 1, NEO_I64),
                  keras_operand(c, 2, c->input[0].dtype)};
  neo_node *node = keras_node(c, "scatter_nd", 3, input, 1);
  neo_node_set_string(c->im->e->graph, node, "reduction", reduction);
  keras_out(c, node->output[0], c->input[0].rank);
}

/* (x, where to begin, what to write there) */
void keras_op_slice_update(keras_call *c, const char *op) {
  neo_emitter *e = c->im->e;
  int rank = c->input[0].rank;
  int64_t pads[2 * NEO_MAX_RANK];
  (void)op;
  if (!keras_need(c, 3))
    return;
  const neo_shape *all = neo_emit_shape(e, c->input[0].value),
                  *part = neo_emit_shape(e, c->input[2].value);
  const neo_tensor *starts = neo_emit_const(e, c->input[1].value);
  if (!all || !part || !starts || part->rank != rank || starts->shape.rank != 1 ||
      starts->shape.dim[0] != rank) {
    keras_unsupported(c, "places or shapes that are not known");
    return;
  }
  for (int d = 0; d < rank; d++) {
    pads[d] = neo_tensor_get_i64(starts, d);
    pads[rank + d] = all->dim[d] - part->dim[d] - pads[d];
    if (pads[d] < 0 || pads[rank + d] < 0) {
      keras_bad(c, "what it writes lies outside of dimension %d", d);
      return;
    }
  }
  int here =
      keras_binary(c, "expand", neo_emit_scalar(e, NEO_I32, 1), neo_emit_ints(e, rank, part->dim));
  int by = neo_emit_ints(e, 2 * rank, pads), update = keras_operand(c, 2, c->input[0].dtype);
  int on = keras_binary(c, "pad", here, by), y = keras_binary(c, "pad", update, by);
  keras_out(c, where(c, neo_emit_cast(e, on, NEO_BOOL), y, c->input[0].value), rank);
}

/* conditions, as many choices, what else; the first that holds decides */
void keras_op_select(keras_call *c, const char *op) {
  int n = c->n_inputs / 2, rank = keras_highest_rank(c);
  (void)op;
  if (!keras_need(c, 2))
    return;
  neo_dtype dtype = c->input[n].dtype == NEO_DTYPE_COUNT ? NEO_F32 : c->input[n].dtype;
  int y = c->n_inputs % 2 ? keras_operand(c, 2 * n, dtype) : neo_emit_scalar(c->im->e, dtype, 0);
  for (int i = n; i-- > 0;)
    y = where(c, keras_operand(c, i, NEO_BOOL), keras_operand(c, n + i, dtype), y);
  keras_out(c, y, rank);
}
