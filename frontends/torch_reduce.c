/* frontends/torch_reduce.c: ATen's reductions, searches and orders (torch_ops.def). */
#include "frontends/torch.h"

#include <string.h>

/* Axes of argument i: none or an empty list stands for all. Their number; -1: listed. */
static int axes_of(torch *t, torch_call *call, int i, int rank, int64_t *axes) {
  int n = torch_arg_ints(t, call, i, axes, NEO_MAX_RANK);
  for (int k = 0; k < n; k++) {
    int dim;
    if (!torch_dim(t, call->op, axes[k], rank, &dim))
      return -1;
    axes[k] = dim;
  }
  for (int k = 0; n == 0 && k < rank; k++)
    axes[k] = k;
  return n == 0 && rank > 0 ? rank : n;
}

static bool is_class(torch *t, int id, const char *classes) {
  neo_dtype dtype = torch_dtype_of(t, id);
  return dtype < NEO_DTYPE_COUNT && strchr(classes, neo_dtype_class(dtype)) != NULL;
}

/* Reduces arguments (x, dims?, keepdim?, dtype?): -1 for what the form lacks. */
static tv reduced(torch *t, torch_call *call, int x, int dims, int keep) {
  int64_t axes[NEO_MAX_RANK];
  int rank = torch_rank(t, x), n = rank;
  if (rank < 0) {
    torch_shape(t, x);
    return torch_poison();
  }
  for (int k = 0; k < rank; k++)
    axes[k] = k;
  if (dims >= 0)
    n = axes_of(t, call, dims, rank, axes);
  if (n < 0)
    return torch_poison();
  if (rank == 0)
    return torch_tensor(t, x);
  return torch_tensor(t,
                      torch_reduce(t, call->row->ours, x, n, axes, keep >= 0 && call->arg[keep].i));
}

/* sum, prod, mean over all (self, dtype?) or (self, dim, keepdim, dtype?): integers add up as i64.
 */
tv torch_do_sum(torch *t, torch_call *call) {
  bool all = call->n_args == 2, mean = strcmp(call->row->ours, "reduce_mean") == 0;
  int x = torch_arg(t, call, 0);
  neo_dtype natural = is_class(t, x, "f") ? torch_dtype_of(t, x) : mean ? NEO_F32 : NEO_I64;
  x = torch_cast(t, x, torch_arg_dtype(t, call, all ? 1 : 3, natural));
  return reduced(t, call, x, all ? -1 : 1, all ? -1 : 2);
}

/* amax, amin, logsumexp (self, dim, keepdim) */
tv torch_do_reduce(torch *t, torch_call *call) {
  return reduced(t, call, torch_arg(t, call, 0), 1, 2);
}

/* max(self), min(self) */
tv torch_do_reduce_all(torch *t, torch_call *call) {
  return reduced(t, call, torch_arg(t, call, 0), -1, -1);
}

static int arg_of(torch *t, const char *op, int x, int dim, bool keep) {
  neo_emitter *e = torch_emitter(t);
  neo_node *node = neo_emit_node(e, op, 1, &x, 1);
  neo_node_set_int(e->graph, node, "axis", dim);
  neo_node_set_int(e->graph, node, "keepdims", keep);
  return node->output[0];
}

/* max(self, dim, keepdim) -> values, indices */
tv torch_do_max_dim(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  bool keep = call->arg[2].i, max = strcmp(call->row->ours, "reduce_max") == 0;
  int64_t axis = dim;
  if (dim < 0)
    return torch_poison();
  if (torch_rank(t, x) == 0)
    return torch_tuple_of(t, 2, (int[]){x, neo_emit_int(torch_emitter(t), 0)});
  int ids[2] = {torch_reduce(t, call->row->ours, x, 1, &axis, keep),
                arg_of(t, max ? "arg_max" : "arg_min", x, dim, keep)};
  return torch_tuple_of(t, 2, ids);
}

tv torch_do_arg_max(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  int64_t all = -1, ones[NEO_MAX_RANK];
  if (!torch_arg_given(call, 1)) {
    int flat = arg_of(t, call->row->ours, torch_reshape(t, x, 1, &all), 0, false);
    for (int i = 0; i < rank; i++)
      ones[i] = 1;
    return torch_tensor(t, call->arg[2].i ? torch_reshape(t, flat, rank, ones) : flat);
  }
  int dim = torch_arg_dim(t, call, 1, rank);
  if (dim < 0)
    return torch_poison();
  return torch_tensor(t, arg_of(t, call->row->ours, x, dim, call->arg[2].i));
}

/* any, all: of bools the largest and the smallest */
tv torch_do_any(torch *t, torch_call *call) {
  int x = torch_cast(t, torch_arg(t, call, 0), NEO_BOOL);
  bool all = call->n_args == 1;
  return reduced(t, call, x, all ? -1 : 1, all ? -1 : 2);
}

/* ---- spread ------------------------------------------------------------------------------------------------ */

/* Variance over the axes, divided by n - correction; *mean with the axes kept. */
static int variance(torch *t, int x, int n, const int64_t *axes, double correction, int *mean) {
  const neo_shape *shape = torch_shape(t, x);
  double count = 1;
  if (!shape)
    return -1;
  for (int i = 0; i < n; i++)
    count *= (double)shape->dim[axes[i]];
  *mean = torch_reduce(t, "reduce_mean", x, n, axes, true);
  int off = torch_binary(t, "sub", x, *mean);
  int sum = torch_reduce(t, "reduce_sum", torch_binary(t, "mul", off, off), n, axes, true);
  double divisor = count - correction > 0 ? count - correction : 0;
  return torch_binary(t, "div", sum, torch_scalar_like(t, x, divisor));
}

static int without_axes(torch *t, int x, int n, const int64_t *axes, bool keep) {
  return keep ? x : torch_binary(t, "squeeze", x, neo_emit_ints(torch_emitter(t), n, axes));
}

/* (self, dim?, correction, keepdim); `ours` says which of var, std, var_mean, std_mean. */
static tv spread(torch *t, torch_call *call, double correction, int dims, int keep_arg) {
  int64_t axes[NEO_MAX_RANK];
  const char *what = call->row->ours;
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x), mean;
  int n = dims < 0 ? rank : axes_of(t, call, dims, rank, axes);
  bool keep = keep_arg >= 0 && call->arg[keep_arg].i;
  for (int k = 0; dims < 0 && k < rank; k++)
    axes[k] = k;
  int y = n < 0 ? -1 : variance(t, x, n, axes, correction, &mean);
  if (y < 0)
    return torch_poison();
  if (strncmp(what, "std", 3) == 0)
    y = torch_unary(t, "sqrt", y);
  y = without_axes(t, y, n, axes, keep);
  if (!strstr(what, "mean"))
    return torch_tensor(t, y);
  return torch_tuple_of(t, 2, (int[]){y, without_axes(t, mean, n, axes, keep)});
}

/* (self, dim?, correction=1, keepdim) */
tv torch_do_var(torch *t, torch_call *call) {
  return spread(t, call, torch_arg_given(call, 2) ? torch_arg_float(call, 2) : 1, 1, 3);
}

/* (self, dim?, unbiased, keepdim) */
tv torch_do_var_unbiased(torch *t, torch_call *call) {
  return spread(t, call, call->arg[2].i ? 1 : 0, 1, 3);
}

/* (self, unbiased) */
tv torch_do_var_all(torch *t, torch_call *call) {
  return spread(t, call, call->arg[1].i ? 1 : 0, -1, -1);
}

/* norm(self, p, dim, keepdim, dtype?) and linalg_vector_norm(self, ord, dim, keepdim, dtype) */
tv torch_do_norm(torch *t, torch_call *call) {
  int64_t axes[NEO_MAX_RANK];
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  double p = torch_arg_given(call, 1) ? torch_arg_float(call, 1) : 2;
  int n = axes_of(t, call, 2, rank, axes);
  bool keep = call->arg[3].i;
  if (n < 0)
    return torch_poison();
  x = torch_cast(t, x, torch_arg_dtype(t, call, 4, torch_dtype_of(t, x)));
  if (p == 1 || p == 2)
    return torch_tensor(t, torch_reduce(t, p == 1 ? "reduce_l1" : "reduce_l2", x, n, axes, keep));
  int size = torch_unary(t, "abs", x);
  if (p > 1e300 || p < -1e300)
    return torch_tensor(t,
                        torch_reduce(t, p > 0 ? "reduce_max" : "reduce_min", size, n, axes, keep));
  if (p == 0) {
    int set = torch_binary(t, "not_equal", x, torch_scalar_like(t, x, 0));
    return torch_tensor(
        t, torch_reduce(t, "reduce_sum", torch_cast(t, set, torch_dtype_of(t, x)), n, axes, keep));
  }
  int power = torch_binary(t, "pow", size, torch_scalar_like(t, x, p));
  int sum = torch_reduce(t, "reduce_sum", power, n, axes, keep);
  return torch_tensor(t, torch_binary(t, "pow", sum, torch_scalar_like(t, x, 1 / p)));
}

tv torch_do_frobenius_norm(torch *t, torch_call *call) {
  torch_call norm = {.row = call->row,
                     .op = call->op,
                     .n_args = 5,
                     .arg = {call->arg[0], torch_float(2), call->arg[1], call->arg[2]}};
  return torch_do_norm(t, &norm);
}

/* ---- orders ------------------------------------------------------------------------------------------------- */

tv torch_do_cumsum(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  neo_dtype natural = is_class(t, x, "f") ? torch_dtype_of(t, x) : NEO_I64;
  if (dim < 0)
    return torch_poison();
  x = torch_cast(t, x, torch_arg_dtype(t, call, 2, natural));
  return torch_tensor(t, torch_binary(t, "cumsum", x, neo_emit_int(torch_emitter(t), dim)));
}

static tv top(torch *t, int x, int64_t k, int dim, bool largest) {
  neo_emitter *e = torch_emitter(t);
  int inputs[2] = {x, neo_emit_ints(e, 1, &k)};
  neo_node *node = neo_emit_node(e, "topk", 2, inputs, 2);
  neo_node_set_int(e->graph, node, "axis", dim);
  neo_node_set_int(e->graph, node, "largest", largest);
  neo_node_set_int(e->graph, node, "sorted", 1);
  return torch_tuple_of(t, 2, (int[]){node->output[0], node->output[1]});
}

tv torch_do_topk(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 2, torch_rank(t, x));
  return dim < 0 ? torch_poison() : top(t, x, torch_arg_int(call, 1), dim, call->arg[3].i);
}

/* sort and argsort (self, dim, descending), stable forms with stable first */
tv torch_do_sort(torch *t, torch_call *call) {
  int at = call->n_args == 4 ? 2 : 1, x = torch_arg(t, call, 0);
  int dim = torch_arg_dim(t, call, at, torch_rank(t, x));
  const neo_shape *shape = torch_shape(t, x);
  if (dim < 0 || !shape)
    return torch_poison();
  tv both = top(t, x, shape->rank ? shape->dim[dim] : 1, dim, call->arg[at + 1].i);
  return strcmp(call->row->ours, "argsort") == 0 ? both.seq->item[1] : both;
}
