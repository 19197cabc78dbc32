/* frontends/tensorflow_tensor.c: TensorProtos and variables of the bundle as constants.
 *
 * Long data stays in the mapped file where its alignment allows; values given once stand for all
 * that follow, so a small file may hold a large constant: those made here count against
 * max_model_bytes. */
#include "frontends/tensorflow_import.h"

#include <string.h>

#define REFERENCE 100 /* added to a type's number: a reference to it */

static const struct {
  int number;
  neo_dtype dtype;
  const char *name;
} types[] = {{1, NEO_F32, "float"},
             {2, NEO_F64, "double"},
             {3, NEO_I32, "int32"},
             {4, NEO_U8, "uint8"},
             {5, NEO_I16, "int16"},
             {6, NEO_I8, "int8"},
             {9, NEO_I64, "int64"},
             {10, NEO_BOOL, "bool"},
             {14, NEO_BF16, "bfloat16"},
             {17, NEO_U16, "uint16"},
             {19, NEO_F16, "half"},
             {22, NEO_U32, "uint32"},
             {23, NEO_U64, "uint64"},
             {7, NEO_DTYPE_COUNT, "string"},
             {8, NEO_DTYPE_COUNT, "complex64"},
             {18, NEO_DTYPE_COUNT, "complex128"},
             {20, NEO_DTYPE_COUNT, "resource"},
             {21, NEO_DTYPE_COUNT, "variant"},
             {11, NEO_DTYPE_COUNT, "qint8"},
             {12, NEO_DTYPE_COUNT, "quint8"},
             {13, NEO_DTYPE_COUNT, "qint32"}};

bool tf_dtype(int number, neo_dtype *out) {
  number -= number > REFERENCE ? REFERENCE : 0;
  for (int i = 0; i < NEO_COUNT(types); i++)
    if (types[i].number == number && types[i].dtype != NEO_DTYPE_COUNT) {
      *out = types[i].dtype;
      return true;
    }
  return false;
}

const char *tf_dtype_name(int number) {
  number -= number > REFERENCE ? REFERENCE : 0;
  for (int i = 0; i < NEO_COUNT(types); i++)
    if (types[i].number == number)
      return types[i].name;
  return "of an unknown type";
}

bool tf_shape(const Tf__Shape *pb, neo_shape *out) {
  *out = (neo_shape){.rank = -1};
  if (!pb || (pb->has_unknown_rank && pb->unknown_rank))
    return true;
  if (pb->n_dim > NEO_MAX_RANK)
    return false;
  out->rank = (int)pb->n_dim;
  for (int d = 0; d < out->rank; d++) {
    out->dim[d] = pb->dim[d]->size; /* absent: 0 */
    if (out->dim[d] < -1)
      return false;
  }
  return true;
}

/* ---- memory ------------------------------------------------------------------------------------------ */

static neo_status make(tf_import *im, const char *what, neo_tensor *tensor) {
  if ((int64_t)tensor->size < 0 ||
      im->expanded + (int64_t)tensor->size > im->source->options.max_model_bytes)
    return neo_fail(im->ctx, NEO_BAD_INPUT,
                    "tensorflow: tensor '%s' of %zu bytes: constants exceed max_model_bytes", what,
                    tensor->size);
  im->expanded += (int64_t)tensor->size;
  NEO_TRY(neo_tensor_create(im->ctx, tensor->dtype, &tensor->shape, tensor));
  neo_graph_adopt(im->e->graph, tensor->data);
  return NEO_OK;
}

/* In place if it is mapped and aligned, else a copy. bool is made 0 or 1. */
static neo_status use_or_copy(tf_import *im, const char *what, bool mapped, const uint8_t *data,
                              neo_tensor *tensor) {
  if (mapped && (uintptr_t)data % neo_dtype_size(tensor->dtype) == 0 && tensor->dtype != NEO_BOOL) {
    tensor->data = (void *)(uintptr_t)data;
    return NEO_OK;
  }
  NEO_TRY(make(im, what, tensor));
  if (tensor->size > 0)
    memcpy(tensor->data, data, tensor->size);
  for (size_t i = 0; tensor->dtype == NEO_BOOL && i < tensor->size; i++)
    ((uint8_t *)tensor->data)[i] = ((uint8_t *)tensor->data)[i] != 0;
  return NEO_OK;
}

/* ---- TensorProto ------------------------------------------------------------------------------------- */

static size_t count_values(const Tf__Tensor *pb, neo_dtype dtype) {
  switch (dtype) {
  case NEO_F32:
    return pb->n_float_val;
  case NEO_F64:
    return pb->n_double_val;
  case NEO_I64:
    return pb->n_int64_val;
  case NEO_BOOL:
    return pb->n_bool_val;
  case NEO_F16:
  case NEO_BF16:
    return pb->n_half_val;
  case NEO_U32:
    return pb->n_uint32_val;
  case NEO_U64:
    return pb->n_uint64_val;
  default:
    return pb->n_int_val;
  }
}

static void store_value(const Tf__Tensor *pb, neo_tensor *to, int64_t i, size_t k) {
  switch (to->dtype) {
  case NEO_F32:
    ((float *)to->data)[i] = pb->float_val[k];
    break;
  case NEO_F64:
    ((double *)to->data)[i] = pb->double_val[k];
    break;
  case NEO_I64:
    ((int64_t *)to->data)[i] = pb->int64_val[k];
    break;
  case NEO_BOOL:
    ((uint8_t *)to->data)[i] = pb->bool_val[k] != 0;
    break;
  case NEO_F16:
  case NEO_BF16:
    ((uint16_t *)to->data)[i] = (uint16_t)pb->half_val[k];
    break;
  case NEO_U32:
    ((uint32_t *)to->data)[i] = pb->uint32_val[k];
    break;
  case NEO_U64:
    ((uint64_t *)to->data)[i] = pb->uint64_val[k];
    break;
  default:
    neo_tensor_set_i64(to, i, pb->int_val[k]);
  }
}

static neo_status typed_values(tf_import *im, const Tf__Tensor *pb, const char *what, int64_t n,
                               neo_tensor *tensor) {
  size_t have = count_values(pb, tensor->dtype);
  if (have > (size_t)n)
    return neo_fail(im->ctx, NEO_BAD_INPUT,
                    "tensorflow: tensor '%s' has %zu values for %lld places", what, have,
                    (long long)n);
  NEO_TRY(make(im, what, tensor));
  for (int64_t i = 0; have > 0 && i < n; i++)
    store_value(pb, tensor, i, i < (int64_t)have ? (size_t)i : have - 1);
  return NEO_OK;
}

/* Size in bytes and number of elements of a tensor with dtype and shape. */
static neo_status measure(tf_import *im, const char *what, neo_tensor *tensor, int64_t *n) {
  if (tensor->shape.rank < 0 || !neo_shape_elements(&tensor->shape, n) ||
      !neo_mul_size((size_t)*n, neo_dtype_size(tensor->dtype), &tensor->size))
    return neo_fail(im->ctx, NEO_BAD_INPUT,
                    "tensorflow: tensor '%s' has a free dimension or its size overflows", what);
  return NEO_OK;
}

neo_status tf_tensor(tf_import *im, const Tf__Tensor *pb, const char *what, neo_tensor *out) {
  neo_tensor tensor = {0};
  int64_t n = 0;
  if (!tf_dtype(pb->dtype, &tensor.dtype) || (pb->shape && pb->shape->n_dim > NEO_MAX_RANK) ||
      !tf_shape(pb->shape, &tensor.shape))
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: tensor '%s': damaged type or shape", what);
  if (!pb->shape)
    tensor.shape.rank = 0;
  NEO_TRY(measure(im, what, &tensor, &n));
  bool mapped = pb->has_neo_raw_size;
  size_t have = mapped ? (size_t)pb->neo_raw_size : pb->tensor_content.len;
  if (!mapped && have == 0) {
    NEO_TRY(typed_values(im, pb, what, n, &tensor));
  } else {
    if (have != tensor.size || (mapped && (pb->neo_raw_offset > im->file.size ||
                                           have > im->file.size - pb->neo_raw_offset)))
      return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: tensor '%s' has %zu bytes, %zu needed",
                      what, have, tensor.size);
    const uint8_t *data = mapped ? im->file.data + pb->neo_raw_offset : pb->tensor_content.data;
    NEO_TRY(use_or_copy(im, what, mapped, data, &tensor));
  }
  *out = tensor;
  return NEO_OK;
}

/* ---- variables --------------------------------------------------------------------------------------- */

static neo_status read_bundle(tf_import *im, const tf_variable *v, const tf_bundle_tensor *t,
                              neo_tensor *tensor) {
  const uint8_t *data;
  size_t size;
  int64_t n = 0;
  tensor->shape.rank = t->rank;
  for (int d = 0; d < t->rank && d < NEO_MAX_RANK; d++)
    tensor->shape.dim[d] = t->dim[d];
  if (t->rank > NEO_MAX_RANK)
    return neo_fail(im->ctx, NEO_UNSUPPORTED, "tensorflow: variable '%s' has rank %d", v->name,
                    t->rank);
  NEO_TRY(measure(im, v->name, tensor, &n));
  NEO_TRY(tf_bundle_data(im->ctx, im->bundle, v->key, &data, &size));
  if (size != tensor->size)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: variable '%s' has %zu bytes, %zu needed",
                    v->name, size, tensor->size);
  return use_or_copy(im, v->name, true, data, tensor);
}

neo_status tf_variable_read(tf_import *im, tf_node *node, int variable, int *out) {
  tf_variable *v = &im->variable[variable];
  neo_tensor tensor = {0};
  *out = NEO_NO_VALUE;
  if (v->generation == im->generation) {
    *out = v->value;
    return NEO_OK;
  }
  const tf_bundle_tensor *t = im->bundle ? tf_bundle_find(im->bundle, v->key) : NULL;
  if (!t)
    return tf_unsupported(im, node, "variable '%s' has no stored value (key '%s')", v->name,
                          v->key);
  if (t->sliced)
    return tf_unsupported(im, node, "variable '%s' is stored in slices", v->name);
  if (!tf_dtype(t->dtype, &tensor.dtype))
    return tf_unsupported(im, node, "variable '%s' is %s", v->name, tf_dtype_name(t->dtype));
  NEO_TRY(read_bundle(im, v, t, &tensor));
  v->generation = im->generation;
  v->value = *out = neo_emit_tensor(im->e, v->name, &tensor);
  return NEO_OK;
}
