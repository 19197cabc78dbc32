/* ir/ops_boxes.c: multibox_nms, the end of SSD detectors (what it computes: runtime/op_multibox.c).
 */
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>
#include <string.h>

enum { ROW = 6 };

neo_status neo_infer_multibox_nms(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  if (x->dtype != NEO_F32 || x->shape.rank != 3 || x->shape.dim[2] != ROW)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "rows must be f32 [batch, n, 6]");
  neo_shape shape = x->shape;
  neo_op_set(graph, node, 0, NEO_F32, &shape);
  return NEO_OK;
}

static double overlap(const float *a, const float *b) {
  float w = fmaxf(0, fminf(a[4], b[4]) - fmaxf(a[2], b[2]));
  float h = fmaxf(0, fminf(a[5], b[5]) - fmaxf(a[3], b[3]));
  float either = (a[4] - a[2]) * (a[5] - a[3]) + (b[4] - b[2]) * (b[5] - b[3]) - w * h;
  return either <= 0 ? 0 : w * h / either;
}

/* Rows of one batch: those with a class, best first by repeated search, then suppression. */
static void detect(const neo_node *node, const float *in, int64_t n, float *out, bool *taken) {
  double threshold = neo_node_float(node, "iou_threshold", 0.5);
  int64_t top_k = neo_node_int(node, "top_k", -1), count = 0;
  for (int64_t i = 0; i < n; i++)
    if (in[i * ROW] >= 0)
      memcpy(out + count++ * ROW, in + i * ROW, ROW * sizeof *out);
  for (int64_t i = count * ROW; i < n * ROW; i++)
    out[i] = -1;
  if (!((float)threshold > 0 && (float)threshold <= 1))
    return;
  memset(taken, 0, (size_t)n);
  for (int64_t k = 0; k < count && !(top_k > 0 && k >= top_k); k++) {
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++)
      if (in[i * ROW] >= 0 && !taken[i] && (best < 0 || in[i * ROW + 1] > in[best * ROW + 1]))
        best = i;
    taken[best] = true;
    memcpy(out + k * ROW, in + best * ROW, ROW * sizeof *out);
  }
  for (int64_t i = top_k > 0 ? top_k : count; i < count; i++)
    out[i * ROW] = -1;
  for (int64_t i = 0; i < count; i++)
    for (int64_t j = i + 1; out[i * ROW] >= 0 && j < count; j++)
      if ((neo_node_int(node, "force", 0) || out[i * ROW] == out[j * ROW]) && out[j * ROW] >= 0 &&
          overlap(out + i * ROW, out + j * ROW) >= (float)threshold)
        out[j * ROW] = -1;
}

neo_status neo_eval_multibox_nms(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 neo_tensor *const *in, neo_tensor *out) {
  int64_t n = in[0]->shape.dim[1];
  bool *taken = neo_alloc(ctx, (size_t)n + 1);
  (void)graph;
  if (!taken)
    return neo_fail(ctx, NEO_NO_MEMORY, "multibox_nms: no memory");
  for (int64_t b = 0; b < in[0]->shape.dim[0]; b++)
    detect(node, (const float *)in[0]->data + b * n * ROW, n, (float *)out[0].data + b * n * ROW,
           taken);
  neo_free(ctx, taken);
  return NEO_OK;
}
