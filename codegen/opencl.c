/* codegen/opencl.c: the OpenCL generator: a nest as one OpenCL C kernel per launch, and that text
 * in an object that the runtime's OpenCL driver compiles on the device.
 *
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

static const device_dialect opencl_c = {
    .base = {.name = "opencl",
             .prologue = prologue,
             .barrier = "barrier(CLK_LOCAL_MEM_FENCE);",
             .unroll = true,
             .narrow = true,
             .single = true,
             .function = device_print_function},
    .head = "__kernel __attribute__((reqd_work_group_size(%d, 1, 1)))\nvoid ",
    .global = "__global ",
    .shared = "__local ",
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
