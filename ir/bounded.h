/* ir/bounded.h: nodes that read values of bounded extent, or make them of extents known at run time
 * only, written as others that may. Private to ir/. */
#ifndef NEO_IR_BOUNDED_H
#define NEO_IR_BOUNDED_H

#include "ir/expand.h"
#include "ir/extents.h"

/* Before node `id`, whose inputs have types, is inferred: *done if other nodes, inferred, have
 * taken its place, and then the graph needs neo_edit_sort. out: what its outputs became; may be
 * NULL. */
neo_status neo_bounded_rewrite(neo_ctx *ctx, neo_graph *graph, int id, int depth, bool *done);

/* An open `if` that has to do with bounded values, and whose branches may both be computed. */
bool neo_bounded_is_choice(const neo_graph *graph, const neo_node *node);
/* yes if the condition of node `id`, an `if`, is true, else no: values of one type but for one
 * extent, along which the result is bounded. */
neo_status neo_bounded_choose(neo_ctx *ctx, neo_graph *graph, int id, int yes, int no, int *out);

/* ---- what rules are written with ------------------------------------------------------------- */

/* A rule sets x->out, or leaves it alone if the node can stay as it is. */
typedef neo_status neo_bounded_rule(neo_expander *x);

bool neo_bd_is(const neo_expander *x, int v);  /* bounded? */
int neo_bd_axis(const neo_expander *x, int v); /* along which dimension, or -1 */
neo_extent neo_bd_count(const neo_expander *x, int v);
/* All of a value, nobody says how much is real. */
int neo_bd_raw(neo_expander *x, int v);
/* All of it, with `value` behind the real part. */
int neo_bd_fill(neo_expander *x, int v, double value);
/* The first `count` of an unbounded v along the axis: at most count.hi of them are kept. */
int neo_bd_cut(neo_expander *x, int v, int axis, neo_extent count);
/* The extent as i64 []. */
int neo_bd_scalar(neo_expander *x, neo_extent e);
neo_extent neo_bd_extent(const neo_expander *x, int v, int64_t i);
/* a op b, simplified where it can be. */
neo_extent neo_bd_min(neo_expander *x, neo_extent a, neo_extent b);
neo_extent neo_bd_max(neo_expander *x, neo_extent a, neo_extent b);
neo_extent neo_bd_add(neo_expander *x, neo_extent a, neo_extent b);
neo_extent neo_bd_sub(neo_expander *x, neo_extent a, neo_extent b);
neo_extent neo_bd_scale(neo_expander *x, neo_extent a, int64_t by,
                        int64_t over); /* a * by / over */
/* The same node with other inputs, all outputs. */
void neo_bd_again(neo_expander *x, const char *op, int n, const int *in);
/* Bounded values among v become bounded by one count and of one extent along axis[k] (-1: leave
 * it). False, and nothing done, if they are not surely alike. */
bool neo_bd_unify(neo_expander *x, int n, int *v, const int *axis);
/* 0, 1, .. n - 1, of not too many. */
int neo_bd_places(neo_expander *x, neo_dtype dtype, int64_t n);
int64_t neo_bd_elements(const neo_expander *x, int v);

/* Rules: bounded_shape.c, bounded_read.c */
neo_bounded_rule neo_bounded_shape, neo_bounded_size, neo_bounded_constant_of_shape,
    neo_bounded_expand, neo_bounded_reshape, neo_bounded_range, neo_bounded_slice;
neo_bounded_rule neo_bounded_nonzero, neo_bounded_reduce, neo_bounded_arg, neo_bounded_topk,
    neo_bounded_top_k, neo_bounded_nms, neo_bounded_concat, neo_bounded_gather,
    neo_bounded_scatter_rows, neo_bounded_elementwise, neo_bounded_softmax, neo_bounded_roi_align;

#endif
