/* frontends/tensorflow_convert_special.c: rows of tensorflow_ops.def that count, number,
 * mirror and suppress. */
#include "frontends/suppression.h"
#include "frontends/tensorflow_convert.h"

#include <string.h>

/* Along every padded dimension a gather: d c b a | a b c d | d c b a. */
neo_status tf_pad_symmetric(tf_import *im, tf_node *node) {
  int x = tf_in(node, 0);
  const neo_tensor *pads = tf_const(im, node, 1);
  const neo_shape *known = neo_emit_shape(im->e, x);
  if (!known || !pads || pads->shape.rank != 2 || pads->shape.dim[0] != known->rank ||
      pads->shape.dim[1] != 2)
    return tf_unknown(im, node, "its shape or paddings are not known");
  neo_shape shape = *known;
  for (int d = 0; d < shape.rank; d++) {
    int64_t before = neo_tensor_get_i64(pads, 2 * d), after = neo_tensor_get_i64(pads, 2 * d + 1),
            size = shape.dim[d];
    if (before < 0 || after < 0 || before > size || after > size)
      return tf_bad(im, node, "paddings %lld and %lld of %lld", (long long)before, (long long)after,
                    (long long)size);
    if (before + after == 0)
      continue;
    int64_t all = before + size + after;
    int64_t *at = neo_arena_alloc(im->e->graph->arena, sizeof *at * (size_t)all);
    for (int64_t i = 0; i < all; i++) {
      int64_t from = i - before;
      at[i] = from < 0 ? -1 - from : from < size ? from : 2 * size - 1 - from;
    }
    neo_node *made =
        neo_emit_node(im->e, "gather", 2, (int[]){x, neo_emit_ints(im->e, (int)all, at)}, 1);
    neo_node_set_int(im->e->graph, made, "axis", d);
    x = made->output[0];
  }
  return tf_set1(node, x);
}

/* ReverseSequence(x, lengths) */
neo_status tf_reverse_sequence(tf_import *im, tf_node *node) {
  int lengths = neo_emit_cast(im->e, tf_in(node, 1), NEO_I64);
  neo_node *made = neo_emit_node(im->e, "reverse_sequence", 2, (int[]){tf_in(node, 0), lengths}, 1);
  neo_node_set_int(im->e->graph, made, "time_axis", tf_int(node, "seq_dim", 0));
  neo_node_set_int(im->e->graph, made, "batch_axis", tf_int(node, "batch_dim", 0));
  return tf_set1(node, made->output[0]);
}

neo_status tf_bitcast(tf_import *im, tf_node *node) {
  neo_dtype to = tf_type(node, "type"), from = tf_type(node, "T");
  int x = tf_in(node, 0);
  if (to == NEO_DTYPE_COUNT || from == NEO_DTYPE_COUNT ||
      neo_dtype_size(to) != neo_dtype_size(from))
    return tf_unsupported(im, node, "types of different sizes");
  neo_node *made = neo_emit_node(im->e, "bitcast", 1, &x, 1);
  neo_node_set_string(im->e->graph, made, "to", neo_dtype_name(to));
  return tf_set1(node, made->output[0]);
}

/* Bincount(x of any shape, size, weights of x's shape, or empty), DenseBincount, which counts the
 * rows of x [rows, n] one by one */
neo_status tf_bincount(tf_import *im, tf_node *node) {
  neo_emitter *e = im->e;
  int64_t size, axis = -2;
  bool binary = tf_bool(node, "binary_output", false);
  if (!tf_const_int(im, node, 1, &size))
    return NEO_OK;
  if (size < 0 || size > 1 << 20)
    return tf_unsupported(im, node, "%lld bins", (long long)size);
  int rank = tf_rank(im, node, 0), x = neo_emit_cast(e, tf_in(node, 0), NEO_I64),
      weights = tf_in(node, 2);
  const neo_shape *w = neo_emit_shape(e, weights);
  if (rank < 0)
    return NEO_OK;
  int64_t *bin = neo_arena_alloc(e->graph->arena, sizeof *bin * (size_t)(size + 1)), last = rank;
  for (int64_t k = 0; k < size; k++)
    bin[k] = k;
  int64_t elements = 0;
  bool weighted = !binary && w && neo_shape_elements(w, &elements) && elements > 0;
  if (rank == 0 || strcmp(node->row->op, "Bincount") == 0) {
    const int64_t all = -1;
    x = neo_emit_reshape(e, x, 1, &all);
    weights = weighted ? neo_emit_reshape(e, weights, 1, &all) : weights;
    last = 1;
  }
  neo_node *column = neo_emit_node(e, "unsqueeze", 1, &x, 1);
  neo_node_set_ints(e->graph, column, "axes", 1, &last);
  int hit = neo_emit_binary(e, "equal", column->output[0], neo_emit_ints(e, (int)size, bin));
  neo_dtype to = tf_type(node, "T");
  to = to == NEO_DTYPE_COUNT ? NEO_F32 : to;
  int counted = neo_emit_cast(e, hit, to);
  if (weighted) {
    neo_node *each = neo_emit_node(e, "unsqueeze", 1, &weights, 1);
    neo_node_set_ints(e->graph, each, "axes", 1, &last);
    counted = neo_emit_binary(e, "mul", counted, each->output[0]);
  }
  neo_node *made = neo_emit_node(e, binary ? "reduce_max" : "reduce_sum", 1, &counted, 1);
  neo_node_set_ints(e->graph, made, "axes", 1, &axis);
  neo_node_set_int(e->graph, made, "keepdims", 0);
  return tf_set1(node, made->output[0]);
}

/* Unique, UniqueWithCounts of constants: in the order of their first appearance. */
neo_status tf_unique(tf_import *im, tf_node *node) {
  neo_dtype to = tf_type(node, "out_idx");
  int x = tf_in(node, 0);
  to = to == NEO_DTYPE_COUNT ? NEO_I32 : to;
  if (!tf_const(im, node, 0))
    return tf_unsupported(im, node, "of what is known at run time only");
  neo_node *made = neo_emit_node(im->e, "unique", 1, &x, 4);
  neo_node_set_int(im->e->graph, made, "sorted", 0);
  int y = made->output[0], inverse = made->output[2], counts = made->output[3];
  tf_set(node, 0, y);
  tf_set(node, 1, neo_emit_cast(im->e, inverse, to));
  tf_set(node, 2, neo_emit_cast(im->e, counts, to));
  return NEO_OK;
}

/* NonMaxSuppression(boxes, scores, most), V2: (.., iou), V3, V4: (.., least score), V5: (.., sigma)
 * -> indices, (V5) their scores, (V4, V5) how many. */
neo_status tf_suppression(tf_import *im, tf_node *node) {
  neo_emitter *e = im->e;
  const neo_shape *boxes = neo_emit_shape(e, tf_in(node, 0));
  int64_t most, n = boxes && boxes->rank == 2 ? boxes->dim[0] : -1;
  const neo_tensor *sigma = node->n_inputs > 5 ? tf_const(im, node, 5) : NULL;
  bool soft = *node->row->arg == 's', filled = tf_bool(node, "pad_to_max_output_size", false);
  if (!tf_const_int(im, node, 2, &most))
    return NEO_OK;
  if (n < 0)
    return tf_unknown(im, node, "the number of boxes is not known");
  if (most < 0 || (node->n_inputs > 5 && (!sigma || neo_tensor_get_f64(sigma, 0) != 0)))
    return tf_unsupported(im, node, "of %lld boxes, or with a sigma that is not 0",
                          (long long)most);
  neo_suppression in = {tf_in(node, 0), tf_in(node, 1), tf_in(node, 2), tf_in(node, 3),
                        tf_in(node, 4)};
  if (in.iou == NEO_NO_VALUE)
    in.iou = neo_emit_scalar(e, NEO_F32, tf_float(node, "iou_threshold", 0.5));
  neo_suppressed picked = neo_emit_suppression(e, &in);
  int64_t m = neo_min_i64(most, n);
  neo_node *made = neo_emit_node(e, "gather", 2, (int[]){in.scores, picked.index}, 1);
  neo_node_set_int(e->graph, made, "axis", 0);
  int scores = made->output[0];
  if (filled) {
    picked.index = neo_emit_filled(e, picked.index, picked.count, m, most);
    scores = soft ? neo_emit_filled(e, scores, picked.count, m, most) : scores;
  }
  tf_set(node, 0, neo_emit_cast(e, picked.index, NEO_I32));
  if (soft)
    tf_set(node, 1, scores);
  tf_set(node, soft ? 2 : 1, neo_emit_cast(e, picked.count, NEO_I32));
  return NEO_OK;
}
