/* Cycles of one block of a schedule with its data in L1: register tiles and streams.
 *
 * Why and how: see analytic.c. A step of a register tile takes the largest of FMA issue, load
 * issue, FMA latency and front end (after oneDNN's ukernel efficiency and BLIS's latency bound),
 * weighted over full and tail tiles; blocks without accumulators in registers stream. What is
 * around a tile (its stores, the epilogue) hides behind other tiles as far as they fit the reorder
 * buffer together: with 16 input channels, tiles of 4 accumulators run at the FMA peak, tiles of 30
 * at 0.85 of it. On 64-bit Arm four neighbouring scalars are one load (codegen/llvm_lanes.c); cores
 * with one vector FMA a cycle look less far ahead, and what is no FMA takes some of their issue. */
#include "schedule/analytic_plan.h"
#include "schedule/intrinsic.h"

#include <math.h>
#include <string.h>

#define LOADS_PER_CYCLE 2.0
#define ISSUE_WIDTH 5.0
#define BROADCAST                                                                                  \
  1.4 /* load slots of a broadcast: its lines are spread, so ports and sets conflict */
#define UNIFORM_GUARD 3.0 /* more load slots where all lanes share the guard: compare, select */
#define EVERY_GUARD 8.0   /* of each row of a tile that is not peeled */
#define OPERANDS 2        /* registers that hold what a step reads */
#define OVERLAPPED 150.0  /* operations of a tile up to which its end hides behind other tiles, */
#define APART 450.0       /* and from which on nothing of it does: the reorder buffer is full */
#define LONG_CHAIN 10     /* operations of an epilogue that holds an exponential or the like */
#define LEAST_EXPOSED 0.15
#define FREE_OPERATIONS 4 /* of an epilogue: additions and maxima have ports beside the FMAs' */
#define WAY_BYTES                                                                                  \
  4096 /* of a first-level cache: one page, so that its index needs no translation */
#define MISS_CYCLES 4.0     /* a line that comes from the second level, one after another */
#define BORDER_CYCLES 7.0   /* of a step with a row that a guard excludes at some taps */
#define SCALAR_BYTES 16     /* that one load of 64-bit Arm takes together */
#define SMALL_WINDOW 0.1    /* of OVERLAPPED and APART, that a small core's reorder buffer holds */
#define SMALL_LOOP 4        /* cycles of loop control and addresses there */
#define SMALL_SLOT 0.3      /* cycles that a load takes from a small core's FMAs */
#define BRANCH 3            /* cycles of a guard that is one branch there */
#define PAIRED 0.5          /* instructions for a vector, where one loads or stores two */
#define GUARDED 3.0         /* more instructions for each load of a row that a guard may exclude */
#define LOOP_INSTRUCTIONS 6 /* of one iteration: counter, branch, addresses */
#define TILE_INSTRUCTIONS 20
#define MAX_ROWS 64
#define PAGE_BYTES 4096
#define TLB_PAGES 64.0 /* that translation finds at once */
#define TLB_CYCLES 3.0 /* of another page, partly hidden */

static int lanes_of(const neo_cost_plan *p, const neo_cost_body *b) {
  if (b->vector_axis < 0)
    return 1;
  int axis = b->vector_axis;
  int n = b->n_factors[axis];
  (void)p;
  return n > 0 ? b->factor[axis][n - 1] : (int)neo_min_i64(b->extent[axis], 64);
}

/* FMAs started per cycle on vectors of the block. */
static double fma_ports(const neo_cost_plan *p, const neo_cost_body *b, int lanes) {
  size_t widest = 1;
  for (int i = 0; i < b->facts->n_access; i++) {
    size_t size = neo_dtype_size(p->variant->te.buffer[b->facts->access[i].buffer].dtype);
    widest = size > widest ? size : widest;
  }
  return neo_target_fma_ports(p->target, lanes * (int)widest);
}

static bool is_arm64(const neo_target *target) {
  return neo_target_has(target, NEO_ISA_NEON) && neo_target_pointer_bytes(target) == 8;
}

static bool is_small_core(const neo_target *target) {
  return is_arm64(target) && target->fma_ports == 1;
}

/* Load slots of a vector: where two halves make one FMA, two halves make one load. */
static double vector_slots(const neo_cost_plan *p, const neo_cost_body *b, int lanes) {
  return LOADS_PER_CYCLE / fma_ports(p, b, lanes);
}

/* Vector load or store slots that one access costs per vector; more if lane by lane. */
static double access_slots(const neo_cost_plan *p, const neo_cost_body *b, const neo_access *access,
                           int lanes, double *scattered) {
  if (b->vector_axis < 0)
    return access->guarded ? 2 : 1;
  int64_t stride =
      neo_access_stride(access, &p->variant->te, p->layout[access->buffer], b->vector_axis, lanes);
  bool guard_moves = access->guard_axes >> b->vector_axis & 1;
  if ((stride == 0 || stride == 1) && !guard_moves)
    return (stride == 0 ? BROADCAST : vector_slots(p, b, lanes)) +
           (access->guarded ? UNIFORM_GUARD : 0);
  *scattered += 1;
  return lanes * (access->guarded ? 8.0 : 5.0) + 8;
}

typedef struct tile_axis {
  int64_t size[2]; /* full and tail */
  double share[2]; /* number of tiles of that size, over all runs' tiles along this axis */
} tile_axis;

/* Tiles along R's axis: how the consumer's extent is cut. */
static tile_axis cut(int64_t whole, int64_t region) {
  double tiles = (double)neo_ceil_div(whole, region);
  int64_t tail = whole % region;
  return (tile_axis){{region, tail}, {(double)(whole / region) / tiles, (tail > 0) / tiles}};
}

typedef struct micro {
  const neo_cost_plan *plan;
  const neo_cost_body *b;
  int lanes;
  double steps,
      middle; /* reduce iterations per tile; iterations of all but the innermost reduce loop */
  double unroll, along; /* unrolled steps; those along long_axis */
  int long_axis;        /* the unrolled reduce axis; -1: none */
} micro;

/* Is loop i of a reduction an axis that is unrolled as a whole? On 64-bit Arm only: there is the
 * space for it. */
static bool is_whole(const micro *m, int i) {
  int axis = m->b->loops[i].axis;
  return is_arm64(m->plan->target) && m->b->n_factors[axis] == 0 && m->b->loops[i].trip > 1 &&
         axis >= m->b->te->n_spatial && (m->b->unrolled[axis] & 1);
}

/* Does the load slide over its input along a tile axis and this reduce axis? Unrolled, such loads
 * merge across steps and stay live: registers spill. */
static bool shares_window(const neo_cost_body *b, const neo_access *load, int axis) {
  for (int d = 0; axis >= 0 && d < load->rank; d++)
    for (int a = 0; load->coef[d][axis] != 0 && a < b->te->n_spatial; a++)
      if (a != b->vector_axis && load->coef[d][a] != 0 && b->extent[a] > 1)
        return true;
  return false;
}

/* Vectors of a sliding operand (a depthwise convolution's input) that all unrolled steps of one
 * tile touch: equal ones are loaded once and held. */
static double window_vectors(const micro *m, const neo_access *load, const int64_t *size) {
  const neo_cost_body *b = m->b;
  double vectors = 1;
  for (int a = 0; a < b->te->n_spatial; a++) {
    if (!neo_access_uses(load, a))
      continue;
    if (a == b->vector_axis) {
      vectors *= (double)neo_ceil_div(size[a], m->lanes);
      continue;
    }
    double distinct = (double)size[a];
    for (int d = 0; d < load->rank; d++)
      if (load->coef[d][a] > 0 && load->coef[d][m->long_axis] > 0)
        distinct = fmin(distinct * m->along, (double)(load->coef[d][a] * (size[a] - 1)) + m->along);
    vectors *= distinct;
  }
  return vectors;
}

/* Does the consumer peel the axis along which it reads axis `axis` of b's buffer? */
static bool is_peeled(const neo_cost_plan *p, const neo_cost_body *b, int axis) {
  const neo_cost_body *c = b->at >= 0 ? &p->block[b->at] : NULL;
  for (int i = 1; c && i < c->facts->n_access; i++)
    if (c->facts->access[i].buffer == b->te->buffer)
      return (c->facts->access[i].axes[axis] & c->peeled) != 0;
  return false;
}

/* Slots of a guard along spatial axis a of a tile at a border: none where the offset in the window
 * is a constant of the unrolled code, a select where it is fixed in the innermost loop, else a
 * comparison, too. */
static double border_slots(const micro *m, const neo_access *load, int a) {
  const neo_cost_body *b = m->b;
  int inner = -1;
  double slots = 0;
  for (int i = 0; i < b->n_loops; i++)
    if (b->loops[i].axis >= b->te->n_spatial && b->loops[i].trip > 1)
      inner = b->loops[i].axis;
  for (int d = 0; d < load->rank; d++)
    for (int r = b->te->n_spatial; load->coef[d][a] != 0 && r < neo_cost_axes(b); r++)
      if (load->coef[d][r] != 0 && (r != m->long_axis || m->along < (double)b->te->extent[r]))
        slots = fmax(slots, r == inner ? 2 * UNIFORM_GUARD : 1);
  return slots;
}

/* Share of the tiles along a that lie at a border. */
static double border_share(const neo_cost_body *b, int a) {
  return fmin(1, 2.0 / (double)neo_ceil_div(b->te->extent[a], b->extent[a]));
}

/* Load slots that a guard adds: a branch outside if it is the same for the tile, selects, which
 * peeled tiles have at borders only. */
static double guard_slots(const micro *m, const neo_access *load) {
  const neo_cost_body *b = m->b;
  double worst = load->guarded ? 0.2 : 0;
  for (int a = 0; a < b->te->n_spatial; a++) {
    if (!(load->guard_axes >> a & 1) || b->extent[a] <= 1)
      continue;
    bool peeled = is_peeled(m->plan, b, a);
    worst = fmax(worst, peeled ? 0.3 + border_share(b, a) * border_slots(m, load, a) : EVERY_GUARD);
  }
  return worst;
}

/* Instructions for each one of the load without guards: rows that are not peeled select, peeled
 * ones do at borders. */
static double guard_copies(const micro *m, const neo_access *load) {
  const neo_cost_body *b = m->b;
  double copies = 1;
  for (int a = 0; load->guarded && a < b->te->n_spatial; a++)
    if ((load->guard_axes >> a & 1) && b->extent[a] > 1)
      copies += GUARDED * (is_peeled(m->plan, b, a) ? border_share(b, a) / b->extent[a] : 1);
  return copies;
}

/* Out of how many sides does the load run along dim d? */
static int sides_of(const neo_cost_plan *p, const neo_cost_body *b, const neo_access *load, int d) {
  int64_t lo = load->base[d], hi = load->base[d];
  for (int a = 0; a < neo_cost_axes(b); a++) {
    int64_t reach = load->coef[d][a] * (b->te->extent[a] - 1);
    *(reach < 0 ? &lo : &hi) += reach;
  }
  return (lo < 0) + (hi >= p->variant->te.buffer[load->buffer].shape.dim[d]);
}

/* Cycles that peeled guards add to a step, on average: in tiles at a border the rows outside select
 * zeros. */
static double border_cycles(const neo_cost_plan *p, const neo_cost_body *b,
                            const neo_access *load) {
  double sum = 0;
  for (int d = 0; d < load->rank; d++)
    for (int a = 0; a < b->te->n_spatial; a++)
      if (load->coef[d][a] != 0 && load->guard_axes >> a & 1 && b->extent[a] > 1 &&
          is_peeled(p, b, a)) {
        double tiles = (double)neo_ceil_div(b->te->extent[a], b->extent[a]);
        sum += BORDER_CYCLES * sides_of(p, b, load, d) / tiles;
      }
  return sum;
}

/* What one step of a register tile reads. */
typedef struct operands {
  double slots;     /* load slots */
  double loads;     /* instructions that load */
  double parts;     /* operations that make parts of operands for an expanded intrinsic */
  double held;      /* vectors of sliding operands kept over the unrolled steps */
  double misses;    /* lines that other rows of the tile evict between two steps */
  double scattered; /* accesses lane by lane */
  double border;    /* cycles of guards at borders */
  bool window;      /* a broadcast operand slides */
} operands;

static double vectors_of(const micro *m, const int64_t *size, const neo_access *load) {
  const neo_cost_body *b = m->b;
  double n = 1;
  for (int a = 0; a < b->te->n_spatial; a++)
    if (!load || neo_access_uses(load, a))
      n *= a == b->vector_axis ? (double)neo_ceil_div(size[a], m->lanes) : (double)size[a];
  return n;
}

/* Byte offsets of the rows (all but the vector's axis) that one step of the tile reads; 0 if they
 * are not regular or too many. */
static int row_offsets(const micro *m, const int64_t *size, const neo_access *load,
                       int64_t *offset) {
  const neo_cost_body *b = m->b;
  const neo_te *te = &m->plan->variant->te;
  int64_t bytes = (int64_t)neo_dtype_size(te->buffer[load->buffer].dtype);
  int n = 1;
  offset[0] = 0;
  for (int a = 0; a < b->te->n_spatial; a++) {
    if (a == b->vector_axis || size[a] <= 1 || !neo_access_uses(load, a))
      continue;
    int64_t stride = neo_access_stride(load, te, m->plan->layout[load->buffer], a, 1);
    if (stride == NEO_STRIDE_ODD || n * size[a] > MAX_ROWS)
      return 0;
    for (int i = n; i < n * size[a]; i++)
      offset[i] = offset[i - n] + stride * bytes;
    n *= (int)size[a];
  }
  return n;
}

/* Rows whose strides are multiples of a page share one set of the first-level cache: if they are
 * more than its ways, each step finds their lines evicted although the next elements lie in them.
 */
static double evicted_lines(const micro *m, const int64_t *size, const neo_access *load) {
  const neo_cost_body *b = m->b;
  int ways = (int)(m->plan->target->l1d / WAY_BYTES), inner = -1, sum = 0;
  for (int i = 0; i < b->n_loops; i++)
    if (b->loops[i].axis >= b->te->n_spatial && b->loops[i].trip > 1)
      inner = b->loops[i].axis;
  if (ways == 0 || inner < 0 || !neo_access_uses(load, inner) ||
      (b->vector_axis >= 0 && neo_access_uses(load, b->vector_axis)))
    return 0;
  int64_t offset[MAX_ROWS];
  int n = row_offsets(m, size, load, offset);
  uint8_t used[WAY_BYTES / NEO_COST_LINE] = {0};
  if (n <= ways)
    return 0;
  for (int i = 0; i < n; i++)
    used[(uint64_t)offset[i] / NEO_COST_LINE % NEO_COUNT(used)] +=
        i == 0 || offset[i] / NEO_COST_LINE != offset[i - 1] / NEO_COST_LINE;
  for (int i = 0; i < NEO_COUNT(used); i++)
    sum += used[i] > ways ? used[i] : 0;
  return sum;
}

/* Pages that the tile reads of an operand until it has summed everything. */
static double pages_of(const micro *m, const int64_t *size, const neo_access *load) {
  const neo_cost_body *b = m->b;
  const neo_te_buffer *buffer = &m->plan->variant->te.buffer[load->buffer];
  int64_t cover[NEO_TE_MAX_AXES], stride = (int64_t)neo_dtype_size(buffer->dtype), span = stride;
  double pages = 1;
  for (int a = 0; a < neo_cost_axes(b); a++)
    cover[a] = a < b->te->n_spatial ? size[a] : b->te->extent[a];
  for (int i = neo_cost_parts(m->plan, load) - 1; i >= 0; i--) {
    neo_cost_part part = neo_cost_part_of(m->plan, load, i, cover);
    if (stride >= PAGE_BYTES)
      pages *= (double)part.touched;
    else
      span += (part.touched - 1) * stride;
    stride *= part.whole;
  }
  return pages * (double)neo_ceil_div(span, PAGE_BYTES);
}

/* A tile that reads more pages than translation knows finds none of them again. */
static double page_cycles(const micro *m, const int64_t *size) {
  double pages = 0;
  for (int i = 1; i < m->b->facts->n_access; i++) {
    const neo_access *load = &m->b->facts->access[i];
    if (m->plan->variant->te.buffer[load->buffer].role != NEO_TE_CONST)
      pages += pages_of(m, size, load);
  }
  return pages > TLB_PAGES ? pages * TLB_CYCLES : 0;
}

/* How many scalars one load takes together. Those of f16 that are cast are loaded alone. */
static int scalars_of(const micro *m) {
  bool half = m->plan->variant->te.buffer[m->b->te->buffer].dtype == NEO_F16;
  return SCALAR_BYTES / (half ? 2 : 4);
}

/* Do unrolled steps read neighbours of the load, as many as one load takes and more? */
static bool has_neighbours(const micro *m, const neo_access *load) {
  const neo_te *te = &m->plan->variant->te;
  const neo_layout *layout = m->plan->layout[load->buffer];
  int scalars = scalars_of(m);
  if (m->long_axis >= 0 && (int64_t)m->along % scalars == 0 &&
      neo_access_stride(load, te, layout, m->long_axis, scalars) == 1)
    return true;
  for (int i = 0; i < m->b->n_loops; i++)
    if (is_whole(m, i) && m->unroll >= 2 * scalars &&
        neo_access_stride(load, te, layout, m->b->loops[i].axis, 1) == 1)
      return true;
  return false;
}

/* Does the load have no guard in tiles away from borders? */
static bool is_free_inside(const micro *m, const neo_access *load) {
  const neo_cost_body *b = m->b;
  bool free = !load->guarded || is_arm64(m->plan->target);
  for (int a = 0; load->guarded && a < b->te->n_spatial; a++)
    if ((load->guard_axes >> a & 1) && b->extent[a] > 1 && !is_peeled(m->plan, b, a))
      free = false;
  return free;
}

/* Do the tile's rows read overlapping parts of one run? */
static bool slides_over_neighbours(const micro *m, const neo_access *load) {
  return m->long_axis >= 0 && m->along > 1 && shares_window(m->b, load, m->long_axis) &&
         neo_access_stride(load, &m->plan->variant->te, m->plan->layout[load->buffer], m->long_axis,
                           1) == 1;
}

/* Load slots of `count` scalars that the tile multiplies by: unrolled over neighbours, as many as
 * leave it registers are loaded four at a time. */
static double scalar_slots(const micro *m, const int64_t *size, const neo_access *load,
                           double count, double broadcast) {
  const neo_target *target = m->plan->target;
  if (!is_arm64(target) || neo_target_has(target, NEO_ISA_SVE256) || count < 1)
    return broadcast;
  bool slides = slides_over_neighbours(m, load);
  if (!slides && !has_neighbours(m, load))
    return broadcast;
  double along = (double)neo_ceil_div(size[m->b->vector_axis], m->lanes);
  double spare = target->vector_registers - 1 - vectors_of(m, size, NULL) - along;
  double share = fmin(1, fmax(0, spare / count));
  double distinct = slides ? window_vectors(m, load, size) / m->along / count : 1;
  return fmin(1, distinct) * (broadcast * (1 - share) + share / scalars_of(m));
}

/* Instructions that load one vector: 64-bit Arm loads two with one. */
static double vector_loads(const micro *m, const neo_access *load) {
  const neo_cost_body *b = m->b;
  if (b->vector_axis < 0)
    return 1;
  int64_t stride = neo_access_stride(load, &m->plan->variant->te, m->plan->layout[load->buffer],
                                     b->vector_axis, m->lanes);
  bool moves = load->guard_axes >> b->vector_axis & 1;
  if ((stride != 0 && stride != 1) || moves)
    return 2 * m->lanes;
  return is_arm64(m->plan->target) ? PAIRED : 1;
}

static void add_operand(const micro *m, const int64_t *size, const neo_access *load,
                        operands *sum) {
  const neo_cost_body *b = m->b;
  int v = b->vector_axis < 0 ? 0 : b->vector_axis;
  double count = vectors_of(m, size, load), slots;
  bool moves = neo_access_uses(load, v);
  if (b->row >= 0) {
    slots = moves ? 1 : BROADCAST;
    sum->parts += count * (moves ? 3 : 2);
  } else {
    bool uniform = b->vector_axis < 0 || !(load->guard_axes >> b->vector_axis & 1);
    slots = access_slots(m->plan, b, load, m->lanes, &sum->scattered);
    slots -= load->guarded && uniform ? UNIFORM_GUARD : 0;
    if (b->vector_axis >= 0 && !moves && is_free_inside(m, load))
      slots = scalar_slots(m, size, load, count, BROADCAST);
  }
  double guards = guard_slots(m, load);
  double loads = vector_loads(m, load);
  if (b->vector_axis >= 0 && !moves)
    loads = is_free_inside(m, load) ? scalar_slots(m, size, load, count, 1) : 1;
  sum->loads += count * loads * guard_copies(m, load);
  sum->slots += count * (slots + guards);
  sum->misses += evicted_lines(m, size, load);
  sum->border += moves ? 0 : border_cycles(m->plan, b, load);
  if (!shares_window(b, load, m->long_axis))
    return;
  if (moves) { /* equal loads of unrolled steps are one */
    double held = window_vectors(m, load, size);
    sum->held += held;
    sum->slots -= fmax(0, count - held / m->along);
    sum->loads -= fmax(0, count - held / m->along) * loads;
  } else {
    sum->window = true;
  }
}

/* Cycles by which registers that do not suffice lengthen a step. */
static double spill_cycles(const micro *m, double acc, const operands *in) {
  int registers = m->plan->target->vector_registers;
  double over = 2 * acc + m->along - registers, live = acc + in->held + OPERANDS - registers,
         sum = 0;
  if (m->unroll <= 1)
    return 0;
  if (in->window && over > 0)
    sum += over / (2 * m->along);
  if (in->window && m->unroll > m->along) /* scalars of a whole window want registers, too */
    sum += 0.5 * fmax(0, acc - registers / 2);
  if (in->held > 0 && live > 0) /* a few hide behind the arithmetic */
    sum += fmin(0.6 * live, live * live / 25);
  return sum;
}

/* What a tile asks of the processor, per step. */
typedef struct tile_work {
  double acc, ops, issued; /* accumulators; vector operations; operations to issue but for loads */
  operands in;
} tile_work;

static tile_work work_of(const micro *m, const int64_t *size) {
  const neo_cost_body *b = m->b;
  tile_work w = {.acc = vectors_of(m, size, NULL)};
  for (int i = 1; i < b->facts->n_access; i++)
    add_operand(m, size, &b->facts->access[i], &w.in);
  int64_t more = neo_max_i64(0, (int64_t)b->facts->ops - 1);
  w.ops = w.acc * (b->facts->contraction ? 1 + (double)more : b->facts->ops);
  w.issued = w.ops;
  if (b->row >= 0) { /* expanded: two multiplications, two additions, and parts of operands */
    bool native = neo_intrinsic_native(b->row, m->plan->target);
    w.ops = native ? w.acc : 2 * w.acc;
    w.issued = native ? w.acc : 4 * w.acc + w.in.parts;
  }
  return w;
}

/* Share of a tile's beginning and end that shows: of small tiles the processor has several in
 * flight, and stores of one go along with FMAs of the next. Not so behind an exponential, whose
 * chain is long. */
static double exposure(const micro *m, const tile_work *w) {
  double operations = m->steps * (w->issued + w->in.slots);
  bool simple = m->b->at < 0 || m->plan->block[m->b->at].facts->ops < LONG_CHAIN;
  double window = is_small_core(m->plan->target) ? SMALL_WINDOW : 1;
  double over = operations / window - OVERLAPPED;
  return simple ? fmin(1, fmax(0, over / (APART - OVERLAPPED))) : 1;
}

/* Cycles of small cores for guards that are the same for the whole tile: a branch at each step that
 * moves the guarded place, and sums that start from zero in place of a product. */
static double branch_cycles(const micro *m, const tile_work *w) {
  const neo_cost_body *b = m->b;
  double steps = 0;
  if (!is_small_core(m->plan->target))
    return 0;
  for (int i = 1; i < b->facts->n_access; i++) {
    const neo_access *load = &b->facts->access[i];
    for (int a = 0; a < b->te->n_spatial; a++)
      for (int d = 0; d < load->rank; d++)
        for (int r = b->te->n_spatial; r < neo_cost_axes(b); r++)
          if ((load->guard_axes >> a & 1) && a != b->vector_axis && load->coef[d][a] != 0 &&
              load->coef[d][r] != 0 && b->extent[a] == 1 && b->te->extent[a] > 1 &&
              !is_peeled(m->plan, b, a))
            steps += (double)b->te->extent[r];
  }
  return steps > 0 ? BRANCH * steps + w->acc / ISSUE_WIDTH : 0;
}

/* Instructions of a tile but for its end, which is the consumer's. */
static double tile_instructions(const micro *m, const tile_work *w) {
  double spills = m->unroll > 1
                      ? fmax(0, w->acc + w->in.held + OPERANDS - m->plan->target->vector_registers)
                      : 0;
  return m->steps * (w->issued + w->in.loads) + LOOP_INSTRUCTIONS * m->steps / m->unroll +
         LOOP_INSTRUCTIONS * m->middle + spills * m->unroll + TILE_INSTRUCTIONS;
}

static double tile_cycles(const micro *m, const int64_t *size, neo_cost *cost, double weight) {
  tile_work w = work_of(m, size);
  double latency = m->plan->target->fma_latency;
  double fma = w.ops / fma_ports(m->plan, m->b, m->lanes), load = w.in.slots / LOADS_PER_CYCLE;
  double issue = (w.issued + w.in.slots) / ISSUE_WIDTH;
  double step = fmax(fmax(fma, load), fmax(latency, issue)) + spill_cycles(m, w.acc, &w.in);
  step = fmax(step, w.in.misses * MISS_CYCLES) + w.in.border;
  step += is_small_core(m->plan->target) ? w.in.slots * SMALL_SLOT : 0;
  double control = is_small_core(m->plan->target) ? SMALL_LOOP : 1;
  double around =
      control * m->steps / m->unroll + 4 * m->middle + (2 * w.acc + 14) * exposure(m, &w);
  cost->instructions += weight * tile_instructions(m, &w);
  cost->fma += weight * m->steps * fma;
  cost->load += weight * m->steps * load;
  cost->latency += weight * m->steps * latency;
  cost->overhead += weight * around;
  cost->scattered += weight * m->steps * w.in.scattered;
  return m->steps * step + around + page_cycles(m, size) + branch_cycles(m, &w);
}

/* The part of each spatial axis that one register tile covers; false if the accumulators are
 * memory. */
static bool find_tile(const neo_cost_body *b, int64_t *tile) {
  bool in_reduction = false, attached = b->at >= 0 && b->scope == NEO_SCOPE_REG;
  for (int a = 0; a < b->te->n_spatial; a++)
    tile[a] = attached ? b->extent[a] : 1;
  for (int i = 0; !attached && i < b->n_loops; i++) {
    int axis = b->loops[i].axis, level = b->order ? b->order->arg[i] % 16 : 0;
    in_reduction = in_reduction || axis >= b->te->n_spatial;
    if (!in_reduction || axis >= b->te->n_spatial)
      continue;
    bool vector = axis == b->vector_axis && level == b->n_factors[axis];
    if (!vector && !(b->unrolled[axis] >> level & 1))
      return false;
    tile[axis] *= b->loops[i].trip;
  }
  return true;
}

/* How often the reduce loops of one tile run, all and without the innermost one that is not
 * unrolled. */
static void count_steps(const neo_cost_body *b, micro *m) {
  int last = -1;
  m->steps = m->middle = m->unroll = m->along = 1;
  m->long_axis = -1;
  for (int i = 0; i < b->n_loops; i++) {
    int axis = b->loops[i].axis;
    if (axis < b->te->n_spatial)
      continue;
    if (b->row >= 0 && axis == b->tensor_axis && b->order->arg[i] % 16 == b->tensor_level)
      continue;
    m->steps *= (double)b->loops[i].trip;
    if (b->n_factors[axis] > 0 && (b->unrolled[axis] & 2) && b->order->arg[i] % 16 == 1) {
      m->unroll *= (double)b->loops[i].trip;
      m->along *= (double)b->loops[i].trip;
      m->long_axis = axis;
    } else if (is_whole(m, i)) {
      m->unroll *= (double)b->loops[i].trip;
    } else {
      last = i;
    }
  }
  for (int i = 0; i < last; i++)
    if (b->loops[i].axis >= b->te->n_spatial && !is_whole(m, i))
      m->middle *= (double)b->loops[i].trip;
}

static void note_largest(const neo_cost_body *b, const micro *m, const int64_t *tile, double copies,
                         neo_cost *cost) {
  double acc = 1, along = 1;
  for (int a = 0; a < b->te->n_spatial; a++) {
    double n = (double)(a == b->vector_axis ? neo_ceil_div(tile[a], m->lanes) : tile[a]);
    acc *= n;
    along = a == b->vector_axis ? n : along;
  }
  if (acc < cost->accumulators)
    return;
  cost->accumulators = acc;
  cost->tile_v = along;
  cost->tile_1 = acc / along;
  cost->code = acc * m->unroll * copies;
}

/* Sums over full and tail tiles along up to three axes that the tile does not divide. */
static double register_cycles(const neo_cost_plan *p, const neo_cost_body *b, const int64_t *tile,
                              neo_cost *cost) {
  micro m = {.plan = p, .b = b, .lanes = lanes_of(p, b)};
  count_steps(b, &m);
  bool attached = b->at >= 0 && b->scope == NEO_SCOPE_REG;
  int cut_axis[3], n = 0;
  tile_axis cuts[3];
  int64_t size[NEO_TE_MAX_AXES];
  double runs = b->runs, sum = 0;
  for (int a = 0; a < b->te->n_spatial; a++) {
    int64_t whole = attached ? b->te->extent[a] : b->extent[a];
    size[a] = tile[a];
    if (!attached)
      runs *= (double)neo_ceil_div(whole, tile[a]);
    if (tile[a] > 1 && n < 3 && whole % tile[a] != 0) {
      cut_axis[n] = a;
      cuts[n++] = cut(whole, tile[a]);
    }
  }
  for (int mask = 0; mask < 1 << n; mask++) {
    double share = 1;
    for (int i = 0; i < n; i++) {
      size[cut_axis[i]] = cuts[i].size[mask >> i & 1];
      share *= cuts[i].share[mask >> i & 1];
    }
    if (share > 0)
      sum += share * runs * tile_cycles(&m, size, cost, share * runs);
  }
  note_largest(b, &m, tile, 1 << n, cost);
  return sum;
}

/* Loop control per innermost execution: unrolled copies share it. */
static double loop_overhead(const neo_cost_body *b) {
  double copies = 1, inner = 1;
  for (int i = b->n_loops - 1; i >= 0; i--) {
    int axis = b->loops[i].axis, level = b->order ? b->order->arg[i] % 16 : 0;
    if (axis == b->vector_axis && level == b->n_factors[axis])
      continue;
    if (!(b->unrolled[axis] >> level & 1)) {
      inner = (double)b->loops[i].trip;
      break;
    }
    copies *= (double)b->loops[i].trip;
  }
  return (1.2 + 6 / fmax(inner, 1)) / copies;
}

/* Share of the consumer's cycles that its register tiles do not hide. */
static double exposed_share(const neo_cost_plan *p, int consumer) {
  double share = 0;
  int n = 0;
  for (int q = 0; q < consumer; q++) {
    const neo_cost_body *b = &p->block[q];
    int64_t tile[NEO_TE_MAX_AXES];
    if (b->at != consumer || b->scope != NEO_SCOPE_REG || b->te->n_reduce == 0 ||
        !find_tile(b, tile))
      continue;
    micro m = {.plan = p, .b = b, .lanes = lanes_of(p, b)};
    count_steps(b, &m);
    tile_work w = work_of(&m, tile);
    share = fmax(share, exposure(&m, &w));
    n++;
  }
  return n > 0 ? fmax(LEAST_EXPOSED, share) : 1;
}

static double stream_cycles(const neo_cost_plan *p, const neo_cost_body *b, neo_cost *cost) {
  int lanes = lanes_of(p, b), n_axes = neo_cost_axes(b);
  double vectors = b->runs, loads = 0, scattered = 0, stores;
  for (int a = 0; a < n_axes; a++)
    vectors *=
        a == b->vector_axis ? (double)neo_ceil_div(b->extent[a], lanes) : (double)b->extent[a];
  for (int i = 1; i < b->facts->n_access; i++)
    loads += access_slots(p, b, &b->facts->access[i], lanes, &scattered);
  if (b->facts->formulas > 1)
    loads = fmin(loads, 1.3); /* unrolled, formulas share their operands */
  bool in_registers = b->scope == NEO_SCOPE_REG && b->at >= 0;
  stores = access_slots(p, b, &b->facts->access[0], lanes, &scattered);
  double step = fmax(b->facts->ops / fma_ports(p, b, lanes), fmax(loads / LOADS_PER_CYCLE, stores));
  step = fmax(step, (b->facts->ops + loads + stores) / ISSUE_WIDTH);
  if (b->te->n_reduce > 0 && !in_registers) {
    bool reduce_last = b->n_loops > 0 && b->loops[b->n_loops - 1].axis >= b->te->n_spatial;
    step = fmax(step + 1, reduce_last ? p->target->fma_latency : 0);
  }
  cost->scattered += scattered * vectors;
  cost->instructions +=
      vectors * (b->facts->ops + (loads + stores) * (is_arm64(p->target) ? PAIRED : 1));
  double whole = vectors * (step + loop_overhead(b)) + b->runs * 10;
  double shared = fmax(0, b->facts->ops - FREE_OPERATIONS) / fma_ports(p, b, lanes) * vectors;
  return fmax(shared, whole * exposed_share(p, (int)(b - p->block)));
}

double neo_cost_block_cycles(const neo_cost_plan *p, int k, neo_cost *cost) {
  const neo_cost_body *b = &p->block[k];
  int64_t tile[NEO_TE_MAX_AXES];
  if (b->te->n_reduce > 0 && find_tile(b, tile))
    return register_cycles(p, b, tile, cost);
  double cycles = stream_cycles(p, b, cost);
  if (b->te->body->op == NEO_EXPR_LOAD)
    cost->copy += cycles;
  else
    cost->epilogue += cycles;
  return cycles;
}
