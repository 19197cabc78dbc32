/* TCP sockets: see socket.h. Names are resolved by the system; [::1]:9190 is how IPv6 is written.
 */
#include "rpc/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, MAX_HOST = 256 };

/* getaddrinfo takes 99999 for 34463. */
static bool is_port(const char *text) {
  size_t n = strspn(text, "0123456789");
  long port = n > 0 && n <= 5 && !text[n] ? strtol(text, NULL, 10) : -1;
  return port >= 0 && port <= UINT16_MAX;
}

static neo_status split(neo_ctx *ctx, const char *address, char host[MAX_HOST], const char **port) {
  const char *colon = strrchr(address, ':');
  size_t length = colon ? (size_t)(colon - address) : 0;
  bool bracketed = length > 1 && address[0] == '[' && address[length - 1] == ']';
  const char *name = bracketed ? address + 1 : address;
  length -= bracketed ? 2 : 0;
  if (!colon || !colon[1] || length == 0 || length >= MAX_HOST)
    return neo_fail(ctx, NEO_USAGE, "'%s' is no address: HOST:PORT is expected", address);
  if (!is_port(colon + 1))
    return neo_fail(ctx, NEO_USAGE, "address '%s': '%s' is no port: 0 to %d is expected", address,
                    colon + 1, UINT16_MAX);
  memcpy(host, name, length);
  host[length] = '\0';
  *port = colon + 1;
  return NEO_OK;
}

static neo_status resolve(neo_ctx *ctx, const char *address, bool passive, struct addrinfo **out) {
  char host[MAX_HOST];
  const char *port = NULL;
  NEO_TRY(split(ctx, address, host, &port));
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
