/* frontends/tflite_data.c: TFLite's operators whose results have an extent by their data: non-max
 * suppression (whose results are filled up), unique, slices up to a computed count. */
#include "frontends/suppression.h"
#include "frontends/tflite_import.h"

#include <string.h>

static void set_typed(tfl_op *op, int k, int value) {
  const tfl_tensor *t = tfl_output(op, k);
  if (t && t->dtype < NEO_DTYPE_COUNT)
    tfl_set_raw(op, k, neo_emit_cast(&op->im->e, value, t->dtype));
}

/* boxes [n, 4], scores [n], most, iou and score thresholds, (V5) sigma -> indices [most], (V5)
 * their scores, how many. */
void tfl_suppression(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  double most, sigma = 0;
  bool soft = op->outputs.n > 2;
  int64_t n = tfl_dim(op, 0, 0);
  if (!tfl_scalar(op, 2, &most) || (op->inputs.n > 5 && !tfl_scalar(op, 5, &sigma)))
    return;
  if (sigma != 0 || n < 0 || most < 0 || most > INT32_MAX) {
    tfl_unsupported(op, "sigma %g, up to %g of %d boxes", sigma, most, (int)n);
    return;
  }
  neo_suppression in = {tfl_in(op, 0), tfl_in(op, 1), tfl_raw(op, 2), tfl_in(op, 3), tfl_in(op, 4)};
  neo_suppressed picked = neo_emit_suppression(e, &in);
  int64_t m = neo_min_i64((int64_t)most, n);
  set_typed(op, 0, neo_emit_filled(e, picked.index, picked.count, m, (int64_t)most));
  if (soft) {
    neo_node *node = tfl_node(op, "gather", 2, (int[]){in.scores, picked.index});
    neo_node_set_int(e->graph, node, "axis", 0);
    set_typed(op, 1, neo_emit_filled(e, node->output[0], picked.count, m, (int64_t)most));
  }
  set_typed(op, soft ? 2 : 1, picked.count);
}

/* In the order of their first appearance. */
void tfl_unique(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  int x = tfl_raw(op, 0);
  if (!neo_emit_const(e, x)) {
    tfl_unsupported(op, "of what is known at run time only");
    return;
  }
  neo_node *node = neo_emit_node(e, "unique", 1, &x, 4);
  neo_node_set_int(e->graph, node, "sorted", 0);
  int kinds = node->output[0], index = node->output[2];
  tfl_set_raw(op, 0, kinds);
  set_typed(op, 1, index);
}

void tfl_bitcast(tfl_op *op) {
  const tfl_tensor *from = tfl_input(op, 0), *to = tfl_output(op, 0);
  int x = tfl_raw(op, 0);
  if (!from || !to || from->dtype >= NEO_DTYPE_COUNT || to->dtype >= NEO_DTYPE_COUNT ||
      neo_dtype_size(from->dtype) != neo_dtype_size(to->dtype)) {
    tfl_unsupported(op, "types of different sizes");
    return;
  }
  neo_node *node = tfl_node(op, "bitcast", 1, &x);
  neo_node_set_string(op->im->e.graph, node, "to", neo_dtype_name(to->dtype));
  tfl_set_raw(op, 0, node->output[0]);
}

/* ---- slices up to a count ----------------------------------------------------------------------- */

/* The node behind casts and reshapes that made the value; NULL: none. */
static const neo_node *maker(const neo_graph *graph, int value) {
  const neo_node *node = NULL;
  for (int steps = 0; steps < 8 && graph->value[value].node >= 0; steps++) {
    node = &graph->node[graph->value[value].node];
    const char *name = node->op->name;
    if (strcmp(name, "cast") != 0 && strcmp(name, "reshape") != 0)
      break;
    value = node->input[0];
  }
  return node;
}

/* The one entry of `list` that is not known: where it is and its value; the others mean "all". */
static bool unknown_entry(tfl_op *op, int list, const neo_shape *x, int *axis, int *value) {
  neo_emitter *e = &op->im->e;
  const neo_shape *shape = neo_emit_shape(e, list);
  *axis = -1;
  if (!shape || shape->rank != 1 || shape->dim[0] < 1 || shape->dim[0] > x->rank)
    return false;
  if (shape->dim[0] == 1) {
    *axis = 0;
    *value = list;
    return true;
  }
  const neo_node *node = maker(e->graph, list);
  if (!node || strcmp(node->op->name, "concat") != 0 || node->n_inputs != shape->dim[0])
    return false;
  for (int k = 0; k < node->n_inputs; k++) {
    const neo_tensor *known = neo_emit_const(e, node->input[k]);
    if (known && (known->size == 0 ||
                  (neo_tensor_get_i64(known, 0) != -1 && neo_tensor_get_i64(known, 0) < x->dim[k])))
      return false;
    if (!known && *axis >= 0)
      return false;
    if (!known) {
      *axis = k;
      *value = node->input[k];
    }
  }
  return *axis >= 0;
}

bool tfl_cut(tfl_op *op, int ends, int64_t wrap, int *out) {
  neo_emitter *e = &op->im->e;
  int axis, count, x = tfl_raw(op, 0);
  neo_emit_infer(e);
  const neo_shape *shape = neo_emit_shape(e, x);
  if (op->im->bodies > 0 || !shape || neo_emit_const(e, ends) ||
      !unknown_entry(op, ends, shape, &axis, &count))
    return false;
  count = neo_emit_reshape(e, neo_emit_cast(e, count, NEO_I64), 0, NULL);
  int back = neo_emit_binary(e, "less", count, neo_emit_int(e, 0));
  int wrapped = neo_emit_binary(e, "add", count, neo_emit_int(e, shape->dim[axis] + wrap));
  count = tfl_node(op, "where", 3, (int[]){back, wrapped, count})->output[0];
  neo_node *node = tfl_node(op, "cut", 2, (int[]){x, count});
  neo_node_set_int(e->graph, node, "axis", axis);
  *out = node->output[0];
  return true;
}
