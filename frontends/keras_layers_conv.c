/* frontends/keras_layers_conv.c: convolutions, pools and normalisations, as layers and as
 * functions.
 *
 * A layer's kernels are its weights, those of a function (keras.ops.conv) operands behind its
 * input. Kernels: Keras [k..., in / groups, out], ours [out, in / groups, k...]; depthwise [k...,
 * in, m], ours [in * m, 1, k...]; transposed [k..., out, in], ours [in, out, k...]. padding "same"
 * is ONNX's same_upper; "causal" pads before only. */
#include <string.h>
#include <strings.h>

#include "frontends/keras_ops.h"

typedef struct window {
  int n; /* spatial dimensions */
  int64_t kernel[3], stride[3], dilation[3];
  const char *padding;
} window;

/* Of kernel k; a function's may be unknown (false). */
static bool kernel_shape(keras_call *c, int k, int rank, neo_shape *out) {
  const neo_shape *shape = NULL;
  if (!c->function)
    shape = &keras_weight(c, k, rank)->shape;
  else if (k + 1 < c->n_inputs)
    shape = neo_emit_shape(c->im->e, c->input[k + 1].value);
  if (!shape || shape->rank != rank)
    return false;
  *out = *shape;
  return true;
}

/* Kernel k, its dimensions in another order; then seen as `shape` if given. */
static int kernel(keras_call *c, int k, int rank, const int *perm, const neo_shape *shape) {
  int64_t order[NEO_MAX_RANK];
  if (!c->function)
    return keras_permuted(c, k, rank, perm, shape);
  for (int d = 0; d < rank; d++)
    order[d] = perm[d];
  int x = neo_emit_transpose(c->im->e, c->input[k + 1].value, rank, order);
  return shape ? keras_reshape(c, x, rank, shape->dim) : x;
}

/* A layer says how large its kernel is; the kernel of a function shows it. */
static bool read_taps(keras_call *c, const char *key, window *w) {
  neo_shape shape;
  if (!c->function || strcmp(key, "kernel_size") != 0)
    return keras_ints(c, key, w->n, w->kernel);
  if (!kernel_shape(c, 0, w->n + 2, &shape))
    return false;
  for (int d = 0; d < w->n; d++)
    w->kernel[d] = shape.dim[d];
  return true;
}

static bool read_window(keras_call *c, const char *kernel, const char *stride, window *w) {
  *w = (window){.n = c->input[0].rank - 2, .dilation = {1, 1, 1}, .stride = {1, 1, 1}};
  w->padding = keras_text(c, "padding", "valid");
  const json_t *strides = json_object_get(c->config, stride);
  bool sound = w->n >= 1 && w->n <= 3 && read_taps(c, kernel, w);
  if (sound && strides && !json_is_null(strides))
    sound = keras_ints(c, stride, w->n, w->stride);
  else if (sound && strcmp(stride, "strides") == 0 && strcmp(kernel, "pool_size") == 0)
    memcpy(w->stride, w->kernel, sizeof w->stride);
  if (sound && json_object_get(c->config, "dilation_rate"))
    sound = keras_ints(c, "dilation_rate", w->n, w->dilation);
  for (int d = 0; sound && d < w->n; d++)
    sound = w->kernel[d] > 0 && w->stride[d] > 0 && w->dilation[d] > 0 && w->kernel[d] < 1 << 20 &&
            w->stride[d] < 1 << 20 && w->dilation[d] < 1 << 20;
  if (sound)
    return true;
  keras_bad(c, "its window does not fit an input of rank %d", c->input[0].rank);
  keras_out(c, c->input[0].value, c->input[0].rank);
  return false;
}

static void set_window(keras_call *c, neo_node *node, const window *w, bool dilated) {
  neo_graph *graph = c->im->e->graph;
  int64_t pads[6] = {0};
  neo_node_set_ints(graph, node, "strides", w->n, w->stride);
  if (dilated)
    neo_node_set_ints(graph, node, "dilations", w->n, w->dilation);
  if (strcasecmp(w->padding, "same") == 0) {
    neo_node_set_string(graph, node, "auto_pad", "same_upper");
    return;
  }
  if (strcasecmp(w->padding, "causal") == 0)
    pads[0] = (w->kernel[0] - 1) * w->dilation[0];
  else if (strcasecmp(w->padding, "valid") != 0)
    keras_bad(c, "padding '%.32s'", w->padding);
  neo_node_set_ints(graph, node, "pads", 2 * w->n, pads);
}

/* Bias (weight k), back to Keras' layout, activation. */
static void finish(keras_call *c, int y) {
  int rank = c->input[0].rank;
  keras_out(c, keras_activate(c, "activation", keras_from_channels(c, y, rank), rank), rank);
}

static int conv_node(keras_call *c, int x, int kernel, int bias, const window *w, int64_t group) {
  neo_node *node = keras_node(c, "conv", 3, (int[]){x, kernel, bias}, 1);
  set_window(c, node, w, true);
  neo_node_set_int(c->im->e->graph, node, "group", group);
  return node->output[0];
}

static int bias_of(keras_call *c, int k) {
  return !c->function && keras_bool(c, "use_bias", true) ? keras_constant(c, k, 1) : NEO_NO_VALUE;
}

/* Of a function: as many as the kernel's inputs go into the channels. 0: not known, and said. */
static int64_t groups_of(keras_call *c, int rank) {
  neo_shape taps;
  if (!c->function)
    return keras_int(c, "groups", 1);
  const neo_shape *x = neo_emit_shape(c->im->e, c->input[0].value);
  int64_t channels = x && x->rank == rank ? x->dim[keras_channels_first(c) ? 1 : rank - 1] : 0;
  if (channels > 0 && kernel_shape(c, 0, rank, &taps) && taps.dim[rank - 2] > 0)
    return channels / taps.dim[rank - 2];
  keras_unsupported(c, "the input's shape must be bound (--input)");
  return 0;
}

void keras_conv(keras_call *c) {
  window w;
  if (!read_window(c, "kernel_size", "strides", &w))
    return;
  int perm[5] = {w.n + 1, w.n};
  for (int d = 0; d < w.n; d++)
    perm[d + 2] = d;
  int64_t groups = groups_of(c, w.n + 2);
  if (groups == 0)
    return;
  int x = keras_to_channels(c, c->input[0].value, w.n + 2);
  finish(c, conv_node(c, x, kernel(c, 0, w.n + 2, perm, NULL), bias_of(c, 1), &w, groups));
}

/* Kernel 0 as [in * m, 1, k...]; *in: channels. */
static int depthwise_kernel(keras_call *c, const window *w, int64_t *in) {
  neo_shape taps = {.rank = w->n + 2, .dim = {1, 1, 1, 1, 1}};
  kernel_shape(c, 0, w->n + 2, &taps);
  int perm[5] = {w->n, w->n + 1};
  neo_shape shape = {.rank = w->n + 2, .dim = {taps.dim[w->n] * taps.dim[w->n + 1], 1}};
  for (int d = 0; d < w->n; d++) {
    perm[d + 2] = d;
    shape.dim[d + 2] = taps.dim[d];
  }
  *in = taps.dim[w->n];
  return kernel(c, 0, w->n + 2, perm, &shape);
}

void keras_depthwise_conv(keras_call *c) {
  window w;
  int64_t in;
  if (!read_window(c, "kernel_size", "strides", &w))
    return;
  int x = keras_to_channels(c, c->input[0].value, w.n + 2), taps = depthwise_kernel(c, &w, &in);
  finish(c, conv_node(c, x, taps, bias_of(c, 1), &w, in));
}

void keras_separable_conv(keras_call *c) {
  window w, point = {.kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
  int64_t in;
  if (!read_window(c, "kernel_size", "strides", &w))
    return;
  point.n = w.n;
  point.padding = "valid";
  int perm[5] = {w.n + 1, w.n};
  for (int d = 0; d < w.n; d++)
    perm[d + 2] = d;
  int x = keras_to_channels(c, c->input[0].value, w.n + 2), taps = depthwise_kernel(c, &w, &in);
  x = conv_node(c, x, taps, NEO_NO_VALUE, &w, in);
  finish(c, conv_node(c, x, kernel(c, 1, w.n + 2, perm, NULL), bias_of(c, 2), &point, 1));
}

/* What Keras' output lengths come to: "same" in * s, "valid" in * s + max(k - s, 0); with
 * output_padding (in - 1) s + k - 2 p + it, p = k / 2 for "same". k counts the dilation. */
static void transpose_pads(const keras_call *c, const window *w, int64_t *pads, int64_t *more) {
  bool same = strcasecmp(w->padding, "same") == 0;
  int64_t given[3];
  bool explicit_padding = keras_ints(c, "output_padding", w->n, given);
  for (int d = 0; d < w->n; d++) {
    int64_t k = (w->kernel[d] - 1) * w->dilation[d] + 1, over = k - w->stride[d];
    more[d] = over < 0 ? -over : 0;
    pads[d] = same && over > 0 ? over / 2 : 0;
    pads[w->n + d] = same && over > 0 ? over - over / 2 : 0;
    if (explicit_padding) {
      int64_t cut = same ? 2 * (k / 2) - given[d] : -given[d];
      more[d] = cut < 0 ? -cut : 0;
      pads[d] = cut > 0 ? cut / 2 : 0; /* what is odd goes at the end, as TensorFlow does it */
      pads[w->n + d] = cut > 0 ? cut - cut / 2 : 0;
    }
  }
}

void keras_conv_transpose(keras_call *c) {
  window w;
  int64_t pads[6], more[3];
  if (!read_window(c, "kernel_size", "strides", &w))
    return;
  int perm[5] = {w.n + 1, w.n};
  for (int d = 0; d < w.n; d++)
    perm[d + 2] = d;
  transpose_pads(c, &w, pads, more);
  int x = keras_to_channels(c, c->input[0].value, w.n + 2);
  int taps = kernel(c, 0, w.n + 2, perm, NULL);
  neo_node *node = keras_node(c, "conv_transpose", 3, (int[]){x, taps, bias_of(c, 1)}, 1);
  neo_graph *graph = c->im->e->graph;
  neo_node_set_ints(graph, node, "strides", w.n, w.stride);
  neo_node_set_ints(graph, node, "dilations", w.n, w.dilation);
  neo_node_set_ints(graph, node, "pads", 2 * w.n, pads);
  neo_node_set_ints(graph, node, "output_padding", w.n, more);
  finish(c, node->output[0]);
}

/* keras.ops.conv and its kind; op: which */
void keras_op_conv(keras_call *c, const char *op) {
  static const struct {
    const char *op;
    int operands;
    keras_convert_fn convert;
  } kinds[] = {{"plain", 2, keras_conv},
               {"depthwise", 2, keras_depthwise_conv},
               {"separable", 3, keras_separable_conv},
               {"transpose", 2, keras_conv_transpose}};
  for (int i = 0; i < NEO_COUNT(kinds); i++)
    if (strcmp(kinds[i].op, op) == 0 && keras_need(c, kinds[i].operands))
      kinds[i].convert(c);
}

/* ---- pools ----------------------------------------------------------------------------------------------- */

void keras_op_pool(keras_call *c, const char *op) {
  window w;
  if (!read_window(c, "pool_size", "strides", &w))
    return;
  int rank = w.n + 2, x = keras_to_channels(c, c->input[0].value, rank);
  neo_node *node = keras_node(c, op, 1, &x, 1);
  set_window(c, node, &w, false);
  neo_node_set_ints(c->im->e->graph, node, "kernel_shape", w.n, w.kernel);
  keras_out(c, keras_from_channels(c, node->output[0], rank), rank);
}

void keras_pool(keras_call *c) {
  keras_op_pool(c, keras_row_find(c->class_name)->op);
}

static int sum_of_steps(keras_call *c, int x, bool keep) {
  neo_node *node = keras_node(c, "reduce_sum", 1, &x, 1);
  neo_node_set_ints(c->im->e->graph, node, "axes", 1, (int64_t[]){1});
  neo_node_set_int(c->im->e->graph, node, "keepdims", keep);
  return node->output[0];
}

/* The mean of the steps that are on; of [batch, steps, channels]. */
static void masked_mean(keras_call *c, int mask, bool keep) {
  neo_emitter *e = c->im->e;
  int axes = neo_emit_ints(e, 1, (int64_t[]){2});
  int on = neo_emit_binary(e, "unsqueeze", neo_emit_cast(e, mask, NEO_F32), axes);
  int sum = sum_of_steps(c, neo_emit_binary(e, "mul", c->input[0].value, on), keep);
  keras_out(c, neo_emit_binary(e, "div", sum, sum_of_steps(c, on, keep)), keep ? 3 : 2);
}

void keras_global_pool(keras_call *c) {
  int rank = c->input[0].rank;
  int64_t axes[NEO_MAX_RANK];
  bool keep = keras_bool(c, "keepdims", false);
  const char *op = keras_row_find(c->class_name)->op;
  int mask = keras_mask(c);
  if (rank < 3 || (mask != NEO_NO_VALUE && strcmp(op, "reduce_mean") == 0 && rank != 3)) {
    keras_unsupported(c, "an input of rank %d", rank);
    return;
  }
  if (mask != NEO_NO_VALUE && strcmp(op, "reduce_mean") == 0) {
    masked_mean(c, mask, keep);
    return;
  }
  for (int d = 0; d < rank - 2; d++)
    axes[d] = d + 2;
  int x = keras_to_channels(c, c->input[0].value, rank);
  neo_node *node = keras_node(c, op, 1, &x, 1);
  neo_node_set_ints(c->im->e->graph, node, "axes", rank - 2, axes);
  neo_node_set_int(c->im->e->graph, node, "keepdims", keep);
  int y = node->output[0];
  keras_out(c, keep ? keras_from_channels(c, y, rank) : y, keep ? rank : 2);
}

/* ---- normalisations ----------------------------------------------------------------------------------------- */

/* Weight k, or a vector of this value, as long as weight `like`. */
static int vector_or(keras_call *c, bool has, int k, int64_t n, float otherwise,
                     const char *suffix) {
  if (has)
    return keras_constant(c, k, 1);
  float *v = neo_arena_alloc(c->im->arena, sizeof *v * (size_t)n + 4);
  for (int64_t i = 0; i < n; i++)
    v[i] = otherwise;
  return keras_floats(c, suffix, &(neo_shape){1, {n}}, v);
}

/* Brings `axis` to dimension 1 and back. */
static int to_second(keras_call *c, int x, int rank, int axis, bool back) {
  int64_t perm[NEO_MAX_RANK] = {0};
  if (axis == 1 || rank < 3)
    return x;
  if (back) {
    for (int d = 1; d < rank; d++)
      perm[d] = d < axis ? d + 1 : d == axis ? 1 : d;
  } else {
    perm[1] = axis;
    for (int d = 2; d < rank; d++)
      perm[d] = d <= axis ? d - 1 : d;
  }
  return neo_emit_transpose(c->im->e, x, rank, perm);
}

void keras_batch_norm(keras_call *c) {
  keras_tensor x = c->input[0];
  int axis = keras_axis(c, "axis", -1, x.rank), k = 0;
  bool scale = keras_bool(c, "scale", true), centre = keras_bool(c, "center", true);
  if (axis < 1) {
    keras_unsupported(c, "several axes, or the batch's");
    return;
  }
  int mean_at = scale + centre;
  int64_t n = keras_weight(c, mean_at, 1)->shape.dim[0];
  int gamma = vector_or(c, scale, k, n, 1, "gamma");
  int beta = vector_or(c, centre, k + scale, n, 0, "beta");
  int mean = keras_constant(c, mean_at, 1), variance = keras_constant(c, mean_at + 1, 1);
  int y = to_second(c, x.value, x.rank, axis, false);
  neo_node *node = keras_node(c, "batch_norm", 5, (int[]){y, gamma, beta, mean, variance}, 1);
  neo_node_set_float(c->im->e->graph, node, "epsilon", keras_number(c, "epsilon", 1e-3));
  keras_out(c, to_second(c, node->output[0], x.rank, axis, true), x.rank);
}

/* The normalised axes must be the last ones; *first: the first of them. */
static bool trailing_axes(const keras_call *c, int rank, int *first) {
  const json_t *v = json_object_get(c->config, "axis");
  int n = json_is_array(v) ? (int)json_array_size(v) : 1;
  if (n == 1) {
    *first = keras_axis(c, "axis", -1, rank);
    return *first == rank - 1;
  }
  *first = rank - n;
  for (int i = 0; i < n; i++) {
    int64_t axis = json_integer_value(json_array_get(v, (size_t)i));
    if (n > rank || (axis < 0 ? axis + rank : axis) != *first + i)
      return false;
  }
  return *first > 0;
}

void keras_layer_norm(keras_call *c) {
  keras_tensor x = c->input[0];
  int first, k = 0;
  bool rms = strcmp(c->class_name, "RMSNormalization") == 0 || keras_bool(c, "rms_scaling", false);
  if (!trailing_axes(c, x.rank, &first)) {
    keras_unsupported(c, "axes other than the last ones");
    return;
  }
  int n = x.rank - first, y;
  int gamma = keras_bool(c, "scale", true) ? keras_constant(c, k++, n) : NEO_NO_VALUE;
  int beta = keras_bool(c, "center", true) && !rms ? keras_constant(c, k, n) : NEO_NO_VALUE;
  if (gamma == NEO_NO_VALUE)
    gamma = keras_floats(c, "gamma", &(neo_shape){1, {1}}, (float[]){1});
  neo_node *node =
      keras_node(c, rms ? "rms_norm" : "layer_norm", rms ? 2 : 3, (int[]){x.value, gamma, beta}, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", first);
  neo_node_set_float(c->im->e->graph, node, "epsilon",
                     keras_number(c, "epsilon", rms ? 1e-6 : 1e-3));
  y = node->output[0];
  keras_out(c, y, x.rank);
}

void keras_group_norm(keras_call *c) {
  keras_tensor x = c->input[0];
  int axis = keras_axis(c, "axis", -1, x.rank), k = 0;
  bool scale = keras_bool(c, "scale", true), centre = keras_bool(c, "center", true);
  int64_t groups = keras_int(c, "groups", 32);
  if (axis < 1 || !(scale || centre)) {
    keras_unsupported(c, "neither scale nor center, or the batch's axis");
    return;
  }
  int64_t n = keras_weight(c, 0, 1)->shape.dim[0];
  int gamma = vector_or(c, scale, k, n, 1, "gamma");
  int beta = vector_or(c, centre, k + scale, n, 0, "beta");
  int y = to_second(c, x.value, x.rank, axis, false);
  neo_node *node = keras_node(c, "group_norm", 3, (int[]){y, gamma, beta}, 1);
  neo_node_set_int(c->im->e->graph, node, "num_groups", groups < 1 ? n : groups);
  neo_node_set_float(c->im->e->graph, node, "epsilon", keras_number(c, "epsilon", 1e-3));
  keras_out(c, to_second(c, node->output[0], x.rank, axis, true), x.rank);
}

void keras_unit_norm(keras_call *c) {
  int axis = keras_axis(c, "axis", -1, c->input[0].rank);
  if (axis < 0) {
    keras_unsupported(c, "several axes");
    return;
  }
  neo_node *node = keras_node(c, "lp_normalization", 1, &c->input[0].value, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  neo_node_set_int(c->im->e->graph, node, "p", 2);
  keras_out(c, node->output[0], c->input[0].rank);
}
