/* codegen/cuda_nvrtc.h: NVRTC, Nvidia's compiler of CUDA C as a library. */
#ifndef NEO_CODEGEN_CUDA_NVRTC_H
#define NEO_CODEGEN_CUDA_NVRTC_H

#include "base/core.h"

/* Appends the cubin for model "sm_NN", or the PTX for "compute_NN". NEO_UNSUPPORTED: NVRTC is not
 * installed (scripts/nvrtc.sh), or does not know the model. */
neo_status cuda_nvrtc_compile(neo_ctx *ctx, const char *source, const char *model, neo_buf *out);

#endif
