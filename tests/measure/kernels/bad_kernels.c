/* Kernels for Windows of test_wine.c: one that is good, and others. */
#include "neo/abi.h"

int32_t good_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim);
int32_t far_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim);
int32_t near_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim);
int32_t hang_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim);
int32_t illegal_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim);

int32_t good_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)env;
  (void)dim;
  for (int i = 0; i < 64; i++)
    ((float *)buf[0])[i] = (float)i;
  return 0;
}

int32_t far_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)env;
  (void)dim;
  ((volatile char *)buf[0])[-(1 << 20)] = 1;
  return 0;
}

int32_t near_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  good_0(env, buf, dim);
  ((volatile char *)buf[0])[256] = 1;
  return 0;
}

int32_t hang_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)buf;
  (void)dim;
  for (volatile int64_t i = env->begin; i >= 0;)
    continue;
  return 0;
}

int32_t illegal_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)env;
  (void)buf;
  (void)dim;
  __builtin_trap();
}
