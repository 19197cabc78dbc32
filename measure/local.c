/* The local measurer: build pool -> neo-board --stdio over a socketpair -> verified, interleaved
 * times.
 *
 * Why a board process: a candidate may crash, spin or scribble; the tuner must not. The same frames
 * will reach remote boards. Policy is here (what is compared with what, when a time is believed),
 * mechanism is in runtime/harness.c.
 *
 * How. A submitted candidate is built on the pool; a finished build whose machine code, grids,
 * layouts and packing equal an earlier one's is answered with that one's time. Others are shipped
 * one at a time: blobs the board lacks, then the job: verify on two data seeds, then time, batches
 * interleaved with the task's incumbent. A claimed improvement is timed a second time and the worse
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

#include "base/host.h"
#include "measure/parts.h"

enum { CASES = 2, HELLO_MS = 10000, PUT_MS = 60000, GRACE_MS = 10000, MAX_RESTARTS = 3 };
#define CONFIRM_BELOW 0.99

typedef struct known_code {
  neo_trial_kind kind;
  double ns;
} known_code;

typedef struct local_task {
  bool used;
  neo_te te; /* in arena */
  char key[33];
  neo_arena arena; /* te, map values */
  neo_data data[CASES];
  double magnitude, flops;
  neo_map blobs; /* "case buffer layout pack" -> key text in arena */
  neo_map codes; /* identity -> known_code in arena */
  neo_build *incumbent;
  double incumbent_ns; /* > 0 if there is one */
} local_task;

typedef struct local {
  neo_measurer base;
  neo_ctx ctx; /* allocation and logging */
  neo_target target;
  neo_measure_options options;
  char board_program[600];
  neo_process board;
  bool board_up;
  int restarts;
  neo_builder *builder;
  const neo_codegen *codegen;
  bool exclusive, paused; /* no core to spare: build and measure in turns */
  int pending;
  neo_build *ready, **ready_tail;
  neo_build *flying; /* on the board */
  neo_job *job;      /* of flying */
  int flying_tries;  /* times it was shipped after board losses */
  bool confirming;
  neo_trial_result first; /* what the confirmation is about */
  uint64_t flying_since;
  neo_trial_result *results; /* ring of finished ones */
  int n_results, cap_results;
  int n_tasks;
  local_task **task;
} local;

/* ---- the board process ----------------------------------------------------------------------------- */

static neo_status start_board(neo_ctx *ctx, local *self, neo_hello *hello) {
  neo_cores cores;
  NEO_TRY(neo_cores_detect(ctx, NULL, &cores));
  neo_buf cpus = {0};
  for (int c = 0; c < cores.n && c < self->options.threads; c++)
    neo_buf_printf(&cpus, "%s%d", c ? "," : "", cores.cpu[c]);
  const char *argv[] = {self->board_program, "--stdio", "--cpus", cpus.data, NULL};
  neo_status status = neo_process_spawn(ctx, argv, false, &self->board);
  neo_buf_fini(&cpus);
  if (status != NEO_OK)
    return status;
  self->board_up = true;
  return neo_board_hello(ctx, self->board.fd, hello, HELLO_MS);
}

static void stop_board(local *self) {
  if (self->board_up)
    neo_process_stop(&self->board);
  self->board_up = false;
}

/* ---- blobs: content-keyed bytes that the board caches ---------------------------------------------------- */

typedef struct blob_set {
  int n;
  neo_blob blob[2 * CASES * NEO_JOB_MAX_BUFFERS + 4];
  void *owned[2 * CASES * NEO_JOB_MAX_BUFFERS + 4];
} blob_set;

static const char *blob_add(blob_set *set, const void *data, size_t size, void *owned) {
  neo_assert(set->n < NEO_COUNT(set->blob));
  neo_blob *blob = &set->blob[set->n];
  neo_key_text(data, size, blob->key);
  blob->data = data;
  blob->size = size;
  set->owned[set->n++] = owned;
  return blob->key;
}

static void blob_release(neo_ctx *ctx, blob_set *set) {
  for (int b = 0; b < set->n; b++)
    neo_aligned_free(ctx, set->owned[b]);
  set->n = 0;
}

static const neo_layout *layout_of(const neo_build *build, int buffer) {
  static const neo_layout row_major = {0};
  const neo_layout *layout = neo_schedule_layout(&build->schedule, buffer);
  return layout ? layout : &row_major;
}

static char *blob_name(neo_arena *arena, const neo_build *build, int c, int buffer,
                       const neo_pack *pack) {
  neo_buf buf = {0};
  neo_buf_printf(&buf, "%d %d ", c, buffer);
  neo_layout_print(&buf, pack ? &pack->layout : layout_of(build, buffer),
                   build->rewritten.buffer[buffer].shape.rank);
  if (pack && pack->has_te) {
    char key[33];
    neo_te_key(&pack->te, key);
    neo_buf_printf(&buf, " %s", key);
  }
  char *name = neo_arena_strdup(arena, buf.data);
  neo_buf_fini(&buf);
  return name;
}

/* What a job's blobs are made from. */
typedef struct shipment {
  local_task *task;
  const neo_build *build;
  int n_cases;
  bool all; /* send everything, known or not */
  blob_set *set;
} shipment;

/* Key of the bytes of one buffer for one case; makes and adds them to the set when not known before
 * or when all must be sent. */
static neo_status buffer_blob(neo_ctx *ctx, const shipment *to, int c, int buffer,
                              const neo_pack *pack, char out[33]) {
  const neo_build *build = to->build;
  local_task *task = to->task;
  neo_arena scratch;
  neo_arena_init(&scratch);
  const char *name = blob_name(&scratch, build, c, buffer, pack);
  const char *known = neo_map_get(&task->blobs, name);
  neo_status status = NEO_OK;
  if (!known || to->all) {
    void *bytes = NULL;
    size_t size = 0;
    const neo_tensor *tensor = &task->data[c].tensor[pack ? pack->source : buffer];
    if (pack)
      status = neo_data_pack(ctx, pack, tensor, &bytes, &size);
    else if (build->rewritten.buffer[buffer].role == NEO_TE_OUT)
      status = neo_data_reference(ctx, tensor, layout_of(build, buffer), &bytes, &size);
    else
      status = neo_data_input(ctx, tensor, layout_of(build, buffer), &bytes, &size);
    if (status == NEO_OK) {
      known = neo_arena_strdup(&task->arena, blob_add(to->set, bytes, size, bytes));
      neo_map_put(&task->blobs, name, (void *)known);
    }
  }
  if (status == NEO_OK)
    memcpy(out, known, 33);
  neo_arena_fini(&scratch);
  return status;
}

static neo_status fill_kernel(neo_ctx *ctx, const shipment *to, neo_job_kernel *out) {
  const neo_build *build = to->build;
  memset(out, 0, sizeof *out);
  snprintf(out->symbol, sizeof out->symbol, "k");
  memcpy(out->object, blob_add(to->set, build->object.bytes.data, build->object.bytes.size, NULL),
         33);
  out->n_launches = (uint32_t)build->nest.n_launches;
  for (int l = 0; l < build->nest.n_launches; l++)
    out->grid[l] = build->nest.launch[l].grid;
  out->work_bytes = build->nest.work_bytes;
  out->scratch_bytes = build->nest.scratch_bytes;
  int n = 0, pack = 0;
  for (int b = 0; b < build->rewritten.n_buffers; b++) {
    neo_te_role role = build->rewritten.buffer[b].role;
    if (role == NEO_TE_TMP)
      continue;
    const neo_nest_buffer *buffer = &build->nest.buffer[n];
    out->role[n] = role == NEO_TE_OUT;
    out->dtype[n] = (uint8_t)buffer->dtype;
    out->bytes[n] = buffer->elements * (int64_t)neo_dtype_size(buffer->dtype);
    const neo_pack *how = role == NEO_TE_CONST ? &build->packing.pack[pack++] : NULL;
    for (int c = 0; c < to->n_cases; c++)
      if (role != NEO_TE_OUT || to->n_cases > 1)
        NEO_TRY(buffer_blob(ctx, to, c, b, how, out->data[c][n]));
    n++;
  }
  out->n_buffers = (uint32_t)n;
  return NEO_OK;
}

/* ---- jobs that are waited for -------------------------------------------------------------------------------- */

static neo_status revive(neo_ctx *ctx, local *self);

/* No job may be in flight. A board that is lost meanwhile is started again, once. */
static neo_status call_board(neo_ctx *ctx, local *self, const blob_set *set, const neo_job *job,
                             neo_job_result *result) {
  for (int tries = 0;; tries++) {
    uint32_t id = 0;
    neo_status status = neo_board_put(ctx, self->board.fd, set->n, set->blob, PUT_MS);
    if (status == NEO_OK)
      status = neo_board_submit(ctx, self->board.fd, 0, job, PUT_MS);
    if (status == NEO_OK)
      status = neo_board_result(ctx, self->board.fd, &id, result, (int)job->timeout_ms + GRACE_MS);
    if (status == NEO_OK)
      self->restarts = 0;
    if ((status != NEO_UNREACHABLE && status != NEO_BAD_INPUT) || tries > 0)
      return status;
    NEO_TRY(revive(ctx, self));
  }
}

/* ---- references -------------------------------------------------------------------------------------------- */

/* Runs the widened te's naive nest on the board for one case and keeps its outputs. */
static neo_status run_reference(neo_ctx *ctx, local *self, local_task *task, neo_build *build,
                                int c) {
  blob_set *set = neo_alloc(ctx, sizeof *set);
  neo_job *job = neo_alloc(ctx, sizeof *job);
  neo_status status = set && job ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_data swapped = task->data[0];
  if (status == NEO_OK) {
    job->kind = NEO_JOB_RUN;
    job->threads = (uint32_t)self->options.threads;
    job->n_cases = 1;
    job->timeout_ms = (uint32_t)(60000 + fmin(task->flops / 1e4, 3e6));
    task->data[0] = task->data[c]; /* case 0 of this job is seed c */
    neo_map_fini(&task->blobs);
    status = fill_kernel(ctx, &(shipment){task, build, 1, true, set}, &job->kernel);
    neo_map_fini(&task->blobs);
    task->data[0] = swapped;
  }
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  if (!result && status == NEO_OK)
    status = neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  if (status == NEO_OK)
    status = call_board(ctx, self, set, job, result);
  if (status == NEO_OK) {
    if (result->outcome != NEO_OUTCOME_OK)
      status = neo_fail(ctx, NEO_INTERNAL, "reference of %s failed in %s: %s", task->key,
                        result->phase, result->text);
    uint32_t out = 0;
    for (int b = 0; b < task->te.n_buffers && status == NEO_OK; b++) {
      if (task->te.buffer[b].role != NEO_TE_OUT)
        continue;
      neo_assert(out < result->n_outputs &&
                 result->output[out].size == task->data[c].tensor[b].size);
      memcpy(task->data[c].tensor[b].data, result->output[out].data, result->output[out].size);
      task->magnitude = fmax(task->magnitude, neo_data_magnitude(&task->data[c].tensor[b]));
      out++;
    }
    neo_job_result_fini(result);
  }
  blob_release(ctx, set ? set : &(blob_set){0});
  neo_free(ctx, result);
  neo_free(ctx, job);
  neo_free(ctx, set);
  return status;
}

static neo_status make_references(neo_ctx *ctx, local *self, local_task *task) {
  neo_te wide;
  neo_schedule naive;
  NEO_TRY(neo_te_widen(ctx, &task->te, &task->arena, &wide));
  neo_schedule_naive(&naive);
  neo_build *build = neo_build_create(ctx, 0, 0, &wide, &naive);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_build_run(ctx, build, self->codegen, &self->target);
  neo_status status = build->status == NEO_OK
                          ? NEO_OK
                          : neo_fail(ctx, build->status, "reference of %s: %s: %s", task->key,
                                     build->phase, build->text);
  for (int c = 0; c < CASES && status == NEO_OK; c++)
    status = run_reference(ctx, self, task, build, c);
  neo_build_destroy(build);
  return status;
}

static void task_destroy(local *self, local_task *task) {
  if (!task)
    return;
  for (int c = 0; c < CASES; c++)
    neo_data_destroy(&self->ctx, &task->te, &task->data[c]);
  neo_build_destroy(task->incumbent);
  neo_map_fini(&task->blobs);
  neo_map_fini(&task->codes);
  neo_arena_fini(&task->arena);
  neo_free(&self->ctx, task);
}

static neo_status receive_board(neo_ctx *ctx, local *self, int timeout_ms);

/* References need the board to themselves: waits for the job in flight. */
static neo_status settle(neo_ctx *ctx, local *self) {
  while (self->flying)
    NEO_TRY(receive_board(ctx, self, 100));
  return NEO_OK;
}

static neo_status local_add_task(neo_ctx *ctx, neo_measurer *base, int number, const neo_te *te,
                                 const char *key) {
  local *self = (local *)base;
  if (number >= self->n_tasks) {
    local_task **grown = neo_resize(&self->ctx, self->task, sizeof *grown * (size_t)(number + 16));
    if (!grown)
      return neo_fail(ctx, NEO_NO_MEMORY, "measuring: task %d", number);
    memset(grown + self->n_tasks, 0, sizeof *grown * (size_t)(number + 16 - self->n_tasks));
    self->task = grown;
    self->n_tasks = number + 16;
  }
  local_task *task = neo_alloc(&self->ctx, sizeof *task);
  if (!task)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: task %d", number);
  neo_arena_init(&task->arena);
  neo_te_copy(&task->te, &task->arena, te);
  snprintf(task->key, sizeof task->key, "%s", key);
  task->flops = neo_te_flops(te);
  neo_status status = settle(ctx, self);
  for (int c = 0; c < CASES && status == NEO_OK; c++)
    status =
        neo_data_create(ctx, te, key, self->options.seed * CASES + (uint64_t)c, &task->data[c]);
  if (status == NEO_OK)
    status = make_references(ctx, self, task);
  if (status != NEO_OK) {
    task_destroy(self, task);
    return status;
  }
  task_destroy(self, self->task[number]);
  self->task[number] = task;
  return NEO_OK;
}

static void local_drop(neo_measurer *base, int number) {
  local *self = (local *)base;
  if (number < self->n_tasks) {
    task_destroy(self, self->task[number]);
    self->task[number] = NULL;
  }
}

/* ---- results ------------------------------------------------------------------------------------------------- */

static void push_result(local *self, const neo_trial_result *result) {
  if (self->n_results == self->cap_results) {
    int cap = self->cap_results ? self->cap_results * 2 : 64;
    neo_trial_result *grown = neo_resize(&self->ctx, self->results, sizeof *grown * (size_t)cap);
    neo_assert(grown);
    self->results = grown;
    self->cap_results = cap;
  }
  self->results[self->n_results++] = *result;
}

static neo_trial_result result_of(const neo_build *build, neo_trial_kind kind) {
  neo_trial_result result = {.id = build->id, .kind = kind, .build_ns = build->build_ns};
  result.fmas = build->nest.fmas;
  result.bytes = build->nest.bytes;
  memcpy(result.code_hash, build->object.code_hash, sizeof result.code_hash);
  snprintf(result.phase, sizeof result.phase, "%s", build->phase);
  snprintf(result.text, sizeof result.text, "%s", build->text);
  return result;
}

/* No honest run is faster: what the nest itself executes (an algorithm may execute less than the
 * direct one's FLOPs) at the measured peak; with cold caches also what must come from memory. */
static double least_ns(const local *self, const local_task *task, const neo_build *build) {
  const neo_machine_facts *facts = &self->base.facts;
  bool is_f32 = build->nest.n_params > 0 && build->nest.buffer[0].dtype == NEO_F32;
  double compute = is_f32 && facts->peak_gflops > 0 ? 2 * build->nest.fmas / facts->peak_gflops : 0;
  double memory = self->options.timing.cold && facts->bandwidth > 0
                      ? neo_te_bytes(&task->te) / facts->bandwidth
                      : 0;
  return 0.9 * fmax(compute, memory);
}

/* A result from the board in terms of trials. */
static neo_trial_result judge(const local *self, const local_task *task, const neo_build *build,
                              const neo_job_result *from) {
  static const neo_trial_kind verdicts[] = {NEO_TRIAL_OK, NEO_TRIAL_WRONG, NEO_TRIAL_REDZONE,
                                            NEO_TRIAL_STALE, NEO_TRIAL_CRASH};
  neo_trial_result out = result_of(build, NEO_TRIAL_OK);
  snprintf(out.phase, sizeof out.phase, "%s", from->phase);
  snprintf(out.text, sizeof out.text, "%s", from->text);
  out.signal = from->signal;
  out.measure_ns = from->board_ns;
  out.max_error = from->verify.max_error;
  switch ((neo_job_outcome)from->outcome) {
  case NEO_OUTCOME_OK:
    break;
  case NEO_OUTCOME_LOAD:
    out.kind = NEO_TRIAL_LOAD;
    break;
  case NEO_OUTCOME_CRASH:
    out.kind = NEO_TRIAL_CRASH;
    break;
  case NEO_OUTCOME_HANG:
    out.kind = NEO_TRIAL_HANG;
    break;
  case NEO_OUTCOME_BOARD:
    out.kind = NEO_TRIAL_BOARD_LOST;
    break;
  case NEO_OUTCOME_VERDICT:
    out.kind = from->verify.verdict < NEO_COUNT(verdicts) ? verdicts[from->verify.verdict]
                                                          : NEO_TRIAL_WRONG;
    snprintf(out.text, sizeof out.text,
             "buffer %d element %lld: got %g, reference %g (%.3g x tolerance)", from->verify.buffer,
             (long long)from->verify.element, from->verify.got, from->verify.want,
             from->verify.max_error);
    break;
  }
  if (out.kind != NEO_TRIAL_OK)
    return out;
  out.n_repeats = from->timing.n;
  memcpy(out.repeats, from->timing.ns, sizeof(double) * (size_t)from->timing.n);
  out.ratio = from->timing.ratio;
  out.ns = from->timing.median;
  if (from->timing.raced)
    out.kind = NEO_TRIAL_SLOW;
  double bound = least_ns(self, task, build);
  if (out.ns < bound) {
    out.kind = NEO_TRIAL_IMPLAUSIBLE;
    snprintf(out.text, sizeof out.text,
             "%.0f ns for %.0f FMAs and %.0f bytes; at the measured %.1f GFLOP/s and %.1f GB/s no "
             "kernel takes less than %.0f ns",
             out.ns, build->nest.fmas, neo_te_bytes(&task->te), self->base.facts.peak_gflops,
             self->base.facts.bandwidth, bound);
  }
  return out;
}

/* ---- shipping --------------------------------------------------------------------------------------------------- */

static void set_tolerance(const local_task *task, const neo_build *build, neo_job *job) {
  bool half = false;
  for (int b = 0; b < task->te.n_buffers; b++)
    half = half || task->te.buffer[b].dtype == NEO_F16 || task->te.buffer[b].dtype == NEO_BF16;
  bool direct = build->schedule.n > 0 && strncmp(build->schedule.instr[0].name, "winograd", 8) != 0;
  job->rtol = half ? 2e-2 : direct ? 1e-4 : 1e-3;
  job->atol = job->rtol * (direct ? 0.1 : 0.2) * task->magnitude + 1e-30;
}

/* The job that verifies and times a build, against an incumbent if there is one. */
static neo_status fill_job(neo_ctx *ctx, const local *self, const shipment *to,
                           const neo_build *incumbent, neo_job *job) {
  const local_task *task = to->task;
  memset(job, 0, sizeof *job);
  job->kind = NEO_JOB_MEASURE;
  job->threads = (uint32_t)self->options.threads;
  job->pin = 1;
  job->n_cases = CASES;
  job->timeout_ms = self->options.run_timeout_ms ? (uint32_t)self->options.run_timeout_ms
                                                 : (uint32_t)(5000 + fmin(task->flops / 2e4, 1e6));
  job->timing = self->options.timing;
  if (self->confirming) /* a claim is looked at twice as long */
    job->timing.min_batches *= 2;
  set_tolerance(task, to->build, job);
  job->has_incumbent = incumbent != NULL;
  NEO_TRY(fill_kernel(ctx, to, &job->kernel));
  shipment other = *to;
  other.build = incumbent;
  return incumbent ? fill_kernel(ctx, &other, &job->incumbent) : NEO_OK;
}

static neo_status ship(neo_ctx *ctx, local *self, bool all) {
  neo_build *build = self->flying;
  local_task *task = self->task[build->task];
  blob_set *set = neo_alloc(ctx, sizeof *set);
  if (!set)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_status status =
      fill_job(ctx, self, &(shipment){task, build, CASES, all, set}, task->incumbent, self->job);
  if (status == NEO_OK)
    status = neo_board_put(ctx, self->board.fd, set->n, set->blob, PUT_MS);
  if (status == NEO_OK)
    status = neo_board_submit(ctx, self->board.fd, 1, self->job, PUT_MS);
  self->flying_since = neo_now_ns(ctx);
  blob_release(ctx, set);
  neo_free(ctx, set);
  return status;
}

/* The fastest becomes what the next is timed against, here and now: the next job leaves before the
 * caller has heard of this one. */
static void land(local *self, const neo_trial_result *result) {
  neo_build *build = self->flying;
  local_task *task = self->task[build->task];
  if (result->kind != NEO_TRIAL_BOARD_LOST) { /* which says nothing about the code */
    known_code *code = neo_arena_alloc(&task->arena, sizeof *code);
    *code = (known_code){result->kind, result->ns};
    neo_map_put(&task->codes, build->identity, code);
  }
  push_result(self, result);
  if (result->kind == NEO_TRIAL_OK && (!task->incumbent || result->ns < task->incumbent_ns)) {
    neo_build_destroy(task->incumbent);
    task->incumbent = build;
    task->incumbent_ns = result->ns;
  } else {
    neo_build_destroy(build);
  }
  self->flying = NULL;
}

/* The board is gone or mute: start it again and try its job once more, then give the candidate up.
 */
static neo_status revive(neo_ctx *ctx, local *self) {
  neo_hello hello;
  char reason[200];
  snprintf(reason, sizeof reason, "%.199s", ctx->message);
  neo_ctx_clear(ctx);
  stop_board(self);
  if (++self->restarts > MAX_RESTARTS)
    return neo_fail(ctx, NEO_UNREACHABLE, "the board was lost %d times in a row; last: %s",
                    MAX_RESTARTS, reason);
  neo_log(ctx, NEO_LOG_WARN, "board lost (%s); starting it again", reason);
  NEO_TRY(start_board(ctx, self, &hello));
  if (!self->flying)
    return NEO_OK;
  if (self->flying_tries++ < 1) {
    neo_status status = ship(ctx, self, true);
    return status == NEO_UNREACHABLE ? revive(ctx, self) : status;
  }
  neo_trial_result lost = result_of(self->flying, NEO_TRIAL_BOARD_LOST);
  snprintf(lost.text, sizeof lost.text, "%s", reason);
  land(self, &lost);
  return NEO_OK;
}

/* Times of one task are comparable whenever they were taken: ratio x the incumbent's. A small gain
 * that was seen once is none; a ratio that would put the candidate below its bound was noise, then
 * the plain median stands. */
static void scale_by_incumbent(const local *self, bool confirmed, neo_trial_result *result) {
  const local_task *task = self->task[self->flying->task];
  if (!task->incumbent || result->ratio <= 0 || !neo_trial_usable(result->kind))
    return;
  double ratio = result->ratio < 1 && !confirmed ? 1 : result->ratio;
  double ns = ratio * task->incumbent_ns;
  if (ns >= least_ns(self, task, self->flying))
    result->ns = ns;
}

static neo_status finish_job(neo_ctx *ctx, local *self, const neo_job_result *from) {
  const local_task *task = self->task[self->flying->task];
  neo_trial_result result = judge(self, task, self->flying, from);
  bool confirmed = self->confirming;
  if (result.kind == NEO_TRIAL_BOARD_LOST && self->flying_tries++ < 1)
    return ship(ctx, self, true); /* the board evicted a blob: send everything */
  self->restarts = 0;
  self->confirming = false;
  if (confirmed) {
    result.measure_ns += self->first.measure_ns;
    if (result.kind == NEO_TRIAL_OK && self->first.ratio > result.ratio)
      result.ratio = self->first.ratio;
  } else if (result.kind == NEO_TRIAL_OK && result.ratio > 0 && result.ratio < CONFIRM_BELOW) {
    self->first = result;
    self->confirming = true;
    return ship(ctx, self, false);
  }
  scale_by_incumbent(self, confirmed, &result);
  land(self, &result);
  return NEO_OK;
}

/* ---- the pump ------------------------------------------------------------------------------------------------------ */

static void receive_builds(local *self, int timeout_ms) {
  neo_build *build;
  while ((build = neo_builder_take(self->builder, timeout_ms))) {
    timeout_ms = 0;
    local_task *task = self->task[build->task];
    if (build->status != NEO_OK) {
      neo_trial_result failed = result_of(build, NEO_TRIAL_BUILD);
      push_result(self, &failed);
      neo_build_destroy(build);
      continue;
    }
    known_code *code = task ? neo_map_get(&task->codes, build->identity) : NULL;
    if (code || !task) {
      neo_trial_result known = result_of(build, !task                          ? NEO_TRIAL_CANCELLED
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

static void set_paused(local *self, bool paused) {
  if (self->exclusive && self->paused != paused) {
    self->paused = paused;
    neo_builder_pause(self->builder, paused);
  }
}

static neo_status launch_next(neo_ctx *ctx, local *self) {
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
  return status == NEO_UNREACHABLE ? revive(ctx, self) : status;
}

static neo_status receive_board(neo_ctx *ctx, local *self, int timeout_ms) {
  struct pollfd wait = {.fd = self->board.fd, .events = POLLIN};
  uint64_t now = neo_now_ns(ctx), limit = ((uint64_t)self->job->timeout_ms + GRACE_MS) * 1000000u;
  if (poll(&wait, 1, timeout_ms) <= 0) {
    if (now - self->flying_since < limit)
      return NEO_OK;
    neo_fail(ctx, NEO_UNREACHABLE, "no answer from the board for %u ms",
             self->job->timeout_ms + GRACE_MS);
    return revive(ctx, self);
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
  return status == NEO_UNREACHABLE || status == NEO_BAD_INPUT ? revive(ctx, self) : status;
}

static neo_status local_poll(neo_ctx *ctx, neo_measurer *base, int timeout_ms,
                             neo_trial_result *out, bool *got) {
  local *self = (local *)base;
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
  local *self = (local *)base;
  neo_assert(number < self->n_tasks && self->task[number]);
  neo_build *build = neo_build_create(&self->ctx, id, number, &self->task[number]->te, schedule);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  self->pending++;
  neo_builder_submit(self->builder, build);
  return NEO_OK;
}

static int local_pending(const neo_measurer *base) {
  return ((const local *)base)->pending;
}

static int local_capacity(const neo_measurer *base) {
  return ((const local *)base)->exclusive ? 24 : 8;
}

static void local_cancel(neo_measurer *base) {
  local *self = (local *)base;
  set_paused(self, false);
  while (neo_builder_busy(self->builder) > 0)
    receive_builds(self, 100);
  receive_builds(self, 0);
  while (self->ready) {
    neo_build *build = self->ready;
    self->ready = build->next;
    neo_trial_result cancelled = result_of(build, NEO_TRIAL_CANCELLED);
    push_result(self, &cancelled);
    neo_build_destroy(build);
  }
  self->ready_tail = &self->ready;
}

/* Verifies and times a build for itself; it must not be wrong, whoever recorded it. */
static neo_status vet(neo_ctx *ctx, local *self, neo_build *build, double *out_ns) {
  blob_set *set = neo_alloc(ctx, sizeof *set);
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  local_task *task = self->task[build->task];
  neo_status status = set && result ? settle(ctx, self) : neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  if (status == NEO_OK)
    status = fill_job(ctx, self, &(shipment){task, build, CASES, true, set}, NULL, self->job);
  if (status == NEO_OK)
    status = call_board(ctx, self, set, self->job, result);
  if (status == NEO_OK) {
    neo_trial_result judged = judge(self, task, build, result);
    *out_ns = judged.ns;
    if (judged.kind != NEO_TRIAL_OK)
      status = neo_fail(ctx, NEO_BAD_INPUT, "incumbent: %s in %s: %s",
                        neo_trial_kind_name(judged.kind), judged.phase, judged.text);
    neo_job_result_fini(result);
  }
  if (set)
    blob_release(ctx, set);
  neo_free(ctx, result);
  neo_free(ctx, set);
  return status;
}

static neo_status local_incumbent(neo_ctx *ctx, neo_measurer *base, int number,
                                  const neo_schedule *schedule, double ns) {
  local *self = (local *)base;
  local_task *task = self->task[number];
  double own_ns = 0;
  if (task->incumbent && ((ns > 0 && task->incumbent_ns <= ns) ||
                          memcmp(&task->incumbent->schedule, schedule, sizeof *schedule) == 0))
    return NEO_OK;
  neo_build *build = neo_build_create(&self->ctx, 0, number, &task->te, schedule);
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring");
  neo_build_run(ctx, build, self->codegen, &self->target);
  neo_status status = build->status == NEO_OK
                          ? vet(ctx, self, build, &own_ns)
                          : neo_fail(ctx, build->status, "incumbent: %s", build->text);
  if (status != NEO_OK) {
    neo_build_destroy(build);
    return status;
  }
  neo_build_destroy(task->incumbent);
  task->incumbent = build;
  task->incumbent_ns = ns > 0 && ns >= least_ns(self, task, build) ? ns : own_ns;
  return NEO_OK;
}

/* ---- opening --------------------------------------------------------------------------------------------------------- */

/* Times the peak nest on the board like any candidate. */
static neo_status measure_peak(neo_ctx *ctx, local *self) {
  neo_arena arena;
  neo_arena_init(&arena);
  neo_buf text = {0};
  neo_peak_nest(&text, &self->target, self->options.threads);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_object object = {0};
  blob_set *set = neo_arena_alloc(&arena, sizeof *set);
  neo_job *job = neo_arena_alloc(&arena, sizeof *job);
  neo_job_result *result = neo_arena_alloc(&arena, sizeof *result);
  uint32_t id = 0;
  neo_status status = neo_nest_parse(ctx, &arena, text.data, nest);
  if (status == NEO_OK)
    status = self->codegen->build(ctx, nest, &self->target, "k", &object);
  if (status == NEO_OK) {
    *job = (neo_job){.kind = NEO_JOB_MEASURE,
                     .threads = (uint32_t)self->options.threads,
                     .pin = 1,
                     .timeout_ms = 20000,
                     .n_cases = 1,
                     .rtol = 1,
                     .atol = 1,
                     .timing = {.min_batches = 8, .max_batches = 16, .confidence = 1e-4}};
    neo_job_kernel *kernel = &job->kernel;
    snprintf(kernel->symbol, sizeof kernel->symbol, "k");
    memcpy(kernel->object, blob_add(set, object.bytes.data, object.bytes.size, NULL), 33);
    kernel->n_launches = 1;
    kernel->grid[0] = nest->launch[0].grid;
    kernel->n_buffers = (uint32_t)nest->n_params;
    for (int p = 0; p < nest->n_params; p++) {
      size_t bytes = (size_t)nest->buffer[p].elements * sizeof(float);
      float *data = neo_arena_alloc(&arena, bytes);
      for (size_t i = 0; i < bytes / sizeof(float); i++)
        data[i] = p ? NAN : 0;
      kernel->role[p] = p > 0;
      kernel->dtype[p] = NEO_F32;
      kernel->bytes[p] = (int64_t)bytes;
      memcpy(kernel->data[0][p], blob_add(set, data, bytes, NULL), 33);
    }
    status = neo_board_put(ctx, self->board.fd, set->n, set->blob, PUT_MS);
  }
  if (status == NEO_OK)
    status = neo_board_submit(ctx, self->board.fd, 1, job, PUT_MS);
  if (status == NEO_OK)
    status = neo_board_result(ctx, self->board.fd, &id, result, 30000);
  if (status == NEO_OK) {
    double best = result->timing.n > 0 ? result->timing.ns[0] : 0;
    for (int i = 0; i < result->timing.n; i++)
      best = fmin(best, result->timing.ns[i]);
    if (result->outcome == NEO_OUTCOME_OK && best > 0)
      self->base.facts.peak_gflops = 2 * neo_peak_fmas(&self->target, self->options.threads) / best;
    else
      neo_log(ctx, NEO_LOG_WARN,
              "the FMA peak could not be measured (%s: %s): plausibility is not checked",
              result->phase, result->text);
    neo_job_result_fini(result);
  }
  neo_object_fini(&object);
  neo_buf_fini(&text);
  neo_arena_fini(&arena);
  return status;
}

static void local_close(neo_measurer *base) {
  local *self = (local *)base;
  neo_builder_destroy(self->builder);
  while (self->ready) {
    neo_build *next = self->ready->next;
    neo_build_destroy(self->ready);
    self->ready = next;
  }
  neo_build_destroy(self->flying);
  for (int t = 0; t < self->n_tasks; t++)
    task_destroy(self, self->task[t]);
  stop_board(self);
  neo_ctx *ctx = &(neo_ctx){.allocator = self->ctx.allocator};
  neo_free(ctx, self->task);
  neo_free(ctx, self->results);
  neo_free(ctx, self->job);
  neo_free(ctx, self);
}

static neo_status find_board(neo_ctx *ctx, local *self) {
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
  local *self = neo_alloc(ctx, sizeof *self);
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
    status = neo_builder_create(ctx, n_build, self->exclusive ? NULL : cores.cpu + n_measure,
                                self->codegen, target, &self->builder);
  }
  if (status == NEO_OK)
    status = start_board(ctx, self, &hello);
  if (status == NEO_OK) {
    self->base.facts.bandwidth = hello.bandwidth;
    snprintf(self->base.facts.cpu_model, sizeof self->base.facts.cpu_model, "%s", hello.cpu_model);
    status = measure_peak(ctx, self);
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
};
