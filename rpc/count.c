/* Counting instead of timing, on a board that is emulated with count_plugin.c: the page is mapped
 * when the board starts and shared with its children. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "rpc/board.h"

neo_status neo_count_open(neo_ctx *ctx, const char *path, neo_counters **out) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : -1;
  void *page = size >= NEO_COUNTERS_BYTES
                   ? mmap(NULL, NEO_COUNTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
                   : MAP_FAILED;
  const char *why = fd < 0 || size >= NEO_COUNTERS_BYTES ? strerror(errno) : "too short";
  if (fd >= 0)
    close(fd);
  if (page == MAP_FAILED)
    return neo_fail(ctx, NEO_USAGE, "counters '%s': %s", path, why);
  *out = page;
  return NEO_OK;
}

void neo_count_close(neo_counters *counters) {
  if (counters)
    munmap(counters, NEO_COUNTERS_BYTES);
}

void neo_count_region(neo_counters *counters, const neo_loaded *object,
                      const neo_harness_memory *data) {
  size_t size = 0;
  const uint8_t *memory = object ? neo_object_memory(object, &size) : NULL;
  counters->region = (uint64_t)(uintptr_t)memory;
  counters->region_bytes = size;
  memory = neo_harness_memory_extent(data, &size);
  counters->data = (uint64_t)(uintptr_t)memory;
  counters->data_bytes = size;
}

/* The run before fills the cache. */
neo_status neo_count_run(neo_ctx *ctx, neo_counters *counters, neo_pool *pool,
                         neo_harness_memory *memory, neo_timing *out) {
  volatile neo_counters *live = counters; /* written behind the compiler's back */
  int32_t code = neo_harness_memory_run(memory, pool);
  live->instructions = 0;
  live->misses = 0;
  if (!code)
    code = neo_harness_memory_run(memory, pool);
  if (code)
    return neo_fail(ctx, NEO_BAD_INPUT, "kernel returned %d while it was counted", (int)code);
  if (live->instructions == 0)
    return neo_fail(ctx, NEO_INTERNAL, "nothing was counted: is the emulator's plugin loaded?");
  double cost = (double)live->instructions + (double)live->miss_cost * (double)live->misses;
  *out = (neo_timing){.n = 1, .ns = {cost}, .typical = cost};
  return NEO_OK;
}
