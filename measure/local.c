/* The local measurer: build pool -> neo-board --stdio over a socketpair -> verified, interleaved
 * times.
 *
 * Why a board process: a candidate may crash, spin or scribble; the tuner must not. The same frames
 * will reach remote boards. Policy is here (what is compared with what, when a time is believed),
 * mechanism is in runtime/harness.c.
 *
 * How. A submitted candidate is built on the pool; a finished build whose machine code, grids,
 * layouts and packing equal an earlier one's is answered with that one's time. Others are shipped
 * one at a time: blobs the board lacks, then the job: verify on a data seed, then time, batches
 * interleaved with the task's incumbent. A claimed improvement, of the task's best or of the best
 * of its algorithm, is verified on two seeds with all passes and timed a second time, and the worse
 * ratio counts; a gain too small to be worth that counts as a tie. A time below 0.9 x (FMAs the
 * nest executes / measured peak), in cold mode also x (bytes that must move / bandwidth), is
 * refused. With cores to spare, building goes on while the board measures; without, phases
 * alternate (builder paused). A board that dies is started again; its job is tried once more, then
 * reported as board-lost.
 *
 * Invariants
 * 1. The incumbent changes only between jobs, in land() or after a vetting run: a ratio and
 *    incumbent_ns always speak of the same kernel.
 * 2. An incumbent has been verified by this measurer, wherever it was recorded. */
#include <math.h>
#include <poll.h>
#include <string.h>

#include "measure/local.h"

enum { MAX_RESTARTS = 3 };
#define CONFIRM_BELOW 0.99
#define NEVER_THOROUGH 1e-9

static neo_status receive_board(neo_ctx *ctx, neo_local *self, int timeout_ms);

/* References need the board to themselves: waits for the job in flight. */
static neo_status settle(neo_ctx *ctx, neo_local *self) {
  while (self->flying)
    NEO_TRY(receive_board(ctx, self, 100));
  return NEO_OK;
}

static neo_status local_add_task(neo_ctx *ctx, neo_measurer *base, int number, const neo_te *te,
                                 const char *key) {
  neo_local *self = (neo_local *)base;
  if (number >= self->n_tasks) {
    neo_local_task **grown =
        neo_resize(&self->ctx, self->task, sizeof *grown * (size_t)(number + 16));
    if (!grown)
      return neo_fail(ctx, NEO_NO_MEMORY, "measuring: task %d", number);
    memset(grown + self->n_tasks, 0, sizeof *grown * (size_t)(number + 16 - self->n_tasks));
    self->task = grown;
    self->n_tasks = number + 16;
  }
  neo_local_task *task = neo_alloc(&self->ctx, sizeof *task);
  if (!task)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: task %d", number);
  neo_arena_init(&task->arena);
  neo_te_copy(&task->te, &task->arena, te);
  snprintf(task->key, sizeof task->key, "%s", key);
  task->flops = neo_te_flops(te);
  neo_status status = settle(ctx, self);
  if (status == NEO_OK)
    status = neo_local_make_references(ctx, self, task);
  if (status != NEO_OK) {
    neo_local_task_destroy(self, task);
    return status;
  }
  neo_local_task_destroy(self, self->task[number]);
  self->task[number] = task;
  return NEO_OK;
}

static void local_drop(neo_measurer *base, int number) {
  neo_local *self = (neo_local *)base;
  if (number < self->n_tasks) {
    neo_local_task_destroy(self, self->task[number]);
    self->task[number] = NULL;
  }
}

/* ---- results ------------------------------------------------------------------------------------------------- */

/* Every result answers a submission, and local_submit made room for it. */
static void push_result(neo_local *self, const neo_trial_result *result) {
  neo_assert(self->n_results < self->cap_results);
  self->results[self->n_results++] = *result;
}

static neo_status reserve_results(neo_ctx *ctx, neo_local *self, int n) {
  if (n <= self->cap_results)
    return NEO_OK;
  int cap = self->cap_results ? self->cap_results * 2 : 64;
  neo_trial_result *grown = neo_resize(&self->ctx, self->results, sizeof *grown * (size_t)cap);
  if (!grown)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: room for %d results", cap);
  self->results = grown;
  self->cap_results = cap;
  return NEO_OK;
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

/* May compiling choose a candidate with this ratio to the incumbent, by its own time? Then it must
 * be verified fully. The best of an algorithm may be chosen for its size or accuracy. */
static bool matters(neo_local_task *task, const neo_build *build, double ratio) {
  const neo_algorithm_best *best = best_of_algorithm(task, build);
  return ratio < CONFIRM_BELOW || !best || ratio * task->incumbent_ns < CONFIRM_BELOW * best->ns;
}

/* The job that verifies and times a build, against an incumbent if there is one. Brief: on the
 * first case only, once. */
static neo_status fill_job(neo_ctx *ctx, const neo_local *self, neo_shipment *to,
                           const neo_build *incumbent, neo_job *job) {
  const neo_local_task *task = to->task;
  memset(job, 0, sizeof *job);
  bool brief = incumbent && !self->confirming;
  to->n_cases = brief ? 1 : CASES;
  to->outputs = true;
  job->kind = NEO_JOB_MEASURE;
  job->threads = (uint32_t)self->options.threads;
  job->pin = 1;
  job->n_cases = (uint32_t)to->n_cases;
  job->timeout_ms = self->options.run_timeout_ms ? (uint32_t)self->options.run_timeout_ms
                                                 : (uint32_t)(5000 + fmin(task->flops / 2e4, 1e6));
  job->timing = self->options.timing;
  job->timing.thorough = brief ? NEVER_THOROUGH : 0;
  if (self->confirming) /* a claim is looked at twice as long */
    job->timing.min_batches *= 2;
  neo_local_set_tolerance(task, to->build, job);
  job->has_incumbent = incumbent != NULL;
  NEO_TRY(neo_local_fill_kernel(ctx, to, &job->kernel));
  neo_shipment other = *to;
  other.build = incumbent;
  other.n_cases = 1;
  other.outputs = false;
  return incumbent ? neo_local_fill_kernel(ctx, &other, &job->incumbent) : NEO_OK;
}

static neo_status ship(neo_ctx *ctx, neo_local *self, bool all) {
  neo_build *build = self->flying;
  neo_local_task *task = self->task[build->task];
  neo_blob_set *set = neo_alloc(ctx, sizeof *set);
  if (!set)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_shipment to = {.local = self, .task = task, .build = build, .all = all, .set = set};
  neo_status status = fill_job(ctx, self, &to, task->incumbent, self->job);
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
  push_result(self, result);
  neo_algorithm_best *best = best_of_algorithm(task, build);
  if (result->kind == NEO_TRIAL_OK && best && verified_fully)
    best->ns = fmin(best->ns, result->ns);
  if (result->kind == NEO_TRIAL_OK && (!task->incumbent || result->ns < task->incumbent_ns)) {
    neo_build_destroy(task->incumbent);
    task->incumbent = build;
    task->incumbent_ns = result->ns;
  } else {
    neo_build_destroy(build);
  }
  self->flying = NULL;
}

neo_status neo_local_revive(neo_ctx *ctx, neo_local *self) {
  neo_hello hello;
  char reason[200];
  snprintf(reason, sizeof reason, "%.199s", ctx->message);
  neo_ctx_clear(ctx);
  neo_local_stop_board(self);
  if (++self->restarts > MAX_RESTARTS)
    return neo_fail(ctx, NEO_UNREACHABLE, "the board was lost %d times in a row; last: %s",
                    MAX_RESTARTS, reason);
  neo_log(ctx, NEO_LOG_WARN, "board lost (%s); starting it again", reason);
  NEO_TRY(neo_local_start_board(ctx, self, &hello));
  if (!self->flying)
    return NEO_OK;
  if (self->flying_tries++ < 1) {
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
  double peak = self->base.facts.peak_gflops;
  if (self->peak_checks >= TRIES)
    return NEO_OK;
  self->peak_checks++;
  NEO_TRY(neo_local_measure_peak(ctx, self));
  if (self->base.facts.peak_gflops > 1.01 * peak)
    self->peak_checks = 0;
  *result = neo_local_judge(self, self->task[self->flying->task], self->flying, from);
  return NEO_OK;
}

static neo_status finish_job(neo_ctx *ctx, neo_local *self, const neo_job_result *from) {
  neo_local_task *task = self->task[self->flying->task];
  neo_trial_result result = neo_local_judge(self, task, self->flying, from);
  bool confirmed = self->confirming, first = !task->incumbent;
  if (result.kind == NEO_TRIAL_IMPLAUSIBLE)
    NEO_TRY(judge_again(ctx, self, from, &result));
  if (result.kind == NEO_TRIAL_BOARD_LOST && self->flying_tries++ < 1)
    return ship(ctx, self, true); /* the board evicted a blob: send everything */
  self->restarts = 0;
  self->confirming = false;
  if (confirmed) {
    result.measure_ns += self->first.measure_ns;
    if (result.kind == NEO_TRIAL_OK && self->first.ratio > result.ratio)
      result.ratio = self->first.ratio;
  } else if (result.kind == NEO_TRIAL_OK && result.ratio > 0 &&
             matters(task, self->flying, result.ratio)) {
    self->first = result;
    self->confirming = true;
    return ship(ctx, self, false);
  }
  neo_local_scale(self, confirmed, &result);
  land(self, &result, confirmed || first);
  return NEO_OK;
}

/* ---- the pump ------------------------------------------------------------------------------------------------------ */

static void receive_builds(neo_local *self, int timeout_ms) {
  neo_build *build;
  while ((build = neo_builder_take(self->builder, timeout_ms))) {
    timeout_ms = 0;
    neo_local_task *task = self->task[build->task];
    if (build->status != NEO_OK) {
      neo_trial_result failed = neo_local_result_of(build, NEO_TRIAL_BUILD);
      push_result(self, &failed);
      neo_build_destroy(build);
      continue;
    }
    neo_known_code *code = task ? neo_map_get(&task->codes, build->identity) : NULL;
    if (code || !task) {
      neo_trial_result known =
          neo_local_result_of(build, !task                          ? NEO_TRIAL_CANCELLED
                                     : neo_trial_usable(code->kind) ? NEO_TRIAL_DUPLICATE
                                                                    : code->kind);
      known.ns = code ? code->ns : 0;
      if (code)
        snprintf(known.text, sizeof known.text, "same machine code as an earlier trial (%s)",
                 neo_trial_kind_name(code->kind));
      push_result(self, &known);
      neo_build_destroy(build);
      continue;
    }
    *self->ready_tail = build;
    self->ready_tail = &build->next;
  }
}

static void set_paused(neo_local *self, bool paused) {
  if (self->exclusive && self->paused != paused) {
    self->paused = paused;
    neo_builder_pause(self->builder, paused);
  }
}

static neo_status launch_next(neo_ctx *ctx, neo_local *self) {
  bool may = !self->exclusive || self->paused || neo_builder_busy(self->builder) == 0;
  if (self->flying || !self->ready || !may) {
    if (!self->flying && !self->ready)
      set_paused(self, false);
    return NEO_OK;
  }
  set_paused(self, true);
  self->flying = self->ready;
  self->ready = self->flying->next;
  if (!self->ready)
    self->ready_tail = &self->ready;
  self->flying->next = NULL;
  self->flying_tries = 0;
  self->confirming = false;
  neo_status status = ship(ctx, self, false);
  return status == NEO_UNREACHABLE ? neo_local_revive(ctx, self) : status;
}

static neo_status receive_board(neo_ctx *ctx, neo_local *self, int timeout_ms) {
  struct pollfd wait = {.fd = self->board.fd, .events = POLLIN};
  uint64_t now = neo_now_ns(ctx), limit = ((uint64_t)self->job->timeout_ms + GRACE_MS) * 1000000u;
  if (poll(&wait, 1, timeout_ms) <= 0) {
    if (now - self->flying_since < limit)
      return NEO_OK;
    neo_fail(ctx, NEO_UNREACHABLE, "no answer from the board for %u ms",
             self->job->timeout_ms + GRACE_MS);
    return neo_local_revive(ctx, self);
  }
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  uint32_t id = 0;
  if (!result)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_status status = neo_board_result(ctx, self->board.fd, &id, result, GRACE_MS);
  if (status == NEO_OK) {
    status = finish_job(ctx, self, result);
    neo_job_result_fini(result);
  }
  neo_free(ctx, result);
  return status == NEO_UNREACHABLE || status == NEO_BAD_INPUT ? neo_local_revive(ctx, self)
                                                              : status;
}

static neo_status local_poll(neo_ctx *ctx, neo_measurer *base, int timeout_ms,
                             neo_trial_result *out, bool *got) {
  neo_local *self = (neo_local *)base;
  uint64_t until = neo_now_ns(ctx) + (uint64_t)timeout_ms * 1000000u;
  *got = false;
  for (;;) {
    receive_builds(self, 0);
    NEO_TRY(launch_next(ctx, self));
    if (self->n_results > 0) {
      *out = self->results[0];
      memmove(self->results, self->results + 1, sizeof *out * (size_t)--self->n_results);
      self->pending--;
      *got = true;
      return NEO_OK;
    }
    uint64_t now = neo_now_ns(ctx);
    if (now >= until || self->pending == 0)
      return NEO_OK;
    int left = (int)((until - now) / 1000000u) + 1, slice = left < 20 ? left : 20;
    if (self->flying)
      NEO_TRY(receive_board(ctx, self, slice));
    else
      receive_builds(self, slice);
  }
}

static neo_status local_submit(neo_ctx *ctx, neo_measurer *base, uint64_t id, int number,
                               const neo_schedule *schedule) {
  neo_local *self = (neo_local *)base;
  neo_assert(number < self->n_tasks && self->task[number]);
  NEO_TRY(reserve_results(ctx, self, self->pending + 1));
  neo_build *build = neo_build_create(&self->ctx, id, number, &self->task[number]->te, schedule);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  self->pending++;
  neo_builder_submit(self->builder, build);
  return NEO_OK;
}

static int local_pending(const neo_measurer *base) {
  return ((const neo_local *)base)->pending;
}

static int local_capacity(const neo_measurer *base) {
  return ((const neo_local *)base)->exclusive ? 24 : 8;
}

static void local_cancel(neo_measurer *base) {
  neo_local *self = (neo_local *)base;
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

/* Verifies and times a build for itself; it must not be wrong, whoever recorded it. */
static neo_status vet(neo_ctx *ctx, neo_local *self, neo_build *build, double *out_ns) {
  neo_blob_set *set = neo_alloc(ctx, sizeof *set);
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  neo_local_task *task = self->task[build->task];
  neo_status status = set && result ? settle(ctx, self) : neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  if (status == NEO_OK)
    status = fill_job(
        ctx, self,
        &(neo_shipment){.local = self, .task = task, .build = build, .all = true, .set = set}, NULL,
        self->job);
  if (status == NEO_OK)
    status = neo_local_call(ctx, self, set, self->job, result);
  if (status == NEO_OK) {
    neo_trial_result judged = neo_local_judge(self, task, build, result);
    *out_ns = judged.ns;
    if (judged.kind != NEO_TRIAL_OK)
      status = neo_fail(ctx, NEO_BAD_INPUT, "incumbent: %s in %s: %s",
                        neo_trial_kind_name(judged.kind), judged.phase, judged.text);
    neo_job_result_fini(result);
  }
  if (set)
    neo_blob_release(ctx, set);
  neo_free(ctx, result);
  neo_free(ctx, set);
  return status;
}

static void local_quiet(neo_measurer *base, bool quiet) {
  neo_local *self = (neo_local *)base;
  neo_builder_pause(self->builder, quiet || self->paused);
  if (quiet)
    neo_builder_settle(self->builder);
}

static int local_given_up(const neo_measurer *base) {
  return neo_builder_given_up(((const neo_local *)base)->builder);
}

static neo_status local_incumbent(neo_ctx *ctx, neo_measurer *base, int number,
                                  const neo_schedule *schedule, double ns) {
  neo_local *self = (neo_local *)base;
  neo_local_task *task = self->task[number];
  double own_ns = 0;
  if (task->incumbent && ((ns > 0 && task->incumbent_ns <= ns) ||
                          memcmp(&task->incumbent->schedule, schedule, sizeof *schedule) == 0))
    return NEO_OK;
  neo_build *build = neo_build_create(&self->ctx, 0, number, &task->te, schedule);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  build = neo_builder_run(self->builder, build);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_status status = build->status == NEO_OK
                          ? vet(ctx, self, build, &own_ns)
                          : neo_fail(ctx, build->status, "incumbent: %s", build->text);
  if (status != NEO_OK) {
    neo_build_destroy(build);
    return status;
  }
  neo_build_destroy(task->incumbent);
  task->incumbent = build;
  task->incumbent_ns = ns > 0 && ns >= neo_local_least_ns(self, task, build) ? ns : own_ns;
  neo_algorithm_best *best = best_of_algorithm(task, build);
  if (best)
    best->ns = fmin(best->ns, task->incumbent_ns);
  return NEO_OK;
}

static void local_close(neo_measurer *base) {
  neo_local *self = (neo_local *)base;
  neo_builder_destroy(self->builder);
  while (self->ready) {
    neo_build *next = self->ready->next;
    neo_build_destroy(self->ready);
    self->ready = next;
  }
  neo_build_destroy(self->flying);
  for (int t = 0; t < self->n_tasks; t++)
    neo_local_task_destroy(self, self->task[t]);
  neo_local_stop_board(self);
  neo_ctx *ctx = &(neo_ctx){.allocator = self->ctx.allocator};
  neo_free(ctx, self->task);
  neo_free(ctx, self->results);
  neo_free(ctx, self->job);
  neo_free(ctx, self);
}

static neo_status find_board(neo_ctx *ctx, neo_local *self) {
  char dir[512];
  if (self->options.board_program) {
    snprintf(self->board_program, sizeof self->board_program, "%s", self->options.board_program);
  } else {
    NEO_TRY(neo_self_dir(ctx, dir));
    snprintf(self->board_program, sizeof self->board_program, "%s/neo-board", dir);
  }
  if (!neo_file_exists(self->board_program))
    return neo_fail(ctx, NEO_UNREACHABLE,
                    "%s is missing: build the target neo-board or pass --board",
                    self->board_program);
  return NEO_OK;
}

static neo_status local_open(neo_ctx *ctx, const char *rest, const neo_target *target,
                             const neo_measure_options *options, neo_measurer **out) {
  (void)rest;
  if (!neo_target_runs_here(target))
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "this machine cannot run code for the target: measure on a board that can");
  neo_local *self = neo_alloc(ctx, sizeof *self);
  neo_job *job = neo_alloc(ctx, sizeof *job);
  if (!self || !job) {
    neo_free(ctx, self);
    neo_free(ctx, job);
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  }
  neo_ctx_fork(&self->ctx, ctx);
  self->base.ops = &neo_measurer_local;
  self->job = job;
  self->target = *target;
  self->options = *options;
  self->ready_tail = &self->ready;
  self->codegen = neo_codegen_find(options->codegen ? options->codegen : "llvm");
  neo_cores cores;
  neo_hello hello = {0};
  int n_measure = 1, n_build = 1;
  neo_status status = self->codegen ? NEO_OK
                                    : neo_fail(ctx, NEO_USAGE, "code generator '%s' is not known",
                                               options->codegen);
  if (status == NEO_OK)
    status = neo_cores_detect(ctx, NULL, &cores);
  if (status == NEO_OK)
    status = find_board(ctx, self);
  if (status == NEO_OK) {
    neo_cores_split(&cores, options->threads, &n_measure, &n_build);
    self->exclusive = n_measure + n_build > cores.n || n_measure >= cores.n;
    if (options->build_threads > 0)
      n_build = options->build_threads;
    neo_builder_options pool = {.threads = n_build,
                                .cpus = self->exclusive ? NULL : cores.cpu + n_measure,
                                .codegen = self->codegen,
                                .target = target,
                                .timeout_ms = options->build_timeout_ms};
    status = neo_builder_create(ctx, &pool, &self->builder);
  }
  if (status == NEO_OK)
    status = neo_local_start_board(ctx, self, &hello);
  if (status == NEO_OK) {
    self->base.facts.bandwidth = hello.bandwidth;
    snprintf(self->base.facts.cpu_model, sizeof self->base.facts.cpu_model, "%s", hello.cpu_model);
    status = neo_local_measure_peak(ctx, self);
  }
  if (status == NEO_OK)
    *out = &self->base;
  else
    local_close(&self->base);
  return status;
}

const neo_measurer_ops neo_measurer_local = {
    .name = "local",
    .open = local_open,
    .close = local_close,
    .task = local_add_task,
    .drop = local_drop,
    .submit = local_submit,
    .poll = local_poll,
    .pending = local_pending,
    .capacity = local_capacity,
    .cancel = local_cancel,
    .incumbent = local_incumbent,
    .quiet = local_quiet,
    .given_up = local_given_up,
};