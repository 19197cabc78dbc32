/* Fuzz target: .npy files. What is read has the bytes that its type and shape say. */
#include "ir/tensor.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char path[64];
  int fd = fuzz_file(data, size, path);
  neo_ctx ctx;
  neo_tensor tensor;
  neo_ctx_init(&ctx, 1);
  if (fd >= 0 && neo_npy_read(&ctx, path, &tensor) == NEO_OK) {
    int64_t n = 0;
    neo_assert(neo_shape_elements(&tensor.shape, &n));
    neo_assert(tensor.size == (size_t)n * neo_dtype_size(tensor.dtype));
    neo_tensor_free(&ctx, &tensor);
  }
  if (fd >= 0)
    close(fd);
  return 0;
}
