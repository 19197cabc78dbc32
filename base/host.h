/* base/host.h: what the compiler's and tuner's folders share beyond libc: files, subprocesses, JSON
 * glue. Never used by runtime/ or rpc/. */
#ifndef NEO_BASE_HOST_H
#define NEO_BASE_HOST_H

#include <jansson.h>

#include "base/core.h"

/* ---- files ----------------------------------------------------------------------------------- */

/* Whole file into *out (heap bytes, NUL-terminated beyond size); limit 0: none. Names path and
 * reason. */
neo_status neo_file_read(neo_ctx *ctx, const char *path, size_t limit, neo_buf *out);
/* Writes to PATH.tmp.PID in the same directory, fsyncs, renames: never half a file under its name.
 */
neo_status neo_file_write(neo_ctx *ctx, const char *path, const void *data, size_t size);
neo_status neo_dir_create(neo_ctx *ctx, const char *path); /* like mkdir -p */
neo_status neo_dir_remove(neo_ctx *ctx, const char *path); /* recursive; absent is fine */
/* A fresh private directory below $TMPDIR or /tmp given by the caller as base (NULL: "/tmp"). */
neo_status neo_dir_temp(neo_ctx *ctx, const char *base, char out[256]);
bool neo_file_exists(const char *path);
bool neo_dir_exists(const char *path); /* a folder, links followed */

/* Read-only map of a file; data is not NULL, of an empty one neither. */
typedef struct neo_mapping {
  const uint8_t *data;
  size_t size;
} neo_mapping;
neo_status neo_file_map(neo_ctx *ctx, const char *path, neo_mapping *out);
void neo_file_unmap(neo_mapping *mapping);
/* Its pages leave this process, and come back from the file when they are read again. */
void neo_file_idle(const neo_mapping *mapping);

/* ---- memory that is not needed ------------------------------------------------------------------ */

/* From now on the allocator holds free pages, of large blocks too, until they are given back. For a
 * program's main thread to say. */
void neo_memory_keep(void);
/* Gives back what the allocator holds in free pages. */
void neo_memory_trim(void);

/* ---- subprocesses: the only module that starts any ------------------------------------------- */

typedef struct neo_process_result {
  int exit_code; /* -1 if killed by a signal */
  int signal;    /* 0 if it exited */
  bool timed_out;
  neo_buf output; /* stdout and stderr together, capped at 64 KiB */
} neo_process_result;

/* posix_spawn, no shell; argv NULL-terminated, argv[0] searched in PATH. timeout_ms 0: none; on
 * time-out SIGTERM, 200 ms, SIGKILL to its process group. NEO_IO only if it could not be started.
 * Free output with neo_buf_fini. */
neo_status neo_process_run(neo_ctx *ctx, const char *const *argv, int timeout_ms,
                           neo_process_result *out);

/* A long-lived child with one end of a socketpair as its stdin and stdout (stderr inherited or
 * /dev/null). */
typedef struct neo_process {
  int pid, fd;
} neo_process;
neo_status neo_process_spawn(neo_ctx *ctx, const char *const *argv, bool quiet, neo_process *out);
void neo_process_stop(neo_process *process); /* closes fd, SIGKILLs the group after 200 ms, reaps */
/* Directory of the running executable, to find sibling programs (neo-board). */
neo_status neo_self_dir(neo_ctx *ctx, char out[512]);

/* ---- JSON (jansson) -------------------------------------------------------------------------- */

/* Parses; an error names `what`, line and column. Release with json_decref. A value takes about 100
 * bytes, of a text perhaps two: texts whose values would take more than 4 times their size and 64
 * MB are refused. */
neo_status neo_json_parse(neo_ctx *ctx, const char *what, const char *text, size_t size,
                          json_t **out);
void neo_json_print(neo_buf *buf, const json_t *json, bool pretty); /* sorted keys: canonical */
/* A string of a name from a model file: if that is no UTF-8, its bytes over 127 become '?'. */
json_t *neo_json_name(const char *name);
/* Appends text as a JSON string with quotes. */
void neo_json_quote(neo_buf *buf, const char *text);

#endif
