/* ir/expr_build.c: constructors of expressions.
 *
 * Why constructors simplify: a te's text is its identity (the workload key is its hash), and
 * schedules compare and cancel indices all the time. So a node is brought to one normal form when
 * it is made:
 *
 *   1. An operation on constants is its constant (neo_expr_apply, the interpreters' own semantics).
 *   2. A constant argument of a commutative operation comes last (floats: not of min and max, whose
 *      argument order decides about NaN).
 *   3. Scalar i64 sums are linear forms (expr_linear.c): sorted atoms, coefficients, one constant.
 *   4. Only identities that hold for every value are applied: x + -0.0 but not x + 0.0 (signed
 * zero), x * 1, never x * 0 on floats.
 *   5. An operation whose arguments are all broadcasts is the broadcast of the scalar operation. */
#include "ir/expr_internal.h"

#include <math.h>
#include <string.h>

typedef struct op_row {
  const char *name;
  int arity;
} op_row;

static const op_row rows[] = {
#define X(name, text, arity) {text, arity},
    NEO_EXPR_OPS(X)
#undef X
};

const char *neo_expr_op_name(neo_expr_op op) {
  return rows[op].name;
}
int neo_expr_op_arity(neo_expr_op op) {
  return rows[op].arity;
}

neo_expr *neo_expr_raw(neo_arena *arena, neo_expr_op op, neo_dtype dtype, int lanes, int n_args,
                       const neo_expr *const *arg) {
  size_t args = sizeof(neo_expr *) * (size_t)n_args;
  neo_expr *e = neo_arena_alloc(arena, sizeof *e + args);
  const neo_expr **copy = (const neo_expr **)(void *)(e + 1);
  for (int k = 0; k < n_args; k++)
    copy[k] = arg[k];
  e->op = op;
  e->dtype = dtype;
  e->lanes = (uint16_t)lanes;
  e->n_args = n_args;
  e->arg = n_args ? copy : NULL;
  return e;
}

/* ---- leaves ------------------------------------------------------------------------------------
 */

const neo_expr *neo_expr_const_f(neo_arena *arena, neo_dtype dtype, double v) {
  if (neo_dtype_class(dtype) != 'f')
    return neo_expr_const_i(arena, dtype, (int64_t)v);
  neo_expr *e = neo_expr_raw(arena, NEO_EXPR_CONST, dtype, 1, 0, NULL);
  e->u.f = isnan(v) ? NAN : neo_scalar_round(dtype, (neo_scalar){.f = v}).f;
  return e;
}

const neo_expr *neo_expr_const_i(neo_arena *arena, neo_dtype dtype, int64_t v) {
  if (neo_dtype_class(dtype) == 'f')
    return neo_expr_const_f(arena, dtype, (double)v);
  neo_expr *e = neo_expr_raw(arena, NEO_EXPR_CONST, dtype, 1, 0, NULL);
  e->u.i = neo_scalar_round(dtype, (neo_scalar){.i = v}).i;
  return e;
}

const neo_expr *neo_expr_index(neo_arena *arena, int64_t v) {
  return neo_expr_const_i(arena, NEO_I64, v);
}

const neo_expr *neo_expr_var(neo_arena *arena, int var) {
  neo_expr *e = neo_expr_raw(arena, NEO_EXPR_VAR, NEO_I64, 1, 0, NULL);
  e->u.var = var;
  return e;
}

bool neo_expr_is_const(const neo_expr *e, int64_t *out) {
  if (e->op != NEO_EXPR_CONST || neo_dtype_class(e->dtype) == 'f')
    return false;
  *out = e->u.i;
  return true;
}

/* ---- types -------------------------------------------------------------------------------------
 */

static bool is_float(const neo_expr *e) {
  return neo_dtype_class(e->dtype) == 'f';
}
static bool is_bool(const neo_expr *e) {
  return e->dtype == NEO_BOOL;
}
static bool is_int(const neo_expr *e) {
  return !is_float(e) && !is_bool(e);
}

static bool lanes_agree(int n, const neo_expr *const *arg) {
  int lanes = 1;
  for (int k = 0; k < n; k++) {
    if (arg[k]->lanes == 1 || arg[k]->lanes == lanes)
      continue;
    if (lanes != 1)
      return false;
    lanes = arg[k]->lanes;
  }
  return true;
}

static bool unary_type_ok(neo_expr_op op, const neo_expr *a) {
  switch (op) {
  case NEO_EXPR_NEG:
  case NEO_EXPR_ABS:
    return !is_bool(a);
  case NEO_EXPR_NOT:
    return is_bool(a);
  case NEO_EXPR_BITNOT:
    return is_int(a);
  default:
    return is_float(a);
  }
}

static bool binary_type_ok(neo_expr_op op, const neo_expr *a, const neo_expr *b) {
  if (a->dtype != b->dtype)
    return false;
  switch (op) {
  case NEO_EXPR_AND:
  case NEO_EXPR_OR:
    return is_bool(a);
  case NEO_EXPR_BITAND:
  case NEO_EXPR_BITOR:
  case NEO_EXPR_BITXOR:
  case NEO_EXPR_SHL:
  case NEO_EXPR_SHR:
    return is_int(a);
  case NEO_EXPR_EQ:
  case NEO_EXPR_NE:
    return true;
  default:
    return !is_bool(a);
  }
}

bool neo_expr_types_agree(neo_expr_op op, int n, const neo_expr *const *arg) {
  if (n != rows[op].arity || !lanes_agree(n, arg))
    return false;
  switch (op) {
  case NEO_EXPR_SELECT:
    return is_bool(arg[0]) && arg[1]->dtype == arg[2]->dtype;
  case NEO_EXPR_FMA:
    return !is_bool(arg[0]) && arg[0]->dtype == arg[1]->dtype && arg[1]->dtype == arg[2]->dtype;
  case NEO_EXPR_CAST:
  case NEO_EXPR_BITCAST:
  case NEO_EXPR_BROADCAST:
    return true;
  default:
    return n == 1 ? unary_type_ok(op, arg[0]) : n == 2 && binary_type_ok(op, arg[0], arg[1]);
  }
}

/* ---- broadcasting and folding ------------------------------------------------------------------
 */

const neo_expr *neo_expr_broadcast(neo_arena *arena, const neo_expr *a, int lanes) {
  if (a->lanes == lanes)
    return a;
  neo_assert(a->lanes == 1);
  return neo_expr_raw(arena, NEO_EXPR_BROADCAST, a->dtype, lanes, 1, &a);
}

/* The scalar that every lane holds, or NULL. */
static const neo_expr *uniform(const neo_expr *e) {
  return e->lanes == 1 ? e : e->op == NEO_EXPR_BROADCAST ? e->arg[0] : NULL;
}

static const neo_expr *uniform_const(const neo_expr *e) {
  const neo_expr *u = uniform(e);
  return u && u->op == NEO_EXPR_CONST ? u : NULL;
}

static bool same_float(double a, double b) {
  uint64_t x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  return x == y;
}

/* e is this very constant in every lane (-0.0 is not 0.0). */
static bool is_value(const neo_expr *e, double v) {
  const neo_expr *c = uniform_const(e);
  if (!c)
    return false;
  return is_float(c) ? same_float(c->u.f, v) : (double)c->u.i == v;
}

static const neo_expr *fold(neo_arena *arena, const neo_expr *e) {
  neo_scalar args[3] = {{0}};
  for (int k = 0; k < e->n_args; k++) {
    const neo_expr *c = e->arg[k];
    if (c->op != NEO_EXPR_CONST)
      return e;
    if (is_float(c))
      args[k].f = c->u.f;
    else
      args[k].i = c->u.i;
  }
  neo_scalar v = neo_expr_apply(e, args);
  return is_float(e) ? neo_expr_const_f(arena, e->dtype, v.f)
                     : neo_expr_const_i(arena, e->dtype, v.i);
}

/* The node over arguments brought to equal lanes; folded, and broadcast outwards where all are
 * uniform. */
static const neo_expr *finish(neo_arena *arena, neo_expr_op op, neo_dtype dtype, int n,
                              const neo_expr *const *arg) {
  const neo_expr *a[3];
  int lanes = 1;
  bool all_uniform = true;
  for (int k = 0; k < n; k++) {
    lanes = arg[k]->lanes > lanes ? arg[k]->lanes : lanes;
    all_uniform = all_uniform && uniform(arg[k]);
  }
  for (int k = 0; k < n; k++)
    a[k] = all_uniform ? uniform(arg[k]) : neo_expr_broadcast(arena, arg[k], lanes);
  const neo_expr *e = neo_expr_raw(arena, op, dtype, all_uniform ? 1 : lanes, n, a);
  return all_uniform ? neo_expr_broadcast(arena, fold(arena, e), lanes) : e;
}

/* ---- unary -------------------------------------------------------------------------------------
 */

static bool is_index(const neo_expr *e) {
  return e->dtype == NEO_I64 && e->lanes == 1;
}

const neo_expr *neo_expr_unary(neo_arena *arena, neo_expr_op op, const neo_expr *a) {
  neo_assert(rows[op].arity == 1 && op != NEO_EXPR_CAST && op != NEO_EXPR_BITCAST &&
             op != NEO_EXPR_BROADCAST);
  neo_assert(unary_type_ok(op, a));
  if (op == NEO_EXPR_NEG && is_index(a)) {
    neo_linear l;
    neo_linear_init(&l, arena);
    neo_linear_add(&l, a, -1);
    return neo_linear_expr(&l);
  }
  bool involution = op == NEO_EXPR_NEG || op == NEO_EXPR_NOT || op == NEO_EXPR_BITNOT;
  if (involution && a->op == op)
    return a->arg[0];
  return finish(arena, op, op == NEO_EXPR_ISNAN ? NEO_BOOL : a->dtype, 1, &a);
}

const neo_expr *neo_expr_cast(neo_arena *arena, neo_dtype dtype, const neo_expr *a) {
  return a->dtype == dtype ? a : finish(arena, NEO_EXPR_CAST, dtype, 1, &a);
}

const neo_expr *neo_expr_bitcast(neo_arena *arena, neo_dtype dtype, const neo_expr *a) {
  neo_assert(neo_dtype_size(dtype) == neo_dtype_size(a->dtype));
  return a->dtype == dtype ? a : finish(arena, NEO_EXPR_BITCAST, dtype, 1, &a);
}

/* ---- binary ------------------------------------------------------------------------------------
 */

static bool commutes(neo_expr_op op, bool floats) {
  switch (op) {
  case NEO_EXPR_ADD:
  case NEO_EXPR_MUL:
  case NEO_EXPR_AND:
  case NEO_EXPR_OR:
  case NEO_EXPR_BITAND:
  case NEO_EXPR_BITOR:
  case NEO_EXPR_BITXOR:
  case NEO_EXPR_EQ:
  case NEO_EXPR_NE:
    return true;
  case NEO_EXPR_MIN:
  case NEO_EXPR_MAX:
    return !floats;
  default:
    return false;
  }
}

/* x op c == x for this constant c on the right. */
static bool right_identity(neo_expr_op op, const neo_expr *c) {
  switch (op) {
  case NEO_EXPR_ADD:
    return is_value(c, is_float(c) ? -0.0 : 0);
  case NEO_EXPR_SUB:
  case NEO_EXPR_BITOR:
  case NEO_EXPR_BITXOR:
  case NEO_EXPR_SHL:
  case NEO_EXPR_SHR:
  case NEO_EXPR_OR:
    return is_value(c, 0);
  case NEO_EXPR_MUL:
  case NEO_EXPR_DIV:
  case NEO_EXPR_POW:
  case NEO_EXPR_AND:
    return is_value(c, 1);
  case NEO_EXPR_FLOORDIV:
    return is_int(c) && is_value(c, 1);
  default:
    return false;
  }
}

/* x op c == c. */
static bool right_absorbs(neo_expr_op op, const neo_expr *c) {
  switch (op) {
  case NEO_EXPR_MUL:
    return is_int(c) && is_value(c, 0);
  case NEO_EXPR_BITAND:
  case NEO_EXPR_AND:
    return is_value(c, 0);
  case NEO_EXPR_OR:
    return is_value(c, 1);
  default:
    return false;
  }
}

static const neo_expr *linear_binary(neo_arena *arena, neo_expr_op op, const neo_expr *a,
                                     const neo_expr *b) {
  neo_linear l;
  int64_t d;
  neo_linear_init(&l, arena);
  switch (op) {
  case NEO_EXPR_ADD:
  case NEO_EXPR_SUB:
    neo_linear_add(&l, a, 1);
    neo_linear_add(&l, b, op == NEO_EXPR_ADD ? 1 : -1);
    return neo_linear_expr(&l);
  case NEO_EXPR_MUL:
    if (!neo_expr_is_const(b, &d))
      return NULL;
    neo_linear_add(&l, a, d);
    return neo_linear_expr(&l);
  case NEO_EXPR_FLOORDIV:
    return neo_expr_is_const(b, &d) && d > 0 ? neo_expr_floordiv(arena, a, d, NULL, 0) : NULL;
  case NEO_EXPR_FLOORMOD:
    return neo_expr_is_const(b, &d) && d > 0 ? neo_expr_floormod(arena, a, d, NULL, 0) : NULL;
  default:
    return NULL;
  }
}

static bool yields_bool(neo_expr_op op) {
  return op >= NEO_EXPR_LT && op <= NEO_EXPR_NE;
}

const neo_expr *neo_expr_binary(neo_arena *arena, neo_expr_op op, const neo_expr *a,
                                const neo_expr *b) {
  const neo_expr *arg[2] = {a, b};
  neo_assert(neo_expr_types_agree(op, 2, arg));
  if (commutes(op, is_float(a)) && uniform_const(a) && !uniform_const(b)) {
    arg[0] = b;
    arg[1] = a;
  }
  if (is_index(a) && is_index(b)) {
    const neo_expr *e = linear_binary(arena, op, arg[0], arg[1]);
    if (e)
      return e;
  }
  int lanes = a->lanes > b->lanes ? a->lanes : b->lanes;
  if (right_identity(op, arg[1]))
    return neo_expr_broadcast(arena, arg[0], lanes);
  if (right_absorbs(op, arg[1]))
    return neo_expr_broadcast(arena, arg[1], lanes);
  if ((op == NEO_EXPR_MIN || op == NEO_EXPR_MAX || op == NEO_EXPR_AND || op == NEO_EXPR_OR) &&
      neo_expr_equal(a, b))
    return a;
  return finish(arena, op, yields_bool(op) ? NEO_BOOL : a->dtype, 2, arg);
}

const neo_expr *neo_expr_select(neo_arena *arena, const neo_expr *c, const neo_expr *a,
                                const neo_expr *b) {
  const neo_expr *arg[3] = {c, a, b};
  neo_assert(neo_expr_types_agree(NEO_EXPR_SELECT, 3, arg));
  int lanes = a->lanes > b->lanes ? a->lanes : b->lanes;
  lanes = c->lanes > lanes ? c->lanes : lanes;
  const neo_expr *known = uniform_const(c);
  if (known)
    return neo_expr_broadcast(arena, known->u.i ? a : b, lanes);
  if (neo_expr_equal(a, b))
    return neo_expr_broadcast(arena, a, lanes);
  return finish(arena, NEO_EXPR_SELECT, a->dtype, 3, arg);
}

const neo_expr *neo_expr_fma(neo_arena *arena, const neo_expr *a, const neo_expr *b,
                             const neo_expr *c) {
  const neo_expr *arg[3] = {a, b, c};
  neo_assert(neo_expr_types_agree(NEO_EXPR_FMA, 3, arg));
  if (!is_float(a))
    return neo_expr_binary(arena, NEO_EXPR_ADD, neo_expr_binary(arena, NEO_EXPR_MUL, a, b), c);
  return finish(arena, NEO_EXPR_FMA, a->dtype, 3, arg);
}

/* ---- loads and intrinsics ----------------------------------------------------------------------
 */

const neo_expr *neo_expr_load(neo_arena *arena, neo_dtype dtype, int buffer, int n_index,
                              const neo_expr *const *index) {
  return neo_expr_load_guarded(arena, dtype, buffer, n_index, index, NULL);
}

const neo_expr *neo_expr_load_guarded(neo_arena *arena, neo_dtype dtype, int buffer, int n_index,
                                      const neo_expr *const *index, const neo_guards *guards) {
  int n_guards = guards ? guards->n : 0;
  neo_assert(n_guards <= NEO_MAX_GUARDS);
  neo_expr *e = neo_expr_raw(arena, NEO_EXPR_LOAD, dtype, 1, n_index, index);
  e->active = 1;
  e->u.load.buffer = buffer;
  neo_guard *kept = n_guards ? neo_arena_alloc(arena, sizeof *kept * (size_t)n_guards) : NULL;
  int n = 0;
  for (int k = 0; k < n_guards; k++) {
    int64_t v;
    const neo_guard *g = &guards->guard[k];
    if (neo_expr_is_const(g->index, &v) && v >= g->lo && v < g->hi)
      continue;
    kept[n++] = *g;
  }
  e->u.load.n_guards = n;
  e->u.load.guard = n ? kept : NULL;
  e->u.load.fill = n ? (isnan(guards->fill) ? NAN : guards->fill) : 0;
  return e;
}

const neo_expr *neo_expr_load_vector(neo_arena *arena, neo_dtype dtype, int buffer,
                                     const neo_expr *offset, int lanes, int active) {
  neo_assert(lanes >= 1 && active >= 1 && active <= lanes);
  neo_expr *e = neo_expr_raw(arena, NEO_EXPR_LOAD, dtype, lanes, 1, &offset);
  e->active = (uint16_t)active;
  e->u.load.buffer = buffer;
  return e;
}

const neo_expr *neo_expr_intrinsic(neo_arena *arena, int row, neo_dtype dtype, int lanes,
                                   int n_args, const neo_expr *const *arg) {
  neo_expr *e = neo_expr_raw(arena, NEO_EXPR_INTRINSIC, dtype, lanes, n_args, arg);
  e->u.row = row;
  return e;
}

/* ---- rebuilding --------------------------------------------------------------------------------
 */

static const neo_expr *rebuild_load(neo_arena *arena, const neo_expr *e, const neo_expr *const *arg,
                                    const neo_guard *guard) {
  if (e->lanes > 1)
    return neo_expr_load_vector(arena, e->dtype, e->u.load.buffer, arg[0], e->lanes, e->active);
  return neo_expr_load_guarded(arena, e->dtype, e->u.load.buffer, e->n_args, arg,
                               &(neo_guards){e->u.load.n_guards, guard, e->u.load.fill});
}

const neo_expr *neo_expr_rebuild(neo_arena *arena, const neo_expr *e, const neo_expr *const *arg,
                                 const neo_guard *guard) {
  switch (e->op) {
  case NEO_EXPR_CONST:
  case NEO_EXPR_VAR:
    return e;
  case NEO_EXPR_LOAD:
    return rebuild_load(arena, e, arg, guard);
  case NEO_EXPR_CAST:
    return neo_expr_cast(arena, e->dtype, arg[0]);
  case NEO_EXPR_BITCAST:
    return neo_expr_bitcast(arena, e->dtype, arg[0]);
  case NEO_EXPR_BROADCAST:
    return neo_expr_broadcast(arena, arg[0], e->lanes);
  case NEO_EXPR_SELECT:
    return neo_expr_select(arena, arg[0], arg[1], arg[2]);
  case NEO_EXPR_FMA:
    return neo_expr_fma(arena, arg[0], arg[1], arg[2]);
  case NEO_EXPR_INTRINSIC:
    return neo_expr_intrinsic(arena, e->u.row, e->dtype, e->lanes, e->n_args, arg);
  default:
    return e->n_args == 1 ? neo_expr_unary(arena, e->op, arg[0])
                          : neo_expr_binary(arena, e->op, arg[0], arg[1]);
  }
}

/* ---- comparison --------------------------------------------------------------------------------
 */

static int compare_i64(int64_t a, int64_t b) {
  return a < b ? -1 : a > b;
}

static int compare_bits(double a, double b) {
  int64_t x, y;
  memcpy(&x, &a, sizeof x);
  memcpy(&y, &b, sizeof y);
  return compare_i64(x, y);
}

static int compare_loads(const neo_expr *a, const neo_expr *b) {
  int c = compare_i64(a->u.load.buffer, b->u.load.buffer);
  if (!c)
    c = compare_i64(a->active, b->active);
  if (!c)
    c = compare_i64(a->u.load.n_guards, b->u.load.n_guards);
  if (!c)
    c = compare_bits(a->u.load.fill, b->u.load.fill);
  for (int k = 0; !c && k < a->u.load.n_guards; k++) {
    const neo_guard *g = &a->u.load.guard[k], *h = &b->u.load.guard[k];
    c = compare_i64(g->lo, h->lo);
    if (!c)
      c = compare_i64(g->hi, h->hi);
    if (!c)
      c = neo_expr_compare(g->index, h->index);
  }
  return c;
}

static int compare_payload(const neo_expr *a, const neo_expr *b) {
  switch (a->op) {
  case NEO_EXPR_CONST:
    return is_float(a) ? compare_bits(a->u.f, b->u.f) : compare_i64(a->u.i, b->u.i);
  case NEO_EXPR_VAR:
    return compare_i64(a->u.var, b->u.var);
  case NEO_EXPR_INTRINSIC:
    return compare_i64(a->u.row, b->u.row);
  case NEO_EXPR_LOAD:
    return compare_loads(a, b);
  default:
    return 0;
  }
}

int neo_expr_compare(const neo_expr *a, const neo_expr *b) {
  if (a == b)
    return 0;
  int c = compare_i64(a->op, b->op);
  if (!c)
    c = compare_i64(a->dtype, b->dtype);
  if (!c)
    c = compare_i64(a->lanes, b->lanes);
  if (!c)
    c = compare_i64(a->n_args, b->n_args);
  if (!c)
    c = compare_payload(a, b);
  for (int k = 0; !c && k < a->n_args; k++)
    c = neo_expr_compare(a->arg[k], b->arg[k]);
  return c;
}

bool neo_expr_equal(const neo_expr *a, const neo_expr *b) {
  return neo_expr_compare(a, b) == 0;
}
