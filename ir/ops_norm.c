/* ir/ops_norm.c: normalisations with statistics of the input: layer_norm, rms_norm, instance_norm,
 * group_norm, mean_variance_normalization, lrn.
 *
 * The variance is that of the differences from the mean (two passes), not E[x^2] - E[x]^2, which
 * cancels. Statistics are TMPs over the axes that are not normalised; group_norm reads its input's
 * channel as group * size + position. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>
#include <string.h>

/* Statistics of which elements: `outer` axes identify one statistic, `inner` ones are summed over.
 */
typedef struct stats {
  neo_dtype dtype;
  int x; /* buffer of the input */
  neo_shape outer;
  int n_inner;
  int64_t inner[NEO_MAX_RANK];
  double count;
  int64_t channels_per_group; /* group_norm; else 0 */
  bool summed[NEO_MAX_RANK];  /* input dimension is summed over (not for group_norm's channel) */
  int rank;
} stats;

static void stats_of_axes(stats *s, const neo_shape *shape, const bool *summed) {
  s->rank = shape->rank;
  s->count = 1;
  for (int d = 0; d < shape->rank; d++) {
    s->summed[d] = summed[d];
    if (summed[d]) {
      s->inner[s->n_inner++] = shape->dim[d];
      s->count *= (double)shape->dim[d];
    } else {
      s->outer.dim[s->outer.rank++] = shape->dim[d];
    }
  }
}

static void stats_of_groups(stats *s, const neo_shape *shape, int64_t groups) {
  s->rank = shape->rank;
  s->channels_per_group = shape->dim[1] / groups;
  s->outer = (neo_shape){.rank = 2, .dim = {shape->dim[0], groups}};
  s->inner[s->n_inner++] = s->channels_per_group;
  for (int d = 2; d < shape->rank; d++)
    s->inner[s->n_inner++] = shape->dim[d];
  s->count = 1;
  for (int k = 0; k < s->n_inner; k++)
    s->count *= (double)s->inner[k];
}

/* The input's element in a block over outer axes and, from `var`, inner ones. */
static const neo_expr *inner_element(neo_lowering *l, const stats *s, int var) {
  const neo_expr *index[NEO_MAX_RANK];
  int outer = 0;
  if (s->channels_per_group) {
    index[0] = neo_i_var(l, 0);
    index[1] = neo_i_affine(l, neo_i_var(l, 1), s->channels_per_group, neo_i_var(l, var), 0);
    for (int d = 2; d < s->rank; d++)
      index[d] = neo_i_var(l, var + d - 1);
  } else {
    for (int d = 0; d < s->rank; d++)
      index[d] = neo_i_var(l, s->summed[d] ? var++ : outer++);
  }
  return neo_lower_load(l, s->x, index);
}

/* A statistic in a block over the input's own axes. */
static const neo_expr *statistic(neo_lowering *l, const stats *s, const neo_te_block *b) {
  const neo_expr *index[NEO_MAX_RANK];
  int n = 0;
  if (s->channels_per_group) {
    index[0] = neo_i_var(l, 0);
    index[1] = neo_expr_floordiv(l->arena, neo_i_var(l, 1), s->channels_per_group, NULL, 0);
  } else {
    for (int d = 0; d < s->rank; d++) {
      if (!s->summed[d])
        index[n++] = neo_i_var(l, d);
    }
  }
  return neo_lower_read(l, b, index);
}

static const neo_expr *own(neo_lowering *l, const stats *s, const neo_te_block *b) {
  const neo_expr *index[NEO_MAX_RANK];
  for (int d = 0; d < s->outer.rank; d++)
    index[d] = neo_i_var(l, d);
  return neo_lower_read(l, b, index);
}

/* TMP <- sum over inner of fn(element) */
static neo_te_block *sum_of(neo_lowering *l, const stats *s, const neo_te_block *mean) {
  neo_te_block *b = neo_lower_tmp(l, s->dtype, &s->outer);
  int var = neo_lower_reduce(b, NEO_COMBINE_ADD, s->n_inner, s->inner);
  const neo_expr *e = inner_element(l, s, var);
  if (mean)
    e = neo_x2(l, NEO_EXPR_SUB, e, own(l, s, mean));
  b->body = e;
  return b;
}

static neo_te_block *mean_of(neo_lowering *l, const stats *s) {
  neo_te_block *sum = sum_of(l, s, NULL);
  neo_te_block *mean = neo_lower_tmp(l, s->dtype, &s->outer);
  mean->body = neo_xc(l, NEO_EXPR_DIV, own(l, s, sum), s->count);
  return mean;
}

/* TMP <- mean of (element - mean)^2; mean NULL: of the squares. */
static neo_te_block *variance_of(neo_lowering *l, const stats *s, const neo_te_block *mean) {
  neo_te_block *sum = sum_of(l, s, mean);
  sum->body = neo_x2(l, NEO_EXPR_MUL, sum->body, sum->body);
  return sum;
}

/* TMP <- 1 / sqrt(sum / count + epsilon) */
static neo_te_block *inverse_deviation(neo_lowering *l, const stats *s, const neo_te_block *squares,
                                       double epsilon) {
  neo_te_block *b = neo_lower_tmp(l, s->dtype, &s->outer);
  const neo_expr *v = neo_xc(l, NEO_EXPR_DIV, own(l, s, squares), s->count);
  v = neo_x1(l, NEO_EXPR_SQRT, neo_xc(l, NEO_EXPR_ADD, v, epsilon));
  b->body = neo_x2(l, NEO_EXPR_DIV, neo_x_const(l, v, 1), v);
  return b;
}

static void identity_index(neo_lowering *l, int rank, const neo_expr **index) {
  for (int d = 0; d < rank; d++)
    index[d] = neo_i_var(l, d);
}

static const neo_expr *element(neo_lowering *l, const stats *s) {
  const neo_expr *index[NEO_MAX_RANK];
  identity_index(l, s->rank, index);
  return neo_lower_load(l, s->x, index);
}

static neo_status infer_float_same(neo_ctx *ctx, neo_graph *graph, neo_node *node, int least_rank) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (neo_dtype_class(x->dtype) != 'f' || x->shape.rank < least_rank)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "needs a float tensor of rank %d or more",
                       least_rank);
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, x->dtype, &shape);
  return NEO_OK;
}

/* Scale or bias, in the type of the computation. */
static const neo_expr *parameter(neo_lowering *l, int k, int rank, const neo_expr *const *index,
                                 neo_dtype dtype) {
  return neo_expr_cast(l->arena, dtype, neo_lower_operand(l, k, rank, index));
}

static bool has_output(const neo_node *node, int k) {
  return k < node->n_outputs && node->output[k] != NEO_NO_VALUE;
}

/* ---- layer_norm, rms_norm ------------------------------------------------------------------------------ */

static neo_status from_axis(neo_ctx *ctx, const neo_node *node, const neo_shape *shape,
                            bool *summed) {
  int axis;
  NEO_TRY(neo_op_axis(ctx, node, neo_node_int(node, "axis", -1), shape->rank, &axis));
  for (int d = 0; d < shape->rank; d++)
    summed[d] = d >= axis;
  return NEO_OK;
}

neo_status neo_infer_layer_norm(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  bool summed[NEO_MAX_RANK];
  NEO_TRY(infer_float_same(ctx, graph, node, 1));
  const neo_value *x = neo_op_in(graph, node, 0);
  neo_shape shape = x->shape, both;
  NEO_TRY(from_axis(ctx, node, &shape, summed));
  for (int k = 1; k < node->n_inputs; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    if (v && (!neo_shape_broadcast(&shape, &v->shape, &both) || !neo_shape_equal(&both, &shape)))
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d does not broadcast to the input", k);
  }
  for (int d = 0; d < shape.rank; d++)
    shape.dim[d] = summed[d] ? 1 : shape.dim[d];
  neo_dtype dtype = neo_compute_dtype(x->dtype);
  neo_op_set(graph, node, 1, dtype, &shape);
  neo_op_set(graph, node, 2, dtype, &shape);
  return NEO_OK;
}

neo_status neo_lower_layer_norm(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  bool summed[NEO_MAX_RANK], rms = neo_op_is(node, "rms_norm");
  const neo_expr *index[NEO_MAX_RANK];
  const neo_value *x = neo_op_in(graph, node, 0);
  stats s = {.dtype = neo_compute_dtype(x->dtype)};
  NEO_TRY(from_axis(ctx, node, &x->shape, summed));
  stats_of_axes(&s, &x->shape, summed);
  identity_index(&l, s.rank, index);
  s.x = neo_lower_input(&l, 0);
  const neo_expr *scale = parameter(&l, 1, s.rank, index, s.dtype), *bias = NULL;
  if (neo_op_in(graph, node, 2))
    bias = parameter(&l, 2, s.rank, index, s.dtype);
  neo_te_block *mean = rms ? NULL : mean_of(&l, &s);
  neo_te_block *inverse =
      inverse_deviation(&l, &s, variance_of(&l, &s, mean), neo_node_float(node, "epsilon", 1e-5));
  const neo_expr *e = element(&l, &s);
  if (mean)
    e = neo_x2(&l, NEO_EXPR_SUB, e, statistic(&l, &s, mean));
  e = neo_x2(&l, NEO_EXPR_MUL, neo_x2(&l, NEO_EXPR_MUL, e, statistic(&l, &s, inverse)), scale);
  if (bias)
    e = neo_x2(&l, NEO_EXPR_ADD, e, bias);
  neo_lower_body(&l, neo_lower_output(&l, 0), e);
  if (has_output(node, 1))
    neo_lower_body(&l, neo_lower_output(&l, 1), statistic(&l, &s, mean));
  if (has_output(node, 2))
    neo_lower_body(&l, neo_lower_output(&l, 2), statistic(&l, &s, inverse));
  return NEO_OK;
}

/* ---- instance_norm, group_norm, mean_variance_normalization --------------------------------------------- */

neo_status neo_infer_channel_norm(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(infer_float_same(ctx, graph, node, 2));
  int64_t channels = neo_op_in(graph, node, 0)->shape.dim[1], groups = channels;
  if (neo_op_is(node, "group_norm"))
    groups = neo_node_int(node, "num_groups", 1);
  if (groups < 1 || channels % groups)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "%d channels in %d groups", (int)channels,
                       (int)groups);
  int64_t values = neo_node_int(node, "per_group", 0) ? groups : channels;
  for (int k = 1; k < 3; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    if (v->shape.rank != 1 || v->shape.dim[0] != values)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d does not have %d values", k,
                         (int)values);
  }
  return NEO_OK;
}

neo_status neo_lower_channel_norm(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                  neo_te *te, int *in_value) {
  NEO_LOWERING(l);
  const neo_value *x = neo_op_in(graph, node, 0);
  stats s = {.dtype = neo_compute_dtype(x->dtype)};
  const neo_expr *channel = neo_i_var(&l, 1);
  bool summed[NEO_MAX_RANK];
  if (neo_op_is(node, "group_norm")) {
    stats_of_groups(&s, &x->shape, neo_node_int(node, "num_groups", 1));
    if (neo_node_int(node, "per_group", 0))
      channel = neo_expr_floordiv(l.arena, channel, s.channels_per_group, NULL, 0);
  } else {
    for (int d = 0; d < x->shape.rank; d++)
      summed[d] = d >= 2;
    stats_of_axes(&s, &x->shape, summed);
  }
  s.x = neo_lower_input(&l, 0);
  const neo_expr *scale =
      neo_expr_cast(l.arena, s.dtype, neo_lower_load(&l, neo_lower_input(&l, 1), &channel));
  const neo_expr *bias =
      neo_expr_cast(l.arena, s.dtype, neo_lower_load(&l, neo_lower_input(&l, 2), &channel));
  neo_te_block *mean = mean_of(&l, &s);
  neo_te_block *inverse =
      inverse_deviation(&l, &s, variance_of(&l, &s, mean), neo_node_float(node, "epsilon", 1e-5));
  const neo_expr *e = neo_x2(&l, NEO_EXPR_SUB, element(&l, &s), statistic(&l, &s, mean));
  e = neo_x2(&l, NEO_EXPR_MUL, neo_x2(&l, NEO_EXPR_MUL, e, statistic(&l, &s, inverse)), scale);
  neo_lower_body(&l, neo_lower_output(&l, 0), neo_x2(&l, NEO_EXPR_ADD, e, bias));
  return NEO_OK;
}

neo_status neo_infer_mvn(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  return infer_float_same(ctx, graph, node, 1);
}

neo_status neo_lower_mvn(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                         int *in_value) {
  NEO_LOWERING(l);
  const neo_value *x = neo_op_in(graph, node, 0);
  stats s = {.dtype = neo_compute_dtype(x->dtype)};
  bool summed[NEO_MAX_RANK], given;
  NEO_TRY(neo_op_axes(NEO_SITE, -1, x->shape.rank, summed, &given));
  for (int d = 0; !given && d < x->shape.rank; d++)
    summed[d] = d != 1;
  stats_of_axes(&s, &x->shape, summed);
  s.x = neo_lower_input(&l, 0);
  neo_te_block *mean = mean_of(&l, &s);
  neo_te_block *squares = variance_of(&l, &s, mean);
  neo_te_block *deviation = neo_lower_tmp(&l, s.dtype, &s.outer);
  const neo_expr *v = neo_xc(&l, NEO_EXPR_DIV, own(&l, &s, squares), s.count);
  deviation->body = neo_xc(&l, NEO_EXPR_ADD, neo_x1(&l, NEO_EXPR_SQRT, v), 1e-9);
  const neo_expr *e = neo_x2(&l, NEO_EXPR_SUB, element(&l, &s), statistic(&l, &s, mean));
  neo_lower_body(&l, neo_lower_output(&l, 0),
                 neo_x2(&l, NEO_EXPR_DIV, e, statistic(&l, &s, deviation)));
  return NEO_OK;
}

/* ---- lrn: x / (bias + alpha / size * sum of squares over `size` channels)^beta --------------------------- */

neo_status neo_infer_lrn(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(infer_float_same(ctx, graph, node, 2));
  int64_t size = neo_node_int(node, "size", 0);
  if (size < 1 || size > INT32_MAX)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "size is %d", (int)size);
  return NEO_OK;
}

neo_status neo_lower_lrn(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                         int *in_value) {
  NEO_LOWERING(l);
  const neo_value *x = neo_op_in(graph, node, 0);
  const neo_expr *index[NEO_MAX_RANK];
  int64_t size = neo_node_int(node, "size", 1);
  int rank = x->shape.rank, buffer = neo_lower_input(&l, 0);
  neo_dtype compute = neo_compute_dtype(x->dtype);
  neo_te_block *sum = neo_lower_tmp(&l, compute, &x->shape);
  int var = neo_lower_reduce(sum, NEO_COMBINE_ADD, 1, &size);
  identity_index(&l, rank, index);
  index[1] = neo_i_affine(&l, neo_i_var(&l, var), 1, index[1], -((size - 1) / 2));
  neo_guard guard = {index[1], 0, x->shape.dim[1]};
  const neo_expr *e =
      neo_expr_load_guarded(l.arena, x->dtype, buffer, rank, index, &(neo_guards){1, &guard, 0});
  e = neo_expr_cast(l.arena, compute, e);
  sum->body = neo_x2(&l, NEO_EXPR_MUL, e, e);
  identity_index(&l, rank, index);
  e = neo_xc(&l, NEO_EXPR_MUL, neo_lower_read(&l, sum, index),
             neo_node_float(node, "alpha", 1e-4) / (double)size);
  e = neo_xc(&l, NEO_EXPR_ADD, e, neo_node_float(node, "bias", 1));
  e = neo_xc(&l, NEO_EXPR_POW, e, neo_node_float(node, "beta", 0.75));
  e = neo_x2(&l, NEO_EXPR_DIV, neo_lower_load(&l, buffer, index), e);
  neo_lower_body(&l, neo_lower_output(&l, 0), e);
  return NEO_OK;
}
