/* frontends/tensorflow_convert.c: rows of tensorflow_ops.def that compute: elementwise operators,
 * products, reductions. */
#include "frontends/tensorflow_convert.h"

#include <math.h>
#include <string.h>

static int scalar_like(tf_import *im, int like, double v) {
  neo_dtype dtype = neo_emit_dtype(im->e, like);
  return neo_emit_scalar(im->e, dtype == NEO_DTYPE_COUNT ? NEO_F32 : dtype, v);
}

/* Constants beside a value need its type, which attribute T says even where inference does not. */
static int scalar_of(tf_import *im, const tf_node *node, double v) {
  neo_dtype dtype = tf_type(node, "T");
  return dtype == NEO_DTYPE_COUNT ? scalar_like(im, tf_in(node, 0), v)
                                  : neo_emit_scalar(im->e, dtype, v);
}

static int binary(tf_import *im, const char *op, int a, int b) {
  return neo_emit_binary(im->e, op, a, b);
}

static int unary(tf_import *im, const char *op, int x) {
  return neo_emit_unary(im->e, op, x);
}

/* ---- elementwise ------------------------------------------------------------------------------------- */

/* The operator `arg` of all inputs. */
neo_status tf_plain(tf_import *im, tf_node *node) {
  int *in = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)(node->n_inputs + 1));
  const neo_op *op = neo_op_find(node->row->arg);
  for (int k = 0; k < node->n_inputs; k++)
    in[k] = tf_in(node, k);
  if (op &&
      (node->n_inputs < op->min_inputs || (op->max_inputs >= 0 && node->n_inputs > op->max_inputs)))
    return tf_bad(im, node, "%d inputs", node->n_inputs);
  return tf_set1(node, neo_emit_node(im->e, node->row->arg, node->n_inputs, in, 1)->output[0]);
}

/* Operators one after the other: "sqrt reciprocal". */
neo_status tf_chain(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0);
  char op[32];
  for (const char *at = node->row->arg; *at;) {
    size_t length = strcspn(at, " ");
    neo_assert(length < sizeof op);
    memcpy(op, at, length);
    op[length] = 0;
    x = unary(im, op, x);
    at += length + strspn(at + length, " ");
  }
  return tf_set1(node, x);
}

neo_status tf_square(tf_import *im, tf_node *node) {
  return tf_set1(node, binary(im, "mul", tf_in(node, 0), tf_in(node, 0)));
}

neo_status tf_squared_difference(tf_import *im, tf_node *node) {
  int d = binary(im, "sub", tf_in(node, 0), tf_in(node, 1));
  return tf_set1(node, binary(im, "mul", d, d));
}

/* 1 - arg(x) */
neo_status tf_one_minus(tf_import *im, tf_node *node) {
  int one = scalar_of(im, node, 1);
  return tf_set1(node, binary(im, "sub", one, unary(im, node->row->arg, tf_in(node, 0))));
}

neo_status tf_expm1(tf_import *im, tf_node *node) {
  return tf_set1(node, binary(im, "sub", unary(im, "exp", tf_in(node, 0)), scalar_of(im, node, 1)));
}

neo_status tf_log1p(tf_import *im, tf_node *node) {
  return tf_set1(node, unary(im, "log", binary(im, "add", tf_in(node, 0), scalar_of(im, node, 1))));
}

neo_status tf_is_finite(tf_import *im, tf_node *node) {
  int nan = unary(im, "isnan", tf_in(node, 0)), inf = unary(im, "isinf", tf_in(node, 0));
  return tf_set1(node, unary(im, "not", binary(im, "or", nan, inf)));
}

neo_status tf_relu6(tf_import *im, tf_node *node) {
  int in[3] = {tf_in(node, 0), scalar_of(im, node, 0), scalar_of(im, node, 6)};
  return tf_set1(node, neo_emit_node(im->e, "clip", 3, in, 1)->output[0]);
}

neo_status tf_leaky_relu(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0);
  neo_node *made = neo_emit_node(im->e, "leaky_relu", 1, &x, 1);
  neo_node_set_float(im->e->graph, made, "alpha", tf_float(node, "alpha", 0.2));
  return tf_set1(node, made->output[0]);
}

/* Selu's constants are rounded in ONNX's operator: exact ones here. */
neo_status tf_selu(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0);
  neo_node *made = neo_emit_node(im->e, "selu", 1, &x, 1);
  neo_node_set_float(im->e->graph, made, "alpha", 1.6732632423543772848170429916717);
  neo_node_set_float(im->e->graph, made, "gamma", 1.0507009873554804934193349852946);
  return tf_set1(node, made->output[0]);
}

neo_status tf_cast(tf_import *im, tf_node *node) {
  neo_dtype to = tf_type(node, "DstT");
  if (to == NEO_DTYPE_COUNT)
    return tf_unsupported(im, node, "a cast to another type than numbers");
  return tf_set1(node, neo_emit_cast(im->e, tf_in(node, 0), to));
}

/* x + bias along the channels. */
neo_status tf_bias_add(tf_import *im, tf_node *node) {
  int bias = tf_in(node, 1);
  if (tf_string_is(node, "data_format", "NHWC", "NCHW")) {
    int rank = neo_emit_rank(im->e, tf_in(node, 0));
    int64_t axes[NEO_MAX_RANK];
    rank = rank < 0 ? 4 : rank;
    for (int d = 0; d < rank - 2; d++)
      axes[d] = d + 1;
    neo_node *made = neo_emit_node(im->e, "unsqueeze", 1, &bias, 1);
    neo_node_set_ints(im->e->graph, made, "axes", rank > 2 ? rank - 2 : 0, axes);
    bias = made->output[0];
  }
  return tf_set1(node, binary(im, "add", tf_in(node, 0), bias));
}

static int modulo(tf_import *im, int a, int b, int64_t fmod_sign) {
  neo_node *made = neo_emit_node(im->e, "mod", 2, (int[]){a, b}, 1);
  neo_node_set_int(im->e->graph, made, "fmod", fmod_sign);
  return made->output[0];
}

/* mod with the sign of the divisor (floor) or of the dividend (trunc): of floats only C's fmod is
 * there, so fmod(fmod(a, b) + b, b). */
neo_status tf_floor_mod(tf_import *im, tf_node *node) {
  int a = tf_in(node, 0), b = tf_in(node, 1);
  neo_dtype dtype = tf_type(node, "T");
  if (dtype == NEO_DTYPE_COUNT || neo_dtype_class(dtype) != 'f')
    return tf_set1(node, modulo(im, a, b, 0));
  int inner = binary(im, "add", modulo(im, a, b, 1), b);
  return tf_set1(node, modulo(im, inner, b, 1));
}

neo_status tf_trunc_mod(tf_import *im, tf_node *node) {
  return tf_set1(node, modulo(im, tf_in(node, 0), tf_in(node, 1), 1));
}

neo_status tf_floor_div(tf_import *im, tf_node *node) {
  int a = tf_in(node, 0), b = tf_in(node, 1);
  neo_dtype dtype = tf_type(node, "T");
  if (dtype != NEO_DTYPE_COUNT && neo_dtype_class(dtype) == 'f')
    return tf_set1(node, unary(im, "floor", binary(im, "div", a, b)));
  return tf_set1(node, binary(im, "div", binary(im, "sub", a, modulo(im, a, b, 0)), b));
}

/* 0 where the divisor (DivNoNan, MulNoNan: the second operand) is 0. */
neo_status tf_no_nan(tf_import *im, tf_node *node) {
  int zero = scalar_of(im, node, 0), b = tf_in(node, 1);
  int is_zero = binary(im, "equal", b, zero);
  int value = binary(im, node->row->arg, tf_in(node, 0), b);
  return tf_set1(node,
                 neo_emit_node(im->e, "where", 3, (int[]){is_zero, zero, value}, 1)->output[0]);
}

/* 0 where the first operand is 0: Xdivy, Xlogy. */
neo_status tf_x_times(tf_import *im, tf_node *node) {
  int zero = scalar_of(im, node, 0), a = tf_in(node, 0), b = tf_in(node, 1);
  bool is_log = strcmp(node->row->arg, "log") == 0;
  int value = is_log ? binary(im, "mul", a, unary(im, "log", b)) : binary(im, "div", a, b);
  int is_zero = binary(im, "equal", a, zero);
  return tf_set1(node,
                 neo_emit_node(im->e, "where", 3, (int[]){is_zero, zero, value}, 1)->output[0]);
}

/* ClipByValue(x, low, high), whose bounds may be tensors. */
neo_status tf_clip(tf_import *im, tf_node *node) {
  int low = binary(im, "max", tf_in(node, 0), tf_in(node, 1));
  return tf_set1(node, binary(im, "min", low, tf_in(node, 2)));
}

/* Select(condition, a, b): a condition of rank 1 selects rows. */
neo_status tf_select(tf_import *im, tf_node *node) {
  int c = tf_in(node, 0), own = neo_emit_rank(im->e, c),
      rank = neo_emit_rank(im->e, tf_in(node, 1));
  if (own == 1 && rank > 1) {
    int64_t axes[NEO_MAX_RANK];
    for (int d = 0; d < rank - 1; d++)
      axes[d] = d + 1;
    neo_node *made = neo_emit_node(im->e, "unsqueeze", 1, &c, 1);
    neo_node_set_ints(im->e->graph, made, "axes", rank - 1, axes);
    c = made->output[0];
  }
  int in[3] = {c, tf_in(node, 1), tf_in(node, 2)};
  return tf_set1(node, neo_emit_node(im->e, "where", 3, in, 1)->output[0]);
}

neo_status tf_atan2(tf_import *im, tf_node *node) {
  int y = tf_in(node, 0), x = tf_in(node, 1), zero = scalar_of(im, node, 0);
  int pi = scalar_of(im, node, 3.14159265358979323846), minus = unary(im, "neg", pi);
  int base = unary(im, "atan", binary(im, "div", y, x));
  int below = binary(im, "less", y, zero), left = binary(im, "less", x, zero);
  int turn = neo_emit_node(im->e, "where", 3, (int[]){below, minus, pi}, 1)->output[0];
  int side = neo_emit_node(im->e, "where", 3, (int[]){left, turn, zero}, 1)->output[0];
  int sum = binary(im, "add", base, side);
  int both = binary(im, "and", binary(im, "equal", x, zero), binary(im, "equal", y, zero));
  return tf_set1(node, neo_emit_node(im->e, "where", 3, (int[]){both, zero, sum}, 1)->output[0]);
}

/* FakeQuantWithMinMaxVars(x, min, max): rounds to the grid that training emulated. */
neo_status tf_fake_quant(tf_import *im, tf_node *node) {
  const neo_tensor *lo = tf_const(im, node, 1), *hi = tf_const(im, node, 2);
  if (!lo || !hi || lo->size != 4 || hi->size != 4)
    return tf_unknown(im, node, "its range is not constant");
  double min = neo_tensor_get_f64(lo, 0), max = neo_tensor_get_f64(hi, 0);
  double from = tf_bool(node, "narrow_range", false) ? 1 : 0;
  double to = ldexp(1, (int)neo_max_i64(2, neo_min_i64(tf_int(node, "num_bits", 8), 16))) - 1;
  double scale = (max - min) / (to - from), zero = from - min / scale;
  if (!(max > min) || min > 0 || max < 0)
    return tf_unsupported(im, node, "a range from %g to %g", min, max);
  zero = zero < from ? from : zero > to ? to : floor(zero + 0.5);
  double low = (from - zero) * scale, high = (to - zero) * scale;
  int x = neo_emit_node(im->e, "clip", 3,
                        (int[]){tf_in(node, 0), neo_emit_scalar(im->e, NEO_F32, low),
                                neo_emit_scalar(im->e, NEO_F32, high)},
                        1)
              ->output[0];
  x = binary(im, "sub", x, neo_emit_scalar(im->e, NEO_F32, low));
  x = binary(im, "mul", x, neo_emit_scalar(im->e, NEO_F32, 1 / scale));
  x = unary(im, "floor", binary(im, "add", x, neo_emit_scalar(im->e, NEO_F32, 0.5)));
  x = binary(im, "mul", x, neo_emit_scalar(im->e, NEO_F32, scale));
  return tf_set1(node, binary(im, "add", x, neo_emit_scalar(im->e, NEO_F32, low)));
}

/* ---- products ---------------------------------------------------------------------------------------- */

static int swap_last(tf_import *im, int x, int rank) {
  int64_t perm[NEO_MAX_RANK];
  for (int d = 0; d < rank; d++)
    perm[d] = d < rank - 2 ? d : 2 * rank - 3 - d;
  return neo_emit_transpose(im->e, x, rank, perm);
}

neo_status tf_matmul(tf_import *im, tf_node *node) {
  int a = tf_in(node, 0), b = tf_in(node, 1);
  if (tf_bool(node, "transpose_a", false))
    a = swap_last(im, a, 2);
  if (tf_bool(node, "transpose_b", false))
    b = swap_last(im, b, 2);
  return tf_set1(node, binary(im, "matmul", a, b));
}

neo_status tf_batch_matmul(tf_import *im, tf_node *node) {
  int in[2] = {tf_in(node, 0), tf_in(node, 1)};
  for (int k = 0; k < 2; k++) {
    if (!tf_bool(node, k ? "adj_y" : "adj_x", false))
      continue;
    int rank = tf_rank(im, node, k);
    if (rank < 0)
      return NEO_OK;
    if (rank < 2)
      return tf_bad(im, node, "input %d of rank %d", k, rank);
    in[k] = swap_last(im, in[k], rank);
  }
  return tf_set1(node, binary(im, "matmul", in[0], in[1]));
}

neo_status tf_einsum(tf_import *im, tf_node *node) {
  const Tf__Value *equation = tf_attr(node, "equation");
  int *in = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)(node->n_inputs + 1));
  if (!equation || !equation->has_s || node->n_inputs < 1 ||
      memchr(equation->s.data ? (char *)equation->s.data : "", 0, equation->s.len))
    return tf_bad(im, node, "it has no equation");
  for (int k = 0; k < node->n_inputs; k++)
    in[k] = tf_in(node, k);
  neo_node *made = neo_emit_node(im->e, "einsum", node->n_inputs, in, 1);
  char *text = neo_arena_strndup(&im->arena, (char *)equation->s.data, equation->s.len);
  neo_node_set_string(im->e->graph, made, "equation", text);
  return tf_set1(node, made->output[0]);
}

/* ---- reductions -------------------------------------------------------------------------------------- */

/* arg(x, axes): no axes reduce nothing. */
neo_status tf_reduce(tf_import *im, tf_node *node) {
  neo_node *made =
      neo_emit_node(im->e, node->row->arg, 2, (int[]){tf_in(node, 0), tf_in(node, 1)}, 1);
  neo_node_set_int(im->e->graph, made, "keepdims", tf_bool(node, "keep_dims", false));
  neo_node_set_int(im->e->graph, made, "noop_with_empty_axes", 1);
  return tf_set1(node, made->output[0]);
}

neo_status tf_arg(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0);
  int64_t axis = 0;
  if (node->n_inputs > 1 && !tf_const_int(im, node, 1, &axis))
    return NEO_OK;
  neo_node *made = neo_emit_node(im->e, node->row->arg, 1, &x, 1);
  neo_node_set_int(im->e->graph, made, "axis", axis);
  neo_node_set_int(im->e->graph, made, "keepdims", 0);
  neo_dtype to = tf_type(node, "output_type");
  int out = made->output[0];
  if (to != NEO_DTYPE_COUNT && to != NEO_I64)
    out = neo_emit_cast(im->e, out, to);
  return tf_set1(node, out);
}

neo_status tf_softmax(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0);
  neo_node *made = neo_emit_node(im->e, node->row->arg, 1, &x, 1);
  neo_node_set_int(im->e->graph, made, "axis", -1);
  return tf_set1(node, made->output[0]);
}

neo_status tf_cumsum(tf_import *im, tf_node *node) {
  neo_node *made = neo_emit_node(im->e, "cumsum", 2, (int[]){tf_in(node, 0), tf_in(node, 1)}, 1);
  neo_node_set_int(im->e->graph, made, "exclusive", tf_bool(node, "exclusive", false));
  neo_node_set_int(im->e->graph, made, "reverse", tf_bool(node, "reverse", false));
  return tf_set1(node, made->output[0]);
}

/* TopKV2(x, k) -> values, indices */
neo_status tf_topk(tf_import *im, tf_node *node) {
  int64_t axes[1] = {0};
  int k = neo_emit_cast(im->e, tf_in(node, 1), NEO_I64);
  neo_node *list = neo_emit_node(im->e, "unsqueeze", 1, &k, 1);
  neo_node_set_ints(im->e->graph, list, "axes", 1, axes);
  neo_node *made = neo_emit_node(im->e, "topk", 2, (int[]){tf_in(node, 0), list->output[0]}, 2);
  neo_node_set_int(im->e->graph, made, "axis", -1);
  int values = made->output[0], indices = made->output[1];
  neo_dtype to = tf_type(node, "index_type");
  tf_set(node, 0, values);
  tf_set(node, 1, neo_emit_cast(im->e, indices, to == NEO_DTYPE_COUNT ? NEO_I32 : to));
  return NEO_OK;
}

/* L2Loss(x) = sum(x * x) / 2 */
neo_status tf_l2_loss(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0);
  neo_node *made = neo_emit_node(im->e, "reduce_sum_square", 1, &x, 1);
  neo_node_set_int(im->e->graph, made, "keepdims", 0);
  return tf_set1(node, binary(im, "mul", made->output[0], scalar_of(im, node, 0.5)));
}
