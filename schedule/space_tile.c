/* Register-tiled reductions: the shape of every fast kernel here.
 *
 * Why: convolution, matrix product, depthwise convolution and pooling differ in which operand moves
 * with which axis, not in how they are made fast: a tile of accumulators in registers, vectors
 * along one spatial axis v, repeated over one or two others (t1, t2), operands contiguous in the
 * order of the walk. How: output block O reads reduction R once, axis for axis. O's loops are split
 * into outer loops and the tile; R is computed `at` O's tile in registers. Open numbers: vectors
 * nv, tile t1 x t2, rows hb kept in cache, unrolling u of the longest reduce axis. One choice
 * ("plan") takes the order of the outer loops, the depth of the grid, and whether the producer of
 * R's input (padding) is a launch of its own or computed inside. Constants are packed so that a
 * tile's operand is one contiguous stream.
 *
 * Where half the vector width leaves fewer lanes empty (24 channels of 16 lanes) and the processor
 * starts such FMAs twice as often, an alternative has those lanes.
 *
 * Where the products are those of a row of intrinsics.def and the reduce axis g that both operands
 * hold contiguously can be had in groups, a further alternative sums whole groups with that
 * instruction (`tensorize`): the constant is packed with a group innermost, v outside of it.
 *
 * Outer orders, r = row axis with cache level, v0 = vector tiles, w = tiles of the other axis:
 *   A: v0 r0 r1 w    one packed panel serves the whole output (large weights)
 *   B: r0 v0 r1 w    rows stay in cache, all panels pass
 *   C: r0 r1 w v0    one tile of the input serves all panels (small weights)
 *   D: v0 and then the axes outside (batch), r0 r1 w: one panel serves all images */
#include "schedule/space_tile.h"

#include "schedule/intrinsic.h"

#include <string.h>

#define MAX_CODE 144  /* vector operations of one unrolled step */
#define LANE_CODE 448 /* where scalars are lanes of joined loads (neon64): of all steps */
#define MAX_WINDOW 32 /* steps of a reduction that may be unrolled as a whole there */
#define WHOLE 16 /* steps along one axis that may be unrolled together there, if it has no more */
#define MAX_PLANS 16

typedef struct tile {
  neo_builder *b;
  const neo_te *te;
  int out, red, producer;      /* blocks O, R, P (-1: none) */
  int sum;                     /* block that sums R's partial results (algorithm half); -1: none */
  int of_red[NEO_TE_MAX_AXES]; /* R's spatial axis -> O's axis, -1: unit */
  int lanes;
  int v, t1, t2, row; /* R's axes; t1, t2 -1: none; row is t2 or t1 */
  int long_axis;      /* reduce axis with unrolling */
  int dot, group;     /* row of intrinsics.def and its group along long_axis; none: -1 and 1 */
  int nv, d1, d2, hb, unroll, walk, window, plan; /* decisions */
  int n_rest, rest[NEO_TE_MAX_AXES];              /* O's axes outside */
} tile;

static int64_t extent(const tile *t, int axis) {
  return t->te->block[t->red].extent[axis];
}

/* 64-bit Arm, vectors of 16 bytes: registers are many, instructions few, so code may be long. */
static bool is_neon64(const tile *t) {
  const neo_target *target = &t->b->space->target;
  return neo_target_has(target, NEO_ISA_NEON) && neo_target_pointer_bytes(target) == 8 &&
         !neo_target_has(target, NEO_ISA_SVE256);
}

/* ---- recognising --------------------------------------------------------------------------------------- */

/* Where t->red sums nothing but partial sums of products along one axis of theirs (algorithm
 * half), those are R. */
static void find_parts(tile *t) {
  const neo_facts *facts = &t->b->variant->facts;
  const neo_te_block *sum = &t->te->block[t->red], *part;
  int block = facts->block[t->red].n_access == 2 ? neo_builder_producer(t->b, t->red, 1) : -1;
  if (block < 0 || sum->n_reduce != 1 || !facts->block[block].contraction || t->b->done[block])
    return;
  part = &t->te->block[block];
  if (part->n_spatial != sum->n_spatial + 1)
    return;
  for (int a = 0; a < part->n_spatial; a++)
    if (neo_access_dim(&facts->block[t->red].access[1], a) != a)
      return;
  t->sum = t->red;
  t->red = block;
  t->of_red[sum->n_spatial] = -1;
}

static bool find_reduction(tile *t, bool contraction) {
  const neo_facts *facts = &t->b->variant->facts;
  const neo_block_facts *out = &facts->block[t->out];
  if (t->te->block[t->out].n_reduce > 0)
    return false;
  for (int i = 1; i < out->n_access; i++) {
    t->red = neo_builder_producer(t->b, t->out, i);
    t->sum = -1;
    if (t->red < 0 || t->b->done[t->red] || t->te->block[t->red].n_reduce == 0 ||
        !neo_access_maps_axes(&out->access[i], &t->te->block[t->out], &t->te->block[t->red],
                              t->of_red))
      continue;
    if (contraction)
      find_parts(t);
    if (facts->block[t->red].contraction == contraction)
      return true;
  }
  return false;
}

/* Can R's operands be read as vectors or broadcasts along its axis? */
static bool reads_well(const tile *t, int axis) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  for (int i = 1; i < red->n_access; i++) {
    const neo_access *load = &red->access[i];
    if (!neo_access_uses(load, axis))
      continue;
    bool open = !t->b->laid[load->buffer] && t->te->buffer[load->buffer].role != NEO_TE_IN;
    int64_t stride = neo_access_stride(load, t->te, &t->b->layout[load->buffer], axis, t->lanes);
    if (open ? neo_access_dim(load, axis) < 0 : stride != 0 && stride != 1)
      return false;
  }
  return true;
}

static int red_axis_of(const tile *t, int out_axis) {
  for (int a = 0; a < t->te->block[t->red].n_spatial; a++)
    if (t->of_red[a] == out_axis)
      return a;
  return -1;
}

static int add_unique(int *list, int n, int axis) {
  for (int i = 0; i < n; i++)
    if (list[i] == axis)
      return n;
  if (axis >= 0)
    list[n++] = axis;
  return n;
}

/* R's last spatial axis of extent > 1; -1 if there is none. */
static int innermost(const tile *t) {
  for (int a = t->te->block[t->red].n_spatial - 1; a >= 0; a--)
    if (t->of_red[a] >= 0 && extent(t, a) > 1)
      return a;
  return -1;
}

/* ---- dot-product instructions ---------------------------------------------------------------------------- */

/* The access of R that this load is. */
static const neo_access *access_of(const tile *t, const neo_expr *load) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  const neo_access *found = NULL;
  for (int i = 1; i < red->n_access; i++)
    if (red->access[i].buffer == load->u.load.buffer)
      found = found ? NULL : &red->access[i];
  return found;
}

static bool is_open(const tile *t, int buffer) {
  return !t->b->laid[buffer] && t->te->buffer[buffer].role != NEO_TE_IN;
}

/* Can the operand that all lanes share be read in groups along axis g? */
static bool shares_groups(const tile *t, const neo_access *load, int g, int group) {
  const neo_layout *layout = &t->b->layout[load->buffer];
  int dim = neo_access_dim(load, g);
  if (dim < 0 || neo_access_uses(load, t->v) || (load->guard_axes >> g & 1) ||
      (load->guard_axes >> t->v & 1))
    return false;
  if (is_open(t, load->buffer))
    return true;
  for (int i = 0; i < layout->n; i++)
    if (layout->dim[i].dim == dim && layout->dim[i].part == '%' && layout->dim[i].factor != group)
      return false;
  return neo_access_stride(load, t->te, layout, g, group) == 1;
}

static int dim_axis(const tile *t, const neo_access *load, int dim);

/* Can the constant be packed in groups along g, lanes along v? */
static bool packs_groups(const tile *t, const neo_access *load, int g) {
  int dim = neo_access_dim(load, g), across = neo_access_dim(load, t->v);
  return t->te->buffer[load->buffer].role == NEO_TE_CONST && !t->b->laid[load->buffer] &&
         !load->guarded && dim >= 0 && across >= 0 && dim_axis(t, load, dim) == g &&
         dim_axis(t, load, across) == t->v;
}

static bool fits_row(const tile *t, int row, int g) {
  const neo_expr *x, *y;
  if (!neo_intrinsic_match(row, &t->te->block[t->red], &x, &y))
    return false;
  const neo_access *a = access_of(t, x), *b = access_of(t, y);
  int group = neo_intrinsic_get(row)->group;
  return a && b &&
         ((shares_groups(t, a, g, group) && packs_groups(t, b, g)) ||
          (shares_groups(t, b, g, group) && packs_groups(t, a, g)));
}

/* Row and longest axis for vectors along t->v; false if there is none. */
static bool find_row(const tile *t, int *out_row, int *out_axis) {
  const neo_te_block *red = &t->te->block[t->red];
  *out_row = -1;
  for (int row = 0; row < neo_intrinsic_count(); row++)
    for (int g = red->n_spatial; g < red->n_spatial + red->n_reduce; g++)
      if (red->extent[g] > 1 && (*out_row < 0 || red->extent[g] >= red->extent[*out_axis]) &&
          fits_row(t, row, g)) {
        *out_row = row;
        *out_axis = g;
      }
  return *out_row >= 0;
}

/* Do vectors of half the lanes along the axis take less time in the FMA units? They do where they
 * leave fewer lanes empty (24 channels) and start twice as often. */
static bool narrow_pays(const tile *t, int axis) {
  const neo_target *target = &t->b->space->target;
  int bytes = target->vector_bytes, half = t->lanes / 2;
  if (t->lanes % 4 != 0)
    return false;
  return neo_ceil_div(extent(t, axis), half) * neo_target_fma_ports(target, bytes) <
         neo_ceil_div(extent(t, axis), t->lanes) * neo_target_fma_ports(target, bytes / 2);
}

/* Of the n axes for vectors, and each of them with an instruction first, takes the builder's
 * choice; a last one has vectors of half the width where those pay. */
static bool take_choice(tile *t, const int *list, int n) {
  int with[NEO_TE_MAX_AXES + 1], n_with = 0, row, axis;
  for (int i = 0; i < n; i++) {
    t->v = list[i];
    if (find_row(t, &row, &axis))
      with[n_with++] = list[i];
  }
  int choice = t->b->choice, wide = n + n_with, best = n_with > 0 ? with[0] : list[0];
  int all = wide + narrow_pays(t, best);
  if (choice >= all)
    return false;
  t->b->more = t->b->more || choice + 1 < all;
  if (choice == wide) {
    t->lanes /= 2;
    choice = 0;
  }
  t->v = choice < n_with ? with[choice] : list[choice - n_with];
  if (choice < n_with && find_row(t, &row, &axis)) {
    t->dot = row;
    t->long_axis = axis;
    t->group = neo_intrinsic_get(row)->group;
    t->b->sketch->intrinsics |= UINT64_C(1) << row;
  }
  return true;
}

/* Without an axis for vectors the tile is scalar. Alternatives, best first: contiguous stores and
 * good operands; good operands alone; contiguous stores alone. */
static bool choose_vector(tile *t) {
  int list[NEO_TE_MAX_AXES + 1], n = 0;
  int unit = neo_builder_unit_axis(t->b, t->out, t->lanes);
  int stored = unit < 0 ? -1 : red_axis_of(t, unit);
  if (stored >= 0 && reads_well(t, stored))
    n = add_unique(list, n, stored);
  int widest = -1;
  for (int a = 0; a < t->te->block[t->red].n_spatial; a++)
    if (t->of_red[a] >= 0 && extent(t, a) >= 2 && a != stored && reads_well(t, a) &&
        (widest < 0 || extent(t, a) > extent(t, widest)))
      widest = a;
  n = add_unique(list, n, n == 0 ? widest : -1);
  n = add_unique(list, n, stored);
  if (n == 0)
    n = add_unique(list, n, widest);
  if (n == 0 && (list[0] = innermost(t)) >= 0) {
    t->lanes = 1;
    n = 1;
  }
  return n > 0 && take_choice(t, list, n);
}

/* How much a register tile along the axis saves: operands that need not be read again. */
static int reuse(const tile *t, int axis) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  int score = 0;
  for (int i = 1; i < red->n_access; i++)
    if (!neo_access_uses(&red->access[i], axis))
      score += neo_access_uses(&red->access[i], t->v) ? 2 : 1;
  return score;
}

static int best_axis(const tile *t, int except) {
  int best = -1;
  for (int a = 0; a < t->te->block[t->red].n_spatial; a++)
    if (a != t->v && a != except && t->of_red[a] >= 0 && extent(t, a) > 1 &&
        (best < 0 || reuse(t, a) >= reuse(t, best)))
      best = a;
  return best;
}

static void choose_axes(tile *t) {
  const neo_te_block *red = &t->te->block[t->red];
  t->t1 = best_axis(t, -1);
  t->t2 = t->t1 < 0 ? -1 : best_axis(t, t->t1);
  t->row = t->t2 >= 0 ? t->t2 : t->t1;
  if (t->dot < 0)
    t->long_axis = red->n_spatial;
  for (int a = red->n_spatial; t->dot < 0 && a < red->n_spatial + red->n_reduce; a++)
    if (red->extent[a] >= red->extent[t->long_axis])
      t->long_axis = a;
  int walk[NEO_TE_MAX_AXES], n = neo_builder_walk(t->b, t->out, walk);
  t->n_rest = 0;
  for (int i = 0; i < n; i++) {
    int a = red_axis_of(t, walk[i]);
    if (a < 0 || (a != t->v && a != t->t1 && a != t->t2))
      t->rest[t->n_rest++] = walk[i];
  }
}

/* The injective block that makes one of R's inputs for R alone. */
static int choose_producer(const tile *t) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  for (int i = 1; i < red->n_access; i++) {
    int p = neo_builder_producer(t->b, t->red, i);
    if (p >= 0 && !t->b->done[p] && t->te->block[p].n_reduce == 0 &&
        !t->b->laid[red->access[i].buffer])
      return p;
  }
  return -1;
}

/* ---- layouts --------------------------------------------------------------------------------------------- */

/* The one axis of R that moves this dim, with coefficient 1; -1: none; -2: several or another form.
 */
static int dim_axis(const tile *t, const neo_access *load, int dim) {
  const neo_te_block *red = &t->te->block[t->red];
  int found = -1;
  for (int a = 0; a < red->n_spatial + red->n_reduce; a++) {
    if (load->coef[dim][a] == 0)
      continue;
    if (found != -1 || !load->affine[dim] || load->coef[dim][a] != 1)
      return -2;
    found = a;
  }
  return found;
}

static bool dim_reduces(const tile *t, const neo_access *load, int dim) {
  const neo_te_block *red = &t->te->block[t->red];
  for (int a = red->n_spatial; a < red->n_spatial + red->n_reduce; a++)
    if (load->coef[dim][a] != 0)
      return true;
  return false;
}

static void push_dim(neo_layout *layout, int dim, char part) {
  layout->dim[layout->n++] = (neo_layout_dim){(int8_t)dim, part, part == ' ' ? 0 : 1};
}

/* Dims of a constant operand by their part in the walk; -1: none. */
typedef struct roles {
  int block_dim; /* moves with the tiled axis: split into blocks of a tile */
  int last_dim;  /* moves with the vector axis and others (groups): innermost, whole */
  int long_dim;  /* moves with the unrolled reduce axis */
  bool vector;   /* the tiled axis is v, else t1 */
} roles;

/* Of an axis that is cut into partial sums, the part inside is the long axis. */
static bool is_cut_dim(const tile *t, const neo_access *load, int dim) {
  uint32_t cut = UINT32_C(1) << (t->te->block[t->red].n_spatial - 1);
  return t->sum >= 0 && load->affine[dim] && load->coef[dim][t->long_axis] == 1 &&
         load->axes[dim] == (cut | UINT32_C(1) << t->long_axis);
}

static roles find_roles(const tile *t, const neo_access *load) {
  roles r = {-1, -1, -1, neo_access_uses(load, t->v)};
  int tiled = r.vector ? t->v : t->t1;
  if (tiled >= 0)
    r.block_dim = neo_access_dim(load, tiled);
  if (r.block_dim >= 0 && dim_axis(t, load, r.block_dim) < 0) {
    r.last_dim = r.vector ? r.block_dim : -1;
    r.block_dim = -1;
  }
  for (int d = 0; d < load->rank; d++)
    if (dim_axis(t, load, d) == t->long_axis || is_cut_dim(t, load, d))
      r.long_dim = d;
  return r;
}

/* [outer spatial dims, blocks of the tile dim, reduce dims in walk order, inside the block].
 * split_long: the long axis's blocks go before the other reduce dims. */
static neo_layout panel_layout(const tile *t, const neo_access *load, roles r, bool split_long) {
  neo_layout layout = {0};
  for (int d = 0; d < load->rank; d++)
    if (d != r.block_dim && d != r.last_dim && !dim_reduces(t, load, d))
      push_dim(&layout, d, ' ');
  if (r.block_dim >= 0)
    push_dim(&layout, r.block_dim, '/');
  bool grouped = t->dot >= 0 && r.long_dim >= 0;
  if (split_long)
    push_dim(&layout, r.long_dim, '/');
  for (int d = 0; d < load->rank; d++)
    if (d != r.block_dim && d != r.last_dim && d != r.long_dim && dim_reduces(t, load, d))
      push_dim(&layout, d, ' ');
  if (r.long_dim >= 0 && grouped && !split_long)
    push_dim(&layout, r.long_dim, '/');
  if (r.long_dim >= 0 && !grouped)
    push_dim(&layout, r.long_dim, split_long ? '%' : ' ');
  if (r.block_dim >= 0)
    push_dim(&layout, r.block_dim, '%');
  if (r.last_dim >= 0)
    push_dim(&layout, r.last_dim, ' ');
  if (grouped)
    push_dim(&layout, r.long_dim, '%');
  return layout;
}

static void pack_constant(tile *t, const neo_access *load, bool outermost) {
  roles r = find_roles(t, load);
  neo_layout layout = panel_layout(t, load, r, outermost && r.long_dim >= 0);
  neo_slot *slot = neo_builder_lay(t->b, load->buffer, &layout);
  for (int i = 0; slot && i < layout.n; i++) {
    neo_layout_dim *dim = &slot->instr.layout.dim[i];
    if (dim->part == ' ')
      continue;
    bool is_long = dim->dim == r.long_dim;
    if (is_long && t->dot >= 0) {
      dim->factor = t->group;
      continue;
    }
    dim->factor = !is_long && r.vector ? t->lanes : 1;
    neo_slot_hole(slot, NEO_HOLE_LAYOUT + i,
                  is_long    ? t->unroll
                  : r.vector ? t->nv
                             : t->d1,
                  dim->factor);
  }
  if (slot && t->walk >= 0)
    neo_slot_when(slot, t->walk, outermost ? 2 : 1);
}

static void lay_temporary(tile *t, const neo_access *load, int producer) {
  const neo_block_facts *facts = &t->b->variant->facts.block[producer];
  neo_layout layout = {0};
  for (int i = 1; i < facts->n_access; i++)
    if (facts->access[i].rank == load->rank && t->b->laid[facts->access[i].buffer]) {
      layout = t->b->layout[facts->access[i].buffer];
      break;
    }
  int inner = t->dot >= 0 ? t->long_axis : t->v;
  int64_t stride = neo_access_stride(load, t->te, &layout, inner, t->lanes);
  int dim = neo_access_dim(load, inner);
  if (t->dot >= 0 && dim >= 0) {
    neo_layout_with_last(&layout, load->rank, dim);
    stride = 1;
  }
  if (stride != 0 && stride != 1 && dim >= 0)
    neo_layout_with_last(&layout, load->rank, dim);
  neo_builder_lay(t->b, load->buffer, &layout);
}

static void lay_operands(tile *t) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  neo_layout accumulators;
  neo_layout_with_last(&accumulators, red->access[0].rank, t->v);
  neo_builder_lay(t->b, red->access[0].buffer, &accumulators);
  if (t->sum >= 0) {
    const neo_access *sum = &t->b->variant->facts.block[t->sum].access[0];
    neo_layout_with_last(&accumulators, sum->rank, t->v);
    neo_builder_lay(t->b, sum->buffer, &accumulators);
  }
  for (int i = 1; i < red->n_access; i++) {
    const neo_access *load = &red->access[i];
    if (t->b->laid[load->buffer])
      continue;
    if (t->te->buffer[load->buffer].role == NEO_TE_CONST) {
      pack_constant(t, load, false);
      if (t->walk >= 0)
        pack_constant(t, load, true);
    } else if (t->producer >= 0 && t->te->block[t->producer].buffer == load->buffer) {
      lay_temporary(t, load, t->producer);
    }
  }
  neo_builder_lay_reads(t->b, t->red, t->dot >= 0 ? t->long_axis : t->v);
  neo_builder_lay_reads(t->b, t->out, t->of_red[t->v]);
}

/* ---- decisions --------------------------------------------------------------------------------------------- */

static int count_decision(neo_builder *b, const char *name, int64_t most) {
  int d = neo_builder_decision(b, name, false);
  for (int64_t k = 1; k <= most && k <= NEO_SKETCH_DOMAIN; k++)
    neo_builder_value(b, d, k);
  return d;
}

/* Steps of the reduction if all may be unrolled together: a small window (3x3, with a few
 * channels). 0: they may not. */
static int64_t window_steps(const tile *t) {
  const neo_te_block *red = &t->te->block[t->red];
  int64_t steps = 1;
  for (int a = red->n_spatial; a < red->n_spatial + red->n_reduce; a++)
    steps *= red->extent[a];
  bool window = steps > extent(t, t->long_axis) && steps <= MAX_WINDOW;
  return is_neon64(t) && t->dot < 0 && t->lanes > 1 && window ? steps : 0;
}

static void add_decisions(tile *t) {
  neo_builder *b = t->b;
  int registers = b->space->target.vector_registers;
  int64_t most = registers - 2 < 32 ? registers - 2 : 32;
  if (most < 1)
    most = 1;
  t->nv = neo_builder_decision(b, "vectors", false);
  int64_t vectors = neo_ceil_div(extent(t, t->v), t->lanes);
  for (int64_t k = 1; k <= vectors && k <= 8; k++)
    if (k <= 4 || k % 2 == 0 || k == vectors)
      neo_builder_value(b, t->nv, k);
  t->d1 = t->t1 < 0 ? -1 : count_decision(b, "tile", neo_min_i64(extent(t, t->t1), most));
  t->d2 = t->t2 < 0 ? -1 : count_decision(b, "tile rows", neo_min_i64(extent(t, t->t2), 8));
  int d[4] = {t->nv, t->d1, t->d2, -1};
  bool expanded = t->dot >= 0 && !neo_intrinsic_native(t->dot, &b->space->target);
  int taken = expanded && registers > 8 ? 3 : 0; /* by parts of the operands */
  neo_builder_limit(b, NEO_LIMIT_REGISTERS, registers - taken, 0, 3, d);
  t->hb = -1;
  if (t->row >= 0) {
    t->hb = neo_builder_decision(b, "rows in cache", false);
    neo_builder_ladder(b, t->hb, extent(t, t->row));
    int cover[2] = {t->hb, t->row == t->t2 ? t->d2 : t->d1};
    neo_builder_limit(b, NEO_LIMIT_COVER, 1, extent(t, t->row), 2, cover);
  }
  t->unroll = neo_builder_decision(b, "unroll", false);
  int64_t groups = neo_ceil_div(extent(t, t->long_axis), t->group);
  neo_builder_divisors(b, t->unroll, groups, 8);
  if (is_neon64(t) && groups > 8 && groups <= WHOLE)
    neo_builder_value(b, t->unroll, groups);
  t->window = -1;
  int64_t steps = window_steps(t);
  if (steps > 0) {
    t->window = neo_builder_decision(b, "window", true);
    neo_builder_value(b, t->window, 1);
    neo_builder_value(b, t->window, steps);
    int whole[2] = {t->unroll, t->window}; /* a window has no other unrolling */
    neo_builder_limit(b, NEO_LIMIT_PRODUCT, 1, steps, 2, whole);
  }
  int code[5] = {t->unroll, t->window, t->d2, t->d1, t->nv};
  neo_builder_limit(b, NEO_LIMIT_PRODUCT, expanded ? 6 : 1, is_neon64(t) ? LANE_CODE : MAX_CODE, 5,
                    code);
  t->walk = -1;
  const neo_te_block *red = &t->te->block[t->red];
  for (int a = red->n_spatial; a < red->n_spatial + red->n_reduce; a++)
    if (a != t->long_axis && red->extent[a] > 1 && t->walk < 0) {
      t->walk = neo_builder_decision(b, "reduce walk", true);
      neo_builder_value(b, t->walk, 0);
      neo_builder_value(b, t->walk, 1);
    }
}

/* ---- slots: the output block -------------------------------------------------------------------------------- */

/* A split whose inner extents are decisions or, where d < 0, the constant; constant 0: none. */
typedef struct factor {
  int d;
  int64_t constant;
} factor;

static neo_slot *add_split(neo_builder *b, int block, int axis, factor first, factor second) {
  neo_slot *split = neo_builder_slot(b, NEO_INSTR_SPLIT, block);
  split->instr.axis = (int16_t)axis;
  neo_slot_arg_hole(split, first.d, first.constant);
  if (second.constant > 0)
    neo_slot_arg_hole(split, second.d, second.constant);
  return split;
}

static factor by(int decision) {
  return (factor){decision, 1};
}

static factor constant(int64_t v) {
  return (factor){-1, v};
}

static void split_output(tile *t) {
  add_split(t->b, t->out, t->of_red[t->v], by(t->nv), constant(t->lanes > 1 ? t->lanes : 0));
  if (t->row >= 0)
    add_split(t->b, t->out, t->of_red[t->row], by(t->hb), by(t->row == t->t2 ? t->d2 : t->d1));
  if (t->t1 >= 0 && t->t1 != t->row)
    add_split(t->b, t->out, t->of_red[t->t1], by(t->d1), constant(0));
}

static void order_tile(const tile *t, neo_slot *order) {
  if (t->row >= 0)
    neo_slot_loop(order, t->of_red[t->row], 2);
  if (t->t1 >= 0 && t->t1 != t->row)
    neo_slot_loop(order, t->of_red[t->t1], 1);
  neo_slot_loop(order, t->of_red[t->v], 1);
  if (t->lanes > 1)
    neo_slot_loop(order, t->of_red[t->v], 2);
}

static int order_output(tile *t, char kind, uint64_t when) {
  neo_slot *order = neo_builder_slot(t->b, NEO_INSTR_ORDER, t->out);
  int v = t->of_red[t->v], r = t->row < 0 ? -1 : t->of_red[t->row];
  if (kind == 'D')
    neo_slot_loop(order, v, 0);
  for (int i = 0; i < t->n_rest; i++)
    neo_slot_loop(order, t->rest[i], 0);
  if (kind == 'A')
    neo_slot_loop(order, v, 0);
  if (r >= 0)
    neo_slot_loop(order, r, 0);
  if (kind == 'B')
    neo_slot_loop(order, v, 0);
  if (r >= 0)
    neo_slot_loop(order, r, 1);
  if (t->t1 >= 0 && t->t1 != t->row)
    neo_slot_loop(order, t->of_red[t->t1], 0);
  if (kind == 'C')
    neo_slot_loop(order, v, 0);
  int depth = order->instr.n_args;
  order_tile(t, order);
  neo_slot_when(order, t->plan, when);
  return depth;
}

typedef struct outer_plan {
  char kind;
  bool inside; /* the producer is computed inside the row loop */
  int grid;
} outer_plan;

static int list_plans(const tile *t, outer_plan *plans) {
  int n = 0, base = t->n_rest;
  bool wide = t->b->space->options.threads > 1;
  int64_t images = 1;
  for (int i = 0; i < t->n_rest; i++)
    images *= t->te->block[t->out].extent[t->rest[i]];
  const char *kinds = t->row < 0 ? "A" : images > 1 && is_neon64(t) ? "ABCD" : "ABC";
  for (const char *kind = kinds; *kind; kind++)
    for (int inside = 0; inside <= (t->producer >= 0 && (*kind == 'B' || *kind == 'C')); inside++)
      for (int grid = base + 1; grid <= base + (wide && !inside && t->row >= 0 ? 2 : 1); grid++)
        plans[n++] = (outer_plan){*kind, inside, grid};
  neo_assert(n <= MAX_PLANS);
  return n;
}

static uint64_t plans_with(const outer_plan *plans, int n, char kind, int grid, int inside) {
  uint64_t when = 0;
  for (int i = 0; i < n; i++)
    if ((!kind || plans[i].kind == kind) && (grid < 0 || plans[i].grid == grid) &&
        (inside < 0 || plans[i].inside == inside))
      when |= UINT64_C(1) << i;
  return when;
}

/* Do R's guards depend on its axis? */
static bool is_guarded_along(const tile *t, int axis) {
  const neo_block_facts *red = &t->b->variant->facts.block[t->red];
  for (int i = 1; i < red->n_access; i++)
    if (red->access[i].guard_axes >> axis & 1)
      return true;
  return false;
}

/* Tiles at the borders of t1 as copies, so that those between need no guards; the same of rows,
 * where code may be long. */
static void peel_output(tile *t) {
  if (t->t1 < 0 || t->t1 == t->row || !is_guarded_along(t, t->t1))
    return;
  int peel = neo_builder_decision(t->b, "peel", true); /* first: most likely */
  bool rows = is_neon64(t) && t->row >= 0 && is_guarded_along(t, t->row);
  for (int k = 0; k < 2 + rows; k++)
    neo_builder_value(t->b, peel, k);
  neo_slot_when(neo_builder_mark(t->b, NEO_INSTR_PEEL, t->out, t->of_red[t->t1], 0), peel,
                rows ? 5 : 1);
  if (rows)
    neo_slot_when(neo_builder_mark(t->b, NEO_INSTR_PEEL, t->out, t->of_red[t->row], 1), peel, 4);
}

static int schedule_output(tile *t, const outer_plan *plans, int n) {
  split_output(t);
  int depth = 0;
  for (const char *kind = "ABCD"; *kind; kind++)
    if (plans_with(plans, n, *kind, -1, -1))
      depth = order_output(t, *kind, plans_with(plans, n, *kind, -1, -1));
  if (t->lanes > 1)
    neo_builder_mark(t->b, NEO_INSTR_VECTOR, t->out, t->of_red[t->v], 2);
  neo_builder_mark(t->b, NEO_INSTR_UNROLL, t->out, t->of_red[t->v], 1);
  if (t->row >= 0)
    neo_builder_mark(t->b, NEO_INSTR_UNROLL, t->out, t->of_red[t->row], 2);
  if (t->t1 >= 0 && t->t1 != t->row)
    neo_builder_mark(t->b, NEO_INSTR_UNROLL, t->out, t->of_red[t->t1], 1);
  peel_output(t);
  for (int grid = t->n_rest + 1; grid <= t->n_rest + 2; grid++) {
    uint64_t when = plans_with(plans, n, 0, grid, -1);
    if (!when)
      continue;
    neo_slot *parallel = neo_builder_slot(t->b, NEO_INSTR_PARALLEL, t->out);
    neo_slot_arg(parallel, grid);
    neo_slot_when(parallel, t->plan, when);
  }
  return depth;
}

/* ---- slots: the reduction and its producer -------------------------------------------------------------------- */

static void order_reduction(tile *t, bool long_outermost) {
  const neo_te_block *red = &t->te->block[t->red];
  neo_slot *order = neo_builder_slot(t->b, NEO_INSTR_ORDER, t->red);
  if (long_outermost)
    neo_slot_loop(order, t->long_axis, 0);
  for (int a = red->n_spatial; a < red->n_spatial + red->n_reduce; a++)
    if (a != t->long_axis)
      neo_slot_loop(order, a, 0);
  if (!long_outermost)
    neo_slot_loop(order, t->long_axis, 0);
  neo_slot_loop(order, t->long_axis, 1);
  for (int a = 0; a < red->n_spatial; a++)
    if (a != t->v && a != t->t1)
      neo_slot_loop(order, a, 0);
  if (t->t1 >= 0)
    neo_slot_loop(order, t->t1, 0);
  neo_slot_loop(order, t->v, 0);
  if (t->dot >= 0)
    neo_slot_loop(order, t->long_axis, 2);
  if (t->lanes > 1)
    neo_slot_loop(order, t->v, 1);
  if (t->walk >= 0)
    neo_slot_when(order, t->walk, long_outermost ? 2 : 1);
}

/* In registers, too, around its parts: a tile of R for each step. */
static void schedule_sum(tile *t, int depth) {
  const neo_te_block *sum = &t->te->block[t->sum];
  if (t->lanes > 1)
    add_split(t->b, t->sum, t->v, constant(t->lanes), constant(0));
  neo_slot *order = neo_builder_slot(t->b, NEO_INSTR_ORDER, t->sum);
  neo_slot_loop(order, sum->n_spatial, 0);
  for (int a = 0; a < sum->n_spatial; a++)
    if (a != t->v)
      neo_slot_loop(order, a, 0);
  neo_slot_loop(order, t->v, 0);
  if (t->lanes > 1)
    neo_slot_loop(order, t->v, 1);
  neo_slot *at = neo_builder_slot(t->b, NEO_INSTR_AT, t->sum);
  neo_slot_arg(at, t->out);
  neo_slot_arg(at, depth);
  neo_slot_arg(at, NEO_SCOPE_REG);
  if (t->lanes > 1)
    neo_builder_mark(t->b, NEO_INSTR_VECTOR, t->sum, t->v, 1);
  for (int a = 0; a < sum->n_spatial; a++)
    neo_builder_mark(t->b, NEO_INSTR_UNROLL, t->sum, a, 0);
}

static void schedule_reduction(tile *t, int depth) {
  const neo_te_block *red = &t->te->block[t->red];
  if (t->lanes > 1)
    add_split(t->b, t->red, t->v, constant(t->lanes), constant(0));
  neo_slot *split =
      add_split(t->b, t->red, t->long_axis, by(t->unroll), constant(t->dot >= 0 ? t->group : 0));
  if (t->window >= 0) {
    neo_slot_when(split, t->window, 1);
    split = add_split(t->b, t->red, t->long_axis, constant(extent(t, t->long_axis)), constant(0));
    neo_slot_when(split, t->window, 2);
  }
  order_reduction(t, false);
  if (t->walk >= 0)
    order_reduction(t, true);
  neo_slot *at = neo_builder_slot(t->b, NEO_INSTR_AT, t->red);
  neo_slot_arg(at, t->sum >= 0 ? t->sum : t->out);
  neo_slot_arg(at, t->sum >= 0 ? 1 : depth);
  neo_slot_arg(at, NEO_SCOPE_REG);
  if (t->lanes > 1)
    neo_builder_mark(t->b, NEO_INSTR_VECTOR, t->red, t->v, 1);
  if (t->dot >= 0) {
    neo_slot *slot = neo_builder_mark(t->b, NEO_INSTR_TENSORIZE, t->red, t->long_axis, 2);
    strncpy(slot->instr.name, neo_intrinsic_get(t->dot)->name, sizeof(slot->instr.name) - 1);
  }
  neo_builder_mark(t->b, NEO_INSTR_UNROLL, t->red, t->long_axis, 1);
  for (int a = red->n_spatial; t->window >= 0 && a < red->n_spatial + red->n_reduce; a++)
    if (a != t->long_axis && red->extent[a] > 1)
      neo_slot_when(neo_builder_mark(t->b, NEO_INSTR_UNROLL, t->red, a, 0), t->window, 2);
  for (int a = 0; a < red->n_spatial; a++)
    neo_builder_mark(t->b, NEO_INSTR_UNROLL, t->red, a, 0);
}

static void schedule_producer(tile *t, const outer_plan *plans, int n) {
  neo_builder *b = t->b;
  int lanes = neo_builder_lanes(b, t->producer), walk[NEO_TE_MAX_AXES];
  int unit = neo_builder_unit_axis(b, t->producer, lanes);
  neo_builder_lay_reads(b, t->producer, unit);
  int n_axes = neo_builder_walk(b, t->producer, walk);
  if (unit >= 0 && lanes > 1) {
    add_split(b, t->producer, unit, constant(lanes), constant(0));
    neo_slot *order = neo_builder_slot(b, NEO_INSTR_ORDER, t->producer);
    for (int i = 0; i < n_axes; i++)
      neo_slot_loop(order, walk[i], 0);
    neo_slot_loop(order, unit, 1);
    neo_builder_mark(b, NEO_INSTR_VECTOR, t->producer, unit, 1);
  }
  uint64_t inside = plans_with(plans, n, 0, -1, 1), outside = plans_with(plans, n, 0, -1, 0);
  if (inside) {
    neo_slot *at = neo_builder_slot(b, NEO_INSTR_AT, t->producer);
    neo_slot_arg(at, t->out);
    neo_slot_arg(at, t->n_rest + 1);
    neo_slot_arg(at, NEO_SCOPE_SCRATCH);
    neo_slot_when(at, t->plan, inside);
  }
  if (n_axes > 1) {
    neo_slot *parallel = neo_builder_slot(b, NEO_INSTR_PARALLEL, t->producer);
    neo_slot_arg(parallel, 2);
    neo_slot_when(parallel, t->plan, outside);
  }
}

bool neo_tile_apply(neo_builder *b, int block, bool contraction) {
  tile t = {.b = b, .te = &b->variant->te, .out = block, .sum = -1, .dot = -1, .group = 1};
  if (!find_reduction(&t, contraction))
    return false;
  t.lanes = neo_builder_lanes(b, t.red);
  int out_lanes = neo_builder_store_lanes(b, t.out);
  bool halves = t.te->buffer[t.te->block[t.red].buffer].dtype == NEO_F16; /* O rounds f32 to it */
  t.lanes = out_lanes < t.lanes && !halves ? out_lanes : t.lanes;
  if (!choose_vector(&t))
    return false;
  choose_axes(&t);
  t.producer = choose_producer(&t);
  add_decisions(&t);
  lay_operands(&t);
  outer_plan plans[MAX_PLANS];
  int n = list_plans(&t, plans);
  t.plan = neo_builder_decision(b, "plan", true);
  for (int i = 0; i < n; i++)
    neo_builder_value(b, t.plan, i);
  int depth = schedule_output(&t, plans, n);
  schedule_reduction(&t, depth);
  if (t.sum >= 0) {
    schedule_sum(&t, depth);
    b->done[t.sum] = true;
  }
  if (t.producer >= 0)
    schedule_producer(&t, plans, n);
  b->done[t.red] = b->done[t.out] = true;
  if (t.producer >= 0)
    b->done[t.producer] = true;
  return true;
}
