/* codegen/cuda_mma.h: matrix instructions of CUDA C. */
#ifndef NEO_CODEGEN_CUDA_MMA_H
#define NEO_CODEGEN_CUDA_MMA_H

#include "codegen/c_printer.h"

/* c_dialect.matrix and .helpers. */
void cuda_print_mma(c_printer *p, neo_buf *out, const neo_matrix_stmt *m);
void cuda_print_mma_helpers(c_printer *p, neo_buf *out);

#endif
