/* Fuzz target: .pt2 archives of torch.export, whole (PK...) or as parts: model.json, the weights'
 * configuration, and the bytes that every weight has. */
#include "tests/fuzz/fuzz_model.h"

#include "tests/frontends/torch_build.h"

enum { WEIGHTS = 8 };

static void archive_of(zip_build *z, const uint8_t *data, size_t size) {
  const uint8_t *part[3];
  size_t length[3];
  fuzz_parts(data, size, 3, part, length);
  zip_text(z, "m/archive_format", "pt2");
  zip_text(z, "m/archive_version", "0");
  zip_add(z, "m/models/model.json", part[0], length[0]);
  zip_add(z, "m/data/weights/model_weights_config.json", part[1], length[1]);
  for (int i = 0; i < WEIGHTS; i++) {
    char name[64];
    snprintf(name, sizeof name, "m/data/weights/weight_%d", i);
    zip_add(z, name, part[2], length[2]);
  }
  zip_end(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  zip_build z = {0};
  bool whole = size >= 2 && memcmp(data, "PK", 2) == 0;
  if (!whole)
    archive_of(&z, data, size);
  int fd =
      whole ? fuzz_file(data, size, path) : fuzz_file((uint8_t *)z.body.data, z.body.size, path);
  if (fd >= 0) {
    fuzz_import(path, NULL, 0);
    close(fd);
  }
  zip_fini(&z);
  return 0;
}
