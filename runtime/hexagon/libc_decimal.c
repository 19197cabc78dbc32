/* Real numbers as decimal digits and back, correctly rounded.
 *
 * A number is an array of decimal digits that is multiplied and divided by powers of two, a few
 * bits at a time, as on paper (the "simple decimal conversion" that Go and others fall back on). A
 * double has at most 767 digits, so printing is exact; of what is read, digits that do not fit
 * count as "more than nothing", which is all that rounding needs to know of them. */
#include "runtime/hexagon/libc.h"

enum { MOST_BITS = 28 }; /* of one step: 10 << 28 fits 32 bits */

/* ---- digits -------------------------------------------------------------------------------------- */

static void trim(neo_libc_decimal *d) {
  while (d->n > 0 && d->digit[d->n - 1] == 0)
    d->n--;
  if (d->n == 0)
    d->point = 0;
}

static void set_integer(neo_libc_decimal *d, uint64_t value) {
  uint8_t text[20];
  int n = 0;
  for (; value; value /= 10)
    text[n++] = (uint8_t)(value % 10);
  d->n = d->point = n;
  d->cut = false;
  for (int i = 0; i < n; i++)
    d->digit[i] = text[n - 1 - i];
  trim(d);
}

/* Puts the digits of the carry in front. */
static void prepend(neo_libc_decimal *d, uint32_t carry) {
  uint8_t text[10];
  int n = 0;
  for (; carry; carry /= 10)
    text[n++] = (uint8_t)(carry % 10);
  for (int i = NEO_LIBC_DIGITS - n; i < d->n; i++)
    d->cut = d->cut || d->digit[i] != 0;
  int kept = d->n + n < NEO_LIBC_DIGITS ? d->n : NEO_LIBC_DIGITS - n;
  memmove(d->digit + n, d->digit, (size_t)kept);
  for (int i = 0; i < n; i++)
    d->digit[i] = text[n - 1 - i];
  d->n = kept + n;
  d->point += n;
}

static void multiply(neo_libc_decimal *d, int bits) {
  uint32_t carry = 0;
  for (int i = d->n - 1; i >= 0; i--) {
    carry += (uint32_t)d->digit[i] << bits;
    d->digit[i] = (uint8_t)(carry % 10);
    carry /= 10;
  }
  prepend(d, carry);
  trim(d);
}

static void divide(neo_libc_decimal *d, int bits) {
  uint32_t rest = 0, mask = ((uint32_t)1 << bits) - 1;
  int n = 0, from = d->n;
  for (int i = 0; i < from || rest; i++) {
    rest = rest * 10 + (i < from ? d->digit[i] : 0);
    uint32_t digit = rest >> bits;
    rest &= mask;
    if (n == 0 && digit == 0)
      d->point--; /* a leading zero */
    else if (n < NEO_LIBC_DIGITS)
      d->digit[n++] = (uint8_t)digit;
    else
      d->cut = d->cut || digit;
    if (n == NEO_LIBC_DIGITS && rest && i >= from) {
      d->cut = true;
      break;
    }
  }
  d->n = n;
  trim(d);
}

/* Times 2 to the power of bits. */
static void scale(neo_libc_decimal *d, int bits) {
  for (; bits >= MOST_BITS; bits -= MOST_BITS)
    multiply(d, MOST_BITS);
  for (; bits <= -MOST_BITS; bits += MOST_BITS)
    divide(d, MOST_BITS);
  if (bits > 0)
    multiply(d, bits);
  if (bits < 0)
    divide(d, -bits);
}

void neo_libc_decimal_round(neo_libc_decimal *d, int keep) {
  if (keep >= d->n)
    return;
  if (keep < 0) {
    d->n = d->point = 0;
    return;
  }
  bool half = d->digit[keep] == 5 && keep + 1 == d->n && !d->cut;
  bool up = half ? keep > 0 && (d->digit[keep - 1] & 1) : d->digit[keep] >= 5;
  d->n = keep;
  d->cut = false;
  while (up && d->n > 0 && d->digit[d->n - 1] == 9)
    d->n--;
  if (up && d->n > 0) {
    d->digit[d->n - 1]++;
  } else if (up) { /* 0.999 is 1 */
    d->digit[0] = 1;
    d->n = 1;
    d->point++;
  }
  trim(d);
}

/* ---- doubles ------------------------------------------------------------------------------------- */

enum { FRACTION_BITS = 52, BIAS = 1075, TOP_EXPONENT = 2047 };

void neo_libc_decimal_set(neo_libc_decimal *d, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  int exponent = (int)(bits >> FRACTION_BITS) & TOP_EXPONENT;
  uint64_t fraction = bits & ((UINT64_C(1) << FRACTION_BITS) - 1);
  set_integer(d, exponent ? fraction | UINT64_C(1) << FRACTION_BITS : fraction);
  scale(d, (exponent ? exponent : 1) - BIAS);
}

/* The integer that it is nearest to; below 10^19. */
static uint64_t rounded_integer(neo_libc_decimal *d) {
  uint64_t value = 0;
  neo_libc_decimal_round(d, d->point);
  for (int i = 0; i < d->point; i++)
    value = value * 10 + (i < d->n ? d->digit[i] : 0);
  return value;
}

/* Scales the number into [1/2, 1); what it must be multiplied with again is 2 to the result. */
static int normalize(neo_libc_decimal *d) {
  static const uint8_t enough[] = {0, 3, 6, 9, 13, 16, 19, 23, 26}; /* bits of n digits, at most */
  int exponent = 0;
  while (d->point > 0) {
    int bits = d->point < (int)sizeof enough ? enough[d->point] : MOST_BITS;
    scale(d, -bits);
    exponent += bits;
  }
  while (d->point < 0 || d->digit[0] < 5) {
    int bits = d->point == 0 ? 1 : -d->point < (int)sizeof enough ? enough[-d->point] : MOST_BITS;
    scale(d, bits);
    exponent -= bits;
  }
  return exponent;
}

static double nearest(neo_libc_decimal *d) {
  enum { TOO_LARGE = 310, TOO_SMALL = -326, SMALLEST = -1021, LARGEST = 1024 };
  if (d->n == 0 || d->point < TOO_SMALL)
    return 0;
  if (d->point > TOO_LARGE)
    return (double)INFINITY;
  int exponent = normalize(d);
  if (exponent < SMALLEST) { /* subnormal: fewer bits */
    scale(d, exponent - SMALLEST);
    exponent = SMALLEST;
  }
  scale(d, FRACTION_BITS + 1);
  uint64_t bits = rounded_integer(d), hidden = UINT64_C(1) << FRACTION_BITS;
  if (bits == 2 * hidden) {
    bits = hidden;
    exponent++;
  }
  if (exponent > LARGEST)
    return (double)INFINITY;
  if (bits >= hidden) /* the biased exponent, beside the hidden bit */
    bits += (uint64_t)(exponent - SMALLEST) << FRACTION_BITS;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* ---- text ---------------------------------------------------------------------------------------- */

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* Digits and one point; false: there was no digit. */
static bool read_digits(const char **at, neo_libc_decimal *d) {
  bool any = false, point = false;
  for (; is_digit(**at) || (**at == '.' && !point); (*at)++) {
    if (**at == '.') {
      point = true;
      continue;
    }
    uint8_t digit = (uint8_t)(**at - '0');
    any = true;
    d->point += !point && (d->n > 0 || digit);
    d->point -= point && d->n == 0 && !digit;
    if (d->n == NEO_LIBC_DIGITS)
      d->cut = d->cut || digit;
    else if (d->n > 0 || digit)
      d->digit[d->n++] = digit;
  }
  return any;
}

static void read_exponent(const char **at, neo_libc_decimal *d) {
  enum { ENOUGH = 100000 };
  const char *digits = *at + 1;
  int exponent = 0;
  if (**at != 'e' && **at != 'E')
    return;
  bool minus = *digits == '-';
  digits += *digits == '-' || *digits == '+';
  if (!is_digit(*digits))
    return;
  for (; is_digit(*digits); digits++)
    exponent = exponent < ENOUGH ? exponent * 10 + (*digits - '0') : exponent;
  d->point += minus ? -exponent : exponent;
  *at = digits;
}

double strtod(const char *text, char **end) {
  neo_libc_decimal d = {0};
  const char *at = text + strspn(text, " \t\n\v\f\r");
  bool minus = *at == '-';
  at += *at == '-' || *at == '+';
  bool any = read_digits(&at, &d);
  if (any)
    read_exponent(&at, &d);
  if (end)
    *end = (char *)(uintptr_t)(any ? at : text);
  trim(&d);
  bool zero = d.n == 0;
  double value = any ? nearest(&d) : 0;
  if (isinf(value) || (value == 0 && !zero))
    errno = ERANGE;
  return minus && any ? -value : value;
}
