/* schedule/nest_range.h: intervals of index expressions under known facts (loop bounds, branch
 * conditions). Inside schedule/ only: the checker and the lowering prove accesses in bounds with
 * it. */
#ifndef NEO_SCHEDULE_NEST_RANGE_H
#define NEO_SCHEDULE_NEST_RANGE_H

#include "ir/expr.h"

#define NEO_FACTS_MAX 96

/* Facts: affine forms known to be <= 0. Push and pop by saving n. */
typedef struct neo_facts {
  const neo_range *range; /* of variables 0..n_vars-1 */
  int n_vars;
  int n;
  neo_affine fact[NEO_FACTS_MAX];
} neo_facts;

/* Adds what `cond` being true (or false) says; forms it does not understand add nothing. */
void neo_facts_assume(neo_facts *facts, const neo_expr *cond, bool truth);
/* Adds index lo <= e < hi. */
void neo_facts_assume_guard(neo_facts *facts, const neo_guard *guard);
/* Adds var < extent and var == value, for loops with computed bounds and lets. */
void neo_facts_assume_loop(neo_facts *facts, int var, const neo_expr *extent);
void neo_facts_assume_let(neo_facts *facts, int var, const neo_expr *value);
/* Interval of e under the facts; false if unbounded. lo > hi: the facts contradict each other. */
bool neo_facts_range(neo_facts *facts, const neo_expr *e, neo_range *out);

#endif
