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

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 64 << 10, PIPE_CHUNK = 4096, SMALL = 4000 };

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

/* ---- waiting ---------------------------------------------------------------------------------- */

/* 0: no deadline. */
static uint64_t deadline_of(neo_ctx *ctx, int timeout_ms) {
  return timeout_ms > 0 ? neo_now_ns(ctx) + (uint64_t)timeout_ms * 1000000u : 0;
}

static neo_status wait_for(neo_ctx *ctx, int fd, short events, uint64_t deadline) {
  for (;;) {
    uint64_t now = neo_now_ns(ctx);
    if (deadline && now >= deadline)
      return neo_fail(ctx, NEO_UNREACHABLE, "stream: the peer did not %s in time",
                      events == POLLIN ? "answer" : "read");
    int ms = deadline ? (int)neo_min_i64((int64_t)((deadline - now) / 1000000u) + 1, 1 << 30) : -1;
    struct pollfd p = {.fd = fd, .events = events};
    int n = poll(&p, 1, ms);
    if (n > 0)
      return NEO_OK; /* ready, or an error that read or write will name */
    if (n < 0 && errno != EINTR && errno != EAGAIN)
      return neo_fail(ctx, NEO_UNREACHABLE, "stream: poll: %s", strerror(errno));
  }
}

static ssize_t write_some(int fd, const uint8_t *data, size_t size, bool deadline) {
  ssize_t n = send(fd, data, size, MSG_NOSIGNAL | (deadline ? MSG_DONTWAIT : 0));
  if (n < 0 && errno == ENOTSOCK) /* a pipe: with POLLOUT this much never blocks */
    n = write(fd, data, deadline && size > PIPE_CHUNK ? PIPE_CHUNK : size);
  return n;
}

static neo_status write_all(neo_ctx *ctx, int fd, const void *data, size_t size,
                            uint64_t deadline) {
  const uint8_t *at = data;
  while (size > 0) {
    if (deadline)
      NEO_TRY(wait_for(ctx, fd, POLLOUT, deadline));
    ssize_t n = write_some(fd, at, size, deadline != 0);
    if (n < 0 && errno == EAGAIN && !deadline)
      NEO_TRY(wait_for(ctx, fd, POLLOUT, 0)); /* the fd is non-blocking */
    if (n < 0 && errno != EINTR && errno != EAGAIN)
      return neo_fail(ctx, NEO_UNREACHABLE, "stream: write: %s", strerror(errno));
    if (n > 0) {
      at += n;
      size -= (size_t)n;
    }
  }
  return NEO_OK;
}

/* Reads between 1 and size bytes. */
static neo_status read_some(neo_ctx *ctx, int fd, uint8_t *data, size_t size, uint64_t deadline,
                            size_t *out) {
  for (;;) {
    NEO_TRY(wait_for(ctx, fd, POLLIN, deadline));
    ssize_t n = read(fd, data, size);
    if (n == 0)
      return neo_fail(ctx, NEO_UNREACHABLE, "stream: closed by the peer");
    if (n < 0 && errno != EINTR && errno != EAGAIN)
      return neo_fail(ctx, NEO_UNREACHABLE, "stream: read: %s", strerror(errno));
    if (n > 0) {
      *out = (size_t)n;
      return NEO_OK;
    }
  }
}

/* ---- the three functions ------------------------------------------------------------------------- */

neo_status neo_frame_send_more(neo_ctx *ctx, int fd, const neo_frame *frame, const void *more,
                               size_t more_size, int timeout_ms) {
  uint8_t header[NEO_FRAME_HEADER];
  uint64_t deadline = deadline_of(ctx, timeout_ms);
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
    NEO_TRY(write_all(ctx, fd, both, sizeof(header) + frame->payload.size, deadline));
  } else {
    NEO_TRY(write_all(ctx, fd, header, sizeof(header), deadline));
    NEO_TRY(write_all(ctx, fd, frame->payload.data, frame->payload.size, deadline));
  }
  return write_all(ctx, fd, more, more_size, deadline);
}

neo_status neo_frame_send(neo_ctx *ctx, int fd, const neo_frame *frame, int timeout_ms) {
  return neo_frame_send_more(ctx, fd, frame, NULL, 0, timeout_ms);
}

neo_status neo_frame_receive(neo_ctx *ctx, int fd, neo_frame *frame, int timeout_ms) {
  uint8_t header[NEO_FRAME_HEADER], chunk[CHUNK];
  uint64_t deadline = deadline_of(ctx, timeout_ms);
  uint32_t length, crc;
  size_t got;
  neo_buf_clear(&frame->payload);
  for (size_t at = 0; at < sizeof(header); at += got)
    NEO_TRY(read_some(ctx, fd, header + at, sizeof(header) - at, deadline, &got));
  NEO_TRY(header_read(ctx, header, frame, &length, &crc));
  while (frame->payload.size < length && !frame->payload.failed) {
    size_t want = length - frame->payload.size;
    NEO_TRY(read_some(ctx, fd, chunk, want < sizeof(chunk) ? want : sizeof(chunk), deadline, &got));
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
