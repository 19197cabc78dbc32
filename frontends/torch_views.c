/* frontends/torch_views.c: ATen's views (torch_ops.def): results that share memory with their
 * operand, so that in-place changes of either are seen by both (torch_value.c does that from the
 * recipes here). */
#include "frontends/torch.h"

#include <string.h>

/* The view of argument 0 with these dims, all known or one of them -1. */
static tv reshaped(torch *t, torch_call *call, int n, const int64_t *dims) {
  int id = torch_reshape(t, torch_arg(t, call, 0), n, dims);
  torch_cell how = {.view = VIEW_SHAPE, .list = {.rank = n}};
  memcpy(how.list.dim, dims, sizeof *dims * (size_t)n);
  return torch_make_view(t, &call->arg[0], id, how);
}

/* The operand's shape into *out. */
static bool shape_of(torch *t, torch_call *call, int i, neo_shape *out) {
  const neo_shape *shape = torch_shape(t, torch_arg(t, call, i));
  if (shape)
    *out = *shape;
  return shape != NULL;
}

/* A shape with values that are known only at run time. */
static int dynamic_dims(torch *t, const tv *list) {
  int ids[NEO_MAX_RANK], n = list->seq->n;
  int64_t one = 1;
  for (int i = 0; i < n && i < NEO_MAX_RANK; i++)
    ids[i] = torch_reshape(t, torch_cast(t, torch_id(t, &list->seq->item[i]), NEO_I64), 1, &one);
  return torch_concat(t, n < NEO_MAX_RANK ? n : NEO_MAX_RANK, ids, 0);
}

/* view, reshape (self, size) */
tv torch_do_view(torch *t, torch_call *call) {
  int64_t dims[NEO_MAX_RANK];
  int n = torch_arg_ints(t, call, 1, dims, NEO_MAX_RANK);
  return n < 0 ? torch_poison() : reshaped(t, call, n, dims);
}

/* The same with sizes that are tensors. */
tv torch_do_view_dynamic(torch *t, torch_call *call) {
  if (call->arg[1].seq->n == 0 || call->arg[1].seq->n > NEO_MAX_RANK)
    return torch_unsupported(t, call->op, "%d dimensions", call->arg[1].seq->n);
  int shape = dynamic_dims(t, &call->arg[1]);
  return torch_tensor(t, torch_binary(t, "reshape", torch_arg(t, call, 0), shape));
}

tv torch_do_view_as(torch *t, torch_call *call) {
  neo_shape like;
  return shape_of(t, call, 1, &like) ? reshaped(t, call, like.rank, like.dim) : torch_poison();
}

tv torch_do_flatten(torch *t, torch_call *call) {
  neo_shape shape, out = {0};
  if (!shape_of(t, call, 0, &shape))
    return torch_poison();
  if (shape.rank == 0)
    return reshaped(t, call, 1, (int64_t[]){1});
  int from = torch_arg_dim(t, call, 1, shape.rank), to = torch_arg_dim(t, call, 2, shape.rank);
  if (from < 0 || to < from)
    return from < 0 || to < 0 ? torch_poison()
                              : torch_unsupported(t, call->op, "dims %d to %d", from, to);
  for (int i = 0; i < shape.rank; i++)
    if (i > from && i <= to)
      out.dim[out.rank - 1] *= shape.dim[i];
    else
      out.dim[out.rank++] = shape.dim[i];
  return reshaped(t, call, out.rank, out.dim);
}

tv torch_do_unflatten(torch *t, torch_call *call) {
  neo_shape shape, out = {0};
  int64_t sizes[NEO_MAX_RANK], rest = 1;
  if (!shape_of(t, call, 0, &shape))
    return torch_poison();
  int dim = torch_arg_dim(t, call, 1, shape.rank),
      n = torch_arg_ints(t, call, 2, sizes, NEO_MAX_RANK);
  if (dim < 0 || n < 0)
    return torch_poison();
  if (shape.rank - 1 + n > NEO_MAX_RANK)
    return torch_unsupported(t, call->op, "more than %d dimensions", NEO_MAX_RANK);
  for (int i = 0; i < n; i++)
    rest *= sizes[i] > 0 ? sizes[i] : 1;
  for (int i = 0; i < shape.rank; i++)
    for (int k = 0; k < (i == dim ? n : 1); k++)
      out.dim[out.rank++] = i != dim       ? shape.dim[i]
                            : sizes[k] < 0 ? shape.dim[dim] / rest
                                           : sizes[k];
  return reshaped(t, call, out.rank, out.dim);
}

/* squeeze(self), squeeze(self, dim or dims) */
tv torch_do_squeeze(torch *t, torch_call *call) {
  neo_shape shape, out = {0};
  bool drop[NEO_MAX_RANK] = {false};
  int64_t dims[NEO_MAX_RANK];
  if (!shape_of(t, call, 0, &shape))
    return torch_poison();
  int n = call->n_args > 1 ? torch_arg_ints(t, call, 1, dims, NEO_MAX_RANK) : 0;
  for (int i = 0; i < n; i++) {
    int dim;
    if (!torch_dim(t, call->op, dims[i], shape.rank, &dim))
      return torch_poison();
    drop[dim] = true;
  }
  for (int i = 0; i < shape.rank; i++)
    if (shape.dim[i] != 1 || (call->n_args > 1 && !drop[i]))
      out.dim[out.rank++] = shape.dim[i];
  return reshaped(t, call, out.rank, out.dim);
}

tv torch_do_unsqueeze(torch *t, torch_call *call) {
  int rank = torch_rank(t, torch_arg(t, call, 0)), dim;
  neo_shape shape, out = {0};
  if (rank >= NEO_MAX_RANK)
    return torch_unsupported(t, call->op, "more than %d dimensions", NEO_MAX_RANK);
  if (!torch_dim(t, call->op, torch_arg_int(call, 1), rank + 1, &dim))
    return torch_poison();
  const neo_shape *known = torch_shape_peek(t, torch_arg(t, call, 0));
  if (!known)
    return torch_tensor(t, torch_unsqueeze(t, torch_arg(t, call, 0), dim));
  shape = *known;
  for (int i = 0; i <= shape.rank; i++)
    out.dim[out.rank++] = i < dim ? shape.dim[i] : i == dim ? 1 : shape.dim[i - 1];
  return reshaped(t, call, out.rank, out.dim);
}

/* ---- order of dimensions ------------------------------------------------------------------------------------ */

static tv permuted(torch *t, torch_call *call, int n, const int64_t *perm) {
  int id = torch_transpose(t, torch_arg(t, call, 0), n, perm);
  torch_cell how = {.view = VIEW_PERMUTE, .list = {.rank = n}};
  memcpy(how.list.dim, perm, sizeof *perm * (size_t)n);
  return torch_make_view(t, &call->arg[0], id, how);
}

tv torch_do_permute(torch *t, torch_call *call) {
  int64_t perm[NEO_MAX_RANK];
  int rank = torch_rank(t, torch_arg(t, call, 0));
  int n = torch_arg_ints(t, call, 1, perm, NEO_MAX_RANK), seen = 0;
  if (n < 0 || rank < 0)
    return torch_poison();
  for (int i = 0; i < n; i++) {
    int dim;
    if (!torch_dim(t, call->op, perm[i], rank, &dim))
      return torch_poison();
    perm[i] = dim;
    seen |= 1 << dim;
  }
  if (n != rank || seen != (1 << rank) - 1)
    return torch_unsupported(t, call->op, "%d dimensions of a tensor of rank %d", n, rank);
  return permuted(t, call, n, perm);
}

static tv swapped(torch *t, torch_call *call, int64_t a, int64_t b) {
  int64_t perm[NEO_MAX_RANK];
  int rank = torch_rank(t, torch_arg(t, call, 0)), i, k;
  if (!torch_dim(t, call->op, a, rank, &i) || !torch_dim(t, call->op, b, rank, &k))
    return torch_poison();
  if (rank < 2)
    return call->arg[0];
  for (int d = 0; d < rank; d++)
    perm[d] = d;
  perm[i] = k;
  perm[k] = i;
  return permuted(t, call, rank, perm);
}

tv torch_do_transpose(torch *t, torch_call *call) {
  return swapped(t, call, torch_arg_int(call, 1), torch_arg_int(call, 2));
}

/* t, mT, mH: the last two */
tv torch_do_t(torch *t, torch_call *call) {
  int rank = torch_rank(t, torch_arg(t, call, 0));
  return rank < 2 ? call->arg[0] : swapped(t, call, rank - 2, rank - 1);
}

tv torch_do_reverse_dims(torch *t, torch_call *call) {
  int64_t perm[NEO_MAX_RANK];
  int rank = torch_rank(t, torch_arg(t, call, 0));
  for (int i = 0; i < rank; i++)
    perm[i] = rank - 1 - i;
  return rank < 2 ? call->arg[0] : permuted(t, call, rank, perm);
}

tv torch_do_movedim(torch *t, torch_call *call) {
  int64_t from[NEO_MAX_RANK], to[NEO_MAX_RANK], perm[NEO_MAX_RANK];
  int rank = torch_rank(t, torch_arg(t, call, 0)), used = 0;
  int n = torch_arg_ints(t, call, 1, from, NEO_MAX_RANK),
      m = torch_arg_ints(t, call, 2, to, NEO_MAX_RANK);
  if (n < 0 || m != n || rank < 0)
    return torch_poison();
  for (int i = 0; i < rank; i++)
    perm[i] = -1;
  for (int i = 0; i < n; i++) {
    int a, b;
    if (!torch_dim(t, call->op, from[i], rank, &a) || !torch_dim(t, call->op, to[i], rank, &b))
      return torch_poison();
    perm[b] = a;
    used |= 1 << a;
  }
  for (int i = 0, next = 0; i < rank; i++) {
    while (perm[i] < 0 && (used >> next & 1))
      next++;
    if (perm[i] < 0)
      perm[i] = next++;
  }
  return permuted(t, call, rank, perm);
}

/* ---- parts ---------------------------------------------------------------------------------------------------- */

static tv part(torch *t, const tv *x, int dim, int64_t start, int64_t length) {
  int id = torch_slice_node(t, torch_id(t, x), dim, start, start + length, 1);
  return torch_make_view(
      t, x, id, (torch_cell){.view = VIEW_SLICE, .dim = dim, .start = start, .length = length});
}

static tv selected(torch *t, const tv *x, int dim, int64_t index) {
  int id = torch_squeeze(t, torch_slice_node(t, torch_id(t, x), dim, index, index + 1, 1), dim);
  return torch_make_view(t, x, id, (torch_cell){.view = VIEW_SELECT, .dim = dim, .start = index});
}

tv torch_do_select(torch *t, torch_call *call) {
  neo_shape shape;
  if (!shape_of(t, call, 0, &shape))
    return torch_poison();
  int dim = torch_arg_dim(t, call, 1, shape.rank);
  int64_t index = torch_arg_int(call, 2);
  if (dim < 0)
    return torch_poison();
  if (index < -shape.dim[dim] || index >= shape.dim[dim] || shape.rank == 0)
    return torch_unsupported(t, call->op, "index %lld of %lld", (long long)index,
                             (long long)shape.dim[dim]);
  return selected(t, &call->arg[0], dim, index < 0 ? index + shape.dim[dim] : index);
}

/* select at an index that is known at run time only */
tv torch_do_select_dynamic(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  int index = torch_arg(t, call, 2);
  if (dim < 0)
    return torch_poison();
  neo_node *node = neo_emit_node(e, "gather", 2, (int[]){x, index}, 1);
  neo_node_set_int(e->graph, node, "axis", dim);
  return torch_tensor(t, node->output[0]);
}

static int64_t bounded(int64_t v, int64_t n) {
  v = v < 0 ? v + n : v;
  return v < 0 ? 0 : v > n ? n : v;
}

/* slice(self, dim, start?, end?, step) */
tv torch_do_slice(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  const neo_shape *shape = torch_shape_peek(t, x);
  int dim = torch_arg_dim(t, call, 1, rank);
  int64_t start = torch_arg_given(call, 2) ? torch_arg_int(call, 2) : 0;
  int64_t end = torch_arg_given(call, 3) ? torch_arg_int(call, 3) : INT64_MAX;
  int64_t step = torch_arg_int(call, 4);
  if (dim < 0 || step < 1)
    return dim < 0 ? torch_poison() : torch_unsupported(t, call->op, "step %lld", (long long)step);
  if (!shape)
    return torch_tensor(t, torch_slice_node(t, x, dim, start, end, step));
  int64_t n = shape->dim[dim];
  start = bounded(start, n);
  end = bounded(end, n);
  if (start == 0 && end == n && step == 1)
    return torch_make_view(t, &call->arg[0], x,
                           (torch_cell){.view = VIEW_SLICE, .dim = dim, .length = n});
  if (step == 1)
    return part(t, &call->arg[0], dim, start, end > start ? end - start : 0);
  torch_cell how = {.view = VIEW_SLICE, .dim = dim, .start = start, .step = step};
  how.length = end > start ? neo_ceil_div(end - start, step) : 0;
  return torch_make_view(t, &call->arg[0], torch_slice_node(t, x, dim, start, end, step), how);
}

tv torch_do_narrow(torch *t, torch_call *call) {
  neo_shape shape;
  if (!shape_of(t, call, 0, &shape))
    return torch_poison();
  int dim = torch_arg_dim(t, call, 1, shape.rank);
  int64_t start = torch_arg_int(call, 2), length = torch_arg_int(call, 3);
  if (dim < 0)
    return torch_poison();
  start = bounded(start, shape.dim[dim]);
  if (length < 0 || length > shape.dim[dim] - start)
    return torch_unsupported(t, call->op, "%lld elements from %lld on", (long long)length,
                             (long long)start);
  return part(t, &call->arg[0], dim, start, length);
}

enum { MAX_PARTS = 65536 };

static tv parts_of(torch *t, torch_call *call, int dim, int n, const int64_t *sizes, int64_t each) {
  tv out = torch_seq_new(t, TV_LIST, 0, NULL);
  neo_shape shape;
  if (!shape_of(t, call, 0, &shape))
    return torch_poison();
  if (n > MAX_PARTS)
    return torch_unsupported(t, call->op, "%d parts", n);
  int64_t start = 0;
  for (int i = 0; i < n; i++) {
    int64_t length = sizes ? sizes[i] : neo_min_i64(each, shape.dim[dim] - start);
    if (length < 0 || length > shape.dim[dim] - start)
      return torch_unsupported(t, call->op, "part %d has %lld elements", i, (long long)length);
    torch_seq_add(t, out.seq, part(t, &call->arg[0], dim, start, length));
    start += length;
  }
  return out;
}

/* split(self, size, dim); chunk(self, count, dim) */
tv torch_do_split(torch *t, torch_call *call) {
  neo_shape shape;
  if (!shape_of(t, call, 0, &shape))
    return torch_poison();
  int dim = torch_arg_dim(t, call, 2, shape.rank);
  int64_t given = torch_arg_int(call, 1);
  if (dim < 0 || given < 1)
    return dim < 0 ? torch_poison() : torch_unsupported(t, call->op, "size %lld", (long long)given);
  bool chunks = strcmp(call->row->ours, "chunk") == 0;
  int64_t n = shape.dim[dim], each = chunks ? neo_max_i64(neo_ceil_div(n, given), 1) : given;
  return parts_of(t, call, dim,
                  (int)neo_min_i64(neo_max_i64(neo_ceil_div(n, each), 1), MAX_PARTS + 1), NULL,
                  each);
}

tv torch_do_split_sizes(torch *t, torch_call *call) {
  const torch_seq *list = call->arg[1].seq;
  int dim = torch_arg_dim(t, call, 2, torch_rank(t, torch_arg(t, call, 0)));
  int64_t *sizes = neo_arena_alloc(&t->arena, sizeof *sizes * (size_t)(list->n + 1));
  for (int i = 0; i < list->n; i++)
    sizes[i] = list->item[i].i;
  return dim < 0 ? torch_poison() : parts_of(t, call, dim, list->n, sizes, 0);
}

tv torch_do_unbind(torch *t, torch_call *call) {
  tv out = torch_seq_new(t, TV_LIST, 0, NULL);
  neo_shape shape;
  if (!shape_of(t, call, 0, &shape))
    return torch_poison();
  int dim = torch_arg_dim(t, call, 1, shape.rank);
  if (dim < 0)
    return torch_poison();
  if (shape.rank == 0 || shape.dim[dim] > MAX_PARTS)
    return torch_unsupported(t, call->op, "rank %d", shape.rank);
  for (int64_t i = 0; i < shape.dim[dim]; i++)
    torch_seq_add(t, out.seq, selected(t, &call->arg[0], dim, i));
  return out;
}

/* ---- broadcasting views ------------------------------------------------------------------------------------------ */

tv torch_do_expand(torch *t, torch_call *call) {
  int64_t dims[NEO_MAX_RANK];
  int x = torch_arg(t, call, 0), n = torch_arg_ints(t, call, 1, dims, NEO_MAX_RANK);
  const neo_shape *shape = torch_shape(t, x);
  if (n < 0 || !shape)
    return torch_poison();
  for (int i = 0; i < n; i++) {
    int from = i - (n - shape->rank);
    if (dims[i] == -1 && from >= 0)
      dims[i] = shape->dim[from];
  }
  return torch_make_view(t, &call->arg[0], torch_expand(t, x, n, dims),
                         (torch_cell){.view = VIEW_OPAQUE});
}

tv torch_do_expand_as(torch *t, torch_call *call) {
  neo_shape like;
  if (!shape_of(t, call, 1, &like))
    return torch_poison();
  return torch_make_view(t, &call->arg[0],
                         torch_expand(t, torch_arg(t, call, 0), like.rank, like.dim),
                         (torch_cell){.view = VIEW_OPAQUE});
}
