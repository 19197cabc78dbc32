/* tuning-db/sqlite_store.h: the SQLite store's handle, shared by opening (sqlite_open.c) and the
 * rows (sqlite_rows.c). Inside tuning-db/ only. */
#ifndef NEO_TUNING_DB_SQLITE_STORE_H
#define NEO_TUNING_DB_SQLITE_STORE_H

#include <sqlite3.h>

#include "tuning-db/store.h"

/* Statements that are prepared once and reused: none of them is open while a visitor runs. */
typedef enum neo_sql {
  NEO_SQL_BEGIN,
  NEO_SQL_COMMIT,
  NEO_SQL_ROLLBACK,
  NEO_SQL_PUT_WORKLOAD,
  NEO_SQL_PUT_TARGET,
  NEO_SQL_PUT_TRIAL,
  NEO_SQL_FIND_ATTEMPT,
  NEO_SQL_FIND_DIGEST,
  NEO_SQL_BEST,
  NEO_SQL_BEST_LAYOUT,
  NEO_SQL_BEGIN_RUN,
  NEO_SQL_END_RUN,
  NEO_SQL_PUT_NOTE,
  NEO_SQL_GET_NOTE,
  NEO_SQL_LAST_TRIAL,
  NEO_SQL_COUNT
} neo_sql;

enum { NEO_SQLITE_NAMED = 64 };

typedef struct neo_sqlite {
  sqlite3 *handle;
  char *path; /* for messages */
  neo_ctx memory;
  bool batch;
  sqlite3_stmt *statement[NEO_SQL_COUNT];
  int64_t named[NEO_SQLITE_NAMED]; /* damaged rows that were logged already */
  int n_named;
} neo_sqlite;

neo_status neo_sqlite_open(neo_ctx *ctx, const char *path, bool read_only, void **out_self);
neo_status neo_sqlite_open_memory(neo_ctx *ctx, const char *address, bool read_only,
                                  void **out_self);
void neo_sqlite_close(void *self);
/* rc of SQLite -> status and a message with the path. */
neo_status neo_sqlite_fail(neo_ctx *ctx, const neo_sqlite *store, int rc);
static inline bool neo_sqlite_is_damage(int rc) {
  return (rc & 0xff) == SQLITE_CORRUPT || (rc & 0xff) == SQLITE_NOTADB;
}

#endif
