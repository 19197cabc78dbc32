/* Payloads of jobs, results and hellos: round trips, damaged bytes, refused fields, failed
 * allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/rpc.h"
#include "runtime/dtype.h"
#include "tests/fail_malloc.h"

static const char key[] = "0123456789abcdef0123456789abcdef";

static void fill_kernel(neo_job_kernel *k, uint32_t n_cases) {
  memcpy(k->object, key, 33);
  k->symbol[0] = 'k';
  k->n_launches = 2;
  k->grid[0] = 7;
  k->grid[1] = 1;
  k->n_buffers = 3;
  k->role[2] = 1;
  k->dtype[1] = 7;
  for (int i = 0; i < 3; i++)
    k->bytes[i] = 8 * (i + 1);
  for (uint32_t c = 0; c < n_cases; c++)
    for (int i = 0; i < 2; i++)
      memcpy(k->data[c][i], key, 33);
  k->work_bytes = 64;
  k->scratch_bytes = 32;
}

static void sample(neo_job *job) {
  memset(job, 0, sizeof(*job));
  *job = (neo_job){.kind = NEO_JOB_MEASURE,
                   .threads = 2,
                   .pin = 1,
                   .timeout_ms = 500,
                   .n_cases = 3,
                   .rtol = 1e-3,
                   .atol = 0,
                   .has_incumbent = 1};
  job->timing = (neo_timing_policy){1e5, 1e8, 3, 0.01, 3, 20, 1};
  fill_kernel(&job->kernel, 3);
  fill_kernel(&job->incumbent, 1);
}

static void job_round_trip(void **state) {
  (void)state;
  static neo_job job, got;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf bytes = {0};
  sample(&job);
  neo_job_encode(&bytes, &job);
  assert_int_equal(neo_job_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, &got), NEO_OK);
  assert_memory_equal(&job, &got, sizeof(job));
  neo_buf_fini(&bytes);
}

static neo_status decode_job(const neo_buf *bytes, size_t size) {
  static neo_job got;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  uint8_t *exact = malloc(size ? size : 1);
  memcpy(exact, bytes->data, size);
  neo_status status = neo_job_decode(&ctx, exact, size, &got);
  free(exact);
  assert_true(status == NEO_OK || ctx.message[0]);
  return status;
}

static void damaged_jobs(void **state) {
  (void)state;
  static neo_job job;
  neo_buf bytes = {0};
  sample(&job);
  neo_job_encode(&bytes, &job);
  for (size_t size = 0; size < bytes.size; size++)
    assert_int_equal(decode_job(&bytes, size), NEO_BAD_INPUT);
  for (size_t i = 0; i < bytes.size; i++)
    for (int mask = 1; mask < 256; mask = mask * 2 + 1) {
      bytes.data[i] ^= (char)mask;
      decode_job(&bytes, bytes.size);
      bytes.data[i] ^= (char)mask;
    }
  neo_buf_u8(&bytes, 0);
  assert_int_equal(decode_job(&bytes, bytes.size), NEO_BAD_INPUT); /* one byte too many */
  neo_buf_fini(&bytes);
}

#define REFUSED(change)                                                                            \
  do {                                                                                             \
    static neo_job job;                                                                            \
    neo_buf bytes = {0};                                                                           \
    sample(&job);                                                                                  \
    change;                                                                                        \
    neo_job_encode(&bytes, &job);                                                                  \
    assert_int_equal(decode_job(&bytes, bytes.size), NEO_BAD_INPUT);                               \
    neo_buf_fini(&bytes);                                                                          \
  } while (0)

static void refuses_what_is_out_of_range(void **state) {
  (void)state;
  REFUSED(job.kind = 3);
  REFUSED(job.threads = 0);
  REFUSED(job.threads = 5000);
  REFUSED(job.timeout_ms = 0);
  REFUSED(job.n_cases = 0);
  REFUSED(job.n_cases = 5);
  REFUSED(job.rtol = -1);
  REFUSED(job.atol = (double)NAN);
  REFUSED(job.timing.race_factor = -1);
  REFUSED(job.timing.min_batch_ns = (double)INFINITY);
  REFUSED(job.kernel.object[0] = 'X');
  REFUSED(job.kernel.object[0] = '\0');
  REFUSED(job.kernel.n_launches = 0);
  REFUSED(job.kernel.n_launches = 65);
  REFUSED(job.kernel.grid[1] = -1);
  REFUSED(job.kernel.n_buffers = 65);
  REFUSED(job.kernel.role[1] = 3);
  REFUSED(job.kernel.dtype[1] = 100);
  REFUSED(job.kernel.dtype[0] = NEO_RT_STR);
  REFUSED(job.kernel.symbol[0] = '\0');
  REFUSED(job.kernel.symbol[0] = '\n');
  REFUSED(job.kernel.bytes[0] = -8);
  REFUSED(job.kernel.bytes[1] = 12); /* not a number of i64 */
  REFUSED(job.kernel.work_bytes = -1);
  REFUSED(job.kernel.scratch_bytes = INT64_MAX);
  REFUSED(job.kernel.data[2][0][31] = '\0');
  REFUSED(job.has_incumbent = 2);
  REFUSED(job.incumbent.n_launches = 0);
}

static void fill_result(neo_job_result *r) {
  *r = (neo_job_result){.outcome = NEO_OUTCOME_VERDICT,
                        .signal = 11,
                        .phase = "verify",
                        .text = "a text",
                        .board_ns = 1e6,
                        .n_outputs = 3};
  r->verify = (neo_verify_result){NEO_VERDICT_STALE, 2.5, 3, 77, 1.5, -1.5};
  r->timing = (neo_timing){
      .n = 2, .ns = {5, 6}, .base_ns = {7, 8}, .typical = 5.5, .ratio = 0.7, .raced = 1};
  neo_buf_text(&r->output[0], "first");
  neo_buf_text(&r->output[2], "third, longer");
}

static void result_round_trip(void **state) {
  (void)state;
  static neo_job_result r, got;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf bytes = {0}, again = {0};
  fill_result(&r);
  neo_job_result_encode(&bytes, &r);
  assert_int_equal(neo_job_result_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, &got),
                   NEO_OK);
  assert_string_equal(got.text, "a text");
  assert_int_equal(got.verify.element, 77);
  assert_true(got.timing.base_ns[1] == 8 && got.timing.raced == 1 && got.signal == 11);
  assert_int_equal(got.n_outputs, 3);
  assert_string_equal(got.output[2].data, "third, longer");
  assert_int_equal(got.output[1].size, 0);
  neo_job_result_encode(&again, &got);
  assert_int_equal(bytes.size, again.size);
  assert_memory_equal(bytes.data, again.data, bytes.size);
  neo_job_result_fini(&got);
  again.size = 0; /* what would move a cursor does not come through */
  snprintf(r.text, sizeof r.text, "up\033[A\na \302\265s");
  neo_job_result_encode(&again, &r);
  assert_int_equal(neo_job_result_decode(&ctx, (const uint8_t *)again.data, again.size, &got),
                   NEO_OK);
  assert_string_equal(got.text, "up?[A a \302\265s");
  neo_job_result_fini(&got);
  for (size_t i = 0; i < bytes.size; i++) {
    bytes.data[i] ^= (char)0x81;
    if (neo_job_result_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, &got) == NEO_OK)
      neo_job_result_fini(&got);
    bytes.data[i] ^= (char)0x81;
    assert_int_not_equal(neo_job_result_decode(&ctx, (const uint8_t *)bytes.data, i, &got), NEO_OK);
  }
  neo_job_result_fini(&r);
  neo_buf_fini(&bytes);
  neo_buf_fini(&again);
}

static void hello_round_trip(void **state) {
  (void)state;
  neo_hello hello = {
      4711, 8, 22.5, "Some Processor 9000", 2, {{"opencl", ""}, {"cuda", "T4/sm_75"}}};
  neo_hello got;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_buf bytes = {0};
  neo_hello_encode(&bytes, &hello);
  assert_int_equal(neo_hello_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, &got), NEO_OK);
  assert_true(got.pid == 4711 && got.threads == 8 && got.bandwidth == 22.5);
  assert_string_equal(got.cpu_model, hello.cpu_model);
  assert_string_equal(neo_hello_device(&got, "cuda"), "T4/sm_75");
  assert_string_equal(neo_hello_device(&got, "opencl"), "");
  assert_string_equal(neo_hello_device(&got, "other"), "");
  for (size_t size = 0; size < bytes.size; size++)
    assert_int_equal(neo_hello_decode(&ctx, (const uint8_t *)bytes.data, size, &got),
                     NEO_BAD_INPUT);
  neo_ctx_clear(&ctx);
  bytes.data[0]--; /* an older Neo's */
  assert_int_equal(neo_hello_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, &got),
                   NEO_BAD_INPUT);
  assert_non_null(strstr(ctx.message, "both ends need the same Neo"));
  neo_ctx_clear(&ctx);
  bytes.size = 0; /* a name is a word of a target's text */
  snprintf(hello.gpu[1].device, sizeof hello.gpu[1].device, "T4 sm_75");
  neo_hello_encode(&bytes, &hello);
  assert_int_equal(neo_hello_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, &got),
                   NEO_BAD_INPUT);
  bytes.size = 0;
  hello.n_gpus = NEO_MAX_GPUS + 1;
  neo_hello_encode(&bytes, &hello);
  assert_int_equal(neo_hello_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, &got),
                   NEO_BAD_INPUT);
  neo_buf_fini(&bytes);
}

static void survives_failed_allocations(void **state) {
  (void)state;
  static neo_job_result r, got;
  neo_buf bytes = {0};
  fill_result(&r);
  neo_job_result_encode(&bytes, &r);
  int failures = 0;
  for (long n = 1;; n++) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    neo_fail_malloc_at(n);
    neo_status status = neo_job_result_decode(&ctx, (const uint8_t *)bytes.data, bytes.size, &got);
    bool failed = neo_fail_malloc_count() > 0;
    neo_fail_malloc_at(0);
    if (status == NEO_OK)
      neo_job_result_fini(&got);
    assert_int_equal(status, failed ? NEO_NO_MEMORY : NEO_OK);
    failures += failed;
    if (!failed)
      break;
  }
  assert_true(failures >= 2);
  neo_job_result_fini(&r);
  neo_buf_fini(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(job_round_trip),
      cmocka_unit_test(damaged_jobs),
      cmocka_unit_test(refuses_what_is_out_of_range),
      cmocka_unit_test(result_round_trip),
      cmocka_unit_test(hello_round_trip),
      cmocka_unit_test(survives_failed_allocations),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
