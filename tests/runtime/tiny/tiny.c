/* compiled.so of the tiny model of make_tiny.c, written by hand: two kernels, the plan, and the
 * module that ties them. */
#include "neo/abi.h"

#ifndef TINY_MAGIC
#define TINY_MAGIC NEO_MODULE_MAGIC
#endif
#ifndef TINY_ABI
#define TINY_ABI NEO_ABI_VERSION
#endif

/* buf: x, bias, factor, sum; one grid index a row; the sum goes into work. */
static int32_t add(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)dim;
  const float *x = buf[0], *bias = buf[1];
  float *sum = env->work;
  for (int64_t row = env->begin; row < env->end; row++)
    for (int i = 0; i < 3; i++)
      sum[3 * row + i] = x[3 * row + i] + bias[i];
  return 0;
}

/* One grid index an element; by way of scratch. A factor of 13 is a failure. */
static int32_t multiply(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)dim;
  const float *sum = env->work, *factor = buf[2];
  float *out = buf[3], *scratch = env->scratch;
  if (*factor == 13.0f)
    return 77;
  for (int64_t i = env->begin; i < env->end; i++) {
    *scratch = sum[i] * *factor;
    out[i] = *scratch;
  }
  return 0;
}

#ifdef TINY_DEVICE
/* Of four buffers; the program is for tests/runtime/cuda/fake_cuda.c. */
static const struct {
  neo_device_kernel kernel;
  char name[8], program[32];
} device_kernel = {{NEO_DEVICE_MAGIC, 32, "cuda", 5, sizeof(neo_device_kernel),
                    sizeof(neo_device_kernel) + 8, 20, NEO_DEVICE_ALIGN, 0},
                   "none",
                   "FAKE\nnone 32 5 none\n"};
static const neo_kernel_fn functions[2] = {(neo_kernel_fn)&device_kernel, multiply};
#else
static const neo_kernel_fn functions[2] = {add, multiply};
#endif
static const uint8_t plan[] = {
#include "tiny_plan.inc"
};

__attribute__((visibility("default"))) extern const neo_module
    neo_module_table __asm__("neo_module");
const neo_module neo_module_table = {TINY_MAGIC, TINY_ABI, sizeof(plan), plan, 2, functions};
