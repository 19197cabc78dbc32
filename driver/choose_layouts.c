/* Activation layouts across the whole graph.
 *
 * What: every value of the model gets one memory layout that its producer writes and all its
 * consumers read, so that no transform stands between two kernels. Why: the best layout of one
 * kernel can cost its neighbours more than it gains. How: candidates are row-major and
 * channels-last (logical dims 0,2,..,n-1,1). A window (ir/windows.h) lies in its whole, and takes
 * part in the whole's choice. Graph inputs and outputs, views, runtime operators'
 * arguments and values whose two layouts are the same memory keep row-major. The cost of a group
 * under given layouts is the analytic prediction of its best schedule (memoised by workload and
 * layouts). From the better of the two uniform assignments, coordinate descent flips one value at a
 * time until a sweep finds nothing (iterated conditional modes; the global formulation is that of
 * "Optimizing CNN Model Inference on CPUs", ATC'19). The store is not asked on purpose: compile and
 * tune must arrive at the same tasks whatever has been recorded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver/stages.h"

typedef struct layout_search {
  neo_ctx *ctx;
  neo_project *project;
  neo_map costs;          /* "key signature" -> double* in arena */
  int *whole;             /* by value: whose memory it is part of; itself: nobody's */
  bool *movable;          /* by value: it is a whole, and it and its windows may have any layout */
  int *user_start, *user; /* groups touching each whole or its windows, CSR */
  double *group_cost;
} layout_search;

static neo_layout channels_last(int rank) {
  neo_layout layout = {.n = rank};
  for (int d = 0; d < rank; d++)
    layout.dim[d] = (neo_layout_dim){.dim = (int8_t)(d == 0          ? 0
                                                     : d == rank - 1 ? 1
                                                                     : d + 1),
                                     .part = ' '};
  return layout;
}

/* Would channels-last be the same memory as row-major? */
static bool trivial(const neo_shape *shape) {
  int64_t inner = 1;
  for (int d = 2; d < shape->rank; d++)
    inner *= shape->dim[d];
  return shape->dim[1] == 1 || inner == 1;
}

static void find_movable(layout_search *search) {
  const neo_graph *graph = search->project->graph;
  const neo_windows *windows = &search->project->windows;
  for (int v = 0; v < graph->n_values; v++)
    search->whole[v] = neo_windows_whole(windows, v);
  for (int v = 0; v < graph->n_values; v++) {
    const neo_value *value = &graph->value[v];
    if (value->shape.rank >= 3 && value->shape.rank <= 5 && !trivial(&value->shape))
      search->movable[search->whole[v]] = true;
  }
  for (int v = 0; v < graph->n_values; v++) {
    const neo_value *value = &graph->value[v];
    if (value->node < 0 || value->constant || !windows->untouched[v])
      search->movable[search->whole[v]] = false;
  }
  for (int i = 0; i < graph->n_outputs; i++)
    search->movable[search->whole[graph->output[i]]] = false;
}

static void find_users(layout_search *search) {
  const neo_partition *partition = &search->project->partition;
  int n_values = search->project->graph->n_values;
  int *count = calloc((size_t)n_values + 2, sizeof(int));
  neo_assert(count);
  int total = 0;
  for (int g = 0; g < partition->n_groups; g++)
    for (int a = 0; a < partition->group[g].n_args; a++, total++)
      if (partition->group[g].arg[a] != NEO_NO_VALUE)
        count[search->whole[partition->group[g].arg[a]] + 1]++;
  for (int v = 0; v < n_values; v++)
    count[v + 1] += count[v];
  search->user_start =
      neo_arena_copy(&search->project->arena, count, sizeof(int) * (size_t)(n_values + 1));
  search->user = neo_arena_alloc(&search->project->arena, sizeof(int) * (size_t)(total + 1));
  for (int g = 0; g < partition->n_groups; g++)
    for (int a = 0; a < partition->group[g].n_args; a++)
      if (partition->group[g].arg[a] != NEO_NO_VALUE)
        search->user[count[search->whole[partition->group[g].arg[a]]]++] = g;
  free(count);
}

/* ---- layouts --------------------------------------------------------------------------------- */

/* Of a window whose whole has its layout, and of what is between them. */
static void lay_window(neo_project *project, int v) {
  const neo_window *window = &project->windows.of[v];
  const neo_value *value = project->graph->value;
  if (window->base < 0)
    return;
  lay_window(project, window->base);
  neo_layout_window(&project->value_layout[window->base], &value[window->base].shape,
                    &value[v].shape, &project->value_layout[v]);
}

static void lay(layout_search *search, int whole, bool last) {
  neo_project *project = search->project;
  project->value_layout[whole] =
      last ? channels_last(project->graph->value[whole].shape.rank) : (neo_layout){0};
  for (int u = search->user_start[whole]; u < search->user_start[whole + 1]; u++) {
    const neo_group *group = &project->partition.group[search->user[u]];
    for (int a = 0; a < group->n_args; a++)
      if (group->arg[a] != NEO_NO_VALUE && search->whole[group->arg[a]] == whole)
        lay_window(project, group->arg[a]);
  }
}

static neo_status predict(layout_search *search, const neo_task *task, double *out) {
  neo_space *space = NULL;
  NEO_TRY(neo_project_space(search->ctx, search->project, task, &space));
  neo_candidate best;
  neo_space_analytic(space, 1, &best);
  *out = neo_space_predict(space, &best);
  neo_space_destroy(space);
  return NEO_OK;
}

static neo_status cost_of_group(layout_search *search, int g, double *out) {
  const neo_group *group = &search->project->partition.group[g];
  if (group->kind != NEO_STEP_TE || search->project->windows.needless[g]) {
    *out = 0;
    return NEO_OK;
  }
  neo_arena arena;
  neo_arena_init(&arena);
  neo_task *task = neo_arena_alloc(&arena, sizeof *task);
  neo_task_fill(search->project, group, &arena, task);
  char *name = neo_arena_printf(&arena, "%s %s", group->key, task->signature);
  double *known = neo_map_get(&search->costs, name);
  neo_status status = NEO_OK;
  if (!known) {
    known = neo_arena_alloc(&search->project->arena, sizeof *known);
    status = predict(search, task, known);
    if (status == NEO_OK)
      neo_map_put(&search->costs, name, known);
  }
  if (status == NEO_OK)
    *out = *known;
  neo_arena_fini(&arena);
  return status;
}

static neo_status assign_all(layout_search *search, bool last, double *total) {
  neo_project *project = search->project;
  for (int v = 0; v < project->graph->n_values; v++)
    if (search->movable[v] || search->project->windows.of[v].base < 0)
      lay(search, v, last && search->movable[v]);
  *total = 0;
  for (int g = 0; g < project->partition.n_groups; g++) {
    NEO_TRY(cost_of_group(search, g, &search->group_cost[g]));
    *total += search->group_cost[g];
  }
  return NEO_OK;
}

/* Flips value v and its windows if that lowers the cost of the groups that touch them. */
static neo_status try_flip(layout_search *search, int v, bool *improved) {
  bool last = search->project->value_layout[v].n > 0;
  lay(search, v, !last);
  double gain = 0;
  int seen = -1;
  for (int u = search->user_start[v]; u < search->user_start[v + 1]; u++) {
    double cost = 0;
    if (search->user[u] == seen)
      continue;
    seen = search->user[u];
    NEO_TRY(cost_of_group(search, seen, &cost));
    gain += search->group_cost[seen] - cost;
  }
  if (gain <= 1) {
    lay(search, v, last);
    return NEO_OK;
  }
  *improved = true;
  for (int u = search->user_start[v]; u < search->user_start[v + 1]; u++)
    NEO_TRY(cost_of_group(search, search->user[u], &search->group_cost[search->user[u]]));
  return NEO_OK;
}

static neo_status descend(layout_search *search) {
  double rows = 0, last = 0;
  NEO_TRY(assign_all(search, false, &rows));
  NEO_TRY(assign_all(search, true, &last));
  if (rows < last)
    NEO_TRY(assign_all(search, false, &rows));
  bool improved = true;
  for (int sweep = 0; sweep < 4 && improved; sweep++) {
    improved = false;
    for (int v = 0; v < search->project->graph->n_values; v++)
      if (search->movable[v])
        NEO_TRY(try_flip(search, v, &improved));
  }
  return NEO_OK;
}

neo_status neo_project_layouts(neo_ctx *ctx, neo_project *project) {
  size_t n = (size_t)project->graph->n_values + 1;
  project->value_layout = neo_arena_alloc(&project->arena, sizeof(neo_layout) * n);
  layout_search search = {.ctx = ctx, .project = project};
  search.whole = neo_arena_alloc(&project->arena, sizeof(int) * n);
  search.movable = neo_arena_alloc(&project->arena, sizeof(bool) * n);
  search.group_cost =
      neo_arena_alloc(&project->arena, sizeof(double) * (size_t)(project->partition.n_groups + 1));
  find_movable(&search);
  find_users(&search);
  neo_status status = descend(&search);
  neo_map_fini(&search.costs);
  return status;
}
