/* Calls a function that it does not define: refused, and the function is named. */
#include "neo/abi.h"

int32_t from_elsewhere(int32_t v);

__attribute__((visibility("default"))) int32_t imports_0(const neo_kernel_env *env,
                                                         void *const *buf, const int64_t *dim) {
  (void)env;
  (void)dim;
  *(int32_t *)buf[0] = from_elsewhere(3);
  return 0;
}
