/* GPUs through OpenCL 1.2: libOpenCL.so.1, loaded at run time.
 *
 * Why no header of OpenCL: boards' agents and libneo_rt are built where there is none; the few
 * functions are declared here, as the specification (Khronos, OpenCL 1.2) has them.
 *
 * How: one context, one in-order queue. The device is the first GPU of all platforms, else the
 * first device of any kind (PoCL's is the processor). A program is compiled from the kernel's text
 * once for all kernels that have the same text; its errors come with the compiler's log. Arguments
 * of a kernel are a cl_mem and an offset each: sub-buffers would have to be aligned as each device
 * likes.
 */
#include <string.h>

#include "runtime/device.h"
#include "runtime/os.h"

typedef int32_t cl_int;
typedef uint32_t cl_uint;
typedef uint64_t cl_ulong;
typedef struct _cl_object
    *cl_object; /* platform, device, context, queue, program, kernel, memory */

enum {
  DEVICE_TYPE_GPU = 1 << 2,
  DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
  DEVICE_SINGLE_FP_CONFIG = 0x101B,
  DEVICE_NAME = 0x102B,
  DEVICE_VENDOR = 0x102C,
  DRIVER_VERSION = 0x102D,
  DEVICE_VERSION = 0x102F,
  FP_CORRECTLY_ROUNDED_DIVIDE_SQRT = 1 << 7,
  MEM_READ_WRITE = 1 << 0,
  PROGRAM_BUILD_LOG = 0x1183,
  INVALID_KERNEL_NAME = -46,
  MAX_PLATFORMS = 16
};
static const cl_ulong device_type_all = 0xFFFFFFFF;

/* X(result, name without cl, parameters) */
#define FUNCTIONS(X)                                                                               \
  X(cl_int, GetPlatformIDs, (cl_uint, cl_object *, cl_uint *))                                     \
  X(cl_int, GetDeviceIDs, (cl_object, cl_ulong, cl_uint, cl_object *, cl_uint *))                  \
  X(cl_int, GetDeviceInfo, (cl_object, cl_uint, size_t, void *, size_t *))                         \
  X(cl_object, CreateContext,                                                                      \
    (const intptr_t *, cl_uint, const cl_object *, void *, void *, cl_int *))                      \
  X(cl_int, ReleaseContext, (cl_object))                                                           \
  X(cl_object, CreateCommandQueue, (cl_object, cl_object, cl_ulong, cl_int *))                     \
  X(cl_int, ReleaseCommandQueue, (cl_object))                                                      \
  X(cl_object, CreateBuffer, (cl_object, cl_ulong, size_t, void *, cl_int *))                      \
  X(cl_int, ReleaseMemObject, (cl_object))                                                         \
  X(cl_object, CreateProgramWithSource,                                                            \
    (cl_object, cl_uint, const char **, const size_t *, cl_int *))                                 \
  X(cl_int, BuildProgram, (cl_object, cl_uint, const cl_object *, const char *, void *, void *))   \
  X(cl_int, GetProgramBuildInfo, (cl_object, cl_object, cl_uint, size_t, void *, size_t *))        \
  X(cl_int, ReleaseProgram, (cl_object))                                                           \
  X(cl_object, CreateKernel, (cl_object, const char *, cl_int *))                                  \
  X(cl_int, SetKernelArg, (cl_object, cl_uint, size_t, const void *))                              \
  X(cl_int, ReleaseKernel, (cl_object))                                                            \
  X(cl_int, EnqueueNDRangeKernel,                                                                  \
    (cl_object, cl_object, cl_uint, const size_t *, const size_t *, const size_t *, cl_uint,       \
     const cl_object *, cl_object *))                                                              \
  X(cl_int, EnqueueWriteBuffer,                                                                    \
    (cl_object, cl_object, cl_uint, size_t, size_t, const void *, cl_uint, const cl_object *,      \
     cl_object *))                                                                                 \
  X(cl_int, EnqueueReadBuffer,                                                                     \
    (cl_object, cl_object, cl_uint, size_t, size_t, void *, cl_uint, const cl_object *,            \
     cl_object *))                                                                                 \
  X(cl_int, EnqueueCopyBuffer,                                                                     \
    (cl_object, cl_object, cl_object, size_t, size_t, size_t, cl_uint, const cl_object *,          \
     cl_object *))                                                                                 \
  X(cl_int, Finish, (cl_object))

typedef struct opencl_device {
  neo_device base;
  void *library;
#define X(result, name, parameters) result(*name) parameters;
  FUNCTIONS(X)
#undef X
  cl_object device, context, queue;
  bool exact_division;
} opencl_device;

const neo_device_row neo_device_opencl;

static opencl_device *self_of(neo_device *device) {
  return (opencl_device *)device;
}

static neo_ctx own_context(const neo_device *device) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = device->allocator;
  return ctx;
}

/* OpenCL's codes of memory that is not there: device, host, object. */
static neo_status check(neo_ctx *ctx, cl_int code, const char *what) {
  if (code == 0)
    return NEO_OK;
  bool memory = code == -4 || code == -5 || code == -6 || code == -61;
  return neo_fail(ctx, memory ? NEO_NO_MEMORY : NEO_INTERNAL, "opencl: %s failed with %d", what,
                  (int)code);
}

/* ---- opening ----------------------------------------------------------------------------------- */

static neo_status load_library(neo_ctx *ctx, opencl_device *d) {
  static const char *const names[] = {"libOpenCL.so.1", "libOpenCL.so", "OpenCL.dll"};
  for (int k = 0; k < NEO_COUNT(names) && !d->library; k++)
    d->library = neo_os_library_find(names[k]);
  if (!d->library)
    return neo_fail(ctx, NEO_UNSUPPORTED, "opencl: libOpenCL.so.1 is not installed here");
#define X(result, name, parameters)                                                                \
  *(void **)&d->name = neo_os_library_symbol(d->library, "cl" #name);                              \
  if (!d->name)                                                                                    \
    return neo_fail(ctx, NEO_UNSUPPORTED, "opencl: the library has no cl" #name);
  FUNCTIONS(X)
#undef X
  return NEO_OK;
}

static bool find_device(opencl_device *d, const cl_object *platforms, cl_uint n, cl_ulong type) {
  for (cl_uint k = 0; k < n; k++) {
    cl_uint found = 0;
    if (d->GetDeviceIDs(platforms[k], type, 1, &d->device, &found) == 0 && found > 0)
      return true;
  }
  return false;
}

/* Adreno's number stands in no text but the version of the device. */
static void name_device(opencl_device *d) {
  static const cl_uint asked[] = {DEVICE_NAME, DEVICE_VENDOR, DEVICE_VERSION, DRIVER_VERSION};
  char text[NEO_COUNT(asked)][256] = {""};
  const char *part[NEO_COUNT(asked)];
  for (int k = 0; k < NEO_COUNT(asked); k++) {
    if (d->GetDeviceInfo(d->device, asked[k], sizeof(text[k]) - 1, text[k], NULL) != 0)
      text[k][0] = '\0';
    part[k] = text[k];
  }
  snprintf(d->base.name, sizeof(d->base.name), "%.127s", text[0][0] ? text[0] : "unknown");
  neo_device_name(&d->base, NEO_COUNT(part), part);
}

static neo_status choose_device(neo_ctx *ctx, opencl_device *d) {
  cl_object platforms[MAX_PLATFORMS];
  cl_uint n = 0;
  cl_ulong config = 0;
  if (d->GetPlatformIDs(MAX_PLATFORMS, platforms, &n) != 0 || n == 0)
    return neo_fail(ctx, NEO_UNSUPPORTED, "opencl: no platform is installed here");
  n = n < MAX_PLATFORMS ? n : MAX_PLATFORMS;
  if (!find_device(d, platforms, n, DEVICE_TYPE_GPU) &&
      !find_device(d, platforms, n, device_type_all))
    return neo_fail(ctx, NEO_UNSUPPORTED, "opencl: no platform has a device");
  name_device(d);
  d->GetDeviceInfo(d->device, DEVICE_SINGLE_FP_CONFIG, sizeof(config), &config, NULL);
  d->exact_division = config & FP_CORRECTLY_ROUNDED_DIVIDE_SQRT;
  return check(ctx,
               d->GetDeviceInfo(d->device, DEVICE_MAX_WORK_GROUP_SIZE, sizeof(d->base.most_items),
                                &d->base.most_items, NULL),
               "clGetDeviceInfo");
}

static neo_status create_queue(neo_ctx *ctx, opencl_device *d) {
  cl_int code = 0;
  d->context = d->CreateContext(NULL, 1, &d->device, NULL, NULL, &code);
  NEO_TRY(check(ctx, code, "clCreateContext"));
  d->queue = d->CreateCommandQueue(d->context, d->device, 0, &code);
  return check(ctx, code, "clCreateCommandQueue");
}

/* The library stays: drivers are not made to be unloaded. */
static void close_device(neo_device *device) {
  opencl_device *d = self_of(device);
  neo_ctx ctx = own_context(device);
  if (d->queue)
    d->ReleaseCommandQueue(d->queue);
  if (d->context)
    d->ReleaseContext(d->context);
  neo_free(&ctx, d);
}

static neo_status open_device(neo_ctx *ctx, neo_device **out) {
  opencl_device *d = neo_alloc(ctx, sizeof(*d));
  if (!d)
    return neo_fail(ctx, NEO_NO_MEMORY, "opencl: out of memory");
  d->base.row = &neo_device_opencl;
  d->base.allocator = ctx->allocator;
  neo_status status = load_library(ctx, d);
  if (status == NEO_OK)
    status = choose_device(ctx, d);
  if (status == NEO_OK)
    status = create_queue(ctx, d);
  if (status == NEO_OK)
    *out = &d->base;
  else
    close_device(&d->base);
  return status;
}

/* ---- memory ------------------------------------------------------------------------------------ */

static cl_object object_of(neo_device_memory *memory) {
  return (cl_object)(void *)memory;
}

static neo_status alloc_memory(neo_ctx *ctx, neo_device *device, size_t bytes,
                               neo_device_memory **out) {
  opencl_device *d = self_of(device);
  cl_int code = 0;
  cl_object made = d->CreateBuffer(d->context, MEM_READ_WRITE, bytes, NULL, &code);
  NEO_TRY(check(ctx, code, "clCreateBuffer"));
  *out = (neo_device_memory *)(void *)made;
  return NEO_OK;
}

static void free_memory(neo_device *device, neo_device_memory *memory) {
  self_of(device)->ReleaseMemObject(object_of(memory));
}

static neo_status write_memory(neo_ctx *ctx, neo_device *device, const neo_device_place *to,
                               const void *from, size_t bytes) {
  opencl_device *d = self_of(device);
  return check(ctx,
               d->EnqueueWriteBuffer(d->queue, object_of(to->memory), 1, (size_t)to->offset, bytes,
                                     from, 0, NULL, NULL),
               "clEnqueueWriteBuffer");
}

static neo_status read_memory(neo_ctx *ctx, neo_device *device, const neo_device_place *from,
                              void *to, size_t bytes) {
  opencl_device *d = self_of(device);
  return check(ctx,
               d->EnqueueReadBuffer(d->queue, object_of(from->memory), 1, (size_t)from->offset,
                                    bytes, to, 0, NULL, NULL),
               "clEnqueueReadBuffer");
}

static neo_status copy_memory(neo_ctx *ctx, neo_device *device, const neo_device_place *from,
                              const neo_device_place *to, size_t bytes) {
  opencl_device *d = self_of(device);
  return check(ctx,
               d->EnqueueCopyBuffer(d->queue, object_of(from->memory), object_of(to->memory),
                                    (size_t)from->offset, (size_t)to->offset, bytes, 0, NULL, NULL),
               "clEnqueueCopyBuffer");
}

/* ---- kernels ----------------------------------------------------------------------------------- */

static neo_status fail_build(neo_ctx *ctx, opencl_device *d, cl_object program, cl_int code) {
  char log[600] = "";
  size_t size = 0;
  d->GetProgramBuildInfo(program, d->device, PROGRAM_BUILD_LOG, 0, NULL, &size);
  if (size > 0 && size < (1 << 20)) {
    char *whole = neo_alloc(ctx, size + 1);
    if (whole &&
        d->GetProgramBuildInfo(program, d->device, PROGRAM_BUILD_LOG, size, whole, NULL) == 0)
      snprintf(log, sizeof(log), "%s", whole);
    neo_free(ctx, whole);
  }
  return neo_fail(ctx, NEO_BAD_INPUT, "opencl: clBuildProgram failed with %d: %s", (int)code, log);
}

static neo_status make_program(neo_ctx *ctx, neo_device *device, const char *text, uint64_t size,
                               void **out) {
  opencl_device *d = self_of(device);
  size_t length = (size_t)size;
  cl_int code = 0;
  cl_object program = d->CreateProgramWithSource(d->context, 1, &text, &length, &code);
  NEO_TRY(check(ctx, code, "clCreateProgramWithSource"));
  const char *options =
      d->exact_division ? "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt" : "-cl-std=CL1.2";
  code = d->BuildProgram(program, 1, &d->device, options, NULL, NULL);
  if (code) {
    neo_status status = fail_build(ctx, d, program, code);
    d->ReleaseProgram(program);
    return status;
  }
  *out = program;
  return NEO_OK;
}

static void drop_program(neo_device *device, void *program) {
  self_of(device)->ReleaseProgram(program);
}

static neo_status make_kernel(neo_ctx *ctx, neo_device *device, void *program, const char *name,
                              void **out) {
  cl_int code = 0;
  cl_object kernel = self_of(device)->CreateKernel(program, name, &code);
  if (code == INVALID_KERNEL_NAME)
    return neo_fail(ctx, NEO_BAD_INPUT, "opencl: the program has no kernel '%.128s'", name);
  NEO_TRY(check(ctx, code, "clCreateKernel"));
  *out = kernel;
  return NEO_OK;
}

static void drop_kernel(neo_device *device, void *kernel) {
  self_of(device)->ReleaseKernel(kernel);
}

static neo_status launch(neo_ctx *ctx, neo_device *device, neo_device_function *function,
                         int64_t groups, const neo_device_place *args) {
  opencl_device *d = self_of(device);
  const neo_device_function *f = function;
  for (uint32_t k = 0; k < f->n_args; k++) {
    cl_object memory = object_of(args[k].memory);
    cl_ulong offset = args[k].offset;
    NEO_TRY(
        check(ctx, d->SetKernelArg(f->kernel, 2 * k, sizeof(memory), &memory), "clSetKernelArg"));
    NEO_TRY(check(ctx, d->SetKernelArg(f->kernel, 2 * k + 1, sizeof(offset), &offset),
                  "clSetKernelArg"));
  }
  size_t items = f->items, all = (size_t)groups * items;
  return check(ctx,
               d->EnqueueNDRangeKernel(d->queue, f->kernel, 1, NULL, &all, &items, 0, NULL, NULL),
               "clEnqueueNDRangeKernel");
}

static neo_status finish(neo_ctx *ctx, neo_device *device) {
  opencl_device *d = self_of(device);
  return check(ctx, d->Finish(d->queue), "clFinish");
}

const neo_device_row neo_device_opencl = {.api = "opencl",
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
