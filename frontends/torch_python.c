/* frontends/torch_python.c: operations on numbers, shapes and types while reading PyTorch models:
 * what is known is computed here and leaves no trace in the graph.
 *
 * A number that is not known (the length of a result that depends on the data) is a tensor without
 * dimensions. Operators on numbers of which at least one is known here as Python's, and the others
 * as tensors of one element, give numbers: traces write shape arithmetic so. */
#include "frontends/torch.h"

#include <math.h>
#include <string.h>

typedef enum number_op {
  N_ADD,
  N_SUB,
  N_MUL,
  N_DIV,
  N_FLOORDIV,
  N_MOD,
  N_POW,
  N_MIN,
  N_MAX,
  N_EQ,
  N_NE,
  N_LT,
  N_LE,
  N_GT,
  N_GE,
  N_AND,
  N_OR,
  N_XOR,
  N_NEG,
  N_ABS,
  N_NOT,
  N_INT,
  N_FLOAT,
  N_BOOL,
  N_FLOOR,
  N_CEIL,
  N_ROUND,
  N_SQRT,
  N_LOG,
  N_EXP,
  N_SAME
} number_op;

static const struct {
  const char *name;
  int n;
  number_op op;
} number_ops[] = {
    {"add", 2, N_ADD},
    {"sub", 2, N_SUB},
    {"mul", 2, N_MUL},
    {"div", 2, N_DIV},
    {"truediv", 2, N_DIV},
    {"floordiv", 2, N_FLOORDIV},
    {"floor_divide", 2, N_FLOORDIV},
    {"remainder", 2, N_MOD},
    {"mod", 2, N_MOD},
    {"pow", 2, N_POW},
    {"eq", 2, N_EQ},
    {"ne", 2, N_NE},
    {"lt", 2, N_LT},
    {"le", 2, N_LE},
    {"gt", 2, N_GT},
    {"ge", 2, N_GE},
    {"__and__", 2, N_AND},
    {"__or__", 2, N_OR},
    {"__xor__", 2, N_XOR},
    {"and_", 2, N_AND},
    {"or_", 2, N_OR},
    {"min", 2, N_MIN},
    {"max", 2, N_MAX},
    {"sym_min", 2, N_MIN},
    {"sym_max", 2, N_MAX},
    {"neg", 1, N_NEG},
    {"abs", 1, N_ABS},
    {"__not__", 1, N_NOT},
    {"not_", 1, N_NOT},
    {"sym_not", 1, N_NOT},
    {"int", 1, N_INT},
    {"Int", 1, N_INT},
    {"Float", 1, N_FLOAT},
    {"Bool", 1, N_BOOL},
    {"float", 1, N_FLOAT},
    {"bool", 1, N_BOOL},
    {"sym_float", 1, N_FLOAT},
    {"sym_int", 1, N_INT},
    {"floor", 1, N_FLOOR},
    {"ceil", 1, N_CEIL},
    {"round", 1, N_ROUND},
    {"trunc", 1, N_INT},
    {"sqrt", 1, N_SQRT},
    {"log", 1, N_LOG},
    {"exp", 1, N_EXP},
    {"NumToTensor", 1, N_SAME},
    {"ScalarImplicit", 1, N_SAME},
    {"IntImplicit", 1, N_INT},
    {"FloatImplicit", 1, N_FLOAT},
    {"item", 1, N_SAME},
    {"_local_scalar_dense", 1, N_SAME},
    {"_sym_sqrt", 1, N_SQRT},
};

static tv compared(number_op op, double a, double b) {
  return torch_bool(op == N_EQ   ? a == b
                    : op == N_NE ? a != b
                    : op == N_LT ? a < b
                    : op == N_LE ? a <= b
                    : op == N_GT ? a > b
                                 : a >= b);
}

static tv on_floats(number_op op, double a, double b) {
  switch (op) {
  case N_ADD:
    return torch_float(a + b);
  case N_SUB:
    return torch_float(a - b);
  case N_MUL:
    return torch_float(a * b);
  case N_DIV:
    return torch_float(a / b);
  case N_FLOORDIV:
    return torch_float(floor(a / b));
  case N_MOD:
    return torch_float(a - floor(a / b) * b);
  case N_POW:
    return torch_float(pow(a, b));
  case N_MIN:
    return torch_float(a < b ? a : b);
  case N_MAX:
    return torch_float(a > b ? a : b);
  default:
    return compared(op, a, b);
  }
}

/* Overflow wraps, as torch's does. */
static tv on_ints(number_op op, int64_t a, int64_t b) {
  uint64_t u = (uint64_t)a, v = (uint64_t)b;
  switch (op) {
  case N_ADD:
    return torch_int((int64_t)(u + v));
  case N_SUB:
    return torch_int((int64_t)(u - v));
  case N_MUL:
    return torch_int((int64_t)(u * v));
  case N_DIV:
    return torch_float((double)a / (double)b);
  case N_FLOORDIV:
  case N_MOD: {
    if (b == 0 || (a == INT64_MIN && b == -1))
      return torch_poison();
    int64_t q = a / b - (a % b != 0 && (a < 0) != (b < 0));
    return torch_int(op == N_MOD ? a - q * b : q);
  }
  case N_POW:
    return b < 0 ? torch_float(pow((double)a, (double)b))
                 : torch_int((int64_t)fmin(fmax(pow((double)a, (double)b), -9e18), 9e18));
  case N_MIN:
    return torch_int(a < b ? a : b);
  case N_MAX:
    return torch_int(a > b ? a : b);
  case N_AND:
    return torch_int(a & b);
  case N_OR:
    return torch_int(a | b);
  case N_XOR:
    return torch_int(a ^ b);
  case N_EQ:
    return torch_bool(a == b);
  case N_NE:
    return torch_bool(a != b);
  case N_LT:
    return torch_bool(a < b);
  case N_LE:
    return torch_bool(a <= b);
  case N_GT:
    return torch_bool(a > b);
  default:
    return torch_bool(a >= b);
  }
}

static tv to_int(double v) {
  return v > -9.2e18 && v < 9.2e18 ? torch_int((int64_t)v) : torch_poison();
}

static tv on_one(number_op op, const tv *a) {
  double v = torch_number(a);
  bool whole = a->kind != TV_FLOAT;
  switch (op) {
  case N_NEG:
    return whole ? torch_int((int64_t)(0 - (uint64_t)a->i)) : torch_float(-v);
  case N_ABS:
    return whole ? torch_int(a->i < 0 ? (int64_t)(0 - (uint64_t)a->i) : a->i)
                 : torch_float(fabs(v));
  case N_NOT:
    return torch_bool(v == 0);
  case N_INT:
    return whole ? torch_int(a->i) : to_int(v);
  case N_FLOAT:
    return torch_float(v);
  case N_BOOL:
    return torch_bool(v != 0);
  case N_FLOOR:
    return whole ? *a : to_int(floor(v));
  case N_CEIL:
    return whole ? *a : to_int(ceil(v));
  case N_ROUND:
    return whole ? *a : torch_float(nearbyint(v));
  case N_SQRT:
    return torch_float(sqrt(v));
  case N_LOG:
    return torch_float(log(v));
  case N_EXP:
    return torch_float(exp(v));
  default:
    return *a;
  }
}

/* floor/trunc rounding of a traced division; anything else named does not change a number. */
static tv rounded_division(const torch_args *args, tv quotient, const tv *a, const tv *b) {
  for (int i = 0; i < args->n_named; i++) {
    const tv *mode = &args->arg[args->n + i];
    if (strcmp(args->name[i], "rounding_mode") != 0 || mode->kind != TV_STRING)
      continue;
    double q = torch_number(&quotient);
    bool whole = a->kind != TV_FLOAT && b->kind != TV_FLOAT;
    if (strcmp(mode->s, "floor") == 0)
      return whole ? on_ints(N_FLOORDIV, a->i, b->i) : torch_float(floor(q));
    return whole ? to_int(trunc(q)) : torch_float(trunc(q));
  }
  return quotient;
}

/* Operands as numbers: at least one is one (or the operator converts), the others are tensors of
 * rank 0. */
static bool number_operands(torch *t, const torch_args *args, bool converts, tv *v) {
  bool plain = converts;
  for (int i = 0; i < args->n; i++)
    plain = plain || torch_is_number(&args->arg[i]);
  for (int i = 0; plain && i < args->n; i++) {
    const tv *arg = &args->arg[i];
    if (!torch_known_number(t, arg, &v[i]) ||
        (args->n == 2 && arg->kind == TV_TENSOR && torch_rank(t, torch_id(t, arg)) > 0))
      return false;
  }
  return plain;
}

static tv on_two(number_op what, const tv *a, const tv *b) {
  bool bits = what >= N_AND && what <= N_XOR;
  if (a->kind == TV_FLOAT || b->kind == TV_FLOAT)
    return bits ? torch_poison() : on_floats(what, torch_number(a), torch_number(b));
  tv out = on_ints(what, a->i, b->i);
  if (bits && a->kind == TV_BOOL && b->kind == TV_BOOL)
    out.kind = TV_BOOL;
  return out;
}

static bool number_call(torch *t, const char *op, const torch_args *args, tv *out) {
  tv v[2];
  int k = 0;
  while (k < NEO_COUNT(number_ops) &&
         (strcmp(number_ops[k].name, op) != 0 || number_ops[k].n != args->n))
    k++;
  if (k == NEO_COUNT(number_ops))
    return false;
  number_op what = number_ops[k].op;
  bool converts =
      what == N_INT || what == N_FLOAT || what == N_BOOL || what == N_SAME || what == N_NOT;
  if (!number_operands(t, args, converts, v))
    return false;
  *out = args->n == 1 ? on_one(what, &v[0]) : on_two(what, &v[0], &v[1]);
  if (what == N_DIV)
    *out = rounded_division(args, *out, &v[0], &v[1]);
  if (out->kind == TV_POISON)
    *out = torch_unsupported(t, op, "of numbers that have no result");
  return true;
}

/* Conversions of tensors that are not known: item() and int() of a tensor is the tensor without
 * dimensions. */
static bool scalar_call(torch *t, const char *op, const torch_args *args, tv *out) {
  static const struct {
    const char *name;
    neo_dtype dtype;
  } kinds[] = {{"Int", NEO_I64},
               {"IntImplicit", NEO_I64},
               {"Float", NEO_F32},
               {"Bool", NEO_BOOL},
               {"item", NEO_DTYPE_COUNT},
               {"_local_scalar_dense", NEO_DTYPE_COUNT},
               {"NumToTensor", NEO_DTYPE_COUNT},
               {"ScalarImplicit", NEO_DTYPE_COUNT},
               {"__not__", NEO_BOOL},
               {"FloatImplicit", NEO_F32}};
  for (int i = 0; i < NEO_COUNT(kinds); i++)
    if (strcmp(kinds[i].name, op) == 0 && args->n == 1 && args->arg[0].kind == TV_TENSOR) {
      int id = torch_cast(t, torch_reshape(t, torch_id(t, &args->arg[0]), 0, NULL), kinds[i].dtype);
      *out = torch_tensor(t, strcmp(op, "__not__") == 0 ? torch_unary(t, "not", id) : id);
      return true;
    }
  return false;
}

/* ---- shapes and types ------------------------------------------------------------------------------------------- */

/* Dimension i: a number, or a tensor if it depends on the data. */
static tv size_at(torch *t, int id, int i) {
  const neo_shape *shape = torch_shape_peek(t, id);
  const neo_value *value = &torch_emitter(t)->graph->value[id];
  if (shape && value->bounded == i + 1) /* the real extent, not the largest possible */
    return torch_tensor(t, value->count);
  if (shape)
    return torch_int(shape->dim[i]);
  int all = torch_unary(t, "shape", id);
  int one = torch_slice_node(t, all, 0, i, i + 1, 1);
  return torch_tensor(t, torch_squeeze(t, one, 0));
}

static tv size_call(torch *t, const torch_args *args) {
  int id = torch_id(t, &args->arg[0]), rank = torch_rank(t, id), dim;
  tv all = torch_seq_new(t, TV_LIST, 0, NULL), at;
  if (torch_poisoned(t))
    return torch_poison();
  if (rank < 0 && args->n > 1 && args->arg[1].kind == TV_INT && args->arg[1].i >= 0)
    return size_at(t, id, (int)neo_min_i64(args->arg[1].i, NEO_MAX_RANK));
  if (rank < 0)
    return torch_unsupported(t, "size", "of a tensor whose rank is not known");
  if (args->n > 1) {
    if (!torch_known_number(t, &args->arg[1], &at) || !torch_dim(t, "size", at.i, rank, &dim) ||
        rank == 0)
      return torch_poison();
    return size_at(t, id, dim);
  }
  for (int i = 0; i < rank; i++)
    torch_seq_add(t, all.seq, size_at(t, id, i));
  return all;
}

static tv numel_call(torch *t, int id) {
  const neo_shape *shape = torch_shape_peek(t, id);
  int64_t n;
  if (shape && neo_shape_elements(shape, &n))
    return torch_int(n);
  return torch_poisoned(t) ? torch_poison() : torch_tensor(t, torch_unary(t, "size", id));
}

/* Attributes of a tensor. */
static bool tensor_call(torch *t, const char *op, const torch_args *args, tv *out) {
  static const char *const no[] = {
      "is_cuda",       "is_sparse", "is_quantized",        "is_mkldnn",       "is_nested",
      "is_mps",        "is_vulkan", "is_complex",          "requires_grad",   "is_meta",
      "is_xpu",        "is_ipu",    "is_autocast_enabled", "is_grad_enabled", "is_scripting_off",
      "_is_zerotensor"};
  if (args->n < 1 || args->arg[0].kind != TV_TENSOR)
    return false;
  int id = torch_id(t, &args->arg[0]);
  neo_dtype dtype = torch_dtype_of(t, id);
  bool known = dtype < NEO_DTYPE_COUNT;
  if (strcmp(op, "size") == 0 || strcmp(op, "sym_size") == 0 || strcmp(op, "shape") == 0)
    *out = size_call(t, args);
  else if (strcmp(op, "dim") == 0 || strcmp(op, "ndim") == 0)
    *out = torch_rank(t, id) < 0 ? torch_poison() : torch_int(torch_rank(t, id));
  else if (strcmp(op, "numel") == 0 || strcmp(op, "sym_numel") == 0)
    *out = numel_call(t, id);
  else if (strcmp(op, "len") == 0 && torch_rank(t, id) > 0)
    *out = size_at(t, id, 0);
  else if (strcmp(op, "dtype") == 0 && known)
    *out = torch_int(torch_dtype_code(dtype));
  else if (strcmp(op, "device") == 0 || strcmp(op, "layout") == 0)
    *out = op[0] == 'd' ? torch_string("cpu") : torch_none();
  else if (strcmp(op, "is_floating_point") == 0 && known)
    *out = torch_bool(neo_dtype_class(dtype) == 'f');
  else if (strcmp(op, "is_contiguous") == 0 || strcmp(op, "is_cpu") == 0)
    *out = torch_bool(true);
  else if (strcmp(op, "get_device") == 0)
    *out = torch_int(-1);
  else {
    int i = 0;
    while (i < NEO_COUNT(no) && strcmp(no[i], op) != 0)
      i++;
    *out = torch_bool(false);
    return i < NEO_COUNT(no);
  }
  return true;
}

static bool is_op(const char *op, const char *const *list) {
  for (; *list; list++)
    if (strcmp(op, *list) == 0)
      return true;
  return false;
}

bool torch_python_op(torch *t, const char *op, const torch_args *args, tv *out) {
  static const char *const false_ops[] = {"is_grad_enabled", "is_autocast_enabled", "is_tracing",
                                          "_is_tracing",     "get_grad_enabled",    NULL};
  if (is_op(op, false_ops)) {
    *out = torch_bool(false);
    return true;
  }
  return number_call(t, op, args, out) || tensor_call(t, op, args, out) ||
         scalar_call(t, op, args, out);
}

static bool python_name(const char *op) {
  static const char *const names[] = {
      "size",          "sym_size",   "shape",   "dim",           "ndim",   "numel",
      "sym_numel",     "len",        "dtype",   "device",        "layout", "is_floating_point",
      "is_contiguous", "get_device", "is_cuda", "requires_grad", "is_cpu", "is_nested",
      "is_quantized",  NULL};
  for (int i = 0; i < NEO_COUNT(number_ops); i++)
    if (strcmp(number_ops[i].name, op) == 0)
      return true;
  return is_op(op, names);
}

tv torch_apply(torch *t, const char *op, const torch_args *args) {
  tv out;
  for (int i = 0; i < args->n; i++)
    if (args->arg[i].kind == TV_POISON)
      return python_name(op) ? torch_poison() : torch_call_op(t, op, args);
  return torch_python_op(t, op, args, &out) ? out : torch_call_op(t, op, args);
}
