/* Nests and machine code of a project's tasks, on several threads.
 *
 * How: lowering and code generation are pure functions of the task and its choice and run on
 * workers that take tasks from a shared counter. The first failure wins and stops the others at
 * their next task. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "driver/stages.h"

typedef struct build_shared {
  const neo_project *project;
  const neo_codegen *codegen;
  neo_built *built;
  atomic_int next, failed;
} build_shared;

typedef struct build_worker {
  build_shared *shared;
  neo_ctx ctx;
  neo_status status;
} build_worker;

static neo_status build_one(neo_ctx *ctx, const build_shared *shared, int t) {
  const neo_project *project = shared->project;
  const neo_te *te = &project->task[t].group->te;
  neo_built *built = &shared->built[t];
  snprintf(built->symbol, sizeof built->symbol, "t%d", t);
  NEO_TRY(neo_schedule_rewrite(ctx, te, &built->choice.schedule, &built->arena, &built->te));
  NEO_TRY(neo_schedule_packing(ctx, te, &built->choice.schedule, &built->arena, &built->packing));
  NEO_TRY(neo_schedule_lower(ctx, te, &built->choice.schedule, &project->target, &built->arena,
                             &built->nest));
  built->nest.align = built->align;
  neo_nest_expand_math(&built->nest);
  return shared->codegen->build(ctx, &built->nest, &project->target, built->symbol, &built->object);
}

static void *build_loop(void *self) {
  build_worker *worker = self;
  build_shared *shared = worker->shared;
  while (!atomic_load(&shared->failed)) {
    int t = atomic_fetch_add(&shared->next, 1);
    if (t >= shared->project->n_tasks)
      break;
    worker->status = build_one(&worker->ctx, shared, t);
    if (worker->status != NEO_OK)
      atomic_store(&shared->failed, 1);
  }
  return NULL;
}

neo_status neo_build_tasks(neo_ctx *ctx, const neo_project *project, const neo_codegen *codegen,
                           int jobs, neo_built *built) {
  for (int t = 0; t < project->n_tasks; t++)
    neo_arena_init(&built[t].arena);
  enum { MAX_JOBS = 64 };
  build_shared shared = {.project = project, .codegen = codegen, .built = built};
  build_worker worker[MAX_JOBS];
  pthread_t thread[MAX_JOBS];
  jobs = jobs < 1 ? 1 : jobs > MAX_JOBS ? MAX_JOBS : jobs;
  int started = 1;
  for (int j = 0; j < jobs; j++) {
    worker[j] = (build_worker){.shared = &shared};
    neo_ctx_fork(&worker[j].ctx, ctx);
  }
  while (started < jobs &&
         pthread_create(&thread[started], NULL, build_loop, &worker[started]) == 0)
    started++;
  build_loop(&worker[0]);
  for (int j = 1; j < started; j++)
    pthread_join(thread[j], NULL);
  for (int j = 0; j < started; j++)
    if (worker[j].status != NEO_OK)
      return neo_fail(ctx, worker[j].status, "%s", worker[j].ctx.message);
  return NEO_OK;
}

void neo_built_fini(neo_built *built) {
  neo_object_fini(&built->object);
  neo_arena_fini(&built->arena);
}
