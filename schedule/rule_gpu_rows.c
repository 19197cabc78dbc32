/* Rule gpu_rows: a chain of reductions and maps on a GPU (softmax, normalisations, sums, products
 * with a vector): a group computes a few rows, all its work-items together.
 *
 * Why: with a work-item per sum there are too few work-items where there are few rows, each walks
 * through memory on its own, and every block is a launch. How: the last block O is the root, its
 * row axes (schedule/chain.h) are the grid, the innermost of them in tiles that divide it; all
 * other blocks are computed `at` the tile, shared. The work-items take elements in turn, and of a
 * reduction parts of each sum, which are then added in halves (lower_shared.c). The axis that is
 * summed in parts is the last one, if it is long enough for neighbours to read neighbours along it.
 */
#include "schedule/chain.h"
#include "schedule/space_gpu.h"

#include <string.h>

#define MAX_ROWS 8
#define MAX_UNROLL 4
#define LEAST_PARTS 4
#define MAX_PARTS 256
#define MAX_SUMS 65536 /* of a product: more are better served by tiles */

typedef struct rows {
  neo_builder *b;
  neo_chain c;
  int t; /* O's innermost row axis; -1: none */
  int n_rows, row[NEO_TE_MAX_AXES];
  int vector_axis;                        /* of O; -1: none */
  int tile, items, parts, unroll, vector; /* decisions */
} rows;

static const neo_te_block *block_of(const rows *p, int block) {
  return &p->c.te->block[block];
}

/* The reduce axis whose elements are dealt out. */
static int dealt_axis(const neo_te_block *te) {
  int last = te->n_spatial + te->n_reduce - 1, best = last;
  for (int a = te->n_spatial; a < last && te->extent[last] < 4 * LEAST_PARTS; a++)
    if (te->extent[a] > te->extent[best])
      best = a;
  return best;
}

static int64_t longest(const rows *p) {
  int64_t most = 0;
  for (int x = 0; x <= p->c.out; x++)
    if (block_of(p, x)->n_reduce > 0)
      most = neo_max_i64(most, block_of(p, x)->extent[dealt_axis(block_of(p, x))]);
  return most;
}

static bool fits(const rows *p) {
  int64_t sums = 1;
  bool product = false;
  for (int x = 0; x <= p->c.out; x++)
    product = product || p->c.facts->block[x].contraction;
  for (int a = 0; a < block_of(p, p->c.out)->n_spatial; a++)
    sums *= block_of(p, p->c.out)->extent[a];
  return longest(p) >= 2 * LEAST_PARTS && (!product || sums <= MAX_SUMS);
}

/* Bytes of what a group shares of one row: the blocks' elements, and one part of each sum. */
static void shared_bytes(const rows *p, int64_t *columns, int64_t *part) {
  *columns = *part = 0;
  for (int x = 0; x <= p->c.out; x++) {
    int64_t size = (int64_t)neo_dtype_size(p->c.te->buffer[block_of(p, x)->buffer].dtype);
    int64_t bytes = neo_chain_columns(&p->c, x) * size;
    *columns += x < p->c.out ? bytes : 0;
    *part += block_of(p, x)->n_reduce > 0 ? bytes : 0;
  }
}

static bool find_rows(rows *p) {
  int walk[NEO_TE_MAX_AXES], n;
  int64_t columns, part;
  if (!neo_chain_find(&p->c) || !fits(p))
    return false;
  n = neo_builder_walk(p->b, p->c.out, walk);
  p->t = -1;
  for (int i = 0; i < n; i++)
    if (p->c.row[walk[i]])
      p->row[p->n_rows++] = p->t = walk[i];
  int unit = neo_builder_unit_axis(p->b, p->c.out, 4);
  bool reduces = block_of(p, p->c.out)->n_reduce > 0;
  p->vector_axis = unit >= 0 && !reduces && !p->c.row[unit] ? unit : -1;
  shared_bytes(p, &columns, &part);
  int64_t shared = p->b->space->target.gpu.shared - 1024;
  return columns <= shared &&
         LEAST_PARTS * part <= (columns > shared / 2 ? shared - columns : shared / 2);
}

/* ---- decisions ------------------------------------------------------------------------------------------ */

static int powers(rows *p, const char *name, int64_t least, int64_t most, int64_t divide) {
  int d = neo_builder_decision(p->b, name, false);
  for (int64_t k = least; k <= most; k *= 2)
    if (divide % k == 0)
      neo_builder_value(p->b, d, k);
  return d;
}

/* Elements have one half of what a group shares, parts the other; a row that needs more than that
 * comes alone, and parts have what is left. */
static void add_decisions(rows *p) {
  int64_t columns, part, shared = p->b->space->target.gpu.shared - 1024;
  const neo_te_block *out = block_of(p, p->c.out);
  shared_bytes(p, &columns, &part);
  bool wide = columns > shared / 2;
  p->tile = p->t < 0 ? -1 : powers(p, "rows of a group", 1, wide ? 1 : MAX_ROWS, out->extent[p->t]);
  p->parts = powers(p, "parts of a sum", LEAST_PARTS, neo_min_i64(MAX_PARTS, longest(p)), 0);
  p->items =
      powers(p, "items", LEAST_PARTS, neo_min_i64(MAX_PARTS, p->b->space->target.gpu.items), 0);
  p->unroll = powers(p, "row unroll", 1, MAX_UNROLL, 0);
  p->vector = p->vector_axis < 0
                  ? -1
                  : powers(p, "row vector", 1, neo_gpu_vector_lanes(p->b, p->c.out, p->vector_axis),
                           out->extent[p->vector_axis]);
  int d[2] = {p->parts, p->tile};
  neo_builder_limit(p->b, NEO_LIMIT_PRODUCT, part, wide ? shared - columns : shared / 2,
                    p->tile < 0 ? 1 : 2, d);
  if (p->tile >= 0 && !wide)
    neo_builder_limit(p->b, NEO_LIMIT_PRODUCT, columns, shared / 2, 1, &p->tile);
}

/* ---- slots ---------------------------------------------------------------------------------------------- */

static neo_slot *split(const rows *p, int block, int axis) {
  neo_slot *slot = neo_builder_slot(p->b, NEO_INSTR_SPLIT, block);
  slot->instr.axis = (int16_t)axis;
  return slot;
}

/* Reduce loops: the dealt axis last, in blocks, unrolled steps and parts. */
static void order_reduce(const rows *p, int block, neo_slot *order) {
  const neo_te_block *te = block_of(p, block);
  int dealt = dealt_axis(te);
  for (int a = te->n_spatial; a < te->n_spatial + te->n_reduce; a++)
    if (a != dealt)
      neo_slot_loop(order, a, 0);
  for (int level = 0; level < 3; level++)
    neo_slot_loop(order, dealt, level);
}

static void split_reduce(const rows *p, int block) {
  neo_slot *slot = split(p, block, dealt_axis(block_of(p, block)));
  neo_slot_arg_hole(slot, p->unroll, 1);
  neo_slot_arg_hole(slot, p->parts, 1);
}

static void schedule_root(rows *p) {
  const neo_te_block *te = block_of(p, p->c.out);
  int out = p->c.out, walk[NEO_TE_MAX_AXES], n = neo_builder_walk(p->b, out, walk);
  if (p->t >= 0)
    neo_slot_arg_hole(split(p, out, p->t), p->tile, 1);
  if (p->vector_axis >= 0)
    neo_slot_arg_hole(split(p, out, p->vector_axis), p->vector, 1);
  if (te->n_reduce > 0)
    split_reduce(p, out);
  if (te->n_spatial + te->n_reduce > 0) {
    neo_slot *order = neo_builder_slot(p->b, NEO_INSTR_ORDER, out);
    for (int i = 0; i < p->n_rows; i++)
      neo_slot_loop(order, p->row[i], 0);
    if (p->t >= 0)
      neo_slot_loop(order, p->t, 1);
    for (int i = 0; i < n; i++)
      if (!p->c.row[walk[i]] && walk[i] != p->vector_axis)
        neo_slot_loop(order, walk[i], 0);
    for (int level = 0; p->vector_axis >= 0 && level < 2; level++)
      neo_slot_loop(order, p->vector_axis, level);
    if (te->n_reduce > 0)
      order_reduce(p, out, order);
  }
  neo_slot_arg(neo_builder_slot(p->b, NEO_INSTR_PARALLEL, out), p->n_rows);
  neo_slot *group = neo_builder_slot(p->b, NEO_INSTR_GROUP, out);
  neo_slot_arg(group, 0);
  neo_slot_arg_hole(group, p->items, 1);
  if (p->vector_axis >= 0)
    neo_builder_mark(p->b, NEO_INSTR_VECTOR, out, p->vector_axis, 1);
}

static void schedule_block(rows *p, int block) {
  const neo_te_block *te = block_of(p, block);
  bool reduces = te->n_reduce > 0;
  int dealt = reduces ? dealt_axis(te) : -1;
  int last = te->n_spatial > 0 ? te->n_spatial - 1 : -1;
  neo_builder_lay_reads(p->b, block, reduces ? dealt : block == p->c.out ? p->vector_axis : last);
  if (reduces)
    neo_builder_mark(p->b, NEO_INSTR_UNROLL, block, dealt, 1);
  if (block == p->c.out) {
    schedule_root(p);
    return;
  }
  if (reduces) {
    split_reduce(p, block);
    neo_slot *order = neo_builder_slot(p->b, NEO_INSTR_ORDER, block);
    for (int a = 0; a < te->n_spatial; a++)
      neo_slot_loop(order, a, 0);
    order_reduce(p, block, order);
  }
  int axis = neo_gpu_copy_axis(p->b, block);
  if (axis >= 0 && p->vector >= 0 && !neo_chain_is_row(&p->c, block, axis))
    neo_gpu_vectors(p->b, block, axis, p->vector);
  neo_slot *at = neo_builder_slot(p->b, NEO_INSTR_AT, block);
  neo_slot_arg(at, p->c.out);
  neo_slot_arg(at, p->n_rows);
  neo_slot_arg(at, NEO_SCOPE_SHARED);
}

static bool apply(neo_builder *b, int block) {
  rows p = {.b = b, .c = {&b->variant->te, &b->variant->facts, block}};
  if (block != p.c.te->n_blocks - 1 || strcmp(b->variant->alg, "direct") != 0 || !find_rows(&p))
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

const neo_rule neo_rule_gpu_rows = {
    "gpu_rows", "rows of sums and maps, each by all work-items of a group together", apply,
    NEO_RULE_GPU};
