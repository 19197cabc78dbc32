/* Shared objects: enough of dlopen for compiled.so, which imports nothing.
 *
 * Segments are read into one anonymous mapping, relocated, and then get their protection. A name
 * is found through the hash table ("System V ABI", chapter 5). Only files named by a path are
 * opened: there is no folder of libraries here to look into.
 *
 * Invariant: what the file says is held against the span of its segments before it is used; what
 * its code does is the business of who opens it. */
#include "runtime/hexagon/libc.h"

#include <elf.h>

enum {
  R_HEX_NONE = 0,
  R_HEX_32 = 6,
  R_HEX_GLOB_DAT = 33,
  R_HEX_JMP_SLOT = 34,
  R_HEX_RELATIVE = 35
};

typedef struct library {
  char *memory; /* address 0 of the file */
  size_t size;  /* of the mapping: whole pages */
  Elf32_Phdr segment[16];
  int n_segments;
  const Elf32_Sym *symbol;
  const char *string;
  size_t strings;
  const uint32_t *hash; /* buckets, chains, then those */
} library;

static const char *failure;

static bool fail(const char *why) {
  failure = why;
  return false;
}

char *dlerror(void) {
  const char *text = failure;
  failure = NULL;
  return (char *)(uintptr_t)text;
}

static void *inside(const library *l, uint32_t address, uint64_t bytes) {
  return address <= l->size && bytes <= l->size - address ? l->memory + address : NULL;
}

/* ---- segments ------------------------------------------------------------------------------------ */

static bool read_at(int fd, uint32_t offset, void *to, size_t size) {
  char *at = to;
  if (lseek(fd, offset, SEEK_SET) < 0)
    return false;
  while (size > 0) {
    ssize_t n = read(fd, at, size);
    if (n <= 0)
      return false;
    at += n;
    size -= (size_t)n;
  }
  return true;
}

static bool read_headers(library *l, int fd) {
  Elf32_Ehdr head;
  uint64_t end = 0, page = (uint64_t)sysconf(_SC_PAGESIZE);
  if (!read_at(fd, 0, &head, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
      head.e_ident[EI_CLASS] != ELFCLASS32 || head.e_machine != EM_QDSP6 || head.e_type != ET_DYN)
    return fail("not a shared object for this processor");
  l->n_segments = head.e_phnum;
  if (head.e_phentsize != sizeof(Elf32_Phdr) ||
      l->n_segments > (int)(sizeof l->segment / sizeof *l->segment) ||
      !read_at(fd, head.e_phoff, l->segment, (size_t)l->n_segments * sizeof(Elf32_Phdr)))
    return fail("its program headers are damaged");
  for (int i = 0; i < l->n_segments; i++) {
    const Elf32_Phdr *s = &l->segment[i];
    uint64_t last = (uint64_t)s->p_vaddr + s->p_memsz;
    if (s->p_type == PT_TLS)
      return fail("it has data of threads");
    if (s->p_type == PT_LOAD && s->p_filesz > s->p_memsz)
      return fail("its program headers are damaged");
    end = s->p_type == PT_LOAD && last > end ? last : end;
  }
  end = (end + page - 1) / page * page;
  if (end == 0 || end > PTRDIFF_MAX)
    return fail("its segments have no size that is possible");
  l->size = (size_t)end;
  return true;
}

static bool read_segments(library *l, int fd) {
  void *map = mmap(NULL, l->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED)
    return fail("out of memory");
  l->memory = map;
  for (int i = 0; i < l->n_segments; i++) {
    const Elf32_Phdr *s = &l->segment[i];
    if (s->p_type == PT_LOAD && !read_at(fd, s->p_offset, l->memory + s->p_vaddr, s->p_filesz))
      return fail("its end is missing");
  }
  return true;
}

/* Segments do not share pages: linkers put each at the next one. */
static bool protect_segments(const library *l) {
  uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
  for (int i = 0; i < l->n_segments; i++) {
    const Elf32_Phdr *s = &l->segment[i];
    int protection = (s->p_flags & PF_R ? PROT_READ : 0) | (s->p_flags & PF_W ? PROT_WRITE : 0) |
                     (s->p_flags & PF_X ? PROT_EXEC : 0);
    uint32_t begin = s->p_vaddr / page * page;
    if (s->p_type == PT_LOAD &&
        mprotect(l->memory + begin, s->p_vaddr + s->p_memsz - begin, protection) != 0)
      return fail("the system refuses memory for code");
  }
  return true;
}

/* ---- what the dynamic segment says --------------------------------------------------------------- */

typedef struct dynamic {
  uint32_t value[DT_JMPREL + 1]; /* by tag */
} dynamic;

static bool read_dynamic(const library *l, dynamic *out) {
  for (int i = 0; i < l->n_segments; i++) {
    const Elf32_Phdr *s = &l->segment[i];
    const Elf32_Dyn *entry = s->p_type == PT_DYNAMIC ? inside(l, s->p_vaddr, s->p_memsz) : NULL;
    for (size_t k = 0; entry && k < s->p_memsz / sizeof *entry && entry[k].d_tag != DT_NULL; k++)
      if (entry[k].d_tag > 0 && entry[k].d_tag <= DT_JMPREL)
        out->value[entry[k].d_tag] = entry[k].d_un.d_val;
  }
  return out->value[DT_SYMTAB] && out->value[DT_STRTAB] && out->value[DT_HASH];
}

static bool find_tables(library *l, const dynamic *d) {
  l->hash = inside(l, d->value[DT_HASH], 2 * sizeof *l->hash);
  if (!l->hash || l->hash[0] == 0 || l->hash[0] > l->size || l->hash[1] > l->size)
    return false;
  l->strings = d->value[DT_STRSZ];
  l->string = inside(l, d->value[DT_STRTAB], l->strings);
  l->symbol = inside(l, d->value[DT_SYMTAB], (uint64_t)l->hash[1] * sizeof *l->symbol);
  return l->string && l->strings && l->string[l->strings - 1] == '\0' && l->symbol &&
         inside(l, d->value[DT_HASH], ((uint64_t)2 + l->hash[0] + l->hash[1]) * sizeof *l->hash);
}

static bool relocate(const library *l, const Elf32_Rela *r) {
  uint32_t index = ELF32_R_SYM(r->r_info), type = ELF32_R_TYPE(r->r_info);
  uint32_t *place = inside(l, r->r_offset, sizeof *place);
  const Elf32_Sym *symbol = index < l->hash[1] ? &l->symbol[index] : NULL;
  if (type == R_HEX_NONE)
    return true;
  if (!place || !symbol || (r->r_offset & 3))
    return fail("a relocation is damaged");
  uint32_t value = (uint32_t)(uintptr_t)l->memory + (uint32_t)r->r_addend;
  switch (type) {
  case R_HEX_RELATIVE:
    *place = value;
    return true;
  case R_HEX_32:
  case R_HEX_GLOB_DAT:
  case R_HEX_JMP_SLOT:
    if (symbol->st_shndx == SHN_UNDEF)
      return fail("it imports something");
    *place = value + symbol->st_value;
    return true;
  default:
    return fail("a relocation is of a kind that is not known");
  }
}

static bool relocate_all(const library *l, uint32_t address, uint32_t bytes) {
  const Elf32_Rela *table = inside(l, address, bytes);
  if (bytes && !table)
    return fail("a table of relocations is damaged");
  for (uint32_t i = 0; i < bytes / sizeof *table; i++)
    if (!relocate(l, &table[i]))
      return false;
  return true;
}

static bool load(library *l, int fd) {
  dynamic d = {{0}};
  if (!read_headers(l, fd) || !read_segments(l, fd))
    return false;
  if (!read_dynamic(l, &d) || !find_tables(l, &d))
    return fail("its symbols are missing or damaged");
  if (d.value[DT_NEEDED] || d.value[DT_REL])
    return fail("it needs another library, or has relocations without addends");
  return relocate_all(l, d.value[DT_RELA], d.value[DT_RELASZ]) &&
         relocate_all(l, d.value[DT_JMPREL], d.value[DT_PLTRELSZ]) && protect_segments(l);
}

/* ---- the interface ------------------------------------------------------------------------------- */

int dlclose(void *handle) {
  library *l = handle;
  if (l->memory)
    munmap(l->memory, l->size);
  free(l);
  return 0;
}

void *dlopen(const char *path, int mode) {
  (void)mode;
  int fd = strchr(path, '/') ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  library *l = fd >= 0 ? calloc(1, sizeof *l) : NULL;
  if (!l)
    fail(fd < 0 ? "no such file" : "out of memory");
  if (l && !load(l, fd)) {
    dlclose(l);
    l = NULL;
  }
  if (fd >= 0)
    close(fd);
  return l;
}

static uint32_t hash_of(const char *name) {
  uint32_t h = 0;
  for (; *name; name++) {
    h = (h << 4) + (unsigned char)*name;
    h = (h ^ (h & 0xf0000000) >> 24) & 0x0fffffff;
  }
  return h;
}

void *dlsym(void *handle, const char *name) {
  const library *l = handle;
  const uint32_t *bucket = l->hash + 2, *chain = bucket + l->hash[0];
  uint32_t left = l->hash[1];
  for (uint32_t i = bucket[hash_of(name) % l->hash[0]]; i && i < l->hash[1] && left--;
       i = chain[i]) {
    const Elf32_Sym *s = &l->symbol[i];
    if (s->st_shndx != SHN_UNDEF && s->st_name < l->strings && s->st_value < l->size &&
        strcmp(l->string + s->st_name, name) == 0)
      return l->memory + s->st_value;
  }
  fail("no such symbol");
  return NULL;
}
