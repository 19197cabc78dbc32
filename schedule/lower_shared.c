/* A block that all work-items of a group compute together, into a buffer that they share.
 *
 * Why: a tile of a matrix is read by many work-items; loading it once per group, neighbours loading
 * neighbouring elements, is what makes a GPU's memory fast enough.
 * How: the region's elements (vectors, where the block has a vector loop whose length divides the
 * region's) are numbered, last axis fastest, or that of vectors; work-item w takes number w, w +
 * items, w + 2 items, ... The order and splits of the block do not matter.
 *
 * A reduction is shared in another way: the innermost loop of its last axis is run by L work-items
 * at once, each summing a part of its own in a register. The parts of all elements are numbered as
 * above, the part fastest, so that neighbours read neighbours; then log2 L steps add the upper half
 * of the parts to the lower, a barrier before each. Not an algorithm of the te, as rfactor is on
 * processors: every halving would be a block, and the rest of a row guards; here it is an `if`. */
#include "schedule/lower.h"

enum { UNROLL_UP_TO = 16, UNROLL_SUMS_UP_TO = 2 };

typedef struct region {
  int n_axes, vector_axis;
  int order[NEO_TE_MAX_AXES];      /* axes, the fastest one last */
  int64_t extent[NEO_TE_MAX_AXES]; /* numbers of each axis */
  int64_t step[NEO_TE_MAX_AXES];   /* elements from one number to the next */
  int64_t total;
} region;

/* What is done with one number, known as a variable's value. */
typedef struct task task;
struct task {
  neo_stmt *(*body)(lowerer *l, const task *t, const neo_expr *number);
  lower_frame *f; /* decode narrows it */
  region r;
  int parts, half; /* reductions: L, and how many are added at this step */
  int partial;     /* the buffer of parts */
  neo_dtype dtype;
};

static const neo_expr *plus(lowerer *l, const neo_expr *a, const neo_expr *b) {
  return neo_expr_binary(l->arena, NEO_EXPR_ADD, a, b);
}

static const neo_expr *times(lowerer *l, const neo_expr *a, int64_t n) {
  return neo_expr_binary(l->arena, NEO_EXPR_MUL, a, neo_expr_index(l->arena, n));
}

static void measure(const lower_frame *f, region *out) {
  const lower_block *b = f->block;
  *out = (region){.n_axes = b->te->n_spatial, .vector_axis = -1, .total = 1};
  int v = b->vector_axis;
  if (v >= 0 && f->span[v].size % b->lanes == 0)
    out->vector_axis = v;
  int n = 0;
  for (int a = 0; a < out->n_axes; a++)
    if (a != out->vector_axis)
      out->order[n++] = a;
  if (out->vector_axis >= 0)
    out->order[n] = out->vector_axis;
  for (int a = 0; a < out->n_axes; a++) {
    out->step[a] = a == out->vector_axis ? b->lanes : 1;
    out->extent[a] = f->span[a].size / out->step[a];
    out->total *= out->extent[a];
  }
}

/* ---- numbers ------------------------------------------------------------------------------------------ */

/* Every number below `total` is some work-item's. */
static bool for_numbers(lowerer *l, const task *t, int64_t total, lower_list *out) {
  int64_t items = l->items->total, rounds = neo_ceil_div(total, items);
  int round = lower_new_var(l, rounds), number = lower_new_var(l, rounds * items);
  bool unrolled = rounds <= (t->parts > 0 ? UNROLL_SUMS_UP_TO : UNROLL_UP_TO);
  l->unrolled[round] = unrolled;
  const neo_expr *item =
      items > 1 ? neo_expr_var(l->arena, l->items->var) : neo_expr_index(l->arena, 0);
  const neo_expr *value = plus(l, times(l, neo_expr_var(l->arena, round), items), item);
  const neo_expr *n = neo_expr_var(l->arena, number);
  const neo_expr *cond = neo_expr_binary(l->arena, NEO_EXPR_LT, n, neo_expr_index(l->arena, total));
  int mark = l->facts.n;
  if (rounds * items != total)
    neo_facts_assume(&l->facts, cond, true);
  neo_stmt *body = t->body(l, t, n);
  l->facts.n = mark;
  if (!body)
    return l->status == NEO_OK;
  if (rounds * items != total)
    body = neo_nest_if(l->arena, cond, body, NULL);
  body = neo_nest_let(l->arena, number, value, body);
  lower_list_add(out,
                 neo_nest_for(l->arena, round, neo_expr_index(l->arena, rounds), unrolled, body));
  return true;
}

typedef neo_stmt *(*inside)(lowerer *l, const task *t, const neo_expr *part);

/* let digit = ... for every axis from the order's place `at` on, then what is inside. */
static neo_stmt *decode(lowerer *l, const task *t, const neo_expr *number, int at,
                        const neo_expr *part, inside fn) {
  const region *r = &t->r;
  if (at == r->n_axes)
    return fn(l, t, part);
  int axis = r->order[at];
  lower_span *span = &t->f->span[axis];
  span->size = r->step[axis];
  if (r->extent[axis] == 1)
    return decode(l, t, number, at + 1, part, fn);
  int64_t below = 1, above = 1;
  for (int i = 0; i < r->n_axes; i++)
    *(i < at ? &above : &below) *= i == at ? 1 : r->extent[r->order[i]];
  const neo_expr *digit = neo_expr_floordiv(l->arena, number, below, NULL, 0);
  if (above > 1)
    digit = neo_expr_floormod(l->arena, digit, r->extent[axis], NULL, 0);
  int var = lower_new_var(l, r->extent[axis]);
  span->base = plus(l, span->base, times(l, neo_expr_var(l->arena, var), r->step[axis]));
  neo_stmt *body = decode(l, t, number, at + 1, part, fn);
  return body ? neo_nest_let(l->arena, var, digit, body) : NULL;
}

/* ---- elements ----------------------------------------------------------------------------------------- */

/* The store of one number, its axes' variables known. */
static neo_stmt *store_one(lowerer *l, const task *t, const neo_expr *part) {
  lower_list body;
  (void)part;
  lower_list_init(&body);
  lower_lanes lanes = {.var = -1, .lanes = 1, .active = 1};
  if (t->r.vector_axis >= 0) {
    lanes.lanes = lanes.active = t->f->block->lanes;
    lanes.var = lower_new_var(l, lanes.active);
    lower_span *span = &t->f->span[t->r.vector_axis];
    span->base = plus(l, span->base, neo_expr_var(l->arena, lanes.var));
  }
  return lower_store(l, t->f, LOWER_MAIN, &lanes, &body) ? body.head : NULL;
}

static neo_stmt *element(lowerer *l, const task *t, const neo_expr *number) {
  lower_frame frame = *t->f;
  task one = *t;
  one.f = &frame;
  return decode(l, &one, number, 0, NULL, store_one);
}

/* ---- reductions --------------------------------------------------------------------------------------- */

static const neo_expr *load(lowerer *l, const task *t, int buffer, const neo_expr *offset) {
  return neo_expr_load(l->arena, t->dtype, buffer, 1, &offset);
}

/* One part in a register, then in its place among all; `number` is that. */
static neo_stmt *sum_part(lowerer *l, const task *t, const neo_expr *number) {
  lower_list body;
  lower_binding sum;
  lower_list_init(&body);
  if (!lower_bind_sum(l, t->f, &sum) || !lower_sum(l, t->f, &sum, &body))
    return NULL;
  const neo_expr *value = load(l, t, sum.buffer, neo_expr_index(l->arena, 0));
  lower_list_add(&body, neo_nest_store(l->arena, t->partial, number, value, 1));
  return body.head;
}

static neo_stmt *part_of_sum(lowerer *l, const task *t, const neo_expr *number) {
  lower_frame frame = *t->f;
  task one = *t;
  one.f = &frame;
  int index = lower_new_var(l, t->r.total), part = frame.part = lower_new_var(l, t->parts);
  const neo_expr *at = neo_expr_floordiv(l->arena, number, t->parts, NULL, 0);
  neo_stmt *body = decode(l, &one, neo_expr_var(l->arena, index), 0, number, sum_part);
  if (!body)
    return NULL;
  body = neo_nest_let(l->arena, part, neo_expr_floormod(l->arena, number, t->parts, NULL, 0), body);
  return neo_nest_let(l->arena, index, at, body);
}

/* Part j + half comes to part j. */
static neo_stmt *add_halves(lowerer *l, const task *t, const neo_expr *number) {
  const neo_expr *e = neo_expr_floordiv(l->arena, number, t->half, NULL, 0);
  const neo_expr *j = neo_expr_floormod(l->arena, number, t->half, NULL, 0);
  const neo_expr *at = plus(l, times(l, e, t->parts), j);
  const neo_expr *other = plus(l, at, neo_expr_index(l->arena, t->half));
  const neo_expr *sum = lower_combine(l->arena, t->f->block->te->combine,
                                      load(l, t, t->partial, at), load(l, t, t->partial, other));
  return neo_nest_store(l->arena, t->partial, at, sum, 1);
}

/* The last two parts come to the block's own buffer; `at` is the first's place. */
static neo_stmt *finish_one(lowerer *l, const task *t, const neo_expr *at) {
  lower_list body;
  lower_binding sum;
  lower_list_init(&body);
  if (!lower_bind_sum(l, t->f, &sum))
    return NULL;
  const neo_expr *other = plus(l, at, neo_expr_index(l->arena, 1));
  const neo_expr *value = lower_combine(l->arena, t->f->block->te->combine,
                                        load(l, t, t->partial, at), load(l, t, t->partial, other));
  lower_list_add(&body,
                 neo_nest_store(l->arena, sum.buffer, neo_expr_index(l->arena, 0), value, 1));
  return lower_flush(l, t->f, &sum, &body) ? body.head : NULL;
}

static neo_stmt *finish(lowerer *l, const task *t, const neo_expr *number) {
  lower_frame frame = *t->f;
  task one = *t;
  one.f = &frame;
  return decode(l, &one, number, 0, times(l, number, t->parts), finish_one);
}

static bool is_static(lowerer *l, const lower_frame *f) {
  for (int a = 0; a < f->block->te->n_spatial; a++)
    if (f->span[a].left)
      return lower_fail(l, "schedule: B%d: what work-items compute together is not static",
                        f->block->index);
  return true;
}

static bool reduce_together(lowerer *l, const lower_frame *f, lower_list *out) {
  const lower_block *b = f->block;
  const lower_loop *last = &b->loop[b->n_loops - 1];
  lower_frame frame = *f;
  task t = {
      .body = part_of_sum, .f = &frame, .parts = (int)b->axis[last->axis].factor[last->level]};
  t.dtype = l->te->buffer[b->te->buffer].dtype;
  measure(f, &t.r);
  int *partial = &l->partial[b->index];
  int64_t elements = t.r.total * t.parts;
  if (*partial < 0)
    *partial = lower_new_buffer(l, NEO_SCOPE_SHARED, t.dtype, elements, 1);
  l->nest->buffer[*partial].elements = neo_max_i64(l->nest->buffer[*partial].elements, elements);
  t.partial = *partial;
  if (l->status != NEO_OK || !is_static(l, f) || !for_numbers(l, &t, elements, out))
    return false;
  for (t.half = t.parts / 2; t.half > 0; t.half /= 2) {
    t.body = t.half > 1 ? add_halves : finish;
    lower_list_add(out, neo_nest_barrier(l->arena));
    if (!for_numbers(l, &t, t.r.total * t.half, out))
      return false;
  }
  return true;
}

bool lower_shared(lowerer *l, const lower_frame *f, lower_list *out) {
  lower_frame frame = *f;
  task t = {.body = element, .f = &frame};
  if (f->block->te->n_reduce > 0)
    return reduce_together(l, f, out);
  measure(f, &t.r);
  return is_static(l, f) && for_numbers(l, &t, t.r.total, out);
}
