/* ir/tensor.h: element types, shapes and constant tensors. */
#ifndef NEO_IR_TENSOR_H
#define NEO_IR_TENSOR_H

#include "base/core.h"

#define NEO_MAX_RANK 8

/* X(enumerator, text, bytes, class): class f float, i signed, u unsigned, b bool; n: narrow types,
 * a byte an element (ir/tensor_narrow.c); s: strings, an element is the address of a
 * NUL-terminated UTF-8 text, 0 for "" (ir/ops_text.c). Nothing computes with the last two: tensor
 * expressions see their storage type. */
#define NEO_DTYPES(X)                                                                              \
  X(F32, "f32", 4, 'f')                                                                            \
  X(F64, "f64", 8, 'f')                                                                            \
  X(F16, "f16", 2, 'f')                                                                            \
  X(BF16, "bf16", 2, 'f')                                                                          \
  X(I8, "i8", 1, 'i')                                                                              \
  X(I16, "i16", 2, 'i')                                                                            \
  X(I32, "i32", 4, 'i')                                                                            \
  X(I64, "i64", 8, 'i')                                                                            \
  X(U8, "u8", 1, 'u')                                                                              \
  X(U16, "u16", 2, 'u')                                                                            \
  X(U32, "u32", 4, 'u')                                                                            \
  X(U64, "u64", 8, 'u')                                                                            \
  X(BOOL, "bool", 1, 'b')                                                                          \
  X(F8E4M3FN, "f8e4m3fn", 1, 'n')                                                                  \
  X(F8E4M3FNUZ, "f8e4m3fnuz", 1, 'n')                                                              \
  X(F8E5M2, "f8e5m2", 1, 'n')                                                                      \
  X(F8E5M2FNUZ, "f8e5m2fnuz", 1, 'n')                                                              \
  X(F8E8M0, "f8e8m0", 1, 'n')                                                                      \
  X(F4E2M1, "f4e2m1", 1, 'n')                                                                      \
  X(I4, "i4", 1, 'n')                                                                              \
  X(U4, "u4", 1, 'n')                                                                              \
  X(I2, "i2", 1, 'n')                                                                              \
  X(U2, "u2", 1, 'n')                                                                              \
  X(STR, "str", 8, 's')

typedef enum neo_dtype {
#define X(name, text, bytes, cls) NEO_##name,
  NEO_DTYPES(X)
#undef X
      NEO_DTYPE_COUNT
} neo_dtype;

const char *neo_dtype_name(neo_dtype dtype);
size_t neo_dtype_size(neo_dtype dtype);
char neo_dtype_class(neo_dtype dtype); /* 'f' 'i' 'u' 'b' 'n' 's' */
bool neo_dtype_find(const char *name,
                    neo_dtype *out); /* also numpy/ONNX long names: float32, ... */
/* The same among the types that expressions compute with. */
bool neo_dtype_find_computed(const char *name, neo_dtype *out);

/* What tensor expressions see: i8 or u8 for narrow types, i64 for strings, else the type itself. */
neo_dtype neo_dtype_storage(neo_dtype dtype);

/* Narrow floats: value (-1)^s 2^(e - bias) (1 + m / 2^mantissa), subnormal at e = 0; f8e8m0 is the
 * exponent alone. finite: no infinities, the one code above max_code is NaN. fnuz: one zero and, as
 * its negative, one NaN. */
typedef struct neo_narrow_float {
  int exponent, mantissa, bias;
  bool finite, fnuz;
  int max_code; /* of the largest finite value */
} neo_narrow_float;

const neo_narrow_float *neo_narrow_find(neo_dtype dtype); /* NULL: not a narrow float */
int neo_narrow_bits(neo_dtype dtype);                     /* of a narrow type, else 0 */
bool neo_narrow_is_signed(neo_dtype dtype);               /* i4, i2 */
double neo_narrow_decode(neo_dtype dtype, uint8_t code);
uint8_t neo_narrow_encode(neo_dtype dtype, double v); /* to the nearest, saturating */

typedef struct neo_shape {
  int rank;
  int64_t dim[NEO_MAX_RANK]; /* >= 0; -1 only in a graph before its inputs are bound */
} neo_shape;

bool neo_shape_equal(const neo_shape *a, const neo_shape *b);
/* Number of elements; false on a negative dim or on overflow of 2^62. Rank 0 has one element. */
bool neo_shape_elements(const neo_shape *shape, int64_t *out);
void neo_shape_print(neo_buf *buf, const neo_shape *shape); /* [1,3,224,224] */
/* NumPy broadcasting; false if the shapes do not agree. */
bool neo_shape_broadcast(const neo_shape *a, const neo_shape *b, neo_shape *out);

/* A dense row-major tensor. `data` is owned by whoever made it: the graph's arena, an mmap, the
 * heap. */
typedef struct neo_tensor {
  neo_dtype dtype;
  neo_shape shape;
  void *data;
  size_t size; /* bytes */
} neo_tensor;

/* Reads/writes element i (row-major) converted through double / int64; f16 and bf16 round half
 * even. */
double neo_tensor_get_f64(const neo_tensor *tensor, int64_t i);
int64_t neo_tensor_get_i64(const neo_tensor *tensor, int64_t i);
void neo_tensor_set_f64(neo_tensor *tensor, int64_t i, double v);
void neo_tensor_set_i64(neo_tensor *tensor, int64_t i, int64_t v);
float neo_f16_to_f32(uint16_t bits);
uint16_t neo_f32_to_f16(float v);
float neo_bf16_to_f32(uint16_t bits);
uint16_t neo_f32_to_bf16(float v);

/* Heap tensor, zeroed, 64-byte aligned; neo_tensor_free releases. NEO_NO_MEMORY names the size. */
neo_status neo_tensor_create(neo_ctx *ctx, neo_dtype dtype, const neo_shape *shape,
                             neo_tensor *out);
void neo_tensor_free(neo_ctx *ctx, neo_tensor *tensor);

/* NumPy .npy files, format 1.0 to 3.0 (numpy.lib.format); C order written, both orders read.
 * Strings are <U (and S is read); their texts lie behind the elements in the tensor's memory.
 * bfloat16 is stored as <u2 raw bits with a text file PATH.dtype beside it. */
neo_status neo_npy_read(neo_ctx *ctx, const char *path, neo_tensor *out); /* heap */
neo_status neo_npy_write(neo_ctx *ctx, const char *path, const neo_tensor *tensor);

#endif
