/* frontends/onnx_ml_encode.c: ai.onnx.ml's encoders of labels and categories: a value is looked up
 * among keys, strings by text_find, numbers by comparing with all keys at once. */
#include "frontends/onnx_ml.h"

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

static int cast(onnx_import *im, onnx_node *node, int value, const char *to) {
  neo_node *made = onnx_emit(im, node, "cast", 1, &value, 1);
  neo_node_set_string(im->e.graph, made, "to", to);
  return made->output[0];
}

static neo_tensor texts_tensor(int n, const char *const *text) {
  return (neo_tensor){NEO_STR, {1, {n}}, (void *)(uintptr_t)text, sizeof *text * (size_t)n};
}

/* ---- LabelEncoder, CategoryMapper ------------------------------------------------------------ */

/* Keys or values: a tensor attribute, or a list of integers, floats or strings. */
static neo_status list_of(onnx_import *im, onnx_node *node, const char *what, neo_tensor *out) {
  char name[32];
  const int64_t *ints;
  const double *floats;
  int n;
  *out = (neo_tensor){.dtype = NEO_DTYPE_COUNT};
  snprintf(name, sizeof name, "%s_tensor", what);
  const Onnx__Attribute *attr = onnx_attr(node, name);
  if (attr && attr->t)
    return onnx_tensor(im, attr->t, node->name, out);
  snprintf(name, sizeof name, "%s_int64s", what);
  NEO_TRY(onnx_attr_ints(im, node, name, &n, &ints));
  if (n >= 0) {
    *out = (neo_tensor){NEO_I64, {1, {n}}, (void *)(uintptr_t)ints, sizeof *ints * (size_t)n};
    return NEO_OK;
  }
  snprintf(name, sizeof name, "%s_floats", what);
  NEO_TRY(onnx_attr_floats(im, node, name, &n, &floats));
  if (n >= 0) {
    float *copy = neo_arena_alloc(im->e.graph->arena, sizeof *copy * (size_t)(n + 1));
    for (int i = 0; i < n; i++)
      copy[i] = (float)floats[i];
    *out = (neo_tensor){NEO_F32, {1, {n}}, copy, sizeof *copy * (size_t)n};
    return NEO_OK;
  }
  const char *const *texts;
  snprintf(name, sizeof name, "%s_strings", what);
  NEO_TRY(onnx_attr_texts(im, node, name, &n, &texts));
  if (n < 0)
    return onnx_bad(im, node, "it has no %s", what);
  *out = texts_tensor(n, texts);
  return NEO_OK;
}

static neo_status default_of(onnx_import *im, onnx_node *node, neo_dtype dtype, int *out) {
  double f = -0.0;
  int64_t i = -1;
  const char *text = "_Unused";
  const Onnx__Attribute *attr = onnx_attr(node, "default_tensor");
  NEO_TRY(onnx_attr_string(im, node, "default_string", &text));
  NEO_TRY(onnx_attr_float(im, node, "default_float", &f));
  NEO_TRY(onnx_attr_int(im, node, "default_int64", &i));
  if (attr && attr->t) {
    neo_tensor t;
    NEO_TRY(onnx_tensor(im, attr->t, node->name, &t));
    if ((t.dtype == NEO_STR) != (dtype == NEO_STR))
      return onnx_bad(im, node, "default_tensor is %s", neo_dtype_name(t.dtype));
    if (dtype == NEO_STR && t.size)
      text = ((const char *const *)t.data)[0];
    f = t.size ? neo_tensor_get_f64(&t, 0) : f;
    i = t.size ? neo_tensor_get_i64(&t, 0) : i;
  }
  if (dtype == NEO_STR) {
    *out = onnx_make_text(im, node, "default", text);
    return NEO_OK;
  }
  *out = onnx_make_scalar_like(im, node, "default", dtype,
                               neo_dtype_class(dtype) == 'f' ? f : (double)i);
  return NEO_OK;
}

/* Where x is key k: k, else -1; i64. */
static int find(onnx_import *im, onnx_node *node, int x, const neo_tensor *keys) {
  int64_t last = -1;
  int list = neo_graph_add_constant(im->e.graph, "keys", keys);
  if (keys->dtype == NEO_STR)
    return emit2(im, node, "text_find", x, list);
  x = emit2(im, node, "unsqueeze", x, onnx_make_ints(im, node, "last", 1, &last));
  int hit = emit2(im, node, "equal", x, list);
  if (neo_dtype_class(keys->dtype) == 'f') {
    int both = emit2(im, node, "and", emit1(im, node, "isnan", x), emit1(im, node, "isnan", list));
    hit = emit2(im, node, "or", hit, both);
  }
  int number = cast(im, node, hit, "i32");
  neo_node *at = onnx_emit(im, node, "arg_max", 1, &number, 1);
  neo_node_set_int(im->e.graph, at, "axis", -1);
  neo_node_set_int(im->e.graph, at, "keepdims", 0);
  int first = at->output[0];
  neo_node *any = onnx_emit(im, node, "reduce_max", 1, &hit, 1);
  neo_node_set_ints(im->e.graph, any, "axes", 1, &last);
  neo_node_set_int(im->e.graph, any, "keepdims", 0);
  int none = onnx_make_scalar_like(im, node, "none", NEO_I64, -1);
  return emit(im, node, "where", 3, (int[]){any->output[0], first, none});
}

static neo_status map(onnx_import *im, onnx_node *node, const neo_tensor *keys,
                      const neo_tensor *values, int fallback) {
  if (keys->shape.rank != 1 || !neo_shape_equal(&keys->shape, &values->shape) ||
      keys->shape.dim[0] < 1)
    return onnx_bad(im, node, "keys and values have different lengths");
  int at = find(im, node, onnx_input(node, 0), keys);
  int zero = onnx_make_scalar_like(im, node, "zero", NEO_I64, 0);
  int known = emit2(im, node, "greater_equal", at, zero);
  int list = neo_graph_add_constant(im->e.graph, "values", values);
  int picked = emit2(im, node, "gather", list, emit2(im, node, "max", at, zero));
  onnx_bind(im, node, 0, emit(im, node, "where", 3, (int[]){known, picked, fallback}));
  return NEO_OK;
}

neo_status onnx_label_encoder(onnx_import *im, onnx_node *node) {
  neo_tensor keys, values;
  int fallback;
  NEO_TRY(list_of(im, node, "keys", &keys));
  NEO_TRY(list_of(im, node, "values", &values));
  NEO_TRY(default_of(im, node, values.dtype, &fallback));
  return map(im, node, &keys, &values, fallback);
}

/* From strings to integers, or back, whatever its input is. */
neo_status onnx_category_mapper(onnx_import *im, onnx_node *node) {
  const char *const *texts;
  const int64_t *ints;
  int n, n_ints, fallback;
  NEO_TRY(onnx_attr_texts(im, node, "cats_strings", &n, &texts));
  NEO_TRY(onnx_attr_ints(im, node, "cats_int64s", &n_ints, &ints));
  if (n < 1 || n != n_ints)
    return onnx_bad(im, node, "%d strings and %d integers", n, n_ints);
  neo_tensor words = texts_tensor(n, texts),
             numbers = {NEO_I64, {1, {n}}, (void *)(uintptr_t)ints, sizeof *ints * (size_t)n};
  bool from_text = neo_emit_dtype(&im->e, onnx_input(node, 0)) == NEO_STR;
  NEO_TRY(default_of(im, node, from_text ? NEO_I64 : NEO_STR, &fallback));
  return from_text ? map(im, node, &words, &numbers, fallback)
                   : map(im, node, &numbers, &words, fallback);
}

/* ---- OneHotEncoder --------------------------------------------------------------------------- */

neo_status onnx_one_hot_encoder(onnx_import *im, onnx_node *node) {
  const int64_t *category;
  const char *const *texts;
  int n, n_texts, x = onnx_input(node, 0);
  int64_t last = -1;
  NEO_TRY(onnx_attr_ints(im, node, "cats_int64s", &n, &category));
  NEO_TRY(onnx_attr_texts(im, node, "cats_strings", &n_texts, &texts));
  onnx_attr(node, "zeros");
  if (n < 1 && n_texts < 1)
    return onnx_bad(im, node, "it has no categories");
  if (n < 1) {
    neo_tensor keys = texts_tensor(n_texts, texts);
    int64_t *index = neo_arena_alloc(im->e.graph->arena, sizeof *index * (size_t)n_texts);
    for (int i = 0; i < n_texts; i++)
      index[i] = i;
    x = find(im, node, x, &keys);
    n = n_texts;
    category = index;
  } else {
    x = cast(im, node, x, "i64");
  }
  x = emit2(im, node, "unsqueeze", x, onnx_make_ints(im, node, "last", 1, &last));
  int hit = emit2(im, node, "equal", x, onnx_make_ints(im, node, "categories", n, category));
  onnx_bind(im, node, 0, cast(im, node, hit, "f32"));
  return NEO_OK;
}
