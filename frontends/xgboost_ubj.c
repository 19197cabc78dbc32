/* frontends/xgboost_ubj.c: UBJSON (draft 12) as XGBoost writes it, opened one level at a time
 * (xgboost.h). Numbers are big-endian.
 *
 *   value   Z N T F | i int8 U uint8 I int16 l int32 L int64 | d f32 D f64 | C char
 *           S length text | H length text | [ ... ] | { ... }
 *   length  a value of integer type
 *   [ $ type # n  n values without their type | # n  n values | values ]
 *   { the same, each value after its key: length text }
 * XGBoost writes trees as objects, number arrays as `[$d#L`, older small ones as `[#L` and a typed
 * value each. Containers that are only skipped may nest 64 deep. */
#include "frontends/xgboost.h"

#include <math.h>
#include <string.h>

#define MAX_DEPTH 64

/* Bytes of a value of fixed size; -1: has none. */
static int fixed_size(uint8_t type) {
  switch (type) {
  case 'Z':
  case 'N':
  case 'T':
  case 'F':
    return 0;
  case 'i':
  case 'U':
  case 'C':
    return 1;
  case 'I':
    return 2;
  case 'l':
  case 'd':
    return 4;
  case 'L':
  case 'D':
    return 8;
  default:
    return -1;
  }
}

static uint64_t big_endian(const uint8_t *at, int n) {
  uint64_t v = 0;
  for (int i = 0; i < n; i++)
    v = v << 8 | at[i];
  return v;
}

/* A number of this type at `at`, which has fixed_size(type) bytes. */
static bool number_at(uint8_t type, const uint8_t *at, double *out) {
  uint64_t bits = big_endian(at, fixed_size(type));
  uint32_t low = (uint32_t)bits;
  float f;
  switch (type) {
  case 'T':
  case 'F':
    *out = type == 'T';
    return true;
  case 'i':
    *out = (int8_t)bits;
    return true;
  case 'U':
    *out = (double)bits;
    return true;
  case 'I':
    *out = (int16_t)bits;
    return true;
  case 'l':
    *out = (int32_t)low;
    return true;
  case 'L':
    *out = (double)(int64_t)bits;
    return true;
  case 'd':
    memcpy(&f, &low, sizeof f);
    *out = (double)f;
    return true;
  case 'D':
    memcpy(out, &bits, sizeof bits);
    return true;
  default:
    return false;
  }
}

/* A typed value at *at, moved past. */
static bool take_number(xgb_span *at, double *out) {
  if (at->at >= at->end)
    return false;
  uint8_t type = *at->at;
  int size = fixed_size(type);
  if (size < 0 || at->end - at->at - 1 < size || !number_at(type, at->at + 1, out))
    return false;
  at->at += 1 + size;
  return true;
}

static bool take_length(xgb_span *at, int64_t *out) {
  double v;
  if (at->at >= at->end || !memchr("iUIlL", *at->at, 5) || !take_number(at, &v) || v < 0 ||
      v > 1e15)
    return false;
  *out = (int64_t)v;
  return true;
}

static bool take_text(xgb_span *at, const uint8_t **text, size_t *size) {
  int64_t n;
  if (!take_length(at, &n) || n > at->end - at->at)
    return false;
  *text = at->at;
  *size = (size_t)n;
  at->at += n;
  return true;
}

/* After the opening bracket: element type (0: each has its own) and count (-1: up to the closing
 * one). */
static bool take_head(xgb_span *at, uint8_t *type, int64_t *n) {
  *type = 0;
  *n = -1;
  if (at->at < at->end && *at->at == '$') {
    if (at->end - at->at < 3 || at->at[2] != '#')
      return false;
    *type = at->at[1];
    at->at += 2;
  }
  if (at->at < at->end && *at->at == '#') {
    at->at++;
    return take_length(at, n);
  }
  return *type == 0;
}

static bool skip_content(xgb_span *at, uint8_t type, int depth);

static bool skip_value(xgb_span *at, int depth) {
  if (at->at >= at->end)
    return false;
  return skip_content(at, *at->at++, depth);
}

static bool skip_container(xgb_span *at, bool object, int depth) {
  uint8_t type, close = object ? '}' : ']';
  int64_t n;
  if (depth >= MAX_DEPTH || !take_head(at, &type, &n))
    return false;
  int size = type ? fixed_size(type) : -1;
  if (!object && size >= 0) {
    if (size > 0 && n > (at->end - at->at) / size)
      return false;
    at->at += n * size;
    return true;
  }
  if (n > at->end - at->at) /* every element or key takes a byte */
    return false;
  for (int64_t i = 0; n < 0 || i < n; i++) {
    const uint8_t *key;
    size_t key_size;
    if (n < 0 && at->at < at->end && *at->at == close) {
      at->at++;
      return true;
    }
    if (object && !take_text(at, &key, &key_size))
      return false;
    if (!(type ? skip_content(at, type, depth + 1) : skip_value(at, depth + 1)))
      return false;
  }
  return true;
}

static bool skip_content(xgb_span *at, uint8_t type, int depth) {
  const uint8_t *text;
  size_t length;
  int size = fixed_size(type);
  if (size >= 0) {
    if (at->end - at->at < size)
      return false;
    at->at += size;
    return true;
  }
  if (type == 'S' || type == 'H')
    return take_text(at, &text, &length);
  return (type == '[' || type == '{') && skip_container(at, type == '{', depth);
}

static bool ubj_object(xgb_span value, xgb_object *out) {
  xgb_span at = value;
  uint8_t type;
  int64_t n;
  out->n = 0;
  if (at.at >= at.end || *at.at++ != '{' || !take_head(&at, &type, &n) || type)
    return false;
  for (; n < 0 || out->n < n; out->n++) {
    if (n < 0 && at.at < at.end && *at.at == '}')
      return true;
    if (out->n == XGB_MAX_MEMBERS ||
        !take_text(&at, &out->member[out->n].key, &out->member[out->n].key_size))
      return false;
    out->member[out->n].value.at = at.at;
    if (!skip_value(&at, 0))
      return false;
    out->member[out->n].value.end = at.at;
  }
  return true;
}

/* Arrays of objects: an element each with its own type. */
static bool ubj_begin(xgb_span value, xgb_span *at, int64_t *left) {
  uint8_t type;
  *at = value;
  return at->at < at->end && *at->at++ == '[' && take_head(at, &type, left) && !type;
}

static bool ubj_next(xgb_span *at, int64_t *left, xgb_span *out, bool *done) {
  *done = *left == 0 || (*left < 0 && at->at < at->end && *at->at == ']');
  if (*done)
    return true;
  out->at = at->at;
  if (!skip_value(at, 0))
    return false;
  out->end = at->at;
  *left -= *left > 0;
  return true;
}

static bool ubj_count(xgb_span value, int64_t *n) {
  uint8_t type;
  xgb_span at = value;
  if (at.at >= at.end || *at.at++ != '[' || !take_head(&at, &type, n))
    return false;
  if (*n >= 0) {
    int size = type ? fixed_size(type) : 1;
    return size > 0 && *n <= (at.end - at.at) / size;
  }
  double v;
  for (*n = 0; at.at < at.end && *at.at != ']'; ++*n)
    if (!take_number(&at, &v))
      return false;
  return at.at < at.end;
}

static bool ubj_numbers(xgb_span value, int64_t n, double *one, float *f32, int32_t *i32,
                        uint8_t *u8) {
  xgb_span at = value;
  uint8_t type;
  int64_t count;
  if (one)
    return take_number(&at, one);
  if (!ubj_count(value, &count) || count != n)
    return false;
  at.at++;
  if (!take_head(&at, &type, &count))
    return false;
  int size = type ? fixed_size(type) : 0;
  for (int64_t i = 0; i < n; i++, at.at += size) {
    double v;
    if (!(type ? number_at(type, at.at, &v) : take_number(&at, &v)))
      return false;
    if (!xgb_put(v, i, f32, i32, u8))
      return false;
  }
  return true;
}

static bool ubj_text(xgb_span value, char *out, size_t size) {
  xgb_span at = value;
  const uint8_t *text;
  size_t length;
  if (at.at >= at.end)
    return false;
  if (*at.at != 'S') {
    double v;
    if (!take_number(&at, &v))
      return false;
    snprintf(out, size, "%.17g", v);
    return true;
  }
  at.at++;
  if (!take_text(&at, &text, &length) || length >= size || memchr(text, '\0', length))
    return false;
  memcpy(out, text, length);
  out[length] = '\0';
  return true;
}

const xgb_syntax xgb_ubj = {"UBJSON",  ubj_object,  ubj_begin, ubj_next,
                            ubj_count, ubj_numbers, ubj_text};
