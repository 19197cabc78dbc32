/* rpc/stream.h: bytes over a descriptor. A deadline is a time of neo_now_ns; 0: none, then a call
 * blocks until the peer moves or closes. NEO_UNREACHABLE: time is up, or the peer is gone. */
#ifndef NEO_RPC_STREAM_H
#define NEO_RPC_STREAM_H

#include "base/core.h"

uint64_t neo_stream_deadline(neo_ctx *ctx, int timeout_ms); /* timeout_ms 0: none */
neo_status neo_stream_write(neo_ctx *ctx, int fd, const void *data, size_t size, uint64_t deadline);
/* Reads between 1 and size bytes. */
neo_status neo_stream_read(neo_ctx *ctx, int fd, uint8_t *data, size_t size, uint64_t deadline,
                           size_t *out);

#endif
