/* frontends/onnx_import.h: what the files of the ONNX reader share.
 *
 * onnx.c       model -> graph: scopes, order of nodes, functions, If
 * onnx_wire.c  the walk over the file before protobuf-c
 * onnx_flow.c  If, Loop, Scan
 * onnx_sequence.c sequences and optionals
 * onnx_tensor.c tensor data: raw, typed, external
 * onnx_node.c  what converters use: attributes, constants, emitting nodes, the unsupported list
 * onnx_conv_*.c converters; onnx_ops.def one row per (operator, opset range) */
#ifndef NEO_FRONTENDS_ONNX_IMPORT_H
#define NEO_FRONTENDS_ONNX_IMPORT_H

#include "frontends/emit.h"
#include "frontends/onnx_packed.h"
#include "frontends/readers.h"
#include "onnx.pb-c.h"

#define ONNX_MIN_OPSET 1
#define ONNX_MAX_OPSET 28

/* Mapped files that constants point into; lives in the graph's arena, released by its keep. */
typedef struct onnx_files {
  neo_mapping model;
  int n, cap;
  struct onnx_external {
    char *path; /* as resolved */
    neo_mapping file;
  } * external;
} onnx_files;

/* Names visible to a list of nodes: the main graph, an If branch or a body (sees `outer`), a
 * function body. A scope whose graph is not its outer one's is closed: an outer value becomes an
 * input of its graph when a name first reaches it, and is listed in capture. */
typedef struct onnx_scope {
  neo_map names; /* value name -> id + 1 */
  struct onnx_scope *outer;
  neo_graph *graph;
  int n_captures, cap_captures;
  int *capture;           /* ids in outer->graph, of the inputs behind the formal ones */
  struct onnx_node *call; /* function body: the calling node, whose attributes refs mean */
  const Onnx__Function *function;
  const char *prefix; /* of node and value names */
  int depth;
  int inferred; /* e.inferred of its graph while a closed scope inside is read */
  size_t n_opsets;
  Onnx__OperatorSetId **opsets;
} onnx_scope;

/* A sequence while reading, or an optional that holds nothing. Where ids of values are kept
 * (scopes, inputs and outputs of nodes), ONNX_FIRST_LIST - k names list k. Only rows of
 * onnx_ops.def whose operator column is "*" are given lists. */
#define ONNX_FIRST_LIST (-16)
typedef struct onnx_list {
  bool none;
  int n;
  int *value;
} onnx_list;

static inline bool onnx_is_list(int value) {
  return value <= ONNX_FIRST_LIST;
}

typedef struct onnx_import {
  neo_emitter e; /* nodes go to e.graph: the model's, or that of an If branch or a body */
  const char *path;
  const Onnx__Model *model;
  neo_graph *main;
  onnx_files *files;
  int n_inlined;
  int n_lists, cap_lists;
  onnx_list *list;
} onnx_import;

/* One node being converted. */
typedef struct onnx_node {
  onnx_scope *scope;
  const Onnx__Node *pb;
  const struct onnx_row *row;
  const char *name; /* its own, or made from its first output or operator */
  int opset;
  int n_inputs, n_outputs; /* trailing absent ones are not counted */
  int *input;              /* NEO_NO_VALUE: absent */
  int *output;             /* NEO_NO_VALUE until bound */
  bool *used;              /* attribute k was read */
} onnx_node;

typedef neo_status (*onnx_convert_fn)(onnx_import *im, onnx_node *node);

typedef struct onnx_row {
  const char *name; /* "Conv", or "com.microsoft:Gelu" */
  int since, until; /* opsets [since, until); until 0: still valid */
  const char *op;   /* ours; NULL where the converter decides */
  onnx_convert_fn convert;
  /* Attributes that onnx_plain copies: "axis:i=-1 alpha:f mode:s pads:I scales:F from>to:i". Kinds:
   * i int, f float, s string (made lower case), t string as it is, I ints, F floats; a default is
   * set when the attribute is absent; `-` in front: accepted and ignored. */
  const char *attrs;
} onnx_row;

/* ---- onnx_wire.c ---- */
neo_status onnx_wire_strip(neo_ctx *ctx, const char *path, const uint8_t *data, size_t size,
                           const ProtobufCMessageDescriptor *type, neo_buf *out);

/* ---- onnx_tensor.c ---- */
/* NEO_UNSUPPORTED without a message for element types that Neo lacks: *type_name is set. */
neo_status onnx_dtype(int32_t data_type, neo_dtype *out, const char **type_name);
/* The tensor's data lies in a mapping or is adopted by the graph. `what` names it in errors. An
 * element type we lack goes to the unsupported list and *out is a scalar 0. */
neo_status onnx_tensor(onnx_import *im, const Onnx__Tensor *pb, const char *what, neo_tensor *out);
void onnx_files_release(void *files);
void onnx_files_idle(void *files);

/* ---- onnx_node.c: what converters use ---- */

/* Adds a line "node 'name' (Op, opset N): text" to the list. Returns NEO_OK: conversion goes on so
 * that the list becomes complete; unbound outputs become placeholders. */
neo_status onnx_unsupported(onnx_import *im, const onnx_node *node, const char *format, ...)
    NEO_PRINTF(3, 4);
neo_status onnx_bad(onnx_import *im, const onnx_node *node, const char *format, ...)
    NEO_PRINTF(3, 4);

/* Attribute by name, references of function bodies resolved, marked as read; NULL if absent. */
const Onnx__Attribute *onnx_attr(onnx_node *node, const char *name);
/* Typed access: the default stays in *inout if absent; a wrong type is NEO_BAD_INPUT. */
neo_status onnx_attr_int(onnx_import *im, onnx_node *node, const char *name, int64_t *inout);
neo_status onnx_attr_float(onnx_import *im, onnx_node *node, const char *name, double *inout);
neo_status onnx_attr_string(onnx_import *im, onnx_node *node, const char *name, const char **inout);
/* Arena copies; *n is -1 and *out NULL if absent. */
neo_status onnx_attr_ints(onnx_import *im, onnx_node *node, const char *name, int *n,
                          const int64_t **out);
neo_status onnx_attr_floats(onnx_import *im, onnx_node *node, const char *name, int *n,
                            const double **out);

/* What the user gave for this name by --input; NULL: nothing. */
const neo_binding *onnx_binding_of(const onnx_import *im, const char *name);

int onnx_input(const onnx_node *node, int k);             /* NEO_NO_VALUE if absent */
const neo_tensor *onnx_const(onnx_import *im, int value); /* NULL: not (yet) constant, or absent */
/* Constants made by converters; names follow the node's. */
int onnx_make_ints(onnx_import *im, onnx_node *node, const char *suffix, int n, const int64_t *v);
int onnx_make_floats(onnx_import *im, onnx_node *node, const char *suffix, int n, const double *v);
int onnx_make_scalar_like(onnx_import *im, onnx_node *node, const char *suffix, neo_dtype dtype,
                          double v);

/* Appends a node of ours; NULL (and a line in the list) if ir/ops.def has no such operator. The
 * pointer holds until the next emit. */
neo_node *onnx_emit(onnx_import *im, onnx_node *node, const char *op, int n_inputs,
                    const int *inputs, int n_outputs);
/* The ONNX node's output k is this value. */
void onnx_bind(onnx_import *im, onnx_node *node, int k, int value);
/* Emits row->op with these inputs and binds every output. */
neo_node *onnx_emit_row(onnx_import *im, onnx_node *node, int n_inputs, const int *inputs);
/* Copies the row's attributes to a node of ours. */
neo_status onnx_copy_attrs(onnx_import *im, onnx_node *node, neo_node *to);
/* Inputs and outputs as they are, attributes by the row: the converter of most rows. */
neo_status onnx_plain(onnx_import *im, onnx_node *node);

/* ---- onnx.c ---- */
/* Converts a subgraph's nodes in place of the node; its outputs are bound to the node's outputs. */
neo_status onnx_inline_graph(onnx_import *im, onnx_node *node, const Onnx__Graph *graph);
/* Makes `inner` a scope inside the node's, with a prefix of its own; counts n_nodes. */
neo_status onnx_scope_enter(onnx_import *im, onnx_node *node, onnx_scope *inner, size_t n_nodes);
neo_status onnx_scope_put(onnx_import *im, onnx_scope *scope, const char *name, int value);
/* NEO_NO_VALUE if the name is defined nowhere (or left out by a function's caller). */
int onnx_scope_find(onnx_import *im, onnx_scope *scope, const char *name);
/* The outer value as an input (or constant) of a closed scope's graph. */
int onnx_scope_capture(onnx_import *im, onnx_scope *scope, int outer);
/* A graph input, --input applied. */
neo_status onnx_tensor_input(onnx_import *im, const char *name, const Onnx__TensorType *type,
                             int *out);
/* Initializers and nodes of a subgraph, into e.graph. */
neo_status onnx_graph_nodes(onnx_import *im, onnx_scope *inner, const Onnx__Graph *graph);

/* ---- onnx_sequence.c ---- */
const onnx_list *onnx_list_of(const onnx_import *im, int value); /* NULL: not a list */
int onnx_list_make(onnx_import *im, int n, const int *value);
/* A list of an outer scope inside a closed one. */
int onnx_list_capture(onnx_import *im, onnx_scope *scope, int outer);
/* An input of the model that is no tensor. */
neo_status onnx_list_input(onnx_import *im, onnx_scope *scope, const char *name,
                           const Onnx__Type *type);
/* Its elements as outputs NAME.0 ... of e.graph; how many, -2: none of an optional. */
int onnx_list_outputs(onnx_import *im, int value, const char *name);
/* Does it take, or do nodes in it make, sequences or optionals? */
bool onnx_graph_has_lists(const Onnx__Graph *graph);
/* A body in place, once: its outputs' values for these inputs' (in and out may be one array). */
neo_status onnx_body_pass(onnx_import *im, onnx_node *node, const Onnx__Graph *pb, const int *in,
                          int *out);
/* A Loop, iteration by iteration; everything about its trips must be constant. */
neo_status onnx_unroll(onnx_import *im, onnx_node *node, const Onnx__Graph *pb);

/* ---- onnx_convert_nn.c ---- */
/* A recurrent layer of these inputs. */
neo_status onnx_recurrent_with(onnx_import *im, onnx_node *node, int n, const int *in);

/* ---- onnx_text.c ---- */
/* Constants of strings, [n] and []. The texts must live as long as the graph. */
int onnx_make_texts(onnx_import *im, onnx_node *node, const char *suffix, int n,
                    const char *const *text);
int onnx_make_text(onnx_import *im, onnx_node *node, const char *suffix, const char *text);
/* Cast from strings to a type, or from its input's to strings. */
void onnx_cast_text(onnx_import *im, onnx_node *node, neo_dtype to);
/* Arena copies; *n is -1 and *out NULL if absent. */
neo_status onnx_attr_texts(onnx_import *im, onnx_node *node, const char *name, int *n,
                           const char *const **out);

/* ---- onnx_random.c ---- */
neo_status onnx_dropout_training(onnx_import *im, onnx_node *node);
neo_status onnx_batch_norm_training(onnx_import *im, onnx_node *node);

/* ---- onnx_table.c ---- */
const onnx_row *onnx_row_find(const char *domain, const char *op_type, int opset);
bool onnx_row_any(const char *domain, const char *op_type); /* at some opset */

#endif
