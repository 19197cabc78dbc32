/* What a task's schedule may be: records of this very task, else a near record transferred or the
 * analytic model's picks, else the naive nest. Which of them it is, the model's memory has a say
 * in: choose_growth.c.
 *
 * Why in this order: a bad store can cost speed, never correctness; so every line read from it is
 * parsed, lowered and checked again, and what does not replay is passed over with its reason: of
 * each algorithm the fastest TRIED records get their chance. */
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

/* ---- alternatives ------------------------------------------------------------------------------------- */

enum { TRIED = 8, RECORDS = 64, ROWS = 4096, ANALYTIC = 16 };

/* Bytes of the constants as this schedule stores them. */
static neo_status packed_bytes(neo_ctx *ctx, const neo_te *te, const neo_schedule *schedule,
                               double *out) {
  neo_arena arena;
  neo_packing packing;
  neo_arena_init(&arena);
  neo_status status = neo_schedule_packing(ctx, te, schedule, &arena, &packing);
  double sum = 0;
  for (int p = 0; status == NEO_OK && p < packing.n; p++) {
    const neo_pack *pack = &packing.pack[p];
    const neo_te_buffer *buffer = &te->buffer[pack->source];
    for (int b = 0; pack->has_te && b < pack->te.n_buffers; b++)
      if (pack->te.buffer[b].role == NEO_TE_OUT)
        buffer = &pack->te.buffer[b];
    sum += (double)neo_layout_elements(&pack->layout, &buffer->shape) *
           (double)neo_dtype_size(buffer->dtype);
  }
  neo_arena_fini(&arena);
  if (status == NEO_OK)
    *out = sum;
  return status;
}

static const char *algorithm_of(const neo_schedule *schedule) {
  return schedule->n > 0 ? schedule->instr[0].name : "";
}

static bool has_algorithm(const neo_alternatives *all, const neo_schedule *schedule) {
  for (int i = 0; i < all->n; i++)
    if (strcmp(algorithm_of(&all->item[i]->choice.schedule), algorithm_of(schedule)) == 0)
      return true;
  return false;
}

/* Adds it, if it replays, in the order of times. */
static bool add(neo_ctx *ctx, const neo_project *project, const neo_task *task, neo_arena *arena,
                const neo_choice *choice, neo_alternatives *all) {
  double bytes = 0;
  if (all->n == NEO_ALTERNATIVES || !neo_task_replays(ctx, project, task, &choice->schedule) ||
      packed_bytes(ctx, &task->group->te, &choice->schedule, &bytes) != NEO_OK)
    return false;
  neo_alternative *item = neo_arena_alloc(arena, sizeof *item);
  item->choice = *choice;
  item->bytes = bytes * task->weight;
  int at = all->n++;
  for (; at > 0 && all->item[at - 1]->choice.ns > choice->ns; at--)
    all->item[at] = all->item[at - 1];
  all->item[at] = item;
  return true;
}

/* ---- records ------------------------------------------------------------------------------------------ */

typedef struct record {
  int64_t id;
  double ns;
  const char *algorithm, *schedule;
} record;

typedef struct record_list {
  neo_arena arena;
  int n, rows;
  record item[RECORDS];
} record_list;

/* The fastest TRIED of each algorithm. */
static bool collect(void *self, const neo_db_trial *trial) {
  record_list *list = self;
  int same = 0;
  for (int i = 0; i < list->n; i++)
    same += strcmp(list->item[i].algorithm, trial->algorithm) == 0;
  if (same < TRIED && list->n < RECORDS)
    list->item[list->n++] =
        (record){trial->id, trial->ns, neo_arena_strdup(&list->arena, trial->algorithm),
                 neo_arena_strdup(&list->arena, trial->schedule)};
  return ++list->rows % ROWS != 0;
}

static void add_record(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                       neo_arena *arena, const record *from, neo_choice *choice,
                       neo_alternatives *all) {
  memset(choice, 0, sizeof *choice);
  choice->kind = NEO_CHOICE_HIT;
  choice->ns = from->ns;
  snprintf(choice->reason, sizeof choice->reason, "%s", all->reason);
  if (neo_schedule_parse(ctx, from->schedule, &choice->schedule) == NEO_OK &&
      has_algorithm(all, &choice->schedule))
    return; /* a faster record of the algorithm was good */
  if ((ctx->status != NEO_OK || !add(ctx, project, task, arena, choice, all)) && !all->reason[0])
    snprintf(all->reason, sizeof all->reason, "record %lld is stale: %.120s", (long long)from->id,
             ctx->message);
  neo_ctx_clear(ctx);
}

static neo_status add_records(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                              neo_db *db, neo_arena *arena, neo_alternatives *all) {
  neo_db_query query = {.workload = task->group->key,
                        .target = project->target_text,
                        .threads = project->threads,
                        .layout = task->signature,
                        .error_class_max = neo_accuracy_name(project->accuracy)};
  record_list *list = neo_alloc(ctx, sizeof *list);
  neo_choice *choice = neo_alloc(ctx, sizeof *choice);
  neo_status status = list && choice ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "choosing");
  if (status == NEO_OK) {
    neo_arena_init(&list->arena);
    if (neo_db_visit_best(ctx, db, &query, collect, list) != NEO_OK)
      snprintf(all->reason, sizeof all->reason, "%.199s", ctx->message);
    else if (list->n == 0)
      snprintf(all->reason, sizeof all->reason,
               "no record of this workload, target, threads and layouts");
    neo_ctx_clear(ctx);
    for (int i = 0; i < list->n; i++)
      add_record(ctx, project, task, arena, &list->item[i], choice, all);
    neo_arena_fini(&list->arena);
  }
  neo_free(ctx, list);
  neo_free(ctx, choice);
  return status;
}

/* ---- near records, the analytic model ------------------------------------------------------------- */

static void add_near(neo_ctx *ctx, const neo_project *project, const neo_task *task, neo_db *db,
                     const neo_space *space, neo_arena *arena, neo_choice *choice,
                     neo_alternatives *all) {
  neo_description description;
  neo_task_describe(task, &description);
  neo_db_row row[4] = {0};
  int n = 0;
  neo_db_near_query query = {&description.workload, project->target_text, project->threads,
                             NEO_COUNT(row)};
  if (neo_db_near(ctx, db, &query, row, &n) != NEO_OK)
    neo_ctx_clear(ctx);
  for (int i = 0; i < n; i++) {
    neo_candidate candidate;
    neo_schedule schedule;
    if (all->n == 0 && neo_schedule_parse(ctx, row[i].trial.schedule, &schedule) == NEO_OK &&
        neo_space_transfer(space, &schedule, &candidate)) {
      choice->kind = NEO_CHOICE_NEAR;
      neo_space_schedule(space, &candidate, &choice->schedule);
      choice->ns = neo_space_predict(space, &candidate);
      add(ctx, project, task, arena, choice, all);
    }
    neo_ctx_clear(ctx);
    neo_db_row_fini(&row[i]);
  }
  neo_description_fini(&description);
}

/* The best pick, or the best of each algorithm. */
static void add_analytic(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                         const neo_space *space, neo_arena *arena, neo_choice *choice,
                         neo_alternatives *all) {
  neo_candidate best[ANALYTIC];
  int n = neo_space_analytic(space, ANALYTIC, best);
  choice->kind = NEO_CHOICE_ANALYTIC;
  for (int i = 0; i < n; i++) {
    neo_space_schedule(space, &best[i], &choice->schedule);
    choice->ns = neo_space_predict(space, &best[i]);
    if (!has_algorithm(all, &choice->schedule) && !add(ctx, project, task, arena, choice, all) &&
        ctx->status != NEO_OK)
      neo_log(ctx, NEO_LOG_WARN, "%s: the analytic schedule does not replay: %s", task->group->name,
              ctx->message);
    neo_ctx_clear(ctx);
  }
}

static void add_naive(const neo_task *task, neo_arena *arena, neo_choice *choice,
                      neo_alternatives *all) {
  neo_alternative *item = neo_arena_alloc(arena, sizeof *item);
  choice->kind = NEO_CHOICE_NAIVE;
  choice->ns = 0;
  neo_schedule_naive(&choice->schedule);
  for (int b = 0; b < task->group->te.n_buffers; b++)
    if (task->layout[b].n)
      neo_schedule_set_layout(&choice->schedule, b, &task->layout[b]);
  item->choice = *choice;
  item->bytes = neo_te_constant_bytes(&task->group->te) * task->weight;
  all->item[all->n++] = item;
}

neo_status neo_task_alternatives(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                                 neo_db *db, neo_arena *arena, neo_alternatives *all) {
  memset(all, 0, sizeof *all);
  if (db)
    NEO_TRY(add_records(ctx, project, task, db, arena, all));
  else
    snprintf(all->reason, sizeof all->reason, "no database");
  if (all->n > 0)
    return NEO_OK;
  neo_space *space = NULL;
  neo_choice *choice = neo_arena_alloc(arena, sizeof *choice);
  memcpy(choice->reason, all->reason, sizeof choice->reason);
  NEO_TRY(neo_project_space(ctx, project, task, &space));
  if (db)
    add_near(ctx, project, task, db, space, arena, choice, all);
  if (all->n == 0)
    add_analytic(ctx, project, task, space, arena, choice, all);
  neo_space_destroy(space);
  if (all->n == 0)
    add_naive(task, arena, choice, all);
  return NEO_OK;
}

neo_status neo_task_add_plain(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                              neo_arena *arena, neo_alternatives *all) {
  neo_space *space = NULL;
  neo_choice *choice = neo_arena_alloc(arena, sizeof *choice);
  NEO_TRY(neo_project_space_within(ctx, project, task, 1, &space));
  add_analytic(ctx, project, task, space, arena, choice, all);
  neo_space_destroy(space);
  return NEO_OK;
}
