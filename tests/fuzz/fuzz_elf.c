/* Fuzz target: the loader of relocatable kernels, for all machines. Nothing loaded is run. */
#include "runtime/elf_load.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const neo_elf_machine *const machines[] = {&neo_elf_x86_64, &neo_elf_aarch64, &neo_elf_arm,
                                                    &neo_elf_riscv, &neo_elf_hexagon};
  for (int i = 0; i < NEO_COUNT(machines); i++) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    neo_loaded *loaded = NULL;
    neo_status status = neo_object_load_for(&ctx, machines[i], data, size, &loaded);
    neo_assert((status == NEO_OK) == (loaded != NULL));
    neo_object_unload(loaded);
  }
  return 0;
}
