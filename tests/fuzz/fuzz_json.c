/* Fuzz target: JSON inputs. What is accepted must print canonically and parse back to the same. */
#include "base/host.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  json_t *json = NULL, *again = NULL;
  neo_ctx_init(&ctx, 1);
  if (neo_json_parse(&ctx, "input", (const char *)data, size, &json) == NEO_OK) {
    neo_buf text = {0};
    neo_json_print(&text, json, false);
    neo_assert(neo_json_parse(&ctx, "again", text.data, text.size, &again) == NEO_OK);
    neo_assert(json_equal(json, again));
    neo_buf_fini(&text);
  } else {
    neo_assert(ctx.message[0] != '\0');
  }
  json_decref(json);
  json_decref(again);
  return 0;
}
