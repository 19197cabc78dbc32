/* ELF headers and tables, both classes as the 64-bit structures ("System V ABI", chapter 4).
 *
 * Invariant: every access is checked against the file's size, whatever the file says. */
#include "runtime/elf_read.h"

#include <string.h>

bool neo_elf_inside(const neo_elf *elf, uint64_t offset, uint64_t size) {
  return offset <= elf->size && size <= elf->size - offset;
}

static bool read_at(const neo_elf *elf, uint64_t at, void *out, size_t size) {
  if (!neo_elf_inside(elf, at, size))
    return false;
  memcpy(out, elf->data + at, size);
  return true;
}

static void widen_header(const Elf32_Ehdr *h, Elf64_Ehdr *out) {
  memcpy(out->e_ident, h->e_ident, EI_NIDENT);
  out->e_type = h->e_type;
  out->e_machine = h->e_machine;
  out->e_version = h->e_version;
  out->e_entry = h->e_entry;
  out->e_phoff = h->e_phoff;
  out->e_shoff = h->e_shoff;
  out->e_flags = h->e_flags;
  out->e_ehsize = h->e_ehsize;
  out->e_phentsize = h->e_phentsize;
  out->e_phnum = h->e_phnum;
  out->e_shentsize = h->e_shentsize;
  out->e_shnum = h->e_shnum;
  out->e_shstrndx = h->e_shstrndx;
}

bool neo_elf_open(const uint8_t *data, size_t size, neo_elf *out) {
  neo_elf elf = {.data = data, .size = size};
  unsigned char ident[EI_NIDENT];
  Elf32_Ehdr narrow;
  if (!read_at(&elf, 0, ident, sizeof ident) || memcmp(ident, ELFMAG, SELFMAG) != 0 ||
      ident[EI_DATA] != ELFDATA2LSB)
    return false;
  elf.wide = ident[EI_CLASS] == ELFCLASS64;
  if (elf.wide) {
    if (!read_at(&elf, 0, &elf.header, sizeof elf.header))
      return false;
  } else {
    if (ident[EI_CLASS] != ELFCLASS32 || !read_at(&elf, 0, &narrow, sizeof narrow))
      return false;
    widen_header(&narrow, &elf.header);
  }
  *out = elf;
  return true;
}

size_t neo_elf_section_size(const neo_elf *elf) {
  return elf->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
}

size_t neo_elf_entry_size(const neo_elf *elf, uint32_t table) {
  switch (table) {
  case SHT_SYMTAB:
    return elf->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
  case SHT_REL:
    return elf->wide ? sizeof(Elf64_Rel) : sizeof(Elf32_Rel);
  default:
    return elf->wide ? sizeof(Elf64_Rela) : sizeof(Elf32_Rela);
  }
}

bool neo_elf_section(const neo_elf *elf, uint64_t index, Elf64_Shdr *out) {
  uint64_t at = elf->header.e_shoff + index * neo_elf_section_size(elf);
  Elf32_Shdr s;
  if (index >= elf->header.e_shnum || at < elf->header.e_shoff)
    return false;
  if (elf->wide)
    return read_at(elf, at, out, sizeof *out);
  if (!read_at(elf, at, &s, sizeof s))
    return false;
  *out = (Elf64_Shdr){s.sh_name, s.sh_type, s.sh_flags, s.sh_addr,      s.sh_offset,
                      s.sh_size, s.sh_link, s.sh_info,  s.sh_addralign, s.sh_entsize};
  return true;
}

bool neo_elf_symbol(const neo_elf *elf, const Elf64_Shdr *table, uint64_t index, Elf64_Sym *out) {
  size_t size = neo_elf_entry_size(elf, SHT_SYMTAB);
  Elf32_Sym s;
  if (index >= table->sh_size / size)
    return false;
  uint64_t at = table->sh_offset + index * size;
  if (elf->wide)
    return read_at(elf, at, out, sizeof *out);
  if (!read_at(elf, at, &s, sizeof s))
    return false;
  *out = (Elf64_Sym){s.st_name, s.st_info, s.st_other, s.st_shndx, s.st_value, s.st_size};
  return true;
}

bool neo_elf_relocation(const neo_elf *elf, const Elf64_Shdr *table, uint64_t index,
                        Elf64_Rela *out) {
  size_t size = neo_elf_entry_size(elf, table->sh_type);
  Elf32_Rela narrow = {0};
  if (index >= table->sh_size / size)
    return false;
  uint64_t at = table->sh_offset + index * size;
  *out = (Elf64_Rela){0};
  if (elf->wide)
    return read_at(elf, at, out, size); /* Elf64_Rel is its start */
  if (!read_at(elf, at, &narrow, size))
    return false;
  *out = (Elf64_Rela){
      narrow.r_offset,
      ELF64_R_INFO((uint64_t)ELF32_R_SYM(narrow.r_info), (uint64_t)ELF32_R_TYPE(narrow.r_info)),
      narrow.r_addend};
  return true;
}
