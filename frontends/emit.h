/* frontends/emit.h: what readers build graphs with: the list of everything unsupported, inputs with
 * the user's bindings applied, constants, nodes, and types known while reading.
 *
 * A reader keeps one neo_emitter. Nodes get `scope` as their name (the framework's own node name,
 * set before converting each of its nodes), so that later errors name what the user knows. Values
 * are ids of the graph. Nothing here fails but neo_emit_infer and neo_unsupported_end: memory of
 * the arena is unlimited, and an operator that ir/ops.def lacks goes to the list. */
#ifndef NEO_FRONTENDS_EMIT_H
#define NEO_FRONTENDS_EMIT_H

#include "frontends/readers.h"

/* One line for each thing that stands in the way of a model. */
typedef struct neo_unsupported {
  neo_buf text;
  int n;
} neo_unsupported;

void neo_unsupported_add(neo_unsupported *list, const char *format, ...) NEO_PRINTF(2, 3);
/* NEO_OK if the list is empty or the source's options take it, else NEO_UNSUPPORTED with all of it;
 * a list too long for the message is logged line by line. */
neo_status neo_unsupported_end(neo_ctx *ctx, const neo_source *source, const neo_unsupported *list);
void neo_unsupported_fini(neo_unsupported *list);

/* A value that stands for a complex tensor (complex.h). */
typedef struct neo_emit_pair {
  int value, re, im;
} neo_emit_pair;

typedef struct neo_emitter {
  neo_ctx *ctx;
  const neo_source *source;
  neo_graph *graph;
  const char *scope; /* name of the nodes and constants made next */
  neo_unsupported unsupported;
  int inferred;      /* nodes [0, inferred) were looked at by neo_emit_infer */
  neo_status failed; /* of inference; sticky */
  int n_pairs, cap_pairs;
  neo_emit_pair *pair; /* by value */
} neo_emitter;

/* Creates the graph. On failure of the reader neo_emitter_drop destroys it; neo_emitter_end gives
 * it out, or the one error with everything unsupported, or what neo_graph_check or inference found.
 */
neo_status neo_emitter_init(neo_emitter *e, neo_ctx *ctx, const neo_source *source,
                            const char *name);
neo_status neo_emitter_end(neo_emitter *e, neo_graph **out);
void neo_emitter_drop(neo_emitter *e);

/* Adds "node 'SCOPE' (OP): ..." to the list. */
void neo_emit_unsupported(neo_emitter *e, const char *op, const char *format, ...) NEO_PRINTF(3, 4);

/* A graph input; a binding of that name replaces shape (and dtype). shape->rank -1: unknown. */
int neo_emit_input(neo_emitter *e, const char *name, neo_dtype dtype, const neo_shape *shape);

/* ---- constants: data is copied to the graph's arena, but for neo_emit_tensor, which borrows ---- */
int neo_emit_tensor(neo_emitter *e, const char *name, const neo_tensor *tensor);
int neo_emit_ints(neo_emitter *e, int n, const int64_t *v);     /* i64 [n] */
int neo_emit_int(neo_emitter *e, int64_t v);                    /* i64 [] */
int neo_emit_floats(neo_emitter *e, int n, const double *v);    /* f32 [n] */
int neo_emit_scalar(neo_emitter *e, neo_dtype dtype, double v); /* [] */

/* ---- nodes -------------------------------------------------------------------------------------- */
/* Trailing absent inputs are dropped. The pointer holds until the next node; never NULL: an
 * operator that ops.def lacks is put into the list and stands as an identity or constant
 * placeholder. */
neo_node *neo_emit_node(neo_emitter *e, const char *op, int n_inputs, const int *inputs,
                        int n_outputs);
/* The one output of a node without attributes. */
int neo_emit_unary(neo_emitter *e, const char *op, int x);
int neo_emit_binary(neo_emitter *e, const char *op, int a, int b);
int neo_emit_transpose(neo_emitter *e, int x, int n, const int64_t *perm);
int neo_emit_reshape(neo_emitter *e, int x, int n, const int64_t *shape); /* 0 is 0, -1 the rest */
int neo_emit_cast(neo_emitter *e, int x, neo_dtype dtype);

/* ---- types while reading ------------------------------------------------------------------------ */
/* Infers (and folds small constants of) all nodes made so far whose inputs are fully known. What
 * follows from an input with a free dimension stays unknown: rank -1. */
void neo_emit_infer(neo_emitter *e);
/* After neo_emit_infer: the shape, or NULL while it is unknown. A value's tensor, or NULL if it is
 * not (yet) constant. */
const neo_shape *neo_emit_shape(neo_emitter *e, int value);
int neo_emit_rank(neo_emitter *e, int value);        /* -1 unknown */
neo_dtype neo_emit_dtype(neo_emitter *e, int value); /* NEO_DTYPE_COUNT unknown */
const neo_tensor *neo_emit_const(neo_emitter *e, int value);

#endif
