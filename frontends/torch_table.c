/* frontends/torch_table.c: the table of ATen operators, and how a call finds its row.
 *
 * Rows of one name are its overloads, tried in order; the first whose schema takes the arguments is
 * called. Schema: "NAME:KIND[=DEFAULT]" separated by blanks. Kinds: t tensor or number, x tensor, T
 * list of tensors or numbers, i int, I ints (or one), f float, F floats, b bool, s string, d dtype,
 * * anything. A kind with '?' also takes None and has it as its default. Numbers that are tensors
 * known now count as numbers. Arguments that say where or how a tensor is stored mean nothing here
 * and are dropped. */
#include "frontends/torch.h"

#include <stdlib.h>
#include <string.h>

static const torch_row rows[] = {
#define X(name, ours, fn, schema) {name, ours, fn, schema},
#include "frontends/torch_ops.def"
#undef X
};

static const char *const storage_args[] = {"device",       "layout",        "pin_memory",
                                           "non_blocking", "memory_format", "copy",
                                           "generator",    "requires_grad", "cudnn_enabled"};

/* ---- schemas ----------------------------------------------------------------------------------------- */

typedef struct parameter {
  const char *name, *otherwise; /* otherwise NULL: required */
  size_t n_name, n_otherwise;
  char kind;
  bool optional;
} parameter;

/* Parses one parameter at *at; false at the end. */
static bool next_parameter(const char **at, parameter *out) {
  const char *p = *at + strspn(*at, " ");
  if (!*p)
    return false;
  *out = (parameter){.name = p, .n_name = strcspn(p, ":")};
  p += out->n_name + 1;
  out->kind = *p++;
  if (*p == '?') {
    out->optional = true;
    p++;
  }
  if (*p == '=') {
    out->otherwise = ++p;
    out->n_otherwise = strcspn(p, " ");
    p += out->n_otherwise;
  }
  *at = p;
  return true;
}

static tv default_value(torch *t, const parameter *p) {
  const char *text = p->otherwise;
  if (!text || strncmp(text, "None", 4) == 0)
    return torch_none();
  if (p->kind == 'b')
    return torch_bool(*text == 'T');
  if (p->kind == 's')
    return torch_string(neo_arena_strndup(&t->arena, text, p->n_otherwise));
  if (*text == '[')
    return torch_seq_new(t, TV_LIST, 0, NULL);
  if (p->kind == 'f')
    return torch_float(strtod(text, NULL));
  if (memchr(text, '.', p->n_otherwise))
    return torch_float(strtod(text, NULL));
  return torch_int(strtoll(text, NULL, 10));
}

static bool fits_seq(torch *t, char kind, tv *v) {
  tv item, list = torch_seq_new(t, TV_LIST, 0, NULL);
  if (!torch_is_seq(v))
    return false;
  for (int i = 0; i < v->seq->n; i++) {
    const tv *from = &v->seq->item[i];
    if (kind == 'T') {
      if (from->kind != TV_TENSOR && from->kind != TV_NONE && !torch_is_number(from))
        return false;
      item = *from;
    } else if (!torch_known_number(t, from, &item) || (kind == 'I' && item.kind == TV_FLOAT)) {
      return false;
    }
    torch_seq_add(t, list.seq, item);
  }
  *v = list;
  return true;
}

/* Does the value fit the kind? Known tensors become numbers where those are wanted. */
static bool fits(torch *t, const parameter *p, tv *v) {
  tv number;
  if (v->kind == TV_NONE)
    return p->optional || p->kind == '*' || (p->otherwise && *p->otherwise == 'N');
  switch (p->kind) {
  case 't':
    return v->kind == TV_TENSOR || torch_is_number(v);
  case 'x':
    return v->kind == TV_TENSOR;
  case 's':
    return v->kind == TV_STRING;
  case 'd':
  case 'D':
    return v->kind == TV_INT;
  case 'b':
    return v->kind == TV_BOOL;
  case 'i':
    return v->kind == TV_INT || v->kind == TV_BOOL;
  case 'f':
    if (v->kind == TV_STRING || torch_is_seq(v) || !torch_known_number(t, v, &number) ||
        (p->kind != 'f' && number.kind == TV_FLOAT))
      return false;
    *v = number;
    return true;
  case 'I':
  case 'F':
    if (!torch_is_seq(v) && torch_known_number(t, v, &number) &&
        (p->kind == 'F' || number.kind != TV_FLOAT)) {
      *v = torch_seq_new(t, TV_LIST, 1, &number);
      return true;
    }
    return fits_seq(t, p->kind, v);
  case 'T':
    return fits_seq(t, p->kind, v);
  default:
    return true;
  }
}

static bool means_nothing(const char *name) {
  for (int i = 0; i < NEO_COUNT(storage_args); i++)
    if (strcmp(name, storage_args[i]) == 0)
      return true;
  return false;
}

static bool is_name(const parameter *p, const char *name) {
  return strlen(name) == p->n_name && strncmp(name, p->name, p->n_name) == 0;
}

/* The named argument for the parameter, or -1. The first is `self` or `input`, as the overload
 * likes. */
static int named(const torch_args *args, const parameter *p) {
  for (int i = 0; i < args->n_named; i++)
    if (is_name(p, args->name[i]) || (is_name(p, "input") && strcmp(args->name[i], "self") == 0) ||
        (is_name(p, "self") && strcmp(args->name[i], "input") == 0))
      return args->n + i;
  return -1;
}

/* Fills call->arg by the row's schema; false if it does not take these arguments. */
static bool bind(torch *t, const torch_row *row, const torch_args *args, torch_call *call) {
  const char *at = row->schema;
  int used = 0, given = 0;
  parameter p;
  for (call->n_args = 0; next_parameter(&at, &p); call->n_args++) {
    neo_assert(call->n_args < TORCH_MAX_ARGS);
    tv *into = &call->arg[call->n_args];
    int from = call->n_args < args->n ? call->n_args : named(args, &p);
    if (from >= 0) {
      *into = args->arg[from];
      if (p.kind == 'D' && from < args->n)
        return false;
      used += from >= args->n;
      given += from < args->n;
      if (!fits(t, &p, into))
        return false;
    } else if (p.otherwise || p.optional) {
      *into = default_value(t, &p);
      if (into->kind != TV_NONE && p.kind == 'I' && !torch_is_seq(into))
        *into = torch_seq_new(t, TV_LIST, 1, into);
    } else {
      return false;
    }
  }
  for (int i = 0; i < args->n_named; i++)
    used += means_nothing(args->name[i]) && !strstr(row->schema, args->name[i]);
  return given == args->n && used == args->n_named;
}

/* ---- calls ------------------------------------------------------------------------------------------- */

static bool has_poison(const tv *v) {
  if (v->kind == TV_POISON)
    return true;
  for (int i = 0; (torch_is_seq(v) || v->kind == TV_DICT) && i < v->seq->n; i++)
    if (has_poison(&v->seq->item[i]))
      return true;
  return false;
}

static bool row_exists(const char *op) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, op) == 0)
      return true;
  return false;
}

/* "add_" is "add" in place, unless it is a row itself. */
static bool plain_name(const char *op, char *out, size_t size) {
  size_t n = strlen(op);
  bool in_place = !row_exists(op) && n > 1 && op[n - 1] == '_' && op[n - 2] != '_';
  snprintf(out, size, "%.*s", (int)(in_place ? n - 1 : n), op);
  return in_place;
}

bool torch_op_known(const char *op) {
  char name[80];
  plain_name(op, name, sizeof name);
  return row_exists(name);
}

static tv no_row(torch *t, const char *op, const torch_args *args) {
  neo_buf text = {0};
  for (int i = 0; i < args->n + args->n_named; i++)
    neo_buf_printf(&text, "%s%s%s%s", i ? ", " : "", i < args->n ? "" : args->name[i - args->n],
                   i < args->n ? "" : "=", torch_kind_name(&args->arg[i]));
  tv out = torch_unsupported(t, op, "with arguments (%s)", text.data ? text.data : "");
  neo_buf_fini(&text);
  return out;
}

static tv unknown(torch *t, const char *op) {
  if (!neo_map_get(&t->unknown, op)) {
    neo_map_put(&t->unknown, op, t);
    torch_unsupported(t, op, "operator not implemented");
  }
  return torch_poison();
}

/* In-place forms that change the variable's shape. */
static bool changes_shape(const char *name) {
  static const char *const names[] = {"unsqueeze", "squeeze",  "transpose",
                                      "t",         "swapaxes", "swapdims"};
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (strcmp(names[i], name) == 0)
      return true;
  return false;
}

/* The result in place of the first argument, whose type and shape stay. */
static tv store(torch *t, const char *name, const tv *self, const tv *result) {
  if (result->kind != TV_TENSOR || self->kind != TV_TENSOR)
    return result->kind == TV_POISON ? *result : *self;
  if (changes_shape(name)) {
    torch_assign(t, self, torch_id(t, result));
    return *self;
  }
  int old = torch_id(t, self), id = torch_cast(t, torch_id(t, result), torch_dtype_of(t, old));
  const neo_shape *shape = torch_shape_peek(t, old), *got = torch_shape_peek(t, id);
  if (shape && got && !neo_shape_equal(shape, got))
    id = torch_expand(t, id, shape->rank, shape->dim);
  torch_assign(t, self, id);
  return *self;
}

static bool takes_complex(torch *t, const torch_call *call) {
  for (int i = 0; i < call->n_args; i++)
    if (torch_is_complex(t, &call->arg[i]))
      return true;
  return false;
}

tv torch_call_op(torch *t, const char *op, const torch_args *args) {
  char name[80];
  torch_call call = {.op = op};
  bool in_place = plain_name(op, name, sizeof name);
  if (!row_exists(name))
    return unknown(t, op);
  for (int i = 0; i < args->n + args->n_named; i++)
    if (has_poison(&args->arg[i]))
      return torch_poisoned(t) || t->rerun
                 ? torch_poison()
                 : torch_unsupported(t, op, "of a result that only training has");
  if (t->failed != NEO_OK)
    return torch_poison();
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, name) == 0 && bind(t, &rows[i], args, &call)) {
      call.row = &rows[i];
      bool complex = takes_complex(t, &call);
      if (complex && in_place && call.arg[0].cell && call.arg[0].cell->base)
        return torch_unsupported(t, op, "in place, of a view of complex numbers");
      tv out = complex ? torch_complex_call(t, &call) : rows[i].fn(t, &call);
      return in_place ? store(t, name, &call.arg[0], &out) : out;
    }
  return no_row(t, op, args);
}

/* ---- arguments --------------------------------------------------------------------------------------- */

int torch_arg(torch *t, torch_call *call, int i) {
  return torch_id(t, &call->arg[i]);
}

int64_t torch_arg_int(torch_call *call, int i) {
  const tv *v = &call->arg[i];
  return v->kind == TV_FLOAT ? (int64_t)v->f : v->i;
}

double torch_arg_float(torch_call *call, int i) {
  return torch_number(&call->arg[i]);
}

bool torch_arg_given(const torch_call *call, int i) {
  return call->arg[i].kind != TV_NONE;
}

int torch_arg_ints(torch *t, torch_call *call, int i, int64_t *out, int cap) {
  const tv *v = &call->arg[i];
  if (v->kind == TV_NONE)
    return 0;
  if (v->seq->n > cap) {
    torch_unsupported(t, call->op, "argument %d has %d values, at most %d are possible", i,
                      v->seq->n, cap);
    return -1;
  }
  for (int k = 0; k < v->seq->n; k++)
    out[k] = v->seq->item[k].i;
  return v->seq->n;
}

bool torch_arg_each(torch *t, torch_call *call, int i, int64_t *out, int want) {
  int n = torch_arg_ints(t, call, i, out, NEO_MAX_RANK);
  if (n == 1)
    for (int k = 1; k < want; k++)
      out[k] = out[0];
  if (n >= 0 && n != 1 && n != want)
    torch_unsupported(t, call->op, "argument %d has %d values, %d expected", i, n, want);
  return n == 1 || n == want;
}

bool torch_dim(torch *t, const char *op, int64_t dim, int rank, int *out) {
  int64_t wrapped = rank == 0 ? 1 : rank;
  if (dim < -wrapped || dim >= wrapped) {
    if (rank >= 0 && !torch_poisoned(t))
      torch_unsupported(t, op, "dimension %lld of a tensor of rank %d", (long long)dim, rank);
    return false;
  }
  *out = (int)(dim < 0 ? dim + wrapped : dim);
  return true;
}

int torch_arg_dim(torch *t, torch_call *call, int i, int rank) {
  int dim = -1;
  torch_dim(t, call->op, torch_arg_int(call, i), rank, &dim);
  return dim;
}

neo_dtype torch_arg_dtype(torch *t, torch_call *call, int i, neo_dtype otherwise) {
  neo_dtype dtype = otherwise;
  if (torch_arg_given(call, i) && !torch_dtype(call->arg[i].i, &dtype))
    torch_unsupported(t, call->op, "element type %lld", (long long)call->arg[i].i);
  return dtype;
}

/* ---- emission ---------------------------------------------------------------------------------------- */

int torch_unary(torch *t, const char *op, int x) {
  return neo_emit_unary(torch_emitter(t), op, x);
}

int torch_binary(torch *t, const char *op, int a, int b) {
  return neo_emit_binary(torch_emitter(t), op, a, b);
}

int torch_scalar(torch *t, neo_dtype dtype, double v) {
  return neo_emit_scalar(torch_emitter(t), dtype == NEO_DTYPE_COUNT ? NEO_F32 : dtype, v);
}

int torch_scalar_like(torch *t, int like, double v) {
  return torch_scalar(t, torch_dtype_of(t, like), v);
}

int torch_reshape(torch *t, int x, int n, const int64_t *dims) {
  return neo_emit_reshape(torch_emitter(t), x, n, dims);
}

int torch_transpose(torch *t, int x, int n, const int64_t *perm) {
  return neo_emit_transpose(torch_emitter(t), x, n, perm);
}

int torch_expand(torch *t, int x, int n, const int64_t *dims) {
  return torch_binary(t, "expand", x, neo_emit_ints(torch_emitter(t), n, dims));
}

int torch_slice_node(torch *t, int x, int dim, int64_t start, int64_t end, int64_t step) {
  neo_emitter *e = torch_emitter(t);
  int64_t axis = dim;
  int inputs[5] = {x, neo_emit_ints(e, 1, &start), neo_emit_ints(e, 1, &end),
                   neo_emit_ints(e, 1, &axis), neo_emit_ints(e, 1, &step)};
  return neo_emit_node(e, "slice", 5, inputs, 1)->output[0];
}

int torch_concat(torch *t, int n, const int *ids, int dim) {
  neo_emitter *e = torch_emitter(t);
  if (n == 1)
    return ids[0];
  neo_node *node = neo_emit_node(e, "concat", n, ids, 1);
  neo_node_set_int(e->graph, node, "axis", dim);
  return node->output[0];
}

int torch_reduce(torch *t, const char *op, int x, int n, const int64_t *axes, bool keep) {
  neo_emitter *e = torch_emitter(t);
  neo_node *node = neo_emit_node(e, op, 1, &x, 1);
  if (n > 0)
    neo_node_set_ints(e->graph, node, "axes", n, axes);
  neo_node_set_int(e->graph, node, "keepdims", keep);
  return node->output[0];
}

static int by_axis(torch *t, const char *op, int x, int64_t dim) {
  return torch_binary(t, op, x, neo_emit_ints(torch_emitter(t), 1, &dim));
}

int torch_squeeze(torch *t, int x, int dim) {
  return by_axis(t, "squeeze", x, dim);
}

int torch_unsqueeze(torch *t, int x, int dim) {
  return by_axis(t, "unsqueeze", x, dim);
}

int torch_full(torch *t, int n, const int64_t *dims, neo_dtype dtype, double v) {
  neo_emitter *e = torch_emitter(t);
  if (dtype == NEO_DTYPE_COUNT) /* of something that is listed already */
    dtype = NEO_F32;
  neo_tensor *fill = neo_arena_alloc(e->graph->arena, sizeof *fill);
  *fill =
      (neo_tensor){dtype, {1, {1}}, neo_arena_alloc(e->graph->arena, 16), neo_dtype_size(dtype)};
  neo_tensor_set_f64(fill, 0, v);
  int shape = neo_emit_ints(e, n, dims);
  neo_node *node = neo_emit_node(e, "constant_of_shape", 1, &shape, 1);
  neo_node_set_tensor(e->graph, node, "value", fill);
  return node->output[0];
}

tv torch_tuple_of(torch *t, int n, const int *ids) {
  tv out = torch_seq_new(t, TV_TUPLE, 0, NULL);
  for (int i = 0; i < n; i++)
    torch_seq_add(t, out.seq, torch_tensor(t, ids[i]));
  return out;
}
