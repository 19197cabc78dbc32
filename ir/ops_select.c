/* ir/ops_select.c: operators that select by comparing data: top_k, and, where everything is known
 * at compile time, those whose result's size depends on data: unique, compress,
 * non_max_suppression. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- top_k(x) {k, axis, largest, sorted}; topk(x, k K) is written as it ----------------------- */

neo_status neo_infer_top_k(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int axis;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  int64_t k = neo_node_int(node, "k", -1);
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", -1), shape.rank, &axis));
  if (k < 0 || k > shape.dim[axis])
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "k is %" PRId64 ", the axis has %" PRId64, k,
                       shape.dim[axis]);
  shape.dim[axis] = k;
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  neo_op_set(graph, node, 1, NEO_I64, &shape);
  return NEO_OK;
}

/* Order of elements, NaN above everything. */
static int compare_elements(const neo_tensor *t, int64_t i, int64_t j) {
  if (neo_dtype_class(t->dtype) != 'f') {
    int64_t a = neo_tensor_get_i64(t, i), b = neo_tensor_get_i64(t, j);
    if (t->dtype == NEO_U64)
      return ((uint64_t)a > (uint64_t)b) - ((uint64_t)a < (uint64_t)b);
    return (a > b) - (a < b);
  }
  double a = neo_tensor_get_f64(t, i), b = neo_tensor_get_f64(t, j);
  if (isnan(a) || isnan(b))
    return (isnan(a) != 0) - (isnan(b) != 0);
  return (a > b) - (a < b);
}

static void copy_element(neo_tensor *to, int64_t i, const neo_tensor *from, int64_t j) {
  size_t size = neo_dtype_size(from->dtype);
  memcpy((char *)to->data + (size_t)i * size, (const char *)from->data + (size_t)j * size, size);
}

/* Selection sort of k elements: slow and obvious, as an oracle may be. */
neo_status neo_eval_top_k(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_tensor *const *in, neo_tensor *out) {
  const neo_shape *s = &in[0]->shape;
  int axis, sign = neo_node_int(node, "largest", 1) ? 1 : -1;
  int64_t inner = 1, outer = 1, k = neo_node_int(node, "k", 0);
  (void)graph;
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", -1), s->rank, &axis));
  for (int d = 0; d < s->rank; d++)
    *(d < axis ? &outer : &inner) *= d == axis ? 1 : s->dim[d];
  int64_t n = s->dim[axis];
  bool *taken = neo_alloc(ctx, (size_t)n + 1);
  if (!taken)
    return neo_fail(ctx, NEO_NO_MEMORY, "top_k: no memory");
  for (int64_t slice = 0; slice < outer * inner; slice++) {
    int64_t base = slice / inner * n * inner + slice % inner;
    memset(taken, 0, (size_t)n);
    for (int64_t i = 0; i < k; i++) {
      int64_t best = -1, to = (slice / inner * k + i) * inner + slice % inner;
      for (int64_t j = 0; j < n; j++)
        if (!taken[j] &&
            (best < 0 || sign * compare_elements(in[0], base + j * inner, base + best * inner) > 0))
          best = j;
      taken[best] = true;
      copy_element(&out[0], to, in[0], base + best * inner);
      if (node->n_outputs > 1)
        neo_tensor_set_i64(&out[1], to, best);
    }
  }
  neo_free(ctx, taken);
  return NEO_OK;
}

/* The first `count` of x along the axis; the rest is behind the end. */
neo_status neo_infer_cut(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int axis;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0), *count = neo_op_in(graph, node, 1);
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 0), x->shape.rank, &axis));
  if (count->dtype != NEO_I64 || count->shape.rank != 0)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the count is not one i64");
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

/* All of x. */
neo_status neo_infer_unbound(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  neo_shape shape = neo_op_in(graph, node, 0)->shape;
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_cut(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                         int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int rank = neo_op_in(graph, node, 0)->shape.rank;
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(&l, d);
  const neo_expr *x = neo_lower_raw_load(&l, neo_lower_input(&l, 0), index);
  neo_lower_body(&l, neo_lower_output(&l, 0), x);
  return NEO_OK;
}

neo_status neo_lower_uncut(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                           int *in_value) {
  NEO_LOWERING(l);
  const neo_expr *index[NEO_MAX_RANK];
  int axis, rank = neo_op_in(graph, node, 0)->shape.rank;
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", 0), rank, &axis));
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(&l, d);
  const neo_expr *x = neo_lower_load(&l, neo_lower_input(&l, 0), index);
  const neo_expr *count = neo_lower_operand(&l, 1, rank, index);
  const neo_expr *real = neo_x2(&l, NEO_EXPR_LT, index[axis], count);
  const neo_expr *fill = neo_x_const(&l, x, neo_node_float(node, "value", 0));
  neo_lower_body(&l, neo_lower_output(&l, 0), neo_x_select(&l, real, x, fill));
  return NEO_OK;
}

static void emit_top_k(neo_expander *x, int64_t k, int *out) {
  int in = neo_xp_in(x, 0);
  neo_xp_emit(
      x,
      &(neo_xp_call){"top_k", 1, &in, 2,
                     NEO_XP_ATTRS(NEO_XP_INT("k", k),
                                  NEO_XP_INT("axis", neo_node_int(&x->node, "axis", -1)),
                                  NEO_XP_INT("largest", neo_node_int(&x->node, "largest", 1)),
                                  NEO_XP_INT("sorted", neo_node_int(&x->node, "sorted", 1)))},
      out);
}

/* k is known at run time only: everything is sorted, and k cuts it. */
static neo_status top_k_of_data(neo_expander *x) {
  int axis, out[2], k = neo_xp_in(x, 1);
  neo_shape shape = neo_xp_shape(x, k);
  int64_t n = 0, at = neo_node_int(&x->node, "axis", -1);
  NEO_TRY(neo_op_axis(x->ctx, &x->node, at, neo_xp_rank(x, neo_xp_in(x, 0)), &axis));
  if (!neo_shape_elements(&shape, &n) || n != 1)
    return neo_xp_fail(x, NEO_BAD_INPUT, "k has %" PRId64 " elements", n);
  emit_top_k(x, neo_xp_dim(x, neo_xp_in(x, 0), axis), out);
  k = neo_xp_reshape(x, neo_xp_cast(x, k, NEO_I64), 0, NULL);
  for (int i = 0; i < 2; i++)
    x->out[i] = neo_xp_op(x, "cut", 2, (int[]){out[i], k}, NEO_XP_ATTRS(NEO_XP_INT("axis", axis)));
  return x->status;
}

neo_status neo_expand_topk(neo_expander *x) {
  const neo_tensor *k = neo_xp_tensor(x, neo_xp_in(x, 1));
  int64_t n, count = neo_node_int(&x->node, "k", -1);
  if (neo_xp_in(x, 1) != NEO_NO_VALUE && !k)
    return top_k_of_data(x);
  if (k) {
    if (!neo_shape_elements(&k->shape, &n) || n != 1)
      return neo_xp_fail(x, NEO_UNSUPPORTED, "k has more than one element");
    count = neo_tensor_get_i64(k, 0);
  }
  int out[2];
  emit_top_k(x, count, out);
  memcpy(x->out, out, sizeof out);
  return x->status;
}

/* ---- compress -------------------------------------------------------------------------------- */

neo_status neo_expand_compress(neo_expander *x) {
  const neo_tensor *keep = neo_xp_tensor(x, neo_xp_in(x, 1));
  int in = neo_xp_in(x, 0);
  int64_t n, axis = 0, limit, found = 0;
  if (!keep || keep->shape.rank != 1)
    return neo_xp_fail(x, NEO_UNSUPPORTED, "the condition must be a constant list");
  if (neo_node_attr(&x->node, "axis")) {
    int rank = neo_xp_rank(x, in), at;
    NEO_TRY(neo_op_axis(x->ctx, &x->node, neo_node_int(&x->node, "axis", 0), rank, &at));
    axis = at;
  } else {
    neo_shape shape = neo_xp_shape(x, in);
    neo_shape_elements(&shape, &n);
    in = neo_xp_reshape(x, in, 1, &n);
  }
  limit = neo_min_i64(keep->shape.dim[0], neo_xp_dim(x, in, (int)axis));
  int64_t *index = neo_arena_alloc(x->graph->arena, sizeof *index * (size_t)(limit + 1));
  for (int64_t i = 0; i < limit; i++)
    if (neo_tensor_get_i64(keep, i))
      index[found++] = i;
  x->out[0] = neo_xp_gather(x, in, neo_xp_ints(x, (int)found, index), axis);
  return x->status;
}

/* ---- unique, of a constant ------------------------------------------------------------------- */

typedef struct slices {
  const neo_tensor *t;
  int64_t n, outer, inner; /* n slices along the axis */
} slices;

static int compare_slices(const slices *s, int64_t a, int64_t b) {
  for (int64_t o = 0; o < s->outer; o++)
    for (int64_t i = 0; i < s->inner; i++) {
      int64_t base = o * s->n * s->inner + i;
      int order = compare_elements(s->t, base + a * s->inner, base + b * s->inner);
      if (order)
        return order;
    }
  return 0;
}

static bool read_slices(neo_expander *x, slices *s, int *axis) {
  s->t = neo_xp_tensor(x, neo_xp_in(x, 0));
  s->outer = s->inner = 1;
  *axis = -1;
  if (!s->t) {
    neo_xp_fail(x, NEO_UNSUPPORTED, "the input must be a constant");
    return false;
  }
  const neo_shape *shape = &s->t->shape;
  if (!neo_node_attr(&x->node, "axis"))
    return neo_shape_elements(shape, &s->n);
  x->status = neo_op_axis(x->ctx, &x->node, neo_node_int(&x->node, "axis", 0), shape->rank, axis);
  for (int d = 0; x->status == NEO_OK && d < shape->rank; d++)
    *(d < *axis ? &s->outer : &s->inner) *= d == *axis ? 1 : shape->dim[d];
  s->n = x->status == NEO_OK ? shape->dim[*axis] : 0;
  return x->status == NEO_OK;
}

/* first[k]: first slice of kind k; inverse[i]: the kind of slice i; returns the number of kinds. */
static int64_t find_kinds(const slices *s, bool sorted, int64_t *first, int64_t *inverse,
                          int64_t *count) {
  int64_t kinds = 0;
  for (int64_t i = 0; i < s->n; i++) {
    int64_t at = 0;
    while (at < kinds && compare_slices(s, first[at], i) != 0)
      at++;
    if (at == kinds) {
      count[kinds] = 0;
      first[kinds++] = i;
    }
    count[at]++;
    inverse[i] = at;
  }
  for (int64_t a = 1; sorted && a < kinds; a++)
    for (int64_t b = a; b > 0 && compare_slices(s, first[b - 1], first[b]) > 0; b--) {
      int64_t f = first[b], c = count[b];
      first[b] = first[b - 1];
      count[b] = count[b - 1];
      first[b - 1] = f;
      count[b - 1] = c;
      for (int64_t i = 0; i < s->n; i++)
        inverse[i] = inverse[i] == b ? b - 1 : inverse[i] == b - 1 ? b : inverse[i];
    }
  return kinds;
}

neo_status neo_expand_unique(neo_expander *x) {
  slices s;
  int axis, in = neo_xp_in(x, 0);
  if (!read_slices(x, &s, &axis))
    return x->status;
  if (s.n > 1 << 16)
    return neo_xp_fail(x, NEO_UNSUPPORTED, "%" PRId64 " elements", s.n);
  size_t room = sizeof(int64_t) * (size_t)(s.n + 1);
  int64_t *first = neo_arena_alloc(x->graph->arena, room),
          *inverse = neo_arena_alloc(x->graph->arena, room),
          *count = neo_arena_alloc(x->graph->arena, room);
  int64_t kinds = find_kinds(&s, neo_node_int(&x->node, "sorted", 1) != 0, first, inverse, count);
  if (axis < 0)
    in = neo_xp_reshape(x, in, 1, &s.n);
  int firsts = neo_xp_ints(x, (int)kinds, first);
  x->out[0] = neo_xp_gather(x, in, firsts, axis < 0 ? 0 : axis);
  x->out[1] = firsts;
  x->out[2] = neo_xp_ints(x, (int)s.n, inverse);
  x->out[3] = neo_xp_ints(x, (int)kinds, count);
  return x->status;
}
