/* ir/tensor_narrow.c: element types of 8, 4 and 2 bits that nothing computes with: they are stored,
 * moved, and turned into wider ones and back (ir/ops_narrow.c).
 *
 * Each element takes a byte: the bits of a float, low bits first, or the value of an integer. The
 * floats are those of the OCP 8-bit and microscaling formats and of "8-bit Numerical Formats for
 * Deep Neural Networks" (fnuz: one zero, its negative is the only NaN). Rounding here is by search
 * for the nearest value, the even code on ties: slow, and independent of the generated code. */
#include "ir/tensor.h"

#include <math.h>

typedef struct narrow {
  neo_dtype dtype;
  neo_narrow_float is;
} narrow;

static const narrow floats[] = {
    {NEO_F8E4M3FN, {.exponent = 4, .mantissa = 3, .bias = 7, .finite = true, .max_code = 0x7e}},
    {NEO_F8E4M3FNUZ, {.exponent = 4, .mantissa = 3, .bias = 8, .fnuz = true, .max_code = 0x7f}},
    {NEO_F8E5M2, {.exponent = 5, .mantissa = 2, .bias = 15, .max_code = 0x7b}},
    {NEO_F8E5M2FNUZ, {.exponent = 5, .mantissa = 2, .bias = 16, .fnuz = true, .max_code = 0x7f}},
    {NEO_F8E8M0, {.exponent = 8, .mantissa = 0, .bias = 127, .max_code = 0xfe}},
    {NEO_F4E2M1, {.exponent = 2, .mantissa = 1, .bias = 1, .max_code = 7}},
};

const neo_narrow_float *neo_narrow_find(neo_dtype dtype) {
  for (int k = 0; k < NEO_COUNT(floats); k++)
    if (floats[k].dtype == dtype)
      return &floats[k].is;
  return NULL;
}

int neo_narrow_bits(neo_dtype dtype) {
  switch (dtype) {
  case NEO_I4:
  case NEO_U4:
  case NEO_F4E2M1:
    return 4;
  case NEO_I2:
  case NEO_U2:
    return 2;
  default:
    return neo_narrow_find(dtype) ? 8 : 0;
  }
}

bool neo_narrow_is_signed(neo_dtype dtype) {
  return dtype == NEO_I4 || dtype == NEO_I2;
}

neo_dtype neo_dtype_storage(neo_dtype dtype) {
  if (dtype == NEO_STR)
    return NEO_I64;
  if (neo_narrow_bits(dtype) == 0)
    return dtype;
  return neo_narrow_is_signed(dtype) ? NEO_I8 : NEO_U8;
}

double neo_narrow_decode(neo_dtype dtype, uint8_t code) {
  const neo_narrow_float *f = neo_narrow_find(dtype);
  if (dtype == NEO_F8E8M0)
    return code == 0xff ? (double)NAN : ldexp(1, code - f->bias);
  int sign_bit = 1 << (f->exponent + f->mantissa), rest = code & (sign_bit - 1);
  int exponent = rest >> f->mantissa, mantissa = rest & ((1 << f->mantissa) - 1);
  double sign = code & sign_bit ? -1 : 1;
  if (f->fnuz && code == 0x80)
    return (double)NAN;
  if (f->finite && rest > f->max_code)
    return (double)NAN;
  if (dtype == NEO_F8E5M2 && rest > f->max_code)
    return mantissa ? (double)NAN : sign * (double)INFINITY;
  if (exponent == 0)
    return sign * ldexp(mantissa, 1 - f->bias - f->mantissa);
  return sign * ldexp(mantissa + (1 << f->mantissa), exponent - f->bias - f->mantissa);
}

uint8_t neo_narrow_encode(neo_dtype dtype, double v) {
  const neo_narrow_float *f = neo_narrow_find(dtype);
  int sign_bit = dtype == NEO_F8E8M0 ? 0 : 1 << (f->exponent + f->mantissa);
  bool negative = signbit(v) != 0;
  if (v != v)
    return f->fnuz ? 0x80 : dtype == NEO_F8E8M0 ? 0xff : dtype == NEO_F4E2M1 ? 8 : 0x7f;
  if (dtype == NEO_F8E5M2 && isinf(v))
    return negative ? 0xfc : 0x7c;
  int best = 0;
  double least = INFINITY;
  for (int code = 0; code <= f->max_code; code++) {
    double off = fabs(neo_narrow_decode(dtype, (uint8_t)code) - fabs(v));
    if (off < least || (off == least && code % 2 == 0)) {
      best = code;
      least = off;
    }
  }
  if (isinf(v))
    best = f->max_code;
  return (uint8_t)(negative && !(f->fnuz && best == 0) ? best | sign_bit : best);
}
