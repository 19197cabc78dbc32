/* runtime/elf_load.h: inside of the loader: the relocations of one machine, and loading for a
 * machine other than this one (tests and fuzzing look at the bytes; nothing of it can run). */
#ifndef NEO_RUNTIME_ELF_LOAD_H
#define NEO_RUNTIME_ELF_LOAD_H

#include "runtime/runtime.h"

/* One relocation, all values known: S + A as `value`, place P both as memory and as the address it
 * will have. */
typedef struct neo_reloc {
  uint32_t type;
  uint8_t *place;
  size_t room; /* bytes from place to the end of its section */
  uint64_t value, address;
} neo_reloc;

typedef struct neo_elf_machine {
  uint16_t number; /* e_machine */
  const char *name;
  bool (*needs_low_memory)(uint32_t type); /* address must lie in the low 2 GB */
  neo_status (*relocate)(neo_ctx *ctx, const neo_reloc *reloc);
} neo_elf_machine;

extern const neo_elf_machine neo_elf_x86_64, neo_elf_aarch64;

neo_status neo_object_load_for(neo_ctx *ctx, const neo_elf_machine *machine, const uint8_t *data,
                               size_t size, neo_loaded **out);

#endif
