/* ir/flatten.c: control flow's graphs become regions of one graph.
 *
 * Why: what comes behind (partition, layouts, tasks, the plan) then sees one numbering of values
 * and one list of nodes, and captured values need no second name. How: every graph is pasted behind
 * the nodes that are there; its captures are the outer values. A loop's i and states inside have no
 * producer of their own: the loop node makes them. Outputs of the graphs are read by the node that
 * owned them, so that they count as used. ir/graph.h has the nodes' form. */
#include "ir/flow.h"

#include <string.h>

/* Pastes into a new region, whose number it returns in *region. */
static neo_status add_region(neo_flow_target *to, const neo_graph *from, int *map, int *region) {
  int first = to->graph->n_nodes;
  NEO_TRY(neo_flow_paste(to, from, map));
  (*region)++;
  for (int i = first; i < to->graph->n_nodes; i++)
    to->graph->node[i].region = *region;
  return NEO_OK;
}

static void set_inputs(neo_graph *graph, neo_node *node, const int *input, int n) {
  node->input = neo_arena_copy(graph->arena, input, sizeof *input * (size_t)n);
  node->n_inputs = n;
}

static neo_status flatten_if(neo_flow_target *to, int id, int *regions) {
  static const char *const names[] = {"then", "else"};
  neo_graph *graph = to->graph;
  int region[2], n_out = graph->node[id].n_outputs;
  int *input = neo_arena_alloc(to->arena, sizeof *input * (size_t)(1 + 2 * n_out));
  input[0] = graph->node[id].input[0];
  for (int b = 0; b < 2; b++) {
    const neo_graph *from = neo_node_graph(&graph->node[id], names[b]);
    int *map = neo_arena_alloc(to->arena, sizeof *map * (size_t)(from->n_values + 1));
    for (int k = 0; k < from->n_inputs; k++)
      map[from->input[k]] = graph->node[id].input[1 + k];
    NEO_TRY(add_region(to, from, map, regions));
    region[b] = *regions;
    for (int k = 0; k < n_out; k++)
      input[1 + b * n_out + k] = map[from->output[k]];
  }
  neo_node *node = &graph->node[id];
  set_inputs(graph, node, input, 1 + 2 * n_out);
  node->n_attrs = 0;
  node->attr = NULL;
  neo_node_set_int(graph, node, "then_region", region[0]);
  neo_node_set_int(graph, node, "else_region", region[1]);
  return NEO_OK;
}

/* A further output of the loop, of the type of `like`. */
static void add_inner(neo_graph *graph, int id, int *output, int at, const neo_value *like) {
  neo_value type = *like;
  int v = neo_graph_add_value(graph, type.name, type.dtype, &type.shape);
  graph->value[v].node = id;
  graph->value[v].output = at;
  output[at] = v;
}

static int constant_i64(neo_flow_target *to, neo_dtype dtype, int64_t v) {
  neo_tensor tensor = {dtype, {0}, neo_arena_alloc(to->graph->arena, 16), neo_dtype_size(dtype)};
  neo_tensor_set_i64(&tensor, 0, v);
  return neo_graph_add_constant(to->graph, "", &tensor);
}

static neo_status flatten_loop(neo_flow_target *to, int id, int *regions) {
  neo_graph *graph = to->graph;
  neo_loop_parts p = neo_loop_read(&graph->node[id]);
  const neo_graph *from = p.body;
  int n_out = graph->node[id].n_outputs, n_state = p.n_state;
  int *output = neo_arena_alloc(graph->arena, sizeof *output * (size_t)(n_out + 1 + n_state));
  int *map = neo_arena_alloc(to->arena, sizeof *map * (size_t)(from->n_values + 1));
  int *input = neo_arena_alloc(to->arena, sizeof *input * (size_t)(2 + n_state + from->n_outputs));
  memcpy(output, graph->node[id].output, sizeof *output * (size_t)n_out);
  add_inner(graph, id, output, n_out, &from->value[from->input[0]]);
  map[from->input[0]] = output[n_out];
  map[from->input[1]] = constant_i64(to, NEO_BOOL, 1);
  for (int k = 0; k < n_state; k++) {
    add_inner(graph, id, output, n_out + 1 + k, &from->value[from->input[2 + k]]);
    map[from->input[2 + k]] = output[n_out + 1 + k];
  }
  for (int k = 2 + n_state; k < from->n_inputs; k++)
    map[from->input[k]] = graph->node[id].input[k];
  NEO_TRY(add_region(to, from, map, regions));
  input[0] = p.max_trips != NEO_NO_VALUE ? p.max_trips : constant_i64(to, NEO_I64, INT64_MAX);
  input[1] = p.cond != NEO_NO_VALUE ? p.cond : constant_i64(to, NEO_BOOL, 1);
  memcpy(input + 2, graph->node[id].input + 2, sizeof *input * (size_t)n_state);
  for (int k = 0; k < from->n_outputs; k++)
    input[2 + n_state + k] = map[from->output[k]];
  int n_in = 2 + n_state + from->n_outputs;
  neo_node *node = &graph->node[id];
  set_inputs(graph, node, input, n_in);
  node->output = output;
  node->n_outputs = n_out + 1 + n_state;
  node->n_attrs = 0;
  node->attr = NULL;
  neo_node_set_int(graph, node, "n_state", n_state);
  neo_node_set_int(graph, node, "region", *regions);
  return NEO_OK;
}

neo_status neo_graph_flatten(neo_ctx *ctx, neo_graph *graph) {
  neo_arena arena;
  neo_flow_target to = {ctx, graph, &arena};
  neo_status status = NEO_OK;
  int regions = 0;
  neo_arena_init(&arena);
  for (int i = 0; i < graph->n_nodes && status == NEO_OK; i++) {
    const neo_node *node = &graph->node[i];
    if (!node->dead && neo_flow_is(node))
      status =
          neo_edit_is(node, "if") ? flatten_if(&to, i, &regions) : flatten_loop(&to, i, &regions);
  }
  graph->n_regions = regions;
  neo_arena_fini(&arena);
  return status;
}
