/* The store under attack: kill -9 while writing, flipped bytes, foreign and newer files,
 * unreachable paths, every allocation failing in turn. */
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/tuning-db/db_fixture.h"

static neo_db *open_path(fixture *f, bool read_only) {
  neo_db *db = NULL;
  OK(f, neo_db_open(&f->ctx, f->path, read_only, &db));
  return db;
}

/* ---- failing allocations: the linker sends malloc, calloc and realloc here
 * ------------------------- */

static long countdown = -1; /* allocations until they fail; -1: never */

static bool allocation_fails(void) {
  if (countdown < 0)
    return false;
  if (countdown > 0)
    countdown--;
  return countdown == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);

void *__wrap_malloc(size_t size) {
  return allocation_fails() ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t n, size_t size) {
  return allocation_fails() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *ptr, size_t size) {
  return allocation_fails() ? NULL : __real_realloc(ptr, size);
}

static sqlite3_mem_methods sqlite_memory;
static void *failing_sqlite_malloc(int size) {
  return allocation_fails() ? NULL : sqlite_memory.xMalloc(size);
}
static void *failing_sqlite_realloc(void *ptr, int size) {
  return allocation_fails() ? NULL : sqlite_memory.xRealloc(ptr, size);
}

/* SQLite's allocations fail with ours; jansson's go through malloc as an option of its own. */
static void wrap_libraries(void) {
  assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &sqlite_memory), SQLITE_OK);
  sqlite3_mem_methods failing = sqlite_memory;
  failing.xMalloc = failing_sqlite_malloc;
  failing.xRealloc = failing_sqlite_realloc;
  assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
  json_set_alloc_funcs(__wrap_malloc, free);
}

static bool export_and_import(neo_ctx *ctx, neo_db *db, FILE *file) {
  int64_t good, bad;
  rewind(file);
  if (neo_db_export(ctx, db, file) != NEO_OK)
    return false;
  rewind(file);
  return neo_db_import(ctx, db, file, "x", &good, &bad) == NEO_OK && bad == 0;
}

/* Everything the store does, once. True if all went well. */
static bool use_store(neo_ctx *ctx, const char *path, const sample_workload *s, FILE *file) {
  neo_db *db = NULL;
  neo_db_row row = {0}, near[2] = {0};
  neo_db_trial trial = sample_trial(s[0].key, 1, 1, 10);
  neo_db_query query = {s[0].key, trial.target, 1, NULL, NULL};
  neo_db_run run = {.arguments = "[]"};
  neo_db_near_query neighbours = {&s[1].w, trial.target, 1, 2};
  neo_buf note = {0};
  int64_t id;
  int n_near = 0;
  bool found = false, has_note = false;
  bool ok = neo_db_open(ctx, path, false, &db) == NEO_OK &&
            neo_db_put_workload(ctx, db, &s[0].w) == NEO_OK &&
            neo_db_put_workload(ctx, db, &s[1].w) == NEO_OK &&
            neo_db_begin_run(ctx, db, &run, &id) == NEO_OK &&
            neo_db_put_note(ctx, db, id, "n", "{}") == NEO_OK &&
            neo_db_get_note(ctx, db, id, "n", &note, &has_note) == NEO_OK &&
            neo_db_put_trial(ctx, db, &trial, &id) == NEO_OK &&
            neo_db_best(ctx, db, &query, &row, &found) == NEO_OK &&
            neo_db_near(ctx, db, &neighbours, near, &n_near) == NEO_OK &&
            export_and_import(ctx, db, file);
  ok = ok && found && has_note && n_near == 1;
  for (int i = 0; i < n_near; i++)
    neo_db_row_fini(&near[i]);
  neo_db_row_fini(&row);
  neo_buf_fini(&note);
  neo_db_close(db);
  return ok;
}

static void every_allocation_may_fail(void **state) {
  fixture *f = *state;
  sample_workload s[2];
  sample_workload_init(&s[0], 4, 5);
  sample_workload_init(&s[1], 8, 5);
  FILE *file = tmpfile();
  bool ok = false;
  int failures = 0;
  /* the step grows: the first allocations are all tried, later ones sampled */
  for (long n = 1; !ok && n < 100000; n += 1 + n / 40) {
    neo_ctx ctx;
    neo_ctx_init(&ctx, 1);
    countdown = n;
    ok = use_store(&ctx, f->path, s, file);
    bool ran_out = countdown == 0;
    countdown = -1;
    failures += ran_out;
    if (ok)
      assert_false(ran_out && ctx.status != NEO_OK);
    else
      assert_int_not_equal(ctx.status, NEO_OK);
    unlink(f->path);
  }
  assert_true(ok);
  assert_true(failures > 50);
  fclose(file);
}

/* ---- kill -9
 * -------------------------------------------------------------------------------------- */

/* Writes trials until killed; prints each acknowledged id to the pipe. */
static void child_writes(const char *path, int64_t first_attempt, int out) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 3);
  neo_db *db = NULL;
  sample_workload s;
  sample_workload_init(&s, 4, 5);
  if (neo_db_open(&ctx, path, false, &db) != NEO_OK ||
      neo_db_put_workload(&ctx, db, &s.w) != NEO_OK)
    _exit(1);
  for (int64_t i = first_attempt;; i++) {
    neo_db_trial trial = sample_trial(s.key, 1, i, 1000.0 + (double)i);
    int64_t id;
    if (neo_db_put_trial(&ctx, db, &trial, &id) != NEO_OK)
      _exit(1);
    if (write(out, &id, sizeof(id)) != (ssize_t)sizeof(id))
      _exit(1);
  }
}

static bool mark_id(void *self, const neo_db_trial *trial) {
  bool *present = self;
  if (trial->id >= 0 && trial->id < 1 << 20)
    present[trial->id] = true;
  return true;
}

static void no_acknowledged_trial_is_lost_by_kill_9(void **state) {
  fixture *f = *state;
  bool *acknowledged = calloc(1 << 20, sizeof(bool)), *present = calloc(1 << 20, sizeof(bool));
  neo_rng rng;
  neo_rng_init(&rng, 42);
  int64_t total = 0;
  for (int loop = 0; loop < 20; loop++) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      close(ends[0]);
      child_writes(f->path, loop * 100000 + 1, ends[1]);
    }
    close(ends[1]);
    struct timespec pause = {0, 5000000 + (long)neo_rng_below(&rng, 60000000)};
    nanosleep(&pause, NULL);
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status));
    int64_t id;
    while (read(ends[0], &id, sizeof(id)) == (ssize_t)sizeof(id)) {
      acknowledged[id] = true;
      total++;
    }
    close(ends[0]);
  }
  assert_true(total > 20);
  neo_db *db = open_path(f, false);
  OK(f, neo_db_visit_trials(&f->ctx, db, NULL, 0, mark_id, present));
  for (int i = 0; i < 1 << 20; i++)
    assert_true(!acknowledged[i] || present[i]);
  neo_db_close(db);
  free(acknowledged);
  free(present);
}

/* ---- damage
 * ---------------------------------------------------------------------------------------- */

static void make_file(fixture *f, int trials) {
  neo_db *db = open_path(f, false);
  for (int i = 0; i < trials; i++) {
    sample_workload s;
    sample_workload_init(&s, 4 + i % 7, 5);
    OK(f, neo_db_put_workload(&f->ctx, db, &s.w));
    neo_db_trial trial = sample_trial(s.key, 1, i + 1, 100 + i);
    OK(f, neo_db_put_trial(&f->ctx, db, &trial, NULL));
  }
  neo_db_close(db);
}

static void run_sql(fixture *f, const char *sql) {
  sqlite3 *handle;
  assert_int_equal(sqlite3_open(f->path, &handle), SQLITE_OK);
  assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(handle);
}

static bool count_trial(void *self, const neo_db_trial *trial) {
  ++*(int *)self;
  return strcmp(trial->schedule, "s1; alg direct") == 0;
}

static void damaged_rows_are_named_once_and_skipped(void **state) {
  fixture *f = *state;
  make_file(f, 14);
  run_sql(f, "UPDATE trials SET schedule='s1; alg dorect' WHERE id=1;"
             "UPDATE trials SET ns=ns-50 WHERE id=8;"
             "UPDATE trials SET workload=777 WHERE id=3;"
             "UPDATE workloads SET text='te 2' WHERE id=2;");
  neo_db *db = open_path(f, false);
  neo_buf_clear(&f->log);
  for (int pass = 0; pass < 2; pass++) {
    int n = 0;
    OK(f, neo_db_visit_trials(&f->ctx, db, NULL, 0, count_trial, &n));
    assert_int_equal(n, 11);
  }
  const char *first = strstr(f->log.data, "trial 1 is damaged");
  assert_non_null(first);
  assert_null(strstr(first + 1, "trial 1 is damaged"));
  assert_non_null(strstr(f->log.data, "trial 8 is damaged"));
  assert_non_null(strstr(f->log.data, "trial 3 is damaged"));
  sample_workload s;
  sample_workload_init(&s, 4, 5); /* trials 1 and 8: both damaged */
  neo_db_query query = {s.key, "x86_64 avx2 vec=32", 1, NULL, NULL};
  neo_db_row row = {0};
  bool found = true;
  OK(f, neo_db_best(&f->ctx, db, &query, &row, &found));
  assert_false(found);
  neo_db_close(db);
}

/* Reads all there is and writes a little; whatever comes, no crash, and a message with a failure.
 */
static void exercise_damaged(fixture *f) {
  neo_db *db = NULL;
  neo_ctx_clear(&f->ctx);
  neo_status status = neo_db_open(&f->ctx, f->path, false, &db);
  if (status != NEO_OK) {
    assert_true(status == NEO_BAD_INPUT || status == NEO_IO);
    assert_non_null(strstr(f->ctx.message, f->path));
    return;
  }
  int n = 0;
  neo_db_visit_trials(&f->ctx, db, NULL, 0, count_trial, &n);
  sample_workload s;
  sample_workload_init(&s, 4, 5);
  neo_db_query query = {s.key, "x86_64 avx2 vec=32", 1, NULL, NULL};
  neo_db_row row = {0};
  bool found = false;
  if (neo_db_best(&f->ctx, db, &query, &row, &found) == NEO_OK && found)
    assert_string_equal(row.trial.schedule, "s1; alg direct");
  neo_db_row_fini(&row);
  neo_db_trial trial = sample_trial(s.key, 2, 1, 5);
  neo_db_put_workload(&f->ctx, db, &s.w);
  neo_db_put_trial(&f->ctx, db, &trial, NULL);
  neo_db_close(db);
}

static void flipped_bytes_never_crash(void **state) {
  fixture *f = *state;
  make_file(f, 60);
  neo_buf whole = {0};
  OK(f, neo_file_read(&f->ctx, f->path, 0, &whole));
  neo_rng rng;
  neo_rng_init(&rng, 7);
  for (int loop = 0; loop < 150; loop++) {
    neo_buf damaged = {0};
    neo_buf_append(&damaged, whole.data, whole.size);
    int flips = 1 << neo_rng_below(&rng, 8);
    for (int i = 0; i < flips; i++)
      damaged.data[neo_rng_below(&rng, damaged.size)] ^= (char)(1 + neo_rng_below(&rng, 255));
    if (loop % 10 == 0)
      damaged.size = neo_rng_below(&rng, damaged.size);
    FILE *file = fopen(f->path, "wb");
    assert_int_equal(fwrite(damaged.data, 1, damaged.size, file), damaged.size);
    fclose(file);
    neo_buf_fini(&damaged);
    exercise_damaged(f);
    char side[320];
    snprintf(side, sizeof(side), "%s-wal", f->path);
    unlink(side);
    snprintf(side, sizeof(side), "%s-shm", f->path);
    unlink(side);
  }
  neo_ctx_clear(&f->ctx);
  neo_buf_fini(&whole);
}

/* A broken page inside the table: the rows before and behind it are still visited. */
static void a_visit_goes_on_behind_a_broken_page(void **state) {
  fixture *f = *state;
  make_file(f, 400);
  neo_buf whole = {0};
  OK(f, neo_file_read(&f->ctx, f->path, 0, &whole));
  int leaves = 0;
  for (size_t page = 1; page * 4096 + 4096 <= whole.size; page++)
    if (whole.data[page * 4096] == 0x0d && ++leaves == 12)
      memset(whole.data + page * 4096, 0xee, 64);
  assert_true(leaves > 20);
  FILE *file = fopen(f->path, "wb");
  fwrite(whole.data, 1, whole.size, file);
  fclose(file);
  neo_buf_fini(&whole);
  neo_db *db = open_path(f, false);
  int n = 0;
  OK(f, neo_db_visit_trials(&f->ctx, db, NULL, 0, count_trial, &n));
  assert_true(n < 400 && n > 300);
  assert_non_null(strstr(f->log.data, "broken"));
  neo_db_close(db);
}

static void foreign_and_newer_files_are_refused(void **state) {
  fixture *f = *state;
  neo_db *db = NULL;
  assert_int_equal(neo_db_open(&f->ctx, f->path, true, &db), NEO_UNREACHABLE);
  assert_false(neo_file_exists(f->path));
  neo_ctx_clear(&f->ctx);
  FILE *file = fopen(f->path, "wb");
  for (int i = 0; i < 3000; i++)
    fputs("this is a letter\n", file);
  fclose(file);
  assert_int_equal(neo_db_open(&f->ctx, f->path, false, &db), NEO_BAD_INPUT);
  assert_non_null(strstr(f->ctx.message, "not a tuning database"));
  neo_ctx_clear(&f->ctx);
  unlink(f->path);
  run_sql(f, "CREATE TABLE songs(name TEXT)");
  assert_int_equal(neo_db_open(&f->ctx, f->path, false, &db), NEO_BAD_INPUT);
  assert_non_null(strstr(f->ctx.message, "another program"));
  neo_ctx_clear(&f->ctx);
  unlink(f->path);
  make_file(f, 1);
  run_sql(f, "PRAGMA user_version=99");
  assert_int_equal(neo_db_open(&f->ctx, f->path, false, &db), NEO_BAD_INPUT);
  assert_non_null(strstr(f->ctx.message, "99"));
  neo_ctx_clear(&f->ctx);
  assert_int_equal(neo_db_open(&f->ctx, "/nonexistent/dir/x.db", false, &db), NEO_UNREACHABLE);
  neo_ctx_clear(&f->ctx);
  assert_int_equal(neo_db_open(&f->ctx, f->dir, false, &db), NEO_UNREACHABLE);
  neo_ctx_clear(&f->ctx);
  assert_int_equal(neo_db_open(&f->ctx, "mongo://x", false, &db), NEO_UNSUPPORTED);
  assert_non_null(strstr(f->ctx.message, "sqlite:"));
  neo_ctx_clear(&f->ctx);
  assert_null(db);
}

static void network_file_systems_are_known(void **state) {
  (void)state;
  assert_string_equal(neo_network_fs_name(0x6969), "NFS");
  assert_string_equal(neo_network_fs_name(0xff534d42), "CIFS");
  assert_string_equal(neo_network_fs_name(0xffffffffff534d42), "CIFS"); /* sign-extended f_type */
  assert_null(neo_network_fs_name(0xef53));
  assert_null(neo_network_fs_name(0x01021994));
}

static void a_read_only_store_is_never_written(void **state) {
  fixture *f = *state;
  make_file(f, 3);
  neo_db *db = open_path(f, true);
  sample_workload s;
  sample_workload_init(&s, 4, 5);
  neo_db_trial trial = sample_trial(s.key, 2, 1, 5);
  assert_int_equal(neo_db_put_trial(&f->ctx, db, &trial, NULL), NEO_IO);
  neo_ctx_clear(&f->ctx);
  int n = 0;
  OK(f, neo_db_visit_trials(&f->ctx, db, NULL, 0, count_trial, &n));
  assert_int_equal(n, 3);
  neo_db_close(db);
}

int main(void) {
  wrap_libraries();
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
  const struct CMUnitTest tests[] = {
      TEST(every_allocation_may_fail),
      TEST(no_acknowledged_trial_is_lost_by_kill_9),
      TEST(damaged_rows_are_named_once_and_skipped),
      TEST(flipped_bytes_never_crash),
      TEST(a_visit_goes_on_behind_a_broken_page),
      TEST(foreign_and_newer_files_are_refused),
      TEST(network_file_systems_are_known),
      TEST(a_read_only_store_is_never_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
