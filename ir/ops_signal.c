/* ir/ops_signal.c: Fourier transforms, windows and filters as products with constant matrices, and
 * a few operators whose result is a constant or a handful of others: center_crop_pad, eye_like,
 * cumprod, det. A transform of length n costs n^2: fine for the frames of audio models (n of some
 * hundreds), which run at the speed of gemm. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define MAX_LENGTH 8192
static const double pi = 3.14159265358979323846;

/* Constant integer of input k or attribute; `otherwise` if absent. */
static int64_t integer(neo_expander *x, int k, const char *attr, int64_t otherwise) {
  bool present;
  double v = (double)otherwise;
  if (x->status == NEO_OK)
    x->status = neo_op_scalar(x->ctx, x->graph, &x->node, k, &present, &v);
  if (x->status == NEO_OK && !present && attr)
    return neo_node_int(&x->node, attr, otherwise);
  return (int64_t)v;
}

/* ---- transforms ------------------------------------------------------------------------------ */

typedef struct transform {
  int64_t in, length, out; /* values read, length of the transform, values made */
  bool inverse, half;      /* half: the one-sided form (of the input, if inverse) */
} transform;

/* [in, out] of cos or sin of 2 pi k j / length, scaled; halves count twice in the inverse. */
static int wave(neo_expander *x, neo_dtype dtype, const transform *t, bool sine) {
  neo_tensor *m;
  int64_t rows = neo_min_i64(t->in, t->inverse && t->half ? t->length / 2 + 1 : t->length);
  int v = neo_xp_constant(x, dtype, &(neo_shape){2, {rows, t->out}}, &m);
  for (int64_t j = 0; m && j < rows; j++)
    for (int64_t k = 0; k < t->out; k++) {
      double angle = 2 * pi * (double)(j * k % t->length) / (double)t->length;
      double scale = t->inverse ? 1 / (double)t->length : 1;
      if (t->inverse && t->half && j != 0 && 2 * j != t->length)
        scale *= 2;
      neo_tensor_set_f64(m, j * t->out + k, scale * (sine ? sin(angle) : cos(angle)));
    }
  return v;
}

/* re, im [..., in] (im may be absent) -> [..., out, 2], or [..., out, 1] of the inverse of a half.
 */
static int apply(neo_expander *x, int re, int im, transform *t) {
  neo_dtype dtype = neo_xp_dtype(x, re);
  int axis = neo_xp_rank(x, re) - 1;
  if (t->length < 1 || t->length > MAX_LENGTH) {
    neo_xp_fail(x, NEO_UNSUPPORTED, "a transform of length %" PRId64 ", at most %d", t->length,
                MAX_LENGTH);
    return NEO_NO_VALUE;
  }
  int cosine = wave(x, dtype, t, false), sine = wave(x, dtype, t, true);
  int64_t rows = neo_xp_dim(x, cosine, 0);
  const char *re_op = t->inverse ? "sub" : "add", *im_op = t->inverse ? "add" : "sub";
  re = neo_xp_slice(x, re, axis, 0, rows);
  int out_re = neo_xp_2(x, "matmul", re, cosine), out_im = NEO_NO_VALUE;
  if (im != NEO_NO_VALUE) {
    im = neo_xp_slice(x, im, axis, 0, rows);
    out_re = neo_xp_2(x, re_op, out_re, neo_xp_2(x, "matmul", im, sine));
  }
  if (t->inverse && t->half)
    return neo_xp_unsqueeze(x, out_re, axis + 1);
  out_im = neo_xp_2(x, "matmul", re, sine);
  if (im != NEO_NO_VALUE)
    out_im = neo_xp_2(x, im_op, neo_xp_2(x, "matmul", im, cosine), out_im);
  else if (!t->inverse)
    out_im = neo_xp_1(x, "neg", out_im);
  return neo_xp_concat(
      x, axis + 1, 2,
      (int[]){neo_xp_unsqueeze(x, out_re, axis + 1), neo_xp_unsqueeze(x, out_im, axis + 1)});
}

/* v [.., n at axis, .., 1 or 2]: the parts with the axis last. */
static void parts(neo_expander *x, int v, int axis, int *re, int *im) {
  int rank = neo_xp_rank(x, v);
  int64_t perm[NEO_MAX_RANK];
  int n = 0;
  for (int d = 0; d < rank - 1; d++)
    if (d != axis)
      perm[n++] = d;
  perm[n++] = axis;
  *re = neo_xp_at(x, v, rank - 1, 0);
  *im = neo_xp_dim(x, v, -1) == 2 ? neo_xp_at(x, v, rank - 1, 1) : NEO_NO_VALUE;
  if (axis != rank - 2) {
    *re = neo_xp_transpose(x, *re, rank - 1, perm);
    *im = *im == NEO_NO_VALUE ? *im : neo_xp_transpose(x, *im, rank - 1, perm);
  }
}

neo_status neo_expand_dft(neo_expander *x) {
  int in = neo_xp_in(x, 0), rank = neo_xp_rank(x, in), re, im, axis;
  int64_t at = integer(x, 2, "axis", -2);
  transform t = {.inverse = neo_node_int(&x->node, "inverse", 0) != 0,
                 .half = neo_node_int(&x->node, "onesided", 0) != 0};
  NEO_TRY(neo_op_axis(x->ctx, &x->node, at, rank, &axis));
  if (rank < 2 || axis == rank - 1 || neo_xp_dim(x, in, -1) > 2)
    return neo_xp_fail(x, NEO_BAD_INPUT, "axis %" PRId64 " of rank %d", at, rank);
  t.in = neo_xp_dim(x, in, axis);
  t.length = integer(x, 1, NULL, t.inverse && t.half ? 2 * (t.in - 1) : t.in);
  t.out = t.half && !t.inverse ? t.length / 2 + 1 : t.length;
  NEO_TRY(x->status);
  parts(x, in, axis, &re, &im);
  int y = apply(x, re, im, &t); /* [others..., out, parts] */
  if (axis != rank - 2) {
    int64_t perm[NEO_MAX_RANK];
    int n = 0;
    for (int d = 0; d < rank - 1; d++)
      perm[d] = d == axis ? rank - 2 : n++;
    perm[rank - 1] = rank - 1;
    y = neo_xp_transpose(x, y, rank, perm);
  }
  x->out[0] = y;
  return x->status;
}

neo_status neo_expand_stft(neo_expander *x) {
  int in = neo_xp_in(x, 0), window = neo_xp_in(x, 2), re, im;
  int64_t step = integer(x, 1, NULL, 0), n = neo_xp_dim(x, in, 1);
  int64_t length = integer(x, 3, NULL, window == NEO_NO_VALUE ? n : neo_xp_dim(x, window, 0));
  NEO_TRY(x->status);
  if (neo_xp_rank(x, in) != 3 || step < 1 || length < 1 || length > n || neo_xp_dim(x, in, 2) > 2 ||
      (window != NEO_NO_VALUE && neo_xp_dim(x, window, 0) != length))
    return neo_xp_fail(x, NEO_BAD_INPUT, "frames of %" PRId64 " every %" PRId64 " of %" PRId64,
                       length, step, n);
  int64_t frames = (n - length) / step + 1;
  transform t = {
      .in = length, .length = length, .half = neo_node_int(&x->node, "onesided", 1) != 0};
  t.out = t.half ? length / 2 + 1 : length;
  neo_tensor *index;
  int rows = neo_xp_constant(x, NEO_I64, &(neo_shape){2, {frames, length}}, &index);
  for (int64_t i = 0; index && i < frames * length; i++)
    neo_tensor_set_i64(index, i, i / length * step + i % length);
  parts(x, neo_xp_gather(x, in, rows, 1), 2, &re, &im); /* [batch, frames, length] */
  if (window != NEO_NO_VALUE) {
    re = neo_xp_2(x, "mul", re, window);
    im = im == NEO_NO_VALUE ? im : neo_xp_2(x, "mul", im, window);
  }
  x->out[0] = apply(x, re, im, &t);
  return x->status;
}

/* ---- windows and filters --------------------------------------------------------------------- */

static neo_dtype wanted_type(neo_expander *x, const char *attr, neo_dtype otherwise) {
  neo_dtype dtype = otherwise;
  const char *name = neo_node_string(&x->node, attr, "");
  if (*name && !neo_dtype_find_computed(name, &dtype))
    neo_xp_fail(x, NEO_UNSUPPORTED, "%s '%s'", attr, name);
  return dtype;
}

neo_status neo_expand_window(neo_expander *x) {
  int64_t size = integer(x, 0, NULL, 0);
  bool periodic = neo_node_int(&x->node, "periodic", 1) != 0;
  neo_dtype dtype = wanted_type(x, "output_datatype", NEO_F32);
  char kind = x->node.op->name[0] == 'b' ? 'b' : x->node.op->name[2]; /* hann, hamming: n, m */
  neo_tensor *t;
  if (size < 0 || size > 1 << 24)
    return neo_xp_fail(x, NEO_BAD_INPUT, "a window of %" PRId64, size);
  x->out[0] = neo_xp_constant(x, dtype, &(neo_shape){1, {size}}, &t);
  for (int64_t i = 0; t && i < size; i++) {
    double a = 2 * pi * (double)i / (double)(periodic ? size : size - 1);
    double v = kind == 'b'   ? 0.42 - 0.5 * cos(a) + 0.08 * cos(2 * a)
               : kind == 'm' ? 25.0 / 46 - 21.0 / 46 * cos(a)
                             : 0.5 - 0.5 * cos(a);
    neo_tensor_set_f64(t, i, v);
  }
  return x->status;
}

neo_status neo_expand_mel_weight_matrix(neo_expander *x) {
  double v[5];
  bool present;
  for (int k = 0; k < 5; k++)
    NEO_TRY(neo_op_scalar(x->ctx, x->graph, &x->node, k, &present, &v[k]));
  int64_t mels = (int64_t)v[0], length = (int64_t)v[1], bins = length / 2 + 1;
  if (mels < 1 || mels > 1 << 16 || length < 1 || length > 1 << 20 || v[2] <= 0)
    return neo_xp_fail(x, NEO_BAD_INPUT, "%" PRId64 " bins of %" PRId64, mels, length);
  neo_tensor *t;
  x->out[0] = neo_xp_constant(x, wanted_type(x, "output_datatype", NEO_F32),
                              &(neo_shape){2, {bins, mels}}, &t);
  double low = 2595 * log10(1 + v[3] / 700), high = 2595 * log10(1 + v[4] / 700);
  double step = (high - low) / (double)(mels + 2);
  int64_t *edge = neo_arena_alloc(x->graph->arena, sizeof *edge * (size_t)(mels + 2));
  for (int64_t i = 0; i < mels + 2; i++) {
    double hertz = 700 * (pow(10, ((double)i * step + low) / 2595) - 1);
    edge[i] =
        neo_max_i64(0, neo_min_i64((int64_t)floor((double)(length + 1) * hertz / v[2]), bins - 1));
  }
  for (int64_t i = 0; t && i < mels; i++) {
    int64_t from = edge[i], mid = edge[i + 1], to = edge[i + 2];
    if (mid == from)
      neo_tensor_set_f64(t, mid * mels + i, 1);
    for (int64_t j = from; mid > from && j <= mid; j++)
      neo_tensor_set_f64(t, j * mels + i, (double)(j - from) / (double)(mid - from));
    for (int64_t j = mid; j < to; j++)
      neo_tensor_set_f64(t, j * mels + i, (double)(to - j) / (double)(to - mid));
  }
  return x->status;
}

/* ---- others ---------------------------------------------------------------------------------- */

neo_status neo_expand_center_crop_pad(neo_expander *x) {
  int64_t wanted[NEO_MAX_RANK], axes[NEO_MAX_RANK], pads[2 * NEO_MAX_RANK] = {0};
  int v = neo_xp_in(x, 0), rank = neo_xp_rank(x, v), n,
      n_axes = neo_node_ints(&x->node, "axes", axes, NEO_MAX_RANK);
  bool grows = false;
  NEO_TRY(
      neo_op_ints(&(neo_op_site){x->ctx, x->graph, &x->node}, 1, NULL, wanted, NEO_MAX_RANK, &n));
  if (n != (n_axes ? n_axes : rank))
    return neo_xp_fail(x, NEO_BAD_INPUT, "%d sizes", n);
  for (int k = 0; k < n; k++) {
    int axis = k;
    if (n_axes)
      NEO_TRY(neo_op_axis(x->ctx, &x->node, axes[k], rank, &axis));
    int64_t size = neo_xp_dim(x, v, axis), more = wanted[k] - size;
    if (more < 0)
      v = neo_xp_slice(x, v, axis, -more / 2, -more / 2 + wanted[k]);
    if (more <= 0)
      continue;
    pads[axis] = more / 2;
    pads[rank + axis] = more - more / 2;
    grows = true;
  }
  if (grows)
    v = neo_xp_op(x, "pad", 1, &v, NEO_XP_ATTRS(NEO_XP_INTS("pads", 2 * rank, pads)));
  x->out[0] = v == neo_xp_in(x, 0) ? neo_xp_1(x, "identity", v) : v;
  return x->status;
}

neo_status neo_expand_eye_like(neo_expander *x) {
  int in = neo_xp_in(x, 0);
  neo_shape shape = neo_xp_shape(x, in);
  int64_t k = neo_node_int(&x->node, "k", 0);
  neo_tensor *t;
  if (shape.rank != 2)
    return neo_xp_fail(x, NEO_BAD_INPUT, "input of rank %d", shape.rank);
  x->out[0] = neo_xp_constant(x, wanted_type(x, "dtype", neo_xp_dtype(x, in)), &shape, &t);
  for (int64_t i = 0; t && i < shape.dim[0]; i++)
    if (i + k >= 0 && i + k < shape.dim[1])
      neo_tensor_set_f64(t, i * shape.dim[1] + i + k, 1);
  return x->status;
}

/* v moved by `by` places along the axis (back if negative), ones moving in. */
static int shifted(neo_expander *x, int v, int axis, int64_t by) {
  int rank = neo_xp_rank(x, v);
  int64_t pads[2 * NEO_MAX_RANK] = {0}, n = neo_xp_dim(x, v, axis);
  pads[by > 0 ? axis : rank + axis] = by > 0 ? by : -by;
  v = by > 0 ? neo_xp_slice(x, v, axis, 0, n - by) : neo_xp_slice(x, v, axis, -by, n);
  return neo_xp_op(x, "pad", 1, &v,
                   NEO_XP_ATTRS(NEO_XP_INTS("pads", 2 * rank, pads), NEO_XP_FLOAT("value", 1)));
}

/* log n rounds of doubling. */
neo_status neo_expand_cumprod(neo_expander *x) {
  int v = neo_xp_in(x, 0), axis;
  int64_t at = integer(x, 1, NULL, 0), sign = neo_node_int(&x->node, "reverse", 0) ? -1 : 1;
  NEO_TRY(x->status);
  NEO_TRY(neo_op_axis(x->ctx, &x->node, at, neo_xp_rank(x, v), &axis));
  int64_t n = neo_xp_dim(x, v, axis);
  neo_dtype dtype = neo_xp_dtype(x, v);
  v = neo_xp_cast(x, v, neo_compute_dtype(dtype));
  if (neo_node_int(&x->node, "exclusive", 0) && n > 0)
    v = n == 1 ? neo_xp_c(x, "add", neo_xp_c(x, "mul", v, 0), 1) : shifted(x, v, axis, sign);
  for (int64_t by = 1; by < n; by *= 2)
    v = neo_xp_2(x, "mul", v, shifted(x, v, axis, sign * by));
  v = neo_xp_cast(x, v, dtype);
  x->out[0] = v == neo_xp_in(x, 0) ? neo_xp_1(x, "identity", v) : v;
  return x->status;
}

/* x [batch, channels, n], w [channels, 1, k], bias?, past? [batch, channels, k - 1] -> y, what is
 * past now. */
neo_status neo_expand_causal_conv(neo_expander *x) {
  int in = neo_xp_in(x, 0), w = neo_xp_in(x, 1), past = neo_xp_in(x, 3);
  if (neo_xp_rank(x, in) != 3 || neo_xp_rank(x, w) != 3 ||
      neo_xp_dim(x, w, 0) != neo_xp_dim(x, in, 1))
    return neo_xp_fail(x, NEO_BAD_INPUT, "input and weights do not fit");
  int64_t channels = neo_xp_dim(x, in, 1), before = neo_xp_dim(x, w, 2) - 1;
  neo_tensor *zero;
  if (past == NEO_NO_VALUE && before > 0)
    past = neo_xp_constant(x, neo_xp_dtype(x, in),
                           &(neo_shape){3, {neo_xp_dim(x, in, 0), channels, before}}, &zero);
  int all = before > 0 ? neo_xp_concat(x, 2, 2, (int[]){past, in}) : in;
  int y = neo_xp_op(x, "conv", 3, (int[]){all, w, neo_xp_in(x, 2)},
                    NEO_XP_ATTRS(NEO_XP_INT("group", channels)));
  if (!neo_op_string_is(&x->node, "activation", "none", "none"))
    y = neo_xp_op(x, "swish", 1, &y, NEO_XP_ATTRS(NEO_XP_FLOAT("alpha", 1)));
  int64_t n = neo_xp_dim(x, all, 2);
  x->out[0] = y;
  x->out[1] = neo_xp_slice(x, all, 2, n - before, n);
  if (x->out[1] == in)
    x->out[1] = neo_xp_1(x, "identity", in);
  return x->status;
}

/* Of the matrix that rows `from`.. and the columns in `mask` leave, by its first row. */
static int minor_det(neo_expander *x, int v, int n, int from, unsigned mask) {
  int rank = neo_xp_rank(x, v), sum = NEO_NO_VALUE, sign = 1;
  if (from == n)
    return NEO_NO_VALUE;
  for (int c = 0; c < n; c++) {
    if (!(mask >> c & 1))
      continue;
    int e = neo_xp_at(x, neo_xp_at(x, v, rank - 2, from), rank - 2, c);
    int rest = minor_det(x, v, n, from + 1, mask & ~(1u << c));
    e = rest == NEO_NO_VALUE ? e : neo_xp_2(x, "mul", e, rest);
    sum = sum == NEO_NO_VALUE ? e : neo_xp_2(x, sign > 0 ? "add" : "sub", sum, e);
    sign = -sign;
  }
  return sum;
}

neo_status neo_expand_det(neo_expander *x) {
  int v = neo_xp_in(x, 0);
  int64_t n = neo_xp_dim(x, v, -1);
  if (neo_xp_rank(x, v) < 2 || neo_xp_dim(x, v, -2) != n || n < 1 || n > 4)
    return neo_xp_fail(x, NEO_UNSUPPORTED,
                       "a matrix of %" PRId64 " columns; square ones up to 4 are known", n);
  x->out[0] = minor_det(x, v, (int)n, 0, (1u << n) - 1);
  return x->status;
}

/* ---- random_like ------------------------------------------------------------------------------ */

neo_status neo_expand_random_like(neo_expander *x) {
  neo_shape shape = neo_xp_shape(x, neo_xp_in(x, 0));
  bool normal = strcmp(neo_node_string(&x->node, "kind", "uniform"), "normal") == 0;
  double low = neo_node_float(&x->node, "low", 0), scale = neo_node_float(&x->node, "scale", 1);
  int64_t n = 0;
  neo_rng rng;
  neo_tensor *t;
  neo_dtype dtype = wanted_type(x, "dtype", neo_xp_dtype(x, neo_xp_in(x, 0)));
  if (neo_dtype_class(dtype) != 'f')
    return neo_xp_fail(x, NEO_BAD_INPUT, "random numbers of type %s", neo_dtype_name(dtype));
  if (!neo_shape_elements(&shape, &n) || n > 1 << 26)
    return neo_xp_fail(x, NEO_UNSUPPORTED, "more than %d random numbers", 1 << 26);
  neo_rng_init(&rng, (uint64_t)neo_node_int(&x->node, "seed", 0));
  x->out[0] = neo_xp_constant(x, dtype, &shape, &t);
  for (int64_t i = 0; t && i < n; i++)
    neo_tensor_set_f64(t, i, low + scale * (normal ? neo_rng_normal(&rng) : neo_rng_unit(&rng)));
  return x->status;
}
