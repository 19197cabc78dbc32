/* GPUs through CUDA's driver API: libcuda.so.1, loaded at run time.
 *
 * Why no header of CUDA: see device_opencl.c; the few functions are declared here as Nvidia's
 * documentation of the driver API has them.
 *
 * How: the primary context of the first device, and its default stream, in which everything is in
 * order. The context is made current by every call, since a session may move between threads. A
 * program is a cubin or PTX; each is loaded once. Arguments of a kernel are a block's address and
 * an offset each, both of 64 bits.
 *
 * This has been tested against a library of ours that checks every argument (tests/runtime/
 * cuda/fake_cuda.c), and has never met a device. */
#include <string.h>

#include "runtime/device.h"
#include "runtime/os.h"

typedef int cuda_result;
typedef int cuda_device_id;
typedef uint64_t cuda_pointer;
typedef struct cuda_context_ *cuda_context;
typedef struct cuda_module_ *cuda_module;
typedef struct cuda_function_ *cuda_function;
typedef struct cuda_stream_ *cuda_stream;

enum {
  OUT_OF_MEMORY = 2,
  NO_DEVICE = 100,
  NOT_FOUND = 500,
  COMPUTE_CAPABILITY_MAJOR = 75,
  COMPUTE_CAPABILITY_MINOR = 76,
  MAX_ARGS = 256
};

/* X(name in the library without cu, name here, parameters) */
#define FUNCTIONS(X)                                                                               \
  X(Init, init, (unsigned))                                                                        \
  X(DeviceGetCount, count, (int *))                                                                \
  X(DeviceGet, get, (cuda_device_id *, int))                                                       \
  X(DeviceGetName, get_name, (char *, int, cuda_device_id))                                        \
  X(DeviceGetAttribute, attribute, (int *, int, cuda_device_id))                                   \
  X(DriverGetVersion, version, (int *))                                                            \
  X(DevicePrimaryCtxRetain, retain, (cuda_context *, cuda_device_id))                              \
  X(DevicePrimaryCtxRelease_v2, release, (cuda_device_id))                                         \
  X(CtxSetCurrent, set_current, (cuda_context))                                                    \
  X(CtxSynchronize, synchronize, (void))                                                           \
  X(MemAlloc_v2, alloc, (cuda_pointer *, size_t))                                                  \
  X(MemFree_v2, free, (cuda_pointer))                                                              \
  X(MemcpyHtoD_v2, write, (cuda_pointer, const void *, size_t))                                    \
  X(MemcpyDtoH_v2, read, (void *, cuda_pointer, size_t))                                           \
  X(MemcpyDtoD_v2, copy, (cuda_pointer, cuda_pointer, size_t))                                     \
  X(ModuleLoadData, load, (cuda_module *, const void *))                                           \
  X(ModuleUnload, unload, (cuda_module))                                                           \
  X(ModuleGetFunction, get_function, (cuda_function *, cuda_module, const char *))                 \
  X(LaunchKernel, launch,                                                                          \
    (cuda_function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,          \
     cuda_stream, void **, void **))

struct neo_device_memory {
  cuda_pointer at;
};

typedef struct cuda_driver {
  neo_device base;
  void *library;
#define X(name, here, parameters) cuda_result(*here) parameters;
  FUNCTIONS(X)
#undef X
  cuda_device_id id;
  cuda_context context;
} cuda_driver;

const neo_device_row neo_device_cuda;

static cuda_driver *self_of(neo_device *device) {
  return (cuda_driver *)device;
}

static neo_status check(neo_ctx *ctx, cuda_result code, const char *what) {
  if (code == 0)
    return NEO_OK;
  return neo_fail(ctx, code == OUT_OF_MEMORY ? NEO_NO_MEMORY : NEO_INTERNAL,
                  "cuda: %s failed with %d", what, code);
}

static neo_status enter(neo_ctx *ctx, cuda_driver *d) {
  return check(ctx, d->set_current(d->context), "cuCtxSetCurrent");
}

/* ---- opening ----------------------------------------------------------------------------------- */

static neo_status load_library(neo_ctx *ctx, cuda_driver *d) {
  static const char *const names[] = {"libcuda.so.1", "nvcuda.dll"};
  for (int k = 0; k < NEO_COUNT(names) && !d->library; k++)
    d->library = neo_os_library_find(names[k]);
  if (!d->library)
    return neo_fail(ctx, NEO_UNSUPPORTED, "cuda: libcuda.so.1 is not installed here");
#define X(name, here, parameters)                                                                  \
  *(void **)&d->here = neo_os_library_symbol(d->library, "cu" #name);                              \
  if (!d->here)                                                                                    \
    return neo_fail(ctx, NEO_UNSUPPORTED, "cuda: the library has no cu" #name);
  FUNCTIONS(X)
#undef X
  return NEO_OK;
}

static neo_status name_device(neo_ctx *ctx, cuda_driver *d) {
  int major = 0, minor = 0, version = 0;
  char arch[24], driver[32];
  NEO_TRY(
      check(ctx, d->get_name(d->base.name, (int)sizeof(d->base.name), d->id), "cuDeviceGetName"));
  NEO_TRY(
      check(ctx, d->attribute(&major, COMPUTE_CAPABILITY_MAJOR, d->id), "cuDeviceGetAttribute"));
  NEO_TRY(
      check(ctx, d->attribute(&minor, COMPUTE_CAPABILITY_MINOR, d->id), "cuDeviceGetAttribute"));
  NEO_TRY(check(ctx, d->version(&version), "cuDriverGetVersion"));
  snprintf(arch, sizeof(arch), "sm_%d%d", major, minor);
  snprintf(driver, sizeof(driver), "driver_%d", version);
  const char *const part[] = {d->base.name, arch, driver};
  neo_device_name(&d->base, NEO_COUNT(part), part);
  return NEO_OK;
}

static neo_status choose_device(neo_ctx *ctx, cuda_driver *d) {
  int n = 0;
  cuda_result code = d->init(0);
  if (code == 0)
    code = d->count(&n);
  if (code == NO_DEVICE || (code == 0 && n < 1))
    return neo_fail(ctx, NEO_UNSUPPORTED, "cuda: there is no device");
  NEO_TRY(check(ctx, code, "cuInit"));
  NEO_TRY(check(ctx, d->get(&d->id, 0), "cuDeviceGet"));
  NEO_TRY(name_device(ctx, d));
  return check(ctx, d->retain(&d->context, d->id), "cuDevicePrimaryCtxRetain");
}

static void close_device(neo_device *device) {
  cuda_driver *d = self_of(device);
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = device->allocator;
  if (d->context)
    d->release(d->id);
  neo_free(&ctx, d);
}

static neo_status open_device(neo_ctx *ctx, neo_device **out) {
  cuda_driver *d = neo_alloc(ctx, sizeof(*d));
  if (!d)
    return neo_fail(ctx, NEO_NO_MEMORY, "cuda: out of memory");
  d->base.row = &neo_device_cuda;
  d->base.allocator = ctx->allocator;
  neo_status status = load_library(ctx, d);
  if (status == NEO_OK)
    status = choose_device(ctx, d);
  if (status == NEO_OK)
    *out = &d->base;
  else
    close_device(&d->base);
  return status;
}

/* ---- memory ------------------------------------------------------------------------------------ */

static cuda_pointer address_of(const neo_device_place *place) {
  return place->memory->at + place->offset;
}

static neo_status alloc_memory(neo_ctx *ctx, neo_device *device, size_t bytes,
                               neo_device_memory **out) {
  cuda_driver *d = self_of(device);
  NEO_TRY(enter(ctx, d));
  neo_device_memory *made = neo_alloc(ctx, sizeof(*made));
  if (!made)
    return neo_fail(ctx, NEO_NO_MEMORY, "cuda: out of memory");
  neo_status status = check(ctx, d->alloc(&made->at, bytes), "cuMemAlloc");
  if (status == NEO_OK)
    *out = made;
  else
    neo_free(ctx, made);
  return status;
}

static void free_memory(neo_device *device, neo_device_memory *memory) {
  cuda_driver *d = self_of(device);
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = device->allocator;
  d->set_current(d->context);
  d->free(memory->at);
  neo_free(&ctx, memory);
}

static neo_status write_memory(neo_ctx *ctx, neo_device *device, const neo_device_place *to,
                               const void *from, size_t bytes) {
  cuda_driver *d = self_of(device);
  NEO_TRY(enter(ctx, d));
  return check(ctx, d->write(address_of(to), from, bytes), "cuMemcpyHtoD");
}

static neo_status read_memory(neo_ctx *ctx, neo_device *device, const neo_device_place *from,
                              void *to, size_t bytes) {
  cuda_driver *d = self_of(device);
  NEO_TRY(enter(ctx, d));
  return check(ctx, d->read(to, address_of(from), bytes), "cuMemcpyDtoH");
}

static neo_status copy_memory(neo_ctx *ctx, neo_device *device, const neo_device_place *from,
                              const neo_device_place *to, size_t bytes) {
  cuda_driver *d = self_of(device);
  NEO_TRY(enter(ctx, d));
  return check(ctx, d->copy(address_of(to), address_of(from), bytes), "cuMemcpyDtoD");
}

/* ---- kernels ----------------------------------------------------------------------------------- */

static neo_status make_program(neo_ctx *ctx, neo_device *device, const char *image, uint64_t size,
                               void **out) {
  cuda_driver *d = self_of(device);
  cuda_module module = NULL;
  (void)size;
  NEO_TRY(enter(ctx, d));
  cuda_result code = d->load(&module, image);
  if (code)
    return neo_fail(ctx, NEO_BAD_INPUT, "cuda: cuModuleLoadData failed with %d", code);
  *out = module;
  return NEO_OK;
}

static void drop_program(neo_device *device, void *program) {
  cuda_driver *d = self_of(device);
  d->set_current(d->context);
  d->unload(program);
}

static neo_status make_kernel(neo_ctx *ctx, neo_device *device, void *program, const char *name,
                              void **out) {
  cuda_driver *d = self_of(device);
  cuda_function function = NULL;
  NEO_TRY(enter(ctx, d));
  cuda_result code = d->get_function(&function, program, name);
  if (code == NOT_FOUND)
    return neo_fail(ctx, NEO_BAD_INPUT, "cuda: the program has no kernel '%.128s'", name);
  NEO_TRY(check(ctx, code, "cuModuleGetFunction"));
  *out = function;
  return NEO_OK;
}

static void drop_kernel(neo_device *device, void *kernel) {
  (void)device; /* it is its module's */
  (void)kernel;
}

static neo_status launch(neo_ctx *ctx, neo_device *device, neo_device_function *function,
                         int64_t groups, const neo_device_place *args) {
  cuda_driver *d = self_of(device);
  cuda_pointer at[MAX_ARGS];
  uint64_t offset[MAX_ARGS];
  void *params[2 * MAX_ARGS];
  for (uint32_t k = 0; k < function->n_args; k++) {
    at[k] = args[k].memory->at;
    offset[k] = args[k].offset;
    params[2 * k] = &at[k];
    params[2 * k + 1] = &offset[k];
  }
  NEO_TRY(enter(ctx, d));
  return check(ctx,
               d->launch(function->kernel, (unsigned)groups, 1, 1, function->items, 1, 1, 0, NULL,
                         params, NULL),
               "cuLaunchKernel");
}

static neo_status finish(neo_ctx *ctx, neo_device *device) {
  cuda_driver *d = self_of(device);
  NEO_TRY(enter(ctx, d));
  return check(ctx, d->synchronize(), "cuCtxSynchronize");
}

const neo_device_row neo_device_cuda = {.api = "cuda",
                                        .open = open_device,
                                        .close = close_device,
                                        .alloc = alloc_memory,
                                        .free = free_memory,
                                        .write = write_memory,
                                        .read = read_memory,
                                        .copy = copy_memory,
                                        .make_program = make_program,
                                        .drop_program = drop_program,
                                        .make_kernel = make_kernel,
                                        .drop_kernel = drop_kernel,
                                        .launch = launch,
                                        .finish = finish};
