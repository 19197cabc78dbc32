/* ir/expr_visit.c: walking and rebuilding expressions. Rebuilding goes through the constructors, so
 * that the result is simplified as if it had been written that way. A subtree that does not change
 * is shared, not copied. */
#include "ir/expr_internal.h"

bool neo_expr_uses_var(const neo_expr *e, int var) {
  if (e->op == NEO_EXPR_VAR)
    return e->u.var == var;
  for (int k = 0; k < e->n_args; k++) {
    if (neo_expr_uses_var(e->arg[k], var))
      return true;
  }
  for (int k = 0; e->op == NEO_EXPR_LOAD && k < e->u.load.n_guards; k++) {
    if (neo_expr_uses_var(e->u.load.guard[k].index, var))
      return true;
  }
  return false;
}

int neo_expr_size(const neo_expr *e) {
  int n = 1;
  for (int k = 0; k < e->n_args; k++)
    n += neo_expr_size(e->arg[k]);
  for (int k = 0; e->op == NEO_EXPR_LOAD && k < e->u.load.n_guards; k++)
    n += neo_expr_size(e->u.load.guard[k].index);
  return n;
}

void neo_expr_visit_loads(const neo_expr *e, void (*fn)(void *self, const neo_expr *load),
                          void *self) {
  if (e->op == NEO_EXPR_LOAD)
    fn(self, e);
  for (int k = 0; k < e->n_args; k++)
    neo_expr_visit_loads(e->arg[k], fn, self);
}

typedef struct rewrite {
  neo_arena *arena;
  const neo_expr *const *map;
  int n_map;
  const neo_expr *(*fn)(void *self, const neo_expr *load);
  void *self;
  const neo_range *range; /* of the variables, for simplifying; NULL: do not */
  int n_range;
} rewrite;

#define INLINE_ARGS 8

/* ---- what intervals decide
 * ----------------------------------------------------------------------- */

static const neo_expr *decide_binary(const rewrite *w, const neo_expr *e) {
  neo_range a, b;
  int64_t d;
  const neo_expr *x = e->arg[0], *y = e->arg[1];
  if (x->dtype != NEO_I64 || x->lanes != 1)
    return e;
  bool division = e->op == NEO_EXPR_FLOORDIV || e->op == NEO_EXPR_FLOORMOD;
  if (division && neo_expr_is_const(y, &d) && d > 0)
    return e->op == NEO_EXPR_FLOORDIV ? neo_expr_floordiv(w->arena, x, d, w->range, w->n_range)
                                      : neo_expr_floormod(w->arena, x, d, w->range, w->n_range);
  if (!neo_expr_range(x, w->range, w->n_range, &a) || !neo_expr_range(y, w->range, w->n_range, &b))
    return e;
  switch (e->op) {
  case NEO_EXPR_LT:
    return a.hi < b.lo || a.lo >= b.hi ? neo_expr_const_i(w->arena, NEO_BOOL, a.hi < b.lo) : e;
  case NEO_EXPR_LE:
    return a.hi <= b.lo || a.lo > b.hi ? neo_expr_const_i(w->arena, NEO_BOOL, a.hi <= b.lo) : e;
  case NEO_EXPR_MIN:
    return a.hi <= b.lo ? x : b.hi <= a.lo ? y : e;
  case NEO_EXPR_MAX:
    return a.lo >= b.hi ? x : b.lo >= a.hi ? y : e;
  default:
    return e;
  }
}

/* Drops guards that always hold; a load whose guard never holds is its fill. */
static const neo_expr *decide_load(const rewrite *w, const neo_expr *e) {
  neo_guard kept[NEO_MAX_GUARDS];
  int n = 0;
  for (int k = 0; k < e->u.load.n_guards; k++) {
    const neo_guard *g = &e->u.load.guard[k];
    neo_range r = neo_expr_range_facts(g->index, w->range, w->n_range, NULL, 0);
    if (r.lo >= g->hi || r.hi < g->lo)
      return neo_expr_const_f(w->arena, e->dtype, e->u.load.fill);
    if (r.lo < g->lo || r.hi >= g->hi)
      kept[n++] = *g;
  }
  if (n == e->u.load.n_guards)
    return e;
  return neo_expr_load_guarded(w->arena, e->dtype, e->u.load.buffer, e->n_args, e->arg,
                               &(neo_guards){n, kept, e->u.load.fill});
}

static const neo_expr *decide(const rewrite *w, const neo_expr *e) {
  if (!w->range)
    return e;
  if (e->op == NEO_EXPR_LOAD)
    return decide_load(w, e);
  return e->n_args == 2 && e->op != NEO_EXPR_INTRINSIC ? decide_binary(w, e) : e;
}

/* ---- rebuilding --------------------------------------------------------------------------------
 */

static const neo_expr *apply_rewrite(const rewrite *w, const neo_expr *e) {
  if (e->op == NEO_EXPR_CONST)
    return e;
  if (e->op == NEO_EXPR_VAR)
    return e->u.var < w->n_map && w->map[e->u.var] ? w->map[e->u.var] : e;
  const neo_expr *room[INLINE_ARGS];
  const neo_expr **arg =
      e->n_args <= INLINE_ARGS ? room : neo_arena_alloc(w->arena, sizeof *arg * (size_t)e->n_args);
  bool same = true;
  for (int k = 0; k < e->n_args; k++) {
    arg[k] = apply_rewrite(w, e->arg[k]);
    same = same && arg[k] == e->arg[k];
  }
  neo_guard guard[NEO_MAX_GUARDS];
  int n_guards = e->op == NEO_EXPR_LOAD ? e->u.load.n_guards : 0;
  for (int k = 0; k < n_guards; k++) {
    guard[k] = e->u.load.guard[k];
    guard[k].index = apply_rewrite(w, guard[k].index);
    same = same && guard[k].index == e->u.load.guard[k].index;
  }
  const neo_expr *r = same ? e : neo_expr_rebuild(w->arena, e, arg, guard);
  /* what became a load (select of the same twice) has been replaced already */
  if (w->fn && e->op == NEO_EXPR_LOAD && r->op == NEO_EXPR_LOAD) {
    const neo_expr *replaced = w->fn(w->self, r);
    return replaced ? replaced : r;
  }
  return decide(w, r);
}

const neo_expr *neo_expr_substitute(neo_arena *arena, const neo_expr *e, const neo_expr *const *map,
                                    int n_map) {
  rewrite w = {.arena = arena, .map = map, .n_map = n_map};
  return apply_rewrite(&w, e);
}

const neo_expr *neo_expr_map_loads(neo_arena *arena, const neo_expr *e,
                                   const neo_expr *(*fn)(void *self, const neo_expr *load),
                                   void *self) {
  rewrite w = {.arena = arena, .fn = fn, .self = self};
  return apply_rewrite(&w, e);
}

const neo_expr *neo_expr_simplify(neo_arena *arena, const neo_expr *e, const neo_range *range,
                                  int n) {
  rewrite w = {.arena = arena, .range = range, .n_range = n};
  return apply_rewrite(&w, e);
}
