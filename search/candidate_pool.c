/* Pools of distinct candidates with scores, and the identity of candidates.
 *
 * Why: strategies make thousands of candidates a round, most of them twice; a pool keeps each once
 * and ranks them the same way on every machine: by score, then by the candidates themselves. */
#include <stdlib.h>
#include <string.h>

#include "search/strategy.h"

int neo_candidate_compare(const neo_candidate *a, const neo_candidate *b) {
  if (a->sketch != b->sketch)
    return a->sketch < b->sketch ? -1 : 1;
  if (a->n != b->n)
    return a->n < b->n ? -1 : 1;
  for (int i = 0; i < a->n; i++)
    if (a->decision[i] != b->decision[i])
      return a->decision[i] < b->decision[i] ? -1 : 1;
  return 0;
}

/* Never 0, which marks free slots. */
uint64_t neo_candidate_hash(const neo_candidate *candidate) {
  size_t size = offsetof(neo_candidate, decision) + (size_t)candidate->n * sizeof(int16_t);
  uint64_t hash = neo_hash64(candidate, size);
  return hash ? hash : 1;
}

void neo_pool_clear(neo_pool *pool) {
  pool->n = 0;
  memset(pool->table, 0, sizeof(pool->table));
}

bool neo_pool_add(neo_pool *pool, const neo_candidate *candidate) {
  if (pool->n == NEO_POOL_MAX)
    return false;
  uint64_t hash = neo_candidate_hash(candidate);
  size_t slot = hash % (size_t)NEO_COUNT(pool->table);
  while (pool->table[slot]) {
    if (pool->table[slot] == hash)
      return false;
    slot = (slot + 1) % (size_t)NEO_COUNT(pool->table);
  }
  pool->table[slot] = hash;
  pool->candidate[pool->n++] = *candidate;
  return true;
}

typedef struct ranked {
  double score;
  int index;
  const neo_candidate *candidate;
} ranked;

static int compare_ranked(const void *a, const void *b) {
  const ranked *x = a, *y = b;
  if (x->score != y->score)
    return x->score < y->score ? -1 : 1;
  return neo_candidate_compare(x->candidate, y->candidate);
}

void neo_pool_rank(neo_pool *pool) {
  ranked list[NEO_POOL_MAX];
  for (int i = 0; i < pool->n; i++)
    list[i] = (ranked){pool->score[i], i, &pool->candidate[i]};
  qsort(list, (size_t)pool->n, sizeof(list[0]), compare_ranked);
  for (int i = 0; i < pool->n; i++)
    pool->order[i] = list[i].index;
}
