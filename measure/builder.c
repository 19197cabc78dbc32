/* The build pool: candidates become machine code on worker threads.
 *
 * How: one mutex guards an inbox and an outbox; workers take from the first and put into the
 * second. A build never fails the pool: its status and text say what went wrong. While paused,
 * workers finish what they have and start nothing (measuring needs all cores then).
 *
 * A code generator that does not come back must not stop the run, and a thread cannot be killed
 * safely. So a build past its time limit is given up: a failed one is handed out in its place, its
 * thread is detached and another one started. Should it come back after all, it frees its build and
 * ends; whoever is last frees the pool.
 *
 * Invariants
 * 1. A worker's `build` and everything it points to belongs to that thread alone until it is in the
 *    outbox; nothing that a worker uses while building belongs to the caller.
 * 2. A worker that is `lost` is in no slot, and touches the pool only to leave it. */
#include <pthread.h>
#include <string.h>

#include "base/condition.h"
#include "measure/parts.h"

enum { MAX_BUILDERS = 64, TIMEOUT_MS = 60000 };

typedef struct worker {
  struct neo_builder *builder;
  pthread_t thread;
  int slot, cpu;    /* slot -1: for one build (neo_builder_run); cpu -1: not pinned */
  neo_build *build; /* NULL: idle */
  uint64_t since;   /* when it was started */
  bool lost, done;  /* done: a slot -1 worker's build is finished */
} worker;

struct neo_builder {
  neo_ctx ctx; /* for allocation and cloning; guarded by mutex */
  const neo_codegen *codegen;
  neo_target target;
  uint64_t timeout_ns;
  pthread_mutex_t mutex;
  pthread_cond_t work, finished;
  neo_build *inbox, **inbox_tail, *outbox, **outbox_tail;
  int busy, running, lost, n_threads;
  bool stop, closed, paused; /* closed: destroyed, but for workers that are lost */
  worker *slot[MAX_BUILDERS];
};

neo_build *neo_build_create(neo_ctx *ctx, uint64_t id, int task, const neo_te *te,
                            const neo_schedule *schedule) {
  neo_build *build = neo_alloc(ctx, sizeof *build);
  if (!build)
    return NULL;
  build->allocator = ctx->allocator;
  build->id = id;
  build->task = task;
  build->schedule = *schedule;
  neo_arena_init(&build->arena);
  neo_te_copy(&build->te, &build->arena, te);
  return build;
}

void neo_build_destroy(neo_build *build) {
  if (!build)
    return;
  neo_object_fini(&build->object);
  neo_arena_fini(&build->arena);
  neo_ctx ctx = {.allocator = build->allocator};
  neo_free(&ctx, build);
}

/* Two candidates with the same identity would run the same machine code on the same data. */
static void identify(neo_build *build) {
  neo_buf buf = {0};
  neo_buf_printf(&buf, "%s", build->object.code_hash);
  for (int l = 0; l < build->nest.n_launches; l++)
    neo_buf_printf(&buf, " %lld", (long long)build->nest.launch[l].grid);
  neo_buf_text(&buf, " ");
  neo_schedule_signature(&buf, &build->te, &build->schedule);
  for (int p = 0; p < build->packing.n; p++) {
    neo_buf_text(&buf, " ");
    neo_layout_print(&buf, &build->packing.pack[p].layout, NEO_MAX_RANK);
    if (build->packing.pack[p].has_te)
      neo_te_print(&buf, &build->packing.pack[p].te);
  }
  neo_key_text(buf.data, buf.size, build->identity);
  neo_buf_fini(&buf);
}

void neo_build_run(neo_ctx *ctx, neo_build *build, const neo_codegen *codegen,
                   const neo_target *target) {
  uint64_t start = neo_now_ns(ctx);
  neo_target processor = *target;
  if (build->for_processor && neo_target_is_gpu(target)) {
    processor.gpu = (neo_gpu){{0}};
    target = &processor;
    codegen = neo_codegen_find("llvm");
  }
  snprintf(build->phase, sizeof build->phase, "lower");
  neo_status status =
      neo_schedule_rewrite(ctx, &build->te, &build->schedule, &build->arena, &build->rewritten);
  if (status == NEO_OK)
    status =
        neo_schedule_packing(ctx, &build->te, &build->schedule, &build->arena, &build->packing);
  if (status == NEO_OK)
    status =
        neo_schedule_lower(ctx, &build->te, &build->schedule, target, &build->arena, &build->nest);
  if (status == NEO_OK &&
      (build->nest.n_params > NEO_JOB_MAX_BUFFERS || build->nest.n_launches > NEO_JOB_MAX_LAUNCHES))
    status = neo_fail(ctx, NEO_UNSUPPORTED, "kernel with %d buffers and %d launches",
                      build->nest.n_params, build->nest.n_launches);
  if (status == NEO_OK) {
    snprintf(build->phase, sizeof build->phase, "build");
    neo_nest_expand_math(&build->nest);
    status = codegen->build(ctx, &build->nest, target, "k", &build->object);
  }
  if (status == NEO_OK)
    identify(build);
  build->status = status;
  snprintf(build->text, sizeof build->text, "%.399s", status == NEO_OK ? "" : ctx->message);
  neo_ctx_clear(ctx);
  build->build_ns = (double)(neo_now_ns(ctx) - start);
}

/* ---- workers; the mutex is held -------------------------------------------------------------------- */

static void builder_free(neo_builder *builder) {
  pthread_cond_destroy(&builder->finished);
  pthread_cond_destroy(&builder->work);
  pthread_mutex_destroy(&builder->mutex);
  neo_ctx ctx = {.allocator = builder->ctx.allocator};
  neo_free(&ctx, builder);
}

static void hand_out(neo_builder *builder, neo_build *build) {
  build->next = NULL;
  *builder->outbox_tail = build;
  builder->outbox_tail = &build->next;
  builder->busy--;
}

static neo_build *next_build(neo_builder *builder) {
  neo_build *build = builder->paused ? NULL : builder->inbox;
  if (!build)
    return NULL;
  builder->inbox = build->next;
  if (!builder->inbox)
    builder->inbox_tail = &builder->inbox;
  build->next = NULL;
  return build;
}

/* Builds without the mutex. False if the worker was given up meanwhile. */
static bool build_now(neo_ctx *ctx, worker *me) {
  neo_builder *builder = me->builder;
  me->since = neo_now_ns(ctx);
  builder->running++;
  pthread_mutex_unlock(&builder->mutex);
  neo_build_run(ctx, me->build, builder->codegen, &builder->target);
  pthread_mutex_lock(&builder->mutex);
  if (!me->lost)
    builder->running--;
  return !me->lost;
}

static void *worker_main(void *self) {
  worker *me = self;
  neo_builder *builder = me->builder;
  neo_ctx ctx;
  pthread_mutex_lock(&builder->mutex);
  neo_ctx_fork(&ctx, &builder->ctx);
  if (me->cpu >= 0 && neo_cores_pin(&ctx, me->cpu) != NEO_OK)
    neo_ctx_clear(&ctx);
  if (me->slot < 0)
    me->done = build_now(&ctx, me);
  while (me->slot >= 0 && !me->lost && !builder->stop) {
    me->build = next_build(builder);
    if (!me->build) {
      pthread_cond_wait(&builder->work, &builder->mutex);
    } else if (build_now(&ctx, me)) {
      hand_out(builder, me->build);
      me->build = NULL;
      pthread_cond_broadcast(&builder->finished);
    }
  }
  pthread_cond_broadcast(&builder->finished);
  bool last = false;
  neo_ctx memory = {.allocator = builder->ctx.allocator};
  if (me->lost) {
    neo_build_destroy(me->build);
    last = --builder->lost == 0 && builder->closed;
    neo_free(&memory, me);
  }
  pthread_mutex_unlock(&builder->mutex);
  if (last)
    builder_free(builder);
  return NULL;
}

static worker *start_worker(neo_builder *builder, int slot, int cpu, neo_build *build) {
  worker *w = neo_alloc(&builder->ctx, sizeof *w);
  if (!w)
    return NULL;
  *w = (worker){.builder = builder, .slot = slot, .cpu = cpu, .build = build};
  if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
    neo_free(&builder->ctx, w);
    return NULL;
  }
  return w;
}

static neo_build *failed_like(neo_builder *builder, const neo_build *build) {
  neo_build *out =
      neo_build_create(&builder->ctx, build->id, build->task, &build->te, &build->schedule);
  if (!out)
    return NULL;
  out->status = NEO_INTERNAL;
  out->build_ns = (double)builder->timeout_ns;
  snprintf(out->phase, sizeof out->phase, "build");
  snprintf(out->text, sizeof out->text, "not built within %.1f s: given up",
           (double)builder->timeout_ns / 1e9);
  return out;
}

/* Leaves the worker to itself; the failed build in place of its own, NULL without memory (then
 * nothing changed). te, schedule and id of a build do not change while it is built. */
static neo_build *give_up(neo_builder *builder, worker *w) {
  neo_build *failed = failed_like(builder, w->build);
  if (!failed)
    return NULL;
  neo_log(&builder->ctx, NEO_LOG_WARN, "a build does not end; its thread is left to itself");
  w->lost = true;
  builder->lost++;
  builder->running--;
  pthread_detach(w->thread);
  return failed;
}

static bool is_late(neo_builder *builder, const worker *w) {
  return w && w->build && w->since > 0 &&
         neo_now_ns(&builder->ctx) - w->since > builder->timeout_ns;
}

static void give_up_late_ones(neo_builder *builder) {
  for (int s = 0; s < builder->n_threads; s++) {
    worker *w = builder->slot[s];
    neo_build *failed = is_late(builder, w) ? give_up(builder, w) : NULL;
    if (!failed)
      continue;
    hand_out(builder, failed);
    builder->slot[s] = start_worker(builder, s, w->cpu, NULL);
  }
}

static void wait_finished(neo_builder *builder, int ms) {
  neo_condition_wait(&builder->finished, &builder->mutex, ms);
}

/* ---- the pool --------------------------------------------------------------------------------------- */

neo_status neo_builder_create(neo_ctx *ctx, const neo_builder_options *options, neo_builder **out) {
  neo_builder *builder = neo_alloc(ctx, sizeof *builder);
  if (!builder)
    return neo_fail(ctx, NEO_NO_MEMORY, "build pool");
  neo_ctx_fork(&builder->ctx, ctx);
  builder->codegen = options->codegen;
  builder->target = *options->target;
  builder->timeout_ns =
      (uint64_t)(options->timeout_ms > 0 ? options->timeout_ms : TIMEOUT_MS) * 1000000u;
  builder->inbox_tail = &builder->inbox;
  builder->outbox_tail = &builder->outbox;
  pthread_mutex_init(&builder->mutex, NULL);
  pthread_cond_init(&builder->work, NULL);
  neo_condition_init(&builder->finished);
  int threads = options->threads < 1              ? 1
                : options->threads > MAX_BUILDERS ? MAX_BUILDERS
                                                  : options->threads;
  pthread_mutex_lock(&builder->mutex);
  while (builder->n_threads < threads) {
    int s = builder->n_threads;
    builder->slot[s] = start_worker(builder, s, options->cpus ? options->cpus[s] : -1, NULL);
    if (!builder->slot[s])
      break;
    builder->n_threads++;
  }
  pthread_mutex_unlock(&builder->mutex);
  if (builder->n_threads == 0) {
    neo_builder_destroy(builder);
    return neo_fail(ctx, NEO_NO_MEMORY, "build pool: no thread could be started");
  }
  *out = builder;
  return NEO_OK;
}

static void destroy_list(neo_build *build) {
  while (build) {
    neo_build *next = build->next;
    neo_build_destroy(build);
    build = next;
  }
}

void neo_builder_destroy(neo_builder *builder) {
  if (!builder)
    return;
  pthread_mutex_lock(&builder->mutex);
  builder->stop = true;
  pthread_cond_broadcast(&builder->work);
  for (bool waiting = true; waiting;) {
    give_up_late_ones(builder);
    waiting = builder->running > 0;
    if (waiting)
      wait_finished(builder, 20);
  }
  pthread_mutex_unlock(&builder->mutex);
  for (int s = 0; s < builder->n_threads; s++)
    if (builder->slot[s]) {
      pthread_join(builder->slot[s]->thread, NULL);
      neo_free(&builder->ctx, builder->slot[s]);
    }
  pthread_mutex_lock(&builder->mutex);
  destroy_list(builder->inbox);
  destroy_list(builder->outbox);
  bool last = builder->lost == 0;
  builder->closed = true;
  builder->ctx.log = NULL; /* the caller's is gone for threads that come back */
  pthread_mutex_unlock(&builder->mutex);
  if (last)
    builder_free(builder);
}

void neo_builder_submit(neo_builder *builder, neo_build *build) {
  pthread_mutex_lock(&builder->mutex);
  build->next = NULL;
  *builder->inbox_tail = build;
  builder->inbox_tail = &build->next;
  builder->busy++;
  pthread_cond_signal(&builder->work);
  pthread_mutex_unlock(&builder->mutex);
}

neo_build *neo_builder_take(neo_builder *builder, int timeout_ms) {
  enum { LOOK_MS = 20 };
  pthread_mutex_lock(&builder->mutex);
  uint64_t until = neo_deadline(&builder->ctx, timeout_ms);
  for (;;) {
    give_up_late_ones(builder);
    uint64_t now = neo_now_ns(&builder->ctx);
    if (builder->outbox || builder->busy == 0 || now >= until)
      break;
    uint64_t left = (until - now) / 1000000u + 1;
    wait_finished(builder, left < LOOK_MS ? (int)left : LOOK_MS);
  }
  neo_build *build = builder->outbox;
  if (build) {
    builder->outbox = build->next;
    if (!builder->outbox)
      builder->outbox_tail = &builder->outbox;
    build->next = NULL;
  }
  pthread_mutex_unlock(&builder->mutex);
  return build;
}

neo_build *neo_builder_run(neo_builder *builder, neo_build *build) {
  pthread_mutex_lock(&builder->mutex);
  worker *w = start_worker(builder, -1, -1, build);
  neo_build *failed = NULL;
  while (w && !w->done && !failed) {
    wait_finished(builder, 20);
    if (!w->done && is_late(builder, w))
      failed = give_up(builder, w);
  }
  pthread_mutex_unlock(&builder->mutex);
  if (w && !failed) {
    pthread_join(w->thread, NULL);
    pthread_mutex_lock(&builder->mutex);
    neo_free(&builder->ctx, w);
    pthread_mutex_unlock(&builder->mutex);
  }
  if (!w)
    neo_build_destroy(build);
  return failed ? failed : w ? build : NULL;
}

int neo_builder_busy(const neo_builder *builder) {
  neo_builder *unlocked = (neo_builder *)builder;
  pthread_mutex_lock(&unlocked->mutex);
  int busy = builder->busy;
  pthread_mutex_unlock(&unlocked->mutex);
  return busy;
}

void neo_builder_pause(neo_builder *builder, bool pause) {
  pthread_mutex_lock(&builder->mutex);
  builder->paused = pause;
  if (!pause)
    pthread_cond_broadcast(&builder->work);
  pthread_mutex_unlock(&builder->mutex);
}

void neo_builder_settle(neo_builder *builder) {
  pthread_mutex_lock(&builder->mutex);
  while (builder->running > 0 || (builder->inbox && !builder->paused)) {
    give_up_late_ones(builder);
    wait_finished(builder, 20);
  }
  pthread_mutex_unlock(&builder->mutex);
}

int neo_builder_given_up(const neo_builder *builder) {
  neo_builder *unlocked = (neo_builder *)builder;
  pthread_mutex_lock(&unlocked->mutex);
  int lost = builder->lost;
  pthread_mutex_unlock(&unlocked->mutex);
  return lost;
}
