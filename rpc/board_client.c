/* The tuner's side of a session with a board: hello, blobs, jobs, results.
 *
 * Every call is one exchange with a deadline. A board that breaks the protocol is treated like one
 * that is gone: the caller starts a new one. */
#include <string.h>
#include <unistd.h>

#include "rpc/rpc.h"
#include "rpc/stream.h"

enum { MAX_REFUSALS = 2 * (1 + NEO_JOB_MAX_CASES * NEO_JOB_MAX_BUFFERS) }; /* blobs of a job */

static neo_status unexpected(neo_ctx *ctx, const neo_frame *frame, const char *wanted) {
  return neo_fail(ctx, NEO_UNREACHABLE, "board: answered with message type %u, %s expected",
                  (unsigned)frame->type, wanted);
}

/* status and text of an ERROR frame, cut to size. */
static void error_text(const neo_frame *frame, char *out, size_t size) {
  neo_reader in = {.data = (const uint8_t *)frame->payload.data, .size = frame->payload.size};
  uint32_t status = neo_read_u32le(&in), length = neo_read_u32le(&in);
  const uint8_t *text = neo_read_bytes(&in, length);
  if (in.failed || length > 1024)
    snprintf(out, size, "an error without a text");
  else
    snprintf(out, size, "%.*s (%s)", (int)length, (const char *)text,
             neo_status_name((neo_status)status));
  neo_rpc_make_printable(out);
}

/* The next frame that is no refusal of a blob. Refusals do not put the end of the waiting off. */
static neo_status receive(neo_ctx *ctx, int fd, neo_frame *frame, uint64_t deadline) {
  char text[512];
  for (int n = 0; n <= MAX_REFUSALS; n++) {
    NEO_TRY(neo_frame_receive_until(ctx, fd, frame, deadline));
    if (frame->type != NEO_MESSAGE_ERROR || frame->id != NEO_ID_BLOB)
      return NEO_OK;
    error_text(frame, text, sizeof(text));
    neo_log(ctx, NEO_LOG_WARN, "the board refused a blob: %s", text);
  }
  return neo_fail(ctx, NEO_UNREACHABLE, "board: it refuses more blobs than a job has");
}

static neo_status exchange(neo_ctx *ctx, int fd, neo_frame *frame, uint16_t type, int timeout_ms) {
  char text[512];
  uint64_t deadline = neo_stream_deadline(ctx, timeout_ms);
  NEO_TRY(neo_frame_send(ctx, fd, frame, timeout_ms));
  NEO_TRY(receive(ctx, fd, frame, deadline));
  if (frame->type == NEO_MESSAGE_ERROR) {
    error_text(frame, text, sizeof(text));
    return neo_fail(ctx, NEO_UNREACHABLE, "board: %s", text);
  }
  return frame->type == type ? NEO_OK : unexpected(ctx, frame, "its own kind");
}

neo_status neo_board_hello(neo_ctx *ctx, int fd, const char *gpu, neo_hello *out, int timeout_ms) {
  neo_frame frame = {.type = NEO_MESSAGE_HELLO, .id = NEO_ID_QUESTION};
  neo_hello mine = {.pid = (uint32_t)getpid()};
  neo_hello_ask(&mine, gpu);
  neo_hello_encode(&frame.payload, &mine);
  neo_status status = exchange(ctx, fd, &frame, NEO_MESSAGE_HELLO, timeout_ms);
  if (status == NEO_OK)
    status = neo_hello_decode(ctx, (const uint8_t *)frame.payload.data, frame.payload.size, out);
  neo_buf_fini(&frame.payload);
  return status;
}

static neo_status put_one(neo_ctx *ctx, int fd, const neo_blob *blob, int timeout_ms) {
  neo_frame frame = {.type = NEO_MESSAGE_BLOB_PUT, .id = NEO_ID_BLOB};
  if (blob->size > NEO_FRAME_MAX - 32)
    return neo_fail(ctx, NEO_UNSUPPORTED, "board: a blob of %zu bytes, frames hold %u", blob->size,
                    NEO_FRAME_MAX - 32);
  neo_buf_append(&frame.payload, blob->key, 32);
  neo_status status = neo_frame_send_more(ctx, fd, &frame, blob->data, blob->size, timeout_ms);
  neo_buf_fini(&frame.payload);
  return status;
}

static neo_status put_missing(neo_ctx *ctx, int fd, int n, const neo_blob *blob,
                              const neo_frame *have, int timeout_ms) {
  if (have->payload.size != (size_t)n)
    return neo_fail(ctx, NEO_UNREACHABLE, "board: told of %zu blobs, asked for %d",
                    have->payload.size, n);
  for (int i = 0; i < n; i++)
    if (!have->payload.data[i])
      NEO_TRY(put_one(ctx, fd, &blob[i], timeout_ms));
  return NEO_OK;
}

neo_status neo_board_put(neo_ctx *ctx, int fd, int n, const neo_blob *blob, int timeout_ms) {
  neo_frame frame = {.type = NEO_MESSAGE_BLOB_HAVE, .id = NEO_ID_QUESTION};
  if (n == 0)
    return NEO_OK;
  neo_buf_u32le(&frame.payload, (uint32_t)n);
  for (int i = 0; i < n; i++)
    neo_buf_append(&frame.payload, blob[i].key, 32);
  neo_status status = exchange(ctx, fd, &frame, NEO_MESSAGE_BLOB_HAVE, timeout_ms);
  if (status == NEO_OK)
    status = put_missing(ctx, fd, n, blob, &frame, timeout_ms);
  neo_buf_fini(&frame.payload);
  return status;
}

neo_status neo_board_submit(neo_ctx *ctx, int fd, uint32_t id, const neo_job *job, int timeout_ms) {
  neo_frame frame = {.type = NEO_MESSAGE_JOB, .id = id};
  neo_job_encode(&frame.payload, job);
  neo_status status = neo_frame_send(ctx, fd, &frame, timeout_ms);
  neo_buf_fini(&frame.payload);
  return status;
}

neo_status neo_board_result(neo_ctx *ctx, int fd, uint32_t *out_id, neo_job_result *out,
                            int timeout_ms) {
  neo_frame frame = {0};
  neo_status status = receive(ctx, fd, &frame, neo_stream_deadline(ctx, timeout_ms));
  if (status == NEO_OK && frame.type == NEO_MESSAGE_RESULT)
    status =
        neo_job_result_decode(ctx, (const uint8_t *)frame.payload.data, frame.payload.size, out);
  else if (status == NEO_OK && frame.type == NEO_MESSAGE_ERROR) {
    memset(out, 0, sizeof(*out));
    out->outcome = NEO_OUTCOME_BOARD;
    error_text(&frame, out->text, sizeof(out->text));
  } else if (status == NEO_OK) {
    status = unexpected(ctx, &frame, "a result");
  }
  if (status == NEO_OK)
    *out_id = frame.id;
  neo_buf_fini(&frame.payload);
  return status;
}
