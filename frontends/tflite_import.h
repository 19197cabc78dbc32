/* frontends/tflite_import.h: what the files of the TFLite reader share.
 *
 * tflite.c         file -> subgraphs -> graph; tensors, constants, inputs and outputs
 * tflite_op.c      what converters use: inputs as stored or as real numbers, outputs, activations
 * tflite_math.c    elementwise, comparisons, reductions
 * tflite_conv.c    convolutions, pools, fully connected, matrix products, resizes
 * tflite_move.c    shapes and movement
 * tflite_quant.c   quantised tensors, sparse tensors
 * tflite_exact.c   integer kernels, bit by bit
 * tflite_rnn.c     fused recurrent operators
 * tflite_complex.c Fourier transforms and complex numbers
 * tflite_data.c    what has an extent by its data: suppression, unique, slices up to a count
 * tflite_flow.c    IF, WHILE, CALL_ONCE, variables
 * tflite_ops.def   one row per builtin operator
 *
 * Layout. TFLite is NHWC and so is every value here; converters of operators whose IR form is NCHW
 * put a transpose before and one after; ir/pass_transpose.c removes what cancels.
 *
 * Quantised tensors (int8, uint8, int16 with scales). A converter asks for an input as stored
 * (tfl_raw) where it only moves elements, or as real numbers (tfl_in), which dequantises; tfl_out
 * quantises again if the output tensor has scales. So every operator exists for every quantisation,
 * rounded where TFLite rounds: once at each tensor. */
#ifndef NEO_FRONTENDS_TFLITE_IMPORT_H
#define NEO_FRONTENDS_TFLITE_IMPORT_H

#include "frontends/emit.h"
#include "frontends/flatbuffer.h"
#include "frontends/tflite_schema.h"

#define TFL_MAX_OPERANDS                                                                           \
  64 /* read at once by converters; PACK and the like have their own arrays */

typedef struct tfl_tensor {
  const char *name;
  int type;        /* TFL_FLOAT32, ... */
  neo_dtype dtype; /* NEO_DTYPE_COUNT: a type that Neo lacks */
  neo_shape shape; /* as in the file; free dims -1 */
  neo_fb_vector data;
  bool constant, variable;
  neo_fb_vector scale, zero_point; /* scale.n > 0: quantised, per tensor or along axis */
  int axis;
  neo_fb_table sparsity;
  int value;                   /* as stored, NEO_NO_VALUE until known */
  int real;                    /* dequantised, NEO_NO_VALUE until asked for */
  struct tfl_variable *handle; /* of type resource: what it refers to */
} tfl_tensor;

/* A subgraph as it is being converted; a body of IF or WHILE is one too. */
typedef struct tfl_scope {
  int subgraph;
  neo_fb_vector tensors;
  tfl_tensor **tensor; /* read when first asked for */
  neo_fb_vector inputs, outputs, operators;
  struct tfl_scope *outer;
} tfl_scope;

/* A variable (VAR_HANDLE): its value so far; state is the graph input that holds it. */
typedef struct tfl_variable {
  const char *name;
  int state, value;
  neo_tensor initial; /* data NULL: none */
  neo_dtype dtype;
  neo_shape shape;
  bool assigned, read;
  struct tfl_variable *next;
} tfl_variable;

typedef struct tfl_import {
  neo_emitter e;
  neo_fb fb;
  neo_fb_vector codes, subgraphs, buffers;
  int depth, n_converted; /* nested subgraphs; operators converted in all, bodies repeated */
  tfl_scope *scope;
  neo_graph *main;
  int bodies;        /* of IF and WHILE around what is being read */
  bool initialising; /* in CALL_ONCE's subgraph */
  tfl_variable *variables;
  int64_t expanded; /* bytes of constants that had to be written out */
} tfl_import;

typedef struct tfl_op {
  tfl_import *im;
  const struct tfl_row *row;
  const char *custom;
  neo_fb_table table, options;
  neo_fb_vector inputs, outputs;
} tfl_op;

typedef void (*tfl_convert_fn)(tfl_op *op);

typedef struct tfl_row {
  int code;
  const char *name;
  tfl_convert_fn convert;
  const char *op; /* ours; NULL where the converter decides */
} tfl_row;

const tfl_row *tfl_row_find(int code);

/* ---- tflite.c ---- */
/* The element type; NEO_DTYPE_COUNT for strings and the like. */
neo_dtype tfl_dtype(int64_t type);
/* Converts all operators of a subgraph whose inputs have their values; sets im->scope meanwhile. */
bool tfl_open_scope(tfl_import *im, int64_t subgraph, tfl_scope *scope);
void tfl_convert_scope(tfl_import *im, tfl_scope *scope);
/* NULL: absent (index -1), or damaged. */
tfl_tensor *tfl_tensor_at(tfl_import *im, tfl_scope *scope, int64_t index);
/* The value of a tensor as stored: constants are added to the graph when first asked for. */
int tfl_value(tfl_import *im, tfl_tensor *tensor);
void tfl_broken(tfl_import *im, const char *format, ...) NEO_PRINTF(2, 3);
bool tfl_ok(const tfl_import *im);
/* Counts bytes that a constant takes beyond the file; false (and an error) above the limit. */
bool tfl_expand(tfl_import *im, int64_t bytes);

/* ---- tflite_op.c ---- */
void tfl_unsupported(tfl_op *op, const char *format, ...) NEO_PRINTF(2, 3);
tfl_tensor *tfl_input(tfl_op *op, int k); /* NULL: absent */
tfl_tensor *tfl_output(tfl_op *op, int k);
int tfl_raw(tfl_op *op, int k);
int tfl_in(tfl_op *op, int k);
bool tfl_quantised(const tfl_tensor *tensor);
bool tfl_same_scales(const tfl_tensor *a, const tfl_tensor *b);
/* The IR's value is output k, as stored; or as real numbers, quantised if the tensor is. */
void tfl_set_raw(tfl_op *op, int k, int value);
void tfl_set(tfl_op *op, int k, int value);
/* The same after the fused activation that this option names. */
void tfl_set_active(tfl_op *op, int k, int value, int option);
/* Rank of an input: known while reading, else as the file says. */
int tfl_rank(tfl_op *op, int k);
/* Dimension d of an input, -1 if free. */
int64_t tfl_dim(tfl_op *op, int k, int d);
/* Axis [-rank, rank) -> [0, rank); others are an error. */
int tfl_axis(tfl_op *op, int64_t axis, int rank);
/* Values of an input that is constant by now; else a line in the list and -1. */
int tfl_ints(tfl_op *op, int k, int64_t *out, int cap);
bool tfl_scalar(tfl_op *op, int k, double *out);
int64_t tfl_option(tfl_op *op, int field, neo_fb_type type, int64_t otherwise);
/* Nodes with one output; the attribute is set on it. */
neo_node *tfl_node(tfl_op *op, const char *name, int n, const int *inputs);
int tfl_to_nchw(tfl_op *op, int value, int rank);
int tfl_to_nhwc(tfl_op *op, int value, int rank);

/* ---- tflite_quant.c ---- */
int tfl_dequantise(tfl_import *im, const tfl_tensor *tensor, int value);
int tfl_quantise(tfl_import *im, const tfl_tensor *tensor, int value);
/* Writes a sparse constant out; false: damaged, or of a kind that Neo lacks (listed). */
bool tfl_densify(tfl_import *im, const tfl_tensor *tensor, neo_tensor *out);

/* ---- tflite_exact.c ---- */
/* Input k and output 0 are 8-bit, with one scale each. */
bool tfl_bytes(tfl_op *op, int k);
/* And so are the weights, input 1, constant, with output channels along `axis`, and the bias. */
bool tfl_integer_product(tfl_op *op, int axis);
/* Weights without their zero point: integers. */
int tfl_centred_weights(tfl_op *op);
/* An i32 sum of stored inputs times centred weights (borders: the input's zero point) -> what is
 * stored; the channel dimension is followed by `after` others; option names the fused activation.
 */
int tfl_finish_product(tfl_op *op, int sum, int axis, int after, int option);
int tfl_centred(tfl_op *op, int k); /* what is stored, its zero point taken off, as i32 */
/* TRANSPOSE_CONV (input 2, weights 1, bias 3) between bytes with symmetric constant weights; its
 * i32 sum [n, h, w, c] without bias
 * -> what is stored. */
bool tfl_integer_transposed(tfl_op *op);
void tfl_finish_transposed(tfl_op *op, int sum);
void tfl_requantise(tfl_op *op);
/* tfl_bytes holds for both inputs; a and b are what is stored, transposed as the operator says */
void tfl_integer_mul(tfl_op *op);
void tfl_integer_squared_difference(tfl_op *op);
void tfl_integer_matmul(tfl_op *op, int a, int b);
/* false: not of bytes, or of unknown extent */
bool tfl_integer_bilinear(tfl_op *op, bool align, bool half);
void tfl_integer_leaky_relu(tfl_op *op, double alpha);
bool tfl_integer_mean(tfl_op *op, int n_axes, const int64_t *axes, bool keep);
void tfl_store_average(tfl_op *op, int mean, int option);

/* ---- tflite_complex.c ---- */
/* By the row's converter, which knows real numbers only but for a few: on complex ones for each
 * part, or with a line in the list. */
void tfl_convert(tfl_op *op);
/* A complex value as its parts in a last dimension; others as they are. */
int tfl_parts_packed(tfl_import *im, int value);

/* ---- tflite_data.c ---- */
/* x up to the entry of `ends` that is not known; the others are -1, which is as far as x goes, or
 * not below that. If the entry turns out negative, x's extent plus `wrap` is added. false: not of
 * this form, nothing was made. */
bool tfl_cut(tfl_op *op, int ends, int64_t wrap, int *out);

/* ---- tflite_flow.c ---- */
/* Which variables the model assigns: those become inputs; and the outputs that hand them on. */
void tfl_find_states(tfl_import *im);
void tfl_add_states(tfl_import *im);

/* ---- converters ---- */
#define X(code, name, convert, op) void convert(tfl_op *op_);
#include "frontends/tflite_ops.def"
#undef X

#endif
