/* tests/driver/test_model_judge.c: which tasks keep their untuned kernels, from made-up times. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "driver/stages.h"

enum { TASKS = 3, PAIRS = 8 };

/* Times of three tasks and of what is no task's, the same in every pair but for noise of the
 * machine that both sides of a pair see. */
typedef struct times {
  double task[TASKS], rest;
} times;

static void fill(const times *of, double *sum) {
  for (int p = 0; p < PAIRS; p++) {
    double noise = 1 + 0.3 * p, total = of->rest;
    for (int t = 0; t < TASKS; t++) {
      sum[p * (TASKS + 1) + t] = of->task[t] * noise;
      total += of->task[t];
    }
    sum[p * (TASKS + 1) + TASKS] = total * noise;
  }
}

static bool judge(const times *untuned, const times *tuned, const bool *may_keep, double *ratio) {
  double sum[2][PAIRS * (TASKS + 1)];
  neo_model_runs runs = {PAIRS, TASKS, sum[0], sum[1], may_keep};
  fill(untuned, sum[0]);
  fill(tuned, sum[1]);
  return neo_model_judge(&runs, ratio);
}

static const bool all[TASKS] = {true, true, true};
static const times even = {{1000, 1000, 1000}, 100};

static void what_surely_loses_is_not_kept(void **state) {
  (void)state;
  double ratio[TASKS];
  assert_false(judge(&even, &(times){{500, 1080, 1030}, 100}, all, ratio));
  assert_true(ratio[0] == 0 && ratio[2] == 0); /* 3 % is no sure loss while the model gains */
  assert_true(ratio[1] > 1.07 && ratio[1] < 1.09);
  assert_false(
      judge(&even, &(times){{500, 1080, 1030}, 100}, (bool[TASKS]){true, false, true}, ratio));
  assert_true(ratio[0] == 0 && ratio[1] == 0 && ratio[2] == 0);
}

static void a_slower_model_keeps_what_loses_a_little(void **state) {
  (void)state;
  double ratio[TASKS];
  assert_false(judge(&even, &(times){{980, 1080, 1030}, 100}, all, ratio));
  assert_true(ratio[0] == 0);
  assert_true(ratio[1] > 1.07 && ratio[2] > 1.02);
}

/* No task lost more than its threshold, and so nothing was kept. */
static void a_slower_model_of_no_loser_keeps_all(void **state) {
  (void)state;
  double ratio[TASKS];
  const times slower = {{1009, 1009, 990}, 200};
  assert_true(judge(&even, &slower, all, ratio));
  for (int t = 0; t < TASKS; t++)
    assert_true(ratio[t] > 1); /* its record is the best from now on, though it seemed to gain */
  assert_true(judge(&even, &slower, (bool[TASKS]){false, true, false}, ratio));
  assert_true(ratio[0] == 0 && ratio[1] > 1 && ratio[2] == 0);
}

static void one_loser_that_does_not_explain_it_keeps_all(void **state) {
  (void)state;
  double ratio[TASKS];
  assert_true(judge(&even, &(times){{1200, 1005, 1005}, 200}, all, ratio));
  assert_true(ratio[0] > 1.19 && ratio[1] > 1 && ratio[2] > 1);
}

static void noise_is_no_loss(void **state) {
  (void)state;
  double ratio[TASKS];
  assert_false(judge(&even, &(times){{1009, 1009, 1009}, 100}, all, ratio));
  assert_true(ratio[0] == 0 && ratio[1] == 0 && ratio[2] == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_surely_loses_is_not_kept),
      cmocka_unit_test(a_slower_model_keeps_what_loses_a_little),
      cmocka_unit_test(a_slower_model_of_no_loser_keeps_all),
      cmocka_unit_test(one_loser_that_does_not_explain_it_keeps_all),
      cmocka_unit_test(noise_is_no_loss),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
