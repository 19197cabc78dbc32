/* ir/graph_edit.c: the few mutations that all passes share; see ir/graph_edit.h. */
#include "ir/graph_edit.h"

#include <string.h>

void neo_uses_init(neo_uses *uses) {
  memset(uses, 0, sizeof *uses);
  neo_arena_init(&uses->arena);
}

void neo_uses_fini(neo_uses *uses) {
  neo_arena_fini(&uses->arena);
}

void neo_uses_update(neo_uses *uses, const neo_graph *graph) {
  size_t room = (size_t)graph->n_values + 1;
  neo_arena_reset(&uses->arena);
  uses->n_values = graph->n_values;
  uses->count = neo_arena_alloc(&uses->arena, sizeof(int) * room);
  uses->only_node = neo_arena_alloc(&uses->arena, sizeof(int) * room);
  uses->is_output = neo_arena_alloc(&uses->arena, room);
  for (int i = 0; i < graph->n_values; i++)
    uses->only_node[i] = -1;
  for (int i = 0; i < graph->n_nodes; i++) {
    const neo_node *node = &graph->node[i];
    for (int k = 0; !node->dead && k < node->n_inputs; k++) {
      int value = node->input[k];
      if (value == NEO_NO_VALUE)
        continue;
      uses->only_node[value] = uses->count[value]++ == 0 ? i : -1;
    }
  }
  for (int i = 0; i < graph->n_outputs; i++) {
    uses->count[graph->output[i]]++;
    uses->only_node[graph->output[i]] = -1;
    uses->is_output[graph->output[i]] = true;
  }
}

void neo_edit_replace(neo_graph *graph, int from, int to) {
  for (int i = 0; i < graph->n_nodes; i++)
    for (int k = 0; !graph->node[i].dead && k < graph->node[i].n_inputs; k++)
      if (graph->node[i].input[k] == from)
        graph->node[i].input[k] = to;
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->output[i] == from)
      graph->output[i] = to;
}

static int resolve(int value, const int *alias, int n) {
  while (value >= 0 && value < n && alias[value] != value)
    value = alias[value];
  return value;
}

void neo_edit_resolve_inputs(neo_node *node, const int *alias, int n) {
  for (int k = 0; k < node->n_inputs; k++)
    node->input[k] = resolve(node->input[k], alias, n);
}

void neo_edit_resolve_outputs(neo_graph *graph, const int *alias, int n) {
  for (int i = 0; i < graph->n_outputs; i++)
    graph->output[i] = resolve(graph->output[i], alias, n);
}

neo_node *neo_edit_producer(const neo_graph *graph, int value) {
  if (value == NEO_NO_VALUE || graph->value[value].node < 0)
    return NULL;
  neo_node *node = &graph->node[graph->value[value].node];
  return node->dead ? NULL : node;
}

bool neo_edit_is(const neo_node *node, const char *op) {
  return node && strcmp(node->op->name, op) == 0;
}

/* ---- order ----------------------------------------------------------------------------------- */

typedef struct sorter {
  const neo_graph *graph;
  uint8_t *state; /* 0 new, 1 open, 2 done */
  int *order, n_order, *stack, *next;
} sorter;

static bool visit(sorter *s, int root) {
  int depth = 0;
  s->stack[0] = root;
  s->next[0] = 0;
  s->state[root] = 1;
  while (depth >= 0) {
    int at = s->stack[depth];
    const neo_node *node = &s->graph->node[at];
    if (s->next[depth] == node->n_inputs) {
      s->state[at] = 2;
      s->order[s->n_order++] = at;
      depth--;
      continue;
    }
    int value = node->input[s->next[depth]++];
    int from = value == NEO_NO_VALUE ? -1 : s->graph->value[value].node;
    if (from < 0 || s->state[from] == 2)
      continue;
    if (s->state[from] == 1 || s->graph->node[from].dead)
      return false;
    s->state[from] = 1;
    s->stack[++depth] = from;
    s->next[depth] = 0;
  }
  return true;
}

neo_status neo_edit_sort(neo_ctx *ctx, neo_graph *graph) {
  neo_arena scratch;
  neo_arena_init(&scratch);
  size_t room = (size_t)graph->n_nodes + 1;
  sorter s = {graph,
              neo_arena_alloc(&scratch, room),
              neo_arena_alloc(&scratch, sizeof(int) * room),
              0,
              neo_arena_alloc(&scratch, sizeof(int) * room),
              neo_arena_alloc(&scratch, sizeof(int) * room)};
  bool sound = true;
  for (int i = 0; i < graph->n_nodes && sound; i++)
    if (!graph->node[i].dead && s.state[i] == 0)
      sound = visit(&s, i);
  neo_node *sorted = neo_arena_alloc(&scratch, sizeof *sorted * room);
  for (int i = 0; sound && i < s.n_order; i++)
    sorted[i] = graph->node[s.order[i]];
  for (int i = 0; sound && i < graph->n_values; i++)
    graph->value[i].node = -1;
  for (int i = 0; sound && i < s.n_order; i++) {
    graph->node[i] = sorted[i];
    for (int k = 0; k < sorted[i].n_outputs; k++)
      graph->value[sorted[i].output[k]].node = i;
  }
  if (sound)
    graph->n_nodes = s.n_order;
  neo_arena_fini(&scratch);
  return sound ? NEO_OK
               : neo_fail(ctx, NEO_INTERNAL, "graph '%s': a pass left a cycle", graph->name);
}

/* ---- constants ------------------------------------------------------------------------------- */

neo_status neo_edit_constant(neo_ctx *ctx, neo_graph *graph, const char *name, neo_dtype dtype,
                             const neo_shape *shape, int *out_value) {
  neo_tensor tensor;
  NEO_TRY(neo_tensor_create(ctx, dtype, shape, &tensor));
  neo_graph_adopt(graph, tensor.data);
  *out_value = neo_graph_add_constant(graph, name, &tensor);
  return NEO_OK;
}

int neo_edit_scalar(neo_graph *graph, const char *name, neo_dtype dtype, double v) {
  neo_tensor tensor = {dtype, {0}, neo_arena_alloc(graph->arena, 16), neo_dtype_size(dtype)};
  neo_tensor_set_f64(&tensor, 0, v);
  return neo_graph_add_constant(graph, name, &tensor);
}

bool neo_edit_scalar_value(const neo_graph *graph, int value, double *out) {
  int64_t n;
  const neo_tensor *tensor = value == NEO_NO_VALUE ? NULL : graph->value[value].constant;
  if (!tensor || !neo_shape_elements(&tensor->shape, &n) || n != 1)
    return false;
  *out = neo_tensor_get_f64(tensor, 0);
  return true;
}

void neo_edit_become(neo_graph *graph, neo_node *node, const char *op, int n_inputs,
                     const int *inputs) {
  node->op = neo_op_find(op);
  neo_assert(node->op != NULL);
  node->n_inputs = n_inputs;
  node->input = neo_arena_copy(graph->arena, inputs, sizeof *inputs * (size_t)n_inputs);
  node->n_attrs = 0;
  node->attr = NULL;
}

void neo_edit_become_reshape(neo_graph *graph, neo_node *node, int x, const neo_shape *shape) {
  neo_tensor target = {NEO_I64, {1, {shape->rank}}, NULL, sizeof(int64_t) * (size_t)shape->rank};
  target.data = neo_arena_alloc(graph->arena, target.size + 8);
  if (shape->rank > 0)
    memcpy(target.data, shape->dim, target.size);
  char *name = neo_arena_printf(graph->arena, "%s.shape", node->name);
  int value = neo_graph_add_constant(graph, name, &target);
  neo_edit_become(graph, node, "reshape", 2, (int[2]){x, value});
  for (int i = 0; i < shape->rank; i++)
    if (shape->dim[i] == 0)
      neo_node_set_int(graph, node, "allowzero", 1);
}
