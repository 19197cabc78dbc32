/* Channels: see channel.h. The event loops of link.c and hub.c are made of them.
 *
 * Invariants
 * 1. No call waits.
 * 2. Memory follows bytes that came, not lengths that were claimed; large buffers are given back as
 *    soon as they are empty. */
#include "rpc/channel.h"

#include <string.h>

enum { CHUNK = 16 << 10, AT_ONCE = 1 << 20, KEEP = 64 << 10, DRIP_MS = 20000, DRIP_RATE = 32 };

neo_status neo_channel_open(neo_ctx *ctx, int fd, neo_tls_end *end, neo_channel *out) {
  *out = (neo_channel){.fd = fd, .open = !end, .heard = neo_now_ns(ctx)};
  neo_socket_unblock(fd);
  neo_status status = end ? neo_tls_open(ctx, end, fd, &out->tls) : NEO_OK;
  if (status != NEO_OK)
    neo_channel_close(out);
  return status;
}

void neo_channel_close(neo_channel *c) {
  neo_tls_close(c->tls);
  if (c->fd >= 0)
    neo_socket_close(c->fd);
  neo_buf_fini(&c->in);
  neo_buf_fini(&c->out);
  *c = (neo_channel){.fd = -1};
}

void neo_channel_end(neo_channel *c) {
  uint8_t bytes[1024];
  int parts = 64;
  if (c->fd < 0)
    return;
  neo_socket_end(c->fd);
  while (parts-- > 0 && neo_socket_receive(c->fd, bytes, sizeof bytes) > 0)
    continue;
}

size_t neo_channel_unsent(const neo_channel *c) {
  return c->out.size - c->out_at;
}

neo_socket_wish neo_channel_wish(const neo_channel *c) {
  neo_socket_wish wish = {.fd = c->fd, .in = !c->hold, .out = neo_channel_unsent(c) > 0};
  if (!c->open) {
    wish.out = neo_tls_wants_write(c->tls);
    wish.in = !wish.out;
  }
  return wish;
}

/* ---- bytes ------------------------------------------------------------------------------------------ */

static neo_status lost(neo_ctx *ctx) {
  char why[128];
  neo_socket_error(why, sizeof why);
  return neo_fail(ctx, NEO_UNREACHABLE, "closed by the peer: %s", why);
}

static neo_status read_part(neo_ctx *ctx, neo_channel *c, uint8_t *data, size_t *got) {
  *got = 0;
  if (c->tls)
    return neo_tls_read(ctx, c->tls, data, CHUNK, got);
  int n = neo_socket_receive(c->fd, data, CHUNK);
  if (n == 0)
    return neo_fail(ctx, NEO_UNREACHABLE, "closed by the peer");
  if (n == NEO_SOCKET_LOST)
    return lost(ctx);
  *got = n > 0 ? (size_t)n : 0;
  return NEO_OK;
}

static neo_status write_part(neo_ctx *ctx, neo_channel *c, size_t size, size_t *sent) {
  const char *data = c->out.data + c->out_at;
  *sent = 0;
  if (c->tls)
    return neo_tls_write(ctx, c->tls, data, size, sent);
  int n = neo_socket_send(c->fd, data, size);
  if (n == NEO_SOCKET_LOST)
    return lost(ctx);
  *sent = n > 0 ? (size_t)n : 0;
  return NEO_OK;
}

/* The bytes up to *at are done with. */
static void discard(neo_buf *buf, size_t *at) {
  if (*at == buf->size) {
    if (buf->capacity > KEEP)
      neo_buf_fini(buf);
    else
      neo_buf_clear(buf);
    *at = 0;
  } else if (*at > KEEP && *at > buf->size / 2) {
    memmove(buf->data, buf->data + *at, buf->size - *at);
    buf->size -= *at;
    *at = 0;
  }
}

static neo_status read_all(neo_ctx *ctx, neo_channel *c) {
  uint8_t chunk[CHUNK];
  size_t got, total = 0;
  do {
    NEO_TRY(read_part(ctx, c, chunk, &got));
    if (got > 0) {
      c->heard = neo_now_ns(ctx);
      if (c->in.size == c->in_at)
        c->since = c->heard;
      neo_buf_append(&c->in, chunk, got);
    }
    total += got;
  } while (got > 0 && total < AT_ONCE);
  c->more = got > 0;
  return c->in.failed ? neo_fail(ctx, NEO_NO_MEMORY, "out of memory for what a peer sends")
                      : NEO_OK;
}

static neo_status write_all(neo_ctx *ctx, neo_channel *c) {
  size_t sent = 1;
  while (sent > 0 && neo_channel_unsent(c) > 0) {
    size_t size = neo_channel_unsent(c);
    NEO_TRY(write_part(ctx, c, size < CHUNK ? size : CHUNK, &sent));
    c->out_at += sent;
  }
  discard(&c->out, &c->out_at);
  return NEO_OK;
}

/* While nothing is read its end is not seen, and waiting ends for it again and again. */
static bool is_hung_up(const neo_channel *c) {
  const neo_socket_wish wish = {.fd = c->fd};
  return neo_socket_wait(&wish, 1, 0) > 0;
}

neo_status neo_channel_pump(neo_ctx *ctx, neo_channel *c) {
  c->more = false;
  if (!c->open)
    NEO_TRY(neo_tls_handshake(ctx, c->tls, &c->open));
  if (!c->open)
    return NEO_OK;
  if (c->out.failed) /* of a frame that found no memory a part may be there */
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory for a frame");
  if (c->hold && is_hung_up(c))
    return neo_fail(ctx, NEO_UNREACHABLE, "closed by the peer");
  if (c->hold) /* the peer may speak, it is we who do not listen */
    c->heard = c->since = neo_now_ns(ctx);
  neo_status read = c->hold ? NEO_OK : read_all(ctx, c);
  return read == NEO_OK ? write_all(ctx, c) : read;
}

/* ---- frames ----------------------------------------------------------------------------------------- */

static uint32_t claimed(const neo_channel *c) {
  neo_reader in = {.data = (const uint8_t *)c->in.data + c->in_at, .size = c->in.size - c->in_at};
  neo_read_bytes(&in, 12);
  return neo_read_u32le(&in);
}

neo_status neo_channel_take(neo_ctx *ctx, neo_channel *c, neo_frame *frame, bool *got) {
  size_t used;
  *got = false;
  if (frame->payload.capacity > KEEP)
    neo_buf_fini(&frame->payload);
  if (c->in.size - c->in_at < NEO_FRAME_HEADER)
    return NEO_OK;
  if (c->limit && claimed(c) > c->limit)
    return neo_fail(ctx, NEO_BAD_INPUT, "frame: %u bytes, %u is the limit here",
                    (unsigned)claimed(c), (unsigned)c->limit);
  NEO_TRY(neo_frame_parse(ctx, (const uint8_t *)c->in.data + c->in_at, c->in.size - c->in_at, &used,
                          frame, got));
  c->in_at += used;
  if (*got)
    c->since = c->heard;
  discard(&c->in, &c->in_at);
  return NEO_OK;
}

neo_status neo_channel_put(neo_ctx *ctx, neo_channel *c, const neo_frame *frame) {
  neo_frame_write(&c->out, frame);
  return c->out.failed ? neo_fail(ctx, NEO_NO_MEMORY, "out of memory for a frame") : NEO_OK;
}

bool neo_channel_drips(neo_ctx *ctx, const neo_channel *c) {
  if (c->in.size == c->in_at)
    return false;
  uint64_t size = c->in.size - c->in_at >= NEO_FRAME_HEADER ? claimed(c) : 0;
  uint64_t allowed_ms = DRIP_MS + size / DRIP_RATE; /* bytes per ms */
  return neo_now_ns(ctx) - c->since > allowed_ms * 1000000u;
}
