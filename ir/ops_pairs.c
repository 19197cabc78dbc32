/* ir/ops_pairs.c: couple_pairs, probabilities of classes from those of pairs of classes
 * (base/couple_pairs.h), the end of support vector classifiers. */
#include "base/couple_pairs.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

neo_status neo_infer_couple_pairs(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  const neo_value *x = neo_op_in(graph, node, 0);
  neo_shape shape = x->shape;
  if (x->dtype != NEO_F32 || shape.rank != 2 || neo_classes_of_pairs(shape.dim[1]) == 0)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "f32 [n, pairs] expected");
  shape.dim[1] = neo_classes_of_pairs(shape.dim[1]);
  neo_op_set(graph, node, 0, NEO_F32, &shape);
  return NEO_OK;
}

neo_status neo_eval_couple_pairs(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 neo_tensor *const *in, neo_tensor *out) {
  int64_t classes = out->shape.dim[1], pairs = in[0]->shape.dim[1];
  double *work = neo_alloc(ctx, sizeof *work * (size_t)neo_couple_pairs_work(classes));
  (void)graph;
  if (!work)
    return neo_op_fail(ctx, node, NEO_NO_MEMORY, "no memory");
  for (int64_t i = 0; i < out->shape.dim[0]; i++)
    neo_couple_pairs(classes, (const float *)in[0]->data + i * pairs,
                     (float *)out->data + i * classes, work);
  neo_free(ctx, work);
  return NEO_OK;
}
