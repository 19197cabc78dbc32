/* Algorithm "half terms=N": sums of f16 products are made of partial sums in f16.
 *
 * Why: models of f16 sum in f32. Where the processor multiplies and adds f16, a vector has twice
 * the lanes, and operands need no casts. How: of a block of T terms
 *
 *   R[s] f32 = sum over r of cast.f32(x) * cast.f32(y)
 *
 * the partial sums P of at most N terms each are f16, and R sums those in f32 as before:
 *
 *   P[s, o] f16 = sum over q and the other reduce axes of x * y      r = o * Q + q
 *   R[s]    f32 = sum over o of cast.f32(P[s, o])
 *
 * Q divides the axis. With T <= N there is no R: its readers read P. A partial sum rounds N times
 * relative to its own size, about sqrt(N) / 3 units of 2^-11 of a result (DECISIONS 33), and it
 * overflows above 65504, where R would not. */
#include "schedule/algorithm.h"

#include <string.h>

#define LEAST_TERMS 8 /* fewer would not pay for their sum in f32 */

typedef struct halver {
  neo_arena *arena;
  neo_te *te; /* being built */
  int64_t terms;
  int made;
  int narrowed; /* buffer whose loads become f16 */
} halver;

/* How a reduction is cut: partial sums along `axis` of `step` of its elements. */
typedef struct cut {
  int axis;
  int64_t step, terms;
} cut;

/* x of cast.f32(x), x f16; NULL: e is something else. */
static const neo_expr *half_factor(const neo_expr *e) {
  return e->op == NEO_EXPR_CAST && e->dtype == NEO_F32 && e->arg[0]->dtype == NEO_F16 ? e->arg[0]
                                                                                      : NULL;
}

static bool find_factors(const neo_te *te, const neo_te_block *b, const neo_expr **x,
                         const neo_expr **y) {
  if (b->combine != NEO_COMBINE_ADD || b->init.f != 0 || b->body->op != NEO_EXPR_MUL ||
      b->body->dtype != NEO_F32 || te->buffer[b->buffer].role != NEO_TE_TMP)
    return false;
  *x = half_factor(b->body->arg[0]);
  *y = half_factor(b->body->arg[1]);
  return *x && *y;
}

/* Most terms that the limit allows, along the longest axis that has as many; false if too few. */
static bool find_cut(const neo_te_block *b, int64_t limit, cut *out) {
  int64_t all = 1;
  *out = (cut){-1, 0, 0};
  for (int a = b->n_spatial; a < b->n_spatial + b->n_reduce; a++)
    all *= b->extent[a];
  for (int a = b->n_spatial; a < b->n_spatial + b->n_reduce; a++) {
    int64_t extent = b->extent[a], others = all / extent, step = neo_min_i64(extent, limit);
    while (step > 1 && (extent % step != 0 || step * others > limit))
      step--;
    bool longer = out->axis < 0 || extent > b->extent[out->axis];
    if (step * others <= limit &&
        (step * others > out->terms || (step * others == out->terms && longer)))
      *out = (cut){a, step, step * others};
  }
  return out->axis >= 0 && out->terms >= neo_min_i64(all, LEAST_TERMS);
}

static const neo_expr *narrow_load(void *self, const neo_expr *load) {
  const halver *s = self;
  if (load->u.load.buffer != s->narrowed)
    return NULL;
  neo_guards guards = {load->u.load.n_guards, load->u.load.guard, load->u.load.fill};
  return neo_expr_cast(
      s->arena, NEO_F32,
      neo_expr_load_guarded(s->arena, NEO_F16, s->narrowed, load->n_args, load->arg, &guards));
}

/* The whole sum in f16. */
static void narrow_sum(halver *s, int k, const neo_expr *x, const neo_expr *y) {
  neo_te_block *b = &s->te->block[k];
  b->body = neo_expr_binary(s->arena, NEO_EXPR_MUL, x, y);
  s->narrowed = b->buffer;
  s->te->buffer[b->buffer].dtype = NEO_F16;
  for (int r = k + 1; r < s->te->n_blocks; r++)
    s->te->block[r].body = neo_expr_map_loads(s->arena, s->te->block[r].body, narrow_load, s);
}

/* P in front of block k, which becomes the sum of its parts. */
static void split_sum(halver *s, int k, const cut *c, const neo_expr *product) {
  neo_te *te = s->te;
  memmove(&te->block[k + 1], &te->block[k], sizeof(te->block[0]) * (size_t)(te->n_blocks - k));
  te->n_blocks++;
  neo_te_block *part = &te->block[k], *sum = &te->block[k + 1];
  int n = part->n_spatial, n_axes = n + part->n_reduce;
  int64_t pieces = part->extent[c->axis] / c->step;
  neo_shape shape = {.rank = n + 1};
  memcpy(shape.dim, part->extent, sizeof(int64_t) * (size_t)n);
  shape.dim[n] = pieces;
  const neo_expr *map[NEO_TE_MAX_AXES], *index[NEO_MAX_RANK];
  for (int a = 0; a < n_axes; a++)
    map[a] = neo_expr_var(s->arena, a < n ? a : a + 1);
  map[c->axis] = neo_expr_binary(s->arena, NEO_EXPR_ADD,
                                 neo_expr_binary(s->arena, NEO_EXPR_MUL, neo_expr_var(s->arena, n),
                                                 neo_expr_index(s->arena, c->step)),
                                 neo_expr_var(s->arena, c->axis + 1));
  part->buffer = neo_te_add_buffer(te, NEO_TE_TMP, NEO_F16, &shape);
  part->body = neo_expr_substitute(s->arena, product, map, n_axes);
  for (int a = n_axes - 1; a >= n; a--)
    part->extent[a + 1] = part->extent[a];
  part->extent[n] = pieces;
  part->extent[c->axis + 1] = c->step;
  part->n_spatial = n + 1;
  for (int a = 0; a <= n; a++)
    index[a] = part->write[a] = neo_expr_var(s->arena, a);
  sum->n_reduce = 1;
  sum->extent[n] = pieces;
  sum->body = neo_expr_cast(s->arena, NEO_F32,
                            neo_expr_load(s->arena, NEO_F16, part->buffer, n + 1, index));
}

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                          neo_te *out, neo_packing *packing) {
  (void)packing;
  halver s = {.arena = arena};
  int64_t pad = 0;
  if (!neo_algorithm_param(text, "terms", &s.terms) || s.terms < LEAST_TERMS || s.terms > 4096)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: alg half: terms is %d to 4096", LEAST_TERMS);
  s.te = neo_arena_alloc(arena, sizeof(*s.te));
  if (neo_algorithm_param(text, "pad", &pad) && pad)
    NEO_TRY(neo_algorithm_copy_reads(ctx, te, false, arena, s.te));
  else
    neo_te_copy(s.te, arena, te);
  for (int k = 0; k < s.te->n_blocks; k++) {
    neo_te_block *b = &s.te->block[k];
    const neo_expr *x, *y;
    cut c;
    if (!find_factors(s.te, b, &x, &y) || !find_cut(b, s.terms, &c))
      continue;
    bool whole = c.step == b->extent[c.axis];
    if (!whole && (s.te->n_blocks == NEO_TE_MAX_BLOCKS || s.te->n_buffers == NEO_TE_MAX_BUFFERS ||
                   b->n_spatial == NEO_MAX_RANK || b->n_spatial + b->n_reduce == NEO_TE_MAX_AXES))
      continue;
    if (whole) {
      narrow_sum(&s, k, x, y);
    } else {
      split_sum(&s, k, &c, neo_expr_binary(arena, NEO_EXPR_MUL, x, y));
      k++;
    }
    s.made++;
  }
  if (s.made == 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: alg half: no sum of f16 products");
  *out = *s.te;
  return NEO_OK;
}

const neo_algorithm neo_algorithm_half = {
    "half", "sums of f16 products as partial sums in f16 of at most `terms` terms",
    NEO_ACCURACY_FAST, rewrite};
