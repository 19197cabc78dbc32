/* Absolute 32-bit addresses (where the compiler makes them: compiled without PIC). */
#include "neo/abi.h"

static const int32_t table[4] = {3, 1, 4, 1};

__attribute__((visibility("default"))) int32_t absolute_0(const neo_kernel_env *env,
                                                          void *const *buf, const int64_t *dim) {
  (void)dim;
  for (int64_t i = env->begin; i < env->end; i++)
    ((int32_t *)buf[0])[i] = table[i & 3];
  return 0;
}
