/* ir/pass_transpose.c: transposes move behind the operators that read them, until they meet their
 * inverse or something that does not let them pass.
 *
 * Why: a model of NHWC data is read as NCHW operators between transposes. Each is a walk over
 * memory, and hides a convolution's activation, padding and normalisation from it.
 *
 * How, one walk in topological order, repeated while it changes something (at most MAX_ROUNDS):
 *   - a transpose of a transpose becomes one, or none;
 *   - a node whose data inputs are transposed alike reads the sources instead and is transposed
 *     behind (pass_transpose.def says how its attributes follow); constants are permuted now,
 *     inputs whose transpose moves no element are reshaped, others get a transpose of their own if
 *     they have fewer elements than those that lose theirs;
 *   - a matrix product takes transposes of matrices as its flags, and the rows of its constant in
 *     another order instead of a flattened transpose.
 * Then transposes left behind chains of elementwise operators on graph inputs move to the input, so
 * that a pad comes next to its convolution and the chain stays one kernel. Last, transposes that
 * move nothing become reshapes.
 *
 * Ends: a walk visits each node once, and the number of walks is bounded; a transpose inserted on
 * an operand is strictly smaller than what it replaced, so it never moves back. */
#include "ir/pass_carry.h"
#include "ir/pass_internal.h"

#include <string.h>

#define MAX_ROUNDS 6

typedef struct mover {
  neo_ctx *ctx;
  neo_graph *graph;
  neo_status status; /* sticky: no memory for a permuted constant */
  bool changed;
} mover;

static bool is_graph_output(const neo_graph *graph, int value) {
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->output[i] == value)
      return true;
  return false;
}

static bool read_perm(const neo_graph *graph, const neo_node *node, neo_perm *perm) {
  int64_t given[NEO_MAX_RANK];
  int rank = graph->value[node->input[0]].shape.rank;
  int n = neo_node_ints(node, "perm", given, NEO_MAX_RANK);
  perm->n = rank;
  for (int i = 0; i < rank; i++)
    perm->at[i] = n == rank ? (int)given[i] : rank - 1 - i;
  return n == rank || n == 0;
}

/* The transpose that makes the value; NULL if another operator does. */
static neo_node *transpose_of(const neo_graph *graph, int value, neo_perm *perm) {
  neo_node *node = neo_edit_producer(graph, value);
  return neo_edit_is(node, "transpose") && read_perm(graph, node, perm) ? node : NULL;
}

static void set_perm(neo_graph *graph, neo_node *node, const neo_perm *perm) {
  int64_t ints[NEO_MAX_RANK];
  for (int i = 0; i < perm->n; i++)
    ints[i] = perm->at[i];
  neo_node_set_ints(graph, node, "perm", perm->n, ints);
}

static bool perm_equal(const neo_perm *a, const neo_perm *b) {
  return a->n == b->n && memcmp(a->at, b->at, sizeof(int) * (size_t)a->n) == 0;
}

static int64_t elements(const neo_graph *graph, int value) {
  int64_t n = 0;
  neo_shape_elements(&graph->value[value].shape, &n);
  return n;
}

/* ---- making values --------------------------------------------------------------------------------- */

static int add_transpose(neo_graph *graph, int x, const neo_perm *perm) {
  const char *name = graph->value[x].name;
  neo_node *node = neo_graph_add_node(graph, "transpose", name, 1, &x, 1);
  neo_value *out = &graph->value[node->output[0]];
  out->dtype = graph->value[x].dtype;
  out->shape = neo_perm_shape(perm, &graph->value[x].shape);
  set_perm(graph, node, perm);
  return node->output[0];
}

static int add_reshape(neo_graph *graph, int x, const neo_shape *shape) {
  neo_node *node = neo_graph_add_node(graph, "reshape", graph->value[x].name, 1, &x, 1);
  int out = node->output[0];
  graph->value[out].dtype = graph->value[x].dtype;
  graph->value[out].shape = *shape;
  neo_edit_become_reshape(graph, node, x, shape);
  return out;
}

static void permute(neo_tensor *to, const neo_tensor *from, const neo_perm *perm) {
  int64_t stride[NEO_MAX_RANK], at[NEO_MAX_RANK] = {0}, n, step = 1, offset = 0;
  size_t size = neo_dtype_size(from->dtype);
  int rank = from->shape.rank;
  for (int d = rank - 1; d >= 0; d--) {
    for (int i = 0; i < rank; i++)
      if (perm->at[i] == d)
        stride[i] = step;
    step *= from->shape.dim[d];
  }
  neo_shape_elements(&to->shape, &n);
  for (int64_t k = 0; k < n; k++) {
    memcpy((char *)to->data + (size_t)k * size, (const char *)from->data + (size_t)offset * size,
           size);
    for (int d = rank - 1; d >= 0; d--) {
      offset += stride[d];
      if (++at[d] < to->shape.dim[d])
        break;
      offset -= stride[d] * at[d];
      at[d] = 0;
    }
  }
}

/* The constant, seen as of this shape, permuted. */
static int permuted_constant(mover *m, int value, const neo_shape *as, const neo_perm *perm) {
  neo_tensor from = *m->graph->value[value].constant;
  neo_shape shape = neo_perm_shape(perm, as);
  int out = value;
  from.shape = *as;
  if (m->status == NEO_OK)
    m->status =
        neo_edit_constant(m->ctx, m->graph, m->graph->value[value].name, from.dtype, &shape, &out);
  if (m->status == NEO_OK)
    permute(m->graph->value[out].constant, &from, perm);
  return out;
}

/* The value with leading dimensions of 1 up to perm->n, transposed. */
static int transposed(mover *m, int value, const neo_perm *perm) {
  neo_graph *graph = m->graph;
  neo_shape own = graph->value[value].shape, as = {.rank = perm->n};
  for (int d = 0; d < perm->n; d++)
    as.dim[d] = d < perm->n - own.rank ? 1 : own.dim[d - (perm->n - own.rank)];
  if (graph->value[value].constant)
    return permuted_constant(m, value, &as, perm);
  neo_shape moved = neo_perm_shape(perm, &as);
  if (neo_perm_is_view(perm, &as))
    return add_reshape(graph, value, &moved);
  return add_transpose(graph, own.rank < perm->n ? add_reshape(graph, value, &as) : value, perm);
}

/* ---- transposes of transposes ----------------------------------------------------------------------- */

static void merge(mover *m, int id) {
  neo_graph *graph = m->graph;
  neo_node *node = &graph->node[id];
  neo_perm outer, inner, both;
  neo_node *before = transpose_of(graph, node->input[0], &inner);
  if (!read_perm(graph, node, &outer) || (before && inner.n != outer.n))
    return;
  both = outer;
  for (int i = 0; before && i < outer.n; i++)
    both.at[i] = inner.at[outer.at[i]];
  int x = before ? before->input[0] : node->input[0], v = node->output[0];
  if (neo_perm_is_identity(&both) && (graph->value[x].node >= 0 || !is_graph_output(graph, v))) {
    neo_edit_replace(graph, v, x);
    node->dead = true;
    m->changed = true;
  } else if (before) {
    neo_edit_become(graph, node, "transpose", 1, &x);
    set_perm(graph, node, &both);
    m->changed = true;
  }
}

/* ---- through a node ---------------------------------------------------------------------------------- */

/* What becomes of one data input. */
typedef enum input_kind {
  KEEP,    /* one element: broadcasts however it lies */
  STRIP,   /* is transposed alike: its source */
  CONVERT, /* a constant, or moves no element */
  INSERT   /* gets a transpose of its own */
} input_kind;

static input_kind classify(const neo_graph *graph, int value, char data, const neo_perm *perm) {
  const neo_shape *shape = &graph->value[value].shape;
  neo_perm own;
  neo_perm inverse = neo_perm_inverse(perm);
  if (transpose_of(graph, value, &own) && perm_equal(&own, perm))
    return STRIP;
  if (data == 'a' && elements(graph, value) == 1)
    return KEEP;
  if (graph->value[value].constant)
    return CONVERT;
  neo_shape as = {.rank = perm->n};
  for (int d = 0; d < perm->n; d++)
    as.dim[d] = d < perm->n - shape->rank ? 1 : shape->dim[d - (perm->n - shape->rank)];
  return neo_perm_is_view(&inverse, &as) ? CONVERT : INSERT;
}

/* Is it worth it: fewer elements are transposed than before, or at least nothing else is. */
static bool worth(const neo_graph *graph, const neo_node *node, char data, const neo_perm *perm) {
  int64_t gain = 0, cost = 0;
  bool others = false;
  for (int k = 0; k < (data == 'f' ? 1 : node->n_inputs); k++) {
    int value = node->input[k];
    input_kind kind = classify(graph, value, data, perm);
    const neo_node *before = neo_edit_producer(graph, value);
    if (kind == STRIP && !neo_perm_is_view(perm, &graph->value[before->input[0]].shape))
      gain += elements(graph, value);
    if (kind == INSERT)
      cost += elements(graph, value);
    others |= kind == INSERT || (kind == CONVERT && !graph->value[value].constant);
  }
  return !others || gain > cost;
}

/* The permutation that the node's data inputs share, or false. */
static bool find_perm(const neo_graph *graph, const neo_node *node, char data, neo_perm *perm) {
  int rank = -1;
  bool found = false;
  for (int k = 0; k < (data == 'f' ? 1 : node->n_inputs); k++) {
    if (node->input[k] == NEO_NO_VALUE || graph->value[node->input[k]].shape.rank < 0)
      return false;
    int own = graph->value[node->input[k]].shape.rank;
    if (data == 's' && rank >= 0 && own != rank)
      return false;
    rank = own > rank ? own : rank;
  }
  for (int k = 0; k < (data == 'f' ? 1 : node->n_inputs) && !found; k++)
    found = transpose_of(graph, node->input[k], perm) && perm->n == rank;
  return found;
}

static void replace_inputs(mover *m, int id, char data, const neo_perm *perm) {
  neo_graph *graph = m->graph;
  neo_perm inverse = neo_perm_inverse(perm);
  int n = data == 'f' ? 1 : graph->node[id].n_inputs;
  int *inputs = neo_arena_copy(graph->arena, graph->node[id].input,
                               sizeof(int) * (size_t)graph->node[id].n_inputs);
  for (int k = 0; k < n; k++) {
    input_kind kind = classify(graph, inputs[k], data, perm);
    if (kind == STRIP)
      inputs[k] = neo_edit_producer(graph, inputs[k])->input[0];
    else if (kind != KEEP)
      inputs[k] = transposed(m, inputs[k], &inverse);
  }
  graph->node[id].input = inputs;
}

/* The node's outputs are made by transposes from now on; what it makes has other names. */
static void transpose_outputs(neo_graph *graph, int id, const neo_perm *out) {
  neo_perm inverse = neo_perm_inverse(out);
  for (int k = 0; k < graph->node[id].n_outputs && !neo_perm_is_identity(out); k++) {
    int v = graph->node[id].output[k];
    neo_shape shape = neo_perm_shape(&inverse, &graph->value[v].shape);
    neo_node *behind =
        neo_graph_add_node(graph, "transpose", graph->node[id].name, 1, (int[1]){v}, 1);
    int behind_id = (int)(behind - graph->node), fresh = behind->output[0];
    set_perm(graph, behind, out);
    behind->input[0] = fresh;
    behind->output[0] = v;
    graph->value[fresh].dtype = graph->value[v].dtype;
    graph->value[fresh].shape = shape;
    graph->value[fresh].node = id;
    graph->value[fresh].output = k;
    graph->value[v].node = behind_id;
    graph->value[v].output = 0;
    int *outputs = neo_arena_copy(graph->arena, graph->node[id].output,
                                  sizeof(int) * (size_t)graph->node[id].n_outputs);
    outputs[k] = fresh;
    graph->node[id].output = outputs;
  }
}

static void sink(mover *m, int id) {
  neo_graph *graph = m->graph;
  neo_node *node = &graph->node[id];
  const neo_carry *row = neo_carry_find(node);
  neo_perm perm, out;
  if (!row || !find_perm(graph, node, row->data, &perm) || !worth(graph, node, row->data, &perm))
    return;
  if (row->data == 'a' && graph->value[node->output[0]].shape.rank != perm.n)
    return;
  if (!row->carry(graph, node, &perm, &out))
    return;
  replace_inputs(m, id, row->data, &perm);
  transpose_outputs(graph, id, &out);
  m->changed = true;
}

/* ---- matrix products ---------------------------------------------------------------------------------- */

/* The source of a value that is a matrix transposed, else NEO_NO_VALUE. */
static int matrix_transposed(const neo_graph *graph, int value) {
  neo_perm perm;
  const neo_node *node = transpose_of(graph, value, &perm);
  return node && perm.n == 2 && perm.at[0] == 1 ? node->input[0] : NEO_NO_VALUE;
}

static void absorb_matrix_transposes(mover *m, int id) {
  neo_graph *graph = m->graph;
  neo_node *node = &graph->node[id];
  int a = matrix_transposed(graph, node->input[0]), b = matrix_transposed(graph, node->input[1]);
  if ((a == NEO_NO_VALUE && b == NEO_NO_VALUE) ||
      neo_dtype_class(graph->value[node->output[0]].dtype) != 'f' ||
      graph->value[node->input[0]].shape.rank != 2 || graph->value[node->input[1]].shape.rank != 2)
    return;
  int64_t trans_a = neo_node_int(node, "trans_a", 0), trans_b = neo_node_int(node, "trans_b", 0);
  int *inputs = neo_arena_copy(graph->arena, node->input, sizeof(int) * (size_t)node->n_inputs);
  if (a != NEO_NO_VALUE)
    inputs[0] = a, trans_a = !trans_a;
  if (b != NEO_NO_VALUE)
    inputs[1] = b, trans_b = !trans_b;
  if (neo_edit_is(node, "matmul"))
    neo_edit_become(graph, node, "gemm", 2, inputs);
  node->input = inputs;
  neo_node_set_int(graph, node, "trans_a", trans_a);
  neo_node_set_int(graph, node, "trans_b", trans_b);
  m->changed = true;
}

/* product(reshape(T(x)) to [n,k], constant): the rows of the constant follow x's order instead. */
static void absorb_flattened(mover *m, int id) {
  neo_graph *graph = m->graph;
  neo_node *node = &graph->node[id];
  const neo_node *view = neo_edit_producer(graph, node->input[0]);
  bool trans_b = neo_node_int(node, "trans_b", 0) != 0;
  neo_perm perm;
  if (!view || view->op->fuse != 'v' || neo_edit_is(view, "identity") ||
      neo_node_int(node, "trans_a", 0))
    return;
  const neo_node *before = transpose_of(graph, view->input[0], &perm);
  const neo_value *w = &graph->value[node->input[1]];
  const neo_shape *flat = &graph->value[node->input[0]].shape;
  if (!before || perm.at[0] != 0 || !w->constant || w->shape.rank != 2 || flat->rank != 2)
    return;
  neo_shape parts = graph->value[view->input[0]].shape; /* [n, d1, ...]: the constant's rows */
  if (parts.rank >= NEO_MAX_RANK || parts.dim[0] != flat->dim[0])
    return;
  neo_perm inverse = neo_perm_inverse(&perm), rows = {.n = parts.rank};
  neo_shape as = {.rank = parts.rank};
  for (int d = 1; d < parts.rank; d++) {
    rows.at[trans_b ? d : d - 1] = trans_b ? inverse.at[d] : inverse.at[d] - 1;
    as.dim[trans_b ? d : d - 1] = parts.dim[d];
  }
  rows.at[trans_b ? 0 : parts.rank - 1] = trans_b ? 0 : parts.rank - 1;
  as.dim[trans_b ? 0 : parts.rank - 1] = w->shape.dim[trans_b ? 0 : 1];
  neo_shape shape = w->shape, target = *flat;
  int source = before->input[0];
  int constant = permuted_constant(m, node->input[1], &as, &rows);
  if (m->status != NEO_OK)
    return;
  graph->value[constant].shape = shape;
  graph->value[constant].constant->shape = shape;
  int x = add_reshape(graph, source, &target);
  node = &graph->node[id];
  node->input = neo_arena_copy(graph->arena, node->input, sizeof(int) * (size_t)node->n_inputs);
  node->input[0] = x;
  node->input[1] = constant;
  m->changed = true;
}

/* ---- up to graph inputs -------------------------------------------------------------------------------- */

/* A transpose may move before this node: one data input, all others constant or of one element. */
static bool lets_up(const neo_graph *graph, const neo_uses *uses, const neo_node *node) {
  const neo_carry *row = node ? neo_carry_find(node) : NULL;
  if (!row || !neo_carry_keeps_rank(row) || node->n_outputs != 1 ||
      node->output[0] >= uses->n_values || uses->count[node->output[0]] != 1 ||
      graph->value[node->input[0]].constant ||
      graph->value[node->input[0]].shape.rank != graph->value[node->output[0]].shape.rank)
    return false;
  for (int k = 1; row->data == 'a' && k < node->n_inputs; k++)
    if (node->input[k] == NEO_NO_VALUE || !graph->value[node->input[k]].constant)
      return false;
  return true;
}

static bool reaches_input(const neo_graph *graph, const neo_uses *uses, int value) {
  const neo_node *node = neo_edit_producer(graph, value);
  int steps = 0;
  for (; lets_up(graph, uses, node) && steps < graph->n_nodes; steps++) {
    value = node->input[0];
    node = neo_edit_producer(graph, value);
  }
  return steps > 0 && graph->value[value].is_input;
}

/* T(op(x)) -> op'(T(x)), which is op carrying the inverse; returns the new transpose, -1 if none.
 */
static int hoist_once(mover *m, int id) {
  neo_graph *graph = m->graph;
  int op_id = graph->value[graph->node[id].input[0]].node, v = graph->node[id].output[0];
  neo_node *op = &graph->node[op_id];
  const neo_carry *row = neo_carry_find(op);
  neo_perm perm, out;
  if (!read_perm(graph, &graph->node[id], &perm))
    return -1;
  neo_perm inverse = neo_perm_inverse(&perm);
  if (!row->carry(graph, op, &inverse, &out))
    return -1;
  int *inputs = neo_arena_copy(graph->arena, op->input, sizeof(int) * (size_t)op->n_inputs);
  int n_inputs = op->n_inputs, *outputs = neo_arena_copy(graph->arena, &v, sizeof v);
  for (int k = 1; row->data == 'a' && k < n_inputs; k++)
    if (elements(graph, inputs[k]) != 1)
      inputs[k] = transposed(m, inputs[k], &perm);
  inputs[0] = add_transpose(graph, inputs[0], &perm);
  graph->node[op_id].input = inputs;
  graph->value[graph->node[op_id].output[0]].node = -1;
  graph->node[op_id].output = outputs;
  graph->value[v].node = op_id;
  graph->value[v].output = 0;
  graph->node[id].dead = true;
  m->changed = true;
  return graph->n_nodes - 1;
}

static void hoist(mover *m) {
  neo_graph *graph = m->graph;
  neo_uses uses;
  neo_uses_init(&uses);
  neo_uses_update(&uses, graph);
  for (int i = 0, n = graph->n_nodes; i < n; i++) {
    int at = i;
    while (at >= 0 && !graph->node[at].dead && neo_edit_is(&graph->node[at], "transpose") &&
           reaches_input(graph, &uses, graph->node[at].input[0]))
      at = hoist_once(m, at);
  }
  neo_uses_fini(&uses);
}

/* ---- the walk --------------------------------------------------------------------------------------------- */

static void visit(mover *m, int id) {
  const neo_node *node = &m->graph->node[id];
  if (neo_edit_is(node, "transpose")) {
    merge(m, id);
  } else if (neo_edit_is(node, "matmul") || neo_edit_is(node, "gemm")) {
    absorb_matrix_transposes(m, id);
    absorb_flattened(m, id);
  } else {
    sink(m, id);
  }
}

static void to_views(neo_graph *graph) {
  neo_perm perm;
  for (int i = 0; i < graph->n_nodes; i++) {
    neo_node *node = &graph->node[i];
    if (node->dead || !neo_edit_is(node, "transpose") || !read_perm(graph, node, &perm) ||
        !neo_perm_is_view(&perm, &graph->value[node->input[0]].shape))
      continue;
    neo_shape shape = graph->value[node->output[0]].shape;
    neo_edit_become_reshape(graph, node, node->input[0], &shape);
  }
}

neo_status neo_pass_transpose(neo_ctx *ctx, neo_graph *graph) {
  mover m = {.ctx = ctx, .graph = graph, .changed = true};
  for (int round = 0; round < MAX_ROUNDS && m.changed; round++) {
    m.changed = false;
    for (int i = 0, n = graph->n_nodes; i < n && m.status == NEO_OK; i++)
      if (!graph->node[i].dead && graph->node[i].n_inputs > 0 &&
          graph->node[i].input[0] != NEO_NO_VALUE)
        visit(&m, i);
    NEO_TRY(m.status);
    NEO_TRY(neo_pass_dce(ctx, graph));
  }
  hoist(&m);
  NEO_TRY(m.status);
  to_views(graph);
  return neo_pass_dce(ctx, graph);
}
