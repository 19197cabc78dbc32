/* frontends/keras_lambda.c: functions of TensorFlow called on the tensors of a Keras 2 model: x *
 * 2, tf.concat([x, y], -1), x[:, 0].
 *
 * Keras 2 writes each as a layer TFOpLambda (slices: SlicingOpLambda) with the function's name in
 * its configuration and its other arguments by name in inbound_nodes. They are what Keras 3 calls
 * otherwise, so such a call becomes one of keras_ops.c: its class, and a configuration with the
 * names that Keras 3 gives the arguments. */
#include "frontends/keras_lambda.h"

#include <math.h>
#include <string.h>

static const struct {
  const char *function, *class_name; /* of Keras 3 */
} rows[] = {
    {"math.add", "Add"},
    {"__operators__.add", "Add"},
    {"math.subtract", "Subtract"},
    {"__operators__.sub", "Subtract"},
    {"math.multiply", "Multiply"},
    {"__operators__.mul", "Multiply"},
    {"math.truediv", "TrueDivide"},
    {"math.divide", "TrueDivide"},
    {"__operators__.truediv", "TrueDivide"},
    {"math.floordiv", "FloorDivide"},
    {"floor_div", "FloorDivide"},
    {"math.floormod", "Mod"},
    {"math.pow", "Power"},
    {"math.maximum", "Maximum"},
    {"math.minimum", "Minimum"},
    {"math.equal", "Equal"},
    {"__operators__.eq", "Equal"},
    {"math.not_equal", "NotEqual"},
    {"__operators__.ne", "NotEqual"},
    {"math.greater", "Greater"},
    {"math.greater_equal", "GreaterEqual"},
    {"math.less", "Less"},
    {"math.less_equal", "LessEqual"},
    {"math.logical_and", "LogicalAnd"},
    {"math.logical_or", "LogicalOr"},
    {"math.logical_not", "LogicalNot"},
    {"math.negative", "Negative"},
    {"math.abs", "Absolute"},
    {"math.sign", "Sign"},
    {"math.square", "Square"},
    {"math.sqrt", "Sqrt"},
    {"math.rsqrt", "Rsqrt"},
    {"math.exp", "Exp"},
    {"math.expm1", "Expm1"},
    {"math.log", "Log"},
    {"math.log1p", "Log1p"},
    {"math.floor", "Floor"},
    {"math.ceil", "Ceil"},
    {"math.round", "Round"},
    {"math.reciprocal", "Reciprocal"},
    {"math.sin", "Sin"},
    {"math.cos", "Cos"},
    {"math.erf", "Erf"},
    {"math.tanh", "Tanh"},
    {"nn.tanh", "Tanh"},
    {"math.sigmoid", "Sigmoid"},
    {"nn.sigmoid", "Sigmoid"},
    {"math.softplus", "Softplus"},
    {"nn.softplus", "Softplus"},
    {"nn.softsign", "Softsign"},
    {"nn.relu", "Relu"},
    {"nn.relu6", "Relu6"},
    {"nn.leaky_relu", "LeakyRelu"},
    {"nn.elu", "Elu"},
    {"nn.selu", "Selu"},
    {"nn.silu", "Silu"},
    {"nn.swish", "Silu"},
    {"nn.gelu", "Gelu"},
    {"nn.softmax", "Softmax"},
    {"nn.log_softmax", "LogSoftmax"},
    {"math.reduce_sum", "Sum"},
    {"math.reduce_mean", "Mean"},
    {"math.reduce_max", "Max"},
    {"math.reduce_min", "Min"},
    {"math.reduce_prod", "Prod"},
    {"math.reduce_std", "Std"},
    {"math.reduce_variance", "Var"},
    {"math.reduce_logsumexp", "Logsumexp"},
    {"math.argmax", "Argmax"},
    {"math.argmin", "Argmin"},
    {"math.cumsum", "Cumsum"},
    {"linalg.matmul", "Matmul"},
    {"concat", "Concatenate"},
    {"stack", "Stack"},
    {"split", "Split"},
    {"reshape", "Reshape"},
    {"transpose", "Transpose"},
    {"expand_dims", "ExpandDims"},
    {"squeeze", "Squeeze"},
    {"tile", "Tile"},
    {"reverse", "Flip"},
    {"gather", "Take"},
    {"where", "Where"},
    {"cast", "Cast"},
    {"clip_by_value", "Clip"},
    {"identity", "Identity"},
    {"stop_gradient", "StopGradient"},
    {"zeros_like", "ZerosLike"},
    {"ones_like", "OnesLike"},
    {"one_hot", "OneHot"},
    {"math.reduce_any", "Any"},
    {"math.reduce_all", "All"},
    {"math.top_k", "TopK"},
    {"math.cumprod", "Cumprod"},
    {"math.tan", "Tan"},
    {"math.divide_no_nan", "DivideNoNan"},
    {"norm", "Norm"},
    {"pad", "Pad"},
    {"roll", "Roll"},
    {"repeat", "Repeat"},
    {"unstack", "Unstack"},
    {"nn.depth_to_space", "DepthToSpace"},
    {"nn.space_to_depth", "SpaceToDepth"},
    {"image.resize", "Resize"},
    {"math.l2_normalize", "Normalize"},
    {"math.atan2", "Arctan2"},
    {"nn.conv2d", "Conv"},
    {"nn.depthwise_conv2d", "DepthwiseConv"},
    {"nn.max_pool2d", "MaxPool"},
    {"nn.avg_pool2d", "AveragePool"},
};

static const struct {
  const char *tf, *keras;
} arguments[] = {
    {"perm", "axes"},
    {"shape", "newshape"},
    {"num_or_size_splits", "indices_or_sections"},
    {"clip_value_min", "x_min"},
    {"clip_value_max", "x_max"},
    {"alpha", "negative_slope"},
    {"multiples", "repeats"},
    {"depth", "num_classes"},
    {"method", "interpolation"},
    {"paddings", "pad_width"},
    {"dim", "axis"}, /* these are compat.v1's */
    {"dimension", "axis"},
    {"reduction_indices", "axis"},
    {"keep_dims", "keepdims"},
    {"ksize", "pool_size"},
    {"dilations", "dilation_rate"},
};

bool keras_is_lambda(const char *class_name) {
  return strcmp(class_name, "TFOpLambda") == 0 || strcmp(class_name, "SlicingOpLambda") == 0;
}

bool keras_lambda_operand(const char *argument) {
  static const char *const names[] = {"x", "y", "a", "b", "indices", "filter", "filters"};
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (strcmp(names[i], argument) == 0)
      return true;
  return false;
}

/* Sizes to where the parts end; behind a size of -1, which takes what is left, counted from the
 * end. */
static json_t *ends_of(const json_t *sizes) {
  json_t *ends = json_array();
  size_t n = json_array_size(sizes);
  json_int_t at = 0;
  bool left = false;
  for (size_t i = 0; i + 1 < n; i++) {
    json_int_t size = json_integer_value(json_array_get(sizes, i));
    if (size < 0 && !left) {
      left = true;
      at = 0;
      for (size_t k = i + 1; k < n; k++)
        at -= json_integer_value(json_array_get(sizes, k));
    } else {
      at += size;
    }
    json_array_append_new(ends, json_integer(at));
  }
  return ends;
}

static void set_argument(json_t *config, const char *name, json_t *value) {
  for (int i = 0; i < NEO_COUNT(arguments); i++)
    if (strcmp(arguments[i].tf, name) == 0)
      name = arguments[i].keras;
  if (json_is_null(value) && json_object_get(config, name))
    return; /* of two names for one argument this one was not given */
  if (strcmp(name, "indices_or_sections") == 0 && json_is_array(value))
    json_object_set_new(config, name, ends_of(value));
  else
    json_object_set(config, name, value);
}

/* x[spec]: as GetItem's second argument. */
static json_t *slices_of(const json_t *spec) {
  json_t *list = json_array(), *args = json_array();
  for (size_t i = 0; i < json_array_size(spec); i++) {
    json_t *item = json_array_get(spec, i);
    if (!json_is_object(item) || json_object_get(item, "class_name")) { /* a class: "..." */
      json_array_append(list, item);
      continue;
    }
    json_t *slice = json_object();
    json_object_set_new(slice, "class_name", json_string("__slice__"));
    json_object_set(slice, "config", item);
    json_array_append_new(list, slice);
  }
  json_array_append_new(args, json_null());
  json_array_append_new(args, list);
  return args;
}

/* Arguments that no function of Keras 3 has: what they ask for would be left out. */
static void refuse_arguments(keras_call *c, const json_t *kwargs) {
  static const char *const names[] = {"transpose_a",
                                      "transpose_b",
                                      "adjoint_a",
                                      "adjoint_b",
                                      "batch_dims",
                                      "exclusive",
                                      "reverse",
                                      "on_value",
                                      "off_value",
                                      "squeeze_dims",
                                      "a_is_sparse",
                                      "b_is_sparse",
                                      "preserve_aspect_ratio"};
  for (int i = 0; i < NEO_COUNT(names); i++) {
    const json_t *v = json_object_get(kwargs, names[i]);
    if (json_is_true(v) || json_is_array(v) || (json_is_number(v) && json_number_value(v) != 0))
      keras_unsupported(c, "argument '%s'", names[i]);
  }
}

/* Windows: [1, 2, 2, 1] is [2, 2]; NHWC and SAME have other names. */
static void set_window(keras_call *c, json_t *config) {
  static const char *const sizes[] = {"strides", "pool_size", "dilation_rate"};
  const char *format = json_string_value(json_object_get(config, "data_format"));
  bool first = format && strcmp(format, "NCHW") == 0;
  for (int i = 0; i < NEO_COUNT(sizes); i++) {
    const json_t *v = json_object_get(config, sizes[i]);
    if (json_is_null(v))
      json_object_del(config, sizes[i]);
    else if (json_array_size(v) == 4)
      json_object_set_new(
          config, sizes[i],
          json_pack("[O, O]", json_array_get(v, first ? 2 : 1), json_array_get(v, first ? 3 : 2)));
  }
  json_object_set_new(config, "data_format",
                      json_string(first ? "channels_first" : "channels_last"));
  if (!json_is_string(json_object_get(config, "padding")))
    keras_unsupported(c, "padding that is not SAME or VALID");
}

/* What a function does where the call does not say it, and Keras 3's does something else. */
static void set_defaults(const keras_call *c, json_t *config) {
  static const char *const first_axis[] = {"Argmax", "Argmin", "Cumsum", "Cumprod", "Take"};
  bool none = json_is_null(json_object_get(config, "axis")) || !json_object_get(config, "axis");
  for (int i = 0; i < NEO_COUNT(first_axis) && none; i++)
    if (strcmp(first_axis[i], c->class_name) == 0)
      json_object_set_new(config, "axis", json_integer(0));
  if (strcmp(c->class_name, "Repeat") == 0 && none)
    json_object_set_new(config, "axis", json_null());
  if (strcmp(c->class_name, "Softmax") == 0 && none)
    json_object_del(config, "axis");
  if (strcmp(c->class_name, "Normalize") == 0) { /* Keras squares it */
    const json_t *epsilon = json_object_get(config, "epsilon");
    double v = json_is_number(epsilon) ? json_number_value(epsilon) : 1e-12;
    json_object_set_new(config, "epsilon", json_real(sqrt(v > 0 ? v : 0)));
  }
  if (strcmp(c->class_name, "Gelu") == 0 && !json_object_get(config, "approximate"))
    json_object_set_new(config, "approximate", json_false());
}

json_t *keras_lambda_open(keras_call *c, const json_t *kwargs) {
  const char *function = json_string_value(json_object_get(c->config, "function")), *key;
  json_t *config = json_object(), *value;
  function = function ? function : "?";
  if (strncmp(function, "compat.v1.", 10) == 0)
    function += 10;
  c->function = true;
  json_object_foreach((json_t *)(uintptr_t)kwargs, key, value) set_argument(config, key, value);
  if (strcmp(c->class_name, "SlicingOpLambda") == 0) {
    json_object_set_new(config, "args", slices_of(json_object_get(kwargs, "slice_spec")));
    c->class_name = "GetItem";
    c->args = json_object_get(config, "args");
  } else {
    c->class_name = neo_arena_printf(c->im->arena, "tf.%s", function);
    for (int i = 0; i < NEO_COUNT(rows); i++)
      if (strcmp(rows[i].function, function) == 0)
        c->class_name = rows[i].class_name;
  }
  set_defaults(c, config);
  c->config = config;
  const char *scope = c->im->e->scope;
  c->im->e->scope = neo_arena_strdup(c->im->arena, c->name); /* messages name the node */
  if (json_object_get(config, "padding"))
    set_window(c, config);
  refuse_arguments(c, kwargs);
  c->im->e->scope = scope;
  return config;
}

/* Keras 2 does not write what type a result has. */
void keras_lambda_types(keras_call *c) {
  static const char *const conditions[] = {"Equal",        "NotEqual",  "Greater",
                                           "GreaterEqual", "Less",      "LessEqual",
                                           "LogicalAnd",   "LogicalOr", "LogicalNot"};
  neo_dtype dtype = c->n_inputs ? c->input[0].dtype : NEO_F32;
  for (int i = 0; i < c->n_inputs && dtype == NEO_DTYPE_COUNT; i++)
    dtype = c->input[i].dtype;
  if (strcmp(c->class_name, "Where") == 0 && c->n_inputs > 1)
    dtype = c->input[1].dtype;
  if (strncmp(c->class_name, "Arg", 3) == 0)
    dtype = NEO_I32;
  if (strcmp(c->class_name, "Cast") == 0)
    neo_dtype_find(keras_text(c, "dtype", "float32"), &dtype);
  for (int i = 0; i < NEO_COUNT(conditions); i++)
    if (strcmp(conditions[i], c->class_name) == 0)
      dtype = NEO_BOOL;
  for (int i = 0; i < c->n_outputs; i++)
    c->output[i].dtype = dtype == NEO_DTYPE_COUNT ? NEO_F32 : dtype;
}
