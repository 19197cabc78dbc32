/* The blob cache: inputs, references and objects of jobs, by the key of their content.
 *
 * Why one shared mapping: a child is forked per job and reads the blobs in place. Page tables of a
 * shared mapping are not copied by fork, so the cost of a job does not grow with the cache; and the
 * child makes the whole of it read-only for itself with one system call, so no kernel can change
 * the next one's data.
 *
 * Design: the mapping is cut into extents, kept in a list in address order, used or free; a put
 * takes the first free extent that is large enough, and throws out the least recently used blob
 * while there is none. Neighbouring free extents are one extent. A few thousand extents at most, so
 * lists are searched one by one; keys are found through a hash table of chains. */
#include "rpc/blobs.h"

#include <string.h>

#include "runtime/os.h"

enum { BUCKETS = 1024, ALIGN = 64, GIVE_BACK = 1 << 20, PAGE = 4096 };

typedef struct extent {
  struct extent *before, *after; /* in address order */
  struct extent *chain;          /* of the bucket */
  size_t offset, size;           /* size of the extent, a multiple of ALIGN */
  size_t bytes;                  /* of the blob */
  uint64_t used;                 /* when; 0: free */
  char key[33];
} extent;

struct neo_blobs {
  const neo_allocator *allocator;
  uint8_t *map;
  size_t capacity;
  uint64_t clock;
  extent *first;
  extent *bucket[BUCKETS];
};

static extent **bucket_of(neo_blobs *b, const char *key) {
  return &b->bucket[neo_hash64(key, strlen(key)) % BUCKETS];
}

static extent *find(neo_blobs *b, const char *key) {
  extent *e = *bucket_of(b, key);
  while (e && strcmp(e->key, key) != 0)
    e = e->chain;
  return e;
}

neo_status neo_blobs_create(neo_ctx *ctx, size_t capacity, neo_blobs **out) {
  neo_blobs *b = neo_alloc(ctx, sizeof(*b));
  extent *all = neo_alloc(ctx, sizeof(*all));
  capacity = capacity / PAGE * PAGE;
  void *map = b && all && capacity ? neo_os_pages_share(capacity) : NULL;
  if (!map) {
    neo_free(ctx, all);
    neo_free(ctx, b);
    return neo_fail(ctx, NEO_NO_MEMORY, "board: a cache of %zu bytes cannot be made", capacity);
  }
  all->size = capacity;
  *b = (neo_blobs){.allocator = ctx->allocator, .map = map, .capacity = capacity, .first = all};
  *out = b;
  return NEO_OK;
}

void neo_blobs_destroy(neo_blobs *b) {
  if (!b)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = b->allocator;
  while (b->first) {
    extent *next = b->first->after;
    neo_free(&ctx, b->first);
    b->first = next;
  }
  neo_os_pages_release(b->map, b->capacity);
  neo_free(&ctx, b);
}

/* Joins e with the free extent behind it. */
static void join_next(neo_ctx *ctx, extent *e) {
  extent *next = e->after;
  if (!next || next->used || e->used)
    return;
  e->size += next->size;
  e->after = next->after;
  if (e->after)
    e->after->before = e;
  neo_free(ctx, next);
}

static void evict(neo_ctx *ctx, neo_blobs *b, extent *e) {
  extent **link = bucket_of(b, e->key);
  while (*link != e)
    link = &(*link)->chain;
  *link = e->chain;
  e->used = 0;
  if (e->size >= GIVE_BACK) {
    size_t begin = (e->offset + PAGE - 1) / PAGE * PAGE, end = (e->offset + e->size) / PAGE * PAGE;
    neo_os_pages_forget(b->map + begin, end - begin);
  }
  join_next(ctx, e);
  if (e->before)
    join_next(ctx, e->before);
}

static extent *first_fit(neo_blobs *b, size_t size) {
  extent *e = b->first;
  while (e && (e->used || e->size < size))
    e = e->after;
  return e;
}

static extent *least_recent(neo_blobs *b) {
  extent *oldest = NULL;
  for (extent *e = b->first; e; e = e->after)
    if (e->used && (!oldest || e->used < oldest->used))
      oldest = e;
  return oldest;
}

/* Cuts e to size; the rest becomes a free extent. */
static neo_status cut(neo_ctx *ctx, extent *e, size_t size) {
  if (e->size == size)
    return NEO_OK;
  extent *rest = neo_alloc(ctx, sizeof(*rest));
  if (!rest)
    return neo_fail(ctx, NEO_NO_MEMORY, "board: out of memory for the cache");
  *rest =
      (extent){.before = e, .after = e->after, .offset = e->offset + size, .size = e->size - size};
  if (rest->after)
    rest->after->before = rest;
  e->after = rest;
  e->size = size;
  return NEO_OK;
}

neo_status neo_blobs_put(neo_ctx *ctx, neo_blobs *b, const char *key, const void *data,
                         size_t size) {
  extent *e = find(b, key);
  if (e) {
    e->used = ++b->clock;
    return NEO_OK;
  }
  if (strlen(key) >= sizeof(e->key) || size > b->capacity - ALIGN)
    return neo_fail(ctx, NEO_NO_MEMORY, "board: a blob of %zu bytes, the cache has %zu", size,
                    b->capacity);
  size_t room = (size + ALIGN - 1) / ALIGN * ALIGN;
  room = room ? room : ALIGN;
  while (!(e = first_fit(b, room)))
    evict(ctx, b, least_recent(b));
  NEO_TRY(cut(ctx, e, room));
  if (size)
    memcpy(b->map + e->offset, data, size);
  e->bytes = size;
  e->used = ++b->clock;
  memcpy(e->key, key, strlen(key) + 1);
  e->chain = *bucket_of(b, key);
  *bucket_of(b, key) = e;
  return NEO_OK;
}

bool neo_blobs_get(neo_blobs *b, const char *key, const void **data, size_t *size) {
  extent *e = find(b, key);
  if (!e)
    return false;
  e->used = ++b->clock;
  *data = b->map + e->offset;
  *size = e->bytes;
  return true;
}

void neo_blobs_protect(neo_blobs *b) {
  neo_os_pages_protect(b->map, b->capacity);
}
