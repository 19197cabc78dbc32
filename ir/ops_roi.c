/* ir/ops_roi.c: max_roi_pool (ONNX's MaxRoiPool, MXNet's ROIPooling), written as two masked maxima.
 *
 * Region r of rois [r, 5] (image, x1, y1, x2, y2, both ends inside) is cut into bins; the bins of a
 * dimension may overlap by a pixel, so each is a mask over the pixels of that dimension: first the
 * maximum over columns for every column of bins, then over rows. A bin with no pixel is 0. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>

/* Halves away from 0. */
static int rounded(neo_expander *x, int v) {
  int size = neo_xp_1(x, "floor", neo_xp_c(x, "add", neo_xp_1(x, "abs", v), 0.5));
  return neo_xp_2(x, "mul", size, neo_xp_1(x, "sign", v));
}

/* Which of `pixels` are in which of `bins` of each region, bool [regions, bins, pixels]. rois are
 * scaled; from: the column where the dimension begins. */
static int mask_of(neo_expander *x, int rois, int from, int64_t bins, int64_t pixels) {
  int64_t n = neo_xp_dim(x, rois, 0);
  int start = rounded(x, neo_xp_slice(x, rois, 1, from, from + 1));
  int end = rounded(x, neo_xp_slice(x, rois, 1, from + 2, from + 3));
  int length = neo_xp_c(x, "max", neo_xp_c(x, "add", neo_xp_2(x, "sub", end, start), 1), 1);
  int size = neo_xp_c(x, "div", length, (double)bins);
  int bin = neo_xp_iota(x, NEO_F32, bins), pixel = neo_xp_iota(x, NEO_F32, pixels);
  int low = neo_xp_1(x, "floor", neo_xp_2(x, "mul", size, bin));
  int high = neo_xp_1(x, "ceil", neo_xp_2(x, "mul", size, neo_xp_c(x, "add", bin, 1)));
  const int64_t column[3] = {n, bins, 1};
  low = neo_xp_reshape(x, neo_xp_2(x, "add", low, start), 3, column);
  high = neo_xp_reshape(x, neo_xp_2(x, "add", high, start), 3, column);
  return neo_xp_2(x, "and", neo_xp_2(x, "greater_equal", pixel, low),
                  neo_xp_2(x, "less", pixel, high));
}

static int masked_max(neo_expander *x, int mask, int v, int axis) {
  int none = neo_xp_scalar(x, neo_xp_dtype(x, v), -INFINITY);
  return neo_xp_reduce(x, "reduce_max", neo_xp_3(x, "where", mask, v, none), axis, false);
}

neo_status neo_expand_max_roi_pool(neo_expander *x) {
  int in = neo_xp_in(x, 0), rois = neo_xp_in(x, 1);
  int64_t bins[2] = {neo_node_int(&x->node, "output_height", 0),
                     neo_node_int(&x->node, "output_width", 0)};
  if (neo_xp_rank(x, in) != 4 || neo_xp_rank(x, rois) != 2 || neo_xp_dim(x, rois, 1) != 5 ||
      bins[0] < 1 || bins[1] < 1)
    return neo_xp_fail(x, NEO_BAD_INPUT, "input of rank %d, rois of rank %d, %lld by %lld bins",
                       neo_xp_rank(x, in), neo_xp_rank(x, rois), (long long)bins[0],
                       (long long)bins[1]);
  int64_t n = neo_xp_dim(x, rois, 0), height = neo_xp_dim(x, in, 2), width = neo_xp_dim(x, in, 3);
  int image = neo_xp_cast(x, neo_xp_at(x, rois, 1, 0), NEO_I64);
  int scaled = neo_xp_c(x, "mul", neo_xp_cast(x, rois, NEO_F32),
                        neo_node_float(&x->node, "spatial_scale", 1));
  int v = neo_xp_unsqueeze(x, neo_xp_gather(x, in, image, 0), 3); /* [n, c, h, 1, w] */
  int columns = neo_xp_reshape(x, mask_of(x, scaled, 1, bins[1], width), 5,
                               (int64_t[]){n, 1, 1, bins[1], width});
  v = neo_xp_unsqueeze(x, masked_max(x, columns, v, 4), 2); /* [n, c, 1, h, bins] */
  int rows = neo_xp_reshape(x, mask_of(x, scaled, 2, bins[0], height), 5,
                            (int64_t[]){n, 1, bins[0], height, 1});
  v = masked_max(x, rows, v, 3);
  int empty = neo_xp_c(x, "equal", v, -INFINITY);
  x->out[0] = neo_xp_3(x, "where", empty, neo_xp_scalar(x, neo_xp_dtype(x, v), 0), v);
  return x->status;
}
