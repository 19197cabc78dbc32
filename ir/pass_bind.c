/* ir/pass_bind.c: gives the graph's inputs their shapes.
 *
 * A binding overrides what the model says, but for the number of dimensions. Where it fixes a
 * dimension that the model names, the other inputs' dimensions of that name follow. What is free
 * after that is one error listing it all, in the form the user has to type. */
#include "ir/graph_edit.h"

#include <string.h>

static neo_value *find_input(const neo_graph *graph, const char *name) {
  for (int i = 0; i < graph->n_inputs; i++)
    if (strcmp(graph->value[graph->input[i]].name, name) == 0)
      return &graph->value[graph->input[i]];
  return NULL;
}

static neo_status no_such_input(neo_ctx *ctx, const neo_graph *graph, const char *name) {
  neo_buf list = {0};
  for (int i = 0; i < graph->n_inputs; i++)
    neo_buf_printf(&list, "%s%s", i ? ", " : "", graph->value[graph->input[i]].name);
  neo_status status =
      neo_fail(ctx, NEO_USAGE, "--input %s: the model has no such input; it has: %s", name,
               list.data ? list.data : "none");
  neo_buf_fini(&list);
  return status;
}

/* The named dimension has this extent wherever it is still free. */
static void spread(neo_graph *graph, const char *name, int64_t extent) {
  for (int i = 0; i < graph->n_inputs; i++) {
    neo_value *value = &graph->value[graph->input[i]];
    for (int d = 0; d < value->shape.rank; d++)
      if (value->shape.dim[d] < 0 && value->dim_name[d] && strcmp(value->dim_name[d], name) == 0)
        value->shape.dim[d] = extent;
  }
}

static neo_status bind_one(neo_ctx *ctx, neo_graph *graph, const neo_binding *binding) {
  neo_value *value = find_input(graph, binding->name);
  int64_t n;
  for (int i = 0; i < graph->n_taken; i++)
    if (strcmp(graph->taken[i], binding->name) == 0)
      return NEO_OK;
  if (!value)
    return no_such_input(ctx, graph, binding->name);
  if (binding->shape.rank < 0 || binding->shape.rank > NEO_MAX_RANK ||
      !neo_shape_elements(&binding->shape, &n))
    return neo_fail(ctx, NEO_USAGE, "--input %s: its shape is negative or too large",
                    binding->name);
  if (value->shape.rank > 0 && value->shape.rank != binding->shape.rank)
    return neo_fail(ctx, NEO_USAGE, "--input %s: %d dimensions given, the model's input has %d",
                    binding->name, binding->shape.rank, value->shape.rank);
  bool named = value->shape.rank >= 0;
  value->shape = binding->shape;
  if (binding->has_dtype)
    value->dtype = binding->dtype;
  for (int d = 0; named && d < binding->shape.rank; d++)
    if (value->dim_name[d])
      spread(graph, value->dim_name[d], binding->shape.dim[d]);
  return NEO_OK;
}

static bool list_free(const neo_graph *graph, neo_buf *list) {
  bool any = false;
  for (int i = 0; i < graph->n_inputs; i++) {
    const neo_value *value = &graph->value[graph->input[i]];
    bool free_dim = value->shape.rank < 0;
    for (int d = 0; d < value->shape.rank; d++)
      free_dim |= value->shape.dim[d] < 0;
    if (!free_dim)
      continue;
    any = true;
    neo_buf_printf(list, " --input %s=", value->name);
    for (int d = 0; d < value->shape.rank; d++) {
      neo_buf_text(list, d ? "," : "");
      if (value->shape.dim[d] >= 0)
        neo_buf_printf(list, "%lld", (long long)value->shape.dim[d]);
      else
        neo_buf_printf(list, "<%s>", value->dim_name[d] ? value->dim_name[d] : "?");
    }
    if (value->shape.rank < 0)
      neo_buf_text(list, "<shape>");
  }
  return any;
}

neo_status neo_pass_bind(neo_ctx *ctx, neo_graph *graph, int n, const neo_binding *bindings) {
  neo_buf list = {0};
  neo_status status = NEO_OK;
  for (int i = 0; i < n; i++)
    NEO_TRY(bind_one(ctx, graph, &bindings[i]));
  if (list_free(graph, &list))
    status = neo_fail(ctx, NEO_USAGE, "these inputs have free dimensions; give them as%s",
                      list.data ? list.data : "");
  neo_buf_fini(&list);
  return status;
}
