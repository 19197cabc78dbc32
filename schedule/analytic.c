/* The analytic model: predicted time of a schedule in closed form, microseconds per candidate.
 *
 * Why: it picks the schedule that is used with an empty database, seeds every search and is the
 * base margin of the learned model; so it must see what matters and nothing else. How: a schedule
 * is decoded into loops per block (no lowering). Register tiles: cycles of a step are the largest
 * of FMA issue, load issue, FMA latency and front end, weighted over full and tail tiles (after
 * oneDNN's ukernel efficiency and BLIS's latency bound). Caches: for each level the outermost loop
 * depth whose footprint fits is found; traffic is the footprint there times the trips of loops
 * outside that change it; in a register tile, rows that share a set of the first level evict each
 * other. Launches: cycles are divided by the workers that the grid keeps busy; what those find in
 * each other's caches is slow. The parts are
 * analytic_decode.c, analytic_tile.c and analytic_memory.c. Their constants depend on nothing but
 * the machine and were fitted to measured resnet50 layers on a 2-core x86 with AVX2 and one with
 * AVX-512. */
#include "schedule/analytic.h"

#include "schedule/analytic_plan.h"

#include <math.h>
#include <string.h>

#define L2_BYTES_PER_CYCLE 28.0
#define L3_BYTES_PER_CYCLE 30.0
#define DRAM_BYTES_PER_CYCLE 6.0
#define REMOTE_BYTES_PER_CYCLE 4.0 /* from another core's cache */
#define COLD_CONSTANTS 0.5         /* a model's constants leave the caches between its runs */
#define SPILLED_CONSTANTS 0.7      /* if they do not fit: a prefetched stream comes at 8.5 bytes */
#define L1_SHARE 0.8
#define L2_SHARE 0.7
#define L3_SHARE 0.6
#define EXPOSED 0.2     /* share of the smaller terms that the largest does not hide */
#define LAUNCH_NS 150.0 /* one launch on one worker */
#define WAKE_NS 2500.0  /* more when several workers share it */

static double cycles_to_ns(const neo_target *target, double cycles) {
  return cycles / (target->ghz > 0 ? target->ghz : 3.0);
}

static void add_launch(const neo_cost_plan *p, int root, double cycles, neo_cost *cost) {
  const neo_cost_body *r = &p->block[root];
  const neo_target *target = p->target;
  double grid = 1;
  for (int i = 0; i < r->grid && i < r->n_loops; i++)
    grid *= (double)r->loops[i].trip;
  double workers = fmin(p->threads, grid), busy = grid / ceil(grid / workers);
  neo_cost_traffic t;
  t.n = t.n_buffers = 0;
  t.lines = false;
  neo_cost_collect_traffic(p, root, &t);
  double l2 = neo_cost_bytes_into(&t, L1_SHARE * (double)target->l1d);
  double l3 = target->l2 > 0 ? neo_cost_bytes_into(&t, L2_SHARE * (double)target->l2) : l2;
  double dram = target->l3 > 0 ? neo_cost_bytes_into(&t, L3_SHARE * (double)target->l3) : l3;
  double whole = 0;
  for (int i = 0; i < t.n_buffers; i++)
    whole += t.bytes[i][0];
  bool spills = target->l3 > 0 && whole > L3_SHARE * (double)target->l3;
  if (target->l3 > 0 && !spills)
    dram = 0;
  double cold = spills ? SPILLED_CONSTANTS - neo_cost_streamed(p) : COLD_CONSTANTS;
  dram += cold * neo_cost_constant_bytes(p, &t);
  double remote = workers > 1 ? neo_cost_remote_bytes(p, root) : 0;
  double term[5] = {cycles / busy, l2 / L2_BYTES_PER_CYCLE / busy, l3 / L3_BYTES_PER_CYCLE / busy,
                    dram / DRAM_BYTES_PER_CYCLE / fmin(busy, 1.5), remote / REMOTE_BYTES_PER_CYCLE};
  double most = 0, sum = 0;
  for (int i = 0; i < 5; i++) {
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

/* Lines that a launch finds missing in the first-level cache, whose bandwidth is no question. */
static double missing_lines(const neo_cost_plan *p, int root) {
  neo_cost_traffic t;
  t.n = t.n_buffers = 0;
  t.lines = true;
  neo_cost_collect_traffic(p, root, &t);
  return neo_cost_bytes_into(&t, (double)p->target->l1d) / NEO_COST_LINE;
}

static void count_memory(const neo_cost_plan *p, neo_cost *cost) {
  const neo_te *te = &p->variant->te;
  for (int k = 0; k < te->n_buffers; k++) {
    if (te->buffer[k].role == NEO_TE_CONST)
      cost->packed_bytes += (double)neo_layout_elements(p->layout[k], &te->buffer[k].shape) *
                            (double)neo_dtype_size(te->buffer[k].dtype);
    if (te->buffer[k].role != NEO_TE_TMP || p->variant->facts.writer[k] < 0)
      continue;
    const neo_cost_body *w = &p->block[p->variant->facts.writer[k]];
    double bytes = (double)neo_dtype_size(te->buffer[k].dtype);
    for (int a = 0; a < w->te->n_spatial; a++)
      bytes *= (double)w->extent[a];
    if (w->at < 0 || w->scope != NEO_SCOPE_REG)
      cost->scratch_bytes += bytes;
  }
}

/* Cycles of all blocks, added to their launches. */
static void find_cycles(const neo_cost_plan *p, double *launch, neo_cost *cost) {
  for (int k = 0; k < p->variant->te.n_blocks; k++) {
    double own = neo_cost_block_cycles(p, k, cost);
    int root = k;
    while (p->block[root].at >= 0)
      root = p->block[root].at;
    launch[root] += own;
    cost->compute += own;
    if (!p->variant->facts.block[k].contraction)
      continue;
    double points = 1;
    for (int a = 0; a < neo_cost_axes(&p->block[k]); a++)
      points *= (double)p->block[k].te->extent[a];
    cost->ideal += points / neo_target_lanes(p->target, true, 4) / p->target->fma_ports;
  }
}

void neo_cost_find(const neo_variant *variant, const neo_schedule *schedule,
                   const neo_cost_options *options, neo_cost *out) {
  neo_cost_plan p;
  memset(p.block, 0, sizeof(p.block[0]) * (size_t)variant->te.n_blocks);
  p.variant = variant;
  p.target = options->target;
  p.threads = options->threads;
  neo_cost_decode(&p, schedule);
  neo_cost cost = {0};
  double launch[NEO_TE_MAX_BLOCKS] = {0};
  if (neo_target_is_gpu(p.target)) {
    neo_cost_find_gpu(&p, &cost);
    *out = cost;
    return;
  }
  find_cycles(&p, launch, &cost);
  cost.ns = cycles_to_ns(p.target, cost.compute / p.threads);
  if (options->limit > 0 && cost.ns > options->limit) {
    *out = cost;
    return;
  }
  cost.ns = 0;
  for (int k = 0; k < variant->te.n_blocks; k++)
    if (p.block[k].at < 0) {
      add_launch(&p, k, launch[k], &cost);
      cost.lines += options->lines ? missing_lines(&p, k) : 0;
    }
  count_memory(&p, &cost);
  *out = cost;
}
