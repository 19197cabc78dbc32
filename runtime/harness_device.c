/* Kernels of a GPU in the harness.
 *
 * Why: all that is checked of a kernel (red zones, inputs, poison, references) is checked on memory
 * of this process; so a run copies it all to the device, zones included, launches, and copies it
 * back: the checks do not know of devices. Timed runs only launch, on what the last run left or
 * what was loaded behind it.
 *
 * The device has one block per buffer and one for work, each with the red zones of its area. A code
 * of 1000 plus a status stands for a driver's failure. */
#include <string.h>

#include "runtime/harness.h"

enum { DRIVER_FAILED = 1000 };

/* The area with its zones. */
static uint8_t *begin_of(const neo_harness_area *a) {
  return a->start - a->front;
}

static size_t size_of(const neo_harness_area *a) {
  return a->front + a->bytes + a->back;
}

neo_status neo_harness_device_create(neo_ctx *ctx, neo_harness_memory *m) {
  int n = m->kernel.n_buffers + 1;
  m->place = neo_alloc(ctx, (size_t)n * sizeof(*m->place));
  if (!m->place)
    return neo_fail(ctx, NEO_NO_MEMORY, "harness: out of memory");
  for (int i = 0; i < n; i++) {
    m->place[i].offset = m->area[i].front;
    NEO_TRY(neo_device_alloc(ctx, m->kernel.device, size_of(&m->area[i]), &m->place[i].memory));
  }
  return NEO_OK;
}

void neo_harness_device_destroy(neo_ctx *ctx, neo_harness_memory *m) {
  for (int i = 0; m->place && i <= m->kernel.n_buffers; i++)
    neo_device_free(m->kernel.device, m->place[i].memory);
  neo_free(ctx, m->place);
}

static neo_status launch(neo_ctx *ctx, neo_harness_memory *m) {
  const neo_harness_kernel *k = &m->kernel;
  for (int i = 0; i < k->n_launches; i++)
    NEO_TRY(neo_device_launch(ctx, k->device, k->function[i], k->grid[i], m->place));
  return NEO_OK;
}

/* Every area there, or back. */
static neo_status move_areas(neo_ctx *ctx, neo_harness_memory *m, bool to_device) {
  for (int i = 0; i <= m->kernel.n_buffers; i++) {
    const neo_harness_area *a = &m->area[i];
    const neo_device_place start = {m->place[i].memory, 0};
    if (to_device)
      NEO_TRY(neo_device_write(ctx, m->kernel.device, &start, begin_of(a), size_of(a)));
    else
      NEO_TRY(neo_device_read(ctx, m->kernel.device, &start, begin_of(a), size_of(a)));
  }
  return NEO_OK;
}

neo_status neo_harness_device_load(neo_ctx *ctx, neo_harness_memory *m) {
  return move_areas(ctx, m, true);
}

neo_status neo_harness_device_fetch(neo_ctx *ctx, neo_harness_memory *m) {
  return move_areas(ctx, m, false);
}

static neo_status run(neo_ctx *ctx, neo_harness_memory *m) {
  NEO_TRY(move_areas(ctx, m, true));
  NEO_TRY(launch(ctx, m));
  return move_areas(ctx, m, false);
}

static neo_ctx context_of(const neo_harness_memory *m) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = m->allocator;
  return ctx;
}

static int32_t code_of(neo_status status) {
  return status == NEO_OK ? 0 : DRIVER_FAILED + (int32_t)status;
}

int32_t neo_harness_device_run(neo_harness_memory *m) {
  neo_ctx ctx = context_of(m);
  return code_of(run(&ctx, m));
}

int32_t neo_harness_device_repeat(neo_harness_memory *m, int repeat) {
  neo_ctx ctx = context_of(m);
  neo_status status = NEO_OK;
  for (int i = 0; i < repeat && status == NEO_OK; i++)
    status = launch(&ctx, m);
  if (status == NEO_OK)
    status = neo_device_finish(&ctx, m->kernel.device);
  return code_of(status);
}
