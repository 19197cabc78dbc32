/* tests/driver/test_tune.c: tuning runs with the simulated measurer: what is proposed, recorded,
 * limited, interrupted, replayed, and what compiling makes of good, near, damaged and read-only
 * stores. */
#include <sqlite3.h>
#include <unistd.h>

#include "tests/driver/model_case.h"
#include "tests/fail_alloc.h"

typedef struct fixture {
  neo_ctx ctx;
  model_case c;
  neo_project project; /* mnist, batch 1, one thread */
  char scratch[256], db_path[300], artifact[300];
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  neo_ctx_init(&f->ctx, 1);
  case_load(&f->ctx, "mnist_cnn_op13", &f->c);
  case_project(&f->ctx, &f->c, 1, 1, &f->project);
  scratch_create(&f->ctx, f->scratch);
  snprintf(f->db_path, sizeof f->db_path, "%s/tuning.db", f->scratch);
  snprintf(f->artifact, sizeof f->artifact, "%s/artifact", f->scratch);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  neo_ctx_clear(&f->ctx);
  scratch_remove(&f->ctx, f->scratch);
  neo_project_close(&f->project);
  case_release(&f->ctx, &f->c);
  free(f);
  return 0;
}

static neo_db *open_db(fixture *f, const char *url) {
  neo_db *db = NULL;
  must(&f->ctx, neo_db_open(&f->ctx, url, false, &db));
  return db;
}

static neo_tune_options simulated(int64_t trials, uint64_t seed) {
  return (neo_tune_options){
      .trials = trials, .seed = seed, .measurer = "simulated:", .as_real = true};
}

static neo_tune_result tune(fixture *f, neo_db *db, int64_t trials, uint64_t seed) {
  neo_tune_options options = simulated(trials, seed);
  neo_tune_result result;
  must(&f->ctx, neo_tune(&f->ctx, &f->project, db, &options, &result));
  return result;
}

static bool print_trial(void *self, const neo_db_trial *t) {
  neo_buf_printf(self, "%lld %s [%s] %s %s %.17g %.17g\n", (long long)t->attempt, t->workload,
                 t->layout, t->schedule, t->kind, t->ns, t->predicted_ns);
  return true;
}

static char *trials_text(fixture *f, neo_db *db, int64_t run) {
  neo_buf text = {0};
  must(&f->ctx, neo_db_visit_trials(&f->ctx, db, &(neo_db_query){0}, run, print_trial, &text));
  assert_false(text.failed);
  return text.data ? text.data : strdup("");
}

static bool count_trial(void *self, const neo_db_trial *t) {
  (void)t;
  ++*(int64_t *)self;
  return true;
}

static int64_t trials_of(fixture *f, neo_db *db, int64_t run) {
  int64_t n = 0;
  must(&f->ctx, neo_db_visit_trials(&f->ctx, db, &(neo_db_query){0}, run, count_trial, &n));
  return n;
}

typedef struct run_state {
  int64_t run;
  char state[32];
} run_state;

static bool find_state(void *self, const neo_db_run *run) {
  run_state *want = self;
  if (run->id == want->run)
    snprintf(want->state, sizeof want->state, "%s", run->state);
  return true;
}

static void assert_run_state(fixture *f, neo_db *db, int64_t run, const char *state) {
  run_state found = {.run = run};
  must(&f->ctx, neo_db_visit_runs(&f->ctx, db, find_state, &found));
  assert_string_equal(found.state, state);
}

/* Changes the store behind Neo's back. */
static void meddle(const char *path, const char *sql) {
  sqlite3 *raw = NULL;
  assert_int_equal(sqlite3_open(path, &raw), SQLITE_OK);
  sqlite3_busy_timeout(raw, 5000);
  char *message = NULL;
  if (sqlite3_exec(raw, sql, NULL, NULL, &message) != SQLITE_OK)
    fail_msg("%s: %s", sql, message);
  assert_true(sqlite3_changes(raw) > 0);
  sqlite3_close(raw);
}

/* A copy of a store made through the store's own interface, with changed rows: unlike meddling they
 * carry right checksums. */
typedef struct changed_copy {
  neo_ctx *ctx;
  neo_db *to;
  void (*change)(neo_db_trial *trial);
} changed_copy;

static bool copy_workload(void *self, const neo_db_workload *workload) {
  changed_copy *copy = self;
  must(copy->ctx, neo_db_put_workload(copy->ctx, copy->to, workload));
  return true;
}

static bool copy_trial(void *self, const neo_db_trial *trial) {
  changed_copy *copy = self;
  neo_db_trial changed = *trial;
  int64_t id = 0;
  copy->change(&changed);
  must(copy->ctx, neo_db_put_trial(copy->ctx, copy->to, &changed, &id));
  assert_int_equal(id, trial->id);
  return true;
}

typedef struct run_copy {
  changed_copy *copy;
  neo_db *from;
  int64_t want;
} run_copy;

static bool copy_run(void *self, const neo_db_run *run) {
  run_copy *c = self;
  neo_ctx *ctx = c->copy->ctx;
  int64_t id = 0;
  bool found = false;
  neo_buf note = {0};
  if (run->id != c->want)
    return true;
  must(ctx, neo_db_begin_run(ctx, c->copy->to, run, &id));
  assert_int_equal(id, run->id);
  must(ctx, neo_db_get_note(ctx, c->from, run->id, "prior", &note, &found));
  assert_true(found);
  must(ctx, neo_db_put_note(ctx, c->copy->to, id, "prior", note.data));
  neo_buf_fini(&note);
  return true;
}

static neo_db *copy_store(fixture *f, neo_db *from, int64_t runs,
                          void (*change)(neo_db_trial *trial)) {
  changed_copy copy = {&f->ctx, open_db(f, "memory:"), change};
  must(&f->ctx, neo_db_visit_workloads(&f->ctx, from, copy_workload, &copy));
  for (int64_t run = 1; run <= runs; run++)
    must(&f->ctx, neo_db_visit_runs(&f->ctx, from, copy_run, &(run_copy){&copy, from, run}));
  must(&f->ctx, neo_db_visit_trials(&f->ctx, from, &(neo_db_query){0}, 0, copy_trial, &copy));
  return copy.to;
}

/* ---- determinism --------------------------------------------------------------------------------- */

static void same_seed_same_records(void **state) {
  fixture *f = *state;
  char *text[3];
  static const uint64_t seed[] = {7, 7, 8};
  for (int i = 0; i < 3; i++) {
    neo_db *db = open_db(f, "memory:");
    neo_tune_result result = tune(f, db, 200, seed[i]);
    text[i] = trials_text(f, db, result.run);
    neo_db_close(db);
  }
  assert_string_equal(text[0], text[1]);
  assert_string_not_equal(text[0], text[2]);
  for (int i = 0; i < 3; i++)
    free(text[i]);
}

static void flip_attempt_5_of_run_2(neo_db_trial *trial) {
  if (trial->run == 2 && trial->attempt == 5)
    trial->ns /= 1000;
}

static void replay_equals_until_a_measurement_is_flipped(void **state) {
  fixture *f = *state;
  int64_t divergence = 0, replayed = 0;
  neo_db *db = open_db(f, f->db_path);
  assert_int_equal(tune(f, db, 120, 3).run, 1);
  assert_int_equal(tune(f, db, 150, 4).run, 2);
  must(&f->ctx, neo_replay(&f->ctx, &f->project, db, 1, &divergence, &replayed));
  assert_int_equal(divergence, -1);
  assert_int_equal(replayed, 120);
  must(&f->ctx, neo_replay(&f->ctx, &f->project, db, 2, &divergence, &replayed));
  assert_int_equal(divergence, -1);
  assert_int_equal(replayed, 150);
  neo_db *flipped = copy_store(f, db, 2, flip_attempt_5_of_run_2);
  must(&f->ctx, neo_replay(&f->ctx, &f->project, flipped, 1, &divergence, &replayed));
  assert_int_equal(divergence, -1);
  must(&f->ctx, neo_replay(&f->ctx, &f->project, flipped, 2, &divergence, &replayed));
  print_message("diverges at %lld\n", (long long)divergence);
  assert_true(divergence > 16 && divergence <= 150);
  assert_true(replayed < 150);
  assert_int_equal(neo_replay(&f->ctx, &f->project, db, 99, &divergence, &replayed), NEO_USAGE);
  neo_ctx_clear(&f->ctx);
  neo_db_close(flipped);
  neo_db_close(db);
}

typedef struct rival {
  fixture *f;
  neo_db *db;
  int rounds;
} rival;

static void tune_meanwhile(void *self, const neo_project *project, const neo_task_state *state,
                           const neo_tune_event *event) {
  rival *other = self;
  (void)state;
  if (event->kind != NEO_EVENT_TASK || other->rounds++ > 0)
    return;
  neo_ctx ctx;
  neo_tune_options options = simulated(100, 77);
  neo_tune_result result;
  neo_ctx_init(&ctx, 1);
  must(&ctx, neo_tune(&ctx, project, other->db, &options, &result));
}

/* Its proposals differed, and "other records, options or version" left open why. */
static void replay_names_another_version_of_the_search(void **state) {
  fixture *f = *state;
  int64_t divergence = 0, replayed = 0;
  static const char *const notes[] = {"\"search\":", "\"older\":"};
  neo_db *db = open_db(f, "memory:");
  tune(f, db, 120, 3);
  tune(f, db, 150, 4);
  neo_db *flipped = copy_store(f, db, 2, flip_attempt_5_of_run_2);
  for (int k = 0; k < 2; k++) {
    neo_buf note = {0}, changed = {0};
    bool found = false;
    must(&f->ctx, neo_db_get_note(&f->ctx, db, 2, "prior", &note, &found));
    const char *at = found ? strstr(note.data, notes[0]) : NULL;
    assert_non_null(at);
    neo_buf_append(&changed, note.data, (size_t)(at - note.data));
    neo_buf_printf(&changed, "%s%s%s", notes[k], k ? "" : "7", at + strlen(notes[0]));
    must(&f->ctx, neo_db_put_note(&f->ctx, flipped, 2, "prior", changed.data));
    neo_ctx_clear(&f->ctx);
    assert_int_equal(neo_replay(&f->ctx, &f->project, flipped, 2, &divergence, &replayed),
                     NEO_BAD_INPUT);
    assert_non_null(strstr(f->ctx.message, k ? "an older version" : "version 7"));
    neo_buf_fini(&note);
    neo_buf_fini(&changed);
  }
  neo_ctx_clear(&f->ctx);
  neo_db_close(flipped);
  neo_db_close(db);
}

/* Another run wrote to the store after this one had begun: replaying it took those rows for known
 * ones, and so did the run itself, for the tasks that came later. */
static void a_rival_does_not_disturb_replay(void **state) {
  fixture *f = *state;
  int64_t divergence = 0, replayed = 0;
  neo_db *db = open_db(f, "memory:");
  rival other = {f, db, 0};
  neo_tune_options options = simulated(150, 5);
  neo_tune_result result;
  options.event = tune_meanwhile;
  options.self = &other;
  tune(f, db, 60, 3);
  must(&f->ctx, neo_tune(&f->ctx, &f->project, db, &options, &result));
  assert_true(other.rounds > 1);
  must(&f->ctx, neo_replay(&f->ctx, &f->project, db, result.run, &divergence, &replayed));
  assert_int_equal(divergence, -1);
  assert_int_equal(replayed, 150);
  must(&f->ctx, neo_replay(&f->ctx, &f->project, db, result.run + 1, &divergence, &replayed));
  assert_int_equal(divergence, -1);
  neo_db_close(db);
}

/* It said "4 trials replayed, every proposal equal" of a run of 150. */
static void a_damaged_run_does_not_replay(void **state) {
  fixture *f = *state;
  int64_t divergence = 0, replayed = 0;
  neo_db *db = open_db(f, f->db_path);
  tune(f, db, 60, 3);
  neo_db_close(db);
  meddle(f->db_path, "UPDATE trials SET ns = ns / 1000 WHERE attempt = 5");
  db = open_db(f, f->db_path);
  assert_int_equal(neo_replay(&f->ctx, &f->project, db, 1, &divergence, &replayed), NEO_BAD_INPUT);
  assert_non_null(strstr(f->ctx.message, "trial 5 is missing or damaged"));
  neo_ctx_clear(&f->ctx);
  neo_db_close(db);
}

static int compare_texts(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool print_identity(void *self, const neo_db_trial *t) {
  neo_buf_printf(self, "%s %s\n", t->workload, t->schedule);
  return true;
}

/* What is recorded is never measured again by later runs. */
static void later_runs_go_on(void **state) {
  fixture *f = *state;
  neo_db *db = open_db(f, "memory:");
  double best = INFINITY;
  for (int run = 0; run < 3; run++) {
    neo_tune_result result = tune(f, db, 64, 5);
    assert_int_equal(result.trials, 64);
    assert_true(result.after_ns > 0);
    best = fmin(best, result.after_ns);
  }
  assert_true(best < INFINITY);
  neo_buf text = {0};
  must(&f->ctx, neo_db_visit_trials(&f->ctx, db, &(neo_db_query){0}, 0, print_identity, &text));
  char *line[192];
  int n = 0;
  for (char *at = text.data; *at; n++) {
    assert_true(n < 192);
    line[n] = at;
    at += strcspn(at, "\n");
    *at++ = '\0';
  }
  assert_int_equal(n, 192);
  qsort(line, (size_t)n, sizeof *line, compare_texts);
  for (int i = 1; i < n; i++)
    assert_string_not_equal(line[i - 1], line[i]);
  neo_buf_fini(&text);
  neo_db_close(db);
}

/* ---- limits and interruption ------------------------------------------------------------------------ */

static void trial_limits_are_exact(void **state) {
  fixture *f = *state;
  static const int64_t limits[] = {1, 7, 8, 9, 16, 17, 50};
  for (int i = 0; i < NEO_COUNT(limits); i++) {
    neo_db *db = open_db(f, "memory:");
    neo_tune_result result = tune(f, db, limits[i], 1);
    assert_int_equal(result.trials, limits[i]);
    assert_int_equal(result.ok + result.failed, limits[i]);
    assert_int_equal(trials_of(f, db, result.run), limits[i]);
    assert_run_state(f, db, result.run, "done");
    neo_db_close(db);
  }
}

typedef struct stopper {
  int64_t seen, stop_after;
} stopper;

static void see_event(void *self, const neo_project *project, const neo_task_state *state,
                      const neo_tune_event *event) {
  stopper *s = self;
  (void)project, (void)state;
  s->seen += event->kind == NEO_EVENT_TRIAL || event->kind == NEO_EVENT_FAILURE;
}

static bool wants_stop(void *self) {
  const stopper *s = self;
  return s->seen >= s->stop_after;
}

static void interruption_keeps_everything(void **state) {
  fixture *f = *state;
  for (int64_t after = 0; after <= 40; after += 13) {
    stopper s = {.stop_after = after};
    neo_db *db = open_db(f, "memory:");
    neo_tune_options options = simulated(1000, 1);
    neo_tune_result result;
    options.interrupted = wants_stop;
    options.event = see_event;
    options.self = &s;
    assert_int_equal(neo_tune(&f->ctx, &f->project, db, &options, &result), NEO_INTERRUPTED);
    assert_non_null(strstr(f->ctx.message, "run neo-tune again"));
    neo_ctx_clear(&f->ctx);
    assert_true(result.trials >= after && result.trials < after + 16);
    assert_int_equal(trials_of(f, db, result.run), result.trials);
    assert_run_state(f, db, result.run, "interrupted");
    neo_db_close(db);
  }
}

static bool write_failure(void *self, const neo_db_trial *t) {
  neo_buf_printf(self,
                 "{\"workload\": \"%s\", \"schedule\": \"%s\", \"kind\": \"crash\", \"ns\": 0}\n",
                 t->workload, t->schedule);
  return true;
}

static void nothing_measured_is_an_error(void **state) {
  fixture *f = *state;
  char path[300], url[320];
  neo_buf lines = {0};
  neo_db *db = open_db(f, "memory:");
  neo_tune_result result = tune(f, db, 12, 1);
  must(&f->ctx,
       neo_db_visit_trials(&f->ctx, db, &(neo_db_query){0}, result.run, write_failure, &lines));
  neo_db_close(db);
  snprintf(path, sizeof path, "%s/failures.jsonl", f->scratch);
  snprintf(url, sizeof url, "simulated:%s", path);
  must(&f->ctx, neo_file_write(&f->ctx, path, lines.data, lines.size));
  neo_buf_fini(&lines);
  db = open_db(f, "memory:");
  neo_tune_options options = simulated(12, 1);
  options.measurer = url;
  assert_int_equal(neo_tune(&f->ctx, &f->project, db, &options, &result), NEO_NOTHING_MEASURED);
  assert_non_null(strstr(f->ctx.message, "crash"));
  neo_ctx_clear(&f->ctx);
  assert_int_equal(result.failed, 12);
  assert_int_equal(trials_of(f, db, result.run), 12); /* failures are data */
  /* and compiling from such a store is the analytic choice */
  neo_compile_options compile = {.output = f->artifact};
  neo_compile_result compiled;
  must(&f->ctx, neo_compile(&f->ctx, &f->project, db, &compile, &compiled));
  assert_int_equal(compiled.analytic, compiled.n_tasks);
  neo_db_close(db);
}

static void bad_measurers_are_named(void **state) {
  fixture *f = *state;
  static const struct {
    const char *url;
    neo_status status;
  } rows[] = {{"imagined:", NEO_USAGE}, {"simulated:/nowhere/file", NEO_IO}};
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_db *db = open_db(f, "memory:");
    neo_tune_options options = simulated(8, 1);
    neo_tune_result result;
    options.measurer = rows[i].url;
    assert_int_equal(neo_tune(&f->ctx, &f->project, db, &options, &result), rows[i].status);
    assert_non_null(strstr(f->ctx.message, strchr(rows[i].url, ':') + 1));
    neo_ctx_clear(&f->ctx);
    neo_db_close(db);
  }
}

/* ---- compiling from the store ------------------------------------------------------------------------ */

static neo_compile_result compile(fixture *f, const neo_project *project, neo_db *db,
                                  neo_buf *table) {
  neo_compile_result result;
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  neo_compile_options options = {.output = f->artifact, .table = out};
  must(&f->ctx, neo_compile(&f->ctx, project, db, &options, &result));
  fclose(out);
  if (table)
    neo_buf_append(table, text, size);
  free(text);
  return result;
}

static void hits_and_near_hits(void **state) {
  fixture *f = *state;
  neo_db *db = open_db(f, f->db_path);
  neo_buf table = {0};
  neo_project project;
  neo_tune_options options = simulated(200, 1);
  neo_tune_result tuned;
  case_project(&f->ctx, &f->c, 1, 2, &project);
  must(&f->ctx, neo_tune(&f->ctx, &project, db, &options, &tuned));
  neo_compile_result result = compile(f, &project, db, &table);
  assert_int_equal(result.hits, result.n_tasks);
  assert_non_null(strstr(table.data, "hit "));
  neo_project_close(&project);
  neo_buf_clear(&table);
  case_project(&f->ctx, &f->c, 1, 0, &project); /* batch 64: other extents, same families */
  result = compile(f, &project, db, &table);
  assert_int_equal(result.hits, 0);
  assert_true(result.near > 0); /* where the model's pick is not much better */
  assert_non_null(strstr(table.data, "near-hit"));
  assert_non_null(strstr(table.data, "no record of this workload"));
  neo_project_close(&project);
  case_run(&f->c, f->artifact, 1);
  neo_buf_fini(&table);
  neo_db_close(db);
}

/* Made-up times were hits. */
static void simulated_times_are_not_compiled(void **state) {
  fixture *f = *state;
  neo_db *db = open_db(f, "memory:");
  neo_tune_options options = simulated(60, 1);
  neo_tune_result tuned;
  int64_t divergence = 0, replayed = 0;
  options.as_real = false;
  must(&f->ctx, neo_tune(&f->ctx, &f->project, db, &options, &tuned));
  neo_compile_result result = compile(f, &f->project, db, NULL);
  assert_int_equal(result.hits + result.near, 0);
  must(&f->ctx, neo_replay(&f->ctx, &f->project, db, tuned.run, &divergence, &replayed));
  assert_int_equal(divergence, -1);
  assert_int_equal(replayed, 60);
  neo_db_close(db);
}

static void no_schedule(neo_db_trial *trial) {
  trial->schedule = "no schedule";
  trial->ns = 1;
}

static void unknown_instruction(neo_db_trial *trial) {
  trial->schedule = "s1; alg direct; fold B0 1 2";
}

static void impossible_split(neo_db_trial *trial) {
  trial->schedule = "s1; alg direct; split B9.1 7; order B9 1.0 1.1";
}

static void another_version(neo_db_trial *trial) {
  trial->schedule = "s99; alg direct";
}

static void unknown_algorithm(neo_db_trial *trial) {
  trial->schedule = "s1; alg sorcery 6";
}

static void another_target(neo_db_trial *trial) {
  trial->target = "m68k vec=4";
}

static void other_layouts(neo_db_trial *trial) {
  trial->layout = "b0=9,9";
}

/* Rows with right checksums that this version cannot use: from a newer one, from a foreign hand. */
static void stale_records_are_passed_over(void **state) {
  fixture *f = *state;
  static const struct {
    void (*change)(neo_db_trial *trial);
    const char *reason;
  } rows[] = {{no_schedule, "is stale"},           {unknown_instruction, "is stale"},
              {impossible_split, "is stale"},      {another_version, "is stale"},
              {unknown_algorithm, "is stale"},     {another_target, "no record of this"},
              {other_layouts, "no record of this"}};
  neo_project whole;
  case_project(&f->ctx, &f->c, 1, 0, &whole);
  neo_db *good = open_db(f, f->db_path);
  neo_tune_options options = simulated(70, 1);
  neo_tune_result tuned;
  must(&f->ctx, neo_tune(&f->ctx, &whole, good, &options, &tuned));
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_buf table = {0};
    neo_db *db = copy_store(f, good, 1, rows[i].change);
    neo_compile_result result = compile(f, &whole, db, &table);
    if (!strstr(table.data, rows[i].reason))
      fail_msg("row %d: no '%s' in\n%s", i, rows[i].reason, table.data);
    assert_true(rows[i].change == other_layouts || result.hits == 0);
    case_run(&f->c, f->artifact, 1);
    options.trials = 24;
    must(&f->ctx, neo_tune(&f->ctx, &whole, db, &options, &tuned)); /* tuning goes on, too */
    if (tuned.trials != 24)
      fail_msg("row %d: run %lld made %lld trials", i, (long long)tuned.run,
               (long long)tuned.trials);
    neo_buf_fini(&table);
    neo_db_close(db);
  }
  neo_db_close(good);
  neo_project_close(&whole);
}

/* The fastest records do not replay. */
static void the_fastest_are_stale(neo_db_trial *trial) {
  if (trial->attempt % 5 != 1)
    return;
  trial->schedule = "s1; alg direct; split B9.1 7; order B9 1.0 1.1";
  trial->ns /= 1000;
}

/* One bad record won for ever: the task got no record at all. */
static void the_next_best_record_is_used(void **state) {
  fixture *f = *state;
  neo_db *good = open_db(f, f->db_path);
  tune(f, good, 60, 1);
  neo_db *db = copy_store(f, good, 1, the_fastest_are_stale);
  neo_compile_result result = compile(f, &f->project, db, NULL);
  assert_int_equal(result.hits, result.n_tasks);
  neo_db_close(db);
  neo_db_close(good);
}

static neo_compile_result compile_grown(fixture *f, const model_case *c, neo_db *db, double growth,
                                        int64_t trials) {
  neo_binding binding = {.name = c->input_name, .shape = {4, {1, 3, 192, 192}}};
  neo_project_options options = {.model = c->model,
                                 .n_bindings = 1,
                                 .bindings = &binding,
                                 .threads = 1,
                                 .accuracy = NEO_ACCURACY_DEFAULT,
                                 .max_params_growth = growth};
  neo_project project;
  must(&f->ctx, neo_project_open(&f->ctx, &options, &project));
  neo_tune_options tuning = simulated(trials, 1);
  neo_tune_result ignored;
  if (trials > 0)
    must(&f->ctx, neo_tune(&f->ctx, &project, db, &tuning, &ignored));
  neo_compile_result result = compile(f, &project, db, NULL);
  print_message("growth %.1f: %zu bytes of %zu, %d hits, %.1f us\n", growth, result.params_bytes,
                result.weights_bytes, result.hits, result.predicted_ns / 1e3);
  neo_project_close(&project);
  return result;
}

/* It was of each layer, and records did not care. */
static void growth_is_of_the_whole_model(void **state) {
  fixture *f = *state;
  static const double growth[] = {4, 2.5, 1.5, 1}; /* records are of the most generous one */
  model_case c;
  case_load(&f->ctx, "unet_op13", &c);
  for (int tuned = 0; tuned < 2; tuned++) {
    neo_db *db = open_db(f, "memory:");
    size_t before = SIZE_MAX;
    int hits = 0;
    for (int i = 0; i < NEO_COUNT(growth); i++) {
      neo_compile_result result = compile_grown(f, &c, db, growth[i], tuned && i == 0 ? 300 : 0);
      /* blocked layouts pad channels to whole vectors: not to be chosen */
      double padding = growth[i] > 1 ? 1.01 : 1 + 0.15 * f->project.target.vector_bytes / 32;
      assert_true((double)result.params_bytes <=
                  growth[i] * padding * (double)result.weights_bytes + 64 * 64);
      assert_true(result.params_bytes <= before);
      before = result.params_bytes;
      hits += result.hits;
    }
    assert_true((hits > 0) == tuned);
    neo_db_close(db);
  }
  case_release(&f->ctx, &c);
}

static void keep_warning(void *self, neo_log_level level, const char *text) {
  if (level <= NEO_LOG_WARN)
    neo_buf_printf(self, "%s\n", text);
}

static void damaged_rows_are_named_and_skipped(void **state) {
  fixture *f = *state;
  static const char *const damage[] = {
      "UPDATE trials SET ns = 1",
      "UPDATE trials SET kind = 'wonderful', ns = 1e300",
      "UPDATE trials SET schedule = replace(schedule, '8', '4') || '; split B9.1 7'",
      "UPDATE trials SET repeats = '1 2 3', ratio = 0.5",
  };
  for (int i = 0; i < NEO_COUNT(damage); i++) {
    unlink(f->db_path);
    neo_db *db = open_db(f, f->db_path);
    tune(f, db, 70, 1);
    neo_db_close(db);
    meddle(f->db_path, damage[i]);
    neo_buf warnings = {0};
    f->ctx.log = keep_warning;
    f->ctx.log_self = &warnings;
    db = open_db(f, f->db_path);
    neo_compile_result result = compile(f, &f->project, db, NULL);
    assert_int_equal(result.hits, 0);
    assert_int_equal(tune(f, db, 20, 1).trials, 20);
    f->ctx.log = NULL;
    assert_non_null(warnings.data);
    assert_non_null(strstr(warnings.data, "damaged and skipped"));
    assert_non_null(strstr(warnings.data, f->db_path));
    neo_buf_fini(&warnings);
    neo_db_close(db);
  }
}

static void read_only_stores(void **state) {
  fixture *f = *state;
  neo_db *db = open_db(f, f->db_path);
  tune(f, db, 120, 1);
  neo_db_close(db);
  must(&f->ctx, neo_db_open(&f->ctx, f->db_path, true, &db));
  neo_compile_result result = compile(f, &f->project, db, NULL);
  assert_int_equal(result.hits, result.n_tasks);
  neo_tune_options options = simulated(8, 1);
  neo_tune_result tuned;
  neo_status status = neo_tune(&f->ctx, &f->project, db, &options, &tuned);
  print_message("%s: %s\n", neo_status_name(status), f->ctx.message);
  assert_true(status == NEO_IO || status == NEO_UNREACHABLE || status == NEO_USAGE);
  assert_non_null(strstr(f->ctx.message, f->db_path));
  assert_int_equal(tuned.trials, 0);
  neo_ctx_clear(&f->ctx);
  neo_db_close(db);
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static neo_status tune_little(void *self, neo_ctx *ctx) {
  const fixture *f = self;
  neo_db *db = NULL;
  neo_tune_options options = simulated(9, 1);
  neo_tune_result result;
  neo_status status = neo_db_open(ctx, "memory:", false, &db);
  if (status == NEO_OK)
    status = neo_tune(ctx, &f->project, db, &options, &result);
  neo_db_close(db);
  return status;
}

/* Every allocation through the context fails once; where a part can do without (a sketch, the cost
 * model) the run may still come to its end. */
static void each_allocation_may_fail(void **state) {
  fixture *f = *state;
  long refused = 0, n = 1;
  for (bool met = true; met; n += n < 200 ? 1 : 1 + n / 50) {
    neo_fail_alloc memory;
    neo_ctx ctx;
    neo_fail_alloc_init(&memory, n);
    neo_ctx_init(&ctx, 1);
    ctx.allocator = &memory.allocator;
    neo_status status = tune_little(f, &ctx);
    met = memory.failures > 0;
    if (memory.live != 0)
      fail_msg("%ld blocks are left when allocation %ld fails", memory.live, n);
    if (status != NEO_OK && status != NEO_NO_MEMORY)
      fail_msg("allocation %ld: %s: %s", n, neo_status_name(status), ctx.message);
    assert_true(status == NEO_OK || ctx.message[0]);
    assert_true(met || status == NEO_OK);
    refused += status == NEO_NO_MEMORY;
  }
  print_message("%ld runs refused, of up to %ld allocations\n", refused, n);
  assert_true(refused > 3);
}

typedef struct memory_watch {
  int64_t trials, at_500, at_1500, at_end;
} memory_watch;

static int64_t resident_pages(void) {
  char text[128] = "";
  FILE *in = fopen("/proc/self/statm", "r");
  assert_non_null(in);
  assert_non_null(fgets(text, sizeof text, in));
  fclose(in);
  return strtoll(strchr(text, ' '), NULL, 10);
}

static void watch_memory(void *self, const neo_project *project, const neo_task_state *state,
                         const neo_tune_event *event) {
  memory_watch *watch = self;
  (void)project, (void)state;
  if (event->kind != NEO_EVENT_TRIAL)
    return;
  watch->trials++;
  if (watch->trials == 500)
    watch->at_500 = resident_pages();
  if (watch->trials == 1500)
    watch->at_1500 = resident_pages();
  watch->at_end = resident_pages();
}

/* From when the cost model holds as many rows as it ever will. The whole way, to 20,000 trials, is
 * benchmarks/bar_rss.sh. */
static void memory_stays_flat(void **state) {
  fixture *f = *state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  print_message("SKIPPED: a sanitizer's memory is not ours\n");
  skip();
#endif
  memory_watch watch = {0};
  neo_db *db = open_db(f, f->db_path);
  neo_tune_options options = simulated(5000, 1);
  neo_tune_result result;
  options.event = watch_memory;
  options.self = &watch;
  must(&f->ctx, neo_tune(&f->ctx, &f->project, db, &options, &result));
  neo_db_close(db);
  double growth = (double)watch.at_end / (double)watch.at_1500 - 1;
  print_message("resident: %lld KB at trial 500, %lld KB at 1500, %lld KB at %lld: %+.1f %%\n",
                (long long)watch.at_500 * 4, (long long)watch.at_1500 * 4,
                (long long)watch.at_end * 4, (long long)watch.trials, 100 * growth);
  assert_int_equal(watch.trials, 5000);
  assert_true(growth < 0.05);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FIXTURE(same_seed_same_records),
      WITH_FIXTURE(replay_equals_until_a_measurement_is_flipped),
      WITH_FIXTURE(replay_names_another_version_of_the_search),
      WITH_FIXTURE(a_damaged_run_does_not_replay),
      WITH_FIXTURE(later_runs_go_on),
      WITH_FIXTURE(trial_limits_are_exact),
      WITH_FIXTURE(interruption_keeps_everything),
      WITH_FIXTURE(nothing_measured_is_an_error),
      WITH_FIXTURE(bad_measurers_are_named),
      WITH_FIXTURE(hits_and_near_hits),
      WITH_FIXTURE(a_rival_does_not_disturb_replay),
      WITH_FIXTURE(simulated_times_are_not_compiled),
      WITH_FIXTURE(stale_records_are_passed_over),
      WITH_FIXTURE(the_next_best_record_is_used),
      WITH_FIXTURE(growth_is_of_the_whole_model),
      WITH_FIXTURE(damaged_rows_are_named_and_skipped),
      WITH_FIXTURE(read_only_stores),
      WITH_FIXTURE(each_allocation_may_fail),
      WITH_FIXTURE(memory_stays_flat),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
