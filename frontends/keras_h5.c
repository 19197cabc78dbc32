/* frontends/keras_h5.c: HDF5 as Keras writes it: superblock 0 or 1, groups as symbol tables,
 * version 1 object headers, contiguous or compact datasets. Written after the HDF5 File Format
 * Specification 3.0.
 *
 * Why our own: libhdf5 follows what a damaged file says into memory that is not there; this reader
 * checks every offset against the file. What Keras could write through a newer libhdf5 (superblock
 * 2 on, with checksums everywhere) goes to libhdf5 itself, keras_hdf5.c.
 *
 *   superblock   8 signature, version, ..., (13) size of offsets = 8, (14) of lengths = 8, (24)
 * base, ..., (56; version 1: 60) root entry: u64 name, u64 object header, ... header       u8 1,
 * u8, u16 messages, u32, u32 bytes, u32, then messages: u16 type, u16 size, u8 flags, u8[3], data.
 * Types: 0x01 dataspace, 0x03 datatype, 0x08 layout, 0x0c attribute, 0x10 continuation (u64
 * address, u64 bytes), 0x11 symbol table (u64 tree, u64 heap) TREE         u8 0, u8 level, u16
 * entries, u64, u64, then key, child, key, child, ..., key SNOD         u8 1, u8, u16 entries, 40
 * bytes each: u64 name in heap, u64 header, u32 cache type (2: a soft link), ... HEAP u8[4], u64
 * bytes, u64, u64 address of the names GCOL         u8[4], u64 bytes, objects: u16 index, u16, u32,
 * u64 bytes, data to a multiple of 8
 *
 * Invariant: nothing is read but through at(), which checks the range. */
#include "frontends/keras_h5.h"

#include <string.h>

#define MAX_DEPTH 16
#define MAX_STEPS 20000000 /* entries and messages looked at in one file */
#define UNDEFINED UINT64_MAX

enum { DATASPACE = 1, DATATYPE = 3, LAYOUT = 8, ATTRIBUTE = 12, CONTINUATION = 16, SYMBOLS = 17 };

/* ---- bytes ---------------------------------------------------------------------------------------------- */

static const uint8_t *at(keras_h5 *h5, uint64_t offset, uint64_t bytes) {
  if (++h5->steps > MAX_STEPS || offset > h5->size || bytes > h5->size - offset)
    return NULL;
  return h5->data + offset;
}

static uint64_t number(const uint8_t *p, int bytes) {
  uint64_t v = 0;
  for (int i = bytes - 1; i >= 0; i--)
    v = v << 8 | p[i];
  return v;
}

static bool has_tag(const uint8_t *p, const char *tag) {
  return p && memcmp(p, tag, 4) == 0;
}

/* ---- messages --------------------------------------------------------------------------------------------- */

typedef struct message {
  int type;
  const uint8_t *data;
  size_t size;
} message;

/* Calls see for the messages of the object at address; stops when see is true. */
typedef bool (*see_fn)(void *self, const message *m);

typedef struct block {
  uint64_t address, bytes;
} block;

static bool visit_messages(keras_h5 *h5, uint64_t address, see_fn see, void *self) {
  block pending[32];
  int n = 1, next = 0;
  const uint8_t *head = at(h5, address, 16);
  if (!head || head[0] != 1)
    return false;
  int64_t left = (int64_t)number(head + 2, 2);
  pending[0] = (block){address + 16, number(head + 8, 4)};
  for (; next < n; next++) {
    block b = pending[next];
    while (left > 0 && b.bytes >= 8) {
      const uint8_t *p = at(h5, b.address, 8);
      uint64_t size = p ? number(p + 2, 2) : 0;
      const uint8_t *data = p && size <= b.bytes - 8 ? at(h5, b.address + 8, size) : NULL;
      if (!data)
        return false;
      message m = {(int)number(p, 2), data, (size_t)size};
      if (m.type == CONTINUATION && size >= 16 && n < NEO_COUNT(pending))
        pending[n++] = (block){number(data, 8), number(data + 8, 8)};
      else if (!(p[4] & 2) && see(self, &m)) /* not stored elsewhere */
        return true;
      b.address += 8 + size;
      b.bytes -= 8 + size;
      left--;
    }
  }
  return false;
}

typedef struct wanted {
  int type;
  message found;
} wanted;

static bool see_type(void *self, const message *m) {
  wanted *w = self;
  if (m->type == w->type)
    w->found = *m;
  return m->type == w->type;
}

static bool find_message(keras_h5 *h5, uint64_t address, int type, message *out) {
  wanted w = {.type = type};
  bool found = visit_messages(h5, address, see_type, &w);
  *out = w.found;
  return found;
}

/* ---- groups ----------------------------------------------------------------------------------------------- */

typedef struct names {
  uint64_t address, bytes;
} names;

/* Called with each entry; stops when true. */
typedef bool (*entry_fn)(void *self, const char *name, uint64_t address);

static bool visit_symbols(keras_h5 *h5, uint64_t address, const names *heap, entry_fn see,
                          void *self) {
  const uint8_t *head = at(h5, address, 8);
  int n = has_tag(head, "SNOD") ? (int)number(head + 6, 2) : 0;
  for (int i = 0; i < n; i++) {
    const uint8_t *entry = at(h5, address + 8 + 40 * (uint64_t)i, 40);
    if (!entry)
      return false;
    uint64_t name = number(entry, 8);
    const uint8_t *text = name < heap->bytes ? at(h5, heap->address + name, 1) : NULL;
    if (!text || !memchr(text, '\0',
                         (size_t)neo_min_i64((int64_t)(heap->bytes - name),
                                             (int64_t)(h5->data + h5->size - text))))
      continue;
    if (number(entry + 16, 4) != 2 && see(self, (const char *)text, number(entry + 8, 8)))
      return true;
  }
  return false;
}

static bool visit_tree(keras_h5 *h5, uint64_t address, const names *heap, int depth, entry_fn see,
                       void *self) {
  const uint8_t *head = at(h5, address, 24);
  if (has_tag(head, "SNOD"))
    return visit_symbols(h5, address, heap, see, self);
  if (!has_tag(head, "TREE") || head[4] != 0 || depth > MAX_DEPTH)
    return false;
  int n = (int)number(head + 6, 2);
  for (int i = 0; i < n; i++) {
    const uint8_t *child = at(h5, address + 32 + 16 * (uint64_t)i, 8);
    if (!child)
      return false;
    if (visit_tree(h5, number(child, 8), heap, depth + 1, see, self))
      return true;
  }
  return false;
}

static bool visit_group(keras_h5 *h5, uint64_t address, entry_fn see, void *self) {
  message m;
  if (!find_message(h5, address, SYMBOLS, &m) || m.size < 16)
    return false;
  const uint8_t *head = at(h5, number(m.data + 8, 8), 32);
  if (!has_tag(head, "HEAP"))
    return false;
  names heap = {number(head + 24, 8), number(head + 8, 8)};
  return at(h5, heap.address, heap.bytes) && visit_tree(h5, number(m.data, 8), &heap, 0, see, self);
}

typedef struct lookup {
  const char *name;
  size_t length;
  uint64_t address;
} lookup;

static bool see_name(void *self, const char *name, uint64_t address) {
  lookup *l = self;
  if (strncmp(name, l->name, l->length) != 0 || name[l->length])
    return false;
  l->address = address;
  return true;
}

/* The object header at a path; UNDEFINED: none. */
static uint64_t find_object(keras_h5 *h5, const char *path) {
  uint64_t address = h5->root;
  while (*path && address != UNDEFINED) {
    lookup l = {path, strcspn(path, "/"), UNDEFINED};
    if (l.length > 0) {
      visit_group(h5, address, see_name, &l);
      address = l.address;
    }
    path += l.length + (path[l.length] == '/');
  }
  return address;
}

typedef struct listing {
  neo_arena *arena;
  const char **name;
  int n, cap;
} listing;

static bool see_member(void *self, const char *name, uint64_t address) {
  listing *l = self;
  (void)address;
  l->name = neo_arena_grow(l->arena, (void *)l->name, &l->cap, l->n + 1, sizeof *l->name);
  l->name[l->n++] = neo_arena_strdup(l->arena, name);
  return false;
}

static int own_members(keras_h5 *h5, neo_arena *arena, const char *group, const char ***out) {
  listing l = {.arena = arena};
  uint64_t address = find_object(h5, group);
  if (address == UNDEFINED)
    return -1;
  visit_group(h5, address, see_member, &l);
  *out = l.name;
  return l.n;
}

static bool own_exists(keras_h5 *h5, const char *path) {
  return find_object(h5, path) != UNDEFINED;
}

/* ---- types and shapes --------------------------------------------------------------------------------------- */

static bool read_dataspace(const uint8_t *p, size_t size, neo_shape *out) {
  size_t head = size > 0 && p[0] == 1 ? 8 : 4;
  *out = (neo_shape){0};
  if (size < 4 || (p[0] != 1 && p[0] != 2) || p[1] > NEO_MAX_RANK || size < head + 8u * p[1] ||
      (p[0] == 2 && p[3] == 2)) /* version 2 also has spaces without elements */
    return false;
  out->rank = p[1];
  for (int d = 0; d < out->rank; d++) {
    uint64_t dim = number(p + head + 8 * d, 8);
    if (dim > INT64_MAX / 2)
      return false;
    out->dim[d] = (int64_t)dim;
  }
  return true;
}

/* Little-endian IEEE (or bfloat16) floats. */
static bool read_float_type(const message *m, neo_dtype *out) {
  static const struct {
    uint32_t size, bits, exponent, bias;
    neo_dtype dtype;
  } known[] = {{4, 32, 8, 127, NEO_F32},
               {8, 64, 11, 1023, NEO_F64},
               {2, 16, 5, 15, NEO_F16},
               {2, 16, 8, 127, NEO_BF16}};
  const uint8_t *p = m->data;
  if (m->size < 20 || (p[0] & 15) != 1 || (p[1] & 0x41))
    return false;
  for (int i = 0; i < NEO_COUNT(known); i++)
    if (number(p + 4, 4) == known[i].size && number(p + 8, 2) == 0 &&
        number(p + 10, 2) == known[i].bits && p[13] == known[i].exponent && p[14] == 0 &&
        number(p + 16, 4) == known[i].bias) {
      *out = known[i].dtype;
      return true;
    }
  return false;
}

/* ---- attributes --------------------------------------------------------------------------------------------- */

typedef struct attribute {
  const char *name; /* wanted */
  const uint8_t *type, *data;
  size_t type_size, data_size;
  int64_t n; /* elements; 0 also for a null space */
} attribute;

static size_t padded(const message *m, size_t size) {
  return m->data[0] == 1 ? (size + 7) / 8 * 8 : size;
}

static bool see_attribute(void *self, const message *m) {
  attribute *a = self;
  const uint8_t *p = m->data;
  if (m->type != ATTRIBUTE || m->size < 9 || p[0] < 1 || p[0] > 3 || (p[0] > 1 && (p[1] & 3)))
    return false;
  size_t name = (size_t)number(p + 2, 2), type = (size_t)number(p + 4, 2);
  size_t space = (size_t)number(p + 6, 2), head = p[0] == 3 ? 9 : 8;
  size_t type_at = head + padded(m, name), space_at = type_at + padded(m, type);
  size_t data_at = space_at + padded(m, space);
  neo_shape shape;
  if (name < 1 || data_at > m->size || strnlen((const char *)p + head, name) == name ||
      strcmp((const char *)p + head, a->name) != 0)
    return false;
  a->type = p + type_at;
  a->type_size = type;
  a->data = p + data_at;
  a->data_size = m->size - data_at;
  if (!read_dataspace(p + space_at, space, &shape) || !neo_shape_elements(&shape, &a->n))
    a->n = 0;
  return true;
}

/* An object of a global heap, or NULL. */
static const uint8_t *heap_object(keras_h5 *h5, uint64_t address, uint32_t index, uint64_t *size) {
  const uint8_t *head = at(h5, address, 16);
  uint64_t end = has_tag(head, "GCOL") ? number(head + 8, 8) : 0;
  for (uint64_t offset = 16; offset + 16 <= end;) {
    const uint8_t *object = at(h5, address + offset, 16);
    if (!object || number(object, 2) == 0)
      return NULL;
    *size = number(object + 8, 8);
    if (number(object, 2) == index)
      return *size <= end - offset - 16 ? at(h5, address + offset + 16, *size) : NULL;
    if (*size > end - offset - 16)
      return NULL;
    offset += 16 + (*size + 7) / 8 * 8;
  }
  return NULL;
}

/* String i of the attribute. */
static const uint8_t *string_at(keras_h5 *h5, const attribute *a, int64_t i, uint64_t *size) {
  uint64_t each = number(a->type + 4, 4);
  if (each == 0 || (uint64_t)i >= a->data_size / each)
    return NULL;
  const uint8_t *p = a->data + (uint64_t)i * each;
  if ((a->type[0] & 15) == 3) {
    *size = strnlen((const char *)p, each);
    return p;
  }
  if (each != 16)
    return NULL;
  uint64_t length = number(p, 4), room = 0;
  const uint8_t *text = heap_object(h5, number(p + 4, 8), (uint32_t)number(p + 12, 4), &room);
  *size = length < room ? length : room;
  return text;
}

static int own_texts(keras_h5 *h5, neo_arena *arena, const char *group, const char *name,
                     size_t limit, const char ***out) {
  attribute a = {.name = name};
  uint64_t address = find_object(h5, group), used = 0;
  if (address == UNDEFINED || !visit_messages(h5, address, see_attribute, &a))
    return -1;
  if (a.n == 0)
    return 0;
  bool strings = a.type_size >= 8 &&
                 ((a.type[0] & 15) == 3 || ((a.type[0] & 15) == 9 && (a.type[1] & 15) == 1));
  if (!strings || a.n > (int64_t)a.data_size)
    return -1;
  const char **list = neo_arena_alloc(arena, sizeof *list * (size_t)a.n);
  for (int64_t i = 0; i < a.n; i++) {
    uint64_t size = 0;
    const uint8_t *text = string_at(h5, &a, i, &size);
    if (!text || (used += size) > limit)
      return -1;
    list[i] = neo_arena_strndup(arena, (const char *)text, strnlen((const char *)text, size));
  }
  *out = list;
  return (int)a.n;
}

/* ---- datasets ------------------------------------------------------------------------------------------------ */

/* Where the data of a dataset is; *bytes as the file says. NULL with *bytes 0: never written. */
static bool find_data(keras_h5 *h5, const message *layout, const uint8_t **data, uint64_t *bytes) {
  const uint8_t *p = layout->data;
  *data = NULL;
  *bytes = 0;
  if (layout->size >= 18 && p[0] == 3 && p[1] == 1) {
    if (number(p + 2, 8) == UNDEFINED)
      return true;
    *bytes = number(p + 10, 8);
    *data = at(h5, number(p + 2, 8), *bytes);
    return *data != NULL;
  }
  if (layout->size >= 4 && p[0] == 3 && p[1] == 0 && number(p + 2, 2) <= layout->size - 4) {
    *bytes = number(p + 2, 2);
    *data = p + 4;
    return true;
  }
  return false;
}

static neo_status own_read(neo_ctx *ctx, keras_h5 *h5, const char *path, int64_t limit,
                           neo_tensor *out) {
  uint64_t address = find_object(h5, path), bytes;
  const uint8_t *data;
  message space, type, layout;
  neo_tensor raw = {0};
  int64_t n = 0;
  if (address == UNDEFINED)
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: no weight '%s' in the file", path);
  if (!find_message(h5, address, DATATYPE, &type) || !read_float_type(&type, &raw.dtype) ||
      !find_message(h5, address, DATASPACE, &space) ||
      !read_dataspace(space.data, space.size, &raw.shape) || !neo_shape_elements(&raw.shape, &n))
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: weight '%s' is not an array of floats", path);
  if (!find_message(h5, address, LAYOUT, &layout) || !find_data(h5, &layout, &data, &bytes))
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "keras: weight '%s' lies outside of the file or is chunked; Keras writes whole "
                    "arrays",
                    path);
  raw.size = (size_t)n * neo_dtype_size(raw.dtype);
  if (data && raw.size > bytes)
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: weight '%s' has %llu bytes, its shape needs %zu",
                    path, (unsigned long long)bytes, raw.size);
  raw.data = (void *)(uintptr_t)data;
  if (h5->mapped && data && raw.dtype == NEO_F32 && (uintptr_t)data % sizeof(float) == 0) {
    h5->borrowed = true;
    *out = raw;
    return NEO_OK;
  }
  if (n > limit / 4)
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: weight '%s' exceeds --max-model-bytes", path);
  NEO_TRY(neo_tensor_create(ctx, NEO_F32, &raw.shape, out));
  if (data && raw.dtype == NEO_F32 && out->size)
    memcpy(out->data, data, out->size);
  for (int64_t i = 0; data && raw.dtype != NEO_F32 && i < n; i++) {
    uint64_t element = 0; /* may be unaligned */
    neo_tensor one = {raw.dtype, {0}, &element, sizeof element};
    memcpy(&element, data + (size_t)i * neo_dtype_size(raw.dtype), neo_dtype_size(raw.dtype));
    ((float *)out->data)[i] = (float)neo_tensor_get_f64(&one, 0);
  }
  return NEO_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static void own_close(keras_h5 *h5) {
  neo_free(h5->ctx, h5);
}

static const keras_h5_row own = {own_close, own_exists, own_texts, own_members, own_read};

neo_status keras_h5_open(neo_ctx *ctx, const char *path, const uint8_t *data, size_t size,
                         keras_h5 **out) {
  if (size < 100 || memcmp(data, "\x89HDF\r\n\x1a\n", 8) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "keras: %s: not a sound HDF5 file", path);
  if (data[8] > 1)
    return keras_hdf5_open(ctx, path, data, size, out);
  int more = data[8] == 1 ? 4 : 0;
  if (data[13] != 8 || data[14] != 8 || number(data + 24 + more, 8) != 0)
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "keras: %s: HDF5 with offsets of %d bytes or a user block", path, data[13]);
  keras_h5 *h5 = neo_alloc(ctx, sizeof *h5);
  if (!h5)
    return neo_fail(ctx, NEO_NO_MEMORY, "keras: out of memory");
  *h5 = (keras_h5){.row = &own, .ctx = ctx, .data = data, .size = size};
  h5->root = number(data + 64 + more, 8);
  *out = h5;
  return NEO_OK;
}

void keras_h5_may_borrow(keras_h5 *h5) {
  h5->mapped = h5->data != NULL;
}

bool keras_h5_owns(const keras_h5 *h5, const void *data) {
  uintptr_t at = (uintptr_t)data, first = (uintptr_t)h5->data;
  return h5->mapped && at >= first && at - first < h5->size;
}

bool keras_h5_has_lent(const keras_h5 *h5) {
  return h5->borrowed;
}

void keras_h5_close(keras_h5 *h5) {
  if (h5)
    h5->row->close(h5);
}

bool keras_h5_exists(keras_h5 *h5, const char *path) {
  return h5->row->exists(h5, path);
}

char *keras_h5_text(keras_h5 *h5, neo_arena *arena, const char *group, const char *name,
                    size_t limit) {
  const char **list = NULL;
  int n = h5->row->texts(h5, arena, group, name, limit, &list);
  return n == 1 ? (char *)(uintptr_t)list[0] : NULL;
}

int keras_h5_texts(keras_h5 *h5, neo_arena *arena, const char *group, const char *name,
                   const char ***out) {
  return h5->row->texts(h5, arena, group, name, (size_t)64 << 20, out);
}

int keras_h5_members(keras_h5 *h5, neo_arena *arena, const char *group, const char ***out) {
  return h5->row->members(h5, arena, group, out);
}

neo_status keras_h5_read(neo_ctx *ctx, keras_h5 *h5, const char *path, int64_t limit,
                         neo_tensor *out) {
  return h5->row->read(ctx, h5, path, limit, out);
}
