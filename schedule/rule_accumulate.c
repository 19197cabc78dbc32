/* Rule accumulate: a reduction as a launch of its own, accumulators in registers, flushed to
 * memory.
 *
 * Why: not every reduction is read by one output block (partial sums of rfactor, results that
 * several blocks read): it still wants vectors and registers. How: vectors along the unit-stride
 * axis of its buffer, repeated nv times, a tile along the axis that saves most reads, the last
 * reduce axis unrolled; the lowering keeps accumulators in registers because all loops inside the
 * reduction are unrolled. */
#include "schedule/sketch.h"

#define MAX_CODE 144
#define MAX_GRID_DEPTH 3

typedef struct plan {
  neo_builder *b;
  const neo_te_block *te;
  int block, lanes, v, t, last; /* axes; t -1: none; last: the unrolled reduce axis */
  int nv, tile, unroll;         /* decisions */
} plan;

static bool reads_well(const plan *p) {
  const neo_te *te = &p->b->variant->te;
  const neo_block_facts *facts = &p->b->variant->facts.block[p->block];
  for (int i = 1; i < facts->n_access; i++) {
    const neo_access *load = &facts->access[i];
    int64_t stride = neo_access_stride(load, te, &p->b->layout[load->buffer], p->v, p->lanes);
    bool open = !p->b->laid[load->buffer] && te->buffer[load->buffer].role != NEO_TE_IN;
    if (open ? neo_access_uses(load, p->v) && neo_access_dim(load, p->v) < 0
             : stride != 0 && stride != 1)
      return false;
  }
  return true;
}

/* The axis of extent > 1 that most operands do not move with. */
static int tiled_axis(const plan *p) {
  const neo_block_facts *facts = &p->b->variant->facts.block[p->block];
  int best = -1, most = 0;
  for (int a = 0; a < p->te->n_spatial; a++) {
    int score = 0;
    for (int i = 1; i < facts->n_access; i++)
      score += !neo_access_uses(&facts->access[i], a);
    if (a != p->v && p->te->extent[a] > 1 && score > 0 && score >= most) {
      best = a;
      most = score;
    }
  }
  return best;
}

static void add_decisions(plan *p) {
  neo_builder *b = p->b;
  int64_t registers = b->space->target.vector_registers;
  p->nv = neo_builder_decision(b, "sum vectors", false);
  for (int64_t k = 1; k <= 8 && k <= neo_ceil_div(p->te->extent[p->v], p->lanes);
       k += k < 4 ? 1 : 2)
    neo_builder_value(b, p->nv, k);
  p->tile = -1;
  if (p->t >= 0) {
    p->tile = neo_builder_decision(b, "sum tile", false);
    for (int64_t k = 1; k <= p->te->extent[p->t] && k <= registers - 2 && k <= 28; k++)
      neo_builder_value(b, p->tile, k);
  }
  int d[3] = {p->nv, p->tile, -1};
  neo_builder_limit(b, NEO_LIMIT_REGISTERS, registers, 0, 2, d);
  p->unroll = neo_builder_decision(b, "sum unroll", false);
  neo_builder_divisors(b, p->unroll, p->te->extent[p->last], 8);
  int code[3] = {p->unroll, p->tile, p->nv};
  neo_builder_limit(b, NEO_LIMIT_PRODUCT, 1, MAX_CODE, 3, code);
}

static neo_slot *split(plan *p, int axis, int decision) {
  neo_slot *slot = neo_builder_slot(p->b, NEO_INSTR_SPLIT, p->block);
  slot->instr.axis = (int16_t)axis;
  neo_slot_arg_hole(slot, decision, 1);
  return slot;
}

static int add_order(plan *p) {
  int walk[NEO_TE_MAX_AXES], n = neo_builder_walk(p->b, p->block, walk);
  neo_slot *order = neo_builder_slot(p->b, NEO_INSTR_ORDER, p->block);
  for (int i = 0; i < n; i++)
    neo_slot_loop(order, walk[i], 0);
  for (int a = p->te->n_spatial; a < p->te->n_spatial + p->te->n_reduce; a++)
    neo_slot_loop(order, a, 0);
  neo_slot_loop(order, p->last, 1);
  if (p->t >= 0)
    neo_slot_loop(order, p->t, 1);
  neo_slot_loop(order, p->v, 1);
  if (p->lanes > 1)
    neo_slot_loop(order, p->v, 2);
  return n;
}

static bool apply(neo_builder *b, int block) {
  plan p = {.b = b, .te = &b->variant->te.block[block], .block = block};
  if (p.te->n_reduce == 0)
    return false;
  p.lanes = neo_builder_lanes(b, block);
  p.v = neo_builder_unit_axis(b, block, p.lanes);
  p.last = p.te->n_spatial + p.te->n_reduce - 1;
  if (p.v < 0 || !reads_well(&p))
    return false;
  neo_builder_lay_reads(b, block, p.v);
  p.t = tiled_axis(&p);
  add_decisions(&p);
  neo_slot *slot = split(&p, p.v, p.nv);
  if (p.lanes > 1)
    neo_slot_arg(slot, p.lanes);
  if (p.t >= 0)
    split(&p, p.t, p.tile);
  split(&p, p.last, p.unroll);
  int outer = add_order(&p);
  if (p.lanes > 1)
    neo_builder_mark(b, NEO_INSTR_VECTOR, block, p.v, 2);
  neo_builder_mark(b, NEO_INSTR_UNROLL, block, p.v, 1);
  if (p.t >= 0)
    neo_builder_mark(b, NEO_INSTR_UNROLL, block, p.t, 1);
  neo_builder_mark(b, NEO_INSTR_UNROLL, block, p.last, 1);
  int grid = neo_builder_decision(b, "sum grid", false);
  for (int k = 1; k <= outer && k <= MAX_GRID_DEPTH; k++)
    neo_builder_value(b, grid, k);
  neo_slot_arg_hole(neo_builder_slot(b, NEO_INSTR_PARALLEL, block), grid, 1);
  return true;
}

const neo_rule neo_rule_accumulate = {"accumulate",
                                      "a reduction as a launch, accumulators in registers", apply};
