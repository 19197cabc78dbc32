/* A board in a child process of the test, at the other end of a socketpair, and a job for it. */
#ifndef NEO_TESTS_BOARD_FIXTURE_H
#define NEO_TESTS_BOARD_FIXTURE_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc/rpc.h"

enum { ELEMENTS = 1000, GRID = 10, WAIT_MS = 60000 };

typedef struct test_board {
  pid_t pid;
  int fd;
} test_board;

/* NEO_TEST_EMULATED=ARCH: neo-board-ARCH under NEO_TEST_EMULATOR instead, and objects for it; NULL:
 * not so. */
static inline const char *board_arch(void) {
  return getenv("NEO_TEST_EMULATED");
}

static inline void board_emulate(int fd, size_t cache_bytes) {
  char program[512], cache[24];
  snprintf(program, sizeof(program), "%s/bin/neo-board-%s", NEO_BINARY_DIR, board_arch());
  snprintf(cache, sizeof(cache), "%zu", cache_bytes >> 20);
  dup2(fd, 0);
  dup2(fd, 1);
  execlp(getenv("NEO_TEST_EMULATOR"), "emulator", program, "--stdio", "--cache", cache, NULL);
  _exit(127);
}

/* allocator: NULL is libc. */
static inline test_board board_start(const neo_allocator *allocator, size_t cache_bytes) {
  int pair[2];
  test_board b = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return b;
  fflush(NULL);
  b.pid = fork();
  if (b.pid == 0) {
    close(pair[0]);
    if (board_arch())
      board_emulate(pair[1], cache_bytes);
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    ctx.allocator = allocator;
    neo_board_options options = {.in_fd = pair[1], .out_fd = pair[1], .cache_bytes = cache_bytes};
    _exit((int)neo_board_serve(&ctx, &options));
  }
  close(pair[1]);
  b.fd = pair[0];
  return b;
}

/* Closes the stream and returns the board's exit code, -1 if it was killed by a signal. */
static inline int board_stop(test_board *b) {
  int status = 0;
  close(b->fd);
  waitpid(b->pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static inline void read_object(const char *name, neo_buf *out) {
  char path[512], block[4096];
  size_t n;
  snprintf(path, sizeof(path), "%s/tests/kernels/%s%s%s.o", NEO_BINARY_DIR, name,
           board_arch() ? "_" : "", board_arch() ? board_arch() : "");
  FILE *file = fopen(path, "rb");
  if (!file)
    return;
  while ((n = fread(block, 1, sizeof(block), file)) > 0)
    neo_buf_append(out, block, n);
  fclose(file);
}

static inline neo_blob blob_of(const void *data, size_t size) {
  neo_blob blob = {.data = data, .size = size};
  neo_key_text(data, size, blob.key);
  return blob;
}

/* The data of two seeds for out = 2 a + b, and the object, as blobs: 0 object, 1 b, 2 + 2 c: a, 3 +
 * 2 c: reference. */
typedef struct test_data {
  neo_buf object;
  float a[2][ELEMENTS], b[ELEMENTS];
  double want[2][ELEMENTS];
  neo_blob blob[6];
} test_data;

static inline void data_init(test_data *d, const char *object) {
  memset(d, 0, sizeof(*d));
  read_object(object, &d->object);
  for (int i = 0; i < ELEMENTS; i++)
    for (int c = 0; c < 2; c++) {
      d->a[c][i] = (float)(i * 7 % 11 + c * (i % 13));
      d->b[i] = (float)(i % 17);
      d->want[c][i] = 2.0 * (double)d->a[c][i] + (double)d->b[i];
    }
  d->blob[0] = blob_of(d->object.data, d->object.size);
  d->blob[1] = blob_of(d->b, sizeof(d->b));
  for (int c = 0; c < 2; c++) {
    d->blob[2 + 2 * c] = blob_of(d->a[c], sizeof(d->a[c]));
    d->blob[3 + 2 * c] = blob_of(d->want[c], sizeof(d->want[c]));
  }
}

static inline void kernel_init(neo_job_kernel *k, const test_data *d, const char *symbol) {
  memset(k, 0, sizeof(*k));
  memcpy(k->object, d->blob[0].key, 33);
  snprintf(k->symbol, sizeof(k->symbol), "%s", symbol);
  k->n_launches = 1;
  k->grid[0] = GRID;
  k->n_buffers = 3;
  k->role[2] = 1;
  for (int i = 0; i < 3; i++)
    k->bytes[i] = 4 * ELEMENTS;
  k->work_bytes = 8192;
  for (int c = 0; c < 2; c++) {
    memcpy(k->data[c][0], d->blob[2 + 2 * c].key, 33);
    memcpy(k->data[c][1], d->blob[1].key, 33);
    memcpy(k->data[c][2], d->blob[3 + 2 * c].key, 33);
  }
}

static inline void job_init(neo_job *job, const test_data *d, const char *symbol) {
  memset(job, 0, sizeof(*job));
  job->kind = NEO_JOB_MEASURE;
  job->threads = 1;
  job->timeout_ms = 20000;
  job->n_cases = 2;
  job->rtol = 1e-5;
  job->atol = 1e-5;
  job->timing = (neo_timing_policy){.min_batch_ns = 20e3, .max_batches = 3, .max_total_ns = 5e6};
  kernel_init(&job->kernel, d, symbol);
}

/* One job, answered; an agent that does not answer is an outcome, too. */
static inline neo_job_result board_submit(const test_board *board, const neo_job *job) {
  neo_ctx ctx;
  neo_job_result result = {0};
  uint32_t id = 0;
  static uint32_t next = 100;
  neo_ctx_init(&ctx, 1);
  if (neo_board_submit(&ctx, board->fd, ++next, job, WAIT_MS) != NEO_OK ||
      neo_board_result(&ctx, board->fd, &id, &result, WAIT_MS) != NEO_OK || id != next) {
    result.outcome = NEO_OUTCOME_BOARD;
    snprintf(result.text, sizeof result.text, "job %u, answer %u: %.150s", next, id, ctx.message);
  }
  return result;
}

#endif
