/* frontends/tensorflow_convert_special.c: rows of tensorflow_ops.def that count, number,
 * mirror and suppress. */
#include "frontends/suppression.h"
#include "frontends/tensorflow_convert.h"

#include <math.h>
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

/* ---- suppression of all classes ---------------------------------------------------------------- */

typedef struct combined {
  int boxes, scores; /* [b, q, n, 4], q 1 or classes; [b, classes, n] */
  int64_t b, n, q, classes, each, total;
  int iou, least;
  bool clipped;
} combined;

/* What is left of some pictures' boxes: class * n + box, whether it is one, and how many are. */
typedef struct survivors {
  int place, real, count;
  int64_t k;
} survivors;

static int at_axis(tf_import *im, int x, int64_t axis, int64_t i) {
  neo_node *made = neo_emit_node(im->e, "gather", 2, (int[]){x, neo_emit_ints(im->e, 1, &i)}, 1);
  neo_node_set_int(im->e->graph, made, "axis", axis);
  return made->output[0];
}

static int column(tf_import *im, int rows, int64_t k) {
  neo_node *made = neo_emit_node(im->e, "gather", 2, (int[]){rows, neo_emit_int(im->e, k)}, 1);
  neo_node_set_int(im->e->graph, made, "axis", 1);
  return made->output[0];
}

/* [k]: i < count */
static int first_ones(tf_import *im, int64_t k, int count) {
  neo_emitter *e = im->e;
  int range[3] = {neo_emit_int(e, 0), neo_emit_int(e, k), neo_emit_int(e, 1)};
  return neo_emit_binary(e, "less", neo_emit_node(e, "range", 3, range, 1)->output[0], count);
}

/* Of the classes that share boxes [1, n, 4]: all, or one. */
static survivors survivors_of(tf_import *im, const combined *c, int boxes, int scores,
                              int64_t first) {
  neo_emitter *e = im->e;
  survivors s = {.k = (c->q == 1 ? c->classes : 1) * neo_min_i64(c->each, c->n)};
  int in[5] = {boxes, scores, neo_emit_int(e, c->each), c->iou, c->least};
  neo_node *made = neo_emit_node(e, "non_max_suppression", 5, in, 2);
  int rows = made->output[0];
  s.count = made->output[1];
  made = neo_emit_node(e, "uncut", 2, (int[]){rows, s.count}, 1);
  neo_node_set_int(e->graph, made, "axis", 0);
  rows = made->output[0];
  int class = neo_emit_binary(e, "add", column(im, rows, 1), neo_emit_int(e, first));
  class = neo_emit_binary(e, "mul", class, neo_emit_int(e, c->n));
  s.place = neo_emit_binary(e, "add", class, column(im, rows, 2));
  s.real = first_ones(im, s.k, s.count);
  return s;
}

static int or_zero(tf_import *im, int condition, int x) {
  int zero = neo_emit_scalar(im->e, NEO_F32, 0);
  return neo_emit_node(im->e, "where", 3, (int[]){condition, x, zero}, 1)->output[0];
}

/* [k, ..] with zeros up to total, as [1, total, ..]. */
static int as_picture(tf_import *im, const combined *c, int x, int64_t k, int64_t width) {
  int64_t rank = width > 1 ? 2 : 1, pads[4] = {0}, shape[3] = {1, c->total, width};
  pads[rank] = c->total - k;
  neo_node *made = neo_emit_node(im->e, "pad", 1, &x, 1);
  neo_node_set_ints(im->e->graph, made, "pads", (int)(2 * rank), pads);
  return neo_emit_reshape(im->e, made->output[0], (int)rank + 1, shape);
}

/* Boxes, scores, classes and their number of picture i. */
static void suppress_picture(tf_import *im, const combined *c, int64_t i, int *out) {
  neo_emitter *e = im->e;
  int boxes = at_axis(im, c->boxes, 0, i), scores = at_axis(im, c->scores, 0, i);
  int *place = neo_arena_alloc(&im->arena, sizeof *place * (size_t)c->q);
  int *real = neo_arena_alloc(&im->arena, sizeof *real * (size_t)c->q), count = NEO_NO_VALUE;
  int64_t k = 0;
  for (int64_t g = 0; g < c->q; g++) {
    int own = neo_emit_reshape(e, at_axis(im, boxes, 1, g), 3, (int64_t[]){1, c->n, 4});
    survivors s = survivors_of(im, c, own, c->q == 1 ? scores : at_axis(im, scores, 1, g), g);
    place[g] = s.place;
    real[g] = s.real;
    count = g == 0 ? s.count : neo_emit_binary(e, "add", count, s.count);
    k += s.k;
  }
  int all = tf_emit_concat(im, (int)c->q, place, 0),
      exists = tf_emit_concat(im, (int)c->q, real, 0);
  int flat = neo_emit_reshape(e, scores, 1, (int64_t[]){c->classes * c->n});
  int low = neo_emit_scalar(e, NEO_F32, -(double)INFINITY);
  int score =
      neo_emit_node(e, "where", 3, (int[]){exists, neo_emit_binary(e, "gather", flat, all), low}, 1)
          ->output[0];
  k = neo_min_i64(k, c->total);
  neo_node *made = neo_emit_node(e, "topk", 2, (int[]){score, neo_emit_ints(e, 1, &k)}, 2);
  neo_node_set_int(e->graph, made, "axis", 0);
  int best = made->output[0], which = made->output[1];
  all = neo_emit_binary(e, "gather", all, which);
  int n = neo_emit_int(e, c->n), box = c->q == 1 ? neo_emit_binary(e, "mod", all, n) : all;
  boxes = neo_emit_reshape(e, boxes, 2, (int64_t[]){c->q * c->n, 4});
  box = neo_emit_binary(e, "gather", boxes, box);
  if (c->clipped) {
    box = neo_emit_binary(e, "max", box, neo_emit_scalar(e, NEO_F32, 0));
    box = neo_emit_binary(e, "min", box, neo_emit_scalar(e, NEO_F32, 1));
  }
  count = neo_emit_binary(e, "min", count, neo_emit_int(e, k));
  exists = first_ones(im, k, count);
  int class = neo_emit_cast(e, neo_emit_binary(e, "div", all, n), NEO_F32);
  int column_of = neo_emit_reshape(e, exists, 2, (int64_t[]){k, 1});
  out[0] = as_picture(im, c, or_zero(im, column_of, box), k, 4);
  out[1] = as_picture(im, c, or_zero(im, exists, best), k, 1);
  out[2] = as_picture(im, c, or_zero(im, exists, class), k, 1);
  out[3] = neo_emit_reshape(e, neo_emit_cast(e, count, NEO_I32), 1, (int64_t[]){1});
}

/* CombinedNonMaxSuppression(boxes [b, n, q, 4], scores [b, n, classes], most of a class, most, iou,
 * least score) */
neo_status tf_combined_suppression(tf_import *im, tf_node *node) {
  const neo_shape *boxes = neo_emit_shape(im->e, tf_in(node, 0)),
                  *scores = neo_emit_shape(im->e, tf_in(node, 1));
  combined c = {.iou = tf_in(node, 4), .least = tf_in(node, 5)};
  if (!boxes || !scores)
    return tf_unknown(im, node, "the shapes of boxes and scores are not known");
  if (!tf_const_int(im, node, 2, &c.each) || !tf_const_int(im, node, 3, &c.total))
    return NEO_OK;
  if (boxes->rank != 4 || scores->rank != 3 || boxes->dim[3] != 4)
    return tf_bad(im, node, "boxes of rank %d, scores of rank %d", boxes->rank, scores->rank);
  c.b = boxes->dim[0];
  c.n = boxes->dim[1];
  c.q = boxes->dim[2];
  c.classes = scores->dim[2];
  if (scores->dim[0] != c.b || scores->dim[1] != c.n || (c.q != 1 && c.q != c.classes))
    return tf_bad(im, node, "boxes and scores do not fit");
  if (c.b < 1 || c.n < 1 || c.classes < 1 || c.each < 1 || c.total < 1 || c.b * c.q > 4096 ||
      c.classes > 1 << 20 || c.n > 1 << 24 || c.total > 1 << 24)
    return tf_unsupported(im, node, "%lld of %lld boxes of %lld classes", (long long)c.total,
                          (long long)c.n, (long long)c.classes);
  c.each = neo_min_i64(c.each, c.n);
  if (tf_bool(node, "pad_per_class", false))
    c.total = neo_min_i64(c.total, c.each * c.classes);
  c.clipped = tf_bool(node, "clip_boxes", true);
  c.boxes = neo_emit_transpose(im->e, tf_in(node, 0), 4, (int64_t[]){0, 2, 1, 3});
  c.scores = neo_emit_transpose(im->e, tf_in(node, 1), 3, (int64_t[]){0, 2, 1});
  int *part = neo_arena_alloc(&im->arena, sizeof *part * (size_t)(4 * c.b)), out[4];
  for (int64_t i = 0; i < c.b; i++) {
    suppress_picture(im, &c, i, out);
    for (int k = 0; k < 4; k++)
      part[k * c.b + i] = out[k];
  }
  for (int k = 0; k < 4; k++)
    tf_set(node, k, tf_emit_concat(im, (int)c.b, part + k * c.b, 0));
  return NEO_OK;
}
