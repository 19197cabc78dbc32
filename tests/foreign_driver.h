/* tests/foreign_driver.h: may a test load drivers and compilers that others have built? */
#ifndef NEO_TESTS_FOREIGN_DRIVER_H
#define NEO_TESTS_FOREIGN_DRIVER_H

/* NULL, or why not: they keep memory until the process ends, and race as they like, which the
 * sanitizers would report as ours. */
static inline const char *foreign_driver_refused(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return "a driver that is not ours is not loaded under sanitizers";
#else
  return (void *)0;
#endif
}

#endif
