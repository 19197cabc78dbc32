/* codegen/c_expr.c: expressions of a nest as C text.
 *
 * Vectors are printed lane by lane: every operation of a nest works on each lane alone, so the
 * value of a vector store is a scalar expression in the lane number l, inside a small loop that
 * compilers turn into vector code.
 *
 * Index expressions (offsets, extents, conditions) are plain signed arithmetic, since lowering
 * proved that they stay in range. Integer values wrap, so they are computed in unsigned types.
 * Nodes that are used more than once, and long ones, become named temporaries: expressions are DAGs
 * and would grow exponentially as trees. */
#include <math.h>
#include <string.h>

#include "codegen/c_printer.h"
#include "schedule/intrinsic.h"

enum { LONG_TEXT = 96, PREC_SUM = 0, PREC_PRODUCT = 1, PREC_UNARY = 2 };

void c_fail(c_printer *p, neo_status status, const char *format, ...) {
  if (p->status != NEO_OK)
    return;
  char text[512];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  p->status = neo_fail(p->ctx, status, "%s: %s", p->dialect->name, text);
}

const char *c_memory_type(neo_dtype dtype) {
  static const char *const names[NEO_DTYPE_COUNT] = {
      [NEO_F32] = "float",     [NEO_F64] = "double",   [NEO_F16] = "uint16_t",
      [NEO_BF16] = "uint16_t", [NEO_I8] = "int8_t",    [NEO_I16] = "int16_t",
      [NEO_I32] = "int32_t",   [NEO_I64] = "int64_t",  [NEO_U8] = "uint8_t",
      [NEO_U16] = "uint16_t",  [NEO_U32] = "uint32_t", [NEO_U64] = "uint64_t",
      [NEO_BOOL] = "uint8_t"};
  return names[dtype];
}

static bool is_sixteen(neo_dtype dtype) {
  return dtype == NEO_F16 || dtype == NEO_BF16;
}
static bool is_float(neo_dtype dtype) {
  return neo_dtype_class(dtype) == 'f';
}

const char *c_type(neo_dtype dtype) {
  return is_sixteen(dtype) ? "float" : c_memory_type(dtype);
}

void c_indent(const c_printer *p, neo_buf *out) {
  neo_buf_printf(out, "%*s", 2 * p->depth, "");
}

/* ---- how often nodes are used -------------------------------------------------------------------- */

static c_node *node_at(c_printer *p, const neo_expr *e) {
  size_t at = ((uintptr_t)e >> 4) % (size_t)p->n_slots;
  while (p->nodes[at].expr && p->nodes[at].expr != e)
    at = (at + 1) % (size_t)p->n_slots;
  return &p->nodes[at];
}

static void grow_nodes(c_printer *p) {
  c_node *old = p->nodes;
  int n = p->n_slots;
  p->n_slots = n ? 2 * n : 64;
  p->nodes = neo_arena_alloc(&p->arena, sizeof *p->nodes * (size_t)p->n_slots);
  for (int k = 0; k < n; k++)
    if (old[k].expr)
      *node_at(p, old[k].expr) = old[k];
}

static void count_uses(c_printer *p, const neo_expr *e) {
  if (e->n_args == 0)
    return;
  if (2 * (p->n_nodes + 1) > p->n_slots)
    grow_nodes(p);
  c_node *node = node_at(p, e);
  if (node->uses++ > 0)
    return;
  node->expr = e;
  p->n_nodes++;
  for (int k = 0; k < e->n_args && e->op != NEO_EXPR_LOAD; k++)
    count_uses(p, e->arg[k]);
}

/* ---- constants and loads ------------------------------------------------------------------------- */

static void print_float(neo_buf *out, neo_dtype dtype, double v) {
  if (isnan(v) || isinf(v)) {
    neo_buf_text(out, isnan(v) ? "NAN" : v < 0 ? "(-INFINITY)" : "INFINITY");
    return;
  }
  neo_buf text = {0};
  neo_buf_double(&text, v);
  bool plain = !strpbrk(text.data, ".e");
  neo_buf_printf(out, signbit(v) ? "(%s%s%s)" : "%s%s%s", text.data, plain ? ".0" : "",
                 dtype == NEO_F64 ? "" : "f");
  neo_buf_fini(&text);
}

static void print_int(neo_buf *out, neo_dtype dtype, int64_t v) {
  if (dtype == NEO_U64)
    neo_buf_printf(out, "UINT64_C(%llu)", (unsigned long long)v);
  else if (v == INT64_MIN)
    neo_buf_text(out, "INT64_MIN");
  else if (v > INT32_MAX || v < -INT32_MAX)
    neo_buf_printf(out, v < 0 ? "(-INT64_C(%lld))" : "INT64_C(%lld)", (long long)(v < 0 ? -v : v));
  else
    neo_buf_printf(out, dtype == NEO_U32 ? "%lldu" : v < 0 ? "(%lld)" : "%lld", (long long)v);
}

/* The lane's element in memory, or in what a vector access brought. */
static void print_element(c_printer *p, neo_buf *out, const neo_expr *e) {
  int vector = p->lane_number < 0 ? -1 : c_wide_find(p, e);
  if (vector >= 0) {
    c_wide_print_lane(p, out, vector, p->lane_number);
    return;
  }
  p->buffer_used[e->u.load.buffer] = true;
  neo_buf_printf(out, "b%d[", e->u.load.buffer);
  c_print_index(p, out, e->arg[0]);
  if (e->lanes > 1 && p->lane_number >= 0)
    neo_buf_printf(out, " + %d", p->lane_number);
  else if (e->lanes > 1)
    neo_buf_printf(out, " + %s", p->lane ? p->lane : "l");
  neo_buf_text(out, "]");
}

static void print_load(c_printer *p, neo_buf *out, const neo_expr *e) {
  bool tail = e->lanes > 1 && e->active < e->lanes;
  if (tail && p->lane_number >= e->active) {
    neo_buf_text(out, "0");
    return;
  }
  if (tail && p->lane_number < 0)
    neo_buf_printf(out, "(%s < %d ? ", p->lane ? p->lane : "l", e->active);
  if (is_sixteen(e->dtype)) {
    c_helper_name(p, out, e->dtype == NEO_F16 ? C_HELPER_FROM_F16 : C_HELPER_FROM_BF16, NEO_F32,
                  NEO_F32);
    neo_buf_text(out, "(");
  }
  neo_buf_text(out, e->dtype == NEO_BOOL ? "(" : "");
  print_element(p, out, e);
  neo_buf_text(out, e->dtype == NEO_BOOL ? " != 0)" : "");
  neo_buf_text(out, is_sixteen(e->dtype) ? ")" : "");
  neo_buf_text(out, tail && p->lane_number < 0 ? " : 0)" : "");
}

/* ---- index expressions ---------------------------------------------------------------------------- */

static const char *infix(neo_expr_op op) {
  switch (op) {
  case NEO_EXPR_ADD:
    return " + ";
  case NEO_EXPR_SUB:
    return " - ";
  case NEO_EXPR_MUL:
    return " * ";
  case NEO_EXPR_DIV:
    return " / ";
  case NEO_EXPR_AND:
    return " && ";
  case NEO_EXPR_OR:
    return " || ";
  case NEO_EXPR_BITAND:
    return " & ";
  case NEO_EXPR_BITOR:
    return " | ";
  case NEO_EXPR_BITXOR:
    return " ^ ";
  case NEO_EXPR_LT:
    return " < ";
  case NEO_EXPR_LE:
    return " <= ";
  case NEO_EXPR_EQ:
    return " == ";
  case NEO_EXPR_NE:
    return " != ";
  default:
    return NULL;
  }
}

static void print_index(c_printer *p, neo_buf *out, const neo_expr *e, int prec);
static void print_operand(c_printer *p, const neo_expr *e, neo_buf *lines, neo_buf *out);

static void print_sum(c_printer *p, neo_buf *out, const neo_expr *e, int prec) {
  int64_t c = 0;
  bool minus = e->op == NEO_EXPR_SUB;
  neo_buf_text(out, prec > PREC_SUM ? "(" : "");
  print_index(p, out, e->arg[0], PREC_SUM);
  if (!minus && neo_expr_is_const(e->arg[1], &c) && c < 0 && c > INT64_MIN) {
    neo_buf_printf(out, " - %lld", (long long)-c);
  } else {
    neo_buf_text(out, minus ? " - " : " + ");
    print_index(p, out, e->arg[1], minus ? PREC_PRODUCT : PREC_SUM);
  }
  neo_buf_text(out, prec > PREC_SUM ? ")" : "");
}

static void print_index_call(c_printer *p, neo_buf *out, const neo_expr *e) {
  c_helper helper = e->op == NEO_EXPR_FLOORDIV   ? C_HELPER_FLOORDIV
                    : e->op == NEO_EXPR_FLOORMOD ? C_HELPER_FLOORMOD
                    : e->op == NEO_EXPR_MIN      ? C_HELPER_MIN
                                                 : C_HELPER_MAX;
  c_helper_name(p, out, helper, p->index, p->index);
  neo_buf_text(out, "(");
  print_index(p, out, e->arg[0], PREC_SUM);
  neo_buf_text(out, ", ");
  print_index(p, out, e->arg[1], PREC_SUM);
  neo_buf_text(out, ")");
}

static void print_index_select(c_printer *p, neo_buf *out, const neo_expr *e) {
  static const char *const between[] = {"(", " ? ", " : "};
  for (int k = 0; k < 3; k++) {
    neo_buf_text(out, between[k]);
    print_index(p, out, e->arg[k], PREC_UNARY);
  }
  neo_buf_text(out, ")");
}

static void print_index(c_printer *p, neo_buf *out, const neo_expr *e, int prec) {
  bool compares = e->n_args == 2 && e->dtype == NEO_BOOL && infix(e->op);
  if (e->dtype != NEO_I64 && !compares) {
    print_operand(p, e, NULL, out);
    return;
  }
  switch (e->op) {
  case NEO_EXPR_ADD:
  case NEO_EXPR_SUB:
    print_sum(p, out, e, prec);
    return;
  case NEO_EXPR_FLOORDIV:
  case NEO_EXPR_FLOORMOD:
  case NEO_EXPR_MIN:
  case NEO_EXPR_MAX:
    print_index_call(p, out, e);
    return;
  case NEO_EXPR_SELECT:
    print_index_select(p, out, e);
    return;
  default:
    break;
  }
  if (!compares && e->op != NEO_EXPR_MUL) {
    print_operand(p, e, NULL, out);
    return;
  }
  int inner = compares && e->op != NEO_EXPR_AND && e->op != NEO_EXPR_OR ? PREC_SUM : PREC_PRODUCT;
  bool parens = prec > PREC_PRODUCT || (compares && prec > PREC_SUM);
  neo_buf_text(out, parens ? "(" : "");
  print_index(p, out, e->arg[0], inner);
  neo_buf_text(out, infix(e->op));
  print_index(p, out, e->arg[1], compares ? inner : PREC_UNARY);
  neo_buf_text(out, parens ? ")" : "");
}

/* Do the index and all that it is computed from have so few bits? What is loaded need not, even
 * where it is clamped. */
static bool is_narrow(const c_printer *p, const neo_expr *e) {
  const int64_t most = INT32_MAX / 2;
  neo_range r;
  if (e->dtype == NEO_I64 &&
      (!neo_expr_range(e, p->range, p->nest->n_vars, &r) || r.lo < -most || r.hi > most))
    return false;
  for (int k = 0; k < e->n_args && e->op != NEO_EXPR_LOAD; k++)
    if (!is_narrow(p, e->arg[k]))
      return false;
  return true;
}

void c_print_index(c_printer *p, neo_buf *out, const neo_expr *e) {
  if (p->index == NEO_I32 && !is_narrow(p, e))
    p->too_wide = true;
  print_index(p, out, e, PREC_SUM);
}

/* ---- operations ---------------------------------------------------------------------------------- */

/* A call of a helper on the operands; text of each operand is in x. */
static void print_call(c_printer *p, neo_buf *out, c_helper helper, neo_dtype dtype, int n,
                       const neo_buf *x) {
  c_helper_name(p, out, helper, dtype, dtype);
  for (int k = 0; k < n; k++)
    neo_buf_printf(out, "%s%s", k ? ", " : "(", x[k].data);
  neo_buf_text(out, ")");
}

/* Puts a float onto the grid of a 16-bit type: from(to(...)). */
static void open_round(c_printer *p, neo_buf *out, neo_dtype dtype) {
  if (!is_sixteen(dtype))
    return;
  c_helper_name(p, out, dtype == NEO_F16 ? C_HELPER_FROM_F16 : C_HELPER_FROM_BF16, NEO_F32,
                NEO_F32);
  neo_buf_text(out, "(");
  c_helper_name(p, out, dtype == NEO_F16 ? C_HELPER_TO_F16 : C_HELPER_TO_BF16, NEO_F32, NEO_F32);
  neo_buf_text(out, "(");
}

static void close_round(neo_buf *out, neo_dtype dtype) {
  neo_buf_text(out, is_sixteen(dtype) ? "))" : "");
}

/* To a type of 16 bits by one rounding, not two. Integers that f32 has not are infinite in f16. */
static void print_to_float(c_printer *p, neo_buf *out, neo_dtype to, neo_dtype from,
                           const char *x) {
  if (is_sixteen(to) && from == NEO_F64) {
    c_helper_name(p, out, C_HELPER_TO_ODD, NEO_F64, NEO_F64);
    neo_buf_printf(out, "(%s)", x);
  } else if (to == NEO_BF16 && !is_float(from) && neo_dtype_size(from) >= 4) {
    c_helper_name(p, out, C_HELPER_INT_TO_ODD, from, from);
    neo_buf_printf(out, "(%s)", x);
  } else {
    neo_buf_printf(out, "(%s)%s", c_type(to), x);
  }
}

static void print_cast(c_printer *p, neo_buf *out, const neo_expr *e, const char *x) {
  neo_dtype to = e->dtype, from = e->arg[0]->dtype;
  if (to == NEO_BOOL) {
    neo_buf_printf(out, "(%s != 0)", x);
  } else if (is_float(to)) {
    open_round(p, out, to);
    print_to_float(p, out, to, from, x);
    close_round(out, to);
  } else if (is_float(from)) {
    c_helper_name(p, out, C_HELPER_TO_INT, to, from == NEO_F64 ? NEO_F64 : NEO_F32);
    neo_buf_printf(out, "(%s)", x);
  } else {
    neo_buf_printf(out, "(%s)%s", c_type(to), x);
  }
}

/* The 16 bits of F16 and BF16 values are made and unmade around the cast of the bits. */
static void print_bitcast(c_printer *p, neo_buf *out, const neo_expr *e, const char *x) {
  neo_dtype to = e->dtype, from = e->arg[0]->dtype;
  int open = 0;
  if (is_sixteen(to)) {
    c_helper_name(p, out, to == NEO_F16 ? C_HELPER_FROM_F16 : C_HELPER_FROM_BF16, NEO_F32, NEO_F32);
    neo_buf_text(out, "(");
    open++;
  }
  if (strcmp(c_memory_type(to), c_memory_type(from)) != 0) {
    c_helper_name(p, out, C_HELPER_BITCAST, from, to);
    neo_buf_text(out, "(");
    open++;
  }
  if (is_sixteen(from)) {
    c_helper_name(p, out, from == NEO_F16 ? C_HELPER_TO_F16 : C_HELPER_TO_BF16, NEO_F32, NEO_F32);
    neo_buf_text(out, "(");
    open++;
  }
  neo_buf_printf(out, "%s%.*s", x, open, ")))");
}

static bool float_helper(neo_expr_op op, c_helper *out) {
  static const struct {
    neo_expr_op op;
    c_helper helper;
  } rows[] = {{NEO_EXPR_FLOOR, C_HELPER_FLOOR}, {NEO_EXPR_CEIL, C_HELPER_CEIL},
              {NEO_EXPR_ROUND, C_HELPER_ROUND}, {NEO_EXPR_TRUNC, C_HELPER_TRUNC},
              {NEO_EXPR_MIN, C_HELPER_MIN},     {NEO_EXPR_MAX, C_HELPER_MAX},
              {NEO_EXPR_FMA, C_HELPER_FMA}};
  for (int k = 0; k < NEO_COUNT(rows); k++)
    if (rows[k].op == op) {
      *out = rows[k].helper;
      return true;
    }
  return false;
}

/* Of 32 bits at most, without a double; one of 16 bits is rounded by the caller. */
static void print_single_division(c_printer *p, neo_buf *out, const neo_expr *e, const neo_buf *x) {
  if (e->op == NEO_EXPR_MOD)
    neo_buf_text(out, "fmodf");
  else
    c_helper_name(p, out,
                  e->op == NEO_EXPR_FLOORDIV ? C_HELPER_FLOORDIV_SINGLE : C_HELPER_FLOORMOD_SINGLE,
                  NEO_F32, NEO_F32);
  neo_buf_printf(out, "(%s, %s)", x[0].data, x[1].data);
}

/* floordiv, mod and floormod of floats are computed in double, where the dialect has it. */
static void print_float_division(c_printer *p, neo_buf *out, const neo_expr *e, const neo_buf *x) {
  neo_dtype dtype = e->dtype;
  open_round(p, out, dtype);
  if (p->dialect->single && dtype != NEO_F64) {
    print_single_division(p, out, e, x);
    close_round(out, dtype);
    return;
  }
  if (is_sixteen(dtype)) {
    c_helper_name(p, out, C_HELPER_TO_ODD, NEO_F64, NEO_F64);
    neo_buf_text(out, "(");
  } else if (dtype == NEO_F32) {
    neo_buf_text(out, "(float)");
  }
  c_helper helper = e->op == NEO_EXPR_FLOORDIV ? C_HELPER_FLOOR
                    : e->op == NEO_EXPR_MOD    ? C_HELPER_FMOD
                                               : C_HELPER_FFLOORMOD;
  c_helper_name(p, out, helper, NEO_F64, NEO_F64);
  neo_buf_printf(out, "((double)%s%s(double)%s)", x[0].data,
                 e->op == NEO_EXPR_FLOORDIV ? " / " : ", ", x[1].data);
  neo_buf_text(out, is_sixteen(dtype) ? ")" : "");
  close_round(out, dtype);
}

static void print_float_op(c_printer *p, neo_buf *out, const neo_expr *e, const neo_buf *x) {
  neo_dtype dtype = e->dtype, computed = is_sixteen(dtype) ? NEO_F32 : dtype;
  c_helper helper;
  if (e->op == NEO_EXPR_FLOORDIV || e->op == NEO_EXPR_MOD || e->op == NEO_EXPR_FLOORMOD) {
    print_float_division(p, out, e, x);
    return;
  }
  if (e->op == NEO_EXPR_NEG || e->op == NEO_EXPR_ABS) {
    const char *fabs_name = computed == NEO_F64 ? "fabs(" : "fabsf(";
    neo_buf_printf(out, "%s%s)", e->op == NEO_EXPR_NEG ? "(-" : fabs_name, x[0].data);
    return;
  }
  open_round(p, out, dtype);
  if (e->op == NEO_EXPR_SQRT)
    neo_buf_printf(out, "%s(%s)", computed == NEO_F64 ? "sqrt" : "sqrtf", x[0].data);
  else if (float_helper(e->op, &helper))
    print_call(p, out, helper, computed, e->n_args, x);
  else if (e->n_args == 2 && infix(e->op))
    neo_buf_printf(out, "(%s%s%s)", x[0].data, infix(e->op), x[1].data);
  else
    c_fail(p, NEO_UNSUPPORTED, "operation '%s' was not expanded", neo_expr_op_name(e->op));
  close_round(out, dtype);
}

static bool int_helper(neo_expr_op op, bool is_signed, c_helper *out) {
  static const struct {
    neo_expr_op op;
    c_helper helper, of_unsigned;
  } rows[] = {{NEO_EXPR_DIV, C_HELPER_DIV, C_HELPER_DIV},
              {NEO_EXPR_MOD, C_HELPER_MOD, C_HELPER_MOD},
              {NEO_EXPR_FLOORDIV, C_HELPER_FLOORDIV, C_HELPER_DIV},
              {NEO_EXPR_FLOORMOD, C_HELPER_FLOORMOD, C_HELPER_MOD},
              {NEO_EXPR_SHL, C_HELPER_SHL, C_HELPER_SHL},
              {NEO_EXPR_SHR, C_HELPER_SHR, C_HELPER_SHR},
              {NEO_EXPR_MIN, C_HELPER_MIN, C_HELPER_MIN},
              {NEO_EXPR_MAX, C_HELPER_MAX, C_HELPER_MAX}};
  for (int k = 0; k < NEO_COUNT(rows); k++)
    if (rows[k].op == op) {
      *out = is_signed ? rows[k].helper : rows[k].of_unsigned;
      return true;
    }
  return false;
}

/* In an unsigned type of 32 bits at least, so that nothing overflows; then back, which wraps. */
static void print_int_op(c_printer *p, neo_buf *out, const neo_expr *e, const neo_buf *x) {
  const char *type = c_type(e->dtype),
             *wide = neo_dtype_size(e->dtype) == 8 ? "uint64_t" : "uint32_t";
  bool is_signed = neo_dtype_class(e->dtype) == 'i';
  c_helper helper;
  if (e->dtype == NEO_BOOL && e->n_args == 2)
    neo_buf_printf(out, "(%s%s%s)", x[0].data, infix(e->op), x[1].data);
  else if (e->dtype == NEO_BOOL)
    neo_buf_printf(out, "(!%s)", x[0].data);
  else if (e->n_args == 2 && int_helper(e->op, is_signed, &helper))
    print_call(p, out, helper, e->dtype, 2, x);
  else if (e->op == NEO_EXPR_ABS && is_signed)
    print_call(p, out, C_HELPER_IABS, e->dtype, 1, x);
  else if (e->op == NEO_EXPR_ABS)
    neo_buf_text(out, x[0].data);
  else if (e->op == NEO_EXPR_NEG)
    neo_buf_printf(out, "(%s)(0 - (%s)%s)", type, wide, x[0].data);
  else if (e->op == NEO_EXPR_BITNOT)
    neo_buf_printf(out, "(%s)~(%s)%s", type, wide, x[0].data);
  else if (e->op == NEO_EXPR_FMA)
    neo_buf_printf(out, "(%s)((%s)%s * (%s)%s + (%s)%s)", type, wide, x[0].data, wide, x[1].data,
                   wide, x[2].data);
  else if (e->n_args == 2 && infix(e->op))
    neo_buf_printf(out, "(%s)((%s)%s%s(%s)%s)", type, wide, x[0].data, infix(e->op), wide,
                   x[1].data);
  else
    c_fail(p, NEO_UNSUPPORTED, "operation '%s' on integers", neo_expr_op_name(e->op));
}

static void print_operation(c_printer *p, neo_buf *out, const neo_expr *e, const neo_buf *x) {
  switch (e->op) {
  case NEO_EXPR_BROADCAST:
    neo_buf_text(out, x[0].data);
    return;
  case NEO_EXPR_CAST:
    print_cast(p, out, e, x[0].data);
    return;
  case NEO_EXPR_BITCAST:
    print_bitcast(p, out, e, x[0].data);
    return;
  case NEO_EXPR_ISNAN:
    print_call(p, out, C_HELPER_ISNAN, e->arg[0]->dtype == NEO_F64 ? NEO_F64 : NEO_F32, 1, x);
    return;
  case NEO_EXPR_SELECT:
    neo_buf_printf(out, "(%s ? %s : %s)", x[0].data, x[1].data, x[2].data);
    return;
  case NEO_EXPR_LT:
  case NEO_EXPR_LE:
  case NEO_EXPR_EQ:
  case NEO_EXPR_NE:
    neo_buf_printf(out, "(%s%s%s)", x[0].data, infix(e->op), x[1].data);
    return;
  default:
    break;
  }
  if (is_float(e->dtype))
    print_float_op(p, out, e, x);
  else
    print_int_op(p, out, e, x);
}

/* ---- dot products -------------------------------------------------------------------------------- */

/* Element j of lane l's group, or of the group that all lanes share. No temporaries: their lane
 * would be another one. */
static void print_member(c_printer *p, neo_buf *out, const neo_expr *e, int group, int j) {
  char lane[32];
  const char *outer = p->lane;
  int number = p->lane_number;
  if (e->lanes == group)
    snprintf(lane, sizeof lane, "%d", j);
  else
    snprintf(lane, sizeof lane, "(%d * l + %d)", group, j);
  p->lane = lane;
  if (number >= 0)
    p->lane_number = e->lanes == group ? j : group * number + j;
  print_operand(p, e, NULL, out);
  p->lane = outer;
  p->lane_number = number;
}

static void print_intrinsic(c_printer *p, neo_buf *out, const neo_expr *e, neo_buf *lines) {
  const neo_intrinsic *row = neo_intrinsic_get(e->u.row);
  bool f = is_float(e->dtype);
  for (int j = 0; f && j < row->group; j++) {
    c_helper_name(p, out, C_HELPER_FMA, e->dtype, e->dtype);
    neo_buf_text(out, "(");
    print_member(p, out, e->arg[1], row->group, j);
    neo_buf_text(out, ", ");
    print_member(p, out, e->arg[2], row->group, j);
    neo_buf_text(out, ", ");
  }
  neo_buf_text(out, f ? "" : "(int32_t)((uint32_t)");
  print_operand(p, e->arg[0], lines, out);
  neo_buf_text(out, f ? "" : " + (uint32_t)(");
  for (int j = 0; !f && j < row->group; j++) {
    neo_buf_text(out, j ? " + " : "");
    print_member(p, out, e->arg[1], row->group, j);
    neo_buf_text(out, " * ");
    print_member(p, out, e->arg[2], row->group, j);
  }
  neo_buf_text(out, f ? "" : "))");
  for (int j = 0; f && j < row->group; j++)
    neo_buf_text(out, ")");
}

/* ---- operands ------------------------------------------------------------------------------------ */

static void print_node(c_printer *p, const neo_expr *e, neo_buf *lines, neo_buf *out) {
  neo_buf x[3] = {{0}};
  if (e->op == NEO_EXPR_LOAD) {
    print_load(p, out, e);
    return;
  }
  if (e->op == NEO_EXPR_INTRINSIC) {
    print_intrinsic(p, out, e, lines);
    return;
  }
  for (int k = 0; k < e->n_args; k++) {
    print_operand(p, e->arg[k], lines, &x[k]);
    neo_buf_text(&x[k], "");
  }
  print_operation(p, out, e, x);
  for (int k = 0; k < e->n_args; k++)
    neo_buf_fini(&x[k]);
}

/* lines NULL: no temporaries (index expressions, which are small trees). */
static void print_operand(c_printer *p, const neo_expr *e, neo_buf *lines, neo_buf *out) {
  if (e->op == NEO_EXPR_CONST) {
    if (is_float(e->dtype))
      print_float(out, e->dtype, e->u.f);
    else
      print_int(out, e->dtype, e->u.i);
    return;
  }
  if (e->op == NEO_EXPR_VAR) {
    p->var_used[e->u.var] = true;
    neo_buf_printf(out, "i%d", e->u.var);
    return;
  }
  if (!lines) {
    print_node(p, e, NULL, out);
    return;
  }
  c_node *node = node_at(p, e);
  if (!node->name) {
    neo_buf text = {0};
    print_node(p, e, lines, &text);
    node = node_at(p, e);
    bool trivial = e->op == NEO_EXPR_BROADCAST || text.size < 12;
    if ((node->uses > 1 && !trivial) || text.size > LONG_TEXT) {
      node->name = ++p->n_names;
      c_indent(p, lines);
      neo_buf_printf(lines, "const %s t%d = %s;\n", c_type(e->dtype), node->name, text.data);
    } else {
      neo_buf_text(out, text.data ? text.data : "");
    }
    neo_buf_fini(&text);
  }
  if (node->name)
    neo_buf_printf(out, "t%d", node->name);
}

void c_print_value(c_printer *p, const neo_expr *e, neo_buf *lines, neo_buf *value) {
  neo_arena_reset(&p->arena);
  p->nodes = NULL;
  p->n_slots = p->n_nodes = 0;
  p->n_names = p->lane_number > 0 ? p->n_names : 0; /* of all lanes in one block */
  grow_nodes(p);
  count_uses(p, e);
  print_operand(p, e, lines, value);
  neo_buf_text(value, "");
}
