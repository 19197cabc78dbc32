/* ir/pass_carry.c: how each operator carries a permutation of its data's dimensions: the functions
 * that rows of pass_transpose.def name.
 *
 * The question each answers: the node computes op(T(x)), where T moves dimension in->at[i] of x to
 * place i. Rewrite its attributes and parameters (op') and say `out`, so that op(T(x)) =
 * OUT(op'(x)). A function that says no has changed nothing. Types of the node's values are those of
 * before. */
#include "ir/pass_carry.h"

#include <string.h>

neo_perm neo_perm_inverse(const neo_perm *perm) {
  neo_perm inverse = {.n = perm->n};
  for (int i = 0; i < perm->n; i++)
    inverse.at[perm->at[i]] = i;
  return inverse;
}

bool neo_perm_is_identity(const neo_perm *perm) {
  for (int i = 0; i < perm->n; i++)
    if (perm->at[i] != i)
      return false;
  return true;
}

neo_shape neo_perm_shape(const neo_perm *perm, const neo_shape *shape) {
  neo_shape moved = {.rank = shape->rank};
  for (int i = 0; i < shape->rank; i++)
    moved.dim[i] = shape->dim[perm->at[i]];
  return moved;
}

bool neo_perm_is_view(const neo_perm *perm, const neo_shape *shape) {
  int last = -1;
  for (int i = 0; i < perm->n; i++) {
    if (shape->dim[perm->at[i]] == 1)
      continue;
    if (perm->at[i] < last)
      return false;
    last = perm->at[i];
  }
  return true;
}

/* ---- reading and writing parameters -------------------------------------------------------------- */

static bool has_input(const neo_node *node, int k) {
  return k >= 0 && k < node->n_inputs && node->input[k] != NEO_NO_VALUE;
}

static const neo_shape *data_shape(const neo_graph *graph, const neo_node *node) {
  return &graph->value[node->input[0]].shape;
}

/* The integers of input k, else of the attribute: how many, -1 if there are none, -2 if they are
 * not constant or too many. */
static int read_ints(const neo_graph *graph, const neo_node *node, int k, const char *attr,
                     int64_t *out) {
  int64_t n;
  if (!has_input(node, k)) {
    const neo_attr *a = attr ? neo_node_attr(node, attr) : NULL;
    if (!a || a->kind != NEO_ATTR_INTS)
      return -1;
    return neo_node_ints(node, attr, out, 2 * NEO_MAX_RANK) <= 2 * NEO_MAX_RANK ? a->n : -2;
  }
  const neo_tensor *tensor = graph->value[node->input[k]].constant;
  if (!tensor || !neo_shape_elements(&tensor->shape, &n) || n > 2 * NEO_MAX_RANK)
    return -2;
  for (int64_t i = 0; i < n; i++)
    out[i] = neo_tensor_get_i64(tensor, i);
  return (int)n;
}

/* Input k becomes this list. Nodes never share their input arrays, but passes may; copy. */
static void write_ints(neo_graph *graph, neo_node *node, int k, int n, const int64_t *v) {
  neo_tensor tensor = {NEO_I64, {1, {n}}, NULL, sizeof *v * (size_t)n};
  tensor.data = neo_arena_alloc(graph->arena, tensor.size + 8);
  memcpy(tensor.data, v, tensor.size);
  char *name = neo_arena_printf(graph->arena, "%s.p%d", node->name, k);
  int *inputs = neo_arena_copy(graph->arena, node->input, sizeof(int) * (size_t)node->n_inputs);
  inputs[k] = neo_graph_add_constant(graph, name, &tensor);
  node->input = inputs;
}

/* The axes are an attribute from now on. */
static void write_axes(neo_graph *graph, neo_node *node, int k, int n, const int64_t *axes) {
  if (has_input(node, k)) {
    int *inputs = neo_arena_copy(graph->arena, node->input, sizeof(int) * (size_t)node->n_inputs);
    inputs[k] = NEO_NO_VALUE;
    node->input = inputs;
    while (node->n_inputs > 0 && node->input[node->n_inputs - 1] == NEO_NO_VALUE)
      node->n_inputs--;
  }
  neo_node_set_ints(graph, node, "axes", n, axes);
}

/* axis -> the dimension of the source that it names; -1 if it names none. */
static int source_axis(const neo_perm *in, int64_t axis) {
  axis += axis < 0 ? in->n : 0;
  return axis >= 0 && axis < in->n ? in->at[axis] : -1;
}

/* OUT when some dimensions of the data go and `fresh` new ones come in their place (at `from`, a
 * dimension of T(x); only one goes then). */
static neo_perm without(const neo_perm *in, const bool *gone, int from, int fresh) {
  int place[NEO_MAX_RANK] = {0}, first_fresh = 0, n = 0;
  neo_perm out = {0};
  for (int s = 0; s < in->n; s++) {
    if (from >= 0 && s == in->at[from]) {
      first_fresh = n;
      n += fresh;
    }
    for (int i = 0; i < in->n; i++)
      if (in->at[i] == s && !gone[i])
        place[i] = n++;
  }
  for (int i = 0; i < in->n; i++) {
    for (int k = 0; i == from && k < fresh; k++)
      out.at[out.n++] = first_fresh + k;
    if (!gone[i])
      out.at[out.n++] = place[i];
  }
  return out;
}

/* ---- one axis -------------------------------------------------------------------------------------- */

static bool carry_same(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  (void)graph;
  (void)node;
  *out = *in;
  return true;
}

static bool carry_axis(neo_graph *graph, neo_node *node, const neo_perm *in, int otherwise) {
  int axis = source_axis(in, neo_node_int(node, "axis", otherwise));
  if (axis >= 0)
    neo_node_set_int(graph, node, "axis", axis);
  return axis >= 0;
}

static bool carry_last_axis(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  *out = *in;
  return neo_node_int(node, "coerce_2d", 0) == 0 && carry_axis(graph, node, in, -1);
}

static bool carry_channel_axis(neo_graph *graph, neo_node *node, const neo_perm *in,
                               neo_perm *out) {
  *out = *in;
  return carry_axis(graph, node, in, 1);
}

static bool carry_first_axis(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  *out = *in;
  return carry_axis(graph, node, in, 0);
}

static bool carry_arg(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  bool gone[NEO_MAX_RANK] = {false};
  int64_t axis = neo_node_int(node, "axis", 0);
  if (!carry_axis(graph, node, in, 0))
    return false;
  gone[axis < 0 ? axis + in->n : axis] = neo_node_int(node, "keepdims", 1) == 0;
  *out = without(in, gone, -1, 0);
  return true;
}

static bool carry_cumsum(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  int64_t axis[2 * NEO_MAX_RANK];
  if (read_ints(graph, node, 1, NULL, axis) != 1 || source_axis(in, axis[0]) < 0)
    return false;
  axis[0] = source_axis(in, axis[0]);
  write_ints(graph, node, 1, 1, axis);
  *out = *in;
  return true;
}

static bool carry_gather(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  bool gone[NEO_MAX_RANK] = {false};
  int fresh = graph->value[node->input[1]].shape.rank;
  int64_t axis = neo_node_int(node, "axis", 0);
  if (fresh < 0 || in->n - 1 + fresh > NEO_MAX_RANK || !carry_axis(graph, node, in, 0))
    return false;
  axis += axis < 0 ? in->n : 0;
  gone[axis] = true;
  *out = without(in, gone, (int)axis, fresh);
  return true;
}

/* ---- several axes ---------------------------------------------------------------------------------- */

static bool map_axes(const neo_perm *in, int n, int64_t *axes) {
  for (int i = 0; i < n; i++)
    if (source_axis(in, axes[i]) < 0)
      return false;
  for (int i = 0; i < n; i++)
    axes[i] = source_axis(in, axes[i]);
  return true;
}

static bool carry_reduce(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  int64_t axes[2 * NEO_MAX_RANK];
  bool gone[NEO_MAX_RANK] = {false}, keep = neo_node_int(node, "keepdims", 1) != 0;
  int n = read_ints(graph, node, 1, "axes", axes);
  if (n < -1 || n > in->n)
    return false;
  for (int i = 0; i < n; i++)
    if (source_axis(in, axes[i]) < 0)
      return false;
  for (int i = 0; i < n && !keep; i++)
    gone[axes[i] < 0 ? axes[i] + in->n : axes[i]] = true;
  bool all = n <= 0 && neo_node_int(node, "noop_with_empty_axes", 0) == 0;
  for (int i = 0; i < in->n && all && !keep; i++)
    gone[i] = true;
  *out = without(in, gone, -1, 0);
  if (n > 0) {
    map_axes(in, n, axes);
    write_axes(graph, node, 1, n, axes);
  }
  return true;
}

static bool carry_slice(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  int64_t axes[2 * NEO_MAX_RANK], starts[2 * NEO_MAX_RANK];
  int n = read_ints(graph, node, 1, "starts", starts);
  int n_axes = read_ints(graph, node, 3, "axes", axes);
  if (n < 0 || n > in->n || n_axes < -1 || (n_axes >= 0 && n_axes != n))
    return false;
  for (int i = 0; i < n && n_axes < 0; i++)
    axes[i] = i;
  if (!map_axes(in, n, axes))
    return false;
  write_axes(graph, node, 3, n, axes);
  *out = *in;
  return true;
}

static bool carry_pad(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  int64_t axes[2 * NEO_MAX_RANK], pads[2 * NEO_MAX_RANK], moved[2 * NEO_MAX_RANK] = {0};
  int n = read_ints(graph, node, 1, "pads", pads);
  int n_axes = read_ints(graph, node, 3, "axes", axes);
  if (n_axes < -1 || (n_axes < 0 ? n != 2 * in->n : n != 2 * n_axes) || n > 2 * in->n)
    return false;
  for (int i = 0; i < n / 2 && n_axes < 0; i++)
    axes[i] = i;
  if (!map_axes(in, n / 2, axes))
    return false;
  for (int i = 0; i < n / 2; i++) {
    moved[axes[i]] = pads[i];
    moved[in->n + axes[i]] = pads[n / 2 + i];
  }
  if (has_input(node, 1))
    write_ints(graph, node, 1, 2 * in->n, moved);
  else
    neo_node_set_ints(graph, node, "pads", 2 * in->n, moved);
  for (int i = 0; i < in->n; i++)
    axes[i] = i;
  write_axes(graph, node, 3, in->n, axes);
  *out = *in;
  return true;
}

/* expand, tile: input 1 has one value for each dimension. */
static bool carry_per_dimension(neo_graph *graph, neo_node *node, const neo_perm *in,
                                neo_perm *out) {
  int64_t v[2 * NEO_MAX_RANK], moved[NEO_MAX_RANK];
  if (read_ints(graph, node, 1, NULL, v) != in->n)
    return false;
  for (int i = 0; i < in->n; i++)
    moved[in->at[i]] = v[i];
  write_ints(graph, node, 1, in->n, moved);
  *out = *in;
  return true;
}

/* Input k of a resize, if present, is a constant with n values. */
static bool resize_list(const neo_graph *graph, const neo_node *node, int k, int n) {
  const neo_tensor *tensor = has_input(node, k) ? graph->value[node->input[k]].constant : NULL;
  if (!has_input(node, k))
    return true;
  return tensor && tensor->shape.rank == 1 &&
         (tensor->shape.dim[0] == n || tensor->shape.dim[0] == 0);
}

static bool carry_resize(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  int64_t axes[2 * NEO_MAX_RANK];
  int n = read_ints(graph, node, -1, "axes", axes);
  if (n < -1 || n > in->n || has_input(node, 1))
    return false;
  for (int i = 0; i < in->n && n < 0; i++)
    axes[i] = i;
  n = n < 0 ? in->n : n;
  if (!resize_list(graph, node, 2, n) || !resize_list(graph, node, 3, n) || !map_axes(in, n, axes))
    return false;
  neo_node_set_ints(graph, node, "axes", n, axes);
  *out = *in;
  return true;
}

/* ---- views ----------------------------------------------------------------------------------------- */

/* Dimensions [a, a_end) of the input hold the same elements as [b, b_end) of the output. */
typedef struct group {
  int a, a_end, b, b_end;
  int key; /* place among the source's dimensions */
} group;

/* The finest pairing of a view's dimensions; -1 if there is none (empty tensors). A dimension of 1
 * with no partner is a group of its own, so that it goes with the dimension before it. */
static int pair_dimensions(const neo_shape *a, const neo_shape *b, group *g) {
  int n = 0, i = 0, j = 0;
  while (i < a->rank || j < b->rank) {
    int64_t pa = 1, pb = 1;
    group *now = &g[n++];
    *now = (group){.a = i, .b = j};
    bool one_a = i < a->rank && a->dim[i] == 1, one_b = j < b->rank && b->dim[j] == 1;
    if (i < a->rank && (one_a || !one_b))
      pa = a->dim[i++];
    if (j < b->rank && (one_b || !one_a))
      pb = b->dim[j++];
    while (pa != pb) {
      if (pa == 0 || pb == 0 || (pa < pb ? i == a->rank : j == b->rank))
        return -1;
      if (pa < pb)
        pa *= a->dim[i++];
      else
        pb *= b->dim[j++];
    }
    if (pa == 0)
      return -1;
    now->a_end = i;
    now->b_end = j;
  }
  return n;
}

/* The group's dimensions stand in order and together in the source as well; sets its key. */
static bool stays_together(const neo_shape *a, const neo_perm *in, group *g, int key_before) {
  int last = -1;
  neo_perm inverse = neo_perm_inverse(in);
  g->key = g->a < g->a_end ? in->at[g->a] : key_before;
  for (int i = g->a; i < g->a_end; i++) {
    if (a->dim[i] == 1)
      continue;
    for (int s = last + 1; last >= 0 && s < in->at[i]; s++)
      if (a->dim[inverse.at[s]] != 1)
        return false;
    if (in->at[i] < last)
      return false;
    if (last < 0)
      g->key = in->at[i];
    last = in->at[i];
  }
  return true;
}

static bool carry_view(neo_graph *graph, neo_node *node, const neo_perm *in, neo_perm *out) {
  group g[2 * NEO_MAX_RANK], swap;
  neo_shape a = *data_shape(graph, node), b = graph->value[node->output[0]].shape, to = b;
  int n = pair_dimensions(&a, &b, g), place = 0;
  for (int i = 0; i < n; i++)
    if (!stays_together(&a, in, &g[i], i ? g[i - 1].key : 0))
      return false;
  for (int i = 1; i < n; i++)
    for (int k = i; k > 0 && g[k - 1].key > g[k].key; k--)
      swap = g[k], g[k] = g[k - 1], g[k - 1] = swap;
  out->n = b.rank;
  for (int i = 0; i < n; i++)
    for (int d = g[i].b; d < g[i].b_end; d++) {
      to.dim[place] = b.dim[d];
      out->at[d] = place++;
    }
  if (n >= 0)
    neo_edit_become_reshape(graph, node, node->input[0], &to);
  return n >= 0;
}

/* ---- the table ------------------------------------------------------------------------------------- */

static const neo_carry rows[] = {
#define CARRY(op, data, carry) {#op, data, carry},
#include "ir/pass_transpose.def"
};

const neo_carry *neo_carry_find(const neo_node *node) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (neo_edit_is(node, rows[i].op))
      return &rows[i];
  return NULL;
}

bool neo_carry_keeps_rank(const neo_carry *row) {
  return row->carry == carry_same || row->carry == carry_pad || row->carry == carry_slice;
}
