/* The analytic model of GPUs: predicted time of a schedule in closed form.
 *
 * How: per launch, groups run in waves over the compute units, the work-items of a group in steps
 * of the device's width; a work-item's cycles are its arithmetic (one multiply-add a cycle) and its
 * accesses. An access of the device's memory costs the lines that the work-items in step touch with
 * it: one where they read the same element, as many as there are work-items where they are far
 * apart. A vector is one access, of 16 bytes at most. What a group shares costs one cycle. Blocks
 * that work-items compute in turn take as many steps as the busiest of them has. The launch takes
 * no less than its bytes at the memory's speed, and a fixed time to begin.
 *
 * Matrix instructions do several multiply-adds of each work-item in a cycle, and a warp's
 * work-items load operands for each other, four values in a word or two.
 *
 * The constants are round figures of integrated GPUs: no device has been measured. What matters is
 * the order: enough groups, full widths, neighbours reading neighbours, operands used more than
 * once. */
#include "schedule/analytic.h"

#include "schedule/analytic_plan.h"
#include "schedule/matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LAUNCH_NS 8000.0
#define LINE_CYCLES 4.0 /* one line from the first cache */
#define DRAM_BYTES_PER_CYCLE 16.0
#define LANE_OVERHEAD 2.0 /* cycles of index arithmetic and branches of one step of the loops */
#define BARRIER_CYCLES 30.0
#define RESIDENT 8.0  /* groups' worth of work-items in step that hide latency */
#define LATENCY 200.0 /* cycles of an access that nothing hides */

typedef struct shape {
  double groups, items,
      width;     /* width: of neighbouring work-items along the innermost group loop */
  int near_axis; /* of that loop, in the root */
} shape;

static shape shape_of(const neo_cost_body *root) {
  shape s = {1, 1, 1, -1};
  for (int i = 0; i < root->n_loops && i < root->grid + root->group; i++)
    *(i < root->grid ? &s.groups : &s.items) *= (double)root->loops[i].trip;
  if (root->items > 1)
    s.items = s.width = (double)root->items;
  if (root->group > 0 && root->grid + root->group <= root->n_loops) {
    const neo_cost_loop *near_loop = &root->loops[root->grid + root->group - 1];
    s.near_axis = near_loop->axis;
    s.width = (double)near_loop->trip;
  }
  return s;
}

/* The axis of `block` that moves with the root's; blocks inside a root read it axis for axis. */
static int axis_inside(const neo_cost_plan *p, int block, int root, int root_axis) {
  if (block == root || root_axis < 0)
    return root_axis;
  const neo_block_facts *facts = p->block[root].facts;
  for (int i = 1; i < facts->n_access; i++) {
    const neo_access *read = &facts->access[i];
    if (read->buffer != p->block[block].te->buffer)
      continue;
    for (int d = 0; d < read->rank && d < p->block[block].te->n_spatial; d++)
      if (read->coef[d][root_axis] == 1)
        return d;
  }
  return -1;
}

/* Elements between what neighbouring work-items access. */
static double neighbour_stride(const neo_cost_plan *p, const neo_access *access, int axis,
                               double tile) {
  if (axis < 0 || !neo_access_uses(access, axis))
    return 0;
  int64_t stride = neo_access_stride(access, &p->variant->te, p->layout[access->buffer], axis, 1);
  return stride == NEO_STRIDE_ODD ? 64 : fabs((double)stride) * tile;
}

static bool is_shared(const neo_cost_plan *p, int buffer) {
  int writer = p->variant->facts.writer[buffer];
  return writer >= 0 && p->block[writer].at >= 0 && p->block[writer].scope == NEO_SCOPE_SHARED;
}

static bool is_register(const neo_cost_plan *p, int buffer) {
  int writer = p->variant->facts.writer[buffer];
  return writer >= 0 && p->block[writer].at >= 0 && p->block[writer].scope == NEO_SCOPE_REG;
}

/* What one work-item covers of each axis, from loop `from` of the body inwards. */
static void tile_of(const neo_cost_body *b, int from, double *tile) {
  for (int a = 0; a < neo_cost_axes(b); a++)
    tile[a] = 1;
  for (int i = from; i < b->n_loops; i++)
    tile[b->loops[i].axis] *= (double)b->loops[i].trip;
}

typedef struct work {
  double cycles, accesses, bytes, fmas, barriers;
} work;

/* One work-item's steps of a block that is computed in turn, once. Of a reduction each takes parts
 * of sums; then parts are added in halves, a barrier before each. */
static double steps_in_turn(const neo_cost_body *b, int from, double items, double *barriers) {
  double elements = 1, sums = 1, parts = 1;
  for (int i = from; i < b->n_loops; i++)
    *(b->loops[i].axis < b->te->n_spatial ? &elements : &sums) *= (double)b->loops[i].trip;
  *barriers = 1;
  if (b->te->n_reduce == 0)
    return ceil(elements / items);
  parts = (double)b->loops[b->n_loops - 1].trip;
  double steps = ceil(elements * parts / items) * (sums / parts);
  for (double half = parts / 2; half >= 1; half /= 2) {
    steps += 2 * ceil(elements * half / items);
    *barriers += 1;
  }
  return steps;
}

/* The axis along which neighbouring work-items go; -1: none. */
static int axis_in_turn(const neo_cost_body *b) {
  if (b->te->n_reduce > 0)
    return b->n_loops > 0 ? b->loops[b->n_loops - 1].axis : -1;
  for (int a = b->te->n_spatial - 1; a >= 0; a--)
    if (b->extent[a] > 1)
      return a;
  return -1;
}

/* Steps of the loops that access i serves: a tile in registers reads what it has again, a sum is
 * stored once. */
static double steps_of_one(const neo_cost_body *b, int i, const double *tile, bool together) {
  double served = 1;
  for (int a = 0; a < b->te->n_spatial && b->te->n_reduce > 0 && !together; a++)
    served *= neo_access_uses(&b->facts->access[i], a) ? 1 : tile[a];
  for (int a = b->te->n_spatial; i == 0 && a < neo_cost_axes(b); a++)
    served *= tile[a];
  return served;
}

/* ---- matrix instructions ----------------------------------------------------------------------------- */

/* Multiply-adds of halves and of bytes for one of floats, which the model has at one a cycle. From
 * what Nvidia publishes: peaks of T4, A100, A10, Orin and H100 (dense) by multiprocessors and
 * clock, by 64 or 128 multiply-adds of floats and 64 of integers a clock. Of sm_90 half of that:
 * mma.sync does not reach wgmma's. */
static const struct {
  int sm;
  double halves, bytes;
} speeds[] = {{75, 8, 16}, {80, 16, 32}, {86, 4, 16}, {87, 8, 32}, {89, 4, 16}, {90, 8, 32}};

static double speed_of(const neo_cost_plan *p, const neo_matrix *row) {
  const char *number = strchr(p->target->gpu.model, '_');
  long sm = number ? strtol(number + 1, NULL, 10) : 0;
  double speed = 1;
  for (int i = 0; i < NEO_COUNT(speeds); i++)
    if (sm >= speeds[i].sm)
      speed = row->acc == NEO_F32 ? speeds[i].halves : speeds[i].bytes;
  return speed;
}

/* `steps` multiply-adds of a work-item, tiles of `tile`: cycles of the instructions and of loads
 * from what the group shares. A work-item loads a quarter of k: for its own rows of A, and for one
 * of two columns of B. */
static double matrix_cycles(const neo_cost_plan *p, const neo_cost_body *b, double steps,
                            const double *tile) {
  const neo_matrix *row = neo_matrix_get(b->matrix);
  double per_word = 4 / (double)neo_dtype_size(row->a), cycles = steps / speed_of(p, row);
  for (int i = 1; i < b->facts->n_access; i++) {
    double reuse = 1; /* of a row by the tile's columns, or the other way round */
    for (int a = 0; a < b->te->n_spatial; a++)
      reuse *= neo_access_uses(&b->facts->access[i], a) ? 1 : tile[a];
    cycles += steps / reuse / NEO_MATRIX_COLUMN_ITEMS / per_word * (i > 1 ? 0.5 : 1);
  }
  return cycles + LANE_OVERHEAD * steps / row->k / 4;
}

/* Lanes of the block's vector loop. Work-items that compute it together have vectors only where
 * these divide what there is. */
static int lanes_of(const neo_cost_body *b, bool together) {
  int v = b->vector_axis;
  if (v < 0 || b->n_factors[v] == 0)
    return 1;
  int lanes = b->factor[v][b->n_factors[v] - 1];
  return together && (b->te->n_reduce > 0 || b->extent[v] % lanes != 0) ? 1 : lanes;
}

/* Elements of a vector that one access serves: where they lie side by side, or are one. */
static double elements_of_one(const neo_cost_plan *p, const neo_cost_body *b, int i, int lanes) {
  enum { BYTES = 16 };
  const neo_access *access = &b->facts->access[i];
  int v = b->vector_axis;
  if (lanes == 1 || (access->guarded && (access->guard_axes >> v & 1)))
    return 1;
  int size = (int)neo_dtype_size(p->variant->te.buffer[access->buffer].dtype);
  int64_t stride = neo_access_stride(access, &p->variant->te, p->layout[access->buffer], v, lanes);
  if (stride == 0)
    return b->te->n_reduce > 0 ? 1 : lanes; /* steps_of_one has it */
  return stride == 1 ? (double)neo_min_i64(lanes, BYTES / size) : 1;
}

/* Cycles of one element: what is only moved goes a vector at a time. */
static double arithmetic(const neo_cost_plan *p, const neo_cost_body *b, int lanes) {
  double moved = lanes;
  for (int i = 0; i < b->facts->n_access; i++)
    moved = fmin(moved, elements_of_one(p, b, i, lanes));
  return b->facts->ops > 0 || b->te->n_reduce > 0 ? fmax(1, b->facts->ops / 2) : 1 / moved;
}

/* Of one work-item in block k of the root's launch. */
static void add_block(const neo_cost_plan *p, int k, int root, const shape *s, work *out) {
  const neo_cost_body *b = &p->block[k];
  double points = 1, tile[NEO_TE_MAX_AXES];
  bool shared = b->at >= 0 && b->scope == NEO_SCOPE_SHARED;
  int from = k == root ? b->grid + b->group : 0, near = axis_inside(p, k, root, s->near_axis);
  for (int i = from; i < b->n_loops; i++)
    points *= (double)b->loops[i].trip;
  tile_of(b, from, tile);
  bool together = p->block[root].items > 1;
  int lanes = lanes_of(b, shared || together);
  double runs = k == root || together ? 1 : b->runs / s->groups / s->items;
  double barriers = shared, steps = points * runs;
  if (shared) {
    steps = ceil(points / lanes / s->items) * lanes * runs;
    near = axis_in_turn(b);
  }
  if (together) {
    steps = steps_in_turn(b, from, s->items, &barriers);
    near = axis_in_turn(b);
  }
  out->barriers += barriers * runs;
  if (b->matrix >= 0) {
    out->cycles += matrix_cycles(p, b, steps, tile);
    out->fmas += steps;
    return;
  }
  out->cycles += steps * arithmetic(p, b, lanes) + LANE_OVERHEAD * steps / fmax(4, lanes);
  out->fmas += b->facts->contraction ? steps : 0;
  for (int i = 0; i < b->facts->n_access; i++) {
    const neo_access *access = &b->facts->access[i];
    if (is_register(p, access->buffer) || (i == 0 && b->te->n_reduce > 0 && k != root))
      continue;
    double elements = elements_of_one(p, b, i, lanes);
    double uses = steps / steps_of_one(b, i, tile, together) / elements;
    if (is_shared(p, access->buffer)) {
      out->cycles += uses;
      continue;
    }
    double size = (double)neo_dtype_size(p->variant->te.buffer[access->buffer].dtype);
    double bytes = size * elements, apart = near == b->vector_axis ? elements : 1;
    double stride =
        neighbour_stride(p, access, near, shared || together || near < 0 ? apart : tile[near]);
    double lines = fmin(fmax(stride * size / NEO_COST_LINE, 1.0 / p->target->gpu.simd), 1);
    if (stride == 0)
      lines = 1.0 / p->target->gpu.simd;
    out->cycles += uses * LINE_CYCLES * lines * 2;
    out->accesses += uses;
    out->bytes += uses * bytes * fmax(lines, 1.0 / p->target->gpu.simd) / 4;
  }
}

static void add_launch(const neo_cost_plan *p, int root, neo_cost *cost) {
  const neo_gpu *gpu = &p->target->gpu;
  shape s = shape_of(&p->block[root]);
  work w = {0};
  for (int k = 0; k <= root; k++)
    if (neo_cost_is_inside(p, k, root))
      add_block(p, k, root, &s, &w);
  double in_step = ceil(s.items / gpu->simd), waves = ceil(s.groups / gpu->units);
  double group = in_step * w.cycles + w.barriers * BARRIER_CYCLES;
  double resident = fmin(in_step * ceil(s.groups / gpu->units), RESIDENT);
  double exposed = w.accesses * LATENCY / 8 * (1 - resident / (RESIDENT + 1)) * waves;
  double total = s.groups * s.items;
  double memory = w.bytes * total / DRAM_BYTES_PER_CYCLE;
  double cycles = fmax(waves * group + exposed, memory);
  double ghz = p->target->ghz > 0 ? p->target->ghz : 1;
  cost->ns += LAUNCH_NS + cycles / ghz;
  cost->compute += w.cycles * total;
  cost->fma += w.fmas * total;
  cost->ideal += w.fmas * total / gpu->simd;
  cost->dram_bytes += w.bytes * total;
  cost->overhead += w.barriers * total;
  cost->launches++;
  if (s.groups > cost->grid) {
    cost->grid = s.groups;
    cost->balance = s.groups / (waves * gpu->units) * s.items / (in_step * gpu->simd);
    cost->tile_v = s.width;
    cost->tile_1 = s.items;
  }
}

void neo_cost_find_gpu(const neo_cost_plan *p, neo_cost *cost) {
  const neo_te *te = &p->variant->te;
  for (int k = 0; k < te->n_blocks; k++) {
    const neo_cost_body *b = &p->block[k];
    if (b->at < 0) {
      add_launch(p, k, cost);
      continue;
    }
    double sums = 1;
    for (int a = 0; a < te->block[k].n_spatial; a++)
      sums *= (double)b->extent[a];
    if (b->scope == NEO_SCOPE_SHARED)
      cost->scratch_bytes += sums * 4;
    else
      cost->accumulators = fmax(cost->accumulators, sums);
  }
}
