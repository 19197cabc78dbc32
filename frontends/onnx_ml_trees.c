/* frontends/onnx_ml_trees.c: ai.onnx.ml's tree ensembles -> tree_ensemble.
 *
 * The older operators name nodes by (tree, node) pairs in any order, with weights in a list of
 * their own; the newest has plain indices, leaves apart from nodes. Both become one list of nodes
 * whose leaves point to rows of weights (ir/ops_tree.c has the layout, and checks that it is a
 * forest). */
#include "frontends/onnx_ml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_COPIES                                                                                \
  (1 << 20) /* of nodes that several lead to, and as many as 8 per node of the file */

typedef struct forest {
  int n_nodes, n_leaves, n_roots, width, n_targets;
  int32_t *feature, *child, *root, *leaf_target;
  float *threshold, *leaf_value, *base;
  uint8_t *flags;
} forest;

/* ---- emitting -------------------------------------------------------------------------------- */

static int constant(onnx_import *im, onnx_node *node, const char *suffix, neo_dtype dtype,
                    const neo_shape *shape, const void *data) {
  int64_t n = 1;
  for (int d = 0; d < shape->rank; d++)
    n *= shape->dim[d];
  neo_tensor t = {dtype, *shape, (void *)(uintptr_t)data, (size_t)n * neo_dtype_size(dtype)};
  return neo_graph_add_constant(
      im->e.graph, neo_arena_printf(im->e.graph->arena, "%s.%s", node->name, suffix), &t);
}

static int vector(onnx_import *im, onnx_node *node, const char *suffix, neo_dtype dtype, int n,
                  const void *data) {
  return constant(im, node, suffix, dtype, &(neo_shape){1, {n}}, data);
}

static void allocate(onnx_import *im, forest *f) {
  neo_arena *arena = im->e.graph->arena;
  size_t n = (size_t)f->n_nodes + 1;
  f->feature = neo_arena_alloc(arena, n * sizeof *f->feature);
  f->threshold = neo_arena_alloc(arena, n * sizeof *f->threshold);
  f->child = neo_arena_alloc(arena, 2 * n * sizeof *f->child);
  f->flags = neo_arena_alloc(arena, n);
  f->root = neo_arena_alloc(arena, n * sizeof *f->root);
  f->base = neo_arena_alloc(arena, ((size_t)f->n_targets + 1) * sizeof *f->base);
}

/* Where to write the number of a node's copy: a child, or (from n_child on) a root. */
typedef struct pending {
  int32_t node;
  int64_t slot;
} pending;

/* Nodes of the forest with a copy for each way that leads to a node; more than `most`: most + 1. */
static int64_t copy_nodes(const forest *f, pending *stack, int64_t most, forest *to) {
  int64_t n = 0;
  for (int k = 0; k < f->n_roots; k++) {
    int64_t depth = 0;
    stack[depth++] = (pending){f->root[k], -1 - k};
    while (depth > 0) {
      pending next = stack[--depth];
      if (n >= most)
        return most + 1;
      if (to) {
        int32_t *slot = next.slot < 0 ? &to->root[-1 - next.slot] : &to->child[next.slot];
        *slot = (int32_t)n;
        to->feature[n] = f->feature[next.node];
        to->threshold[n] = f->threshold[next.node];
        to->flags[n] = f->flags[next.node];
        memcpy(&to->child[2 * n], &f->child[2 * next.node], 2 * sizeof *to->child);
      }
      for (int side = 1; f->child[2 * next.node] >= 0 && side >= 0; side--) {
        if (depth > f->n_nodes) /* deeper than there are nodes: a circle */
          return most + 1;
        stack[depth++] = (pending){f->child[2 * next.node + side], 2 * n + side};
      }
      n++;
    }
  }
  return n;
}

/* A node that several lead to (LightGBM's categories: many tests, one subtree) becomes several. */
static neo_status unshare(onnx_import *im, onnx_node *node, forest *f) {
  neo_arena *arena = im->e.graph->arena;
  uint8_t *seen = neo_arena_alloc(arena, (size_t)f->n_nodes + 1);
  bool shared = false;
  for (int64_t i = 0; i < 2 * (int64_t)f->n_nodes; i++)
    if (f->child[i & ~(int64_t)1] >= 0)
      shared |= seen[f->child[i]]++ > 0;
  if (!shared)
    return NEO_OK;
  int64_t most = 8 * (int64_t)f->n_nodes + MOST_COPIES;
  pending *stack = neo_arena_alloc(arena, sizeof *stack * ((size_t)f->n_nodes + 4));
  int64_t n = copy_nodes(f, stack, most, NULL);
  if (n > most || n > INT32_MAX / 2)
    return onnx_unsupported(im, node, "more than %lld nodes where several lead to one",
                            (long long)most);
  forest to = *f;
  to.n_nodes = (int)n;
  allocate(im, &to);
  to.base = f->base;
  copy_nodes(f, stack, most, &to);
  *f = to;
  return NEO_OK;
}

static int emit_forest(onnx_import *im, onnx_node *node, const forest *f, const char *aggregate) {
  neo_node *x = onnx_emit(im, node, "cast", 1, node->input, 1);
  neo_node_set_string(im->e.graph, x, "to", "f32");
  int in[9] = {x->output[0],
               vector(im, node, "feature", NEO_I32, f->n_nodes, f->feature),
               vector(im, node, "threshold", NEO_F32, f->n_nodes, f->threshold),
               constant(im, node, "child", NEO_I32, &(neo_shape){2, {f->n_nodes, 2}}, f->child),
               vector(im, node, "flags", NEO_U8, f->n_nodes, f->flags),
               vector(im, node, "root", NEO_I32, f->n_roots, f->root),
               vector(im, node, "leaf_target", NEO_I32, f->n_leaves, f->leaf_target),
               constant(im, node, "leaf_value", NEO_F32, &(neo_shape){2, {f->n_leaves, f->width}},
                        f->leaf_value),
               vector(im, node, "base", NEO_F32, f->n_targets, f->base)};
  neo_node *made = onnx_emit(im, node, "tree_ensemble", 9, in, 1);
  if (!made)
    return NEO_NO_VALUE;
  neo_node_set_string(im->e.graph, made, "aggregate", aggregate);
  return made->output[0];
}

/* ---- nodes by (tree, node) ------------------------------------------------------------------- */

typedef struct list {
  int n;
  const int64_t *v;
} list;

typedef struct floats {
  int n;
  const double *v;
} floats;

typedef struct pairs {
  list trees, nodes, features, yes, no, missing;
  floats values;
  const Onnx__Attribute *modes;
  int *order; /* node numbers by (tree, node) */
} pairs;

static neo_status ints(onnx_import *im, onnx_node *node, const char *name, list *out) {
  return onnx_attr_ints(im, node, name, &out->n, &out->v);
}

/* A list of floats, or the _as_tensor form. */
static neo_status reals(onnx_import *im, onnx_node *node, const char *name, floats *out) {
  char tensor_name[64];
  neo_tensor t;
  int64_t n;
  NEO_TRY(onnx_attr_floats(im, node, name, &out->n, &out->v));
  snprintf(tensor_name, sizeof tensor_name, "%s_as_tensor", name);
  const Onnx__Attribute *attr = onnx_attr(node, tensor_name);
  if (out->n >= 0 || !attr || !attr->t)
    return NEO_OK;
  NEO_TRY(onnx_tensor(im, attr->t, node->name, &t));
  if (!neo_shape_elements(&t.shape, &n) || n > INT32_MAX / 16)
    return onnx_bad(im, node, "attribute '%s' is too long", tensor_name);
  double *v = neo_arena_alloc(im->e.graph->arena, sizeof *v * ((size_t)n + 1));
  for (int64_t i = 0; i < n; i++)
    v[i] = neo_tensor_get_f64(&t, i);
  out->n = (int)n;
  out->v = v;
  return NEO_OK;
}

static neo_status read_pairs(onnx_import *im, onnx_node *node, pairs *p) {
  NEO_TRY(ints(im, node, "nodes_treeids", &p->trees));
  NEO_TRY(ints(im, node, "nodes_nodeids", &p->nodes));
  NEO_TRY(ints(im, node, "nodes_featureids", &p->features));
  NEO_TRY(ints(im, node, "nodes_truenodeids", &p->yes));
  NEO_TRY(ints(im, node, "nodes_falsenodeids", &p->no));
  NEO_TRY(ints(im, node, "nodes_missing_value_tracks_true", &p->missing));
  NEO_TRY(reals(im, node, "nodes_values", &p->values));
  onnx_attr(node, "nodes_hitrates");
  onnx_attr(node, "nodes_hitrates_as_tensor");
  p->modes = onnx_attr(node, "nodes_modes");
  int n = p->trees.n;
  if (n < 1 || p->nodes.n != n || p->features.n != n || p->yes.n != n || p->no.n != n ||
      p->values.n != n || !p->modes || p->modes->n_strings != (size_t)n ||
      (p->missing.n > 0 && p->missing.n != n))
    return onnx_bad(im, node, "the lists of its nodes have different lengths");
  return NEO_OK;
}

typedef struct keyed {
  int64_t tree, node;
  int at;
} keyed;

static int by_key(const void *a, const void *b) {
  const keyed *x = a, *y = b;
  if (x->tree != y->tree)
    return x->tree < y->tree ? -1 : 1;
  if (x->node != y->node)
    return x->node < y->node ? -1 : 1;
  return 0;
}

static int find(const keyed *index, int n, int64_t tree, int64_t node) {
  keyed key = {tree, node, 0};
  const keyed *found = bsearch(&key, index, (size_t)n, sizeof *index, by_key);
  return found ? found->at : -1;
}

static const struct {
  const char *name;
  int test; /* -1: a leaf */
} modes[] = {{"BRANCH_LEQ", NEO_TREE_LESS_EQUAL},
             {"BRANCH_LT", NEO_TREE_LESS},
             {"BRANCH_GTE", NEO_TREE_GREATER_EQUAL},
             {"BRANCH_GT", NEO_TREE_GREATER},
             {"BRANCH_EQ", NEO_TREE_EQUAL},
             {"BRANCH_NEQ", NEO_TREE_NOT_EQUAL},
             {"LEAF", -1}};

static int find_mode(ProtobufCBinaryData s) {
  for (int k = 0; k < NEO_COUNT(modes); k++)
    if (strlen(modes[k].name) == s.len && memcmp(modes[k].name, s.data, s.len) == 0)
      return k;
  return -1;
}

static neo_status fill_nodes(onnx_import *im, onnx_node *node, const pairs *p, const keyed *index,
                             forest *f) {
  bool *child_of = neo_arena_alloc(im->e.graph->arena, (size_t)f->n_nodes + 1);
  for (int i = 0; i < f->n_nodes; i++) {
    int mode = find_mode(p->modes->strings[i]);
    if (mode < 0)
      return onnx_unsupported(im, node, "mode of node %d", i);
    f->child[2 * i] = f->child[2 * i + 1] = -1;
    if (modes[mode].test < 0)
      continue;
    int yes = find(index, f->n_nodes, p->trees.v[i], p->yes.v[i]);
    int no = find(index, f->n_nodes, p->trees.v[i], p->no.v[i]);
    if (yes < 0 || no < 0 || p->features.v[i] < 0 || p->features.v[i] > INT32_MAX)
      return onnx_bad(im, node, "node %d has no such child or feature", i);
    f->feature[i] = (int32_t)p->features.v[i];
    f->threshold[i] = (float)p->values.v[i];
    f->child[2 * i] = yes;
    f->child[2 * i + 1] = no;
    f->flags[i] =
        (uint8_t)(modes[mode].test | (p->missing.n > 0 && p->missing.v[i] ? NEO_TREE_MISSING : 0));
    child_of[yes] = child_of[no] = true;
  }
  for (int i = 0; i < f->n_nodes; i++)
    if (!child_of[i])
      f->root[f->n_roots++] = i;
  return NEO_OK;
}

/* ---- weights of leaves ----------------------------------------------------------------------- */

typedef struct weights {
  list trees, nodes, targets;
  floats values;
} weights;

static neo_status read_weights(onnx_import *im, onnx_node *node, const char *prefix, weights *w) {
  char name[4][32];
  static const char *const ends[] = {"treeids", "nodeids", "ids", "weights"};
  for (int k = 0; k < 4; k++)
    snprintf(name[k], sizeof name[k], "%s_%s", prefix, ends[k]);
  NEO_TRY(ints(im, node, name[0], &w->trees));
  NEO_TRY(ints(im, node, name[1], &w->nodes));
  NEO_TRY(ints(im, node, name[2], &w->targets));
  NEO_TRY(reals(im, node, name[3], &w->values));
  if (w->trees.n < 1 || w->nodes.n != w->trees.n || w->targets.n != w->trees.n ||
      w->values.n != w->trees.n)
    return onnx_bad(im, node, "the lists of its weights have different lengths");
  return NEO_OK;
}

/* One row a leaf: of one value where no leaf has several, else of one value a target. */
static neo_status fill_leaves(onnx_import *im, onnx_node *node, const weights *w,
                              const keyed *index, forest *f) {
  neo_arena *arena = im->e.graph->arena;
  int *row = neo_arena_alloc(arena, sizeof(int) * ((size_t)f->n_nodes + 1)),
      *count = neo_arena_alloc(arena, sizeof(int) * ((size_t)f->n_nodes + 1));
  f->width = 1;
  for (int k = 0; k < w->trees.n; k++) {
    int at = find(index, f->n_nodes, w->trees.v[k], w->nodes.v[k]);
    if (at < 0 || f->child[2 * at] >= 0 || w->targets.v[k] < 0 || w->targets.v[k] >= f->n_targets)
      return onnx_bad(im, node, "weight %d belongs to no leaf or target", k);
    if (count[at]++ > 0)
      f->width = f->n_targets;
  }
  for (int i = 0; i < f->n_nodes; i++)
    if (f->child[2 * i] < 0)
      f->child[2 * i + 1] = row[i] = f->n_leaves++;
  size_t cells = (size_t)f->n_leaves * (size_t)f->width;
  if (cells > (size_t)1 << 28)
    return onnx_unsupported(im, node, "%zu weights", cells);
  f->leaf_target = neo_arena_alloc(arena, sizeof(int32_t) * ((size_t)f->n_leaves + 1));
  f->leaf_value = neo_arena_alloc(arena, sizeof(float) * (cells + 1));
  for (size_t i = 0; i < cells; i++)
    f->leaf_value[i] = NAN;
  for (int k = 0; k < w->trees.n; k++) {
    int leaf = row[find(index, f->n_nodes, w->trees.v[k], w->nodes.v[k])];
    int target = (int)w->targets.v[k];
    float *cell =
        &f->leaf_value[(size_t)leaf * (size_t)f->width + (f->width > 1 ? (size_t)target : 0)];
    if (f->width == 1)
      f->leaf_target[leaf] = target;
    *cell = (isnan(*cell) ? 0 : *cell) + (float)w->values.v[k];
  }
  return NEO_OK;
}

static neo_status fill_base(onnx_import *im, onnx_node *node, forest *f) {
  floats base;
  NEO_TRY(reals(im, node, "base_values", &base));
  if (base.n > 0 && base.n != f->n_targets && base.n != 1)
    return onnx_bad(im, node, "%d base values for %d targets", base.n, f->n_targets);
  for (int k = 0; k < f->n_targets && base.n > 0; k++)
    f->base[k] = (float)base.v[base.n == 1 ? 0 : k];
  return NEO_OK;
}

static neo_status read_forest(onnx_import *im, onnx_node *node, const weights *w, forest *f) {
  pairs p = {0};
  NEO_TRY(read_pairs(im, node, &p));
  f->n_nodes = p.trees.n;
  allocate(im, f);
  keyed *index = neo_arena_alloc(im->e.graph->arena, sizeof *index * (size_t)f->n_nodes);
  for (int i = 0; i < f->n_nodes; i++)
    index[i] = (keyed){p.trees.v[i], p.nodes.v[i], i};
  qsort(index, (size_t)f->n_nodes, sizeof *index, by_key);
  NEO_TRY(fill_nodes(im, node, &p, index, f));
  NEO_TRY(fill_leaves(im, node, w, index, f));
  NEO_TRY(unshare(im, node, f));
  return fill_base(im, node, f);
}

/* ---- the operators --------------------------------------------------------------------------- */

neo_status onnx_tree_regressor(onnx_import *im, onnx_node *node) {
  forest f = {0};
  weights w = {0};
  int64_t targets = 1;
  const char *how = "SUM";
  int before = im->e.unsupported.n;
  NEO_TRY(onnx_attr_int(im, node, "n_targets", &targets));
  NEO_TRY(onnx_attr_string(im, node, "aggregate_function", &how));
  NEO_TRY(read_weights(im, node, "target", &w));
  if (targets < 1 || targets > 1 << 20)
    return onnx_bad(im, node, "n_targets=%lld", (long long)targets);
  f.n_targets = (int)targets;
  NEO_TRY(read_forest(im, node, &w, &f));
  if (im->e.unsupported.n != before)
    return NEO_OK;
  const char *aggregate = strcmp(how, "AVERAGE") == 0 ? "average"
                          : strcmp(how, "MIN") == 0   ? "min"
                          : strcmp(how, "MAX") == 0   ? "max"
                                                      : "sum";
  return onnx_ml_post(im, node, 0, emit_forest(im, node, &f, aggregate));
}

neo_status onnx_tree_classifier(onnx_import *im, onnx_node *node) {
  forest f = {0};
  weights w = {0};
  onnx_ml_labels labels;
  int before = im->e.unsupported.n;
  bool binary = true, probabilities = true; /* as long as no weight is negative */
  NEO_TRY(onnx_ml_read_labels(im, node, "classlabels_int64s", &labels));
  NEO_TRY(read_weights(im, node, "class", &w));
  f.n_targets = labels.n < 1 ? 1 : labels.n;
  for (int k = 1; k < w.targets.n; k++)
    binary &= w.targets.v[k] == w.targets.v[0];
  for (int k = 0; k < w.values.n; k++)
    probabilities &= w.values.v[k] >= 0;
  int64_t only = w.targets.v[0];
  NEO_TRY(read_forest(im, node, &w, &f));
  if (im->e.unsupported.n != before)
    return NEO_OK;
  int scores = emit_forest(im, node, &f, "sum");
  if (!binary || labels.n != 2)
    return onnx_ml_classify(im, node, &labels, scores);
  int s = onnx_ml_column(im, node, scores, only);
  double least = probabilities ? 0.5 : 0;
  if (only == 0)
    return onnx_ml_classify_one(im, node, &labels, s, least, probabilities);
  int second = onnx_ml_above(im, node, s, least);
  onnx_bind(im, node, 0, onnx_ml_label(im, node, &labels, second));
  return onnx_ml_post(im, node, 1, scores);
}

/* ---- TreeEnsemble of version 5 --------------------------------------------------------------- */

enum { MODE_MEMBER = 6 };

typedef struct plain {
  int n_sets;         /* nodes that test whether a value is one of a set */
  neo_tensor members; /* all sets, a NaN behind each */
  list features, yes, no, yes_leaf, no_leaf, missing, roots, leaf_targets;
  neo_tensor splits, modes, leaf_weights;
} plain;

static neo_status tensor_attr(onnx_import *im, onnx_node *node, const char *name, neo_tensor *out) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  if (!attr || !attr->t)
    return onnx_bad(im, node, "no attribute '%s'", name);
  NEO_TRY(onnx_tensor(im, attr->t, node->name, out));
  return out->shape.rank == 1 ? NEO_OK : onnx_bad(im, node, "attribute '%s' is not a list", name);
}

static neo_status read_plain(onnx_import *im, onnx_node *node, plain *p) {
  NEO_TRY(ints(im, node, "nodes_featureids", &p->features));
  NEO_TRY(ints(im, node, "nodes_truenodeids", &p->yes));
  NEO_TRY(ints(im, node, "nodes_falsenodeids", &p->no));
  NEO_TRY(ints(im, node, "nodes_trueleafs", &p->yes_leaf));
  NEO_TRY(ints(im, node, "nodes_falseleafs", &p->no_leaf));
  NEO_TRY(ints(im, node, "nodes_missing_value_tracks_true", &p->missing));
  NEO_TRY(ints(im, node, "tree_roots", &p->roots));
  NEO_TRY(ints(im, node, "leaf_targetids", &p->leaf_targets));
  NEO_TRY(tensor_attr(im, node, "nodes_splits", &p->splits));
  NEO_TRY(tensor_attr(im, node, "nodes_modes", &p->modes));
  NEO_TRY(tensor_attr(im, node, "leaf_weights", &p->leaf_weights));
  onnx_attr(node, "nodes_hitrates");
  int n = p->features.n;
  for (int i = 0; i < n && i < p->modes.shape.dim[0]; i++)
    p->n_sets += neo_tensor_get_i64(&p->modes, i) == MODE_MEMBER;
  if (p->n_sets > 0)
    NEO_TRY(tensor_attr(im, node, "membership_values", &p->members));
  onnx_attr(node, "membership_values");
  if (n < 1 || p->yes.n != n || p->no.n != n || p->yes_leaf.n != n || p->no_leaf.n != n ||
      p->splits.shape.dim[0] != n || p->modes.shape.dim[0] != n || p->roots.n < 1 ||
      p->roots.n > n || p->leaf_targets.n < 1 ||
      p->leaf_weights.shape.dim[0] != p->leaf_targets.n || (p->missing.n > 0 && p->missing.n != n))
    return onnx_bad(im, node, "its lists have different lengths");
  return NEO_OK;
}

static int emit_one(onnx_import *im, onnx_node *node, const char *op, int a, int b) {
  neo_node *made = onnx_emit(im, node, op, b == NEO_NO_VALUE ? 1 : 2, (int[]){a, b}, 1);
  return made->output[0];
}

static int to_floats(onnx_import *im, onnx_node *node, int value) {
  int y = emit_one(im, node, "cast", value, NEO_NO_VALUE);
  neo_node_set_string(im->e.graph, &im->e.graph->node[im->e.graph->value[y].node], "to", "f32");
  return y;
}

/* A set test looks at a feature of its own, which is 1 where the value is in the set: these come
 * before the others. */
static neo_status add_set_features(onnx_import *im, onnx_node *node, const plain *p) {
  const int64_t one = 1;
  int64_t at = 0, total = p->members.shape.dim[0];
  int *part = neo_arena_alloc(im->e.graph->arena, sizeof(int) * ((size_t)p->n_sets + 1));
  double *set = neo_arena_alloc(im->e.graph->arena, sizeof *set * ((size_t)total + 1));
  int x = to_floats(im, node, onnx_input(node, 0)), n = 0;
  for (int i = 0; i < p->features.n; i++) {
    int size = 0;
    if (neo_tensor_get_i64(&p->modes, i) != MODE_MEMBER)
      continue;
    for (; at < total && !isnan(neo_tensor_get_f64(&p->members, at)); at++)
      set[size++] = neo_tensor_get_f64(&p->members, at);
    at++;
    if (size == 0 || p->features.v[i] < 0)
      return onnx_bad(im, node, "the set of node %d is empty", i);
    int64_t from = p->features.v[i], to = from + 1;
    neo_node *column = onnx_emit(im, node, "slice", 1, &x, 1);
    neo_node_set_ints(im->e.graph, column, "axes", 1, &one);
    neo_node_set_ints(im->e.graph, column, "starts", 1, &from);
    neo_node_set_ints(im->e.graph, column, "ends", 1, &to);
    int hit = to_floats(im, node,
                        emit_one(im, node, "equal", column->output[0],
                                 onnx_make_floats(im, node, "set", size, set)));
    neo_node *any = onnx_emit(im, node, "reduce_max", 1, &hit, 1);
    neo_node_set_ints(im->e.graph, any, "axes", 1, &one);
    part[n++] = any->output[0];
  }
  part[n++] = x;
  neo_node *all = onnx_emit(im, node, "concat", n, part, 1);
  neo_node_set_int(im->e.graph, all, "axis", 1);
  node->input[0] = all->output[0];
  return NEO_OK;
}

static neo_status fill_plain_leaves(onnx_import *im, onnx_node *node, const plain *p, forest *f) {
  int n = p->features.n;
  for (int k = 0; k < f->n_leaves; k++) {
    f->child[2 * (n + k)] = -1;
    f->child[2 * (n + k) + 1] = k;
    if (p->leaf_targets.v[k] < 0 || p->leaf_targets.v[k] >= f->n_targets)
      return onnx_bad(im, node, "leaf %d has no such target", k);
    f->leaf_target[k] = (int32_t)p->leaf_targets.v[k];
    f->leaf_value[k] = (float)neo_tensor_get_f64(&p->leaf_weights, k);
  }
  for (int k = 0; k < p->roots.n; k++)
    f->root[f->n_roots++] = p->roots.v[k] < 0 || p->roots.v[k] >= n ? -1 : (int32_t)p->roots.v[k];
  return NEO_OK;
}

/* Inner nodes keep their numbers; leaf k is node n + k. */
static neo_status fill_plain(onnx_import *im, onnx_node *node, const plain *p, forest *f) {
  static const int tests[] = {NEO_TREE_LESS_EQUAL, NEO_TREE_LESS,  NEO_TREE_GREATER_EQUAL,
                              NEO_TREE_GREATER,    NEO_TREE_EQUAL, NEO_TREE_NOT_EQUAL};
  int n = p->features.n, sets = 0;
  f->width = 1;
  f->n_leaves = p->leaf_targets.n;
  f->n_nodes = n + f->n_leaves;
  allocate(im, f);
  f->leaf_target = neo_arena_alloc(im->e.graph->arena, sizeof(int32_t) * (size_t)f->n_leaves);
  f->leaf_value = neo_arena_alloc(im->e.graph->arena, sizeof(float) * (size_t)f->n_leaves);
  for (int i = 0; i < n; i++) {
    int64_t mode = neo_tensor_get_i64(&p->modes, i), yes = p->yes.v[i], no = p->no.v[i];
    bool member = mode == MODE_MEMBER;
    if (mode < 0 || (mode >= NEO_COUNT(tests) && !member))
      return onnx_unsupported(im, node, "mode %lld of node %d", (long long)mode, i);
    if (yes < 0 || no < 0 || yes >= (p->yes_leaf.v[i] ? f->n_leaves : n) ||
        no >= (p->no_leaf.v[i] ? f->n_leaves : n) || p->features.v[i] < 0 ||
        p->features.v[i] > INT32_MAX - p->n_sets)
      return onnx_bad(im, node, "node %d has no such child or feature", i);
    f->feature[i] = member ? sets++ : (int32_t)p->features.v[i] + p->n_sets;
    f->threshold[i] = member ? 1 : (float)neo_tensor_get_f64(&p->splits, i);
    f->child[2 * i] = (int32_t)yes + (p->yes_leaf.v[i] ? n : 0);
    f->child[2 * i + 1] = (int32_t)no + (p->no_leaf.v[i] ? n : 0);
    f->flags[i] = (uint8_t)((member ? NEO_TREE_EQUAL : tests[mode]) |
                            (p->missing.n > 0 && p->missing.v[i] ? NEO_TREE_MISSING : 0));
  }
  return fill_plain_leaves(im, node, p, f);
}

neo_status onnx_tree_ensemble(onnx_import *im, onnx_node *node) {
  static const char *const aggregates[] = {"average", "sum", "min", "max"};
  forest f = {0};
  plain p = {0};
  int64_t targets = 1, how = 1;
  int before = im->e.unsupported.n;
  NEO_TRY(onnx_attr_int(im, node, "n_targets", &targets));
  NEO_TRY(onnx_attr_int(im, node, "aggregate_function", &how));
  NEO_TRY(read_plain(im, node, &p));
  if (targets < 1 || targets > 1 << 20 || how < 0 || how > 3)
    return onnx_bad(im, node, "n_targets=%lld, aggregate_function=%lld", (long long)targets,
                    (long long)how);
  f.n_targets = (int)targets;
  if (p.n_sets > 0)
    NEO_TRY(add_set_features(im, node, &p));
  NEO_TRY(fill_plain(im, node, &p, &f));
  if (im->e.unsupported.n != before)
    return NEO_OK;
  int y = emit_forest(im, node, &f, aggregates[how]);
  neo_dtype dtype = p.splits.dtype;
  if (dtype != NEO_F32) {
    neo_node *cast = onnx_emit(im, node, "cast", 1, &y, 1);
    neo_node_set_string(im->e.graph, cast, "to", neo_dtype_name(dtype));
    y = cast->output[0];
  }
  return onnx_ml_post(im, node, 0, y);
}
