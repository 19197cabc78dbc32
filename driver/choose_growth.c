/* Which alternative each task takes: the fastest, as far as the model's parameters may grow.
 *
 * Why over the whole model: Winograd's F(4x4) stores a layer's weights four times as large. A limit
 * per layer would forbid it where it gains most, or let every layer take it.
 *
 * How: if all the fastest ones fit in growth x the model's own constants, that is it. Else every
 * task starts from its smallest alternative, and the step that gains most time per byte, of those
 * that fit, is taken until none is left: the greedy algorithm for the knapsack with choices, which
 * is within one step of the best. Tasks whose records all grow get a plain alternative from the
 * analytic model. Constants that several tasks share are counted for each. */
#include <string.h>

#include "driver/stages.h"

typedef struct budget {
  const neo_project *project;
  neo_alternatives *all; /* by task */
  int *pick;
  double used, limit; /* bytes */
} budget;

static double own_bytes(const neo_task *task) {
  return neo_te_constant_bytes(&task->group->te) * task->weight;
}

static const neo_alternative *picked(const budget *b, int t) {
  return b->all[t].item[b->pick[t]];
}

static int smallest(const neo_alternatives *all) {
  int best = 0;
  for (int i = 1; i < all->n; i++)
    if (all->item[i]->bytes < all->item[best]->bytes)
      best = i;
  return best;
}

/* Nanoseconds of the model per byte, by task t's alternative i instead of its present one; 0 if it
 * is no gain or does not fit. */
static double gain(const budget *b, int t, int i) {
  const neo_alternative *now = picked(b, t), *then = b->all[t].item[i];
  double ns = (now->choice.ns - then->choice.ns) * b->project->task[t].weight;
  double bytes = then->bytes - now->bytes;
  if (ns <= 0 || b->used + bytes > b->limit)
    return 0;
  return bytes <= 0 ? 1e300 : ns / bytes;
}

static bool take_best_step(budget *b) {
  double best = 0;
  int task = -1, item = -1;
  for (int t = 0; t < b->project->n_tasks; t++)
    for (int i = 0; i < b->all[t].n; i++) {
      double rate = gain(b, t, i);
      if (rate > best) {
        best = rate;
        task = t;
        item = i;
      }
    }
  if (task < 0)
    return false;
  b->used += b->all[task].item[item]->bytes - picked(b, task)->bytes;
  b->pick[task] = item;
  return true;
}

static neo_status fit(neo_ctx *ctx, neo_arena *arena, budget *b) {
  const neo_project *project = b->project;
  b->used = 0;
  for (int t = 0; t < project->n_tasks; t++) {
    neo_alternatives *all = &b->all[t];
    const neo_task *task = &project->task[t];
    if (all->item[smallest(all)]->bytes > 1.01 * own_bytes(task))
      NEO_TRY(neo_task_add_plain(ctx, project, task, arena, all));
    b->pick[t] = smallest(all);
    b->used += picked(b, t)->bytes;
  }
  while (take_best_step(b))
    ;
  return NEO_OK;
}

static void explain(neo_choice *out, const neo_alternative *fastest, const neo_project *project) {
  snprintf(out->reason, sizeof out->reason,
           "parameters may grow %.3g x in all: %s, %.1f us, did not fit",
           project->max_params_growth,
           fastest->choice.schedule.n > 0 ? fastest->choice.schedule.instr[0].name : "",
           fastest->choice.ns / 1e3);
}

static neo_status choose(neo_ctx *ctx, const neo_project *project, neo_db *db, neo_choice **out) {
  neo_arena arena;
  neo_arena_init(&arena);
  size_t n = (size_t)project->n_tasks + 1;
  budget b = {.project = project,
              .all = neo_arena_alloc(&arena, sizeof *b.all * n),
              .pick = neo_arena_alloc(&arena, sizeof *b.pick * n),
              .limit = project->max_params_growth * project->constant_bytes * project->n_shapes};
  neo_status status = NEO_OK;
  for (int t = 0; t < project->n_tasks && status == NEO_OK; t++) {
    status = neo_task_alternatives(ctx, project, &project->task[t], db, &arena, &b.all[t]);
    if (status == NEO_OK)
      b.used += picked(&b, t)->bytes;
  }
  double plain = 0; /* padding of blocked layouts is not growth that one could choose */
  for (int t = 0; t < project->n_tasks; t++)
    plain += own_bytes(&project->task[t]);
  if (status == NEO_OK && b.used > b.limit * 1.01 && plain > 0)
    status = fit(ctx, &arena, &b);
  for (int t = 0; t < project->n_tasks && status == NEO_OK; t++) {
    const neo_alternative *fastest = b.all[t].item[0];
    *out[t] = picked(&b, t)->choice;
    if (picked(&b, t) != fastest)
      explain(out[t], fastest, project);
  }
  neo_arena_fini(&arena);
  return status;
}

neo_status neo_choose(neo_ctx *ctx, const neo_project *project, neo_db *db, neo_choice **out) {
  if (project->record_target[0])
    return choose(ctx, project, db, out);
  neo_project named = *project;
  NEO_TRY(neo_record_target(ctx, &project->target, db, named.record_target));
  return choose(ctx, &named, db, out);
}
