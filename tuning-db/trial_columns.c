/* The columns of a trial, described once.
 *
 * Why: a trial has 28 columns that are stored, read, hashed, exported and imported; one table
 * drives all five, so that a column added here is in all of them.
 *
 * The digest is the first 64 bits of the SHA-256 over the exported columns in table order, each
 * text ended by a 0x1f byte, each number as 8 little-endian bytes (reals by their bits). It is
 * stored with the row: a row whose digest does not match is damaged and skipped, and an import
 * whose digest is already there adds nothing. `text` is prose and may lose ill-formed UTF-8 on
 * export: not in it. `origin` changes on import: only its being "baseline" is in it.
 *
 * Invariant: neo_trial_defect(t) == NULL for every trial that neo_db_* hands out. */
#include "tuning-db/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMN(field, kind, exported)                                                              \
  { #field, kind, offsetof(neo_db_trial, field), exported }

const neo_column neo_trial_columns[NEO_TRIAL_COLUMNS] = {
    COLUMN(id, NEO_COLUMN_INT64, false),         COLUMN(run, NEO_COLUMN_INT64, false),
    COLUMN(attempt, NEO_COLUMN_INT64, false),    COLUMN(workload, NEO_COLUMN_TEXT, true),
    COLUMN(target, NEO_COLUMN_TEXT, true),       COLUMN(threads, NEO_COLUMN_INT, true),
    COLUMN(layout, NEO_COLUMN_TEXT, true),       COLUMN(schedule, NEO_COLUMN_TEXT, true),
    COLUMN(kind, NEO_COLUMN_TEXT, true),         COLUMN(ns, NEO_COLUMN_REAL, true),
    COLUMN(predicted_ns, NEO_COLUMN_REAL, true), COLUMN(ratio, NEO_COLUMN_REAL, true),
    COLUMN(max_error, NEO_COLUMN_REAL, true),    COLUMN(fmas, NEO_COLUMN_REAL, true),
    COLUMN(bytes, NEO_COLUMN_REAL, true),        COLUMN(build_ns, NEO_COLUMN_REAL, true),
    COLUMN(measure_ns, NEO_COLUMN_REAL, true),   COLUMN(repeats, NEO_COLUMN_TEXT, true),
    COLUMN(code_hash, NEO_COLUMN_TEXT, true),    COLUMN(phase, NEO_COLUMN_TEXT, true),
    COLUMN(text, NEO_COLUMN_TEXT, true),         COLUMN(signal, NEO_COLUMN_INT, true),
    COLUMN(algorithm, NEO_COLUMN_TEXT, true),    COLUMN(error_class, NEO_COLUMN_TEXT, true),
    COLUMN(origin, NEO_COLUMN_TEXT, true),       COLUMN(board, NEO_COLUMN_TEXT, true),
    COLUMN(tool, NEO_COLUMN_TEXT, true),         COLUMN(created_ms, NEO_COLUMN_INT64, true),
};

int64_t neo_column_int(const neo_column *column, const neo_db_trial *trial) {
  const void *at = (const char *)trial + column->offset;
  return column->kind == NEO_COLUMN_INT ? *(const int *)at : *(const int64_t *)at;
}

void neo_column_set_int(const neo_column *column, neo_db_trial *trial, int64_t v) {
  void *at = (char *)trial + column->offset;
  if (column->kind == NEO_COLUMN_INT)
    *(int *)at = (int)v;
  else
    *(int64_t *)at = v;
}

/* The wall clock, for people who read the records; nothing is decided by it. */
static int64_t unix_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void neo_trial_complete(neo_db_trial *trial) {
  for (int i = 0; i < NEO_TRIAL_COLUMNS; i++) {
    const neo_column *column = &neo_trial_columns[i];
    if (column->kind == NEO_COLUMN_TEXT && !*neo_column_text(column, trial))
      *neo_column_text(column, trial) = "";
    if (column->kind == NEO_COLUMN_REAL) {
      double *v = neo_column_real(column, trial);
      *v = isnan(*v) ? INFINITY : *v + 0.0;
    }
  }
  if (!*trial->error_class)
    trial->error_class = "default";
  if (!*trial->origin)
    trial->origin = "search";
  if (trial->created_ms == 0)
    trial->created_ms = unix_ms();
}

static bool is_key(const char *text) {
  return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}

/* Kinds whose ns is a time; "duplicate" repeats the time of another trial, which may be none. */
static bool is_timed(const neo_db_trial *trial) {
  return strcmp(trial->kind, "ok") == 0 || strcmp(trial->kind, "raced") == 0 ||
         (strcmp(trial->kind, "duplicate") == 0 && trial->ns > 0);
}

const char *neo_trial_defect(const neo_db_trial *trial) {
  if (!is_key(trial->workload))
    return "the workload key is not 32 hex digits";
  if (!*trial->target)
    return "there is no target";
  if (trial->threads < 1)
    return "the number of threads is below 1";
  if (!*trial->kind)
    return "there is no kind";
  if (!isfinite(trial->ns) || trial->ns < 0 || (is_timed(trial) && trial->ns <= 0))
    return "the time is not a positive number";
  if (neo_error_class_rank(trial->error_class) < 0)
    return "the error class is none of exact, default, fast";
  return NULL;
}

int neo_error_class_rank(const char *name) {
  static const char *const names[] = {"exact", "default", "fast"};
  if (!name)
    return 2;
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (strcmp(name, names[i]) == 0)
      return i;
  return -1;
}

static bool is_baseline(const neo_db_trial *trial) {
  return strcmp(trial->origin, "baseline") == 0;
}

int neo_trial_rank(const neo_db_trial *trial) {
  if (!is_timed(trial) || is_baseline(trial))
    return -1;
  return neo_error_class_rank(trial->error_class);
}

static void digest_column(neo_buf *buf, const neo_column *column, const neo_db_trial *trial) {
  neo_db_trial copy = *trial;
  uint64_t bits;
  switch (column->kind) {
  case NEO_COLUMN_TEXT:
    if (column->offset == offsetof(neo_db_trial, origin))
      neo_buf_u8(buf, is_baseline(trial));
    else if (column->offset != offsetof(neo_db_trial, text))
      neo_buf_text(buf, *neo_column_text(column, &copy));
    neo_buf_u8(buf, 0x1f);
    break;
  case NEO_COLUMN_REAL:
    memcpy(&bits, neo_column_real(column, &copy), sizeof(bits));
    neo_buf_u64le(buf, bits);
    break;
  case NEO_COLUMN_INT:
  case NEO_COLUMN_INT64:
    neo_buf_u64le(buf, (uint64_t)neo_column_int(column, trial));
    break;
  }
}

bool neo_trial_digest(const neo_db_trial *trial, int64_t *out) {
  neo_buf buf = {0};
  for (int i = 0; i < NEO_TRIAL_COLUMNS; i++)
    if (neo_trial_columns[i].exported)
      digest_column(&buf, &neo_trial_columns[i], trial);
  bool ok = !buf.failed;
  uint8_t hash[32];
  if (ok) {
    neo_sha256(buf.data, buf.size, hash);
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
      v = v << 8 | hash[i];
    *out = (int64_t)v;
  }
  neo_buf_fini(&buf);
  return ok;
}

neo_status neo_trial_copy(neo_ctx *ctx, const neo_db_trial *trial, neo_db_row *out) {
  neo_db_trial copy = *trial;
  size_t size = 0;
  for (int i = 0; i < NEO_TRIAL_COLUMNS; i++)
    if (neo_trial_columns[i].kind == NEO_COLUMN_TEXT)
      size += strlen(*neo_column_text(&neo_trial_columns[i], &copy)) + 1;
  char *memory = malloc(size);
  if (!memory)
    return neo_fail(ctx, NEO_NO_MEMORY, "database: no memory for a record of %zu bytes", size);
  char *at = memory;
  for (int i = 0; i < NEO_TRIAL_COLUMNS; i++) {
    if (neo_trial_columns[i].kind != NEO_COLUMN_TEXT)
      continue;
    const char **text = neo_column_text(&neo_trial_columns[i], &copy);
    size_t length = strlen(*text) + 1;
    memcpy(at, *text, length);
    *text = at;
    at += length;
  }
  out->trial = copy;
  out->memory = memory;
  return NEO_OK;
}
