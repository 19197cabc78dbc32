/* libFuzzer target: index files of tensor bundles, beside a shard of 4096 zero bytes. */
#include "frontends/tensorflow_bundle.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool write_file(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  if (!file)
    return false;
  bool written = fwrite(data, 1, size, file) == size;
  return fclose(file) == 0 && written;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char zeros[4096];
  char prefix[64], index[96], shard[96];
  neo_ctx ctx;
  tf_bundle *bundle = NULL;
  neo_ctx_init(&ctx, 1);
  snprintf(prefix, sizeof prefix, "/tmp/neo-fuzz-%d", (int)getpid());
  snprintf(index, sizeof index, "%s.index", prefix);
  snprintf(shard, sizeof shard, "%s.data-00000-of-00001", prefix);
  if (write_file(index, data, size) && write_file(shard, zeros, sizeof zeros) &&
      tf_bundle_open(&ctx, prefix, &bundle) == NEO_OK) {
    const uint8_t *bytes;
    size_t n;
    if (tf_bundle_find(bundle, "variables/0/.ATTRIBUTES/VARIABLE_VALUE"))
      tf_bundle_data(&ctx, bundle, "variables/0/.ATTRIBUTES/VARIABLE_VALUE", &bytes, &n);
    tf_bundle_close(bundle);
  }
  unlink(index);
  unlink(shard);
  return 0;
}
