/* frontends/onnx_packed.c: constants of 4 and 2 bits: several elements a byte, low bits first
 * (comments of onnx.proto); we keep a byte for each. 8-bit floats are bytes already. */
#include "frontends/onnx_packed.h"

size_t onnx_packed_bytes(int bits, int64_t n) {
  return ((size_t)n * (size_t)bits + 7) / 8;
}

void onnx_packed_store(const uint8_t *data, int64_t n, neo_tensor *to) {
  int bits = neo_narrow_bits(to->dtype), per_byte = 8 / bits, mask = (1 << bits) - 1;
  for (int64_t i = 0; i < n; i++) {
    int v = data[i / per_byte] >> (int)(i % per_byte) * bits & mask;
    if (neo_narrow_find(to->dtype))
      ((uint8_t *)to->data)[i] = (uint8_t)v;
    else
      neo_tensor_set_i64(to, i, v);
  }
}
