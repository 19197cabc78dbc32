/* Reads what a report shows from the store: the run, its note "model", its trials.
 *
 * Why a model of its own: pages, CSV and JSON are made from the same few numbers, computed once
 * here.
 *
 * A task is (workload, layout). Tasks come from the note that driver/ writes when a run ends; a run
 * that was killed has none, and then they come from its trials: "before" is the first usable time
 * (the analytic schedule is proposed first), "after" the best, the weight 1. */
#include "report/report_data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
  neo_ctx *ctx;
  neo_db *db;
  report_data *data;
  int64_t wanted;
  bool found;
  neo_map task_of; /* "workload layout" -> task number + 1 */
} reader;

/* ---- the run ------------------------------------------------------------------------------------ */

static bool take_run(void *self, const neo_db_run *run) {
  reader *r = self;
  if (r->wanted > 0 && run->id != r->wanted)
    return true;
  neo_arena *arena = &r->data->arena;
  r->data->run = *run;
  r->data->run.arguments = neo_arena_strdup(arena, run->arguments);
  r->data->run.model = neo_arena_strdup(arena, run->model);
  r->data->run.target = neo_arena_strdup(arena, run->target);
  r->data->run.state = neo_arena_strdup(arena, run->state);
  r->data->run.host = neo_arena_strdup(arena, run->host);
  r->found = true;
  return false;
}

static const char *text_of(report_data *data, const json_t *json, const char *name) {
  const char *text = json_string_value(json_object_get(json, name));
  return neo_arena_strdup(&data->arena, text ? text : "");
}

/* Finite and not negative, or 0. */
static double number_of(const json_t *json, const char *name) {
  double v = json_number_value(json_object_get(json, name));
  return isfinite(v) && v > 0 ? v : 0;
}

/* Documents of other hands: a broken one is named and passed over. */
static json_t *parse_document(reader *r, const char *what, const char *text) {
  json_t *json = NULL;
  if (*text && neo_json_parse(r->ctx, what, text, strlen(text), &json) != NEO_OK) {
    neo_log(r->ctx, NEO_LOG_WARN, "report: %s is left out", r->ctx->message);
    neo_ctx_clear(r->ctx);
  }
  return json;
}

static void read_host(reader *r) {
  report_data *data = r->data;
  json_t *host = parse_document(r, "the run's host", data->run.host);
  data->board = text_of(data, host, "cpu");
  data->tool = text_of(data, host, "neo");
  data->peak_gflops = number_of(host, "peak_gflops");
  data->bandwidth = number_of(host, "bandwidth_gbs");
  json_decref(host);
}

/* ---- tasks ---------------------------------------------------------------------------------------- */

static int add_task(reader *r, const char *workload, const char *layout) {
  report_data *data = r->data;
  char key[512];
  snprintf(key, sizeof(key), "%s %s", workload, layout);
  uintptr_t known = (uintptr_t)neo_map_get(&r->task_of, key);
  if (known)
    return (int)known - 1;
  data->task = neo_arena_grow(&data->arena, data->task, &data->cap_tasks, data->n_tasks + 1,
                              sizeof(*data->task));
  report_task *task = &data->task[data->n_tasks];
  *task = (report_task){.workload = neo_arena_strdup(&data->arena, workload),
                        .layout = neo_arena_strdup(&data->arena, layout),
                        .name = "",
                        .op = "",
                        .weight = 1,
                        .schedule = ""};
  if (!neo_map_put(&r->task_of, key, (void *)(uintptr_t)(data->n_tasks + 1)))
    neo_log(r->ctx, NEO_LOG_WARN, "report: out of memory, a task is listed twice");
  return data->n_tasks++;
}

static neo_status read_note(reader *r) {
  report_data *data = r->data;
  neo_buf text = {0};
  bool found = false;
  neo_status status = neo_db_get_note(r->ctx, r->db, data->run.id, "model", &text, &found);
  json_t *note = status == NEO_OK && found ? parse_document(r, "note 'model'", text.data) : NULL;
  neo_buf_fini(&text);
  data->model_before_ns = number_of(note, "before_ns");
  data->model_after_ns = number_of(note, "after_ns");
  data->seconds = number_of(note, "seconds");
  const json_t *tasks = json_object_get(note, "tasks");
  for (size_t i = 0; i < json_array_size(tasks); i++) {
    const json_t *item = json_array_get(tasks, i);
    int k = add_task(r, text_of(data, item, "workload"), text_of(data, item, "layout"));
    report_task *task = &data->task[k];
    task->name = text_of(data, item, "name");
    task->op = text_of(data, item, "op");
    task->weight = fmax(number_of(item, "weight"), 1);
    task->flops = number_of(item, "flops");
    task->bytes = number_of(item, "bytes");
    task->before_ns = number_of(item, "first_ns");
    task->after_ns = number_of(item, "best_ns");
    task->baseline_ns = number_of(item, "baseline_ns");
    task->bound_ns = number_of(item, "bound_ns");
  }
  json_decref(note);
  return status;
}

static bool take_workload(void *self, const neo_db_workload *workload) {
  reader *r = self;
  for (int i = 0; i < r->data->n_tasks; i++) {
    report_task *task = &r->data->task[i];
    if (strcmp(task->workload, workload->key) != 0)
      continue;
    if (!*task->name)
      task->name = neo_arena_strdup(&r->data->arena, workload->name);
    if (task->flops <= 0)
      task->flops = workload->flops;
  }
  return true;
}

/* ---- trials --------------------------------------------------------------------------------------- */

static bool is_usable(const neo_db_trial *trial) {
  return trial->ns > 0 && (strcmp(trial->kind, "ok") == 0 || strcmp(trial->kind, "raced") == 0 ||
                           strcmp(trial->kind, "duplicate") == 0);
}

static int add_kind(reader *r, const neo_db_trial *trial, int task) {
  report_data *data = r->data;
  for (int i = 0; i < data->n_kinds; i++)
    if (strcmp(data->kind[i].name, trial->kind) == 0)
      return i;
  neo_arena *arena = &data->arena;
  data->kind =
      neo_arena_grow(arena, data->kind, &data->cap_kinds, data->n_kinds + 1, sizeof(*data->kind));
  data->kind[data->n_kinds] = (report_kind){.name = neo_arena_strdup(arena, trial->kind),
                                            .usable = is_usable(trial),
                                            .first_task = task,
                                            .phase = neo_arena_strdup(arena, trial->phase),
                                            .text = neo_arena_strdup(arena, trial->text),
                                            .schedule = neo_arena_strdup(arena, trial->schedule)};
  return data->n_kinds++;
}

/* The trial as a point in its task's story: counts, first and best time. */
static void tell_task(report_data *data, report_task *task, const neo_db_trial *trial,
                      double *best) {
  bool usable = is_usable(trial);
  task->trials++;
  task->failed += !usable;
  if (!usable)
    return;
  if (task->before_ns <= 0)
    task->before_ns = trial->ns;
  if (task->bytes <= 0)
    task->bytes = trial->bytes;
  if (*best <= 0 || trial->ns < *best) {
    *best = trial->ns;
    task->schedule = neo_arena_strdup(&data->arena, trial->schedule);
  }
}

static bool take_trial(void *self, const neo_db_trial *trial) {
  reader *r = self;
  report_data *data = r->data;
  if (strcmp(trial->origin, "baseline") == 0)
    return true;
  int task = add_task(r, trial->workload, trial->layout);
  data->trial = neo_arena_grow(&data->arena, data->trial, &data->cap_trials, data->n_trials + 1,
                               sizeof(*data->trial));
  data->trial[data->n_trials++] = (report_trial){.id = trial->id,
                                                 .attempt = trial->attempt,
                                                 .task = task,
                                                 .kind = add_kind(r, trial, task),
                                                 .ns = trial->ns,
                                                 .predicted_ns = trial->predicted_ns,
                                                 .usable = is_usable(trial)};
  data->kind[data->trial[data->n_trials - 1].kind].n++;
  data->first_ms = data->first_ms ? data->first_ms : trial->created_ms;
  data->last_ms = neo_max_i64(data->last_ms, trial->created_ms);
  data->build_ns += trial->build_ns;
  data->measure_ns += trial->measure_ns;
  if (!*data->board)
    data->board = neo_arena_strdup(&data->arena, trial->board);
  if (!*data->tool)
    data->tool = neo_arena_strdup(&data->arena, trial->tool);
  if (!*data->run.target) {
    data->run.target = neo_arena_strdup(&data->arena, trial->target);
    data->run.threads = trial->threads;
  }
  return true;
}

/* Trials arrive in the order they were committed; the search proposed them in attempt order. */
static int compare_attempts(const void *a, const void *b) {
  const report_trial *x = a, *y = b;
  if (x->attempt != y->attempt)
    return x->attempt < y->attempt ? -1 : 1;
  return x->id < y->id ? -1 : 1;
}

typedef struct second_pass {
  report_data *data;
  reader *reader;
  double *best;
} second_pass;

static bool tell_trial(void *self, const neo_db_trial *trial) {
  second_pass *pass = self;
  if (strcmp(trial->origin, "baseline") == 0)
    return true;
  int task = add_task(pass->reader, trial->workload, trial->layout);
  tell_task(pass->data, &pass->data->task[task], trial, &pass->best[task]);
  return true;
}

static neo_status read_trials(reader *r) {
  report_data *data = r->data;
  neo_db_query all = {0};
  NEO_TRY(neo_db_visit_trials(r->ctx, r->db, &all, data->run.id, take_trial, r));
  second_pass pass = {data, r,
                      neo_arena_alloc(&data->arena, (size_t)(data->n_tasks + 1) * sizeof(double))};
  NEO_TRY(neo_db_visit_trials(r->ctx, r->db, &all, data->run.id, tell_trial, &pass));
  if (data->n_trials > 0)
    qsort(data->trial, (size_t)data->n_trials, sizeof(*data->trial), compare_attempts);
  for (int i = 0; i < data->n_tasks; i++)
    if (data->task[i].after_ns <= 0 || (pass.best[i] > 0 && pass.best[i] < data->task[i].after_ns))
      data->task[i].after_ns = pass.best[i];
  return NEO_OK;
}

/* ---- putting in order ------------------------------------------------------------------------------- */

static double cost(const report_task *task) {
  return task->weight * task->before_ns;
}

typedef struct sortable {
  double cost;
  int index;
} sortable;

static int compare_costs(const void *a, const void *b) {
  const sortable *x = a, *y = b;
  if (x->cost != y->cost)
    return x->cost > y->cost ? -1 : 1;
  return x->index - y->index;
}

/* Costliest first; trials and kinds follow their tasks. */
static void sort_tasks(report_data *data) {
  size_t n = (size_t)data->n_tasks;
  sortable *order = neo_arena_alloc(&data->arena, (n + 1) * sizeof(*order));
  report_task *sorted = neo_arena_alloc(&data->arena, (n + 1) * sizeof(*sorted));
  int *place = neo_arena_alloc(&data->arena, (n + 1) * sizeof(*place));
  for (int i = 0; i < data->n_tasks; i++)
    order[i] = (sortable){cost(&data->task[i]), i};
  if (n > 0)
    qsort(order, n, sizeof(*order), compare_costs);
  for (int i = 0; i < data->n_tasks; i++) {
    sorted[i] = data->task[order[i].index];
    place[order[i].index] = i;
  }
  data->task = sorted;
  for (int i = 0; i < data->n_trials; i++)
    data->trial[i].task = place[data->trial[i].task];
  for (int i = 0; i < data->n_kinds; i++)
    data->kind[i].first_task = place[data->kind[i].first_task];
}

static void complete_model(report_data *data) {
  double before = 0, after = 0;
  for (int i = 0; i < data->n_tasks; i++) {
    before += cost(&data->task[i]);
    after += data->task[i].weight * data->task[i].after_ns;
  }
  if (data->model_before_ns <= 0)
    data->model_before_ns = before;
  if (data->model_after_ns <= 0)
    data->model_after_ns = after;
  if (data->seconds <= 0)
    data->seconds = (double)(data->last_ms - data->first_ms) / 1e3;
}

neo_status report_data_read(neo_ctx *ctx, neo_db *db, int64_t run, report_data *out) {
  memset(out, 0, sizeof(*out));
  neo_arena_init(&out->arena);
  reader r = {.ctx = ctx, .db = db, .data = out, .wanted = run};
  out->run = (neo_db_run){
      .arguments = "", .model = "all records", .target = "", .state = "done", .host = ""};
  NEO_TRY(neo_db_visit_runs(ctx, db, take_run, &r));
  if (run > 0 && !r.found)
    return neo_fail(ctx, NEO_USAGE, "report: there is no run %lld in the database", (long long)run);
  read_host(&r);
  neo_status status = r.found ? read_note(&r) : NEO_OK;
  if (status == NEO_OK)
    status = read_trials(&r);
  if (status == NEO_OK)
    status = neo_db_visit_workloads(ctx, db, take_workload, &r);
  neo_map_fini(&r.task_of);
  if (status != NEO_OK)
    return status;
  sort_tasks(out);
  complete_model(out);
  return NEO_OK;
}
