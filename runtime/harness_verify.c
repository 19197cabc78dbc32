/* Verification of a kernel: candidates cannot lie.
 *
 * Algorithm, for cases a, b, ... (data seeds), each run with red zones and inputs checked
 * afterwards: pass 1  a b ...  everything the kernel may write is poisoned; outputs are compared
 * with the reference pass 2  a b ...  poisoned with another byte; outputs must be the same bits as
 * in pass 1 pass 3  a b ...  outputs poisoned, work and scratch left as pass 2 made them (as in
 * timing): same bits again With one case only, a run over rotated inputs stands between the passes,
 * so that inputs always change. A kernel that reads what it should write differs between 1 and 2,
 * one that leaves an element unwritten too; one that keeps results in work or scratch differs in 3;
 * one that knows its data fails on b.
 *
 * When pass 1 finds a difference, one more run with the other poison tells whether the element
 * depends on what was there before (STALE) or is plainly WRONG. */
#include <math.h>
#include <string.h>

#include "runtime/dtype.h"
#include "runtime/harness.h"

enum { POISON_A = 0xff, POISON_B = 0x4b, POISON_C = 0x2a }; /* NaN; 1.3e7; 1.5e-13 as f32 */

typedef struct verifier {
  neo_ctx *ctx;
  neo_pool *pool;
  neo_harness_memory *memory;
  const neo_verify_options *options;
  const void **loaded; /* by buffer: where the input's content came from; NULL: changed */
  char *saved;         /* outputs of pass 1, case after case */
  size_t saved_per_case;
  neo_verify_result result;
} verifier;

static int64_t elements_of(const verifier *v, int buffer) {
  return v->memory->kernel.bytes[buffer] / (int64_t)neo_rt_dtype_size(v->options->dtype[buffer]);
}

static bool is_output(const verifier *v, int buffer) {
  return v->options->role[buffer] == 1;
}

/* ---- checks of what the caller gave ------------------------------------------------------------ */

static neo_status check_buffer(verifier *v, const neo_verify_case *c, int i) {
  size_t size = neo_rt_dtype_size(v->options->dtype[i]), bytes = (size_t)v->memory->kernel.bytes[i];
  if (!size || bytes % size || v->options->role[i] > 2)
    return neo_fail(v->ctx, NEO_BAD_INPUT,
                    "harness: buffer %d of %zu bytes has type %d and role %d", i, bytes,
                    v->options->dtype[i], v->options->role[i]);
  size_t given = c->data[i] ? c->size[i] : 0, count = bytes / size;
  bool fits =
      is_output(v, i) ? given == 0 || given == 4 * count || given == 8 * count : given == bytes;
  if (!fits)
    return neo_fail(v->ctx, NEO_BAD_INPUT,
                    "harness: buffer %d has %zu elements, its data %zu bytes", i, count, given);
  return NEO_OK;
}

static neo_status check_options(verifier *v) {
  const neo_verify_options *o = v->options;
  if (o->n_cases < 1 || !(o->rtol >= 0) || !(o->atol >= 0))
    return neo_fail(v->ctx, NEO_BAD_INPUT, "harness: %d cases, rtol %g, atol %g", o->n_cases,
                    o->rtol, o->atol);
  for (int c = 0; c < o->n_cases; c++)
    for (int i = 0; i < v->memory->kernel.n_buffers; i++)
      NEO_TRY(check_buffer(v, &o->cases[c], i));
  return NEO_OK;
}

/* ---- one run -------------------------------------------------------------------------------------- */

static void load_inputs(verifier *v, const neo_verify_case *c) {
  for (int i = 0; i < v->memory->kernel.n_buffers; i++) {
    if (is_output(v, i) || v->loaded[i] == c->data[i])
      continue;
    neo_harness_load(v->memory, i, c->data[i]);
    v->loaded[i] = c->data[i];
  }
}

/* Every input shifted by one element: other data with the same range of values (indices stay
 * indices). */
static void rotate_inputs(verifier *v) {
  for (int i = 0; i < v->memory->kernel.n_buffers; i++) {
    size_t size = neo_rt_dtype_size(v->options->dtype[i]),
           bytes = (size_t)v->memory->kernel.bytes[i];
    if (is_output(v, i) || bytes <= size || neo_harness_borrows(v->memory, i))
      continue;
    char first[16], *data = v->memory->buf[i];
    memcpy(first, data, size);
    memmove(data, data + size, bytes - size);
    memcpy(data + bytes - size, first, size);
    v->loaded[i] = NULL;
  }
}

static void poison(verifier *v, int byte, bool keep_work) {
  const neo_harness_memory *m = v->memory;
  for (int i = 0; i < m->n_areas; i++) {
    bool buffer = i < m->kernel.n_buffers;
    if ((buffer && is_output(v, i)) || (!buffer && !keep_work))
      memset(m->area[i].start, byte, m->area[i].bytes);
  }
}

static bool verdict(verifier *v, neo_verdict verdict_, int buffer, int64_t element) {
  v->result.verdict = verdict_;
  v->result.buffer = buffer;
  v->result.element = element;
  return false;
}

static bool inputs_intact(verifier *v, const neo_verify_case *c) {
  for (int i = 0; i < v->memory->kernel.n_buffers; i++) {
    if (is_output(v, i) || v->loaded[i] != c->data[i])
      continue;
    const uint8_t *is = v->memory->buf[i], *was = c->data[i];
    size_t bytes = (size_t)v->memory->kernel.bytes[i], at = 0;
    if (bytes == 0 || is == was || memcmp(is, was, bytes) == 0)
      continue;
    while (is[at] == was[at])
      at++;
    return verdict(v, NEO_VERDICT_REDZONE, i,
                   (int64_t)(at / neo_rt_dtype_size(v->options->dtype[i])));
  }
  return true;
}

/* Runs once; false with a verdict if the kernel failed or wrote where it must not. */
static bool run(verifier *v, const neo_verify_case *c, int byte, bool keep_work) {
  int buffer;
  load_inputs(v, c);
  poison(v, byte, keep_work);
  int32_t code = neo_harness_memory_run(v->memory, v->pool);
  if (!neo_harness_memory_intact(v->memory, &buffer))
    return verdict(v, NEO_VERDICT_REDZONE, buffer, 0);
  if (code) {
    v->result.got = code;
    return verdict(v, NEO_VERDICT_FAILED, 0, 0);
  }
  return inputs_intact(v, c);
}

/* A run whose results do not count: other inputs than before and after. */
static void run_between(verifier *v) {
  rotate_inputs(v);
  poison(v, POISON_C, false);
  neo_harness_memory_run(v->memory, v->pool);
}

/* ---- comparing -------------------------------------------------------------------------------------- */

static double reference(const neo_verify_case *c, int buffer, int64_t count, int64_t i) {
  if (c->size[buffer] == 8 * (size_t)count)
    return ((const double *)c->data[buffer])[i];
  return (double)((const float *)c->data[buffer])[i];
}

/* |got - want| in units of the tolerance. */
static double error_of(const neo_verify_options *o, double got, double want) {
  if (got == want)
    return 0;
  double difference = fabs(got - want), tolerance = o->atol + o->rtol * fabs(want);
  if (!(difference < (double)INFINITY) || tolerance == 0)
    return (double)INFINITY;
  return difference / tolerance;
}

static bool compare_output(verifier *v, const neo_verify_case *c, int buffer) {
  int64_t count = elements_of(v, buffer);
  int dtype = v->options->dtype[buffer];
  const void *data = v->memory->buf[buffer];
  for (int64_t i = 0; i < count; i++) {
    double want = reference(c, buffer, count, i);
    double got =
        dtype == NEO_RT_F32 ? (double)((const float *)data)[i] : neo_rt_element(data, dtype, i);
    double difference = fabs(got - want);
    if (difference <= v->result.max_error * v->options->atol || want != want)
      continue; /* not worse than the worst so far, or not to be compared */
    double error = error_of(v->options, got, want);
    if (error > v->result.max_error)
      v->result.max_error = error;
    if (!(error <= 1) && v->result.verdict == NEO_VERDICT_OK) {
      v->result.got = got;
      v->result.want = want;
      verdict(v, NEO_VERDICT_WRONG, buffer, i);
    }
  }
  return v->result.verdict == NEO_VERDICT_OK;
}

static bool compare_reference(verifier *v, const neo_verify_case *c) {
  for (int i = 0; i < v->memory->kernel.n_buffers; i++)
    if (is_output(v, i) && c->data[i] && c->size[i] && !compare_output(v, c, i))
      return false;
  return true;
}

/* After a wrong element: does it depend on what was there before? */
static void classify(verifier *v, const neo_verify_case *c) {
  int buffer = v->result.buffer;
  size_t size = neo_rt_dtype_size(v->options->dtype[buffer]);
  const char *element = (const char *)v->memory->buf[buffer] + (size_t)v->result.element * size;
  char before[16];
  memcpy(before, element, size);
  load_inputs(v, c);
  poison(v, POISON_B, false);
  if (neo_harness_memory_run(v->memory, v->pool) == 0 && memcmp(before, element, size) != 0)
    v->result.verdict = NEO_VERDICT_STALE;
}

static bool same_bits(verifier *v, const neo_verify_case *c, int buffer, const char *saved) {
  const char *data = v->memory->buf[buffer];
  size_t bytes = (size_t)v->memory->kernel.bytes[buffer],
         size = neo_rt_dtype_size(v->options->dtype[buffer]);
  if (!c->data[buffer] || !c->size[buffer] || memcmp(data, saved, bytes) == 0)
    return true;
  int64_t count = elements_of(v, buffer);
  for (int64_t i = 0; i < count; i++) {
    double want = reference(c, buffer, count, i);
    if (want != want || memcmp(data + (size_t)i * size, saved + (size_t)i * size, size) == 0)
      continue;
    v->result.got = neo_rt_element(data, v->options->dtype[buffer], i);
    v->result.want = neo_rt_element(saved, v->options->dtype[buffer], i);
    return verdict(v, NEO_VERDICT_STALE, buffer, i);
  }
  return true;
}

static bool compare_saved(verifier *v, int c) {
  const char *saved = v->saved + (size_t)c * v->saved_per_case;
  for (int i = 0; i < v->memory->kernel.n_buffers; i++) {
    if (!is_output(v, i))
      continue;
    if (!same_bits(v, &v->options->cases[c], i, saved))
      return false;
    saved += v->memory->kernel.bytes[i];
  }
  return true;
}

static void save_outputs(verifier *v, int c) {
  char *saved = v->saved + (size_t)c * v->saved_per_case;
  for (int i = 0; i < v->memory->kernel.n_buffers; i++) {
    if (!is_output(v, i) || !v->memory->kernel.bytes[i])
      continue;
    memcpy(saved, v->memory->buf[i], (size_t)v->memory->kernel.bytes[i]);
    saved += v->memory->kernel.bytes[i];
  }
}

/* ---- the passes ---------------------------------------------------------------------------------------- */

static bool first_pass(verifier *v) {
  for (int c = 0; c < v->options->n_cases; c++) {
    const neo_verify_case *from = &v->options->cases[c];
    if (!run(v, from, POISON_A, false))
      return false;
    if (!compare_reference(v, from)) {
      classify(v, from);
      return false;
    }
    save_outputs(v, c);
  }
  return true;
}

static bool repeat_pass(verifier *v, int byte, bool keep_work) {
  if (v->options->n_cases == 1)
    run_between(v);
  for (int c = 0; c < v->options->n_cases; c++)
    if (!run(v, &v->options->cases[c], byte, keep_work) || !compare_saved(v, c))
      return false;
  return true;
}

static neo_status prepare(verifier *v) {
  NEO_TRY(check_options(v));
  v->loaded = neo_alloc(v->ctx, (size_t)v->memory->kernel.n_buffers * sizeof(*v->loaded));
  for (int i = 0; i < v->memory->kernel.n_buffers; i++)
    if (is_output(v, i))
      v->saved_per_case += (size_t)v->memory->kernel.bytes[i];
  if (!v->loaded)
    return neo_fail(v->ctx, NEO_NO_MEMORY, "harness: out of memory");
  return NEO_OK;
}

static neo_status prepare_saved(verifier *v) {
  size_t size;
  if (neo_mul_size(v->saved_per_case, (size_t)v->options->n_cases, &size))
    v->saved = neo_resize(v->ctx, NULL, size ? size : 1);
  if (!v->saved)
    return neo_fail(v->ctx, NEO_NO_MEMORY, "harness: out of memory for outputs");
  return NEO_OK;
}

static void finish(verifier *v) {
  neo_free(v->ctx, (void *)v->loaded);
  neo_free(v->ctx, v->saved);
}

neo_status neo_harness_verify(neo_ctx *ctx, neo_pool *pool, neo_harness_memory *memory,
                              const neo_verify_options *options, neo_verify_result *out) {
  verifier v = {.ctx = ctx, .pool = pool, .memory = memory, .options = options};
  neo_status status = prepare(&v);
  if (status == NEO_OK)
    status = prepare_saved(&v);
  if (status == NEO_OK) {
    if (first_pass(&v) && !options->brief && repeat_pass(&v, POISON_B, false))
      repeat_pass(&v, POISON_C, true);
    *out = v.result;
  }
  finish(&v);
  return status;
}

neo_status neo_harness_recheck(neo_ctx *ctx, neo_pool *pool, neo_harness_memory *memory,
                               const neo_verify_options *options, neo_verify_result *out) {
  verifier v = {.ctx = ctx, .pool = pool, .memory = memory, .options = options};
  neo_status status = prepare(&v);
  for (int c = options->n_cases - 1; status == NEO_OK && c >= 0; c--) {
    if (!run(&v, &options->cases[c], POISON_A, true))
      break;
    if (compare_reference(&v, &options->cases[c]))
      continue;
    v.result.verdict = NEO_VERDICT_STALE; /* it was right before it was timed */
    break;
  }
  if (status == NEO_OK)
    *out = v.result;
  finish(&v);
  return status;
}
