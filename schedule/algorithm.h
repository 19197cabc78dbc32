/* schedule/algorithm.h: te -> te rewrites, the first instruction of every schedule line.
 *
 * An algorithm is one row of schedule/algorithms.def and one file algorithm_NAME.c that defines
 * `const neo_algorithm neo_algorithm_NAME`. Its text in a line is "NAME k=v k=v", values integers.
 *
 * Numbering. A rewrite keeps every IN, CONST and OUT buffer's number (a constant that it transforms
 * keeps its number and gets a new shape; its values come from a pack te) and appends new TMP and
 * CONST buffers, so that boundary layouts mean the same before and after. Blocks are renumbered
 * freely. */
#ifndef NEO_SCHEDULE_ALGORITHM_H
#define NEO_SCHEDULE_ALGORITHM_H

#include "schedule/schedule.h"

typedef struct neo_algorithm {
  const char *name;
  const char *about;        /* one line for `neo inspect --space` */
  neo_accuracy error_class; /* least accuracy setting that admits it */
  /* Rewrites te into *out (whose arena is `arena`). `text` is the whole "NAME k=v ...".
   * NEO_BAD_INPUT if the algorithm does not apply or a parameter is wrong. Adds to `packing` (never
   * NULL here; n == 0 and pack == NULL on entry: allocate it) an entry with has_te for each
   * constant it transforms. */
  neo_status (*rewrite)(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                        neo_te *out, neo_packing *packing);
  /* The error class of this text's parameters; NULL: error_class whatever they are. */
  neo_accuracy (*accuracy)(const char *text);
} neo_algorithm;

/* What --accuracy a schedule of this algorithm needs; an unknown one needs the loosest. */
neo_accuracy neo_algorithm_accuracy(const char *alg);

/* Puts copies in front of reads of reductions: those with guards (algorithm pad); or all of those
 * that are factors of a product, constants, too (algorithm stage). */
neo_status neo_algorithm_copy_reads(neo_ctx *ctx, const neo_te *te, bool stage, neo_arena *arena,
                                    neo_te *out);

/* The row called by the first word of `alg`; NULL if there is none. */
const neo_algorithm *neo_algorithm_find(const char *alg);
int neo_algorithm_count(void);
const neo_algorithm *neo_algorithm_get(int row);
/* Value of "key=" in the text; false if absent or not an integer. */
bool neo_algorithm_param(const char *text, const char *key, int64_t *out);

/* Applies the named algorithm. packing (may be NULL) receives the transformed constants only
 * (has_te); identity entries and layouts are neo_schedule_packing's business. */
neo_status neo_algorithm_rewrite(neo_ctx *ctx, const neo_te *te, const char *alg, neo_arena *arena,
                                 neo_te *out, neo_packing *packing);

#endif
