/* f16 arithmetic for processors that have it.
 *
 * Why: models' f16 operations are written as f32 ones between casts, cast.f16(add(cast.f32(a),
 * cast.f32(b))), so that every generator gives the same bits; that is two casts and half the lanes
 * for each of them. How: where rounding once is proven to be rounding twice, the operation becomes
 * one of f16. Of f16 operands those are add, sub, mul, div and sqrt (f32 has 2p + 2 bits: Figueroa,
 * "When is double rounding innocuous?", 1995), and all that only choose or move to an integer
 * (max, min, neg, abs, floor, ...), whose results need no rounding at all. Sums of several products
 * in f32 and functions stay what they are.
 *
 * Invariant: an expression's value does not change, bit by bit (but for which NaN it is). */
#include "schedule/nest.h"
#include "schedule/ptr_map.h"

#include <math.h>

typedef struct narrower {
  neo_arena *arena;
  neo_ptr_map rebuilt; /* expression -> its replacement of the same type */
  neo_ptr_map halves;  /* f32 expression -> the f16 one of the same value; NULL: there is none */
} narrower;

static const neo_expr *rebuild(narrower *s, const neo_expr *e);
static const neo_expr *half_of(narrower *s, const neo_expr *e);

static bool is_exact(neo_expr_op op) {
  switch (op) {
  case NEO_EXPR_NEG:
  case NEO_EXPR_ABS:
  case NEO_EXPR_FLOOR:
  case NEO_EXPR_CEIL:
  case NEO_EXPR_ROUND:
  case NEO_EXPR_TRUNC:
  case NEO_EXPR_MIN:
  case NEO_EXPR_MAX:
  case NEO_EXPR_BROADCAST:
    return true;
  default:
    return false;
  }
}

static bool rounds_once(neo_expr_op op) {
  return op == NEO_EXPR_ADD || op == NEO_EXPR_SUB || op == NEO_EXPR_MUL || op == NEO_EXPR_DIV ||
         op == NEO_EXPR_SQRT;
}

static bool is_comparison(neo_expr_op op) {
  return op == NEO_EXPR_LT || op == NEO_EXPR_LE || op == NEO_EXPR_EQ || op == NEO_EXPR_NE ||
         op == NEO_EXPR_ISNAN;
}

static const neo_expr *remake(narrower *s, const neo_expr *e, const neo_expr *const *arg) {
  switch (e->n_args) {
  case 1:
    return e->op == NEO_EXPR_BROADCAST ? neo_expr_broadcast(s->arena, arg[0], e->lanes)
                                       : neo_expr_unary(s->arena, e->op, arg[0]);
  case 2:
    return neo_expr_binary(s->arena, e->op, arg[0], arg[1]);
  default:
    return neo_expr_select(s->arena, arg[0], arg[1], arg[2]);
  }
}

/* The operation on the f16 values of its f32 operands; NULL: not all of them are f16's. */
static const neo_expr *on_halves(narrower *s, const neo_expr *e) {
  const neo_expr *arg[3] = {NULL};
  bool is_select = e->op == NEO_EXPR_SELECT;
  for (int i = 0; i < e->n_args; i++) {
    arg[i] = is_select && i == 0 ? rebuild(s, e->arg[0]) : half_of(s, e->arg[i]);
    if (!arg[i])
      return NULL;
  }
  return remake(s, e, arg);
}

static const neo_expr *half_constant(narrower *s, const neo_expr *e) {
  double v = neo_scalar_round(NEO_F16, (neo_scalar){.f = e->u.f}).f;
  return v == e->u.f || isnan(v) ? neo_expr_const_f(s->arena, NEO_F16, v) : NULL;
}

static const neo_expr *find_half(narrower *s, const neo_expr *e) {
  if (e->dtype != NEO_F32)
    return NULL;
  if (e->op == NEO_EXPR_CONST)
    return half_constant(s, e);
  if (e->op == NEO_EXPR_CAST)
    return e->arg[0]->dtype == NEO_F16 ? rebuild(s, e->arg[0]) : NULL;
  return is_exact(e->op) || e->op == NEO_EXPR_SELECT ? on_halves(s, e) : NULL;
}

static const neo_expr *half_of(narrower *s, const neo_expr *e) {
  bool first;
  intptr_t *known = neo_ptr_map_at(&s->halves, e, &first);
  if (!first)
    return (const neo_expr *)*known;
  const neo_expr *made = find_half(s, e);
  *neo_ptr_map_at(&s->halves, e, &first) = (intptr_t)made;
  return made;
}

/* What e is in f16 arithmetic; NULL: nothing else than before. */
static const neo_expr *narrow(narrower *s, const neo_expr *e) {
  if (is_comparison(e->op) && e->arg[0]->dtype == NEO_F32 && e->arg[0]->op != NEO_EXPR_CONST)
    return on_halves(s, e);
  if (e->op != NEO_EXPR_CAST || e->dtype != NEO_F16 || e->arg[0]->dtype != NEO_F32)
    return NULL;
  return rounds_once(e->arg[0]->op) ? on_halves(s, e->arg[0]) : half_of(s, e->arg[0]);
}

static const neo_expr *rebuild_new(narrower *s, const neo_expr *e) {
  const neo_expr *special = narrow(s, e);
  if (special)
    return special;
  const neo_expr **arg = neo_arena_alloc(s->arena, (size_t)(e->n_args + 1) * sizeof(*arg));
  bool same = true;
  for (int i = 0; i < e->n_args; i++) {
    arg[i] = rebuild(s, e->arg[i]);
    same = same && arg[i] == e->arg[i];
  }
  return same ? e
              : neo_expr_rebuild(s->arena, e, arg, e->op == NEO_EXPR_LOAD ? e->u.load.guard : NULL);
}

static const neo_expr *rebuild(narrower *s, const neo_expr *e) {
  bool first;
  if (e->n_args == 0)
    return e;
  intptr_t *known = neo_ptr_map_at(&s->rebuilt, e, &first);
  if (!first)
    return (const neo_expr *)*known;
  const neo_expr *made = rebuild_new(s, e);
  *neo_ptr_map_at(&s->rebuilt, e, &first) = (intptr_t)made;
  return made;
}

static neo_stmt *narrow_list(narrower *s, const neo_stmt *list) {
  neo_stmt *first = NULL, **tail = &first;
  for (; list; list = list->next) {
    neo_stmt *copy = neo_arena_alloc(s->arena, sizeof *copy);
    *copy = *list;
    copy->next = NULL;
    *tail = copy;
    tail = &copy->next;
    if (list->kind == NEO_STMT_FOR)
      copy->u.loop.body = narrow_list(s, list->u.loop.body);
    if (list->kind == NEO_STMT_LET)
      copy->u.let.body = narrow_list(s, list->u.let.body);
    if (list->kind == NEO_STMT_STORE)
      copy->u.store.value = rebuild(s, list->u.store.value);
    if (list->kind == NEO_STMT_IF) {
      copy->u.branch.cond = rebuild(s, list->u.branch.cond);
      copy->u.branch.then = narrow_list(s, list->u.branch.then);
      copy->u.branch.otherwise = narrow_list(s, list->u.branch.otherwise);
    }
  }
  return first;
}

const neo_nest *neo_nest_narrow_halves(neo_arena *arena, const neo_nest *nest) {
  bool halves = false;
  for (int k = 0; k < nest->n_buffers; k++)
    halves = halves || nest->buffer[k].dtype == NEO_F16;
  if (!halves)
    return nest;
  narrower s = {.arena = arena, .rebuilt = {.arena = arena}, .halves = {.arena = arena}};
  neo_nest *made = neo_arena_alloc(arena, sizeof *made);
  *made = *nest;
  made->arena = arena;
  for (int k = 0; k < nest->n_launches; k++)
    made->launch[k].body = narrow_list(&s, nest->launch[k].body);
  return made;
}
