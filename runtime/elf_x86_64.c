/* Relocations of x86-64 ("System V ABI, AMD64 supplement", 4.4.1). GOT forms are not supported:
 * kernels import nothing, and what they define themselves is reached PC-relative. */
#include "runtime/elf_load.h"

#include <elf.h>

static neo_status relocate(neo_ctx *ctx, const neo_reloc *reloc) {
  uint64_t value = reloc->value, relative = value - reloc->address;
  switch (reloc->type) {
  case R_X86_64_NONE:
    return NEO_OK;
  case R_X86_64_64:
    return neo_reloc_store(ctx, reloc, value, 8);
  case R_X86_64_PC64:
    return neo_reloc_store(ctx, reloc, relative, 8);
  case R_X86_64_PC32:
  case R_X86_64_PLT32:
    if ((uint64_t)(int64_t)(int32_t)(uint32_t)relative != relative)
      return neo_reloc_overflow(ctx, reloc);
    return neo_reloc_store(ctx, reloc, relative, 4);
  case R_X86_64_32S:
    if ((uint64_t)(int64_t)(int32_t)(uint32_t)value != value)
      return neo_reloc_overflow(ctx, reloc);
    return neo_reloc_store(ctx, reloc, value, 4);
  case R_X86_64_32:
    if (value > UINT32_MAX)
      return neo_reloc_overflow(ctx, reloc);
    return neo_reloc_store(ctx, reloc, value, 4);
  default:
    return neo_reloc_unknown(ctx, reloc, "x86-64");
  }
}

static bool needs_low_memory(uint32_t type) {
  return type == R_X86_64_32 || type == R_X86_64_32S;
}

const neo_elf_machine neo_elf_x86_64 = {.number = EM_X86_64,
                                        .name = "x86-64",
                                        .wide = true,
                                        .needs_low_memory = needs_low_memory,
                                        .relocate = relocate};
