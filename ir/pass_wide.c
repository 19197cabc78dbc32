/* ir/pass_wide.c: operators of very many inputs as trees of the same operator.
 *
 * Why: a te has room for NEO_TE_MAX_BUFFERS buffers, and a concatenation (or sum, max, min) may
 * have any number of inputs: polynomial features of 90 products, a detector's boxes of each class.
 *
 * How: neighbouring inputs, PART at a time, become one node each, until the node itself is narrow
 * enough; so the order of a concatenation stays. */
#include "ir/pass_internal.h"
#include "ir/te.h"

#include <string.h>

#define PART 32

static bool may_be_cut(const neo_node *node) {
  static const char *const ops[] = {"concat", "sum", "max", "min"};
  if (node->dead || node->n_inputs < NEO_TE_MAX_BUFFERS || node->n_outputs != 1)
    return false;
  for (int i = 0; i < NEO_COUNT(ops); i++)
    if (neo_edit_is(node, ops[i]))
      return true;
  return false;
}

/* Inputs first to first + n of node `id` as one value. */
static neo_status gather_part(neo_ctx *ctx, neo_graph *graph, int id, int first, int n, int *out) {
  const neo_node *wide = &graph->node[id];
  const int *inputs = neo_arena_copy(graph->arena, wide->input + first, sizeof(int) * (size_t)n);
  neo_node *part = neo_graph_add_node(graph, wide->op->name, wide->name, n, inputs, 1);
  part->region = graph->node[id].region;
  NEO_TRY(neo_node_copy_attrs(ctx, graph, part, &graph->node[id]));
  *out = part->output[0];
  return part->op->infer(ctx, graph, part);
}

static neo_status cut(neo_ctx *ctx, neo_graph *graph, int id) {
  while (graph->node[id].n_inputs >= NEO_TE_MAX_BUFFERS) {
    int n = graph->node[id].n_inputs, parts = 0;
    int *input = neo_arena_alloc(graph->arena, sizeof(int) * (size_t)(n / PART + 1));
    for (int first = 0; first < n; first += PART, parts++) {
      int size = n - first < PART ? n - first : PART;
      if (size == 1)
        input[parts] = graph->node[id].input[first];
      else
        NEO_TRY(gather_part(ctx, graph, id, first, size, &input[parts]));
    }
    graph->node[id].input = input;
    graph->node[id].n_inputs = parts;
  }
  return NEO_OK;
}

neo_status neo_pass_wide(neo_ctx *ctx, neo_graph *graph) {
  bool changed = false;
  int n = graph->n_nodes;
  for (int i = 0; i < n; i++) {
    if (!may_be_cut(&graph->node[i]))
      continue;
    NEO_TRY(cut(ctx, graph, i));
    changed = true;
  }
  return changed ? neo_edit_sort(ctx, graph) : NEO_OK;
}
