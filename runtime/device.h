/* runtime/device.h: GPUs: memory, kernels, launches. One vtable, rows opencl and cuda, each the
 * thin layer over a driver's library that is loaded when a device is first opened, so that nothing
 * here needs it to be installed.
 *
 * One thread at a time uses a device. Everything of a device is in order: a read sees what launches
 * before it wrote. Errors of a launch may be reported by a later call (finish and read at last). */
#ifndef NEO_RUNTIME_DEVICE_H
#define NEO_RUNTIME_DEVICE_H

#include "base/core.h"
#include "neo/abi.h"

typedef struct neo_device neo_device;
typedef struct neo_device_memory neo_device_memory;     /* a block of the device's */
typedef struct neo_device_function neo_device_function; /* a kernel, compiled */

/* Which GPU this is, for records: model, maker and version of the driver as that reports them
 * ("NVIDIA_T4/sm_75/driver_12040"); one word without blanks and commas, never empty. */
#define NEO_DEVICE_IDENTITY 192

typedef struct neo_device_place {
  neo_device_memory *memory;
  uint64_t offset; /* bytes */
} neo_device_place;

/* Programs and kernels that were loaded, until the device is closed (device.c). */
typedef struct neo_device_program {
  struct neo_device_program *next;
  uint64_t hash, size;
  void *program; /* the driver's */
} neo_device_program;

struct neo_device_function {
  struct neo_device_function *next;
  void *kernel; /* the driver's */
  uint32_t n_args, items, align;
};

/* A row starts with this header. */
struct neo_device {
  const struct neo_device_row *row;
  const neo_allocator *allocator;
  neo_device_program *programs;
  neo_device_function *functions;
  size_t most_items; /* of a group; 0: as many as a kernel may have */
  char name[128];    /* as its driver says */
  char identity[NEO_DEVICE_IDENTITY];
};

typedef struct neo_device_row {
  const char *api;
  /* NEO_UNSUPPORTED: no library, or no device. */
  neo_status (*open)(neo_ctx *ctx, neo_device **out);
  void (*close)(neo_device *device); /* not its memory */
  neo_status (*alloc)(neo_ctx *ctx, neo_device *device, size_t bytes, neo_device_memory **out);
  void (*free)(neo_device *device, neo_device_memory *memory);
  neo_status (*write)(neo_ctx *ctx, neo_device *device, const neo_device_place *to,
                      const void *from, size_t bytes);
  neo_status (*read)(neo_ctx *ctx, neo_device *device, const neo_device_place *from, void *to,
                     size_t bytes);
  neo_status (*copy)(neo_ctx *ctx, neo_device *device, const neo_device_place *from,
                     const neo_device_place *to, size_t bytes);
  neo_status (*make_program)(neo_ctx *ctx, neo_device *device, const char *bytes, uint64_t size,
                             void **out);
  void (*drop_program)(neo_device *device, void *program);
  /* NEO_BAD_INPUT: the program has no kernel of that name. */
  neo_status (*make_kernel)(neo_ctx *ctx, neo_device *device, void *program, const char *name,
                            void **out);
  void (*drop_kernel)(neo_device *device, void *kernel);
  neo_status (*launch)(neo_ctx *ctx, neo_device *device, neo_device_function *function,
                       int64_t groups, const neo_device_place *args);
  neo_status (*finish)(neo_ctx *ctx, neo_device *device);
} neo_device_row;

/* api: "opencl", ... The first GPU that the driver lists; OpenCL: whatever it lists if no GPU. */
neo_status neo_device_open(neo_ctx *ctx, const char *api, neo_device **out);
void neo_device_close(neo_device *device); /* NULL is fine */
/* Opens and closes it. */
neo_status neo_device_identify(neo_ctx *ctx, const char *api, char out[NEO_DEVICE_IDENTITY]);
/* The api of the k-th driver; NULL: there are no more. */
const char *neo_device_api(int k);
/* For drivers: the identity from what they report; "" says nothing. */
void neo_device_name(neo_device *device, int n, const char *const *part);
neo_status neo_device_alloc(neo_ctx *ctx, neo_device *device, size_t bytes,
                            neo_device_memory **out);
void neo_device_free(neo_device *device, neo_device_memory *memory);
/* Both return when the bytes have been copied. */
neo_status neo_device_write(neo_ctx *ctx, neo_device *device, const neo_device_place *to,
                            const void *from, size_t bytes);
neo_status neo_device_read(neo_ctx *ctx, neo_device *device, const neo_device_place *from, void *to,
                           size_t bytes);
/* The two do not overlap. */
neo_status neo_device_copy(neo_ctx *ctx, neo_device *device, const neo_device_place *from,
                           const neo_device_place *to, size_t bytes);
/* Compiles the kernel; equal programs are compiled once. The function is the device's. */
neo_status neo_device_load(neo_ctx *ctx, neo_device *device, const neo_device_kernel *kernel,
                           neo_device_function **out);
/* groups: 0 to INT32_MAX, what every GPU takes; args: kernel->n_args places. */
neo_status neo_device_launch(neo_ctx *ctx, neo_device *device, neo_device_function *function,
                             int64_t groups, const neo_device_place *args);
neo_status neo_device_finish(neo_ctx *ctx, neo_device *device);

#endif
