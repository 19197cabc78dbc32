/* cli/commands.h: what the commands share: options that name a model, a store, an artifact. */
#ifndef NEO_CLI_COMMANDS_H
#define NEO_CLI_COMMANDS_H

#include "cli/cli.h"
#include "driver/driver.h"

/* Rows of every command that opens a model. */
#define CLI_MODEL_OPTIONS                                                                          \
  {"--target", "T", "device to compile for (see neo targets); default: this machine", false},      \
      {"--input", "NAME=SHAPE[:DTYPE]",                                                            \
       "shape of an input, e.g. x=1,3,224,224; an empty shape is rank 0; a size of several "       \
       "values: 1..8 or 1/4/8, with a name n=1..8 that others repeat: n",                          \
       true},                                                                                      \
      {"--breakpoints", "all|A/B/C",                                                               \
       "sizes of a range that get code of their own; default: powers of two", false},              \
      {"--max-shapes", "N", "limit for shapes with code of their own; default 32", false},         \
      {"--threads", "N", "threads the kernels are made for; default: one per core", false},        \
      {"--accuracy", "exact|default|fast",                                                         \
       "which algorithms may be used: exact sums directly, fast allows F(6x6) and sums in f16",    \
       false},                                                                                     \
      {"--max-model-bytes", "N", "limit for what a model file expands to; default 8 GB", false}, { \
    "--max-params-growth", "X", "limit for stored weights against the model's own; default 4",     \
        false                                                                                      \
  }

#define CLI_DB_OPTION                                                                              \
  {                                                                                                \
    "--db", "URL",                                                                                 \
        "tuning database: a path, sqlite:PATH or none; default $NEO_DB, else the user's data "     \
        "folder",                                                                                  \
        false                                                                                      \
  }

/* --input options as read. */
typedef struct cli_inputs {
  int n_bindings, n_vary;
  neo_binding binding[CLI_MAX_VALUES]; /* -1 where a dimension varies */
  neo_vary vary[NEO_MAX_VARY];
} cli_inputs;

neo_status cli_read_inputs(neo_ctx *ctx, const cli_args *args, neo_arena *arena, cli_inputs *out);
/* Fills in the largest value of every dimension that varies. */
void cli_largest_inputs(cli_inputs *inputs);
/* NAME=SHAPE[:DTYPE]: splits at the first '=', dtype after the last ':' of the value. Dimensions
 * that vary are added to inputs as of binding inputs->n_bindings; NULL: none may. */
neo_status cli_binding(neo_ctx *ctx, neo_arena *arena, const char *text, cli_inputs *inputs,
                       neo_binding *out);
/* The model that the first argument names, under all options of CLI_MODEL_OPTIONS. */
neo_status cli_family(neo_ctx *ctx, const cli_args *args, neo_arena *arena, neo_family *out);
/* The store of --db, $NEO_DB or the data folder; *out NULL for "none" or (read_only) when the
 * default does not exist yet. */
neo_status cli_database(neo_ctx *ctx, const cli_args *args, bool read_only, neo_db **out);
/* "a/b:0" -> "a_b_0". */
void cli_file_name(const char *name, char *out, size_t size);

neo_status cli_compile(neo_ctx *ctx, const cli_args *args);
neo_status cli_run(neo_ctx *ctx, const cli_args *args);
neo_status cli_bench(neo_ctx *ctx, const cli_args *args);
neo_status cli_inspect(neo_ctx *ctx, const cli_args *args);
/* What is in a model file; inspect_model.c. */
neo_status cli_inspect_model(neo_ctx *ctx, const cli_args *args, neo_arena *arena);
neo_status cli_targets(neo_ctx *ctx, const cli_args *args);
neo_status cli_tune(neo_ctx *ctx, const cli_args *args);
neo_status cli_train(neo_ctx *ctx, const cli_args *args);
neo_status cli_resume(neo_ctx *ctx, const cli_args *args);
neo_status cli_runs(neo_ctx *ctx, const cli_args *args);
neo_status cli_replay(neo_ctx *ctx, const cli_args *args);
neo_status cli_report(neo_ctx *ctx, const cli_args *args);
neo_status cli_export(neo_ctx *ctx, const cli_args *args);
neo_status cli_import(neo_ctx *ctx, const cli_args *args);
neo_status cli_doctor(neo_ctx *ctx, const cli_args *args);
neo_status cli_board_install(neo_ctx *ctx, const cli_args *args);
neo_status cli_best(neo_ctx *ctx, const cli_args *args);

/* progress.c: what a person or a program watches while tuning. */
typedef struct cli_progress cli_progress;
cli_progress *cli_progress_create(neo_ctx *ctx, FILE *out, double budget_s, int64_t trials);
void cli_progress_event(void *self, const neo_project *project, const neo_task_state *state,
                        const neo_tune_event *event);
void cli_progress_destroy(cli_progress *progress);

#endif
