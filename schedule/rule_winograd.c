/* Rule winograd: the blocks that algorithm winograd makes, from the padded input to the output
 * block, as one launch.
 *
 * Why: the transforms pay only if their results stay in cache: for a block of tiles the transformed
 * input of all channels is made once, then for each tile of output channels all products and their
 * inverse transform. How: output block O over (n, k, h, w) with h = [blocks, bh tiles, m rows], w
 * likewise, k = [tiles, nv, lanes]:
 *
 *   n h0 w0 | P V(D) | k0 | M | h1 w1 k1 | E Y | h2 w2 k2
 *
 * P, V and M live in per-worker scratch, D, E and Y in registers. M is a register-tiled batch of
 * products: a b n t2-tiles t1-tiles | c | t2 t1 nv lanes, its operand U packed so that each panel
 * is contiguous. */
#include "schedule/sketch.h"

#include <string.h>

#define MAX_CODE 144
#define N_PLANS 5

/* Axes of the blocks (algorithm_winograd.c). */
enum { O_N, O_K, O_H, O_W };
enum { M_A, M_B, M_N, M_Y, M_X, M_K, M_C };
enum { T_A = 3, T_B = 4, T_LAST = 5 }; /* D, E and Y: n, y, x, position, position, channel */

typedef struct chain {
  neo_builder *b;
  int out, y, e, m, v, d, p; /* blocks */
  int lanes;
  int64_t rows, columns; /* of one output tile */
  int nv, t1, t2, bh, bw, unroll, plan;
} chain;

/* The block that makes the one TMP of this rank which `block` reads; -1 if there is none. */
static int source_of(const neo_builder *b, int block, int rank) {
  const neo_block_facts *facts = &b->variant->facts.block[block];
  for (int i = 1; i < facts->n_access; i++) {
    int buffer = facts->access[i].buffer;
    if (b->variant->te.buffer[buffer].role == NEO_TE_TMP && facts->access[i].rank == rank &&
        b->variant->facts.n_readers[buffer] == 1)
      return b->variant->facts.writer[buffer];
  }
  return -1;
}

static bool find_chain(chain *c) {
  if (strncmp(c->b->variant->alg, "winograd", 8) != 0)
    return false;
  const int ranks[] = {6, 6, 6, 6, 6, 4};
  int *const blocks[] = {&c->y, &c->e, &c->m, &c->v, &c->d, &c->p};
  int at = c->out;
  for (int i = 0; i < NEO_COUNT(ranks); i++) {
    at = source_of(c->b, at, ranks[i]);
    if (at < 0 || c->b->done[at])
      return false;
    *blocks[i] = at;
  }
  const neo_te_block *out = &c->b->variant->te.block[c->out], *y = &c->b->variant->te.block[c->y];
  c->rows = y->extent[T_A];
  c->columns = y->extent[T_B];
  return out->n_spatial == 4 && out->n_reduce == 0 && out->extent[O_K] == y->extent[T_LAST] &&
         neo_ceil_div(out->extent[O_H], c->rows) == y->extent[1] &&
         neo_ceil_div(out->extent[O_W], c->columns) == y->extent[2];
}

static void count(chain *c, int *decision, const char *name, int64_t most) {
  *decision = neo_builder_decision(c->b, name, false);
  for (int64_t k = 1; k <= most; k++)
    neo_builder_value(c->b, *decision, k);
}

static void add_decisions(chain *c) {
  const neo_te_block *m = &c->b->variant->te.block[c->m];
  int registers = c->b->space->target.vector_registers;
  count(c, &c->nv, "vectors", neo_min_i64(neo_ceil_div(m->extent[M_K], c->lanes), 4));
  count(c, &c->t1, "tile", neo_min_i64(m->extent[M_X], neo_min_i64(registers - 2, 28)));
  count(c, &c->t2, "tile rows", neo_min_i64(m->extent[M_Y], 4));
  int tile[3] = {c->nv, c->t1, c->t2};
  neo_builder_limit(c->b, NEO_LIMIT_REGISTERS, registers, 0, 3, tile);
  c->bh = neo_builder_decision(c->b, "block rows", false);
  neo_builder_ladder(c->b, c->bh, m->extent[M_Y]);
  c->bw = neo_builder_decision(c->b, "block columns", false);
  neo_builder_ladder(c->b, c->bw, m->extent[M_X]);
  c->unroll = neo_builder_decision(c->b, "unroll", false);
  neo_builder_divisors(c->b, c->unroll, m->extent[M_C], 4);
  int code[4] = {c->unroll, c->t2, c->t1, c->nv};
  neo_builder_limit(c->b, NEO_LIMIT_PRODUCT, 1, MAX_CODE, 4, code);
  c->plan = neo_builder_decision(c->b, "plan", true);
  for (int k = 0; k < (c->b->space->options.threads > 1 ? N_PLANS : 2); k++)
    neo_builder_value(c->b, c->plan, k);
}

static neo_slot *split(chain *c, int block, int axis) {
  neo_slot *slot = neo_builder_slot(c->b, NEO_INSTR_SPLIT, block);
  slot->instr.axis = (int16_t)axis;
  return slot;
}

/* Loops as axis * 16 + level. */
static void order(chain *c, int block, const int *loops, int n) {
  neo_slot *slot = neo_builder_slot(c->b, NEO_INSTR_ORDER, block);
  for (int i = 0; i < n; i++)
    neo_slot_loop(slot, loops[i] / 16, loops[i] % 16);
}

static neo_slot *attach(chain *c, int block, int consumer, int depth, neo_scope scope) {
  neo_slot *at = neo_builder_slot(c->b, NEO_INSTR_AT, block);
  neo_slot_arg(at, consumer);
  neo_slot_arg(at, depth);
  neo_slot_arg(at, scope);
  return at;
}

#define L(axis, level) ((axis)*16 + (level))

static void schedule_output(chain *c) {
  neo_slot *slot = split(c, c->out, O_K);
  neo_slot_arg_hole(slot, c->nv, 1);
  neo_slot_arg(slot, c->lanes);
  slot = split(c, c->out, O_H);
  neo_slot_arg_hole(slot, c->bh, 1);
  neo_slot_arg(slot, c->rows);
  slot = split(c, c->out, O_W);
  neo_slot_arg_hole(slot, c->bw, 1);
  neo_slot_arg(slot, c->columns);
  const int loops[] = {L(O_N, 0), L(O_H, 0), L(O_W, 0), L(O_K, 0), L(O_H, 1),
                       L(O_W, 1), L(O_K, 1), L(O_H, 2), L(O_W, 2), L(O_K, 2)};
  order(c, c->out, loops, NEO_COUNT(loops));
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, c->out, O_K, 2);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->out, O_H, 2);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->out, O_W, 2);
}

/* Plans: where the stages run and what the grid of the output launch is.
 *
 *   0  P in a launch of its own; grid over rows of tile blocks
 *   1  P inside the tile block
 *   2, 3  the same two, columns of tile blocks are in the grid, too
 *   4  P and V in launches of their own; output channels are in the grid, too: few tiles, of which
 *      each worker needs all and only its part of U */
static void add_plans(chain *c) {
  static const struct { int depth, plans; } grids[] = {{2, 0x3}, {3, 0xc}, {4, 0x10}};
  for (int i = 0; i < (c->b->space->options.threads > 1 ? NEO_COUNT(grids) : 1); i++) {
    neo_slot *grid = neo_builder_slot(c->b, NEO_INSTR_PARALLEL, c->out);
    neo_slot_arg(grid, grids[i].depth);
    neo_slot_when(grid, c->plan, grids[i].plans);
  }
  neo_slot_when(attach(c, c->p, c->out, 3, NEO_SCOPE_SCRATCH), c->plan, 0xa);
  neo_slot *root = neo_builder_slot(c->b, NEO_INSTR_PARALLEL, c->p);
  neo_slot_arg(root, 2);
  neo_slot_when(root, c->plan, 0x15);
  neo_slot_when(attach(c, c->v, c->out, 3, NEO_SCOPE_SCRATCH), c->plan, 0xf);
  root = neo_builder_slot(c->b, NEO_INSTR_PARALLEL, c->v);
  neo_slot_arg(root, 3);
  neo_slot_when(root, c->plan, 0x10);
}

/* A block over (n, y, x, position, position, channel): one tile and vector at a time, positions
 * unrolled. */
static void schedule_transform(chain *c, int block, int first, int second) {
  neo_slot_arg(split(c, block, T_LAST), c->lanes);
  const int loops[] = {L(0, 0),     L(1, 0),      L(2, 0),     L(T_LAST, 0),
                       L(first, 0), L(second, 0), L(T_LAST, 1)};
  order(c, block, loops, NEO_COUNT(loops));
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, block, T_LAST, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, block, T_A, 0);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, block, T_B, 0);
}

static void schedule_input(chain *c) {
  neo_slot_arg(split(c, c->p, 3), c->lanes);
  const int padded[] = {L(0, 0), L(1, 0), L(2, 0), L(3, 0), L(3, 1)};
  order(c, c->p, padded, NEO_COUNT(padded));
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, c->p, 3, 1);
  schedule_transform(c, c->d, T_B, T_A);
  attach(c, c->d, c->v, 4, NEO_SCOPE_REG);
  neo_slot_arg(split(c, c->v, M_K), c->lanes);
  const int loops[] = {L(M_N, 0), L(M_Y, 0), L(M_X, 0), L(M_K, 0), L(M_A, 0), L(M_B, 0), L(M_K, 1)};
  order(c, c->v, loops, NEO_COUNT(loops));
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, c->v, M_K, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->v, M_A, 0);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->v, M_B, 0);
}

static void schedule_products(chain *c) {
  neo_slot_arg_hole(split(c, c->m, M_Y), c->t2, 1);
  neo_slot_arg_hole(split(c, c->m, M_X), c->t1, 1);
  neo_slot *slot = split(c, c->m, M_K);
  neo_slot_arg_hole(slot, c->nv, 1);
  neo_slot_arg(slot, c->lanes);
  neo_slot_arg_hole(split(c, c->m, M_C), c->unroll, 1);
  const int loops[] = {L(M_A, 0), L(M_B, 0), L(M_N, 0), L(M_Y, 0), L(M_X, 0), L(M_K, 0),
                       L(M_C, 0), L(M_C, 1), L(M_Y, 1), L(M_X, 1), L(M_K, 1), L(M_K, 2)};
  order(c, c->m, loops, NEO_COUNT(loops));
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, c->m, M_K, 2);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->m, M_C, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->m, M_Y, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->m, M_X, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->m, M_K, 1);
  attach(c, c->m, c->out, 4, NEO_SCOPE_SCRATCH);
}

/* U[a, b, c, k] as [k / tile, a, b, c, k % tile]; all temporaries row-major. */
static void lay(chain *c) {
  const neo_te *te = &c->b->variant->te;
  const neo_layout row_major = {0};
  const int chain_blocks[] = {c->y, c->e, c->m, c->v, c->d, c->p};
  for (int i = 0; i < NEO_COUNT(chain_blocks); i++)
    neo_builder_lay(c->b, te->block[chain_blocks[i]].buffer, &row_major);
  neo_layout panels = {
      .n = 5,
      .dim = {{3, '/', c->lanes}, {0, ' ', 0}, {1, ' ', 0}, {2, ' ', 0}, {3, '%', c->lanes}}};
  const neo_block_facts *facts = &c->b->variant->facts.block[c->m];
  for (int i = 1; i < facts->n_access; i++) {
    if (te->buffer[facts->access[i].buffer].role != NEO_TE_CONST)
      continue;
    neo_slot *slot = neo_builder_lay(c->b, facts->access[i].buffer, &panels);
    neo_slot_hole(slot, NEO_HOLE_LAYOUT + 0, c->nv, c->lanes);
    neo_slot_hole(slot, NEO_HOLE_LAYOUT + 4, c->nv, c->lanes);
  }
  neo_builder_lay_reads(c->b, c->out, O_K);
}

static bool apply(neo_builder *b, int block) {
  chain c = {.b = b, .out = block, .lanes = neo_builder_lanes(b, block)};
  if (!find_chain(&c) || c.lanes < 2 || neo_builder_unit_axis(b, block, c.lanes) != O_K)
    return false;
  add_decisions(&c);
  lay(&c);
  schedule_output(&c);
  add_plans(&c);
  schedule_input(&c);
  schedule_products(&c);
  schedule_transform(&c, c.e, T_B, T_A);
  attach(&c, c.e, c.out, 7, NEO_SCOPE_REG);
  schedule_transform(&c, c.y, T_A, T_B);
  attach(&c, c.y, c.out, 7, NEO_SCOPE_REG);
  const int blocks[] = {c.out, c.y, c.e, c.m, c.v, c.d, c.p};
  for (int i = 0; i < NEO_COUNT(blocks); i++)
    b->done[blocks[i]] = true;
  return true;
}

const neo_rule neo_rule_winograd = {
    "winograd", "transforms and products of a block of tiles in one launch", apply};
