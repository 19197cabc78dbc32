/* frontends/wire.c: a walk over a model file's protobuf wire form before protobuf-c sees it.
 *
 * Why: protobuf-c copies every byte field, recurses as deep as the file says and keeps unknown
 * fields. So the walk, driven by protobuf-c's own descriptors,
 *   - copies only fields that our .proto files know,
 *   - replaces each raw field (the bytes of a tensor) of RAW_MIN bytes or more by its place in the
 *     file, so that weights stay in the mapping,
 *   - refuses truncated fields, groups, field number 0 and nesting deeper than MAX_DEPTH,
 *   - and counts what protobuf-c would allocate: an empty message takes two bytes of a file and
 *     hundreds of memory, so that is limited by the file's size.
 * Lengths of nested messages shrink with their content; they are written as five-byte padded
 * varints and patched afterwards. */
#include "frontends/wire.h"

#define RAW_MIN 64
#define MAX_DEPTH 100

typedef struct walk {
  neo_ctx *ctx;
  const neo_wire_file *file;
  neo_buf *out;
  size_t memory; /* of the messages unpacked */
} walk;

static neo_status damaged(const walk *w, const uint8_t *at, const char *what) {
  return neo_fail(w->ctx, NEO_BAD_INPUT, "%s: %s: %s at byte %zu", w->file->format, w->file->path,
                  what, (size_t)(at - w->file->data));
}

bool neo_wire_varint(const uint8_t **at, const uint8_t *end, uint64_t *out) {
  uint64_t v = 0;
  for (int shift = 0; shift < 70 && *at < end; shift += 7) {
    uint8_t byte = *(*at)++;
    if (shift < 64)
      v |= (uint64_t)(byte & 127) << shift;
    if (byte < 128) {
      *out = v;
      return true;
    }
  }
  return false;
}

static void put_varint(neo_buf *out, uint64_t v) {
  for (; v >= 128; v >>= 7)
    neo_buf_u8(out, (uint8_t)(v | 128));
  neo_buf_u8(out, (uint8_t)v);
}

static void patch_length(neo_buf *out, size_t at, size_t length) {
  if (out->failed)
    return;
  for (int i = 0; i < 5; i++, length >>= 7)
    out->data[at + (size_t)i] = (char)((length & 127) | (i < 4 ? 128 : 0));
}

const uint8_t *neo_wire_payload_end(const uint8_t **at, const uint8_t *end, unsigned wire) {
  const uint8_t *start = *at;
  uint64_t size;
  switch (wire) {
  case 0:
    return neo_wire_varint(&start, end, &size) ? start : NULL;
  case 1:
    return end - start >= 8 ? start + 8 : NULL;
  case 2:
    if (!neo_wire_varint(at, end, &size) || size > (uint64_t)(end - *at))
      return NULL;
    return *at + size;
  case 5:
    return end - start >= 4 ? start + 4 : NULL;
  default:
    return NULL;
  }
}

static neo_status copy_message(walk *w, const ProtobufCMessageDescriptor *type, const uint8_t *at,
                               const uint8_t *end, int depth);

/* Where packed numbers become 8 bytes each, whatever they take here. */
static bool is_varint(ProtobufCType type) {
  return type != PROTOBUF_C_TYPE_FIXED32 && type != PROTOBUF_C_TYPE_SFIXED32 &&
         type != PROTOBUF_C_TYPE_FLOAT && type != PROTOBUF_C_TYPE_FIXED64 &&
         type != PROTOBUF_C_TYPE_SFIXED64 && type != PROTOBUF_C_TYPE_DOUBLE;
}

static neo_status count_memory(walk *w, const ProtobufCFieldDescriptor *field, unsigned wire,
                               const uint8_t *at, size_t bytes) {
  enum { POINTER = 8, BLOCK = 16 };
  if (wire != 2)
    w->memory += POINTER;
  else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
    w->memory +=
        ((const ProtobufCMessageDescriptor *)field->descriptor)->sizeof_message + BLOCK + POINTER;
  else if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES)
    w->memory += bytes + BLOCK + POINTER;
  else
    w->memory += is_varint(field->type) ? 8 * bytes : bytes;
  if (w->memory + w->out->size > 3 * w->file->size + (48u << 20))
    return damaged(w, at, "more messages than the file's size allows");
  return NEO_OK;
}

static neo_status copy_field(walk *w, const ProtobufCFieldDescriptor *field, unsigned wire,
                             const uint8_t *at, const uint8_t *end, int depth) {
  NEO_TRY(count_memory(w, field, wire, at, (size_t)(end - at)));
  put_varint(w->out, (uint64_t)field->id << 3 | wire);
  if (wire != 2) {
    neo_buf_append(w->out, at, (size_t)(end - at));
    return NEO_OK;
  }
  if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
    put_varint(w->out, (uint64_t)(end - at));
    neo_buf_append(w->out, at, (size_t)(end - at));
    return NEO_OK;
  }
  size_t length_at = w->out->size;
  neo_buf_append(w->out, "\0\0\0\0\0", 5);
  size_t start = w->out->size;
  NEO_TRY(copy_message(w, field->descriptor, at, end, depth + 1));
  if (w->out->size - start >= (uint64_t)1 << 31)
    return damaged(w, at, "a message over 2 GiB");
  patch_length(w->out, length_at, w->out->size - start);
  return NEO_OK;
}

static void put_raw_place(walk *w, const uint8_t *at, const uint8_t *end) {
  put_varint(w->out, (uint64_t)NEO_WIRE_OFFSET << 3);
  put_varint(w->out, (uint64_t)(at - w->file->data));
  put_varint(w->out, (uint64_t)NEO_WIRE_SIZE << 3);
  put_varint(w->out, (uint64_t)(end - at));
}

static neo_status copy_message(walk *w, const ProtobufCMessageDescriptor *type, const uint8_t *at,
                               const uint8_t *end, int depth) {
  if (depth > MAX_DEPTH)
    return damaged(w, at, "messages nested deeper than 100");
  while (at < end) {
    const uint8_t *field_at = at;
    uint64_t tag;
    if (!neo_wire_varint(&at, end, &tag) || tag >> 3 == 0 || tag >> 3 >= 1u << 29)
      return damaged(w, field_at, "a damaged field");
    const uint8_t *next = neo_wire_payload_end(&at, end, (unsigned)(tag & 7));
    if (!next)
      return damaged(w, field_at, "a truncated or damaged field");
    unsigned number = (unsigned)(tag >> 3);
    const ProtobufCFieldDescriptor *field =
        number < NEO_WIRE_OFFSET ? protobuf_c_message_descriptor_get_field(type, number) : NULL;
    if (field && type == w->file->raw_type && number == w->file->raw_field && (tag & 7) == 2 &&
        next - at >= RAW_MIN)
      put_raw_place(w, at, next);
    else if (field)
      NEO_TRY(copy_field(w, field, (unsigned)(tag & 7), at, next, depth));
    at = next;
  }
  return NEO_OK;
}

neo_status neo_wire_strip(neo_ctx *ctx, const neo_wire_file *file, neo_buf *out) {
  walk w = {.ctx = ctx, .file = file, .out = out};
  NEO_TRY(copy_message(&w, file->type, file->data, file->data + file->size, 0));
  if (out->failed)
    return neo_fail(ctx, NEO_NO_MEMORY, "%s: %s: out of memory", file->format, file->path);
  return NEO_OK;
}
