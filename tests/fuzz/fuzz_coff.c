/* Fuzz target: the loader of COFF kernels, which is Windows' but asks nothing of it. Nothing loaded
 * is run. Its functions have the names of the ELF loader's, so here they get others. */
#define neo_object_load coff_object_load
#define neo_object_symbol coff_object_symbol
#define neo_object_memory coff_object_memory
#define neo_object_unload coff_object_unload
#include "runtime/windows/coff_load.c"

#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_loaded *loaded = NULL;
  neo_status status = neo_object_load(&ctx, data, size, &loaded);
  neo_assert((status == NEO_OK) == (loaded != NULL));
  if (loaded) {
    size_t bytes = 0;
    const uint8_t *memory = neo_object_memory(loaded, &bytes);
    uintptr_t entry = (uintptr_t)neo_object_symbol(loaded, "scale_0");
    neo_assert(entry == 0 || entry - (uintptr_t)memory < bytes);
  }
  neo_object_unload(loaded);
  return 0;
}
