/* ir/expand.h: operators that are written as other operators. Private to ir/.
 *
 * A row of expansions.def names an operator and a function that builds what it means out of simpler
 * ones. neo_pass_infer calls it as soon as the node's input types are known, so the function may
 * look at every shape, and at constants; what it builds is inferred (and folded, where all is
 * constant) node by node, so shapes of intermediate values are there to read, too.
 *
 * Errors stick: after the first failure every call returns NEO_NO_VALUE and does nothing, and
 * shapes read as scalars; the expansion fails with that error. */
#ifndef NEO_IR_EXPAND_H
#define NEO_IR_EXPAND_H

#include "ir/graph_edit.h"

#define NEO_XP_MAX_OUTPUTS 16
#define NEO_XP_MAX_INPUTS 32

typedef struct neo_expander {
  neo_ctx *ctx;
  neo_graph *graph;
  neo_node node; /* being expanded: a copy, since the graph's array moves */
  neo_status status;
  int serial;                  /* of the names of new nodes */
  int depth;                   /* of expansions inside expansions */
  int out[NEO_XP_MAX_OUTPUTS]; /* result: a value for each output that is used */
} neo_expander;

typedef neo_status (*neo_expand_fn)(neo_expander *x);

neo_expand_fn neo_expansion_find(const neo_op *op); /* NULL: not a row */
/* Replaces live node `id` by its expansion. The graph needs neo_edit_sort afterwards. */
neo_status neo_expand_node(neo_ctx *ctx, neo_graph *graph, int id, int depth);
/* The types of a node's outputs: those of its expansion, made for that purpose. For rows whose
 * expansion is small; others have an infer of their own. */
neo_status neo_infer_expanded(neo_ctx *ctx, neo_graph *graph, neo_node *node);
/* Evaluates a node by its expansion, in a graph of its own; out as of neo_node_eval. */
neo_status neo_expand_eval(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                           neo_tensor *const *in, neo_tensor *out);

/* ---- what expansions are written with -------------------------------------------------------- */

/* neo_op_fail for the expanded node. */
neo_status neo_xp_fail(neo_expander *x, neo_status status, const char *format, ...)
    NEO_PRINTF(3, 4);

int neo_xp_in(const neo_expander *x, int k);     /* NEO_NO_VALUE if absent */
bool neo_xp_wants(const neo_expander *x, int k); /* does anybody read output k? */
neo_shape neo_xp_shape(const neo_expander *x, int v);
int neo_xp_rank(const neo_expander *x, int v);
int64_t neo_xp_dim(const neo_expander *x, int v, int d); /* d < 0: from the end */
neo_dtype neo_xp_dtype(const neo_expander *x, int v);
const neo_tensor *neo_xp_tensor(const neo_expander *x, int v); /* NULL: not a constant */

typedef struct neo_xp_call {
  const char *op;
  int n_inputs;
  const int *input;
  int n_outputs;
  const neo_attr *attr; /* up to name NULL; or NULL */
} neo_xp_call;
#define NEO_XP_INT(k, v)                                                                           \
  { .name = (k), .kind = NEO_ATTR_INT, .i = (v) }
#define NEO_XP_FLOAT(k, v)                                                                         \
  { .name = (k), .kind = NEO_ATTR_FLOAT, .f = (v) }
#define NEO_XP_STRING(k, v)                                                                        \
  { .name = (k), .kind = NEO_ATTR_STRING, .s = (v) }
#define NEO_XP_INTS(k, count, v)                                                                   \
  { .name = (k), .kind = NEO_ATTR_INTS, .n = (count), .ints = (v) }
#define NEO_XP_ATTRS(...) ((const neo_attr[]){__VA_ARGS__, {0}})

void neo_xp_emit(neo_expander *x, const neo_xp_call *call, int *out);
/* One output. */
int neo_xp_op(neo_expander *x, const char *op, int n, const int *in, const neo_attr *attr);
int neo_xp_1(neo_expander *x, const char *op, int a);
int neo_xp_2(neo_expander *x, const char *op, int a, int b);
int neo_xp_3(neo_expander *x, const char *op, int a, int b, int c);
int neo_xp_c(neo_expander *x, const char *op, int a, double b); /* a op constant of a's type */
int neo_xp_scalar(neo_expander *x, neo_dtype dtype, double v);
int neo_xp_ints(neo_expander *x, int n, const int64_t *v);
/* A zeroed constant and its tensor, to be filled in; *out NULL on failure. */
int neo_xp_constant(neo_expander *x, neo_dtype dtype, const neo_shape *shape, neo_tensor **out);
/* 0, 1, .. n - 1 as i64 (or what dtype says), of shape [n]. */
int neo_xp_iota(neo_expander *x, neo_dtype dtype, int64_t n);
int neo_xp_cast(neo_expander *x, int v, neo_dtype dtype);
int neo_xp_reshape(neo_expander *x, int v, int rank, const int64_t *dims);
int neo_xp_reshape_to(neo_expander *x, int v, const neo_shape *shape);
int neo_xp_expand(neo_expander *x, int v, const neo_shape *shape);
int neo_xp_transpose(neo_expander *x, int v, int rank, const int64_t *perm);
int neo_xp_slice(neo_expander *x, int v, int axis, int64_t from, int64_t to);
/* Element `at` of an axis, the axis dropped. */
int neo_xp_at(neo_expander *x, int v, int axis, int64_t at);
int neo_xp_concat(neo_expander *x, int axis, int n, const int *v); /* any n >= 1 */
int neo_xp_reduce(neo_expander *x, const char *op, int v, int64_t axis, bool keepdims);
int neo_xp_gather(neo_expander *x, int v, int indices, int64_t axis);
/* Adds a dimension of 1 at `axis` of the result. */
int neo_xp_unsqueeze(neo_expander *x, int v, int axis);

#endif
