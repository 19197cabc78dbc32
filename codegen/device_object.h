/* codegen/device_object.h: kernels of a GPU as a relocatable object, as neo/abi.h says. */
#ifndef NEO_CODEGEN_DEVICE_OBJECT_H
#define NEO_CODEGEN_DEVICE_OBJECT_H

#include "codegen/codegen.h"

/* program: for the driver of the target's GPU, with one kernel SYMBOL_k per launch k of the nest.
 */
neo_status device_object_build(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                               const char *symbol, const neo_buf *program, neo_object *out);

#endif
