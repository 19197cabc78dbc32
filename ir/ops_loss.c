/* ir/ops_loss.c: nll_loss and softmax_cross_entropy: pure functions of their inputs, written as a
 * gather along the classes and sums. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <string.h>

/* reduction of loss [target's shape] with these weights (absent: ones). */
static int reduced(neo_expander *x, int loss, int weight) {
  const char *how = neo_node_string(&x->node, "reduction", "mean");
  const neo_attr *all = NEO_XP_ATTRS(NEO_XP_INT("keepdims", 0));
  if (weight != NEO_NO_VALUE)
    loss = neo_xp_2(x, "mul", loss, weight);
  if (strcmp(how, "none") == 0)
    return loss;
  if (strcmp(how, "sum") == 0)
    return neo_xp_op(x, "reduce_sum", 1, &loss, all);
  if (weight == NEO_NO_VALUE)
    return neo_xp_op(x, "reduce_mean", 1, &loss, all);
  return neo_xp_2(x, "div", neo_xp_op(x, "reduce_sum", 1, &loss, all),
                  neo_xp_op(x, "reduce_sum", 1, &weight, all));
}

/* log_prob [n, classes, ...], target [n, ...], weight? [classes]. */
static int loss_of(neo_expander *x, int log_prob, int target, int weight) {
  neo_dtype dtype = neo_xp_dtype(x, log_prob);
  int64_t classes = neo_xp_dim(x, log_prob, 1);
  neo_shape shape = neo_xp_shape(x, target);
  int ignored = NEO_NO_VALUE, zero = neo_xp_scalar(x, dtype, 0);
  if (neo_node_attr(&x->node, "ignore_index"))
    ignored = neo_xp_c(x, "equal", target, (double)neo_node_int(&x->node, "ignore_index", 0));
  int safe =
      neo_xp_op(x, "clip", 1, &target,
                NEO_XP_ATTRS(NEO_XP_FLOAT("min", 0), NEO_XP_FLOAT("max", (double)classes - 1)));
  int picked = neo_xp_op(x, "gather_elements", 2, (int[]){log_prob, neo_xp_unsqueeze(x, safe, 1)},
                         NEO_XP_ATTRS(NEO_XP_INT("axis", 1)));
  int loss = neo_xp_1(x, "neg", neo_xp_reshape_to(x, picked, &shape));
  int each = weight == NEO_NO_VALUE ? NEO_NO_VALUE : neo_xp_gather(x, weight, safe, 0);
  if (ignored != NEO_NO_VALUE) {
    loss = neo_xp_3(x, "where", ignored, zero, loss);
    each = neo_xp_3(x, "where", ignored, zero,
                    each == NEO_NO_VALUE ? neo_xp_scalar(x, dtype, 1) : each);
  }
  return reduced(x, loss, each);
}

static neo_status check_loss(neo_expander *x) {
  if (neo_xp_rank(x, neo_xp_in(x, 0)) < 2 ||
      neo_xp_rank(x, neo_xp_in(x, 1)) != neo_xp_rank(x, neo_xp_in(x, 0)) - 1)
    return neo_xp_fail(x, NEO_BAD_INPUT, "scores of rank %d, targets of rank %d",
                       neo_xp_rank(x, neo_xp_in(x, 0)), neo_xp_rank(x, neo_xp_in(x, 1)));
  return NEO_OK;
}

neo_status neo_expand_nll_loss(neo_expander *x) {
  NEO_TRY(check_loss(x));
  x->out[0] = loss_of(x, neo_xp_in(x, 0), neo_xp_in(x, 1), neo_xp_in(x, 2));
  return x->status;
}

neo_status neo_expand_softmax_cross_entropy(neo_expander *x) {
  int scores = neo_xp_in(x, 0);
  NEO_TRY(check_loss(x));
  x->out[1] = neo_xp_op(x, "log_softmax", 1, &scores, NEO_XP_ATTRS(NEO_XP_INT("axis", 1)));
  x->out[0] = loss_of(x, x->out[1], neo_xp_in(x, 1), neo_xp_in(x, 2));
  return x->status;
}
