/* The plan of a built project: value slots, steps, memory.
 *
 * How: views are aliases of what they view; every other activation is one slot. The producer of a
 * graph output writes straight into the caller's output; an output that is an alias, an input or a
 * constant is copied at the end. Activations and the kernels' workspaces share one arena by
 * lifetime (neo_plan_memory). Invariant: slots of INPUT and OUTPUT storage are dense row-major. */
#include <string.h>

#include "driver/stages.h"

typedef struct assembly {
  neo_ctx *ctx;
  const neo_project *project;
  const neo_built *built;
  neo_params *params;
  neo_arena *arena;
  neo_plan *plan;
  int *root;           /* by graph value: the value whose memory it is */
  int *slot;           /* by graph value (roots only): plan value, or -1 */
  int *direct;         /* by root: the model output it is written to, or -1 */
  int *first_function; /* by task */
  neo_lifetime *life;  /* by plan value (arena ones) then by step (workspaces) */
  bool *planned;
  int cap_values, cap_steps;
} assembly;

static void find_roots(assembly *a) {
  const neo_graph *graph = a->project->graph;
  const neo_partition *partition = &a->project->partition;
  for (int v = 0; v < graph->n_values; v++) {
    a->root[v] = v;
    a->slot[v] = a->direct[v] = -1;
  }
  for (int g = 0; g < partition->n_groups; g++) {
    const neo_group *group = &partition->group[g];
    if (group->kind == NEO_STEP_VIEW)
      a->root[group->arg[group->n_args - 1]] = a->root[group->arg[0]];
  }
  for (int o = 0; o < graph->n_outputs; o++) {
    int root = a->root[graph->output[o]];
    const neo_value *value = &graph->value[root];
    if (!value->is_input && !value->constant && a->direct[root] < 0)
      a->direct[root] = o;
  }
}

static int add_value(assembly *a, const neo_plan_value *value) {
  neo_assert((int)a->plan->n_values < a->cap_values);
  a->plan->value[a->plan->n_values] = *value;
  return (int)a->plan->n_values++;
}

static neo_plan_value describe(const neo_value *value, const char *name) {
  neo_plan_value out = {
      .name = name, .dtype = (uint8_t)value->dtype, .rank = (uint8_t)value->shape.rank};
  memcpy(out.dim, value->shape.dim, sizeof(int64_t) * (size_t)value->shape.rank);
  return out;
}

static neo_status constant_slot(assembly *a, int v, const neo_pack *pack, int *out) {
  const neo_value *value = &a->project->graph->value[v];
  neo_plan_value slot = describe(value, "");
  slot.storage = NEO_STORE_PARAM;
  neo_stored stored;
  NEO_TRY(neo_params_add(a->ctx, a->params, value->constant, v, pack, &stored));
  slot.slot = stored.offset;
  slot.bytes = stored.bytes;
  *out = add_value(a, &slot);
  return NEO_OK;
}

/* The slot of an activation (or plain constant), made on first use; step widens its lifetime. */
static neo_status value_slot(assembly *a, int v, int step, int *out) {
  int root = a->root[v];
  const neo_value *value = &a->project->graph->value[root];
  if (a->slot[root] < 0 && value->constant) {
    neo_pack plain = {0};
    NEO_TRY(constant_slot(a, root, &plain, &a->slot[root]));
  } else if (a->slot[root] < 0) {
    neo_plan_value slot = describe(value, "");
    slot.bytes = neo_layout_elements(&a->project->value_layout[root], &value->shape) *
                 (int64_t)neo_dtype_size(value->dtype);
    slot.storage = NEO_STORE_ARENA;
    int o = a->direct[root];
    if (o >= 0) { /* as the user sees it: a view of the root may be the output */
      int64_t bytes = slot.bytes;
      slot = describe(&a->project->graph->value[a->project->graph->output[o]],
                      a->project->graph->output_name[o]);
      slot.bytes = bytes;
      slot.storage = NEO_STORE_OUTPUT;
      slot.slot = o;
    }
    a->slot[root] = add_value(a, &slot);
    a->life[a->slot[root]] = (neo_lifetime){.bytes = slot.bytes, .first = step, .last = step};
    a->planned[a->slot[root]] = slot.storage == NEO_STORE_ARENA;
  }
  *out = a->slot[root];
  a->life[*out].last = step;
  return NEO_OK;
}

static neo_plan_step *add_step(assembly *a, neo_plan_step_kind kind, const char *name, int n_args) {
  neo_assert((int)a->plan->n_steps < a->cap_steps);
  neo_plan_step *step = &a->plan->step[a->plan->n_steps++];
  *step = (neo_plan_step){.kind = kind,
                          .name = name,
                          .n_args = (uint32_t)n_args,
                          .work_offset = -1,
                          .runtime = "",
                          .attributes = ""};
  step->arg = neo_arena_alloc(a->arena, sizeof(uint32_t) * (size_t)(n_args + 1));
  return step;
}

/* te buffer -> graph value, from the group's boundary arguments. */
static void buffer_values(const neo_group *group, int *value) {
  int arg = 0;
  for (int b = 0; b < group->te.n_buffers; b++)
    value[b] = group->te.buffer[b].role == NEO_TE_TMP ? NEO_NO_VALUE : group->arg[arg++];
}

static neo_status te_step(assembly *a, const neo_group *group, int task) {
  const neo_built *built = &a->built[task];
  int value[NEO_TE_MAX_BUFFERS], id = 0, n = 0, pack = 0;
  buffer_values(group, value);
  int at = (int)a->plan->n_steps;
  const char *name = neo_arena_printf(a->arena, "%s (%s)", group->name, group->op);
  neo_plan_step *step = add_step(a, NEO_PLAN_LAUNCH, name, built->nest.n_params);
  for (int b = 0; b < built->te.n_buffers; b++) {
    neo_te_role role = built->te.buffer[b].role;
    if (role == NEO_TE_TMP)
      continue;
    neo_assert(n < built->nest.n_params && b < group->te.n_buffers);
    if (role == NEO_TE_CONST) {
      const neo_pack *how = &built->packing.pack[pack++];
      NEO_TRY(constant_slot(a, value[how->source], how, &id));
    } else {
      NEO_TRY(value_slot(a, value[b], at, &id));
    }
    step->arg[n++] = (uint32_t)id;
  }
  neo_assert(n == built->nest.n_params);
  step->n_launches = (uint32_t)built->nest.n_launches;
  step->launch =
      neo_arena_alloc(a->arena, sizeof(neo_plan_launch) * (size_t)(built->nest.n_launches + 1));
  for (int l = 0; l < built->nest.n_launches; l++)
    step->launch[l] = (neo_plan_launch){.function = (uint32_t)(a->first_function[task] + l),
                                        .grid = built->nest.launch[l].grid};
  step->scratch_bytes = built->nest.scratch_bytes;
  int work = a->cap_values + at;
  a->life[work] = (neo_lifetime){.bytes = built->nest.work_bytes, .first = at, .last = at};
  a->planned[work] = built->nest.work_bytes > 0;
  return NEO_OK;
}

static void print_attributes(neo_buf *buf, const neo_node *node) {
  for (int i = 0; i < node->n_attrs; i++) {
    const neo_attr *attr = &node->attr[i];
    neo_buf_printf(buf, "%s%s=", i ? " " : "", attr->name);
    if (attr->kind == NEO_ATTR_INT)
      neo_buf_printf(buf, "%lld", (long long)attr->i);
    else if (attr->kind == NEO_ATTR_FLOAT)
      neo_buf_double(buf, attr->f);
    else if (attr->kind == NEO_ATTR_STRING)
      neo_buf_text(buf, attr->s);
    for (int k = 0; attr->kind == NEO_ATTR_INTS && k < attr->n; k++)
      neo_buf_printf(buf, "%s%lld", k ? "," : "", (long long)attr->ints[k]);
  }
}

static neo_status runtime_step(assembly *a, const neo_group *group) {
  const neo_node *node = &a->project->graph->node[group->node[0]];
  int at = (int)a->plan->n_steps, n = 0, id = 0;
  neo_plan_step *step =
      add_step(a, NEO_PLAN_RUNTIME, neo_arena_printf(a->arena, "%s (%s)", group->name, group->op),
               group->n_args);
  for (int i = 0; i < group->n_args; i++) {
    if (group->arg[i] == NEO_NO_VALUE)
      return neo_fail(a->ctx, NEO_UNSUPPORTED,
                      "node '%s' (%s): an absent optional input of a runtime operator", group->name,
                      group->op);
    NEO_TRY(value_slot(a, group->arg[i], at, &id));
    step->arg[n++] = (uint32_t)id;
  }
  neo_buf attributes = {0};
  print_attributes(&attributes, node);
  step->runtime = node->op->runtime;
  step->attributes = neo_arena_strdup(a->arena, attributes.size ? attributes.data : "");
  neo_buf_fini(&attributes);
  return NEO_OK;
}

static neo_status add_inputs(assembly *a) {
  const neo_graph *graph = a->project->graph;
  a->plan->n_inputs = (uint32_t)graph->n_inputs;
  a->plan->input = neo_arena_alloc(a->arena, sizeof(uint32_t) * (size_t)(graph->n_inputs + 1));
  for (int i = 0; i < graph->n_inputs; i++) {
    const neo_value *value = &graph->value[graph->input[i]];
    neo_plan_value slot = describe(value, value->name);
    slot.storage = NEO_STORE_INPUT;
    slot.slot = i;
    slot.bytes = neo_layout_elements(&(neo_layout){0}, &value->shape) *
                 (int64_t)neo_dtype_size(value->dtype);
    a->slot[graph->input[i]] = add_value(a, &slot);
    a->plan->input[i] = (uint32_t)a->slot[graph->input[i]];
  }
  return NEO_OK;
}

/* Outputs that no kernel writes directly are copied at the end. */
static neo_status add_outputs(assembly *a) {
  const neo_graph *graph = a->project->graph;
  a->plan->n_outputs = (uint32_t)graph->n_outputs;
  a->plan->output = neo_arena_alloc(a->arena, sizeof(uint32_t) * (size_t)(graph->n_outputs + 1));
  a->plan->output_name = neo_arena_alloc(a->arena, sizeof(char *) * (size_t)(graph->n_outputs + 1));
  for (int o = 0; o < graph->n_outputs; o++) {
    const neo_value *value = &graph->value[graph->output[o]];
    int root = a->root[graph->output[o]], at = (int)a->plan->n_steps, id = a->slot[root], from = 0;
    if (a->direct[root] != o) {
      neo_plan_value slot = describe(value, graph->output_name[o]);
      slot.storage = NEO_STORE_OUTPUT;
      slot.slot = o;
      slot.bytes = neo_layout_elements(&(neo_layout){0}, &value->shape) *
                   (int64_t)neo_dtype_size(value->dtype);
      id = add_value(a, &slot);
      neo_plan_step *step = add_step(
          a, NEO_PLAN_COPY, neo_arena_printf(a->arena, "%s (copy)", graph->output_name[o]), 2);
      NEO_TRY(value_slot(a, graph->output[o], at, &from));
      step->arg[0] = (uint32_t)from;
      step->arg[1] = (uint32_t)id;
    }
    a->plan->output[o] = (uint32_t)id;
    a->plan->output_name[o] = graph->output_name[o];
  }
  return NEO_OK;
}

static void place(assembly *a) {
  int total = a->cap_values + a->cap_steps, n = 0;
  neo_lifetime *item = neo_arena_alloc(a->arena, sizeof *item * (size_t)(total + 1));
  int *owner = neo_arena_alloc(a->arena, sizeof(int) * (size_t)(total + 1));
  for (int i = 0; i < total; i++)
    if (a->planned[i]) {
      item[n] = a->life[i];
      owner[n++] = i;
    }
  a->plan->arena_bytes = neo_plan_memory(item, n);
  for (int i = 0; i < n; i++) {
    if (owner[i] < a->cap_values)
      a->plan->value[owner[i]].slot = item[i].offset;
    else
      a->plan->step[owner[i] - a->cap_values].work_offset = item[i].offset;
  }
}

static void name_functions(assembly *a, neo_assembled *out) {
  int total = 0, n_tasks = a->project->n_tasks;
  a->first_function = neo_arena_alloc(a->arena, sizeof(int) * (size_t)(n_tasks + 1));
  for (int t = 0; t < n_tasks; t++) {
    a->first_function[t] = total;
    total += a->built[t].nest.n_launches;
  }
  const char **name = neo_arena_alloc(a->arena, sizeof(char *) * (size_t)(total + 1));
  for (int t = 0; t < n_tasks; t++)
    for (int l = 0; l < a->built[t].nest.n_launches; l++)
      name[a->first_function[t] + l] = neo_arena_printf(a->arena, "%s_%d", a->built[t].symbol, l);
  out->functions = name;
  out->n_functions = total;
}

static void set_up(assembly *a) {
  const neo_graph *graph = a->project->graph;
  const neo_partition *partition = &a->project->partition;
  a->cap_values = graph->n_inputs + graph->n_outputs * 2 + 1;
  for (int g = 0; g < partition->n_groups; g++)
    a->cap_values += partition->group[g].n_args;
  a->cap_steps = partition->n_groups + graph->n_outputs + 1;
  size_t n = (size_t)graph->n_values + 1, total = (size_t)(a->cap_values + a->cap_steps + 1);
  a->root = neo_arena_alloc(a->arena, sizeof(int) * n);
  a->slot = neo_arena_alloc(a->arena, sizeof(int) * n);
  a->direct = neo_arena_alloc(a->arena, sizeof(int) * n);
  a->life = neo_arena_alloc(a->arena, sizeof(neo_lifetime) * total);
  a->planned = neo_arena_alloc(a->arena, sizeof(bool) * total);
  a->plan->value = neo_arena_alloc(a->arena, sizeof(neo_plan_value) * (size_t)a->cap_values);
  a->plan->step = neo_arena_alloc(a->arena, sizeof(neo_plan_step) * (size_t)a->cap_steps);
}

static neo_status add_steps(assembly *a) {
  const neo_partition *partition = &a->project->partition;
  for (int g = 0; g < partition->n_groups; g++) {
    const neo_group *group = &partition->group[g];
    if (group->kind == NEO_STEP_TE)
      NEO_TRY(te_step(a, group, a->project->group_task[g]));
    else if (group->kind == NEO_STEP_RUNTIME)
      NEO_TRY(runtime_step(a, group));
  }
  return NEO_OK;
}

neo_status neo_assemble(neo_ctx *ctx, const neo_project *project, const neo_built *built,
                        neo_params *params, neo_arena *arena, neo_assembled *out) {
  assembly a = {.ctx = ctx,
                .project = project,
                .built = built,
                .params = params,
                .arena = arena,
                .plan = &out->plan};
  neo_plan *plan = &out->plan;
  memset(out, 0, sizeof *out);
  set_up(&a);
  find_roots(&a);
  name_functions(&a, out);
  NEO_TRY(add_inputs(&a));
  NEO_TRY(add_steps(&a));
  NEO_TRY(add_outputs(&a));
  place(&a);
  plan->threads = (uint32_t)project->threads;
  plan->params_bytes = (int64_t)params->data.size;
  plan->isa = project->target.isa;
  plan->arch = project->target.arch;
  plan->target = project->target_text;
  for (uint32_t s = 0; s < plan->n_steps; s++)
    plan->scratch_bytes = neo_max_i64(plan->scratch_bytes, plan->step[s].scratch_bytes);
  return NEO_OK;
}
