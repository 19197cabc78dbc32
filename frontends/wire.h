/* frontends/wire.h: protobuf's wire form, as far as readers look at it themselves. */
#ifndef NEO_FRONTENDS_WIRE_H
#define NEO_FRONTENDS_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/core.h"

bool neo_wire_varint(const uint8_t **at, const uint8_t *end, uint64_t *out);
/* The end of a field's payload that starts at *at; NULL if it reaches beyond `end`. For wire type 2
 * *at is moved behind the length. */
const uint8_t *neo_wire_payload_end(const uint8_t **at, const uint8_t *end, unsigned wire);

/* Messages of `raw_type` have two fields of ours, NEO_WIRE_OFFSET and NEO_WIRE_SIZE (optional
 * uint64), that stand for a long `raw_field`. */
#define NEO_WIRE_OFFSET 18998
#define NEO_WIRE_SIZE 18999

typedef struct neo_wire_file {
  const char *format, *path; /* for messages */
  const uint8_t *data;
  size_t size;
  const ProtobufCMessageDescriptor *type; /* of the whole */
  const ProtobufCMessageDescriptor *raw_type;
  unsigned raw_field;
} neo_wire_file;

/* Copies the file for protobuf-c: only fields that its descriptors know, nesting bounded, and each
 * raw field of 64 bytes or more replaced by its place in the file. */
neo_status neo_wire_strip(neo_ctx *ctx, const neo_wire_file *file, neo_buf *out);

#endif
