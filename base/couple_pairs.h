/* base/couple_pairs.h: probabilities of classes from those of all pairs of classes, shared by the
 * interpreter (ir/ops_pairs.c) and the runtime (runtime/op_pairs.c). */
#ifndef NEO_BASE_COUPLE_PAIRS_H
#define NEO_BASE_COUPLE_PAIRS_H

#include <stdint.h>

/* classes (classes - 1) / 2 */
int64_t neo_pairs_of(int64_t classes);
/* The classes that have so many pairs; 0: none. */
int64_t neo_classes_of_pairs(int64_t pairs);
/* pair: P(i | i or j) of (0,1), (0,2), .., (1,2), ..; out [classes]. work has room for
 * neo_couple_pairs_work(classes) numbers. */
int64_t neo_couple_pairs_work(int64_t classes);
void neo_couple_pairs(int64_t classes, const float *pair, float *out, double *work);

#endif
