/* neo inspect: a model before compiling (graph, passes, tasks, spaces), or an artifact after
 * (schedules). */
#include <stdlib.h>
#include <string.h>

#include "base/host.h"
#include "cli/commands.h"
#include "frontends/frontends.h"

/* ---- an artifact ---------------------------------------------------------------------------------- */

static void print_meta_task(const json_t *task, bool schedules) {
  printf("%-9s %4lld x %10.2f MFLOP %10.1f us  %s (%s)\n",
         json_string_value(json_object_get(task, "origin")),
         (long long)json_integer_value(json_object_get(task, "weight")),
         json_number_value(json_object_get(task, "flops")) / 1e6,
         json_number_value(json_object_get(task, "ns")) / 1e3,
         json_string_value(json_object_get(task, "name")),
         json_string_value(json_object_get(task, "op")));
  if (schedules)
    printf("    %s\n", json_string_value(json_object_get(task, "schedule")));
}

/* "shape 1: x f32[5..8,3] y f32[3], 0.123 GFLOP" */
static void print_meta_shapes(const json_t *shapes) {
  size_t k;
  json_t *shape, *input;
  const char *name;
  json_array_foreach(shapes, k, shape) {
    printf("shape %d:", (int)k);
    json_object_foreach(json_object_get(shape, "inputs"), name, input)
        printf(" %s %s", name, json_string_value(input));
    printf(", %.3f GFLOP\n", json_number_value(json_object_get(shape, "flops")) / 1e9);
  }
}

static neo_status inspect_artifact(neo_ctx *ctx, const cli_args *args, const char *dir) {
  char path[1100];
  snprintf(path, sizeof path, "%s/compiled.meta", dir);
  neo_buf text = {0};
  json_t *meta = NULL, *task;
  size_t i;
  neo_status status = neo_file_read(ctx, path, 256u << 20, &text);
  if (status == NEO_OK)
    status = neo_json_parse(ctx, path, text.data, text.size, &meta);
  if (status == NEO_OK && cli_has(args, "--json")) {
    puts(text.data);
  } else if (status == NEO_OK) {
    json_array_foreach(json_object_get(meta, "tasks"), i, task)
        print_meta_task(task, cli_has(args, "--schedule"));
    long long runtime = (long long)json_integer_value(json_object_get(meta, "runtime_operators"));
    printf("%s: neo %s, %s, %lld threads, %.3f GFLOP\n",
           json_string_value(json_object_get(meta, "model")),
           json_string_value(json_object_get(meta, "neo")),
           json_string_value(json_object_get(meta, "target")),
           (long long)json_integer_value(json_object_get(meta, "threads")),
           json_number_value(json_object_get(meta, "flops")) / 1e9);
    print_meta_shapes(json_object_get(meta, "shapes"));
    const json_t *share = json_object_get(meta, "generated_share");
    if (share)
      printf("generated kernels: %.2f %% of the work (runtime kernels: %lld steps, counted as one "
             "operation per element)\n",
             100 * json_number_value(share), runtime);
  }
  json_decref(meta);
  neo_buf_fini(&text);
  return status;
}

/* ---- a model ----------------------------------------------------------------------------------------- */

/* The model as read, with the --input options known to the reader: *inputs, in arena. */
static neo_status import_model(neo_ctx *ctx, const cli_args *args, neo_arena *arena,
                               cli_inputs **inputs, neo_graph **out) {
  *inputs = neo_arena_alloc(arena, sizeof **inputs);
  NEO_TRY(cli_read_inputs(ctx, args, arena, *inputs));
  cli_largest_inputs(*inputs);
  neo_import_options options = {.n_bindings = (*inputs)->n_bindings, .binding = (*inputs)->binding};
  NEO_TRY(
      cli_int(ctx, args, "--max-model-bytes", 1 << 20, INT64_MAX / 2, &options.max_model_bytes));
  return neo_import(ctx, args->argument[0], &options, out);
}

static neo_status inspect_passes(neo_ctx *ctx, const cli_args *args, neo_arena *arena) {
  neo_graph *graph = NULL;
  cli_inputs *inputs = NULL;
  int n_passes = 0;
  const neo_pass *pass = neo_pass_list(&n_passes);
  neo_status status = import_model(ctx, args, arena, &inputs, &graph);
  if (status == NEO_OK)
    status = neo_pass_bind(ctx, graph, inputs->n_bindings, inputs->binding);
  for (int p = -1; p < n_passes && status == NEO_OK; p++) {
    if (p >= 0)
      status = neo_pass_run(ctx, &pass[p], graph);
    if (status != NEO_OK)
      break;
    neo_buf out = {0};
    neo_graph_print(&out, graph, false);
    printf("# after %s\n%s\n", p < 0 ? "import" : pass[p].name, out.data);
    neo_buf_fini(&out);
  }
  neo_graph_destroy(graph);
  return status;
}

static neo_status print_space(neo_ctx *ctx, const neo_project *project, const neo_task *task) {
  neo_space *space = NULL;
  NEO_TRY(neo_project_space(ctx, project, task, &space));
  neo_candidate best;
  neo_schedule *schedule = neo_alloc(ctx, sizeof *schedule);
  neo_buf out = {0};
  neo_space_print(&out, space);
  if (schedule) {
    neo_space_analytic(space, 1, &best);
    neo_space_schedule(space, &best, schedule);
    neo_buf_printf(&out, "analytic pick: %.1f us\n  ", neo_space_predict(space, &best) / 1e3);
    neo_schedule_print(&out, schedule);
  }
  printf("%s\n\n", out.data);
  neo_buf_fini(&out);
  neo_free(ctx, schedule);
  neo_space_destroy(space);
  return NEO_OK;
}

static json_t *task_json(const neo_task *task) {
  neo_buf te = {0};
  neo_te_print(&te, &task->group->te);
  json_t *out = json_pack(
      "{s:o, s:s, s:s, s:s, s:i, s:f, s:f, s:s}", "name", neo_json_name(task->group->name), "op",
      task->group->op, "workload", task->group->key, "layouts", task->signature, "weight",
      task->weight, "flops", task->flops, "bytes", neo_te_bytes(&task->group->te), "te", te.data);
  neo_buf_fini(&te);
  return out;
}

static neo_status print_tasks(neo_ctx *ctx, const cli_args *args, const neo_project *project) {
  json_t *rows = json_array();
  double flops = 0;
  neo_status status = NEO_OK;
  for (int t = 0; t < project->n_tasks && status == NEO_OK; t++) {
    const neo_task *task = &project->task[t];
    flops += task->flops * task->weight;
    if (cli_has(args, "--json")) {
      json_array_append_new(rows, task_json(task));
      continue;
    }
    printf("%s %3d x %10.2f MFLOP  %s (%s) %s\n", task->group->key, task->weight, task->flops / 1e6,
           task->group->name, task->group->op, task->signature);
    if (cli_has(args, "--space"))
      status = print_space(ctx, project, task);
  }
  neo_buf out = {0};
  neo_json_print(&out, rows, true);
  if (cli_has(args, "--json"))
    puts(out.data);
  else
    printf("%d tasks, %.3f GFLOP\n", project->n_tasks, flops / 1e9);
  neo_buf_fini(&out);
  json_decref(rows);
  return status;
}

/* What only a model or only an artifact can show is not passed over in silence. */
static neo_status refuse_options(neo_ctx *ctx, const cli_args *args, bool artifact) {
  static const char *const of_models[] = {"--tasks", "--passes", "--space"};
  for (int k = 0; artifact && k < NEO_COUNT(of_models); k++)
    if (cli_has(args, of_models[k]))
      return neo_fail(ctx, NEO_USAGE, "%s is of a model; %s is an artifact: --schedule shows its",
                      of_models[k], args->argument[0]);
  if (!artifact && cli_has(args, "--schedule"))
    return neo_fail(ctx, NEO_USAGE,
                    "--schedule is of an artifact that `neo compile` made; --space shows what a "
                    "model's tasks may have");
  return NEO_OK;
}

neo_status cli_inspect(neo_ctx *ctx, const cli_args *args) {
  char meta[1100];
  snprintf(meta, sizeof meta, "%s/compiled.meta", args->argument[0]);
  bool artifact = neo_file_exists(meta);
  NEO_TRY(refuse_options(ctx, args, artifact));
  if (artifact)
    return inspect_artifact(ctx, args, args->argument[0]);
  neo_target target;
  NEO_TRY(neo_target_find(ctx, cli_value(args, "--target", NULL), &target));
  neo_arena arena;
  neo_arena_init(&arena);
  neo_family family = {0};
  neo_status status;
  if (cli_has(args, "--passes")) {
    status = inspect_passes(ctx, args, &arena);
  } else if (cli_has(args, "--tasks") || cli_has(args, "--space")) {
    status = cli_family(ctx, args, &arena, &family);
    if (status == NEO_OK) {
      status = print_tasks(ctx, args, &family.member[0].project);
      neo_family_close(&family);
    }
  } else {
    status = cli_inspect_model(ctx, args, &arena);
  }
  neo_arena_fini(&arena);
  return status;
}
