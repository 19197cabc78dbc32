/* ir/ops_tree.h: ensembles of decision trees, between ops_tree.c, pass_tree.c and the frontends
 * that emit tree_ensemble (its inputs are described in ops_tree.c). */
#ifndef NEO_IR_OPS_TREE_H
#define NEO_IR_OPS_TREE_H

#include "ir/graph.h"

/* What an inner node asks about x[feature]; in the low bits of its flags. */
typedef enum neo_tree_test {
  NEO_TREE_LESS,
  NEO_TREE_LESS_EQUAL,
  NEO_TREE_GREATER,
  NEO_TREE_GREATER_EQUAL,
  NEO_TREE_EQUAL,
  NEO_TREE_NOT_EQUAL,
  NEO_TREE_MEMBER, /* is the whole part of x in the set? */
} neo_tree_test;

#define NEO_TREE_TEST 7    /* mask */
#define NEO_TREE_MISSING 8 /* NaN counts as holding */

/* The constants of a tree_ensemble node, borrowed from the graph. */
typedef struct neo_trees {
  const int32_t *feature, *child, *root, *leaf_target, *sets;
  const float *threshold, *leaf_value, *base;
  const uint8_t *flags;
  int64_t n_nodes, n_trees, n_leaves, width, n_targets, n_sets, n_features;
  int aggregate; /* 0 sum, 1 average, 2 min, 3 max */
} neo_trees;

/* Types and lengths are checked, not yet the forest (infer did that). */
neo_status neo_trees_read(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_trees *out);

#endif
