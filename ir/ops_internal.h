/* ir/ops_internal.h: shared by the ops_*.c files only: reading a node while inferring, building its
 * te while lowering. */
#ifndef NEO_IR_OPS_INTERNAL_H
#define NEO_IR_OPS_INTERNAL_H

#include "ir/expr_internal.h"
#include "ir/graph.h"

/* ---- inferring ----------------------------------------------------------------------------------- */

/* Where we are: the functions with many arguments take it as one. */
typedef struct neo_op_site {
  neo_ctx *ctx;
  const neo_graph *graph;
  const neo_node *node;
} neo_op_site;
#define NEO_SITE (&(neo_op_site){ctx, graph, node})

/* "node 'conv_12' (conv): " and the text. */
neo_status neo_op_fail(neo_ctx *ctx, const neo_node *node, neo_status status, const char *format,
                       ...) NEO_PRINTF(4, 5);
/* Input k, or NULL if absent. */
const neo_value *neo_op_in(const neo_graph *graph, const neo_node *node, int k);
/* Inputs that are present have a type and known, non-negative dims; their number is at least min.
 */
neo_status neo_op_check_inputs(neo_ctx *ctx, const neo_graph *graph, const neo_node *node);
/* As before, and inputs a and b have equal dtypes. */
neo_status neo_op_same_dtype(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int a,
                             int b);
/* The result's type of a conv or matmul: that of its inputs, which must agree, or, with to=i32, i32
 * of integers of any types. */
neo_status neo_op_contraction(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                              neo_dtype *out);
void neo_op_set(neo_graph *graph, const neo_node *node, int output, neo_dtype dtype,
                const neo_shape *shape);
/* axis in [-rank, rank) to [0, rank). */
neo_status neo_op_axis(neo_ctx *ctx, const neo_node *node, int64_t axis, int rank, int *out);
/* The integers of constant input k, else of the attribute; *n is -1 if both are absent. At most
 * cap. */
neo_status neo_op_ints(const neo_op_site *at, int k, const char *attr, int64_t *out, int cap,
                       int *n);
/* A constant scalar input as a double; *present false if the input is absent. */
neo_status neo_op_scalar(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int k,
                         bool *present, double *out);
/* The axes of input k or attribute `axes` as flags per dimension; all false and *given false if
 * absent. */
neo_status neo_op_axes(const neo_op_site *at, int k, int rank, bool *flag, bool *given);
/* Output 1 of an operator whose first output is bounded: the count; made if it is not there. */
void neo_op_add_count(neo_graph *graph, neo_node *node);
bool neo_op_is(const neo_node *node, const char *name);
bool neo_op_string_is(const neo_node *node, const char *attr, const char *otherwise,
                      const char *value);

/* ---- lowering ------------------------------------------------------------------------------------ */

typedef struct neo_lowering {
  neo_ctx *ctx;
  const neo_graph *graph;
  const neo_node *node;
  neo_te *te;
  neo_arena *arena;
  int *in_value;
} neo_lowering;

#define NEO_LOWERING(l)                                                                            \
  neo_lowering l = {.ctx = ctx,                                                                    \
                    .graph = graph,                                                                \
                    .node = node,                                                                  \
                    .te = te,                                                                      \
                    .arena = te->arena,                                                            \
                    .in_value = in_value}

/* A buffer for input k: CONST where the graph value is a constant, else IN. */
int neo_lower_input(neo_lowering *l, int k);
/* Input k, added by neo_lower_input as `buffer`, at these indices, in the type it is computed in
 * (f16 and bf16 as f32). */
const neo_expr *neo_lower_load(neo_lowering *l, int buffer, const neo_expr *const *index);
/* The same without that conversion. */
const neo_expr *neo_lower_raw_load(neo_lowering *l, int buffer, const neo_expr *const *index);
/* Input k broadcast (right-aligned) to these `rank` output indices; constants of one element become
 * literals and get no buffer. In the type it is computed in. */
const neo_expr *neo_lower_operand(neo_lowering *l, int k, int rank, const neo_expr *const *index);
/* A TMP buffer and the block that writes it; an OUT buffer for output k and its block. */
neo_te_block *neo_lower_tmp(neo_lowering *l, neo_dtype dtype, const neo_shape *shape);
neo_te_block *neo_lower_output(neo_lowering *l, int k);
/* An OUT buffer for output k without a block. */
int neo_lower_output_buffer(neo_lowering *l, int k);
/* The value of the TMP that `block` writes, at these indices. */
const neo_expr *neo_lower_read(neo_lowering *l, const neo_te_block *block,
                               const neo_expr *const *index);
/* The body, rounded to the written buffer's type. */
void neo_lower_body(neo_lowering *l, neo_te_block *block, const neo_expr *body);
/* Adds reduce axes; returns the variable number of the first. */
int neo_lower_reduce(neo_te_block *block, neo_combine combine, int n, const int64_t *extents);
void neo_lower_init(neo_lowering *l, neo_te_block *block, double init);

/* The type that values of dtype are computed in. */
neo_dtype neo_compute_dtype(neo_dtype dtype);
/* Smallest and largest value of a dtype (infinities for floats), as a double. */
double neo_dtype_lowest(neo_dtype dtype);
double neo_dtype_highest(neo_dtype dtype);

/* Narrow types (ir/ops_narrow.c): a code as a value that expressions compute with (f32, or the
 * integer), and a value as a code. round: 'u'p, 'd'own or 'n'earest, of f8e8m0 only. */
typedef struct neo_narrow_rounding {
  bool saturate;
  char round;
} neo_narrow_rounding;
neo_narrow_rounding neo_narrow_rounding_of(const neo_node *node); /* attributes of a cast */
const neo_expr *neo_narrow_from(neo_lowering *l, neo_dtype dtype, const neo_expr *code);
const neo_expr *neo_narrow_to(neo_lowering *l, neo_dtype dtype, neo_narrow_rounding how,
                              const neo_expr *v);
/* Both; types that are not narrow are left alone. */
const neo_expr *neo_narrow_cast(neo_lowering *l, neo_dtype from, neo_dtype to, const neo_expr *x);

/* Short names; the type of constants follows `like`. */
static inline const neo_expr *neo_x_const(neo_lowering *l, const neo_expr *like, double v) {
  return neo_expr_const_f(l->arena, like->dtype, v);
}
static inline const neo_expr *neo_x1(neo_lowering *l, neo_expr_op op, const neo_expr *a) {
  return neo_expr_unary(l->arena, op, a);
}
static inline const neo_expr *neo_x2(neo_lowering *l, neo_expr_op op, const neo_expr *a,
                                     const neo_expr *b) {
  return neo_expr_binary(l->arena, op, a, b);
}
/* a op constant */
static inline const neo_expr *neo_xc(neo_lowering *l, neo_expr_op op, const neo_expr *a, double b) {
  return neo_expr_binary(l->arena, op, a, neo_x_const(l, a, b));
}
static inline const neo_expr *neo_x_select(neo_lowering *l, const neo_expr *c, const neo_expr *a,
                                           const neo_expr *b) {
  return neo_expr_select(l->arena, c, a, b);
}
/* i64 index arithmetic */
static inline const neo_expr *neo_i_var(neo_lowering *l, int var) {
  return neo_expr_var(l->arena, var);
}
static inline const neo_expr *neo_i_const(neo_lowering *l, int64_t v) {
  return neo_expr_index(l->arena, v);
}
/* a * scale + b + offset; b may be NULL */
const neo_expr *neo_i_affine(neo_lowering *l, const neo_expr *a, int64_t scale, const neo_expr *b,
                             int64_t offset);

/* ---- windows: convolutions and pools --------------------------------------------------------------- */

typedef struct neo_window {
  int n; /* spatial dimensions */
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], end[3];
} neo_window;

/* in and kernel are set; reads strides, dilations, pads and auto_pad and sets the rest. */
neo_status neo_window_read(neo_ctx *ctx, const neo_node *node, neo_window *w, bool ceil_mode);
/* Strides, dilations and explicit pads only. */
neo_status neo_window_attributes(neo_ctx *ctx, const neo_node *node, neo_window *w);
/* Output position o, tap t -> input position, and whether it can leave the input. */
const neo_expr *neo_window_index(neo_lowering *l, const neo_window *w, int d, const neo_expr *o,
                                 const neo_expr *t, bool *guarded);

#endif
