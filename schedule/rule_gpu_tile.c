/* Rule gpu_tile: reductions on a GPU: each work-item sums a small tile of the output in registers,
 * a group a larger one.
 *
 * Why: as for processors, a register tile reads each operand once for several sums; what a group's
 * work-items all read is worth a copy in the memory that they share.
 * How: output block O reads reduction R once, axis for axis (or there is no O: R writes the
 * output). Two of O's axes are split: x, of unit stride, into [groups, work-items, vector], and y,
 * along which most operands stay the same, into [groups, work-items, rows]; all other axes are the
 * grid. R is computed `at` the work-item in registers, its longest reduce axis in blocks,
 * outermost. After algorithm stage R reads copies: they are computed `at` each block, shared. Then
 * tiles must divide, since all work-items have to reach the barriers; otherwise they should, since
 * tails are code. */
#include "schedule/sketch.h"

#include <string.h>

#define MAX_VECTOR 4
#define MAX_ROWS 16
#define MAX_SUMS 64
#define MAX_ITEMS 64 /* of one axis, where both are split */
#define MAX_BLOCK 32
#define MAX_CODE 128 /* multiply-adds of one unrolled step */

typedef struct tile {
  neo_builder *b;
  const neo_te *te;
  int out, red;                /* blocks; equal where R writes the output */
  int of_red[NEO_TE_MAX_AXES]; /* R's spatial axis -> O's, -1: of extent 1 */
  int x, y, k;                 /* R's axes; y -1: none; k: the longest reduce axis */
  bool vectors;
  int n_copies, copy[NEO_TE_MAX_BLOCKS];
  int items_x, vector, items_y, rows, block; /* decisions */
} tile;

static const neo_te_block *red_of(const tile *t) {
  return &t->te->block[t->red];
}

/* ---- recognising ------------------------------------------------------------------------------------- */

static bool find_reduction(tile *t) {
  const neo_block_facts *out = &t->b->variant->facts.block[t->out];
  if (t->te->block[t->out].n_reduce > 0) {
    t->red = t->out;
    for (int a = 0; a < t->te->block[t->out].n_spatial; a++)
      t->of_red[a] = a;
    return true;
  }
  for (int i = 1; i < out->n_access; i++) {
    t->red = neo_builder_producer(t->b, t->out, i);
    if (t->red >= 0 && !t->b->done[t->red] && red_of(t)->n_reduce > 0 &&
        neo_access_maps_axes(&out->access[i], &t->te->block[t->out], red_of(t), t->of_red))
      return true;
  }
  return false;
}

static int red_axis_of(const tile *t, int out_axis) {
  for (int a = 0; a < red_of(t)->n_spatial; a++)
    if (t->of_red[a] == out_axis)
      return a;
  return -1;
}

/* Operands that a tile along the axis need not read again. */
static int reuse(const tile *t, int axis) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  int score = 0;
  for (int i = 1; i < red->n_access; i++)
    score += !neo_access_uses(&red->access[i], axis);
  return score;
}

static int best_axis(const tile *t, int except) {
  int best = -1;
  for (int a = 0; a < red_of(t)->n_spatial; a++)
    if (a != except && t->of_red[a] >= 0 && red_of(t)->extent[a] > 1 &&
        (best < 0 || reuse(t, a) > reuse(t, best) ||
         (reuse(t, a) == reuse(t, best) && red_of(t)->extent[a] > red_of(t)->extent[best])))
      best = a;
  return best;
}

static bool choose_axes(tile *t) {
  int unit = neo_builder_unit_axis(t->b, t->out, MAX_VECTOR);
  t->x = unit < 0 ? -1 : red_axis_of(t, unit);
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

/* The copies that algorithm stage made of R's operands; false if it made some that are no copies
 * for R alone. */
static bool find_copies(tile *t) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  bool known[NEO_TE_MAX_BLOCKS] = {false}; /* one that is read twice is one copy */
  if (strcmp(t->b->variant->alg, "stage") != 0)
    return true;
  for (int i = 1; i < red->n_access; i++) {
    int p = neo_builder_producer(t->b, t->red, i);
    if (p < 0 || t->b->done[p] || t->te->block[p].n_reduce > 0 || known[p])
      continue;
    known[p] = true;
    t->copy[t->n_copies++] = p;
  }
  return t->n_copies > 0;
}

/* ---- decisions --------------------------------------------------------------------------------------- */

static int divisors(tile *t, const char *name, int64_t n, int64_t most) {
  int d = neo_builder_decision(t->b, name, false);
  neo_builder_divisors(t->b, d, n, most);
  return d;
}

/* Powers of two that divide, or not. */
static int powers(tile *t, const char *name, int64_t n, int64_t most, bool divide) {
  int d = neo_builder_decision(t->b, name, false);
  for (int64_t k = 1; k <= most && k <= n; k *= 2)
    if (!divide || n % k == 0)
      neo_builder_value(t->b, d, k);
  return d;
}

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
  bool x = axis == t->x, exact = t->n_copies > 0 || divides_well(n);
  const char *items = x ? "items x" : "items y", *each = x ? "vector" : "rows";
  out[0] = exact ? divisors(t, items, n, most_items) : powers(t, items, n, most_items, false);
  out[1] = x || !exact ? powers(t, each, n, most_each, exact) : divisors(t, each, n, most_each);
  if (exact)
    neo_builder_limit(t->b, NEO_LIMIT_FACTORS, 1, n, 2, out);
}

/* Elements that each of an operand's copies has at most: along each dim the tile times (stride +
 * window - 1). */
static void limit_copy(tile *t, int copy, int64_t share) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  int buffer = t->te->block[copy].buffer, d[6], n = 0;
  int64_t bytes = (int64_t)neo_dtype_size(t->te->buffer[buffer].dtype);
  for (int i = 1; i < red->n_access; i++) {
    const neo_access *load = &red->access[i];
    if (load->buffer != buffer)
      continue;
    for (int dim = 0; dim < load->rank; dim++) {
      int64_t step = 0, window = 1;
      for (int a = 0; a < red_of(t)->n_spatial + red_of(t)->n_reduce; a++) {
        int64_t c = load->coef[dim][a] < 0 ? -load->coef[dim][a] : load->coef[dim][a];
        if (c == 0)
          continue;
        if (a == t->x || a == t->y || a == t->k)
          step += c;
        else if (a >= red_of(t)->n_spatial)
          window += c * (red_of(t)->extent[a] - 1);
      }
      bytes *= step > 0 ? step + window - 1 : window;
    }
    if (neo_access_uses(load, t->k))
      d[n++] = t->block;
    if (neo_access_uses(load, t->x)) {
      d[n++] = t->vector;
      d[n++] = t->items_x;
    }
    if (t->y >= 0 && neo_access_uses(load, t->y)) {
      d[n++] = t->rows;
      d[n++] = t->items_y;
    }
  }
  neo_builder_limit(t->b, NEO_LIMIT_PRODUCT, bytes, share, n, d);
}

static void add_decisions(tile *t) {
  int64_t items = t->b->space->target.gpu.items;
  int x[2], y[2] = {-1, -1};
  split_decisions(t, t->x, t->y >= 0 ? neo_min_i64(items, MAX_ITEMS) : items,
                  t->vectors ? MAX_VECTOR : 1, x);
  if (t->y >= 0)
    split_decisions(t, t->y, neo_min_i64(items, MAX_ITEMS), MAX_ROWS, y);
  t->items_x = x[0];
  t->vector = x[1];
  t->items_y = y[0];
  t->rows = y[1];
  t->block = divisors(t, "k block", red_of(t)->extent[t->k], MAX_BLOCK);
  int group[2] = {t->items_x, t->items_y}, sums[2] = {t->rows, t->vector},
      code[3] = {t->block, t->rows, t->vector};
  neo_builder_limit(t->b, NEO_LIMIT_PRODUCT, 1, items, 2, group);
  neo_builder_limit(t->b, NEO_LIMIT_PRODUCT, 1, MAX_SUMS, 2, sums);
  neo_builder_limit(t->b, NEO_LIMIT_PRODUCT, 1, MAX_CODE, 3, code);
  for (int i = 0; i < t->n_copies; i++)
    limit_copy(t, t->copy[i], t->b->space->target.gpu.shared / t->n_copies - 64);
}

/* ---- slots ------------------------------------------------------------------------------------------- */

static neo_slot *split(tile *t, int block, int axis, int first, int second) {
  neo_slot *slot = neo_builder_slot(t->b, NEO_INSTR_SPLIT, block);
  slot->instr.axis = (int16_t)axis;
  neo_slot_arg_hole(slot, first, 1);
  if (second >= 0)
    neo_slot_arg_hole(slot, second, 1);
  return slot;
}

/* Reduce loops, the long axis in blocks; then `tile` appends R's spatial loops. */
static void order_reduce(const tile *t, neo_slot *order) {
  int end = red_of(t)->n_spatial + red_of(t)->n_reduce;
  neo_slot_loop(order, t->k, 0);
  for (int a = red_of(t)->n_spatial; a < end; a++)
    if (a != t->k)
      neo_slot_loop(order, a, 0);
  neo_slot_loop(order, t->k, 1);
}

/* Returns the depth of a work-item: loops in the grid and in the group. */
static int schedule_output(tile *t) {
  neo_builder *b = t->b;
  int x = t->of_red[t->x], y = t->y >= 0 ? t->of_red[t->y] : -1, walk[NEO_TE_MAX_AXES];
  int n = neo_builder_walk(b, t->out, walk);
  split(t, t->out, x, t->items_x, t->vector);
  if (y >= 0)
    split(t, t->out, y, t->items_y, t->rows);
  if (t->red == t->out)
    split(t, t->red, t->k, t->block, -1);
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, t->out);
  for (int i = 0; i < n; i++)
    neo_slot_loop(order, walk[i], 0);
  if (y >= 0)
    neo_slot_loop(order, y, 1);
  neo_slot_loop(order, x, 1);
  if (t->red == t->out)
    order_reduce(t, order);
  if (y >= 0)
    neo_slot_loop(order, y, 2);
  neo_slot_loop(order, x, 2);
  neo_slot_arg(neo_builder_slot(b, NEO_INSTR_PARALLEL, t->out), n);
  neo_slot_arg(neo_builder_slot(b, NEO_INSTR_GROUP, t->out), y >= 0 ? 2 : 1);
  if (t->vectors)
    neo_builder_mark(b, NEO_INSTR_VECTOR, t->out, x, 2);
  else
    neo_builder_mark(b, NEO_INSTR_UNROLL, t->out, x, 2);
  if (y >= 0)
    neo_builder_mark(b, NEO_INSTR_UNROLL, t->out, y, 2);
  if (t->red == t->out)
    neo_builder_mark(b, NEO_INSTR_UNROLL, t->out, t->k, 1);
  return n + (y >= 0 ? 2 : 1);
}

static void schedule_reduction(tile *t, int depth) {
  neo_builder *b = t->b;
  if (t->vectors)
    split(t, t->red, t->x, t->vector, -1);
  split(t, t->red, t->k, t->block, -1);
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, t->red);
  order_reduce(t, order);
  for (int a = 0; a < red_of(t)->n_spatial; a++)
    if (a != t->x)
      neo_slot_loop(order, a, 0);
  neo_slot_loop(order, t->x, 0);
  if (t->vectors)
    neo_slot_loop(order, t->x, 1);
  neo_slot *at = neo_builder_slot(b, NEO_INSTR_AT, t->red);
  neo_slot_arg(at, t->out);
  neo_slot_arg(at, depth);
  neo_slot_arg(at, NEO_SCOPE_REG);
  if (t->vectors)
    neo_builder_mark(b, NEO_INSTR_VECTOR, t->red, t->x, 1);
  neo_builder_mark(b, NEO_INSTR_UNROLL, t->red, t->k, 1);
}

static void schedule_copies(tile *t, int depth) {
  for (int i = 0; i < t->n_copies; i++) {
    neo_slot *at = neo_builder_slot(t->b, NEO_INSTR_AT, t->copy[i]);
    neo_slot_arg(at, t->red);
    neo_slot_arg(at, depth);
    neo_slot_arg(at, NEO_SCOPE_SHARED);
    t->b->done[t->copy[i]] = true;
  }
}

static bool apply(neo_builder *b, int block) {
  tile t = {.b = b, .te = &b->variant->te, .out = block};
  if (!find_reduction(&t) || !choose_axes(&t) || !find_copies(&t))
    return false;
  neo_builder_lay_reads(b, t.red, t.x);
  add_decisions(&t);
  int depth = schedule_output(&t);
  if (t.red != t.out)
    schedule_reduction(&t, depth);
  schedule_copies(&t, t.red == t.out ? depth + 1 : 1);
  b->done[t.red] = b->done[t.out] = true;
  return true;
}

const neo_rule neo_rule_gpu_tile = {
    "gpu_tile", "reduction in a register tile of each work-item, a larger one of the group", apply,
    NEO_RULE_GPU};
