/* Replaces real functions by polynomials over operations that every target has.
 *
 * Why: kernels import nothing, and all code generators must give the same bits.
 * How: one walk over all expressions of a nest, each DAG node rebuilt once; f16 and bf16 are
 * computed in f32. The formulas (nest_math_exp.c, nest_math_trig.c) rely on correctly rounded add,
 * mul, fma and sqrt, on round-half-even of the magic-number trick below, and on nothing that
 * value-changing compiler options allow. */
#include "schedule/nest_math.h"
#include "schedule/nest.h"
#include "schedule/ptr_map.h"

/* ---- formulas ------------------------------------------------------------------------------------------ */

neo_term neo_math_const(const neo_math *m, double v) {
  return neo_expr_const_f(m->arena, m->dtype, v);
}

neo_term neo_math_int(const neo_math *m, int64_t v) {
  return neo_expr_const_i(m->arena, neo_math_is64(m) ? NEO_I64 : NEO_I32, v);
}

neo_term neo_math_add(const neo_math *m, neo_term a, neo_term b) {
  return neo_expr_binary(m->arena, NEO_EXPR_ADD, a, b);
}

neo_term neo_math_sub(const neo_math *m, neo_term a, neo_term b) {
  return neo_expr_binary(m->arena, NEO_EXPR_SUB, a, b);
}

neo_term neo_math_mul(const neo_math *m, neo_term a, neo_term b) {
  return neo_expr_binary(m->arena, NEO_EXPR_MUL, a, b);
}

neo_term neo_math_div(const neo_math *m, neo_term a, neo_term b) {
  return neo_expr_binary(m->arena, NEO_EXPR_DIV, a, b);
}

neo_term neo_math_fma(const neo_math *m, neo_term a, neo_term b, neo_term c) {
  return neo_expr_fma(m->arena, a, b, c);
}

neo_term neo_math_sqrt(const neo_math *m, neo_term a) {
  return neo_expr_unary(m->arena, NEO_EXPR_SQRT, a);
}

neo_term neo_math_abs(const neo_math *m, neo_term a) {
  return neo_expr_unary(m->arena, NEO_EXPR_ABS, a);
}

neo_term neo_math_lt(const neo_math *m, neo_term a, neo_term b) {
  return neo_expr_binary(m->arena, NEO_EXPR_LT, a, b);
}

neo_term neo_math_eq(const neo_math *m, neo_term a, neo_term b) {
  return neo_expr_binary(m->arena, NEO_EXPR_EQ, a, b);
}

neo_term neo_math_select(const neo_math *m, neo_term cond, neo_term a, neo_term b) {
  return neo_expr_select(m->arena, cond, a, b);
}

neo_term neo_math_bits(const neo_math *m, neo_term a) {
  return neo_expr_bitcast(m->arena, neo_math_is64(m) ? NEO_I64 : NEO_I32, a);
}

neo_term neo_math_float(const neo_math *m, neo_term bits) {
  return neo_expr_bitcast(m->arena, m->dtype, bits);
}

neo_term neo_math_copysign(const neo_math *m, neo_term magnitude, neo_term sign) {
  neo_term mask = neo_math_int(m, neo_math_is64(m) ? INT64_MIN : INT32_MIN);
  neo_term bit = neo_expr_binary(m->arena, NEO_EXPR_BITAND, neo_math_bits(m, sign), mask);
  return neo_math_float(
      m, neo_expr_binary(m->arena, NEO_EXPR_BITOR, neo_math_bits(m, magnitude), bit));
}

neo_term neo_math_poly(const neo_math *m, neo_term z, const double *coef, int n) {
  neo_term sum = neo_math_const(m, coef[0]);
  for (int i = 1; i < n; i++)
    sum = neo_math_fma(m, sum, z, neo_math_const(m, coef[i]));
  return sum;
}

neo_term neo_math_round(const neo_math *m, neo_term x, double scale, neo_term *out_n) {
  neo_term magic = neo_math_const(m, neo_math_is64(m) ? 6755399441055744.0 : 12582912.0);
  neo_term shifted = neo_math_fma(m, x, neo_math_const(m, scale), magic);
  *out_n = neo_math_sub(m, shifted, magic);
  return neo_math_sub(m, neo_math_bits(m, shifted), neo_math_bits(m, magic));
}

/* ---- the walk -------------------------------------------------------------------------------------------- */

typedef struct expander {
  neo_arena *arena;
  neo_ptr_map done; /* expression -> its replacement */
} expander;

static neo_term expand_op(const neo_math *m, neo_expr_op op, neo_term a) {
  switch (op) {
  case NEO_EXPR_EXP:
    return neo_math_exp(m, a);
  case NEO_EXPR_LOG:
    return neo_math_log(m, a);
  case NEO_EXPR_SIN:
    return neo_math_sin(m, a);
  case NEO_EXPR_COS:
    return neo_math_cos(m, a);
  case NEO_EXPR_TAN:
    return neo_math_tan(m, a);
  case NEO_EXPR_ASIN:
    return neo_math_asin(m, a);
  case NEO_EXPR_ACOS:
    return neo_math_acos(m, a);
  case NEO_EXPR_ATAN:
    return neo_math_atan(m, a);
  case NEO_EXPR_SINH:
    return neo_math_sinh(m, a);
  case NEO_EXPR_COSH:
    return neo_math_cosh(m, a);
  case NEO_EXPR_TANH:
    return neo_math_tanh(m, a);
  case NEO_EXPR_ASINH:
    return neo_math_asinh(m, a);
  case NEO_EXPR_ACOSH:
    return neo_math_acosh(m, a);
  case NEO_EXPR_ATANH:
    return neo_math_atanh(m, a);
  case NEO_EXPR_ERF:
    return neo_math_erf(m, a);
  default:
    return NULL;
  }
}

static bool is_function(const neo_expr *e) {
  if (neo_dtype_class(e->dtype) != 'f')
    return false;
  return (e->op >= NEO_EXPR_EXP && e->op <= NEO_EXPR_ERF) || e->op == NEO_EXPR_POW;
}

/* A function of arguments that are already expanded. */
static neo_term expand_function(expander *x, const neo_expr *e, const neo_expr *const *arg) {
  neo_math m = {x->arena, e->dtype == NEO_F64 ? NEO_F64 : NEO_F32};
  neo_term a = neo_expr_cast(x->arena, m.dtype, arg[0]);
  neo_term made;
  if (e->op == NEO_EXPR_POW)
    made = neo_math_pow(&m, a, neo_expr_cast(x->arena, m.dtype, arg[1]));
  else
    made = expand_op(&m, e->op, a);
  return neo_expr_cast(x->arena, e->dtype, made);
}

static const neo_expr *expand(expander *x, const neo_expr *e);

static bool is_one(const neo_expr *e) {
  if (e->op == NEO_EXPR_BROADCAST)
    e = e->arg[0];
  return e->op == NEO_EXPR_CONST && neo_dtype_class(e->dtype) == 'f' && e->u.f == 1;
}

/* z if e is a / (1 + exp(z)) in f32: the logistic function, or a multiple of it. */
static const neo_expr *logistic_argument(const neo_expr *e) {
  if (e->op != NEO_EXPR_DIV || e->dtype != NEO_F32 || e->arg[1]->op != NEO_EXPR_ADD)
    return NULL;
  const neo_expr *const *term = e->arg[1]->arg;
  for (int i = 0; i < 2; i++)
    if (is_one(term[i]) && term[1 - i]->op == NEO_EXPR_EXP)
      return term[1 - i]->arg[0];
  return NULL;
}

/* Sigmoid and SiLU are the commonest functions of networks after ReLU: their exponential needs
 * neither subnormals nor overflow, and a factor goes into the quotient. NULL: e is neither. */
static const neo_expr *expand_logistic(expander *x, const neo_expr *e) {
  const neo_math m = {x->arena, NEO_F32};
  const neo_expr *z = logistic_argument(e), *over = z ? e->arg[0] : NULL;
  for (int i = 0; !z && e->op == NEO_EXPR_MUL && i < 2; i++)
    if ((z = logistic_argument(e->arg[i])) && is_one(e->arg[i]->arg[0]))
      over = e->arg[1 - i];
  if (!z || !over)
    return NULL;
  return neo_math_div(&m, expand(x, over), neo_math_one_plus_exp(&m, expand(x, z)));
}

/* 1 + erf(z) in f32, which GELU multiplies: the sum forgets the last places of a small erf. NULL: e
 * is another sum. */
static const neo_expr *expand_normal(expander *x, const neo_expr *e) {
  const neo_math m = {x->arena, NEO_F32};
  for (int i = 0; e->op == NEO_EXPR_ADD && e->dtype == NEO_F32 && i < 2; i++)
    if (is_one(e->arg[i]) && e->arg[1 - i]->op == NEO_EXPR_ERF)
      return neo_math_one_plus_erf(&m, expand(x, e->arg[1 - i]->arg[0]));
  return NULL;
}

static const neo_expr *expand_new(expander *x, const neo_expr *e) {
  const neo_expr *special = expand_logistic(x, e);
  if (!special)
    special = expand_normal(x, e);
  if (special)
    return special;
  const neo_expr **arg = neo_arena_alloc(x->arena, (size_t)(e->n_args + 1) * sizeof(*arg));
  bool same = true;
  for (int i = 0; i < e->n_args; i++) {
    arg[i] = expand(x, e->arg[i]);
    same = same && arg[i] == e->arg[i];
  }
  if (is_function(e))
    return expand_function(x, e, arg);
  return same ? e
              : neo_expr_rebuild(x->arena, e, arg, e->op == NEO_EXPR_LOAD ? e->u.load.guard : NULL);
}

static const neo_expr *expand(expander *x, const neo_expr *e) {
  bool first;
  if (e->n_args == 0)
    return e;
  intptr_t *known = neo_ptr_map_at(&x->done, e, &first);
  if (!first)
    return (const neo_expr *)*known;
  const neo_expr *made = expand_new(x, e);
  *neo_ptr_map_at(&x->done, e, &first) = (intptr_t)made;
  return made;
}

static void expand_list(expander *x, neo_stmt *list) {
  for (; list; list = list->next) {
    switch (list->kind) {
    case NEO_STMT_FOR:
      expand_list(x, list->u.loop.body);
      break;
    case NEO_STMT_LET:
      expand_list(x, list->u.let.body);
      break;
    case NEO_STMT_IF:
      list->u.branch.cond = expand(x, list->u.branch.cond);
      expand_list(x, list->u.branch.then);
      expand_list(x, list->u.branch.otherwise);
      break;
    case NEO_STMT_STORE:
      list->u.store.value = expand(x, list->u.store.value);
      break;
    case NEO_STMT_PREFETCH:
    case NEO_STMT_BARRIER:
    case NEO_STMT_MATRIX:
      break;
    }
  }
}

void neo_nest_expand_math(neo_nest *nest) {
  expander x = {.arena = nest->arena, .done = {.arena = nest->arena}};
  for (int i = 0; i < nest->n_launches; i++)
    expand_list(&x, nest->launch[i].body);
}
