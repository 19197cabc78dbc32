/* frontends/torch_nn.c: ATen's layers (torch_ops.def): convolutions, pools, norms, products,
 * attention, resizing. */
#include "frontends/torch.h"

#include <math.h>
#include <string.h>

/* Adds the batch dimension that torch lets callers leave out; *added says so. */
static int batched(torch *t, int x, int spatial, bool *added) {
  *added = torch_rank(t, x) == spatial + 1;
  return *added ? torch_unsqueeze(t, x, 0) : x;
}

static tv unbatched(torch *t, int y, bool added) {
  return torch_tensor(t, added ? torch_squeeze(t, y, 0) : y);
}

static tv poison_pair(torch *t, int id) {
  tv items[3] = {torch_tensor(t, id), torch_poison(), torch_poison()};
  return torch_seq_new(t, TV_TUPLE, 3, items);
}

/* ---- convolution --------------------------------------------------------------------------------------------- */

typedef struct conv_args {
  int x, w, bias, n; /* n spatial dimensions */
  int64_t stride[NEO_MAX_RANK], dilation[NEO_MAX_RANK], pads[2 * NEO_MAX_RANK];
  int64_t output_padding[NEO_MAX_RANK], groups;
  bool transposed;
} conv_args;

static tv convolved(torch *t, const conv_args *c) {
  neo_emitter *e = torch_emitter(t);
  bool added;
  int x = batched(t, c->x, c->n, &added);
  neo_node *node =
      neo_emit_node(e, c->transposed ? "conv_transpose" : "conv", 3, (int[]){x, c->w, c->bias}, 1);
  neo_node_set_ints(e->graph, node, "strides", c->n, c->stride);
  neo_node_set_ints(e->graph, node, "dilations", c->n, c->dilation);
  neo_node_set_ints(e->graph, node, "pads", 2 * c->n, c->pads);
  neo_node_set_int(e->graph, node, "group", c->groups);
  if (c->transposed)
    neo_node_set_ints(e->graph, node, "output_padding", c->n, c->output_padding);
  return unbatched(t, node->output[0], added);
}

/* Operands of arguments 0 to 2 and the number of spatial dimensions, from the weight. */
static bool conv_operands(torch *t, torch_call *call, conv_args *c) {
  c->x = torch_arg(t, call, 0);
  c->w = torch_arg(t, call, 1);
  c->bias = torch_arg(t, call, 2);
  c->n = torch_rank(t, c->w) - 2;
  if (c->n < 1 && !torch_poisoned(t))
    torch_unsupported(t, call->op, "a weight of rank %d", c->n + 2);
  return c->n >= 1 && !torch_want_like(t, c->x, c->w);
}

static bool symmetric_pads(torch *t, torch_call *call, int i, conv_args *c) {
  if (!torch_arg_each(t, call, i, c->pads, c->n))
    return false;
  memcpy(c->pads + c->n, c->pads, sizeof *c->pads * (size_t)c->n);
  return true;
}

/* convN(input, weight, bias, stride, padding, dilation, groups) */
tv torch_do_conv(torch *t, torch_call *call) {
  conv_args c = {.groups = torch_arg_int(call, 6)};
  if (!conv_operands(t, call, &c) || !torch_arg_each(t, call, 3, c.stride, c.n) ||
      !symmetric_pads(t, call, 4, &c) || !torch_arg_each(t, call, 5, c.dilation, c.n))
    return torch_poison();
  return convolved(t, &c);
}

/* The same with padding "same" or "valid". */
tv torch_do_conv_named(torch *t, torch_call *call) {
  conv_args c = {.groups = torch_arg_int(call, 6)};
  if (!conv_operands(t, call, &c) || !torch_arg_each(t, call, 3, c.stride, c.n) ||
      !torch_arg_each(t, call, 5, c.dilation, c.n))
    return torch_poison();
  const neo_shape *w = torch_shape(t, c.w);
  for (int i = 0; w && i < c.n && strcmp(call->arg[4].s, "same") == 0; i++) {
    int64_t total = c.dilation[i] * (w->dim[2 + i] - 1);
    c.pads[i] = total / 2;
    c.pads[c.n + i] = total - total / 2;
  }
  return convolved(t, &c);
}

/* conv_transposeN(input, weight, bias, stride, padding, output_padding, groups, dilation) */
tv torch_do_conv_transpose(torch *t, torch_call *call) {
  conv_args c = {.groups = torch_arg_int(call, 6), .transposed = true};
  if (!conv_operands(t, call, &c) || !torch_arg_each(t, call, 3, c.stride, c.n) ||
      !symmetric_pads(t, call, 4, &c) || !torch_arg_each(t, call, 5, c.output_padding, c.n) ||
      !torch_arg_each(t, call, 7, c.dilation, c.n))
    return torch_poison();
  return convolved(t, &c);
}

/* convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
 */
tv torch_do_convolution(torch *t, torch_call *call) {
  conv_args c = {.groups = torch_arg_int(call, 8), .transposed = call->arg[6].i};
  if (!conv_operands(t, call, &c) || !torch_arg_each(t, call, 3, c.stride, c.n) ||
      !symmetric_pads(t, call, 4, &c) || !torch_arg_each(t, call, 5, c.dilation, c.n) ||
      !torch_arg_each(t, call, 7, c.output_padding, c.n))
    return torch_poison();
  return convolved(t, &c);
}

/* ---- pools --------------------------------------------------------------------------------------------------- */

static void set_window(neo_graph *graph, neo_node *node, int n, const int64_t *kernel,
                       const int64_t *stride, const int64_t *pads) {
  int64_t both[2 * NEO_MAX_RANK];
  for (int i = 0; i < n; i++)
    both[i] = both[n + i] = pads[i];
  neo_node_set_ints(graph, node, "kernel_shape", n, kernel);
  neo_node_set_ints(graph, node, "strides", n, stride);
  neo_node_set_ints(graph, node, "pads", 2 * n, both);
}

static bool windows(torch *t, torch_call *call, int n, int64_t *kernel, int64_t *stride,
                    int64_t *pads) {
  if (!torch_arg_each(t, call, 1, kernel, n) || !torch_arg_each(t, call, 3, pads, n))
    return false;
  if (torch_arg_given(call, 2) && call->arg[2].seq->n > 0)
    return torch_arg_each(t, call, 2, stride, n);
  memcpy(stride, kernel, sizeof *kernel * (size_t)n);
  return true;
}

/* max_poolN(self, kernel, stride, padding, dilation, ceil_mode); `ours` is N, and "i" for indices
 * too */
tv torch_do_max_pool(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int n = call->row->ours[0] - '0';
  bool added, indices = call->row->ours[1] == 'i';
  int64_t kernel[NEO_MAX_RANK], stride[NEO_MAX_RANK], pads[NEO_MAX_RANK], dilation[NEO_MAX_RANK];
  if (!windows(t, call, n, kernel, stride, pads) || !torch_arg_each(t, call, 4, dilation, n))
    return torch_poison();
  int x = batched(t, torch_arg(t, call, 0), n, &added);
  neo_node *node = neo_emit_node(e, "max_pool", 1, &x, 1);
  set_window(e->graph, node, n, kernel, stride, pads);
  neo_node_set_ints(e->graph, node, "dilations", n, dilation);
  neo_node_set_int(e->graph, node, "ceil_mode", call->arg[5].i);
  tv y = unbatched(t, node->output[0], added), pair[2] = {y, torch_poison()};
  return indices ? torch_seq_new(t, TV_TUPLE, 2, pair) : y;
}

/* With ceil_mode (argument 4) a window may be larger than all of the input: cut to that. Returns
 * its elements. */
static int64_t fit_windows(torch *t, torch_call *call, int x, int n, int64_t *kernel,
                           const int64_t *pads) {
  const neo_shape *shape = call->arg[4].i ? torch_shape_peek(t, x) : NULL;
  int64_t all = 1;
  for (int i = 0; i < n; i++) {
    int64_t room = shape ? shape->dim[shape->rank - n + i] + 2 * pads[i] : kernel[i];
    kernel[i] = neo_min_i64(kernel[i], room);
    all *= kernel[i];
  }
  return all;
}

/* avg_poolN(self, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override?) */
tv torch_do_avg_pool(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int n = call->row->ours[0] - '0';
  bool added;
  int64_t kernel[NEO_MAX_RANK], stride[NEO_MAX_RANK], pads[NEO_MAX_RANK];
  if (!windows(t, call, n, kernel, stride, pads))
    return torch_poison();
  bool divided = torch_arg_given(call, 6);
  if (divided && (call->arg[4].i || torch_arg_int(call, 6) == 0))
    return torch_unsupported(t, call->op, "divisor_override with ceil_mode, or 0");
  int x = batched(t, torch_arg(t, call, 0), n, &added);
  int64_t window = fit_windows(t, call, x, n, kernel, pads);
  neo_node *node = neo_emit_node(e, "average_pool", 1, &x, 1);
  set_window(e->graph, node, n, kernel, stride, pads);
  neo_node_set_int(e->graph, node, "ceil_mode", call->arg[4].i);
  neo_node_set_int(e->graph, node, "count_include_pad", divided || call->arg[5].i);
  int y = node->output[0];
  if (divided)
    y = torch_binary(t, "mul", y,
                     torch_scalar_like(t, y, (double)window / (double)torch_arg_int(call, 6)));
  return unbatched(t, y, added);
}

/* One axis of an average pool whose windows differ: a product with their weights. */
static int uneven_average(torch *t, int x, int rank, int axis, int64_t in, int64_t out) {
  neo_emitter *e = torch_emitter(t);
  int64_t perm[NEO_MAX_RANK];
  neo_tensor weights = {NEO_F32, {2, {in, out}}, NULL, (size_t)(in * out) * 4};
  weights.data = neo_arena_alloc(e->graph->arena, weights.size + 16);
  for (int64_t o = 0; o < out; o++) {
    int64_t from = o * in / out, to = neo_ceil_div((o + 1) * in, out);
    for (int64_t i = from; i < to; i++)
      neo_tensor_set_f64(&weights, i * out + o, 1.0 / (double)(to - from));
  }
  for (int i = 0; i < rank; i++)
    perm[i] = i;
  perm[axis] = rank - 1;
  perm[rank - 1] = axis;
  int w = torch_cast(t, neo_emit_tensor(e, "windows", &weights), torch_dtype_of(t, x));
  x = torch_binary(t, "matmul", torch_transpose(t, x, rank, perm), w);
  return torch_transpose(t, x, rank, perm);
}

static int uneven_max(torch *t, int x, int axis, int64_t in, int64_t out) {
  int parts[64];
  int64_t dim = axis;
  for (int64_t o = 0; o < out; o++)
    parts[o] =
        torch_reduce(t, "reduce_max",
                     torch_slice_node(t, x, axis, o * in / out, neo_ceil_div((o + 1) * in, out), 1),
                     1, &dim, true);
  return torch_concat(t, (int)out, parts, axis);
}

/* adaptive_avg_poolN, adaptive_max_poolN(self, output_size); `ours` is "a" or "m" and N */
tv torch_do_adaptive_pool(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  bool average = call->row->ours[0] == 'a', even = true, ones = true;
  int n = call->row->ours[1] - '0', x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  int64_t out[NEO_MAX_RANK], kernel[NEO_MAX_RANK], pads[NEO_MAX_RANK] = {0}, axes[NEO_MAX_RANK];
  const neo_shape *shape = torch_shape(t, x);
  if (!shape)
    return torch_poison();
  neo_shape in = *shape;
  for (int i = 0; i < call->arg[1].seq->n; i++) /* None keeps the size */
    if (call->arg[1].seq->item[i].kind == TV_NONE)
      call->arg[1].seq->item[i] = torch_int(in.dim[neo_max_i64(rank - n + i, 0)]);
  if (rank < n + 1 || !torch_arg_each(t, call, 1, out, n))
    return torch_poison();
  for (int i = 0; i < n; i++) {
    axes[i] = rank - n + i;
    if (out[i] < 1 || out[i] > 4096)
      return torch_unsupported(t, call->op, "output size %lld", (long long)out[i]);
    even = even && in.dim[axes[i]] % out[i] == 0;
    ones = ones && out[i] == 1;
    kernel[i] = in.dim[axes[i]] / out[i];
  }
  int y = x;
  if (ones) {
    y = torch_reduce(t, average ? "reduce_mean" : "reduce_max", x, n, axes, true);
  } else if (even) {
    bool added;
    x = batched(t, x, n, &added);
    neo_node *node = neo_emit_node(e, average ? "average_pool" : "max_pool", 1, &x, 1);
    set_window(e->graph, node, n, kernel, kernel, pads);
    y = node->output[0];
    y = added ? torch_squeeze(t, y, 0) : y;
  } else {
    for (int i = 0; i < n; i++) {
      if (!average && out[i] > 64)
        return torch_unsupported(t, call->op, "uneven output size %lld", (long long)out[i]);
      y = average ? uneven_average(t, y, rank, (int)axes[i], in.dim[axes[i]], out[i])
                  : uneven_max(t, y, (int)axes[i], in.dim[axes[i]], out[i]);
    }
  }
  tv pair[2] = {torch_tensor(t, y), torch_poison()};
  return average ? pair[0] : torch_seq_new(t, TV_TUPLE, 2, pair);
}

/* ---- norms --------------------------------------------------------------------------------------------------- */

/* Argument i, or n elements of `otherwise`. */
static int or_constant(torch *t, torch_call *call, int i, int64_t n, double otherwise) {
  neo_emitter *e = torch_emitter(t);
  if (torch_arg_given(call, i))
    return torch_arg(t, call, i);
  neo_tensor tensor = {NEO_F32, {1, {n}}, NULL, (size_t)n * 4};
  tensor.data = neo_arena_alloc(e->graph->arena, tensor.size + 16);
  for (int64_t k = 0; k < n; k++)
    neo_tensor_set_f64(&tensor, k, otherwise);
  return torch_cast(t, neo_emit_tensor(e, "default", &tensor),
                    torch_dtype_of(t, torch_arg(t, call, 0)));
}

static int64_t channels(torch *t, int x) {
  const neo_shape *shape = torch_shape(t, x);
  return shape && shape->rank >= 2 ? shape->dim[1] : -1;
}

/* batch_norm(input, weight?, bias?, mean?, var?, training, momentum, eps) */
tv torch_do_batch_norm(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  bool legit = call->n_args == 7; /* _native_batch_norm_legit_no_training has no `training` */
  int x = torch_arg(t, call, 0);
  int64_t c = channels(t, x);
  if (c < 0)
    return torch_poison();
  if ((!legit && call->arg[5].i) || !torch_arg_given(call, 3) || !torch_arg_given(call, 4))
    return torch_unsupported(t, call->op,
                             "statistics of the batch: export the model in eval() mode");
  int inputs[5] = {x, or_constant(t, call, 1, c, 1), or_constant(t, call, 2, c, 0),
                   torch_arg(t, call, 3), torch_arg(t, call, 4)};
  if (torch_want_like(t, x, inputs[3]))
    return torch_poison();
  for (int i = 1; i < 5; i++)
    inputs[i] = torch_cast(t, inputs[i], torch_dtype_of(t, x));
  neo_node *node = neo_emit_node(e, "batch_norm", 5, inputs, 1);
  neo_node_set_float(e->graph, node, "epsilon", torch_arg_float(call, legit ? 6 : 7));
  int y = node->output[0];
  return legit ? poison_pair(t, y) : torch_tensor(t, y);
}

/* layer_norm(input, normalized_shape, weight?, bias?, eps) */
tv torch_do_layer_norm(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int64_t dims[NEO_MAX_RANK], count = 1;
  int n = torch_arg_ints(t, call, 1, dims, NEO_MAX_RANK);
  for (int i = 0; i < n; i++)
    count *= dims[i] > 0 && dims[i] < 1 << 24 && count < 1 << 24 ? dims[i] : 1;
  int scale = or_constant(t, call, 2, count, 1);
  if (!torch_arg_given(call, 2) && n > 1)
    scale = torch_reshape(t, scale, n, dims);
  int inputs[3] = {torch_arg(t, call, 0), scale, torch_arg(t, call, 3)};
  if (torch_arg_given(call, 2) && torch_want_like(t, inputs[0], scale))
    return torch_poison();
  neo_node *node = neo_emit_node(e, "layer_norm", 3, inputs, 1);
  neo_node_set_int(e->graph, node, "axis", -n);
  neo_node_set_float(e->graph, node, "epsilon", torch_arg_float(call, 4));
  int y = node->output[0];
  return strcmp(call->row->ours, "native") == 0 ? poison_pair(t, y) : torch_tensor(t, y);
}

/* rms_norm(input, normalized_shape, weight?, eps?) */
tv torch_do_rms_norm(torch *t, torch_call *call) {
  int64_t dims[NEO_MAX_RANK], axes[NEO_MAX_RANK];
  int x = torch_arg(t, call, 0), n = torch_arg_ints(t, call, 1, dims, NEO_MAX_RANK);
  for (int i = 0; i < n; i++)
    axes[i] = i - n;
  if (n < 0)
    return torch_poison();
  double eps = torch_arg_given(call, 3) ? torch_arg_float(call, 3) : 1.1920928955078125e-07;
  int mean = torch_reduce(t, "reduce_mean", torch_binary(t, "mul", x, x), n, axes, true);
  int size = torch_unary(t, "sqrt", torch_binary(t, "add", mean, torch_scalar_like(t, x, eps)));
  int y = torch_binary(t, "div", x, size);
  return torch_tensor(t, torch_arg_given(call, 2) ? torch_binary(t, "mul", y, torch_arg(t, call, 2))
                                                  : y);
}

/* group_norm(input, num_groups, weight?, bias?, eps) */
tv torch_do_group_norm(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0);
  int64_t c = channels(t, x);
  if (c < 0)
    return torch_poison();
  int inputs[3] = {x, or_constant(t, call, 2, c, 1), or_constant(t, call, 3, c, 0)};
  neo_node *node = neo_emit_node(e, "group_norm", 3, inputs, 1);
  neo_node_set_int(e->graph, node, "num_groups", torch_arg_int(call, 1));
  neo_node_set_float(e->graph, node, "epsilon", torch_arg_float(call, 4));
  return torch_tensor(t, node->output[0]);
}

/* native_group_norm(input, weight?, bias?, N, C, HxW, group, eps) */
tv torch_do_native_group_norm(torch *t, torch_call *call) {
  torch_call plain = {
      .row = call->row,
      .op = call->op,
      .n_args = 5,
      .arg = {call->arg[0], call->arg[6], call->arg[1], call->arg[2], call->arg[7]}};
  tv y = torch_do_group_norm(t, &plain);
  return y.kind == TV_POISON ? y : poison_pair(t, torch_id(t, &y));
}

/* instance_norm(input, weight?, bias?, mean?, var?, use_input_stats, momentum, eps) */
tv torch_do_instance_norm(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0);
  int64_t c = channels(t, x);
  if (c < 0)
    return torch_poison();
  if (!call->arg[5].i) {
    torch_call plain = {.row = call->row, .op = call->op, .n_args = 8};
    memcpy(plain.arg, call->arg, sizeof *call->arg * 8);
    return torch_do_batch_norm(t, &plain);
  }
  int inputs[3] = {x, or_constant(t, call, 1, c, 1), or_constant(t, call, 2, c, 0)};
  neo_node *node = neo_emit_node(e, "instance_norm", 3, inputs, 1);
  neo_node_set_float(e->graph, node, "epsilon", torch_arg_float(call, 7));
  return torch_tensor(t, node->output[0]);
}

/* ---- products ------------------------------------------------------------------------------------------------ */

/* linear(input, weight, bias?): input @ weight^T + bias */
tv torch_do_linear(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int x = torch_arg(t, call, 0), w = torch_arg(t, call, 1), bias = torch_arg(t, call, 2);
  if (torch_want_like(t, x, w))
    return torch_poison();
  if (torch_rank(t, x) == 2 && torch_rank(t, w) == 2) {
    neo_node *node = neo_emit_node(e, "gemm", 3, (int[]){x, w, bias}, 1);
    neo_node_set_int(e->graph, node, "trans_b", 1);
    return torch_tensor(t, node->output[0]);
  }
  if (torch_rank(t, w) == 2)
    w = torch_transpose(t, w, 2, (int64_t[]){1, 0});
  int y = torch_binary(t, "matmul", x, w);
  return torch_tensor(t, bias == NEO_NO_VALUE ? y : torch_binary(t, "add", y, bias));
}

tv torch_do_matmul(torch *t, torch_call *call) {
  int ids[2];
  if (torch_want_like(t, torch_arg(t, call, 0), torch_arg(t, call, 1)))
    return torch_poison();
  torch_promote_all(t, 2, call->arg, ids);
  return torch_tensor(t, torch_binary(t, "matmul", ids[0], ids[1]));
}

/* addmm, baddbmm (self, a, b, beta, alpha) */
tv torch_do_addmm(torch *t, torch_call *call) {
  if (torch_want_like(t, torch_arg(t, call, 1), torch_arg(t, call, 2)))
    return torch_poison();
  int c = torch_arg(t, call, 0),
      y = torch_binary(t, "matmul", torch_arg(t, call, 1), torch_arg(t, call, 2));
  double beta = torch_arg_float(call, 3), alpha = torch_arg_float(call, 4);
  if (alpha != 1)
    y = torch_binary(t, "mul", y, torch_scalar_like(t, y, alpha));
  if (beta == 0)
    return torch_tensor(t, y);
  if (beta != 1)
    c = torch_binary(t, "mul", c, torch_scalar_like(t, c, beta));
  return torch_tensor(t, torch_binary(t, "add", y, c));
}

tv torch_do_outer(torch *t, torch_call *call) {
  int a = torch_unsqueeze(t, torch_arg(t, call, 0), 1),
      b = torch_unsqueeze(t, torch_arg(t, call, 1), 0);
  return torch_tensor(t, torch_binary(t, "mul", a, b));
}

tv torch_do_einsum(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int ids[16], n = call->arg[1].seq->n;
  if (n < 1 || n > 16)
    return torch_unsupported(t, call->op, "%d tensors", n);
  torch_promote_all(t, n, call->arg[1].seq->item, ids);
  neo_node *node = neo_emit_node(e, "einsum", n, ids, 1);
  neo_node_set_string(e->graph, node, "equation",
                      neo_arena_strdup(e->graph->arena, call->arg[0].s));
  return torch_tensor(t, node->output[0]);
}

tv torch_do_cosine_similarity(torch *t, torch_call *call) {
  int ids[2];
  torch_promote_all(t, 2, call->arg, ids);
  int64_t axis = torch_arg_int(call, 2);
  int norm[2], product = torch_binary(t, "mul", ids[0], ids[1]);
  for (int i = 0; i < 2; i++)
    norm[i] = torch_binary(t, "max", torch_reduce(t, "reduce_l2", ids[i], 1, &axis, false),
                           torch_scalar_like(t, ids[i], torch_arg_float(call, 3)));
  return torch_tensor(t, torch_binary(t, "div",
                                      torch_reduce(t, "reduce_sum", product, 1, &axis, false),
                                      torch_binary(t, "mul", norm[0], norm[1])));
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

/* Heads of keys or values repeated to the queries' number. */
static int grouped_heads(torch *t, int x, int64_t heads) {
  const neo_shape *known = torch_shape(t, x);
  if (!known || known->rank < 3 || known->dim[known->rank - 3] == heads)
    return x;
  neo_shape shape = *known;
  int at = shape.rank - 3;
  int64_t dims[NEO_MAX_RANK + 1], n = shape.dim[at];
  if (n < 1 || heads % n != 0 || shape.rank >= NEO_MAX_RANK)
    return x;
  for (int i = 0; i <= shape.rank; i++)
    dims[i] = i <= at ? shape.dim[i] : i == at + 1 ? heads / n : shape.dim[i - 1];
  x = torch_expand(t, torch_unsqueeze(t, x, at + 1), shape.rank + 1, dims);
  shape.dim[at] = heads;
  return torch_reshape(t, x, shape.rank, shape.dim);
}

static int causal_mask(torch *t, int64_t queries, int64_t keys, neo_dtype dtype) {
  neo_emitter *e = torch_emitter(t);
  int full = torch_full(t, 2, (int64_t[]){queries, keys}, dtype, -INFINITY);
  neo_node *node = neo_emit_node(e, "trilu", 2, (int[]){full, neo_emit_int(e, 1)}, 1);
  neo_node_set_int(e->graph, node, "upper", 1);
  return node->output[0];
}

/* Does a constant mask, [.., keys], hide all keys of a row? Of others nobody knows. */
static bool may_hide_rows(torch *t, int mask) {
  const neo_tensor *known = torch_const(t, mask);
  int64_t n = 0, keys = known && known->shape.rank ? known->shape.dim[known->shape.rank - 1] : 0;
  if (!known || keys < 1)
    return true;
  neo_shape_elements(&known->shape, &n);
  for (int64_t row = 0; row < n; row += keys) {
    bool hidden = true;
    for (int64_t k = row; hidden && k < row + keys; k++) {
      double v = neo_tensor_get_f64(known, k);
      hidden = known->dtype == NEO_BOOL ? v == 0 : v == -INFINITY;
    }
    if (hidden)
      return true;
  }
  return false;
}

/* Rows that see no key are 0, not a softmax of nothing. */
static int hidden_rows_are_zero(torch *t, int p, int mask) {
  int64_t last = -1;
  if (!may_hide_rows(t, mask))
    return p;
  int seen = torch_reduce(t, "reduce_max", mask, 1, &last, true);
  if (torch_dtype_of(t, mask) != NEO_BOOL)
    seen = torch_unary(t, "not",
                       torch_binary(t, "equal", seen, torch_scalar_like(t, seen, -INFINITY)));
  int in[3] = {seen, p, torch_scalar_like(t, p, 0)};
  return neo_emit_node(torch_emitter(t), "where", 3, in, 1)->output[0];
}

/* scaled_dot_product_attention(query, key, value, attn_mask?, dropout_p, is_causal, scale?,
 * enable_gqa) */
tv torch_do_sdpa(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int q = torch_arg(t, call, 0), k = torch_arg(t, call, 1), v = torch_arg(t, call, 2);
  int mask = torch_arg(t, call, 3), rank = torch_rank(t, q);
  int64_t perm[NEO_MAX_RANK];
  const neo_shape *qs = torch_shape(t, q);
  if (!qs || rank < 2)
    return torch_poison();
  int64_t queries = qs->dim[rank - 2], width = qs->dim[rank - 1];
  if (call->arg[7].i) {
    int64_t heads = qs->dim[rank - 3];
    k = grouped_heads(t, k, heads);
    v = grouped_heads(t, v, heads);
  }
  const neo_shape *ks = torch_shape(t, k);
  if (!ks)
    return torch_poison();
  int64_t keys = ks->dim[ks->rank - 2];
  for (int i = 0; i < ks->rank; i++)
    perm[i] = i < ks->rank - 2 ? i : 2 * ks->rank - 3 - i;
  double scale = torch_arg_given(call, 6) ? torch_arg_float(call, 6) : 1 / sqrt((double)width);
  q = torch_binary(t, "mul", q, torch_scalar_like(t, q, scale));
  int scores = torch_binary(t, "matmul", q, torch_transpose(t, k, ks->rank, perm));
  if (mask != NEO_NO_VALUE && torch_dtype_of(t, mask) == NEO_BOOL) {
    int never = torch_scalar_like(t, scores, -INFINITY);
    scores = neo_emit_node(e, "where", 3, (int[]){mask, scores, never}, 1)->output[0];
  } else if (mask != NEO_NO_VALUE) {
    scores = torch_binary(t, "add", scores, torch_cast(t, mask, torch_dtype_of(t, scores)));
  }
  if (call->arg[5].i)
    scores =
        torch_binary(t, "add", scores, causal_mask(t, queries, keys, torch_dtype_of(t, scores)));
  neo_node *node = neo_emit_node(e, "softmax", 1, &scores, 1);
  neo_node_set_int(e->graph, node, "axis", -1);
  int p = node->output[0];
  if (mask != NEO_NO_VALUE)
    p = hidden_rows_are_zero(t, p, mask);
  return torch_tensor(t, torch_binary(t, "matmul", p, v));
}

/* _scaled_dot_product_flash_attention_for_cpu(query, key, value, dropout_p, is_causal, attn_mask?,
 * scale?) */
tv torch_do_flash(torch *t, torch_call *call) {
  const tv *a = call->arg;
  torch_call plain = {.row = call->row,
                      .op = call->op,
                      .n_args = 8,
                      .arg = {a[0], a[1], a[2], a[5], a[3], a[4], a[6], torch_bool(false)}};
  tv y = torch_do_sdpa(t, &plain);
  return y.kind == TV_POISON ? y : poison_pair(t, torch_id(t, &y));
}

/* ---- resizing --------------------------------------------------------------------------------------------------- */

typedef struct resize_kind {
  const char *ours, *mode, *coordinates, *nearest;
} resize_kind;

static const resize_kind resize_kinds[] = {
    {"nearest", "nearest", "asymmetric", "floor"},
    {"exact", "nearest", "half_pixel", "round_prefer_ceil"},
    {"linear", "linear", "half_pixel", NULL},
    {"cubic", "cubic", "half_pixel", NULL},
};

/* By sizes, or by the scales that the model gives (they, not the rounded sizes, then say where
 * pixels are). */
static tv resized(torch *t, torch_call *call, int n, const int64_t *size, const double *scale,
                  bool corners) {
  neo_emitter *e = torch_emitter(t);
  const resize_kind *kind = resize_kinds;
  int64_t axes[NEO_MAX_RANK];
  while (strcmp(kind->ours, call->row->ours) != 0)
    kind++;
  for (int i = 0; i < n; i++)
    axes[i] = 2 + i;
  int inputs[4] = {torch_arg(t, call, 0), NEO_NO_VALUE, NEO_NO_VALUE, NEO_NO_VALUE};
  if (scale)
    inputs[2] = neo_emit_floats(e, n, scale);
  else
    inputs[3] = neo_emit_ints(e, n, size);
  neo_node *node = neo_emit_node(e, "resize", 4, inputs, 1);
  neo_node_set_string(e->graph, node, "mode", kind->mode);
  neo_node_set_string(e->graph, node, "coordinate_transformation_mode",
                      corners ? "align_corners" : kind->coordinates);
  if (kind->nearest)
    neo_node_set_string(e->graph, node, "nearest_mode", kind->nearest);
  if (strstr(call->row->name, "_aa"))
    neo_node_set_int(e->graph, node, "antialias", 1);
  neo_node_set_ints(e->graph, node, "axes", n, axes);
  return torch_tensor(t, node->output[0]);
}

/* (input, output_size?, [align_corners,] scale_factors?) */
tv torch_do_upsample(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), n = torch_rank(t, x) - 2, last = call->n_args - 1;
  int64_t size[NEO_MAX_RANK];
  double scale[NEO_MAX_RANK];
  bool corners = last == 3 && call->arg[2].i, scaled = torch_arg_given(call, last);
  const neo_shape *shape = torch_shape(t, x);
  if (!shape || n < 1)
    return torch_poison();
  if (!scaled)
    return torch_arg_each(t, call, 1, size, n) ? resized(t, call, n, size, NULL, corners)
                                               : torch_poison();
  const torch_seq *list = call->arg[last].seq;
  for (int i = 0; i < n; i++) {
    scale[i] = list->n ? torch_number(&list->item[list->n == n ? i : 0]) : 1;
    size[i] = (int64_t)floor((double)shape->dim[2 + i] * scale[i]);
  }
  return resized(t, call, n, size, corners ? NULL : scale, corners);
}

/* (self, output_size, [align_corners,] scales...): sizes rule, scales say where pixels are */
tv torch_do_upsample_sized(torch *t, torch_call *call) {
  int x = torch_arg(t, call, 0), n = torch_rank(t, x) - 2, first = call->n_args - n;
  int64_t size[NEO_MAX_RANK];
  double scale[NEO_MAX_RANK];
  const neo_shape *shape = torch_shape(t, x);
  if (!shape || n < 1 || first < 2 || !torch_arg_each(t, call, 1, size, n))
    return torch_poison();
  bool corners = first == 3 && call->arg[2].i, use = !corners;
  for (int i = 0; i < n; i++) {
    use = use && torch_arg_given(call, first + i);
    scale[i] = use ? torch_arg_float(call, first + i) : 1;
    use = use && (int64_t)floor((double)shape->dim[2 + i] * scale[i]) == size[i];
  }
  return resized(t, call, n, size, use ? scale : NULL, corners);
}

/* grid_sampler(input, grid, interpolation, padding, align_corners) */
tv torch_do_grid_sampler(torch *t, torch_call *call) {
  static const char *const modes[] = {"linear", "nearest", "cubic"}, *const pads[] = {"zeros",
                                                                                      "border",
                                                                                      "reflection"};
  neo_emitter *e = torch_emitter(t);
  int64_t mode = torch_arg_int(call, 2), pad = torch_arg_int(call, 3);
  if (mode < 0 || mode > 2 || pad < 0 || pad > 2)
    return torch_unsupported(t, call->op, "mode %lld, padding %lld", (long long)mode,
                             (long long)pad);
  neo_node *node =
      neo_emit_node(e, "grid_sample", 2, (int[]){torch_arg(t, call, 0), torch_arg(t, call, 1)}, 1);
  neo_node_set_string(e->graph, node, "mode", modes[mode]);
  neo_node_set_string(e->graph, node, "padding_mode", pads[pad]);
  neo_node_set_int(e->graph, node, "align_corners", call->arg[4].i);
  return torch_tensor(t, node->output[0]);
}

/* ---- detection -------------------------------------------------------------------------------------------------- */

/* torchvision.nms(boxes [n,4], scores [n], iou_threshold) -> indices, best first: one batch, one
 * class. */
tv torch_do_nms(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int boxes = torch_unsqueeze(t, torch_arg(t, call, 0), 0);
  int scores = torch_unsqueeze(t, torch_unsqueeze(t, torch_arg(t, call, 1), 0), 0);
  int inputs[4] = {boxes, scores, neo_emit_int(e, INT32_MAX),
                   torch_scalar(t, NEO_F32, torch_arg_float(call, 2))};
  int picked = neo_emit_node(e, "non_max_suppression", 4, inputs, 1)->output[0];
  return torch_tensor(t, torch_squeeze(t, torch_slice_node(t, picked, 1, 2, 3, 1), 1));
}

/* torchvision.roi_align(input, rois [k,5], scale, pooled_h, pooled_w, sampling_ratio, aligned) */
tv torch_do_roi_align(torch *t, torch_call *call) {
  neo_emitter *e = torch_emitter(t);
  int rois = torch_arg(t, call, 1);
  int batch = torch_cast(t, torch_squeeze(t, torch_slice_node(t, rois, 1, 0, 1, 1), 1), NEO_I64);
  int inputs[3] = {torch_arg(t, call, 0), torch_slice_node(t, rois, 1, 1, 5, 1), batch};
  neo_node *node = neo_emit_node(e, "roi_align", 3, inputs, 1);
  neo_node_set_float(e->graph, node, "spatial_scale", torch_arg_float(call, 2));
  neo_node_set_int(e->graph, node, "output_height", torch_arg_int(call, 3));
  neo_node_set_int(e->graph, node, "output_width", torch_arg_int(call, 4));
  neo_node_set_int(e->graph, node, "sampling_ratio", neo_max_i64(torch_arg_int(call, 5), 0));
  neo_node_set_string(e->graph, node, "coordinate_transformation_mode",
                      call->arg[6].i ? "half_pixel" : "output_half_pixel");
  neo_node_set_string(e->graph, node, "mode", "avg");
  return torch_tensor(t, node->output[0]);
}
