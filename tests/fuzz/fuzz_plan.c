/* Fuzz target: the plan's decoder, as the bytes are and with size and checksum made right, so that
 * what lies behind them is reached. What is accepted must survive being written and read again. */

#include "runtime/plan.h"
#include "tests/fuzz/fuzz_target.h"

enum { HEADER = 24, FUNCTIONS = 3 };

static void put_le(uint8_t *at, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++)
    at[i] = (uint8_t)(v >> (8 * i));
}

static void decode(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_plan *plan = NULL, *again = NULL;
  if (neo_plan_decode(&ctx, data, size, FUNCTIONS, &plan) != NEO_OK)
    return;
  neo_buf bytes = {0};
  neo_assert(neo_plan_encode(&ctx, plan, &bytes) == NEO_OK);
  neo_assert(bytes.size == size && memcmp(bytes.data, data, size) == 0);
  neo_assert(neo_plan_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, FUNCTIONS, &again) ==
             NEO_OK);
  neo_plan_free(&ctx, plan);
  neo_plan_free(&ctx, again);
  neo_buf_fini(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  decode(data, size);
  uint8_t *copy = size >= HEADER ? malloc(size) : NULL;
  if (!copy)
    return 0;
  memcpy(copy, data, size);
  put_le(copy + 16, size - HEADER, 8);
  put_le(copy + 12, neo_crc32(0, copy + HEADER, size - HEADER), 4);
  decode(copy, size);
  free(copy);
  return 0;
}
