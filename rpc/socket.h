/* rpc/socket.h: TCP by HOST:PORT, and bytes through sockets without waiting. Inside of rpc/. Of
 * Windows only what the board's end needs is there (windows/socket_windows.c): it does not listen.
 */
#ifndef NEO_RPC_SOCKET_H
#define NEO_RPC_SOCKET_H

#include "base/core.h"

enum { NEO_MAX_HOST = 256, NEO_SOCKET_MOST = 160 };

/* "HOST:PORT" or "[ADDRESS]:PORT"; *port points into address. NEO_USAGE: it is neither. */
neo_status neo_address_split(neo_ctx *ctx, const char *address, char host[NEO_MAX_HOST],
                             const char **port);

/* Non-blocking, closed on exec, without Nagle's delay. *out_loopback: nobody else can reach it. */
neo_status neo_socket_listen(neo_ctx *ctx, const char *address, int *out_fd, int *out_port,
                             bool *out_loopback);
/* Waits at most timeout_ms; NEO_UNREACHABLE says why not, NEO_USAGE: no address. */
neo_status neo_socket_connect(neo_ctx *ctx, const char *address, int timeout_ms, int *out_fd,
                              bool *out_loopback);
/* -1: nobody is there. who: the peer's address as text. */
int neo_socket_accept(int listener, char *who, size_t size);
void neo_socket_close(int fd);
void neo_socket_unblock(int fd); /* sending and receiving never wait from now on */
void neo_socket_end(int fd);     /* nothing more will be sent */

/* How many bytes were moved, at least one; or NEO_SOCKET_LATER: none at present,
 * NEO_SOCKET_LOST: the connection is (neo_socket_error says why), 0: the peer has ended it. */
enum { NEO_SOCKET_LATER = -1, NEO_SOCKET_LOST = -2 };
int neo_socket_send(int fd, const void *data, size_t size);
int neo_socket_receive(int fd, void *data, size_t size);
void neo_socket_error(char *out, size_t size); /* of this thread's last call */

typedef struct neo_socket_wish {
  int fd;
  bool in, out; /* neither: only its loss */
} neo_socket_wish;
/* Waits until one of n (NEO_SOCKET_MOST at most) can be read or written as wished, or is lost, for
 * ms at most; how many there are. */
int neo_socket_wait(const neo_socket_wish *wish, int n, int ms);

#endif
