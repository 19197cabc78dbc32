/* frontends/tensorflow_list.c: tensor lists (TensorFlow 2) and tensor arrays (TensorFlow 1), which
 * exist only while reading: their items are values of the graph.
 *
 * A tensor array is its flow here: each operator on one takes a flow and gives the next, and the
 * handle only says which array it is. */
#include "frontends/tensorflow_convert.h"

#include <string.h>

#define MAX_ITEMS 100000000 /* of a list that a kept loop writes */
#define MAX_WRITTEN 4096    /* of one that is written item by item: each write copies it */

static const tf_list *list_in(const tf_node *node, int k) {
  return k < node->n_inputs && node->in[k].kind == TF_LIST ? node->in[k].list : NULL;
}

tf_value tf_list_value(const tf_list *list) {
  return (tf_value){.kind = TF_LIST, .id = NEO_NO_VALUE, .list = list};
}

static neo_status set_list(tf_node *node, int k, const tf_list *list) {
  node->out[k] = tf_list_value(list);
  return NEO_OK;
}

static neo_status no_list(tf_import *im, tf_node *node, int k) {
  return tf_unsupported(im, node, "input %d is no tensor list", k);
}

static void item_shape(tf_import *im, const tf_node *node, int k, tf_list *list) {
  const neo_tensor *shape = tf_const(im, node, k);
  if (!shape || shape->shape.rank != 1 || shape->shape.dim[0] > NEO_MAX_RANK)
    return;
  list->has_shape = true;
  list->shape.rank = (int)shape->shape.dim[0];
  for (int d = 0; d < list->shape.rank; d++) {
    list->shape.dim[d] = neo_tensor_get_i64(shape, d);
    list->has_shape &= list->shape.dim[d] >= 0;
  }
}

static tf_list *empty_list(tf_import *im, int n, neo_dtype dtype) {
  tf_list *list = neo_arena_alloc(&im->arena, sizeof *list);
  *list = (tf_list){.n = n, .source = NEO_NO_VALUE, .dtype = dtype};
  if (n > MAX_WRITTEN)
    return list;
  list->item = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)(n + 1));
  for (int i = 0; i < n; i++)
    list->item[i] = NEO_NO_VALUE;
  return list;
}

/* The number of items, if it is known. */
static int list_length(tf_import *im, const tf_list *list) {
  if (list->n >= 0 || list->source == NEO_NO_VALUE)
    return list->n;
  const neo_shape *shape = neo_emit_shape(im->e, list->source);
  return shape && shape->rank > 0 ? (int)neo_min_i64(shape->dim[0], INT32_MAX) : -1;
}

/* ---- making ------------------------------------------------------------------------------------------ */

neo_status tf_list_reserve(tf_import *im, tf_node *node) {
  int64_t n;
  if (!tf_const_int(im, node, 1, &n))
    return NEO_OK;
  if (n < 0 || n > MAX_ITEMS)
    return tf_unsupported(im, node, "a list of %lld items", (long long)n);
  tf_list *list = empty_list(im, (int)n, tf_type(node, "element_dtype"));
  item_shape(im, node, 0, list);
  return set_list(node, 0, list);
}

neo_status tf_list_from_tensor(tf_import *im, tf_node *node) {
  tf_list *list = neo_arena_alloc(&im->arena, sizeof *list);
  *list = (tf_list){.n = -1, .source = tf_in(node, 0), .dtype = tf_type(node, "element_dtype")};
  return set_list(node, 0, list);
}

/* TensorArrayV3(size) -> handle, flow */
neo_status tf_array_new(tf_import *im, tf_node *node) {
  int64_t n;
  tf_outputs(im, node, 2);
  if (!tf_const_int(im, node, 0, &n))
    return NEO_OK;
  if (n < 0 || n > MAX_ITEMS)
    return tf_unsupported(im, node, "an array of %lld items", (long long)n);
  tf_list *list = empty_list(im, (int)n, tf_type(node, "dtype"));
  const Tf__Value *shape = tf_attr(node, "element_shape");
  list->has_shape = shape && tf_shape(shape->shape, &list->shape) && list->shape.rank >= 0;
  for (int d = 0; list->has_shape && d < list->shape.rank; d++)
    list->has_shape = list->shape.dim[d] >= 0;
  node->out[0] = (tf_value){.kind = TF_OPAQUE};
  return set_list(node, 1, list);
}

/* TensorArrayScatterV3(handle, indices, value, flow): all rows in order, as unstacking writes. */
neo_status tf_array_scatter(tf_import *im, tf_node *node) {
  const tf_list *before = list_in(node, 3);
  const neo_tensor *indices = tf_const(im, node, 1);
  if (!before)
    return no_list(im, node, 3);
  int n = list_length(im, before);
  bool whole = indices && indices->shape.rank == 1 && indices->shape.dim[0] == n;
  for (int i = 0; whole && i < n; i++)
    whole = neo_tensor_get_i64(indices, i) == i;
  if (!whole)
    return tf_unsupported(im, node, "writes that do not fill the array in order");
  tf_list *list = neo_arena_copy(&im->arena, before, sizeof *before);
  list->item = NULL;
  list->source = tf_in(node, 2);
  if (list->source == NEO_NO_VALUE)
    return tf_unsupported(im, node, "what is written is no tensor");
  return set_list(node, 0, list);
}

/* ---- items ------------------------------------------------------------------------------------------- */

static int zeros(tf_import *im, const tf_list *list) {
  int64_t dims[NEO_MAX_RANK];
  for (int d = 0; d < list->shape.rank; d++)
    dims[d] = list->shape.dim[d];
  int zero = neo_emit_scalar(im->e, list->dtype, 0);
  int shape = neo_emit_ints(im->e, list->shape.rank, dims);
  return neo_emit_binary(im->e, "expand", zero, shape);
}

static int row_of(tf_import *im, int source, int index) {
  neo_node *gather = neo_emit_node(im->e, "gather", 2, (int[]){source, index}, 1);
  neo_node_set_int(im->e->graph, gather, "axis", 0);
  return gather->output[0];
}

static neo_status read_item(tf_import *im, tf_node *node, const tf_list *list, int index) {
  const neo_tensor *place = neo_emit_const(im->e, index);
  if (index == NEO_NO_VALUE || (place && place->size == 0))
    return tf_unsupported(im, node, "the place of an item is no number");
  if (list->logged)
    return tf_unsupported(im, node, "a list that the loop also writes is read");
  if (!list->item && list->source == NEO_NO_VALUE)
    return tf_unsupported(im, node, "a list of %d items is read", list->n);
  if (!list->item)
    return tf_set1(node, row_of(im, list->source, index));
  if (!place)
    return tf_unsupported(im, node, "the place of an item is not a constant");
  int64_t i = neo_tensor_get_i64(place, 0);
  if (i < 0 || i >= list->n)
    return tf_bad(im, node, "item %lld of a list of %d", (long long)i, list->n);
  if (list->item[i] == NEO_NO_VALUE && !list->has_shape)
    return tf_unsupported(im, node, "item %lld was never written", (long long)i);
  return tf_set1(node, list->item[i] == NEO_NO_VALUE ? zeros(im, list) : list->item[i]);
}

/* TensorListGetItem(list, index, shape) */
neo_status tf_list_get(tf_import *im, tf_node *node) {
  const tf_list *list = list_in(node, 0);
  return list ? read_item(im, node, list, tf_in(node, 1)) : no_list(im, node, 0);
}

/* TensorArrayReadV3(handle, index, flow) */
neo_status tf_array_read(tf_import *im, tf_node *node) {
  const tf_list *list = list_in(node, 2);
  return list ? read_item(im, node, list, tf_in(node, 1)) : no_list(im, node, 2);
}

static neo_status write_item(tf_import *im, tf_node *node, const tf_list *before, int index,
                             int item) {
  const neo_tensor *place = neo_emit_const(im->e, index);
  if (index == NEO_NO_VALUE || item == NEO_NO_VALUE || (place && place->size == 0))
    return tf_unsupported(im, node, "the place of an item is no number, or the item no tensor");
  tf_list *list = neo_arena_copy(&im->arena, before, sizeof *before);
  if (before->logged) {
    list->log = neo_arena_copy(&im->arena, &(tf_write){index, item, before->log}, sizeof(tf_write));
    return set_list(node, 0, list);
  }
  if (!place || !before->item)
    return tf_unsupported(im, node, "the place of an item that is written is not a constant");
  int64_t i = neo_tensor_get_i64(place, 0);
  if (i < 0 || i >= before->n)
    return tf_bad(im, node, "item %lld of a list of %d", (long long)i, before->n);
  list->item = neo_arena_copy(&im->arena, before->item, sizeof(int) * (size_t)(before->n + 1));
  list->item[i] = item;
  return set_list(node, 0, list);
}

/* TensorListSetItem(list, index, item) */
neo_status tf_list_set(tf_import *im, tf_node *node) {
  const tf_list *list = list_in(node, 0);
  if (!list)
    return no_list(im, node, 0);
  return write_item(im, node, list, tf_in(node, 1), tf_in(node, 2));
}

/* TensorArrayWriteV3(handle, index, value, flow) */
neo_status tf_array_write(tf_import *im, tf_node *node) {
  const tf_list *list = list_in(node, 3);
  if (!list)
    return no_list(im, node, 3);
  return write_item(im, node, list, tf_in(node, 1), tf_in(node, 2));
}

/* TensorListPushBack(list, item) */
neo_status tf_list_push(tf_import *im, tf_node *node) {
  const tf_list *before = list_in(node, 0);
  if (!before || !before->item || before->logged || before->n >= MAX_WRITTEN ||
      tf_in(node, 1) == NEO_NO_VALUE)
    return no_list(im, node, 0);
  tf_list *list = neo_arena_copy(&im->arena, before, sizeof *before);
  list->item = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)(before->n + 2));
  memcpy(list->item, before->item, sizeof(int) * (size_t)before->n);
  list->item[list->n++] = tf_in(node, 1);
  return set_list(node, 0, list);
}

neo_status tf_list_empty(tf_import *im, tf_node *node) {
  return set_list(node, 0, empty_list(im, 0, tf_type(node, "element_dtype")));
}

/* ---- the whole --------------------------------------------------------------------------------------- */

bool tf_list_stack(tf_import *im, tf_node *node, const tf_list *list, int *out) {
  if (list->logged) {
    tf_unsupported(im, node, "a list that the loop writes is read whole");
    return false;
  }
  if (!list->item) {
    *out = list->source;
    if (*out == NEO_NO_VALUE)
      tf_unsupported(im, node, "a list of %d items was never written", list->n);
    return *out != NEO_NO_VALUE;
  }
  int *part = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)(list->n + 1));
  int64_t axes[1] = {0};
  for (int i = 0; i < list->n; i++) {
    if (list->item[i] == NEO_NO_VALUE && !list->has_shape) {
      tf_unsupported(im, node, "item %d was never written", i);
      return false;
    }
    int item = list->item[i] == NEO_NO_VALUE ? zeros(im, list) : list->item[i];
    neo_node *row = neo_emit_node(im->e, "unsqueeze", 1, &item, 1);
    neo_node_set_ints(im->e->graph, row, "axes", 1, axes);
    part[i] = row->output[0];
  }
  if (list->n == 0) {
    tf_unsupported(im, node, "an empty list is stacked");
    return false;
  }
  *out = tf_emit_concat(im, list->n, part, 0);
  return true;
}

/* TensorListStack(list, shape) */
neo_status tf_list_to_tensor(tf_import *im, tf_node *node) {
  const tf_list *list = list_in(node, 0);
  int value;
  if (!list)
    return no_list(im, node, 0);
  return tf_list_stack(im, node, list, &value) ? tf_set1(node, value) : NEO_OK;
}

/* TensorArrayGatherV3(handle, indices, flow) */
neo_status tf_array_gather(tf_import *im, tf_node *node) {
  const tf_list *list = list_in(node, 2);
  const neo_tensor *indices = tf_const(im, node, 1);
  int value;
  if (!list)
    return no_list(im, node, 2);
  if (!tf_list_stack(im, node, list, &value))
    return NEO_OK;
  int n = list_length(im, list);
  bool whole = indices && indices->shape.rank == 1 && indices->shape.dim[0] == n;
  for (int i = 0; whole && i < n; i++)
    whole = neo_tensor_get_i64(indices, i) == i;
  if (!whole && tf_in(node, 1) == NEO_NO_VALUE)
    return tf_unsupported(im, node, "its indices are no tensor");
  return tf_set1(node, whole ? value : row_of(im, value, tf_in(node, 1)));
}

static neo_status set_length(tf_import *im, tf_node *node, const tf_list *list) {
  int n = list_length(im, list);
  neo_tensor tensor = {NEO_I32, {0}, neo_arena_alloc(im->e->graph->arena, 16), 4};
  if (n < 0)
    return tf_unknown(im, node, "the length of the list is not known");
  neo_tensor_set_i64(&tensor, 0, n);
  return tf_set1(node, neo_emit_tensor(im->e, im->e->scope, &tensor));
}

neo_status tf_list_size(tf_import *im, tf_node *node) {
  const tf_list *list = list_in(node, 0);
  return list ? set_length(im, node, list) : no_list(im, node, 0);
}

/* TensorArraySizeV3(handle, flow) */
neo_status tf_array_size(tf_import *im, tf_node *node) {
  const tf_list *list = list_in(node, 1);
  return list ? set_length(im, node, list) : no_list(im, node, 1);
}
