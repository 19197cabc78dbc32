/* tests/driver/test_tune_local.c: tuning runs on the real board. */
#include "tests/driver/model_case.h"

typedef struct fixture {
  neo_ctx ctx;
  model_case c;
  neo_project project; /* mnist, batch 1, one thread */
  neo_db *db;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  neo_ctx_init(&f->ctx, 1);
  case_load(&f->ctx, "mnist_cnn_op13", &f->c);
  case_project(&f->ctx, &f->c, 1, 1, &f->project);
  must(&f->ctx, neo_db_open(&f->ctx, "memory:", false, &f->db));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  unsetenv("NEO_TAMPER");
  neo_db_close(f->db);
  neo_project_close(&f->project);
  case_release(&f->ctx, &f->c);
  free(f);
  return 0;
}

typedef struct counts {
  int no_reference, usable;
  bool mixed; /* it was measured all the same, or another was not */
  char key[33];
} counts;

static bool count_trial(void *self, const neo_db_trial *t) {
  counts *c = self;
  bool failed = strcmp(t->kind, "no-reference") == 0;
  c->no_reference += failed;
  c->usable += t->ns > 0;
  if (failed && !c->key[0])
    snprintf(c->key, sizeof c->key, "%s", t->workload);
  if (failed) {
    assert_string_equal(t->phase, "reference");
    assert_non_null(strstr(t->text, "made to crash"));
    c->mixed = c->mixed || strcmp(c->key, t->workload) != 0;
  }
  return true;
}

/* A task whose reference failed ended the whole run. */
static void other_tasks_go_on_without_a_reference(void **state) {
  fixture *f = *state;
  neo_tune_options options = {
      .trials = 80, .seed = 1, .board_program = NEO_BINARY_DIR "/tests/tampering-board"};
  neo_tune_result result;
  counts c = {0};
  int64_t divergence = 0, replayed = 0;
  setenv("NEO_TAMPER", "orphan", 1);
  setenv("NEO_TAMPER_BOARD", NEO_BINARY_DIR "/bin/neo-board", 1);
  assert_int_equal(neo_tune(&f->ctx, &f->project, f->db, &options, &result), NEO_NOTHING_MEASURED);
  assert_non_null(strstr(f->ctx.message, "could not be measured, the others are tuned"));
  assert_non_null(strstr(f->ctx.message, "made to crash"));
  neo_ctx_clear(&f->ctx);
  must(&f->ctx,
       neo_db_visit_trials(&f->ctx, f->db, &(neo_db_query){0}, result.run, count_trial, &c));
  assert_true(c.no_reference == 16 || c.no_reference == 24); /* two rounds, and one on its way */
  assert_false(c.mixed);
  assert_int_equal(result.trials, 80);
  assert_true(c.usable > 40);
  must(&f->ctx, neo_replay(&f->ctx, &f->project, f->db, result.run, &divergence, &replayed));
  assert_int_equal(divergence, -1);
  setenv("NEO_TAMPER", "none", 1); /* the next run finds it mended, and tries the same ones */
  must(&f->ctx, neo_tune(&f->ctx, &f->project, f->db, &options, &result));
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FIXTURE(other_tasks_go_on_without_a_reference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
