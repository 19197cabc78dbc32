/* libFuzzer target: Keras files, .h5 and .keras. Nothing may crash, leak or take memory out of
 * proportion. */
#include "tests/fuzz/fuzz_model_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_model_file("keras", data, size);
}
