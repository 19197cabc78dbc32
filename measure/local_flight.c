/* The local measurer's thread that keeps the board at work: takes finished builds to it, judges
 * what comes back.
 *
 * Why a thread: the caller learns and proposes between two results, for as long as many candidates
 * take; the board must not wait for it, nor for weights to be packed.
 *
 * How. A finished build whose machine code, grids, layouts and packing equal an earlier one's is
 * answered with that one's time. Others are shipped one at a time: blobs the board lacks, then the
 * job: verify on a data seed, then time, batches interleaved with the task's incumbent. A claimed
 * improvement, of the task's best or of the best of its algorithm, is timed a second time and, if
 * it holds, verified on two seeds with all passes, and the worse time counts; a gain too small to
 * be worth that, or one that does not hold, counts as a tie. The second time is taken against the
 * task's anchor, its first incumbent (until one is twice as fast): a chain of ratios, each against
 * the winner before, collects the luck and the bias of every link, and drifted 15 % below what the
 * machine can do in 240 trials. A time below 0.9 x (FMAs the nest executes / measured peak), in
 * cold mode also x (bytes that must move / bandwidth), is refused. A board that dies is started
 * again; its job is tried once more, then reported as board-lost.
 *
 * With cores to spare, building goes on while the board measures, and what the next job needs is
 * packed and hashed meanwhile, on a core that does not measure. For the rest the thread is where
 * the board measures: it works between two jobs, and on the other cores it would wait for builds.
 * Without, phases alternate (builder paused), and nothing is measured
 * while the caller is not waiting for a result: it works on a core that measures.
 *
 * Invariants
 * 1. The incumbent changes only between jobs, in land() or after a vetting run: a ratio and
 *    incumbent_ns always speak of the same kernel.
 * 2. While the thread is held (neo_local_hold) nothing is on the board and it touches nothing.
 * 3. Under the mutex: results, hold, resting, stop, polling, unbuilt, failure, and each change of
 * an incumbent. All else is the thread's, or the holder's. */
#include <math.h>
#include <poll.h>
#include <string.h>

#include "measure/local.h"
#include "schedule/algorithm.h"

enum { MAX_RESTARTS = 3, MAX_LEASES = 20, MAX_TRIES = 1, MAX_REMOTE_TRIES = 3 };
#define CONFIRM_BELOW 0.99
#define NEVER_THOROUGH 1e-9
#define ANY_RATIO 1e9
#define ANCHOR_HOLDS 0.5

static neo_status receive_board(neo_ctx *ctx, neo_local *self, int timeout_ms);

/* ---- results --------------------------------------------------------------------------------------- */

/* How often a candidate may be shipped again: what a remote board had is lost more easily. */
static int most_tries(const neo_local *self) {
  return self->remote.hub ? MAX_REMOTE_TRIES : MAX_TRIES;
}

static void ring(const neo_local *self) {
  if (self->remote.ring)
    self->remote.ring(self->remote.ring_self);
}

/* Every result answers a submission, which made room for it. */
static void push_result(neo_local *self, const neo_trial_result *result) {
  pthread_mutex_lock(&self->mutex);
  neo_assert(self->n_results < self->cap_results);
  self->results[self->n_results++] = *result;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->mutex);
  ring(self);
}

/* ---- where the thread runs --------------------------------------------------------------------------- */

static void go_to(neo_local *self, int cpu) {
  neo_ctx own;
  if (self->spare_cpu < 0 || self->where == cpu)
    return;
  self->where = cpu;
  neo_ctx_fork(&own, &self->ctx);
  if (cpu == ANYWHERE)
    neo_cores_set_affinity(&self->affinity);
  else
    neo_cores_pin(&own, cpu);
}

void neo_local_step_aside(neo_local *self) {
  if (self->beside)
    go_to(self, self->spare_cpu);
}

/* ---- shipping -------------------------------------------------------------------------------------- */

static const char *algorithm_of(const neo_schedule *schedule) {
  return schedule->n > 0 ? schedule->instr[0].name : "";
}

/* The best known time of the build's algorithm here, fully verified; INFINITY if there is none. */
static neo_algorithm_best *best_of_algorithm(neo_local_task *task, const neo_build *build) {
  const char *name = algorithm_of(&build->schedule);
  for (int i = 0; i < task->n_bests; i++)
    if (strcmp(task->best[i].name, name) == 0)
      return &task->best[i];
  if (task->n_bests == NEO_COUNT(task->best))
    return NULL;
  neo_algorithm_best *best = &task->best[task->n_bests++];
  snprintf(best->name, sizeof best->name, "%s", name);
  best->ns = INFINITY;
  return best;
}

/* Of the constants as the kernel has them. */
static double constant_bytes(const neo_build *build) {
  double sum = 0;
  int n = 0;
  for (int b = 0; b < build->rewritten.n_buffers; b++) {
    neo_te_role role = build->rewritten.buffer[b].role;
    const neo_nest_buffer *buffer = &build->nest.buffer[n];
    if (role == NEO_TE_CONST)
      sum += (double)buffer->elements * (double)neo_dtype_size(buffer->dtype);
    n += role != NEO_TE_TMP;
  }
  return sum;
}

static void note_algorithm(neo_local_task *task, const neo_build *build, double ns) {
  neo_algorithm_best *best = best_of_algorithm(task, build);
  if (!best || best->ns <= ns)
    return;
  best->ns = ns;
  best->bytes = constant_bytes(build);
  best->accuracy = neo_algorithm_accuracy(algorithm_of(&build->schedule));
}

void neo_local_set_incumbent(neo_local *self, neo_local_task *task, neo_build *build, double ns) {
  note_algorithm(task, build, ns);
  pthread_mutex_lock(&self->mutex);
  neo_build *before[2] = {task->incumbent, task->anchor};
  task->incumbent = build;
  task->incumbent_ns = ns;
  if (!task->anchor || ns < ANCHOR_HOLDS * task->anchor_ns) {
    task->anchor = build;
    task->anchor_ns = ns;
  }
  pthread_mutex_unlock(&self->mutex);
  if (before[0] != task->anchor)
    neo_build_destroy(before[0]);
  if (before[1] != task->anchor && before[1] != before[0])
    neo_build_destroy(before[1]);
}

/* Is another algorithm's best as fast, as small and as accurate? Then compiling has no reason to
 * choose this one, whatever it is short of. */
static bool is_dominated(const neo_local_task *task, const neo_build *build, double ns) {
  double bytes = constant_bytes(build);
  neo_accuracy accuracy = neo_algorithm_accuracy(algorithm_of(&build->schedule));
  for (int i = 0; i < task->n_bests; i++) {
    const neo_algorithm_best *other = &task->best[i];
    if (other->ns <= ns && other->bytes <= bytes && other->accuracy <= accuracy &&
        strcmp(other->name, algorithm_of(&build->schedule)) != 0)
      return true;
  }
  return false;
}

/* May compiling choose a candidate with this ratio to the incumbent, by its own time? Then it must
 * be verified fully. The best of an algorithm may be chosen for its size or accuracy. */
static bool matters(neo_local_task *task, const neo_build *build, double ratio) {
  const neo_algorithm_best *best = best_of_algorithm(task, build);
  double ns = ratio * task->incumbent_ns;
  return ratio < CONFIRM_BELOW || !best ||
         (ns < CONFIRM_BELOW * best->ns && !is_dominated(task, build, ns));
}

/* The ratio to the anchor below which the confirmed candidate still matters. */
static double claim_of(neo_local_task *task, const neo_build *build) {
  const neo_algorithm_best *best = best_of_algorithm(task, build);
  double ns = fmax(task->incumbent_ns, best ? best->ns : INFINITY);
  return fmin(CONFIRM_BELOW * ns / task->anchor_ns, ANY_RATIO);
}

/* Claims are the lucky ones of many: they are looked at until chance has little to say. What surely
 * does not hold (the job times it against the anchor) is let go. */
static void look_closely(const neo_local *self, neo_timing_policy *timing) {
  timing->thorough = self->claim;
  timing->settled = self->claim < ANY_RATIO ? self->claim : 0;
  if (self->first.ratio >= CONFIRM_BELOW)
    return; /* only the best of its algorithm: nobody is timed against it */
  timing->min_batches *= 4;
  timing->max_batches = NEO_MAX_REPEATS;
  timing->max_total_ns *= 4;
  timing->confidence = 0.004;
}

/* The job that verifies and times a build, against an incumbent if there is one. Brief: on the
 * first case only, once. */
neo_status neo_local_fill_job(neo_ctx *ctx, neo_shipment *to, const neo_build *incumbent,
                              neo_job *job) {
  const neo_local_task *task = to->task;
  const neo_local *self = to->local;
  memset(job, 0, sizeof *job);
  bool brief = incumbent && !to->confirming;
  to->n_cases = brief ? 1 : CASES;
  to->outputs = true;
  job->kind = NEO_JOB_MEASURE;
  job->threads = (uint32_t)self->options.threads;
  job->pin = 1;
  job->n_cases = (uint32_t)to->n_cases;
  job->timeout_ms = self->options.run_timeout_ms ? (uint32_t)self->options.run_timeout_ms
                                                 : (uint32_t)(5000 + fmin(task->flops / 2e4, 1e6));
  if (self->base.counting.on) /* an emulator is so much slower */
    job->timeout_ms *= 10;
  job->timing = self->options.timing;
  job->timing.thorough = brief ? NEVER_THOROUGH : 0;
  if (to->confirming)
    look_closely(self, &job->timing);
  neo_local_set_tolerance(task, to->build, job);
  job->has_incumbent = incumbent != NULL;
  NEO_TRY(neo_local_fill_kernel(ctx, to, &job->kernel));
  neo_shipment other = *to;
  other.build = incumbent;
  other.n_cases = 1;
  other.outputs = false;
  return incumbent ? neo_local_fill_kernel(ctx, &other, &job->incumbent) : NEO_OK;
}

/* What a candidate is timed against; a count needs nobody. */
static const neo_build *rival(const neo_local *self, const neo_local_task *task) {
  const neo_build *beside = self->confirming ? task->anchor : task->incumbent;
  return self->base.counting.on ? NULL : beside;
}

static void drop_prepared(neo_local *self) {
  if (self->prepared)
    neo_blob_release(&self->ctx, self->prepared);
  neo_free(&self->ctx, self->prepared);
  self->prepared = NULL;
  self->prepared_for = NULL;
}

/* Objects lie in their builds, which may be gone when the set is sent; shipping adds them anew. */
static void keep_owned(neo_blob_set *set) {
  int n = 0;
  for (int b = 0; b < set->n; b++)
    if (set->owned[b]) {
      set->blob[n] = set->blob[b];
      set->owned[n++] = set->owned[b];
    }
  set->n = n;
}

/* Packs and hashes what the next job needs and the board does not have, while this one runs. It is
 * only a head start: what goes wrong here goes wrong again, and is told, when the job's turn comes.
 */
static void prepare_next(neo_ctx *ctx, neo_local *self) {
  neo_build *build = self->ready;
  neo_blob_set *set = NULL;
  neo_job *job = NULL;
  if (self->exclusive || !build || self->prepared_for == build)
    return;
  drop_prepared(self);
  self->beside = true;
  set = neo_alloc(ctx, sizeof *set);
  job = neo_alloc(ctx, sizeof *job);
  neo_local_task *task = self->task[build->task];
  neo_shipment to = {.local = self, .task = task, .build = build, .set = set};
  if (set && job && task)
    neo_local_fill_job(ctx, &to, rival(self, task), job);
  if (set)
    keep_owned(set);
  neo_ctx_clear(ctx);
  neo_free(ctx, job);
  self->beside = false;
  if (self->where == self->spare_cpu)
    go_to(self, ANYWHERE);
  self->prepared = set;
  self->prepared_for = build;
}

/* The set to send with the build: what was prepared, or an empty one. */
static neo_blob_set *take_set(neo_ctx *ctx, neo_local *self, const neo_build *build) {
  neo_blob_set *set = self->prepared_for == build ? self->prepared : NULL;
  if (!set)
    return neo_alloc(ctx, sizeof *set);
  self->prepared = NULL;
  self->prepared_for = NULL;
  return set;
}

static neo_status ship(neo_ctx *ctx, neo_local *self, bool all) {
  neo_build *build = self->flying;
  neo_local_task *task = self->task[build->task];
  neo_blob_set *set = take_set(ctx, self, build);
  if (!set)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_shipment to = {.local = self,
                     .task = task,
                     .build = build,
                     .all = all,
                     .confirming = self->confirming,
                     .set = set};
  neo_status status = neo_local_fill_job(ctx, &to, rival(self, task), self->job);
  if (status == NEO_OK)
    status = neo_local_need_board(ctx, self);
  if (status == NEO_OK)
    status = neo_board_put(ctx, self->board.fd, set->n, set->blob, PUT_MS);
  if (status == NEO_OK)
    status = neo_board_submit(ctx, self->board.fd, 1, self->job, PUT_MS);
  self->flying_since = neo_now_ns(ctx);
  neo_blob_release(ctx, set);
  neo_free(ctx, set);
  return status;
}

/* The fastest becomes what the next is timed against, here and now: the next job leaves before the
 * caller has heard of this one. */
static void land(neo_local *self, const neo_trial_result *result, bool verified_fully) {
  neo_build *build = self->flying;
  neo_local_task *task = self->task[build->task];
  if (result->kind != NEO_TRIAL_BOARD_LOST) { /* which says nothing about the code */
    neo_known_code *code = neo_arena_alloc(&task->arena, sizeof *code);
    *code = (neo_known_code){result->kind, result->ns};
    neo_map_put(&task->codes, build->identity, code);
  }
  bool faster = result->kind == NEO_TRIAL_OK && verified_fully &&
                (!task->incumbent || result->ns < task->incumbent_ns);
  if (faster)
    neo_local_set_incumbent(self, task, build, result->ns);
  else if (result->kind == NEO_TRIAL_OK && verified_fully)
    note_algorithm(task, build, result->ns);
  self->flying = NULL;
  push_result(self, result);
  if (!faster)
    neo_build_destroy(build);
}

/* Boards are there, and will be free when other lanes have had their turn. */
static bool others_have_boards(neo_local *self) {
  neo_hub_counts counts;
  neo_hub_count(self->remote.hub, &counts);
  pthread_mutex_lock(&self->mutex);
  bool goes_on = !self->stop;
  pthread_mutex_unlock(&self->mutex);
  return goes_on && counts.fit > 0;
}

neo_status neo_local_revive(neo_ctx *ctx, neo_local *self) {
  neo_hello hello;
  char reason[200];
  if (self->remote.hub && !self->board_up && !others_have_boards(self)) /* it was waited for one */
    return neo_fail(ctx, NEO_UNREACHABLE, "there is no board");
  snprintf(reason, sizeof reason, "%.199s", ctx->message);
  neo_ctx_clear(ctx);
  neo_local_stop_board(self);
  int most = self->remote.hub ? MAX_LEASES : MAX_RESTARTS;
  if (++self->restarts > most)
    return neo_fail(ctx, NEO_UNREACHABLE, "the board was lost %d times in a row; last: %s", most,
                    reason);
  neo_log(ctx, NEO_LOG_WARN, "board lost (%s); starting it again", reason);
  neo_status started = neo_local_start_board(ctx, self, &hello);
  if (started == NEO_UNREACHABLE && self->remote.hub)
    return neo_local_revive(ctx, self); /* a lease may end before its first word */
  NEO_TRY(started);
  if (!self->flying)
    return NEO_OK;
  if (self->flying_tries++ < most_tries(self)) {
    neo_status status = ship(ctx, self, true);
    return status == NEO_UNREACHABLE ? neo_local_revive(ctx, self) : status;
  }
  neo_trial_result lost = neo_local_result_of(self->flying, NEO_TRIAL_BOARD_LOST);
  snprintf(lost.text, sizeof lost.text, "%s", reason);
  land(self, &lost, false);
  return NEO_OK;
}

/* A candidate faster than possible may be honest and the peak wrong, measured beside other
 * processes: it is measured again, a few times in a session at most. */
static neo_status judge_again(neo_ctx *ctx, neo_local *self, const neo_job_result *from,
                              neo_trial_result *result) {
  enum { TRIES = 4 };
  while (result->kind == NEO_TRIAL_IMPLAUSIBLE && self->peak_checks < TRIES) {
    double peak = self->base.facts.peak_gflops;
    self->peak_checks++;
    NEO_TRY(neo_local_measure_peak(ctx, self));
    if (self->base.facts.peak_gflops > 1.01 * peak)
      self->peak_checks = 0;
    *result = neo_local_judge(self, self->task[self->flying->task], self->flying, from);
  }
  return NEO_OK;
}

static neo_status finish_job(neo_ctx *ctx, neo_local *self, const neo_job_result *from) {
  neo_local_task *task = self->task[self->flying->task];
  neo_trial_result result = neo_local_judge(self, task, self->flying, from);
  bool confirmed = self->confirming, first = !rival(self, task);
  if (result.kind == NEO_TRIAL_IMPLAUSIBLE)
    NEO_TRY(judge_again(ctx, self, from, &result));
  if (result.kind == NEO_TRIAL_BOARD_LOST && self->flying_tries++ < most_tries(self))
    return ship(ctx, self, true); /* the board evicted a blob, or was restarted: send everything */
  self->restarts = 0;
  self->confirming = false;
  if (confirmed) {
    result.measure_ns += self->first.measure_ns;
    double scale = task->incumbent_ns / task->anchor_ns;
    confirmed = result.ratio < self->claim;
    if (result.kind == NEO_TRIAL_OK && confirmed)
      result.ratio = fmax(result.ratio, self->first.ratio * scale);
    else if (result.kind ==
             NEO_TRIAL_OK) /* it was not verified fully, and does not count as fast */
      result.ratio = fmax(fmax(result.ratio / scale, self->first.ratio), CONFIRM_BELOW);
  } else if (result.kind == NEO_TRIAL_OK && result.ratio > 0 &&
             matters(task, self->flying, result.ratio)) {
    self->first = result;
    self->claim = claim_of(task, self->flying);
    self->confirming = true;
    return ship(ctx, self, false);
  }
  neo_local_scale(self, confirmed, &result);
  land(self, &result, confirmed || first);
  return NEO_OK;
}

/* ---- the pump ------------------------------------------------------------------------------------------------------ */

/* Answers a build that need not run; that it need not may have become known while it waited. */
static bool answer_known(neo_local *self, neo_build *build) {
  neo_local_task *task = self->task[build->task];
  neo_known_code *code =
      task && build->status == NEO_OK ? neo_map_get(&task->codes, build->identity) : NULL;
  if (build->status == NEO_OK && task && !code)
    return false;
  neo_trial_kind kind = build->status != NEO_OK        ? NEO_TRIAL_BUILD
                        : !task                        ? NEO_TRIAL_CANCELLED
                        : neo_trial_usable(code->kind) ? NEO_TRIAL_DUPLICATE
                                                       : code->kind;
  neo_trial_result known = neo_local_result_of(build, kind);
  if (code) {
    known.ns = code->ns;
    snprintf(known.text, sizeof known.text, "same machine code as an earlier trial (%s)",
             neo_trial_kind_name(code->kind));
  }
  push_result(self, &known);
  if (self->prepared_for == build)
    drop_prepared(self);
  neo_build_destroy(build);
  return true;
}

static void receive_build(neo_local *self, neo_build *build) {
  if (answer_known(self, build))
    return;
  *self->ready_tail = build;
  self->ready_tail = &build->next;
}

static void receive_builds(neo_local *self, int timeout_ms) {
  neo_build *build;
  while ((build = neo_builder_take(self->builder, timeout_ms))) {
    timeout_ms = 0;
    pthread_mutex_lock(&self->mutex);
    self->unbuilt--;
    pthread_mutex_unlock(&self->mutex);
    receive_build(self, build);
  }
}

static void set_paused(neo_local *self, bool paused) {
  if (self->exclusive && self->paused != paused) {
    self->paused = paused;
    neo_builder_pause(self->builder, paused);
  }
}

/* With all cores measuring, only while the caller sleeps in poll: it works on one of them. */
static bool caller_sleeps(neo_local *self) {
  pthread_mutex_lock(&self->mutex);
  bool sleeps = !self->exclusive || (self->polling && self->n_results == 0);
  pthread_mutex_unlock(&self->mutex);
  return sleeps;
}

static neo_status launch_next(neo_ctx *ctx, neo_local *self) {
  bool may = !self->exclusive || self->paused || neo_builder_busy(self->builder) == 0;
  may = may && (self->flying || !self->ready || caller_sleeps(self));
  if (self->flying || !self->ready || !may) {
    if (!self->flying && !self->ready)
      set_paused(self, false);
    return NEO_OK;
  }
  set_paused(self, true);
  neo_build *build = self->ready;
  self->ready = build->next;
  if (!self->ready)
    self->ready_tail = &self->ready;
  build->next = NULL;
  if (answer_known(self, build))
    return NEO_OK;
  if (self->remote.hub && neo_hub_wanted(self->remote.hub))
    neo_local_stop_board(self); /* others wait for one: in turns */
  self->flying = build;
  self->flying_tries = 0;
  self->confirming = false;
  neo_status status = ship(ctx, self, false);
  return status == NEO_UNREACHABLE ? neo_local_revive(ctx, self) : status;
}

static neo_status receive_board(neo_ctx *ctx, neo_local *self, int timeout_ms) {
  struct pollfd wait = {.fd = self->board.fd, .events = POLLIN};
  uint64_t now = neo_now_ns(ctx), limit_ms = self->job->timeout_ms;
  limit_ms += (uint64_t)neo_local_grace_ms(self);
  if (poll(&wait, 1, timeout_ms) <= 0) {
    if (now - self->flying_since < limit_ms * 1000000u)
      return NEO_OK;
    neo_fail(ctx, NEO_UNREACHABLE, "no answer from the board for %llu ms",
             (unsigned long long)limit_ms);
    return neo_local_revive(ctx, self);
  }
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  uint32_t id = 0;
  if (!result)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_status status = neo_board_result(ctx, self->board.fd, &id, result, GRACE_MS);
  go_to(self, self->measure_cpu);
  if (status == NEO_OK) {
    status = finish_job(ctx, self, result);
    neo_job_result_fini(result);
  }
  neo_free(ctx, result);
  return status == NEO_UNREACHABLE || status == NEO_BAD_INPUT ? neo_local_revive(ctx, self)
                                                              : status;
}

void neo_local_cancel_ready(neo_local *self) {
  drop_prepared(self);
  set_paused(self, false);
  while (neo_builder_busy(self->builder) > 0)
    receive_builds(self, 100);
  receive_builds(self, 0);
  while (self->ready) {
    neo_build *build = self->ready;
    self->ready = build->next;
    neo_trial_result cancelled = neo_local_result_of(build, NEO_TRIAL_CANCELLED);
    push_result(self, &cancelled);
    neo_build_destroy(build);
  }
  self->ready_tail = &self->ready;
}

/* ---- the thread -------------------------------------------------------------------------------------- */

/* Rests while it is held, has nothing to do, or has failed. False: the end. */
static bool may_go_on(neo_local *self) {
  pthread_mutex_lock(&self->mutex);
  for (;;) {
    bool failed = self->failure != NEO_OK;
    bool idle = self->unbuilt == 0 && !self->ready;
    if (self->stop || (!failed && (self->flying || (!self->hold && !idle))))
      break;
    if (self->remote.hub && !self->hold && !self->flying)
      neo_local_stop_board(self); /* nothing to do: others may have it */
    self->resting = true;
    pthread_cond_broadcast(&self->changed);
    pthread_cond_wait(&self->changed, &self->mutex);
    self->resting = false;
  }
  bool goes_on = !self->stop;
  pthread_mutex_unlock(&self->mutex);
  return goes_on;
}

static bool is_held(neo_local *self) {
  pthread_mutex_lock(&self->mutex);
  bool held = self->hold;
  pthread_mutex_unlock(&self->mutex);
  return held;
}

static neo_status step(neo_ctx *ctx, neo_local *self) {
  enum { LOOK_MS = 20 };
  receive_builds(self, 0);
  if (!is_held(self))
    NEO_TRY(launch_next(ctx, self));
  if (self->flying) {
    prepare_next(ctx, self);
    return receive_board(ctx, self, LOOK_MS);
  }
  bool building = self->exclusive && !self->paused && neo_builder_busy(self->builder) > 0;
  if (!self->ready || building) {
    receive_builds(self, LOOK_MS);
    return NEO_OK;
  }
  pthread_mutex_lock(&self->mutex); /* until the caller sleeps, if it is in the way */
  while (self->exclusive && !self->stop && !self->hold && !(self->polling && self->n_results == 0))
    pthread_cond_wait(&self->changed, &self->mutex);
  pthread_mutex_unlock(&self->mutex);
  return NEO_OK;
}

static void fail_for_good(neo_local *self, neo_status status, const char *text) {
  pthread_mutex_lock(&self->mutex);
  self->failure = status;
  snprintf(self->failure_text, sizeof self->failure_text, "%.399s", text);
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->mutex);
  ring(self);
}

/* Nobody waits for a board any more: the flight is over without having begun. */
static void call_off(neo_local *self) {
  if (!self->flying)
    return;
  neo_build *build = self->flying;
  neo_trial_result cancelled = neo_local_result_of(build, NEO_TRIAL_CANCELLED);
  self->flying = NULL;
  push_result(self, &cancelled);
  neo_build_destroy(build);
}

static void *flight_main(void *arg) {
  neo_local *self = arg;
  neo_ctx *ctx = &self->flight_ctx;
  go_to(self, self->measure_cpu);
  while (may_go_on(self)) {
    neo_status status = step(ctx, self);
    if (status == NEO_INTERRUPTED)
      call_off(self);
    else if (status != NEO_OK)
      fail_for_good(self, status, ctx->message);
    neo_ctx_clear(ctx);
  }
  return NULL;
}

neo_status neo_local_start_flights(neo_ctx *ctx, neo_local *self) {
  neo_ctx_fork(&self->flight_ctx, ctx);
  self->thread_up = pthread_create(&self->thread, NULL, flight_main, self) == 0;
  return self->thread_up ? NEO_OK
                         : neo_fail(ctx, NEO_NO_MEMORY, "measuring: no thread could be started");
}

void neo_local_stop_flights(neo_local *self) {
  pthread_mutex_lock(&self->mutex);
  self->stop = true;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->mutex);
  if (self->thread_up)
    pthread_join(self->thread, NULL);
  self->thread_up = false;
  drop_prepared(self);
}

void neo_local_hold(neo_local *self) {
  pthread_mutex_lock(&self->mutex);
  if (self->held++ == 0) {
    self->hold = true;
    pthread_cond_broadcast(&self->changed);
  }
  while (!self->resting)
    pthread_cond_wait(&self->changed, &self->mutex);
  pthread_mutex_unlock(&self->mutex);
}

void neo_local_release(neo_local *self) {
  pthread_mutex_lock(&self->mutex);
  if (--self->held == 0) {
    self->hold = false;
    pthread_cond_broadcast(&self->changed);
  }
  pthread_mutex_unlock(&self->mutex);
}
