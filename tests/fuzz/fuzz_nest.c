/* libFuzzer target: nest texts. What the checker accepts must print and parse back to the same
 * text, and the interpreter must find every access in bounds. */
#include "schedule/nest.h"
#include "tests/fuzz/fuzz_target.h"

#define MAX_BYTES (1 << 20)

/* Small nests only: a hostile text may ask for 2^40 iterations. */
static bool is_small(const neo_nest *nest) {
  double grid = 0;
  int64_t bytes = nest->work_bytes + nest->scratch_bytes;
  for (int i = 0; i < nest->n_launches; i++)
    grid += (double)nest->launch[i].grid;
  for (int i = 0; i < nest->n_buffers; i++)
    bytes += nest->buffer[i].elements * 8;
  return grid < 100 && bytes < MAX_BYTES && nest->bytes < MAX_BYTES && nest->flops < 10000;
}

static int64_t iterations(const neo_stmt *list) {
  int64_t n = 0, extent;
  for (; list; list = list->next) {
    int64_t times = 1, inside = 1;
    if (list->kind == NEO_STMT_FOR) {
      times = neo_expr_is_const(list->u.loop.extent, &extent) ? extent : 1000;
      inside = iterations(list->u.loop.body);
    } else if (list->kind == NEO_STMT_LET) {
      inside = iterations(list->u.let.body);
    } else if (list->kind == NEO_STMT_IF) {
      inside = iterations(list->u.branch.then) + iterations(list->u.branch.otherwise);
    }
    if (times > 100000 || inside > 100000 || n > 100000)
      return 1000000;
    n += times * inside;
  }
  return n;
}

static void interpret(neo_ctx *ctx, neo_arena *arena, const neo_nest *nest) {
  void *params[NEO_NEST_MAX_BUFFERS];
  for (int i = 0; i < nest->n_launches; i++)
    if (iterations(nest->launch[i].body) > 2000)
      return;
  for (int i = 0; i < nest->n_params; i++)
    params[i] = neo_arena_alloc(arena, (size_t)nest->buffer[i].elements * 8);
  neo_status status = neo_nest_interpret(ctx, nest, params);
  neo_assert(status != NEO_INTERNAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size > 65536)
    return 0;
  neo_ctx ctx;
  neo_arena arena;
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  char *text = neo_arena_strndup(&arena, (const char *)data, size);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  if (neo_nest_parse(&ctx, &arena, text, nest) == NEO_OK) {
    neo_buf first = {0}, second = {0};
    neo_nest_print(&first, nest);
    neo_nest *again = neo_arena_alloc(&arena, sizeof(*again));
    neo_assert(neo_nest_parse(&ctx, &arena, first.data, again) == NEO_OK);
    neo_nest_print(&second, again);
    neo_assert(strcmp(first.data, second.data) == 0);
    if (is_small(nest))
      interpret(&ctx, &arena, nest);
    neo_buf_fini(&first);
    neo_buf_fini(&second);
  }
  neo_arena_fini(&arena);
  return 0;
}
