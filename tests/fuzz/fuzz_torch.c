/* Fuzz target: PyTorch files. Input that begins as a zip or a legacy state dict is imported as
 * it is; a pickle or a text is put into a small TorchScript archive as data.pkl or as the code, so
 * that the fuzzer need not make zips. */
#include "tests/fuzz/fuzz_model.h"

#include "tests/frontends/torch_build.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_binding binding = {.name = "x", .shape = {2, {2, 3}}};
  char path[64];
  zip_build z = {0};
  if (size < 4)
    return 0;
  bool whole = memcmp(data, "PK", 2) == 0 || (data[0] == 0x80 && data[2] == 0x8a);
  if (!whole)
    archive_of(&z, data, size);
  int fd =
      whole ? fuzz_file(data, size, path) : fuzz_file((uint8_t *)z.body.data, z.body.size, path);
  if (fd >= 0) {
    fuzz_import(path, &binding, 1);
    close(fd);
  }
  zip_fini(&z);
  return 0;
}
