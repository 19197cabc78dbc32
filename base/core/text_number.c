/* base/core/text_number.c: numbers as strings and back, in no locale. What is written is what
 * onnxruntime writes: NaN, INF, -INF, else digits as asked for. */
#include "base/text.h"

#include <math.h>
#include <string.h>

static bool same_letters(const char *text, const char *lower) {
  for (; *text && *lower; text++, lower++)
    if ((*text | 0x20) != *lower)
      return false;
  return *text == *lower;
}

bool neo_text_to_real(const char *text, double *out) {
  neo_scan scan;
  const char *word = text + (*text == '+' || *text == '-');
  if (same_letters(word, "inf") || same_letters(word, "infinity") || same_letters(word, "nan")) {
    double special = (*word | 0x20) == 'i' ? (double)INFINITY : (double)NAN;
    *out = *text == '-' ? -special : special;
    return true;
  }
  neo_scan_init(&scan, text);
  return neo_scan_double(&scan, out) && neo_scan_end(&scan);
}

bool neo_text_to_int(const char *text, int64_t *out) {
  neo_scan scan;
  neo_scan_init(&scan, text);
  return neo_scan_int(&scan, out) && neo_scan_end(&scan);
}

static const char *copied(const char *text, neo_text_room room) {
  size_t bytes = strlen(text) + 1;
  char *copy = room.get(room.self, bytes);
  if (copy)
    memcpy(copy, text, bytes);
  return copy;
}

const char *neo_text_of_real(double v, int digits, neo_text_room room) {
  char text[40];
  if (isnan(v))
    return copied("NaN", room);
  if (isinf(v))
    return copied(v < 0 ? "-INF" : "INF", room);
  snprintf(text, sizeof text, "%.*g", digits, v);
  for (char *at = text; *at; at++) /* the locale's point */
    if (*at != '-' && *at != '+' && *at != 'e' && (*at < '0' || *at > '9'))
      *at = '.';
  return copied(text, room);
}

const char *neo_text_of_int(int64_t v, neo_text_room room) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)v);
  return copied(text, room);
}
