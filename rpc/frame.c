/* Frames: the unit of the stream between a tuner and a board. docs/formats/frames.md has the bytes.
 *
 * Why a checksum on a reliable stream: boards also hang on serial lines and adb tunnels, and a bug
 * on either side should be seen as damage and not as a strange job.
 *
 * Invariants
 * 1. A length is believed only as far as bytes arrive: memory grows with what was received.
 * 2. With a deadline no call blocks beyond it; without one it blocks until the peer moves or
 * closes. */
#include "rpc/rpc.h"

#include <string.h>

#include "rpc/stream.h"

enum { CHUNK = 64 << 10, SMALL = 4000 };

static void put_le(uint8_t *at, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++)
    at[i] = (uint8_t)(v >> (8 * i));
}

static void header_write(uint8_t header[NEO_FRAME_HEADER], const neo_frame *frame, const void *more,
                         size_t more_size) {
  put_le(header, NEO_FRAME_MAGIC, 4);
  put_le(header + 4, NEO_FRAME_VERSION, 2);
  put_le(header + 6, frame->type, 2);
  put_le(header + 8, frame->id, 4);
  put_le(header + 12, frame->payload.size + more_size, 4);
  uint32_t crc = neo_crc32(0, header, 16);
  crc = neo_crc32(crc, frame->payload.data, frame->payload.size);
  put_le(header + 16, neo_crc32(crc, more, more_size), 4);
}

/* The fields of a header; the checksum is left for when the payload is there. */
static neo_status header_read(neo_ctx *ctx, const uint8_t *header, neo_frame *frame,
                              uint32_t *out_length, uint32_t *out_crc) {
  neo_reader in = {.data = header, .size = NEO_FRAME_HEADER};
  uint32_t magic = neo_read_u32le(&in), kind = neo_read_u32le(&in), id = neo_read_u32le(&in);
  uint32_t length = neo_read_u32le(&in);
  if (magic != NEO_FRAME_MAGIC)
    return neo_fail(ctx, NEO_BAD_INPUT, "frame: magic 0x%08x, 0x%08x expected", (unsigned)magic,
                    NEO_FRAME_MAGIC);
  if ((kind & 0xffff) != NEO_FRAME_VERSION)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "frame: protocol version %u, %d expected: both ends need the same Neo",
                    (unsigned)(kind & 0xffff), NEO_FRAME_VERSION);
  if (length > NEO_FRAME_MAX)
    return neo_fail(ctx, NEO_BAD_INPUT, "frame: %u bytes, %u is the limit", (unsigned)length,
                    NEO_FRAME_MAX);
  frame->type = (uint16_t)(kind >> 16);
  frame->id = id;
  *out_length = length;
  *out_crc = neo_read_u32le(&in);
  return NEO_OK;
}

static neo_status check_crc(neo_ctx *ctx, const uint8_t *header, const neo_frame *frame,
                            uint32_t want) {
  if (frame->payload.failed)
    return neo_fail(ctx, NEO_NO_MEMORY, "frame: out of memory for its payload");
  uint32_t crc = neo_crc32(neo_crc32(0, header, 16), frame->payload.data, frame->payload.size);
  return crc == want ? NEO_OK : neo_fail(ctx, NEO_BAD_INPUT, "frame: checksum does not match");
}

/* ---- the three functions ------------------------------------------------------------------------- */

neo_status neo_frame_send_more(neo_ctx *ctx, int fd, const neo_frame *frame, const void *more,
                               size_t more_size, int timeout_ms) {
  uint8_t header[NEO_FRAME_HEADER];
  uint64_t deadline = neo_stream_deadline(ctx, timeout_ms);
  if (frame->payload.failed)
    return neo_fail(ctx, NEO_NO_MEMORY, "frame: out of memory for its payload");
  if (frame->payload.size > NEO_FRAME_MAX || more_size > NEO_FRAME_MAX - frame->payload.size)
    return neo_fail(ctx, NEO_USAGE, "frame: %zu and %zu bytes, %u is the limit",
                    frame->payload.size, more_size, NEO_FRAME_MAX);
  header_write(header, frame, more, more_size);
  if (frame->payload.size <= SMALL) { /* one system call, one packet */
    uint8_t both[NEO_FRAME_HEADER + SMALL];
    memcpy(both, header, sizeof(header));
    if (frame->payload.size)
      memcpy(both + sizeof(header), frame->payload.data, frame->payload.size);
    NEO_TRY(neo_stream_write(ctx, fd, both, sizeof(header) + frame->payload.size, deadline));
  } else {
    NEO_TRY(neo_stream_write(ctx, fd, header, sizeof(header), deadline));
    NEO_TRY(neo_stream_write(ctx, fd, frame->payload.data, frame->payload.size, deadline));
  }
  return neo_stream_write(ctx, fd, more, more_size, deadline);
}

neo_status neo_frame_send(neo_ctx *ctx, int fd, const neo_frame *frame, int timeout_ms) {
  return neo_frame_send_more(ctx, fd, frame, NULL, 0, timeout_ms);
}

neo_status neo_frame_receive(neo_ctx *ctx, int fd, neo_frame *frame, int timeout_ms) {
  return neo_frame_receive_until(ctx, fd, frame, neo_stream_deadline(ctx, timeout_ms));
}

neo_status neo_frame_receive_until(neo_ctx *ctx, int fd, neo_frame *frame, uint64_t deadline) {
  uint8_t header[NEO_FRAME_HEADER], chunk[CHUNK];
  uint32_t length, crc;
  size_t got, left;
  neo_buf_clear(&frame->payload);
  for (size_t at = 0; at < sizeof(header); at += got)
    NEO_TRY(neo_stream_read(ctx, fd, header + at, sizeof(header) - at, deadline, &got));
  NEO_TRY(header_read(ctx, header, frame, &length, &crc));
  for (left = length; left > 0; left -= got) { /* to its end, even without memory for it */
    NEO_TRY(neo_stream_read(ctx, fd, chunk, left < sizeof(chunk) ? left : sizeof(chunk), deadline,
                            &got));
    neo_buf_append(&frame->payload, chunk, got);
  }
  return check_crc(ctx, header, frame, crc);
}

void neo_frame_write(neo_buf *out, const neo_frame *frame) {
  uint8_t header[NEO_FRAME_HEADER];
  header_write(header, frame, NULL, 0);
  neo_buf_append(out, header, sizeof(header));
  neo_buf_append(out, frame->payload.data, frame->payload.size);
  out->failed = out->failed || frame->payload.failed;
}

neo_status neo_frame_parse(neo_ctx *ctx, const uint8_t *data, size_t size, size_t *used,
                           neo_frame *frame, bool *done) {
  uint32_t length, crc;
  *used = 0;
  *done = false;
  if (size < NEO_FRAME_HEADER)
    return NEO_OK;
  NEO_TRY(header_read(ctx, data, frame, &length, &crc));
  if (size - NEO_FRAME_HEADER < length)
    return NEO_OK;
  neo_buf_clear(&frame->payload);
  neo_buf_append(&frame->payload, data + NEO_FRAME_HEADER, length);
  NEO_TRY(check_crc(ctx, data, frame, crc));
  *used = NEO_FRAME_HEADER + length;
  *done = true;
  return NEO_OK;
}
