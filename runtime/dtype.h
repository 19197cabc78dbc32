/* runtime/dtype.h: element types by their number in plans and frames (docs/formats/plan.md). The
 * runtime has its own table because it may not depend on ir/; a test holds the two against each
 * other. */
#ifndef NEO_RUNTIME_DTYPE_H
#define NEO_RUNTIME_DTYPE_H

#include "runtime/runtime.h"

/* X(enumerator, text, bytes); the number is the position */
#define NEO_RT_DTYPES(X)                                                                           \
  X(F32, "f32", 4)                                                                                 \
  X(F64, "f64", 8)                                                                                 \
  X(F16, "f16", 2)                                                                                 \
  X(BF16, "bf16", 2)                                                                               \
  X(I8, "i8", 1)                                                                                   \
  X(I16, "i16", 2)                                                                                 \
  X(I32, "i32", 4)                                                                                 \
  X(I64, "i64", 8)                                                                                 \
  X(U8, "u8", 1)                                                                                   \
  X(U16, "u16", 2)                                                                                 \
  X(U32, "u32", 4)                                                                                 \
  X(U64, "u64", 8)                                                                                 \
  X(BOOL, "bool", 1)                                                                               \
  X(F8E4M3FN, "f8e4m3fn", 1)                                                                       \
  X(F8E4M3FNUZ, "f8e4m3fnuz", 1)                                                                   \
  X(F8E5M2, "f8e5m2", 1)                                                                           \
  X(F8E5M2FNUZ, "f8e5m2fnuz", 1)                                                                   \
  X(F8E8M0, "f8e8m0", 1)                                                                           \
  X(F4E2M1, "f4e2m1", 1)                                                                           \
  X(I4, "i4", 1)                                                                                   \
  X(U4, "u4", 1)                                                                                   \
  X(I2, "i2", 1)                                                                                   \
  X(U2, "u2", 1)                                                                                   \
  X(STR, "str", 8)

typedef enum neo_rt_dtype {
#define X(name, text, bytes) NEO_RT_##name,
  NEO_RT_DTYPES(X)
#undef X
      NEO_RT_DTYPE_COUNT
} neo_rt_dtype;

const char *neo_rt_dtype_name(int dtype); /* "?": no such type */
/* Element i as a double (exact for all types but large 64-bit integers). */
double neo_rt_element(const void *data, int dtype, int64_t i);

#endif
