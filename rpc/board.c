/* neo-board: the agent that measures. One stream, one thread, one child process a job.
 *
 * Design: the parent never runs foreign code and never waits without a deadline while a job runs.
 * It keeps the blobs, forks a child, and reads the child's result from a pipe; what comes over the
 * pipe is checked like anything else, since a wild kernel may have written it. A child that dies is
 * a crash (signal and phase are known), one that is silent too long a hang: SIGTERM to its process
 * group, then SIGKILL. After either, a canary must give its answer in its time before the next job
 * counts.
 *
 * Invariants
 * 1. Every JOB is answered by exactly one RESULT or ERROR with its id, in order.
 * 2. No child outlives its job: its process group is killed before the answer is sent, and the
 * kernel kills it if this process dies. */
#include "rpc/board.h"

#include <string.h>
#include <unistd.h>

#include "runtime/os.h"

enum { SEND_MS = 60000, CANARY_TRIES = 50, CANARY_FACTOR = 4 };

typedef struct board {
  neo_ctx *ctx;
  neo_board_options options;
  neo_blobs *blobs;
  neo_board_shared *shared;
  neo_counters *counters;
  double canary_ns; /* at start */
  bool faulted;     /* the canary must sing before the next job */
  neo_job job;
  neo_board_job found;
  neo_job_result result;
} board;

/* ---- answers ------------------------------------------------------------------------------------- */

static neo_status answer(board *b, uint16_t type, uint32_t id, neo_buf *payload) {
  neo_frame frame = {.type = type, .id = id, .payload = *payload};
  neo_status status = neo_frame_send(b->ctx, b->options.out_fd, &frame, SEND_MS);
  neo_buf_fini(payload);
  return status;
}

/* Turns the recorded failure into an ERROR frame; the session goes on unless even that fails. */
static neo_status answer_error(board *b, uint32_t id) {
  neo_buf payload = {0};
  size_t length = strlen(b->ctx->message);
  neo_buf_u32le(&payload, (uint32_t)b->ctx->status);
  neo_buf_u32le(&payload, (uint32_t)length);
  neo_buf_append(&payload, b->ctx->message, length);
  neo_ctx_clear(b->ctx);
  if (payload.failed) { /* without memory: an error without a text */
    neo_buf_fini(&payload);
    payload = (neo_buf){0};
  }
  return answer(b, NEO_MESSAGE_ERROR, id, &payload);
}

/* ---- hello, blobs --------------------------------------------------------------------------------- */

static int measuring_cpus(const board *b) {
  return b->options.n_cpus > 0 ? b->options.n_cpus : 1;
}

static double measure_bandwidth(board *b) {
  neo_pool *pool;
  int threads = measuring_cpus(b);
  double bandwidth = 0;
  if (neo_pool_create(b->ctx, NEO_POOL_PTHREAD, threads, NULL, &pool) == NEO_OK) {
    bandwidth = neo_harness_bandwidth(b->ctx, pool);
    neo_pool_destroy(pool);
  }
  neo_ctx_clear(b->ctx); /* without memory there is no figure, but a session */
  return bandwidth;
}

static neo_status on_hello(board *b, const neo_frame *frame) {
  neo_hello peer, mine = {.pid = (uint32_t)getpid()};
  NEO_TRY(
      neo_hello_decode(b->ctx, (const uint8_t *)frame->payload.data, frame->payload.size, &peer));
  mine.threads = (uint32_t)measuring_cpus(b);
  mine.bandwidth = b->counters ? 0 : measure_bandwidth(b);
  neo_cpu_model(mine.cpu_model, sizeof(mine.cpu_model));
  mine.n_gpus = peer.n_gpus;
  memcpy(mine.gpu, peer.gpu, sizeof(mine.gpu));
  neo_board_find_gpus(b->ctx, &mine, b->options.gpu_ms ? b->options.gpu_ms : NEO_GPU_MS);
  neo_buf payload = {0};
  neo_hello_encode(&payload, &mine);
  return answer(b, NEO_MESSAGE_HELLO, frame->id, &payload);
}

static bool read_key(neo_reader *in, char out[33]) {
  const uint8_t *bytes = neo_read_bytes(in, 32);
  if (!bytes || memchr(bytes, '\0', 32))
    return false;
  memcpy(out, bytes, 32);
  out[32] = '\0';
  return true;
}

static neo_status on_have(board *b, const neo_frame *frame) {
  neo_reader in = {.data = (const uint8_t *)frame->payload.data, .size = frame->payload.size};
  uint32_t n = neo_read_u32le(&in);
  if (in.failed || n != (in.size - in.at) / 32 || (in.size - in.at) % 32)
    return neo_fail(b->ctx, NEO_BAD_INPUT, "blob_have: %u keys in %zu bytes", (unsigned)n, in.size);
  neo_buf payload = {0};
  for (uint32_t i = 0; i < n; i++) {
    char key[33];
    const void *data;
    size_t size;
    neo_buf_u8(&payload, read_key(&in, key) && neo_blobs_get(b->blobs, key, &data, &size));
  }
  return answer(b, NEO_MESSAGE_BLOB_HAVE, frame->id, &payload);
}

static neo_status on_put(board *b, const neo_frame *frame) {
  neo_reader in = {.data = (const uint8_t *)frame->payload.data, .size = frame->payload.size};
  char key[33], real[33];
  if (!read_key(&in, key))
    return neo_fail(b->ctx, NEO_BAD_INPUT, "blob_put: no key");
  const uint8_t *bytes = in.data + in.at;
  neo_key_text(bytes, in.size - in.at, real);
  if (strcmp(key, real) != 0)
    return neo_fail(b->ctx, NEO_BAD_INPUT, "blob_put: key %s, but the bytes have %s", key, real);
  return neo_blobs_put(b->ctx, b->blobs, key, bytes, in.size - in.at);
}

/* ---- jobs: finding blobs ---------------------------------------------------------------------------- */

static neo_status find_blob(board *b, const char *key, const void **data, size_t *size) {
  if (neo_blobs_get(b->blobs, key, data, size))
    return NEO_OK;
  return neo_fail(b->ctx, NEO_USAGE, "missing blob %s", key);
}

static neo_status check_size(board *b, const neo_job_kernel *k, uint32_t i, size_t size) {
  size_t bytes = (size_t)k->bytes[i], count = bytes / neo_rt_dtype_size(k->dtype[i]);
  bool fits = k->role[i] != 1 ? size == bytes : size == 4 * count || size == 8 * count;
  return fits ? NEO_OK
              : neo_fail(b->ctx, NEO_USAGE, "buffer %u has %zu bytes, its blob %zu", (unsigned)i,
                         bytes, size);
}

static neo_status find_kernel(board *b, const neo_job_kernel *k, uint32_t n_cases,
                              neo_board_kernel *out) {
  memset(out, 0, sizeof(*out));
  out->job = k;
  NEO_TRY(find_blob(b, k->object, &out->object, &out->object_size));
  for (uint32_t c = 0; c < n_cases; c++)
    for (uint32_t i = 0; i < k->n_buffers; i++) {
      if (k->data[c][i][0] == '\0') {
        if (k->role[i] != 1 && k->bytes[i] > 0)
          return neo_fail(b->ctx, NEO_USAGE, "input %u has no blob for case %u", (unsigned)i,
                          (unsigned)c);
        continue;
      }
      NEO_TRY(find_blob(b, k->data[c][i], &out->data[c][i], &out->size[c][i]));
      NEO_TRY(check_size(b, k, i, out->size[c][i]));
    }
  return NEO_OK;
}

static int64_t memory_of(const neo_job_kernel *k, uint32_t threads) {
  int64_t sum = k->work_bytes + k->scratch_bytes * threads;
  for (uint32_t i = 0; i < k->n_buffers; i++)
    sum += k->bytes[i];
  return sum;
}

static neo_status check_memory(board *b) {
  int64_t has = neo_os_memory();
  int64_t needs =
      memory_of(&b->job.kernel, b->job.threads) + memory_of(&b->job.incumbent, b->job.threads);
  if (has > 0 && needs > has / 4 * 3)
    return neo_fail(b->ctx, NEO_USAGE, "the job needs %lld bytes, this board has %lld",
                    (long long)needs, (long long)has);
  return NEO_OK;
}

static neo_status find_job(board *b) {
  NEO_TRY(check_memory(b));
  neo_board_job *j = &b->found;
  j->job = &b->job;
  j->options = &b->options;
  j->blobs = b->blobs;
  j->shared = b->shared;
  j->counters = b->counters;
  NEO_TRY(find_kernel(b, &b->job.kernel, b->job.n_cases, &j->kernel));
  if (b->job.has_incumbent)
    NEO_TRY(find_kernel(b, &b->job.incumbent, 1, &j->incumbent));
  return NEO_OK;
}

void neo_board_outcome(const neo_board_job *job, neo_job_outcome outcome, int signal_number,
                       const char *text, neo_job_result *out) {
  static const char *const phases[] = {
#define X(name, text) text,
      NEO_PHASES(X)
#undef X
  };
  unsigned phase = atomic_load(&job->shared->phase);
  neo_job_result_fini(out);
  memset(out, 0, sizeof(*out));
  out->outcome = outcome;
  out->signal = signal_number;
  snprintf(out->phase, sizeof(out->phase), "%s", phase < NEO_PHASE_COUNT ? phases[phase] : "?");
  snprintf(out->text, sizeof(out->text), "%s", text);
}

static void board_failed(board *b) {
  neo_board_outcome(&b->found, NEO_OUTCOME_BOARD, 0, b->ctx->message, &b->result);
}

/* ---- the canary ------------------------------------------------------------------------------------------ */

static neo_status canary(board *b) {
  double ns = 0;
  for (int i = 0; i < CANARY_TRIES; i++) {
    if (!neo_canary(b->ctx, &ns))
      return neo_fail(b->ctx, NEO_INTERNAL,
                      "the canary computes wrongly: this board cannot be trusted");
    if (ns <= CANARY_FACTOR * b->canary_ns)
      return NEO_OK;
    neo_os_sleep(10);
  }
  return neo_fail(b->ctx, NEO_INTERNAL,
                  "the canary takes %.1f times as long as when the board started",
                  ns / b->canary_ns);
}

static double canary_baseline(neo_ctx *ctx) {
  double best = 0, ns = 0;
  for (int i = 0; i < 3; i++) {
    neo_canary(ctx, &ns);
    best = i == 0 || ns < best ? ns : best;
  }
  return best;
}

static neo_status on_job(board *b, const neo_frame *frame) {
  uint64_t before = neo_now_ns(b->ctx);
  NEO_TRY(
      neo_job_decode(b->ctx, (const uint8_t *)frame->payload.data, frame->payload.size, &b->job));
  memset(&b->result, 0, sizeof(b->result));
  atomic_store(&b->shared->phase, NEO_PHASE_SETUP);
  neo_status status = find_job(b);
  if (status == NEO_OK && b->faulted)
    status = canary(b);
  if (status == NEO_OK) {
    neo_board_process(b->ctx, &b->found, &b->result);
    b->faulted = b->result.outcome == NEO_OUTCOME_CRASH || b->result.outcome == NEO_OUTCOME_HANG;
  } else {
    board_failed(b);
  }
  neo_ctx_clear(b->ctx);
  b->result.board_ns = (double)(neo_now_ns(b->ctx) - before);
  neo_buf payload = {0};
  neo_job_result_encode(&payload, &b->result);
  neo_job_result_fini(&b->result);
  return answer(b, NEO_MESSAGE_RESULT, frame->id, &payload);
}

/* ---- the session -------------------------------------------------------------------------------------------- */

static neo_status handle(board *b, const neo_frame *frame) {
  neo_buf nothing = {0};
  switch (frame->type) {
  case NEO_MESSAGE_HELLO:
    return on_hello(b, frame);
  case NEO_MESSAGE_BLOB_HAVE:
    return on_have(b, frame);
  case NEO_MESSAGE_BLOB_PUT:
    return on_put(b, frame);
  case NEO_MESSAGE_JOB:
    return on_job(b, frame);
  case NEO_MESSAGE_PING:
    return answer(b, NEO_MESSAGE_PING, frame->id, &nothing);
  default:
    return neo_fail(b->ctx, NEO_UNSUPPORTED, "message type %u is not known here",
                    (unsigned)frame->type);
  }
}

/* A damaged frame, and a peer that is gone, end the session; anything else is answered and it goes
 * on. */
static neo_status serve(board *b) {
  neo_frame frame = {0};
  neo_status status;
  for (;;) {
    status = neo_frame_receive(b->ctx, b->options.in_fd, &frame, 0);
    bool kept = status != NEO_NO_MEMORY;
    if ((kept && status != NEO_OK) || frame.type == NEO_MESSAGE_BYE)
      break;
    if (kept)
      status = handle(b, &frame);
    else /* its bytes were read and dropped: the stream is in step */
      neo_buf_fini(&frame.payload);
    if (status == NEO_UNREACHABLE)
      break;
    if (status != NEO_OK && (status = answer_error(b, frame.id)) != NEO_OK)
      break;
  }
  neo_buf_fini(&frame.payload);
  return status == NEO_UNREACHABLE ? NEO_OK : status;
}

static size_t default_cache(void) {
  const size_t most = (size_t)2 << 30;
  size_t half = (size_t)neo_os_memory() / 2;
  return half && half < most ? half : most;
}

neo_status neo_board_serve(neo_ctx *ctx, const neo_board_options *options) {
  size_t cache = options->cache_bytes ? options->cache_bytes : default_cache();
  board *b = neo_alloc(ctx, sizeof(*b));
  if (!b)
    return neo_fail(ctx, NEO_NO_MEMORY, "board: out of memory");
  b->ctx = ctx;
  b->options = *options;
  /* Where the caller wants measuring done this process stays, too: the other cores are busy
   * building, and between two jobs the measuring ones are not. */
  neo_os_stay_on(options->cpus, options->n_cpus);
  if (options->n_cpus == 0)
    b->options.n_cpus = neo_os_cpus(b->options.cpus, NEO_COUNT(b->options.cpus));
  b->shared = neo_board_share(options, &b->found.shared_handle);
  neo_status status = b->shared ? neo_blobs_create(ctx, cache, &b->blobs)
                                : neo_fail(ctx, NEO_NO_MEMORY, "board: out of memory");
  if (status == NEO_OK && options->counters)
    status = neo_count_open(ctx, options->counters, &b->counters);
  if (status == NEO_OK) {
    b->found.shared = b->shared;
    b->canary_ns = options->child ? 0 : canary_baseline(ctx);
    status = serve(b);
  }
  neo_count_close(b->counters);
  neo_blobs_destroy(b->blobs);
  neo_board_unshare(b->shared, b->found.shared_handle);
  neo_free(ctx, b);
  return status;
}
