/* tune: the pump. propose -> build and measure -> one committed record per trial -> tell -> learn.
 *
 * Rounds make the search replayable: a round is up to ROUND proposals for one task; two rounds are
 * out at a time, so the board always has work. A round's results are committed one by one as they
 * arrive (kill -9 loses nothing acknowledged) but told to the search together, in attempt order,
 * when the round is complete; the next round is proposed right after. So what is proposed depends
 * only on the seed, the prior records and the recorded measurements, not on who finished first.
 * What the search knew beforehand is written down with the run (note "prior"), for neo_replay: the
 * near schedules, and the last row of the store that counts as known, since others may be writing;
 * and the cost model that it starts from, if there is one (note "cost model").
 *
 * Made-up times are recorded under a target of their own, where compiling does not look. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "driver/stages.h"
#include "neo/neo_rt.h"
#include "schedule/algorithm.h"

neo_status neo_tuner_init(neo_ctx *ctx, neo_tuner *tuner, const neo_project *project, neo_db *db,
                          uint64_t seed, const char *strategy) {
  memset(tuner, 0, sizeof *tuner);
  NEO_TRY(neo_search_check_strategy(ctx, strategy));
  tuner->project = project;
  tuner->db = db;
  tuner->seed = seed;
  tuner->strategy = strategy;
  snprintf(tuner->target_text, sizeof tuner->target_text, "%s",
           project->record_target[0] ? project->record_target : project->target_text);
  size_t n = (size_t)project->n_tasks + 1;
  tuner->task = calloc(n, sizeof *tuner->task);
  tuner->budget = calloc(n, sizeof *tuner->budget);
  if (!tuner->task || !tuner->budget)
    return neo_fail(ctx, NEO_NO_MEMORY, "tune: %d tasks", project->n_tasks);
  for (int t = 0; t < project->n_tasks; t++)
    tuner->budget[t] = (neo_budget_task){.weight = project->task[t].weight, .best_ns = INFINITY};
  return neo_model_create(ctx, &tuner->model);
}

void neo_tuner_fini(neo_tuner *tuner) {
  for (int t = 0; tuner->task && t < tuner->project->n_tasks; t++) {
    neo_search_destroy(tuner->task[t].search);
    neo_space_destroy(tuner->task[t].space);
  }
  neo_model_destroy(tuner->model);
  neo_trained_destroy(tuner->trained);
  json_decref(tuner->near);
  free(tuner->task);
  free(tuner->budget);
}

/* ---- what the store knows already ---------------------------------------------------------------- */

typedef struct prior_visit {
  neo_ctx *ctx;
  neo_tuner *tuner;
  int task;
  neo_schedule best; /* count_prior: of the budget's best_ns */
} prior_visit;

static bool is_later(const neo_tuner *tuner, const neo_db_trial *trial) {
  return trial->id > tuner->last_prior;
}

/* Failures that say nothing about the candidate. */
static bool says_nothing(const neo_db_trial *trial) {
  return strcmp(trial->kind, neo_trial_kind_name(NEO_TRIAL_REFERENCE)) == 0 ||
         strcmp(trial->kind, neo_trial_kind_name(NEO_TRIAL_BOARD_LOST)) == 0;
}

static bool add_prior(void *self, const neo_db_trial *trial) {
  prior_visit *visit = self;
  tuner_task *task = &visit->tuner->task[visit->task];
  neo_schedule schedule;
  neo_candidate candidate;
  if (is_later(visit->tuner, trial) || says_nothing(trial))
    return true;
  bool known = neo_schedule_parse(visit->ctx, trial->schedule, &schedule) == NEO_OK &&
               neo_space_find(task->space, &schedule, &candidate);
  neo_ctx_clear(visit->ctx);
  if (!known)
    return true;
  if (trial->ns > 0)
    neo_search_seed(task->search, &candidate, trial->ns);
  else
    neo_search_tell(task->search, &candidate, 0, true);
  return true;
}

/* Near schedules are part of the run's note: replay reads them from there. */
static void seed_near(neo_ctx *ctx, neo_tuner *tuner, int t) {
  const json_t *lines = json_object_get(tuner->near, tuner->project->task[t].group->key);
  for (size_t i = 0; i < json_array_size(lines); i++) {
    neo_schedule schedule;
    neo_candidate candidate;
    if (neo_schedule_parse(ctx, json_string_value(json_array_get(lines, i)), &schedule) == NEO_OK &&
        neo_space_transfer(tuner->task[t].space, &schedule, &candidate))
      neo_search_seed(tuner->task[t].search, &candidate, 0);
    neo_ctx_clear(ctx);
  }
}

/* No schedule is expected to be faster. Winograd may do 4 x fewer multiplications; caches may give
 * 400 bytes a ns. */
static double bound_of(const neo_tuner *tuner, const neo_task *task) {
  double compute = tuner->peak_gflops > 0 ? task->flops / tuner->peak_gflops : 0;
  return fmax(compute / 4, neo_te_bytes(&task->group->te) / 400);
}

static bool count_prior(void *self, const neo_db_trial *trial) {
  prior_visit *visit = self;
  neo_budget_task *budget = &visit->tuner->budget[visit->task];
  if (is_later(visit->tuner, trial) || says_nothing(trial))
    return true;
  budget->trials++;
  budget->spent_ns += trial->measure_ns;
  if (trial->ns > 0 && trial->ns < budget->best_ns &&
      neo_schedule_parse(visit->ctx, trial->schedule, &visit->best) == NEO_OK)
    budget->best_ns = trial->ns;
  neo_ctx_clear(visit->ctx);
  return true;
}

static neo_db_query query_of(const neo_tuner *tuner, const neo_task *task) {
  return (neo_db_query){.workload = task->group->key,
                        .target = tuner->target_text,
                        .threads = tuner->project->threads,
                        .layout = task->signature};
}

neo_status neo_tuner_begin(neo_ctx *ctx, neo_tuner *tuner) {
  for (int t = 0; t < tuner->project->n_tasks; t++) {
    const neo_task *task = &tuner->project->task[t];
    neo_db_query query = query_of(tuner, task);
    prior_visit visit = {.ctx = ctx, .tuner = tuner, .task = t};
    tuner->budget[t].bound_ns = bound_of(tuner, task);
    NEO_TRY(neo_db_visit_trials(ctx, tuner->db, &query, 0, count_prior, &visit));
    if (isfinite(tuner->budget[t].best_ns) &&
        !neo_task_replays(ctx, tuner->project, task, &visit.best))
      tuner->budget[t].best_ns = INFINITY; /* a stale record must not end the task */
    neo_ctx_clear(ctx);
  }
  return NEO_OK;
}

/* A task's space and search, made when its first round comes. */
static neo_status open_task(neo_ctx *ctx, neo_tuner *tuner, int t) {
  tuner_task *task = &tuner->task[t];
  if (task->search)
    return NEO_OK;
  const neo_task *what = &tuner->project->task[t];
  NEO_TRY(neo_project_space(ctx, tuner->project, what, &task->space));
  neo_search_options options = {.seed = tuner->seed + (uint64_t)t,
                                .strategy = tuner->strategy,
                                .model = tuner->model,
                                .group = t,
                                .counts = tuner->project->counting.on};
  NEO_TRY(neo_search_create(ctx, task->space, &options, &task->search));
  neo_db_query query = query_of(tuner, what);
  prior_visit visit = {.ctx = ctx, .tuner = tuner, .task = t};
  NEO_TRY(neo_db_visit_trials(ctx, tuner->db, &query, 0, add_prior, &visit));
  seed_near(ctx, tuner, t);
  neo_candidate best;
  if (!neo_search_best(task->search, &best, &task->prior_ns))
    task->prior_ns = 0;
  if (task->prior_ns > 0)
    tuner->budget[t].best_ns = task->prior_ns;
  return NEO_OK;
}

/* ---- rounds -------------------------------------------------------------------------------------------- */

neo_status neo_tuner_propose(neo_ctx *ctx, neo_tuner *tuner, tuner_round *round) {
  memset(round, 0, sizeof *round);
  int most = tuner->project->counting.on ? TUNER_COUNTED_ROUND : TUNER_ROUND;
  for (;;) {
    int t = neo_budget_next(tuner->budget, tuner->project->n_tasks, 0.02);
    if (t < 0)
      return NEO_OK;
    NEO_TRY(open_task(ctx, tuner, t));
    round->task = t;
    round->n = neo_search_propose(tuner->task[t].search, most, round->candidate);
    round->first_attempt = tuner->attempts + 1;
    tuner->attempts += round->n;
    if (round->n > 0) {
      tuner->budget[t].trials += round->n;
      return NEO_OK;
    }
    tuner->budget[t].exhausted = true;
  }
}

neo_status neo_tuner_tell(neo_ctx *ctx, neo_tuner *tuner, const tuner_round *round) {
  tuner_task *task = &tuner->task[round->task];
  neo_budget_task *budget = &tuner->budget[round->task];
  bool counted = tuner->project->counting.on;
  for (int i = 0; i < round->n; i++) {
    bool failed = !(round->ns[i] > 0);
    neo_search_tell(task->search, &round->candidate[i], round->ns[i], failed);
    budget->spent_ns += counted ? 1 : round->spent_ns[i]; /* times differ from run to run */
    task->failed_in_a_row = failed ? task->failed_in_a_row + 1 : 0;
  }
  neo_candidate best;
  double ns = 0;
  if (neo_search_best(task->search, &best, &ns))
    budget->best_ns = ns;
  if (budget->n_history == NEO_COUNT(budget->history))
    memmove(budget->history, budget->history + 1, sizeof(double) * (size_t)--budget->n_history);
  budget->history[budget->n_history++] = budget->best_ns;
  budget->exhausted = budget->exhausted || neo_search_exhausted(task->search) ||
                      (task->failed_in_a_row >= 2 * TUNER_ROUND && !(ns > 0));
  NEO_TRY(neo_model_fit(ctx, tuner->model));
  budget->counted = counted;
  budget->promise_ns = counted ? neo_search_promise(task->search) : 0;
  return NEO_OK;
}

/* ---- one invocation --------------------------------------------------------------------------------------- */

enum { ROUNDS_OUT = 2 };

typedef struct pump {
  neo_ctx *ctx;
  neo_tuner tuner;
  neo_project named; /* the caller's; the target of its records names the GPU that measures */
  neo_measurer *measurer;
  const neo_tune_options *options;
  neo_tune_result *result;
  neo_task_state *state;
  bool *announced;
  tuner_round round[ROUNDS_OUT];
  bool out[ROUNDS_OUT];
  int64_t rounds; /* finished ones */
  uint64_t start, deadline;
  double board_ns;
  char first_failure[300];
  bool kind_seen[NEO_TRIAL_KIND_COUNT];
} pump;

static void emit(pump *p, neo_event_kind kind, int task, const neo_trial_result *trial,
                 const char *schedule, bool improved) {
  neo_tune_event event = {kind, task, trial, schedule, improved};
  if (p->options->event)
    p->options->event(p->options->self, p->tuner.project, p->state, &event);
}

static bool time_is_up(pump *p) {
  if (p->options->interrupted && p->options->interrupted(p->options->self))
    return true;
  if (p->options->trials > 0 && p->result->trials >= p->options->trials)
    return true;
  return p->deadline && neo_now_ns(p->ctx) >= p->deadline;
}

/* Tells the measurer about a task, with the best prior schedule as the incumbent. */
static neo_status announce(pump *p, int t) {
  const neo_task *task = &p->tuner.project->task[t];
  if (p->announced[t])
    return NEO_OK;
  NEO_TRY(neo_measurer_task(p->ctx, p->measurer, t, &task->group->te, task->group->key));
  p->announced[t] = true;
  p->state[t].no_reference = false;
  p->state[t].bound_ns = p->tuner.budget[t].bound_ns;
  neo_candidate best;
  double ns;
  if (neo_search_best(p->tuner.task[t].search, &best, &ns)) {
    neo_schedule schedule;
    neo_space_schedule(p->tuner.task[t].space, &best, &schedule);
    p->state[t].first_ns = p->state[t].best_ns = ns;
    if (neo_measurer_incumbent(p->ctx, p->measurer, t, &schedule, ns) != NEO_OK) {
      neo_log(p->ctx, NEO_LOG_WARN, "%s: the best record does not hold here (%s)",
              task->group->name, p->ctx->message);
      p->state[t].first_ns = p->state[t].best_ns = 0;
      neo_ctx_clear(p->ctx);
    }
  }
  emit(p, NEO_EVENT_TASK, t, NULL, NULL, false);
  return NEO_OK;
}

static void limit_round(pump *p, tuner_round *round) {
  int64_t left = p->options->trials > 0 ? p->options->trials - p->result->trials : round->n;
  for (int r = 0; r < ROUNDS_OUT; r++)
    left -= p->out[r] && &p->round[r] != round && p->options->trials > 0
                ? p->round[r].n - p->round[r].done
                : 0;
  round->submitted = left < round->n ? (left > 0 ? (int)left : 0) : round->n;
}

static neo_status take_result(pump *p, const neo_trial_result *trial);

/* The task cannot be measured, for a reason of its own (ctx says which): each of its candidates
 * fails with that reason, and the run goes on. */
static neo_status fail_round(pump *p, int slot, neo_status reason) {
  const tuner_round *round = &p->round[slot];
  neo_trial_result trial = {.kind = NEO_TRIAL_REFERENCE, .phase = "reference"};
  if (reason == NEO_UNREACHABLE || reason == NEO_NO_MEMORY || reason == NEO_INTERRUPTED)
    return reason;
  snprintf(trial.text, sizeof trial.text, "%.399s", p->ctx->message);
  neo_ctx_clear(p->ctx);
  p->state[round->task].no_reference = true;
  p->out[slot] = true;
  for (int i = 0; i < round->submitted; i++) {
    trial.id = (uint64_t)(round->first_attempt + i);
    NEO_TRY(take_result(p, &trial));
  }
  return NEO_OK;
}

static neo_status send_round(pump *p, int slot) {
  tuner_round *round = &p->round[slot];
  NEO_TRY(neo_tuner_propose(p->ctx, &p->tuner, round));
  if (round->n == 0)
    return NEO_OK;
  limit_round(p, round);
  neo_status status = round->submitted > 0 ? announce(p, round->task) : NEO_OK;
  if (status != NEO_OK)
    return fail_round(p, slot, status);
  for (int i = 0; i < round->submitted; i++) {
    neo_schedule schedule;
    neo_space_schedule(p->tuner.task[round->task].space, &round->candidate[i], &schedule);
    NEO_TRY(neo_measurer_submit(p->ctx, p->measurer, (uint64_t)(round->first_attempt + i),
                                round->task, &schedule));
  }
  p->out[slot] = round->submitted > 0;
  return NEO_OK;
}

static const char *error_class(const neo_schedule *schedule) {
  return neo_accuracy_name(schedule->n > 0 ? neo_algorithm_accuracy(schedule->instr[0].name)
                                           : NEO_ACCURACY_EXACT);
}

static neo_status record(pump *p, const tuner_round *round, int i, const neo_trial_result *trial,
                         const char *line, const neo_schedule *schedule) {
  const neo_project *project = p->tuner.project;
  const neo_task *task = &project->task[round->task];
  neo_buf repeats = {0}, layout = {0};
  for (int r = 0; r < trial->n_repeats; r++)
    neo_buf_printf(&repeats, "%s%.1f", r ? " " : "", trial->repeats[r]);
  neo_db_trial row = {.run = p->tuner.run,
                      .attempt = round->first_attempt + i,
                      .workload = task->group->key,
                      .target = p->tuner.target_text,
                      .layout = task->signature,
                      .schedule = line,
                      .threads = project->threads,
                      .kind = neo_trial_kind_name(trial->kind),
                      .ns = neo_trial_usable(trial->kind) ? trial->ns : 0,
                      .predicted_ns =
                          neo_space_predict(p->tuner.task[round->task].space, &round->candidate[i]),
                      .ratio = trial->ratio,
                      .max_error = trial->max_error,
                      .fmas = trial->fmas,
                      .bytes = trial->bytes,
                      .build_ns = trial->build_ns,
                      .measure_ns = trial->measure_ns,
                      .repeats = repeats.size ? repeats.data : "",
                      .code_hash = trial->code_hash,
                      .phase = trial->phase,
                      .text = trial->text,
                      .signal = trial->signal,
                      .algorithm = schedule->n > 0 ? schedule->instr[0].name : "",
                      .error_class = error_class(schedule),
                      .origin = "search",
                      .board = neo_measurer_facts(p->measurer)->cpu_model,
                      .tool = NEO_RT_VERSION};
  int64_t id = 0;
  neo_status status = neo_db_put_trial(p->ctx, p->tuner.db, &row, &id);
  if (status == NEO_OK && p->options->ack) {
    fprintf(p->options->ack, "%lld\n", (long long)id);
    fflush(p->options->ack);
  }
  neo_buf_fini(&repeats);
  neo_buf_fini(&layout);
  return status;
}

static void account(pump *p, const tuner_round *round, const neo_trial_result *trial,
                    bool *improved) {
  neo_task_state *state = &p->state[round->task];
  bool usable = neo_trial_usable(trial->kind);
  p->result->trials++;
  p->result->ok += usable;
  p->result->failed += !usable;
  p->board_ns += trial->measure_ns;
  state->trials++;
  state->failures += !usable;
  *improved = trial->kind == NEO_TRIAL_OK && (state->best_ns <= 0 || trial->ns < state->best_ns);
  if (usable && state->first_ns <= 0)
    state->first_ns = trial->ns;
  if (*improved)
    state->best_ns = trial->ns;
  if (!usable && !p->first_failure[0])
    snprintf(p->first_failure, sizeof p->first_failure, "%s in %s: %.200s",
             neo_trial_kind_name(trial->kind), trial->phase, trial->text);
}

static bool complete(const pump *p, int slot) {
  return p->out[slot] && p->round[slot].done == p->round[slot].submitted;
}

static neo_status finish_round(pump *p, int slot) {
  enum { TRIM_EVERY = 8 };
  p->out[slot] = false;
  if (++p->rounds % TRIM_EVERY == 0)
    neo_memory_trim();
  if (p->round[slot].submitted == p->round[slot].n)
    NEO_TRY(neo_tuner_tell(p->ctx, &p->tuner, &p->round[slot]));
  return NEO_OK;
}

static neo_status take_result(pump *p, const neo_trial_result *trial) {
  int slot = 0;
  while (slot < ROUNDS_OUT &&
         !(p->out[slot] && (int64_t)trial->id >= p->round[slot].first_attempt &&
           (int64_t)trial->id < p->round[slot].first_attempt + p->round[slot].n))
    slot++;
  neo_assert(slot < ROUNDS_OUT);
  tuner_round *round = &p->round[slot];
  int i = (int)((int64_t)trial->id - round->first_attempt);
  round->done++;
  if (trial->kind == NEO_TRIAL_CANCELLED)
    return NEO_OK;
  round->ns[i] = neo_trial_usable(trial->kind) ? trial->ns : 0;
  round->spent_ns[i] = trial->measure_ns;
  neo_schedule schedule;
  neo_space_schedule(p->tuner.task[round->task].space, &round->candidate[i], &schedule);
  neo_buf line = {0};
  neo_schedule_print(&line, &schedule);
  neo_status status = record(p, round, i, trial, line.data, &schedule);
  bool improved = false;
  account(p, round, trial, &improved);
  if (improved &&
      neo_measurer_incumbent(p->ctx, p->measurer, round->task, &schedule, trial->ns) != NEO_OK)
    neo_ctx_clear(p->ctx);
  bool news = !neo_trial_usable(trial->kind) && !p->kind_seen[trial->kind];
  if (news)
    p->kind_seen[trial->kind] = true;
  emit(p, news ? NEO_EVENT_FAILURE : NEO_EVENT_TRIAL, round->task, trial, line.data, improved);
  neo_buf_fini(&line);
  return status;
}

static neo_status drain(pump *p) {
  neo_measurer_cancel(p->measurer);
  while (neo_measurer_pending(p->measurer) > 0) {
    neo_trial_result trial;
    bool got = false;
    NEO_TRY(neo_measurer_poll(p->ctx, p->measurer, 1000, &trial, &got));
    if (got)
      NEO_TRY(take_result(p, &trial));
  }
  return NEO_OK;
}

static neo_status poll_once(pump *p) {
  neo_trial_result trial;
  bool got = false;
  NEO_TRY(neo_measurer_poll(p->ctx, p->measurer, 200, &trial, &got));
  return got ? take_result(p, &trial) : NEO_OK;
}

/* Order of proposing and telling: propose slots 0 and 1; then always: finish the oldest round,
 * propose anew in its slot. */
static neo_status run_pump(pump *p) {
  int oldest = 0;
  for (int r = 0; r < ROUNDS_OUT; r++)
    NEO_TRY(send_round(p, r));
  while (p->out[oldest]) {
    while (!complete(p, oldest)) {
      if (time_is_up(p))
        return drain(p);
      NEO_TRY(poll_once(p));
    }
    NEO_TRY(finish_round(p, oldest));
    if (time_is_up(p))
      return drain(p);
    NEO_TRY(send_round(p, oldest));
    oldest = (oldest + 1) % ROUNDS_OUT;
  }
  return NEO_OK;
}

/* ---- what is written down with a run ------------------------------------------------------------------------ */

static neo_status note_prior(neo_ctx *ctx, neo_tuner *tuner) {
  const neo_project *project = tuner->project;
  tuner->near = json_object();
  for (int t = 0; t < project->n_tasks; t++) {
    const neo_task *task = &project->task[t];
    neo_description description;
    neo_task_describe(task, &description);
    neo_db_row row[3] = {0};
    neo_db_near_query query = {&description.workload, tuner->target_text, project->threads,
                               NEO_COUNT(row)};
    int n = 0;
    neo_status status = neo_db_put_workload(ctx, tuner->db, &description.workload);
    if (status == NEO_OK)
      status = neo_db_near(ctx, tuner->db, &query, row, &n);
    json_t *lines = json_array();
    for (int i = 0; i < n; i++) {
      json_array_append_new(lines, json_string(row[i].trial.schedule));
      neo_db_row_fini(&row[i]);
    }
    json_object_set_new(tuner->near, task->group->key, lines);
    neo_description_fini(&description);
    NEO_TRY(status);
  }
  json_t *note = json_pack("{s:O, s:s, s:f, s:I}", "near", tuner->near, "strategy",
                           tuner->strategy ? tuner->strategy : "evolve", "peak_gflops",
                           tuner->peak_gflops, "last_trial", (json_int_t)tuner->last_prior);
  json_object_set_new(note, "search", json_integer(NEO_SEARCH_VERSION));
  if (tuner->project->counting.on)
    json_object_set_new(note, "miss_cost", json_real(tuner->project->counting.miss));
  neo_buf text = {0};
  neo_json_print(&text, note, false);
  json_decref(note);
  neo_status status = neo_db_put_note(ctx, tuner->db, tuner->run, "prior", text.data);
  neo_buf_fini(&text);
  return status;
}

static neo_status note_model(pump *p) {
  const neo_project *project = p->tuner.project;
  json_t *tasks = json_array();
  for (int t = 0; t < project->n_tasks; t++) {
    const neo_task *task = &project->task[t];
    const neo_task_state *state = &p->state[t];
    p->result->before_ns += task->weight * state->first_ns;
    p->result->after_ns += task->weight * state->best_ns;
    json_array_append_new(tasks,
                          json_pack("{s:s, s:s, s:o, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f}",
                                    "workload", task->group->key, "layout", task->signature, "name",
                                    neo_json_name(task->group->name), "op", task->group->op,
                                    "weight", task->weight, "flops", task->flops, "bytes",
                                    neo_te_bytes(&task->group->te), "first_ns", state->first_ns,
                                    "best_ns", state->best_ns, "baseline_ns", state->baseline_ns,
                                    "bound_ns", state->bound_ns));
  }
  const neo_model_check *model = &p->result->model;
  json_t *note =
      json_pack("{s:f, s:f, s:f, s:f, s:f, s:o, s:b, s:o}", "before_ns", p->result->before_ns,
                "after_ns", p->result->after_ns, "seconds", p->result->seconds, "untuned_model_ns",
                model->untuned_ns, "tuned_model_ns", model->tuned_ns, "kept_untuned",
                neo_json_name(model->kept), "kept_all", (int)model->kept_all, "tasks", tasks);
  neo_buf text = {0};
  neo_json_print(&text, note, false);
  json_decref(note);
  neo_status status = neo_db_put_note(p->ctx, p->tuner.db, p->tuner.run, "model", text.data);
  neo_buf_fini(&text);
  return status;
}

static neo_status begin_run(pump *p) {
  const neo_project *project = p->tuner.project;
  const neo_machine_facts *facts = neo_measurer_facts(p->measurer);
  json_t *host =
      json_pack("{s:s, s:f, s:f, s:s}", "cpu", facts->cpu_model, "peak_gflops", facts->peak_gflops,
                "bandwidth_gbs", facts->bandwidth, "neo", NEO_RT_VERSION);
  neo_buf text = {0};
  neo_json_print(&text, host, false);
  json_decref(host);
  neo_db_run run = {.arguments = p->options->arguments ? p->options->arguments : "[]",
                    .model = project->graph->name ? project->graph->name : "",
                    .target = p->tuner.target_text,
                    .threads = project->threads,
                    .seed = p->options->seed,
                    .state = "running",
                    .host = text.data};
  neo_status status = neo_db_begin_run(p->ctx, p->tuner.db, &run, &p->tuner.run);
  neo_buf_fini(&text);
  p->result->run = p->tuner.run;
  p->tuner.peak_gflops = facts->peak_gflops;
  if (status == NEO_OK)
    status = neo_db_last_trial(p->ctx, p->tuner.db, &p->tuner.last_prior);
  if (status == NEO_OK)
    status = note_prior(p->ctx, &p->tuner);
  return status == NEO_OK ? neo_tuner_note_start(p->ctx, &p->tuner) : status;
}

static const neo_task *first_without_reference(const pump *p) {
  for (int t = 0; t < p->tuner.project->n_tasks; t++)
    if (p->state[t].no_reference)
      return &p->tuner.project->task[t];
  return NULL;
}

/* What the report compares with: at the end, since the machine must be quiet for it. */
static void time_baselines(pump *p) {
  const neo_project *project = p->tuner.project;
  for (int t = 0; t < project->n_tasks; t++) {
    const neo_te *te = &project->task[t].group->te;
    char core[32];
    if (!p->announced[t] || !neo_measure_has_baseline(te))
      continue;
    if (neo_measure_baseline(p->ctx, te, project->threads, &p->state[t].baseline_ns, core) !=
        NEO_OK)
      neo_ctx_clear(p->ctx);
  }
}

/* Only what was really measured here; a failing check is no failure of the run. */
static void check_model(pump *p) {
  const neo_tune_options *options = p->options;
  bool interrupted = options->interrupted && options->interrupted(options->self);
  if (interrupted || p->result->ok == 0 || neo_measurer_is_simulated(p->measurer) ||
      neo_measurer_is_remote(p->measurer) || !neo_target_runs_here(&p->tuner.project->target))
    return;
  neo_measurer_quiet(p->measurer, true);
  time_baselines(p);
  if (!options->no_model_check &&
      neo_check_model(p->ctx, p->tuner.project, p->tuner.db,
                      neo_measurer_facts(p->measurer)->cpu_model, &p->result->model) != NEO_OK) {
    neo_log(p->ctx, NEO_LOG_WARN, "the tuned model was not compared with the untuned one: %s",
            p->ctx->message);
    neo_ctx_clear(p->ctx);
  }
  neo_measurer_quiet(p->measurer, false);
}

/* What constants are when their kernel's turn comes: in a model that fits the last cache they stay
 * there between two runs. */
static int weights_are_cold(const neo_project *project) {
  int64_t cache = project->target.l3 > 0 ? project->target.l3 : project->target.l2;
  return cache <= 0 || project->constant_bytes > (double)cache / 2;
}

static neo_status conclude(pump *p, neo_status status) {
  bool interrupted = p->options->interrupted && p->options->interrupted(p->options->self);
  p->result->seconds = (double)(neo_now_ns(p->ctx) - p->start) / 1e9;
  p->result->busy_share = p->result->seconds > 0 ? p->board_ns / 1e9 / p->result->seconds : 0;
  const char *state = status != NEO_OK ? "failed" : interrupted ? "interrupted" : "done";
  if (p->tuner.run > 0 && status == NEO_OK) {
    status = note_model(p);
    if (status == NEO_OK)
      status = neo_db_end_run(p->ctx, p->tuner.db, p->tuner.run, state);
  }
  if (p->tuner.run > 0 && status != NEO_OK) { /* the first error is what counts */
    neo_ctx own;
    neo_ctx_fork(&own, p->ctx);
    neo_db_end_run(&own, p->tuner.db, p->tuner.run, state);
  }
  emit(p, NEO_EVENT_DONE, -1, NULL, NULL, false);
  if (status == NEO_OK && interrupted)
    return neo_fail(
        p->ctx, NEO_INTERRUPTED,
        "interrupted after %lld trials; all are recorded, run neo-tune again to continue",
        (long long)p->result->trials);
  if (status == NEO_OK && p->result->trials > 0 && p->result->ok == 0)
    return neo_fail(p->ctx, NEO_NOTHING_MEASURED,
                    "none of %lld trials could be measured; the first: %s",
                    (long long)p->result->trials, p->first_failure);
  const neo_task *orphan = first_without_reference(p);
  if (status == NEO_OK && orphan)
    return neo_fail(p->ctx, NEO_NOTHING_MEASURED,
                    "task %s could not be measured, the others are tuned and recorded; the first "
                    "failure: %s",
                    orphan->group->name, p->first_failure);
  if (status == NEO_OK && p->result->trials == 0 && p->deadline &&
      neo_now_ns(p->ctx) >= p->deadline)
    return neo_fail(p->ctx, NEO_NOTHING_MEASURED,
                    "the budget of %.1f s ended before the first trial: give it more with --budget",
                    (double)(p->deadline - p->start) / 1e9);
  return status;
}

/* Records are of the GPU that measures, where the target is one and something does. */
static void name_records(pump *p) {
  neo_target target = p->named.target;
  const char *device = neo_measurer_facts(p->measurer)->gpu;
  if (neo_target_is_gpu(&target)) {
    if (device[0])
      snprintf(target.gpu.device, sizeof target.gpu.device, "%s", device);
    neo_target_text(&target, p->named.record_target);
  }
  snprintf(p->tuner.target_text, sizeof p->tuner.target_text, "%s%s",
           p->options->as_real ? "" : neo_measurer_record_prefix(p->measurer),
           p->named.record_target);
}

neo_status neo_tune(neo_ctx *ctx, const neo_project *project, neo_db *db,
                    const neo_tune_options *options, neo_tune_result *out) {
  memset(out, 0, sizeof *out);
  pump *p = calloc(1, sizeof *p);
  if (!p)
    return neo_fail(ctx, NEO_NO_MEMORY, "tune");
  *p = (pump){
      .ctx = ctx, .options = options, .result = out, .start = neo_now_ns(ctx), .named = *project};
  double budget = options->budget_s > 0 || options->trials > 0 ? options->budget_s : 600;
  if (!options->no_model_check) /* which has its share */
    budget -= fmin(0.15 * budget, 15);
  p->deadline = budget > 0 ? p->start + (uint64_t)(budget * 1e9) : 0;
  p->state = calloc((size_t)project->n_tasks + 1, sizeof *p->state);
  p->announced = calloc((size_t)project->n_tasks + 1, sizeof(bool));
  neo_measure_options measure = {.threads = project->threads,
                                 .board_program = options->board_program,
                                 .seed = 1,
                                 .interrupted = options->interrupted,
                                 .self = options->self};
  measure.timing = (neo_timing_policy){.race_factor = 3,
                                       .max_total_ns = 15e6,
                                       .min_batches = 3,
                                       .max_batches = 12,
                                       .settled = 0.99,
                                       .cold = weights_are_cold(project)};
  neo_status status = p->state && p->announced ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "tune");
  if (status == NEO_OK)
    status = neo_tuner_init(ctx, &p->tuner, &p->named, db, options->seed, options->strategy);
  if (status == NEO_OK)
    status = neo_measurer_open(ctx, options->measurer ? options->measurer : "local",
                               &project->target, &measure, &p->measurer);
  if (status == NEO_OK)
    name_records(p);
  if (status == NEO_OK && !options->cost_model) /* which knows times */
    p->named.counting = neo_measurer_counting(p->measurer);
  out->counted = status == NEO_OK && neo_measurer_counting(p->measurer).on;
  if (status == NEO_OK && options->cost_model)
    status = neo_tuner_start_file(ctx, &p->tuner, options->cost_model);
  if (status == NEO_OK)
    status = begin_run(p);
  if (status == NEO_OK)
    status = neo_tuner_begin(ctx, &p->tuner);
  if (status == NEO_OK) {
    if (project->graph->keep_idle) /* candidates run on data of their own */
      project->graph->keep_idle(project->graph->keep);
    status = run_pump(p);
    if (status == NEO_INTERRUPTED) { /* conclude says it, with what is recorded */
      neo_ctx_clear(ctx);
      status = NEO_OK;
    }
  }
  if (status == NEO_OK)
    check_model(p);
  if (p->measurer) {
    status = conclude(p, status);
    out->given_up = neo_measurer_given_up(p->measurer);
  }
  neo_measurer_close(p->measurer);
  if (p->tuner.project)
    neo_tuner_fini(&p->tuner);
  free(p->state);
  free(p->announced);
  free(p);
  return status;
}
