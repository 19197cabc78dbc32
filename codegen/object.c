/* codegen/object.c: checks of the little-endian ELF relocatable objects that generators make
 * (those for Windows: object_coff.c).
 *
 * Why: a kernel must import nothing, or neither the board's loader nor a foreign process could run
 * it, and a compiler is free to turn a loop into memset or a conversion into a library call. So
 * every object's symbol table is read and an undefined name is an error here, at build time, not on
 * the board.
 *
 * The code hash is the key of the bytes of all allocated sections with contents (code and
 * constants, unwind tables and notes left out) in file order; symbol names do not enter, so the
 * same code built for two operators has one hash. */
#include "codegen/object.h"

#include <string.h>

#include "runtime/elf_read.h"

static bool read_section(const neo_elf *elf, uint64_t index, Elf64_Shdr *out) {
  return neo_elf_section(elf, index, out) &&
         (out->sh_type == SHT_NOBITS || neo_elf_inside(elf, out->sh_offset, out->sh_size));
}

/* A NUL-terminated string of a string section; "" if it is not one. */
static const char *string_at(const neo_elf *elf, const Elf64_Shdr *strings, uint64_t at) {
  if (at >= strings->sh_size ||
      !memchr(elf->data + strings->sh_offset + at, 0, strings->sh_size - at))
    return "";
  return (const char *)elf->data + strings->sh_offset + at;
}

static neo_status check_symbols(neo_ctx *ctx, const neo_elf *elf, const Elf64_Shdr *table) {
  Elf64_Shdr strings;
  Elf64_Sym symbol;
  if (!read_section(elf, table->sh_link, &strings))
    return neo_fail(ctx, NEO_INTERNAL, "object: symbol table without names");
  for (uint64_t k = 1; neo_elf_symbol(elf, table, k, &symbol); k++)
    if (symbol.st_shndx == SHN_UNDEF)
      return neo_fail(ctx, NEO_INTERNAL, "object: kernels import nothing, but this one needs '%s'",
                      string_at(elf, &strings, symbol.st_name));
  return NEO_OK;
}

static bool is_code(const char *name) {
  return strncmp(name, ".eh_frame", 9) != 0 && strncmp(name, ".note", 5) != 0 &&
         strncmp(name, ".ARM.", 5) != 0;
}

static neo_status scan_sections(neo_ctx *ctx, const neo_elf *elf, neo_buf *code) {
  Elf64_Shdr names, section;
  if (!read_section(elf, elf->header.e_shstrndx, &names))
    return neo_fail(ctx, NEO_INTERNAL, "object: no section names");
  for (uint64_t k = 1; k < elf->header.e_shnum; k++) {
    if (!read_section(elf, k, &section))
      return neo_fail(ctx, NEO_INTERNAL, "object: section %llu lies outside the file",
                      (unsigned long long)k);
    if (section.sh_type == SHT_SYMTAB)
      NEO_TRY(check_symbols(ctx, elf, &section));
    bool contents = section.sh_type == SHT_PROGBITS && (section.sh_flags & SHF_ALLOC);
    if (contents && is_code(string_at(elf, &names, section.sh_name)))
      neo_buf_append(code, elf->data + section.sh_offset, section.sh_size);
  }
  return NEO_OK;
}

/* Takes `code` over. */
static neo_status hash_code(neo_ctx *ctx, neo_status status, neo_buf *code, char hash[33]) {
  if (status == NEO_OK && code->failed)
    status = neo_fail(ctx, NEO_NO_MEMORY, "object: no memory to hash its code");
  if (status == NEO_OK)
    neo_key_text(code->data, code->size, hash);
  neo_buf_fini(code);
  return status;
}

static neo_status inspect(neo_ctx *ctx, const neo_buf *bytes, char hash[33]) {
  neo_elf elf;
  neo_buf code = {0};
  if (neo_object_is_coff(bytes)) {
    neo_status scanned = neo_object_scan_coff(ctx, bytes, &code);
    return hash_code(ctx, scanned, &code, hash);
  }
  if (!neo_elf_open((const uint8_t *)bytes->data, bytes->size, &elf))
    return neo_fail(ctx, NEO_INTERNAL, "object: not a little-endian ELF file");
  neo_status scanned = scan_sections(ctx, &elf, &code);
  return hash_code(ctx, scanned, &code, hash);
}

neo_status neo_object_adopt(neo_ctx *ctx, neo_buf *bytes, int n_launches, neo_object *out) {
  neo_object object = {.bytes = *bytes, .n_launches = n_launches};
  neo_status status = bytes->failed
                          ? neo_fail(ctx, NEO_NO_MEMORY, "object: no memory for its bytes")
                          : inspect(ctx, bytes, object.code_hash);
  *bytes = (neo_buf){0};
  if (status == NEO_OK)
    *out = object;
  else
    neo_buf_fini(&object.bytes);
  return status;
}

void neo_object_fini(neo_object *object) {
  if (!object)
    return;
  neo_buf_fini(&object->bytes);
  *object = (neo_object){0};
}
