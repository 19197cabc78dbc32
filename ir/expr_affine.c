/* ir/expr_affine.c: affine forms, intervals, and quasi-affine division.
 *
 * floordiv(e, d) with e = sum c_k * x_k + b: terms whose coefficient d divides leave the division
 * exactly, and so does the multiple of d in what is left over when its interval shows which one it
 * is. Else, with a divisor g > 1 of d such that terms divided by g remain and the others' sum lies
 * in [0, g), floordiv(g * T + R, d) = floordiv(T, d / g), and floormod(g * T + R, d) = g *
 * floormod(T, d / g) + R. */
#include "ir/expr_internal.h"

#include <string.h>

#define INF_LO INT64_MIN
#define INF_HI INT64_MAX
#define FINITE_LIMIT (INT64_C(1) << 61)

/* ---- affine ------------------------------------------------------------------------------------
 */

bool neo_expr_affine(const neo_expr *e, neo_affine *out) {
  neo_affine a = {0};
  int64_t c;
  if (e->dtype != NEO_I64 || e->lanes != 1)
    return false;
  /* The tree is in normal form: a left-leaning chain, largest variable outermost. */
  for (;;) {
    const neo_expr *t = e->op == NEO_EXPR_ADD ? e->arg[1] : e;
    if (neo_expr_is_const(t, &c)) {
      a.base = neo_wrap_add(a.base, c);
    } else {
      bool scaled = t->op == NEO_EXPR_MUL && neo_expr_is_const(t->arg[1], &c);
      const neo_expr *atom = scaled ? t->arg[0] : t;
      if (atom->op != NEO_EXPR_VAR || a.n == NEO_AFFINE_MAX_TERMS)
        return false;
      memmove(&a.var[1], &a.var[0], sizeof a.var[0] * (size_t)a.n);
      memmove(&a.coef[1], &a.coef[0], sizeof a.coef[0] * (size_t)a.n);
      a.var[0] = atom->u.var;
      a.coef[0] = scaled ? c : 1;
      a.n++;
    }
    if (e->op != NEO_EXPR_ADD)
      break;
    e = e->arg[0];
  }
  *out = a;
  return true;
}

const neo_expr *neo_affine_expr(neo_arena *arena, const neo_affine *a) {
  neo_linear l;
  neo_linear_init(&l, arena);
  l.base = a->base;
  for (int k = 0; k < a->n; k++)
    neo_linear_add_term(&l, neo_expr_var(arena, a->var[k]), a->coef[k]);
  return neo_linear_expr(&l);
}

int64_t neo_affine_coef(const neo_affine *a, int var) {
  for (int k = 0; k < a->n; k++) {
    if (a->var[k] == var)
      return a->coef[k];
  }
  return 0;
}

/* ---- intervals ---------------------------------------------------------------------------------
 */

static const neo_range everything = {INF_LO, INF_HI};

static int64_t clamp_end(int64_t v) {
  return v >= FINITE_LIMIT ? INF_HI : v <= -FINITE_LIMIT ? INF_LO : v;
}

static int64_t end_add(int64_t a, int64_t b) {
  if (a == INF_LO || b == INF_LO)
    return INF_LO;
  if (a == INF_HI || b == INF_HI)
    return INF_HI;
  return clamp_end(a + b);
}

static int64_t end_mul(int64_t a, int64_t b) {
  if (a == 0 || b == 0)
    return 0;
  bool negative = (a < 0) != (b < 0);
  bool infinite = a == INF_LO || a == INF_HI || b == INF_LO || b == INF_HI;
  uint64_t x = a < 0 ? 0 - (uint64_t)a : (uint64_t)a, y = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
  if (infinite || x > (uint64_t)FINITE_LIMIT / y)
    return negative ? INF_LO : INF_HI;
  return clamp_end(a * b);
}

static int64_t end_floordiv(int64_t a, int64_t d) {
  return a == INF_LO || a == INF_HI ? a : neo_floor_div(a, d);
}

static neo_range range_add(neo_range a, neo_range b) {
  /* an infinite end of either stays one: lower ends are never +inf, upper ends never -inf */
  return (neo_range){end_add(a.lo, b.lo),
                     a.hi == INF_HI || b.hi == INF_HI ? INF_HI : end_add(a.hi, b.hi)};
}

static neo_range range_mul(neo_range a, neo_range b) {
  int64_t p[4] = {end_mul(a.lo, b.lo), end_mul(a.lo, b.hi), end_mul(a.hi, b.lo),
                  end_mul(a.hi, b.hi)};
  neo_range r = {p[0], p[0]};
  for (int k = 1; k < 4; k++) {
    r.lo = neo_min_i64(r.lo, p[k]);
    r.hi = neo_max_i64(r.hi, p[k]);
  }
  return r;
}

static neo_range range_floormod(neo_range a, int64_t d) {
  bool finite = a.lo != INF_LO && a.hi != INF_HI;
  if (finite && neo_floor_div(a.lo, d) == neo_floor_div(a.hi, d))
    return (neo_range){neo_floor_mod(a.lo, d), neo_floor_mod(a.hi, d)};
  return (neo_range){0, d - 1};
}

typedef struct facts {
  const neo_range *range;
  int n;
  const neo_guard *fact;
  int n_facts;
} facts;

static neo_range range_of(const neo_expr *e, const facts *f);

static neo_range range_of_int_cast(const neo_expr *e, const facts *f) {
  const neo_expr *a = e->arg[0];
  if (a->dtype == NEO_BOOL)
    return (neo_range){0, 1};
  if (neo_dtype_class(a->dtype) == 'f' || neo_dtype_size(a->dtype) == 8)
    return everything;
  int bits = 8 * (int)neo_dtype_size(a->dtype);
  bool is_signed = neo_dtype_class(a->dtype) == 'i';
  int64_t hi = (INT64_C(1) << (is_signed ? bits - 1 : bits)) - 1;
  (void)f;
  return (neo_range){is_signed ? -hi - 1 : 0, hi};
}

static neo_range range_binary(const neo_expr *e, const facts *f) {
  neo_range a = range_of(e->arg[0], f), b = range_of(e->arg[1], f);
  int64_t d;
  bool divisor = neo_expr_is_const(e->arg[1], &d) && d > 0;
  switch (e->op) {
  case NEO_EXPR_ADD:
    return range_add(a, b);
  case NEO_EXPR_MUL:
    return range_mul(a, b);
  case NEO_EXPR_MIN:
    return (neo_range){neo_min_i64(a.lo, b.lo), neo_min_i64(a.hi, b.hi)};
  case NEO_EXPR_MAX:
    return (neo_range){neo_max_i64(a.lo, b.lo), neo_max_i64(a.hi, b.hi)};
  case NEO_EXPR_FLOORDIV:
    return divisor ? (neo_range){end_floordiv(a.lo, d), end_floordiv(a.hi, d)} : everything;
  case NEO_EXPR_FLOORMOD:
    return divisor ? range_floormod(a, d) : everything;
  default:
    return everything;
  }
}

static neo_range range_plain(const neo_expr *e, const facts *f) {
  if (e->dtype != NEO_I64 || e->lanes != 1)
    return everything;
  switch (e->op) {
  case NEO_EXPR_CONST:
    return (neo_range){clamp_end(e->u.i), clamp_end(e->u.i)};
  case NEO_EXPR_VAR:
    return e->u.var < f->n ? f->range[e->u.var] : everything;
  case NEO_EXPR_SELECT: {
    neo_range a = range_of(e->arg[1], f), b = range_of(e->arg[2], f);
    return (neo_range){neo_min_i64(a.lo, b.lo), neo_max_i64(a.hi, b.hi)};
  }
  case NEO_EXPR_CAST:
    return range_of_int_cast(e, f);
  default:
    return e->n_args == 2 ? range_binary(e, f) : everything;
  }
}

/* b - a for scalar i64 sums that differ by a constant only. */
static bool constant_difference(const neo_expr *a, const neo_expr *b, int64_t *out) {
  int64_t x = 0, y = 0;
  bool ca = neo_expr_is_const(a, &x), cb = neo_expr_is_const(b, &y);
  const neo_expr *ra = a, *rb = b;
  if (ca || cb)
    return false;
  if (a->op == NEO_EXPR_ADD && neo_expr_is_const(a->arg[1], &x))
    ra = a->arg[0];
  else
    x = 0;
  if (b->op == NEO_EXPR_ADD && neo_expr_is_const(b->arg[1], &y))
    rb = b->arg[0];
  else
    y = 0;
  if (!neo_expr_equal(ra, rb))
    return false;
  *out = neo_wrap_sub(y, x);
  return true;
}

static neo_range range_of(const neo_expr *e, const facts *f) {
  neo_range r = range_plain(e, f);
  for (int k = 0; k < f->n_facts; k++) {
    int64_t c;
    if (!constant_difference(f->fact[k].index, e, &c))
      continue;
    int64_t lo = end_add(clamp_end(f->fact[k].lo), clamp_end(c));
    int64_t hi = end_add(clamp_end(f->fact[k].hi), clamp_end(neo_wrap_sub(c, 1)));
    r.lo = neo_max_i64(r.lo, lo);
    r.hi = neo_min_i64(r.hi, hi);
  }
  return r;
}

neo_range neo_expr_range_facts(const neo_expr *e, const neo_range *range, int n,
                               const neo_guard *fact, int n_facts) {
  facts f = {range, n, fact, n_facts};
  return range_of(e, &f);
}

bool neo_expr_range(const neo_expr *e, const neo_range *range, int n, neo_range *out) {
  neo_range r = neo_expr_range_facts(e, range, n, NULL, 0);
  if (r.lo == INF_LO || r.hi == INF_HI || r.lo == INF_HI || r.hi == INF_LO)
    return false;
  *out = r;
  return true;
}

enum { MOST_TWOS = 30 }; /* of 0, too */

static int twos_of(int64_t v) {
  int n = 0;
  for (; n < MOST_TWOS && v % 2 == 0; v /= 2)
    n++;
  return n;
}

static int less_twos(const neo_expr *a, const neo_expr *b, const uint8_t *twos, int n) {
  int x = neo_expr_twos(a, twos, n);
  return x == 0 ? 0 : (int)neo_min_i64(x, neo_expr_twos(b, twos, n));
}

int neo_expr_twos(const neo_expr *e, const uint8_t *twos, int n) {
  int64_t d;
  switch (e->op) {
  case NEO_EXPR_CONST:
    return neo_dtype_class(e->dtype) == 'f' ? 0 : twos_of(e->u.i);
  case NEO_EXPR_VAR:
    return e->u.var < n ? twos[e->u.var] : 0;
  case NEO_EXPR_ADD:
  case NEO_EXPR_SUB:
  case NEO_EXPR_MIN:
  case NEO_EXPR_MAX:
  case NEO_EXPR_FLOORMOD: /* a - b * floor(a / b) */
    return less_twos(e->arg[0], e->arg[1], twos, n);
  case NEO_EXPR_SELECT:
    return less_twos(e->arg[1], e->arg[2], twos, n);
  case NEO_EXPR_MUL:
    return (int)neo_min_i64(MOST_TWOS,
                            neo_expr_twos(e->arg[0], twos, n) + neo_expr_twos(e->arg[1], twos, n));
  case NEO_EXPR_FLOORDIV: /* by a power of two that divides */
    if (neo_expr_is_const(e->arg[1], &d) && d > 0 && (d & (d - 1)) == 0)
      return (int)neo_max_i64(0, neo_expr_twos(e->arg[0], twos, n) - twos_of(d));
    return 0;
  default:
    return 0;
  }
}

/* ---- quasi-affine division
 * ----------------------------------------------------------------------- */

static bool has_load(const neo_expr *e) {
  if (e->op == NEO_EXPR_LOAD)
    return true;
  for (int k = 0; k < e->n_args; k++) {
    if (has_load(e->arg[k]))
      return true;
  }
  return false;
}

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b;
    b = r;
  }
  return a < 0 ? -a : a;
}

/* e = d * quotient + rest, where the quotient takes every term and constant that d divides. */
static void split_divisible(neo_arena *arena, const neo_expr *e, int64_t d, neo_linear *quotient,
                            neo_linear *rest) {
  neo_linear all;
  neo_linear_init(&all, arena);
  neo_linear_init(quotient, arena);
  neo_linear_init(rest, arena);
  neo_linear_add(&all, e, 1);
  for (int k = 0; k < all.n; k++) {
    bool divides = all.term[k].coef % d == 0;
    neo_linear_add_term(divides ? quotient : rest, all.term[k].atom,
                        divides ? all.term[k].coef / d : all.term[k].coef);
  }
  quotient->base = neo_floor_div(all.base, d);
  rest->base = neo_floor_mod(all.base, d);
}

/* The multiple q of d with q * d <= e < (q + 1) * d for all variable values, if there is one. */
static bool fixed_quotient(const neo_expr *e, int64_t d, const neo_range *range, int n,
                           int64_t *q) {
  neo_range r;
  if (!neo_expr_range(e, range, n, &r) || neo_floor_div(r.lo, d) != neo_floor_div(r.hi, d))
    return false;
  *q = neo_floor_div(r.lo, d);
  return true;
}

/* e = g * quotient + rest with rest in [0, g), for a divisor g of d, 1 < g < d. */
typedef struct factored {
  int64_t g;
  const neo_expr *quotient, *rest;
} factored;

static bool split_factor(neo_arena *arena, const neo_expr *e, int64_t d, const neo_range *range,
                         int n, factored *out) {
  neo_linear all;
  neo_linear_init(&all, arena);
  neo_linear_add(&all, e, 1);
  int64_t tried = d;
  for (;;) {
    int64_t g = 1; /* the largest gcd below the last one tried */
    for (int k = 0; k < all.n; k++) {
      int64_t c = gcd(all.term[k].coef, d);
      if (c < tried && c > g)
        g = c;
    }
    if (g == 1)
      return false;
    neo_linear q, r;
    int64_t fixed;
    split_divisible(arena, e, g, &q, &r);
    const neo_expr *re = neo_linear_expr(&r);
    if (fixed_quotient(re, g, range, n, &fixed)) {
      q.base += fixed;
      r.base -= fixed * g;
      *out = (factored){g, neo_linear_expr(&q), neo_linear_expr(&r)};
      return true;
    }
    tried = g;
  }
}

static const neo_expr *raw_division(neo_arena *arena, neo_expr_op op, const neo_expr *e,
                                    int64_t d) {
  int64_t c;
  if (neo_expr_is_const(e, &c))
    return neo_expr_index(arena,
                          op == NEO_EXPR_FLOORDIV ? neo_floor_div(c, d) : neo_floor_mod(c, d));
  const neo_expr *arg[2] = {e, neo_expr_index(arena, d)};
  return neo_expr_raw(arena, op, NEO_I64, 1, 2, arg);
}

static const neo_expr *sum2(neo_arena *arena, const neo_expr *a, int64_t coef, const neo_expr *b) {
  neo_linear l;
  neo_linear_init(&l, arena);
  neo_linear_add(&l, a, coef);
  neo_linear_add(&l, b, 1);
  return neo_linear_expr(&l);
}

const neo_expr *neo_expr_floordiv(neo_arena *arena, const neo_expr *e, int64_t d,
                                  const neo_range *range, int n) {
  neo_assert(d > 0);
  if (d == 1)
    return e;
  if (has_load(e))
    return raw_division(arena, NEO_EXPR_FLOORDIV, e, d);
  int64_t q, inner;
  neo_linear quotient, rest;
  split_divisible(arena, e, d, &quotient, &rest);
  const neo_expr *r = neo_linear_expr(&rest);
  if (fixed_quotient(r, d, range, n, &q)) {
    quotient.base += q;
    return neo_linear_expr(&quotient);
  }
  if (r->op == NEO_EXPR_FLOORDIV && neo_expr_is_const(r->arg[1], &inner) && inner > 0 &&
      inner < FINITE_LIMIT / d)
    return sum2(arena, neo_linear_expr(&quotient), 1,
                neo_expr_floordiv(arena, r->arg[0], inner * d, range, n));
  factored f;
  if (split_factor(arena, r, d, range, n, &f))
    return sum2(arena, neo_linear_expr(&quotient), 1,
                neo_expr_floordiv(arena, f.quotient, d / f.g, range, n));
  return sum2(arena, neo_linear_expr(&quotient), 1, raw_division(arena, NEO_EXPR_FLOORDIV, r, d));
}

const neo_expr *neo_expr_floormod(neo_arena *arena, const neo_expr *e, int64_t d,
                                  const neo_range *range, int n) {
  neo_assert(d > 0);
  if (d == 1)
    return neo_expr_index(arena, 0);
  if (has_load(e))
    return raw_division(arena, NEO_EXPR_FLOORMOD, e, d);
  int64_t q, inner;
  neo_linear quotient, rest;
  split_divisible(arena, e, d, &quotient, &rest);
  const neo_expr *r = neo_linear_expr(&rest);
  if (fixed_quotient(r, d, range, n, &q)) {
    rest.base -= q * d;
    return neo_linear_expr(&rest);
  }
  if (r->op == NEO_EXPR_FLOORMOD && neo_expr_is_const(r->arg[1], &inner) && inner > 0 &&
      inner % d == 0)
    return neo_expr_floormod(arena, r->arg[0], d, range, n);
  factored f;
  if (split_factor(arena, r, d, range, n, &f))
    return sum2(arena, neo_expr_floormod(arena, f.quotient, d / f.g, range, n), f.g, f.rest);
  return raw_division(arena, NEO_EXPR_FLOORMOD, r, d);
}
