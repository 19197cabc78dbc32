/* Relocations of x86-64 ("System V ABI, AMD64 supplement", 4.4.1). GOT forms are not supported:
 * kernels import nothing, and what they define themselves is reached PC-relative. */
#include "runtime/elf_load.h"

#include <elf.h>
#include <string.h>

static neo_status store(neo_ctx *ctx, const neo_reloc *reloc, uint64_t value, size_t bytes) {
  if (reloc->room < bytes)
    return neo_fail(ctx, NEO_BAD_INPUT, "object: relocation type %u lies outside its section",
                    (unsigned)reloc->type);
  for (size_t i = 0; i < bytes; i++)
    reloc->place[i] = (uint8_t)(value >> (8 * i));
  return NEO_OK;
}

static neo_status overflow(neo_ctx *ctx, const neo_reloc *reloc) {
  return neo_fail(ctx, NEO_BAD_INPUT, "object: relocation type %u does not reach its target",
                  (unsigned)reloc->type);
}

static neo_status relocate(neo_ctx *ctx, const neo_reloc *reloc) {
  uint64_t value = reloc->value, relative = value - reloc->address;
  switch (reloc->type) {
  case R_X86_64_NONE:
    return NEO_OK;
  case R_X86_64_64:
    return store(ctx, reloc, value, 8);
  case R_X86_64_PC64:
    return store(ctx, reloc, relative, 8);
  case R_X86_64_PC32:
  case R_X86_64_PLT32:
    if ((uint64_t)(int64_t)(int32_t)(uint32_t)relative != relative)
      return overflow(ctx, reloc);
    return store(ctx, reloc, relative, 4);
  case R_X86_64_32S:
    if ((uint64_t)(int64_t)(int32_t)(uint32_t)value != value)
      return overflow(ctx, reloc);
    return store(ctx, reloc, value, 4);
  case R_X86_64_32:
    if (value > UINT32_MAX)
      return overflow(ctx, reloc);
    return store(ctx, reloc, value, 4);
  default:
    return neo_fail(ctx, NEO_UNSUPPORTED, "object: x86-64 relocation type %u is not supported",
                    (unsigned)reloc->type);
  }
}

static bool needs_low_memory(uint32_t type) {
  return type == R_X86_64_32 || type == R_X86_64_32S;
}

const neo_elf_machine neo_elf_x86_64 = {EM_X86_64, "x86-64", needs_low_memory, relocate};
