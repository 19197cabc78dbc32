/* The analytic model over a space: prediction of one candidate and the model's best ones.
 *
 * Why: the best by the model is the schedule that is used with an empty database.
 * How: coordinate descent over whole domains, first from one start per sketch with a large register
 * tile; sketches that come near the best get more starts: the smallest candidate and seeded
 * samples. All candidates on the way compete for the list. Deterministic: ties keep the one found
 * first. */
#include "schedule/analytic.h"

#include <math.h>
#include <string.h>

#define MAX_BEST 256
#define SAMPLED_STARTS 5
#define MAX_SWEEPS 6
#define HOPELESS 1.5 /* times the best: a sketch gets no further starts */

typedef struct ranking {
  const neo_space *space;
  bool counts;
  int n, most;
  double ns[MAX_BEST];
  neo_candidate *out;
} ranking;

static double predict(const neo_space *space, const neo_candidate *candidate, bool counts,
                      double limit) {
  neo_schedule line;
  neo_cost cost;
  neo_cost_options options = {&space->target, space->options.threads, counts, counts ? 0 : limit};
  neo_space_schedule(space, candidate, &line);
  neo_cost_find(space->variant[space->sketch[candidate->sketch]->variant], &line, &options, &cost);
  return counts ? cost.instructions + space->options.counting.miss * cost.lines : cost.ns;
}

double neo_space_predict(const neo_space *space, const neo_candidate *candidate) {
  return predict(space, candidate, space->options.counting.on, 0);
}

static bool same(const neo_candidate *a, const neo_candidate *b) {
  return a->sketch == b->sketch &&
         memcmp(a->decision, b->decision, sizeof(a->decision[0]) * (size_t)a->n) == 0;
}

/* Above `limit` (and worse than the whole list) the result is only some number above it. */
static double consider(ranking *r, const neo_candidate *c, double limit) {
  limit = r->n == r->most ? fmax(limit, r->ns[r->n - 1]) : 0;
  double ns = predict(r->space, c, r->counts, limit);
  if (r->n == r->most && ns >= r->ns[r->n - 1])
    return ns;
  for (int i = 0; i < r->n; i++)
    if (r->ns[i] == ns && same(&r->out[i], c))
      return ns;
  int at = r->n < r->most ? r->n++ : r->n - 1;
  for (; at > 0 && r->ns[at - 1] > ns; at--) {
    r->ns[at] = r->ns[at - 1];
    r->out[at] = r->out[at - 1];
  }
  r->ns[at] = ns;
  r->out[at] = *c;
  return ns;
}

/* Tries every value of one decision, then repair; keeps the best. */
static bool improve(ranking *r, const neo_sketch *sketch, int d, neo_candidate *c, double *ns) {
  bool better = false;
  neo_candidate best = *c;
  for (int i = 0; i < sketch->decision[d].n; i++) {
    neo_candidate made = *c;
    made.decision[d] = (int16_t)i;
    neo_sketch_repair(sketch, &r->space->target, &made);
    if (same(&made, c))
      continue;
    double cost = consider(r, &made, *ns);
    if (cost < *ns) {
      *ns = cost;
      best = made;
      better = true;
    }
  }
  *c = best;
  return better;
}

/* Returns the best time on the way. */
static double descend(ranking *r, neo_candidate c) {
  const neo_sketch *sketch = r->space->sketch[c.sketch];
  double ns = consider(r, &c, INFINITY);
  bool better = true;
  for (int sweep = 0; better && sweep < MAX_SWEEPS; sweep++) {
    better = false;
    for (int d = 0; d < sketch->n_decisions; d++)
      better = improve(r, sketch, d, &c, &ns) || better;
  }
  return ns;
}

/* A start whose k-th decision group is large: repair cuts it down to a legal register tile. */
static neo_candidate start(const neo_space *space, int number, int k, neo_rng *rng) {
  const neo_sketch *sketch = space->sketch[number];
  neo_candidate c;
  memset(&c, 0, sizeof(c));
  c.sketch = (int16_t)number;
  c.n = (int16_t)sketch->n_decisions;
  for (int d = 0; d < sketch->n_decisions; d++) {
    int n = sketch->decision[d].n;
    if (k > 1)
      c.decision[d] = (int16_t)neo_rng_below(rng, (uint64_t)n);
    else if (k == 1)
      c.decision[d] = (int16_t)(d == 0 ? (n > 1 ? 1 : 0) : sketch->decision[d].choice ? 0 : n / 2);
  }
  neo_sketch_repair(sketch, &space->target, &c);
  return c;
}

static int find_best(const neo_space *space, bool counts, int n, neo_candidate *out) {
  ranking r = {.space = space, .counts = counts, .most = n < MAX_BEST ? n : MAX_BEST, .out = out};
  neo_rng rng;
  neo_rng_init(&rng, 20);
  double best[NEO_MAX_SKETCHES], least = INFINITY;
  for (int s = 0; s < space->n_sketches; s++) {
    best[s] = descend(&r, start(space, s, 1, &rng));
    least = fmin(least, best[s]);
  }
  for (int s = 0; s < space->n_sketches; s++)
    for (int k = 0; k < 2 + SAMPLED_STARTS; k++)
      if (k != 1 && best[s] <= least * HOPELESS)
        descend(&r, start(space, s, k, &rng));
  return r.n;
}

int neo_space_analytic(const neo_space *space, int n, neo_candidate *out) {
  if (!space->options.counting.on)
    return find_best(space, false, n, out);
  neo_candidate pick;
  int count = find_best(space, true, n, out), at = 0;
  find_best(space, false, 1, &pick);
  while (at < count && !same(&out[at], &pick))
    at++;
  if (at == count && count < n)
    count++;
  at = at < count ? at : count - 1;
  memmove(out + 1, out, sizeof *out * (size_t)at);
  out[0] = pick;
  return count;
}
