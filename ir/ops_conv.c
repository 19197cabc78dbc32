/* ir/ops_conv.c: sliding windows, conv and conv_transpose.
 *
 * conv. The main block multiplies in[...] by w[...] and adds over (c, k...) in that order; its axes
 * are (n, k, o...), for groups (n, g, kk, o...) with channel g * K + kk written, and depthwise (n,
 * c, o...) over (k...) alone. A read is guarded only where it can leave the input. Bias comes in a
 * following elementwise block, so that init stays 0.
 *
 * conv_transpose. Output position o takes tap k where o + begin - k * dilation is a multiple of the
 * stride. Per dimension o = q * stride + r (a phase r); if dilation and stride have no common
 * factor, the taps of a phase are k0 + stride * t and the input position is q + (r + begin - k0 *
 * dilation) / stride - dilation * t: an ordinary convolution that writes every stride-th element.
 * One block per combination of phases. Otherwise, or with too many phases, every tap is visited
 * under a guard on the remainder. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

#define MAX_PHASES 16

/* ---- windows ----------------------------------------------------------------------------------- */

/* An attribute of n integers: its name, its default, its least value. */
typedef struct list {
  const char *name;
  int64_t otherwise, least;
} list;

static neo_status read_list(neo_ctx *ctx, const neo_node *node, list what, int n, int64_t *out) {
  const char *name = what.name;
  for (int k = 0; k < n; k++)
    out[k] = what.otherwise;
  int count = neo_node_ints(node, name, out, n);
  if (count != 0 && count != n)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "%s has %d values, %d expected", name, count, n);
  for (int k = 0; k < n; k++) {
    if (out[k] < what.least || out[k] > INT32_MAX)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "%s has the value %" PRId64, name, out[k]);
  }
  return NEO_OK;
}

neo_status neo_window_attributes(neo_ctx *ctx, const neo_node *node, neo_window *w) {
  int64_t pads[6];
  NEO_TRY(read_list(ctx, node, (list){"strides", 1, 1}, w->n, w->stride));
  NEO_TRY(read_list(ctx, node, (list){"dilations", 1, 1}, w->n, w->dilation));
  NEO_TRY(read_list(ctx, node, (list){"pads", 0, -(int64_t)INT32_MAX}, 2 * w->n, pads));
  for (int d = 0; d < w->n; d++) {
    w->begin[d] = pads[d];
    w->end[d] = pads[w->n + d];
  }
  return NEO_OK;
}

static int64_t reach(const neo_window *w, int d) {
  return (w->kernel[d] - 1) * w->dilation[d] + 1;
}

static void pad_same(neo_window *w, int d, bool upper) {
  int64_t out = neo_ceil_div(w->in[d], w->stride[d]);
  int64_t total = neo_max_i64((out - 1) * w->stride[d] + reach(w, d) - w->in[d], 0);
  w->begin[d] = upper ? total / 2 : total - total / 2;
  w->end[d] = total - w->begin[d];
}

neo_status neo_window_read(neo_ctx *ctx, const neo_node *node, neo_window *w, bool ceil_mode) {
  NEO_TRY(neo_window_attributes(ctx, node, w));
  bool upper = neo_op_string_is(node, "auto_pad", "notset", "same_upper");
  bool lower = neo_op_string_is(node, "auto_pad", "notset", "same_lower");
  bool valid = neo_op_string_is(node, "auto_pad", "notset", "valid");
  for (int d = 0; d < w->n; d++) {
    if (upper || lower)
      pad_same(w, d, upper);
    if (valid)
      w->begin[d] = w->end[d] = 0;
    int64_t padded = w->in[d] + w->begin[d] + w->end[d], room = padded - reach(w, d);
    if (ceil_mode && room < 0 && -room < w->stride[d] && padded > 0) { /* cut to what is there */
      w->kernel[d] = (padded - 1) / w->dilation[d] + 1;
      room = 0;
    }
    if (room < 0)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                         "the window of %" PRId64 " is larger than the padded input of %" PRId64
                         " in dimension %d",
                         reach(w, d), padded, d);
    w->out[d] = room / w->stride[d] + 1;
    if (ceil_mode) {
      /* a window that begins in the padding behind the input does not count */
      w->out[d] = neo_ceil_div(room, w->stride[d]) + 1;
      if ((w->out[d] - 1) * w->stride[d] >= w->in[d] + w->begin[d])
        w->out[d]--;
    }
  }
  return NEO_OK;
}

const neo_expr *neo_window_index(neo_lowering *l, const neo_window *w, int d, const neo_expr *o,
                                 const neo_expr *t, bool *guarded) {
  const neo_expr *tap = neo_i_affine(l, t, w->dilation[d], NULL, 0);
  int64_t last = (w->out[d] - 1) * w->stride[d] + reach(w, d) - 1 - w->begin[d];
  *guarded = w->begin[d] > 0 || last >= w->in[d];
  return neo_i_affine(l, o, w->stride[d], tap, -w->begin[d]);
}

/* ---- shapes ------------------------------------------------------------------------------------ */

typedef struct convolution {
  neo_window w;
  int64_t batch, group, in_per_group, out_per_group;
  neo_dtype out, compute;
} convolution;

static neo_status read_convolution(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                   bool transposed, convolution *c) {
  const neo_value *x = neo_op_in(graph, node, 0), *f = neo_op_in(graph, node, 1),
                  *b = neo_op_in(graph, node, 2);
  int rank = x->shape.rank;
  if (rank < 3 || rank > 5 || f->shape.rank != rank)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                       "input of rank %d and weights of rank %d, 3 to 5 and equal needed", rank,
                       f->shape.rank);
  NEO_TRY(neo_op_contraction(ctx, graph, node, &c->out));
  if (neo_dtype_class(c->out) != 'f' && c->out != NEO_I32)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for %s", neo_dtype_name(x->dtype));
  c->group = neo_node_int(node, "group", 1);
  int64_t channels = x->shape.dim[1], first = f->shape.dim[0], second = f->shape.dim[1];
  int64_t from = transposed ? first : second * c->group;
  if (c->group < 1 || first % c->group || from != channels)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                       "%" PRId64 " input channels do not fit weights [%" PRId64 ",%" PRId64
                       ",...] in %" PRId64 " groups",
                       channels, first, second, c->group);
  c->batch = x->shape.dim[0];
  c->in_per_group = channels / c->group;
  c->out_per_group = transposed ? second : first / c->group;
  c->compute = neo_compute_dtype(c->out);
  if (b && (b->shape.rank != 1 || b->shape.dim[0] != c->group * c->out_per_group))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the bias does not have %" PRId64 " values",
                       c->group * c->out_per_group);
  c->w.n = rank - 2;
  for (int d = 0; d < c->w.n; d++) {
    c->w.in[d] = x->shape.dim[2 + d];
    c->w.kernel[d] = f->shape.dim[2 + d];
    if (c->w.kernel[d] < 1)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "an empty kernel");
  }
  return NEO_OK;
}

static void set_output(neo_graph *graph, const neo_node *node, const convolution *c) {
  neo_shape shape = {.rank = c->w.n + 2, .dim = {c->batch, c->group * c->out_per_group}};
  memcpy(shape.dim + 2, c->w.out, sizeof c->w.out[0] * (size_t)c->w.n);
  neo_op_set(graph, node, 0, c->out, &shape);
}

neo_status neo_infer_conv(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  convolution c = {0};
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_convolution(ctx, graph, node, false, &c));
  NEO_TRY(neo_window_read(ctx, node, &c.w, false));
  set_output(graph, node, &c);
  return NEO_OK;
}

/* ---- the common frame: axes, channels, bias ---------------------------------------------------------- */

/* How the spatial axes of a block name channels. depthwise: one axis is input and output channel.
 */
typedef struct frame {
  const convolution *c;
  bool grouped, depthwise;
  int first_spatial;                   /* variable of the first spatial axis */
  const neo_expr *batch, *g, *in_base; /* g: group; in_base: first input channel of the group */
  const neo_expr *kk, *channel;        /* output channel inside the group, and of all */
  int x, f, bias;                      /* buffers, bias -1 */
} frame;

static frame make_frame(neo_lowering *l, const convolution *c) {
  frame f = {.c = c, .batch = neo_i_var(l, 0), .bias = -1};
  f.depthwise = c->in_per_group == 1 && c->out_per_group == 1;
  f.grouped = c->group > 1 && !f.depthwise;
  if (f.grouped) {
    f.g = neo_i_var(l, 1);
    f.kk = neo_i_var(l, 2);
    f.first_spatial = 3;
  } else {
    f.g = f.depthwise ? neo_i_var(l, 1) : neo_i_const(l, 0);
    f.kk = f.depthwise ? neo_i_const(l, 0) : neo_i_var(l, 1);
    f.first_spatial = 2;
  }
  f.channel = neo_i_affine(l, f.g, c->out_per_group, f.kk, 0);
  f.in_base = neo_i_affine(l, f.g, c->in_per_group, NULL, 0);
  f.x = neo_lower_input(l, 0);
  f.f = neo_lower_input(l, 1);
  if (neo_op_in(l->graph, l->node, 2))
    f.bias = neo_lower_input(l, 2);
  return f;
}

static neo_shape frame_shape(const frame *f, const int64_t *spatial) {
  neo_shape s = {.rank = 1, .dim = {f->c->batch}};
  if (f->grouped || f->depthwise)
    s.dim[s.rank++] = f->c->group;
  if (!f->depthwise)
    s.dim[s.rank++] = f->c->out_per_group;
  for (int d = 0; d < f->c->w.n; d++)
    s.dim[s.rank++] = spatial[d];
  return s;
}

/* A block over the frame's axes that writes `out`, whose spatial index d is place[d] of the axes.
 */
static neo_te_block *frame_output(neo_lowering *l, const frame *f, int out, const neo_shape *shape,
                                  const neo_expr *const *place) {
  neo_te_block *b = neo_te_add_block(l->te, out);
  b->n_spatial = shape->rank;
  memcpy(b->extent, shape->dim, sizeof shape->dim[0] * (size_t)shape->rank);
  b->write[0] = f->batch;
  b->write[1] = f->channel;
  for (int d = 0; d < f->c->w.n; d++)
    b->write[2 + d] = place[d];
  return b;
}

/* Where the sum goes: straight into `out`, or, if a bias or a rounding follows, into a TMP. */
static neo_te_block *sum_block(neo_lowering *l, const frame *f, int out, const neo_shape *shape,
                               const neo_expr *const *place) {
  bool direct = f->bias < 0 && l->te->buffer[out].dtype == f->c->compute;
  return direct ? frame_output(l, f, out, shape, place) : neo_lower_tmp(l, f->c->compute, shape);
}

static void finish_sum(neo_lowering *l, const frame *f, const neo_te_block *sum, int out,
                       const neo_shape *shape, const neo_expr *const *place) {
  const neo_expr *index[NEO_MAX_RANK];
  if (sum->buffer == out)
    return;
  for (int d = 0; d < shape->rank; d++)
    index[d] = neo_i_var(l, d);
  const neo_expr *e = neo_lower_read(l, sum, index);
  if (f->bias >= 0)
    e = neo_x2(l, NEO_EXPR_ADD, e, neo_lower_load(l, f->bias, &f->channel));
  neo_lower_body(l, frame_output(l, f, out, shape, place), e);
}

/* in[batch, in_base + c, position...] under guards, times w[...]. */
static const neo_expr *product(neo_lowering *l, const frame *f, const neo_expr *const *in,
                               const neo_expr *const *weight, int n_guards,
                               const neo_guard *guard) {
  neo_dtype dtype = l->te->buffer[f->x].dtype;
  const neo_expr *x = neo_expr_load_guarded(
      l->arena, dtype, f->x, f->c->w.n + 2, in,
      &(neo_guards){n_guards, guard, neo_node_float(l->node, "pad_value", 0)});
  x = neo_expr_cast(l->arena, f->c->compute, x);
  const neo_expr *w = neo_expr_cast(l->arena, f->c->compute, neo_lower_load(l, f->f, weight));
  return neo_x2(l, NEO_EXPR_MUL, x, w);
}

/* ---- conv ---------------------------------------------------------------------------------------- */

neo_status neo_lower_conv(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                          int *in_value) {
  NEO_LOWERING(l);
  convolution c = {0};
  int64_t extents[4];
  const neo_expr *in[NEO_MAX_RANK], *weight[NEO_MAX_RANK], *place[3];
  neo_guard guard[3];
  int n_guards = 0, n = 0;
  NEO_TRY(read_convolution(ctx, graph, node, false, &c));
  NEO_TRY(neo_window_read(ctx, node, &c.w, false));
  frame f = make_frame(&l, &c);
  neo_shape shape = frame_shape(&f, c.w.out);
  int out = neo_lower_output_buffer(&l, 0);
  for (int d = 0; d < c.w.n; d++)
    place[d] = neo_i_var(&l, f.first_spatial + d);
  neo_te_block *sum = sum_block(&l, &f, out, &shape, place);
  if (!f.depthwise)
    extents[n++] = c.in_per_group;
  for (int d = 0; d < c.w.n; d++)
    extents[n++] = c.w.kernel[d];
  int var = neo_lower_reduce(sum, NEO_COMBINE_ADD, n, extents);
  const neo_expr *channel = f.depthwise ? neo_i_const(&l, 0) : neo_i_var(&l, var++);
  in[0] = f.batch;
  in[1] = neo_i_affine(&l, channel, 1, f.in_base, 0);
  weight[0] = f.channel;
  weight[1] = channel;
  for (int d = 0; d < c.w.n; d++) {
    bool guarded;
    weight[2 + d] = neo_i_var(&l, var + d);
    in[2 + d] = neo_window_index(&l, &c.w, d, place[d], weight[2 + d], &guarded);
    if (guarded)
      guard[n_guards++] = (neo_guard){in[2 + d], 0, c.w.in[d]};
  }
  sum->body = product(&l, &f, in, weight, n_guards, guard);
  finish_sum(&l, &f, sum, out, &shape, place);
  return NEO_OK;
}

/* ---- conv_transpose -------------------------------------------------------------------------------- */

/* Resolves pads and the output size. */
static neo_status read_transposed(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                  convolution *c) {
  int64_t more[3], wanted[NEO_MAX_RANK];
  NEO_TRY(read_convolution(ctx, graph, node, true, c));
  neo_window *w = &c->w;
  NEO_TRY(neo_window_attributes(ctx, node, w));
  NEO_TRY(read_list(ctx, node, (list){"output_padding", 0, 0}, w->n, more));
  int n_wanted = neo_node_ints(node, "output_shape", wanted, NEO_MAX_RANK);
  bool upper = neo_op_string_is(node, "auto_pad", "notset", "same_upper");
  bool same = upper || neo_op_string_is(node, "auto_pad", "notset", "same_lower");
  if (n_wanted && n_wanted != w->n && n_wanted != w->n + 2)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "output_shape has %d values, %d expected",
                       n_wanted, w->n);
  for (int d = 0; d < w->n; d++) {
    int64_t full = w->stride[d] * (w->in[d] - 1) + more[d] + reach(w, d);
    if (n_wanted || same) {
      int64_t size = n_wanted ? wanted[n_wanted - w->n + d] : w->in[d] * w->stride[d];
      int64_t total = neo_max_i64(full - size, 0);
      w->begin[d] = upper ? total / 2 : total - total / 2;
      w->end[d] = total - w->begin[d];
      w->out[d] = size;
    } else {
      w->out[d] = full - w->begin[d] - w->end[d];
    }
    if (w->out[d] < 1)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "output dimension %d would be %" PRId64, d,
                         w->out[d]);
  }
  return NEO_OK;
}

neo_status neo_infer_conv_transpose(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  convolution c = {0};
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_transposed(ctx, graph, node, &c));
  set_output(graph, node, &c);
  return NEO_OK;
}

/* One dimension of one phase: outputs q * step + r take the taps k0 + step * t, t < taps, from
 * input q + offset - t * dilation. */
typedef struct phase {
  int64_t step, r, count, k0, taps, offset;
} phase;

static phase phase_of(const neo_window *w, int d, int64_t r) {
  int64_t s = w->stride[d];
  phase p = {.step = s, .r = r, .count = neo_ceil_div(w->out[d] - r, s)};
  for (int64_t k = 0; k < s && k < w->kernel[d]; k++) {
    if (neo_floor_mod(r + w->begin[d] - k * w->dilation[d], s) != 0)
      continue;
    p.k0 = k;
    p.taps = neo_ceil_div(w->kernel[d] - k, s);
    p.offset = (r + w->begin[d] - k * w->dilation[d]) / s;
    break;
  }
  return p;
}

static int64_t gcd(int64_t a, int64_t b) {
  return b ? gcd(b, a % b) : a;
}

/* Can the output be cut into phases? Then their number per dimension. */
static bool has_phases(const neo_window *w, int64_t *number) {
  int64_t total = 1;
  for (int d = 0; d < w->n; d++) {
    number[d] = neo_min_i64(w->stride[d], w->out[d]);
    total *= number[d];
    if (gcd(w->stride[d], w->dilation[d]) != 1 || total > MAX_PHASES)
      return false;
  }
  return true;
}

static void lower_phase(neo_lowering *l, const frame *f, int out, const phase *p) {
  const neo_window *w = &f->c->w;
  int64_t spatial[3], extents[4];
  const neo_expr *in[NEO_MAX_RANK], *weight[NEO_MAX_RANK], *place[3];
  neo_guard guard[3];
  int n_guards = 0, n = 0;
  bool empty = false;
  for (int d = 0; d < w->n; d++) {
    spatial[d] = p[d].count;
    place[d] = neo_i_affine(l, neo_i_var(l, f->first_spatial + d), p[d].step, NULL, p[d].r);
    empty = empty || p[d].taps == 0;
  }
  neo_shape shape = frame_shape(f, spatial);
  neo_te_block *sum = sum_block(l, f, out, &shape, place);
  if (!f->depthwise)
    extents[n++] = f->c->in_per_group;
  for (int d = 0; d < w->n; d++)
    extents[n++] = p[d].taps;
  int var = neo_lower_reduce(sum, NEO_COMBINE_ADD, empty ? 0 : n, extents);
  const neo_expr *channel = f->depthwise ? neo_i_const(l, 0) : neo_i_var(l, var++);
  in[0] = f->batch;
  weight[0] = in[1] = neo_i_affine(l, channel, 1, f->in_base, 0);
  weight[1] = f->kk;
  for (int d = 0; d < w->n; d++) {
    const neo_expr *t = neo_i_var(l, var + d);
    int64_t lo = p[d].offset - (p[d].taps - 1) * w->dilation[d], hi = p[d].count - 1 + p[d].offset;
    weight[2 + d] = neo_i_affine(l, t, p[d].step, NULL, p[d].k0);
    in[2 + d] =
        neo_i_affine(l, t, -w->dilation[d], neo_i_var(l, f->first_spatial + d), p[d].offset);
    if (lo < 0 || hi >= w->in[d])
      guard[n_guards++] = (neo_guard){in[2 + d], 0, w->in[d]};
  }
  sum->body = empty ? neo_expr_const_f(l->arena, l->te->buffer[sum->buffer].dtype, 0)
                    : product(l, f, in, weight, n_guards, guard);
  finish_sum(l, f, sum, out, &shape, place);
}

static void lower_phases(neo_lowering *l, const frame *f, int out, const int64_t *number) {
  const neo_window *w = &f->c->w;
  int64_t r[3] = {0};
  for (;;) {
    phase p[3];
    for (int d = 0; d < w->n; d++)
      p[d] = phase_of(w, d, r[d]);
    lower_phase(l, f, out, p);
    int d = w->n - 1;
    while (d >= 0 && ++r[d] == number[d])
      r[d--] = 0;
    if (d < 0)
      return;
  }
}

/* Every tap of every output, guarded by "the position is a multiple of the stride". */
static void lower_guarded(neo_lowering *l, const frame *f, int out) {
  const neo_window *w = &f->c->w;
  int64_t extents[4];
  const neo_expr *in[NEO_MAX_RANK], *weight[NEO_MAX_RANK], *place[3];
  neo_guard guard[6];
  int n = 0;
  for (int d = 0; d < w->n; d++)
    place[d] = neo_i_var(l, f->first_spatial + d);
  neo_shape shape = frame_shape(f, w->out);
  neo_te_block *sum = sum_block(l, f, out, &shape, place);
  if (!f->depthwise)
    extents[n++] = f->c->in_per_group;
  for (int d = 0; d < w->n; d++)
    extents[n++] = w->kernel[d];
  int var = neo_lower_reduce(sum, NEO_COMBINE_ADD, n, extents), n_guards = 0;
  const neo_expr *channel = f->depthwise ? neo_i_const(l, 0) : neo_i_var(l, var++);
  in[0] = f->batch;
  weight[0] = in[1] = neo_i_affine(l, channel, 1, f->in_base, 0);
  weight[1] = f->kk;
  for (int d = 0; d < w->n; d++) {
    weight[2 + d] = neo_i_var(l, var + d);
    const neo_expr *at = neo_i_affine(l, weight[2 + d], -w->dilation[d], place[d], w->begin[d]);
    in[2 + d] = neo_expr_floordiv(l->arena, at, w->stride[d], NULL, 0);
    guard[n_guards++] = (neo_guard){in[2 + d], 0, w->in[d]};
    if (w->stride[d] > 1)
      guard[n_guards++] = (neo_guard){neo_expr_floormod(l->arena, at, w->stride[d], NULL, 0), 0, 1};
  }
  sum->body = product(l, f, in, weight, n_guards, guard);
  finish_sum(l, f, sum, out, &shape, place);
}

neo_status neo_lower_conv_transpose(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                    neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  convolution c = {0};
  int64_t number[3];
  NEO_TRY(read_transposed(ctx, graph, node, &c));
  frame f = make_frame(&l, &c);
  int out = neo_lower_output_buffer(&l, 0);
  if (has_phases(&c.w, number))
    lower_phases(&l, &f, out, number);
  else
    lower_guarded(&l, &f, out);
  return NEO_OK;
}
