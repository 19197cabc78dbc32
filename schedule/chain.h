/* schedule/chain.h: a te as a chain of reductions and maps along rows, for the rules that compute
 * one row after the other (softmax, norms, sums).
 *
 * A spatial axis of the last block O is a row axis if every other block has an axis that moves with
 * it alone in all reads; all other axes are columns. Inside schedule/ only. */
#ifndef NEO_SCHEDULE_CHAIN_H
#define NEO_SCHEDULE_CHAIN_H

#include "schedule/sketch.h"

typedef struct neo_chain {
  const neo_te *te;
  const neo_facts *facts;
  int out;                                       /* O; set these three */
  int carry[NEO_TE_MAX_BLOCKS][NEO_TE_MAX_AXES]; /* O's axis -> the block's; -1: none */
  bool row[NEO_TE_MAX_AXES];                     /* O's axes */
} neo_chain;

/* False: some block before O writes more than a temporary, or is not read. */
bool neo_chain_find(neo_chain *chain);
bool neo_chain_is_row(const neo_chain *chain, int block, int axis);
/* Elements of the block's column axes. */
int64_t neo_chain_columns(const neo_chain *chain, int block);

#endif
