/* libFuzzer target: XGBoost files, JSON, UBJSON and binary. Nothing may crash, leak or take memory
 * out of proportion. */
#include "tests/fuzz/fuzz_model_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  return fuzz_model_file("xgboost", data, size);
}
