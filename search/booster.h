/* search/booster.h: inside search/ only: XGBoost's C interface as the cost models need it. One
 * thread at a time; everything is deterministic. */
#ifndef NEO_SEARCH_BOOSTER_H
#define NEO_SEARCH_BOOSTER_H

#include "search/search.h"

typedef struct neo_booster neo_booster;

typedef struct neo_booster_rows {
  int n;
  const float *features; /* n x NEO_FEATURES, finite */
  const float *label, *weight;
} neo_booster_rows;

/* Without trees: predicts 0. */
neo_status neo_booster_create(neo_ctx *ctx, neo_booster **out);
void neo_booster_destroy(neo_booster *booster);
/* `rounds` more trees. */
neo_status neo_booster_grow(neo_ctx *ctx, neo_booster *booster, const neo_booster_rows *rows,
                            int rounds);
int neo_booster_trees(const neo_booster *booster);
/* *out: n values, the booster's until it is used again. features: finite. */
neo_status neo_booster_predict(neo_ctx *ctx, neo_booster *booster, int n, const float *features,
                               const float **out);
/* Appends XGBoost's own JSON model. */
neo_status neo_booster_print(neo_ctx *ctx, neo_booster *booster, neo_buf *out);

#endif
