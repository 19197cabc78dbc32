/* Algorithm "stage": the factors of summed products go through copies.
 *
 * Why: on a GPU the work-items of a group read the same rows and columns; a copy that they make
 * together in the memory that they share is read from there many times (lower_shared.c). The copy
 * holds padding, too, so that the reads are unguarded. As in algorithm pad, which makes the copies.
 */
#include "schedule/algorithm.h"

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                          neo_te *out, neo_packing *packing) {
  (void)text;
  (void)packing;
  return neo_algorithm_copy_reads(ctx, te, true, arena, out);
}

const neo_algorithm neo_algorithm_stage = {"stage", "factors of summed products go through copies",
                                           NEO_ACCURACY_EXACT, rewrite};
