/* The trained model: it ranks, its file is what it is, searches start from it, and whatever else is
 * in a file is refused. */
#include "search/booster.h"
#include "tests/fail_alloc.h"
#include "tests/search/fake_space.h"

enum { ROWS = 600, PROBES = 300, TREES = 30 };

static const char target[] = "x86_64 sse4.2,avx2 vec=32 regs=16 cpu=made-up";

/* Samples of one space, and others of it that no model has seen. */
typedef struct fixture {
  neo_ctx ctx;
  neo_space space;
  float features[ROWS + PROBES][NEO_FEATURES];
  double predicted[ROWS + PROBES], ns[ROWS + PROBES];
  int group[ROWS + PROBES];
  neo_samples samples;
  neo_trained *trained;
} fixture;

static void must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), ctx->message);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  neo_rng rng;
  assert_non_null(f);
  neo_ctx_init(&f->ctx, 1);
  neo_rng_init(&rng, 5);
  fake_space_init(&f->space, 11, 10, 8);
  for (int i = 0; i < ROWS + PROBES; i++) {
    neo_candidate c;
    neo_space_sample(&f->space, &rng, &c);
    neo_space_features(&f->space, &c, f->features[i]);
    f->predicted[i] = neo_space_predict(&f->space, &c);
    f->ns[i] = fake_time(&f->space, &c);
    f->group[i] = i % 3;
  }
  f->samples = (neo_samples){ROWS, 3, f->features[0], f->predicted, f->ns, f->group};
  must(&f->ctx, neo_trained_fit(&f->ctx, target, &f->samples, &f->trained));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  neo_trained_destroy(f->trained);
  free(f);
  return 0;
}

static double correlation_of(fixture *f, const double *estimate) {
  double out = -2;
  must(&f->ctx, neo_rank_correlation(&f->ctx, PROBES, estimate, f->ns + ROWS, &out));
  return out;
}

static void rank_correlation_is_spearmans(void **state) {
  fixture *f = *state;
  static const struct {
    double a[5], b[5], want;
  } rows[] = {{{1, 2, 3, 4, 5}, {10, 20, 30, 40, 1e9}, 1},
              {{1, 2, 3, 4, 5}, {5, 4, 3, 2, 1}, -1},
              {{1, 2, 3, 4, 5}, {2, 1, 4, 3, 5}, 0.8}, /* 1 - 6 * 4 / 120 */
              {{1, 1, 2, 2, 3}, {1, 1, 2, 2, 3}, 1},
              {{1, 2, 3, 4, 5}, {7, 7, 7, 7, 7}, 0}};
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    double got = -2;
    must(&f->ctx, neo_rank_correlation(&f->ctx, 5, rows[i].a, rows[i].b, &got));
    assert_true(fabs(got - rows[i].want) < 1e-12);
  }
}

static void what_was_not_seen_is_ranked(void **state) {
  fixture *f = *state;
  double estimate[PROBES];
  for (int i = 0; i < PROBES; i++)
    estimate[i] =
        log(f->predicted[ROWS + i]) + neo_trained_residual(f->trained, f->features[ROWS + i]);
  double trained = correlation_of(f, estimate), analytic = correlation_of(f, f->predicted + ROWS);
  print_message("rank correlation: %.3f trained, %.3f analytic\n", trained, analytic);
  assert_true(trained > analytic + 0.2 && trained > 0.8);
  assert_int_equal(neo_trained_rows(f->trained), ROWS);
  assert_string_equal(neo_trained_target(f->trained), target);
}

static void the_file_is_the_model(void **state) {
  fixture *f = *state;
  neo_trained *again = NULL;
  size_t size = 0, size_again = 0;
  const char *file = neo_trained_file(f->trained, &size);
  must(&f->ctx, neo_trained_load(&f->ctx, file, size, &again));
  const char *file_again = neo_trained_file(again, &size_again);
  assert_int_equal(size, size_again);
  assert_memory_equal(file, file_again, size);
  for (int i = 0; i < ROWS + PROBES; i++)
    assert_true(neo_trained_residual(f->trained, f->features[i]) ==
                neo_trained_residual(again, f->features[i]));
  assert_string_equal(neo_trained_target(again), target);
  assert_int_equal(neo_trained_rows(again), ROWS);
  neo_trained_destroy(again);
  must(&f->ctx, neo_trained_fit(&f->ctx, target, &f->samples, &again));
  file_again = neo_trained_file(again, &size_again);
  assert_int_equal(size, size_again);
  assert_memory_equal(file, file_again, size); /* trained anew: the same */
  neo_trained_destroy(again);
}

/* XGBoost itself says the same of the same trees. */
static void xgboost_agrees(void **state) {
  fixture *f = *state;
  static float label[ROWS], weight[ROWS];
  double best[3] = {INFINITY, INFINITY, INFINITY};
  for (int i = 0; i < ROWS; i++)
    best[f->group[i]] = fmin(best[f->group[i]], f->ns[i]);
  for (int i = 0; i < ROWS; i++) {
    label[i] = (float)log(f->ns[i] / f->predicted[i]);
    weight[i] = (float)fmax(best[f->group[i]] / f->ns[i], 0.05);
  }
  neo_booster *booster = NULL;
  neo_buf trees = {0};
  size_t size = 0;
  const float *out = NULL;
  must(&f->ctx, neo_booster_create(&f->ctx, &booster));
  must(&f->ctx, neo_booster_grow(&f->ctx, booster,
                                 &(neo_booster_rows){ROWS, f->features[0], label, weight}, TREES));
  must(&f->ctx, neo_booster_print(&f->ctx, booster, &trees));
  const char *body = strchr(neo_trained_file(f->trained, &size), '\n') + 1;
  assert_string_equal(body, trees.data);
  must(&f->ctx, neo_booster_predict(&f->ctx, booster, ROWS + PROBES, f->features[0], &out));
  for (int i = 0; i < ROWS + PROBES; i++)
    assert_true(fabs((double)out[i] - neo_trained_residual(f->trained, f->features[i])) < 1e-5);
  neo_booster_destroy(booster);
  neo_buf_fini(&trees);
}

/* ---- starting from it --------------------------------------------------------------------------------- */

static void predict_probes(fixture *f, neo_model *model, double *out) {
  must(&f->ctx,
       neo_model_predict(&f->ctx, model, PROBES, f->features[ROWS], f->predicted + ROWS, out));
}

static void add_rows(fixture *f, neo_model *model, int n, double scale) {
  for (int i = 0; i < n; i++)
    neo_model_add(model, 0, f->features[i], f->predicted[i], f->ns[i] * scale, false);
  must(&f->ctx, neo_model_fit(&f->ctx, model));
}

/* Before the first measurement it is the trained model; with a few, better than these alone; where
 * everything is three times slower, it is told so soon. */
static void a_model_starts_from_it(void **state) {
  fixture *f = *state;
  neo_model *started = NULL, *fresh = NULL;
  double estimate[PROBES], from_nothing[PROBES];
  must(&f->ctx, neo_model_create(&f->ctx, &started));
  must(&f->ctx, neo_model_create(&f->ctx, &fresh));
  assert_false(neo_model_is_started(started));
  neo_model_start(started, f->trained);
  assert_true(neo_model_is_started(started));
  predict_probes(f, started, estimate);
  for (int i = 0; i < PROBES; i++)
    assert_true(fabs(estimate[i] - log(f->predicted[ROWS + i]) -
                     neo_trained_residual(f->trained, f->features[ROWS + i])) < 1e-9);
  add_rows(f, started, 60, 3);
  add_rows(f, fresh, 60, 3);
  predict_probes(f, started, estimate);
  predict_probes(f, fresh, from_nothing);
  double with = correlation_of(f, estimate), without = correlation_of(f, from_nothing);
  double error = 0;
  for (int i = 0; i < PROBES; i++)
    error += fabs(estimate[i] - log(3 * f->ns[ROWS + i])) / PROBES;
  print_message("after 60 rows: %.3f started, %.3f from nothing; mean error %.3f\n", with, without,
                error);
  assert_true(with > without + 0.1);
  assert_true(error < 0.4); /* log(3) = 1.1 before */
  neo_model_destroy(started);
  neo_model_destroy(fresh);
}

/* The first proposals of a search: the same candidates, the promising ones first. */
static double first_time(fixture *f, const neo_trained *start, int n) {
  neo_model *model = NULL;
  neo_search *search = NULL;
  neo_candidate c[16];
  double best = INFINITY;
  must(&f->ctx, neo_model_create(&f->ctx, &model));
  if (start)
    neo_model_start(model, start);
  neo_search_options options = {.seed = 1, .model = model};
  must(&f->ctx, neo_search_create(&f->ctx, &f->space, &options, &search));
  assert_int_equal(neo_search_propose(search, n, c), n);
  for (int i = 0; i < n; i++)
    best = fmin(best, fake_time(&f->space, &c[i]));
  neo_search_destroy(search);
  neo_model_destroy(model);
  return best;
}

static void a_search_starts_from_it(void **state) {
  fixture *f = *state;
  double with = first_time(f, f->trained, 2), without = first_time(f, NULL, 2);
  print_message("best of the first two: %.1f us started, %.1f us from nothing\n", with / 1e3,
                without / 1e3);
  assert_true(with < without);
}

/* ---- files that are none ---------------------------------------------------------------------------------- */

/* A flipped bit: which of the two it is depends on where. */
static void assert_refused_somehow(fixture *f, const void *data, size_t size) {
  neo_trained *out = NULL;
  neo_status status = neo_trained_load(&f->ctx, data, size, &out);
  assert_true(status == NEO_BAD_INPUT || status == NEO_UNSUPPORTED);
  assert_null(out);
  neo_ctx_clear(&f->ctx);
}

static void assert_refused(fixture *f, const void *data, size_t size, neo_status want) {
  neo_trained *out = NULL;
  neo_status status = neo_trained_load(&f->ctx, data, size, &out);
  if (status != want)
    fail_msg("%s, %s expected: %s: %.60s", neo_status_name(status), neo_status_name(want),
             f->ctx.message, (const char *)data);
  assert_null(out);
  assert_true(f->ctx.message[0]);
  neo_ctx_clear(&f->ctx);
}

static void damaged_files_are_refused(void **state) {
  fixture *f = *state;
  size_t size = 0, line;
  const char *file = neo_trained_file(f->trained, &size);
  line = (size_t)(strchr(file, '\n') - file);
  char *copy = malloc(size + 1);
  neo_rng rng;
  neo_rng_init(&rng, 3);
  assert_non_null(copy);
  memcpy(copy, file, size + 1);
  for (int i = 0; i < 600; i++) {
    size_t at = i < 300 ? (size_t)i % (line + 2) : neo_rng_below(&rng, size);
    bool version = at - strlen("neo-cost-model ") < 2; /* "1 " may become "9 " or "10" */
    char was = copy[at];
    copy[at] ^= (char)(1 << neo_rng_below(&rng, 8));
    if (version)
      assert_refused_somehow(f, copy, size);
    else
      assert_refused(f, copy, size, NEO_BAD_INPUT);
    copy[at] = was;
    assert_refused(f, copy, at, NEO_BAD_INPUT);
  }
  assert_refused(f, "", 0, NEO_BAD_INPUT);
  free(copy);
}

/* A file with a right checksum. */
static void make_file(neo_buf *out, const char *fields, const char *trees) {
  neo_buf body = {0};
  neo_buf_clear(out);
  neo_buf_printf(&body, "bytes=%zu %s target=%s\n%s", strlen(trees), fields, target, trees);
  neo_buf_printf(out, "neo-cost-model 1 crc32=%08x %s", neo_crc32(0, body.data, body.size),
                 body.data);
  neo_buf_fini(&body);
}

/* text with the first `from` replaced. */
static char *replaced(const char *text, const char *from, const char *to) {
  const char *at = strstr(text, from);
  neo_buf out = {0};
  if (!at)
    fail_msg("no %s", from);
  neo_buf_append(&out, text, (size_t)(at - text));
  neo_buf_text(&out, to);
  neo_buf_text(&out, at + strlen(from));
  return out.data;
}

static const char fields_now[] = "features=96 feature-version=1 rows=16";
static const char small[] =
    "{\"learner\":{\"gradient_booster\":{\"name\":\"gbtree\",\"model\":{\"trees\":["
    "{\"left_children\":[1,-1,-1],\"right_children\":[2,-1,-1],\"split_indices\":[5,0,0],"
    "\"split_conditions\":[1.5,-0.25,0.75]}]}},\"objective\":{\"name\":\"reg:squarederror\"},"
    "\"learner_model_param\":{\"num_feature\":\"96\",\"base_score\":\"0E0\"}}}";

/* Whoever makes a file can make its checksum, too. */
static void hostile_trees_are_refused(void **state) {
  fixture *f = *state;
  static const char *const changes[][2] = {{"[1,-1,-1]", "[3,-1,-1]"},
                                           {"[1,-1,-1]", "[0,-1,-1]"},
                                           {"[1,-1,-1]", "[2147483647,-1,-1]"},
                                           {"[1,-1,-1]", "[-7,-1,-1]"},
                                           {"[1,-1,-1]", "[1,1,-1]"},
                                           {"[1,-1,-1]", "[1,0,-1]"},
                                           {"[1,-1,-1]", "[]"},
                                           {"[1,-1,-1]", "{}"},
                                           {"[1,-1,-1]", "[1.5,-1,-1]"},
                                           {"[1,-1,-1]", "[1,-1,-1,-1]"},
                                           {"[2,-1,-1]", "[3,-1,-1]"},
                                           {"[2,-1,-1]", "[0,-1,-1]"},
                                           {"[2,-1,-1]", "[]"},
                                           {"[2,-1,-1]", "null"},
                                           {"[5,0,0]", "[96,0,0]"},
                                           {"[5,0,0]", "[-1,0,0]"},
                                           {"[5,0,0]", "[\"5\",0,0]"},
                                           {"[1.5,", "[1e300,"},
                                           {"0.75]", "1e999]"},
                                           {"0.75]", "null]"},
                                           {",0.75]", "]"},
                                           {"gbtree", "dart"},
                                           {"reg:squarederror", "reg:gamma"},
                                           {"\"96\"", "\"97\""},
                                           {"\"0E0\"", "\"5E-1\""},
                                           {"\"0E0\"", "0"},
                                           {"\"trees\":[", "\"trees\":[7,"},
                                           {"\"trees\":[", "\"trees\":[{},"},
                                           {"\"trees\"", "\"wood\""},
                                           {"}]}}", "}}}"},
                                           {"{\"learner\"", "[\"learner\""},
                                           {"\"trees\":[", "\"trees\":[[[[[[[[[["}};
  neo_buf file = {0};
  neo_trained *out = NULL;
  make_file(&file, fields_now, small);
  must(&f->ctx, neo_trained_load(&f->ctx, file.data, file.size, &out));
  float features[NEO_FEATURES] = {0};
  assert_true(neo_trained_residual(out, features) == -0.25);
  features[5] = 1.5f; /* not below it */
  assert_true(neo_trained_residual(out, features) == 0.75);
  neo_trained_destroy(out);
  for (int i = 0; i < NEO_COUNT(changes); i++) {
    char *trees = replaced(small, changes[i][0], changes[i][1]);
    make_file(&file, fields_now, trees);
    assert_refused(f, file.data, file.size, NEO_BAD_INPUT);
    free(trees);
  }
  neo_buf_fini(&file);
}

static void odd_headers_are_refused(void **state) {
  fixture *f = *state;
  static const struct {
    const char *fields;
    neo_status want;
  } rows[] = {{"features=97 feature-version=1 rows=16", NEO_UNSUPPORTED},
              {"features=96 feature-version=2 rows=16", NEO_UNSUPPORTED},
              {"features=96 feature-version=1 rows=-1", NEO_BAD_INPUT},
              {"features=96 feature-version=1 rows=016", NEO_BAD_INPUT},
              {"features=96 feature-version=1  rows=16", NEO_BAD_INPUT},
              {"features=96 feature-version=1", NEO_BAD_INPUT},
              {"features=96 rows=16 feature-version=1", NEO_BAD_INPUT},
              {"features=99999999999999999999 feature-version=1 rows=16", NEO_BAD_INPUT}};
  neo_buf file = {0};
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    make_file(&file, rows[i].fields, small);
    assert_refused(f, file.data, file.size, rows[i].want);
  }
  make_file(&file, fields_now, small);
  neo_buf_text(&file, " ");
  assert_refused(f, file.data, file.size, NEO_BAD_INPUT);
  char long_line[3000];
  memset(long_line, 'x', sizeof long_line);
  memcpy(long_line, "neo-cost-model 1 crc32=00000000 ", 32);
  assert_refused(f, long_line, sizeof long_line, NEO_BAD_INPUT);
  neo_buf_fini(&file);
}

static void too_few_samples_are_said(void **state) {
  fixture *f = *state;
  neo_samples few = f->samples;
  neo_trained *out = NULL;
  few.n = NEO_TRAINED_LEAST - 1;
  assert_int_equal(neo_trained_fit(&f->ctx, target, &few, &out), NEO_USAGE);
  assert_non_null(strstr(f->ctx.message, "15 usable records"));
  neo_ctx_clear(&f->ctx);
}

static neo_status fit_and_load(void *self, neo_ctx *ctx) {
  const fixture *f = self;
  neo_samples few = f->samples;
  neo_trained *trained = NULL, *again = NULL;
  size_t size = 0;
  few.n = 20;
  neo_status status = neo_trained_fit(ctx, target, &few, &trained);
  if (status == NEO_OK) {
    const char *file = neo_trained_file(trained, &size);
    status = neo_trained_load(ctx, file, size, &again);
  }
  neo_trained_destroy(trained);
  neo_trained_destroy(again);
  return status;
}

static void each_allocation_may_fail(void **state) {
  assert_true(neo_fail_alloc_sweep(fit_and_load, *state) > 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rank_correlation_is_spearmans),
      cmocka_unit_test(what_was_not_seen_is_ranked),
      cmocka_unit_test(the_file_is_the_model),
      cmocka_unit_test(xgboost_agrees),
      cmocka_unit_test(a_model_starts_from_it),
      cmocka_unit_test(a_search_starts_from_it),
      cmocka_unit_test(damaged_files_are_refused),
      cmocka_unit_test(hostile_trees_are_refused),
      cmocka_unit_test(odd_headers_are_refused),
      cmocka_unit_test(too_few_samples_are_said),
      cmocka_unit_test(each_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
