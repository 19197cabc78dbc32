/* codegen/cuda.c: the CUDA generator: a nest as one CUDA C kernel per launch, compiled by NVRTC
 * (cuda_nvrtc.c) for the target's architecture, as a program in an object for the runtime's CUDA
 * driver.
 *
 * The text needs no header. Vectors are moved as structures that are aligned to their size.
 * Multiply-adds are fused only where the nest says so (--fmad=false). */
#include <string.h>

#include "codegen/cuda_mma.h"
#include "codegen/cuda_nvrtc.h"
#include "codegen/device_c.h"
#include "codegen/device_object.h"

static const char prologue[] =
    "typedef signed char int8_t;\ntypedef unsigned char uint8_t;\ntypedef short int16_t;\n"
    "typedef unsigned short uint16_t;\ntypedef int int32_t;\ntypedef unsigned uint32_t;\n"
    "typedef long long int64_t;\ntypedef unsigned long long uint64_t;\n"
    "#define INT64_C(x) x##LL\n#define UINT64_C(x) x##ULL\n"
    "#define INT8_MIN (-128)\n#define INT8_MAX 127\n#define UINT8_MAX 255\n"
    "#define INT16_MIN (-32768)\n#define INT16_MAX 32767\n#define UINT16_MAX 65535\n"
    "#define INT32_MIN (-2147483647 - 1)\n#define INT32_MAX 2147483647\n"
    "#define UINT32_MAX 4294967295u\n#define INT64_MIN (-9223372036854775807LL - 1)\n"
    "#define INT64_MAX 9223372036854775807LL\n#define UINT64_MAX 18446744073709551615ULL\n"
    "#define FP_FAST_FMAF\n#define FP_FAST_FMA\n"
    "#define NAN __int_as_float(0x7fc00000)\n#define INFINITY __int_as_float(0x7f800000)\n"
    "template <int N, typename T> struct __align__(N * sizeof(T)) wide { T at[N]; };\n"
    "template <int N, typename T> static __device__ inline void copy_wide(T *to, const T *from) {\n"
    "  const wide<N, T> v = *(const wide<N, T> *)from;\n"
    "  *(wide<N, T> *)to = v;\n}\n\n";

static void copy(neo_buf *out, int n, const char *to, const char *from) {
  neo_buf_printf(out, "copy_wide<%d>(%s, %s);\n", n, to, from);
}

static void load(neo_buf *out, neo_dtype dtype, int n, const char *name, const char *from) {
  const char *type = c_memory_type(dtype);
  neo_buf_printf(out, "const wide<%d, %s> %s = *(const wide<%d, %s> *)%s;\n", n, type, name, n,
                 type, from);
}

static void store(neo_buf *out, neo_dtype dtype, int n, const char *to, const char *values) {
  const char *type = c_memory_type(dtype);
  neo_buf_printf(out, "*(wide<%d, %s> *)%s = {{%s}};\n", n, type, to, values);
}

static void lane(neo_buf *out, int number) {
  neo_buf_printf(out, ".at[%d]", number);
}

static const c_vectors vectors = {
    .widest = 16, .aligned = true, .copy = copy, .load = load, .store = store, .lane = lane};

static const device_dialect cuda_c = {.base = {.name = "cuda",
                                               .prologue = prologue,
                                               .barrier = "__syncthreads();",
                                               .unroll = true,
                                               .narrow = true,
                                               .single = true,
                                               .wide = &vectors,
                                               .function = device_print_function,
                                               .matrix = cuda_print_mma,
                                               .matrix_helpers = cuda_print_mma_helpers},
                                      .head = "extern \"C\" __global__ void __launch_bounds__(%d) ",
                                      .global = "",
                                      .shared = "__shared__ __align__(16) ",
                                      .restricted = "__restrict__ ",
                                      .offset = "unsigned long long ",
                                      .group = "blockIdx.x",
                                      .item = "threadIdx.x"};

static neo_status text(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                       const char *symbol, neo_buf *out) {
  (void)target;
  return c_print_nest(ctx, nest, &cuda_c.base, symbol, out);
}

static neo_status build(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                        const char *symbol, neo_object *out) {
  neo_buf source = {0}, program = {0};
  if (strcmp(target->gpu.api, "cuda") != 0)
    return neo_fail(ctx, NEO_UNSUPPORTED, "cuda: the target has no such GPU");
  neo_status status = text(ctx, nest, target, symbol, &source);
  if (status == NEO_OK)
    status = cuda_nvrtc_compile(ctx, source.data, target->gpu.model, &program);
  if (status == NEO_OK)
    status = device_object_build(ctx, nest, target, symbol, &program, out);
  neo_buf_fini(&source);
  neo_buf_fini(&program);
  return status;
}

const neo_codegen neo_codegen_cuda = {.name = "cuda", .build = build, .text = text};
