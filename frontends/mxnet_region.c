/* frontends/mxnet_region.c: MXNet's operators of two-stage and YOLO-like detectors (regions of
 * interest, boxes, suppression, modulated deformable convolutions), attention between two
 * sequences, and small constants.
 *
 * box_nms is multibox_nms of rows [class, score, box], with what is left moved to the front: rows
 * of more than these six columns are not known. */
#include "frontends/mxnet_import.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static int join(mx_node *node, int n, const int *parts, int64_t axis) {
  neo_node *made = mx_emit(node, "concat", n, parts);
  neo_node_set_int(node->im->e.graph, made, "axis", axis);
  return made->output[0];
}

static int scaled(mx_node *node, const char *op, int x, double by) {
  return mx_two(node, op, x, mx_scalar(node, x, by));
}

static int where(mx_node *node, int condition, int a, int b) {
  return mx_emit(node, "where", 3, (int[]){condition, a, b})->output[0];
}

/* ---- regions of interest --------------------------------------------------------------------- */

static void set_region(mx_node *node, neo_node *made) {
  int64_t size[2] = {1, 1};
  if (mx_ints(node, "pooled_size", size, 2) == 1)
    size[1] = size[0];
  neo_node_set_int(node->im->e.graph, made, "output_height", size[0]);
  neo_node_set_int(node->im->e.graph, made, "output_width", size[1]);
  neo_node_set_float(node->im->e.graph, made, "spatial_scale", mx_float(node, "spatial_scale", 1));
}

void mx_roi_pool(mx_node *node) {
  neo_node *made = mx_emit(node, "max_roi_pool", 2, (int[]){mx_in(node, 0), mx_in(node, 1)});
  set_region(node, made);
  mx_set(node, 0, made->output[0]);
}

void mx_roi_align(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int64_t samples = mx_int(node, "sample_ratio", -1);
  int rois = mx_in(node, 1);
  if (samples < 1 || mx_bool(node, "position_sensitive", false)) {
    mx_unsupported(node, "sample_ratio %" PRId64 ", or position_sensitive", samples);
    return;
  }
  int image = neo_emit_reshape(e, mx_part(node, rois, 1, 0, 1), 1, (int64_t[]){-1});
  int in[3] = {mx_in(node, 0), mx_part(node, rois, 1, 1, 5), neo_emit_cast(e, image, NEO_I64)};
  neo_node *made = mx_emit(node, "roi_align", 3, in);
  set_region(node, made);
  neo_node_set_int(e->graph, made, "sampling_ratio", samples);
  neo_node_set_string(e->graph, made, "coordinate_transformation_mode",
                      mx_bool(node, "aligned", false) ? "half_pixel" : "output_half_pixel");
  mx_set(node, 0, made->output[0]);
}

/* Version 1 looks at the borders in another way and is not this. */
void mx_modulated_deform(mx_node *node) {
  static const char *const names[][2] = {
      {"kernel", "kernel_shape"}, {"stride", "strides"}, {"dilate", "dilations"}};
  neo_graph *graph = node->im->e.graph;
  int64_t v[2], pad[4] = {0};
  bool bias = !mx_bool(node, "no_bias", false);
  int in[5] = {mx_in(node, 0), mx_in(node, 3), mx_in(node, 1), bias ? mx_in(node, 4) : NEO_NO_VALUE,
               mx_in(node, 2)};
  neo_node *made = mx_emit(node, "deform_conv", 5, in);
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (mx_ints(node, names[i][0], v, 2) == 2)
      neo_node_set_ints(graph, made, names[i][1], 2, v);
  if (mx_ints(node, "pad", pad, 2) == 2) {
    pad[2] = pad[0];
    pad[3] = pad[1];
    neo_node_set_ints(graph, made, "pads", 4, pad);
  }
  neo_node_set_int(graph, made, "group", mx_int(node, "num_group", 1));
  neo_node_set_int(graph, made, "offset_group", mx_int(node, "num_deformable_group", 1));
  mx_set(node, 0, made->output[0]);
}

/* ---- boxes ----------------------------------------------------------------------------------- */

static bool centers(mx_node *node, const char *attr, const char *otherwise) {
  return strcmp(mx_text(node, attr, otherwise), "center") == 0;
}

/* Low and high corners, [.., 2] each, of boxes [.., 4]. */
static void corners(mx_node *node, int boxes, bool center, int out[2]) {
  out[0] = mx_part(node, boxes, -1, 0, 2);
  out[1] = mx_part(node, boxes, -1, 2, 4);
  if (!center)
    return;
  int half = scaled(node, "mul", out[1], 0.5), middle = out[0];
  out[0] = mx_two(node, "sub", middle, half);
  out[1] = mx_two(node, "add", middle, half);
}

/* Sides' product, at least 0 each: [.., 2] -> [..]. */
static int area(mx_node *node, int low, int high) {
  int sides = mx_two(node, "sub", high, low);
  sides = mx_two(node, "max", sides, mx_scalar(node, sides, 0));
  neo_node *made = mx_emit(node, "reduce_prod", 1, &sides);
  neo_node_set_ints(node->im->e.graph, made, "axes", 1, (int64_t[]){-1});
  neo_node_set_int(node->im->e.graph, made, "keepdims", 0);
  return made->output[0];
}

void mx_box_iou(mx_node *node) {
  neo_emitter *e = &node->im->e;
  bool center = centers(node, "format", "corner");
  const neo_shape *a = mx_shape(node, mx_in(node, 0)), *b = mx_shape(node, mx_in(node, 1));
  int64_t whole[NEO_MAX_RANK];
  int rank = 0, one[2], two[2];
  if (!a || !b || a->rank < 1 || b->rank < 1 || a->rank + b->rank - 2 > NEO_MAX_RANK)
    return;
  for (int d = 0; d + 1 < a->rank; d++)
    whole[rank++] = a->dim[d];
  for (int d = 0; d + 1 < b->rank; d++)
    whole[rank++] = b->dim[d];
  corners(node, neo_emit_reshape(e, mx_in(node, 0), 3, (int64_t[]){-1, 1, 4}), center, one);
  corners(node, neo_emit_reshape(e, mx_in(node, 1), 3, (int64_t[]){1, -1, 4}), center, two);
  int both = area(node, mx_two(node, "max", one[0], two[0]), mx_two(node, "min", one[1], two[1]));
  int either = mx_two(node, "add", area(node, one[0], one[1]), area(node, two[0], two[1]));
  either = mx_two(node, "sub", either, both);
  int some = scaled(node, "greater", both, 0);
  int y = where(node, some, mx_two(node, "div", both, either), mx_scalar(node, both, 0));
  mx_set(node, 0, neo_emit_reshape(e, y, rank, whole));
}

/* Offsets from anchors, as corners. */
void mx_box_decode(mx_node *node) {
  static const char *const stds[] = {"std0", "std1", "std2", "std3"};
  neo_emitter *e = &node->im->e;
  int low_high[2], x = mx_in(node, 0);
  double std[4], limit = mx_float(node, "clip", -1);
  for (int i = 0; i < 4; i++)
    std[i] = mx_float(node, stds[i], 1);
  corners(node, mx_in(node, 1), centers(node, "format", "center"), low_high);
  int size = mx_two(node, "sub", low_high[1], low_high[0]);
  int middle = mx_two(node, "add", low_high[0], scaled(node, "mul", size, 0.5));
  int shift = mx_two(node, "mul", mx_part(node, x, -1, 0, 2), neo_emit_floats(e, 2, std));
  int growth = mx_two(node, "mul", mx_part(node, x, -1, 2, 4), neo_emit_floats(e, 2, std + 2));
  if (limit > 0)
    growth = mx_two(node, "min", growth, mx_scalar(node, growth, limit));
  int half = scaled(node, "mul", mx_two(node, "mul", mx_one(node, "exp", growth), size), 0.5);
  middle = mx_two(node, "add", mx_two(node, "mul", shift, size), middle);
  int both[] = {mx_two(node, "sub", middle, half), mx_two(node, "add", middle, half)};
  mx_set(node, 0, join(node, 2, both, -1));
}

/* Where box_nms's columns are in rows of class, score, box; -1: not there. */
typedef struct columns {
  int64_t batch, n, width, id, score, box;
} columns;

static bool read_columns(mx_node *node, columns *c) {
  const neo_shape *s = mx_shape(node, mx_in(node, 0));
  if (!s || s->rank < 2)
    return false;
  *c = (columns){1,
                 s->dim[s->rank - 2],
                 s->dim[s->rank - 1],
                 mx_int(node, "id_index", -1),
                 mx_int(node, "score_index", 1),
                 mx_int(node, "coord_start", 2)};
  for (int d = 0; d + 2 < s->rank; d++)
    c->batch *= s->dim[d];
  bool apart = c->score >= 0 && c->box >= 0 && c->box + 4 <= c->width && c->score < c->width &&
               (c->score < c->box || c->score >= c->box + 4) && c->id != c->score &&
               (c->id < c->box || c->id >= c->box + 4) && c->id < c->width;
  if (!apart || c->width != (c->id < 0 ? 5 : 6) || centers(node, "in_format", "corner") ||
      centers(node, "out_format", "corner")) {
    mx_unsupported(node, "rows of %" PRId64 " columns, or centers", c->width);
    return false;
  }
  return true;
}

/* [class or -1, score, box] */
static int rows_of(mx_node *node, const columns *c, int x) {
  int score = mx_part(node, x, 2, c->score, c->score + 1), none = mx_scalar(node, x, -1);
  int id = c->id >= 0 ? mx_part(node, x, 2, c->id, c->id + 1) : scaled(node, "mul", score, 0);
  int strong = scaled(node, "greater", score, mx_float(node, "valid_thresh", 0));
  int rows[3] = {where(node, strong, id, none), score, mx_part(node, x, 2, c->box, c->box + 4)};
  double background = mx_float(node, "background_id", -1);
  if (c->id >= 0 && background >= 0)
    rows[0] = where(node, scaled(node, "equal", id, background), none, rows[0]);
  return join(node, 3, rows, 2);
}

/* Rows whose class is not -1 first, in their order; the others are all -1. */
static int packed(mx_node *node, const columns *c, int rows) {
  neo_emitter *e = &node->im->e;
  int64_t n = c->n;
  double *place = neo_arena_alloc(e->graph->arena, sizeof *place * (size_t)(n + 1));
  for (int64_t i = 0; i < n; i++)
    place[i] = (double)(n - i);
  int id = neo_emit_reshape(e, mx_part(node, rows, 2, 0, 1), 2, (int64_t[]){c->batch, n});
  int kept = scaled(node, "greater_equal", id, 0);
  int key = where(node, kept, neo_emit_floats(e, (int)n, place), mx_scalar(node, id, 0));
  neo_node *made = neo_emit_node(e, "topk", 2, (int[]){key, neo_emit_ints(e, 1, &n)}, 2);
  if (made->n_outputs < 2)
    return NEO_NO_VALUE;
  int values = made->output[0], at = made->output[1];
  at = neo_emit_reshape(e, at, 3, (int64_t[]){c->batch, n, 1});
  made = mx_emit(node, "gather_nd", 2, (int[]){rows, at});
  neo_node_set_int(e->graph, made, "batch_dims", 1);
  int moved = made->output[0];
  kept = neo_emit_reshape(e, scaled(node, "greater", values, 0), 3, (int64_t[]){c->batch, n, 1});
  return where(node, kept, moved, mx_scalar(node, moved, -1));
}

void mx_box_nms(mx_node *node) {
  neo_emitter *e = &node->im->e;
  columns c;
  if (!read_columns(node, &c))
    return;
  neo_shape shape = *mx_shape(node, mx_in(node, 0));
  if (c.n < 1 || c.n > 1 << 22) {
    mx_unsupported(node, "%" PRId64 " boxes", c.n);
    return;
  }
  int x = neo_emit_reshape(e, mx_in(node, 0), 3, (int64_t[]){c.batch, c.n, c.width});
  int rows = rows_of(node, &c, x), column[3], n = 0;
  neo_node *made = mx_emit(node, "multibox_nms", 1, &rows);
  neo_node_set_float(e->graph, made, "iou_threshold", mx_float(node, "overlap_thresh", 0.5));
  neo_node_set_int(e->graph, made, "top_k", mx_int(node, "topk", -1));
  neo_node_set_int(e->graph, made, "force", mx_bool(node, "force_suppress", false) || c.id < 0);
  rows = packed(node, &c, made->output[0]);
  if (rows == NEO_NO_VALUE)
    return;
  for (int64_t k = 0; k < c.width; k++) {
    if (k == c.id)
      column[n++] = mx_part(node, rows, 2, 0, 1);
    else if (k == c.score)
      column[n++] = mx_part(node, rows, 2, 1, 2);
    else if (k == c.box)
      column[n++] = mx_part(node, rows, 2, 2, 6);
  }
  mx_set(node, 0, neo_emit_reshape(e, join(node, n, column, 2), shape.rank, shape.dim));
}

/* ---- attention between two sequences --------------------------------------------------------- */

/* Part `which` of `parts` interleaved per head: [seq, batch, heads * parts * width] -> [batch *
 * heads, seq, width]. */
static int heads_of(mx_node *node, int x, int64_t heads, int64_t parts, int64_t which) {
  neo_emitter *e = &node->im->e;
  const neo_shape *shape = mx_shape(node, x);
  if (!shape || shape->rank != 3 || heads < 1 || shape->dim[2] % (heads * parts)) {
    mx_unsupported(node, "%" PRId64 " heads do not fit the input", heads);
    return x;
  }
  neo_shape s = *shape;
  int64_t width = s.dim[2] / heads / parts;
  x = neo_emit_reshape(e, x, 5, (int64_t[]){s.dim[0], s.dim[1], heads, parts, width});
  x = mx_part(node, x, 3, which, which + 1);
  x = neo_emit_transpose(e, x, 5, (int64_t[]){1, 2, 0, 3, 4});
  return neo_emit_reshape(e, x, 3, (int64_t[]){s.dim[1] * heads, s.dim[0], width});
}

void mx_encdec_qk(mx_node *node) {
  int64_t heads = mx_int(node, "heads", 1);
  int q = heads_of(node, mx_in(node, 0), heads, 1, 0),
      k = heads_of(node, mx_in(node, 1), heads, 2, 0);
  const neo_shape *s = mx_shape(node, q);
  if (!s || s->rank != 3)
    return;
  q = scaled(node, "mul", q, 1 / sqrt((double)s->dim[2]));
  mx_set(node, 0, mx_two(node, "matmul", q, mx_transpose_to(node, k, 3, 1, 2)));
}

void mx_encdec_valatt(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int64_t heads = mx_int(node, "heads", 1);
  int y = mx_two(node, "matmul", mx_in(node, 1), heads_of(node, mx_in(node, 0), heads, 2, 1));
  const neo_shape *shape = mx_shape(node, y);
  if (!shape || shape->rank != 3 || heads < 1)
    return;
  int64_t batch = shape->dim[0] / heads, seq = shape->dim[1], width = shape->dim[2];
  y = neo_emit_reshape(e, y, 4, (int64_t[]){batch, heads, seq, width});
  y = neo_emit_transpose(e, y, 4, (int64_t[]){2, 0, 1, 3});
  mx_set(node, 0, neo_emit_reshape(e, y, 3, (int64_t[]){seq, batch, heads * width}));
}

/* ---- small things ---------------------------------------------------------------------------- */

void mx_eye(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int64_t n = mx_int(node, "N", 1), m = mx_int(node, "M", 0), k = mx_int(node, "k", 0);
  m = m > 0 ? m : n;
  if (n < 1 || n > 1 << 12 || m > 1 << 12) {
    mx_unsupported(node, "%" PRId64 " x %" PRId64, n, m);
    return;
  }
  double *v = neo_arena_alloc(e->graph->arena, sizeof *v * (size_t)(n * m));
  for (int64_t i = 0; i < n * m; i++)
    v[i] = i % m - i / m == k;
  int y = neo_emit_reshape(e, neo_emit_floats(e, (int)(n * m), v), 2, (int64_t[]){n, m});
  mx_set(node, 0, neo_emit_cast(e, y, mx_dtype(node, "dtype", NEO_F32)));
}

void mx_linspace(mx_node *node) {
  neo_emitter *e = &node->im->e;
  double from = mx_float(node, "start", 0), to = mx_float(node, "stop", 0);
  int64_t n = mx_int(node, "num", 50), steps = mx_bool(node, "endpoint", true) ? n - 1 : n;
  if (n < 1 || n > 1 << 24) {
    mx_unsupported(node, "%" PRId64 " numbers", n);
    return;
  }
  double *v = neo_arena_alloc(e->graph->arena, sizeof *v * (size_t)n);
  for (int64_t i = 0; i < n; i++)
    v[i] = from + (steps > 0 ? (to - from) / (double)steps * (double)i : 0);
  mx_set(node, 0,
         neo_emit_cast(e, neo_emit_floats(e, (int)n, v), mx_dtype(node, "dtype", NEO_F32)));
}

void mx_quadratic(mx_node *node) {
  int x = mx_in(node, 0), y = scaled(node, "mul", x, mx_float(node, "a", 0));
  y = mx_two(node, "mul", scaled(node, "add", y, mx_float(node, "b", 0)), x);
  mx_set(node, 0, scaled(node, "add", y, mx_float(node, "c", 0)));
}

/* Places are columns of [depth, ..]. */
void mx_scatter_nd(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int64_t shape[NEO_MAX_RANK], perm[NEO_MAX_RANK];
  int n = mx_ints(node, "shape", shape, NEO_MAX_RANK), updates = mx_in(node, 0);
  int at = neo_emit_cast(e, mx_in(node, 1), NEO_I64), rank = mx_rank(node, at);
  if (n < 1 || rank < 1)
    return;
  for (int d = 0; d < rank; d++)
    perm[d] = (d + 1) % rank;
  at = neo_emit_transpose(e, at, rank, perm);
  int whole = neo_emit_ints(e, n, shape);
  int zero = mx_two(node, "expand", mx_scalar(node, updates, 0), whole);
  mx_set(node, 0, mx_emit(node, "scatter_nd", 3, (int[]){zero, at, updates})->output[0]);
}
