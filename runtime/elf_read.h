/* runtime/elf_read.h: headers and tables of little-endian ELF files, 32 and 64 bits alike: what is
 * read comes as the 64-bit structures. Nothing outside the file is ever looked at. */
#ifndef NEO_RUNTIME_ELF_READ_H
#define NEO_RUNTIME_ELF_READ_H

#include <elf.h>

#include "base/core.h"

typedef struct neo_elf {
  const uint8_t *data;
  size_t size;
  bool wide; /* ELF64 */
  Elf64_Ehdr header;
} neo_elf;

/* false: not ELF, another byte order, or shorter than a header. */
bool neo_elf_open(const uint8_t *data, size_t size, neo_elf *out);
bool neo_elf_inside(const neo_elf *elf, uint64_t offset, uint64_t size);
/* false: the table's entry lies outside the file; what the entry points to is not checked. */
bool neo_elf_section(const neo_elf *elf, uint64_t index, Elf64_Shdr *out);
/* Bytes of an entry of a table of sections, symbols (SHT_SYMTAB) or relocations (SHT_REL,
 * SHT_RELA). */
size_t neo_elf_section_size(const neo_elf *elf);
size_t neo_elf_entry_size(const neo_elf *elf, uint32_t table);
/* Of a section that lies in the file; false: it has not so many entries. */
bool neo_elf_symbol(const neo_elf *elf, const Elf64_Shdr *table, uint64_t index, Elf64_Sym *out);
/* r_info is ELF64_R_INFO(symbol, type); without an addend it is 0. */
bool neo_elf_relocation(const neo_elf *elf, const Elf64_Shdr *table, uint64_t index,
                        Elf64_Rela *out);

#endif
