/* codegen/object_coff.c: a look into the COFF objects that LLVM makes for Windows on x86-64.
 *
 * The same as for ELF in object.c: an undefined symbol is an error, and the bytes of code and
 * constants are what the code hash is made of; unwind tables (.pdata, .xdata) and the linker's
 * notes are left out. Field offsets are those of Microsoft's "PE Format" specification, sections 3
 * to 5. */
#include <string.h>

#include "codegen/object.h"

enum { HEADER = 20, SECTION = 40, SYMBOL = 18, MACHINE_AMD64 = 0x8664 };
enum { CLASS_EXTERNAL = 2, CONTAINS_CODE = 0x20, CONTAINS_DATA = 0x40, INFORMATION = 0x200 };

typedef struct coff_view {
  const uint8_t *data;
  size_t size, symbols, n_symbols, n_sections;
} coff_view;

static uint32_t read_u32(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint32_t read_u16(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

bool neo_object_is_coff(const neo_buf *bytes) {
  return bytes->size >= HEADER && read_u16((const uint8_t *)bytes->data) == MACHINE_AMD64;
}

/* A symbol's name: eight bytes in place, or at an offset in the strings behind the symbols. */
static const char *symbol_name(const coff_view *o, const uint8_t *symbol, char room[9]) {
  size_t strings = o->symbols + o->n_symbols * SYMBOL, at = strings + read_u32(symbol + 4);
  if (read_u32(symbol) != 0) {
    memcpy(room, symbol, 8);
    room[8] = '\0';
    return room;
  }
  return at < o->size && memchr(o->data + at, 0, o->size - at) ? (const char *)o->data + at : "";
}

static neo_status check_symbols(neo_ctx *ctx, const coff_view *o) {
  for (size_t k = 0; k < o->n_symbols; k++) {
    const uint8_t *symbol = o->data + o->symbols + k * SYMBOL;
    char room[9];
    bool undefined = read_u16(symbol + 12) == 0 && symbol[16] == CLASS_EXTERNAL;
    if (undefined && read_u32(symbol + 8) == 0)
      return neo_fail(ctx, NEO_INTERNAL, "object: kernels import nothing, but this one needs '%s'",
                      symbol_name(o, symbol, room));
    k += symbol[17]; /* auxiliary records */
  }
  return NEO_OK;
}

static neo_status append_sections(neo_ctx *ctx, const coff_view *o, neo_buf *code) {
  for (size_t k = 0; k < o->n_sections; k++) {
    const uint8_t *section = o->data + HEADER + k * SECTION;
    uint32_t size = read_u32(section + 16), at = read_u32(section + 20);
    uint32_t flags = read_u32(section + 36);
    bool contents = (flags & (CONTAINS_CODE | CONTAINS_DATA)) && !(flags & INFORMATION) && at;
    if (!contents || memcmp(section, ".pdata", 6) == 0 || memcmp(section, ".xdata", 6) == 0)
      continue;
    if (at > o->size || size > o->size - at)
      return neo_fail(ctx, NEO_INTERNAL, "object: section %zu lies outside the file", k);
    neo_buf_append(code, o->data + at, size);
  }
  return NEO_OK;
}

neo_status neo_object_scan_coff(neo_ctx *ctx, const neo_buf *bytes, neo_buf *code) {
  const uint8_t *data = (const uint8_t *)bytes->data;
  coff_view o = {.data = data,
                 .size = bytes->size,
                 .symbols = read_u32(data + 8),
                 .n_symbols = read_u32(data + 12),
                 .n_sections = read_u16(data + 2)};
  if (read_u16(data + 16) != 0 || o.n_sections * SECTION > o.size - HEADER || o.symbols > o.size ||
      o.n_symbols > (o.size - o.symbols) / SYMBOL)
    return neo_fail(ctx, NEO_INTERNAL, "object: its tables lie outside the file");
  NEO_TRY(check_symbols(ctx, &o));
  return append_sections(ctx, &o, code);
}
