/* runtime/model.h: a loaded artifact; between loaded_model.c and session.c. */
#ifndef NEO_RUNTIME_MODEL_H
#define NEO_RUNTIME_MODEL_H

#include "neo/neo_rt.h"
#include "runtime/runtime.h"

struct neo_rt_model {
  void *library; /* compiled.so, compiled.dll */
  const neo_kernel_fn *functions;
  neo_plan *plan;
  const void *map; /* compiled.params, whole */
  size_t map_size;
  const uint8_t *params; /* its data */
  int n_shapes;
  neo_rt_tensor_info *input, *output; /* of shape 0, then of shape 1, ... */
};

/* shape 0 .. n_shapes-1 */
static inline const neo_plan *neo_rt_plan(const neo_rt_model *model, int shape) {
  return shape ? &model->plan->more[shape - 1] : model->plan;
}

/* Turns a failed status and the context's text into the caller's error (which may be NULL); returns
 * the code. */
int neo_rt_report(neo_rt_error *error, neo_status status, const neo_ctx *ctx);
size_t neo_rt_dense_bytes(const neo_plan_value *value);
/* Is this a whole compiled.params with as many bytes of data as the plan needs? */
neo_status neo_params_check(neo_ctx *ctx, const char *path, const uint8_t *file, size_t size,
                            int64_t needed);

#endif
