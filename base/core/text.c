/* Strings: comparing, joining, cases, splitting; see base/text.h. */
#include "base/text.h"

#include <string.h>

bool neo_text_same(const char *a, const char *b) {
  return strcmp(neo_text_of(a), neo_text_of(b)) == 0;
}

const char *neo_text_concat(const char *a, const char *b, neo_text_room room) {
  size_t n = strlen(neo_text_of(a)), m = strlen(neo_text_of(b));
  char *out = room.get(room.self, n + m + 1);
  if (!out)
    return NULL;
  memcpy(out, neo_text_of(a), n);
  memcpy(out + n, neo_text_of(b), m);
  out[n + m] = 0;
  return out;
}

/* Ranges of letters of two bytes, or one, where both cases are as far from one another. */
static const struct {
  int upper, last, distance;
} letters[] = {{'A', 'Z', 32},     {0xc0, 0xd6, 32},   {0xd8, 0xde, 32},  {0x391, 0x3a1, 32},
               {0x3a3, 0x3a9, 32}, {0x410, 0x42f, 32}, {0x400, 0x40f, 80}};

static int other_case(int c, neo_text_case to) {
  if (c == 0x3c2) /* sigma at the end of a word: the capital one is that of the other */
    return to == NEO_TEXT_UPPER ? 0x3a3 : c;
  for (int k = 0; k < NEO_COUNT(letters); k++) {
    int from = letters[k].upper, last = letters[k].last, far = letters[k].distance;
    if (to == NEO_TEXT_LOWER && c >= from && c <= last)
      return c + far;
    if (to == NEO_TEXT_UPPER && c >= from + far && c <= last + far)
      return c - far;
  }
  return c;
}

const char *neo_text_change_case(const char *text, neo_text_case to, neo_text_room room) {
  const unsigned char *in = (const unsigned char *)neo_text_of(text);
  size_t n = strlen((const char *)in);
  char *out = room.get(room.self, n + 1);
  if (!out)
    return NULL;
  for (size_t i = 0; i < n; i++) {
    bool two = in[i] >= 0xc2 && in[i] <= 0xdf && (in[i + 1] & 0xc0) == 0x80;
    int c = two ? (in[i] & 31) << 6 | (in[i + 1] & 63) : in[i], changed = c;
    if (two || c < 128)
      changed = other_case(c, to);
    if (!two) {
      out[i] = (char)changed;
      continue;
    }
    out[i] = (char)(0xc0 | changed >> 6);
    out[++i] = (char)(0x80 | (changed & 63));
  }
  out[n] = 0;
  return out;
}

static const char *const blanks = " \t\n\r\v\f";

bool neo_text_next(neo_text_parts *parts, const char *text, const char *delimiter, int64_t most,
                   const char **start, size_t *length) {
  const char *at = parts->at ? parts->at : neo_text_of(text);
  bool words = !*neo_text_of(delimiter);
  if (words)
    at += strspn(at, blanks);
  if (parts->ended || (words && !*at))
    return false;
  bool rest = most >= 0 && parts->found >= most;
  size_t n = strlen(at), gap = 0;
  if (!rest && words) {
    n = strcspn(at, blanks);
  } else if (!rest) {
    const char *cut = strstr(at, delimiter);
    n = cut ? (size_t)(cut - at) : n;
    gap = cut ? strlen(delimiter) : 0;
  }
  for (; rest && words && n > 0 && strchr(blanks, at[n - 1]);)
    n--;
  parts->ended = rest || (!words && gap == 0);
  parts->found++;
  parts->at = at + n + gap;
  *start = at;
  *length = n;
  return true;
}

int64_t neo_text_broadcast(int64_t i, int rank, const int64_t *out, int in_rank,
                           const int64_t *in) {
  int64_t at = 0, stride = 1;
  for (int d = rank - 1; d >= 0; d--) {
    int own = d - (rank - in_rank);
    int64_t index = i % out[d];
    i /= out[d];
    if (own < 0)
      continue;
    at += (in[own] == 1 ? 0 : index) * stride;
    stride *= in[own];
  }
  return at;
}
