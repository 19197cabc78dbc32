/* Has .bss: refused by the loader, since a kernel keeps no state. */
#include "neo/abi.h"

static int calls;

__attribute__((visibility("default"))) int32_t state_0(const neo_kernel_env *env, void *const *buf,
                                                       const int64_t *dim) {
  (void)env;
  (void)dim;
  *(int32_t *)buf[0] = ++calls;
  return 0;
}
