/* ir/pass_pattern.c: operators that frameworks write out as several nodes, put together again:
 * layer normalisation, the erf form of gelu, hard-sigmoid, hard-swish and swish.
 *
 * Why: one te of the whole is one pass over the data, and fewer roundings. A pattern is matched
 * from its last node backwards; the nodes inside die by themselves (dce) when nothing else reads
 * them. */
#include "ir/pass_internal.h"

#include <math.h>
#include <string.h>

static neo_node *producer(const neo_simplifier *s, int value, const char *op) {
  neo_node *node = neo_edit_producer(s->graph, value);
  return neo_edit_is(node, op) ? node : NULL;
}

static bool is_scalar(const neo_simplifier *s, int value, double want) {
  double v;
  return neo_edit_scalar_value(s->graph, value, &v) && fabs(v - want) <= 1e-5 * fabs(want);
}

/* The other operand of a commutative node with this scalar; NEO_NO_VALUE if it has none. */
static int beside_scalar(const neo_simplifier *s, const neo_node *node, double want) {
  for (int k = 0; node && k < 2; k++)
    if (is_scalar(s, node->input[k], want))
      return node->input[1 - k];
  return NEO_NO_VALUE;
}

static bool keeps_type(const neo_simplifier *s, int x, const neo_node *node) {
  const neo_value *a = &s->graph->value[x], *b = &s->graph->value[node->output[0]];
  return a->dtype == b->dtype && neo_shape_equal(&a->shape, &b->shape);
}

/* ---- activations ----------------------------------------------------------------------------- */

/* clip(x + 3, 0, 6), in either form of bounds: the x, or NEO_NO_VALUE. */
static int relu6_of_x_plus_3(const neo_simplifier *s, int value) {
  const neo_node *clip = producer(s, value, "clip");
  if (!clip)
    return NEO_NO_VALUE;
  double lo = neo_node_float(clip, "min", NAN), hi = neo_node_float(clip, "max", NAN);
  if (clip->n_inputs > 1)
    neo_edit_scalar_value(s->graph, clip->input[1], &lo);
  if (clip->n_inputs > 2)
    neo_edit_scalar_value(s->graph, clip->input[2], &hi);
  if (lo != 0 || hi != 6)
    return NEO_NO_VALUE;
  return beside_scalar(s, producer(s, clip->input[0], "add"), 3);
}

/* value / 6 or value * (1/6): the value. */
static int sixth_of(const neo_simplifier *s, int value) {
  const neo_node *div = producer(s, value, "div"), *mul = producer(s, value, "mul");
  if (div && is_scalar(s, div->input[1], 6))
    return div->input[0];
  return beside_scalar(s, mul, 1.0 / 6);
}

/* relu6(x + 3) / 6 -> hard_sigmoid(x; 1/6, 1/2) */
static bool match_hard_sigmoid(neo_simplifier *s, neo_node *node) {
  if (!neo_edit_is(node, "div") && !neo_edit_is(node, "mul"))
    return false;
  int inner = sixth_of(s, node->output[0]);
  int x = inner == NEO_NO_VALUE ? inner : relu6_of_x_plus_3(s, inner);
  if (x == NEO_NO_VALUE || !keeps_type(s, x, node))
    return false;
  neo_edit_become(s->graph, node, "hard_sigmoid", 1, &x);
  neo_node_set_float(s->graph, node, "alpha", 1.0 / 6);
  neo_node_set_float(s->graph, node, "beta", 0.5);
  return true;
}

/* x * relu6(x + 3) / 6, divided last */
static bool match_hard_swish_late(neo_simplifier *s, neo_node *node) {
  if (!neo_edit_is(node, "div") && !neo_edit_is(node, "mul"))
    return false;
  int inner = sixth_of(s, node->output[0]);
  const neo_node *mul = inner == NEO_NO_VALUE ? NULL : producer(s, inner, "mul");
  for (int k = 0; mul && k < 2; k++) {
    int x = mul->input[k];
    if (relu6_of_x_plus_3(s, mul->input[1 - k]) != x || !keeps_type(s, x, node))
      continue;
    neo_edit_become(s->graph, node, "hard_swish", 1, &x);
    return true;
  }
  return false;
}

/* x * hard_sigmoid(x; 1/6, 1/2) -> hard_swish; x * sigmoid(x) -> swish */
static bool match_gated(neo_simplifier *s, neo_node *node) {
  if (!neo_edit_is(node, "mul"))
    return false;
  for (int k = 0; k < 2; k++) {
    int x = node->input[k];
    const neo_node *gate = neo_edit_producer(s->graph, node->input[1 - k]);
    if (!gate || gate->n_inputs != 1 || gate->input[0] != x || !keeps_type(s, x, node))
      continue;
    bool hard = neo_edit_is(gate, "hard_sigmoid") &&
                fabs(neo_node_float(gate, "alpha", 0.2) - 1.0 / 6) < 1e-6 &&
                neo_node_float(gate, "beta", 0.5) == 0.5;
    if (!hard && !neo_edit_is(gate, "sigmoid"))
      continue;
    neo_edit_become(s->graph, node, hard ? "hard_swish" : "swish", 1, &x);
    return true;
  }
  return false;
}

/* 1 + erf(x / sqrt 2): the x. */
static int one_plus_erf(const neo_simplifier *s, int value) {
  int erf_value = beside_scalar(s, producer(s, value, "add"), 1);
  const neo_node *erf = erf_value == NEO_NO_VALUE ? NULL : producer(s, erf_value, "erf");
  if (!erf)
    return NEO_NO_VALUE;
  const neo_node *div = producer(s, erf->input[0], "div");
  if (div && is_scalar(s, div->input[1], sqrt(2)))
    return div->input[0];
  return beside_scalar(s, producer(s, erf->input[0], "mul"), sqrt(0.5));
}

/* The product of x, 1 + erf(x / sqrt 2) and 1/2 in any order -> gelu */
static bool match_gelu(neo_simplifier *s, neo_node *node) {
  if (!neo_edit_is(node, "mul"))
    return false;
  int factor[4], n = 0;
  for (int k = 0; k < 2; k++) {
    const neo_node *mul = producer(s, node->input[k], "mul");
    const neo_node *other = producer(s, node->input[1 - k], "mul");
    if (mul && !other) {
      factor[0] = mul->input[0], factor[1] = mul->input[1], factor[2] = node->input[1 - k];
      n = 3;
    }
  }
  for (int i = 0; i < n; i++)
    for (int k = 0; k < n; k++) {
      int x = factor[k];
      if (i == k || one_plus_erf(s, factor[i]) != x || !is_scalar(s, factor[3 - i - k], 0.5) ||
          !keeps_type(s, x, node))
        continue;
      neo_edit_become(s->graph, node, "gelu", 1, &x);
      return true;
    }
  return false;
}

/* ---- layer normalisation --------------------------------------------------------------------- */

/* A reduce_mean over exactly the last `*n` dimensions that keeps them: its input. */
static int trailing_mean(const neo_simplifier *s, int value, int *n) {
  const neo_node *mean = producer(s, value, "reduce_mean");
  int64_t axes[NEO_MAX_RANK];
  bool seen[NEO_MAX_RANK] = {false};
  if (!mean || neo_node_int(mean, "keepdims", 1) != 1)
    return NEO_NO_VALUE;
  int rank = s->graph->value[mean->input[0]].shape.rank;
  int count = neo_node_ints(mean, "axes", axes, NEO_MAX_RANK);
  if (mean->n_inputs > 1 && mean->input[1] != NEO_NO_VALUE) {
    const neo_tensor *given = s->graph->value[mean->input[1]].constant;
    count = given && given->shape.rank == 1 ? (int)neo_min_i64(given->shape.dim[0], 99) : 0;
    for (int i = 0; i < count && i < NEO_MAX_RANK; i++)
      axes[i] = neo_tensor_get_i64(given, i);
  }
  if (count < 1 || count > rank)
    return NEO_NO_VALUE;
  for (int i = 0; i < count; i++) {
    int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (axis < rank - count || axis >= rank || seen[axis])
      return NEO_NO_VALUE;
    seen[axis] = true;
  }
  *n = count;
  return mean->input[0];
}

/* x - mean(x): the x. */
static int centred(const neo_simplifier *s, int value, int *n) {
  const neo_node *sub = producer(s, value, "sub");
  if (!sub || trailing_mean(s, sub->input[1], n) != sub->input[0])
    return NEO_NO_VALUE;
  return sub->input[0];
}

/* sqrt(mean(c * c) + epsilon) for this c over the last n dimensions. */
static bool is_deviation(const neo_simplifier *s, int value, int c, int n, double *epsilon) {
  const neo_node *root = producer(s, value, "sqrt");
  const neo_node *add = root ? producer(s, root->input[0], "add") : NULL;
  for (int k = 0; add && k < 2; k++) {
    int over = 0;
    if (!neo_edit_scalar_value(s->graph, add->input[k], epsilon))
      continue;
    const neo_node *square =
        neo_edit_producer(s->graph, trailing_mean(s, add->input[1 - k], &over));
    return neo_edit_is(square, "mul") && over == n && square->input[0] == c &&
           square->input[1] == c;
  }
  return false;
}

/* If the value's only use is `op` with a constant of exactly the normalised shape: that node. */
static neo_node *affine_use(const neo_simplifier *s, int value, const char *op, int n,
                            int *constant) {
  if (value >= s->uses.n_values || s->uses.count[value] != 1 || s->uses.only_node[value] < 0)
    return NULL;
  neo_node *node = &s->graph->node[s->uses.only_node[value]];
  if (node->dead || !neo_edit_is(node, op))
    return NULL;
  const neo_shape *shape = &s->graph->value[value].shape;
  int other = node->input[0] == value ? node->input[1] : node->input[0];
  const neo_value *v = &s->graph->value[other];
  if (!v->constant || v->shape.rank != n)
    return NULL;
  for (int i = 0; i < n; i++)
    if (v->shape.dim[i] != shape->dim[shape->rank - n + i])
      return NULL;
  *constant = other;
  return node;
}

static neo_status make_ones(neo_simplifier *s, const neo_node *node, int n, int *out) {
  const neo_value *like = &s->graph->value[node->output[0]];
  neo_dtype dtype = like->dtype;
  neo_shape shape = {.rank = n};
  int64_t count;
  for (int i = 0; i < n; i++)
    shape.dim[i] = like->shape.dim[like->shape.rank - n + i];
  NEO_TRY(neo_edit_constant(s->ctx, s->graph, node->name, dtype, &shape, out));
  neo_shape_elements(&shape, &count);
  for (int64_t i = 0; i < count; i++)
    neo_tensor_set_f64(s->graph->value[*out].constant, i, 1);
  return NEO_OK;
}

/* (x - mean) / sqrt(var + eps) [* scale [+ bias]] -> layer_norm; the last node of it is rewritten.
 */
static neo_status match_layer_norm(neo_simplifier *s, neo_node *node, bool *changed) {
  int n = 0, scale = NEO_NO_VALUE, bias = NEO_NO_VALUE;
  double epsilon;
  if (!neo_edit_is(node, "div"))
    return NEO_OK;
  int x = centred(s, node->input[0], &n);
  if (x == NEO_NO_VALUE || !keeps_type(s, x, node) ||
      !is_deviation(s, node->input[1], node->input[0], n, &epsilon))
    return NEO_OK;
  neo_node *last = node;
  neo_node *mul = affine_use(s, node->output[0], "mul", n, &scale);
  neo_node *add = mul ? affine_use(s, mul->output[0], "add", n, &bias) : NULL;
  last = add ? add : mul ? mul : node;
  if (!mul)
    NEO_TRY(make_ones(s, node, n, &scale));
  neo_edit_become(s->graph, last, "layer_norm", add ? 3 : 2, (int[3]){x, scale, bias});
  neo_node_set_int(s->graph, last, "axis", -n);
  neo_node_set_float(s->graph, last, "epsilon", epsilon);
  *changed = true;
  return NEO_OK;
}

/* ---- the walk -------------------------------------------------------------------------------- */

neo_status neo_simplify_patterns(neo_simplifier *s, bool *changed) {
  neo_uses_update(&s->uses, s->graph);
  for (int i = 0; i < s->graph->n_nodes; i++) {
    neo_node *node = &s->graph->node[i];
    if (node->dead || node->n_inputs == 0 || node->input[0] == NEO_NO_VALUE)
      continue;
    *changed |= match_hard_sigmoid(s, node) || match_hard_swish_late(s, node) ||
                match_gated(s, node) || match_gelu(s, node);
    NEO_TRY(match_layer_norm(s, node, changed));
  }
  return NEO_OK;
}
