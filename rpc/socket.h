/* rpc/socket.h: TCP by HOST:PORT. Inside of rpc/. */
#ifndef NEO_RPC_SOCKET_H
#define NEO_RPC_SOCKET_H

#include "base/core.h"

/* Non-blocking, closed on exec, without Nagle's delay. *out_loopback: nobody else can reach it. */
neo_status neo_socket_listen(neo_ctx *ctx, const char *address, int *out_fd, int *out_port,
                             bool *out_loopback);
/* Waits at most timeout_ms; NEO_UNREACHABLE says why not, NEO_USAGE: no address. */
neo_status neo_socket_connect(neo_ctx *ctx, const char *address, int timeout_ms, int *out_fd,
                              bool *out_loopback);
/* -1: nobody is there. who: the peer's address as text. */
int neo_socket_accept(int listener, char *who, size_t size);

#endif
