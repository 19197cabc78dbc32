/* ir/ops_common.c: what inferring and lowering of every operator share. */
#include "ir/ops_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <strings.h>

neo_status neo_op_fail(neo_ctx *ctx, const neo_node *node, neo_status status, const char *format,
                       ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return neo_fail(ctx, status, "node '%s' (%s): %s", node->name ? node->name : "", node->op->name,
                  text);
}

bool neo_op_is(const neo_node *node, const char *name) {
  return strcmp(node->op->name, name) == 0;
}

bool neo_op_string_is(const neo_node *node, const char *attr, const char *otherwise,
                      const char *value) {
  return strcasecmp(neo_node_string(node, attr, otherwise), value) == 0;
}

const neo_value *neo_op_in(const neo_graph *graph, const neo_node *node, int k) {
  if (k >= node->n_inputs || node->input[k] == NEO_NO_VALUE)
    return NULL;
  return &graph->value[node->input[k]];
}

/* Operators that only move elements, and those that turn narrow types into others and back. */
static bool takes_opaque(const neo_node *node, neo_dtype dtype) {
  static const char *const movers[] = {"cast",
                                       "bitcast",
                                       "where",
                                       "if",
                                       "loop",
                                       "shape",
                                       "size",
                                       "gather_nd",
                                       "scatter_nd",
                                       "compress",
                                       "scatter_elements",
                                       "scatter_rows",
                                       "equal",
                                       "not_equal",
                                       "quantize_linear",
                                       "dequantize_linear",
                                       "reverse_sequence",
                                       "tensor_scatter",
                                       "constant_of_shape"};
  bool compares = neo_op_is(node, "equal") || neo_op_is(node, "not_equal");
  if (compares && (neo_narrow_find(dtype) || dtype == NEO_STR))
    return false; /* zeros have two codes; equal texts have several addresses */
  if (dtype == NEO_STR && (neo_op_is(node, "bitcast") ||
                           strcmp(neo_node_string(node, "reduction", "none"), "none") != 0 ||
                           neo_node_int(node, "reduction", 0) != 0))
    return false; /* addresses are no numbers */
  if (strncmp(node->op->name, "text_", 5) == 0)
    return dtype == NEO_STR;
  if (neo_op_is(node, "resize") || neo_op_is(node, "one_hot") ||
      (neo_op_is(node, "pad") && node->n_inputs > 2 && node->input[2] != NEO_NO_VALUE))
    return false;
  for (int k = 0; k < NEO_COUNT(movers); k++)
    if (neo_op_is(node, movers[k]))
      return true;
  return node->op->fuse == 'v' || node->op->fuse == 'm';
}

static bool is_opaque(neo_dtype dtype) {
  return dtype < NEO_DTYPE_COUNT && neo_dtype_storage(dtype) != dtype;
}

neo_status neo_op_check_inputs(neo_ctx *ctx, const neo_graph *graph, const neo_node *node) {
  if (node->n_inputs < node->op->min_inputs ||
      (node->op->max_inputs >= 0 && node->n_inputs > node->op->max_inputs))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "%d inputs, %d to %d expected", node->n_inputs,
                       node->op->min_inputs, node->op->max_inputs);
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    if (!v && k < node->op->min_inputs)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is absent", k);
    if (!v)
      continue;
    if (v->dtype >= NEO_DTYPE_COUNT || v->shape.rank < 0 || v->shape.rank > NEO_MAX_RANK)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d ('%s') has no type yet", k,
                         v->name ? v->name : "");
    if (is_opaque(v->dtype) && !takes_opaque(node, v->dtype))
      return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "not defined for %s",
                         neo_dtype_name(v->dtype));
    for (int d = 0; d < v->shape.rank; d++) {
      if (v->shape.dim[d] < 0)
        return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                           "input %d ('%s'): dimension %d is free; bind it with --input", k,
                           v->name ? v->name : "", d);
    }
  }
  return NEO_OK;
}

neo_status neo_op_same_dtype(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int a,
                             int b) {
  const neo_value *x = neo_op_in(graph, node, a), *y = neo_op_in(graph, node, b);
  if (x && y && x->dtype != y->dtype)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is %s but input %d is %s", a,
                       neo_dtype_name(x->dtype), b, neo_dtype_name(y->dtype));
  return NEO_OK;
}

neo_status neo_op_contraction(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_dtype *out) {
  *out = neo_op_in(graph, node, 0)->dtype;
  if (!neo_op_string_is(node, "to", "", "i32")) {
    NEO_TRY(neo_op_same_dtype(ctx, graph, node, 0, 1));
    return neo_op_same_dtype(ctx, graph, node, 0, 2);
  }
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_value *v = neo_op_in(graph, node, k);
    char cls = v ? neo_dtype_class(v->dtype) : 'i';
    if (cls != 'i' && cls != 'u')
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is %s, an integer needed", k,
                         neo_dtype_name(v->dtype));
  }
  *out = NEO_I32;
  return NEO_OK;
}

void neo_op_set(neo_graph *graph, const neo_node *node, int output, neo_dtype dtype,
                const neo_shape *shape) {
  if (output >= node->n_outputs || node->output[output] == NEO_NO_VALUE)
    return;
  neo_value *v = &graph->value[node->output[output]];
  v->dtype = dtype;
  v->shape = *shape;
}

neo_status neo_op_axis(neo_ctx *ctx, const neo_node *node, int64_t axis, int rank, int *out) {
  if (axis < -rank || axis >= rank)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "axis %" PRId64 " of a tensor of rank %d", axis,
                       rank);
  *out = (int)(axis < 0 ? axis + rank : axis);
  return NEO_OK;
}

neo_status neo_op_ints(const neo_op_site *at, int k, const char *attr, int64_t *out, int cap,
                       int *n) {
  const neo_value *v = k >= 0 ? neo_op_in(at->graph, at->node, k) : NULL;
  int64_t count;
  *n = -1;
  if (v && !v->constant)
    return neo_op_fail(at->ctx, at->node, NEO_UNSUPPORTED, "input %d ('%s') must be a constant", k,
                       v->name ? v->name : "");
  if (!v && (!attr || !neo_node_attr(at->node, attr)))
    return NEO_OK;
  if (!v) {
    *n = neo_node_ints(at->node, attr, out, cap);
  } else {
    if (v->constant->shape.rank > 1 || !neo_shape_elements(&v->constant->shape, &count))
      return neo_op_fail(at->ctx, at->node, NEO_BAD_INPUT, "input %d must be a list", k);
    *n = count > cap ? cap + 1 : (int)count;
    for (int i = 0; i < *n && i < cap; i++)
      out[i] = neo_tensor_get_i64(v->constant, i);
  }
  if (*n > cap)
    return neo_op_fail(at->ctx, at->node, NEO_BAD_INPUT, "%s has more than %d values",
                       attr ? attr : "an input", cap);
  return NEO_OK;
}

neo_status neo_op_scalar(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int k,
                         bool *present, double *out) {
  const neo_value *v = neo_op_in(graph, node, k);
  int64_t count;
  *present = v != NULL;
  if (!v)
    return NEO_OK;
  if (!v->constant || !neo_shape_elements(&v->constant->shape, &count) || count != 1)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "input %d must be a constant scalar", k);
  *out = neo_tensor_get_f64(v->constant, 0);
  return NEO_OK;
}

neo_status neo_op_axes(const neo_op_site *at, int k, int rank, bool *flag, bool *given) {
  int64_t axes[NEO_MAX_RANK];
  int n, axis;
  NEO_TRY(neo_op_ints(at, k, "axes", axes, NEO_MAX_RANK, &n));
  memset(flag, 0, NEO_MAX_RANK * sizeof *flag);
  *given = n > 0;
  for (int i = 0; i < n; i++) {
    NEO_TRY(neo_op_axis(at->ctx, at->node, axes[i], rank, &axis));
    if (flag[axis])
      return neo_op_fail(at->ctx, at->node, NEO_BAD_INPUT, "axis %d is named twice", axis);
    flag[axis] = true;
  }
  return NEO_OK;
}

/* ---- lowering ------------------------------------------------------------------------------------ */

neo_dtype neo_compute_dtype(neo_dtype dtype) {
  return dtype == NEO_F16 || dtype == NEO_BF16 ? NEO_F32 : dtype;
}

double neo_dtype_highest(neo_dtype dtype) {
  int bits = 8 * (int)neo_dtype_size(dtype);
  switch (neo_dtype_class(dtype)) {
  case 'f':
    return INFINITY;
  case 'i':
    return ldexp(1, bits - 1) - (bits < 64 ? 1 : 1024);
  case 'u':
    return ldexp(1, bits) - (bits < 64 ? 1 : 2048);
  default:
    return 1;
  }
}

double neo_dtype_lowest(neo_dtype dtype) {
  int bits = 8 * (int)neo_dtype_size(dtype);
  char cls = neo_dtype_class(dtype);
  return cls == 'f' ? -INFINITY : cls == 'i' ? -ldexp(1, bits - 1) : 0;
}

int neo_lower_input(neo_lowering *l, int k) {
  const neo_value *v = neo_op_in(l->graph, l->node, k);
  neo_te_role role = v->constant ? NEO_TE_CONST : NEO_TE_IN;
  int buffer = neo_te_add_buffer(l->te, role, neo_dtype_storage(v->dtype), &v->shape);
  l->in_value[buffer] = l->node->input[k];
  return buffer;
}

const neo_expr *neo_lower_raw_load(neo_lowering *l, int buffer, const neo_expr *const *index) {
  const neo_te_buffer *b = &l->te->buffer[buffer];
  return neo_expr_load(l->arena, b->dtype, buffer, b->shape.rank, index);
}

const neo_expr *neo_lower_load(neo_lowering *l, int buffer, const neo_expr *const *index) {
  const neo_expr *e = neo_lower_raw_load(l, buffer, index);
  return neo_expr_cast(l->arena, neo_compute_dtype(e->dtype), e);
}

const neo_expr *neo_lower_operand(neo_lowering *l, int k, int rank, const neo_expr *const *index) {
  const neo_value *v = neo_op_in(l->graph, l->node, k);
  const neo_expr *own[NEO_MAX_RANK];
  int64_t n;
  neo_dtype compute = neo_compute_dtype(v->dtype);
  /* narrow types: their codes */
  if (v->constant && neo_shape_elements(&v->shape, &n) && n == 1) {
    if (neo_dtype_class(v->dtype) == 'f')
      return neo_expr_const_f(l->arena, compute, neo_tensor_get_f64(v->constant, 0));
    neo_tensor stored = *v->constant;
    stored.dtype = neo_dtype_storage(v->dtype);
    return neo_expr_const_i(l->arena, stored.dtype, neo_tensor_get_i64(&stored, 0));
  }
  for (int d = 0; d < v->shape.rank; d++)
    own[d] = v->shape.dim[d] == 1 ? neo_i_const(l, 0) : index[rank - v->shape.rank + d];
  return neo_lower_load(l, neo_lower_input(l, k), own);
}

neo_te_block *neo_lower_tmp(neo_lowering *l, neo_dtype dtype, const neo_shape *shape) {
  return neo_te_add_block(l->te, neo_te_add_buffer(l->te, NEO_TE_TMP, dtype, shape));
}

int neo_lower_output_buffer(neo_lowering *l, int k) {
  const neo_value *v = &l->graph->value[l->node->output[k]];
  return neo_te_add_buffer(l->te, NEO_TE_OUT, neo_dtype_storage(v->dtype), &v->shape);
}

neo_te_block *neo_lower_output(neo_lowering *l, int k) {
  return neo_te_add_block(l->te, neo_lower_output_buffer(l, k));
}

const neo_expr *neo_lower_read(neo_lowering *l, const neo_te_block *block,
                               const neo_expr *const *index) {
  return neo_lower_load(l, block->buffer, index);
}

void neo_lower_body(neo_lowering *l, neo_te_block *block, const neo_expr *body) {
  block->body = neo_expr_cast(l->arena, l->te->buffer[block->buffer].dtype, body);
}

int neo_lower_reduce(neo_te_block *block, neo_combine combine, int n, const int64_t *extents) {
  int first = block->n_spatial;
  neo_assert(first + n <= NEO_TE_MAX_AXES);
  for (int k = 0; k < n; k++)
    block->extent[first + k] = extents[k];
  block->n_reduce = n;
  block->combine = n ? combine : NEO_COMBINE_NONE;
  return first;
}

void neo_lower_init(neo_lowering *l, neo_te_block *block, double init) {
  neo_dtype dtype = l->te->buffer[block->buffer].dtype;
  if (neo_dtype_size(dtype) == 8 && neo_dtype_class(dtype) != 'f' &&
      init >= neo_dtype_highest(dtype)) {
    block->init.i = dtype == NEO_I64 ? INT64_MAX : -1; /* no double is that value */
    return;
  }
  const neo_expr *c = neo_expr_const_f(l->arena, dtype, init);
  if (neo_dtype_class(dtype) == 'f')
    block->init.f = c->u.f;
  else
    block->init.i = c->u.i;
}

const neo_expr *neo_i_affine(neo_lowering *l, const neo_expr *a, int64_t scale, const neo_expr *b,
                             int64_t offset) {
  neo_linear sum;
  neo_linear_init(&sum, l->arena);
  neo_linear_add(&sum, a, scale);
  if (b)
    neo_linear_add(&sum, b, 1);
  sum.base = neo_wrap_add(sum.base, offset);
  return neo_linear_expr(&sum);
}
