/* A model as tasks: import -> bind -> optimise -> partition -> layouts -> unique (workload,
 * layouts).
 *
 * Why: compile, tune and inspect must see the very same tasks, or records would not be found again.
 * Invariant: what opens here depends only on the model, the bindings, the target and the threads,
 * never on the store: a record made today is a hit tomorrow. */
#include <string.h>

#include "driver/driver.h"
#include "driver/stages.h"
#include "frontends/frontends.h"

static void task_signature(neo_arena *arena, neo_task *task) {
  neo_buf buf = {0};
  const neo_te *te = &task->group->te;
  for (int b = 0; b < te->n_buffers; b++) {
    if (task->layout[b].n == 0)
      continue;
    neo_buf_printf(&buf, "%sb%d=", buf.size ? " " : "", b);
    neo_layout_print(&buf, &task->layout[b], te->buffer[b].shape.rank);
  }
  task->signature = neo_arena_strdup(arena, buf.size ? buf.data : "");
  neo_buf_fini(&buf);
}

void neo_task_fill(const neo_project *project, const neo_group *group, neo_arena *arena,
                   neo_task *out) {
  memset(out, 0, sizeof *out);
  out->group = group;
  out->weight = 1;
  out->flops = neo_te_flops(&group->te);
  int arg = 0;
  for (int b = 0; b < group->te.n_buffers; b++) {
    neo_te_role role = group->te.buffer[b].role;
    if (role == NEO_TE_TMP)
      continue;
    if (role != NEO_TE_CONST)
      out->layout[b] = project->value_layout[group->arg[arg]];
    arg++;
  }
  task_signature(arena, out);
}

static void collect_tasks(neo_project *project) {
  const neo_partition *partition = &project->partition;
  neo_map seen = {0};
  project->group_task =
      neo_arena_alloc(&project->arena, sizeof(int) * (size_t)(partition->n_groups + 1));
  project->task =
      neo_arena_alloc(&project->arena, sizeof(neo_task) * (size_t)(partition->n_groups + 1));
  for (int g = 0; g < partition->n_groups; g++) {
    project->group_task[g] = -1;
    if (partition->group[g].kind != NEO_STEP_TE || project->windows.needless[g])
      continue;
    neo_task *fresh = &project->task[project->n_tasks];
    neo_task_fill(project, &partition->group[g], &project->arena, fresh);
    char *name =
        neo_arena_printf(&project->arena, "%s %s", partition->group[g].key, fresh->signature);
    neo_task *known = neo_map_get(&seen, name);
    if (known) {
      known->weight++;
    } else {
      neo_map_put(&seen, name, fresh);
      project->n_tasks++;
      known = fresh;
    }
    project->group_task[g] = (int)(known - project->task);
  }
  neo_map_fini(&seen);
}

static neo_status find_machine(neo_ctx *ctx, const neo_project_options *options,
                               neo_project *project) {
  neo_cores cores;
  NEO_TRY(neo_target_find(ctx, options->target, &project->target));
  neo_target_text(&project->target, project->target_text);
  if (!neo_target_is_gpu(&project->target) || project->target.gpu.device[0])
    memcpy(project->record_target, project->target_text, sizeof project->record_target);
  NEO_TRY(neo_cores_detect(ctx, NULL, &cores));
  project->threads = options->threads > 0 ? options->threads : cores.n;
  return NEO_OK;
}

neo_status neo_project_load(neo_ctx *ctx, const neo_project_options *options, neo_project *out) {
  neo_project project = {.accuracy = options->accuracy,
                         .n_shapes = 1,
                         .max_params_growth =
                             options->max_params_growth > 0 ? options->max_params_growth : 4};
  neo_import_options import = {.n_bindings = options->n_bindings,
                               .binding = options->bindings,
                               .max_model_bytes = options->max_model_bytes};
  neo_arena_init(&project.arena);
  neo_status status = find_machine(ctx, options, &project);
  if (status == NEO_OK)
    status = neo_import(ctx, options->model, &import, &project.graph);
  if (status == NEO_OK)
    status = neo_pass_bind(ctx, project.graph, options->n_bindings, options->bindings);
  if (status == NEO_OK)
    status = neo_graph_optimise(ctx, project.graph);
  if (status == NEO_OK)
    status = neo_graph_flatten(ctx, project.graph);
  if (status == NEO_OK)
    neo_graph_drop_unused(project.graph);
  if (status == NEO_OK)
    status = neo_graph_partition(ctx, project.graph, &project.arena, &project.partition);
  if (status == NEO_OK)
    *out = project;
  else
    neo_project_close(&project);
  return status;
}

neo_status neo_project_finish(neo_ctx *ctx, neo_project *project) {
  for (int g = 0; g < project->partition.n_groups; g++)
    if (project->partition.group[g].kind == NEO_STEP_TE)
      project->constant_bytes += neo_te_constant_bytes(&project->partition.group[g].te);
  neo_windows_find(&project->partition, &project->arena, &project->windows);
  NEO_TRY(neo_project_layouts(ctx, project));
  collect_tasks(project);
  return NEO_OK;
}

neo_status neo_project_open(neo_ctx *ctx, const neo_project_options *options, neo_project *out) {
  neo_project project;
  NEO_TRY(neo_project_load(ctx, options, &project));
  neo_status status = neo_project_finish(ctx, &project);
  if (status == NEO_OK)
    *out = project;
  else
    neo_project_close(&project);
  return status;
}

void neo_project_close(neo_project *project) {
  neo_graph_destroy(project->graph);
  project->graph = NULL;
  neo_arena_fini(&project->arena);
}

double neo_project_flops(const neo_project *project) {
  double sum = 0;
  for (int g = 0; g < project->partition.n_groups; g++)
    if (project->group_task[g] >= 0)
      sum += project->task[project->group_task[g]].flops;
  return sum;
}

double neo_te_constant_bytes(const neo_te *te) {
  double sum = 0;
  int64_t n;
  for (int b = 0; b < te->n_buffers; b++)
    if (te->buffer[b].role == NEO_TE_CONST && neo_shape_elements(&te->buffer[b].shape, &n))
      sum += (double)n * (double)neo_dtype_size(te->buffer[b].dtype);
  return sum;
}

neo_status neo_project_space_within(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                                    double growth, neo_space **out) {
  static const neo_layout row_major = {0};
  neo_space_options options = {.threads = project->threads,
                               .accuracy = project->accuracy,
                               .max_params_growth = growth,
                               .counting = project->counting};
  const neo_te *te = &task->group->te;
  for (int b = 0; b < te->n_buffers; b++)
    if (te->buffer[b].role == NEO_TE_IN || te->buffer[b].role == NEO_TE_OUT)
      options.fixed[b] = task->layout[b].n ? &task->layout[b] : &row_major;
  return neo_space_build(ctx, te, &project->target, &options, out);
}

neo_status neo_project_space(neo_ctx *ctx, const neo_project *project, const neo_task *task,
                             neo_space **out) {
  double own = neo_te_constant_bytes(&task->group->te) * task->weight;
  double spare = (project->max_params_growth - 1) * project->constant_bytes * project->n_shapes;
  return neo_project_space_within(ctx, project, task, own > 0 ? 1 + spare / own : 1, out);
}

void neo_workload_family(neo_buf *out, const char *te_text) {
  for (const char *at = te_text; *at; at++) {
    bool digit = *at >= '0' && *at <= '9';
    bool named = at > te_text && (at[-1] == 'b' || at[-1] == 'B' || at[-1] == 'i' ||
                                  at[-1] == 'f' || at[-1] == 'u');
    if (!digit) {
      neo_buf_append(out, at, 1);
      continue;
    }
    const char *end = at;
    while ((*end >= '0' && *end <= '9') || *end == '.' ||
           (*end == 'e' && (end[1] == '-' || end[1] == '+')) ||
           ((*end == '-' || *end == '+') && end[-1] == 'e'))
      end++;
    if (named)
      neo_buf_append(out, at, (size_t)(end - at));
    else
      neo_buf_append(out, "#", 1);
    at = end - 1;
  }
}

void neo_task_describe(const neo_task *task, neo_description *out) {
  memset(out, 0, sizeof *out);
  neo_te_print(&out->text, &task->group->te);
  neo_workload_family(&out->family, out->text.data);
  out->workload = (neo_db_workload){.key = task->group->key,
                                    .text = out->text.data,
                                    .family = out->family.data,
                                    .name = task->group->name,
                                    .flops = task->flops};
}

void neo_description_fini(neo_description *description) {
  neo_buf_fini(&description->text);
  neo_buf_fini(&description->family);
}
