/* measure/local.h: between the files of the local measurer (local*.c); nobody else includes it. */
#ifndef NEO_MEASURE_LOCAL_H
#define NEO_MEASURE_LOCAL_H

#include <pthread.h>

#include "base/host.h"
#include "measure/parts.h"

/* Data seeds of a task; time limits of talking to the board. */
enum { CASES = 2, HELLO_MS = 10000, PUT_MS = 60000, GRACE_MS = 10000, ANYWHERE = -1 };

typedef struct neo_known_code {
  neo_trial_kind kind;
  double ns;
} neo_known_code;

/* A constant as an algorithm transforms it, not yet in a layout. */
typedef struct neo_made {
  char name[80]; /* task, case and the transforming te */
  uint64_t used; /* 0: none is here */
  neo_tensor tensor;
} neo_made;

/* The fastest of an algorithm that was fully verified. */
typedef struct neo_algorithm_best {
  char name[64];
  double ns, bytes; /* bytes: of its constants as it stores them */
  neo_accuracy accuracy;
} neo_algorithm_best;

typedef struct neo_local_task {
  neo_te te; /* in arena */
  char key[33];
  neo_arena arena; /* te, map values */
  neo_data data[CASES];
  uint64_t data_used; /* when, in uses of any task's data */
  double magnitude, flops;
  neo_map blobs; /* "case buffer layout pack" -> key text in arena */
  neo_map codes; /* identity -> neo_known_code in arena */
  neo_build *incumbent;
  double incumbent_ns; /* > 0 if there is one */
  neo_build *anchor;   /* what claims are confirmed against; often the incumbent itself */
  double anchor_ns;
  int n_bests;
  neo_algorithm_best best[8];
} neo_local_task;

typedef struct neo_blob_set {
  int n;
  neo_blob blob[2 * CASES * NEO_JOB_MAX_BUFFERS + 4];
  void *owned[2 * CASES * NEO_JOB_MAX_BUFFERS + 4];
} neo_blob_set;

/* A board of another architecture, or of another system. */
typedef struct neo_emulation {
  char program[32]; /* the board's file name; "": the native one */
  const char *emulator;
  const char *cpu; /* NULL: nothing is emulated but the system, and times are times */
  int64_t miss_cost;
  char dir[256]; /* private, for the counters; "" until opened */
} neo_emulation;

/* A board that is leased: rpc/hub.c. */
typedef struct neo_remote_board {
  neo_hub *hub;
  int wait_ms;              /* for a board, whenever there is none */
  int away_ms;              /* for one that lost its link; 0: the hub's default */
  void (*ring)(void *self); /* a result came, or the end; from the lane's thread */
  void *ring_self;
} neo_remote_board;

typedef struct neo_local {
  neo_measurer base;
  neo_ctx ctx; /* allocation and logging */
  neo_target target;
  neo_measure_options options;
  char board_program[600];
  neo_emulation emulation;
  neo_remote_board remote; /* hub NULL: a process of ours */
  char home[NEO_NET_NAME]; /* the remote board that was leased last */
  neo_process board;
  bool board_up;
  int restarts;
  int peak_checks; /* since the peak last grew */
  neo_builder *builder;
  const neo_codegen *codegen;
  bool exclusive, paused; /* no core to spare: build and measure in turns */
  int spare_cpu;          /* for threads that do not measure; -1: none */
  int measure_cpu;        /* one that measures */
  neo_affinity affinity;  /* of the caller's thread before */
  int pending, held;      /* the caller's */
  pthread_t thread;
  bool thread_up;
  neo_ctx flight_ctx; /* the thread's */
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  bool hold, resting, stop, polling;
  bool beside; /* the thread works while the board measures: it must do so on another core */
  int where;   /* the core that the thread is pinned to; ANYWHERE */
  int unbuilt; /* submitted, not yet taken from the builder */
  neo_status failure;
  char failure_text[400];
  neo_blob_set *prepared; /* what prepared_for (the first of ready) needs */
  const neo_build *prepared_for;
  neo_build *ready, **ready_tail;
  neo_build *flying; /* on the board */
  neo_job *job;      /* of flying */
  int flying_tries;  /* times it was shipped after board losses */
  bool confirming;
  neo_trial_result first; /* what the confirmation is about */
  double claim;           /* the ratio to the anchor below which it matters */
  uint64_t flying_since;
  neo_trial_result *results; /* finished ones, oldest first */
  int n_results, cap_results;
  int n_tasks;
  neo_local_task **task;
  uint64_t data_uses;
  neo_made made[8];
} neo_local;

/* ---- local.c ------------------------------------------------------------------------------------- */

/* A local measurer; emulation and remote NULL: of this machine. With emulation candidates are
 * counted: verified fully each, none against an incumbent, and no bound is held against them. With
 * remote its board is a lease, which it holds while it has something to do. */
neo_status neo_local_open(neo_ctx *ctx, const neo_emulation *emulation,
                          const neo_remote_board *remote, const neo_target *target,
                          const neo_measure_options *options, neo_measurer **out);

/* ---- local_board.c ------------------------------------------------------------------------------- */

neo_status neo_local_start_board(neo_ctx *ctx, neo_local *self, neo_hello *hello);
void neo_local_stop_board(neo_local *self);
/* Starts it, or leases one, if there is none. */
neo_status neo_local_need_board(neo_ctx *ctx, neo_local *self);
/* How long the board may be silent beyond a job's time limit: what it was sent must have arrived,
 * and it may be coming back. */
int neo_local_grace_ms(const neo_local *self);

/* owned: freed by release, or NULL. Returns the blob's key. */
const char *neo_blob_add(neo_blob_set *set, const void *data, size_t size, void *owned);
void neo_blob_release(neo_ctx *ctx, neo_blob_set *set);

/* What a job's blobs are made from. */
typedef struct neo_shipment {
  neo_local *local;
  neo_local_task *task;
  const neo_build *build;
  int n_cases;
  bool all;     /* send everything, known or not */
  bool outputs; /* what they should be */
  bool confirming;
  neo_blob_set *set;
} neo_shipment;

neo_status neo_local_fill_kernel(neo_ctx *ctx, const neo_shipment *to, neo_job_kernel *out);
/* Sends a job and waits. None may be in flight. A board that is lost meanwhile is started again,
 * once. */
neo_status neo_local_call(neo_ctx *ctx, neo_local *self, const neo_blob_set *set,
                          const neo_job *job, neo_job_result *result);
/* Times the peak nest on the board like any candidate. */
neo_status neo_local_measure_peak(neo_ctx *ctx, neo_local *self);

/* ---- local_reference.c --------------------------------------------------------------------------- */

/* The code of a task's reference. */
typedef struct neo_references {
  neo_build *quick, *naive; /* quick NULL: there is only the naive one */
  int64_t grid;             /* of all launches of both, if there are two */
} neo_references;
void neo_references_fini(neo_references *references);

/* Data of a new task, which nobody else knows yet, and the code of its reference. Does not touch
 * the board. out starts as zeros; the caller ends it, on failure too. */
neo_status neo_local_prepare_references(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                        neo_references *out);
/* Reference outputs of a new task. The board must be free. */
neo_status neo_local_make_references(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                     const neo_references *from);
/* Makes the task's inputs and constants again if they were dropped to save memory. */
neo_status neo_local_need_data(neo_ctx *ctx, neo_local *self, neo_local_task *task);
/* The source through the pack's te; name says which of which. Borrowed until the next call. */
neo_status neo_local_transform(neo_ctx *ctx, neo_local *self, const neo_pack *pack,
                               const neo_tensor *source, const char *name, neo_tensor **out);
void neo_local_drop_made(neo_local *self);
void neo_local_task_destroy(neo_local *self, neo_local_task *task);

/* ---- local_judge.c ------------------------------------------------------------------------------- */

neo_trial_result neo_local_result_of(const neo_build *build, neo_trial_kind kind);
/* No honest run of the build is faster. */
double neo_local_least_ns(const neo_local *self, const neo_local_task *task,
                          const neo_build *build);
/* A result from the board in terms of trials. */
neo_trial_result neo_local_judge(const neo_local *self, const neo_local_task *task,
                                 const neo_build *build, const neo_job_result *from);
void neo_local_set_tolerance(const neo_local_task *task, const neo_build *build, neo_job *job);
/* The time of what is in flight in terms of its incumbent's. */
void neo_local_scale(const neo_local *self, bool confirmed, neo_trial_result *result);

/* ---- local_flight.c ------------------------------------------------------------------------------ */

/* The thread is about to do work that takes long: if the board measures, not there. */
void neo_local_step_aside(neo_local *self);
/* Starts and ends the thread that keeps the board at work. */
neo_status neo_local_start_flights(neo_ctx *ctx, neo_local *self);
void neo_local_stop_flights(neo_local *self);
/* Waits until nothing is on the board and the thread rests; it does so until release. May be
 * nested.
 */
void neo_local_hold(neo_local *self);
void neo_local_release(neo_local *self);
/* Held: what is built or to be built comes back as cancelled. */
void neo_local_cancel_ready(neo_local *self);
/* Held, or by the thread: the build becomes the incumbent; takes it over. */
void neo_local_set_incumbent(neo_local *self, neo_local_task *task, neo_build *build, double ns);
/* The job that verifies and times to->build; sets to's n_cases and outputs. */
neo_status neo_local_fill_job(neo_ctx *ctx, neo_shipment *to, const neo_build *incumbent,
                              neo_job *job);
/* The board is gone or mute: starts it again, or leases another, and tries its job once more, then
 * gives the candidate up. Fails if none could be leased before and none is connected. */
neo_status neo_local_revive(neo_ctx *ctx, neo_local *self);

#endif
