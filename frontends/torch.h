/* frontends/torch.h: what the readers of PyTorch files share: values known while reading, tensor
 * variables with in-place semantics, and the ATen operators (torch_ops.def).
 *
 * Reading is partial evaluation: a value is either known now (None, numbers, strings, lists,
 * modules) or a tensor of the graph being made. Shapes are known while reading as far as the
 * inputs' shapes are bound, so that shape arithmetic and the control flow on it vanish.
 *
 * Errors. A thing that cannot be converted adds a line to the emitter's list and yields POISON;
 * operators on poison yield poison without a further line, unless the operator itself is unknown.
 * Damaged files fail through torch_bad; `failed` is sticky. */
#ifndef NEO_FRONTENDS_TORCH_H
#define NEO_FRONTENDS_TORCH_H

#include "frontends/archive.h"
#include "frontends/emit.h"

typedef enum tv_kind {
  TV_NONE,
  TV_BOOL,
  TV_INT,
  TV_FLOAT,
  TV_STRING,
  TV_TENSOR,
  TV_LIST,
  TV_TUPLE,
  TV_DICT,   /* seq of key, value, key, value */
  TV_OBJECT, /* module or other class instance */
  TV_NAME,   /* a dotted name: function, class or operator, in s */
  TV_METHOD, /* object bound to the method s */
  TV_POISON
} tv_kind;

typedef struct torch_cell torch_cell;
typedef struct torch_seq torch_seq;
typedef struct torch_object torch_object;

typedef struct tv {
  tv_kind kind;
  int origin; /* k + 1: it is the number given as input k, for specialisation */
  int64_t i;  /* bool, int */
  double f;
  const char *s;
  torch_cell *cell;
  torch_seq *seq;
  torch_object *object;
} tv;

struct torch_seq {
  int n, cap;
  tv *item;
};

struct torch_object {
  const char *cls;
  int n, cap;
  const char **name;
  tv *value;
};

/* A graph being made: the model's, or a branch or body inside it (parent != NULL), whose uses of
 * outer values become captures. */
typedef struct torch_frame {
  struct torch_frame *parent;
  neo_emitter *emitter;
  int n_captures, cap_captures;
  int *outer, *inner;
} torch_frame;

/* How a view is made from its base; an in-place change of the view is written back to the base. */
typedef enum torch_view {
  VIEW_NONE,
  VIEW_SHAPE,   /* reshape */
  VIEW_PERMUTE, /* n, list = perm */
  VIEW_SLICE,   /* dim, start, length, step */
  VIEW_SELECT,  /* dim, start */
  VIEW_OPAQUE   /* changes through it cannot be written back */
} torch_view;

/* A tensor variable. Values of torch alias: two names of one tensor share the cell. */
struct torch_cell {
  torch_frame *frame; /* where `value` lives; NULL: not in any graph yet */
  int value;
  int version; /* counts in-place changes */
  struct torch_weight *weight;
  torch_cell *base;
  int seen; /* version of base when `value` was made */
  torch_view view;
  int64_t dim, start, length, step; /* step 0: 1 */
  neo_shape list;                   /* shape of VIEW_SHAPE, perm of VIEW_PERMUTE */
};

/* A tensor of the file: elements of a storage. */
typedef struct torch_weight {
  const char *name;
  neo_dtype dtype;
  neo_shape shape;
  int64_t stride[NEO_MAX_RANK];
  int64_t offset;      /* elements */
  const uint8_t *data; /* of the whole storage */
  uint64_t size;       /* bytes of it */
  void *dense;         /* a copy in order, once one was needed */
} torch_weight;

typedef struct torch {
  neo_ctx *ctx;
  const neo_source *source;
  const char *format; /* for messages */
  neo_archive *archive;
  neo_arena arena;
  neo_emitter emitter; /* of the model's graph; holds the list of what is unsupported */
  torch_frame top, *frame;
  neo_status failed;
  neo_map unknown; /* operators already listed */
  int64_t copied;  /* bytes of weights that could not be mapped */
  /* Files that do not say the inputs' element types: what their first uses want, by input, for
   * another run. */
  neo_dtype *wanted; /* NEO_DTYPE_COUNT: nothing known; NULL: the file says */
  int n_wanted;
  bool rerun;
} torch;

/* ---- life ------------------------------------------------------------------------------------ */

neo_status torch_init(torch *t, neo_ctx *ctx, const neo_source *source, const char *format);
/* Ends reading: the graph, or the first of failed, unsupported, inference, check. */
neo_status torch_finish(torch *t, neo_status status, neo_graph **out);

/* ---- values ---------------------------------------------------------------------------------- */

tv torch_none(void);
tv torch_bool(bool v);
tv torch_int(int64_t v);
tv torch_float(double v);
tv torch_string(const char *v);
tv torch_poison(void);
tv torch_seq_new(torch *t, tv_kind kind, int n, const tv *items);
void torch_seq_add(torch *t, torch_seq *seq, tv item);
torch_object *torch_object_new(torch *t, const char *cls);
void torch_object_set(torch *t, torch_object *object, const char *name, tv value);
const tv *torch_object_get(const torch_object *object, const char *name);
bool torch_is_number(const tv *v); /* bool, int or float */
double torch_number(const tv *v);  /* of one */
bool torch_is_seq(const tv *v);
const char *torch_kind_name(const tv *v);

tv torch_tensor(torch *t, int value); /* a fresh variable */
tv torch_weight_tensor(torch *t, struct torch_weight *weight);
/* The value's id in the current frame, captured, rebuilt from its base or made of the weight if
 * needed. Numbers become scalars (int i64, float f32, bool). NEO_NO_VALUE for None. */
int torch_id(torch *t, const tv *v);
/* In place: v now holds `value` (of the current frame), written through to the bases of views. */
void torch_assign(torch *t, const tv *v, int value);
tv torch_make_view(torch *t, const tv *base, int value, torch_cell how);

/* ---- types ------------------------------------------------------------------------------------- */

neo_dtype torch_dtype_of(torch *t, int id);
int torch_rank(torch *t, int id); /* -1 unknown */
/* The shape, all dims known; NULL: not known, and that was listed as in the way. */
const neo_shape *torch_shape(torch *t, int id);
const neo_shape *torch_shape_peek(torch *t, int id); /* NULL is no error */
const neo_tensor *torch_const(torch *t, int id);
bool torch_dtype(int64_t code, neo_dtype *out); /* of c10::ScalarType */
int64_t torch_dtype_code(neo_dtype dtype);
neo_dtype torch_promote(neo_dtype a, neo_dtype b);
int torch_cast(torch *t, int id, neo_dtype dtype); /* id itself if it has that type */
/* Element types of operands made one as torch does (numbers yield to tensors of their kind, tensors
 * without dimensions to those with); returns the type. */
neo_dtype torch_promote_all(torch *t, int n, const tv *v, int *ids);
/* The number that a tensor of one element is known to be. */
bool torch_known_number(torch *t, const tv *v, tv *out);

/* ---- errors -------------------------------------------------------------------------------------- */

tv torch_unsupported(torch *t, const char *op, const char *format, ...) NEO_PRINTF(3, 4);
void torch_bad(torch *t, neo_status status, const char *format, ...) NEO_PRINTF(3, 4);
bool torch_poisoned(const torch *t); /* something was unsupported */

/* ---- operators ------------------------------------------------------------------------------------- */

enum { TORCH_MAX_ARGS = 20 };

typedef struct torch_call torch_call;
typedef tv (*torch_fn)(torch *t, torch_call *call);

/* A row of torch_ops.def. Schema: "NAME:KIND[=DEFAULT] ...", kinds in torch_table.c. */
typedef struct torch_row {
  const char *name; /* of the ATen operator, without overload */
  const char *ours; /* operator of ir/ops.def, for functions that serve many rows */
  torch_fn fn;
  const char *schema;
} torch_row;

struct torch_call {
  const torch_row *row;
  const char *op; /* as the model calls it */
  int n_args;
  tv arg[TORCH_MAX_ARGS];
};

/* Calls an operator: n positional arguments and n_named named ones. In-place forms (NAME_) change
 * their first argument. Several results come as a tuple. `op` is the plain name: "conv2d", "nms".
 */
typedef struct torch_args {
  int n, n_named;
  const tv *arg;
  const char *const *name; /* of arg[n .. n + n_named) */
} torch_args;
bool torch_op_known(const char *op);
tv torch_call_op(torch *t, const char *op, const torch_args *args);

/* What is Python's and not ATen's: numbers, shapes, types. true if `op` with these arguments is
 * such. */
bool torch_python_op(torch *t, const char *op, const torch_args *args, tv *out);
/* torch_python_op, then torch_call_op. */
tv torch_apply(torch *t, const char *op, const torch_args *args);

/* For the functions of rows. */
/* Says that `id` must be of this type, if it is an input (or a view of one) whose type is a guess:
 * true, and the run is worth nothing, if the guess was wrong. */
bool torch_want(torch *t, int id, neo_dtype dtype);
/* The same for operands of one float type: x must be as the weight w is, and so must be all inputs
 * of a guessed type that it is made of. */
bool torch_want_like(torch *t, int x, int w);
int torch_arg(torch *t, torch_call *call, int i); /* torch_id of argument i */
int64_t torch_arg_int(torch_call *call, int i);
double torch_arg_float(torch_call *call, int i);
bool torch_arg_given(const torch_call *call, int i); /* not None */
/* Ints of argument i (an int counts as a list of one) into out; their number, at most cap; -1:
 * listed. */
int torch_arg_ints(torch *t, torch_call *call, int i, int64_t *out, int cap);
/* The same, one value standing for `want` of them. */
bool torch_arg_each(torch *t, torch_call *call, int i, int64_t *out, int want);
/* Dimension argument i as 0 .. rank-1; -1: listed. */
int torch_arg_dim(torch *t, torch_call *call, int i, int rank);
/* Argument i as a dtype; `otherwise` if None. */
neo_dtype torch_arg_dtype(torch *t, torch_call *call, int i, neo_dtype otherwise);

/* Emission shorthands in the current frame. */
neo_emitter *torch_emitter(torch *t);
int torch_unary(torch *t, const char *op, int x);
int torch_binary(torch *t, const char *op, int a, int b);
int torch_scalar(torch *t, neo_dtype dtype, double v);
int torch_scalar_like(torch *t, int like, double v);
int torch_reshape(torch *t, int x, int n, const int64_t *dims);
int torch_transpose(torch *t, int x, int n, const int64_t *perm);
int torch_expand(torch *t, int x, int n, const int64_t *dims);
int torch_slice_node(torch *t, int x, int dim, int64_t start, int64_t end, int64_t step);
int torch_concat(torch *t, int n, const int *ids, int dim);
int torch_reduce(torch *t, const char *op, int x, int n, const int64_t *axes, bool keep);
int torch_squeeze(torch *t, int x, int dim);
int torch_unsqueeze(torch *t, int x, int dim);
int torch_full(torch *t, int n, const int64_t *dims, neo_dtype dtype, double v);
tv torch_tuple_of(torch *t, int n, const int *ids);
bool torch_dim(torch *t, const char *op, int64_t dim, int rank, int *out);

/* ---- torch_complex.c ---- */
/* Does the tensor, or one in the list, stand for complex numbers? */
bool torch_is_complex(torch *t, const tv *v);
/* Lists that values of a kept branch or loop are complex, if one is. */
void torch_refuse_complex(torch *t, const neo_emitter *e, int n, const int *ids);
/* A call with such an argument. */
tv torch_complex_call(torch *t, torch_call *call);

#define X(name, ours, fn, schema)
#define X1(name, ours, fn, schema) tv fn(torch *t, torch_call *call);
#include "frontends/torch_ops.def"
#undef X

/* ---- torch_quant.c ----------------------------------------------------------------------------------- */

/* A quantised tensor of the file: its integers, and (kind, scale, zero) or (kind, scales, zeros,
 * axis). */
tv torch_quantised_weight(torch *t, tv integers, const tv *quantiser);

/* ---- files ---------------------------------------------------------------------------------------- */

/* The tensor as a constant of the current graph: mapped if dense and aligned, else copied. */
int torch_weight_constant(torch *t, torch_weight *weight);
bool torch_weight_check(torch *t, const torch_weight *weight);

/* An input of the model; the user may also call input k "argK". Its shape must be known: one that
 * is not is kept in `missing` for torch_inputs_end. */
typedef struct torch_inputs {
  int n;
  neo_buf missing;
} torch_inputs;
tv torch_input(torch *t, torch_inputs *inputs, const char *name, neo_dtype dtype,
               const neo_shape *shape);
/* False, and failed with the list, if shapes are missing. */
bool torch_inputs_end(torch *t, torch_inputs *inputs);
/* Outputs out0, out1, ...: tensors of v in order, tuples and lists and dicts opened. */
void torch_outputs(torch *t, const tv *v);

/* Pickle bytes as a value; executes nothing. */
typedef struct torch_pickle {
  const char *name; /* for messages */
  const uint8_t *data;
  size_t size;
  /* The bytes of a storage; false: there is none. NULL: storages are not looked at (state dicts).
   */
  bool (*storage)(torch *t, const char *key, const uint8_t **data, uint64_t *size);
  size_t used; /* result: bytes up to and with STOP */
} torch_pickle;
bool torch_unpickle(torch *t, torch_pickle *pickle, tv *out);

#endif
