/* neo-tune and its subcommands. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/host.h"
#include "cli/commands.h"
#include "report/report.h"

static neo_status need_database(neo_ctx *ctx, const cli_args *args, bool read_only, neo_db **out) {
  NEO_TRY(cli_database(ctx, args, read_only, out));
  if (!*out)
    return neo_fail(ctx, NEO_USAGE,
                    "there is no tuning database: name one with --db PATH (default: %s)",
                    read_only ? "none was made yet" : "the user's data folder");
  return NEO_OK;
}

static char *arguments_json(const cli_args *args, neo_buf *out) {
  json_t *list = json_array();
  for (int i = 1; i < args->argc; i++)
    json_array_append_new(list, json_string(args->argv[i]));
  neo_json_print(out, list, false);
  json_decref(list);
  return out->data;
}

static neo_status tune_options(neo_ctx *ctx, const cli_args *args, neo_tune_options *options) {
  int64_t seed = 1;
  NEO_TRY(cli_int(ctx, args, "--trials", 1, 1000000000, &options->trials));
  NEO_TRY(cli_int(ctx, args, "--seed", 0, INT64_MAX, &seed));
  const char *budget = cli_value(args, "--budget", NULL);
  if (budget)
    NEO_TRY(cli_duration(ctx, budget, &options->budget_s));
  options->seed = (uint64_t)seed;
  const char *measurer = cli_value(args, "--measure", "local");
  bool is_real = strncmp(measurer, "simulated", 9) != 0 && strncmp(measurer, "emulated", 8) != 0;
  if (!is_real && !cli_value(args, "--db", NULL))
    return neo_fail(ctx, NEO_USAGE,
                    "--measure %s: its times are not real; name a database of their own with --db",
                    measurer);
  options->measurer = cli_value(args, "--measure", NULL);
  options->strategy = cli_value(args, "--strategy", NULL);
  options->cost_model = cli_value(args, "--cost-model", NULL);
  options->board_program = cli_value(args, "--board", NULL);
  options->no_model_check = cli_has(args, "--no-model-check");
  if (cli_has(args, "--acks"))
    options->ack = stdout;
  options->interrupted = cli_interrupted;
  return NEO_OK;
}

static void summarise(FILE *out, const neo_tune_result *result) {
  fprintf(out,
          "run %lld: %lld trials (%lld usable, %lld failed) in %.1f s, %.1f trials/s, board busy "
          "%.0f %%\n",
          (long long)result->run, (long long)result->trials, (long long)result->ok,
          (long long)result->failed, result->seconds,
          result->seconds > 0 ? (double)result->trials / result->seconds : 0,
          100 * result->busy_share);
  if (result->counted)
    fprintf(out, "sum of kernel counts: %.0f before, %.0f after (instructions and cache misses)\n",
            result->before_ns, result->after_ns);
  else
    fprintf(out, "sum of kernel times: %.3f ms before, %.3f ms after\n", result->before_ns / 1e6,
            result->after_ns / 1e6);
  const neo_model_check *model = &result->model;
  if (model->tuned_ns > 0)
    fprintf(out, "the model: %.3f ms untuned, %.3f ms tuned\n", model->untuned_ns / 1e6,
            model->tuned_ns / 1e6);
  if (model->kept_all && model->n_kept > 0)
    fprintf(out,
            "the model is slower tuned than untuned: %d tasks keep their untuned kernels: %s\n",
            model->n_kept, model->kept);
  else if (model->kept_all)
    fprintf(out,
            "the model is slower tuned than untuned, but no untuned kernel is known to be right\n");
  else if (model->n_kept > 0)
    fprintf(out, "%d tasks keep their untuned kernels, which are faster in the model%s: %s\n",
            model->n_kept,
            model->tuned_ns > model->untuned_ns ? " (it was slower tuned than untuned)" : "",
            model->kept);
}

/* Code generation that never ended runs in threads of ours: destructors must not run under it. */
static void leave_builds_behind(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fprintf(stderr, "neo-tune: %s\n", ctx->message);
  fflush(NULL);
  _exit((int)status);
}

neo_status cli_tune(neo_ctx *ctx, const cli_args *args) {
  neo_arena arena;
  neo_family family = {0};
  neo_db *db = NULL;
  neo_buf arguments = {0};
  neo_tune_options options = {0};
  neo_tune_result result = {0};
  neo_arena_init(&arena);
  cli_catch_signals();
  neo_memory_keep();
  if (!cli_has(args, "--quiet"))
    cli_show_information(ctx);
  neo_status status = tune_options(ctx, args, &options);
  if (status == NEO_OK)
    status = need_database(ctx, args, false, &db);
  if (status == NEO_OK)
    status = cli_family(ctx, args, &arena, &family);
  if (status == NEO_OK) {
    FILE *out = options.ack ? stderr : stdout;
    cli_progress *progress = cli_has(args, "--quiet")
                                 ? NULL
                                 : cli_progress_create(ctx, out, options.budget_s, options.trials);
    options.arguments = arguments_json(args, &arguments);
    options.event = progress ? cli_progress_event : NULL;
    options.self = progress;
    status = neo_tune(ctx, &family.member[0].project, db, &options, &result);
    cli_progress_destroy(progress);
    if (result.run > 0)
      summarise(out, &result);
    neo_family_close(&family);
  }
  neo_db_close(db);
  neo_buf_fini(&arguments);
  neo_arena_fini(&arena);
  if (result.given_up > 0)
    leave_builds_behind(ctx, status);
  return status;
}

/* ---- train ------------------------------------------------------------------------------------------ */

static neo_status save_trained(neo_ctx *ctx, const neo_train_result *result, const char *path) {
  size_t size = 0;
  const char *file = neo_trained_file(result->trained, &size);
  NEO_TRY(neo_file_write(ctx, path, file, size));
  printf("%s: %lld records of %d tasks, %zu KB; target %s\n", path, (long long)result->rows,
         result->tasks, size / 1000, neo_trained_target(result->trained));
  if (result->skipped > 0)
    printf("%lld records are no candidates of this version and were left out\n",
           (long long)result->skipped);
  if (result->held_out > 0)
    printf("rank correlation on %d held-out tasks: %.3f trained, %.3f analytic alone\n",
           result->held_out, result->correlation, result->analytic_correlation);
  else
    printf("no rank correlation: too few tasks to hold any out\n");
  return NEO_OK;
}

neo_status cli_train(neo_ctx *ctx, const cli_args *args) {
  neo_db *db = NULL;
  neo_train_result result = {0};
  const char *path = cli_value(args, "--output", cli_value(args, "-o", NULL));
  if (!path)
    return neo_fail(ctx, NEO_USAGE, "say where the cost model goes: --output FILE");
  NEO_TRY(need_database(ctx, args, true, &db));
  neo_status status = neo_train(ctx, db, cli_value(args, "--target", NULL), &result);
  if (status == NEO_OK)
    status = save_trained(ctx, &result, path);
  neo_trained_destroy(result.trained);
  neo_db_close(db);
  return status;
}

/* ---- runs ------------------------------------------------------------------------------------------- */

typedef struct run_search {
  int64_t want; /* 0: the newest */
  int64_t id;
  char *arguments;
} run_search;

static bool match_run(void *self, const neo_db_run *run) {
  run_search *search = self;
  if (search->want && run->id != search->want)
    return true;
  search->id = run->id;
  search->arguments = strdup(run->arguments);
  return false;
}

static neo_status run_argument(neo_ctx *ctx, const cli_args *args, int k, int64_t *out) {
  neo_scan scan;
  *out = 0;
  if (args->n_arguments <= k)
    return NEO_OK;
  neo_scan_init(&scan, args->argument[k]);
  if (!neo_scan_int(&scan, out) || !neo_scan_end(&scan) || *out < 1)
    return neo_fail(ctx, NEO_USAGE, "'%s' is no run; `neo-tune runs` lists them",
                    args->argument[k]);
  return NEO_OK;
}

static neo_status find_run(neo_ctx *ctx, const cli_args *args, neo_db *db, run_search *out) {
  memset(out, 0, sizeof *out);
  NEO_TRY(run_argument(ctx, args, 0, &out->want));
  NEO_TRY(neo_db_visit_runs(ctx, db, match_run, out));
  if (out->id == 0)
    return neo_fail(ctx, NEO_USAGE, "the database holds no such run; `neo-tune runs` lists them");
  return NEO_OK;
}

/* Starts this program anew with a run's arguments (and this --db): same model, same options. */
static neo_status with_arguments(neo_ctx *ctx, const cli_args *args, const char *text,
                                 json_t **list, char **argv) {
  NEO_TRY(neo_json_parse(ctx, "run arguments", text, strlen(text), list));
  int n = 0;
  argv[n++] = args->argv[0];
  size_t i;
  json_t *word;
  json_array_foreach(*list, i, word) {
    if (n >= CLI_MAX_VALUES - 4)
      return neo_fail(ctx, NEO_BAD_INPUT, "the run's arguments are too many");
    argv[n++] = (char *)json_string_value(word);
  }
  const char *db = cli_value(args, "--db", NULL);
  if (db) {
    argv[n++] = "--db";
    argv[n++] = (char *)db;
  }
  argv[n] = NULL;
  return NEO_OK;
}

neo_status cli_resume(neo_ctx *ctx, const cli_args *args) {
  neo_db *db = NULL;
  run_search run = {0};
  json_t *list = NULL;
  char *argv[CLI_MAX_VALUES];
  neo_status status = need_database(ctx, args, true, &db);
  if (status == NEO_OK)
    status = find_run(ctx, args, db, &run);
  neo_db_close(db);
  if (status == NEO_OK)
    status = with_arguments(ctx, args, run.arguments, &list, argv);
  if (status == NEO_OK) {
    int n = 0;
    while (argv[n])
      n++;
    status = (neo_status)cli_main(args->program, n, argv);
    if (status != NEO_OK)
      neo_fail(ctx, status, "run %lld did not resume to its end", (long long)run.id);
  }
  json_decref(list);
  free(run.arguments);
  return status;
}

static bool print_run(void *self, const neo_db_run *run) {
  (void)self;
  printf("%6lld  %-11s  %d threads  seed %llu  %s\n        %s\n", (long long)run->id, run->state,
         run->threads, (unsigned long long)run->seed, run->model, run->arguments);
  return true;
}

neo_status cli_runs(neo_ctx *ctx, const cli_args *args) {
  neo_db *db = NULL;
  neo_status status = need_database(ctx, args, true, &db);
  if (status == NEO_OK)
    status = neo_db_visit_runs(ctx, db, print_run, NULL);
  neo_db_close(db);
  return status;
}

/* The model and options of the run, from its stored arguments. */
static neo_status replay_run(neo_ctx *ctx, const cli_args *args, neo_db *db,
                             const run_search *run) {
  json_t *list = NULL;
  char *argv[CLI_MAX_VALUES];
  neo_family family = {0};
  neo_arena arena;
  neo_arena_init(&arena);
  int64_t divergence = -1, replayed = 0;
  neo_status status = with_arguments(ctx, args, run->arguments, &list, argv);
  cli_args stored = {.program = args->program, .argv = argv};
  while (status == NEO_OK && argv[stored.argc])
    stored.argc++;
  if (status == NEO_OK)
    status = cli_parse(ctx, &stored);
  if (status == NEO_OK)
    status = cli_family(ctx, &stored, &arena, &family);
  if (status == NEO_OK) {
    status = neo_replay(ctx, &family.member[0].project, db, run->id, &divergence, &replayed);
    neo_family_close(&family);
  }
  if (status == NEO_OK && divergence >= 0)
    status = neo_fail(
        ctx, NEO_BAD_INPUT,
        "run %lld diverges at trial %lld after %lld equal ones: other records, options or version",
        (long long)run->id, (long long)divergence, (long long)replayed);
  if (status == NEO_OK)
    printf("run %lld: %lld trials replayed, every proposal equal\n", (long long)run->id,
           (long long)replayed);
  json_decref(list);
  neo_arena_fini(&arena);
  return status;
}

neo_status cli_replay(neo_ctx *ctx, const cli_args *args) {
  neo_db *db = NULL;
  run_search run = {0};
  neo_status status = need_database(ctx, args, true, &db);
  if (status == NEO_OK)
    status = find_run(ctx, args, db, &run);
  if (status == NEO_OK)
    status = replay_run(ctx, args, db, &run);
  free(run.arguments);
  neo_db_close(db);
  return status;
}

neo_status cli_report(neo_ctx *ctx, const cli_args *args) {
  neo_db *db = NULL;
  int64_t run = 0;
  const char *dir = cli_value(args, "--output-dir", "neo-report");
  neo_status status = run_argument(ctx, args, 0, &run);
  if (status == NEO_OK)
    status = need_database(ctx, args, true, &db);
  if (status == NEO_OK)
    status = neo_report_write(ctx, db, run, dir);
  if (status == NEO_OK)
    printf("%s/report.html\n", dir);
  neo_db_close(db);
  return status;
}

/* ---- records --------------------------------------------------------------------------------------------- */

neo_status cli_export(neo_ctx *ctx, const cli_args *args) {
  neo_db *db = NULL;
  const char *path = args->n_arguments ? args->argument[0] : "-";
  NEO_TRY(need_database(ctx, args, true, &db));
  bool to_stdout = strcmp(path, "-") == 0;
  FILE *out = to_stdout ? stdout : fopen(path, "w");
  neo_status status =
      out ? neo_db_export(ctx, db, out) : neo_fail(ctx, NEO_IO, "%s cannot be written", path);
  if (out && !to_stdout && fclose(out) != 0 && status == NEO_OK)
    status = neo_fail(ctx, NEO_IO, "%s cannot be written: is the disk full?", path);
  neo_db_close(db);
  return status;
}

neo_status cli_import(neo_ctx *ctx, const cli_args *args) {
  neo_db *db = NULL;
  NEO_TRY(need_database(ctx, args, false, &db));
  neo_status status = NEO_OK;
  for (int i = 0; i < args->n_arguments && status == NEO_OK; i++) {
    int64_t good = 0, bad = 0;
    FILE *in = fopen(args->argument[i], "r");
    status = in ? neo_db_import(ctx, db, in, args->argument[i], &good, &bad)
                : neo_fail(ctx, NEO_IO, "%s cannot be read", args->argument[i]);
    if (in)
      fclose(in);
    if (status == NEO_OK)
      printf("%s: %lld rows imported, %lld skipped\n", args->argument[i], (long long)good,
             (long long)bad);
  }
  neo_db_close(db);
  return status;
}

static neo_status print_best(neo_ctx *ctx, const neo_project *project, neo_db *db,
                             neo_arena *arena) {
  neo_choice **choice = neo_arena_alloc(arena, sizeof *choice * (size_t)(project->n_tasks + 1));
  for (int t = 0; t < project->n_tasks; t++)
    choice[t] = neo_arena_alloc(arena, sizeof **choice);
  NEO_TRY(neo_choose(ctx, project, db, choice));
  for (int t = 0; t < project->n_tasks; t++) {
    neo_buf line = {0};
    neo_schedule_print(&line, &choice[t]->schedule);
    printf("%-9s %10.1f us  %s %s\n    %s\n", neo_choice_name(choice[t]->kind), choice[t]->ns / 1e3,
           project->task[t].group->name, choice[t]->reason, line.data);
    neo_buf_fini(&line);
  }
  return NEO_OK;
}

neo_status cli_best(neo_ctx *ctx, const cli_args *args) {
  neo_arena arena;
  neo_family family = {0};
  neo_db *db = NULL;
  neo_arena_init(&arena);
  neo_status status = need_database(ctx, args, true, &db);
  if (status == NEO_OK)
    status = cli_family(ctx, args, &arena, &family);
  if (status == NEO_OK) {
    status = print_best(ctx, &family.member[0].project, db, &arena);
    neo_family_close(&family);
  }
  neo_db_close(db);
  neo_arena_fini(&arena);
  return status;
}
