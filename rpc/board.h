/* rpc/board.h: inside of the agent; between board.c, board_child.c and canary.c. */
#ifndef NEO_RPC_BOARD_H
#define NEO_RPC_BOARD_H

#include <stdatomic.h>

#include "rpc/blobs.h"
#include "rpc/counters.h"
#include "rpc/rpc.h"

/* What a child is doing, in memory that it shares with its parent: how far it came is known even
 * when it dies. */
#define NEO_PHASES(X)                                                                              \
  X(SETUP, "setup")                                                                                \
  X(LOAD, "load") X(RUN, "run") X(VERIFY, "verify") X(TIME, "time") X(DONE, "done")

typedef enum neo_phase {
#define X(name, text) NEO_PHASE_##name,
  NEO_PHASES(X)
#undef X
      NEO_PHASE_COUNT
} neo_phase;

typedef struct neo_board_shared {
  atomic_uchar phase;
  atomic_int call; /* a system call that the sandbox ended it for, plus one; 0: none */
} neo_board_shared;

/* A job with its blobs found. */
typedef struct neo_board_kernel {
  const neo_job_kernel *job;
  const void *object;
  size_t object_size;
  const void *data[NEO_JOB_MAX_CASES][NEO_JOB_MAX_BUFFERS]; /* NULL: none */
  size_t size[NEO_JOB_MAX_CASES][NEO_JOB_MAX_BUFFERS];
} neo_board_kernel;

typedef struct neo_board_job {
  const neo_job *job;
  const neo_board_options *options;
  neo_blobs *blobs;
  neo_board_shared *shared;
  intptr_t shared_handle;
  neo_counters *counters; /* NULL: candidates are timed */
  neo_board_kernel kernel, incumbent;
} neo_board_job;

/* The first byte on the pipe: everything is in place, the time-out counts from here. Then one
 * RESULT frame. */
#define NEO_CHILD_READY 'R'

/* Runs the job in this process, which is its own, and writes to the pipe; does not return. */
void neo_board_child(neo_ctx *ctx, const neo_board_job *job, int pipe_fd);

/* ---- board_process.c; windows/board_process_windows.c ---- */
/* Is a job's process this program started anew, with --child? Else it is forked. */
extern const bool neo_board_starts_anew;
/* Memory that children write, too; NULL: none. handle: what they find it by, where they are started
 * anew. */
neo_board_shared *neo_board_share(const neo_board_options *options, intptr_t *out_handle);
void neo_board_unshare(neo_board_shared *shared, intptr_t handle);
/* Runs the job in a process of its own; whatever happens to that is an outcome. */
void neo_board_process(neo_ctx *ctx, const neo_board_job *job, neo_job_result *out);
/* The devices of the drivers that are named there, each asked in a process of its own, since
 * drivers start threads, hang and crash, and do not outlive a fork; all at once, for ms at most.
 * "": there is none, or no answer. */
void neo_board_find_gpus(neo_ctx *ctx, neo_hello *hello, int ms);
/* In that process: blobs read-only, no descriptor but the pipe. */
void neo_board_disposable(const neo_board_job *job, int pipe_fd);
/* In that process, before foreign code runs in it: limits of memory, files and time. */
void neo_board_limit(const neo_job *job);

/* ---- board.c ---- */
/* Makes *out the outcome of a job that gave no result itself; the phase is the one it is in. */
void neo_board_outcome(const neo_board_job *job, neo_job_outcome outcome, int signal_number,
                       const char *text, neo_job_result *out);

/* The page that the emulator's plugin counts in. */
neo_status neo_count_open(neo_ctx *ctx, const char *path, neo_counters **out);
void neo_count_close(neo_counters *counters);
/* The object's code is what is counted, from before its first run; NULL: nothing is. */
void neo_count_region(neo_counters *counters, const neo_loaded *object,
                      const neo_harness_memory *data);
/* Runs twice and counts the second run: its cost stands where times do. */
neo_status neo_count_run(neo_ctx *ctx, neo_counters *counters, neo_pool *pool,
                         neo_harness_memory *memory, neo_timing *out);

/* A computation with a known answer, a millisecond or so. false: the machine computes wrongly. */
bool neo_canary(neo_ctx *ctx, double *out_ns);

#endif
