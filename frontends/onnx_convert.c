/* frontends/onnx_convert.c: the converters of ONNX operators that are not a plain copy: older
 * opsets' attributes become the inputs that newer ones have, element types become ours, and
 * operators that ONNX itself defines by others are written out. */
#include "frontends/onnx_import.h"

#include <string.h>

static neo_status finish(onnx_import *im, onnx_node *node, int n, const int *inputs) {
  neo_node *made = onnx_emit_row(im, node, n, inputs);
  return made ? onnx_copy_attrs(im, node, made) : NEO_OK;
}

/* ---- element types --------------------------------------------------------------------------- */

/* The attribute as one of our dtypes; *present false (and a line in the list) if it is not. */
static neo_status dtype_attr(onnx_import *im, onnx_node *node, const char *name, bool *present,
                             neo_dtype *out) {
  int64_t code = 0;
  const char *type_name;
  *present = false;
  NEO_TRY(onnx_attr_int(im, node, name, &code));
  if (code == 0)
    return NEO_OK;
  if (onnx_dtype(code < 0 || code > 1000 ? -1 : (int32_t)code, out, &type_name) != NEO_OK)
    return onnx_unsupported(im, node, "%s=%lld (%s)", name, (long long)code, type_name);
  *present = true;
  return NEO_OK;
}

/* Emits the row with attribute `name` as the text of a dtype. */
static neo_status emit_with_dtype(onnx_import *im, onnx_node *node, const char *name,
                                  bool required) {
  bool present;
  neo_dtype dtype;
  int before = im->e.unsupported.n;
  NEO_TRY(dtype_attr(im, node, name, &present, &dtype));
  if (im->e.unsupported.n != before)
    return NEO_OK;
  if (required && !present)
    return onnx_bad(im, node, "no attribute '%s'", name);
  neo_node *made = onnx_emit_row(im, node, node->n_inputs, node->input);
  if (!made)
    return NEO_OK;
  if (present) {
    neo_node_set_string(im->e.graph, made, name, neo_dtype_name(dtype));
    im->e.graph->value[made->output[0]].dtype = dtype;
  }
  return onnx_copy_attrs(im, node, made);
}

neo_status onnx_cast(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0);
  neo_dtype to = NEO_DTYPE_COUNT;
  bool present;
  int before = im->e.unsupported.n;
  NEO_TRY(dtype_attr(im, node, "to", &present, &to));
  if (im->e.unsupported.n != before)
    return NEO_OK;
  if (x != NEO_NO_VALUE && present && (to == NEO_STR || im->e.graph->value[x].dtype == NEO_STR)) {
    onnx_attr(node, "saturate");
    onnx_attr(node, "round_mode");
    if (to == NEO_STR && im->e.graph->value[x].dtype == NEO_DTYPE_COUNT)
      neo_emit_dtype(&im->e, x);
    onnx_cast_text(im, node, to);
    return NEO_OK;
  }
  return emit_with_dtype(im, node, "to", true);
}

/* The target's type must be known before inference: see guess_dtype in onnx_node.c. */
neo_status onnx_cast_like(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0), like = onnx_input(node, 1);
  if (x == NEO_NO_VALUE || like == NEO_NO_VALUE)
    return onnx_bad(im, node, "two inputs expected");
  neo_dtype dtype = im->e.graph->value[like].dtype;
  if (dtype == NEO_DTYPE_COUNT)
    dtype = neo_emit_dtype(&im->e, like);
  if (dtype == NEO_DTYPE_COUNT)
    return onnx_unsupported(im, node, "the type of its second input is not known");
  neo_node *made = onnx_emit_row(im, node, 1, &x);
  if (!made)
    return NEO_OK;
  neo_node_set_string(im->e.graph, made, "to", neo_dtype_name(dtype));
  im->e.graph->value[made->output[0]].dtype = dtype;
  return onnx_copy_attrs(im, node, made);
}

/* QuantizeLinear and DequantizeLinear: precision says in what type to divide, which is f32 here. */
neo_status onnx_quantize(onnx_import *im, onnx_node *node) {
  int64_t ignored = 0;
  NEO_TRY(onnx_attr_int(im, node, "precision", &ignored));
  return emit_with_dtype(im, node, "output_dtype", false);
}

neo_status onnx_bitcast(onnx_import *im, onnx_node *node) {
  return emit_with_dtype(im, node, "to", true);
}

neo_status onnx_window(onnx_import *im, onnx_node *node) {
  return emit_with_dtype(im, node, "output_datatype", false);
}

neo_status onnx_eye_like(onnx_import *im, onnx_node *node) {
  return emit_with_dtype(im, node, "dtype", false);
}

/* ---- constants ------------------------------------------------------------------------------- */

static neo_status constant_value(onnx_import *im, onnx_node *node, int *out) {
  const Onnx__Attribute *attr;
  double f = 0;
  int64_t i = 0;
  const double *floats;
  const int64_t *ints;
  int n;
  if ((attr = onnx_attr(node, "value")) != NULL) {
    neo_tensor tensor;
    if (!attr->t)
      return onnx_bad(im, node, "attribute 'value' is not a tensor");
    NEO_TRY(onnx_tensor(im, attr->t, node->name, &tensor));
    *out = neo_graph_add_constant(im->e.graph, node->name, &tensor);
  } else if (onnx_attr(node, "value_float")) {
    NEO_TRY(onnx_attr_float(im, node, "value_float", &f));
    *out = onnx_make_scalar_like(im, node, "value", NEO_F32, f);
  } else if (onnx_attr(node, "value_int")) {
    NEO_TRY(onnx_attr_int(im, node, "value_int", &i));
    *out = onnx_make_scalar_like(im, node, "value", NEO_I64, 0);
    neo_tensor_set_i64(im->e.graph->value[*out].constant, 0, i);
  } else if (onnx_attr(node, "value_floats")) {
    NEO_TRY(onnx_attr_floats(im, node, "value_floats", &n, &floats));
    *out = onnx_make_floats(im, node, "value", n, floats);
  } else if (onnx_attr(node, "value_ints")) {
    NEO_TRY(onnx_attr_ints(im, node, "value_ints", &n, &ints));
    *out = onnx_make_ints(im, node, "value", n, ints);
  } else if (onnx_attr(node, "value_string")) {
    const char *text = "";
    NEO_TRY(onnx_attr_string(im, node, "value_string", &text));
    *out = onnx_make_text(im, node, "value", text);
  } else if (onnx_attr(node, "value_strings")) {
    const char *const *texts;
    NEO_TRY(onnx_attr_texts(im, node, "value_strings", &n, &texts));
    *out = onnx_make_texts(im, node, "value", n, texts);
  }
  return NEO_OK;
}

neo_status onnx_constant(onnx_import *im, onnx_node *node) {
  int value = NEO_NO_VALUE;
  NEO_TRY(constant_value(im, node, &value));
  if (value != NEO_NO_VALUE)
    onnx_bind(im, node, 0, value);
  else if (node->pb->n_attribute == 0)
    return onnx_bad(im, node, "it has no value");
  return NEO_OK; /* sparse_value: reported as unread attributes */
}

neo_status onnx_constant_of_shape(onnx_import *im, onnx_node *node) {
  const Onnx__Attribute *attr = onnx_attr(node, "value");
  neo_tensor fill = {NEO_F32, {1, {1}}, NULL, 4};
  int64_t n;
  fill.data = neo_arena_alloc(im->e.graph->arena, 16);
  if (attr && !attr->t)
    return onnx_bad(im, node, "attribute 'value' is not a tensor");
  if (attr)
    NEO_TRY(onnx_tensor(im, attr->t, node->name, &fill));
  if (!neo_shape_elements(&fill.shape, &n) || n != 1)
    return onnx_bad(im, node, "attribute 'value' has %lld elements, 1 expected", (long long)n);
  neo_node *made = onnx_emit_row(im, node, node->n_inputs, node->input);
  if (made) {
    neo_node_set_tensor(im->e.graph, made, "value", &fill);
    im->e.graph->value[made->output[0]].dtype = fill.dtype;
  }
  return NEO_OK;
}

/* ---- normalisation --------------------------------------------------------------------------- */

neo_status onnx_batch_norm(onnx_import *im, onnx_node *node) {
  int64_t training = 0, spatial = 1, is_test = 0;
  NEO_TRY(onnx_attr_int(im, node, "training_mode", &training));
  NEO_TRY(onnx_attr_int(im, node, "spatial", &spatial));
  if (node->opset < 7) {
    NEO_TRY(onnx_attr_int(im, node, "is_test", &is_test));
    training = is_test == 0 && node->n_outputs > 1;
  }
  if (training != 0 && spatial == 1)
    return onnx_batch_norm_training(im, node);
  if (spatial != 1)
    return onnx_unsupported(im, node, "spatial=%lld", (long long)spatial);
  if (node->n_outputs > 1)
    return onnx_unsupported(im, node, "%d outputs (training)", node->n_outputs);
  return onnx_plain(im, node);
}

static int emit_one(onnx_import *im, onnx_node *node, const char *op, int a, int b) {
  int inputs[2] = {a, b};
  neo_node *made = onnx_emit(im, node, op, 2, inputs, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

/* Until opset 12 Hardmax works on the matrix that flattening at `axis` (default 1) gives. */
neo_status onnx_softmax_11(onnx_import *im, onnx_node *node) {
  int64_t axis = 1;
  int x = onnx_input(node, 0);
  NEO_TRY(onnx_attr_int(im, node, "axis", &axis));
  if (x == NEO_NO_VALUE)
    return onnx_bad(im, node, "no input");
  int shape = emit_one(im, node, "shape", x, NEO_NO_VALUE);
  neo_node *made = onnx_emit(im, node, "flatten", 1, &x, 1);
  neo_node_set_int(im->e.graph, made, "axis", axis);
  int flat = made->output[0];
  made = onnx_emit(im, node, node->row->op, 1, &flat, 1);
  neo_node_set_int(im->e.graph, made, "axis", 1);
  onnx_bind(im, node, 0, emit_one(im, node, "reshape", made->output[0], shape));
  return NEO_OK;
}

/* Inference: the identity; the mask is all true. */
neo_status onnx_dropout(onnx_import *im, onnx_node *node) {
  int mode = onnx_input(node, 2), x = onnx_input(node, 0);
  const neo_tensor *training = neo_emit_const(&im->e, mode);
  if (x == NEO_NO_VALUE)
    return onnx_bad(im, node, "no input");
  if (mode != NEO_NO_VALUE && (!training || training->size == 0))
    return onnx_unsupported(im, node, "training_mode is not a constant");
  if (training && neo_tensor_get_i64(training, 0) != 0)
    return onnx_dropout_training(im, node);
  int out = emit_one(im, node, "identity", x, NEO_NO_VALUE);
  if (out == NEO_NO_VALUE)
    return NEO_OK;
  onnx_bind(im, node, 0, out);
  onnx_attr(node, "seed");
  onnx_attr(node, "ratio");
  if (node->n_outputs < 2)
    return NEO_OK;
  int shape = emit_one(im, node, "shape", x, NEO_NO_VALUE);
  int yes = onnx_make_scalar_like(im, node, "mask", NEO_BOOL, 1);
  int mask = emit_one(im, node, "expand", yes, shape);
  if (mask != NEO_NO_VALUE)
    onnx_bind(im, node, 1, mask);
  return NEO_OK;
}

/* ---- resampling ------------------------------------------------------------------------------ */

static bool is_empty_constant(onnx_import *im, int value) {
  const neo_tensor *tensor = onnx_const(im, value);
  return tensor && tensor->size == 0;
}

/* Opset 11 wants all inputs, absent ones as empty tensors. */
neo_status onnx_resize(onnx_import *im, onnx_node *node) {
  int inputs[4];
  if (node->n_inputs > 4)
    return onnx_bad(im, node, "%d inputs, at most 4 expected", node->n_inputs);
  for (int i = 0; i < 4; i++) {
    inputs[i] = onnx_input(node, i);
    if (is_empty_constant(im, inputs[i]))
      inputs[i] = NEO_NO_VALUE;
  }
  return finish(im, node, 4, inputs);
}

/* The old operators' nearest: the floor, except that onnxruntime's Resize-10 takes the ceiling of a
 * dimension that shrinks. NULL if one shrinks and another grows: we have one rule for all. */
static const char *old_nearest_mode(onnx_import *im, const onnx_node *node, int scales) {
  const neo_tensor *tensor = onnx_const(im, scales);
  bool shrinks = false, grows = false;
  for (int64_t i = 0; tensor && tensor->shape.rank == 1 && i < tensor->shape.dim[0]; i++) {
    shrinks |= neo_tensor_get_f64(tensor, i) < 1;
    grows |= neo_tensor_get_f64(tensor, i) > 1;
  }
  if (shrinks && grows)
    return NULL;
  return shrinks && strcmp(node->row->name, "Resize") == 0 ? "ceil" : "floor";
}

/* Upsample-7 (scales attribute), -9 and Resize-10 (scales input): asymmetric coordinates. */
neo_status onnx_upsample(onnx_import *im, onnx_node *node) {
  const double *scales;
  int n;
  NEO_TRY(onnx_attr_floats(im, node, "scales", &n, &scales));
  int inputs[3] = {onnx_input(node, 0), NEO_NO_VALUE, onnx_input(node, 1)};
  if (n >= 0)
    inputs[2] = onnx_make_floats(im, node, "scales", n, scales);
  if (inputs[2] == NEO_NO_VALUE)
    return onnx_bad(im, node, "no scales");
  neo_node *made = onnx_emit_row(im, node, 3, inputs);
  if (!made)
    return NEO_OK;
  NEO_TRY(onnx_copy_attrs(im, node, made));
  const char *nearest = old_nearest_mode(im, node, inputs[2]);
  if (!nearest && strcmp(neo_node_string(made, "mode", ""), "nearest") == 0)
    return onnx_unsupported(im, node, "scales both below and above 1");
  neo_node_set_string(im->e.graph, made, "coordinate_transformation_mode", "asymmetric");
  neo_node_set_string(im->e.graph, made, "nearest_mode", nearest ? nearest : "floor");
  if (strcmp(neo_node_string(made, "mode", ""), "bilinear") == 0)
    neo_node_set_string(im->e.graph, made, "mode", "linear");
  return NEO_OK;
}
