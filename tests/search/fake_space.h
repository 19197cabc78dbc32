/* A synthetic space behind the neo_space_* API: no te, no lowering, a made-up landscape.
 *
 * Linked instead of neo_schedule's space: DIMS decisions of VALUES values in two sketches. The true
 * time has a valley per sketch, interactions between neighbouring decisions and 2 % of ruggedness;
 * the analytic model knows half of the decisions and has the valley slightly wrong, like the real
 * one. */
#ifndef NEO_TESTS_FAKE_SPACE_H
#define NEO_TESTS_FAKE_SPACE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "search/strategy.h"

enum { FAKE_MAX = 12 };

struct neo_space {
  int dims, values, sketches;
  double centre[2][FAKE_MAX], scale[2][FAKE_MAX], cross[2][FAKE_MAX], guess[2][FAKE_MAX];
};

static inline void fake_space_init(neo_space *space, uint64_t seed, int dims, int values) {
  neo_rng rng;
  neo_rng_init(&rng, seed);
  *space = (neo_space){.dims = dims, .values = values, .sketches = 2};
  for (int s = 0; s < 2; s++)
    for (int i = 0; i < dims; i++) {
      space->centre[s][i] = neo_rng_unit(&rng) * (values - 1);
      space->scale[s][i] = (0.2 + neo_rng_unit(&rng)) / (values * values) * 2;
      space->cross[s][i] = neo_rng_normal(&rng) * 0.3 / (values * values);
      space->guess[s][i] = space->centre[s][i] + neo_rng_normal(&rng) * 0.7;
    }
}

static inline double fake_time(const neo_space *space, const neo_candidate *c) {
  int s = c->sketch;
  double log_time = 0.2 * s;
  for (int i = 0; i < space->dims; i++) {
    double d = c->decision[i] - space->centre[s][i];
    double e = c->decision[(i + 1) % space->dims] - space->centre[s][(i + 1) % space->dims];
    log_time += space->scale[s][i] * d * d + space->cross[s][i] * d * e;
  }
  double rugged = (double)(neo_candidate_hash(c) >> 11) / 9007199254740992.0;
  return 1e5 * exp(log_time + 0.02 * rugged);
}

double neo_space_predict(const neo_space *space, const neo_candidate *c) {
  double log_time = 0.1 * c->sketch;
  for (int i = 0; i < space->dims; i += 2) {
    double d = c->decision[i] - space->guess[c->sketch][i];
    log_time += space->scale[c->sketch][i] * d * d;
  }
  return 0.7e5 * exp(log_time);
}

void neo_space_features(const neo_space *space, const neo_candidate *c, float *out) {
  memset(out, 0, NEO_FEATURES * sizeof(*out));
  out[0] = c->sketch;
  out[1] = (float)log(neo_space_predict(space, c));
  for (int i = 0; i < space->dims; i++) {
    out[2 + i] = c->decision[i];
    out[20 + i] = (float)(c->decision[i] - c->decision[(i + 1) % space->dims]);
  }
}

void neo_space_sample(const neo_space *space, neo_rng *rng, neo_candidate *out) {
  memset(out, 0, sizeof(*out));
  out->n = (int16_t)space->dims;
  out->sketch = (int16_t)neo_rng_below(rng, (uint64_t)space->sketches);
  for (int i = 0; i < space->dims; i++)
    out->decision[i] = (int16_t)neo_rng_below(rng, (uint64_t)space->values);
}

void neo_space_mutate(const neo_space *space, neo_rng *rng, const neo_candidate *from,
                      neo_candidate *out) {
  *out = *from;
  int i = (int)neo_rng_below(rng, (uint64_t)space->dims);
  out->decision[i] = (int16_t)neo_rng_below(rng, (uint64_t)space->values);
}

void neo_space_cross(const neo_space *space, neo_rng *rng, const neo_candidate *a,
                     const neo_candidate *b, neo_candidate *out) {
  *out = *a;
  for (int i = 0; a->sketch == b->sketch && i < space->dims; i++)
    if (neo_rng_below(rng, 2))
      out->decision[i] = b->decision[i];
}

bool neo_space_neighbour(const neo_space *space, const neo_candidate *from, int k,
                         neo_candidate *out) {
  int index = 0;
  for (int i = 0; i < space->dims; i++)
    for (int step = -1; step <= 1; step += 2) {
      int v = from->decision[i] + step;
      if (v < 0 || v >= space->values)
        continue;
      if (index++ == k) {
        *out = *from;
        out->decision[i] = (int16_t)v;
        return true;
      }
    }
  return false;
}

int neo_space_analytic(const neo_space *space, int n, neo_candidate *out) {
  int count = 0;
  for (int s = 0; s < space->sketches && count < n; s++, count++) {
    memset(&out[count], 0, sizeof(out[count]));
    out[count].sketch = (int16_t)s;
    out[count].n = (int16_t)space->dims;
    for (int i = 0; i < space->dims; i++) {
      double v = i % 2 ? space->values / 2 : round(space->guess[s][i]);
      out[count].decision[i] = (int16_t)fmax(0, fmin(space->values - 1, v));
    }
  }
  for (int k = 0; count < n && neo_space_neighbour(space, &out[0], k, &out[count]); k++)
    count++;
  return count;
}

#endif
