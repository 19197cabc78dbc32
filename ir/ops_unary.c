/* ir/ops_unary.c: elementwise operators of one tensor, with their attributes; a row each in `rows`.
 *
 * Formulas avoid overflow where a plain one would give NaN: softplus(x) = max(x, 0) + log(1 +
 * exp(-|x|)). */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>
#include <string.h>

typedef const neo_expr *(*formula)(neo_lowering *l, const neo_expr *x);

static double attr(const neo_lowering *l, const char *name, double otherwise) {
  return neo_node_float(l->node, name, otherwise);
}

static bool is_float(const neo_expr *e) {
  return neo_dtype_class(e->dtype) == 'f';
}

/* ---- formulas ---------------------------------------------------------------------------------- */

#define DIRECT(name, OP)                                                                           \
  static const neo_expr *name(neo_lowering *l, const neo_expr *x) {                                \
    return neo_x1(l, NEO_EXPR_##OP, x);                                                            \
  }

DIRECT(f_neg, NEG)
DIRECT(f_abs, ABS)
DIRECT(f_not, NOT)
DIRECT(f_bit_not, BITNOT)
DIRECT(f_sqrt, SQRT)
DIRECT(f_exp, EXP)
DIRECT(f_log, LOG)
DIRECT(f_sin, SIN)
DIRECT(f_cos, COS)
DIRECT(f_tan, TAN)
DIRECT(f_asin, ASIN)
DIRECT(f_acos, ACOS)
DIRECT(f_atan, ATAN)
DIRECT(f_sinh, SINH)
DIRECT(f_cosh, COSH)
DIRECT(f_tanh, TANH)
DIRECT(f_asinh, ASINH)
DIRECT(f_acosh, ACOSH)
DIRECT(f_atanh, ATANH)
DIRECT(f_erf, ERF)
DIRECT(f_isnan, ISNAN)
#undef DIRECT

static const neo_expr *f_identity(neo_lowering *l, const neo_expr *x) {
  (void)l;
  return x;
}

static const neo_expr *f_floor(neo_lowering *l, const neo_expr *x) {
  return is_float(x) ? neo_x1(l, NEO_EXPR_FLOOR, x) : x;
}

static const neo_expr *f_ceil(neo_lowering *l, const neo_expr *x) {
  return is_float(x) ? neo_x1(l, NEO_EXPR_CEIL, x) : x;
}

static const neo_expr *f_round(neo_lowering *l, const neo_expr *x) {
  return is_float(x) ? neo_x1(l, NEO_EXPR_ROUND, x) : x;
}

static const neo_expr *f_reciprocal(neo_lowering *l, const neo_expr *x) {
  return neo_x2(l, NEO_EXPR_DIV, neo_x_const(l, x, 1), x);
}

/* NaN and zeros stay what they are. */
static const neo_expr *f_sign(neo_lowering *l, const neo_expr *x) {
  const neo_expr *zero = neo_x_const(l, x, 0), *one = neo_x_const(l, x, 1), *negative = x;
  if (neo_dtype_class(x->dtype) != 'u')
    negative = neo_x_select(l, neo_x2(l, NEO_EXPR_LT, x, zero), neo_x_const(l, x, -1), x);
  return neo_x_select(l, neo_x2(l, NEO_EXPR_LT, zero, x), one, negative);
}

static const neo_expr *f_relu(neo_lowering *l, const neo_expr *x) {
  return neo_xc(l, NEO_EXPR_MAX, x, 0);
}

static const neo_expr *f_sigmoid(neo_lowering *l, const neo_expr *x) {
  const neo_expr *e = neo_x1(l, NEO_EXPR_EXP, neo_x1(l, NEO_EXPR_NEG, x));
  return neo_x2(l, NEO_EXPR_DIV, neo_x_const(l, x, 1), neo_xc(l, NEO_EXPR_ADD, e, 1));
}

static const neo_expr *f_softplus(neo_lowering *l, const neo_expr *x) {
  const neo_expr *e = neo_x1(l, NEO_EXPR_EXP, neo_x1(l, NEO_EXPR_NEG, neo_x1(l, NEO_EXPR_ABS, x)));
  return neo_x2(l, NEO_EXPR_ADD, neo_xc(l, NEO_EXPR_MAX, x, 0),
                neo_x1(l, NEO_EXPR_LOG, neo_xc(l, NEO_EXPR_ADD, e, 1)));
}

static const neo_expr *f_softsign(neo_lowering *l, const neo_expr *x) {
  return neo_x2(l, NEO_EXPR_DIV, x, neo_xc(l, NEO_EXPR_ADD, neo_x1(l, NEO_EXPR_ABS, x), 1));
}

static const neo_expr *f_mish(neo_lowering *l, const neo_expr *x) {
  return neo_x2(l, NEO_EXPR_MUL, x, neo_x1(l, NEO_EXPR_TANH, f_softplus(l, x)));
}

/* x < 0 ? below : x */
static const neo_expr *below_zero(neo_lowering *l, const neo_expr *x, const neo_expr *below) {
  return neo_x_select(l, neo_xc(l, NEO_EXPR_LT, x, 0), below, x);
}

static const neo_expr *f_leaky_relu(neo_lowering *l, const neo_expr *x) {
  return below_zero(l, x, neo_xc(l, NEO_EXPR_MUL, x, attr(l, "alpha", 0.01)));
}

static const neo_expr *exp_minus_one(neo_lowering *l, const neo_expr *x) {
  return neo_xc(l, NEO_EXPR_SUB, neo_x1(l, NEO_EXPR_EXP, x), 1);
}

static const neo_expr *f_elu(neo_lowering *l, const neo_expr *x) {
  return below_zero(l, x, neo_xc(l, NEO_EXPR_MUL, exp_minus_one(l, x), attr(l, "alpha", 1)));
}

static const neo_expr *f_selu(neo_lowering *l, const neo_expr *x) {
  double alpha = attr(l, "alpha", 1.67326319217681884765625);
  const neo_expr *e = below_zero(l, x, neo_xc(l, NEO_EXPR_MUL, exp_minus_one(l, x), alpha));
  return neo_xc(l, NEO_EXPR_MUL, e, attr(l, "gamma", 1.05070102214813232421875));
}

static const neo_expr *f_celu(neo_lowering *l, const neo_expr *x) {
  double alpha = attr(l, "alpha", 1);
  const neo_expr *e = exp_minus_one(l, neo_xc(l, NEO_EXPR_DIV, x, alpha));
  return below_zero(l, x, neo_xc(l, NEO_EXPR_MUL, e, alpha));
}

static const neo_expr *clamp01(neo_lowering *l, const neo_expr *x) {
  return neo_xc(l, NEO_EXPR_MAX, neo_xc(l, NEO_EXPR_MIN, x, 1), 0);
}

static const neo_expr *f_hard_sigmoid(neo_lowering *l, const neo_expr *x) {
  const neo_expr *line = neo_xc(l, NEO_EXPR_MUL, x, attr(l, "alpha", 0.2));
  return clamp01(l, neo_xc(l, NEO_EXPR_ADD, line, attr(l, "beta", 0.5)));
}

static const neo_expr *f_hard_swish(neo_lowering *l, const neo_expr *x) {
  const neo_expr *line = neo_xc(l, NEO_EXPR_MUL, x, 1.0 / 6);
  return neo_x2(l, NEO_EXPR_MUL, x, clamp01(l, neo_xc(l, NEO_EXPR_ADD, line, 0.5)));
}

static const neo_expr *f_swish(neo_lowering *l, const neo_expr *x) {
  const neo_expr *scaled = neo_xc(l, NEO_EXPR_MUL, x, attr(l, "alpha", 1));
  return neo_x2(l, NEO_EXPR_MUL, x, f_sigmoid(l, scaled));
}

static const neo_expr *f_thresholded_relu(neo_lowering *l, const neo_expr *x) {
  const neo_expr *above = neo_x2(l, NEO_EXPR_LT, neo_x_const(l, x, attr(l, "alpha", 1)), x);
  return neo_x_select(l, above, x, neo_x_const(l, x, 0));
}

static const neo_expr *f_shrink(neo_lowering *l, const neo_expr *x) {
  double bias = attr(l, "bias", 0), lambd = attr(l, "lambd", 0.5);
  const neo_expr *high = neo_x_select(l, neo_x2(l, NEO_EXPR_LT, neo_x_const(l, x, lambd), x),
                                      neo_xc(l, NEO_EXPR_SUB, x, bias), neo_x_const(l, x, 0));
  return neo_x_select(l, neo_xc(l, NEO_EXPR_LT, x, -lambd), neo_xc(l, NEO_EXPR_ADD, x, bias), high);
}

static const neo_expr *f_gelu(neo_lowering *l, const neo_expr *x) {
  const neo_expr *half = neo_xc(l, NEO_EXPR_MUL, x, 0.5), *inner;
  if (neo_op_string_is(l->node, "approximate", "none", "tanh")) {
    const neo_expr *cube = neo_x2(l, NEO_EXPR_MUL, neo_x2(l, NEO_EXPR_MUL, x, x), x);
    inner = neo_x2(l, NEO_EXPR_ADD, x, neo_xc(l, NEO_EXPR_MUL, cube, 0.044715));
    inner = neo_x1(l, NEO_EXPR_TANH, neo_xc(l, NEO_EXPR_MUL, inner, 0.79788456080286535588));
  } else {
    inner = neo_x1(l, NEO_EXPR_ERF, neo_xc(l, NEO_EXPR_MUL, x, 0.70710678118654752440));
  }
  return neo_x2(l, NEO_EXPR_MUL, half, neo_xc(l, NEO_EXPR_ADD, inner, 1));
}

static const neo_expr *f_isinf(neo_lowering *l, const neo_expr *x) {
  const neo_expr *no = neo_expr_const_i(l->arena, NEO_BOOL, 0);
  bool minus = neo_node_int(l->node, "detect_negative", 1),
       plus = neo_node_int(l->node, "detect_positive", 1);
  return neo_x2(l, NEO_EXPR_OR, plus ? neo_xc(l, NEO_EXPR_EQ, x, INFINITY) : no,
                minus ? neo_xc(l, NEO_EXPR_EQ, x, -INFINITY) : no);
}

/* ---- the table --------------------------------------------------------------------------------- */

/* accepts: f floats, n numbers, i integers, b bool, a anything */
static const struct {
  const char *name;
  formula fn;
  char accepts;
  bool yields_bool;
} rows[] = {
    {"abs", f_abs, 'n', false},
    {"neg", f_neg, 'n', false},
    {"sign", f_sign, 'n', false},
    {"floor", f_floor, 'n', false},
    {"ceil", f_ceil, 'n', false},
    {"round", f_round, 'n', false},
    {"sqrt", f_sqrt, 'f', false},
    {"reciprocal", f_reciprocal, 'f', false},
    {"exp", f_exp, 'f', false},
    {"log", f_log, 'f', false},
    {"erf", f_erf, 'f', false},
    {"sin", f_sin, 'f', false},
    {"cos", f_cos, 'f', false},
    {"tan", f_tan, 'f', false},
    {"asin", f_asin, 'f', false},
    {"acos", f_acos, 'f', false},
    {"atan", f_atan, 'f', false},
    {"sinh", f_sinh, 'f', false},
    {"cosh", f_cosh, 'f', false},
    {"tanh", f_tanh, 'f', false},
    {"asinh", f_asinh, 'f', false},
    {"acosh", f_acosh, 'f', false},
    {"atanh", f_atanh, 'f', false},
    {"sigmoid", f_sigmoid, 'f', false},
    {"softplus", f_softplus, 'f', false},
    {"softsign", f_softsign, 'f', false},
    {"relu", f_relu, 'n', false},
    {"identity", f_identity, 'a', false},
    {"mish", f_mish, 'f', false},
    {"isnan", f_isnan, 'f', true},
    {"isinf", f_isinf, 'f', true},
    {"not", f_not, 'b', false},
    {"bit_not", f_bit_not, 'i', false},
    {"leaky_relu", f_leaky_relu, 'f', false},
    {"elu", f_elu, 'f', false},
    {"selu", f_selu, 'f', false},
    {"celu", f_celu, 'f', false},
    {"hard_sigmoid", f_hard_sigmoid, 'f', false},
    {"hard_swish", f_hard_swish, 'f', false},
    {"swish", f_swish, 'f', false},
    {"thresholded_relu", f_thresholded_relu, 'f', false},
    {"shrink", f_shrink, 'n', false},
    {"gelu", f_gelu, 'f', false},
};

static int find_row(const neo_node *node) {
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    if (neo_op_is(node, rows[k].name))
      return k;
  }
  neo_assert(!"an operator without a row in ops_unary.c");
  return 0;
}

static bool accepts(char what, neo_dtype dtype) {
  char cls = neo_dtype_class(dtype);
  switch (what) {
  case 'f':
    return cls == 'f';
  case 'i':
    return cls == 'i' || cls == 'u';
  case 'b':
    return cls == 'b';
  case 'n':
    return cls != 'b';
  default:
    return true;
  }
}

neo_status neo_infer_unary(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  int row = find_row(node);
  const neo_value *x = neo_op_in(graph, node, 0);
  if (!accepts(rows[row].accepts, x->dtype))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for %s", neo_dtype_name(x->dtype));
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, rows[row].yields_bool ? NEO_BOOL : x->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_unary(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                           int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int rank = neo_op_in(graph, node, 0)->shape.rank;
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(&l, d);
  const neo_expr *x = neo_lower_operand(&l, 0, rank, index);
  neo_lower_body(&l, neo_lower_output(&l, 0), rows[find_row(node)].fn(&l, x));
  return NEO_OK;
}

/* ---- cast, clip, dropout: their own type rules or inputs ---------------------------------------- */

neo_status neo_infer_cast(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_dtype to;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const char *name = neo_node_string(node, "to", "");
  if (!neo_dtype_find(name, &to))
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "to is '%s', not an element type of ours", name);
  if ((neo_op_in(graph, node, 0)->dtype == NEO_STR) != (to == NEO_STR))
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED,
                       "strings and numbers are converted by text_parse and text_print");
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  neo_op_set(graph, node, 0, to, &shape);
  return NEO_OK;
}

static const neo_expr *whole_input(neo_lowering *l, int *rank, const neo_expr **index) {
  *rank = neo_op_in(l->graph, l->node, 0)->shape.rank;
  for (int d = 0; d < *rank; d++)
    index[d] = neo_i_var(l, d);
  return neo_lower_raw_load(l, neo_lower_input(l, 0), index);
}

neo_status neo_lower_cast(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                          int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int rank;
  const neo_expr *x = whole_input(&l, &rank, index);
  x = neo_narrow_cast(&l, neo_op_in(graph, node, 0)->dtype, graph->value[node->output[0]].dtype, x);
  neo_lower_body(&l, neo_lower_output(&l, 0), x);
  return NEO_OK;
}

neo_status neo_infer_bitcast(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_infer_cast(ctx, graph, node));
  neo_dtype from = neo_op_in(graph, node, 0)->dtype, to = graph->value[node->output[0]].dtype;
  if (neo_dtype_size(from) != neo_dtype_size(to))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "%s as %s", neo_dtype_name(from),
                       neo_dtype_name(to));
  return NEO_OK;
}

neo_status neo_lower_bitcast(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                             int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int rank;
  const neo_expr *x = whole_input(&l, &rank, index);
  neo_te_block *block = neo_lower_output(&l, 0);
  block->body = neo_expr_bitcast(l.arena, te->buffer[block->buffer].dtype, x);
  return NEO_OK;
}

neo_status neo_eval_bitcast(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                            neo_tensor *const *in, neo_tensor *out) {
  (void)ctx;
  (void)graph;
  (void)node;
  memcpy(out[0].data, in[0]->data, in[0]->size);
  return NEO_OK;
}

neo_status neo_infer_clip(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  for (int k = 1; k < 3; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    int64_t n;
    NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, k));
    if (v && (!neo_shape_elements(&v->shape, &n) || n != 1))
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is not a scalar", k);
  }
  if (x->dtype == NEO_BOOL)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for bool");
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

static const neo_expr *clip_bound(neo_lowering *l, int k, const char *name, const neo_expr *x,
                                  neo_expr_op op) {
  const neo_value *v = neo_op_in(l->graph, l->node, k);
  const neo_expr *zero[NEO_MAX_RANK];
  if (!v && !neo_node_attr(l->node, name))
    return x;
  if (!v)
    return neo_xc(l, op, x, neo_node_float(l->node, name, 0));
  for (int d = 0; d < v->shape.rank; d++)
    zero[d] = neo_i_const(l, 0);
  return neo_x2(l, op, x, neo_lower_operand(l, k, v->shape.rank, zero));
}

neo_status neo_lower_clip(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                          int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int rank;
  const neo_expr *x = whole_input(&l, &rank, index);
  x = neo_expr_cast(l.arena, neo_compute_dtype(x->dtype), x);
  x = clip_bound(&l, 1, "min", x, NEO_EXPR_MAX);
  x = clip_bound(&l, 2, "max", x, NEO_EXPR_MIN);
  neo_lower_body(&l, neo_lower_output(&l, 0), x);
  return NEO_OK;
}

neo_status neo_infer_dropout(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *training = neo_op_in(graph, node, 2);
  if (training && (!training->constant || neo_tensor_get_i64(training->constant, 0)))
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "training_mode must be a constant false");
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  neo_op_set(graph, node, 1, NEO_BOOL, &shape);
  return NEO_OK;
}

neo_status neo_lower_dropout(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                             int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int rank;
  const neo_expr *x = whole_input(&l, &rank, index);
  neo_lower_body(&l, neo_lower_output(&l, 0), x);
  if (node->n_outputs > 1)
    neo_lower_body(&l, neo_lower_output(&l, 1), neo_expr_const_i(l.arena, NEO_BOOL, 1));
  return NEO_OK;
}
