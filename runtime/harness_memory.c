/* The memory that a kernel works in while it is verified and timed.
 *
 * Why: a candidate may write anywhere. What it writes next to a buffer must be noticed (red zones
 * that begin at the very next byte), and what it writes far away must hit an unmapped page and not
 * another buffer.
 *
 * Layout of the one mapping: guard | zone area zone | guard | zone area zone | ... Guards are
 * unmapped pages. Areas begin at different offsets in their pages, multiples of 64: buffers that
 * all begin at a page boundary would meet in the same cache sets and make every kernel look slower
 * than it is. Buffers that are elsewhere (constants borrowed, data shared with the memory beside)
 * have an area of no bytes. Page faults would be half of a
 * short job's time, so what is left is made present in one call. Large areas lie in whole huge
 * pages, at their end, as in a session's arena: on small pages each candidate would draw its luck
 * with cache sets anew, and the luckiest would win. The scratch areas of the workers follow each
 * other at one stride, with a zone behind each. */
#include <string.h>

#include "runtime/harness.h"
#include "runtime/os.h"

enum { GUARD = 64 << 10, ZONE = 4096, STAGGER = 320, HUGE_PAGE = 2 << 20, LARGE = 256 << 10 };
#define MAX_AREA ((int64_t)1 << 40)

static size_t round_up(size_t size, size_t to) {
  return (size + to - 1) / to * to;
}

static neo_status check_kernel(neo_ctx *ctx, const neo_harness_kernel *k, int threads) {
  bool fits = k->n_buffers >= 0 && k->n_launches >= 0 && threads >= 1 && k->work_bytes >= 0 &&
              k->work_bytes <= MAX_AREA && k->scratch_bytes >= 0 &&
              k->scratch_bytes <= MAX_AREA / threads;
  for (int i = 0; fits && i < k->n_buffers; i++)
    fits = k->bytes[i] >= 0 && k->bytes[i] <= MAX_AREA;
  return fits ? NEO_OK
              : neo_fail(ctx, NEO_BAD_INPUT,
                         "harness: a size of the kernel's memory is out of range");
}

static void *copy_array(neo_ctx *ctx, const void *from, size_t count, size_t size) {
  void *to = neo_alloc(ctx, count * size);
  if (to && count)
    memcpy(to, from, count * size);
  return to;
}

static neo_status copy_kernel(neo_ctx *ctx, neo_harness_memory *m, const neo_harness_kernel *k) {
  size_t buffers = (size_t)k->n_buffers, launches = (size_t)k->n_launches;
  m->kernel = *k;
  m->kernel.fn = NULL;
  m->kernel.function = NULL;
  if (k->device)
    m->kernel.function = copy_array(ctx, (const void *)k->function, launches, sizeof(*k->function));
  else
    m->kernel.fn = copy_array(ctx, k->fn, launches, sizeof(*k->fn));
  m->kernel.grid = copy_array(ctx, k->grid, launches, sizeof(*k->grid));
  m->kernel.bytes = copy_array(ctx, k->bytes, buffers, sizeof(*k->bytes));
  m->kernel.role = k->role ? copy_array(ctx, k->role, buffers, 1) : neo_alloc(ctx, buffers);
  m->buf = neo_alloc(ctx, buffers * sizeof(*m->buf));
  m->n_areas = k->n_buffers + 1 + m->threads;
  m->area = neo_alloc(ctx, (size_t)m->n_areas * sizeof(*m->area));
  if ((!m->kernel.fn && !m->kernel.function) || !m->kernel.grid || !m->kernel.bytes ||
      !m->kernel.role || !m->buf || !m->area)
    return neo_fail(ctx, NEO_NO_MEMORY, "harness: out of memory");
  return NEO_OK;
}

/* Places [zone area zone] behind *at, and a guard behind that. There is a stagger that depends on
 * the area. */
static void place_area(neo_harness_memory *m, int i, size_t bytes, size_t page, size_t *at) {
  size_t stagger = (size_t)i * STAGGER % ZONE, front = ZONE + stagger;
  bool large = bytes >= LARGE;
  size_t unit = large ? HUGE_PAGE : page, begin = round_up(*at, unit);
  size_t end = round_up(begin + front + bytes + (large ? 2 * ZONE : ZONE), unit);
  size_t start = large ? (end - ZONE - bytes) / 64 * 64 - stagger : begin + front;
  m->area[i] = (neo_harness_area){.start = (uint8_t *)start, /* an offset until it is mapped */
                                  .bytes = bytes,
                                  .front = front,
                                  .back = end - start - bytes,
                                  .slack = start - front - begin,
                                  .buffer = i};
  *at = end + GUARD;
}

/* The scratch of all workers is one area for place_area; then each worker gets its part. */
static void split_scratch(neo_harness_memory *m) {
  int first = m->kernel.n_buffers + 1;
  neo_harness_area all = m->area[first];
  for (int i = 0; i < m->threads; i++) {
    bool last = i == m->threads - 1;
    size_t bytes = (size_t)m->kernel.scratch_bytes, stride = (size_t)m->scratch_stride;
    m->area[first + i] = (neo_harness_area){.start = all.start + (size_t)i * stride,
                                            .bytes = bytes,
                                            .front = i == 0 ? all.front : 0,
                                            .back = stride - bytes + (last ? all.back : 0),
                                            .buffer = first};
  }
  m->scratch = m->area[first].start;
}

static neo_status map_areas(neo_ctx *ctx, neo_harness_memory *m) {
  size_t page = neo_os_page_size(), at = GUARD;
  int n = m->kernel.n_buffers;
  m->scratch_stride = (int64_t)round_up((size_t)m->kernel.scratch_bytes, 64) + ZONE;
  for (int i = 0; i < n; i++) {
    bool elsewhere = neo_harness_borrows(m, i) || neo_harness_shares(m, i);
    place_area(m, i, elsewhere ? 0 : (size_t)m->kernel.bytes[i], page, &at);
  }
  const neo_harness_memory *other = m->kernel.beside;
  if (other && m->kernel.work_bytes <= other->kernel.work_bytes)
    m->work = other->work;
  if (other && m->threads <= other->threads &&
      m->kernel.scratch_bytes <= other->kernel.scratch_bytes) {
    m->scratch = other->scratch;
    m->scratch_stride = other->scratch_stride; /* its zones lie between its workers */
  }
  place_area(m, n, m->work ? 0 : (size_t)m->kernel.work_bytes, page, &at);
  place_area(m, n + 1, m->scratch ? 0 : (size_t)m->scratch_stride * (size_t)m->threads, page, &at);
  at += HUGE_PAGE;
  void *map = neo_os_pages_reserve(at);
  if (!map)
    return neo_fail(ctx, NEO_NO_MEMORY, "harness: %zu bytes cannot be mapped", at);
  m->map = map;
  m->map_size = at;
  uint8_t *base = m->map + (HUGE_PAGE - (uintptr_t)m->map % HUGE_PAGE) % HUGE_PAGE;
  for (int i = 0; i < n + 2; i++) {
    neo_harness_area *a = &m->area[i];
    a->start = base + (uintptr_t)a->start;
    uint8_t *begin = a->start - a->front - a->slack;
    size_t size = a->slack + a->front + a->bytes + a->back;
    if (!neo_os_pages_commit(begin, size))
      return neo_fail(ctx, NEO_NO_MEMORY, "harness: %zu bytes cannot be made writable", a->bytes);
    neo_pages_prefer_huge(begin, size);
    size_t unused = a->slack / page * page;
    neo_os_pages_present(begin + unused, size - unused);
  }
  m->work = m->work ? m->work : m->area[n].start;
  if (m->scratch)
    m->n_areas = n + 1;
  else
    split_scratch(m);
  return NEO_OK;
}

static void fill_zone(const neo_harness_memory *m, uint8_t *zone, size_t size) {
  for (size_t at = 0; at < size; at += sizeof(m->pattern))
    memcpy(zone + at, m->pattern, size - at < sizeof(m->pattern) ? size - at : sizeof(m->pattern));
}

static bool zone_intact(const neo_harness_memory *m, const uint8_t *zone, size_t size) {
  for (size_t at = 0; at < size; at += sizeof(m->pattern))
    if (memcmp(zone + at, m->pattern,
               size - at < sizeof(m->pattern) ? size - at : sizeof(m->pattern)) != 0)
      return false;
  return true;
}

static void fill_zones(neo_harness_memory *m) {
  for (size_t i = 0; i < sizeof(m->pattern); i++)
    m->pattern[i] = (uint8_t)(0xa5 ^ (i * 151 + (i >> 8) * 29));
  for (int i = 0; i < m->n_areas; i++) {
    neo_harness_area *a = &m->area[i];
    fill_zone(m, a->start - a->front, a->front);
    fill_zone(m, a->start + a->bytes, a->back);
    if (i < m->kernel.n_buffers)
      m->buf[i] = neo_harness_shares(m, i) ? m->kernel.beside->buf[i] : a->start;
  }
}

neo_status neo_harness_memory_create(neo_ctx *ctx, const neo_harness_kernel *kernel, int threads,
                                     neo_harness_memory **out) {
  NEO_TRY(check_kernel(ctx, kernel, threads));
  neo_harness_memory *m = neo_alloc(ctx, sizeof(*m));
  if (!m)
    return neo_fail(ctx, NEO_NO_MEMORY, "harness: out of memory");
  m->allocator = ctx->allocator;
  m->threads = threads;
  neo_status status = copy_kernel(ctx, m, kernel);
  if (status == NEO_OK)
    status = map_areas(ctx, m);
  if (status == NEO_OK && kernel->device)
    status = neo_harness_device_create(ctx, m);
  if (status == NEO_OK) {
    fill_zones(m);
    *out = m;
  } else {
    neo_harness_memory_destroy(m);
  }
  return status;
}

void neo_harness_memory_destroy(neo_harness_memory *m) {
  if (!m)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = m->allocator;
  neo_harness_device_destroy(&ctx, m);
  neo_os_pages_release(m->map, m->map_size);
  neo_free(&ctx, (void *)(uintptr_t)m->kernel.fn);
  neo_free(&ctx, (void *)(uintptr_t)m->kernel.function);
  neo_free(&ctx, (void *)(uintptr_t)m->kernel.grid);
  neo_free(&ctx, (void *)(uintptr_t)m->kernel.bytes);
  neo_free(&ctx, (void *)(uintptr_t)m->kernel.role);
  neo_free(&ctx, m->buf);
  neo_free(&ctx, m->area);
  neo_free(&ctx, m);
}

void *const *neo_harness_memory_buffers(const neo_harness_memory *memory) {
  return memory->buf;
}

const uint8_t *neo_harness_memory_extent(const neo_harness_memory *memory, size_t *size) {
  *size = memory->map_size;
  return memory->map;
}

bool neo_harness_borrows(const neo_harness_memory *m, int buffer) {
  int64_t bytes = m->kernel.bytes[buffer];
  return m->kernel.borrow > 0 && m->kernel.role[buffer] == 2 && bytes >= m->kernel.borrow;
}

bool neo_harness_shares(const neo_harness_memory *m, int buffer) {
  const neo_harness_memory *other = m->kernel.beside;
  return other && buffer < other->kernel.n_buffers && m->kernel.role[buffer] != 2 &&
         m->kernel.role[buffer] == other->kernel.role[buffer] &&
         m->kernel.bytes[buffer] == other->kernel.bytes[buffer];
}

void neo_harness_load(neo_harness_memory *m, int buffer, const void *data) {
  if (neo_harness_borrows(m, buffer))
    m->buf[buffer] = (void *)(uintptr_t)data;
  else if (m->kernel.bytes[buffer] && !neo_harness_shares(m, buffer))
    memcpy(m->buf[buffer], data, (size_t)m->kernel.bytes[buffer]);
}

neo_status neo_harness_memory_load(neo_ctx *ctx, neo_harness_memory *m, const uint8_t *role,
                                   const neo_verify_case *from) {
  for (int i = 0; i < m->kernel.n_buffers; i++) {
    if (role[i] == 1)
      continue;
    size_t bytes = (size_t)m->kernel.bytes[i];
    if (from->size[i] != bytes)
      return neo_fail(ctx, NEO_BAD_INPUT, "harness: input %d has %zu bytes, the kernel expects %zu",
                      i, from->size[i], bytes);
    neo_harness_load(m, i, from->data[i]);
  }
  return m->kernel.device ? neo_harness_device_load(ctx, m) : NEO_OK;
}

int32_t neo_harness_memory_run(neo_harness_memory *m, neo_pool *pool) {
  if (m->kernel.device)
    return neo_harness_device_run(m);
  neo_assert(neo_pool_threads(pool) <= m->threads);
  const neo_pool_call call = {.n_launches = m->kernel.n_launches,
                              .fn = m->kernel.fn,
                              .grid = m->kernel.grid,
                              .buf = m->buf,
                              .work = m->work,
                              .scratch = m->scratch,
                              .scratch_bytes = m->scratch_stride};
  return neo_pool_launch(pool, &call);
}

int32_t neo_harness_memory_repeat(neo_harness_memory *m, neo_pool *pool, int repeat) {
  int32_t code = 0;
  if (m->kernel.device)
    return neo_harness_device_repeat(m, repeat);
  for (int i = 0; i < repeat && code == 0; i++)
    code = neo_harness_memory_run(m, pool);
  return code;
}

bool neo_harness_memory_intact(const neo_harness_memory *m, int *out_buffer) {
  for (int i = 0; i < m->n_areas; i++) {
    const neo_harness_area *a = &m->area[i];
    if (zone_intact(m, a->start - a->front, a->front) &&
        zone_intact(m, a->start + a->bytes, a->back))
      continue;
    *out_buffer = a->buffer;
    return false;
  }
  return true;
}
