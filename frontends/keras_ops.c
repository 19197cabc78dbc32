/* frontends/keras_ops.c: functions called on the tensors of a Keras 3 model: x + 1,
 * keras.ops.mean(x).
 *
 * Keras writes each as a layer whose module is keras.src.ops.MODULE; arguments that are tensors
 * stand in inbound_nodes as those of layers do, other positional ones beside them, and what
 * __init__ took is in config. A plain number takes the type of the tensor that it meets; an integer
 * tensor that meets a real number becomes one. */
#include "frontends/keras_ops.h"

#include <math.h>
#include <string.h>

int keras_scalar(keras_call *c, double v) {
  return neo_emit_scalar(c->im->e, NEO_F32, v);
}

int keras_binary(keras_call *c, const char *op, int a, int b) {
  return neo_emit_binary(c->im->e, op, a, b);
}

static bool is_float(neo_dtype dtype) {
  return dtype == NEO_DTYPE_COUNT || neo_dtype_class(dtype) == 'f';
}

neo_dtype keras_common_type(const keras_call *c, bool with_first) {
  neo_dtype out = NEO_DTYPE_COUNT;
  bool fraction = false;
  for (int i = with_first ? 0 : 1; i < c->n_inputs; i++) {
    neo_dtype own = c->input[i].dtype;
    if (own == NEO_DTYPE_COUNT) {
      const neo_tensor *t = neo_emit_const(c->im->e, c->input[i].value);
      fraction |=
          t && t->dtype == NEO_F32 && *(const float *)t->data != floorf(*(const float *)t->data);
    } else if (out == NEO_DTYPE_COUNT || (!is_float(out) && is_float(own))) {
      out = own;
    }
  }
  return out == NEO_DTYPE_COUNT || (fraction && !is_float(out)) ? NEO_F32 : out;
}

int keras_operand(keras_call *c, int i, neo_dtype dtype) {
  return c->input[i].dtype == dtype ? c->input[i].value
                                    : neo_emit_cast(c->im->e, c->input[i].value, dtype);
}

int keras_as_asked(keras_call *c, int x) {
  neo_dtype dtype;
  return neo_dtype_find(keras_text(c, "dtype", ""), &dtype) ? neo_emit_cast(c->im->e, x, dtype) : x;
}

int keras_highest_rank(const keras_call *c) {
  int rank = 0;
  for (int i = 0; i < c->n_inputs; i++)
    rank = c->input[i].rank > rank ? c->input[i].rank : rank;
  return rank;
}

bool keras_need(keras_call *c, int n) {
  if (c->n_inputs >= n)
    return true;
  keras_bad(c, "%d inputs, %d expected", c->n_inputs, n);
  return false;
}

/* ---- elementwise ------------------------------------------------------------------------------------ */

void keras_op_unary(keras_call *c, const char *op) {
  keras_out(c, neo_emit_unary(c->im->e, op, c->input[0].value), c->input[0].rank);
}

/* elu and celu: the name is the operator's, too */
void keras_op_alpha(keras_call *c, const char *op) {
  neo_node *node = keras_node(c, op, 1, &c->input[0].value, 1);
  neo_node_set_float(c->im->e->graph, node, "alpha", keras_number(c, "alpha", 1));
  keras_out(c, node->output[0], c->input[0].rank);
}

void keras_op_round(keras_call *c, const char *op) {
  if (keras_int(c, "decimals", 0) != 0)
    keras_unsupported(c, "decimals");
  else
    keras_op_unary(c, op);
}

void keras_op_activation(keras_call *c, const char *op) {
  keras_out(c, keras_activation(c, op, c->input[0].value, c->input[0].rank), c->input[0].rank);
}

void keras_op_gelu(keras_call *c, const char *op) {
  (void)op;
  neo_node *node = keras_node(c, "gelu", 1, &c->input[0].value, 1);
  if (keras_bool(c, "approximate", true))
    neo_node_set_string(c->im->e->graph, node, "approximate", "tanh");
  keras_out(c, node->output[0], c->input[0].rank);
}

void keras_op_leaky_relu(keras_call *c, const char *op) {
  (void)op;
  neo_node *node = keras_node(c, "leaky_relu", 1, &c->input[0].value, 1);
  neo_node_set_float(c->im->e->graph, node, "alpha", keras_number(c, "negative_slope", 0.2));
  keras_out(c, node->output[0], c->input[0].rank);
}

void keras_op_silu(keras_call *c, const char *op) {
  if (keras_number(c, "beta", 1) != 1)
    keras_unsupported(c, "a beta other than 1");
  else
    keras_op_activation(c, op);
}

void keras_op_softmax(keras_call *c, const char *op) {
  int axis = keras_axis(c, "axis", -1, c->input[0].rank);
  if (axis < 0) {
    keras_unsupported(c, "several axes");
    return;
  }
  neo_node *node = keras_node(c, op, 1, &c->input[0].value, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  keras_out(c, node->output[0], c->input[0].rank);
}

void keras_op_composed(keras_call *c, const char *op) {
  const char *name = c->class_name;
  neo_emitter *e = c->im->e;
  int x = c->input[0].value, y = x;
  (void)op;
  if (strcmp(name, "Square") == 0)
    y = keras_binary(c, "mul", x, x);
  else if (strcmp(name, "Rsqrt") == 0)
    y = neo_emit_unary(e, "reciprocal", neo_emit_unary(e, "sqrt", x));
  else if (strcmp(name, "Log1p") == 0)
    y = neo_emit_unary(e, "log", keras_binary(c, "add", x, keras_scalar(c, 1)));
  else if (strcmp(name, "Log2") == 0)
    y = keras_binary(c, "mul", neo_emit_unary(e, "log", x), keras_scalar(c, 1 / log(2.0)));
  else if (strcmp(name, "Log10") == 0)
    y = keras_binary(c, "mul", neo_emit_unary(e, "log", x), keras_scalar(c, 1 / log(10.0)));
  else if (strcmp(name, "Expm1") == 0)
    y = keras_binary(c, "sub", neo_emit_unary(e, "exp", x), keras_scalar(c, 1));
  else if (strcmp(name, "ZerosLike") == 0 || strcmp(name, "OnesLike") == 0)
    y = keras_binary(c, "expand",
                     keras_as_asked(c, neo_emit_scalar(e, c->input[0].dtype, name[0] == 'O')),
                     neo_emit_unary(e, "shape", x));
  keras_out(c, y, c->input[0].rank);
}

void keras_op_binary(keras_call *c, const char *op) {
  neo_dtype dtype = keras_common_type(c, true);
  if (!keras_need(c, 2))
    return;
  if (strcmp(op, "div") == 0 && !is_float(dtype))
    dtype = NEO_F32;
  keras_out(c, keras_binary(c, op, keras_operand(c, 0, dtype), keras_operand(c, 1, dtype)),
            keras_highest_rank(c));
}

void keras_op_floor_divide(keras_call *c, const char *op) {
  neo_dtype dtype = keras_common_type(c, true);
  (void)op;
  if (!keras_need(c, 2))
    return;
  if (!is_float(dtype) && dtype != NEO_BOOL) { /* exact: what the remainder leaves is divisible */
    int a = keras_operand(c, 0, dtype), b = keras_operand(c, 1, dtype);
    int whole = keras_binary(c, "sub", a, keras_binary(c, "mod", a, b));
    keras_out(c, keras_binary(c, "div", whole, b), keras_highest_rank(c));
    return;
  }
  int a = keras_operand(c, 0, NEO_F32), b = keras_operand(c, 1, NEO_F32);
  int y = neo_emit_unary(c->im->e, "floor", keras_binary(c, "div", a, b));
  keras_out(c, is_float(dtype) ? y : neo_emit_cast(c->im->e, y, dtype), keras_highest_rank(c));
}

void keras_op_compare(keras_call *c, const char *op) {
  neo_dtype dtype = keras_common_type(c, true);
  if (keras_need(c, 2))
    keras_out(c, keras_binary(c, op, keras_operand(c, 0, dtype), keras_operand(c, 1, dtype)),
              keras_highest_rank(c));
}

void keras_op_logical(keras_call *c, const char *op) {
  int a = keras_operand(c, 0, NEO_BOOL);
  if (strcmp(op, "not") == 0)
    keras_out(c, neo_emit_unary(c->im->e, op, a), c->input[0].rank);
  else if (keras_need(c, 2))
    keras_out(c, keras_binary(c, op, a, keras_operand(c, 1, NEO_BOOL)), keras_highest_rank(c));
}

void keras_op_where(keras_call *c, const char *op) {
  neo_dtype dtype = keras_common_type(c, false);
  (void)op;
  if (!keras_need(c, 3))
    return;
  int input[3] = {keras_operand(c, 0, NEO_BOOL), keras_operand(c, 1, dtype),
                  keras_operand(c, 2, dtype)};
  keras_out(c, keras_node(c, "where", 3, input, 1)->output[0], keras_highest_rank(c));
}

void keras_op_clip(keras_call *c, const char *op) {
  (void)op;
  neo_dtype dtype = c->input[0].dtype;
  double low = keras_number(c, "x_min", -INFINITY), high = keras_number(c, "x_max", INFINITY);
  int y = c->input[0].value;
  y = low > -INFINITY ? keras_binary(c, "max", y, neo_emit_scalar(c->im->e, dtype, low)) : y;
  y = high < INFINITY ? keras_binary(c, "min", y, neo_emit_scalar(c->im->e, dtype, high)) : y;
  keras_out(c, y, c->input[0].rank);
}

void keras_op_cast(keras_call *c, const char *op) {
  neo_dtype dtype;
  const char *name = keras_text(c, "dtype", "float32");
  (void)op;
  if (!neo_dtype_find(name, &dtype))
    keras_unsupported(c, "type '%.32s'", name);
  else
    keras_out(c, neo_emit_cast(c->im->e, c->input[0].value, dtype), c->input[0].rank);
}

/* ---- reductions ------------------------------------------------------------------------------------- */

int keras_axes(keras_call *c, int rank, int64_t *axes) {
  const json_t *v = json_object_get(c->config, "axis");
  int n = json_is_array(v) ? (int)json_array_size(v) : 1;
  if (!v || json_is_null(v)) {
    for (int d = 0; d < rank; d++)
      axes[d] = d;
    return rank;
  }
  if (n > rank || !keras_ints(c, "axis", n, axes))
    n = -1;
  for (int i = 0; i < n; i++) {
    axes[i] += axes[i] < 0 ? rank : 0;
    if (axes[i] < 0 || axes[i] >= rank)
      n = -1;
  }
  if (n < 0)
    keras_bad(c, "axis outside of %d dimensions", rank);
  return n;
}

int keras_reduce(keras_call *c, const char *op, int x, int n, const int64_t *axes, bool keep) {
  neo_node *node = keras_node(c, op, 1, &x, 1);
  if (n > 0)
    neo_node_set_ints(c->im->e->graph, node, "axes", n, axes);
  neo_node_set_int(c->im->e->graph, node, "keepdims", keep);
  return node->output[0];
}

/* Keras 3 makes means of integers real; TensorFlow does not. */
static int real_input(keras_call *c) {
  return keras_is_3(c) && !is_float(c->input[0].dtype) ? keras_operand(c, 0, NEO_F32)
                                                       : c->input[0].value;
}

void keras_op_reduce(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = keras_axes(c, rank, axes);
  bool keep = keras_bool(c, "keepdims", false), most = strcmp(op, "reduce_max") == 0;
  const json_t *initial = json_object_get(c->config, "initial");
  if (n < 0)
    return;
  int x = strcmp(op, "reduce_mean") == 0 ? real_input(c) : c->input[0].value;
  int y = keras_reduce(c, op, x, n, axes, keep);
  if (initial && !json_is_null(initial)) {
    if (!json_is_number(initial) || (!most && strcmp(op, "reduce_min") != 0)) {
      keras_unsupported(c, "its initial value");
      return;
    }
    y = keras_binary(c, most ? "max" : "min", y,
                     neo_emit_scalar(c->im->e, c->input[0].dtype, json_number_value(initial)));
  }
  keras_out(c, y, keep ? rank : rank - n);
}

void keras_op_any_all(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = keras_axes(c, rank, axes);
  bool keep = keras_bool(c, "keepdims", false);
  if (n < 0)
    return;
  int x = neo_emit_cast(c->im->e, keras_operand(c, 0, NEO_BOOL), NEO_I32);
  int y = keras_reduce(c, op, x, n, axes, keep);
  keras_out(c, neo_emit_cast(c->im->e, y, NEO_BOOL), keep ? rank : rank - n);
}

void keras_op_arg(keras_call *c, const char *op) {
  int rank = c->input[0].rank, x = c->input[0].value;
  bool all = json_is_null(json_object_get(c->config, "axis")),
       keep = keras_bool(c, "keepdims", false);
  int axis = all ? 0 : keras_axis(c, "axis", 0, rank);
  if (all && !keep)
    x = keras_reshape(c, x, 1, (int64_t[]){-1});
  if (axis < 0 || (all && keep)) {
    keras_unsupported(c, "its axis");
    return;
  }
  neo_node *node = keras_node(c, op, 1, &x, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  neo_node_set_int(c->im->e->graph, node, "keepdims", keep);
  keras_out(c, neo_emit_cast(c->im->e, node->output[0], NEO_I32), all ? 0 : keep ? rank : rank - 1);
}

void keras_op_variance(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = keras_axes(c, rank, axes);
  bool keep = keras_bool(c, "keepdims", false);
  (void)op;
  if (n < 0)
    return;
  int x = real_input(c);
  int centred = keras_binary(c, "sub", x, keras_reduce(c, "reduce_mean", x, n, axes, true));
  int y = keras_reduce(c, "reduce_mean", keras_binary(c, "mul", centred, centred), n, axes, keep);
  if (c->class_name[0] == 'S')
    y = neo_emit_unary(c->im->e, "sqrt", y);
  keras_out(c, y, keep ? rank : rank - n);
}

void keras_op_cumsum(keras_call *c, const char *op) {
  int rank = c->input[0].rank, axis = keras_axis(c, "axis", 0, rank);
  (void)op;
  if (axis < 0 || json_is_null(json_object_get(c->config, "axis")))
    keras_unsupported(c, "its axis");
  else
    keras_out(c, keras_binary(c, "cumsum", c->input[0].value, neo_emit_int(c->im->e, axis)), rank);
}

/* ---- products --------------------------------------------------------------------------------------- */

void keras_op_matmul(keras_call *c, const char *op) {
  (void)op;
  if (!keras_need(c, 2))
    return;
  int a = c->input[0].rank, b = c->input[1].rank;
  if (strcmp(c->class_name, "Dot") == 0 && (a > 2 || b > 2) && b > 1)
    keras_unsupported(c, "more than two dimensions");
  else
    keras_out(c, keras_binary(c, "matmul", c->input[0].value, c->input[1].value),
              a < 2 || b < 2 ? (a > b ? a : b) - 1 : keras_highest_rank(c));
}

void keras_op_einsum(keras_call *c, const char *op) {
  const char *equation = keras_text(c, "subscripts", ""), *arrow = strstr(equation, "->");
  int all[KERAS_MAX_INPUTS];
  (void)op;
  if (!arrow || strstr(equation, "...")) {
    keras_unsupported(c, "subscripts '%.64s'", equation);
    return;
  }
  for (int i = 0; i < c->n_inputs; i++)
    all[i] = c->input[i].value;
  neo_node *node = keras_node(c, "einsum", c->n_inputs, all, 1);
  neo_node_set_string(c->im->e->graph, node, "equation", equation);
  keras_out(c, node->output[0], (int)strlen(arrow + 2));
}

/* ---- shapes ----------------------------------------------------------------------------------------- */

void keras_op_transpose(keras_call *c, const char *op) {
  int rank = c->input[0].rank;
  int64_t perm[NEO_MAX_RANK];
  const json_t *axes = json_object_get(c->config, "axes");
  (void)op;
  for (int d = 0; d < rank; d++)
    perm[d] = rank - 1 - d;
  if (json_is_array(axes) &&
      ((int)json_array_size(axes) != rank || !keras_ints(c, "axes", rank, perm)))
    keras_bad(c, "axes are not %d numbers", rank);
  for (int d = 0; d < rank; d++)
    perm[d] += perm[d] < 0 ? rank : 0;
  keras_out(c, neo_emit_transpose(c->im->e, c->input[0].value, rank, perm), rank);
}

void keras_op_swap_axes(keras_call *c, const char *op) {
  int rank = c->input[0].rank;
  int a = keras_axis(c, "axis1", 0, rank), b = keras_axis(c, "axis2", 1, rank);
  int64_t perm[NEO_MAX_RANK];
  (void)op;
  for (int d = 0; d < rank; d++)
    perm[d] = d == a ? b : d == b ? a : d;
  if (a < 0 || b < 0)
    keras_bad(c, "axes outside of %d dimensions", rank);
  else
    keras_out(c, neo_emit_transpose(c->im->e, c->input[0].value, rank, perm), rank);
}

/* A dimension that is not known (null) is the batch: as the input's if it comes first. */
void keras_op_reshape(keras_call *c, const char *op) {
  const json_t *v = json_object_get(c->config, "newshape");
  int n = c->class_name[1] == 'a' ? 1 : (int)json_array_size(v);
  int64_t shape[NEO_MAX_RANK] = {-1};
  (void)op;
  if (n > NEO_MAX_RANK || (n == 0 && !json_is_array(v))) {
    keras_bad(c, "newshape is not a list of at most %d numbers", NEO_MAX_RANK);
    return;
  }
  for (int i = 0; i < n && json_is_array(v); i++) {
    const json_t *dim = json_array_get(v, (size_t)i);
    shape[i] = json_is_integer(dim) ? json_integer_value(dim) : i == 0 ? 0 : -1;
  }
  keras_out(c, keras_reshape(c, c->input[0].value, n, shape), n);
}

void keras_op_expand_dims(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  const json_t *v = json_object_get(c->config, "axis");
  int n = json_is_array(v) ? (int)json_array_size(v) : 1, rank = c->input[0].rank;
  (void)op;
  if (n + rank > NEO_MAX_RANK || !keras_ints(c, "axis", n, axes)) {
    keras_bad(c, "axis is not a number");
    return;
  }
  keras_out(c, keras_binary(c, "unsqueeze", c->input[0].value, neo_emit_ints(c->im->e, n, axes)),
            rank + n);
}

void keras_op_squeeze(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  const json_t *v = json_object_get(c->config, "axis");
  int n = json_is_array(v) ? (int)json_array_size(v) : 1, rank = c->input[0].rank;
  (void)op;
  if (n > rank || !keras_ints(c, "axis", n, axes)) {
    keras_unsupported(c, "no axis");
    return;
  }
  keras_out(c, keras_binary(c, "squeeze", c->input[0].value, neo_emit_ints(c->im->e, n, axes)),
            rank - n);
}

void keras_op_concatenate(keras_call *c, const char *op) {
  int all[KERAS_MAX_INPUTS], axis = keras_axis(c, "axis", 0, c->input[0].rank);
  neo_dtype dtype = keras_common_type(c, true);
  (void)op;
  if (axis < 0) {
    keras_bad(c, "axis outside of the inputs' dimensions");
    return;
  }
  for (int i = 0; i < c->n_inputs; i++)
    all[i] = keras_operand(c, i, dtype);
  neo_node *node = keras_node(c, "concat", c->n_inputs, all, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  keras_out(c, node->output[0], c->input[0].rank);
}

void keras_op_stack(keras_call *c, const char *op) {
  int all[KERAS_MAX_INPUTS], rank = c->input[0].rank + 1, axis = keras_axis(c, "axis", 0, rank);
  neo_dtype dtype = keras_common_type(c, true);
  (void)op;
  if (axis < 0 || rank > NEO_MAX_RANK) {
    keras_bad(c, "axis outside of the result's dimensions");
    return;
  }
  for (int i = 0; i < c->n_inputs; i++)
    all[i] = keras_binary(c, "unsqueeze", keras_operand(c, i, dtype),
                          neo_emit_ints(c->im->e, 1, (int64_t[]){axis}));
  neo_node *node = keras_node(c, "concat", c->n_inputs, all, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  keras_out(c, node->output[0], rank);
}

int keras_part(keras_call *c, int x, int64_t axis, int64_t from, int64_t to, int64_t step) {
  neo_emitter *e = c->im->e;
  int input[5] = {x, neo_emit_ints(e, 1, &from), neo_emit_ints(e, 1, &to),
                  neo_emit_ints(e, 1, &axis), neo_emit_ints(e, 1, &step)};
  return keras_node(c, "slice", 5, input, 1)->output[0];
}

/* indices_or_sections: how many equal parts, or where they end. */
void keras_op_split(keras_call *c, const char *op) {
  const json_t *v = json_object_get(c->config, "indices_or_sections");
  int rank = c->input[0].rank, axis = keras_axis(c, "axis", 0, rank);
  int64_t n = json_is_integer(v) ? json_integer_value(v) : (int64_t)json_array_size(v) + 1,
          from = 0;
  const neo_shape *shape = neo_emit_shape(c->im->e, c->input[0].value);
  (void)op;
  if (axis < 0 || n < 1 || n > KERAS_MAX_INPUTS || (json_is_integer(v) && !shape)) {
    keras_unsupported(
        c, shape ? "its axis, or more than %d parts" : "the input's shape must be bound (--input)",
        KERAS_MAX_INPUTS);
    return;
  }
  int64_t each = shape ? shape->dim[axis] / n : 0;
  for (int64_t i = 0; i < n; i++) {
    int64_t to = json_is_integer(v) ? from + each
                 : i < n - 1        ? json_integer_value(json_array_get(v, (size_t)i))
                                    : INT32_MAX;
    keras_out(c, keras_part(c, c->input[0].value, axis, from, to, 1), rank);
    from = to;
  }
}

static int64_t limit(const json_t *config, const char *key, int64_t otherwise) {
  const json_t *v = json_object_get(config, key);
  return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

/* x[args[1]]: a number, a slice, null (a new axis), "__ellipsis__", or a list of them. */
void keras_op_get_item(keras_call *c, const char *op) {
  const json_t *key = json_array_get(c->args, 1);
  size_t n = json_is_array(key) ? json_array_size(key) : 1, taken = 0;
  int x = c->input[0].value, rank = c->input[0].rank, axis = 0;
  (void)op;
  for (size_t i = 0; i < n; i++) {
    const json_t *item = json_is_array(key) ? json_array_get(key, i) : key;
    taken += json_is_integer(item) ||
             strcmp("__slice__",
                    json_is_object(item) && json_is_string(json_object_get(item, "class_name"))
                        ? json_string_value(json_object_get(item, "class_name"))
                        : "") == 0;
  }
  for (size_t i = 0; i < n; i++) {
    const json_t *item = json_is_array(key) ? json_array_get(key, i) : key;
    const char *class_name = json_string_value(json_object_get(item, "class_name"));
    const json_t *config = json_object_get(item, "config");
    if (json_is_null(item)) {
      x = keras_binary(c, "unsqueeze", x, neo_emit_ints(c->im->e, 1, (int64_t[]){axis++}));
      rank++;
    } else if (json_is_integer(item) && axis < rank) {
      int64_t at = json_integer_value(item);
      x = keras_part(c, x, axis, at, at == -1 ? INT32_MAX : at + 1, 1);
      x = keras_binary(c, "squeeze", x, neo_emit_ints(c->im->e, 1, (int64_t[]){axis}));
      rank--;
    } else if (class_name && strcmp(class_name, "__slice__") == 0 && axis < rank) {
      int64_t step = limit(config, "step", 1);
      x = keras_part(c, x, axis++, limit(config, "start", step < 0 ? -1 : 0),
                     limit(config, "stop", step < 0 ? INT32_MIN : INT32_MAX), step);
    } else if (class_name && strcmp(class_name, "__ellipsis__") == 0) {
      axis = c->input[0].rank > (int)taken ? axis + c->input[0].rank - (int)taken : axis;
    } else {
      keras_unsupported(c, "an index that is neither a number nor a slice");
      return;
    }
    if (rank > NEO_MAX_RANK) {
      keras_bad(c, "more than %d dimensions", NEO_MAX_RANK);
      return;
    }
  }
  keras_out(c, x, rank);
}

void keras_op_tile(keras_call *c, const char *op) {
  int64_t repeats[NEO_MAX_RANK] = {0};
  int rank = c->input[0].rank;
  const json_t *v = json_object_get(c->config, "repeats");
  (void)op;
  if ((int)json_array_size(v) != rank || !keras_ints(c, "repeats", rank, repeats))
    keras_unsupported(c, "repeats that are not one number per dimension");
  else
    keras_out(c, keras_binary(c, "tile", c->input[0].value, neo_emit_ints(c->im->e, rank, repeats)),
              rank);
}

void keras_op_flip(keras_call *c, const char *op) {
  int64_t axes[NEO_MAX_RANK];
  int rank = c->input[0].rank, n = keras_axes(c, rank, axes), x = c->input[0].value;
  (void)op;
  for (int i = 0; i < n; i++)
    x = keras_part(c, x, axes[i], -1, INT32_MIN, -1);
  keras_out(c, x, rank);
}

void keras_op_take(keras_call *c, const char *op) {
  int rank = c->input[0].rank, axis = keras_axis(c, "axis", 0, rank);
  (void)op;
  if (!keras_need(c, 2))
    return;
  if (axis < 0 || json_is_null(json_object_get(c->config, "axis"))) {
    keras_unsupported(c, "no axis");
    return;
  }
  int input[2] = {c->input[0].value, keras_operand(c, 1, NEO_I64)};
  neo_node *node = keras_node(c, "gather", 2, input, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  keras_out(c, node->output[0], rank + c->input[1].rank - 1);
}

/* Classes below zero, which the operator counts from the end, are none here. */
int keras_classes(keras_call *c, int axis) {
  neo_emitter *e = c->im->e;
  int64_t n = keras_int(c, "num_classes", 1);
  int ids = keras_operand(c, 0, NEO_I64), last = neo_emit_scalar(e, NEO_I64, (double)n);
  int below = keras_binary(c, "less", ids, neo_emit_scalar(e, NEO_I64, 0));
  ids = keras_node(c, "where", 3, (int[]){below, last, ids}, 1)->output[0];
  int values = neo_emit_floats(e, 2, (double[]){0, 1});
  neo_node *node = keras_node(c, "one_hot", 3, (int[]){ids, neo_emit_int(e, n), values}, 1);
  neo_node_set_int(e->graph, node, "axis", axis);
  return keras_as_asked(c, node->output[0]);
}

void keras_op_one_hot(keras_call *c, const char *op) {
  int rank = c->input[0].rank + 1, axis = keras_axis(c, "axis", -1, rank);
  (void)op;
  keras_out(c, keras_classes(c, axis < 0 ? rank - 1 : axis), rank);
}

/* ---- the table -------------------------------------------------------------------------------------- */

typedef struct op_row {
  const char *name;
  void (*convert)(keras_call *c, const char *op);
  const char *op;
} op_row;

static const op_row *find_op(const char *class_name) {
  static const op_row rows[] = {
#define X(name, convert, op) {name, convert, op},
#include "frontends/keras_ops.def"
#undef X
  };
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, class_name) == 0)
      return &rows[i];
  return NULL;
}

bool keras_op_known(const char *class_name) {
  return find_op(class_name) != NULL;
}

void keras_convert_op(keras_call *c) {
  const op_row *row = find_op(c->class_name);
  if (row)
    row->convert(c, row->op);
  else
    keras_unsupported(c, "function not implemented");
}
