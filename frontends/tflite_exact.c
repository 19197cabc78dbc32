/* frontends/tflite_exact.c: TFLite's integer operators to the last bit.
 *
 * Between two 8-bit tensors a sum of products is an integer, and one unit of an activation may move
 * a softmax by many: so the convolutions, matrix products, means and rescalings of 8-bit models are
 * computed as TFLite's kernels do (kernels/internal/common.h, quantization_util.cc): the sum in
 * i32, then MultiplyByQuantizedMultiplier, whose factor is a 31-bit integer M times 2^e, and which
 * rounds twice: half up to integers after M * 2^max(e, 0) / 2^31, and after dividing by 2^max(-e,
 * 0) half up (vector kernels: products) or half away from zero (scalar kernels: the others). The
 * first step needs 62 bits; f64 is wrong only where a fraction is within 2^-30 of a half. The
 * second is exact in f32. Not followed: the scalar tail of depthwise kernels, channels beyond a
 * multiple of 8.
 *
 * sum (x - zx)(w - zw) = sum x (w - zw) - zx sum (w - zw); the second term is a constant per
 * channel and goes into the bias; borders are padded with zx. */
#include "frontends/tflite_import.h"

#include <math.h>
#include <string.h>

static bool is_byte(const tfl_tensor *t) {
  return tfl_quantised(t) && (t->type == TFL_INT8 || t->type == TFL_UINT8);
}

static int64_t zero_of(const tfl_tensor *t) {
  return neo_fb_element(&t->zero_point, NEO_FB_I64, 0);
}

static double scale_of(const tfl_tensor *t, int64_t i) {
  return neo_fb_element_f32(&t->scale, t->scale.n > 1 ? i : 0);
}

bool tfl_bytes(tfl_op *op, int k) {
  const tfl_tensor *x = tfl_input(op, k), *y = tfl_output(op, 0);
  return is_byte(x) && is_byte(y) && x->scale.n == 1 && y->scale.n == 1 && scale_of(x, 0) > 0 &&
         scale_of(y, 0) > 0;
}

bool tfl_integer_product(tfl_op *op, int axis) {
  const tfl_tensor *w = tfl_input(op, 1), *b = tfl_input(op, 2);
  if (!tfl_bytes(op, 0) || !is_byte(w) || !w->constant || w->sparsity.at || axis >= w->shape.rank)
    return false;
  int64_t elements, channels = w->shape.dim[axis];
  if (!neo_shape_elements(&w->shape, &elements) || elements != w->data.n || channels < 1)
    return false;
  return (w->scale.n == 1 || w->axis == axis) &&
         (!b || (b->constant && b->type == TFL_INT32 && b->data.n == 4 * channels));
}

/* ---- weights and biases --------------------------------------------------------------------------------- */

static int64_t weight_zero(const tfl_tensor *w, int64_t channel) {
  return neo_fb_element(&w->zero_point, NEO_FB_I64, w->zero_point.n > 1 ? channel : 0);
}

int tfl_centred_weights(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  tfl_tensor *w = tfl_input(op, 1);
  bool any = false;
  for (int64_t i = 0; i < w->zero_point.n; i++)
    any |= weight_zero(w, i) != 0;
  if (!any)
    return tfl_value(op->im, w);
  neo_tensor zero = {.dtype = NEO_I16, .size = 2 * (size_t)w->zero_point.n};
  zero.data = neo_arena_alloc(e->graph->arena, zero.size + 16);
  if (w->zero_point.n > 1) {
    zero.shape.rank = w->shape.rank - w->axis;
    for (int d = 0; d < zero.shape.rank; d++)
      zero.shape.dim[d] = d ? 1 : w->zero_point.n;
  }
  for (int64_t i = 0; i < w->zero_point.n; i++)
    neo_tensor_set_i64(&zero, i, weight_zero(w, i));
  int wide = neo_emit_cast(e, tfl_value(op->im, w), NEO_I16);
  return neo_emit_binary(e, "sub", wide, neo_emit_tensor(e, "zero_point", &zero));
}

/* The sum of each channel's weights (dimension `axis`), their zero points taken off. */
static int64_t *weight_sums(tfl_op *op, int axis) {
  const tfl_tensor *w = tfl_input(op, 1);
  int64_t channels = w->shape.dim[axis], inner = 1;
  int64_t *sum = neo_arena_alloc(op->im->e.graph->arena, sizeof *sum * (size_t)channels);
  for (int d = axis + 1; d < w->shape.rank; d++)
    inner *= w->shape.dim[d];
  const uint8_t *at = w->data.data, *end = at + w->data.n;
  for (int64_t c = 0; at < end; c = c + 1 == channels ? 0 : c + 1) {
    int64_t zero = weight_zero(w, c), all = 0;
    for (int64_t i = 0; i < inner; i++)
      all += w->type == TFL_INT8 ? (int8_t)at[i] : at[i];
    sum[c] += all - inner * zero;
    at += inner;
  }
  return sum;
}

/* bias - zx * sum of centred weights, per output channel, as i32 [channels, 1..] with `after` ones.
 */
static int adjusted_bias(tfl_op *op, int axis, int after) {
  neo_emitter *e = &op->im->e;
  const tfl_tensor *w = tfl_input(op, 1), *b = tfl_input(op, 2);
  int64_t channels = w->shape.dim[axis], zx = zero_of(tfl_input(op, 0));
  const int64_t *sum = zx != 0 ? weight_sums(op, axis) : NULL;
  neo_tensor out = {NEO_I32, {1 + after, {channels, 1, 1, 1}}, NULL, 4 * (size_t)channels};
  out.data = neo_arena_alloc(e->graph->arena, out.size + 16);
  for (int64_t c = 0; c < channels; c++) {
    neo_fb_vector bias = b ? (neo_fb_vector){b->data.fb, b->data.data, channels} : w->zero_point;
    int64_t start = b ? neo_fb_element(&bias, NEO_FB_I32, c) : 0;
    neo_tensor_set_i64(&out, c, sum ? start - zx * sum[c] : start);
  }
  return neo_emit_tensor(e, "bias", &out);
}

/* ---- rescaling -------------------------------------------------------------------------------------------- */

/* scale = m * 2^e, m a 31-bit fraction. */
static int64_t quantised_multiplier(double scale, int *e) {
  *e = 0;
  if (!(scale > 0) || !isfinite(scale))
    return 0;
  int64_t m = (int64_t)round(frexp(scale, e) * 2147483648.0);
  if (m == INT64_C(1) << 31) {
    m /= 2;
    ++*e;
  }
  return *e < -31 ? 0 : m;
}

/* [n, 1..] of this type; one number if n is 1. */
static int numbers(neo_emitter *e, neo_dtype dtype, int64_t n, int after, const double *v) {
  if (n == 1)
    return neo_emit_scalar(e, dtype, v[0]);
  neo_tensor t = {dtype, {1 + after, {n, 1, 1, 1}}, NULL, neo_dtype_size(dtype) * (size_t)n};
  t.data = neo_arena_alloc(e->graph->arena, t.size + 16);
  for (int64_t i = 0; i < n; i++)
    neo_tensor_set_f64(&t, i, v[i]);
  return neo_emit_tensor(e, "multiplier", &t);
}

/* Bounds of a fused activation among the stored values; false: another activation. */
static bool bounds(tfl_op *op, int option, double *low, double *high) {
  const tfl_tensor *y = tfl_output(op, 0);
  double zero = (double)zero_of(y), step = scale_of(y, 0);
  bool sign = y->type == TFL_INT8;
  *low = sign ? -128 : 0;
  *high = sign ? 127 : 255;
  switch (option < 0 ? TFL_ACT_NONE : tfl_option(op, option, NEO_FB_I8, TFL_ACT_NONE)) {
  case TFL_ACT_NONE:
    return true;
  case TFL_ACT_RELU6:
    *high = fmin(*high, zero + round(6 / step)); /* fall through */
  case TFL_ACT_RELU:
    *low = fmax(*low, zero);
    return true;
  case TFL_ACT_RELU_N1_TO_1:
    *low = fmax(*low, zero + round(-1 / step));
    *high = fmin(*high, zero + round(1 / step));
    return true;
  default:
    tfl_unsupported(op, "its fused activation between integers");
    return false;
  }
}

static int stored(tfl_op *op, int value, int option) {
  neo_emitter *e = &op->im->e;
  double low, high;
  if (!bounds(op, option, &low, &high))
    return value;
  if (option >= 0 && tfl_option(op, option, NEO_FB_I8, TFL_ACT_NONE) != TFL_ACT_NONE) {
    neo_node *node = tfl_node(op, "clip", 1, &value);
    neo_node_set_float(e->graph, node, "min", low);
    neo_node_set_float(e->graph, node, "max", high);
    value = node->output[0];
  }
  return neo_emit_cast(e, value, tfl_output(op, 0)->dtype);
}

/* M and e per channel -> factors of the two steps. */
typedef struct factors {
  int64_t n;
  double *first, *second;
  int64_t scalar_from, channels; /* channels from scalar_from on round half away from zero */
} factors;

static factors make_factors(tfl_op *op, int64_t n) {
  neo_arena *arena = op->im->e.graph->arena;
  double *first = neo_arena_alloc(arena, sizeof *first * (size_t)n);
  double *second = neo_arena_alloc(arena, sizeof *second * (size_t)n);
  return (factors){n, first, second, 0, 1};
}

static void set_factor(factors *f, int64_t i, int64_t m, int e) {
  f->first[i] = ldexp((double)m, (e > 0 ? e : 0) - 31);
  f->second[i] = ldexp(1, e < 0 ? e : 0);
}

/* Half away from zero. */
static int round_away(neo_emitter *e, int v) {
  int size =
      neo_emit_binary(e, "add", neo_emit_unary(e, "abs", v), neo_emit_scalar(e, NEO_F32, 0.5));
  return neo_emit_binary(e, "mul", neo_emit_unary(e, "sign", v), neo_emit_unary(e, "floor", size));
}

/* [channels, 1..]: is it one of the scalar kernel? */
static int scalar_channels(neo_emitter *e, const factors *f, int after) {
  neo_tensor t = {NEO_BOOL, {1 + after, {f->channels, 1, 1, 1}}, NULL, (size_t)f->channels};
  t.data = neo_arena_alloc(e->graph->arena, t.size + 16);
  for (int64_t c = 0; c < f->channels; c++)
    neo_tensor_set_i64(&t, c, c >= f->scalar_from);
  return neo_emit_tensor(e, "scalar_channels", &t);
}

/* The sum times the factors, rounded as TFLite does, as f32 around the output's zero point. */
static int rescale(tfl_op *op, int sum, const factors *f, int after) {
  neo_emitter *e = &op->im->e;
  double zero = (double)zero_of(tfl_output(op, 0));
  int v = neo_emit_cast(e, sum, NEO_F64), away = NEO_NO_VALUE;
  v = neo_emit_binary(e, "mul", v, numbers(e, NEO_F64, f->n, after, f->first));
  v = neo_emit_unary(e, "floor", neo_emit_binary(e, "add", v, neo_emit_scalar(e, NEO_F64, 0.5)));
  v = neo_emit_cast(e, v, NEO_F32);
  v = neo_emit_binary(e, "mul", v, numbers(e, NEO_F32, f->n, after, f->second));
  if (f->scalar_from < f->channels)
    away = neo_emit_binary(e, "add", round_away(e, v), neo_emit_scalar(e, NEO_F32, zero));
  if (f->scalar_from == 0)
    return away;
  v = neo_emit_binary(e, "add", v, neo_emit_scalar(e, NEO_F32, zero + 0.5));
  v = neo_emit_unary(e, "floor", v);
  if (away == NEO_NO_VALUE)
    return v;
  int which = scalar_channels(e, f, after);
  return tfl_node(op, "where", 3, (int[]){which, away, v})->output[0];
}

int tfl_finish_product(tfl_op *op, int sum, int axis, int after, int option) {
  const tfl_tensor *x = tfl_input(op, 0), *w = tfl_input(op, 1), *y = tfl_output(op, 0);
  factors f = make_factors(op, w->scale.n);
  f.channels = w->shape.dim[axis];
  f.scalar_from = axis == 3 ? f.channels - f.channels % 8 : f.channels;
  for (int64_t i = 0; i < f.n; i++) {
    int e;
    int64_t m = quantised_multiplier(scale_of(x, 0) * scale_of(w, i) / scale_of(y, 0), &e);
    set_factor(&f, i, m, e);
  }
  sum = neo_emit_binary(&op->im->e, "add", sum, adjusted_bias(op, axis, after));
  return stored(op, rescale(op, sum, &f, after), option);
}

/* x - zx as i32. */
static int centred(tfl_op *op, int k) {
  neo_emitter *e = &op->im->e;
  int x = neo_emit_cast(e, tfl_raw(op, k), NEO_I32);
  int64_t zero = zero_of(tfl_input(op, k));
  return zero ? neo_emit_binary(e, "sub", x, neo_emit_scalar(e, NEO_I32, (double)zero)) : x;
}

static int times(tfl_op *op, int value, double scale) {
  factors f = make_factors(op, 1);
  int e;
  int64_t m = quantised_multiplier(scale, &e);
  set_factor(&f, 0, m, e);
  return rescale(op, value, &f, 0);
}

static double ratio(tfl_op *op) {
  return scale_of(tfl_input(op, 0), 0) / scale_of(tfl_output(op, 0), 0);
}

void tfl_requantise(tfl_op *op) {
  tfl_set_raw(op, 0, stored(op, times(op, centred(op, 0), ratio(op)), -1));
}

void tfl_integer_leaky_relu(tfl_op *op, double alpha) {
  neo_emitter *e = &op->im->e;
  int x = centred(op, 0);
  int below = neo_emit_binary(e, "less", x, neo_emit_scalar(e, NEO_I32, 0));
  int high = times(op, x, ratio(op)), low = times(op, x, ratio(op) * alpha);
  int y = tfl_node(op, "where", 3, (int[]){below, low, high})->output[0];
  tfl_set_raw(op, 0, stored(op, y, -1));
}

/* The division by n goes into the multiplier (reduce.h, QuantizedMeanOrSum). */
bool tfl_integer_mean(tfl_op *op, int n_axes, const int64_t *axes, bool keep) {
  neo_emitter *e = &op->im->e;
  int64_t n = 1;
  int exponent, shift = 0, rank = tfl_rank(op, 0);
  for (int i = 0; i < n_axes; i++) {
    int64_t extent = tfl_dim(op, 0, tfl_axis(op, axes[i], rank));
    if (extent < 1 || extent > INT32_MAX / n)
      return false;
    n *= extent;
  }
  int64_t m = quantised_multiplier(ratio(op), &exponent);
  while (n >> (shift + 1) > 0)
    shift++;
  if (shift > 31 + exponent)
    shift = 31 + exponent;
  if (shift < 0)
    return false;
  factors f = make_factors(op, 1);
  set_factor(&f, 0, (m << shift) / n, exponent - shift);
  int x = centred(op, 0);
  neo_node *node = tfl_node(op, "reduce_sum", 1, &x);
  neo_node_set_ints(e->graph, node, "axes", n_axes, axes);
  neo_node_set_int(e->graph, node, "keepdims", keep);
  tfl_set_raw(op, 0, stored(op, rescale(op, node->output[0], &f, 0), -1));
  return true;
}

/* Of stored values: the zero points are the same. */
void tfl_store_average(tfl_op *op, int mean, int option) {
  tfl_set_raw(op, 0, stored(op, round_away(&op->im->e, mean), option));
}
