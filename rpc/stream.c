/* Bytes of a session: sockets and pipes, with deadlines. Where there is no poll: windows/. */
#include "rpc/stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIPE_CHUNK = 4096 };

uint64_t neo_stream_deadline(neo_ctx *ctx, int timeout_ms) {
  return timeout_ms > 0 ? neo_deadline(ctx, timeout_ms) : 0;
}

static neo_status wait_for(neo_ctx *ctx, int fd, short events, uint64_t deadline) {
  for (;;) {
    int ms = deadline ? neo_deadline_left(ctx, deadline) : -1;
    if (ms == 0)
      return neo_fail(ctx, NEO_UNREACHABLE, "stream: the peer did not %s in time",
                      events == POLLIN ? "answer" : "read");
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

neo_status neo_stream_write(neo_ctx *ctx, int fd, const void *data, size_t size,
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

neo_status neo_stream_read(neo_ctx *ctx, int fd, uint8_t *data, size_t size, uint64_t deadline,
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
