/* neo/abi.h: the binary interface between generated kernels and whoever runs them. Standalone; open
 * to all: no other header of Neo is needed to call a kernel. All pointers are plain host memory,
 * but for kernels of a GPU (below).
 *
 * A built operator is an ordered list of launches {function, grid}. To run one: for each launch in
 * order, split [0, grid) into ranges, call the function once per range (any worker, any order, in
 * parallel), and wait for all of them before the next launch. Kernels import no symbol. */
#ifndef NEO_ABI_H
#define NEO_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NEO_ABI_VERSION 1u

typedef struct neo_kernel_callbacks {
  uint32_t size; /* of this struct, for additions at its end */
  void (*log)(void *self, const char *text);
  void *self;
} neo_kernel_callbacks;

typedef struct neo_kernel_env {
  int64_t begin, end; /* the grid indices to run: begin <= g < end */
  void *work;    /* bytes shared by all workers for the whole operator; 64-byte aligned, or NULL */
  void *scratch; /* bytes private to this worker; 64-byte aligned, or NULL */
  const neo_kernel_callbacks *callbacks; /* may be NULL */
} neo_kernel_env;

/* buf: the operator's buffers in te order (inputs, constants, outputs). dim: symbolic extents, NULL
 * when all are static. Returns 0; anything else is a failure that the caller reports with the
 * number. */
typedef int32_t (*neo_kernel_fn)(const neo_kernel_env *env, void *const *buf, const int64_t *dim);

/* A kernel for a GPU stands where a neo_kernel_fn would: no code of the processor but this,
 * followed by what the device's driver compiles or loads. `grid` of its launch counts groups of
 * `items` work-items. It has two arguments per buffer of the operator, in te order, and two for its
 * work memory: where a block of device memory begins, and how many bytes behind that the buffer
 * does. Blocks begin at multiples of NEO_DEVICE_ALIGN, and so do work areas in them; buffers at
 * multiples of `align`: the kernel may rely on it. */
typedef struct neo_device_kernel {
  uint32_t magic; /* NEO_DEVICE_MAGIC */
  uint32_t items;
  char api[8];     /* "opencl", "cuda" */
  uint32_t n_args; /* buffers, and one for work if it needs any */
  uint32_t name;   /* bytes from the start of this to the kernel's name, and to the */
  uint64_t program, program_size; /* program: OpenCL C; PTX or a cubin */
  uint32_t align;                 /* 1, 2, 4, ..., NEO_DEVICE_ALIGN */
  uint32_t reserved;              /* 0 */
} neo_device_kernel;

#define NEO_DEVICE_MAGIC 0x3144454eu /* "NED1" little endian */
#define NEO_DEVICE_ALIGN 16u

/* The one symbol that compiled.so exports: `neo_module`. */
typedef struct neo_module {
  uint32_t magic;       /* NEO_MODULE_MAGIC */
  uint32_t abi_version; /* NEO_ABI_VERSION */
  uint64_t plan_size;
  const uint8_t *plan; /* docs/FORMATS.md, "plan" */
  uint64_t n_functions;
  const neo_kernel_fn *functions; /* indexed by the plan */
} neo_module;

#define NEO_MODULE_MAGIC 0x304f454eu /* "NEO0" little endian */
#define NEO_MODULE_SYMBOL "neo_module"

#ifdef __cplusplus
}
#endif
#endif
