/* One job in its own process: load, verify, time, report. Whatever the kernel does, only this
 * process dies.
 *
 * Order of things: limits and the read-only cache first, then the kernel's code is loaded and its
 * memory and threads made; then the sandbox is closed (sandbox.c) and the ready byte starts the
 * parent's time-out; only then does foreign code run. The
 * phase stands in memory shared with the parent. The process ends with _exit: nothing of the
 * parent's (buffers, handlers) runs twice. */
#include <string.h>
#include <unistd.h>

#include "rpc/board.h"
#include "rpc/sandbox.h"

/* Constants from this size on are used where they lie, in the cache, which is read-only here.
 * Smaller ones stay in the processor's caches from run to run: in small pages, at some place that a
 * blob keeps for good, they would be lucky or unlucky with cache sets in all of a task's
 * measurements (a kernel timed against itself: standard deviation 5.7 %; 2.4 % with copies). They
 * would change counts, too. */
enum { BORROW = 8 << 20 };

/* A kernel in this process. */
typedef struct loaded_kernel {
  neo_loaded *object;
  neo_kernel_fn fn[NEO_JOB_MAX_LAUNCHES];
  neo_device_function *function[NEO_JOB_MAX_LAUNCHES]; /* of a GPU: instead of fn */
  bool on_device;
  neo_harness_memory *memory;
  neo_verify_case cases[NEO_JOB_MAX_CASES];
} loaded_kernel;

typedef struct child {
  neo_ctx *ctx;
  const neo_board_job *job;
  int pipe_fd;
  neo_pool *pool;
  neo_device *device; /* NULL: no kernel is for a GPU */
  bool limited;       /* memory and files */
  bool ready;         /* the parent knows that setting up is over */
  loaded_kernel kernel, incumbent;
  loaded_kernel counted; /* the kernel again: the emulator is slow where it counts */
  neo_job_result result;
} child;

static void enter(child *c, neo_phase phase) {
  atomic_store(&c->job->shared->phase, (unsigned char)phase);
}

/* ---- outcomes ---------------------------------------------------------------------------------------- */

static neo_status outcome(child *c, neo_job_outcome outcome_, const char *text) {
  c->result.outcome = outcome_;
  snprintf(c->result.text, sizeof(c->result.text), "%.255s", text);
  return NEO_INTERNAL; /* stops the sequence; the result says why */
}

static neo_status failure(child *c, neo_job_outcome if_input) {
  bool board = c->ctx->status == NEO_NO_MEMORY || c->ctx->status == NEO_INTERNAL;
  return outcome(c, board ? NEO_OUTCOME_BOARD : if_input, c->ctx->message);
}

static neo_status judge(child *c) {
  const neo_verify_result *v = &c->result.verify;
  char text[256];
  switch (v->verdict) {
  case NEO_VERDICT_OK:
    return NEO_OK;
  case NEO_VERDICT_WRONG:
    snprintf(text, sizeof(text),
             "buffer %d, element %lld: got %.9g, want %.9g (%.3g times the tolerance)", v->buffer,
             (long long)v->element, v->got, v->want, v->max_error);
    break;
  case NEO_VERDICT_REDZONE:
    snprintf(text, sizeof(text), "wrote outside its memory or into an input, at buffer %d of %u",
             v->buffer, (unsigned)c->job->job->kernel.n_buffers);
    break;
  case NEO_VERDICT_STALE:
    snprintf(text, sizeof(text),
             "buffer %d, element %lld: depends on what memory held before the run", v->buffer,
             (long long)v->element);
    break;
  case NEO_VERDICT_FAILED:
    snprintf(text, sizeof(text), "kernel returned %.0f", v->got);
    break;
  }
  return outcome(c, NEO_OUTCOME_VERDICT, text);
}

/* ---- limits; GPUs ------------------------------------------------------------------------------- */

/* Before any foreign code runs. Not for a GPU's kernels: drivers map, write caches and have threads
 * as they like. What a driver that runs kernels here (PoCL) lets them do, this process suffers. */
static void limit_kernel(child *c) {
  if (c->limited || c->device)
    return;
  c->limited = true;
  neo_board_limit(c->job->job);
}

/* Compiles launch i, which is no function, for the GPU; *out_found: it is a kernel for one. */
static neo_status find_device_function(child *c, loaded_kernel *k, uint32_t i, const char *name,
                                       bool *out_found) {
  const neo_device_kernel *kernel = neo_object_device_kernel(k->object, name);
  char api[sizeof(kernel->api) + 1] = "";
  *out_found = kernel != NULL;
  if (!kernel)
    return NEO_OK;
  memcpy(api, kernel->api, sizeof(kernel->api));
  k->on_device = true;
  uint32_t n_buffers = c->job->job->kernel.n_buffers; /* and perhaps work memory */
  if (kernel->n_args != n_buffers && kernel->n_args != n_buffers + 1)
    return outcome(c, NEO_OUTCOME_LOAD, "the kernel has not as many arguments as buffers");
  if (!c->device && neo_device_open(c->ctx, api, &c->device) != NEO_OK)
    return failure(c, NEO_OUTCOME_BOARD);
  if (neo_device_load(c->ctx, c->device, kernel, &k->function[i]) != NEO_OK)
    return failure(c, NEO_OUTCOME_LOAD);
  return NEO_OK;
}

/* ---- loading ------------------------------------------------------------------------------------------ */

static neo_status find_functions(child *c, const neo_job_kernel *job, loaded_kernel *k) {
  for (uint32_t i = 0; i < job->n_launches; i++) {
    char name[80], text[160];
    snprintf(name, sizeof(name), "%s_%u", job->symbol, (unsigned)i);
    k->fn[i] = neo_object_symbol(k->object, name);
    bool found = k->fn[i] && !k->on_device;
    if (!k->fn[i] && (i == 0 || k->on_device))
      NEO_TRY(find_device_function(c, k, i, name, &found));
    if (found)
      continue;
    snprintf(text, sizeof(text), "object has no function '%s'", name);
    return outcome(c, NEO_OUTCOME_LOAD, text);
  }
  return NEO_OK;
}

static neo_status load_kernel(child *c, const neo_board_kernel *from, loaded_kernel *k,
                              const neo_harness_memory *beside) {
  const neo_job_kernel *job = from->job;
  if (neo_object_load(c->ctx, from->object, from->object_size, &k->object) != NEO_OK)
    return failure(c, NEO_OUTCOME_LOAD);
  NEO_TRY(find_functions(c, job, k));
  if (k->on_device != c->kernel.on_device) /* the other's code would run without limits */
    return outcome(c, NEO_OUTCOME_LOAD, "one kernel is for the GPU, the other is not");
  limit_kernel(c);
  const neo_harness_kernel kernel = {.n_launches = (int)job->n_launches,
                                     .fn = k->fn,
                                     .grid = job->grid,
                                     .n_buffers = (int)job->n_buffers,
                                     .bytes = job->bytes,
                                     .role = job->role,
                                     .borrow = c->job->counters || k->on_device ? 0 : BORROW,
                                     .beside = k->on_device ? NULL : beside,
                                     .device = k->on_device ? c->device : NULL,
                                     .function = k->function,
                                     .work_bytes = job->work_bytes,
                                     .scratch_bytes = job->scratch_bytes};
  if (neo_harness_memory_create(c->ctx, &kernel, (int)c->job->job->threads, &k->memory) != NEO_OK)
    return failure(c, NEO_OUTCOME_BOARD);
  if (c->job->counters)
    neo_count_region(c->job->counters, k == &c->counted ? k->object : NULL, k->memory);
  for (uint32_t i = 0; i < c->job->job->n_cases; i++)
    k->cases[i] = (neo_verify_case){from->data[i], from->size[i]};
  if (neo_harness_memory_load(c->ctx, k->memory, job->role, &k->cases[0]) != NEO_OK)
    return failure(c, NEO_OUTCOME_BOARD);
  return NEO_OK;
}

static void say_ready(child *c) {
  const char byte = NEO_CHILD_READY;
  if (!c->ready && write(c->pipe_fd, &byte, 1) != 1)
    _exit(1);
  c->ready = true;
}

static neo_status make_pool(child *c) {
  const neo_job *job = c->job->job;
  const neo_board_options *o = c->job->options;
  bool pin = job->pin && o->n_cpus >= (int)job->threads;
  if (neo_pool_create(c->ctx, NEO_POOL_PTHREAD, (int)job->threads, pin ? o->cpus : NULL,
                      &c->pool) != NEO_OK)
    return failure(c, NEO_OUTCOME_BOARD);
  return NEO_OK;
}

static neo_status prepare(child *c) {
  const neo_board_job *job = c->job;
  enter(c, NEO_PHASE_LOAD);
  NEO_TRY(load_kernel(c, &job->kernel, &c->kernel, NULL));
  if (job->job->kind == NEO_JOB_MEASURE && job->job->has_incumbent && !job->counters)
    NEO_TRY(load_kernel(c, &job->incumbent, &c->incumbent, c->kernel.memory));
  NEO_TRY(make_pool(c));
  if (!c->device && !job->counters) /* one loads the kernel again where it counts */
    neo_sandbox_enter(c->pipe_fd, &job->shared->call);
  say_ready(c);
  return NEO_OK;
}

/* ---- the two kinds of jobs ------------------------------------------------------------------------------ */

static neo_status check_zones(child *c) {
  int buffer;
  if (neo_harness_memory_intact(c->kernel.memory, &buffer))
    return NEO_OK;
  c->result.verify.verdict = NEO_VERDICT_REDZONE;
  c->result.verify.buffer = buffer;
  return judge(c);
}

static neo_status run_job(child *c) {
  const neo_job_kernel *job = &c->job->job->kernel;
  enter(c, NEO_PHASE_RUN);
  int32_t code = neo_harness_memory_run(c->kernel.memory, c->pool);
  NEO_TRY(check_zones(c));
  if (code) {
    c->result.verify = (neo_verify_result){.verdict = NEO_VERDICT_FAILED, .got = code};
    return judge(c);
  }
  void *const *buffer = neo_harness_memory_buffers(c->kernel.memory);
  for (uint32_t i = 0; i < job->n_buffers; i++)
    if (job->role[i] == 1)
      neo_buf_append(&c->result.output[c->result.n_outputs++], buffer[i], (size_t)job->bytes[i]);
  return NEO_OK;
}

/* What a candidate must pass that may become best: is it right after all its runs, and on every
 * pass? */
static neo_status verify_fully(child *c, const neo_verify_options *options, bool all_passes) {
  if (neo_harness_recheck(c->ctx, c->pool, c->kernel.memory, options, &c->result.verify) != NEO_OK)
    return failure(c, NEO_OUTCOME_BOARD);
  NEO_TRY(judge(c));
  if (!all_passes)
    return NEO_OK;
  enter(c, NEO_PHASE_VERIFY);
  if (neo_harness_verify(c->ctx, c->pool, c->kernel.memory, options, &c->result.verify) != NEO_OK)
    return failure(c, NEO_OUTCOME_BOARD);
  return judge(c);
}

static neo_status time_or_count(child *c) {
  const neo_job *job = c->job->job;
  neo_timing *timing = &c->result.timing;
  if (c->job->counters) {
    NEO_TRY(load_kernel(c, &c->job->kernel, &c->counted, NULL));
    return neo_count_run(c->ctx, c->job->counters, c->pool, c->counted.memory, timing);
  }
  return neo_harness_time(c->ctx, c->pool, c->kernel.memory, c->incumbent.memory, &job->timing,
                          timing);
}

static neo_status measure_job(child *c) {
  const neo_job *job = c->job->job;
  const neo_verify_options options = {.role = job->kernel.role,
                                      .dtype = job->kernel.dtype,
                                      .n_cases = (int)job->n_cases,
                                      .cases = c->kernel.cases,
                                      .rtol = job->rtol,
                                      .atol = job->atol};
  neo_verify_options brief = options;
  brief.brief = job->timing.thorough > 0 && job->has_incumbent;
  enter(c, NEO_PHASE_VERIFY);
  if (neo_harness_verify(c->ctx, c->pool, c->kernel.memory, &brief, &c->result.verify) != NEO_OK)
    return failure(c, NEO_OUTCOME_BOARD);
  NEO_TRY(judge(c));
  double max_error = c->result.verify.max_error;
  enter(c, NEO_PHASE_TIME);
  if (neo_harness_memory_load(c->ctx, c->kernel.memory, job->kernel.role, &c->kernel.cases[0]) !=
      NEO_OK)
    return failure(c, NEO_OUTCOME_BOARD);
  if (time_or_count(c) != NEO_OK) {
    c->result.verify.verdict = NEO_VERDICT_FAILED;
    return failure(c, NEO_OUTCOME_VERDICT);
  }
  NEO_TRY(check_zones(c));
  if (!brief.brief || c->result.timing.ratio < job->timing.thorough)
    NEO_TRY(verify_fully(c, &options, brief.brief));
  c->result.verify.max_error = max_error;
  return NEO_OK;
}

static void send_result(child *c) {
  static const char *const phases[] = {
#define X(name, text) text,
      NEO_PHASES(X)
#undef X
  };
  unsigned phase = atomic_load(&c->job->shared->phase);
  snprintf(c->result.phase, sizeof(c->result.phase), "%s",
           phases[phase < NEO_PHASE_COUNT ? phase : 0]);
  say_ready(c);
  neo_frame frame = {.type = NEO_MESSAGE_RESULT};
  neo_job_result_encode(&frame.payload, &c->result);
  if (neo_frame_send(c->ctx, c->pipe_fd, &frame, 0) != NEO_OK)
    _exit(1);
}

void neo_board_child(neo_ctx *ctx, const neo_board_job *job, int pipe_fd) {
  child c = {.ctx = ctx, .job = job, .pipe_fd = pipe_fd};
  neo_board_disposable(job, pipe_fd);
  neo_status status = prepare(&c);
  if (status == NEO_OK)
    status = job->job->kind == NEO_JOB_RUN ? run_job(&c) : measure_job(&c);
  if (status == NEO_OK)
    enter(&c, NEO_PHASE_DONE);
  send_result(&c);
  _exit(0);
}
