/* frontends/torch_quant.c: quantised TorchScript (torch.ao: dynamic and static, eager mode).
 *
 * A quantised tensor is an object of class QUANTISED that holds what its integers stand for, in
 * f32: an operator on it is computed on real numbers, and its result put on the output's grid
 * (quantize_linear, dequantize_linear). That is what the integer kernels compute, but for sums
 * that lie within rounding of a step's middle. Weights of the file keep their integers and are
 * dequantised where they are used (constants: folded).
 *
 * Dynamic layers put their input on a grid that depends on its extent, per call: 0 to 255, or to
 * 127 where reduce_range says so. A recurrent layer does that with all its inputs at once, and with
 * the state at every step. Packed weights are objects of class PACKED, or come from the file as
 * __torch__.torch.classes.* with their state. */
#include "frontends/torch_script.h"

#include <stdlib.h>
#include <string.h>

#define QUANTISED                                                                                  \
  "neo.quantised"           /* value, or integers; scale zero low high; axis if by channel         \
                             */
#define PACKED "neo.packed" /* weight bias, and what a convolution needs */

static tv call(torch *t, const char *op, int n, const tv *arg) {
  return torch_call_op(t, op, &(torch_args){.n = n, .arg = arg});
}

static bool is_object(const tv *v, const char *cls) {
  return v->kind == TV_OBJECT && strcmp(v->object->cls, cls) == 0;
}

static tv field(const tv *v, const char *name) {
  const tv *held = torch_object_get(v->object, name);
  return held ? *held : torch_none();
}

/* ---- quantised tensors ----------------------------------------------------------------------- */

typedef struct grid {
  tv scale, zero; /* numbers */
  int64_t low, high;
} grid;

static bool limits_of(int64_t dtype, int64_t *low, int64_t *high) {
  *low = dtype == 13 ? 0 : dtype == 12 ? -128 : INT32_MIN;
  *high = dtype == 13 ? 255 : dtype == 12 ? 127 : INT32_MAX;
  return dtype == 12 || dtype == 13 || dtype == 14;
}

static tv quantised(torch *t, tv value, const grid *g) {
  torch_object *made = torch_object_new(t, QUANTISED);
  torch_object_set(t, made, "value", value);
  torch_object_set(t, made, "scale", g->scale);
  torch_object_set(t, made, "zero", g->zero);
  torch_object_set(t, made, "low", torch_int(g->low));
  torch_object_set(t, made, "high", torch_int(g->high));
  return (tv){.kind = TV_OBJECT, .object = made};
}

static grid grid_of(const tv *v) {
  return (grid){field(v, "scale"), field(v, "zero"), field(v, "low").i, field(v, "high").i};
}

/* x on the grid, in f32. */
static tv on_grid(torch *t, tv x, const grid *g) {
  tv arg[5] = {x, g->scale, g->zero, torch_int(g->low), torch_int(g->high)};
  return call(t, "fake_quantize_per_tensor_affine", 5, arg);
}

static tv quantise(torch *t, tv x, const grid *g) {
  tv value = on_grid(t, x, g);
  return value.kind == TV_TENSOR ? quantised(t, value, g) : torch_poison();
}

/* A number per channel, or one, against dimension `axis` of a tensor of this rank. */
static int against(torch *t, const tv *v, int64_t axis, int rank) {
  int64_t shape[NEO_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  int id = torch_cast(t, torch_id(t, v), NEO_F32);
  if (v->kind != TV_TENSOR || axis < 0 || axis >= rank)
    return id;
  shape[axis] = -1;
  return torch_reshape(t, id, rank, shape);
}

/* What the integers of a stored tensor stand for, as a tensor; anything else as it is. */
static tv real_of(torch *t, const tv *v) {
  if (!is_object(v, QUANTISED))
    return *v;
  tv value = field(v, "value"), ints = field(v, "integers"), scale = field(v, "scale"),
     zero = field(v, "zero"), axis = field(v, "axis");
  if (value.kind == TV_TENSOR)
    return value;
  if (ints.kind != TV_TENSOR)
    return torch_poison();
  int w = torch_id(t, &ints), rank = torch_rank(t, w);
  int64_t at = axis.kind == TV_INT ? axis.i : -1;
  w = torch_binary(t, "sub", torch_cast(t, w, NEO_F32), against(t, &zero, at, rank));
  return torch_tensor(t, torch_binary(t, "mul", w, against(t, &scale, at, rank)));
}

/* _rebuild_qtensor(storage, offset, size, stride, (kind, scale, zero) or (kind, scales, zeros,
 * axis),
 * ..): `integers` is what its first four arguments make. */
tv torch_quantised_weight(torch *t, tv integers, const tv *quantiser) {
  torch_object *made = torch_object_new(t, QUANTISED);
  if (!torch_is_seq(quantiser) || quantiser->seq->n < 3)
    return torch_poison();
  const tv *item = quantiser->seq->item;
  torch_object_set(t, made, "integers", integers);
  torch_object_set(t, made, "scale", item[1]);
  torch_object_set(t, made, "zero", item[2]);
  if (quantiser->seq->n > 3)
    torch_object_set(t, made, "axis", item[3]);
  return (tv){.kind = TV_OBJECT, .object = made};
}

/* ---- packed weights -------------------------------------------------------------------------- */

/* Weight and bias as real numbers; false: that is no packed weight. */
static bool open_packed(torch *t, const tv *packed, tv *weight, tv *bias) {
  tv state;
  if (packed->kind != TV_OBJECT)
    return false;
  if (is_object(packed, PACKED)) {
    *weight = field(packed, "weight");
    *bias = field(packed, "bias");
  } else {
    state = field(packed, "__state__");
    if (!torch_is_seq(&state) || state.seq->n < 2)
      return false;
    *weight = state.seq->item[0];
    *bias = state.seq->item[1];
  }
  *weight = real_of(t, weight);
  return weight->kind == TV_TENSOR;
}

/* linear_prepack(weight, bias), convNd_prepack(weight, bias, stride, padding, dilation, groups),
 * conv_transposeNd_prepack(.., stride, padding, output_padding, dilation, groups) */
static tv prepacked(torch *t, const char *op, const torch_args *args) {
  static const char *const plain[] = {"weight", "bias", "stride", "padding", "dilation", "groups"};
  static const char *const turned[] = {"weight",         "bias",     "stride", "padding",
                                       "output_padding", "dilation", "groups"};
  bool transposed = strncmp(op, "conv_transpose", 14) == 0;
  torch_object *made = torch_object_new(t, PACKED);
  for (int i = 0; i < args->n && i < (transposed ? 7 : 6); i++)
    torch_object_set(t, made, transposed ? turned[i] : plain[i], args->arg[i]);
  return (tv){.kind = TV_OBJECT, .object = made};
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* x put on the grid of its own extent, as dynamic layers do. */
static int on_own_grid(torch *t, int x, bool reduced) {
  double top = reduced ? 127 : 255;
  int zero = torch_scalar(t, NEO_F32, 0), last = torch_scalar(t, NEO_F32, top);
  int low = torch_binary(t, "min", torch_reduce(t, "reduce_min", x, 0, NULL, false), zero);
  int high = torch_binary(t, "max", torch_reduce(t, "reduce_max", x, 0, NULL, false), zero);
  int scale = torch_binary(t, "div", torch_binary(t, "sub", high, low), last);
  int none = torch_binary(t, "equal", scale, zero); /* all of x is 0 */
  scale = neo_emit_node(torch_emitter(t), "where", 3,
                        (int[]){none, torch_scalar(t, NEO_F32, 0.1), scale}, 1)
              ->output[0];
  int start = torch_unary(t, "round", torch_unary(t, "neg", torch_binary(t, "div", low, scale)));
  int q = torch_unary(t, "round", torch_binary(t, "div", x, scale));
  q = torch_binary(t, "add", q, start);
  q = torch_binary(t, "min", torch_binary(t, "max", q, zero), last);
  return torch_binary(t, "mul", torch_binary(t, "sub", q, start), scale);
}

static tv linear(torch *t, int x, const tv *packed) {
  tv weight, bias;
  if (!open_packed(t, packed, &weight, &bias))
    return torch_unsupported(t, "linear", "weights that are not packed as known");
  weight = torch_tensor(t, torch_cast(t, torch_id(t, &weight), NEO_F32));
  return call(t, "linear", 3, (tv[]){torch_tensor(t, x), weight, bias});
}

static bool has(const char *op, const char *part) {
  return strstr(op, part) != NULL;
}

static tv with_relu(torch *t, const char *op, tv y) {
  return has(op, "_relu") && y.kind == TV_TENSOR ? call(t, "relu", 1, &y) : y;
}

/* linear_dynamic(x, packed, reduce_range), linear_dynamic_fp16(x, packed) */
static tv dynamic_linear(torch *t, const char *op, const torch_args *args) {
  int x = torch_id(t, &args->arg[0]);
  bool reduced = args->n > 2 && args->arg[2].kind == TV_BOOL && args->arg[2].i;
  if (!has(op, "fp16"))
    x = on_own_grid(t, x, reduced);
  return with_relu(t, op, linear(t, x, &args->arg[1]));
}

/* The output's grid, from arguments k and k + 1. */
static bool output_grid(torch *t, const torch_args *args, int k, grid *g) {
  g->low = 0;
  g->high = 255;
  return k + 1 < args->n && torch_known_number(t, &args->arg[k], &g->scale) &&
         torch_known_number(t, &args->arg[k + 1], &g->zero);
}

/* convNd(x, packed, scale, zero) */
static tv convolution(torch *t, const char *op, const torch_args *args) {
  const tv *packed = &args->arg[1];
  bool transposed = strncmp(op, "conv_transpose", 14) == 0;
  tv weight, bias, x = real_of(t, &args->arg[0]);
  if (!is_object(packed, PACKED) || !open_packed(t, packed, &weight, &bias))
    return torch_unsupported(t, op, "weights that are not packed as known");
  char name[24];
  snprintf(name, sizeof name, "%.*s", (int)(strcspn(op, "d") + 1), op);
  if (transposed) {
    tv arg[8] = {x,
                 weight,
                 bias,
                 field(packed, "stride"),
                 field(packed, "padding"),
                 field(packed, "output_padding"),
                 field(packed, "groups"),
                 field(packed, "dilation")};
    return call(t, name, 8, arg);
  }
  tv arg[7] = {x,
               weight,
               bias,
               field(packed, "stride"),
               field(packed, "padding"),
               field(packed, "dilation"),
               field(packed, "groups")};
  return call(t, name, 7, arg);
}

/* Layers with a grid for their result behind the weights: linear and convolutions. */
static tv static_layer(torch *t, const char *op, const torch_args *args) {
  grid g;
  if (args->n < 4 || !output_grid(t, args, 2, &g))
    return torch_unsupported(t, op, "a scale that is not known");
  tv x = real_of(t, &args->arg[0]);
  tv y = strncmp(op, "conv", 4) == 0 ? convolution(t, op, args)
                                     : linear(t, torch_id(t, &x), &args->arg[1]);
  return y.kind == TV_TENSOR ? quantise(t, with_relu(t, op, y), &g) : y;
}

/* ---- recurrent layers ------------------------------------------------------------------------ */

#define MAX_LAYERS 64

/* CellParamsBase: (kind, biases, doubles, integers: reduce_range, packed weights) */
typedef struct cell {
  bool real, reduced; /* real: f16 weights, the input is taken as it is */
  tv input, hidden;
} cell;

static bool read_cell(const tv *v, cell *c) {
  tv state = v->kind == TV_OBJECT ? field(v, "__state__") : torch_none();
  if (!torch_is_seq(&state) || state.seq->n < 5)
    return false;
  const tv *item = state.seq->item;
  if (item[0].kind != TV_STRING || !torch_is_seq(&item[3]) || !torch_is_seq(&item[4]) ||
      item[4].seq->n < 2)
    return false;
  c->real = strcmp(item[0].s, "quantized_dynamic") != 0;
  c->reduced = item[3].seq->n > 0 && item[3].seq->item[0].i != 0;
  c->input = item[4].seq->item[0];
  c->hidden = item[4].seq->item[1];
  return true;
}

static int product(torch *t, const cell *c, int x, const tv *packed) {
  tv y = linear(t, c->real ? x : on_own_grid(t, x, c->reduced), packed);
  return torch_id(t, &y);
}

static int gate(torch *t, int all, int k, int64_t n, const char *activation) {
  int part = torch_slice_node(t, all, 1, k * n, (k + 1) * n, 1);
  return activation ? torch_unary(t, activation, part) : part;
}

static void lstm_step(torch *t, int x, int h, int64_t n, int *state) {
  int all = torch_binary(t, "add", x, h);
  int made = torch_binary(t, "mul", gate(t, all, 0, n, "sigmoid"), gate(t, all, 2, n, "tanh"));
  int kept = torch_binary(t, "mul", gate(t, all, 1, n, "sigmoid"), state[1]);
  state[1] = torch_binary(t, "add", kept, made);
  state[0] =
      torch_binary(t, "mul", gate(t, all, 3, n, "sigmoid"), torch_unary(t, "tanh", state[1]));
}

static void gru_step(torch *t, int x, int h, int64_t n, int *state) {
  int r = torch_unary(t, "sigmoid",
                      torch_binary(t, "add", gate(t, x, 0, n, NULL), gate(t, h, 0, n, NULL)));
  int z = torch_unary(t, "sigmoid",
                      torch_binary(t, "add", gate(t, x, 1, n, NULL), gate(t, h, 1, n, NULL)));
  int kept = torch_binary(t, "mul", r, gate(t, h, 2, n, NULL));
  int made = torch_unary(t, "tanh", torch_binary(t, "add", gate(t, x, 2, n, NULL), kept));
  int rest = torch_binary(t, "mul", z, torch_binary(t, "sub", state[0], made));
  state[0] = torch_binary(t, "add", made, rest);
}

/* One direction of a layer: x [steps, batch, in] -> [steps, batch, n]; state is its h (and c). */
static int run_cell(torch *t, const cell *c, int x, bool lstm, bool backwards, int *state) {
  const neo_shape *shape = torch_shape(t, state[0]);
  int64_t n = shape ? shape->dim[shape->rank - 1] : 0;
  int all = product(t, c, x, &c->input);
  shape = torch_shape(t, all);
  if (!shape || shape->rank != 3 || shape->dim[0] < 1 || shape->dim[0] > 1024) {
    torch_unsupported(t, "quantized_lstm", "a sequence of no steps, or of more than 1024");
    return x;
  }
  int64_t steps = shape->dim[0];
  int *y = neo_arena_alloc(&t->arena, sizeof *y * (size_t)steps);
  for (int64_t k = 0; k < steps && !torch_poisoned(t); k++) {
    int64_t at = backwards ? steps - 1 - k : k;
    int xt = torch_squeeze(t, torch_slice_node(t, all, 0, at, at + 1, 1), 0);
    int h = product(t, c, state[0], &c->hidden);
    if (lstm)
      lstm_step(t, xt, h, n, state);
    else
      gru_step(t, xt, h, n, state);
    y[at] = torch_unsqueeze(t, state[0], 0);
  }
  return torch_poisoned(t) ? x : torch_concat(t, (int)steps, y, 0);
}

/* quantized_lstm(x, [h, c], cells, has_biases, layers, dropout, train, bidirectional, batch_first),
 * quantized_gru(x, h, ..) */
static tv recurrent(torch *t, const char *op, const torch_args *args) {
  bool lstm = has(op, "lstm");
  const tv *a = args->arg;
  if (args->n < 9 || !torch_is_seq(&a[2]) || (lstm && (!torch_is_seq(&a[1]) || a[1].seq->n < 2)))
    return torch_unsupported(t, op, "arguments that are not known");
  int n = a[7].i ? 2 : 1, layers = a[2].seq->n / n, x = torch_id(t, &a[0]), parts[2];
  int start[2] = {torch_id(t, lstm ? &a[1].seq->item[0] : &a[1]),
                  lstm ? torch_id(t, &a[1].seq->item[1]) : NEO_NO_VALUE};
  if (layers > MAX_LAYERS) /* each is written out step by step */
    return torch_unsupported(t, op, "more than 64 layers");
  int *last[2] = {neo_arena_alloc(&t->arena, sizeof(int) * (size_t)(layers * n + 1)),
                  neo_arena_alloc(&t->arena, sizeof(int) * (size_t)(layers * n + 1))};
  if (a[8].i)
    x = torch_transpose(t, x, 3, (int64_t[]){1, 0, 2});
  for (int k = 0; k < layers * n; k++) {
    cell c;
    int state[2] = {0, 0};
    if (!read_cell(&a[2].seq->item[k], &c))
      return torch_unsupported(t, op, "weights that are not packed as known");
    for (int j = 0; j < (lstm ? 2 : 1); j++)
      state[j] = torch_squeeze(t, torch_slice_node(t, start[j], 0, k, k + 1, 1), 0);
    parts[k % n] = run_cell(t, &c, x, lstm, k % n == 1, state);
    for (int j = 0; j < (lstm ? 2 : 1); j++)
      last[j][k] = torch_unsqueeze(t, state[j], 0);
    if (k % n == n - 1)
      x = torch_concat(t, n, parts, 2);
  }
  if (layers < 1 || torch_poisoned(t))
    return torch_poison();
  int out[3] = {a[8].i ? torch_transpose(t, x, 3, (int64_t[]){1, 0, 2}) : x,
                torch_concat(t, layers * n, last[0], 0),
                lstm ? torch_concat(t, layers * n, last[1], 0) : NEO_NO_VALUE};
  return torch_tuple_of(t, lstm ? 3 : 2, out);
}

/* ---- operators of the quantized namespace ---------------------------------------------------- */

/* quantized.NAME(operands.., scale, zero) as an ATen operator of the first `n` arguments. */
static const struct {
  const char *name, *op;
  int n, grid; /* grid: the scale's argument, -1: the input's grid */
} plain_ops[] = {
    {"add", "add", 2, 2},
    {"mul", "mul", 2, 2},
    {"cat", "cat", 2, 2},
    {"matmul", "matmul", 2, 2},
    {"hardswish", "hardswish", 1, 1},
    {"sigmoid", "sigmoid", 1, 1},
    {"leaky_relu", "leaky_relu", 2, 3},
    {"prelu", "prelu", 2, 2},
    {"layer_norm", "layer_norm", 5, 5},
    {"group_norm", "group_norm", 5, 5},
    {"relu6", "relu6", 1, -1},
    {"dropout", "dropout", 3, 3},
};

static tv unwrapped(torch *t, const tv *v) {
  if (!torch_is_seq(v))
    return real_of(t, v);
  tv list = torch_seq_new(t, v->kind, 0, NULL);
  for (int i = 0; i < v->seq->n; i++)
    torch_seq_add(t, list.seq, unwrapped(t, &v->seq->item[i]));
  return list;
}

static tv plain_op(torch *t, const char *op, const torch_args *args) {
  char name[32];
  tv arg[8];
  grid g = {.high = 255};
  size_t length = strlen(op);
  bool relu = length > 5 && strcmp(op + length - 5, "_relu") == 0 && strcmp(op, "leaky_relu") != 0;
  snprintf(name, sizeof name, "%.*s", (int)(relu ? length - 5 : length), op);
  for (int i = 0; i < NEO_COUNT(plain_ops); i++) {
    if (strcmp(plain_ops[i].name, name) != 0 || args->n < plain_ops[i].n)
      continue;
    for (int k = 0; k < plain_ops[i].n; k++)
      arg[k] = unwrapped(t, &args->arg[k]);
    if (plain_ops[i].grid < 0)
      g = grid_of(&args->arg[0]);
    else if (!output_grid(t, args, plain_ops[i].grid, &g))
      return torch_unsupported(t, op, "a scale that is not known");
    tv y = call(t, plain_ops[i].op, plain_ops[i].n, arg);
    y = relu && y.kind == TV_TENSOR ? call(t, "relu", 1, &y) : y;
    return y.kind == TV_TENSOR ? quantise(t, y, &g) : y;
  }
  return torch_unsupported(t, neo_arena_printf(&t->arena, "quantized::%s", op),
                           "operator not implemented");
}

tv ts_quantized(script *s, const char *op, const torch_args *args) {
  torch *t = &s->t;
  for (int i = 0; i < args->n; i++)
    if (args->arg[i].kind == TV_POISON)
      return torch_poison();
  if (has(op, "_prepack"))
    return prepacked(t, op, args);
  if (args->n >= 2 && strncmp(op, "linear", 6) == 0 && has(op, "_dynamic"))
    return dynamic_linear(t, op, args);
  if (strncmp(op, "linear", 6) == 0 || strncmp(op, "conv", 4) == 0)
    return static_layer(t, op, args);
  return plain_op(t, op, args);
}

/* ---- ATen operators of quantised tensors ----------------------------------------------------- */

static bool any_quantised(const tv *v) {
  if (is_object(v, QUANTISED))
    return true;
  for (int i = 0; torch_is_seq(v) && i < v->seq->n; i++)
    if (is_object(&v->seq->item[i], QUANTISED))
      return true;
  return false;
}

/* A list may be empty, and a hostile one its own first element. */
static const tv *first_quantised(const tv *v) {
  for (int depth = 0; depth < 64 && torch_is_seq(v) && v->seq->n > 0; depth++)
    v = &v->seq->item[0];
  return v;
}

/* Operators whose results have values of their first input. */
static bool keeps_values(const char *name) {
  static const char *const names[] = {"relu",
                                      "max_pool1d",
                                      "max_pool2d",
                                      "view",
                                      "reshape",
                                      "flatten",
                                      "permute",
                                      "transpose",
                                      "select",
                                      "slice",
                                      "narrow",
                                      "contiguous",
                                      "clone",
                                      "chunk",
                                      "split",
                                      "unsqueeze",
                                      "squeeze",
                                      "dropout",
                                      "stack",
                                      "flip",
                                      "expand",
                                      "unbind",
                                      "pixel_shuffle",
                                      "index_select",
                                      "detach",
                                      "to",
                                      "unsafe_chunk",
                                      "t",
                                      "channel_shuffle",
                                      "swapaxes",
                                      "upsample_nearest1d",
                                      "upsample_nearest2d",
                                      "movedim"};
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (strcmp(names[i], name) == 0)
      return true;
  return false;
}

/* The grid of the result: fixed for those whose extent is known. */
static grid result_grid(const char *name, const tv *first) {
  if (strcmp(name, "sigmoid") == 0 || strcmp(name, "hardsigmoid") == 0)
    return (grid){torch_float(1.0 / 256), torch_int(0), 0, 255};
  if (strcmp(name, "tanh") == 0)
    return (grid){torch_float(2.0 / 256), torch_int(128), 0, 255};
  return grid_of(first);
}

static tv wrapped(torch *t, const char *name, const tv *y, const tv *first) {
  grid g = result_grid(name, first);
  if (torch_is_seq(y)) {
    tv list = torch_seq_new(t, y->kind, 0, NULL);
    for (int i = 0; i < y->seq->n; i++)
      torch_seq_add(t, list.seq, wrapped(t, name, &y->seq->item[i], first));
    return list;
  }
  if (y->kind != TV_TENSOR || torch_dtype_of(t, torch_id(t, y)) != NEO_F32)
    return *y;
  return keeps_values(name) ? quantised(t, *y, &g) : quantise(t, *y, &g);
}

/* What asks for a property, or leaves the grid. */
static bool leaves(torch *t, const char *name, const torch_args *args, const tv *real, tv *out) {
  const tv *first = first_quantised(&args->arg[0]);
  if (strcmp(name, "dequantize") == 0)
    *out = *real;
  else if (strcmp(name, "q_scale") == 0 || strcmp(name, "q_zero_point") == 0)
    *out = field(first, name[2] == 's' ? "scale" : "zero");
  else if (strcmp(name, "is_quantized") == 0)
    *out = torch_bool(true);
  else if (strcmp(name, "dtype") == 0)
    *out = torch_int(field(first, "low").i == 0 ? 13 : 12);
  else {
    tv *arg = neo_arena_copy(&t->arena, args->arg, sizeof(tv) * (size_t)(args->n + args->n_named));
    arg[0] = *real;
    return torch_python_op(t, name, &(torch_args){args->n, args->n_named, arg, args->name}, out);
  }
  return true;
}

static tv quantize_call(torch *t, const torch_args *args) {
  grid g;
  if (args->n < 4 || args->arg[3].kind != TV_INT || !output_grid(t, args, 1, &g) ||
      !limits_of(args->arg[3].i, &g.low, &g.high))
    return torch_unsupported(t, "quantize_per_tensor", "a scale or type that is not known");
  return quantise(t, args->arg[0], &g);
}

static tv on_quantised(torch *t, const char *op, const torch_args *args) {
  size_t length = strlen(op);
  bool in_place = length > 1 && op[length - 1] == '_' && op[length - 2] != '_';
  const char *name = in_place ? neo_arena_strndup(&t->arena, op, length - 1) : op;
  const tv *first = first_quantised(&args->arg[0]);
  tv out, *arg = neo_arena_alloc(&t->arena, sizeof(tv) * (size_t)(args->n + args->n_named + 1));
  for (int i = 0; i < args->n + args->n_named; i++)
    arg[i] = unwrapped(t, &args->arg[i]);
  if (leaves(t, name, args, &arg[0], &out))
    return out;
  tv y = torch_apply(t, name, &(torch_args){args->n, args->n_named, arg, args->name});
  y = is_object(first, QUANTISED) ? wrapped(t, name, &y, first) : y;
  if (in_place && is_object(&y, QUANTISED) && is_object(&args->arg[0], QUANTISED)) {
    torch_object_set(t, args->arg[0].object, "value", field(&y, "value"));
    return args->arg[0];
  }
  return y;
}

bool ts_quantised_call(script *s, const char *op, const torch_args *args, tv *out) {
  torch *t = &s->t;
  bool recurrent_op = strcmp(op, "quantized_lstm") == 0 || strcmp(op, "quantized_gru") == 0;
  bool quantize = strcmp(op, "quantize_per_tensor") == 0;
  if (args->n < 1 || (!recurrent_op && !quantize && !any_quantised(&args->arg[0])))
    return false;
  for (int i = 0; i < args->n; i++)
    if (args->arg[i].kind == TV_POISON) {
      *out = torch_poison();
      return true;
    }
  if (strncmp(op, "__", 2) == 0 || strcmp(op, "append") == 0 || strcmp(op, "len") == 0 ||
      strcmp(op, "list") == 0)
    return false; /* Python's, of lists */
  *out = recurrent_op ? recurrent(t, op, args)
         : quantize   ? quantize_call(t, args)
                      : on_quantised(t, op, args);
  return true;
}
