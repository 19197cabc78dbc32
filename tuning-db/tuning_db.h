/* tuning-db/tuning_db.h: the store of workloads, targets, runs, trials and records. Knows texts and
 * numbers only.
 *
 * Identity of a record: (workload key, target text, threads, layout signature). Everything else is
 * a column. One committed transaction per trial: what is acknowledged survives kill -9. Rows that
 * are damaged or foreign are named once through ctx's log and skipped. Survives failed allocations.
 * Single writer process; any number of readers. */
#ifndef NEO_TUNING_DB_H
#define NEO_TUNING_DB_H

#include "base/core.h"

typedef struct neo_db neo_db;

/* url: a path, sqlite:PATH, "memory:" (tests), rows of tuning-db/stores.def. read_only never
 * creates. Network file systems are refused. A file that is no SQLite database, or of a newer
 * schema, is NEO_BAD_INPUT; an unreachable path NEO_UNREACHABLE. */
neo_status neo_db_open(neo_ctx *ctx, const char *url, bool read_only, neo_db **out);
void neo_db_close(neo_db *db);

typedef struct neo_db_workload {
  const char *key;    /* 32 hex digits = key of text (checked) */
  const char *text;   /* canonical te, or ext workload */
  const char *family; /* text with every extent replaced by '#': near workloads share it */
  const char *name;   /* for people */
  double flops;
} neo_db_workload;

neo_status neo_db_put_workload(neo_ctx *ctx, neo_db *db, const neo_db_workload *workload);

typedef struct neo_db_run {
  int64_t id;
  const char *arguments; /* JSON array: argv, for resume */
  const char *model, *target;
  int threads;
  uint64_t seed;
  const char *state; /* running, done, interrupted, failed */
  const char *host;  /* JSON: cpu model, tool versions, peak, bandwidth */
} neo_db_run;

neo_status neo_db_begin_run(neo_ctx *ctx, neo_db *db, const neo_db_run *run, int64_t *out_id);
neo_status neo_db_end_run(neo_ctx *ctx, neo_db *db, int64_t run, const char *state);
/* fn's pointers are valid during the call. Newest first. */
neo_status neo_db_visit_runs(neo_ctx *ctx, neo_db *db,
                             bool (*fn)(void *self, const neo_db_run *run), void *self);

/* A trial: what was tried and what came of it. Usable ones are the records. */
typedef struct neo_db_trial {
  int64_t id;      /* set by put */
  int64_t run;     /* 0: imported */
  int64_t attempt; /* the run's own trial number: (run, attempt) is unique; a second put changes
                      nothing and succeeds */
  const char *workload, *target, *layout, *schedule;
  int threads;
  const char *kind; /* ok, crash, ... */
  double ns;        /* usable kinds: median per run; else 0 */
  double predicted_ns, ratio, max_error, fmas, bytes, build_ns, measure_ns;
  const char *repeats; /* "123.4 125.0 ..." */
  const char *code_hash, *phase, *text;
  int signal;
  const char *algorithm, *error_class, *origin, *board,
      *tool;          /* origin: search, baseline, import */
  int64_t created_ms; /* unix time; 0: now */
} neo_db_trial;

neo_status neo_db_put_trial(neo_ctx *ctx, neo_db *db, const neo_db_trial *trial, int64_t *out_id);

typedef struct neo_db_query {
  const char *workload, *target;
  int threads;
  const char *layout;          /* NULL: any */
  const char *error_class_max; /* exact < default < fast; NULL: any */
} neo_db_query;

/* The fastest usable record; *found false if none. Texts are copied into *row by neo_db_row (free
 * with neo_db_row_fini). p99 < 1 ms at 1e6 records. */
typedef struct neo_db_row {
  neo_db_trial trial; /* pointers into memory owned by the row */
  char *memory;
} neo_db_row;
void neo_db_row_fini(neo_db_row *row);
neo_status neo_db_best(neo_ctx *ctx, neo_db *db, const neo_db_query *query, neo_db_row *out,
                       bool *found);
/* Usable records of a query, one error class after the other, in each the fastest first. fn returns
 * false to go on with the next class; it must not use the database. */
neo_status neo_db_visit_best(neo_ctx *ctx, neo_db *db, const neo_db_query *query,
                             bool (*fn)(void *self, const neo_db_trial *trial), void *self);
/* The fastest record of each of up to n other workloads of the same family and target, nearest in
 * log-extents first. out: room for query->n rows. */
typedef struct neo_db_near_query {
  const neo_db_workload *workload;
  const char *target;
  int threads, n;
} neo_db_near_query;
neo_status neo_db_near(neo_ctx *ctx, neo_db *db, const neo_db_near_query *query, neo_db_row *out,
                       int *n_out);
/* The highest id of a trial so far; 0: there are none. */
neo_status neo_db_last_trial(neo_ctx *ctx, neo_db *db, int64_t *out_id);
/* Every trial of a query (run > 0: only of that run; workload NULL: all), in id order. Return false
 * from fn to stop. */
neo_status neo_db_visit_trials(neo_ctx *ctx, neo_db *db, const neo_db_query *query, int64_t run,
                               bool (*fn)(void *self, const neo_db_trial *trial), void *self);
/* Fills text, family, name; pointers valid during fn. */
neo_status neo_db_visit_workloads(neo_ctx *ctx, neo_db *db,
                                  bool (*fn)(void *self, const neo_db_workload *workload),
                                  void *self);

/* Texts of the targets that there are trials of, in their order. */
neo_status neo_db_visit_targets(neo_ctx *ctx, neo_db *db,
                                bool (*fn)(void *self, const char *target), void *self);

/* A named JSON document that belongs to a run (the driver's task table, model latency before and
 * after): replaced when put again. *found false (and *out untouched) if there is none; the text is
 * appended to *out. */
neo_status neo_db_put_note(neo_ctx *ctx, neo_db *db, int64_t run, const char *name,
                           const char *json);
neo_status neo_db_get_note(neo_ctx *ctx, neo_db *db, int64_t run, const char *name, neo_buf *out,
                           bool *found);

/* JSON lines (docs/formats/records.md): a header line, workloads, trials. import skips and names
 * bad lines; counts in *good, *bad. Importing twice changes nothing. */
neo_status neo_db_export(neo_ctx *ctx, neo_db *db, FILE *out);
neo_status neo_db_import(neo_ctx *ctx, neo_db *db, FILE *in, const char *name, int64_t *good,
                         int64_t *bad);

#endif
