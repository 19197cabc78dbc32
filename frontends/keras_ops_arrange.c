/* frontends/keras_ops_arrange.c: functions of keras.ops that sort, pad, repeat and cut, and those
 * that are made of a few others.
 *
 * What a function needs to know of extents it takes from the shape of its input, which must then be
 * bound (--input). */
#include <string.h>
#include <strings.h>

#include "frontends/keras_ops.h"

/* NULL, and said, if it is not known. */
static const neo_shape *bound_shape(keras_call *c) {
  const neo_shape *shape = neo_emit_shape(c->im->e, c->input[0].value);
  if (!shape)
    keras_unsupported(c, "the input's shape must be bound (--input)");
  return shape;
}

static int unary(keras_call *c, const char *op, int x) {
  return neo_emit_unary(c->im->e, op, x);
}

static int concat(keras_call *c, int n, const int *parts, int axis) {
  neo_node *node = keras_node(c, "concat", n, parts, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  return node->output[0];
}

/* An axis that must be one number; -1 and said, if not. */
static int one_axis(keras_call *c, const char *key, int64_t otherwise) {
  int axis = json_is_null(json_object_get(c->config, key))
                 ? -1
                 : keras_axis(c, key, otherwise, c->input[0].rank);
  if (axis < 0)
    keras_unsupported(c, "'%s' is not one axis of its input", key);
  return axis;
}

/* ---- order ------------------------------------------------------------------------------------------------ */

static neo_node *top(keras_call *c, int x, int axis, int64_t k, bool largest) {
  neo_node *node = keras_node(c, "topk", 2, (int[]){x, neo_emit_ints(c->im->e, 1, &k)}, 2);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  neo_node_set_int(c->im->e->graph, node, "largest", largest);
  return node;
}

void keras_op_top_k(keras_call *c, const char *op) {
  int rank = c->input[0].rank;
  (void)op;
  neo_node *node = top(c, c->input[0].value, rank - 1, keras_int(c, "k", 1), true);
  keras_out(c, node->output[0], rank);
  keras_out(c, neo_emit_cast(c->im->e, node->output[1], NEO_I32), rank);
}

/* op: which result of topk */
void keras_op_sort(keras_call *c, const char *op) {
  int axis = one_axis(c, "axis", -1);
  const neo_shape *shape = axis < 0 ? NULL : bound_shape(c);
  if (!shape)
    return;
  neo_node *node = top(c, c->input[0].value, axis, shape->dim[axis], false);
  bool places = strcmp(op, "places") == 0;
  keras_out(c, places ? neo_emit_cast(c->im->e, node->output[1], NEO_I32) : node->output[0],
            c->input[0].rank);
}

void keras_op_take_along_axis(keras_call *c, const char *op) {
  (void)op;
  if (!keras_need(c, 2))
    return;
  int axis = one_axis(c, "axis", -1), rank = c->input[0].rank,
      places = keras_operand(c, 1, NEO_I64);
  const neo_shape *shape = axis < 0 ? NULL : bound_shape(c);
  const neo_shape *given = shape ? neo_emit_shape(c->im->e, c->input[1].value) : NULL;
  if (!shape)
    return;
  if (!given || given->rank != rank) {
    keras_unsupported(c, "places of another rank than its input, or of an unknown shape");
    return;
  }
  int64_t to[NEO_MAX_RANK];
  bool same = true;
  for (int d = 0; d < rank; d++) {
    to[d] = d == axis ? given->dim[d] : shape->dim[d];
    same = same && to[d] == given->dim[d];
  }
  if (!same) /* one row of places for all */
    places = keras_binary(c, "expand", places, neo_emit_ints(c->im->e, rank, to));
  neo_node *node = keras_node(c, "gather_elements", 2, (int[]){c->input[0].value, places}, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  keras_out(c, node->output[0], rank);
}

/* ---- places ----------------------------------------------------------------------------------------------- */

/* pads: before every axis, then behind every axis, as the operator takes them. */
static int padded(keras_call *c, const int64_t *pads, const char *mode, double value) {
  int rank = c->input[0].rank, fill = neo_emit_scalar(c->im->e, c->input[0].dtype, value);
  neo_node *node = keras_node(
      c, "pad", 3, (int[]){c->input[0].value, neo_emit_ints(c->im->e, 2 * rank, pads), fill}, 1);
  neo_node_set_string(c->im->e->graph, node, "mode", mode);
  return node->output[0];
}

void keras_op_pad(keras_call *c, const char *op) {
  int rank = c->input[0].rank;
  int64_t given[2 * NEO_MAX_RANK], pads[2 * NEO_MAX_RANK];
  const char *mode = keras_text(c, "mode", "constant");
  (void)op;
  if (!keras_ints(c, "pad_width", 2 * rank, given) ||
      (strcasecmp(mode, "constant") != 0 && strcasecmp(mode, "reflect") != 0)) {
    keras_unsupported(c, "its pad_width or mode '%.32s'", mode);
    return;
  }
  for (int d = 0; d < rank; d++) {
    pads[d] = given[2 * d];
    pads[rank + d] = given[2 * d + 1];
  }
  double value = json_number_value(json_object_get(c->kwargs, "constant_values"));
  bool reflect = mode[0] == 'r' || mode[0] == 'R';
  keras_out(
      c,
      padded(c, pads, reflect ? "reflect" : "constant", keras_number(c, "constant_values", value)),
      rank);
}

/* op: 1 pads, -1 crops, at the edges that the configuration names */
void keras_op_frame(keras_call *c, const char *op) {
  static const char *const side[4] = {"top", "left", "bottom", "right"};
  int rank = c->input[0].rank, sign = op[0] == '-' ? -1 : 1;
  int64_t pads[2 * NEO_MAX_RANK] = {0};
  int first = keras_channels_first(c) ? rank - 2 : rank - 3;
  if (rank < 3) {
    keras_bad(c, "an input of rank %d", rank);
    return;
  }
  for (int i = 0; i < 4; i++) {
    const char *key =
        neo_arena_printf(c->im->arena, "%s_%s", side[i], sign > 0 ? "padding" : "cropping");
    if (!json_is_integer(json_object_get(c->config, key))) {
      keras_unsupported(c, "no '%s'", key);
      return;
    }
    pads[(i < 2 ? 0 : rank) + first + i % 2] = sign * keras_int(c, key, 0);
  }
  keras_out(c, padded(c, pads, "constant", 0), rank);
}

void keras_op_moveaxis(keras_call *c, const char *op) {
  int rank = c->input[0].rank, n = 0;
  int from = one_axis(c, "source", 0), to = from < 0 ? -1 : one_axis(c, "destination", 0);
  int64_t perm[NEO_MAX_RANK];
  (void)op;
  if (to < 0)
    return;
  for (int d = 0; d < rank; d++, n++) {
    n += n == from;
    perm[d] = d == to ? from : n;
    n -= d == to;
  }
  keras_out(c, neo_emit_transpose(c->im->e, c->input[0].value, rank, perm), rank);
}

/* [.., n, ..] -> [.., n, 1, ..] -> [.., n, times, ..] -> [.., n * times, ..] */
void keras_op_repeat(keras_call *c, const char *op) {
  int rank = c->input[0].rank, axis = one_axis(c, "axis", -1);
  int64_t times = 1, to[NEO_MAX_RANK], repeats[NEO_MAX_RANK];
  (void)op;
  const neo_shape *shape = axis < 0 ? NULL : bound_shape(c);
  if (!shape)
    return;
  if (!keras_ints(c, "repeats", 1, &times) || rank == NEO_MAX_RANK) {
    keras_unsupported(c, "repeats that are not one number");
    return;
  }
  for (int d = 0; d <= rank; d++)
    repeats[d] = d == axis + 1 ? times : 1;
  for (int d = 0; d < rank; d++)
    to[d] = shape->dim[d] * (d == axis ? times : 1);
  int x = keras_binary(c, "unsqueeze", c->input[0].value, neo_emit_int(c->im->e, axis + 1));
  x = keras_binary(c, "tile", x, neo_emit_ints(c->im->e, rank + 1, repeats));
  keras_out(c, keras_reshape(c, x, rank, to), rank);
}

void keras_op_roll(keras_call *c, const char *op) {
  int axis = one_axis(c, "axis", -1);
  int64_t shift = 0;
  (void)op;
  const neo_shape *shape = axis < 0 ? NULL : bound_shape(c);
  if (!shape)
    return;
  if (!keras_ints(c, "shift", 1, &shift)) {
    keras_unsupported(c, "a shift that is not one number");
    return;
  }
  int64_t n = neo_max_i64(shape->dim[axis], 1), cut = ((-shift % n) + n) % n;
  int x = c->input[0].value,
      parts[2] = {keras_part(c, x, axis, cut, n, 1), keras_part(c, x, axis, 0, cut, 1)};
  keras_out(c, cut ? concat(c, 2, parts, axis) : x, c->input[0].rank);
}

/* op: the axis, 1 axis less for vectors */
void keras_op_join(keras_call *c, const char *op) {
  int all[KERAS_MAX_INPUTS], axis = op[0] - '0', rank = c->input[0].rank;
  neo_dtype dtype = keras_common_type(c, true);
  if (rank == 1 && axis == 1)
    axis = 0;
  if (axis >= rank) {
    keras_unsupported(c, "inputs of rank %d", rank);
    return;
  }
  for (int i = 0; i < c->n_inputs; i++)
    all[i] = keras_operand(c, i, dtype);
  keras_out(c, concat(c, c->n_inputs, all, axis), rank);
}

void keras_op_flip_sides(keras_call *c, const char *op) {
  keras_out(c, keras_part(c, c->input[0].value, op[0] - '0', -1, INT32_MIN, -1), c->input[0].rank);
}

void keras_op_broadcast_to(keras_call *c, const char *op) {
  const json_t *v = json_object_get(c->config, "shape");
  int n = (int)json_array_size(v);
  int64_t shape[NEO_MAX_RANK];
  (void)op;
  if (n > NEO_MAX_RANK || !keras_ints(c, "shape", n, shape))
    keras_unsupported(c, "a shape that is not fixed");
  else
    keras_out(c, keras_binary(c, "expand", c->input[0].value, neo_emit_ints(c->im->e, n, shape)),
              n);
}

void keras_op_triangle(keras_call *c, const char *op) {
  int k = neo_emit_int(c->im->e, keras_int(c, "k", 0));
  neo_node *node = keras_node(c, "trilu", 2, (int[]){c->input[0].value, k}, 1);
  neo_node_set_int(c->im->e->graph, node, "upper", op[0] == 'u');
  keras_out(c, node->output[0], c->input[0].rank);
}

void keras_op_unstack(keras_call *c, const char *op) {
  int axis = one_axis(c, "axis", 0), rank = c->input[0].rank;
  const neo_shape *shape = axis < 0 ? NULL : bound_shape(c);
  (void)op;
  if (!shape)
    return;
  int64_t n = shape->dim[axis];
  if (n > KERAS_MAX_INPUTS) {
    keras_unsupported(c, "more than %d parts", KERAS_MAX_INPUTS);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    int x = keras_part(c, c->input[0].value, axis, i, i + 1, 1);
    keras_out(c, keras_binary(c, "squeeze", x, neo_emit_int(c->im->e, axis)), rank - 1);
  }
}

/* args: the tensor, where to begin; shape: how many */
void keras_op_slice(keras_call *c, const char *op) {
  const json_t *starts = json_array_get(c->args, 1);
  int rank = c->input[0].rank, x = c->input[0].value;
  int64_t size[NEO_MAX_RANK];
  (void)op;
  if ((int)json_array_size(starts) != rank || !keras_ints(c, "shape", rank, size)) {
    keras_unsupported(c, "begin and shape are not %d numbers", rank);
    return;
  }
  for (int d = 0; d < rank; d++) {
    const json_t *v = json_array_get(starts, (size_t)d);
    if (!json_is_integer(v)) {
      keras_unsupported(c, "a begin that is no number");
      return;
    }
    int64_t from = json_integer_value(v);
    x = keras_part(c, x, d, from, size[d] < 0 ? INT32_MAX : from + size[d], 1);
  }
  keras_out(c, x, rank);
}

/* ---- images ----------------------------------------------------------------------------------------------- */

/* Keras' DepthToSpace splits the channels as [block, block, channels]. */
void keras_op_depth_space(keras_call *c, const char *op) {
  int rank = c->input[0].rank, x = keras_to_channels(c, c->input[0].value, rank);
  neo_node *node = keras_node(c, op, 1, &x, 1);
  neo_node_set_int(c->im->e->graph, node, "blocksize", keras_int(c, "block_size", 1));
  keras_out(c, keras_from_channels(c, node->output[0], rank), rank);
}

void keras_op_resize(keras_call *c, const char *op) {
  const char *mode = keras_text(c, "interpolation", "bilinear");
  int64_t size[2];
  const neo_shape *shape = bound_shape(c);
  (void)op;
  if (!shape)
    return;
  if (c->input[0].rank != 4 || !keras_resize_mode(mode) || !keras_ints(c, "size", 2, size) ||
      keras_bool(c, "antialias", false) || keras_bool(c, "crop_to_aspect_ratio", false) ||
      keras_bool(c, "pad_to_aspect_ratio", false)) {
    keras_unsupported(c, "interpolation, cropping, padding or antialiasing");
    return;
  }
  int64_t sizes[4] = {shape->dim[0], shape->dim[keras_channels_first(c) ? 1 : 3], size[0], size[1]};
  int x = keras_to_channels(c, neo_emit_cast(c->im->e, c->input[0].value, NEO_F32), 4);
  x = keras_resize(c, x, NEO_NO_VALUE, neo_emit_ints(c->im->e, 4, sizes), mode);
  x = keras_from_channels(c, x, 4);
  neo_dtype dtype = c->input[0].dtype; /* Keras 3 gives integers back, TensorFlow does not */
  if (keras_is_3(c) && neo_dtype_class(dtype) != 'f')
    x = neo_emit_cast(c->im->e, unary(c, "round", x), dtype);
  keras_out(c, x, 4);
}

/* ITU-R BT.601 */
void keras_op_grayscale(keras_call *c, const char *op) {
  int rank = c->input[0].rank, axis = keras_channels_first(c) ? rank - 3 : rank - 1;
  int64_t shape[NEO_MAX_RANK], axes[1] = {axis};
  (void)op;
  for (int d = 0; d < rank; d++)
    shape[d] = d == axis ? 3 : 1;
  int weights =
      keras_reshape(c, neo_emit_floats(c->im->e, 3, (double[]){0.2989, 0.587, 0.114}), rank, shape);
  int x = keras_binary(c, "mul", neo_emit_cast(c->im->e, c->input[0].value, NEO_F32), weights);
  keras_out(c, keras_reduce(c, "reduce_sum", x, 1, axes, true), rank);
}

/* ---- made of others --------------------------------------------------------------------------------------- */

void keras_op_composed_float(keras_call *c, const char *op) {
  const char *name = c->class_name;
  int x = c->input[0].value, y = x, zero = keras_scalar(c, 0);
  (void)op;
  if (strcmp(name, "Exp2") == 0)
    y = unary(c, "exp", keras_binary(c, "mul", x, keras_scalar(c, 0.69314718055994531)));
  else if (strcmp(name, "Deg2rad") == 0)
    y = keras_binary(c, "mul", x, keras_scalar(c, 0.017453292519943295));
  else if (strcmp(name, "Rad2deg") == 0)
    y = keras_binary(c, "mul", x, keras_scalar(c, 57.295779513082321));
  else if (strcmp(name, "Trunc") == 0)
    y = keras_binary(c, "mul", unary(c, "sign", x), unary(c, "floor", unary(c, "abs", x)));
  else if (strcmp(name, "Erfc") == 0)
    y = keras_binary(c, "sub", keras_scalar(c, 1), unary(c, "erf", x));
  else if (strcmp(name, "TanhShrink") == 0)
    y = keras_binary(c, "sub", x, unary(c, "tanh", x));
  else if (strcmp(name, "Squareplus") == 0) {
    int square = keras_binary(c, "add", keras_binary(c, "mul", x, x),
                              keras_scalar(c, keras_number(c, "b", 4)));
    y = keras_binary(c, "mul", keras_binary(c, "add", x, unary(c, "sqrt", square)),
                     keras_scalar(c, 0.5));
  } else if (strcmp(name, "SoftShrink") == 0) {
    int far = keras_binary(c, "sub", unary(c, "abs", x),
                           keras_scalar(c, keras_number(c, "threshold", 0.5)));
    y = keras_binary(c, "mul", unary(c, "sign", x), keras_binary(c, "max", far, zero));
  } else if (strcmp(name, "HardShrink") == 0) {
    int far = keras_binary(c, "greater", unary(c, "abs", x),
                           keras_scalar(c, keras_number(c, "threshold", 0.5)));
    y = keras_node(c, "where", 3, (int[]){far, x, zero}, 1)->output[0];
  } else if (strcmp(name, "Threshold") == 0) {
    int above = keras_binary(c, "greater", x, keras_scalar(c, keras_number(c, "threshold", 0)));
    y = keras_node(c, "where", 3,
                   (int[]){above, x, keras_scalar(c, keras_number(c, "default_value", 0))}, 1)
            ->output[0];
  }
  keras_out(c, y, c->input[0].rank);
}

void keras_op_composed_pair(keras_call *c, const char *op) {
  if (!keras_need(c, 2))
    return;
  int a = keras_operand(c, 0, NEO_F32), b = keras_operand(c, 1, NEO_F32), y = a;
  if (strcmp(op, "hypot") == 0) {
    y = unary(c, "sqrt",
              keras_binary(c, "add", keras_binary(c, "mul", a, a), keras_binary(c, "mul", b, b)));
  } else if (strcmp(op, "logaddexp") == 0) { /* max + log(1 + exp(-|a - b|)) */
    int near = unary(c, "exp", unary(c, "neg", unary(c, "abs", keras_binary(c, "sub", a, b))));
    y = keras_binary(c, "add", keras_binary(c, "max", a, b),
                     unary(c, "log", keras_binary(c, "add", near, keras_scalar(c, 1))));
  } else { /* division by zero makes zero */
    int none = keras_binary(c, "equal", b, keras_scalar(c, 0));
    int by = keras_node(c, "where", 3, (int[]){none, keras_scalar(c, 1), b}, 1)->output[0];
    y = keras_node(c, "where", 3, (int[]){none, keras_scalar(c, 0), keras_binary(c, "div", a, by)},
                   1)
            ->output[0];
  }
  keras_out(c, y, keras_highest_rank(c));
}

void keras_op_glu(keras_call *c, const char *op) {
  int rank = c->input[0].rank, axis = one_axis(c, "axis", -1);
  (void)op;
  if (axis < 0)
    return;
  neo_node *node = keras_node(c, "split", 1, &c->input[0].value, 2);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  keras_out(c, keras_binary(c, "mul", node->output[0], unary(c, "sigmoid", node->output[1])), rank);
}

void keras_op_full_like(keras_call *c, const char *op) {
  (void)op;
  if (keras_need(c, 2))
    keras_out(c,
              keras_binary(c, "expand", keras_as_asked(c, keras_operand(c, 1, c->input[0].dtype)),
                           unary(c, "shape", c->input[0].value)),
              c->input[0].rank);
}

void keras_op_cumprod(keras_call *c, const char *op) {
  int axis = one_axis(c, "axis", -1);
  (void)op;
  if (axis >= 0)
    keras_out(c, keras_binary(c, "cumprod", c->input[0].value, neo_emit_int(c->im->e, axis)),
              c->input[0].rank);
}

void keras_op_average(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = keras_axes(c, rank, axes);
  (void)op;
  if (n < 0)
    return;
  if (c->n_inputs > 1)
    keras_unsupported(c, "weights");
  else
    keras_out(c, keras_reduce(c, "reduce_mean", c->input[0].value, n, axes, false), rank - n);
}

void keras_op_count_nonzero(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = keras_axes(c, rank, axes);
  (void)op;
  if (n < 0)
    return;
  int on = neo_emit_cast(c->im->e, keras_operand(c, 0, NEO_BOOL), NEO_I32);
  keras_out(c, keras_reduce(c, "reduce_sum", on, n, axes, false), rank - n);
}

/* x / max(norm, epsilon) for order 2 by its square, as Keras does it */
void keras_op_normalize(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = keras_axes(c, rank, axes), x = c->input[0].value;
  double epsilon = keras_number(c, "epsilon", 1e-7);
  (void)op;
  if (n < 0)
    return;
  if (keras_int(c, "order", 2) != 2) {
    keras_unsupported(c, "an order other than 2");
    return;
  }
  int sum = keras_reduce(c, "reduce_sum", keras_binary(c, "mul", x, x), n, axes, true);
  int norm = unary(c, "sqrt", keras_binary(c, "max", sum, keras_scalar(c, epsilon * epsilon)));
  keras_out(c, keras_binary(c, "div", x, norm), rank);
}

void keras_op_norm(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = keras_axes(c, rank, axes);
  const json_t *order = json_object_get(c->config, "ord");
  bool keep = keras_bool(c, "keepdims", false),
       one = json_is_integer(order) && json_integer_value(order) == 1;
  (void)op;
  if (n < 0)
    return;
  const char *named = json_string_value(order);
  if (order && !json_is_null(order) && !(named && strcmp(named, "euclidean") == 0) &&
      (n > 1 || !(one || (json_is_integer(order) && json_integer_value(order) == 2)))) {
    keras_unsupported(c, "an order other than 1 and 2 of one axis");
    return;
  }
  keras_out(c, keras_reduce(c, one ? "reduce_l1" : "reduce_l2", c->input[0].value, n, axes, keep),
            keep ? rank : rank - n);
}

/* mean and variance */
void keras_op_moments(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = (int)json_array_size(json_object_get(c->config, "axes")),
      x = c->input[0].value;
  bool keep = keras_bool(c, "keepdims", false);
  (void)op;
  if (n < 1 || n > rank || !keras_ints(c, "axes", n, axes)) {
    keras_bad(c, "axes are not up to %d numbers", rank);
    return;
  }
  int centred = keras_binary(c, "sub", x, keras_reduce(c, "reduce_mean", x, n, axes, true));
  keras_out(c, keras_reduce(c, "reduce_mean", x, n, axes, keep), keep ? rank : rank - n);
  keras_out(c,
            keras_reduce(c, "reduce_mean", keras_binary(c, "mul", centred, centred), n, axes, keep),
            keep ? rank : rank - n);
}

/* op: layer_norm (x, gamma?, beta?) or rms_norm (x, scale?) over the last axis */
void keras_op_layer_norm(keras_call *c, const char *op) {
  int rank = c->input[0].rank, axis = one_axis(c, "axis", -1);
  bool rms = strcmp(op, "rms_norm") == 0;
  if (axis < 0)
    return;
  if (axis != rank - 1 || c->n_inputs < 2 || json_is_null(json_array_get(c->args, 1)) ||
      keras_bool(c, "rms_scaling", false)) {
    keras_unsupported(c, "an axis other than the last, no scale, or rms_scaling");
    return;
  }
  int input[3] = {c->input[0].value, c->input[1].value,
                  c->n_inputs > 2 ? c->input[2].value : NEO_NO_VALUE};
  neo_node *node = keras_node(c, op, rms || c->n_inputs < 3 ? 2 : 3, input, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  neo_node_set_float(c->im->e->graph, node, "epsilon", keras_number(c, "epsilon", 1e-7));
  keras_out(c, node->output[0], rank);
}

/* query, key, value [batch, steps, heads, size] */
void keras_op_dot_product_attention(keras_call *c, const char *op) {
  int head_first[3];
  (void)op;
  if (c->n_inputs != 3 || c->input[0].rank != 4 ||
      json_is_number(json_object_get(c->config, "attn_logits_soft_cap"))) {
    keras_unsupported(c, "a mask, a bias or a soft cap");
    return;
  }
  for (int i = 0; i < 3; i++)
    head_first[i] = neo_emit_transpose(c->im->e, c->input[i].value, 4, (int64_t[]){0, 2, 1, 3});
  neo_node *node = keras_node(c, "attention", 3, head_first, 1);
  neo_node_set_int(c->im->e->graph, node, "is_causal", keras_bool(c, "is_causal", false));
  const json_t *scale = json_object_get(c->kwargs, "scale");
  if (json_is_number(scale))
    neo_node_set_float(c->im->e->graph, node, "scale", json_number_value(scale));
  keras_out(c, neo_emit_transpose(c->im->e, node->output[0], 4, (int64_t[]){0, 2, 1, 3}), 4);
}

/* a [m], b [n] -> [m, n], whatever their shapes were */
void keras_op_outer(keras_call *c, const char *op) {
  (void)op;
  if (!keras_need(c, 2))
    return;
  int a = keras_reshape(c, c->input[0].value, 2, (int64_t[]){-1, 1}),
      b = keras_reshape(c, c->input[1].value, 2, (int64_t[]){1, -1});
  keras_out(c, keras_binary(c, "mul", a, b), 2);
}

/* axes: how many of a's last meet b's first */
void keras_op_tensordot(keras_call *c, const char *op) {
  const json_t *axes = json_object_get(c->config, "axes");
  (void)op;
  if (!keras_need(c, 2))
    return;
  if (!json_is_integer(axes) || json_integer_value(axes) != 1 || c->input[1].rank != 2)
    keras_unsupported(c, "axes other than 1 with a matrix");
  else
    keras_out(c, keras_binary(c, "matmul", c->input[0].value, c->input[1].value), c->input[0].rank);
}

/* any class that occurs along axis 1, the results' axis coming last */
void keras_op_multi_hot(keras_call *c, const char *op) {
  int rank = c->input[0].rank;
  (void)op;
  if (rank < 2 || keras_axis(c, "axis", -1, rank + 1) != rank) {
    keras_unsupported(c, "an input of rank %d, or an axis other than the last", rank);
    return;
  }
  int hot = keras_classes(c, rank);
  keras_out(c, keras_reduce(c, "reduce_max", hot, 1, (int64_t[]){1}, false), rank);
}
