/* Relocations of 64-bit RISC-V ("RISC-V ABIs Specification", ELF, 8.5): pc-relative pairs, calls
 * and branches, data words and differences of labels. Objects are not relaxed. */
#include "runtime/elf_load.h"

#include <elf.h>

static uint64_t bits_at(const neo_reloc *reloc, size_t bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes && i < reloc->room; i++)
    value |= (uint64_t)reloc->place[i] << (8 * i);
  return value;
}

static int64_t distance_of(const neo_reloc *reloc) {
  return (int64_t)(reloc->value - reloc->address);
}

/* AUIPC: the upper 20 bits, rounded for a signed lower part. */
static neo_status high20(neo_ctx *ctx, const neo_reloc *reloc) {
  int64_t d = distance_of(reloc) + 0x800;
  if (!neo_reloc_fits(d, 32))
    return neo_reloc_overflow(ctx, reloc);
  return neo_reloc_patch(ctx, reloc, 0xfffff000, (uint32_t)d);
}

static neo_status low12(neo_ctx *ctx, const neo_reloc *reloc, bool store) {
  uint32_t d = (uint32_t)distance_of(reloc) & 0xfff;
  return store ? neo_reloc_patch(ctx, reloc, 0xfe000f80, (d >> 5) << 25 | (d & 31) << 7)
               : neo_reloc_patch(ctx, reloc, 0xfff00000, d << 20);
}

/* AUIPC and JALR, one after another. */
static neo_status call(neo_ctx *ctx, const neo_reloc *reloc) {
  if (reloc->room < 8)
    return neo_reloc_store(ctx, reloc, 0, 8);
  NEO_TRY(high20(ctx, reloc));
  neo_reloc next = *reloc;
  next.place += 4;
  next.room -= 4;
  return low12(ctx, &next, false);
}

static neo_status branch(neo_ctx *ctx, const neo_reloc *reloc) {
  int64_t d = distance_of(reloc);
  uint32_t v = (uint32_t)d;
  if ((d & 1) || !neo_reloc_fits(d, 13))
    return neo_reloc_overflow(ctx, reloc);
  return neo_reloc_patch(ctx, reloc, 0xfe000f80,
                         (v >> 12 & 1) << 31 | (v >> 5 & 63) << 25 | (v >> 1 & 15) << 8 |
                             (v >> 11 & 1) << 7);
}

static neo_status jump(neo_ctx *ctx, const neo_reloc *reloc) {
  int64_t d = distance_of(reloc);
  uint32_t v = (uint32_t)d;
  if ((d & 1) || !neo_reloc_fits(d, 21))
    return neo_reloc_overflow(ctx, reloc);
  return neo_reloc_patch(ctx, reloc, 0xfffff000,
                         (v >> 20 & 1) << 31 | (v >> 1 & 0x3ff) << 21 | (v >> 11 & 1) << 20 |
                             (v >> 12 & 0xff) << 12);
}

/* Instructions of 16 bits. */
static neo_status short_branch(neo_ctx *ctx, const neo_reloc *reloc) {
  int64_t d = distance_of(reloc);
  uint32_t v = (uint32_t)d;
  if ((d & 1) || !neo_reloc_fits(d, 9))
    return neo_reloc_overflow(ctx, reloc);
  uint32_t field = (v >> 8 & 1) << 12 | (v >> 3 & 3) << 10 | (v >> 6 & 3) << 5 | (v >> 1 & 3) << 3 |
                   (v >> 5 & 1) << 2;
  return neo_reloc_store(ctx, reloc, (bits_at(reloc, 2) & ~(uint64_t)0x1c7c) | field, 2);
}

static neo_status short_jump(neo_ctx *ctx, const neo_reloc *reloc) {
  int64_t d = distance_of(reloc);
  uint32_t v = (uint32_t)d;
  if ((d & 1) || !neo_reloc_fits(d, 12))
    return neo_reloc_overflow(ctx, reloc);
  uint32_t field = (v >> 11 & 1) << 12 | (v >> 4 & 1) << 11 | (v >> 8 & 3) << 9 |
                   (v >> 10 & 1) << 8 | (v >> 6 & 1) << 7 | (v >> 7 & 1) << 6 | (v >> 1 & 7) << 3 |
                   (v >> 5 & 1) << 2;
  return neo_reloc_store(ctx, reloc, (bits_at(reloc, 2) & ~(uint64_t)0x1ffc) | field, 2);
}

static neo_status add(neo_ctx *ctx, const neo_reloc *reloc, size_t bytes, bool minus) {
  uint64_t old = bits_at(reloc, bytes);
  return neo_reloc_store(ctx, reloc, minus ? old - reloc->value : old + reloc->value, bytes);
}

static neo_status relocate(neo_ctx *ctx, const neo_reloc *reloc) {
  switch (reloc->type) {
  case R_RISCV_NONE:
  case R_RISCV_RELAX:
    return NEO_OK;
  case R_RISCV_64:
    return neo_reloc_store(ctx, reloc, reloc->value, 8);
  case R_RISCV_32_PCREL:
    return neo_reloc_fits(distance_of(reloc), 32)
               ? neo_reloc_store(ctx, reloc, reloc->value - reloc->address, 4)
               : neo_reloc_overflow(ctx, reloc);
  case R_RISCV_PCREL_HI20:
    return high20(ctx, reloc);
  case R_RISCV_PCREL_LO12_I:
    return low12(ctx, reloc, false);
  case R_RISCV_PCREL_LO12_S:
    return low12(ctx, reloc, true);
  case R_RISCV_CALL:
  case R_RISCV_CALL_PLT:
    return call(ctx, reloc);
  case R_RISCV_BRANCH:
    return branch(ctx, reloc);
  case R_RISCV_JAL:
    return jump(ctx, reloc);
  case R_RISCV_RVC_BRANCH:
    return short_branch(ctx, reloc);
  case R_RISCV_RVC_JUMP:
    return short_jump(ctx, reloc);
  case R_RISCV_ADD32:
    return add(ctx, reloc, 4, false);
  case R_RISCV_ADD64:
    return add(ctx, reloc, 8, false);
  case R_RISCV_SUB32:
    return add(ctx, reloc, 4, true);
  case R_RISCV_SUB64:
    return add(ctx, reloc, 8, true);
  default:
    return neo_reloc_unknown(ctx, reloc, "riscv");
  }
}

static neo_reloc_part part(uint32_t type) {
  bool low = type == R_RISCV_PCREL_LO12_I || type == R_RISCV_PCREL_LO12_S;
  return type == R_RISCV_PCREL_HI20 ? NEO_RELOC_HIGH : low ? NEO_RELOC_LOW : NEO_RELOC_WHOLE;
}

const neo_elf_machine neo_elf_riscv = {.number = EM_RISCV,
                                       .name = "riscv",
                                       .wide = true,
                                       .part = part,
                                       .needs_low_memory = neo_reloc_anywhere,
                                       .relocate = relocate};
