/* Rule strassen: the blocks that algorithm strassen makes, from the sums of quadrants to the output
 * block.
 *
 * Why: the sums cost little if the products of one group of columns are still in cache when they
 * are assembled. How: the sums of x (T) are a launch of their own, stored as they come or as [p,
 * .., r / L, m, r % L]: there the rows of a tile are neighbours, so they share no cache set
 * whatever the size of r. The output block O is cut into n = [pairs of groups, 2, nv, lanes] and m
 * = [blocks, bh, 2]:
 *
 *   rest n0 m0 | P | m1 | Y | m2 n1 nv lanes
 *
 * P, all seven products of a block of rows and a group of columns, lives in per-worker scratch with
 * the seven next to each other; Y in registers. P is a register tile: p rest m0 | r0 r1 | m1 nv
 * lanes, its operand U packed so that each panel is contiguous. */
#include "schedule/algorithm.h"
#include "schedule/sketch.h"

#include <string.h>

#define MAX_CODE 144 /* vector operations of one unrolled step */

typedef struct chain {
  neo_builder *b;
  const neo_te *te;
  int out, y, p, t; /* blocks */
  int lanes, nv;
  int o_m, o_n;                      /* O's axes */
  int p_m, p_j, p_i, p_r;            /* P's axes; Y's are the same but for r */
  int t_m, t_r;                      /* dims and axes of T */
  const neo_access *sums, *constant; /* P's operands */
  int tile, bh, vectors, unroll, plan, blocked;
} chain;

#define L(axis, level) ((axis)*16 + (level))

/* ---- recognising --------------------------------------------------------------------------------------- */

/* The access of `block` to the one TMP that it reads. */
static const neo_access *source_of(const chain *c, int block) {
  const neo_facts *facts = &c->b->variant->facts;
  for (int i = 1; i < facts->block[block].n_access; i++) {
    const neo_access *read = &facts->block[block].access[i];
    if (c->te->buffer[read->buffer].role == NEO_TE_TMP && facts->n_readers[read->buffer] == 1 &&
        !c->b->done[facts->writer[read->buffer]])
      return read;
  }
  return NULL;
}

static uint32_t bits_of(const neo_access *access) {
  uint32_t all = 0;
  for (int d = 0; d < access->rank; d++)
    all |= access->axes[d];
  return all;
}

static int only_axis(uint32_t bits) {
  int axis = 0;
  if (bits == 0 || (bits & (bits - 1)) != 0)
    return -1;
  while (!(bits >> axis & 1))
    axis++;
  return axis;
}

/* P's axes by which operand moves with them, and O's through what it reads of Y. */
static bool find_axes(chain *c, const neo_access *read) {
  const neo_te_block *p = &c->te->block[c->p];
  uint32_t in_u = bits_of(c->constant), in_t = bits_of(c->sums);
  c->p_m = c->p_j = c->p_r = -1;
  c->p_i = p->n_spatial - 1;
  for (int a = 1; a < p->n_spatial + p->n_reduce; a++) {
    if (in_u >> a & in_t >> a & 1)
      c->p_r = a;
    else if (in_u >> a & 1 && a != c->p_i)
      c->p_j = a;
  }
  if (c->p_r < p->n_spatial)
    return false;
  c->o_m = only_axis(read->axes[0]);
  c->o_n = only_axis(read->axes[1]);
  for (int a = 1; a < c->p_i; a++)
    if (only_axis(read->axes[a + 1]) == c->o_m)
      c->p_m = a;
  if (c->p_m < 0 || c->p_j < 0 || c->o_m < 0 || c->o_n < 0)
    return false;
  c->t_m = neo_access_dim(c->sums, c->p_m);
  c->t_r = neo_access_dim(c->sums, c->p_r);
  return c->t_m > 0 && c->t_r > 0;
}

static bool find_chain(chain *c) {
  if (strncmp(c->b->variant->alg, "strassen", 8) != 0)
    return false;
  const neo_facts *facts = &c->b->variant->facts;
  const neo_access *read = source_of(c, c->out);
  c->y = read ? facts->writer[read->buffer] : -1;
  const neo_access *products = c->y < 0 ? NULL : source_of(c, c->y);
  c->p = products ? facts->writer[products->buffer] : -1;
  c->sums = c->p < 0 ? NULL : source_of(c, c->p);
  c->t = c->sums ? facts->writer[c->sums->buffer] : -1;
  if (c->t < 0 || c->te->block[c->p].n_reduce == 0 || facts->block[c->p].n_access != 3)
    return false;
  c->constant = &facts->block[c->p].access[c->sums == &facts->block[c->p].access[1] ? 2 : 1];
  return c->te->buffer[c->constant->buffer].role == NEO_TE_CONST && find_axes(c, read);
}

/* Contiguous loads of x along r, contiguous stores along n, groups of whole vectors. */
static bool is_vectorizable(chain *c) {
  int64_t group;
  const neo_block_facts *sums = &c->b->variant->facts.block[c->t];
  const neo_access *x = &sums->access[1];
  if (c->lanes < 2 || !neo_algorithm_param(c->b->variant->alg, "g", &group) ||
      group % c->lanes != 0 || neo_builder_unit_axis(c->b, c->out, c->lanes) != c->o_n ||
      neo_access_stride(x, c->te, &c->b->layout[x->buffer], c->t_r, c->lanes) != 1 ||
      c->te->block[c->p].extent[c->p_r] % c->lanes != 0)
    return false;
  c->nv = (int)(group / c->lanes);
  return c->nv >= 2 && c->nv <= 4;
}

/* ---- slots --------------------------------------------------------------------------------------------- */

static void add_decisions(chain *c) {
  int64_t rows = c->te->block[c->p].extent[c->p_m];
  int registers = c->b->space->target.vector_registers;
  c->tile = neo_builder_decision(c->b, "tile", false);
  for (int64_t k = 1; k <= neo_min_i64(rows, neo_min_i64(registers - 2, 30)); k++)
    neo_builder_value(c->b, c->tile, k);
  c->vectors = neo_builder_decision(c->b, "vectors", false);
  neo_builder_value(c->b, c->vectors, c->nv);
  int tile[2] = {c->vectors, c->tile};
  neo_builder_limit(c->b, NEO_LIMIT_REGISTERS, registers, 0, 2, tile);
  c->bh = neo_builder_decision(c->b, "rows in cache", false);
  neo_builder_ladder(c->b, c->bh, rows);
  c->unroll = neo_builder_decision(c->b, "unroll", false);
  neo_builder_divisors(c->b, c->unroll, c->te->block[c->p].extent[c->p_r], 4);
  int code[3] = {c->unroll, c->tile, c->vectors};
  neo_builder_limit(c->b, NEO_LIMIT_PRODUCT, 1, MAX_CODE, 3, code);
  c->blocked = neo_builder_decision(c->b, "blocked sums", true);
  neo_builder_value(c->b, c->blocked, 0);
  neo_builder_value(c->b, c->blocked, 1);
  c->plan = neo_builder_decision(c->b, "plan", true);
  for (int k = 0; k < (c->b->space->options.threads > 1 ? 4 : 2); k++)
    neo_builder_value(c->b, c->plan, k);
}

static neo_slot *split(chain *c, int block, int axis) {
  neo_slot *slot = neo_builder_slot(c->b, NEO_INSTR_SPLIT, block);
  slot->instr.axis = (int16_t)axis;
  return slot;
}

static neo_slot *order(chain *c, int block, const int *loops, int n) {
  neo_slot *slot = neo_builder_slot(c->b, NEO_INSTR_ORDER, block);
  for (int i = 0; i < n; i++)
    neo_slot_loop(slot, loops[i] / 16, loops[i] % 16);
  return slot;
}

static void attach(chain *c, int block, int depth, neo_scope scope) {
  neo_slot *at = neo_builder_slot(c->b, NEO_INSTR_AT, block);
  neo_slot_arg(at, c->out);
  neo_slot_arg(at, depth);
  neo_slot_arg(at, scope);
}

/* Axes of the block other than a and b and from `first` on, as loops; returns how many. */
static int other_axes(const chain *c, int block, int first, int a, int b, int *loops) {
  const neo_te_block *te = &c->te->block[block];
  int n = 0;
  for (int x = first; x < te->n_spatial + te->n_reduce; x++)
    if (x != a && x != b)
      loops[n++] = L(x, 0);
  return n;
}

/* Plans: columns outside or rows outside; with threads also both in the grid. */
static void schedule_output(chain *c) {
  neo_slot *slot = split(c, c->out, c->o_n);
  neo_slot_arg(slot, 2);
  neo_slot_arg(slot, c->nv);
  neo_slot_arg(slot, c->lanes);
  slot = split(c, c->out, c->o_m);
  neo_slot_arg_hole(slot, c->bh, 1);
  neo_slot_arg(slot, 2);
  int loops[NEO_TE_MAX_AXES + 8], rest = other_axes(c, c->out, 0, c->o_m, c->o_n, loops), n = rest;
  const int inner[] = {L(c->o_m, 1), L(c->o_m, 2), L(c->o_n, 1), L(c->o_n, 2), L(c->o_n, 3)};
  memcpy(loops + n + 2, inner, sizeof(inner));
  for (int rows_first = 0; rows_first < 2; rows_first++) {
    loops[n + rows_first] = L(c->o_n, 0);
    loops[n + 1 - rows_first] = L(c->o_m, 0);
    neo_slot_when(order(c, c->out, loops, n + 2 + NEO_COUNT(inner)), c->plan,
                  rows_first ? 0xa : 0x5);
  }
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, c->out, c->o_n, 3);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->out, c->o_n, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->out, c->o_n, 2);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->out, c->o_m, 2);
  for (int k = 0; k < (c->b->space->options.threads > 1 ? 2 : 1); k++) {
    neo_slot *grid = neo_builder_slot(c->b, NEO_INSTR_PARALLEL, c->out);
    neo_slot_arg(grid, rest + 1 + k);
    neo_slot_when(grid, c->plan, k ? 0xc : 0x3);
  }
  attach(c, c->p, rest + 2, NEO_SCOPE_SCRATCH);
  attach(c, c->y, rest + 3, NEO_SCOPE_REG);
}

static void schedule_quadrants(chain *c) {
  int i = c->p_i + 1;
  neo_slot_arg(split(c, c->y, i), c->lanes);
  int loops[NEO_TE_MAX_AXES + 2], n = other_axes(c, c->y, 2, i, -1, loops);
  const int inner[] = {L(i, 0), L(0, 0), L(1, 0), L(i, 1)};
  memcpy(loops + n, inner, sizeof(inner));
  order(c, c->y, loops, n + NEO_COUNT(inner));
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, c->y, i, 1);
  for (int a = 0; a < c->te->block[c->y].n_spatial; a++)
    neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->y, a, 0);
}

static void schedule_products(chain *c) {
  neo_slot_arg_hole(split(c, c->p, c->p_m), c->tile, 1);
  neo_slot_arg(split(c, c->p, c->p_i), c->lanes);
  neo_slot_arg_hole(split(c, c->p, c->p_r), c->unroll, 1);
  const neo_te_block *p = &c->te->block[c->p];
  int loops[NEO_TE_MAX_AXES + 8], n = 1;
  loops[0] = L(0, 0);
  for (int a = 1; a < p->n_spatial; a++)
    if (a != c->p_m && a != c->p_i)
      loops[n++] = L(a, 0);
  loops[n++] = L(c->p_m, 0);
  for (int a = p->n_spatial; a < p->n_spatial + p->n_reduce; a++)
    if (a != c->p_r)
      loops[n++] = L(a, 0);
  const int inner[] = {L(c->p_r, 0), L(c->p_r, 1), L(c->p_m, 1), L(c->p_i, 0), L(c->p_i, 1)};
  memcpy(loops + n, inner, sizeof(inner));
  order(c, c->p, loops, n + NEO_COUNT(inner));
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, c->p, c->p_i, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->p, c->p_r, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->p, c->p_m, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->p, c->p_i, 0);
}

static void schedule_sums(chain *c) {
  neo_slot_arg(split(c, c->t, c->t_r), c->lanes);
  int loops[NEO_TE_MAX_AXES + 3], n = other_axes(c, c->t, 1, c->t_r, -1, loops), grid = n;
  loops[n++] = L(c->t_r, 0);
  loops[n++] = L(0, 0);
  loops[n++] = L(c->t_r, 1);
  order(c, c->t, loops, n);
  neo_builder_mark(c->b, NEO_INSTR_VECTOR, c->t, c->t_r, 1);
  neo_builder_mark(c->b, NEO_INSTR_UNROLL, c->t, 0, 0);
  neo_slot_arg(neo_builder_slot(c->b, NEO_INSTR_PARALLEL, c->t), grid);
}

/* ---- layouts ------------------------------------------------------------------------------------------- */

static void push(neo_layout *layout, int dim, char part, int factor) {
  layout->dim[layout->n++] = (neo_layout_dim){(int8_t)dim, part, factor};
}

static void lay(chain *c) {
  neo_layout sums = {0}, products = {0}, panels = {0};
  for (int d = 0; d < c->te->block[c->t].n_spatial; d++)
    if (d != c->t_m && d != c->t_r)
      push(&sums, d, ' ', 0);
  push(&sums, c->t_r, '/', c->lanes);
  push(&sums, c->t_m, ' ', 0);
  push(&sums, c->t_r, '%', c->lanes);
  neo_slot *slot = neo_builder_lay(c->b, c->te->block[c->t].buffer, &sums);
  if (slot)
    neo_slot_when(slot, c->blocked, 2);
  for (int d = 1; d < c->te->block[c->p].n_spatial; d++)
    if (d != c->p_i)
      push(&products, d, ' ', 0);
  push(&products, 0, ' ', 0);
  push(&products, c->p_i, ' ', 0);
  neo_builder_lay(c->b, c->te->block[c->p].buffer, &products);
  const neo_layout row_major = {0};
  neo_builder_lay(c->b, c->te->block[c->y].buffer, &row_major);
  int u_j = neo_access_dim(c->constant, c->p_j), u_i = neo_access_dim(c->constant, c->p_i),
      u_r = neo_access_dim(c->constant, c->p_r);
  push(&panels, u_j, ' ', 0);
  for (int d = 0; d < c->constant->rank; d++)
    if (d != u_j && d != u_r && d != u_i)
      push(&panels, d, ' ', 0);
  push(&panels, u_r, ' ', 0);
  push(&panels, u_i, ' ', 0);
  neo_builder_lay(c->b, c->constant->buffer, &panels);
  neo_builder_lay_reads(c->b, c->out, c->o_n);
}

static bool apply(neo_builder *b, int block) {
  chain c = {.b = b, .te = &b->variant->te, .out = block, .lanes = neo_builder_lanes(b, block)};
  if (!find_chain(&c) || !is_vectorizable(&c))
    return false;
  add_decisions(&c);
  lay(&c);
  schedule_output(&c);
  schedule_quadrants(&c);
  schedule_products(&c);
  schedule_sums(&c);
  const int blocks[] = {c.out, c.y, c.p, c.t};
  for (int i = 0; i < NEO_COUNT(blocks); i++)
    b->done[blocks[i]] = true;
  return true;
}

const neo_rule neo_rule_strassen = {
    "strassen", "sums of quadrants, their products and the output of a group of columns", apply};
