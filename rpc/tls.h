/* rpc/tls.h: TLS 1.2 with a pre-shared key and ephemeral keys of elliptic curves
 * (ECDHE-PSK-CHACHA20-POLY1305), without blocking. Between tls.c and channel.c. */
#ifndef NEO_RPC_TLS_H
#define NEO_RPC_TLS_H

#include "rpc/net.h"

/* What the connections of one end share: keys. One thread. */
typedef struct neo_tls_end neo_tls_end;
/* name NULL: a server, for boards that keys are for; else a client of that name. Copies keys. */
neo_status neo_tls_end_create(neo_ctx *ctx, const neo_net_keys *keys, const char *name,
                              neo_tls_end **out);
void neo_tls_end_destroy(neo_tls_end *end);

typedef struct neo_tls neo_tls;
/* On a connected non-blocking socket, which stays the caller's. */
neo_status neo_tls_open(neo_ctx *ctx, neo_tls_end *end, int fd, neo_tls **out);
void neo_tls_close(neo_tls *tls);
/* Goes on as far as it can. *done: both ends have proven the key. */
neo_status neo_tls_handshake(neo_ctx *ctx, neo_tls *tls, bool *done);
/* *out 0: nothing is there, or nothing can be sent, at present. */
neo_status neo_tls_read(neo_ctx *ctx, neo_tls *tls, void *data, size_t size, size_t *out);
neo_status neo_tls_write(neo_ctx *ctx, neo_tls *tls, const void *data, size_t size, size_t *out);
bool neo_tls_wants_write(const neo_tls *tls); /* the last call waits for room, not for bytes */
const char *neo_tls_peer(const neo_tls *tls); /* the client's name, at a server, when done */

#endif
