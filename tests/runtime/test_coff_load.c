/* The loader of COFF kernels, which is Windows' but asks nothing of it: what it takes to refuse an
 * object is bounded by the object's size. tests/fuzz/fuzz_coff.c has the rest. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

/* The ELF loader has these names, too. */
#define neo_object_load coff_object_load
#define neo_object_symbol coff_object_symbol
#define neo_object_memory coff_object_memory
#define neo_object_unload coff_object_unload
#define neo_object_device_kernel coff_object_device_kernel
#include "runtime/windows/coff_load.c"

enum { SECTIONS = 2000, MANY = 60000, TABLES = HEADER + SECTIONS * SECTION };

static void put(uint8_t *at, uint32_t v, int bytes) {
  for (int i = 0; i < bytes; i++)
    at[i] = (uint8_t)(v >> 8 * i);
}

/* All sections of code read the same relocations of the same symbol, whose name is long. */
static void relocations_are_counted_once(void **state) {
  (void)state;
  size_t relocations = TABLES, symbols = relocations + (size_t)MANY * RELOCATION,
         size = symbols + SYMBOL + 4 + 100;
  uint8_t *file = calloc(1, size);
  neo_ctx ctx;
  neo_loaded *loaded = NULL;
  neo_ctx_init(&ctx, 1);
  assert_non_null(file);
  put(file, AMD64, 2);
  put(file + 2, SECTIONS, 2);
  put(file + 8, (uint32_t)symbols, 4);
  put(file + 12, 1, 4);
  for (size_t i = 0; i < SECTIONS; i++) {
    uint8_t *header = file + HEADER + i * SECTION;
    put(header + 16, 64, 4);
    put(header + 20, 0, 4);
    put(header + 24, (uint32_t)relocations, 4);
    put(header + 32, MANY, 2);
    put(header + 36, CONTAINS_CODE | EXECUTABLE, 4);
  }
  for (size_t i = 0; i < MANY; i++)
    put(file + relocations + i * RELOCATION + 8, TYPE_REL32, 2);
  put(file + symbols + 4, 4, 4);
  put(file + symbols + 12, 1, 2);
  memset(file + symbols + SYMBOL + 4, 'n', 100);
  assert_int_equal(neo_object_load(&ctx, file, size, &loaded), NEO_BAD_INPUT);
  assert_non_null(strstr(ctx.message, "more relocations than there is room for"));
  put(file + 2, 1, 2); /* one of them is well, and its symbol's name is not ended */
  assert_int_equal(neo_object_load(&ctx, file, size, &loaded), NEO_OK);
  neo_object_unload(loaded);
  free(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(relocations_are_counted_once)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
