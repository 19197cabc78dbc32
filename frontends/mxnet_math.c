/* frontends/mxnet_math.c: MXNet's elementwise operators and reductions. Comparisons and logic give
 * numbers of the operands' type. */
#include "frontends/mxnet_import.h"

#include <math.h>
#include <string.h>

void mx_unary(mx_node *node) {
  mx_set(node, 0, mx_one(node, node->row->op, mx_in(node, 0)));
}

void mx_identity(mx_node *node) {
  mx_set(node, 0, mx_in(node, 0));
}

static int scaled(mx_node *node, int x, const char *op, double by) {
  return mx_two(node, op, x, mx_scalar(node, x, by));
}

static int to_type_of(mx_node *node, int value, int like) {
  neo_dtype dtype = neo_emit_dtype(&node->im->e, like);
  return neo_emit_cast(&node->im->e, value, dtype < NEO_DTYPE_COUNT ? dtype : NEO_F32);
}

/* sign(x) * f(|x|) */
static int odd(mx_node *node, int x, int of_abs) {
  return mx_two(node, "mul", mx_one(node, "sign", x), of_abs);
}

static int cube_root(mx_node *node, int x) {
  return odd(node, x, scaled(node, mx_one(node, "abs", x), "pow", 1.0 / 3));
}

static bool named(const mx_node *node, const char *name) {
  return strcmp(node->op, name) == 0;
}

/* Half away from zero. */
static int round_away(mx_node *node, int x) {
  return odd(node, x, mx_one(node, "floor", scaled(node, mx_one(node, "abs", x), "add", 0.5)));
}

static int composed(mx_node *node, int x) {
  if (named(node, "round"))
    return round_away(node, x);
  if (named(node, "trunc") || named(node, "fix"))
    return odd(node, x, mx_one(node, "floor", mx_one(node, "abs", x)));
  if (named(node, "square"))
    return mx_two(node, "mul", x, x);
  if (named(node, "rsqrt"))
    return mx_one(node, "reciprocal", mx_one(node, "sqrt", x));
  if (named(node, "cbrt"))
    return cube_root(node, x);
  if (named(node, "rcbrt"))
    return mx_one(node, "reciprocal", cube_root(node, x));
  if (named(node, "log2"))
    return scaled(node, mx_one(node, "log", x), "mul", 1 / log(2));
  if (named(node, "log10"))
    return scaled(node, mx_one(node, "log", x), "mul", 1 / log(10));
  if (named(node, "log1p"))
    return mx_one(node, "log", scaled(node, x, "add", 1));
  if (named(node, "expm1"))
    return scaled(node, mx_one(node, "exp", x), "sub", 1);
  if (named(node, "degrees"))
    return scaled(node, x, "mul", 180 / acos(-1));
  if (named(node, "radians"))
    return scaled(node, x, "mul", acos(-1) / 180);
  if (named(node, "logical_not"))
    return to_type_of(node, scaled(node, x, "equal", 0), x);
  neo_node *made = mx_emit(node, "softmax", 1, (int[]){mx_one(node, "neg", x)}); /* softmin */
  neo_node_set_int(node->im->e.graph, made, "axis", mx_int(node, "axis", -1));
  return made->output[0];
}

void mx_composed(mx_node *node) {
  mx_set(node, 0, composed(node, mx_in(node, 0)));
}

void mx_binary(mx_node *node) {
  mx_set(node, 0, mx_two(node, node->row->op, mx_in(node, 0), mx_in(node, 1)));
}

void mx_compare(mx_node *node) {
  int a = mx_in(node, 0);
  mx_set(node, 0, to_type_of(node, mx_two(node, node->row->op, a, mx_in(node, 1)), a));
}

void mx_compare_scalar(mx_node *node) {
  int a = mx_in(node, 0);
  mx_set(node, 0, to_type_of(node, scaled(node, a, node->row->op, mx_float(node, "scalar", 0)), a));
}

void mx_logical(mx_node *node) {
  int a = mx_in(node, 0), b = mx_in(node, 1);
  int x = scaled(node, a, "not_equal", 0), y = scaled(node, b, "not_equal", 0);
  mx_set(node, 0, to_type_of(node, mx_two(node, node->row->op, x, y), a));
}

void mx_with_scalar(mx_node *node) {
  mx_set(node, 0, scaled(node, mx_in(node, 0), node->row->op, mx_float(node, "scalar", 0)));
}

void mx_scalar_with(mx_node *node) {
  int x = mx_in(node, 0), c = mx_scalar(node, x, mx_float(node, "scalar", 0));
  mx_set(node, 0, mx_two(node, node->row->op, c, x));
}

void mx_sum_all(mx_node *node) {
  mx_set(node, 0, mx_emit(node, "sum", node->n_inputs, node->input)->output[0]);
}

/* A condition of the data's first dimension only chooses rows. */
void mx_where(mx_node *node) {
  int c = mx_in(node, 0), a = mx_in(node, 1), b = mx_in(node, 2);
  int rank = mx_rank(node, a), c_rank = mx_rank(node, c);
  c = scaled(node, c, "not_equal", 0);
  if (c_rank == 1 && rank > 1)
    c = neo_emit_reshape(&node->im->e, c, rank, (int64_t[]){-1, 1, 1, 1, 1, 1, 1, 1});
  mx_set(node, 0, mx_emit(node, "where", 3, (int[]){c, a, b})->output[0]);
}

void mx_clip(mx_node *node) {
  int x = mx_in(node, 0);
  neo_node *made = mx_emit(node, "clip", 1, &x);
  neo_node_set_float(node->im->e.graph, made, "min", mx_float(node, "a_min", -INFINITY));
  neo_node_set_float(node->im->e.graph, made, "max", mx_float(node, "a_max", INFINITY));
  mx_set(node, 0, made->output[0]);
}

void mx_cast(mx_node *node) {
  neo_dtype dtype = mx_dtype(node, "dtype", NEO_F32);
  if (dtype == NEO_DTYPE_COUNT)
    mx_unsupported(node, "type %s", mx_text(node, "dtype", "?"));
  else
    mx_set(node, 0, neo_emit_cast(&node->im->e, mx_in(node, 0), dtype));
}

void mx_hard_sigmoid(mx_node *node) {
  int x = mx_in(node, 0);
  neo_node *made = mx_emit(node, "hard_sigmoid", 1, &x);
  neo_node_set_float(node->im->e.graph, made, "alpha", mx_float(node, "alpha", 0.2));
  neo_node_set_float(node->im->e.graph, made, "beta", mx_float(node, "beta", 0.5));
  mx_set(node, 0, made->output[0]);
}

/* s = scalar^2: |x| < 1 / s: s x^2 / 2, else |x| - 0.5 / s. */
void mx_smooth_l1(mx_node *node) {
  double s = mx_float(node, "scalar", 1);
  int x = mx_in(node, 0), size = mx_one(node, "abs", x);
  s *= s;
  int near = scaled(node, mx_two(node, "mul", x, x), "mul", s / 2);
  int far = scaled(node, size, "sub", 0.5 / s);
  int inside = scaled(node, size, "less", 1 / s);
  mx_set(node, 0, mx_emit(node, "where", 3, (int[]){inside, near, far})->output[0]);
}

void mx_div_sqrt_dim(mx_node *node) {
  int x = mx_in(node, 0);
  const neo_shape *shape = mx_shape(node, x);
  if (shape && shape->rank > 0)
    mx_set(node, 0, scaled(node, x, "div", sqrt((double)shape->dim[shape->rank - 1])));
}

/* ---- reductions --------------------------------------------------------------------------------------- */

/* The attribute axis, or with exclude all the others; -1 of them: all. */
static int reduce_axes(mx_node *node, int x, int64_t *axes) {
  int64_t named_axes[NEO_MAX_RANK];
  bool flag[NEO_MAX_RANK] = {false};
  int n = mx_ints(node, "axis", named_axes, NEO_MAX_RANK), axis, count = 0;
  if (n > 0 && !mx_bool(node, "exclude", false)) {
    memcpy(axes, named_axes, sizeof *axes * (size_t)n);
    return n;
  }
  if (n <= 0)
    return -1;
  int rank = mx_rank(node, x);
  for (int i = 0; i < n; i++)
    if (mx_axis(node, named_axes[i], rank, &axis))
      flag[axis] = true;
  for (int d = 0; d < rank; d++)
    if (!flag[d])
      axes[count++] = d;
  return count;
}

static int reduce(mx_node *node, const char *op, int x) {
  int64_t axes[NEO_MAX_RANK];
  int n = reduce_axes(node, x, axes);
  neo_node *made = mx_emit(node, op, 1, &x);
  if (n >= 0)
    neo_node_set_ints(node->im->e.graph, made, "axes", n, axes);
  bool keep = mx_bool(node, "keepdims", false);
  neo_node_set_int(node->im->e.graph, made, "keepdims", keep);
  int value = made->output[0];
  if (n < 0 && !keep) /* MXNet has no scalars */
    value = neo_emit_reshape(&node->im->e, value, 1, (int64_t[]){1});
  return value;
}

void mx_reduce(mx_node *node) {
  mx_set(node, 0, reduce(node, node->row->op, mx_in(node, 0)));
}

void mx_norm(mx_node *node) {
  int64_t order = mx_int(node, "ord", 2);
  if (order != 1 && order != 2)
    mx_unsupported(node, "norm of order %d", (int)order);
  mx_set(node, 0, reduce(node, order == 1 ? "reduce_l1" : "reduce_l2", mx_in(node, 0)));
}

/* The index as a float. Without an axis: over all elements. */
void mx_arg(mx_node *node) {
  int x = mx_in(node, 0);
  bool all = !mx_text(node, "axis", NULL);
  if (all)
    x = neo_emit_reshape(&node->im->e, x, 1, (int64_t[]){-1});
  neo_node *made = mx_emit(node, node->row->op, 1, &x);
  neo_node_set_int(node->im->e.graph, made, "axis", all ? 0 : mx_int(node, "axis", 0));
  neo_node_set_int(node->im->e.graph, made, "keepdims", all || mx_bool(node, "keepdims", false));
  mx_set(node, 0, neo_emit_cast(&node->im->e, made->output[0], NEO_F32));
}

static int softmax(mx_node *node, const char *op, int x, int64_t axis) {
  neo_node *made = mx_emit(node, op, 1, &x);
  neo_node_set_int(node->im->e.graph, made, "axis", axis);
  return made->output[0];
}

/* What lies behind each row's length takes no part and is 0. */
static void softmax_of_lengths(mx_node *node, int x) {
  neo_emitter *e = &node->im->e;
  const neo_shape *shape = mx_shape(node, x);
  int axis;
  if (!shape || !mx_axis(node, mx_int(node, "axis", -1), shape->rank, &axis))
    return;
  int64_t n = shape->dim[axis], ones[NEO_MAX_RANK];
  int rank = shape->rank;
  if (strcmp(node->row->op, "softmax") != 0 || n < 1 || n > 1 << 24) {
    mx_unsupported(node, "use_length");
    return;
  }
  int64_t *at = neo_arena_alloc(e->graph->arena, sizeof *at * (size_t)n);
  for (int64_t i = 0; i < n; i++)
    at[i] = i;
  for (int d = 0; d < rank; d++)
    ones[d] = d == axis ? n : 1;
  int place = neo_emit_reshape(e, neo_emit_ints(e, (int)n, at), rank, ones);
  int length = neo_emit_cast(e, mx_in(node, 1), NEO_I64);
  neo_node *made = mx_emit(node, "unsqueeze", 1, &length);
  neo_node_set_ints(e->graph, made, "axes", 1, (int64_t[]){axis});
  int taken = mx_two(node, "less", place, made->output[0]);
  int low = mx_scalar(node, x, -INFINITY), zero = mx_scalar(node, x, 0);
  int y =
      softmax(node, "softmax", mx_emit(node, "where", 3, (int[]){taken, x, low})->output[0], axis);
  mx_set(node, 0, mx_emit(node, "where", 3, (int[]){taken, y, zero})->output[0]);
}

void mx_softmax(mx_node *node) {
  int x = mx_in(node, 0);
  double temperature = mx_float(node, "temperature", 1);
  if (temperature != 1)
    x = scaled(node, x, "div", temperature);
  if (mx_bool(node, "use_length", false)) {
    softmax_of_lengths(node, x);
    return;
  }
  mx_set(node, 0, softmax(node, node->row->op, x, mx_int(node, "axis", -1)));
}

/* Over everything behind the first dimension, or over channels. */
static int softmax_rows(mx_node *node, int x) {
  int rank = mx_rank(node, x);
  if (rank <= 2)
    return softmax(node, "softmax", x, -1);
  neo_node *made = mx_emit(node, "softmax", 1, &x);
  neo_node_set_int(node->im->e.graph, made, "axis", 1);
  neo_node_set_int(node->im->e.graph, made, "coerce_2d", 1);
  return made->output[0];
}

void mx_softmax_activation(mx_node *node) {
  int x = mx_in(node, 0);
  bool channel = mx_is(node, "mode", "channel", false);
  mx_set(node, 0, channel ? softmax(node, "softmax", x, 1) : softmax_rows(node, x));
}

void mx_softmax_output(mx_node *node) {
  int x = mx_in(node, 0);
  if (mx_bool(node, "multi_output", false))
    mx_set(node, 0, softmax(node, "softmax", x, 1));
  else if (mx_bool(node, "preserve_shape", false))
    mx_set(node, 0, softmax(node, "softmax", x, -1));
  else
    mx_set(node, 0, softmax_rows(node, x));
}
