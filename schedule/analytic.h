/* schedule/analytic.h: the closed-form cost of a schedule and its terms, for prediction and
 * features. */
#ifndef NEO_SCHEDULE_ANALYTIC_H
#define NEO_SCHEDULE_ANALYTIC_H

#include "schedule/sketch.h"

/* Sums over the schedule's launches; cycles of one core unless said otherwise. */
typedef struct neo_cost {
  double ns;                             /* the prediction: wall time of one run */
  double compute;                        /* arithmetic and load/store slots of all blocks */
  double ideal;                          /* multiply-adds at the FMA peak */
  double fma, load, latency, overhead;   /* of reductions in register tiles */
  double copy;                           /* of blocks that only move data (padding, layout) */
  double epilogue;                       /* of other blocks */
  double l2_bytes, l3_bytes, dram_bytes; /* bytes that cross into L1, L2, L3 */
  double scattered;                      /* vector accesses that go lane by lane */
  double grid;                           /* of the launch with most work */
  double balance;                        /* used share of the workers in it, 0..1 */
  double launches;
  double accumulators, tile_v, tile_1, code; /* of the largest register tile */
  double packed_bytes, scratch_bytes;
  double instructions, lines; /* lines that cross into L1; only where lines are counted */
} neo_cost;

typedef struct neo_cost_options {
  const neo_target *target;
  int threads;
  bool lines;   /* count them, too */
  double limit; /* ns; 0: none. Above it out->ns may be any lower bound above it, and memory terms
                   absent */
} neo_cost_options;

void neo_cost_find(const neo_variant *variant, const neo_schedule *schedule,
                   const neo_cost_options *options, neo_cost *out);

#endif
