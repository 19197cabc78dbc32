/* Frames over a socketpair and through the incremental parser: golden bytes, damage, deadlines,
 * closed streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rpc/rpc.h"

enum { WAIT_MS = 20000 };

static void make_pair(int fd[2]) {
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
}

static neo_frame frame_of(uint16_t type, uint32_t id, const char *text) {
  neo_frame frame = {.type = type, .id = id};
  neo_buf_text(&frame.payload, text);
  return frame;
}

/* docs/formats/frames.md's example. */
static const uint8_t golden[] = {'N', 'E', 'O', 'F', 1, 0,    7,    0,    9,    0,   0,
                                 0,   2,   0,   0,   0, 0xf8, 0xa0, 0xc6, 0xe4, 'h', 'i'};

static void golden_bytes(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  int fd[2];
  uint8_t bytes[64];
  make_pair(fd);
  neo_frame frame = frame_of(NEO_MESSAGE_PING, 9, "hi");
  assert_int_equal(neo_frame_send(&ctx, fd[0], &frame, WAIT_MS), NEO_OK);
  assert_int_equal(read(fd[1], bytes, sizeof(bytes)), sizeof(golden));
  assert_memory_equal(bytes, golden, sizeof(golden));
  neo_buf_fini(&frame.payload);
  close(fd[0]);
  close(fd[1]);
}

/* On the wire, more bytes behind a payload are the payload's end: small and large heads. */
static void more_bytes_are_payload(void **state) {
  (void)state;
  static const size_t heads[] = {0, 32, 5000};
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  for (int i = 0; i < NEO_COUNT(heads); i++) {
    int fd[2];
    char more[1000];
    neo_frame frame = {.type = NEO_MESSAGE_BLOB_PUT, .id = 3}, got = {0};
    make_pair(fd);
    memset(more, 'm', sizeof(more));
    for (size_t k = 0; k < heads[i]; k++)
      neo_buf_u8(&frame.payload, 'h');
    assert_int_equal(neo_frame_send_more(&ctx, fd[0], &frame, more, sizeof(more), WAIT_MS), NEO_OK);
    assert_int_equal(neo_frame_receive(&ctx, fd[1], &got, WAIT_MS), NEO_OK);
    assert_true(got.type == frame.type && got.id == 3 &&
                got.payload.size == heads[i] + sizeof(more));
    for (size_t k = 0; k < got.payload.size; k++)
      assert_int_equal(got.payload.data[k], k < heads[i] ? 'h' : 'm');
    assert_int_equal(
        neo_frame_send_more(&ctx, fd[0], &frame, more, (size_t)NEO_FRAME_MAX + 1, WAIT_MS),
        NEO_USAGE);
    neo_ctx_clear(&ctx);
    neo_buf_fini(&frame.payload);
    neo_buf_fini(&got.payload);
    close(fd[0]);
    close(fd[1]);
  }
}

static void round_trips(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  int fd[2];
  make_pair(fd);
  neo_frame got = {0};
  for (uint32_t i = 0; i < 3; i++) {
    neo_frame frame = frame_of((uint16_t)(i + 1), i, i ? "some text" : "");
    assert_int_equal(neo_frame_send(&ctx, fd[0], &frame, i ? WAIT_MS : 0), NEO_OK);
    assert_int_equal(neo_frame_receive(&ctx, fd[1], &got, i ? WAIT_MS : 0), NEO_OK);
    assert_true(got.type == i + 1 && got.id == i && got.payload.size == frame.payload.size);
    neo_buf_fini(&frame.payload);
  }
  neo_buf_fini(&got.payload);
  close(fd[0]);
  close(fd[1]);
}

enum { BIG = 5 << 20 };

static void *send_big(void *argument) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_frame frame = {.type = NEO_MESSAGE_BLOB_PUT};
  for (uint32_t i = 0; i < BIG / 4; i++)
    neo_buf_u32le(&frame.payload, i * 2654435761u);
  neo_status status = neo_frame_send(&ctx, *(int *)argument, &frame, WAIT_MS);
  neo_buf_fini(&frame.payload);
  return (void *)(intptr_t)status;
}

/* More than a socket or pipe holds, so both sides wait for each other. */
static void big_frames(void **state) {
  (void)state;
  for (int pipes = 0; pipes < 2; pipes++) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    int fd[2];
    if (pipes)
      assert_int_equal(pipe(fd), 0);
    else
      make_pair(fd);
    pthread_t thread;
    void *sent;
    neo_frame got = {0};
    assert_int_equal(pthread_create(&thread, NULL, send_big, &fd[1]), 0);
    assert_int_equal(neo_frame_receive(&ctx, fd[0], &got, WAIT_MS), NEO_OK);
    pthread_join(thread, &sent);
    assert_int_equal((intptr_t)sent, NEO_OK);
    assert_int_equal(got.payload.size, BIG);
    assert_int_equal((uint8_t)got.payload.data[7], 2654435761u >> 24);
    neo_buf_fini(&got.payload);
    close(fd[0]);
    close(fd[1]);
  }
}

static neo_status receive_bytes(const uint8_t *bytes, size_t size) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  int fd[2];
  make_pair(fd);
  neo_frame got = {0};
  assert_int_equal(write(fd[0], bytes, size), size);
  close(fd[0]);
  neo_status status = neo_frame_receive(&ctx, fd[1], &got, WAIT_MS);
  assert_true(status == NEO_OK || ctx.message[0]);
  neo_buf_fini(&got.payload);
  close(fd[1]);
  return status;
}

static void damage_is_seen(void **state) {
  (void)state;
  uint8_t bytes[sizeof(golden)];
  memcpy(bytes, golden, sizeof(golden));
  assert_int_equal(receive_bytes(bytes, sizeof(bytes)), NEO_OK);
  for (size_t i = 0; i < sizeof(bytes); i++)
    for (int bit = 0; bit < 8; bit++) {
      bytes[i] ^= (uint8_t)(1 << bit);
      assert_int_not_equal(receive_bytes(bytes, sizeof(bytes)), NEO_OK);
      bytes[i] ^= (uint8_t)(1 << bit);
    }
  for (size_t size = 1; size < sizeof(bytes); size++)
    assert_int_equal(receive_bytes(bytes, size), NEO_UNREACHABLE);
  memset(bytes + 12, 0xff, 4); /* 4 GB claimed */
  assert_int_equal(receive_bytes(bytes, sizeof(bytes)), NEO_BAD_INPUT);
}

static void deadlines_hold(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  int fd[2];
  make_pair(fd);
  neo_frame got = {0};
  assert_int_equal(neo_frame_receive(&ctx, fd[1], &got, 20), NEO_UNREACHABLE);
  assert_non_null(strstr(ctx.message, "did not answer in time"));
  neo_ctx_clear(&ctx);
  neo_frame big = {.type = 1};
  for (int i = 0; i < 1 << 18; i++)
    neo_buf_u64le(&big.payload, (uint64_t)i);
  assert_int_equal(neo_frame_send(&ctx, fd[0], &big, 20), NEO_UNREACHABLE); /* nobody reads */
  assert_non_null(strstr(ctx.message, "did not read in time"));
  close(fd[1]);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_frame_send(&ctx, fd[0], &big, 20), NEO_UNREACHABLE); /* and no SIGPIPE */
  close(fd[0]);
  neo_buf_fini(&big.payload);
  big.payload.failed = true;
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_frame_send(&ctx, fd[0], &big, 20), NEO_NO_MEMORY);
}

/* A board that never comes to an end: refusals of blobs one after another, or a frame byte by byte.
 */
typedef struct dripping {
  int fd;
  bool bytes;
  atomic_bool stop;
} dripping;

static void *drip(void *arg) {
  dripping *d = arg;
  const struct timespec pause = {0, 5000000};
  neo_buf refusal = {0};
  neo_frame frame = frame_of(NEO_MESSAGE_ERROR, NEO_ID_BLOB, "\2\0\0\0\0\0\0");
  neo_buf_u8(&frame.payload, 0);
  neo_frame_write(&refusal, &frame);
  for (size_t at = 0; !d->stop; at = (at + 1) % refusal.size) {
    const char *from = d->bytes ? refusal.data + at : refusal.data;
    if (send(d->fd, from, d->bytes ? 1 : refusal.size, MSG_NOSIGNAL) < 0)
      break;
    nanosleep(&pause, NULL);
  }
  neo_buf_fini(&frame.payload);
  neo_buf_fini(&refusal);
  return NULL;
}

static void what_drips_in_does_not_put_a_deadline_off(void **state) {
  (void)state;
  for (int bytes = 0; bytes < 2; bytes++) {
    neo_ctx ctx;
    neo_hello hello;
    pthread_t thread;
    int fd[2];
    neo_ctx_init(&ctx, 1);
    make_pair(fd);
    dripping d = {.fd = fd[1], .bytes = bytes};
    assert_int_equal(pthread_create(&thread, NULL, drip, &d), 0);
    assert_int_equal(neo_board_hello(&ctx, fd[0], NULL, &hello, 200), NEO_UNREACHABLE);
    assert_non_null(strstr(ctx.message, "did not answer in time")); /* and not: too many refusals */
    d.stop = true;
    close(fd[0]);
    pthread_join(thread, NULL);
    close(fd[1]);
  }
}

/* The parser given the stream in pieces of every size yields the same frames. */
static void parses_in_pieces(void **state) {
  (void)state;
  uint8_t stream[3 * sizeof(golden)];
  for (int i = 0; i < 3; i++)
    memcpy(stream + (size_t)i * sizeof(golden), golden, sizeof(golden));
  for (size_t piece = 1; piece <= sizeof(stream); piece++) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    neo_frame frame = {0};
    size_t at = 0, have = 0, used;
    int frames = 0;
    while (have < sizeof(stream)) {
      have = have + piece < sizeof(stream) ? have + piece : sizeof(stream);
      for (bool done = true; done;) {
        assert_int_equal(neo_frame_parse(&ctx, stream + at, have - at, &used, &frame, &done),
                         NEO_OK);
        assert_true(done || used == 0);
        at += used;
        frames += done;
      }
    }
    assert_int_equal(frames, 3);
    assert_int_equal(at, sizeof(stream));
    assert_string_equal(frame.payload.data, "hi");
    neo_buf_fini(&frame.payload);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(golden_bytes),
      cmocka_unit_test(round_trips),
      cmocka_unit_test(more_bytes_are_payload),
      cmocka_unit_test(big_frames),
      cmocka_unit_test(damage_is_seen),
      cmocka_unit_test(deadlines_hold),
      cmocka_unit_test(parses_in_pieces),
      cmocka_unit_test(what_drips_in_does_not_put_a_deadline_off),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
