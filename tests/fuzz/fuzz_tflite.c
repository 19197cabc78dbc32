/* libFuzzer target: TFLite files. What is read must be a sound graph; free dims are bound to 2 and
 * shapes inferred. Nothing may crash, leak or take memory out of proportion. */
#include "base/host.h"
#include "frontends/frontends.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(neo_ctx *ctx, neo_graph *graph) {
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char path[64];
  neo_ctx ctx;
  neo_graph *graph = NULL;
  neo_import_options options = {.max_model_bytes = 64 << 20};
  neo_ctx_init(&ctx, 1);
  if (!path[0])
    snprintf(path, sizeof path, "/tmp/neo-fuzz-%d.tflite", (int)getpid());
  FILE *file = fopen(path, "wb");
  if (!file)
    return 0;
  bool written = fwrite(data, 1, size, file) == size;
  fclose(file);
  if (written && neo_import(&ctx, path, &options, &graph) == NEO_OK) {
    use(&ctx, graph);
    neo_graph_destroy(graph);
  }
  unlink(path);
  return 0;
}
