/* Fuzz target: index files of tensor bundles, beside a shard of 4096 zero bytes. */
#include "frontends/tensorflow_bundle.h"
#include "tests/fuzz/fuzz_target.h"

#define KEY "variables/0/.ATTRIBUTES/VARIABLE_VALUE"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t zeros[4096];
  char prefix[400];
  neo_ctx ctx;
  tf_bundle *bundle = NULL;
  neo_ctx_init(&ctx, 1);
  snprintf(prefix, sizeof prefix, "%s/v", fuzz_folder());
  if (fuzz_write("v.index", data, size) &&
      fuzz_write("v.data-00000-of-00001", zeros, sizeof zeros) &&
      tf_bundle_open(&ctx, prefix, &bundle) == NEO_OK) {
    const uint8_t *bytes;
    size_t n;
    if (tf_bundle_find(bundle, KEY))
      tf_bundle_data(&ctx, bundle, KEY, &bytes, &n);
    tf_bundle_close(bundle);
  }
  fuzz_remove("v.index");
  fuzz_remove("v.data-00000-of-00001");
  return 0;
}
