/* Activation layouts across the whole graph.
 *
 * What: every value of the model gets one memory layout that its producer writes and all its
 * consumers read, so that no transform stands between two kernels. Why: the best layout of one
 * kernel can cost its neighbours more than it gains. How: candidates are row-major, channels-last
 * (logical dims 0,2,..,n-1,1), and channels blocked by a vector (0,1/16,2,..,1%16), where they are
 * whole blocks: a kernel that works through few channels at a time then reads and writes without
 * gaps. A window (ir/windows.h) lies in its whole, and takes part in the whole's choice. Graph
 * inputs and outputs, views, runtime operators' arguments and values that are the same memory in
 * channels-last keep row-major. The cost of a group under given layouts is the analytic prediction
 * of its best schedule (memoised by workload and layouts). From the best of the uniform
 * assignments, coordinate descent changes one value at a time until a sweep finds nothing (iterated
 * conditional modes; the global formulation is that of "Optimizing CNN Model Inference on CPUs",
 * ATC'19). The store is not asked on purpose: compile and tune must arrive at the same tasks
 * whatever has been recorded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "driver/stages.h"

typedef enum form { ROWS, LAST, BLOCKED, FORMS } form;

typedef struct layout_search {
  neo_ctx *ctx;
  neo_project *project;
  neo_map costs;          /* "key signature" -> double* in arena */
  int *whole;             /* by value: whose memory it is part of; itself: nobody's */
  bool *movable;          /* by value: it is a whole, and it and its windows may have any layout */
  bool *parted;           /* by value: it has windows */
  uint8_t *form;          /* by value: its layout's, of movable ones */
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

static neo_layout blocked(int rank, int lanes) {
  neo_layout layout = channels_last(rank);
  for (int d = rank - 1; d > 1; d--)
    layout.dim[d] = (neo_layout_dim){.dim = (int8_t)d, .part = ' '};
  layout.dim[1] = (neo_layout_dim){.dim = 1, .part = '/', .factor = lanes};
  layout.dim[rank] = (neo_layout_dim){.dim = 1, .part = '%', .factor = lanes};
  layout.n = rank + 1;
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
  for (int v = 0; v < graph->n_values; v++) {
    search->whole[v] = neo_windows_whole(windows, v);
    search->parted[search->whole[v]] |= search->whole[v] != v;
  }
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

static bool from_strides(const neo_shape *shape, const int64_t *stride, neo_layout *out) {
  neo_layout made = {.n = shape->rank};
  int order[NEO_MAX_RANK], last = -1;
  int64_t places[NEO_MAX_RANK];
  bool row_major = true;
  if (!neo_strides_nest(shape, stride, order, places))
    return false;
  for (int k = 0; k < shape->rank; k++) {
    int d = order[k];
    bool more = places[k] > shape->dim[d];
    if (places[k] > INT32_MAX)
      return false;
    made.dim[k] = (neo_layout_dim){(int8_t)d, ' ', more ? (int32_t)places[k] : 0};
    row_major = row_major && !more && (shape->dim[d] == 1 || d > last);
    last = shape->dim[d] == 1 ? last : d;
  }
  *out = row_major ? (neo_layout){0} : made;
  return true;
}

/* Of a window whose whole has its layout, and of what is between them. False if it has none. */
static bool lay_window(neo_project *project, int v) {
  const neo_window *window = &project->windows.of[v];
  const neo_value *value = project->graph->value;
  const neo_shape *shape = &value[v].shape;
  int64_t of_base[NEO_MAX_RANK], stride[NEO_MAX_RANK];
  if (window->base < 0)
    return true;
  if (!lay_window(project, window->base))
    return false;
  const neo_shape *base = &value[window->base].shape;
  const neo_layout *whole = &project->value_layout[window->base];
  if (!neo_window_is_box(window, shape->rank) || base->rank != shape->rank)
    return neo_layout_strides(whole, base, of_base) &&
           neo_window_strides(window, base, of_base, shape, stride) &&
           from_strides(shape, stride, &project->value_layout[v]);
  neo_layout_window(whole, base, shape, &project->value_layout[v]);
  return true;
}

static int lanes_of(const layout_search *search) {
  return neo_target_lanes(&search->project->target, true, sizeof(float));
}

/* Windows of blocked wholes would have to begin and end with a block: not offered. */
static bool allows(const layout_search *search, int v, form wanted) {
  const neo_value *value = &search->project->graph->value[v];
  int lanes = lanes_of(search);
  return wanted != BLOCKED || (!search->parted[v] && value->dtype == NEO_F32 && lanes > 1 &&
                               value->shape.dim[1] > lanes && value->shape.dim[1] % lanes == 0);
}

static void lay(layout_search *search, int whole, form wanted) {
  neo_project *project = search->project;
  int rank = project->graph->value[whole].shape.rank;
  search->form[whole] = (uint8_t)wanted;
  project->value_layout[whole] = wanted == LAST      ? channels_last(rank)
                                 : wanted == BLOCKED ? blocked(rank, lanes_of(search))
                                                     : (neo_layout){0};
  for (int u = search->user_start[whole]; u < search->user_start[whole + 1]; u++) {
    const neo_group *group = &project->partition.group[search->user[u]];
    for (int a = 0; a < group->n_args; a++)
      if (group->arg[a] != NEO_NO_VALUE && search->whole[group->arg[a]] == whole)
        neo_assert(lay_window(project, group->arg[a]));
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

static neo_status assign_all(layout_search *search, form wanted, double *total) {
  neo_project *project = search->project;
  for (int v = 0; v < project->graph->n_values; v++)
    if (search->movable[v])
      lay(search, v, allows(search, v, wanted) ? wanted : LAST);
    else if (search->project->windows.of[v].base < 0)
      lay(search, v, ROWS);
  *total = 0;
  for (int g = 0; g < project->partition.n_groups; g++) {
    NEO_TRY(cost_of_group(search, g, &search->group_cost[g]));
    *total += search->group_cost[g];
  }
  return NEO_OK;
}

/* Gives value v and its windows this form if that lowers the cost of the groups that touch them. */
static neo_status try_form(layout_search *search, int v, form wanted, bool *improved) {
  form before = (form)search->form[v];
  if (before == wanted || !allows(search, v, wanted))
    return NEO_OK;
  lay(search, v, wanted);
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
    lay(search, v, before);
    return NEO_OK;
  }
  *improved = true;
  for (int u = search->user_start[v]; u < search->user_start[v + 1]; u++)
    NEO_TRY(cost_of_group(search, search->user[u], &search->group_cost[search->user[u]]));
  return NEO_OK;
}

static neo_status descend(layout_search *search) {
  double least = INFINITY, total = 0;
  form best = ROWS;
  for (form f = ROWS; f < FORMS; f++) {
    NEO_TRY(assign_all(search, f, &total));
    if (total < least) {
      least = total;
      best = f;
    }
  }
  NEO_TRY(assign_all(search, best, &total));
  bool improved = true;
  for (int sweep = 0; sweep < 4 && improved; sweep++) {
    improved = false;
    for (int v = 0; v < search->project->graph->n_values; v++)
      for (form f = ROWS; search->movable[v] && f < FORMS; f++)
        NEO_TRY(try_form(search, v, f, &improved));
  }
  return NEO_OK;
}

/* ---- windows in another order ---------------------------------------------------------------- */

static bool is_within(const neo_project *project, int v, int outer) {
  while (v >= 0 && v != outer)
    v = project->windows.of[v].base;
  return v >= 0;
}

/* The layouts of v and all in it, and the cost of the groups that touch them; infinite if one of
 * them has no layout. */
static neo_status cost_within(layout_search *search, int v, double *out) {
  neo_project *project = search->project;
  *out = 0;
  for (int w = 0; w < project->graph->n_values; w++)
    if (is_within(project, w, v) && !lay_window(project, w)) {
      *out = (double)INFINITY;
      return NEO_OK;
    }
  for (int g = 0; g < project->partition.n_groups; g++) {
    const neo_group *group = &project->partition.group[g];
    bool touches = g == project->windows.of[v].copy;
    double cost = 0;
    for (int a = 0; a < group->n_args && !touches; a++)
      touches = group->arg[a] != NEO_NO_VALUE && is_within(project, group->arg[a], v);
    if (touches)
      NEO_TRY(cost_of_group(search, g, &cost));
    *out += cost;
  }
  return NEO_OK;
}

/* Does a kernel read v, or what is in it, again and again? An operand of a product is worth
 * packing: rows that lie far apart evict each other from the first level. */
static bool is_reused(const neo_project *project, int v) {
  for (int g = 0; g < project->partition.n_groups; g++) {
    const neo_group *group = &project->partition.group[g];
    bool reads = false, reduces = false;
    if (group->kind != NEO_STEP_TE || project->windows.needless[g])
      continue;
    for (int a = 0; a < group->n_inputs; a++)
      reads = reads || is_within(project, group->arg[a], v);
    for (int k = 0; k < group->te.n_blocks; k++)
      reduces = reduces || group->te.block[k].n_reduce > 0;
    if (reads && reduces)
      return true;
  }
  return false;
}

/* Windows that change the order of dims stay if their readers and writers lose less than the copy
 * costs. What lies inside a window is decided before it. */
static neo_status decide_orders(layout_search *search) {
  neo_project *project = search->project;
  for (int v = project->graph->n_values - 1; v >= 0; v--) {
    neo_window *window = &project->windows.of[v];
    int base = window->base;
    double there = 0, own = 0;
    if (base < 0 || window->copy < 0)
      continue;
    NEO_TRY(cost_within(search, v, &there));
    if (is_reused(project, v))
      there = (double)INFINITY;
    window->base = -1;
    project->windows.needless[window->copy] = false;
    project->value_layout[v] = (neo_layout){0};
    NEO_TRY(cost_within(search, v, &own));
    if (own < there)
      continue;
    window->base = base;
    project->windows.needless[window->copy] = true;
    NEO_TRY(cost_within(search, v, &there));
  }
  return NEO_OK;
}

neo_status neo_project_layouts(neo_ctx *ctx, neo_project *project) {
  size_t n = (size_t)project->graph->n_values + 1;
  project->value_layout = neo_arena_alloc(&project->arena, sizeof(neo_layout) * n);
  layout_search search = {.ctx = ctx, .project = project};
  search.whole = neo_arena_alloc(&project->arena, sizeof(int) * n);
  search.movable = neo_arena_alloc(&project->arena, sizeof(bool) * n);
  search.parted = neo_arena_alloc(&project->arena, sizeof(bool) * n);
  search.form = neo_arena_alloc(&project->arena, n);
  search.group_cost =
      neo_arena_alloc(&project->arena, sizeof(double) * (size_t)(project->partition.n_groups + 1));
  find_movable(&search);
  find_users(&search);
  neo_status status = descend(&search);
  if (status == NEO_OK)
    status = decide_orders(&search);
  neo_map_fini(&search.costs);
  return status;
}
