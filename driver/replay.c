/* replay: a recorded run through the search again, with the recorded measurements instead of a
 * board.
 *
 * Why: a search that cannot be repeated cannot be debugged. How: the rounds of tune.c are proposed
 * and told in the same order; each proposal must print as the line that the run recorded under the
 * same attempt number. */
#include <stdlib.h>
#include <string.h>

#include "driver/stages.h"

typedef struct replay {
  neo_ctx *ctx;
  neo_arena arena;
  neo_tuner tuner;
  neo_project project;  /* with what the run counted */
  int64_t run, version; /* of the search that it was recorded by; 0: before there were numbers */
  bool found;
  const char *target;
  int64_t first_trial; /* of the run */
  int cap, n;          /* attempts 1..n recorded */
  struct {
    const char *schedule;
    double ns, measure_ns;
  } * row;
} replay;

static bool find_run(void *self, const neo_db_run *run) {
  replay *r = self;
  if (run->id != r->run)
    return true;
  r->found = true;
  r->tuner.seed = run->seed;
  r->target = neo_arena_strdup(&r->arena, run->target);
  return false;
}

static bool collect(void *self, const neo_db_trial *trial) {
  replay *r = self;
  int attempt = (int)trial->attempt;
  if (attempt < 1 || attempt > 10000000)
    return true;
  if (r->first_trial == 0 || trial->id < r->first_trial)
    r->first_trial = trial->id;
  r->row = neo_arena_grow(&r->arena, r->row, &r->cap, attempt + 1, sizeof *r->row);
  r->row[attempt].schedule = neo_arena_strdup(&r->arena, trial->schedule);
  r->row[attempt].ns = trial->ns;
  r->row[attempt].measure_ns = trial->measure_ns;
  if (attempt > r->n)
    r->n = attempt;
  return true;
}

/* Notes in *divergence when the proposal of an attempt is not what was recorded. Rows that the run
 * did not reach end the round: at most its last two, which were out together, have such. */
static neo_status follow(replay *r, tuner_round *round, int64_t *divergence) {
  for (int i = 0; i < round->n; i++) {
    int64_t attempt = round->first_attempt + i;
    bool recorded = attempt <= r->n && r->row[attempt].schedule;
    if (!recorded && attempt <= r->n - 2 * TUNER_ROUND)
      return neo_fail(r->ctx, NEO_BAD_INPUT,
                      "run %lld: trial %lld is missing or damaged in the database, though later "
                      "ones are there: the run cannot be replayed",
                      (long long)r->run, (long long)attempt);
    if (!recorded)
      return NEO_OK;
    neo_schedule schedule;
    neo_buf line = {0};
    neo_space_schedule(r->tuner.task[round->task].space, &round->candidate[i], &schedule);
    neo_schedule_print(&line, &schedule);
    bool same = strcmp(line.data, r->row[attempt].schedule) == 0;
    neo_buf_fini(&line);
    if (!same) {
      *divergence = attempt;
      return NEO_OK;
    }
    round->ns[i] = r->row[attempt].ns;
    round->spent_ns[i] = r->row[attempt].measure_ns;
    round->done++;
  }
  return NEO_OK;
}

static neo_status read_notes(neo_ctx *ctx, replay *r, neo_db *db) {
  neo_buf text = {0};
  bool found = false;
  json_t *note = NULL;
  neo_status status = neo_db_get_note(ctx, db, r->run, "prior", &text, &found);
  if (status == NEO_OK && !found)
    status = neo_fail(ctx, NEO_BAD_INPUT,
                      "run %lld has no note of what it knew: it ended before its first round",
                      (long long)r->run);
  if (status == NEO_OK)
    status = neo_json_parse(ctx, "note", text.data, text.size, &note);
  if (status == NEO_OK) {
    r->tuner.near = json_incref(json_object_get(note, "near"));
    r->tuner.peak_gflops = json_number_value(json_object_get(note, "peak_gflops"));
    json_t *last = json_object_get(note, "last_trial"); /* older runs have none */
    const json_t *miss_cost = json_object_get(note, "miss_cost");
    if (miss_cost)
      r->project.counting = (neo_counting){true, json_number_value(miss_cost)};
    r->version = json_integer_value(json_object_get(note, "search"));
    r->tuner.last_prior = last ? json_integer_value(last) : r->first_trial - 1;
    r->tuner.strategy =
        neo_arena_strdup(&r->arena, json_string_value(json_object_get(note, "strategy")));
  }
  json_decref(note);
  neo_buf_fini(&text);
  return status;
}

static neo_status play(neo_ctx *ctx, replay *r, int64_t *divergence, int64_t *replayed) {
  tuner_round round[2];
  int oldest = 0;
  for (int s = 0; s < 2; s++) {
    NEO_TRY(neo_tuner_propose(ctx, &r->tuner, &round[s]));
    NEO_TRY(follow(r, &round[s], divergence));
  }
  while (round[oldest].n > 0 && *divergence < 0) {
    *replayed += round[oldest].done;
    if (round[oldest].done < round[oldest].n)
      return NEO_OK;
    NEO_TRY(neo_tuner_tell(ctx, &r->tuner, &round[oldest]));
    NEO_TRY(neo_tuner_propose(ctx, &r->tuner, &round[oldest]));
    NEO_TRY(follow(r, &round[oldest], divergence));
    oldest = 1 - oldest;
  }
  return NEO_OK;
}

/* A divergence needs no other cause where the search is another one. */
static neo_status check_version(neo_ctx *ctx, const replay *r, int64_t divergence) {
  char recorded[32] = "an older version";
  if (divergence < 0 || r->version == NEO_SEARCH_VERSION)
    return NEO_OK;
  if (r->version)
    snprintf(recorded, sizeof recorded, "version %lld", (long long)r->version);
  return neo_fail(ctx, NEO_BAD_INPUT,
                  "run %lld was recorded by %s of the search; this one, version %d, proposes "
                  "otherwise from trial %lld on. Its records are as good as ever",
                  (long long)r->run, recorded, NEO_SEARCH_VERSION, (long long)divergence);
}

neo_status neo_replay(neo_ctx *ctx, const neo_project *project, neo_db *db, int64_t run,
                      int64_t *divergence, int64_t *replayed) {
  replay *r = calloc(1, sizeof *r);
  if (!r)
    return neo_fail(ctx, NEO_NO_MEMORY, "replay");
  r->ctx = ctx;
  r->run = run;
  r->project = *project;
  neo_arena_init(&r->arena);
  *divergence = -1;
  *replayed = 0;
  neo_status status = neo_db_visit_runs(ctx, db, find_run, r);
  if (status == NEO_OK && !r->found)
    status = neo_fail(ctx, NEO_USAGE, "run %lld is not in the database; `neo-tune runs` lists them",
                      (long long)run);
  if (status == NEO_OK)
    status = neo_tuner_init(ctx, &r->tuner, &r->project, db, r->tuner.seed, NULL);
  if (status == NEO_OK) {
    r->tuner.run = run;
    snprintf(r->tuner.target_text, sizeof r->tuner.target_text, "%s", r->target);
    status = neo_db_visit_trials(ctx, db, &(neo_db_query){0}, run, collect, r);
  }
  if (status == NEO_OK)
    status = read_notes(ctx, r, db);
  if (status == NEO_OK)
    status = neo_tuner_start_noted(ctx, &r->tuner);
  if (status == NEO_OK)
    status = neo_tuner_begin(ctx, &r->tuner);
  if (status == NEO_OK)
    status = play(ctx, r, divergence, replayed);
  if (status == NEO_OK)
    status = check_version(ctx, r, *divergence);
  if (r->tuner.project)
    neo_tuner_fini(&r->tuner);
  neo_arena_fini(&r->arena);
  free(r);
  return status;
}
