/* rpc/channel.h: frames over a non-blocking stream with or without TLS. Inside of rpc/. */
#ifndef NEO_RPC_CHANNEL_H
#define NEO_RPC_CHANNEL_H

#include "rpc/socket.h"
#include "rpc/tls.h"

typedef struct neo_channel {
  int fd;          /* -1: closed; owned */
  neo_tls *tls;    /* NULL: plain */
  bool open;       /* the handshake is done (plain: at once) */
  bool hold;       /* read no more for now: what came last cannot be passed on yet */
  bool more;       /* bytes may be there that poll does not see */
  uint32_t limit;  /* of a payload that comes in; 0: NEO_FRAME_MAX */
  neo_buf in, out; /* bytes from in_at and out_at on are to be parsed, sent */
  size_t in_at, out_at;
  uint64_t heard, since; /* ns: the last byte came; the oldest byte in `in` came; or hold */
} neo_channel;

/* Takes the descriptor over, failed or not, and makes it non-blocking; end NULL: plain. */
neo_status neo_channel_open(neo_ctx *ctx, int fd, neo_tls_end *end, neo_channel *out);
void neo_channel_close(neo_channel *channel); /* closed already is fine */
/* So that the peer can read what was sent last (an alert, a refusal): bytes that came and nobody
 * read would make the system reset the connection. */
void neo_channel_end(neo_channel *channel);
/* What to wait for. */
neo_socket_wish neo_channel_wish(const neo_channel *channel);
/* Moves what can be moved without waiting: handshake, bytes in, bytes out. NEO_UNREACHABLE: the
 * peer is gone, but frames that came before may be taken. NEO_BAD_INPUT: it has no key, or no TLS.
 * NEO_NO_MEMORY: also since a frame was put for which there was none; the stream is of no use. */
neo_status neo_channel_pump(neo_ctx *ctx, neo_channel *channel);
/* The next frame that came, if *got. The memory of frame's payload is reused, or freed if it is
 * large: what it held is gone in any case. */
neo_status neo_channel_take(neo_ctx *ctx, neo_channel *channel, neo_frame *frame, bool *got);
/* Queues a frame; it leaves with later pumps. */
neo_status neo_channel_put(neo_ctx *ctx, neo_channel *channel, const neo_frame *frame);
size_t neo_channel_unsent(const neo_channel *channel);
/* A frame that has begun to arrive and should have ended by now: nobody is that slow. */
bool neo_channel_drips(neo_ctx *ctx, const neo_channel *channel);

#endif
