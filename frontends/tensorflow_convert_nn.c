/* frontends/tensorflow_convert_nn.c: rows of tensorflow_ops.def on images: convolutions, pools,
 * normalisation, resizing, blocks.
 *
 * Our operators want channels second; NHWC data goes through a transpose before and one behind,
 * which ir/pass_transpose.c takes away. */
#include "frontends/tensorflow_convert.h"

#include <string.h>

static bool channels_last(const tf_node *node) {
  return !tf_string_is(node, "data_format", "NHWC", "NCHW") &&
         !tf_string_is(node, "data_format", "NHWC", "NCDHW");
}

/* rank - 1 -> 1, the rest moves up; or back. */
static int channels_to(tf_import *im, int x, int rank, bool first) {
  int64_t perm[NEO_MAX_RANK];
  for (int d = 0; d < rank; d++)
    perm[d] = first ? (d == 0   ? 0
                       : d == 1 ? rank - 1
                                : d - 1)
                    : (d == 0          ? 0
                       : d == rank - 1 ? 1
                                       : d + 1);
  return neo_emit_transpose(im->e, x, rank, perm);
}

static int to_first(tf_import *im, const tf_node *node, int x, int rank) {
  return channels_last(node) ? channels_to(im, x, rank, true) : x;
}

static neo_status set_image(tf_import *im, tf_node *node, int x, int rank) {
  return tf_set1(node, channels_last(node) ? channels_to(im, x, rank, false) : x);
}

/* The spatial values of an attribute with one value for each dimension (default 1). */
static bool spatial(tf_import *im, tf_node *node, const char *attr, int rank, int64_t *out) {
  int64_t all[NEO_MAX_RANK];
  int n = tf_ints(node, attr, all, NEO_MAX_RANK), from = channels_last(node) ? 1 : 2;
  for (int d = 0; d < rank - 2; d++)
    out[d] = n == rank ? all[from + d] : 1;
  if (n == rank && (all[0] != 1 || all[channels_last(node) ? rank - 1 : 1] != 1)) {
    tf_unsupported(im, node, "%s over batch or channels", attr);
    return false;
  }
  if (n >= 0 && n != rank && n != 0) {
    tf_unsupported(im, node, "%s with %d values", attr, n);
    return false;
  }
  return true;
}

static void set_padding(tf_import *im, const tf_node *node, neo_node *made, int rank) {
  int64_t all[2 * NEO_MAX_RANK], pads[2 * NEO_MAX_RANK];
  int from = channels_last(node) ? 1 : 2;
  if (tf_string_is(node, "padding", "", "SAME"))
    neo_node_set_string(im->e->graph, made, "auto_pad", "same_upper");
  if (tf_string_is(node, "padding", "", "VALID"))
    neo_node_set_string(im->e->graph, made, "auto_pad", "valid");
  if (!tf_string_is(node, "padding", "", "EXPLICIT") ||
      tf_ints(node, "explicit_paddings", all, 2 * NEO_MAX_RANK) != 2 * rank)
    return;
  for (int d = 0; d < rank - 2; d++) {
    pads[d] = all[2 * (from + d)];
    pads[rank - 2 + d] = all[2 * (from + d) + 1];
  }
  neo_node_set_ints(im->e->graph, made, "pads", 2 * (rank - 2), pads);
}

/* ---- convolutions ------------------------------------------------------------------------------------ */

/* HWIO, DHWIO -> OIHW, OIDHW */
static int weights_first(tf_import *im, int w, int rank) {
  int64_t perm[NEO_MAX_RANK] = {rank - 1, rank - 2};
  for (int d = 0; d < rank - 2; d++)
    perm[d + 2] = d;
  return neo_emit_transpose(im->e, w, rank, perm);
}

static neo_status emit_conv(tf_import *im, tf_node *node, int w, int rank, int64_t group) {
  int64_t strides[NEO_MAX_RANK], dilations[NEO_MAX_RANK];
  if (!spatial(im, node, "strides", rank, strides) ||
      !spatial(im, node, "dilations", rank, dilations))
    return NEO_OK;
  int x = to_first(im, node, tf_in(node, 0), rank);
  neo_node *made = neo_emit_node(im->e, "conv", 2, (int[]){x, w}, 1);
  neo_graph *g = im->e->graph;
  neo_node_set_ints(g, made, "strides", rank - 2, strides);
  neo_node_set_ints(g, made, "dilations", rank - 2, dilations);
  neo_node_set_int(g, made, "group", group);
  set_padding(im, node, made, rank);
  return set_image(im, node, made->output[0], rank);
}

/* Conv2D, Conv3D: channels of the input over those of a filter are groups. */
neo_status tf_conv(tf_import *im, tf_node *node) {
  int rank = node->row->arg[0] - '0' + 2;
  const neo_shape *w = neo_emit_shape(im->e, tf_in(node, 1));
  int64_t group = 1, per = w && w->rank == rank ? w->dim[rank - 2] : 0;
  const neo_shape *x = neo_emit_shape(im->e, tf_in(node, 0));
  if (x && x->rank == rank && per > 0)
    group = x->dim[channels_last(node) ? rank - 1 : 1] / per;
  return emit_conv(im, node, weights_first(im, tf_in(node, 1), rank), rank, group > 0 ? group : 1);
}

/* DepthwiseConv2dNative: filter [h, w, c, m] -> [c * m, 1, h, w] */
neo_status tf_depthwise(tf_import *im, tf_node *node) {
  const neo_shape *w = neo_emit_shape(im->e, tf_in(node, 1));
  if (!w || w->rank != 4)
    return tf_unknown(im, node, "the shape of its filter is not known");
  const int64_t shape[4] = {w->dim[2] * w->dim[3], 1, w->dim[0], w->dim[1]}, group = w->dim[2];
  int moved = neo_emit_transpose(im->e, tf_in(node, 1), 4, (int64_t[]){2, 3, 0, 1});
  return emit_conv(im, node, neo_emit_reshape(im->e, moved, 4, shape), 4, group);
}

typedef struct reversed {
  int rank;
  int64_t strides[NEO_MAX_RANK], dilations[NEO_MAX_RANK];
  bool automatic; /* SAME without sizes: multiplied by the stride */
  int64_t pads[2 * NEO_MAX_RANK], extra[NEO_MAX_RANK];
} reversed;

/* Padding of the convolution that it reverses, from the sizes; without them what frameworks ask
 * for: SAME multiplies sizes by the stride, VALID adds what the kernel needs. */
static void reversed_padding(tf_import *im, const tf_node *node, reversed *r) {
  const neo_shape *x = neo_emit_shape(im->e, tf_in(node, 2)),
                  *w = neo_emit_shape(im->e, tf_in(node, 1));
  const neo_tensor *sizes = tf_const(im, node, 0);
  int n = r->rank - 2, from = channels_last(node) ? 1 : 2;
  bool same = tf_string_is(node, "padding", "", "SAME");
  bool whole = sizes && sizes->shape.rank == 1 && sizes->shape.dim[0] == r->rank && x &&
               x->rank == r->rank && w && w->rank == r->rank;
  r->automatic = same && !whole;
  for (int d = 0; d < n && !r->automatic; d++) {
    int64_t kernel = w && w->rank == r->rank ? (w->dim[d] - 1) * r->dilations[d] + 1 : 1;
    int64_t full = whole ? (x->dim[from + d] - 1) * r->strides[d] + kernel : 0;
    int64_t cut = whole ? full - neo_tensor_get_i64(sizes, from + d) : kernel - r->strides[d];
    cut = whole || cut < 0 ? cut : 0;
    r->pads[d] = same && cut > 0 ? cut / 2 : 0;
    r->pads[n + d] = cut > 0 ? cut - r->pads[d] : 0;
    r->extra[d] = cut < 0 ? -cut : 0;
  }
}

/* Conv2DBackpropInput(sizes, filter [h, w, out, in], x) */
neo_status tf_conv_backprop(tf_import *im, tf_node *node) {
  reversed r = {.rank = node->row->arg[0] - '0' + 2};
  if (!spatial(im, node, "strides", r.rank, r.strides) ||
      !spatial(im, node, "dilations", r.rank, r.dilations))
    return NEO_OK;
  if (tf_string_is(node, "padding", "", "EXPLICIT"))
    return tf_unsupported(im, node, "explicit paddings");
  reversed_padding(im, node, &r);
  int w = weights_first(im, tf_in(node, 1), r.rank);
  int x = to_first(im, node, tf_in(node, 2), r.rank);
  neo_node *made = neo_emit_node(im->e, "conv_transpose", 2, (int[]){x, w}, 1);
  neo_graph *g = im->e->graph;
  neo_node_set_ints(g, made, "strides", r.rank - 2, r.strides);
  neo_node_set_ints(g, made, "dilations", r.rank - 2, r.dilations);
  if (r.automatic) {
    neo_node_set_string(g, made, "auto_pad", "same_upper");
  } else {
    neo_node_set_ints(g, made, "pads", 2 * (r.rank - 2), r.pads);
    neo_node_set_ints(g, made, "output_padding", r.rank - 2, r.extra);
  }
  return set_image(im, node, made->output[0], r.rank);
}

/* ---- pools ------------------------------------------------------------------------------------------- */

/* MaxPool, AvgPool and their 3-D forms: arg is "OPERATOR DIMENSIONS". */
neo_status tf_pool(tf_import *im, tf_node *node) {
  int64_t kernel[NEO_MAX_RANK], strides[NEO_MAX_RANK];
  size_t length = strcspn(node->row->arg, " ");
  int rank = node->row->arg[length + 1] - '0' + 2;
  char *op = neo_arena_strndup(&im->arena, node->row->arg, length);
  if (!spatial(im, node, "ksize", rank, kernel) || !spatial(im, node, "strides", rank, strides))
    return NEO_OK;
  int x = to_first(im, node, tf_in(node, 0), rank);
  neo_node *made = neo_emit_node(im->e, op, 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "kernel_shape", rank - 2, kernel);
  neo_node_set_ints(im->e->graph, made, "strides", rank - 2, strides);
  set_padding(im, node, made, rank);
  return set_image(im, node, made->output[0], rank);
}

/* ---- normalisation ----------------------------------------------------------------------------------- */

/* Mean and variance of x = in[0] over all but its channels. Given out, the variance is that of the
 * population. */
static void batch_statistics(tf_import *im, tf_node *node, int rank, int *in) {
  neo_emitter *e = im->e;
  int64_t axes[NEO_MAX_RANK] = {0, 2, 3, 4};
  for (int k = 3; k <= 4; k++) {
    int x = k == 3 ? in[0] : NEO_NO_VALUE;
    if (k == 4) {
      int64_t spread[NEO_MAX_RANK] = {-1, 1, 1, 1};
      x = neo_emit_binary(e, "sub", in[0], neo_emit_reshape(e, in[3], rank - 1, spread));
      x = neo_emit_binary(e, "mul", x, x);
    }
    neo_node *made = neo_emit_node(e, "reduce_mean", 1, &x, 1);
    neo_node_set_ints(e->graph, made, "axes", rank - 1, axes);
    neo_node_set_int(e->graph, made, "keepdims", 0);
    in[k] = made->output[0];
  }
  const neo_shape *shape = neo_emit_shape(e, in[0]);
  int64_t n = 1;
  for (int d = 0; shape && d < rank; d++)
    n *= d == 1 ? 1 : shape->dim[d];
  double unbiased = n > 1 ? (double)n / (double)(n - 1) : 1;
  tf_set(node, 1, in[3]);
  tf_set(node, 2, neo_emit_binary(e, "mul", in[4], neo_emit_scalar(e, NEO_F32, unbiased)));
}

/* FusedBatchNorm*(x, scale, offset, mean, variance) */
neo_status tf_fused_batch_norm(tf_import *im, tf_node *node) {
  int rank = tf_string_is(node, "data_format", "NHWC", "NDHWC") ||
                     tf_string_is(node, "data_format", "NHWC", "NCDHW")
                 ? 5
                 : 4;
  bool training = tf_bool(node, "is_training", true);
  if (node->n_inputs < (training ? 3 : 5))
    return tf_bad(im, node, "%d inputs", node->n_inputs);
  int in[5] = {to_first(im, node, tf_in(node, 0), rank), tf_in(node, 1), tf_in(node, 2),
               tf_in(node, 3), tf_in(node, 4)};
  if (training)
    batch_statistics(im, node, rank, in);
  neo_node *made = neo_emit_node(im->e, "batch_norm", 5, in, 1);
  neo_node_set_float(im->e->graph, made, "epsilon", tf_float(node, "epsilon", 1e-4));
  return set_image(im, node, made->output[0], rank);
}

/* LRN over 2 * depth_radius + 1 channels; ONNX divides alpha by their number. */
neo_status tf_lrn(tf_import *im, tf_node *node) {
  int64_t radius = tf_int(node, "depth_radius", 5), size = 2 * radius + 1;
  if (radius < 0 || radius > 1 << 20)
    return tf_bad(im, node, "depth_radius is %lld", (long long)radius);
  int x = channels_to(im, tf_in(node, 0), 4, true);
  neo_node *made = neo_emit_node(im->e, "lrn", 1, &x, 1);
  neo_node_set_int(im->e->graph, made, "size", size);
  neo_node_set_float(im->e->graph, made, "alpha", tf_float(node, "alpha", 1) * (double)size);
  neo_node_set_float(im->e->graph, made, "beta", tf_float(node, "beta", 0.5));
  neo_node_set_float(im->e->graph, made, "bias", tf_float(node, "bias", 1));
  return tf_set1(node, channels_to(im, made->output[0], 4, false));
}

/* ---- resizing, blocks -------------------------------------------------------------------------------- */

/* ResizeBilinear, ResizeNearestNeighbor, ResizeBicubic (x, size) */
neo_status tf_resize(tf_import *im, tf_node *node) {
  const char *mode = node->row->arg;
  bool corners = tf_bool(node, "align_corners", false), nearest = strcmp(mode, "nearest") == 0;
  bool half = tf_bool(node, "half_pixel_centers", false);
  int64_t axes[2] = {2, 3};
  int x = channels_to(im, tf_in(node, 0), 4, true);
  if (!nearest && tf_type(node, "T") != NEO_F32)
    x = neo_emit_cast(im->e, x, NEO_F32);
  int in[4] = {x, NEO_NO_VALUE, NEO_NO_VALUE, tf_in(node, 1)};
  neo_node *made = neo_emit_node(im->e, "resize", 4, in, 1);
  neo_graph *g = im->e->graph;
  neo_node_set_string(g, made, "mode", mode);
  neo_node_set_ints(g, made, "axes", 2, axes);
  neo_node_set_string(g, made, "coordinate_transformation_mode",
                      corners   ? "align_corners"
                      : !half   ? "asymmetric"
                      : nearest ? "tf_half_pixel_for_nn"
                                : "half_pixel");
  neo_node_set_string(g, made, "nearest_mode", corners ? "round_prefer_ceil" : "floor");
  neo_node_set_float(g, made, "cubic_coeff_a", half ? -0.5 : -0.75);
  neo_node_set_int(g, made, "exclude_outside", half && strcmp(mode, "cubic") == 0);
  if (strcmp(mode, "cubic") == 0)
    neo_node_set_int(g, made, "fraction_steps", 1024);
  return tf_set1(node, channels_to(im, made->output[0], 4, false));
}

/* SpaceToDepth, DepthToSpace */
neo_status tf_depth_space(tf_import *im, tf_node *node) {
  int x = to_first(im, node, tf_in(node, 0), 4);
  neo_node *made = neo_emit_node(im->e, node->row->arg, 1, &x, 1);
  neo_node_set_int(im->e->graph, made, "blocksize", tf_int(node, "block_size", 0));
  return set_image(im, node, made->output[0], 4);
}

typedef struct blocks {
  int m, rank;
  int64_t size[4], pad[8]; /* per block dimension; begin and end */
  neo_shape x;
} blocks;

static bool read_blocks(tf_import *im, tf_node *node, blocks *b) {
  const neo_tensor *pads = tf_const(im, node, 2);
  const neo_shape *x = neo_emit_shape(im->e, tf_in(node, 0));
  if (!tf_const_ints(im, node, 1, b->size, 4, &b->m))
    return false;
  int64_t n = 0;
  bool sound = pads && x && x->rank > b->m && x->rank + b->m <= NEO_MAX_RANK &&
               neo_shape_elements(&pads->shape, &n) && n == 2 * b->m;
  for (int i = 0; i < b->m; i++)
    sound &= b->size[i] > 0 && b->size[i] < 1 << 20;
  if (!sound) {
    tf_unknown(im, node, "its shapes are not known or do not fit");
    return false;
  }
  for (int i = 0; i < 2 * b->m; i++)
    b->pad[i] = neo_tensor_get_i64(pads, i);
  b->x = *x;
  b->rank = x->rank;
  return true;
}

/* SpaceToBatchND(x, block, paddings): pad, split each dimension, blocks first. */
neo_status tf_space_to_batch(tf_import *im, tf_node *node) {
  blocks b;
  int64_t pads[2 * NEO_MAX_RANK] = {0}, parts[NEO_MAX_RANK], perm[NEO_MAX_RANK], to[NEO_MAX_RANK];
  if (!read_blocks(im, node, &b))
    return NEO_OK;
  int n = 0, p = 0, x = tf_in(node, 0);
  parts[n++] = to[0] = b.x.dim[0];
  for (int i = 0; i < b.m; i++) {
    int64_t padded = b.x.dim[i + 1] + b.pad[2 * i] + b.pad[2 * i + 1];
    pads[i + 1] = b.pad[2 * i];
    pads[b.rank + i + 1] = b.pad[2 * i + 1];
    to[i + 1] = padded / b.size[i];
    to[0] *= b.size[i];
    parts[n++] = to[i + 1];
    parts[n++] = b.size[i];
    perm[p++] = 2 + 2 * i;
  }
  perm[p++] = 0;
  for (int i = 0; i < b.m; i++)
    perm[p++] = 1 + 2 * i;
  for (int d = b.m + 1; d < b.rank; d++) {
    perm[p++] = n;
    parts[n++] = to[d] = b.x.dim[d];
  }
  neo_node *pad = neo_emit_node(im->e, "pad", 1, &x, 1);
  neo_node_set_ints(im->e->graph, pad, "pads", 2 * b.rank, pads);
  x = neo_emit_reshape(im->e, pad->output[0], n, parts);
  return tf_set1(node, neo_emit_reshape(im->e, neo_emit_transpose(im->e, x, n, perm), b.rank, to));
}

/* BatchToSpaceND(x, block, crops): the reverse. */
neo_status tf_batch_to_space(tf_import *im, tf_node *node) {
  blocks b;
  int64_t pads[2 * NEO_MAX_RANK] = {0}, parts[NEO_MAX_RANK], perm[NEO_MAX_RANK], to[NEO_MAX_RANK];
  if (!read_blocks(im, node, &b))
    return NEO_OK;
  int n = 0, p = 0, x = tf_in(node, 0);
  to[0] = b.x.dim[0];
  for (int i = 0; i < b.m; i++) {
    parts[n++] = b.size[i];
    to[0] /= b.size[i];
    to[i + 1] = b.x.dim[i + 1] * b.size[i];
    pads[i + 1] = -b.pad[2 * i];
    pads[b.rank + i + 1] = -b.pad[2 * i + 1];
  }
  parts[n++] = to[0];
  perm[p++] = b.m;
  for (int i = 0; i < b.m; i++) {
    perm[p++] = n;
    perm[p++] = i;
    parts[n++] = b.x.dim[i + 1];
  }
  for (int d = b.m + 1; d < b.rank; d++) {
    perm[p++] = n;
    parts[n++] = to[d] = b.x.dim[d];
  }
  x = neo_emit_reshape(im->e, x, n, parts);
  x = neo_emit_reshape(im->e, neo_emit_transpose(im->e, x, n, perm), b.rank, to);
  neo_node *crop = neo_emit_node(im->e, "pad", 1, &x, 1);
  neo_node_set_ints(im->e->graph, crop, "pads", 2 * b.rank, pads);
  return tf_set1(node, crop->output[0]);
}
