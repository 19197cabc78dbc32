/* tests/driver/test_near.c: a record of a near workload is taken if the analytic model does not
 * object: a schedule that it predicts to be much slower than its own pick must not be. */
#include "driver/stages.h"
#include "tests/driver/model_case.h"

#define WITHIN 1.1 /* driver/choose.c */

typedef struct fixture {
  neo_ctx ctx;
  model_case c;
  neo_project from, to; /* of other batch sizes: the same tasks at other extents */
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  neo_ctx_init(&f->ctx, 1);
  case_load(&f->ctx, "mnist_cnn_op13", &f->c);
  case_project(&f->ctx, &f->c, 1, 2, &f->from);
  case_project(&f->ctx, &f->c, 1, 3, &f->to);
  assert_int_equal(f->from.n_tasks, f->to.n_tasks);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  neo_project_close(&f->from);
  neo_project_close(&f->to);
  case_release(&f->ctx, &f->c);
  free(f);
  return 0;
}

/* A schedule of the first project's task which, transferred, is predicted to take between least
 * and most times as long as the model's pick there; false if none was found. */
static bool find_schedule(fixture *f, int t, double least, double most, neo_schedule *out) {
  neo_space *from, *to;
  neo_candidate candidate, there;
  neo_rng rng;
  bool found = false;
  must(&f->ctx, neo_project_space(&f->ctx, &f->from, &f->from.task[t], &from));
  must(&f->ctx, neo_project_space(&f->ctx, &f->to, &f->to.task[t], &to));
  neo_rng_init(&rng, 1);
  assert_int_equal(neo_space_analytic(to, 1, &there), 1);
  double pick = neo_space_predict(to, &there);
  for (int tries = 0; tries < 3000 && !found; tries++) {
    neo_space_sample(from, &rng, &candidate);
    neo_space_schedule(from, &candidate, out);
    if (!neo_space_transfer(to, out, &there))
      continue;
    double ratio = neo_space_predict(to, &there) / pick;
    found = ratio >= least && ratio <= most;
  }
  neo_space_destroy(from);
  neo_space_destroy(to);
  return found;
}

/* What the second project's task gets from a store that has this record of the first's. */
static neo_choice_kind choose_from(fixture *f, int t, const neo_schedule *schedule) {
  neo_db *db = NULL;
  neo_arena arena;
  neo_buf line = {0};
  neo_description description;
  int64_t id = 0;
  const neo_task *task = &f->from.task[t];
  neo_arena_init(&arena);
  must(&f->ctx, neo_db_open(&f->ctx, "memory:", false, &db));
  neo_task_describe(task, &description);
  must(&f->ctx, neo_db_put_workload(&f->ctx, db, &description.workload));
  neo_schedule_print(&line, schedule);
  neo_db_trial row = {.workload = task->group->key,
                      .target = f->from.target_text,
                      .layout = task->signature,
                      .schedule = line.data,
                      .threads = 1,
                      .kind = "ok",
                      .ns = 1000,
                      .algorithm = schedule->instr[0].name,
                      .error_class = "exact",
                      .origin = "search"};
  must(&f->ctx, neo_db_put_trial(&f->ctx, db, &row, &id));
  neo_alternatives *all = neo_arena_alloc(&arena, sizeof *all);
  must(&f->ctx, neo_task_alternatives(&f->ctx, &f->to, &f->to.task[t], db, &arena, all));
  neo_choice_kind kind = all->item[0]->choice.kind;
  neo_description_fini(&description);
  neo_buf_fini(&line);
  neo_db_close(db);
  neo_arena_fini(&arena);
  return kind;
}

static void near_records_must_not_be_predicted_slow(void **state) {
  fixture *f = *state;
  int good = 0, bad = 0;
  for (int t = 0; t < f->from.n_tasks; t++) {
    neo_schedule schedule;
    if (find_schedule(f, t, 0, 0.99 * WITHIN, &schedule)) {
      assert_int_equal(choose_from(f, t, &schedule), NEO_CHOICE_NEAR);
      good++;
    }
    if (find_schedule(f, t, 1.01 * WITHIN, 2 * WITHIN, &schedule)) {
      assert_int_equal(choose_from(f, t, &schedule), NEO_CHOICE_ANALYTIC);
      bad++;
    }
  }
  assert_true(good > 0 && bad > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(near_records_must_not_be_predicted_slow, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
