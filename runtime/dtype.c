/* Element types of plans and frames: sizes, names, reading one element. */
#include "runtime/dtype.h"

#include <math.h>
#include <string.h>

static const struct {
  const char *name;
  size_t size;
} rows[] = {
#define X(name, text, bytes) {text, bytes},
    NEO_RT_DTYPES(X)
#undef X
};

size_t neo_rt_dtype_size(int dtype) {
  return dtype >= 0 && dtype < NEO_COUNT(rows) ? rows[dtype].size : 0;
}

bool neo_rt_dtype_is_text(int dtype) {
  return dtype == NEO_RT_STR;
}

const char *neo_rt_dtype_name(int dtype) {
  return dtype >= 0 && dtype < NEO_COUNT(rows) ? rows[dtype].name : "?";
}

/* IEEE 754 binary16. */
static double half(uint16_t bits) {
  int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == 31)
    return mantissa ? (double)NAN : sign * (double)INFINITY;
  if (exponent == 0)
    return sign * ldexp(mantissa, -24);
  return sign * ldexp(mantissa + 1024, exponent - 25);
}

static double brain(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof(value));
  return (double)value;
}

double neo_rt_element(const void *data, int dtype, int64_t i) {
  switch ((neo_rt_dtype)dtype) {
  case NEO_RT_F32:
    return (double)((const float *)data)[i];
  case NEO_RT_F64:
    return ((const double *)data)[i];
  case NEO_RT_F16:
    return half(((const uint16_t *)data)[i]);
  case NEO_RT_BF16:
    return brain(((const uint16_t *)data)[i]);
  case NEO_RT_I8:
    return ((const int8_t *)data)[i];
  case NEO_RT_I16:
    return ((const int16_t *)data)[i];
  case NEO_RT_I32:
    return ((const int32_t *)data)[i];
  case NEO_RT_I64:
    return (double)((const int64_t *)data)[i];
  case NEO_RT_U8:
  case NEO_RT_BOOL:
    return ((const uint8_t *)data)[i];
  case NEO_RT_U16:
    return ((const uint16_t *)data)[i];
  case NEO_RT_U32:
    return ((const uint32_t *)data)[i];
  case NEO_RT_U64:
    return (double)((const uint64_t *)data)[i];
  case NEO_RT_I4:
  case NEO_RT_I2:
    return ((const int8_t *)data)[i];
  case NEO_RT_U4:
  case NEO_RT_U2:
    return ((const uint8_t *)data)[i];
  default: /* narrow floats and strings: nothing computes with them */
    break;
  }
  return (double)NAN;
}
