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

/* Two plain ends; time is what `now` says. */
static uint64_t now = 1000000000u;

static uint64_t told_now(void *self) {
  (void)self;
  return now;
}

static void open_plain(pair *p) {
  int fd[2];
  memset(p, 0, sizeof *p);
  neo_ctx_init(&p->ctx, 1);
  p->ctx.now_ns = told_now;
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
  for (int i = 0; i < 2; i++)
    assert_int_equal(neo_channel_open(&p->ctx, fd[i], NULL, &p->net[i]), NEO_OK);
}

static void close_plain(pair *p) {
  for (int i = 0; i < 2; i++)
    neo_channel_close(&p->net[i]);
  neo_buf_fini(&p->frame.payload);
}

/* Its header was queued, its bytes were not: the peer must not wait for them. */
static void a_frame_without_memory_ends_the_stream(void **state) {
  enum { SMALL = 100, LARGE = 100000 };
  static const char bytes[LARGE];
  (void)state;
  for (int with = 0; with < 2; with++) { /* without a frame before it, and with one */
    pair p;
    neo_frame frame = {.type = NEO_MESSAGE_BLOB_PUT};
    bool got = false;
    open_plain(&p);
    neo_buf_append(&frame.payload, bytes, SMALL);
    if (with)
      assert_int_equal(neo_channel_put(&p.ctx, &p.net[0], &frame), NEO_OK);
    assert_int_equal(neo_channel_pump(&p.ctx, &p.net[0]), NEO_OK);
    neo_buf_append(&frame.payload, bytes, LARGE - SMALL);
    neo_fail_malloc_at(with ? 1 : 2); /* room for the header is there already, or made */
    assert_int_equal(neo_channel_put(&p.ctx, &p.net[0], &frame), NEO_NO_MEMORY);
    assert_int_equal(neo_fail_malloc_count(), 1);
    neo_fail_malloc_at(0);
    neo_ctx_clear(&p.ctx);
    assert_int_equal(neo_channel_pump(&p.ctx, &p.net[0]), NEO_NO_MEMORY);
    neo_ctx_clear(&p.ctx);
    assert_int_equal(neo_channel_pump(&p.ctx, &p.net[1]), NEO_OK);
    assert_int_equal(neo_channel_take(&p.ctx, &p.net[1], &p.frame, &got), NEO_OK);
    assert_int_equal(got, with);
    assert_int_equal(p.net[1].in.size, p.net[1].in_at); /* and nothing behind it */
    neo_buf_fini(&frame.payload);
    close_plain(&p);
  }
}

/* A part of a frame that waits because we do not read on is not the peer's slowness. */
static void who_is_not_listened_to_does_not_drip(void **state) {
  enum { MINUTE = 60, SECOND = 1000000000 };
  (void)state;
  pair p;
  bool got = false;
  open_plain(&p);
  const neo_frame frame = {.type = NEO_MESSAGE_PING};
  assert_int_equal(neo_channel_put(&p.ctx, &p.net[0], &frame), NEO_OK);
  p.net[0].out.size--; /* all but its end */
  assert_int_equal(neo_channel_pump(&p.ctx, &p.net[0]), NEO_OK);
  assert_int_equal(neo_channel_pump(&p.ctx, &p.net[1]), NEO_OK);
  assert_int_equal(neo_channel_take(&p.ctx, &p.net[1], &p.frame, &got), NEO_OK);
  assert_false(got || neo_channel_drips(&p.ctx, &p.net[1]));
  p.net[1].hold = true;
  for (int i = 0; i < MINUTE; i++) {
    now += SECOND;
    assert_int_equal(neo_channel_pump(&p.ctx, &p.net[1]), NEO_OK);
    assert_false(neo_channel_drips(&p.ctx, &p.net[1]));
    assert_true(p.net[1].heard == now);
  }
  p.net[1].hold = false;
  now += (uint64_t)MINUTE * SECOND;
  assert_int_equal(neo_channel_pump(&p.ctx, &p.net[1]), NEO_OK);
  assert_true(neo_channel_drips(&p.ctx, &p.net[1]));
  close_plain(&p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(any_request_may_fail),
      cmocka_unit_test(a_frame_without_memory_ends_the_stream),
      cmocka_unit_test(who_is_not_listened_to_does_not_drip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
