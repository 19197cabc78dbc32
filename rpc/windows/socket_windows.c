/* TCP sockets of Windows, as far as a board needs them: see socket.h. A SOCKET has 32 significant
 * bits, so it travels as an int like other systems' descriptors. */
#include "rpc/socket.h"

#include <string.h>
#include <winsock2.h>
#include <ws2tcpip.h>

enum { AT_ONCE = 1 << 20 };

static void text_of(int error, char *out, size_t size) {
  DWORD n = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                           (DWORD)error, 0, out, (DWORD)size, NULL);
  while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r' || out[n - 1] == '.'))
    out[--n] = '\0';
  if (n == 0)
    snprintf(out, size, "error %d of Windows", error);
}

static neo_status resolve(neo_ctx *ctx, const char *address, struct addrinfo **out) {
  char host[NEO_MAX_HOST], text[200];
  const char *port = NULL;
  NEO_TRY(neo_address_split(ctx, address, host, &port));
  const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  int code = getaddrinfo(host, port, &hints, out);
  if (code == 0)
    return NEO_OK;
  text_of(code, text, sizeof(text));
  return neo_fail(ctx, NEO_UNREACHABLE, "address '%s': %s", address, text);
}

static bool is_loopback(const struct sockaddr *a) {
  if (a->sa_family == AF_INET)
    return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
  return a->sa_family == AF_INET6 &&
         IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static int open_socket(const struct addrinfo *a) {
  const int yes = 1;
  SOCKET fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
  if (fd == INVALID_SOCKET)
    return -1;
  SetHandleInformation((HANDLE)fd, HANDLE_FLAG_INHERIT, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof(yes));
  neo_socket_unblock((int)fd);
  return (int)fd;
}

/* 0, or the error. select and not WSAPoll: that did not tell of failed connections before 2020. */
static int connect_within(int fd, const struct addrinfo *a, int timeout_ms) {
  if (connect((SOCKET)fd, a->ai_addr, (int)a->ai_addrlen) == 0)
    return 0;
  if (WSAGetLastError() != WSAEWOULDBLOCK)
    return WSAGetLastError();
  fd_set writable, failed;
  struct timeval limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
  FD_ZERO(&writable);
  FD_ZERO(&failed);
  FD_SET((SOCKET)fd, &writable);
  FD_SET((SOCKET)fd, &failed);
  if (select(0, NULL, &writable, &failed, &limit) <= 0)
    return WSAETIMEDOUT;
  int error = 0, size = sizeof(error);
  getsockopt((SOCKET)fd, SOL_SOCKET, SO_ERROR, (char *)&error, &size);
  return error || FD_ISSET((SOCKET)fd, &writable) ? error : WSAECONNREFUSED;
}

neo_status neo_socket_connect(neo_ctx *ctx, const char *address, int timeout_ms, int *out_fd,
                              bool *out_loopback) {
  struct addrinfo *list = NULL;
  char text[200];
  int fd = -1, error = 0;
  NEO_TRY(resolve(ctx, address, &list));
  for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
    fd = open_socket(a);
    error = fd < 0 ? WSAGetLastError() : connect_within(fd, a, timeout_ms);
    if (fd >= 0 && error) {
      neo_socket_close(fd);
      fd = -1;
    }
    *out_loopback = is_loopback(a->ai_addr);
  }
  freeaddrinfo(list);
  if (fd < 0) {
    text_of(error, text, sizeof(text));
    return neo_fail(ctx, NEO_UNREACHABLE, "connecting to %s: %s", address, text);
  }
  *out_fd = fd;
  return NEO_OK;
}

void neo_socket_close(int fd) {
  closesocket((SOCKET)fd);
}

void neo_socket_unblock(int fd) {
  u_long yes = 1;
  ioctlsocket((SOCKET)fd, (long)FIONBIO, &yes);
}

void neo_socket_end(int fd) {
  shutdown((SOCKET)fd, SD_SEND);
}

static int outcome(int n) {
  if (n >= 0)
    return n;
  return WSAGetLastError() == WSAEWOULDBLOCK ? NEO_SOCKET_LATER : NEO_SOCKET_LOST;
}

int neo_socket_send(int fd, const void *data, size_t size) {
  return outcome(send((SOCKET)fd, data, size < AT_ONCE ? (int)size : AT_ONCE, 0));
}

int neo_socket_receive(int fd, void *data, size_t size) {
  return outcome(recv((SOCKET)fd, data, size < AT_ONCE ? (int)size : AT_ONCE, 0));
}

void neo_socket_error(char *out, size_t size) {
  text_of(WSAGetLastError(), out, size);
}

int neo_socket_wait(const neo_socket_wish *wish, int n, int ms) {
  WSAPOLLFD wait[NEO_SOCKET_MOST];
  neo_assert(n <= NEO_SOCKET_MOST);
  for (int i = 0; i < n; i++)
    wait[i] = (WSAPOLLFD){
        .fd = (SOCKET)wish[i].fd,
        .events = (short)((wish[i].in ? POLLRDNORM : 0) | (wish[i].out ? POLLWRNORM : 0))};
  int ready = WSAPoll(wait, (ULONG)n, ms);
  return ready > 0 ? ready : 0;
}
