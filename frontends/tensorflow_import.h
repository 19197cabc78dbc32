/* frontends/tensorflow_import.h: shared by the tensorflow*.c files only.
 *
 * tensorflow.c           the two entries: GraphDef files, SavedModel folders
 * tensorflow_graph.c     names, scopes, evaluation order, function calls
 * tensorflow_flow.c      calls, Switch and Merge, If
 * tensorflow_loop.c      While and loop frames; tensorflow_kept.c: those that stay loops
 * tensorflow_list.c      tensor lists and tensor arrays
 * tensorflow_table.c     lookup tables
 * tensorflow_tensor.c    TensorProto and bundle tensors as constants
 * tensorflow_node.c      attributes, inputs and outputs of one node; the table
 * tensorflow_convert*.c  the functions that rows of tensorflow_ops.def name
 *
 * The reader is an abstract interpreter: from the wanted outputs backwards it finds the nodes that
 * matter, and evaluates them in order to values of our graph. A call evaluates the function's body
 * in a scope of its own, so functions vanish; a loop evaluates its body once for each iteration as
 * long as its condition is a constant. */
#ifndef NEO_FRONTENDS_TENSORFLOW_IMPORT_H
#define NEO_FRONTENDS_TENSORFLOW_IMPORT_H

#include "frontends/emit.h"
#include "frontends/tensorflow_bundle.h"
#include "tensorflow.pb-c.h"

#define TF_MAX_DEPTH 48      /* calls within calls */
#define TF_MAX_NODES 1000000 /* evaluations of nodes: bounds recursive and looping files */

typedef enum tf_kind {
  TF_ABSENT,   /* not evaluated */
  TF_DEAD,     /* on the branch not taken */
  TF_BAD,      /* something on its way is unsupported */
  TF_TENSOR,   /* value `id` of the graph */
  TF_VARIABLE, /* handle of variable `id` */
  TF_LIST,     /* a tensor list, or a tensor array's flow */
  TF_TABLE,    /* lookup table: node `id` of the main graph */
  TF_OPAQUE    /* exists, but only matters to what is pruned: strings, handles */
} tf_kind;

/* A list of tensors. Immutable: a write makes a new one. */
typedef struct tf_list {
  int n;      /* items; -1: as many as `source` has rows */
  int *item;  /* values, NEO_NO_VALUE where none was written; NULL: rows of source */
  int source; /* a tensor whose rows are the items, or NEO_NO_VALUE */
  neo_dtype dtype;
  bool has_shape;
  neo_shape shape;            /* of an item, -1 where unknown */
  const struct tf_write *log; /* within the body of a kept loop */
  bool logged;
} tf_list;

typedef struct tf_write {
  int index, item; /* values */
  const struct tf_write *before;
} tf_write;

typedef struct tf_value {
  tf_kind kind;
  int id;
  const tf_list *list;
  int pred; /* TENSOR behind a Switch whose predicate is not constant: the predicate + 1 */
  bool side;
} tf_value;

/* A graph or a function's body, indexed once. */
typedef struct tf_graph {
  int n;
  Tf__Node **node;
  const Tf__FunctionDef *function; /* NULL: the main graph */
  neo_map index;                   /* name -> node + 1 */
  neo_map args;                    /* function: argument name -> place + 1 */
} tf_graph;

/* One activation: of the graph, of a function, of an iteration of a loop. */
typedef struct tf_scope {
  neo_arena arena;
  const tf_graph *graph;
  const tf_value *arg;
  int n_args, depth;
  tf_value **out; /* per node, NULL until evaluated */
  int *n_out;
} tf_scope;

/* A variable's tensor in the bundle; constants made of it, for the graph that is being built. */
typedef struct tf_variable {
  const char *name, *key;
  int generation, value; /* the constant made of it while that graph was built */
} tf_variable;

typedef struct tf_import {
  neo_ctx *ctx;
  const neo_source *source;
  neo_arena arena;
  neo_emitter *e; /* what is built now: the graph, or the body of a loop or branch */
  int generation, last_generation; /* number of what is built now, from 1; the last given */
  neo_mapping file;
  Tf__GraphDef *graphdef;
  tf_graph main;
  neo_map functions; /* name -> tf_graph, indexed at the first call */
  neo_map library;   /* name -> Tf__FunctionDef */
  tf_bundle *bundle;
  neo_map variable_index; /* node name -> place + 1 */
  int n_variables, cap_variables;
  tf_variable *variable;
  int64_t evaluated, expanded; /* nodes; bytes of constants made here */
  bool suffix;                 /* inputs are named NODE:0 */
} tf_import;

/* ---- tensorflow_graph.c ---- */
neo_status tf_graph_index(tf_import *im, tf_graph *g, size_t n, Tf__Node **node,
                          const Tf__FunctionDef *function);
void tf_graph_fini(tf_graph *g);
/* Where an input text points. */
typedef struct tf_ref {
  int node, output; /* node -1: argument `output` */
} tf_ref;
neo_status tf_resolve(tf_import *im, const tf_graph *g, const char *text, tf_ref *out);
void tf_scope_init(tf_scope *scope, const tf_graph *g, int depth);
void tf_scope_fini(tf_scope *scope);
/* The value of a reference; ABSENT if it names none. What is dead or bad is so in all outputs. */
tf_value tf_scope_value(const tf_scope *scope, const tf_ref *ref);
void tf_scope_bind(tf_scope *scope, int node, int output, tf_value value);
/* Evaluates what the texts name; out receives n values. */
neo_status tf_fetch(tf_import *im, tf_scope *scope, int n, const char *const *text, tf_value *out);
neo_status tf_function(tf_import *im, const char *name, const tf_graph **out); /* NULL: none */
/* What a function returns as its result k. */
neo_status tf_result_text(tf_import *im, const tf_graph *f, int k, const char **out);
/* Calls a function: all its results. */
neo_status tf_call(tf_import *im, const tf_graph *f, const tf_scope *from, int n_args,
                   const tf_value *arg, tf_value *out);

/* ---- tensorflow_node.c ---- */
typedef struct tf_node tf_node;
typedef neo_status (*tf_convert)(tf_import *im, tf_node *node);

typedef struct tf_row {
  const char *op;
  int inputs;          /* at least */
  const char *outputs; /* names of output arguments, if there are several */
  tf_convert convert;
  const char *arg; /* for convert */
  bool raw;        /* takes values other than tensors */
} tf_row;

struct tf_node {
  const Tf__Node *pb;
  const tf_row *row;
  tf_scope *scope;
  int index; /* in scope->graph */
  int n_inputs;
  tf_value *in;
  int n_outputs;
  tf_value *out;
};

const tf_row *tf_row_find(const char *op);
neo_status tf_node_convert(tf_import *im, tf_scope *scope, int index);

const Tf__Value *tf_attr(const tf_node *node, const char *name);
int64_t tf_int(const tf_node *node, const char *name, int64_t otherwise);
bool tf_bool(const tf_node *node, const char *name, bool otherwise);
double tf_float(const tf_node *node, const char *name, double otherwise);
bool tf_string_is(const tf_node *node, const char *name, const char *otherwise, const char *is);
int tf_ints(const tf_node *node, const char *name, int64_t *out,
            int cap); /* -1: absent, too many */
/* The element type of an attribute; NEO_DTYPE_COUNT if absent or not ours. */
neo_dtype tf_type(const tf_node *node, const char *name);

void tf_outputs(tf_import *im, tf_node *node, int n);
void tf_set(tf_node *node, int k, int value);
neo_status tf_set1(tf_node *node, int value); /* output 0; NEO_OK */
int tf_in(const tf_node *node, int k); /* graph value of input k, NEO_NO_VALUE if there is none */
const neo_tensor *tf_const(tf_import *im, const tf_node *node, int k);
/* The integers of a constant input; false adds a line to the list. */
bool tf_const_ints(tf_import *im, tf_node *node, int k, int64_t *out, int cap, int *n);
bool tf_const_int(tf_import *im, tf_node *node, int k, int64_t *out);
/* The rank of an input; -1, and a line in the list, if it is not known. */
int tf_rank(tf_import *im, tf_node *node, int k);
/* Adds a line and makes all outputs BAD; NEO_OK. */
neo_status tf_unsupported(tf_import *im, tf_node *node, const char *format, ...) NEO_PRINTF(3, 4);
/* The same for what is not known but may be with all inputs bound; no line if others are there:
 * nothing is known behind something unsupported. */
neo_status tf_unknown(tf_import *im, tf_node *node, const char *format, ...) NEO_PRINTF(3, 4);
neo_status tf_bad(tf_import *im, const tf_node *node, const char *format, ...) NEO_PRINTF(3, 4);

/* ---- tensorflow_tensor.c ---- */
bool tf_dtype(int number,
              neo_dtype *out); /* false: not a type of ours; references count as values */
const char *tf_dtype_name(int number);
neo_status tf_tensor(tf_import *im, const Tf__Tensor *pb, const char *what, neo_tensor *out);
neo_status tf_variable_read(tf_import *im, tf_node *node, int variable, int *out);
/* Shape of a TensorShapeProto: rank -1 if unknown, -1 free dims; false if it is not sound. */
bool tf_shape(const Tf__Shape *pb, neo_shape *out);

/* ---- tensorflow_loop.c ---- */
/* If the node leaves a loop frame: the texts that its evaluation needs first. */
bool tf_is_exit(const Tf__Node *pb);
int tf_exit_deps(tf_import *im, const tf_graph *g, int node, const char *const **out);

/* ---- tensorflow_list.c ---- */
/* The list as one tensor, its items stacked; false: a line in the list of what is unsupported. */
bool tf_list_stack(tf_import *im, tf_node *node, const tf_list *list, int *out);
tf_value tf_list_value(const tf_list *list);

#endif
