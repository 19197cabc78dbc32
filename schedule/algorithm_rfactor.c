/* Algorithm "rfactor lanes=L": sums along contiguous rows as L partial sums.
 *
 * Why: a reduction over the contiguous axis (softmax, normalisation, row sums) has no spatial axis
 * to make a vector of, and a serial chain waits for every addition. How: where the last reduce axis
 * r of a block is the contiguous dim of all its operands, R[s] = combine over
 * (..., r) of f becomes
 *
 *   P[s, l] = combine over (..., q) of f(r = q * L + l)   l < L, q < E / L
 *   R[s]    = combine over l < 4 of (P[s, l], P[s, l + 4], ...)
 *
 * With a rest E % L there are also T[s] = combine over (..., t) of f(r = E / L * L + t), S[s]
 * instead of R[s] above, and R[s] = combine(S[s], T[s]). */
#include "schedule/algorithm.h"

#include <string.h>

#define FOLD 4 /* partial results that the last sum runs over, each a tree of others */

typedef struct rfactor {
  neo_arena *arena;
  neo_te *te; /* being built */
  int64_t lanes;
  int made;
} rfactor;

typedef struct row_query {
  int axis, loads;
  bool fits;
} row_query;

static void check_load(void *self, const neo_expr *load) {
  row_query *q = self;
  neo_affine a;
  for (int g = 0; g < load->u.load.n_guards; g++)
    q->fits = q->fits && !neo_expr_uses_var(load->u.load.guard[g].index, q->axis);
  for (int d = 0; d < load->n_args; d++) {
    if (!neo_expr_uses_var(load->arg[d], q->axis))
      continue;
    q->loads++;
    q->fits = q->fits && d == load->n_args - 1 && neo_expr_affine(load->arg[d], &a) &&
              neo_affine_coef(&a, q->axis) == 1;
  }
}

/* A product with a constant along the row is better served by packing it, if there is an axis for
 * its vectors. */
static bool is_packed_product(const rfactor *s, const neo_te_block *b) {
  const neo_expr *e = b->body;
  if (e->op != NEO_EXPR_MUL || e->arg[0]->op != NEO_EXPR_LOAD || e->arg[1]->op != NEO_EXPR_LOAD ||
      neo_expr_equal(e->arg[0], e->arg[1]))
    return false;
  bool constant = s->te->buffer[e->arg[0]->u.load.buffer].role == NEO_TE_CONST ||
                  s->te->buffer[e->arg[1]->u.load.buffer].role == NEO_TE_CONST;
  for (int a = 0; constant && a < b->n_spatial; a++)
    if (b->extent[a] > 1)
      return true;
  return false;
}

static bool applies(const rfactor *s, const neo_te_block *b) {
  row_query q = {b->n_spatial + b->n_reduce - 1, 0, true};
  if (b->n_reduce == 0 || b->extent[q.axis] < 2 * s->lanes || b->n_spatial + 1 > NEO_MAX_RANK ||
      b->n_spatial + b->n_reduce + 1 > NEO_TE_MAX_AXES || is_packed_product(s, b))
    return false;
  neo_expr_visit_loads(b->body, check_load, &q);
  return q.fits && q.loads > 0;
}

static int add_tmp(rfactor *s, const neo_te_block *like, int64_t lanes) {
  neo_shape shape = {.rank = like->n_spatial};
  memcpy(shape.dim, like->extent, sizeof(int64_t) * (size_t)like->n_spatial);
  if (lanes > 0)
    shape.dim[shape.rank++] = lanes;
  return neo_te_add_buffer(s->te, NEO_TE_TMP, like->body->dtype, &shape);
}

/* The block with axis `row` replaced by e and a new spatial axis after the spatial ones if lanes >
 * 0. */
static neo_te_block part(rfactor *s, const neo_te_block *b, int buffer, int64_t lanes,
                         int64_t extent, const neo_expr *row) {
  neo_te_block made = *b;
  int n_axes = b->n_spatial + b->n_reduce, shift = lanes > 0;
  const neo_expr *map[NEO_TE_MAX_AXES];
  for (int a = 0; a < n_axes; a++)
    map[a] = neo_expr_var(s->arena, a < b->n_spatial ? a : a + shift);
  map[n_axes - 1] = row;
  made.buffer = buffer;
  made.n_spatial += shift;
  for (int a = n_axes - 1; a >= b->n_spatial; a--)
    made.extent[a + shift] = b->extent[a];
  if (shift)
    made.extent[b->n_spatial] = lanes;
  made.extent[n_axes - 1 + shift] = extent;
  for (int a = 0; a < made.n_spatial; a++)
    made.write[a] = neo_expr_var(s->arena, a);
  made.body = neo_expr_substitute(s->arena, b->body, map, n_axes);
  return made;
}

static const neo_expr *read(const rfactor *s, const neo_te_block *b, int buffer, int rank) {
  const neo_expr *index[NEO_MAX_RANK];
  for (int a = 0; a < rank; a++)
    index[a] = neo_expr_var(s->arena, a);
  return neo_expr_load(s->arena, b->body->dtype, buffer, rank, index);
}

static neo_expr_op op_of(neo_combine combine) {
  switch (combine) {
  case NEO_COMBINE_MUL:
    return NEO_EXPR_MUL;
  case NEO_COMBINE_MAX:
    return NEO_EXPR_MAX;
  case NEO_COMBINE_MIN:
    return NEO_EXPR_MIN;
  default:
    return NEO_EXPR_ADD;
  }
}

static void push(rfactor *s, neo_te_block block) {
  s->te->block[s->te->n_blocks++] = block;
}

/* combine of P at l, l + n, l + 2n, ... below L: short chains of additions, no long one. */
static const neo_expr *fold_read(const rfactor *s, const neo_te_block *b, int partial, int64_t at,
                                 int64_t n) {
  const neo_expr *index[NEO_MAX_RANK];
  if (n > 1) {
    int64_t half = (n + 1) / 2;
    return neo_expr_binary(s->arena, op_of(b->combine), fold_read(s, b, partial, at, half),
                           fold_read(s, b, partial, at + half * FOLD, n - half));
  }
  for (int a = 0; a <= b->n_spatial; a++)
    index[a] = neo_expr_var(s->arena, a);
  index[b->n_spatial] =
      neo_expr_binary(s->arena, NEO_EXPR_ADD, index[b->n_spatial], neo_expr_index(s->arena, at));
  return neo_expr_load(s->arena, b->body->dtype, partial, b->n_spatial + 1, index);
}

/* Sum of the partial results into `buffer` (the block's own one with its own write map if whole).
 */
static void push_sum(rfactor *s, const neo_te_block *b, int partial, int buffer) {
  neo_te_block sum = *b;
  if (buffer != b->buffer) {
    sum.buffer = buffer;
    for (int a = 0; a < b->n_spatial; a++)
      sum.write[a] = neo_expr_var(s->arena, a);
  }
  sum.n_reduce = 1;
  int64_t folds = s->lanes % FOLD == 0 ? s->lanes / FOLD : 1;
  sum.extent[b->n_spatial] = s->lanes / folds;
  sum.body = fold_read(s, b, partial, 0, folds);
  push(s, sum);
}

static void factor(rfactor *s, const neo_te_block *b) {
  int last = b->n_spatial + b->n_reduce - 1;
  int64_t full = b->extent[last] / s->lanes, rest = b->extent[last] % s->lanes;
  const neo_expr *row = neo_expr_binary(s->arena, NEO_EXPR_MUL, neo_expr_var(s->arena, last + 1),
                                        neo_expr_index(s->arena, s->lanes));
  row = neo_expr_binary(s->arena, NEO_EXPR_ADD, row, neo_expr_var(s->arena, b->n_spatial));
  int partial = add_tmp(s, b, s->lanes);
  push(s, part(s, b, partial, s->lanes, full, row));
  s->made++;
  if (rest == 0) {
    push_sum(s, b, partial, b->buffer);
    return;
  }
  int sum = add_tmp(s, b, 0), tail = add_tmp(s, b, 0);
  push_sum(s, b, partial, sum);
  row = neo_expr_binary(s->arena, NEO_EXPR_ADD, neo_expr_var(s->arena, last),
                        neo_expr_index(s->arena, full * s->lanes));
  push(s, part(s, b, tail, 0, rest, row));
  neo_te_block join = *b;
  join.n_reduce = 0;
  join.combine = NEO_COMBINE_NONE;
  join.init = (neo_scalar){0, 0};
  join.body = neo_expr_binary(s->arena, op_of(b->combine), read(s, b, sum, b->n_spatial),
                              read(s, b, tail, b->n_spatial));
  push(s, join);
}

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                          neo_te *out, neo_packing *packing) {
  (void)packing;
  rfactor s = {.arena = arena};
  if (!neo_algorithm_param(text, "lanes", &s.lanes) || s.lanes < 2 || s.lanes > 256)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: alg rfactor: lanes is 2 to 256");
  neo_te *from = neo_arena_alloc(arena, sizeof(*from));
  neo_te_copy(from, arena, te);
  s.te = neo_arena_alloc(arena, sizeof(*s.te));
  *s.te = *from;
  s.te->n_blocks = 0;
  for (int k = 0; k < from->n_blocks; k++) {
    if (s.te->n_blocks + 5 > NEO_TE_MAX_BLOCKS || s.te->n_buffers + 3 > NEO_TE_MAX_BUFFERS)
      return neo_fail(ctx, NEO_BAD_INPUT, "schedule: alg rfactor: too many blocks");
    if (applies(&s, &from->block[k]))
      factor(&s, &from->block[k]);
    else
      push(&s, from->block[k]);
  }
  if (s.made == 0)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "schedule: alg rfactor: no reduction along contiguous rows");
  *out = *s.te;
  return NEO_OK;
}

const neo_algorithm neo_algorithm_rfactor = {
    "rfactor", "reductions along contiguous rows as partial results per lane", NEO_ACCURACY_EXACT,
    rewrite};
