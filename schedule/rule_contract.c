/* Rule contract: multiply-add reductions (convolutions of every kind, matrix products) as register
 * tiles. */
#include "schedule/space_tile.h"

static bool apply(neo_builder *b, int block) {
  return neo_tile_apply(b, block, true);
}

const neo_rule neo_rule_contract = {
    "contract", "sum of products in a register tile inside its output block", apply};
