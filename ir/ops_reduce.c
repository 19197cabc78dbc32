/* ir/ops_reduce.c: reductions over axes, softmax and its kin, arg_max and arg_min, cumsum.
 *
 * A reduction is one block over the kept axes, and, where the result needs finishing (mean, roots,
 * logarithms, rounding), an elementwise block after it. log_sum_exp and softmax subtract the
 * maximum first. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- which axes ---------------------------------------------------------------------------------- */

/* The axes of input 0 that a block reduces over, and how block axes map to them. */
typedef struct axes {
  int rank, n_reduced;
  bool reduced[NEO_MAX_RANK];
  int64_t extent[NEO_MAX_RANK]; /* of the reduced axes, in order */
  double count;                 /* their product */
  neo_shape shape;              /* of the input */
  neo_shape kept;               /* without the reduced axes */
} axes;

static void set_axes(axes *a, const neo_shape *shape, const bool *reduced) {
  *a = (axes){.rank = shape->rank, .shape = *shape, .count = 1};
  for (int d = 0; d < shape->rank; d++) {
    a->reduced[d] = reduced[d];
    if (reduced[d]) {
      a->extent[a->n_reduced++] = shape->dim[d];
      a->count *= (double)shape->dim[d];
    } else {
      a->kept.dim[a->kept.rank++] = shape->dim[d];
    }
  }
}

/* Input indices in a block over `kept` (or, keepdims, over the output) with reduce axes from `var`.
 */
static void reduce_index(neo_lowering *l, const axes *a, bool keepdims, int var,
                         const neo_expr **index) {
  int spatial = 0;
  for (int d = 0; d < a->rank; d++) {
    if (a->reduced[d])
      index[d] = neo_i_var(l, var++);
    else
      index[d] = neo_i_var(l, keepdims ? d : spatial++);
  }
}

/* Indices of a TMP of shape `kept` in a block over the input's axes. */
static void kept_index(neo_lowering *l, const axes *a, const neo_expr **index) {
  int n = 0;
  for (int d = 0; d < a->rank; d++) {
    if (!a->reduced[d])
      index[n++] = neo_i_var(l, d);
  }
}

static void identity_index(neo_lowering *l, int rank, const neo_expr **index) {
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(l, d);
}

static neo_status read_axes(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, axes *a,
                            bool *none) {
  const neo_shape *shape = &neo_op_in(graph, node, 0)->shape;
  bool flag[NEO_MAX_RANK], given;
  NEO_TRY(neo_op_axes(NEO_SITE, 1, shape->rank, flag, &given));
  *none = !given && neo_node_int(node, "noop_with_empty_axes", 0);
  for (int d = 0; !given && !*none && d < shape->rank; d++)
    flag[d] = true;
  set_axes(a, shape, flag);
  return NEO_OK;
}

/* ---- the reductions ------------------------------------------------------------------------------ */

typedef const neo_expr *(*formula)(neo_lowering *l, const neo_expr *x);

static const neo_expr *f_abs(neo_lowering *l, const neo_expr *x) {
  return neo_x1(l, NEO_EXPR_ABS, x);
}
static const neo_expr *f_square(neo_lowering *l, const neo_expr *x) {
  return neo_x2(l, NEO_EXPR_MUL, x, x);
}
static const neo_expr *f_log(neo_lowering *l, const neo_expr *x) {
  return neo_x1(l, NEO_EXPR_LOG, x);
}

/* Integers: through f64, truncated. */
static const neo_expr *f_sqrt(neo_lowering *l, const neo_expr *x) {
  if (neo_dtype_class(x->dtype) == 'f')
    return neo_x1(l, NEO_EXPR_SQRT, x);
  return neo_expr_cast(l->arena, x->dtype,
                       neo_x1(l, NEO_EXPR_SQRT, neo_expr_cast(l->arena, NEO_F64, x)));
}

static const struct {
  const char *name;
  neo_combine combine;
  formula before, after;
  bool floats; /* only defined for floats */
  bool mean;
} rows[] = {
    {"reduce_sum", NEO_COMBINE_ADD, NULL, NULL, false, false},
    {"reduce_mean", NEO_COMBINE_ADD, NULL, NULL, false, true},
    {"reduce_max", NEO_COMBINE_MAX, NULL, NULL, false, false},
    {"reduce_min", NEO_COMBINE_MIN, NULL, NULL, false, false},
    {"reduce_prod", NEO_COMBINE_MUL, NULL, NULL, false, false},
    {"reduce_l1", NEO_COMBINE_ADD, f_abs, NULL, false, false},
    {"reduce_l2", NEO_COMBINE_ADD, f_square, f_sqrt, false, false},
    {"reduce_sum_square", NEO_COMBINE_ADD, f_square, NULL, false, false},
    {"reduce_log_sum", NEO_COMBINE_ADD, NULL, f_log, true, false},
    {"reduce_log_sum_exp", NEO_COMBINE_ADD, NULL, f_log, true, false},
    {"global_average_pool", NEO_COMBINE_ADD, NULL, NULL, true, true},
    {"global_max_pool", NEO_COMBINE_MAX, NULL, NULL, false, false},
    {"global_lp_pool", NEO_COMBINE_ADD, NULL, NULL, true, false},
};

static int find_row(const neo_node *node) {
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    if (neo_op_is(node, rows[k].name))
      return k;
  }
  neo_assert(!"an operator without a row in ops_reduce.c");
  return 0;
}

static neo_status infer_reduced(neo_ctx *ctx, neo_graph *graph, neo_node *node, const axes *a,
                                bool keepdims) {
  const neo_value *x = neo_op_in(graph, node, 0);
  int row = find_row(node);
  neo_shape shape = a->kept;
  bool extremum = rows[row].combine == NEO_COMBINE_MAX || rows[row].combine == NEO_COMBINE_MIN;
  if ((rows[row].floats && neo_dtype_class(x->dtype) != 'f') || (x->dtype == NEO_BOOL && !extremum))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for %s", neo_dtype_name(x->dtype));
  if (keepdims) {
    shape = a->shape;
    for (int d = 0; d < a->rank; d++)
      shape.dim[d] = a->reduced[d] ? 1 : shape.dim[d];
  }
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

neo_status neo_infer_reduce(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  axes a;
  bool none;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_axes(ctx, graph, node, &a, &none));
  return infer_reduced(ctx, graph, node, &a, neo_node_int(node, "keepdims", 1) != 0);
}

static neo_status global_axes(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, axes *a) {
  const neo_shape *shape = &neo_op_in(graph, node, 0)->shape;
  bool flag[NEO_MAX_RANK] = {false};
  if (shape->rank < 3)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input of rank %d, at least 3 needed",
                       shape->rank);
  for (int d = 2; d < shape->rank; d++)
    flag[d] = true;
  set_axes(a, shape, flag);
  return NEO_OK;
}

neo_status neo_infer_global_pool(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  axes a;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(global_axes(ctx, graph, node, &a));
  return infer_reduced(ctx, graph, node, &a, true);
}

static double combine_init(neo_combine combine, neo_dtype dtype) {
  switch (combine) {
  case NEO_COMBINE_MUL:
    return 1;
  case NEO_COMBINE_MAX:
    return neo_dtype_lowest(dtype);
  case NEO_COMBINE_MIN:
    return neo_dtype_highest(dtype);
  default:
    return 0;
  }
}

/* A TMP of shape `kept` that combines body(input) over the reduced axes. */
typedef struct reduction {
  const axes *a;
  neo_combine combine;
  double init;
  neo_dtype dtype;
} reduction;

static neo_te_block *begin_reduction(neo_lowering *l, const reduction *r, const neo_expr **index) {
  neo_te_block *b = neo_lower_tmp(l, r->dtype, &r->a->kept);
  int var = neo_lower_reduce(b, r->combine, r->a->n_reduced, r->a->extent);
  if (r->a->n_reduced)
    neo_lower_init(l, b, r->init);
  reduce_index(l, r->a, false, var, index);
  return b;
}

/* Largest finite negative, so that x - maximum is never inf - inf for x = -inf. */
static neo_te_block *maximum(neo_lowering *l, const axes *a, int x, neo_dtype dtype) {
  const neo_expr *index[NEO_MAX_RANK];
  double lowest = dtype == NEO_F64 ? -DBL_MAX : (double)-FLT_MAX;
  neo_te_block *b = begin_reduction(l, &(reduction){a, NEO_COMBINE_MAX, lowest, dtype}, index);
  neo_lower_body(l, b, neo_lower_load(l, x, index));
  return b;
}

/* The kept part of a reducing block's indices: its own spatial axes. */
static const neo_expr *own(neo_lowering *l, const axes *a, const neo_te_block *b) {
  const neo_expr *index[NEO_MAX_RANK];
  identity_index(l, a->kept.rank, index);
  return neo_lower_read(l, b, index);
}

static const neo_expr *global_lp(neo_lowering *l, const neo_expr *x, bool before) {
  double p = (double)neo_node_int(l->node, "p", 2);
  if (p == 2)
    return before ? f_square(l, x) : f_sqrt(l, x);
  x = before ? f_abs(l, x) : x;
  return p == 1 ? x : neo_xc(l, NEO_EXPR_POW, x, before ? p : 1 / p);
}

/* What the reduction adds up, from the input's element. */
static const neo_expr *summand(neo_lowering *l, int row, const neo_expr *x) {
  if (neo_op_is(l->node, "global_lp_pool"))
    return global_lp(l, x, true);
  return rows[row].before ? rows[row].before(l, x) : x;
}

static const neo_expr *finished(neo_lowering *l, int row, const axes *a, const neo_expr *x) {
  if (neo_op_is(l->node, "global_lp_pool"))
    return global_lp(l, x, false);
  if (rows[row].mean)
    x = neo_xc(l, NEO_EXPR_DIV, x, a->count);
  return rows[row].after ? rows[row].after(l, x) : x;
}

static bool needs_finish(const neo_node *node, int row, neo_dtype in, neo_dtype compute) {
  return rows[row].mean || rows[row].after || in != compute || neo_op_is(node, "global_lp_pool");
}

/* Output indices -> those of a TMP of shape kept. */
static void output_to_kept(neo_lowering *l, const axes *a, bool keepdims, const neo_expr **index) {
  if (keepdims)
    kept_index(l, a, index);
  else
    identity_index(l, a->kept.rank, index);
}

/* A reduction over no elements is its init, finished. */
static neo_status lower_empty(neo_lowering *l, const axes *a) {
  int row = find_row(l->node);
  neo_dtype in = neo_op_in(l->graph, l->node, 0)->dtype;
  neo_dtype compute = in == NEO_BOOL ? NEO_U8 : neo_compute_dtype(in);
  double init = in == NEO_BOOL ? (rows[row].combine == NEO_COMBINE_MIN)
                               : combine_init(rows[row].combine, compute);
  const neo_expr *e = finished(l, row, a, neo_expr_const_f(l->arena, compute, init));
  neo_lower_body(l, neo_lower_output(l, 0), e);
  return NEO_OK;
}

static neo_status lower_axes(neo_lowering *l, const axes *a, bool keepdims) {
  if (a->count == 0)
    return lower_empty(l, a);
  const neo_expr *index[NEO_MAX_RANK];
  int row = find_row(l->node), x = neo_lower_input(l, 0);
  neo_dtype in = l->te->buffer[x].dtype, compute = in == NEO_BOOL ? NEO_U8 : neo_compute_dtype(in);
  bool log_sum_exp = neo_op_is(l->node, "reduce_log_sum_exp");
  neo_te_block *m = log_sum_exp ? maximum(l, a, x, compute) : NULL;
  reduction r = {a, rows[row].combine, combine_init(rows[row].combine, compute), compute};
  if (!needs_finish(l->node, row, in, compute)) {
    neo_te_block *b = neo_lower_output(l, 0);
    int var = neo_lower_reduce(b, r.combine, a->n_reduced, a->extent);
    if (a->n_reduced)
      neo_lower_init(l, b, r.init);
    reduce_index(l, a, keepdims, var, index);
    neo_lower_body(l, b, summand(l, row, neo_lower_load(l, x, index)));
    return NEO_OK;
  }
  neo_te_block *sum = begin_reduction(l, &r, index);
  const neo_expr *e = neo_expr_cast(l->arena, compute, neo_lower_load(l, x, index));
  if (log_sum_exp)
    e = neo_x1(l, NEO_EXPR_EXP, neo_x2(l, NEO_EXPR_SUB, e, own(l, a, m)));
  neo_lower_body(l, sum, summand(l, row, e));
  output_to_kept(l, a, keepdims, index);
  e = finished(l, row, a, neo_lower_read(l, sum, index));
  if (log_sum_exp)
    e = neo_x2(l, NEO_EXPR_ADD, e, neo_lower_read(l, m, index));
  neo_lower_body(l, neo_lower_output(l, 0), e);
  return NEO_OK;
}

neo_status neo_lower_reduce_op(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  axes a;
  bool none;
  const neo_expr *index[NEO_MAX_RANK];
  NEO_TRY(read_axes(ctx, graph, node, &a, &none));
  if (!none)
    return lower_axes(&l, &a, neo_node_int(node, "keepdims", 1) != 0);
  identity_index(&l, a.rank, index);
  const neo_expr *x = neo_lower_raw_load(&l, neo_lower_input(&l, 0), index);
  neo_lower_body(&l, neo_lower_output(&l, 0), x);
  return NEO_OK;
}

neo_status neo_lower_global_pool(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  axes a;
  NEO_TRY(global_axes(ctx, graph, node, &a));
  return lower_axes(&l, &a, true);
}

/* ---- softmax, log_softmax, hardmax, lp_normalization --------------------------------------------------- */

static neo_status softmax_axes(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                               axes *a) {
  const neo_value *x = neo_op_in(graph, node, 0);
  bool flag[NEO_MAX_RANK] = {false}, coerce = neo_node_int(node, "coerce_2d", 0) != 0;
  int axis, rank = x->shape.rank;
  int64_t named = neo_node_int(node, "axis", coerce ? 1 : -1);
  if (coerce && named == rank)
    axis = rank;
  else
    NEO_TRY(neo_op_axis(ctx, node, named, rank, &axis));
  for (int d = axis; d < rank; d++)
    flag[d] = d == axis || coerce;
  set_axes(a, &x->shape, flag);
  return NEO_OK;
}

neo_status neo_infer_softmax(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  axes a;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(softmax_axes(ctx, graph, node, &a));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (neo_dtype_class(x->dtype) != 'f')
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for %s", neo_dtype_name(x->dtype));
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_softmax(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                             int *in_value) {
  NEO_LOWERING(l);
  axes a;
  const neo_expr *all[NEO_MAX_RANK], *kept[NEO_MAX_RANK], *index[NEO_MAX_RANK];
  NEO_TRY(softmax_axes(ctx, graph, node, &a));
  int x = neo_lower_input(&l, 0);
  neo_dtype compute = neo_compute_dtype(te->buffer[x].dtype);
  identity_index(&l, a.rank, all);
  kept_index(&l, &a, kept);
  neo_te_block *m = maximum(&l, &a, x, compute);
  reduction r = {&a, NEO_COMBINE_ADD, 0, compute};
  const neo_expr *shifted =
      neo_x2(&l, NEO_EXPR_SUB, neo_lower_load(&l, x, all), neo_lower_read(&l, m, kept));
  if (neo_op_is(node, "log_softmax")) {
    neo_te_block *sum = begin_reduction(&l, &r, index);
    const neo_expr *own_shifted =
        neo_x2(&l, NEO_EXPR_SUB, neo_lower_load(&l, x, index), own(&l, &a, m));
    neo_lower_body(&l, sum, neo_x1(&l, NEO_EXPR_EXP, own_shifted));
    neo_te_block *log = neo_lower_tmp(&l, compute, &a.kept);
    neo_lower_body(&l, log, neo_x1(&l, NEO_EXPR_LOG, own(&l, &a, sum)));
    const neo_expr *e = neo_x2(&l, NEO_EXPR_SUB, shifted, neo_lower_read(&l, log, kept));
    neo_lower_body(&l, neo_lower_output(&l, 0), e);
    return NEO_OK;
  }
  neo_te_block *e = neo_lower_tmp(&l, compute, &a.shape);
  neo_lower_body(&l, e, neo_x1(&l, NEO_EXPR_EXP, shifted));
  neo_te_block *sum = begin_reduction(&l, &r, index);
  neo_lower_body(&l, sum, neo_lower_read(&l, e, index));
  const neo_expr *y =
      neo_x2(&l, NEO_EXPR_DIV, neo_lower_read(&l, e, all), neo_lower_read(&l, sum, kept));
  neo_lower_body(&l, neo_lower_output(&l, 0), y);
  return NEO_OK;
}

neo_status neo_lower_lp_normalization(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                      neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  axes a;
  const neo_expr *all[NEO_MAX_RANK], *kept[NEO_MAX_RANK], *index[NEO_MAX_RANK];
  NEO_TRY(softmax_axes(ctx, graph, node, &a));
  bool two = neo_node_int(node, "p", 2) == 2;
  int x = neo_lower_input(&l, 0);
  neo_dtype compute = neo_compute_dtype(te->buffer[x].dtype);
  identity_index(&l, a.rank, all);
  kept_index(&l, &a, kept);
  neo_te_block *sum = begin_reduction(&l, &(reduction){&a, NEO_COMBINE_ADD, 0, compute}, index);
  const neo_expr *e = neo_lower_load(&l, x, index);
  neo_lower_body(&l, sum, two ? f_square(&l, e) : f_abs(&l, e));
  neo_te_block *norm = neo_lower_tmp(&l, compute, &a.kept);
  e = own(&l, &a, sum);
  neo_lower_body(&l, norm, two ? f_sqrt(&l, e) : e);
  /* a zero vector stays zero */
  const neo_expr *n = neo_lower_read(&l, norm, kept), *y = neo_lower_load(&l, x, all);
  y = neo_x_select(&l, neo_xc(&l, NEO_EXPR_EQ, n, 0), neo_x_const(&l, y, 0),
                   neo_x2(&l, NEO_EXPR_DIV, y, n));
  neo_lower_body(&l, neo_lower_output(&l, 0), y);
  return NEO_OK;
}

/* ---- arg_max, arg_min, hardmax ------------------------------------------------------------------------ */

static neo_status arg_axes(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                           int64_t otherwise, axes *a, int *axis) {
  const neo_value *x = neo_op_in(graph, node, 0);
  bool flag[NEO_MAX_RANK] = {false};
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", otherwise), x->shape.rank, axis));
  flag[*axis] = true;
  set_axes(a, &x->shape, flag);
  if (a->count == 0)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "a reduction over no elements");
  return NEO_OK;
}

neo_status neo_infer_arg(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  axes a;
  int axis;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(arg_axes(ctx, graph, node, 0, &a, &axis));
  neo_shape shape = a.kept;
  if (neo_node_int(node, "keepdims", 1)) {
    shape = a.shape;
    shape.dim[axis] = 1;
  }
  neo_op_set(graph, node, 0, NEO_I64, &shape);
  return NEO_OK;
}

/* A TMP with the extremum, then one with the first (or last) index that equals it. */
static neo_te_block *arg_index(neo_lowering *l, const axes *a, int x, bool least, bool last) {
  const neo_expr *index[NEO_MAX_RANK];
  neo_dtype in = l->te->buffer[x].dtype, dtype = in == NEO_BOOL ? NEO_U8 : in;
  neo_combine combine = least ? NEO_COMBINE_MIN : NEO_COMBINE_MAX;
  neo_te_block *m =
      begin_reduction(l, &(reduction){a, combine, combine_init(combine, dtype), dtype}, index);
  neo_lower_body(l, m, neo_expr_cast(l->arena, dtype, neo_lower_raw_load(l, x, index)));
  double none = last ? -1 : (double)a->extent[0];
  combine = last ? NEO_COMBINE_MAX : NEO_COMBINE_MIN;
  neo_te_block *b = begin_reduction(l, &(reduction){a, combine, none, NEO_I64}, index);
  const neo_expr *best[NEO_MAX_RANK];
  identity_index(l, a->kept.rank, best);
  const neo_expr *value = neo_expr_cast(l->arena, dtype, neo_lower_raw_load(l, x, index));
  const neo_expr *same = neo_x2(l, NEO_EXPR_EQ, value, neo_lower_raw_load(l, m->buffer, best));
  b->body = neo_x_select(l, same, neo_i_var(l, a->kept.rank), neo_i_const(l, (int64_t)none));
  return b;
}

neo_status neo_lower_arg(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                         int *in_value) {
  NEO_LOWERING(l);
  axes a;
  int axis;
  const neo_expr *index[NEO_MAX_RANK];
  NEO_TRY(arg_axes(ctx, graph, node, 0, &a, &axis));
  int x = neo_lower_input(&l, 0);
  bool last = neo_node_int(node, "select_last_index", 0) != 0;
  neo_te_block *b = arg_index(&l, &a, x, neo_op_is(node, "arg_min"), last);
  output_to_kept(&l, &a, neo_node_int(node, "keepdims", 1) != 0, index);
  neo_lower_body(&l, neo_lower_output(&l, 0), neo_lower_raw_load(&l, b->buffer, index));
  return NEO_OK;
}

/* All dimensions from axis on count as one where coerce_2d asks for it: unsupported there. */
neo_status neo_lower_hardmax(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                             int *in_value) {
  NEO_LOWERING(l);
  axes a;
  int axis;
  const neo_expr *kept[NEO_MAX_RANK];
  if (neo_node_int(node, "coerce_2d", 0))
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "coerce_2d");
  NEO_TRY(arg_axes(ctx, graph, node, -1, &a, &axis));
  int x = neo_lower_input(&l, 0);
  neo_te_block *b = arg_index(&l, &a, x, false, false);
  kept_index(&l, &a, kept);
  const neo_expr *hit =
      neo_x2(&l, NEO_EXPR_EQ, neo_i_var(&l, axis), neo_lower_raw_load(&l, b->buffer, kept));
  neo_lower_body(&l, neo_lower_output(&l, 0), hit);
  return NEO_OK;
}

/* ---- cumsum: y[i] = sum over j of x[i - j] ------------------------------------------------------------- */

static neo_status cumsum_axis(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              int *axis) {
  bool present;
  double value = 0;
  NEO_TRY(neo_op_scalar(ctx, graph, node, 1, &present, &value));
  return neo_op_axis(ctx, node, (int64_t)value, neo_op_in(graph, node, 0)->shape.rank, axis);
}

neo_status neo_infer_cumsum(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int axis;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(cumsum_axis(ctx, graph, node, &axis));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (x->dtype == NEO_BOOL)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for bool");
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_cumsum(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                            int *in_value) {
  NEO_LOWERING(l);
  int axis;
  const neo_expr *index[NEO_MAX_RANK];
  NEO_TRY(cumsum_axis(ctx, graph, node, &axis));
  const neo_shape *shape = &neo_op_in(graph, node, 0)->shape;
  int x = neo_lower_input(&l, 0), rank = shape->rank;
  neo_dtype in = te->buffer[x].dtype, compute = neo_compute_dtype(in);
  bool narrow = in != compute;
  neo_te_block *b = narrow ? neo_lower_tmp(&l, compute, shape) : neo_lower_output(&l, 0);
  int var = neo_lower_reduce(b, NEO_COMBINE_ADD, 1, &shape->dim[axis]);
  int64_t skip = neo_node_int(node, "exclusive", 0) ? 1 : 0,
          sign = neo_node_int(node, "reverse", 0) ? 1 : -1;
  identity_index(&l, rank, index);
  index[axis] = neo_i_affine(&l, neo_i_var(&l, var), sign, index[axis], sign * skip);
  neo_guard guard = {index[axis], 0, shape->dim[axis]};
  const neo_expr *e =
      neo_expr_load_guarded(l.arena, in, x, rank, index, &(neo_guards){1, &guard, 0});
  neo_lower_body(&l, b, neo_expr_cast(l.arena, compute, e));
  if (narrow) {
    identity_index(&l, rank, index);
    neo_lower_body(&l, neo_lower_output(&l, 0), neo_lower_read(&l, b, index));
  }
  return NEO_OK;
}
