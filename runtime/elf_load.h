/* runtime/elf_load.h: inside of the loader: the relocations of one machine, and loading for a
 * machine other than this one (tests and fuzzing look at the bytes; nothing of it can run). */
#ifndef NEO_RUNTIME_ELF_LOAD_H
#define NEO_RUNTIME_ELF_LOAD_H

#include "runtime/runtime.h"

/* One relocation, all values known: S + A as `value`, place P both as memory and as the address it
 * will have. Of a lower part, value and address are those of its upper part. */
typedef struct neo_reloc {
  uint32_t type;
  uint8_t *place;
  size_t room; /* bytes from place to the end of its section */
  uint64_t value, address;
} neo_reloc;

typedef enum neo_reloc_part { NEO_RELOC_WHOLE, NEO_RELOC_HIGH, NEO_RELOC_LOW } neo_reloc_part;

typedef struct neo_elf_machine {
  uint16_t number; /* e_machine */
  const char *name;
  bool wide;                               /* ELF64 */
  bool addends_in_place;                   /* SHT_REL: `value` is S alone */
  neo_reloc_part (*part)(uint32_t type);   /* NULL: all are whole */
  bool (*needs_low_memory)(uint32_t type); /* address must lie in the low 2 GB */
  neo_status (*relocate)(neo_ctx *ctx, const neo_reloc *reloc);
} neo_elf_machine;

extern const neo_elf_machine neo_elf_x86_64, neo_elf_aarch64, neo_elf_arm, neo_elf_riscv,
    neo_elf_hexagon;

/* ---- for elf_MACHINE.c ---- */
/* Little-endian, checked against the room. */
neo_status neo_reloc_store(neo_ctx *ctx, const neo_reloc *reloc, uint64_t value, size_t bytes);
/* Replaces the bits of mask in the 32-bit instruction at place. */
neo_status neo_reloc_patch(neo_ctx *ctx, const neo_reloc *reloc, uint32_t mask, uint32_t bits);
/* "does not reach its target", "is not supported" */
neo_status neo_reloc_overflow(neo_ctx *ctx, const neo_reloc *reloc);
neo_status neo_reloc_unknown(neo_ctx *ctx, const neo_reloc *reloc, const char *machine);
bool neo_reloc_fits(int64_t value, int bits); /* signed */
bool neo_reloc_anywhere(uint32_t type);       /* needs_low_memory of most machines: no */

neo_status neo_object_load_for(neo_ctx *ctx, const neo_elf_machine *machine, const uint8_t *data,
                               size_t size, neo_loaded **out);

#endif
