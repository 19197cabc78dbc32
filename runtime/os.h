/* runtime/os.h: what the runtime asks of the operating system beyond libc and threads. os_posix.c
 * and windows/os_windows.c have it; no other file of the runtime knows where it runs.
 *
 * Paths are UTF-8. Nothing here allocates through the context but where it says so. */
#ifndef NEO_RUNTIME_OS_H
#define NEO_RUNTIME_OS_H

#include "base/core.h"

/* ---- libraries and files ----------------------------------------------------------------------- */

extern const char neo_os_library_name[]; /* "compiled.so", "compiled.dll" */
/* NEO_IO: no such file; NEO_BAD_INPUT: the system does not take it. Names without a slash are
 * files, too, and not looked for anywhere. */
neo_status neo_os_library_open(neo_ctx *ctx, const char *path, void **out);
/* One that the system looks for by this name, as drivers are; NULL: there is none. */
void *neo_os_library_find(const char *name);
void *neo_os_library_symbol(void *library, const char *name); /* NULL: there is none */
void neo_os_library_close(void *library);
/* A regular file of at least one byte, read-only. NEO_IO, NEO_BAD_INPUT: another kind of file. */
neo_status neo_os_file_map(neo_ctx *ctx, const char *path, const void **out, size_t *out_size);
void neo_os_file_unmap(const void *data, size_t size);

/* ---- pages -------------------------------------------------------------------------------------- */

size_t neo_os_page_size(void);
/* Addresses without memory behind them; touching them ends the process. NULL: none. */
void *neo_os_pages_reserve(size_t size);
/* Whole pages of a reserved range become memory that may be read and written. */
bool neo_os_pages_commit(void *begin, size_t size);
/* Page faults now and not later: a hint. */
void neo_os_pages_present(void *begin, size_t size);
/* The first `code` bytes become code that may be run, the rest read-only. */
bool neo_os_pages_execute(void *begin, size_t size, size_t code);
void neo_os_pages_release(void *begin, size_t size); /* as reserved */

/* Memory that is shared with processes forked later, all there and all zero; NULL: none. */
void *neo_os_pages_share(size_t size);
void neo_os_pages_forget(void *begin,
                         size_t size); /* whole pages of it: a hint that they are free */
void neo_os_pages_protect(void *begin, size_t size); /* from now on read-only for this process */
int64_t neo_os_memory(void);                         /* of the machine; 0: not known */

/* ---- processors --------------------------------------------------------------------------------- */

/* Where a thread may run. */
typedef struct neo_os_affinity {
  uint64_t set[16];
  bool known;
} neo_os_affinity;

/* The cpus that the calling thread may run on, lowest first, at most `most`; 0: not known. */
int neo_os_cpus(int *cpus, int most);
int neo_os_cpu_now(void); /* -1: not known */
/* Pins the calling thread; what the system refuses is ignored: pinning is a hint. */
void neo_os_pin(int cpu);
/* The calling thread, and those that it starts, run on these from now on: a hint. */
void neo_os_stay_on(const int *cpus, int n);
void neo_os_sleep(int ms);
void neo_os_affinity_get(neo_os_affinity *out);
void neo_os_affinity_set(const neo_os_affinity *affinity); /* does nothing if it was not known */

#endif
