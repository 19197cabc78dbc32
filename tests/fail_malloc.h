/* tests/fail_malloc.h: makes the n-th malloc, calloc or realloc of the program fail.
 *
 * For code below the context (neo_buf, neo_map) and for whole programs. In
 * tests/<folder>/extra.cmake:
 *
 *   neo_wrap_malloc(test_foo)
 *
 * which links tests/fail_malloc.c and lets the linker route the calls of our static libraries (not
 * those inside shared ones such as libc or SQLite) through it. Not for several threads. */
#ifndef NEO_TESTS_FAIL_MALLOC_H
#define NEO_TESTS_FAIL_MALLOC_H

/* The n-th request from now fails (1: the next), all others succeed; 0: none fails. */
void neo_fail_malloc_at(long n);
/* How many requests failed since neo_fail_malloc_at. */
long neo_fail_malloc_count(void);

#endif
