/* ir/pass_dce.c: drops nodes whose outputs nothing needs, and restores a dense topological order.
 */
#include "ir/graph_edit.h"

neo_status neo_pass_dce(neo_ctx *ctx, neo_graph *graph) {
  neo_arena scratch;
  NEO_TRY(neo_edit_sort(ctx, graph));
  neo_arena_init(&scratch);
  bool *needed = neo_arena_alloc(&scratch, (size_t)graph->n_values + 1);
  for (int i = 0; i < graph->n_outputs; i++)
    needed[graph->output[i]] = true;
  for (int i = graph->n_nodes - 1; i >= 0; i--) {
    neo_node *node = &graph->node[i];
    bool live = false;
    for (int k = 0; k < node->n_outputs; k++)
      live |= needed[node->output[k]];
    node->dead = !live;
    for (int k = 0; live && k < node->n_inputs; k++)
      if (node->input[k] != NEO_NO_VALUE)
        needed[node->input[k]] = true;
  }
  neo_arena_fini(&scratch);
  return neo_edit_sort(ctx, graph);
}
