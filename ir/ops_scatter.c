/* ir/ops_scatter.c: operators that address elements by data: all become one of two forms, a gather
 * of rows or a scatter of rows of a matrix, with row numbers computed beside.
 *
 * scatter_rows(data [n, inner], rows i64 [m], updates [m, inner]) reduction:i=0 is opaque: updates
 * are applied in order (0 replace, 1 add, 2 mul, 3 max, 4 min); rows outside of [0, n) are skipped,
 * so bad data costs a wrong answer, not a wild write. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

/* ---- scatter_rows ---------------------------------------------------------------------------- */

neo_status neo_infer_scatter_rows(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, 2));
  const neo_value *data = neo_op_in(graph, node, 0), *rows = neo_op_in(graph, node, 1),
                  *updates = neo_op_in(graph, node, 2);
  if (data->shape.rank != 2 || updates->shape.rank != 2 || rows->shape.rank != 1 ||
      rows->dtype != NEO_I64 || updates->shape.dim[0] != rows->shape.dim[0] ||
      updates->shape.dim[1] != data->shape.dim[1])
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "data, rows and updates do not fit");
  neo_shape shape = data->shape;
  neo_op_set(graph, node, 0, data->dtype, &shape);
  return NEO_OK;
}

static double combine_f(int64_t how, double a, double b) {
  return how == 0   ? b
         : how == 1 ? a + b
         : how == 2 ? a * b
         : how == 3 ? (b > a ? b : a)
         : b < a    ? b
                    : a;
}

static int64_t combine_i(int64_t how, int64_t a, int64_t b) {
  return how == 0   ? b
         : how == 1 ? neo_wrap_add(a, b)
         : how == 2 ? (int64_t)((uint64_t)a * (uint64_t)b)
         : how == 3 ? (b > a ? b : a)
         : b < a    ? b
                    : a;
}

neo_status neo_eval_scatter_rows(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 neo_tensor *const *in, neo_tensor *out) {
  int64_t n = in[0]->shape.dim[0], inner = in[0]->shape.dim[1],
          how = neo_node_int(node, "reduction", 0);
  bool floats = neo_dtype_class(in[0]->dtype) == 'f';
  (void)ctx;
  (void)graph;
  memcpy(out->data, in[0]->data, in[0]->size);
  for (int64_t m = 0; m < in[1]->shape.dim[0]; m++) {
    int64_t row = neo_tensor_get_i64(in[1], m);
    for (int64_t i = 0; row >= 0 && row < n && i < inner; i++) {
      int64_t to = row * inner + i, from = m * inner + i;
      if (floats)
        neo_tensor_set_f64(
            out, to, combine_f(how, neo_tensor_get_f64(out, to), neo_tensor_get_f64(in[2], from)));
      else
        neo_tensor_set_i64(
            out, to, combine_i(how, neo_tensor_get_i64(out, to), neo_tensor_get_i64(in[2], from)));
    }
  }
  return NEO_OK;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static int64_t product(const neo_shape *s, int from, int to) {
  int64_t n = 1;
  for (int d = from; d < to; d++)
    n *= s->dim[d];
  return n;
}

static int reduction_of(neo_expander *x) {
  static const char *const names[] = {"none", "add", "mul", "max", "min"};
  const char *name = neo_node_string(&x->node, "reduction", "none");
  for (int k = 0; k < NEO_COUNT(names); k++)
    if (strcmp(names[k], name) == 0)
      return k;
  neo_xp_fail(x, NEO_UNSUPPORTED, "reduction '%s'", name);
  return 0;
}

/* Indices -n .. n-1 as 0 .. n-1, i64. */
static int wrapped(neo_expander *x, int index, int64_t n) {
  return neo_xp_c(x, "mod", neo_xp_cast(x, index, NEO_I64), (double)(n > 0 ? n : 1));
}

/* The numbers 0 .. n-1, times scale, along dimension d of `rank`. */
static int ramp(neo_expander *x, int rank, int d, int64_t n, int64_t scale) {
  neo_shape shape = {.rank = rank};
  for (int k = 0; k < rank; k++)
    shape.dim[k] = k == d ? n : 1;
  neo_tensor *t;
  int v = neo_xp_constant(x, NEO_I64, &shape, &t);
  for (int64_t i = 0; t && i < n; i++)
    neo_tensor_set_i64(t, i, i * scale);
  return v;
}

/* data viewed as rows of `inner`, scattered, in data's shape again. Short floats add up in f32. */
static int scatter(neo_expander *x, int data, int rows, int updates, int64_t inner) {
  neo_shape shape = neo_xp_shape(x, data);
  neo_dtype dtype = neo_xp_dtype(x, data);
  int64_t n = product(&shape, 0, shape.rank) / (inner > 0 ? inner : 1);
  neo_shape list = neo_xp_shape(x, rows);
  int64_t m = product(&list, 0, list.rank);
  int how = reduction_of(x);
  neo_dtype wide = how ? neo_compute_dtype(dtype) : dtype;
  data = neo_xp_cast(x, neo_xp_reshape(x, data, 2, (int64_t[]){n, inner}), wide);
  updates = neo_xp_cast(x, neo_xp_reshape(x, updates, 2, (int64_t[]){m, inner}), wide);
  rows = neo_xp_reshape(x, rows, 1, &m);
  int out = neo_xp_op(x, "scatter_rows", 3, (int[]){data, rows, updates},
                      NEO_XP_ATTRS(NEO_XP_INT("reduction", how)));
  return neo_xp_reshape_to(x, neo_xp_cast(x, out, dtype), &shape);
}

/* ---- scatter_elements, scatter_nd, gather_nd ------------------------------------------------- */

static bool read_axis(neo_expander *x, const char *name, int64_t otherwise, int rank, int *axis) {
  int64_t a = neo_node_int(&x->node, name, otherwise);
  *axis = (int)(a < 0 ? a + rank : a);
  if (*axis >= 0 && *axis < rank)
    return true;
  neo_xp_fail(x, NEO_BAD_INPUT, "%s=%" PRId64 " of a tensor of rank %d", name, a, rank);
  return false;
}

/* Indices along dimension 0 that are the same for all of a row, which the updates have as a whole:
 * what they were expanded from; else none. */
static int whole_rows(neo_expander *x, int index, int axis) {
  neo_shape own = neo_xp_shape(x, index), data = neo_xp_shape(x, neo_xp_in(x, 0));
  const neo_node *node = neo_edit_producer(x->graph, index);
  if (axis != 0 || !neo_edit_is(node, "expand"))
    return NEO_NO_VALUE;
  neo_shape from = neo_xp_shape(x, node->input[0]);
  bool whole = from.rank == own.rank && from.dim[0] == own.dim[0];
  for (int d = 1; whole && d < own.rank; d++)
    whole = from.dim[d] == 1 && own.dim[d] == data.dim[d];
  return whole ? node->input[0] : NEO_NO_VALUE;
}

neo_status neo_expand_scatter_elements(neo_expander *x) {
  int data = neo_xp_in(x, 0), index = neo_xp_in(x, 1), axis;
  neo_shape shape = neo_xp_shape(x, data), own = neo_xp_shape(x, index),
            updates = neo_xp_shape(x, neo_xp_in(x, 2));
  if (!read_axis(x, "axis", 0, shape.rank, &axis))
    return x->status;
  if (own.rank != shape.rank || !neo_shape_equal(&own, &updates))
    return neo_xp_fail(x, NEO_BAD_INPUT, "data, indices and updates do not fit");
  int whole = whole_rows(x, index, axis);
  if (whole != NEO_NO_VALUE) {
    x->out[0] = scatter(x, data, wrapped(x, whole, shape.dim[0]), neo_xp_in(x, 2),
                        product(&shape, 1, shape.rank));
    return x->status;
  }
  int64_t stride = product(&shape, axis + 1, shape.rank);
  int rows = neo_xp_c(x, "mul", wrapped(x, index, shape.dim[axis]), (double)stride);
  for (int d = 0; d < shape.rank; d++) {
    stride = product(&shape, d + 1, shape.rank);
    if (d != axis && own.dim[d] > 1)
      rows = neo_xp_2(x, "add", rows, ramp(x, shape.rank, d, own.dim[d], stride));
  }
  x->out[0] = scatter(x, data, rows, neo_xp_in(x, 2), 1);
  return x->status;
}

/* Coordinates [..., depth] as row numbers [...] of a tensor whose dimensions from `first` they
 * address. */
static int coordinate_rows(neo_expander *x, int index, const neo_shape *shape, int first) {
  int rank = neo_xp_rank(x, index), rows = NEO_NO_VALUE;
  int64_t depth = neo_xp_dim(x, index, -1);
  if (rank < 1 || depth < 1 || first + depth > shape->rank) {
    neo_xp_fail(x, NEO_BAD_INPUT, "the indices do not fit the input");
    return NEO_NO_VALUE;
  }
  for (int d = 0; d < depth; d++) {
    int one = wrapped(x, neo_xp_at(x, index, rank - 1, d), shape->dim[first + d]);
    int64_t stride = product(shape, first + d + 1, first + (int)depth);
    one = stride == 1 ? one : neo_xp_c(x, "mul", one, (double)stride);
    rows = rows == NEO_NO_VALUE ? one : neo_xp_2(x, "add", rows, one);
  }
  return rows;
}

neo_status neo_expand_scatter_nd(neo_expander *x) {
  int data = neo_xp_in(x, 0), index = neo_xp_in(x, 1);
  neo_shape shape = neo_xp_shape(x, data), own = neo_xp_shape(x, index),
            updates = neo_xp_shape(x, neo_xp_in(x, 2));
  int rows = coordinate_rows(x, index, &shape, 0);
  int64_t depth = neo_xp_dim(x, index, -1), inner = product(&shape, (int)depth, shape.rank);
  if (x->status == NEO_OK &&
      product(&updates, 0, updates.rank) != product(&own, 0, own.rank - 1) * inner)
    return neo_xp_fail(x, NEO_BAD_INPUT, "the updates do not fit");
  x->out[0] = scatter(x, data, rows, neo_xp_in(x, 2), inner);
  return x->status;
}

neo_status neo_expand_gather_nd(neo_expander *x) {
  int data = neo_xp_in(x, 0), index = neo_xp_in(x, 1), rank = neo_xp_rank(x, index);
  neo_shape shape = neo_xp_shape(x, data), own = neo_xp_shape(x, index);
  int batch = (int)neo_node_int(&x->node, "batch_dims", 0);
  int64_t depth = neo_xp_dim(x, index, -1);
  bool fits = batch >= 0 && rank > 0 && batch < rank && batch + depth <= shape.rank;
  for (int d = 0; fits && d < batch; d++)
    fits = shape.dim[d] == own.dim[d];
  for (int64_t d = 0; fits && d < depth; d++)
    fits = shape.dim[batch + d] > 0;
  if (!fits)
    return neo_xp_fail(x, NEO_BAD_INPUT, "the indices do not fit the input");
  int rows = coordinate_rows(x, index, &shape, batch);
  int first = batch + (int)depth;
  for (int d = 0; d < batch; d++) /* rows of batch element b start at b * rows of one */
    if (own.dim[d] > 1)
      rows =
          neo_xp_2(x, "add", rows, ramp(x, rank - 1, d, own.dim[d], product(&shape, d + 1, first)));
  neo_shape flat = {.rank = 1, .dim = {product(&shape, 0, first)}}, out = own;
  out.rank--;
  for (int d = first; d < shape.rank; d++) {
    flat.dim[flat.rank++] = shape.dim[d];
    if (out.rank == NEO_MAX_RANK)
      return neo_xp_fail(x, NEO_UNSUPPORTED, "an output of more than %d dimensions", NEO_MAX_RANK);
    out.dim[out.rank++] = shape.dim[d];
  }
  int list = neo_xp_reshape(x, rows, 1, (int64_t[]){product(&own, 0, own.rank - 1)});
  int picked = neo_xp_gather(x, neo_xp_reshape_to(x, data, &flat), list, 0);
  x->out[0] = neo_xp_reshape_to(x, picked, &out);
  return x->status;
}

/* ---- tensor_scatter, reverse_sequence, max_unpool, col2im ------------------------------------ */

neo_status neo_expand_tensor_scatter(neo_expander *x) {
  int data = neo_xp_in(x, 0), update = neo_xp_in(x, 1), start = neo_xp_in(x, 2), axis;
  neo_shape shape = neo_xp_shape(x, data);
  if (!read_axis(x, "axis", -2, shape.rank, &axis))
    return x->status;
  int64_t length = neo_xp_dim(x, update, axis), outer = product(&shape, 1, axis),
          room = shape.dim[axis];
  if (axis < 1)
    return neo_xp_fail(x, NEO_BAD_INPUT, "axis 0");
  int at = ramp(x, 3, 2, length, 1);
  if (start != NEO_NO_VALUE)
    at = neo_xp_2(x, "add", at, neo_xp_reshape(x, start, 3, (int64_t[]){shape.dim[0], 1, 1}));
  if (strcmp(neo_node_string(&x->node, "mode", "linear"), "circular") == 0)
    at = wrapped(x, at, room);
  int rows = neo_xp_2(x, "add", at, ramp(x, 3, 1, outer, room));
  rows = neo_xp_2(x, "add", rows, ramp(x, 3, 0, shape.dim[0], outer * room));
  x->out[0] = scatter(x, data, rows, update, product(&shape, axis + 1, shape.rank));
  return x->status;
}

neo_status neo_expand_reverse_sequence(neo_expander *x) {
  int data = neo_xp_in(x, 0), lengths = neo_xp_in(x, 1);
  neo_shape shape = neo_xp_shape(x, data), rows_shape = {.rank = 1};
  int64_t batch = neo_node_int(&x->node, "batch_axis", 1),
          time = neo_node_int(&x->node, "time_axis", 0);
  if (shape.rank < 2 || batch + time != 1 || batch * time != 0 ||
      neo_xp_dim(x, lengths, 0) != shape.dim[batch])
    return neo_xp_fail(x, NEO_BAD_INPUT, "batch_axis=%" PRId64 " time_axis=%" PRId64, batch, time);
  neo_shape by_batch = {.rank = 2, .dim = {1, 1}};
  by_batch.dim[batch] = shape.dim[batch];
  int t = ramp(x, 2, (int)time, shape.dim[time], 1);
  int n = neo_xp_reshape_to(x, neo_xp_cast(x, lengths, NEO_I64), &by_batch);
  int back = neo_xp_2(x, "sub", neo_xp_c(x, "sub", n, 1), t);
  int from = neo_xp_3(x, "where", neo_xp_2(x, "less", t, n), back, t);
  int rows = neo_xp_c(x, "mul", from, time == 0 ? (double)shape.dim[1] : 1);
  rows = neo_xp_2(x, "add", rows,
                  ramp(x, 2, (int)batch, shape.dim[batch], batch == 0 ? shape.dim[1] : 1));
  rows_shape.dim[0] = shape.dim[0] * shape.dim[1];
  for (int d = 2; d < shape.rank; d++)
    rows_shape.dim[rows_shape.rank++] = shape.dim[d];
  int picked = neo_xp_gather(x, neo_xp_reshape_to(x, data, &rows_shape),
                             neo_xp_reshape(x, rows, 1, rows_shape.dim), 0);
  x->out[0] = neo_xp_reshape_to(x, picked, &shape);
  return x->status;
}

static void read_list(const neo_expander *x, const char *name, int n, int64_t otherwise,
                      int64_t *out) {
  for (int k = 0; k < n; k++)
    out[k] = otherwise;
  neo_node_ints(&x->node, name, out, n);
}

neo_status neo_expand_max_unpool(neo_expander *x) {
  int in = neo_xp_in(x, 0), index = neo_xp_in(x, 1);
  neo_shape shape = neo_xp_shape(x, in), full = shape;
  int n = shape.rank - 2;
  int64_t kernel[3], strides[3], pads[6], wanted[NEO_MAX_RANK], room[2 * NEO_MAX_RANK] = {0};
  neo_tensor *zero;
  int n_wanted;
  if (n < 1 || n > 3)
    return neo_xp_fail(x, NEO_BAD_INPUT, "input of rank %d", shape.rank);
  read_list(x, "kernel_shape", n, 1, kernel);
  read_list(x, "strides", n, 1, strides);
  read_list(x, "pads", 2 * n, 0, pads);
  for (int d = 0; d < n; d++)
    full.dim[d + 2] = (shape.dim[d + 2] - 1) * strides[d] - pads[d] - pads[n + d] + kernel[d];
  NEO_TRY(neo_op_ints(&(neo_op_site){x->ctx, x->graph, &x->node}, 2, NULL, wanted, NEO_MAX_RANK,
                      &n_wanted));
  int data = neo_xp_constant(x, neo_xp_dtype(x, in), &full, &zero);
  int y = scatter(x, data, index, in, 1);
  bool grows = false;
  for (int d = 0; n_wanted == shape.rank && d < shape.rank; d++)
    grows |= (room[shape.rank + d] = wanted[d] - full.dim[d]) != 0;
  if (grows)
    y = neo_xp_op(x, "pad", 1, &y, NEO_XP_ATTRS(NEO_XP_INTS("pads", 2 * shape.rank, room)));
  x->out[0] = y;
  return x->status;
}

typedef struct unfolding {
  int n;
  int64_t image[NEO_MAX_RANK], block[NEO_MAX_RANK], steps[NEO_MAX_RANK];
  int64_t dilation[NEO_MAX_RANK], stride[NEO_MAX_RANK], pads[2 * NEO_MAX_RANK];
} unfolding;

/* Where element k of a block at place l lands in the image, -1: in the padding. */
static int64_t landing(const unfolding *u, int64_t k, int64_t l) {
  int64_t at = 0, scale = 1;
  for (int d = u->n - 1; d >= 0; d--) {
    int64_t p = l % u->steps[d] * u->stride[d] + k % u->block[d] * u->dilation[d] - u->pads[d];
    if (p < 0 || p >= u->image[d])
      return -1;
    at += p * scale;
    scale *= u->image[d];
    l /= u->steps[d];
    k /= u->block[d];
  }
  return at;
}

neo_status neo_expand_col2im(neo_expander *x) {
  unfolding u = {0};
  neo_op_site site = {x->ctx, x->graph, &x->node};
  neo_shape shape = neo_xp_shape(x, neo_xp_in(x, 0));
  int n_block;
  int64_t blocks = 1, pixels = 1, places = 1;
  NEO_TRY(neo_op_ints(&site, 1, NULL, u.image, 6, &u.n));
  NEO_TRY(neo_op_ints(&site, 2, NULL, u.block, 6, &n_block));
  if (u.n < 1 || n_block != u.n || shape.rank != 3)
    return neo_xp_fail(x, NEO_BAD_INPUT, "image of %d and block of %d dimensions", u.n, n_block);
  read_list(x, "dilations", u.n, 1, u.dilation);
  read_list(x, "strides", u.n, 1, u.stride);
  read_list(x, "pads", 2 * u.n, 0, u.pads);
  for (int d = 0; d < u.n; d++) {
    if (u.stride[d] < 1 || u.block[d] < 1 || u.image[d] < 1)
      return neo_xp_fail(x, NEO_BAD_INPUT, "a stride, block or image of 0");
    int64_t span = u.image[d] + u.pads[d] + u.pads[u.n + d] - u.dilation[d] * (u.block[d] - 1) - 1;
    u.steps[d] = span / u.stride[d] + 1;
    blocks *= u.block[d];
    pixels *= u.image[d];
    places *= u.steps[d];
  }
  if (places != shape.dim[2] || shape.dim[1] % blocks || pixels > INT32_MAX)
    return neo_xp_fail(x, NEO_BAD_INPUT, "%" PRId64 " places, %" PRId64 " expected", shape.dim[2],
                       places);
  int64_t channels = shape.dim[1] / blocks, rows = shape.dim[0] * channels;
  neo_tensor *t, *zero;
  int index = neo_xp_constant(x, NEO_I64, &(neo_shape){1, {blocks * places}}, &t);
  for (int64_t i = 0; t && i < blocks * places; i++)
    neo_tensor_set_i64(t, i, landing(&u, i / places, i % places));
  int v = neo_xp_reshape(x, neo_xp_in(x, 0), 2, (int64_t[]){rows, blocks * places});
  v = neo_xp_transpose(x, v, 2, (int64_t[]){1, 0});
  int data = neo_xp_constant(x, neo_xp_dtype(x, v), &(neo_shape){2, {pixels, rows}}, &zero);
  int sum = neo_xp_op(x, "scatter_rows", 3, (int[]){data, index, v},
                      NEO_XP_ATTRS(NEO_XP_INT("reduction", 1)));
  neo_shape out = {.rank = 2 + u.n, .dim = {shape.dim[0], channels}};
  memcpy(out.dim + 2, u.image, sizeof *u.image * (size_t)u.n);
  x->out[0] = neo_xp_reshape_to(x, neo_xp_transpose(x, sum, 2, (int64_t[]){1, 0}), &out);
  return x->status;
}
