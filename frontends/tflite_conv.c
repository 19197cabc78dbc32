/* frontends/tflite_conv.c: TFLite's convolutions, pools, matrix products and resizes.
 *
 * Data is NHWC, weights are OHWI (depthwise: 1HWO, transposed: OHWI with O the output, 3-d: DHWIO);
 * the IR's are NCHW and OIHW. SAME is the IR's same_upper. */
#include "frontends/tflite_import.h"

#include <inttypes.h>

static void set_padding(tfl_op *op, neo_node *node) {
  neo_node_set_string(
      op->im->e.graph, node, "auto_pad",
      tfl_option(op, TFL_CONV_PADDING, NEO_FB_I8, TFL_SAME) == TFL_SAME ? "same_upper" : "valid");
}

static void set_pair(tfl_op *op, neo_node *node, const char *name, int h, int w) {
  int64_t v[] = {tfl_option(op, h, NEO_FB_I32, 1), tfl_option(op, w, NEO_FB_I32, 1)};
  neo_node_set_ints(op->im->e.graph, node, name, 2, v);
}

/* Both operands have rank 4, else it is said. */
static bool images(tfl_op *op, int x, int w) {
  const tfl_tensor *weights = tfl_input(op, w);
  int rank = tfl_rank(op, x);
  if (rank == 4 && weights && tfl_rank(op, w) == 4)
    return true;
  tfl_unsupported(op, "input of rank %d, weights of rank %d; both must be 4", rank,
                  weights ? tfl_rank(op, w) : -1);
  return false;
}

static int bias(tfl_op *op, int k) {
  return tfl_input(op, k) ? tfl_in(op, k) : NEO_NO_VALUE;
}

/* The operands of a convolution, NCHW: as stored where the whole operator is one of integers. */
typedef struct operands {
  bool integer;
  int x, w, bias, axis; /* axis: output channels in the file's weights */
} operands;

static operands read_operands(tfl_op *op, int axis, const int64_t *weights_perm) {
  neo_emitter *e = &op->im->e;
  operands o = {.integer = tfl_integer_product(op, axis), .bias = NEO_NO_VALUE, .axis = axis};
  o.x = tfl_to_nchw(op, o.integer ? tfl_raw(op, 0) : tfl_in(op, 0), 4);
  o.w = neo_emit_transpose(e, o.integer ? tfl_centred_weights(op) : tfl_in(op, 1), 4, weights_perm);
  if (!o.integer)
    o.bias = bias(op, 2);
  return o;
}

static void finish(tfl_op *op, const operands *o, neo_node *node, int option) {
  neo_graph *graph = op->im->e.graph;
  int sum = node->output[0];
  if (!o->integer) {
    tfl_set_active(op, 0, tfl_to_nhwc(op, sum, 4), option);
    return;
  }
  neo_node_set_string(graph, node, "to", "i32");
  neo_node_set_float(graph, node, "pad_value",
                     (double)neo_fb_element(&tfl_input(op, 0)->zero_point, NEO_FB_I64, 0));
  sum = tfl_finish_product(op, sum, o->axis, 2, option);
  tfl_set_raw(op, 0, tfl_to_nhwc(op, sum, 4));
}

void tfl_conv(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  if (!images(op, 0, 1))
    return;
  int64_t channels = tfl_dim(op, 0, 3), per_group = tfl_dim(op, 1, 3);
  operands o = read_operands(op, 0, (int64_t[]){0, 3, 1, 2});
  neo_node *node = tfl_node(op, "conv", 3, (int[]){o.x, o.w, o.bias});
  set_padding(op, node);
  set_pair(op, node, "strides", TFL_CONV_STRIDE_H, TFL_CONV_STRIDE_W);
  set_pair(op, node, "dilations", TFL_CONV_DILATION_H, TFL_CONV_DILATION_W);
  if (channels > per_group && per_group > 0)
    neo_node_set_int(e->graph, node, "group", channels / per_group);
  finish(op, &o, node, TFL_CONV_ACTIVATION);
}

/* Weights [1, h, w, channels * multiplier], output channel c * multiplier + m. */
void tfl_depthwise(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  if (!images(op, 0, 1))
    return;
  int64_t channels = tfl_dim(op, 0, 3);
  if (channels < 1) {
    tfl_unsupported(op, "the number of channels is free");
    return;
  }
  operands o = read_operands(op, 3, (int64_t[]){3, 0, 1, 2});
  neo_node *node = tfl_node(op, "conv", 3, (int[]){o.x, o.w, o.bias});
  set_padding(op, node);
  set_pair(op, node, "strides", TFL_CONV_STRIDE_H, TFL_CONV_STRIDE_W);
  set_pair(op, node, "dilations", TFL_DEPTHWISE_DILATION_H, TFL_DEPTHWISE_DILATION_W);
  neo_node_set_int(e->graph, node, "group", channels);
  finish(op, &o, node, TFL_DEPTHWISE_ACTIVATION);
}

/* Padding of the forward convolution from `out` to `in`: what it pads is cut off here. */
static void transposed_window(int64_t in, int64_t out, int64_t kernel, int64_t stride, bool same,
                              int64_t pad[3]) {
  int64_t full = (in - 1) * stride + kernel, over = full > out ? full - out : 0;
  pad[0] = same ? over / 2 : 0;
  pad[1] = same ? over - over / 2 : over;
  pad[2] = out > full ? out - full : 0;
}

/* Inputs: output shape, weights [out, h, w, in], data, bias. */
void tfl_transpose_conv(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int64_t out[4], pads[4], more[2], stride[2], pad[3];
  if (!images(op, 2, 1) || tfl_ints(op, 0, out, 4) != 4)
    return;
  bool same = tfl_option(op, TFL_CONV_PADDING, NEO_FB_I8, TFL_SAME) == TFL_SAME;
  for (int d = 0; d < 2; d++) {
    int64_t in = tfl_dim(op, 2, 1 + d), kernel = tfl_dim(op, 1, 1 + d);
    stride[d] = tfl_option(op, d ? TFL_CONV_STRIDE_W : TFL_CONV_STRIDE_H, NEO_FB_I32, 1);
    if (in < 1 || stride[d] < 1 || stride[d] > INT32_MAX || in > INT32_MAX) {
      tfl_unsupported(op, "the image's size is free");
      return;
    }
    transposed_window(in, out[1 + d], kernel, stride[d], same, pad);
    pads[d] = pad[0];
    pads[2 + d] = pad[1];
    more[d] = pad[2];
  }
  bool bytes = tfl_integer_transposed(op);
  int x = tfl_to_nchw(op, bytes ? tfl_centred(op, 2) : tfl_in(op, 2), 4);
  int w = bytes ? neo_emit_cast(e, tfl_raw(op, 1), NEO_I32) : tfl_in(op, 1);
  w = neo_emit_transpose(e, w, 4, (int64_t[]){3, 0, 1, 2});
  neo_node *node = tfl_node(op, "conv_transpose", bytes ? 2 : 3,
                            (int[]){x, w, bytes ? NEO_NO_VALUE : bias(op, 3)});
  neo_node_set_ints(e->graph, node, "strides", 2, stride);
  neo_node_set_ints(e->graph, node, "pads", 4, pads);
  neo_node_set_ints(e->graph, node, "output_padding", 2, more);
  int y = tfl_to_nhwc(op, node->output[0], 4);
  if (bytes)
    tfl_finish_transposed(op, y);
  else
    tfl_set_active(op, 0, y, TFL_CONV_ACTIVATION);
}

void tfl_conv3d(tfl_op *op) {
  static const int strides[] = {TFL_CONV3D_STRIDE_D, TFL_CONV3D_STRIDE_H, TFL_CONV3D_STRIDE_W},
                   dilations[] = {TFL_CONV3D_DILATION_D, TFL_CONV3D_DILATION_H,
                                  TFL_CONV3D_DILATION_W};
  neo_emitter *e = &op->im->e;
  int64_t stride[3], dilation[3];
  if (tfl_rank(op, 0) != 5 || !tfl_input(op, 1) || tfl_rank(op, 1) != 5) {
    tfl_unsupported(op, "input and weights must have rank 5");
    return;
  }
  int64_t channels = tfl_dim(op, 0, 4), per_group = tfl_dim(op, 1, 3);
  int x = tfl_to_nchw(op, tfl_in(op, 0), 5);
  int w = neo_emit_transpose(e, tfl_in(op, 1), 5, (int64_t[]){4, 3, 0, 1, 2});
  neo_node *node = tfl_node(op, "conv", 3, (int[]){x, w, bias(op, 2)});
  for (int d = 0; d < 3; d++) {
    stride[d] = tfl_option(op, strides[d], NEO_FB_I32, 1);
    dilation[d] = tfl_option(op, dilations[d], NEO_FB_I32, 1);
  }
  set_padding(op, node);
  neo_node_set_ints(e->graph, node, "strides", 3, stride);
  neo_node_set_ints(e->graph, node, "dilations", 3, dilation);
  if (channels > per_group && per_group > 0)
    neo_node_set_int(e->graph, node, "group", channels / per_group);
  tfl_set_active(op, 0, tfl_to_nhwc(op, node->output[0], 5), TFL_CONV3D_ACTIVATION);
}

/* ---- pools -------------------------------------------------------------------------------------- */

static int pool(tfl_op *op, const char *name, int x) {
  x = tfl_to_nchw(op, x, 4);
  neo_node *node = tfl_node(op, name, 1, &x);
  set_padding(op, node);
  set_pair(op, node, "strides", TFL_CONV_STRIDE_H, TFL_CONV_STRIDE_W);
  set_pair(op, node, "kernel_shape", TFL_POOL_FILTER_H, TFL_POOL_FILTER_W);
  return tfl_to_nhwc(op, node->output[0], 4);
}

void tfl_pool(tfl_op *op) {
  if (op->row->code == 1 && tfl_bytes(op, 0) &&
      tfl_same_scales(tfl_input(op, 0), tfl_output(op, 0))) {
    int x = neo_emit_cast(&op->im->e, tfl_raw(op, 0), NEO_F32);
    tfl_store_average(op, pool(op, op->row->op, x), TFL_POOL_ACTIVATION);
    return;
  }
  tfl_set_active(op, 0, pool(op, op->row->op, tfl_in(op, 0)), TFL_POOL_ACTIVATION);
}

/* The root of the mean of squares. */
void tfl_l2_pool(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int x = tfl_in(op, 0);
  int mean = pool(op, "average_pool", neo_emit_binary(e, "mul", x, x));
  tfl_set_active(op, 0, neo_emit_unary(e, "sqrt", mean), TFL_POOL_ACTIVATION);
}

/* ---- matrix products ------------------------------------------------------------------------------ */

static void integer_rows(tfl_op *op, int64_t width, bool keep) {
  neo_emitter *e = &op->im->e;
  int x = tfl_raw(op, 0), rank = tfl_rank(op, 0);
  int w = neo_emit_transpose(e, tfl_centred_weights(op), 2, (int64_t[]){1, 0});
  if (!keep && (rank != 2 || tfl_dim(op, 0, 1) != width))
    x = neo_emit_reshape(e, x, 2, (int64_t[]){-1, width});
  neo_node *node = tfl_node(op, "matmul", 2, (int[]){x, w});
  neo_node_set_string(e->graph, node, "to", "i32");
  tfl_set_raw(op, 0, tfl_finish_product(op, node->output[0], 0, 0, TFL_FC_ACTIVATION));
}

/* x is flattened to rows of the weights' [out, in] width, unless the dimensions are kept. */
void tfl_fully_connected(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int64_t width = tfl_dim(op, 1, 1);
  bool keep = tfl_option(op, TFL_FC_KEEP_DIMS, NEO_FB_U8, 0) != 0;
  if (tfl_option(op, TFL_FC_FORMAT, NEO_FB_I8, 0) != 0 || width < 1 || tfl_rank(op, 1) != 2) {
    tfl_unsupported(op, "shuffled or unshaped weights");
    return;
  }
  if (tfl_integer_product(op, 0)) {
    integer_rows(op, width, keep);
    return;
  }
  int x = tfl_in(op, 0), rank = tfl_rank(op, 0), w = tfl_in(op, 1), b = bias(op, 2), y;
  if (rank != 2 && keep) {
    w = neo_emit_transpose(e, w, 2, (int64_t[]){1, 0});
    y = neo_emit_binary(e, "matmul", x, w);
    if (b != NEO_NO_VALUE)
      y = neo_emit_binary(e, "add", y, b);
  } else {
    if (rank != 2 || tfl_dim(op, 0, 1) != width)
      x = neo_emit_reshape(e, x, 2, (int64_t[]){-1, width});
    neo_node *node = tfl_node(op, "gemm", 3, (int[]){x, w, b});
    neo_node_set_int(e->graph, node, "trans_b", 1);
    y = node->output[0];
  }
  tfl_set_active(op, 0, y, TFL_FC_ACTIVATION);
}

static int matrix(tfl_op *op, int k, int adjoint, bool bytes) {
  int64_t perm[NEO_MAX_RANK];
  int value = bytes ? tfl_raw(op, k) : tfl_in(op, k), rank = tfl_rank(op, k);
  if (!tfl_option(op, adjoint, NEO_FB_U8, 0) || rank < 2)
    return value;
  for (int d = 0; d < rank; d++)
    perm[d] = d;
  perm[rank - 2] = rank - 1;
  perm[rank - 1] = rank - 2;
  return neo_emit_transpose(&op->im->e, value, rank, perm);
}

void tfl_batch_matmul(tfl_op *op) {
  bool bytes = tfl_bytes(op, 0) && tfl_bytes(op, 1);
  int a = matrix(op, 0, 0, bytes), b = matrix(op, 1, 1, bytes);
  if (bytes)
    tfl_integer_matmul(op, a, b);
  else
    tfl_set(op, 0, neo_emit_binary(&op->im->e, "matmul", a, b));
}

/* Row `ids` of a table. */
void tfl_embedding(tfl_op *op) {
  int table = tfl_in(op, 1);
  tfl_set(op, 0, tfl_node(op, "gather", 2, (int[]){table, tfl_raw(op, 0)})->output[0]);
}

/* ---- resizes --------------------------------------------------------------------------------------- */

/* Sizes are input 1: [height, width]. */
static neo_node *resize(tfl_op *op, const char *mode) {
  neo_emitter *e = &op->im->e;
  int64_t size[2];
  if (tfl_ints(op, 1, size, 2) != 2)
    return NULL;
  int x = tfl_to_nchw(op, tfl_in(op, 0), 4), sizes = neo_emit_ints(e, 2, size);
  neo_node *node = tfl_node(op, "resize", 4, (int[]){x, NEO_NO_VALUE, NEO_NO_VALUE, sizes});
  neo_node_set_string(e->graph, node, "mode", mode);
  neo_node_set_ints(e->graph, node, "axes", 2, (int64_t[]){2, 3});
  return node;
}

void tfl_resize_bilinear(tfl_op *op) {
  bool align = tfl_option(op, TFL_BILINEAR_ALIGN, NEO_FB_U8, 0) != 0,
       half = tfl_option(op, TFL_BILINEAR_HALF, NEO_FB_U8, 0) != 0;
  if (tfl_integer_bilinear(op, align, half))
    return;
  neo_node *node = resize(op, "linear");
  if (!node)
    return;
  neo_node_set_string(op->im->e.graph, node, "coordinate_transformation_mode",
                      align  ? "align_corners"
                      : half ? "half_pixel"
                             : "asymmetric");
  tfl_set(op, 0, tfl_to_nhwc(op, node->output[0], 4));
}

void tfl_resize_nearest(tfl_op *op) {
  neo_node *node = resize(op, "nearest");
  bool align = tfl_option(op, TFL_NEAREST_ALIGN, NEO_FB_U8, 0) != 0,
       half = tfl_option(op, TFL_NEAREST_HALF, NEO_FB_U8, 0) != 0;
  if (!node)
    return;
  neo_node_set_string(op->im->e.graph, node, "coordinate_transformation_mode",
                      align  ? "align_corners"
                      : half ? "tf_half_pixel_for_nn"
                             : "asymmetric");
  neo_node_set_string(op->im->e.graph, node, "nearest_mode", align ? "round_prefer_ceil" : "floor");
  tfl_set(op, 0, tfl_to_nhwc(op, node->output[0], 4));
}
