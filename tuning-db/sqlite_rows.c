/* Rows of the SQLite store: puts, lookups, visits.
 *
 * Lookups. best() asks index trials_by_time (or trials_by_layout) once per admitted error class:
 * each is a seek to the smallest ns, so it takes microseconds whatever the number of records.
 *
 * Damage. A row is believed only if it is a legal trial (neo_trial_defect) with the right digest;
 * other rows are named once per handle and passed over. Where SQLite itself meets a broken page, a
 * lookup finds nothing (a bad database costs speed, never correctness), and a visit of trials goes
 * on behind the broken page in growing steps; puts report the damage.
 *
 * Invariants
 * 1. A cached statement is reset before its function returns, so nothing holds a read transaction.
 * 2. Visitors run on statements of their own: they may call any neo_db_* function.
 * 3. Outside a batch each put is one committed transaction when it returns NEO_OK. */
#include <stdlib.h>
#include <string.h>

#include "tuning-db/sqlite_store.h"

static const char *const sql_text[NEO_SQL_COUNT] = {
    [NEO_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [NEO_SQL_COMMIT] = "COMMIT",
    [NEO_SQL_ROLLBACK] = "ROLLBACK",
    [NEO_SQL_PUT_WORKLOAD] = "INSERT INTO workloads(key,text,family,name,flops) VALUES(?,?,?,?,?)"
                             " ON CONFLICT(key) DO NOTHING",
    [NEO_SQL_PUT_TARGET] = "INSERT INTO targets(text) VALUES(?) ON CONFLICT(text) DO NOTHING",
    [NEO_SQL_FIND_ATTEMPT] = "SELECT id FROM trials WHERE run=? AND attempt=? AND run>0",
    [NEO_SQL_FIND_DIGEST] = "SELECT id FROM trials WHERE digest=?",
    [NEO_SQL_BEGIN_RUN] = "INSERT INTO runs(arguments,model,target,threads,seed,state,host)"
                          " VALUES(?,?,?,?,?,?,?)",
    [NEO_SQL_END_RUN] = "UPDATE runs SET state=? WHERE id=?",
    [NEO_SQL_PUT_NOTE] = "INSERT INTO notes(run,name,json) VALUES(?,?,?)"
                         " ON CONFLICT(run,name) DO UPDATE SET json=excluded.json",
    [NEO_SQL_GET_NOTE] = "SELECT json FROM notes WHERE run=? AND name=?",
    [NEO_SQL_LAST_TRIAL] = "SELECT ifnull(max(id),0) FROM trials",
};

/* ---- statements
 * ------------------------------------------------------------------------------------- */

static bool is_column(const neo_column *column, size_t offset) {
  return column->offset == offset;
}
#define IS(column, field) is_column(column, offsetof(neo_db_trial, field))

/* Columns in table order, then the digest. */
static void select_trials(neo_buf *sql) {
  neo_buf_text(sql, "SELECT ");
  for (int i = 0; i < NEO_TRIAL_COLUMNS; i++) {
    const neo_column *column = &neo_trial_columns[i];
    if (IS(column, workload))
      neo_buf_text(sql, "w.key,");
    else if (IS(column, target))
      neo_buf_text(sql, "g.text,");
    else
      neo_buf_printf(sql, "t.%s,", column->name);
  }
  neo_buf_text(sql, "t.digest FROM trials t LEFT JOIN workloads w ON w.id=t.workload"
                    " LEFT JOIN targets g ON g.id=t.target ");
}

/* Parameters in table order (id unused), then rank and digest. */
static void insert_trial(neo_buf *sql) {
  neo_buf_text(sql, "INSERT INTO trials(rank,digest");
  for (int i = 1; i < NEO_TRIAL_COLUMNS; i++)
    neo_buf_printf(sql, ",%s", neo_trial_columns[i].name);
  neo_buf_printf(sql, ") VALUES(?%d,?%d", NEO_TRIAL_COLUMNS + 1, NEO_TRIAL_COLUMNS + 2);
  for (int i = 1; i < NEO_TRIAL_COLUMNS; i++) {
    const neo_column *column = &neo_trial_columns[i];
    if (IS(column, workload))
      neo_buf_printf(sql, ",(SELECT id FROM workloads WHERE key=?%d)", i + 1);
    else if (IS(column, target))
      neo_buf_printf(sql, ",(SELECT id FROM targets WHERE text=?%d)", i + 1);
    else
      neo_buf_printf(sql, ",?%d", i + 1);
  }
  neo_buf_text(sql, ") ON CONFLICT(run,attempt) WHERE run>0 DO NOTHING");
}

static void statement_text(neo_buf *sql, neo_sql which) {
  const char *key = "WHERE t.workload=(SELECT id FROM workloads WHERE key=?1)"
                    " AND t.target=(SELECT id FROM targets WHERE text=?2)"
                    " AND t.threads=?3 AND t.rank=?4";
  if (which == NEO_SQL_PUT_TRIAL) {
    insert_trial(sql);
  } else if (which == NEO_SQL_BEST || which == NEO_SQL_BEST_LAYOUT) {
    select_trials(sql);
    neo_buf_printf(sql, "%s%s ORDER BY t.ns", key,
                   which == NEO_SQL_BEST_LAYOUT ? " AND t.layout=?5" : "");
  } else {
    neo_buf_text(sql, sql_text[which]);
  }
}

/* The cached statement, prepared at first use; NULL with *rc set on failure. */
static sqlite3_stmt *statement(neo_sqlite *store, neo_sql which, int *rc) {
  if (!store->statement[which]) {
    neo_buf sql = {0};
    statement_text(&sql, which);
    *rc = sql.failed ? SQLITE_NOMEM
                     : sqlite3_prepare_v3(store->handle, sql.data, -1, SQLITE_PREPARE_PERSISTENT,
                                          &store->statement[which], NULL);
    neo_buf_fini(&sql);
    if (*rc != SQLITE_OK)
      return NULL;
  }
  *rc = SQLITE_OK;
  return store->statement[which];
}

static void bind_text(sqlite3_stmt *s, int k, const char *text, int *rc) {
  if (*rc == SQLITE_OK)
    *rc = sqlite3_bind_text(s, k, text, -1, SQLITE_STATIC);
}

static void bind_int(sqlite3_stmt *s, int k, int64_t v, int *rc) {
  if (*rc == SQLITE_OK)
    *rc = sqlite3_bind_int64(s, k, v);
}

static void bind_real(sqlite3_stmt *s, int k, double v, int *rc) {
  if (*rc == SQLITE_OK)
    *rc = sqlite3_bind_double(s, k, v);
}

/* Steps a bound statement once, reads at most one integer from it, resets it: SQLITE_ROW or DONE,
 * or the error. */
static int step_once(sqlite3_stmt *s, int rc, int64_t *out) {
  if (!s)
    return rc;
  if (rc == SQLITE_OK)
    rc = sqlite3_step(s);
  if (rc == SQLITE_ROW && out)
    *out = sqlite3_column_int64(s, 0);
  int reset = sqlite3_reset(s);
  sqlite3_clear_bindings(s);
  return rc == SQLITE_DONE && reset != SQLITE_OK ? reset : rc;
}

static int run_plain(neo_sqlite *store, neo_sql which) {
  int rc;
  sqlite3_stmt *s = statement(store, which, &rc);
  return step_once(s, rc, NULL);
}

/* ---- transactions
 * ----------------------------------------------------------------------------------- */

static int begin(neo_sqlite *store) {
  return store->batch ? SQLITE_DONE : run_plain(store, NEO_SQL_BEGIN);
}

/* Ends the transaction that begin() opened: commits when rc is SQLITE_DONE, else rolls back. */
static int end(neo_sqlite *store, int rc) {
  if (store->batch)
    return rc;
  if (rc == SQLITE_DONE)
    rc = run_plain(store, NEO_SQL_COMMIT);
  if (rc != SQLITE_DONE && !sqlite3_get_autocommit(store->handle) &&
      run_plain(store, NEO_SQL_ROLLBACK) != SQLITE_DONE)
    sqlite3_exec(store->handle, "ROLLBACK", NULL, NULL, NULL);
  return rc;
}

static neo_status finish(neo_ctx *ctx, const neo_sqlite *store, int rc) {
  return rc == SQLITE_DONE || rc == SQLITE_ROW || rc == SQLITE_OK ? NEO_OK
                                                                  : neo_sqlite_fail(ctx, store, rc);
}

static neo_status set_batch(neo_ctx *ctx, void *self, bool on) {
  neo_sqlite *store = self;
  if (on == store->batch)
    return NEO_OK;
  store->batch = false;
  int rc = on ? begin(store) : end(store, SQLITE_DONE);
  store->batch = on && rc == SQLITE_DONE;
  return finish(ctx, store, rc);
}

/* ---- damaged rows
 * ----------------------------------------------------------------------------------- */

static void name_damage(neo_ctx *ctx, neo_sqlite *store, const char *what, int64_t id,
                        const char *why) {
  int64_t mark = *what == 't' ? id : -id - 1;
  for (int i = 0; i < store->n_named; i++)
    if (store->named[i] == mark)
      return;
  if (store->n_named == NEO_SQLITE_NAMED)
    return;
  store->named[store->n_named++] = mark;
  neo_log(ctx, NEO_LOG_WARN, "database %s: %s %lld is damaged and skipped: %s", store->path, what,
          (long long)id, why);
  if (store->n_named == NEO_SQLITE_NAMED)
    neo_log(ctx, NEO_LOG_WARN, "database %s: further damaged rows are skipped without a word",
            store->path);
}

/* ---- workloads
 * -------------------------------------------------------------------------------------- */

static neo_status put_workload(neo_ctx *ctx, void *self, const neo_db_workload *workload) {
  neo_sqlite *store = self;
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_PUT_WORKLOAD, &rc);
  bind_text(s, 1, workload->key, &rc);
  bind_text(s, 2, workload->text, &rc);
  bind_text(s, 3, workload->family, &rc);
  bind_text(s, 4, workload->name, &rc);
  bind_real(s, 5, workload->flops, &rc);
  return finish(ctx, store, step_once(s, rc, NULL));
}

static const char *text_at(sqlite3_stmt *s, int k) {
  const unsigned char *text = sqlite3_column_text(s, k);
  return text ? (const char *)text : "";
}

static neo_status visit_workloads(neo_ctx *ctx, void *self, const char *family,
                                  bool (*fn)(void *, const neo_db_workload *), void *fn_self) {
  neo_sqlite *store = self;
  sqlite3_stmt *s = NULL;
  const char *sql = family ? "SELECT id,key,text,family,name,flops FROM workloads WHERE family=?"
                             " ORDER BY id"
                           : "SELECT id,key,text,family,name,flops FROM workloads ORDER BY id";
  int rc = sqlite3_prepare_v2(store->handle, sql, -1, &s, NULL);
  if (family)
    bind_text(s, 1, family, &rc);
  bool more = true;
  while (more && rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
    rc = SQLITE_OK;
    neo_db_workload workload = {text_at(s, 1), text_at(s, 2), text_at(s, 3), text_at(s, 4),
                                sqlite3_column_double(s, 5)};
    char key[33];
    neo_key_text(workload.text, strlen(workload.text), key);
    if (sqlite3_errcode(store->handle) == SQLITE_NOMEM)
      rc = SQLITE_NOMEM;
    else if (strcmp(key, workload.key) == 0)
      more = fn(fn_self, &workload);
    else
      name_damage(ctx, store, "workload", sqlite3_column_int64(s, 0),
                  "its key is not that of its text");
  }
  sqlite3_finalize(s);
  return finish(ctx, store, rc);
}

static neo_status visit_targets(neo_ctx *ctx, void *self, bool (*fn)(void *, const char *),
                                void *fn_self) {
  neo_sqlite *store = self;
  sqlite3_stmt *s = NULL;
  bool more = true;
  int rc =
      sqlite3_prepare_v2(store->handle, "SELECT text FROM targets ORDER BY text", -1, &s, NULL);
  while (more && rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
    rc = SQLITE_OK;
    more = fn(fn_self, text_at(s, 0));
  }
  sqlite3_finalize(s);
  return finish(ctx, store, rc);
}

/* ---- runs and notes
 * --------------------------------------------------------------------------------- */

static neo_status begin_run(neo_ctx *ctx, void *self, const neo_db_run *run, int64_t *out_id) {
  neo_sqlite *store = self;
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_BEGIN_RUN, &rc);
  bind_text(s, 1, run->arguments, &rc);
  bind_text(s, 2, run->model, &rc);
  bind_text(s, 3, run->target, &rc);
  bind_int(s, 4, run->threads, &rc);
  bind_int(s, 5, (int64_t)run->seed, &rc);
  bind_text(s, 6, run->state, &rc);
  bind_text(s, 7, run->host, &rc);
  rc = step_once(s, rc, NULL);
  if (rc == SQLITE_DONE)
    *out_id = sqlite3_last_insert_rowid(store->handle);
  return finish(ctx, store, rc);
}

static neo_status end_run(neo_ctx *ctx, void *self, int64_t run, const char *state) {
  neo_sqlite *store = self;
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_END_RUN, &rc);
  bind_text(s, 1, state, &rc);
  bind_int(s, 2, run, &rc);
  rc = step_once(s, rc, NULL);
  if (rc == SQLITE_DONE && sqlite3_changes(store->handle) == 0)
    return neo_fail(ctx, NEO_USAGE, "database %s: there is no run %lld", store->path,
                    (long long)run);
  return finish(ctx, store, rc);
}

static neo_status visit_runs(neo_ctx *ctx, void *self, bool (*fn)(void *, const neo_db_run *),
                             void *fn_self) {
  neo_sqlite *store = self;
  sqlite3_stmt *s = NULL;
  int rc = sqlite3_prepare_v2(store->handle,
                              "SELECT id,arguments,model,target,threads,seed,state,host FROM runs"
                              " ORDER BY id DESC",
                              -1, &s, NULL);
  bool more = true;
  while (more && rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
    rc = SQLITE_OK;
    neo_db_run run = {.id = sqlite3_column_int64(s, 0),
                      .arguments = text_at(s, 1),
                      .model = text_at(s, 2),
                      .target = text_at(s, 3),
                      .threads = sqlite3_column_int(s, 4),
                      .seed = (uint64_t)sqlite3_column_int64(s, 5),
                      .state = text_at(s, 6),
                      .host = text_at(s, 7)};
    more = fn(fn_self, &run);
  }
  sqlite3_finalize(s);
  return finish(ctx, store, rc);
}

static neo_status put_note(neo_ctx *ctx, void *self, int64_t run, const char *name,
                           const char *json) {
  neo_sqlite *store = self;
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_PUT_NOTE, &rc);
  bind_int(s, 1, run, &rc);
  bind_text(s, 2, name, &rc);
  bind_text(s, 3, json, &rc);
  return finish(ctx, store, step_once(s, rc, NULL));
}

static neo_status get_note(neo_ctx *ctx, void *self, int64_t run, const char *name, neo_buf *out,
                           bool *found) {
  neo_sqlite *store = self;
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_GET_NOTE, &rc);
  bind_int(s, 1, run, &rc);
  bind_text(s, 2, name, &rc);
  if (s && rc == SQLITE_OK)
    rc = sqlite3_step(s);
  if (rc == SQLITE_ROW)
    neo_buf_text(out, text_at(s, 0));
  bool row = rc == SQLITE_ROW;
  if (s)
    sqlite3_reset(s);
  if (row && out->failed)
    return neo_sqlite_fail(ctx, store, SQLITE_NOMEM);
  if (row || rc == SQLITE_DONE)
    *found = row;
  return finish(ctx, store, rc);
}

/* ---- putting trials
 * --------------------------------------------------------------------------------- */

static int put_target(neo_sqlite *store, const char *target) {
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_PUT_TARGET, &rc);
  bind_text(s, 1, target, &rc);
  return step_once(s, rc, NULL);
}

static int insert_row(neo_sqlite *store, const neo_db_trial *trial, int64_t digest) {
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_PUT_TRIAL, &rc);
  neo_db_trial copy = *trial;
  for (int i = 1; i < NEO_TRIAL_COLUMNS; i++) {
    const neo_column *column = &neo_trial_columns[i];
    if (column->kind == NEO_COLUMN_TEXT)
      bind_text(s, i + 1, *neo_column_text(column, &copy), &rc);
    else if (column->kind == NEO_COLUMN_REAL)
      bind_real(s, i + 1, *neo_column_real(column, &copy), &rc);
    else
      bind_int(s, i + 1, neo_column_int(column, trial), &rc);
  }
  bind_int(s, NEO_TRIAL_COLUMNS + 1, neo_trial_rank(trial), &rc);
  bind_int(s, NEO_TRIAL_COLUMNS + 2, digest, &rc);
  return step_once(s, rc, NULL);
}

/* SQLITE_ROW with *out_id, or SQLITE_DONE if there is none. */
static int find_digest(neo_sqlite *store, int64_t digest, int64_t *out_id) {
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_FIND_DIGEST, &rc);
  bind_int(s, 1, digest, &rc);
  return step_once(s, rc, out_id);
}

static int find_attempt(neo_sqlite *store, const neo_db_trial *trial, int64_t *out_id) {
  int rc;
  sqlite3_stmt *s = statement(store, NEO_SQL_FIND_ATTEMPT, &rc);
  bind_int(s, 1, trial->run, &rc);
  bind_int(s, 2, trial->attempt, &rc);
  return step_once(s, rc, out_id);
}

/* Inside a transaction: SQLITE_DONE when stored or already there. */
static int put_row(neo_sqlite *store, const neo_db_trial *trial, int64_t digest, bool once,
                   int64_t *out_id, bool *added) {
  int rc;
  *added = false;
  if (once && (rc = find_digest(store, digest, out_id)) != SQLITE_DONE)
    return rc == SQLITE_ROW ? SQLITE_DONE : rc;
  rc = put_target(store, trial->target);
  if (rc == SQLITE_DONE)
    rc = insert_row(store, trial, digest);
  if (rc != SQLITE_DONE)
    return rc;
  *added = sqlite3_changes(store->handle) == 1;
  if (*added)
    *out_id = sqlite3_last_insert_rowid(store->handle);
  else
    rc = find_attempt(store, trial, out_id);
  return rc == SQLITE_ROW ? SQLITE_DONE : rc;
}

static neo_status put_trial(neo_ctx *ctx, void *self, const neo_db_trial *trial, bool once,
                            int64_t *out_id, bool *added) {
  neo_sqlite *store = self;
  int64_t digest, id = 0;
  bool is_new = false;
  if (!neo_trial_digest(trial, &digest))
    return neo_sqlite_fail(ctx, store, SQLITE_NOMEM);
  int rc = begin(store);
  if (rc == SQLITE_DONE) {
    rc = put_row(store, trial, digest, once, &id, &is_new);
    int unknown = rc == SQLITE_CONSTRAINT_NOTNULL;
    if (rc != SQLITE_DONE && !unknown)
      finish(ctx, store, rc); /* the message, before the rollback replaces it */
    rc = end(store, rc);
    if (unknown)
      return neo_fail(ctx, NEO_USAGE,
                      "database %s: a trial names the workload %s, which was not put", store->path,
                      trial->workload);
  }
  if (rc != SQLITE_DONE)
    return finish(ctx, store, rc);
  *out_id = id;
  *added = is_new;
  return NEO_OK;
}

/* ---- reading trials
 * --------------------------------------------------------------------------------- */

/* The current row. Texts point into the statement. */
static void read_columns(sqlite3_stmt *s, neo_db_trial *out) {
  for (int i = 0; i < NEO_TRIAL_COLUMNS; i++) {
    const neo_column *column = &neo_trial_columns[i];
    if (column->kind == NEO_COLUMN_TEXT)
      *neo_column_text(column, out) = text_at(s, i);
    else if (column->kind == NEO_COLUMN_REAL)
      *neo_column_real(column, out) = sqlite3_column_double(s, i);
    else
      neo_column_set_int(column, out, sqlite3_column_int64(s, i));
  }
}

/* SQLITE_ROW with a sound trial, SQLITE_DONE if the row is damaged (named), or SQLITE_NOMEM. */
static int read_trial(neo_ctx *ctx, neo_sqlite *store, sqlite3_stmt *s, neo_db_trial *out) {
  int64_t digest;
  read_columns(s, out);
  if (!neo_trial_digest(out, &digest))
    return SQLITE_NOMEM;
  const char *why = neo_trial_defect(out);
  if (!why && digest != sqlite3_column_int64(s, NEO_TRIAL_COLUMNS))
    why = "its checksum does not match";
  if (!why)
    return SQLITE_ROW;
  if (sqlite3_errcode(store->handle) == SQLITE_NOMEM)
    return SQLITE_NOMEM; /* a text that could not be fetched is not a damaged one */
  name_damage(ctx, store, "trial", out->id, why);
  return SQLITE_DONE;
}

static neo_status last_trial(neo_ctx *ctx, void *self, int64_t *out_id) {
  neo_sqlite *store = self;
  int rc;
  int64_t id = 0;
  sqlite3_stmt *s = statement(store, NEO_SQL_LAST_TRIAL, &rc);
  rc = step_once(s, rc, &id);
  if (rc == SQLITE_ROW)
    *out_id = id;
  return finish(ctx, store, rc);
}

/* The sound records of one error class, fastest first, until fn returns false. SQLITE_DONE or an
 * error. */
static int visit_rank(neo_ctx *ctx, neo_sqlite *store, const neo_db_query *query, int rank,
                      bool (*fn)(void *, const neo_db_trial *), void *fn_self) {
  int rc;
  sqlite3_stmt *s = statement(store, query->layout ? NEO_SQL_BEST_LAYOUT : NEO_SQL_BEST, &rc);
  bind_text(s, 1, query->workload, &rc);
  bind_text(s, 2, query->target, &rc);
  bind_int(s, 3, query->threads, &rc);
  bind_int(s, 4, rank, &rc);
  if (query->layout)
    bind_text(s, 5, query->layout, &rc);
  bool done = false;
  while (!done && rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
    neo_db_trial trial;
    rc = read_trial(ctx, store, s, &trial);
    done = rc == SQLITE_ROW && neo_trial_rank(&trial) == rank && !fn(fn_self, &trial);
    rc = rc == SQLITE_DONE || rc == SQLITE_ROW ? SQLITE_OK : rc;
  }
  if (s)
    sqlite3_reset(s);
  return rc == SQLITE_OK ? SQLITE_DONE : rc;
}

/* Every class up to the query's. */
static neo_status visit_best(neo_ctx *ctx, void *self, const neo_db_query *query,
                             bool (*fn)(void *, const neo_db_trial *), void *fn_self) {
  neo_sqlite *store = self;
  int rc = SQLITE_DONE;
  for (int rank = 0; rc == SQLITE_DONE && rank <= neo_error_class_rank(query->error_class_max);
       rank++)
    rc = visit_rank(ctx, store, query, rank, fn, fn_self);
  if (neo_sqlite_is_damage(rc)) {
    neo_log(ctx, NEO_LOG_WARN, "database %s: a lookup met a damaged page (%s)", store->path,
            sqlite3_errmsg(store->handle));
    rc = SQLITE_DONE;
  }
  return rc == SQLITE_DONE ? NEO_OK : finish(ctx, store, rc);
}

typedef struct best_row {
  neo_ctx *ctx;
  neo_db_row row;
  neo_status status;
} best_row;

static bool keep_faster(void *self, const neo_db_trial *trial) {
  best_row *best = self;
  neo_db_row row = {0};
  if (best->row.memory && trial->ns >= best->row.trial.ns)
    return false;
  best->status = neo_trial_copy(best->ctx, trial, &row);
  if (best->status == NEO_OK) {
    neo_db_row_fini(&best->row);
    best->row = row;
  }
  return false; /* the next class may have a faster one, this has not */
}

static neo_status best(neo_ctx *ctx, void *self, const neo_db_query *query, neo_db_row *out,
                       bool *found) {
  best_row best = {.ctx = ctx};
  neo_status status = visit_best(ctx, self, query, keep_faster, &best);
  if (status == NEO_OK)
    status = best.status;
  if (status != NEO_OK) {
    neo_db_row_fini(&best.row);
    return status;
  }
  *found = best.row.memory != NULL;
  if (*found)
    *out = best.row;
  return NEO_OK;
}

/* "WHERE t.id>?1 AND t.workload=... ORDER BY t.id"; parameters as bind_visit sets them. */
static void visit_text(neo_buf *sql, const neo_db_query *query, int64_t run) {
  select_trials(sql);
  neo_buf_text(sql, "WHERE t.id>?1");
  if (query->workload)
    neo_buf_text(sql, " AND t.workload=(SELECT id FROM workloads WHERE key=?2)");
  if (query->target)
    neo_buf_text(sql, " AND t.target=(SELECT id FROM targets WHERE text=?3)");
  if (query->threads > 0)
    neo_buf_text(sql, " AND t.threads=?4");
  if (query->layout)
    neo_buf_text(sql, " AND t.layout=?5");
  if (query->error_class_max)
    neo_buf_text(sql, " AND t.error_class IN ('exact',iif(?6>=1,'default','exact'),"
                      "iif(?6>=2,'fast','exact'))");
  if (run > 0)
    neo_buf_text(sql, " AND t.run=?7");
  neo_buf_text(sql, " ORDER BY t.id");
}

static void bind_visit(sqlite3_stmt *s, const neo_db_query *query, int64_t run, int64_t after,
                       int *rc) {
  sqlite3_reset(s);
  bind_int(s, 1, after, rc);
  if (query->workload)
    bind_text(s, 2, query->workload, rc);
  if (query->target)
    bind_text(s, 3, query->target, rc);
  if (query->threads > 0)
    bind_int(s, 4, query->threads, rc);
  if (query->layout)
    bind_text(s, 5, query->layout, rc);
  if (query->error_class_max)
    bind_int(s, 6, neo_error_class_rank(query->error_class_max), rc);
  if (run > 0)
    bind_int(s, 7, run, rc);
}

/* The largest id ever given out: where stepping over broken pages ends. */
static int64_t last_id(neo_sqlite *store) {
  sqlite3_stmt *s = NULL;
  int64_t id = 0;
  if (sqlite3_prepare_v2(store->handle, "SELECT seq FROM sqlite_sequence WHERE name='trials'", -1,
                         &s, NULL) == SQLITE_OK &&
      sqlite3_step(s) == SQLITE_ROW)
    id = sqlite3_column_int64(s, 0);
  sqlite3_finalize(s);
  return id;
}

typedef struct trial_visit {
  const neo_db_query *query;
  int64_t run;
  bool (*fn)(void *, const neo_db_trial *);
  void *self;
  int64_t after; /* the last id seen or given up */
  bool more;
} trial_visit;

/* Visits from visit->after until the end (SQLITE_DONE), the visitor's false, or an error. */
static int visit_from(neo_ctx *ctx, neo_sqlite *store, sqlite3_stmt *s, trial_visit *visit) {
  int rc = SQLITE_OK;
  bind_visit(s, visit->query, visit->run, visit->after, &rc);
  while (visit->more && rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
    neo_db_trial trial;
    rc = read_trial(ctx, store, s, &trial);
    visit->after = trial.id;
    if (rc == SQLITE_ROW)
      visit->more = visit->fn(visit->self, &trial);
    rc = rc == SQLITE_NOMEM ? rc : SQLITE_OK;
  }
  return rc;
}

static neo_status visit_trials(neo_ctx *ctx, void *self, const neo_db_query *query, int64_t run,
                               bool (*fn)(void *, const neo_db_trial *), void *fn_self) {
  neo_sqlite *store = self;
  neo_buf sql = {0};
  sqlite3_stmt *s = NULL;
  visit_text(&sql, query, run);
  int rc = sql.failed ? SQLITE_NOMEM : sqlite3_prepare_v2(store->handle, sql.data, -1, &s, NULL);
  neo_buf_fini(&sql);
  trial_visit visit = {query, run, fn, fn_self, 0, true};
  int64_t step = 1, before = -1, last = 0;
  while (rc == SQLITE_OK) {
    rc = visit_from(ctx, store, s, &visit);
    if (!neo_sqlite_is_damage(rc))
      break;
    last = last ? last : last_id(store);
    step = visit.after > before + step ? 1 : 2 * step;
    name_damage(ctx, store, "trial", visit.after + 1, "its page in the file is broken");
    before = visit.after;
    visit.after += step;
    rc = visit.after <= last ? SQLITE_OK : SQLITE_DONE;
  }
  sqlite3_finalize(s);
  return finish(ctx, store, rc);
}

/* What is the same in a file and in memory. */
#define OPS(TEXT, OPEN)                                                                            \
  {                                                                                                \
    .name = TEXT, .prefix = TEXT ":", .open = OPEN, .close = neo_sqlite_close, .batch = set_batch, \
    .put_workload = put_workload, .begin_run = begin_run, .end_run = end_run,                      \
    .visit_runs = visit_runs, .put_trial = put_trial, .best = best, .visit_best = visit_best,      \
    .last_trial = last_trial, .visit_trials = visit_trials, .visit_workloads = visit_workloads,    \
    .visit_targets = visit_targets, .put_note = put_note, .get_note = get_note                     \
  }

const neo_store_ops neo_store_sqlite = OPS("sqlite", neo_sqlite_open);
const neo_store_ops neo_store_memory = OPS("memory", neo_sqlite_open_memory);
