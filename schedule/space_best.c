/* The analytic model over a space: prediction of one candidate and the model's best ones.
 *
 * Why: the best by the model is the schedule that is used with an empty database.
 * How: coordinate descent over whole domains, from a few starts per sketch: the smallest candidate,
 * two with register tiles near the ceiling, and seeded samples. All candidates on the way compete
 * for the list. Deterministic: ties keep the one found first. */
#include "schedule/analytic.h"

#include <math.h>
#include <string.h>

#define MAX_BEST 256
#define SAMPLED_STARTS 3
#define MAX_SWEEPS 6

typedef struct ranking {
  const neo_space *space;
  int n, most;
  double ns[MAX_BEST];
  neo_candidate *out;
} ranking;

double neo_space_predict(const neo_space *space, const neo_candidate *candidate) {
  neo_schedule line;
  neo_cost cost;
  neo_space_schedule(space, candidate, &line);
  const neo_sketch *sketch = space->sketch[candidate->sketch];
  neo_cost_find(space->variant[sketch->variant], &space->target, space->options.threads, &line,
                &cost);
  return cost.ns;
}

static bool same(const neo_candidate *a, const neo_candidate *b) {
  return a->sketch == b->sketch &&
         memcmp(a->decision, b->decision, sizeof(a->decision[0]) * (size_t)a->n) == 0;
}

static double consider(ranking *r, const neo_candidate *c) {
  double ns = neo_space_predict(r->space, c);
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
    double cost = consider(r, &made);
    if (cost < *ns) {
      *ns = cost;
      best = made;
      better = true;
    }
  }
  *c = best;
  return better;
}

static void descend(ranking *r, neo_candidate c) {
  const neo_sketch *sketch = r->space->sketch[c.sketch];
  double ns = consider(r, &c);
  bool better = true;
  for (int sweep = 0; better && sweep < MAX_SWEEPS; sweep++) {
    better = false;
    for (int d = 0; d < sketch->n_decisions; d++)
      better = improve(r, sketch, d, &c, &ns) || better;
  }
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

int neo_space_analytic(const neo_space *space, int n, neo_candidate *out) {
  ranking r = {.space = space, .most = n < MAX_BEST ? n : MAX_BEST, .out = out};
  neo_rng rng;
  neo_rng_init(&rng, 20);
  for (int s = 0; s < space->n_sketches; s++)
    for (int k = 0; k < 2 + SAMPLED_STARTS; k++)
      descend(&r, start(space, s, k, &rng));
  return r.n;
}
