/* Records as JSON lines: how they leave a store and enter another (docs/formats/records.md).
 *
 * Why lines: a cut or damaged file loses its broken lines and nothing else, `grep` and `cat` work,
 * and a diff of two exports can be read. Each line carries its format's version. Import names every
 * bad line and goes on; it commits in groups, and what was committed stays when it is interrupted.
 *
 * Invariants
 * 1. export is canonical: same rows, same bytes; import(export(x)) holds the same records as x.
 * 2. A trial whose digest is already in the store is not added: importing twice changes nothing. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "tuning-db/store.h"

enum { VERSION = 1, GROUP = 4096 };

/* ---- export ---- */

typedef struct writer {
  FILE *out;
  neo_buf line;
  bool failed; /* memory */
} writer;

static void add_text(neo_buf *line, const char *name, const char *text) {
  if (!*text)
    return;
  neo_buf_printf(line, ",\"%s\":", name);
  neo_json_quote(line, text);
}

/* JSON has no infinities: they are strings. */
static void add_real(neo_buf *line, const char *name, double v) {
  if (v == 0)
    return;
  bool finite = v - v == 0;
  neo_buf_printf(line, ",\"%s\":%s", name, finite ? "" : "\"");
  neo_buf_double(line, v);
  neo_buf_text(line, finite ? "" : "\"");
}

static bool put_line(writer *w) {
  neo_buf_text(&w->line, "}\n");
  w->failed = w->line.failed;
  if (!w->failed)
    fwrite(w->line.data, 1, w->line.size, w->out);
  neo_buf_clear(&w->line);
  return !w->failed && !ferror(w->out);
}

static bool export_workload(void *self, const neo_db_workload *workload) {
  writer *w = self;
  neo_buf *line = &w->line;
  neo_buf_printf(line, "{\"neo\":%d,\"is\":\"workload\"", VERSION);
  add_text(line, "key", workload->key);
  add_text(line, "text", workload->text);
  add_text(line, "family", workload->family);
  add_text(line, "name", workload->name);
  add_real(line, "flops", workload->flops);
  return put_line(w);
}

static bool export_trial(void *self, const neo_db_trial *trial) {
  writer *w = self;
  neo_buf *line = &w->line;
  neo_db_trial copy = *trial;
  neo_buf_printf(line, "{\"neo\":%d,\"is\":\"trial\"", VERSION);
  for (int i = 0; i < NEO_TRIAL_COLUMNS; i++) {
    const neo_column *column = &neo_trial_columns[i];
    if (!column->exported)
      continue;
    if (column->kind == NEO_COLUMN_TEXT)
      add_text(line, column->name, *neo_column_text(column, &copy));
    else if (column->kind == NEO_COLUMN_REAL)
      add_real(line, column->name, *neo_column_real(column, &copy));
    else if (neo_column_int(column, trial) != 0)
      neo_buf_printf(line, ",\"%s\":%lld", column->name, (long long)neo_column_int(column, trial));
  }
  return put_line(w);
}

neo_status neo_db_export(neo_ctx *ctx, neo_db *db, FILE *out) {
  writer to = {.out = out};
  neo_db_query all = {0};
  neo_buf_printf(&to.line, "{\"neo\":%d,\"is\":\"records\"", VERSION);
  put_line(&to);
  neo_status status = NEO_OK;
  if (!to.failed)
    status = neo_db_visit_workloads(ctx, db, export_workload, &to);
  if (status == NEO_OK && !to.failed)
    status = neo_db_visit_trials(ctx, db, &all, 0, export_trial, &to);
  neo_buf_fini(&to.line);
  if (status != NEO_OK)
    return status;
  if (to.failed)
    return neo_fail(ctx, NEO_NO_MEMORY, "export: out of memory");
  if (fflush(out) != 0 || ferror(out))
    return neo_fail(ctx, NEO_IO, "export: cannot write: %s", strerror(errno));
  return NEO_OK;
}

/* ---- import ---- */

static neo_status read_text(neo_ctx *ctx, const json_t *line, const char *name, const char **out) {
  const json_t *value = json_object_get(line, name);
  if (value && !json_is_string(value))
    return neo_fail(ctx, NEO_BAD_INPUT, "'%s' is not a string", name);
  *out = value ? json_string_value(value) : "";
  return NEO_OK;
}

static neo_status read_real(neo_ctx *ctx, const json_t *line, const char *name, double *out) {
  const json_t *value = json_object_get(line, name);
  *out = 0;
  if (!value)
    return NEO_OK;
  if (json_is_number(value)) {
    *out = json_number_value(value);
    return NEO_OK;
  }
  neo_scan scan;
  if (json_is_string(value)) {
    neo_scan_init(&scan, json_string_value(value));
    if (neo_scan_double(&scan, out) && neo_scan_end(&scan))
      return NEO_OK;
  }
  return neo_fail(ctx, NEO_BAD_INPUT, "'%s' is not a number", name);
}

static neo_status read_int(neo_ctx *ctx, const json_t *line, const neo_column *column,
                           neo_db_trial *out) {
  const json_t *value = json_object_get(line, column->name);
  if (value && !json_is_integer(value))
    return neo_fail(ctx, NEO_BAD_INPUT, "'%s' is not an integer", column->name);
  int64_t v = value ? json_integer_value(value) : 0;
  if (column->kind == NEO_COLUMN_INT && (v < INT_MIN || v > INT_MAX))
    return neo_fail(ctx, NEO_BAD_INPUT, "'%s' is %lld", column->name, (long long)v);
  neo_column_set_int(column, out, v);
  return NEO_OK;
}

static neo_status import_workload(neo_ctx *ctx, neo_db *db, const json_t *line) {
  neo_db_workload workload;
  NEO_TRY(read_text(ctx, line, "key", &workload.key));
  NEO_TRY(read_text(ctx, line, "text", &workload.text));
  NEO_TRY(read_text(ctx, line, "family", &workload.family));
  NEO_TRY(read_text(ctx, line, "name", &workload.name));
  NEO_TRY(read_real(ctx, line, "flops", &workload.flops));
  return neo_db_put_workload(ctx, db, &workload);
}

static neo_status import_trial(neo_ctx *ctx, neo_db *db, const json_t *line) {
  neo_db_trial trial = {0};
  for (int i = 0; i < NEO_TRIAL_COLUMNS; i++) {
    const neo_column *column = &neo_trial_columns[i];
    if (!column->exported)
      continue;
    if (column->kind == NEO_COLUMN_TEXT)
      NEO_TRY(read_text(ctx, line, column->name, neo_column_text(column, &trial)));
    else if (column->kind == NEO_COLUMN_REAL)
      NEO_TRY(read_real(ctx, line, column->name, neo_column_real(column, &trial)));
    else
      NEO_TRY(read_int(ctx, line, column, &trial));
  }
  if (trial.created_ms <= 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "'created_ms' is missing");
  if (strcmp(trial.origin, "baseline") != 0)
    trial.origin = "import";
  neo_trial_complete(&trial);
  const char *defect = neo_trial_defect(&trial);
  if (defect)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s", defect);
  int64_t id;
  bool added;
  return db->ops->put_trial(ctx, db->self, &trial, true, &id, &added);
}

/* The line's kind; its version is checked. */
static neo_status line_kind(neo_ctx *ctx, const json_t *line, const char **out) {
  const json_t *version = json_object_get(line, "neo");
  if (!json_is_integer(version))
    return neo_fail(ctx, NEO_BAD_INPUT, "this is no line of a record file");
  if (json_integer_value(version) != VERSION)
    return neo_fail(ctx, NEO_BAD_INPUT, "version %lld, this program knows %d",
                    (long long)json_integer_value(version), VERSION);
  return read_text(ctx, line, "is", out);
}

/* As neo_json_parse, but tells a bad line from memory that ran out. */
static neo_status parse_line(neo_ctx *ctx, const char *text, size_t size, json_t **out) {
  json_error_t error;
  json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
  if (!json && (json_error_code(&error) == json_error_out_of_memory || error.line < 0))
    return neo_fail(ctx, NEO_NO_MEMORY, "out of memory");
  if (!json)
    return neo_fail(ctx, NEO_BAD_INPUT, "column %d: %s", error.column, error.text);
  *out = json;
  return NEO_OK;
}

/* NEO_BAD_INPUT and NEO_USAGE are about the line, the rest is about the store. */
static neo_status import_line(neo_ctx *ctx, neo_db *db, const char *text, size_t size,
                              bool header) {
  json_t *line = NULL;
  const char *kind = "";
  NEO_TRY(parse_line(ctx, text, size, &line));
  neo_status status = line_kind(ctx, line, &kind);
  if (status == NEO_OK && header)
    status = strcmp(kind, "records") == 0
                 ? NEO_OK
                 : neo_fail(ctx, NEO_BAD_INPUT, "the first line is not a record file's header");
  else if (status == NEO_OK && strcmp(kind, "workload") == 0)
    status = import_workload(ctx, db, line);
  else if (status == NEO_OK && strcmp(kind, "trial") == 0)
    status = import_trial(ctx, db, line);
  else if (status == NEO_OK && strcmp(kind, "records") != 0)
    status = neo_fail(ctx, NEO_BAD_INPUT, "'%s' is no kind of line", kind);
  json_decref(line);
  return status;
}

/* One numbered line: counted, or named and counted as bad; a status only where going on is useless.
 */
static neo_status import_numbered(neo_ctx *ctx, neo_db *db, const char *name, int64_t number,
                                  const neo_buf *line, int64_t counts[2]) {
  neo_ctx inner = *ctx;
  neo_ctx_clear(&inner);
  neo_status status = import_line(&inner, db, line->data, line->size, number == 1);
  bool about_line = status == NEO_BAD_INPUT || status == NEO_USAGE;
  if (status != NEO_OK && (number == 1 || !about_line))
    return neo_fail(ctx, status, "%s:%lld: %s", name, (long long)number, inner.message);
  if (status != NEO_OK)
    neo_log(ctx, NEO_LOG_WARN, "%s:%lld: skipped: %s", name, (long long)number, inner.message);
  if (number > 1)
    counts[status != NEO_OK]++;
  return NEO_OK;
}

/* Reads up to the newline; false at the end of the file. */
static bool read_line(FILE *in, neo_buf *line) {
  char chunk[4096];
  neo_buf_clear(line);
  while (fgets(chunk, sizeof(chunk), in)) {
    size_t length = strlen(chunk);
    bool whole = length > 0 && chunk[length - 1] == '\n';
    neo_buf_append(line, chunk, whole ? length - 1 : length);
    if (whole)
      return true;
  }
  return line->size > 0;
}

static neo_status import_lines(neo_ctx *ctx, neo_db *db, FILE *in, const char *name,
                               int64_t counts[2]) {
  neo_buf line = {0};
  neo_status status = db->ops->batch(ctx, db->self, true);
  for (int64_t number = 1; status == NEO_OK && read_line(in, &line); number++) {
    if (line.failed)
      status = neo_fail(ctx, NEO_NO_MEMORY, "%s:%lld: out of memory", name, (long long)number);
    else if (line.size > 0)
      status = import_numbered(ctx, db, name, number, &line, counts);
    if (status == NEO_OK && number % GROUP == 0) {
      status = db->ops->batch(ctx, db->self, false);
      if (status == NEO_OK)
        status = db->ops->batch(ctx, db->self, true);
    }
  }
  neo_buf_fini(&line);
  neo_status closed = db->ops->batch(ctx, db->self, false);
  return status != NEO_OK ? status : closed;
}

neo_status neo_db_import(neo_ctx *ctx, neo_db *db, FILE *in, const char *name, int64_t *good,
                         int64_t *bad) {
  int64_t counts[2] = {0, 0};
  NEO_TRY(import_lines(ctx, db, in, name, counts));
  if (ferror(in))
    return neo_fail(ctx, NEO_IO, "%s: cannot be read: %s", name, strerror(errno));
  *good = counts[0];
  *bad = counts[1];
  return NEO_OK;
}
