/* driver/stages.h: what the files of this folder share. */
#ifndef NEO_DRIVER_STAGES_H
#define NEO_DRIVER_STAGES_H

#include "base/host.h"
#include "driver/driver.h"

/* choose_layouts.c: fills project->value_layout. */
neo_status neo_project_layouts(neo_ctx *ctx, neo_project *project);
void neo_task_fill(const neo_project *project, const neo_group *group, neo_arena *arena,
                   neo_task *out);

/* project.c: the two halves of neo_project_open: up to the partition, and layouts and tasks. */
neo_status neo_project_load(neo_ctx *ctx, const neo_project_options *options, neo_project *out);
/* ---- record_target.c ---- */
void neo_target_text(const neo_target *target, char out[NEO_TARGET_TEXT]);
/* The target of the records that are to be used; db may be NULL. */
neo_status neo_record_target(neo_ctx *ctx, const neo_target *target, neo_db *db,
                             char out[NEO_TARGET_TEXT]);
neo_status neo_project_finish(neo_ctx *ctx, neo_project *project);

/* family.c: another project's constants become the first's where they are equal. */
void neo_constants_share(neo_project *first, neo_project *other);

/* project.c: a task as the store describes workloads; owns its texts. */
typedef struct neo_description {
  neo_buf text, family;
  neo_db_workload workload;
} neo_description;
void neo_task_describe(const neo_task *task, neo_description *out);
void neo_description_fini(neo_description *description);

/* choose.c: does the schedule still mean a legal program for this task? If not, ctx says why. */
bool neo_task_replays(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                      const neo_schedule *schedule);

/* One schedule a task may take. */
typedef struct neo_alternative {
  neo_choice choice;
  double bytes; /* of its constants as it stores them, of all its groups */
} neo_alternative;

enum { NEO_ALTERNATIVES = 16 };
typedef struct neo_alternatives {
  int n;                                   /* >= 1 */
  neo_alternative *item[NEO_ALTERNATIVES]; /* in arena; the fastest first */
  char reason[200];                        /* why no better ones */
} neo_alternatives;

/* choose.c: the best record of each algorithm, or what stands in for records. db may be NULL. */
neo_status neo_task_alternatives(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                                 neo_db *db, neo_arena *arena, neo_alternatives *out);
/* Adds the analytic model's picks whose constants do not grow. */
neo_status neo_task_add_plain(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                              neo_arena *arena, neo_alternatives *all);

/* project.c: bytes of the te's constants, as the model has them. */
double neo_te_constant_bytes(const neo_te *te);
/* The space whose constants are at most growth times the task's own. */
neo_status neo_project_space_within(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                                    double growth, neo_space **out);

/* build.c: a task with its schedule, nest and machine code. */
typedef struct neo_built {
  neo_arena arena; /* owns nest and packing */
  neo_choice choice;
  neo_nest nest;
  neo_te te; /* as rewritten by the algorithm */
  neo_packing packing;
  neo_object object;
  char symbol[32];
  int align; /* as the nest's */
} neo_built;

/* Lowering and code of every task's choice, on `jobs` threads. built: project->n_tasks entries,
 * zero but for the choice and align; free each with neo_built_fini also on failure. */
neo_status neo_build_tasks(neo_ctx *ctx, const neo_project *project, const neo_codegen *codegen,
                           int jobs, neo_built *built);
void neo_built_fini(neo_built *built);

/* params.c: the constants of every kernel in their stored form, equal ones once. */
typedef struct neo_params {
  neo_arena arena;
  neo_buf data;
  neo_map offsets; /* "constant layout te-key" -> neo_stored in arena */
  neo_map blocks;  /* "bytes checksum" -> the newest stored block of these, in arena */
  size_t weights_bytes;
} neo_params;

void neo_params_init(neo_params *params);

typedef struct neo_stored {
  int64_t offset, bytes; /* in data */
} neo_stored;
/* Where its data are is a constant's identity: they must stay there. */
neo_status neo_params_add(neo_ctx *ctx, neo_params *params, const neo_tensor *constant,
                          const neo_pack *pack, neo_stored *out);
void neo_params_fini(neo_params *params);

/* assemble.c: the plan: value slots, steps, memory. Everything in arena. */
typedef struct neo_assembled {
  neo_plan plan;
  const char **functions; /* the kernels' names in the order of the plan's function numbers */
  int n_functions;
} neo_assembled;
/* Kernels of a GPU rely on where their buffers begin (neo/abi.h); a window begins where its whole
 * has it. Lowers built's align to what holds for all of a member's groups. */
void neo_assemble_align(const neo_project *project, neo_built *built);
neo_status neo_assemble(neo_ctx *ctx, const neo_project *project, const neo_built *built,
                        neo_params *params, neo_arena *arena, neo_assembled *out);

/* describe.c: compiled_model.json and compiled.meta. */
/* The share of the model's work that generated kernels do: their FLOPs against an estimate for the
 * runtime operators, one operation for every element that they read or write. 0..1. */
double neo_generated_share(const neo_project *project);
void neo_describe_model(neo_buf *out, const neo_plan *plan);
void neo_describe_meta(neo_buf *out, const neo_family *family, const neo_built *built,
                       const neo_params *params, const char *codegen);

/* ---- tune.c: the search side of a run, shared by tuning and replay ----------------------------------- */

enum { TUNER_ROUND = 8, TUNER_COUNTED_ROUND = 2 };

typedef struct tuner_task {
  neo_space *space;
  neo_search *search;
  double prior_ns; /* best before this run, 0: none */
  int failed_in_a_row;
} tuner_task;

typedef struct neo_tuner {
  const neo_project *project;
  neo_db *db;
  neo_model *model;
  neo_trained *trained; /* what the model starts from; NULL: nothing */
  tuner_task *task;
  neo_budget_task *budget;
  uint64_t seed;
  const char *strategy;
  int64_t run, attempts;
  double peak_gflops;                     /* of the machine that measured */
  char target_text[NEO_TARGET_TEXT + 32]; /* of records: the measurer's prefix, the project's */
  int64_t last_prior;                     /* what the run knows of the store: rows up to this id */
  json_t *near;                           /* workload key -> schedules of near workloads */
} neo_tuner;

/* Proposals for one task; ns <= 0: failed. */
typedef struct tuner_round {
  int task, n, submitted, done;
  int64_t first_attempt;
  neo_candidate candidate[TUNER_ROUND];
  double ns[TUNER_ROUND], spent_ns[TUNER_ROUND];
} tuner_round;

neo_status neo_tuner_init(neo_ctx *ctx, neo_tuner *tuner, const neo_project *project, neo_db *db,
                          uint64_t seed, const char *strategy);
/* What the budget starts from, once the peak is known: every task's roofline, and what its earlier
 * trials took and reached; a task that has some needs no first round. */
neo_status neo_tuner_begin(neo_ctx *ctx, neo_tuner *tuner);
void neo_tuner_fini(neo_tuner *tuner);
/* The next round; n == 0 when every task is exhausted. */
neo_status neo_tuner_propose(neo_ctx *ctx, neo_tuner *tuner, tuner_round *round);
neo_status neo_tuner_tell(neo_ctx *ctx, neo_tuner *tuner, const tuner_round *round);

/* ---- train.c: a run that starts from a trained cost model ---------------------------------------------- */

/* After init, once target_text is final; NEO_USAGE if the model is of another target. */
neo_status neo_tuner_start(neo_ctx *ctx, neo_tuner *tuner, const char *data, size_t size);
neo_status neo_tuner_start_file(neo_ctx *ctx, neo_tuner *tuner, const char *path);
/* Writes the model down with the run, and starts from what was written down; neither does anything
 * without one. */
neo_status neo_tuner_note_start(neo_ctx *ctx, neo_tuner *tuner);
neo_status neo_tuner_start_noted(neo_ctx *ctx, neo_tuner *tuner);

/* ---- model_check.c ----------------------------------------------------------------------------------- */

/* Compiles the model with and without the store, runs both in turn, and records the untuned
 * schedule as the best of tasks where it is. board: of the records made. */
neo_status neo_check_model(neo_ctx *ctx, const neo_project *project, neo_db *db, const char *board,
                           neo_model_check *out);

enum { NEO_MODEL_PAIRS = 40 };

/* Times of runs in pairs, in ns. */
typedef struct neo_model_runs {
  int pairs, n_tasks;            /* 1 to NEO_MODEL_PAIRS */
  const double *untuned, *tuned; /* by pair and task, and the whole model's after its tasks' */
  const bool *may_keep;          /* by task: there is an untuned kernel, known to be right */
} neo_model_runs;

/* ratio: by task, tuned over untuned where the untuned kernel is kept, else 0. True if the model is
 * slower tuned than untuned whichever kernels lose: then all that may be are kept. */
bool neo_model_judge(const neo_model_runs *runs, double *ratio);

#endif
