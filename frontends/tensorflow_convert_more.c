/* frontends/tensorflow_convert_more.c: rows of tensorflow_ops.def about parts of matrices,
 * segments, order, parts of pictures and boxes. */
#include "frontends/tensorflow_convert.h"

#include <math.h>
#include <string.h>

static int scalar_like(tf_import *im, int like, double v) {
  neo_dtype dtype = neo_emit_dtype(im->e, like);
  return neo_emit_scalar(im->e, dtype < NEO_DTYPE_COUNT ? dtype : NEO_F32, v);
}

static int with(tf_import *im, const char *op, int x, double v) {
  return neo_emit_binary(im->e, op, x, scalar_like(im, x, v));
}

static int where(tf_import *im, int condition, int a, int b) {
  return neo_emit_node(im->e, "where", 3, (int[]){condition, a, b}, 1)->output[0];
}

static int unsqueeze(tf_import *im, int x, int64_t axis) {
  return neo_emit_binary(im->e, "unsqueeze", x, neo_emit_ints(im->e, 1, &axis));
}

static int reduced(tf_import *im, const char *op, int x, int64_t axis, bool keep) {
  neo_node *made = neo_emit_node(im->e, op, 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "axes", 1, &axis);
  neo_node_set_int(im->e->graph, made, "keepdims", keep);
  return made->output[0];
}

/* Elements of an axis. */
static int picked(tf_import *im, int x, int64_t axis, int64_t n, const int64_t *at) {
  neo_node *made =
      neo_emit_node(im->e, "gather", 2, (int[]){x, neo_emit_ints(im->e, (int)n, at)}, 1);
  neo_node_set_int(im->e->graph, made, "axis", axis);
  return made->output[0];
}

static const neo_shape *shape_of(tf_import *im, tf_node *node, int k) {
  const neo_shape *shape = neo_emit_shape(im->e, tf_in(node, k));
  if (!shape)
    tf_unknown(im, node, "the shape of its input %d is not known", k);
  return shape;
}

/* ---- diagonals ------------------------------------------------------------------------------------- */

/* k of the newer forms: one diagonal; false: said. */
static bool one_diagonal(tf_import *im, tf_node *node, int input, int64_t *k) {
  int64_t both[2];
  int n = 1;
  *k = 0;
  if (node->n_inputs <= input)
    return true;
  if (!tf_const_ints(im, node, input, both, 2, &n))
    return false;
  *k = both[0];
  if (n == 2 && both[0] != both[1])
    tf_unsupported(im, node, "several diagonals");
  return n != 2 || both[0] == both[1];
}

/* MatrixDiagPart(x), MatrixDiagPartV2 and V3 (x, k, padding) */
neo_status tf_diag_part(tf_import *im, tf_node *node) {
  const neo_shape *known = shape_of(im, node, 0);
  int64_t k, found = 0;
  if (!known || !one_diagonal(im, node, 1, &k))
    return NEO_OK;
  neo_shape shape = *known;
  if (shape.rank < 2)
    return tf_bad(im, node, "a matrix of rank %d", shape.rank);
  int64_t rows = shape.dim[shape.rank - 2], columns = shape.dim[shape.rank - 1];
  int64_t *at = neo_arena_alloc(im->e->graph->arena, sizeof *at * (size_t)(rows + 1));
  for (int64_t i = 0; i < rows; i++)
    if (i + k >= 0 && i + k < columns)
      at[found++] = i * columns + i + k;
  shape.rank--;
  shape.dim[shape.rank - 1] = rows * columns;
  int flat = neo_emit_reshape(im->e, tf_in(node, 0), shape.rank, shape.dim);
  return tf_set1(node, picked(im, flat, -1, found, at));
}

/* MatrixDiag(x), MatrixDiagV2 and V3 (x, k, rows, columns, padding): square, padding 0 */
neo_status tf_diag(tf_import *im, tf_node *node) {
  const neo_shape *known = shape_of(im, node, 0);
  int64_t k, size[2] = {-1, -1};
  if (!known || !one_diagonal(im, node, 1, &k))
    return NEO_OK;
  neo_shape shape = *known;
  for (int d = 0; d < 2 && node->n_inputs > 3; d++)
    if (!tf_const_int(im, node, 2 + d, &size[d]))
      return NEO_OK;
  int64_t n = shape.rank ? shape.dim[shape.rank - 1] : 0, side = n + (k < 0 ? -k : k);
  if (shape.rank < 1 || shape.rank == NEO_MAX_RANK || (size[0] >= 0 && size[0] != side) ||
      (size[1] >= 0 && size[1] != side))
    return tf_unsupported(im, node, "a matrix that is not square");
  int64_t *at = neo_arena_alloc(im->e->graph->arena, sizeof *at * (size_t)(side * side + 1));
  for (int64_t i = 0; i < side * side; i++)
    at[i] = i % side - i / side == k ? (k < 0 ? i % side : i / side) : n;
  int64_t pads[2 * NEO_MAX_RANK] = {0};
  pads[2 * shape.rank - 1] = 1; /* a zero behind the diagonal */
  int x = tf_in(node, 0);
  neo_node *made = neo_emit_node(im->e, "pad", 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "pads", 2 * shape.rank, pads);
  x = picked(im, made->output[0], -1, side * side, at);
  shape.dim[shape.rank - 1] = shape.dim[shape.rank] = side;
  return tf_set1(node, neo_emit_reshape(im->e, x, shape.rank + 1, shape.dim));
}

/* MatrixSetDiag(x, diagonal, k): the main one of a matrix that is not wider than high */
neo_status tf_set_diag(tf_import *im, tf_node *node) {
  const neo_shape *shape = shape_of(im, node, 0);
  int64_t k;
  if (!shape || !one_diagonal(im, node, 2, &k))
    return NEO_OK;
  int64_t rows = shape->rank < 2 ? 0 : shape->dim[shape->rank - 2],
          columns = shape->rank < 2 ? 0 : shape->dim[shape->rank - 1];
  if (k != 0 || rows != columns || rows < 1)
    return tf_unsupported(im, node, "another diagonal than that of a square matrix");
  int64_t *at = neo_arena_alloc(im->e->graph->arena, sizeof *at * (size_t)rows);
  for (int64_t i = 0; i < rows; i++)
    at[i] = i;
  int line = neo_emit_ints(im->e, (int)rows, at);
  int on = neo_emit_binary(im->e, "equal", line, unsqueeze(im, line, 1));
  return tf_set1(node, where(im, on, unsqueeze(im, tf_in(node, 1), -1), tf_in(node, 0)));
}

/* ---- segments -------------------------------------------------------------------------------------- */

/* Where an operator starts from: nothing of a segment. */
static double start_of(const char *reduction, neo_dtype dtype) {
  bool real = dtype >= NEO_DTYPE_COUNT || neo_dtype_class(dtype) == 'f';
  if (strcmp(reduction, "mul") == 0)
    return 1;
  if (strcmp(reduction, "add") == 0)
    return 0;
  double far = !real              ? (dtype == NEO_I64 ? 9223372036854775807.0 : 2147483647.0)
               : dtype == NEO_F64 ? 1.7976931348623157e308
                                  : 3.4028234663852886e38;
  return strcmp(reduction, "max") == 0 ? -far : far;
}

static int scattered(tf_import *im, int x, int ids, const neo_shape *out, const char *reduction,
                     double start) {
  neo_dtype dtype = neo_emit_dtype(im->e, x);
  int shape = neo_emit_ints(im->e, out->rank, out->dim);
  int base = neo_emit_scalar(im->e, dtype < NEO_DTYPE_COUNT ? dtype : NEO_F32, start);
  base = neo_emit_binary(im->e, "expand", base, shape);
  neo_node *made = neo_emit_node(im->e, "scatter_nd", 3, (int[]){base, ids, x}, 1);
  neo_node_set_string(im->e->graph, made, "reduction", reduction);
  return made->output[0];
}

/* SegmentX(x, ids): ids are constants that rise; UnsortedSegmentX(x, ids, n). arg: the reduction,
 * mean as "mean". Segments without elements are 0, but for UnsortedSegmentMax, Min and Prod. */
neo_status tf_segment(tf_import *im, tf_node *node) {
  const char *reduction = node->row->arg;
  bool mean = strcmp(reduction, "mean") == 0, open = node->n_inputs > 2;
  const neo_shape *known = shape_of(im, node, 0), *id_shape = shape_of(im, node, 1);
  const neo_tensor *ids = open ? NULL : tf_const(im, node, 1);
  int64_t n = 0, count = 0;
  if (!known || !id_shape)
    return NEO_OK;
  if (open && !tf_const_int(im, node, 2, &n))
    return NEO_OK;
  if (!open && !ids)
    return tf_unsupported(im, node, "segments that are known at run time only");
  neo_shape_elements(id_shape, &count);
  for (int64_t i = 0; ids && i < count; i++)
    n = neo_max_i64(n, neo_tensor_get_i64(ids, i) + 1);
  neo_shape out = {.rank = 1, .dim = {n}};
  for (int d = id_shape->rank; d < known->rank; d++)
    out.dim[out.rank++] = known->dim[d];
  int x = tf_in(node, 0), at = unsqueeze(im, neo_emit_cast(im->e, tf_in(node, 1), NEO_I64), -1);
  double start = mean ? 0 : start_of(reduction, neo_emit_dtype(im->e, x));
  int y = scattered(im, x, at, &out, mean ? "add" : reduction, start);
  if (!mean && (open || strcmp(reduction, "add") == 0))
    return tf_set1(node, y);
  int one = neo_emit_binary(im->e, "expand", scalar_like(im, x, 1),
                            neo_emit_ints(im->e, known->rank, known->dim));
  int many = scattered(im, one, at, &out, "add", 0);
  if (mean)
    return tf_set1(node, neo_emit_binary(im->e, "div", y, with(im, "max", many, 1)));
  return tf_set1(node, where(im, with(im, "equal", many, 0), scalar_like(im, y, 0), y));
}

/* TensorScatterSub(x, indices, updates) */
neo_status tf_tensor_scatter_sub(tf_import *im, tf_node *node) {
  int in[3] = {tf_in(node, 0), neo_emit_cast(im->e, tf_in(node, 1), NEO_I64),
               neo_emit_unary(im->e, "neg", tf_in(node, 2))};
  neo_node *made = neo_emit_node(im->e, "scatter_nd", 3, in, 1);
  neo_node_set_string(im->e->graph, made, "reduction", "add");
  return tf_set1(node, made->output[0]);
}

/* ---- order ------------------------------------------------------------------------------------------ */

neo_status tf_cumprod(tf_import *im, tf_node *node) {
  neo_node *made = neo_emit_node(im->e, "cumprod", 2, (int[]){tf_in(node, 0), tf_in(node, 1)}, 1);
  neo_node_set_int(im->e->graph, made, "exclusive", tf_bool(node, "exclusive", false));
  neo_node_set_int(im->e->graph, made, "reverse", tf_bool(node, "reverse", false));
  return tf_set1(node, made->output[0]);
}

/* LowerBound, UpperBound (sorted [b, n], values [b, m]): how many are below, arg: less or
 * less_equal */
neo_status tf_bound(tf_import *im, tf_node *node) {
  neo_dtype to = tf_type(node, "out_type");
  int below = neo_emit_binary(im->e, node->row->arg, unsqueeze(im, tf_in(node, 0), 1),
                              unsqueeze(im, tf_in(node, 1), 2));
  below = neo_emit_cast(im->e, below, to == NEO_DTYPE_COUNT ? NEO_I32 : to);
  return tf_set1(node, reduced(im, "reduce_sum", below, 2, false));
}

/* Bucketize(x): how many boundaries are not above */
neo_status tf_bucketize(tf_import *im, tf_node *node) {
  const Tf__Value *attr = tf_attr(node, "boundaries");
  size_t n = attr && attr->list ? attr->list->n_f : 0;
  double *bound = neo_arena_alloc(im->e->graph->arena, sizeof *bound * (n + 1));
  if (n < 1 || n > 1 << 16)
    return tf_bad(im, node, "%zu boundaries", n);
  for (size_t i = 0; i < n; i++)
    bound[i] = attr->list->f[i];
  int x = unsqueeze(im, neo_emit_cast(im->e, tf_in(node, 0), NEO_F32), -1);
  int below = neo_emit_binary(im->e, "greater_equal", x, neo_emit_floats(im->e, (int)n, bound));
  return tf_set1(node, reduced(im, "reduce_sum", neo_emit_cast(im->e, below, NEO_I32), -1, false));
}

/* InTopKV2(scores [b, classes], targets [b], k) */
neo_status tf_in_top_k(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0), target = unsqueeze(im, neo_emit_cast(im->e, tf_in(node, 1), NEO_I64), 1);
  int k = neo_emit_cast(im->e, tf_in(node, 2), NEO_I32);
  neo_node *own = neo_emit_node(im->e, "gather_elements", 2, (int[]){x, target}, 1);
  neo_node_set_int(im->e->graph, own, "axis", 1);
  int above = neo_emit_binary(im->e, "greater", x, own->output[0]);
  int rank = reduced(im, "reduce_sum", neo_emit_cast(im->e, above, NEO_I32), 1, false);
  return tf_set1(node, neo_emit_binary(im->e, "less", rank, k));
}

/* DynamicStitch(indices.., data..) of constant indices that name each row once or more */
neo_status tf_dynamic_stitch(tf_import *im, tf_node *node) {
  int n = node->n_inputs / 2,
      *part = neo_arena_alloc(im->e->graph->arena, sizeof(int) * (size_t)(n + 1));
  int64_t rows = 0, all = 0;
  for (int k = 0; k < n; k++) {
    const neo_tensor *index = tf_const(im, node, k);
    const neo_shape *shape = shape_of(im, node, n + k);
    int64_t count = 0;
    if (!shape)
      return NEO_OK;
    if (!index || index->shape.rank > shape->rank)
      return tf_unsupported(im, node, "indices that are known at run time only");
    neo_shape_elements(&index->shape, &count);
    neo_shape flat = {.rank = 1, .dim = {count}};
    for (int d = index->shape.rank; d < shape->rank; d++)
      flat.dim[flat.rank++] = shape->dim[d];
    part[k] = neo_emit_reshape(im->e, tf_in(node, n + k), flat.rank, flat.dim);
    all += count;
    for (int64_t i = 0; i < count; i++)
      rows = neo_max_i64(rows, neo_tensor_get_i64(index, i) + 1);
  }
  if (n < 1 || rows < 1 || rows > all)
    return tf_unsupported(im, node, "%lld rows of %lld", (long long)rows, (long long)all);
  int64_t *from = neo_arena_alloc(im->e->graph->arena, sizeof *from * (size_t)rows), at = 0;
  for (int k = 0; k < n; k++) {
    const neo_tensor *index = tf_const(im, node, k);
    int64_t count = 0;
    neo_shape_elements(&index->shape, &count);
    for (int64_t i = 0; i < count; i++, at++)
      if (neo_tensor_get_i64(index, i) >= 0)
        from[neo_tensor_get_i64(index, i)] = at;
  }
  return tf_set1(node, picked(im, tf_emit_concat(im, n, part, 0), 0, rows, from));
}

/* ---- losses and grids -------------------------------------------------------------------------------- */

/* SoftmaxCrossEntropyWithLogits(scores, labels), Sparse.. (scores, classes) -> loss, gradient */
neo_status tf_cross_entropy(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0), labels = tf_in(node, 1);
  const neo_shape *shape = shape_of(im, node, 0);
  if (!shape)
    return NEO_OK;
  if (strcmp(node->row->arg, "sparse") == 0) {
    int depth = neo_emit_int(im->e, shape->dim[shape->rank - 1]);
    int values = neo_emit_floats(im->e, 2, (double[]){0, 1});
    labels = neo_emit_node(im->e, "one_hot", 3,
                           (int[]){neo_emit_cast(im->e, labels, NEO_I64), depth, values}, 1)
                 ->output[0];
  }
  neo_node *log = neo_emit_node(im->e, "log_softmax", 1, &x, 1);
  neo_node_set_int(im->e->graph, log, "axis", -1);
  int each = neo_emit_binary(im->e, "mul", labels, log->output[0]);
  neo_node *p = neo_emit_node(im->e, "softmax", 1, &x, 1);
  neo_node_set_int(im->e->graph, p, "axis", -1);
  int chance = p->output[0];
  tf_set(node, 0, neo_emit_unary(im->e, "neg", reduced(im, "reduce_sum", each, -1, false)));
  tf_set(node, 1, neo_emit_binary(im->e, "sub", chance, labels));
  return NEO_OK;
}

/* ---- pictures and boxes ------------------------------------------------------------------------------ */

/* AdjustContrastv2(images [.., h, w, c], factor) */
neo_status tf_adjust_contrast(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0);
  neo_node *made = neo_emit_node(im->e, "reduce_mean", 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "axes", 2, (int64_t[]){-3, -2});
  int mean = made->output[0], far = neo_emit_binary(im->e, "sub", x, mean);
  far = neo_emit_binary(im->e, "mul", far, tf_in(node, 1));
  return tf_set1(node, neo_emit_binary(im->e, "add", far, mean));
}

/* ExtractImagePatches(images [n, h, w, c]): [n, oh, ow, kh * kw * c] */
neo_status tf_image_patches(tf_import *im, tf_node *node) {
  int64_t k[4], step[4], rate[4], out[2], pads[8] = {0};
  const neo_shape *known = shape_of(im, node, 0);
  bool same = tf_string_is(node, "padding", "VALID", "SAME");
  if (!known)
    return NEO_OK;
  if (known->rank != 4 || tf_ints(node, "ksizes", k, 4) != 4 ||
      tf_ints(node, "strides", step, 4) != 4 || tf_ints(node, "rates", rate, 4) != 4)
    return tf_bad(im, node, "ksizes, strides or rates");
  for (int d = 0; d < 2; d++) {
    int64_t in = known->dim[1 + d], reach = (k[1 + d] - 1) * rate[1 + d] + 1, s = step[1 + d];
    if (k[1 + d] < 1 || s < 1 || rate[1 + d] < 1 || k[1 + d] > 64 || (!same && in < reach))
      return tf_bad(im, node, "a window of %lld", (long long)k[1 + d]);
    out[d] = same ? neo_ceil_div(in, s) : (in - reach) / s + 1;
    int64_t total = same ? neo_max_i64((out[d] - 1) * s + reach - in, 0) : 0;
    pads[1 + d] = total / 2;
    pads[5 + d] = total - total / 2;
  }
  int x = tf_in(node, 0), part[64 * 64], n = 0;
  neo_node *made = neo_emit_node(im->e, "pad", 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "pads", 8, pads);
  x = made->output[0];
  for (int64_t tap = 0; tap < k[1] * k[2]; tap++) {
    int64_t from[2] = {tap / k[2] * rate[1], tap % k[2] * rate[2]}, to[2];
    for (int d = 0; d < 2; d++)
      to[d] = from[d] + (out[d] - 1) * step[1 + d] + 1;
    int in[5] = {x, neo_emit_ints(im->e, 2, from), neo_emit_ints(im->e, 2, to),
                 neo_emit_ints(im->e, 2, (int64_t[]){1, 2}), neo_emit_ints(im->e, 2, step + 1)};
    part[n++] = neo_emit_node(im->e, "slice", 5, in, 1)->output[0];
  }
  return tf_set1(node, tf_emit_concat(im, n, part, 3));
}

/* Where output positions read, as a share of the extent, [boxes, n]; boxes [boxes, 4]: y1 x1 y2 x2
 */
static int crop_places(tf_import *im, int boxes, int d, int64_t n) {
  double *share = neo_arena_alloc(im->e->graph->arena, sizeof *share * (size_t)(n + 1));
  for (int64_t i = 0; i < n; i++)
    share[i] = n > 1 ? (double)i / (double)(n - 1) : 0.5;
  int64_t low = d, high = d + 2;
  int from = picked(im, boxes, 1, 1, &low), to = picked(im, boxes, 1, 1, &high);
  int length = neo_emit_binary(im->e, "sub", to, from);
  return neo_emit_binary(
      im->e, "add", from,
      neo_emit_binary(im->e, "mul", length, neo_emit_floats(im->e, (int)n, share)));
}

/* Is it inside, bool, of the shape that it has. */
static int inside(tf_import *im, int share) {
  return neo_emit_binary(im->e, "and", with(im, "greater_equal", share, 0),
                         with(im, "less_equal", share, 1));
}

/* CropAndResize(image [n, h, w, c], boxes [m, 4], whose picture [m], size) */
neo_status tf_crop_and_resize(tf_import *im, tf_node *node) {
  int64_t size[2];
  int n;
  neo_emitter *e = im->e;
  const neo_shape *boxes = shape_of(im, node, 1);
  if (!boxes || !tf_const_ints(im, node, 3, size, 2, &n))
    return NEO_OK;
  if (boxes->rank != 2 || n != 2 || size[0] < 1 || size[1] < 1)
    return tf_bad(im, node, "boxes of rank %d", boxes->rank);
  int64_t m = boxes->dim[0];
  bool nearest = tf_string_is(node, "method", "bilinear", "nearest");
  neo_node *own = neo_emit_node(
      e, "gather", 2, (int[]){tf_in(node, 0), neo_emit_cast(e, tf_in(node, 2), NEO_I64)}, 1);
  int x = neo_emit_cast(e, own->output[0], NEO_F32);
  x = neo_emit_transpose(e, x, 4, (int64_t[]){0, 3, 1, 2});
  int share[2], all = neo_emit_ints(e, 3, (int64_t[]){m, size[0], size[1]}), part[2];
  share[0] = unsqueeze(im, crop_places(im, tf_in(node, 1), 0, size[0]), 2);
  share[1] = unsqueeze(im, crop_places(im, tf_in(node, 1), 1, size[1]), 1);
  for (int d = 0; d < 2; d++) { /* grid_sample takes x before y, from -1 to 1 */
    int place = with(im, "sub", with(im, "mul", share[1 - d], 2), 1);
    part[d] = unsqueeze(im, neo_emit_binary(e, "expand", place, all), 3);
  }
  int grid = tf_emit_concat(im, 2, part, 3);
  neo_node *made = neo_emit_node(e, "grid_sample", 2, (int[]){x, grid}, 1);
  neo_node_set_int(e->graph, made, "align_corners", 1);
  neo_node_set_string(e->graph, made, "mode", nearest ? "nearest" : "linear");
  neo_node_set_string(e->graph, made, "padding_mode", "border");
  int y = neo_emit_transpose(e, made->output[0], 4, (int64_t[]){0, 2, 3, 1});
  int seen =
      unsqueeze(im, neo_emit_binary(e, "and", inside(im, share[0]), inside(im, share[1])), 3);
  return tf_set1(
      node,
      where(im, seen, y, neo_emit_scalar(e, NEO_F32, tf_float(node, "extrapolation_value", 0))));
}

/* Cross(a, b) of the last dimension */
neo_status tf_cross(tf_import *im, tf_node *node) {
  static const int64_t next[3] = {1, 2, 0}, last[3] = {2, 0, 1};
  int a = tf_in(node, 0), b = tf_in(node, 1);
  int left = neo_emit_binary(im->e, "mul", picked(im, a, -1, 3, next), picked(im, b, -1, 3, last));
  int right = neo_emit_binary(im->e, "mul", picked(im, a, -1, 3, last), picked(im, b, -1, 3, next));
  return tf_set1(node, neo_emit_binary(im->e, "sub", left, right));
}

neo_status tf_det(tf_import *im, tf_node *node) {
  return tf_set1(node, neo_emit_unary(im->e, "det", tf_in(node, 0)));
}
