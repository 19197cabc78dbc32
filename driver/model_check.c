/* The end of a tuning run: is the tuned model faster than the untuned one, and where not?
 *
 * Why: a kernel is tuned alone, with its input in the cache and nobody else on the machine. What
 * wins there can lose in the model, and then tuning would have made things worse.
 *
 * How: the model is compiled with the store and without, both run in turn (AB BA ...), every step
 * timed. A task's time is the sum of its steps; what counts is the median of the ratios of
 * neighbouring runs. A task that surely loses in the model (or, if the tuned model is slower as a
 * whole, one that loses at all) keeps its untuned kernel: that schedule is recorded with the ratio
 * times the best record's time, as all times of a task are ratios to its best, and so it is the
 * best from now on. If the tuned model would be slower even then (many tasks lose a little, or
 * what is slower is no task's), every task that can keeps its untuned kernel. Such records have
 * origin "model".
 *
 * Inputs are made up; a model that cannot run on them is not checked. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver/stages.h"
#include "neo/neo_rt.h"
#include "schedule/algorithm.h"

enum { MIN_PAIRS = 6, MAX_PAIRS = NEO_MODEL_PAIRS, SIDES = 2, UNTUNED = 0, TUNED = 1 };
#define PAIRS_NS 3e9
#define SURELY 1.05                   /* slower by less may be noise */
#define SLOWER 1.01                   /* of the whole model: below is noise */
#define LARGEST ((double)(512 << 20)) /* of constants: compiling twice takes too long beyond */

typedef struct side {
  char dir[300];
  neo_choice **choice; /* by task */
  neo_rt_model *model;
  neo_rt_session *session;
  int *step_task; /* by step: its task, or -1 */
  int n_steps;
  double *sum; /* by pair and task (n_tasks + 1: the whole model last) */
} side;

typedef struct check {
  neo_ctx *ctx;
  const neo_project *project;
  neo_arena arena;
  side side[SIDES];
  int pairs;
} check;

/* ---- two artifacts ----------------------------------------------------------------------------------- */

static neo_status choose(check *c, side *s, neo_db *db) {
  int n = c->project->n_tasks;
  s->choice = neo_arena_alloc(&c->arena, sizeof *s->choice * (size_t)(n + 1));
  for (int t = 0; t < n; t++)
    s->choice[t] = neo_arena_alloc(&c->arena, sizeof **s->choice);
  return neo_choose(c->ctx, c->project, db, s->choice);
}

static bool differs(const check *c, int t) {
  return memcmp(&c->side[TUNED].choice[t]->schedule, &c->side[UNTUNED].choice[t]->schedule,
                sizeof(neo_schedule)) != 0;
}

/* A kernel step is named after its group; groups come in the plan's order. */
static void map_steps(check *c, side *s) {
  const neo_partition *partition = &c->project->partition;
  int group = 0;
  while (neo_rt_step_name(s->model, s->n_steps))
    s->n_steps++;
  s->step_task = neo_arena_alloc(&c->arena, sizeof(int) * (size_t)(s->n_steps + 1));
  for (int i = 0; i < s->n_steps; i++) {
    const char *name = neo_rt_step_name(s->model, i);
    s->step_task[i] = -1;
    for (int g = group; g < partition->n_groups && s->step_task[i] < 0; g++) {
      const neo_group *at = &partition->group[g];
      if (at->kind != NEO_STEP_TE || c->project->group_task[g] < 0 ||
          strcmp(neo_arena_printf(&c->arena, "%s (%s)", at->name, at->op), name) != 0)
        continue;
      s->step_task[i] = c->project->group_task[g];
      group = g + 1;
    }
  }
}

static neo_status rt_failed(check *c, const neo_rt_error *error) {
  return neo_fail(c->ctx, NEO_BAD_INPUT, "%s", error->text);
}

/* Small numbers: indices stay in range, exponentials finite. */
static neo_status fill_inputs(check *c, side *s) {
  neo_rng rng;
  neo_rng_init(&rng, 1);
  for (int i = 0; i < neo_rt_inputs(s->model); i++) {
    const neo_rt_tensor_info *info = neo_rt_input_info(s->model, i);
    neo_rt_error error = {0};
    uint8_t *data = neo_arena_alloc(&c->arena, info->bytes + 64);
    for (size_t k = 0; strcmp(info->dtype, "f32") == 0 && k < info->bytes / sizeof(float); k++) {
      float v = (float)neo_rng_normal(&rng);
      memcpy(data + k * sizeof v, &v, sizeof v);
    }
    if (neo_rt_set_input(s->session, info->name, data, info->bytes, &error))
      return rt_failed(c, &error);
  }
  return NEO_OK;
}

static neo_status open_side(check *c, side *s, const char *dir, neo_db *db) {
  neo_compile_options options = {.output = s->dir, .choice = s->choice};
  neo_compile_result ignored;
  neo_rt_error error = {0};
  neo_rt_options how = {.threads = c->project->threads, .pin = 1};
  snprintf(s->dir, sizeof s->dir, "%s/%s", dir, db ? "tuned" : "untuned");
  NEO_TRY(neo_compile(c->ctx, c->project, db, &options, &ignored));
  if (neo_rt_load(s->dir, &s->model, &error) ||
      neo_rt_session_create(s->model, &how, &s->session, &error))
    return rt_failed(c, &error);
  neo_rt_profile(s->session, 1, NULL, NULL);
  map_steps(c, s);
  s->sum =
      neo_arena_alloc(&c->arena, sizeof(double) * MAX_PAIRS * (size_t)(c->project->n_tasks + 1));
  return fill_inputs(c, s);
}

static void close_side(side *s) {
  neo_rt_session_destroy(s->session);
  neo_rt_unload(s->model);
}

/* ---- timing ---------------------------------------------------------------------------------------------- */

static neo_status run_once(check *c, side *s, int pair) {
  neo_rt_error error = {0};
  const double *ns = NULL;
  int n_tasks = c->project->n_tasks;
  double *sum = s->sum + (size_t)pair * (size_t)(n_tasks + 1);
  if (neo_rt_run(s->session, &error))
    return rt_failed(c, &error);
  memset(sum, 0, sizeof *sum * (size_t)(n_tasks + 1));
  neo_rt_profile(s->session, 1, &ns, NULL);
  for (int i = 0; i < s->n_steps; i++) {
    sum[n_tasks] += ns[i];
    if (s->step_task[i] >= 0)
      sum[s->step_task[i]] += ns[i];
  }
  return NEO_OK;
}

static neo_status run_pairs(check *c) {
  for (int s = 0; s < SIDES; s++)
    for (int warm = 0; warm < 2; warm++)
      NEO_TRY(run_once(c, &c->side[s], 0));
  uint64_t start = neo_now_ns(c->ctx);
  for (c->pairs = 0; c->pairs < MAX_PAIRS; c->pairs++) {
    double spent = (double)(neo_now_ns(c->ctx) - start);
    if (spent > (c->pairs >= MIN_PAIRS ? PAIRS_NS : 4 * PAIRS_NS))
      break;
    int first = c->pairs % 2;
    NEO_TRY(run_once(c, &c->side[first], c->pairs));
    NEO_TRY(run_once(c, &c->side[1 - first], c->pairs));
  }
  return NEO_OK;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *value, int n) {
  qsort(value, (size_t)n, sizeof *value, compare);
  return value[n / 2];
}

static double median_ns(const check *c, int s) {
  double sum[MAX_PAIRS];
  size_t n = (size_t)c->project->n_tasks;
  for (int p = 0; p < c->pairs; p++)
    sum[p] = c->side[s].sum[(size_t)p * (n + 1) + n];
  return median(sum, c->pairs);
}

/* ---- which tasks lose ------------------------------------------------------------------------------------ */

static double median_ratio(const neo_model_runs *runs, int task) {
  double ratio[NEO_MODEL_PAIRS];
  for (int p = 0; p < runs->pairs; p++) {
    size_t at = (size_t)p * (size_t)(runs->n_tasks + 1) + (size_t)task;
    ratio[p] = runs->tuned[at] / fmax(runs->untuned[at], 1);
  }
  return median(ratio, runs->pairs);
}

/* Of the whole model, if these tasks took what they take untuned. */
static double median_without(const neo_model_runs *runs, const double *kept) {
  double ratio[NEO_MODEL_PAIRS];
  int n = runs->n_tasks;
  for (int p = 0; p < runs->pairs; p++) {
    const double *tuned = runs->tuned + (size_t)p * (size_t)(n + 1);
    const double *untuned = runs->untuned + (size_t)p * (size_t)(n + 1);
    double time = tuned[n];
    for (int t = 0; t < n; t++)
      time += kept[t] > 0 ? untuned[t] - tuned[t] : 0;
    ratio[p] = time / fmax(untuned[n], 1);
  }
  return median(ratio, runs->pairs);
}

bool neo_model_judge(const neo_model_runs *runs, double *ratio) {
  bool slower = median_ratio(runs, runs->n_tasks) > SLOWER;
  for (int t = 0; t < runs->n_tasks; t++) {
    double own = runs->may_keep[t] ? median_ratio(runs, t) : 0;
    ratio[t] = own > (slower ? SLOWER : SURELY) ? own : 0;
  }
  if (!slower || median_without(runs, ratio) <= SLOWER)
    return false;
  for (int t = 0; t < runs->n_tasks; t++)
    ratio[t] = runs->may_keep[t] ? fmax(median_ratio(runs, t), SLOWER) : 0;
  return true;
}

/* ---- the untuned kernel is the better one ------------------------------------------------------------- */

static neo_status keep_untuned(check *c, neo_db *db, const char *board, int t, double ratio) {
  const neo_task *task = &c->project->task[t];
  const neo_schedule *schedule = &c->side[UNTUNED].choice[t]->schedule;
  neo_buf line = {0};
  neo_schedule_print(&line, schedule);
  neo_db_trial row = {
      .workload = task->group->key,
      .target = c->project->record_target,
      .layout = task->signature,
      .schedule = line.data,
      .threads = c->project->threads,
      .kind = neo_trial_kind_name(NEO_TRIAL_OK),
      .ns = c->side[TUNED].choice[t]->ns / ratio,
      .predicted_ns = c->side[UNTUNED].choice[t]->ns,
      .ratio = 1 / ratio,
      .repeats = "",
      .code_hash = "",
      .phase = "model",
      .text = "faster than the best record in the model's own run",
      .algorithm = schedule->n > 0 ? schedule->instr[0].name : "",
      .error_class = neo_accuracy_name(
          schedule->n > 0 ? neo_algorithm_accuracy(schedule->instr[0].name) : NEO_ACCURACY_EXACT),
      .origin = "model",
      .board = board,
      .tool = NEO_RT_VERSION};
  int64_t id = 0;
  neo_status status = neo_db_put_trial(c->ctx, db, &row, &id);
  neo_buf_fini(&line);
  return status;
}

typedef struct seen {
  const char *line;
  bool found;
} seen;

static bool is_line(void *self, const neo_db_trial *trial) {
  seen *s = self;
  s->found = strcmp(trial->schedule, s->line) == 0;
  return !s->found;
}

/* Was the untuned schedule measured, and right? Only then may it become a record. */
static bool was_right(check *c, neo_db *db, int t) {
  const neo_task *task = &c->project->task[t];
  neo_db_query query = {.workload = task->group->key,
                        .target = c->project->record_target,
                        .threads = c->project->threads,
                        .layout = task->signature,
                        .error_class_max = neo_accuracy_name(c->project->accuracy)};
  neo_buf line = {0};
  neo_schedule_print(&line, &c->side[UNTUNED].choice[t]->schedule);
  seen s = {.line = line.data ? line.data : ""};
  if (neo_db_visit_best(c->ctx, db, &query, is_line, &s) != NEO_OK)
    neo_ctx_clear(c->ctx);
  neo_buf_fini(&line);
  return s.found;
}

static neo_status keep_better_ones(check *c, neo_db *db, const char *board, neo_model_check *out) {
  int n = c->project->n_tasks;
  bool *may_keep = neo_arena_alloc(&c->arena, sizeof(bool) * (size_t)(n + 1));
  double *ratio = neo_arena_alloc(&c->arena, sizeof(double) * (size_t)(n + 1));
  for (int t = 0; t < n; t++)
    may_keep[t] =
        c->side[TUNED].choice[t]->kind == NEO_CHOICE_HIT && differs(c, t) && was_right(c, db, t);
  out->kept_all = neo_model_judge(&(neo_model_runs){.pairs = c->pairs,
                                                    .n_tasks = n,
                                                    .untuned = c->side[UNTUNED].sum,
                                                    .tuned = c->side[TUNED].sum,
                                                    .may_keep = may_keep},
                                  ratio);
  for (int t = 0; t < n; t++) {
    if (!(ratio[t] > 0))
      continue;
    NEO_TRY(keep_untuned(c, db, board, t, ratio[t]));
    snprintf(out->kept + strlen(out->kept), sizeof out->kept - strlen(out->kept), "%s%.40s",
             out->n_kept ? ", " : "", c->project->task[t].group->name);
    out->n_kept++;
  }
  return NEO_OK;
}

static neo_status check_in(check *c, neo_db *db, const char *board, const char *dir,
                           neo_model_check *out) {
  NEO_TRY(choose(c, &c->side[UNTUNED], NULL));
  NEO_TRY(choose(c, &c->side[TUNED], db));
  bool any = false;
  for (int t = 0; t < c->project->n_tasks; t++)
    any = any || differs(c, t);
  if (!any)
    return NEO_OK;
  NEO_TRY(open_side(c, &c->side[UNTUNED], dir, NULL));
  NEO_TRY(open_side(c, &c->side[TUNED], dir, db));
  NEO_TRY(run_pairs(c));
  if (c->pairs < MIN_PAIRS)
    return NEO_OK; /* too few to judge by */
  out->untuned_ns = median_ns(c, UNTUNED);
  out->tuned_ns = median_ns(c, TUNED);
  return keep_better_ones(c, db, board, out);
}

/* A loop that only data ends may not end on the made-up inputs of a check. */
static bool may_not_end(const neo_graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const neo_node *node = &graph->node[i];
    if (node->dead || strcmp(node->op->name, "loop") != 0)
      continue;
    int trips = node->n_inputs > 0 ? node->input[0] : NEO_NO_VALUE;
    const neo_tensor *constant = trips == NEO_NO_VALUE ? NULL : graph->value[trips].constant;
    if (!constant || neo_tensor_get_i64(constant, 0) > 1 << 20)
      return true;
  }
  return false;
}

neo_status neo_check_model(neo_ctx *ctx, const neo_project *project, neo_db *db, const char *board,
                           neo_model_check *out) {
  char dir[256];
  memset(out, 0, sizeof *out);
  if (project->constant_bytes > LARGEST || may_not_end(project->graph))
    return NEO_OK;
  NEO_TRY(neo_dir_temp(ctx, NULL, dir));
  check c = {.ctx = ctx, .project = project};
  neo_arena_init(&c.arena);
  neo_status status = check_in(&c, db, board, dir, out);
  for (int s = 0; s < SIDES; s++)
    close_side(&c.side[s]);
  neo_arena_fini(&c.arena);
  neo_ctx ignored;
  neo_ctx_fork(&ignored, ctx);
  neo_dir_remove(&ignored, dir);
  return status;
}
