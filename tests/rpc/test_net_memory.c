/* A connection without memory: whichever request of a handshake, of a JOIN and of its answer fails,
 * both ends say so, or see the other go, and free what they had. mbedTLS is an archive, so its
 * requests fail, too. Under the leak checker a lost byte is a failure as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>

#include "rpc/channel.h"
#include "tests/fail_malloc.h"

typedef struct pair {
  neo_ctx ctx;
  neo_tls_end *end[2];
  neo_channel net[2];
  neo_frame frame;
} pair;

static neo_status connect_pair(pair *p, const neo_net_keys *keys) {
  int fd[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0)
    return NEO_IO;
  p->net[0].fd = p->net[1].fd = -1;
  neo_status first = neo_tls_end_create(&p->ctx, keys, NULL, &p->end[0]);
  if (first == NEO_OK)
    first = neo_tls_end_create(&p->ctx, keys, "board", &p->end[1]);
  for (int i = 0; i < 2; i++) {
    neo_channel raw = {.fd = fd[i]};
    neo_status status =
        first == NEO_OK ? neo_channel_open(&p->ctx, fd[i], p->end[i], &p->net[i]) : first;
    if (first != NEO_OK)
      neo_channel_close(&raw);
    first = first != NEO_OK ? first : status;
  }
  for (int i = 0; first == NEO_OK && i < 40 && !(p->net[0].open && p->net[1].open); i++)
    first = neo_channel_pump(&p->ctx, &p->net[i % 2]);
  return first;
}

/* The client joins, the server reads it. */
static neo_status join_pair(pair *p) {
  static neo_net_join join, read;
  neo_frame frame = {.type = NEO_MESSAGE_JOIN};
  bool got = false;
  join = (neo_net_join){.protocol = NEO_NET_VERSION, .name = "board", .boot = 3};
  neo_net_fact_set(&join, "arch", "any");
  neo_net_join_encode(&frame.payload, &join);
  neo_status status = neo_channel_put(&p->ctx, &p->net[1], &frame);
  neo_buf_fini(&frame.payload);
  for (int i = 0; status == NEO_OK && i < 40 && !got; i++) {
    status = neo_channel_pump(&p->ctx, &p->net[(i + 1) % 2]);
    if (status == NEO_OK)
      status = neo_channel_take(&p->ctx, &p->net[0], &p->frame, &got);
  }
  if (status == NEO_OK)
    status = neo_net_join_decode(&p->ctx, (const uint8_t *)p->frame.payload.data,
                                 p->frame.payload.size, &read);
  if (status == NEO_OK)
    assert_true(read.boot == 3 && strcmp(neo_tls_peer(p->net[0].tls), "board") == 0);
  return status;
}

static neo_status whole_session(void) {
  neo_net_keys keys = {.n = 1, .key = {{.name = "board", .bytes = {1, 2, 3}}}};
  pair p = {0};
  neo_ctx_init(&p.ctx, 1);
  neo_status status = connect_pair(&p, &keys);
  if (status == NEO_OK)
    status = join_pair(&p);
  for (int i = 0; i < 2; i++) {
    neo_channel_close(&p.net[i]);
    neo_tls_end_destroy(p.end[i]);
  }
  neo_buf_fini(&p.frame.payload);
  return status;
}

static void any_request_may_fail(void **state) {
  enum { STRIDE = 23 }; /* a handshake makes thousands */
  (void)state;
  assert_int_equal(whole_session(), NEO_OK);
  long failures = 0;
  for (long n = 1;; n += n < 200 ? 1 : STRIDE) {
    neo_fail_malloc_at(n);
    neo_status status = whole_session();
    bool failed = neo_fail_malloc_count() > 0;
    neo_fail_malloc_at(0);
    if (!failed) {
      assert_int_equal(status, NEO_OK);
      break;
    }
    failures += status != NEO_OK;
  }
  print_message("%ld failures were told\n", failures);
  assert_true(failures > 100);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(any_request_may_fail)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
