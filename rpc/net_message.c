/* The payloads of JOIN and WELCOME; docs/formats/net.md has the bytes. Same rules as job.c. */
#include <string.h>

#include "rpc/net.h"

/* What is printed must not move a terminal's cursor. */
static bool is_printable(const char *text) {
  for (; *text; text++)
    if ((unsigned char)*text < ' ' || *text == 0x7f)
      return false;
  return true;
}

void neo_net_join_encode(neo_buf *out, const neo_net_join *join) {
  neo_buf hello = {0};
  neo_buf_u32le(out, join->protocol);
  neo_rpc_put_text(out, join->name, sizeof(join->name));
  neo_buf_u64le(out, join->boot);
  neo_hello_encode(&hello, &join->hello);
  neo_buf_u32le(out, (uint32_t)hello.size);
  neo_buf_append(out, hello.data, hello.size);
  out->failed = out->failed || hello.failed;
  neo_buf_fini(&hello);
  neo_rpc_put_text(out, join->reason, sizeof(join->reason));
  neo_buf_u8(out, (uint8_t)join->n_facts);
  for (int f = 0; f < join->n_facts; f++) {
    neo_rpc_put_text(out, join->fact[f].name, sizeof(join->fact[f].name));
    neo_rpc_put_text(out, join->fact[f].value, sizeof(join->fact[f].value));
  }
}

static neo_status get_join(neo_ctx *ctx, neo_reader *in, neo_net_join *join) {
  neo_rpc_get_text(in, join->name, sizeof(join->name));
  join->boot = neo_read_u64le(in);
  uint32_t hello = neo_read_u32le(in);
  const uint8_t *bytes = neo_read_bytes(in, hello);
  if (in->failed || !neo_net_name_ok(join->name))
    return neo_fail(ctx, NEO_BAD_INPUT, "join: damaged near byte %zu", in->at);
  NEO_TRY(neo_hello_decode(ctx, bytes, hello, &join->hello));
  neo_rpc_get_text(in, join->reason, sizeof(join->reason));
  join->n_facts = neo_read_u8(in);
  bool good = join->n_facts <= NEO_MAX_FACTS && is_printable(join->reason) &&
              is_printable(join->hello.cpu_model);
  for (int f = 0; good && f < join->n_facts; f++) {
    neo_rpc_get_text(in, join->fact[f].name, sizeof(join->fact[f].name));
    neo_rpc_get_text(in, join->fact[f].value, sizeof(join->fact[f].value));
    good = !in->failed && is_printable(join->fact[f].name) && is_printable(join->fact[f].value);
  }
  if (!good || in->failed || in->at != in->size)
    return neo_fail(ctx, NEO_BAD_INPUT, "join: damaged near byte %zu", in->at);
  return NEO_OK;
}

static neo_status check_protocol(neo_ctx *ctx, const neo_reader *in, uint32_t protocol,
                                 const char *who) {
  if (in->failed)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: empty", who);
  if (protocol != NEO_NET_VERSION)
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "%s: protocol version %u, this end speaks %d: both need the same Neo", who,
                    (unsigned)protocol, NEO_NET_VERSION);
  return NEO_OK;
}

neo_status neo_net_join_decode(neo_ctx *ctx, const uint8_t *data, size_t size, neo_net_join *out) {
  neo_reader in = {.data = data, .size = size};
  neo_net_join join = {.protocol = neo_read_u32le(&in)};
  NEO_TRY(check_protocol(ctx, &in, join.protocol, "join"));
  NEO_TRY(get_join(ctx, &in, &join));
  *out = join;
  return NEO_OK;
}

void neo_net_welcome_encode(neo_buf *out, const neo_net_welcome *welcome) {
  neo_buf_u32le(out, welcome->protocol);
  neo_buf_u64le(out, welcome->tuner);
  neo_buf_u32le(out, welcome->job);
  neo_buf_u32le(out, welcome->heartbeat_ms);
}

neo_status neo_net_welcome_decode(neo_ctx *ctx, const uint8_t *data, size_t size,
                                  neo_net_welcome *out) {
  neo_reader in = {.data = data, .size = size};
  neo_net_welcome welcome = {.protocol = neo_read_u32le(&in)};
  NEO_TRY(check_protocol(ctx, &in, welcome.protocol, "welcome"));
  welcome.tuner = neo_read_u64le(&in);
  welcome.job = neo_read_u32le(&in);
  welcome.heartbeat_ms = neo_read_u32le(&in);
  if (in.failed || in.at != in.size || welcome.heartbeat_ms < 1 || welcome.heartbeat_ms > 600000)
    return neo_fail(ctx, NEO_BAD_INPUT, "welcome: damaged near byte %zu", in.at);
  *out = welcome;
  return NEO_OK;
}

/* ---- facts ------------------------------------------------------------------------------------------ */

const char *neo_net_fact_find(const neo_net_join *join, const char *name) {
  for (int f = 0; f < join->n_facts; f++)
    if (strcmp(join->fact[f].name, name) == 0)
      return join->fact[f].value;
  return NULL;
}

bool neo_net_fact_set(neo_net_join *join, const char *name, const char *value) {
  int f = 0;
  while (f < join->n_facts && strcmp(join->fact[f].name, name) != 0)
    f++;
  if (f == NEO_MAX_FACTS)
    return false;
  snprintf(join->fact[f].name, sizeof(join->fact[f].name), "%s", name);
  snprintf(join->fact[f].value, sizeof(join->fact[f].value), "%s", value);
  join->n_facts += f == join->n_facts;
  return true;
}
