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
int tfl_centred(tfl_op *op, int k) {
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

bool tfl_integer_transposed(tfl_op *op) {
  const tfl_tensor *x = tfl_input(op, 2), *w = tfl_input(op, 1), *b = tfl_input(op, 3),
                   *y = tfl_output(op, 0);
  int64_t channels = w->shape.rank == 4 ? w->shape.dim[0] : 0;
  if (!is_byte(x) || !is_byte(y) || !is_byte(w) || !w->constant || w->sparsity.at || channels < 1 ||
      x->scale.n != 1 || y->scale.n != 1 || !(scale_of(x, 0) > 0) || !(scale_of(y, 0) > 0) ||
      (w->scale.n != 1 && (w->axis != 0 || w->scale.n != channels)))
    return false;
  for (int64_t i = 0; i < w->zero_point.n; i++)
    if (weight_zero(w, i) != 0)
      return false;
  return !b || (b->constant && b->type == TFL_INT32 && b->data.n == 4 * channels);
}

void tfl_finish_transposed(tfl_op *op, int sum) {
  const tfl_tensor *x = tfl_input(op, 2), *w = tfl_input(op, 1), *b = tfl_input(op, 3),
                   *y = tfl_output(op, 0);
  neo_emitter *e = &op->im->e;
  factors f = make_factors(op, w->scale.n);
  f.channels = w->shape.dim[0];
  f.scalar_from =
      f.channels - f.channels % 8; /* optimized_ops, Quantize: eight at a time by a vector kernel */
  for (int64_t i = 0; i < f.n; i++) {
    int exponent;
    int64_t m = quantised_multiplier(scale_of(x, 0) * scale_of(w, i) / scale_of(y, 0), &exponent);
    set_factor(&f, i, m, exponent);
  }
  if (b)
    sum = neo_emit_binary(e, "add", sum, tfl_raw(op, 3));
  tfl_set_raw(op, 0, stored(op, rescale(op, sum, &f, 0), b ? TFL_CONV_ACTIVATION : -1));
}

void tfl_requantise(tfl_op *op) {
  int64_t n = 0;
  int exponent;
  factors f = make_factors(op, 1);
  int64_t m = quantised_multiplier(ratio(op), &exponent);
  set_factor(&f, 0, m, exponent);
  if (neo_shape_elements(&tfl_input(op, 0)->shape, &n) &&
      n >= 16) /* sixteen at a time by a vector kernel */
    f.scalar_from = f.channels;
  tfl_set_raw(op, 0, stored(op, rescale(op, tfl_centred(op, 0), &f, 0), -1));
}

void tfl_integer_leaky_relu(tfl_op *op, double alpha) {
  neo_emitter *e = &op->im->e;
  int x = tfl_centred(op, 0);
  int below = neo_emit_binary(e, "less", x, neo_emit_scalar(e, NEO_I32, 0));
  int high = times(op, x, ratio(op)), low = times(op, x, ratio(op) * alpha);
  int y = tfl_node(op, "where", 3, (int[]){below, low, high})->output[0];
  tfl_set_raw(op, 0, stored(op, y, -1));
}

/* mul.cc: the factor is made in f32. */
void tfl_integer_mul(tfl_op *op) {
  float scale = (float)scale_of(tfl_input(op, 0), 0) * (float)scale_of(tfl_input(op, 1), 0) /
                (float)scale_of(tfl_output(op, 0), 0);
  int product = neo_emit_binary(&op->im->e, "mul", tfl_centred(op, 0), tfl_centred(op, 1));
  tfl_set_raw(op, 0, stored(op, times(op, product, (double)scale), 0));
}

/* squared_difference.cc: both inputs on a common scale with seven more bits, then the square's
 * factor. */
void tfl_integer_squared_difference(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  double a = scale_of(tfl_input(op, 0), 0), b = scale_of(tfl_input(op, 1), 0),
         twice = 2 * fmax(a, b);
  int side[2];
  for (int k = 0; k < 2; k++) {
    int shifted = neo_emit_binary(e, "mul", tfl_centred(op, k), neo_emit_scalar(e, NEO_I32, 128));
    side[k] = times(op, shifted, (k ? b : a) / twice);
  }
  int d = neo_emit_cast(e, neo_emit_binary(e, "sub", side[0], side[1]), NEO_I32);
  double scale = twice * twice / (16384.0 * scale_of(tfl_output(op, 0), 0));
  tfl_set_raw(op, 0, stored(op, times(op, neo_emit_binary(e, "mul", d, d), scale), -1));
}

/* a, b: what is stored, transposed as the operator says. */
void tfl_integer_matmul(tfl_op *op, int a, int b) {
  neo_emitter *e = &op->im->e;
  const tfl_tensor *x = tfl_input(op, 0), *y = tfl_input(op, 1);
  int zero[2] = {neo_emit_scalar(e, x->dtype, (double)zero_of(x)),
                 neo_emit_scalar(e, y->dtype, (double)zero_of(y))};
  int sum = tfl_node(op, "matmul_integer", 4, (int[]){a, b, zero[0], zero[1]})->output[0], exponent;
  float scale = (float)scale_of(x, 0) * (float)scale_of(y, 0);
  factors f = make_factors(op, 1);
  int64_t m = quantised_multiplier((double)scale / scale_of(tfl_output(op, 0), 0), &exponent);
  set_factor(&f, 0, m, exponent);
  tfl_set_raw(op, 0, stored(op, rescale(op, sum, &f, 0), -1));
}

/* ---- hard swish (reference_ops, HardSwish): 16-bit fixed point, so a table of 256 ------------------------- */

static int64_t clamp16(int64_t v) {
  return v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v;
}

/* a * b / 2^15, to the nearest, halves away from zero. */
static int64_t high_product(int64_t a, int64_t b) {
  int64_t p = a * b;
  return clamp16((p + (p >= 0 ? 1 << 14 : 1 - (1 << 14))) / (1 << 15));
}

/* v / 2^n, halves away from zero. */
static int64_t divided(int64_t v, int n) {
  int64_t mask = (INT64_C(1) << n) - 1, rest = v & mask;
  return (v >> n) + (rest > (mask >> 1) + (v < 0));
}

typedef struct factor16 {
  int64_t m;
  int e;
} factor16;

static factor16 make_factor16(double scale) {
  factor16 f;
  int64_t m = quantised_multiplier(scale, &f.e);
  f.m = m >= INT32_MAX - (1 << 15) ? INT16_MAX : (m + (1 << 15)) >> 16;
  return f;
}

static int64_t hard_swish_of(int64_t centred_x, factor16 out, factor16 gate) {
  int64_t hires = clamp16(centred_x * 128), g = hires, scaled = high_product(hires, out.m);
  if (gate.e > 0)
    g = clamp16(g * (INT64_C(1) << (gate.e - 1)));
  g = high_product(g, gate.m);
  if (gate.e > 0)
    g = clamp16(2 * g);
  else if (gate.e < 0)
    g = divided(g, -gate.e);
  g = (g + (1 << 15)) >> 1;
  return divided(clamp16(g * scaled / (1 << 15)), out.e < 0 ? -out.e : 0);
}

void tfl_hard_swish(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  const tfl_tensor *x = tfl_input(op, 0), *y = tfl_output(op, 0);
  double fine = tfl_bytes(op, 0) ? scale_of(x, 0) / 128 : 0;
  factor16 out = make_factor16(fine > 0 ? fine / scale_of(y, 0) : 1),
           gate = make_factor16(fine > 0 ? fine / (3.0 / 32768) : 1);
  if (!(fine > 0) || out.e > 0 || out.e < -30 || gate.e > 15 || gate.e < -30 ||
      x->type != y->type) {
    tfl_unary(op);
    return;
  }
  int low = x->type == TFL_INT8 ? -128 : 0;
  neo_tensor table = {x->dtype, {1, {256}}, NULL, 256};
  table.data = neo_arena_alloc(e->graph->arena, table.size + 16);
  for (int i = 0; i < 256; i++) {
    int64_t v = hard_swish_of(i + low - zero_of(x), out, gate) + zero_of(y);
    neo_tensor_set_i64(&table, i, v < low ? low : v > low + 255 ? low + 255 : v);
  }
  int place = neo_emit_cast(e, tfl_raw(op, 0), NEO_I32);
  if (low)
    place = neo_emit_binary(e, "add", place, neo_emit_scalar(e, NEO_I32, -low));
  tfl_set_raw(op, 0,
              tfl_node(op, "gather", 2, (int[]){neo_emit_tensor(e, "hard_swish", &table), place})
                  ->output[0]);
}

/* v + half, or v - half if it is not above zero: what a truncating division then rounds. */
static int nudged(neo_emitter *e, int v, double half) {
  int above = neo_emit_binary(e, "greater", v, neo_emit_scalar(e, NEO_I32, 0));
  int input[3] = {above, neo_emit_scalar(e, NEO_I32, half), neo_emit_scalar(e, NEO_I32, -half)};
  return neo_emit_binary(e, "add", v, neo_emit_node(e, "where", 3, input, 1)->output[0]);
}

/* Height and width of a [n, h, w, c] that stay as ones have a kernel of their own
 * (optimized/integer_ops/mean.h): the sum of what is stored is rescaled, sixteen channels at a time
 * by a vector kernel, and both zero points are one integer, rounded. */
static bool is_image_mean(tfl_op *op, int n_axes, const int64_t *axes, bool keep) {
  int64_t a = n_axes == 2 ? tfl_axis(op, axes[0], 4) : 0,
          b = n_axes == 2 ? tfl_axis(op, axes[1], 4) : 0;
  return keep && tfl_rank(op, 0) == 4 && ((a == 1 && b == 2) || (a == 2 && b == 1));
}

static void image_mean(tfl_op *op, int64_t n) {
  neo_emitter *e = &op->im->e;
  const tfl_tensor *x = tfl_input(op, 0), *y = tfl_output(op, 0);
  float from = (float)scale_of(x, 0), to = (float)scale_of(y, 0),
        shift = (float)zero_of(x) * from / to;
  factors f = make_factors(op, 1);
  int exponent, value = neo_emit_cast(e, tfl_raw(op, 0), NEO_I32);
  int64_t m = quantised_multiplier((double)(from / ((float)n * to)), &exponent);
  set_factor(&f, 0, m, exponent);
  f.channels = tfl_dim(op, 0, 3);
  f.scalar_from = f.channels - f.channels % 16;
  neo_node *node = tfl_node(op, "reduce_sum", 1, &value);
  neo_node_set_ints(e->graph, node, "axes", 2, (int64_t[]){1, 2});
  neo_node_set_int(e->graph, node, "keepdims", 1);
  value = rescale(op, node->output[0], &f, 0);
  double whole = -(double)(int32_t)(shift > 0 ? shift + 0.5F : shift - 0.5F);
  value = neo_emit_binary(e, "add", value, neo_emit_scalar(e, NEO_F32, whole));
  tfl_set_raw(op, 0, stored(op, value, -1));
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
  if (is_image_mean(op, n_axes, axes, keep)) {
    image_mean(op, n);
    return true;
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
  int x = tfl_centred(op, 0);
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

/* ---- bilinear resizing (reference_ops, ResizeBilinearInteger) ---------------------------------------------- */

/* Rows of an axis and what they weigh, for every row of the result; positions and weights in
 * 1/1024. */
enum { MAX_ROWS = 1 << 16 };

typedef struct rows {
  int low, high;               /* i64 [out]: places for gather */
  int low_weight, high_weight; /* i32 [out, 1..] */
} rows;

static rows find_rows(tfl_op *op, int64_t in, int64_t out, int after, bool align, bool half) {
  neo_emitter *e = &op->im->e;
  neo_tensor part[4];
  for (int k = 0; k < 4; k++) {
    neo_dtype dtype = k < 2 ? NEO_I64 : NEO_I32;
    part[k] = (neo_tensor){
        dtype, {k < 2 ? 1 : 1 + after, {out, 1, 1, 1}}, NULL, neo_dtype_size(dtype) * (size_t)out};
    part[k].data = neo_arena_alloc(e->graph->arena, part[k].size + 16);
  }
  bool corners = align && out > 1;
  int64_t step =
      corners ? (1024 * (in - 1) + (out - 1) / 2) / (out - 1) : (1024 * in + out / 2) / out;
  for (int64_t i = 0; i < out; i++) {
    int64_t at = half ? i * step + step / 2 - 512 : i * step;
    int64_t low = neo_max_i64(at / 1024, 0), high = neo_min_i64((at + 1023) / 1024, in - 1);
    low = neo_min_i64(low, in - 1);
    neo_tensor_set_i64(&part[0], i, low);
    neo_tensor_set_i64(&part[1], i, high);
    neo_tensor_set_i64(&part[2], i, 1024 - (at - 1024 * low));
    neo_tensor_set_i64(&part[3], i, at - 1024 * low);
  }
  return (rows){neo_emit_tensor(e, "low", &part[0]), neo_emit_tensor(e, "high", &part[1]),
                neo_emit_tensor(e, "low_weight", &part[2]),
                neo_emit_tensor(e, "high_weight", &part[3])};
}

static int weigh_rows(tfl_op *op, int x, int axis, const rows *r) {
  neo_emitter *e = &op->im->e;
  int side[2] = {r->low, r->high}, weight[2] = {r->low_weight, r->high_weight}, sum[2];
  for (int k = 0; k < 2; k++) {
    neo_node *node = tfl_node(op, "gather", 2, (int[]){x, side[k]});
    neo_node_set_int(e->graph, node, "axis", axis);
    sum[k] = neo_emit_binary(e, "mul", node->output[0], weight[k]);
  }
  return neo_emit_binary(e, "add", sum[0], sum[1]);
}

bool tfl_integer_bilinear(tfl_op *op, bool align, bool half) {
  neo_emitter *e = &op->im->e;
  int64_t size[2], height = tfl_dim(op, 0, 1), width = tfl_dim(op, 0, 2);
  if (!tfl_bytes(op, 0) || tfl_rank(op, 0) != 4 || tfl_ints(op, 1, size, 2) != 2 || height < 1 ||
      width < 1 || size[0] < 1 || size[1] < 1 || size[0] > MAX_ROWS || size[1] > MAX_ROWS)
    return false;
  rows down = find_rows(op, height, size[0], 2, align, half),
       across = find_rows(op, width, size[1], 1, align, half);
  int x = neo_emit_cast(e, tfl_raw(op, 0), NEO_I32);
  x = weigh_rows(op, weigh_rows(op, x, 1, &down), 2, &across);
  x = neo_emit_binary(e, "div", nudged(e, x, 1 << 19), neo_emit_scalar(e, NEO_I32, 1 << 20));
  tfl_set_raw(op, 0, stored(op, x, -1));
  return true;
}
