/* The region of an attached block's buffer that its readers need at one place.
 *
 * Why: an attached block computes, once per iteration of its place, just what the rest of that
 * iteration reads. How: each index of each read is a base (an expression in outer variables) plus
 * an interval, from the spans of the reader's axes; floordiv and floormod by constants follow where
 * the base is aligned. The hull over all reads is the region. Where that fails, or where a guarded
 * read may leave the buffer, the region is the whole dim: always right, sometimes wasteful. */
#include "schedule/lower.h"

typedef struct reach {
  const neo_expr *base;
  int64_t lo, hi;
} reach;

typedef struct region {
  lowerer *l;
  const neo_te_buffer *buffer;
  int number;                /* of the buffer */
  const lower_frame *reader; /* being visited */
  int reads;
  reach dim[NEO_MAX_RANK];
  bool whole[NEO_MAX_RANK];
} region;

static bool reach_of(const region *r, const neo_expr *e, reach *out);

static bool reach_scaled(const region *r, const neo_expr *e, int64_t factor, reach *out) {
  reach a;
  if (!reach_of(r, e, &a))
    return false;
  out->base =
      neo_expr_binary(r->l->arena, NEO_EXPR_MUL, a.base, neo_expr_index(r->l->arena, factor));
  out->lo = factor >= 0 ? a.lo * factor : a.hi * factor;
  out->hi = factor >= 0 ? a.hi * factor : a.lo * factor;
  return true;
}

/* floordiv and floormod by d: fine if the base is d * something + a constant. */
static bool reach_divided(const region *r, const neo_expr *e, int64_t d, reach *out) {
  neo_arena *arena = r->l->arena;
  int n = r->l->nest->n_vars;
  reach a;
  int64_t rest;
  if (!reach_of(r, e->arg[0], &a))
    return false;
  bool aligned = neo_expr_is_const(neo_expr_floormod(arena, a.base, d, r->l->range, n), &rest);
  if (e->op == NEO_EXPR_FLOORDIV) {
    if (!aligned)
      return false;
    *out = (reach){neo_expr_floordiv(arena, a.base, d, r->l->range, n),
                   neo_floor_div(rest + a.lo, d), neo_floor_div(rest + a.hi, d)};
    return true;
  }
  *out = (reach){neo_expr_index(arena, 0), 0, d - 1};
  if (aligned && neo_floor_div(rest + a.lo, d) == neo_floor_div(rest + a.hi, d)) {
    out->lo = neo_floor_mod(rest + a.lo, d);
    out->hi = neo_floor_mod(rest + a.hi, d);
  }
  return true;
}

static bool reach_of(const region *r, const neo_expr *e, reach *out) {
  reach a, b;
  int64_t c;
  switch (e->op) {
  case NEO_EXPR_CONST:
    *out = (reach){e, 0, 0};
    return true;
  case NEO_EXPR_VAR:
    *out = (reach){r->reader->span[e->u.var].base, 0, r->reader->span[e->u.var].size - 1};
    return true;
  case NEO_EXPR_ADD:
    if (!reach_of(r, e->arg[0], &a) || !reach_of(r, e->arg[1], &b))
      return false;
    *out = (reach){neo_expr_binary(r->l->arena, NEO_EXPR_ADD, a.base, b.base), a.lo + b.lo,
                   a.hi + b.hi};
    return true;
  case NEO_EXPR_MUL:
    return neo_expr_is_const(e->arg[1], &c) && reach_scaled(r, e->arg[0], c, out);
  case NEO_EXPR_FLOORDIV:
  case NEO_EXPR_FLOORMOD:
    return neo_expr_is_const(e->arg[1], &c) && c > 0 && reach_divided(r, e, c, out);
  default:
    return false;
  }
}

/* Hull of what is known and `more`; false if their bases differ by more than a constant. */
static bool hull(neo_arena *arena, reach *known, const reach *more) {
  int64_t shift;
  if (!neo_expr_is_const(neo_expr_binary(arena, NEO_EXPR_SUB, more->base, known->base), &shift))
    return false;
  known->lo = neo_min_i64(known->lo, more->lo + shift);
  known->hi = neo_max_i64(known->hi, more->hi + shift);
  return true;
}

/* With guards an index may leave the buffer; then only a region that stays inside helps. */
static bool stays_inside(const region *r, const reach *a, int64_t extent) {
  neo_range range;
  return neo_facts_range(&r->l->facts, a->base, &range) && range.lo + a->lo >= 0 &&
         range.hi + a->hi < extent;
}

static void visit(void *self, const neo_expr *load) {
  region *r = self;
  if (load->u.load.buffer != r->number)
    return;
  for (int k = 0; k < load->n_args; k++) {
    reach a;
    bool ok = reach_of(r, load->arg[k], &a);
    if (ok && load->u.load.n_guards > 0)
      ok = stays_inside(r, &a, r->buffer->shape.dim[k]);
    if (!ok)
      r->whole[k] = true;
    else if (r->reads == 0)
      r->dim[k] = a;
    else if (!r->whole[k] && !hull(r->l->arena, &r->dim[k], &a))
      r->whole[k] = true;
  }
  r->reads++;
}

bool lower_region(lowerer *l, const lower_block *x, const lower_frame *readers, int n_readers,
                  lower_frame *out) {
  neo_arena *arena = l->arena;
  region r = {.l = l, .number = x->te->buffer, .buffer = &l->te->buffer[x->te->buffer]};
  for (int i = 0; i < n_readers; i++) {
    r.reader = &readers[i];
    neo_expr_visit_loads(readers[i].block->te->body, visit, &r);
  }
  if (r.reads == 0)
    return false;
  for (int a = 0; a < x->n_axes; a++) {
    lower_span whole = {neo_expr_index(arena, 0), x->te->extent[a], NULL, 0};
    out->span[a] = whole;
    if (a >= x->te->n_spatial || r.whole[a] || r.dim[a].hi - r.dim[a].lo + 1 >= x->te->extent[a])
      continue;
    out->span[a].base =
        neo_expr_binary(arena, NEO_EXPR_ADD, r.dim[a].base, neo_expr_index(arena, r.dim[a].lo));
    out->span[a].size = r.dim[a].hi - r.dim[a].lo + 1;
  }
  out->block = x;
  out->acc = NULL;
  out->grid = out->items = NULL;
  return true;
}
