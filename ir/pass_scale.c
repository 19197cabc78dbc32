/* ir/pass_scale.c: a number that an operand of a matrix product is multiplied by multiplies the
 * product instead.
 *
 * Why: attention scales queries and keys after they have been cut out of the projections' result
 * and before they are transposed: two passes over memory for what costs nothing behind the product,
 * where it is part of the epilogue. Where the operand was computed by an operator that takes an
 * epilogue itself, nothing is gained, and nothing is done.
 *
 * How: from a product's operand backwards through views and transposes that nobody else reads, to a
 * multiplication by a constant scalar. */
#include "ir/pass_internal.h"

static bool only_reader(const neo_uses *uses, int value) {
  return value < uses->n_values && uses->count[value] == 1 && uses->only_node[value] >= 0;
}

/* x of x * c, and c; NEO_NO_VALUE if the node is none. */
static int scaled(const neo_graph *graph, const neo_node *node, double *c) {
  double v;
  if (!neo_edit_is(node, "mul") && !neo_edit_is(node, "div"))
    return NEO_NO_VALUE;
  for (int k = 0; k < (neo_edit_is(node, "mul") ? 2 : 1); k++) {
    int x = node->input[k];
    const neo_value *from = &graph->value[x], *to = &graph->value[node->output[0]];
    if (from->constant || from->dtype != to->dtype || !neo_shape_equal(&from->shape, &to->shape) ||
        !neo_edit_scalar_value(graph, node->input[1 - k], &v))
      continue;
    if (neo_edit_is(node, "div") && v == 0)
      return NEO_NO_VALUE;
    *c = neo_edit_is(node, "mul") ? v : 1 / v;
    return x;
  }
  return NEO_NO_VALUE;
}

/* Does the value come out of something that could take the multiplication along? */
static bool takes_epilogue(const neo_graph *graph, int value) {
  const neo_node *node = neo_edit_producer(graph, value);
  return node && (node->op->fuse == 'c' || node->op->fuse == 'e');
}

/* Drops the multiplication before input k, if there is one; *c is then times its number. */
static bool drop_scale(neo_graph *graph, const neo_uses *uses, neo_node *product, int k,
                       double *c) {
  neo_node *reader = product;
  for (;;) {
    int value = reader->input[k];
    neo_node *node = value == NEO_NO_VALUE ? NULL : neo_edit_producer(graph, value);
    if (!node || node->region != product->region || !only_reader(uses, value))
      return false;
    double by;
    int x = scaled(graph, node, &by);
    if (x != NEO_NO_VALUE && takes_epilogue(graph, x))
      return false;
    if (x != NEO_NO_VALUE) {
      reader->input[k] = x;
      *c *= by;
      return true;
    }
    if (node->op->fuse != 'v' && !neo_edit_is(node, "transpose"))
      return false;
    reader = node;
    k = 0;
  }
}

static neo_status scale_behind(neo_ctx *ctx, neo_graph *graph, int id, double c) {
  neo_node *node = &graph->node[id];
  const neo_value like = graph->value[node->output[0]];
  int n = node->n_inputs;
  int *inputs = neo_arena_copy(graph->arena, node->input, sizeof(int) * (size_t)n);
  neo_node *product = neo_graph_add_node(graph, node->op->name, node->name, n, inputs, 1);
  node = &graph->node[id];
  NEO_TRY(neo_node_copy_attrs(ctx, graph, product, node));
  product->region = node->region;
  int out = product->output[0], by = neo_edit_scalar(graph, node->name, like.dtype, c);
  graph->value[out].dtype = like.dtype;
  graph->value[out].shape = like.shape;
  neo_edit_become(graph, node, "mul", 2, (int[2]){out, by});
  return NEO_OK;
}

/* Scores of attention are scaled before the product for half floats' sake: behind it they would be
 * infinite already. */
static bool keeps_range(neo_dtype dtype) {
  return dtype == NEO_F32 || dtype == NEO_F64 || dtype == NEO_BF16;
}

static bool is_float_product(const neo_graph *graph, const neo_node *node) {
  return !node->dead && neo_edit_is(node, "matmul") && node->n_outputs == 1 &&
         keeps_range(graph->value[node->output[0]].dtype) &&
         graph->value[node->output[0]].dtype == graph->value[node->input[0]].dtype;
}

neo_status neo_pass_scale(neo_ctx *ctx, neo_graph *graph) {
  neo_uses uses;
  neo_status status = NEO_OK;
  bool changed = false;
  int n = graph->n_nodes;
  neo_uses_init(&uses);
  neo_uses_update(&uses, graph);
  for (int i = 0; i < n && status == NEO_OK; i++) {
    neo_node *node = &graph->node[i];
    double c = 1;
    if (!is_float_product(graph, node))
      continue;
    bool found = drop_scale(graph, &uses, node, 0, &c);
    found |= drop_scale(graph, &uses, node, 1, &c);
    if (!found)
      continue;
    status = scale_behind(ctx, graph, i, c);
    changed = true;
  }
  neo_uses_fini(&uses);
  return status == NEO_OK && changed ? neo_edit_sort(ctx, graph) : status;
}
