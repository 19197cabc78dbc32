/* libFuzzer target: PyTorch files. Input that begins as a zip or a legacy state dict is imported as
 * it is; a pickle or a text is put into a small TorchScript archive as data.pkl or as the code, so
 * that the fuzzer need not make zips. What is read must be a sound graph. Nothing may crash, leak
 * or take memory out of proportion. */
#include "base/host.h"
#include "frontends/frontends.h"
#include "tests/frontends/torch_build.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void archive_of(zip_build *z, const uint8_t *data, size_t size) {
  static const char code[] =
      "class M(Module):\n  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n"
      "    return torch.add(x, self.w)\n";
  static const float weights[6] = {1, 2, 3, 4, 5, 6};
  neo_buf pickle = {0};
  bool is_pickle = data[0] == 0x80;
  pickle_module(&pickle, 0);
  zip_add(z, "m/data.pkl", is_pickle ? (const void *)data : pickle.data,
          is_pickle ? size : pickle.size);
  zip_add(z, "m/code/__torch__.py", is_pickle ? (const void *)code : data,
          is_pickle ? sizeof code - 1 : size);
  zip_add(z, "m/data/0", weights, sizeof weights);
  zip_end(z);
  neo_buf_fini(&pickle);
}

static void import(const char *path) {
  neo_ctx ctx;
  neo_graph *graph = NULL;
  neo_binding binding = {.name = "x", .shape = {2, {2, 3}}};
  neo_import_options options = {.n_bindings = 1, .binding = &binding, .max_model_bytes = 64 << 20};
  neo_ctx_init(&ctx, 1);
  if (neo_import(&ctx, path, &options, &graph) == NEO_OK) {
    neo_assert(neo_graph_check(&ctx, graph) == NEO_OK);
    neo_graph_destroy(graph);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static char path[64];
  zip_build z = {0};
  if (size < 4)
    return 0;
  if (!path[0])
    snprintf(path, sizeof path, "/tmp/neo-fuzz-%d.pt", (int)getpid());
  bool whole = memcmp(data, "PK", 2) == 0 || (data[0] == 0x80 && data[2] == 0x8a);
  if (!whole)
    archive_of(&z, data, size);
  FILE *file = fopen(path, "wb");
  if (file) {
    bool written =
        fwrite(whole ? (const void *)data : z.body.data, 1, whole ? size : z.body.size, file) > 0;
    fclose(file);
    if (written)
      import(path);
    unlink(path);
  }
  zip_fini(&z);
  return 0;
}
