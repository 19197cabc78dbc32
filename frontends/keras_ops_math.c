/* frontends/keras_ops_math.c: functions of keras.ops on elements, and small products, that are made
 * of a few operators each. */
#include <math.h>
#include <string.h>

#include "frontends/complex.h"
#include "frontends/keras_ops.h"

static int where(keras_call *c, int condition, int a, int b) {
  return keras_node(c, "where", 3, (int[]){condition, a, b}, 1)->output[0];
}

static int unary(keras_call *c, const char *op, int x) {
  return neo_emit_unary(c->im->e, op, x);
}

/* x op a number */
static int with(keras_call *c, const char *op, int x, double v) {
  return keras_binary(c, op, x, keras_scalar(c, v));
}

/* which: 1 above, -1 below, 0 both */
static int infinite(keras_call *c, int x, int which) {
  neo_node *node = keras_node(c, "isinf", 1, &x, 1);
  neo_node_set_int(c->im->e->graph, node, "detect_positive", which >= 0);
  neo_node_set_int(c->im->e->graph, node, "detect_negative", which <= 0);
  return node->output[0];
}

static double number_or(const keras_call *c, const char *key, double otherwise) {
  return json_is_number(json_object_get(c->config, key)) ? keras_number(c, key, 0) : otherwise;
}

/* op: which function */
void keras_op_shaped_float(keras_call *c, const char *op) {
  int x = keras_operand(c, 0, NEO_F32), y = x;
  if (strcmp(op, "cbrt") == 0) {
    y = keras_binary(c, "mul", unary(c, "sign", x), with(c, "pow", unary(c, "abs", x), 1.0 / 3));
  } else if (strcmp(op, "sinc") == 0) {
    int none = with(c, "equal", x, 0), at = with(c, "mul", x, 3.14159265358979323846);
    int by = where(c, none, keras_scalar(c, 1), at);
    y = where(c, none, keras_scalar(c, 1), keras_binary(c, "div", unary(c, "sin", at), by));
  } else if (strcmp(op, "sparse_plus") == 0) { /* ((x + 1) / 2)^2 between -1 and 1 */
    int half = with(c, "mul", with(c, "add", x, 1), 0.5), part = keras_binary(c, "mul", half, half);
    y = where(c, with(c, "less", x, 1),
              where(c, with(c, "less_equal", x, -1), keras_scalar(c, 0), part), x);
  } else if (strcmp(op, "sparse_sigmoid") == 0) {
    y = with(c, "min", with(c, "max", with(c, "mul", with(c, "add", x, 1), 0.5), 0), 1);
  } else if (strcmp(op, "nan_to_num") == 0) {
    y = where(c, unary(c, "isnan", x), keras_scalar(c, number_or(c, "nan", 0)), x);
    y = where(c, infinite(c, x, 1), keras_scalar(c, number_or(c, "posinf", 3.4028234663852886e38)),
              y);
    y = where(c, infinite(c, x, -1),
              keras_scalar(c, number_or(c, "neginf", -3.4028234663852886e38)), y);
  }
  keras_out(c, y, c->input[0].rank);
}

/* op: finite, above, below, sign (of zeros, too) */
void keras_op_kind_of(keras_call *c, const char *op) {
  int x = keras_operand(c, 0, NEO_F32), y;
  if (op[0] == 'f') {
    y = unary(c, "not", keras_binary(c, "or", unary(c, "isnan", x), infinite(c, x, 0)));
  } else if (op[0] == 's') {
    neo_node *node = keras_node(c, "bitcast", 1, &x, 1);
    neo_node_set_string(c->im->e->graph, node, "to", "i32");
    y = keras_binary(c, "less", node->output[0], neo_emit_scalar(c->im->e, NEO_I32, 0));
  } else {
    y = infinite(c, x, op[0] == 'a' ? 1 : -1);
  }
  keras_out(c, y, c->input[0].rank);
}

/* op: which function of two */
void keras_op_shaped_pair(keras_call *c, const char *op) {
  if (!keras_need(c, 2))
    return;
  int a = keras_operand(c, 0, NEO_F32), b = keras_operand(c, 1, NEO_F32), y;
  if (strcmp(op, "atan2") == 0) {
    y = neo_complex_angle(c->im->e, (neo_complex){b, a});
  } else if (strcmp(op, "fmod") == 0) {
    neo_node *node = keras_node(c, "mod", 2, (int[]){a, b}, 1);
    neo_node_set_int(c->im->e->graph, node, "fmod", 1);
    y = node->output[0];
  } else if (strcmp(op, "heaviside") == 0) {
    int step = where(c, with(c, "greater", a, 0), keras_scalar(c, 1), keras_scalar(c, 0));
    y = where(c, with(c, "equal", a, 0), b, step);
  } else { /* logaddexp2: max + log2(1 + 2^-|a - b|) */
    int far = unary(c, "neg", unary(c, "abs", keras_binary(c, "sub", a, b)));
    int near = unary(c, "exp", with(c, "mul", far, log(2.0)));
    int more = with(c, "mul", unary(c, "log", with(c, "add", near, 1)), 1 / log(2.0));
    y = keras_binary(c, "add", keras_binary(c, "max", a, b), more);
  }
  keras_out(c, y, keras_highest_rank(c));
}

void keras_op_bits(keras_call *c, const char *op) {
  neo_dtype dtype = keras_common_type(c, true);
  if (!keras_need(c, 2))
    return;
  if (neo_dtype_class(dtype) == 'f')
    keras_unsupported(c, "bits of real numbers");
  else
    keras_out(c, keras_binary(c, op, keras_operand(c, 0, dtype), keras_operand(c, 1, dtype)),
              keras_highest_rank(c));
}

/* x [n or .., n], y likewise: sums over the last; op: "flat", all of both are vectors */
void keras_op_inner(keras_call *c, const char *op) {
  int rank = c->input[0].rank;
  if (!keras_need(c, 2))
    return;
  int a = c->input[0].value, b = c->input[1].value;
  if (strcmp(op, "flat") == 0) {
    a = keras_reshape(c, a, 1, (int64_t[]){-1});
    b = keras_reshape(c, b, 1, (int64_t[]){-1});
    keras_out(c, keras_binary(c, "matmul", a, b), 0);
  } else if (c->input[1].rank == 1) {
    keras_out(c, keras_binary(c, "matmul", a, b), rank - 1);
  } else if (c->input[1].rank == 2) {
    b = neo_emit_transpose(c->im->e, b, 2, (int64_t[]){1, 0});
    keras_out(c, keras_binary(c, "matmul", a, b), rank);
  } else {
    keras_unsupported(c, "an input of rank %d", c->input[1].rank);
  }
}

/* differences of neighbours, n times */
void keras_op_diff(keras_call *c, const char *op) {
  int rank = c->input[0].rank, axis = keras_axis(c, "axis", -1, rank), x = c->input[0].value;
  int64_t n = keras_int(c, "n", 1);
  (void)op;
  if (axis < 0 || n < 0 || n > 16) {
    keras_unsupported(c, "its axis or n");
    return;
  }
  for (int64_t i = 0; i < n; i++)
    x = keras_binary(c, "sub", keras_part(c, x, axis, 1, INT32_MAX, 1),
                     keras_part(c, x, axis, 0, -1, 1));
  keras_out(c, x, rank);
}

/* [.., a, ..] and [.., b, ..] of three elements along the last axis */
void keras_op_cross(keras_call *c, const char *op) {
  int part[6], rank = keras_highest_rank(c), y[3];
  const neo_shape *shape = neo_emit_shape(c->im->e, c->input[0].value);
  (void)op;
  if (!keras_need(c, 2))
    return;
  bool last = keras_axis(c, "axis", -1, rank) == rank - 1 && keras_int(c, "axisa", -1) == -1 &&
              keras_int(c, "axisb", -1) == -1 && keras_int(c, "axisc", -1) == -1;
  if (!shape || !last || c->input[0].rank != rank || c->input[1].rank != rank ||
      shape->dim[rank - 1] != 3) {
    keras_unsupported(c, "axes other than the last, or other than three elements");
    return;
  }
  for (int i = 0; i < 6; i++)
    part[i] = keras_part(c, c->input[i / 3].value, rank - 1, i % 3, i % 3 + 1, 1);
  for (int i = 0; i < 3; i++)
    y[i] = keras_binary(c, "sub", keras_binary(c, "mul", part[(i + 1) % 3], part[3 + (i + 2) % 3]),
                        keras_binary(c, "mul", part[(i + 2) % 3], part[3 + (i + 1) % 3]));
  neo_node *node = keras_node(c, "concat", 3, y, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", rank - 1);
  keras_out(c, node->output[0], rank);
}
