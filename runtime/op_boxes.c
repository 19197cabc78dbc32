/* non_max_suppression, as ONNX defines it (opset 11): per batch and class, boxes in order of
 * falling score, each dropped if it overlaps a kept one by more than iou_threshold.
 *
 * Output: i64 [M, 3] of (batch, class, box); a static shape, so rows that were not needed are -1. A
 * second output, i64 of one element, is the number of rows found (all of them, even when M is
 * smaller).
 *
 * Algorithm: candidates above the score threshold are kept in a heap; each is taken best first and
 * compared with the kept ones: n log n + n kept. Equal scores: the lower box index first. */
#include "runtime/ops.h"

#include <math.h>
#include <string.h>

enum { NMS_MAX, NMS_IOU, NMS_SCORE, NMS_CENTER, NMS_HAS_SCORE };
static const neo_op_attribute attributes[] = {{"max_output_boxes_per_class", 'i', 0},
                                              {"iou_threshold", 'r', 0},
                                              {"score_threshold", 'r', 0},
                                              {"center_point_box", 'i', 0},
                                              {"has_score_threshold", 'i', 0},
                                              {NULL, 0, 0}};

static neo_status check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *boxes = call->value[0], *scores = call->value[1], *out = call->value[2];
  if (boxes->dtype != NEO_RT_F32 || boxes->rank != 3 || boxes->dim[2] != 4)
    return neo_fail(ctx, NEO_BAD_INPUT, "non_max_suppression: boxes must be f32 [batch, n, 4]");
  if (scores->dtype != NEO_RT_F32 || scores->rank != 3 || scores->dim[0] != boxes->dim[0] ||
      scores->dim[2] != boxes->dim[1])
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "non_max_suppression: scores must be f32 [batch, classes, n]");
  if (out->dtype != NEO_RT_I64 || out->rank != 2 || out->dim[1] != 3)
    return neo_fail(ctx, NEO_BAD_INPUT, "non_max_suppression: the output must be i64 [m, 3]");
  if (call->n_outputs == 2 && (call->value[3]->dtype != NEO_RT_I64 || call->value[3]->bytes < 8))
    return neo_fail(ctx, NEO_BAD_INPUT, "non_max_suppression: the count must be one i64");
  int64_t n = boxes->dim[1];
  if (boxes->bytes < 16 * boxes->dim[0] * n ||
      scores->bytes < 4 * boxes->dim[0] * scores->dim[1] * n || out->bytes < 24 * out->dim[0])
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "non_max_suppression: an argument is smaller than its shape");
  call->work_bytes = (size_t)n * 2 * sizeof(int64_t);
  return NEO_OK;
}

typedef struct rect {
  float low[2], high[2];
} rect;

static rect rect_of(const float *box, bool center) {
  rect r;
  for (int i = 0; i < 2; i++) {
    float a = center ? box[i] - box[i + 2] / 2 : fminf(box[i], box[i + 2]);
    float b = center ? box[i] + box[i + 2] / 2 : fmaxf(box[i], box[i + 2]);
    r.low[i] = a;
    r.high[i] = b;
  }
  return r;
}

static float area(const rect *r) {
  return (r->high[0] - r->low[0]) * (r->high[1] - r->low[1]);
}

static bool overlaps(const rect *a, const rect *b, float threshold) {
  float side[2];
  for (int i = 0; i < 2; i++) {
    side[i] = fminf(a->high[i], b->high[i]) - fmaxf(a->low[i], b->low[i]);
    if (side[i] <= 0)
      return false;
  }
  float both = side[0] * side[1], either = area(a) + area(b) - both;
  return either > 0 && both / either > threshold;
}

/* Is box a to be taken before b? */
static bool before(const float *score, int64_t a, int64_t b) {
  return score[a] != score[b] ? score[a] > score[b] : a < b;
}

static void sift_down(const float *score, int64_t *heap, int64_t n, int64_t at) {
  for (;;) {
    int64_t child = 2 * at + 1, moved = heap[at];
    if (child >= n)
      return;
    if (child + 1 < n && before(score, heap[child + 1], heap[child]))
      child++;
    if (!before(score, heap[child], moved))
      return;
    heap[at] = heap[child];
    heap[child] = moved;
    at = child;
  }
}

static int64_t candidates(const neo_op_call *call, const float *score, int64_t n, int64_t *heap) {
  bool limited = call->integer[NMS_HAS_SCORE] != 0;
  float threshold = (float)call->real[NMS_SCORE];
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++)
    if (limited ? score[i] > threshold : score[i] == score[i])
      heap[count++] = i;
  for (int64_t i = count / 2; i-- > 0;)
    sift_down(score, heap, count, i);
  return count;
}

/* Suppression of one class; returns how many are kept in kept[]. */
static int64_t suppress(const neo_op_call *call, const float *boxes, const float *score, int64_t n,
                        int64_t *heap, int64_t *kept) {
  int64_t count = candidates(call, score, n, heap), found = 0;
  bool center = call->integer[NMS_CENTER] != 0;
  float threshold = (float)call->real[NMS_IOU];
  while (count > 0 && found < call->integer[NMS_MAX]) {
    int64_t box = heap[0];
    heap[0] = heap[--count];
    sift_down(score, heap, count, 0);
    rect mine = rect_of(boxes + 4 * box, center);
    bool keep = true;
    for (int64_t i = 0; keep && i < found; i++) {
      rect other = rect_of(boxes + 4 * kept[i], center);
      keep = !overlaps(&mine, &other, threshold);
    }
    if (keep)
      kept[found++] = box;
  }
  return found;
}

static void run(const neo_op_call *call) {
  int64_t batches = call->value[0]->dim[0], n = call->value[0]->dim[1];
  int64_t classes = call->value[1]->dim[1], room = call->value[2]->dim[0], total = 0;
  int64_t *heap = (int64_t *)call->work, *kept = heap + n, *out = call->data[2];
  memset(out, 0xff, (size_t)room * 3 * sizeof(*out));
  for (int64_t b = 0; b < batches; b++)
    for (int64_t c = 0; c < classes; c++) {
      const float *boxes = (const float *)call->data[0] + b * n * 4;
      const float *score = (const float *)call->data[1] + (b * classes + c) * n;
      int64_t found = suppress(call, boxes, score, n, heap, kept);
      for (int64_t i = 0; i < found; i++, total++) {
        if (total >= room)
          continue;
        out[3 * total] = b;
        out[3 * total + 1] = c;
        out[3 * total + 2] = kept[i];
      }
    }
  if (call->n_outputs == 2)
    *(int64_t *)call->data[3] = total;
}

const neo_op neo_op_non_max_suppression = {
    "non_max_suppression", 2, 2, 1, 2, attributes, check, run, NULL};
