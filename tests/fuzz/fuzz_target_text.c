/* Fuzz target: canonical texts of targets. What is accepted must print and parse back. */
#include "target/target.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_target target, again;
  char *text = fuzz_text(data, size);
  neo_ctx_init(&ctx, 1);
  if (neo_target_parse(&ctx, text, &target) == NEO_OK) {
    neo_buf first = {0}, second = {0};
    neo_target_print(&first, &target);
    neo_assert(first.size < NEO_TARGET_TEXT);
    neo_assert(neo_target_parse(&ctx, first.data, &again) == NEO_OK);
    neo_target_print(&second, &again);
    neo_assert(strcmp(first.data, second.data) == 0);
    neo_buf_fini(&first);
    neo_buf_fini(&second);
  }
  free(text);
  return 0;
}
