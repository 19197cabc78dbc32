/* A block that all work-items of a group compute together, into a buffer that they share.
 *
 * Why: a tile of a matrix is read by many work-items; loading it once per group, neighbours loading
 * neighbouring elements, is what makes a GPU's memory fast enough.
 * How: the region's elements (vectors, where the block has a vector loop whose length divides the
 * region's) are numbered, last axis fastest; work-item w takes number w, w + items, w + 2 items,
 * ... The order and splits of the block do not matter. */
#include "schedule/lower.h"

enum { UNROLL_UP_TO = 16 };

typedef struct region {
  int n_axes, vector_axis;
  int64_t extent[NEO_TE_MAX_AXES]; /* numbers of each axis */
  int64_t step[NEO_TE_MAX_AXES];   /* elements from one number to the next */
  int64_t total;
} region;

static void measure(const lower_frame *f, region *out) {
  *out = (region){.n_axes = f->block->n_axes, .vector_axis = -1, .total = 1};
  int v = f->block->vector_axis;
  if (v >= 0 && f->span[v].size % f->block->lanes == 0)
    out->vector_axis = v;
  for (int a = 0; a < out->n_axes; a++) {
    out->step[a] = a == out->vector_axis ? f->block->lanes : 1;
    out->extent[a] = f->span[a].size / out->step[a];
    out->total *= out->extent[a];
  }
}

/* The store of one number, its axes' variables known. */
static bool store_one(lowerer *l, lower_frame *f, const region *r, lower_list *out) {
  if (r->vector_axis < 0) {
    const lower_lanes scalar = {.var = -1, .lanes = 1, .active = 1};
    return lower_store(l, f, LOWER_MAIN, &scalar, out);
  }
  lower_lanes lanes = {.lanes = f->block->lanes, .active = f->block->lanes};
  lanes.var = lower_new_var(l, lanes.active);
  lower_span *span = &f->span[r->vector_axis];
  span->base =
      neo_expr_binary(l->arena, NEO_EXPR_ADD, span->base, neo_expr_var(l->arena, lanes.var));
  return lower_store(l, f, LOWER_MAIN, &lanes, out);
}

/* let digit = ... for every axis from a on, then the store. */
static neo_stmt *decode(lowerer *l, lower_frame *f, const region *r, const neo_expr *number,
                        int axis) {
  if (axis == r->n_axes) {
    lower_list body;
    lower_list_init(&body);
    return store_one(l, f, r, &body) ? body.head : NULL;
  }
  if (r->extent[axis] == 1)
    return decode(l, f, r, number, axis + 1);
  int64_t below = 1, above = 1;
  for (int a = 0; a < r->n_axes; a++)
    *(a < axis ? &above : &below) *= a == axis ? 1 : r->extent[a];
  const neo_expr *digit = neo_expr_floordiv(l->arena, number, below, NULL, 0);
  if (above > 1)
    digit = neo_expr_floormod(l->arena, digit, r->extent[axis], NULL, 0);
  int var = lower_new_var(l, r->extent[axis]);
  lower_span *span = &f->span[axis];
  const neo_expr *moved = neo_expr_binary(l->arena, NEO_EXPR_MUL, neo_expr_var(l->arena, var),
                                          neo_expr_index(l->arena, r->step[axis]));
  span->base = neo_expr_binary(l->arena, NEO_EXPR_ADD, span->base, moved);
  neo_stmt *body = decode(l, f, r, number, axis + 1);
  return body ? neo_nest_let(l->arena, var, digit, body) : NULL;
}

bool lower_shared(lowerer *l, const lower_frame *f, lower_list *out) {
  region r;
  lower_frame frame = *f;
  measure(f, &r);
  int64_t items = l->items->total, rounds = neo_ceil_div(r.total, items);
  int round = lower_new_var(l, rounds), number = lower_new_var(l, rounds * items);
  bool unrolled = rounds <= UNROLL_UP_TO;
  l->unrolled[round] = unrolled;
  const neo_expr *item =
      items > 1 ? neo_expr_var(l->arena, l->items->var) : neo_expr_index(l->arena, 0);
  const neo_expr *first = neo_expr_binary(l->arena, NEO_EXPR_MUL, neo_expr_var(l->arena, round),
                                          neo_expr_index(l->arena, items));
  const neo_expr *value = neo_expr_binary(l->arena, NEO_EXPR_ADD, first, item);
  const neo_expr *n = neo_expr_var(l->arena, number);
  const neo_expr *cond =
      neo_expr_binary(l->arena, NEO_EXPR_LT, n, neo_expr_index(l->arena, r.total));
  int mark = l->facts.n;
  if (rounds * items != r.total)
    neo_facts_assume(&l->facts, cond, true);
  neo_stmt *body = decode(l, &frame, &r, n, 0);
  l->facts.n = mark;
  if (!body)
    return l->status == NEO_OK;
  if (rounds * items != r.total)
    body = neo_nest_if(l->arena, cond, body, NULL);
  body = neo_nest_let(l->arena, number, value, body);
  lower_list_add(out,
                 neo_nest_for(l->arena, round, neo_expr_index(l->arena, rounds), unrolled, body));
  return true;
}
