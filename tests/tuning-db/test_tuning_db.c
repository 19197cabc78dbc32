/* The store, over every row of stores.def where a file is not needed: round trips, lookups,
 * neighbours, runs and notes, export and import, and two handles at once. */
#include <pthread.h>

#include "tests/tuning-db/db_fixture.h"

static const char *const urls[] = {"memory:", "sqlite:"};

/* Opens a fresh store of the k-th kind. */
static neo_db *open_kind(fixture *f, int k) {
  char url[400];
  snprintf(url, sizeof(url), "%s%s", urls[k], k ? f->path : "");
  neo_db *db = NULL;
  OK(f, neo_db_open(&f->ctx, url, false, &db));
  return db;
}

static neo_db *open_path(fixture *f, bool read_only) {
  neo_db *db = NULL;
  OK(f, neo_db_open(&f->ctx, f->path, read_only, &db));
  return db;
}

static void assert_same_trial(const neo_db_trial *a, const neo_db_trial *b) {
  neo_db_trial x = *a, y = *b;
  for (int i = 1; i < NEO_TRIAL_COLUMNS; i++) {
    const neo_column *column = &neo_trial_columns[i];
    if (column->kind == NEO_COLUMN_TEXT)
      assert_string_equal(*neo_column_text(column, &x), *neo_column_text(column, &y));
    else if (column->kind == NEO_COLUMN_REAL)
      assert_true(*neo_column_real(column, &x) == *neo_column_real(column, &y));
    else
      assert_int_equal(neo_column_int(column, &x), neo_column_int(column, &y));
  }
}

static neo_db_query query_of(const neo_db_trial *t) {
  return (neo_db_query){t->workload, t->target, t->threads, NULL, NULL};
}

static void a_trial_comes_back_as_it_was_put(void **state) {
  fixture *f = *state;
  for (int k = 0; k < NEO_COUNT(urls); k++) {
    neo_db *db = open_kind(f, k);
    sample_workload s;
    sample_workload_init(&s, 4, 5);
    OK(f, neo_db_put_workload(&f->ctx, db, &s.w));
    neo_db_trial trial = sample_trial(s.key, 7, 1, 1234.5);
    trial.layout = "b0=0,2,3,1";
    trial.text = "quote \" newline \n and \xc3\xa4";
    trial.max_error = 1.0 / 0.0;
    trial.signal = 11;
    int64_t id = 0;
    OK(f, neo_db_put_trial(&f->ctx, db, &trial, &id));
    assert_true(id > 0);
    neo_db_query query = query_of(&trial);
    neo_db_row row = {0};
    bool found = false;
    OK(f, neo_db_best(&f->ctx, db, &query, &row, &found));
    assert_true(found);
    assert_int_equal(row.trial.id, id);
    assert_same_trial(&trial, &row.trial);
    neo_db_row_fini(&row);
    neo_db_close(db);
  }
}

static void a_second_put_of_an_attempt_changes_nothing(void **state) {
  fixture *f = *state;
  neo_db *db = open_kind(f, 0);
  sample_workload s;
  sample_workload_init(&s, 4, 5);
  OK(f, neo_db_put_workload(&f->ctx, db, &s.w));
  neo_db_trial trial = sample_trial(s.key, 3, 9, 100);
  int64_t first = 0, second = 0, other = 0;
  OK(f, neo_db_put_trial(&f->ctx, db, &trial, &first));
  trial.ns = 1;
  OK(f, neo_db_put_trial(&f->ctx, db, &trial, &second));
  assert_int_equal(first, second);
  neo_db_query query = query_of(&trial);
  neo_db_row row = {0};
  bool found = false;
  OK(f, neo_db_best(&f->ctx, db, &query, &row, &found));
  assert_true(found && row.trial.ns == 100);
  neo_db_row_fini(&row);
  trial.attempt = 10;
  OK(f, neo_db_put_trial(&f->ctx, db, &trial, &other));
  assert_int_not_equal(first, other);
  neo_db_close(db);
}

static double best_ns(fixture *f, neo_db *db, const neo_db_query *query) {
  neo_db_row row = {0};
  bool found = false;
  OK(f, neo_db_best(&f->ctx, db, query, &row, &found));
  double ns = found ? row.trial.ns : -1;
  neo_db_row_fini(&row);
  return ns;
}

static void best_obeys_every_part_of_the_query(void **state) {
  fixture *f = *state;
  neo_db *db = open_kind(f, 1);
  sample_workload s, t;
  sample_workload_init(&s, 4, 5);
  sample_workload_init(&t, 8, 5);
  OK(f, neo_db_put_workload(&f->ctx, db, &s.w));
  OK(f, neo_db_put_workload(&f->ctx, db, &t.w));
  static const struct {
    const char *layout, *kind, *error_class, *origin;
    double ns;
    int threads;
  } rows[] = {
      {"", "ok", "exact", "search", 500, 1},    {"", "ok", "default", "search", 300, 1},
      {"", "ok", "fast", "search", 200, 1},     {"L", "ok", "exact", "search", 400, 1},
      {"", "crash", "exact", "search", 0, 1},   {"", "ok", "exact", "baseline", 10, 1},
      {"", "ok", "exact", "import", 450, 1},    {"", "ok", "exact", "search", 50, 2},
      {"", "raced", "exact", "search", 490, 1}, {"", "duplicate", "exact", "search", 0, 1},
      {"", "wrong", "exact", "search", 0, 1},
  };
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_db_trial trial = sample_trial(s.key, 1, i + 1, rows[i].ns);
    trial.layout = rows[i].layout;
    trial.kind = rows[i].kind;
    trial.error_class = rows[i].error_class;
    trial.origin = rows[i].origin;
    trial.threads = rows[i].threads;
    OK(f, neo_db_put_trial(&f->ctx, db, &trial, NULL));
  }
  neo_db_query query = {s.key, "x86_64 avx2 vec=32", 1, NULL, NULL};
  assert_true(best_ns(f, db, &query) == 200);
  query.error_class_max = "default";
  assert_true(best_ns(f, db, &query) == 300);
  query.error_class_max = "exact";
  assert_true(best_ns(f, db, &query) == 400);
  query.layout = "";
  assert_true(best_ns(f, db, &query) == 450);
  query.layout = "L";
  assert_true(best_ns(f, db, &query) == 400);
  query.layout = "M";
  assert_true(best_ns(f, db, &query) == -1);
  query = (neo_db_query){s.key, "x86_64 avx2 vec=32", 2, NULL, NULL};
  assert_true(best_ns(f, db, &query) == 50);
  query.target = "another";
  assert_true(best_ns(f, db, &query) == -1);
  query = (neo_db_query){t.key, "x86_64 avx2 vec=32", 1, NULL, NULL};
  assert_true(best_ns(f, db, &query) == -1);
  query.error_class_max = "sloppy";
  neo_db_row row = {0};
  bool found = false;
  assert_int_equal(neo_db_best(&f->ctx, db, &query, &row, &found), NEO_USAGE);
  neo_ctx_clear(&f->ctx);
  neo_db_close(db);
}

static void illegal_rows_are_refused(void **state) {
  fixture *f = *state;
  neo_db *db = open_kind(f, 0);
  sample_workload s;
  sample_workload_init(&s, 4, 5);
  neo_db_workload forged = s.w;
  forged.key = "00000000000000000000000000000000";
  assert_int_equal(neo_db_put_workload(&f->ctx, db, &forged), NEO_BAD_INPUT);
  neo_ctx_clear(&f->ctx);
  neo_db_trial trial = sample_trial(s.key, 1, 1, 5);
  assert_int_equal(neo_db_put_trial(&f->ctx, db, &trial, NULL), NEO_USAGE);
  assert_non_null(strstr(f->ctx.message, "was not put"));
  neo_ctx_clear(&f->ctx);
  OK(f, neo_db_put_workload(&f->ctx, db, &s.w));
  trial.ns = -5;
  assert_int_equal(neo_db_put_trial(&f->ctx, db, &trial, NULL), NEO_USAGE);
  neo_ctx_clear(&f->ctx);
  trial.ns = 0.0 / 0.0;
  assert_int_equal(neo_db_put_trial(&f->ctx, db, &trial, NULL), NEO_USAGE);
  neo_ctx_clear(&f->ctx);
  trial = sample_trial(s.key, 1, 1, 5);
  OK(f, neo_db_put_trial(&f->ctx, db, &trial, NULL));
  neo_db_close(db);
}

static void near_gives_the_closest_extents_first(void **state) {
  fixture *f = *state;
  neo_db *db = open_kind(f, 0);
  static const int rows[] = {8, 64, 16, 1024};
  sample_workload s;
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    sample_workload_init(&s, rows[i], 32);
    OK(f, neo_db_put_workload(&f->ctx, db, &s.w));
    neo_db_trial trial = sample_trial(s.key, 1, i + 1, rows[i]);
    if (rows[i] == 64)
      trial.kind = "crash";
    OK(f, neo_db_put_trial(&f->ctx, db, &trial, NULL));
  }
  sample_workload_init(&s, 16, 32);
  neo_db_row row[3] = {0};
  int n = 0;
  neo_db_near_query query = {&s.w, "x86_64 avx2 vec=32", 1, 3};
  OK(f, neo_db_near(&f->ctx, db, &query, row, &n));
  assert_int_equal(n, 2);
  assert_true(row[0].trial.ns == 8);
  assert_true(row[1].trial.ns == 1024);
  neo_db_row_fini(&row[0]);
  neo_db_row_fini(&row[1]);
  query.n = 1;
  OK(f, neo_db_near(&f->ctx, db, &query, row, &n));
  assert_int_equal(n, 1);
  neo_db_row_fini(&row[0]);
  neo_db_close(db);
}

static void distance_is_the_sum_of_log_ratios(void **state) {
  (void)state;
  assert_true(neo_workload_distance("a[#,#]", "a[4,8]", "a[16,4]") == 3);
  assert_true(neo_workload_distance("a[#,#]", "a[4,8]", "a[4,8]") == 0);
  assert_true(neo_workload_distance("a[#]", "a[4]", "b[4]") < 0);
  assert_true(neo_workload_distance("a[#]", "a[4]", "a[4]x") < 0);
  assert_true(neo_workload_distance("a[#]", "a[]", "a[4]") < 0);
  /* convolutions had no neighbours: a zero in their guards counted as no number */
  assert_true(neo_workload_distance("#<=i2-#<# f32:#", "0<=i2-1<28 f32:0", "0<=i2-1<56 f32:0") ==
              1);
  assert_true(neo_workload_distance("[#] f32:#", "[8] f32:1e-05", "[4] f32:1e-05") == 1);
  assert_true(neo_workload_distance("[#] f32:#", "[8] f32:0.5", "[4] f32:0.25") == 2);
}

static bool take_run(void *self, const neo_db_run *run) {
  neo_buf_printf(self, "%lld %s %s %d %llu %s %s|", (long long)run->id, run->arguments, run->model,
                 run->threads, (unsigned long long)run->seed, run->state, run->host);
  return true;
}

static void runs_and_notes_round_trip(void **state) {
  fixture *f = *state;
  neo_db *db = open_kind(f, 1);
  neo_db_run run = {.arguments = "[\"neo-tune\"]",
                    .model = "m.onnx",
                    .target = "t",
                    .threads = 2,
                    .seed = UINT64_MAX,
                    .host = "{}"};
  int64_t a = 0, b = 0;
  OK(f, neo_db_begin_run(&f->ctx, db, &run, &a));
  OK(f, neo_db_begin_run(&f->ctx, db, &run, &b));
  OK(f, neo_db_end_run(&f->ctx, db, a, "done"));
  neo_buf text = {0};
  OK(f, neo_db_visit_runs(&f->ctx, db, take_run, &text));
  assert_string_equal(text.data, "2 [\"neo-tune\"] m.onnx 2 18446744073709551615 running {}|"
                                 "1 [\"neo-tune\"] m.onnx 2 18446744073709551615 done {}|");
  assert_int_equal(neo_db_end_run(&f->ctx, db, 99, "done"), NEO_USAGE);
  neo_ctx_clear(&f->ctx);
  assert_int_equal(neo_db_end_run(&f->ctx, db, a, "sleeping"), NEO_USAGE);
  neo_ctx_clear(&f->ctx);
  bool found = true;
  neo_buf_clear(&text);
  OK(f, neo_db_get_note(&f->ctx, db, a, "tasks", &text, &found));
  assert_false(found);
  OK(f, neo_db_put_note(&f->ctx, db, a, "tasks", "{\"x\":1}"));
  OK(f, neo_db_put_note(&f->ctx, db, a, "tasks", "{\"x\":2}"));
  OK(f, neo_db_get_note(&f->ctx, db, a, "tasks", &text, &found));
  assert_true(found);
  assert_string_equal(text.data, "{\"x\":2}");
  neo_buf_fini(&text);
  neo_db_close(db);
}

static bool count_trial(void *self, const neo_db_trial *trial) {
  (void)trial;
  ++*(int *)self;
  return true;
}

static int count_trials(fixture *f, neo_db *db) {
  neo_db_query all = {0};
  int n = 0;
  OK(f, neo_db_visit_trials(&f->ctx, db, &all, 0, count_trial, &n));
  return n;
}

static bool stop_at_two(void *self, const neo_db_trial *trial) {
  (void)trial;
  return ++*(int *)self < 2;
}

static void visits_filter_and_stop(void **state) {
  fixture *f = *state;
  neo_db *db = open_kind(f, 0);
  sample_workload s[2];
  for (int i = 0; i < 2; i++) {
    sample_workload_init(&s[i], 4 + i, 5);
    OK(f, neo_db_put_workload(&f->ctx, db, &s[i].w));
  }
  for (int i = 0; i < 12; i++) {
    neo_db_trial trial = sample_trial(s[i % 2].key, 1 + i % 3, i + 1, 10 + i);
    trial.error_class = i < 6 ? "exact" : "fast";
    OK(f, neo_db_put_trial(&f->ctx, db, &trial, NULL));
  }
  int n = 0;
  neo_db_query query = {.workload = s[0].key};
  OK(f, neo_db_visit_trials(&f->ctx, db, &query, 0, count_trial, &n));
  assert_int_equal(n, 6);
  n = 0;
  OK(f, neo_db_visit_trials(&f->ctx, db, &query, 1, count_trial, &n));
  assert_int_equal(n, 2);
  n = 0;
  query.error_class_max = "default";
  OK(f, neo_db_visit_trials(&f->ctx, db, &query, 0, count_trial, &n));
  assert_int_equal(n, 3);
  n = 0;
  OK(f, neo_db_visit_trials(&f->ctx, db, NULL, 0, stop_at_two, &n));
  assert_int_equal(n, 2);
  neo_db_close(db);
}

/* ---- export and import
 * ---------------------------------------------------------------------------- */

static void export_to(fixture *f, neo_db *db, neo_buf *out) {
  char *data = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&data, &size);
  OK(f, neo_db_export(&f->ctx, db, file));
  fclose(file);
  neo_buf_append(out, data, size);
  free(data);
}

static void import_from(fixture *f, neo_db *db, const neo_buf *text, int64_t counts[2]) {
  FILE *file = fmemopen(text->data, text->size, "r");
  OK(f, neo_db_import(&f->ctx, db, file, "records.jsonl", &counts[0], &counts[1]));
  fclose(file);
}

static void fill(fixture *f, neo_db *db) {
  for (int i = 0; i < 30; i++) {
    sample_workload s;
    sample_workload_init(&s, 4 + i % 5, 7);
    OK(f, neo_db_put_workload(&f->ctx, db, &s.w));
    neo_db_trial trial = sample_trial(s.key, 1, i + 1, 1.0 / 3 + i);
    trial.max_error = i == 3 ? 1.0 / 0.0 : 0.125;
    trial.kind = i == 4 ? "crash" : "ok";
    trial.origin = i == 5 ? "baseline" : "search";
    trial.text = i == 4 ? "signal 11\tin \"verify\"" : "";
    OK(f, neo_db_put_trial(&f->ctx, db, &trial, NULL));
  }
}

static void importing_twice_changes_nothing(void **state) {
  fixture *f = *state;
  neo_db *a = open_kind(f, 0), *b = open_kind(f, 1);
  fill(f, a);
  neo_buf first = {0}, second = {0}, third = {0};
  export_to(f, a, &first);
  int64_t counts[2];
  import_from(f, a, &first, counts);
  assert_int_equal(counts[0], 35);
  assert_int_equal(counts[1], 0);
  assert_int_equal(count_trials(f, a), 30);
  import_from(f, b, &first, counts);
  import_from(f, b, &first, counts);
  assert_int_equal(count_trials(f, b), 30);
  export_to(f, b, &second);
  import_from(f, b, &second, counts);
  assert_int_equal(count_trials(f, b), 30);
  export_to(f, b, &third);
  assert_string_equal(second.data, third.data);
  assert_non_null(strstr(second.data, "\"origin\":\"baseline\""));
  assert_null(strstr(second.data, "\"origin\":\"search\""));
  neo_buf_fini(&first);
  neo_buf_fini(&second);
  neo_buf_fini(&third);
  neo_db_close(a);
  neo_db_close(b);
}

static void bad_lines_are_named_and_skipped(void **state) {
  fixture *f = *state;
  neo_db *a = open_kind(f, 0), *b = open_kind(f, 0);
  fill(f, a);
  neo_buf text = {0};
  export_to(f, a, &text);
  neo_buf_text(&text, "not json\n"
                      "{\"neo\":2,\"is\":\"trial\"}\n"
                      "{\"neo\":1,\"is\":\"song\"}\n"
                      "{\"neo\":1,\"is\":\"trial\",\"ns\":\"fast\"}\n"
                      "{\"neo\":1,\"is\":\"workload\",\"key\":\"x\",\"text\":\"y\"}\n"
                      "{\"neo\":1,\"is\":\"trial\",\"threads\":99999999999}\n"
                      "{\"neo\":1,\"is\":\"tri");
  int64_t counts[2];
  neo_buf_clear(&f->log);
  import_from(f, b, &text, counts);
  assert_int_equal(counts[0], 35);
  assert_int_equal(counts[1], 7);
  for (int line = 37; line < 44; line++) {
    char name[32];
    snprintf(name, sizeof(name), "records.jsonl:%d: ", line);
    assert_non_null(strstr(f->log.data, name));
  }
  assert_int_equal(count_trials(f, b), 30);
  neo_buf_clear(&text);
  neo_buf_text(&text, "GIF89a\n");
  FILE *file = fmemopen(text.data, text.size, "r");
  assert_int_equal(neo_db_import(&f->ctx, b, file, "x.gif", &counts[0], &counts[1]), NEO_BAD_INPUT);
  assert_non_null(strstr(f->ctx.message, "x.gif:1"));
  neo_ctx_clear(&f->ctx);
  fclose(file);
  neo_buf_fini(&text);
  neo_db_close(a);
  neo_db_close(b);
}

/* ---- several handles
 * ------------------------------------------------------------------------------ */

enum { WRITES = 300 };

static void *write_trials(void *argument) {
  fixture *f = argument;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 2);
  neo_db *db = NULL;
  intptr_t bad = neo_db_open(&ctx, f->path, false, &db) != NEO_OK;
  sample_workload s;
  sample_workload_init(&s, 4, 5);
  for (int i = 0; !bad && i < WRITES; i++) {
    neo_db_trial trial = sample_trial(s.key, 1, i + 1, WRITES - i);
    bad = neo_db_put_trial(&ctx, db, &trial, NULL) != NEO_OK;
  }
  neo_db_close(db);
  return (void *)bad;
}

static void readers_see_whole_trials_while_one_writes(void **state) {
  fixture *f = *state;
  neo_db *db = open_path(f, false);
  sample_workload s;
  sample_workload_init(&s, 4, 5);
  OK(f, neo_db_put_workload(&f->ctx, db, &s.w));
  neo_db *reader = open_path(f, true);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, write_trials, f), 0);
  neo_db_query query = {s.key, "x86_64 avx2 vec=32", 1, NULL, NULL};
  double last = WRITES + 1;
  int seen = 0;
  while (last > 1) {
    double ns = best_ns(f, reader, &query);
    assert_true(ns == -1 || ns <= last);
    int n = count_trials(f, reader);
    assert_true(n >= seen);
    seen = n;
    last = ns > 0 ? ns : last;
  }
  void *bad;
  pthread_join(thread, &bad);
  assert_null(bad);
  assert_int_equal(count_trials(f, reader), WRITES);
  neo_db_close(reader);
  neo_db_close(db);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
  const struct CMUnitTest tests[] = {
      TEST(a_trial_comes_back_as_it_was_put),
      TEST(a_second_put_of_an_attempt_changes_nothing),
      TEST(best_obeys_every_part_of_the_query),
      TEST(illegal_rows_are_refused),
      TEST(near_gives_the_closest_extents_first),
      TEST(distance_is_the_sum_of_log_ratios),
      TEST(runs_and_notes_round_trip),
      TEST(visits_filter_and_stop),
      TEST(importing_twice_changes_nothing),
      TEST(bad_lines_are_named_and_skipped),
      TEST(readers_see_whole_trials_while_one_writes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
