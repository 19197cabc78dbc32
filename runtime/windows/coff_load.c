/* The loader of relocatable kernels on Windows: a COFF object of x86-64, straight from the code
 * generator into executable memory. What it is for and what it accepts: elf_load.c.
 *
 * Design: one mapping holds the sections of code, then, from a page boundary, those of constants;
 * writable while they are copied and relocated, then read+execute and read-only. Unwind tables
 * (.pdata, .xdata) are left out: kernels raise nothing, and a fault ends their process. Reference:
 * Microsoft's "PE Format", sections 3 to 5.
 *
 * Invariants
 * 1. Every offset, index and size read from the object is checked against what it points into
 *    before it is used; work is bounded by the object's size.
 * 2. A symbol that neo_object_symbol returns lies in the executable part. */
#include <string.h>

#include "runtime/os.h"
#include "runtime/runtime.h"

enum { HEADER = 20, SECTION = 40, SYMBOL = 18, RELOCATION = 10, AMD64 = 0x8664 };
enum { MAX_LOADED = 256 << 20, EXTERNAL = 2 };
enum {
  CONTAINS_CODE = 0x20,
  CONTAINS_DATA = 0x40,
  CONTAINS_ZEROS = 0x80,
  LINKER_INFO = 0x200,
  LINKER_REMOVES = 0x800,
  MANY_RELOCATIONS = 0x1000000,
  DISCARDABLE = 0x2000000,
  EXECUTABLE = 0x20000000,
};
#define WRITABLE 0x80000000u
enum { TYPE_ABSOLUTE = 0, TYPE_ADDR64 = 1, TYPE_REL32 = 4, TYPE_REL32_5 = 9 };

typedef struct entry_point {
  char name[80];
  size_t offset; /* in the mapping */
} entry_point;

struct neo_loaded {
  const neo_allocator *allocator;
  uint8_t *memory;
  size_t size, code_size;
  entry_point *symbol;
  size_t n_symbols;
};

typedef struct section {
  size_t at, size, relocations, n_relocations; /* in the file */
  uint32_t flags;
  bool loaded;
  size_t offset; /* in the mapping */
} section;

typedef struct object {
  neo_ctx *ctx;
  const uint8_t *data;
  size_t size, symbols, n_symbols, n_sections, n_relocations;
  section *section;
  neo_loaded *loaded;
} object;

static uint32_t u16_at(const uint8_t *at) {
  return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static uint32_t u32_at(const uint8_t *at) {
  return u16_at(at) | u16_at(at + 2) << 16;
}

static bool in_file(const object *o, size_t at, size_t size) {
  return at <= o->size && size <= o->size - at;
}

static neo_status bad(object *o, const char *what, size_t index) {
  return neo_fail(o->ctx, NEO_BAD_INPUT, "object: %s (section or entry %zu)", what, index);
}

static neo_status read_header(object *o) {
  if (o->size < HEADER || u16_at(o->data) != AMD64)
    return neo_fail(o->ctx, NEO_UNSUPPORTED, "object: no COFF object of x86-64");
  o->n_sections = u16_at(o->data + 2);
  o->symbols = u32_at(o->data + 8);
  o->n_symbols = u32_at(o->data + 12);
  if (u16_at(o->data + 16) != 0 || !in_file(o, HEADER, o->n_sections * SECTION) ||
      o->n_symbols > o->size / SYMBOL || !in_file(o, o->symbols, o->n_symbols * SYMBOL))
    return neo_fail(o->ctx, NEO_BAD_INPUT, "object: its tables lie outside the file");
  o->section = neo_alloc(o->ctx, (o->n_sections + 1) * sizeof(*o->section));
  return o->section ? NEO_OK
                    : neo_fail(o->ctx, NEO_NO_MEMORY, "object: out of memory for %zu sections",
                               o->n_sections);
}

/* Which sections are loaded? Refuses what a kernel must not have. */
static neo_status read_section(object *o, size_t i) {
  const uint8_t *h = o->data + HEADER + i * SECTION;
  section *s = &o->section[i];
  *s = (section){.size = u32_at(h + 16),
                 .at = u32_at(h + 20),
                 .relocations = u32_at(h + 24),
                 .n_relocations = u16_at(h + 32),
                 .flags = u32_at(h + 36)};
  bool unwind = memcmp(h, ".pdata", 6) == 0 || memcmp(h, ".xdata", 6) == 0;
  if (unwind || s->size == 0 || s->flags & (LINKER_INFO | LINKER_REMOVES | DISCARDABLE))
    return NEO_OK;
  if (s->flags & (WRITABLE | CONTAINS_ZEROS))
    return neo_fail(o->ctx, NEO_UNSUPPORTED,
                    "object: section '%.8s' is writable data: kernels keep no state",
                    (const char *)h);
  if (!(s->flags & (CONTAINS_CODE | CONTAINS_DATA)))
    return NEO_OK;
  if (!in_file(o, s->at, s->size) || !in_file(o, s->relocations, s->n_relocations * RELOCATION) ||
      s->flags & MANY_RELOCATIONS)
    return bad(o, "section lies outside the file", i);
  o->n_relocations += s->n_relocations;
  if (o->n_relocations > o->size / RELOCATION)
    return bad(o, "more relocations than there is room for", i);
  s->loaded = true;
  return NEO_OK;
}

static neo_status place_group(object *o, bool code, size_t *at) {
  for (size_t i = 0; i < o->n_sections; i++) {
    section *s = &o->section[i];
    if (!s->loaded || !!(s->flags & EXECUTABLE) != code)
      continue;
    uint32_t power = s->flags >> 20 & 15; /* 1: one byte, 14: 8192 */
    size_t align = power ? (size_t)1 << (power - 1) : 16;
    *at = (*at + align - 1) & ~(align - 1);
    s->offset = *at;
    if (s->size > MAX_LOADED || *at + s->size > MAX_LOADED || align > 4096)
      return neo_fail(o->ctx, NEO_BAD_INPUT, "object: more than %d bytes to load", MAX_LOADED);
    *at += s->size;
  }
  return NEO_OK;
}

static neo_status place_sections(object *o) {
  size_t at = 0, page = neo_os_page_size();
  neo_loaded *l = o->loaded;
  for (size_t i = 0; i < o->n_sections; i++)
    NEO_TRY(read_section(o, i));
  NEO_TRY(place_group(o, true, &at));
  if (at == 0)
    return neo_fail(o->ctx, NEO_BAD_INPUT, "object: no code in it");
  at = l->code_size = (at + page - 1) / page * page;
  NEO_TRY(place_group(o, false, &at));
  l->size = (at + page - 1) / page * page;
  l->memory = neo_os_pages_reserve(l->size);
  if (!l->memory || !neo_os_pages_commit(l->memory, l->size))
    return neo_fail(o->ctx, NEO_NO_MEMORY, "object: %zu bytes cannot be mapped", l->size);
  for (size_t i = 0; i < o->n_sections; i++)
    if (o->section[i].loaded)
      memcpy(l->memory + o->section[i].offset, o->data + o->section[i].at, o->section[i].size);
  return NEO_OK;
}

/* A symbol's name: eight bytes in place, or at an offset in the strings behind the symbols. */
static void symbol_name(const object *o, const uint8_t *symbol, char *out, size_t size) {
  size_t at = o->symbols + o->n_symbols * SYMBOL + u32_at(symbol + 4);
  out[0] = '\0';
  if (u32_at(symbol) != 0)
    snprintf(out, size, "%.8s", (const char *)symbol);
  else if (at < o->size)
    snprintf(out, size, "%.*s", (int)(o->size - at < size ? o->size - at : size),
             (const char *)o->data + at);
}

/* Where symbol `index` is in the mapping. */
static neo_status symbol_offset(object *o, uint32_t index, size_t *out) {
  if (index >= o->n_symbols)
    return bad(o, "symbol number out of range", index);
  const uint8_t *symbol = o->data + o->symbols + (size_t)index * SYMBOL;
  uint32_t number = u16_at(symbol + 12), value = u32_at(symbol + 8);
  char name[80];
  symbol_name(o, symbol, name, sizeof(name));
  if (number == 0)
    return neo_fail(o->ctx, NEO_BAD_INPUT, "object: undefined symbol '%s': kernels import nothing",
                    name);
  if (number > o->n_sections || !o->section[number - 1].loaded ||
      value > o->section[number - 1].size)
    return neo_fail(o->ctx, NEO_BAD_INPUT, "object: symbol '%s' is in nothing that is loaded",
                    name);
  *out = o->section[number - 1].offset + value;
  return NEO_OK;
}

static neo_status relocate_one(object *o, const section *s, const uint8_t *relocation) {
  uint32_t at = u32_at(relocation), type = u16_at(relocation + 8);
  size_t width = type == TYPE_ADDR64 ? 8 : 4, target = 0;
  if (type == TYPE_ABSOLUTE)
    return NEO_OK;
  if (type != TYPE_ADDR64 && (type < TYPE_REL32 || type > TYPE_REL32_5))
    return neo_fail(o->ctx, NEO_UNSUPPORTED, "object: relocation of type %u", (unsigned)type);
  if (at > s->size || width > s->size - at)
    return bad(o, "relocation lies outside its section", at);
  NEO_TRY(symbol_offset(o, u32_at(relocation + 4), &target));
  uint8_t *place = o->loaded->memory + s->offset + at;
  if (type == TYPE_ADDR64) {
    uint64_t value;
    memcpy(&value, place, sizeof(value));
    value += (uint64_t)(uintptr_t)(o->loaded->memory + target);
    memcpy(place, &value, sizeof(value));
    return NEO_OK;
  }
  uint32_t value; /* all is in one mapping of less than 2 GB: it cannot overflow */
  memcpy(&value, place, sizeof(value));
  value += (uint32_t)target - (uint32_t)(s->offset + at + 4 + (type - TYPE_REL32));
  memcpy(place, &value, sizeof(value));
  return NEO_OK;
}

static neo_status relocate(object *o) {
  for (size_t i = 0; i < o->n_sections; i++) {
    const section *s = &o->section[i];
    for (size_t k = 0; s->loaded && k < s->n_relocations; k++)
      NEO_TRY(relocate_one(o, s, o->data + s->relocations + k * RELOCATION));
  }
  return NEO_OK;
}

static neo_status collect_symbols(object *o) {
  neo_loaded *l = o->loaded;
  l->symbol = neo_alloc(o->ctx, (o->n_symbols + 1) * sizeof(*l->symbol));
  if (!l->symbol)
    return neo_fail(o->ctx, NEO_NO_MEMORY, "object: out of memory for %zu symbols", o->n_symbols);
  for (size_t i = 0; i < o->n_symbols; i++) {
    const uint8_t *symbol = o->data + o->symbols + i * SYMBOL;
    uint32_t number = u16_at(symbol + 12), value = u32_at(symbol + 8);
    const section *s = number > 0 && number <= o->n_sections ? &o->section[number - 1] : NULL;
    if (symbol[16] == EXTERNAL && s && s->loaded && s->flags & EXECUTABLE && value < s->size) {
      entry_point *entry = &l->symbol[l->n_symbols++];
      symbol_name(o, symbol, entry->name, sizeof(entry->name));
      entry->offset = s->offset + value;
    }
    i += symbol[17]; /* auxiliary records */
  }
  return NEO_OK;
}

static neo_status protect(object *o) {
  neo_loaded *l = o->loaded;
  return neo_os_pages_execute(l->memory, l->size, l->code_size)
             ? NEO_OK
             : neo_fail(o->ctx, NEO_UNSUPPORTED, "object: this system refuses executable memory");
}

static neo_status load(object *o) {
  NEO_TRY(read_header(o));
  NEO_TRY(place_sections(o));
  NEO_TRY(relocate(o));
  NEO_TRY(collect_symbols(o));
  return protect(o);
}

neo_status neo_object_load(neo_ctx *ctx, const uint8_t *data, size_t size, neo_loaded **out) {
  object o = {.ctx = ctx, .data = data, .size = size};
  o.loaded = neo_alloc(ctx, sizeof(*o.loaded));
  if (!o.loaded)
    return neo_fail(ctx, NEO_NO_MEMORY, "object: out of memory");
  o.loaded->allocator = ctx->allocator;
  neo_status status = load(&o);
  neo_free(ctx, o.section);
  if (status == NEO_OK)
    *out = o.loaded;
  else
    neo_object_unload(o.loaded);
  return status;
}

/* GPUs are not measured under Windows: only functions are taken from objects. */
const neo_device_kernel *neo_object_device_kernel(const neo_loaded *loaded, const char *name) {
  (void)loaded;
  (void)name;
  return NULL;
}

neo_kernel_fn neo_object_symbol(const neo_loaded *loaded, const char *name) {
  for (size_t i = 0; i < loaded->n_symbols; i++)
    if (strcmp(loaded->symbol[i].name, name) == 0)
      return (neo_kernel_fn)(uintptr_t)(loaded->memory + loaded->symbol[i].offset);
  return NULL;
}

const uint8_t *neo_object_memory(const neo_loaded *loaded, size_t *size) {
  *size = loaded->size;
  return loaded->memory;
}

void neo_object_unload(neo_loaded *loaded) {
  if (!loaded)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = loaded->allocator;
  neo_os_pages_release(loaded->memory, loaded->size);
  neo_free(&ctx, loaded->symbol);
  neo_free(&ctx, loaded);
}
