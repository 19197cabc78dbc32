/* Fuzz target: te texts. Whatever is accepted must print, parse again to the same text,
 * canonicalise and keep its meaning in text. */
#include "ir/te.h"
#include "tests/fuzz/fuzz_target.h"

static void check_round_trip(neo_ctx *ctx, neo_arena *arena, neo_te *te) {
  neo_te *again = neo_arena_alloc(arena, sizeof *again);
  neo_buf first = {0}, second = {0};
  neo_te_print(&first, te);
  neo_assert(neo_te_parse(ctx, arena, first.data, again) == NEO_OK);
  neo_te_print(&second, again);
  neo_assert(strcmp(first.data, second.data) == 0);
  neo_buf_fini(&first);
  neo_buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_arena arena;
  char *text = fuzz_text(data, size);
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  neo_te *te = neo_arena_alloc(&arena, sizeof *te);
  if (neo_te_parse(&ctx, &arena, text, te) == NEO_OK) {
    check_round_trip(&ctx, &arena, te);
    neo_assert(neo_te_canonicalise(&ctx, te, NULL) == NEO_OK);
    check_round_trip(&ctx, &arena, te);
  } else {
    neo_assert(ctx.message[0] != 0);
  }
  neo_arena_fini(&arena);
  free(text);
  return 0;
}
