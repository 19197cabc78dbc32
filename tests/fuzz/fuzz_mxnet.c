/* libFuzzer target: MXNet models: a symbol.json, a NUL, and the .params that lies beside it. What
 * is read must be a sound graph. Nothing may crash, leak or take memory out of proportion. */
#include "base/host.h"
#include "frontends/frontends.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool write_file(const char *path, const uint8_t *data, size_t size) {
  FILE *file = fopen(path, "wb");
  if (!file)
    return false;
  bool written = fwrite(data, 1, size, file) == size;
  return fclose(file) == 0 && written;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char folder[64], symbol[96], params[96];
  const neo_binding bindings[] = {{"data", {4, {2, 4, 16, 16}}, false, NEO_F32},
                                  {"data2", {4, {2, 3, 16, 16}}, false, NEO_F32}};
  neo_import_options options = {2, bindings, 64 << 20};
  neo_ctx ctx;
  neo_graph *graph = NULL;
  neo_ctx_init(&ctx, 1);
  if (!folder[0]) {
    snprintf(folder, sizeof folder, "/tmp/neo-fuzz-mxnet-%d", (int)getpid());
    snprintf(symbol, sizeof symbol, "%s/net-symbol.json", folder);
    snprintf(params, sizeof params, "%s/net-0000.params", folder);
  }
  const uint8_t *end = size ? memchr(data, 0, size) : NULL;
  size_t json = end ? (size_t)(end - data) : size;
  if (neo_dir_create(&ctx, folder) == NEO_OK && write_file(symbol, data, json) &&
      write_file(params, data + json + (end != NULL), size - json - (end != NULL)) &&
      neo_import(&ctx, symbol, &options, &graph) == NEO_OK) {
    neo_assert(neo_graph_check(&ctx, graph) == NEO_OK);
    if (neo_pass_bind(&ctx, graph, 0, NULL) == NEO_OK && neo_pass_infer(&ctx, graph) == NEO_OK)
      neo_assert(neo_graph_check(&ctx, graph) == NEO_OK);
    neo_graph_destroy(graph);
  }
  neo_dir_remove(&ctx, folder);
  return 0;
}
