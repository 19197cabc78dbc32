/* May a kernel write its result over one of its inputs?
 *
 * Why: an elementwise kernel, or a convolution that adds a residual, then needs one tensor less.
 * How: the nest tells. Every store to `out` loads `in` at its own offset and with its own lanes, so
 * the old elements are in registers before the new ones are written; nothing else touches `in`, and
 * `out` is not read. Every loop around such a store moves its offset, so no element is written
 * twice; launches and workers then never meet at an element either. Anything less clear is refused:
 * it only costs memory. */
#include <string.h>

#include "schedule/nest.h"
#include "schedule/ptr_map.h"

typedef struct overwrite {
  const neo_nest *nest;
  int in, out;
  neo_arena arena;
  int n_loops, loop[NEO_NEST_MAX_DEPTH]; /* variables of the loops around */
  bool stored;
} overwrite;

static bool same_affine(const neo_affine *a, const neo_affine *b) {
  return a->base == b->base && a->n == b->n &&
         memcmp(a->var, b->var, sizeof a->var[0] * (size_t)a->n) == 0 &&
         memcmp(a->coef, b->coef, sizeof a->coef[0] * (size_t)a->n) == 0;
}

/* Loads in e: of `out` none; of `in` only like `store` (NULL: none). *found is set by one. */
static bool check_loads(overwrite *w, neo_ptr_map *seen, const neo_expr *e, const neo_stmt *store,
                        bool *found) {
  bool first;
  neo_affine at, to;
  neo_ptr_map_at(seen, e, &first);
  if (!first)
    return true;
  for (int i = 0; i < e->n_args; i++)
    if (!check_loads(w, seen, e->arg[i], store, found))
      return false;
  if (e->op != NEO_EXPR_LOAD || (e->u.load.buffer != w->in && e->u.load.buffer != w->out))
    return true;
  if (e->u.load.buffer == w->out || !store || e->lanes != store->u.store.value->lanes ||
      (e->lanes > 1 && e->active < store->u.store.active) || !neo_expr_affine(e->arg[0], &at) ||
      !neo_expr_affine(store->u.store.offset, &to) || !same_affine(&at, &to))
    return false;
  *found = true;
  return true;
}

static bool check_value(overwrite *w, const neo_expr *e, const neo_stmt *store, bool *found) {
  neo_arena_reset(&w->arena);
  neo_ptr_map seen = {.arena = &w->arena};
  return check_loads(w, &seen, e, store, found);
}

static bool check_store(overwrite *w, const neo_stmt *s) {
  bool replaces = false, other = false;
  if (s->u.store.buffer == w->in || !check_value(w, s->u.store.offset, NULL, &other))
    return false;
  if (s->u.store.buffer != w->out)
    return check_value(w, s->u.store.value, NULL, &other);
  neo_affine to;
  if (!check_value(w, s->u.store.value, s, &replaces) || !replaces ||
      !neo_expr_affine(s->u.store.offset, &to))
    return false;
  for (int i = 0; i < w->n_loops; i++)
    if (neo_affine_coef(&to, w->loop[i]) == 0)
      return false;
  w->stored = true;
  return true;
}

static bool check_list(overwrite *w, const neo_stmt *s);

/* The body of a loop, or of a variable decoded from the grid's. */
static bool check_inside(overwrite *w, int var, const neo_expr *e, bool loop,
                         const neo_stmt *body) {
  bool found = false;
  int64_t v;
  bool moves = !(neo_expr_is_const(e, &v) && (!loop || v == 1));
  if (!check_value(w, e, NULL, &found) || w->n_loops == NEO_NEST_MAX_DEPTH)
    return false;
  if (moves)
    w->loop[w->n_loops++] = var;
  bool ok = check_list(w, body);
  w->n_loops -= moves;
  return ok;
}

static bool check_list(overwrite *w, const neo_stmt *s) {
  bool found = false, ok = true;
  for (; s && ok; s = s->next)
    switch (s->kind) {
    case NEO_STMT_FOR:
      ok = check_inside(w, s->u.loop.var, s->u.loop.extent, true, s->u.loop.body);
      break;
    case NEO_STMT_LET:
      ok = check_inside(w, s->u.let.var, s->u.let.value, false, s->u.let.body);
      break;
    case NEO_STMT_IF:
      ok = check_value(w, s->u.branch.cond, NULL, &found) && check_list(w, s->u.branch.then) &&
           check_list(w, s->u.branch.otherwise);
      break;
    case NEO_STMT_STORE:
      ok = check_store(w, s);
      break;
    case NEO_STMT_PREFETCH:
    case NEO_STMT_BARRIER:
      break;
    case NEO_STMT_MATRIX:
      ok = false;
      break;
    }
  return ok;
}

/* The grid's variable must move the store, itself or through variables decoded from it. */
static bool check_launch(overwrite *w, const neo_launch *launch) {
  bool decoded = launch->body && launch->body->kind == NEO_STMT_LET;
  w->n_loops = 0;
  if (launch->grid > 1 && !decoded)
    w->loop[w->n_loops++] = launch->var;
  return check_list(w, launch->body);
}

bool neo_nest_may_overwrite(const neo_nest *nest, int in, int out) {
  const neo_nest_buffer *a = &nest->buffer[in], *b = &nest->buffer[out];
  if (a->writable || a->constant || !b->writable || a->elements != b->elements ||
      neo_dtype_size(a->dtype) != neo_dtype_size(b->dtype) || neo_nest_is_grouped(nest))
    return false; /* work-items of a group run beside each other */
  overwrite w = {.nest = nest, .in = in, .out = out};
  bool ok = true;
  neo_arena_init(&w.arena);
  for (int l = 0; l < nest->n_launches && ok; l++)
    ok = check_launch(&w, &nest->launch[l]);
  neo_arena_fini(&w.arena);
  return ok && w.stored;
}
