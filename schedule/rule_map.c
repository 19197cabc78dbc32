/* Rule map: a block without reduction as a launch of its own, vectors along the output's
 * unit-stride axis.
 *
 * Why: elementwise operators, copies, concatenation, transposes, resizes and gathers are bound by
 * memory: contiguous stores, few loop iterations and both cores matter, nothing else does. How:
 * loops follow the output's memory order; the unit-stride axis is split [outer, repeat, lanes].
 * Where the input's unit-stride axis is another one (a transpose), that axis gets a tile and a
 * second order walks square tiles so that both sides use whole cache lines. Outer loops are fused
 * into the grid to a chosen depth. */
#include "schedule/sketch.h"

#define MAX_GRID_DEPTH 4
#define WORTH_SCATTERING 10 /* operations for which vectors pay although lanes are stored apart */

/* The axis along which some input is contiguous while the output is not; -1 if none. */
static int transposed_axis(const neo_builder *b, int block, int vector_axis, int lanes) {
  const neo_te *te = &b->variant->te;
  const neo_block_facts *facts = &b->variant->facts.block[block];
  for (int i = 1; i < facts->n_access; i++) {
    const neo_access *load = &facts->access[i];
    int64_t along = neo_access_stride(load, te, &b->layout[load->buffer], vector_axis, lanes);
    if (along == 0 || along == 1)
      continue;
    for (int a = 0; a < te->block[block].n_spatial; a++)
      if (a != vector_axis && te->block[block].extent[a] > 1 &&
          neo_access_stride(load, te, &b->layout[load->buffer], a, 1) == 1)
        return a;
  }
  return -1;
}

/* The last axis of extent > 1, for stores that are not contiguous along any; -1 if there is none.
 */
static int innermost_axis(const neo_builder *b, int block) {
  const neo_te_block *te_block = &b->variant->te.block[block];
  for (int a = te_block->n_spatial - 1; a >= 0; a--)
    if (te_block->extent[a] > 1)
      return a;
  return -1;
}

typedef struct map_plan {
  int block, lanes, vector_axis, tiled_axis;
  int repeat, tile, walk; /* decisions */
  int n_axes, axes[NEO_TE_MAX_AXES];
} map_plan;

static void add_order(neo_builder *b, const map_plan *p, bool square) {
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, p->block);
  for (int i = 0; i < p->n_axes; i++) {
    if (square && (p->axes[i] == p->tiled_axis || p->axes[i] == p->vector_axis))
      continue;
    neo_slot_loop(order, p->axes[i], 0);
    if (!square && p->axes[i] == p->tiled_axis)
      neo_slot_loop(order, p->axes[i], 1);
  }
  if (square) {
    neo_slot_loop(order, p->tiled_axis, 0);
    neo_slot_loop(order, p->vector_axis, 0);
    neo_slot_loop(order, p->tiled_axis, 1);
  }
  neo_slot_loop(order, p->vector_axis, 1);
  if (p->lanes > 1)
    neo_slot_loop(order, p->vector_axis, 2);
  if (p->walk >= 0)
    neo_slot_when(order, p->walk, square ? 2 : 1);
}

static void add_grid(neo_builder *b, const map_plan *p) {
  const neo_te_block *block = &b->variant->te.block[p->block];
  int grid = neo_builder_decision(b, "map grid", false);
  int most = p->n_axes < MAX_GRID_DEPTH ? p->n_axes : MAX_GRID_DEPTH, n = 0;
  for (int depth = 1; depth <= most; depth++) {
    int axis = p->axes[depth - 1];
    if (axis == p->vector_axis && block->extent[axis] <= p->lanes)
      continue;
    if (block->extent[axis] > 1) {
      neo_builder_value(b, grid, depth);
      n++;
    }
  }
  if (n == 0)
    neo_builder_value(b, grid, 1);
  neo_slot *parallel = neo_builder_slot(b, NEO_INSTR_PARALLEL, p->block);
  neo_slot_arg_hole(parallel, grid, 1);
}

static void add_splits(neo_builder *b, map_plan *p) {
  const neo_te_block *block = &b->variant->te.block[p->block];
  int64_t vectors = neo_ceil_div(block->extent[p->vector_axis], p->lanes);
  p->repeat = neo_builder_decision(b, "map repeat", false);
  for (int64_t k = 1; k <= (p->lanes > 1 ? 4 : 8) && k <= vectors; k *= 2)
    neo_builder_value(b, p->repeat, k);
  neo_slot *split = neo_builder_slot(b, NEO_INSTR_SPLIT, p->block);
  split->instr.axis = (int16_t)p->vector_axis;
  neo_slot_arg_hole(split, p->repeat, 1);
  if (p->lanes > 1)
    neo_slot_arg(split, p->lanes);
  p->tile = p->walk = -1;
  if (p->tiled_axis < 0)
    return;
  p->tile = neo_builder_decision(b, "map tile", false);
  for (int64_t k = 1; k <= 32 && k <= block->extent[p->tiled_axis]; k *= 2)
    neo_builder_value(b, p->tile, k);
  split = neo_builder_slot(b, NEO_INSTR_SPLIT, p->block);
  split->instr.axis = (int16_t)p->tiled_axis;
  neo_slot_arg_hole(split, p->tile, 1);
  p->walk = neo_builder_decision(b, "map walk", true);
  neo_builder_value(b, p->walk, 0);
  neo_builder_value(b, p->walk, 1);
}

static bool apply(neo_builder *b, int block) {
  const neo_te *te = &b->variant->te;
  if (te->block[block].n_reduce > 0 || te->block[block].n_spatial == 0)
    return false;
  map_plan p = {.block = block, .lanes = neo_builder_lanes(b, block)};
  p.vector_axis = neo_builder_unit_axis(b, block, p.lanes);
  if (p.vector_axis < 0) {
    p.vector_axis = innermost_axis(b, block);
    p.lanes = b->variant->facts.block[block].ops >= WORTH_SCATTERING ? p.lanes : 1;
  }
  if (p.vector_axis < 0)
    return false;
  neo_builder_lay_reads(b, block, p.vector_axis);
  p.n_axes = neo_builder_walk(b, block, p.axes);
  p.tiled_axis = transposed_axis(b, block, p.vector_axis, p.lanes);
  if (p.tiled_axis >= 0 && p.lanes > 1) {
    b->more = b->more || b->choice == 0;
    p.lanes = b->choice == 1 ? 1 : p.lanes;
  }
  add_splits(b, &p);
  add_order(b, &p, false);
  if (p.tiled_axis >= 0)
    add_order(b, &p, true);
  if (p.lanes > 1)
    neo_builder_mark(b, NEO_INSTR_VECTOR, block, p.vector_axis, 2);
  neo_builder_mark(b, NEO_INSTR_UNROLL, block, p.vector_axis, 1);
  add_grid(b, &p);
  return true;
}

const neo_rule neo_rule_map = {
    "map", "a launch of its own, vectors along the output's unit-stride axis", apply};
