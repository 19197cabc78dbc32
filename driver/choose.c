/* Where a task's schedule comes from: the store's best record, else a near record transferred, else
 * the analytic pick, else the naive nest.
 *
 * Why in this order: a bad store can cost speed, never correctness; so every line read from it is
 * parsed, lowered and checked again, and what does not replay is passed over with its reason. */
#include <string.h>

#include "driver/stages.h"

const char *neo_choice_name(neo_choice_kind kind) {
  switch (kind) {
#define X(name, text)                                                                              \
  case NEO_CHOICE_##name:                                                                          \
    return text;
    NEO_CHOICES(X)
#undef X
  }
  return "?";
}

bool neo_task_replays(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                      const neo_schedule *schedule) {
  neo_arena arena;
  neo_arena_init(&arena);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  bool ok =
      neo_schedule_lower(ctx, &task->group->te, schedule, &project->target, &arena, nest) == NEO_OK;
  neo_arena_fini(&arena);
  return ok;
}

const char *neo_accuracy_name(neo_accuracy accuracy) {
  return accuracy == NEO_ACCURACY_EXACT  ? "exact"
         : accuracy == NEO_ACCURACY_FAST ? "fast"
                                         : "default";
}

static bool from_record(neo_ctx *ctx, const neo_project *project, const neo_task *task, neo_db *db,
                        neo_choice *out) {
  neo_db_query query = {.workload = task->group->key,
                        .target = project->target_text,
                        .threads = project->threads,
                        .layout = task->signature,
                        .error_class_max = neo_accuracy_name(project->accuracy)};
  neo_db_row row = {0};
  bool found = false;
  if (neo_db_best(ctx, db, &query, &row, &found) != NEO_OK || !found) {
    snprintf(out->reason, sizeof out->reason, "%.199s",
             ctx->status ? ctx->message
                         : "no record of this workload, target, threads and layouts");
    neo_ctx_clear(ctx);
    return false;
  }
  bool good = neo_schedule_parse(ctx, row.trial.schedule, &out->schedule) == NEO_OK &&
              neo_task_replays(ctx, project, task, &out->schedule);
  if (good)
    out->ns = row.trial.ns;
  else
    snprintf(out->reason, sizeof out->reason, "record %lld is stale: %.120s",
             (long long)row.trial.id, ctx->message);
  neo_ctx_clear(ctx);
  neo_db_row_fini(&row);
  return good;
}

static bool from_near(neo_ctx *ctx, const neo_project *project, const neo_task *task, neo_db *db,
                      const neo_space *space, neo_choice *out) {
  neo_description description;
  neo_task_describe(task, &description);
  neo_db_row row[4] = {0};
  int n = 0;
  bool good = false;
  neo_db_near_query query = {&description.workload, project->target_text, project->threads,
                             NEO_COUNT(row)};
  if (neo_db_near(ctx, db, &query, row, &n) != NEO_OK)
    neo_ctx_clear(ctx);
  for (int i = 0; i < n; i++) {
    neo_candidate candidate;
    neo_schedule schedule;
    if (!good && neo_schedule_parse(ctx, row[i].trial.schedule, &schedule) == NEO_OK &&
        neo_space_transfer(space, &schedule, &candidate)) {
      neo_space_schedule(space, &candidate, &out->schedule);
      out->ns = neo_space_predict(space, &candidate);
      good = neo_task_replays(ctx, project, task, &out->schedule);
    }
    neo_ctx_clear(ctx);
    neo_db_row_fini(&row[i]);
  }
  neo_description_fini(&description);
  return good;
}

neo_status neo_choose(neo_ctx *ctx, const neo_project *project, const neo_task *task, neo_db *db,
                      neo_choice *out) {
  memset(out, 0, sizeof *out);
  out->kind = NEO_CHOICE_HIT;
  if (db && from_record(ctx, project, task, db, out))
    return NEO_OK;
  if (!db)
    snprintf(out->reason, sizeof out->reason, "no database");
  neo_space *space = NULL;
  NEO_TRY(neo_project_space(ctx, project, task, &space));
  neo_candidate best[4];
  out->kind = NEO_CHOICE_NEAR;
  bool good = db && from_near(ctx, project, task, db, space, out);
  if (!good) {
    out->kind = NEO_CHOICE_ANALYTIC;
    int n = neo_space_analytic(space, NEO_COUNT(best), best);
    for (int i = 0; i < n && !good; i++) {
      neo_space_schedule(space, &best[i], &out->schedule);
      out->ns = neo_space_predict(space, &best[i]);
      good = neo_task_replays(ctx, project, task, &out->schedule);
      if (!good)
        neo_log(ctx, NEO_LOG_WARN, "%s: the analytic schedule does not replay: %s",
                task->group->name, ctx->message);
      neo_ctx_clear(ctx);
    }
  }
  neo_space_destroy(space);
  if (!good) {
    out->kind = NEO_CHOICE_NAIVE;
    neo_schedule_naive(&out->schedule);
    for (int b = 0; b < task->group->te.n_buffers; b++)
      if (task->layout[b].n)
        neo_schedule_set_layout(&out->schedule, b, &task->layout[b]);
  }
  return NEO_OK;
}
