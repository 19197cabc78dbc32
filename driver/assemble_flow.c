/* Control flow in the plan: the steps of `if` and `loop` (flattened, ir/graph.h).
 *
 * if: a BRANCH step, then the steps of both graphs. What a graph computes only to return it is
 * written to the result's memory at once; anything else (a captured value, a constant, a view, the
 * same value twice) is copied there.
 *
 * loop: every state has one block of memory, which is also the loop's result. Initial states are
 * copied to it, then comes a LOOP step and its body. At the body's end rows go to their stacked
 * outputs first, then the condition and the new states to their blocks; a new state that is another
 * state's old one is saved before, since all states change at once. */
#include "driver/assembly.h"

#include <string.h>

typedef struct flow_if {
  int region[2];
  int n_out;
  const int *cond, *out, *inner[2]; /* inner: what then and else return */
} flow_if;

static flow_if read_if(const assembly *a, const neo_group *group) {
  const neo_node *node = &a->project->graph->node[group->node[0]];
  flow_if f = {.n_out = node->n_outputs, .cond = node->input, .out = node->output};
  f.region[0] = (int)neo_node_int(node, "then_region", 0);
  f.region[1] = (int)neo_node_int(node, "else_region", 0);
  f.inner[0] = node->input + 1;
  f.inner[1] = node->input + 1 + f.n_out;
  return f;
}

typedef struct flow_loop {
  int region, n_state, n_scan;
  int trips, cond, next_cond, i;
  const int *init, *last, *scan, *inside, *next, *row;
} flow_loop;

static flow_loop read_loop(const assembly *a, const neo_group *group) {
  const neo_node *node = &a->project->graph->node[group->node[0]];
  flow_loop f = {.region = (int)neo_node_int(node, "region", 0),
                 .n_state = (int)neo_node_int(node, "n_state", 0),
                 .trips = node->input[0],
                 .cond = node->input[1],
                 .init = node->input + 2,
                 .last = node->output};
  f.n_scan = node->n_outputs - 2 * f.n_state - 1;
  f.next_cond = node->input[2 + f.n_state];
  f.next = f.init + f.n_state + 1;
  f.row = f.next + f.n_state;
  f.scan = f.last + f.n_state;
  f.i = node->output[f.n_state + f.n_scan];
  f.inside = f.scan + f.n_scan + 1;
  return f;
}

static bool is_if(const neo_group *group) {
  return strcmp(group->op, "if") == 0;
}

/* Made by a step of this region (not a view), and not yet somewhere else's memory. */
static bool may_write_directly(const assembly *a, int v, int region) {
  const neo_value *value = &a->project->graph->value[v];
  if (value->node < 0 || value->constant || a->root[v] != v)
    return false;
  const neo_node *node = &a->project->graph->node[value->node];
  return node->region == region && (node->op->lower || node->op->runtime) && node->op->fuse != 'v';
}

void assembly_flow_roots(assembly *a, const neo_group *group) {
  if (is_if(group)) {
    flow_if f = read_if(a, group);
    for (int b = 0; b < 2; b++)
      for (int k = 0; k < f.n_out; k++)
        if (may_write_directly(a, f.inner[b][k], f.region[b]))
          a->root[f.inner[b][k]] = assembly_root(a, f.out[k]);
  } else {
    flow_loop f = read_loop(a, group);
    for (int k = 0; k < f.n_state; k++)
      a->root[f.inside[k]] = assembly_root(a, f.last[k]);
  }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static int copy_step(assembly *a, const neo_group *group, const char *what, int n_args) {
  return assembly_step(a, NEO_PLAN_COPY, neo_arena_printf(a->arena, "%s (%s)", group->name, what),
                       n_args);
}

/* A copy between plan values. */
static void copy(assembly *a, const neo_group *group, const char *what, int from, int to) {
  int at = copy_step(a, group, what, 2);
  a->plan->step[at].arg[0] = (uint32_t)from;
  a->plan->step[at].arg[1] = (uint32_t)to;
}

static neo_status copy_value(assembly *a, const neo_group *group, const char *what, int from,
                             int to) {
  int source, destination, at = (int)a->plan->n_steps;
  if (assembly_root(a, from) == assembly_root(a, to))
    return NEO_OK;
  NEO_TRY(assembly_value(a, from, at, &source));
  NEO_TRY(assembly_value(a, to, at, &destination));
  copy(a, group, what, source, destination);
  return NEO_OK;
}

static neo_status assemble_if(assembly *a, const neo_group *group) {
  flow_if f = read_if(a, group);
  int id,
      at = assembly_step(a, NEO_PLAN_BRANCH, neo_arena_printf(a->arena, "%s (if)", group->name), 1);
  NEO_TRY(assembly_value(a, f.cond[0], at, &id));
  a->plan->step[at].arg[0] = (uint32_t)id;
  for (int k = 0; k < f.n_out; k++)
    NEO_TRY(assembly_value(a, f.out[k], at, &id));
  for (int b = 0; b < 2; b++) {
    uint32_t before = a->plan->n_steps;
    NEO_TRY(assembly_region(a, f.region[b]));
    for (int k = 0; k < f.n_out; k++)
      NEO_TRY(copy_value(a, group, b ? "else" : "then", f.inner[b][k], f.out[k]));
    *(b ? &a->plan->step[at].second : &a->plan->step[at].first) = a->plan->n_steps - before;
  }
  return NEO_OK;
}

/* The block of the condition: a constant if nothing changes it. */
static neo_status loop_condition(assembly *a, const neo_group *group, const flow_loop *f,
                                 int *out) {
  const neo_value *first = &a->project->graph->value[f->cond];
  const neo_value *next = &a->project->graph->value[f->next_cond];
  int id, at = (int)a->plan->n_steps;
  NEO_TRY(assembly_value(a, f->cond, at, &id));
  if (first->constant && next->constant && neo_tensor_get_i64(next->constant, 0)) {
    *out = id;
    return NEO_OK;
  }
  *out = assembly_temporary(a, f->cond, at);
  copy(a, group, "first condition", id, *out);
  return NEO_OK;
}

static neo_status store_rows(assembly *a, const neo_group *group, const flow_loop *f) {
  for (int k = 0; k < f->n_scan; k++) {
    int row, scan, i, at = copy_step(a, group, "row", 3);
    NEO_TRY(assembly_value(a, f->row[k], at, &row));
    NEO_TRY(assembly_value(a, f->scan[k], at, &scan));
    NEO_TRY(assembly_value(a, f->i, at, &i));
    memcpy(a->plan->step[at].arg, ((uint32_t[3]){(uint32_t)row, (uint32_t)scan, (uint32_t)i}),
           3 * sizeof(uint32_t));
  }
  return NEO_OK;
}

/* Is v the memory of a state other than k that changes in this iteration? */
static bool is_other_state(const assembly *a, const flow_loop *f, int k, int v) {
  int root = assembly_root(a, v);
  for (int j = 0; j < f->n_state; j++)
    if (j != k && root == assembly_root(a, f->last[j]) && root != assembly_root(a, f->last[k]))
      return true;
  return false;
}

static neo_status next_states(assembly *a, const neo_group *group, const flow_loop *f) {
  int *saved = neo_arena_alloc(a->arena, sizeof *saved * (size_t)(f->n_state + 1)), id;
  for (int k = 0; k < f->n_state; k++) {
    saved[k] = -1;
    if (!is_other_state(a, f, k, f->next[k]))
      continue;
    int at = (int)a->plan->n_steps;
    NEO_TRY(assembly_value(a, f->next[k], at, &id));
    saved[k] = assembly_temporary(a, f->last[k], at);
    copy(a, group, "save", id, saved[k]);
  }
  for (int k = 0; k < f->n_state; k++) {
    int at = (int)a->plan->n_steps;
    if (saved[k] < 0) {
      NEO_TRY(copy_value(a, group, "state", f->next[k], f->last[k]));
      continue;
    }
    a->blocks[a->value_block[saved[k]]].life.last = at;
    NEO_TRY(assembly_value(a, f->last[k], at, &id));
    copy(a, group, "state", saved[k], id);
  }
  return NEO_OK;
}

static neo_status loop_body(assembly *a, const neo_group *group, const flow_loop *f, int cond) {
  int id, block = a->value_block[cond];
  NEO_TRY(assembly_region(a, f->region));
  NEO_TRY(store_rows(a, group, f));
  if (block >= 0) {
    int at = (int)a->plan->n_steps;
    NEO_TRY(assembly_value(a, f->next_cond, at, &id));
    copy(a, group, "condition", id, cond);
  }
  return next_states(a, group, f);
}

/* Whatever the loop step itself reads or makes lives until the loop ends. */
static neo_status touch_outer(assembly *a, const flow_loop *f, int cond, int at) {
  int id;
  for (int k = 0; k < f->n_state; k++)
    NEO_TRY(assembly_value(a, f->last[k], at, &id));
  for (int k = 0; k < f->n_scan; k++)
    NEO_TRY(assembly_value(a, f->scan[k], at, &id));
  NEO_TRY(assembly_value(a, f->i, at, &id));
  NEO_TRY(assembly_value(a, f->trips, at, &id));
  int block = a->value_block[cond];
  if (block >= 0 && a->blocks[block].life.last < at)
    a->blocks[block].life.last = at;
  return NEO_OK;
}

static neo_status assemble_loop(assembly *a, const neo_group *group) {
  flow_loop f = read_loop(a, group);
  int cond, trips, i;
  for (int k = 0; k < f.n_state; k++)
    NEO_TRY(copy_value(a, group, "first state", f.init[k], f.last[k]));
  NEO_TRY(loop_condition(a, group, &f, &cond));
  int at = assembly_step(a, NEO_PLAN_LOOP, neo_arena_printf(a->arena, "%s (loop)", group->name), 3);
  NEO_TRY(touch_outer(a, &f, cond, at));
  NEO_TRY(assembly_value(a, f.trips, at, &trips));
  NEO_TRY(assembly_value(a, f.i, at, &i));
  memcpy(a->plan->step[at].arg, ((uint32_t[3]){(uint32_t)trips, (uint32_t)cond, (uint32_t)i}),
         3 * sizeof(uint32_t));
  a->loops = neo_arena_grow(a->arena, a->loops, &a->cap_loops, a->n_loops + 1, sizeof *a->loops);
  int loop = a->n_loops++, outer = a->loop;
  a->loops[loop].parent = outer;
  a->loop = loop;
  NEO_TRY(loop_body(a, group, &f, cond));
  a->loop = outer;
  int end = (int)a->plan->n_steps - 1;
  a->loops[loop].end = end;
  a->plan->step[at].first = (uint32_t)(end - at);
  return touch_outer(a, &f, cond, end);
}

neo_status assembly_flow(assembly *a, const neo_group *group) {
  return is_if(group) ? assemble_if(a, group) : assemble_loop(a, group);
}
