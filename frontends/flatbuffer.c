/* frontends/flatbuffer.c: reading FlatBuffers that nobody has verified (flatbuffer.h).
 *
 * Layout (little endian, flatbuffers.dev "Internals"): the file starts with u32 offset of the root
 * table and four identifier bytes. A table starts with i32: its own place minus that is its vtable:
 * u16 size of vtable, u16 size of table, u16 per field: place in the table, 0 = absent. Tables,
 * vectors and strings are referred to by u32, counted from the reference. A vector is u32 count and
 * the elements, a string a vector of bytes with a NUL behind.
 *
 * Invariant: a table with at != 0 has both its vtable and its table_size bytes inside the file. */
#include "frontends/flatbuffer.h"

#include <string.h>

static uint64_t load(const uint8_t *at, size_t bytes) {
  uint64_t v = 0;
  for (size_t i = 0; i < bytes; i++)
    v |= (uint64_t)at[i] << (8 * i);
  return v;
}

static void broken(neo_fb *fb, size_t at, const char *what) {
  if (fb->status == NEO_OK)
    fb->status =
        neo_fail(fb->ctx, NEO_BAD_INPUT, "%s: %s at byte %zu of %zu", fb->path, what, at, fb->size);
}

static bool inside(const neo_fb *fb, size_t at, size_t size) {
  return at <= fb->size && size <= fb->size - at;
}

/* The place that the u32 at `at` (inside the file) refers to; 0 if that is outside. */
static size_t follow(neo_fb *fb, size_t at) {
  uint64_t target = (uint64_t)at + load(fb->data + at, 4);
  if (target == at || target > fb->size - 4) {
    broken(fb, at, "an offset that leads outside");
    return 0;
  }
  return (size_t)target;
}

static neo_fb_table open_table(neo_fb *fb, size_t at) {
  neo_fb_table none = {.fb = fb}, table = {.fb = fb, .at = at};
  if (fb->status != NEO_OK || at == 0)
    return none;
  if (--fb->tables_left < 0) {
    broken(fb, at, "more tables than the file can hold");
    return none;
  }
  int64_t vtable = (int64_t)at - (int32_t)load(fb->data + at, 4);
  if (vtable < 0 || !inside(fb, (size_t)vtable, 4)) {
    broken(fb, at, "a table whose vtable lies outside");
    return none;
  }
  table.vtable = (size_t)vtable;
  table.vtable_size = load(fb->data + vtable, 2);
  table.table_size = load(fb->data + vtable + 2, 2);
  if (table.vtable_size < 4 || table.table_size < 4 ||
      !inside(fb, table.vtable, table.vtable_size) || !inside(fb, at, table.table_size)) {
    broken(fb, at, "a table that does not fit into the file");
    return none;
  }
  return table;
}

/* Place of the field's `size` bytes; 0 if absent. */
static size_t field_at(const neo_fb_table *table, int field, size_t size) {
  size_t slot = 4 + 2 * (size_t)field;
  if (table->at == 0 || slot + 2 > table->vtable_size)
    return 0;
  size_t offset = load(table->fb->data + table->vtable + slot, 2);
  if (offset == 0)
    return 0;
  if (offset < 4 || offset + size > table->table_size) {
    broken(table->fb, table->vtable + slot, "a field outside its table");
    return 0;
  }
  return table->at + offset;
}

bool neo_fb_detect(const uint8_t *data, size_t size, const char *identifier) {
  return size >= 12 && memcmp(data + 4, identifier, 4) == 0;
}

neo_fb_table neo_fb_root(neo_fb *fb, neo_ctx *ctx, const char *path, const uint8_t *data,
                         size_t size) {
  *fb = (neo_fb){ctx, path, data, size, (int64_t)size * 2 + 64, NEO_OK};
  if (size < 12) {
    broken(fb, size, "the end of the file");
    return (neo_fb_table){.fb = fb};
  }
  return open_table(fb, follow(fb, 0));
}

static const size_t type_size[] = {1, 1, 2, 4, 4, 8};

static int64_t load_int(const uint8_t *at, neo_fb_type type) {
  uint64_t v = load(at, type_size[type]);
  switch (type) {
  case NEO_FB_I8:
    return (int8_t)v;
  case NEO_FB_I32:
    return (int32_t)v;
  default:
    return (int64_t)v;
  }
}

static double load_f32(const uint8_t *at) {
  uint32_t bits = (uint32_t)load(at, 4);
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

int64_t neo_fb_int(const neo_fb_table *table, int field, neo_fb_type type, int64_t otherwise) {
  size_t at = field_at(table, field, type_size[type]);
  return at ? load_int(table->fb->data + at, type) : otherwise;
}

double neo_fb_f32(const neo_fb_table *table, int field, double otherwise) {
  size_t at = field_at(table, field, 4);
  return at ? load_f32(table->fb->data + at) : otherwise;
}

bool neo_fb_has(const neo_fb_table *table, int field) {
  return field_at(table, field, 1) != 0;
}

neo_fb_table neo_fb_child(const neo_fb_table *table, int field) {
  size_t at = field_at(table, field, 4);
  return open_table(table->fb, at ? follow(table->fb, at) : 0);
}

neo_fb_vector neo_fb_field_vector(const neo_fb_table *table, int field, size_t element_size) {
  neo_fb_vector vector = {.fb = table->fb};
  size_t at = field_at(table, field, 4), from = at ? follow(table->fb, at) : 0;
  if (from == 0 || table->fb->status != NEO_OK)
    return vector;
  uint64_t n = load(table->fb->data + from, 4);
  if (n > (table->fb->size - from - 4) / element_size) {
    broken(table->fb, from, "a vector that goes beyond the end");
    return vector;
  }
  vector.data = table->fb->data + from + 4;
  vector.n = (int64_t)n;
  return vector;
}

const char *neo_fb_string(const neo_fb_table *table, int field) {
  neo_fb_vector text = neo_fb_field_vector(table, field, 1);
  if (!text.data)
    return NULL;
  const uint8_t *end = text.data + text.n;
  if (end == table->fb->data + table->fb->size || *end != 0) {
    broken(table->fb, (size_t)(end - table->fb->data), "a string without its end");
    return NULL;
  }
  return (const char *)text.data;
}

int64_t neo_fb_element(const neo_fb_vector *vector, neo_fb_type type, int64_t i) {
  if (i < 0 || i >= vector->n)
    return 0;
  return load_int(vector->data + (size_t)i * type_size[type], type);
}

double neo_fb_element_f32(const neo_fb_vector *vector, int64_t i) {
  return i >= 0 && i < vector->n ? load_f32(vector->data + i * 4) : 0;
}

neo_fb_table neo_fb_element_table(const neo_fb_vector *vector, int64_t i) {
  neo_fb *fb = vector->fb;
  if (i < 0 || i >= vector->n)
    return (neo_fb_table){.fb = fb};
  return open_table(fb, follow(fb, (size_t)(vector->data - fb->data) + 4 * (size_t)i));
}
