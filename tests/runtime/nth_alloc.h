/* An allocator whose n-th allocation fails, and a count of what is still allocated: for loops that
 * fail every allocation of a call in turn and look for leaks. */
#ifndef NEO_TESTS_NTH_ALLOC_H
#define NEO_TESTS_NTH_ALLOC_H

#include <stdlib.h>

#include "base/core.h"

typedef struct nth_alloc {
  neo_allocator base;
  int fail_at; /* 1: the first; 0: never */
  int calls, live;
} nth_alloc;

static inline void *nth_resize(void *self, void *ptr, size_t size) {
  nth_alloc *a = self;
  if (size == 0) {
    a->live -= ptr != NULL;
    free(ptr);
    return NULL;
  }
  if (++a->calls == a->fail_at)
    return NULL;
  void *moved = realloc(ptr, size);
  a->live += moved && !ptr;
  return moved;
}

static inline void nth_init(nth_alloc *a, int fail_at) {
  *a = (nth_alloc){.base = {nth_resize, a}, .fail_at = fail_at};
}

#endif
