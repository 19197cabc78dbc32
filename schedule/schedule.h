/* schedule/schedule.h: schedules as one line of text, the spaces they come from, and replay of a
 * schedule over a te into a nest. Sees te and target only: no code, board or store.
 *
 * ---- The line --------------------------------------------------------------------------------
 *
 *   s1; alg pad; pack b1 0/16,1,2,3,0%16; lay b0 0,2,3,1; split B1.3 6; ...
 *
 * "s1" is the version of the line's grammar. Instructions are separated by "; ". The first is the
 * algorithm: a te -> te rewrite (schedule/algorithms.def). All others address the rewritten te:
 * bK its buffers, BK its blocks, BK.A axis A of block K, BK.A.L loop level L of that axis.
 *
 *   alg NAME k=v ...      rewrite; required, first
 *   lay bK LAYOUT         memory layout of a buffer (boundary or tmp); default is row-major
 *   pack bK LAYOUT        the same for a CONST buffer: stored so at compile time, zero-padded
 *   inline BK             substitute BK's body into its readers (no reduction, identity write)
 *   split BK.A f1 f2 ...  axis A becomes levels 0..n: level 0 is outermost with
 *                         ceil(E/(f1*f2*..)) iterations, level j >= 1 has extent fj. Need not
 *                         divide. At most 3 factors.
 *   order BK loops        every loop of the block once, outermost first: "0.0 2 3.0 4 5 3.1 1.1".
 *                         "2" is short for 2.0 of an unsplit axis. Levels of an axis in order.
 *                         Reduce loops must be inside nothing but the block's own spatial loops,
 *                         or outside of these: then the tile of partial results is the buffer's
 *                         storage (register scope: accumulators).
 *   at BK BC n SCOPE      compute BK inside block BC after its n outermost loops, once per
 *                         iteration, for just the region BC's remaining loops read. SCOPE of the
 *                         buffer there: reg (fully unrolled, vector registers), stack (per
 *                         worker, small), work (per worker scratch), shared (of a GPU's group:
 *                         the work-items compute the region that all of them read together; only
 *                         reduce loops of BC may be outside of it but inside of the group).
 *                         Without `at` a block is a root: a launch of its own.
 *   parallel BK n         root only: its n outermost loops are fused into the launch grid
 *   group BK n            root only, for GPUs: its next n loops are fused into the work-items of
 *                         a group; `group BK 0 m`: m work-items compute all that is inside the
 *                         grid in turn, element by element
 *   vector BK.A.L         innermost loop of the block: its extent is the number of lanes
 *   unroll BK.A.L         emitted unrolled (loops in reg-scope tiles must be)
 *   prefetch bK BK.A.L d  prefetch bK's element d iterations of that loop ahead
 *   peel BK.A.L           first and last iteration are copies of their own (guards at borders)
 *   tensorize BK.A.L ROW  this reduce loop, innermost but for the vector loop, becomes row ROW of
 *                         schedule/intrinsics.def; its extent is the row's group. Or it and the
 *                         unrolled tile inside become row ROW of schedule/matrices.def, its extent
 *                         the row's k: then the group's two innermost loops have 8 and 4
 *                         work-items, of axes that one factor each uses (lower_matrix.c)
 *   choose NAME v         `ext` workloads: pick variant v
 *
 * Tails. Split factors need not divide. The deepest loop of an axis that is neither unrolled nor
 * vector is specialised: full tiles and one narrower tile, each with static extents; a vector tail
 * is a masked store/load. Outer levels get dynamic bounds (min).
 *
 * ---- Layout text -------------------------------------------------------------------------------
 * Comma-separated physical dims, outermost first, each of a logical dim d: "d" (whole), "d/f"
 * (blocks of f) and "d%f" (inside a block). "0,1,2,3" is row-major NCHW, "0,2,3,1" is NHWC,
 * "0,1/8,2,3,1%8" is NCHW8c. "d~p" is a whole dim of which the value has only a part of p places:
 * "0,2,3,1~128" are some channels of an NHWC tensor of 128; what lies between belongs to others and
 * is never touched. A dim split by f occupies ceil(D/f)*f; the padding is zero in packed
 * constants and unspecified elsewhere. */
#ifndef NEO_SCHEDULE_SCHEDULE_H
#define NEO_SCHEDULE_SCHEDULE_H

#include "ir/te.h"
#include "schedule/nest.h"
#include "target/target.h"

/* ---- layouts --------------------------------------------------------------------------------- */

#define NEO_LAYOUT_MAX 12

typedef struct neo_layout_dim {
  int8_t dim;     /* logical dim */
  char part;      /* ' ' whole, '/' block number, '%' inside the block */
  int32_t factor; /* of '/' and '%'; of ' ': places, if more than the dim has, else 0 */
} neo_layout_dim;

typedef struct neo_layout {
  int n; /* 0: row-major */
  neo_layout_dim dim[NEO_LAYOUT_MAX];
} neo_layout;

/* rank < 0: as many dims as the text names. */
neo_status neo_layout_parse(neo_ctx *ctx, const char *text, int rank, neo_layout *out);
/* Row-major of `rank` prints "0,1,..."; a layout equal to row-major becomes n == 0 when parsed (not
 * in a schedule's instruction, which prints as it was written). Both forms are equal. */
void neo_layout_print(neo_buf *buf, const neo_layout *layout, int rank);
bool neo_layout_equal(const neo_layout *a, const neo_layout *b);
/* Elements of memory, padding included, from the first to the last. */
int64_t neo_layout_elements(const neo_layout *layout, const neo_shape *shape);
/* Places of one physical dim. */
int64_t neo_layout_extent(const neo_layout_dim *dim, const neo_shape *shape);
/* Does every "d~p" have room for its dim? */
bool neo_layout_fits(const neo_layout *layout, const neo_shape *shape);
/* The layout of a part of a value, as it lies in the whole, which is not blocked. It starts at
 * neo_layout_place(whole, shape, first index). */
void neo_layout_window(const neo_layout *whole, const neo_shape *shape, const neo_shape *window,
                       neo_layout *out);
/* Elements from one index to the next, by dim, 0 where its extent is 1; false if it is blocked. */
bool neo_layout_strides(const neo_layout *layout, const neo_shape *shape, int64_t *out);
/* Element offset of a position. */
int64_t neo_layout_place(const neo_layout *layout, const neo_shape *shape, const int64_t *at);
/* Flat element offset of a logical index whose variables lie in range[0..n). */
const neo_expr *neo_layout_offset(neo_arena *arena, const neo_layout *layout,
                                  const neo_shape *shape, const neo_expr *const *index,
                                  const neo_range *range, int n_range);
/* Copies a row-major tensor into `layout` (padding zeroed) or back; dst holds layout_elements. */
void neo_layout_pack(const neo_layout *layout, const neo_tensor *row_major, void *dst);
void neo_layout_unpack(const neo_layout *layout, const void *src, neo_tensor *row_major);

/* ---- schedules ------------------------------------------------------------------------------- */

#define NEO_SCHEDULE_MAX_INSTRS 192
#define NEO_SCHEDULE_MAX_ARGS 24

typedef enum neo_instr_kind {
  NEO_INSTR_ALG,
  NEO_INSTR_LAY,
  NEO_INSTR_PACK,
  NEO_INSTR_INLINE,
  NEO_INSTR_SPLIT,
  NEO_INSTR_ORDER,
  NEO_INSTR_AT,
  NEO_INSTR_PARALLEL,
  NEO_INSTR_VECTOR,
  NEO_INSTR_UNROLL,
  NEO_INSTR_PREFETCH,
  NEO_INSTR_PEEL,
  NEO_INSTR_TENSORIZE,
  NEO_INSTR_CHOOSE,
  NEO_INSTR_GROUP,
} neo_instr_kind;

typedef struct neo_loop_ref {
  int8_t axis, level;
} neo_loop_ref;

typedef struct neo_instr {
  neo_instr_kind kind;
  int16_t block;       /* BK, or -1 */
  int16_t buffer;      /* bK, or -1 */
  int16_t axis, level; /* of split, vector, unroll, prefetch */
  int n_args;
  int32_t arg[NEO_SCHEDULE_MAX_ARGS]; /* split factors; parallel, group n; at: consumer, depth,
                                         scope; prefetch d; order: axis*16+level per loop */
  neo_layout layout;                  /* lay, pack */
  char name[64];                      /* alg: "winograd m=4 r=3"; choose, tensorize */
} neo_instr;

typedef struct neo_schedule {
  int n;
  neo_instr instr[NEO_SCHEDULE_MAX_INSTRS];
} neo_schedule;

neo_status neo_schedule_parse(neo_ctx *ctx, const char *line, neo_schedule *out);
void neo_schedule_print(neo_buf *buf, const neo_schedule *schedule); /* no newline; canonical */

/* The rewritten te of the schedule's algorithm. NEO_BAD_INPUT if the algorithm does not apply.
 * Buffer numbers of the original te's IN, CONST and OUT buffers never change: new TMP buffers are
 * appended at the end, and a CONST that the algorithm transforms is replaced in place (same number,
 * new shape; its neo_pack has the te). So `lay bK` of a boundary buffer means the same under every
 * algorithm, and layout signatures compare. */
neo_status neo_schedule_rewrite(neo_ctx *ctx, const neo_te *te, const neo_schedule *schedule,
                                neo_arena *arena, neo_te *out);

/* Replay: te + schedule -> nest, checked. Kernel buffers are the te's IN, CONST and OUT buffers in
 * te order (of the rewritten te; a CONST that the algorithm adds or replaces has a pack te, below).
 * A line that does not fit the te is NEO_BAD_INPUT naming the instruction. Everything lives in
 * arena. */
neo_status neo_schedule_lower(neo_ctx *ctx, const neo_te *te, const neo_schedule *schedule,
                              const neo_target *target, neo_arena *arena, neo_nest *out);

/* The schedule that always works: every block a root in axis order, scalar, serial ("s1; alg
 * direct"). */
void neo_schedule_naive(neo_schedule *out);

/* What the algorithm and packs make of the te's constants. Constants that algorithms transform
 * (Winograd: U = G w G^T) are described by a pack te: inputs = original consts, output = the new
 * const. */
typedef struct neo_pack {
  int buffer;        /* CONST buffer of the rewritten te */
  int source;        /* CONST buffer of the original te it comes from */
  bool has_te;       /* false: same values, only another layout */
  neo_te te;         /* IN b0 = source, OUT = new value, row-major, run at compile time */
  neo_layout layout; /* stored form */
} neo_pack;

typedef struct neo_packing {
  int n;
  neo_pack *pack; /* one per CONST buffer of the rewritten te, in order */
} neo_packing;

neo_status neo_schedule_packing(neo_ctx *ctx, const neo_te *te, const neo_schedule *schedule,
                                neo_arena *arena, neo_packing *out);
/* Layouts of the te's IN and OUT buffers, as "b0=0,2,3,1 b4=0,2,3,1" (row-major ones omitted). */
void neo_schedule_signature(neo_buf *buf, const neo_te *te, const neo_schedule *schedule);
/* Copies every boundary `lay` of `from` onto `to`... for transfer: sets or replaces one buffer's
 * layout. */
void neo_schedule_set_layout(neo_schedule *schedule, int buffer, const neo_layout *layout);
const neo_layout *neo_schedule_layout(const neo_schedule *schedule,
                                      int buffer); /* NULL: row-major */

/* ---- spaces, sketches, candidates ------------------------------------------------------------ */

#define NEO_MAX_DECISIONS 256
#define NEO_MAX_SKETCHES 64

typedef enum neo_accuracy {
  NEO_ACCURACY_EXACT,
  NEO_ACCURACY_DEFAULT,
  NEO_ACCURACY_FAST
} neo_accuracy;

typedef struct neo_candidate {
  int16_t sketch, n;
  int16_t decision[NEO_MAX_DECISIONS];
} neo_candidate;

/* What emulated boards give in place of times: instructions, and so much for each miss of the
 * first-level cache. */
typedef struct neo_counting {
  bool on;
  double miss;
} neo_counting;

typedef struct neo_space neo_space; /* opaque; immutable after build, any thread may read it */

typedef struct neo_space_options {
  int threads; /* >= 1 */
  neo_accuracy accuracy;
  double max_params_growth; /* of this workload's constants; 0: 4 */
  neo_counting counting;    /* on: neo_space_predict says counts, not nanoseconds */
  /* Layout constraint per te buffer (boundary): fixed[k] non-NULL forces that layout. */
  const neo_layout *fixed[NEO_TE_MAX_BUFFERS];
} neo_space_options;

/* All sketches that the rules (schedule/rules.def) and algorithms derive. At least one always
 * exists. */
neo_status neo_space_build(neo_ctx *ctx, const neo_te *te, const neo_target *target,
                           const neo_space_options *options, neo_space **out);
void neo_space_destroy(neo_space *space);
const neo_te *neo_space_te(const neo_space *space);
int neo_space_sketches(const neo_space *space);
double neo_space_size(const neo_space *space); /* number of candidates */
void neo_space_print(neo_buf *buf,
                     const neo_space *space); /* algorithms, sketches, domains, size */

/* Every candidate these produce is legal: it lowers, fits registers and scratch, and computes the
 * te. */
void neo_space_sample(const neo_space *space, neo_rng *rng, neo_candidate *out);
void neo_space_mutate(const neo_space *space, neo_rng *rng, const neo_candidate *from,
                      neo_candidate *out);
/* Parents of different sketches: copies one. */
void neo_space_cross(const neo_space *space, neo_rng *rng, const neo_candidate *a,
                     const neo_candidate *b, neo_candidate *out);
/* The k-th neighbour differing in one decision by one step (coordinate descent); false past the
 * last. */
bool neo_space_neighbour(const neo_space *space, const neo_candidate *from, int k,
                         neo_candidate *out);
void neo_space_schedule(const neo_space *space, const neo_candidate *candidate, neo_schedule *out);
/* Finds the candidate whose schedule prints as this line; false if no sketch has it. */
bool neo_space_find(const neo_space *space, const neo_schedule *schedule, neo_candidate *out);
/* The nearest legal candidate to a schedule of another workload (transfer); false if nothing fits.
 */
bool neo_space_transfer(const neo_space *space, const neo_schedule *schedule, neo_candidate *out);

/* ---- the analytic model and features --------------------------------------------------------- */

#define NEO_FEATURES 96
/* What the features and the prediction mean. Whoever changes a feature, or the analytic model so
 * far that what was learned about its errors no longer holds, counts it up: cost models of another
 * version are refused. */
#define NEO_FEATURE_VERSION 1

/* Predicted nanoseconds of one run: register-tile efficiency, cache traffic, thread balance. */
double neo_space_predict(const neo_space *space, const neo_candidate *candidate);
/* The best `n` candidates by the analytic model, best first; returns how many (>= 1). In a space
 * that counts the first is nevertheless the one of least time, which is what a compilation without
 * records takes; those behind it are the best by count. Deterministic. */
int neo_space_analytic(const neo_space *space, int n, neo_candidate *out);
/* NEO_FEATURES floats from knobs and closed forms, no lowering; includes log of the prediction. */
void neo_space_features(const neo_space *space, const neo_candidate *candidate, float *out);

#endif
