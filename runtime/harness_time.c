/* Timing of a kernel against the incumbent.
 *
 * Why interleaved: on shared machines the same kernel timed twice in sequence differs by 5 to 40 %,
 * while the ratio of two kernels timed in turn agrees within 0.3 %.
 *
 * Algorithm: both kernels are warmed up and get a number of repeats that makes a batch last long
 * enough for the clock (min_batch_ns). Then pairs of batches, in the order AB BA AB ..., until the
 * confidence interval of the ratio (jackknife, Student's t) is narrow enough, or the batches or the
 * time are used up. The ratio is that of the means of the faster halves: what disturbs a batch only
 * ever makes it slower, so the slower half says little. A kernel timed against itself in 20 pairs
 * beside a compiling core gave ratios with a standard deviation of 1.2 to 1.7 %; the median of the
 * pairs' ratios gave 2.3 to 2.7 %. A candidate that is slower than race_factor times the incumbent
 * in two single runs is not timed further. Without an incumbent the interval is that of the
 * candidate's own times.
 *
 * A search asks most of all whether a candidate is faster, so one that surely does not gain enough
 * is not timed to the last percent (policy.settled; a one-sided test: only one answer ends it).
 *
 * Cold mode: a model runs its other layers between two runs of this one, which push its weights out
 * of the caches (and leave its input there). So constants are evicted before every run. Without
 * this, Winograd with its fourfold weights wins on paper and loses in the model. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "runtime/cpu.h"
#include "runtime/harness.h"

enum { MAX_REPEAT = 1 << 20 };
#define LEAST_SPREAD 0.004
#define LONG_BATCHES 4

typedef struct side {
  neo_harness_memory *memory; /* NULL: there is no incumbent */
  bool cold;
  int repeat;
} side;

typedef struct timer {
  neo_ctx *ctx;
  neo_pool *pool;
  neo_timing_policy policy;
  uint64_t start;
  side candidate, incumbent;
  neo_timing *out;
} timer;

static void set_defaults(neo_timing_policy *p) {
  p->min_batch_ns = p->min_batch_ns > 0 ? p->min_batch_ns : 200e3;
  p->max_total_ns = p->max_total_ns > 0 ? p->max_total_ns : 100e6;
  p->confidence = p->confidence > 0 ? p->confidence : 0.01;
  p->min_batches = p->min_batches > 0 ? p->min_batches : 3;
  p->max_batches = p->max_batches > 0 ? p->max_batches : 20;
  p->max_batches = p->max_batches < NEO_MAX_REPEATS ? p->max_batches : NEO_MAX_REPEATS;
  p->min_batches = p->min_batches < p->max_batches ? p->min_batches : p->max_batches;
}

/* ---- batches ------------------------------------------------------------------------------------------ */

/* Are there constants in caches that this processor can empty? */
static bool evicts(const neo_harness_memory *m) {
  if (m->kernel.device)
    return false;
  for (int i = 0; i < m->kernel.n_buffers; i++)
    if (m->kernel.role[i] == 2)
      return true;
  return false;
}

static void evict_constants(const neo_harness_memory *m) {
  for (int i = 0; i < m->kernel.n_buffers; i++)
    if (m->kernel.role[i] == 2)
      neo_cpu_evict(m->buf[i], (size_t)m->kernel.bytes[i]);
}

/* Nanoseconds per run over `repeat` runs; what evicts constants in between is not timed. */
static neo_status batch(timer *t, side *s, int repeat, double *out_ns) {
  uint64_t total = 0, before = neo_now_ns(t->ctx);
  int each = s->cold ? 1 : repeat;
  for (int i = 0; i < repeat; i += each) {
    if (s->cold) {
      evict_constants(s->memory);
      before = neo_now_ns(t->ctx);
    }
    int32_t code = neo_harness_memory_repeat(s->memory, t->pool, each);
    if (code)
      return neo_fail(t->ctx, NEO_BAD_INPUT, "kernel returned %d while it was timed", (int)code);
    if (s->cold)
      total += neo_now_ns(t->ctx) - before;
  }
  *out_ns = (double)(s->cold ? total : neo_now_ns(t->ctx) - before) / repeat;
  return NEO_OK;
}

/* How often to repeat in a batch; first_ns is a run's time, a rough one. */
static neo_status calibrate(timer *t, side *s, double first_ns) {
  double ns = first_ns;
  s->repeat = 1;
  while (ns * s->repeat < t->policy.min_batch_ns && s->repeat < MAX_REPEAT) {
    double wanted = ns > 0 ? 1.1 * t->policy.min_batch_ns / ns : MAX_REPEAT;
    double limit = 64.0 * s->repeat; /* a first time of almost nothing is not trusted */
    wanted = wanted < limit ? wanted : limit;
    s->repeat = wanted < s->repeat + 1 ? s->repeat + 1
                : wanted < MAX_REPEAT  ? (int)wanted
                                       : MAX_REPEAT;
    NEO_TRY(batch(t, s, s->repeat, &ns));
  }
  return NEO_OK;
}

static bool loses_race(const timer *t, double ns, double base_ns) {
  return t->incumbent.memory && t->policy.race_factor > 0 && ns > t->policy.race_factor * base_ns;
}

/* Warms both up and calibrates; *raced if the candidate is hopeless. */
static neo_status warm_up(timer *t, bool *raced) {
  double base_ns = 0, ns = 0, again = 0;
  NEO_TRY(batch(t, &t->candidate, 1, &ns));
  if (t->incumbent.memory)
    NEO_TRY(batch(t, &t->incumbent, 1, &base_ns));
  /* one long run warms up as well as two short ones */
  bool is_long = ns > LONG_BATCHES * t->policy.min_batch_ns;
  if (t->incumbent.memory && base_ns <= LONG_BATCHES * t->policy.min_batch_ns)
    NEO_TRY(batch(t, &t->incumbent, 1, &base_ns));
  if (is_long && (!loses_race(t, ns, base_ns) || ns > 50 * t->policy.min_batch_ns))
    again = ns;
  else
    NEO_TRY(batch(t, &t->candidate, 1, &again));
  if (loses_race(t, ns, base_ns) && loses_race(t, again, base_ns)) {
    t->out->ns[0] = again < ns ? again : ns;
    t->out->base_ns[0] = base_ns;
    t->out->n = 1;
    *raced = true;
    return NEO_OK;
  }
  if (t->incumbent.memory)
    NEO_TRY(calibrate(t, &t->incumbent, base_ns));
  return calibrate(t, &t->candidate, again);
}

static neo_status pair(timer *t, int i) {
  double ns = 0, base_ns = 0;
  bool base = t->incumbent.memory != NULL, candidate_first = i % 2 == 0;
  if (candidate_first)
    NEO_TRY(batch(t, &t->candidate, t->candidate.repeat, &ns));
  if (base)
    NEO_TRY(batch(t, &t->incumbent, t->incumbent.repeat, &base_ns));
  if (!candidate_first)
    NEO_TRY(batch(t, &t->candidate, t->candidate.repeat, &ns));
  t->out->ns[i] = ns;
  t->out->base_ns[i] = base_ns;
  t->out->n = i + 1;
  return NEO_OK;
}

/* ---- statistics ----------------------------------------------------------------------------------------- */

/* The ranks of n values in ascending order: order[0] is the index of the least. */
static void sort_indices(const double *values, int n, int *order) {
  for (int i = 0; i < n; i++) {
    int at = i;
    for (; at > 0 && values[order[at - 1]] > values[i]; at--)
      order[at] = order[at - 1];
    order[at] = i;
  }
}

/* The mean of the faster half of the values (the middle one counts); 0 if there are none. */
static double faster_half(const double *values, int n) {
  int order[NEO_MAX_REPEATS], half = (n + 1) / 2;
  double sum = 0;
  sort_indices(values, n, order);
  for (int i = 0; i < half; i++)
    sum += values[order[i]];
  return n == 0 ? 0 : sum / half;
}

/* out[i]: log of faster_half of all values but values[i]; n >= 2. */
static void log_without_each(const double *values, int n, double *out) {
  int order[NEO_MAX_REPEATS], half = n / 2;
  double sum = 0;
  sort_indices(values, n, order);
  for (int i = 0; i < half; i++)
    sum += values[order[i]];
  for (int i = 0; i < n; i++) {
    double v = values[order[i]];
    out[order[i]] = log((i < half ? sum - v + values[order[half]] : sum) / half);
  }
}

/* Log of the ratio (or of the time) and its standard error by the jackknife over pairs; n >= 2. */
static double log_ratio(const neo_timing *timing, double *out_error) {
  int n = timing->n;
  bool base = timing->base_ns[0] > 0;
  double without[NEO_MAX_REPEATS], base_without[NEO_MAX_REPEATS] = {0};
  double sum = 0, squares = 0;
  log_without_each(timing->ns, n, without);
  if (base)
    log_without_each(timing->base_ns, n, base_without);
  for (int i = 0; i < n; i++) {
    double v = without[i] - base_without[i];
    sum += v;
    squares += v * v;
  }
  double spread = squares - sum * sum / n;
  *out_error = sqrt((spread > 0 ? spread : 0) * (n - 1) / n);
  double own = log(faster_half(timing->ns, n));
  return base ? own - log(faster_half(timing->base_ns, n)) : own;
}

/* Relative half-width of the 95 % interval of the ratio (or of the time). */
static double half_width(const neo_timing *timing) {
  static const double student[] = {12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26};
  int n = timing->n;
  double error = INFINITY;
  if (n < 2)
    return (double)INFINITY;
  log_ratio(timing, &error);
  return (n - 2 < NEO_COUNT(student) ? student[n - 2] : 2.1) * error;
}

/* Is the ratio above `settled` with 95 % certainty (one-sided)? Two or three pairs may agree by
 * chance: no pair is taken to be nearer to the truth than LEAST_SPREAD. */
static bool is_settled(const neo_timing *timing, double settled) {
  static const double student[] = {6.31, 2.92, 2.35, 2.13, 2.02, 1.94, 1.90, 1.86, 1.83};
  int n = timing->n;
  if (n < 2)
    return false;
  double error = 0, ratio = log_ratio(timing, &error);
  error = fmax(error, LEAST_SPREAD / sqrt(n));
  double t = n - 2 < NEO_COUNT(student) ? student[n - 2] : 1.75;
  return t * error <= 0.1 && ratio - t * error > log(settled);
}

static void summarise(neo_timing *timing) {
  timing->typical = faster_half(timing->ns, timing->n);
  timing->base_typical = faster_half(timing->base_ns, timing->n);
  timing->ratio = timing->base_typical > 0 ? timing->typical / timing->base_typical : 0;
}

/* A single pair says nothing on a busy machine: the total may be exceeded (ninefold at most) to
 * have the least number of batches. */
static bool enough(const timer *t) {
  double spent = (double)(neo_now_ns(t->ctx) - t->start), half = half_width(t->out);
  if (t->incumbent.memory && t->policy.settled > 0 && is_settled(t->out, t->policy.settled))
    return true;
  if (t->out->n < t->policy.min_batches)
    return spent > 9 * t->policy.max_total_ns;
  return spent > t->policy.max_total_ns || half <= t->policy.confidence;
}

static neo_status measure(timer *t) {
  bool raced = false;
  NEO_TRY(warm_up(t, &raced));
  t->out->raced = raced;
  for (int i = 0; !raced && i < t->policy.max_batches && (i == 0 || !enough(t)); i++)
    NEO_TRY(pair(t, i));
  summarise(t->out);
  return NEO_OK;
}

neo_status neo_harness_time(neo_ctx *ctx, neo_pool *pool, neo_harness_memory *candidate,
                            neo_harness_memory *incumbent, const neo_timing_policy *policy,
                            neo_timing *out) {
  neo_timing timing = {0};
  timer t = {.ctx = ctx, .pool = pool, .policy = *policy, .out = &timing, .start = neo_now_ns(ctx)};
  set_defaults(&t.policy);
  t.candidate = (side){.memory = candidate, .cold = policy->cold && evicts(candidate)};
  t.incumbent = (side){.memory = incumbent, .cold = policy->cold && incumbent && evicts(incumbent)};
  neo_status status = measure(&t);
  if (status == NEO_OK && candidate->kernel.device)
    status = neo_harness_device_fetch(ctx, candidate);
  if (status == NEO_OK)
    *out = timing;
  return status;
}

/* ---- memory bandwidth --------------------------------------------------------------------------------------- */

enum { STREAM_BYTES = 64 << 20, STREAM_BLOCK = 4096, STREAM_ROUNDS = 4 };

typedef struct stream {
  uint64_t *data;
  atomic_uint_least64_t sum; /* keeps the reads alive */
} stream;

static void stream_write(void *self, int worker, int64_t begin, int64_t end) {
  stream *s = self;
  memset((char *)s->data + begin * STREAM_BLOCK, worker + 1, (size_t)(end - begin) * STREAM_BLOCK);
}

static void stream_read(void *self, int worker, int64_t begin, int64_t end) {
  stream *s = self;
  (void)worker;
  const uint64_t *p = s->data + begin * (STREAM_BLOCK / 8),
                 *stop = s->data + end * (STREAM_BLOCK / 8);
  uint64_t a[8] = {0};
  for (; p < stop; p += 8)
    for (int i = 0; i < 8; i++)
      a[i] += p[i];
  atomic_fetch_add(&s->sum, a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7]);
}

double neo_harness_bandwidth(neo_ctx *ctx, neo_pool *pool) {
  stream s = {.data = neo_aligned_alloc(ctx, STREAM_BYTES)};
  double best = 0;
  if (!s.data)
    return 0;
  neo_pool_run(pool, STREAM_BYTES / STREAM_BLOCK, stream_write, &s);
  for (int i = 0; i < STREAM_ROUNDS; i++) {
    uint64_t before = neo_now_ns(ctx);
    neo_pool_run(pool, STREAM_BYTES / STREAM_BLOCK, stream_read, &s);
    double ns = (double)(neo_now_ns(ctx) - before);
    if (ns > 0 && STREAM_BYTES / ns > best)
      best = STREAM_BYTES / ns;
  }
  neo_aligned_free(ctx, s.data);
  return best;
}
