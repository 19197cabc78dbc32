/* ir/pass_qdq.c: dequantize -> operator -> quantize as the integer operator.
 *
 * Quantising tools write a model as float operators between dequantize_linear and quantize_linear.
 * What that means is what the integer operators compute, up to the rounding of the float sums,
 * which the integer ones do not have. So:
 *
 *   quantize(conv(dequantize x, dequantize w, dequantize b))   -> qlinear_conv
 *   quantize(gemm or matmul of the same)                       -> qlinear_matmul
 *   quantize(max_pool / reshape / transpose / ... dequantize x), same parameters -> the operator on
 * x a relu before the quantize                                 -> a max with the zero point
 *
 * Runs before types are inferred, since folding would otherwise make float weights of the
 * constants; so it looks at structure and constants only. What it does not take stays as it is:
 * elementwise float code that is fused anyway. */
#include "ir/graph_edit.h"
#include "ir/pass_internal.h"

#include <string.h>

typedef struct qdq {
  neo_ctx *ctx;
  neo_graph *graph;
  neo_uses uses;
} qdq;

/* The node that makes `value`, if it is `op`. */
static neo_node *made_by(const qdq *q, int value, const char *op) {
  neo_node *node = neo_edit_producer(q->graph, value);
  return neo_edit_is(node, op) ? node : NULL;
}

static bool is_inner(const qdq *q, int value) {
  return q->uses.count[value] == 1 && !q->uses.is_output[value];
}

static const neo_tensor *constant(const qdq *q, const neo_node *node, int k) {
  return k < node->n_inputs && node->input[k] != NEO_NO_VALUE
             ? q->graph->value[node->input[k]].constant
             : NULL;
}

static bool is_scalar(const neo_tensor *t) {
  int64_t n;
  return t && neo_shape_elements(&t->shape, &n) && n == 1;
}

/* Constant scale and zero point, both of 8 bits' kind; one of each, or (channel) one per `axis`. */
static bool is_usable(const qdq *q, const neo_node *node, bool channel, int64_t axis) {
  const neo_tensor *scale = constant(q, node, 1), *zero = constant(q, node, 2);
  if (!scale || !zero || scale->dtype != NEO_F32 || neo_node_int(node, "block_size", 0) != 0 ||
      (zero->dtype != NEO_I8 && zero->dtype != NEO_U8) || neo_node_attr(node, "output_dtype"))
    return false;
  return is_scalar(scale) || (channel && neo_node_int(node, "axis", 1) == axis);
}

static bool same_tensor(const neo_tensor *a, const neo_tensor *b) {
  return a->dtype == b->dtype && a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

static bool same_parameters(const qdq *q, const neo_node *a, const neo_node *b) {
  return is_usable(q, a, false, 0) && is_usable(q, b, false, 0) &&
         same_tensor(constant(q, a, 1), constant(q, b, 1)) &&
         same_tensor(constant(q, a, 2), constant(q, b, 2));
}

static int add_node(qdq *q, const neo_node *like, const char *op, int n, const int *in) {
  return neo_graph_add_node(q->graph, op, like->name, n, in, 1)->output[0];
}

/* A bias of scale x_scale * w_scale and no zero point: its integers, else NEO_NO_VALUE. */
static bool integer_bias(const qdq *q, int value, int *out) {
  *out = NEO_NO_VALUE;
  if (value == NEO_NO_VALUE)
    return true;
  const neo_node *node = made_by(q, value, "dequantize_linear");
  const neo_tensor *data = node ? constant(q, node, 0) : NULL;
  if (!data || data->dtype != NEO_I32)
    return false;
  *out = node->input[0];
  return true;
}

/* The relu between op and quantize, folded into a max afterwards. */
static int behind_relu(const qdq *q, int value, bool *relu) {
  const neo_node *node = made_by(q, value, "relu");
  *relu = node != NULL && is_inner(q, value);
  return *relu ? node->input[0] : value;
}

static void finish(qdq *q, int quantize, int value, bool relu) {
  const neo_node *node = &q->graph->node[quantize];
  int zero = node->input[2], out = node->output[0];
  if (relu) /* scalar zero points only: see is_usable */
    value = add_node(q, node, "max", 2, (int[]){value, zero});
  node = &q->graph->node[quantize];
  q->graph->value[value].name = node->name;
  neo_edit_replace(q->graph, out, value);
  q->graph->value[out].node = -1;
  q->graph->node[quantize].dead = true;
}

static bool fold_conv(qdq *q, int quantize, const neo_node *conv, bool relu) {
  const neo_node *x = made_by(q, conv->input[0], "dequantize_linear");
  const neo_node *w = made_by(q, conv->input[1], "dequantize_linear");
  int bias, channels = 0;
  if (!x || !w || !is_usable(q, x, false, 0) || !is_usable(q, w, true, channels) ||
      !integer_bias(q, conv->n_inputs > 2 ? conv->input[2] : NEO_NO_VALUE, &bias))
    return false;
  const neo_node *y = &q->graph->node[quantize];
  neo_node was = *conv;
  int in[9] = {x->input[0], x->input[1], x->input[2], w->input[0], w->input[1],
               w->input[2], y->input[1], y->input[2], bias};
  neo_node *made =
      neo_graph_add_node(q->graph, "qlinear_conv", was.name, bias == NEO_NO_VALUE ? 8 : 9, in, 1);
  made->attr = was.attr;
  made->n_attrs = was.n_attrs;
  finish(q, quantize, made->output[0], relu);
  return true;
}

static bool fold_product(qdq *q, int quantize, const neo_node *node, bool relu) {
  bool gemm = neo_edit_is(node, "gemm");
  const neo_node *a = made_by(q, node->input[0], "dequantize_linear");
  const neo_node *b = made_by(q, node->input[1], "dequantize_linear");
  bool trans_b = gemm && neo_node_int(node, "trans_b", 0) != 0;
  int bias;
  if (!a || !b || !is_usable(q, a, false, 0) || !is_usable(q, b, true, trans_b ? 0 : 1) ||
      !constant(q, b, 0) || constant(q, b, 0)->shape.rank != 2 ||
      !integer_bias(q, node->n_inputs > 2 ? node->input[2] : NEO_NO_VALUE, &bias))
    return false;
  if (gemm && (neo_node_int(node, "trans_a", 0) != 0 || neo_node_float(node, "alpha", 1) != 1 ||
               neo_node_float(node, "beta", 1) != 1))
    return false;
  const neo_node *y = &q->graph->node[quantize];
  neo_node was = *node;
  int in[9] = {a->input[0], a->input[1], a->input[2], b->input[0], b->input[1],
               b->input[2], y->input[1], y->input[2], bias};
  if (trans_b)
    in[3] = add_node(q, &was, "transpose", 1, &in[3]);
  int n = bias == NEO_NO_VALUE ? 8 : 9;
  finish(q, quantize, add_node(q, &was, "qlinear_matmul", n, in), relu);
  return true;
}

/* Operators that commute with quantising. */
static bool fold_movement(qdq *q, int quantize, int id) {
  static const char *const ops[] = {"max_pool", "reshape",   "flatten", "transpose",
                                    "squeeze",  "unsqueeze", "slice",   "identity"};
  const neo_node *node = &q->graph->node[id];
  bool known = false;
  for (int i = 0; i < NEO_COUNT(ops); i++)
    known |= neo_edit_is(node, ops[i]);
  const neo_node *x = known ? made_by(q, node->input[0], "dequantize_linear") : NULL;
  if (!x || node->n_outputs != 1 || !same_parameters(q, x, &q->graph->node[quantize]))
    return false;
  q->graph->node[id].input[0] = x->input[0];
  finish(q, quantize, node->output[0], false);
  return true;
}

static bool fold(qdq *q, int quantize) {
  const neo_node *y = &q->graph->node[quantize];
  bool relu;
  if (!neo_edit_is(y, "quantize_linear") || !is_usable(q, y, false, 0) || !is_inner(q, y->input[0]))
    return false;
  int value = behind_relu(q, y->input[0], &relu);
  neo_node *node = neo_edit_producer(q->graph, value);
  if (!node || !is_inner(q, value))
    return false;
  if (neo_edit_is(node, "conv"))
    return fold_conv(q, quantize, node, relu);
  if (neo_edit_is(node, "gemm") || neo_edit_is(node, "matmul"))
    return fold_product(q, quantize, node, relu);
  return !relu && fold_movement(q, quantize, (int)(node - q->graph->node));
}

neo_status neo_pass_qdq(neo_ctx *ctx, neo_graph *graph) {
  qdq q = {.ctx = ctx, .graph = graph};
  bool changed = false;
  int n = graph->n_nodes;
  neo_uses_init(&q.uses);
  neo_uses_update(&q.uses, graph);
  for (int i = 0; i < n; i++)
    if (!graph->node[i].dead && fold(&q, i)) {
      changed = true;
      neo_uses_update(&q.uses, graph);
    }
  neo_uses_fini(&q.uses);
  if (!changed)
    return NEO_OK;
  NEO_TRY(neo_edit_sort(ctx, graph));
  return neo_pass_dce(ctx, graph);
}
