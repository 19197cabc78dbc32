/* Fuzz target: trained cost models, as the bytes are and as trees behind a header that is made
 * right, so that what lies behind the checksum is reached. What is accepted must be walkable and
 * give the same file. */
#include "search/search.h"
#include "tests/fuzz/fuzz_target.h"

#include <math.h>

static void load(const void *data, size_t size) {
  neo_ctx ctx;
  neo_trained *trained = NULL;
  neo_ctx_init(&ctx, 1);
  neo_status status = neo_trained_load(&ctx, data, size, &trained);
  neo_assert(status == NEO_OK || status == NEO_BAD_INPUT || status == NEO_UNSUPPORTED);
  if (status != NEO_OK)
    return;
  size_t size_again = 0;
  const char *file = neo_trained_file(trained, &size_again);
  neo_assert(size_again == size && memcmp(file, data, size) == 0);
  for (int step = -2; step <= 2; step++) {
    float features[NEO_FEATURES];
    for (int i = 0; i < NEO_FEATURES; i++)
      features[i] = (float)(step * (i % 7));
    neo_assert(isfinite(neo_trained_residual(trained, features)));
  }
  neo_trained_destroy(trained);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_buf body = {0}, file = {0};
  load(data, size);
  neo_buf_printf(&body, "bytes=%zu features=%d feature-version=%d rows=20 target=made-up\n", size,
                 NEO_FEATURES, NEO_FEATURE_VERSION);
  neo_buf_append(&body, data, size);
  neo_buf_printf(&file, "neo-cost-model 1 crc32=%08x ", neo_crc32(0, body.data, body.size));
  neo_buf_append(&file, body.data, body.size);
  load(file.data, file.size);
  neo_buf_fini(&body);
  neo_buf_fini(&file);
  return 0;
}
