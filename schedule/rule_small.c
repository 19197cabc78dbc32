/* Rule small: the block in axis order, scalar, serial.
 *
 * Why: every te has a schedule, however odd its indices; tiny blocks need no other.
 * How: no instruction at all: that is what a block without instructions means. */
#include "schedule/sketch.h"

static bool apply(neo_builder *b, int block) {
  (void)b;
  (void)block;
  return true;
}

const neo_rule neo_rule_small = {"small", "axis order, scalar, serial; always applies", apply,
                                 NEO_RULE_ANY};
