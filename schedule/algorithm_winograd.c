/* Algorithm "winograd m=M n=N [fine=1]": minimal filtering of stride-1 convolutions by output tiles
 * of M x N.
 *
 * Why: F(4x4, 3x3) needs a quarter of the multiplications of direct summation (Lavin and Gray,
 * "Fast Algorithms for Convolutional Neural Networks", 2015), F(2x2, 5x5) 36 % of them; kernels of
 * 1 x 7 are transformed along one dimension only: F(2, 7) needs 8 of 14. How: Y = A^T [ sum_c (G w
 * G^T) * (B^T x B) ] A with Toom-Cook matrices over the points 0, +-p1, +-p2, ... and infinity;
 * along a dimension with one tap all matrices are 1. Blocks, in order, for x[n, c, h, w] and
 * y[n, k, h, w], tiles (n, y, x), positions a, b inside a tile:
 *
 *   P[n, h, w, c]        the input with its border and the overhang of the last tiles
 *   D[n, y, x, a, j, c]  B^T along rows         V[a, b, n, y, x, c]  B^T along columns
 *   M[a, b, n, y, x, k]  sum over c of V * U    U[a, b, c, k] = G w G^T, made at compile time
 *   E[n, y, x, u, b, k]  A^T along rows         Y[n, y, x, u, v, k]  A^T along columns
 *
 * and reads of the convolution's result y[n, k, h, w] become Y[n, h / M, w / N, h % M, w % N, k]. A
 * transform is no reduction: its body selects by a (b, u, v) among sums with constant coefficients,
 * so that zeros cost nothing and rows of +p and -p share their even and odd parts once loops over
 * positions are unrolled.
 *
 * Points: fine=0 takes 0, +-1, +-2, +-1/2; fine=1 takes 0, +-3/4, +-3/2 where there are six
 * (M + taps - 1), for F(4x4, 3x3) a third of the rounding error. Eight, transformed
 * along both dimensions, lose more digits than the default admits; along one they do not. */
#include "schedule/algorithm.h"

#include <math.h>
#include <string.h>

#define MAX_TAPS 7
#define MAX_ALPHA 8

/* Toom-Cook matrices of F(m, taps) in one dimension; alpha = m + taps - 1, point alpha-1 is
 * infinity. */
typedef struct matrices {
  int m, taps, alpha;
  double at[MAX_ALPHA][MAX_ALPHA]; /* m x alpha */
  double g[MAX_ALPHA][MAX_TAPS];   /* alpha x taps */
  double bt[MAX_ALPHA][MAX_ALPHA]; /* alpha x alpha */
} matrices;

typedef struct winograd {
  neo_ctx *ctx;
  neo_arena *arena;
  neo_te *te;                                      /* being rewritten */
  int red;                                         /* the convolution's block */
  int x, w;                                        /* its buffers */
  int64_t batch, channels, outputs, rows, columns; /* of y */
  int64_t pad_y, pad_x, in_rows, in_columns;
  matrices my, mx; /* along rows and columns */
  int64_t tiles_y, tiles_x;
} winograd;

/* ---- matrices ---------------------------------------------------------------------------------------- */

static void find_matrices(int m, int taps, bool fine, matrices *out) {
  static const double plain_points[] = {0, 1, -1, 2, -2, 0.5, -0.5};
  static const double fine_points[] = {0, 0.75, -0.75, 1.5, -1.5};
  int alpha = m + taps - 1, finite = alpha - 1;
  const double *point = fine && alpha <= 6 ? fine_points : plain_points;
  memset(out, 0, sizeof(*out));
  out->m = m;
  out->taps = taps;
  out->alpha = alpha;
  for (int j = 0; j < finite; j++) {
    double scale = 1, poly[MAX_ALPHA] = {1};
    int degree = 0;
    for (int l = 0; l < finite; l++) {
      if (l == j)
        continue;
      scale *= point[j] - point[l];
      for (int i = ++degree; i >= 0; i--)
        poly[i] = (i > 0 ? poly[i - 1] : 0) - point[l] * poly[i];
    }
    for (int i = 0; i < m; i++)
      out->at[i][j] = pow(point[j], i);
    for (int k = 0; k < taps; k++)
      out->g[j][k] = pow(point[j], k) / scale;
    memcpy(out->bt[j], poly, sizeof(poly));
  }
  double poly[MAX_ALPHA] = {1};
  for (int l = 0; l < finite; l++)
    for (int i = l + 1; i >= 0; i--)
      poly[i] = (i > 0 ? poly[i - 1] : 0) - point[l] * poly[i];
  memcpy(out->bt[finite], poly, sizeof(poly));
  out->at[m - 1][finite] = 1;
  out->g[finite][taps - 1] = 1;
}

/* ---- expressions ---------------------------------------------------------------------------------------- */

static const neo_expr *var(const winograd *s, int axis) {
  return neo_expr_var(s->arena, axis);
}

/* a * axis + b */
static const neo_expr *affine(const winograd *s, int axis, int64_t a, int64_t b) {
  const neo_expr *e =
      neo_expr_binary(s->arena, NEO_EXPR_MUL, var(s, axis), neo_expr_index(s->arena, a));
  return neo_expr_binary(s->arena, NEO_EXPR_ADD, e, neo_expr_index(s->arena, b));
}

/* sum + coef * term, without multiplying by 1 or adding to nothing (sum NULL); coef 0 gives sum. */
static const neo_expr *add_term(neo_arena *arena, const neo_expr *sum, double coef,
                                const neo_expr *term) {
  if (coef == 0)
    return sum;
  if (coef == -1 && sum)
    return neo_expr_binary(arena, NEO_EXPR_SUB, sum, term);
  if (coef != 1)
    term = neo_expr_binary(arena, NEO_EXPR_MUL, neo_expr_const_f(arena, NEO_F32, coef), term);
  return sum ? neo_expr_binary(arena, NEO_EXPR_ADD, sum, term) : term;
}

/* sum of row[i] * term[i] over i = first, first + step, ... */
static const neo_expr *combine(neo_arena *arena, const double *row, const neo_expr *const *term,
                               int n, int first, int step) {
  const neo_expr *sum = NULL;
  for (int i = first; i < n; i += step)
    sum = add_term(arena, sum, row[i], term[i]);
  return sum;
}

static const neo_expr *join(neo_arena *arena, neo_expr_op op, const neo_expr *a,
                            const neo_expr *b) {
  if (!a)
    return op == NEO_EXPR_SUB ? neo_expr_unary(arena, NEO_EXPR_NEG, b) : b;
  return b ? neo_expr_binary(arena, op, a, b) : a;
}

/* select by axis: row 0 of e where the axis is 0, ... */
static const neo_expr *choose(const winograd *s, int axis, const neo_expr *const *e, int n) {
  const neo_expr *all = e[n - 1];
  for (int k = n - 2; k >= 0; k--) {
    const neo_expr *here =
        neo_expr_binary(s->arena, NEO_EXPR_EQ, var(s, axis), neo_expr_index(s->arena, k));
    all = neo_expr_select(s->arena, here, e[k], all);
  }
  return all;
}

/* B^T: rows of +p and -p (2k+1 and 2k+2) are even + odd and even - odd. */
static const neo_expr *input_transform(const winograd *s, const matrices *m, int axis,
                                       const neo_expr *const *term) {
  const neo_expr *row[MAX_ALPHA];
  for (int a = 0; a < m->alpha; a++) {
    bool pair = a > 0 && a < m->alpha - 1, second = pair && a % 2 == 0;
    const double *coef = m->bt[second ? a - 1 : a];
    const neo_expr *even = combine(s->arena, coef, term, m->alpha, 0, 2);
    const neo_expr *odd = combine(s->arena, coef, term, m->alpha, 1, 2);
    row[a] = join(s->arena, second ? NEO_EXPR_SUB : NEO_EXPR_ADD, even, odd);
  }
  return choose(s, axis, row, m->alpha);
}

/* A^T: the terms of +p and -p come as a sum or a difference. */
static const neo_expr *output_transform(const winograd *s, const matrices *m, int axis,
                                        const neo_expr *const *term) {
  const neo_expr *row[MAX_ALPHA];
  for (int u = 0; u < m->m; u++) {
    const neo_expr *sum = add_term(s->arena, NULL, m->at[u][0], term[0]);
    for (int a = 1; a + 1 < m->alpha - 1; a += 2) {
      neo_expr_op op = u % 2 ? NEO_EXPR_SUB : NEO_EXPR_ADD;
      sum =
          add_term(s->arena, sum, m->at[u][a], neo_expr_binary(s->arena, op, term[a], term[a + 1]));
    }
    if (m->alpha > 1)
      sum = add_term(s->arena, sum, m->at[u][m->alpha - 1], term[m->alpha - 1]);
    row[u] = sum;
  }
  return choose(s, axis, row, m->m);
}

/* ---- recognising --------------------------------------------------------------------------------------- */

static neo_status no(const winograd *s, const char *why) {
  return neo_fail(s->ctx, NEO_BAD_INPUT, "schedule: alg winograd: %s", why);
}

/* axis + tap + base; a tap axis of extent 1 need not appear. */
static bool is_var_plus(const neo_te_block *b, const neo_expr *e, int axis, int tap,
                        int64_t *base) {
  neo_affine a;
  if (!neo_expr_affine(e, &a) || neo_affine_coef(&a, axis) != 1)
    return false;
  bool moves = neo_affine_coef(&a, tap) == 1;
  if (a.n != 1 + moves || (!moves && b->extent[tap] != 1))
    return false;
  *base = a.base;
  return true;
}

/* e is this axis, or 0 where the axis has extent 1. */
static bool is_axis(const neo_te_block *b, const neo_expr *e, int axis) {
  int64_t c;
  if (e->op == NEO_EXPR_VAR)
    return e->u.var == axis;
  return b->extent[axis] == 1 && neo_expr_is_const(e, &c) && c == 0;
}

/* Axes (n, k, h, w | c, taps, taps), body x[n, c, h + i - p, w + j - q] * weight[k, c, i, j]. */
static bool match_body(winograd *s, const neo_te_block *b) {
  const neo_expr *x = b->body->arg[0], *w = b->body->arg[1];
  if (x->op != NEO_EXPR_LOAD || w->op != NEO_EXPR_LOAD || x->n_args != 4 || w->n_args != 4)
    return false;
  bool found = is_axis(b, x->arg[0], 0) && is_axis(b, x->arg[1], 4) &&
               is_var_plus(b, x->arg[2], 2, 5, &s->pad_y) &&
               is_var_plus(b, x->arg[3], 3, 6, &s->pad_x) && is_axis(b, w->arg[0], 1) &&
               is_axis(b, w->arg[1], 4) && is_axis(b, w->arg[2], 5) && is_axis(b, w->arg[3], 6) &&
               w->u.load.n_guards == 0;
  s->x = x->u.load.buffer;
  s->w = w->u.load.buffer;
  s->pad_y = -s->pad_y;
  s->pad_x = -s->pad_x;
  const neo_te_buffer *in = &s->te->buffer[s->x];
  s->in_rows = in->shape.dim[2];
  s->in_columns = in->shape.dim[3];
  for (int g = 0; found && g < x->u.load.n_guards; g++) {
    const neo_guard *guard = &x->u.load.guard[g];
    int dim = neo_expr_equal(guard->index, x->arg[2]) ? 2 : 3;
    found = neo_expr_equal(guard->index, x->arg[dim]) && guard->lo == 0 &&
            guard->hi == in->shape.dim[dim];
  }
  return found && x->u.load.fill == 0 && s->te->buffer[s->w].role == NEO_TE_CONST;
}

/* Tiles of m outputs and this many taps: pairs of points, at most eight. */
static bool fits(int64_t outputs, int64_t taps, int m) {
  if (taps == 1)
    return m == 1;
  return taps % 2 == 1 && m % 2 == 0 && outputs >= 2 && m + taps - 1 <= MAX_ALPHA;
}

/* s->my.m and s->mx.m are the tile's. */
static bool match_block(winograd *s, int k) {
  const neo_te_block *b = &s->te->block[k];
  if (b->combine != NEO_COMBINE_ADD || b->n_spatial != 4 || b->n_reduce != 3 || b->init.f != 0 ||
      !fits(b->extent[2], b->extent[5], s->my.m) || !fits(b->extent[3], b->extent[6], s->mx.m) ||
      b->extent[5] * b->extent[6] == 1 || b->extent[1] < 2 || b->extent[4] < 2)
    return false;
  if (b->body->op != NEO_EXPR_MUL || b->body->dtype != NEO_F32 || !match_body(s, b))
    return false;
  s->red = k;
  s->my.taps = (int)b->extent[5];
  s->mx.taps = (int)b->extent[6];
  s->batch = b->extent[0];
  s->outputs = b->extent[1];
  s->rows = b->extent[2];
  s->columns = b->extent[3];
  s->channels = b->extent[4];
  return true;
}

typedef struct read_count {
  int buffer, n;
} read_count;

static void count_read(void *self, const neo_expr *load) {
  read_count *r = self;
  r->n += load->u.load.buffer == r->buffer;
}

/* The one convolution of the te; its weights have no other reader. */
static neo_status find_convolution(winograd *s) {
  int found = 0;
  for (int k = 0; k < s->te->n_blocks; k++) {
    winograd one = *s;
    if (match_block(&one, k)) {
      *s = one;
      found++;
    }
  }
  if (found != 1)
    return no(s, "needs exactly one convolution of stride 1 in f32 whose taps fit the tile");
  read_count reads = {s->w, 0};
  for (int k = 0; k < s->te->n_blocks; k++)
    neo_expr_visit_loads(s->te->block[k].body, count_read, &reads);
  if (reads.n != 1)
    return no(s, "the weights are read elsewhere, too");
  if (s->te->n_blocks + 6 > NEO_TE_MAX_BLOCKS || s->te->n_buffers + 6 > NEO_TE_MAX_BUFFERS)
    return no(s, "too many blocks");
  return NEO_OK;
}

/* ---- blocks ------------------------------------------------------------------------------------------- */

/* A block over the shape of a new TMP; its number goes to *buffer. */
static neo_te_block *add_tmp(winograd *s, int rank, const int64_t *dims, int *buffer) {
  neo_shape shape = {.rank = rank};
  memcpy(shape.dim, dims, sizeof(*dims) * (size_t)rank);
  *buffer = neo_te_add_buffer(s->te, NEO_TE_TMP, NEO_F32, &shape);
  return neo_te_add_block(s->te, *buffer);
}

static const neo_expr *load(const winograd *s, int buffer, int n, const neo_expr *const *index) {
  return neo_expr_load(s->arena, NEO_F32, buffer, n, index);
}

static int add_padded(winograd *s) {
  int64_t dims[] = {s->batch, s->tiles_y * s->my.m + s->my.taps - 1,
                    s->tiles_x * s->mx.m + s->mx.taps - 1, s->channels};
  int p;
  neo_te_block *block = add_tmp(s, 4, dims, &p);
  const neo_expr *index[4] = {var(s, 0), var(s, 3), affine(s, 1, 1, -s->pad_y),
                              affine(s, 2, 1, -s->pad_x)};
  neo_guard guard[2] = {{index[2], 0, s->in_rows}, {index[3], 0, s->in_columns}};
  block->body =
      neo_expr_load_guarded(s->arena, NEO_F32, s->x, 4, index, &(neo_guards){2, guard, 0});
  return p;
}

/* D and V. */
static int add_input_transform(winograd *s, int padded) {
  int64_t dims[] = {s->batch, s->tiles_y, s->tiles_x, s->my.alpha, s->mx.alpha, s->channels};
  const neo_expr *term[MAX_ALPHA];
  int d, v;
  neo_te_block *block = add_tmp(s, 6, dims, &d);
  for (int i = 0; i < s->my.alpha; i++) {
    const neo_expr *column =
        neo_expr_binary(s->arena, NEO_EXPR_ADD, affine(s, 2, s->mx.m, 0), var(s, 4));
    const neo_expr *index[4] = {var(s, 0), affine(s, 1, s->my.m, i), column, var(s, 5)};
    term[i] = load(s, padded, 4, index);
  }
  block->body = input_transform(s, &s->my, 3, term);
  int64_t across[] = {s->my.alpha, s->mx.alpha, s->batch, s->tiles_y, s->tiles_x, s->channels};
  block = add_tmp(s, 6, across, &v);
  for (int j = 0; j < s->mx.alpha; j++) {
    const neo_expr *index[6] = {
        var(s, 2), var(s, 3), var(s, 4), var(s, 0), neo_expr_index(s->arena, j), var(s, 5)};
    term[j] = load(s, d, 6, index);
  }
  block->body = input_transform(s, &s->mx, 1, term);
  return v;
}

static int add_products(winograd *s, int v) {
  int64_t dims[] = {s->my.alpha, s->mx.alpha, s->batch, s->tiles_y, s->tiles_x, s->outputs};
  int m;
  neo_te_block *block = add_tmp(s, 6, dims, &m);
  block->n_reduce = 1;
  block->extent[6] = s->channels;
  block->combine = NEO_COMBINE_ADD;
  const neo_expr *in[6] = {var(s, 0), var(s, 1), var(s, 2), var(s, 3), var(s, 4), var(s, 6)};
  const neo_expr *weight[4] = {var(s, 0), var(s, 1), var(s, 6), var(s, 5)};
  block->body =
      neo_expr_binary(s->arena, NEO_EXPR_MUL, load(s, v, 6, in), load(s, s->w, 4, weight));
  return m;
}

/* E and Y. */
static int add_output_transform(winograd *s, int m) {
  int64_t dims[] = {s->batch, s->tiles_y, s->tiles_x, s->my.m, s->mx.alpha, s->outputs};
  const neo_expr *term[MAX_ALPHA];
  int e, y;
  neo_te_block *block = add_tmp(s, 6, dims, &e);
  for (int a = 0; a < s->my.alpha; a++) {
    const neo_expr *index[6] = {
        neo_expr_index(s->arena, a), var(s, 4), var(s, 0), var(s, 1), var(s, 2), var(s, 5)};
    term[a] = load(s, m, 6, index);
  }
  block->body = output_transform(s, &s->my, 3, term);
  dims[4] = s->mx.m;
  block = add_tmp(s, 6, dims, &y);
  for (int b = 0; b < s->mx.alpha; b++) {
    const neo_expr *index[6] = {
        var(s, 0), var(s, 1), var(s, 2), var(s, 3), neo_expr_index(s->arena, b), var(s, 5)};
    term[b] = load(s, e, 6, index);
  }
  block->body = output_transform(s, &s->mx, 4, term);
  return y;
}

/* ---- the result ------------------------------------------------------------------------------------------ */

typedef struct redirect {
  const winograd *s;
  int from, to; /* y[n, k, h, w] -> Y */
} redirect;

static const neo_expr *result_at(const winograd *s, int y, const neo_expr *const *at) {
  neo_arena *arena = s->arena;
  const neo_expr *index[6] = {at[0],
                              neo_expr_floordiv(arena, at[2], s->my.m, NULL, 0),
                              neo_expr_floordiv(arena, at[3], s->mx.m, NULL, 0),
                              neo_expr_floormod(arena, at[2], s->my.m, NULL, 0),
                              neo_expr_floormod(arena, at[3], s->mx.m, NULL, 0),
                              at[1]};
  return load(s, y, 6, index);
}

/* The convolution's own buffer is an OUT: an elementwise block writes it. Else it was a TMP, and
 * its readers read Y; the buffer stays behind as Y's number so that no TMP is without a writer. */
static const neo_expr *redirect_load(void *self, const neo_expr *e) {
  const redirect *r = self;
  return e->u.load.buffer == r->from ? result_at(r->s, r->to, e->arg) : NULL;
}

static void add_copy_out(winograd *s, const neo_te_block *was, int y) {
  neo_te_block copy = *was;
  const neo_expr *at[4] = {var(s, 0), var(s, 1), var(s, 2), var(s, 3)};
  copy.n_reduce = 0;
  copy.combine = NEO_COMBINE_NONE;
  copy.init = (neo_scalar){0, 0};
  copy.body = result_at(s, y, at);
  s->te->block[s->te->n_blocks++] = copy;
}

/* Y takes the number of the buffer that the convolution wrote, which no one else needs now. */
static int take_number(winograd *s, int y, int old) {
  neo_te *te = s->te;
  te->buffer[old] = te->buffer[y];
  neo_te_block *last = &te->block[te->n_blocks - 1];
  neo_assert(last->buffer == y && y == te->n_buffers - 1);
  last->buffer = old;
  te->n_buffers--;
  return old;
}

static void rewrite_blocks(winograd *s) {
  neo_te_block *was = neo_arena_alloc(s->arena, sizeof(*was) * (size_t)(s->te->n_blocks + 1));
  int n = s->te->n_blocks;
  memcpy(was, s->te->block, sizeof(*was) * (size_t)n);
  s->te->n_blocks = s->red;
  int old = was[s->red].buffer;
  bool is_out = s->te->buffer[old].role == NEO_TE_OUT;
  s->te->buffer[s->w].shape =
      (neo_shape){.rank = 4, .dim = {s->my.alpha, s->mx.alpha, s->channels, s->outputs}};
  int y = add_output_transform(s, add_products(s, add_input_transform(s, add_padded(s))));
  if (is_out)
    add_copy_out(s, &was[s->red], y);
  else
    y = take_number(s, y, old);
  redirect r = {s, old, y};
  for (int k = s->red + 1; k < n; k++) {
    s->te->block[s->te->n_blocks] = was[k];
    if (!is_out)
      s->te->block[s->te->n_blocks].body =
          neo_expr_map_loads(s->arena, was[k].body, redirect_load, &r);
    s->te->n_blocks++;
  }
}

/* U[a, b, c, k] from w[k, c, i, j], rows first. */
static void make_pack(winograd *s, const neo_shape *shape, neo_packing *packing) {
  neo_pack *pack = packing->pack = neo_arena_alloc(s->arena, sizeof(*pack));
  packing->n = 1;
  pack->buffer = pack->source = s->w;
  pack->has_te = true;
  winograd u = *s;
  u.te = &pack->te;
  neo_te_init(u.te, s->arena);
  int in = neo_te_add_buffer(u.te, NEO_TE_IN, NEO_F32, shape), half;
  neo_shape out_shape = {.rank = 4, .dim = {s->my.alpha, s->mx.alpha, s->channels, s->outputs}};
  int64_t dims[] = {s->outputs, s->channels, s->my.alpha, s->mx.taps};
  neo_te_block *block = add_tmp(&u, 4, dims, &half);
  const neo_expr *term[MAX_TAPS], *row[MAX_ALPHA];
  for (int i = 0; i < s->my.taps; i++) {
    const neo_expr *index[4] = {var(s, 0), var(s, 1), neo_expr_index(s->arena, i), var(s, 3)};
    term[i] = load(s, in, 4, index);
  }
  for (int a = 0; a < s->my.alpha; a++)
    row[a] = combine(s->arena, s->my.g[a], term, s->my.taps, 0, 1);
  block->body = choose(s, 2, row, s->my.alpha);
  int out = neo_te_add_buffer(u.te, NEO_TE_OUT, NEO_F32, &out_shape);
  block = neo_te_add_block(u.te, out);
  for (int j = 0; j < s->mx.taps; j++) {
    const neo_expr *index[4] = {var(s, 3), var(s, 2), var(s, 0), neo_expr_index(s->arena, j)};
    term[j] = load(s, half, 4, index);
  }
  for (int b = 0; b < s->mx.alpha; b++)
    row[b] = combine(s->arena, s->mx.g[b], term, s->mx.taps, 0, 1);
  block->body = choose(s, 1, row, s->mx.alpha);
}

/* Of F(6x6): it loses more digits than the default admits. */
static neo_accuracy accuracy(const char *text) {
  int64_t m = 0, n = 0;
  neo_algorithm_param(text, "m", &m);
  neo_algorithm_param(text, "n", &n);
  return m > 4 || n > 4 ? NEO_ACCURACY_FAST : NEO_ACCURACY_DEFAULT;
}

static bool is_tile(int64_t m) {
  return m == 1 || (m % 2 == 0 && m >= 2 && m <= 6);
}

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                          neo_te *out, neo_packing *packing) {
  int64_t m, n, fine = 0;
  winograd s = {.ctx = ctx, .arena = arena};
  if (!neo_algorithm_param(text, "m", &m) || !neo_algorithm_param(text, "n", &n) || !is_tile(m) ||
      !is_tile(n))
    return no(&s, "m and n are 1, 2, 4 or 6");
  neo_algorithm_param(text, "fine", &fine);
  s.te = neo_arena_alloc(arena, sizeof(*s.te));
  neo_te_copy(s.te, arena, te);
  s.my.m = (int)m;
  s.mx.m = (int)n;
  NEO_TRY(find_convolution(&s));
  find_matrices((int)m, s.my.taps, fine != 0, &s.my);
  find_matrices((int)n, s.mx.taps, fine != 0, &s.mx);
  bool eight = (s.my.alpha > 6 && s.mx.alpha > 1) || (s.mx.alpha > 6 && s.my.alpha > 1);
  if (fine && s.my.alpha != 6 && s.mx.alpha != 6)
    return no(&s, "fine points are for six points");
  if (eight && accuracy(text) != NEO_ACCURACY_FAST)
    return no(&s, "eight points in two dimensions lose too many digits");
  s.tiles_y = neo_ceil_div(s.rows, m);
  s.tiles_x = neo_ceil_div(s.columns, n);
  neo_shape weights = s.te->buffer[s.w].shape;
  rewrite_blocks(&s);
  make_pack(&s, &weights, packing);
  *out = *s.te;
  return NEO_OK;
}

const neo_algorithm neo_algorithm_winograd = {
    "winograd", "minimal filtering of stride-1 convolutions by tiles of m x n",
    NEO_ACCURACY_DEFAULT, rewrite, accuracy};
