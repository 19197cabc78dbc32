/* The liar that keeps its result in static storage: out = 2 a + b is computed once. The loader
 * refuses it. */
#include "neo/abi.h"

enum { N = 1000, STEP = 100 };
static float kept[N];
static int32_t mark[N / STEP];

__attribute__((visibility("default"))) int32_t
caches_in_static_0(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)dim;
  float *out = buf[2];
  for (int64_t g = env->begin; g < env->end; g++) {
    for (int64_t i = g * STEP; i < (g + 1) * STEP; i++) {
      if (!mark[g])
        kept[i] = 2.0f * ((const float *)buf[0])[i] + ((const float *)buf[1])[i];
      out[i] = kept[i];
    }
    mark[g] = 1;
  }
  return 0;
}
