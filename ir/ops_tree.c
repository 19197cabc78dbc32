/* ir/ops_tree.c: ensembles of decision trees: `tree_ensemble` as frontends write it, `tree_table`
 * as the runtime walks it (made by pass_tree.c).
 *
 * Why two: the first is checked here once, node by node, and says what is meant; the second is
 * packed for speed (runtime/op_tree.c has its layout). Both have an eval of their own, plain walks
 * that share nothing with the runtime's kernel, so each of the three can be held against the
 * others.
 *
 * tree_ensemble(x, feature, threshold, child, flags, root, leaf_target, leaf_value, base, sets?)
 *   x           f32 [n, features]
 *   feature     i32 [nodes]    which feature an inner node looks at
 *   threshold   f32 [nodes]    for NEO_TREE_MEMBER: the first word of its set in `sets`, an integer
 *   child       i32 [nodes, 2] where to go if the test holds, if it does not; a leaf: -1, leaf row
 *   flags       u8  [nodes]    the test (enum neo_tree_test), NEO_TREE_MISSING: NaN counts as
 * holding root        i32 [trees] leaf_target i32 [leaves]   first target of the row leaf_value f32
 * [leaves, width] added to width targets from there on; NaN adds nothing base        f32 [targets]
 *   sets        i32 [words]    per set: the number of words, then so many words of bits
 *   aggregate:s=sum|average|min|max
 * -> f32 [n, targets]. The sum starts with base and adds trees in order, in f32, as XGBoost does;
 * the other aggregates add base last, and a target that no leaf reaches is 0 plus base.
 *
 * Invariant: infer refuses whatever is not a forest, so that walks end. */
#include "ir/ops_tree.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>
#include <string.h>

enum {
  IN_X,
  IN_FEATURE,
  IN_THRESHOLD,
  IN_CHILD,
  IN_FLAGS,
  IN_ROOT,
  IN_LEAF_TARGET,
  IN_LEAF_VALUE,
  IN_BASE,
  IN_SETS
};

static const char *const aggregates[] = {"sum", "average", "min", "max"};

/* ---- reading the constants ------------------------------------------------------------------------ */

static const neo_tensor *constant(const neo_graph *graph, const neo_node *node, int k) {
  const neo_value *value = neo_op_in(graph, node, k);
  return value ? value->constant : NULL;
}

static neo_status want(const neo_op_site *at, int k, neo_dtype dtype, int rank) {
  static const char *const names[] = {"x",    "feature",     "threshold",  "child", "flags",
                                      "root", "leaf_target", "leaf_value", "base",  "sets"};
  const neo_tensor *t = constant(at->graph, at->node, k);
  if (!t)
    return neo_op_fail(at->ctx, at->node, NEO_UNSUPPORTED, "%s must be a constant", names[k]);
  if (t->dtype != dtype || t->shape.rank != rank)
    return neo_op_fail(at->ctx, at->node, NEO_BAD_INPUT, "%s must be %s of rank %d", names[k],
                       neo_dtype_name(dtype), rank);
  return NEO_OK;
}

neo_status neo_trees_read(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_trees *out) {
  static const struct {
    neo_dtype dtype;
    int rank;
  } form[] = {{NEO_F32, 2}, {NEO_I32, 1}, {NEO_F32, 1}, {NEO_I32, 2}, {NEO_U8, 1},
              {NEO_I32, 1}, {NEO_I32, 1}, {NEO_F32, 2}, {NEO_F32, 1}, {NEO_I32, 1}};
  for (int k = IN_FEATURE; k <= IN_SETS; k++)
    if (k != IN_SETS || neo_op_in(graph, node, k))
      NEO_TRY(want(NEO_SITE, k, form[k].dtype, form[k].rank));
  const neo_tensor *t[IN_SETS + 1];
  for (int k = 0; k <= IN_SETS; k++)
    t[k] = constant(graph, node, k);
  *out = (neo_trees){.feature = t[IN_FEATURE]->data,
                     .threshold = t[IN_THRESHOLD]->data,
                     .child = t[IN_CHILD]->data,
                     .flags = t[IN_FLAGS]->data,
                     .root = t[IN_ROOT]->data,
                     .leaf_target = t[IN_LEAF_TARGET]->data,
                     .leaf_value = t[IN_LEAF_VALUE]->data,
                     .base = t[IN_BASE]->data,
                     .sets = t[IN_SETS] ? t[IN_SETS]->data : NULL,
                     .n_nodes = t[IN_FEATURE]->shape.dim[0],
                     .n_trees = t[IN_ROOT]->shape.dim[0],
                     .n_leaves = t[IN_LEAF_VALUE]->shape.dim[0],
                     .width = t[IN_LEAF_VALUE]->shape.dim[1],
                     .n_targets = t[IN_BASE]->shape.dim[0],
                     .n_sets = t[IN_SETS] ? t[IN_SETS]->shape.dim[0] : 0,
                     .n_features = neo_op_in(graph, node, IN_X)->shape.dim[1]};
  for (out->aggregate = 0; out->aggregate < NEO_COUNT(aggregates); out->aggregate++)
    if (neo_op_string_is(node, "aggregate", "sum", aggregates[out->aggregate]))
      break;
  if (out->aggregate == NEO_COUNT(aggregates))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "aggregate is none of sum, average, min, max");
  if (t[IN_THRESHOLD]->shape.dim[0] != out->n_nodes || t[IN_CHILD]->shape.dim[0] != out->n_nodes ||
      t[IN_CHILD]->shape.dim[1] != 2 || t[IN_FLAGS]->shape.dim[0] != out->n_nodes ||
      t[IN_LEAF_TARGET]->shape.dim[0] != out->n_leaves)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the arrays have different lengths");
  return NEO_OK;
}

/* ---- is it a forest? ------------------------------------------------------------------------------ */

static const char *inner_problem(const neo_trees *t, int64_t i) {
  int test = t->flags[i] & NEO_TREE_TEST;
  if (t->feature[i] < 0 || t->feature[i] >= t->n_features)
    return "looks at a feature that x does not have";
  if (test > NEO_TREE_MEMBER || (t->flags[i] & ~(NEO_TREE_TEST | NEO_TREE_MISSING)))
    return "has an unknown test";
  if (test != NEO_TREE_MEMBER)
    return NULL;
  float start = t->threshold[i];
  if (!(start >= 0 && start < (float)t->n_sets) || start != floorf(start))
    return "has its set outside of sets";
  int64_t words = t->sets[(int64_t)start];
  return words < 0 || words >= t->n_sets - (int64_t)start ? "has a set that is too long" : NULL;
}

static const char *leaf_problem(const neo_trees *t, int64_t i) {
  int64_t row = t->child[2 * i + 1];
  if (row < 0 || row >= t->n_leaves)
    return "is a leaf without a row";
  int64_t first = t->leaf_target[row];
  return first < 0 || first > t->n_targets - t->width ? "adds to targets that are not there" : NULL;
}

/* Marks the tree below root; NULL, or what is wrong with *at. */
static const char *walk_problem(const neo_trees *t, int64_t root, bool *seen, int32_t *stack,
                                int64_t *at) {
  int64_t depth = 0;
  *at = root;
  if (root < 0 || root >= t->n_nodes)
    return "is a root but not there";
  stack[depth++] = (int32_t)root;
  while (depth > 0) {
    int64_t i = *at = stack[--depth];
    if (seen[i])
      return "is reached twice";
    seen[i] = true;
    bool leaf = t->child[2 * i] == -1;
    const char *problem = leaf ? leaf_problem(t, i) : inner_problem(t, i);
    if (problem)
      return problem;
    for (int side = 0; !leaf && side < 2; side++) {
      int32_t next = t->child[2 * i + side];
      if (next < 0 || next >= t->n_nodes)
        return "has a child that is not there";
      stack[depth++] = next;
    }
  }
  return NULL;
}

static neo_status check_forest(neo_ctx *ctx, const neo_node *node, const neo_trees *t) {
  if (t->n_nodes > INT32_MAX || t->width < 1 || t->n_targets < 1)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "no targets, or more than 2^31 nodes");
  bool *seen = neo_alloc(ctx, (size_t)t->n_nodes + 1);
  /* every node is pushed at most twice before it is found to be seen */
  int32_t *stack = neo_alloc(ctx, sizeof(int32_t) * ((size_t)t->n_nodes * 2 + 2));
  const char *problem = NULL;
  int64_t at = 0;
  for (int64_t k = 0; seen && stack && !problem && k < t->n_trees; k++)
    problem = walk_problem(t, t->root[k], seen, stack, &at);
  neo_status status = seen && stack ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "trees: out of memory");
  neo_free(ctx, seen);
  neo_free(ctx, stack);
  if (problem)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "tree node %lld %s", (long long)at, problem);
  return status;
}

neo_status neo_infer_tree_ensemble(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_trees t;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, IN_X);
  if (x->dtype != NEO_F32 || x->shape.rank != 2)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "x must be f32 of rank 2");
  NEO_TRY(neo_trees_read(ctx, graph, node, &t));
  NEO_TRY(check_forest(ctx, node, &t));
  neo_op_set(graph, node, 0, NEO_F32,
             &(neo_shape){.rank = 2, .dim = {x->shape.dim[0], t.n_targets}});
  return NEO_OK;
}

/* ---- evaluation ------------------------------------------------------------------------------------- */

static bool is_member(const int32_t *set, float x) {
  if (!(x >= 0 && x < 16777216.0f)) /* the largest category is 2^24 - 1, as in XGBoost */
    return false;
  int64_t category = (int64_t)x;
  return category / 32 < set[0] && ((uint32_t)set[1 + category / 32] >> (category % 32) & 1);
}

static bool holds(const int32_t *sets, int flags, float threshold, float x) {
  if (isnan(x))
    return (flags & NEO_TREE_MISSING) != 0;
  switch (flags & NEO_TREE_TEST) {
  case NEO_TREE_LESS:
    return x < threshold;
  case NEO_TREE_LESS_EQUAL:
    return x <= threshold;
  case NEO_TREE_GREATER:
    return x > threshold;
  case NEO_TREE_GREATER_EQUAL:
    return x >= threshold;
  case NEO_TREE_EQUAL:
    return x == threshold;
  case NEO_TREE_NOT_EQUAL:
    return x != threshold;
  default:
    return is_member(sets + (int64_t)threshold, x);
  }
}

/* Adds one leaf row to a row's targets; reached[k]: target k has a value. */
static void add_leaf(int aggregate, const float *row, int64_t width, float *out, bool *reached) {
  for (int64_t k = 0; k < width; k++) {
    if (isnan(row[k]))
      continue;
    if (aggregate <= 1)
      out[k] += row[k];
    else if (!reached[k] || (aggregate == 2 ? row[k] < out[k] : row[k] > out[k]))
      out[k] = row[k];
    reached[k] = true;
  }
}

static void finish_row(int aggregate, int64_t n_trees, const float *base, int64_t n, float *out) {
  for (int64_t k = 0; aggregate > 0 && k < n; k++)
    out[k] = (aggregate == 1 && n_trees > 0 ? out[k] / (float)n_trees : out[k]) + base[k];
}

neo_status neo_eval_tree_ensemble(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                  neo_tensor *const *in, neo_tensor *out) {
  neo_trees t;
  NEO_TRY(neo_trees_read(ctx, graph, node, &t));
  bool *reached = neo_alloc(ctx, (size_t)t.n_targets);
  if (!reached)
    return neo_fail(ctx, NEO_NO_MEMORY, "trees: out of memory");
  for (int64_t r = 0; r < out->shape.dim[0]; r++) {
    const float *x = (const float *)in[IN_X]->data + r * t.n_features;
    float *y = (float *)out->data + r * t.n_targets;
    memset(reached, 0, (size_t)t.n_targets);
    for (int64_t k = 0; k < t.n_targets; k++)
      y[k] = t.aggregate == 0 ? t.base[k] : 0;
    for (int64_t k = 0; k < t.n_trees; k++) {
      int64_t i = t.root[k];
      while (t.child[2 * i] != -1)
        i = t.child[2 * i + !holds(t.sets, t.flags[i], t.threshold[i], x[t.feature[i]])];
      int64_t leaf = t.child[2 * i + 1], first = t.leaf_target[leaf];
      add_leaf(t.aggregate, t.leaf_value + leaf * t.width, t.width, y + first, reached + first);
    }
    finish_row(t.aggregate, t.n_trees, t.base, t.n_targets, y);
  }
  neo_free(ctx, reached);
  return NEO_OK;
}

/* ---- tree_table: what pass_tree.c packs (layout in runtime/op_tree.c) ------------------------------- */

neo_status neo_infer_tree_table(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0), *base = neo_op_in(graph, node, 5);
  if (x->shape.rank != 2 || base->shape.rank != 1)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "x or base has the wrong rank");
  neo_op_set(graph, node, 0, NEO_F32,
             &(neo_shape){.rank = 2, .dim = {x->shape.dim[0], base->shape.dim[0]}});
  return NEO_OK;
}

/* Where a row ends in a tree of narrow nodes. NaN: 0 goes to the second child, 1 to the first, 2 as
 * the lowest bit of the feature says. */
static int64_t walk_narrow(const int32_t *nodes, int64_t i, int missing, const float *x) {
  for (;;) {
    float threshold;
    uint32_t word = (uint32_t)nodes[2 * i + 1];
    int32_t delta = (int16_t)(word >> 16);
    uint32_t feature = (word & 0xffff) / 4;
    memcpy(&threshold, &nodes[2 * i], sizeof threshold);
    if (delta <= 0)
      return i;
    bool first = missing == 1 || (missing == 2 && feature % 2);
    float v = x[missing == 2 ? feature / 2 : feature];
    i += delta + (isnan(v) ? !first : !(v < threshold));
  }
}

static int64_t walk_wide(const int32_t *nodes, int64_t i, const int32_t *sets, const float *x) {
  while (nodes[4 * i + 2] >= 0) {
    float threshold;
    uint32_t word = (uint32_t)nodes[4 * i + 1];
    memcpy(&threshold, &nodes[4 * i], sizeof threshold);
    if (((word >> 28) & NEO_TREE_TEST) == NEO_TREE_MEMBER)
      threshold = (float)nodes[4 * i + 3];
    i = nodes[4 * i + 2] + !holds(sets, (int)(word >> 28), threshold, x[word & 0xfffffff]);
  }
  return -1 - nodes[4 * i + 2];
}

neo_status neo_eval_tree_table(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               neo_tensor *const *in, neo_tensor *out) {
  int64_t wide = neo_node_int(node, "wide", 0), width = neo_node_int(node, "width", 1);
  int64_t n_features = in[0]->shape.dim[1], n_targets = out->shape.dim[1];
  int64_t n_trees = in[2]->shape.dim[0];
  int aggregate = (int)neo_node_int(node, "aggregate", 0);
  int missing = (int)neo_node_int(node, "missing", 0);
  const int32_t *tree = in[2]->data, *target = in[4]->data;
  const float *leaf = in[3]->data, *base = in[5]->data;
  bool *reached = neo_alloc(ctx, (size_t)n_targets);
  (void)graph;
  if (!reached)
    return neo_fail(ctx, NEO_NO_MEMORY, "trees: out of memory");
  for (int64_t r = 0; r < out->shape.dim[0]; r++) {
    const float *x = (const float *)in[0]->data + r * n_features;
    float *y = (float *)out->data + r * n_targets;
    memset(reached, 0, (size_t)n_targets);
    for (int64_t k = 0; k < n_targets; k++)
      y[k] = aggregate == 0 ? base[k] : 0;
    for (int64_t k = 0; k < n_trees; k++) {
      int64_t row = wide ? walk_wide(in[1]->data, tree[4 * k], in[6]->data, x)
                         : walk_narrow(in[1]->data, tree[4 * k], missing, x);
      int64_t first = wide ? target[row] : tree[4 * k + 2];
      add_leaf(aggregate, leaf + row * width, width, y + first, reached + first);
    }
    finish_row(aggregate, n_trees, base, n_targets, y);
  }
  neo_free(ctx, reached);
  return NEO_OK;
}
