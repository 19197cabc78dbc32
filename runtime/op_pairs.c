/* couple_pairs: probabilities of classes from those of pairs of classes (base/couple_pairs.h). */
#include "base/couple_pairs.h"
#include "runtime/ops.h"

static const neo_op_attribute no_attributes[] = {{NULL, 0, 0}};

static neo_status check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *in = call->value[0], *out = call->value[1];
  if (in->dtype != NEO_RT_F32 || out->dtype != NEO_RT_F32 || in->rank != 2 || out->rank != 2 ||
      in->dim[0] != out->dim[0] || out->dim[1] < 2 || in->dim[1] != neo_pairs_of(out->dim[1]))
    return neo_fail(ctx, NEO_BAD_INPUT, "couple_pairs: f32 [n, pairs] and [n, classes] expected");
  if (in->bytes < 4 * in->dim[0] * in->dim[1] || out->bytes < 4 * out->dim[0] * out->dim[1])
    return neo_fail(ctx, NEO_BAD_INPUT, "couple_pairs: an argument is smaller than its shape");
  call->work_bytes = sizeof(double) * (size_t)neo_couple_pairs_work(out->dim[1]);
  return NEO_OK;
}

static void run(const neo_op_call *call) {
  int64_t pairs = call->value[0]->dim[1], classes = call->value[1]->dim[1];
  for (int64_t i = 0; i < call->value[0]->dim[0]; i++)
    neo_couple_pairs(classes, (const float *)call->data[0] + i * pairs,
                     (float *)call->data[1] + i * classes, (double *)call->work);
}

const neo_op neo_op_couple_pairs = {"couple_pairs", 1, 1, 1, 1, no_attributes, check, run, NULL};
