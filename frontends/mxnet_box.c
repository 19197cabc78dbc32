/* frontends/mxnet_box.c: MXNet's operators of SSD: MultiBoxPrior, MultiBoxDetection.
 *
 * Priors depend on shapes only: a constant. Detection: class and score of every anchor and its box
 * are ordinary operators; sorting and suppression are the IR's multibox_nms, whose result has one
 * row per anchor, -1 where there is none. */
#include "frontends/mxnet_import.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define MAX_SIZES 64

typedef struct priors {
  double sizes[MAX_SIZES], ratios[MAX_SIZES], steps[2], offsets[2];
  int n_sizes, n_ratios;
  int64_t rows, columns;
  bool clip;
} priors;

static bool read_priors(mx_node *node, priors *p) {
  *p = (priors){.sizes = {1}, .ratios = {1}, .steps = {-1, -1}, .offsets = {0.5, 0.5}};
  const neo_shape *shape = mx_shape(node, mx_in(node, 0));
  p->n_sizes = mx_floats(node, "sizes", p->sizes, MAX_SIZES);
  p->n_ratios = mx_floats(node, "ratios", p->ratios, MAX_SIZES);
  p->n_sizes = p->n_sizes < 1 ? 1 : p->n_sizes;
  p->n_ratios = p->n_ratios < 1 ? 1 : p->n_ratios;
  p->clip = mx_bool(node, "clip", false);
  mx_floats(node, "steps", p->steps, 2);
  mx_floats(node, "offsets", p->offsets, 2);
  if (!shape || shape->rank != 4)
    return false;
  p->rows = shape->dim[2];
  p->columns = shape->dim[3];
  if (p->rows < 1 || p->columns < 1 || p->rows > 1 << 12 || p->columns > 1 << 12) {
    mx_unsupported(node, "priors on %" PRId64 " x %" PRId64 " places", p->rows, p->columns);
    return false;
  }
  return true;
}

/* MXNet computes in float; so here, for equal roundings. */
static double *put_box(const priors *p, double *out, float x, float y, float size, float ratio) {
  float w = size * (float)p->rows / (float)p->columns * ratio / 2, h = size / ratio / 2;
  float box[] = {x - w, y - h, x + w, y + h};
  for (int i = 0; i < 4; i++)
    *out++ = p->clip ? fmin(fmax(box[i], 0), 1) : box[i];
  return out;
}

void mx_prior(mx_node *node) {
  priors p;
  if (!read_priors(node, &p))
    return;
  int64_t each = p.n_sizes + p.n_ratios - 1, n = p.rows * p.columns * each * 4;
  if (n > 1 << 26) {
    mx_unsupported(node, "%" PRId64 " priors", n / 4);
    return;
  }
  double *v = neo_arena_alloc(node->im->e.graph->arena, sizeof *v * (size_t)n), *at = v;
  float step_y = p.steps[0] > 0 ? (float)p.steps[0] : 1.0f / (float)p.rows,
        step_x = p.steps[1] > 0 ? (float)p.steps[1] : 1.0f / (float)p.columns;
  for (int64_t r = 0; r < p.rows; r++)
    for (int64_t c = 0; c < p.columns; c++) {
      float y = ((float)r + (float)p.offsets[0]) * step_y,
            x = ((float)c + (float)p.offsets[1]) * step_x;
      for (int i = 0; i < p.n_sizes; i++)
        at = put_box(&p, at, x, y, (float)p.sizes[i], sqrtf((float)p.ratios[0]));
      for (int i = 1; i < p.n_ratios; i++)
        at = put_box(&p, at, x, y, (float)p.sizes[0], sqrtf((float)p.ratios[i]));
    }
  int all = neo_emit_floats(&node->im->e, (int)n, v);
  mx_set(node, 0, neo_emit_reshape(&node->im->e, all, 3, (int64_t[]){1, n / 4, 4}));
}

/* ---- detection -------------------------------------------------------------------------------------------- */

int mx_part(mx_node *node, int x, int64_t axis, int64_t from, int64_t to) {
  neo_graph *graph = node->im->e.graph;
  neo_node *made = mx_emit(node, "slice", 1, &x);
  neo_node_set_ints(graph, made, "starts", 1, &from);
  neo_node_set_ints(graph, made, "ends", 1, &to);
  neo_node_set_ints(graph, made, "axes", 1, &axis);
  return made->output[0];
}

static int times(mx_node *node, int x, double by) {
  return mx_two(node, "mul", x, mx_scalar(node, x, by));
}

static int join(mx_node *node, int n, const int *parts, int64_t axis) {
  neo_node *made = mx_emit(node, "concat", n, parts);
  neo_node_set_int(node->im->e.graph, made, "axis", axis);
  return made->output[0];
}

/* Corners [b, n, 2] per direction from offsets [b, n, 4] and anchors [1, n, 4]. */
static int boxes(mx_node *node, int offsets, int anchors) {
  double variance[4] = {0.1, 0.1, 0.2, 0.2};
  mx_floats(node, "variances", variance, 4);
  int low = mx_part(node, anchors, 2, 0, 2), high = mx_part(node, anchors, 2, 2, 4);
  int size = mx_two(node, "sub", high, low);
  int middle = times(node, mx_two(node, "add", low, high), 0.5);
  int scale = neo_emit_floats(&node->im->e, 2, variance);
  int grow = neo_emit_floats(&node->im->e, 2, variance + 2);
  int shift = mx_two(node, "mul", mx_part(node, offsets, 2, 0, 2), scale);
  int center = mx_two(node, "add", mx_two(node, "mul", shift, size), middle);
  int growth = mx_one(node, "exp", mx_two(node, "mul", mx_part(node, offsets, 2, 2, 4), grow));
  int half = times(node, mx_two(node, "mul", growth, size), 0.5);
  int corners[] = {mx_two(node, "sub", center, half), mx_two(node, "add", center, half)};
  int all = join(node, 2, corners, 2);
  if (!mx_bool(node, "clip", true))
    return all;
  neo_node *made = mx_emit(node, "clip", 1, &all);
  neo_node_set_float(node->im->e.graph, made, "min", 0);
  neo_node_set_float(node->im->e.graph, made, "max", 1);
  return made->output[0];
}

/* The best class but the background, -1 below the threshold; and its score; both [b, n, 1]. */
static void best_class(mx_node *node, int scores, int out[2]) {
  neo_emitter *e = &node->im->e;
  int objects = mx_part(node, scores, 1, 1, INT64_MAX);
  neo_node *made = mx_emit(node, "reduce_max", 1, &objects);
  neo_node_set_ints(e->graph, made, "axes", 1, (int64_t[]){1});
  neo_node_set_int(e->graph, made, "keepdims", 0);
  int score = made->output[0];
  made = mx_emit(node, "arg_max", 1, &objects);
  neo_node_set_int(e->graph, made, "axis", 1);
  neo_node_set_int(e->graph, made, "keepdims", 0);
  int id = neo_emit_cast(e, made->output[0], NEO_F32);
  int weak = mx_two(node, "less", score, mx_scalar(node, score, mx_float(node, "threshold", 0.01)));
  int none = neo_emit_scalar(e, NEO_F32, -1);
  id = mx_emit(node, "where", 3, (int[]){weak, none, id})->output[0];
  int both[] = {id, score};
  for (int i = 0; i < 2; i++) {
    made = mx_emit(node, "unsqueeze", 1, &both[i]);
    neo_node_set_ints(e->graph, made, "axes", 1, (int64_t[]){2});
    out[i] = made->output[0];
  }
}

void mx_detection(mx_node *node) {
  neo_emitter *e = &node->im->e;
  int rows[3], scores = mx_in(node, 0);
  const neo_shape *shape = mx_shape(node, scores);
  if (!shape || shape->rank != 3 || node->n_inputs != 3)
    return;
  if (mx_int(node, "background_id", 0) != 0) {
    mx_unsupported(node, "background_id %" PRId64, mx_int(node, "background_id", 0));
    return;
  }
  int64_t offsets_shape[] = {shape->dim[0], shape->dim[2], 4};
  int offsets = neo_emit_reshape(e, mx_in(node, 1), 3, offsets_shape);
  int anchors = neo_emit_reshape(e, mx_in(node, 2), 3, (int64_t[]){1, offsets_shape[1], 4});
  best_class(node, scores, rows);
  rows[2] = boxes(node, offsets, anchors);
  int all = join(node, 3, rows, 2);
  neo_node *made = mx_emit(node, "multibox_nms", 1, &all);
  neo_node_set_float(e->graph, made, "iou_threshold", mx_float(node, "nms_threshold", 0.5));
  neo_node_set_int(e->graph, made, "top_k", mx_int(node, "nms_topk", -1));
  neo_node_set_int(e->graph, made, "force", mx_bool(node, "force_suppress", false));
  mx_set(node, 0, made->output[0]);
}
