/* Fuzz target: MXNet models: a symbol.json, a NUL, and the .params that lies beside it. */
#include "tests/fuzz/fuzz_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const neo_binding bindings[] = {{"data", {4, {2, 4, 16, 16}}, false, NEO_F32},
                                  {"data2", {4, {2, 3, 16, 16}}, false, NEO_F32}};
  char path[400];
  const uint8_t *end = size ? memchr(data, 0, size) : NULL;
  size_t json = end ? (size_t)(end - data) : size;
  snprintf(path, sizeof path, "%s/net-symbol.json", fuzz_folder());
  if (fuzz_write("net-symbol.json", data, json) &&
      fuzz_write("net-0000.params", data + json + (end != NULL), size - json - (end != NULL)))
    fuzz_import(path, bindings, NEO_COUNT(bindings));
  fuzz_remove("net-symbol.json");
  fuzz_remove("net-0000.params");
  return 0;
}
