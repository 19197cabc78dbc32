/* Interval analysis with affine facts.
 *
 * Why: a tail branch "i3*16 + i5*4 < 52" bounds no single variable, yet it is what proves that the
 * full tile inside stays in the buffer. Plain intervals of variables cannot see that. How: a fact
 * is an affine form f <= 0. The upper bound of an affine a is the least, over choices of facts
 * whose variables all occur in a with one positive ratio r (a = r f + rest), of the bound by f plus
 * the bound of the rest. There are few facts, and each uses its variables up, so the search is
 * short; it is cut off at a fixed depth, which only weakens bounds.
 *
 * Invariants: 1. results are sound: the true values lie inside; 2. arithmetic saturates at +-2^60.
 */
#include "schedule/nest_range.h"

#define LIMIT ((int64_t)1 << 60)
#define MAX_CHOICES 6

static int64_t clamp(__int128 v) {
  return v > LIMIT ? LIMIT : v < -LIMIT ? -LIMIT : (int64_t)v;
}

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t t = a % b;
    a = b;
    b = t;
  }
  return a < 0 ? -a : a;
}

/* ---- affine arithmetic
 * ---------------------------------------------------------------------------- */

/* out = a + s * b; false if there are too many terms. */
static bool affine_add(const neo_affine *a, int64_t s, const neo_affine *b, neo_affine *out) {
  neo_affine made = {.base = clamp((__int128)a->base + (__int128)s * b->base)};
  int i = 0, j = 0;
  while (i < a->n || j < b->n) {
    int var;
    int64_t coef = 0;
    if (j == b->n || (i < a->n && a->var[i] <= b->var[j]))
      var = a->var[i];
    else
      var = b->var[j];
    if (i < a->n && a->var[i] == var)
      coef += a->coef[i++];
    if (j < b->n && b->var[j] == var)
      coef = clamp(coef + (__int128)s * b->coef[j++]);
    if (coef == 0)
      continue;
    if (made.n == NEO_AFFINE_MAX_TERMS)
      return false;
    made.var[made.n] = var;
    made.coef[made.n++] = coef;
  }
  *out = made;
  return true;
}

/* Adds a <= 0, divided by the common divisor of its coefficients. */
static void add_fact(neo_facts *facts, neo_affine a) {
  int64_t g = 0;
  for (int i = 0; i < a.n; i++)
    g = gcd(a.coef[i], g);
  if (g == 0 || facts->n == NEO_FACTS_MAX)
    return;
  for (int i = 0; i < a.n; i++)
    a.coef[i] /= g;
  a.base = -neo_floor_div(-a.base, g);
  facts->fact[facts->n++] = a;
}

/* Adds s * (a - b) + c <= 0 where a and b are expressions. */
static void add_difference(neo_facts *facts, const neo_expr *a, const neo_expr *b, int64_t s,
                           int64_t c) {
  neo_affine fa, fb, sum = {0};
  if (!neo_expr_affine(a, &fa) || !neo_expr_affine(b, &fb) || !affine_add(&sum, s, &fa, &sum) ||
      !affine_add(&sum, -s, &fb, &sum))
    return;
  sum.base += c;
  add_fact(facts, sum);
}

/* ---- facts
 * ------------------------------------------------------------------------------------------ */

void neo_facts_assume(neo_facts *facts, const neo_expr *cond, bool truth) {
  bool both = (cond->op == NEO_EXPR_AND && truth) || (cond->op == NEO_EXPR_OR && !truth);
  if (both) {
    neo_facts_assume(facts, cond->arg[0], truth);
    neo_facts_assume(facts, cond->arg[1], truth);
  } else if (cond->op == NEO_EXPR_NOT) {
    neo_facts_assume(facts, cond->arg[0], !truth);
  } else if (cond->op == NEO_EXPR_LT && cond->arg[0]->dtype == NEO_I64) {
    add_difference(facts, cond->arg[0], cond->arg[1], truth ? 1 : -1, truth ? 1 : 0);
  } else if (cond->op == NEO_EXPR_LE && cond->arg[0]->dtype == NEO_I64) {
    add_difference(facts, cond->arg[0], cond->arg[1], truth ? 1 : -1, truth ? 0 : 1);
  } else if (cond->op == NEO_EXPR_EQ && truth && cond->arg[0]->dtype == NEO_I64) {
    add_difference(facts, cond->arg[0], cond->arg[1], 1, 0);
    add_difference(facts, cond->arg[0], cond->arg[1], -1, 0);
  }
}

void neo_facts_assume_guard(neo_facts *facts, const neo_guard *guard) {
  neo_affine a, negative = {0};
  if (!neo_expr_affine(guard->index, &a) || !affine_add(&negative, -1, &a, &negative))
    return;
  a.base -= guard->hi - 1;
  negative.base += guard->lo;
  add_fact(facts, a);
  add_fact(facts, negative);
}

/* var + shift + 1 <= e */
static void below(neo_facts *facts, int var, const neo_expr *e, int64_t shift) {
  int64_t c, d;
  if (e->op == NEO_EXPR_MIN) {
    below(facts, var, e->arg[0], shift);
    below(facts, var, e->arg[1], shift);
  } else if (e->op == NEO_EXPR_ADD && neo_expr_is_const(e->arg[1], &c)) {
    below(facts, var, e->arg[0], shift - c);
  } else if (e->op == NEO_EXPR_FLOORDIV && neo_expr_is_const(e->arg[1], &d) && d > 0) {
    neo_affine of, own = {.n = 1, .var = {var}, .coef = {d}};
    if (neo_expr_affine(e->arg[0], &of) && affine_add(&own, -1, &of, &own)) {
      own.base += d * (shift + 1);
      add_fact(facts, own);
    }
  } else {
    neo_affine of, own = {.base = shift + 1, .n = 1, .var = {var}, .coef = {1}};
    if (neo_expr_affine(e, &of) && affine_add(&own, -1, &of, &own))
      add_fact(facts, own);
  }
}

void neo_facts_assume_loop(neo_facts *facts, int var, const neo_expr *extent) {
  int64_t c;
  if (!neo_expr_is_const(extent, &c))
    below(facts, var, extent, 0);
}

void neo_facts_assume_let(neo_facts *facts, int var, const neo_expr *value) {
  neo_affine of, own = {.n = 1, .var = {var}, .coef = {1}}, negative = {0};
  if (!neo_expr_affine(value, &of) || of.n == 0 || !affine_add(&own, -1, &of, &own) ||
      !affine_add(&negative, -1, &own, &negative))
    return;
  add_fact(facts, own);
  add_fact(facts, negative);
}

/* ---- bounds
 * -------------------------------------------------------------------------------------------- */

static int64_t upper_by_variables(const neo_facts *facts, const neo_affine *a) {
  __int128 sum = a->base;
  for (int i = 0; i < a->n; i++) {
    if (a->var[i] >= facts->n_vars)
      return LIMIT;
    const neo_range *r = &facts->range[a->var[i]];
    sum += (__int128)a->coef[i] * (a->coef[i] > 0 ? r->hi : r->lo);
  }
  return clamp(sum);
}

/* The ratio r > 0 with which all of f's variables occur in a; 0 if there is none. */
static int64_t ratio_of(const neo_affine *a, const neo_affine *f) {
  int64_t ratio = 0;
  for (int i = 0, j = 0; i < f->n; i++, j++) {
    while (j < a->n && a->var[j] < f->var[i])
      j++;
    if (j == a->n || a->var[j] != f->var[i] || a->coef[j] % f->coef[i] != 0)
      return 0;
    int64_t r = a->coef[j] / f->coef[i];
    if (r <= 0 || (ratio && r != ratio))
      return 0;
    ratio = r;
  }
  return ratio;
}

static int64_t upper(const neo_facts *facts, const neo_affine *a, int from, int choices) {
  int64_t best = upper_by_variables(facts, a);
  for (int i = from; i < facts->n && choices > 0 && a->n > 0; i++) {
    const neo_affine *f = &facts->fact[i];
    int64_t ratio = ratio_of(a, f);
    neo_affine rest;
    if (ratio == 0 || !affine_add(a, -ratio, f, &rest))
      continue;
    best = neo_min_i64(best, upper(facts, &rest, i + 1, choices - 1));
  }
  return best;
}

/* Ends at +-LIMIT are infinite and stay so. */
static const neo_range everything = {-LIMIT, LIMIT};

static int64_t add_ends(int64_t a, int64_t b) {
  if (a <= -LIMIT || b <= -LIMIT)
    return -LIMIT;
  if (a >= LIMIT || b >= LIMIT)
    return LIMIT;
  return clamp((__int128)a + b);
}

static int64_t multiply_ends(int64_t a, int64_t b) {
  if (a == 0 || b == 0)
    return 0;
  bool infinite = a <= -LIMIT || a >= LIMIT || b <= -LIMIT || b >= LIMIT;
  if (infinite)
    return (a < 0) == (b < 0) ? LIMIT : -LIMIT;
  return clamp((__int128)a * b);
}

/* lo > hi: the facts contradict each other, the place is never reached. Kept through sums and
 * products with constants, so that whoever asks can see it. */
static bool is_empty(neo_range r) {
  return r.lo > r.hi;
}

static neo_range product(neo_range a, neo_range b) {
  if (b.lo == b.hi && b.lo >= 0)
    return (neo_range){multiply_ends(a.lo, b.lo), multiply_ends(a.hi, b.lo)};
  int64_t v[4] = {multiply_ends(a.lo, b.lo), multiply_ends(a.lo, b.hi), multiply_ends(a.hi, b.lo),
                  multiply_ends(a.hi, b.hi)};
  neo_range r = {v[0], v[0]};
  for (int i = 1; i < 4; i++)
    r = (neo_range){neo_min_i64(r.lo, v[i]), neo_max_i64(r.hi, v[i])};
  return r;
}

static int64_t divide_end(int64_t a, int64_t d) {
  return a <= -LIMIT || a >= LIMIT ? a : neo_floor_div(a, d);
}

static neo_range remainder_of(neo_range a, int64_t d) {
  bool finite = a.lo > -LIMIT && a.hi < LIMIT;
  if (finite && neo_floor_div(a.lo, d) == neo_floor_div(a.hi, d))
    return (neo_range){neo_floor_mod(a.lo, d), neo_floor_mod(a.hi, d)};
  return (neo_range){0, d - 1};
}

static neo_range range_of(neo_facts *facts, const neo_expr *e);

static neo_range affine_range(const neo_facts *facts, const neo_affine *a) {
  neo_affine negative = {0};
  affine_add(&negative, -1, a, &negative);
  return (neo_range){-upper(facts, &negative, 0, MAX_CHOICES), upper(facts, a, 0, MAX_CHOICES)};
}

static neo_range select_range(neo_facts *facts, const neo_expr *e) {
  neo_range sides[2];
  for (int side = 0; side < 2; side++) {
    int mark = facts->n;
    neo_facts_assume(facts, e->arg[0], side == 0);
    sides[side] = range_of(facts, e->arg[1 + side]);
    facts->n = mark;
  }
  if (is_empty(sides[0]) || is_empty(sides[1]))
    return sides[is_empty(sides[0])];
  return (neo_range){neo_min_i64(sides[0].lo, sides[1].lo), neo_max_i64(sides[0].hi, sides[1].hi)};
}

static neo_range binary_range(const neo_expr *e, neo_range a, neo_range b) {
  bool divisor = b.lo == b.hi && b.lo > 0;
  switch (e->op) {
  case NEO_EXPR_SUB:
    return (neo_range){add_ends(a.lo, -b.hi), -add_ends(-a.hi, b.lo)};
  case NEO_EXPR_MUL:
    return product(a, b);
  case NEO_EXPR_MIN:
    return (neo_range){neo_min_i64(a.lo, b.lo), neo_min_i64(a.hi, b.hi)};
  case NEO_EXPR_MAX:
    return (neo_range){neo_max_i64(a.lo, b.lo), neo_max_i64(a.hi, b.hi)};
  case NEO_EXPR_FLOORDIV:
    return divisor ? (neo_range){divide_end(a.lo, b.lo), divide_end(a.hi, b.lo)} : everything;
  case NEO_EXPR_FLOORMOD:
    return divisor ? remainder_of(a, b.lo) : everything;
  default:
    return everything;
  }
}

#define MAX_DIVISIONS 6

/* A sum taken apart: affine terms, scale * floordiv(x, d) with affine x, and the interval of the
 * others. */
typedef struct sum_parts {
  neo_affine affine;
  int n;
  int64_t scale[MAX_DIVISIONS], divisor[MAX_DIVISIONS];
  neo_affine divided[MAX_DIVISIONS];
  neo_range others;
} sum_parts;

static neo_range add_ranges(neo_range a, neo_range b) {
  return (neo_range){add_ends(a.lo, b.lo), -add_ends(-a.hi, -b.hi)};
}

static void take_apart(neo_facts *facts, const neo_expr *e, int64_t scale, sum_parts *out) {
  neo_affine term;
  int64_t c;
  if (neo_expr_affine(e, &term) && affine_add(&out->affine, scale, &term, &out->affine))
    return;
  if (e->op == NEO_EXPR_ADD) {
    take_apart(facts, e->arg[0], scale, out);
    take_apart(facts, e->arg[1], scale, out);
  } else if (e->op == NEO_EXPR_MUL && neo_expr_is_const(e->arg[1], &c) && c > 0 &&
             c < LIMIT / scale) {
    take_apart(facts, e->arg[0], scale * c, out);
  } else if (e->op == NEO_EXPR_FLOORDIV && out->n < MAX_DIVISIONS &&
             neo_expr_is_const(e->arg[1], &c) && c > 0 && neo_expr_affine(e->arg[0], &term)) {
    out->scale[out->n] = scale;
    out->divisor[out->n] = c;
    out->divided[out->n++] = term;
  } else {
    bool times = e->op == NEO_EXPR_MUL;
    neo_range r = times ? product(range_of(facts, e->arg[0]), range_of(facts, e->arg[1]))
                        : range_of(facts, e);
    out->others = add_ranges(out->others, product(r, (neo_range){scale, scale}));
  }
}

/* scale * (part + floordiv(x, d)), where part are the terms of *rest that scale divides; they leave
 * *rest. The bracket lies between (d*part + x - d + 1) / d and (d*part + x) / d, where facts on
 * both count. */
static neo_range division_range(const neo_facts *facts, const sum_parts *parts, int k,
                                neo_affine *rest) {
  int64_t scale = parts->scale[k], d = parts->divisor[k];
  neo_affine part = {0}, left = {.base = rest->base}, all;
  for (int i = 0; i < rest->n; i++) {
    neo_affine *to = rest->coef[i] % scale == 0 ? &part : &left;
    to->var[to->n] = rest->var[i];
    to->coef[to->n++] = rest->coef[i] / (to == &part ? scale : 1);
  }
  if (!affine_add(&parts->divided[k], d, &part, &all))
    return everything;
  *rest = left;
  neo_range r = affine_range(facts, &all);
  r.hi = divide_end(r.hi, d);
  r.lo = r.lo <= -LIMIT ? r.lo : -neo_floor_div(-(r.lo - d + 1), d);
  return product(r, (neo_range){scale, scale});
}

/* Each division with the terms that are multiples of its scale, largest scale first. */
static neo_range grouped_range(const neo_facts *facts, const sum_parts *parts) {
  neo_affine rest = parts->affine;
  neo_range r = parts->others;
  bool used[MAX_DIVISIONS] = {false};
  for (int i = 0; i < parts->n; i++) {
    int best = -1;
    for (int k = 0; k < parts->n; k++)
      if (!used[k] && (best < 0 || parts->scale[k] > parts->scale[best]))
        best = k;
    used[best] = true;
    r = add_ranges(r, division_range(facts, parts, best, &rest));
  }
  return add_ranges(r, affine_range(facts, &rest));
}

/* The affine terms together, each division alone. */
static neo_range separate_range(const neo_facts *facts, const sum_parts *parts) {
  neo_range r = add_ranges(parts->others, affine_range(facts, &parts->affine));
  for (int i = 0; i < parts->n; i++) {
    neo_affine none = {0};
    r = add_ranges(r, division_range(facts, parts, i, &none));
  }
  return r;
}

/* A sum: both ways of putting it together hold, and either may be the tighter one. */
static neo_range sum_range(neo_facts *facts, const neo_expr *e) {
  sum_parts parts = {.n = 0};
  take_apart(facts, e, 1, &parts);
  neo_range r = separate_range(facts, &parts);
  if (parts.n == 0)
    return r;
  neo_range other = grouped_range(facts, &parts);
  return (neo_range){neo_max_i64(r.lo, other.lo), neo_min_i64(r.hi, other.hi)};
}

static neo_range range_of(neo_facts *facts, const neo_expr *e) {
  neo_affine a;
  if (e->dtype != NEO_I64 || e->lanes != 1)
    return everything;
  if (neo_expr_affine(e, &a))
    return affine_range(facts, &a);
  if (e->op == NEO_EXPR_SELECT)
    return select_range(facts, e);
  if (e->op == NEO_EXPR_ADD || e->op == NEO_EXPR_MUL)
    return sum_range(facts, e);
  if (e->op == NEO_EXPR_LOAD || neo_expr_op_arity(e->op) != 2)
    return everything;
  return binary_range(e, range_of(facts, e->arg[0]), range_of(facts, e->arg[1]));
}

bool neo_facts_range(neo_facts *facts, const neo_expr *e, neo_range *out) {
  neo_range r = range_of(facts, e);
  if (r.lo <= -LIMIT || r.hi >= LIMIT)
    return false;
  *out = r;
  return true;
}
