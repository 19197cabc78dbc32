/* Algorithm "strassen g=G": a matrix product with a constant by seven products of halves instead of
 * eight.
 *
 * Why: a product that runs at the FMA peak gets faster only by fewer multiplications; here an
 * eighth less (Strassen, "Gaussian elimination is not optimal", 1969). How: C[m, n] = sum over r of
 * x[m, r] w[r, n] is cut into quadrants along m, n and r. Seven sums of quadrants of x are made at
 * run time (T), those of w at compile time (U); the quadrants of C are sums of their products (P):
 *
 *   T[p, m', r']           sums of quadrants of x         U[p, r', j, i]   sums of quadrants of w
 *   P[p, m', j, i]         sum over r' of T * U           Y[u, v, m', j, i]   quadrant u, v of C
 *
 * and reads of the product's result C[m, n] become Y[m % 2, n / G % 2, m / 2, n / 2G, n % G]:
 * rows alternate between the halves and columns do in groups of G, so that a register tile of C
 * needs the same part of every P. r is cut in the middle. There may be further spatial axes of x
 * alone. Strassen's own form is taken: Winograd's variant has fewer sums, but longer chains of them
 * where C is assembled, and larger errors. */
#include "schedule/algorithm.h"

#include <string.h>

#define PRODUCTS 7
#define QUADRANTS 4
#define DEPTH_STEP 32 /* r' divides into vectors of any target */

typedef struct strassen {
  neo_ctx *ctx;
  neo_arena *arena;
  neo_te *te;           /* being rewritten */
  int red;              /* the product's block */
  int x, w;             /* its buffers */
  int m, n, r;          /* its axes */
  int x_rank, x_m, x_r; /* dims of x */
  int w_rank, w_n, w_r; /* dims of w */
  int64_t group;
} strassen;

/* By product and quadrant (first half along the first axis, then along the second: 0, 1, 2, 3). */
static const int8_t left[PRODUCTS][QUADRANTS] = {{1, 0, 0, 1}, {0, 0, 1, 1}, {1, 0, 0, 0},
                                                 {0, 0, 0, 1}, {1, 1, 0, 0}, {-1, 0, 1, 0},
                                                 {0, 1, 0, -1}};
static const int8_t right[PRODUCTS][QUADRANTS] = {{1, 0, 0, 1},  {1, 0, 0, 0}, {0, 1, 0, -1},
                                                  {-1, 0, 1, 0}, {0, 0, 0, 1}, {1, 1, 0, 0},
                                                  {0, 0, 1, 1}};
static const int8_t result[QUADRANTS][PRODUCTS] = {
    {1, 0, 0, 1, -1, 0, 1}, {0, 0, 1, 0, 1, 0, 0}, {0, 1, 0, 1, 0, 0, 0}, {1, -1, 1, 0, 0, 1, 0}};

static neo_status no(const strassen *s, const char *why) {
  return neo_fail(s->ctx, NEO_BAD_INPUT, "schedule: alg strassen: %s", why);
}

/* ---- recognising --------------------------------------------------------------------------------------- */

/* Each dim is one axis or 0; *axes gets a bit for each axis. */
static bool is_plain(const neo_expr *load, int *dim_axis, uint32_t *axes) {
  *axes = 0;
  for (int d = 0; d < load->n_args; d++) {
    int64_t c;
    dim_axis[d] = load->arg[d]->op == NEO_EXPR_VAR ? load->arg[d]->u.var : -1;
    if (dim_axis[d] < 0 && !(neo_expr_is_const(load->arg[d], &c) && c == 0))
      return false;
    if (dim_axis[d] >= 0 && *axes >> dim_axis[d] & 1)
      return false;
    *axes |= dim_axis[d] >= 0 ? UINT32_C(1) << dim_axis[d] : 0;
  }
  return load->u.load.n_guards == 0;
}

static int dim_of(const int *dim_axis, int rank, int axis) {
  for (int d = 0; d < rank; d++)
    if (dim_axis[d] == axis)
      return d;
  return -1;
}

/* The axes m, n and r of x[.., m, .., r] * w[r, n]. */
static bool match_axes(strassen *s, const neo_te_block *b, const neo_expr *x, const neo_expr *w) {
  int x_axis[NEO_MAX_RANK], w_axis[NEO_MAX_RANK];
  uint32_t in_x, in_w;
  if (!is_plain(x, x_axis, &in_x) || !is_plain(w, w_axis, &in_w))
    return false;
  s->m = s->n = s->r = -1;
  for (int a = 0; a < b->n_spatial + b->n_reduce; a++) {
    bool reads_x = in_x >> a & 1, reads_w = in_w >> a & 1;
    if (b->extent[a] == 1)
      continue;
    int *role = a >= b->n_spatial ? &s->r : reads_w ? &s->n : &s->m;
    bool both = a >= b->n_spatial;
    if (reads_x != (both || role == &s->m) || reads_w != (both || role == &s->n))
      return false;
    if (*role >= 0 && role != &s->m)
      return false;
    if (*role < 0 || b->extent[a] > b->extent[*role])
      *role = a;
  }
  if (s->m < 0 || s->n < 0 || s->r < 0)
    return false;
  s->x_rank = x->n_args;
  s->x_m = dim_of(x_axis, x->n_args, s->m);
  s->x_r = dim_of(x_axis, x->n_args, s->r);
  s->w_rank = w->n_args;
  s->w_n = dim_of(w_axis, w->n_args, s->n);
  s->w_r = dim_of(w_axis, w->n_args, s->r);
  return true;
}

static bool writes_its_axes(const neo_te *te, const neo_te_block *b) {
  if (te->buffer[b->buffer].shape.rank != b->n_spatial)
    return false;
  for (int d = 0; d < b->n_spatial; d++)
    if (b->extent[d] != te->buffer[b->buffer].shape.dim[d] ||
        (b->extent[d] > 1 && (b->write[d]->op != NEO_EXPR_VAR || b->write[d]->u.var != d)))
      return false;
  return true;
}

static bool match_block(strassen *s, int k) {
  const neo_te_block *b = &s->te->block[k];
  const neo_expr *e = b->body;
  if (b->combine != NEO_COMBINE_ADD || b->init.f != 0 || e->op != NEO_EXPR_MUL ||
      e->dtype != NEO_F32 || e->arg[0]->op != NEO_EXPR_LOAD || e->arg[1]->op != NEO_EXPR_LOAD ||
      !writes_its_axes(s->te, b))
    return false;
  for (int i = 0; i < 2; i++) {
    const neo_expr *x = e->arg[i], *w = e->arg[1 - i];
    s->x = x->u.load.buffer;
    s->w = w->u.load.buffer;
    if (s->te->buffer[s->w].role == NEO_TE_CONST && s->te->buffer[s->x].role != NEO_TE_CONST &&
        x->dtype == NEO_F32 && w->dtype == NEO_F32 && match_axes(s, b, x, w)) {
      s->red = k;
      return true;
    }
  }
  return false;
}

typedef struct read_count {
  int buffer, n;
} read_count;

static void count_read(void *self, const neo_expr *load) {
  read_count *r = self;
  r->n += load->u.load.buffer == r->buffer;
}

static neo_status find_product(strassen *s) {
  int found = 0;
  for (int k = 0; k < s->te->n_blocks; k++) {
    strassen one = *s;
    if (match_block(&one, k)) {
      *s = one;
      found++;
    }
  }
  if (found != 1)
    return no(s, "needs exactly one product of f32 values with a constant matrix");
  const neo_te_block *b = &s->te->block[s->red];
  if (b->extent[s->n] % (2 * s->group) != 0 || b->extent[s->r] % (2 * DEPTH_STEP) != 0)
    return no(s, "columns do not divide into pairs of groups, or the sum into halves");
  if (s->x_rank + 1 > NEO_MAX_RANK || s->w_rank + 2 > NEO_MAX_RANK ||
      b->n_spatial + 3 > NEO_MAX_RANK || b->n_spatial + b->n_reduce + 2 > NEO_TE_MAX_AXES)
    return no(s, "too many axes");
  read_count reads = {s->w, 0};
  for (int k = 0; k < s->te->n_blocks; k++)
    neo_expr_visit_loads(s->te->block[k].body, count_read, &reads);
  if (reads.n != 1)
    return no(s, "the constant is read elsewhere, too");
  if (s->te->n_blocks + 4 > NEO_TE_MAX_BLOCKS || s->te->n_buffers + 4 > NEO_TE_MAX_BUFFERS)
    return no(s, "too many blocks");
  return NEO_OK;
}

/* ---- expressions ---------------------------------------------------------------------------------------- */

/* e * a + b */
static const neo_expr *affine(const strassen *s, const neo_expr *e, int64_t a, int64_t b) {
  e = neo_expr_binary(s->arena, NEO_EXPR_MUL, e, neo_expr_index(s->arena, a));
  return neo_expr_binary(s->arena, NEO_EXPR_ADD, e, neo_expr_index(s->arena, b));
}

static const neo_expr *sum_of(const strassen *s, const int8_t *sign, const neo_expr *const *term,
                              int n) {
  const neo_expr *sum = NULL;
  for (int i = 0; i < n; i++)
    if (sign[i] > 0)
      sum = sum ? neo_expr_binary(s->arena, NEO_EXPR_ADD, sum, term[i]) : term[i];
  for (int i = 0; i < n; i++)
    if (sign[i] < 0)
      sum = neo_expr_binary(s->arena, NEO_EXPR_SUB, sum, term[i]);
  return sum;
}

/* select by axis: e[0] where it is 0, ... */
static const neo_expr *choose(const strassen *s, int axis, const neo_expr *const *e, int n) {
  const neo_expr *all = e[n - 1];
  for (int k = n - 2; k >= 0; k--)
    all = neo_expr_select(s->arena,
                          neo_expr_binary(s->arena, NEO_EXPR_EQ, neo_expr_var(s->arena, axis),
                                          neo_expr_index(s->arena, k)),
                          e[k], all);
  return all;
}

/* ---- blocks ------------------------------------------------------------------------------------------- */

/* Quadrant (u, b) of x over T's axes. */
static const neo_expr *left_term(const strassen *s, int u, int b) {
  const neo_te_block *red = &s->te->block[s->red];
  const neo_expr *index[NEO_MAX_RANK];
  for (int d = 0; d < s->x_rank; d++)
    index[d] = neo_expr_var(s->arena, d + 1);
  index[s->x_m] = affine(s, index[s->x_m], 2, u);
  index[s->x_r] = affine(s, index[s->x_r], 1, b * (red->extent[s->r] / 2));
  bool over = u > 0 && red->extent[s->m] % 2 != 0;
  neo_guard guard = {index[s->x_m], 0, red->extent[s->m]};
  return neo_expr_load_guarded(s->arena, NEO_F32, s->x, s->x_rank, index,
                               &(neo_guards){over, &guard, 0});
}

static int add_sums(strassen *s) {
  const neo_te_block *red = &s->te->block[s->red];
  neo_shape shape = s->te->buffer[s->x].shape;
  memmove(shape.dim + 1, shape.dim, sizeof(*shape.dim) * (size_t)s->x_rank);
  shape.rank = s->x_rank + 1;
  shape.dim[0] = PRODUCTS;
  shape.dim[1 + s->x_m] = neo_ceil_div(red->extent[s->m], 2);
  shape.dim[1 + s->x_r] = red->extent[s->r] / 2;
  const neo_expr *term[QUADRANTS], *sum[PRODUCTS];
  for (int q = 0; q < QUADRANTS; q++)
    term[q] = left_term(s, q / 2, q % 2);
  for (int p = 0; p < PRODUCTS; p++)
    sum[p] = sum_of(s, left[p], term, QUADRANTS);
  int t = neo_te_add_buffer(s->te, NEO_TE_TMP, NEO_F32, &shape);
  neo_te_add_block(s->te, t)->body = choose(s, 0, sum, PRODUCTS);
  return t;
}

/* The load of x as one of T, that of w as one of U, over P's axes: p, the product's spatial axes (j
 * for n), i, its reduce axes. */
static const neo_expr *moved_load(const strassen *s, const neo_te_block *red, const neo_expr *load,
                                  int buffer) {
  const neo_expr *index[NEO_MAX_RANK], *map[NEO_TE_MAX_AXES];
  int n = load->n_args + 1;
  for (int a = 0; a < red->n_spatial + red->n_reduce; a++)
    map[a] = neo_expr_var(s->arena, a < red->n_spatial ? a + 1 : a + 2);
  index[0] = neo_expr_var(s->arena, 0);
  for (int d = 0; d < load->n_args; d++)
    index[d + 1] = neo_expr_substitute(s->arena, load->arg[d], map, red->n_spatial + red->n_reduce);
  if (buffer == s->w)
    index[n++] = neo_expr_var(s->arena, red->n_spatial + 1);
  return neo_expr_load(s->arena, NEO_F32, buffer, n, index);
}

/* Shape of P, or of Y if `halves` dims of 2 stand in front instead of the products. */
static neo_shape half_shape(const strassen *s, const neo_te_block *red, int halves) {
  neo_shape shape = {.dim = {PRODUCTS}};
  int first = halves > 0 ? halves : 1;
  for (int d = 0; d < halves; d++)
    shape.dim[d] = 2;
  for (int a = 0; a < red->n_spatial; a++)
    shape.dim[a + first] = red->extent[a];
  shape.dim[s->m + first] = neo_ceil_div(red->extent[s->m], 2);
  shape.dim[s->n + first] = red->extent[s->n] / (2 * s->group);
  shape.rank = red->n_spatial + first + 1;
  shape.dim[shape.rank - 1] = s->group;
  return shape;
}

static int add_products(strassen *s, const neo_te_block *red, int t) {
  neo_shape shape = half_shape(s, red, 0);
  int p = neo_te_add_buffer(s->te, NEO_TE_TMP, NEO_F32, &shape);
  neo_te_block *block = neo_te_add_block(s->te, p);
  block->n_reduce = red->n_reduce;
  for (int a = red->n_spatial; a < red->n_spatial + red->n_reduce; a++)
    block->extent[a + 2] = a == s->r ? red->extent[a] / 2 : red->extent[a];
  block->combine = NEO_COMBINE_ADD;
  bool first = red->body->arg[0]->u.load.buffer == s->x;
  const neo_expr *x = moved_load(s, red, red->body->arg[first ? 0 : 1], t);
  const neo_expr *w = moved_load(s, red, red->body->arg[first ? 1 : 0], s->w);
  block->body = neo_expr_binary(s->arena, NEO_EXPR_MUL, x, w);
  return p;
}

static int add_quadrants(strassen *s, const neo_te_block *red, int p) {
  neo_shape shape = half_shape(s, red, 2);
  const neo_expr *index[NEO_MAX_RANK], *term[PRODUCTS], *row[2], *sum[2];
  for (int d = 2; d < shape.rank; d++)
    index[d - 1] = neo_expr_var(s->arena, d);
  for (int k = 0; k < PRODUCTS; k++) {
    index[0] = neo_expr_index(s->arena, k);
    term[k] = neo_expr_load(s->arena, NEO_F32, p, shape.rank - 1, index);
  }
  for (int u = 0; u < 2; u++) {
    for (int v = 0; v < 2; v++)
      row[v] = sum_of(s, result[2 * u + v], term, PRODUCTS);
    sum[u] = choose(s, 1, row, 2);
  }
  int y = neo_te_add_buffer(s->te, NEO_TE_TMP, NEO_F32, &shape);
  neo_te_add_block(s->te, y)->body = choose(s, 0, sum, 2);
  return y;
}

/* ---- the result ------------------------------------------------------------------------------------------ */

typedef struct redirect {
  const strassen *s;
  int rank, from, to; /* C -> Y */
} redirect;

static const neo_expr *result_at(const redirect *r, const neo_expr *const *at) {
  const strassen *s = r->s;
  neo_arena *arena = s->arena;
  const neo_expr *index[NEO_MAX_RANK];
  for (int a = 0; a < r->rank; a++)
    index[a + 2] = at[a];
  index[0] = neo_expr_floormod(arena, at[s->m], 2, NULL, 0);
  index[1] =
      neo_expr_floormod(arena, neo_expr_floordiv(arena, at[s->n], s->group, NULL, 0), 2, NULL, 0);
  index[s->m + 2] = neo_expr_floordiv(arena, at[s->m], 2, NULL, 0);
  index[s->n + 2] = neo_expr_floordiv(arena, at[s->n], 2 * s->group, NULL, 0);
  index[r->rank + 2] = neo_expr_floormod(arena, at[s->n], s->group, NULL, 0);
  return neo_expr_load(arena, NEO_F32, r->to, r->rank + 3, index);
}

static const neo_expr *redirect_load(void *self, const neo_expr *e) {
  const redirect *r = self;
  return e->u.load.buffer == r->from ? result_at(r, e->arg) : NULL;
}

/* Where C is an OUT, an elementwise block writes it; where it was a TMP, Y takes its number, so
 * that none is without a writer. */
static void rewrite_blocks(strassen *s) {
  neo_te *te = s->te;
  int n = te->n_blocks, old = te->block[s->red].buffer;
  neo_te_block *was = neo_arena_copy(s->arena, te->block, sizeof(*was) * (size_t)n);
  const neo_te_block *red = &was[s->red];
  bool is_out = te->buffer[old].role == NEO_TE_OUT;
  int t = add_sums(s);
  neo_te_block sums = te->block[n];
  te->n_blocks = s->red;
  te->block[te->n_blocks++] = sums;
  int y = add_quadrants(s, red, add_products(s, red, t));
  redirect r = {s, red->n_spatial, old, y};
  if (is_out) {
    const neo_expr *at[NEO_MAX_RANK];
    for (int a = 0; a < red->n_spatial; a++)
      at[a] = neo_expr_var(s->arena, a);
    neo_te_add_block(te, old)->body = result_at(&r, at);
  } else {
    te->buffer[old] = te->buffer[y];
    te->block[te->n_blocks - 1].buffer = r.to = old;
    te->n_buffers--;
  }
  for (int k = s->red + 1; k < n; k++) {
    neo_te_block copy = was[k];
    if (!is_out)
      copy.body = neo_expr_map_loads(s->arena, copy.body, redirect_load, &r);
    te->block[te->n_blocks++] = copy;
  }
}

/* Quadrant (b, v) of w over U's axes. */
static const neo_expr *right_term(const strassen *s, int64_t depth, int b, int v) {
  neo_arena *arena = s->arena;
  const neo_expr *index[NEO_MAX_RANK];
  for (int d = 0; d < s->w_rank; d++)
    index[d] = neo_expr_var(arena, d + 1);
  index[s->w_r] = affine(s, index[s->w_r], 1, b * depth);
  index[s->w_n] =
      neo_expr_binary(arena, NEO_EXPR_ADD, affine(s, index[s->w_n], 2 * s->group, v * s->group),
                      neo_expr_var(arena, s->w_rank + 1));
  return neo_expr_load(arena, NEO_F32, 0, s->w_rank, index);
}

static void make_pack(strassen *s, neo_packing *packing) {
  neo_pack *pack = packing->pack = neo_arena_alloc(s->arena, sizeof(*pack));
  packing->n = 1;
  pack->buffer = pack->source = s->w;
  pack->has_te = true;
  neo_te_init(&pack->te, s->arena);
  neo_shape *shape = &s->te->buffer[s->w].shape, u = *shape;
  neo_te_add_buffer(&pack->te, NEO_TE_IN, NEO_F32, shape);
  memmove(u.dim + 1, shape->dim, sizeof(*u.dim) * (size_t)s->w_rank);
  u.rank = s->w_rank + 2;
  u.dim[0] = PRODUCTS;
  u.dim[1 + s->w_n] /= 2 * s->group;
  u.dim[u.rank - 1] = s->group;
  u.dim[1 + s->w_r] /= 2;
  const neo_expr *term[QUADRANTS], *sum[PRODUCTS];
  for (int q = 0; q < QUADRANTS; q++)
    term[q] = right_term(s, u.dim[1 + s->w_r], q / 2, q % 2);
  for (int p = 0; p < PRODUCTS; p++)
    sum[p] = sum_of(s, right[p], term, QUADRANTS);
  int out = neo_te_add_buffer(&pack->te, NEO_TE_OUT, NEO_F32, &u);
  neo_te_add_block(&pack->te, out)->body = choose(s, 0, sum, PRODUCTS);
  *shape = u;
}

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                          neo_te *out, neo_packing *packing) {
  strassen s = {.ctx = ctx, .arena = arena};
  if (!neo_algorithm_param(text, "g", &s.group) || s.group < 1 || s.group > 256)
    return no(&s, "g is 1 to 256");
  s.te = neo_arena_alloc(arena, sizeof(*s.te));
  neo_te_copy(s.te, arena, te);
  NEO_TRY(find_product(&s));
  make_pack(&s, packing);
  rewrite_blocks(&s);
  *out = *s.te;
  return NEO_OK;
}

const neo_algorithm neo_algorithm_strassen = {
    "strassen", "products with a constant by seven products of halves", NEO_ACCURACY_DEFAULT,
    rewrite, NULL};
