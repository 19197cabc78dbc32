/* frontends/torch_special.c: ATen's special functions of two operands, fake quantisation, bags of
 * embeddings, additions and copies by index. */
#include "frontends/torch.h"

#include <math.h>
#include <string.h>

static int as_float(torch *t, int id) {
  neo_dtype dtype = torch_dtype_of(t, id);
  return dtype < NEO_DTYPE_COUNT && neo_dtype_class(dtype) == 'f' ? id : torch_cast(t, id, NEO_F32);
}

static int where(torch *t, int condition, int a, int b) {
  return neo_emit_node(torch_emitter(t), "where", 3, (int[]){condition, a, b}, 1)->output[0];
}

static int with(torch *t, const char *op, int x, double v) {
  return torch_binary(t, op, x, torch_scalar_like(t, x, v));
}

/* Two floats of one type. */
static void operands(torch *t, torch_call *call, int *ids) {
  torch_promote_all(t, 2, call->arg, ids);
  ids[0] = as_float(t, ids[0]);
  ids[1] = as_float(t, ids[1]);
}

tv torch_do_hypot(torch *t, torch_call *call) {
  int v[2];
  operands(t, call, v);
  int sum = torch_binary(t, "add", torch_binary(t, "mul", v[0], v[0]),
                         torch_binary(t, "mul", v[1], v[1]));
  return torch_tensor(t, torch_unary(t, "sqrt", sum));
}

/* The sign of -0 is seen in 1 / -0. */
tv torch_do_copysign(torch *t, torch_call *call) {
  int v[2];
  operands(t, call, v);
  int size = torch_unary(t, "abs", v[0]), zero = with(t, "equal", v[1], 0);
  int sign = where(t, zero, torch_unary(t, "reciprocal", v[1]), v[1]);
  return torch_tensor(t, where(t, with(t, "less", sign, 0), torch_unary(t, "neg", size), size));
}

/* log(e^a + e^b), or of base 2: max + log(1 + e^-|a - b|); equal infinities are themselves. */
tv torch_do_logaddexp(torch *t, torch_call *call) {
  int v[2];
  double base = strcmp(call->row->name, "logaddexp2") == 0 ? log(2) : 1;
  operands(t, call, v);
  int high = torch_binary(t, "max", v[0], v[1]);
  int far = torch_unary(t, "neg", torch_unary(t, "abs", torch_binary(t, "sub", v[0], v[1])));
  int rest =
      torch_unary(t, "log", with(t, "add", torch_unary(t, "exp", with(t, "mul", far, base)), 1));
  int y = torch_binary(t, "add", high, with(t, "div", rest, base));
  return torch_tensor(
      t, where(t, torch_binary(t, "equal", v[0], v[1]), with(t, "add", high, log(2) / base), y));
}

tv torch_do_heaviside(torch *t, torch_call *call) {
  int v[2];
  neo_dtype dtype = torch_promote_all(t, 2, call->arg, v);
  int step = torch_cast(t, with(t, "greater", v[0], 0), dtype);
  return torch_tensor(t, where(t, with(t, "equal", v[0], 0), v[1], step));
}

tv torch_do_xlogy(torch *t, torch_call *call) {
  int v[2];
  operands(t, call, v);
  int y = torch_binary(t, "mul", v[0], torch_unary(t, "log", v[1]));
  int none = torch_binary(t, "and", with(t, "equal", v[0], 0),
                          torch_unary(t, "not", torch_unary(t, "isnan", v[1])));
  return torch_tensor(t, where(t, none, torch_scalar_like(t, y, 0), y));
}

tv torch_do_exp2(torch *t, torch_call *call) {
  int x = as_float(t, torch_arg(t, call, 0));
  return torch_tensor(t, torch_binary(t, "pow", torch_scalar_like(t, x, 2), x));
}

/* deg2rad, rad2deg */
tv torch_do_degrees(torch *t, torch_call *call) {
  double by = strcmp(call->row->name, "deg2rad") == 0 ? acos(-1) / 180 : 180 / acos(-1);
  return torch_tensor(t, with(t, "mul", as_float(t, torch_arg(t, call, 0)), by));
}

tv torch_do_cumprod(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), dim = torch_arg_dim(t, call, 1, torch_rank(t, x));
  if (dim < 0)
    return torch_poison();
  x = torch_cast(t, x, torch_arg_dtype(t, call, 2, torch_dtype_of(t, x)));
  return torch_tensor(t, torch_binary(t, "cumprod", x, neo_emit_int(torch_emitter(t), dim)));
}

/* Distances of all rows of a [.., n, d] and b [.., m, d]. */
tv torch_do_cdist(torch *t, torch_call *call) {
  int a = torch_arg(t, call, 0), b = torch_arg(t, call, 1), rank = torch_rank(t, a);
  const int64_t last = -1;
  if (rank < 2 || torch_rank(t, b) != rank || torch_arg_float(call, 2) != 2)
    return torch_unsupported(t, call->op, "other than distances of order 2 of equal ranks");
  int off =
      torch_binary(t, "sub", torch_unsqueeze(t, a, rank - 1), torch_unsqueeze(t, b, rank - 2));
  return torch_tensor(t, torch_reduce(t, "reduce_l2", off, 1, &last, false));
}

/* ---- fake quantisation ----------------------------------------------------------------------- */

/* (clamp(round(x / scale) + zero, low, high) - zero) scale */
static tv fake_quantize(torch *t, int x, int scale, int zero, double low, double high) {
  int q = torch_unary(t, "round", torch_binary(t, "mul", x, torch_unary(t, "reciprocal", scale)));
  q = torch_binary(t, "add", q, zero);
  q = torch_binary(t, "min", torch_binary(t, "max", q, torch_scalar_like(t, q, low)),
                   torch_scalar_like(t, q, high));
  return torch_tensor(t, torch_binary(t, "mul", torch_binary(t, "sub", q, zero), scale));
}

/* self, scale, zero_point (numbers or tensors of one element), quant_min, quant_max */
tv torch_do_fake_quantize(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), p[2];
  for (int k = 0; k < 2; k++) {
    p[k] = torch_cast(t, torch_arg(t, call, 1 + k), torch_dtype_of(t, x));
    if (torch_rank(t, p[k]) > 0)
      p[k] = torch_reshape(t, p[k], 0, NULL);
  }
  return fake_quantize(t, x, p[0], p[1], torch_arg_float(call, 3), torch_arg_float(call, 4));
}

tv torch_do_fake_quantize_channels(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), p[2], rank = torch_rank(t, x);
  int axis = torch_arg_dim(t, call, 3, rank);
  int64_t shape[NEO_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  if (axis < 0)
    return torch_poison();
  shape[axis] = -1;
  for (int k = 0; k < 2; k++)
    p[k] = torch_reshape(t, torch_cast(t, torch_arg(t, call, 1 + k), torch_dtype_of(t, x)), rank,
                         shape);
  return fake_quantize(t, x, p[0], p[1], torch_arg_float(call, 4), torch_arg_float(call, 5));
}

/* ---- embedding_bag --------------------------------------------------------------------------- */

/* Which positions are in which bag, bool [bags, positions]. */
static int membership(torch *t, int offsets, int64_t bags, int64_t n, bool last) {
  neo_emitter *e = torch_emitter(t);
  int64_t *at = neo_arena_alloc(e->graph->arena, sizeof *at * (size_t)(n + 1));
  for (int64_t i = 0; i < n; i++)
    at[i] = i;
  int position = neo_emit_ints(e, (int)n, at);
  offsets = torch_cast(t, offsets, NEO_I64);
  int from = torch_slice_node(t, offsets, 0, 0, bags, 1), ends;
  if (last) {
    ends = torch_slice_node(t, offsets, 0, 1, bags + 1, 1);
  } else {
    int parts[2] = {torch_slice_node(t, offsets, 0, 1, bags, 1), neo_emit_ints(e, 1, &n)};
    ends = bags > 1 ? torch_concat(t, 2, parts, 0) : parts[1];
  }
  int after = torch_binary(t, "greater_equal", position, torch_unsqueeze(t, from, 1));
  return torch_binary(t, "and", after,
                      torch_binary(t, "less", position, torch_unsqueeze(t, ends, 1)));
}

/* weight, indices, offsets, scale_grad_by_freq, mode, sparse, per_sample_weights,
 * include_last_offset, padding_idx: the first of four results */
tv torch_do_embedding_bag(torch *t, torch_call *call) {
  int weight = torch_arg(t, call, 0), indices = torch_arg(t, call, 1),
      offsets = torch_arg(t, call, 2);
  const neo_shape *index = torch_shape(t, indices), *offset = torch_shape(t, offsets);
  int64_t mode = torch_arg_int(call, 4), axis = 1;
  bool last = call->arg[7].i != 0;
  if (!index || !offset || torch_want(t, indices, NEO_I64) || torch_want(t, offsets, NEO_I64))
    return torch_poison();
  int64_t n = index->dim[0], bags = offset->dim[0] - last;
  bool padded = torch_arg_given(call, 8) && torch_arg_int(call, 8) >= 0;
  if (index->rank != 1 || offset->rank != 1 || bags < 1 || padded)
    return torch_unsupported(t, call->op, "padding_idx, or no bags");
  int rows = neo_emit_node(torch_emitter(t), "gather", 2, (int[]){weight, indices}, 1)->output[0];
  int in = membership(t, offsets, bags, n, last), y;
  if (torch_arg_given(call, 6))
    rows = torch_binary(t, "mul", rows, torch_unsqueeze(t, torch_arg(t, call, 6), 1));
  int share = torch_cast(t, in, torch_dtype_of(t, rows));
  int count = torch_reduce(t, "reduce_sum", share, 1, &axis, true);
  if (mode == 2) {
    int none = torch_scalar_like(t, rows, -INFINITY);
    y = torch_reduce(t, "reduce_max", where(t, torch_unsqueeze(t, in, 2), rows, none), 1, &axis,
                     false);
    y = where(t, with(t, "equal", count, 0), torch_scalar_like(t, y, 0), y);
  } else {
    y = torch_binary(t, "matmul", share, rows);
    if (mode == 1)
      y = torch_binary(t, "div", y, with(t, "max", count, 1));
  }
  tv made[4] = {torch_tensor(t, y), torch_poison(), torch_poison(), torch_poison()};
  return torch_seq_new(t, TV_TUPLE, 4, made);
}

/* ---- by index -------------------------------------------------------------------------------- */

/* index_add(self, dim, index, source, alpha), index_copy, index_fill(self, dim, index, value) */
tv torch_do_index_into(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x), dim = torch_arg_dim(t, call, 1, rank);
  int index = torch_arg(t, call, 2),
      source = torch_cast(t, torch_arg(t, call, 3), torch_dtype_of(t, x));
  const neo_shape *shape = torch_shape(t, x), *at = torch_shape(t, index);
  int64_t dims[NEO_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  if (dim < 0 || !shape || !at)
    return torch_poison();
  neo_shape part = *shape;
  part.dim[dim] = dims[dim] = at->rank ? at->dim[0] : 1;
  index =
      torch_expand(t, torch_reshape(t, torch_cast(t, index, NEO_I64), rank, dims), rank, part.dim);
  source = torch_expand(t, source, rank, part.dim);
  bool adds = strcmp(call->row->ours, "add") == 0;
  if (adds && call->n_args > 4 && torch_arg_float(call, 4) != 1)
    source = with(t, "mul", source, torch_arg_float(call, 4));
  neo_node *node = neo_emit_node(e, "scatter_elements", 3, (int[]){x, index, source}, 1);
  neo_node_set_int(e->graph, node, "axis", dim);
  if (adds)
    neo_node_set_string(e->graph, node, "reduction", "add");
  return torch_tensor(t, node->output[0]);
}
