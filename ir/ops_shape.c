/* ir/ops_shape.c: operators whose results are known once shapes are: evaluated at compile time
 * only. */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- shape, size --------------------------------------------------------------------------------- */

static void shape_bounds(const neo_node *node, int rank, int *start, int *end) {
  int64_t s = neo_node_int(node, "start", 0), e = neo_node_int(node, "end", rank);
  s = s < 0 ? s + rank : s;
  e = e < 0 ? e + rank : e;
  *start = (int)neo_max_i64(0, neo_min_i64(s, rank));
  *end = (int)neo_max_i64(*start, neo_min_i64(e, rank));
}

neo_status neo_infer_shape(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int start, end;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  shape_bounds(node, neo_op_in(graph, node, 0)->shape.rank, &start, &end);
  neo_op_set(graph, node, 0, NEO_I64, &(neo_shape){.rank = 1, .dim = {end - start}});
  return NEO_OK;
}

neo_status neo_eval_shape(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_tensor *const *in, neo_tensor *out) {
  int start, end;
  (void)ctx;
  (void)graph;
  shape_bounds(node, in[0]->shape.rank, &start, &end);
  for (int d = start; d < end; d++)
    neo_tensor_set_i64(&out[0], d - start, in[0]->shape.dim[d]);
  return NEO_OK;
}

neo_status neo_infer_size(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  neo_op_set(graph, node, 0, NEO_I64, &(neo_shape){0});
  return NEO_OK;
}

neo_status neo_eval_size(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                         neo_tensor *const *in, neo_tensor *out) {
  int64_t n = 0;
  (void)ctx;
  (void)graph;
  (void)node;
  neo_shape_elements(&in[0]->shape, &n);
  neo_tensor_set_i64(&out[0], 0, n);
  return NEO_OK;
}

/* ---- constant_of_shape --------------------------------------------------------------------------- */

neo_status neo_infer_constant_of_shape(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_shape shape = {0};
  int64_t n;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_ints(NEO_SITE, 0, NULL, shape.dim, NEO_MAX_RANK, &shape.rank));
  const neo_attr *value = neo_node_attr(node, "value");
  if (!neo_shape_elements(&shape, &n) || n > INT64_C(1) << 40)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the shape has a negative value or is too large");
  if (value && (!value->tensor || !neo_shape_elements(&value->tensor->shape, &n) || n != 1))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "value is not a tensor of one element");
  neo_op_set(graph, node, 0, value ? value->tensor->dtype : NEO_F32, &shape);
  return NEO_OK;
}

neo_status neo_eval_constant_of_shape(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                      neo_tensor *const *in, neo_tensor *out) {
  const neo_attr *value = neo_node_attr(node, "value");
  (void)ctx;
  (void)graph;
  (void)in;
  if (!value)
    return NEO_OK; /* zeroed */
  size_t size = neo_dtype_size(out[0].dtype);
  for (size_t at = 0; at + size <= out[0].size; at += size)
    memcpy((char *)out[0].data + at, value->tensor->data, size);
  return NEO_OK;
}

/* ---- range --------------------------------------------------------------------------------------- */

static neo_status read_range(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                             int64_t *n) {
  double v[3];
  bool given;
  for (int k = 0; k < 3; k++)
    NEO_TRY(neo_op_scalar(ctx, graph, node, k, &given, &v[k]));
  double count = ceil((v[1] - v[0]) / v[2]);
  if (v[2] == 0 || !(fabs(count) < 1e12))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "from %g to %g by %g", v[0], v[1], v[2]);
  *n = count > 0 ? (int64_t)count : 0;
  return NEO_OK;
}

neo_status neo_infer_range(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int64_t n = 0;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, 1));
  NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, 2));
  NEO_TRY(read_range(ctx, graph, node, &n));
  neo_op_set(graph, node, 0, neo_op_in(graph, node, 0)->dtype, &(neo_shape){.rank = 1, .dim = {n}});
  return NEO_OK;
}

neo_status neo_eval_range(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_tensor *const *in, neo_tensor *out) {
  (void)ctx;
  (void)graph;
  (void)node;
  bool f = neo_dtype_class(out[0].dtype) == 'f';
  double start = neo_tensor_get_f64(in[0], 0), delta = neo_tensor_get_f64(in[2], 0);
  int64_t from = f ? 0 : neo_tensor_get_i64(in[0], 0), step = f ? 0 : neo_tensor_get_i64(in[2], 0);
  for (int64_t k = 0; k < out[0].shape.dim[0]; k++) {
    if (f)
      neo_tensor_set_f64(&out[0], k, start + (double)k * delta);
    else
      neo_tensor_set_i64(&out[0], k, from + k * step);
  }
  return NEO_OK;
}

/* ---- nonzero: [rank, number of non-zero elements] ---------------------------------------------------- */

neo_status neo_infer_nonzero(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  int64_t n = 0, found = 0;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (!x->constant)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "the input must be a constant");
  neo_shape_elements(&x->shape, &n);
  for (int64_t k = 0; k < n; k++)
    found += neo_tensor_get_f64(x->constant, k) != 0;
  neo_op_set(graph, node, 0, NEO_I64, &(neo_shape){.rank = 2, .dim = {x->shape.rank, found}});
  return NEO_OK;
}

neo_status neo_eval_nonzero(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                            neo_tensor *const *in, neo_tensor *out) {
  int64_t n = 0, at = 0, found = out[0].shape.dim[1];
  (void)ctx;
  (void)graph;
  (void)node;
  neo_shape_elements(&in[0]->shape, &n);
  for (int64_t k = 0; k < n && at < found; k++) {
    if (neo_tensor_get_f64(in[0], k) == 0)
      continue;
    int64_t rest = k;
    for (int d = in[0]->shape.rank - 1; d >= 0; d--) {
      neo_tensor_set_i64(&out[0], d * found + at, rest % in[0]->shape.dim[d]);
      rest /= in[0]->shape.dim[d];
    }
    at++;
  }
  return NEO_OK;
}
