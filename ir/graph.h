/* ir/graph.h: the framework-agnostic graph: values, nodes, operators, passes, and its partition
 * into fused operators (tasks), each one te.
 *
 * Values are numbered; a value is a graph input, a constant (tensor present) or a node's output.
 * Nodes are kept in topological order. Operators are rows of ir/ops.def; their names and attributes
 * are ours (snake_case; ONNX-like semantics at the newest opset), frontends translate into them.
 * Logical layout of images is NCHW, of 1-d and 3-d convolutions NCW and NCDHW; frontends transpose.
 *
 * Text, canonical, parse(print(g)) == g (constants over 16 elements print as sha256 unless asked):
 *   graph 1 "name"
 *   %0 input "x" f32 [?"batch",3,224,224]              free dims: ? and the symbolic name, if any
 *   %1 const "w" f32 [64,3,7,7] @sha256:...             or {1,2.5,...}
 *   %2 "y" f32 [1,64,112,112] = conv(%0, %1, _) {group=1, pads=[3,3,3,3], strides=[2,2]} "conv1"
 *   %3 "a" ? ?, %4 "b" ? ? = topk(%2, %1) {axis=-1} "t"   types not inferred yet; _ is an absent
 * input output %2 "prob" Attribute values: 3, 0.5 (floats always show a point, exponent or name),
 * "text", [1,2], [0.5,1.0],
 * [.] (no floats), f32 [2] {1,2}, graph "name" {the lines of that graph, two blanks deeper}.
 *
 * Control flow: the operators `if` and `loop` hold graphs as attributes (ir/ops.def has their
 * signatures). Such a graph is closed: what it needs from outside comes through its inputs. */
#ifndef NEO_IR_GRAPH_H
#define NEO_IR_GRAPH_H

#include "ir/te.h"

typedef enum neo_attr_kind {
  NEO_ATTR_INT,
  NEO_ATTR_FLOAT,
  NEO_ATTR_STRING,
  NEO_ATTR_INTS,
  NEO_ATTR_FLOATS,
  NEO_ATTR_TENSOR,
  NEO_ATTR_GRAPH
} neo_attr_kind;

#define NEO_MAX_GRAPH_DEPTH                                                                        \
  16 /* graphs within graphs: neo_graph_check and the parser refuse more */

typedef struct neo_attr {
  const char *name;
  neo_attr_kind kind;
  int64_t i;
  double f;
  const char *s;
  int n;
  const int64_t *ints;
  const double *floats;
  const neo_tensor *tensor;
  struct neo_graph *graph; /* owned by the graph whose node this is */
} neo_attr;

#define NEO_NO_VALUE (-1) /* an absent optional input */

typedef struct neo_value {
  const char *name;
  neo_dtype dtype;
  neo_shape shape;                    /* dims -1 until bound and inferred */
  const char *dim_name[NEO_MAX_RANK]; /* graph inputs: symbolic name of a free dim, or NULL */
  int node;                           /* producer, or -1 */
  int output;                         /* which output of it */
  neo_tensor *constant;               /* or NULL */
  bool is_input;
  int bounded; /* 1 + the dimension whose extent is an upper bound (ir/ops_bounded.c); 0: none */
  int count;   /* bounded: the value i64 [] that has the real extent */
} neo_value;

typedef struct neo_node {
  const struct neo_op *op;
  const char *name;
  int n_inputs, n_outputs, n_attrs;
  int *input; /* value ids; NEO_NO_VALUE allowed */
  int *output;
  neo_attr *attr; /* sorted by name; defaults filled in by the frontend or absent */
  bool dead;
  int region; /* of a flattened graph: see neo_graph_flatten; else 0 */
} neo_node;

/* What folding may still spend on a graph and the graphs inside it, together. */
typedef struct neo_fold_budget {
  int64_t bytes; /* of constants that it makes; readers: --max-model-bytes; default 8 GB */
  int64_t work;  /* elements that are computed one by one */
} neo_fold_budget;

typedef struct neo_graph {
  neo_arena *arena; /* owns everything but constants' data that is mmapped (see keep) */
  const char *name;
  int n_values, cap_values;
  neo_value *value;
  int n_nodes, cap_nodes;
  neo_node *node;
  int n_inputs, cap_inputs;
  int *input;
  int n_outputs, cap_outputs;
  int *output;
  const char **output_name; /* names the user sees; a value may be output twice */
  int n_regions;            /* flattened: besides the graph's own */
  int n_taken, cap_taken;   /* bindings that a reader used up (lengths of sequences): of no input */
  const char **taken;
  void (*keep_release)(void *keep); /* frontends: the mapped file that constants point into */
  void (*keep_idle)(void *keep);    /* it will not be read for long; NULL: nothing to do */
  void *keep;
  neo_fold_budget *budget; /* the outermost graph's own; a clone's is its original's */
} neo_graph;

neo_status neo_graph_create(neo_ctx *ctx, const char *name, neo_graph **out);
void neo_graph_destroy(neo_graph *graph);
int neo_graph_add_value(neo_graph *graph, const char *name, neo_dtype dtype,
                        const neo_shape *shape);
int neo_graph_add_input(neo_graph *graph, const char *name, neo_dtype dtype,
                        const neo_shape *shape);
/* Borrows tensor->data (the graph's arena or keep must own it). */
int neo_graph_add_constant(neo_graph *graph, const char *name, const neo_tensor *tensor);
/* The graph owns this neo_aligned_alloc block (data of a heap tensor) from now on and frees it with
 * itself. NULL is fine. */
void neo_graph_adopt(neo_graph *graph, void *data);
/* Frees it now: adopted, and used by no constant. */
void neo_graph_disown(neo_graph *graph, void *data);
/* Frees adopted data that nothing uses any more (passes leave the constants that they replaced), in
 * a graph without others inside; their values are no constants from then on. */
void neo_graph_drop_unused(neo_graph *graph);
void neo_graph_add_taken(neo_graph *graph, const char *name);
void neo_graph_add_output(neo_graph *graph, int value, const char *name);
/* Appends a node; attributes are added after. NULL if op is not a row of ops.def. Outputs: fresh
 * values of unknown type (rank -1, dtype NEO_DTYPE_COUNT), named like the node. The pointer holds
 * until the next node is added. */
neo_node *neo_graph_add_node(neo_graph *graph, const char *op, const char *name, int n_inputs,
                             const int *inputs, int n_outputs);
void neo_node_set_int(neo_graph *graph, neo_node *node, const char *name, int64_t v);
void neo_node_set_float(neo_graph *graph, neo_node *node, const char *name, double v);
void neo_node_set_string(neo_graph *graph, neo_node *node, const char *name, const char *v);
void neo_node_set_ints(neo_graph *graph, neo_node *node, const char *name, int n, const int64_t *v);
void neo_node_set_floats(neo_graph *graph, neo_node *node, const char *name, int n,
                         const double *v);
/* Borrows tensor->data. */
void neo_node_set_tensor(neo_graph *graph, neo_node *node, const char *name,
                         const neo_tensor *tensor);
/* graph owns sub from now on, as long as itself, also if the attribute is replaced. */
void neo_node_set_graph(neo_graph *graph, neo_node *node, const char *name, neo_graph *sub);
neo_graph *neo_node_graph(const neo_node *node, const char *name); /* NULL if absent */
/* A copy that can be changed on its own. It shares names and tensor data with the original, which
 * must live as long. */
neo_status neo_graph_clone(neo_ctx *ctx, const neo_graph *graph, neo_graph **out);
const neo_attr *neo_node_attr(const neo_node *node, const char *name); /* NULL if absent */
int64_t neo_node_int(const neo_node *node, const char *name, int64_t otherwise);
double neo_node_float(const neo_node *node, const char *name, double otherwise);
const char *neo_node_string(const neo_node *node, const char *name, const char *otherwise);
/* Copies at most cap ints, returns how many the attribute has (0 if absent). */
int neo_node_ints(const neo_node *node, const char *name, int64_t *out, int cap);

neo_status neo_graph_check(neo_ctx *ctx,
                           const neo_graph *graph); /* topological, types present, ids valid */
void neo_graph_print(neo_buf *buf, const neo_graph *graph, bool all_constants);
neo_status neo_graph_parse(neo_ctx *ctx, const char *text, neo_graph **out);

/* ---- operators: one row each in ir/ops.def, one file per family in ir/ops_*.c ---------------- */

typedef struct neo_op neo_op;
struct neo_op {
  const char *name;
  int min_inputs, max_inputs; /* max -1: any */
  int min_outputs, max_outputs;
  /* Sets dtype and shape of every output from inputs (constants are readable: reshape's target).
   * Errors name the node, the operator and the offending value. */
  neo_status (*infer)(neo_ctx *ctx, neo_graph *graph, neo_node *node);
  /* The node as a te: buffer k < n_inputs of the *present* inputs in order (CONST where the graph
   * value is a constant, except scalars that are folded into the body), then TMP, then OUT, one per
   * output. A constant input that only determines shape or attributes has no buffer. in_value
   * receives, for each IN/CONST buffer, the graph value. NULL: opaque (a runtime op; see
   * `runtime`). */
  neo_status (*lower)(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, neo_te *te,
                      int *in_value);
  /* Evaluates on tensors (constant folding, oracle). NULL: through lower and neo_te_interpret. */
  neo_status (*eval)(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                     neo_tensor *const *in, neo_tensor *out);
  const char *runtime; /* opaque operators: row of runtime/runtime_ops.def, else NULL */
  char fuse; /* 'e' elementwise (may end a group), 'c' contraction or reduction that takes an
                epilogue, 'v' view (reshape and friends: no code), 'm' movement (each output element
                is one input element or a constant: an elementwise chain may start with it), 'o' own
                group */
};

const neo_op *neo_op_find(const char *name);
void neo_op_visit(void (*fn)(void *self, const neo_op *op), void *self);
/* Evaluates a node by eval or by its te; makes out tensors on the heap. */
neo_status neo_node_eval(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                         neo_tensor *const *in, neo_tensor *out);
/* The oracle for a whole graph: inputs in graph order -> outputs (heap tensors). */
neo_status neo_graph_interpret(neo_ctx *ctx, const neo_graph *graph, const neo_tensor *inputs,
                               neo_tensor *outputs);

/* ---- passes: plain calls in order in neo_graph_optimise; each may be called and dumped alone - */

/* `--input NAME=SHAPE[:DTYPE]` bindings; every free dim must end bound or it is one error listing
 * them all. */
typedef struct neo_binding {
  const char *name;
  neo_shape shape;
  bool has_dtype;
  neo_dtype dtype;
} neo_binding;

/* One live node, whose inputs' types are fully known: types of its outputs; small results of
 * constant inputs become constants, the node then dies. neo_pass_infer does this for all, in order.
 */
neo_status neo_node_infer(neo_ctx *ctx, neo_graph *graph, int node);
/* dequantize -> operator -> quantize as integer operators; needs no types. */
neo_status neo_pass_qdq(neo_ctx *ctx, neo_graph *graph);
neo_status neo_pass_bind(neo_ctx *ctx, neo_graph *graph, int n, const neo_binding *bindings);
neo_status
neo_pass_infer(neo_ctx *ctx,
               neo_graph *graph); /* shapes and dtypes of all values, folding what it needs */
/* The same, but a node that cannot be is told to `problem`, and the walk goes on: the types of what
 * depends on it stay unknown. Fails only where that is no help. */
neo_status neo_pass_infer_all(neo_ctx *ctx, neo_graph *graph,
                              void (*problem)(void *self, neo_status status, const char *text),
                              void *self);
neo_status neo_pass_fold(neo_ctx *ctx,
                         neo_graph *graph); /* constant folding (results over 256 MB are left) */
neo_status neo_pass_fold_norm(
    neo_ctx *ctx,
    neo_graph *graph); /* BN, and mul/add by per-channel constants, into conv/gemm weights */
neo_status neo_pass_scale(
    neo_ctx *ctx,
    neo_graph *graph); /* scalar factors of matrix products' operands move behind the products */
neo_status neo_pass_tree(neo_ctx *ctx,
                         neo_graph *graph); /* tree ensembles into the runtime's tables */
neo_status neo_pass_wide(neo_ctx *ctx,
                         neo_graph *graph); /* operators of very many inputs become trees */
neo_status neo_pass_cse(neo_ctx *ctx, neo_graph *graph);
neo_status neo_pass_dce(neo_ctx *ctx, neo_graph *graph);
neo_status neo_pass_simplify(neo_ctx *ctx,
                             neo_graph *graph); /* identities, pad into conv, reshape chains,
                                                   decomposed gelu/hardswish/layer norm patterns */
neo_status neo_pass_transpose(neo_ctx *ctx,
                              neo_graph *graph); /* transposes move through operators and cancel */
neo_status neo_graph_optimise(neo_ctx *ctx, neo_graph *graph);
/* Which values are bounded, and by what; refuses operators that cannot read them. */
neo_status neo_pass_bounds(neo_ctx *ctx, neo_graph *graph);
/* String constants are made of bytes when the model runs; nothing folds behind it. */
neo_status neo_pass_text(neo_ctx *ctx, neo_graph *graph);
neo_status neo_node_bounds(neo_ctx *ctx, neo_graph *graph, const neo_node *node);
/* Names of the passes in order, and one at a time, for `neo inspect --passes`. */
typedef struct neo_pass {
  const char *name;
  neo_status (*run)(neo_ctx *ctx, neo_graph *graph);
} neo_pass;
const neo_pass *neo_pass_list(int *n);
/* The pass on the graph and on the graphs inside its nodes. */
neo_status neo_pass_run(neo_ctx *ctx, const neo_pass *pass, neo_graph *graph);

/* For code generation: the nodes of all graphs inside nodes move into this graph, each into a
 * region of its own (node.region; 0 is the graph's own nodes; regions inside follow the ones around
 * them), and read captured values directly. After that only the partition may read the graph. Its
 * control-flow nodes are:
 *   if (cond, then's outputs, else's outputs) -> outputs       {else_region, then_region}
 *   loop (max_trips, cond, states at first, cond at the end, states at the end, rows)
 *     -> last states, stacked rows, i, states inside            {n_state, region} */
neo_status neo_graph_flatten(neo_ctx *ctx, neo_graph *graph);

/* ---- partition: the graph as fused operators ------------------------------------------------- */

/* One step of the model: a fused operator (te), an opaque runtime operator, a view (no code), or
 * control flow (a flattened if or loop). */
typedef enum neo_step_kind {
  NEO_STEP_TE,
  NEO_STEP_RUNTIME,
  NEO_STEP_VIEW,
  NEO_STEP_FLOW
} neo_step_kind;

typedef struct neo_group {
  neo_step_kind kind;
  int region; /* its nodes' */
  int n_nodes;
  int *node;  /* graph nodes covered, topological */
  int n_args; /* boundary values in te buffer order: IN, CONST, OUT (TE); inputs then outputs
                 (others) */
  int *arg;
  int n_inputs, n_consts, n_outputs;
  neo_te te;        /* canonical; TE only */
  char key[33];     /* workload key; TE only */
  const char *name; /* the anchor's node name */
  const char *op;   /* the anchor's operator */
} neo_group;

typedef struct neo_partition {
  neo_arena *arena;
  const neo_graph *graph;
  int n_groups;
  neo_group *group; /* execution order within each region */
} neo_partition;

/* Fuses: every contraction or reduction takes the elementwise chain that follows it (including
 * residual adds whose other operand is computed before), elementwise operators join their producers
 * or one another, views vanish. Optimised graph needed (all shapes known). */
neo_status neo_graph_partition(neo_ctx *ctx, const neo_graph *graph, neo_arena *arena,
                               neo_partition *out);
void neo_partition_print(neo_buf *buf, const neo_partition *partition);

/* ---- memory planning ------------------------------------------------------------------------- */

/* A buffer to place: live from step `first` to step `last` inclusive. */
typedef struct neo_lifetime {
  int64_t bytes;
  int first, last;
  int64_t offset; /* result, 64-byte aligned */
} neo_lifetime;

/* Greedy by size, best fit over the offsets that do not collide in time. Returns arena bytes. */
int64_t neo_plan_memory(neo_lifetime *item, int n);

#endif
