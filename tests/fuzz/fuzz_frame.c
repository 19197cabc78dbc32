/* Fuzz target: frames, and the payloads of hello, jobs, results, join and welcome, as the bytes are
 * and with length and checksum made right. A payload that is accepted must be what its encoder
 * writes. */

#include "rpc/net.h"
#include "tests/fuzz/fuzz_target.h"

static void put_le(uint8_t *at, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++)
    at[i] = (uint8_t)(v >> (8 * i));
}

static void check_same(const neo_buf *again, const uint8_t *data, size_t size) {
  neo_assert(!again->failed && again->size == size && memcmp(again->data, data, size) == 0);
}

static void decode_job(neo_ctx *ctx, const uint8_t *data, size_t size) {
  neo_job *job = malloc(sizeof(*job)), *again = malloc(sizeof(*again));
  neo_buf first = {0}, second = {0};
  if (job && again && neo_job_decode(ctx, data, size, job) == NEO_OK) {
    neo_job_encode(&first, job); /* flags are normalised: compared from the second time on */
    neo_assert(neo_job_decode(ctx, (const uint8_t *)first.data, first.size, again) == NEO_OK);
    neo_job_encode(&second, again);
    check_same(&second, (const uint8_t *)first.data, first.size);
  }
  neo_buf_fini(&first);
  neo_buf_fini(&second);
  free(job);
  free(again);
}

static void decode_net(neo_ctx *ctx, const uint8_t *data, size_t size) {
  neo_net_join join;
  neo_net_welcome welcome;
  neo_buf bytes = {0};
  if (neo_net_join_decode(ctx, data, size, &join) == NEO_OK) {
    neo_net_join_encode(&bytes, &join);
    check_same(&bytes, data, size);
  }
  neo_buf_clear(&bytes);
  if (neo_net_welcome_decode(ctx, data, size, &welcome) == NEO_OK) {
    neo_net_welcome_encode(&bytes, &welcome);
    check_same(&bytes, data, size);
  }
  neo_buf_fini(&bytes);
}

static void decode_payload(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_hello hello;
  neo_job_result result;
  neo_ctx_init(&ctx, 1);
  decode_job(&ctx, data, size);
  decode_net(&ctx, data, size);
  neo_buf bytes = {0};
  if (neo_hello_decode(&ctx, data, size, &hello) == NEO_OK) {
    neo_hello_encode(&bytes, &hello);
    check_same(&bytes, data, size);
  }
  neo_buf_clear(&bytes);
  if (neo_job_result_decode(&ctx, data, size, &result) == NEO_OK) {
    neo_job_result_encode(&bytes, &result);
    neo_assert(bytes.size == size);
    neo_job_result_fini(&result);
  }
  neo_buf_fini(&bytes);
}

static void parse(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_frame frame = {0};
  size_t at = 0, used = 0;
  bool done = true;
  while (done && neo_frame_parse(&ctx, data + at, size - at, &used, &frame, &done) == NEO_OK &&
         done) {
    decode_payload((const uint8_t *)frame.payload.data, frame.payload.size);
    at += used;
  }
  neo_buf_fini(&frame.payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  parse(data, size);
  uint8_t *copy = size >= NEO_FRAME_HEADER ? malloc(size) : NULL;
  if (!copy)
    return 0;
  memcpy(copy, data, size);
  put_le(copy + 12, size - NEO_FRAME_HEADER, 4);
  uint32_t crc =
      neo_crc32(neo_crc32(0, copy, 16), copy + NEO_FRAME_HEADER, size - NEO_FRAME_HEADER);
  put_le(copy + 16, crc, 4);
  parse(copy, size);
  free(copy);
  return 0;
}
