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

static neo_status merge(neo_ctx *ctx, neo_graph *graph, neo_map *seen, neo_buf *key) {
  neo_uses uses;
  int first;
  neo_status status = NEO_OK;
  neo_uses_init(&uses);
  neo_uses_update(&uses, graph);
  for (int i = 0; status == NEO_OK && i < graph->n_values; i++) {
    if (!graph->value[i].constant || uses.count[i] == 0)
      continue;
    neo_buf_clear(key);
    describe_constant(key, graph->value[i].constant);
    status = first_of(ctx, seen, key, i, &first);
    if (status == NEO_OK && first != i)
      neo_edit_replace(graph, i, first);
  }
  for (int i = 0; status == NEO_OK && i < graph->n_nodes; i++) {
    neo_node *node = &graph->node[i];
    if (node->dead)
      continue;
    neo_buf_clear(key);
    describe_node(key, node);
    status = first_of(ctx, seen, key, i, &first);
    if (status != NEO_OK || first == i)
      continue;
    for (int k = 0; k < node->n_outputs; k++)
      neo_edit_replace(graph, node->output[k], graph->node[first].output[k]);
    node->dead = true;
  }
  neo_uses_fini(&uses);
  return status;
}

neo_status neo_pass_cse(neo_ctx *ctx, neo_graph *graph) {
  neo_map seen = {0};
  neo_buf key = {0};
  neo_status status = merge(ctx, graph, &seen, &key);
  neo_map_fini(&seen);
  neo_buf_fini(&key);
  return status == NEO_OK ? neo_pass_dce(ctx, graph) : status;
}
