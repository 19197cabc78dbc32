/* frontends/torch_move.c: ATen's operators that make, move and gather elements (torch_ops.def). */
#include "frontends/torch.h"

#include <math.h>
#include <string.h>

static int with_axis(torch *t, const char *op, int a, int b, int axis) {
  neo_emitter *e = torch_emitter(t);
  neo_node *node = neo_emit_node(e, op, 2, (int[]){a, b}, 1);
  neo_node_set_int(e->graph, node, "axis", axis);
  return node->output[0];
}

/* ---- joining ------------------------------------------------------------------------------------------------ */

enum { MAX_JOINED = 4096 };

/* The tensors of list argument i made one type; their number, 0 on failure. */
static int joined(torch *t, torch_call *call, int i, int *ids) {
  const torch_seq *list = call->arg[i].seq;
  if (list->n < 1 || list->n > MAX_JOINED) {
    torch_unsupported(t, call->op, "%d tensors", list->n);
    return 0;
  }
  torch_promote_all(t, list->n, list->item, ids);
  return list->n;
}

tv torch_do_cat(torch *t, torch_call *call) {
  int ids[MAX_JOINED], n = joined(t, call, 0, ids), kept = 0;
  for (int i = 0; i < n; i++) { /* torch skips tensors of shape [0] */
    const neo_shape *shape = torch_shape_peek(t, ids[i]);
    if (!shape || shape->rank != 1 || shape->dim[0] != 0)
      ids[kept++] = ids[i];
  }
  if (kept == 0)
    return n > 0 ? torch_tensor(t, ids[0]) : torch_poison();
  int dim = torch_arg_dim(t, call, 1, torch_rank(t, ids[0]));
  return dim < 0 ? torch_poison() : torch_tensor(t, torch_concat(t, kept, ids, dim));
}

tv torch_do_stack(torch *t, torch_call *call) {
  int ids[MAX_JOINED], n = joined(t, call, 0, ids);
  if (n == 0)
    return torch_poison();
  int dim = torch_arg_dim(t, call, 1, torch_rank(t, ids[0]) + 1);
  for (int i = 0; i < n && dim >= 0; i++)
    ids[i] = torch_unsqueeze(t, ids[i], dim);
  return dim < 0 ? torch_poison() : torch_tensor(t, torch_concat(t, n, ids, dim));
}

/* hstack, vstack, dstack: along dim `ours` after the tensors have that many dimensions */
tv torch_do_xstack(torch *t, torch_call *call) {
  int ids[MAX_JOINED], n = joined(t, call, 0, ids), dim = call->row->ours[0] - '0';
  for (int i = 0; i < n; i++) {
    int rank = torch_rank(t, ids[i]);
    if (rank == 0)
      ids[i] = torch_reshape(t, ids[i], 1, (int64_t[]){1});
    if (rank <= 1 && dim != 1)
      ids[i] = torch_unsqueeze(t, ids[i], 0);
    if (dim == 2 && rank <= 2)
      ids[i] = torch_unsqueeze(t, ids[i], 2);
    if (dim == 1 && rank <= 1)
      dim = 0;
  }
  return n ? torch_tensor(t, torch_concat(t, n, ids, dim)) : torch_poison();
}

tv torch_do_meshgrid(torch *t, torch_call *call) {
  int ids[NEO_MAX_RANK], n = call->arg[0].seq->n;
  int64_t dims[NEO_MAX_RANK], ones[NEO_MAX_RANK];
  bool xy = call->arg[1].kind == TV_STRING && strcmp(call->arg[1].s, "xy") == 0 && n >= 2;
  if (n < 1 || n > NEO_MAX_RANK)
    return torch_unsupported(t, call->op, "%d tensors", n);
  for (int i = 0; i < n; i++) {
    const neo_shape *shape = torch_shape(t, ids[i] = torch_id(t, &call->arg[0].seq->item[i]));
    if (!shape)
      return torch_poison();
    dims[xy && i < 2 ? 1 - i : i] = shape->rank ? shape->dim[0] : 1;
  }
  for (int i = 0; i < n; i++) {
    int at = xy && i < 2 ? 1 - i : i;
    for (int k = 0; k < n; k++)
      ones[k] = k == at ? dims[k] : 1;
    ids[i] = torch_expand(t, torch_reshape(t, ids[i], n, ones), n, dims);
  }
  return torch_tuple_of(t, n, ids);
}

/* ---- repeating, turning ---------------------------------------------------------------------------------------- */

tv torch_do_repeat(torch *t, torch_call *call) {
  int64_t repeats[NEO_MAX_RANK], padded[NEO_MAX_RANK];
  int x = torch_arg(t, call, 0), n = torch_arg_ints(t, call, 1, repeats, NEO_MAX_RANK);
  int rank = torch_rank(t, x);
  if (n < 0 || rank < 0)
    return torch_poison();
  for (; rank < n; rank++)
    x = torch_unsqueeze(t, x, 0);
  for (int i = 0; i < rank; i++)
    padded[i] = i < rank - n ? 1 : repeats[i - (rank - n)];
  return torch_tensor(t, torch_binary(t, "tile", x, neo_emit_ints(torch_emitter(t), rank, padded)));
}

/* Each element `repeats` times along dim (none: of the flat tensor). */
tv torch_do_repeat_interleave(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  int64_t all = -1, repeats = torch_arg_int(call, 1), dims[NEO_MAX_RANK + 1];
  if (!torch_arg_given(call, 2))
    x = torch_reshape(t, x, 1, &all);
  const neo_shape *known = torch_shape(t, x);
  if (!known || known->rank >= NEO_MAX_RANK)
    return torch_poison();
  neo_shape shape = *known;
  int dim = torch_arg_given(call, 2) ? torch_arg_dim(t, call, 2, shape.rank) : 0;
  if (dim < 0)
    return torch_poison();
  for (int i = 0; i <= shape.rank; i++)
    dims[i] = i <= dim ? shape.dim[i] : i == dim + 1 ? repeats : shape.dim[i - 1];
  x = torch_expand(t, torch_unsqueeze(t, x, dim + 1), shape.rank + 1, dims);
  shape.dim[dim] *= repeats;
  return torch_tensor(t, torch_reshape(t, x, shape.rank, shape.dim));
}

tv torch_do_flip(torch *t, torch_call *call) {
  int64_t dims[NEO_MAX_RANK];
  int x = torch_arg(t, call, 0), n = torch_arg_ints(t, call, 1, dims, NEO_MAX_RANK), dim;
  for (int i = 0; i < n; i++) {
    if (!torch_dim(t, call->op, dims[i], torch_rank(t, x), &dim))
      return torch_poison();
    x = torch_slice_node(t, x, dim, -1, INT64_MIN, -1);
  }
  return n < 0 ? torch_poison() : torch_tensor(t, x);
}

tv torch_do_roll(torch *t, torch_call *call) {
  int64_t shifts[NEO_MAX_RANK], dims[NEO_MAX_RANK], all = -1;
  int x = torch_arg(t, call, 0), n = torch_arg_ints(t, call, 1, shifts, NEO_MAX_RANK);
  int m = torch_arg_ints(t, call, 2, dims, NEO_MAX_RANK), dim;
  const neo_shape *known = torch_shape(t, x);
  if (n < 0 || m < 0 || !known)
    return torch_poison();
  neo_shape shape = *known;
  if (m == 0) { /* of the flat tensor */
    x = torch_reshape(t, x, 1, &all);
    dims[0] = 0;
  } else if (m != n) {
    return torch_unsupported(t, call->op, "%d shifts of %d dimensions", n, m);
  }
  for (int i = 0; i < n; i++) {
    const neo_shape *now = torch_shape(t, x);
    if (!now || !torch_dim(t, call->op, dims[i], now->rank, &dim))
      return torch_poison();
    int64_t size = now->dim[dim], by = size ? neo_floor_mod(shifts[i], size) : 0;
    if (by != 0)
      x = torch_concat(t, 2,
                       (int[]){torch_slice_node(t, x, dim, size - by, size, 1),
                               torch_slice_node(t, x, dim, 0, size - by, 1)},
                       dim);
  }
  return torch_tensor(t, m == 0 ? torch_reshape(t, x, shape.rank, shape.dim) : x);
}

tv torch_do_pixel_shuffle(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  int64_t r = torch_arg_int(call, 1);
  const neo_shape *shape = torch_shape(t, x);
  if (!shape)
    return torch_poison();
  if (rank != 4 || r < 1)
    return torch_unsupported(t, call->op, "rank %d, factor %lld", rank, (long long)r);
  if (strcmp(call->row->name, "pixel_shuffle") == 0) {
    neo_node *node = neo_emit_node(e, "depth_to_space", 1, &x, 1);
    neo_node_set_int(e->graph, node, "blocksize", r);
    neo_node_set_string(e->graph, node, "mode", "crd");
    return torch_tensor(t, node->output[0]);
  }
  const int64_t *d = shape->dim;
  int64_t split[6] = {d[0], d[1], d[2] / r, r, d[3] / r, r}, perm[6] = {0, 1, 3, 5, 2, 4};
  int64_t out[4] = {d[0], d[1] * r * r, d[2] / r, d[3] / r};
  x = torch_transpose(t, torch_reshape(t, x, 6, split), 6, perm);
  return torch_tensor(t, torch_reshape(t, x, 4, out));
}

tv torch_do_channel_shuffle(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  int64_t g = torch_arg_int(call, 1);
  const neo_shape *known = torch_shape(t, x);
  if (!known)
    return torch_poison();
  neo_shape s = *known;
  if (s.rank != 4 || g < 1 || s.dim[1] % g != 0)
    return torch_unsupported(t, call->op, "rank %d, %lld groups", s.rank, (long long)g);
  int64_t split[5] = {s.dim[0], g, s.dim[1] / g, s.dim[2], s.dim[3]}, perm[5] = {0, 2, 1, 3, 4};
  x = torch_transpose(t, torch_reshape(t, x, 5, split), 5, perm);
  return torch_tensor(t, torch_reshape(t, x, 4, s.dim));
}

/* triu, tril */
tv torch_do_tri(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int inputs[2] = {torch_arg(t, call, 0), neo_emit_int(e, torch_arg_int(call, 1))};
  neo_node *node = neo_emit_node(e, "trilu", 2, inputs, 1);
  neo_node_set_int(e->graph, node, "upper", strcmp(call->row->name, "triu") == 0);
  return torch_tensor(t, node->output[0]);
}

/* pad(self, pad, mode, value): last dimension first */
static tv padded(torch *t, torch_call *call, const char *mode, double value) {
  neo_emitter *e = torch_emitter(t);
  int64_t pad[2 * NEO_MAX_RANK], pads[2 * NEO_MAX_RANK] = {0};
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  int n = torch_arg_ints(t, call, 1, pad, 2 * NEO_MAX_RANK);
  if (n < 0 || rank < 0)
    return torch_poison();
  if (n % 2 != 0 || n / 2 > rank)
    return torch_unsupported(t, call->op, "%d pads of a tensor of rank %d", n, rank);
  for (int i = 0; i < n / 2; i++) {
    pads[rank - 1 - i] = pad[2 * i];
    pads[2 * rank - 1 - i] = pad[2 * i + 1];
  }
  bool constant = strcmp(mode, "constant") == 0;
  int inputs[3] = {x, neo_emit_ints(e, 2 * rank, pads),
                   constant ? torch_scalar_like(t, x, value) : NEO_NO_VALUE};
  neo_node *node = neo_emit_node(e, "pad", 3, inputs, 1);
  neo_node_set_string(e->graph, node, "mode", mode);
  return torch_tensor(t, node->output[0]);
}

tv torch_do_pad(torch *t, torch_call *call) {
  static const char *const modes[][2] = {{"constant", "constant"},
                                         {"reflect", "reflect"},
                                         {"replicate", "edge"},
                                         {"circular", "wrap"}};
  for (int i = 0; i < NEO_COUNT(modes); i++)
    if (strcmp(call->arg[2].s, modes[i][0]) == 0)
      return padded(t, call, modes[i][1], torch_arg_given(call, 3) ? torch_arg_float(call, 3) : 0);
  return torch_unsupported(t, call->op, "mode '%s'", call->arg[2].s);
}

tv torch_do_constant_pad(torch *t, torch_call *call) {
  return padded(t, call, "constant", torch_arg_float(call, 2));
}

tv torch_do_mode_pad(torch *t, torch_call *call) {
  return padded(t, call, call->row->ours, 0);
}

/* unfold(self, dim, size, step): windows along dim, their elements last */
tv torch_do_unfold(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x), dim = torch_arg_dim(t, call, 1, rank);
  int64_t size = torch_arg_int(call, 2), step = torch_arg_int(call, 3), perm[NEO_MAX_RANK + 1];
  const neo_shape *shape = torch_shape(t, x);
  if (dim < 0 || !shape || rank >= NEO_MAX_RANK)
    return torch_poison();
  int64_t n = shape->dim[dim];
  if (size < 1 || step < 1 || size > n || n > 1 << 24 || ((n - size) / step + 1) * size > 1 << 24)
    return torch_unsupported(t, call->op, "windows of %lld by %lld", (long long)size,
                             (long long)step);
  int64_t windows = (n - size) / step + 1;
  neo_tensor index = {NEO_I64, {2, {windows, size}}, NULL, (size_t)(windows * size) * 8};
  index.data = neo_arena_alloc(torch_emitter(t)->graph->arena, index.size);
  for (int64_t i = 0; i < windows * size; i++)
    neo_tensor_set_i64(&index, i, i / size * step + i % size);
  int y = with_axis(t, "gather", x, neo_emit_tensor(torch_emitter(t), "windows", &index), dim);
  for (int i = 0, k = 0; i <= rank; i++)
    perm[i < rank ? i : rank] = i == rank ? dim + 1 : (k += k == dim + 1, k++);
  return torch_tensor(t, torch_transpose(t, y, rank + 1, perm));
}

/* ---- indexing -------------------------------------------------------------------------------------------------- */

tv torch_do_embedding(torch *t, torch_call *call) {
  if (torch_want(t, torch_arg(t, call, 1), NEO_I64))
    return torch_poison();
  return torch_tensor(t, with_axis(t, "gather", torch_arg(t, call, 0), torch_arg(t, call, 1), 0));
}

tv torch_do_index_select(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  return dim < 0 ? torch_poison()
                 : torch_tensor(t, with_axis(t, "gather", x, torch_arg(t, call, 2), dim));
}

tv torch_do_gather(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  if (torch_want(t, torch_arg(t, call, 2), NEO_I64))
    return torch_poison();
  return dim < 0 ? torch_poison()
                 : torch_tensor(t, with_axis(t, "gather_elements", x, torch_arg(t, call, 2), dim));
}

/* scatter(self, dim, index, src or value), scatter_add */
tv torch_do_scatter(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  int index = torch_arg(t, call, 2), updates;
  const tv *source = &call->arg[3];
  const neo_shape *shape = torch_shape(t, index);
  if (dim < 0 || !shape)
    return torch_poison();
  if (torch_is_number(source))
    updates =
        torch_expand(t, torch_scalar_like(t, x, torch_number(source)), shape->rank, shape->dim);
  else
    updates = torch_cast(t, torch_id(t, source), torch_dtype_of(t, x));
  const neo_shape *from = torch_shape_peek(t, updates);
  for (int i = 0; from && i < from->rank; i++)
    if (from->dim[i] > shape->dim[i]) { /* torch reads the part that the index covers */
      updates = torch_slice_node(t, updates, i, 0, shape->dim[i], 1);
      from = torch_shape_peek(t, updates);
    }
  neo_node *node = neo_emit_node(e, "scatter_elements", 3, (int[]){x, index, updates}, 1);
  neo_node_set_int(e->graph, node, "axis", dim);
  if (*call->row->ours)
    neo_node_set_string(e->graph, node, "reduction", call->row->ours);
  return torch_tensor(t, node->output[0]);
}

/* slice_scatter, select_scatter (self, src, ...): a copy with a part replaced. */
tv torch_do_part_scatter(torch *t, torch_call *call) {
  tv copy = torch_tensor(t, torch_arg(t, call, 0)), args[5] = {copy};
  int n = call->n_args - 1;
  for (int i = 1; i < n; i++)
    args[i] = call->arg[i + 1];
  tv part = torch_call_op(t, call->row->ours, &(torch_args){.n = n, .arg = args});
  if (part.kind != TV_TENSOR)
    return torch_poison();
  torch_assign(t, &part,
               torch_cast(t, torch_arg(t, call, 1), torch_dtype_of(t, torch_id(t, &copy))));
  return copy;
}

/* x[..., mask, ...]: the mask's dimensions become one, of length known at run time */
static int where_true(torch *t, int mask) {
  return torch_transpose(t, torch_unary(t, "nonzero", mask), 2, (int64_t[]){1, 0});
}

/* Indices of argument 1 in order: which dimensions, their ids (negative ones wrapped), broadcast
 * together. */
static int indexed_dims(torch *t, const torch_seq *list, int *dims, int *ids) {
  int n = 0;
  for (int i = 0; i < list->n && n < NEO_MAX_RANK; i++)
    if (list->item[i].kind != TV_NONE) {
      dims[n] = i;
      ids[n++] = torch_id(t, &list->item[i]);
    }
  return n;
}

/* index(self, [None, i, j]): one index is a gather; adjacent ones a gather on the flattened
 * dimensions. */
tv torch_do_index(torch *t, torch_call *call) {
  int dims[NEO_MAX_RANK], ids[NEO_MAX_RANK], x = torch_arg(t, call, 0);
  const torch_seq *list = call->arg[1].seq;
  int n = indexed_dims(t, list, dims, ids);
  if (n == 0)
    return call->arg[0];
  for (int i = 0; i < n; i++)
    if (torch_dtype_of(t, ids[i]) == NEO_F32 && torch_want(t, ids[i], NEO_I64))
      return torch_poison();
  if (n == 1 && torch_dtype_of(t, ids[0]) == NEO_BOOL) {
    int rank = torch_rank(t, ids[0]);
    if (rank == 1)
      return torch_tensor(t, with_axis(t, "gather", x,
                                       torch_reshape(t, where_true(t, ids[0]), 1, (int64_t[]){-1}),
                                       dims[0]));
    if (dims[0] != 0)
      return torch_unsupported(t, call->op, "a mask behind other dimensions");
    int at = torch_unary(t, "nonzero", ids[0]);
    return torch_tensor(
        t, torch_binary(t, "gather_nd", x, torch_transpose(t, at, 2, (int64_t[]){1, 0})));
  }
  if (n == 1)
    return torch_tensor(t, with_axis(t, "gather", x, ids[0], dims[0]));
  const neo_shape *known = torch_shape(t, x);
  if (!known)
    return torch_poison();
  neo_shape shape = *known, flat = {0};
  for (int k = 1; k < n; k++)
    if (dims[k] != dims[k - 1] + 1 || torch_dtype_of(t, ids[k]) == NEO_BOOL)
      return torch_unsupported(t, call->op,
                               "indices of dimensions that are not neighbours, or several masks");
  int index = -1;
  int64_t size = 1;
  for (int k = 0; k < n; k++) {
    int at = torch_cast(t, ids[k], NEO_I64), zero = neo_emit_int(torch_emitter(t), 0);
    int length = neo_emit_int(torch_emitter(t), shape.dim[dims[k]]);
    int below = torch_binary(t, "less", at, zero);
    at = neo_emit_node(torch_emitter(t), "where", 3,
                       (int[]){below, torch_binary(t, "add", at, length), at}, 1)
             ->output[0];
    index = k == 0 ? at : torch_binary(t, "add", torch_binary(t, "mul", index, length), at);
    size *= shape.dim[dims[k]];
  }
  for (int i = 0; i < shape.rank; i++)
    if (i == dims[0])
      flat.dim[flat.rank++] = size;
    else if (i < dims[0] || i > dims[n - 1])
      flat.dim[flat.rank++] = shape.dim[i];
  return torch_tensor(
      t, with_axis(t, "gather", torch_reshape(t, x, flat.rank, flat.dim), index, dims[0]));
}

/* index_put(self, [mask or indices], values): masks with one value are a where, leading indices a
 * scatter. */
tv torch_do_index_put(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int dims[NEO_MAX_RANK], ids[NEO_MAX_RANK], x = torch_arg(t, call, 0);
  int n = indexed_dims(t, call->arg[1].seq, dims, ids);
  int values = torch_cast(t, torch_arg(t, call, 2), torch_dtype_of(t, x));
  const neo_shape *shape = torch_shape(t, x);
  if (!shape)
    return torch_poison();
  neo_shape whole = *shape;
  if (n == 1 && torch_dtype_of(t, ids[0]) == NEO_BOOL && dims[0] == 0 &&
      torch_rank(t, values) == 0 && !call->arg[3].i) {
    int rank = torch_rank(t, ids[0]);
    for (; rank < whole.rank; rank++)
      ids[0] = torch_unsqueeze(t, ids[0], rank);
    return torch_tensor(t, neo_emit_node(e, "where", 3, (int[]){ids[0], values, x}, 1)->output[0]);
  }
  for (int k = 0; k < n; k++)
    if (dims[k] != k || torch_dtype_of(t, ids[k]) == NEO_BOOL)
      return torch_unsupported(t, call->op, "indices of other than the leading dimensions");
  const neo_shape *at = n ? torch_shape(t, ids[0]) : NULL;
  if (!at)
    return torch_poison();
  neo_shape index = *at, updates = {0};
  for (int k = 1; k < n; k++) {
    const neo_shape *next = torch_shape(t, ids[k]);
    if (!next || !neo_shape_broadcast(&index, next, &index))
      return torch_poison();
  }
  for (int k = 0; k < n; k++)
    ids[k] = torch_unsqueeze(
        t, torch_expand(t, torch_cast(t, ids[k], NEO_I64), index.rank, index.dim), index.rank);
  for (int i = 0; i < index.rank; i++)
    updates.dim[updates.rank++] = index.dim[i];
  for (int i = n; i < whole.rank && updates.rank < NEO_MAX_RANK; i++)
    updates.dim[updates.rank++] = whole.dim[i];
  int inputs[3] = {x, torch_concat(t, n, ids, index.rank),
                   torch_expand(t, values, updates.rank, updates.dim)};
  neo_node *node = neo_emit_node(e, "scatter_nd", 3, inputs, 1);
  if (call->arg[3].i)
    neo_node_set_string(e->graph, node, "reduction", "add");
  return torch_tensor(t, node->output[0]);
}

tv torch_do_nonzero(torch *t, torch_call *call) {
  int x = torch_unary(t, "nonzero", torch_arg(t, call, 0));
  return torch_tensor(t, torch_transpose(t, x, 2, (int64_t[]){1, 0}));
}

/* where(condition), nonzero as a tuple: one tensor of indices a dimension */
tv torch_do_nonzero_tuple(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x), ids[NEO_MAX_RANK];
  int at = torch_unary(t, "nonzero", x);
  for (int i = 0; i < rank; i++)
    ids[i] = torch_squeeze(t, torch_slice_node(t, at, 0, i, i + 1, 1), 0);
  return torch_tuple_of(t, rank < 0 ? 0 : rank, ids);
}

/* take_along_dim(self, indices, dim) with equal shapes outside of dim */
tv torch_do_take_along(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 2, torch_rank(t, x));
  return dim < 0 ? torch_poison()
                 : torch_tensor(t, with_axis(t, "gather_elements", x, torch_arg(t, call, 1), dim));
}

tv torch_do_masked_select(torch *t, torch_call *call) {
  int64_t all = -1;
  int x = torch_reshape(t, torch_arg(t, call, 0), 1, &all);
  int mask = torch_reshape(t, torch_arg(t, call, 1), 1, &all);
  return torch_tensor(
      t, with_axis(t, "gather", x, torch_reshape(t, torch_unary(t, "nonzero", mask), 1, &all), 0));
}

tv torch_do_one_hot(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  if (torch_want(t, torch_arg(t, call, 0), NEO_I64))
    return torch_poison();
  neo_tensor values = {NEO_I64, {1, {2}}, neo_arena_alloc(e->graph->arena, 16), 16};
  neo_tensor_set_i64(&values, 1, 1);
  int inputs[3] = {torch_arg(t, call, 0), neo_emit_int(e, torch_arg_int(call, 1)),
                   neo_emit_tensor(e, "off_on", &values)};
  return torch_tensor(t, neo_emit_node(e, "one_hot", 3, inputs, 1)->output[0]);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* zeros, ones, empty (size, dtype?); `ours` is the value */
tv torch_do_filled(torch *t, torch_call *call) {
  int64_t dims[NEO_MAX_RANK];
  int n = torch_arg_ints(t, call, 0, dims, NEO_MAX_RANK);
  return n < 0 ? torch_poison()
               : torch_tensor(t, torch_full(t, n, dims, torch_arg_dtype(t, call, 1, NEO_F32),
                                            call->row->ours[0] - '0'));
}

/* empty_strided(size, stride, dtype?): zeros */
tv torch_do_empty_strided(torch *t, torch_call *call) {
  int64_t dims[NEO_MAX_RANK];
  int n = torch_arg_ints(t, call, 0, dims, NEO_MAX_RANK);
  return n < 0 ? torch_poison()
               : torch_tensor(t, torch_full(t, n, dims, torch_arg_dtype(t, call, 2, NEO_F32), 0));
}

static neo_dtype number_type(const tv *v) {
  return v->kind == TV_BOOL ? NEO_BOOL : v->kind == TV_INT ? NEO_I64 : NEO_F32;
}

/* full(size, value, dtype?) */
tv torch_do_full(torch *t, torch_call *call) {
  int64_t dims[NEO_MAX_RANK];
  int n = torch_arg_ints(t, call, 0, dims, NEO_MAX_RANK);
  neo_dtype dtype = torch_arg_dtype(t, call, 2, number_type(&call->arg[1]));
  return n < 0 ? torch_poison()
               : torch_tensor(t, torch_full(t, n, dims, dtype, torch_arg_float(call, 1)));
}

/* zeros_like, ones_like, empty_like (self, dtype?) */
tv torch_do_filled_like(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  const neo_shape *shape = torch_shape(t, x);
  neo_dtype dtype = torch_arg_dtype(t, call, 1, torch_dtype_of(t, x));
  return shape ? torch_tensor(
                     t, torch_full(t, shape->rank, shape->dim, dtype, call->row->ours[0] - '0'))
               : torch_poison();
}

tv torch_do_full_like(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0);
  const neo_shape *shape = torch_shape(t, x);
  neo_dtype dtype = torch_arg_dtype(t, call, 2, torch_dtype_of(t, x));
  return shape ? torch_tensor(
                     t, torch_full(t, shape->rank, shape->dim, dtype, torch_arg_float(call, 1)))
               : torch_poison();
}

/* new_zeros, new_ones, new_empty (self, size, dtype?), new_full (self, size, value, dtype?) */
tv torch_do_new_filled(torch *t, torch_call *call) {
  int64_t dims[NEO_MAX_RANK];
  bool full = strcmp(call->row->ours, "full") == 0;
  int n = torch_arg_ints(t, call, 1, dims, NEO_MAX_RANK);
  neo_dtype dtype =
      torch_arg_dtype(t, call, full ? 3 : 2, torch_dtype_of(t, torch_arg(t, call, 0)));
  double v = full ? torch_arg_float(call, 2) : call->row->ours[0] - '0';
  return n < 0 ? torch_poison() : torch_tensor(t, torch_full(t, n, dims, dtype, v));
}

enum { MAX_MADE = 1 << 26 };

/* A constant of n elements first + i * step. */
static tv progression(torch *t, int64_t n, neo_dtype dtype, double first, double step) {
  neo_graph *graph = torch_emitter(t)->graph;
  if (n < 0 || n > MAX_MADE)
    return torch_unsupported(t, "arange", "%lld elements", (long long)n);
  neo_tensor tensor = {dtype, {1, {n}}, NULL, (size_t)n * neo_dtype_size(dtype)};
  tensor.data = neo_arena_alloc(graph->arena, tensor.size + 16);
  for (int64_t i = 0; i < n; i++)
    neo_tensor_set_f64(&tensor, i, first + (double)i * step);
  return torch_tensor(
      t, neo_emit_tensor(torch_emitter(t),
                         neo_arena_printf(graph->arena, "%s.range", torch_emitter(t)->scope),
                         &tensor));
}

/* arange(end), arange(start, end), arange(start, end, step); dtype last */
tv torch_do_arange(torch *t, torch_call *call) {
  int n = call->n_args - 1;
  double start = n > 1 ? torch_arg_float(call, 0) : 0, end = torch_arg_float(call, n > 1);
  double step = n > 2 ? torch_arg_float(call, 2) : 1;
  neo_dtype natural = NEO_I64;
  for (int i = 0; i < n; i++)
    natural = call->arg[i].kind == TV_FLOAT ? NEO_F32 : natural;
  if (step == 0 || !isfinite((end - start) / step))
    return torch_unsupported(t, call->op, "step %g", step);
  double count = ceil((end - start) / step);
  return progression(t,
                     count < 0          ? 0
                     : count > MAX_MADE ? MAX_MADE + 1
                                        : (int64_t)count,
                     torch_arg_dtype(t, call, n, natural), start, step);
}

tv torch_do_linspace(torch *t, torch_call *call) {
  double start = torch_arg_float(call, 0), end = torch_arg_float(call, 1);
  int64_t n = torch_arg_int(call, 2);
  return progression(t, n, torch_arg_dtype(t, call, 3, NEO_F32), start,
                     n > 1 ? (end - start) / (double)(n - 1) : 0);
}

tv torch_do_eye(torch *t, torch_call *call) {
  int64_t n = torch_arg_int(call, 0), m = torch_arg_given(call, 1) ? torch_arg_int(call, 1) : n;
  neo_dtype dtype = torch_arg_dtype(t, call, 2, NEO_F32);
  if (n < 0 || m < 0 || n > 8192 || m > 8192)
    return torch_unsupported(t, call->op, "%lld x %lld", (long long)n, (long long)m);
  neo_tensor tensor = {dtype, {2, {n, m}}, NULL, (size_t)(n * m) * neo_dtype_size(dtype)};
  tensor.data = neo_arena_alloc(torch_emitter(t)->graph->arena, tensor.size + 16);
  for (int64_t i = 0; i < neo_min_i64(n, m); i++)
    neo_tensor_set_f64(&tensor, i * m + i, 1);
  return torch_tensor(t, neo_emit_tensor(torch_emitter(t), "eye", &tensor));
}

tv torch_do_scalar_tensor(torch *t, torch_call *call) {
  const tv *v = &call->arg[0];
  neo_dtype dtype = torch_arg_dtype(
      t, call, 1, torch_is_number(v) ? number_type(v) : torch_dtype_of(t, torch_id(t, v)));
  return torch_tensor(t, torch_cast(t, torch_id(t, v), dtype));
}

/* tensor([1, 2, 3]): numbers nested at most two deep */
tv torch_do_tensor_of(torch *t, torch_call *call) {
  const torch_seq *list = call->arg[0].seq;
  double *v = neo_arena_alloc(&t->arena, sizeof *v * (size_t)(list->n + 1));
  neo_dtype dtype = list->n ? NEO_BOOL : NEO_F32;
  for (int i = 0; i < list->n; i++) {
    if (!torch_is_number(&list->item[i]))
      return torch_unsupported(t, call->op, "a list of %s", torch_kind_name(&list->item[i]));
    v[i] = torch_number(&list->item[i]);
    dtype = torch_promote(dtype, number_type(&list->item[i]));
  }
  dtype = torch_arg_dtype(t, call, 1, dtype);
  neo_tensor tensor = {dtype, {1, {list->n}}, NULL, (size_t)list->n * neo_dtype_size(dtype)};
  tensor.data = neo_arena_alloc(torch_emitter(t)->graph->arena, tensor.size + 16);
  for (int i = 0; i < list->n; i++)
    neo_tensor_set_f64(&tensor, i, v[i]);
  return torch_tensor(t, neo_emit_tensor(torch_emitter(t), "tensor", &tensor));
}
