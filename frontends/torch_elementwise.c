/* frontends/torch_elementwise.c: ATen's elementwise operators (torch_ops.def): activations,
 * arithmetic, comparisons, conversions of the element type. */
#include "frontends/torch.h"

#include <math.h>
#include <string.h>

static bool is_float(torch *t, int id) {
  neo_dtype dtype = torch_dtype_of(t, id);
  return dtype < NEO_DTYPE_COUNT && neo_dtype_class(dtype) == 'f';
}

static int as_float(torch *t, int id) {
  return is_float(t, id) ? id : torch_cast(t, id, NEO_F32);
}

static tv with_float(torch *t, torch_call *call, const char *attr, double v) {
  neo_emitter *e = torch_emitter(t);
  int x = as_float(t, torch_arg(t, call, 0));
  neo_node *node = neo_emit_node(e, call->row->ours, 1, &x, 1);
  neo_node_set_float(e->graph, node, attr, v);
  return torch_tensor(t, node->output[0]);
}

static int clip(torch *t, int x, double low, double high) {
  int inputs[3] = {x, isinf(low) ? NEO_NO_VALUE : torch_scalar_like(t, x, low),
                   isinf(high) ? NEO_NO_VALUE : torch_scalar_like(t, x, high)};
  return neo_emit_node(torch_emitter(t), "clip", 3, inputs, 1)->output[0];
}

static int scaled(torch *t, int x, double by) {
  return by == 1 ? x : torch_binary(t, "mul", x, torch_scalar_like(t, x, by));
}

static int where(torch *t, int condition, int a, int b) {
  return neo_emit_node(torch_emitter(t), "where", 3, (int[]){condition, a, b}, 1)->output[0];
}

/* ---- one operand ---------------------------------------------------------------------------------------- */

tv torch_do_unary(torch *t, torch_call *call) {
  return torch_tensor(t, torch_unary(t, call->row->ours, torch_arg(t, call, 0)));
}

tv torch_do_unary_float(torch *t, torch_call *call) {
  return torch_tensor(t, torch_unary(t, call->row->ours, as_float(t, torch_arg(t, call, 0))));
}

/* The variable itself: what changes nothing at inference. */
tv torch_do_same(torch *t, torch_call *call) {
  (void)t;
  return call->arg[0];
}

/* A variable of its own. */
tv torch_do_clone(torch *t, torch_call *call) {
  return torch_tensor(t, torch_arg(t, call, 0));
}

tv torch_do_nothing(torch *t, torch_call *call) {
  (void)t;
  (void)call;
  return torch_none();
}

tv torch_do_dropout(torch *t, torch_call *call) {
  if (call->arg[2].i)
    return torch_unsupported(t, call->op, "train=True: export the model in eval() mode");
  return call->arg[0];
}

tv torch_do_native_dropout(torch *t, torch_call *call) {
  if (call->arg[2].kind == TV_BOOL && call->arg[2].i)
    return torch_unsupported(t, call->op, "train=True: export the model in eval() mode");
  tv pair[2] = {call->arg[0], torch_poison()};
  return torch_seq_new(t, TV_TUPLE, 2, pair);
}

tv torch_do_log_base(torch *t, torch_call *call) {
  int x = torch_unary(t, "log", as_float(t, torch_arg(t, call, 0)));
  return torch_tensor(t,
                      scaled(t, x, strcmp(call->row->ours, "2") == 0 ? 1 / log(2) : 1 / log(10)));
}

tv torch_do_log1p(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0));
  return torch_tensor(t,
                      torch_unary(t, "log", torch_binary(t, "add", x, torch_scalar_like(t, x, 1))));
}

tv torch_do_expm1(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0));
  return torch_tensor(t,
                      torch_binary(t, "sub", torch_unary(t, "exp", x), torch_scalar_like(t, x, 1)));
}

tv torch_do_rsqrt(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0));
  return torch_tensor(t, torch_unary(t, "reciprocal", torch_unary(t, "sqrt", x)));
}

tv torch_do_round_decimals(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0)),
      unit = torch_scalar_like(t, x, pow(10, (double)torch_arg_int(call, 1)));
  return torch_tensor(
      t, torch_binary(t, "div", torch_unary(t, "round", torch_binary(t, "mul", x, unit)), unit));
}

tv torch_do_square(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  return torch_tensor(t, torch_binary(t, "mul", x, x));
}

tv torch_do_erfc(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0));
  return torch_tensor(t,
                      torch_binary(t, "sub", torch_scalar_like(t, x, 1), torch_unary(t, "erf", x)));
}

tv torch_do_trunc(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  if (!is_float(t, x))
    return call->arg[0];
  int size = torch_unary(t, "floor", torch_unary(t, "abs", x));
  return torch_tensor(t, torch_binary(t, "mul", torch_unary(t, "sign", x), size));
}

tv torch_do_isfinite(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0));
  int bad = torch_binary(t, "or", torch_unary(t, "isnan", x), torch_unary(t, "isinf", x));
  return torch_tensor(t, torch_unary(t, "not", bad));
}

tv torch_do_nan_to_num(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  if (!is_float(t, x))
    return call->arg[0];
  double big = torch_dtype_of(t, x) == NEO_F16 ? 65504 : 3.4028234663852886e38;
  double nan = torch_arg_given(call, 1) ? torch_arg_float(call, 1) : 0;
  double high = torch_arg_given(call, 2) ? torch_arg_float(call, 2) : big;
  double low = torch_arg_given(call, 3) ? torch_arg_float(call, 3) : -big;
  int zero = torch_scalar_like(t, x, 0), inf = torch_unary(t, "isinf", x);
  int y = where(t, torch_unary(t, "isnan", x), torch_scalar_like(t, x, nan), x);
  int up = torch_binary(t, "and", inf, torch_binary(t, "greater", x, zero));
  int down = torch_binary(t, "and", inf, torch_binary(t, "less", x, zero));
  y = where(t, up, torch_scalar_like(t, x, high), y);
  return torch_tensor(t, where(t, down, torch_scalar_like(t, x, low), y));
}

tv torch_do_logical_not(torch *t, torch_call *call) {
  return torch_tensor(t, torch_unary(t, "not", torch_cast(t, torch_arg(t, call, 0), NEO_BOOL)));
}

tv torch_do_bitwise_not(torch *t, torch_call *call) {
  if (torch_dtype_of(t, torch_arg(t, call, 0)) == NEO_F32 &&
      torch_want(t, torch_arg(t, call, 0), NEO_BOOL))
    return torch_poison();
  int x = torch_arg(t, call, 0);
  return torch_tensor(t, torch_unary(t, torch_dtype_of(t, x) == NEO_BOOL ? "not" : "bit_not", x));
}

tv torch_do_logit(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0));
  if (torch_arg_given(call, 1))
    x = clip(t, x, torch_arg_float(call, 1), 1 - torch_arg_float(call, 1));
  int rest = torch_binary(t, "sub", torch_scalar_like(t, x, 1), x);
  return torch_tensor(t, torch_unary(t, "log", torch_binary(t, "div", x, rest)));
}

/* ---- activations ------------------------------------------------------------------------------------------ */

tv torch_do_hardsigmoid(torch *t, torch_call *call) {
  return with_float(t, call, "alpha", 1.0 / 6);
}

tv torch_do_hardtanh(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  return torch_tensor(t, clip(t, x, torch_arg_float(call, 1), torch_arg_float(call, 2)));
}

tv torch_do_relu6(torch *t, torch_call *call) {
  return torch_tensor(t, clip(t, torch_arg(t, call, 0), 0, 6));
}

tv torch_do_alpha(torch *t, torch_call *call) {
  return with_float(t, call, "alpha", torch_arg_float(call, 1));
}

/* Without training the slope is the middle of its range. */
tv torch_do_rrelu(torch *t, torch_call *call) {
  return with_float(t, call, "alpha", (torch_arg_float(call, 1) + torch_arg_float(call, 2)) / 2);
}

tv torch_do_elu(torch *t, torch_call *call) {
  if (torch_arg_float(call, 3) != 1)
    return torch_unsupported(t, call->op, "input_scale=%g", torch_arg_float(call, 3));
  tv y = with_float(t, call, "alpha", torch_arg_float(call, 1));
  return torch_tensor(t, scaled(t, torch_id(t, &y), torch_arg_float(call, 2)));
}

tv torch_do_gelu(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0);
  neo_node *node = neo_emit_node(e, "gelu", 1, &x, 1);
  neo_node_set_string(e->graph, node, "approximate", call->arg[1].s);
  return torch_tensor(t, node->output[0]);
}

tv torch_do_prelu(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), slope = torch_arg(t, call, 1), rank = torch_rank(t, x);
  const neo_shape *shape = torch_shape(t, slope);
  if (!shape)
    return torch_poison();
  int64_t n = shape->rank ? shape->dim[0] : 1, dims[NEO_MAX_RANK] = {n};
  for (int i = 1; i < rank - 1; i++)
    dims[i] = 1;
  if (n > 1 && rank > 2)
    slope = torch_reshape(t, slope, rank - 1, dims);
  return torch_tensor(t, torch_binary(t, "prelu", x, slope));
}

tv torch_do_softplus(torch *t, torch_call *call) {
  double beta = torch_arg_float(call, 1), threshold = torch_arg_float(call, 2);
  int x = torch_arg(t, call, 0), bx = scaled(t, x, beta);
  int y = scaled(t, torch_unary(t, "softplus", bx), 1 / beta);
  return torch_tensor(
      t, where(t, torch_binary(t, "greater", bx, torch_scalar_like(t, x, threshold)), x, y));
}

/* min(x, 0) - log(1 + exp(-|x|)): neither term overflows. */
tv torch_do_log_sigmoid(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0)), one = torch_scalar_like(t, x, 1);
  int small = torch_unary(t, "exp", torch_unary(t, "neg", torch_unary(t, "abs", x)));
  int low = torch_binary(t, "min", x, torch_scalar_like(t, x, 0));
  return torch_tensor(
      t, torch_binary(t, "sub", low, torch_unary(t, "log", torch_binary(t, "add", one, small))));
}

tv torch_do_tanhshrink(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  return torch_tensor(t, torch_binary(t, "sub", x, torch_unary(t, "tanh", x)));
}

tv torch_do_shrink(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0);
  bool soft = strcmp(call->row->name, "softshrink") == 0;
  neo_node *node = neo_emit_node(e, "shrink", 1, &x, 1);
  neo_node_set_float(e->graph, node, "lambd", torch_arg_float(call, 1));
  neo_node_set_float(e->graph, node, "bias", soft ? torch_arg_float(call, 1) : 0);
  return torch_tensor(t, node->output[0]);
}

tv torch_do_threshold(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  int above = torch_binary(t, "greater", x, torch_scalar_like(t, x, torch_arg_float(call, 1)));
  return torch_tensor(t, where(t, above, x, torch_scalar_like(t, x, torch_arg_float(call, 2))));
}

tv torch_do_glu(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  const neo_shape *shape = torch_shape(t, x);
  if (!shape || dim < 0)
    return torch_poison();
  int64_t n = shape->dim[dim];
  int a = torch_slice_node(t, x, dim, 0, n / 2, 1), b = torch_slice_node(t, x, dim, n / 2, n, 1);
  return torch_tensor(t, torch_binary(t, "mul", a, torch_unary(t, "sigmoid", b)));
}

tv torch_do_softmax(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  const tv *dtype = &call->arg[2];
  if (dtype->kind == TV_INT)
    x = torch_cast(t, x, torch_arg_dtype(t, call, 2, NEO_F32));
  if (dim < 0)
    return torch_poison();
  neo_node *node = neo_emit_node(e, call->row->ours, 1, &x, 1);
  neo_node_set_int(e->graph, node, "axis", dim);
  return torch_tensor(t, node->output[0]);
}

/* ---- two operands ------------------------------------------------------------------------------------------ */

static tv binary_of(torch *t, torch_call *call, const char *op, double alpha) {
  int ids[2];
  torch_promote_all(t, 2, call->arg, ids);
  return torch_tensor(t, torch_binary(t, op, ids[0], scaled(t, ids[1], alpha)));
}

/* add, sub: self +- alpha other. */
tv torch_do_add(torch *t, torch_call *call) {
  int ids[2];
  neo_dtype dtype = torch_promote_all(t, 2, call->arg, ids);
  const char *op = dtype == NEO_BOOL ? "or" : call->row->ours;
  return torch_tensor(t, torch_binary(t, op, ids[0], scaled(t, ids[1], torch_arg_float(call, 2))));
}

tv torch_do_rsub(torch *t, torch_call *call) {
  int ids[2];
  torch_promote_all(t, 2, call->arg, ids);
  return torch_tensor(t,
                      torch_binary(t, "sub", ids[1], scaled(t, ids[0], torch_arg_float(call, 2))));
}

tv torch_do_mul(torch *t, torch_call *call) {
  int ids[2];
  neo_dtype dtype = torch_promote_all(t, 2, call->arg, ids);
  return torch_tensor(t, torch_binary(t, dtype == NEO_BOOL ? "and" : "mul", ids[0], ids[1]));
}

tv torch_do_binary(torch *t, torch_call *call) {
  return binary_of(t, call, call->row->ours, 1);
}

/* The same for what is defined on floats only. */
static void float_operands(torch *t, torch_call *call, int *ids) {
  torch_promote_all(t, 2, call->arg, ids);
  ids[0] = as_float(t, ids[0]);
  ids[1] = as_float(t, ids[1]);
}

/* Floor of a quotient; integers truncate, so 1 is taken off where the signs differ and a rest is
 * left. */
static int floor_div(torch *t, int a, int b) {
  int q = torch_binary(t, "div", a, b);
  if (is_float(t, a))
    return torch_unary(t, "floor", q);
  int zero = torch_scalar_like(t, a, 0),
      rest = torch_binary(t, "sub", a, torch_binary(t, "mul", q, b));
  int differ =
      torch_binary(t, "xor", torch_binary(t, "less", a, zero), torch_binary(t, "less", b, zero));
  int less = torch_binary(t, "and", differ, torch_binary(t, "not_equal", rest, zero));
  return torch_binary(t, "sub", q, torch_cast(t, less, torch_dtype_of(t, a)));
}

tv torch_do_floor_divide(torch *t, torch_call *call) {
  int ids[2];
  torch_promote_all(t, 2, call->arg, ids);
  return torch_tensor(t, floor_div(t, ids[0], ids[1]));
}

tv torch_do_div(torch *t, torch_call *call) {
  int ids[2];
  if (!torch_arg_given(call, 2)) {
    float_operands(t, call, ids);
    return torch_tensor(t, torch_binary(t, "div", ids[0], ids[1]));
  }
  torch_promote_all(t, 2, call->arg, ids);
  if (strcmp(call->arg[2].s, "floor") == 0)
    return torch_tensor(t, floor_div(t, ids[0], ids[1]));
  torch_call quotient = {.op = call->op,
                         .arg = {torch_tensor(t, torch_binary(t, "div", ids[0], ids[1]))}};
  return torch_do_trunc(t, &quotient);
}

tv torch_do_remainder(torch *t, torch_call *call) {
  int ids[2];
  torch_promote_all(t, 2, call->arg, ids);
  int whole = torch_binary(t, "mul", floor_div(t, ids[0], ids[1]), ids[1]);
  return torch_tensor(t, torch_binary(t, "sub", ids[0], whole));
}

tv torch_do_fmod(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int ids[2];
  torch_promote_all(t, 2, call->arg, ids);
  neo_node *node = neo_emit_node(e, "mod", 2, ids, 1);
  neo_node_set_int(e->graph, node, "fmod", 1);
  return torch_tensor(t, node->output[0]);
}

tv torch_do_pow(torch *t, torch_call *call) {
  int ids[2];
  const tv *exponent = &call->arg[1];
  torch_promote_all(t, 2, call->arg, ids);
  double n = torch_is_number(exponent) ? torch_number(exponent) : 0;
  if (n == 1)
    return torch_tensor(t, ids[0]);
  if (n == 2)
    return torch_tensor(t, torch_binary(t, "mul", ids[0], ids[0]));
  if (n == 3)
    return torch_tensor(t, torch_binary(t, "mul", ids[0], torch_binary(t, "mul", ids[0], ids[0])));
  if (n == 0.5)
    return torch_tensor(t, torch_unary(t, "sqrt", ids[0]));
  if (n == -1)
    return torch_tensor(t, torch_unary(t, "reciprocal", as_float(t, ids[0])));
  if (n == -0.5)
    return torch_tensor(t, torch_unary(t, "reciprocal", torch_unary(t, "sqrt", ids[0])));
  return torch_tensor(t, torch_binary(t, "pow", ids[0], ids[1]));
}

/* atan2 by the quadrant of (x, y). */
tv torch_do_atan2(torch *t, torch_call *call) {
  int ids[2];
  float_operands(t, call, ids);
  int y = ids[0], x = ids[1], zero = torch_scalar_like(t, x, 0);
  double pi = acos(-1);
  int base = torch_unary(t, "atan", torch_binary(t, "div", y, x));
  int left = torch_binary(t, "less", x, zero), down = torch_binary(t, "less", y, zero);
  int turn = where(t, down, torch_scalar_like(t, x, -pi), torch_scalar_like(t, x, pi));
  int angle = where(t, left, torch_binary(t, "add", base, turn), base);
  int origin =
      torch_binary(t, "and", torch_binary(t, "equal", x, zero), torch_binary(t, "equal", y, zero));
  return torch_tensor(t, where(t, origin, torch_binary(t, "mul", y, zero), angle));
}

/* Bit operators are logical ones on bool. */
tv torch_do_bitwise(torch *t, torch_call *call) {
  int ids[2];
  char op[16];
  for (int i = 0; i < 2; i++)
    if (call->arg[i].kind == TV_TENSOR && torch_dtype_of(t, torch_arg(t, call, i)) == NEO_F32 &&
        torch_want(t, torch_arg(t, call, i), NEO_BOOL))
      return torch_poison();
  bool logical = torch_promote_all(t, 2, call->arg, ids) == NEO_BOOL;
  snprintf(op, sizeof op, "%s%s", logical ? "" : "bit_", call->row->ours);
  return torch_tensor(t, torch_binary(t, op, ids[0], ids[1]));
}

tv torch_do_logical(torch *t, torch_call *call) {
  int a = torch_cast(t, torch_arg(t, call, 0), NEO_BOOL);
  int b = torch_cast(t, torch_arg(t, call, 1), NEO_BOOL);
  return torch_tensor(t, torch_binary(t, call->row->ours, a, b));
}

tv torch_do_shift(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int ids[2];
  torch_promote_all(t, 2, call->arg, ids);
  neo_node *node = neo_emit_node(e, "bit_shift", 2, ids, 1);
  neo_node_set_string(e->graph, node, "direction", call->row->ours);
  return torch_tensor(t, node->output[0]);
}

tv torch_do_isclose(torch *t, torch_call *call) {
  int ids[2];
  float_operands(t, call, ids);
  int gap = torch_unary(t, "abs", torch_binary(t, "sub", ids[0], ids[1]));
  int room = scaled(t, torch_unary(t, "abs", ids[1]), torch_arg_float(call, 2));
  room = torch_binary(t, "add", room, torch_scalar_like(t, room, torch_arg_float(call, 3)));
  return torch_tensor(t, torch_binary(t, "less_equal", gap, room));
}

/* ---- more operands ------------------------------------------------------------------------------------------- */

/* self + value * (a op b) */
tv torch_do_addcmul(torch *t, torch_call *call) {
  int ids[3];
  torch_promote_all(t, 3, call->arg, ids);
  int product = torch_binary(t, call->row->ours, ids[1], ids[2]);
  return torch_tensor(t,
                      torch_binary(t, "add", ids[0], scaled(t, product, torch_arg_float(call, 3))));
}

tv torch_do_lerp(torch *t, torch_call *call) {
  int ids[3];
  torch_promote_all(t, 3, call->arg, ids);
  int step = torch_binary(t, "mul", ids[2], torch_binary(t, "sub", ids[1], ids[0]));
  return torch_tensor(t, torch_binary(t, "add", ids[0], step));
}

/* Bounds are numbers or tensors. */
tv torch_do_clamp(torch *t, torch_call *call) {
  tv operands[3] = {call->arg[0]};
  int ids[3], n = 1, low = -1, high = -1;
  if (torch_arg_given(call, 1))
    operands[low = n++] = call->arg[1];
  if (torch_arg_given(call, 2))
    operands[high = n++] = call->arg[2];
  torch_promote_all(t, n, operands, ids);
  int x = ids[0];
  if ((low < 0 || torch_rank(t, ids[low]) == 0) && (high < 0 || torch_rank(t, ids[high]) == 0)) {
    int inputs[3] = {x, low < 0 ? NEO_NO_VALUE : ids[low], high < 0 ? NEO_NO_VALUE : ids[high]};
    return torch_tensor(t, neo_emit_node(torch_emitter(t), "clip", 3, inputs, 1)->output[0]);
  }
  if (low >= 0)
    x = torch_binary(t, "max", x, ids[low]);
  return torch_tensor(t, high >= 0 ? torch_binary(t, "min", x, ids[high]) : x);
}

tv torch_do_where(torch *t, torch_call *call) {
  if (torch_want(t, torch_arg(t, call, 0), NEO_BOOL))
    return torch_poison();
  int ids[2], condition = torch_cast(t, torch_arg(t, call, 0), NEO_BOOL);
  torch_promote_all(t, 2, call->arg + 1, ids);
  return torch_tensor(t, where(t, condition, ids[0], ids[1]));
}

tv torch_do_masked_fill(torch *t, torch_call *call) {
  if (torch_want(t, torch_arg(t, call, 1), NEO_BOOL))
    return torch_poison();
  int x = torch_arg(t, call, 0), mask = torch_cast(t, torch_arg(t, call, 1), NEO_BOOL);
  const tv *value = &call->arg[2];
  int fill = torch_is_number(value) ? torch_scalar_like(t, x, torch_number(value))
                                    : torch_cast(t, torch_id(t, value), torch_dtype_of(t, x));
  return torch_tensor(t, where(t, mask, fill, x));
}

/* fill_, zero_, copy_: the caller broadcasts to self's shape. */
tv torch_do_fill(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  const tv *value = &call->arg[1];
  const neo_shape *shape = torch_shape(t, x);
  int fill = torch_is_number(value) ? torch_scalar_like(t, x, torch_number(value))
                                    : torch_cast(t, torch_id(t, value), torch_dtype_of(t, x));
  return shape ? torch_tensor(t, torch_expand(t, fill, shape->rank, shape->dim)) : torch_poison();
}

/* ---- element types --------------------------------------------------------------------------------------------- */

static tv converted(torch *t, const tv *x, neo_dtype dtype) {
  int id = torch_id(t, x), cast = torch_cast(t, id, dtype);
  return cast == id && x->kind == TV_TENSOR ? *x : torch_tensor(t, cast);
}

/* to(dtype), to(device, dtype): argument 1 is the type, if any. */
tv torch_do_to(torch *t, torch_call *call) {
  return converted(t, &call->arg[0],
                   torch_arg_dtype(t, call, 1, torch_dtype_of(t, torch_arg(t, call, 0))));
}

tv torch_do_to_device(torch *t, torch_call *call) {
  return converted(t, &call->arg[0],
                   torch_arg_dtype(t, call, 2, torch_dtype_of(t, torch_arg(t, call, 0))));
}

tv torch_do_to_like(torch *t, torch_call *call) {
  return converted(t, &call->arg[0], torch_dtype_of(t, torch_arg(t, call, 1)));
}

tv torch_do_to_named(torch *t, torch_call *call) {
  neo_dtype dtype = NEO_F32;
  neo_dtype_find(call->row->ours, &dtype);
  return converted(t, &call->arg[0], dtype);
}
