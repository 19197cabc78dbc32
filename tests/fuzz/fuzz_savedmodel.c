/* Fuzz target: SavedModels: saved_model.pb, its variables' index, their data, as parts. */
#include "tests/fuzz/fuzz_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const names[] = {"saved_model.pb", "variables/variables.index",
                                      "variables/variables.data-00000-of-00001"};
  const uint8_t *part[3];
  size_t length[3];
  char variables[400];
  bool written = true;
  fuzz_parts(data, size, 3, part, length);
  snprintf(variables, sizeof variables, "%s/variables", fuzz_folder());
  mkdir(variables, 0700);
  for (int i = 0; i < 3; i++)
    written = written && fuzz_write(names[i], part[i], length[i]);
  if (written)
    fuzz_import(fuzz_folder(), NULL, 0);
  for (int i = 0; i < 3; i++)
    fuzz_remove(names[i]);
  rmdir(variables);
  return 0;
}
