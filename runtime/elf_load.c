/* The loader of relocatable kernels: an ELF object straight from the code generator into
 * executable memory.
 *
 * Why our own: a candidate loads in tens of microseconds instead of milliseconds of linker and
 * dlopen, and it runs on boards that have neither.
 *
 * Design: one mapping holds the executable sections, then, from a page boundary, the read-only
 * ones. It is writable while sections are copied and relocated; then the first part becomes
 * read+execute and the rest read-only, so nothing is ever writable and executable at once. Only
 * what a kernel needs is accepted: no writable data (a kernel keeps no state: it runs on many
 * threads and its candidates must not be able to cache results), no thread-local data, no undefined
 * symbols. References: "System V ABI", chapter 4 (object files); the machines' supplements in
 * elf_MACHINE.c.
 *
 * Invariants
 * 1. Every offset, index and size read from the object is checked against what it points into
 *    before it is used; work is bounded by the object's size.
 * 2. A symbol that neo_object_symbol returns lies in the executable part. */
#include "runtime/elf_load.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/elf_read.h"

enum { MAX_LOADED = 256 << 20, MAX_ALIGNMENT = 4096 };

typedef struct entry_point {
  char *name;
  uint64_t offset; /* in the mapping */
  size_t left;     /* bytes from there to the end of its section */
  bool code;
} entry_point;

struct neo_loaded {
  const neo_allocator *allocator;
  uint8_t *memory;
  size_t size, code_size;
  entry_point *symbol; /* sorted by name; names are in the same block */
  size_t n_symbols;
};

typedef struct section {
  Elf64_Shdr header;
  bool loaded;
  size_t offset; /* in the mapping */
} section;

/* An instruction that sets the upper part of an address, for those that add its lower part. */
typedef struct high_part {
  uint64_t address, value;
} high_part;

typedef struct object {
  neo_ctx *ctx;
  neo_elf elf;
  const neo_elf_machine *machine;
  section *section;
  size_t n_sections;
  size_t symtab, strtab; /* section numbers; 0: none */
  neo_loaded *loaded;
  high_part *high; /* of the section at hand, by address */
  size_t n_high, high_room;
} object;

static neo_status bad(object *o, const char *what, size_t index) {
  return neo_fail(o->ctx, NEO_BAD_INPUT, "object: %s (section or entry %zu)", what, index);
}

static neo_status read_header(object *o, const uint8_t *data, size_t size) {
  if (!neo_elf_open(data, size, &o->elf))
    return neo_fail(o->ctx, NEO_BAD_INPUT,
                    "object: %zu bytes: not an ELF file, or cut off, or not little-endian", size);
  const Elf64_Ehdr *h = &o->elf.header;
  if (h->e_machine != o->machine->number || o->elf.wide != o->machine->wide)
    return neo_fail(o->ctx, NEO_UNSUPPORTED,
                    "object: ELF machine %u of %d bits, %u of %d bits (%s) expected",
                    (unsigned)h->e_machine, o->elf.wide ? 64 : 32, (unsigned)o->machine->number,
                    o->machine->wide ? 64 : 32, o->machine->name);
  if (h->e_type != ET_REL)
    return neo_fail(o->ctx, NEO_UNSUPPORTED, "object: ELF type %u, relocatable (1) expected",
                    (unsigned)h->e_type);
  return NEO_OK;
}

static neo_status read_section(object *o, size_t i) {
  Elf64_Shdr *s = &o->section[i].header;
  if (!neo_elf_section(&o->elf, i, s))
    return bad(o, "section header lies outside the file", i);
  if (s->sh_type != SHT_NOBITS && !neo_elf_inside(&o->elf, s->sh_offset, s->sh_size))
    return bad(o, "section lies outside the file", i);
  if (s->sh_type == SHT_SYMTAB) {
    if (o->symtab || s->sh_entsize != neo_elf_entry_size(&o->elf, SHT_SYMTAB) ||
        s->sh_link >= o->elf.header.e_shnum)
      return bad(o, "symbol table is damaged", i);
    o->symtab = i;
    o->strtab = s->sh_link;
  }
  return NEO_OK;
}

static neo_status read_sections(object *o) {
  const Elf64_Ehdr *h = &o->elf.header;
  size_t count = h->e_shnum, size = neo_elf_section_size(&o->elf);
  if (count == 0 || h->e_shentsize != size ||
      !neo_elf_inside(&o->elf, h->e_shoff, (uint64_t)count * size))
    return neo_fail(o->ctx, NEO_BAD_INPUT, "object: section table is damaged");
  o->section = neo_alloc(o->ctx, count * sizeof(*o->section));
  if (!o->section)
    return neo_fail(o->ctx, NEO_NO_MEMORY, "object: out of memory for %zu sections", count);
  o->n_sections = count;
  for (size_t i = 0; i < count; i++)
    NEO_TRY(read_section(o, i));
  if (o->symtab && o->section[o->strtab].header.sh_type != SHT_STRTAB)
    return bad(o, "symbol names are not a string table", o->strtab);
  return NEO_OK;
}

/* A NUL-terminated string of string table `table`, or "?". */
static const char *table_string(const object *o, size_t table, uint64_t at) {
  const Elf64_Shdr *s = &o->section[table].header;
  if (table >= o->n_sections || s->sh_type != SHT_STRTAB || at >= s->sh_size)
    return "?";
  const char *text = (const char *)o->elf.data + s->sh_offset + at;
  return memchr(text, '\0', s->sh_size - at) ? text : "?";
}

static const char *section_name(const object *o, size_t i) {
  if (o->elf.header.e_shstrndx >= o->n_sections)
    return "?";
  return table_string(o, o->elf.header.e_shstrndx, o->section[i].header.sh_name);
}

/* Is section i to be loaded? Refuses what a kernel must not have. */
static neo_status classify(object *o, size_t i) {
  section *s = &o->section[i];
  const Elf64_Shdr *h = &s->header;
  if (!(h->sh_flags & SHF_ALLOC) || h->sh_size == 0)
    return NEO_OK;
  const char *name = section_name(o, i);
  bool relro = strncmp(name, ".data.rel.ro", 12) == 0;
  if (h->sh_flags & SHF_TLS || ((h->sh_flags & SHF_WRITE) && !relro))
    return neo_fail(o->ctx, NEO_UNSUPPORTED,
                    "object: section '%.64s' is writable data: kernels keep no state", name);
  if (h->sh_type == SHT_NOBITS)
    return neo_fail(o->ctx, NEO_UNSUPPORTED, "object: section '%.64s' has no content", name);
  if (h->sh_addralign > MAX_ALIGNMENT || (h->sh_addralign & (h->sh_addralign - 1)))
    return bad(o, "section's alignment is not a power of two up to 4096", i);
  s->loaded = true;
  return NEO_OK;
}

static neo_status place_group(object *o, bool code, size_t *at) {
  for (size_t i = 0; i < o->n_sections; i++) {
    section *s = &o->section[i];
    if (!s->loaded || !!(s->header.sh_flags & SHF_EXECINSTR) != code)
      continue;
    size_t align = s->header.sh_addralign ? s->header.sh_addralign : 1;
    *at = (*at + align - 1) & ~(align - 1);
    s->offset = *at;
    if (s->header.sh_size > MAX_LOADED || *at + s->header.sh_size > MAX_LOADED)
      return neo_fail(o->ctx, NEO_BAD_INPUT, "object: more than %d bytes to load", MAX_LOADED);
    *at += s->header.sh_size;
  }
  return NEO_OK;
}

static size_t page_round(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (size + page - 1) / page * page;
}

static neo_status place_sections(object *o) {
  size_t at = 0;
  for (size_t i = 0; i < o->n_sections; i++)
    NEO_TRY(classify(o, i));
  NEO_TRY(place_group(o, true, &at));
  at = o->loaded->code_size = page_round(at);
  NEO_TRY(place_group(o, false, &at));
  if (at == 0) /* kernels for GPUs are constants only */
    return neo_fail(o->ctx, NEO_BAD_INPUT, "object: neither code nor constants in it");
  o->loaded->size = page_round(at);
  return NEO_OK;
}

static bool wants_low_memory(const object *o) {
  Elf64_Rela rela;
  for (size_t i = 0; i < o->n_sections; i++) {
    const Elf64_Shdr *s = &o->section[i].header;
    if (s->sh_type != SHT_RELA)
      continue;
    for (uint64_t k = 0; neo_elf_relocation(&o->elf, s, k, &rela); k++)
      if (o->machine->needs_low_memory(ELF64_R_TYPE(rela.r_info)))
        return true;
  }
  return false;
}

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

static neo_status copy_sections(object *o) {
  neo_loaded *l = o->loaded;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | (wants_low_memory(o) ? MAP_32BIT : 0);
  void *memory = mmap(NULL, l->size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED)
    return neo_fail(o->ctx, NEO_NO_MEMORY, "object: %zu bytes cannot be mapped", l->size);
  l->memory = memory;
  for (size_t i = 0; i < o->n_sections; i++) {
    const section *s = &o->section[i];
    if (s->loaded)
      memcpy(l->memory + s->offset, o->elf.data + s->header.sh_offset, s->header.sh_size);
  }
  return NEO_OK;
}

static neo_status read_symbol(object *o, uint64_t index, Elf64_Sym *out) {
  if (!o->symtab || !neo_elf_symbol(&o->elf, &o->section[o->symtab].header, index, out))
    return bad(o, "symbol number out of range", (size_t)index);
  return NEO_OK;
}

/* Address of a symbol as the kernel will see it. */
static neo_status symbol_address(object *o, uint64_t index, uint64_t *out) {
  Elf64_Sym symbol = {0};
  if (index == 0) {
    *out = 0;
    return NEO_OK;
  }
  NEO_TRY(read_symbol(o, index, &symbol));
  if (symbol.st_shndx == SHN_ABS) {
    *out = symbol.st_value;
    return NEO_OK;
  }
  if (symbol.st_shndx == SHN_UNDEF)
    return neo_fail(o->ctx, NEO_BAD_INPUT,
                    "object: undefined symbol '%.128s': kernels import nothing",
                    table_string(o, o->strtab, symbol.st_name));
  if (symbol.st_shndx >= o->n_sections || !o->section[symbol.st_shndx].loaded)
    return neo_fail(o->ctx, NEO_BAD_INPUT,
                    "object: symbol '%.128s' is in section %u, which is not loaded",
                    table_string(o, o->strtab, symbol.st_name), (unsigned)symbol.st_shndx);
  const section *s = &o->section[symbol.st_shndx];
  if (symbol.st_value > s->header.sh_size)
    return bad(o, "symbol lies outside its section", (size_t)index);
  *out = (uint64_t)(uintptr_t)o->loaded->memory + s->offset + symbol.st_value;
  return NEO_OK;
}

static neo_status find_reloc(object *o, const section *target, const Elf64_Rela *rela,
                             neo_reloc *out) {
  uint64_t address = 0;
  NEO_TRY(symbol_address(o, ELF64_R_SYM(rela->r_info), &address));
  if (rela->r_offset > target->header.sh_size)
    return bad(o, "relocation lies outside its section", (size_t)(target - o->section));
  *out = (neo_reloc){.type = ELF64_R_TYPE(rela->r_info),
                     .place = o->loaded->memory + target->offset + rela->r_offset,
                     .room = target->header.sh_size - rela->r_offset,
                     .value = address + (uint64_t)rela->r_addend};
  out->address = (uint64_t)(uintptr_t)out->place;
  return NEO_OK;
}

static int by_address(const void *a, const void *b) {
  uint64_t x = ((const high_part *)a)->address, y = ((const high_part *)b)->address;
  return x < y ? -1 : x > y;
}

/* The upper parts among the relocations, for machines that have some. */
static neo_status collect_high_parts(object *o, const Elf64_Shdr *s, const section *target) {
  Elf64_Rela rela;
  neo_reloc reloc;
  o->n_high = 0;
  if (!o->machine->part)
    return NEO_OK;
  for (uint64_t k = 0; neo_elf_relocation(&o->elf, s, k, &rela); k++) {
    if (o->machine->part(ELF64_R_TYPE(rela.r_info)) != NEO_RELOC_HIGH)
      continue;
    NEO_TRY(find_reloc(o, target, &rela, &reloc));
    if (o->n_high == o->high_room) {
      size_t room = o->high_room ? 2 * o->high_room : 64;
      high_part *larger = neo_alloc(o->ctx, room * sizeof(*larger));
      if (!larger)
        return neo_fail(o->ctx, NEO_NO_MEMORY, "object: out of memory for %zu relocations", room);
      if (o->n_high)
        memcpy(larger, o->high, o->n_high * sizeof(*larger));
      neo_free(o->ctx, o->high);
      o->high = larger;
      o->high_room = room;
    }
    o->high[o->n_high++] = (high_part){reloc.address, reloc.value};
  }
  if (o->n_high)
    qsort(o->high, o->n_high, sizeof(*o->high), by_address);
  return NEO_OK;
}

/* The symbol of a lower part is the instruction with the upper one. */
static neo_status complete_low_part(object *o, neo_reloc *reloc) {
  high_part key = {reloc->value, 0};
  const high_part *high =
      o->n_high ? bsearch(&key, o->high, o->n_high, sizeof key, by_address) : NULL;
  if (!high)
    return neo_fail(o->ctx, NEO_BAD_INPUT, "object: relocation type %u without its upper part",
                    (unsigned)reloc->type);
  reloc->value = high->value;
  reloc->address = high->address;
  return NEO_OK;
}

static neo_status relocate_section(object *o, size_t i) {
  const Elf64_Shdr *s = &o->section[i].header;
  if (s->sh_info >= o->n_sections || !o->section[s->sh_info].loaded)
    return NEO_OK;
  if ((s->sh_type == SHT_REL) != o->machine->addends_in_place)
    return neo_fail(o->ctx, NEO_UNSUPPORTED, "object: relocations %s addends",
                    s->sh_type == SHT_REL ? "without" : "with");
  if (s->sh_entsize != neo_elf_entry_size(&o->elf, s->sh_type) || s->sh_link != o->symtab)
    return bad(o, "relocation table is damaged", i);
  const section *target = &o->section[s->sh_info];
  Elf64_Rela rela;
  NEO_TRY(collect_high_parts(o, s, target));
  for (uint64_t k = 0; neo_elf_relocation(&o->elf, s, k, &rela); k++) {
    neo_reloc reloc;
    NEO_TRY(find_reloc(o, target, &rela, &reloc));
    if (o->machine->part && o->machine->part(reloc.type) == NEO_RELOC_LOW)
      NEO_TRY(complete_low_part(o, &reloc));
    NEO_TRY(o->machine->relocate(o->ctx, &reloc));
  }
  return NEO_OK;
}

static neo_status relocate(object *o) {
  for (size_t i = 0; i < o->n_sections; i++)
    if (o->section[i].header.sh_type == SHT_RELA || o->section[i].header.sh_type == SHT_REL)
      NEO_TRY(relocate_section(o, i));
  return NEO_OK;
}

static bool is_entry(const object *o, const Elf64_Sym *symbol) {
  if (ELF64_ST_BIND(symbol->st_info) == STB_LOCAL || symbol->st_shndx == SHN_UNDEF ||
      symbol->st_shndx >= o->n_sections)
    return false;
  const section *s = &o->section[symbol->st_shndx];
  return s->loaded && symbol->st_value < s->header.sh_size;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const entry_point *)a)->name, ((const entry_point *)b)->name);
}

/* Two passes over the symbol table: size, then fill one block of entries and names. */
static neo_status collect_symbols(object *o) {
  neo_loaded *l = o->loaded;
  Elf64_Sym entry = {0};
  size_t count = 0, text = 0;
  uint64_t total =
      o->symtab ? o->section[o->symtab].header.sh_size / neo_elf_entry_size(&o->elf, SHT_SYMTAB)
                : 0;
  for (uint64_t i = 1; i < total; i++) {
    NEO_TRY(read_symbol(o, i, &entry));
    if (!is_entry(o, &entry))
      continue;
    count++;
    text += strlen(table_string(o, o->strtab, entry.st_name)) + 1;
    if (text > MAX_LOADED)
      return bad(o, "symbol names are too long", (size_t)i);
  }
  l->symbol = neo_alloc(o->ctx, count * sizeof(entry_point) + text);
  if (!l->symbol)
    return neo_fail(o->ctx, NEO_NO_MEMORY, "object: out of memory for %zu symbols", count);
  char *names = (char *)(l->symbol + count);
  for (uint64_t i = 1; i < total; i++) {
    NEO_TRY(read_symbol(o, i, &entry));
    if (!is_entry(o, &entry))
      continue;
    const char *name = table_string(o, o->strtab, entry.st_name);
    size_t length = strlen(name) + 1;
    memcpy(names, name, length);
    const section *s = &o->section[entry.st_shndx];
    l->symbol[l->n_symbols++] =
        (entry_point){names, s->offset + entry.st_value, s->header.sh_size - entry.st_value,
                      (s->header.sh_flags & SHF_EXECINSTR) != 0};
    names += length;
  }
  qsort(l->symbol, l->n_symbols, sizeof(entry_point), by_name);
  return NEO_OK;
}

static neo_status protect(object *o) {
  neo_loaded *l = o->loaded;
  if (mprotect(l->memory, l->code_size, PROT_READ | PROT_EXEC) != 0 ||
      (l->size > l->code_size &&
       mprotect(l->memory + l->code_size, l->size - l->code_size, PROT_READ) != 0))
    return neo_fail(o->ctx, NEO_UNSUPPORTED, "object: this system refuses executable memory");
  __builtin___clear_cache((char *)l->memory, (char *)l->memory + l->code_size);
  return NEO_OK;
}

static neo_status load(object *o, const uint8_t *data, size_t size) {
  NEO_TRY(read_header(o, data, size));
  NEO_TRY(read_sections(o));
  NEO_TRY(place_sections(o));
  NEO_TRY(copy_sections(o));
  NEO_TRY(relocate(o));
  NEO_TRY(collect_symbols(o));
  return protect(o);
}

neo_status neo_object_load_for(neo_ctx *ctx, const neo_elf_machine *machine, const uint8_t *data,
                               size_t size, neo_loaded **out) {
  object o = {.ctx = ctx, .machine = machine};
  o.loaded = neo_alloc(ctx, sizeof(*o.loaded));
  if (!o.loaded)
    return neo_fail(ctx, NEO_NO_MEMORY, "object: out of memory");
  o.loaded->allocator = ctx->allocator;
  neo_status status = load(&o, data, size);
  neo_free(ctx, o.section);
  neo_free(ctx, o.high);
  if (status == NEO_OK)
    *out = o.loaded;
  else
    neo_object_unload(o.loaded);
  return status;
}

#if defined(__aarch64__)
#define HOST_MACHINE neo_elf_aarch64
#elif defined(__arm__)
#define HOST_MACHINE neo_elf_arm
#elif defined(__riscv)
#define HOST_MACHINE neo_elf_riscv
#elif defined(__hexagon__)
#define HOST_MACHINE neo_elf_hexagon
#else
#define HOST_MACHINE neo_elf_x86_64
#endif

neo_status neo_object_load(neo_ctx *ctx, const uint8_t *data, size_t size, neo_loaded **out) {
  return neo_object_load_for(ctx, &HOST_MACHINE, data, size, out);
}

static const entry_point *find_symbol(const neo_loaded *loaded, const char *name) {
  size_t low = 0, high = loaded->n_symbols;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, loaded->symbol[middle].name);
    if (order == 0)
      return &loaded->symbol[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

neo_kernel_fn neo_object_symbol(const neo_loaded *loaded, const char *name) {
  const entry_point *found = find_symbol(loaded, name);
  uintptr_t address = found ? (uintptr_t)loaded->memory + found->offset : 0;
  return found && found->code ? (neo_kernel_fn)address : NULL;
}

const neo_device_kernel *neo_object_device_kernel(const neo_loaded *loaded, const char *name) {
  const entry_point *found = find_symbol(loaded, name);
  if (!found || found->code || found->offset % 16 != 0 || found->left < sizeof(neo_device_kernel))
    return NULL;
  const neo_device_kernel *k = (const void *)(loaded->memory + found->offset);
  bool inside = k->name < k->program && k->program <= found->left &&
                k->program_size <= found->left - k->program;
  return k->magic == NEO_DEVICE_MAGIC && inside ? k : NULL;
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
  if (loaded->memory)
    munmap(loaded->memory, loaded->size);
  neo_free(&ctx, loaded->symbol);
  neo_free(&ctx, loaded);
}
