/* rpc/counters.h: the page that an emulated board shares with the plugin in its emulator
 * (count_plugin.c): which code is counted, and the counts.
 *
 * Layout: seven little-endian u64. The plugin writes the cost of a miss when it starts. The board
 * writes the region before the code in it first runs (what was translated before is not counted)
 * and zeroes the counts; the plugin adds. Only one process runs counted code at a time, on one
 * thread, so nothing is atomic. */
#ifndef NEO_RPC_COUNTERS_H
#define NEO_RPC_COUNTERS_H

#include <stdint.h>

typedef struct neo_counters {
  uint64_t region, region_bytes; /* addresses in the board's memory */
  uint64_t data, data_bytes;     /* the kernel's memory */
  uint64_t instructions;         /* executed in the region; Hexagon: packets of them */
  uint64_t misses; /* of accesses to data and region, in a simulated first-level cache */
  uint64_t miss_cost;
} neo_counters;

#define NEO_COUNTERS_BYTES 4096

/* An instruction costs 1; a miss, if nothing else is said, what waiting for the second-level cache
 * costs a small in-order core: about ten instructions. */
#define NEO_MISS_COST 10

#endif
