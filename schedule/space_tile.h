/* schedule/space_tile.h: register-tiled reductions, shared by rules contract and reduce. */
#ifndef NEO_SCHEDULE_SPACE_TILE_H
#define NEO_SCHEDULE_SPACE_TILE_H

#include "schedule/sketch.h"

/* Schedules output block `block` with the one reduction that it reads computed in registers inside
 * it. contraction: wants a multiply-add of two operands; else wants any other reduction. */
bool neo_tile_apply(neo_builder *b, int block, bool contraction);

#endif
