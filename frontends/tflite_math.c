/* frontends/tflite_math.c: TFLite's elementwise operators, comparisons and reductions. */
#include "frontends/tflite_import.h"

#include <math.h>

void tfl_unary(tfl_op *op) {
  tfl_set(op, 0, neo_emit_unary(&op->im->e, op->row->op, tfl_in(op, 0)));
}

static int binary(tfl_op *op, const char *name) {
  int a = tfl_in(op, 0);
  return neo_emit_binary(&op->im->e, name, a, tfl_in(op, 1));
}

void tfl_binary(tfl_op *op) {
  tfl_set(op, 0, binary(op, op->row->op));
}

void tfl_arithmetic(tfl_op *op) {
  if (op->row->code == 18 && tfl_bytes(op, 0) && tfl_bytes(op, 1)) {
    tfl_integer_mul(op);
    return;
  }
  tfl_set_active(op, 0, binary(op, op->row->op), 0);
}

void tfl_compare(tfl_op *op) {
  tfl_set_raw(op, 0, binary(op, op->row->op));
}

/* A value like the operator's output 0 in its real type. */
static int scalar(tfl_op *op, double v) {
  const tfl_tensor *t = tfl_output(op, 0);
  neo_dtype dtype = !t || tfl_quantised(t) || t->dtype >= NEO_DTYPE_COUNT ? NEO_F32 : t->dtype;
  return neo_emit_scalar(&op->im->e, dtype, v);
}

void tfl_relu_range(tfl_op *op) {
  int x = tfl_in(op, 0), code = op->row->code;
  neo_node *node = tfl_node(op, "clip", 1, &x);
  neo_node_set_float(op->im->e.graph, node, "min", code == 20 ? -1 : 0);
  neo_node_set_float(op->im->e.graph, node, "max", code == 21 ? 6 : 1);
  tfl_set(op, 0, node->output[0]);
}

void tfl_leaky_relu(tfl_op *op) {
  if (tfl_bytes(op, 0)) {
    tfl_integer_leaky_relu(op, neo_fb_f32(&op->options, 0, 0));
    return;
  }
  int x = tfl_in(op, 0);
  neo_node *node = tfl_node(op, "leaky_relu", 1, &x);
  neo_node_set_float(op->im->e.graph, node, "alpha", neo_fb_f32(&op->options, 0, 0));
  tfl_set(op, 0, node->output[0]);
}

void tfl_gelu(tfl_op *op) {
  int x = tfl_in(op, 0);
  neo_node *node = tfl_node(op, "gelu", 1, &x);
  neo_node_set_string(op->im->e.graph, node, "approximate",
                      tfl_option(op, 0, NEO_FB_U8, 0) ? "tanh" : "none");
  tfl_set(op, 0, node->output[0]);
}

void tfl_rsqrt(tfl_op *op) {
  int root = neo_emit_unary(&op->im->e, "sqrt", tfl_in(op, 0));
  tfl_set(op, 0, neo_emit_unary(&op->im->e, "reciprocal", root));
}

void tfl_square(tfl_op *op) {
  int x = tfl_in(op, 0);
  tfl_set(op, 0, neo_emit_binary(&op->im->e, "mul", x, x));
}

void tfl_squared_difference(tfl_op *op) {
  if (tfl_bytes(op, 0) && tfl_bytes(op, 1)) {
    tfl_integer_squared_difference(op);
    return;
  }
  int d = binary(op, "sub");
  tfl_set(op, 0, neo_emit_binary(&op->im->e, "mul", d, d));
}

static bool is_integer(tfl_op *op) {
  const tfl_tensor *t = tfl_input(op, 0);
  return t && !tfl_quantised(t) && t->dtype < NEO_DTYPE_COUNT && neo_dtype_class(t->dtype) != 'f';
}

/* Integers: (a - mod(a, b)) / b divides exactly. */
void tfl_floor_div(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int a = tfl_in(op, 0), b = tfl_in(op, 1);
  if (is_integer(op)) {
    int rest = neo_emit_binary(e, "mod", a, b);
    tfl_set(op, 0, neo_emit_binary(e, "div", neo_emit_binary(e, "sub", a, rest), b));
  } else {
    tfl_set(op, 0, neo_emit_unary(e, "floor", neo_emit_binary(e, "div", a, b)));
  }
}

/* Floats: a - floor(a / b) * b. */
void tfl_floor_mod(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int a = tfl_in(op, 0), b = tfl_in(op, 1);
  if (is_integer(op)) {
    tfl_set(op, 0, neo_emit_binary(e, "mod", a, b));
    return;
  }
  int whole = neo_emit_unary(e, "floor", neo_emit_binary(e, "div", a, b));
  tfl_set(op, 0, neo_emit_binary(e, "sub", a, neo_emit_binary(e, "mul", whole, b)));
}

/* atan(y / x), pi further where x < 0, and half pi where x = 0. */
void tfl_atan2(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int y = tfl_in(op, 0), x = tfl_in(op, 1), zero = scalar(op, 0), pi = scalar(op, 3.14159265358979);
  int negative = neo_emit_binary(e, "less", y, zero);
  int turn = neo_emit_node(e, "where", 3, (int[]){negative, neo_emit_unary(e, "neg", pi), pi}, 1)
                 ->output[0];
  int angle = neo_emit_unary(e, "atan", neo_emit_binary(e, "div", y, x));
  int left = neo_emit_binary(e, "less", x, zero);
  int there = neo_emit_binary(e, "add", angle, turn);
  angle = neo_emit_node(e, "where", 3, (int[]){left, there, angle}, 1)->output[0];
  int upright =
      neo_emit_binary(e, "mul", neo_emit_unary(e, "sign", y), scalar(op, 1.5707963267949));
  int on_axis = neo_emit_binary(e, "equal", x, zero);
  tfl_set(op, 0, neo_emit_node(e, "where", 3, (int[]){on_axis, upright, angle}, 1)->output[0]);
}

void tfl_add_n(tfl_op *op) {
  int n = (int)op->inputs.n;
  int *inputs = neo_arena_alloc(op->im->e.graph->arena, sizeof(int) * ((size_t)n + 1));
  for (int k = 0; k < n; k++)
    inputs[k] = tfl_in(op, k);
  tfl_set(op, 0, tfl_node(op, "sum", n, inputs)->output[0]);
}

/* SELECT with a vector for its condition takes whole rows. */
void tfl_select(tfl_op *op) {
  int condition = tfl_raw(op, 0), rank = tfl_rank(op, 1);
  if (op->row->code == 64 && tfl_rank(op, 0) == 1 && rank > 1) {
    int64_t shape[NEO_MAX_RANK] = {-1, 1, 1, 1, 1, 1, 1, 1};
    condition = neo_emit_reshape(&op->im->e, condition, rank, shape);
  }
  int a = tfl_in(op, 1), b = tfl_in(op, 2);
  tfl_set(op, 0, tfl_node(op, "where", 3, (int[]){condition, a, b})->output[0]);
}

void tfl_softmax(tfl_op *op) {
  int x = tfl_in(op, 0);
  double beta = neo_fb_f32(&op->options, 0, 0);
  if (beta != 1)
    x = neo_emit_binary(&op->im->e, "mul", x, scalar(op, beta));
  tfl_set(op, 0, neo_emit_unary(&op->im->e, "softmax", x));
}

void tfl_log_softmax(tfl_op *op) {
  tfl_set(op, 0, neo_emit_unary(&op->im->e, "log_softmax", tfl_in(op, 0)));
}

void tfl_reduce(tfl_op *op) {
  int64_t axes[NEO_MAX_RANK];
  int n = tfl_ints(op, 1, axes, NEO_MAX_RANK);
  bool keep = tfl_option(op, 0, NEO_FB_U8, 0) != 0;
  if (n < 0 ||
      (op->row->code == 40 && n > 0 && tfl_bytes(op, 0) && tfl_integer_mean(op, n, axes, keep)))
    return;
  int x = tfl_in(op, 0);
  neo_node *node = tfl_node(op, op->row->op, 1, &x);
  neo_node_set_ints(op->im->e.graph, node, "axes", n, axes);
  neo_node_set_int(op->im->e.graph, node, "keepdims", keep);
  neo_node_set_int(op->im->e.graph, node, "noop_with_empty_axes", 1);
  tfl_set(op, 0, node->output[0]);
}

/* The result in the output tensor's type. */
static void set_as(tfl_op *op, int k, int value) {
  const tfl_tensor *t = tfl_output(op, k);
  if (t && t->dtype < NEO_DTYPE_COUNT)
    value = neo_emit_cast(&op->im->e, value, t->dtype);
  tfl_set_raw(op, k, value);
}

void tfl_arg(tfl_op *op) {
  int64_t axis;
  int x = tfl_raw(op, 0);
  if (tfl_ints(op, 1, &axis, 1) != 1)
    return;
  neo_node *node = tfl_node(op, op->row->op, 1, &x);
  neo_node_set_int(op->im->e.graph, node, "axis", axis);
  neo_node_set_int(op->im->e.graph, node, "keepdims", 0);
  set_as(op, 0, node->output[0]);
}

void tfl_topk(tfl_op *op) {
  int x = tfl_raw(op, 0), k = neo_emit_cast(&op->im->e, tfl_raw(op, 1), NEO_I64);
  k = neo_emit_reshape(&op->im->e, k, 1, (int64_t[]){1});
  neo_node *node = neo_emit_node(&op->im->e, "topk", 2, (int[]){x, k}, 2);
  if (node->n_outputs < 2)
    return;
  int values = node->output[0], indices = node->output[1];
  tfl_set_raw(op, 0, values);
  set_as(op, 1, indices);
}

void tfl_cast(tfl_op *op) {
  set_as(op, 0, tfl_raw(op, 0));
}

void tfl_cumsum(tfl_op *op) {
  neo_graph *graph = op->im->e.graph;
  int x = tfl_in(op, 0);
  neo_node *node = tfl_node(op, "cumsum", 2, (int[]){x, tfl_raw(op, 1)});
  neo_node_set_int(graph, node, "exclusive", tfl_option(op, 0, NEO_FB_U8, 0));
  neo_node_set_int(graph, node, "reverse", tfl_option(op, 1, NEO_FB_U8, 0));
  tfl_set(op, 0, node->output[0]);
}

/* x / max(|x|, 1e-6) over the last dimension. */
void tfl_l2_normalization(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int x = tfl_in(op, 0);
  neo_node *node = tfl_node(op, "reduce_l2", 1, &x);
  neo_node_set_ints(e->graph, node, "axes", 1, (int64_t[]){-1});
  int length = neo_emit_binary(e, "max", node->output[0], scalar(op, 1e-6));
  tfl_set_active(op, 0, neo_emit_binary(e, "div", x, length), 0);
}

/* x * (bias + alpha * sum of squares)^-beta; ONNX's lrn has alpha / size. */
void tfl_lrn(tfl_op *op) {
  int64_t size = 2 * tfl_option(op, TFL_LRN_RADIUS, NEO_FB_I32, 0) + 1;
  int x = tfl_to_nchw(op, tfl_in(op, 0), 4);
  neo_node *node = tfl_node(op, "lrn", 1, &x);
  neo_graph *graph = op->im->e.graph;
  neo_node_set_int(graph, node, "size", size);
  neo_node_set_float(graph, node, "bias", neo_fb_f32(&op->options, TFL_LRN_BIAS, 0));
  neo_node_set_float(graph, node, "alpha",
                     neo_fb_f32(&op->options, TFL_LRN_ALPHA, 0) * (double)size);
  neo_node_set_float(graph, node, "beta", neo_fb_f32(&op->options, TFL_LRN_BETA, 0));
  tfl_set(op, 0, tfl_to_nhwc(op, node->output[0], 4));
}

/* Rounds to the grid of 2^bits steps between min and max, shifted so that 0 lies on it. */
void tfl_fake_quant(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  double low = neo_fb_f32(&op->options, TFL_FAKE_MIN, 0),
         high = neo_fb_f32(&op->options, TFL_FAKE_MAX, 0);
  int64_t bits = tfl_option(op, TFL_FAKE_BITS, NEO_FB_I32, 8);
  double first = tfl_option(op, TFL_FAKE_NARROW, NEO_FB_U8, 0) ? 1 : 0;
  if (bits < 2 || bits > 16 || !(low < high)) {
    tfl_unsupported(op, "%d bits from %g to %g", (int)bits, low, high);
    return;
  }
  double last = ldexp(1, (int)bits) - 1, step = (high - low) / (last - first);
  double zero = fmin(fmax(round(first - low / step), first), last);
  double from = (first - zero) * step, to = (last - zero) * step;
  int x = tfl_in(op, 0);
  neo_node *node = tfl_node(op, "clip", 1, &x);
  neo_node_set_float(e->graph, node, "min", from);
  neo_node_set_float(e->graph, node, "max", to);
  x = neo_emit_binary(e, "sub", node->output[0], scalar(op, from));
  x = neo_emit_binary(e, "add", neo_emit_binary(e, "div", x, scalar(op, step)), scalar(op, 0.5));
  x = neo_emit_binary(e, "mul", neo_emit_unary(e, "floor", x), scalar(op, step));
  tfl_set(op, 0, neo_emit_binary(e, "add", x, scalar(op, from)));
}
