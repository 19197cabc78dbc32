/* malloc: blocks of a power of two, in lists by size; large ones are mappings of their own.
 *
 * A block begins 16 bytes before what the caller gets, with its size; a free one has the next of
 * its list in the word behind. What was cut from a mapping for small blocks stays in their lists
 * for good. One lock: while operators run nothing allocates, so nobody waits for it. */
#include "runtime/hexagon/libc.h"

#include <stdatomic.h>

enum { HEAD = 16, SMALLEST = 5, LARGEST = 15, CHUNK = 1 << 16 }; /* 32 bytes to 32 KB */

typedef struct block {
  size_t size; /* with this head */
  struct block *next;
} block;

static block *free_block[LARGEST + 1];
static atomic_flag lock = ATOMIC_FLAG_INIT;

static void acquire(void) {
  while (atomic_flag_test_and_set_explicit(&lock, memory_order_acquire))
    continue;
}

static void release(void) {
  atomic_flag_clear_explicit(&lock, memory_order_release);
}

static void *map(size_t size) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

/* Cuts a new mapping into blocks of 1 << bits bytes, of which none is free. */
static void refill(int bits) {
  char *memory = map(CHUNK);
  size_t size = (size_t)1 << bits;
  for (size_t at = 0; memory && at < CHUNK; at += size) {
    block *b = (block *)(memory + at);
    *b = (block){size, free_block[bits]};
    free_block[bits] = b;
  }
}

static void *take_small(int bits) {
  acquire();
  if (!free_block[bits])
    refill(bits);
  block *b = free_block[bits];
  if (b)
    free_block[bits] = b->next;
  release();
  return b;
}

static void *take_large(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
  block *b = map(whole);
  if (b)
    b->size = whole;
  return b;
}

void *malloc(size_t size) {
  int bits = SMALLEST;
  if (size > PTRDIFF_MAX - HEAD) {
    errno = ENOMEM;
    return NULL;
  }
  while (bits <= LARGEST && (size_t)1 << bits < size + HEAD)
    bits++;
  char *b = bits <= LARGEST ? take_small(bits) : take_large(size + HEAD);
  if (b)
    return b + HEAD;
  errno = ENOMEM;
  return NULL;
}

static block *block_of(void *data) {
  return (block *)((char *)data - HEAD);
}

void free(void *data) {
  if (!data)
    return;
  block *b = block_of(data);
  if (b->size > (size_t)1 << LARGEST) {
    munmap(b, b->size);
    return;
  }
  int bits = SMALLEST;
  while ((size_t)1 << bits < b->size)
    bits++;
  acquire();
  b->next = free_block[bits];
  free_block[bits] = b;
  release();
}

void *calloc(size_t n, size_t size) {
  if (size && n > SIZE_MAX / size) {
    errno = ENOMEM;
    return NULL;
  }
  void *data = malloc(n * size);
  bool zero = data && block_of(data)->size > (size_t)1 << LARGEST; /* as the system gave it */
  return data && !zero ? memset(data, 0, n * size) : data;
}

void *realloc(void *data, size_t size) {
  size_t room = data ? block_of(data)->size - HEAD : 0;
  if (data && size <= room && size >= room / 4)
    return data;
  void *other = malloc(size);
  if (other && data) {
    memcpy(other, data, size < room ? size : room);
    free(data);
  }
  return other;
}
