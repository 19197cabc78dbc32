/* ir/op.c: the table of operators, and evaluation of nodes and graphs through it. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <string.h>

#define NONE NULL
static const neo_op table[] = {
#define NEO_OP(name, min_in, max_in, min_out, max_out, infer, lower, eval, runtime, fuse)          \
  {#name, min_in, max_in, min_out, max_out, infer, lower, eval, runtime, fuse},
#include "ir/ops.def"
};

const neo_op *neo_op_find(const char *name) {
  for (int k = 0; k < NEO_COUNT(table); k++) {
    if (strcmp(table[k].name, name) == 0)
      return &table[k];
  }
  return NULL;
}

void neo_op_visit(void (*fn)(void *self, const neo_op *op), void *self) {
  for (int k = 0; k < NEO_COUNT(table); k++)
    fn(self, &table[k]);
}

/* ---- one node ------------------------------------------------------------------------------------ */

static neo_status create_outputs(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 neo_tensor *out) {
  for (int k = 0; k < node->n_outputs; k++) {
    const neo_value *v = &graph->value[node->output[k]];
    neo_status s =
        v->dtype < NEO_DTYPE_COUNT
            ? neo_tensor_create(ctx, v->dtype, &v->shape, &out[k])
            : neo_op_fail(ctx, node, NEO_USAGE, "output %d has no type yet; infer first", k);
    if (s == NEO_OK)
      continue;
    while (--k >= 0)
      neo_tensor_free(ctx, &out[k]);
    return s;
  }
  return NEO_OK;
}

/* The node's own tensor for a te buffer: the input whose graph value it is. */
static neo_tensor *find_input(const neo_node *node, neo_tensor *const *in, int value) {
  for (int k = 0; k < node->n_inputs; k++) {
    if (node->input[k] == value)
      return in[k];
  }
  return NULL;
}

static neo_status eval_te(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_tensor *const *in, neo_tensor *out) {
  neo_arena arena;
  neo_tensor *buffers[NEO_TE_MAX_BUFFERS] = {NULL};
  int in_value[NEO_TE_MAX_BUFFERS];
  neo_arena_init(&arena);
  neo_te *te = neo_arena_alloc(&arena, sizeof *te);
  neo_te_init(te, &arena);
  neo_status s = node->op->lower(ctx, graph, node, te, in_value);
  int outputs = 0;
  for (int k = 0; s == NEO_OK && k < te->n_buffers; k++) {
    neo_te_role role = te->buffer[k].role;
    if (role == NEO_TE_IN || role == NEO_TE_CONST)
      buffers[k] = find_input(node, in, in_value[k]);
    else if (role == NEO_TE_OUT)
      buffers[k] = &out[outputs++];
  }
  if (s == NEO_OK)
    s = neo_te_interpret(ctx, te, buffers);
  neo_arena_fini(&arena);
  return s;
}

static bool all_empty(const neo_node *node, const neo_tensor *out) {
  for (int k = 0; k < node->n_outputs; k++) {
    if (out[k].size)
      return false;
  }
  return true;
}

neo_status neo_node_eval(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                         neo_tensor *const *in, neo_tensor *out) {
  if (!node->op->eval && !node->op->lower) {
    if (neo_expansion_find(node->op))
      return neo_expand_eval(ctx, graph, node, in, out);
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "cannot be evaluated");
  }
  NEO_TRY(create_outputs(ctx, graph, node, out));
  neo_status s = NEO_OK;
  if (!all_empty(node, out))
    s = node->op->eval ? node->op->eval(ctx, graph, node, in, out)
                       : eval_te(ctx, graph, node, in, out);
  for (int k = 0; s != NEO_OK && k < node->n_outputs; k++)
    neo_tensor_free(ctx, &out[k]);
  return s;
}

/* ---- a graph ------------------------------------------------------------------------------------- */

typedef struct evaluation {
  neo_ctx *ctx;
  const neo_graph *graph;
  neo_tensor *value; /* per graph value; data NULL where unknown */
  bool *owned;
} evaluation;

static neo_status eval_node(evaluation *e, const neo_node *node) {
  enum { MAX = 256 };
  neo_tensor *in[MAX], out[MAX];
  if (node->n_inputs > MAX || node->n_outputs > MAX)
    return neo_op_fail(e->ctx, node, NEO_UNSUPPORTED, "more than %d inputs or outputs", MAX);
  for (int k = 0; k < node->n_inputs; k++)
    in[k] = node->input[k] == NEO_NO_VALUE ? NULL : &e->value[node->input[k]];
  NEO_TRY(neo_node_eval(e->ctx, e->graph, node, in, out));
  for (int k = 0; k < node->n_outputs; k++) {
    e->value[node->output[k]] = out[k];
    e->owned[node->output[k]] = true;
  }
  return NEO_OK;
}

/* The real part of a bounded value. */
static neo_status cut_out(evaluation *e, const neo_value *value, const neo_tensor *from,
                          neo_tensor *out) {
  int d = value->bounded - 1;
  size_t outer = 1, inner = neo_dtype_size(from->dtype);
  neo_shape shape = from->shape;
  int64_t real = neo_tensor_get_i64(&e->value[value->count], 0);
  shape.dim[d] = neo_max_i64(0, neo_min_i64(real, shape.dim[d]));
  for (int i = 0; i < shape.rank; i++)
    *(i < d ? &outer : &inner) *= i == d ? 1 : (size_t)shape.dim[i];
  NEO_TRY(neo_tensor_create(e->ctx, from->dtype, &shape, out));
  size_t row = inner * (size_t)shape.dim[d], stride = inner * (size_t)from->shape.dim[d];
  for (size_t i = 0; row && i < outer; i++)
    memcpy((char *)out->data + i * row, (const char *)from->data + i * stride, row);
  return NEO_OK;
}

static neo_status copy_out(evaluation *e, int value, neo_tensor *out) {
  const neo_tensor *from = &e->value[value];
  if (e->graph->value[value].bounded)
    return cut_out(e, &e->graph->value[value], from, out);
  NEO_TRY(neo_tensor_create(e->ctx, from->dtype, &from->shape, out));
  memcpy(out->data, from->data, from->size);
  return NEO_OK;
}

neo_status neo_graph_interpret(neo_ctx *ctx, const neo_graph *graph, const neo_tensor *inputs,
                               neo_tensor *outputs) {
  size_t n = (size_t)graph->n_values + 1;
  evaluation e = {ctx, graph, neo_alloc(ctx, n * sizeof *e.value),
                  neo_alloc(ctx, n * sizeof *e.owned)};
  neo_status s =
      e.value && e.owned ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "graph: no memory to interpret");
  for (int k = 0; s == NEO_OK && k < graph->n_values; k++) {
    if (graph->value[k].constant)
      e.value[k] = *graph->value[k].constant;
  }
  for (int k = 0; s == NEO_OK && k < graph->n_inputs; k++)
    e.value[graph->input[k]] = inputs[k];
  for (int k = 0; s == NEO_OK && k < graph->n_nodes; k++) {
    if (!graph->node[k].dead)
      s = eval_node(&e, &graph->node[k]);
  }
  int made = 0;
  for (; s == NEO_OK && made < graph->n_outputs; made++)
    s = copy_out(&e, graph->output[made], &outputs[made]);
  for (int k = 0; s != NEO_OK && k < made - 1; k++)
    neo_tensor_free(ctx, &outputs[k]);
  for (int k = 0; e.value && e.owned && k < graph->n_values; k++) {
    if (e.owned[k])
      neo_tensor_free(ctx, &e.value[k]);
  }
  neo_free(ctx, e.value);
  neo_free(ctx, e.owned);
  return s;
}
