/* tests/driver/test_train.c: a cost model from a store's records, and runs that start from it. */
#include "driver/stages.h"
#include "tests/driver/model_case.h"

typedef struct fixture {
  neo_ctx ctx;
  model_case c;
  neo_project project; /* mnist, batch 1, one thread */
  neo_db *db;          /* with one run of simulated times */
  char scratch[256], path[300];
} fixture;

static neo_tune_result tune(fixture *f, const char *cost_model, uint64_t seed, bool as_real) {
  neo_tune_options options = {.trials = 120,
                              .seed = seed,
                              .measurer = "simulated:",
                              .as_real = as_real,
                              .cost_model = cost_model};
  neo_tune_result result;
  must(&f->ctx, neo_tune(&f->ctx, &f->project, f->db, &options, &result));
  return result;
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  neo_ctx_init(&f->ctx, 1);
  case_load(&f->ctx, "mnist_cnn_op13", &f->c);
  case_project(&f->ctx, &f->c, 1, 1, &f->project);
  scratch_create(&f->ctx, f->scratch);
  snprintf(f->path, sizeof f->path, "%s/cost.model", f->scratch);
  must(&f->ctx, neo_db_open(&f->ctx, "memory:", false, &f->db));
  tune(f, NULL, 3, true);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  neo_ctx_clear(&f->ctx);
  scratch_remove(&f->ctx, f->scratch);
  neo_db_close(f->db);
  neo_project_close(&f->project);
  case_release(&f->ctx, &f->c);
  free(f);
  return 0;
}

static neo_train_result train(fixture *f, const char *target) {
  neo_train_result result;
  size_t size = 0;
  must(&f->ctx, neo_train(&f->ctx, f->db, target, &result));
  const char *file = neo_trained_file(result.trained, &size);
  must(&f->ctx, neo_file_write(&f->ctx, f->path, file, size));
  return result;
}

static bool count_usable(void *self, const neo_db_trial *trial) {
  *(int64_t *)self += trial->ns > 0;
  return true;
}

static int64_t usable_of(fixture *f, int64_t run) {
  int64_t n = 0;
  must(&f->ctx, neo_db_visit_trials(&f->ctx, f->db, &(neo_db_query){0}, run, count_usable, &n));
  return n;
}

/* Rows that teach nothing here: of another target, failed, a peer's time, a schedule of another
 * version. Only the last is counted as left out. */
static void every_usable_record_of_the_target_is_learned(void **state) {
  fixture *f = *state;
  int64_t usable = usable_of(f, 1), id = 0;
  neo_train_result result = train(f, NULL);
  assert_int_equal(result.rows, usable);
  assert_int_equal(result.rows, neo_trained_rows(result.trained));
  assert_int_equal(result.skipped, 0);
  assert_int_equal(result.tasks, f->project.n_tasks);
  assert_string_equal(neo_trained_target(result.trained), f->project.target_text);
  assert_true(result.held_out >= 1 && result.held_out < result.tasks);
  assert_true(fabs(result.correlation) <= 1 && fabs(result.analytic_correlation) <= 1);
  neo_trained_destroy(result.trained);
  const neo_task *task = &f->project.task[0];
  neo_db_trial odd[] = {{.kind = "ok", .ns = 5, .origin = "baseline", .schedule = ""},
                        {.kind = "crash", .ns = 0, .origin = "search", .schedule = "s1"},
                        {.kind = "ok", .ns = 5, .origin = "import", .schedule = "s1"},
                        {.kind = "ok", .ns = 5, .origin = "import", .schedule = "s99; alg direct"}};
  for (int i = 0; i < NEO_COUNT(odd); i++) {
    odd[i].workload = task->group->key;
    odd[i].target = i == 2 ? "simulated elsewhere" : f->project.target_text;
    odd[i].layout = task->signature;
    odd[i].threads = 1;
    must(&f->ctx, neo_db_put_trial(&f->ctx, f->db, &odd[i], &id));
  }
  result = train(f, f->project.target_text);
  assert_int_equal(result.rows, usable);
  assert_int_equal(result.skipped, 1);
  neo_trained_destroy(result.trained);
}

static void targets_without_records_are_said(void **state) {
  fixture *f = *state;
  neo_train_result result;
  static const struct {
    const char *target, *word;
    neo_status status;
  } rows[] = {{"generic-c", "0 usable records", NEO_USAGE},
              {"simulated", "0 usable records of target simulated x86_64", NEO_USAGE},
              {"pdp-11", "pdp-11", NEO_USAGE}};
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_status status = neo_train(&f->ctx, f->db, rows[i].target, &result);
    if (status != rows[i].status || !strstr(f->ctx.message, rows[i].word))
      fail_msg("%s: %s: %s", rows[i].target, neo_status_name(status), f->ctx.message);
    assert_null(result.trained);
    neo_ctx_clear(&f->ctx);
  }
}

/* ---- runs ----------------------------------------------------------------------------------------------- */

static bool print_trial(void *self, const neo_db_trial *t) {
  neo_buf_printf(self, "%lld %s %s %.17g\n", (long long)t->attempt, t->workload, t->schedule,
                 t->ns);
  return true;
}

static char *trials_text(fixture *f, neo_db *db, int64_t run) {
  neo_buf text = {0};
  must(&f->ctx, neo_db_visit_trials(&f->ctx, db, &(neo_db_query){0}, run, print_trial, &text));
  return text.data;
}

static void assert_replays(fixture *f, neo_db *db, int64_t run, int64_t trials) {
  int64_t divergence = 0, replayed = 0;
  must(&f->ctx, neo_replay(&f->ctx, &f->project, db, run, &divergence, &replayed));
  assert_int_equal(divergence, -1);
  assert_int_equal(replayed, trials);
}

/* Into fresh stores: the same seed proposes the same, and other things when it starts from a model;
 * both replay, without the file, and not from another model. */
static void a_run_that_starts_from_a_model_replays(void **state) {
  fixture *f = *state;
  char *text[3];
  neo_db *first = f->db, *db[3];
  neo_train_result trained = train(f, NULL);
  for (int i = 0; i < 3; i++) {
    must(&f->ctx, neo_db_open(&f->ctx, "memory:", false, &db[i]));
    f->db = db[i];
    neo_tune_result result = tune(f, i == 0 ? NULL : f->path, 9, true);
    assert_int_equal(result.run, 1);
    text[i] = trials_text(f, db[i], 1);
  }
  f->db = first;
  assert_string_not_equal(text[0], text[1]);
  assert_string_equal(text[1], text[2]);
  remove(f->path);
  for (int i = 0; i < 3; i++)
    assert_replays(f, db[i], 1, 120);
  int64_t divergence = 0, replayed = 0;
  neo_buf note = {0};
  bool found = false;
  must(&f->ctx, neo_db_get_note(&f->ctx, db[1], 1, "cost model", &note, &found));
  assert_true(found);
  must(&f->ctx, neo_db_put_note(&f->ctx, db[0], 1, "cost model", note.data));
  must(&f->ctx, neo_replay(&f->ctx, &f->project, db[0], 1, &divergence, &replayed));
  assert_true(divergence >= 1);
  must(&f->ctx, neo_db_put_note(&f->ctx, db[1], 1, "cost model", "{\"file\": \"neo-cost\"}"));
  assert_int_equal(neo_replay(&f->ctx, &f->project, db[1], 1, &divergence, &replayed),
                   NEO_BAD_INPUT);
  neo_ctx_clear(&f->ctx);
  must(&f->ctx, neo_db_put_note(&f->ctx, db[1], 1, "cost model", "{\"file\": 7}"));
  assert_int_equal(neo_replay(&f->ctx, &f->project, db[1], 1, &divergence, &replayed),
                   NEO_BAD_INPUT);
  assert_non_null(strstr(f->ctx.message, "note of the cost model is damaged"));
  for (int i = 0; i < 3; i++) {
    neo_db_close(db[i]);
    free(text[i]);
  }
  neo_buf_fini(&note);
  neo_trained_destroy(trained.trained);
}

/* No run begins. */
static void models_that_do_not_fit_are_refused(void **state) {
  fixture *f = *state;
  neo_tune_options options = {
      .trials = 8, .seed = 1, .measurer = "simulated:", .cost_model = f->path};
  neo_tune_result result;
  neo_train_result trained = train(f, NULL);
  assert_int_equal(neo_tune(&f->ctx, &f->project, f->db, &options, &result), NEO_USAGE);
  assert_non_null(strstr(f->ctx.message, "it was trained for target 'x86_64"));
  assert_non_null(strstr(f->ctx.message, "this run is for 'simulated x86_64"));
  neo_ctx_clear(&f->ctx);
  assert_int_equal(result.run, 0);
  options.as_real = true;
  must(&f->ctx, neo_file_write(&f->ctx, f->path, "hello", 5));
  assert_int_equal(neo_tune(&f->ctx, &f->project, f->db, &options, &result), NEO_BAD_INPUT);
  neo_ctx_clear(&f->ctx);
  options.cost_model = "/nowhere/cost.model";
  assert_int_equal(neo_tune(&f->ctx, &f->project, f->db, &options, &result), NEO_IO);
  assert_non_null(strstr(f->ctx.message, "/nowhere/cost.model"));
  neo_trained_destroy(trained.trained);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FIXTURE(every_usable_record_of_the_target_is_learned),
      WITH_FIXTURE(targets_without_records_are_said),
      WITH_FIXTURE(a_run_that_starts_from_a_model_replays),
      WITH_FIXTURE(models_that_do_not_fit_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
