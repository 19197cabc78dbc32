/* runtime/harness.h: inside of a neo_harness_memory; between harness_memory.c, harness_verify.c and
 * harness_time.c. */
#ifndef NEO_RUNTIME_HARNESS_H
#define NEO_RUNTIME_HARNESS_H

#include "runtime/runtime.h"

enum { NEO_ZONE_PATTERN = 4096 };

/* A stretch of memory that a kernel may write, with the red zones around it. */
typedef struct neo_harness_area {
  uint8_t *start;
  size_t bytes, front, back; /* of the area, and of the zones before and behind it */
  size_t slack;              /* unused bytes before the front zone */
  int buffer;                /* number for reports: n_buffers is work, n_buffers + 1 scratch */
} neo_harness_area;

struct neo_harness_memory {
  const neo_allocator *allocator;
  neo_harness_kernel kernel; /* with arrays of its own */
  int threads;
  uint8_t *map;
  size_t map_size;
  void **buf;
  neo_harness_area *area; /* buffers, work, then scratch per worker */
  int n_areas;
  uint8_t *work, *scratch; /* where the kernel has them: here or beside */
  int64_t scratch_stride;
  uint8_t pattern[NEO_ZONE_PATTERN];
  neo_device_place *place; /* kernels of a GPU: by buffer, then of work; else NULL */
};

/* harness_device.c: blocks of the device for the memory's areas, zones included; they go with the
 * memory. Runs return what neo_pool_launch does. */
neo_status neo_harness_device_create(neo_ctx *ctx, neo_harness_memory *m);
void neo_harness_device_destroy(neo_ctx *ctx, neo_harness_memory *m);
/* Copies all areas there, as a run does; or back, so that what timed runs did can be checked. */
neo_status neo_harness_device_load(neo_ctx *ctx, neo_harness_memory *m);
neo_status neo_harness_device_fetch(neo_ctx *ctx, neo_harness_memory *m);
int32_t neo_harness_device_run(neo_harness_memory *m);
int32_t neo_harness_device_repeat(neo_harness_memory *m, int repeat);

/* Is it a constant that is used where the case has it? */
bool neo_harness_borrows(const neo_harness_memory *m, int buffer);
/* Is it a buffer of the memory beside? */
bool neo_harness_shares(const neo_harness_memory *m, int buffer);
/* Makes data, of the buffer's size, the input's content. */
void neo_harness_load(neo_harness_memory *m, int buffer, const void *data);

#endif
