/* frontends/flatbuffer.h: reading FlatBuffers that nobody has verified.
 *
 * Every offset, table, vector and string is checked against the file when it is followed; what
 * does not fit makes `status` NEO_BAD_INPUT, once, with the offset in the message, and everything
 * read from then on is absent: zero, empty, NULL. So a reader follows what it wants and asks for
 * `status` where it is about to believe something. Nothing is copied, nothing need be aligned.
 * Offsets may alias: the number of tables opened is bounded by the size of the file. */
#ifndef NEO_FRONTENDS_FLATBUFFER_H
#define NEO_FRONTENDS_FLATBUFFER_H

#include "base/core.h"

typedef struct neo_fb {
  neo_ctx *ctx;
  const char *path; /* for messages */
  const uint8_t *data;
  size_t size;
  int64_t tables_left;
  neo_status status;
} neo_fb;

/* `at` 0: absent; all its fields then have their defaults. */
typedef struct neo_fb_table {
  neo_fb *fb;
  size_t at, vtable;
  size_t table_size, vtable_size;
} neo_fb_table;

typedef struct neo_fb_vector {
  neo_fb *fb;
  const uint8_t *data;
  int64_t n;
} neo_fb_vector;

typedef enum neo_fb_type {
  NEO_FB_I8,
  NEO_FB_U8,
  NEO_FB_U16,
  NEO_FB_I32,
  NEO_FB_U32,
  NEO_FB_I64
} neo_fb_type;

/* Is there a root offset and this file identifier? */
bool neo_fb_detect(const uint8_t *data, size_t size, const char *identifier);
neo_fb_table neo_fb_root(neo_fb *fb, neo_ctx *ctx, const char *path, const uint8_t *data,
                         size_t size);

/* Fields are numbered as in the schema, from 0. */
int64_t neo_fb_int(const neo_fb_table *table, int field, neo_fb_type type, int64_t otherwise);
double neo_fb_f32(const neo_fb_table *table, int field, double otherwise);
neo_fb_table neo_fb_child(const neo_fb_table *table, int field);
neo_fb_vector neo_fb_field_vector(const neo_fb_table *table, int field, size_t element_size);
/* NUL-terminated inside the file; NULL if absent. */
const char *neo_fb_string(const neo_fb_table *table, int field);
bool neo_fb_has(const neo_fb_table *table, int field);

/* Elements; an index outside is absent. */
int64_t neo_fb_element(const neo_fb_vector *vector, neo_fb_type type, int64_t i);
double neo_fb_element_f32(const neo_fb_vector *vector, int64_t i);
neo_fb_table neo_fb_element_table(const neo_fb_vector *vector, int64_t i);

#endif
