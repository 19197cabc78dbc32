/* compile: a project's tasks become kernels, constants are packed, the plan is assembled, the
 * artifact written.
 *
 * Invariant: nothing appears under the output's name until everything is complete. */
#include <stdlib.h>
#include <string.h>

#include "driver/stages.h"

static void print_table(FILE *out, const neo_project *project, const neo_built *built) {
  fprintf(out, "%-9s %4s %10s %10s  %-28s %s\n", "schedule", "x", "MFLOP", "us", "task", "reason");
  for (int t = 0; t < project->n_tasks; t++) {
    const neo_task *task = &project->task[t];
    const neo_choice *choice = &built[t].choice;
    fprintf(out, "%-9s %4d %10.2f %10.1f  %-28.28s %s\n", neo_choice_name(choice->kind),
            task->weight, task->flops / 1e6, choice->ns / 1e3, task->group->name, choice->reason);
  }
}

static void summarise(const neo_project *project, const neo_built *built, const neo_params *params,
                      neo_compile_result *out) {
  memset(out, 0, sizeof *out);
  out->n_tasks = project->n_tasks;
  for (int t = 0; t < project->n_tasks; t++) {
    out->hits += built[t].choice.kind == NEO_CHOICE_HIT;
    out->near += built[t].choice.kind == NEO_CHOICE_NEAR;
    out->analytic += built[t].choice.kind == NEO_CHOICE_ANALYTIC;
  }
  for (int g = 0; g < project->partition.n_groups; g++)
    if (project->group_task[g] >= 0)
      out->predicted_ns += built[project->group_task[g]].choice.ns;
  out->params_bytes = params->data.size;
  out->weights_bytes = params->weights_bytes;
  out->generated_share = neo_generated_share(project);
}

static uint32_t *row_dims(neo_arena *arena, int n, const int *dim) {
  uint32_t *out = neo_arena_alloc(arena, sizeof *out * (size_t)(n + 1));
  for (int i = 0; i < n; i++)
    out[i] = (uint32_t)dim[i];
  return out;
}

/* The plans of all shapes, chained to the first. Parameters are complete only after the last. */
static neo_status assemble_all(neo_ctx *ctx, const neo_family *family, const neo_built *built,
                               neo_params *params, neo_arena *arena, neo_assembled *out) {
  neo_plan *more = neo_arena_alloc(arena, sizeof *more * (size_t)family->n);
  for (int k = 0; k < family->n; k++) {
    const neo_member *member = &family->member[k];
    neo_assembled made;
    NEO_TRY(neo_assemble(ctx, &member->project, built, params, arena, &made));
    made.plan.rows = member->rows;
    made.plan.rows_least = member->rows_least;
    if (member->rows) {
      const neo_graph *graph = member->project.graph;
      made.plan.input_rows = row_dims(arena, graph->n_inputs, member->input_rows);
      made.plan.output_rows = row_dims(arena, graph->n_outputs, member->output_rows);
    }
    if (k == 0)
      *out = made;
    else
      more[k - 1] = made.plan;
  }
  out->plan.n_more = (uint32_t)(family->n - 1);
  out->plan.more = more;
  out->plan.params_bytes = (int64_t)params->data.size;
  return NEO_OK;
}

static neo_status print_sources(neo_ctx *ctx, const neo_project *project, const neo_built *built,
                                neo_buf *source) {
  const neo_codegen *c = neo_codegen_find("c");
  neo_status status = NEO_OK;
  for (int t = 0; t < project->n_tasks && status == NEO_OK; t++)
    status = c->text(ctx, &built[t].nest, &project->target, built[t].symbol, &source[t]);
  return status;
}

static neo_status write_artifact(neo_ctx *ctx, const neo_family *family, const neo_built *built,
                                 neo_params *params, const neo_compile_options *options,
                                 const char *codegen) {
  const neo_project *project = &family->member[0].project;
  neo_arena arena;
  neo_arena_init(&arena);
  neo_assembled *made = neo_arena_alloc(&arena, sizeof *made);
  neo_buf binary = {0}, json = {0}, meta = {0};
  const neo_object **objects =
      neo_arena_alloc(&arena, sizeof *objects * (size_t)(project->n_tasks + 1));
  for (int t = 0; t < project->n_tasks; t++)
    objects[t] = &built[t].object;
  neo_buf *source = neo_arena_alloc(&arena, sizeof *source * (size_t)(project->n_tasks + 1));
  neo_status status = assemble_all(ctx, family, built, params, &arena, made);
  if (status == NEO_OK && options->sources)
    status = print_sources(ctx, project, built, source);
  if (status == NEO_OK)
    status = neo_plan_encode(ctx, &made->plan, &binary);
  if (status == NEO_OK) {
    neo_describe_model(&json, &made->plan);
    neo_describe_meta(&meta, family, built, params, codegen);
    neo_artifact artifact = {.object = objects,
                             .n_objects = project->n_tasks,
                             .function = made->functions,
                             .n_functions = made->n_functions,
                             .plan = (const uint8_t *)binary.data,
                             .plan_size = binary.size,
                             .params = params->data.data,
                             .params_size = params->data.size,
                             .model_json = json.data,
                             .meta = meta.data,
                             .source = source,
                             .n_sources = options->sources ? project->n_tasks : 0};
    status = neo_artifact_write(ctx, options->output, &project->target, &artifact);
  }
  neo_buf_fini(&binary);
  neo_buf_fini(&json);
  neo_buf_fini(&meta);
  for (int t = 0; t < project->n_tasks; t++)
    neo_buf_fini(&source[t]);
  neo_arena_fini(&arena);
  return status;
}

static neo_status choose(neo_ctx *ctx, const neo_project *project, neo_db *db,
                         const neo_compile_options *options, neo_built *built) {
  neo_arena scratch;
  neo_arena_init(&scratch);
  neo_choice **choice = neo_arena_alloc(&scratch, sizeof *choice * (size_t)(project->n_tasks + 1));
  for (int t = 0; t < project->n_tasks; t++) {
    choice[t] = &built[t].choice;
    if (options->choice)
      *choice[t] = *options->choice[t];
  }
  neo_status status = options->choice ? NEO_OK : neo_choose(ctx, project, db, choice);
  neo_arena_fini(&scratch);
  return status;
}

neo_status neo_compile_family(neo_ctx *ctx, const neo_family *family, neo_db *db,
                              const neo_compile_options *options, neo_compile_result *out) {
  const neo_project *project = &family->member[0].project;
  const neo_codegen *codegen = NULL;
  NEO_TRY(neo_codegen_choose(ctx, options->codegen, &project->target, &codegen));
  if (options->sources && strcmp(codegen->name, "c") != 0)
    return neo_fail(ctx, NEO_USAGE, "sources are C: say --codegen c --sources");
  NEO_TRY(neo_artifact_check_output(ctx, options->output));
  neo_cores cores;
  NEO_TRY(neo_cores_detect(ctx, NULL, &cores));
  neo_built *built = calloc((size_t)project->n_tasks + 1, sizeof *built);
  if (!built)
    return neo_fail(ctx, NEO_NO_MEMORY, "compile: %d tasks", project->n_tasks);
  neo_params params;
  neo_params_init(&params);
  neo_status status = choose(ctx, project, db, options, built);
  for (int k = 0; k < family->n && neo_target_is_gpu(&project->target); k++)
    neo_assemble_align(&family->member[k].project, built);
  if (status == NEO_OK)
    status =
        neo_build_tasks(ctx, project, codegen, options->jobs > 0 ? options->jobs : cores.n, built);
  if (status == NEO_OK && options->table)
    print_table(options->table, project, built);
  if (status == NEO_OK)
    status = write_artifact(ctx, family, built, &params, options, codegen->name);
  if (status == NEO_OK)
    summarise(project, built, &params, out);
  neo_params_fini(&params);
  for (int t = 0; t < project->n_tasks; t++)
    neo_built_fini(&built[t]);
  free(built);
  return status;
}

neo_status neo_compile(neo_ctx *ctx, const neo_project *project, neo_db *db,
                       const neo_compile_options *options, neo_compile_result *out) {
  neo_member member = {.project = *project};
  neo_family family = {.n = 1, .member = &member};
  return neo_compile_family(ctx, &family, db, options, out);
}
