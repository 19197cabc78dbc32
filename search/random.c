/* Random search: uniform samples. The yardstick for the other strategies, and unbeatable when the
 * model knows nothing. */
#include "search/strategy.h"

static int propose(neo_search *search, int n, neo_candidate *out) {
  neo_pool *pool = neo_search_pool(search);
  neo_pool_clear(pool);
  for (int tries = 0; pool->n < n && pool->n < NEO_POOL_MAX && tries < 64 * n; tries++) {
    neo_candidate candidate;
    neo_space_sample(neo_search_space(search), neo_search_rng(search), &candidate);
    if (!neo_search_seen(search, &candidate))
      neo_pool_add(pool, &candidate);
  }
  for (int i = 0; i < pool->n; i++)
    out[i] = pool->candidate[i];
  return pool->n;
}

const neo_strategy neo_strategy_random = {.name = "random", .propose = propose};
