/* Relocations of Qualcomm's Hexagon ("Hexagon ABI User Guide", relocations): those of
 * position-independent code, so branches, pc-relative constants and data words; of absolute ones
 * only the halves of an address.
 *
 * How: an instruction's constant lies in the bits of a mask, the lowest bit of the one in the
 * lowest of the other. A constant that does not fit is extended: a word in front of the instruction
 * has the upper 26 bits, the instruction the lower six. The pc is that of the packet; the addend
 * has the distance from there to the word. */
#include "runtime/elf_load.h"

#include <elf.h>

enum {
  B22_PCREL = 1,
  B15_PCREL = 2,
  B7_PCREL = 3,
  LO16 = 4,
  HI16 = 5,
  WORD_32 = 6,
  B13_PCREL = 14,
  B9_PCREL = 15,
  B32_PCREL_X = 16,
  B22_PCREL_X = 18,
  B15_PCREL_X = 19,
  B13_PCREL_X = 20,
  B9_PCREL_X = 21,
  B7_PCREL_X = 22,
  WORD_32_PCREL = 31,
  ADD_PC_6_X = 65
};

enum {
  MASK_B22 = 0x01ff3ffe,
  MASK_B15 = 0x00df20fe,
  MASK_B13 = 0x00202ffe,
  MASK_B9 = 0x003000fe,
  MASK_B7 = 0x00001f18,
  MASK_HALF = 0x00c03fff,
  MASK_EXTENDER = 0x0fff3fff,
  MASK_ADD_PC = 0x00001f80
};

static neo_status deposit(neo_ctx *ctx, const neo_reloc *reloc, uint32_t mask, uint32_t value) {
  uint32_t bits = 0;
  for (uint32_t left = mask; left; left &= left - 1, value >>= 1)
    bits |= value & 1 ? left & (~left + 1) : 0;
  return neo_reloc_patch(ctx, reloc, mask, bits);
}

static uint32_t distance_of(const neo_reloc *reloc) {
  return (uint32_t)reloc->value - (uint32_t)reloc->address;
}

/* In words, of so many bits. */
static neo_status branch(neo_ctx *ctx, const neo_reloc *reloc, uint32_t mask, int bits) {
  uint32_t distance = distance_of(reloc);
  if ((distance & 3) || !neo_reloc_fits((int32_t)distance, bits + 2))
    return neo_reloc_overflow(ctx, reloc);
  return deposit(ctx, reloc, mask, distance >> 2);
}

/* The lower part of an extended constant. */
static neo_status low6(neo_ctx *ctx, const neo_reloc *reloc, uint32_t mask) {
  return deposit(ctx, reloc, mask, distance_of(reloc) & 0x3f);
}

static neo_status relocate(neo_ctx *ctx, const neo_reloc *reloc) {
  uint32_t value = (uint32_t)reloc->value;
  switch (reloc->type) {
  case 0:
    return NEO_OK;
  case WORD_32:
    return neo_reloc_store(ctx, reloc, value, 4);
  case WORD_32_PCREL:
    return neo_reloc_store(ctx, reloc, distance_of(reloc), 4);
  case LO16:
    return deposit(ctx, reloc, MASK_HALF, value & 0xffff);
  case HI16:
    return deposit(ctx, reloc, MASK_HALF, value >> 16);
  case B22_PCREL:
    return branch(ctx, reloc, MASK_B22, 22);
  case B15_PCREL:
    return branch(ctx, reloc, MASK_B15, 15);
  case B13_PCREL:
    return branch(ctx, reloc, MASK_B13, 13);
  case B9_PCREL:
    return branch(ctx, reloc, MASK_B9, 9);
  case B7_PCREL:
    return branch(ctx, reloc, MASK_B7, 7);
  case B32_PCREL_X:
    return deposit(ctx, reloc, MASK_EXTENDER, distance_of(reloc) >> 6);
  case B22_PCREL_X:
    return low6(ctx, reloc, MASK_B22);
  case B15_PCREL_X:
    return low6(ctx, reloc, MASK_B15);
  case B13_PCREL_X:
    return low6(ctx, reloc, MASK_B13);
  case B9_PCREL_X:
    return low6(ctx, reloc, MASK_B9);
  case B7_PCREL_X:
    return low6(ctx, reloc, MASK_B7);
  case ADD_PC_6_X:
    return low6(ctx, reloc, MASK_ADD_PC);
  default:
    return neo_reloc_unknown(ctx, reloc, "hexagon");
  }
}

const neo_elf_machine neo_elf_hexagon = {.number = EM_QDSP6,
                                         .name = "hexagon",
                                         .needs_low_memory = neo_reloc_anywhere,
                                         .relocate = relocate};
