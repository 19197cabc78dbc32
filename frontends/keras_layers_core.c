/* frontends/keras_layers_core.c: dense, elementwise, merging, shape and preprocessing layers. */
#include "frontends/keras.h"

#include <math.h>
#include <string.h>

static int scalar(keras_call *c, double v) {
  return neo_emit_scalar(c->im->e, NEO_F32, v);
}

static int binary(keras_call *c, const char *op, int a, int b) {
  return neo_emit_binary(c->im->e, op, a, b);
}

void keras_identity(keras_call *c) {
  for (int i = 0; i < c->n_inputs; i++)
    if (!c->keyword[i])
      keras_out(c, c->input[i].value, c->input[i].rank);
}

/* Steps whose values are all mask_value are off, and zero. */
void keras_masking(keras_call *c) {
  neo_emitter *e = c->im->e;
  keras_tensor x = c->input[0];
  int other = binary(c, "not_equal", x.value, scalar(c, keras_number(c, "mask_value", 0)));
  int on = neo_emit_cast(e, other, NEO_F32);
  neo_node *any = keras_node(c, "reduce_max", 1, &on, 1);
  neo_node_set_ints(e->graph, any, "axes", 1, (int64_t[]){-1});
  neo_node_set_int(e->graph, any, "keepdims", 1);
  on = any->output[0];
  keras_out(c, binary(c, "mul", x.value, on), x.rank);
  int axes = neo_emit_ints(e, 1, (int64_t[]){-1});
  c->output[0].masked = true;
  c->output[0].mask = neo_emit_cast(e, binary(c, "squeeze", on, axes), NEO_BOOL);
}

void keras_lambda(keras_call *c) {
  keras_unsupported(c,
                    "a Lambda layer holds Python code, which is not run; replace it by layers of "
                    "Keras");
}

/* ---- weights ------------------------------------------------------------------------------------------ */

void keras_dense(keras_call *c) {
  keras_tensor x = c->input[0];
  int w = keras_constant(c, 0, 2), y;
  bool bias = keras_bool(c, "use_bias", true);
  if (x.rank == 2 && bias) {
    y = keras_node(c, "gemm", 3, (int[]){x.value, w, keras_constant(c, 1, 1)}, 1)->output[0];
  } else {
    y = binary(c, "matmul", x.value, w);
    y = bias ? binary(c, "add", y, keras_constant(c, 1, 1)) : y;
  }
  keras_out(c, keras_activate(c, "activation", y, x.rank), x.rank);
}

void keras_einsum_dense(keras_call *c) {
  const char *equation = keras_text(c, "equation", "");
  const char *comma = strchr(equation, ','), *arrow = strstr(equation, "->");
  if (!comma || !arrow || arrow < comma || strstr(equation, "...")) {
    keras_unsupported(c, "equation '%.64s'", equation);
    return;
  }
  int rank = (int)strlen(arrow + 2), w = keras_constant(c, 0, (int)(arrow - comma - 1));
  neo_node *node = keras_node(c, "einsum", 2, (int[]){c->input[0].value, w}, 1);
  neo_node_set_string(c->im->e->graph, node, "equation", equation);
  int y = node->output[0];
  const char *axes = keras_text(c, "bias_axes", NULL);
  if (axes && c->weights.n > 1) {
    /* the bias has the named axes, in the output's order; the others before the first are left out
     */
    const char *first = strchr(arrow + 2, axes[0]);
    int n = (int)strlen(axes), wanted = first ? (int)strlen(first) : 0;
    const neo_tensor *t = keras_weight(c, 1, n);
    neo_shape shape = {.rank = wanted};
    for (int d = 0, k = 0; d < wanted && d < NEO_MAX_RANK; d++)
      shape.dim[d] = k < n && first[d] == axes[k] ? t->shape.dim[k++] : 1;
    int perm[NEO_MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    y = binary(c, "add", y, keras_permuted(c, 1, n, perm, &shape));
  }
  keras_out(c, keras_activate(c, "activation", y, rank), rank);
}

void keras_embedding(keras_call *c) {
  keras_tensor x = c->input[0];
  int ids = neo_emit_cast(c->im->e, x.value, NEO_I32);
  int table = keras_constant(c, 0, 2);
  neo_node *node = keras_node(c, "gather", 2, (int[]){table, ids}, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", 0);
  keras_out(c, node->output[0], x.rank + 1);
  c->output[0].masked = keras_bool(c, "mask_zero", false);
  if (c->output[0].masked)
    c->output[0].mask = binary(c, "not_equal", ids, neo_emit_scalar(c->im->e, NEO_I32, 0));
}

/* keras.applications' ConvNeXt has this one. */
void keras_layer_scale(keras_call *c) {
  keras_out(c, binary(c, "mul", c->input[0].value, keras_constant(c, 0, 1)), c->input[0].rank);
}

/* ---- activations ---------------------------------------------------------------------------------------- */

void keras_activation_layer(keras_call *c) {
  keras_out(c, keras_activate(c, "activation", c->input[0].value, c->input[0].rank),
            c->input[0].rank);
}

static void one_attribute(keras_call *c, const char *op, const char *attr, double v) {
  neo_node *node = keras_node(c, op, 1, &c->input[0].value, 1);
  neo_node_set_float(c->im->e->graph, node, attr, v);
  keras_out(c, node->output[0], c->input[0].rank);
}

void keras_relu(keras_call *c) {
  double top = keras_number(c, "max_value", INFINITY);
  double slope = keras_number(c, "negative_slope", 0), threshold = keras_number(c, "threshold", 0);
  int x = c->input[0].value, y = x;
  if (threshold == 0 && slope == 0 && top == INFINITY) {
    keras_out(c, neo_emit_unary(c->im->e, "relu", x), c->input[0].rank);
    return;
  }
  if (threshold != 0) { /* x >= threshold ? min(x, top) : slope (x - threshold) */
    int above = binary(c, "greater_equal", x, scalar(c, threshold));
    int below = binary(c, "mul", binary(c, "sub", x, scalar(c, threshold)), scalar(c, slope));
    y = keras_node(c, "where", 3, (int[]){above, x, below}, 1)->output[0];
  } else if (slope != 0) {
    neo_node *node = keras_node(c, "leaky_relu", 1, &x, 1);
    neo_node_set_float(c->im->e->graph, node, "alpha", slope);
    y = node->output[0];
  }
  if (threshold != 0 || slope != 0) {
    y = top < INFINITY ? binary(c, "min", y, scalar(c, top)) : y;
  } else {
    neo_node *node = keras_node(c, "clip", 1, &x, 1);
    neo_node_set_float(c->im->e->graph, node, "min", 0);
    neo_node_set_float(c->im->e->graph, node, "max", top);
    y = node->output[0];
  }
  keras_out(c, y, c->input[0].rank);
}

void keras_leaky_relu(keras_call *c) {
  one_attribute(c, "leaky_relu", "alpha",
                keras_number(c, "negative_slope", keras_number(c, "alpha", 0.3)));
}

void keras_elu(keras_call *c) {
  one_attribute(c, "elu", "alpha", keras_number(c, "alpha", 1));
}

void keras_thresholded_relu(keras_call *c) {
  one_attribute(c, "thresholded_relu", "alpha", keras_number(c, "theta", 1));
}

void keras_prelu(keras_call *c) {
  keras_tensor x = c->input[0];
  keras_out(c, binary(c, "prelu", x.value, keras_constant(c, 0, x.rank - 1)), x.rank);
}

static int over_axes(keras_call *c, const char *op, int x, int n, const int64_t *axes) {
  neo_node *node = keras_node(c, op, 1, &x, 1);
  neo_node_set_ints(c->im->e->graph, node, "axes", n, axes);
  neo_node_set_int(c->im->e->graph, node, "keepdims", 1);
  return node->output[0];
}

/* Over one axis or several; where a mask is off, the result is zero. */
void keras_softmax(keras_call *c) {
  keras_tensor x = c->input[0];
  const json_t *list = json_object_get(c->config, "axis");
  int axis = keras_axis(c, "axis", -1, x.rank),
      mask = c->n_inputs > 1 ? keras_mask(c) : NEO_NO_VALUE;
  int n = axis < 0 && json_is_array(list) ? (int)json_array_size(list) : 0, y = x.value;
  int64_t axes[NEO_MAX_RANK];
  if ((axis < 0 && (n < 1 || n > x.rank || !keras_ints(c, "axis", n, axes))) ||
      (c->n_inputs > 1 && mask == NEO_NO_VALUE)) {
    keras_unsupported(c, "its axes, or a second input that is no mask");
    return;
  }
  if (mask != NEO_NO_VALUE)
    y = keras_node(c, "where", 3, (int[]){mask, y, scalar(c, -1e9)}, 1)->output[0];
  if (axis >= 0) {
    neo_node *node = keras_node(c, "softmax", 1, &y, 1);
    neo_node_set_int(c->im->e->graph, node, "axis", axis);
    y = node->output[0];
  } else {
    y = neo_emit_unary(c->im->e, "exp",
                       binary(c, "sub", y, over_axes(c, "reduce_max", y, n, axes)));
    y = binary(c, "div", y, over_axes(c, "reduce_sum", y, n, axes));
  }
  if (mask != NEO_NO_VALUE && keras_is_3(c))
    y = keras_node(c, "where", 3, (int[]){mask, y, scalar(c, 0)}, 1)->output[0];
  keras_out(c, y, x.rank);
}

/* ---- merging ---------------------------------------------------------------------------------------------- */

static bool same_ranks(const keras_call *c) {
  for (int i = 1; i < c->n_inputs; i++)
    if (c->input[i].rank != c->input[0].rank && c->input[i].rank > 0 && c->input[0].rank > 0)
      return false;
  return true;
}

void keras_merge(keras_call *c) {
  const keras_row *row = keras_row_find(c->class_name);
  int y = c->input[0].value, rank = c->input[0].rank;
  if (!same_ranks(c)) {
    keras_unsupported(c, "inputs of different rank");
    return;
  }
  if (strcmp(row->op, "mean") == 0) {
    int all[KERAS_MAX_INPUTS];
    for (int i = 0; i < c->n_inputs; i++)
      all[i] = c->input[i].value;
    keras_out(c, keras_node(c, "mean", c->n_inputs, all, 1)->output[0], rank);
    return;
  }
  for (int i = 1; i < c->n_inputs; i++) {
    y = binary(c, row->op, y, c->input[i].value);
    rank = c->input[i].rank > rank ? c->input[i].rank : rank;
  }
  keras_out(c, y, rank);
}

void keras_concatenate(keras_call *c) {
  int all[KERAS_MAX_INPUTS], axis = keras_axis(c, "axis", -1, c->input[0].rank);
  if (axis < 0 || !same_ranks(c)) {
    keras_bad(c, "axis outside of the inputs' dimensions, or different ranks");
    keras_out(c, c->input[0].value, c->input[0].rank);
    return;
  }
  for (int i = 0; i < c->n_inputs; i++)
    all[i] = c->input[i].value;
  neo_node *node = keras_node(c, "concat", c->n_inputs, all, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  keras_out(c, node->output[0], c->input[0].rank);
}

static int normalised(keras_call *c, int x, int axis) {
  neo_node *node = keras_node(c, "lp_normalization", 1, &x, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  neo_node_set_int(c->im->e->graph, node, "p", 2);
  return node->output[0];
}

/* Batch dot of two matrices over one axis each; vectors are matrices of one column. */
void keras_dot(keras_call *c) {
  int64_t axes[2];
  if (c->n_inputs != 2 || !keras_ints(c, "axes", 2, axes) || c->input[0].rank > 3 ||
      c->input[1].rank != c->input[0].rank || c->input[0].rank < 2) {
    keras_unsupported(c, "other than two inputs of equal rank 2 or 3");
    return;
  }
  int rank = c->input[0].rank, x[2];
  for (int i = 0; i < 2; i++) {
    axes[i] += axes[i] < 0 ? rank : 0;
    x[i] = c->input[i].value;
    if (axes[i] < 1 || axes[i] >= rank) {
      keras_unsupported(c, "axes outside of 1 to %d", rank - 1);
      return;
    }
    if (keras_bool(c, "normalize", false))
      x[i] = normalised(c, x[i], (int)axes[i]);
  }
  if (rank == 2) {
    int product = binary(c, "mul", x[0], x[1]);
    neo_node *sum = keras_node(c, "reduce_sum", 1, &product, 1);
    neo_node_set_ints(c->im->e->graph, sum, "axes", 1, (int64_t[]){1});
    neo_node_set_int(c->im->e->graph, sum, "keepdims", 1);
    keras_out(c, sum->output[0], 2);
    return;
  }
  static const int64_t swap[3] = {0, 2, 1};
  x[0] = axes[0] == 1 ? neo_emit_transpose(c->im->e, x[0], 3, swap) : x[0];
  x[1] = axes[1] == 2 ? neo_emit_transpose(c->im->e, x[1], 3, swap) : x[1];
  keras_out(c, binary(c, "matmul", x[0], x[1]), 3);
}

/* ---- shapes --------------------------------------------------------------------------------------------------- */

void keras_flatten(keras_call *c) {
  keras_tensor x = c->input[0];
  int value = x.value;
  if (keras_channels_first(c) && x.rank > 2) { /* Keras flattens channels last even then */
    int64_t perm[NEO_MAX_RANK] = {0};
    for (int d = 1; d < x.rank - 1; d++)
      perm[d] = d + 1;
    perm[x.rank - 1] = 1;
    value = neo_emit_transpose(c->im->e, value, x.rank, perm);
  }
  if (x.rank == 1) {
    keras_out(c, keras_reshape(c, value, 2, (int64_t[]){0, 1}), 2);
    return;
  }
  neo_node *node = keras_node(c, "flatten", 1, &value, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", 1);
  keras_out(c, node->output[0], 2);
}

void keras_reshape_layer(keras_call *c) {
  const json_t *target = json_object_get(c->config, "target_shape");
  int n = (int)json_array_size(target);
  int64_t shape[NEO_MAX_RANK + 1] = {0};
  if (!json_is_array(target) || n >= NEO_MAX_RANK) {
    keras_bad(c, "target_shape is not a list of at most %d numbers", NEO_MAX_RANK - 1);
    n = 0;
  }
  for (int i = 0; i < n; i++)
    shape[i + 1] = json_integer_value(json_array_get(target, (size_t)i));
  keras_out(c, keras_reshape(c, c->input[0].value, n + 1, shape), n + 1);
}

void keras_permute(keras_call *c) {
  int rank = c->input[0].rank, seen = 0;
  int64_t dims[NEO_MAX_RANK] = {0};
  if (rank < 2 || !keras_ints(c, "dims", rank - 1, dims + 1))
    keras_bad(c, "dims are not %d numbers", rank - 1);
  for (int d = 1; d < rank; d++)
    seen |= dims[d] >= 1 && dims[d] < rank ? 1 << dims[d] : 0;
  if (seen != (1 << rank) - 2) {
    keras_bad(c, "dims are not a permutation of 1 to %d", rank - 1);
    keras_out(c, c->input[0].value, rank);
    return;
  }
  keras_out(c, neo_emit_transpose(c->im->e, c->input[0].value, rank, dims), rank);
}

void keras_repeat_vector(keras_call *c) {
  int64_t n = keras_int(c, "n", 1);
  int axes = neo_emit_ints(c->im->e, 1, (int64_t[]){1});
  int repeats = neo_emit_ints(c->im->e, 3, (int64_t[]){1, n, 1});
  int x = binary(c, "unsqueeze", c->input[0].value, axes);
  keras_out(c, binary(c, "tile", x, repeats), 3);
}

/* padding or cropping: n, [n, ...] or [[before, after], ...] per spatial dimension */
void keras_zero_padding(keras_call *c) {
  const char *dims = keras_row_find(c->class_name)->op;
  int n = dims[strlen(dims) - 1] - '0', rank = n + 2, first = keras_channels_first(c) ? 2 : 1;
  int64_t sign = dims[0] == '-' ? -1 : 1, v[6], pads[2 * NEO_MAX_RANK] = {0};
  const char *key = sign < 0 ? "cropping" : "padding";
  const json_t *given = json_object_get(c->config, key);
  bool pairs = json_is_array(given) &&
               (json_is_array(json_array_get(given, 0)) || (n == 1 && json_array_size(given) == 2));
  if (c->input[0].rank != rank || !keras_ints(c, key, pairs ? 2 * n : n, v)) {
    keras_bad(c, "%s is not what %d dimensions need", key, n);
    keras_out(c, c->input[0].value, c->input[0].rank);
    return;
  }
  for (int d = 0; d < n; d++) {
    pads[first + d] = sign * v[pairs ? 2 * d : d];
    pads[rank + first + d] = sign * v[pairs ? 2 * d + 1 : d];
  }
  neo_node *node = keras_node(c, "pad", 1, &c->input[0].value, 1);
  neo_node_set_ints(c->im->e->graph, node, "pads", 2 * rank, pads);
  neo_node_set_string(c->im->e->graph, node, "mode", "constant");
  keras_out(c, node->output[0], rank);
}

/* ---- resizing ------------------------------------------------------------------------------------------------- */

int keras_resize(keras_call *c, int x, int scales, int sizes, const char *mode) {
  neo_node *node = keras_node(c, "resize", 4, (int[]){x, NEO_NO_VALUE, scales, sizes}, 1);
  neo_graph *graph = c->im->e->graph;
  bool nearest = strcmp(mode, "nearest") == 0, cubic = strcmp(mode, "bicubic") == 0;
  neo_node_set_string(graph, node, "mode", nearest ? "nearest" : cubic ? "cubic" : "linear");
  bool half = !nearest || sizes != NEO_NO_VALUE;
  neo_node_set_string(graph, node, "coordinate_transformation_mode",
                      nearest && half ? "tf_half_pixel_for_nn"
                      : half          ? "half_pixel"
                                      : "asymmetric");
  if (nearest)
    neo_node_set_string(graph, node, "nearest_mode", "floor");
  if (cubic) {
    neo_node_set_float(graph, node, "cubic_coeff_a", -0.5);
    neo_node_set_int(graph, node, "exclude_outside", 1);
    neo_node_set_int(graph, node, "fraction_steps", 1024);
  }
  return node->output[0];
}

bool keras_resize_mode(const char *mode) {
  return strcmp(mode, "nearest") == 0 || strcmp(mode, "bilinear") == 0 ||
         strcmp(mode, "bicubic") == 0;
}

void keras_up_sampling(keras_call *c) {
  keras_tensor x = c->input[0];
  int64_t size[3];
  double scales[NEO_MAX_RANK] = {1, 1};
  const char *mode = keras_text(c, "interpolation", "nearest");
  if (x.rank < 3 || x.rank > 5 || !keras_ints(c, "size", x.rank - 2, size) ||
      !keras_resize_mode(mode)) {
    keras_unsupported(c, "size or interpolation '%.32s'", mode);
    return;
  }
  for (int d = 2; d < x.rank; d++)
    scales[d] = (double)size[d - 2];
  int at = neo_emit_floats(c->im->e, x.rank, scales);
  int y = keras_resize(c, keras_to_channels(c, x.value, x.rank), at, NEO_NO_VALUE, mode);
  keras_out(c, keras_from_channels(c, y, x.rank), x.rank);
}

/* The largest part of [n, c, h, w] in the middle that has the shape of these sizes. */
static int middle_part(keras_call *c, int x, const neo_shape *shape, const int64_t *size) {
  neo_emitter *e = c->im->e;
  int64_t height = shape->dim[2], width = shape->dim[3], start[2], end[2];
  int64_t part[2] = {(int64_t)((double)width * (double)size[0] / (double)size[1]),
                     (int64_t)((double)height * (double)size[1] / (double)size[0])};
  for (int d = 0; d < 2; d++) {
    int64_t all = d ? width : height;
    part[d] = neo_max_i64(neo_min_i64(part[d], all), 1);
    start[d] = (all - part[d]) / 2;
    end[d] = start[d] + part[d];
  }
  int input[4] = {x, neo_emit_ints(e, 2, start), neo_emit_ints(e, 2, end),
                  neo_emit_ints(e, 2, (int64_t[]){2, 3})};
  return keras_node(c, "slice", 4, input, 1)->output[0];
}

/* A picture in the layer's height and width; with `crop` not stretched. */
static int resized(keras_call *c, bool crop, const char *mode) {
  neo_emitter *e = c->im->e;
  int64_t size[2] = {keras_int(c, "height", 1), keras_int(c, "width", 1)};
  int x = keras_to_channels(c, neo_emit_cast(e, c->input[0].value, NEO_F32), 4);
  const neo_shape *shape = neo_emit_shape(e, x);
  if (!shape || size[0] < 1 || size[1] < 1)
    return x;
  int64_t sizes[4] = {shape->dim[0], shape->dim[1], size[0], size[1]};
  if (crop)
    x = middle_part(c, x, shape, size);
  x = keras_resize(c, x, NEO_NO_VALUE, neo_emit_ints(e, 4, sizes), mode);
  return keras_from_channels(c, x, 4);
}

void keras_resizing(keras_call *c) {
  keras_tensor x = c->input[0];
  const char *mode = keras_text(c, "interpolation", "bilinear");
  const neo_shape *shape = neo_emit_shape(c->im->e, x.value);
  if (x.rank != 4 || !shape || !keras_resize_mode(mode) ||
      keras_bool(c, "pad_to_aspect_ratio", false) || keras_bool(c, "antialias", false)) {
    keras_unsupported(c, shape ? "interpolation, padding or antialiasing"
                               : "the input's shape must be bound (--input)");
    return;
  }
  keras_out(c, resized(c, keras_bool(c, "crop_to_aspect_ratio", false), mode), 4);
}

/* ---- preprocessing -------------------------------------------------------------------------------------------- */

/* A number or a flat list of them in the configuration, as a constant; NEO_NO_VALUE if absent. */
static int config_floats(keras_call *c, const char *key) {
  const json_t *v = json_object_get(c->config, key);
  double values[1024];
  int n = 0;
  if (json_is_number(v))
    return scalar(c, json_number_value(v));
  while (json_is_array(v) && json_array_size(v) == 1 && json_is_array(json_array_get(v, 0)))
    v = json_array_get(v, 0);
  if (!json_is_array(v) || json_array_size(v) > NEO_COUNT(values))
    return NEO_NO_VALUE;
  for (; n < (int)json_array_size(v); n++) {
    if (!json_is_number(json_array_get(v, (size_t)n)))
      return NEO_NO_VALUE;
    values[n] = json_number_value(json_array_get(v, (size_t)n));
  }
  return neo_emit_floats(c->im->e, n, values);
}

void keras_rescaling(keras_call *c) {
  int x = neo_emit_cast(c->im->e, c->input[0].value, NEO_F32);
  int scale = config_floats(c, "scale"), offset = config_floats(c, "offset");
  x = scale == NEO_NO_VALUE ? x : binary(c, "mul", x, scale);
  x = offset == NEO_NO_VALUE ? x : binary(c, "add", x, offset);
  keras_out(c, x, c->input[0].rank);
}

/* (x - mean) / max(sqrt(variance), 1e-7), of the last axis or of all; adapted or given. */
void keras_normalization(keras_call *c) {
  int rank = c->input[0].rank;
  bool all = json_is_null(json_object_get(c->config, "axis"));
  int axis = all ? -1 : keras_axis(c, "axis", -1, rank);
  int mean = config_floats(c, "mean"), variance = config_floats(c, "variance");
  if (!all && axis != rank - 1) {
    keras_unsupported(c, "an axis that is not the last one");
    return;
  }
  if (mean == NEO_NO_VALUE || variance == NEO_NO_VALUE) {
    mean = keras_constant(c, 0, all ? 0 : 1);
    variance = keras_constant(c, 1, all ? 0 : 1);
  }
  int x = neo_emit_cast(c->im->e, c->input[0].value, NEO_F32);
  int deviation = binary(c, "max", neo_emit_unary(c->im->e, "sqrt", variance), scalar(c, 1e-7));
  int centred = binary(c, "sub", x, mean);
  bool invert = keras_bool(c, "invert", false);
  keras_out(c,
            invert ? binary(c, "add", mean, binary(c, "mul", x, deviation))
                   : binary(c, "div", centred, deviation),
            rank);
}

/* The middle of the picture; a smaller one is enlarged first, which needs the resizing it lacks. */
void keras_center_crop(keras_call *c) {
  keras_tensor x = c->input[0];
  const neo_shape *shape = neo_emit_shape(c->im->e, x.value);
  int first = keras_channels_first(c) ? 2 : 1;
  int64_t want[2] = {keras_int(c, "height", 1), keras_int(c, "width", 1)}, start[2], end[2];
  if (x.rank != 4 || !shape) {
    keras_unsupported(c, shape ? "rank %d" : "the input's shape must be bound (--input)", x.rank);
    return;
  }
  if (shape->dim[first] < want[0] || shape->dim[first + 1] < want[1]) {
    keras_out(c, resized(c, true, "bilinear"), 4);
    return;
  }
  for (int d = 0; d < 2; d++) {
    start[d] = (shape->dim[first + d] - want[d]) / 2;
    end[d] = start[d] + want[d];
  }
  neo_emitter *e = c->im->e;
  int input[4] = {x.value, neo_emit_ints(e, 2, start), neo_emit_ints(e, 2, end),
                  neo_emit_ints(e, 2, (int64_t[]){first, first + 1})};
  keras_out(c, keras_node(c, "slice", 4, input, 1)->output[0], 4);
}

/* one_hot, multi_hot (at least once) or count of integers over the last axis. */
void keras_category_encoding(keras_call *c) {
  keras_tensor x = c->input[0];
  neo_emitter *e = c->im->e;
  const char *mode = keras_text(c, "output_mode", "multi_hot");
  int64_t tokens = keras_int(c, "num_tokens", 0);
  bool one = strcmp(mode, "one_hot") == 0, count = strcmp(mode, "count") == 0;
  if (tokens < 1 || c->n_inputs > 1 || (!one && !count && strcmp(mode, "multi_hot") != 0)) {
    keras_unsupported(c, "output_mode '%.32s', %lld tokens or weights", mode, (long long)tokens);
    return;
  }
  int ids = neo_emit_cast(e, x.value, NEO_I64);
  if (one && x.rank > 1) {
    const neo_shape *shape = neo_emit_shape(e, x.value);
    if (shape && shape->dim[x.rank - 1] == 1)
      ids = binary(c, "squeeze", ids, neo_emit_ints(e, 1, (int64_t[]){-1}));
    else
      x.rank++;
  }
  int values = neo_emit_floats(e, 2, (double[]){0, 1});
  neo_node *node = keras_node(c, "one_hot", 3, (int[]){ids, neo_emit_int(e, tokens), values}, 1);
  neo_node_set_int(e->graph, node, "axis", -1);
  int y = node->output[0];
  if (!one && x.rank > 1) {
    node = keras_node(c, count ? "reduce_sum" : "reduce_max", 1, &y, 1);
    neo_node_set_ints(e->graph, node, "axes", 1, (int64_t[]){-2});
    neo_node_set_int(e->graph, node, "keepdims", 0);
    y = node->output[0];
  }
  keras_out(c, y, one ? x.rank : x.rank > 1 ? x.rank : 1);
}
