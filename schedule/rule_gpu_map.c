/* Rule gpu_map: a block without reduction on a GPU: neighbouring work-items write neighbouring
 * elements.
 *
 * Why: elementwise operators, copies, concatenations and transposes are bound by memory, and a
 * GPU's memory is fast when the work-items of a group touch whole lines together. How: the output's
 * unit-stride axis is split [groups, work-items, vector]; the axis outside of it gives further
 * work-items where the first is short; all others are the grid. */
#include "schedule/space_gpu.h"

typedef struct map {
  neo_builder *b;
  const neo_te_block *te;
  int block, x, y; /* y -1: none */
  bool vectors;    /* along x */
  int items_x, items_y, vector;
} map;

static int64_t largest_axis(const neo_te_block *te, int except) {
  int best = -1;
  for (int a = 0; a < te->n_spatial; a++)
    if (a != except && te->extent[a] > 1 && (best < 0 || te->extent[a] > te->extent[best]))
      best = a;
  return best;
}

static void add_decisions(map *m) {
  neo_builder *b = m->b;
  int64_t items = b->space->target.gpu.items, x = m->te->extent[m->x];
  m->items_x = neo_builder_decision(b, "map items", false);
  neo_builder_ladder(b, m->items_x, neo_min_i64(x, items));
  m->vector = neo_builder_decision(b, "map vector", false);
  int64_t most = m->vectors ? neo_gpu_vector_lanes(b, m->block, m->x) : 1;
  for (int64_t k = 1; k <= most && k <= x; k *= 2)
    neo_builder_value(b, m->vector, k);
  m->items_y = -1;
  if (m->y >= 0) {
    m->items_y = neo_builder_decision(b, "map rows", false);
    neo_builder_ladder(b, m->items_y, neo_min_i64(m->te->extent[m->y], items));
  }
  int d[2] = {m->items_x, m->items_y};
  neo_builder_limit(b, NEO_LIMIT_PRODUCT, 1, items, 2, d);
}

static bool apply(neo_builder *b, int block) {
  map m = {.b = b, .te = &b->variant->te.block[block], .block = block};
  if (m.te->n_reduce > 0 || m.te->n_spatial == 0)
    return false;
  m.x = neo_builder_unit_axis(b, block, 4);
  m.vectors = m.x >= 0;
  if (m.x < 0)
    m.x = (int)largest_axis(m.te, -1);
  if (m.x < 0)
    return false;
  m.y = (int)largest_axis(m.te, m.x);
  neo_builder_lay_reads(b, block, m.x);
  add_decisions(&m);
  neo_slot *split = neo_builder_slot(b, NEO_INSTR_SPLIT, block);
  split->instr.axis = (int16_t)m.x;
  neo_slot_arg_hole(split, m.items_x, 1);
  neo_slot_arg_hole(split, m.vector, 1);
  if (m.y >= 0) {
    split = neo_builder_slot(b, NEO_INSTR_SPLIT, block);
    split->instr.axis = (int16_t)m.y;
    neo_slot_arg_hole(split, m.items_y, 1);
  }
  int walk[NEO_TE_MAX_AXES], n = neo_builder_walk(b, block, walk);
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, block);
  for (int i = 0; i < n; i++)
    neo_slot_loop(order, walk[i], 0);
  if (m.y >= 0)
    neo_slot_loop(order, m.y, 1);
  neo_slot_loop(order, m.x, 1);
  neo_slot_loop(order, m.x, 2);
  neo_slot_arg(neo_builder_slot(b, NEO_INSTR_PARALLEL, block), n);
  neo_slot_arg(neo_builder_slot(b, NEO_INSTR_GROUP, block), m.y >= 0 ? 2 : 1);
  if (m.vectors)
    neo_builder_mark(b, NEO_INSTR_VECTOR, block, m.x, 2);
  return true;
}

const neo_rule neo_rule_gpu_map = {"gpu_map", "neighbouring work-items write neighbouring elements",
                                   apply, NEO_RULE_GPU};
