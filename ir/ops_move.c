/* ir/ops_move.c: movement: every output element is one input element or a constant. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

static void identity_index(neo_lowering *l, int rank, const neo_expr **index) {
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(l, d);
}

static int64_t elements(const neo_shape *shape) {
  int64_t n = 0;
  neo_shape_elements(shape, &n);
  return n;
}

/* OUT[i] = input 0 [index], after the input has been added. */
static neo_status copy_block(neo_lowering *l, int x, const neo_expr *const *index) {
  neo_lower_output(l, 0)->body = neo_lower_raw_load(l, x, index);
  return NEO_OK;
}

/* ---- transpose ----------------------------------------------------------------------------------- */

static neo_status read_perm(neo_ctx *ctx, const neo_node *node, int rank, int64_t *perm) {
  bool seen[NEO_MAX_RANK] = {false};
  int n = neo_node_ints(node, "perm", perm, NEO_MAX_RANK);
  if (n != 0 && n != rank)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "perm has %d values, %d expected", n, rank);
  for (int d = 0; d < rank; d++) {
    if (n == 0)
      perm[d] = rank - 1 - d;
    if (perm[d] < 0 || perm[d] >= rank || seen[perm[d]])
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "perm is not a permutation");
    seen[perm[d]] = true;
  }
  return NEO_OK;
}

neo_status neo_infer_transpose(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int64_t perm[NEO_MAX_RANK];
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  NEO_TRY(read_perm(ctx, node, x->shape.rank, perm));
  neo_shape shape = {.rank = x->shape.rank};
  for (int d = 0; d < shape.rank; d++)
    shape.dim[d] = x->shape.dim[perm[d]];
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_transpose(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  int64_t perm[NEO_MAX_RANK];
  const neo_expr *index[NEO_MAX_RANK];
  int x = neo_lower_input(&l, 0), rank = te->buffer[x].shape.rank;
  NEO_TRY(read_perm(ctx, node, rank, perm));
  for (int d = 0; d < rank; d++)
    index[perm[d]] = neo_i_var(&l, d);
  return copy_block(&l, x, index);
}

/* ---- concat, split ------------------------------------------------------------------------------- */

neo_status neo_infer_concat(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int axis;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 1), shape.rank, &axis));
  for (int k = 1; k < node->n_inputs; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    if (!v || v->shape.rank != shape.rank)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d has another rank", k);
    NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, k));
    for (int d = 0; d < shape.rank; d++) {
      if (d != axis && v->shape.dim[d] != shape.dim[d])
        return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                           "input %d: dimension %d is %" PRId64 ", %" PRId64 " expected", k, d,
                           v->shape.dim[d], shape.dim[d]);
    }
    shape.dim[axis] += v->shape.dim[axis];
  }
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_concat(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                            int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int axis, rank = neo_op_in(graph, node, 0)->shape.rank, buffer[NEO_TE_MAX_BUFFERS];
  int64_t at = 0;
  if (node->n_inputs >= NEO_TE_MAX_BUFFERS)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "%d inputs, at most %d supported",
                       node->n_inputs, NEO_TE_MAX_BUFFERS - 1);
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 1), rank, &axis));
  for (int k = 0; k < node->n_inputs; k++)
    buffer[k] = elements(&neo_op_in(graph, node, k)->shape) ? neo_lower_input(&l, k) : -1;
  int out = neo_lower_output_buffer(&l, 0);
  identity_index(&l, rank, index);
  for (int k = 0; k < node->n_inputs; k++) {
    if (buffer[k] < 0)
      continue;
    neo_te_block *b = neo_te_add_block(te, out);
    b->extent[axis] = te->buffer[buffer[k]].shape.dim[axis];
    b->write[axis] = neo_i_affine(&l, index[axis], 1, NULL, at);
    b->body = neo_lower_raw_load(&l, buffer[k], index);
    at += b->extent[axis];
  }
  return NEO_OK;
}

/* The sizes of the parts along axis. */
static neo_status read_split(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int *axis,
                             int64_t *size) {
  const neo_shape *shape = &neo_op_in(graph, node, 0)->shape;
  int n, parts = node->n_outputs;
  if (parts >= NEO_TE_MAX_BUFFERS)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "%d outputs, at most %d supported", parts,
                       NEO_TE_MAX_BUFFERS - 1);
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 0), shape->rank, axis));
  NEO_TRY(neo_op_ints(NEO_SITE, 1, "split", size, NEO_TE_MAX_BUFFERS, &n));
  int64_t whole = shape->dim[*axis], sum = 0;
  if (n > 0 && n != parts)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "split has %d values for %d outputs", n, parts);
  for (int k = 0; k < parts; k++) {
    if (n <= 0)
      size[k] = neo_min_i64(neo_ceil_div(whole, parts), whole - sum);
    if (size[k] < 0 || size[k] > whole - sum)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the parts do not fit %" PRId64, whole);
    sum += size[k];
  }
  if (sum != whole)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                       "the parts sum to %" PRId64 ", %" PRId64 " expected", sum, whole);
  return NEO_OK;
}

neo_status neo_infer_split(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int64_t size[NEO_TE_MAX_BUFFERS];
  int axis;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_split(ctx, graph, node, &axis, size));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  for (int k = 0; k < node->n_outputs; k++) {
    shape.dim[axis] = size[k];
    neo_op_set(graph, node, k, neo_op_in(graph, node, 0)->dtype, &shape);
  }
  return NEO_OK;
}

neo_status neo_lower_split(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                           int *in_value) {
  NEO_LOWERING(l);
  int64_t size[NEO_TE_MAX_BUFFERS], at = 0;
  const neo_expr *index[NEO_MAX_RANK];
  int axis, x = neo_lower_input(&l, 0);
  NEO_TRY(read_split(ctx, graph, node, &axis, size));
  for (int k = 0; k < node->n_outputs; k++) {
    identity_index(&l, te->buffer[x].shape.rank, index);
    index[axis] = neo_i_affine(&l, index[axis], 1, NULL, at);
    neo_lower_output(&l, k)->body = neo_lower_raw_load(&l, x, index);
    at += size[k];
  }
  return NEO_OK;
}

/* Parts may be empty here, which no te can be. */
neo_status neo_eval_split(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_tensor *const *in, neo_tensor *out) {
  int64_t size[NEO_TE_MAX_BUFFERS], rows = 1, at = 0;
  int axis;
  NEO_TRY(read_split(ctx, graph, node, &axis, size));
  const neo_shape *shape = &in[0]->shape;
  size_t inner = neo_dtype_size(in[0]->dtype);
  for (int d = 0; d < axis; d++)
    rows *= shape->dim[d];
  for (int d = axis + 1; d < shape->rank; d++)
    inner *= (size_t)shape->dim[d];
  for (int k = 0; k < node->n_outputs; k++) {
    size_t part = (size_t)size[k] * inner;
    for (int64_t row = 0; row < rows; row++)
      memcpy((char *)out[k].data + (size_t)row * part,
             (char *)in[0]->data + ((size_t)(row * shape->dim[axis] + at)) * inner, part);
    at += size[k];
  }
  return NEO_OK;
}

/* ---- slice --------------------------------------------------------------------------------------- */

typedef struct slicing {
  int64_t start[NEO_MAX_RANK], step[NEO_MAX_RANK];
  neo_shape out;
} slicing;

static int64_t clamp(int64_t v, int64_t lo, int64_t hi) {
  return v < lo ? lo : v > hi ? hi : v;
}

static neo_status read_slice(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                             slicing *s) {
  int64_t starts[NEO_MAX_RANK], ends[NEO_MAX_RANK], axes[NEO_MAX_RANK], steps[NEO_MAX_RANK];
  int n, n_ends, n_axes, n_steps, axis;
  NEO_TRY(neo_op_ints(NEO_SITE, 1, "starts", starts, NEO_MAX_RANK, &n));
  NEO_TRY(neo_op_ints(NEO_SITE, 2, "ends", ends, NEO_MAX_RANK, &n_ends));
  NEO_TRY(neo_op_ints(NEO_SITE, 3, "axes", axes, NEO_MAX_RANK, &n_axes));
  NEO_TRY(neo_op_ints(NEO_SITE, 4, "steps", steps, NEO_MAX_RANK, &n_steps));
  if (n < 0 || n_ends != n || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "%d starts, %d ends, %d axes, %d steps", n, n_ends,
                       n_axes, n_steps);
  s->out = neo_op_in(graph, node, 0)->shape;
  for (int d = 0; d < s->out.rank; d++) {
    s->start[d] = 0;
    s->step[d] = 1;
  }
  for (int k = 0; k < n; k++) {
    NEO_TRY(neo_op_axis(ctx, node, n_axes < 0 ? k : axes[k], s->out.rank, &axis));
    int64_t size = s->out.dim[axis], step = n_steps < 0 ? 1 : steps[k];
    if (step == 0 || step == INT64_MIN)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "a step of %" PRId64, step);
    int64_t from = starts[k] < 0 ? starts[k] + size : starts[k],
            to = ends[k] < 0 ? ends[k] + size : ends[k];
    from = clamp(from, 0, step < 0 ? size - 1 : size);
    to = clamp(to, step < 0 ? -1 : 0, size);
    int64_t room = step < 0 ? from - to : to - from;
    s->out.dim[axis] = room <= 0 ? 0 : (room - 1) / (step < 0 ? -step : step) + 1;
    s->start[axis] = from;
    s->step[axis] = step;
  }
  return NEO_OK;
}

neo_status neo_infer_slice(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  slicing s;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_slice(ctx, graph, node, &s));
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &s.out);
  return NEO_OK;
}

neo_status neo_lower_slice(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                           int *in_value) {
  NEO_LOWERING(l);
  slicing s;
  const neo_expr *index[NEO_MAX_RANK];
  NEO_TRY(read_slice(ctx, graph, node, &s));
  int x = neo_lower_input(&l, 0);
  for (int d = 0; d < s.out.rank; d++)
    index[d] = s.out.dim[d] == 1 ? neo_i_const(&l, s.start[d])
                                 : neo_i_affine(&l, neo_i_var(&l, d), s.step[d], NULL, s.start[d]);
  return copy_block(&l, x, index);
}

/* ---- pad ----------------------------------------------------------------------------------------- */

typedef struct padding {
  int64_t begin[NEO_MAX_RANK], end[NEO_MAX_RANK];
  double value;
} padding;

static neo_status read_pad(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, padding *p) {
  int rank = neo_op_in(graph, node, 0)->shape.rank, n, n_axes, axis;
  int64_t pads[2 * NEO_MAX_RANK], axes[NEO_MAX_RANK];
  bool given;
  *p = (padding){.value = neo_node_float(node, "value", 0)};
  NEO_TRY(neo_op_ints(NEO_SITE, 1, "pads", pads, 2 * NEO_MAX_RANK, &n));
  NEO_TRY(neo_op_scalar(ctx, graph, node, 2, &given, &p->value));
  NEO_TRY(neo_op_ints(NEO_SITE, 3, "axes", axes, NEO_MAX_RANK, &n_axes));
  int count = n_axes < 0 ? rank : n_axes;
  if (n != 2 * count)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "pads has %d values, %d expected", n, 2 * count);
  for (int k = 0; k < count; k++) {
    NEO_TRY(neo_op_axis(ctx, node, n_axes < 0 ? k : axes[k], rank, &axis));
    p->begin[axis] = pads[k];
    p->end[axis] = pads[count + k];
    if (pads[k] > INT32_MAX || pads[k] < -INT32_MAX || pads[count + k] > INT32_MAX ||
        pads[count + k] < -INT32_MAX)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "a pad of %" PRId64, pads[k]);
  }
  return NEO_OK;
}

neo_status neo_infer_pad(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  padding p;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_pad(ctx, graph, node, &p));
  static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
  bool constant = neo_op_string_is(node, "mode", "constant", "constant"), known = false;
  for (int k = 0; k < NEO_COUNT(modes); k++)
    known = known || neo_op_string_is(node, "mode", "constant", modes[k]);
  if (!known)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "mode '%s'", neo_node_string(node, "mode", ""));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  for (int d = 0; d < shape.rank; d++) {
    bool empty = shape.dim[d] == 0;
    shape.dim[d] += p.begin[d] + p.end[d];
    if (shape.dim[d] < 0 || (empty && shape.dim[d] > 0 && !constant))
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "dimension %d would be %" PRId64, d,
                         shape.dim[d]);
  }
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  return NEO_OK;
}

/* Position `at` outside of [0, n) by the rule of the mode. */
static const neo_expr *outside(neo_lowering *l, const neo_expr *at, int64_t n) {
  if (neo_op_string_is(l->node, "mode", "constant", "edge"))
    return neo_x2(l, NEO_EXPR_MAX, neo_x2(l, NEO_EXPR_MIN, at, neo_i_const(l, n - 1)),
                  neo_i_const(l, 0));
  if (neo_op_string_is(l->node, "mode", "constant", "wrap"))
    return neo_expr_floormod(l->arena, at, n, NULL, 0);
  if (n == 1)
    return neo_i_const(l, 0);
  /* reflect: a triangle wave of period 2 (n - 1) */
  const neo_expr *t = neo_expr_floormod(l->arena, at, 2 * (n - 1), NULL, 0);
  t = neo_x2(l, NEO_EXPR_MIN, t, neo_i_affine(l, t, -1, NULL, 2 * (n - 1)));
  return neo_x2(l, NEO_EXPR_MIN, t, neo_i_const(l, n - 1)); /* so that intervals prove it */
}

neo_status neo_lower_pad(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                         int *in_value) {
  NEO_LOWERING(l);
  padding p;
  const neo_expr *index[NEO_MAX_RANK];
  neo_guard guard[NEO_MAX_GUARDS];
  int n_guards = 0;
  NEO_TRY(read_pad(ctx, graph, node, &p));
  const neo_value *in = neo_op_in(graph, node, 0);
  bool constant = neo_op_string_is(node, "mode", "constant", "constant");
  if (elements(&in->shape) == 0) {
    neo_te_block *b = neo_lower_output(&l, 0);
    b->body = neo_expr_const_f(l.arena, in->dtype, p.value);
    return NEO_OK;
  }
  int x = neo_lower_input(&l, 0), rank = in->shape.rank;
  for (int d = 0; d < rank; d++) {
    index[d] = neo_i_affine(&l, neo_i_var(&l, d), 1, NULL, -p.begin[d]);
    if (p.begin[d] <= 0 && p.end[d] <= 0)
      continue;
    if (constant)
      guard[n_guards++] = (neo_guard){index[d], 0, in->shape.dim[d]};
    else
      index[d] = outside(&l, index[d], in->shape.dim[d]);
  }
  neo_te_block *b = neo_lower_output(&l, 0);
  b->body = neo_expr_load_guarded(l.arena, in->dtype, x, rank, index,
                                  &(neo_guards){n_guards, guard, p.value});
  return NEO_OK;
}

/* ---- expand, tile -------------------------------------------------------------------------------- */

neo_status neo_infer_expand(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_shape to = {0}, shape;
  int n;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_ints(NEO_SITE, 1, "shape", to.dim, NEO_MAX_RANK, &n));
  to.rank = n < 0 ? 0 : n;
  for (int d = 0; d < to.rank; d++) {
    if (to.dim[d] < 0)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the shape has the value %" PRId64, to.dim[d]);
  }
  const neo_value *x = neo_op_in(graph, node, 0);
  if (!neo_shape_broadcast(&x->shape, &to, &shape))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the input does not broadcast to the shape");
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_expand(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                            int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape;
  int x = neo_lower_input(&l, 0), rank = graph->value[node->output[0]].shape.rank;
  for (int d = 0; d < in->rank; d++)
    index[d] = in->dim[d] == 1 ? neo_i_const(&l, 0) : neo_i_var(&l, rank - in->rank + d);
  return copy_block(&l, x, index);
}

neo_status neo_infer_tile(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int64_t repeats[NEO_MAX_RANK];
  int n;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_ints(NEO_SITE, 1, "repeats", repeats, NEO_MAX_RANK, &n));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  if (n != shape.rank)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "%d repeats for rank %d", n, shape.rank);
  for (int d = 0; d < n; d++) {
    if (repeats[d] < 0 || (repeats[d] && shape.dim[d] > (INT64_C(1) << 40) / repeats[d]))
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "dimension %d repeats %" PRId64 " times", d,
                         repeats[d]);
    shape.dim[d] *= repeats[d];
  }
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_tile(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                          int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  const neo_shape *in = &neo_op_in(graph, node, 0)->shape,
                  *out = &graph->value[node->output[0]].shape;
  int x = neo_lower_input(&l, 0);
  for (int d = 0; d < in->rank; d++) {
    const neo_range range = {0, out->dim[d] - 1};
    const neo_expr *map[1] = {neo_i_var(&l, d)};
    const neo_expr *at = neo_expr_floormod(l.arena, neo_i_var(&l, 0), in->dim[d], &range, 1);
    index[d] = neo_expr_substitute(l.arena, at, map, 1);
  }
  return copy_block(&l, x, index);
}

/* ---- depth_to_space, space_to_depth: affine reads and writes over (n, c, h, i, w, j) -------------------- */

static neo_status read_blocksize(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 int64_t *b) {
  *b = neo_node_int(node, "blocksize", 0);
  if (neo_op_in(graph, node, 0)->shape.rank != 4)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input is not of rank 4");
  if (*b < 1 || *b > 65536)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "blocksize is %" PRId64, *b);
  return NEO_OK;
}

neo_status neo_infer_depth_space(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int64_t b;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_blocksize(ctx, graph, node, &b));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  bool to_space = neo_op_is(node, "depth_to_space");
  if (to_space ? shape.dim[1] % (b * b) : shape.dim[2] % b || shape.dim[3] % b)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "blocksize %" PRId64 " does not divide the input",
                       b);
  shape.dim[1] = to_space ? shape.dim[1] / (b * b) : shape.dim[1] * b * b;
  shape.dim[2] = to_space ? shape.dim[2] * b : shape.dim[2] / b;
  shape.dim[3] = to_space ? shape.dim[3] * b : shape.dim[3] / b;
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_depth_space(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  int64_t b;
  NEO_TRY(read_blocksize(ctx, graph, node, &b));
  bool to_space = neo_op_is(node, "depth_to_space");
  bool crd = neo_op_string_is(node, "mode", "dcr", "crd");
  int x = neo_lower_input(&l, 0), out = neo_lower_output_buffer(&l, 0);
  const neo_shape *space = &te->buffer[to_space ? out : x].shape;
  const neo_expr *n = neo_i_var(&l, 0), *c = neo_i_var(&l, 1), *i = neo_i_var(&l, 3),
                 *j = neo_i_var(&l, 5);
  const neo_expr *y = neo_i_affine(&l, neo_i_var(&l, 2), b, i, 0),
                 *z = neo_i_affine(&l, neo_i_var(&l, 4), b, j, 0);
  const neo_expr *block = neo_i_affine(&l, i, b, j, 0);
  const neo_expr *depth =
      crd ? neo_i_affine(&l, c, b * b, block, 0) : neo_i_affine(&l, block, space->dim[1], c, 0);
  const neo_expr *in_space[4] = {n, c, y, z},
                 *in_depth[4] = {n, depth, neo_i_var(&l, 2), neo_i_var(&l, 4)};
  neo_te_block *k = neo_te_add_block(te, out);
  const int64_t extent[6] = {
      space->dim[0], space->dim[1], space->dim[2] / b, b, space->dim[3] / b, b};
  k->n_spatial = 6;
  memcpy(k->extent, extent, sizeof extent);
  memcpy(k->write, to_space ? in_space : in_depth, sizeof in_space);
  k->body = neo_lower_raw_load(&l, x, to_space ? in_depth : in_space);
  return NEO_OK;
}

/* ---- trilu --------------------------------------------------------------------------------------- */

neo_status neo_infer_trilu(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  bool given;
  double k;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_scalar(ctx, graph, node, 1, &given, &k));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  if (shape.rank < 2)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input of rank %d, at least 2 needed", shape.rank);
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_trilu(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                           int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  bool given;
  double value = 0;
  NEO_TRY(neo_op_scalar(ctx, graph, node, 1, &given, &value));
  const int64_t far = INT64_C(1) << 41, k = clamp((int64_t)value, -far, far);
  int x = neo_lower_input(&l, 0), rank = te->buffer[x].shape.rank;
  identity_index(&l, rank, index);
  const neo_expr *i = index[rank - 2], *j = index[rank - 1];
  bool upper = neo_node_int(node, "upper", 1) != 0;
  /* upper keeps j - i >= k, lower keeps j - i <= k */
  neo_guard guard = {upper ? neo_i_affine(&l, i, -1, j, -k) : neo_i_affine(&l, j, -1, i, k), 0,
                     4 * far};
  neo_lower_output(&l, 0)->body = neo_expr_load_guarded(l.arena, te->buffer[x].dtype, x, rank,
                                                        index, &(neo_guards){1, &guard, 0});
  return NEO_OK;
}
