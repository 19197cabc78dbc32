/* Random numbers: xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number
 * generators", 2018), seeded by splitmix64.
 *
 * Why our own: a search must repeat byte for byte from its seed on every host, so the generator is
 * part of Neo and not of a libc; golden values in the tests hold it still. */
#include "base/core.h"

#include <math.h>

static uint64_t splitmix64(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

void neo_rng_init(neo_rng *rng, uint64_t seed) {
  for (int i = 0; i < 4; i++)
    rng->s[i] = splitmix64(&seed);
}

static uint64_t rotate_left(uint64_t x, int k) {
  return (x << k) | (x >> (64 - k));
}

uint64_t neo_rng_next(neo_rng *rng) {
  uint64_t *s = rng->s;
  uint64_t result = rotate_left(s[1] * 5, 7) * 9;
  uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate_left(s[3], 45);
  return result;
}

uint64_t neo_rng_below(neo_rng *rng, uint64_t n) {
  neo_assert(n > 0);
  uint64_t reject_below = (0 - n) % n;
  uint64_t r;
  do
    r = neo_rng_next(rng);
  while (r < reject_below);
  return r % n;
}

double neo_rng_unit(neo_rng *rng) {
  return (double)(neo_rng_next(rng) >> 11) * 0x1p-53;
}

/* Marsaglia's polar method; the second deviate is dropped so that the state stays four words. */
double neo_rng_normal(neo_rng *rng) {
  double u, v, square;
  do {
    u = 2.0 * neo_rng_unit(rng) - 1.0;
    v = 2.0 * neo_rng_unit(rng) - 1.0;
    square = u * u + v * v;
  } while (square >= 1.0 || square == 0.0);
  return u * sqrt(-2.0 * log(square) / square);
}
