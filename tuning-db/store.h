/* tuning-db/store.h: inside tuning-db/ only: what a kind of store implements, and the table that
 * describes a trial's columns once for storing, hashing, export and import. */
#ifndef NEO_TUNING_DB_STORE_H
#define NEO_TUNING_DB_STORE_H

#include "tuning-db/tuning_db.h"

/* Every member returns a status as neo_db_* documents it; texts in arguments are never NULL here
 * (neo_db_* fills in defaults) except in a neo_db_query. Any of them may block on the disk. */
typedef struct neo_store_ops {
  const char *name, *prefix;
  neo_status (*open)(neo_ctx *ctx, const char *address, bool read_only, void **out_self);
  void (*close)(void *self);
  /* Groups the following puts into one transaction (import); off commits. */
  neo_status (*batch)(neo_ctx *ctx, void *self, bool on);
  neo_status (*put_workload)(neo_ctx *ctx, void *self, const neo_db_workload *workload);
  neo_status (*begin_run)(neo_ctx *ctx, void *self, const neo_db_run *run, int64_t *out_id);
  neo_status (*end_run)(neo_ctx *ctx, void *self, int64_t run, const char *state);
  neo_status (*visit_runs)(neo_ctx *ctx, void *self, bool (*fn)(void *, const neo_db_run *),
                           void *fn_self);
  /* digest of the trial; once: nothing is stored if a trial with this digest exists (*added). */
  neo_status (*put_trial)(neo_ctx *ctx, void *self, const neo_db_trial *trial, bool once,
                          int64_t *out_id, bool *added);
  neo_status (*best)(neo_ctx *ctx, void *self, const neo_db_query *query, neo_db_row *out,
                     bool *found);
  neo_status (*last_trial)(neo_ctx *ctx, void *self, int64_t *out_id);
  neo_status (*visit_best)(neo_ctx *ctx, void *self, const neo_db_query *query,
                           bool (*fn)(void *, const neo_db_trial *), void *fn_self);
  neo_status (*visit_trials)(neo_ctx *ctx, void *self, const neo_db_query *query, int64_t run,
                             bool (*fn)(void *, const neo_db_trial *), void *fn_self);
  /* family NULL: all. */
  neo_status (*visit_workloads)(neo_ctx *ctx, void *self, const char *family,
                                bool (*fn)(void *, const neo_db_workload *), void *fn_self);
  neo_status (*visit_targets)(neo_ctx *ctx, void *self, bool (*fn)(void *, const char *),
                              void *fn_self);
  neo_status (*put_note)(neo_ctx *ctx, void *self, int64_t run, const char *name, const char *json);
  neo_status (*get_note)(neo_ctx *ctx, void *self, int64_t run, const char *name, neo_buf *out,
                         bool *found);
} neo_store_ops;

struct neo_db {
  const neo_store_ops *ops;
  void *self;
  neo_ctx memory; /* the allocator the handle was made with */
};

#define X(ops) extern const neo_store_ops ops;
#include "tuning-db/stores.def"
#undef X

/* ---- the columns of a trial -------------------------------------------------------------------
 */

typedef enum neo_column_kind {
  NEO_COLUMN_TEXT,
  NEO_COLUMN_INT,
  NEO_COLUMN_INT64,
  NEO_COLUMN_REAL
} neo_column_kind;

typedef struct neo_column {
  const char *name;
  neo_column_kind kind;
  size_t offset; /* in neo_db_trial */
  bool exported; /* in the JSON lines and in the digest */
} neo_column;

#define NEO_TRIAL_COLUMNS 28
extern const neo_column neo_trial_columns[NEO_TRIAL_COLUMNS];
static inline const char **neo_column_text(const neo_column *column, neo_db_trial *trial) {
  return (const char **)(void *)((char *)trial + column->offset);
}
static inline double *neo_column_real(const neo_column *column, neo_db_trial *trial) {
  return (double *)(void *)((char *)trial + column->offset);
}
/* INT and INT64 columns as 64 bits. */
int64_t neo_column_int(const neo_column *column, const neo_db_trial *trial);
void neo_column_set_int(const neo_column *column, neo_db_trial *trial, int64_t v);

/* NULL texts become "", NaN becomes inf, created_ms 0 becomes now, error_class "" default. */
void neo_trial_complete(neo_db_trial *trial);
/* What must hold of a completed trial, on the way in and on the way out; NULL or what is wrong. */
const char *neo_trial_defect(const neo_db_trial *trial);
/* 0 exact, 1 default, 2 fast: a record of that error class; -1: no record (failed, or a baseline).
 */
int neo_trial_rank(const neo_db_trial *trial);
/* 0..2; NULL: 2; -1: no such class. */
int neo_error_class_rank(const char *name);
/* First 64 bits of the SHA-256 over the exported columns. False: out of memory. */
bool neo_trial_digest(const neo_db_trial *trial, int64_t *out);
/* Copies the trial with all its texts into one block. */
neo_status neo_trial_copy(neo_ctx *ctx, const neo_db_trial *trial, neo_db_row *out);

/* ---- distances and file systems -----------------------------------------------------------------
 */

/* Sum over the extents (the '#'s of the family) of |log2 of their ratio|; a negative value if the
 * texts are not both of the family. */
double neo_workload_distance(const char *family, const char *a, const char *b);
/* Name of the network file system with this statfs magic, NULL for local ones. */
const char *neo_network_fs_name(uint64_t magic);

#endif
