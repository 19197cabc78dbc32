/* Relocations of aarch64 ("ELF for the Arm 64-bit Architecture", 5.7): the set that the small code
 * model uses without a GOT: ADRP + ADD/LDR/STR, calls and jumps, and data words. */
#include "runtime/elf_load.h"

#include <elf.h>

static neo_status patch_adrp(neo_ctx *ctx, const neo_reloc *reloc) {
  int64_t pages =
      (int64_t)((reloc->value & ~(uint64_t)0xfff) - (reloc->address & ~(uint64_t)0xfff));
  pages /= 4096;
  if (!neo_reloc_fits(pages, 21))
    return neo_reloc_overflow(ctx, reloc);
  uint32_t low = (uint32_t)pages & 3, high = ((uint32_t)pages >> 2) & 0x7ffff;
  return neo_reloc_patch(ctx, reloc, 3u << 29 | 0x7ffffu << 5, low << 29 | high << 5);
}

/* The low 12 bits of the address, scaled by the access size, into bits 10..21. */
static neo_status patch_low12(neo_ctx *ctx, const neo_reloc *reloc, int scale) {
  uint32_t low = (uint32_t)reloc->value & 0xfff;
  if (low & ((1u << scale) - 1))
    return neo_fail(ctx, NEO_BAD_INPUT, "object: relocation type %u to a misaligned target",
                    (unsigned)reloc->type);
  return neo_reloc_patch(ctx, reloc, 0xfffu << 10, low >> scale << 10);
}

/* A branch of `bits` words at bit position `shift`. */
static neo_status patch_branch(neo_ctx *ctx, const neo_reloc *reloc, int bits, int shift) {
  int64_t distance = (int64_t)(reloc->value - reloc->address);
  if ((distance & 3) || !neo_reloc_fits(distance / 4, bits))
    return neo_reloc_overflow(ctx, reloc);
  uint32_t mask = (((uint32_t)1 << bits) - 1) << shift;
  return neo_reloc_patch(ctx, reloc, mask, (uint32_t)(distance / 4) << shift);
}

static neo_status patch_data32(neo_ctx *ctx, const neo_reloc *reloc) {
  int64_t distance = (int64_t)(reloc->value - reloc->address);
  if (!neo_reloc_fits(distance, 32))
    return neo_reloc_overflow(ctx, reloc);
  return neo_reloc_store(ctx, reloc, (uint64_t)distance, 4);
}

static neo_status relocate(neo_ctx *ctx, const neo_reloc *reloc) {
  switch (reloc->type) {
  case R_AARCH64_NONE:
    return NEO_OK;
  case R_AARCH64_ABS64:
    return neo_reloc_store(ctx, reloc, reloc->value, 8);
  case R_AARCH64_PREL64:
    return neo_reloc_store(ctx, reloc, reloc->value - reloc->address, 8);
  case R_AARCH64_PREL32:
    return patch_data32(ctx, reloc);
  case R_AARCH64_ADR_PREL_PG_HI21:
    return patch_adrp(ctx, reloc);
  case R_AARCH64_ADD_ABS_LO12_NC:
  case R_AARCH64_LDST8_ABS_LO12_NC:
    return patch_low12(ctx, reloc, 0);
  case R_AARCH64_LDST16_ABS_LO12_NC:
    return patch_low12(ctx, reloc, 1);
  case R_AARCH64_LDST32_ABS_LO12_NC:
    return patch_low12(ctx, reloc, 2);
  case R_AARCH64_LDST64_ABS_LO12_NC:
    return patch_low12(ctx, reloc, 3);
  case R_AARCH64_LDST128_ABS_LO12_NC:
    return patch_low12(ctx, reloc, 4);
  case R_AARCH64_CALL26:
  case R_AARCH64_JUMP26:
    return patch_branch(ctx, reloc, 26, 0);
  case R_AARCH64_CONDBR19:
    return patch_branch(ctx, reloc, 19, 5);
  default:
    return neo_reloc_unknown(ctx, reloc, "aarch64");
  }
}

const neo_elf_machine neo_elf_aarch64 = {.number = EM_AARCH64,
                                         .name = "aarch64",
                                         .wide = true,
                                         .needs_low_memory = neo_reloc_anywhere,
                                         .relocate = relocate};
