/* ir/pass.c: the passes in their order.
 *
 * Simplifying comes before transposes move (patterns of several nodes are still as the framework
 * wrote them), after, and after the weights change, for what folding left behind. Every pass leaves
 * a sound graph. */
#include "ir/graph.h"

static const neo_pass passes[] = {
    {"infer", neo_pass_infer},
    {"dce", neo_pass_dce},
    {"fold", neo_pass_fold},
    {"simplify", neo_pass_simplify},
    {"transpose", neo_pass_transpose},
    {"simplify", neo_pass_simplify},
    {"cse", neo_pass_cse},
    {"fold_norm", neo_pass_fold_norm},
    {"simplify", neo_pass_simplify},
    {"fold", neo_pass_fold},
    {"cse", neo_pass_cse},
    {"tree", neo_pass_tree},
    {"dce", neo_pass_dce},
};

const neo_pass *neo_pass_list(int *n) {
  *n = NEO_COUNT(passes);
  return passes;
}

neo_status neo_graph_optimise(neo_ctx *ctx, neo_graph *graph) {
  for (int i = 0; i < NEO_COUNT(passes); i++)
    NEO_TRY(passes[i].run(ctx, graph));
  return neo_graph_check(ctx, graph);
}
