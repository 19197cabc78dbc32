/* schedule/lower.h: what the files of the lowering (lower*.c) share. Inside schedule/ only.
 *
 * The steps, in order: rewrite and inline the te (lower_rewrite.c), turn the instructions into one
 * plan per block (lower_plan.c), emit loops from the outside in (lower_emit.c), with regions of
 * attached blocks (lower_region.c) and bodies (lower_expr.c); lower.c drives. */
#ifndef NEO_SCHEDULE_LOWER_H
#define NEO_SCHEDULE_LOWER_H

#include "schedule/nest_range.h"
#include "schedule/schedule.h"

#define LOWER_MAX_LEVELS 4
#define LOWER_MAX_LOOPS NEO_SCHEDULE_MAX_ARGS
#define LOWER_MAX_VARS 4096

/* ---- the plan of a block ---------------------------------------------------------------------------- */

typedef struct lower_loop {
  int8_t axis, level;
  bool unroll, vector, reduce, peel;
  int8_t tensor;    /* 1 + row of intrinsics.def that this loop becomes; 0: none */
  int8_t matrix;    /* 1 + row of matrices.def that this loop and all inside become; 0: none */
  bool exact;       /* tiles inside must have static sizes: tails are peeled or branched here */
  int16_t prefetch; /* te buffer or -1 */
  int32_t ahead;    /* iterations */
} lower_loop;

typedef struct lower_axis {
  int n_levels;
  int64_t factor[LOWER_MAX_LEVELS]; /* of level >= 1 */
  int64_t stride[LOWER_MAX_LEVELS]; /* elements of the axis per iteration of the level */
} lower_axis;

typedef struct lower_block {
  int index;
  const neo_te_block *te;
  bool inlined;
  int n_axes;
  lower_axis axis[NEO_TE_MAX_AXES];
  int n_loops;
  lower_loop loop[LOWER_MAX_LOOPS];
  int first_reduce;    /* position of the outermost reduce loop; n_loops if none */
  int tensor;          /* 1 + row of intrinsics.def; 0: none */
  int matrix;          /* 1 + row of matrices.def; 0: none */
  int lanes;           /* of the vector loop; 1: scalar */
  int vector_axis;     /* -1: none */
  int consumer, depth; /* consumer < 0: a root */
  neo_scope scope;
  int parallel, group; /* loops in the grid, and behind them in the work-items of a group */
  int items; /* work-items that compute all that is inside the grid, in turn; 0: by `group` */
} lower_block;

/* ---- emission ------------------------------------------------------------------------------------------ */

/* What is left of an axis at some point of the loop nest: indices base .. base + size - 1, or only
 * up to `left` elements of them where that is not NULL (then size is an upper bound and total the
 * static number that `left` is congruent to, modulo every inner stride). */
typedef struct lower_span {
  const neo_expr *base;
  int64_t size;
  const neo_expr *left;
  int64_t total;
} lower_span;

/* Where a te buffer lives at the moment: index - base, in this layout of this shape. */
typedef struct lower_binding {
  int buffer; /* of the nest; -1: none yet */
  neo_layout layout;
  neo_shape shape;
  const neo_expr *base[NEO_MAX_RANK]; /* NULL: 0 */
} lower_binding;

/* The launch grid, or the work-items of a group: `n` loops of a root from `first` on, fused. */
typedef struct lower_grid {
  int var, first, n;
  int64_t total;
  int64_t extent[LOWER_MAX_LOOPS];
  int digit[LOWER_MAX_LOOPS]; /* its variable; -1: none */
} lower_grid;

typedef struct lower_frame {
  const lower_block *block;
  lower_span span[NEO_TE_MAX_AXES];
  lower_span wide[NEO_TE_MAX_AXES]; /* the hull over all work-items of the group */
  const lower_binding *acc;         /* accumulators in registers; NULL: the buffer itself */
  lower_grid *grid, *items;         /* NULL unless a root */
  int part; /* variable of the innermost loop, which work-items run at once; 0: none do */
} lower_frame;

typedef struct lower_list {
  neo_stmt *head, **tail;
} lower_list;

/* The vector loop around an expression. var < 0: scalar. In a tensorized loop also its variable
 * and how many of the row's group are there. */
typedef struct lower_lanes {
  int var, lanes, active;
  int tensor; /* 1 + row; 0: none */
  int group_var, group_active;
} lower_lanes;

#define LOWER_MAX_ROWS 48

typedef struct lower_row {
  neo_dtype dtype;
  int lanes, ordinal; /* ordinal: how many rows the statement uses already */
  int buffer;
} lower_row;

typedef struct lowerer {
  neo_ctx *ctx;
  neo_arena *arena;
  const neo_te *te; /* rewritten, inlined */
  const neo_schedule *schedule;
  const neo_target *target;
  neo_nest *nest;
  lower_block block[NEO_TE_MAX_BLOCKS];
  lower_binding binding[NEO_TE_MAX_BUFFERS];
  int local[NEO_TE_MAX_BUFFERS];       /* nest buffer of an attached block's buffer; -1 */
  int accumulator[NEO_TE_MAX_BLOCKS];  /* nest buffer; -1 */
  int partial[NEO_TE_MAX_BLOCKS];      /* nest buffer of a shared reduction's parts; -1 */
  int launch_of[NEO_NEST_MAX_BUFFERS]; /* launch that a nest buffer was made in */
  bool grouped;                        /* has a block work-items? only then frames have `wide` */
  const lower_grid *items;             /* of the launch at hand */
  int n_rows;                          /* STACK rows for gathers, shared by all statements */
  lower_row row[LOWER_MAX_ROWS];
  neo_range range[LOWER_MAX_VARS];
  bool unrolled[LOWER_MAX_VARS]; /* variables of unrolled loops */
  neo_facts facts;
  neo_status status;
} lowerer;

/* Records the first failure; returns false. */
bool lower_fail(lowerer *l, const char *format, ...) NEO_PRINTF(2, 3);

/* lower_rewrite.c */
neo_status neo_lower_inline(neo_ctx *ctx, const neo_schedule *schedule, neo_te *te);

/* lower_plan.c: fills l->block from te and schedule. */
bool lower_plan(lowerer *l);
/* Is `block` attached, directly or through others, inside `consumer` at depth >= depth? */
bool lower_is_inside(const lowerer *l, int block, int consumer, int depth);
bool lower_reads(const neo_te_block *block, int buffer);
/* Elements more than a temporary needs, so that the last group of an intrinsic is there. */
int64_t lower_slack(const lowerer *l, int te_buffer);

/* lower_region.c: the spans of block x's spatial axes that the readers (frames) need; false if none
 * reads it. */
bool lower_region(lowerer *l, const lower_block *x, const lower_frame *readers, int n_readers,
                  lower_frame *out);

/* lower_expr.c */
void lower_list_init(lower_list *list);
void lower_list_add(lower_list *list, neo_stmt *stmt);
int lower_new_var(lowerer *l, int64_t extent);
int lower_new_buffer(lowerer *l, neo_scope scope, neo_dtype dtype, int64_t elements, int lanes);
/* The store of one element (or vector) of the frame's block; kind: initial value, update/value, or
 * the accumulators' copy into the buffer. Statements that gather or scatter lanes are added, too.
 */
typedef enum lower_pass { LOWER_MAIN, LOWER_INIT, LOWER_FLUSH } lower_pass;
bool lower_store(lowerer *l, const lower_frame *f, lower_pass pass, const lower_lanes *lanes,
                 lower_list *out);
const neo_expr *lower_combine(neo_arena *arena, neo_combine how, const neo_expr *acc,
                              const neo_expr *value);
bool lower_prefetch(lowerer *l, const lower_frame *f, const lower_loop *loop, lower_list *out);

/* What the known ranges do not prove of a guard; NULL if they prove it. */
const neo_expr *lower_guard(lowerer *l, const lower_frame *f, const neo_guard *guard);

/* Where an element lies: flat offset in a binding, affine where tiles allow. */
const neo_expr *lower_place(lowerer *l, const lower_frame *f, const lower_binding *binding,
                            const neo_expr *const *index);
/* Are guards of a load left that the known ranges do not prove? */
bool lower_is_guarded(lowerer *l, const lower_frame *f, const neo_expr *load);

/* lower_matrix.c: the statement of a matrix instruction: what the loops from the frame's reduce
 * loop `pos` inwards compute. */
bool lower_matrix(lowerer *l, lower_frame *f, int pos, lower_list *out);

/* lower_guard.c: the condition under which this step of the frame's reduction does anything; NULL:
 * always. */
const neo_expr *lower_step_condition(lowerer *l, const lower_frame *f);

/* lower_shared.c: computes the frame's block for its spans, all work-items together: an attached
 * one into its SHARED buffer, a root into its own. */
bool lower_shared(lowerer *l, const lower_frame *f, lower_list *out);

/* lower_emit.c, for a frame whose spatial axes are down to one element: binds a register to it; the
 * reduce loops that sum into that; its copy into the block's buffer. */
bool lower_bind_sum(lowerer *l, const lower_frame *f, lower_binding *out);
bool lower_sum(lowerer *l, lower_frame *f, const lower_binding *sum, lower_list *out);
bool lower_flush(lowerer *l, lower_frame *f, const lower_binding *sum, lower_list *out);
/* One launch. */
bool lower_root(lowerer *l, const lower_block *b);

#endif
