/* tree_table: ensembles of decision trees (the IR's tree_ensemble, packed by ir/pass_tree.c).
 *
 * inputs: x f32 [n, features], nodes i32 [m, 2 or 4], tree i32 [trees, 4], leaf f32 [rows, width],
 * leaf_target i32, base f32 [targets], sets i32; output f32 [n, targets].
 *
 * Narrow node, 8 bytes: f32 threshold, u16 feature * 4, i16 distance to the first of its two
 * children, which stand side by side; x < threshold goes to the first. A leaf stays where it is
 * (threshold NaN, distance such that the step is 0), so a walk makes as many steps as the tree is
 * deep, without a branch. Its end is also its row in `leaf`.
 * tree: root, depth, target, 0.
 *
 * Wide node, 16 bytes: f32 threshold; u32 feature | test << 28 | missing << 31; i32 first child, or
 * -1 - leaf row; i32 set's first word. Any test (ir/ops_tree.h), any leaf; walked one by one.
 *
 * missing: 0 NaN goes to the second child, 1 to the first, 2 as each node likes: the row is then
 * laid out with every feature twice, NaN replaced by +inf in the even and -inf in the odd places.
 *
 * Why it is fast: a step is two dependent loads and a comparison, some 15 cycles of latency and two
 * of work, so eight walks go at a time. Many rows: eight rows through one tree; the rows of a block
 * are copied to feature-major groups of eight, so that a walk's state is one index, and every tree
 * passes over the block while its nodes are in the cache. Few rows: eight trees with one row. Sums
 * are made in the order of the trees, in f32, as XGBoost makes them.
 *
 * The tables are trusted (compiled.params has a checksum); shapes are checked. */
#include "runtime/ops.h"

#include <math.h>
#include <string.h>

#define LANES 8
#define BLOCK_BYTES 32768 /* of copied rows; small ensembles */
#define BLOCK_BYTES_LARGE 262144
#define LARGE_NODES 262144 /* bytes of nodes from which on the larger block pays */
#define MAX_BLOCK 512      /* rows */
#define UNCHECKED_STEPS 8  /* deeper trees look whether all walks have ended */

enum { X, NODES, TREE, LEAF, LEAF_TARGET, BASE, SETS, OUT };
enum { WIDE, MISSING, WIDTH, AGGREGATE, FEATURES };
static const neo_op_attribute attributes[] = {{"wide", 'I', 0},     {"missing", 'I', 0},
                                              {"width", 'I', 0},    {"aggregate", 'I', 0},
                                              {"features", 'I', 0}, {NULL, 0, 0}};

typedef struct narrow_node {
  float threshold;
  uint16_t feature4;
  int16_t distance;
} narrow_node;

typedef struct wide_node {
  float threshold;
  uint32_t word;
  int32_t child, set;
} wide_node;

typedef struct tree_entry {
  int32_t root, depth, target, unused;
} tree_entry;

typedef struct table {
  const neo_op_call *call;
  int64_t n_features, n_trees, n_targets, width, block;
  int missing;
  int aggregate;
  const narrow_node *node;
  const wide_node *wide;
  const tree_entry *tree;
  const float *leaf, *base;
  const int32_t *leaf_target, *sets;
} table;

/* ---- checks ------------------------------------------------------------------------------------- */

static bool is_shaped(const neo_plan_value *v, int dtype, int rank, int64_t last) {
  int64_t bytes = 4;
  for (int d = 0; d < v->rank; d++)
    bytes *= v->dim[d];
  return v->dtype == dtype && v->rank == rank && (last < 0 || v->dim[rank - 1] == last) &&
         v->bytes >= bytes;
}

/* x and the output may be seen through views, so only their sizes count. */
static int64_t elements(const neo_plan_value *v) {
  int64_t n = 1;
  for (int d = 0; d < v->rank; d++)
    n *= v->dim[d];
  return n;
}

static int64_t rows_of(const neo_op_call *call) {
  return elements(call->value[OUT]) / neo_max_i64(call->value[BASE]->dim[0], 1);
}

static int64_t columns(const neo_op_call *call) {
  return call->integer[FEATURES] * (call->integer[MISSING] == 2 ? 2 : 1);
}

static int64_t block_rows(const neo_op_call *call) {
  int64_t nodes = call->value[NODES]->dim[0] * 8;
  int64_t bytes = nodes > LARGE_NODES ? BLOCK_BYTES_LARGE : BLOCK_BYTES;
  int64_t rows = bytes / (4 * neo_max_i64(columns(call), 1));
  rows = neo_min_i64(neo_min_i64(rows, MAX_BLOCK), rows_of(call)) / LANES * LANES;
  return neo_max_i64(rows, LANES);
}

static bool tables_sound(const neo_op_call *call) {
  const neo_plan_value *const *v = call->value;
  int64_t wide = call->integer[WIDE], width = call->integer[WIDTH];
  return is_shaped(v[NODES], NEO_RT_I32, 2, wide ? 4 : 2) && is_shaped(v[TREE], NEO_RT_I32, 2, 4) &&
         is_shaped(v[LEAF], NEO_RT_F32, 2, width) && is_shaped(v[LEAF_TARGET], NEO_RT_I32, 1, -1) &&
         is_shaped(v[BASE], NEO_RT_F32, 1, -1) && is_shaped(v[SETS], NEO_RT_I32, 1, -1) &&
         width >= 1 && width <= v[BASE]->dim[0] && (wide || v[LEAF]->dim[0] == v[NODES]->dim[0]);
}

static bool data_sound(const neo_op_call *call) {
  const neo_plan_value *x = call->value[X], *out = call->value[OUT];
  int64_t features = call->integer[FEATURES], targets = call->value[BASE]->dim[0];
  int64_t rows = rows_of(call);
  return x->dtype == NEO_RT_F32 && out->dtype == NEO_RT_F32 && features >= 0 &&
         features <= INT32_MAX && elements(x) == rows * features &&
         elements(out) == rows * targets && x->bytes >= rows * features * 4 &&
         out->bytes >= rows * targets * 4;
}

static neo_status check(neo_ctx *ctx, neo_op_call *call) {
  const int64_t *a = call->integer;
  if (!tables_sound(call) || !data_sound(call) || a[MISSING] < 0 || a[MISSING] > 2 ||
      a[AGGREGATE] < 0 || a[AGGREGATE] > 3)
    return neo_fail(ctx, NEO_BAD_INPUT, "tree_table: tables of the wrong shape");
  if (!a[WIDE])
    call->work_bytes = (size_t)(block_rows(call) * columns(call)) * sizeof(float);
  else
    call->work_bytes = (size_t)call->value[BASE]->dim[0]; /* which targets were reached */
  return NEO_OK;
}

/* ---- narrow walks: eight at a time ---------------------------------------------------------------- */

/* One step of lane l: x is where its features begin; `scale` is floats between two features. A
 * comparison with NaN does not hold, which is what a leaf is made of. */
#define STEP(l, base, scale)                                                                       \
  do {                                                                                             \
    const narrow_node *n_ = node + i##l;                                                           \
    float x_ = *(const float *)(const void *)((base) + (size_t)n_->feature4 * (scale));            \
    i##l += n_->distance + (first ? x_ >= n_->threshold : !(x_ < n_->threshold));                  \
  } while (0)

#define STEP_ROWS                                                                                  \
  do {                                                                                             \
    STEP(0, x, LANES);                                                                             \
    STEP(1, x + 4, LANES);                                                                         \
    STEP(2, x + 8, LANES);                                                                         \
    STEP(3, x + 12, LANES);                                                                        \
    STEP(4, x + 16, LANES);                                                                        \
    STEP(5, x + 20, LANES);                                                                        \
    STEP(6, x + 24, LANES);                                                                        \
    STEP(7, x + 28, LANES);                                                                        \
  } while (0)

#define STEP_TREES                                                                                 \
  do {                                                                                             \
    STEP(0, x, 1);                                                                                 \
    STEP(1, x, 1);                                                                                 \
    STEP(2, x, 1);                                                                                 \
    STEP(3, x, 1);                                                                                 \
    STEP(4, x, 1);                                                                                 \
    STEP(5, x, 1);                                                                                 \
    STEP(6, x, 1);                                                                                 \
    STEP(7, x, 1);                                                                                 \
  } while (0)

#define SUM_OF_LANES (i0 + i1 + i2 + i3 + i4 + i5 + i6 + i7)

/* Walks eight lanes `depth` steps. Indices only grow, until all have ended: then their sum stays.
 */
#define WALK(step)                                                                                 \
  do {                                                                                             \
    int32_t left = depth;                                                                          \
    int64_t sum = -1;                                                                              \
    for (; left > 0 && depth - left < UNCHECKED_STEPS; left--)                                     \
      step;                                                                                        \
    for (; left > 0 && SUM_OF_LANES != sum; left--) {                                              \
      sum = SUM_OF_LANES;                                                                          \
      step;                                                                                        \
    }                                                                                              \
    end[0] = i0, end[1] = i1, end[2] = i2, end[3] = i3;                                            \
    end[4] = i4, end[5] = i5, end[6] = i6, end[7] = i7;                                            \
  } while (0)

/* Eight rows, group-major, through one tree; ends relative to its root. */
static inline void walk_rows(const narrow_node *node, int32_t depth, const char *x, bool first,
                             int64_t *end) {
  int64_t i0 = 0, i1 = 0, i2 = 0, i3 = 0, i4 = 0, i5 = 0, i6 = 0, i7 = 0;
  WALK(STEP_ROWS);
}

/* One row through eight trees; end: their roots before, where they end after. */
static inline void walk_trees(const narrow_node *node, int32_t depth, const char *x, bool first,
                              int64_t *end) {
  int64_t i0 = end[0], i1 = end[1], i2 = end[2], i3 = end[3];
  int64_t i4 = end[4], i5 = end[5], i6 = end[6], i7 = end[7];
  WALK(STEP_TREES);
}

/* ---- one row --------------------------------------------------------------------------------------- */

static void add_leaf(const table *t, int64_t target, int64_t row, float *out) {
  const float *leaf = t->leaf + row * t->width;
  for (int64_t k = 0; k < t->width; k++)
    out[target + k] += leaf[k];
}

/* Of one lane and any depth. */
static int64_t walk_one(const table *t, int64_t i0, int32_t depth, const char *x) {
  const narrow_node *node = t->node;
  if (t->missing == 1) {
    const bool first = true;
    for (int32_t left = depth; left > 0; left--)
      STEP(0, x, 1);
  } else {
    const bool first = false;
    for (int32_t left = depth; left > 0; left--)
      STEP(0, x, 1);
  }
  return i0;
}

static void narrow_row(const table *t, const float *x, float *twice, float *out) {
  int64_t k = 0;
  if (t->missing == 2) {
    for (int64_t f = 0; f < t->n_features; f++) {
      twice[2 * f] = isnan(x[f]) ? INFINITY : x[f];
      twice[2 * f + 1] = isnan(x[f]) ? -INFINITY : x[f];
    }
    x = twice;
  }
  for (; k + LANES <= t->n_trees; k += LANES) {
    int64_t end[LANES];
    int32_t depth = 0;
    for (int l = 0; l < LANES; l++) {
      const tree_entry *tree = &t->tree[k + l];
      end[l] = tree->root;
      depth = tree->depth > depth ? tree->depth : depth;
    }
    if (t->missing == 1)
      walk_trees(t->node, depth, (const char *)x, true, end);
    else
      walk_trees(t->node, depth, (const char *)x, false, end);
    for (int l = 0; l < LANES; l++)
      add_leaf(t, t->tree[k + l].target, end[l], out);
  }
  for (; k < t->n_trees; k++) {
    const tree_entry *tree = &t->tree[k];
    add_leaf(t, tree->target, walk_one(t, tree->root, tree->depth, (const char *)x), out);
  }
}

/* ---- blocks of rows ---------------------------------------------------------------------------------- */

/* rows (a multiple of eight) of x as [rows / 8][columns][8]. */
static void copy_rows(const table *t, const float *x, int64_t rows, float *to) {
  int64_t n = t->n_features, step = t->missing == 2 ? 2 * LANES : LANES;
  for (int64_t r = 0; r < rows; r++) {
    const float *from = x + r * n;
    float *lane = to + r / LANES * n * step + r % LANES;
    if (t->missing != 2) {
      for (int64_t f = 0; f < n; f++)
        lane[f * LANES] = from[f];
      continue;
    }
    for (int64_t f = 0; f < n; f++) {
      lane[f * 2 * LANES] = isnan(from[f]) ? INFINITY : from[f];
      lane[f * 2 * LANES + LANES] = isnan(from[f]) ? -INFINITY : from[f];
    }
  }
}

static void narrow_block(const table *t, const float *copied, int64_t rows, float *out) {
  int64_t group = t->n_features * (t->missing == 2 ? 2 : 1) * LANES, targets = t->n_targets;
  for (int64_t k = 0; k < t->n_trees; k++) {
    const tree_entry *tree = &t->tree[k];
    const narrow_node *node = t->node + tree->root;
    for (int64_t r = 0; r < rows; r += LANES) {
      const char *x = (const char *)(copied + r / LANES * group);
      float *y = out + r * targets;
      int64_t end[LANES];
      if (t->missing == 1)
        walk_rows(node, tree->depth, x, true, end);
      else
        walk_rows(node, tree->depth, x, false, end);
      if (t->width == 1) {
        const float *leaf = t->leaf + tree->root;
        for (int l = 0; l < LANES; l++)
          y[l * targets + tree->target] += leaf[end[l]];
      } else {
        for (int l = 0; l < LANES; l++)
          add_leaf(t, tree->target, tree->root + end[l], y + l * targets);
      }
    }
  }
}

static void narrow_rows(const table *t, int64_t begin, int64_t end, char *work) {
  const float *x = t->call->data[X];
  float *out = t->call->data[OUT], *copied = (float *)(void *)work;
  int64_t n = t->n_features, targets = t->n_targets;
  while (end - begin >= LANES) {
    int64_t rows = neo_min_i64((end - begin) / LANES * LANES, t->block);
    copy_rows(t, x + begin * n, rows, copied);
    narrow_block(t, copied, rows, out + begin * targets);
    begin += rows;
  }
  for (; begin < end; begin++)
    narrow_row(t, x + begin * n, copied, out + begin * targets);
}

/* ---- wide walks ---------------------------------------------------------------------------------------- */

static bool is_member(const int32_t *set, float x) {
  if (!(x >= 0 && x < 16777216.0f))
    return false;
  uint32_t category = (uint32_t)x;
  return (int64_t)(category / 32) < set[0] &&
         ((uint32_t)set[1 + category / 32] >> (category % 32) & 1);
}

static bool holds(const table *t, const wide_node *node, float x) {
  if (isnan(x))
    return node->word >> 31 != 0;
  switch (node->word >> 28 & 7) {
  case 0:
    return x < node->threshold;
  case 1:
    return x <= node->threshold;
  case 4:
    return x == node->threshold;
  case 5:
    return x != node->threshold;
  default:
    return is_member(t->sets + node->set, x);
  }
}

static void wide_leaf(const table *t, int64_t row, float *out, char *reached) {
  const float *leaf = t->leaf + row * t->width;
  int64_t first = t->leaf_target[row];
  for (int64_t k = 0; k < t->width; k++) {
    int64_t to = first + k;
    if (isnan(leaf[k]))
      continue;
    if (t->aggregate <= 1)
      out[to] += leaf[k];
    else if (!reached[to] || (t->aggregate == 2 ? leaf[k] < out[to] : leaf[k] > out[to]))
      out[to] = leaf[k];
    reached[to] = 1;
  }
}

static void wide_rows(const table *t, int64_t begin, int64_t end, char *reached) {
  for (int64_t r = begin; r < end; r++) {
    const float *x = (const float *)t->call->data[X] + r * t->n_features;
    float *out = (float *)t->call->data[OUT] + r * t->n_targets;
    memset(reached, 0, (size_t)t->n_targets);
    for (int64_t k = 0; k < t->n_trees; k++) {
      int64_t i = t->tree[k].root;
      while (t->wide[i].child >= 0)
        i = t->wide[i].child + !holds(t, &t->wide[i], x[t->wide[i].word & 0xfffffff]);
      wide_leaf(t, -1 - t->wide[i].child, out, reached);
    }
  }
}

/* ---- the operator ---------------------------------------------------------------------------------------- */

static void start_rows(const table *t, int64_t begin, int64_t end) {
  float *out = (float *)t->call->data[OUT] + begin * t->n_targets;
  for (int64_t r = begin; r < end; r++, out += t->n_targets)
    for (int64_t k = 0; k < t->n_targets; k++)
      out[k] = t->aggregate == 0 ? t->base[k] : 0;
}

static void finish_rows(const table *t, int64_t begin, int64_t end) {
  float *out = (float *)t->call->data[OUT] + begin * t->n_targets;
  float trees = t->aggregate == 1 && t->n_trees > 0 ? (float)t->n_trees : 1;
  for (int64_t r = begin; r < end && t->aggregate > 0; r++, out += t->n_targets)
    for (int64_t k = 0; k < t->n_targets; k++)
      out[k] = out[k] / trees + t->base[k];
}

static void part(void *self, int worker, int64_t begin, int64_t end) {
  const table *t = self;
  char *work = t->call->work + (size_t)worker * t->call->work_bytes;
  start_rows(t, begin, end);
  if (t->call->integer[WIDE])
    wide_rows(t, begin, end, work);
  else
    narrow_rows(t, begin, end, work);
  finish_rows(t, begin, end);
}

static void run(const neo_op_call *call) {
  const neo_plan_value *const *v = call->value;
  table t = {.call = call,
             .n_features = call->integer[FEATURES],
             .n_trees = v[TREE]->dim[0],
             .n_targets = v[BASE]->dim[0],
             .width = call->integer[WIDTH],
             .block = block_rows(call),
             .missing = (int)call->integer[MISSING],
             .aggregate = (int)call->integer[AGGREGATE],
             .node = call->data[NODES],
             .wide = call->data[NODES],
             .tree = call->data[TREE],
             .leaf = call->data[LEAF],
             .base = call->data[BASE],
             .leaf_target = call->data[LEAF_TARGET],
             .sets = call->data[SETS]};
  neo_pool_run(call->pool, rows_of(call), part, &t);
}

const neo_op neo_op_tree_table = {"tree_table", 7, 7, 1, 1, attributes, check, run, NULL};
