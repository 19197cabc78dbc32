/* The search on made-up landscapes: it beats random search, repeats itself, never proposes twice,
 * ends when the space ends, and does not grow. */
#include "tests/search/fake_space.h"

typedef struct setup {
  neo_ctx ctx;
  neo_space space;
  neo_model *model;
  neo_search *search;
} setup;

static void start(setup *s, uint64_t landscape, uint64_t seed, const char *strategy) {
  neo_ctx_init(&s->ctx, 1);
  fake_space_init(&s->space, landscape, 10, 8);
  assert_int_equal(neo_model_create(&s->ctx, &s->model), NEO_OK);
  neo_search_options options = {seed, strategy, s->model, 3};
  assert_int_equal(neo_search_create(&s->ctx, &s->space, &options, &s->search), NEO_OK);
}

static void finish(setup *s) {
  neo_search_destroy(s->search);
  neo_model_destroy(s->model);
}

/* Measures `trials` candidates in rounds of 8; returns the best time. */
static double run(setup *s, int trials) {
  neo_candidate batch[8];
  for (int done = 0; done < trials;) {
    int n = neo_search_propose(s->search, 8, batch);
    assert_int_equal(n, 8);
    for (int i = 0; i < n; i++)
      neo_search_tell(s->search, &batch[i], fake_time(&s->space, &batch[i]), false);
    done += n;
  }
  neo_candidate best;
  double ns = 0;
  assert_true(neo_search_best(s->search, &best, &ns));
  assert_true(ns == fake_time(&s->space, &best));
  return ns;
}

static int compare_doubles(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

enum { SEEDS = 7 };

/* Median over landscapes of best(strategy) / best(random) after the trials. */
static double median_ratio(const char *strategy, int trials) {
  double ratio[SEEDS];
  for (int k = 0; k < SEEDS; k++) {
    setup a, b;
    start(&a, 100 + (uint64_t)k, 5, strategy);
    start(&b, 100 + (uint64_t)k, 5, "random");
    ratio[k] = run(&a, trials) / run(&b, trials);
    finish(&a);
    finish(&b);
  }
  qsort(ratio, SEEDS, sizeof(ratio[0]), compare_doubles);
  print_message("%s / random after %d trials: median %.3f, worst %.3f\n", strategy, trials,
                ratio[SEEDS / 2], ratio[SEEDS - 1]);
  return ratio[SEEDS / 2];
}

static void evolve_beats_random(void **state) {
  (void)state;
  assert_true(median_ratio("evolve", 128) < 0.85);
}

static void descent_beats_random(void **state) {
  (void)state;
  assert_true(median_ratio("descent", 128) < 0.85);
}

/* The ratio to the best of 40,000 trials by many descents would be nicer; the valley's floor is
 * known. */
static void evolve_gets_near_the_floor(void **state) {
  (void)state;
  int near = 0;
  for (uint64_t k = 0; k < 5; k++) {
    setup s;
    start(&s, 200 + k, 9, NULL);
    double after_64 = run(&s, 64), after_256 = run(&s, 192);
    near += after_64 < after_256 * 1.06;
    finish(&s);
  }
  assert_true(near >= 3);
}

/* All proposals of 160 trials as text; flip: trial number whose measurement is changed. */
static void transcript(neo_buf *out, const char *strategy, int flip) {
  setup s;
  start(&s, 42, 77, strategy);
  neo_candidate batch[8];
  for (int done = 0; done < 160;) {
    int n = neo_search_propose(s.search, 8, batch);
    for (int i = 0; i < n; i++, done++) {
      neo_buf_printf(out, "%d:", batch[i].sketch);
      for (int k = 0; k < batch[i].n; k++)
        neo_buf_printf(out, "%d,", batch[i].decision[k]);
      neo_buf_text(out, "\n");
      double ns = fake_time(&s.space, &batch[i]);
      neo_search_tell(s.search, &batch[i], done == flip ? ns / 3 : ns, done == 11);
    }
  }
  finish(&s);
}

static void the_same_results_give_the_same_proposals(void **state) {
  (void)state;
  static const char *const names[] = {"evolve", "descent", "random"};
  for (int i = 0; i < NEO_COUNT(names); i++) {
    neo_buf a = {0}, b = {0}, c = {0};
    transcript(&a, names[i], -1);
    transcript(&b, names[i], -1);
    transcript(&c, names[i], 20);
    assert_string_equal(a.data, b.data);
    if (i < 2)
      assert_string_not_equal(a.data, c.data);
    else
      assert_string_equal(a.data, c.data); /* random listens to nobody */
    neo_buf_fini(&a);
    neo_buf_fini(&b);
    neo_buf_fini(&c);
  }
}

static bool is_among(const neo_candidate *c, const neo_candidate *list, int n) {
  for (int i = 0; i < n; i++)
    if (c->sketch == list[i].sketch &&
        memcmp(c->decision, list[i].decision, sizeof c->decision[0] * (size_t)c->n) == 0)
      return true;
  return false;
}

/* Counts are exact and nearly predicted: no trial is spent at random before the analytic model's
 * choices are, and what the next one promises is known. */
static void counted_trials_are_the_analytic_choices(void **state) {
  (void)state;
  setup s;
  enum { CHOICES = 16 };
  neo_candidate pick[128], c;
  start(&s, 42, 77, NULL);
  neo_search_destroy(s.search);
  neo_search_options options = {77, NULL, s.model, 3, true};
  assert_int_equal(neo_search_create(&s.ctx, &s.space, &options, &s.search), NEO_OK);
  int n = neo_space_analytic(&s.space, 128, pick);
  assert_true(neo_search_promise(s.search) < 0);
  for (int i = 0; i < CHOICES; i++) {
    assert_int_equal(neo_search_propose(s.search, 1, &c), 1);
    assert_true(is_among(&c, pick, n));
    assert_true(i > 0 || is_among(&c, pick, 1));
    neo_search_tell(s.search, &c, fake_time(&s.space, &c), false);
    assert_true(isfinite(neo_search_promise(s.search)));
  }
  assert_true(neo_search_promise(s.search) < 0);
  finish(&s);
}

/* Later half of a round is the strategy's: the analytic model does not see all. */
static void counted_rounds_are_shared(void **state) {
  (void)state;
  setup s;
  neo_candidate pick[128], c[2];
  int n, from_model = 0, from_strategy = 0;
  start(&s, 42, 77, NULL);
  neo_search_destroy(s.search);
  neo_search_options options = {77, NULL, s.model, 3, true};
  assert_int_equal(neo_search_create(&s.ctx, &s.space, &options, &s.search), NEO_OK);
  n = neo_space_analytic(&s.space, 128, pick);
  for (int round = 0; round < 8; round++) {
    assert_int_equal(neo_search_propose(s.search, 2, c), 2);
    assert_true(is_among(&c[0], pick, n));
    assert_true(round >= 3 || is_among(&c[1], pick, n));
    from_model += is_among(&c[1], pick, n);
    from_strategy += !is_among(&c[1], pick, n);
    for (int i = 0; i < 2; i++)
      neo_search_tell(s.search, &c[i], fake_time(&s.space, &c[i]), false);
  }
  assert_true(from_model >= 3 && from_strategy >= 2);
  finish(&s);
}

static void nothing_is_proposed_twice_and_small_spaces_end(void **state) {
  (void)state;
  static const char *const names[] = {"evolve", "descent", "random"};
  for (int i = 0; i < NEO_COUNT(names); i++) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    neo_space space;
    fake_space_init(&space, 1, 3, 3);
    neo_search *search;
    neo_search_options options = {1, names[i], NULL, 0};
    assert_int_equal(neo_search_create(&ctx, &space, &options, &search), NEO_OK);
    bool seen[54] = {false};
    neo_candidate seeded;
    neo_rng rng;
    neo_rng_init(&rng, 5);
    neo_space_sample(&space, &rng, &seeded);
    neo_search_seed(search, &seeded, fake_time(&space, &seeded));
    int total = 0;
    for (int n = 1; n > 0 && total < 100;) {
      neo_candidate batch[5];
      n = neo_search_propose(search, 5, batch);
      for (int k = 0; k < n; k++, total++) {
        const int16_t *d = batch[k].decision;
        int id = ((batch[k].sketch * 3 + d[0]) * 3 + d[1]) * 3 + d[2];
        assert_false(seen[id]);
        seen[id] = true;
        assert_true(neo_candidate_compare(&batch[k], &seeded) != 0);
        neo_search_tell(search, &batch[k], fake_time(&space, &batch[k]), false);
      }
    }
    assert_int_equal(total, 53);
    assert_true(neo_search_exhausted(search));
    neo_search_destroy(search);
  }
}

static void the_analytic_choice_comes_first_then_seeds(void **state) {
  (void)state;
  setup s;
  start(&s, 8, 1, NULL);
  neo_candidate seed, analytic, batch[6];
  neo_rng rng;
  neo_rng_init(&rng, 99);
  neo_space_sample(&s.space, &rng, &seed);
  neo_search_seed(s.search, &seed, 0);
  neo_space_analytic(&s.space, 1, &analytic);
  assert_int_equal(neo_search_propose(s.search, 6, batch), 6);
  assert_int_equal(neo_candidate_compare(&batch[0], &analytic), 0);
  assert_int_equal(neo_candidate_compare(&batch[1], &seed), 0);
  int open, told, failed;
  neo_search_counts(s.search, &open, &told, &failed);
  assert_true(open == 6 && told == 0 && failed == 0);
  finish(&s);
}

/* The first round was seven copies of the pick that the model could not tell from it. */
static void twins_of_the_analytic_choice_wait(void **state) {
  (void)state;
  setup s;
  start(&s, 5, 3, NULL);
  neo_candidate batch[8];
  assert_int_equal(neo_search_propose(s.search, 8, batch), 8);
  for (int i = 1; i < 8; i++) {
    int apart = 0;
    for (int k = 0; k < batch[i].n; k++)
      apart += batch[i].decision[k] != batch[0].decision[k];
    bool same = batch[i].sketch == batch[0].sketch &&
                neo_space_predict(&s.space, &batch[i]) == neo_space_predict(&s.space, &batch[0]);
    assert_false(same && apart <= 1);
  }
  finish(&s);
}

static void failures_are_counted_and_never_best(void **state) {
  (void)state;
  setup s;
  start(&s, 8, 1, NULL);
  neo_candidate batch[40], best;
  double ns;
  int n = neo_search_propose(s.search, 40, batch);
  assert_int_equal(n, 40);
  for (int i = 0; i < n; i++)
    neo_search_tell(s.search, &batch[i], 1, true);
  assert_false(neo_search_best(s.search, &best, &ns));
  n = neo_search_propose(s.search, 8, batch);
  neo_search_tell(s.search, &batch[0], 500, false);
  neo_search_tell(s.search, &batch[1], NAN, false);
  neo_search_tell(s.search, &batch[0], 700, false); /* measured again: the later time counts */
  assert_true(neo_search_best(s.search, &best, &ns));
  assert_true(ns == 700);
  int open, told, failed;
  neo_search_counts(s.search, &open, &told, &failed);
  assert_int_equal(open, 6);
  assert_int_equal(told, 42);
  assert_int_equal(failed, 41);
  finish(&s);
}

static void an_unknown_strategy_lists_the_known(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  neo_space space;
  fake_space_init(&space, 1, 3, 3);
  neo_search *search = NULL;
  neo_search_options options = {1, "annealing", NULL, 0};
  assert_int_equal(neo_search_create(&ctx, &space, &options, &search), NEO_USAGE);
  assert_string_equal(ctx.message,
                      "search: no strategy 'annealing'; there are evolve, descent, random");
}

static long resident_kib(void) {
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  long kib = 0;
  while (file && fgets(line, sizeof(line), file))
    if (strncmp(line, "VmRSS:", 6) == 0)
      kib = strtol(line + 6, NULL, 10);
  if (file)
    fclose(file);
  return kib;
}

/* Memory from trial 500 to 20,000 stays within 5 % (of a process that also holds the compiler: 60
 * MB). */
static void memory_stays_flat(void **state) {
  (void)state;
#if defined(__SANITIZE_ADDRESS__)
  print_message("skipped: the sanitizer's own memory grows\n");
  skip();
#endif
  setup s;
  start(&s, 3, 1, NULL);
  neo_candidate batch[80];
  long at_500 = 0;
  for (int done = 0; done < 20000;) {
    int n = neo_search_propose(s.search, 80, batch);
    assert_int_equal(n, 80);
    for (int i = 0; i < n; i++)
      neo_search_tell(s.search, &batch[i], fake_time(&s.space, &batch[i]), false);
    done += n;
    if (done >= 500 && at_500 == 0)
      at_500 = resident_kib();
  }
  long at_end = resident_kib();
  print_message("resident: %ld KiB at trial 500, %ld KiB at trial 20000\n", at_500, at_end);
  assert_true(at_end - at_500 < 3 * 1024);
  finish(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory_stays_flat),
      cmocka_unit_test(evolve_beats_random),
      cmocka_unit_test(descent_beats_random),
      cmocka_unit_test(evolve_gets_near_the_floor),
      cmocka_unit_test(the_same_results_give_the_same_proposals),
      cmocka_unit_test(counted_trials_are_the_analytic_choices),
      cmocka_unit_test(counted_rounds_are_shared),
      cmocka_unit_test(nothing_is_proposed_twice_and_small_spaces_end),
      cmocka_unit_test(the_analytic_choice_comes_first_then_seeds),
      cmocka_unit_test(twins_of_the_analytic_choice_wait),
      cmocka_unit_test(failures_are_counted_and_never_best),
      cmocka_unit_test(an_unknown_strategy_lists_the_known),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
