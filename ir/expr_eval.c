/* ir/expr_eval.c: what every scalar operation means, once, for constant folding and all
 * interpreters.
 *
 * Values. Floats are a double already rounded to the dtype; integers and bool are an int64_t
 * holding the wrapped value (u64: its bits). An operation computes in double (or int64 modulo 2^64)
 * and rounds to the dtype: for + - * / sqrt this equals IEEE arithmetic in f32, because a double
 * has more than twice the bits.
 *
 * Choices where C leaves something open: integer division and remainder by zero give 0; INT_MIN /
 * -1 wraps; shifts by the width or more give 0 (-1 for negative signed values shifted right);
 * min(a, b) is b < a ? b : a and max(a, b) is a < b ? b : a (NaN in a stays, in b is dropped). */
#include "ir/expr_internal.h"

#include <math.h>
#include <string.h>

static double round_float(neo_dtype dtype, double v) {
  if (dtype == NEO_F64)
    return v;
  if (dtype == NEO_F32)
    return (double)(float)v;
  uint16_t bits = 0;
  neo_tensor t = {.dtype = dtype, .data = &bits, .size = 2};
  neo_tensor_set_f64(&t, 0, v);
  return neo_tensor_get_f64(&t, 0);
}

static int64_t wrap_int(neo_dtype dtype, int64_t v) {
  switch (dtype) {
  case NEO_I8:
    return (int8_t)(uint8_t)v;
  case NEO_U8:
    return (uint8_t)v;
  case NEO_I16:
    return (int16_t)(uint16_t)v;
  case NEO_U16:
    return (uint16_t)v;
  case NEO_I32:
    return (int32_t)(uint32_t)v;
  case NEO_U32:
    return (uint32_t)v;
  case NEO_BOOL:
    return v != 0;
  default:
    return v;
  }
}

neo_scalar neo_scalar_round(neo_dtype dtype, neo_scalar v) {
  if (neo_dtype_class(dtype) == 'f')
    return (neo_scalar){.f = round_float(dtype, v.f)};
  return (neo_scalar){.i = wrap_int(dtype, v.i)};
}

/* ---- conversions -------------------------------------------------------------------------------
 */

/* Saturates and rounds toward zero; NaN gives 0. */
static int64_t float_to_int(neo_dtype dtype, double v) {
  union {
    int64_t i;
    uint8_t bytes[8];
  } cell = {0};
  if (v != v)
    return 0;
  neo_tensor t = {.dtype = dtype, .data = cell.bytes, .size = 8};
  neo_tensor_set_f64(&t, 0, v);
  return neo_tensor_get_i64(&t, 0);
}

static neo_scalar apply_cast(neo_dtype to, neo_dtype from, neo_scalar a) {
  bool from_float = neo_dtype_class(from) == 'f', to_float = neo_dtype_class(to) == 'f';
  if (to == NEO_BOOL)
    return (neo_scalar){.i = from_float ? a.f != 0 : a.i != 0};
  if (from_float && to_float)
    return (neo_scalar){.f = round_float(to, a.f)};
  if (from_float)
    return (neo_scalar){.i = float_to_int(to, a.f)};
  if (!to_float)
    return (neo_scalar){.i = wrap_int(to, a.i)};
  if (to == NEO_F32) /* one rounding, not two */
    return (neo_scalar){.f = from == NEO_U64 ? (double)(float)(uint64_t)a.i : (double)(float)a.i};
  return (neo_scalar){.f = round_float(to, from == NEO_U64 ? (double)(uint64_t)a.i : (double)a.i)};
}

static neo_scalar apply_bitcast(neo_dtype to, neo_dtype from, neo_scalar a) {
  uint8_t bytes[8] = {0};
  neo_tensor t = {.dtype = from, .data = bytes, .size = 8};
  if (neo_dtype_class(from) == 'f')
    neo_tensor_set_f64(&t, 0, a.f);
  else
    neo_tensor_set_i64(&t, 0, a.i);
  t.dtype = to;
  neo_scalar v = {0};
  if (neo_dtype_class(to) == 'f')
    v.f = neo_tensor_get_f64(&t, 0);
  else
    v.i = neo_tensor_get_i64(&t, 0);
  return v;
}

/* ---- floats ------------------------------------------------------------------------------------
 */

static double float_unary(neo_expr_op op, double a) {
  switch (op) {
  case NEO_EXPR_NEG:
    return -a;
  case NEO_EXPR_ABS:
    return fabs(a);
  case NEO_EXPR_SQRT:
    return sqrt(a);
  case NEO_EXPR_FLOOR:
    return floor(a);
  case NEO_EXPR_CEIL:
    return ceil(a);
  case NEO_EXPR_ROUND:
    return nearbyint(a);
  case NEO_EXPR_TRUNC:
    return trunc(a);
  case NEO_EXPR_EXP:
    return exp(a);
  case NEO_EXPR_LOG:
    return log(a);
  case NEO_EXPR_SIN:
    return sin(a);
  case NEO_EXPR_COS:
    return cos(a);
  case NEO_EXPR_TAN:
    return tan(a);
  case NEO_EXPR_ASIN:
    return asin(a);
  case NEO_EXPR_ACOS:
    return acos(a);
  case NEO_EXPR_ATAN:
    return atan(a);
  case NEO_EXPR_SINH:
    return sinh(a);
  case NEO_EXPR_COSH:
    return cosh(a);
  case NEO_EXPR_TANH:
    return tanh(a);
  case NEO_EXPR_ASINH:
    return asinh(a);
  case NEO_EXPR_ACOSH:
    return acosh(a);
  case NEO_EXPR_ATANH:
    return atanh(a);
  case NEO_EXPR_ERF:
    return erf(a);
  default:
    neo_assert(!"float_unary");
    return 0;
  }
}

static double float_binary(neo_expr_op op, double a, double b) {
  switch (op) {
  case NEO_EXPR_ADD:
    return a + b;
  case NEO_EXPR_SUB:
    return a - b;
  case NEO_EXPR_MUL:
    return a * b;
  case NEO_EXPR_DIV:
    return a / b;
  case NEO_EXPR_MOD:
    return fmod(a, b);
  case NEO_EXPR_FLOORDIV:
    return floor(a / b);
  case NEO_EXPR_FLOORMOD: {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
  }
  case NEO_EXPR_POW:
    return pow(a, b);
  case NEO_EXPR_MIN:
    return b < a ? b : a;
  case NEO_EXPR_MAX:
    return a < b ? b : a;
  default:
    neo_assert(!"float_binary");
    return 0;
  }
}

/* ---- integers ----------------------------------------------------------------------------------
 */

static bool int_less(neo_dtype dtype, int64_t a, int64_t b) {
  return dtype == NEO_U64 ? (uint64_t)a < (uint64_t)b : a < b;
}

static int64_t int_div(neo_dtype dtype, int64_t a, int64_t b) {
  if (b == 0)
    return 0;
  if (dtype == NEO_U64)
    return (int64_t)((uint64_t)a / (uint64_t)b);
  return b == -1 ? neo_wrap_sub(0, a) : a / b;
}

static int64_t int_mod(neo_dtype dtype, int64_t a, int64_t b) {
  return b == 0 ? 0 : neo_wrap_sub(a, neo_wrap_mul(int_div(dtype, a, b), b));
}

static int64_t int_floormod(neo_dtype dtype, int64_t a, int64_t b) {
  int64_t r = int_mod(dtype, a, b);
  return dtype != NEO_U64 && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t int_floordiv(neo_dtype dtype, int64_t a, int64_t b) {
  int64_t q = int_div(dtype, a, b);
  bool below = dtype != NEO_U64 && b != 0 && int_mod(dtype, a, b) != 0 && (a < 0) != (b < 0);
  return below ? q - 1 : q;
}

static int64_t int_pow(int64_t a, int64_t b) {
  if (b < 0)
    return a == 1 ? 1 : a == -1 ? (b & 1 ? -1 : 1) : 0;
  int64_t r = 1;
  for (; b; b >>= 1) {
    if (b & 1)
      r = neo_wrap_mul(r, a);
    a = neo_wrap_mul(a, a);
  }
  return r;
}

static int64_t int_shift(neo_expr_op op, neo_dtype dtype, int64_t a, int64_t b) {
  uint64_t width = 8 * neo_dtype_size(dtype), count = (uint64_t)b;
  if (op == NEO_EXPR_SHL)
    return count >= width ? 0 : (int64_t)((uint64_t)a << count);
  if (dtype == NEO_U64)
    return count >= width ? 0 : (int64_t)((uint64_t)a >> count);
  if (count >= width)
    return a < 0 ? -1 : 0;
  return a >= 0 ? a >> count : (int64_t) ~(~(uint64_t)a >> count);
}

static int64_t int_binary(neo_expr_op op, neo_dtype dtype, int64_t a, int64_t b) {
  switch (op) {
  case NEO_EXPR_ADD:
    return neo_wrap_add(a, b);
  case NEO_EXPR_SUB:
    return neo_wrap_sub(a, b);
  case NEO_EXPR_MUL:
    return neo_wrap_mul(a, b);
  case NEO_EXPR_DIV:
    return int_div(dtype, a, b);
  case NEO_EXPR_MOD:
    return int_mod(dtype, a, b);
  case NEO_EXPR_FLOORDIV:
    return int_floordiv(dtype, a, b);
  case NEO_EXPR_FLOORMOD:
    return int_floormod(dtype, a, b);
  case NEO_EXPR_POW:
    return int_pow(a, b);
  case NEO_EXPR_MIN:
    return int_less(dtype, b, a) ? b : a;
  case NEO_EXPR_MAX:
    return int_less(dtype, a, b) ? b : a;
  case NEO_EXPR_AND:
  case NEO_EXPR_BITAND:
    return a & b;
  case NEO_EXPR_OR:
  case NEO_EXPR_BITOR:
    return a | b;
  case NEO_EXPR_BITXOR:
    return a ^ b;
  case NEO_EXPR_SHL:
  case NEO_EXPR_SHR:
    return int_shift(op, dtype, a, b);
  default:
    neo_assert(!"int_binary");
    return 0;
  }
}

static int64_t int_unary(neo_expr_op op, neo_dtype dtype, int64_t a) {
  switch (op) {
  case NEO_EXPR_NEG:
    return neo_wrap_sub(0, a);
  case NEO_EXPR_ABS:
    return a < 0 && dtype != NEO_U64 ? neo_wrap_sub(0, a) : a;
  case NEO_EXPR_NOT:
    return !a;
  case NEO_EXPR_BITNOT:
    return ~a;
  default:
    neo_assert(!"int_unary");
    return 0;
  }
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static bool apply_compare(neo_expr_op op, neo_dtype dtype, neo_scalar a, neo_scalar b) {
  bool f = neo_dtype_class(dtype) == 'f';
  switch (op) {
  case NEO_EXPR_LT:
    return f ? a.f < b.f : int_less(dtype, a.i, b.i);
  case NEO_EXPR_LE:
    return f ? a.f <= b.f : !int_less(dtype, b.i, a.i);
  case NEO_EXPR_EQ:
    return f ? a.f == b.f : a.i == b.i;
  default:
    return f ? a.f != b.f : a.i != b.i;
  }
}

static neo_scalar apply_fma(neo_dtype dtype, const neo_scalar *x) {
  if (dtype == NEO_F32)
    return (neo_scalar){.f = (double)fmaf((float)x[0].f, (float)x[1].f, (float)x[2].f)};
  if (neo_dtype_class(dtype) == 'f')
    return (neo_scalar){.f = round_float(dtype, fma(x[0].f, x[1].f, x[2].f))};
  return (neo_scalar){.i = wrap_int(dtype, neo_wrap_add(neo_wrap_mul(x[0].i, x[1].i), x[2].i))};
}

neo_scalar neo_expr_apply(const neo_expr *e, const neo_scalar *args) {
  neo_dtype from = e->n_args ? e->arg[0]->dtype : e->dtype;
  switch (e->op) {
  case NEO_EXPR_BROADCAST:
    return args[0];
  case NEO_EXPR_CAST:
    return apply_cast(e->dtype, from, args[0]);
  case NEO_EXPR_BITCAST:
    return apply_bitcast(e->dtype, from, args[0]);
  case NEO_EXPR_ISNAN:
    return (neo_scalar){.i = args[0].f != args[0].f};
  case NEO_EXPR_SELECT:
    return args[0].i ? args[1] : args[2];
  case NEO_EXPR_FMA:
    return apply_fma(e->dtype, args);
  case NEO_EXPR_LT:
  case NEO_EXPR_LE:
  case NEO_EXPR_EQ:
  case NEO_EXPR_NE:
    return (neo_scalar){.i = apply_compare(e->op, from, args[0], args[1])};
  default:
    break;
  }
  bool f = neo_dtype_class(e->dtype) == 'f';
  neo_scalar v = {0};
  if (e->n_args == 1 && f)
    v.f = float_unary(e->op, args[0].f);
  else if (e->n_args == 1)
    v.i = int_unary(e->op, e->dtype, args[0].i);
  else if (f)
    v.f = float_binary(e->op, args[0].f, args[1].f);
  else
    v.i = int_binary(e->op, e->dtype, args[0].i, args[1].i);
  return neo_scalar_round(e->dtype, v);
}
