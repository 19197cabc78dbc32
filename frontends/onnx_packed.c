/* frontends/onnx_packed.c: constants of 8-bit floats and of 4 and 2 bit integers, which the graph's
 * types lack: they are widened when read, to f32, i8 or u8, which holds every value of theirs. So
 * quantised weights work, since what follows them (DequantizeLinear, Cast) asks for values; making
 * such types at run time (Cast to one) is not supported.
 *
 * Layouts: onnx.proto's comments: several small integers a byte, low bits first. */
#include "frontends/onnx_packed.h"

#include <math.h>
#include <string.h>

typedef struct packing {
  int type, bits;
  neo_dtype dtype;
  /* floats: exponent bits, mantissa bits, bias; finite: no infinities; fnuz: 0x80 is the only NaN
   */
  int exponent, mantissa, bias;
  bool finite, fnuz, is_signed;
} packing;

static const packing packings[] = {
    {17, 8, NEO_F32, 4, 3, 7, true, false, true},   /* e4m3fn */
    {18, 8, NEO_F32, 4, 3, 8, true, true, true},    /* e4m3fnuz */
    {19, 8, NEO_F32, 5, 2, 15, false, false, true}, /* e5m2 */
    {20, 8, NEO_F32, 5, 2, 16, true, true, true},   /* e5m2fnuz */
    {21, 4, NEO_U8, 0, 0, 0, false, false, false},  {22, 4, NEO_I8, 0, 0, 0, false, false, true},
    {25, 2, NEO_U8, 0, 0, 0, false, false, false},  {26, 2, NEO_I8, 0, 0, 0, false, false, true},
};

static const packing *find(int32_t type) {
  for (int k = 0; k < NEO_COUNT(packings); k++)
    if (packings[k].type == type)
      return &packings[k];
  return NULL;
}

bool onnx_packed_dtype(int32_t type, neo_dtype *out) {
  const packing *p = find(type);
  if (p)
    *out = p->dtype;
  return p != NULL;
}

size_t onnx_packed_bytes(int32_t type, int64_t n) {
  const packing *p = find(type);
  return p ? ((size_t)n * (size_t)p->bits + 7) / 8 : 0;
}

static double small_float(const packing *p, int bits) {
  int exponent = bits >> p->mantissa & ((1 << p->exponent) - 1),
      mantissa = bits & ((1 << p->mantissa) - 1);
  double sign = bits & 0x80 ? -1 : 1;
  bool top = exponent == (1 << p->exponent) - 1;
  if (p->fnuz && bits == 0x80)
    return NAN;
  if (!p->fnuz && p->finite && top && mantissa == (1 << p->mantissa) - 1)
    return NAN;
  if (!p->fnuz && !p->finite && top)
    return mantissa ? (double)NAN : sign * (double)INFINITY;
  if (exponent == 0)
    return sign * ldexp(mantissa, 1 - p->bias - p->mantissa);
  return sign * ldexp(mantissa + (1 << p->mantissa), exponent - p->bias - p->mantissa);
}

void onnx_packed_store(int32_t type, const uint8_t *data, int64_t n, neo_tensor *to) {
  const packing *p = find(type);
  int per_byte = 8 / p->bits, mask = (1 << p->bits) - 1;
  for (int64_t i = 0; i < n; i++) {
    int v = data[i / per_byte] >> (int)(i % per_byte) * p->bits & mask;
    if (p->bits == 8)
      neo_tensor_set_f64(to, i, small_float(p, v));
    else
      neo_tensor_set_i64(to, i, p->is_signed && v > mask / 2 ? v - mask - 1 : v);
  }
}
