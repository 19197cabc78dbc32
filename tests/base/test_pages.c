/* Large blocks ask for huge pages, whole ones only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "base/core.h"
#include "tests/huge_pages.h"

enum { HUGE = 2 << 20, PAGE = 4096 };

static void whole_pages_only(void **state) {
  (void)state;
  if (!has_huge_pages())
    skip();
  size_t size = 8 * HUGE;
  char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  assert_true(map != MAP_FAILED);
  char *first = map + (HUGE - (uintptr_t)map % HUGE) % HUGE;
  neo_pages_prefer_huge(first + HUGE - PAGE, 2 * HUGE); /* the second page is whole */
  assert_false(prefers_huge(first + HUGE - PAGE));
  assert_true(prefers_huge(first + HUGE));
  assert_true(prefers_huge(first + 2 * HUGE - PAGE));
  assert_false(prefers_huge(first + 2 * HUGE));
  neo_pages_prefer_huge(first + 4 * HUGE + PAGE, HUGE); /* none is */
  assert_false(prefers_huge(first + 4 * HUGE + PAGE));
  assert_false(prefers_huge(first + 5 * HUGE));
  munmap(map, size);
}

static void tensors_prefer_them(void **state) {
  (void)state;
  if (!has_huge_pages())
    skip();
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  char *large = neo_aligned_alloc(&ctx, 64 * (size_t)HUGE);
  assert_non_null(large);
  assert_true(prefers_huge(large + 32 * (size_t)HUGE));
  neo_aligned_free(&ctx, large);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(whole_pages_only),
      cmocka_unit_test(tensors_prefer_them),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
