/* The analytic model: predicted time of a schedule in closed form, microseconds per candidate.
 *
 * Why: it picks the schedule that is used with an empty database, seeds every search and is the
 * base margin of the learned model; so it must see what matters and nothing else. How: a schedule
 * is decoded into loops per block (no lowering). Register tiles: cycles of a step are the largest
 * of FMA issue, load issue, FMA latency and front end, weighted over full and tail tiles (after
 * oneDNN's ukernel efficiency and BLIS's latency bound). Caches: for each level the outermost loop
 * depth whose footprint fits is found; traffic is the footprint there times the trips of loops
 * outside that change it. Launches: cycles are divided by the workers that the grid keeps busy. The
 * constants below depend on nothing but the machine and were fitted to measured resnet50 layers on
 * a 2-core x86 with AVX2 and one with AVX-512. */
#include "schedule/analytic.h"

#include "schedule/intrinsic.h"

#include <math.h>
#include <string.h>

#define LOADS_PER_CYCLE 2.0
#define ISSUE_WIDTH 5.0
#define BROADCAST                                                                                  \
  1.4 /* load slots of a broadcast: its lines are spread, so ports and sets conflict */
#define UNIFORM_GUARD 3.0 /* more load slots where all lanes share the guard: compare, select */
#define STORED 1.5        /* traffic of stores: lines are read, too */
#define STREAMED 0.5      /* traffic of packed constants, which prefetchers see coming */
#define JUMPY 2.5         /* traffic that moves from line to line */
#define LINE 64
#define L2_BYTES_PER_CYCLE 20.0
#define L3_BYTES_PER_CYCLE 20.0
#define DRAM_BYTES_PER_CYCLE 6.0
#define COLD_CONSTANTS 0.5 /* a model's constants leave the caches between its runs */
#define L1_SHARE 0.8
#define L2_SHARE 0.7
#define L3_SHARE 0.6
#define EXPOSED 0.3     /* share of the smaller terms that the largest does not hide */
#define LAUNCH_NS 150.0 /* one launch on one worker */
#define WAKE_NS 2500.0  /* more when several workers share it */
#define SHORT_TILE 24.0 /* steps */
#define MAX_PATH 64

typedef struct loop {
  int axis;
  int64_t trip;
} loop;

typedef struct body {
  const neo_te_block *te;
  const neo_block_facts *facts;
  int n_loops;
  loop loops[NEO_SCHEDULE_MAX_ARGS];
  const neo_instr *order;
  int n_factors[NEO_TE_MAX_AXES];
  int32_t factor[NEO_TE_MAX_AXES][3];
  uint8_t unrolled[NEO_TE_MAX_AXES]; /* bit per level */
  uint32_t peeled;                   /* bit per axis */
  int vector_axis, at, depth, scope, grid;
  int row, tensor_axis, tensor_level; /* tensorized loop; row -1: none */
  int64_t extent[NEO_TE_MAX_AXES];    /* of the region that one run covers */
  double runs;
} body;

typedef struct plan {
  const neo_variant *variant;
  const neo_target *target;
  int threads;
  body block[NEO_TE_MAX_BLOCKS];
  const neo_layout *layout[NEO_TE_MAX_BUFFERS];
} plan;

static const neo_layout row_major;

/* ---- decoding ------------------------------------------------------------------------------------------------ */

static void decode_instr(plan *p, const neo_instr *instr) {
  body *b = instr->block >= 0 ? &p->block[instr->block] : NULL;
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
  case NEO_INSTR_VECTOR:
    b->vector_axis = instr->axis;
    break;
  case NEO_INSTR_PEEL:
    b->peeled |= UINT32_C(1) << instr->axis;
    break;
  case NEO_INSTR_TENSORIZE:
    b->row = neo_intrinsic_find(instr->name);
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

static int axes_of(const body *b) {
  return b->te->n_spatial + b->te->n_reduce;
}

static int64_t trip_of(const body *b, int axis, int level) {
  int64_t step = 1;
  for (int j = b->n_factors[axis]; j > level; j--)
    step *= b->factor[axis][j - 1];
  int64_t left = neo_ceil_div(b->extent[axis], step);
  return level == 0 ? left : neo_min_i64(left, b->factor[axis][level - 1]);
}

static void build_loops(body *b) {
  int n_axes = axes_of(b);
  b->n_loops = 0;
  if (!b->order) {
    for (int a = 0; a < n_axes; a++)
      b->loops[b->n_loops++] = (loop){a, b->extent[a]};
    return;
  }
  for (int i = 0; i < b->order->n_args; i++) {
    int axis = b->order->arg[i] / 16;
    b->loops[b->n_loops++] = (loop){axis, trip_of(b, axis, b->order->arg[i] % 16)};
  }
}

/* Extent of each axis that the loops from position k on cover. */
static void cover_from(const body *b, int k, int64_t *cover) {
  int n_axes = axes_of(b);
  for (int a = 0; a < n_axes; a++)
    cover[a] = 1;
  for (int i = k; i < b->n_loops; i++)
    cover[b->loops[i].axis] *= b->loops[i].trip;
  for (int a = 0; a < n_axes; a++)
    cover[a] = neo_min_i64(cover[a], b->extent[a]);
}

static int64_t dim_cover(const neo_access *access, int dim, const int64_t *cover) {
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

/* Widens out to the part of `producer`'s axes that `consumer` reads when its own axes cover
 * `cover`. */
static void widen(const plan *p, int producer, int consumer, const int64_t *cover, int64_t *out) {
  const neo_te_block *te = p->block[producer].te;
  const body *c = &p->block[consumer];
  int64_t lo[NEO_MAX_RANK], hi[NEO_MAX_RANK];
  bool reads = false;
  for (int i = 1; i < c->facts->n_access; i++) {
    const neo_access *read = &c->facts->access[i];
    if (read->buffer != te->buffer)
      continue;
    for (int d = 0; d < read->rank && d < te->n_spatial; d++) {
      int64_t end = read->base[d] + dim_cover(read, d, cover);
      lo[d] = reads ? neo_min_i64(lo[d], read->base[d]) : read->base[d];
      hi[d] = reads ? neo_max_i64(hi[d], end) : end;
    }
    reads = true;
  }
  for (int d = 0; reads && d < te->n_spatial; d++)
    out[d] = neo_min_i64(te->extent[d], neo_max_i64(out[d], hi[d] - lo[d]));
}

static bool is_inside(const plan *p, int block, int consumer) {
  for (int k = block; k >= 0; k = p->block[k].at)
    if (k == consumer)
      return true;
  return false;
}

typedef int64_t covers[NEO_TE_MAX_BLOCKS][NEO_TE_MAX_AXES];

/* What `consumer` covers from its loop k on, and what blocks from..consumer-1 inside it then
 * compute. */
static void find_covers(const plan *p, int consumer, int k, int from, covers cover) {
  cover_from(&p->block[consumer], k, cover[consumer]);
  for (int q = consumer - 1; q >= from; q--) {
    const neo_te_block *te = p->block[q].te;
    if (!is_inside(p, q, consumer))
      continue;
    for (int a = 0; a < axes_of(&p->block[q]); a++)
      cover[q][a] = a < te->n_spatial ? 1 : te->extent[a];
    for (int c = q + 1; c <= consumer; c++)
      if (is_inside(p, c, consumer))
        widen(p, q, c, cover[c], cover[q]);
  }
}

static void decode(plan *p, const neo_schedule *schedule) {
  const neo_te *te = &p->variant->te;
  for (int k = 0; k < te->n_buffers; k++)
    p->layout[k] = &row_major;
  for (int k = 0; k < te->n_blocks; k++) {
    p->block[k].te = &te->block[k];
    p->block[k].facts = &p->variant->facts.block[k];
    p->block[k].vector_axis = p->block[k].at = p->block[k].row = -1;
  }
  for (int i = 1; i < schedule->n; i++)
    decode_instr(p, &schedule->instr[i]);
  for (int k = te->n_blocks - 1; k >= 0; k--) {
    body *b = &p->block[k];
    b->runs = 1;
    memcpy(b->extent, te->block[k].extent, sizeof(b->extent));
    if (b->at > k && b->at < te->n_blocks) {
      const body *consumer = &p->block[b->at];
      covers cover;
      find_covers(p, b->at, b->depth, k, cover);
      memcpy(b->extent, cover[k], sizeof(b->extent));
      b->runs = consumer->runs;
      for (int i = 0; i < b->depth && i < consumer->n_loops; i++)
        b->runs *= (double)consumer->loops[i].trip;
    }
    build_loops(b);
  }
}

/* ---- cycles of one block ----------------------------------------------------------------------------------------- */

static int lanes_of(const plan *p, const body *b) {
  if (b->vector_axis < 0)
    return 1;
  int axis = b->vector_axis;
  int n = b->n_factors[axis];
  (void)p;
  return n > 0 ? b->factor[axis][n - 1] : (int)neo_min_i64(b->extent[axis], 64);
}

/* Vector load or store slots that one access costs per vector; more if lane by lane. */
static double access_slots(const plan *p, const body *b, const neo_access *access, int lanes,
                           double *scattered) {
  if (b->vector_axis < 0)
    return access->guarded ? 2 : 1;
  int64_t stride =
      neo_access_stride(access, &p->variant->te, p->layout[access->buffer], b->vector_axis, lanes);
  bool guard_moves = access->guard_axes >> b->vector_axis & 1;
  if ((stride == 0 || stride == 1) && !guard_moves)
    return (stride == 0 ? BROADCAST : 1) + (access->guarded ? UNIFORM_GUARD : 0);
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
  const plan *plan;
  const body *b;
  int lanes;
  double steps,
      middle; /* reduce iterations per tile; iterations of all but the innermost reduce loop */
  double unroll;
  int long_axis; /* the unrolled reduce axis; -1: none */
} micro;

/* Does the load slide over its input along a tile axis and this reduce axis? Unrolled, such loads
 * merge across steps and stay live: registers spill. */
static bool shares_window(const body *b, const neo_access *load, int axis) {
  for (int d = 0; axis >= 0 && d < load->rank; d++)
    for (int a = 0; load->coef[d][axis] != 0 && a < b->te->n_spatial; a++)
      if (a != b->vector_axis && load->coef[d][a] != 0 && b->extent[a] > 1)
        return true;
  return false;
}

/* Vectors of a sliding operand (a depthwise convolution's input) that all unrolled steps of one
 * tile touch: equal ones are loaded once and held. */
static double window_vectors(const micro *m, const neo_access *load, const int64_t *size) {
  const body *b = m->b;
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
        distinct =
            fmin(distinct * m->unroll, (double)(load->coef[d][a] * (size[a] - 1)) + m->unroll);
    vectors *= distinct;
  }
  return vectors;
}

/* Does the consumer peel the axis along which it reads axis `axis` of b's buffer? */
static bool is_peeled(const plan *p, const body *b, int axis) {
  const body *c = b->at >= 0 ? &p->block[b->at] : NULL;
  for (int i = 1; c && i < c->facts->n_access; i++)
    if (c->facts->access[i].buffer == b->te->buffer)
      return (c->facts->access[i].axes[axis] & c->peeled) != 0;
  return false;
}

/* Load slots that a guard adds: a branch outside if it is the same for the tile, selects of which
 * only tiles at borders keep any if those are peeled. */
static double guard_slots(const plan *p, const body *b, const neo_access *load) {
  double worst = load->guarded ? 0.2 : 0;
  for (int a = 0; a < b->te->n_spatial; a++)
    if (load->guard_axes >> a & 1 && b->extent[a] > 1)
      worst = fmax(worst, is_peeled(p, b, a) ? 0.3 : 2 * UNIFORM_GUARD);
  return worst;
}

/* What one step of a register tile reads. */
typedef struct operands {
  double slots;     /* load slots */
  double parts;     /* operations that make parts of operands for an expanded intrinsic */
  double held;      /* vectors of sliding operands kept over the unrolled steps */
  double scattered; /* accesses lane by lane */
  bool window;      /* a broadcast operand slides */
} operands;

static double vectors_of(const micro *m, const int64_t *size, const neo_access *load) {
  const body *b = m->b;
  double n = 1;
  for (int a = 0; a < b->te->n_spatial; a++)
    if (!load || neo_access_uses(load, a))
      n *= a == b->vector_axis ? (double)neo_ceil_div(size[a], m->lanes) : (double)size[a];
  return n;
}

static void add_operand(const micro *m, const int64_t *size, const neo_access *load,
                        operands *sum) {
  const body *b = m->b;
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
  }
  sum->slots += count * (slots + guard_slots(m->plan, b, load));
  if (!shares_window(b, load, m->long_axis))
    return;
  if (moves) { /* equal loads of unrolled steps are one */
    double held = window_vectors(m, load, size);
    sum->held += held;
    sum->slots -= fmax(0, count - held / m->unroll);
  } else {
    sum->window = true;
  }
}

/* Cycles by which registers that do not suffice lengthen a step. */
static double spill_cycles(const micro *m, double acc, const operands *in) {
  int registers = m->plan->target->vector_registers;
  double over = 2 * acc + m->unroll - registers, live = acc + in->held - registers, sum = 0;
  if (m->unroll <= 1)
    return 0;
  if (in->window && over > 0)
    sum += over / (2 * m->unroll);
  if (in->held > 0 && live > 0) /* a few hide behind the arithmetic */
    sum += fmin(0.6 * live, live * live / 25);
  return sum;
}

static double tile_cycles(const micro *m, const int64_t *size, neo_cost *cost, double weight) {
  const body *b = m->b;
  const neo_target *target = m->plan->target;
  operands in = {0};
  double acc = vectors_of(m, size, NULL);
  for (int i = 1; i < b->facts->n_access; i++)
    add_operand(m, size, &b->facts->access[i], &in);
  double ops = b->facts->contraction ? acc * (1 + neo_max_i64(0, (int64_t)b->facts->ops - 1))
                                     : acc * b->facts->ops;
  double latency = target->fma_latency, issued = ops;
  if (b->row >= 0) { /* expanded: two multiplications, two additions, and parts of operands */
    bool native = neo_intrinsic_native(b->row, target);
    ops = native ? acc : 2 * acc;
    issued = native ? acc : 4 * acc + in.parts;
  }
  double fma = ops / target->fma_ports, load = in.slots / LOADS_PER_CYCLE;
  double issue = (issued + in.slots) / ISSUE_WIDTH;
  double step = fmax(fmax(fma, load), fmax(latency, issue)) + spill_cycles(m, acc, &in);
  double around = (1.2 / m->unroll) * m->steps + 4 * m->middle + 2 * acc + 14;
  around *= fmin(1, m->steps / SHORT_TILE); /* short tiles overlap each other */
  cost->fma += weight * m->steps * fma;
  cost->load += weight * m->steps * load;
  cost->latency += weight * m->steps * latency;
  cost->overhead += weight * around;
  cost->scattered += weight * m->steps * in.scattered;
  return m->steps * step + around;
}

/* The part of each spatial axis that one register tile covers; false if the accumulators are
 * memory. */
static bool find_tile(const body *b, int64_t *tile) {
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
static void count_steps(const body *b, micro *m) {
  int last = -1;
  m->steps = m->middle = m->unroll = 1;
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
      m->long_axis = axis;
    } else {
      last = i;
    }
  }
  for (int i = 0; i < last; i++)
    if (b->loops[i].axis >= b->te->n_spatial)
      m->middle *= (double)b->loops[i].trip;
}

static void note_largest(const body *b, const micro *m, const int64_t *tile, double copies,
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
static double register_cycles(const plan *p, const body *b, const int64_t *tile, neo_cost *cost) {
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
static double loop_overhead(const body *b) {
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

static double stream_cycles(const plan *p, const body *b, neo_cost *cost) {
  int lanes = lanes_of(p, b), n_axes = axes_of(b);
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
  double step = fmax(b->facts->ops / p->target->fma_ports, fmax(loads / LOADS_PER_CYCLE, stores));
  step = fmax(step, (b->facts->ops + loads + stores) / ISSUE_WIDTH);
  if (b->te->n_reduce > 0 && !in_registers) {
    bool reduce_last = b->n_loops > 0 && b->loops[b->n_loops - 1].axis >= b->te->n_spatial;
    step = fmax(step + 1, reduce_last ? p->target->fma_latency : 0);
  }
  cost->scattered += scattered * vectors;
  return vectors * (step + loop_overhead(b)) + b->runs * 10;
}

static double block_cycles(const plan *p, int k, neo_cost *cost) {
  const body *b = &p->block[k];
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

/* ---- memory of one launch ------------------------------------------------------------------------------------------ */

typedef struct traffic {
  int n, n_buffers;
  int64_t trip[MAX_PATH];
  int buffer[NEO_TE_MAX_BUFFERS];
  double weight[NEO_TE_MAX_BUFFERS];              /* of its traffic */
  double bytes[NEO_TE_MAX_BUFFERS][MAX_PATH + 1]; /* footprint inside position k */
} traffic;

/* Bytes that the access touches: contiguous runs, each with the ends of cache lines that it shares.
 */
static double footprint(const plan *p, const neo_access *access, const int64_t *cover) {
  const neo_te_buffer *buffer = &p->variant->te.buffer[access->buffer];
  const neo_layout *layout = p->layout[access->buffer];
  double size = (double)neo_dtype_size(buffer->dtype), run = size, runs = 1;
  bool contiguous = true;
  int n_dims = layout->n == 0 ? access->rank : layout->n;
  for (int i = n_dims - 1; i >= 0; i--) {
    neo_layout_dim dim = {(int8_t)i, ' ', 0};
    if (layout->n > 0)
      dim = layout->dim[i];
    int64_t whole = buffer->shape.dim[dim.dim];
    int64_t n = neo_min_i64(whole, dim_cover(access, dim.dim, cover));
    if (dim.part == '/') {
      n = neo_ceil_div(n, dim.factor);
      whole = neo_ceil_div(whole, dim.factor);
    } else if (dim.part == '%') {
      n = neo_min_i64(n, dim.factor);
      whole = dim.factor;
    }
    *(contiguous ? &run : &runs) *= (double)n;
    contiguous = contiguous && n == whole;
  }
  if (fmod(run, 64) != 0)
    run += 60;
  return run * runs;
}

static void note(traffic *t, int buffer, double weight, int k, double bytes) {
  int i = 0;
  while (i < t->n_buffers && t->buffer[i] != buffer)
    i++;
  if (i == t->n_buffers) {
    t->buffer[i] = buffer;
    t->weight[i] = weight;
    memset(t->bytes[i], 0, sizeof(t->bytes[i]));
    t->n_buffers++;
  }
  t->weight[i] = fmax(t->weight[i], weight);
  t->bytes[i][k] = fmax(t->bytes[i][k], bytes);
}

static bool is_local(const plan *p, int buffer) {
  int writer = p->variant->facts.writer[buffer];
  return writer >= 0 && p->block[writer].at >= 0;
}

/* Packed constants stream; steps of the innermost reduce axis from line to line
 * do not. */
static double weight_of(const plan *p, const body *b, const neo_access *access) {
  if (access->store)
    return STORED;
  if (p->variant->te.buffer[access->buffer].role == NEO_TE_CONST)
    return STREAMED;
  int inner = -1;
  for (int i = 0; i < b->n_loops; i++)
    if (b->loops[i].axis >= b->te->n_spatial)
      inner = b->loops[i].axis;
  if (inner < 0 || !neo_access_uses(access, inner))
    return 1;
  int64_t stride = neo_access_stride(access, &p->variant->te, p->layout[access->buffer], inner, 1);
  return stride > LINE / 4 || stride == NEO_STRIDE_ODD ? JUMPY : 1;
}

/* Footprints of block b's accesses when it covers `cover`, at path position k. */
static void note_block(const plan *p, traffic *t, int block, int k, const int64_t *cover) {
  const body *b = &p->block[block];
  for (int i = 0; i < b->facts->n_access; i++) {
    const neo_access *access = &b->facts->access[i];
    if (is_local(p, access->buffer)) {
      const body *w = &p->block[p->variant->facts.writer[access->buffer]];
      if (w->scope == NEO_SCOPE_REG)
        continue;
      double region = (double)neo_dtype_size(p->variant->te.buffer[access->buffer].dtype);
      for (int a = 0; a < w->te->n_spatial; a++)
        region *= (double)w->extent[a];
      note(t, access->buffer, weight_of(p, b, access), k,
           fmin(region, footprint(p, access, cover)));
      continue;
    }
    note(t, access->buffer, weight_of(p, b, access), k, footprint(p, access, cover));
  }
}

/* The attached block with most work: its loops continue the path. */
static int heavy_block(const plan *p, int root) {
  int best = -1;
  double most = 0;
  for (int k = 0; k < p->variant->te.n_blocks; k++) {
    if (p->block[k].at != root)
      continue;
    double points = p->block[k].runs;
    for (int a = 0; a < p->block[k].te->n_spatial + p->block[k].te->n_reduce; a++)
      points *= (double)p->block[k].extent[a];
    if (points > most && p->block[k].te->n_reduce > 0) {
      most = points;
      best = k;
    }
  }
  return best;
}

static void collect_traffic(const plan *p, int root, traffic *t) {
  const body *r = &p->block[root];
  int heavy = heavy_block(p, root);
  int outer = heavy >= 0 ? p->block[heavy].depth : r->n_loops;
  t->n = 0;
  for (int i = 0; i < outer && t->n < MAX_PATH; i++)
    t->trip[t->n++] = r->loops[i].trip;
  for (int k = 0; k <= outer; k++) {
    covers cover;
    find_covers(p, root, k, 0, cover);
    note_block(p, t, root, k, cover[root]);
    for (int q = root - 1; q >= 0; q--)
      if (is_inside(p, q, root) && !(p->block[q].at == root && p->block[q].depth < k))
        note_block(p, t, q, k, cover[q]);
  }
  if (heavy < 0)
    return;
  const body *h = &p->block[heavy];
  for (int k = 1; k <= h->n_loops && t->n < MAX_PATH; k++) {
    int64_t cover[NEO_TE_MAX_AXES];
    t->trip[t->n++] = h->loops[k - 1].trip;
    cover_from(h, k, cover);
    note_block(p, t, heavy, t->n, cover);
  }
}

static double bytes_into(const traffic *t, double capacity) {
  int k = 0;
  for (; k < t->n; k++) {
    double total = 0;
    for (int i = 0; i < t->n_buffers; i++)
      total += t->bytes[i][k];
    if (total <= capacity)
      break;
  }
  double sum = 0;
  for (int i = 0; i < t->n_buffers; i++) {
    double bytes = t->bytes[i][k];
    bool moved = false;
    for (int j = k - 1; j >= 0; j--) {
      bool moves = t->bytes[i][j] > t->bytes[i][j + 1] * 1.0001;
      if (moved)
        bytes *= (double)t->trip[j];
      else if (moves)
        bytes *= t->bytes[i][j + 1] > 0 ? t->bytes[i][j] / t->bytes[i][j + 1] : 1;
      if (bytes == 0)
        bytes = t->bytes[i][j];
      moved = moved || moves;
    }
    sum += bytes * t->weight[i];
  }
  return sum;
}

static double constant_bytes(const plan *p, const traffic *t) {
  double sum = 0;
  for (int i = 0; i < t->n_buffers; i++)
    if (p->variant->te.buffer[t->buffer[i]].role == NEO_TE_CONST)
      sum += t->bytes[i][0];
  return sum;
}

static double cycles_to_ns(const neo_target *target, double cycles) {
  return cycles / (target->ghz > 0 ? target->ghz : 3.0);
}

static void add_launch(const plan *p, int root, double cycles, neo_cost *cost) {
  const body *r = &p->block[root];
  const neo_target *target = p->target;
  double grid = 1;
  for (int i = 0; i < r->grid && i < r->n_loops; i++)
    grid *= (double)r->loops[i].trip;
  double workers = fmin(p->threads, grid), busy = grid / ceil(grid / workers);
  traffic t;
  t.n = t.n_buffers = 0;
  collect_traffic(p, root, &t);
  double l2 = bytes_into(&t, L1_SHARE * (double)target->l1d);
  double l3 = target->l2 > 0 ? bytes_into(&t, L2_SHARE * (double)target->l2) : l2;
  double dram = target->l3 > 0 ? bytes_into(&t, L3_SHARE * (double)target->l3) : l3;
  double whole = 0;
  for (int i = 0; i < t.n_buffers; i++)
    whole += t.bytes[i][0];
  if (target->l3 > 0 && whole <= L3_SHARE * (double)target->l3)
    dram = 0;
  dram += COLD_CONSTANTS * constant_bytes(p, &t);
  double term[4] = {cycles / busy, l2 / L2_BYTES_PER_CYCLE / busy, l3 / L3_BYTES_PER_CYCLE / busy,
                    dram / DRAM_BYTES_PER_CYCLE / fmin(busy, 1.5)};
  double most = 0, sum = 0;
  for (int i = 0; i < 4; i++) {
    most = fmax(most, term[i]);
    sum += term[i];
  }
  cost->ns += cycles_to_ns(target, most + EXPOSED * (sum - most)) + LAUNCH_NS +
              (workers > 1 ? WAKE_NS : 0) + grid * 4 / busy;
  cost->l2_bytes += l2;
  cost->l3_bytes += l3;
  cost->dram_bytes += dram;
  cost->launches++;
  if (cycles >= cost->compute - cycles) {
    cost->grid = grid;
    cost->balance = busy / p->threads;
  }
}

static void count_memory(const plan *p, neo_cost *cost) {
  const neo_te *te = &p->variant->te;
  for (int k = 0; k < te->n_buffers; k++) {
    if (te->buffer[k].role == NEO_TE_CONST)
      cost->packed_bytes += (double)neo_layout_elements(p->layout[k], &te->buffer[k].shape) *
                            (double)neo_dtype_size(te->buffer[k].dtype);
    if (te->buffer[k].role != NEO_TE_TMP || p->variant->facts.writer[k] < 0)
      continue;
    const body *w = &p->block[p->variant->facts.writer[k]];
    double bytes = (double)neo_dtype_size(te->buffer[k].dtype);
    for (int a = 0; a < w->te->n_spatial; a++)
      bytes *= (double)w->extent[a];
    if (w->at < 0 || w->scope != NEO_SCOPE_REG)
      cost->scratch_bytes += bytes;
  }
}

/* Cycles of all blocks, added to their launches. */
static void find_cycles(const plan *p, double *launch, neo_cost *cost) {
  for (int k = 0; k < p->variant->te.n_blocks; k++) {
    double own = block_cycles(p, k, cost);
    int root = k;
    while (p->block[root].at >= 0)
      root = p->block[root].at;
    launch[root] += own;
    cost->compute += own;
    if (!p->variant->facts.block[k].contraction)
      continue;
    double points = 1;
    for (int a = 0; a < axes_of(&p->block[k]); a++)
      points *= (double)p->block[k].te->extent[a];
    cost->ideal += points / (p->target->vector_bytes / 4.0) / p->target->fma_ports;
  }
}

void neo_cost_find(const neo_variant *variant, const neo_schedule *schedule,
                   const neo_cost_options *options, neo_cost *out) {
  plan p;
  memset(p.block, 0, sizeof(p.block[0]) * (size_t)variant->te.n_blocks);
  p.variant = variant;
  p.target = options->target;
  p.threads = options->threads;
  decode(&p, schedule);
  neo_cost cost = {0};
  double launch[NEO_TE_MAX_BLOCKS] = {0};
  find_cycles(&p, launch, &cost);
  cost.ns = cycles_to_ns(p.target, cost.compute / p.threads);
  if (options->limit > 0 && cost.ns > options->limit) {
    *out = cost;
    return;
  }
  cost.ns = 0;
  for (int k = 0; k < variant->te.n_blocks; k++)
    if (p.block[k].at < 0)
      add_launch(&p, k, launch[k], &cost);
  count_memory(&p, &cost);
  *out = cost;
}
