/* Evolutionary search on the cost model (Ansor, MetaSchedule), with the neighbours of the best
 * thrown in.
 *
 * Why: the model ranks a thousand drafts in the time of one measurement, so the population evolves
 * against the model, and only the best drafts are measured.
 *
 * A round:
 *   1. population: the fastest measured (up to a third), the neighbours of the three fastest (what
 * coordinate descent would try: the best bets late in a search), the rest fresh samples;
 *   2. GENERATIONS times: parents by tournament on the score, children by mutation or crossing, all
 * added to the pool, the pool scored;
 *   3. the n best-scored unseen members of the pool; after LATE trials at least half of them are
 *      neighbours of the best: the model, trained on few samples, is a poor judge of the last
 * percents.
 */
#include <string.h>

#include "search/strategy.h"

enum {
  POPULATION = 320,
  ELITES = 96,
  CENTRES = 3,
  NEIGHBOURS = 256, /* at most, of all centres */
  GENERATIONS = 4,
  CHILDREN = 224,
  TOURNAMENT = 4,
  CROSS_PERCENT = 15,
  LATE = 48 /* trials after which half of a round are neighbours of the best */
};

/* Members pool->candidate[from..to): the neighbours of the best. */
typedef struct range {
  int from, to;
} range;

static range first_generation(neo_search *search, neo_pool *pool) {
  const neo_space *space = neo_search_space(search);
  int n_elites;
  const neo_elite *elite = neo_search_elites(search, &n_elites);
  neo_candidate next;
  for (int i = 0; i < n_elites && i < ELITES; i++)
    neo_pool_add(pool, &elite[i].candidate);
  range neighbours = {pool->n, pool->n};
  for (int i = 0; i < n_elites && i < CENTRES; i++)
    for (int k = 0;
         k < NEIGHBOURS / CENTRES && neo_space_neighbour(space, &elite[i].candidate, k, &next); k++)
      neo_pool_add(pool, &next);
  neighbours.to = pool->n;
  for (int tries = 0; pool->n < POPULATION && tries < 2 * POPULATION; tries++) {
    neo_space_sample(space, neo_search_rng(search), &next);
    neo_pool_add(pool, &next);
  }
  return neighbours;
}

/* The best-scored of a few random members. */
static const neo_candidate *select_parent(neo_rng *rng, const neo_pool *pool, int n) {
  int best = (int)neo_rng_below(rng, (uint64_t)n);
  for (int i = 1; i < TOURNAMENT; i++) {
    int other = (int)neo_rng_below(rng, (uint64_t)n);
    if (pool->score[other] < pool->score[best])
      best = other;
  }
  return &pool->candidate[best];
}

static void next_generation(neo_search *search, neo_pool *pool) {
  const neo_space *space = neo_search_space(search);
  neo_rng *rng = neo_search_rng(search);
  int parents = pool->n;
  for (int i = 0; i < CHILDREN; i++) {
    neo_candidate child;
    const neo_candidate *a = select_parent(rng, pool, parents);
    if (neo_rng_below(rng, 100) < CROSS_PERCENT)
      neo_space_cross(space, rng, a, select_parent(rng, pool, parents), &child);
    else
      neo_space_mutate(space, rng, a, &child);
    neo_pool_add(pool, &child);
  }
  neo_search_score(search, pool->n - parents, pool->candidate + parents, pool->score + parents);
}

/* Marks up to n of the best-scored unseen members (of the range only, if given) in take. */
static int choose(const neo_search *search, const neo_pool *pool, const range *only, int n,
                  bool *take) {
  int count = 0;
  for (int i = 0; i < pool->n && count < n; i++) {
    int k = pool->order[i];
    bool outside = only && (k < only->from || k >= only->to);
    if (take[k] || outside || neo_search_seen(search, &pool->candidate[k]))
      continue;
    take[k] = true;
    count++;
  }
  return count;
}

static int propose(neo_search *search, int n, neo_candidate *out) {
  neo_pool *pool = neo_search_pool(search);
  neo_pool_clear(pool);
  range neighbours = first_generation(search, pool);
  neo_search_score(search, pool->n, pool->candidate, pool->score);
  for (int i = 0; pool->n > 0 && i < GENERATIONS; i++)
    next_generation(search, pool);
  neo_pool_rank(pool);
  bool take[NEO_POOL_MAX] = {false};
  int told = neo_search_told(search);
  int near = told < LATE ? 0 : choose(search, pool, &neighbours, n / 2, take);
  choose(search, pool, NULL, n - near, take);
  int count = 0;
  for (int i = 0; i < pool->n; i++)
    if (take[pool->order[i]])
      out[count++] = pool->candidate[pool->order[i]];
  return count;
}

const neo_strategy neo_strategy_evolve = {.name = "evolve", .propose = propose};
