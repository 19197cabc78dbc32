/* frontends/onnx_wire.c: an ONNX file's protobuf wire form: is it one, and the walk over it before
 * protobuf-c (frontends/wire.h). */
#include "frontends/onnx_import.h"
#include "frontends/wire.h"

#define RAW_DATA 9

neo_status onnx_wire_strip(neo_ctx *ctx, const char *path, const uint8_t *data, size_t size,
                           const ProtobufCMessageDescriptor *type, neo_buf *out) {
  return neo_wire_strip(
      ctx, &(neo_wire_file){"onnx", path, data, size, type, &onnx__tensor__descriptor, RAW_DATA},
      out);
}

/* ModelProto has no magic: the top-level fields seen before the end or a truncation must all be
 * ModelProto's, with their wire types, and the first ones be plausible. */
bool onnx_detect(const neo_source *source) {
  const neo_mapping *file = &source->file;
  static const uint8_t wire_of[26] = {[1] = 1, [2] = 3, [3] = 3,  [4] = 3,  [5] = 1, [6] = 3,
                                      [7] = 3, [8] = 3, [14] = 3, [20] = 3, [25] = 3};
  if (file->size == 0)
    return false;
  const uint8_t *at = file->data, *end = at + file->size;
  int known = 0;
  while (at < end) {
    uint64_t tag;
    if (!neo_wire_varint(&at, end, &tag))
      break;
    if (tag >> 3 >= 26 || wire_of[tag >> 3] != (tag & 7) + 1)
      return false;
    const uint8_t *next = neo_wire_payload_end(&at, end, (unsigned)(tag & 7));
    known++;
    if (!next)
      break;
    at = next;
  }
  return known > 0;
}
