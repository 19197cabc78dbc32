/* libFuzzer target: graph texts. What parses must print and parse back to the same text. */
#include "ir/graph.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_graph *graph = NULL, *again = NULL;
  neo_buf input = {0}, first = {0}, second = {0};
  neo_ctx_init(&ctx, 1);
  neo_buf_append(&input, data, size);
  neo_buf_u8(&input, 0);
  if (neo_graph_parse(&ctx, input.data, &graph) == NEO_OK) {
    neo_graph_print(&first, graph, true);
    neo_assert(neo_graph_parse(&ctx, first.data, &again) == NEO_OK);
    neo_graph_print(&second, again, true);
    neo_assert(strcmp(first.data, second.data) == 0);
    neo_graph_destroy(again);
    neo_graph_destroy(graph);
  }
  neo_buf_fini(&input);
  neo_buf_fini(&first);
  neo_buf_fini(&second);
  return 0;
}
