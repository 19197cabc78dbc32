/* The build pool: candidates become machine code on worker threads.
 *
 * How: one mutex guards an inbox and an outbox; workers take from the first and put into the
 * second. A build never fails the pool: its status and text say what went wrong. While paused,
 * workers finish what they have and start nothing (measuring needs all cores then). */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "measure/parts.h"

enum { MAX_BUILDERS = 64 };

struct neo_builder {
  neo_ctx ctx; /* for allocation and cloning; guarded by mutex */
  const neo_codegen *codegen;
  neo_target target;
  pthread_mutex_t mutex;
  pthread_cond_t work, finished;
  neo_build *inbox, **inbox_tail, *outbox, **outbox_tail;
  int busy, n_threads;
  bool stop, paused;
  int cpu[MAX_BUILDERS];
  pthread_t thread[MAX_BUILDERS];
};

neo_build *neo_build_create(neo_ctx *ctx, uint64_t id, int task, const neo_te *te,
                            const neo_schedule *schedule) {
  neo_build *build = neo_alloc(ctx, sizeof *build);
  if (!build)
    return NULL;
  build->allocator = ctx->allocator;
  build->id = id;
  build->task = task;
  build->te = te;
  build->schedule = *schedule;
  neo_arena_init(&build->arena);
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
  neo_schedule_signature(&buf, build->te, &build->schedule);
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
  snprintf(build->phase, sizeof build->phase, "lower");
  neo_status status =
      neo_schedule_rewrite(ctx, build->te, &build->schedule, &build->arena, &build->rewritten);
  if (status == NEO_OK)
    status = neo_schedule_packing(ctx, build->te, &build->schedule, &build->arena, &build->packing);
  if (status == NEO_OK)
    status =
        neo_schedule_lower(ctx, build->te, &build->schedule, target, &build->arena, &build->nest);
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

typedef struct builder_thread {
  neo_builder *builder;
  int index;
} builder_thread;

static void *builder_loop(void *self) {
  builder_thread start = *(builder_thread *)self;
  neo_builder *builder = start.builder;
  neo_ctx ctx;
  pthread_mutex_lock(&builder->mutex);
  neo_ctx_fork(&ctx, &builder->ctx);
  neo_free(&builder->ctx, self);
  if (builder->cpu[start.index] >= 0 && neo_cores_pin(&ctx, builder->cpu[start.index]) != NEO_OK)
    neo_ctx_clear(&ctx);
  while (!builder->stop) {
    neo_build *build = builder->paused ? NULL : builder->inbox;
    if (!build) {
      pthread_cond_wait(&builder->work, &builder->mutex);
      continue;
    }
    builder->inbox = build->next;
    if (!builder->inbox)
      builder->inbox_tail = &builder->inbox;
    pthread_mutex_unlock(&builder->mutex);
    build->next = NULL;
    neo_build_run(&ctx, build, builder->codegen, &builder->target);
    pthread_mutex_lock(&builder->mutex);
    *builder->outbox_tail = build;
    builder->outbox_tail = &build->next;
    builder->busy--;
    pthread_cond_signal(&builder->finished);
  }
  pthread_mutex_unlock(&builder->mutex);
  return NULL;
}

neo_status neo_builder_create(neo_ctx *ctx, int threads, const int *cpus,
                              const neo_codegen *codegen, const neo_target *target,
                              neo_builder **out) {
  neo_builder *builder = neo_alloc(ctx, sizeof *builder);
  if (!builder)
    return neo_fail(ctx, NEO_NO_MEMORY, "build pool");
  neo_ctx_fork(&builder->ctx, ctx);
  builder->codegen = codegen;
  builder->target = *target;
  builder->inbox_tail = &builder->inbox;
  builder->outbox_tail = &builder->outbox;
  pthread_mutex_init(&builder->mutex, NULL);
  pthread_cond_init(&builder->work, NULL);
  pthread_cond_init(&builder->finished, NULL);
  threads = threads < 1 ? 1 : threads > MAX_BUILDERS ? MAX_BUILDERS : threads;
  pthread_mutex_lock(&builder->mutex);
  for (int t = 0; t < threads; t++) {
    builder_thread *start = neo_alloc(&builder->ctx, sizeof *start);
    builder->cpu[t] = cpus ? cpus[t] : -1;
    if (!start)
      break;
    *start = (builder_thread){builder, t};
    if (pthread_create(&builder->thread[t], NULL, builder_loop, start) != 0) {
      neo_free(&builder->ctx, start);
      break;
    }
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
  pthread_mutex_unlock(&builder->mutex);
  for (int t = 0; t < builder->n_threads; t++)
    pthread_join(builder->thread[t], NULL);
  destroy_list(builder->inbox);
  destroy_list(builder->outbox);
  pthread_cond_destroy(&builder->finished);
  pthread_cond_destroy(&builder->work);
  pthread_mutex_destroy(&builder->mutex);
  neo_ctx ctx = {.allocator = builder->ctx.allocator};
  neo_free(&ctx, builder);
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
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += timeout_ms / 1000;
  until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_sec++;
    until.tv_nsec -= 1000000000;
  }
  pthread_mutex_lock(&builder->mutex);
  while (!builder->outbox && builder->busy > 0 && timeout_ms > 0)
    if (pthread_cond_timedwait(&builder->finished, &builder->mutex, &until) == ETIMEDOUT)
      break;
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
