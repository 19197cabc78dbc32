/* Rule gpu_tile: reductions on a GPU: each work-item sums a small tile of the output in registers,
 * a group a larger one.
 *
 * Why: as for processors, a register tile reads each operand once for several sums; what a group's
 * work-items all read is worth a copy in the memory that they share.
 * How: output block O reads reduction R once, axis for axis (or there is no O: R writes the
 * output). Two of O's axes are split: x, of unit stride, into [groups, work-items, vector], and y,
 * along which most operands stay the same, into [groups, work-items, rows]; all other axes are the
 * grid. R is computed `at` the work-item in registers, its longest reduce axis in blocks,
 * outermost. After algorithm stage R reads copies: they are computed `at` each block, shared, in
 * vectors where what they read and write lies side by side. Then tiles must divide, since all
 * work-items have to reach the barriers; otherwise they should, since tails are code. */
#include "schedule/space_gpu.h"

#define MAX_ROWS 16
#define MAX_SUMS 64
#define MAX_ITEMS 64 /* of one axis, where both are split */
#define MAX_BLOCK 32
#define MAX_CODE 128 /* multiply-adds of one unrolled step */

typedef struct tile {
  neo_gpu_tile r;
  int x, y, k; /* R's axes; y -1: none; k: the longest reduce axis */
  bool vectors;
  int items_x, vector, items_y, rows, block; /* decisions */
} tile;

static const neo_te_block *red_of(const tile *t) {
  return neo_gpu_reduction(&t->r);
}

/* ---- recognising ------------------------------------------------------------------------------------- */

/* Operands that a tile along the axis need not read again. */
static int reuse(const tile *t, int axis) {
  const neo_block_facts *red = &t->r.b->variant->facts.block[t->r.red];
  int score = 0;
  for (int i = 1; i < red->n_access; i++)
    score += !neo_access_uses(&red->access[i], axis);
  return score;
}

static int best_axis(const tile *t, int except) {
  int best = -1;
  for (int a = 0; a < red_of(t)->n_spatial; a++)
    if (a != except && t->r.of_red[a] >= 0 && red_of(t)->extent[a] > 1 &&
        (best < 0 || reuse(t, a) > reuse(t, best) ||
         (reuse(t, a) == reuse(t, best) && red_of(t)->extent[a] > red_of(t)->extent[best])))
      best = a;
  return best;
}

static bool choose_axes(tile *t) {
  int unit = neo_builder_unit_axis(t->r.b, t->r.out, 4);
  t->x = unit < 0 ? -1 : neo_gpu_red_axis(&t->r, unit);
  t->vectors = t->x >= 0;
  if (t->x < 0)
    t->x = best_axis(t, -1);
  if (t->x < 0)
    return false;
  t->y = best_axis(t, t->x);
  t->k = red_of(t)->n_spatial;
  for (int a = t->k; a < red_of(t)->n_spatial + red_of(t)->n_reduce; a++)
    if (red_of(t)->extent[a] > red_of(t)->extent[t->k])
      t->k = a;
  return true;
}

/* ---- decisions --------------------------------------------------------------------------------------- */

/* Are there divisors worth having? */
static bool divides_well(int64_t n) {
  int64_t best = 1;
  for (int64_t k = 1; k <= MAX_ITEMS && k <= n; k++)
    best = n % k == 0 ? k : best;
  return best >= 4 || best == n;
}

/* Splits of one axis: out[0] work-items and out[1] for each of them. */
static void split_decisions(tile *t, int axis, int64_t most_items, int64_t most_each, int *out) {
  int64_t n = red_of(t)->extent[axis];
  bool x = axis == t->x, exact = t->r.n_copies > 0 || divides_well(n);
  const char *items = x ? "items x" : "items y", *each = x ? "vector" : "rows";
  out[0] = exact ? neo_gpu_divisors(t->r.b, items, n, most_items)
                 : neo_gpu_powers(t->r.b, items, n, most_items, false);
  out[1] = x || !exact ? neo_gpu_powers(t->r.b, each, n, most_each, exact)
                       : neo_gpu_divisors(t->r.b, each, n, most_each);
  if (exact)
    neo_builder_limit(t->r.b, NEO_LIMIT_FACTORS, 1, n, 2, out);
}

/* The group's part of a copy along its axis: 0: one element, 1: the whole of loops that nobody
 * splits, 2: what decisions make of it. */
static int part_along(const tile *t, int copy, int axis) {
  const neo_block_facts *red = &t->r.b->variant->facts.block[t->r.red];
  int found = 0;
  for (int i = 1; i < red->n_access; i++)
    for (int a = 0; a < red_of(t)->n_spatial + red_of(t)->n_reduce; a++) {
      bool moves =
          red->access[i].buffer == t->r.te->block[copy].buffer && red->access[i].coef[axis][a] != 0;
      if (moves && (a == t->x || a == t->y || a == t->k))
        return 2;
      found = moves && a >= red_of(t)->n_spatial ? 1 : found;
    }
  return found;
}

/* Where a vector's length does not divide the group's part, elements are copied (lower_shared.c).
 */
static void copy_in_vectors(tile *t, int copy) {
  int axis = neo_gpu_copy_axis(t->r.b, copy);
  int part = axis < 0 ? 0 : part_along(t, copy, axis);
  int64_t n = axis < 0 ? 1 : t->r.te->block[copy].extent[axis];
  if (part == 2 || (part == 1 && n % 2 == 0)) {
    int most = neo_gpu_vector_lanes(t->r.b, copy, axis);
    neo_gpu_vectors(t->r.b, copy, axis, neo_gpu_powers(t->r.b, "copy vector", n, most, part == 1));
  }
}

static int64_t most_lanes(const tile *t) {
  if (!t->vectors)
    return 1;
  return neo_max_i64(neo_gpu_vector_lanes(t->r.b, t->r.out, t->r.of_red[t->x]),
                     neo_gpu_vector_lanes(t->r.b, t->r.red, t->x));
}

static void add_decisions(tile *t) {
  int64_t items = t->r.b->space->target.gpu.items;
  int x[2], y[2] = {-1, -1};
  split_decisions(t, t->x, t->y >= 0 ? neo_min_i64(items, MAX_ITEMS) : items, most_lanes(t), x);
  if (t->y >= 0)
    split_decisions(t, t->y, neo_min_i64(items, MAX_ITEMS), MAX_ROWS, y);
  t->items_x = x[0];
  t->vector = x[1];
  t->items_y = y[0];
  t->rows = y[1];
  t->block = neo_gpu_divisors(t->r.b, "k block", red_of(t)->extent[t->k], MAX_BLOCK);
  int group[2] = {t->items_x, t->items_y}, sums[2] = {t->rows, t->vector},
      code[3] = {t->block, t->rows, t->vector};
  neo_builder_limit(t->r.b, NEO_LIMIT_PRODUCT, 1, items, 2, group);
  neo_builder_limit(t->r.b, NEO_LIMIT_PRODUCT, 1, MAX_SUMS, 2, sums);
  neo_builder_limit(t->r.b, NEO_LIMIT_PRODUCT, 1, MAX_CODE, 3, code);
  const neo_gpu_part part[NEO_GPU_PARTS] = {{t->k, 1, {t->block, -1}},
                                            {t->x, 1, {t->vector, t->items_x}},
                                            {t->y, 1, {t->rows, t->items_y}}};
  for (int i = 0; i < t->r.n_copies; i++)
    neo_gpu_limit_copy(&t->r, t->r.copy[i], t->r.b->space->target.gpu.shared / t->r.n_copies - 64,
                       part);
}

/* ---- slots ------------------------------------------------------------------------------------------- */

static neo_slot *split(tile *t, int block, int axis, int first, int second) {
  neo_slot *slot = neo_builder_slot(t->r.b, NEO_INSTR_SPLIT, block);
  slot->instr.axis = (int16_t)axis;
  neo_slot_arg_hole(slot, first, 1);
  if (second >= 0)
    neo_slot_arg_hole(slot, second, 1);
  return slot;
}

/* Returns the depth of a work-item: loops in the grid and in the group. */
static int schedule_output(tile *t) {
  neo_builder *b = t->r.b;
  int x = t->r.of_red[t->x], y = t->y >= 0 ? t->r.of_red[t->y] : -1, walk[NEO_TE_MAX_AXES];
  int n = neo_builder_walk(b, t->r.out, walk);
  split(t, t->r.out, x, t->items_x, t->vector);
  if (y >= 0)
    split(t, t->r.out, y, t->items_y, t->rows);
  if (t->r.red == t->r.out)
    split(t, t->r.red, t->k, t->block, -1);
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, t->r.out);
  for (int i = 0; i < n; i++)
    neo_slot_loop(order, walk[i], 0);
  if (y >= 0)
    neo_slot_loop(order, y, 1);
  neo_slot_loop(order, x, 1);
  if (t->r.red == t->r.out)
    neo_gpu_order_reduce(&t->r, order, t->k, 2);
  if (y >= 0)
    neo_slot_loop(order, y, 2);
  neo_slot_loop(order, x, 2);
  neo_slot_arg(neo_builder_slot(b, NEO_INSTR_PARALLEL, t->r.out), n);
  neo_slot_arg(neo_builder_slot(b, NEO_INSTR_GROUP, t->r.out), y >= 0 ? 2 : 1);
  if (t->vectors)
    neo_builder_mark(b, NEO_INSTR_VECTOR, t->r.out, x, 2);
  else
    neo_builder_mark(b, NEO_INSTR_UNROLL, t->r.out, x, 2);
  if (y >= 0)
    neo_builder_mark(b, NEO_INSTR_UNROLL, t->r.out, y, 2);
  if (t->r.red == t->r.out)
    neo_builder_mark(b, NEO_INSTR_UNROLL, t->r.out, t->k, 1);
  return n + (y >= 0 ? 2 : 1);
}

static void schedule_reduction(tile *t, int depth) {
  neo_builder *b = t->r.b;
  if (t->vectors)
    split(t, t->r.red, t->x, t->vector, -1);
  split(t, t->r.red, t->k, t->block, -1);
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, t->r.red);
  neo_gpu_order_reduce(&t->r, order, t->k, 2);
  for (int a = 0; a < red_of(t)->n_spatial; a++)
    if (a != t->x)
      neo_slot_loop(order, a, 0);
  neo_slot_loop(order, t->x, 0);
  if (t->vectors)
    neo_slot_loop(order, t->x, 1);
  neo_slot *at = neo_builder_slot(b, NEO_INSTR_AT, t->r.red);
  neo_slot_arg(at, t->r.out);
  neo_slot_arg(at, depth);
  neo_slot_arg(at, NEO_SCOPE_REG);
  if (t->vectors)
    neo_builder_mark(b, NEO_INSTR_VECTOR, t->r.red, t->x, 1);
  neo_builder_mark(b, NEO_INSTR_UNROLL, t->r.red, t->k, 1);
}

static bool apply(neo_builder *b, int block) {
  tile t = {.x = -1};
  if (!neo_gpu_find_reduction(b, block, &t.r) || !choose_axes(&t) || !neo_gpu_find_copies(&t.r))
    return false;
  neo_builder_lay_reads(b, t.r.red, t.x);
  add_decisions(&t);
  int depth = schedule_output(&t);
  if (t.r.red != t.r.out)
    schedule_reduction(&t, depth);
  for (int i = 0; i < t.r.n_copies; i++)
    copy_in_vectors(&t, t.r.copy[i]);
  neo_gpu_schedule_copies(&t.r, t.r.red == t.r.out ? depth + 1 : 1);
  b->done[t.r.red] = b->done[t.r.out] = true;
  return true;
}

const neo_rule neo_rule_gpu_tile = {
    "gpu_tile", "reduction in a register tile of each work-item, a larger one of the group", apply,
    NEO_RULE_GPU};
