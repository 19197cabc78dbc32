/* ir/tensor.c: element types, shapes and dense tensors.
 *
 * f16 and bf16 are kept as their 16 bits; conversions round half to even and are written out in
 * integer arithmetic, so that every host and compiler agrees. A double goes to a 16-bit float by
 * way of a float rounded to odd, which makes the second rounding exact (Boldo and Melquiond, 2008).
 */
#include "ir/tensor.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct dtype_row {
  const char *name;
  size_t bytes;
  char cls;
} dtype_row;

static const dtype_row rows[] = {
#define X(name, text, bytes, cls) {text, bytes, cls},
    NEO_DTYPES(X)
#undef X
};

static const struct {
  const char *name;
  neo_dtype dtype;
} aliases[] = {
    {"float32", NEO_F32},
    {"float", NEO_F32},
    {"float64", NEO_F64},
    {"double", NEO_F64},
    {"float16", NEO_F16},
    {"half", NEO_F16},
    {"bfloat16", NEO_BF16},
    {"int8", NEO_I8},
    {"int16", NEO_I16},
    {"int32", NEO_I32},
    {"int", NEO_I32},
    {"int64", NEO_I64},
    {"uint8", NEO_U8},
    {"uint16", NEO_U16},
    {"uint32", NEO_U32},
    {"uint64", NEO_U64},
    {"boolean", NEO_BOOL},
    {"float8_e4m3fn", NEO_F8E4M3FN},
    {"float8_e4m3fnuz", NEO_F8E4M3FNUZ},
    {"float8_e5m2", NEO_F8E5M2},
    {"float8_e5m2fnuz", NEO_F8E5M2FNUZ},
    {"float8_e8m0fnu", NEO_F8E8M0},
    {"float4_e2m1fn", NEO_F4E2M1},
    {"int4", NEO_I4},
    {"uint4", NEO_U4},
    {"int2", NEO_I2},
    {"uint2", NEO_U2},
    {"string", NEO_STR},
};

const char *neo_dtype_name(neo_dtype dtype) {
  return rows[dtype].name;
}
size_t neo_dtype_size(neo_dtype dtype) {
  return rows[dtype].bytes;
}
char neo_dtype_class(neo_dtype dtype) {
  return rows[dtype].cls;
}

bool neo_dtype_find(const char *name, neo_dtype *out) {
  for (int k = 0; k < NEO_DTYPE_COUNT; k++) {
    if (strcmp(rows[k].name, name) == 0) {
      *out = (neo_dtype)k;
      return true;
    }
  }
  for (int k = 0; k < NEO_COUNT(aliases); k++) {
    if (strcmp(aliases[k].name, name) == 0) {
      *out = aliases[k].dtype;
      return true;
    }
  }
  return false;
}

bool neo_dtype_find_computed(const char *name, neo_dtype *out) {
  neo_dtype found;
  if (!neo_dtype_find(name, &found) || neo_dtype_storage(found) != found)
    return false;
  *out = found;
  return true;
}

bool neo_shape_equal(const neo_shape *a, const neo_shape *b) {
  if (a->rank != b->rank)
    return false;
  for (int d = 0; d < a->rank; d++) {
    if (a->dim[d] != b->dim[d])
      return false;
  }
  return true;
}

bool neo_shape_elements(const neo_shape *shape, int64_t *out) {
  const int64_t limit = INT64_C(1) << 62;
  int64_t n = 1;
  bool zero = false;
  for (int d = 0; d < shape->rank; d++) {
    int64_t dim = shape->dim[d];
    if (dim < 0)
      return false;
    if (dim == 0) {
      zero = true;
    } else {
      if (n > limit / dim)
        return false;
      n *= dim;
    }
  }
  *out = zero ? 0 : n;
  return true;
}

void neo_shape_print(neo_buf *buf, const neo_shape *shape) {
  neo_buf_text(buf, "[");
  for (int d = 0; d < shape->rank; d++)
    neo_buf_printf(buf, "%s%" PRId64, d ? "," : "", shape->dim[d]);
  neo_buf_text(buf, "]");
}

bool neo_shape_broadcast(const neo_shape *a, const neo_shape *b, neo_shape *out) {
  neo_shape r = {.rank = a->rank > b->rank ? a->rank : b->rank};
  for (int d = 0; d < r.rank; d++) {
    int da = d - (r.rank - a->rank), db = d - (r.rank - b->rank);
    int64_t x = da < 0 ? 1 : a->dim[da], y = db < 0 ? 1 : b->dim[db];
    if (x != y && x != 1 && y != 1)
      return false;
    r.dim[d] = x == 1 ? y : x;
  }
  *out = r;
  return true;
}

/* ---- 16-bit floats -----------------------------------------------------------------------------
 */

static uint32_t float_bits(float v) {
  uint32_t u;
  memcpy(&u, &v, sizeof u);
  return u;
}

static float bits_float(uint32_t u) {
  float v;
  memcpy(&v, &u, sizeof v);
  return v;
}

float neo_f16_to_f32(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = (bits >> 10) & 31u,
           mantissa = bits & 1023u;
  if (exponent == 31)
    return bits_float(sign | 0x7f800000u | mantissa << 13);
  if (exponent)
    return bits_float(sign | (exponent + 112) << 23 | mantissa << 13);
  float v = (float)mantissa * 0x1p-24f;
  return sign ? -v : v;
}

uint16_t neo_f32_to_f16(float v) {
  uint32_t u = float_bits(v), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  if (a > 0x7f800000u)
    return (uint16_t)(sign | 0x7e00u);
  if (a >= 0x477ff000u)
    return (uint16_t)(sign | 0x7c00u);
  if (a < 0x38800000u) {
    /* subnormal: the float addition rounds at bit 2^-24, half to even */
    float r = bits_float(a) + 0.5f;
    return (uint16_t)(sign | (float_bits(r) - float_bits(0.5f)));
  }
  a += 0xfffu + ((a >> 13) & 1u);
  return (uint16_t)(sign | ((a - 0x38000000u) >> 13));
}

float neo_bf16_to_f32(uint16_t bits) {
  return bits_float((uint32_t)bits << 16);
}

uint16_t neo_f32_to_bf16(float v) {
  uint32_t u = float_bits(v);
  if ((u & 0x7fffffffu) > 0x7f800000u)
    return (uint16_t)(u >> 16 | 0x40u);
  return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

/* double to float, rounded to odd: rounding the result again to fewer bits is then exact. */
static float float_to_odd(double v) {
  float f = (float)v;
  if ((double)f == v || v != v || isinf(f))
    return f;
  uint32_t u = float_bits(f);
  if (u & 1u)
    return f;
  bool away = fabs((double)f) > fabs(v);
  return bits_float(away ? u - 1 : u + 1);
}

/* ---- elements ----------------------------------------------------------------------------------
 */

/* Saturating, toward zero, NaN to 0. */
static int64_t double_to_i64(double v) {
  if (v != v)
    return 0;
  if (v >= 9223372036854775808.0)
    return INT64_MAX;
  if (v <= -9223372036854775808.0)
    return INT64_MIN;
  return (int64_t)v;
}

int64_t neo_tensor_get_i64(const neo_tensor *tensor, int64_t i) {
  const void *p = tensor->data;
  switch (tensor->dtype) {
  case NEO_I8:
  case NEO_I4:
  case NEO_I2:
    return ((const int8_t *)p)[i];
  case NEO_I16:
    return ((const int16_t *)p)[i];
  case NEO_I32:
    return ((const int32_t *)p)[i];
  case NEO_I64:
  case NEO_STR:
    return ((const int64_t *)p)[i];
  case NEO_U8:
  case NEO_U4:
  case NEO_U2:
    return ((const uint8_t *)p)[i];
  case NEO_U16:
    return ((const uint16_t *)p)[i];
  case NEO_U32:
    return ((const uint32_t *)p)[i];
  case NEO_U64:
    return (int64_t)((const uint64_t *)p)[i];
  case NEO_BOOL:
    return ((const uint8_t *)p)[i] != 0;
  default:
    return double_to_i64(neo_tensor_get_f64(tensor, i));
  }
}

double neo_tensor_get_f64(const neo_tensor *tensor, int64_t i) {
  const void *p = tensor->data;
  switch (tensor->dtype) {
  case NEO_F32:
    return ((const float *)p)[i];
  case NEO_F64:
    return ((const double *)p)[i];
  case NEO_F16:
    return neo_f16_to_f32(((const uint16_t *)p)[i]);
  case NEO_BF16:
    return neo_bf16_to_f32(((const uint16_t *)p)[i]);
  case NEO_U64:
    return (double)((const uint64_t *)p)[i];
  default:
    if (neo_narrow_find(tensor->dtype))
      return neo_narrow_decode(tensor->dtype, ((const uint8_t *)p)[i]);
    return (double)neo_tensor_get_i64(tensor, i);
  }
}

static int8_t sign_extended(int64_t v, int bits) {
  int low = (int)(v & ((1 << bits) - 1));
  return (int8_t)(low >> (bits - 1) ? low - (1 << bits) : low);
}

void neo_tensor_set_i64(neo_tensor *tensor, int64_t i, int64_t v) {
  void *p = tensor->data;
  switch (tensor->dtype) {
  case NEO_I8:
  case NEO_U8:
    ((uint8_t *)p)[i] = (uint8_t)v;
    break;
  case NEO_I16:
  case NEO_U16:
    ((uint16_t *)p)[i] = (uint16_t)v;
    break;
  case NEO_I32:
  case NEO_U32:
    ((uint32_t *)p)[i] = (uint32_t)v;
    break;
  case NEO_I64:
  case NEO_U64:
  case NEO_STR:
    ((int64_t *)p)[i] = v;
    break;
  case NEO_I4:
  case NEO_I2:
    ((int8_t *)p)[i] = sign_extended(v, neo_narrow_bits(tensor->dtype));
    break;
  case NEO_U4:
  case NEO_U2:
    ((uint8_t *)p)[i] = (uint8_t)(v & ((1 << neo_narrow_bits(tensor->dtype)) - 1));
    break;
  case NEO_BOOL:
    ((uint8_t *)p)[i] = v != 0;
    break;
  default:
    neo_tensor_set_f64(tensor, i, (double)v);
  }
}

void neo_tensor_set_f64(neo_tensor *tensor, int64_t i, double v) {
  void *p = tensor->data;
  switch (tensor->dtype) {
  case NEO_F32:
    ((float *)p)[i] = (float)v;
    break;
  case NEO_F64:
    ((double *)p)[i] = v;
    break;
  case NEO_F16:
    ((uint16_t *)p)[i] = neo_f32_to_f16(float_to_odd(v));
    break;
  case NEO_BF16:
    ((uint16_t *)p)[i] = neo_f32_to_bf16(float_to_odd(v));
    break;
  case NEO_BOOL:
    ((uint8_t *)p)[i] = v != 0;
    break;
  case NEO_U64:
    ((uint64_t *)p)[i] = v >= 18446744073709551616.0 ? UINT64_MAX : v > 0 ? (uint64_t)v : 0;
    break;
  default: {
    if (neo_narrow_find(tensor->dtype)) {
      ((uint8_t *)p)[i] = neo_narrow_encode(tensor->dtype, v);
      break;
    }
    int narrow = neo_narrow_bits(tensor->dtype);
    int bits = narrow ? narrow : 8 * (int)rows[tensor->dtype].bytes;
    bool is_signed = rows[tensor->dtype].cls == 'i' || neo_narrow_is_signed(tensor->dtype);
    int64_t hi = bits == 64 ? INT64_MAX : (INT64_C(1) << (is_signed ? bits - 1 : bits)) - 1;
    int64_t lo = is_signed ? -hi - 1 : 0;
    int64_t w = double_to_i64(v);
    neo_tensor_set_i64(tensor, i, w < lo ? lo : w > hi ? hi : w);
  }
  }
}

neo_status neo_tensor_create(neo_ctx *ctx, neo_dtype dtype, const neo_shape *shape,
                             neo_tensor *out) {
  int64_t n;
  size_t size;
  neo_buf text = {0};
  if (shape->rank < 0 || shape->rank > NEO_MAX_RANK)
    return neo_fail(ctx, NEO_BAD_INPUT, "tensor: rank %d, at most %d supported", shape->rank,
                    NEO_MAX_RANK);
  if (!neo_shape_elements(shape, &n) || !neo_mul_size((size_t)n, neo_dtype_size(dtype), &size)) {
    neo_shape_print(&text, shape);
    neo_status s = neo_fail(ctx, NEO_BAD_INPUT, "tensor: shape %s is free or too large",
                            text.data ? text.data : "?");
    neo_buf_fini(&text);
    return s;
  }
  void *data = neo_aligned_alloc(ctx, size ? size : 1);
  if (!data) {
    neo_shape_print(&text, shape);
    neo_status s = neo_fail(ctx, NEO_NO_MEMORY, "tensor: no memory for %zu bytes (%s %s)", size,
                            neo_dtype_name(dtype), text.data ? text.data : "?");
    neo_buf_fini(&text);
    return s;
  }
  *out = (neo_tensor){.dtype = dtype, .shape = *shape, .data = data, .size = size};
  return NEO_OK;
}

void neo_tensor_free(neo_ctx *ctx, neo_tensor *tensor) {
  if (!tensor)
    return;
  neo_aligned_free(ctx, tensor->data);
  *tensor = (neo_tensor){0};
}
