/* Arithmetic of reals that the processor lacks, division, and the few functions of math.h. Rounded
 * to nearest, ties to even; no flags.
 *
 * A number is taken apart into sign, exponent and an integer with its highest bit at a fixed place;
 * results are computed with ten bits or more to spare, the last of which says whether anything was
 * lost ("sticky"), and one function rounds them. */
#include "runtime/hexagon/libc.h"

typedef enum kind { ZERO, FINITE, INFINITE, NOT_A_NUMBER } kind;

/* FINITE: fraction times 2 to the exponent; the highest bit of fraction is bit TOP. */
typedef struct number {
  kind kind;
  bool minus;
  int exponent;
  uint64_t fraction;
} number;

enum { TOP = 62 };

/* Of binary64 and binary32: bits of the fraction, the largest biased exponent, the bias. */
typedef struct format {
  int bits, most, bias;
} format;

static const format wide = {52, 2047, 1023}, narrow = {23, 255, 127};

static uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

static number unpack(uint64_t bits, format f) {
  int exponent = (int)(bits >> f.bits) & f.most;
  uint64_t fraction = bits & ((UINT64_C(1) << f.bits) - 1);
  number x = {.minus = bits >> f.bits > (uint64_t)f.most};
  if (exponent == f.most) {
    x.kind = fraction ? NOT_A_NUMBER : INFINITE;
    return x;
  }
  if (exponent)
    fraction |= UINT64_C(1) << f.bits;
  if (!fraction)
    return x;
  int shift = __builtin_clzll(fraction) - (63 - TOP);
  x.kind = FINITE;
  x.fraction = fraction << shift;
  x.exponent = (exponent ? exponent : 1) - f.bias - f.bits - shift;
  return x;
}

/* x >> n, the last bit set if any was lost. */
static uint64_t shift_sticky(uint64_t x, int n) {
  if (n <= 0)
    return x;
  if (n > 63)
    return x != 0;
  return x >> n | ((x << (64 - n)) != 0);
}

/* Brings the highest bit to its place. */
static number normal(number x) {
  if (x.fraction == 0) {
    x.kind = ZERO;
    return x;
  }
  int shift = __builtin_clzll(x.fraction) - (63 - TOP);
  x.fraction = shift < 0 ? shift_sticky(x.fraction, -shift) : x.fraction << shift;
  x.exponent -= shift;
  return x;
}

static uint64_t pack(number x, format f) {
  uint64_t sign = x.minus ? ((uint64_t)f.most + 1) << f.bits : 0;
  uint64_t infinite = (uint64_t)f.most << f.bits;
  if (x.kind == NOT_A_NUMBER)
    return infinite | UINT64_C(1) << (f.bits - 1);
  if (x.kind == INFINITE)
    return sign | infinite;
  if (x.kind == ZERO)
    return sign;
  int exponent = x.exponent + TOP + f.bias, drop = TOP - f.bits;
  if (exponent < 1) { /* subnormal: fewer bits are kept */
    drop += 1 - exponent;
    exponent = 1;
  }
  if (exponent >= f.most)
    return sign | infinite;
  uint64_t fraction = shift_sticky(x.fraction, drop - 2); /* two bits to round by */
  fraction = (fraction >> 2) + ((fraction & 3) == 3 || (fraction & 6) == 6);
  /* A hidden bit adds one to the exponent before it, a carry of rounding one more. */
  return sign | (((uint64_t)(exponent - 1) << f.bits) + fraction);
}

static double double_of(number x) {
  uint64_t bits = pack(x, wide);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static number number_of(double x) {
  return unpack(bits_of(x), wide);
}

/* ---- division ------------------------------------------------------------------------------------ */

/* a / b of finite ones: 62 bits of the quotient, one at a time. */
static number divide_finite(number a, number b) {
  number x = {.kind = FINITE, .minus = a.minus != b.minus, .exponent = a.exponent - b.exponent};
  uint64_t rest = a.fraction;
  for (int bit = 0; bit < TOP; bit++, rest <<= 1, x.exponent--) {
    bool one = rest >= b.fraction;
    rest -= one ? b.fraction : 0;
    x.fraction = x.fraction << 1 | one;
  }
  x.exponent++; /* the first bit has its own weight */
  x.fraction |= rest != 0;
  return normal(x);
}

static number divide(number a, number b) {
  number x = {.minus = a.minus != b.minus};
  if (a.kind == NOT_A_NUMBER || b.kind == NOT_A_NUMBER ||
      (a.kind == b.kind && (a.kind == ZERO || a.kind == INFINITE)))
    return (number){NOT_A_NUMBER};
  if (a.kind == FINITE && b.kind == FINITE)
    return divide_finite(a, b);
  x.kind = a.kind == INFINITE || b.kind == ZERO ? INFINITE : ZERO;
  return x;
}

/* ---- what the compiler calls --------------------------------------------------------------------- */

double __hexagon_divdf3(double a, double b);
float __hexagon_divsf3(float a, float b);

double __hexagon_divdf3(double a, double b) {
  return double_of(divide(number_of(a), number_of(b)));
}

float __hexagon_divsf3(float a, float b) {
  uint32_t x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  x = (uint32_t)pack(divide(unpack(x, narrow), unpack(y, narrow)), narrow);
  memcpy(&a, &x, sizeof a);
  return a;
}

/* ---- math.h -------------------------------------------------------------------------------------- */

double fabs(double x) {
  return __builtin_fabs(x);
}

float fabsf(float x) {
  return __builtin_fabsf(x);
}

double fmax(double x, double y) {
  return isnan(x) || x < y ? y : x;
}

float fmaxf(float x, float y) {
  return isnan(x) || x < y ? y : x;
}

float fminf(float x, float y) {
  return isnan(x) || y < x ? y : x;
}

double ldexp(double x, int exponent) {
  enum { ENOUGH = 5000 };
  number n = number_of(x);
  n.exponent += exponent < -ENOUGH ? -ENOUGH : exponent > ENOUGH ? ENOUGH : exponent;
  return double_of(n);
}

/* Bit by bit, as on paper: 62 bits of the root, of which 53 and those to round by are used. */
double sqrt(double x) {
  number n = number_of(x);
  if (n.kind == NOT_A_NUMBER || n.kind == ZERO || (n.kind == INFINITE && !n.minus))
    return x;
  if (n.minus)
    return (double)NAN;
  uint64_t root = 0, rest = 0, left = n.fraction << 1; /* 64 bits, the highest set */
  int exponent = n.exponent - 1;
  if (exponent & 1) { /* an even exponent: half of the number, so bit 63 is clear */
    left >>= 1;
    exponent++;
  }
  for (int bit = 0; bit < 60; bit++) {
    rest = rest << 2 | left >> 62;
    left <<= 2;
    root <<= 1;
    if (rest > 2 * root) {
      rest -= 2 * root + 1;
      root++;
    }
  }
  /* 60 bits of a root of 32: 28 behind the point of the 64-bit integer's root. */
  number r = {FINITE, false, exponent / 2 - 28, root << 1 | (rest != 0)};
  r.exponent--;
  return double_of(normal(r));
}

/* log(2^k m) = k log 2 + 2 atanh((m - 1) / (m + 1)), m within sqrt(1/2) and sqrt(2). */
double log(double x) {
  static const double log2_high = 0x1.62e42fefa38p-1, log2_low = 0x1.ef35793c7673p-45;
  number n = number_of(x);
  if (n.kind == ZERO)
    return -(double)INFINITY;
  if (n.kind == NOT_A_NUMBER || n.minus)
    return (double)NAN;
  if (n.kind == INFINITE)
    return x;
  int k = n.exponent + TOP;
  n.exponent = -TOP;
  double m = double_of(n);
  if (m > 0x1.6a09e667f3bcdp+0) {
    m *= 0.5;
    k++;
  }
  double f = m - 1, s = f / (m + 1), z = s * s, sum = 0;
  for (int i = 23; i >= 3; i -= 2)
    sum = sum * z + 1.0 / i;
  /* 2 s = f - s f exactly, so the large part, f, is added last. */
  double tail = 2 * s * z * sum;
  return k * log2_high + (f - (s * f - tail - k * log2_low));
}
