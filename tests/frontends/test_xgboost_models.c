/* tests/frontends/test_xgboost_models.c: trained ensembles in every form that XGBoost writes,
 * against its own predictions and margins. */
#include "tests/frontends/stored_case.h"

static const char *const cases[] = {
    "categorical", "churn_v10", "missing_v17",    "softmax",     "multi_label_v17", "diabetes_v17",
    "dart",        "gblinear",  "gblinear_multi", "vector_leaf", "no_trees",        "multi_target"};

static void predicts_as_xgboost(void **state) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  stored_run(&ctx, "xgboost", *state);
}

int main(void) {
  struct CMUnitTest tests[NEO_COUNT(cases)];
  for (int i = 0; i < NEO_COUNT(cases); i++)
    tests[i] = (struct CMUnitTest){.name = cases[i],
                                   .test_func = predicts_as_xgboost,
                                   .initial_state = (void *)(uintptr_t)cases[i]};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
