/* frontends/tensorflow_convert_image.c: rows of tensorflow_ops.def on colours, sizes and
 * neighbourhoods of pictures, and special functions. Pictures are [.., h, w, channels]. */
#include "frontends/special_functions.h"
#include "frontends/tensorflow_convert.h"

#include <math.h>
#include <string.h>

static int with(tf_import *im, const char *op, int x, double v) {
  neo_dtype dtype = neo_emit_dtype(im->e, x);
  return neo_emit_binary(im->e, op, x,
                         neo_emit_scalar(im->e, dtype < NEO_DTYPE_COUNT ? dtype : NEO_F32, v));
}

static int two(tf_import *im, const char *op, int a, int b) {
  return neo_emit_binary(im->e, op, a, b);
}

static int where(tf_import *im, int condition, int a, int b) {
  return neo_emit_node(im->e, "where", 3, (int[]){condition, a, b}, 1)->output[0];
}

/* Rank 4, and neither empty nor larger than what can be. */
static bool sound_picture(const neo_shape *shape) {
  int64_t n = 0;
  return shape->rank == 4 && neo_shape_elements(shape, &n) && n > 0 && n < INT64_C(1) << 40;
}

/* ---- special functions ------------------------------------------------------------------------------- */

neo_status tf_log_gamma(tf_import *im, tf_node *node) {
  return tf_set1(node, neo_emit_log_gamma(im->e, tf_in(node, 0)));
}

neo_status tf_erfinv(tf_import *im, tf_node *node) {
  return tf_set1(node, neo_emit_erfinv(im->e, tf_in(node, 0)));
}

/* ---- colours ----------------------------------------------------------------------------------------- */

/* The three channels, each [.., 1]. */
static void channels(tf_import *im, int x, int *out) {
  for (int64_t c = 0; c < 3; c++) {
    neo_node *made = neo_emit_node(im->e, "gather", 2, (int[]){x, neo_emit_ints(im->e, 1, &c)}, 1);
    neo_node_set_int(im->e->graph, made, "axis", -1);
    out[c] = made->output[0];
  }
}

static int joined(tf_import *im, const int *channel) {
  neo_node *made = neo_emit_node(im->e, "concat", 3, channel, 1);
  neo_node_set_int(im->e->graph, made, "axis", -1);
  return made->output[0];
}

/* Hue from 0 to 1, saturation and value of red, green and blue. */
static void to_hsv(tf_import *im, const int *rgb, int *hsv) {
  int value = neo_emit_node(im->e, "max", 3, rgb, 1)->output[0];
  int range = two(im, "sub", value, neo_emit_node(im->e, "min", 3, rgb, 1)->output[0]);
  int zero = with(im, "mul", range, 0), part[3];
  for (int c = 0; c < 3; c++) { /* thirds of the circle, around the largest channel */
    int far = two(im, "sub", rgb[(c + 1) % 3], rgb[(c + 2) % 3]);
    part[c] = with(im, "add", with(im, "div", two(im, "div", far, range), 6), c / 3.0);
  }
  int hue = where(im, two(im, "equal", rgb[0], value), part[0],
                  where(im, two(im, "equal", rgb[1], value), part[1], part[2]));
  hue = where(im, with(im, "greater", range, 0), hue, zero);
  hsv[0] = where(im, with(im, "less", hue, 0), with(im, "add", hue, 1), hue);
  hsv[1] = where(im, with(im, "greater", value, 0), two(im, "div", range, value), zero);
  hsv[2] = value;
}

static int from_hsv(tf_import *im, const int *hsv) {
  static const double centre[3] = {3, 2, 4};
  int six = with(im, "mul", hsv[0], 6), rgb[3];
  for (int c = 0; c < 3; c++) {
    int far = neo_emit_unary(im->e, "abs", with(im, "sub", six, centre[c]));
    int share =
        c == 0 ? with(im, "sub", far, 1) : with(im, "add", neo_emit_unary(im->e, "neg", far), 2);
    share = with(im, "min", with(im, "max", share, 0), 1);
    int lack = two(im, "mul", hsv[1], with(im, "sub", share, 1)); /* from full brightness */
    rgb[c] = two(im, "mul", with(im, "add", lack, 1), hsv[2]);
  }
  return joined(im, rgb);
}

neo_status tf_rgb_to_hsv(tf_import *im, tf_node *node) {
  int rgb[3], hsv[3];
  channels(im, tf_in(node, 0), rgb);
  to_hsv(im, rgb, hsv);
  return tf_set1(node, joined(im, hsv));
}

neo_status tf_hsv_to_rgb(tf_import *im, tf_node *node) {
  int hsv[3];
  channels(im, tf_in(node, 0), hsv);
  return tf_set1(node, from_hsv(im, hsv));
}

/* AdjustHue(x, turn), AdjustSaturation(x, factor); arg: hue or saturation */
neo_status tf_adjust_colour(tf_import *im, tf_node *node) {
  int rgb[3], hsv[3], by = tf_in(node, 1);
  neo_dtype dtype = neo_emit_dtype(im->e, tf_in(node, 0));
  if (dtype < NEO_DTYPE_COUNT && dtype != NEO_F32)
    by = neo_emit_cast(im->e, by, dtype);
  channels(im, tf_in(node, 0), rgb);
  to_hsv(im, rgb, hsv);
  if (strcmp(node->row->arg, "hue") == 0) {
    int turned = two(im, "add", hsv[0], by);
    hsv[0] = two(im, "sub", turned, neo_emit_unary(im->e, "floor", turned));
  } else {
    hsv[1] = with(im, "min", with(im, "max", two(im, "mul", hsv[1], by), 0), 1);
  }
  return tf_set1(node, from_hsv(im, hsv));
}

/* ---- sizes: a matrix for each direction -------------------------------------------------------------- */

typedef struct kernel {
  const char *name;
  double radius;
} kernel;

static double kernel_at(const kernel *k, double x) {
  const double pi = acos(-1);
  if (strncmp(k->name, "lanczos", 7) == 0)
    return x > k->radius ? 0
           : x <= 1e-3   ? 1
                         : k->radius * sin(pi * x) * sin(pi * x / k->radius) / (pi * pi * x * x);
  if (strcmp(k->name, "box") == 0)
    return x < 0.5 ? 1 : x > 0.5 ? 0 : 0.5;
  if (x >= k->radius)
    return 0;
  if (strcmp(k->name, "gaussian") == 0)
    return exp(-x * x / (2 * k->radius * k->radius / 9));
  if (strcmp(k->name, "triangle") == 0)
    return 1 - x;
  if (strcmp(k->name, "keyscubic") == 0)
    return x >= 1 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : (1.5 * x - 2.5) * x * x + 1;
  return x >= 1 ? ((-7.0 / 18 * x + 2) * x - 10.0 / 3) * x + 16.0 / 9
                : (7.0 / 6 * x - 2) * x * x + 8.0 / 9;
}

/* One row of weights: output i of ResizeArea reads where its area lies. */
static void area_row(double *row, int64_t in, float scale, int64_t i) {
  float from = (float)i * scale, to = (float)(i + 1) * scale;
  int64_t end = (int64_t)ceilf(to);
  for (int64_t k = (int64_t)floorf(from); k < end; k++) {
    float share = fminf((float)(k + 1), to) - fmaxf((float)k, from);
    row[neo_min_i64(k, in - 1)] += (double)(share / scale);
  }
}

typedef struct span {
  const kernel *kernel;
  double scale, translate;
  bool wide; /* the kernel grows with what is left out */
} span;

static void kernel_row(double *row, int64_t in, const span *s, int64_t i) {
  double inverse = 1 / s->scale, at = ((double)i + 0.5) * inverse - inverse * s->translate;
  double grown = s->wide && inverse > 1 ? inverse : 1, reach = s->kernel->radius * grown, sum = 0;
  if (!(at >= 0 && at <= (double)in))
    return;
  int64_t from = neo_max_i64((int64_t)ceil(at - reach - 0.5), 0);
  int64_t to = neo_min_i64((int64_t)floor(at + reach - 0.5), in - 1);
  from = neo_min_i64(from, in - 1);
  for (int64_t k = from; k <= neo_max_i64(to, 0); k++)
    sum += row[k] = kernel_at(s->kernel, fabs((double)k + 0.5 - at) / grown);
  for (int64_t k = from; k <= neo_max_i64(to, 0) && sum != 0; k++)
    row[k] /= sum;
}

/* [out, in] x [n, in, rest] */
static int weighed(tf_import *im, int x, const double *weight, const int64_t *of) {
  int w = neo_emit_floats(im->e, (int)(of[0] * of[1]), weight);
  return two(im, "matmul", neo_emit_reshape(im->e, w, 2, of), x);
}

/* Weights of direction d; NULL: said. */
static double *empty_weights(tf_import *im, tf_node *node, int64_t in, int64_t out) {
  if (in < 1 || out < 1 || in > 1 << 14 || out > 1 << 14 || in * out > 1 << 22) {
    tf_unsupported(im, node, "%lld pixels from %lld", (long long)out, (long long)in);
    return NULL;
  }
  int64_t bytes = in * out * (int64_t)sizeof(double), most = im->source->options.max_model_bytes;
  if (im->expanded + bytes > most) {
    tf_unsupported(im, node, "constants of more than max_model_bytes (%lld)", (long long)most);
    return NULL;
  }
  im->expanded += bytes;
  double *row = neo_arena_alloc(&im->arena, sizeof *row * (size_t)(in * out));
  memset(row, 0, sizeof *row * (size_t)(in * out));
  return row;
}

/* The picture [n, h, w, c] and the wanted size. */
static bool resized_shape(tf_import *im, tf_node *node, neo_shape *shape, int64_t *size) {
  const neo_shape *known = neo_emit_shape(im->e, tf_in(node, 0));
  int n;
  if (!known) {
    tf_unknown(im, node, "the shape of its pictures is not known");
    return false;
  }
  *shape = *known;
  if (!tf_const_ints(im, node, 1, size, 2, &n))
    return false;
  if (!sound_picture(known) || n != 2) {
    tf_unsupported(im, node, "pictures of rank %d, or %d sizes", known->rank, n);
    return false;
  }
  return true;
}

static neo_status resized(tf_import *im, tf_node *node, const neo_shape *shape, const int64_t *size,
                          double *const *weight) {
  const int64_t *in = shape->dim;
  int x = neo_emit_cast(im->e, tf_in(node, 0), NEO_F32);
  x = neo_emit_reshape(im->e, x, 3, (int64_t[]){in[0], in[1], in[2] * in[3]});
  x = weighed(im, x, weight[0], (int64_t[]){size[0], in[1]});
  x = neo_emit_reshape(im->e, x, 3, (int64_t[]){in[0] * size[0], in[2], in[3]});
  x = weighed(im, x, weight[1], (int64_t[]){size[1], in[2]});
  return tf_set1(node, neo_emit_reshape(im->e, x, 4, (int64_t[]){in[0], size[0], size[1], in[3]}));
}

/* ResizeArea(pictures, size) */
neo_status tf_resize_area(tf_import *im, tf_node *node) {
  neo_shape shape;
  int64_t size[2];
  double *weight[2];
  bool corners = tf_bool(node, "align_corners", false);
  if (!resized_shape(im, node, &shape, size))
    return NEO_OK;
  for (int d = 0; d < 2; d++) {
    int64_t in = shape.dim[1 + d], out = size[d];
    if (!(weight[d] = empty_weights(im, node, in, out)))
      return NEO_OK;
    float scale = corners && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
    if (!(scale > 0))
      return tf_unsupported(im, node, "one pixel with aligned corners");
    for (int64_t i = 0; i < out; i++)
      area_row(weight[d] + i * in, in, scale, i);
  }
  return resized(im, node, &shape, size, weight);
}

/* ScaleAndTranslate(pictures, size, scale [2], translation [2]) */
neo_status tf_scale_translate(tf_import *im, tf_node *node) {
  static const kernel kernels[] = {{"lanczos1", 1},   {"lanczos3", 3},     {"lanczos5", 5},
                                   {"gaussian", 1.5}, {"box", 0.5},        {"triangle", 1},
                                   {"keyscubic", 2},  {"mitchellcubic", 2}};
  neo_shape shape;
  int64_t size[2];
  double *weight[2];
  span s = {.wide = tf_bool(node, "antialias", true)};
  for (int k = 0; k < NEO_COUNT(kernels); k++)
    if (tf_string_is(node, "kernel_type", "lanczos3", kernels[k].name))
      s.kernel = &kernels[k];
  if (!s.kernel)
    return tf_unsupported(im, node, "its kernel_type");
  if (!resized_shape(im, node, &shape, size))
    return NEO_OK;
  const neo_tensor *scale = tf_const(im, node, 2), *translate = tf_const(im, node, 3);
  if (!scale || !translate)
    return tf_unknown(im, node, "its scale or translation is no constant");
  if (scale->shape.rank != 1 || scale->shape.dim[0] != 2 || translate->shape.rank != 1 ||
      translate->shape.dim[0] != 2)
    return tf_bad(im, node, "its scale or translation has not two values");
  for (int d = 0; d < 2; d++) {
    int64_t in = shape.dim[1 + d];
    s.scale = neo_tensor_get_f64(scale, d);
    s.translate = neo_tensor_get_f64(translate, d);
    if (!(s.scale > 0) || !isfinite(s.scale) || !isfinite(s.translate))
      return tf_bad(im, node, "a scale of %g", s.scale);
    if (!(weight[d] = empty_weights(im, node, in, size[d])))
      return NEO_OK;
    for (int64_t i = 0; i < size[d]; i++)
      kernel_row(weight[d] + i * in, in, &s, i);
  }
  return resized(im, node, &shape, size, weight);
}

/* ---- neighbourhoods ---------------------------------------------------------------------------------- */

/* MaxPoolWithArgmax(x): our flat places count [n, c, h, w], TensorFlow's [h, w, c] or [n, h, w, c].
 */
neo_status tf_pool_places(tf_import *im, tf_node *node) {
  neo_emitter *e = im->e;
  int64_t k[4], step[4];
  const neo_shape *known = neo_emit_shape(e, tf_in(node, 0));
  if (!known)
    return tf_unknown(im, node, "the shape of its pictures is not known");
  neo_shape s = *known;
  if (!sound_picture(&s) || tf_ints(node, "ksize", k, 4) != 4 ||
      tf_ints(node, "strides", step, 4) != 4)
    return tf_bad(im, node, "ksize, strides or a picture of rank %d", s.rank);
  if (k[0] != 1 || k[3] != 1 || step[0] != 1 || step[3] != 1)
    return tf_unsupported(im, node, "a window over batch or channels");
  int x = neo_emit_transpose(e, tf_in(node, 0), 4, (int64_t[]){0, 3, 1, 2});
  neo_node *made = neo_emit_node(e, "max_pool", 1, &x, 2);
  neo_node_set_ints(e->graph, made, "kernel_shape", 2, k + 1);
  neo_node_set_ints(e->graph, made, "strides", 2, step + 1);
  neo_node_set_string(e->graph, made, "auto_pad",
                      tf_string_is(node, "padding", "", "SAME") ? "same_upper" : "valid");
  int most = made->output[0], place = made->output[1], number[2];
  for (int d = 0; d < 2; d++) {
    int range[3] = {neo_emit_int(e, 0), neo_emit_int(e, s.dim[d ? 3 : 0]), neo_emit_int(e, 1)};
    int all = neo_emit_node(e, "range", 3, range, 1)->output[0];
    number[d] = neo_emit_reshape(e, all, d ? 3 : 4, (int64_t[]){-1, 1, 1, 1});
  }
  place = two(im, "mod", place, neo_emit_int(e, s.dim[1] * s.dim[2]));
  place = two(im, "add", two(im, "mul", place, neo_emit_int(e, s.dim[3])), number[1]);
  if (tf_bool(node, "include_batch_in_index", false)) {
    int whole = neo_emit_int(e, s.dim[1] * s.dim[2] * s.dim[3]);
    place = two(im, "add", place, two(im, "mul", number[0], whole));
  }
  neo_dtype to = tf_type(node, "Targmax");
  place = neo_emit_cast(e, place, to == NEO_DTYPE_COUNT ? NEO_I64 : to);
  tf_set(node, 0, neo_emit_transpose(e, most, 4, (int64_t[]){0, 2, 3, 1}));
  tf_set(node, 1, neo_emit_transpose(e, place, 4, (int64_t[]){0, 2, 3, 1}));
  return NEO_OK;
}

/* Dilation2D(x [n, h, w, c], filter [kh, kw, c]): the largest of the sums under each tap; what lies
 * outside never is. */
neo_status tf_dilation(tf_import *im, tf_node *node) {
  neo_emitter *e = im->e;
  int64_t step[4], rate[4], out[2], pads[8] = {0};
  const neo_shape *x = neo_emit_shape(e, tf_in(node, 0)), *w = neo_emit_shape(e, tf_in(node, 1));
  bool same = tf_string_is(node, "padding", "VALID", "SAME");
  neo_dtype dtype = neo_emit_dtype(e, tf_in(node, 0));
  if (!x || !w)
    return tf_unknown(im, node, "its shapes are not known");
  int64_t k[2] = {w->dim[0], w->dim[1]}, c = x->dim[3];
  if (!sound_picture(x) || w->rank != 3 || tf_ints(node, "strides", step, 4) != 4 ||
      tf_ints(node, "rates", rate, 4) != 4)
    return tf_bad(im, node, "strides, rates, or a picture of rank %d", x->rank);
  if (dtype != NEO_F32 && dtype != NEO_F16 && dtype != NEO_F64)
    return tf_unsupported(im, node, "of integers");
  for (int d = 0; d < 2; d++) {
    int64_t in = x->dim[1 + d], s = step[1 + d];
    if (k[d] < 1 || k[d] > 64 || s < 1 || s > 1 << 20 || rate[1 + d] < 1 || rate[1 + d] > 1 << 20)
      return tf_bad(im, node, "a window of %lld", (long long)k[d]);
    int64_t reach = (k[d] - 1) * rate[1 + d] + 1;
    if (!same && in < reach)
      return tf_bad(im, node, "a window of %lld", (long long)reach);
    out[d] = same ? neo_ceil_div(in, s) : (in - reach) / s + 1;
    int64_t total = same ? neo_max_i64((out[d] - 1) * s + reach - in, 0) : 0;
    pads[1 + d] = total / 2;
    pads[5 + d] = total - total / 2;
  }
  int in[3] = {tf_in(node, 0), neo_emit_ints(e, 8, pads),
               neo_emit_scalar(e, dtype, -(double)INFINITY)};
  int padded = neo_emit_node(e, "pad", 3, in, 1)->output[0], most = NEO_NO_VALUE;
  int taps = neo_emit_reshape(e, tf_in(node, 1), 2, (int64_t[]){k[0] * k[1], c});
  for (int64_t tap = 0; tap < k[0] * k[1]; tap++) {
    int64_t from[2] = {tap / k[1] * rate[1], tap % k[1] * rate[2]}, to[2];
    for (int d = 0; d < 2; d++)
      to[d] = from[d] + (out[d] - 1) * step[1 + d] + 1;
    int cut[5] = {padded, neo_emit_ints(e, 2, from), neo_emit_ints(e, 2, to),
                  neo_emit_ints(e, 2, (int64_t[]){1, 2}), neo_emit_ints(e, 2, step + 1)};
    int seen = neo_emit_node(e, "slice", 5, cut, 1)->output[0];
    int sum = two(im, "add", seen, two(im, "gather", taps, neo_emit_int(e, tap)));
    most = most == NEO_NO_VALUE ? sum : two(im, "max", most, sum);
  }
  return tf_set1(node, most);
}
