/* printf: a format and its arguments as text (C17, 7.21.6.1).
 *
 * A conversion is made in three parts, what stands before the padding zeros (sign, 0x), how many
 * zeros those are, and the rest; then the width puts blanks or zeros around them. Digits of reals
 * come from libc_decimal.c and are exact, however many are asked for. */
#include "runtime/hexagon/libc.h"

typedef struct sink {
  char *to;
  size_t room, total;
  FILE *file; /* instead of to */
} sink;

static void put(sink *s, const char *text, size_t size) {
  size_t left = s->total < s->room ? s->room - s->total : 0;
  if (s->file)
    fwrite(text, 1, size, s->file);
  else if (left)
    memcpy(s->to + s->total, text, size < left ? size : left);
  s->total += size;
}

static void repeat(sink *s, char c, int n) {
  for (; n > 0; n--)
    put(s, &c, 1);
}

typedef struct conversion {
  bool left, zero, plus, blank, other;
  int width, precision; /* precision -1: none */
  char length, letter;  /* length: 'H' for hh, 'L' for ll and L */
  char prefix[3];
} conversion;

/* Prefix, zeros, text, within the width. */
static void put_padded(sink *s, const conversion *c, int zeros, const char *text, int size) {
  int prefix = (int)strlen(c->prefix), pad = c->width - prefix - zeros - size;
  bool with_zeros = c->zero && !c->left;
  if (!c->left && !with_zeros)
    repeat(s, ' ', pad);
  put(s, c->prefix, (size_t)prefix);
  if (with_zeros)
    repeat(s, '0', pad);
  repeat(s, '0', zeros);
  put(s, text, (size_t)size);
  if (c->left)
    repeat(s, ' ', pad);
}

/* ---- integers ------------------------------------------------------------------------------------ */

static void set_sign(conversion *c, bool minus) {
  c->prefix[0] = minus ? '-' : c->plus ? '+' : c->blank ? ' ' : '\0';
}

static void put_integer(sink *s, conversion *c, uint64_t value) {
  char text[24], *end = text + sizeof text, *at = end;
  unsigned base = c->letter == 'o' ? 8 : c->letter == 'x' || c->letter == 'X' ? 16 : 10;
  const char *digits = c->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  if (c->other && base == 16 && value)
    memcpy(c->prefix, c->letter == 'X' ? "0X" : "0x", 3);
  for (; value; value /= base)
    *--at = digits[value % base];
  int size = (int)(end - at), least = c->precision < 0 ? 1 : c->precision;
  if (c->other && base == 8 && least <= size)
    least = size + 1;
  if (c->precision >= 0)
    c->zero = false;
  put_padded(s, c, least > size ? least - size : 0, at, size);
}

static int64_t signed_argument(char length, va_list *args) {
  switch (length) {
  case 'H':
    return (signed char)va_arg(*args, int);
  case 'h':
    return (short)va_arg(*args, int);
  case 'L':
  case 'j':
    return va_arg(*args, long long);
  default: /* int, long, size_t and ptrdiff_t have the same size */
    return va_arg(*args, long);
  }
}

static uint64_t unsigned_argument(char length, va_list *args) {
  uint64_t value = (uint64_t)signed_argument(length, args);
  switch (length) {
  case 'H':
    return (unsigned char)value;
  case 'h':
    return (unsigned short)value;
  case 'L':
  case 'j':
    return value;
  default:
    return (unsigned long)value;
  }
}

/* ---- reals --------------------------------------------------------------------------------------- */

/* The digits of a conversion are assembled here: 309 before the point, and so many behind. */
enum { MOST_PRECISION = 1100, ROOM = MOST_PRECISION + 320 };

/* Digit i of the number behind (from 0) or before (negative) the point. */
static char digit_at(const neo_libc_decimal *d, int i) {
  int at = i + d->point;
  return at >= 0 && at < d->n ? (char)('0' + d->digit[at]) : '0';
}

/* ddd.ddd with so many digits behind the point. */
static int write_fixed(char *to, const neo_libc_decimal *d, int behind, bool point) {
  int n = 0;
  for (int i = d->point > 0 ? -d->point : -1; i < 0; i++)
    to[n++] = digit_at(d, i);
  if (behind > 0 || point)
    to[n++] = '.';
  for (int i = 0; i < behind; i++)
    to[n++] = digit_at(d, i);
  return n;
}

/* d.ddde+xx */
static int write_scientific(char *to, neo_libc_decimal *d, int behind, const conversion *c) {
  int exponent = d->n ? d->point - 1 : 0;
  d->point -= exponent;
  int n = write_fixed(to, d, behind, c->other);
  to[n++] = c->letter == 'E' || c->letter == 'G' ? 'E' : 'e';
  to[n++] = exponent < 0 ? '-' : '+';
  exponent = exponent < 0 ? -exponent : exponent;
  if (exponent >= 100)
    to[n++] = (char)('0' + exponent / 100);
  to[n++] = (char)('0' + exponent / 10 % 10);
  to[n++] = (char)('0' + exponent % 10);
  return n;
}

/* The shorter form, without zeros at the end. */
static int write_general(char *to, neo_libc_decimal *d, int digits, const conversion *c) {
  neo_libc_decimal_round(d, digits);
  int exponent = d->n ? d->point - 1 : 0;
  bool scientific = exponent < -4 || exponent >= digits;
  int behind = digits - 1 - (scientific ? 0 : exponent);
  int needed = d->n - (scientific ? 1 : d->point);
  if (!c->other && needed < behind)
    behind = needed > 0 ? needed : 0;
  return scientific ? write_scientific(to, d, behind, c) : write_fixed(to, d, behind, c->other);
}

static void put_real(sink *s, conversion *c, double value) {
  char text[ROOM];
  neo_libc_decimal d;
  bool large = c->letter < 'a';
  set_sign(c, signbit(value));
  if (!isfinite(value)) {
    c->zero = false;
    put_padded(s, c, 0, isnan(value) ? (large ? "NAN" : "nan") : large ? "INF" : "inf", 3);
    return;
  }
  int precision = c->precision < 0 ? 6 : c->precision, n, rest = 0;
  if (precision > MOST_PRECISION) {
    rest = c->letter == 'f' || c->letter == 'F' ? precision - MOST_PRECISION : 0;
    precision = MOST_PRECISION; /* no double has more digits */
  }
  neo_libc_decimal_set(&d, fabs(value));
  if (c->letter == 'f' || c->letter == 'F') {
    neo_libc_decimal_round(&d, d.point + precision);
    n = write_fixed(text, &d, precision, c->other);
  } else if (c->letter == 'e' || c->letter == 'E') {
    neo_libc_decimal_round(&d, precision + 1);
    n = write_scientific(text, &d, precision, c);
  } else {
    n = write_general(text, &d, precision ? precision : 1, c);
  }
  c->width -= rest;
  put_padded(s, c, 0, text, n);
  repeat(s, '0', rest);
}

/* ---- formats ------------------------------------------------------------------------------------- */

static bool take_flag(conversion *c, char letter) {
  bool *flag = letter == '-'   ? &c->left
               : letter == '0' ? &c->zero
               : letter == '+' ? &c->plus
               : letter == ' ' ? &c->blank
               : letter == '#' ? &c->other
                               : NULL;
  if (flag)
    *flag = true;
  return flag != NULL;
}

static int read_number(const char **at, va_list *args) {
  int value = 0;
  if (**at == '*') {
    (*at)++;
    return va_arg(*args, int);
  }
  for (; **at >= '0' && **at <= '9'; (*at)++)
    value = value * 10 + (**at - '0');
  return value;
}

static void read_length(const char **at, conversion *c) {
  while (**at && strchr("hlLjzt", **at)) {
    char letter = *(*at)++;
    bool twice = c->length == letter;
    c->length = letter == 'h' && twice ? 'H' : letter == 'l' && twice ? 'L' : letter;
  }
}

/* What stands behind the %. */
static conversion read_conversion(const char **at, va_list *args) {
  conversion c = {.precision = -1};
  while (take_flag(&c, **at))
    (*at)++;
  c.width = read_number(at, args);
  if (c.width < 0) {
    c.left = true;
    c.width = -c.width;
  }
  if (**at == '.') {
    (*at)++;
    c.precision = read_number(at, args);
  }
  read_length(at, &c);
  c.letter = **at;
  *at += c.letter != '\0';
  return c;
}

static void put_string(sink *s, const conversion *c, const char *text) {
  int n = 0;
  text = text ? text : "(null)";
  while ((c->precision < 0 || n < c->precision) && text[n])
    n++;
  put_padded(s, c, 0, text, n);
}

static void put_conversion(sink *s, conversion *c, va_list *args) {
  int64_t value;
  char letter;
  switch (c->letter) {
  case 'd':
  case 'i':
    value = signed_argument(c->length, args);
    set_sign(c, value < 0);
    put_integer(s, c, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
    break;
  case 'u':
  case 'o':
  case 'x':
  case 'X':
    put_integer(s, c, unsigned_argument(c->length, args));
    break;
  case 'p':
    *c = (conversion){
        .left = c->left, .other = true, .width = c->width, .precision = -1, .letter = 'x'};
    put_integer(s, c, (uintptr_t)va_arg(*args, void *));
    break;
  case 'c':
    letter = (char)va_arg(*args, int);
    put_padded(s, c, 0, &letter, 1);
    break;
  case 's':
    put_string(s, c, va_arg(*args, const char *));
    break;
  case 'f':
  case 'F':
  case 'e':
  case 'E':
  case 'g':
  case 'G':
    put_real(s, c, va_arg(*args, double));
    break;
  default: /* %%, and what is none */
    put(s, &c->letter, c->letter != '\0');
  }
}

static int print(sink *s, const char *format, va_list *args) {
  while (*format) {
    size_t plain = strcspn(format, "%");
    put(s, format, plain);
    format += plain;
    if (*format == '%') {
      format++;
      conversion c = read_conversion(&format, args);
      put_conversion(s, &c, args);
    }
  }
  return (int)s->total;
}

int vsnprintf(char *to, size_t size, const char *format, va_list args) {
  sink s = {.to = to, .room = size ? size - 1 : 0};
  va_list own;
  va_copy(own, args);
  int n = print(&s, format, &own);
  va_end(own);
  if (size)
    to[s.total < s.room ? s.total : s.room] = '\0';
  return n;
}

int snprintf(char *to, size_t size, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(to, size, format, args);
  va_end(args);
  return n;
}

int vfprintf(FILE *file, const char *format, va_list args) {
  sink s = {.file = file};
  va_list own;
  va_copy(own, args);
  int n = print(&s, format, &own);
  va_end(own);
  return n;
}

int fprintf(FILE *file, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vfprintf(file, format, args);
  va_end(args);
  return n;
}

int printf(const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vfprintf(stdout, format, args);
  va_end(args);
  return n;
}
