/* Rule rows: a chain of reductions and maps (softmax, normalisations, sums along rows) as one
 * launch, computed row by row.
 *
 * Why: as launches of their own, the passes of a softmax write and read the whole tensor each; row
 * by row it stays in the first cache, and the launch is paid once. How: the last block O is the
 * root. A spatial axis of O is a row axis if every other block has an axis that moves with it alone
 * in all reads. O's outer loops are the row axes, the innermost of them (t) tiled; all other blocks
 * are computed `at` the tile. Two forms:
 *
 *   columns   O's unit-stride axis is no row axis, or the variant is rfactor's: vectors along
 *             columns, `row tile` rows at a time. Partial sums of rfactor accumulate in registers
 *             and go to a small array, from which the scalar sums read.
 *   across    t itself is the unit-stride axis: vectors along t, reductions in registers.
 *
 * With other axes between (columns of a reduction beyond partial sums) the rule does not apply. */
#include "schedule/chain.h"

#include <string.h>

#define MAX_PARTIAL 64 /* elements of a reduction's columns */
#define MAX_CODE 96
#define MAX_GRID_DEPTH 3
#define SHORT 8 /* reduce axes up to this are unrolled */

typedef struct rows {
  neo_builder *b;
  neo_chain c;
  int n_rows, rows[NEO_TE_MAX_AXES]; /* in walk order */
  int t;                             /* O's axis; -1: none */
  bool across;
  int tile, repeat, unroll; /* decisions */
} rows;

/* ---- recognising --------------------------------------------------------------------------------------- */

/* Do all loads move with the axis by one element or not at all, as far as that is decided? */
static bool reads_well(const rows *p, int block, int axis, int lanes) {
  const neo_block_facts *facts = &p->c.facts->block[block];
  for (int i = 1; i < facts->n_access; i++) {
    const neo_access *load = &facts->access[i];
    bool open = !p->b->laid[load->buffer] && p->c.te->buffer[load->buffer].role != NEO_TE_IN;
    int64_t stride = neo_access_stride(load, p->c.te, &p->b->layout[load->buffer], axis, lanes);
    if (open ? neo_access_uses(load, axis) && neo_access_dim(load, axis) < 0
             : stride != 0 && stride != 1)
      return false;
  }
  return true;
}

static bool is_factored(const rows *p) {
  return strncmp(p->b->variant->alg, "rfactor", 7) == 0;
}

/* Reductions must fit: partial sums along contiguous columns, single sums, or lanes across rows. */
static bool fits(const rows *p) {
  int reductions = 0;
  for (int x = 0; x <= p->c.out; x++) {
    const neo_te_block *te = &p->c.te->block[x];
    int64_t columns = neo_chain_columns(&p->c, x);
    int last = te->n_spatial - 1;
    if (te->n_reduce == 0)
      continue;
    reductions++;
    if (columns > MAX_PARTIAL || (p->c.facts->block[x].contraction && !is_factored(p)))
      return false;
    if (p->across && (columns > 1 || !reads_well(p, x, p->c.carry[x][p->t], 1)))
      return false;
    if (!p->across && columns > 1 &&
        (neo_chain_is_row(&p->c, x, last) || te->extent[last] != columns ||
         !reads_well(p, x, last, 1)))
      return false;
  }
  return p->c.te->block[p->c.out].n_reduce == 0 && reductions >= (is_factored(p) ? 1 : 2);
}

static bool find_rows(rows *p) {
  int walk[NEO_TE_MAX_AXES], n;
  if (!neo_chain_find(&p->c))
    return false;
  n = neo_builder_walk(p->b, p->c.out, walk);
  p->t = -1;
  for (int i = 0; i < n; i++)
    if (p->c.row[walk[i]])
      p->rows[p->n_rows++] = p->t = walk[i];
  int unit = neo_builder_unit_axis(p->b, p->c.out, 1);
  if (unit >= 0 && p->c.row[unit] && !is_factored(p)) {
    p->across = true;
    p->t = unit;
  }
  return fits(p);
}

/* ---- decisions ------------------------------------------------------------------------------------------ */

/* Vectors of the widest register tile of a reduction, for one row. */
static int64_t partial_vectors(const rows *p) {
  int64_t most = 1;
  for (int x = 0; x < p->c.out; x++)
    if (p->c.te->block[x].n_reduce > 0) {
      int64_t n = neo_ceil_div(neo_chain_columns(&p->c, x), neo_builder_lanes(p->b, x));
      most = n > most ? n : most;
    }
  return most;
}

static int powers(rows *p, const char *name, int64_t most) {
  int d = neo_builder_decision(p->b, name, false);
  for (int64_t k = 1; k <= most; k *= 2)
    neo_builder_value(p->b, d, k);
  return d;
}

static void add_decisions(rows *p) {
  neo_builder *b = p->b;
  int64_t registers = b->space->target.vector_registers, vectors = partial_vectors(p);
  int64_t extent = p->t < 0 ? 1 : p->c.te->block[p->c.out].extent[p->t];
  if (p->across)
    extent = neo_ceil_div(extent, neo_builder_lanes(b, p->c.out));
  p->tile = p->t < 0 ? -1 : powers(p, "row tile", neo_min_i64(extent, 8));
  p->repeat = p->unroll = -1;
  if (p->tile >= 0)
    neo_builder_limit(b, NEO_LIMIT_PRODUCT, vectors, neo_max_i64(registers - 3, vectors), 1,
                      &p->tile);
  int grid = neo_builder_decision(b, "row grid", false);
  for (int k = 1; k <= p->n_rows && k <= MAX_GRID_DEPTH; k++)
    neo_builder_value(b, grid, k);
  if (p->n_rows > 0)
    neo_slot_arg_hole(neo_builder_slot(b, NEO_INSTR_PARALLEL, p->c.out), grid, 1);
  else
    neo_builder_value(b, grid, 1);
}

/* ---- slots ------------------------------------------------------------------------------------------------ */

typedef struct part {
  rows *p;
  int block, lanes, v; /* v: the block's axis for vectors; -1: scalar */
  int t;               /* the block's axis that carries the tile; -1: none */
  bool root;
  neo_slot *order;
} part;

static neo_slot *split(part *s, int axis, int first, int64_t second) {
  neo_slot *slot = neo_builder_slot(s->p->b, NEO_INSTR_SPLIT, s->block);
  slot->instr.axis = (int16_t)axis;
  if (first >= 0)
    neo_slot_arg_hole(slot, first, 1);
  if (second > 0)
    neo_slot_arg(slot, second);
  return slot;
}

static void unrolled(part *s, int axis, int level) {
  neo_builder_mark(s->p->b, NEO_INSTR_UNROLL, s->block, axis, level);
}

/* The reduce axis that is unrolled; -1: none. Short ones are wholly. */
static int unrolled_axis(const part *s) {
  const neo_te_block *te = &s->p->c.te->block[s->block];
  return te->n_reduce > 0 ? te->n_spatial + te->n_reduce - 1 : -1;
}

static bool is_short(const part *s) {
  int axis = unrolled_axis(s);
  return axis >= 0 && s->p->c.te->block[s->block].extent[axis] <= SHORT;
}

/* Decisions that not every chain has are made when they are first used. */
static int repeat_of(rows *p) {
  if (p->repeat < 0)
    p->repeat = powers(p, "row repeat", 4);
  return p->repeat;
}

static int unroll_of(rows *p) {
  if (p->unroll >= 0)
    return p->unroll;
  p->unroll = powers(p, "row unroll", 8);
  int code[2] = {p->unroll, p->tile};
  neo_builder_limit(p->b, NEO_LIMIT_PRODUCT, partial_vectors(p), MAX_CODE, 2, code);
  return p->unroll;
}

/* Where the loops of an axis of a block inside are: v of `across` is [vectors, lanes], v of columns
 * [rest, repeat, lanes] (of partial sums [vectors, lanes]); the root's t has a level more, outside.
 */
static void split_axes(part *s) {
  rows *p = s->p;
  bool reduces = p->c.te->block[s->block].n_reduce > 0;
  if (s->root && s->t >= 0 && s->t != s->v)
    split(s, s->t, p->tile, 0);
  if (s->v >= 0 && s->v == s->t)
    split(s, s->v, s->root ? p->tile : -1, s->lanes);
  else if (s->v >= 0)
    split(s, s->v, reduces ? -1 : repeat_of(p), s->lanes);
  if (reduces && !is_short(s))
    split(s, unrolled_axis(s), unroll_of(p), 0);
}

static void order_reduce(part *s) {
  const neo_te_block *te = &s->p->c.te->block[s->block];
  for (int a = te->n_spatial; a < te->n_spatial + te->n_reduce; a++)
    neo_slot_loop(s->order, a, 0);
  if (te->n_reduce > 0 && !is_short(s))
    neo_slot_loop(s->order, unrolled_axis(s), 1);
}

static void order_vector(part *s) {
  bool reduces = s->p->c.te->block[s->block].n_reduce > 0;
  if (s->v < 0)
    return;
  int levels = s->v == s->t ? (s->root ? 2 : 1) : reduces ? 1 : 2;
  for (int level = s->v == s->t && s->root ? 1 : 0; level <= levels; level++)
    neo_slot_loop(s->order, s->v, level);
}

/* Rows, then (reduce axes first) t, columns and vectors. */
static void order_block(part *s) {
  rows *p = s->p;
  int walk[NEO_TE_MAX_AXES], n = neo_builder_walk(p->b, s->block, walk);
  if (n == 0 && p->c.te->block[s->block].n_reduce == 0)
    return;
  s->order = neo_builder_slot(p->b, NEO_INSTR_ORDER, s->block);
  for (int i = 0; i < n; i++)
    if (neo_chain_is_row(&p->c, s->block, walk[i]) && (s->root || walk[i] != s->t))
      neo_slot_loop(s->order, walk[i], 0);
  order_reduce(s);
  if (s->t >= 0 && s->t != s->v)
    neo_slot_loop(s->order, s->t, s->root ? 1 : 0);
  for (int i = 0; i < n; i++)
    if (!neo_chain_is_row(&p->c, s->block, walk[i]) && walk[i] != s->v)
      neo_slot_loop(s->order, walk[i], 0);
  order_vector(s);
}

static void mark_block(part *s) {
  rows *p = s->p;
  const neo_te_block *te = &p->c.te->block[s->block];
  bool reduces = te->n_reduce > 0, columns = neo_chain_columns(&p->c, s->block) > 1;
  if (s->v >= 0) {
    int last = s->v == s->t ? (s->root ? 2 : 1) : reduces ? 1 : 2;
    neo_builder_mark(p->b, NEO_INSTR_VECTOR, s->block, s->v, last);
    unrolled(s, s->v, last - 1);
  }
  if (s->t >= 0 && s->t != s->v && (reduces || !columns))
    unrolled(s, s->t, s->root ? 1 : 0);
  for (int a = 0; reduces && a < te->n_spatial; a++)
    if (a != s->v && a != s->t)
      unrolled(s, a, 0);
  if (reduces)
    unrolled(s, unrolled_axis(s), is_short(s) ? 0 : 1);
}

static void choose_vector(part *s) {
  rows *p = s->p;
  const neo_te_block *te = &p->c.te->block[s->block];
  s->lanes = neo_builder_lanes(p->b, s->block);
  s->v = -1;
  if (s->lanes <= 1)
    return;
  if (p->across) {
    s->v = s->t;
    return;
  }
  int unit = neo_builder_unit_axis(p->b, s->block, s->lanes);
  if (unit >= 0 && !neo_chain_is_row(&p->c, s->block, unit) && te->extent[unit] > 1)
    s->v = unit;
}

static void schedule_block(rows *p, int block) {
  part s = {.p = p, .block = block, .root = block == p->c.out};
  s.t = p->t < 0 ? -1 : p->c.carry[block][p->t];
  choose_vector(&s);
  neo_builder_lay_reads(p->b, block, s.v);
  split_axes(&s);
  order_block(&s);
  mark_block(&s);
  if (s.root)
    return;
  bool wide = neo_chain_columns(&p->c, block) > MAX_PARTIAL;
  bool reg = p->across && p->c.te->block[block].n_reduce > 0 && s.v >= 0;
  neo_slot *at = neo_builder_slot(p->b, NEO_INSTR_AT, block);
  neo_slot_arg(at, p->c.out);
  neo_slot_arg(at, p->n_rows);
  neo_slot_arg(at, reg ? NEO_SCOPE_REG : wide || p->across ? NEO_SCOPE_SCRATCH : NEO_SCOPE_STACK);
}

static bool apply(neo_builder *b, int block) {
  rows p = {.b = b, .c = {&b->variant->te, &b->variant->facts, block}};
  if (block != p.c.te->n_blocks - 1 || block == 0 || !find_rows(&p))
    return false;
  if (!neo_builder_take_one(b))
    return false;
  add_decisions(&p);
  for (int x = block; x >= 0; x--) {
    schedule_block(&p, x);
    b->done[x] = true;
  }
  return true;
}

const neo_rule neo_rule_rows = {
    "rows", "a chain of reductions and maps as one launch, row by row in cache", apply};
