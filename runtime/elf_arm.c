/* Relocations of 32-bit Arm ("ELF for the Arm Architecture", 5.6), Arm instructions only: data
 * words, branches, MOVW/MOVT. Addends are in the place itself. */
#include "runtime/elf_load.h"

#include <elf.h>

static uint32_t word_at(const neo_reloc *reloc) {
  const uint8_t *p = reloc->place;
  return reloc->room < 4
             ? 0
             : (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t sign_extend(uint32_t value, int bits) {
  uint32_t sign = (uint32_t)1 << (bits - 1);
  return ((value & (sign * 2 - 1)) ^ sign) - sign;
}

static neo_status branch(neo_ctx *ctx, const neo_reloc *reloc) {
  uint32_t addend = sign_extend(word_at(reloc) << 2, 26);
  int32_t distance = (int32_t)((uint32_t)reloc->value + addend - (uint32_t)reloc->address);
  if ((distance & 3) || !neo_reloc_fits(distance, 26))
    return neo_reloc_overflow(ctx, reloc);
  return neo_reloc_patch(ctx, reloc, 0xffffff, (uint32_t)distance >> 2);
}

/* MOVW, MOVT: sixteen bits in two fields; `origin` is subtracted. */
static neo_status half(neo_ctx *ctx, const neo_reloc *reloc, uint32_t origin, int shift) {
  uint32_t word = word_at(reloc);
  uint32_t addend = sign_extend((word >> 4 & 0xf000) | (word & 0xfff), 16);
  uint32_t value = ((uint32_t)reloc->value + addend - origin) >> shift & 0xffff;
  return neo_reloc_patch(ctx, reloc, 0xf0fff, (value & 0xf000) << 4 | (value & 0xfff));
}

static neo_status prel31(neo_ctx *ctx, const neo_reloc *reloc) {
  uint32_t addend = sign_extend(word_at(reloc), 31);
  int32_t distance = (int32_t)((uint32_t)reloc->value + addend - (uint32_t)reloc->address);
  if (!neo_reloc_fits(distance, 31))
    return neo_reloc_overflow(ctx, reloc);
  return neo_reloc_patch(ctx, reloc, 0x7fffffff, (uint32_t)distance);
}

static neo_status relocate(neo_ctx *ctx, const neo_reloc *reloc) {
  uint32_t at = (uint32_t)reloc->address;
  switch (reloc->type) {
  case R_ARM_NONE:
  case R_ARM_V4BX:
    return NEO_OK;
  case R_ARM_ABS32:
    return neo_reloc_store(ctx, reloc, (uint32_t)reloc->value + word_at(reloc), 4);
  case R_ARM_REL32:
    return neo_reloc_store(ctx, reloc, (uint32_t)reloc->value + word_at(reloc) - at, 4);
  case R_ARM_PREL31:
    return prel31(ctx, reloc);
  case R_ARM_CALL:
  case R_ARM_JUMP24:
    return branch(ctx, reloc);
  case R_ARM_MOVW_ABS_NC:
    return half(ctx, reloc, 0, 0);
  case R_ARM_MOVT_ABS:
    return half(ctx, reloc, 0, 16);
  case R_ARM_MOVW_PREL_NC:
    return half(ctx, reloc, at, 0);
  case R_ARM_MOVT_PREL:
    return half(ctx, reloc, at, 16);
  default:
    return neo_reloc_unknown(ctx, reloc, "arm");
  }
}

const neo_elf_machine neo_elf_arm = {.number = EM_ARM,
                                     .name = "arm",
                                     .addends_in_place = true,
                                     .needs_low_memory = neo_reloc_anywhere,
                                     .relocate = relocate};
