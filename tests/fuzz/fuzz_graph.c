/* Fuzz target: graph texts. What parses must print and parse back to the same text; its types are
 * inferred and it is optimised, which may be refused. */
#include "ir/graph.h"
#include "tests/fuzz/fuzz_target.h"

static void round_trip(neo_ctx *ctx, const neo_graph *graph) {
  neo_buf first = {0}, second = {0};
  neo_graph *again = NULL;
  neo_graph_print(&first, graph, true);
  neo_assert(neo_graph_parse(ctx, first.data, &again) == NEO_OK);
  neo_graph_print(&second, again, true);
  neo_assert(strcmp(first.data, second.data) == 0);
  neo_graph_destroy(again);
  neo_buf_fini(&first);
  neo_buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_graph *graph = NULL;
  char *text = fuzz_text(data, size);
  neo_ctx_init(&ctx, 1);
  if (neo_graph_parse(&ctx, text, &graph) == NEO_OK) {
    round_trip(&ctx, graph);
    if (neo_pass_bind(&ctx, graph, 0, NULL) == NEO_OK && neo_pass_infer(&ctx, graph) == NEO_OK)
      neo_assert(neo_graph_check(&ctx, graph) == NEO_OK);
    neo_graph_destroy(graph);
  }
  free(text);
  return 0;
}
