/* ir/pass_cse.c: common subexpressions: of two nodes with the same operator, inputs and attributes
 * the later one's uses move to the earlier one. Constants with equal type and bytes count as the
 * same value.
 *
 * Nodes and small constants are described by a text; equal texts are equal things, no hash is
 * trusted. */
#include "ir/graph_edit.h"

#include <string.h>

#define MAX_CONSTANT 4096 /* bytes: larger ones are compared by address only */

static void describe_attr(neo_buf *key, const neo_attr *attr) {
  neo_buf_printf(key, "|%s=%d:", attr->name, (int)attr->kind);
  switch (attr->kind) {
  case NEO_ATTR_INT:
    neo_buf_printf(key, "%lld", (long long)attr->i);
    break;
  case NEO_ATTR_FLOAT:
    neo_buf_double(key, attr->f);
    break;
  case NEO_ATTR_STRING:
    neo_buf_printf(key, "%zu:%s", strlen(attr->s), attr->s);
    break;
  case NEO_ATTR_INTS:
    for (int i = 0; i < attr->n; i++)
      neo_buf_printf(key, "%lld,", (long long)attr->ints[i]);
    break;
  case NEO_ATTR_FLOATS:
    for (int i = 0; i < attr->n; i++) {
      neo_buf_double(key, attr->floats[i]);
      neo_buf_text(key, ",");
    }
    break;
  case NEO_ATTR_TENSOR:
    neo_buf_printf(key, "%p", attr->tensor->data);
    break;
  case NEO_ATTR_GRAPH:
    neo_buf_printf(key, "%p", (const void *)attr->graph);
    break;
  }
}

static void describe_node(neo_buf *key, const neo_node *node) {
  neo_buf_printf(key, "%s/%d", node->op->name, node->n_outputs);
  for (int i = 0; i < node->n_inputs; i++)
    neo_buf_printf(key, ",%d", node->input[i]);
  for (int i = 0; i < node->n_attrs; i++)
    describe_attr(key, &node->attr[i]);
}

static void describe_constant(neo_buf *key, const neo_tensor *tensor) {
  neo_buf_printf(key, "const %d", (int)tensor->dtype);
  neo_shape_print(key, &tensor->shape);
  if (tensor->size > MAX_CONSTANT) {
    neo_buf_printf(key, "%p", tensor->data);
    return;
  }
  for (size_t i = 0; i < tensor->size; i++)
    neo_buf_printf(key, "%02x", ((const uint8_t *)tensor->data)[i]);
}

/* The id + 1 stored first under this key. */
static neo_status first_of(neo_ctx *ctx, neo_map *seen, const neo_buf *key, int id, int *first) {
  intptr_t stored = key->failed ? 0 : (intptr_t)neo_map_get(seen, key->data);
  *first = stored ? (int)stored - 1 : id;
  if (!key->failed && (stored || neo_map_put(seen, key->data, (void *)(intptr_t)(id + 1))))
    return NEO_OK;
  return neo_fail(ctx, NEO_NO_MEMORY, "cse: out of memory");
}

typedef struct merger {
  neo_ctx *ctx;
  neo_graph *graph;
  neo_map seen;
  neo_buf key;
  neo_uses uses;
  int *alias;
} merger;

static neo_status merge_constants(merger *m) {
  int first;
  for (int i = 0; i < m->graph->n_values; i++) {
    if (!m->graph->value[i].constant || m->uses.count[i] == 0)
      continue;
    neo_buf_clear(&m->key);
    describe_constant(&m->key, m->graph->value[i].constant);
    NEO_TRY(first_of(m->ctx, &m->seen, &m->key, i, &first));
    m->alias[i] = first;
  }
  return NEO_OK;
}

static neo_status merge_nodes(merger *m) {
  int first;
  for (int i = 0; i < m->graph->n_nodes; i++) {
    neo_node *node = &m->graph->node[i];
    if (node->dead)
      continue;
    neo_edit_resolve_inputs(node, m->alias, m->graph->n_values);
    neo_buf_clear(&m->key);
    describe_node(&m->key, node);
    NEO_TRY(first_of(m->ctx, &m->seen, &m->key, i, &first));
    for (int k = 0; first != i && k < node->n_outputs; k++)
      m->alias[node->output[k]] = m->graph->node[first].output[k];
    node->dead = first != i;
  }
  neo_edit_resolve_outputs(m->graph, m->alias, m->graph->n_values);
  return NEO_OK;
}

static neo_status merge(merger *m) {
  neo_uses_update(&m->uses, m->graph);
  m->alias = neo_arena_alloc(&m->uses.arena, sizeof(int) * (size_t)(m->graph->n_values + 1));
  for (int i = 0; i < m->graph->n_values; i++)
    m->alias[i] = i;
  NEO_TRY(merge_constants(m));
  return merge_nodes(m);
}

neo_status neo_pass_cse(neo_ctx *ctx, neo_graph *graph) {
  merger m = {.ctx = ctx, .graph = graph};
  neo_uses_init(&m.uses);
  neo_status status = merge(&m);
  neo_uses_fini(&m.uses);
  neo_map_fini(&m.seen);
  neo_buf_fini(&m.key);
  return status == NEO_OK ? neo_pass_dce(ctx, graph) : status;
}
