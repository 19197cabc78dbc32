/* search/strategy.h: inside search/ only: what a strategy implements and what it sees of its
 * search. */
#ifndef NEO_SEARCH_STRATEGY_H
#define NEO_SEARCH_STRATEGY_H

#include "search/search.h"

typedef struct neo_strategy {
  const char *name;
  /* Puts up to n fresh candidates into out, best bets first; returns how many. Fresh: not
   * neo_search_seen, and not twice in out. State lives in neo_search (below), so that there is
   * nothing to make or free. */
  int (*propose)(neo_search *search, int n, neo_candidate *out);
} neo_strategy;

#define X(strategy) extern const neo_strategy strategy;
#include "search/strategies.def"
#undef X

enum { NEO_SEARCH_ELITES = 128 };

/* A measured candidate; the search keeps the fastest NEO_SEARCH_ELITES, fastest first. */
typedef struct neo_elite {
  neo_candidate candidate;
  double ns;
} neo_elite;

typedef struct neo_pool neo_pool;

const neo_space *neo_search_space(const neo_search *search);
neo_rng *neo_search_rng(neo_search *search);
const neo_elite *neo_search_elites(const neo_search *search, int *out_n);
/* Trials told so far. */
int neo_search_told(const neo_search *search);
/* Proposed, measured, or seeded as measured before. */
bool neo_search_seen(const neo_search *search, const neo_candidate *candidate);
/* Estimates of log(ns): the model's, or the analytic prediction's without one. */
void neo_search_score(neo_search *search, int n, const neo_candidate *candidate, double *out);
/* Scratch that strategies fill and rank; as new for every call of propose. */
neo_pool *neo_search_pool(neo_search *search);

/* ---- identity of candidates ------------------------------------------------------------------------ */

/* Total order: by sketch, then decisions: "canonically smallest" where times tie. */
int neo_candidate_compare(const neo_candidate *a, const neo_candidate *b);
uint64_t neo_candidate_hash(const neo_candidate *candidate);

/* ---- a pool: distinct candidates with scores, bounded ------------------------------------------------ */

enum { NEO_POOL_MAX = 2048 };

struct neo_pool {
  int n;
  neo_candidate candidate[NEO_POOL_MAX];
  double score[NEO_POOL_MAX];
  int order[NEO_POOL_MAX];
  uint64_t table[2 * NEO_POOL_MAX]; /* hashes of the members; 0: free */
};

void neo_pool_clear(neo_pool *pool);
/* False if it is there already or the pool is full. */
bool neo_pool_add(neo_pool *pool, const neo_candidate *candidate);
/* Fills order[0..n) by score, ties by neo_candidate_compare. */
void neo_pool_rank(neo_pool *pool);

#endif
