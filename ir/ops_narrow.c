/* ir/ops_narrow.c: conversions between narrow element types (ir/tensor_narrow.c) and those that
 * expressions compute with, as integer arithmetic on codes, so that they fuse into what is around.
 *
 * To a narrow float, in bits of an f32 (a: without its sign): normal results keep the upper bits of
 * a, half added and rounded to even, the exponent's bias changed; subnormal ones are the integer
 * nearest to |x| in units of the smallest. What is above the largest saturates, or becomes what the
 * type has instead. From one: the inverse; subnormals are exact products. */
#include "ir/ops_internal.h"

#include <math.h>

static const neo_expr *int_of(neo_lowering *l, int64_t v) {
  return neo_expr_const_i(l->arena, NEO_I32, v);
}

static const neo_expr *with(neo_lowering *l, neo_expr_op op, const neo_expr *a, int64_t v) {
  return neo_x2(l, op, a, int_of(l, v));
}

static const neo_expr *as_f32(neo_lowering *l, const neo_expr *bits) {
  return neo_expr_bitcast(l->arena, NEO_F32, bits);
}

static const neo_expr *f32(neo_lowering *l, double v) {
  return neo_expr_const_f(l->arena, NEO_F32, v);
}

/* ---- from ------------------------------------------------------------------------------------- */

static const neo_expr *from_e8m0(neo_lowering *l, const neo_expr *code) {
  const neo_expr *bits = neo_x_select(l, with(l, NEO_EXPR_EQ, code, 0), int_of(l, 0x400000),
                                      with(l, NEO_EXPR_SHL, code, 23));
  return neo_x_select(l, with(l, NEO_EXPR_EQ, code, 255), f32(l, NAN), as_f32(l, bits));
}

static const neo_expr *from_float(neo_lowering *l, const neo_narrow_float *f,
                                  const neo_expr *code) {
  int sign_bit = 1 << (f->exponent + f->mantissa);
  const neo_expr *rest = with(l, NEO_EXPR_BITAND, code, sign_bit - 1);
  const neo_expr *bits =
      with(l, NEO_EXPR_ADD, with(l, NEO_EXPR_SHL, rest, 23 - f->mantissa), (127 - f->bias) << 23);
  const neo_expr *tiny = neo_x2(l, NEO_EXPR_MUL, neo_expr_cast(l->arena, NEO_F32, rest),
                                f32(l, ldexp(1, 1 - f->bias - f->mantissa)));
  const neo_expr *size =
      neo_x_select(l, with(l, NEO_EXPR_LT, rest, 1 << f->mantissa), tiny, as_f32(l, bits));
  if (!f->fnuz && f->exponent > 2) {
    const neo_expr *above = f32(l, NAN);
    if (!f->finite)
      above = neo_x_select(l, with(l, NEO_EXPR_EQ, rest, f->max_code + 1), f32(l, INFINITY), above);
    size = neo_x_select(l, neo_x2(l, NEO_EXPR_LT, int_of(l, f->max_code), rest), above, size);
  }
  const neo_expr *v =
      neo_x_select(l, with(l, NEO_EXPR_LT, code, sign_bit), size, neo_x1(l, NEO_EXPR_NEG, size));
  return f->fnuz ? neo_x_select(l, with(l, NEO_EXPR_EQ, code, 0x80), f32(l, NAN), v) : v;
}

const neo_expr *neo_narrow_from(neo_lowering *l, neo_dtype dtype, const neo_expr *code) {
  const neo_narrow_float *f = neo_narrow_find(dtype);
  if (!f)
    return code;
  code = neo_expr_cast(l->arena, NEO_I32, code);
  return dtype == NEO_F8E8M0 ? from_e8m0(l, code) : from_float(l, f, code);
}

/* ---- to --------------------------------------------------------------------------------------- */

static const neo_expr *size_bits(neo_lowering *l, const neo_expr *x) {
  return with(l, NEO_EXPR_BITAND, neo_expr_bitcast(l->arena, NEO_I32, x), 0x7fffffff);
}

/* Powers of two: the exponent, and one more where the mantissa says so. */
static const neo_expr *to_e8m0(neo_lowering *l, neo_narrow_rounding how, const neo_expr *x) {
  const neo_expr *a = size_bits(l, x), *normal, *tiny;
  int64_t threshold = how.round == 'u' ? 1 : how.round == 'n' ? 0x400000 : 0x800000;
  const neo_expr *up =
      neo_x2(l, NEO_EXPR_LE, int_of(l, threshold), with(l, NEO_EXPR_BITAND, a, 0x7fffff));
  normal = neo_x2(l, NEO_EXPR_ADD, with(l, NEO_EXPR_SHR, a, 23),
                  neo_x_select(l, up, int_of(l, 1), int_of(l, 0)));
  int64_t tiny_threshold = how.round == 'u' ? 0x400001 : how.round == 'n' ? 0x600000 : 0x800000;
  tiny = neo_x_select(l, neo_x2(l, NEO_EXPR_LE, int_of(l, tiny_threshold), a), int_of(l, 1),
                      int_of(l, 0));
  if (!how.saturate)
    tiny = neo_x_select(l, with(l, NEO_EXPR_LT, a, 0x400000), int_of(l, 255), tiny);
  const neo_expr *code = neo_x_select(l, with(l, NEO_EXPR_LT, a, 0x800000), tiny,
                                      with(l, NEO_EXPR_MIN, normal, how.saturate ? 254 : 255));
  return neo_x_select(l, neo_x1(l, NEO_EXPR_ISNAN, x), int_of(l, 255), code);
}

/* The code of |x| before anything special. */
static const neo_expr *rounded(neo_lowering *l, const neo_narrow_float *f, const neo_expr *x) {
  int shift = 23 - f->mantissa;
  const neo_expr *a = size_bits(l, x);
  const neo_expr *odd = with(l, NEO_EXPR_BITAND, with(l, NEO_EXPR_SHR, a, shift), 1);
  const neo_expr *sum =
      with(l, NEO_EXPR_ADD, neo_x2(l, NEO_EXPR_ADD, a, odd), (INT64_C(1) << (shift - 1)) - 1);
  const neo_expr *normal =
      with(l, NEO_EXPR_SUB, with(l, NEO_EXPR_SHR, sum, shift), (127 - f->bias) << f->mantissa);
  const neo_expr *units = neo_x2(l, NEO_EXPR_MUL, neo_x1(l, NEO_EXPR_ABS, x),
                                 f32(l, ldexp(1, f->mantissa + f->bias - 1)));
  const neo_expr *tiny = neo_expr_cast(l->arena, NEO_I32, neo_x1(l, NEO_EXPR_ROUND, units));
  return neo_x_select(l, with(l, NEO_EXPR_LT, a, (INT64_C(128) - f->bias) << 23), tiny, normal);
}

static const neo_expr *to_float(neo_lowering *l, const neo_narrow_float *f, bool saturate,
                                const neo_expr *x) {
  int sign_bit = 1 << (f->exponent + f->mantissa);
  int nan = f->fnuz ? 0x80 : f->exponent == 2 ? sign_bit : f->finite ? 0x7f : 0x7e;
  int above = saturate || f->exponent == 2 ? f->max_code : f->fnuz ? nan : f->max_code + 1;
  const neo_expr *code = rounded(l, f, x);
  code =
      neo_x_select(l, neo_x2(l, NEO_EXPR_LT, int_of(l, f->max_code), code), int_of(l, above), code);
  code = neo_x_select(l, neo_x1(l, NEO_EXPR_ISNAN, x), int_of(l, nan), code);
  const neo_expr *negative = with(l, NEO_EXPR_LT, neo_expr_bitcast(l->arena, NEO_I32, x), 0);
  if (f->fnuz) {
    const neo_expr *number = neo_x2(l, NEO_EXPR_AND, neo_x2(l, NEO_EXPR_LT, int_of(l, 0), code),
                                    with(l, NEO_EXPR_LT, code, 0x80));
    negative = neo_x2(l, NEO_EXPR_AND, negative, number);
  }
  return neo_x_select(l, negative, with(l, NEO_EXPR_BITOR, code, sign_bit), code);
}

/* The low bits, the sign extended. */
static const neo_expr *to_int(neo_lowering *l, neo_dtype dtype, const neo_expr *v) {
  int bits = neo_narrow_bits(dtype);
  neo_dtype storage = neo_dtype_storage(dtype);
  if (neo_dtype_class(v->dtype) == 'f')
    v = neo_expr_cast(l->arena, NEO_I32, v);
  v = neo_expr_cast(l->arena, storage, v);
  if (!neo_narrow_is_signed(dtype))
    return neo_x2(l, NEO_EXPR_BITAND, v, neo_expr_const_i(l->arena, storage, (1 << bits) - 1));
  const neo_expr *by = neo_expr_const_i(l->arena, storage, 8 - bits);
  return neo_x2(l, NEO_EXPR_SHR, neo_x2(l, NEO_EXPR_SHL, v, by), by);
}

static const neo_expr *clamped(neo_lowering *l, neo_dtype dtype, const neo_expr *v) {
  int bits = neo_narrow_bits(dtype);
  double lo = neo_narrow_is_signed(dtype) ? -ldexp(1, bits - 1) : 0;
  return neo_xc(l, NEO_EXPR_MIN, neo_xc(l, NEO_EXPR_MAX, v, lo), lo + ldexp(1, bits) - 1);
}

const neo_expr *neo_narrow_to(neo_lowering *l, neo_dtype dtype, neo_narrow_rounding how,
                              const neo_expr *v) {
  const neo_narrow_float *f = neo_narrow_find(dtype);
  if (!f && how.saturate && neo_dtype_class(v->dtype) == 'f')
    v = clamped(l, dtype, neo_expr_cast(l->arena, neo_compute_dtype(v->dtype), v));
  if (!f)
    return to_int(l, dtype, v);
  v = neo_expr_cast(l->arena, NEO_F32, v);
  v = dtype == NEO_F8E8M0 ? to_e8m0(l, how, v) : to_float(l, f, how.saturate, v);
  return neo_expr_cast(l->arena, NEO_U8, v);
}

/* ---- cast ------------------------------------------------------------------------------------- */

neo_narrow_rounding neo_narrow_rounding_of(const neo_node *node) {
  const char *mode = neo_node_string(node, "round_mode", "up");
  return (neo_narrow_rounding){neo_node_int(node, "saturate", 1) != 0, *mode};
}

const neo_expr *neo_narrow_cast(neo_lowering *l, neo_dtype from, neo_dtype to, const neo_expr *x) {
  x = neo_narrow_from(l, from, x);
  if (neo_narrow_bits(to) == 0)
    return x;
  neo_narrow_rounding how = neo_narrow_rounding_of(l->node);
  how.saturate = how.saturate && neo_narrow_find(to); /* integers wrap */
  return neo_narrow_to(l, to, how, x);
}
