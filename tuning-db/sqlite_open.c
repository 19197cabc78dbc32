/* Opening and creating the SQLite store: the schema, its versions, and what is refused.
 *
 * Why SQLite: one file, transactions that survive kill -9, readers beside the writer, 15 k
 * commits/s where a search makes 10 to 50. How it is set up:
 *
 * - WAL: readers never wait for the writer. kill -9 needs no more than that.
 * - synchronous=FULL: an acknowledged trial is fsynced, so it also survives the loss of power. One
 *   commit per trial at ~50/s is some 50 fsyncs/s, which a disk does; a board-second lost is
 * dearer.
 * - A page cache of 1 MiB: the system's own holds the file, and a long tuning run must not grow.
 * - Network file systems are refused: WAL needs memory shared between processes, and their locks
 * lie.
 * - application_id "Neo1" and user_version (the schema's) make foreign and newer files
 * recognisable. A schema change is one more row of `migrations`; row k takes a file from version k
 * to k+1, all in one transaction. Old versions are upgraded when opened for writing, refused when
 * read-only.
 *
 * docs/formats/db.md describes the tables. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tuning-db/sqlite_store.h"

enum { APPLICATION_ID = 0x4e656f31, BUSY_MS = 10000, CACHE_KIB = 1024 };

static const char *const migrations[] = {
    "CREATE TABLE workloads(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, text TEXT NOT NULL,"
    "  family TEXT NOT NULL, name TEXT NOT NULL, flops REAL NOT NULL) STRICT;"
    "CREATE INDEX workloads_by_family ON workloads(family);"
    "CREATE TABLE targets(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE runs(id INTEGER PRIMARY KEY AUTOINCREMENT, arguments TEXT NOT NULL,"
    "  model TEXT NOT NULL, target TEXT NOT NULL, threads INTEGER NOT NULL, seed INTEGER NOT NULL,"
    "  state TEXT NOT NULL, host TEXT NOT NULL) STRICT;"
    "CREATE TABLE notes(run INTEGER NOT NULL, name TEXT NOT NULL, json TEXT NOT NULL,"
    "  PRIMARY KEY(run, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE trials(id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  run INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    "  workload INTEGER NOT NULL, target INTEGER NOT NULL, threads INTEGER NOT NULL,"
    "  layout TEXT NOT NULL, schedule TEXT NOT NULL, kind TEXT NOT NULL, ns REAL NOT NULL,"
    "  predicted_ns REAL NOT NULL, ratio REAL NOT NULL, max_error REAL NOT NULL,"
    "  fmas REAL NOT NULL, bytes REAL NOT NULL, build_ns REAL NOT NULL, measure_ns REAL NOT NULL,"
    "  repeats TEXT NOT NULL, code_hash TEXT NOT NULL, phase TEXT NOT NULL, text TEXT NOT NULL,"
    "  signal INTEGER NOT NULL, algorithm TEXT NOT NULL, error_class TEXT NOT NULL,"
    "  origin TEXT NOT NULL, board TEXT NOT NULL, tool TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL, rank INTEGER NOT NULL, digest INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX trials_by_attempt ON trials(run, attempt) WHERE run > 0;"
    "CREATE INDEX trials_by_digest ON trials(digest);"
    "CREATE INDEX trials_by_time ON trials(workload, target, threads, rank, ns);"
    "CREATE INDEX trials_by_layout ON trials(workload, target, threads, layout, rank, ns);",
};

/* Why a file cannot be opened: SQLite tries again read-only, so errno is about that. */
static const char *open_defect(const char *path, const char *otherwise) {
  char parent[1024];
  const char *slash = strrchr(path, '/');
  size_t length = slash ? (size_t)(slash - path) + 1 : 1;
  if (length >= sizeof parent)
    return otherwise;
  memcpy(parent, slash ? path : ".", length);
  parent[length] = '\0';
  const char *asked = access(path, F_OK) == 0 ? path : parent;
  return faccessat(AT_FDCWD, asked, R_OK | W_OK, AT_EACCESS) == 0 ? otherwise : strerror(errno);
}

neo_status neo_sqlite_fail(neo_ctx *ctx, const neo_sqlite *store, int rc) {
  const char *reason = store->handle ? sqlite3_errmsg(store->handle) : sqlite3_errstr(rc);
  switch (rc & 0xff) {
  case SQLITE_NOMEM:
    return neo_fail(ctx, NEO_NO_MEMORY, "database %s: out of memory", store->path);
  case SQLITE_NOTADB:
    return neo_fail(ctx, NEO_BAD_INPUT, "database %s: this is not a tuning database", store->path);
  case SQLITE_CORRUPT:
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "database %s: the file is damaged (%s); `neo-tune export` saves what is whole",
                    store->path, reason);
  case SQLITE_CANTOPEN:
    return neo_fail(ctx, NEO_UNREACHABLE, "database %s: cannot be opened: %s", store->path,
                    open_defect(store->path, reason));
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return neo_fail(ctx, NEO_UNREACHABLE, "database %s: another process has held it for %d s",
                    store->path, BUSY_MS / 1000);
  case SQLITE_FULL:
    return neo_fail(ctx, NEO_IO, "database %s: the disk is full", store->path);
  case SQLITE_READONLY:
  case SQLITE_IOERR:
  case SQLITE_PERM:
    return neo_fail(ctx, NEO_IO, "database %s: %s", store->path, reason);
  default:
    return neo_fail(ctx, NEO_INTERNAL, "database %s: %s", store->path, reason);
  }
}

/* ---- what lies under the path -------------------------------------------------------------------
 */

static const struct {
  uint64_t magic;
  const char *name;
} network_systems[] = {
    {0x6969, "NFS"},        {0x517b, "SMB"},      {0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"},
    {0x5346414f, "AFS"},    {0x6b414653, "AFS"},  {0x73757245, "Coda"}, {0x00c36400, "Ceph"},
    {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"}, {0x01021997, "9P"},   {0x19830326, "BeeGFS"},
    {0x564c, "NCP"},
};

const char *neo_network_fs_name(uint64_t magic) {
  for (int i = 0; i < NEO_COUNT(network_systems); i++)
    if (network_systems[i].magic == (magic & 0xffffffffu))
      return network_systems[i].name;
  return NULL;
}

/* The file system of the file, or of its directory while there is no file. */
static neo_status refuse_network(neo_ctx *ctx, const neo_sqlite *store) {
  struct statfs info;
  if (statfs(store->path, &info) != 0) {
    neo_buf directory = {0};
    const char *slash = strrchr(store->path, '/');
    neo_buf_append(&directory, slash ? store->path : ".",
                   slash ? (size_t)(slash - store->path) + 1 : 1);
    bool failed = directory.failed;
    bool known = !failed && statfs(directory.data, &info) == 0;
    neo_buf_fini(&directory);
    if (failed)
      return neo_sqlite_fail(ctx, store, SQLITE_NOMEM);
    if (!known)
      return NEO_OK; /* opening it says what is wrong with the path */
  }
  const char *name = neo_network_fs_name((uint64_t)info.f_type);
  if (name)
    return neo_fail(
        ctx, NEO_UNSUPPORTED,
        "database %s: lies on a network file system (%s), where its transactions are not "
        "safe; use a local path, and `neo-tune export` and `import` to move records",
        store->path, name);
  return NEO_OK;
}

/* ---- schema
 * --------------------------------------------------------------------------------------- */

static neo_status exec(neo_ctx *ctx, const neo_sqlite *store, const char *sql) {
  int rc = sqlite3_exec(store->handle, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? NEO_OK : neo_sqlite_fail(ctx, store, rc);
}

static neo_status read_int(neo_ctx *ctx, const neo_sqlite *store, const char *sql, int64_t *out) {
  sqlite3_stmt *statement = NULL;
  int rc = sqlite3_prepare_v2(store->handle, sql, -1, &statement, NULL);
  if (rc == SQLITE_OK)
    rc = sqlite3_step(statement);
  if (rc == SQLITE_ROW)
    *out = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  return rc == SQLITE_ROW || rc == SQLITE_DONE ? NEO_OK : neo_sqlite_fail(ctx, store, rc);
}

/* Version of the schema; 0: an empty file. Refuses what is not ours or newer. */
static neo_status check_owner(neo_ctx *ctx, const neo_sqlite *store, int64_t *out_version) {
  int64_t application = 0, version = 0, tables = 0;
  NEO_TRY(read_int(ctx, store, "PRAGMA application_id", &application));
  NEO_TRY(read_int(ctx, store, "PRAGMA user_version", &version));
  NEO_TRY(read_int(ctx, store, "SELECT count(*) FROM sqlite_schema", &tables));
  if (application != APPLICATION_ID && (tables > 0 || application != 0 || version != 0))
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "database %s: this is an SQLite database of another program", store->path);
  if (version < 0 || version > NEO_COUNT(migrations))
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "database %s: its schema has version %lld, this program knows up to %d; use a "
                    "newer Neo",
                    store->path, (long long)version, NEO_COUNT(migrations));
  *out_version = version;
  return NEO_OK;
}

/* Inside a write transaction. */
static neo_status migrate_steps(neo_ctx *ctx, const neo_sqlite *store) {
  int64_t version = 0;
  NEO_TRY(check_owner(ctx, store, &version));
  for (; version < NEO_COUNT(migrations); version++)
    NEO_TRY(exec(ctx, store, migrations[version]));
  char sql[96];
  snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION_ID,
           NEO_COUNT(migrations));
  return exec(ctx, store, sql);
}

static neo_status migrate(neo_ctx *ctx, const neo_sqlite *store) {
  NEO_TRY(exec(ctx, store, "BEGIN IMMEDIATE"));
  neo_status status = migrate_steps(ctx, store);
  if (status == NEO_OK)
    return exec(ctx, store, "COMMIT");
  sqlite3_exec(store->handle, "ROLLBACK", NULL, NULL, NULL);
  return status;
}

static neo_status prepare_schema(neo_ctx *ctx, const neo_sqlite *store, bool read_only) {
  int64_t version = 0;
  NEO_TRY(check_owner(ctx, store, &version));
  if (version == NEO_COUNT(migrations))
    return NEO_OK;
  if (!read_only)
    return migrate(ctx, store);
  if (version == 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "database %s: this is not a tuning database (it is empty)",
                    store->path);
  return neo_fail(
      ctx, NEO_BAD_INPUT,
      "database %s: schema version %lld must be upgraded to %d; open it for writing once",
      store->path, (long long)version, NEO_COUNT(migrations));
}

/* ---- opening
 * ---------------------------------------------------------------------------------------- */

static neo_status set_up(neo_ctx *ctx, const neo_sqlite *store, bool read_only) {
  sqlite3_busy_timeout(store->handle, BUSY_MS);
  sqlite3_extended_result_codes(store->handle, 1);
  char sql[128];
  snprintf(sql, sizeof(sql), "PRAGMA cache_size=-%d; PRAGMA synchronous=FULL;", CACHE_KIB);
  NEO_TRY(exec(ctx, store, sql));
  NEO_TRY(prepare_schema(ctx, store, read_only));
  return read_only ? NEO_OK : exec(ctx, store, "PRAGMA journal_mode=WAL;");
}

/* "file:PATH?immutable=1": a file in a directory that cannot be written has no place for the WAL's
 * shared memory; nobody can be writing it either. */
static int open_immutable(neo_sqlite *store) {
  neo_buf uri = {0};
  neo_buf_text(&uri, "file:");
  for (const char *c = store->path; *c; c++)
    if (strchr("%?#", *c))
      neo_buf_printf(&uri, "%%%02x", (unsigned)*c);
    else
      neo_buf_append(&uri, c, 1);
  neo_buf_text(&uri, "?immutable=1");
  int rc = SQLITE_NOMEM;
  if (!uri.failed)
    rc = sqlite3_open_v2(uri.data, &store->handle,
                         SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
  neo_buf_fini(&uri);
  return rc;
}

static bool has_wal(const neo_sqlite *store) {
  neo_buf path = {0};
  neo_buf_printf(&path, "%s-wal", store->path);
  struct stat info;
  bool has = path.failed || (stat(path.data, &info) == 0 && info.st_size > 0);
  neo_buf_fini(&path);
  return has;
}

static neo_status open_file(neo_ctx *ctx, neo_sqlite *store, bool read_only) {
  NEO_TRY(refuse_network(ctx, store));
  int flags = read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  errno = 0;
  int rc = sqlite3_open_v2(store->path, &store->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);
  if (rc != SQLITE_OK)
    return neo_sqlite_fail(ctx, store, rc);
  errno = 0;
  int probe = sqlite3_exec(store->handle, "SELECT 1 FROM sqlite_schema", NULL, NULL, NULL);
  if (read_only && (probe & 0xff) == SQLITE_CANTOPEN && !has_wal(store)) {
    sqlite3_close(store->handle);
    store->handle = NULL;
    rc = open_immutable(store);
    if (rc != SQLITE_OK)
      return neo_sqlite_fail(ctx, store, rc);
  }
  errno = 0;
  return set_up(ctx, store, read_only);
}

static neo_sqlite *make(neo_ctx *ctx, const char *path) {
  neo_sqlite *store = neo_alloc(ctx, sizeof(*store));
  size_t size = strlen(path) + 1;
  char *copy = neo_alloc(ctx, size);
  if (!store || !copy) {
    neo_free(ctx, store);
    neo_free(ctx, copy);
    neo_fail(ctx, NEO_NO_MEMORY, "database %s: out of memory", path);
    return NULL;
  }
  memcpy(copy, path, size);
  store->path = copy;
  neo_ctx_init(&store->memory, 0);
  store->memory.allocator = ctx->allocator;
  return store;
}

neo_status neo_sqlite_open(neo_ctx *ctx, const char *path, bool read_only, void **out_self) {
  if (!*path)
    return neo_fail(ctx, NEO_USAGE, "database: the path is empty");
  neo_sqlite *store = make(ctx, path);
  if (!store)
    return NEO_NO_MEMORY;
  neo_status status = open_file(ctx, store, read_only);
  if (status == NEO_OK)
    *out_self = store;
  else
    neo_sqlite_close(store);
  return status;
}

neo_status neo_sqlite_open_memory(neo_ctx *ctx, const char *address, bool read_only,
                                  void **out_self) {
  if (*address || read_only)
    return neo_fail(ctx, NEO_USAGE, "database memory:%s: memory has no name and is not read-only",
                    address);
  neo_sqlite *store = make(ctx, "memory:");
  if (!store)
    return NEO_NO_MEMORY;
  int rc = sqlite3_open_v2(":memory:", &store->handle,
                           SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
  neo_status status =
      rc == SQLITE_OK ? set_up(ctx, store, read_only) : neo_sqlite_fail(ctx, store, rc);
  if (status == NEO_OK)
    *out_self = store;
  else
    neo_sqlite_close(store);
  return status;
}

void neo_sqlite_close(void *self) {
  neo_sqlite *store = self;
  for (int i = 0; i < NEO_SQL_COUNT; i++)
    sqlite3_finalize(store->statement[i]);
  sqlite3_close(store->handle);
  neo_ctx memory = store->memory;
  neo_free(&memory, store->path);
  neo_free(&memory, store);
}
