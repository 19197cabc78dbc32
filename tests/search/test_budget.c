/* The budget: first rounds for all, then where the model gains most per second, and an end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "search/search.h"

static neo_budget_task task_of(double weight, double best, double bound, int trials) {
  return (neo_budget_task){.weight = weight,
                           .best_ns = best,
                           .bound_ns = bound,
                           .trials = trials,
                           .spent_ns = trials * 1e7};
}

static void every_task_gets_a_first_round_heaviest_first(void **state) {
  (void)state;
  neo_budget_task task[3] = {task_of(1, INFINITY, 100, 0), task_of(10, INFINITY, 100, 0),
                             task_of(1, INFINITY, 500, 0)};
  assert_int_equal(neo_budget_next(task, 3, 0.02), 1);
  task[1] = task_of(10, 1e9, 100, 8);
  assert_int_equal(neo_budget_next(task, 3, 0.02), 2);
  task[2].trials = 8;
  assert_int_equal(neo_budget_next(task, 3, 0.02), 0);
}

static void weight_gap_and_cost_decide(void **state) {
  (void)state;
  neo_budget_task task[2] = {task_of(1, 200, 100, 8), task_of(5, 200, 100, 8)};
  assert_int_equal(neo_budget_next(task, 2, 0.02), 1);
  task[0].best_ns = 2000;
  assert_int_equal(neo_budget_next(task, 2, 0.02), 0);
  task[0].spent_ns *= 100;
  assert_int_equal(neo_budget_next(task, 2, 0.02), 1);
}

static void a_task_that_stopped_improving_yields(void **state) {
  (void)state;
  neo_budget_task still = task_of(1, 200, 100, 64), moving = still;
  still.n_history = moving.n_history = 4;
  for (int i = 0; i < 4; i++) {
    still.history[i] = 200;
    moving.history[i] = 200 + 20 * (3 - i);
  }
  neo_budget_task task[2] = {still, moving};
  assert_int_equal(neo_budget_next(task, 2, 0.02), 1);
  assert_true(neo_budget_gain(&moving) > neo_budget_gain(&still));
  assert_true(neo_budget_gain(&still) > 0);
}

static void the_roofline_and_exhaustion_end_it(void **state) {
  (void)state;
  neo_budget_task task[2] = {task_of(1, 101, 100, 8), task_of(1, 300, 100, 8)};
  assert_int_equal(neo_budget_next(task, 2, 0.02), 1);
  task[1].exhausted = true;
  assert_int_equal(neo_budget_next(task, 2, 0.02), -1);
  assert_int_equal(neo_budget_next(task, 2, 0.001), 0);
  assert_int_equal(neo_budget_next(task, 0, 0.02), -1);
}

static void a_task_without_any_success_is_tried_again(void **state) {
  (void)state;
  neo_budget_task task[2] = {task_of(1, INFINITY, 1e6, 8), task_of(1, 101, 100, 8)};
  assert_int_equal(neo_budget_next(task, 2, 0.02), 0);
  assert_true(isfinite(neo_budget_gain(&task[0])));
}

/* Two tasks whose times fall with trials; the budget must do better than halving the trials. */
static double simulate(bool halves, int rounds) {
  static const double weight[] = {20, 1}, start[] = {1000, 1500}, floor_ns[] = {300, 1400};
  neo_budget_task task[2];
  for (int i = 0; i < 2; i++)
    task[i] = task_of(weight[i], INFINITY, 0.9 * floor_ns[i], 0);
  for (int r = 0; r < rounds; r++) {
    int k = halves ? r % 2 : neo_budget_next(task, 2, 0.02);
    assert_true(k >= 0);
    neo_budget_task *t = &task[k];
    t->trials += 8;
    t->spent_ns += 8e7;
    t->best_ns = floor_ns[k] + (start[k] - floor_ns[k]) * 8.0 / t->trials;
    if (t->n_history == 16)
      for (int i = 0; i < 15; i++)
        t->history[i] = t->history[i + 1];
    else
      t->n_history++;
    t->history[t->n_history - 1] = t->best_ns;
  }
  return weight[0] * task[0].best_ns + weight[1] * task[1].best_ns;
}

/* Counts are exact: what the model sees below the best is what the next trials gain. */
static void counted_trials_go_where_gain_is_seen(void **state) {
  (void)state;
  neo_budget_task task[3] = {task_of(1, 200, 100, 4), task_of(1, 200, 100, 4),
                             task_of(3, 200, 100, 4)};
  for (int k = 0; k < 3; k++)
    task[k].counted = true, task[k].spent_ns = task[k].trials;
  task[1].promise_ns = 30;
  task[2].promise_ns = -50;
  assert_int_equal(neo_budget_next(task, 3, 0), 1);
  task[1].promise_ns = -1; /* none is seen: the heaviest task, whose gain is least unlikely */
  assert_int_equal(neo_budget_next(task, 3, 0), 2);
  task[2].spent_ns = task[2].trials = 100;
  assert_int_not_equal(neo_budget_next(task, 3, 0), 2);
  assert_true(neo_budget_gain(&task[2]) > 0);
  task[2].exhausted = true;
  assert_true(neo_budget_gain(&task[2]) == 0);
}

static void allocation_beats_equal_shares(void **state) {
  (void)state;
  double shared = simulate(false, 20), halved = simulate(true, 20);
  print_message("model latency after 20 rounds: %.0f, with equal shares %.0f\n", shared, halved);
  assert_true(shared < 0.95 * halved);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_task_gets_a_first_round_heaviest_first),
      cmocka_unit_test(weight_gap_and_cost_decide),
      cmocka_unit_test(a_task_that_stopped_improving_yields),
      cmocka_unit_test(the_roofline_and_exhaustion_end_it),
      cmocka_unit_test(a_task_without_any_success_is_tried_again),
      cmocka_unit_test(counted_trials_go_where_gain_is_seen),
      cmocka_unit_test(allocation_beats_equal_shares),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
