/* frontends/onnx_ml.c: ai.onnx.ml's linear models and feature operators over ours; trees are in
 * onnx_ml_trees.c. Maps do not exist here: ZipMap passes the tensor of scores on. */
#include "frontends/onnx_ml.h"

#include <math.h>
#include <string.h>

static int emit(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int emit1(onnx_import *im, onnx_node *node, const char *op, int a) {
  return emit(im, node, op, 1, &a);
}

static int emit2(onnx_import *im, onnx_node *node, const char *op, int a, int b) {
  return emit(im, node, op, 2, (int[]){a, b});
}

static int as_float(onnx_import *im, onnx_node *node, int value) {
  neo_node *made = onnx_emit(im, node, "cast", 1, &value, 1);
  neo_node_set_string(im->e.graph, made, "to", "f32");
  return made->output[0];
}

static int scalar(onnx_import *im, onnx_node *node, double v) {
  return onnx_make_scalar_like(im, node, "c", NEO_F32, v);
}

/* ---- scores ---------------------------------------------------------------------------------- */

neo_status onnx_ml_read_labels(onnx_import *im, onnx_node *node, const char *name,
                               onnx_ml_labels *out) {
  int n;
  *out = (onnx_ml_labels){0};
  NEO_TRY(onnx_attr_ints(im, node, name, &out->n, &out->value));
  out->n = out->n < 0 ? 0 : out->n;
  NEO_TRY(onnx_attr_texts(im, node, "classlabels_strings", &n, &out->text));
  if (n > 0)
    out->n = n;
  else
    out->text = NULL;
  return NEO_OK;
}

static neo_status post_name(onnx_import *im, onnx_node *node, const char **out) {
  static const char *const numbered[] = {"NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"};
  const Onnx__Attribute *attr = onnx_attr(node, "post_transform");
  *out = "NONE";
  if (attr && attr->has_i && !attr->has_s) {
    *out = attr->i >= 0 && attr->i < NEO_COUNT(numbered) ? numbered[attr->i] : "?";
    return NEO_OK;
  }
  return onnx_attr_string(im, node, "post_transform", out);
}

static int softmax(onnx_import *im, onnx_node *node, int value) {
  neo_node *made = onnx_emit(im, node, "softmax", 1, &value, 1);
  neo_node_set_int(im->e.graph, made, "axis", -1);
  return made->output[0];
}

/* Softmax over the scores that are not zero; zeros stay. */
static int softmax_zero(onnx_import *im, onnx_node *node, int value) {
  int none = emit2(im, node, "equal", value, scalar(im, node, 0));
  int lowered = emit(im, node, "where", 3, (int[]){none, scalar(im, node, -INFINITY), value});
  return emit(im, node, "where", 3, (int[]){none, scalar(im, node, 0), softmax(im, node, lowered)});
}

static neo_status post(onnx_import *im, onnx_node *node, int *value) {
  const char *name;
  NEO_TRY(post_name(im, node, &name));
  if (strcmp(name, "LOGISTIC") == 0)
    *value = emit1(im, node, "sigmoid", *value);
  else if (strcmp(name, "SOFTMAX") == 0)
    *value = softmax(im, node, *value);
  else if (strcmp(name, "SOFTMAX_ZERO") == 0)
    *value = softmax_zero(im, node, *value);
  else if (strcmp(name, "NONE") != 0)
    return onnx_unsupported(im, node, "post_transform '%s'", name);
  return NEO_OK;
}

neo_status onnx_ml_post(onnx_import *im, onnx_node *node, int k, int value) {
  NEO_TRY(post(im, node, &value));
  onnx_bind(im, node, k, value);
  return NEO_OK;
}

int onnx_ml_column(onnx_import *im, onnx_node *node, int scores, int64_t k) {
  int index = onnx_make_ints(im, node, "column", 1, &k);
  neo_node *made = onnx_emit(im, node, "gather", 2, (int[]){scores, index}, 1);
  neo_node_set_int(im->e.graph, made, "axis", 1);
  return made->output[0];
}

int onnx_ml_two_columns(onnx_import *im, onnx_node *node, int s, bool one) {
  int other = one ? emit2(im, node, "sub", scalar(im, node, 1), s) : emit1(im, node, "neg", s);
  neo_node *made = onnx_emit(im, node, "concat", 2, (int[]){other, s}, 1);
  neo_node_set_int(im->e.graph, made, "axis", 1);
  return made->output[0];
}

int onnx_ml_best(onnx_import *im, onnx_node *node, int scores) {
  neo_node *best = onnx_emit(im, node, "arg_max", 1, &scores, 1);
  neo_node_set_int(im->e.graph, best, "axis", 1);
  neo_node_set_int(im->e.graph, best, "keepdims", 0);
  return best->output[0];
}

int onnx_ml_label(onnx_import *im, onnx_node *node, const onnx_ml_labels *labels, int index) {
  if (labels->n < 1)
    return index;
  return emit2(im, node, "gather",
               labels->text ? onnx_make_texts(im, node, "labels", labels->n, labels->text)
                            : onnx_make_ints(im, node, "labels", labels->n, labels->value),
               index);
}

neo_status onnx_ml_classify(onnx_import *im, onnx_node *node, const onnx_ml_labels *labels,
                            int scores) {
  int best = onnx_ml_best(im, node, scores); /* a softmax that leaves zeros changes the order */
  NEO_TRY(post(im, node, &scores));
  onnx_bind(im, node, 0, onnx_ml_label(im, node, labels, best));
  onnx_bind(im, node, 1, scores);
  return NEO_OK;
}

int onnx_ml_above(onnx_import *im, onnx_node *node, int s, double least) {
  int above = emit2(im, node, "greater", s, scalar(im, node, least));
  neo_node *index = onnx_emit(im, node, "cast", 1, &above, 1);
  neo_node_set_string(im->e.graph, index, "to", "i64");
  int64_t flat = -1;
  return emit2(im, node, "reshape", index->output[0], onnx_make_ints(im, node, "flat", 1, &flat));
}

neo_status onnx_ml_classify_one(onnx_import *im, onnx_node *node, const onnx_ml_labels *labels,
                                int s, double least, bool one) {
  const char *name;
  NEO_TRY(post_name(im, node, &name));
  if (strcmp(name, "PROBIT") == 0)
    return onnx_unsupported(im, node, "post_transform '%s'", name);
  onnx_bind(im, node, 0, onnx_ml_label(im, node, labels, onnx_ml_above(im, node, s, least)));
  bool logistic = strcmp(name, "LOGISTIC") == 0;
  int both = onnx_ml_two_columns(im, node, s, one && !logistic);
  onnx_bind(im, node, 1, logistic ? emit1(im, node, "sigmoid", both) : both);
  return NEO_OK;
}

/* ---- linear models --------------------------------------------------------------------------- */

/* x [n, features] times coefficients [targets, features] plus intercepts. */
static neo_status linear(onnx_import *im, onnx_node *node, int64_t targets, int *out) {
  const double *weight, *intercept;
  int n, n_intercepts;
  NEO_TRY(onnx_attr_floats(im, node, "coefficients", &n, &weight));
  NEO_TRY(onnx_attr_floats(im, node, "intercepts", &n_intercepts, &intercept));
  if (targets < 1 || n < 1 || n % targets)
    return onnx_bad(im, node, "%d coefficients for %lld targets", n, (long long)targets);
  int w = onnx_make_floats(im, node, "coefficients", n, weight);
  int64_t shape[2] = {targets, n / targets};
  w = emit2(im, node, "reshape", w, onnx_make_ints(im, node, "shape", 2, shape));
  int in[3] = {as_float(im, node, onnx_input(node, 0)), w, NEO_NO_VALUE};
  if (n_intercepts > 0)
    in[2] = onnx_make_floats(im, node, "intercepts", n_intercepts, intercept);
  neo_node *made = onnx_emit(im, node, "gemm", 3, in, 1);
  neo_node_set_int(im->e.graph, made, "trans_b", 1);
  *out = made->output[0];
  return NEO_OK;
}

neo_status onnx_linear_classifier(onnx_import *im, onnx_node *node) {
  onnx_ml_labels labels;
  const double *intercept;
  int scores, n, before = im->e.unsupported.n;
  NEO_TRY(onnx_ml_read_labels(im, node, "classlabels_ints", &labels));
  NEO_TRY(onnx_attr_floats(im, node, "intercepts", &n, &intercept));
  onnx_attr(node, "multi_class");
  int64_t targets = n > 0 ? n : labels.n > 0 ? labels.n : 1;
  if (im->e.unsupported.n != before)
    return NEO_OK;
  NEO_TRY(linear(im, node, targets, &scores));
  if (targets == 1 && labels.n == 2)
    return onnx_ml_classify_one(im, node, &labels, scores, 0, true);
  return onnx_ml_classify(im, node, &labels, scores);
}

neo_status onnx_linear_regressor(onnx_import *im, onnx_node *node) {
  int64_t targets = 1;
  int y;
  NEO_TRY(onnx_attr_int(im, node, "targets", &targets));
  NEO_TRY(linear(im, node, targets, &y));
  return onnx_ml_post(im, node, 0, y);
}

/* ---- features -------------------------------------------------------------------------------- */

neo_status onnx_scaler(onnx_import *im, onnx_node *node) {
  const double *offset, *scale;
  int n_offset, n_scale, x = as_float(im, node, onnx_input(node, 0));
  NEO_TRY(onnx_attr_floats(im, node, "offset", &n_offset, &offset));
  NEO_TRY(onnx_attr_floats(im, node, "scale", &n_scale, &scale));
  if (n_offset > 0)
    x = emit2(im, node, "sub", x, onnx_make_floats(im, node, "offset", n_offset, offset));
  if (n_scale > 0)
    x = emit2(im, node, "mul", x, onnx_make_floats(im, node, "scale", n_scale, scale));
  onnx_bind(im, node, 0, x);
  return NEO_OK;
}

neo_status onnx_normalizer(onnx_import *im, onnx_node *node) {
  const char *norm = "MAX";
  NEO_TRY(onnx_attr_string(im, node, "norm", &norm));
  const char *op = strcmp(norm, "L1") == 0   ? "reduce_l1"
                   : strcmp(norm, "L2") == 0 ? "reduce_l2"
                                             : "reduce_max";
  int x = as_float(im, node, onnx_input(node, 0)); /* MAX is of the signed values, as specified */
  neo_node *made = onnx_emit(im, node, op, 1, &x, 1);
  neo_node_set_ints(im->e.graph, made, "axes", 1, (int64_t[]){-1});
  int size = made->output[0], none = emit2(im, node, "equal", size, scalar(im, node, 0));
  size = emit(im, node, "where", 3, (int[]){none, scalar(im, node, 1), size});
  onnx_bind(im, node, 0, emit2(im, node, "div", x, size));
  return NEO_OK;
}

neo_status onnx_binarizer(onnx_import *im, onnx_node *node) {
  double threshold = 0;
  NEO_TRY(onnx_attr_float(im, node, "threshold", &threshold));
  int x = as_float(im, node, onnx_input(node, 0));
  int above = emit2(im, node, "greater", x, scalar(im, node, threshold));
  onnx_bind(im, node, 0,
            emit(im, node, "where", 3, (int[]){above, scalar(im, node, 1), scalar(im, node, 0)}));
  return NEO_OK;
}

neo_status onnx_imputer(onnx_import *im, onnx_node *node) {
  const double *value;
  const int64_t *ints;
  double replaced = 0;
  int n, n_ints, x = onnx_input(node, 0);
  NEO_TRY(onnx_attr_floats(im, node, "imputed_value_floats", &n, &value));
  NEO_TRY(onnx_attr_ints(im, node, "imputed_value_int64s", &n_ints, &ints));
  NEO_TRY(onnx_attr_float(im, node, "replaced_value_float", &replaced));
  if (n < 1 && n_ints > 0) {
    int64_t missing = 0;
    NEO_TRY(onnx_attr_int(im, node, "replaced_value_int64", &missing));
    int bad = emit2(im, node, "equal", x, onnx_make_ints(im, node, "replaced", 1, &missing));
    int fill = onnx_make_ints(im, node, "imputed", n_ints, ints);
    onnx_bind(im, node, 0, emit(im, node, "where", 3, (int[]){bad, fill, x}));
    return NEO_OK;
  }
  if (n < 1)
    return onnx_bad(im, node, "no imputed values");
  int bad = isnan(replaced) ? emit1(im, node, "isnan", x)
                            : emit2(im, node, "equal", x, scalar(im, node, replaced));
  int fill = onnx_make_floats(im, node, "imputed", n, value);
  onnx_bind(im, node, 0, emit(im, node, "where", 3, (int[]){bad, fill, x}));
  onnx_attr(node, "replaced_value_int64");
  return NEO_OK;
}

neo_status onnx_array_feature_extractor(onnx_import *im, onnx_node *node) {
  int minus = -1, index = onnx_input(node, 1), x = onnx_input(node, 0);
  int64_t flat = -1, row[2] = {1, -1};
  if (neo_emit_rank(&im->e, x) == 1) /* a vector's are a row */
    x = emit2(im, node, "reshape", x, onnx_make_ints(im, node, "row", 2, row));
  index = emit2(im, node, "reshape", index, onnx_make_ints(im, node, "flat", 1, &flat));
  neo_node *made = onnx_emit(im, node, "gather", 2, (int[]){x, index}, 1);
  neo_node_set_int(im->e.graph, made, "axis", minus);
  onnx_bind(im, node, 0, made->output[0]);
  return NEO_OK;
}

/* Several inputs [n, k_i] side by side. */
neo_status onnx_feature_vectorizer(onnx_import *im, onnx_node *node) {
  int *parts = neo_arena_alloc(im->e.graph->arena, sizeof(int) * (size_t)(node->n_inputs + 1));
  for (int k = 0; k < node->n_inputs; k++)
    parts[k] = as_float(im, node, node->input[k]);
  neo_node *made = onnx_emit(im, node, "concat", node->n_inputs, parts, 1);
  neo_node_set_int(im->e.graph, made, "axis", 1);
  onnx_attr(node, "inputdimensions");
  onnx_bind(im, node, 0, made->output[0]);
  return NEO_OK;
}
