/* frontends/onnx_packed.h: ONNX element types that are widened when read. */
#ifndef NEO_FRONTENDS_ONNX_PACKED_H
#define NEO_FRONTENDS_ONNX_PACKED_H

#include "ir/graph.h"

bool onnx_packed_dtype(int32_t type, neo_dtype *out); /* false: not one of them */
size_t onnx_packed_bytes(int32_t type, int64_t n);    /* of n elements in the file */
void onnx_packed_store(int32_t type, const uint8_t *data, int64_t n, neo_tensor *to);

#endif
