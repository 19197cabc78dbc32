/* frontends/torch_order.c: ATen operators about order, extent and place, written as calls of
 * others: median, cummax, diff, diagonal, rot90, im2col, as_strided and their like. */
#include "frontends/torch_compose.h"

#include <math.h>
#include <string.h>

/* ---- order ----------------------------------------------------------------------------------- */

/* Value and index of the k-th smallest of a dimension, k from 1. */
static tv kth(torch *t, tv x, int64_t k, int dim, bool keep) {
  tv both = TORCH_CALL(t, "topk", x, torch_int(k), torch_int(dim), torch_bool(false));
  if (both.kind != TV_TUPLE)
    return torch_poison();
  tv out[2];
  for (int i = 0; i < 2; i++)
    out[i] = keep ? TORCH_CALL(t, "narrow", both.seq->item[i], torch_int(dim), torch_int(k - 1),
                               torch_int(1))
                  : TORCH_CALL(t, "select", both.seq->item[i], torch_int(dim), torch_int(k - 1));
  return torch_pair(t, out[0], out[1]);
}

static int64_t extent(torch *t, torch_call *call, int dim) {
  const neo_shape *shape = torch_shape(t, torch_arg(t, call, 0));
  return shape && dim >= 0 && dim < shape->rank ? shape->dim[dim] : -1;
}

/* kthvalue(self, k, dim, keepdim) */
tv torch_do_kthvalue(torch *t, torch_call *call) {
  int dim = torch_arg_dim(t, call, 2, torch_rank(t, torch_arg(t, call, 0)));
  return dim < 0 ? torch_poison()
                 : kth(t, call->arg[0], torch_arg_int(call, 1), dim, call->arg[3].i);
}

/* median(self, dim, keepdim): the lower one of two */
tv torch_do_median_dim(torch *t, torch_call *call) {
  int dim = torch_arg_dim(t, call, 1, torch_rank(t, torch_arg(t, call, 0)));
  int64_t n = extent(t, call, dim);
  return n < 1 ? torch_poison() : kth(t, call->arg[0], (n + 1) / 2, dim, call->arg[2].i);
}

tv torch_do_median(torch *t, torch_call *call) {
  tv flat = TORCH_CALL(t, "flatten", call->arg[0]);
  const neo_shape *shape = flat.kind == TV_TENSOR ? torch_shape(t, torch_id(t, &flat)) : NULL;
  if (!shape || shape->dim[0] < 1)
    return torch_poison();
  tv both = kth(t, flat, (shape->dim[0] + 1) / 2, 0, false);
  return both.kind == TV_TUPLE ? both.seq->item[0] : both;
}

/* cummax, cummin (self, dim): over all elements up to each one; `ours`: max or min. Of equal ones
 * the last. */
tv torch_do_cummax(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  bool max = strcmp(call->row->ours, "max") == 0;
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x), dim = torch_arg_dim(t, call, 1, rank);
  int64_t n = extent(t, call, dim), last = -1, perm[NEO_MAX_RANK];
  if (n < 1 || rank >= NEO_MAX_RANK)
    return torch_poison();
  if (n > 1024)
    return torch_unsupported(t, call->op, "of %lld elements, 1024 at most", (long long)n);
  for (int i = 0; i < rank; i++)
    perm[i] = i == dim ? rank - 1 : i == rank - 1 ? dim : i;
  int lines = torch_unsqueeze(t, torch_transpose(t, x, rank, perm), rank - 1); /* [.., 1, n] */
  int64_t *at = neo_arena_alloc(&t->arena, sizeof *at * (size_t)n);
  for (int64_t i = 0; i < n; i++)
    at[i] = i;
  int key = neo_emit_ints(e, (int)n, at);
  int seen = torch_binary(t, "less_equal", key, torch_unsqueeze(t, key, 1)); /* [n, n] */
  int none = torch_scalar_like(t, x, max ? -INFINITY : INFINITY);
  int masked = neo_emit_node(e, "where", 3, (int[]){seen, lines, none}, 1)->output[0];
  int value = torch_reduce(t, max ? "reduce_max" : "reduce_min", masked, 1, &last, false);
  neo_node *best = neo_emit_node(e, max ? "arg_max" : "arg_min", 1, &masked, 1);
  neo_node_set_int(e->graph, best, "axis", -1);
  neo_node_set_int(e->graph, best, "keepdims", 0);
  neo_node_set_int(e->graph, best, "select_last_index", 1);
  int index = best->output[0];
  return torch_pair(t, torch_tensor(t, torch_transpose(t, value, rank, perm)),
                    torch_tensor(t, torch_transpose(t, index, rank, perm)));
}

/* aminmax(self, dim?, keepdim) */
tv torch_do_aminmax(torch *t, torch_call *call) {
  if (!torch_arg_given(call, 1))
    return torch_pair(t, TORCH_CALL(t, "min", call->arg[0]), TORCH_CALL(t, "max", call->arg[0]));
  tv dims = torch_list_of_ints(t, 1, &call->arg[1].i);
  return torch_pair(t, TORCH_CALL(t, "amin", call->arg[0], dims, call->arg[2]),
                    TORCH_CALL(t, "amax", call->arg[0], dims, call->arg[2]));
}

tv torch_do_count_nonzero(torch *t, torch_call *call) {
  tv hit = TORCH_CALL(t, "ne", call->arg[0], torch_int(0));
  return torch_arg_given(call, 1) ? TORCH_CALL(t, "sum", hit, call->arg[1])
                                  : TORCH_CALL(t, "sum", hit);
}

/* searchsorted(sorted, self, out_int32, right), bucketize(self, boundaries, ..); `ours` is where
 * the boundaries stand. As many boundaries as are below. */
tv torch_do_bucketize(torch *t, torch_call *call) {
  int first = call->row->ours[0] - '0';
  tv bounds = call->arg[first], x = TORCH_CALL(t, "unsqueeze", call->arg[1 - first], torch_int(-1));
  int rank = torch_rank(t, torch_id(t, &bounds));
  if (rank > 1)
    bounds = TORCH_CALL(t, "unsqueeze", bounds, torch_int(-2));
  tv below = TORCH_CALL(t, call->arg[3].i ? "le" : "lt", bounds, x), dims, y;
  dims = torch_list_of_ints(t, 1, (int64_t[]){-1});
  y = TORCH_CALL(t, "sum", below, dims);
  return call->arg[2].i ? TORCH_CALL(t, "int", y) : y;
}

/* ---- neighbours ------------------------------------------------------------------------------ */

/* diff(self, n, dim, prepend?, append?) */
tv torch_do_diff(torch *t, torch_call *call) {
  tv x = call->arg[0], parts = torch_seq_new(t, TV_LIST, 0, NULL);
  int dim = torch_arg_dim(t, call, 2, torch_rank(t, torch_id(t, &x)));
  if (dim < 0)
    return torch_poison();
  if (torch_arg_given(call, 3))
    torch_seq_add(t, parts.seq, call->arg[3]);
  torch_seq_add(t, parts.seq, x);
  if (torch_arg_given(call, 4))
    torch_seq_add(t, parts.seq, call->arg[4]);
  if (parts.seq->n > 1)
    x = TORCH_CALL(t, "cat", parts, torch_int(dim));
  for (int64_t k = torch_arg_int(call, 1); k > 0 && x.kind == TV_TENSOR; k--) {
    tv after = TORCH_CALL(t, "slice", x, torch_int(dim), torch_int(1)),
       before = TORCH_CALL(t, "slice", x, torch_int(dim), torch_int(0), torch_int(-1));
    bool truth = torch_dtype_of(t, torch_id(t, &x)) == NEO_BOOL;
    x = TORCH_CALL(t, truth ? "logical_xor" : "sub", after, before);
  }
  return x;
}

/* rot90(self, k, dims) */
tv torch_do_rot90(torch *t, torch_call *call) {
  int64_t dim[2], k = ((torch_arg_int(call, 1) % 4) + 4) % 4;
  tv x = call->arg[0];
  if (torch_arg_ints(t, call, 2, dim, 2) != 2)
    return torch_poison();
  if (k == 2)
    return TORCH_CALL(t, "flip", x, call->arg[2]);
  tv one = torch_list_of_ints(t, 1, k == 1 ? &dim[1] : &dim[0]);
  if (k != 0)
    x = TORCH_CALL(t, "transpose", TORCH_CALL(t, "flip", x, one), torch_int(dim[0]),
                   torch_int(dim[1]));
  return x;
}

/* ---- diagonals ------------------------------------------------------------------------------- */

/* Gathers elements of the last dimension at these places. */
static int picked(torch *t, int x, int64_t n, const int64_t *at) {
  neo_emitter *e = torch_emitter(t);
  neo_node *node = neo_emit_node(e, "gather", 2, (int[]){x, neo_emit_ints(e, (int)n, at)}, 1);
  neo_node_set_int(e->graph, node, "axis", -1);
  return node->output[0];
}

/* diagonal(self, offset, dim1, dim2): the diagonal comes last */
tv torch_do_diagonal(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x), n = 0;
  const neo_shape *known = torch_shape(t, x);
  int a = torch_arg_dim(t, call, 2, rank), b = torch_arg_dim(t, call, 3, rank);
  int64_t offset = torch_arg_int(call, 1), perm[NEO_MAX_RANK], dims[NEO_MAX_RANK];
  if (!known || a < 0 || b < 0 || a == b)
    return torch_poison();
  neo_shape shape = *known;
  for (int i = 0; i < rank; i++)
    if (i != a && i != b) {
      dims[n] = shape.dim[i];
      perm[n++] = i;
    }
  perm[n] = a;
  perm[n + 1] = b;
  int64_t rows = shape.dim[a], columns = shape.dim[b], found = 0;
  int64_t *at = neo_arena_alloc(&t->arena, sizeof *at * (size_t)(rows + 1));
  for (int64_t i = 0; i < rows; i++)
    if (i + offset >= 0 && i + offset < columns)
      at[found++] = i * columns + i + offset;
  dims[n] = rows * columns;
  x = torch_reshape(t, torch_transpose(t, x, rank, perm), n + 1, dims);
  return torch_tensor(t, picked(t, x, found, at));
}

/* diag_embed(self, offset, dim1, dim2) of the last two dimensions; diag(self, diagonal) */
tv torch_do_diag_embed(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  const neo_shape *known = torch_shape(t, x);
  int64_t offset = torch_arg_int(call, 1);
  if (strcmp(call->row->name, "diag") == 0 && rank == 2)
    return TORCH_CALL(t, "diagonal", call->arg[0], call->arg[1]);
  if (!known || rank < 1 || rank >= NEO_MAX_RANK ||
      (call->n_args > 2 && (call->arg[2].i != -2 || call->arg[3].i != -1)))
    return torch_unsupported(t, call->op, "of rank %d, or not in the last dimensions", rank);
  neo_shape shape = *known;
  int64_t n = shape.dim[rank - 1], side = n + (offset < 0 ? -offset : offset);
  int64_t *at = neo_arena_alloc(&t->arena, sizeof *at * (size_t)(side * side + 1));
  for (int64_t i = 0; i < side * side; i++) {
    int64_t row = i / side, column = i % side;
    at[i] = column - row == offset ? (offset < 0 ? column : row) : n;
  }
  neo_shape zero = shape;
  zero.dim[rank - 1] = 1;
  int none = torch_full(t, rank, zero.dim, torch_dtype_of(t, x), 0);
  int y = picked(t, torch_concat(t, 2, (int[]){x, none}, rank - 1), side * side, at);
  shape.dim[rank - 1] = shape.dim[rank] = side;
  return torch_tensor(t, torch_reshape(t, y, rank + 1, shape.dim));
}

/* tril_indices, triu_indices (row, col, offset): constants [2, n] */
tv torch_do_triangle_indices(torch *t, torch_call *call) {
  int64_t rows = torch_arg_int(call, 0), columns = torch_arg_int(call, 1),
          offset = torch_arg_int(call, 2), n = 0;
  bool upper = call->row->ours[0] == 'u';
  if (rows < 0 || columns < 0 || rows > 4096 || columns > 4096)
    return torch_unsupported(t, call->op, "%lld by %lld", (long long)rows, (long long)columns);
  int64_t *at = neo_arena_alloc(&t->arena, sizeof *at * (size_t)(2 * rows * columns + 1));
  for (int pass = 0; pass < 2; pass++)
    for (int64_t i = 0; i < rows * columns; i++) {
      int64_t row = i / columns, column = i % columns;
      if (upper ? column - row >= offset : column - row <= offset)
        at[n++] = pass ? column : row;
    }
  int id = torch_reshape(t, neo_emit_ints(torch_emitter(t), (int)n, at), 2, (int64_t[]){2, n / 2});
  return torch_tensor(t, id);
}

tv torch_do_shape_as_tensor(torch *t, torch_call *call) {
  return torch_tensor(t, torch_unary(t, "shape", torch_arg(t, call, 0)));
}

/* ---- windows --------------------------------------------------------------------------------- */

/* as_strided(self, size, stride, storage_offset?) of a dense tensor */
tv torch_do_as_strided(torch *t, torch_call *call) {
  int64_t size[NEO_MAX_RANK], stride[NEO_MAX_RANK], n = 1, all = 0;
  int x = torch_arg(t, call, 0), rank = torch_arg_ints(t, call, 1, size, NEO_MAX_RANK);
  const neo_shape *shape = torch_shape(t, x);
  int64_t start = torch_arg_given(call, 3) ? torch_arg_int(call, 3) : 0;
  if (!shape || rank < 0 || torch_arg_ints(t, call, 2, stride, NEO_MAX_RANK) != rank)
    return torch_poison();
  neo_shape_elements(shape, &all);
  for (int i = 0; i < rank; i++)
    n *= size[i] > 0 && size[i] < 1 << 24 && n < 1 << 24 ? size[i] : 0;
  if (n < 1 || n > 1 << 24)
    return torch_unsupported(t, call->op, "no elements, or more than 2^24");
  int64_t *at = neo_arena_alloc(&t->arena, sizeof *at * (size_t)n);
  for (int64_t i = 0; i < n; i++) {
    int64_t rest = i;
    at[i] = start;
    for (int d = rank; d-- > 0; rest /= size[d])
      at[i] += rest % size[d] * stride[d];
    if (at[i] < 0 || at[i] >= all)
      return torch_unsupported(t, call->op, "outside of the tensor");
  }
  x = picked(t, torch_reshape(t, x, 1, &all), n, at);
  return torch_tensor(t, torch_reshape(t, x, rank, size));
}

/* im2col(self, kernel, dilation, padding, stride): [n, c, h, w] -> [n, c * taps, windows] */
tv torch_do_im2col(torch *t, torch_call *call) {
  int64_t kernel[2], dilation[2], pad[2], stride[2], out[2];
  tv x = call->arg[0];
  int id = torch_id(t, &x), rank = torch_rank(t, id);
  if (!torch_arg_each(t, call, 1, kernel, 2) || !torch_arg_each(t, call, 2, dilation, 2) ||
      !torch_arg_each(t, call, 3, pad, 2) || !torch_arg_each(t, call, 4, stride, 2))
    return torch_poison();
  if (rank == 3)
    id = torch_unsqueeze(t, id, 0);
  x = TORCH_CALL(t, "constant_pad_nd", torch_tensor(t, id),
                 torch_list_of_ints(t, 4, (int64_t[]){pad[1], pad[1], pad[0], pad[0]}),
                 torch_int(0));
  id = x.kind == TV_TENSOR ? torch_id(t, &x) : id;
  const neo_shape *known = torch_shape(t, id);
  int64_t taps = kernel[0] * kernel[1];
  if (!known || known->rank != 4 || taps < 1 || taps > 1024)
    return torch_unsupported(t, call->op, "of rank %d, or of %lld taps", rank, (long long)taps);
  neo_shape shape = *known;
  for (int d = 0; d < 2; d++)
    out[d] = (shape.dim[2 + d] - dilation[d] * (kernel[d] - 1) - 1) / stride[d] + 1;
  int *parts = neo_arena_alloc(&t->arena, sizeof *parts * (size_t)taps);
  for (int64_t k = 0; k < taps; k++) {
    int part = id;
    for (int d = 0; d < 2; d++) {
      int64_t from = (d ? k % kernel[1] : k / kernel[1]) * dilation[d];
      part = torch_slice_node(t, part, 2 + d, from, from + (out[d] - 1) * stride[d] + 1, stride[d]);
    }
    parts[k] =
        torch_reshape(t, part, 4, (int64_t[]){shape.dim[0], shape.dim[1], 1, out[0] * out[1]});
  }
  int y = torch_concat(t, (int)taps, parts, 2);
  y = torch_reshape(t, y, 3, (int64_t[]){shape.dim[0], shape.dim[1] * taps, out[0] * out[1]});
  return torch_tensor(t, rank == 3 ? torch_squeeze(t, y, 0) : y);
}

/* col2im(self, output_size, kernel, dilation, padding, stride) */
tv torch_do_col2im(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int64_t size[2], kernel[2], v[2], pads[4];
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  if (!torch_arg_each(t, call, 1, size, 2) || !torch_arg_each(t, call, 2, kernel, 2) ||
      !torch_arg_each(t, call, 4, v, 2))
    return torch_poison();
  for (int i = 0; i < 4; i++)
    pads[i] = v[i % 2];
  if (rank == 2)
    x = torch_unsqueeze(t, x, 0);
  int in[3] = {x, neo_emit_ints(e, 2, size), neo_emit_ints(e, 2, kernel)};
  neo_node *node = neo_emit_node(e, "col2im", 3, in, 1);
  neo_node_set_ints(e->graph, node, "pads", 4, pads);
  if (!torch_arg_each(t, call, 3, v, 2))
    return torch_poison();
  neo_node_set_ints(e->graph, node, "dilations", 2, v);
  if (!torch_arg_each(t, call, 5, v, 2))
    return torch_poison();
  neo_node_set_ints(e->graph, node, "strides", 2, v);
  int y = node->output[0];
  return torch_tensor(t, rank == 2 ? torch_squeeze(t, y, 0) : y);
}

tv torch_do_broadcast_tensors(torch *t, torch_call *call) {
  const torch_seq *list = call->arg[0].seq;
  tv out = torch_seq_new(t, TV_LIST, 0, NULL);
  neo_shape all = {0};
  for (int i = 0; i < list->n; i++) {
    const neo_shape *shape = torch_shape(t, torch_id(t, &list->item[i]));
    neo_shape joined;
    if (!shape || !neo_shape_broadcast(&all, shape, &joined))
      return torch_poison();
    all = joined;
  }
  for (int i = 0; i < list->n; i++)
    torch_seq_add(t, out.seq,
                  torch_tensor(t, torch_expand(t, torch_id(t, &list->item[i]), all.rank, all.dim)));
  return out;
}

/* scatter_reduce(self, dim, index, src, reduce, include_self) */
tv torch_do_scatter_reduce(torch *t, torch_call *call) {
  static const char *const kinds[][2] = {
      {"sum", "add"}, {"prod", "mul"}, {"amax", "max"}, {"amin", "min"}};
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x)), k = 0;
  while (k < NEO_COUNT(kinds) && strcmp(kinds[k][0], call->arg[4].s) != 0)
    k++;
  if (dim < 0)
    return torch_poison();
  if (k == NEO_COUNT(kinds) || !call->arg[5].i)
    return torch_unsupported(t, call->op, "reduce '%s', or without self", call->arg[4].s);
  int in[3] = {x, torch_arg(t, call, 2),
               torch_cast(t, torch_arg(t, call, 3), torch_dtype_of(t, x))};
  neo_node *node = neo_emit_node(e, "scatter_elements", 3, in, 1);
  neo_node_set_int(e->graph, node, "axis", dim);
  neo_node_set_string(e->graph, node, "reduction", kinds[k][1]);
  return torch_tensor(t, node->output[0]);
}
