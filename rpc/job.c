/* The payloads of HELLO, JOB and RESULT frames; docs/formats/frames.md has the bytes.
 *
 * Every decoder checks counts, enumerations, sizes and texts, so that who uses the struct checks
 * nothing; a decoder reads exactly what its encoder writes, and bytes left over are an error. */
#include <math.h>
#include <string.h>

#include "rpc/rpc.h"
#include "runtime/device.h"

enum { MAX_THREADS = 1024, MAX_TIMEOUT_MS = 24 * 3600 * 1000 };
#define MAX_BYTES ((int64_t)1 << 40)

static void put_i64(neo_buf *out, int64_t v) {
  neo_buf_u64le(out, (uint64_t)v);
}
static int64_t get_i64(neo_reader *in) {
  return (int64_t)neo_read_u64le(in);
}

static void put_f64(neo_buf *out, double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof(bits));
  neo_buf_u64le(out, bits);
}

static double get_f64(neo_reader *in) {
  uint64_t bits = neo_read_u64le(in);
  double v;
  memcpy(&v, &bits, sizeof(v));
  return v;
}

void neo_rpc_put_text(neo_buf *out, const char *text, size_t size) {
  const char *end = memchr(text, '\0', size < 256 ? size : 256);
  size_t length = end ? (size_t)(end - text) : size - 1;
  neo_buf_u8(out, (uint8_t)length);
  neo_buf_append(out, text, length);
}

void neo_rpc_get_text(neo_reader *in, char *out, size_t size) {
  size_t length = neo_read_u8(in);
  const uint8_t *text = neo_read_bytes(in, length);
  if (in->failed || length >= size || memchr(text, '\0', length)) {
    in->failed = true;
    return;
  }
  memcpy(out, text, length);
  out[length] = '\0';
}

void neo_rpc_make_printable(char *text) {
  for (unsigned char *at = (unsigned char *)text; *at; at++)
    if (*at < ' ' || *at == 0x7f)
      *at = *at == '\n' || *at == '\t' ? ' ' : '?';
}

/* A blob key, or "" where that is allowed. */
static void get_key(neo_reader *in, bool required, char out[33]) {
  neo_rpc_get_text(in, out, 33);
  size_t length = strlen(out);
  if (in->failed || (length == 0 && !required))
    return;
  if (length != 32 || strspn(out, "0123456789abcdef") != 32)
    in->failed = true;
}

/* A name that an object file's table of symbols may have. */
static void get_symbol(neo_reader *in, char *out, size_t size) {
  neo_rpc_get_text(in, out, size);
  if (!in->failed && !*out)
    in->failed = true;
  for (const char *at = out; !in->failed && *at; at++)
    if (*at <= ' ' || *at > '~')
      in->failed = true;
}

static neo_status finished(neo_ctx *ctx, const neo_reader *in, const char *what) {
  if (in->failed || in->at != in->size)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: damaged near byte %zu of %zu", what, in->at, in->size);
  return NEO_OK;
}

/* ---- hello ------------------------------------------------------------------------------------- */

void neo_hello_encode(neo_buf *out, const neo_hello *hello) {
  neo_buf_u32le(out, NEO_HELLO_VERSION);
  neo_buf_u32le(out, hello->pid);
  neo_buf_u32le(out, hello->threads);
  put_f64(out, hello->bandwidth);
  neo_rpc_put_text(out, hello->cpu_model, sizeof(hello->cpu_model));
  neo_buf_u8(out, (uint8_t)hello->n_gpus);
  for (uint32_t g = 0; g < hello->n_gpus && g < NEO_MAX_GPUS; g++) {
    neo_rpc_put_text(out, hello->gpu[g].api, sizeof(hello->gpu[g].api));
    neo_rpc_put_text(out, hello->gpu[g].device, sizeof(hello->gpu[g].device));
  }
}

const char *neo_hello_device(const neo_hello *hello, const char *api) {
  for (uint32_t g = 0; g < hello->n_gpus; g++)
    if (strcmp(hello->gpu[g].api, api) == 0)
      return hello->gpu[g].device;
  return "";
}

void neo_hello_ask(neo_hello *hello, const char *gpu) {
  for (int k = 0; gpu && neo_device_api(k) && hello->n_gpus < NEO_MAX_GPUS; k++)
    if (!gpu[0] || strcmp(gpu, neo_device_api(k)) == 0)
      snprintf(hello->gpu[hello->n_gpus++].api, sizeof(hello->gpu[0].api), "%s", neo_device_api(k));
}

/* A word: names of GPUs go into targets' text. */
static void get_word(neo_reader *in, char *out, size_t size) {
  neo_rpc_get_text(in, out, size);
  for (const char *at = out; !in->failed && *at; at++)
    if (*at <= ' ' || *at > '~' || *at == ',')
      in->failed = true;
}

neo_status neo_hello_decode(neo_ctx *ctx, const uint8_t *data, size_t size, neo_hello *out) {
  neo_reader in = {.data = data, .size = size};
  uint32_t version = neo_read_u32le(&in);
  neo_hello hello = {0};
  if (!in.failed && version != NEO_HELLO_VERSION)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "hello: version %u, %d expected: both ends need the same Neo",
                    (unsigned)version, NEO_HELLO_VERSION);
  hello.pid = neo_read_u32le(&in);
  hello.threads = neo_read_u32le(&in);
  hello.bandwidth = get_f64(&in);
  neo_rpc_get_text(&in, hello.cpu_model, sizeof(hello.cpu_model));
  hello.n_gpus = neo_read_u8(&in);
  if (hello.n_gpus > NEO_MAX_GPUS)
    in.failed = true;
  for (uint32_t g = 0; !in.failed && g < hello.n_gpus; g++) {
    get_word(&in, hello.gpu[g].api, sizeof(hello.gpu[g].api));
    get_word(&in, hello.gpu[g].device, sizeof(hello.gpu[g].device));
  }
  NEO_TRY(finished(ctx, &in, "hello"));
  *out = hello;
  return NEO_OK;
}

/* ---- jobs -------------------------------------------------------------------------------------- */

static void put_kernel(neo_buf *out, const neo_job_kernel *k, uint32_t n_cases) {
  neo_rpc_put_text(out, k->object, sizeof(k->object));
  neo_rpc_put_text(out, k->symbol, sizeof(k->symbol));
  neo_buf_u32le(out, k->n_launches);
  for (uint32_t i = 0; i < k->n_launches && i < NEO_JOB_MAX_LAUNCHES; i++)
    put_i64(out, k->grid[i]);
  neo_buf_u32le(out, k->n_buffers);
  for (uint32_t i = 0; i < k->n_buffers && i < NEO_JOB_MAX_BUFFERS; i++) {
    neo_buf_u8(out, k->role[i]);
    neo_buf_u8(out, k->dtype[i]);
    put_i64(out, k->bytes[i]);
    for (uint32_t c = 0; c < n_cases && c < NEO_JOB_MAX_CASES; c++)
      neo_rpc_put_text(out, k->data[c][i], sizeof(k->data[c][i]));
  }
  put_i64(out, k->work_bytes);
  put_i64(out, k->scratch_bytes);
}

static void put_policy(neo_buf *out, const neo_timing_policy *p) {
  put_f64(out, p->min_batch_ns);
  put_f64(out, p->max_total_ns);
  put_f64(out, p->race_factor);
  put_f64(out, p->confidence);
  put_f64(out, p->settled);
  put_f64(out, p->thorough);
  neo_buf_u32le(out, (uint32_t)p->min_batches);
  neo_buf_u32le(out, (uint32_t)p->max_batches);
  neo_buf_u32le(out, (uint32_t)p->cold);
}

void neo_job_encode(neo_buf *out, const neo_job *job) {
  neo_buf_u32le(out, job->kind);
  neo_buf_u32le(out, job->threads);
  neo_buf_u32le(out, job->pin);
  neo_buf_u32le(out, job->timeout_ms);
  neo_buf_u32le(out, job->n_cases);
  put_f64(out, job->rtol);
  put_f64(out, job->atol);
  put_policy(out, &job->timing);
  put_kernel(out, &job->kernel, job->n_cases);
  neo_buf_u32le(out, job->has_incumbent);
  if (job->has_incumbent)
    put_kernel(out, &job->incumbent, job->n_cases);
}

static bool in_range(int64_t v, int64_t low, int64_t high) {
  return v >= low && v <= high;
}

static neo_status wrong(neo_ctx *ctx, const char *what, double value) {
  return neo_fail(ctx, NEO_BAD_INPUT, "job: %s is %g: out of range", what, value);
}

static neo_status get_buffer(neo_ctx *ctx, neo_reader *in, neo_job_kernel *k, uint32_t i,
                             uint32_t n_cases) {
  k->role[i] = neo_read_u8(in);
  k->dtype[i] = neo_read_u8(in);
  k->bytes[i] = get_i64(in);
  for (uint32_t c = 0; c < n_cases; c++)
    get_key(in, false, k->data[c][i]);
  if (in->failed)
    return finished(ctx, in, "job");
  /* A string is a pointer of this process: no bytes of another one are any. */
  size_t size = neo_rt_dtype_is_text(k->dtype[i]) ? 0 : neo_rt_dtype_size(k->dtype[i]);
  if (k->role[i] > 2 || !size)
    return wrong(ctx, "a buffer's role or type", k->role[i] > 2 ? k->role[i] : k->dtype[i]);
  if (!in_range(k->bytes[i], 0, MAX_BYTES) || k->bytes[i] % (int64_t)size)
    return wrong(ctx, "a buffer's size", (double)k->bytes[i]);
  return NEO_OK;
}

static neo_status get_kernel(neo_ctx *ctx, neo_reader *in, neo_job_kernel *k, uint32_t n_cases) {
  get_key(in, true, k->object);
  get_symbol(in, k->symbol, sizeof(k->symbol));
  k->n_launches = neo_read_u32le(in);
  if (in->failed || !in_range(k->n_launches, 1, NEO_JOB_MAX_LAUNCHES))
    return in->failed ? finished(ctx, in, "job") : wrong(ctx, "number of launches", k->n_launches);
  for (uint32_t i = 0; i < k->n_launches; i++) {
    k->grid[i] = get_i64(in);
    if (!in_range(k->grid[i], 0, MAX_BYTES))
      return wrong(ctx, "grid", (double)k->grid[i]);
  }
  k->n_buffers = neo_read_u32le(in);
  if (k->n_buffers > NEO_JOB_MAX_BUFFERS)
    return wrong(ctx, "number of buffers", k->n_buffers);
  for (uint32_t i = 0; i < k->n_buffers; i++)
    NEO_TRY(get_buffer(ctx, in, k, i, n_cases));
  k->work_bytes = get_i64(in);
  k->scratch_bytes = get_i64(in);
  if (!in_range(k->work_bytes, 0, MAX_BYTES) || !in_range(k->scratch_bytes, 0, MAX_BYTES))
    return wrong(ctx, "work or scratch size", (double)k->work_bytes);
  return NEO_OK;
}

static neo_status get_policy(neo_ctx *ctx, neo_reader *in, neo_timing_policy *p) {
  p->min_batch_ns = get_f64(in);
  p->max_total_ns = get_f64(in);
  p->race_factor = get_f64(in);
  p->confidence = get_f64(in);
  p->settled = get_f64(in);
  p->thorough = get_f64(in);
  p->min_batches = (int)(neo_read_u32le(in) & INT32_MAX);
  p->max_batches = (int)(neo_read_u32le(in) & INT32_MAX);
  p->cold = neo_read_u32le(in) != 0;
  const double fields[] = {p->min_batch_ns, p->max_total_ns, p->race_factor,
                           p->confidence,   p->settled,      p->thorough};
  for (int i = 0; i < NEO_COUNT(fields); i++)
    if (!(fields[i] >= 0 && fields[i] < 1e15))
      return wrong(ctx, "a field of the timing policy", fields[i]);
  return NEO_OK;
}

static neo_status get_head(neo_ctx *ctx, neo_reader *in, neo_job *job) {
  job->kind = neo_read_u32le(in);
  job->threads = neo_read_u32le(in);
  job->pin = neo_read_u32le(in);
  job->timeout_ms = neo_read_u32le(in);
  job->n_cases = neo_read_u32le(in);
  job->rtol = get_f64(in);
  job->atol = get_f64(in);
  if (in->failed)
    return finished(ctx, in, "job");
  if (job->kind != NEO_JOB_RUN && job->kind != NEO_JOB_MEASURE)
    return wrong(ctx, "kind", job->kind);
  if (!in_range(job->threads, 1, MAX_THREADS))
    return wrong(ctx, "number of threads", job->threads);
  if (!in_range(job->timeout_ms, 1, MAX_TIMEOUT_MS))
    return wrong(ctx, "time-out", job->timeout_ms);
  if (!in_range(job->n_cases, 1, NEO_JOB_MAX_CASES))
    return wrong(ctx, "number of cases", job->n_cases);
  if (!(job->rtol >= 0 && job->rtol < 1e300) || !(job->atol >= 0 && job->atol < 1e300))
    return wrong(ctx, "a tolerance", job->rtol);
  return get_policy(ctx, in, &job->timing);
}

neo_status neo_job_decode(neo_ctx *ctx, const uint8_t *data, size_t size, neo_job *out) {
  neo_reader in = {.data = data, .size = size};
  memset(out, 0, sizeof(*out));
  NEO_TRY(get_head(ctx, &in, out));
  NEO_TRY(get_kernel(ctx, &in, &out->kernel, out->n_cases));
  out->has_incumbent = neo_read_u32le(&in);
  if (out->has_incumbent > 1)
    return wrong(ctx, "has_incumbent", out->has_incumbent);
  if (out->has_incumbent)
    NEO_TRY(get_kernel(ctx, &in, &out->incumbent, out->n_cases));
  return finished(ctx, &in, "job");
}

/* ---- results ------------------------------------------------------------------------------------- */

void neo_job_result_encode(neo_buf *out, const neo_job_result *r) {
  neo_buf_u32le(out, r->outcome);
  neo_buf_u32le(out, (uint32_t)r->signal);
  neo_rpc_put_text(out, r->phase, sizeof(r->phase));
  neo_rpc_put_text(out, r->text, sizeof(r->text));
  neo_buf_u32le(out, (uint32_t)r->verify.verdict);
  put_f64(out, r->verify.max_error);
  neo_buf_u32le(out, (uint32_t)r->verify.buffer);
  put_i64(out, r->verify.element);
  put_f64(out, r->verify.got);
  put_f64(out, r->verify.want);
  neo_buf_u32le(out, (uint32_t)r->timing.n);
  for (int i = 0; i < r->timing.n && i < NEO_MAX_REPEATS; i++) {
    put_f64(out, r->timing.ns[i]);
    put_f64(out, r->timing.base_ns[i]);
  }
  put_f64(out, r->timing.typical);
  put_f64(out, r->timing.base_typical);
  put_f64(out, r->timing.ratio);
  neo_buf_u32le(out, (uint32_t)r->timing.raced);
  put_f64(out, r->board_ns);
  neo_buf_u32le(out, r->n_outputs);
  for (uint32_t i = 0; i < r->n_outputs && i < NEO_JOB_MAX_BUFFERS; i++) {
    neo_buf_u64le(out, r->output[i].size);
    neo_buf_append(out, r->output[i].data, r->output[i].size);
    out->failed = out->failed || r->output[i].failed;
  }
}

static neo_status get_timing(neo_ctx *ctx, neo_reader *in, neo_timing *t) {
  uint32_t n = neo_read_u32le(in);
  if (n > NEO_MAX_REPEATS)
    return neo_fail(ctx, NEO_BAD_INPUT, "result: %u repeats", (unsigned)n);
  t->n = (int)n;
  for (uint32_t i = 0; i < n; i++) {
    t->ns[i] = get_f64(in);
    t->base_ns[i] = get_f64(in);
  }
  t->typical = get_f64(in);
  t->base_typical = get_f64(in);
  t->ratio = get_f64(in);
  t->raced = neo_read_u32le(in) != 0;
  return NEO_OK;
}

static neo_status get_outputs(neo_ctx *ctx, neo_reader *in, neo_job_result *r) {
  uint32_t n = neo_read_u32le(in);
  if (n > NEO_JOB_MAX_BUFFERS)
    return neo_fail(ctx, NEO_BAD_INPUT, "result: %u outputs", (unsigned)n);
  for (uint32_t i = 0; i < n; i++) {
    uint64_t size = neo_read_u64le(in);
    const uint8_t *bytes = neo_read_bytes(in, size);
    if (in->failed)
      return finished(ctx, in, "result");
    neo_buf_append(&r->output[i], bytes, size);
    r->n_outputs = i + 1;
    if (r->output[i].failed)
      return neo_fail(ctx, NEO_NO_MEMORY, "result: out of memory for its outputs");
  }
  return NEO_OK;
}

static neo_status get_result(neo_ctx *ctx, neo_reader *in, neo_job_result *r) {
  r->outcome = neo_read_u32le(in);
  r->signal = (int32_t)neo_read_u32le(in);
  neo_rpc_get_text(in, r->phase, sizeof(r->phase));
  neo_rpc_get_text(in, r->text, sizeof(r->text));
  neo_rpc_make_printable(r->phase);
  neo_rpc_make_printable(r->text);
  uint32_t verdict = neo_read_u32le(in);
  r->verify.max_error = get_f64(in);
  r->verify.buffer = (int)neo_read_u32le(in);
  r->verify.element = get_i64(in);
  r->verify.got = get_f64(in);
  r->verify.want = get_f64(in);
  if (r->outcome > NEO_OUTCOME_BOARD || verdict > NEO_VERDICT_FAILED)
    return neo_fail(ctx, NEO_BAD_INPUT, "result: outcome %u, verdict %u", (unsigned)r->outcome,
                    (unsigned)verdict);
  r->verify.verdict = (neo_verdict)verdict;
  NEO_TRY(get_timing(ctx, in, &r->timing));
  r->board_ns = get_f64(in);
  NEO_TRY(get_outputs(ctx, in, r));
  return finished(ctx, in, "result");
}

neo_status neo_job_result_decode(neo_ctx *ctx, const uint8_t *data, size_t size,
                                 neo_job_result *out) {
  neo_reader in = {.data = data, .size = size};
  memset(out, 0, sizeof(*out));
  neo_status status = get_result(ctx, &in, out);
  if (status != NEO_OK)
    neo_job_result_fini(out);
  return status;
}

void neo_job_result_fini(neo_job_result *result) {
  for (int i = 0; i < NEO_JOB_MAX_BUFFERS; i++)
    neo_buf_fini(&result->output[i]);
  result->n_outputs = 0;
}
