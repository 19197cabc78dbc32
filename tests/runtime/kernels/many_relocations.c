/* Tables, a switch, calls between functions and sections: what a loader must relocate. */
#include "neo/abi.h"

static const int32_t table[5] = {10, 20, 30, 40, 50};
static const int32_t *const pointers[3] = {table + 1, table + 3, table + 4};
static const double weights[2] = {0.5, 0.25};

__attribute__((noinline, section(".text.other"))) int32_t other(int32_t v) {
  return v + *pointers[v % 3];
}

__attribute__((noinline)) static int32_t pick(int64_t i) {
  switch (i % 6) {
  case 0:
    return 7;
  case 1:
    return 19;
  case 2:
    return -3;
  case 3:
    return 1 << 20;
  case 4:
    return 5;
  default:
    return table[i % 5];
  }
}

__attribute__((visibility("default"))) int32_t many_0(const neo_kernel_env *env, void *const *buf,
                                                      const int64_t *dim) {
  (void)dim;
  double *out = buf[0];
  for (int64_t i = env->begin; i < env->end; i++)
    out[i] = pick(i) * weights[i & 1] + other((int32_t)i);
  return 0;
}

__attribute__((visibility("default"))) int32_t many_1(const neo_kernel_env *env, void *const *buf,
                                                      const int64_t *dim) {
  return many_0(env, buf, dim);
}
