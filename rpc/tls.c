/* TLS by mbedTLS.
 *
 * Why PSK and no certificates: a board has no clock to trust and nobody who signs; one secret of
 * 256 bits each is what a person can install. Why ECDHE with it: who steals a key later cannot read
 * what was recorded. Why ChaCha20: small Arm cores have no AES instructions.
 *
 * Invariants
 * 1. Nothing above this file sees a byte before the handshake is done, which proves the key.
 * 2. A wrong key and a name without one get the same answer, after the same work.
 * 3. A failed connection leaves nothing behind: all that it has is freed by neo_tls_close. */
#include "rpc/tls.h"

#include <mbedtls/platform_util.h>
#include <mbedtls/ssl.h>
#include <string.h>

#include "rpc/machine.h"
#include "rpc/socket.h"

struct neo_tls_end {
  const neo_allocator *allocator;
  neo_net_keys keys;
  uint8_t nobodys[NEO_KEY_BYTES]; /* at a server: a random key that nobody has */
  mbedtls_ssl_config config;
};

struct neo_tls {
  const neo_allocator *allocator;
  mbedtls_ssl_context ssl;
  int fd;
  bool wants_write;
  size_t retry;            /* bytes of a write that must be tried again as it was */
  bool named;              /* at a server: the client has said who it is */
  char peer[NEO_NET_NAME]; /* "": nobody that there is a key for */
};

/* ---- bytes ------------------------------------------------------------------------------------- */

static int send_bytes(void *self, const unsigned char *data, size_t size) {
  int n = neo_socket_send(((neo_tls *)self)->fd, data, size);
  return n >= 0 ? n : n == NEO_SOCKET_LATER ? MBEDTLS_ERR_SSL_WANT_WRITE : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int receive_bytes(void *self, unsigned char *data, size_t size) {
  int n = neo_socket_receive(((neo_tls *)self)->fd, data, size);
  return n >= 0                  ? n /* 0: the end */
         : n == NEO_SOCKET_LATER ? MBEDTLS_ERR_SSL_WANT_READ
                                 : MBEDTLS_ERR_SSL_CONN_EOF;
}

/* ---- ends --------------------------------------------------------------------------------------- */

/* A client has named itself: its key. Whoever is not known goes on, too, and fails where a wrong
 * key fails: who has no key does not find out which names have one. */
static int choose_key(void *self, mbedtls_ssl_context *ssl, const unsigned char *name,
                      size_t size) {
  const neo_tls_end *end = self;
  neo_tls *tls = ssl->p_bio;
  char text[NEO_NET_NAME] = "";
  memcpy(text, name, size < sizeof(text) ? size : 0);
  bool good = size < sizeof(text) && strlen(text) == size && neo_net_name_ok(text);
  const neo_net_key *key = good ? neo_net_keys_find(&end->keys, text) : NULL;
  tls->named = true;
  memset(tls->peer, 0, sizeof(tls->peer));
  if (key)
    memcpy(tls->peer, text, sizeof(text));
  return mbedtls_ssl_set_hs_psk(ssl, key ? key->bytes : end->nobodys, NEO_KEY_BYTES);
}

/* The system's, unstretched: it has a generator of its own. */
static int random_bytes(void *self, unsigned char *out, size_t size) {
  (void)self;
  return neo_machine_random(out, size) ? 0 : -1;
}

static int configure(neo_tls_end *end, const char *name) {
  static const int suites[] = {MBEDTLS_TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256, 0};
  static const mbedtls_ecp_group_id curves[] = {MBEDTLS_ECP_DP_CURVE25519, MBEDTLS_ECP_DP_SECP256R1,
                                                MBEDTLS_ECP_DP_NONE};
  mbedtls_ssl_config *config = &end->config;
  int code =
      mbedtls_ssl_config_defaults(config, name ? MBEDTLS_SSL_IS_CLIENT : MBEDTLS_SSL_IS_SERVER,
                                  MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
  if (code != 0)
    return code;
  mbedtls_ssl_conf_rng(config, random_bytes, NULL);
  mbedtls_ssl_conf_min_version(config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
  mbedtls_ssl_conf_ciphersuites(config, suites);
  mbedtls_ssl_conf_curves(config, curves);
  if (!name) {
    mbedtls_ssl_conf_psk_cb(config, choose_key, end);
    return 0;
  }
  const neo_net_key *key = neo_net_keys_find(&end->keys, name);
  return mbedtls_ssl_conf_psk(config, key->bytes, sizeof(key->bytes), (const unsigned char *)name,
                              strlen(name));
}

neo_status neo_tls_end_create(neo_ctx *ctx, const neo_net_keys *keys, const char *name,
                              neo_tls_end **out) {
  if (name && !neo_net_keys_find(keys, name))
    return neo_fail(ctx, NEO_USAGE, "the key file has no key for '%s'", name);
  neo_tls_end *end = neo_alloc(ctx, sizeof(*end));
  if (!end)
    return neo_fail(ctx, NEO_NO_MEMORY, "tls: out of memory");
  end->allocator = ctx->allocator;
  end->keys = *keys;
  bool random = neo_machine_random(end->nobodys, sizeof(end->nobodys));
  mbedtls_ssl_config_init(&end->config);
  int code = random ? configure(end, name) : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
  if (code != 0) {
    neo_tls_end_destroy(end);
    return neo_fail(ctx, code == MBEDTLS_ERR_SSL_ALLOC_FAILED ? NEO_NO_MEMORY : NEO_INTERNAL,
                    "tls: cannot be set up (-0x%04x)", (unsigned)-code);
  }
  *out = end;
  return NEO_OK;
}

void neo_tls_end_destroy(neo_tls_end *end) {
  if (!end)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = end->allocator;
  mbedtls_ssl_config_free(&end->config);
  mbedtls_platform_zeroize(&end->keys, sizeof(end->keys));
  mbedtls_platform_zeroize(end->nobodys, sizeof(end->nobodys));
  neo_free(&ctx, end);
}

/* ---- connections ---------------------------------------------------------------------------------- */

neo_status neo_tls_open(neo_ctx *ctx, neo_tls_end *end, int fd, neo_tls **out) {
  neo_tls *tls = neo_alloc(ctx, sizeof(*tls));
  if (!tls)
    return neo_fail(ctx, NEO_NO_MEMORY, "tls: out of memory");
  tls->allocator = ctx->allocator;
  tls->fd = fd;
  mbedtls_ssl_init(&tls->ssl);
  if (mbedtls_ssl_setup(&tls->ssl, &end->config) != 0) {
    neo_tls_close(tls);
    return neo_fail(ctx, NEO_NO_MEMORY, "tls: out of memory");
  }
  mbedtls_ssl_set_bio(&tls->ssl, tls, send_bytes, receive_bytes, NULL);
  *out = tls;
  return NEO_OK;
}

void neo_tls_close(neo_tls *tls) {
  if (!tls)
    return;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = tls->allocator;
  mbedtls_ssl_free(&tls->ssl);
  neo_free(&ctx, tls);
}

static neo_status failed(neo_ctx *ctx, int code, const char *while_) {
  const char *why = NULL;
  if (code == MBEDTLS_ERR_SSL_CONN_EOF || code == 0 || code == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
    return neo_fail(ctx, NEO_UNREACHABLE, "closed by the peer%s%s", while_,
                    *while_ ? ": has it this name's key?" : "");
  if (code == MBEDTLS_ERR_SSL_ALLOC_FAILED)
    return neo_fail(ctx, NEO_NO_MEMORY, "tls: out of memory");
  if (code == MBEDTLS_ERR_SSL_INVALID_MAC)
    why = "wrong key";
  else if (code == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE)
    why = "refused by the peer: another key, or none for this name";
  else if (code == MBEDTLS_ERR_SSL_INVALID_RECORD || code == MBEDTLS_ERR_SSL_BAD_HS_CLIENT_HELLO)
    why = "what came is not TLS";
  return why ? neo_fail(ctx, NEO_BAD_INPUT, "%s%s", why, while_)
             : neo_fail(ctx, NEO_BAD_INPUT, "tls error -0x%04x%s", (unsigned)-code, while_);
}

static bool must_wait(neo_tls *tls, int code) {
  tls->wants_write = code == MBEDTLS_ERR_SSL_WANT_WRITE;
  return tls->wants_write || code == MBEDTLS_ERR_SSL_WANT_READ;
}

/* Is this a server's end, whose client has named itself as nobody that is known? */
static bool is_unknown(const neo_tls *tls) {
  return tls->named && !tls->peer[0];
}

neo_status neo_tls_handshake(neo_ctx *ctx, neo_tls *tls, bool *done) {
  int code = mbedtls_ssl_handshake(&tls->ssl);
  *done = false;
  if (is_unknown(tls) && (code == 0 || code == MBEDTLS_ERR_SSL_INVALID_MAC))
    return neo_fail(ctx, NEO_BAD_INPUT, "there is no key for its name (handshake)");
  *done = code == 0;
  if (code == 0 || must_wait(tls, code))
    return NEO_OK;
  return failed(ctx, code, " (handshake)");
}

neo_status neo_tls_read(neo_ctx *ctx, neo_tls *tls, void *data, size_t size, size_t *out) {
  int n = mbedtls_ssl_read(&tls->ssl, data, size);
  *out = n > 0 ? (size_t)n : 0;
  if (n > 0 || must_wait(tls, n))
    return NEO_OK;
  return failed(ctx, n, "");
}

neo_status neo_tls_write(neo_ctx *ctx, neo_tls *tls, const void *data, size_t size, size_t *out) {
  size_t part = tls->retry ? tls->retry : size;
  int n = mbedtls_ssl_write(&tls->ssl, data, part);
  *out = n > 0 ? (size_t)n : 0;
  tls->retry = 0;
  if (n > 0)
    return NEO_OK;
  if (must_wait(tls, n)) {
    tls->retry = part;
    return NEO_OK;
  }
  return failed(ctx, n, "");
}

bool neo_tls_wants_write(const neo_tls *tls) {
  return tls->wants_write;
}

const char *neo_tls_peer(const neo_tls *tls) {
  return tls->peer;
}
