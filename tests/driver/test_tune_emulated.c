/* tests/driver/test_tune_emulated.c: whole tuning runs for a processor that is not here: costs are
 * counted under emulation, so two runs with one seed agree in every record. */
#include "tests/driver/model_case.h"

#include "tests/measure/emulated_board.h"

enum { TRIALS = 24, FEW = 8 };

typedef struct fixture {
  neo_ctx ctx;
  model_case c;
  neo_project project; /* mnist for a Cortex-A72, batch 1, one thread */
} fixture;

static void open_for(fixture *f, const char *target) {
  neo_ctx_init(&f->ctx, 1);
  case_load(&f->ctx, "mnist_cnn_op13", &f->c);
  neo_binding binding = {.name = f->c.input_name, .shape = f->c.input.shape};
  binding.shape.dim[0] = 1;
  neo_project_options options = {
      .model = f->c.model, .n_bindings = 1, .bindings = &binding, .threads = 1, .target = target};
  must(&f->ctx, neo_project_open(&f->ctx, &options, &f->project));
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  assert_non_null(f);
  open_for(f, "cortex-a72");
  *state = f;
  return 0;
}

static void close_again(fixture *f) {
  neo_project_close(&f->project);
  case_release(&f->ctx, &f->c);
}

static int teardown(void **state) {
  fixture *f = *state;
  close_again(f);
  free(f);
  return 0;
}

static neo_tune_options emulated(const char *arch, int trials, uint64_t seed) {
  static char url[40];
  snprintf(url, sizeof url, "emulated:%s", arch);
  return (neo_tune_options){
      .trials = trials, .seed = seed, .measurer = url, .board_program = emulated_board(arch)};
}

typedef struct records {
  neo_buf text;
  int usable, failed;
} records;

static bool add_record(void *self, const neo_db_trial *t) {
  records *r = self;
  bool usable = t->ns > 0;
  r->usable += usable;
  r->failed += !usable;
  if (!usable)
    print_message("%s: %s: %s\n", t->schedule, t->kind, t->text);
  double most = strstr(t->target, "sve256") ? 8 : 4; /* multiply-adds of an instruction */
  assert_true(!usable || t->ns == floor(t->ns));     /* a count */
  assert_true(!usable || strstr(t->target, "rvv") || t->ns >= t->fmas / most);
  assert_int_equal(strncmp(t->target, "simulated ", 10), 0);
  neo_buf_printf(&r->text, "%lld %s [%s] %s %s %.17g\n", (long long)t->attempt, t->workload,
                 t->layout, t->schedule, t->kind, t->ns);
  return true;
}

static records tune(fixture *f, int trials, uint64_t seed) {
  neo_db *db = NULL;
  neo_tune_options options = emulated(f->project.target.arch, trials, seed);
  neo_tune_result result;
  records r = {0};
  must(&f->ctx, neo_db_open(&f->ctx, "memory:", false, &db));
  must(&f->ctx, neo_tune(&f->ctx, &f->project, db, &options, &result));
  must(&f->ctx, neo_db_visit_trials(&f->ctx, db, &(neo_db_query){0}, result.run, add_record, &r));
  neo_db_close(db);
  print_message("seed %d: %d of %lld trials usable, cost %.0f before, %.0f after, %.1f s\n",
                (int)seed, r.usable, (long long)result.trials, result.before_ns, result.after_ns,
                result.seconds);
  assert_true(result.after_ns > 0 && result.after_ns <= result.before_ns);
  return r;
}

static void same_seed_same_records(void **state) {
  fixture *f = *state;
  if (!emulation_is_possible(&f->ctx, &emulated_targets[0]))
    skip();
  char padding[1718];
  memset(padding, 'a', sizeof padding - 1);
  padding[sizeof padding - 1] = '\0';
  records a = tune(f, TRIALS, 7);
  setenv("NEO_PADDING", padding, 1); /* the board's stack lies elsewhere */
  records b = tune(f, TRIALS, 7);
  unsetenv("NEO_PADDING");
  assert_int_equal(a.usable, TRIALS);
  assert_string_equal(a.text.data, b.text.data);
  neo_buf_fini(&a.text);
  neo_buf_fini(&b.text);
}

/* Counts of the te by the schedule, NULL: its analytic pick; no misses. */
static double count_te(fixture *f, const char *text, const char *schedule) {
  neo_measure_options options = {.threads = 1, .board_program = emulated_board("aarch64")};
  neo_space_options space_options = {.threads = 1, .accuracy = NEO_ACCURACY_DEFAULT};
  neo_measurer *measurer = NULL;
  neo_space *space = NULL;
  neo_arena arena;
  neo_te te;
  neo_candidate pick;
  neo_schedule line;
  neo_trial_result result;
  bool got = false;
  neo_arena_init(&arena);
  must(&f->ctx, neo_te_parse(&f->ctx, &arena, text, &te));
  must(&f->ctx, neo_space_build(&f->ctx, &te, &f->project.target, &space_options, &space));
  assert_int_equal(neo_space_analytic(space, 1, &pick), 1);
  neo_space_schedule(space, &pick, &line);
  if (schedule)
    must(&f->ctx, neo_schedule_parse(&f->ctx, schedule, &line));
  must(&f->ctx, neo_measurer_open(&f->ctx, "emulated:aarch64?miss=0", &f->project.target, &options,
                                  &measurer));
  must(&f->ctx, neo_measurer_task(&f->ctx, measurer, 0, &te, "key"));
  must(&f->ctx, neo_measurer_submit(&f->ctx, measurer, 1, 0, &line));
  while (!got)
    must(&f->ctx, neo_measurer_poll(&f->ctx, measurer, 60000, &result, &got));
  neo_measurer_close(measurer);
  neo_space_destroy(space);
  neo_arena_fini(&arena);
  return result.ns;
}

/* Of 3x3 windows: places before the pointer were too far for a load's displacement, rows at borders
 * branched, and loops went over the window: 22.6 instructions for a vector of nine products. */
static void windows_take_few_instructions(void **state) {
  fixture *f = *state;
  if (!emulation_is_possible(&f->ctx, &emulated_targets[0]))
    skip();
  double n = count_te(f,
                      "te 1\nb0 in f32 [2,96,12,12]\nb1 const f32 [96,1,3,3]\nb2 const f32 [96]\n"
                      "b3 tmp f32 [2,96,12,12]\nb4 out f32 [2,96,12,12]\n"
                      "B0 b3[i0, i1, i2, i3] s[2,96,12,12] r[3,3] add f32:0\n"
                      "  mul(b0[i0, i1, i2+i4-1, i3+i5-1 | 0<=i2+i4-1<12, 0<=i3+i5-1<12 else 0], "
                      "b1[i1, 0, i4, i5])\nB1 b4[i0, i1, i2, i3] s[2,96,12,12]\n"
                      "  min(max(add(b3[i0, i1, i2, i3], b2[i1]), f32:0), f32:6)\n",
                      NULL);
  double each = n / (2 * 96 * 12 * 12 / 4.0);
  print_message("a vector of a 3x3 window: %.1f instructions\n", each);
  assert_true(each > 9 && each < 18.5);
}

/* The bias of 16 sums of 16 products was an addition for each of them: 376 instructions a tile. */
static void short_sums_start_from_their_bias(void **state) {
  fixture *f = *state;
  if (!emulation_is_possible(&f->ctx, &emulated_targets[0]))
    skip();
  double n = count_te(
      f,
      "te 1\nb0 in f32 [2,16,12,12]\nb1 const f32 [96,16,1,1]\nb2 const f32 [96]\nb3 tmp f32 [2"
      ",96,12,12]\nb4 out f32 [2,96,12,12]\nB0 b3[i0, i1, i2, i3] s[2,96,12,12] r[16,1,1] add"
      " f32:0\n  mul(b0[i0, i4, i2, i3], b1[i1, i4, 0, 0])\nB1 b4[i0, i1, i2, i3] s[2,96,12,1"
      "2]\n  min(max(add(b3[i0, i1, i2, i3], b2[i1]), f32:0), f32:6)\n",
      "s1; alg direct; lay b0 0,2,3,1; lay b4 0,2,3,1; lay b3 0,2,3,1; pack b1 2,3,0/16,1,0"
      "%16; split B1.1 4 4; split B1.2 12 1; split B1.3 4; order B1 0 2.0 2.1 3.0 1.0 2.2 3"
      ".1 1.1 1.2; vector B1.1.2; unroll B1.1.1; unroll B1.2.2; unroll B1.3.1; parallel B1 "
      "2; split B0.1 4; split B0.4 16; order B0 5 6 4.0 4.1 0 2 3 1.0 1.1; at B0 B1 5 reg; "
      "vector B0.1.1; unroll B0.4.1; unroll B0.0.0; unroll B0.1.0; unroll B0.2.0; unroll B0"
      ".3.0");
  double tile = n / (2 * 12 * 12 * 96 / 64);
  print_message("a tile of 16 sums: %.0f instructions\n", tile);
  assert_true(tile > 320 && tile < 370);
}

static bool note_target(void *self, const neo_db_trial *t) {
  snprintf(self, NEO_TARGET_TEXT + 32, "%s", t->target);
  return true;
}

/* Costs with another price of a miss stood among the others, and were taken for them. */
static void another_cost_of_a_miss_is_another_target(void **state) {
  fixture *f = *state;
  if (!emulation_is_possible(&f->ctx, &emulated_targets[0]))
    skip();
  static const char *const urls[] = {"aarch64", "aarch64?miss=0"}, *const prefixes[] = {
                                                                       "simulated aarch64 ",
                                                                       "simulated miss=0 aarch64 "};
  neo_db *db = NULL;
  must(&f->ctx, neo_db_open(&f->ctx, "memory:", false, &db));
  for (int k = 0; k < 2; k++) {
    neo_tune_options options = emulated(urls[k], FEW, 3);
    neo_tune_result result;
    char target[NEO_TARGET_TEXT + 32] = "";
    options.board_program = emulated_board("aarch64");
    must(&f->ctx, neo_tune(&f->ctx, &f->project, db, &options, &result));
    assert_true(result.counted);
    must(&f->ctx,
         neo_db_visit_trials(&f->ctx, db, &(neo_db_query){0}, result.run, note_target, target));
    if (strncmp(target, prefixes[k], strlen(prefixes[k])) != 0)
      fail_msg("%s: records of '%s', '%s' expected", urls[k], target, prefixes[k]);
    assert_int_equal(result.ok, FEW);
  }
  neo_db_close(db);
}

static void every_architecture(void **state) {
  (void)state;
  for (int k = 2; k < NEO_COUNT(emulated_targets); k++) {
    const emulated_target *t = &emulated_targets[k];
    fixture f;
    open_for(&f, t->target);
    if (emulation_is_possible(&f.ctx, t)) {
      print_message("%s: ", t->target);
      records r = tune(&f, FEW, 3);
      assert_int_equal(r.usable, FEW);
      neo_buf_fini(&r.text);
    }
    close_again(&f);
  }
}

static void expect_refusal(fixture *f, const char *url, int threads, const char *why) {
  neo_measure_options options = {.threads = threads, .board_program = emulated_board("aarch64")};
  neo_measurer *measurer = NULL;
  assert_int_not_equal(neo_measurer_open(&f->ctx, url, &f->project.target, &options, &measurer),
                       NEO_OK);
  if (!strstr(f->ctx.message, why))
    fail_msg("'%s' is not in '%s'", why, f->ctx.message);
  neo_ctx_clear(&f->ctx);
}

static void what_cannot_be_counted_is_refused(void **state) {
  fixture *f = *state;
  expect_refusal(f, "emulated:vax", 1, "emulated:aarch64");
  expect_refusal(f, "emulated:aarch64?miss=-1", 1, "?miss=COST");
  expect_refusal(f, "emulated:aarch64?cost=1", 1, "?miss=COST");
  expect_refusal(f, "emulated:aarch64", 2, "--threads 1");
  must(&f->ctx, neo_target_find(&f->ctx, "x86-64-v3", &f->project.target));
  expect_refusal(f, "emulated:aarch64", 1, "x86_64");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(same_seed_same_records, setup, teardown),
      cmocka_unit_test_setup_teardown(windows_take_few_instructions, setup, teardown),
      cmocka_unit_test_setup_teardown(short_sums_start_from_their_bias, setup, teardown),
      cmocka_unit_test_setup_teardown(another_cost_of_a_miss_is_another_target, setup, teardown),
      cmocka_unit_test(every_architecture),
      cmocka_unit_test_setup_teardown(what_cannot_be_counted_is_refused, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
