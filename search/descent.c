/* Coordinate descent (TVM's Droplet): the neighbours of the best, best bets first.
 *
 * Why: in a good space the analytic start is within 5 % of the best, and one-step changes find most
 * of the rest in fewer trials than anything global (5 trials to 95 %, 22 to 98 %).
 *
 * Design: stateless. The centre is the fastest measured candidate that still has unseen neighbours;
 * as soon as a neighbour is faster it becomes the centre by being the fastest. When the
 * neighbourhoods of the CENTRES fastest are used up, it restarts from the best-scored of a few
 * random samples. */
#include "search/strategy.h"

enum { CENTRES = 8, RESTART = 256 };

static void add_neighbours(neo_search *search, neo_pool *pool, const neo_candidate *centre) {
  neo_candidate next;
  for (int k = 0; neo_space_neighbour(neo_search_space(search), centre, k, &next); k++)
    if (!neo_search_seen(search, &next))
      neo_pool_add(pool, &next);
}

static void add_samples(neo_search *search, neo_pool *pool, int n) {
  for (int i = 0; i < n; i++) {
    neo_candidate next;
    neo_space_sample(neo_search_space(search), neo_search_rng(search), &next);
    if (!neo_search_seen(search, &next))
      neo_pool_add(pool, &next);
  }
}

static int propose(neo_search *search, int n, neo_candidate *out) {
  neo_pool *pool = neo_search_pool(search);
  int n_elites;
  const neo_elite *elite = neo_search_elites(search, &n_elites);
  neo_pool_clear(pool);
  for (int i = 0; i < n_elites && i < CENTRES && pool->n < n; i++)
    add_neighbours(search, pool, &elite[i].candidate);
  if (pool->n < n)
    add_samples(search, pool, RESTART);
  neo_search_score(search, pool->n, pool->candidate, pool->score);
  neo_pool_rank(pool);
  int count = pool->n < n ? pool->n : n;
  for (int i = 0; i < count; i++)
    out[i] = pool->candidate[pool->order[i]];
  return count;
}

const neo_strategy neo_strategy_descent = {.name = "descent", .propose = propose};
