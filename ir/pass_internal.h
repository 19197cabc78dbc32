/* ir/pass_internal.h: shared by the pass_*.c files only. */
#ifndef NEO_IR_PASS_INTERNAL_H
#define NEO_IR_PASS_INTERNAL_H

#include "ir/graph_edit.h"

/* If all inputs are constants and every output has at most max_elements: the outputs become
 * constants and the node dies. */
neo_status neo_fold_node(neo_ctx *ctx, neo_graph *graph, neo_node *node, int64_t max_elements);
/* The node's outputs become these constants (data owned by the graph); the node dies. */
void neo_fold_replace(neo_graph *graph, neo_node *node, const neo_tensor *out);

/* What a simplifying rule sees. uses is as of the start of the round; alias[v] is the value that
 * stands for v since then (the walk resolves a node's inputs before its rules run). */
typedef struct neo_simplifier {
  neo_ctx *ctx;
  neo_graph *graph;
  neo_uses uses;
  int *alias;
} neo_simplifier;

/* Groups of nodes that stand for one operator of ours; *changed is set if one was found. */
neo_status neo_simplify_patterns(neo_simplifier *s, bool *changed);

#endif
