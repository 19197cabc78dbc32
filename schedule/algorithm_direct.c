/* Algorithm "direct": the te as it is.
 *
 * Why: the row that always applies and that the naive schedule uses. */
#include "schedule/algorithm.h"

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                          neo_te *out, neo_packing *packing) {
  (void)ctx;
  (void)text;
  (void)packing;
  neo_te_copy(out, arena, te);
  return NEO_OK;
}

const neo_algorithm neo_algorithm_direct = {"direct", "direct summation, padding as guards",
                                            NEO_ACCURACY_EXACT, rewrite};
