/* In place of count.c on boards that no emulator counts on. */
#include "rpc/board.h"

neo_status neo_count_open(neo_ctx *ctx, const char *path, neo_counters **out) {
  (void)out;
  return neo_fail(ctx, NEO_UNSUPPORTED, "counters '%s': this agent counts nothing", path);
}

void neo_count_close(neo_counters *counters) {
  (void)counters;
}

void neo_count_region(neo_counters *counters, const neo_loaded *object,
                      const neo_harness_memory *data) {
  (void)counters;
  (void)object;
  (void)data;
}

neo_status neo_count_run(neo_ctx *ctx, neo_counters *counters, neo_pool *pool,
                         neo_harness_memory *memory, neo_timing *out) {
  (void)counters;
  (void)pool;
  (void)memory;
  (void)out;
  return neo_fail(ctx, NEO_UNSUPPORTED, "this agent counts nothing");
}
