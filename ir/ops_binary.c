/* ir/ops_binary.c: elementwise operators of several tensors with NumPy broadcasting, and
 * batch_norm. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>

typedef const neo_expr *(*formula)(neo_lowering *l, const neo_expr *a, const neo_expr *b);

#define DIRECT(name, OP)                                                                           \
  static const neo_expr *name(neo_lowering *l, const neo_expr *a, const neo_expr *b) {             \
    return neo_x2(l, NEO_EXPR_##OP, a, b);                                                         \
  }

DIRECT(f_add, ADD)
DIRECT(f_sub, SUB)
DIRECT(f_mul, MUL)
DIRECT(f_div, DIV)
DIRECT(f_min, MIN)
DIRECT(f_max, MAX)
DIRECT(f_eq, EQ)
DIRECT(f_ne, NE)
DIRECT(f_lt, LT)
DIRECT(f_le, LE)
DIRECT(f_and, AND)
DIRECT(f_or, OR)
DIRECT(f_bit_and, BITAND)
DIRECT(f_bit_or, BITOR)
DIRECT(f_bit_xor, BITXOR)
#undef DIRECT

static const neo_expr *f_gt(neo_lowering *l, const neo_expr *a, const neo_expr *b) {
  return f_lt(l, b, a);
}
static const neo_expr *f_ge(neo_lowering *l, const neo_expr *a, const neo_expr *b) {
  return f_le(l, b, a);
}

static const neo_expr *f_mod(neo_lowering *l, const neo_expr *a, const neo_expr *b) {
  return neo_x2(l, neo_node_int(l->node, "fmod", 0) ? NEO_EXPR_MOD : NEO_EXPR_FLOORMOD, a, b);
}

static const neo_expr *f_bit_shift(neo_lowering *l, const neo_expr *a, const neo_expr *b) {
  return neo_x2(
      l, neo_op_string_is(l->node, "direction", "", "right") ? NEO_EXPR_SHR : NEO_EXPR_SHL, a, b);
}

static const neo_expr *f_prelu(neo_lowering *l, const neo_expr *x, const neo_expr *slope) {
  return neo_x_select(l, neo_xc(l, NEO_EXPR_LT, x, 0), neo_x2(l, NEO_EXPR_MUL, x, slope), x);
}

static bool is_const(const neo_expr *e, double v) {
  return e->op == NEO_EXPR_CONST &&
         (neo_dtype_class(e->dtype) == 'f' ? e->u.f : (double)e->u.i) == v;
}

/* The usual constant exponents are products and roots; others go through pow, of mixed types in
 * f64. */
static const neo_expr *f_pow(neo_lowering *l, const neo_expr *a, const neo_expr *b) {
  bool floats = neo_dtype_class(a->dtype) == 'f';
  if (is_const(b, 1))
    return a;
  if (is_const(b, 2))
    return neo_x2(l, NEO_EXPR_MUL, a, a);
  if (is_const(b, 3))
    return neo_x2(l, NEO_EXPR_MUL, neo_x2(l, NEO_EXPR_MUL, a, a), a);
  if (is_const(b, 0.5) && floats)
    return neo_x1(l, NEO_EXPR_SQRT, a);
  if (is_const(b, -1) && floats)
    return neo_x2(l, NEO_EXPR_DIV, neo_x_const(l, a, 1), a);
  if (a->dtype == b->dtype)
    return neo_x2(l, NEO_EXPR_POW, a, b);
  if (floats || neo_dtype_class(b->dtype) != 'f')
    return neo_x2(l, NEO_EXPR_POW, a, neo_expr_cast(l->arena, a->dtype, b));
  const neo_expr *wide = neo_x2(l, NEO_EXPR_POW, neo_expr_cast(l->arena, NEO_F64, a),
                                neo_expr_cast(l->arena, NEO_F64, b));
  return neo_expr_cast(l->arena, a->dtype, wide);
}

/* bool: exclusive or */
static const neo_expr *f_xor(neo_lowering *l, const neo_expr *a, const neo_expr *b) {
  return f_ne(l, a, b);
}

/* accepts: n numbers, i integers, u unsigned, b bool, a anything */
static const struct {
  const char *name;
  formula fn;
  char accepts;
  bool yields_bool, mixed;
} rows[] = {
    {"add", f_add, 'n', false, false},
    {"sub", f_sub, 'n', false, false},
    {"mul", f_mul, 'n', false, false},
    {"div", f_div, 'n', false, false},
    {"pow", f_pow, 'n', false, true},
    {"mod", f_mod, 'n', false, false},
    {"min", f_min, 'n', false, false},
    {"max", f_max, 'n', false, false},
    {"sum", f_add, 'n', false, false},
    {"mean", f_add, 'n', false, false},
    {"equal", f_eq, 'a', true, false},
    {"not_equal", f_ne, 'a', true, false},
    {"less", f_lt, 'n', true, false},
    {"less_equal", f_le, 'n', true, false},
    {"greater", f_gt, 'n', true, false},
    {"greater_equal", f_ge, 'n', true, false},
    {"and", f_and, 'b', false, false},
    {"or", f_or, 'b', false, false},
    {"xor", f_xor, 'b', false, false},
    {"bit_and", f_bit_and, 'i', false, false},
    {"bit_or", f_bit_or, 'i', false, false},
    {"bit_xor", f_bit_xor, 'i', false, false},
    {"bit_shift", f_bit_shift, 'i', false, false},
    {"prelu", f_prelu, 'n', false, false},
};

static int find_row(const neo_node *node) {
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    if (neo_op_is(node, rows[k].name))
      return k;
  }
  neo_assert(!"an operator without a row in ops_binary.c");
  return 0;
}

static bool accepts(char what, neo_dtype dtype) {
  char cls = neo_dtype_class(dtype);
  switch (what) {
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

static neo_status broadcast_all(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                neo_shape *out) {
  neo_shape shape = {0};
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_shape *s = &neo_op_in(graph, node, k)->shape;
    neo_buf a = {0}, b = {0};
    neo_shape_print(&a, &shape);
    neo_shape_print(&b, s);
    bool ok = neo_shape_broadcast(&shape, s, &shape);
    neo_status status = NEO_OK;
    if (!ok)
      status = neo_op_fail(ctx, node, NEO_BAD_INPUT, "shapes %s and %s do not broadcast", a.data,
                           b.data);
    neo_buf_fini(&a);
    neo_buf_fini(&b);
    NEO_TRY(status);
  }
  *out = shape;
  return NEO_OK;
}

neo_status neo_infer_binary(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  int row = find_row(node);
  neo_shape shape;
  const neo_value *first = neo_op_in(graph, node, 0);
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    if (!v)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is absent", k);
    if (!accepts(rows[row].accepts, v->dtype))
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for %s", neo_dtype_name(v->dtype));
    if (!rows[row].mixed)
      NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, k));
  }
  NEO_TRY(broadcast_all(ctx, graph, node, &shape));
  if (neo_op_is(node, "prelu") && !neo_shape_equal(&shape, &first->shape))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the slope does not broadcast to the input");
  neo_op_set(graph, node, 0, rows[row].yields_bool ? NEO_BOOL : first->dtype, &shape);
  return NEO_OK;
}

static int output_index(neo_lowering *l, const neo_expr **index) {
  int rank = l->graph->value[l->node->output[0]].shape.rank;
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(l, d);
  return rank;
}

neo_status neo_lower_binary(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                            int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int rank = output_index(&l, index), row = find_row(node);
  if (node->n_inputs >= NEO_TE_MAX_BUFFERS)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "%d inputs, at most %d supported",
                       node->n_inputs, NEO_TE_MAX_BUFFERS - 1);
  const neo_expr *e = neo_lower_operand(&l, 0, rank, index);
  for (int k = 1; k < node->n_inputs; k++)
    e = rows[row].fn(&l, e, neo_lower_operand(&l, k, rank, index));
  if (neo_op_is(node, "mean"))
    e = neo_xc(&l, NEO_EXPR_DIV, e, node->n_inputs);
  neo_lower_body(&l, neo_lower_output(&l, 0), e);
  return NEO_OK;
}

/* ---- where --------------------------------------------------------------------------------------- */

neo_status neo_infer_where(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_shape shape;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_same_dtype(ctx, graph, node, 1, 2));
  if (neo_op_in(graph, node, 0)->dtype != NEO_BOOL)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the condition is not bool");
  NEO_TRY(broadcast_all(ctx, graph, node, &shape));
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 1)->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_where(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                           int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK], *arg[3];
  int rank = output_index(&l, index);
  for (int k = 0; k < 3; k++)
    arg[k] = neo_lower_operand(&l, k, rank, index);
  neo_lower_body(&l, neo_lower_output(&l, 0), neo_x_select(&l, arg[0], arg[1], arg[2]));
  return NEO_OK;
}

/* ---- batch_norm ------------------------------------------------------------------------------------ */

neo_status neo_infer_batch_norm(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (x->shape.rank < 2 || neo_dtype_class(x->dtype) != 'f')
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "needs a float tensor of rank 2 or more");
  if (node->n_outputs > 1 || neo_node_int(node, "training_mode", 0))
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "training mode");
  if (!neo_node_int(node, "spatial", 1))
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "spatial=0");
  for (int k = 1; k < 5; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    if (v->shape.rank != 1 || v->shape.dim[0] != x->shape.dim[1])
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d does not have %d values", k,
                         (int)x->shape.dim[1]);
  }
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

/* y = x * f + (bias - mean * f), f = scale / sqrt(var + epsilon); f and the sum once per channel.
 */
neo_status neo_lower_batch_norm(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK], *c0 = neo_i_var(&l, 0), *c1 = neo_i_var(&l, 1), *p[5];
  int rank = output_index(&l, index);
  const neo_shape channels = {.rank = 1, .dim = {neo_op_in(graph, node, 0)->shape.dim[1]}};
  const neo_expr *x = neo_lower_load(&l, neo_lower_input(&l, 0), index);
  for (int k = 1; k < 5; k++)
    p[k] = neo_expr_cast(l.arena, x->dtype, neo_lower_load(&l, neo_lower_input(&l, k), &c0));
  (void)rank;
  neo_te_block *factor = neo_lower_tmp(&l, x->dtype, &channels);
  const neo_expr *root = neo_x1(
      &l, NEO_EXPR_SQRT, neo_xc(&l, NEO_EXPR_ADD, p[4], neo_node_float(node, "epsilon", 1e-5)));
  neo_lower_body(&l, factor, neo_x2(&l, NEO_EXPR_DIV, p[1], root));
  neo_te_block *shift = neo_lower_tmp(&l, x->dtype, &channels);
  neo_lower_body(&l, shift,
                 neo_x2(&l, NEO_EXPR_SUB, p[2],
                        neo_x2(&l, NEO_EXPR_MUL, p[3], neo_lower_read(&l, factor, &c0))));
  const neo_expr *scaled = neo_x2(&l, NEO_EXPR_MUL, x, neo_lower_read(&l, factor, &c1));
  neo_lower_body(&l, neo_lower_output(&l, 0),
                 neo_x2(&l, NEO_EXPR_ADD, scaled, neo_lower_read(&l, shift, &c1)));
  return NEO_OK;
}
