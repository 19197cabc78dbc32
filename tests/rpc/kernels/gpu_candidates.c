/* Kernels of a GPU for the board's tests, as tests/runtime/cuda/fake_cuda.c runs them: out = a + b,
 * 10 groups of 100 elements; damaged ones; and one of the processor. */
#include "neo/abi.h"

#define PROGRAM "FAKE\nadd 100 4 add\nlate 100 4 late\nbreak 100 4 fail\n"

typedef struct gpu_kernel {
  neo_device_kernel kernel;
  char name[16], program[80];
} gpu_kernel;

#define KERNEL(symbol, text, ...)                                                                  \
  extern const gpu_kernel symbol##_0;                                                              \
  const gpu_kernel symbol##_0                                                                      \
      __attribute__((aligned(16))) = {{.magic = NEO_DEVICE_MAGIC,                                  \
                                       .items = 100,                                               \
                                       .api = "cuda",                                              \
                                       .n_args = 4,                                                \
                                       .name = sizeof(neo_device_kernel),                          \
                                       .program = sizeof(neo_device_kernel) + 16,                  \
                                       .program_size = sizeof(PROGRAM) - 1,                        \
                                       .align = NEO_DEVICE_ALIGN,                                  \
                                       __VA_ARGS__},                                               \
                                      text,                                                        \
                                      PROGRAM};

KERNEL(good, "add", )
KERNEL(late, "late", )
KERNEL(broken, "break", )
KERNEL(absent, "no_such", )
KERNEL(endless_name, "0123456789abcdef", )
KERNEL(no_items, "add", .items = 0)
KERNEL(many_items, "add", .items = 1u << 31)
KERNEL(few_args, "add", .n_args = 2)
KERNEL(many_args, "add", .n_args = 1u << 31)
KERNEL(no_magic, "add", .magic = 0)
KERNEL(other_api, "add", .api = "vulkan!!")
KERNEL(name_inside, "add", .name = 8)
KERNEL(name_outside, "add", .name = 1u << 31)
KERNEL(program_outside, "add", .program = UINT64_C(1) << 63)
KERNEL(program_around, "add", .program_size = UINT64_MAX)
KERNEL(no_program, "add", .program_size = 0)

extern const char short_0[16] __attribute__((aligned(16)));
const char short_0[16] = {'N', 'E', 'D', '0'};

__attribute__((visibility("default"))) int32_t code_0(const neo_kernel_env *env, void *const *buf,
                                                      const int64_t *dim);
int32_t code_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)dim;
  for (int64_t i = env->begin * 100; i < env->end * 100; i++)
    ((float *)buf[2])[i] = ((const float *)buf[0])[i] + ((const float *)buf[1])[i];
  return 0;
}
