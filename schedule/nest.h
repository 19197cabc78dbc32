/* schedule/nest.h: the typed low-level program that replay makes and code generators print. Tiling,
 * register blocking, tails and masks are all decided here, once, for every code generator.
 *
 * A nest is an ordered list of launches. Each launch runs its body for every grid index g in
 * [0, grid), in any order and on any worker; launches are separated by barriers. Buffers have a
 * scope:
 *
 *   PARAM   kernel argument (the te's IN, CONST, OUT buffers), in memory
 *   WORK    shared by all workers and launches of one run: the tmp buffers of root blocks
 *   SCRATCH per worker, contents undefined at the start of each grid index
 *   STACK   like SCRATCH but small (<= 16 KB in total): local arrays
 *   REG     per worker, vector registers: every access has a constant offset after unrolling and
 *           whole-element lanes (element = one vector of `lanes`; offsets are multiples of lanes)
 *   SHARED  of one group of work-items (below), undefined at the start of each grid index
 *
 * On GPUs a grid index is a group of `lanes` work-items: each runs the whole body with its own
 * value of lane_var in [0, lanes) and STACK and REG buffers of its own. They see each other's
 * stores to SHARED buffers only across a `barrier`, which all of them reach together. A launch of
 * one work-item is what CPUs run; only their generators print SCRATCH.
 *
 * Invariants (neo_nest_check): every access lies inside its buffer for all loop values (intervals);
 * types and lanes agree; REG accesses become constant once unrolled loops are; variables are
 * defined by an enclosing loop, let or grid; a PARAM of an IN or CONST is never stored to; a
 * barrier stands where control flow is the same for all work-items of a group. That work-items do
 * not race is not proven; neo_nest_interpret catches races for what is SHARED.
 *
 * A matrix instruction (`mma`, schedule/matrix.h) is a statement of one work-item, too: a tile in
 * its registers += a tile of rows of A times a tile of columns of B. After a place come its steps.
 *
 * Expressions are DAGs: equal nodes may be shared, above all after neo_nest_expand_math, so whoever
 * walks them must visit each node once.
 *
 * Text form, canonical, parse(print(n)) == n; one statement a line, two blanks per depth:
 *   nest 1
 *   b0 param f32 1024
 *   b1 param const f32 9216
 *   b2 param out f32 1024
 *   b3 work f32 4096 @0
 *   b4 scratch f32 128 @0
 *   b5 stack f32 64
 *   b6 reg f32 96 x16
 *   launch i0 12
 *     let i1 = floordiv(i0, 3)
 *       for i2 14
 *         for i3 6 unroll
 *           b6.x16[i3*16] = bcast.x16(f32:0)
 *         if lt(i2, 3)
 *           b2.x16a5[i2*16] = b6.x16[0]
 *         else
 *           prefetch b0[i2*16]
 *   launch i4 12 lanes i5 64
 *     barrier
 *     mma m16n8k16_f16 2x4 b6[0; 4, 1] += b3[i7*80; 40, 1] * b4[i8*160; 1, 40, 160]
 * The first line of a nest whose PARAMs begin anywhere: `nest 1 align 4`.
 * Element counts, offsets and lanes as in neo_nest_buffer. work_bytes, scratch_bytes and n_vars
 * follow from the rest. A lane-wise gather has no node of its own: lowering writes the lanes one by
 * one into a small STACK row and loads that row as a vector. */
#ifndef NEO_SCHEDULE_NEST_H
#define NEO_SCHEDULE_NEST_H

#include "ir/expr.h"

typedef enum neo_scope {
  NEO_SCOPE_PARAM,
  NEO_SCOPE_WORK,
  NEO_SCOPE_SCRATCH,
  NEO_SCOPE_STACK,
  NEO_SCOPE_REG,
  NEO_SCOPE_SHARED
} neo_scope;

typedef struct neo_nest_buffer {
  neo_scope scope;
  neo_dtype dtype;
  int64_t elements;
  int lanes;      /* REG: lanes of each element group; else 1 */
  bool writable;  /* PARAM: an OUT buffer */
  bool constant;  /* PARAM: a packed constant (CONST); its values never change between runs */
  int64_t offset; /* WORK, SCRATCH: byte offset in that area, 64-byte aligned, set by lowering */
} neo_nest_buffer;

typedef enum neo_stmt_kind {
  NEO_STMT_FOR,
  NEO_STMT_IF,
  NEO_STMT_STORE,
  NEO_STMT_PREFETCH,
  NEO_STMT_LET,
  NEO_STMT_BARRIER,
  NEO_STMT_MATRIX, /* of GPUs only */
} neo_stmt_kind;

typedef struct neo_stmt neo_stmt;
typedef struct neo_matrix_stmt neo_matrix_stmt; /* schedule/matrix.h */
struct neo_stmt {
  neo_stmt_kind kind;
  neo_stmt *next; /* in the same list */
  union {
    struct {
      int var;                /* runs 0 .. extent-1 */
      const neo_expr *extent; /* i64; constant when unrolled */
      bool unrolled;
      neo_stmt *body;
    } loop;
    struct {
      const neo_expr *cond; /* scalar bool */
      neo_stmt *then, *otherwise;
    } branch;
    struct {
      int buffer;
      const neo_expr *offset; /* elements */
      const neo_expr *value;  /* lanes contiguous elements */
      int active;             /* lanes stored; == lanes unless a masked tail */
    } store;
    struct {
      int buffer;
      const neo_expr *offset; /* clamped to the buffer */
    } prefetch;
    struct {
      int var;               /* has this value in body: loop variables decoded from a grid index */
      const neo_expr *value; /* scalar i64, no loads */
      neo_stmt *body;
    } let;
    const neo_matrix_stmt *matrix;
  } u;
};

typedef struct neo_launch {
  int64_t grid; /* >= 1 */
  int var;      /* the grid index */
  neo_stmt *body;
  int lanes;    /* work-items of a group, >= 1 */
  int lane_var; /* which of them this is; -1 where there is one */
} neo_launch;

#define NEO_NEST_MAX_BUFFERS 128
#define NEO_NEST_MAX_LANES 128
#define NEO_NEST_MAX_DEPTH 64 /* statements inside statements */
#define NEO_NEST_MAX_LAUNCHES 64
#define NEO_NEST_MAX_GROUP 1024        /* work-items */
#define NEO_NEST_MAX_SHARED (96 << 10) /* bytes of one launch */

typedef struct neo_nest {
  neo_arena *arena;
  int n_vars;   /* variables are 0..n_vars-1, each bound by one loop, let or grid */
  int n_params; /* buffers 0..n_params-1 are the PARAMs, in kernel argument order */
  int n_buffers;
  neo_nest_buffer buffer[NEO_NEST_MAX_BUFFERS];
  int n_launches;
  neo_launch launch[NEO_NEST_MAX_LAUNCHES];
  int align; /* bytes of which a multiple is where each PARAM begins; 0: as neo/abi.h says */
  int64_t work_bytes, scratch_bytes; /* areas the caller provides: per run, per worker */
  double fmas, flops, bytes; /* executed counts, from the loops: multiply-adds; all float ops;
                                bytes of PARAM and WORK buffers touched at least once */
} neo_nest;

neo_status neo_nest_check(neo_ctx *ctx, const neo_nest *nest);
void neo_nest_print(neo_buf *buf, const neo_nest *nest);
neo_status neo_nest_parse(neo_ctx *ctx, neo_arena *arena, const char *text,
                          neo_nest *out); /* checks, too */

/* Runs all launches serially on memory blocks, one per PARAM (bytes = elements * dtype size).
 * Checks every access at run time as well. fmas are rounded once, as the hardware does. */
neo_status neo_nest_interpret(neo_ctx *ctx, const neo_nest *nest, void *const *params);

/* Replaces exp, log, tanh, erf, pow, ... by polynomials over add, mul, fma, floor, select, casts
 * and bitcasts, so that kernels import nothing and all code generators agree. f32: <= 4 ulp on the
 * normal range; f64: <= 4 ulp. f16/bf16 go through f32. In place (new expressions in nest->arena).
 */
void neo_nest_expand_math(neo_nest *nest);

/* The nest with operations on f16 in f16 where that gives the same bits as f32 between casts: for
 * generators whose target computes with f16. New statements and expressions in `arena`; the nest
 * itself if it has no f16. */
const neo_nest *neo_nest_narrow_halves(neo_arena *arena, const neo_nest *nest);

/* Helpers for whoever builds nests; statements are chained through ->next. */
neo_stmt *neo_nest_for(neo_arena *arena, int var, const neo_expr *extent, bool unrolled,
                       neo_stmt *body);
neo_stmt *neo_nest_let(neo_arena *arena, int var, const neo_expr *value, neo_stmt *body);
neo_stmt *neo_nest_if(neo_arena *arena, const neo_expr *cond, neo_stmt *then, neo_stmt *otherwise);
neo_stmt *neo_nest_store(neo_arena *arena, int buffer, const neo_expr *offset,
                         const neo_expr *value, int active);
neo_stmt *neo_nest_prefetch(neo_arena *arena, int buffer, const neo_expr *offset);
neo_stmt *neo_nest_barrier(neo_arena *arena);
/* Has a launch groups of several work-items, or a SHARED buffer? Generators for CPUs refuse it. */
bool neo_nest_is_grouped(const neo_nest *nest);
/* May PARAM `out` be the same memory as PARAM `in`? True only if every element of `in` is read by
 * the one store that replaces it, and by nothing else. */
bool neo_nest_may_overwrite(const neo_nest *nest, int in, int out);
void neo_nest_count(neo_nest *nest); /* fills fmas, flops, bytes */
void neo_nest_areas(neo_nest *nest); /* fills work_bytes, scratch_bytes from the buffers */

#endif
