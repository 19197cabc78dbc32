/* Moving inside a schedule space: limits, repair, sampling, mutation, crossover, neighbours.
 *
 * Why: search must never waste a trial on a candidate that does not build.
 * How: a candidate is canonical when every limit holds. Each move changes decisions freely and then
 * repairs: the limit that fails lowers its giving decision by one until it holds. Index 0 of every
 * domain keeps all limits, and repair only lowers, so it ends. */
#include "schedule/sketch.h"

#include <string.h>

#define TRIES 24

int32_t neo_sketch_value(const neo_sketch *sketch, const neo_candidate *c, int decision) {
  return decision < 0 ? 1 : sketch->decision[decision].value[c->decision[decision]];
}

static int64_t product_from(const neo_limit *limit, const neo_sketch *sketch,
                            const neo_candidate *c, int first) {
  int64_t product = 1;
  for (int i = first; i < limit->n; i++)
    product *= neo_sketch_value(sketch, c, limit->d[i]);
  return product;
}

bool neo_limit_holds(const neo_limit *limit, const neo_sketch *sketch, const neo_candidate *c) {
  int64_t first = neo_sketch_value(sketch, c, limit->d[0]);
  int64_t rest = product_from(limit, sketch, c, 1);
  switch (limit->kind) {
  case NEO_LIMIT_REGISTERS:
    return first * rest + (rest > 1 ? first : 1) + 1 <= limit->a;
  case NEO_LIMIT_PRODUCT:
    return limit->a * first * rest <= limit->b;
  case NEO_LIMIT_COVER:
    return first <= neo_ceil_div(limit->b, limit->a * rest);
  case NEO_LIMIT_DIVIDES:
    return (limit->n > 1 && limit->d[1] >= 0 ? rest : limit->a) % first == 0;
  case NEO_LIMIT_FACTORS:
    return limit->b % (first * rest) == 0;
  }
  return true;
}

/* The decision that gives way; -1 if all are at their least. */
static int giving(const neo_limit *limit, const neo_candidate *c) {
  if (limit->kind != NEO_LIMIT_REGISTERS) {
    bool any = limit->kind == NEO_LIMIT_PRODUCT || limit->kind == NEO_LIMIT_FACTORS;
    int n = any ? limit->n : 1;
    for (int i = 0; i < n; i++)
      if (limit->d[i] >= 0 && c->decision[limit->d[i]] > 0)
        return limit->d[i];
    return -1;
  }
  for (int i = limit->n - 1; i >= 0; i--)
    if (limit->d[i] >= 0 && c->decision[limit->d[i]] > 0)
      return limit->d[i];
  return -1;
}

void neo_sketch_repair(const neo_sketch *sketch, const neo_target *target, neo_candidate *c) {
  (void)target;
  bool changed = true;
  while (changed) {
    changed = false;
    for (int k = 0; k < sketch->n_limits; k++) {
      int d;
      while (!neo_limit_holds(&sketch->limit[k], sketch, c) &&
             (d = giving(&sketch->limit[k], c)) >= 0) {
        c->decision[d]--;
        changed = true;
      }
    }
  }
}

static bool limits_hold(const neo_sketch *sketch, const neo_candidate *c) {
  for (int k = 0; k < sketch->n_limits; k++)
    if (!neo_limit_holds(&sketch->limit[k], sketch, c))
      return false;
  return true;
}

static void sample_sketch(const neo_space *space, neo_rng *rng, int number, neo_candidate *out) {
  const neo_sketch *sketch = space->sketch[number];
  memset(out, 0, sizeof(*out));
  out->sketch = (int16_t)number;
  out->n = (int16_t)sketch->n_decisions;
  for (int t = 0; t < TRIES; t++) {
    for (int d = 0; d < sketch->n_decisions; d++)
      out->decision[d] = (int16_t)neo_rng_below(rng, (uint64_t)sketch->decision[d].n);
    if (limits_hold(sketch, out))
      return;
  }
  neo_sketch_repair(sketch, &space->target, out);
}

void neo_space_sample(const neo_space *space, neo_rng *rng, neo_candidate *out) {
  sample_sketch(space, rng, (int)neo_rng_below(rng, (uint64_t)space->n_sketches), out);
}

static bool same(const neo_candidate *a, const neo_candidate *b) {
  return a->sketch == b->sketch &&
         memcmp(a->decision, b->decision, sizeof(a->decision[0]) * (size_t)a->n) == 0;
}

static void change_one(const neo_sketch *sketch, neo_rng *rng, neo_candidate *c) {
  int d = (int)neo_rng_below(rng, (uint64_t)sketch->n_decisions);
  int n = sketch->decision[d].n;
  if (n < 2)
    return;
  if (sketch->decision[d].choice || neo_rng_below(rng, 2) == 0) {
    c->decision[d] = (int16_t)neo_rng_below(rng, (uint64_t)n);
    return;
  }
  int step = neo_rng_below(rng, 2) ? 1 : -1;
  int v = c->decision[d] + step;
  c->decision[d] = (int16_t)(v < 0 ? 1 : v >= n ? n - 2 : v);
}

void neo_space_mutate(const neo_space *space, neo_rng *rng, const neo_candidate *from,
                      neo_candidate *out) {
  const neo_sketch *sketch = space->sketch[from->sketch];
  *out = *from;
  if (sketch->n_decisions == 0 || neo_rng_below(rng, 32) == 0) {
    neo_space_sample(space, rng, out);
    return;
  }
  for (int t = 0; t < TRIES && same(out, from); t++) {
    *out = *from;
    int changes = 1 + (neo_rng_below(rng, 3) == 0);
    for (int i = 0; i < changes; i++)
      change_one(sketch, rng, out);
    neo_sketch_repair(sketch, &space->target, out);
  }
}

void neo_space_cross(const neo_space *space, neo_rng *rng, const neo_candidate *a,
                     const neo_candidate *b, neo_candidate *out) {
  if (a->sketch != b->sketch) {
    *out = neo_rng_below(rng, 2) ? *a : *b;
    return;
  }
  neo_candidate made = *a;
  for (int d = 0; d < made.n; d++)
    if (neo_rng_below(rng, 2))
      made.decision[d] = b->decision[d];
  neo_sketch_repair(space->sketch[a->sketch], &space->target, &made);
  *out = made;
}

/* Tries one changed decision; true if repair leaves a candidate other than `from`. */
static bool step_to(const neo_space *space, const neo_candidate *from, int d, int index,
                    neo_candidate *out) {
  const neo_sketch *sketch = space->sketch[from->sketch];
  if (index < 0 || index >= sketch->decision[d].n || index == from->decision[d])
    return false;
  neo_candidate made = *from;
  made.decision[d] = (int16_t)index;
  neo_sketch_repair(sketch, &space->target, &made);
  if (same(&made, from))
    return false;
  *out = made;
  return true;
}

bool neo_space_neighbour(const neo_space *space, const neo_candidate *from, int k,
                         neo_candidate *out) {
  const neo_sketch *sketch = space->sketch[from->sketch];
  neo_candidate made;
  for (int d = 0; d < sketch->n_decisions; d++) {
    bool choice = sketch->decision[d].choice;
    int lo = choice ? 0 : from->decision[d] - 1,
        hi = choice ? sketch->decision[d].n - 1 : from->decision[d] + 1;
    for (int index = lo; index <= hi; index++)
      if (step_to(space, from, d, index, &made) && k-- == 0) {
        *out = made;
        return true;
      }
  }
  return false;
}
