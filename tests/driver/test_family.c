/* Near workloads: tes that differ only in extents share a family; others do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/driver.h"

static char *family_of(const char *text) {
  neo_buf buf = {0};
  neo_workload_family(&buf, text);
  return buf.data;
}

static void extents_do_not_matter(void **state) {
  (void)state;
  char *a = family_of("te 1\nb0 in f32 [1,64,56,56]\nB0 b12[i0, i1] s[1,64] r[9] add f32:0\n  "
                      "mul(b0[i0, i10*2+i3-1], b1[i1])\n");
  char *b = family_of("te 1\nb0 in f32 [1,128,28,28]\nB0 b12[i0, i1] s[1,128] r[25] add f32:0\n  "
                      "mul(b0[i0, i10*3+i3-2], b1[i1])\n");
  assert_string_equal(a, b);
  free(a);
  free(b);
}

static void names_and_operations_do(void **state) {
  (void)state;
  char *a = family_of("max(b2[i0], f32:0)"), *b = family_of("max(b3[i0], f32:0)"),
       *c = family_of("min(b2[i0], f32:0)");
  assert_string_not_equal(a, b);
  assert_string_not_equal(a, c);
  assert_string_equal(a, "max(b2[i0], f32:#)");
  free(a);
  free(b);
  free(c);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(extents_do_not_matter),
                                     cmocka_unit_test(names_and_operations_do)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
