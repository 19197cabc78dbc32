/* tests/fuzz/fuzz_te.c: libFuzzer target of the te parser. Whatever is accepted must print, parse
 * again to the same text, canonicalise and keep its meaning in text.
 *
 * Build: clang -fsanitize=fuzzer,address -I. tests/fuzz/fuzz_te.c ir/ and base/ sources; run it on
 * tests/data/fuzz/te. tests/ir/test_fuzz_te.c replays that corpus as an ordinary test. */
#include "ir/te.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok) {
  if (!ok)
    abort();
}

static void check_round_trip(neo_ctx *ctx, neo_arena *arena, neo_te *te) {
  neo_te *again = neo_arena_alloc(arena, sizeof *again);
  neo_buf first = {0}, second = {0};
  neo_te_print(&first, te);
  must(neo_te_parse(ctx, arena, first.data, again) == NEO_OK);
  neo_te_print(&second, again);
  must(strcmp(first.data, second.data) == 0);
  neo_buf_fini(&first);
  neo_buf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  neo_ctx ctx;
  neo_arena arena;
  if (size > 65536)
    return 0;
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  char *text = neo_arena_strndup(&arena, (const char *)data, size);
  neo_te *te = neo_arena_alloc(&arena, sizeof *te);
  if (neo_te_parse(&ctx, &arena, text, te) == NEO_OK) {
    check_round_trip(&ctx, &arena, te);
    must(neo_te_canonicalise(&ctx, te, NULL) == NEO_OK);
    check_round_trip(&ctx, &arena, te);
  } else {
    must(ctx.message[0] != 0);
  }
  neo_arena_fini(&arena);
  return 0;
}
