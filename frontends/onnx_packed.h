/* frontends/onnx_packed.h: how ONNX packs elements of 4 and 2 bits. */
#ifndef NEO_FRONTENDS_ONNX_PACKED_H
#define NEO_FRONTENDS_ONNX_PACKED_H

#include "ir/graph.h"

size_t onnx_packed_bytes(int bits, int64_t n); /* of n elements of so many bits in the file */
/* n elements of the tensor's narrow type, a byte each from then on. */
void onnx_packed_store(const uint8_t *data, int64_t n, neo_tensor *to);

#endif
