/* The cost model: it learns what the analytic model gets wrong, drops the right rows. */
#include "tests/search/fake_space.h"

static void make_samples(const neo_space *space, neo_model *model, int group, int n,
                         uint64_t seed) {
  neo_rng rng;
  neo_rng_init(&rng, seed);
  for (int i = 0; i < n; i++) {
    neo_candidate c;
    float features[NEO_FEATURES];
    neo_space_sample(space, &rng, &c);
    neo_space_features(space, &c, features);
    neo_model_add(model, group, features, neo_space_predict(space, &c), fake_time(space, &c),
                  false);
  }
}

enum { TEST_ROWS = 400 };

static void predict_samples(neo_ctx *ctx, const neo_space *space, neo_model *model, double *out,
                            double *truth) {
  neo_rng rng;
  neo_rng_init(&rng, 31337);
  static float features[TEST_ROWS][NEO_FEATURES];
  double predicted[TEST_ROWS];
  for (int i = 0; i < TEST_ROWS; i++) {
    neo_candidate c;
    neo_space_sample(space, &rng, &c);
    neo_space_features(space, &c, features[i]);
    predicted[i] = neo_space_predict(space, &c);
    truth[i] = log(fake_time(space, &c));
  }
  assert_int_equal(neo_model_predict(ctx, model, TEST_ROWS, &features[0][0], predicted, out),
                   NEO_OK);
}

/* Share of pairs that are in the right order. */
static double pair_accuracy(const double *estimate, const double *truth) {
  int right = 0, all = 0;
  for (int i = 0; i < TEST_ROWS; i++)
    for (int j = 0; j < i; j++, all++)
      right += (estimate[i] < estimate[j]) == (truth[i] < truth[j]);
  return (double)right / all;
}

static void the_model_ranks_better_than_the_prediction(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_space space;
  fake_space_init(&space, 11, 10, 8);
  neo_model *model;
  assert_int_equal(neo_model_create(&ctx, &model), NEO_OK);
  double estimate[TEST_ROWS], truth[TEST_ROWS];
  predict_samples(&ctx, &space, model, estimate, truth);
  double before = pair_accuracy(estimate, truth);
  make_samples(&space, model, 0, 600, 1);
  assert_int_equal(neo_model_fit(&ctx, model), NEO_OK);
  predict_samples(&ctx, &space, model, estimate, truth);
  double after = pair_accuracy(estimate, truth);
  print_message("pairs in order: %.3f analytic, %.3f learned from 600\n", before, after);
  assert_true(before > 0.55);
  assert_true(after > before + 0.1);
  neo_model_destroy(model);
}

static void failures_rank_behind_successes(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_model *model;
  assert_int_equal(neo_model_create(&ctx, &model), NEO_OK);
  float good[NEO_FEATURES] = {1}, bad[NEO_FEATURES] = {2};
  bad[5] = INFINITY; /* not finite features are survived, too */
  good[5] = NAN;
  for (int i = 0; i < 40; i++) {
    neo_model_add(model, 0, good, 100, 100 + i, false);
    neo_model_add(model, 0, bad, 100, 0, true);
  }
  assert_int_equal(neo_model_fit(&ctx, model), NEO_OK);
  float both[2][NEO_FEATURES];
  memcpy(both[0], good, sizeof(good));
  memcpy(both[1], bad, sizeof(bad));
  double predicted[2] = {100, 100}, out[2];
  assert_int_equal(neo_model_predict(&ctx, model, 2, &both[0][0], predicted, out), NEO_OK);
  assert_true(out[1] > out[0] + 0.5);
  neo_model_destroy(model);
}

/* 12,000 rows do not fit; what is kept of them still ranks. */
static void the_rows_are_bounded(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_space space;
  fake_space_init(&space, 13, 10, 8);
  neo_model *model;
  assert_int_equal(neo_model_create(&ctx, &model), NEO_OK);
  for (int group = 0; group < 4; group++)
    make_samples(&space, model, group, 3000, (uint64_t)group);
  assert_int_equal(neo_model_fit(&ctx, model), NEO_OK);
  double estimate[TEST_ROWS], truth[TEST_ROWS];
  predict_samples(&ctx, &space, model, estimate, truth);
  assert_true(pair_accuracy(estimate, truth) > 0.8);
  neo_model_destroy(model);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_model_ranks_better_than_the_prediction),
      cmocka_unit_test(failures_rank_behind_successes),
      cmocka_unit_test(the_rows_are_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
