/* ir/ops_resize.c: resize by nearest neighbour, linear and cubic interpolation.
 *
 * Where output position o looks in the input is a rational number (a * o + b) / c: scales are
 * integers or ratios of sizes almost always, and others are approximated by the nearest fraction
 * with a denominator up to 2^16. So every index is quasi-affine and exact: floor((a o + b) / c) =
 * floordiv(a * o + b, c), and no float noise decides a tie.
 *
 * nearest: one copy block. linear and cubic: the weights of each resized dimension are a small TMP
 * [out, taps], and the main block adds in[floor + tap, clamped] times the weights over the taps. A
 * weight table can be normalised (exclude_outside) without touching the main block. With
 * tf_crop_and_resize positions outside of the input give extrapolation_value. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct ratio {
  int64_t num, den; /* den > 0 */
} ratio;

typedef struct dimension {
  bool resized;
  int64_t in, out;
  int64_t a, b, c; /* position = (a * o + b) / c */
  double scale;    /* output per input */
} dimension;

typedef struct resizing {
  int rank;
  dimension dim[NEO_MAX_RANK];
  bool crop; /* tf_crop_and_resize */
} resizing;

/* ---- scales and sizes ---------------------------------------------------------------------------- */

/* Best fraction by continued fractions. */
static ratio nearest_ratio(double v) {
  int64_t p0 = 0, q0 = 1, p1 = 1, q1 = 0;
  double x = fabs(v);
  for (int k = 0; k < 40; k++) {
    double whole = floor(x);
    if (whole > 1e9)
      break;
    int64_t w = (int64_t)whole, p2 = w * p1 + p0, q2 = w * q1 + q0;
    if (q2 > 65536 || p2 > INT64_C(1) << 40)
      break;
    p0 = p1, q0 = q1, p1 = p2, q1 = q2;
    if (fabs((double)p1 / (double)q1 - fabs(v)) <= fabs(v) * 3e-7 || x - whole < 1e-12)
      break;
    x = 1 / (x - whole);
  }
  return (ratio){v < 0 ? -p1 : p1, q1 ? q1 : 1};
}

static neo_status read_floats(const neo_op_site *at, int k, double *out, int cap, int *n) {
  const neo_value *v = neo_op_in(at->graph, at->node, k);
  int64_t count = 0;
  *n = 0;
  if (!v)
    return NEO_OK;
  if (!v->constant)
    return neo_op_fail(at->ctx, at->node, NEO_UNSUPPORTED, "input %d must be a constant", k);
  if (!neo_shape_elements(&v->shape, &count) || count > cap)
    return neo_op_fail(at->ctx, at->node, NEO_BAD_INPUT, "input %d has too many values", k);
  *n = (int)count;
  for (int i = 0; i < *n; i++)
    out[i] = neo_tensor_get_f64(v->constant, i);
  return NEO_OK;
}

/* Which dimension the k-th scale, size or roi value is for. */
static neo_status read_resize_axes(neo_ctx *ctx, const neo_node *node, int rank, int *axis,
                                   int *n) {
  int64_t axes[NEO_MAX_RANK];
  *n = neo_node_ints(node, "axes", axes, NEO_MAX_RANK);
  for (int k = 0; k < *n && k < NEO_MAX_RANK; k++)
    NEO_TRY(neo_op_axis(ctx, node, axes[k], rank, &axis[k]));
  for (int k = 0; *n == 0 && k < rank; k++)
    axis[k] = k;
  *n = *n ? *n : rank;
  return NEO_OK;
}

/* The dimensions that scales or sizes are given for, and what becomes of them. */
typedef struct request {
  resizing *r;
  int n, axis[NEO_MAX_RANK];
  ratio scale[NEO_MAX_RANK]; /* per dimension of the input */
} request;

static neo_status sizes_from_scales(neo_ctx *ctx, const neo_node *node, request *q,
                                    const double *scales) {
  for (int k = 0; k < q->n; k++) {
    dimension *d = &q->r->dim[q->axis[k]];
    double out = floor((double)d->in * scales[k]);
    if (!(scales[k] > 0) || !(out < 1e9))
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "a scale of %g", scales[k]);
    d->out = (int64_t)out;
    q->scale[q->axis[k]] = nearest_ratio(scales[k]);
  }
  return NEO_OK;
}

static neo_status sizes_from_sizes(neo_ctx *ctx, const neo_node *node, request *q,
                                   const int64_t *sizes) {
  bool larger = neo_op_string_is(node, "keep_aspect_ratio_policy", "stretch", "not_larger");
  bool smaller = neo_op_string_is(node, "keep_aspect_ratio_policy", "stretch", "not_smaller");
  double common = 0;
  int best = 0;
  for (int k = 0; k < q->n; k++) {
    dimension *d = &q->r->dim[q->axis[k]];
    if (sizes[k] < 0 || sizes[k] > INT32_MAX || d->in < 1)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "a size of %" PRId64 " from %" PRId64, sizes[k],
                         d->in);
    double s = (double)sizes[k] / (double)d->in;
    if (k == 0 || (larger && s < common) || (smaller && s > common)) {
      common = s;
      best = k;
    }
  }
  for (int k = 0; k < q->n; k++) {
    dimension *d = &q->r->dim[q->axis[k]];
    q->scale[q->axis[k]] = (ratio){sizes[k], d->in};
    d->out = sizes[k];
    if (larger || smaller) {
      q->scale[q->axis[k]] = (ratio){sizes[best], q->r->dim[q->axis[best]].in};
      d->out = (int64_t)floor(common * (double)d->in + 0.5);
    }
  }
  return NEO_OK;
}

/* ---- coordinates --------------------------------------------------------------------------------- */

static void set_position(dimension *d, int64_t a, int64_t b, int64_t c) {
  int64_t x = a < 0 ? -a : a, y = c;
  while (y) {
    int64_t t = x % y;
    x = y;
    y = t;
  }
  int64_t z = b < 0 ? -b : b;
  for (y = x; y;) {
    int64_t t = z % y;
    z = y;
    y = t;
  }
  z = z ? z : 1;
  d->a = a / z;
  d->b = b / z;
  d->c = c / z;
}

/* position = start * (in - 1) + o * (end - start) * (in - 1) / (out - 1), in 2^20ths */
static void crop_position(dimension *d, double start, double end) {
  double last = (double)(d->in - 1), unit = 1048576;
  if (d->out > 1) {
    int64_t steps = d->out - 1;
    set_position(d, (int64_t)llround((end - start) * last * unit),
                 (int64_t)llround(start * last * unit) * steps, (int64_t)unit * steps);
  } else {
    set_position(d, 0, (int64_t)llround(0.5 * (start + end) * last * unit), (int64_t)unit);
  }
}

static neo_status set_coordinates(neo_ctx *ctx, const neo_node *node, dimension *d, ratio s) {
  const char *mode = neo_node_string(node, "coordinate_transformation_mode", "half_pixel");
  bool pytorch = strcmp(mode, "pytorch_half_pixel") == 0;
  int64_t p = s.num, q = s.den; /* scale p / q */
  if (p < 1)
    p = q = 1; /* an empty output: never evaluated */
  if (strcmp(mode, "asymmetric") == 0)
    set_position(d, q, 0, p);
  else if (strcmp(mode, "align_corners") == 0)
    /* o (in - 1) / (in * scale - 1): the resized length is not rounded */
    set_position(d, d->in * p > q ? (d->in - 1) * q : 0, 0, d->in * p > q ? d->in * p - q : 1);
  else if (strcmp(mode, "half_pixel") == 0 || (pytorch && d->out > 1))
    set_position(d, 2 * q, q - p, 2 * p); /* (o + 0.5) q / p - 0.5 */
  else if (pytorch)
    set_position(d, 0, 0, 1);
  else if (strcmp(mode, "tf_half_pixel_for_nn") == 0)
    set_position(d, 2 * q, q, 2 * p);
  else if (strcmp(mode, "half_pixel_symmetric") == 0)
    /* half_pixel + in / 2 * (1 - out / (in * scale)) = half_pixel + (in * p - out * q) / (2 p) */
    set_position(d, 2 * q, q - p + d->in * p - d->out * q, 2 * p);
  else if (strcmp(mode, "tf_crop_and_resize") != 0)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "coordinate_transformation_mode '%s'", mode);
  return NEO_OK;
}

static neo_status read_resize(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              resizing *r) {
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape;
  double scales[NEO_MAX_RANK], roi[2 * NEO_MAX_RANK];
  int64_t sizes[NEO_MAX_RANK];
  int n_roi, n_scales, n_sizes;
  request q = {.r = r};
  *r = (resizing){.rank = in->rank};
  for (int d = 0; d < in->rank; d++) {
    r->dim[d] = (dimension){.in = in->dim[d], .out = in->dim[d], .a = 1, .c = 1};
    q.scale[d] = (ratio){1, 1};
  }
  NEO_TRY(read_resize_axes(ctx, node, in->rank, q.axis, &q.n));
  NEO_TRY(read_floats(NEO_SITE, 1, roi, 2 * NEO_MAX_RANK, &n_roi));
  NEO_TRY(read_floats(NEO_SITE, 2, scales, NEO_MAX_RANK, &n_scales));
  NEO_TRY(neo_op_ints(NEO_SITE, 3, NULL, sizes, NEO_MAX_RANK, &n_sizes));
  r->crop =
      neo_op_string_is(node, "coordinate_transformation_mode", "half_pixel", "tf_crop_and_resize");
  bool by_size = n_sizes > 0;
  if ((by_size ? n_sizes : n_scales) != q.n || (r->crop && n_roi != 2 * q.n))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                       "%d scales, %d sizes, %d roi values for %d dimensions", n_scales,
                       n_sizes < 0 ? 0 : n_sizes, n_roi, q.n);
  if (by_size)
    NEO_TRY(sizes_from_sizes(ctx, node, &q, sizes));
  else
    NEO_TRY(sizes_from_scales(ctx, node, &q, scales));
  for (int k = 0; k < q.n; k++) {
    dimension *d = &r->dim[q.axis[k]];
    NEO_TRY(set_coordinates(ctx, node, d, q.scale[q.axis[k]]));
    d->scale = (double)q.scale[q.axis[k]].num / (double)q.scale[q.axis[k]].den;
    if (r->crop)
      crop_position(d, roi[k], roi[q.n + k]);
    d->resized = d->in != d->out || d->a != d->c || d->b != 0;
  }
  return NEO_OK;
}

neo_status neo_infer_resize(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  resizing r;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  bool nearest = neo_op_string_is(node, "mode", "nearest", "nearest");
  bool known = nearest || neo_op_string_is(node, "mode", "nearest", "linear") ||
               neo_op_string_is(node, "mode", "nearest", "cubic");
  if (!known)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "mode '%s'", neo_node_string(node, "mode", ""));
  if (x->dtype == NEO_BOOL && !nearest)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for bool");
  NEO_TRY(read_resize(ctx, graph, node, &r));
  neo_shape shape = {.rank = r.rank};
  int resized = 0;
  for (int d = 0; d < r.rank; d++) {
    shape.dim[d] = r.dim[d].out;
    resized += r.dim[d].resized;
  }
  if (!nearest && resized > 4)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "%d resized dimensions, at most 4 supported",
                       resized);
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

/* ---- lowering ------------------------------------------------------------------------------------ */

static const neo_expr *floor_div(neo_lowering *l, const neo_expr *e, int64_t d) {
  return neo_expr_floordiv(l->arena, e, d, NULL, 0);
}

static const neo_expr *clamped(neo_lowering *l, const neo_expr *at, int64_t size) {
  return neo_x2(l, NEO_EXPR_MAX, neo_x2(l, NEO_EXPR_MIN, at, neo_i_const(l, size - 1)),
                neo_i_const(l, 0));
}

/* a * o + b */
static const neo_expr *numerator(neo_lowering *l, const dimension *d, const neo_expr *o) {
  return neo_i_affine(l, o, d->a, NULL, d->b);
}

static const neo_expr *nearest_index(neo_lowering *l, const dimension *d, const neo_expr *o) {
  const neo_expr *x = numerator(l, d, o), *at;
  if (neo_op_string_is(l->node, "nearest_mode", "round_prefer_floor", "floor"))
    at = floor_div(l, x, d->c);
  else if (neo_op_string_is(l->node, "nearest_mode", "round_prefer_floor", "ceil"))
    at = floor_div(l, neo_i_affine(l, x, 1, NULL, d->c - 1), d->c);
  else if (neo_op_string_is(l->node, "nearest_mode", "round_prefer_floor", "round_prefer_ceil"))
    at = floor_div(l, neo_i_affine(l, x, 2, NULL, d->c), 2 * d->c); /* floor(x + 1/2) */
  else
    at = floor_div(l, neo_i_affine(l, x, 2, NULL, d->c - 1), 2 * d->c); /* ceil(x - 1/2) */
  return clamped(l, at, d->in);
}

/* Guards that position is inside [0, in - 1], for tf_crop_and_resize. */
static int inside_guards(neo_lowering *l, const resizing *r, neo_guard *guard) {
  int n = 0;
  for (int d = 0; d < r->rank && r->crop; d++) {
    const dimension *m = &r->dim[d];
    if (m->resized)
      guard[n++] = (neo_guard){numerator(l, m, neo_i_var(l, d)), 0, m->c * (m->in - 1) + 1};
  }
  return n;
}

static void lower_nearest(neo_lowering *l, const resizing *r, int x) {
  const neo_expr *index[NEO_MAX_RANK];
  neo_guard guard[NEO_MAX_GUARDS];
  for (int d = 0; d < r->rank; d++)
    index[d] = r->dim[d].resized ? nearest_index(l, &r->dim[d], neo_i_var(l, d)) : neo_i_var(l, d);
  int n = inside_guards(l, r, guard);
  neo_lower_output(l, 0)->body = neo_expr_load_guarded(
      l->arena, l->te->buffer[x].dtype, x, r->rank, index,
      &(neo_guards){n, guard, neo_node_float(l->node, "extrapolation_value", 0)});
}

/* Keys' cubic kernel at distance t, |t| < 2. */
static const neo_expr *cubic_weight(neo_lowering *l, const neo_expr *t, double a) {
  const neo_expr *x = neo_x1(l, NEO_EXPR_ABS, t);
  const neo_expr *x2 = neo_x2(l, NEO_EXPR_MUL, x, x), *x3 = neo_x2(l, NEO_EXPR_MUL, x2, x);
  const neo_expr *near = neo_xc(l, NEO_EXPR_ADD,
                                neo_x2(l, NEO_EXPR_SUB, neo_xc(l, NEO_EXPR_MUL, x3, a + 2),
                                       neo_xc(l, NEO_EXPR_MUL, x2, a + 3)),
                                1);
  const neo_expr *far =
      neo_x2(l, NEO_EXPR_SUB, neo_xc(l, NEO_EXPR_MUL, x3, a), neo_xc(l, NEO_EXPR_MUL, x2, 5 * a));
  far = neo_xc(l, NEO_EXPR_SUB, neo_x2(l, NEO_EXPR_ADD, far, neo_xc(l, NEO_EXPR_MUL, x, 8 * a)),
               4 * a);
  return neo_x_select(l, neo_xc(l, NEO_EXPR_LE, x, 1), near, far);
}

/* Half the width of the kernel in input pixels: wider when shrinking with antialias. */
static int64_t half_taps(const neo_lowering *l, const dimension *d, bool cubic) {
  double support = cubic ? 2 : 1;
  bool wide = neo_node_int(l->node, "antialias", 0) && d->scale < 1;
  return (int64_t)ceil(wide ? support / d->scale - 1e-9 : support);
}

/* The kernel at distance t (in taps). */
static const neo_expr *kernel_weight(neo_lowering *l, const neo_expr *t, bool cubic) {
  if (!cubic) {
    const neo_expr *one = neo_x_const(l, t, 1);
    return neo_xc(l, NEO_EXPR_MAX, neo_x2(l, NEO_EXPR_SUB, one, neo_x1(l, NEO_EXPR_ABS, t)), 0);
  }
  const neo_expr *w = cubic_weight(l, t, neo_node_float(l->node, "cubic_coeff_a", -0.75));
  return neo_x_select(l, neo_xc(l, NEO_EXPR_LT, neo_x1(l, NEO_EXPR_ABS, t), 2), w,
                      neo_x_const(l, t, 0));
}

/* TMP [out, taps] <- b / its row sums. */
static neo_te_block *normalised(neo_lowering *l, const neo_te_block *b, const neo_shape *shape) {
  const neo_shape rows = {.rank = 1, .dim = {shape->dim[0]}};
  const neo_expr *both[2] = {neo_i_var(l, 0), neo_i_var(l, 1)};
  neo_dtype dtype = l->te->buffer[b->buffer].dtype;
  neo_te_block *sum = neo_lower_tmp(l, dtype, &rows);
  neo_lower_reduce(sum, NEO_COMBINE_ADD, 1, &shape->dim[1]);
  sum->body = neo_lower_read(l, b, both);
  neo_te_block *normal = neo_lower_tmp(l, dtype, shape);
  normal->body = neo_x2(l, NEO_EXPR_DIV, neo_lower_read(l, b, both), neo_lower_read(l, sum, both));
  return normal;
}

/* A TMP [out, taps] of weights; tap t is input position floor + t + 1 - half. */
static neo_te_block *weights(neo_lowering *l, const dimension *d, neo_dtype dtype, bool cubic,
                             int64_t half) {
  const neo_shape shape = {.rank = 2, .dim = {d->out, 2 * half}};
  const neo_expr *o = neo_i_var(l, 0), *t = neo_i_var(l, 1);
  bool wide = neo_node_int(l->node, "antialias", 0) && d->scale < 1;
  neo_te_block *b = neo_lower_tmp(l, dtype, &shape);
  const neo_expr *part = neo_expr_floormod(l->arena, numerator(l, d, o), d->c, NULL, 0);
  part = neo_xc(l, NEO_EXPR_DIV, neo_expr_cast(l->arena, dtype, part), (double)d->c);
  int64_t steps = neo_node_int(l->node, "fraction_steps", 0);
  if (steps > 0) {
    const neo_expr *nearest =
        neo_xc(l, NEO_EXPR_ADD, neo_xc(l, NEO_EXPR_MUL, part, (double)steps), 0.5);
    part = neo_xc(l, NEO_EXPR_DIV, neo_x1(l, NEO_EXPR_FLOOR, nearest), (double)steps);
  }
  const neo_expr *tap = neo_expr_cast(l->arena, dtype, neo_i_affine(l, t, 1, NULL, 1 - half));
  const neo_expr *distance =
      neo_xc(l, NEO_EXPR_MUL, neo_x2(l, NEO_EXPR_SUB, part, tap), wide ? d->scale : 1);
  b->body = kernel_weight(l, distance, cubic);
  bool exclude = neo_node_int(l->node, "exclude_outside", 0) != 0;
  if (exclude) {
    const neo_expr *at = neo_i_affine(l, t, 1, floor_div(l, numerator(l, d, o), d->c), 1 - half);
    const neo_expr *in = neo_x2(l, NEO_EXPR_AND, neo_x2(l, NEO_EXPR_LE, neo_i_const(l, 0), at),
                                neo_x2(l, NEO_EXPR_LT, at, neo_i_const(l, d->in)));
    b->body = neo_x_select(l, in, b->body, neo_x_const(l, b->body, 0));
  }
  return exclude || wide ? normalised(l, b, &shape) : b;
}

/* Integers are interpolated in f32 and truncated. */
static void lower_interpolation(neo_lowering *l, const resizing *r, int x, bool cubic) {
  const neo_expr *index[NEO_MAX_RANK], *identity[NEO_MAX_RANK], *product = NULL;
  int64_t extents[NEO_MAX_RANK], half[NEO_MAX_RANK];
  int n = 0;
  neo_dtype dtype = neo_compute_dtype(l->te->buffer[x].dtype);
  neo_dtype compute = neo_dtype_class(dtype) == 'f' ? dtype : NEO_F32;
  const neo_shape *shape = &l->graph->value[l->node->output[0]].shape;
  const neo_te_block *table[NEO_MAX_RANK] = {NULL};
  for (int d = 0; d < r->rank; d++) {
    identity[d] = neo_i_var(l, d);
    if (r->dim[d].resized) {
      half[d] = half_taps(l, &r->dim[d], cubic);
      table[d] = weights(l, &r->dim[d], compute, cubic, half[d]);
      extents[n++] = 2 * half[d];
    }
  }
  neo_te_block *sum = neo_lower_tmp(l, compute, shape);
  int var = neo_lower_reduce(sum, NEO_COMBINE_ADD, n, extents);
  for (int d = 0; d < r->rank; d++) {
    index[d] = identity[d];
    if (!table[d])
      continue;
    const neo_expr *tap[2] = {identity[d], neo_i_var(l, var++)};
    const neo_expr *floor = floor_div(l, numerator(l, &r->dim[d], identity[d]), r->dim[d].c);
    index[d] = clamped(l, neo_i_affine(l, tap[1], 1, floor, 1 - half[d]), r->dim[d].in);
    const neo_expr *w = neo_lower_read(l, table[d], tap);
    product = product ? neo_x2(l, NEO_EXPR_MUL, product, w) : w;
  }
  const neo_expr *v = neo_expr_cast(l->arena, compute, neo_lower_load(l, x, index));
  sum->body = product ? neo_x2(l, NEO_EXPR_MUL, v, product) : v;
  neo_guard guard[NEO_MAX_GUARDS];
  int n_guards = inside_guards(l, r, guard);
  const neo_expr *e = neo_expr_load_guarded(
      l->arena, compute, sum->buffer, r->rank, identity,
      &(neo_guards){n_guards, guard, neo_node_float(l->node, "extrapolation_value", 0)});
  neo_lower_body(l, neo_lower_output(l, 0), e);
}

neo_status neo_lower_resize(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                            int *in_value) {
  NEO_LOWERING(l);
  resizing r;
  NEO_TRY(read_resize(ctx, graph, node, &r));
  int x = neo_lower_input(&l, 0);
  if (neo_op_string_is(node, "mode", "nearest", "nearest"))
    lower_nearest(&l, &r, x);
  else
    lower_interpolation(&l, &r, x, neo_op_string_is(node, "mode", "nearest", "cubic"));
  return NEO_OK;
}
