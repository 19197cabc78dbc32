/* codegen/opencl.c: the OpenCL generator: a nest as one OpenCL C kernel per launch, and that text
 * in an object that the runtime's OpenCL driver compiles on the device.
 *
 * Vectors are moved by vloadN and vstoreN, which ask for no more than an element's alignment.
 * Nothing beyond OpenCL C 1.2 is used; doubles only where a nest has them. Sums of products are
 * fused only where the nest says so.
 */
#include <string.h>

#include "codegen/device_c.h"
#include "codegen/device_object.h"

static const char prologue[] =
    "#if defined(cl_khr_fp64)\n#pragma OPENCL EXTENSION cl_khr_fp64 : enable\n#endif\n"
    "#pragma OPENCL FP_CONTRACT OFF\n"
    "typedef char int8_t;\ntypedef uchar uint8_t;\ntypedef short int16_t;\n"
    "typedef ushort uint16_t;\ntypedef int int32_t;\ntypedef uint uint32_t;\n"
    "typedef long int64_t;\ntypedef ulong uint64_t;\n"
    "#define INT64_C(x) x##L\n#define UINT64_C(x) x##UL\n"
    "#define INT8_MIN CHAR_MIN\n#define INT8_MAX CHAR_MAX\n#define UINT8_MAX UCHAR_MAX\n"
    "#define INT16_MIN SHRT_MIN\n#define INT16_MAX SHRT_MAX\n#define UINT16_MAX USHRT_MAX\n"
    "#define INT32_MIN INT_MIN\n#define INT32_MAX INT_MAX\n#define UINT32_MAX UINT_MAX\n"
    "#define INT64_MIN LONG_MIN\n#define INT64_MAX LONG_MAX\n#define UINT64_MAX ULONG_MAX\n"
    "#ifndef FP_FAST_FMAF\n#define FP_FAST_FMAF\n#endif\n"
    "#ifndef FP_FAST_FMA\n#define FP_FAST_FMA\n#endif\n"
    "#define fmaf fma\n#define fmodf fmod\n#define fabsf fabs\n#define sqrtf sqrt\n#define "
    "copysignf copysign\n\n";

/* In the names of vector types. */
static const char *element(neo_dtype dtype) {
  static const char *const names[NEO_DTYPE_COUNT] = {
      [NEO_F32] = "float", [NEO_F64] = "double", [NEO_F16] = "ushort", [NEO_BF16] = "ushort",
      [NEO_I8] = "char",   [NEO_I16] = "short",  [NEO_I32] = "int",    [NEO_I64] = "long",
      [NEO_U8] = "uchar",  [NEO_U16] = "ushort", [NEO_U32] = "uint",   [NEO_U64] = "ulong",
      [NEO_BOOL] = "uchar"};
  return names[dtype];
}

static void copy(neo_buf *out, int n, const char *to, const char *from) {
  neo_buf_printf(out, "vstore%d(vload%d(0, %s), 0, %s);\n", n, n, from, to);
}

static void load(neo_buf *out, neo_dtype dtype, int n, const char *name, const char *from) {
  neo_buf_printf(out, "const %s%d %s = vload%d(0, %s);\n", element(dtype), n, name, n, from);
}

static void store(neo_buf *out, neo_dtype dtype, int n, const char *to, const char *values) {
  neo_buf_printf(out, "vstore%d((%s%d)(%s), 0, %s);\n", n, element(dtype), n, values, to);
}

static void lane(neo_buf *out, int number) {
  neo_buf_printf(out, ".s%x", (unsigned)number);
}

static const c_vectors vectors = {
    .widest = 128, .copy = copy, .load = load, .store = store, .lane = lane};

static const device_dialect opencl_c = {
    .base = {.name = "opencl",
             .prologue = prologue,
             .barrier = "barrier(CLK_LOCAL_MEM_FENCE);",
             .unroll = true,
             .narrow = true,
             .single = true,
             .wide = &vectors,
             .function = device_print_function},
    .head = "__kernel __attribute__((reqd_work_group_size(%d, 1, 1)))\nvoid ",
    .global = "__global ",
    .shared = "__local __attribute__((aligned(16))) ",
    .restricted = "restrict ",
    .offset = "ulong ",
    .group = "get_group_id(0)",
    .item = "get_local_id(0)"};

static neo_status text(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                       const char *symbol, neo_buf *out) {
  (void)target;
  return c_print_nest(ctx, nest, &opencl_c.base, symbol, out);
}

static neo_status build(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                        const char *symbol, neo_object *out) {
  neo_buf program = {0};
  if (strcmp(target->gpu.api, "opencl") != 0)
    return neo_fail(ctx, NEO_UNSUPPORTED, "opencl: the target has no such GPU");
  neo_status status = text(ctx, nest, target, symbol, &program);
  if (status == NEO_OK)
    status = device_object_build(ctx, nest, target, symbol, &program, out);
  neo_buf_fini(&program);
  return status;
}

const neo_codegen neo_codegen_opencl = {.name = "opencl", .build = build, .text = text};
