/* The plan of a built project: values, steps, memory.
 *
 * How: views are aliases of what they view, windows of their whole, and where an operator may
 * overwrite an input that nobody needs any more, its result is an alias, too; every other
 * activation is one block of memory. The producer of a graph output writes straight into the
 * caller's output; an output that is an alias, an input or a constant is copied at the end.
 * Activations and the kernels' workspaces share one arena by lifetime (neo_plan_memory).
 *
 * Steps are in the order in which they run; those of a branch or of a loop's body follow the step
 * that owns them (assemble_flow.c), so step numbers are times there, too: only what a loop's body
 * reads from outside has to live until the loop ends.
 *
 * Invariants: blocks of INPUT and OUTPUT storage are dense row-major; no window lies in them. */
#include <string.h>

#include "driver/assembly.h"
#include "neo/abi.h"

/* ---- memory ---------------------------------------------------------------------------------- */

int assembly_root(const assembly *a, int v) {
  while (a->root[v] != v)
    v = a->root[v];
  return v;
}

/* Bytes from the start of the root's memory to v's. */
static int64_t shift_of(const assembly *a, int v) {
  int64_t shift = a->shift[v];
  for (; a->root[v] != v; shift += a->shift[v])
    v = a->root[v];
  return shift;
}

static void enter_window(assembly *a, int v) {
  const neo_window *window = &a->project->windows.of[v];
  const neo_value *whole = &a->project->graph->value[window->base];
  a->root[v] = window->base;
  if (window->reshaped)
    return;
  a->shift[v] =
      neo_layout_place(&a->project->value_layout[window->base], &whole->shape, window->start) *
      (int64_t)neo_dtype_size(whole->dtype);
}

static int made_by(const neo_group *view) {
  return view->arg[view->n_args - 1];
}

static void find_roots(assembly *a) {
  const neo_graph *graph = a->project->graph;
  const neo_partition *partition = &a->project->partition;
  for (int v = 0; v < graph->n_values; v++) {
    a->root[v] = v;
    a->id[v] = a->block[v] = a->direct[v] = -1;
    if (a->project->windows.of[v].base >= 0)
      enter_window(a, v);
  }
  for (int g = 0; g < partition->n_groups; g++) {
    const neo_group *group = &partition->group[g];
    if (group->kind == NEO_STEP_VIEW && a->root[made_by(group)] == made_by(group))
      a->root[made_by(group)] = group->arg[0];
    else if (group->kind == NEO_STEP_FLOW)
      assembly_flow_roots(a, group);
  }
  for (int o = 0; o < graph->n_outputs; o++) {
    int root = assembly_root(a, graph->output[o]);
    const neo_value *value = &graph->value[root];
    a->left[root] += NEVER_LAST;
    if (graph->value[graph->output[o]].bounded)
      a->left[assembly_root(a, graph->value[graph->output[o]].count)] += NEVER_LAST;
    if (!value->is_input && !value->constant && a->direct[root] < 0)
      a->direct[root] = o;
  }
  for (int g = 0; g < partition->n_groups; g++) {
    const neo_group *group = &partition->group[g];
    if (group->kind == NEO_STEP_VIEW || a->project->windows.needless[g])
      continue;
    for (int i = 0; i < group->n_args; i++)
      if (group->arg[i] != NEO_NO_VALUE)
        a->left[assembly_root(a, group->arg[i])] +=
            group->kind == NEO_STEP_FLOW ? NEVER_LAST / 4 : 1;
  }
  memcpy(a->uses, a->left, sizeof(*a->uses) * (size_t)graph->n_values);
}

static int add_block(assembly *a, neo_storage storage, int64_t slot, int64_t bytes, int step) {
  a->blocks =
      neo_arena_grow(a->arena, a->blocks, &a->cap_blocks, a->n_blocks + 1, sizeof *a->blocks);
  a->blocks[a->n_blocks] = (assembly_block){.storage = storage,
                                            .slot = slot,
                                            .life = {.bytes = bytes, .first = step, .last = step},
                                            .loop = a->loop,
                                            .owner_step = -1};
  return a->n_blocks++;
}

/* The block is used by this step. */
static void touch(assembly *a, int block, int step) {
  assembly_block *b = &a->blocks[block];
  b->life.last = step > b->life.last ? step : b->life.last;
  if (b->loop == a->loop)
    return;
  int loop = a->loop;
  while (a->loops[loop].parent != b->loop)
    loop = a->loops[loop].parent;
  a->hold = neo_arena_grow(a->arena, a->hold, &a->cap_holds, a->n_holds + 1, sizeof *a->hold);
  a->hold[a->n_holds++] = (assembly_hold){block, loop};
}

/* ---- values ---------------------------------------------------------------------------------- */

static int add_value(assembly *a, const neo_plan_value *value, int block) {
  int n = (int)a->plan->n_values + 1;
  a->plan->value =
      neo_arena_grow(a->arena, a->plan->value, &a->cap_values, n, sizeof *a->plan->value);
  a->value_block =
      neo_arena_grow(a->arena, a->value_block, &a->cap_value_block, n, sizeof *a->value_block);
  a->plan->value[n - 1] = *value;
  a->value_block[n - 1] = block;
  return (int)a->plan->n_values++;
}

static neo_plan_value describe(const neo_value *value, const char *name) {
  neo_plan_value out = {
      .name = name, .dtype = (uint8_t)value->dtype, .rank = (uint8_t)value->shape.rank};
  memcpy(out.dim, value->shape.dim, sizeof(int64_t) * (size_t)value->shape.rank);
  return out;
}

static int64_t dense_bytes(const neo_value *value) {
  return neo_layout_elements(&(neo_layout){0}, &value->shape) *
         (int64_t)neo_dtype_size(value->dtype);
}

/* v: the constant; like: what views it, or v. */
static neo_status constant_value(assembly *a, int v, int like, const neo_pack *pack, int *out) {
  const neo_graph *graph = a->project->graph;
  neo_plan_value value = describe(&graph->value[like], "");
  neo_stored stored;
  NEO_TRY(neo_params_add(a->ctx, a->params, graph->value[v].constant, pack, &stored));
  value.storage = NEO_STORE_PARAM;
  value.slot = stored.offset;
  value.bytes = stored.bytes;
  *out = add_value(a, &value, -1);
  return NEO_OK;
}

static int64_t bytes_of(const assembly *a, int v) {
  const neo_value *value = &a->project->graph->value[v];
  return neo_layout_elements(&a->project->value_layout[v], &value->shape) *
         (int64_t)neo_dtype_size(value->dtype);
}

static int root_block(assembly *a, int root, int step) {
  int64_t bytes = bytes_of(a, root);
  if (a->block[root] < 0)
    a->block[root] = a->direct[root] >= 0
                         ? add_block(a, NEO_STORE_OUTPUT, a->direct[root], bytes, step)
                         : add_block(a, NEO_STORE_ARENA, 0, bytes, step);
  return a->block[root];
}

neo_status assembly_value(assembly *a, int v, int step, int *out) {
  const neo_graph *graph = a->project->graph;
  int root = assembly_root(a, v);
  if (graph->value[root].constant) {
    neo_pack plain = {0};
    if (a->id[v] < 0)
      NEO_TRY(constant_value(a, root, v, &plain, &a->id[v]));
    *out = a->id[v];
    return NEO_OK;
  }
  int block = root_block(a, root, step);
  touch(a, block, step);
  if (a->id[v] < 0) {
    int o = a->direct[root];
    bool named = o >= 0 && graph->output[o] == v;
    neo_plan_value value = describe(&graph->value[v], named ? graph->output_name[o] : "");
    value.slot = shift_of(a, v);
    value.bytes = bytes_of(a, v);
    a->id[v] = add_value(a, &value, block);
  }
  *out = a->id[v];
  return NEO_OK;
}

int assembly_temporary(assembly *a, int v, int step) {
  const neo_value *like = &a->project->graph->value[v];
  neo_plan_value value = describe(like, "");
  value.bytes = dense_bytes(like);
  return add_value(a, &value, add_block(a, NEO_STORE_ARENA, 0, value.bytes, step));
}

/* ---- steps ----------------------------------------------------------------------------------- */

int assembly_step(assembly *a, neo_plan_step_kind kind, const char *name, int n_args) {
  int at = (int)a->plan->n_steps++;
  a->plan->step =
      neo_arena_grow(a->arena, a->plan->step, &a->cap_steps, at + 1, sizeof *a->plan->step);
  a->plan->step[at] = (neo_plan_step){.kind = kind,
                                      .name = name,
                                      .n_args = (uint32_t)n_args,
                                      .work_offset = -1,
                                      .runtime = "",
                                      .attributes = ""};
  a->plan->step[at].arg = neo_arena_alloc(a->arena, sizeof(uint32_t) * (size_t)(n_args + 1));
  return at;
}

/* te buffer -> graph value, from the group's boundary arguments. */
static void buffer_values(const neo_group *group, int *value) {
  int arg = 0;
  for (int b = 0; b < group->te.n_buffers; b++)
    value[b] = group->te.buffer[b].role == NEO_TE_TMP ? NEO_NO_VALUE : group->arg[arg++];
}

/* Have several workers read the value in steps before, each perhaps another part than now? Then its
 * lines are in several caches, and each store must first take them away from there (squeeze and
 * excite: the mean reads channels, the product behind it writes rows). */
static bool is_shared(const assembly *a, int root) {
  const int once = 2; /* it is written, it is read */
  return a->project->threads > 1 && a->uses[root] > once;
}

/* An input of this te step whose memory the result may take over: the step is its last use and the
 * kernel allows it. in: te buffer. */
static bool may_take_over(const assembly *a, const neo_built *built, const int *value, int in,
                          int out) {
  int root = assembly_root(a, value[in]), param[NEO_TE_MAX_BUFFERS], n = 0;
  if (a->block[root] < 0 || a->left[root] != 1 || is_shared(a, root))
    return false;
  const assembly_block *block = &a->blocks[a->block[root]];
  if (block->storage != NEO_STORE_ARENA || block->loop != a->loop)
    return false;
  for (int b = 0; b < built->te.n_buffers; b++) {
    param[b] = built->te.buffer[b].role == NEO_TE_TMP ? -1 : n++;
    if (b != in && built->te.buffer[b].role == NEO_TE_IN && assembly_root(a, value[b]) == root)
      return false;
  }
  const neo_nest_buffer *from = &built->nest.buffer[param[in]];
  return block->life.bytes == from->elements * (int64_t)neo_dtype_size(from->dtype) &&
         neo_nest_may_overwrite(&built->nest, param[in], param[out]);
}

static void overwrite_input(assembly *a, const neo_built *built, const int *value) {
  int out = -1;
  for (int b = 0; b < built->te.n_buffers; b++)
    if (built->te.buffer[b].role == NEO_TE_OUT) {
      if (out >= 0)
        return;
      out = b;
    }
  int root =
      out < 0 || a->project->windows.of[value[out]].base >= 0 ? -1 : assembly_root(a, value[out]);
  if (root < 0 || a->block[root] >= 0 || a->direct[root] >= 0)
    return;
  for (int b = 0; b < built->te.n_buffers; b++)
    if (built->te.buffer[b].role == NEO_TE_IN && may_take_over(a, built, value, b, out)) {
      int from = assembly_root(a, value[b]);
      a->root[root] = from;
      a->left[from] += a->left[root];
      a->uses[from] = a->uses[root];
      return;
    }
}

static void add_workspace(assembly *a, int at, int64_t bytes) {
  if (bytes <= 0)
    return;
  int block = add_block(a, NEO_STORE_ARENA, 0, bytes, at);
  a->blocks[block].owner_step = at;
}

static neo_status te_step(assembly *a, const neo_group *group, int task) {
  const neo_built *built = &a->built[task];
  const neo_nest *nest = &built->nest;
  int value[NEO_TE_MAX_BUFFERS], id = 0, n = 0, pack = 0;
  buffer_values(group, value);
  overwrite_input(a, built, value);
  const char *name = neo_arena_printf(a->arena, "%s (%s)", group->name, group->op);
  int at = assembly_step(a, NEO_PLAN_LAUNCH, name, nest->n_params);
  neo_plan_step *step = &a->plan->step[at];
  for (int b = 0; b < built->te.n_buffers; b++) {
    neo_te_role role = built->te.buffer[b].role;
    if (role == NEO_TE_TMP)
      continue;
    neo_assert(n < nest->n_params && b < group->te.n_buffers);
    if (role == NEO_TE_CONST) {
      const neo_pack *how = &built->packing.pack[pack++];
      NEO_TRY(constant_value(a, value[how->source], value[how->source], how, &id));
    } else {
      NEO_TRY(assembly_value(a, value[b], at, &id));
      a->left[assembly_root(a, value[b])]--;
    }
    step->arg[n++] = (uint32_t)id;
  }
  neo_assert(n == nest->n_params);
  step->n_launches = (uint32_t)nest->n_launches;
  step->launch =
      neo_arena_alloc(a->arena, sizeof(neo_plan_launch) * (size_t)(nest->n_launches + 1));
  for (int l = 0; l < nest->n_launches; l++)
    step->launch[l] = (neo_plan_launch){.function = (uint32_t)(a->first_function[task] + l),
                                        .grid = nest->launch[l].grid};
  step->scratch_bytes = nest->scratch_bytes;
  step->device = neo_target_is_gpu(&a->project->target);
  add_workspace(a, at, nest->work_bytes);
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
  int n = 0, id = 0;
  int at =
      assembly_step(a, NEO_PLAN_RUNTIME,
                    neo_arena_printf(a->arena, "%s (%s)", group->name, group->op), group->n_args);
  for (int i = 0; i < group->n_args; i++) {
    if (group->arg[i] == NEO_NO_VALUE)
      return neo_fail(a->ctx, NEO_UNSUPPORTED,
                      "node '%s' (%s): an absent optional input of a runtime operator", group->name,
                      group->op);
    NEO_TRY(assembly_value(a, group->arg[i], at, &id));
    a->left[assembly_root(a, group->arg[i])]--;
    a->plan->step[at].arg[n++] = (uint32_t)id;
  }
  neo_buf attributes = {0};
  print_attributes(&attributes, node);
  a->plan->step[at].runtime = node->op->runtime;
  a->plan->step[at].attributes = neo_arena_strdup(a->arena, attributes.size ? attributes.data : "");
  neo_buf_fini(&attributes);
  return NEO_OK;
}

neo_status assembly_region(assembly *a, int region) {
  const neo_partition *partition = &a->project->partition;
  for (int i = a->region_start[region]; i < a->region_start[region + 1]; i++) {
    int g = a->region_group[i];
    const neo_group *group = &partition->group[g];
    if (a->project->windows.needless[g])
      continue;
    if (group->kind == NEO_STEP_TE)
      NEO_TRY(te_step(a, group, a->project->group_task[g]));
    else if (group->kind == NEO_STEP_RUNTIME)
      NEO_TRY(runtime_step(a, group));
    else if (group->kind == NEO_STEP_FLOW)
      NEO_TRY(assembly_flow(a, group));
  }
  return NEO_OK;
}

/* ---- the model's interface ------------------------------------------------------------------- */

static void add_inputs(assembly *a) {
  const neo_graph *graph = a->project->graph;
  a->plan->n_inputs = (uint32_t)graph->n_inputs;
  a->plan->input = neo_arena_alloc(a->arena, sizeof(uint32_t) * (size_t)(graph->n_inputs + 1));
  for (int i = 0; i < graph->n_inputs; i++) {
    int v = graph->input[i];
    neo_plan_value value = describe(&graph->value[v], graph->value[v].name);
    value.bytes = dense_bytes(&graph->value[v]);
    a->block[v] = add_block(a, NEO_STORE_INPUT, i, value.bytes, 0);
    a->id[v] = add_value(a, &value, a->block[v]);
    a->plan->input[i] = (uint32_t)a->id[v];
  }
}

/* Outputs that no kernel writes directly are copied at the end. */
static neo_status add_outputs(assembly *a) {
  const neo_graph *graph = a->project->graph;
  a->plan->n_outputs = (uint32_t)graph->n_outputs;
  a->plan->output = neo_arena_alloc(a->arena, sizeof(uint32_t) * (size_t)(graph->n_outputs + 1));
  a->plan->output_name = neo_arena_alloc(a->arena, sizeof(char *) * (size_t)(graph->n_outputs + 1));
  a->plan->output_bounded =
      neo_arena_alloc(a->arena, sizeof(uint32_t) * (size_t)(graph->n_outputs + 1));
  a->plan->output_count =
      neo_arena_alloc(a->arena, sizeof(uint32_t) * (size_t)(graph->n_outputs + 1));
  for (int o = 0; o < graph->n_outputs; o++) {
    const neo_value *value = &graph->value[graph->output[o]];
    int root = assembly_root(a, graph->output[o]), id = 0, from = 0;
    if (a->direct[root] == o) {
      NEO_TRY(assembly_value(a, graph->output[o], (int)a->plan->n_steps - 1, &id));
    } else {
      neo_plan_value slot = describe(value, graph->output_name[o]);
      slot.bytes = dense_bytes(value);
      id = add_value(a, &slot, add_block(a, NEO_STORE_OUTPUT, o, slot.bytes, 0));
      int at = assembly_step(a, NEO_PLAN_COPY,
                             neo_arena_printf(a->arena, "%s (copy)", graph->output_name[o]), 2);
      NEO_TRY(assembly_value(a, graph->output[o], at, &from));
      a->plan->step[at].arg[0] = (uint32_t)from;
      a->plan->step[at].arg[1] = (uint32_t)id;
    }
    if (value->bounded) { /* the count lives until the end */
      int count = 0;
      NEO_TRY(assembly_value(a, value->count, (int)a->plan->n_steps + graph->n_outputs, &count));
      a->plan->output_bounded[o] = (uint32_t)value->bounded;
      a->plan->output_count[o] = (uint32_t)count;
    }
    a->plan->output[o] = (uint32_t)id;
    a->plan->output_name[o] = graph->output_name[o];
  }
  return NEO_OK;
}

/* ---- placing --------------------------------------------------------------------------------- */

static void place(assembly *a) {
  int n = 0;
  neo_lifetime *item = neo_arena_alloc(a->arena, sizeof *item * (size_t)(a->n_blocks + 1));
  int *owner = neo_arena_alloc(a->arena, sizeof(int) * (size_t)(a->n_blocks + 1));
  for (int i = 0; i < a->n_holds; i++) {
    neo_lifetime *life = &a->blocks[a->hold[i].block].life;
    int end = a->loops[a->hold[i].loop].end;
    life->last = end > life->last ? end : life->last;
  }
  for (int i = 0; i < a->n_blocks; i++)
    if (a->blocks[i].storage == NEO_STORE_ARENA) {
      item[n] = a->blocks[i].life;
      owner[n++] = i;
    }
  a->plan->arena_bytes = neo_plan_memory(item, n);
  for (int i = 0; i < n; i++) {
    assembly_block *block = &a->blocks[owner[i]];
    block->slot = item[i].offset;
    if (block->owner_step >= 0)
      a->plan->step[block->owner_step].work_offset = item[i].offset;
  }
  for (uint32_t v = 0; v < a->plan->n_values; v++)
    if (a->value_block[v] >= 0) {
      a->plan->value[v].storage = a->blocks[a->value_block[v]].storage;
      a->plan->value[v].slot += a->blocks[a->value_block[v]].slot;
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

/* The groups of each region, counted and listed in order. */
static void list_regions(assembly *a) {
  const neo_partition *partition = &a->project->partition;
  int n_regions = a->project->graph->n_regions + 1;
  a->region_start = neo_arena_alloc(a->arena, sizeof(int) * (size_t)(n_regions + 2));
  a->region_group = neo_arena_alloc(a->arena, sizeof(int) * (size_t)(partition->n_groups + 1));
  for (int g = 0; g < partition->n_groups; g++)
    a->region_start[partition->group[g].region + 2]++;
  for (int r = 0; r < n_regions; r++)
    a->region_start[r + 2] += a->region_start[r + 1];
  for (int g = 0; g < partition->n_groups; g++)
    a->region_group[a->region_start[partition->group[g].region + 1]++] = g;
}

static void set_up(assembly *a) {
  size_t n = (size_t)a->project->graph->n_values + 1;
  a->loop = -1;
  a->root = neo_arena_alloc(a->arena, sizeof(int) * n);
  a->shift = neo_arena_alloc(a->arena, sizeof(int64_t) * n);
  a->block = neo_arena_alloc(a->arena, sizeof(int) * n);
  a->id = neo_arena_alloc(a->arena, sizeof(int) * n);
  a->left = neo_arena_alloc(a->arena, sizeof(int) * n);
  a->uses = neo_arena_alloc(a->arena, sizeof(int) * n);
  a->direct = neo_arena_alloc(a->arena, sizeof(int) * n);
  list_regions(a);
}

void neo_assemble_align(const neo_project *project, neo_built *built) {
  neo_arena arena;
  neo_arena_init(&arena);
  assembly a = {.project = project, .arena = &arena};
  set_up(&a);
  find_roots(&a);
  for (int g = 0; g < project->partition.n_groups; g++) {
    const neo_group *group = &project->partition.group[g];
    int task = project->group_task[g];
    for (int i = 0; task >= 0 && i < group->n_args; i++) {
      int *align = &built[task].align;
      int64_t shift = group->arg[i] == NEO_NO_VALUE ? 0 : shift_of(&a, group->arg[i]);
      while (shift % (*align > 0 ? *align : (int)NEO_DEVICE_ALIGN) != 0)
        *align = (*align > 0 ? *align : (int)NEO_DEVICE_ALIGN) / 2;
    }
  }
  neo_arena_fini(&arena);
}

/* Strings are addresses of eight bytes, in kernels, plans and the runtime's operators. */
static neo_status check_strings(neo_ctx *ctx, const neo_project *project, const neo_plan *plan) {
  for (uint32_t v = 0; v < plan->n_values; v++)
    if (plan->value[v].dtype == NEO_STR && neo_target_pointer_bytes(&project->target) < 8)
      return neo_fail(ctx, NEO_UNSUPPORTED,
                      "value '%s': strings need a processor of 64 bits, the target is %s",
                      plan->value[v].name, project->target.arch);
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
  add_inputs(&a);
  NEO_TRY(assembly_region(&a, 0));
  NEO_TRY(add_outputs(&a));
  NEO_TRY(check_strings(ctx, project, plan));
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
