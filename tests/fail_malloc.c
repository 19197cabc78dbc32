/* The other side of the linker's --wrap: counts requests, and fails the one that was asked for.
 *
 * Why --wrap and not an own malloc: it works under AddressSanitizer too, and leaves libc alone. */
#include "tests/fail_malloc.h"

#include <stddef.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

static long countdown, failures;

void neo_fail_malloc_at(long n) {
  countdown = n;
  failures = 0;
}

long neo_fail_malloc_count(void) {
  return failures;
}

static int fails_now(void) {
  if (countdown == 0 || --countdown > 0)
    return 0;
  failures++;
  return 1;
}

void *__wrap_malloc(size_t size) {
  return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size) {
  return fails_now() ? NULL : __real_realloc(ptr, size);
}
