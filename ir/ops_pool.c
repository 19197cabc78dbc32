/* ir/ops_pool.c: max_pool, average_pool and lp_pool.
 *
 * The number of elements that an average divides by varies where windows leave the input (or, with
 * count_include_pad, the padded input). It is then a small TMP over the output positions, computed
 * from the taps t in [0, kernel) with lo <= o * stride - begin + t * dilation < hi. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>
#include <string.h>

static neo_status read_window(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_window *w) {
  const neo_value *x = neo_op_in(graph, node, 0);
  int64_t kernel[NEO_MAX_RANK];
  if (x->shape.rank < 3 || x->shape.rank > 5)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "input of rank %d, 3 to 5 supported",
                       x->shape.rank);
  w->n = x->shape.rank - 2;
  if (neo_node_ints(node, "kernel_shape", kernel, NEO_MAX_RANK) != w->n)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "kernel_shape does not have %d values", w->n);
  for (int d = 0; d < w->n; d++) {
    if (kernel[d] < 1 || kernel[d] > INT32_MAX)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "kernel_shape has the value %d", (int)kernel[d]);
    w->kernel[d] = kernel[d];
    w->in[d] = x->shape.dim[2 + d];
  }
  return neo_window_read(ctx, node, w, neo_node_int(node, "ceil_mode", 0) != 0);
}

neo_status neo_infer_pool(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_window w = {0};
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_window(ctx, graph, node, &w));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (!neo_op_is(node, "max_pool") && neo_dtype_class(x->dtype) != 'f')
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for %s", neo_dtype_name(x->dtype));
  neo_shape shape = x->shape;
  memcpy(shape.dim + 2, w.out, sizeof w.out[0] * (size_t)w.n);
  neo_op_set(graph, node, 0, x->dtype, &shape);
  neo_op_set(graph, node, 1, NEO_I64, &shape);
  return NEO_OK;
}

/* ---- lowering ------------------------------------------------------------------------------------ */

static const neo_expr *windowed(neo_lowering *l, const neo_window *w, int x, int var, double fill) {
  const neo_expr *in[NEO_MAX_RANK] = {neo_i_var(l, 0), neo_i_var(l, 1)};
  neo_guard guard[3];
  int n_guards = 0;
  neo_dtype dtype = l->te->buffer[x].dtype;
  for (int d = 0; d < w->n; d++) {
    bool guarded;
    in[2 + d] = neo_window_index(l, w, d, neo_i_var(l, 2 + d), neo_i_var(l, var + d), &guarded);
    if (guarded)
      guard[n_guards++] = (neo_guard){in[2 + d], 0, w->in[d]};
  }
  const neo_expr *e =
      neo_expr_load_guarded(l->arena, dtype, x, w->n + 2, in, &(neo_guards){n_guards, guard, fill});
  return neo_expr_cast(l->arena, neo_compute_dtype(dtype), e);
}

static neo_shape output_shape(const neo_lowering *l) {
  return l->graph->value[l->node->output[0]].shape;
}

/* A TMP of the output's shape that reduces over the taps. */
static neo_te_block *window_sum(neo_lowering *l, const neo_window *w, neo_dtype dtype, int *var) {
  neo_shape shape = output_shape(l);
  neo_te_block *b = neo_lower_tmp(l, dtype, &shape);
  *var = neo_lower_reduce(b, NEO_COMBINE_ADD, w->n, w->kernel);
  return b;
}

/* Flat index of the element under a tap; storage_order 1: as if the innermost two dimensions were
 * swapped. */
static const neo_expr *flat_index(neo_lowering *l, const neo_window *w, int var) {
  bool column_major = neo_node_int(l->node, "storage_order", 0) != 0, guarded;
  const neo_shape *x = &neo_op_in(l->graph, l->node, 0)->shape;
  const neo_expr *flat = neo_i_affine(l, neo_i_var(l, 0), x->dim[1], neo_i_var(l, 1), 0);
  for (int k = 0; k < w->n; k++) {
    int d = column_major ? w->n - 1 - k : k;
    const neo_expr *at =
        neo_window_index(l, w, d, neo_i_var(l, 2 + d), neo_i_var(l, var + d), &guarded);
    flat = neo_i_affine(l, flat, w->in[d], at, 0);
  }
  return flat;
}

/* The smallest index under the window whose element is the maximum. */
static void lower_max_index(neo_lowering *l, const neo_window *w, int x,
                            const neo_te_block *maximum) {
  const neo_expr *index[NEO_MAX_RANK];
  neo_te_block *b = neo_lower_output(l, 1);
  int var = neo_lower_reduce(b, NEO_COMBINE_MIN, w->n, w->kernel);
  b->init.i = INT64_MAX;
  for (int d = 0; d < w->n + 2; d++)
    index[d] = neo_i_var(l, d);
  const neo_expr *value = windowed(l, w, x, var, neo_dtype_lowest(l->te->buffer[x].dtype));
  const neo_expr *hit = neo_x2(l, NEO_EXPR_EQ, value, neo_lower_read(l, maximum, index));
  b->body = neo_x_select(l, hit, flat_index(l, w, var), neo_i_const(l, INT64_MAX));
}

neo_status neo_lower_max_pool(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  neo_window w = {0};
  NEO_TRY(read_window(ctx, graph, node, &w));
  int x = neo_lower_input(&l, 0);
  neo_dtype dtype = te->buffer[x].dtype;
  double lowest = neo_dtype_lowest(dtype);
  neo_te_block *b = neo_lower_output(&l, 0);
  int var = neo_lower_reduce(b, NEO_COMBINE_MAX, w.n, w.kernel);
  neo_lower_init(&l, b, lowest);
  neo_lower_body(&l, b, windowed(&l, &w, x, var, lowest));
  if (node->n_outputs > 1)
    lower_max_index(&l, &w, x, b);
  return NEO_OK;
}

/* ceil((limit - (o * stride - begin)) / dilation): the first tap at or after `limit`. */
static const neo_expr *first_tap(neo_lowering *l, const neo_window *w, int d, const neo_expr *o,
                                 int64_t limit) {
  const neo_expr *room =
      neo_i_affine(l, o, -w->stride[d], NULL, limit + w->begin[d] + w->dilation[d] - 1);
  return neo_expr_floordiv(l->arena, room, w->dilation[d], NULL, 0);
}

/* The taps of one dimension with lo <= position < hi. */
static const neo_expr *count_taps(neo_lowering *l, const neo_window *w, int d, const neo_expr *o,
                                  int64_t lo, int64_t hi) {
  const neo_expr *from = neo_x2(l, NEO_EXPR_MAX, first_tap(l, w, d, o, lo), neo_i_const(l, 0));
  const neo_expr *to =
      neo_x2(l, NEO_EXPR_MIN, first_tap(l, w, d, o, hi), neo_i_const(l, w->kernel[d]));
  return neo_x2(l, NEO_EXPR_SUB, to, from);
}

/* What to divide by: a constant, or a TMP over the output positions. */
static const neo_expr *divisor(neo_lowering *l, const neo_window *w, neo_dtype dtype) {
  bool include = neo_node_int(l->node, "count_include_pad", 0) != 0, varies = false;
  neo_shape shape = {.rank = w->n};
  double all = 1;
  const neo_expr *count = neo_i_const(l, 1), *index[3];
  for (int d = 0; d < w->n; d++) {
    int64_t lo = include ? -w->begin[d] : 0, hi = include ? w->in[d] + w->end[d] : w->in[d];
    int64_t last =
        (w->out[d] - 1) * w->stride[d] - w->begin[d] + (w->kernel[d] - 1) * w->dilation[d];
    varies = varies || -w->begin[d] < lo || last >= hi;
    count = neo_x2(l, NEO_EXPR_MUL, count, count_taps(l, w, d, neo_i_var(l, d), lo, hi));
    index[d] = neo_i_var(l, 2 + d);
    shape.dim[d] = w->out[d];
    all *= (double)w->kernel[d];
  }
  if (!varies)
    return neo_expr_const_f(l->arena, dtype, all);
  neo_te_block *b = neo_lower_tmp(l, dtype, &shape);
  neo_lower_body(l, b, count);
  return neo_lower_read(l, b, index);
}

static const neo_expr *read_sum(neo_lowering *l, const neo_te_block *sum) {
  const neo_expr *index[NEO_MAX_RANK];
  int rank = output_shape(l).rank;
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(l, d);
  return neo_lower_read(l, sum, index);
}

neo_status neo_lower_average_pool(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                  neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  neo_window w = {0};
  int var;
  NEO_TRY(read_window(ctx, graph, node, &w));
  int x = neo_lower_input(&l, 0);
  neo_dtype compute = neo_compute_dtype(te->buffer[x].dtype);
  neo_te_block *sum = window_sum(&l, &w, compute, &var);
  neo_lower_body(&l, sum, windowed(&l, &w, x, var, 0));
  const neo_expr *by = divisor(&l, &w, compute);
  neo_lower_body(&l, neo_lower_output(&l, 0), neo_x2(&l, NEO_EXPR_DIV, read_sum(&l, sum), by));
  return NEO_OK;
}

neo_status neo_lower_lp_pool(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                             int *in_value) {
  NEO_LOWERING(l);
  neo_window w = {0};
  int var;
  double p = (double)neo_node_int(node, "p", 2);
  NEO_TRY(read_window(ctx, graph, node, &w));
  int x = neo_lower_input(&l, 0);
  neo_te_block *sum = window_sum(&l, &w, neo_compute_dtype(te->buffer[x].dtype), &var);
  const neo_expr *e = windowed(&l, &w, x, var, 0);
  if (p == 2)
    e = neo_x2(&l, NEO_EXPR_MUL, e, e);
  else
    e = neo_x1(&l, NEO_EXPR_ABS, e);
  if (p != 1 && p != 2)
    e = neo_xc(&l, NEO_EXPR_POW, e, p);
  neo_lower_body(&l, sum, e);
  e = read_sum(&l, sum);
  e = p == 2 ? neo_x1(&l, NEO_EXPR_SQRT, e) : p == 1 ? e : neo_xc(&l, NEO_EXPR_POW, e, 1 / p);
  neo_lower_body(&l, neo_lower_output(&l, 0), e);
  return NEO_OK;
}
