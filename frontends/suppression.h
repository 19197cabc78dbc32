/* frontends/suppression.h: non-max suppression as TensorFlow and TFLite have it: of one list of
 * boxes, with indices that may be filled up to a fixed number. */
#ifndef NEO_FRONTENDS_SUPPRESSION_H
#define NEO_FRONTENDS_SUPPRESSION_H

#include "frontends/emit.h"

typedef struct neo_suppression {
  int boxes, scores;    /* [n, 4] and [n] f32 */
  int most, iou, least; /* scalars; least, of the score, may be NEO_NO_VALUE */
} neo_suppression;

typedef struct neo_suppressed {
  int index, count; /* i64 [min(most, n)], of which the first count [] are real */
} neo_suppressed;

neo_suppressed neo_emit_suppression(neo_emitter *e, const neo_suppression *in);
/* The first `count` of x [m], then zeros up to n. */
int neo_emit_filled(neo_emitter *e, int x, int count, int64_t m, int64_t n);

#endif
