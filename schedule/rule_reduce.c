/* Rule reduce: other reductions (pooling, sums, maxima) as register tiles along a spatial vector
 * axis. */
#include "schedule/space_tile.h"

static bool apply(neo_builder *b, int block) {
  return neo_tile_apply(b, block, false);
}

const neo_rule neo_rule_reduce = {"reduce", "reduction in a register tile inside its output block",
                                  apply};
