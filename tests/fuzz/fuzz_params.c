/* Fuzz target: compiled.params, against a plan that needs as many bytes as the file has, or 64. */
#include "runtime/model.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const int64_t needs[] = {64, (int64_t)size - NEO_PARAMS_HEADER};
  uint8_t *copy = malloc(size ? size : 1);
  neo_assert(copy);
  if (size)
    memcpy(copy, data, size);
  for (int repaired = 0; repaired < 2; repaired++) {
    for (int i = 0; i < NEO_COUNT(needs); i++) {
      neo_ctx ctx;
      neo_ctx_init(&ctx, 1);
      neo_status status = neo_params_check(&ctx, "params", copy, size, needs[i]);
      neo_assert(status == NEO_OK || ctx.message[0] != '\0');
      neo_assert(status != NEO_OK || (int64_t)size == needs[i] + NEO_PARAMS_HEADER);
    }
    if (size < NEO_PARAMS_HEADER)
      break;
    uint32_t crc = neo_crc32(0, copy + NEO_PARAMS_HEADER, size - NEO_PARAMS_HEADER);
    for (int b = 0; b < 4; b++)
      copy[24 + b] = (uint8_t)(crc >> (8 * b));
  }
  free(copy);
  return 0;
}
