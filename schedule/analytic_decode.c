/* Schedules as loops per block, for the analytic model: no lowering.
 *
 * Why: a candidate's cost takes microseconds; lowering takes milliseconds. How: instructions are
 * applied to one body per block, from the last block to the first, so that an attached block knows
 * the region that its consumer reads. */
#include "schedule/analytic_plan.h"

#include "schedule/intrinsic.h"
#include "schedule/matrix.h"

#include <string.h>

static const neo_layout row_major;

static void decode_instr(neo_cost_plan *p, const neo_instr *instr) {
  neo_cost_body *b = instr->block >= 0 ? &p->block[instr->block] : NULL;
  switch (instr->kind) {
  case NEO_INSTR_LAY:
  case NEO_INSTR_PACK:
    p->layout[instr->buffer] = &instr->layout;
    break;
  case NEO_INSTR_SPLIT:
    b->n_factors[instr->axis] = instr->n_args;
    memcpy(b->factor[instr->axis], instr->arg, sizeof(int32_t) * (size_t)instr->n_args);
    break;
  case NEO_INSTR_ORDER:
    b->order = instr;
    break;
  case NEO_INSTR_AT:
    b->at = instr->arg[0];
    b->depth = instr->arg[1];
    b->scope = instr->arg[2];
    break;
  case NEO_INSTR_PARALLEL:
    b->grid = instr->arg[0];
    break;
  case NEO_INSTR_GROUP:
    b->group = instr->arg[0];
    b->items = instr->n_args > 1 ? instr->arg[1] : 0;
    break;
  case NEO_INSTR_VECTOR:
    b->vector_axis = instr->axis;
    break;
  case NEO_INSTR_PEEL:
    b->peeled |= UINT32_C(1) << instr->axis;
    break;
  case NEO_INSTR_TENSORIZE:
    b->row = neo_intrinsic_find(instr->name);
    b->matrix = neo_matrix_find(instr->name);
    b->tensor_axis = instr->axis;
    b->tensor_level = instr->level;
    break;
  case NEO_INSTR_UNROLL:
    b->unrolled[instr->axis] |= (uint8_t)(1u << instr->level);
    break;
  default:
    break;
  }
}

static int64_t trip_of(const neo_cost_body *b, int axis, int level) {
  int64_t step = 1;
  for (int j = b->n_factors[axis]; j > level; j--)
    step *= b->factor[axis][j - 1];
  int64_t left = neo_ceil_div(b->extent[axis], step);
  return level == 0 ? left : neo_min_i64(left, b->factor[axis][level - 1]);
}

static void build_loops(neo_cost_body *b) {
  int n_axes = neo_cost_axes(b);
  b->n_loops = 0;
  if (!b->order) {
    for (int a = 0; a < n_axes; a++)
      b->loops[b->n_loops++] = (neo_cost_loop){a, b->extent[a]};
    return;
  }
  for (int i = 0; i < b->order->n_args; i++) {
    int axis = b->order->arg[i] / 16;
    b->loops[b->n_loops++] = (neo_cost_loop){axis, trip_of(b, axis, b->order->arg[i] % 16)};
  }
}

/* Extent of each axis that the loops from position k on cover. */
void neo_cost_cover_from(const neo_cost_body *b, int k, int64_t *cover) {
  int n_axes = neo_cost_axes(b);
  for (int a = 0; a < n_axes; a++)
    cover[a] = 1;
  for (int i = k; i < b->n_loops; i++)
    cover[b->loops[i].axis] *= b->loops[i].trip;
  for (int a = 0; a < n_axes; a++)
    cover[a] = neo_min_i64(cover[a], b->extent[a]);
}

int64_t neo_cost_dim_cover(const neo_access *access, int dim, const int64_t *cover) {
  int64_t size = 1;
  for (uint32_t left = access->axes[dim], a = 0; left; left >>= 1, a++)
    if (left & 1)
      size += (access->coef[dim][a] < 0 ? -access->coef[dim][a] : access->coef[dim][a]) *
              (cover[a] - 1);
  if (access->divide[dim] > 0)
    size = neo_ceil_div(size, access->divide[dim]);
  if (access->modulo[dim] > 0)
    size = neo_min_i64(size, access->modulo[dim]);
  return size;
}

int neo_cost_parts(const neo_cost_plan *p, const neo_access *access) {
  const neo_layout *layout = p->layout[access->buffer];
  return layout->n == 0 ? access->rank : layout->n;
}

neo_cost_part neo_cost_part_of(const neo_cost_plan *p, const neo_access *access, int i,
                               const int64_t *cover) {
  const neo_layout *layout = p->layout[access->buffer];
  neo_layout_dim dim = {(int8_t)i, ' ', 0};
  if (layout->n > 0)
    dim = layout->dim[i];
  int64_t whole = p->variant->te.buffer[access->buffer].shape.dim[dim.dim];
  int64_t n = neo_min_i64(whole, neo_cost_dim_cover(access, dim.dim, cover));
  if (dim.part == '/')
    return (neo_cost_part){neo_ceil_div(n, dim.factor), neo_ceil_div(whole, dim.factor)};
  if (dim.part == '%')
    return (neo_cost_part){neo_min_i64(n, dim.factor), dim.factor};
  return (neo_cost_part){n, dim.factor > 0 ? dim.factor : whole};
}

/* Widens out to the part of `producer`'s axes that `consumer` reads when its own axes cover
 * `cover`. */
static void widen(const neo_cost_plan *p, int producer, int consumer, const int64_t *cover,
                  int64_t *out) {
  const neo_te_block *te = p->block[producer].te;
  const neo_cost_body *c = &p->block[consumer];
  int64_t lo[NEO_MAX_RANK], hi[NEO_MAX_RANK];
  bool reads = false;
  for (int i = 1; i < c->facts->n_access; i++) {
    const neo_access *read = &c->facts->access[i];
    if (read->buffer != te->buffer)
      continue;
    for (int d = 0; d < read->rank && d < te->n_spatial; d++) {
      int64_t end = read->base[d] + neo_cost_dim_cover(read, d, cover);
      lo[d] = reads ? neo_min_i64(lo[d], read->base[d]) : read->base[d];
      hi[d] = reads ? neo_max_i64(hi[d], end) : end;
    }
    reads = true;
  }
  for (int d = 0; reads && d < te->n_spatial; d++)
    out[d] = neo_min_i64(te->extent[d], neo_max_i64(out[d], hi[d] - lo[d]));
}

bool neo_cost_is_inside(const neo_cost_plan *p, int block, int consumer) {
  for (int k = block; k >= 0; k = p->block[k].at)
    if (k == consumer)
      return true;
  return false;
}

/* What `consumer` covers from its loop k on, and what blocks from..consumer-1 inside it then
 * compute. */
void neo_cost_find_covers(const neo_cost_plan *p, int consumer, int k, int from,
                          neo_cost_covers cover) {
  neo_cost_cover_from(&p->block[consumer], k, cover[consumer]);
  for (int q = consumer - 1; q >= from; q--) {
    const neo_te_block *te = p->block[q].te;
    if (!neo_cost_is_inside(p, q, consumer))
      continue;
    for (int a = 0; a < neo_cost_axes(&p->block[q]); a++)
      cover[q][a] = a < te->n_spatial ? 1 : te->extent[a];
    for (int c = q + 1; c <= consumer; c++)
      if (neo_cost_is_inside(p, c, consumer))
        widen(p, q, c, cover[c], cover[q]);
  }
}

void neo_cost_decode(neo_cost_plan *p, const neo_schedule *schedule) {
  const neo_te *te = &p->variant->te;
  for (int k = 0; k < te->n_buffers; k++)
    p->layout[k] = &row_major;
  for (int k = 0; k < te->n_blocks; k++) {
    p->block[k].te = &te->block[k];
    p->block[k].facts = &p->variant->facts.block[k];
    p->block[k].vector_axis = p->block[k].at = p->block[k].row = -1;
    p->block[k].matrix = -1;
  }
  for (int i = 1; i < schedule->n; i++)
    decode_instr(p, &schedule->instr[i]);
  for (int k = te->n_blocks - 1; k >= 0; k--) {
    neo_cost_body *b = &p->block[k];
    b->runs = 1;
    memcpy(b->extent, te->block[k].extent, sizeof(b->extent));
    if (b->at > k && b->at < te->n_blocks) {
      const neo_cost_body *consumer = &p->block[b->at];
      neo_cost_covers cover;
      neo_cost_find_covers(p, b->at, b->depth, k, cover);
      memcpy(b->extent, cover[k], sizeof(b->extent));
      b->runs = consumer->runs;
      for (int i = 0; i < b->depth && i < consumer->n_loops; i++)
        b->runs *= (double)consumer->loops[i].trip;
    }
    build_loops(b);
  }
}
