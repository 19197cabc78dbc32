/* ir/expr_text.c: printing and parsing expressions; parse(print(e)) equals e.
 *
 *   expr  := ['-'] term {('+' | '-') term}       sums: scalar i64 only
 *   term  := primary ['*' INT]
 *   primary := INT | DTYPE ':' NUMBER | 'i' N | load | NAME ['.' SUFFIX] '(' expr {',' expr} ')'
 *   load  := 'b' N ['.x' LANES ['a' ACTIVE]] '[' [expr {',' expr}] ['|' guard {',' guard} 'else'
 * NUMBER] ']' guard := INT '<=' expr '<' INT
 *
 * The suffix of cast and bitcast is a dtype, of bcast x LANES, of intrinsic ROW.DTYPE.xLANES.
 * Text is other people's input (databases, logs, fuzzers): everything that a constructor would
 * assert is checked first, and nesting, argument and lane counts are limited. */
#include "ir/expr_internal.h"

#include <inttypes.h>
#include <string.h>

#define MAX_DEPTH 200
#define MAX_ARGS 64
#define MAX_LANES 1024
#define MAX_VAR 65535

/* ---- printing ----------------------------------------------------------------------------------
 */

static bool is_sum(const neo_expr *e) {
  return e->dtype == NEO_I64 && e->lanes == 1 && (e->op == NEO_EXPR_ADD || e->op == NEO_EXPR_MUL);
}

static void print_list(neo_buf *buf, const neo_expr *e) {
  for (int k = 0; k < e->n_args; k++) {
    neo_buf_text(buf, k ? ", " : "");
    neo_expr_print(buf, e->arg[k]);
  }
}

static void print_load(neo_buf *buf, const neo_expr *e) {
  neo_buf_printf(buf, "b%d", e->u.load.buffer);
  if (e->lanes > 1)
    neo_buf_printf(buf, ".x%d", e->lanes);
  if (e->lanes > 1 && e->active < e->lanes)
    neo_buf_printf(buf, "a%d", e->active);
  neo_buf_text(buf, "[");
  print_list(buf, e);
  for (int k = 0; k < e->u.load.n_guards; k++) {
    const neo_guard *g = &e->u.load.guard[k];
    neo_buf_printf(buf, "%s%" PRId64 "<=", k ? ", " : " | ", g->lo);
    neo_expr_print(buf, g->index);
    neo_buf_printf(buf, "<%" PRId64, g->hi);
  }
  if (e->u.load.n_guards) {
    neo_buf_text(buf, " else ");
    neo_buf_double(buf, e->u.load.fill);
  }
  neo_buf_text(buf, "]");
}

/* One term of a sum with its sign; `first` prints no plus. */
static void print_term(neo_buf *buf, const neo_expr *t, bool first) {
  int64_t c;
  if (neo_expr_is_const(t, &c)) {
    neo_buf_printf(buf, "%s%" PRId64, c < 0 || first ? "" : "+", c);
  } else if (t->op == NEO_EXPR_MUL && neo_expr_is_const(t->arg[1], &c)) {
    uint64_t magnitude = c < 0 ? 0 - (uint64_t)c : (uint64_t)c;
    neo_buf_text(buf, c < 0 ? "-" : first ? "" : "+");
    neo_expr_print(buf, t->arg[0]);
    if (magnitude != 1)
      neo_buf_printf(buf, "*%" PRIu64, magnitude);
  } else {
    neo_buf_text(buf, first ? "" : "+");
    neo_expr_print(buf, t);
  }
}

static void print_sum(neo_buf *buf, const neo_expr *e) {
  if (e->op == NEO_EXPR_ADD) {
    print_sum(buf, e->arg[0]);
    print_term(buf, e->arg[1], false);
  } else {
    print_term(buf, e, true);
  }
}

static void print_call(neo_buf *buf, const neo_expr *e) {
  switch (e->op) {
  case NEO_EXPR_CAST:
  case NEO_EXPR_BITCAST:
    neo_buf_printf(buf, "%s.%s(", neo_expr_op_name(e->op), neo_dtype_name(e->dtype));
    break;
  case NEO_EXPR_BROADCAST:
    neo_buf_printf(buf, "bcast.x%d(", e->lanes);
    break;
  case NEO_EXPR_INTRINSIC:
    neo_buf_printf(buf, "intrinsic.%d.%s.x%d(", e->u.row, neo_dtype_name(e->dtype), e->lanes);
    break;
  default:
    neo_buf_printf(buf, "%s(", neo_expr_op_name(e->op));
  }
  print_list(buf, e);
  neo_buf_text(buf, ")");
}

void neo_expr_print(neo_buf *buf, const neo_expr *e) {
  int64_t c;
  if (is_sum(e) && (e->op == NEO_EXPR_ADD || neo_expr_is_const(e->arg[1], &c))) {
    print_sum(buf, e);
    return;
  }
  switch (e->op) {
  case NEO_EXPR_CONST:
    if (e->dtype != NEO_I64)
      neo_buf_printf(buf, "%s:", neo_dtype_name(e->dtype));
    if (neo_dtype_class(e->dtype) == 'f')
      neo_buf_double(buf, e->u.f);
    else
      neo_buf_printf(buf, "%" PRId64, e->u.i);
    break;
  case NEO_EXPR_VAR:
    neo_buf_printf(buf, "i%d", e->u.var);
    break;
  case NEO_EXPR_LOAD:
    print_load(buf, e);
    break;
  default:
    print_call(buf, e);
  }
}

/* ---- parsing -----------------------------------------------------------------------------------
 */

typedef struct parser {
  neo_ctx *ctx;
  neo_arena *arena;
  neo_scan *scan;
  bool (*dtype_of)(void *self, int buffer, neo_dtype *out);
  void *self;
  int depth;
} parser;

static neo_status parse_sum(parser *p, const neo_expr **out);

static neo_status fail(parser *p, const char *expected) {
  return neo_fail(p->ctx, NEO_BAD_INPUT, "expression: line %d: expected %s at '%.24s'",
                  p->scan->line, expected, p->scan->at);
}

/* Digits right at the cursor, no blanks, no sign, at most `limit`. */
static bool scan_number(neo_scan *scan, int limit, int *out) {
  const char *at = scan->at;
  int v = 0;
  if (*at < '0' || *at > '9')
    return false;
  for (; *at >= '0' && *at <= '9'; at++) {
    v = v * 10 + (*at - '0');
    if (v > limit)
      return false;
  }
  scan->at = at;
  *out = v;
  return true;
}

static bool scan_char(neo_scan *scan, char c) {
  if (*scan->at != c)
    return false;
  scan->at++;
  return true;
}

static neo_status need(parser *p, const char *token) {
  return neo_scan_token(p->scan, token) ? NEO_OK : fail(p, token);
}

static neo_status parse_guard(parser *p, neo_guard *g) {
  if (!neo_scan_int(p->scan, &g->lo))
    return fail(p, "a guard's lower bound");
  NEO_TRY(need(p, "<="));
  NEO_TRY(parse_sum(p, &g->index));
  NEO_TRY(need(p, "<"));
  if (!neo_scan_int(p->scan, &g->hi))
    return fail(p, "a guard's upper bound");
  bool index = g->index->dtype == NEO_I64 && g->index->lanes == 1;
  return index ? NEO_OK : fail(p, "a scalar i64 guard");
}

static neo_status parse_guards(parser *p, neo_guard *guard, int *n, double *fill) {
  do {
    if (*n == NEO_MAX_GUARDS)
      return fail(p, "at most 8 guards");
    NEO_TRY(parse_guard(p, &guard[*n]));
    ++*n;
  } while (neo_scan_token(p->scan, ","));
  NEO_TRY(need(p, "else"));
  return neo_scan_double(p->scan, fill) ? NEO_OK : fail(p, "a fill value");
}

static neo_status parse_vector_suffix(parser *p, int *lanes, int *active) {
  *lanes = *active = 1;
  if (!scan_char(p->scan, '.'))
    return NEO_OK;
  if (!scan_char(p->scan, 'x') || !scan_number(p->scan, MAX_LANES, lanes) || *lanes < 2)
    return fail(p, "x and a lane count");
  *active = *lanes;
  if (scan_char(p->scan, 'a') && (!scan_number(p->scan, *lanes - 1, active) || *active < 1))
    return fail(p, "an active lane count below the lanes");
  return NEO_OK;
}

static neo_status parse_load(parser *p, int buffer, const neo_expr **out) {
  neo_dtype dtype;
  int lanes, active, n = 0, n_guards = 0;
  const neo_expr *index[NEO_MAX_RANK];
  neo_guard guard[NEO_MAX_GUARDS];
  double fill = 0;
  if (!p->dtype_of(p->self, buffer, &dtype))
    return fail(p, "a known buffer before");
  NEO_TRY(parse_vector_suffix(p, &lanes, &active));
  NEO_TRY(need(p, "["));
  while (!neo_scan_token(p->scan, "]")) {
    if (neo_scan_token(p->scan, "|")) {
      NEO_TRY(parse_guards(p, guard, &n_guards, &fill));
      NEO_TRY(need(p, "]"));
      break;
    }
    if (n == NEO_MAX_RANK)
      return fail(p, "at most 8 indices");
    if (n > 0)
      NEO_TRY(need(p, ","));
    NEO_TRY(parse_sum(p, &index[n]));
    if (index[n]->dtype != NEO_I64 || index[n]->lanes != 1)
      return fail(p, "a scalar i64 index before");
    n++;
  }
  if (lanes > 1 && (n != 1 || n_guards))
    return fail(p, "one flat offset in a vector load before");
  *out = lanes > 1 ? neo_expr_load_vector(p->arena, dtype, buffer, index[0], lanes, active)
                   : neo_expr_load_guarded(p->arena, dtype, buffer, n, index,
                                           &(neo_guards){n_guards, guard, fill});
  return NEO_OK;
}

static neo_status parse_constant(parser *p, neo_dtype dtype, const neo_expr **out) {
  double f;
  int64_t i;
  if (neo_dtype_class(dtype) == 'f') {
    if (!neo_scan_double(p->scan, &f))
      return fail(p, "a number");
    *out = neo_expr_const_f(p->arena, dtype, f);
  } else {
    if (!neo_scan_int(p->scan, &i))
      return fail(p, "an integer");
    *out = neo_expr_const_i(p->arena, dtype, i);
  }
  return NEO_OK;
}

/* What follows the name of a call, before its arguments. */
typedef struct call {
  neo_expr_op op;
  neo_dtype dtype;
  int lanes, row;
} call;

static bool find_op(const char *name, neo_expr_op *out) {
  for (int k = NEO_EXPR_NEG; k < NEO_EXPR_OP_COUNT; k++) {
    bool named = k == NEO_EXPR_BROADCAST ? strcmp(name, "bcast") == 0
                                         : strcmp(name, neo_expr_op_name(k)) == 0;
    if (named) {
      *out = (neo_expr_op)k;
      return true;
    }
  }
  return false;
}

static neo_status parse_suffix(parser *p, call *c) {
  char name[16];
  bool typed = c->op == NEO_EXPR_CAST || c->op == NEO_EXPR_BITCAST || c->op == NEO_EXPR_INTRINSIC;
  if (c->op == NEO_EXPR_INTRINSIC &&
      !(scan_char(p->scan, '.') && scan_number(p->scan, 9999, &c->row)))
    return fail(p, ". and an intrinsic's row");
  if (typed && !(scan_char(p->scan, '.') && neo_scan_name(p->scan, name, sizeof name) &&
                 neo_dtype_find_computed(name, &c->dtype)))
    return fail(p, ". and an element type");
  bool vector = c->op == NEO_EXPR_BROADCAST || c->op == NEO_EXPR_INTRINSIC;
  if (vector && !(scan_char(p->scan, '.') && scan_char(p->scan, 'x') &&
                  scan_number(p->scan, MAX_LANES, &c->lanes) && c->lanes >= 1))
    return fail(p, ".x and a lane count");
  return NEO_OK;
}

static neo_status build_call(parser *p, const call *c, int n, const neo_expr **arg,
                             const neo_expr **out) {
  if (c->op == NEO_EXPR_INTRINSIC) {
    *out = neo_expr_intrinsic(p->arena, c->row, c->dtype, c->lanes, n, arg);
    return NEO_OK;
  }
  if (!neo_expr_types_agree(c->op, n, arg))
    return neo_fail(p->ctx, NEO_BAD_INPUT,
                    "expression: line %d: the arguments of %s do not fit it before '%.24s'",
                    p->scan->line, neo_expr_op_name(c->op), p->scan->at);
  switch (c->op) {
  case NEO_EXPR_CAST:
    *out = neo_expr_cast(p->arena, c->dtype, arg[0]);
    break;
  case NEO_EXPR_BITCAST:
    if (neo_dtype_size(c->dtype) != neo_dtype_size(arg[0]->dtype))
      return fail(p, "a bitcast between equal sizes before");
    *out = neo_expr_bitcast(p->arena, c->dtype, arg[0]);
    break;
  case NEO_EXPR_BROADCAST:
    if (arg[0]->lanes != 1 || c->lanes < 2)
      return fail(p, "a broadcast of a scalar before");
    *out = neo_expr_broadcast(p->arena, arg[0], c->lanes);
    break;
  case NEO_EXPR_SELECT:
    *out = neo_expr_select(p->arena, arg[0], arg[1], arg[2]);
    break;
  case NEO_EXPR_FMA:
    *out = neo_expr_fma(p->arena, arg[0], arg[1], arg[2]);
    break;
  default:
    *out = n == 1 ? neo_expr_unary(p->arena, c->op, arg[0])
                  : neo_expr_binary(p->arena, c->op, arg[0], arg[1]);
  }
  return NEO_OK;
}

static neo_status parse_call(parser *p, const char *name, const neo_expr **out) {
  call c = {.dtype = NEO_F32, .lanes = 1};
  const neo_expr *arg[MAX_ARGS];
  int n = 0;
  if (!find_op(name, &c.op))
    return neo_fail(p->ctx, NEO_BAD_INPUT, "expression: line %d: unknown operation '%s'",
                    p->scan->line, name);
  NEO_TRY(parse_suffix(p, &c));
  NEO_TRY(need(p, "("));
  do {
    if (n == MAX_ARGS)
      return fail(p, "at most 64 arguments");
    NEO_TRY(parse_sum(p, &arg[n++]));
  } while (neo_scan_token(p->scan, ","));
  NEO_TRY(need(p, ")"));
  return build_call(p, &c, n, arg, out);
}

/* The number of a name that is one letter and digits: i3, b12. */
static bool numbered(const char *name, char letter, int *out) {
  if (name[0] != letter || name[1] == 0 || (name[1] == '0' && name[2] != 0))
    return false;
  int v = 0;
  for (const char *c = name + 1; *c; c++) {
    if (*c < '0' || *c > '9')
      return false;
    v = v * 10 + (*c - '0');
    if (v > MAX_VAR)
      return false;
  }
  *out = v;
  return true;
}

static neo_status parse_primary(parser *p, const neo_expr **out) {
  char name[32];
  int64_t i;
  int number;
  neo_dtype dtype;
  if (neo_scan_int(p->scan, &i)) {
    *out = neo_expr_index(p->arena, i);
    return NEO_OK;
  }
  if (!neo_scan_name(p->scan, name, sizeof name))
    return fail(p, "an expression");
  if (*p->scan->at == ':' && neo_dtype_find_computed(name, &dtype)) {
    p->scan->at++;
    return parse_constant(p, dtype, out);
  }
  if (numbered(name, 'i', &number)) {
    *out = neo_expr_var(p->arena, number);
    return NEO_OK;
  }
  return numbered(name, 'b', &number) ? parse_load(p, number, out) : parse_call(p, name, out);
}

static bool digit(char c) {
  return c >= '0' && c <= '9';
}

/* Sum += sign * term. A sign right before digits belongs to the number: INT64_MIN has no positive.
 */
static neo_status parse_term(parser *p, bool first, const neo_expr **sum) {
  const neo_expr *t;
  int64_t c;
  neo_scan_space(p->scan);
  bool minus = *p->scan->at == '-' && !digit(p->scan->at[1]);
  if (minus || *p->scan->at == '+')
    p->scan->at++;
  NEO_TRY(parse_primary(p, &t));
  bool product = neo_scan_token(p->scan, "*");
  if (product && !neo_scan_int(p->scan, &c)) {
    if (!neo_scan_token(p->scan, "9223372036854775808"))
      return fail(p, "a constant factor");
    c = INT64_MIN;
  }
  if (first && !minus && !product) {
    *sum = t;
    return NEO_OK;
  }
  if (t->dtype != NEO_I64 || t->lanes != 1 ||
      (!first && ((*sum)->dtype != NEO_I64 || (*sum)->lanes != 1)))
    return fail(p, "scalar i64 terms before");
  if (product)
    t = neo_expr_binary(p->arena, NEO_EXPR_MUL, t, neo_expr_index(p->arena, c));
  if (minus)
    t = neo_expr_unary(p->arena, NEO_EXPR_NEG, t);
  *sum = first ? t : neo_expr_binary(p->arena, NEO_EXPR_ADD, *sum, t);
  return NEO_OK;
}

static neo_status parse_sum(parser *p, const neo_expr **out) {
  if (++p->depth > MAX_DEPTH)
    return fail(p, "at most 200 levels of nesting");
  const neo_expr *sum = NULL;
  NEO_TRY(parse_term(p, true, &sum));
  for (;;) {
    neo_scan_space(p->scan);
    if (*p->scan->at != '+' && *p->scan->at != '-')
      break;
    NEO_TRY(parse_term(p, false, &sum));
  }
  p->depth--;
  *out = sum;
  return NEO_OK;
}

neo_status neo_expr_parse(neo_ctx *ctx, neo_arena *arena, neo_scan *scan,
                          bool (*dtype_of)(void *self, int buffer, neo_dtype *out), void *self,
                          const neo_expr **out) {
  parser p = {ctx, arena, scan, dtype_of, self, 0};
  const neo_expr *e;
  NEO_TRY(parse_sum(&p, &e));
  *out = e;
  return NEO_OK;
}
