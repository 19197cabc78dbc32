/* ir/te.h: tensor expressions: what a fused operator computes, with no layout, order or device.
 *
 * A te is a list of buffers and a list of blocks in execution order. A block runs over its axes
 * (spatial first, then reduce) and writes one buffer:
 *
 *   no reduce axes:  buffer[write(spatial)] = body
 *   reduce axes:     buffer[write(spatial)] = combine over the reduce axes of body, from init
 *
 * Invariants (neo_te_check):
 *   1. Indices are i64 and quasi-affine in the block's axes (floordiv, floormod by constants), plus
 * at most one indirect LOAD of an integer buffer per load.
 *   2. Every read is in bounds for all axis values, or guarded so that it is where the guards hold.
 *   3. A TMP buffer is written by exactly one block whose write map is the identity on its spatial
 *      axes. An OUT buffer is written by one or more blocks with affine injective write maps;
 * together they cover it exactly once. IN and CONST buffers are not written. A block reads only IN,
 * CONST, or buffers that earlier blocks wrote.
 *   4. The body's dtype is the written buffer's dtype. Casts are explicit.
 *   5. Extents are >= 1 and every buffer has at most 2^40 elements.
 *
 * Text, canonical (this text alone is hashed into the workload key):
 *   te 1
 *   b0 in f32 [1,64,56,56]
 *   b1 const f32 [64,64,3,3]
 *   b2 tmp f32 [1,64,56,56]
 *   b3 out f32 [1,64,56,56]
 *   B0 b2[i0, i1, i2, i3] s[1,64,56,56] r[64,3,3] add f32:0
 *     mul(b0[i0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<56, 0<=i3+i6-1<56 else 0], b1[i1, i4, i5, i6])
 *   B1 b3[i0, i1, i2, i3] s[1,64,56,56]
 *     max(b2[i0, i1, i2, i3], f32:0)
 * Buffers are numbered IN, CONST, TMP, OUT in that order, inside a role by first use
 * (canonicalise). */
#ifndef NEO_IR_TE_H
#define NEO_IR_TE_H

#include "ir/expr.h"

#define NEO_TE_MAX_AXES 16
#define NEO_TE_MAX_BUFFERS 64
#define NEO_TE_MAX_BLOCKS 64

typedef enum neo_te_role { NEO_TE_IN, NEO_TE_CONST, NEO_TE_TMP, NEO_TE_OUT } neo_te_role;

typedef struct neo_te_buffer {
  neo_te_role role;
  neo_dtype dtype;
  neo_shape shape;
} neo_te_buffer;

typedef enum neo_combine {
  NEO_COMBINE_NONE,
  NEO_COMBINE_ADD,
  NEO_COMBINE_MUL,
  NEO_COMBINE_MAX,
  NEO_COMBINE_MIN
} neo_combine;

typedef struct neo_te_block {
  int buffer;              /* written */
  int n_spatial, n_reduce; /* axes 0..n_spatial-1, then the reduce axes */
  int64_t extent[NEO_TE_MAX_AXES];
  const neo_expr *write[NEO_MAX_RANK]; /* one per dim of the buffer */
  const neo_expr *body;
  neo_combine combine; /* NONE iff n_reduce == 0 */
  neo_scalar init;
} neo_te_block;

typedef struct neo_te {
  neo_arena *arena; /* owns every expression */
  int n_buffers, n_blocks;
  neo_te_buffer buffer[NEO_TE_MAX_BUFFERS];
  neo_te_block block[NEO_TE_MAX_BLOCKS];
} neo_te;

/* Building. A te is a plain struct; it borrows the arena. */
void neo_te_init(neo_te *te, neo_arena *arena);
int neo_te_add_buffer(neo_te *te, neo_te_role role, neo_dtype dtype, const neo_shape *shape);
/* A block with identity write map over shape's dims and no reduction; fill in the rest. */
neo_te_block *neo_te_add_block(neo_te *te, int buffer);

neo_status neo_te_check(neo_ctx *ctx, const neo_te *te);
void neo_te_print(neo_buf *buf, const neo_te *te);
neo_status neo_te_parse(neo_ctx *ctx, neo_arena *arena, const char *text,
                        neo_te *out); /* checks, too */

/* Appends `consumer` to `te`: consumer's input buffer `in` becomes te's output buffer `out`, which
 * turns TMP unless options say keep; consumer's other buffers are added. If te's writing blocks of
 * `out` are not one block with an identity write map, the consumer's elementwise blocks are
 * re-expressed over those blocks' axes so that `out` can become a TMP (or several) with identity
 * maps; NEO_UNSUPPORTED (ctx and te untouched) if that is not possible. options may be NULL. */
typedef struct neo_te_append_options {
  bool keep; /* `out` stays an output */
  const int
      *shared; /* shared[k] >= 0: consumer's IN/CONST buffer k already is te's buffer shared[k] */
  int *buffer_map; /* receives consumer buffer -> te buffer; room for NEO_TE_MAX_BUFFERS */
} neo_te_append_options;

neo_status neo_te_append(neo_ctx *ctx, neo_te *te, int out, const neo_te *consumer, int in,
                         const neo_te_append_options *options);

/* Turns the output `buffer`, which later blocks of the te itself read, into a TMP, re-expressing
 * those blocks as neo_te_append does. Boundary buffers keep their numbers. NEO_UNSUPPORTED (ctx and
 * te untouched) if that is not possible. */
neo_status neo_te_hide(neo_ctx *ctx, neo_te *te, int buffer);

/* Canonical form: drops unit axes' variables (i -> 0) but keeps the axes, substitutes single-use
 * elementwise TMPs into their reader, renumbers buffers and blocks. order receives, for each buffer
 * of the result, its number before (may be NULL). */
neo_status neo_te_canonicalise(neo_ctx *ctx, neo_te *te, int *order);
/* Key of the canonical text: 32 hex digits. */
void neo_te_key(const neo_te *te, char out[33]);

/* Copy into another arena. */
void neo_te_copy(neo_te *out, neo_arena *arena, const neo_te *te);
/* The same computation with every float accumulation in f64 and rounding only at the outputs (the
 * reference that candidates are compared with). */
neo_status neo_te_widen(neo_ctx *ctx, const neo_te *te, neo_arena *arena, neo_te *out);

/* Multiply-adds count 2; other float operations 1; comparisons, casts and index arithmetic 0. */
double neo_te_flops(const neo_te *te);
/* Bytes of all boundary buffers: the compulsory traffic. */
double neo_te_bytes(const neo_te *te);

/* The oracle: evaluates the te on row-major tensors, one per buffer (TMP entries are made and freed
 * inside). Slow and obvious. */
neo_status neo_te_interpret(neo_ctx *ctx, const neo_te *te, neo_tensor *const *buffers);

#endif
