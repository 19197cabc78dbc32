/* Fuzz target: the values of --input. */
#include "cli/commands.h"
#include "tests/fuzz/fuzz_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_arena arena;
  char *text = fuzz_text(data, size);
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  cli_inputs *inputs = neo_arena_alloc(&arena, sizeof *inputs);
  neo_status status = NEO_OK;
  char *at = text;
  for (char *line = text; line && status == NEO_OK && inputs->n_bindings < CLI_MAX_VALUES;
       line = at) {
    at = strchr(line, '\n');
    if (at)
      *at++ = '\0';
    status = cli_binding(&ctx, &arena, line, inputs, &inputs->binding[inputs->n_bindings]);
    inputs->n_bindings += status == NEO_OK;
  }
  neo_assert(status == NEO_OK || (status == NEO_USAGE && ctx.message[0]));
  cli_largest_inputs(inputs);
  neo_arena_fini(&arena);
  free(text);
  return 0;
}
