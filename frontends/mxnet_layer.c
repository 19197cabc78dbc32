/* frontends/mxnet_layer.c: MXNet's layers: convolutions, pools, normalisations, matrix products. */
#include "frontends/mxnet_import.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static int bias(mx_node *node, int k, bool no_bias) {
  return mx_bool(node, "no_bias", no_bias) ? NEO_NO_VALUE : mx_in(node, k);
}

void mx_fully_connected(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int x = mx_in(node, 0), w = mx_in(node, 1), b = bias(node, 2, false);
  if (!mx_bool(node, "flatten", true)) {
    int y = mx_two(node, "matmul", x, neo_emit_transpose(e, w, 2, (int64_t[]){1, 0}));
    mx_set(node, 0, b == NEO_NO_VALUE ? y : mx_two(node, "add", y, b));
    return;
  }
  if (neo_emit_rank(e, x) != 2)
    x = mx_one(node, "flatten", x);
  neo_node *made = mx_emit(node, "gemm", 3, (int[]){x, w, b});
  neo_node_set_int(e->graph, made, "trans_b", 1);
  mx_set(node, 0, made->output[0]);
}

/* ---- windows --------------------------------------------------------------------------------------------- */

typedef struct window {
  int n;
  int64_t kernel[3], stride[3], dilate[3], pads[6], more[3];
  bool channels_last;
} window;

static void fill(int n, int got, int64_t *v, int64_t otherwise) {
  for (int i = got < 0 ? 0 : got; i < n; i++)
    v[i] = otherwise;
}

static bool read_window(mx_node *node, window *w) {
  const char *layout = mx_text(node, "layout", "NCHW");
  w->n = mx_ints(node, "kernel", w->kernel, 3);
  if (w->n < 1) {
    mx_unsupported(node, "no kernel");
    return false;
  }
  fill(w->n, mx_ints(node, "stride", w->stride, 3), w->stride, 1);
  fill(w->n, mx_ints(node, "dilate", w->dilate, 3), w->dilate, 1);
  fill(w->n, mx_ints(node, "pad", w->pads, 3), w->pads, 0);
  fill(w->n, mx_ints(node, "adj", w->more, 3), w->more, 0);
  memcpy(w->pads + w->n, w->pads, sizeof w->pads[0] * (size_t)w->n);
  w->channels_last = layout[strlen(layout) - 1] == 'C';
  return true;
}

static void set_window(mx_node *node, const window *w, neo_node *made) {
  neo_graph *graph = node->im->e.graph;
  neo_node_set_ints(graph, made, "strides", w->n, w->stride);
  neo_node_set_ints(graph, made, "pads", 2 * w->n, w->pads);
}

static int channels_first(mx_node *node, const window *w, int value) {
  int rank = w->n + 2;
  return w->channels_last ? mx_transpose_to(node, value, rank, rank - 1, 1) : value;
}

static void set_images(mx_node *node, const window *w, int value) {
  int rank = w->n + 2;
  mx_set(node, 0, w->channels_last ? mx_transpose_to(node, value, rank, 1, rank - 1) : value);
}

void mx_convolution(mx_node *node) {
  window w;
  if (!read_window(node, &w))
    return;
  int x = channels_first(node, &w, mx_in(node, 0)), f = channels_first(node, &w, mx_in(node, 1));
  neo_node *made = mx_emit(node, "conv", 3, (int[]){x, f, bias(node, 2, false)});
  set_window(node, &w, made);
  neo_node_set_ints(node->im->e.graph, made, "dilations", w.n, w.dilate);
  neo_node_set_int(node->im->e.graph, made, "group", mx_int(node, "num_group", 1));
  set_images(node, &w, made->output[0]);
}

/* target_shape: pad and adj follow from it. */
static bool aim(mx_node *node, window *w, int x) {
  int64_t target[3];
  int n = mx_ints(node, "target_shape", target, 3);
  bool any = false;
  for (int d = 0; d < n; d++)
    any |= target[d] != 0;
  if (!any)
    return true;
  const neo_shape *shape = mx_shape(node, x);
  if (!shape || n != w->n || shape->rank != n + 2)
    return false;
  for (int d = 0; d < n; d++) {
    int64_t full = w->stride[d] * (shape->dim[2 + d] - 1) + (w->kernel[d] - 1) * w->dilate[d] + 1;
    int64_t over = full - target[d];
    if (over < 0 || over > INT32_MAX) {
      mx_unsupported(node, "target_shape larger than the window reaches");
      return false;
    }
    w->more[d] = over % 2;
    w->pads[d] = w->pads[n + d] = (over + 1) / 2;
  }
  return true;
}

void mx_deconvolution(mx_node *node) {
  window w;
  if (!read_window(node, &w))
    return;
  int x = channels_first(node, &w, mx_in(node, 0)), f = channels_first(node, &w, mx_in(node, 1));
  if (!aim(node, &w, x))
    return;
  neo_node *made = mx_emit(node, "conv_transpose", 3, (int[]){x, f, bias(node, 2, true)});
  set_window(node, &w, made);
  neo_node_set_ints(node->im->e.graph, made, "dilations", w.n, w.dilate);
  neo_node_set_ints(node->im->e.graph, made, "output_padding", w.n, w.more);
  neo_node_set_int(node->im->e.graph, made, "group", mx_int(node, "num_group", 1));
  set_images(node, &w, made->output[0]);
}

static void global_pool(mx_node *node, const char *type) {
  const char *layout = mx_text(node, "layout", "NCHW"), *op = NULL;
  int64_t axes[3];
  int x = mx_in(node, 0), rank = mx_rank(node, x);
  bool last = layout[strlen(layout) - 1] == 'C';
  if (strcmp(type, "max") == 0)
    op = "reduce_max";
  else if (strcmp(type, "avg") == 0)
    op = "reduce_mean";
  else if (strcmp(type, "sum") == 0)
    op = "reduce_sum";
  if (strcmp(type, "lp") == 0 && !last) {
    neo_node *made = mx_emit(node, "global_lp_pool", 1, &x);
    neo_node_set_int(node->im->e.graph, made, "p", mx_int(node, "p_value", 2));
    mx_set(node, 0, made->output[0]);
    return;
  }
  if (!op || rank < 3 || rank > 5) {
    mx_unsupported(node, "global %s pool of rank %d", type, rank);
    return;
  }
  if (!last && strcmp(type, "sum") != 0) {
    mx_set(node, 0,
           mx_one(node, strcmp(type, "max") == 0 ? "global_max_pool" : "global_average_pool", x));
    return;
  }
  for (int d = 0; d < rank - 2; d++)
    axes[d] = last ? 1 + d : 2 + d;
  neo_node *made = mx_emit(node, op, 1, &x);
  neo_node_set_ints(node->im->e.graph, made, "axes", rank - 2, axes);
  mx_set(node, 0, made->output[0]);
}

/* A window that reaches over the end sums what is there: zeros behind it, so that averages are of
 * whole windows. */
static bool pad_to_full(mx_node *node, window *w, int x) {
  const neo_shape *shape = mx_shape(node, x);
  for (int d = 0; shape && d < w->n; d++) {
    int64_t over = shape->dim[2 + d] + w->pads[d] + w->pads[w->n + d] - w->kernel[d];
    int64_t step = w->stride[d], rest = over > 0 ? over % step : 0;
    w->pads[w->n + d] += rest > 0 ? step - rest : 0;
  }
  return shape != NULL;
}

static bool same_convention(mx_node *node, neo_node *made) {
  const char *convention = mx_text(node, "pooling_convention", "valid");
  if (strcmp(convention, "full") == 0)
    neo_node_set_int(node->im->e.graph, made, "ceil_mode", 1);
  else if (strcmp(convention, "same") == 0)
    neo_node_set_string(node->im->e.graph, made, "auto_pad", "same_upper");
  return strcmp(convention, "same") == 0;
}

void mx_pooling(mx_node *node) {
  window w;
  const char *type = mx_text(node, "pool_type", "max");
  neo_graph *graph = node->im->e.graph;
  if (mx_bool(node, "global_pool", false)) {
    global_pool(node, type);
    return;
  }
  if (!read_window(node, &w))
    return;
  bool sum = strcmp(type, "sum") == 0, average = sum || strcmp(type, "avg") == 0,
       lp = strcmp(type, "lp") == 0;
  if (!average && !lp && strcmp(type, "max") != 0)
    mx_unsupported(node, "pool_type %s", type);
  int x = channels_first(node, &w, mx_in(node, 0));
  bool full = mx_is(node, "pooling_convention", "full", false);
  if (sum && full && !pad_to_full(node, &w, x))
    return;
  neo_node *made = mx_emit(node, average ? "average_pool" : lp ? "lp_pool" : "max_pool", 1, &x);
  neo_node_set_ints(graph, made, "kernel_shape", w.n, w.kernel);
  if ((sum && full) || !same_convention(node, made)) {
    set_window(node, &w, made);
  } else {
    neo_node_set_ints(graph, made, "strides", w.n, w.stride);
  }
  if (average)
    neo_node_set_int(graph, made, "count_include_pad",
                     sum || mx_bool(node, "count_include_pad", true));
  if (lp)
    neo_node_set_int(graph, made, "p", mx_int(node, "p_value", 2));
  int y = made->output[0];
  double size = 1;
  for (int d = 0; d < w.n; d++)
    size *= (double)w.kernel[d];
  if (sum)
    y = mx_two(node, "mul", y, mx_scalar(node, y, size));
  set_images(node, &w, y);
}

/* ---- activations and normalisations --------------------------------------------------------------------------- */

void mx_activation(mx_node *node) {
  static const char *const names[][2] = {{"relu", "relu"},         {"sigmoid", "sigmoid"},
                                         {"tanh", "tanh"},         {"softrelu", "softplus"},
                                         {"softsign", "softsign"}, {"mish", "mish"}};
  const char *type = mx_text(node, "act_type", "");
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (strcmp(type, names[i][0]) == 0) {
      mx_set(node, 0, mx_one(node, names[i][1], mx_in(node, 0)));
      return;
    }
  if (strcmp(type, "log_sigmoid") == 0)
    mx_set(node, 0, mx_one(node, "log", mx_one(node, "sigmoid", mx_in(node, 0))));
  else
    mx_unsupported(node, "act_type %s", type);
}

/* A parameter per channel (dimension `axis`) of a tensor of this rank. */
static int per_channel(mx_node *node, int value, int rank, int axis) {
  int64_t shape[NEO_MAX_RANK];
  for (int d = 0; d < rank; d++)
    shape[d] = d == axis ? -1 : 1;
  return neo_emit_reshape(&node->im->e, value, rank, shape);
}

static void prelu(mx_node *node) {
  int x = mx_in(node, 0), slope = mx_in(node, 1), rank = mx_rank(node, x);
  const neo_shape *shape = mx_shape(node, slope);
  if (!shape || rank < 2)
    return;
  if (shape->rank == 1 && shape->dim[0] > 1)
    slope = per_channel(node, slope, rank, 1);
  mx_set(node, 0, mx_two(node, "prelu", x, slope));
}

void mx_leaky_relu(mx_node *node) {
  const char *type = mx_text(node, "act_type", "leaky"), *op = NULL;
  double slope = mx_float(node, "slope", 0.25);
  int x = mx_in(node, 0);
  if (strcmp(type, "prelu") == 0) {
    prelu(node);
    return;
  }
  if (strcmp(type, "rrelu") == 0)
    slope = (mx_float(node, "lower_bound", 0.125) + mx_float(node, "upper_bound", 0.334)) / 2;
  if (strcmp(type, "leaky") == 0 || strcmp(type, "rrelu") == 0)
    op = "leaky_relu";
  else if (strcmp(type, "elu") == 0 || strcmp(type, "selu") == 0 || strcmp(type, "gelu") == 0)
    op = type;
  if (!op) {
    mx_unsupported(node, "act_type %s", type);
    return;
  }
  neo_node *made = mx_emit(node, op, 1, &x);
  if (strcmp(op, "leaky_relu") == 0 || strcmp(op, "elu") == 0)
    neo_node_set_float(node->im->e.graph, made, "alpha", slope);
  mx_set(node, 0, made->output[0]);
}

/* A tensor of ones like `value`. */
static int ones_like(mx_node *node, int value) {
  neo_dtype dtype = neo_emit_dtype(&node->im->e, value);
  int one = neo_emit_scalar(&node->im->e, dtype < NEO_DTYPE_COUNT ? dtype : NEO_F32, 1);
  return mx_two(node, "expand", one, mx_one(node, "shape", value));
}

/* Moving statistics that old files do not list as inputs. */
static int moving(mx_node *node, int k, const char *what) {
  if (mx_in(node, k) != NEO_NO_VALUE)
    return mx_in(node, k);
  const char *name = neo_arena_printf(node->im->e.graph->arena, "%s_moving_%s", node->name, what);
  neo_tensor *tensor = neo_map_get(&node->im->params.tensors, name);
  if (tensor)
    return neo_emit_tensor(&node->im->e, name, tensor);
  mx_unsupported(node, "no input and no parameter '%s'", name);
  return NEO_NO_VALUE;
}

void mx_batch_norm(mx_node *node) {
  int64_t at = mx_int(node, "axis", 1);
  int x = mx_in(node, 0), gamma = mx_in(node, 1), beta = mx_in(node, 2), axis = 1, rank = 0;
  int mean = moving(node, 3, "mean"), variance = moving(node, 4, "var");
  if (mean == NEO_NO_VALUE || variance == NEO_NO_VALUE || gamma == NEO_NO_VALUE)
    return;
  if (at != 1) {
    rank = mx_rank(node, x);
    if (!mx_axis(node, at, rank, &axis))
      return;
    x = mx_transpose_to(node, x, rank, axis, 1);
  }
  if (mx_bool(node, "fix_gamma", true))
    gamma = ones_like(node, beta);
  neo_node *made = mx_emit(node, "batch_norm", 5, (int[]){x, gamma, beta, mean, variance});
  neo_node_set_float(node->im->e.graph, made, "epsilon", mx_float(node, "eps", 1e-3));
  int y = made->output[0];
  mx_set(node, 0, axis == 1 ? y : mx_transpose_to(node, y, rank, 1, axis));
}

/* Over one dimension; the IR's goes over all from an axis on. */
void mx_layer_norm(mx_node *node) {
  int x = mx_in(node, 0), axis = 0;
  int64_t at = mx_int(node, "axis", -1);
  int rank = at == -1 ? 1 : mx_rank(node, x);
  if (!mx_axis(node, at, rank, &axis))
    return;
  x = mx_transpose_to(node, x, rank, axis, rank - 1);
  neo_node *made = mx_emit(node, "layer_norm", 3, (int[]){x, mx_in(node, 1), mx_in(node, 2)});
  neo_node_set_int(node->im->e.graph, made, "axis", -1);
  neo_node_set_float(node->im->e.graph, made, "epsilon", mx_float(node, "eps", 1e-5));
  mx_set(node, 0, mx_transpose_to(node, made->output[0], rank, rank - 1, axis));
}

void mx_instance_norm(mx_node *node) {
  neo_node *made =
      mx_emit(node, "instance_norm", 3, (int[]){mx_in(node, 0), mx_in(node, 1), mx_in(node, 2)});
  neo_node_set_float(node->im->e.graph, made, "epsilon", mx_float(node, "eps", 1e-3));
  mx_set(node, 0, made->output[0]);
}

void mx_group_norm(mx_node *node) {
  int64_t groups = mx_int(node, "num_groups", 1);
  const neo_shape *gamma = mx_shape(node, mx_in(node, 1));
  neo_node *made =
      mx_emit(node, "group_norm", 3, (int[]){mx_in(node, 0), mx_in(node, 1), mx_in(node, 2)});
  neo_node_set_int(node->im->e.graph, made, "num_groups", groups);
  neo_node_set_float(node->im->e.graph, made, "epsilon", mx_float(node, "eps", 1e-5));
  if (gamma && gamma->rank == 1 && gamma->dim[0] == groups)
    neo_node_set_int(node->im->e.graph, made, "per_group", 1);
  mx_set(node, 0, made->output[0]);
}

/* x / sqrt(sum of squares + eps): over all but the first dimension, over channels, or over space.
 */
void mx_l2_normalization(mx_node *node) {
  const char *mode = mx_text(node, "mode", "instance");
  int64_t axes[NEO_MAX_RANK];
  int x = mx_in(node, 0), rank = mx_rank(node, x), n = 0;
  int first = strcmp(mode, "spatial") == 0 ? 2 : 1, end = strcmp(mode, "channel") == 0 ? 2 : rank;
  for (int d = first; d < end; d++)
    axes[n++] = d;
  neo_node *made = mx_emit(node, "reduce_sum_square", 1, &x);
  neo_node_set_ints(node->im->e.graph, made, "axes", n, axes);
  int sum = made->output[0];
  sum = mx_two(node, "add", sum, mx_scalar(node, x, mx_float(node, "eps", 1e-10)));
  mx_set(node, 0, mx_two(node, "div", x, mx_one(node, "sqrt", sum)));
}

void mx_lrn(mx_node *node) {
  neo_graph *graph = node->im->e.graph;
  int x = mx_in(node, 0);
  neo_node *made = mx_emit(node, "lrn", 1, &x);
  neo_node_set_int(graph, made, "size", mx_int(node, "nsize", 5));
  neo_node_set_float(graph, made, "alpha", mx_float(node, "alpha", 1e-4));
  neo_node_set_float(graph, made, "beta", mx_float(node, "beta", 0.75));
  neo_node_set_float(graph, made, "bias", mx_float(node, "knorm", 2));
  mx_set(node, 0, made->output[0]);
}

/* ---- sizes ----------------------------------------------------------------------------------------------------- */

static int resize(mx_node *node, int x, const char *mode, const char *how, const int64_t *size) {
  neo_graph *graph = node->im->e.graph;
  int sizes = neo_emit_ints(&node->im->e, 2, size);
  neo_node *made = mx_emit(node, "resize", 4, (int[]){x, NEO_NO_VALUE, NEO_NO_VALUE, sizes});
  neo_node_set_string(graph, made, "mode", mode);
  neo_node_set_ints(graph, made, "axes", 2, (int64_t[]){2, 3});
  neo_node_set_string(graph, made, "coordinate_transformation_mode", how);
  neo_node_set_string(graph, made, "nearest_mode", "floor");
  return made->output[0];
}

/* bilinear is a convolution whose weights the file has. */
static void upsample_bilinear(mx_node *node, int64_t scale) {
  int64_t pad = (int64_t)ceil((double)(scale - 1) / 2);
  int64_t pads[4], strides[2] = {scale, scale};
  const neo_shape *shape = mx_shape(node, mx_in(node, 0));
  for (int i = 0; i < 4; i++)
    pads[i] = pad;
  if (!shape || shape->rank != 4)
    return;
  int64_t channels = shape->dim[1];
  neo_node *made = mx_emit(node, "conv_transpose", 2, (int[]){mx_in(node, 0), mx_in(node, 1)});
  neo_node_set_ints(node->im->e.graph, made, "strides", 2, strides);
  neo_node_set_ints(node->im->e.graph, made, "pads", 4, pads);
  neo_node_set_int(node->im->e.graph, made, "group", channels);
  mx_set(node, 0, made->output[0]);
}

void mx_upsampling(mx_node *node) {
  int64_t scale = mx_int(node, "scale", 1), size[2];
  if (mx_is(node, "sample_type", "bilinear", false)) {
    upsample_bilinear(node, scale);
    return;
  }
  const neo_shape *shape = mx_shape(node, mx_in(node, 0));
  if (!shape || shape->rank != 4 || scale < 1 || scale > INT32_MAX)
    return;
  size[0] = shape->dim[2] * scale;
  size[1] = shape->dim[3] * scale;
  int *parts = neo_arena_alloc(node->im->e.graph->arena, sizeof(int) * (size_t)node->n_inputs);
  for (int k = 0; k < node->n_inputs; k++)
    parts[k] = resize(node, mx_in(node, k), "nearest", "asymmetric", size);
  if (node->n_inputs == 1) {
    mx_set(node, 0, parts[0]);
    return;
  }
  bool sum = mx_is(node, "multi_input_mode", "sum", false);
  neo_node *made = mx_emit(node, sum ? "sum" : "concat", node->n_inputs, parts);
  if (!sum)
    neo_node_set_int(node->im->e.graph, made, "axis", 1);
  mx_set(node, 0, made->output[0]);
}

void mx_bilinear(mx_node *node) {
  int64_t size[2];
  const neo_shape *shape = mx_shape(node, mx_in(node, 0));
  if (!shape || shape->rank != 4)
    return;
  const char *how = mx_bool(node, "align_corners", true) ? "align_corners" : "half_pixel";
  const neo_shape *like =
      mx_is(node, "mode", "like", false) ? mx_shape(node, mx_in(node, 1)) : NULL;
  if (like && like->rank == 4) {
    mx_set(node, 0, resize(node, mx_in(node, 0), "linear", how, like->dim + 2));
    return;
  }
  if (!mx_is(node, "mode", "size", true)) {
    mx_unsupported(node, "mode %s", mx_text(node, "mode", ""));
    return;
  }
  double h = mx_float(node, "scale_height", 0), w = mx_float(node, "scale_width", 0);
  size[0] = h > 0 && h < 1e6 ? (int64_t)((double)shape->dim[2] * h) : mx_int(node, "height", 1);
  size[1] = w > 0 && w < 1e6 ? (int64_t)((double)shape->dim[3] * w) : mx_int(node, "width", 1);
  mx_set(node, 0, resize(node, mx_in(node, 0), "linear", how, size));
}

/* [to, from]: what each of `to` windows, of any size, takes of a row of `from`. */
static int windows(mx_node *node, int64_t to, int64_t from) {
  neo_emitter *e = &node->im->e;
  double *v = neo_arena_alloc(e->graph->arena, sizeof *v * (size_t)(to * from + 1));
  for (int64_t i = 0; i < to; i++) {
    int64_t first = i * from / to, end = ((i + 1) * from + to - 1) / to;
    for (int64_t k = first; k < end; k++)
      v[i * from + k] = 1 / (double)(end - first);
  }
  return neo_emit_reshape(e, neo_emit_floats(e, (int)(to * from), v), 2, (int64_t[]){to, from});
}

/* Windows of unequal sizes are products with constant matrices. */
void mx_adaptive_pool(mx_node *node) {
  int64_t size[2] = {1, 1}, kernel[2];
  int n = mx_ints(node, "output_size", size, 2), x = mx_in(node, 0);
  const neo_shape *shape = mx_shape(node, x);
  bool equal = true;
  if (!shape || shape->rank != 4)
    return;
  if (n == 1)
    size[1] = size[0];
  for (int d = 0; d < 2; d++) {
    int64_t from = shape->dim[2 + d];
    if (size[d] < 1 || size[d] > 1 << 12 || from > 1 << 12) {
      mx_unsupported(node, "%" PRId64 " windows over %" PRId64, size[d], from);
      return;
    }
    equal = equal && from % size[d] == 0;
    kernel[d] = from / size[d];
  }
  if (!equal) {
    int64_t height = shape->dim[2], width = shape->dim[3];
    int across = mx_transpose_to(node, windows(node, size[1], width), 2, 0, 1);
    x = mx_two(node, "matmul", x, across);
    mx_set(node, 0, mx_two(node, "matmul", windows(node, size[0], height), x));
    return;
  }
  neo_node *made = mx_emit(node, "average_pool", 1, &x);
  neo_node_set_ints(node->im->e.graph, made, "kernel_shape", 2, kernel);
  neo_node_set_ints(node->im->e.graph, made, "strides", 2, kernel);
  mx_set(node, 0, made->output[0]);
}

/* ---- products ---------------------------------------------------------------------------------------------------- */

static int turned(mx_node *node, int value, const char *flag) {
  int rank = mx_bool(node, flag, false) ? mx_rank(node, value) : 0;
  return rank >= 2 ? mx_transpose_to(node, value, rank, rank - 2, rank - 1) : value;
}

/* dot: sums over a's last and b's first dimension. */
void mx_dot(mx_node *node) {
  int a = mx_in(node, 0), b = mx_in(node, 1), ra = mx_rank(node, a), rb = mx_rank(node, b);
  if (ra < 1 || rb < 1)
    return;
  if (ra > 2 || rb > 2) {
    if (rb > 2 || mx_bool(node, "transpose_a", false) || mx_bool(node, "transpose_b", false)) {
      mx_unsupported(node, "ranks %d and %d", ra, rb);
      return;
    }
  }
  int y = mx_two(node, "matmul", turned(node, a, "transpose_a"), turned(node, b, "transpose_b"));
  if (ra == 1 && rb == 1)
    y = neo_emit_reshape(&node->im->e, y, 1, (int64_t[]){1});
  mx_set(node, 0, y);
}

void mx_batch_dot(mx_node *node) {
  int a = turned(node, mx_in(node, 0), "transpose_a"),
      b = turned(node, mx_in(node, 1), "transpose_b");
  int y = mx_two(node, "matmul", a, b);
  double alpha = mx_float(node, "alpha", 1);
  mx_set(node, 0, alpha == 1 ? y : mx_two(node, "mul", y, mx_scalar(node, y, alpha)));
}

/* Ids are floats in old files. */
void mx_embedding(mx_node *node) {
  int ids = neo_emit_cast(&node->im->e, mx_in(node, 0), NEO_I64);
  mx_set(node, 0, mx_emit(node, "gather", 2, (int[]){mx_in(node, 1), ids})->output[0]);
}

/* [seq, batch, heads * 3 * width], interleaved per head: part 0 q, 1 k, 2 v, as [batch * heads,
 * seq, width]. */
static int interleaved(mx_node *node, int x, const neo_shape *s, int64_t heads, int64_t part) {
  neo_emitter *e = &node->im->e;
  int64_t seq = s->dim[0], batch = s->dim[1], width = s->dim[2] / heads / 3;
  x = neo_emit_reshape(e, x, 5, (int64_t[]){seq, batch, heads, 3, width});
  neo_node *made = mx_emit(node, "slice", 1, &x);
  neo_node_set_ints(e->graph, made, "starts", 1, &part);
  neo_node_set_ints(e->graph, made, "ends", 1, (int64_t[]){part + 1});
  neo_node_set_ints(e->graph, made, "axes", 1, (int64_t[]){3});
  x = neo_emit_transpose(e, made->output[0], 5, (int64_t[]){1, 2, 0, 3, 4});
  return neo_emit_reshape(e, x, 3, (int64_t[]){batch * heads, seq, width});
}

static const neo_shape *attention_shape(mx_node *node, int64_t *heads) {
  const neo_shape *s = mx_shape(node, mx_in(node, 0));
  *heads = mx_int(node, "heads", 1);
  if (s && (s->rank != 3 || *heads < 1 || s->dim[2] % (3 * *heads))) {
    mx_unsupported(node, "%" PRId64 " heads do not fit the input", *heads);
    return NULL;
  }
  return s;
}

void mx_selfatt_qk(mx_node *node) {
  int64_t heads;
  const neo_shape *s = attention_shape(node, &heads);
  if (!s)
    return;
  neo_shape shape = *s;
  double width = (double)(shape.dim[2] / heads / 3);
  int q = interleaved(node, mx_in(node, 0), &shape, heads, 0),
      k = interleaved(node, mx_in(node, 0), &shape, heads, 1);
  q = mx_two(node, "mul", q, mx_scalar(node, q, 1 / sqrt(width)));
  mx_set(node, 0, mx_two(node, "matmul", q, mx_transpose_to(node, k, 3, 1, 2)));
}

void mx_selfatt_valatt(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int64_t heads;
  const neo_shape *s = attention_shape(node, &heads);
  if (!s)
    return;
  int64_t seq = s->dim[0], batch = s->dim[1], width = s->dim[2] / heads / 3;
  neo_shape shape = *s;
  int y =
      mx_two(node, "matmul", mx_in(node, 1), interleaved(node, mx_in(node, 0), &shape, heads, 2));
  y = neo_emit_reshape(e, y, 4, (int64_t[]){batch, heads, seq, width});
  y = neo_emit_transpose(e, y, 4, (int64_t[]){2, 0, 1, 3});
  mx_set(node, 0, neo_emit_reshape(e, y, 3, (int64_t[]){seq, batch, heads * width}));
}
