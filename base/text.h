/* base/text.h: what operators on strings compute, shared by the interpreter (ir/ops_text.c) and the
 * runtime (runtime/op_text.c).
 *
 * A string is NUL-terminated UTF-8; NULL is the empty one. Functions that make strings ask the
 * caller for room, so that ownership is the caller's. */
#ifndef NEO_BASE_TEXT_H
#define NEO_BASE_TEXT_H

#include "base/core.h"

/* So many bytes, or NULL: no memory. */
typedef struct neo_text_room {
  char *(*get)(void *self, size_t bytes);
  void *self;
} neo_text_room;

static inline const char *neo_text_of(const char *text) {
  return text ? text : "";
}

bool neo_text_same(const char *a, const char *b);
const char *neo_text_concat(const char *a, const char *b, neo_text_room room);

typedef enum neo_text_case { NEO_TEXT_AS_IT_IS, NEO_TEXT_LOWER, NEO_TEXT_UPPER } neo_text_case;
/* Letters of ASCII, Latin-1, Greek and Cyrillic one by one; others stay. */
const char *neo_text_change_case(const char *text, neo_text_case to, neo_text_room room);

/* A whole text as a number; false: it is none. Blanks around it do not count. */
bool neo_text_to_real(const char *text, double *out);
bool neo_text_to_int(const char *text, int64_t *out);
/* NULL: no memory. */
const char *neo_text_of_real(double v, int digits, neo_text_room room);
const char *neo_text_of_int(int64_t v, neo_text_room room);

/* Part k of the text, split at a delimiter, or at white space if that is empty: where it starts and
 * its length. False: there are no more. At most `most` splits, -1: any number; the last part is
 * then the rest. State: zero it before the first part. */
typedef struct neo_text_parts {
  const char *at;
  int64_t found;
  bool ended;
} neo_text_parts;
bool neo_text_next(neo_text_parts *parts, const char *text, const char *delimiter, int64_t most,
                   const char **start, size_t *length);

/* A regular expression of RE2's syntax without captures, look-around and back-references. */
typedef struct neo_text_pattern neo_text_pattern;
/* NEO_BAD_INPUT says where it is wrong; NEO_UNSUPPORTED if it is larger than we take. */
neo_status neo_text_pattern_create(neo_ctx *ctx, const char *text, neo_text_pattern **out);
void neo_text_pattern_destroy(neo_ctx *ctx, neo_text_pattern *pattern);
/* Does it match all of the text? Time is linear in the text. */
bool neo_text_match(const neo_text_pattern *pattern, const char *text);

/* Which element of a tensor of shape `in` is broadcast to element i of shape `out`. */
int64_t neo_text_broadcast(int64_t i, int rank, const int64_t *out, int in_rank, const int64_t *in);

#endif
