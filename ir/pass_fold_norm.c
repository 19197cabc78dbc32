/* ir/pass_fold_norm.c: per-channel scales and offsets behind a contraction move into its weights.
 *
 * Batch normalisation of inference is y = s x + t per channel; so are mul, div, add and sub by a
 * constant that varies along the channels only. Where x is the result of a conv, conv_transpose,
 * gemm or matmul with constant weights and nothing else needs x, then s scales the weights and t
 * joins the bias. A batch normalisation that stays (DenseNet's come before the convolution, where
 * padding forbids folding) becomes one multiplication and one addition. f32 only; products are
 * rounded once, from f64.
 *
 * Cost: one pass over the weights of each folded node, no temporaries. */
#include "ir/graph_edit.h"

#include <math.h>
#include <string.h>

typedef struct affine {
  int64_t n;
  double *scale, *offset; /* per channel */
} affine;

/* How the weights of a contraction lie: output channel of weight element. */
typedef struct weights {
  neo_node *node;
  int64_t channels;
  int64_t outer, groups, inner; /* conv_transpose: [c][k/group][inner] in `groups` groups of c */
  bool transposed;              /* conv_transpose */
  bool last;                    /* channels are the last dimension: gemm, matmul */
} weights;

/* ---- what is folded -------------------------------------------------------------------------- */

static bool constant_f32(const neo_graph *graph, const neo_node *node, int k) {
  return k < node->n_inputs && node->input[k] != NEO_NO_VALUE &&
         graph->value[node->input[k]].constant && graph->value[node->input[k]].dtype == NEO_F32;
}

static bool read_batch_norm(const neo_graph *graph, const neo_node *node, affine *a) {
  for (int k = 1; k < 5; k++)
    if (!constant_f32(graph, node, k) || graph->value[node->input[k]].shape.rank != 1 ||
        graph->value[node->input[k]].shape.dim[0] != a->n)
      return false;
  const float *gamma = graph->value[node->input[1]].constant->data;
  const float *beta = graph->value[node->input[2]].constant->data;
  const float *mean = graph->value[node->input[3]].constant->data;
  const float *variance = graph->value[node->input[4]].constant->data;
  double epsilon = neo_node_float(node, "epsilon", 1e-5);
  for (int64_t i = 0; i < a->n; i++) {
    a->scale[i] = gamma[i] / sqrt(variance[i] + epsilon);
    a->offset[i] = beta[i] - mean[i] * a->scale[i];
  }
  return true;
}

/* Does the constant vary along dimension 1 of `shape` only? */
static bool is_per_channel(const neo_shape *constant, const neo_shape *shape) {
  if (constant->rank > shape->rank)
    return false;
  for (int i = 0; i < constant->rank; i++) {
    int d = i + shape->rank - constant->rank;
    if (constant->dim[i] != 1 && (d != 1 || constant->dim[i] != shape->dim[1]))
      return false;
  }
  return true;
}

static bool read_arithmetic(const neo_graph *graph, const neo_node *node, int data, affine *a) {
  if (node->n_inputs != 2 || !constant_f32(graph, node, 1 - data))
    return false;
  const neo_tensor *constant = graph->value[node->input[1 - data]].constant;
  const neo_shape *shape = &graph->value[node->input[data]].shape;
  int64_t n;
  if (!is_per_channel(&constant->shape, shape) || !neo_shape_elements(&constant->shape, &n) ||
      (n != 1 && n != a->n))
    return false;
  bool mul = neo_edit_is(node, "mul"), div = neo_edit_is(node, "div") && data == 0;
  bool add = neo_edit_is(node, "add"), sub = neo_edit_is(node, "sub");
  for (int64_t i = 0; i < a->n; i++) {
    double c = ((const float *)constant->data)[n == 1 ? 0 : i];
    a->scale[i] = mul ? c : div ? 1 / c : sub && data == 1 ? -1 : 1;
    a->offset[i] = add ? c : sub ? (data == 1 ? c : -c) : 0;
    if (!isfinite(a->scale[i]))
      return false;
  }
  return mul || div || add || sub;
}

/* ---- where it goes --------------------------------------------------------------------------- */

static bool find_weights(const neo_graph *graph, neo_node *node, weights *w) {
  if (!node || node->n_inputs < 2 || !constant_f32(graph, node, 1) ||
      (node->n_inputs > 2 && node->input[2] != NEO_NO_VALUE && !constant_f32(graph, node, 2)))
    return false;
  const neo_shape *shape = &graph->value[node->input[1]].shape;
  const neo_shape *out = &graph->value[node->output[0]].shape;
  *w = (weights){.node = node, .outer = 1, .groups = 1, .inner = 1};
  if (out->rank < 2)
    return false;
  w->channels = out->dim[1];
  if (neo_edit_is(node, "conv")) {
    for (int d = 1; d < shape->rank; d++)
      w->inner *= shape->dim[d];
    return shape->dim[0] == w->channels;
  }
  if (neo_edit_is(node, "conv_transpose")) {
    w->transposed = true;
    w->groups = neo_node_int(node, "group", 1);
    w->outer = shape->dim[0];
    for (int d = 2; d < shape->rank; d++)
      w->inner *= shape->dim[d];
    return w->groups > 0 && shape->dim[1] * w->groups == w->channels;
  }
  if (out->rank != 2 || shape->rank != 2)
    return false;
  bool trans_b = neo_edit_is(node, "gemm") && neo_node_int(node, "trans_b", 0);
  w->last = !trans_b;
  w->inner = w->last ? 1 : shape->dim[1];
  w->outer = w->last ? shape->dim[0] : 1;
  bool plain = neo_edit_is(node, "matmul") && graph->value[node->input[0]].shape.rank == 2;
  return (neo_edit_is(node, "gemm") || plain) && shape->dim[trans_b ? 0 : 1] == w->channels;
}

static void scale_run(const float *from, float *to, int64_t n, double scale) {
  for (int64_t i = 0; i < n; i++)
    to[i] = (float)(from[i] * scale);
}

static void scale_weights(const weights *w, const float *from, float *to, const double *scale) {
  if (w->last) {
    for (int64_t k = 0; k < w->outer; k++)
      for (int64_t c = 0; c < w->channels; c++)
        to[k * w->channels + c] = (float)(from[k * w->channels + c] * scale[c]);
  } else if (w->transposed) {
    int64_t per_group = w->channels / w->groups, in_group = w->outer / w->groups;
    for (int64_t c = 0; c < w->outer; c++)
      for (int64_t k = 0; k < per_group; k++) {
        int64_t at = (c * per_group + k) * w->inner;
        scale_run(from + at, to + at, w->inner, scale[c / in_group * per_group + k]);
      }
  } else {
    for (int64_t k = 0; k < w->channels; k++)
      scale_run(from + k * w->inner, to + k * w->inner, w->inner, scale[k]);
  }
}

/* The old bias (gemm's c may be a scalar or a row) as seen by channel i, times beta. */
static bool old_bias(const neo_graph *graph, const weights *w, double *out) {
  const neo_node *node = w->node;
  memset(out, 0, sizeof *out * (size_t)w->channels);
  if (node->n_inputs < 3 || node->input[2] == NEO_NO_VALUE)
    return true;
  const neo_tensor *bias = graph->value[node->input[2]].constant;
  double beta = neo_edit_is(node, "gemm") ? neo_node_float(node, "beta", 1) : 1;
  int64_t n;
  if (!neo_shape_elements(&bias->shape, &n) || (n != 1 && n != w->channels) ||
      (bias->shape.rank > 0 && bias->shape.dim[bias->shape.rank - 1] != n))
    return false;
  for (int64_t i = 0; i < w->channels; i++)
    out[i] = beta * ((const float *)bias->data)[n == 1 ? 0 : i];
  return true;
}

static void set_inputs(neo_graph *graph, neo_node *node, int weight, int bias) {
  int n = bias == NEO_NO_VALUE ? 2 : 3;
  int *inputs = neo_arena_alloc(graph->arena, 3 * sizeof *inputs);
  inputs[0] = node->input[0];
  inputs[1] = weight;
  inputs[2] = bias;
  if (n == 3 && neo_edit_is(node, "matmul"))
    node->op = neo_op_find("gemm");
  if (neo_edit_is(node, "gemm") && n == 3)
    neo_node_set_float(graph, node, "beta", 1);
  node->input = inputs;
  node->n_inputs = n;
}

static neo_status apply(neo_ctx *ctx, neo_graph *graph, const weights *w, const affine *a,
                        double *bias) {
  neo_node *node = w->node;
  const neo_value old = graph->value[node->input[1]];
  int weight = node->input[1], bias_value = NEO_NO_VALUE;
  bool scaled = false, shifted = node->n_inputs > 2 && node->input[2] != NEO_NO_VALUE;
  for (int64_t i = 0; i < a->n; i++) {
    scaled |= a->scale[i] != 1;
    bias[i] = bias[i] * a->scale[i] + a->offset[i];
    shifted |= bias[i] != 0;
  }
  if (scaled) {
    NEO_TRY(neo_edit_constant(ctx, graph, old.name, NEO_F32, &old.shape, &weight));
    scale_weights(w, old.constant->data, graph->value[weight].constant->data, a->scale);
  }
  if (shifted) {
    neo_shape shape = {1, {a->n}};
    char *name = neo_arena_printf(graph->arena, "%s.bias", node->name);
    NEO_TRY(neo_edit_constant(ctx, graph, name, NEO_F32, &shape, &bias_value));
    float *data = graph->value[bias_value].constant->data;
    for (int64_t i = 0; i < a->n; i++)
      data[i] = (float)bias[i];
  }
  set_inputs(graph, node, weight, bias_value);
  return NEO_OK;
}

/* ---- the walk -------------------------------------------------------------------------------- */

static bool read_affine(const neo_graph *graph, const neo_node *node, int data, affine *a) {
  if (neo_edit_is(node, "batch_norm"))
    return data == 0 && read_batch_norm(graph, node, a);
  return read_arithmetic(graph, node, data, a);
}

static neo_status fold_into(neo_ctx *ctx, neo_graph *graph, neo_node *node, int data,
                            neo_arena *scratch) {
  weights w;
  int x = node->input[data], y = node->output[0];
  if (!find_weights(graph, neo_edit_producer(graph, x), &w) ||
      !neo_shape_equal(&graph->value[x].shape, &graph->value[y].shape))
    return NEO_OK;
  size_t bytes = sizeof(double) * (size_t)w.channels;
  affine a = {w.channels, neo_arena_alloc(scratch, bytes), neo_arena_alloc(scratch, bytes)};
  double *bias = neo_arena_alloc(scratch, bytes);
  if (!read_affine(graph, node, data, &a) || !old_bias(graph, &w, bias))
    return NEO_OK;
  NEO_TRY(apply(ctx, graph, &w, &a, bias));
  graph->value[x].name = graph->value[y].name;
  neo_edit_replace(graph, y, x);
  node->dead = true;
  return NEO_OK;
}

/* A batch normalisation that found no weights: mul and add. */
static neo_status split_norm(neo_ctx *ctx, neo_graph *graph, int id, neo_arena *scratch) {
  neo_node *node = &graph->node[id];
  const neo_shape x = graph->value[node->input[0]].shape;
  if (x.rank < 2 || graph->value[node->input[0]].dtype != NEO_F32)
    return NEO_OK;
  size_t bytes = sizeof(double) * (size_t)x.dim[1];
  affine a = {x.dim[1], neo_arena_alloc(scratch, bytes), neo_arena_alloc(scratch, bytes)};
  if (!read_batch_norm(graph, node, &a))
    return NEO_OK;
  neo_shape shape = {.rank = x.rank - 1};
  for (int d = 0; d < shape.rank; d++)
    shape.dim[d] = d == 0 ? a.n : 1;
  int value[2];
  for (int k = 0; k < 2; k++) {
    char *name = neo_arena_printf(graph->arena, "%s.%s", node->name, k ? "offset" : "scale");
    NEO_TRY(neo_edit_constant(ctx, graph, name, NEO_F32, &shape, &value[k]));
    float *data = graph->value[value[k]].constant->data;
    for (int64_t i = 0; i < a.n; i++)
      data[i] = (float)(k ? a.offset[i] : a.scale[i]);
  }
  int inputs[2] = {node->input[0], value[0]};
  neo_node *mul = neo_graph_add_node(graph, "mul", node->name, 2, inputs, 1);
  node = &graph->node[id];
  graph->value[mul->output[0]].dtype = NEO_F32;
  graph->value[mul->output[0]].shape = x;
  neo_edit_become(graph, node, "add", 2, (int[2]){mul->output[0], value[1]});
  return NEO_OK;
}

static neo_status walk(neo_ctx *ctx, neo_graph *graph, neo_uses *uses, neo_arena *scratch) {
  int n = graph->n_nodes;
  neo_uses_update(uses, graph);
  for (int i = 0; i < n; i++) {
    neo_node *node = &graph->node[i];
    for (int k = 0; !node->dead && k < node->n_inputs && k < 2 && node->n_outputs == 1; k++) {
      int value = node->input[k];
      /* the uses of a value that took over another's consumers are those of that one */
      if (value == NEO_NO_VALUE || value >= uses->n_values || uses->count[value] != 1)
        continue;
      int y = node->output[0], count = uses->count[y], only = uses->only_node[y];
      NEO_TRY(fold_into(ctx, graph, node, k, scratch));
      if (node->dead) {
        uses->count[value] = count;
        uses->only_node[value] = only;
      }
    }
    if (!node->dead && neo_edit_is(node, "batch_norm"))
      NEO_TRY(split_norm(ctx, graph, i, scratch));
  }
  return NEO_OK;
}

neo_status neo_pass_fold_norm(neo_ctx *ctx, neo_graph *graph) {
  neo_uses uses;
  neo_arena scratch;
  neo_uses_init(&uses);
  neo_arena_init(&scratch);
  neo_status status = walk(ctx, graph, &uses, &scratch);
  neo_arena_fini(&scratch);
  neo_uses_fini(&uses);
  return status == NEO_OK ? neo_pass_dce(ctx, graph) : status;
}
