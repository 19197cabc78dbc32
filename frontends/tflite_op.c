/* frontends/tflite_op.c: what the converters of TFLite operators use (tflite_import.h). */
#include "frontends/tflite_import.h"

#include <inttypes.h>
#include <string.h>

static const tfl_row rows[] = {
#define X(code, name, convert, op) {code, name, convert, op},
#include "frontends/tflite_ops.def"
#undef X
};

const tfl_row *tfl_row_find(int code) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (rows[i].code == code)
      return &rows[i];
  return NULL;
}

void tfl_unsupported(tfl_op *op, const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  neo_emit_unsupported(&op->im->e, op->row->name, "%s", text);
}

/* ---- operands --------------------------------------------------------------------------------- */

static tfl_tensor *operand(tfl_op *op, const neo_fb_vector *list, int k) {
  if (k >= list->n)
    return NULL;
  return tfl_tensor_at(op->im, op->im->scope, neo_fb_element(list, NEO_FB_I32, k));
}

tfl_tensor *tfl_input(tfl_op *op, int k) {
  return operand(op, &op->inputs, k);
}

tfl_tensor *tfl_output(tfl_op *op, int k) {
  return operand(op, &op->outputs, k);
}

int tfl_raw(tfl_op *op, int k) {
  return tfl_value(op->im, tfl_input(op, k));
}

bool tfl_quantised(const tfl_tensor *tensor) {
  return tensor && tensor->scale.n > 0;
}

int tfl_in(tfl_op *op, int k) {
  tfl_tensor *t = tfl_input(op, k);
  if (!tfl_quantised(t))
    return tfl_value(op->im, t);
  if (t->real == NEO_NO_VALUE)
    t->real = tfl_dequantise(op->im, t, tfl_value(op->im, t));
  return t->real;
}

static bool same_vector(const neo_fb_vector *a, const neo_fb_vector *b, size_t element) {
  return a->n == b->n && (a->n == 0 || memcmp(a->data, b->data, (size_t)a->n * element) == 0);
}

bool tfl_same_scales(const tfl_tensor *a, const tfl_tensor *b) {
  return a && b && a->type == b->type && same_vector(&a->scale, &b->scale, 4) &&
         same_vector(&a->zero_point, &b->zero_point, 8);
}

void tfl_set_raw(tfl_op *op, int k, int value) {
  tfl_tensor *t = tfl_output(op, k);
  if (!t)
    return;
  if (t->value != NEO_NO_VALUE || t->constant)
    tfl_broken(op->im, "tensor '%s' is written twice", t->name);
  t->value = value;
}

void tfl_set(tfl_op *op, int k, int value) {
  const tfl_tensor *t = tfl_output(op, k);
  tfl_set_raw(op, k, tfl_quantised(t) ? tfl_quantise(op->im, t, value) : value);
}

void tfl_set_active(tfl_op *op, int k, int value, int option) {
  static const double bounds[][2] = {[TFL_ACT_RELU_N1_TO_1] = {-1, 1}, [TFL_ACT_RELU6] = {0, 6}};
  neo_emitter *e = &op->im->e;
  int64_t act = tfl_option(op, option, NEO_FB_I8, TFL_ACT_NONE);
  neo_node *node;
  switch (act) {
  case TFL_ACT_NONE:
    break;
  case TFL_ACT_RELU:
    value = neo_emit_unary(e, "relu", value);
    break;
  case TFL_ACT_RELU_N1_TO_1:
  case TFL_ACT_RELU6:
    node = tfl_node(op, "clip", 1, &value);
    neo_node_set_float(e->graph, node, "min", bounds[act][0]);
    neo_node_set_float(e->graph, node, "max", bounds[act][1]);
    value = node->output[0];
    break;
  case TFL_ACT_TANH:
    value = neo_emit_unary(e, "tanh", value);
    break;
  default:
    tfl_unsupported(op, "fused activation %" PRId64, act);
  }
  tfl_set(op, k, value);
}

/* ---- what is known ------------------------------------------------------------------------------ */

int tfl_rank(tfl_op *op, int k) {
  const tfl_tensor *t = tfl_input(op, k);
  int rank = t ? neo_emit_rank(&op->im->e, tfl_raw(op, k)) : -1;
  return rank >= 0 || !t ? rank : t->shape.rank;
}

int64_t tfl_dim(tfl_op *op, int k, int d) {
  const tfl_tensor *t = tfl_input(op, k);
  const neo_shape *shape = t ? neo_emit_shape(&op->im->e, tfl_raw(op, k)) : NULL;
  if (shape)
    return d < shape->rank ? shape->dim[d] : -1;
  return t && d < t->shape.rank ? t->shape.dim[d] : -1;
}

int tfl_axis(tfl_op *op, int64_t axis, int rank) {
  if (axis >= -rank && axis < rank)
    return (int)(axis < 0 ? axis + rank : axis);
  tfl_broken(op->im, "%s '%s': axis %" PRId64 " of a tensor of rank %d", op->row->name,
             op->im->e.scope, axis, rank);
  return 0;
}

static const neo_tensor *constant(tfl_op *op, int k) {
  const neo_tensor *tensor = neo_emit_const(&op->im->e, tfl_raw(op, k));
  if (!tensor)
    tfl_unsupported(op, "input %d must be known when the model is read", k);
  return tensor;
}

int tfl_ints(tfl_op *op, int k, int64_t *out, int cap) {
  int64_t n;
  const neo_tensor *tensor = constant(op, k);
  if (!tensor || !neo_shape_elements(&tensor->shape, &n))
    return -1;
  if (n > cap || neo_dtype_class(tensor->dtype) == 'f') {
    tfl_broken(op->im, "%s '%s': input %d has %" PRId64 " values, at most %d integers expected",
               op->row->name, op->im->e.scope, k, n, cap);
    return -1;
  }
  for (int i = 0; i < n; i++)
    out[i] = neo_tensor_get_i64(tensor, i);
  return (int)n;
}

bool tfl_scalar(tfl_op *op, int k, double *out) {
  int64_t n;
  const neo_tensor *tensor = constant(op, k);
  if (!tensor || !neo_shape_elements(&tensor->shape, &n) || n != 1)
    return false;
  *out = neo_tensor_get_f64(tensor, 0);
  return true;
}

int64_t tfl_option(tfl_op *op, int field, neo_fb_type type, int64_t otherwise) {
  return neo_fb_int(&op->options, field, type, otherwise);
}

/* ---- nodes ------------------------------------------------------------------------------------- */

neo_node *tfl_node(tfl_op *op, const char *name, int n, const int *inputs) {
  return neo_emit_node(&op->im->e, name, n, inputs, 1);
}

int tfl_to_nchw(tfl_op *op, int value, int rank) {
  static const int64_t perm[][5] = {{0, 2, 1}, {0, 3, 1, 2}, {0, 4, 1, 2, 3}};
  return neo_emit_transpose(&op->im->e, value, rank, perm[rank - 3]);
}

int tfl_to_nhwc(tfl_op *op, int value, int rank) {
  static const int64_t perm[][5] = {{0, 2, 1}, {0, 2, 3, 1}, {0, 2, 3, 4, 1}};
  return neo_emit_transpose(&op->im->e, value, rank, perm[rank - 3]);
}
