/* The harness: honest kernels pass, every kind of liar is caught with the right verdict, and timing
 * follows its policy on a clock that the kernels themselves advance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "runtime/cpu.h"
#include "runtime/dtype.h"
#include "runtime/runtime.h"
#include "tests/fail_alloc.h"
#include "tests/huge_pages.h"

enum { N = 37, WORK = 64, SCRATCH = 16 };

/* Two inputs, one output: out = 2 a + b, over [begin, end). */
static float right(void *const *buf, int64_t i) {
  return 2.0f * ((float *)buf[0])[i] + ((float *)buf[1])[i];
}

static int32_t honest(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)dim;
  for (int64_t i = env->begin; i < env->end; i++) {
    ((float *)env->scratch)[0] = right(buf, i);
    ((float *)buf[2])[i] = ((float *)env->scratch)[0];
  }
  return 0;
}

#define LIAR(name)                                                                                 \
  static int32_t name(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {           \
    float *out = buf[2];                                                                           \
    int32_t *work = env->work;                                                                     \
    (void)dim, (void)work;                                                                         \
    if (env->begin == 0)                                                                           \
      name##_first(env, buf);                                                                      \
    for (int64_t i = env->begin; i < env->end; i++)                                                \
      name##_each(i, out, buf, work);                                                              \
    return 0;                                                                                      \
  }
#define NOTHING_FIRST(name)                                                                        \
  static void name##_first(const neo_kernel_env *env, void *const *buf) {                          \
    (void)env, (void)buf;                                                                          \
  }
#define EACH(name) static void name##_each(int64_t i, float *out, void *const *buf, int32_t *work)

EACH(wrong_tail) {
  (void)work;
  out[i] = i == N - 1 ? 0.0f : right(buf, i);
}
NOTHING_FIRST(wrong_tail)
LIAR(wrong_tail)

EACH(unwritten) {
  (void)work;
  if (i != 5)
    out[i] = right(buf, i);
}
NOTHING_FIRST(unwritten)
LIAR(unwritten)

EACH(accumulates) {
  (void)work;
  if (out[i] != out[i])
    out[i] = 0;
  out[i] += right(buf, i);
}
NOTHING_FIRST(accumulates)
LIAR(accumulates)

EACH(beyond) {
  (void)work;
  out[i] = right(buf, i);
  if (i == N - 1)
    out[N] = 1.0f;
}
NOTHING_FIRST(beyond)
LIAR(beyond)

EACH(before) {
  (void)work;
  out[i] = right(buf, i);
}
static void before_first(const neo_kernel_env *env, void *const *buf) {
  (void)env;
  ((uint8_t *)buf[2])[-1] ^= 1;
}
LIAR(before)

EACH(beyond_work) {
  out[i] = right(buf, i);
  work[WORK / 4] = 3;
}
NOTHING_FIRST(beyond_work)
LIAR(beyond_work)

EACH(beyond_scratch) {
  (void)work;
  out[i] = right(buf, i);
}
static void beyond_scratch_first(const neo_kernel_env *env, void *const *buf) {
  (void)buf;
  ((char *)env->scratch)[SCRATCH] = 7;
}
LIAR(beyond_scratch)

EACH(writes_input) {
  (void)work;
  out[i] = right(buf, i);
  if (i == 3)
    ((float *)buf[0])[3] += 1.0f;
}
NOTHING_FIRST(writes_input)
LIAR(writes_input)

/* Computes only when its mark is not in work: right whenever work is poisoned. */
EACH(caches_in_work) {
  if (work[1] != 1)
    out[i] = right(buf, i);
}
static void caches_in_work_first(const neo_kernel_env *env, void *const *buf) {
  int32_t *work = env->work;
  (void)buf;
  work[1] = work[0] == 0x51ac;
  work[0] = 0x51ac;
}
LIAR(caches_in_work)

/* The same, but keeps the results in work and so always writes its outputs. */
enum { CACHE_WORK = WORK + 4 * N };
EACH(copies_from_work) {
  float *kept = (float *)(work + WORK / 4);
  if (work[1] != 1)
    kept[i] = right(buf, i);
  out[i] = kept[i];
}
static void copies_from_work_first(const neo_kernel_env *env, void *const *buf) {
  caches_in_work_first(env, buf);
}
LIAR(copies_from_work)

static float known_answers[N];
static int knows;
EACH(knows_seed_one) {
  (void)work;
  if (!knows)
    known_answers[i] = right(buf, i);
  knows += i == N - 1;
  out[i] = known_answers[i];
}
NOTHING_FIRST(knows_seed_one)
LIAR(knows_seed_one)

static int calls;
static int32_t lazy_after_many(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  return ++calls > 20 ? 0 : honest(env, buf, dim);
}

static int32_t fails(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)env, (void)buf, (void)dim;
  return -9;
}

typedef struct fixture {
  neo_ctx ctx;
  neo_pool *pool;
  neo_harness_memory *memory;
  float a[2][N], b[N], want32[2][N];
  double want[2][N];
  const void *data[2][3];
  size_t size[2][3];
  neo_verify_case cases[2];
  neo_verify_options options;
  neo_kernel_fn fn;
  int64_t grid, bytes[3];
  neo_harness_kernel kernel;
} fixture;

static const uint8_t roles[3] = {0, 0, 1}, types[3] = {NEO_RT_F32, NEO_RT_F32, NEO_RT_F32};

static void fixture_init(fixture *f, neo_kernel_fn fn, int n_cases, int threads) {
  memset(f, 0, sizeof(*f));
  neo_ctx_init(&f->ctx, 4);
  for (int c = 0; c < 2; c++) {
    for (int i = 0; i < N; i++) {
      f->a[c][i] = (float)neo_rng_normal(&f->ctx.rng);
      f->b[i] = (float)(i + 1);
      f->want[c][i] = 2.0 * (double)f->a[c][i] + (double)f->b[i];
      f->want32[c][i] = (float)f->want[c][i];
    }
    const void *data[3] = {f->a[c], f->b, f->want[c]};
    const size_t size[3] = {sizeof(f->a[c]), sizeof(f->b), sizeof(f->want[c])};
    memcpy(f->data[c], data, sizeof(data));
    memcpy(f->size[c], size, sizeof(size));
    f->cases[c] = (neo_verify_case){f->data[c], f->size[c]};
  }
  f->options = (neo_verify_options){roles, types, n_cases, f->cases, 1e-5, 1e-6};
  f->fn = fn;
  f->grid = N;
  for (int i = 0; i < 3; i++)
    f->bytes[i] = 4 * N;
  f->kernel = (neo_harness_kernel){1, &f->fn, &f->grid, 3, f->bytes, CACHE_WORK, SCRATCH};
  if (fn == beyond_work)
    f->kernel.work_bytes = WORK;
  assert_int_equal(neo_pool_create(&f->ctx, NEO_POOL_PTHREAD, threads, NULL, &f->pool), NEO_OK);
  assert_int_equal(neo_harness_memory_create(&f->ctx, &f->kernel, threads, &f->memory), NEO_OK);
}

static void fixture_fini(fixture *f) {
  neo_harness_memory_destroy(f->memory);
  neo_pool_destroy(f->pool);
}

static neo_verify_result verify(neo_kernel_fn fn, int n_cases, int threads) {
  fixture f;
  neo_verify_result result = {0};
  fixture_init(&f, fn, n_cases, threads);
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  fixture_fini(&f);
  return result;
}

static void honest_kernels_pass(void **state) {
  (void)state;
  for (int cases = 1; cases <= 2; cases++)
    for (int threads = 1; threads <= 2; threads++) {
      neo_verify_result r = verify(honest, cases, threads);
      assert_int_equal(r.verdict, NEO_VERDICT_OK);
      assert_true(r.max_error > 0 && r.max_error < 0.2); /* rounding, in units of the tolerance */
    }
}

static void liars_are_caught(void **state) {
  (void)state;
  static const struct {
    neo_kernel_fn fn;
    neo_verdict verdict;
    int buffer;
    int64_t element;
  } rows[] = {
      {wrong_tail, NEO_VERDICT_WRONG, 2, N - 1},   {unwritten, NEO_VERDICT_STALE, 2, 5},
      {accumulates, NEO_VERDICT_STALE, 2, 0},      {beyond, NEO_VERDICT_REDZONE, 2, 0},
      {before, NEO_VERDICT_REDZONE, 2, 0},         {beyond_work, NEO_VERDICT_REDZONE, 3, 0},
      {beyond_scratch, NEO_VERDICT_REDZONE, 4, 0}, {writes_input, NEO_VERDICT_REDZONE, 0, 3},
      {caches_in_work, NEO_VERDICT_STALE, 2, 0},   {copies_from_work, NEO_VERDICT_STALE, 2, 0},
      {fails, NEO_VERDICT_FAILED, 0, 0},
  };
  for (int i = 0; i < NEO_COUNT(rows); i++)
    for (int cases = 1; cases <= 2; cases++) {
      neo_verify_result r = verify(rows[i].fn, cases, 1);
      if (r.verdict != rows[i].verdict || r.buffer != rows[i].buffer ||
          r.element != rows[i].element)
        fail_msg("liar %d, %d cases: verdict %d, buffer %d, element %d", i, cases, (int)r.verdict,
                 r.buffer, (int)r.element);
    }
  assert_true(verify(fails, 1, 1).got == -9);
}

static void knowing_one_seed_is_not_enough(void **state) {
  (void)state;
  knows = 0;
  assert_int_equal(verify(knows_seed_one, 2, 1).verdict, NEO_VERDICT_WRONG);
}

static void laziness_after_timing_is_caught(void **state) {
  (void)state;
  fixture f;
  neo_verify_result result;
  calls = 0;
  fixture_init(&f, lazy_after_many, 2, 1);
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_OK);
  assert_int_equal(neo_harness_recheck(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_OK);
  calls = 100;
  assert_int_equal(neo_harness_recheck(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_STALE);
  fixture_fini(&f);
}

static void padding_is_not_compared(void **state) {
  (void)state;
  fixture f;
  neo_verify_result result;
  fixture_init(&f, unwritten, 2, 1);
  f.want[0][5] = f.want[1][5] = (double)NAN;
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_OK);
  fixture_fini(&f);
}

static void single_precision_references(void **state) {
  (void)state;
  fixture f;
  neo_verify_result result;
  fixture_init(&f, honest, 2, 1);
  for (int c = 0; c < 2; c++) {
    f.data[c][2] = f.want32[c];
    f.size[c][2] = sizeof(f.want32[c]);
  }
  f.options.rtol = f.options.atol = 0; /* exact */
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_OK);
  f.want32[1][8] = nextafterf(f.want32[1][8], 1e9f);
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_WRONG);
  assert_int_equal(result.element, 8);
  f.want32[1][8] = (float)INFINITY;
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_true(result.verdict == NEO_VERDICT_WRONG && isinf(result.max_error));
  fixture_fini(&f);
}

static void bad_requests(void **state) {
  (void)state;
  fixture f;
  neo_verify_result result;
  fixture_init(&f, honest, 2, 1);
  f.size[1][0] = 4;
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result),
                   NEO_BAD_INPUT);
  assert_int_equal(neo_harness_memory_load(&f.ctx, f.memory, roles, &f.cases[1]), NEO_BAD_INPUT);
  f.options.n_cases = 0;
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result),
                   NEO_BAD_INPUT);
  neo_harness_memory *none = NULL;
  f.bytes[1] = -1;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &f.kernel, 1, &none), NEO_BAD_INPUT);
  f.bytes[1] = INT64_MAX;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &f.kernel, 1, &none), NEO_BAD_INPUT);
  assert_null(none);
  neo_harness_memory_destroy(NULL);
  fixture_fini(&f);
}

static void survives_failed_allocations(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, honest, 2, 1);
  neo_timing_policy policy = {.min_batch_ns = 1000, .max_batches = 3, .cold = 1};
  for (int n = 1;; n++) {
    neo_fail_alloc alloc;
    neo_ctx ctx;
    neo_harness_memory *memory = NULL;
    neo_verify_result result;
    neo_timing timing;
    neo_ctx_init(&ctx, 1);
    neo_fail_alloc_init(&alloc, n);
    ctx.allocator = &alloc.allocator;
    neo_status status = neo_harness_memory_create(&ctx, &f.kernel, 1, &memory);
    if (status == NEO_OK)
      status = neo_harness_verify(&ctx, f.pool, memory, &f.options, &result);
    if (status == NEO_OK)
      status = neo_harness_time(&ctx, f.pool, memory, NULL, &policy, &timing);
    neo_harness_memory_destroy(memory);
    assert_int_equal(alloc.live, 0);
    if (status == NEO_OK)
      break;
    assert_int_equal(status, NEO_NO_MEMORY);
    assert_true(n < 1000);
  }
  fixture_fini(&f);
}

/* ---- timing, on a clock that kernels advance ------------------------------------------------------------------ */

static uint64_t fake_now;
static double slow_cost = 3000, noise;
static int fast_runs, slow_runs;

static uint64_t fake_clock(void *self) {
  (void)self;
  return fake_now;
}

static int32_t fast(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)env, (void)buf, (void)dim;
  fast_runs++;
  fake_now += 1000;
  return 0;
}

static int32_t slow(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)env, (void)buf, (void)dim;
  slow_runs++;
  fake_now += (uint64_t)(slow_cost * (1 + noise * (double)(slow_runs * 7 % 5 - 2)));
  return 0;
}

typedef struct stopwatch {
  neo_ctx ctx;
  neo_pool *pool;
  neo_harness_memory *memory[2];
  int64_t grid, bytes;
} stopwatch;

static void stopwatch_init(stopwatch *s, neo_kernel_fn a, neo_kernel_fn b) {
  neo_ctx_init(&s->ctx, 1);
  s->ctx.now_ns = fake_clock;
  fake_now = 1;
  fast_runs = slow_runs = 0;
  noise = 0;
  slow_cost = 3000;
  s->grid = 1;
  s->bytes = 64;
  assert_int_equal(neo_pool_create(&s->ctx, NEO_POOL_DEFAULT, 1, NULL, &s->pool), NEO_OK);
  const neo_kernel_fn fn[2] = {a, b};
  for (int i = 0; i < 2; i++) {
    neo_harness_kernel kernel = {1, &fn[i], &s->grid, 1, &s->bytes, 0, 0};
    assert_int_equal(neo_harness_memory_create(&s->ctx, &kernel, 1, &s->memory[i]), NEO_OK);
  }
}

static void stopwatch_fini(stopwatch *s) {
  neo_harness_memory_destroy(s->memory[0]);
  neo_harness_memory_destroy(s->memory[1]);
  neo_pool_destroy(s->pool);
}

static void steady_kernels_stop_early(void **state) {
  (void)state;
  stopwatch s;
  neo_timing t;
  neo_timing_policy policy = {0};
  stopwatch_init(&s, slow, fast);
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_int_equal(t.n, 3);
  assert_true(t.typical == 3000 && t.base_typical == 1000 && t.ratio == 3.0 && !t.raced);
  assert_true(slow_runs > 3 * 66 && slow_runs < 6 * 80); /* batches of at least 200 us */
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], NULL, &policy, &t), NEO_OK);
  assert_true(t.n == 3 && t.typical == 3000 && t.ratio == 0 && t.base_typical == 0);
  stopwatch_fini(&s);
}

static void noisy_kernels_take_all_batches(void **state) {
  (void)state;
  stopwatch s;
  neo_timing t;
  neo_timing_policy policy = {
      .max_batches = 9, .min_batch_ns = 3000, .confidence = 0.001, .max_total_ns = 1e9};
  stopwatch_init(&s, slow, fast);
  noise = 0.2;
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_int_equal(t.n, 9);
  assert_true(t.ratio > 2 && t.ratio < 4);
  policy.max_total_ns = 1; /* out of time: one pair */
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_int_equal(t.n, 1);
  stopwatch_fini(&s);
}

static void hopeless_candidates_lose_the_race(void **state) {
  (void)state;
  stopwatch s;
  neo_timing t;
  neo_timing_policy policy = {.race_factor = 3};
  stopwatch_init(&s, slow, fast);
  slow_cost = 3500;
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_true(t.raced && t.n == 1 && t.typical == 3500 && t.ratio == 3.5);
  assert_int_equal(slow_runs, 2);
  slow_cost = 1e9; /* not even twice */
  slow_runs = 0;
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_true(t.raced && t.typical == 1e9);
  assert_int_equal(slow_runs, 1);
  slow_cost = 2900;
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_true(!t.raced && t.n == 3);
  stopwatch_fini(&s);
}

static void sure_losers_are_settled_early(void **state) {
  (void)state;
  stopwatch s;
  neo_timing t;
  neo_timing_policy policy = {
      .max_batches = 9, .min_batch_ns = 3000, .confidence = 1e-6, .max_total_ns = 1e9};
  stopwatch_init(&s, slow, fast);
  noise = 0.01;
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_int_equal(t.n, 9);
  policy.settled = 0.99;
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_int_equal(t.n, 2);
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[1], s.memory[0], &policy, &t), NEO_OK);
  assert_int_equal(t.n, 9); /* a winner is timed to the end */
  stopwatch_fini(&s);
}

/* Every third run takes four times as long: a neighbour's burst. */
static int32_t disturbed(const neo_kernel_env *env, void *const *buf, const int64_t *dim) {
  (void)env, (void)buf, (void)dim;
  slow_runs++;
  fake_now += slow_runs % 3 == 0 ? 4400 : 1100;
  return 0;
}

static void bursts_do_not_count(void **state) {
  (void)state;
  stopwatch s;
  neo_timing t;
  neo_timing_policy policy = {
      .min_batches = 12, .max_batches = 12, .min_batch_ns = 1000, .max_total_ns = 1e9};
  stopwatch_init(&s, disturbed, fast);
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], s.memory[1], &policy, &t), NEO_OK);
  assert_int_equal(t.n, 12);
  assert_true(t.typical == 1100 && t.base_typical == 1000 && t.ratio == 1.1);
  stopwatch_fini(&s);
}

/* The incumbent's memory: what has the candidate's sizes is the candidate's. */
static void rivals_share_their_data(void **state) {
  (void)state;
  fixture f;
  fixture_init(&f, honest, 2, 1);
  const uint8_t constant[3] = {0, 2, 1};
  int64_t other_bytes[3] = {f.bytes[0], f.bytes[1], f.bytes[2]};
  neo_harness_kernel kernel = f.kernel;
  neo_harness_memory *rival = NULL;
  kernel.bytes = other_bytes;
  kernel.role = constant;
  neo_harness_memory_destroy(f.memory);
  f.kernel.role = f.options.role = constant;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &f.kernel, 1, &f.memory), NEO_OK);
  kernel.beside = f.memory;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &kernel, 1, &rival), NEO_OK);
  void *const *own = neo_harness_memory_buffers(f.memory);
  void *const *its = neo_harness_memory_buffers(rival);
  assert_true(its[0] == own[0] && its[2] == own[2]);
  assert_true(its[1] != own[1]); /* constants are packed by each schedule */
  assert_int_equal(neo_harness_memory_load(&f.ctx, f.memory, constant, &f.cases[0]), NEO_OK);
  assert_int_equal(neo_harness_memory_load(&f.ctx, rival, constant, &f.cases[1]), NEO_OK);
  assert_memory_equal(own[0], f.a[0], sizeof f.a[0]); /* still the candidate's */
  assert_int_equal(neo_harness_memory_run(rival, f.pool), 0);
  int buffer;
  assert_true(neo_harness_memory_intact(f.memory, &buffer));
  neo_harness_memory_destroy(rival);
  other_bytes[2] += 64; /* another size: its own */
  kernel.work_bytes += 64;
  kernel.scratch_bytes += 64;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &kernel, 1, &rival), NEO_OK);
  its = neo_harness_memory_buffers(rival);
  assert_true(its[0] == own[0] && its[2] != own[2]);
  assert_int_equal(neo_harness_memory_load(&f.ctx, rival, constant, &f.cases[0]), NEO_OK);
  assert_int_equal(neo_harness_memory_run(rival, f.pool), 0);
  assert_true(neo_harness_memory_intact(f.memory, &buffer));
  assert_true(neo_harness_memory_intact(rival, &buffer));
  neo_harness_memory_destroy(rival);
  fixture_fini(&f);
}

/* A large area lies in huge pages of its own, at their end: but for the zone, nothing is behind it.
 * A small one does not. */
static void large_areas_are_in_huge_pages(void **state) {
  (void)state;
  enum { HUGE = 2 << 20, ZONES = 3 * 4096 };
  static const int64_t sizes[] = {256 << 10, (2 << 20) - 5000, (5 << 20) + 68};
  fixture f;
  fixture_init(&f, honest, 1, 1);
  for (int i = 0; i < NEO_COUNT(sizes); i++) {
    neo_harness_memory *memory = NULL;
    int64_t bytes[3] = {sizes[i], 4 * N, sizes[i]};
    neo_harness_kernel kernel = f.kernel;
    kernel.bytes = bytes;
    assert_int_equal(neo_harness_memory_create(&f.ctx, &kernel, 1, &memory), NEO_OK);
    void *const *buf = neo_harness_memory_buffers(memory);
    for (int b = 0; b < 3; b += 2) {
      uintptr_t end = (uintptr_t)buf[b] + (uintptr_t)bytes[b];
      uintptr_t left = (HUGE - end % HUGE) % HUGE;
      assert_true(left >= 4096 && left <= ZONES);
      if (has_huge_pages())
        assert_true(prefers_huge(buf[b]));
    }
    assert_false(prefers_huge(buf[1]));
    neo_harness_memory_destroy(memory);
  }
  fixture_fini(&f);
}

/* With one of 4096 bytes beside one of 8192, the second worker's scratch would lie in the red zone
 * behind the first's, and the candidate would be blamed. */
static void rivals_share_scratch_of_another_size(void **state) {
  (void)state;
  fixture f;
  int buffer;
  neo_harness_memory *rival = NULL;
  fixture_init(&f, honest, 2, 2);
  neo_harness_memory_destroy(f.memory);
  f.memory = NULL;
  f.kernel.scratch_bytes = 8192;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &f.kernel, 2, &f.memory), NEO_OK);
  neo_harness_kernel kernel = f.kernel;
  kernel.beside = f.memory;
  kernel.scratch_bytes = 4096;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &kernel, 2, &rival), NEO_OK);
  assert_int_equal(neo_harness_memory_load(&f.ctx, f.memory, f.options.role, &f.cases[0]), NEO_OK);
  assert_int_equal(neo_harness_memory_run(rival, f.pool), 0);
  assert_true(neo_harness_memory_intact(f.memory, &buffer));
  assert_true(neo_harness_memory_intact(rival, &buffer));
  neo_harness_memory_destroy(rival);
  fixture_fini(&f);
}

/* How much slower cold is says benchmarks/, not a test. Here: constants are as they were, and the
 * runs count. */
static void cold_mode_evicts_constants(void **state) {
  (void)state;
  fixture f;
  neo_timing t;
  neo_timing_policy policy = {.cold = 1, .min_batch_ns = 1000, .max_batches = 4};
  const uint8_t constant[3] = {0, 2, 1};
  fixture_init(&f, honest, 2, 1);
  neo_harness_memory_destroy(f.memory);
  f.kernel.role = f.options.role = constant;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &f.kernel, 1, &f.memory), NEO_OK);
  neo_verify_result result;
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_OK);
  assert_int_equal(neo_harness_time(&f.ctx, f.pool, f.memory, NULL, &policy, &t), NEO_OK);
  assert_true(t.n >= 3 && t.typical > 0);
  neo_harness_memory_destroy(f.memory); /* the same, constants used where they are */
  f.kernel.borrow = 1;
  assert_int_equal(neo_harness_memory_create(&f.ctx, &f.kernel, 1, &f.memory), NEO_OK);
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_OK);
  assert_ptr_equal(neo_harness_memory_buffers(f.memory)[1], f.cases[1].data[1]);
  assert_int_equal(neo_harness_time(&f.ctx, f.pool, f.memory, NULL, &policy, &t), NEO_OK);
  assert_memory_equal(neo_harness_memory_buffers(f.memory)[1], f.b, sizeof f.b);
  assert_int_equal(neo_harness_recheck(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_OK);
  fixture_fini(&f);
}

static void evicting_keeps_the_data(void **state) {
  (void)state;
  char data[1000];
  for (int i = 0; i < NEO_COUNT(data); i++)
    data[i] = (char)i;
#if defined(__x86_64__) || defined(__aarch64__)
  assert_true(neo_cpu_evict(data + 3, 900));
#endif
  assert_true(neo_cpu_evict(data, 0) || true);
  for (int i = 0; i < NEO_COUNT(data); i++)
    assert_int_equal(data[i], (char)i);
}

/* A kernel that computes only while its work is poisoned passes the brief verification, and only
 * that. */
static void brief_verification_is_the_first_pass(void **state) {
  (void)state;
  fixture f;
  neo_verify_result result;
  fixture_init(&f, caches_in_work, 2, 1);
  f.options.brief = true;
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_equal(result.verdict, NEO_VERDICT_OK);
  f.options.brief = false;
  assert_int_equal(neo_harness_verify(&f.ctx, f.pool, f.memory, &f.options, &result), NEO_OK);
  assert_int_not_equal(result.verdict, NEO_VERDICT_OK);
  fixture_fini(&f);
}

static void a_failure_while_timing_is_an_error(void **state) {
  (void)state;
  stopwatch s;
  neo_timing t;
  neo_timing_policy policy = {0};
  stopwatch_init(&s, fails, fast);
  assert_int_equal(neo_harness_time(&s.ctx, s.pool, s.memory[0], NULL, &policy, &t), NEO_BAD_INPUT);
  assert_non_null(strstr(s.ctx.message, "-9"));
  stopwatch_fini(&s);
}

static void measures_bandwidth(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_pool *pool;
  neo_ctx_init(&ctx, 1);
  assert_int_equal(neo_pool_create(&ctx, NEO_POOL_DEFAULT, 2, NULL, &pool), NEO_OK);
  double bandwidth = neo_harness_bandwidth(&ctx, pool);
  assert_true(bandwidth > 0.01 && bandwidth < 10000);
  neo_fail_alloc alloc;
  neo_fail_alloc_init(&alloc, 1);
  ctx.allocator = &alloc.allocator;
  assert_true(neo_harness_bandwidth(&ctx, pool) == 0);
  neo_pool_destroy(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(honest_kernels_pass),
      cmocka_unit_test(liars_are_caught),
      cmocka_unit_test(knowing_one_seed_is_not_enough),
      cmocka_unit_test(laziness_after_timing_is_caught),
      cmocka_unit_test(padding_is_not_compared),
      cmocka_unit_test(single_precision_references),
      cmocka_unit_test(bad_requests),
      cmocka_unit_test(survives_failed_allocations),
      cmocka_unit_test(steady_kernels_stop_early),
      cmocka_unit_test(noisy_kernels_take_all_batches),
      cmocka_unit_test(hopeless_candidates_lose_the_race),
      cmocka_unit_test(sure_losers_are_settled_early),
      cmocka_unit_test(bursts_do_not_count),
      cmocka_unit_test(rivals_share_their_data),
      cmocka_unit_test(rivals_share_scratch_of_another_size),
      cmocka_unit_test(large_areas_are_in_huge_pages),
      cmocka_unit_test(cold_mode_evicts_constants),
      cmocka_unit_test(evicting_keeps_the_data),
      cmocka_unit_test(brief_verification_is_the_first_pass),
      cmocka_unit_test(a_failure_while_timing_is_an_error),
      cmocka_unit_test(measures_bandwidth),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
