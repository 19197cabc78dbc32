/* frontends/tensorflow_convert_shape.c: rows of tensorflow_ops.def that make, move and index data:
 * constants, shapes, slices, gathers. */
#include "frontends/complex.h"
#include "frontends/tensorflow_convert.h"

#include <string.h>

#define FAR (INT64_C(1) << 40) /* the end of every dimension */

int tf_emit_concat(tf_import *im, int n, const int *part, int64_t axis) {
  enum { MOST = 32 };
  if (n > MOST) { /* a te has a bounded number of buffers */
    int groups = (n + MOST - 1) / MOST;
    int *joined = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)groups);
    for (int i = 0; i < groups; i++)
      joined[i] = tf_emit_concat(im, i + 1 < groups ? MOST : n - i * MOST, part + i * MOST, axis);
    return tf_emit_concat(im, groups, joined, axis);
  }
  neo_node *made = neo_emit_node(im->e, "concat", n, part, 1);
  neo_node_set_int(im->e->graph, made, "axis", axis);
  return made->output[0];
}

int tf_emit_written(tf_import *im, int value) {
  if (neo_complex_is(im->e, value))
    neo_emit_unsupported(im->e, "complex", "numbers out of a branch or loop that is kept");
  return im->e->graph->value[value].node >= 0 ? value : neo_emit_unary(im->e, "identity", value);
}

static int with_axes(tf_import *im, const char *op, int x, int n, const int64_t *axes) {
  if (n == 0)
    return x;
  neo_node *made = neo_emit_node(im->e, op, 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "axes", n, axes);
  return made->output[0];
}

static int with_axis(tf_import *im, const char *op, int n, const int *in, int64_t axis) {
  neo_node *made = neo_emit_node(im->e, op, n, in, 1);
  neo_node_set_int(im->e->graph, made, "axis", axis);
  return made->output[0];
}

static int cast_to(tf_import *im, const tf_node *node, const char *attr, neo_dtype otherwise,
                   int x) {
  neo_dtype to = tf_type(node, attr);
  to = to == NEO_DTYPE_COUNT ? otherwise : to;
  return to == NEO_I64 ? x : neo_emit_cast(im->e, x, to);
}

/* ---- sources ----------------------------------------------------------------------------------------- */

neo_status tf_const_node(tf_import *im, tf_node *node) {
  const Tf__Value *v = tf_attr(node, "value");
  neo_tensor tensor;
  neo_dtype dtype;
  if (!v || !v->tensor)
    return tf_bad(im, node, "it has no value");
  if (tf_complex_number(v->tensor->dtype))
    return tf_complex_const(im, node, v->tensor);
  if (!tf_dtype(v->tensor->dtype, &dtype)) {
    node->out[0] = (tf_value){.kind = TF_OPAQUE};
    return NEO_OK;
  }
  NEO_TRY(tf_tensor(im, v->tensor, im->e->scope, &tensor));
  return tf_set1(node, neo_emit_tensor(im->e, im->e->scope, &tensor));
}

neo_status tf_placeholder(tf_import *im, tf_node *node) {
  const Tf__Value *v = tf_attr(node, "shape");
  neo_dtype dtype = tf_type(node, "dtype");
  neo_shape shape = {.rank = -1};
  if (dtype == NEO_DTYPE_COUNT)
    return tf_unsupported(im, node, "an input that is no tensor of numbers");
  if (v && !tf_shape(v->shape, &shape))
    return tf_bad(im, node, "its shape is damaged");
  const char *name = neo_arena_printf(&im->arena, "%s:0", im->e->scope);
  return tf_set1(node, neo_emit_input(im->e, name, dtype, &shape));
}

neo_status tf_var_handle(tf_import *im, tf_node *node) {
  int place = (int)(intptr_t)neo_map_get(&im->variable_index, im->e->scope) - 1;
  if (place < 0)
    return tf_unsupported(im, node, "a variable whose value is not in the file");
  node->out[0] = (tf_value){.kind = TF_VARIABLE, .id = place};
  return NEO_OK;
}

/* Fill(dims, value) */
neo_status tf_fill(tf_import *im, tf_node *node) {
  return tf_set1(node, neo_emit_binary(im->e, "expand", tf_in(node, 1), tf_in(node, 0)));
}

/* ZerosLike, OnesLike */
neo_status tf_like(tf_import *im, tf_node *node) {
  neo_dtype dtype = tf_type(node, "T");
  if (dtype == NEO_DTYPE_COUNT)
    return tf_unsupported(im, node, "of another type than numbers");
  int shape = neo_emit_unary(im->e, "shape", tf_in(node, 0));
  int value = neo_emit_scalar(im->e, dtype, node->row->arg[0] - '0');
  return tf_set1(node, neo_emit_binary(im->e, "expand", value, shape));
}

/* LinSpace(start, stop, n) */
neo_status tf_lin_space(tf_import *im, tf_node *node) {
  const neo_tensor *start = tf_const(im, node, 0), *stop = tf_const(im, node, 1);
  int64_t n;
  if (!tf_const_int(im, node, 2, &n))
    return NEO_OK;
  if (!start || !stop || n < 1 || n > 1 << 24 || start->size < 4 || stop->size < 4)
    return tf_unknown(im, node, "its bounds are not constant");
  double a = neo_tensor_get_f64(start, 0), b = neo_tensor_get_f64(stop, 0);
  double *v = neo_arena_alloc(&im->arena, sizeof *v * (size_t)n);
  for (int64_t i = 0; i < n; i++)
    v[i] = n == 1 ? a : a + (b - a) * (double)i / (double)(n - 1);
  return tf_set1(node, neo_emit_floats(im->e, (int)n, v));
}

/* ---- shapes ------------------------------------------------------------------------------------------ */

neo_status tf_shape_of(tf_import *im, tf_node *node) {
  int shape = neo_emit_unary(im->e, node->row->arg, tf_in(node, 0));
  return tf_set1(node, cast_to(im, node, "out_type", NEO_I32, shape));
}

neo_status tf_shape_n(tf_import *im, tf_node *node) {
  tf_outputs(im, node, node->n_inputs);
  for (int k = 0; k < node->n_inputs; k++) {
    int shape = neo_emit_unary(im->e, "shape", tf_in(node, k));
    tf_set(node, k, cast_to(im, node, "out_type", NEO_I32, shape));
  }
  return NEO_OK;
}

neo_status tf_rank_of(tf_import *im, tf_node *node) {
  int shape = neo_emit_unary(im->e, "shape", tf_in(node, 0));
  int rank = neo_emit_unary(im->e, "size", shape);
  return tf_set1(node, neo_emit_cast(im->e, rank, NEO_I32));
}

neo_status tf_reshape(tf_import *im, tf_node *node) {
  neo_node *made = neo_emit_node(im->e, "reshape", 2, (int[]){tf_in(node, 0), tf_in(node, 1)}, 1);
  neo_node_set_int(im->e->graph, made, "allowzero", 1);
  return tf_set1(node, made->output[0]);
}

neo_status tf_squeeze(tf_import *im, tf_node *node) {
  int64_t axes[NEO_MAX_RANK];
  int n = tf_ints(node, "squeeze_dims", axes, NEO_MAX_RANK);
  if (n > 0)
    return tf_set1(node, with_axes(im, "squeeze", tf_in(node, 0), n, axes));
  return tf_set1(node, neo_emit_unary(im->e, "squeeze", tf_in(node, 0)));
}

neo_status tf_expand_dims(tf_import *im, tf_node *node) {
  int64_t axis;
  if (!tf_const_int(im, node, 1, &axis))
    return NEO_OK;
  return tf_set1(node, with_axes(im, "unsqueeze", tf_in(node, 0), 1, &axis));
}

neo_status tf_transpose(tf_import *im, tf_node *node) {
  int64_t perm[NEO_MAX_RANK];
  int n;
  if (!tf_const_ints(im, node, 1, perm, NEO_MAX_RANK, &n))
    return NEO_OK;
  for (int i = 0; i < n; i++)
    perm[i] += perm[i] < 0 ? n : 0;
  return tf_set1(node, n ? neo_emit_transpose(im->e, tf_in(node, 0), n, perm) : tf_in(node, 0));
}

/* InvertPermutation of a constant. */
neo_status tf_invert_permutation(tf_import *im, tf_node *node) {
  int64_t perm[64], inverse[64] = {0};
  int n;
  if (!tf_const_ints(im, node, 0, perm, 64, &n))
    return NEO_OK;
  for (int i = 0; i < n; i++) {
    if (perm[i] < 0 || perm[i] >= n)
      return tf_bad(im, node, "no permutation");
    inverse[perm[i]] = i;
  }
  return tf_set1(node, cast_to(im, node, "T", NEO_I32, neo_emit_ints(im->e, n, inverse)));
}

/* BroadcastArgs(a, b): the shape that tensors of these two shapes broadcast to. */
neo_status tf_broadcast_args(tf_import *im, tf_node *node) {
  neo_shape a = {0}, b = {0}, both;
  if (!tf_const_ints(im, node, 0, a.dim, NEO_MAX_RANK, &a.rank) ||
      !tf_const_ints(im, node, 1, b.dim, NEO_MAX_RANK, &b.rank))
    return NEO_OK;
  if (!neo_shape_broadcast(&a, &b, &both))
    return tf_bad(im, node, "the shapes do not agree");
  return tf_set1(node, cast_to(im, node, "T", NEO_I32, neo_emit_ints(im->e, both.rank, both.dim)));
}

/* ---- joining and splitting --------------------------------------------------------------------------- */

static int *all_inputs(tf_import *im, const tf_node *node) {
  int *in = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)(node->n_inputs + 1));
  for (int k = 0; k < node->n_inputs; k++)
    in[k] = tf_in(node, k);
  return in;
}

neo_status tf_pack(tf_import *im, tf_node *node) {
  int64_t axis = tf_int(node, "axis", 0);
  int *part = all_inputs(im, node);
  if (node->n_inputs < 1)
    return tf_bad(im, node, "no inputs");
  for (int k = 0; k < node->n_inputs; k++)
    part[k] = with_axes(im, "unsqueeze", part[k], 1, &axis);
  return tf_set1(node, tf_emit_concat(im, node->n_inputs, part, axis));
}

neo_status tf_unpack(tf_import *im, tf_node *node) {
  int64_t axis = tf_int(node, "axis", 0), n = tf_int(node, "num", 0);
  if (n < 0 || n > 65536)
    return tf_bad(im, node, "num is %lld", (long long)n);
  tf_outputs(im, node, (int)n);
  for (int k = 0; k < n; k++) {
    int index = neo_emit_int(im->e, k);
    tf_set(node, k, with_axis(im, "gather", 2, (int[]){tf_in(node, 0), index}, axis));
  }
  return NEO_OK;
}

/* ConcatV2(parts..., axis), Concat(axis, parts...) */
neo_status tf_concat(tf_import *im, tf_node *node) {
  bool last = strcmp(node->row->arg, "last") == 0;
  int64_t axis;
  int *in = all_inputs(im, node);
  if (node->n_inputs < 2)
    return tf_bad(im, node, "%d inputs", node->n_inputs);
  if (!tf_const_int(im, node, last ? node->n_inputs - 1 : 0, &axis))
    return NEO_OK;
  return tf_set1(node, tf_emit_concat(im, node->n_inputs - 1, in + !last, axis));
}

static neo_status set_split(tf_import *im, tf_node *node, int x, int64_t axis, int64_t n,
                            const int64_t *sizes) {
  if (n < 1 || n > 4096)
    return tf_bad(im, node, "%lld parts", (long long)n);
  tf_outputs(im, node, (int)n);
  neo_node *made = neo_emit_node(im->e, "split", 1, &x, (int)n);
  neo_node_set_int(im->e->graph, made, "axis", axis);
  if (sizes)
    neo_node_set_ints(im->e->graph, made, "split", (int)n, sizes);
  else
    neo_node_set_int(im->e->graph, made, "num_outputs", n);
  for (int k = 0; k < n; k++)
    tf_set(node, k, made->output[k]);
  return NEO_OK;
}

/* Split(axis, x) */
neo_status tf_split(tf_import *im, tf_node *node) {
  int64_t axis;
  if (!tf_const_int(im, node, 0, &axis))
    return NEO_OK;
  return set_split(im, node, tf_in(node, 1), axis, tf_int(node, "num_split", 0), NULL);
}

/* SplitV(x, sizes, axis): one size may be -1. */
neo_status tf_split_v(tf_import *im, tf_node *node) {
  int64_t axis, sizes[256], sum = 0;
  int n, rest = -1;
  if (!tf_const_ints(im, node, 1, sizes, 256, &n) || !tf_const_int(im, node, 2, &axis))
    return NEO_OK;
  for (int i = 0; i < n; i++) {
    rest = sizes[i] == -1 ? i : rest;
    sum += sizes[i] == -1 ? 0 : sizes[i];
  }
  const neo_shape *x = neo_emit_shape(im->e, tf_in(node, 0));
  if (rest >= 0 && !x)
    return tf_unknown(im, node, "a part of unknown size");
  if (rest >= 0) {
    int64_t d = axis < 0 ? axis + x->rank : axis;
    if (d < 0 || d >= x->rank)
      return tf_bad(im, node, "axis %lld", (long long)axis);
    sizes[rest] = x->dim[d] - sum;
  }
  return set_split(im, node, tf_in(node, 0), axis, n, sizes);
}

/* ---- slices ------------------------------------------------------------------------------------------ */

/* Slice(x, begin, size): size -1 is the rest. */
neo_status tf_slice(tf_import *im, tf_node *node) {
  const neo_tensor *begin = tf_const(im, node, 1), *size = tf_const(im, node, 2);
  int64_t from[NEO_MAX_RANK], to[NEO_MAX_RANK], n = 0;
  if (begin && size && begin->shape.rank == 1 && neo_shape_equal(&begin->shape, &size->shape) &&
      begin->shape.dim[0] <= NEO_MAX_RANK) {
    n = begin->shape.dim[0];
    for (int64_t i = 0; i < n; i++) {
      int64_t length = neo_tensor_get_i64(size, i);
      from[i] = neo_tensor_get_i64(begin, i);
      to[i] = length < 0 || length > FAR ? FAR : from[i] + length;
    }
    int x = tf_in(node, 0);
    neo_node *made = neo_emit_node(im->e, "slice", 1, &x, 1);
    neo_node_set_ints(im->e->graph, made, "starts", (int)n, from);
    neo_node_set_ints(im->e->graph, made, "ends", (int)n, to);
    return tf_set1(node, made->output[0]);
  }
  int start = neo_emit_cast(im->e, tf_in(node, 1), NEO_I64);
  int length = neo_emit_cast(im->e, tf_in(node, 2), NEO_I64);
  int negative = neo_emit_binary(im->e, "less", length, neo_emit_int(im->e, 0));
  int end = neo_emit_binary(im->e, "add", start, length);
  end = neo_emit_node(im->e, "where", 3, (int[]){negative, neo_emit_int(im->e, FAR), end}, 1)
            ->output[0];
  return tf_set1(
      node, neo_emit_node(im->e, "slice", 3, (int[]){tf_in(node, 0), start, end}, 1)->output[0]);
}

/* What StridedSlice's masks make of its entries: ranges of input dimensions, dimensions that go,
 * dimensions that are new. */
typedef struct strided {
  int n, n_gone, n_fresh;
  int entry[NEO_MAX_RANK]; /* of begin, end, strides */
  int64_t axis[NEO_MAX_RANK], gone[NEO_MAX_RANK], fresh[NEO_MAX_RANK];
  int64_t begin_mask, end_mask, shrink;
} strided;

static bool read_masks(tf_import *im, tf_node *node, int entries, strided *s) {
  int64_t ellipsis = tf_int(node, "ellipsis_mask", 0), fresh = tf_int(node, "new_axis_mask", 0);
  int in = 0, out = 0, kept = 0;
  *s = (strided){.begin_mask = tf_int(node, "begin_mask", 0),
                 .end_mask = tf_int(node, "end_mask", 0),
                 .shrink = tf_int(node, "shrink_axis_mask", 0)};
  for (int i = 0; i < entries; i++)
    kept += !(ellipsis >> i & 1) && !(fresh >> i & 1);
  for (int i = 0; i < entries; i++) {
    if (ellipsis >> i & 1) {
      int rank = tf_rank(im, node, 0);
      if (rank < 0)
        return false;
      if (rank < kept)
        return tf_unsupported(im, node, "%d entries for rank %d", kept, rank), false;
      in += rank - kept;
      out += rank - kept;
    } else if (s->n == NEO_MAX_RANK || s->n_fresh == NEO_MAX_RANK) {
      tf_unsupported(im, node, "a rank over %d", NEO_MAX_RANK);
      return false;
    } else if (fresh >> i & 1) {
      s->fresh[s->n_fresh++] = out++;
    } else {
      if (s->shrink >> i & 1)
        s->gone[s->n_gone++] = in;
      else
        out++;
      s->entry[s->n] = i;
      s->axis[s->n++] = in++;
    }
  }
  return true;
}

/* Ranges known now. */
static int slice_constant(tf_import *im, const tf_node *node, const strided *s,
                          const neo_tensor *const *range) {
  int64_t from[NEO_MAX_RANK], to[NEO_MAX_RANK], step[NEO_MAX_RANK], axes[NEO_MAX_RANK];
  int n = 0, x = tf_in(node, 0);
  for (int i = 0; i < s->n; i++) {
    int e = s->entry[i];
    int64_t b = neo_tensor_get_i64(range[0], e), end = neo_tensor_get_i64(range[1], e);
    int64_t by = neo_tensor_get_i64(range[2], e);
    bool one = s->shrink >> e & 1;
    by = one ? 1 : by;
    b = !one && s->begin_mask >> e & 1 ? (by < 0 ? FAR : 0) : b;
    end = one ? (b == -1 ? FAR : b + 1) : s->end_mask >> e & 1 ? (by < 0 ? -FAR : FAR) : end;
    if (b == 0 && end == FAR && by == 1)
      continue;
    from[n] = b, to[n] = end, step[n] = by, axes[n++] = s->axis[i];
  }
  if (n == 0)
    return x;
  neo_node *made = neo_emit_node(im->e, "slice", 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "starts", n, from);
  neo_node_set_ints(im->e->graph, made, "ends", n, to);
  neo_node_set_ints(im->e->graph, made, "axes", n, axes);
  neo_node_set_ints(im->e->graph, made, "steps", n, step);
  return made->output[0];
}

/* One bound of ranges known later: entries of a list, or `far` where the mask says so. */
static int bound_later(tf_import *im, const tf_node *node, const strided *s, int k, int far) {
  int64_t index[NEO_MAX_RANK], mask[NEO_MAX_RANK];
  for (int i = 0; i < s->n; i++) {
    index[i] = s->entry[i];
    mask[i] = (k == 1 ? s->begin_mask : s->end_mask) >> s->entry[i] & 1;
    mask[i] &= !(s->shrink >> s->entry[i] & 1);
  }
  int list = neo_emit_cast(im->e, tf_in(node, k), NEO_I64);
  int entries = with_axis(im, "gather", 2, (int[]){list, neo_emit_ints(im->e, s->n, index)}, 0);
  int masked = neo_emit_cast(im->e, neo_emit_ints(im->e, s->n, mask), NEO_BOOL);
  int end = neo_emit_int(im->e, far ? FAR : 0);
  return neo_emit_node(im->e, "where", 3, (int[]){masked, end, entries}, 1)->output[0];
}

static int slice_later(tf_import *im, const tf_node *node, const strided *s,
                       const neo_tensor *steps) {
  int64_t step[NEO_MAX_RANK], one[NEO_MAX_RANK];
  for (int i = 0; i < s->n; i++) {
    one[i] = s->shrink >> s->entry[i] & 1;
    step[i] = one[i] ? 1 : neo_tensor_get_i64(steps, s->entry[i]);
  }
  int from = bound_later(im, node, s, 1, 0), to = bound_later(im, node, s, 2, 1);
  int next = neo_emit_binary(im->e, "add", from, neo_emit_int(im->e, 1));
  int single = neo_emit_cast(im->e, neo_emit_ints(im->e, s->n, one), NEO_BOOL);
  to = neo_emit_node(im->e, "where", 3, (int[]){single, next, to}, 1)->output[0];
  int in[5] = {tf_in(node, 0), from, to, neo_emit_ints(im->e, s->n, s->axis),
               neo_emit_ints(im->e, s->n, step)};
  return neo_emit_node(im->e, "slice", 5, in, 1)->output[0];
}

/* StridedSlice(x, begin, end, strides) */
neo_status tf_strided_slice(tf_import *im, tf_node *node) {
  const neo_tensor *range[3] = {tf_const(im, node, 1), tf_const(im, node, 2),
                                tf_const(im, node, 3)};
  strided s;
  if (!range[2] || range[2]->shape.rank != 1 || range[2]->shape.dim[0] > 32)
    return tf_unknown(im, node, "its strides are not constant");
  int entries = (int)range[2]->shape.dim[0];
  for (int k = 0; k < 2; k++)
    if (range[k] && !neo_shape_equal(&range[k]->shape, &range[2]->shape))
      return tf_bad(im, node, "begin, end and strides differ in length");
  if (!read_masks(im, node, entries, &s))
    return NEO_OK;
  for (int i = 0; i < s.n && !(range[0] && range[1]); i++)
    if (neo_tensor_get_i64(range[2], s.entry[i]) < 0)
      return tf_unknown(im, node, "backwards between bounds that are not constant");
  int x = range[0] && range[1] ? slice_constant(im, node, &s, range)
          : s.n                ? slice_later(im, node, &s, range[2])
                               : tf_in(node, 0);
  x = with_axes(im, "squeeze", x, s.n_gone, s.gone);
  return tf_set1(node, with_axes(im, "unsqueeze", x, s.n_fresh, s.fresh));
}

/* ReverseV2(x, axes) */
neo_status tf_reverse(tf_import *im, tf_node *node) {
  int64_t axes[NEO_MAX_RANK], from[NEO_MAX_RANK], to[NEO_MAX_RANK], step[NEO_MAX_RANK];
  int n, x = tf_in(node, 0);
  if (!tf_const_ints(im, node, 1, axes, NEO_MAX_RANK, &n))
    return NEO_OK;
  for (int i = 0; i < n; i++) {
    from[i] = FAR;
    to[i] = -FAR;
    step[i] = -1;
  }
  if (n == 0)
    return tf_set1(node, x);
  neo_node *made = neo_emit_node(im->e, "slice", 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "starts", n, from);
  neo_node_set_ints(im->e->graph, made, "ends", n, to);
  neo_node_set_ints(im->e->graph, made, "axes", n, axes);
  neo_node_set_ints(im->e->graph, made, "steps", n, step);
  return tf_set1(node, made->output[0]);
}

/* ---- indexing ---------------------------------------------------------------------------------------- */

/* GatherV2(x, indices, axis), Gather(x, indices), ResourceGather(variable, indices) */
neo_status tf_gather(tf_import *im, tf_node *node) {
  int64_t axis = 0, batch = tf_int(node, "batch_dims", 0);
  int x = tf_in(node, 0), indices = tf_in(node, 1);
  if (node->in[0].kind == TF_VARIABLE)
    NEO_TRY(tf_variable_read(im, node, node->in[0].id, &x));
  if (x == NEO_NO_VALUE || indices == NEO_NO_VALUE)
    return node->out[0].kind == TF_BAD ? NEO_OK : tf_unsupported(im, node, "an input is no tensor");
  if (node->n_inputs > 2 && !tf_const_int(im, node, 2, &axis))
    return NEO_OK;
  if (batch == 0)
    return tf_set1(node, with_axis(im, "gather", 2, (int[]){x, indices}, axis));
  if (batch < 0 || axis != batch)
    return tf_unsupported(im, node, "batch_dims %lld, axis %lld", (long long)batch,
                          (long long)axis);
  int64_t last[1] = {-1};
  indices = with_axes(im, "unsqueeze", indices, 1, last);
  neo_node *made = neo_emit_node(im->e, "gather_nd", 2, (int[]){x, indices}, 1);
  neo_node_set_int(im->e->graph, made, "batch_dims", batch);
  return tf_set1(node, made->output[0]);
}

neo_status tf_one_hot(tf_import *im, tf_node *node) {
  int64_t axes[1] = {0};
  int off = with_axes(im, "unsqueeze", tf_in(node, 3), 1, axes);
  int on = with_axes(im, "unsqueeze", tf_in(node, 2), 1, axes);
  int in[3] = {tf_in(node, 0), tf_in(node, 1), tf_emit_concat(im, 2, (int[]){off, on}, 0)};
  return tf_set1(node, with_axis(im, "one_hot", 3, in, tf_int(node, "axis", -1)));
}

/* ScatterNd(indices, updates, shape) */
neo_status tf_scatter_nd(tf_import *im, tf_node *node) {
  neo_dtype dtype = tf_type(node, "T");
  if (dtype == NEO_DTYPE_COUNT)
    return tf_unsupported(im, node, "of another type than numbers");
  int zeros = neo_emit_binary(im->e, "expand", neo_emit_scalar(im->e, dtype, 0), tf_in(node, 2));
  int indices = neo_emit_cast(im->e, tf_in(node, 0), NEO_I64);
  neo_node *made =
      neo_emit_node(im->e, "scatter_nd", 3, (int[]){zeros, indices, tf_in(node, 1)}, 1);
  neo_node_set_string(im->e->graph, made, "reduction", "add");
  return tf_set1(node, made->output[0]);
}

/* TensorScatterUpdate, TensorScatterAdd (x, indices, updates) */
neo_status tf_tensor_scatter(tf_import *im, tf_node *node) {
  int indices = neo_emit_cast(im->e, tf_in(node, 1), NEO_I64);
  neo_node *made =
      neo_emit_node(im->e, "scatter_nd", 3, (int[]){tf_in(node, 0), indices, tf_in(node, 2)}, 1);
  neo_node_set_string(im->e->graph, made, "reduction", node->row->arg);
  return tf_set1(node, made->output[0]);
}

/* Where(x): the places of what is not 0, one a row. */
neo_status tf_where(tf_import *im, tf_node *node) {
  int places = neo_emit_unary(im->e, "nonzero", tf_in(node, 0));
  return tf_set1(node, neo_emit_transpose(im->e, places, 2, (int64_t[]){1, 0}));
}

/* MatrixBandPart(x, lower, upper): so many diagonals below and above, all if negative. */
neo_status tf_band_part(tf_import *im, tf_node *node) {
  int64_t bound[2];
  int x = tf_in(node, 0);
  if (!tf_const_int(im, node, 1, &bound[0]) || !tf_const_int(im, node, 2, &bound[1]))
    return NEO_OK;
  for (int upper = 0; upper < 2; upper++) {
    if (bound[upper] < 0)
      continue;
    int k = neo_emit_int(im->e, upper ? bound[1] : -bound[0]);
    neo_node *made = neo_emit_node(im->e, "trilu", 2, (int[]){x, k}, 1);
    neo_node_set_int(im->e->graph, made, "upper", !upper);
    x = made->output[0];
  }
  return tf_set1(node, x);
}

/* ---- padding ----------------------------------------------------------------------------------------- */

/* Pad(x, paddings [rank, 2]), PadV2(.., value), MirrorPad(mode) */
neo_status tf_pad(tf_import *im, tf_node *node) {
  int flat = neo_emit_transpose(im->e, tf_in(node, 1), 2, (int64_t[]){1, 0});
  int64_t all[1] = {-1};
  int in[3] = {tf_in(node, 0), neo_emit_reshape(im->e, flat, 1, all), tf_in(node, 2)};
  bool mirror = strcmp(node->row->arg, "mirror") == 0;
  if (mirror && !tf_string_is(node, "mode", "REFLECT", "REFLECT"))
    return tf_pad_symmetric(im, node);
  neo_node *made = neo_emit_node(im->e, "pad", mirror ? 2 : 3, in, 1);
  if (mirror)
    neo_node_set_string(im->e->graph, made, "mode", "reflect");
  return tf_set1(node, made->output[0]);
}

/* Roll(x, shifts, axes) of constants: each is two slices, joined the other way around. */
neo_status tf_roll(tf_import *im, tf_node *node) {
  int64_t shift[NEO_MAX_RANK], axes[NEO_MAX_RANK];
  int n, m, x = tf_in(node, 0);
  if (!tf_const_ints(im, node, 1, shift, NEO_MAX_RANK, &n) ||
      !tf_const_ints(im, node, 2, axes, NEO_MAX_RANK, &m))
    return NEO_OK;
  const neo_shape *known = neo_emit_shape(im->e, x);
  if (!known || n != m)
    return tf_unknown(im, node, "its shape is not known");
  neo_shape shape = *known;
  for (int i = 0; i < n; i++) {
    int64_t d = axes[i] < 0 ? axes[i] + shape.rank : axes[i];
    if (d < 0 || d >= shape.rank)
      return tf_bad(im, node, "axis %lld", (long long)axes[i]);
    int64_t cut = shape.dim[d] ? neo_floor_mod(-shift[i], shape.dim[d]) : 0, part[2];
    for (int k = 0; k < 2 && cut; k++) {
      int64_t from = k ? 0 : cut, to = k ? cut : FAR;
      neo_node *made = neo_emit_node(im->e, "slice", 1, &x, 1);
      neo_node_set_ints(im->e->graph, made, "starts", 1, &from);
      neo_node_set_ints(im->e->graph, made, "ends", 1, &to);
      neo_node_set_ints(im->e->graph, made, "axes", 1, &d);
      part[k] = made->output[0];
    }
    if (cut)
      x = tf_emit_concat(im, 2, (int[]){(int)part[0], (int)part[1]}, d);
  }
  return tf_set1(node, x);
}

/* IdentityN, and calls that give what they take. */
neo_status tf_pass_all(tf_import *im, tf_node *node) {
  tf_outputs(im, node, node->n_inputs);
  for (int k = 0; k < node->n_inputs; k++)
    node->out[k] = node->in[k];
  return NEO_OK;
}
