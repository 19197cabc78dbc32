/* For LD_PRELOAD: counts every allocation of the process. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static atomic_long count;

long malloc_counter_value(void);
long malloc_counter_value(void) {
  return atomic_load(&count);
}

void *malloc(size_t size) {
  atomic_fetch_add(&count, 1);
  return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
  atomic_fetch_add(&count, 1);
  return __libc_calloc(n, size);
}

void *realloc(void *ptr, size_t size) {
  atomic_fetch_add(&count, 1);
  return __libc_realloc(ptr, size);
}

void *memalign(size_t alignment, size_t size) {
  atomic_fetch_add(&count, 1);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  atomic_fetch_add(&count, 1);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size) {
  atomic_fetch_add(&count, 1);
  *out = __libc_memalign(alignment, size);
  return *out ? 0 : ENOMEM;
}
