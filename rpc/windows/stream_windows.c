/* Bytes of a session on Windows: pipes, without deadlines, since nothing there waits for a pipe
 * with one. Who needs a deadline ends the peer when it is over (board_process_windows.c): the pipe
 * is closed then. */
#include "rpc/stream.h"

#include <errno.h>
#include <io.h>
#include <string.h>

enum { CHUNK = 1 << 20 };

uint64_t neo_stream_deadline(neo_ctx *ctx, int timeout_ms) {
  (void)ctx;
  (void)timeout_ms;
  return 0;
}

neo_status neo_stream_write(neo_ctx *ctx, int fd, const void *data, size_t size,
                            uint64_t deadline) {
  const char *at = data;
  (void)deadline;
  while (size > 0) {
    int n = _write(fd, at, size < CHUNK ? (unsigned)size : CHUNK);
    if (n <= 0)
      return neo_fail(ctx, NEO_UNREACHABLE, "stream: write: %s", strerror(errno));
    at += n;
    size -= (size_t)n;
  }
  return NEO_OK;
}

neo_status neo_stream_read(neo_ctx *ctx, int fd, uint8_t *data, size_t size, uint64_t deadline,
                           size_t *out) {
  (void)deadline;
  int n = _read(fd, data, size < CHUNK ? (unsigned)size : CHUNK);
  if (n == 0)
    return neo_fail(ctx, NEO_UNREACHABLE, "stream: closed by the peer");
  if (n < 0)
    return neo_fail(ctx, NEO_UNREACHABLE, "stream: read: %s", strerror(errno));
  *out = (size_t)n;
  return NEO_OK;
}
