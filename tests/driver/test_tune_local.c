/* tests/driver/test_tune_local.c: tuning runs on the real board. */
#include "driver/stages.h"
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

static const neo_task *heaviest(const neo_project *project) {
  const neo_task *best = &project->task[0];
  for (int t = 1; t < project->n_tasks; t++)
    if (project->task[t].flops > best->flops)
      best = &project->task[t];
  return best;
}

/* The schedule that compiling takes for the task, as text. */
static char *chosen(fixture *f, neo_db *db, const neo_task *task) {
  neo_arena arena;
  neo_buf line = {0};
  neo_arena_init(&arena);
  neo_choice **choice = neo_arena_alloc(&arena, sizeof *choice * (size_t)(f->project.n_tasks + 1));
  for (int t = 0; t < f->project.n_tasks; t++)
    choice[t] = neo_arena_alloc(&arena, sizeof **choice);
  must(&f->ctx, neo_choose(&f->ctx, &f->project, db, choice));
  neo_schedule_print(&line, &choice[task - f->project.task]->schedule);
  neo_arena_fini(&arena);
  return line.data;
}

static void the_tuned_model_is_run_at_the_end(void **state) {
  fixture *f = *state;
  neo_tune_options options = {
      .trials = 60, .seed = 1, .board_program = NEO_BINARY_DIR "/bin/neo-board"};
  neo_tune_result result;
  must(&f->ctx, neo_tune(&f->ctx, &f->project, f->db, &options, &result));
  print_message("model: %.1f us untuned, %.1f us tuned, kept %d: %s\n",
                result.model.untuned_ns / 1e3, result.model.tuned_ns / 1e3, result.model.n_kept,
                result.model.kept);
  assert_true((result.model.untuned_ns > 0) == (result.model.tuned_ns > 0));
  for (int t = 0; result.model.untuned_ns == 0 && t < f->project.n_tasks; t++) {
    char *tuned = chosen(f, f->db, &f->project.task[t]); /* only if there is nothing to compare */
    char *untuned = chosen(f, NULL, &f->project.task[t]);
    assert_string_equal(tuned, untuned);
    free(tuned);
    free(untuned);
  }
  options.no_model_check = true;
  must(&f->ctx, neo_tune(&f->ctx, &f->project, f->db, &options, &result));
  assert_true(result.model.untuned_ns == 0 && result.model.n_kept == 0);
}

/* A record claims a slow kernel to be the best: the model's own run finds out. What takes its place
 * must have been measured and found right. */
static void a_kernel_that_loses_in_the_model_is_not_kept(void **state) {
  fixture *f = *state;
  const neo_task *task = heaviest(&f->project);
  neo_description description;
  neo_schedule naive;
  neo_buf line = {0};
  neo_model_check check;
  int64_t id = 0;
  char *untuned = chosen(f, f->db, task);
  neo_schedule_naive(&naive);
  for (int b = 0; b < task->group->te.n_buffers; b++)
    if (task->layout[b].n)
      neo_schedule_set_layout(&naive, b, &task->layout[b]);
  neo_schedule_print(&line, &naive);
  neo_task_describe(task, &description);
  must(&f->ctx, neo_db_put_workload(&f->ctx, f->db, &description.workload));
  neo_db_trial row = {.workload = task->group->key,
                      .target = f->project.target_text,
                      .layout = task->signature,
                      .schedule = line.data,
                      .threads = 1,
                      .kind = "ok",
                      .ns = 10,
                      .algorithm = "direct",
                      .error_class = "exact",
                      .origin = "import"};
  must(&f->ctx, neo_db_put_trial(&f->ctx, f->db, &row, &id));
  must(&f->ctx, neo_check_model(&f->ctx, &f->project, f->db, "here", &check));
  assert_int_equal(check.n_kept, 0);
  row.schedule = untuned;
  row.ns = 1e6;
  must(&f->ctx, neo_db_put_trial(&f->ctx, f->db, &row, &id));
  char *before = chosen(f, f->db, task);
  assert_string_equal(before, line.data);
  must(&f->ctx, neo_check_model(&f->ctx, &f->project, f->db, "here", &check));
  print_message("%.1f us untuned, %.1f us with the bad kernel; kept %s\n", check.untuned_ns / 1e3,
                check.tuned_ns / 1e3, check.kept);
  assert_true(check.tuned_ns > check.untuned_ns);
  assert_int_equal(check.n_kept, 1);
  assert_non_null(strstr(check.kept, task->group->name));
  char *after = chosen(f, f->db, task);
  assert_string_equal(after, untuned);
  free(before);
  free(after);
  free(untuned);
  neo_buf_fini(&line);
  neo_description_fini(&description);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      WITH_FIXTURE(other_tasks_go_on_without_a_reference),
      WITH_FIXTURE(the_tuned_model_is_run_at_the_end),
      WITH_FIXTURE(a_kernel_that_loses_in_the_model_is_not_kept),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
