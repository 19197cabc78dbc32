/* codegen/opencl.c: the OpenCL generator: a nest as one OpenCL C kernel per launch, and that text
 * in an object that the runtime's OpenCL driver compiles on the device.
 *
 * Statements and expressions are those of the C generator. A group is a work-group of one
 * dimension, SHARED buffers are __local arrays, STACK and REG buffers private ones. A kernel's
 * arguments are blocks of memory with offsets (neo/abi.h), so that a whole model lives in a few
 * cl_mem. Nothing beyond OpenCL C 1.2 is used; doubles only where a nest has them. Sums of products
 * are fused only where the nest says so. */
#include <string.h>

#include "codegen/c_printer.h"
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
    "#define fmaf fma\n#define fabsf fabs\n#define sqrtf sqrt\n#define copysignf copysign\n\n";

static void print_buffer(c_printer *p, neo_buf *out, int k) {
  const neo_nest_buffer *b = &p->nest->buffer[k];
  const char *type = c_memory_type(b->dtype);
  bool constant = b->scope == NEO_SCOPE_PARAM && !b->writable;
  switch (b->scope) {
  case NEO_SCOPE_PARAM:
    neo_buf_printf(out, "  __global %s%s *restrict b%d = (__global %s%s *)(m%d + o%d);\n",
                   constant ? "const " : "", type, k, constant ? "const " : "", type, k, k);
    break;
  case NEO_SCOPE_WORK:
    neo_buf_printf(out, "  __global %s *b%d = (__global %s *)(m%d + o%d + %lld);\n", type, k, type,
                   p->nest->n_params, p->nest->n_params, (long long)b->offset);
    break;
  case NEO_SCOPE_SCRATCH:
    c_fail(p, NEO_UNSUPPORTED, "scratch memory of workers");
    break;
  case NEO_SCOPE_SHARED:
    neo_buf_printf(out, "  __local %s b%d[%lld];\n", type, k, (long long)b->elements);
    break;
  case NEO_SCOPE_STACK:
  case NEO_SCOPE_REG:
    neo_buf_printf(out, "  %s b%d[%lld];\n", type, k, (long long)b->elements);
    break;
  }
}

static void print_function(c_printer *p, neo_buf *out, int k, const char *symbol,
                           const neo_buf *body) {
  const neo_launch *launch = &p->nest->launch[k];
  neo_buf_printf(out, "__kernel __attribute__((reqd_work_group_size(%d, 1, 1)))\nvoid %s_%d(",
                 launch->lanes, symbol, k);
  for (int b = 0; b <= p->nest->n_params; b++)
    neo_buf_printf(out, "%s__global %schar *m%d, ulong o%d", b ? ",\n    " : "",
                   b < p->nest->n_params && !p->nest->buffer[b].writable ? "const " : "", b, b);
  neo_buf_text(out, ") {\n");
  for (int b = 0; b < p->nest->n_buffers; b++)
    if (p->buffer_used[b])
      print_buffer(p, out, b);
  neo_buf_printf(out, "  {\n    const %s i%d = get_group_id(0);\n", c_type(p->index), launch->var);
  if (launch->lanes > 1)
    neo_buf_printf(out, "    const %s i%d = get_local_id(0);\n", c_type(p->index),
                   launch->lane_var);
  neo_buf_append(out, body->data, body->size);
  neo_buf_text(out, "  }\n}\n\n");
}

static const c_dialect opencl_c = {.name = "opencl",
                                   .prologue = prologue,
                                   .barrier = "barrier(CLK_LOCAL_MEM_FENCE);",
                                   .unroll = true,
                                   .narrow = true,
                                   .function = print_function};

static neo_status text(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                       const char *symbol, neo_buf *out) {
  (void)target;
  return c_print_nest(ctx, nest, &opencl_c, symbol, out);
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
