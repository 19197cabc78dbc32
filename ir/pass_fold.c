/* ir/pass_fold.c: constant folding.
 *
 * A node whose inputs are all constants is evaluated by its operator and replaced by the result.
 * Views of constants share the data. Results over MAX_BYTES are left: they would cost more memory
 * than they save. So is what the graph's budget has no bytes or no work for: a small file may ask
 * for many large constants, and for sums that take hours; both are computed when the model runs.
 *
 * Invariant: folding changes no rounding, since an operator's eval is the oracle of its kernels. */
#include "ir/graph_edit.h"
#include "ir/pass_internal.h"

#define MAX_BYTES ((int64_t)256 << 20)

void neo_fold_replace(neo_graph *graph, neo_node *node, const neo_tensor *out) {
  for (int i = 0; i < node->n_outputs; i++) {
    neo_value *value = &graph->value[node->output[i]];
    value->constant = neo_arena_copy(graph->arena, &out[i], sizeof out[i]);
    value->dtype = out[i].dtype;
    value->shape = out[i].shape;
    value->node = -1;
    value->output = 0;
  }
  node->dead = true;
}

static bool is_foldable(const neo_graph *graph, const neo_node *node, int64_t max_elements) {
  for (int i = 0; i < node->n_inputs; i++)
    if (node->input[i] != NEO_NO_VALUE && !graph->value[node->input[i]].constant)
      return false;
  for (int i = 0; i < node->n_outputs; i++) {
    const neo_value *value = &graph->value[node->output[i]];
    int64_t n;
    if (value->bounded || value->shape.rank < 0 || !neo_shape_elements(&value->shape, &n) ||
        n > max_elements || n > MAX_BYTES / (int64_t)neo_dtype_size(value->dtype))
      return false;
  }
  return true;
}

/* A view of a constant: the same bytes under another shape. */
static bool fold_view(neo_graph *graph, neo_node *node) {
  if (node->op->fuse != 'v' || node->n_outputs != 1 || node->n_inputs < 1)
    return false;
  const neo_value *out = &graph->value[node->output[0]];
  neo_tensor alias = *graph->value[node->input[0]].constant;
  int64_t n;
  if (alias.dtype != out->dtype || !neo_shape_elements(&out->shape, &n) ||
      (size_t)n * neo_dtype_size(out->dtype) != alias.size)
    return false;
  alias.shape = out->shape;
  neo_fold_replace(graph, node, &alias);
  return true;
}

/* Elements that evaluation computes one by one, and bytes of what it holds meanwhile. */
static void cost(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int64_t *work,
                 int64_t *scratch_bytes) {
  neo_arena scratch;
  int in_value[NEO_TE_MAX_BUFFERS];
  double points = 0, bytes = 0;
  neo_ctx quiet;
  neo_ctx_fork(&quiet, ctx);
  quiet.log = NULL;
  neo_arena_init(&scratch);
  neo_te *te = neo_arena_alloc(&scratch, sizeof *te);
  neo_te_init(te, &scratch);
  bool lowered = !node->op->eval && node->op->lower(&quiet, graph, node, te, in_value) == NEO_OK;
  for (int b = 0; lowered && b < te->n_blocks; b++) {
    double n = 1;
    for (int a = 0; a < te->block[b].n_spatial + te->block[b].n_reduce; a++)
      n *= (double)te->block[b].extent[a];
    points += n;
  }
  for (int b = 0; lowered && b < te->n_buffers; b++) {
    double n = te->buffer[b].role == NEO_TE_TMP ? (double)neo_dtype_size(te->buffer[b].dtype) : 0;
    for (int d = 0; d < te->buffer[b].shape.rank; d++)
      n *= (double)te->buffer[b].shape.dim[d];
    bytes += n;
  }
  neo_arena_fini(&scratch);
  *work = (int64_t)(points < 1e18 ? points : 1e18);
  *scratch_bytes = (int64_t)(bytes < 1e18 ? bytes : 1e18);
}

/* Takes what evaluation needs from the budget; false, and nothing taken, if it is not there. */
static bool afford(neo_ctx *ctx, neo_graph *graph, const neo_node *node) {
  int64_t bytes = 0, work = 0, scratch = 0;
  for (int i = 0; i < node->n_outputs; i++) {
    const neo_value *value = &graph->value[node->output[i]];
    int64_t n = 0;
    neo_shape_elements(&value->shape, &n);
    bytes += n * (int64_t)neo_dtype_size(value->dtype);
  }
  cost(ctx, graph, node, &work, &scratch);
  neo_fold_budget *budget = graph->budget;
  if (bytes > budget->bytes || work > budget->work || scratch > MAX_BYTES ||
      scratch > budget->bytes - bytes)
    return false;
  budget->bytes -= bytes;
  budget->work -= work;
  return true;
}

static neo_status evaluate(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_arena scratch;
  neo_arena_init(&scratch);
  neo_tensor **in = neo_arena_alloc(&scratch, sizeof(neo_tensor *) * (size_t)(node->n_inputs + 1));
  neo_tensor *out = neo_arena_alloc(&scratch, sizeof *out * (size_t)(node->n_outputs + 1));
  for (int i = 0; i < node->n_inputs; i++)
    in[i] = node->input[i] == NEO_NO_VALUE ? NULL : graph->value[node->input[i]].constant;
  neo_status status = neo_node_eval(ctx, graph, node, in, out);
  if (status == NEO_OK) {
    for (int i = 0; i < node->n_outputs; i++)
      neo_graph_adopt(graph, out[i].data);
    neo_fold_replace(graph, node, out);
  }
  neo_arena_fini(&scratch);
  return status;
}

neo_status neo_fold_node(neo_ctx *ctx, neo_graph *graph, neo_node *node, int64_t max_elements) {
  if (node->dead || !is_foldable(graph, node, max_elements) || fold_view(graph, node))
    return NEO_OK;
  if ((!node->op->eval && !node->op->lower) || neo_edit_is(node, "loop") ||
      neo_edit_is(node, "unreachable") || neo_edit_is(node, "text_load"))
    return NEO_OK; /* a loop that infer left is a long one: not by the interpreter */
  return afford(ctx, graph, node) ? evaluate(ctx, graph, node) : NEO_OK;
}

neo_status neo_pass_fold(neo_ctx *ctx, neo_graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++)
    NEO_TRY(neo_fold_node(ctx, graph, &graph->node[i], INT64_MAX));
  return NEO_OK;
}
