/* frontends/suppression.c: one list of boxes as non_max_suppression's batch of one class, and what
 * it leaves open filled up (suppression.h). */
#include "frontends/suppression.h"

neo_suppressed neo_emit_suppression(neo_emitter *e, const neo_suppression *in) {
  static const int64_t axes[2] = {0, 1};
  int args[5] = {neo_emit_binary(e, "unsqueeze", in->boxes, neo_emit_ints(e, 1, axes)),
                 NEO_NO_VALUE, in->most, in->iou, in->least};
  args[1] = neo_emit_binary(e, "unsqueeze", in->scores, neo_emit_ints(e, 2, axes));
  neo_node *node = neo_emit_node(e, "non_max_suppression", 5, args, 2);
  int picked = node->output[0], count = node->output[1];
  node = neo_emit_node(e, "gather", 2, (int[]){picked, neo_emit_int(e, 2)}, 1);
  neo_node_set_int(e->graph, node, "axis", 1);
  return (neo_suppressed){node->output[0], count};
}

int neo_emit_filled(neo_emitter *e, int x, int count, int64_t m, int64_t n) {
  neo_node *node = neo_emit_node(e, "uncut", 2, (int[]){x, count}, 1);
  neo_node_set_int(e->graph, node, "axis", 0);
  x = node->output[0];
  if (m >= n)
    return x;
  node = neo_emit_node(e, "pad", 1, &x, 1);
  neo_node_set_ints(e->graph, node, "pads", 2, (int64_t[]){0, n - m});
  return node->output[0];
}
