/* What the relocations of several machines share. */
#include "runtime/elf_load.h"

bool neo_reloc_fits(int64_t value, int bits) {
  int64_t limit = (int64_t)1 << (bits - 1);
  return value >= -limit && value < limit;
}

neo_status neo_reloc_overflow(neo_ctx *ctx, const neo_reloc *reloc) {
  return neo_fail(ctx, NEO_BAD_INPUT, "object: relocation type %u does not reach its target",
                  (unsigned)reloc->type);
}

neo_status neo_reloc_unknown(neo_ctx *ctx, const neo_reloc *reloc, const char *machine) {
  return neo_fail(ctx, NEO_UNSUPPORTED, "object: %s relocation type %u is not supported", machine,
                  (unsigned)reloc->type);
}

neo_status neo_reloc_store(neo_ctx *ctx, const neo_reloc *reloc, uint64_t value, size_t bytes) {
  if (reloc->room < bytes)
    return neo_fail(ctx, NEO_BAD_INPUT, "object: relocation type %u lies outside its section",
                    (unsigned)reloc->type);
  for (size_t i = 0; i < bytes; i++)
    reloc->place[i] = (uint8_t)(value >> (8 * i));
  return NEO_OK;
}

neo_status neo_reloc_patch(neo_ctx *ctx, const neo_reloc *reloc, uint32_t mask, uint32_t bits) {
  if (reloc->room < 4)
    return neo_reloc_store(ctx, reloc, 0, 4);
  const uint8_t *p = reloc->place;
  uint32_t word =
      (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
  return neo_reloc_store(ctx, reloc, (word & ~mask) | (bits & mask), 4);
}

bool neo_reloc_anywhere(uint32_t type) {
  (void)type;
  return false;
}
