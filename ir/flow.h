/* ir/flow.h: control flow, `if` and `loop`, for the passes. Private to ir/.
 *
 * Once a node's inputs have types, neo_flow_solve finds what becomes of it: either instances of its
 * graphs that take its place (the branch that a constant condition chooses, the iterations of a
 * short loop), or its graphs with types, kept as graphs. neo_flow_commit then changes the graph. */
#ifndef NEO_IR_FLOW_H
#define NEO_IR_FLOW_H

#include "ir/graph_edit.h"

/* What inferring may spend on graphs within graphs: nodes looked at. It bounds hostile models. */
typedef struct neo_flow_budget {
  int64_t nodes;
  int depth;
} neo_flow_budget;
#define NEO_FLOW_BUDGET ((neo_flow_budget){.nodes = (int64_t)1 << 21})

bool neo_flow_is(const neo_node *node);
/* Number and kind of attributes, inputs and outputs; every index below is sound after it. */
neo_status neo_flow_check(neo_ctx *ctx, const neo_graph *graph, const neo_node *node);

/* The parts of a `loop`. */
typedef struct neo_loop_parts {
  neo_graph *body;
  int n_state, n_capture, n_scan;
  int max_trips, cond; /* outer values, NEO_NO_VALUE if absent */
} neo_loop_parts;
neo_loop_parts neo_loop_read(const neo_node *node);

typedef struct neo_flow {
  neo_arena arena;
  bool inlined;
  int n, cap;        /* inlined: instances in order; kept: `else`, `then`, or `body` */
  neo_graph **graph; /* owned until committed */
  int64_t trips;     /* kept loops: -1 if only known at run time */
  neo_value *output; /* dtype and shape of each of the node's outputs */
} neo_flow;

neo_status neo_flow_solve(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_flow_budget *budget, neo_flow *out);
void neo_flow_free(neo_flow *flow); /* uncommitted graphs, too */
/* Kept: the node's graphs become those of flow. Inlined: their nodes are appended to the graph, the
 * node dies, and alias[v] is what stands for its output v. The graph owns flow's graphs then. */
neo_status neo_flow_commit(neo_ctx *ctx, neo_graph *graph, int node, neo_flow *flow, int *alias);

/* Where instances are pasted. */
typedef struct neo_flow_target {
  neo_ctx *ctx;
  neo_graph *graph;
  neo_arena *arena; /* scratch */
} neo_flow_target;
/* Appends the live nodes of `from` to the graph. map: from's value -> graph's; its inputs are
 * given, the others filled in. */
neo_status neo_flow_paste(neo_flow_target *to, const neo_graph *from, int *map);

/* neo_pass_infer with a budget. */
neo_status neo_infer_within(neo_ctx *ctx, neo_graph *graph, neo_flow_budget *budget);

#endif
