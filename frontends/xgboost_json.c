/* frontends/xgboost_json.c: JSON as XGBoost writes it, opened one level at a time (xgboost.h).
 *
 * Why not a JSON library: a library builds every number as an object of its own; here the numbers
 * are the file. What is not opened is only skipped by its brackets, so it is not judged either.
 * NaN, Infinity and -Infinity are read as XGBoost writes them; true and false count as 1 and 0. */
#include "frontends/xgboost.h"

#include <math.h>
#include <string.h>

static const uint8_t *skip_space(const uint8_t *at, const uint8_t *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
    at++;
  return at;
}

/* at: the opening quote; one past the closing one, or NULL. */
static const uint8_t *skip_string(const uint8_t *at, const uint8_t *end) {
  for (at++; at < end && *at != '"'; at++)
    if (*at == '\\')
      at++;
  return at < end ? at + 1 : NULL;
}

static bool ends_scalar(uint8_t c) {
  return c == ',' || c == '}' || c == ']' || c == ':' || c == ' ' || c == '\n' || c == '\t' ||
         c == '\r';
}

/* One past the value at `at`, or NULL. */
static const uint8_t *skip_value(const uint8_t *at, const uint8_t *end) {
  int64_t depth = 0;
  if (at >= end)
    return NULL;
  if (*at == '"')
    return skip_string(at, end);
  if (*at != '{' && *at != '[') {
    const uint8_t *start = at;
    while (at < end && !ends_scalar(*at))
      at++;
    return at > start ? at : NULL;
  }
  while (at < end) {
    uint8_t c = *at;
    if (c == '"') {
      at = skip_string(at, end);
      if (!at)
        return NULL;
      continue;
    }
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
    at++;
    if (depth == 0)
      return at;
  }
  return NULL;
}

static bool read_object(xgb_span value, xgb_object *out) {
  const uint8_t *at = skip_space(value.at, value.end), *end = value.end;
  out->n = 0;
  if (at >= end || *at != '{')
    return false;
  at = skip_space(at + 1, end);
  if (at < end && *at == '}')
    return true;
  while (out->n < XGB_MAX_MEMBERS) {
    if (at >= end || *at != '"')
      return false;
    const uint8_t *key = at + 1;
    if (!(at = skip_string(at, end)))
      return false;
    out->member[out->n].key = key;
    out->member[out->n].key_size = (size_t)(at - 1 - key);
    at = skip_space(at, end);
    if (at >= end || *at != ':')
      return false;
    at = skip_space(at + 1, end);
    const uint8_t *after = skip_value(at, end);
    if (!after)
      return false;
    out->member[out->n++].value = (xgb_span){at, after};
    at = skip_space(after, end);
    if (at >= end || (*at != ',' && *at != '}'))
      return false;
    if (*at == '}')
      return true;
    at = skip_space(at + 1, end);
  }
  return false;
}

static bool json_begin(xgb_span value, xgb_span *at, int64_t *left) {
  at->at = skip_space(value.at, value.end);
  at->end = value.end;
  *left = 0; /* elements taken so far */
  if (at->at >= at->end || *at->at != '[')
    return false;
  at->at = skip_space(at->at + 1, at->end);
  return true;
}

/* Is this the end of the array, or its next element? */
static bool step(xgb_span *at, bool first, bool *done) {
  at->at = skip_space(at->at, at->end);
  *done = at->at < at->end && *at->at == ']';
  if (*done || first)
    return at->at < at->end;
  if (at->at >= at->end || *at->at != ',')
    return false;
  at->at = skip_space(at->at + 1, at->end);
  return at->at < at->end && *at->at != ']';
}

static bool json_next(xgb_span *at, int64_t *left, xgb_span *out, bool *done) {
  if (!step(at, *left == 0, done))
    return false;
  if (*done)
    return true;
  const uint8_t *after = skip_value(at->at, at->end);
  if (!after)
    return false;
  *out = (xgb_span){at->at, after};
  at->at = after;
  ++*left;
  return true;
}

static bool is_digit(const uint8_t *p, const uint8_t *end) {
  return p < end && *p >= '0' && *p <= '9';
}

/* [e [sign] digits] at *at, moved past; false if it begins but is not one. */
static bool parse_exponent(const uint8_t **at, const uint8_t *end, int *exponent) {
  const uint8_t *p = *at;
  *exponent = 0;
  if (p >= end || (*p != 'e' && *p != 'E'))
    return true;
  p++;
  bool down = p < end && *p == '-';
  p += p < end && (*p == '-' || *p == '+');
  const uint8_t *first = p;
  for (; is_digit(p, end) && *exponent < 1000; p++)
    *exponent = *exponent * 10 + (*p - '0');
  *exponent = down ? -*exponent : *exponent;
  *at = p;
  return p > first;
}

/* Up to 17 digits below 2^53 and powers of ten that are exact: no other rounding than the last. */
static bool parse_simple(const uint8_t **at, const uint8_t *end, double *out) {
  static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  const uint8_t *p = *at;
  bool negative = p < end && *p == '-';
  uint64_t digits = 0;
  int n = 0, scale = 0, exponent;
  p += negative;
  for (; is_digit(p, end) && n < 18; p++, n++)
    digits = digits * 10 + (uint64_t)(*p - '0');
  if (p < end && *p == '.')
    for (p++; is_digit(p, end) && n < 18; p++, n++, scale++)
      digits = digits * 10 + (uint64_t)(*p - '0');
  if (n == 0 || n == 18 || !parse_exponent(&p, end, &exponent) || (p < end && !ends_scalar(*p)))
    return false;
  int by = exponent - scale;
  if (digits >= UINT64_C(1) << 53 || by < -22 || by > 22)
    return false;
  double v = by < 0 ? (double)digits / power[-by] : (double)digits * power[by];
  *out = negative ? -v : v;
  *at = p;
  return true;
}

/* Any number, or one of the words that stand for one. */
static bool parse_number(const uint8_t **at, const uint8_t *end, double *out) {
  char text[128];
  const uint8_t *stop = *at;
  if (parse_simple(at, end, out))
    return true;
  while (stop < end && !ends_scalar(*stop))
    stop++;
  size_t length = (size_t)(stop - *at);
  if (length == 0 || length >= sizeof text)
    return false;
  memcpy(text, *at, length);
  text[length] = '\0';
  *at = stop;
  const char *word = text + (*text == '-');
  if (strcmp(word, "Infinity") == 0 || strcmp(word, "NaN") == 0) {
    *out = *word == 'N' ? (double)NAN : *text == '-' ? (double)-INFINITY : (double)INFINITY;
    return true;
  }
  if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
    *out = *text == 't';
    return true;
  }
  neo_scan scan;
  neo_scan_init(&scan, text);
  return neo_scan_double(&scan, out) && *scan.at == '\0';
}

static bool json_count(xgb_span value, int64_t *n) {
  xgb_span at;
  bool done = false;
  if (!json_begin(value, &at, n))
    return false;
  for (;; ++*n) {
    if (!step(&at, *n == 0, &done))
      return false;
    if (done)
      return true;
    if (*at.at == '"' || *at.at == '{' || *at.at == '[')
      return false;
    while (at.at < at.end && !ends_scalar(*at.at))
      at.at++;
  }
}

static bool json_numbers(xgb_span value, int64_t n, double *one, float *f32, int32_t *i32,
                         uint8_t *u8) {
  xgb_span at;
  int64_t unused;
  bool done = false;
  if (one) {
    at.at = skip_space(value.at, value.end);
    return parse_number(&at.at, value.end, one);
  }
  if (!json_begin(value, &at, &unused))
    return false;
  for (int64_t i = 0; i < n; i++) {
    double v;
    if (!step(&at, i == 0, &done) || done || !parse_number(&at.at, at.end, &v) ||
        !xgb_put(v, i, f32, i32, u8))
      return false;
  }
  return step(&at, n == 0, &done) && done;
}

static bool json_text(xgb_span value, char *out, size_t size) {
  const uint8_t *at = skip_space(value.at, value.end);
  const uint8_t *after = at ? skip_value(at, value.end) : NULL;
  if (!after || *at == '{' || *at == '[')
    return false;
  if (*at == '"') {
    at++;
    after--;
  }
  size_t length = (size_t)(after - at);
  if (length >= size || memchr(at, '\\', length) || memchr(at, '\0', length))
    return false;
  memcpy(out, at, length);
  out[length] = '\0';
  return true;
}

const xgb_syntax xgb_json = {"JSON",     read_object,  json_begin, json_next,
                             json_count, json_numbers, json_text};
