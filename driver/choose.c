/* What a task's schedule may be: records of this very task, else a near record transferred or the
 * analytic model's picks, else the naive nest. Which of them it is, the model's memory has a say
 * in: choose_growth.c.
 *
 * Why in this order: a bad store can cost speed, never correctness; so every line read from it is
 * parsed, lowered and checked again, and what does not replay is passed over with its reason: of
 * each algorithm the fastest TRIED records get their chance. */
#include <math.h>
#include <string.h>

#include "driver/stages.h"
#include "schedule/algorithm.h"

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
#define NEAR_WITHIN 1.1

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

/* What the alternatives of one task are gathered in. */
typedef struct chooser {
  neo_ctx *ctx;
  const neo_project *project;
  const neo_task *task;
  neo_db *db;
  neo_arena *arena;
  neo_choice *choice; /* the one under way */
  neo_alternatives *all;
} chooser;

static bool has_algorithm(const neo_alternatives *all, const neo_schedule *schedule) {
  for (int i = 0; i < all->n; i++)
    if (strcmp(algorithm_of(&all->item[i]->choice.schedule), algorithm_of(schedule)) == 0)
      return true;
  return false;
}

/* Adds the choice under way, if it replays, in the order of times. */
static bool add(const chooser *c) {
  double bytes = 0;
  neo_alternatives *all = c->all;
  const neo_schedule *schedule = &c->choice->schedule;
  if (all->n == NEO_ALTERNATIVES || !neo_task_replays(c->ctx, c->project, c->task, schedule) ||
      packed_bytes(c->ctx, &c->task->group->te, schedule, &bytes) != NEO_OK)
    return false;
  neo_alternative *item = neo_arena_alloc(c->arena, sizeof *item);
  item->choice = *c->choice;
  item->bytes = bytes * c->task->weight;
  int at = all->n++;
  for (; at > 0 && all->item[at - 1]->choice.ns > c->choice->ns; at--)
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

static void add_record(const chooser *c, const record *from) {
  neo_ctx *ctx = c->ctx;
  neo_choice *choice = c->choice;
  neo_alternatives *all = c->all;
  memset(choice, 0, sizeof *choice);
  choice->kind = NEO_CHOICE_HIT;
  choice->ns = from->ns;
  snprintf(choice->reason, sizeof choice->reason, "%s", all->reason);
  if (neo_schedule_parse(ctx, from->schedule, &choice->schedule) == NEO_OK) {
    if (has_algorithm(all, &choice->schedule))
      return; /* a faster record of the algorithm was good */
    const neo_schedule *line = &choice->schedule;
    if (line->n > 0 && neo_algorithm_accuracy(line->instr[0].name) > c->project->accuracy)
      neo_fail(ctx, NEO_BAD_INPUT, "%s needs another --accuracy", line->instr[0].name);
  }
  if ((ctx->status != NEO_OK || !add(c)) && !all->reason[0])
    snprintf(all->reason, sizeof all->reason, "record %lld is stale: %.120s", (long long)from->id,
             ctx->message);
  neo_ctx_clear(ctx);
}

static neo_status add_records(const chooser *c) {
  neo_db_query query = {.workload = c->task->group->key,
                        .target = c->project->record_target,
                        .threads = c->project->threads,
                        .layout = c->task->signature,
                        .error_class_max = neo_accuracy_name(c->project->accuracy)};
  neo_alternatives *all = c->all;
  record_list *list = neo_alloc(c->ctx, sizeof *list);
  if (!list)
    return neo_fail(c->ctx, NEO_NO_MEMORY, "choosing");
  neo_arena_init(&list->arena);
  if (neo_db_visit_best(c->ctx, c->db, &query, collect, list) != NEO_OK)
    snprintf(all->reason, sizeof all->reason, "%.199s", c->ctx->message);
  else if (list->n == 0)
    snprintf(all->reason, sizeof all->reason,
             "no record of this workload, target, threads and layouts");
  neo_ctx_clear(c->ctx);
  for (int i = 0; i < list->n; i++)
    add_record(c, &list->item[i]);
  neo_arena_fini(&list->arena);
  neo_free(c->ctx, list);
  return NEO_OK;
}

/* ---- near records, the analytic model ------------------------------------------------------------- */

/* What was measured on a near workload says more than the model about small differences, not about
 * large ones: a record transferred to a shape that it does not suit must not beat a good pick. */
static void add_near(const chooser *c, const neo_space *space) {
  neo_candidate pick;
  double limit = INFINITY;
  if (neo_space_analytic(space, 1, &pick) > 0)
    limit = NEAR_WITHIN * neo_space_predict(space, &pick);
  neo_description description;
  neo_task_describe(c->task, &description);
  neo_db_row row[4] = {0};
  int n = 0;
  neo_db_near_query query = {&description.workload, c->project->record_target, c->project->threads,
                             NEO_COUNT(row)};
  if (neo_db_near(c->ctx, c->db, &query, row, &n) != NEO_OK)
    neo_ctx_clear(c->ctx);
  for (int i = 0; i < n; i++) {
    neo_candidate candidate;
    neo_schedule schedule;
    if (c->all->n == 0 && neo_schedule_parse(c->ctx, row[i].trial.schedule, &schedule) == NEO_OK &&
        neo_space_transfer(space, &schedule, &candidate)) {
      c->choice->kind = NEO_CHOICE_NEAR;
      neo_space_schedule(space, &candidate, &c->choice->schedule);
      c->choice->ns = neo_space_predict(space, &candidate);
      if (c->choice->ns <= limit)
        add(c);
    }
    neo_ctx_clear(c->ctx);
    neo_db_row_fini(&row[i]);
  }
  neo_description_fini(&description);
}

/* The best of each algorithm among the best picks. */
static void add_analytic(const chooser *c, const neo_space *space) {
  neo_candidate best[ANALYTIC];
  neo_choice *choice = c->choice;
  int n = neo_space_analytic(space, ANALYTIC, best);
  choice->kind = NEO_CHOICE_ANALYTIC;
  for (int i = 0; i < n; i++) {
    neo_space_schedule(space, &best[i], &choice->schedule);
    choice->ns = neo_space_predict(space, &best[i]);
    if (!has_algorithm(c->all, &choice->schedule) && !add(c) && c->ctx->status != NEO_OK)
      neo_log(c->ctx, NEO_LOG_WARN, "%s: the analytic schedule does not replay: %s",
              c->task->group->name, c->ctx->message);
    neo_ctx_clear(c->ctx);
  }
}

static void add_naive(const chooser *c) {
  const neo_task *task = c->task;
  neo_alternative *item = neo_arena_alloc(c->arena, sizeof *item);
  c->choice->kind = NEO_CHOICE_NAIVE;
  c->choice->ns = 0;
  neo_schedule_naive(&c->choice->schedule);
  for (int b = 0; b < task->group->te.n_buffers; b++)
    if (task->layout[b].n)
      neo_schedule_set_layout(&c->choice->schedule, b, &task->layout[b]);
  item->choice = *c->choice;
  item->bytes = neo_te_constant_bytes(&task->group->te) * task->weight;
  c->all->item[c->all->n++] = item;
}

neo_status neo_task_alternatives(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                                 neo_db *db, neo_arena *arena, neo_alternatives *all) {
  neo_choice *choice = neo_arena_alloc(arena, sizeof *choice);
  const chooser c = {ctx, project, task, db, arena, choice, all};
  memset(all, 0, sizeof *all);
  if (db)
    NEO_TRY(add_records(&c));
  else
    snprintf(all->reason, sizeof all->reason, "no database");
  if (all->n > 0)
    return NEO_OK;
  neo_space *space = NULL;
  memset(choice, 0, sizeof *choice);
  memcpy(choice->reason, all->reason, sizeof choice->reason);
  NEO_TRY(neo_project_space(ctx, project, task, &space));
  if (db)
    add_near(&c, space);
  if (all->n == 0)
    add_analytic(&c, space);
  neo_space_destroy(space);
  if (all->n == 0)
    add_naive(&c);
  return NEO_OK;
}

neo_status neo_task_add_plain(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                              neo_arena *arena, neo_alternatives *all) {
  neo_space *space = NULL;
  neo_choice *choice = neo_arena_alloc(arena, sizeof *choice);
  const chooser c = {ctx, project, task, NULL, arena, choice, all};
  NEO_TRY(neo_project_space_within(ctx, project, task, 1, &space));
  add_analytic(&c, space);
  neo_space_destroy(space);
  return NEO_OK;
}
