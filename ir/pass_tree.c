/* ir/pass_tree.c: tree_ensemble -> tree_table: trees packed as the runtime walks them.
 *
 * Two layouts. Narrow: 8 bytes a node, one kind of test, x < threshold, no branch in a step; every
 * ensemble that XGBoost trains on numbers fits. Wide: 16 bytes a node and any test. Other
 * comparisons become `<`: x <= t is x < the float after t; > and >= are <= and < with the children
 * exchanged. Nodes of a tree stand in breadth-first order with siblings side by side, so a step
 * needs one distance for both children. runtime/op_tree.c has the bytes.
 *
 * Where NaN goes is a property of the whole narrow table if it can be: `missing` 0 (to the second
 * child) or 1 (to the first) cost nothing; 2 (each node its own way) makes the kernel keep every
 * feature twice, once with NaN replaced by +inf and once by -inf. */
#include "ir/ops_tree.h"
#include "ir/pass_internal.h"

#include <math.h>
#include <string.h>

#define NARROW_FEATURES 16384 /* feature * 4 in 16 bits; with missing 2 half of it */

typedef struct packer {
  neo_ctx *ctx;
  neo_graph *graph;
  neo_trees t;
  int n;           /* packed nodes */
  int32_t *source; /* packed node -> node of the ensemble */
  int32_t *place;  /* packed node -> packed number of its first child; of a leaf: 0 */
  int32_t *root;   /* by tree: packed number */
  int32_t *depth;  /* by tree: steps to its deepest leaf */
  bool narrow, has_first, has_second;
  int missing;
} packer;

/* A test as `<`: threshold and where NaN goes; swap: the children change places. */
typedef struct less {
  float threshold;
  bool swap, missing_first, narrow;
} less;

static less as_less(const neo_trees *t, int64_t i) {
  int test = t->flags[i] & NEO_TREE_TEST;
  less out = {.threshold = t->threshold[i],
              .swap = test == NEO_TREE_GREATER || test == NEO_TREE_GREATER_EQUAL,
              .narrow = test <= NEO_TREE_GREATER_EQUAL && !isnan(t->threshold[i])};
  out.missing_first = ((t->flags[i] & NEO_TREE_MISSING) != 0) != out.swap;
  if (test == NEO_TREE_LESS_EQUAL || test == NEO_TREE_GREATER) {
    out.narrow &= out.threshold < INFINITY;
    out.threshold = nextafterf(out.threshold, INFINITY);
  }
  return out;
}

/* Breadth first; the forest was checked by infer. */
static void order_tree(packer *p, int64_t tree) {
  const neo_trees *t = &p->t;
  int at = p->n, level_end = p->n + 1;
  p->root[tree] = p->n;
  p->depth[tree] = 0;
  p->source[p->n++] = t->root[tree];
  for (; at < p->n; at++) {
    int64_t i = p->source[at];
    if (at == level_end) {
      p->depth[tree]++;
      level_end = p->n;
    }
    if (t->child[2 * i] == -1)
      continue;
    less l = as_less(t, i);
    p->place[at] = p->n;
    p->source[p->n++] = t->child[2 * i + l.swap];
    p->source[p->n++] = t->child[2 * i + !l.swap];
    p->narrow &= l.narrow && p->place[at] - at <= INT16_MAX;
    /* -inf < -inf does not hold: where NaN must hold there, it cannot be replaced by -inf */
    p->narrow &= !(l.missing_first && l.threshold == -INFINITY);
    *(l.missing_first ? &p->has_first : &p->has_second) = true;
  }
}

static bool one_target_a_tree(const packer *p) {
  const neo_trees *t = &p->t;
  for (int64_t k = 0; k < t->n_trees; k++) {
    int end = k + 1 < t->n_trees ? p->root[k + 1] : p->n, target = -1;
    for (int at = p->root[k]; at < end; at++) {
      int64_t i = p->source[at];
      if (t->child[2 * i] != -1)
        continue;
      int32_t own = t->leaf_target[t->child[2 * i + 1]];
      if (target >= 0 && own != target)
        return false;
      target = own;
    }
  }
  return true;
}

/* NaN as a leaf's value means "adds nothing", which only the wide walk knows. */
static bool has_holes(const neo_trees *t) {
  for (int64_t k = 0; k < t->n_leaves * t->width; k++)
    if (isnan(t->leaf_value[k]))
      return true;
  return false;
}

static void choose_layout(packer *p) {
  p->missing = !p->has_first ? 0 : !p->has_second ? 1 : 2;
  p->narrow &= p->t.n_features <= (p->missing == 2 ? NARROW_FEATURES / 2 : NARROW_FEATURES);
  p->narrow &= p->t.aggregate <= 1 && !has_holes(&p->t) && one_target_a_tree(p);
}

static uint32_t float_bits(float v) {
  uint32_t bits;
  memcpy(&bits, &v, sizeof bits);
  return bits;
}

static void narrow_node(const packer *p, int at, int32_t *out) {
  int64_t i = p->source[at];
  if (p->t.child[2 * i] == -1) { /* stays where it is: comparing with NaN never holds */
    out[0] = (int32_t)float_bits(NAN);
    out[1] = p->missing == 1 ? 0 : (int32_t)0xffff0000u;
    return;
  }
  less l = as_less(&p->t, i);
  uint32_t feature = (uint32_t)p->t.feature[i];
  if (p->missing == 2)
    feature = feature * 2 + l.missing_first;
  out[0] = (int32_t)float_bits(l.threshold);
  out[1] = (int32_t)((uint32_t)(p->place[at] - at) << 16 | feature * 4);
}

static void wide_node(const packer *p, int at, int32_t *out) {
  const neo_trees *t = &p->t;
  int64_t i = p->source[at];
  if (t->child[2 * i] == -1) {
    out[2] = -1 - t->child[2 * i + 1];
    return;
  }
  int test = t->flags[i] & NEO_TREE_TEST;
  bool swap = test == NEO_TREE_GREATER || test == NEO_TREE_GREATER_EQUAL;
  bool missing = ((t->flags[i] & NEO_TREE_MISSING) != 0) != swap;
  test = test == NEO_TREE_GREATER ? NEO_TREE_LESS_EQUAL : swap ? NEO_TREE_LESS : test;
  out[0] = (int32_t)float_bits(t->threshold[i]);
  out[1] = (int32_t)((uint32_t)(test | (missing ? NEO_TREE_MISSING : 0)) << 28 |
                     (uint32_t)t->feature[i]);
  out[2] = p->place[at];
  out[3] = test == NEO_TREE_MEMBER ? (int32_t)t->threshold[i] : 0;
}

static neo_status add(packer *p, const char *name, neo_dtype dtype, neo_shape shape, int *value) {
  return neo_edit_constant(p->ctx, p->graph, name, dtype, &shape, value);
}

static void *data_of(const packer *p, int value) {
  return p->graph->value[value].constant->data;
}

static neo_status pack_nodes(packer *p, const char *name, int *out) {
  NEO_TRY(add(p, name, NEO_I32, (neo_shape){.rank = 2, .dim = {p->n, p->narrow ? 2 : 4}}, out));
  int32_t *nodes = data_of(p, *out);
  for (int at = 0; at < p->n; at++) {
    if (p->narrow)
      narrow_node(p, at, nodes + 2 * (int64_t)at);
    else
      wide_node(p, at, nodes + 4 * (int64_t)at);
  }
  return NEO_OK;
}

/* Per tree: root, depth, its target (narrow), 0. */
static neo_status pack_roots(packer *p, const char *name, int *out) {
  const neo_trees *t = &p->t;
  NEO_TRY(add(p, name, NEO_I32, (neo_shape){.rank = 2, .dim = {t->n_trees, 4}}, out));
  int32_t *tree = data_of(p, *out);
  for (int64_t k = 0; k < t->n_trees; k++) {
    int64_t i = t->root[k];
    tree[4 * k] = p->root[k];
    tree[4 * k + 1] = p->depth[k];
    while (t->child[2 * i] != -1)
      i = t->child[2 * i];
    tree[4 * k + 2] = t->leaf_target[t->child[2 * i + 1]];
  }
  return NEO_OK;
}

/* Narrow: a row for every node, so that the walk's end is the row; wide: as they are. */
static neo_status pack_leaves(packer *p, const neo_node *node, int *leaf, int *target) {
  const neo_trees *t = &p->t;
  *leaf = node->input[7];
  *target = node->input[6];
  if (!p->narrow)
    return NEO_OK;
  NEO_TRY(add(p, node->name, NEO_F32, (neo_shape){.rank = 2, .dim = {p->n, t->width}}, leaf));
  NEO_TRY(add(p, node->name, NEO_I32, (neo_shape){.rank = 1, .dim = {1}}, target));
  float *rows = data_of(p, *leaf);
  for (int at = 0; at < p->n; at++) {
    const int32_t *child = t->child + 2 * (int64_t)p->source[at];
    if (child[0] == -1)
      memcpy(rows + at * t->width, t->leaf_value + child[1] * t->width,
             sizeof(float) * (size_t)t->width);
  }
  return NEO_OK;
}

static neo_status pack(packer *p, int id) {
  const neo_node *node = &p->graph->node[id];
  int input[7] = {node->input[0], 0, 0, 0, 0, node->input[8], NEO_NO_VALUE};
  for (int64_t k = 0; k < p->t.n_trees; k++)
    order_tree(p, k);
  choose_layout(p);
  NEO_TRY(pack_nodes(p, node->name, &input[1]));
  NEO_TRY(pack_roots(p, node->name, &input[2]));
  NEO_TRY(pack_leaves(p, node, &input[3], &input[4]));
  if (node->n_inputs > 9)
    input[6] = node->input[9];
  if (input[6] == NEO_NO_VALUE)
    NEO_TRY(add(p, node->name, NEO_I32, (neo_shape){.rank = 1, .dim = {1}}, &input[6]));
  neo_node *table = &p->graph->node[id];
  neo_edit_become(p->graph, table, "tree_table", 7, input);
  neo_node_set_int(p->graph, table, "aggregate", p->t.aggregate);
  neo_node_set_int(p->graph, table, "features", p->t.n_features);
  neo_node_set_int(p->graph, table, "missing", p->missing);
  neo_node_set_int(p->graph, table, "wide", !p->narrow);
  neo_node_set_int(p->graph, table, "width", p->t.width);
  return NEO_OK;
}

static neo_status pack_node(neo_ctx *ctx, neo_graph *graph, int id) {
  packer p = {.ctx = ctx, .graph = graph, .narrow = true};
  NEO_TRY(neo_trees_read(ctx, graph, &graph->node[id], &p.t));
  size_t nodes = sizeof(int32_t) * ((size_t)p.t.n_nodes + 1);
  size_t trees = sizeof(int32_t) * ((size_t)p.t.n_trees + 1);
  p.source = neo_alloc(ctx, nodes);
  p.place = neo_alloc(ctx, nodes);
  p.root = neo_alloc(ctx, trees);
  p.depth = neo_alloc(ctx, trees);
  neo_status status = p.source && p.place && p.root && p.depth
                          ? pack(&p, id)
                          : neo_fail(ctx, NEO_NO_MEMORY, "trees: out of memory");
  neo_free(ctx, p.source);
  neo_free(ctx, p.place);
  neo_free(ctx, p.root);
  neo_free(ctx, p.depth);
  return status;
}

neo_status neo_pass_tree(neo_ctx *ctx, neo_graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (!graph->node[i].dead && neo_edit_is(&graph->node[i], "tree_ensemble"))
      NEO_TRY(pack_node(ctx, graph, i));
  return NEO_OK;
}
