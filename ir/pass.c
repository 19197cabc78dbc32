/* ir/pass.c: the passes in their order.
 *
 * Simplifying comes before transposes move (patterns of several nodes are still as the framework
 * wrote them), after, and after the weights change, for what folding left behind. Every pass leaves
 * a sound graph.
 *
 * Graphs inside nodes go through the same passes, before the graph around them. */
#include "ir/graph.h"

static const neo_pass passes[] = {
    {"qdq", neo_pass_qdq},
    {"infer", neo_pass_infer},
    {"dce", neo_pass_dce},
    {"fold", neo_pass_fold},
    {"simplify", neo_pass_simplify},
    {"transpose", neo_pass_transpose},
    {"simplify", neo_pass_simplify},
    {"cse", neo_pass_cse},
    {"fold_norm", neo_pass_fold_norm},
    {"simplify", neo_pass_simplify},
    {"scale", neo_pass_scale},
    {"fold", neo_pass_fold},
    {"cse", neo_pass_cse},
    {"tree", neo_pass_tree},
    {"wide", neo_pass_wide},
    {"dce", neo_pass_dce},
    {"bounds", neo_pass_bounds},
    {"text", neo_pass_text},
};

const neo_pass *neo_pass_list(int *n) {
  *n = NEO_COUNT(passes);
  return passes;
}

neo_status neo_pass_run(neo_ctx *ctx, const neo_pass *pass, neo_graph *graph) {
  for (int i = 0; i < graph->n_nodes && pass->run != neo_pass_infer; i++)
    for (int k = 0; k < graph->node[i].n_attrs && !graph->node[i].dead; k++)
      if (graph->node[i].attr[k].kind == NEO_ATTR_GRAPH)
        NEO_TRY(neo_pass_run(ctx, pass, graph->node[i].attr[k].graph));
  return pass->run(ctx, graph);
}

neo_status neo_graph_optimise(neo_ctx *ctx, neo_graph *graph) {
  for (int i = 0; i < NEO_COUNT(passes); i++)
    NEO_TRY(neo_pass_run(ctx, &passes[i], graph));
  return neo_graph_check(ctx, graph);
}
