/* Reading the line formats of Neo: schedules, tensor expressions, graphs, nests, targets.
 *
 * Why: all of these are small hand-written recursive-descent parsers over text that may come from
 * a foreign database; they share the few primitives that are easy to get wrong (overflow, locale,
 * end of text).
 *
 * Invariant: a function that returns false has consumed nothing, blanks included. */
#include "base/core.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void neo_scan_init(neo_scan *scan, const char *text) {
  scan->text = scan->at = text;
  scan->line = 1;
}

static const char *skip_blanks(const char *at) {
  while (*at == ' ' || *at == '\t')
    at++;
  return at;
}

void neo_scan_space(neo_scan *scan) {
  scan->at = skip_blanks(scan->at);
}

bool neo_scan_newline(neo_scan *scan) {
  const char *at = skip_blanks(scan->at);
  if (*at != '\n')
    return false;
  scan->at = at + 1;
  scan->line++;
  return true;
}

bool neo_scan_end(neo_scan *scan) {
  neo_scan ahead = *scan;
  while (neo_scan_newline(&ahead))
    continue;
  neo_scan_space(&ahead);
  if (*ahead.at != '\0')
    return false;
  *scan = ahead;
  return true;
}

bool neo_scan_token(neo_scan *scan, const char *token) {
  const char *at = skip_blanks(scan->at);
  size_t length = strlen(token);
  if (strncmp(at, token, length) != 0)
    return false;
  scan->at = at + length;
  return true;
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool neo_scan_int(neo_scan *scan, int64_t *out) {
  const char *at = skip_blanks(scan->at);
  bool negative = *at == '-';
  if (*at == '-' || *at == '+')
    at++;
  if (!is_digit(*at))
    return false;
  uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0);
  uint64_t value = 0;
  for (; is_digit(*at); at++) {
    uint64_t digit = (uint64_t)(*at - '0');
    if (value > (limit - digit) / 10)
      return false;
    value = value * 10 + digit;
  }
  *out = negative ? (int64_t)(0 - value) : (int64_t)value;
  scan->at = at;
  return true;
}

/* The end of digits [. digits] [e [sign] digits] at `at`, or `at` if there is no number. */
static const char *number_end(const char *at) {
  const char *start = at;
  int digits = 0;
  for (; is_digit(*at); at++)
    digits++;
  if (*at == '.') {
    at++;
    for (; is_digit(*at); at++)
      digits++;
  }
  if (digits == 0)
    return start;
  if (*at == 'e' || *at == 'E') {
    const char *exponent = at + 1;
    if (*exponent == '-' || *exponent == '+')
      exponent++;
    if (is_digit(*exponent)) {
      while (is_digit(*exponent))
        exponent++;
      at = exponent;
    }
  }
  return at;
}

static bool word_at(const char *at, const char *word) {
  size_t length = strlen(word);
  return strncmp(at, word, length) == 0 && !is_name_start(at[length]) && !is_digit(at[length]);
}

bool neo_scan_double(neo_scan *scan, double *out) {
  const char *start = skip_blanks(scan->at);
  const char *at = start + (*start == '-' || *start == '+');
  if (word_at(at, "inf") || word_at(at, "nan")) {
    double special = *at == 'i' ? HUGE_VAL : NAN;
    *out = *start == '-' ? -special : special;
    scan->at = at + 3;
    return true;
  }
  const char *end = number_end(at);
  char text[512];
  size_t length = (size_t)(end - start);
  if (end == at || length >= sizeof(text))
    return false;
  memcpy(text, start, length);
  text[length] = '\0';
  char *point = strchr(text, '.');
  if (point)
    *point = localeconv()->decimal_point[0];
  double value = strtod(text, NULL);
  if (isinf(value))
    return false;
  *out = value;
  scan->at = end;
  return true;
}

bool neo_scan_name(neo_scan *scan, char *out, size_t size) {
  const char *start = skip_blanks(scan->at);
  const char *at = start;
  if (!is_name_start(*at))
    return false;
  while (is_name_start(*at) || is_digit(*at))
    at++;
  size_t length = (size_t)(at - start);
  if (length + 1 > size)
    return false;
  memcpy(out, start, length);
  out[length] = '\0';
  scan->at = at;
  return true;
}
