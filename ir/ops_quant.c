/* ir/ops_quant.c: quantised operators.
 *
 * quantize_linear and dequantize_linear are elementwise. The contractions are written as others, so
 * that their core is a plain sum of products of 8-bit integers in i32, which is what dot-product
 * instructions compute, and everything about zero points is outside of it:
 *
 *   sum (x - zx)(w - zw)  =  sum x (w - zw)  -  zx sum (w - zw)
 *
 * w - zw is a constant in nearly all models, and zw is 0 or makes it fit i8; the second term is a
 * constant per output channel. A convolution pads with zx, so the term holds at borders, too.
 * Requantising is sat(round(float(sum) * (sx sw / sy)) + zy), as onnxruntime does it. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

/* ---- quantize_linear, dequantize_linear ------------------------------------------------------ */

static bool is_single(const neo_value *v) {
  int64_t n;
  return v->shape.rank <= 1 && neo_shape_elements(&v->shape, &n) && n == 1;
}

/* *axis -1: one scale for all; *block 0: one per index of the axis, else per block of so many. */
static neo_status read_granularity(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                   int *axis, int64_t *block) {
  const neo_value *x = neo_op_in(graph, node, 0), *scale = neo_op_in(graph, node, 1),
                  *zero = neo_op_in(graph, node, 2);
  *block = neo_node_int(node, "block_size", 0);
  *axis = -1;
  if (zero && !neo_shape_equal(&zero->shape, &scale->shape) &&
      !(is_single(zero) && is_single(scale)))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "scale and zero point have different shapes");
  if (is_single(scale))
    return NEO_OK;
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 1), x->shape.rank, axis));
  bool fits = *block >= 0;
  if (*block == 0) {
    fits = scale->shape.rank == 1 && scale->shape.dim[0] == x->shape.dim[*axis];
  } else {
    fits = fits && scale->shape.rank == x->shape.rank;
    for (int d = 0; fits && d < x->shape.rank; d++)
      fits = scale->shape.dim[d] ==
             (d == *axis ? neo_ceil_div(x->shape.dim[d], *block) : x->shape.dim[d]);
  }
  return fits ? NEO_OK
              : neo_op_fail(ctx, node, NEO_BAD_INPUT, "the scale does not fit axis %d", *axis);
}

static neo_status quantized_type(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 neo_dtype *out) {
  const neo_value *zero = neo_op_in(graph, node, 2);
  bool to_float = neo_op_is(node, "dequantize_linear");
  const char *name = neo_node_string(node, "output_dtype", "");
  *out = to_float ? neo_op_in(graph, node, 1)->dtype : zero ? zero->dtype : NEO_U8;
  if (*name && !neo_dtype_find(name, out))
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "output_dtype '%s'", name);
  if ((neo_dtype_class(*out) == 'f') != to_float || *out == NEO_BOOL || *out == NEO_STR)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "to %s", neo_dtype_name(*out));
  return NEO_OK;
}

neo_status neo_infer_quantize(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int axis;
  int64_t block;
  neo_dtype out;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_granularity(ctx, graph, node, &axis, &block));
  NEO_TRY(quantized_type(ctx, graph, node, &out));
  if (neo_dtype_class(neo_op_in(graph, node, 1)->dtype) != 'f')
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "a scale of type %s",
                       neo_dtype_name(neo_op_in(graph, node, 1)->dtype));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  neo_op_set(graph, node, 0, out, &shape);
  return NEO_OK;
}

typedef struct granularity {
  int axis;
  int64_t block;
} granularity;

/* Scale or zero point at the output's indices. */
static const neo_expr *parameter(neo_lowering *l, int k, granularity g, int rank,
                                 const neo_expr *const *index) {
  const neo_expr *at[NEO_MAX_RANK], *zero = neo_i_const(l, 0);
  const neo_value *v = neo_op_in(l->graph, l->node, k);
  if (g.axis < 0)
    return neo_lower_operand(l, k, v->shape.rank, &zero);
  if (g.block == 0)
    return neo_lower_load(l, neo_lower_input(l, k), &index[g.axis]);
  for (int d = 0; d < rank; d++)
    at[d] = d == g.axis ? neo_expr_floordiv(l->arena, index[d], g.block, NULL, 0) : index[d];
  return neo_lower_load(l, neo_lower_input(l, k), at);
}

neo_status neo_lower_quantize(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  granularity g;
  const neo_expr *index[NEO_MAX_RANK];
  NEO_TRY(read_granularity(ctx, graph, node, &g.axis, &g.block));
  int rank = neo_op_in(graph, node, 0)->shape.rank;
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(&l, d);
  neo_dtype from = neo_op_in(graph, node, 0)->dtype, to = graph->value[node->output[0]].dtype;
  const neo_expr *e = neo_narrow_from(&l, from, neo_lower_operand(&l, 0, rank, index));
  const neo_expr *scale = neo_expr_cast(l.arena, NEO_F32, parameter(&l, 1, g, rank, index));
  const neo_expr *zero = neo_op_in(graph, node, 2) ? parameter(&l, 2, g, rank, index) : NULL;
  if (zero)
    zero = neo_narrow_from(&l, neo_op_in(graph, node, 2)->dtype, zero);
  if (neo_op_is(node, "dequantize_linear")) {
    neo_dtype inner = neo_dtype_class(e->dtype) == 'f' ? NEO_F32 : NEO_I32;
    e = neo_expr_cast(l.arena, inner, e);
    if (zero)
      e = neo_x2(&l, NEO_EXPR_SUB, e, neo_expr_cast(l.arena, inner, zero));
    e = neo_x2(&l, NEO_EXPR_MUL, neo_expr_cast(l.arena, NEO_F32, e), scale);
  } else {
    e = neo_x2(&l, NEO_EXPR_DIV, neo_expr_cast(l.arena, NEO_F32, e), scale);
    if (!neo_narrow_find(to))
      e = neo_x1(&l, NEO_EXPR_ROUND, e);
    if (zero)
      e = neo_x2(&l, NEO_EXPR_ADD, e, neo_expr_cast(l.arena, NEO_F32, zero));
    if (neo_narrow_bits(to))
      e = neo_narrow_to(&l, to, neo_narrow_rounding_of(node), e);
  }
  neo_lower_body(&l, neo_lower_output(&l, 0), e); /* to an integer this saturates */
  return NEO_OK;
}

/* ---- sums of products ------------------------------------------------------------------------ */

static neo_status infer_as(neo_ctx *ctx, neo_graph *graph, neo_node *node, const int *operand,
                           bool conv) {
  neo_node plain = *node;
  int input[2] = {node->input[operand[0]], node->input[operand[1]]};
  plain.op = neo_op_find(conv ? "conv" : "matmul");
  plain.n_inputs = 2;
  plain.input = input;
  neo_node_set_string(graph, &plain, "to", "i32");
  return conv ? neo_infer_conv(ctx, graph, &plain) : neo_infer_matmul(ctx, graph, &plain);
}

neo_status neo_infer_matmul_integer(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  return infer_as(ctx, graph, node, (int[]){0, 1}, false);
}

neo_status neo_infer_conv_integer(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  return infer_as(ctx, graph, node, (int[]){0, 1}, true);
}

neo_status neo_infer_qlinear(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(infer_as(ctx, graph, node, (int[]){0, 3}, neo_op_is(node, "qlinear_conv")));
  neo_shape shape = graph->value[node->output[0]].shape;
  neo_dtype dtype = neo_op_in(graph, node, 7)->dtype;
  if (neo_dtype_class(dtype) != 'i' && neo_dtype_class(dtype) != 'u')
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "a zero point of type %s", neo_dtype_name(dtype));
  neo_op_set(graph, node, 0, dtype, &shape);
  return NEO_OK;
}

/* Known to be zero everywhere? Absent counts. */
static bool is_zero(const neo_expander *x, int v) {
  const neo_tensor *t = neo_xp_tensor(x, v);
  int64_t n;
  if (v == NEO_NO_VALUE)
    return true;
  if (!t || !neo_shape_elements(&t->shape, &n))
    return false;
  for (int64_t i = 0; i < n; i++)
    if (neo_tensor_get_i64(t, i) != 0)
      return false;
  return true;
}

/* v - zero, in 8 bits where that is a constant that fits, else in i32. */
static int centred(neo_expander *x, int v, int zero) {
  if (is_zero(x, zero))
    return v;
  int wide = neo_xp_2(x, "sub", neo_xp_cast(x, v, NEO_I32), neo_xp_cast(x, zero, NEO_I32));
  const neo_tensor *t = neo_xp_tensor(x, wide);
  int64_t n = 0;
  if (!t || !neo_shape_elements(&t->shape, &n))
    return wide;
  for (int64_t i = 0; i < n; i++)
    if (neo_tensor_get_i64(t, i) < -128 || neo_tensor_get_i64(t, i) > 127)
      return wide;
  return neo_xp_cast(x, wide, NEO_I8);
}

/* Per-channel parameters [k] (or of one element) in front of `after` more dimensions. */
static int per_channel(neo_expander *x, int v, int after) {
  neo_shape shape = {.rank = 1 + after, .dim = {neo_xp_rank(x, v) ? neo_xp_dim(x, v, 0) : 1}};
  for (int d = 1; d <= after; d++)
    shape.dim[d] = 1;
  return v == NEO_NO_VALUE ? v : neo_xp_reshape_to(x, v, &shape);
}

/* The node's conv attributes, and ours. */
static int conv_core(neo_expander *x, int data, int w, double pad_value) {
  neo_attr attr[16] = {0};
  int n = 0;
  for (int i = 0; i < x->node.n_attrs && n < 13; i++)
    attr[n++] = x->node.attr[i];
  attr[n++] = (neo_attr)NEO_XP_STRING("to", "i32");
  attr[n++] = (neo_attr)NEO_XP_FLOAT("pad_value", pad_value);
  return neo_xp_op(x, "conv", 2, (int[]){data, w}, attr);
}

/* sum (x - zx)(w - zw) of a convolution, i32. */
static int conv_sum(neo_expander *x, int data, int zx, int w, int zw) {
  int rank = neo_xp_rank(x, data);
  const neo_tensor *zero = neo_xp_tensor(x, zx);
  w = centred(x, w, per_channel(x, zw, rank - 1));
  if (is_zero(x, zx))
    return conv_core(x, data, w, 0);
  if (!zero)
    return conv_core(x, centred(x, data, zx), w, 0);
  int sum = conv_core(x, data, w, neo_tensor_get_f64(zero, 0));
  int wide = neo_xp_cast(x, w, NEO_I32);
  for (int d = rank - 1; d >= 1; d--)
    wide = neo_xp_reduce(x, "reduce_sum", wide, d, false);
  int correction = neo_xp_2(x, "mul", per_channel(x, wide, rank - 2),
                            neo_xp_scalar(x, NEO_I32, neo_tensor_get_f64(zero, 0)));
  return neo_xp_2(x, "sub", sum, correction);
}

/* A zero point or scale of a matmul's first operand, per row; one element stays as it is. */
static int per_row(neo_expander *x, int v) {
  if (v == NEO_NO_VALUE || neo_xp_rank(x, v) != 1 || neo_xp_dim(x, v, 0) == 1)
    return v;
  return neo_xp_unsqueeze(x, v, 1);
}

static int matmul_core(neo_expander *x, int a, int b) {
  return neo_xp_op(x, "matmul", 2, (int[]){a, b}, NEO_XP_ATTRS(NEO_XP_STRING("to", "i32")));
}

static int matmul_sum(neo_expander *x, int a, int za, int b, int zb) {
  int rank = neo_xp_rank(x, b);
  b = centred(x, b, zb);
  if (is_zero(x, za))
    return matmul_core(x, a, b);
  if (neo_xp_rank(x, a) < 2 || rank < 2)
    return matmul_core(x, centred(x, a, per_row(x, za)), b);
  int columns = neo_xp_reduce(x, "reduce_sum", neo_xp_cast(x, b, NEO_I32), rank - 2, true);
  za = neo_xp_cast(x, per_row(x, za), NEO_I32);
  if (neo_xp_rank(x, za) < 2)
    za = neo_xp_reshape(x, za, 0, NULL);
  return neo_xp_2(x, "sub", matmul_core(x, a, b), neo_xp_2(x, "mul", columns, za));
}

neo_status neo_expand_matmul_integer(neo_expander *x) {
  x->out[0] = matmul_sum(x, neo_xp_in(x, 0), neo_xp_in(x, 2), neo_xp_in(x, 1), neo_xp_in(x, 3));
  return x->status;
}

neo_status neo_expand_conv_integer(neo_expander *x) {
  x->out[0] = conv_sum(x, neo_xp_in(x, 0), neo_xp_in(x, 2), neo_xp_in(x, 1), neo_xp_in(x, 3));
  return x->status;
}

/* sat(round(sum * factor) + zero) */
static int requantise(neo_expander *x, int sum, int factor, int zero) {
  neo_dtype dtype = neo_xp_dtype(x, zero);
  int y = neo_xp_1(x, "round", neo_xp_2(x, "mul", neo_xp_cast(x, sum, NEO_F32), factor));
  if (!is_zero(x, zero)) {
    if (neo_xp_rank(x, zero) == 1 && neo_xp_dim(x, zero, 0) == 1)
      zero = neo_xp_reshape(x, zero, 0, NULL);
    y = neo_xp_2(x, "add", y, neo_xp_cast(x, zero, NEO_F32));
  }
  return neo_xp_cast(x, y, dtype);
}

/* A parameter of one element as a scalar. */
static int scalar_of(neo_expander *x, int v) {
  return neo_xp_rank(x, v) == 1 && neo_xp_dim(x, v, 0) == 1 ? neo_xp_reshape(x, v, 0, NULL) : v;
}

neo_status neo_expand_qlinear_conv(neo_expander *x) {
  int after = neo_xp_rank(x, neo_xp_in(x, 0)) - 2, bias = neo_xp_in(x, 8);
  int sum = conv_sum(x, neo_xp_in(x, 0), neo_xp_in(x, 2), neo_xp_in(x, 3), neo_xp_in(x, 5));
  if (bias != NEO_NO_VALUE)
    sum = neo_xp_2(x, "add", sum, per_channel(x, bias, after));
  int factor = neo_xp_2(x, "mul", scalar_of(x, neo_xp_in(x, 1)), scalar_of(x, neo_xp_in(x, 4)));
  factor = neo_xp_2(x, "div", factor, scalar_of(x, neo_xp_in(x, 6)));
  if (neo_xp_rank(x, factor) == 1)
    factor = per_channel(x, factor, after);
  x->out[0] = requantise(x, sum, neo_xp_cast(x, factor, NEO_F32), neo_xp_in(x, 7));
  return x->status;
}

neo_status neo_expand_qlinear_matmul(neo_expander *x) {
  int bias = neo_xp_in(x, 8);
  int sum = matmul_sum(x, neo_xp_in(x, 0), scalar_of(x, neo_xp_in(x, 2)), neo_xp_in(x, 3),
                       scalar_of(x, neo_xp_in(x, 5)));
  if (bias != NEO_NO_VALUE)
    sum = neo_xp_2(x, "add", sum, bias);
  int a_scale = neo_xp_cast(x, per_row(x, scalar_of(x, neo_xp_in(x, 1))), NEO_F32);
  int factor = neo_xp_2(x, "mul", a_scale, neo_xp_cast(x, scalar_of(x, neo_xp_in(x, 4)), NEO_F32));
  int y_scale = neo_xp_cast(x, per_row(x, scalar_of(x, neo_xp_in(x, 6))), NEO_F32);
  factor = neo_xp_2(x, "div", factor, y_scale);
  x->out[0] = requantise(x, sum, factor, neo_xp_in(x, 7));
  return x->status;
}

/* ---- dynamic_quantize_linear ----------------------------------------------------------------- */

neo_status neo_infer_dynamic_quantize(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  neo_shape shape = neo_op_in(graph, node, 0)->shape, scalar = {0};
  if (neo_op_in(graph, node, 0)->dtype != NEO_F32)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the input must be f32");
  neo_op_set(graph, node, 0, NEO_U8, &shape);
  neo_op_set(graph, node, 1, NEO_F32, &scalar);
  neo_op_set(graph, node, 2, NEO_U8, &scalar);
  return NEO_OK;
}

neo_status neo_expand_dynamic_quantize(neo_expander *x) {
  int in = neo_xp_in(x, 0);
  const neo_attr *all = NEO_XP_ATTRS(NEO_XP_INT("keepdims", 0));
  int high = neo_xp_c(x, "max", neo_xp_op(x, "reduce_max", 1, &in, all), 0);
  int low = neo_xp_c(x, "min", neo_xp_op(x, "reduce_min", 1, &in, all), 0);
  int scale = neo_xp_c(x, "div", neo_xp_2(x, "sub", high, low), 255);
  int empty = neo_xp_c(x, "equal", scale, 0);
  scale = neo_xp_3(x, "where", empty, neo_xp_scalar(x, NEO_F32, 1), scale);
  int zero = neo_xp_1(x, "round", neo_xp_2(x, "div", neo_xp_1(x, "neg", low), scale));
  x->out[1] = scale;
  x->out[2] = neo_xp_cast(x, zero, NEO_U8);
  x->out[0] = neo_xp_3(x, "quantize_linear", in, scale, x->out[2]);
  return x->status;
}
