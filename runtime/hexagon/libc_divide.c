/* Division of integers, which the processor lacks: what the compiler calls for / and %.
 *
 * Shift and subtract, beginning where the dividend has its first bit. Quotients by zero are all
 * ones, as nothing says what they are. */
#include <stdint.h>

typedef struct quotient {
  uint64_t quotient, rest;
} quotient;

static quotient divide(uint64_t a, uint64_t b) {
  quotient q = {0, a};
  if (b > a)
    return q;
  if (b == 0)
    return (quotient){UINT64_MAX, a};
  int shift = __builtin_clzll(b) - __builtin_clzll(a);
  for (b <<= shift; shift >= 0; shift--, b >>= 1) {
    q.quotient <<= 1;
    if (q.rest >= b) {
      q.rest -= b;
      q.quotient |= 1;
    }
  }
  return q;
}

static uint64_t magnitude(int64_t x) {
  return x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
}

static int64_t with_sign(uint64_t x, int minus) {
  return (int64_t)(minus ? 0 - x : x);
}

uint32_t __hexagon_udivsi3(uint32_t a, uint32_t b);
uint32_t __hexagon_umodsi3(uint32_t a, uint32_t b);
int32_t __hexagon_divsi3(int32_t a, int32_t b);
int32_t __hexagon_modsi3(int32_t a, int32_t b);
uint64_t __hexagon_udivdi3(uint64_t a, uint64_t b);
uint64_t __hexagon_umoddi3(uint64_t a, uint64_t b);
int64_t __hexagon_divdi3(int64_t a, int64_t b);
int64_t __hexagon_moddi3(int64_t a, int64_t b);

uint64_t __hexagon_udivdi3(uint64_t a, uint64_t b) {
  return divide(a, b).quotient;
}

uint64_t __hexagon_umoddi3(uint64_t a, uint64_t b) {
  return divide(a, b).rest;
}

int64_t __hexagon_divdi3(int64_t a, int64_t b) {
  return with_sign(divide(magnitude(a), magnitude(b)).quotient, (a < 0) != (b < 0));
}

int64_t __hexagon_moddi3(int64_t a, int64_t b) {
  return with_sign(divide(magnitude(a), magnitude(b)).rest, a < 0);
}

uint32_t __hexagon_udivsi3(uint32_t a, uint32_t b) {
  return (uint32_t)divide(a, b).quotient;
}

uint32_t __hexagon_umodsi3(uint32_t a, uint32_t b) {
  return (uint32_t)divide(a, b).rest;
}

int32_t __hexagon_divsi3(int32_t a, int32_t b) {
  return (int32_t)__hexagon_divdi3(a, b);
}

int32_t __hexagon_modsi3(int32_t a, int32_t b) {
  return (int32_t)__hexagon_moddi3(a, b);
}
