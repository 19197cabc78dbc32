/* ir/ops_sample.c: operators that read images between pixels: grid_sample, roi_align, deform_conv,
 * affine_grid. Images become a matrix of rows of channels; a sample is a weighted sum of gathered
 * rows, whose numbers and weights are computed beside, so that the reads are rows of memory. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>
#include <string.h>

#define MAX_TAPS 4

/* One dimension of the samples: pixel numbers i64 and weights f32 per tap, all of one shape. */
typedef struct taps {
  int n;
  int index[MAX_TAPS], weight[MAX_TAPS];
} taps;

static int mul(neo_expander *x, int a, int b) {
  return a == NEO_NO_VALUE ? b : b == NEO_NO_VALUE ? a : neo_xp_2(x, "mul", a, b);
}

static int clamp(neo_expander *x, int v, double lo, double hi) {
  return neo_xp_c(x, "min", neo_xp_c(x, "max", v, lo), hi);
}

/* v folded back at lo and hi, as often as needed. */
static int reflect(neo_expander *x, int v, double lo, double hi) {
  double span = hi - lo;
  if (span <= 0)
    return neo_xp_c(x, "mul", v, 0);
  int d = neo_xp_1(x, "abs", neo_xp_c(x, "sub", v, lo));
  int turns = neo_xp_1(x, "floor", neo_xp_c(x, "div", d, span));
  int rest = neo_xp_2(x, "sub", d, neo_xp_c(x, "mul", turns, span));
  int half = neo_xp_1(x, "floor", neo_xp_c(x, "mul", turns, 0.5));
  int odd = neo_xp_c(x, "greater", neo_xp_2(x, "sub", turns, neo_xp_c(x, "mul", half, 2)), 0.5);
  int up = neo_xp_c(x, "add", rest, lo);
  int down = neo_xp_2(x, "sub", neo_xp_scalar(x, neo_xp_dtype(x, v), hi), rest);
  return neo_xp_3(x, "where", odd, down, up);
}

/* Keys' cubic with a = -0.75 at distance t - k + 1 .. of tap k (0..3), t the fraction. */
static int cubic_weight(neo_expander *x, int t, int k) {
  const double a = -0.75;
  double c3 = k == 0 || k == 3 ? a : a + 2, c2 = k == 0 || k == 3 ? -5 * a : -(a + 3);
  double c1 = k == 0 || k == 3 ? 8 * a : 0, c0 = k == 0 || k == 3 ? -4 * a : 1;
  int d = k == 0   ? neo_xp_c(x, "add", t, 1)
          : k == 1 ? t
                   : neo_xp_2(x, "sub", neo_xp_scalar(x, neo_xp_dtype(x, t), k - 1), t);
  int v = neo_xp_c(x, "add", neo_xp_c(x, "mul", d, c3), c2);
  v = neo_xp_c(x, "add", neo_xp_2(x, "mul", v, d), c1);
  return neo_xp_c(x, "add", neo_xp_2(x, "mul", v, d), c0);
}

/* ---- one dimension --------------------------------------------------------------------------- */

typedef struct sampling {
  char mode, padding; /* n l c; z b r */
  bool align;
} sampling;

/* The pixel that a tap at float position p (a whole number) means, and whether it counts. */
static void set_tap(neo_expander *x, const sampling *s, int64_t size, int p, int weight,
                    taps *out) {
  double lo = s->align ? 0 : -0.5, hi = s->align ? (double)size - 1 : (double)size - 0.5;
  if (s->padding == 'z') {
    int inside = neo_xp_2(x, "and", neo_xp_c(x, "greater_equal", p, 0),
                          neo_xp_c(x, "less", p, (double)size));
    int one = neo_xp_cast(x, inside, neo_xp_dtype(x, p));
    weight = mul(x, weight, one);
  } else if (s->padding == 'r') {
    p = reflect(x, p, lo, hi);
  }
  out->index[out->n] = neo_xp_cast(x, clamp(x, p, 0, (double)size - 1), NEO_I64);
  out->weight[out->n++] = weight;
}

/* Taps of positions v (in pixels) along a dimension of `size`. */
static void find_taps(neo_expander *x, const sampling *s, int64_t size, int v, taps *out) {
  out->n = 0;
  if (s->mode == 'n')
    v = neo_xp_1(x, "round", v);
  if (s->padding == 'b')
    v = clamp(x, v, 0, (double)size - 1);
  else if (s->padding == 'r')
    v = reflect(x, v, s->align ? 0 : -0.5, s->align ? (double)size - 1 : (double)size - 0.5);
  if (s->mode == 'n') {
    set_tap(x, s, size, neo_xp_1(x, "round", v), NEO_NO_VALUE, out);
    return;
  }
  int low = neo_xp_1(x, "floor", v), t = neo_xp_2(x, "sub", v, low);
  int n = s->mode == 'l' ? 2 : 4, first = s->mode == 'l' ? 0 : -1;
  for (int k = 0; k < n; k++) {
    int p = first + k ? neo_xp_c(x, "add", low, first + k) : low, weight;
    if (s->mode == 'c')
      weight = cubic_weight(x, t, k);
    else
      weight = k ? t : neo_xp_2(x, "sub", neo_xp_scalar(x, neo_xp_dtype(x, t), 1), t);
    set_tap(x, s, size, p, weight, out);
  }
}

/* ---- all dimensions -------------------------------------------------------------------------- */

typedef struct image {
  int rows; /* [images * pixels, channels] */
  int n;
  int64_t size[3], channels;
  int first; /* i64: row of the image's first pixel, broadcasting with the positions */
} image;

/* Sum over all combinations of taps; result [positions' shape, channels]. */
static int sample(neo_expander *x, const image *im, const taps *t) {
  int sum = NEO_NO_VALUE, combos = 1;
  for (int d = 0; d < im->n; d++)
    combos *= t[d].n;
  for (int c = 0; c < combos && x->status == NEO_OK; c++) {
    int row = NEO_NO_VALUE, weight = NEO_NO_VALUE, rest = c;
    for (int d = im->n - 1; d >= 0; d--, rest /= t[d + 1].n) {
      int k = rest % t[d].n;
      int64_t stride = 1;
      for (int e = d + 1; e < im->n; e++)
        stride *= im->size[e];
      int part = stride == 1 ? t[d].index[k] : neo_xp_c(x, "mul", t[d].index[k], (double)stride);
      row = row == NEO_NO_VALUE ? part : neo_xp_2(x, "add", row, part);
      weight = mul(x, weight, t[d].weight[k]);
    }
    if (im->first != NEO_NO_VALUE)
      row = neo_xp_2(x, "add", row, im->first);
    int value = neo_xp_gather(x, im->rows, row, 0);
    if (weight != NEO_NO_VALUE) {
      weight = neo_xp_cast(x, weight, neo_xp_dtype(x, value));
      value = neo_xp_2(x, "mul", value, neo_xp_unsqueeze(x, weight, neo_xp_rank(x, weight)));
    }
    sum = sum == NEO_NO_VALUE ? value : neo_xp_2(x, "add", sum, value);
  }
  return sum;
}

/* v [images, channels, dims...] as the matrix of rows; im->n is set. */
static void open_image(neo_expander *x, int v, image *im) {
  neo_shape shape = neo_xp_shape(x, v);
  int64_t perm[NEO_MAX_RANK] = {0}, rows = shape.dim[0];
  im->channels = shape.dim[1];
  for (int d = 0; d < im->n; d++) {
    im->size[d] = shape.dim[2 + d];
    rows *= im->size[d];
    perm[1 + d] = 2 + d;
  }
  perm[im->n + 1] = 1;
  v = neo_xp_transpose(x, v, im->n + 2, perm);
  im->rows = neo_xp_reshape(x, v, 2, (int64_t[]){rows, im->channels});
}

/* Numbers 0, step, 2 step, ... along the first of `rank` dimensions. */
static int first_rows(neo_expander *x, int64_t n, int64_t step, int rank) {
  neo_shape shape = {.rank = rank, .dim = {n}};
  neo_tensor *t;
  for (int d = 1; d < rank; d++)
    shape.dim[d] = 1;
  int v = neo_xp_constant(x, NEO_I64, &shape, &t);
  for (int64_t i = 0; t && i < n; i++)
    neo_tensor_set_i64(t, i, i * step);
  return v;
}

/* [n, o..., channels] -> [n, channels, o...] */
static int channels_second(neo_expander *x, int v) {
  int rank = neo_xp_rank(x, v);
  int64_t perm[NEO_MAX_RANK] = {0, rank - 1};
  for (int d = 2; d < rank; d++)
    perm[d] = d - 1;
  return neo_xp_transpose(x, v, rank, perm);
}

/* ---- grid_sample ----------------------------------------------------------------------------- */

neo_status neo_expand_grid_sample(neo_expander *x) {
  int in = neo_xp_in(x, 0), grid = neo_xp_in(x, 1), n = neo_xp_rank(x, in) - 2;
  const char *mode = neo_node_string(&x->node, "mode", "linear"),
             *padding = neo_node_string(&x->node, "padding_mode", "zeros");
  sampling s = {strstr(mode, "linear")  ? 'l'
                : strstr(mode, "cubic") ? 'c'
                                        : 'n',
                *padding, neo_node_int(&x->node, "align_corners", 0) != 0};
  if (n < 1 || n > 3 || neo_xp_rank(x, grid) != n + 2 || neo_xp_dim(x, grid, -1) != n ||
      neo_xp_dim(x, grid, 0) != neo_xp_dim(x, in, 0) || !strchr("zbr", s.padding))
    return neo_xp_fail(x, NEO_BAD_INPUT, "input of rank %d, grid of rank %d, padding '%s'", n + 2,
                       neo_xp_rank(x, grid), padding);
  image im = {.n = n};
  taps t[3];
  open_image(x, in, &im);
  int64_t pixels = 1;
  for (int d = 0; d < n; d++)
    pixels *= im.size[d];
  im.first =
      neo_xp_dim(x, in, 0) == 1 ? NEO_NO_VALUE : first_rows(x, neo_xp_dim(x, in, 0), pixels, n + 1);
  for (int d = 0; d < n; d++) {
    int g = neo_xp_cast(x, neo_xp_at(x, grid, n + 1, n - 1 - d),
                        neo_compute_dtype(neo_xp_dtype(x, grid)));
    double size = (double)im.size[d];
    g = neo_xp_c(x, "add", g, 1);
    g = s.align ? neo_xp_c(x, "mul", g, (size - 1) / 2)
                : neo_xp_c(x, "mul", neo_xp_c(x, "sub", neo_xp_c(x, "mul", g, size), 1), 0.5);
    find_taps(x, &s, im.size[d], g, &t[d]);
  }
  x->out[0] = channels_second(x, sample(x, &im, t));
  return x->status;
}

/* ---- roi_align ------------------------------------------------------------------------------- */

typedef struct roi_axis {
  int64_t bins, samples, size;
  int start, length; /* [rois, 1] in pixels */
} roi_axis;

/* Positions of all samples along one axis and their two taps, [rois, bins * samples]. */
static void roi_taps(neo_expander *x, const roi_axis *a, taps *out) {
  neo_tensor *t;
  int steps = neo_xp_constant(x, NEO_F32, &(neo_shape){2, {1, a->bins * a->samples}}, &t);
  for (int64_t i = 0; t && i < a->bins * a->samples; i++)
    neo_tensor_set_f64(t, i, ((double)i + 0.5) / (double)a->samples);
  int bin = neo_xp_c(x, "div", a->length, (double)a->bins);
  int v = neo_xp_2(x, "add", a->start, neo_xp_2(x, "mul", steps, bin));
  int inside = neo_xp_2(x, "and", neo_xp_c(x, "greater_equal", v, -1),
                        neo_xp_c(x, "less_equal", v, (double)a->size));
  v = clamp(x, v, 0, (double)a->size - 1);
  int low = neo_xp_1(x, "floor", v), f = neo_xp_2(x, "sub", v, low);
  int one = neo_xp_cast(x, inside, NEO_F32),
      high = neo_xp_c(x, "min", neo_xp_c(x, "add", low, 1), (double)a->size - 1);
  out->n = 2;
  out->index[0] = neo_xp_cast(x, low, NEO_I64);
  out->index[1] = neo_xp_cast(x, high, NEO_I64);
  out->weight[0] = neo_xp_2(x, "mul", neo_xp_2(x, "sub", neo_xp_scalar(x, NEO_F32, 1), f), one);
  out->weight[1] = neo_xp_2(x, "mul", f, one);
}

static int with_axis(neo_expander *x, int v, int axis) {
  return neo_xp_unsqueeze(x, v, axis);
}

/* The four weighted reads of every sample, summed or the largest of them. */
static int roi_samples(neo_expander *x, const image *im, const taps *h, const taps *w,
                       bool largest) {
  int sum = NEO_NO_VALUE;
  for (int k = 0; k < 4; k++) {
    taps one[2] = {{1, {with_axis(x, h->index[k / 2], 2)}, {with_axis(x, h->weight[k / 2], 2)}},
                   {1, {with_axis(x, w->index[k % 2], 1)}, {with_axis(x, w->weight[k % 2], 1)}}};
    int value = sample(x, im, one);
    sum = k == 0 ? value : neo_xp_2(x, largest ? "max" : "add", sum, value);
  }
  return sum;
}

neo_status neo_expand_roi_align(neo_expander *x) {
  int in = neo_xp_in(x, 0), rois = neo_xp_in(x, 1), batch = neo_xp_in(x, 2);
  int64_t ratio = neo_node_int(&x->node, "sampling_ratio", 0), n = neo_xp_dim(x, rois, 0);
  bool half =
      neo_op_string_is(&x->node, "coordinate_transformation_mode", "half_pixel", "half_pixel");
  bool largest = neo_op_string_is(&x->node, "mode", "avg", "max");
  double scale = neo_node_float(&x->node, "spatial_scale", 1);
  if (neo_xp_rank(x, in) != 4 || neo_xp_rank(x, rois) != 2 || neo_xp_dim(x, rois, 1) != 4)
    return neo_xp_fail(x, NEO_BAD_INPUT, "input of rank %d, rois of rank %d", neo_xp_rank(x, in),
                       neo_xp_rank(x, rois));
  if (ratio < 1)
    return neo_xp_fail(x, NEO_UNSUPPORTED,
                       "sampling_ratio=0: the number of samples depends on data");
  image im = {.n = 2};
  roi_axis axis[2] = {
      {neo_node_int(&x->node, "output_height", 1), ratio, neo_xp_dim(x, in, 2), 0, 0},
      {neo_node_int(&x->node, "output_width", 1), ratio, neo_xp_dim(x, in, 3), 0, 0}};
  taps t[2];
  open_image(x, in, &im);
  int scaled =
      neo_xp_c(x, "sub", neo_xp_c(x, "mul", neo_xp_cast(x, rois, NEO_F32), scale), half ? 0.5 : 0);
  for (int d = 0; d < 2; d++) { /* rois are x1 y1 x2 y2 */
    axis[d].start = neo_xp_slice(x, scaled, 1, 1 - d, 2 - d);
    axis[d].length = neo_xp_2(x, "sub", neo_xp_slice(x, scaled, 1, 3 - d, 4 - d), axis[d].start);
    if (!half)
      axis[d].length = neo_xp_c(x, "max", axis[d].length, 1);
    roi_taps(x, &axis[d], &t[d]);
  }
  int first = neo_xp_c(x, "mul", neo_xp_cast(x, batch, NEO_I64), (double)(im.size[0] * im.size[1]));
  im.first = neo_xp_reshape(x, first, 3, (int64_t[]){n, 1, 1});
  int v = roi_samples(x, &im, &t[0], &t[1], largest);
  v = neo_xp_reshape(x, v, 6,
                     (int64_t[]){n, axis[0].bins, ratio, axis[1].bins, ratio, im.channels});
  const char *op = largest ? "reduce_max" : "reduce_mean";
  v = neo_xp_reduce(x, op, neo_xp_reduce(x, op, v, 4, false), 2, false);
  x->out[0] = channels_second(x, v);
  return x->status;
}

/* ---- deform_conv ----------------------------------------------------------------------------- */

typedef struct deform {
  int64_t batch, channels, groups, offset_groups, out, kernel[2], size[2];
  int64_t strides[2], dilations[2], pads[4];
} deform;

static void ints_or(const neo_node *node, const char *name, int n, int64_t otherwise,
                    int64_t *out) {
  for (int k = 0; k < n; k++)
    out[k] = otherwise;
  neo_node_ints(node, name, out, n);
}

/* Where tap (k of kh * kw) reads without offset, [1, 1, K, oh, ow] along dimension d. */
static int deform_base(neo_expander *x, const deform *c, int d) {
  neo_tensor *t;
  int64_t k = c->kernel[0] * c->kernel[1], i = 0;
  int v = neo_xp_constant(x, NEO_F32, &(neo_shape){5, {1, 1, k, c->size[0], c->size[1]}}, &t);
  for (int64_t tap = 0; t && tap < k; tap++)
    for (int64_t a = 0; a < c->size[0]; a++)
      for (int64_t b = 0; b < c->size[1]; b++) {
        int64_t o = d == 0 ? a : b, at = d == 0 ? tap / c->kernel[1] : tap % c->kernel[1];
        neo_tensor_set_f64(t, i++, (double)(o * c->strides[d] - c->pads[d] + at * c->dilations[d]));
      }
  return v;
}

static neo_status read_deform(neo_expander *x, deform *c) {
  int in = neo_xp_in(x, 0), w = neo_xp_in(x, 1), offset = neo_xp_in(x, 2);
  if (neo_xp_rank(x, in) != 4 || neo_xp_rank(x, w) != 4 || neo_xp_rank(x, offset) != 4)
    return neo_xp_fail(x, NEO_UNSUPPORTED, "input of rank %d, 4 needed", neo_xp_rank(x, in));
  *c = (deform){.batch = neo_xp_dim(x, in, 0),
                .channels = neo_xp_dim(x, in, 1),
                .groups = neo_node_int(&x->node, "group", 1),
                .offset_groups = neo_node_int(&x->node, "offset_group", 1),
                .out = neo_xp_dim(x, w, 0),
                .kernel = {neo_xp_dim(x, w, 2), neo_xp_dim(x, w, 3)},
                .size = {neo_xp_dim(x, offset, 2), neo_xp_dim(x, offset, 3)}};
  ints_or(&x->node, "strides", 2, 1, c->strides);
  ints_or(&x->node, "dilations", 2, 1, c->dilations);
  ints_or(&x->node, "pads", 4, 0, c->pads);
  int64_t taps_ = c->kernel[0] * c->kernel[1];
  if (c->groups < 1 || c->offset_groups < 1 || c->channels % c->offset_groups ||
      c->out % c->groups || neo_xp_dim(x, w, 1) * c->groups != c->channels ||
      neo_xp_dim(x, offset, 1) != 2 * taps_ * c->offset_groups)
    return neo_xp_fail(x, NEO_BAD_INPUT, "weights and offsets do not fit");
  return NEO_OK;
}

neo_status neo_expand_deform_conv(neo_expander *x) {
  deform c;
  image im = {.n = 2};
  taps t[2];
  sampling s = {'l', 'z', true};
  NEO_TRY(read_deform(x, &c));
  int in = neo_xp_in(x, 0), w = neo_xp_in(x, 1), bias = neo_xp_in(x, 3), mask = neo_xp_in(x, 4);
  int64_t k = c.kernel[0] * c.kernel[1], og = c.offset_groups, per = c.channels / og,
          pixels = c.size[0] * c.size[1];
  int64_t h = neo_xp_dim(x, in, 2), wide = neo_xp_dim(x, in, 3);
  open_image(x, neo_xp_reshape(x, in, 4, (int64_t[]){c.batch * og, per, h, wide}), &im);
  im.first = neo_xp_reshape(x, first_rows(x, c.batch * og, h * wide, 1), 5,
                            (int64_t[]){c.batch, og, 1, 1, 1});
  int offset =
      neo_xp_reshape(x, neo_xp_in(x, 2), 6, (int64_t[]){c.batch, og, k, 2, c.size[0], c.size[1]});
  for (int d = 0; d < 2; d++) {
    int v = neo_xp_cast(x, neo_xp_at(x, offset, 3, d), NEO_F32);
    find_taps(x, &s, im.size[d], neo_xp_2(x, "add", v, deform_base(x, &c, d)), &t[d]);
  }
  int v = sample(x, &im, t); /* [n, og, k, oh, ow, per] */
  if (mask != NEO_NO_VALUE)
    v = neo_xp_2(x, "mul", v,
                 neo_xp_reshape(x, mask, 6, (int64_t[]){c.batch, og, k, c.size[0], c.size[1], 1}));
  v = neo_xp_transpose(x, v, 6, (int64_t[]){0, 1, 5, 2, 3, 4});
  v = neo_xp_reshape(x, v, 5, (int64_t[]){c.batch, c.groups, c.channels / c.groups, k, pixels});
  w = neo_xp_reshape(x, w, 4, (int64_t[]){c.groups, c.out / c.groups, c.channels / c.groups, k});
  int y = neo_xp_op(x, "einsum", 2, (int[]){v, w},
                    NEO_XP_ATTRS(NEO_XP_STRING("equation", "ngcko,gmck->ngmo")));
  y = neo_xp_reshape(x, y, 4, (int64_t[]){c.batch, c.out, c.size[0], c.size[1]});
  if (bias != NEO_NO_VALUE)
    y = neo_xp_2(x, "add", y, neo_xp_reshape(x, bias, 3, (int64_t[]){c.out, 1, 1}));
  x->out[0] = y;
  return x->status;
}

/* ---- affine_grid ----------------------------------------------------------------------------- */

neo_status neo_expand_affine_grid(neo_expander *x) {
  int theta = neo_xp_in(x, 0), n_size;
  int64_t size[5], points = 1;
  bool align = neo_node_int(&x->node, "align_corners", 0) != 0;
  NEO_TRY(neo_op_ints(&(neo_op_site){x->ctx, x->graph, &x->node}, 1, NULL, size, 5, &n_size));
  int n = n_size - 2;
  if (n < 2 || n > 3 || neo_xp_rank(x, theta) != 3 || neo_xp_dim(x, theta, 1) != n ||
      neo_xp_dim(x, theta, 2) != n + 1)
    return neo_xp_fail(x, NEO_BAD_INPUT, "theta does not fit a size of %d values", n_size);
  for (int d = 0; d < n; d++)
    points *= size[2 + d] < 1 ? 1 : size[2 + d];
  if (points > INT32_MAX)
    return neo_xp_fail(x, NEO_BAD_INPUT, "a grid of %lld points", (long long)points);
  neo_tensor *t;
  int grid = neo_xp_constant(x, neo_xp_dtype(x, theta), &(neo_shape){2, {n + 1, points}}, &t);
  for (int64_t i = 0; t && i < points; i++) {
    int64_t rest = i;
    for (int d = n - 1; d >= 0; d--) { /* row n-1-d: x first */
      int64_t s = size[2 + d], at = rest % s;
      rest /= s;
      double v = align ? (s > 1 ? 2 * (double)at / (double)(s - 1) - 1 : -1)
                       : (2 * (double)at + 1) / (double)s - 1;
      neo_tensor_set_f64(t, (n - 1 - d) * points + i, v);
    }
    neo_tensor_set_f64(t, n * points + i, 1);
  }
  int y = neo_xp_transpose(x, neo_xp_2(x, "matmul", theta, grid), 3, (int64_t[]){0, 2, 1});
  neo_shape out = {.rank = n + 2, .dim = {neo_xp_dim(x, theta, 0)}};
  for (int d = 0; d < n; d++)
    out.dim[1 + d] = size[2 + d];
  out.dim[n + 1] = n;
  x->out[0] = neo_xp_reshape_to(x, y, &out);
  return x->status;
}
