/* frontends/keras.h: what the files of the Keras reader share.
 *
 * keras.c            recognising files; names of inputs and outputs
 * keras_model.c      Functional and Sequential: layers called in order, nested models
 * keras_h5.c         HDF5 of the form that Keras writes; keras_hdf5.c  newer ones, through libhdf5
 * keras_weights.c    which weights a layer has, in both forms of the file
 * keras_layer.c      what converters use: configuration, weights, channels first and back
 * keras_layers_*.c   converters; keras_layers.def one row per class
 * keras_ops.c        functions of keras.ops called on tensors; keras_ops.def one row per function
 *
 * Values keep Keras' layout (channels last); converters of image layers transpose to ours and back,
 * and ir/pass_transpose.c removes what cancels. */
#ifndef NEO_FRONTENDS_KERAS_H
#define NEO_FRONTENDS_KERAS_H

#include "frontends/emit.h"

/* ---- HDF5 ------------------------------------------------------------------------------------------- */

typedef struct keras_h5 keras_h5;

/* The bytes of a file, which must outlive it; path is for messages. */
neo_status keras_h5_open(neo_ctx *ctx, const char *path, const uint8_t *data, size_t size,
                         keras_h5 **out);
void keras_h5_close(keras_h5 *file);
/* The file's bytes outlive this reader: weights that need no conversion may lie in them. */
void keras_h5_may_borrow(keras_h5 *file);
bool keras_h5_owns(const keras_h5 *file, const void *data); /* was this tensor's data borrowed? */
bool keras_h5_has_lent(const keras_h5 *file);               /* was any? */
bool keras_h5_exists(keras_h5 *file, const char *path);     /* group or dataset */
/* A string attribute of a group, at most `limit` bytes; NULL if it is not there or not a string. */
char *keras_h5_text(keras_h5 *file, neo_arena *arena, const char *group, const char *name,
                    size_t limit);
/* An attribute that is a list of strings; -1 if it is not there or is something else. */
int keras_h5_texts(keras_h5 *file, neo_arena *arena, const char *group, const char *name,
                   const char ***out);
/* Names in a group, sorted; -1 if there is none. */
int keras_h5_members(keras_h5 *file, neo_arena *arena, const char *group, const char ***out);
/* A dataset of floats as f32 (heap tensor), at most `limit` bytes. */
neo_status keras_h5_read(neo_ctx *ctx, keras_h5 *file, const char *path, int64_t limit,
                         neo_tensor *out);

/* ---- the import --------------------------------------------------------------------------------------- */

typedef struct keras_import {
  neo_ctx *ctx;
  neo_emitter *e;
  neo_arena *arena; /* the graph's */
  keras_h5 *file;
  bool v3; /* .keras: weights by layers/CLASS_N/vars; else model_weights/NAME with weight_names */
  int64_t bytes_left;
  int64_t copied;    /* bytes of weights since the file's pages were last let go */
  neo_map tensors;   /* dataset path -> neo_tensor */
  neo_map constants; /* what was made of it -> value id + 1 */
  int version;       /* of Keras: 1, 2, 3 */
  neo_status status; /* sticky */
  int n_calls;
} keras_import;

/* A value in Keras' layout. rank is always known. */
typedef struct keras_tensor {
  int value, rank;
  bool masked;     /* comes with a mask (Embedding with mask_zero, Masking) */
  int mask;        /* if so: bool [batch, steps] */
  neo_dtype dtype; /* NEO_F32 unless the file says something else */
} keras_tensor;

/* Datasets of a layer, in the order of its get_weights(). */
typedef struct keras_weights {
  int n;
  const char **path;
} keras_weights;

/* Where a (nested) model's weights are. */
typedef struct keras_place {
  const char *group;         /* v3: the model's group; h5: that of its top-level layer, or "" */
  const char *const *within; /* h5, nested: only these paths, by a component named like the layer */
  int n_within;
  bool named;    /* v3: names was filled */
  neo_map names; /* v3: layer name -> group, as far as the file says */
  neo_map used;  /* v3: class -> how many so far */
} keras_place;

#define KERAS_MAX_INPUTS 64
#define KERAS_MAX_DEPTH 16

/* One layer being called. */
typedef struct keras_call {
  keras_import *im;
  const char *name, *class_name;
  const json_t *config, *kwargs;
  const json_t *args; /* Keras 3: the positional arguments as written */
  bool function;      /* Keras 3: of keras.ops, not a layer */
  keras_weights weights;
  const char *group; /* v3: the layer's own group; h5: "" */
  int depth;
  int n_inputs;
  keras_tensor input[KERAS_MAX_INPUTS];
  const char *keyword[KERAS_MAX_INPUTS]; /* NULL: positional */
  int n_outputs;
  keras_tensor output[KERAS_MAX_INPUTS];
} keras_call;

typedef void (*keras_convert_fn)(keras_call *c);

typedef struct keras_row {
  const char *class_name;
  keras_convert_fn convert;
  const char *op; /* ours, for converters that serve several classes */
  /* v3: groups below the layer's that hold weights, in the order of get_weights(), joined by
   * blanks; NULL: "vars" */
  const char *parts;
} keras_row;

const keras_row *keras_row_find(const char *class_name);

/* ---- keras_model.c ---- */
/* Converts the call by its row; outputs are set (to something) even if that fails. */
void keras_convert(keras_call *c);
/* A function of keras.ops (c->function), and whether there is one of this name. */
void keras_convert_op(keras_call *c);
bool keras_op_known(const char *class_name);
/* The mask given as a keyword, else the one that came with the first input; NEO_NO_VALUE: none. */
int keras_mask(const keras_call *c);
/* A model as a layer: class_name is Functional, Model or Sequential. */
void keras_convert_model(keras_call *c);
bool keras_is_model(const char *class_name);
/* input k of the model; what the model calls it, dtype and shape. -1: there is no such input. */
typedef struct keras_input {
  const char *name, *dtype;
  neo_shape shape;
} keras_input;
int keras_model_inputs(keras_import *im, const char *class_name, const json_t *config,
                       keras_input *out, int cap);

/* ---- keras_weights.c ---- */
/* parts as in keras_row. */
void keras_find_weights(keras_import *im, keras_place *place, const char *name,
                        const char *class_name, const char *parts, keras_call *c);
/* A layer inside a wrapper: its own part of the wrapper's weights, [first, first + n). */
keras_call keras_inner_call(const keras_call *c, const char *key);

/* ---- keras_layer.c ---- */
/* Records the failure; returns a value that can stand anywhere. */
int keras_bad(keras_call *c, const char *format, ...) NEO_PRINTF(2, 3);
/* Puts it on the list of unsupported things; the outputs become the inputs. */
void keras_unsupported(keras_call *c, const char *format, ...) NEO_PRINTF(2, 3);
int64_t keras_int(const keras_call *c, const char *key, int64_t otherwise);
double keras_number(const keras_call *c, const char *key, double otherwise);
bool keras_bool(const keras_call *c, const char *key, bool otherwise);
const char *keras_text(const keras_call *c, const char *key, const char *otherwise);
/* n integers, or one for all of them; nested pairs are flattened; false: absent or something else.
 */
bool keras_ints(const keras_call *c, const char *key, int n, int64_t *out);
/* axis (a number or a list of one) of an input of this rank, from the front; -1: something else */
int keras_axis(const keras_call *c, const char *key, int64_t otherwise, int rank);

/* Weight k must have this rank. */
const neo_tensor *keras_weight(keras_call *c, int k, int rank);
int keras_constant(keras_call *c, int k, int rank);
/* Its dimensions in another order; then seen as `shape` if given. */
int keras_permuted(keras_call *c, int k, int rank, const int *perm, const neo_shape *shape);
int keras_floats(keras_call *c, const char *suffix, const neo_shape *shape, const float *v);

bool keras_channels_first(const keras_call *c);
/* [n, spatial..., c] -> [n, c, spatial...] unless the layer is channels_first; and back. */
int keras_to_channels(keras_call *c, int value, int rank);
int keras_from_channels(keras_call *c, int value, int rank);

void keras_out(keras_call *c, int value, int rank);
/* A node with this operator; attributes are the caller's. */
neo_node *keras_node(keras_call *c, const char *op, int n, const int *inputs, int outputs);
int keras_reshape(keras_call *c, int x, int n, const int64_t *shape); /* 0: as the input's */
/* The configuration's activation under this key applied to x. */
int keras_activate(keras_call *c, const char *key, int x, int rank);
int keras_activation(keras_call *c, const char *name, int x, int rank);
/* Of [n, c, spatial...] by scales or to sizes (NEO_NO_VALUE: not given), with a mode that
 * keras_resize_mode knows. */
int keras_resize(keras_call *c, int x, int scales, int sizes, const char *mode);
bool keras_resize_mode(const char *mode);
/* Keras 2 and 3 differ in what hard_sigmoid is. */
bool keras_is_3(const keras_call *c);

#define X(class_name, convert, op, parts) void convert(keras_call *c);
#include "frontends/keras_layers.def"
#undef X

#endif
