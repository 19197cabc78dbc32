/* TCP sockets: see socket.h. Names are resolved by the system. */
#include "rpc/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64 };

static neo_status resolve(neo_ctx *ctx, const char *address, bool passive, struct addrinfo **out) {
  char host[NEO_MAX_HOST];
  const char *port = NULL;
  NEO_TRY(neo_address_split(ctx, address, host, &port));
  const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                 .ai_socktype = SOCK_STREAM,
                                 .ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0)};
  int code = getaddrinfo(host, port, &hints, out);
  return code == 0 ? NEO_OK
                   : neo_fail(ctx, code == EAI_NONAME && passive ? NEO_USAGE : NEO_UNREACHABLE,
                              "address '%s': %s", address, gai_strerror(code));
}

static bool is_loopback(const struct sockaddr *a) {
  if (a->sa_family == AF_INET)
    return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
  return a->sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static int open_socket(const struct addrinfo *a) {
  const int yes = 1;
  int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
  if (fd >= 0)
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  return fd;
}

static int port_of(int fd) {
  struct sockaddr_storage a;
  socklen_t size = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &size) != 0)
    return 0;
  return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
                                       : ((struct sockaddr_in *)&a)->sin_port);
}

neo_status neo_socket_listen(neo_ctx *ctx, const char *address, int *out_fd, int *out_port,
                             bool *out_loopback) {
  struct addrinfo *list = NULL;
  const int yes = 1;
  int fd = -1;
  NEO_TRY(resolve(ctx, address, true, &list));
  for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
    fd = open_socket(a);
    if (fd < 0)
      continue;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
      int error = errno;
      close(fd);
      fd = -1;
      errno = error;
    } else {
      *out_loopback = is_loopback(a->ai_addr);
    }
  }
  freeaddrinfo(list);
  if (fd < 0)
    return neo_fail(ctx, NEO_UNREACHABLE, "listening on %s: %s", address, strerror(errno));
  *out_fd = fd;
  *out_port = port_of(fd);
  return NEO_OK;
}

/* 0, or the error. */
static int connect_within(int fd, const struct addrinfo *a, int timeout_ms) {
  if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
    return 0;
  if (errno != EINPROGRESS)
    return errno;
  struct pollfd wait = {.fd = fd, .events = POLLOUT};
  if (poll(&wait, 1, timeout_ms) <= 0)
    return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

neo_status neo_socket_connect(neo_ctx *ctx, const char *address, int timeout_ms, int *out_fd,
                              bool *out_loopback) {
  struct addrinfo *list = NULL;
  int fd = -1, error = 0;
  NEO_TRY(resolve(ctx, address, false, &list));
  for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
    fd = open_socket(a);
    error = fd < 0 ? errno : connect_within(fd, a, timeout_ms);
    if (fd >= 0 && error) {
      close(fd);
      fd = -1;
    }
    *out_loopback = is_loopback(a->ai_addr);
  }
  freeaddrinfo(list);
  if (fd < 0)
    return neo_fail(ctx, NEO_UNREACHABLE, "connecting to %s: %s", address, strerror(error));
  *out_fd = fd;
  return NEO_OK;
}

int neo_socket_accept(int listener, char *who, size_t size) {
  struct sockaddr_storage a;
  socklen_t length = sizeof a;
  char host[INET6_ADDRSTRLEN] = "?";
  const int yes = 1;
  int fd = accept4(listener, (struct sockaddr *)&a, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0)
    return -1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  getnameinfo((struct sockaddr *)&a, length, host, sizeof host, NULL, 0, NI_NUMERICHOST);
  snprintf(who, size, "%s", host);
  return fd;
}

/* ---- bytes -------------------------------------------------------------------------------------- */

void neo_socket_close(int fd) {
  close(fd);
}

void neo_socket_unblock(int fd) {
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void neo_socket_end(int fd) {
  shutdown(fd, SHUT_WR);
}

static int outcome(ssize_t n) {
  if (n >= 0)
    return (int)n;
  return errno == EAGAIN || errno == EINTR ? NEO_SOCKET_LATER : NEO_SOCKET_LOST;
}

int neo_socket_send(int fd, const void *data, size_t size) {
  return outcome(send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT));
}

int neo_socket_receive(int fd, void *data, size_t size) {
  return outcome(recv(fd, data, size, MSG_DONTWAIT));
}

void neo_socket_error(char *out, size_t size) {
  snprintf(out, size, "%s", strerror(errno));
}

int neo_socket_wait(const neo_socket_wish *wish, int n, int ms) {
  struct pollfd wait[NEO_SOCKET_MOST];
  neo_assert(n <= NEO_SOCKET_MOST);
  for (int i = 0; i < n; i++)
    wait[i] =
        (struct pollfd){.fd = wish[i].fd,
                        .events = (short)((wish[i].in ? POLLIN : 0) | (wish[i].out ? POLLOUT : 0))};
  int ready = poll(wait, (nfds_t)n, ms);
  return ready > 0 ? ready : 0;
}
