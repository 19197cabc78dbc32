/* The tables of a report, and their CSV and JSON.
 *
 * CSV: RFC 4180 with LF: a header line, cells quoted where they need it. JSON: every table as
 * {"columns": [...], "rows": [[...]]}; cells of number columns are numbers, empty ones null.
 * Numbers have four significant digits where they are for reading and all digits where they are
 * data (trials). */
#include "report/report_table.h"

#include <math.h>
#include <string.h>
#include <time.h>

/* ---- cells ------------------------------------------------------------------------------------------ */

/* columns: "name:t value:n": t text, n number. */
static void init_table(report_doc *report, report_table_id id, const char *columns) {
  static const char *const names[] = {
#define X(enumerator, name) name,
      REPORT_TABLES(X)
#undef X
  };
  report_table *table = &report->table[id];
  table->name = names[id];
  while (*columns) {
    size_t length = strcspn(columns, ":");
    neo_assert(table->n_columns < REPORT_MAX_COLUMNS);
    table->column[table->n_columns] = neo_arena_strndup(&report->data.arena, columns, length);
    table->is_text[table->n_columns++] = columns[length + 1] == 't';
    columns += length + 2;
    columns += *columns == ' ';
  }
}

static void put_text(report_doc *report, report_table_id id, const char *text) {
  report_table *table = &report->table[id];
  table->cell = neo_arena_grow(&report->data.arena, table->cell, &table->cap_cells,
                               table->n_cells + 1, sizeof(*table->cell));
  table->cell[table->n_cells++] = neo_arena_strdup(&report->data.arena, text);
}

static void put_int(report_doc *report, report_table_id id, int64_t v) {
  char text[32];
  snprintf(text, sizeof(text), "%lld", (long long)v);
  put_text(report, id, text);
}

/* Four significant digits without exponent where that is readable; empty if unknown (not positive).
 */
static void put_real(report_doc *report, report_table_id id, double v) {
  char text[40] = "";
  if (v > 0 && isfinite(v)) {
    int before = (int)floor(log10(v)) + 1; /* digits before the point */
    int after = before >= 4 ? 0 : before >= 1 ? 4 - before : 3;
    if (v < 1e-3 || v >= 1e9)
      snprintf(text, sizeof(text), "%.3e", v);
    else
      snprintf(text, sizeof(text), "%.*f", after, v);
  }
  put_text(report, id, text);
}

static void put_exact(report_doc *report, report_table_id id, double v) {
  neo_buf text = {0};
  if (v > 0 && isfinite(v))
    neo_buf_double(&text, v);
  put_text(report, id, text.data && !text.failed ? text.data : "");
  neo_buf_fini(&text);
}

static double ratio(double a, double b) {
  return a > 0 && b > 0 ? a / b : 0;
}

/* ---- tables ----------------------------------------------------------------------------------------- */

static void fill_summary(report_doc *report) {
  const report_data *data = &report->data;
  report_table_id id = REPORT_SUMMARY;
  double flops = 0;
  int failed = 0;
  for (int i = 0; i < data->n_tasks; i++) {
    flops += data->task[i].weight * data->task[i].flops;
    failed += data->task[i].failed;
  }
  init_table(report, id,
             "model:t run:n state:t before_ms:n after_ms:n speedup:n tasks:n trials:n failed:n "
             "seconds:n trials_per_second:n build_seconds:n board_seconds:n gflop:n "
             "gflops_before:n gflops_after:n peak_percent:n");
  put_text(report, id, data->run.model);
  put_int(report, id, data->run.id);
  put_text(report, id, data->run.state);
  put_real(report, id, data->model_before_ns / 1e6);
  put_real(report, id, data->model_after_ns / 1e6);
  put_real(report, id, ratio(data->model_before_ns, data->model_after_ns));
  put_int(report, id, data->n_tasks);
  put_int(report, id, data->n_trials);
  put_int(report, id, failed);
  put_real(report, id, data->seconds);
  put_real(report, id, ratio(data->n_trials, data->seconds));
  put_real(report, id, data->build_ns / 1e9);
  put_real(report, id, data->measure_ns / 1e9);
  put_real(report, id, flops / 1e9);
  put_real(report, id, report_gflops(flops, data->model_before_ns));
  put_real(report, id, report_gflops(flops, data->model_after_ns));
  put_real(report, id, 100 * ratio(report_gflops(flops, data->model_after_ns), data->peak_gflops));
}

static void fill_tasks(report_doc *report) {
  const report_data *data = &report->data;
  report_table_id id = REPORT_TASKS;
  double total = 0;
  for (int i = 0; i < data->n_tasks; i++)
    total += data->task[i].weight * data->task[i].after_ns;
  init_table(report, id,
             "nr:n name:t op:t weight:n trials:n failed:n before_us:n after_us:n speedup:n "
             "share_percent:n mflop:n gflops_before:n gflops_after:n peak_percent:n intensity:n "
             "openblas_us:n over_openblas:n workload:t layout:t schedule:t");
  for (int i = 0; i < data->n_tasks; i++) {
    const report_task *t = &data->task[i];
    put_int(report, id, i + 1);
    put_text(report, id, *t->name ? t->name : t->workload);
    put_text(report, id, t->op);
    put_int(report, id, (int64_t)t->weight);
    put_int(report, id, t->trials);
    put_int(report, id, t->failed);
    put_real(report, id, t->before_ns / 1e3);
    put_real(report, id, t->after_ns / 1e3);
    put_real(report, id, ratio(t->before_ns, t->after_ns));
    put_real(report, id, 100 * ratio(t->weight * t->after_ns, total));
    put_real(report, id, t->flops / 1e6);
    put_real(report, id, report_gflops(t->flops, t->before_ns));
    put_real(report, id, report_gflops(t->flops, t->after_ns));
    put_real(report, id, 100 * ratio(report_gflops(t->flops, t->after_ns), data->peak_gflops));
    put_real(report, id, ratio(t->flops, t->bytes));
    put_real(report, id, t->baseline_ns / 1e3);
    put_real(report, id, ratio(t->baseline_ns, t->after_ns));
    put_text(report, id, t->workload);
    put_text(report, id, t->layout);
    put_text(report, id, t->schedule);
  }
}

/* Best-so-far: one row for each improvement; trial counts within the task. */
static void fill_curves(report_doc *report) {
  report_data *data = &report->data;
  report_table_id id = REPORT_CURVES;
  size_t n = (size_t)data->n_tasks + 1;
  double *best = neo_arena_alloc(&data->arena, n * sizeof(*best));
  int *seen = neo_arena_alloc(&data->arena, n * sizeof(*seen));
  init_table(report, id, "nr:n trial:n best_us:n");
  for (int i = 0; i < data->n_trials; i++) {
    const report_trial *trial = &data->trial[i];
    seen[trial->task]++;
    if (!trial->usable || (best[trial->task] > 0 && trial->ns >= best[trial->task]))
      continue;
    best[trial->task] = trial->ns;
    put_int(report, id, trial->task + 1);
    put_int(report, id, seen[trial->task]);
    put_exact(report, id, trial->ns / 1e3);
  }
}

static void fill_trials(report_doc *report) {
  const report_data *data = &report->data;
  report_table_id id = REPORT_TRIALS;
  init_table(report, id, "id:n attempt:n nr:n kind:t predicted_us:n measured_us:n");
  for (int i = 0; i < data->n_trials; i++) {
    const report_trial *trial = &data->trial[i];
    put_int(report, id, trial->id);
    put_int(report, id, trial->attempt);
    put_int(report, id, trial->task + 1);
    put_text(report, id, data->kind[trial->kind].name);
    put_exact(report, id, trial->predicted_ns / 1e3);
    put_exact(report, id, trial->usable ? trial->ns / 1e3 : 0);
  }
}

/* Usable kinds first, then by number. */
static int *order_kinds(report_doc *report) {
  report_data *data = &report->data;
  int *order = neo_arena_alloc(&data->arena, (size_t)(data->n_kinds + 1) * sizeof(*order));
  for (int i = 0; i < data->n_kinds; i++) {
    const report_kind *kind = &data->kind[i];
    int at = i;
    for (; at > 0; at--) {
      const report_kind *other = &data->kind[order[at - 1]];
      if (other->usable > kind->usable || (other->usable == kind->usable && other->n >= kind->n))
        break;
      order[at] = order[at - 1];
    }
    order[at] = i;
  }
  return order;
}

static void fill_outcomes(report_doc *report) {
  const report_data *data = &report->data;
  report_table_id id = REPORT_OUTCOMES;
  init_table(report, id, "kind:t usable:t trials:n percent:n first_nr:n phase:t text:t schedule:t");
  int *order = order_kinds(report);
  for (int i = 0; i < data->n_kinds; i++) {
    const report_kind *kind = &data->kind[order[i]];
    put_text(report, id, kind->name);
    put_text(report, id, kind->usable ? "yes" : "no");
    put_int(report, id, kind->n);
    put_real(report, id, 100 * ratio(kind->n, data->n_trials));
    put_int(report, id, kind->first_task + 1);
    put_text(report, id, kind->usable ? "" : kind->phase);
    put_text(report, id, kind->usable ? "" : kind->text);
    put_text(report, id, kind->usable ? "" : kind->schedule);
  }
}

static void put_date(report_doc *report, report_table_id id, int64_t ms) {
  char text[40] = "";
  time_t seconds = (time_t)(ms / 1000);
  struct tm utc;
  if (ms > 0 && gmtime_r(&seconds, &utc))
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &utc);
  put_text(report, id, text);
}

static void fill_environment(report_doc *report) {
  const report_data *data = &report->data;
  report_table_id id = REPORT_ENVIRONMENT;
  char seed[32];
  snprintf(seed, sizeof(seed), "%llu", (unsigned long long)data->run.seed);
  init_table(report, id,
             "processor:t peak_gflops:n bandwidth_gb_s:n threads:n target:t neo:t command:t seed:n "
             "first_trial:t last_trial:t");
  put_text(report, id, data->board);
  put_real(report, id, data->peak_gflops);
  put_real(report, id, data->bandwidth);
  put_int(report, id, data->run.threads);
  put_text(report, id, data->run.target);
  put_text(report, id, data->tool);
  put_text(report, id, data->run.arguments);
  put_text(report, id, seed);
  put_date(report, id, data->first_ms);
  put_date(report, id, data->last_ms);
}

void report_fill_tables(report_doc *report) {
  fill_summary(report);
  fill_tasks(report);
  fill_curves(report);
  fill_trials(report);
  fill_outcomes(report);
  fill_environment(report);
}

/* ---- looking things up -------------------------------------------------------------------------------- */

int report_column(const report_table *table, const char *name) {
  int column = 0;
  while (column < table->n_columns && strcmp(table->column[column], name) != 0)
    column++;
  neo_assert(column < table->n_columns);
  return column;
}

const char *report_cell(const report_table *table, int row, const char *column) {
  return table->cell[row * table->n_columns + report_column(table, column)];
}

/* ---- CSV and JSON ------------------------------------------------------------------------------------- */

static void csv_cell(neo_buf *out, const char *text) {
  if (!strpbrk(text, ",\"\r\n")) {
    neo_buf_text(out, text);
    return;
  }
  neo_buf_u8(out, '"');
  for (; *text; text++) {
    if (*text == '"')
      neo_buf_u8(out, '"');
    neo_buf_u8(out, (uint8_t)*text);
  }
  neo_buf_u8(out, '"');
}

void report_print_csv(neo_buf *out, const report_table *table) {
  for (int i = 0; i < table->n_columns; i++) {
    csv_cell(out, table->column[i]);
    neo_buf_u8(out, i + 1 < table->n_columns ? ',' : '\n');
  }
  for (int i = 0; i < table->n_cells; i++) {
    csv_cell(out, table->cell[i]);
    neo_buf_u8(out, (i + 1) % table->n_columns ? ',' : '\n');
  }
}

static void json_cell(neo_buf *out, const char *text, bool is_text) {
  if (is_text)
    neo_json_quote(out, text);
  else
    neo_buf_text(out, *text ? text : "null");
}

static void json_table(neo_buf *out, const report_table *table) {
  neo_buf_printf(out, "  \"%s\": {\n    \"columns\": [", table->name);
  for (int i = 0; i < table->n_columns; i++) {
    neo_buf_text(out, i ? ", " : "");
    neo_json_quote(out, table->column[i]);
  }
  neo_buf_text(out, "],\n    \"rows\": [");
  for (int i = 0; i < table->n_cells; i++) {
    int column = i % table->n_columns;
    neo_buf_text(out, column ? ", " : i ? ",\n      [" : "\n      [");
    json_cell(out, table->cell[i], table->is_text[column]);
    neo_buf_text(out, column + 1 == table->n_columns ? "]" : "");
  }
  neo_buf_text(out, "\n    ]\n  }");
}

void report_print_json(neo_buf *out, const report_doc *report) {
  neo_buf_text(out, "{\n  \"version\": 1,\n");
  for (int i = 0; i < REPORT_TABLE_COUNT; i++) {
    json_table(out, &report->table[i]);
    neo_buf_text(out, i + 1 < REPORT_TABLE_COUNT ? ",\n" : "\n}\n");
  }
}
