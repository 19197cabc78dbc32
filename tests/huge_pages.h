/* tests/huge_pages.h: is an address in memory that asked for huge pages? */
#ifndef NEO_TESTS_HUGE_PAGES_H
#define NEO_TESTS_HUGE_PAGES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline int has_huge_pages(void) {
  return access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0 &&
         access("/proc/self/smaps", R_OK) == 0;
}

/* The flag "hg" of the mapping in /proc/self/smaps (proc(5)). */
static inline int prefers_huge(const void *address) {
  char line[512];
  int inside = 0, prefers = 0;
  FILE *file = fopen("/proc/self/smaps", "re");
  while (file && fgets(line, sizeof line, file)) {
    char *at = line, *end;
    unsigned long long from = strtoull(line, &at, 16), to = 0;
    if (at > line && *at == '-') {
      to = strtoull(at + 1, &end, 16);
      inside =
          (unsigned long long)(size_t)address >= from && (unsigned long long)(size_t)address < to;
    }
    if (inside && strncmp(line, "VmFlags:", 8) == 0)
      prefers = strstr(line, " hg") != NULL;
  }
  if (file)
    fclose(file);
  return prefers;
}

#endif
