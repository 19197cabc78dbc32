/* frontends/torch_linear.c: ATen operators of linear algebra, distances and losses, written as
 * calls of others. */
#include "frontends/torch_compose.h"

#include <math.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

tv torch_do_frac(torch *t, torch_call *call) {
  return TORCH_CALL(t, "sub", call->arg[0], TORCH_CALL(t, "trunc", call->arg[0]));
}

/* sin(pi x) / (pi x) */
tv torch_do_sinc(torch *t, torch_call *call) {
  tv x = TORCH_CALL(t, "mul", call->arg[0], torch_float(pi));
  tv none = TORCH_CALL(t, "eq", x, torch_float(0));
  tv safe = TORCH_CALL(t, "masked_fill", x, none, torch_float(1));
  tv y = TORCH_CALL(t, "div", TORCH_CALL(t, "sin", safe), safe);
  return TORCH_CALL(t, "masked_fill", y, none, torch_float(1));
}

/* Softmax whose rows of -infinity alone are 0. */
tv torch_do_safe_softmax(torch *t, torch_call *call) {
  tv x = call->arg[0], dims = torch_list_of_ints(t, 1, &call->arg[1].i);
  tv y = TORCH_CALL(t, "softmax", x, call->arg[1], call->arg[2]);
  tv none =
      TORCH_CALL(t, "eq", TORCH_CALL(t, "amax", x, dims, torch_bool(true)), torch_float(-INFINITY));
  return TORCH_CALL(t, "masked_fill", y, none, torch_float(0));
}

/* ---- products -------------------------------------------------------------------------------- */

/* x with these dimensions moved to its end (or front), as a matrix; the others' extents into rest.
 */
static int as_matrix(torch *t, int x, int n, const int64_t *dim, bool last, neo_shape *rest) {
  int rank = torch_rank(t, x), others = 0, at;
  const neo_shape *known = torch_shape(t, x);
  int64_t perm[NEO_MAX_RANK], inner = 1, outer = 1;
  bool taken[NEO_MAX_RANK] = {false};
  if (!known)
    return x;
  neo_shape shape = *known;
  for (int i = 0; i < n; i++)
    if (torch_dim(t, "tensordot", dim[i], rank, &at)) {
      perm[last ? rank - n + i : i] = at;
      taken[at] = true;
      inner *= shape.dim[at];
    }
  for (int i = 0; i < rank; i++)
    if (!taken[i]) {
      perm[last ? others++ : n + others++] = i;
      rest->dim[rest->rank++] = shape.dim[i];
      outer *= shape.dim[i];
    }
  x = torch_transpose(t, x, rank, perm);
  return torch_reshape(t, x, 2, last ? (int64_t[]){outer, inner} : (int64_t[]){inner, outer});
}

/* tensordot(self, other, dims_self, dims_other) */
tv torch_do_tensordot(torch *t, torch_call *call) {
  int64_t a[NEO_MAX_RANK], b[NEO_MAX_RANK];
  neo_shape rest = {0};
  int x = torch_arg(t, call, 0), y = torch_arg(t, call, 1);
  int n = torch_arg_ints(t, call, 2, a, NEO_MAX_RANK);
  if (n < 0 || torch_arg_ints(t, call, 3, b, NEO_MAX_RANK) != n)
    return torch_poison();
  if (torch_rank(t, x) + torch_rank(t, y) - 2 * n > NEO_MAX_RANK || n > torch_rank(t, x) ||
      n > torch_rank(t, y))
    return torch_unsupported(t, call->op, "of %d dimensions", n);
  x = as_matrix(t, x, n, a, true, &rest);
  y = as_matrix(t, y, n, b, false, &rest);
  return torch_tensor(t, torch_reshape(t, torch_binary(t, "matmul", x, y), rest.rank, rest.dim));
}

/* Of tensors of one rank: every element of one times all of the other. */
tv torch_do_kron(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), y = torch_arg(t, call, 1), rank = torch_rank(t, x);
  const neo_shape *a = torch_shape(t, x), *b = torch_shape(t, y);
  int64_t left[NEO_MAX_RANK], right[NEO_MAX_RANK], out[NEO_MAX_RANK];
  if (!a || !b || rank != torch_rank(t, y) || 2 * rank > NEO_MAX_RANK)
    return torch_unsupported(t, call->op, "of ranks %d and %d", rank, torch_rank(t, y));
  for (int i = 0; i < rank; i++) {
    left[2 * i] = a->dim[i];
    right[2 * i + 1] = b->dim[i];
    left[2 * i + 1] = right[2 * i] = 1;
    out[i] = a->dim[i] * b->dim[i];
  }
  x = torch_binary(t, "mul", torch_reshape(t, x, 2 * rank, left),
                   torch_reshape(t, y, 2 * rank, right));
  return torch_tensor(t, torch_reshape(t, x, rank, out));
}

tv torch_do_trace(torch *t, torch_call *call) {
  return TORCH_CALL(t, "sum", TORCH_CALL(t, "diagonal", call->arg[0]));
}

/* cross(self, other, dim?): without dim the first one of extent 3 */
tv torch_do_cross(torch *t, torch_call *call) {
  const neo_shape *shape = torch_shape(t, torch_arg(t, call, 0));
  int64_t dim = torch_arg_given(call, 2) ? torch_arg_int(call, 2) : 0;
  for (int i = 0; shape && !torch_arg_given(call, 2) && i < shape->rank; i++)
    if (shape->dim[i] == 3) {
      dim = i;
      break;
    }
  tv turned[4], at = torch_list_of_ints(t, 1, &dim);
  for (int k = 0; k < 4; k++) {
    tv by = torch_list_of_ints(t, 1, k % 2 ? (int64_t[]){-2} : (int64_t[]){-1});
    turned[k] = TORCH_CALL(t, "roll", call->arg[k / 2], by, at);
  }
  return TORCH_CALL(t, "sub", TORCH_CALL(t, "mul", turned[0], turned[3]),
                    TORCH_CALL(t, "mul", turned[1], turned[2]));
}

/* bilinear(input1, input2, weight [out, n, m], bias?) */
tv torch_do_bilinear(torch *t, torch_call *call) {
  const neo_shape *known = torch_shape(t, torch_arg(t, call, 0));
  const neo_shape *w = torch_shape(t, torch_arg(t, call, 2));
  if (!known || !w || w->rank != 3 || known->rank < 1)
    return torch_poison();
  neo_shape shape = *known;
  int64_t n = w->dim[1], m = w->dim[2], out = w->dim[0];
  tv a = torch_tensor(t, torch_reshape(t, torch_arg(t, call, 0), 2, (int64_t[]){-1, n}));
  tv b = torch_tensor(t, torch_reshape(t, torch_arg(t, call, 1), 2, (int64_t[]){-1, m}));
  tv operands = torch_seq_new(t, TV_LIST, 2, (tv[]){a, call->arg[2]});
  tv left = TORCH_CALL(t, "einsum", torch_string("bi,oij->boj"), operands);
  tv products = TORCH_CALL(t, "mul", left, TORCH_CALL(t, "unsqueeze", b, torch_int(1)));
  tv y = TORCH_CALL(t, "sum", products, torch_list_of_ints(t, 1, (int64_t[]){-1}));
  if (torch_arg_given(call, 3))
    y = TORCH_CALL(t, "add", y, call->arg[3]);
  shape.dim[shape.rank - 1] = out;
  return y.kind == TV_TENSOR
             ? torch_tensor(t, torch_reshape(t, torch_id(t, &y), shape.rank, shape.dim))
             : y;
}

/* ---- norms and distances --------------------------------------------------------------------- */

/* linalg_norm(self, ord?, dim?, keepdim, dtype): of vectors; of matrices only the default */
tv torch_do_linalg_norm(torch *t, torch_call *call) {
  bool plain = !torch_arg_given(call, 1), all = !torch_arg_given(call, 2);
  int n = all ? torch_rank(t, torch_arg(t, call, 0)) : call->arg[2].seq->n;
  if (!plain && !torch_is_number(&call->arg[1]) && call->arg[1].kind != TV_STRING)
    return torch_poison();
  bool frobenius = call->arg[1].kind == TV_STRING && strcmp(call->arg[1].s, "fro") == 0;
  if (!plain && !frobenius && (n != 1 || call->arg[1].kind == TV_STRING))
    return torch_unsupported(t, call->op, "a norm of matrices other than Frobenius'");
  tv order = plain || frobenius ? torch_float(2) : call->arg[1];
  return TORCH_CALL(t, "linalg_vector_norm", call->arg[0], order, call->arg[2], call->arg[3]);
}

/* pairwise_distance(x1, x2, p, eps, keepdim) */
tv torch_do_pairwise_distance(torch *t, torch_call *call) {
  tv far = TORCH_CALL(t, "add", TORCH_CALL(t, "sub", call->arg[0], call->arg[1]), call->arg[3]);
  return TORCH_CALL(t, "linalg_vector_norm", far, call->arg[2],
                    torch_list_of_ints(t, 1, (int64_t[]){-1}), call->arg[4]);
}

/* _weight_norm(v, g, dim): v * g / |v|, the norm over all other dimensions */
tv torch_do_weight_norm(torch *t, torch_call *call) {
  int rank = torch_rank(t, torch_arg(t, call, 0)), n = 0;
  int dim = torch_arg_int(call, 2) == -1 ? -1 : torch_arg_dim(t, call, 2, rank);
  int64_t dims[NEO_MAX_RANK];
  for (int i = 0; i < rank; i++)
    if (i != dim)
      dims[n++] = i;
  tv size = TORCH_CALL(t, "linalg_vector_norm", call->arg[0], torch_float(2),
                       torch_list_of_ints(t, n, dims), torch_bool(true));
  return TORCH_CALL(t, "mul", call->arg[0], TORCH_CALL(t, "div", call->arg[1], size));
}

/* mse_loss, l1_loss (self, target, reduction): none, mean, sum; `ours`: square or abs */
tv torch_do_difference_loss(torch *t, torch_call *call) {
  tv y = TORCH_CALL(t, call->row->ours, TORCH_CALL(t, "sub", call->arg[0], call->arg[1]));
  int64_t reduction = torch_arg_int(call, 2);
  return reduction == 1 ? TORCH_CALL(t, "mean", y) : reduction == 2 ? TORCH_CALL(t, "sum", y) : y;
}

/* affine_grid_generator(theta, size, align_corners) */
tv torch_do_affine_grid(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int64_t size[5];
  int n = torch_arg_ints(t, call, 1, size, 5);
  if (n < 4)
    return torch_poison();
  neo_node *node = neo_emit_node(e, "affine_grid", 2,
                                 (int[]){torch_arg(t, call, 0), neo_emit_ints(e, n, size)}, 1);
  neo_node_set_int(e->graph, node, "align_corners", call->arg[2].i);
  return torch_tensor(t, node->output[0]);
}
