/* measure/measure.h: candidates become verified times. A measurer builds, ships, verifies and times
 * candidates; every failure is a result with a kind and a text, never an abort of the run.
 *
 * Threads: a measurer belongs to one thread (the pump); its build pool and agents are inside. */
#ifndef NEO_MEASURE_MEASURE_H
#define NEO_MEASURE_MEASURE_H

#include "codegen/codegen.h"
#include "runtime/runtime.h"
#include "schedule/schedule.h"

/* X(enumerator, text): stored in the database by text. */
#define NEO_TRIAL_KINDS(X)                                                                         \
  X(OK, "ok")                                                                                      \
  X(BUILD, "build-error")                                                                          \
  X(LOAD, "load-error")                                                                            \
  X(CRASH, "crash")                                                                                \
  X(HANG, "hang")                                                                                  \
  X(WRONG, "wrong")                                                                                \
  X(REDZONE, "redzone")                                                                            \
  X(STALE, "stale")                                                                                \
  X(IMPLAUSIBLE, "implausible") /* faster than 0.9 x the bound of what it executes */              \
  X(SLOW, "raced")              /* stopped: far slower than the incumbent; ns is an estimate */    \
  X(DUPLICATE, "duplicate")     /* same machine code as an earlier trial; ns is that trial's */    \
  X(BOARD_LOST, "board-lost")                                                                      \
  X(REFERENCE, "no-reference") /* the task's reference could not be made: not the candidate's */   \
  X(CANCELLED, "cancelled")

typedef enum neo_trial_kind {
#define X(name, text) NEO_TRIAL_##name,
  NEO_TRIAL_KINDS(X)
#undef X
      NEO_TRIAL_KIND_COUNT
} neo_trial_kind;

const char *neo_trial_kind_name(neo_trial_kind kind);
/* Does ns hold a usable time? (ok, raced, duplicate of such) */
bool neo_trial_usable(neo_trial_kind kind);

typedef struct neo_trial_result {
  uint64_t id; /* as submitted */
  neo_trial_kind kind;
  double ns;    /* median per run */
  double ratio; /* to the incumbent, interleaved; 0: none */
  int n_repeats;
  double repeats[NEO_MAX_REPEATS];
  double max_error;   /* of verification, in units of the tolerance */
  double fmas, bytes; /* executed, from the nest */
  double build_ns, measure_ns;
  char code_hash[33];
  char phase[16]; /* lower build load verify time */
  int signal;
  char text[400]; /* reason of a failure, with a repro hint */
} neo_trial_result;

typedef struct neo_measurer neo_measurer;

typedef struct neo_measure_options {
  int threads;       /* of the kernels; >= 1 */
  int build_threads; /* 0: from neo_cores_split */
  neo_timing_policy timing;
  int build_timeout_ms; /* of one candidate: 0: 60000 */
  int run_timeout_ms;   /* verify + time of one candidate; 0: 5000 plus what the reference's speed
                           says */
  const char *board_program; /* path of neo-board; NULL: beside the running executable */
  const char *codegen;       /* NULL: the target's */
  uint64_t seed;             /* of the data */
  /* From any thread; true: nobody waits for a board any more. What is pending comes back as
   * cancelled, and what would need a board is NEO_INTERRUPTED. NULL: never. */
  bool (*interrupted)(void *self);
  void *self;
} neo_measure_options;

/* url: "local" (neo-board --stdio), "rpc://..." (boards that connect, measure/remote.c),
 * "emulated:ARCH" (aarch64, armv7, riscv64: neo-board-ARCH under qemu, instructions and cache
 * misses for times), "wine" (neo-board.exe under wine), "simulated:FILE" (plays recorded times
 * back; no code runs; FILE
 * "" = a synthetic deterministic landscape from the analytic model). Rows of measure/measurers.def.
 */
neo_status neo_measurer_open(neo_ctx *ctx, const char *url, const neo_target *target,
                             const neo_measure_options *options, neo_measurer **out);
void neo_measurer_close(neo_measurer *measurer);

/* Announces a task; id is the caller's number for it. Reference outputs are made here once per
 * (workload, seed), by the widened te (local_reference.c). NEO_UNREACHABLE and NEO_NO_MEMORY are
 * the machine's trouble, any other failure is this task's alone. */
neo_status neo_measurer_task(neo_ctx *ctx, neo_measurer *measurer, int task, const neo_te *te,
                             const char *key);
void neo_measurer_drop(neo_measurer *measurer,
                       int task); /* frees references and blobs of a finished task */

/* Queues a candidate; never blocks for long; NEO_OK means exactly one result with this id will
 * come. */
neo_status neo_measurer_submit(neo_ctx *ctx, neo_measurer *measurer, uint64_t id, int task,
                               const neo_schedule *schedule);
/* Next finished result, waiting at most timeout_ms (0: poll). *got false when none. */
neo_status neo_measurer_poll(neo_ctx *ctx, neo_measurer *measurer, int timeout_ms,
                             neo_trial_result *out, bool *got);
int neo_measurer_pending(const neo_measurer *measurer);
int neo_measurer_capacity(
    const neo_measurer *measurer); /* how many to keep queued so that the board never idles */
void neo_measurer_cancel(neo_measurer *measurer); /* pending ones come back as cancelled */
/* The best known schedule of a task and its recorded time (0: not known): later candidates are
 * timed interleaved against it, and their ns is their ratio to it times its ns, so that times of
 * several runs compare. It is verified first: one that fails here is NEO_BAD_INPUT and does not
 * become the incumbent. May block for as long as one trial. A measurer takes a faster candidate as
 * the incumbent by itself; a schedule slower than the present one changes nothing. */
neo_status neo_measurer_incumbent(neo_ctx *ctx, neo_measurer *measurer, int task,
                                  const neo_schedule *schedule, double ns);

/* Makes this machine quiet, for something else to be timed on it: no builds run until it is called
 * again with false. Waits for those that run. */
void neo_measurer_quiet(neo_measurer *measurer, bool quiet);
/* Are its times made up? Then they must not be used for compiling. */
bool neo_measurer_is_simulated(const neo_measurer *measurer);
/* What it counts, in place of times. */
neo_counting neo_measurer_counting(const neo_measurer *measurer);
/* What stands before the target in its records: "" where times are real, else "simulated " or
 * "simulated miss=COST " with another cost of a miss than NEO_MISS_COST. */
const char *neo_measurer_record_prefix(const neo_measurer *measurer);
/* Does it measure on other machines? Then nothing that runs here compares with its times. */
bool neo_measurer_is_remote(const neo_measurer *measurer);
/* Builds that were given up and still run in threads of this process: it should end by _exit. */
int neo_measurer_given_up(const neo_measurer *measurer);

/* Machine facts measured through the measurer at open. */
typedef struct neo_machine_facts {
  double peak_gflops; /* FMA peak at these threads, generated code, f32 */
  double bandwidth;   /* bytes per ns */
  char cpu_model[64];
  char gpu[NEO_GPU_DEVICE]; /* where the target is one: which, as its driver calls it */
} neo_machine_facts;
const neo_machine_facts *neo_measurer_facts(const neo_measurer *measurer);

/* Runs a te once on row-major tensors (one per buffer, TMPs NULL) with code generated for this
 * machine, in this process: packing of constants. Falls back to the interpreter. */
neo_status neo_measure_native(neo_ctx *ctx, const neo_te *te, neo_tensor *const *buffers);

/* OpenBLAS sgemm time in ns for a GEMM-shaped te (loaded at run time with dlopen); NEO_UNSUPPORTED
 * if it is not one or the library is absent. core receives openblas_get_corename(). */
bool neo_measure_has_baseline(const neo_te *te);
neo_status neo_measure_baseline(neo_ctx *ctx, const neo_te *te, int threads, double *out_ns,
                                char core[32]);

#endif
