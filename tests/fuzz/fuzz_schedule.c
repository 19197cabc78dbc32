/* libFuzzer target: schedule lines. What parses must print canonically and parse back to the same.
 */
#include "schedule/schedule.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static neo_schedule first, second;
  char text[4096];
  if (size >= sizeof(text))
    return 0;
  memcpy(text, data, size);
  text[size] = '\0';
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  if (neo_schedule_parse(&ctx, text, &first) != NEO_OK)
    return 0;
  neo_buf buf = {0};
  neo_schedule_print(&buf, &first);
  neo_assert(neo_schedule_parse(&ctx, buf.data, &second) == NEO_OK);
  neo_assert(memcmp(&first, &second, sizeof(first)) == 0);
  neo_buf_fini(&buf);
  return 0;
}
