/* driver/driver.h: the main jobs as readable calls in order: open a model as tasks, compile it,
 * tune it.
 *
 *   neo_project_open: import -> bind -> optimise -> partition -> choose layouts -> tasks
 *   neo_family_open:  the same for every shape that the model shall have
 *   neo_compile:      per task: schedule from the store, a near record, or the analytic model ->
 * kernels -> artifact neo_tune:         propose -> build and measure -> one committed record per
 * trial -> learn
 *
 * One thread calls; workers are inside. */
#ifndef NEO_DRIVER_DRIVER_H
#define NEO_DRIVER_DRIVER_H

#include "ir/windows.h"
#include "measure/measure.h"
#include "schedule/schedule.h"
#include "search/search.h"
#include "tuning-db/tuning_db.h"

/* ---- a model as tasks -------------------------------------------------------------------------- */

/* A dimension of a binding that takes several values. */
typedef struct neo_vary {
  int binding, dim;
  const char *symbol; /* dimensions of one symbol have one value; NULL: what the model calls the
                         dimension, if anything */
  bool range;         /* every value from value[0] to value[1]; else a list */
  int n;              /* of the list; 0: as the symbol has it elsewhere */
  const int64_t *value;
} neo_vary;

enum { NEO_MAX_VARY = 64, NEO_MAX_SHAPES = 256 };

typedef struct neo_project_options {
  const char *model; /* path */
  int n_bindings;
  const neo_binding *bindings;
  int n_vary; /* neo_family_open only */
  const neo_vary *vary;
  /* Which values of a range get code of their own: the ends and these, or all; default: powers of
   * two. */
  int n_breakpoints;
  const int64_t *breakpoints;
  bool every_value;
  int max_shapes;     /* 0: 32; NEO_MAX_SHAPES at most */
  const char *target; /* NULL: this machine */
  int threads;        /* 0: one per core of this machine */
  neo_accuracy accuracy;
  double max_params_growth; /* of all parameters together; 0: 4 */
  int64_t max_model_bytes;  /* expanded archives and constants while reading; 0: 8 GB */
} neo_project_options;

/* A fused operator with the layouts of its boundary: the unit of tuning. Equal ones are one task.
 */
typedef struct neo_task {
  const neo_group *group;                /* the first group of this task */
  neo_layout layout[NEO_TE_MAX_BUFFERS]; /* of IN and OUT buffers, by te buffer */
  const char *signature;                 /* their text; the record key's last part */
  int weight;                            /* groups of the model that are this task, in all shapes */
  double flops;
} neo_task;

typedef struct neo_project {
  neo_arena arena;
  neo_graph *graph;
  neo_partition partition;
  neo_target target;
  char target_text[NEO_TARGET_TEXT];
  /* Of records: the same, with the GPU's name where it is one; "": neo_choose finds out which. */
  char record_target[NEO_TARGET_TEXT];
  int threads;
  neo_accuracy accuracy;
  double max_params_growth, constant_bytes; /* the latter: of all groups' constants */
  neo_counting counting;                    /* what spaces predict; while tuning only */
  neo_windows windows;                      /* values that are parts of others */
  neo_layout *value_layout;                 /* by graph value; n == 0: row-major */
  int n_shapes;                             /* of its family */
  int n_tasks;                              /* of all shapes */
  neo_task *task;
  int *group_task; /* by group: its task, or -1 (views, runtime operators, needless ones) */
} neo_project;

neo_status neo_project_open(neo_ctx *ctx, const neo_project_options *options, neo_project *out);
void neo_project_close(neo_project *project);
/* The schedule space of a task under this project's constraints: its constants may grow as far as
 * the model can afford if no other task's do. */
neo_status neo_project_space(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                             neo_space **out);

/* FLOPs of one run. */
double neo_project_flops(const neo_project *project);

/* ---- a model of several shapes ----------------------------------------------------------------
 *
 * Every value of a list gets code of its own. So do the breakpoints of a range; a value between two
 * is served by the next higher one, filled up, if it is proven that this changes no result
 * (ir/rows.h); else every value of the range gets code of its own. */

/* One shape. */
typedef struct neo_member {
  neo_project project;
  int64_t rows, rows_least;      /* serves least to rows; 0: exactly its own shapes */
  int *input_rows, *output_rows; /* by graph input, output: 1 + the dimension of the rows, or 0 */
} neo_member;

/* Members share their task array: a task stands for its groups in all of them. Their constants have
 * the same data where they are equal. The first has the largest extents. */
typedef struct neo_family {
  int n;
  neo_member *member;
  neo_arena arena;
} neo_family;

/* NEO_USAGE if it is more shapes than options allow; it says which node is to blame. */
neo_status neo_family_open(neo_ctx *ctx, const neo_project_options *options, neo_family *out);
void neo_family_close(neo_family *family);

/* The te's text with every extent replaced by '#': near workloads share it. */
void neo_workload_family(neo_buf *out, const char *te_text);

/* ---- where a task's schedule comes from ----------------------------------------------------------- */

/* X(enumerator, text) */
#define NEO_CHOICES(X)                                                                             \
  X(HIT, "hit")           /* a record of this very task */                                         \
  X(NEAR, "near-hit")     /* a record of a near workload, transferred */                           \
  X(ANALYTIC, "analytic") /* no usable record */                                                   \
  X(NAIVE, "naive")       /* nothing else lowers: a defect worth reporting */

typedef enum neo_choice_kind {
#define X(name, text) NEO_CHOICE_##name,
  NEO_CHOICES(X)
#undef X
} neo_choice_kind;

typedef struct neo_choice {
  neo_choice_kind kind;
  neo_schedule schedule;
  double ns;        /* of the record; else the prediction */
  char reason[200]; /* why not better: "no record for 2 threads; 1 for 1 thread" */
} neo_choice;

const char *neo_accuracy_name(neo_accuracy accuracy); /* exact default fast */
const char *neo_choice_name(neo_choice_kind kind);
/* The choice of every task: *out[t]. All parameters together grow by max_params_growth at most,
 * where it gains most time per byte. db may be NULL. Never fails for want of records. */
neo_status neo_choose(neo_ctx *ctx, const neo_project *project, neo_db *db, neo_choice **out);

/* ---- compile ------------------------------------------------------------------------------------- */

typedef struct neo_compile_options {
  const char *output;        /* artifact directory */
  const char *codegen;       /* NULL: the target's */
  bool sources;              /* C text of the kernels, too, in output/sources; codegen: c */
  int jobs;                  /* build threads; 0: one per core */
  neo_choice *const *choice; /* by task, as neo_choose made them; NULL: it is called here */
  FILE *table;               /* the hit / near-hit / analytic table; NULL: none */
} neo_compile_options;

typedef struct neo_compile_result {
  int n_tasks, hits, near, analytic;
  double predicted_ns;                /* of one run: sum over groups */
  size_t params_bytes, weights_bytes; /* compiled.params against the model's own constants */
  double generated_share; /* of the model's work in generated kernels, as neo_generated_share */
} neo_compile_result;

neo_status neo_compile(neo_ctx *ctx, const neo_project *project, neo_db *db,
                       const neo_compile_options *options, neo_compile_result *out);
/* One artifact of all its shapes: kernels and stored constants that are the same are in it once. */
neo_status neo_compile_family(neo_ctx *ctx, const neo_family *family, neo_db *db,
                              const neo_compile_options *options, neo_compile_result *out);

/* ---- tune ---------------------------------------------------------------------------------------- */

typedef enum neo_event_kind {
  NEO_EVENT_TASK,
  NEO_EVENT_TRIAL,
  NEO_EVENT_FAILURE,
  NEO_EVENT_DONE
} neo_event_kind;

/* What the progress display sees after each trial. */
typedef struct neo_tune_event {
  neo_event_kind kind;
  int task;                      /* index in the project */
  const neo_trial_result *trial; /* TRIAL and FAILURE */
  const char *schedule;
  bool improved;
} neo_tune_event;

typedef struct neo_task_state {
  int trials, failures;
  double first_ns, best_ns; /* 0 until known */
  double bound_ns;          /* roofline */
  double baseline_ns;       /* OpenBLAS, 0 if not GEMM-shaped */
  bool no_reference;        /* nothing to compare its candidates with: none was measured */
  bool done;
} neo_task_state;

typedef struct neo_tune_options {
  int64_t trials;  /* of this invocation; 0: no limit */
  double budget_s; /* wall clock; 0: no limit (if both are 0: 600 s) */
  uint64_t seed;
  const char *strategy;   /* NULL: evolve */
  const char *cost_model; /* file to start from, of neo_train; NULL: from nothing */
  const char *measurer;   /* NULL: local */
  const char *board_program;
  const char *arguments;           /* JSON array for resume */
  bool (*interrupted)(void *self); /* polled; true: finish cleanly, NEO_INTERRUPTED */
  void (*event)(void *self, const neo_project *project, const neo_task_state *state,
                const neo_tune_event *event);
  void *self;
  bool no_model_check; /* do not compile and run the model at the end */
  bool as_real;        /* tests: simulated times under the real target, for compiling to use */
  FILE *ack;           /* prints "id\n" of each committed trial; NULL: none */
} neo_tune_options;

/* The model's own run, untuned and tuned, at the end of a tuning. */
typedef struct neo_model_check {
  double untuned_ns, tuned_ns; /* 0: not checked, or nothing differs */
  int n_kept;                  /* tasks whose untuned kernel is kept: it is the better one there */
  bool kept_all;               /* the model as a whole is slower tuned: so is all that may be */
  char kept[400];              /* their names */
} neo_model_check;

typedef struct neo_tune_result {
  int64_t run, trials, ok, failed;
  double seconds, busy_share; /* of the measuring core */
  double before_ns, after_ns; /* sums over tasks of weight * (first | best) */
  bool counted;               /* they are counts, not times */
  neo_model_check model;
  int given_up; /* builds that never ended, in threads of this process: end it by _exit */
} neo_tune_result;

/* NEO_NOTHING_MEASURED if no trial of the run was usable, or a task could not be measured at all
 * for want of a reference: the others are tuned all the same. */
neo_status neo_tune(neo_ctx *ctx, const neo_project *project, neo_db *db,
                    const neo_tune_options *options, neo_tune_result *out);
/* Replays a run's recorded measurements through the search: *divergence is the first attempt whose
 * proposal differs, -1 if none. */
neo_status neo_replay(neo_ctx *ctx, const neo_project *project, neo_db *db, int64_t run,
                      int64_t *divergence, int64_t *replayed);

/* ---- a cost model from all records --------------------------------------------------------------- */

typedef struct neo_train_result {
  neo_trained *trained;  /* the caller's: neo_trained_destroy */
  int64_t rows, skipped; /* usable records trained on, and those that are no candidates here */
  int tasks;
  /* Mean rank correlation of estimates and times on tasks that a model of the others had not seen:
   * the trained model's, the analytic model's. */
  int held_out; /* 0: too few tasks */
  double correlation, analytic_correlation;
} neo_train_result;

/* Trains on all usable records of the target (as neo_target_find takes it; NULL: this machine;
 * "simulated", "simulated T" or "simulated miss=COST T": made-up times). NEO_USAGE if they are too
 * few. */
neo_status neo_train(neo_ctx *ctx, neo_db *db, const char *target, neo_train_result *out);

#endif
