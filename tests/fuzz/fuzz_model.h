/* tests/fuzz/fuzz_model.h: what the fuzz targets of model files share. What is read must be a sound
 * graph; free dims are bound to 2, types inferred, constants folded. Memory is the fuzzer's own
 * limit: fuzz.sh gives every allocation and the process a bound. */
#ifndef NEO_TESTS_FUZZ_MODEL_H
#define NEO_TESTS_FUZZ_MODEL_H

#include "frontends/frontends.h"
#include "tests/fuzz/fuzz_target.h"

#define FUZZ_MODEL_BYTES ((int64_t)16 << 20)

static inline void fuzz_use_graph(neo_ctx *ctx, neo_graph *graph) {
  neo_assert(neo_graph_check(ctx, graph) == NEO_OK);
  for (int i = 0; i < graph->n_inputs; i++) {
    neo_shape *shape = &graph->value[graph->input[i]].shape;
    shape->rank = shape->rank < 0 ? 1 : shape->rank;
    for (int d = 0; d < shape->rank; d++)
      if (shape->dim[d] < 0 || shape->dim[d] > 64)
        shape->dim[d] = 2;
  }
  if (neo_pass_bind(ctx, graph, 0, NULL) == NEO_OK && neo_pass_infer(ctx, graph) == NEO_OK)
    neo_assert(neo_graph_check(ctx, graph) == NEO_OK);
}

/* A failure must say why, and be about the input. */
static inline void fuzz_import(const char *path, const neo_binding *binding, int n_bindings) {
  neo_ctx ctx;
  neo_graph *graph = NULL;
  neo_import_options options = {n_bindings, binding, FUZZ_MODEL_BYTES};
  neo_ctx_init(&ctx, 1);
  neo_status status = neo_import(&ctx, path, &options, &graph);
  neo_assert(status == NEO_OK || ctx.message[0] != '\0');
  neo_assert(status != NEO_INTERNAL && status != NEO_NO_MEMORY);
  if (status != NEO_OK)
    return;
  fuzz_use_graph(&ctx, graph);
  neo_graph_destroy(graph);
}

#endif
