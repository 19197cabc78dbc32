/* ir/graph.c: building graphs, their attributes, and the structural checker.
 *
 * A graph is a plain struct with growing arrays in its own arena, so that passes can walk it
 * without accessors. What the struct does not show is its owner's part (graph_box): the arena
 * itself, the allocator, and heap blocks that constants adopted (results of folding, converted
 * weights).
 *
 * Invariants, held by neo_graph_check:
 *   1. Every id is in range; a live node reads inputs, constants and outputs of earlier live nodes.
 *   2. value.node/value.output and node.output name each other; inputs and constants have node -1.
 *   3. The number of inputs and outputs of a node lies in its operator's bounds.
 *   4. A constant's dtype, shape and byte count agree with its value.
 *   5. A value whose type is not inferred yet has rank -1 and dtype NEO_DTYPE_COUNT.
 *   6. Graphs in attributes hold all this, too, and nest at most NEO_MAX_GRAPH_DEPTH deep. */
#include "ir/graph_edit.h"

#include <string.h>

typedef struct graph_box {
  neo_graph graph; /* first: a neo_graph pointer is a graph_box pointer */
  neo_arena arena;
  const neo_allocator *allocator;
  int n_owned, cap_owned;
  void **owned; /* aligned heap blocks */
  int n_children, cap_children;
  neo_graph **child; /* graphs of attributes, present or replaced */
  neo_fold_budget budget;
} graph_box;

#define FOLD_BYTES ((int64_t)8 << 30)
#define FOLD_WORK ((int64_t)1 << 32)

neo_status neo_graph_create(neo_ctx *ctx, const char *name, neo_graph **out) {
  graph_box *box = neo_alloc(ctx, sizeof *box);
  if (!box)
    return neo_fail(ctx, NEO_NO_MEMORY, "graph '%s': out of memory", name);
  box->allocator = ctx->allocator;
  neo_arena_init(&box->arena);
  box->graph.arena = &box->arena;
  box->graph.name = neo_arena_strdup(&box->arena, name);
  box->budget = (neo_fold_budget){FOLD_BYTES, FOLD_WORK};
  box->graph.budget = &box->budget;
  *out = &box->graph;
  return NEO_OK;
}

void neo_graph_destroy(neo_graph *graph) {
  if (!graph)
    return;
  graph_box *box = (graph_box *)graph;
  for (int i = 0; i < box->n_children; i++)
    neo_graph_destroy(box->child[i]);
  if (graph->keep_release)
    graph->keep_release(graph->keep);
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = box->allocator;
  for (int i = 0; i < box->n_owned; i++)
    neo_aligned_free(&ctx, box->owned[i]);
  neo_arena_fini(&box->arena);
  neo_free(&ctx, box);
}

void neo_graph_adopt(neo_graph *graph, void *data) {
  graph_box *box = (graph_box *)graph;
  if (!data)
    return;
  box->owned = neo_arena_grow(&box->arena, box->owned, &box->cap_owned, box->n_owned + 1,
                              sizeof *box->owned);
  box->owned[box->n_owned++] = data;
}

void neo_graph_disown(neo_graph *graph, void *data) {
  graph_box *box = (graph_box *)graph;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = box->allocator;
  for (int i = box->n_owned - 1; i >= 0; i--)
    if (box->owned[i] == data) {
      neo_aligned_free(&ctx, data);
      box->owned[i] = box->owned[--box->n_owned];
      return;
    }
}

/* Does a tensor lie in these bytes? */
static bool overlaps(const neo_tensor *tensor, const char *data, size_t size) {
  const char *begin = tensor ? tensor->data : NULL;
  return begin && begin < data + size && begin + tensor->size > data;
}

static bool *find_used(const neo_graph *graph, neo_arena *scratch) {
  bool *used = neo_arena_alloc(scratch, (size_t)graph->n_values + 1);
  for (int i = 0; i < graph->n_outputs; i++)
    used[graph->output[i]] = true;
  for (int i = 0; i < graph->n_nodes; i++)
    for (int k = 0; !graph->node[i].dead && k < graph->node[i].n_inputs; k++)
      if (graph->node[i].input[k] != NEO_NO_VALUE)
        used[graph->node[i].input[k]] = true;
  return used;
}

static bool bytes_used(const neo_graph *graph, const bool *used, const char *data, size_t size) {
  for (int v = 0; v < graph->n_values; v++)
    if (used[v] && overlaps(graph->value[v].constant, data, size))
      return true;
  for (int i = 0; i < graph->n_nodes; i++)
    for (int k = 0; k < graph->node[i].n_attrs; k++)
      if (graph->node[i].attr[k].kind == NEO_ATTR_TENSOR &&
          overlaps(graph->node[i].attr[k].tensor, data, size))
        return true;
  return false;
}

void neo_graph_drop_unused(neo_graph *graph) {
  graph_box *box = (graph_box *)graph;
  neo_arena scratch;
  neo_ctx ctx;
  if (box->n_children > 0) /* copies share data with what they were made from */
    return;
  neo_ctx_init(&ctx, 0);
  ctx.allocator = box->allocator;
  neo_arena_init(&scratch);
  const bool *used = find_used(graph, &scratch);
  for (int v = 0; v < graph->n_values; v++) {
    const neo_tensor *tensor = used[v] ? NULL : graph->value[v].constant;
    int at = 0;
    while (tensor && at < box->n_owned && box->owned[at] != tensor->data)
      at++;
    if (!tensor || at == box->n_owned ||
        bytes_used(graph, used, (const char *)tensor->data, tensor->size))
      continue;
    neo_tensor gone = *tensor;
    for (int w = 0; w < graph->n_values; w++)
      if (overlaps(graph->value[w].constant, gone.data, gone.size))
        graph->value[w].constant = NULL;
    neo_aligned_free(&ctx, gone.data);
    box->owned[at] = box->owned[--box->n_owned];
  }
  neo_arena_fini(&scratch);
}

static void share_budget(neo_graph *graph, neo_fold_budget *budget) {
  graph_box *box = (graph_box *)graph;
  graph->budget = budget;
  for (int i = 0; i < box->n_children; i++)
    share_budget(box->child[i], budget);
}

void neo_graph_own(neo_graph *graph, neo_graph *sub) {
  graph_box *box = (graph_box *)graph;
  share_budget(sub, graph->budget);
  for (int i = 0; i < box->n_children; i++)
    if (box->child[i] == sub)
      return;
  box->child = neo_arena_grow(&box->arena, box->child, &box->cap_children, box->n_children + 1,
                              sizeof *box->child);
  box->child[box->n_children++] = sub;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int new_value(neo_graph *graph, const char *name) {
  graph->value = neo_arena_grow(graph->arena, graph->value, &graph->cap_values, graph->n_values + 1,
                                sizeof *graph->value);
  neo_value *value = &graph->value[graph->n_values];
  memset(value, 0, sizeof *value);
  value->name = neo_arena_strdup(graph->arena, name ? name : "");
  value->dtype = NEO_DTYPE_COUNT;
  value->shape.rank = -1;
  value->node = -1;
  return graph->n_values++;
}

int neo_graph_add_value(neo_graph *graph, const char *name, neo_dtype dtype,
                        const neo_shape *shape) {
  int id = new_value(graph, name);
  graph->value[id].dtype = dtype;
  if (shape)
    graph->value[id].shape = *shape;
  return id;
}

int neo_graph_add_input(neo_graph *graph, const char *name, neo_dtype dtype,
                        const neo_shape *shape) {
  int id = neo_graph_add_value(graph, name, dtype, shape);
  graph->value[id].is_input = true;
  graph->input = neo_arena_grow(graph->arena, graph->input, &graph->cap_inputs, graph->n_inputs + 1,
                                sizeof *graph->input);
  graph->input[graph->n_inputs++] = id;
  return id;
}

int neo_graph_add_constant(neo_graph *graph, const char *name, const neo_tensor *tensor) {
  int id = neo_graph_add_value(graph, name, tensor->dtype, &tensor->shape);
  graph->value[id].constant = neo_arena_copy(graph->arena, tensor, sizeof *tensor);
  return id;
}

void neo_graph_add_taken(neo_graph *graph, const char *name) {
  graph->taken = neo_arena_grow(graph->arena, graph->taken, &graph->cap_taken, graph->n_taken + 1,
                                sizeof *graph->taken);
  graph->taken[graph->n_taken++] = neo_arena_strdup(graph->arena, name);
}

void neo_graph_add_output(neo_graph *graph, int value, const char *name) {
  int need = graph->n_outputs + 1, names_cap = graph->cap_outputs;
  graph->output =
      neo_arena_grow(graph->arena, graph->output, &graph->cap_outputs, need, sizeof *graph->output);
  graph->output_name = neo_arena_grow(graph->arena, graph->output_name, &names_cap, need,
                                      sizeof *graph->output_name);
  graph->output[graph->n_outputs] = value;
  graph->output_name[graph->n_outputs++] = neo_arena_strdup(graph->arena, name ? name : "");
}

/* ---- nodes ----------------------------------------------------------------------------------- */

neo_node *neo_graph_add_node(neo_graph *graph, const char *op, const char *name, int n_inputs,
                             const int *inputs, int n_outputs) {
  const neo_op *row = neo_op_find(op);
  if (!row)
    return NULL;
  graph->node = neo_arena_grow(graph->arena, graph->node, &graph->cap_nodes, graph->n_nodes + 1,
                               sizeof *graph->node);
  int id = graph->n_nodes++;
  neo_node *node = &graph->node[id];
  memset(node, 0, sizeof *node);
  node->op = row;
  node->name = neo_arena_strdup(graph->arena, name ? name : "");
  node->n_inputs = n_inputs;
  node->n_outputs = n_outputs;
  node->input = neo_arena_alloc(graph->arena, sizeof(int) * (size_t)(n_inputs + 1));
  node->output = neo_arena_alloc(graph->arena, sizeof(int) * (size_t)(n_outputs + 1));
  if (n_inputs > 0)
    memcpy(node->input, inputs, sizeof(int) * (size_t)n_inputs);
  for (int i = 0; i < n_outputs; i++) {
    int value = new_value(graph, "");
    if (i == 0)
      graph->value[value].name = node->name;
    else
      graph->value[value].name = neo_arena_printf(graph->arena, "%s.%d", node->name, i);
    graph->value[value].node = id;
    graph->value[value].output = i;
    node->output[i] = value;
  }
  return node;
}

/* The attribute to write: the present one of that name or a new one at its sorted place. */
static neo_attr *attr_slot(neo_graph *graph, neo_node *node, const char *name) {
  int at = 0;
  while (at < node->n_attrs && strcmp(node->attr[at].name, name) < 0)
    at++;
  if (at == node->n_attrs || strcmp(node->attr[at].name, name) != 0) {
    neo_attr *grown = neo_arena_alloc(graph->arena, sizeof *grown * (size_t)(node->n_attrs + 1));
    if (at > 0)
      memcpy(grown, node->attr, sizeof *grown * (size_t)at);
    if (at < node->n_attrs)
      memcpy(grown + at + 1, node->attr + at, sizeof *grown * (size_t)(node->n_attrs - at));
    node->attr = grown;
    node->n_attrs++;
  }
  neo_attr *attr = &node->attr[at];
  memset(attr, 0, sizeof *attr);
  attr->name = neo_arena_strdup(graph->arena, name);
  return attr;
}

void neo_node_set_int(neo_graph *graph, neo_node *node, const char *name, int64_t v) {
  neo_attr *attr = attr_slot(graph, node, name);
  attr->kind = NEO_ATTR_INT;
  attr->i = v;
}

void neo_node_set_float(neo_graph *graph, neo_node *node, const char *name, double v) {
  neo_attr *attr = attr_slot(graph, node, name);
  attr->kind = NEO_ATTR_FLOAT;
  attr->f = v;
}

void neo_node_set_string(neo_graph *graph, neo_node *node, const char *name, const char *v) {
  const char *copy = neo_arena_strdup(graph->arena, v);
  neo_attr *attr = attr_slot(graph, node, name);
  attr->kind = NEO_ATTR_STRING;
  attr->s = copy;
}

void neo_node_set_ints(neo_graph *graph, neo_node *node, const char *name, int n,
                       const int64_t *v) {
  const int64_t *copy = neo_arena_copy(graph->arena, v, sizeof *v * (size_t)n);
  neo_attr *attr = attr_slot(graph, node, name);
  attr->kind = NEO_ATTR_INTS;
  attr->n = n;
  attr->ints = copy;
}

void neo_node_set_floats(neo_graph *graph, neo_node *node, const char *name, int n,
                         const double *v) {
  const double *copy = neo_arena_copy(graph->arena, v, sizeof *v * (size_t)n);
  neo_attr *attr = attr_slot(graph, node, name);
  attr->kind = NEO_ATTR_FLOATS;
  attr->n = n;
  attr->floats = copy;
}

void neo_node_set_tensor(neo_graph *graph, neo_node *node, const char *name,
                         const neo_tensor *tensor) {
  const neo_tensor *copy = neo_arena_copy(graph->arena, tensor, sizeof *tensor);
  neo_attr *attr = attr_slot(graph, node, name);
  attr->kind = NEO_ATTR_TENSOR;
  attr->tensor = copy;
}

void neo_node_set_graph(neo_graph *graph, neo_node *node, const char *name, neo_graph *sub) {
  neo_attr *attr = attr_slot(graph, node, name);
  attr->kind = NEO_ATTR_GRAPH;
  attr->graph = sub;
  neo_graph_own(graph, sub);
}

const neo_attr *neo_node_attr(const neo_node *node, const char *name) {
  for (int i = 0; i < node->n_attrs; i++)
    if (strcmp(node->attr[i].name, name) == 0)
      return &node->attr[i];
  return NULL;
}

neo_graph *neo_node_graph(const neo_node *node, const char *name) {
  const neo_attr *attr = neo_node_attr(node, name);
  return attr && attr->kind == NEO_ATTR_GRAPH ? attr->graph : NULL;
}

int64_t neo_node_int(const neo_node *node, const char *name, int64_t otherwise) {
  const neo_attr *attr = neo_node_attr(node, name);
  return attr && attr->kind == NEO_ATTR_INT ? attr->i : otherwise;
}

double neo_node_float(const neo_node *node, const char *name, double otherwise) {
  const neo_attr *attr = neo_node_attr(node, name);
  if (attr && attr->kind == NEO_ATTR_INT)
    return (double)attr->i;
  return attr && attr->kind == NEO_ATTR_FLOAT ? attr->f : otherwise;
}

const char *neo_node_string(const neo_node *node, const char *name, const char *otherwise) {
  const neo_attr *attr = neo_node_attr(node, name);
  return attr && attr->kind == NEO_ATTR_STRING ? attr->s : otherwise;
}

int neo_node_ints(const neo_node *node, const char *name, int64_t *out, int cap) {
  const neo_attr *attr = neo_node_attr(node, name);
  if (!attr || attr->kind != NEO_ATTR_INTS)
    return 0;
  for (int i = 0; i < attr->n && i < cap; i++)
    out[i] = attr->ints[i];
  return attr->n;
}

/* ---- the checker ----------------------------------------------------------------------------- */

static neo_status check_value(neo_ctx *ctx, const neo_graph *graph, int id) {
  const neo_value *value = &graph->value[id];
  if (value->shape.rank < -1 || value->shape.rank > NEO_MAX_RANK)
    return neo_fail(ctx, NEO_BAD_INPUT, "graph: value '%s' has rank %d, at most %d allowed",
                    value->name, value->shape.rank, NEO_MAX_RANK);
  if ((int)value->dtype < 0 || value->dtype > NEO_DTYPE_COUNT)
    return neo_fail(ctx, NEO_BAD_INPUT, "graph: value '%s' has an unknown dtype %d", value->name,
                    (int)value->dtype);
  for (int i = 0; i < value->shape.rank; i++)
    if (value->shape.dim[i] < -1)
      return neo_fail(ctx, NEO_BAD_INPUT, "graph: value '%s' has dimension %lld", value->name,
                      (long long)value->shape.dim[i]);
  if (value->constant) {
    const neo_tensor *tensor = value->constant;
    int64_t n;
    if (value->node != -1 || value->is_input || tensor->dtype != value->dtype ||
        value->dtype == NEO_DTYPE_COUNT || !neo_shape_equal(&tensor->shape, &value->shape) ||
        !neo_shape_elements(&tensor->shape, &n) ||
        tensor->size != (size_t)n * neo_dtype_size(tensor->dtype))
      return neo_fail(ctx, NEO_BAD_INPUT, "graph: constant '%s' disagrees with its tensor",
                      value->name);
  }
  if (value->node < -1 || value->node >= graph->n_nodes)
    return neo_fail(ctx, NEO_BAD_INPUT, "graph: value '%s' names node %d of %d", value->name,
                    value->node, graph->n_nodes);
  return NEO_OK;
}

static neo_status check_deep(neo_ctx *ctx, const neo_graph *graph, int depth);

/* ready[v]: the value is available to the next node. */
static neo_status check_node(neo_ctx *ctx, const neo_graph *graph, int id, bool *ready) {
  const neo_node *node = &graph->node[id];
  const neo_op *op = node->op;
  if (node->n_inputs < op->min_inputs || (op->max_inputs >= 0 && node->n_inputs > op->max_inputs))
    return neo_fail(ctx, NEO_BAD_INPUT, "graph: node '%s' (%s) has %d inputs, %d to %d allowed",
                    node->name, op->name, node->n_inputs, op->min_inputs, op->max_inputs);
  if (node->n_outputs < op->min_outputs ||
      (op->max_outputs >= 0 && node->n_outputs > op->max_outputs))
    return neo_fail(ctx, NEO_BAD_INPUT, "graph: node '%s' (%s) has %d outputs, %d to %d allowed",
                    node->name, op->name, node->n_outputs, op->min_outputs, op->max_outputs);
  for (int i = 0; i < node->n_inputs; i++) {
    int value = node->input[i];
    if (value == NEO_NO_VALUE) {
      if (i < op->min_inputs)
        return neo_fail(ctx, NEO_BAD_INPUT, "graph: node '%s' (%s) lacks its input %d", node->name,
                        op->name, i);
      continue;
    }
    if (value < 0 || value >= graph->n_values || !ready[value])
      return neo_fail(ctx, NEO_BAD_INPUT,
                      "graph: node '%s' (%s) reads value %d, which nothing before it makes",
                      node->name, op->name, value);
  }
  for (int i = 0; i < node->n_outputs; i++) {
    int value = node->output[i];
    if (value < 0 || value >= graph->n_values || graph->value[value].node != id ||
        graph->value[value].output != i)
      return neo_fail(ctx, NEO_BAD_INPUT, "graph: node '%s' (%s): output %d is not its own",
                      node->name, op->name, i);
    ready[value] = true;
  }
  for (int i = 1; i < node->n_attrs; i++)
    if (strcmp(node->attr[i - 1].name, node->attr[i].name) >= 0)
      return neo_fail(ctx, NEO_BAD_INPUT, "graph: node '%s' (%s): attribute '%s' is out of order",
                      node->name, op->name, node->attr[i].name);
  return NEO_OK;
}

static neo_status check_attr_graphs(neo_ctx *ctx, const neo_node *node, int depth) {
  for (int i = 0; i < node->n_attrs; i++)
    if (node->attr[i].kind == NEO_ATTR_GRAPH) {
      if (depth == NEO_MAX_GRAPH_DEPTH || !node->attr[i].graph)
        return neo_fail(ctx, NEO_UNSUPPORTED,
                        "graph: node '%s' (%s): graphs nest more than %d deep", node->name,
                        node->op->name, NEO_MAX_GRAPH_DEPTH);
      NEO_TRY(check_deep(ctx, node->attr[i].graph, depth + 1));
    }
  return NEO_OK;
}

static neo_status check_all(neo_ctx *ctx, const neo_graph *graph, int depth, bool *ready) {
  for (int i = 0; i < graph->n_values; i++) {
    NEO_TRY(check_value(ctx, graph, i));
    ready[i] = graph->value[i].constant != NULL;
  }
  for (int i = 0; i < graph->n_inputs; i++) {
    int value = graph->input[i];
    if (value < 0 || value >= graph->n_values || !graph->value[value].is_input)
      return neo_fail(ctx, NEO_BAD_INPUT, "graph: input %d is value %d, not an input", i, value);
    ready[value] = true;
  }
  for (int i = 0; i < graph->n_nodes; i++)
    if (!graph->node[i].dead) {
      NEO_TRY(check_node(ctx, graph, i, ready));
      NEO_TRY(check_attr_graphs(ctx, &graph->node[i], depth));
    }
  for (int i = 0; i < graph->n_outputs; i++) {
    int value = graph->output[i];
    if (value < 0 || value >= graph->n_values || !ready[value])
      return neo_fail(ctx, NEO_BAD_INPUT, "graph: output '%s' is value %d, which nothing makes",
                      graph->output_name[i], value);
  }
  return NEO_OK;
}

static neo_status check_deep(neo_ctx *ctx, const neo_graph *graph, int depth) {
  bool *ready = neo_alloc(ctx, sizeof *ready * (size_t)(graph->n_values + 1));
  if (!ready)
    return neo_fail(ctx, NEO_NO_MEMORY, "graph '%s': out of memory", graph->name);
  neo_status status = check_all(ctx, graph, depth, ready);
  neo_free(ctx, ready);
  return status;
}

neo_status neo_graph_check(neo_ctx *ctx, const neo_graph *graph) {
  return check_deep(ctx, graph, 0);
}

/* ---- copies ---------------------------------------------------------------------------------- */

neo_status neo_node_copy_attrs(neo_ctx *ctx, neo_graph *graph, neo_node *to, const neo_node *from) {
  to->attr = neo_arena_copy(graph->arena, from->attr, sizeof *from->attr * (size_t)from->n_attrs);
  to->n_attrs = from->n_attrs;
  for (int i = 0; i < to->n_attrs; i++) {
    if (to->attr[i].kind != NEO_ATTR_GRAPH)
      continue;
    NEO_TRY(neo_graph_clone(ctx, from->attr[i].graph, &to->attr[i].graph));
    neo_graph_own(graph, to->attr[i].graph);
  }
  return NEO_OK;
}

static neo_status copy_nodes(neo_ctx *ctx, neo_graph *to, const neo_graph *from) {
  to->n_nodes = to->cap_nodes = from->n_nodes;
  to->node = neo_arena_copy(to->arena, from->node, sizeof *from->node * (size_t)from->n_nodes);
  for (int i = 0; i < from->n_nodes; i++) {
    neo_node *node = &to->node[i];
    node->input =
        neo_arena_copy(to->arena, node->input, sizeof *node->input * (size_t)node->n_inputs);
    node->output =
        neo_arena_copy(to->arena, node->output, sizeof *node->output * (size_t)node->n_outputs);
    if (!node->dead)
      NEO_TRY(neo_node_copy_attrs(ctx, to, node, &from->node[i]));
  }
  return NEO_OK;
}

neo_status neo_graph_clone(neo_ctx *ctx, const neo_graph *graph, neo_graph **out) {
  neo_graph *to = NULL;
  NEO_TRY(neo_graph_create(ctx, "", &to));
  neo_arena *arena = to->arena;
  to->name = graph->name;
  to->budget = graph->budget;
  to->n_values = to->cap_values = graph->n_values;
  to->value = neo_arena_copy(arena, graph->value, sizeof *graph->value * (size_t)graph->n_values);
  to->n_inputs = to->cap_inputs = graph->n_inputs;
  to->input = neo_arena_copy(arena, graph->input, sizeof *graph->input * (size_t)graph->n_inputs);
  to->n_outputs = to->cap_outputs = graph->n_outputs;
  to->output =
      neo_arena_copy(arena, graph->output, sizeof *graph->output * (size_t)graph->n_outputs);
  to->output_name = neo_arena_copy(arena, graph->output_name,
                                   sizeof *graph->output_name * (size_t)graph->n_outputs);
  neo_status status = copy_nodes(ctx, to, graph);
  if (status == NEO_OK)
    *out = to;
  else
    neo_graph_destroy(to);
  return status;
}
