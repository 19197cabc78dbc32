/* Fuzz target: model files of one file, in any format: what is seeded decides which. */
#include "tests/fuzz/fuzz_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  int fd = fuzz_file(data, size, path);
  if (fd < 0)
    return 0;
  fuzz_import(path, NULL, 0);
  close(fd);
  return 0;
}
