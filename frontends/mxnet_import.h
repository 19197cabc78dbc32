/* frontends/mxnet_import.h: what the files of the MXNet reader share.
 *
 * mxnet.c         symbol.json -> graph; which variables are inputs; names of outputs
 * mxnet_params.c  the .params file, of all three versions
 * mxnet_attr.c    attributes: Python text
 * mxnet_node.c    what converters use
 * mxnet_flow.c    control flow
 * mxnet_math.c, mxnet_layer.c, mxnet_move.c, mxnet_rnn.c, mxnet_box.c, mxnet_region.c   converters
 * mxnet_ops.def   one row per operator name (aliases have their own) */
#ifndef NEO_FRONTENDS_MXNET_IMPORT_H
#define NEO_FRONTENDS_MXNET_IMPORT_H

#include "frontends/emit.h"

#define MX_NONE INT64_MIN /* None among integers */

/* ---- mxnet_params.c ---- */
typedef struct mx_params {
  neo_mapping file; /* size 0: no .params found */
  neo_map tensors;  /* name without "arg:" or "aux:" -> neo_tensor */
} mx_params;

/* NAME-symbol.json -> the newest NAME-EPOCH.params beside it (or the only .params of the folder);
 * false if there is none. */
bool mx_params_find(neo_ctx *ctx, const char *symbol, char *out, size_t size);
/* Tensors point into the file or the arena. */
neo_status mx_params_read(neo_ctx *ctx, const char *path, neo_arena *arena, mx_params *out);

/* ---- mxnet.c ---- */
typedef struct mx_node {
  struct mx_import *im;
  const struct mx_row *row; /* NULL: a variable, or unknown */
  const char *op, *name;
  const json_t *attrs, *subgraphs; /* NULL: none */
  int n_inputs, n_outputs;
  int *input;
  int *output;
  bool poisoned; /* outputs are placeholders: something before it is not supported */
} mx_node;

typedef struct mx_import {
  neo_emitter e;
  mx_params params;
  int n;
  mx_node *node;
  uint8_t *use;     /* of variables: 1 only as a label, 2 otherwise */
  int *bound;       /* of variables of a body: what they stand for; NULL: no body */
  int depth;        /* of bodies */
  int64_t expanded; /* nodes of bodies so far */
  neo_status status;
} mx_import;

typedef void (*mx_convert_fn)(mx_node *node);
typedef struct mx_row {
  const char *name;
  mx_convert_fn convert;
  const char *op; /* what it makes; the converter knows */
} mx_row;

const mx_row *mx_row_find(const char *name);
/* Subgraph `which` of the node, written in place, with these values for its arguments; false: it
 * cannot be (said, or in im->status). */
bool mx_subgraph(mx_node *node, int which, int n, const int *args, int n_out, int *out);

/* ---- mxnet_attr.c: absent (or None): the default; anything else that does not parse is said ---- */
const char *mx_text(const mx_node *node, const char *name, const char *otherwise);
int64_t mx_int(mx_node *node, const char *name, int64_t otherwise);
double mx_float(mx_node *node, const char *name, double otherwise);
bool mx_bool(mx_node *node, const char *name, bool otherwise);
/* How many; -1 if absent or None. A single number counts as a list of one. */
int mx_ints(mx_node *node, const char *name, int64_t *out, int cap);
int mx_floats(mx_node *node, const char *name, double *out, int cap);
bool mx_is(const mx_node *node, const char *name, const char *value, bool otherwise);
/* NEO_DTYPE_COUNT: unknown name. */
neo_dtype mx_dtype(mx_node *node, const char *name, neo_dtype otherwise);
neo_dtype mx_dtype_flag(int64_t flag);

/* ---- mxnet_node.c ---- */
void mx_unsupported(mx_node *node, const char *format, ...) NEO_PRINTF(2, 3);
int mx_in(const mx_node *node, int k); /* NEO_NO_VALUE: absent */
void mx_set(mx_node *node, int k, int value);
neo_node *mx_emit(mx_node *node, const char *op, int n, const int *inputs);
int mx_one(mx_node *node, const char *op, int x);
int mx_two(mx_node *node, const char *op, int a, int b);
/* x from..to of an axis (negative: from the end). */
int mx_part(mx_node *node, int x, int64_t axis, int64_t from, int64_t to);
/* A scalar of the value's type. */
int mx_scalar(mx_node *node, int like, double v);
/* Shape of a value; NULL (and a line in the list) if it is not known. */
const neo_shape *mx_shape(mx_node *node, int value);
int mx_rank(mx_node *node, int value); /* -1 likewise */
/* An axis attribute within the rank; false: said. */
bool mx_axis(mx_node *node, int64_t axis, int rank, int *out);
int mx_transpose_to(mx_node *node, int value, int rank, int from, int to);

/* ---- mxnet_special.c ---- */
void mx_last_of_lengths(mx_node *node, int x, int lengths, int64_t axis);
void mx_reverse_of_lengths(mx_node *node, int x, int lengths);

#define X(name, convert, op) void convert(mx_node *node_);
#include "frontends/mxnet_ops.def"
#undef X

#endif
