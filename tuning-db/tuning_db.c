/* The front of the store: picks a row of stores.def by URL, fills in defaults, checks what goes in.
 *
 * Why: stores see only complete, legal rows with no NULL texts, so that a second store (PostgreSQL)
 * repeats none of the checks. near() and the JSON lines are written once over the same operations.
 */
#include "tuning-db/tuning_db.h"

#include <stdlib.h>
#include <string.h>

#include "tuning-db/store.h"

static const neo_store_ops *const stores[] = {
#define X(ops) &ops,
#include "tuning-db/stores.def"
#undef X
};

/* The store of a URL and the address within; NULL for a scheme nobody serves. */
static const neo_store_ops *find_store(const char *url, const char **address) {
  for (int i = 0; i < NEO_COUNT(stores); i++) {
    size_t length = strlen(stores[i]->prefix);
    if (strncmp(url, stores[i]->prefix, length) == 0) {
      *address = url + length;
      return stores[i];
    }
  }
  *address = url;
  return strstr(url, "://") ? NULL : stores[0];
}

neo_status neo_db_open(neo_ctx *ctx, const char *url, bool read_only, neo_db **out) {
  const char *address;
  const neo_store_ops *ops = find_store(url, &address);
  if (!ops) {
    neo_buf names = {0};
    for (int i = 0; i < NEO_COUNT(stores); i++)
      neo_buf_printf(&names, "%s%s", i ? ", " : "", stores[i]->prefix);
    neo_fail(ctx, NEO_UNSUPPORTED,
             "database %s: no store for this URL; there are %s and plain paths", url,
             names.failed ? "" : names.data);
    neo_buf_fini(&names);
    return NEO_UNSUPPORTED;
  }
  neo_db *db = neo_alloc(ctx, sizeof(*db));
  if (!db)
    return neo_fail(ctx, NEO_NO_MEMORY, "database %s: out of memory", url);
  db->ops = ops;
  neo_ctx_init(&db->memory, 0);
  db->memory.allocator = ctx->allocator;
  neo_status status = ops->open(ctx, address, read_only, &db->self);
  if (status == NEO_OK)
    *out = db;
  else
    neo_free(ctx, db);
  return status;
}

void neo_db_close(neo_db *db) {
  if (!db)
    return;
  db->ops->close(db->self);
  neo_ctx memory = db->memory;
  neo_free(&memory, db);
}

static const char *text_or_empty(const char *text) {
  return text ? text : "";
}

neo_status neo_db_put_workload(neo_ctx *ctx, neo_db *db, const neo_db_workload *workload) {
  neo_db_workload complete = {text_or_empty(workload->key), text_or_empty(workload->text),
                              text_or_empty(workload->family), text_or_empty(workload->name),
                              workload->flops};
  char key[33];
  neo_key_text(complete.text, strlen(complete.text), key);
  if (strcmp(key, complete.key) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "database: workload %s: the key of its text is %s",
                    complete.key, key);
  if (!(complete.flops >= 0))
    return neo_fail(ctx, NEO_BAD_INPUT, "database: workload %s: %g floating-point operations",
                    complete.key, complete.flops);
  return db->ops->put_workload(ctx, db->self, &complete);
}

static bool is_run_state(const char *state) {
  static const char *const states[] = {"running", "done", "interrupted", "failed"};
  for (int i = 0; i < NEO_COUNT(states); i++)
    if (strcmp(state, states[i]) == 0)
      return true;
  return false;
}

neo_status neo_db_begin_run(neo_ctx *ctx, neo_db *db, const neo_db_run *run, int64_t *out_id) {
  neo_db_run complete = *run;
  complete.arguments = text_or_empty(run->arguments);
  complete.model = text_or_empty(run->model);
  complete.target = text_or_empty(run->target);
  complete.host = text_or_empty(run->host);
  complete.state = run->state ? run->state : "running";
  if (!is_run_state(complete.state))
    return neo_fail(ctx, NEO_USAGE, "database: '%s' is no state of a run", complete.state);
  return db->ops->begin_run(ctx, db->self, &complete, out_id);
}

neo_status neo_db_end_run(neo_ctx *ctx, neo_db *db, int64_t run, const char *state) {
  if (!is_run_state(state))
    return neo_fail(ctx, NEO_USAGE, "database: '%s' is no state of a run", state);
  return db->ops->end_run(ctx, db->self, run, state);
}

neo_status neo_db_visit_runs(neo_ctx *ctx, neo_db *db, bool (*fn)(void *, const neo_db_run *),
                             void *self) {
  return db->ops->visit_runs(ctx, db->self, fn, self);
}

neo_status neo_db_put_trial(neo_ctx *ctx, neo_db *db, const neo_db_trial *trial, int64_t *out_id) {
  neo_db_trial complete = *trial;
  neo_trial_complete(&complete);
  const char *defect = neo_trial_defect(&complete);
  if (defect)
    return neo_fail(ctx, NEO_USAGE, "database: trial %lld of run %lld: %s",
                    (long long)trial->attempt, (long long)trial->run, defect);
  int64_t id = 0;
  bool added;
  NEO_TRY(db->ops->put_trial(ctx, db->self, &complete, false, &id, &added));
  if (out_id)
    *out_id = id;
  return NEO_OK;
}

void neo_db_row_fini(neo_db_row *row) {
  free(row->memory);
  memset(row, 0, sizeof(*row));
}

static neo_status check_query(neo_ctx *ctx, const neo_db_query *query) {
  if (neo_error_class_rank(query->error_class_max) >= 0)
    return NEO_OK;
  return neo_fail(ctx, NEO_USAGE, "database: '%s' is no error class (exact, default, fast)",
                  query->error_class_max);
}

neo_status neo_db_best(neo_ctx *ctx, neo_db *db, const neo_db_query *query, neo_db_row *out,
                       bool *found) {
  NEO_TRY(check_query(ctx, query));
  if (!query->workload || !query->target)
    return neo_fail(ctx, NEO_USAGE, "database: a lookup needs a workload and a target");
  return db->ops->best(ctx, db->self, query, out, found);
}

neo_status neo_db_visit_best(neo_ctx *ctx, neo_db *db, const neo_db_query *query,
                             bool (*fn)(void *, const neo_db_trial *), void *self) {
  NEO_TRY(check_query(ctx, query));
  if (!query->workload || !query->target)
    return neo_fail(ctx, NEO_USAGE, "database: a lookup needs a workload and a target");
  return db->ops->visit_best(ctx, db->self, query, fn, self);
}

neo_status neo_db_last_trial(neo_ctx *ctx, neo_db *db, int64_t *out_id) {
  return db->ops->last_trial(ctx, db->self, out_id);
}

neo_status neo_db_visit_trials(neo_ctx *ctx, neo_db *db, const neo_db_query *query, int64_t run,
                               bool (*fn)(void *, const neo_db_trial *), void *self) {
  static const neo_db_query all = {0};
  NEO_TRY(check_query(ctx, query ? query : &all));
  return db->ops->visit_trials(ctx, db->self, query ? query : &all, run, fn, self);
}

neo_status neo_db_visit_workloads(neo_ctx *ctx, neo_db *db,
                                  bool (*fn)(void *, const neo_db_workload *), void *self) {
  return db->ops->visit_workloads(ctx, db->self, NULL, fn, self);
}

neo_status neo_db_visit_targets(neo_ctx *ctx, neo_db *db, bool (*fn)(void *, const char *),
                                void *self) {
  return db->ops->visit_targets(ctx, db->self, fn, self);
}

neo_status neo_db_put_note(neo_ctx *ctx, neo_db *db, int64_t run, const char *name,
                           const char *json) {
  return db->ops->put_note(ctx, db->self, run, name, json);
}

neo_status neo_db_get_note(neo_ctx *ctx, neo_db *db, int64_t run, const char *name, neo_buf *out,
                           bool *found) {
  return db->ops->get_note(ctx, db->self, run, name, out, found);
}
