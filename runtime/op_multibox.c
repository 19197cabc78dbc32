/* runtime/op_multibox.c: multibox_nms: detections of anchors -> detections worth showing, as
 * MXNet's MultiBoxDetection ends (src/operator/contrib/multibox_detection.cc of MXNet 1.x).
 *
 * Rows are (class, score, left, top, right, bottom); class < 0: none. Rows with a class move to the
 * front, the rest becomes -1. If iou_threshold is in (0, 1]: the front is sorted by falling score,
 * equal ones in their order; of the sorted ones only the first top_k are written, if top_k > 0,
 * over what was at the front, and what lies behind them loses its class (-1) and keeps its other
 * values, as MXNet 1.9 does. Then each row, in order, takes the class of later rows of its class
 * (force: of any) that overlap it by iou_threshold or more. */
#include "runtime/ops.h"

#include <math.h>
#include <string.h>

enum { ROW = 6 };
enum { MB_IOU, MB_TOP_K, MB_FORCE };
static const neo_op_attribute attributes[] = {
    {"iou_threshold", 'r', 0.5}, {"top_k", 'i', -1}, {"force", 'i', 0}, {NULL, 0, 0}};

static neo_status check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *in = call->value[0], *out = call->value[1];
  if (in->dtype != NEO_RT_F32 || in->rank != 3 || in->dim[2] != ROW || out->dtype != NEO_RT_F32 ||
      out->rank != 3 || memcmp(in->dim, out->dim, 3 * sizeof in->dim[0]) != 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "multibox_nms: rows must be f32 [batch, n, 6]");
  int64_t bytes = in->dim[0] * in->dim[1] * ROW * 4;
  if (in->bytes < bytes || out->bytes < bytes)
    return neo_fail(ctx, NEO_BAD_INPUT, "multibox_nms: an argument is smaller than its shape");
  call->work_bytes =
      (size_t)in->dim[1] * (2 * sizeof(int64_t) + ROW * sizeof(float)) + sizeof(int64_t);
  return NEO_OK;
}

static int64_t pack(const float *in, int64_t n, float *out) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++)
    if (in[i * ROW] >= 0)
      memcpy(out + count++ * ROW, in + i * ROW, ROW * sizeof *out);
  for (int64_t i = count * ROW; i < n * ROW; i++)
    out[i] = -1;
  return count;
}

static bool after(const float *rows, int64_t a, int64_t b) {
  return rows[b * ROW + 1] > rows[a * ROW + 1];
}

/* Merge sort: stable. The result is in order[]. */
static void sort_rows(const float *rows, int64_t n, int64_t *order, int64_t *other) {
  for (int64_t i = 0; i < n; i++)
    order[i] = i;
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t from = 0; from < n; from += 2 * width) {
      int64_t middle = from + width < n ? from + width : n;
      int64_t end = from + 2 * width < n ? from + 2 * width : n, a = from, b = middle;
      for (int64_t k = from; k < end; k++)
        other[k] =
            a < middle && (b >= end || !after(rows, order[a], order[b])) ? order[a++] : order[b++];
    }
    memcpy(order, other, (size_t)n * sizeof *order);
  }
}

static float overlap(const float *a, const float *b) {
  float w = fmaxf(0, fminf(a[4], b[4]) - fmaxf(a[2], b[2]));
  float h = fmaxf(0, fminf(a[5], b[5]) - fmaxf(a[3], b[3]));
  float both = w * h;
  float either = (a[4] - a[2]) * (a[5] - a[3]) + (b[4] - b[2]) * (b[5] - b[3]) - both;
  return either <= 0 ? 0 : both / either;
}

static void suppress(float *rows, int64_t n, float threshold, bool force) {
  for (int64_t i = 0; i < n; i++) {
    const float *a = rows + i * ROW;
    for (int64_t j = i + 1; a[0] >= 0 && j < n; j++) {
      float *b = rows + j * ROW;
      if (b[0] >= 0 && (force || a[0] == b[0]) && overlap(a, b) >= threshold)
        b[0] = -1;
    }
  }
}

static void run(const neo_op_call *call) {
  int64_t batches = call->value[0]->dim[0], n = call->value[0]->dim[1];
  int64_t *order = (int64_t *)call->work, *other = order + n, top_k = call->integer[MB_TOP_K];
  float *copy = (float *)(other + n), threshold = (float)call->real[MB_IOU];
  for (int64_t b = 0; b < batches; b++) {
    float *out = (float *)call->data[1] + b * n * ROW;
    int64_t count = pack((const float *)call->data[0] + b * n * ROW, n, out);
    if (count == 0 || !(threshold > 0 && threshold <= 1))
      continue;
    memcpy(copy, out, (size_t)count * ROW * sizeof *copy);
    sort_rows(copy, count, order, other);
    int64_t kept = top_k > 0 && top_k < count ? top_k : count;
    for (int64_t i = 0; i < kept; i++)
      memcpy(out + i * ROW, copy + order[i] * ROW, ROW * sizeof *out);
    for (int64_t i = kept; i < count; i++)
      out[i * ROW] = -1;
    suppress(out, count, threshold, call->integer[MB_FORCE] != 0);
  }
}

const neo_op neo_op_multibox_nms = {"multibox_nms", 1, 1, 1, 1, attributes, check, run, NULL};
