/* Arenas: memory that lives and dies together.
 *
 * Why: a graph, a te or a generation of candidates is thousands of small objects with one lifetime.
 * Releasing them one by one is where leaks and double frees come from; here it is one call.
 *
 * Design: a list of chunks, newest first; allocation bumps an offset in the head. Chunks double up
 * to 1 MiB. A block too big for that gets a chunk of its own behind the head, so that what is left
 * of the head stays in use.
 *
 * Invariants
 * 1. used <= head->size; every pointer handed out is 16-byte aligned.
 * 2. Running out of memory prints one line and exits with NEO_NO_MEMORY (see core.h for why). */
#include "base/core.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16, FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };

struct neo_arena_chunk {
  _Alignas(16) neo_arena_chunk *next;
  size_t size; /* of the bytes that follow the header */
};

static _Noreturn void out_of_memory(size_t size) {
  fprintf(stderr, "neo: out of memory (%zu bytes asked for); what was recorded is kept\n", size);
  exit(NEO_NO_MEMORY);
}

static neo_arena_chunk *chunk_create(neo_arena *arena, size_t size) {
  if (size > SIZE_MAX - sizeof(neo_arena_chunk))
    out_of_memory(size);
  neo_arena_chunk *chunk = malloc(sizeof(neo_arena_chunk) + size);
  if (!chunk)
    out_of_memory(size);
  chunk->next = NULL;
  chunk->size = size;
  arena->total += size;
  return chunk;
}

static void *chunk_bytes(neo_arena_chunk *chunk) {
  return (char *)chunk + sizeof(neo_arena_chunk);
}

static void chunks_free(neo_arena_chunk *chunk) {
  while (chunk) {
    neo_arena_chunk *next = chunk->next;
    free(chunk);
    chunk = next;
  }
}

void neo_arena_init(neo_arena *arena) {
  memset(arena, 0, sizeof(*arena));
}

void neo_arena_fini(neo_arena *arena) {
  chunks_free(arena->head);
  neo_arena_init(arena);
}

void neo_arena_reset(neo_arena *arena) {
  if (!arena->head)
    return;
  chunks_free(arena->head->next);
  arena->head->next = NULL;
  arena->used = 0;
  arena->total = arena->head->size;
}

static void *alloc_own_chunk(neo_arena *arena, size_t size) {
  neo_arena_chunk *chunk = chunk_create(arena, size);
  if (arena->head) {
    chunk->next = arena->head->next;
    arena->head->next = chunk;
  } else {
    arena->head = chunk;
    arena->used = size;
  }
  return chunk_bytes(chunk);
}

static void push_chunk(neo_arena *arena) {
  size_t size = arena->head ? 2 * arena->head->size : FIRST_CHUNK;
  if (size < FIRST_CHUNK)
    size = FIRST_CHUNK;
  if (size > LARGEST_CHUNK)
    size = LARGEST_CHUNK;
  neo_arena_chunk *chunk = chunk_create(arena, size);
  chunk->next = arena->head;
  arena->head = chunk;
  arena->used = 0;
}

/* Not zeroed. */
static void *alloc_raw(neo_arena *arena, size_t size) {
  if (size > SIZE_MAX - ALIGNMENT)
    out_of_memory(size);
  size_t rounded = size ? (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
  size_t left = arena->head ? arena->head->size - arena->used : 0;
  if (rounded > left) {
    if (rounded > FIRST_CHUNK / 4 && (!arena->head || rounded > arena->head->size / 4))
      return alloc_own_chunk(arena, rounded);
    push_chunk(arena);
  }
  void *ptr = (char *)chunk_bytes(arena->head) + arena->used;
  arena->used += rounded;
  return ptr;
}

void *neo_arena_alloc(neo_arena *arena, size_t size) {
  return memset(alloc_raw(arena, size), 0, size);
}

void *neo_arena_copy(neo_arena *arena, const void *data, size_t size) {
  void *copy = alloc_raw(arena, size);
  if (size)
    memcpy(copy, data, size);
  return copy;
}

char *neo_arena_strndup(neo_arena *arena, const char *text, size_t length) {
  char *copy = alloc_raw(arena, length + 1);
  if (length)
    memcpy(copy, text, length);
  copy[length] = '\0';
  return copy;
}

char *neo_arena_strdup(neo_arena *arena, const char *text) {
  return neo_arena_strndup(arena, text, strlen(text));
}

char *neo_arena_printf(neo_arena *arena, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, args);
  va_end(args);
  neo_assert(length >= 0);
  char *text = alloc_raw(arena, (size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  return text;
}

void *neo_arena_grow(neo_arena *arena, void *ptr, int *cap, int need, size_t element_size) {
  if (need <= *cap)
    return ptr;
  int64_t wanted = neo_max_i64(need, neo_max_i64(8, 2 * (int64_t)*cap));
  int grown = (int)neo_min_i64(wanted, INT32_MAX);
  size_t bytes;
  if (!neo_mul_size((size_t)grown, element_size, &bytes))
    out_of_memory(SIZE_MAX);
  void *copy = neo_arena_alloc(arena, bytes);
  if (*cap > 0)
    memcpy(copy, ptr, (size_t)*cap * element_size);
  *cap = grown;
  return copy;
}
