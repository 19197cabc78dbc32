/* The local measurer: build pool -> neo-board --stdio over a socketpair -> verified, interleaved
 * times.
 *
 * Why a board process: a candidate may crash, spin or scribble; the tuner must not. The same frames
 * reach remote boards (remote.c). Policy is here (what is compared with what, when a time is
 * believed), mechanism is in runtime/harness_*.c.
 *
 * How. A submitted candidate is built on the pool; local_flight.c takes the builds to the board in
 * a thread of its own, so that the board does not wait while the caller thinks. What needs the
 * board for itself (references, an incumbent to be vetted) holds that thread first.
 *
 * The caller's thread is kept off the cores that measure while the measurer is open.
 *
 * Invariants
 * 1. This file touches tasks, builds and the board only while the thread is held, or under its
 * mutex where local_flight.c does, too.
 * 2. An incumbent has been verified by this measurer, wherever it was recorded. */
#include <math.h>
#include <string.h>

#include "base/condition.h"
#include "measure/local.h"

/* ---- tasks --------------------------------------------------------------------------------------- */

static neo_status reserve_tasks(neo_ctx *ctx, neo_local *self, int number) {
  if (number < self->n_tasks)
    return NEO_OK;
  neo_local_task **grown =
      neo_resize(&self->ctx, self->task, sizeof *grown * (size_t)(number + 16));
  if (!grown)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: task %d", number);
  memset(grown + self->n_tasks, 0, sizeof *grown * (size_t)(number + 16 - self->n_tasks));
  self->task = grown;
  self->n_tasks = number + 16;
  return NEO_OK;
}

/* With cores to spare the data is made while the board measures. */
static neo_status local_add_task(neo_ctx *ctx, neo_measurer *base, int number, const neo_te *te,
                                 const char *key) {
  neo_local *self = (neo_local *)base;
  neo_local_task *task = neo_alloc(&self->ctx, sizeof *task);
  if (!task)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: task %d", number);
  neo_arena_init(&task->arena);
  neo_te_copy(&task->te, &task->arena, te);
  snprintf(task->key, sizeof task->key, "%s", key);
  task->flops = neo_te_flops(te);
  if (self->exclusive)
    neo_local_hold(self);
  neo_references references = {0};
  neo_status status = neo_local_prepare_references(ctx, self, task, &references);
  if (!self->exclusive)
    neo_local_hold(self);
  if (status == NEO_OK)
    status = reserve_tasks(ctx, self, number);
  if (status == NEO_OK)
    status = neo_local_make_references(ctx, self, task, &references);
  if (status == NEO_OK) {
    neo_local_task_destroy(self, self->task[number]);
    self->task[number] = task;
  } else {
    neo_local_task_destroy(self, task);
  }
  neo_local_release(self);
  neo_references_fini(&references);
  return status;
}

static void local_drop(neo_measurer *base, int number) {
  neo_local *self = (neo_local *)base;
  neo_local_hold(self);
  if (number < self->n_tasks) {
    neo_local_task_destroy(self, self->task[number]);
    self->task[number] = NULL;
  }
  neo_local_release(self);
}

/* ---- candidates and results ---------------------------------------------------------------------- */

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

static neo_status local_poll(neo_ctx *ctx, neo_measurer *base, int timeout_ms,
                             neo_trial_result *out, bool *got) {
  neo_local *self = (neo_local *)base;
  uint64_t until = neo_deadline(ctx, timeout_ms);
  *got = false;
  pthread_mutex_lock(&self->mutex);
  self->polling = true;
  pthread_cond_broadcast(&self->changed);
  while (self->n_results == 0 && self->pending > 0 && self->failure == NEO_OK) {
    int left_ms = neo_deadline_left(ctx, until);
    if (left_ms == 0)
      break;
    neo_condition_wait(&self->changed, &self->mutex, left_ms);
  }
  self->polling = false;
  neo_status status = NEO_OK;
  if (self->n_results > 0) {
    *out = self->results[0];
    memmove(self->results, self->results + 1, sizeof *out * (size_t)--self->n_results);
    self->pending--;
    *got = true;
  } else if (self->failure != NEO_OK) {
    status = neo_fail(ctx, self->failure, "%s", self->failure_text);
  }
  pthread_mutex_unlock(&self->mutex);
  return status;
}

static neo_status local_submit(neo_ctx *ctx, neo_measurer *base, uint64_t id, int number,
                               const neo_schedule *schedule) {
  neo_local *self = (neo_local *)base;
  neo_assert(number < self->n_tasks && self->task[number]);
  pthread_mutex_lock(&self->mutex);
  neo_status status = reserve_results(ctx, self, self->pending + 1);
  pthread_mutex_unlock(&self->mutex);
  NEO_TRY(status);
  neo_build *build = neo_build_create(&self->ctx, id, number, &self->task[number]->te, schedule);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_builder_submit(self->builder, build);
  pthread_mutex_lock(&self->mutex);
  self->pending++;
  self->unbuilt++;
  pthread_cond_broadcast(&self->changed);
  pthread_mutex_unlock(&self->mutex);
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
  neo_local_hold(self);
  neo_local_cancel_ready(self);
  neo_local_release(self);
}

/* ---- incumbents ---------------------------------------------------------------------------------- */

/* Verifies and times a build for itself; it must not be wrong, whoever recorded it. */
static neo_status vet(neo_ctx *ctx, neo_local *self, neo_build *build, double *out_ns) {
  neo_blob_set *set = neo_alloc(ctx, sizeof *set);
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  neo_local_task *task = self->task[build->task];
  neo_status status = set && result ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  if (status == NEO_OK)
    status = neo_local_fill_job(
        ctx, &(neo_shipment){.local = self, .task = task, .build = build, .all = true, .set = set},
        NULL, self->job);
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

static void keep_off_measuring_cores(neo_ctx *ctx, const neo_local *self) {
  if (self->spare_cpu >= 0 && neo_cores_pin(ctx, self->spare_cpu) != NEO_OK)
    neo_ctx_clear(ctx);
}

/* Held until it is called again; the caller's thread may use all cores meanwhile. */
static void local_quiet(neo_measurer *base, bool quiet) {
  neo_local *self = (neo_local *)base;
  if (quiet) {
    neo_local_hold(self);
    neo_builder_pause(self->builder, true);
    neo_builder_settle(self->builder);
    neo_cores_set_affinity(&self->affinity);
  } else {
    neo_builder_pause(self->builder, self->paused);
    keep_off_measuring_cores(&self->ctx, self);
    neo_local_release(self);
  }
}

static int local_given_up(const neo_measurer *base) {
  return neo_builder_given_up(((const neo_local *)base)->builder);
}

static neo_status local_incumbent(neo_ctx *ctx, neo_measurer *base, int number,
                                  const neo_schedule *schedule, double ns) {
  neo_local *self = (neo_local *)base;
  neo_local_task *task = self->task[number];
  double own_ns = 0;
  pthread_mutex_lock(&self->mutex);
  bool nothing_new =
      task->incumbent && ((ns > 0 && task->incumbent_ns <= ns) ||
                          memcmp(&task->incumbent->schedule, schedule, sizeof *schedule) == 0);
  pthread_mutex_unlock(&self->mutex);
  if (nothing_new)
    return NEO_OK;
  neo_build *build = neo_build_create(&self->ctx, 0, number, &task->te, schedule);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  build = neo_builder_run(self->builder, build);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_local_hold(self);
  neo_status status = build->status == NEO_OK
                          ? vet(ctx, self, build, &own_ns)
                          : neo_fail(ctx, build->status, "incumbent: %s", build->text);
  if (status == NEO_OK)
    neo_local_set_incumbent(self, task, build,
                            ns > 0 && ns >= neo_local_least_ns(self, task, build) ? ns : own_ns);
  else
    neo_build_destroy(build);
  neo_local_release(self);
  return status;
}

/* ---- opening and closing ------------------------------------------------------------------------- */

static void local_close(neo_measurer *base) {
  neo_local *self = (neo_local *)base;
  neo_local_stop_flights(self);
  if (self->spare_cpu >= 0)
    neo_cores_set_affinity(&self->affinity);
  neo_builder_destroy(self->builder);
  while (self->ready) {
    neo_build *next = self->ready->next;
    neo_build_destroy(self->ready);
    self->ready = next;
  }
  neo_build_destroy(self->flying);
  for (int t = 0; t < self->n_tasks; t++)
    neo_local_task_destroy(self, self->task[t]);
  neo_local_drop_made(self);
  neo_local_stop_board(self);
  neo_ctx *ctx = &(neo_ctx){.allocator = self->ctx.allocator};
  neo_free(ctx, self->task);
  neo_free(ctx, self->results);
  neo_free(ctx, self->job);
  if (self->emulation.dir[0])
    neo_dir_remove(ctx, self->emulation.dir);
  pthread_cond_destroy(&self->changed);
  pthread_mutex_destroy(&self->mutex);
  neo_free(ctx, self);
}

static neo_status find_board(neo_ctx *ctx, neo_local *self) {
  char dir[512];
  if (self->options.board_program) {
    snprintf(self->board_program, sizeof self->board_program, "%s", self->options.board_program);
  } else {
    NEO_TRY(neo_self_dir(ctx, dir));
    snprintf(self->board_program, sizeof self->board_program, "%s/%s", dir,
             self->emulation.program[0] ? self->emulation.program : "neo-board");
  }
  if (!neo_file_exists(self->board_program))
    return neo_fail(ctx, NEO_UNREACHABLE, "%s is missing: build it%s or pass --board",
                    self->board_program,
                    self->emulation.program[0] ? " (it takes the cross compiler)" : "");
  return self->base.counting.on ? neo_dir_temp(ctx, NULL, self->emulation.dir) : NEO_OK;
}

neo_status neo_local_open(neo_ctx *ctx, const neo_emulation *emulation,
                          const neo_remote_board *remote, const neo_target *target,
                          const neo_measure_options *options, neo_measurer **out) {
  neo_local *self = neo_alloc(ctx, sizeof *self);
  neo_job *job = neo_alloc(ctx, sizeof *job);
  if (!self || !job) {
    neo_free(ctx, self);
    neo_free(ctx, job);
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  }
  neo_ctx_fork(&self->ctx, ctx);
  self->base.ops = &neo_measurer_local;
  if (emulation && emulation->cpu)
    self->base.counting = (neo_counting){true, (double)emulation->miss_cost};
  if (emulation)
    self->emulation = *emulation;
  if (remote)
    self->remote = *remote;
  self->job = job;
  self->target = *target;
  self->options = *options;
  self->ready_tail = &self->ready;
  self->spare_cpu = -1;
  self->where = ANYWHERE;
  neo_cores_affinity(&self->affinity);
  pthread_mutex_init(&self->mutex, NULL);
  neo_condition_init(&self->changed);
  neo_cores cores;
  neo_hello hello = {0};
  int n_measure = 1, n_build = 1;
  neo_status status = neo_codegen_choose(ctx, options->codegen, target, &self->codegen);
  if (status == NEO_OK)
    status = neo_cores_detect(ctx, NULL, &cores);
  if (status == NEO_OK && !remote)
    status = find_board(ctx, self);
  if (status == NEO_OK) {
    neo_cores_split(&cores, options->threads, &n_measure, &n_build);
    if (remote)
      n_build = cores.n;
    else
      self->exclusive = n_measure + n_build > cores.n || n_measure >= cores.n;
    if (!self->exclusive && !remote) /* the last one: builders begin at the first */
      self->spare_cpu = cores.cpu[cores.n - 1];
    self->measure_cpu = cores.cpu[0];
    if (options->build_threads > 0)
      n_build = options->build_threads;
    neo_builder_options pool = {.threads = n_build,
                                .cpus = self->exclusive || remote ? NULL : cores.cpu + n_measure,
                                .codegen = self->codegen,
                                .target = target,
                                .timeout_ms = options->build_timeout_ms};
    status = neo_builder_create(ctx, &pool, &self->builder);
  }
  if (status == NEO_OK)
    status = neo_local_start_board(ctx, self, &hello);
  if (status == NEO_OK) {
    snprintf(self->base.facts.cpu_model, sizeof self->base.facts.cpu_model, "%s", hello.cpu_model);
    if (!self->base.counting.on &&
        !neo_target_is_gpu(target)) { /* of the processor, both of them */
      self->base.facts.bandwidth = hello.bandwidth;
      status = neo_local_measure_peak(ctx, self);
    }
  }
  if (status == NEO_OK)
    status = neo_local_start_flights(ctx, self);
  if (status == NEO_OK)
    keep_off_measuring_cores(ctx, self);
  if (status == NEO_OK)
    *out = &self->base;
  else
    local_close(&self->base);
  return status;
}

static neo_status local_open(neo_ctx *ctx, const char *rest, const neo_target *target,
                             const neo_measure_options *options, neo_measurer **out) {
  (void)rest;
  if (!neo_target_runs_here(target))
    return neo_fail(ctx, NEO_UNSUPPORTED,
                    "this machine cannot run code for %s: measure where that runs, with --measure "
                    "(`neo-tune --help`)",
                    target->arch);
  return neo_local_open(ctx, NULL, NULL, target, options, out);
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