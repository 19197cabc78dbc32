/* Rule gpu_mma: sums of products by matrix instructions of Nvidia's GPUs (schedule/matrices.def).
 *
 * Why: a tensor core does eight times the multiply-adds and more, of halves and bytes.
 * How: as gpu_tile, reduction R is computed `at` a work-item of output block O, in registers, from
 * copies of its operands in shared memory (algorithm stage), tiles dividing their axes. Two of O's
 * axes are each split into [groups, warps, work-items of a warp, own]: m, which only one factor
 * uses, with 8 work-items, and n, which only the other one uses, with 4; these are the innermost
 * loops of the group. R's long axis is split into [blocks, steps, the row's k], the last of which
 * is tensorized. Which factor is m's is an alternative, as is the row, where several fit.
 *
 * Copies have k innermost, so that a work-item's values of a row are one load, and 16 bytes between
 * rows: work-items of neighbouring rows would otherwise read the same banks. With tiles of up to 4
 * rows the loads of 8 bytes (k of 16 halves or 32 bytes) then come in one turn or two, instead of
 * two to four (counted for 32 banks). Where the operand itself has k innermost, as
 * constants are stored, it is copied in vectors of 16 bytes. */
#include "schedule/matrix.h"
#include "schedule/space_gpu.h"

#include <string.h>

#define MAX_WARPS 8 /* along one axis */
#define MAX_OWN 8   /* rows or columns of a work-item */
#define MAX_SUMS 64
#define MAX_STEPS 4
#define MAX_CODE 128 /* instructions of one unrolled step */
#define LINE 16      /* bytes between rows, and of a vector */

typedef struct mma {
  neo_gpu_tile r;
  int row;                     /* of matrices.def */
  const neo_access *factor[2]; /* m's, n's */
  int m, n, k;                 /* R's axes */
  int unit;                    /* R's axis along which O is stored; -1: another one */
  int warps_m, rows, warps_n, columns, steps; /* decisions */
} mma;

/* ---- recognising ------------------------------------------------------------------------------------- */

static const neo_access *access_of(const mma *t, int buffer) {
  const neo_block_facts *facts = &t->r.b->variant->facts.block[t->r.red];
  for (int i = 1; i < facts->n_access; i++)
    if (facts->access[i].buffer == buffer && !facts->access[i].guarded)
      return &facts->access[i];
  return NULL;
}

static bool is_copy(const mma *t, int buffer) {
  for (int i = 0; i < t->r.n_copies; i++)
    if (t->r.te->block[t->r.copy[i]].buffer == buffer)
      return true;
  return false;
}

/* An axis that only factor `of` uses and `group` divides: the one that O is stored along, else the
 * longest. */
static int tile_axis(const mma *t, int of, int64_t group) {
  const neo_te_block *red = neo_gpu_reduction(&t->r);
  int best = -1;
  for (int a = 0; a < red->n_spatial; a++) {
    if (t->r.of_red[a] < 0 || red->extent[a] % group != 0 || !neo_access_uses(t->factor[of], a) ||
        neo_access_uses(t->factor[1 - of], a))
      continue;
    if (best < 0 || a == t->unit || (best != t->unit && red->extent[a] > red->extent[best]))
      best = a;
  }
  return best;
}

/* The longest reduce axis that moves one dim of each factor by one. */
static int deep_axis(const mma *t, int64_t k) {
  const neo_te_block *red = neo_gpu_reduction(&t->r);
  int best = -1;
  for (int a = red->n_spatial; a < red->n_spatial + red->n_reduce; a++)
    if (red->extent[a] % k == 0 && neo_access_dim(t->factor[0], a) >= 0 &&
        neo_access_dim(t->factor[1], a) >= 0 && (best < 0 || red->extent[a] > red->extent[best]))
      best = a;
  return best;
}

static bool fits(mma *t, int row) {
  const neo_matrix *r = neo_matrix_get(row);
  const neo_te_buffer *buffer = t->r.te->buffer;
  if (!neo_matrix_native(row, &t->r.b->space->target) ||
      neo_gpu_reduction(&t->r)->body->dtype != r->acc ||
      buffer[t->factor[0]->buffer].dtype != r->a || buffer[t->factor[1]->buffer].dtype != r->b)
    return false;
  t->row = row;
  t->m = tile_axis(t, 0, r->m);
  t->n = tile_axis(t, 1, r->n);
  t->k = deep_axis(t, r->k);
  return t->m >= 0 && t->n >= 0 && t->k >= 0;
}

/* Alternative number *choice, which is counted down by those there are. */
static bool find_alternative(mma *t, int *choice) {
  const neo_expr *x, *y;
  if (!neo_matrix_factors(neo_gpu_reduction(&t->r), &x, &y) || !is_copy(t, x->u.load.buffer) ||
      !is_copy(t, y->u.load.buffer))
    return false;
  const neo_access *a = access_of(t, x->u.load.buffer), *b = access_of(t, y->u.load.buffer);
  for (int swapped = 0; a && b && swapped < 2; swapped++)
    for (int row = neo_matrix_count() - 1; row >= 0; row--) {
      t->factor[0] = swapped ? b : a;
      t->factor[1] = swapped ? a : b;
      if (fits(t, row) && (*choice)-- == 0)
        return true;
    }
  return false;
}

/* ---- decisions --------------------------------------------------------------------------------------- */

static int64_t extent(const mma *t, int axis) {
  return neo_gpu_reduction(&t->r)->extent[axis];
}

/* A work-item's own: `least` times powers of two. */
static int own(mma *t, const char *name, int64_t n, int64_t least) {
  int d = neo_builder_decision(t->r.b, name, false);
  for (int64_t v = least; v <= MAX_OWN; v *= 2)
    if (n % v == 0)
      neo_builder_value(t->r.b, d, v);
  return d;
}

static int64_t gap(const mma *t) {
  return LINE / (int64_t)neo_dtype_size(neo_matrix_get(t->row)->a);
}

static void add_decisions(mma *t) {
  neo_builder *b = t->r.b;
  const neo_matrix *row = neo_matrix_get(t->row);
  int64_t m = extent(t, t->m) / NEO_MATRIX_ROW_ITEMS, n = extent(t, t->n) / NEO_MATRIX_COLUMN_ITEMS;
  t->warps_m = neo_gpu_divisors(b, "warps m", m, MAX_WARPS);
  t->rows = own(t, "rows", m, neo_matrix_rows(t->row));
  t->warps_n = neo_gpu_divisors(b, "warps n", n, MAX_WARPS);
  t->columns = own(t, "columns", n, neo_matrix_columns(t->row));
  t->steps = neo_gpu_divisors(b, "k steps", extent(t, t->k) / row->k, MAX_STEPS);
  int along_m[2] = {t->warps_m, t->rows}, along_n[2] = {t->warps_n, t->columns};
  int warps[2] = {t->warps_m, t->warps_n}, sums[2] = {t->rows, t->columns},
      code[3] = {t->steps, t->rows, t->columns};
  neo_builder_limit(b, NEO_LIMIT_FACTORS, 1, m, 2, along_m);
  neo_builder_limit(b, NEO_LIMIT_FACTORS, 1, n, 2, along_n);
  neo_builder_limit(b, NEO_LIMIT_PRODUCT, NEO_MATRIX_WARP, b->space->target.gpu.items, 2, warps);
  neo_builder_limit(b, NEO_LIMIT_PRODUCT, 1, MAX_SUMS, 2, sums);
  neo_builder_limit(b, NEO_LIMIT_PRODUCT, 1,
                    (int64_t)MAX_CODE * neo_matrix_rows(t->row) * neo_matrix_columns(t->row), 3,
                    code);
  const neo_gpu_part part[NEO_GPU_PARTS] = {
      {t->k, row->k + gap(t), {t->steps, -1}},
      {t->m, NEO_MATRIX_ROW_ITEMS, {t->warps_m, t->rows}},
      {t->n, NEO_MATRIX_COLUMN_ITEMS, {t->warps_n, t->columns}}};
  for (int i = 0; i < t->r.n_copies; i++)
    neo_gpu_limit_copy(&t->r, t->r.copy[i], b->space->target.gpu.shared / t->r.n_copies - 64, part);
}

/* ---- slots ------------------------------------------------------------------------------------------- */

static neo_slot *split(mma *t, int block, int axis) {
  neo_slot *slot = neo_builder_slot(t->r.b, NEO_INSTR_SPLIT, block);
  slot->instr.axis = (int16_t)axis;
  return slot;
}

static void split_output(mma *t, int axis, int warps, int64_t items, int each) {
  neo_slot *slot = split(t, t->r.out, axis);
  neo_slot_arg_hole(slot, warps, 1);
  neo_slot_arg(slot, items);
  neo_slot_arg_hole(slot, each, 1);
}

/* The tile's axis that is the vector's; -1: none. */
static int vector_of(const mma *t) {
  return t->unit == t->m || t->unit == t->n ? t->unit : -1;
}

static void mark_tile(mma *t, int block, int axis, int level, bool vector) {
  neo_builder_mark(t->r.b, vector ? NEO_INSTR_VECTOR : NEO_INSTR_UNROLL, block, axis, level);
}

/* Returns the depth of a work-item. */
static int schedule_output(mma *t) {
  neo_builder *b = t->r.b;
  int m = t->r.of_red[t->m], n = t->r.of_red[t->n], walk[NEO_TE_MAX_AXES];
  int grid = neo_builder_walk(b, t->r.out, walk);
  bool m_last = vector_of(t) == t->m;
  split_output(t, m, t->warps_m, NEO_MATRIX_ROW_ITEMS, t->rows);
  split_output(t, n, t->warps_n, NEO_MATRIX_COLUMN_ITEMS, t->columns);
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, t->r.out);
  for (int i = 0; i < grid; i++)
    neo_slot_loop(order, walk[i], 0);
  for (int level = 1; level <= 2; level++) {
    neo_slot_loop(order, m, level);
    neo_slot_loop(order, n, level);
  }
  neo_slot_loop(order, m_last ? n : m, 3);
  neo_slot_loop(order, m_last ? m : n, 3);
  neo_slot_arg(neo_builder_slot(b, NEO_INSTR_PARALLEL, t->r.out), grid);
  neo_slot_arg(neo_builder_slot(b, NEO_INSTR_GROUP, t->r.out), 4);
  mark_tile(t, t->r.out, m, 3, vector_of(t) == t->m);
  mark_tile(t, t->r.out, n, 3, vector_of(t) == t->n);
  return grid + 4;
}

static void schedule_reduction(mma *t, int depth) {
  neo_builder *b = t->r.b;
  int vector = vector_of(t);
  if (vector >= 0)
    neo_slot_arg_hole(split(t, t->r.red, vector), vector == t->m ? t->rows : t->columns, 1);
  neo_slot *deep = split(t, t->r.red, t->k);
  neo_slot_arg_hole(deep, t->steps, 1);
  neo_slot_arg(deep, neo_matrix_get(t->row)->k);
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, t->r.red);
  neo_gpu_order_reduce(&t->r, order, t->k, 3);
  for (int a = 0; a < neo_gpu_reduction(&t->r)->n_spatial; a++)
    if (a != vector)
      neo_slot_loop(order, a, 0);
  for (int level = 0; vector >= 0 && level < 2; level++)
    neo_slot_loop(order, vector, level);
  neo_slot *at = neo_builder_slot(b, NEO_INSTR_AT, t->r.red);
  neo_slot_arg(at, t->r.out);
  neo_slot_arg(at, depth);
  neo_slot_arg(at, NEO_SCOPE_REG);
  if (vector >= 0)
    neo_builder_mark(b, NEO_INSTR_VECTOR, t->r.red, vector, 1);
  neo_builder_mark(b, NEO_INSTR_UNROLL, t->r.red, t->k, 1);
  neo_slot *tensorize = neo_builder_mark(b, NEO_INSTR_TENSORIZE, t->r.red, t->k, 2);
  memcpy(tensorize->instr.name, neo_matrix_get(t->row)->name, strlen(neo_matrix_get(t->row)->name));
}

/* Dim `last` innermost, in `steps * k` places and a gap. */
static void lay_copy(mma *t, const neo_access *factor) {
  int last = neo_access_dim(factor, t->k);
  int64_t k = neo_matrix_get(t->row)->k;
  neo_layout layout = {0};
  for (int d = 0; d < factor->rank; d++)
    if (d != last)
      layout.dim[layout.n++] = (neo_layout_dim){(int8_t)d, ' ', 0};
  layout.dim[layout.n++] = (neo_layout_dim){(int8_t)last, ' ', (int32_t)(k + gap(t))};
  neo_slot *slot = neo_builder_lay(t->r.b, factor->buffer, &layout);
  neo_slot_hole(slot, NEO_HOLE_LAYOUT + layout.n - 1, t->steps, k);
  slot->hole[slot->n_holes - 1].plus = (int32_t)gap(t);
}

/* A constant that is copied is stored with the dim that is k innermost. */
static void pack_source(mma *t, const neo_access *load, int axis) {
  neo_builder *b = t->r.b;
  int dim = neo_access_dim(load, axis);
  neo_layout layout;
  if (t->r.te->buffer[load->buffer].role != NEO_TE_CONST || b->laid[load->buffer] || dim < 0)
    return;
  neo_layout_with_last(&layout, load->rank, dim);
  neo_builder_lay(b, load->buffer, &layout);
}

/* Vectors along the dim that is k, where what is copied has neighbours there. */
static void copy_in_vectors(mma *t, const neo_access *factor) {
  neo_builder *b = t->r.b;
  int copy = b->variant->facts.writer[factor->buffer], axis = neo_access_dim(factor, t->k);
  const neo_block_facts *facts = &b->variant->facts.block[copy];
  const neo_te_block *block = &t->r.te->block[copy];
  if (facts->n_access == 2)
    pack_source(t, &facts->access[1], axis);
  if (facts->n_access != 2 || facts->access[1].guard_axes >> axis & 1 ||
      neo_access_stride(&facts->access[1], t->r.te, &b->layout[facts->access[1].buffer], axis, 1) !=
          1)
    return;
  neo_slot_arg(split(t, copy, axis), neo_min_i64(gap(t), neo_matrix_get(t->row)->k));
  neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, copy);
  for (int a = 0; a < block->n_spatial; a++)
    if (a != axis)
      neo_slot_loop(order, a, 0);
  neo_slot_loop(order, axis, 0);
  neo_slot_loop(order, axis, 1);
  neo_builder_mark(b, NEO_INSTR_VECTOR, copy, axis, 1);
}

static bool apply(neo_builder *b, int block) {
  mma t = {.row = -1};
  int choice = b->choice;
  if (strcmp(b->variant->alg, "stage") != 0 || !neo_gpu_find_reduction(b, block, &t.r) ||
      t.r.red == t.r.out || !neo_gpu_find_copies(&t.r))
    return false;
  int unit = neo_builder_unit_axis(b, block, 2);
  t.unit = unit < 0 ? -1 : neo_gpu_red_axis(&t.r, unit);
  if (!find_alternative(&t, &choice)) {
    b->choice = choice; /* the rules after this one have their own first choices */
    return false;
  }
  b->more = true;
  b->sketch->matrices |= UINT64_C(1) << t.row;
  add_decisions(&t);
  for (int i = 0; i < 2; i++) {
    lay_copy(&t, t.factor[i]);
    copy_in_vectors(&t, t.factor[i]);
  }
  schedule_reduction(&t, schedule_output(&t));
  neo_gpu_schedule_copies(&t.r, 1);
  b->done[t.r.red] = b->done[t.r.out] = true;
  return true;
}

const neo_rule neo_rule_gpu_mma = {
    "gpu_mma", "sums of products by matrix instructions, in tiles of warps", apply, NEO_RULE_GPU};
