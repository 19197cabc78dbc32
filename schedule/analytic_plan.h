/* schedule/analytic_plan.h: what the parts of the analytic model share: a schedule decoded into
 * loops per block. Private to schedule/analytic*.c. */
#ifndef NEO_SCHEDULE_ANALYTIC_PLAN_H
#define NEO_SCHEDULE_ANALYTIC_PLAN_H

#include "schedule/analytic.h"

#define NEO_COST_MAX_PATH 64
#define NEO_COST_LINE 64 /* bytes of a cache line */

typedef struct neo_cost_loop {
  int axis;
  int64_t trip;
} neo_cost_loop;

typedef struct neo_cost_body {
  const neo_te_block *te;
  const neo_block_facts *facts;
  int n_loops;
  neo_cost_loop loops[NEO_SCHEDULE_MAX_ARGS];
  const neo_instr *order;
  int n_factors[NEO_TE_MAX_AXES];
  int32_t factor[NEO_TE_MAX_AXES][3];
  uint8_t unrolled[NEO_TE_MAX_AXES]; /* bit per level */
  uint32_t peeled;                   /* bit per axis */
  int vector_axis, at, depth, scope, grid, group;
  int items;                          /* of `group BK 0 items` */
  int row, tensor_axis, tensor_level; /* tensorized loop; row -1: none */
  int matrix;                         /* row of matrices.def; -1: none */
  int64_t extent[NEO_TE_MAX_AXES];    /* of the region that one run covers */
  double runs;
} neo_cost_body;

typedef struct neo_cost_plan {
  const neo_variant *variant;
  const neo_target *target;
  int threads;
  neo_cost_body block[NEO_TE_MAX_BLOCKS];
  const neo_layout *layout[NEO_TE_MAX_BUFFERS];
} neo_cost_plan;

typedef int64_t neo_cost_covers[NEO_TE_MAX_BLOCKS][NEO_TE_MAX_AXES];

typedef struct neo_cost_traffic {
  int n, n_buffers;
  bool lines; /* footprints are of the lines touched; all weigh the same */
  int64_t trip[NEO_COST_MAX_PATH];
  int buffer[NEO_TE_MAX_BUFFERS];
  double weight[NEO_TE_MAX_BUFFERS];                       /* of its neo_cost_traffic */
  double bytes[NEO_TE_MAX_BUFFERS][NEO_COST_MAX_PATH + 1]; /* footprint inside position k */
} neo_cost_traffic;

static inline int neo_cost_axes(const neo_cost_body *b) {
  return b->te->n_spatial + b->te->n_reduce;
}

/* ---- decoding (analytic_decode.c) ------------------------------------------------------------ */

/* Fills p->block and p->layout; the rest of p is set. */
void neo_cost_decode(neo_cost_plan *p, const neo_schedule *schedule);
/* Extent of each axis that the loops from position k on cover. */
void neo_cost_cover_from(const neo_cost_body *b, int k, int64_t *cover);
/* Extent of dim `dim` that an access touches when the axes cover `cover`. */
int64_t neo_cost_dim_cover(const neo_access *access, int dim, const int64_t *cover);
bool neo_cost_is_inside(const neo_cost_plan *p, int block, int consumer);
/* What `consumer` covers from its loop k on, and what blocks from..consumer-1 inside it then
 * compute. */
void neo_cost_find_covers(const neo_cost_plan *p, int consumer, int k, int from,
                          neo_cost_covers cover);

/* One of the dims in memory, outermost first: what of it an access touches when the axes cover
 * `cover`, and its extent. */
typedef struct neo_cost_part {
  int64_t touched, whole;
} neo_cost_part;

int neo_cost_parts(const neo_cost_plan *p, const neo_access *access);
neo_cost_part neo_cost_part_of(const neo_cost_plan *p, const neo_access *access, int i,
                               const int64_t *cover);

/* ---- cycles of one block (analytic_tile.c) --------------------------------------------------- */

/* Of all runs of block k, on one core, data in L1; the terms are added to *cost. */
double neo_cost_block_cycles(const neo_cost_plan *p, int k, neo_cost *cost);

/* ---- GPUs (analytic_gpu.c) ------------------------------------------------------------------- */

void neo_cost_find_gpu(const neo_cost_plan *p, neo_cost *cost);

/* ---- memory of one launch (analytic_memory.c) ------------------------------------------------ */

void neo_cost_collect_traffic(const neo_cost_plan *p, int root, neo_cost_traffic *t);
/* Weighted bytes that cross into a cache of this capacity. */
double neo_cost_bytes_into(const neo_cost_traffic *t, double capacity);
/* Bytes of activations that each of several workers finds in another one's cache. Kernels agree by
 * convention: each worker has one contiguous part of a tensor, the one that its grid cuts along the
 * outermost dim in memory; of others it has to fetch what it reads, and the right to write. */
double neo_cost_remote_bytes(const neo_cost_plan *p, int root);
/* Weight of constants in that traffic: they stream. */
double neo_cost_streamed(const neo_cost_plan *p);
double neo_cost_constant_bytes(const neo_cost_plan *p, const neo_cost_traffic *t);

#endif
