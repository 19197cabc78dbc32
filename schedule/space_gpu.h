/* schedule/space_gpu.h: what rules of GPUs share: reductions in tiles of work-items (gpu_tile,
 * gpu_mma), vectors. */
#ifndef NEO_SCHEDULE_SPACE_GPU_H
#define NEO_SCHEDULE_SPACE_GPU_H

#include "schedule/sketch.h"

/* Reduction R in output block O, which reads it axis for axis (or is it), and the copies of R's
 * operands that algorithm stage has made. */
typedef struct neo_gpu_tile {
  neo_builder *b;
  const neo_te *te;
  int out, red;
  int of_red[NEO_TE_MAX_AXES]; /* R's spatial axis -> O's, -1: of extent 1 */
  int n_copies, copy[NEO_TE_MAX_BLOCKS];
} neo_gpu_tile;

const neo_te_block *neo_gpu_reduction(const neo_gpu_tile *t);
/* Fills *out for the block as O; false if it reads or is no reduction. */
bool neo_gpu_find_reduction(neo_builder *b, int block, neo_gpu_tile *out);
/* The copies; false if the algorithm made some that are no copies for R alone. */
bool neo_gpu_find_copies(neo_gpu_tile *t);
/* R's axis that O's axis is; -1: none. */
int neo_gpu_red_axis(const neo_gpu_tile *t, int out_axis);

/* Decisions: divisors of n, or powers of two, which divide it or not. */
int neo_gpu_divisors(neo_builder *b, const char *name, int64_t n, int64_t most);
int neo_gpu_powers(neo_builder *b, const char *name, int64_t n, int64_t most, bool divide);

/* The most lanes of a vector along the block's axis: 16 bytes of the smallest elements that
 * it reads or writes side by side, but 4 lanes at least. */
int neo_gpu_vector_lanes(const neo_builder *b, int block, int axis);
/* The axis along which a block that only reads and writes is computed in vectors: what it
 * stores lies side by side, what it reads does, too, or does not move. -1: none. */
int neo_gpu_copy_axis(const neo_builder *b, int block);
/* Splits the axis of a block without reduction into vectors of the decision's length. */
void neo_gpu_vectors(neo_builder *b, int block, int axis, int decision);

#define NEO_GPU_PARTS 3

/* What a group covers of one axis at a time: unit times the decisions (-1: none). */
typedef struct neo_gpu_part {
  int axis; /* of R; -1: none */
  int64_t unit;
  int decision[2];
} neo_gpu_part;

/* Keeps the bytes of one of the copies: along each dim the tile times (stride + window - 1). */
void neo_gpu_limit_copy(neo_gpu_tile *t, int copy, int64_t share,
                        const neo_gpu_part part[NEO_GPU_PARTS]);
/* R's reduce loops: k's level 0, all others, k's other levels. */
void neo_gpu_order_reduce(const neo_gpu_tile *t, neo_slot *order, int k, int levels);
/* The copies are computed inside R behind its `depth` outer loops, shared. */
void neo_gpu_schedule_copies(neo_gpu_tile *t, int depth);

#endif
