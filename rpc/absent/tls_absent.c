/* In place of tls.c where the cross compiler has no mbedTLS: a board without TLS connects through a
 * tunnel only. */
#include "rpc/tls.h"

neo_status neo_tls_end_create(neo_ctx *ctx, const neo_net_keys *keys, const char *name,
                              neo_tls_end **out) {
  (void)keys;
  (void)name;
  (void)out;
  return neo_fail(ctx, NEO_UNSUPPORTED,
                  "this neo-board was built without TLS: connect through an ssh or adb tunnel, "
                  "without --key-file");
}

void neo_tls_end_destroy(neo_tls_end *end) {
  (void)end;
}

neo_status neo_tls_open(neo_ctx *ctx, neo_tls_end *end, int fd, neo_tls **out) {
  (void)end;
  (void)fd;
  (void)out;
  return neo_fail(ctx, NEO_UNSUPPORTED, "built without TLS");
}

void neo_tls_close(neo_tls *tls) {
  (void)tls;
}

neo_status neo_tls_handshake(neo_ctx *ctx, neo_tls *tls, bool *done) {
  (void)tls;
  (void)done;
  return neo_fail(ctx, NEO_UNSUPPORTED, "built without TLS");
}

neo_status neo_tls_read(neo_ctx *ctx, neo_tls *tls, void *data, size_t size, size_t *out) {
  (void)tls;
  (void)data;
  (void)size;
  (void)out;
  return neo_fail(ctx, NEO_UNSUPPORTED, "built without TLS");
}

neo_status neo_tls_write(neo_ctx *ctx, neo_tls *tls, const void *data, size_t size, size_t *out) {
  (void)tls;
  (void)data;
  (void)size;
  (void)out;
  return neo_fail(ctx, NEO_UNSUPPORTED, "built without TLS");
}

bool neo_tls_wants_write(const neo_tls *tls) {
  (void)tls;
  return false;
}

const char *neo_tls_peer(const neo_tls *tls) {
  (void)tls;
  return "";
}
