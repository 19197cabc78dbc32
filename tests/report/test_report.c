/* The report: every number on the page is the same text as its CSV cell, JSON and CSV agree, and
 * the page is whole for runs that were killed, stores without runs, and hostile names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "report/report.h"

typedef struct fixture {
  neo_ctx ctx;
  char dir[256];
  neo_db *db;
} fixture;

#define OK(f, call)                                                                                \
  do {                                                                                             \
    neo_status ok_ = (call);                                                                       \
    if (ok_ != NEO_OK)                                                                             \
      fail_msg("%s: %s: %s", #call, neo_status_name(ok_), (f)->ctx.message);                       \
  } while (0)

static int setup(void **state) {
  fixture *f = calloc(1, sizeof(*f));
  neo_ctx_init(&f->ctx, 1);
  OK(f, neo_dir_temp(&f->ctx, NULL, f->dir));
  OK(f, neo_db_open(&f->ctx, "memory:", false, &f->db));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  neo_db_close(f->db);
  neo_dir_remove(&f->ctx, f->dir);
  free(f);
  return 0;
}

/* ---- a store to report on --------------------------------------------------------------------------- */

enum { TASKS = 9, TRIALS = 60 };
static const char *const names[TASKS] = {"conv1",       "layer1.0.conv2 <b>&\"bold\"</b>",
                                         "layer2.conv", "a, \"quoted\" name",
                                         "pool",        "gemm",
                                         "softmax",     "layer3.0.downsample.very.long.name.of.it",
                                         "fc"};

static void put_workload(fixture *f, int k, char key[33]) {
  char text[64];
  snprintf(text, sizeof(text), "te 1\nb0 in f32 [%d]\n", k + 1);
  neo_key_text(text, strlen(text), key);
  neo_db_workload workload = {key, text, "te 1\nb0 in f32 [#]\n", names[k], 1e8 * (k + 1)};
  OK(f, neo_db_put_workload(&f->ctx, f->db, &workload));
}

static neo_db_trial make_trial(fixture *f, const char *key, int64_t run, int k, int i) {
  neo_rng *rng = &f->ctx.rng;
  double base = 1e6 * (k + 1), ns = base * (1 + 3 * neo_rng_unit(rng) / (1 + 0.2 * i));
  bool failed = i % 17 == 5;
  return (neo_db_trial){.run = run,
                        .attempt = 1 + k + (int64_t)i * TASKS,
                        .workload = key,
                        .target = "x86_64 avx2 vec=32",
                        .layout = "",
                        .schedule = "s1; alg direct",
                        .threads = 2,
                        .kind = failed   ? (k % 2 ? "crash" : "wrong")
                                : i % 11 ? "ok"
                                         : "raced",
                        .ns = failed ? 0 : ns,
                        .predicted_ns = ns * (0.7 + 0.6 * neo_rng_unit(rng)),
                        .fmas = 5e7 * (k + 1),
                        .bytes = 1e6 * (k + 1) * (k % 3 + 1),
                        .build_ns = 1e7,
                        .measure_ns = 3e7,
                        .phase = failed ? "verify" : "",
                        .text = failed ? "signal 11 at <0x0>, repro: neo-tune \"x\"" : "",
                        .created_ms = 1767225600000 + 1000 * (int64_t)i};
}

static int64_t make_run(fixture *f, bool finished) {
  neo_db_run run = {.arguments = "[\"neo-tune\", \"resnet50.onnx\"]",
                    .model = "resnet50",
                    .target = "x86_64 avx2 vec=32",
                    .threads = 2,
                    .seed = 42,
                    .host =
                        "{\"cpu\":\"AMD EPYC 9B14\",\"peak_gflops\":240.5,\"bandwidth_gbs\":21.25,"
                        "\"neo\":\"0.1.0\"}"};
  int64_t id = 0;
  OK(f, neo_db_begin_run(&f->ctx, f->db, &run, &id));
  neo_buf note = {0};
  neo_buf_text(&note, "{\"before_ns\":61234567,\"after_ns\":30123456,\"seconds\":61.5,\"tasks\":[");
  for (int k = 0; k < TASKS; k++) {
    char key[33];
    put_workload(f, k, key);
    for (int i = 0; i < TRIALS; i++) {
      neo_db_trial trial = make_trial(f, key, id, k, i);
      OK(f, neo_db_put_trial(&f->ctx, f->db, &trial, NULL));
    }
    neo_buf_printf(&note, "%s{\"workload\":\"%s\",\"layout\":\"\",\"name\":", k ? "," : "", key);
    neo_json_quote(&note, names[k]);
    neo_buf_printf(&note,
                   ",\"op\":\"Conv\",\"weight\":%d,\"flops\":%g,\"bytes\":%g,\"first_ns\":%g,"
                   "\"best_ns\":%g,\"baseline_ns\":%g,\"bound_ns\":1000}",
                   1 + k % 3, 1e8 * (k + 1), 1e6 * (k + 1) * (k % 3 + 1), 2.3e6 * (k + 1),
                   1.04e6 * (k + 1), k == 5 ? 7.1e6 : 0);
  }
  neo_buf_text(&note, "]}");
  if (finished) {
    OK(f, neo_db_put_note(&f->ctx, f->db, id, "model", note.data));
    OK(f, neo_db_end_run(&f->ctx, f->db, id, "done"));
  }
  neo_buf_fini(&note);
  return id;
}

static void read_output(fixture *f, const char *name, neo_buf *out) {
  char path[400];
  snprintf(path, sizeof(path), "%s/%s", f->dir, name);
  OK(f, neo_file_read(&f->ctx, path, 0, out));
}

/* ---- reading CSV and HTML back ------------------------------------------------------------------------ */

/* The cell of a row (0: header) and column number; false past the end. */
static bool csv_cell(const char *csv, int row, int column, neo_buf *out) {
  int r = 0, c = 0;
  neo_buf_clear(out);
  neo_buf_text(out, "");
  while (*csv) {
    bool here = r == row && c == column, quoted = *csv == '"';
    csv += quoted;
    for (; *csv && (quoted || (*csv != ',' && *csv != '\n')); csv++) {
      if (quoted && *csv == '"' && *++csv != '"')
        break;
      if (here)
        neo_buf_u8(out, (uint8_t)*csv);
    }
    if (here)
      return true;
    r += *csv == '\n';
    c = *csv == '\n' ? 0 : c + 1;
    csv += *csv != 0;
  }
  return false;
}

static bool csv_named(const char *csv, int row, const char *name, neo_buf *out) {
  for (int column = 0; csv_cell(csv, 0, column, out); column++)
    if (strcmp(out->data, name) == 0)
      return csv_cell(csv, row, column, out);
  return false;
}

/* Text up to the next '<', entities resolved. */
static void html_text(const char *html, neo_buf *out) {
  static const char *const entity[][2] = {
      {"&lt;", "<"}, {"&gt;", ">"}, {"&amp;", "&"}, {"&quot;", "\""}};
  neo_buf_clear(out);
  neo_buf_text(out, "");
  while (*html && *html != '<') {
    int k = 0;
    while (k < NEO_COUNT(entity) && strncmp(html, entity[k][0], strlen(entity[k][0])) != 0)
      k++;
    if (k < NEO_COUNT(entity))
      neo_buf_text(out, entity[k][1]);
    else
      neo_buf_u8(out, (uint8_t)*html);
    html += k < NEO_COUNT(entity) ? strlen(entity[k][0]) : 1;
  }
}

static int check_cells(fixture *f, const char *html) {
  int checked = 0;
  neo_buf csv = {0}, want = {0}, have = {0};
  char loaded[64] = "";
  for (const char *at = html; (at = strstr(at, "data-cell=\"")); checked++) {
    char table[32], column[32], name[64];
    int row = 0, end = 0;
    at += strlen("data-cell=\"");
    size_t t = strcspn(at, "/");
    assert_true(t < sizeof(table));
    memcpy(table, at, t);
    table[t] = 0;
    char *rest;
    row = (int)strtol(at + t + 1, &rest, 10);
    assert_int_equal(*rest, '/');
    end = (int)strcspn(rest + 1, "\"");
    assert_true(end < (int)sizeof(column));
    memcpy(column, rest + 1, (size_t)end);
    column[end] = 0;
    snprintf(name, sizeof(name), "%s.csv", table);
    if (strcmp(name, loaded) != 0) {
      neo_buf_clear(&csv);
      read_output(f, name, &csv);
      memcpy(loaded, name, sizeof(loaded));
    }
    assert_true(csv_named(csv.data, row, column, &want));
    html_text(strchr(rest, '>') + 1, &have);
    assert_string_equal(have.data, want.data);
  }
  neo_buf_fini(&csv);
  neo_buf_fini(&want);
  neo_buf_fini(&have);
  return checked;
}

/* No digit in the page's text outside of data-cell elements and axis ticks. */
static void check_no_other_numbers(const char *html) {
  const char *at = strstr(html, "<body>");
  assert_non_null(at);
  bool excused = false;
  while (*at) {
    if (*at == '<') {
      const char *end = strchr(at, '>');
      assert_non_null(end);
      char tag[400] = "";
      memcpy(tag, at, (size_t)(end - at) < sizeof(tag) - 1 ? (size_t)(end - at) : sizeof(tag) - 1);
      excused = strstr(tag, "data-cell=") || strstr(tag, "class=\"tick\"");
      at = end + 1;
    } else if (*at == '&') {
      at = strchr(at, ';') + 1;
    } else {
      if (isdigit((unsigned char)*at) && !excused)
        fail_msg("a number that is no cell: %.60s", at);
      at++;
    }
  }
}

static void check_no_network(const char *html) {
  static const char *const never[] = {"http:", "https:", "<script", "@import", "url(", "src="};
  for (int i = 0; i < NEO_COUNT(never); i++)
    assert_null(strstr(html, never[i]));
}

static void check_json(fixture *f) {
  neo_buf text = {0}, csv = {0}, cell = {0};
  json_t *json = NULL;
  read_output(f, "report.json", &text);
  OK(f, neo_json_parse(&f->ctx, "report.json", text.data, text.size, &json));
  const char *name;
  json_t *table;
  int tables = 0;
  json_object_foreach(json, name, table) {
    if (!json_is_object(table))
      continue;
    tables++;
    char file[64];
    snprintf(file, sizeof(file), "%s.csv", name);
    neo_buf_clear(&csv);
    read_output(f, file, &csv);
    json_t *rows = json_object_get(table, "rows");
    for (size_t r = 0; r < json_array_size(rows); r++)
      for (size_t c = 0; c < json_array_size(json_array_get(rows, r)); c++) {
        const json_t *value = json_array_get(json_array_get(rows, r), c);
        assert_true(csv_cell(csv.data, (int)r + 1, (int)c, &cell));
        if (json_is_string(value))
          assert_string_equal(json_string_value(value), cell.data);
        else if (json_is_null(value))
          assert_string_equal(cell.data, "");
        else
          assert_true(json_number_value(value) == strtod(cell.data, NULL));
      }
    assert_false(csv_cell(csv.data, (int)json_array_size(rows) + 1, 1, &cell));
  }
  assert_int_equal(tables, 6);
  json_decref(json);
  neo_buf_fini(&text);
  neo_buf_fini(&csv);
  neo_buf_fini(&cell);
}

/* ---- tests -------------------------------------------------------------------------------------------- */

static int check_report(fixture *f, int64_t run) {
  neo_buf html = {0};
  OK(f, neo_report_write(&f->ctx, f->db, run, f->dir));
  read_output(f, "report.html", &html);
  int cells = check_cells(f, html.data);
  check_no_other_numbers(html.data);
  check_no_network(html.data);
  check_json(f);
  neo_buf_fini(&html);
  return cells;
}

static void every_number_of_the_page_is_its_csv_cell(void **state) {
  fixture *f = *state;
  make_run(f, true);
  assert_true(check_report(f, 0) > 150);
  neo_buf csv = {0}, cell = {0};
  read_output(f, "summary.csv", &csv);
  assert_true(csv_named(csv.data, 1, "before_ms", &cell));
  assert_string_equal(cell.data, "61.23");
  assert_true(csv_named(csv.data, 1, "speedup", &cell));
  assert_string_equal(cell.data, "2.033");
  assert_true(csv_named(csv.data, 1, "trials", &cell));
  assert_string_equal(cell.data, "540");
  neo_buf_clear(&csv);
  read_output(f, "tasks.csv", &csv);
  assert_true(csv_named(csv.data, 1, "name", &cell)); /* 9 x 3: the costliest */
  assert_string_equal(cell.data, "fc");
  assert_true(csv_named(csv.data, 1, "before_us", &cell));
  assert_string_equal(cell.data, "20700");
  neo_buf_fini(&csv);
  neo_buf_fini(&cell);
}

/* Curves fall, start at the first usable trial and end at the run's best. */
static void curves_only_fall(void **state) {
  fixture *f = *state;
  make_run(f, true);
  OK(f, neo_report_write(&f->ctx, f->db, 0, f->dir));
  neo_buf csv = {0}, cell = {0};
  read_output(f, "curves.csv", &csv);
  double best[TASKS + 1], trial[TASKS + 1];
  for (int i = 0; i <= TASKS; i++) {
    best[i] = INFINITY;
    trial[i] = 0;
  }
  int rows = 0;
  for (; csv_cell(csv.data, rows + 1, 2, &cell); rows++) {
    double us = strtod(cell.data, NULL);
    csv_cell(csv.data, rows + 1, 0, &cell);
    int nr = (int)strtol(cell.data, NULL, 10);
    csv_cell(csv.data, rows + 1, 1, &cell);
    double t = strtod(cell.data, NULL);
    assert_true(nr >= 1 && nr <= TASKS && us < best[nr] && t > trial[nr]);
    best[nr] = us;
    trial[nr] = t;
  }
  assert_true(rows >= 2 * TASKS);
  neo_buf_fini(&csv);
  neo_buf_fini(&cell);
}

static void a_killed_run_has_a_report(void **state) {
  fixture *f = *state;
  int64_t run = make_run(f, false);
  assert_true(check_report(f, run) > 100);
  neo_buf csv = {0}, cell = {0};
  read_output(f, "summary.csv", &csv);
  csv_named(csv.data, 1, "state", &cell);
  assert_string_equal(cell.data, "running");
  neo_buf_clear(&csv);
  read_output(f, "tasks.csv", &csv);
  csv_named(csv.data, 1, "speedup", &cell);
  assert_true(strtod(cell.data, NULL) > 1);
  neo_buf_fini(&csv);
  neo_buf_fini(&cell);
}

static void stores_without_runs_or_anything_have_a_report(void **state) {
  fixture *f = *state;
  assert_true(check_report(f, 0) > 3);
  char key[33];
  put_workload(f, 2, key);
  neo_db_trial trial = make_trial(f, key, 0, 2, 1);
  OK(f, neo_db_put_trial(&f->ctx, f->db, &trial, NULL));
  assert_true(check_report(f, 0) > 10);
  assert_int_equal(neo_report_write(&f->ctx, f->db, 77, f->dir), NEO_USAGE);
  assert_string_equal(f->ctx.message, "report: there is no run 77 in the database");
}

static void broken_notes_are_passed_over(void **state) {
  fixture *f = *state;
  int64_t run = make_run(f, false);
  OK(f, neo_db_put_note(&f->ctx, f->db, run, "model", "{\"tasks\": ["));
  check_report(f, run);
  OK(f, neo_db_put_note(&f->ctx, f->db, run, "model",
                        "{\"before_ns\":\"x\",\"seconds\":-1,\"tasks\":[7,{\"name\":3},null]}"));
  check_report(f, run);
}

static void a_directory_that_cannot_be_made_is_named(void **state) {
  fixture *f = *state;
  make_run(f, true);
  assert_int_equal(neo_report_write(&f->ctx, f->db, 0, "/proc/nothing/report"), NEO_IO);
  assert_non_null(strstr(f->ctx.message, "/proc/nothing"));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(every_number_of_the_page_is_its_csv_cell),
      TEST(curves_only_fall),
      TEST(a_killed_run_has_a_report),
      TEST(stores_without_runs_or_anything_have_a_report),
      TEST(broken_notes_are_passed_over),
      TEST(a_directory_that_cannot_be_made_is_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
