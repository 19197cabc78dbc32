/* ir/te_check.c: the invariants of ir/te.h, checked one by one (the numbers below are theirs).
 *
 * Bounds (2) are proved with intervals, refined by the load's guards. Injective write maps (3):
 * every axis longer than 1 appears in exactly one dimension, and inside a dimension the strides
 * form a mixed radix: each is larger than everything the smaller ones can sum to. Exact cover (3):
 * the writers' volumes sum to the buffer's, and any two are disjoint in some dimension, by interval
 * or by residue modulo the common stride (phases). That is sufficient, not necessary: what cannot
 * be proved is refused. */
#include "ir/te_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct checker {
  neo_ctx *ctx;
  const neo_te *te;
  int block;
  const neo_te_block *b;
  int n_axes;
  neo_range range[NEO_TE_MAX_AXES];
  int last_writer[NEO_TE_MAX_BUFFERS];
  neo_status status;
} checker;

#define MAX_BODY_DEPTH 400

static neo_status fail_block(checker *c, const char *what) {
  return neo_fail(c->ctx, NEO_BAD_INPUT, "te: block B%d: %s", c->block, what);
}

/* ---- buffers and shapes (5)
 * ---------------------------------------------------------------------- */

static neo_status check_buffers(neo_ctx *ctx, const neo_te *te) {
  for (int k = 0; k < te->n_buffers; k++) {
    const neo_shape *s = &te->buffer[k].shape;
    int64_t n;
    if (s->rank < 0 || s->rank > NEO_MAX_RANK)
      return neo_fail(ctx, NEO_BAD_INPUT, "te: buffer b%d: rank %d", k, s->rank);
    for (int d = 0; d < s->rank; d++) {
      if (s->dim[d] < 1)
        return neo_fail(ctx, NEO_BAD_INPUT,
                        "te: buffer b%d: dimension %d is %" PRId64 ", at least 1 needed", k, d,
                        s->dim[d]);
    }
    if (!neo_shape_elements(s, &n) || n > INT64_C(1) << 40)
      return neo_fail(ctx, NEO_BAD_INPUT, "te: buffer b%d: more than 2^40 elements", k);
  }
  return NEO_OK;
}

static neo_status check_axes(checker *c) {
  const neo_te_block *b = c->b;
  if (b->buffer < 0 || b->buffer >= c->te->n_buffers)
    return fail_block(c, "writes no known buffer");
  if (b->n_spatial < 0 || b->n_reduce < 0 || b->n_spatial + b->n_reduce > NEO_TE_MAX_AXES)
    return fail_block(c, "more than 16 axes");
  for (int k = 0; k < b->n_spatial + b->n_reduce; k++) {
    if (b->extent[k] < 1)
      return fail_block(c, "an extent is below 1");
  }
  if (neo_te_volume(b) >= INT64_C(1) << 60)
    return fail_block(c, "more than 2^60 points");
  if ((b->combine != NEO_COMBINE_NONE) != (b->n_reduce > 0))
    return fail_block(c, "a combination needs reduce axes, and they need it");
  neo_dtype dtype = c->te->buffer[b->buffer].dtype;
  if (b->n_reduce && dtype == NEO_BOOL)
    return fail_block(c, "a reduction of bool (cast to u8)");
  neo_scalar r = neo_scalar_round(dtype, b->init);
  bool exact = neo_dtype_class(dtype) == 'f' ? r.f == b->init.f || isnan(r.f) : r.i == b->init.i;
  return exact ? NEO_OK : fail_block(c, "init is not a value of the buffer's type");
}

/* ---- indices and reads (1, 2) ------------------------------------------------------------------
 */

static bool index_op(const neo_expr *e) {
  int64_t d;
  switch (e->op) {
  case NEO_EXPR_CONST:
  case NEO_EXPR_VAR:
  case NEO_EXPR_ADD:
  case NEO_EXPR_MIN:
  case NEO_EXPR_MAX:
  case NEO_EXPR_LOAD:
    return true;
  case NEO_EXPR_CAST:
    return neo_dtype_class(e->arg[0]->dtype) != 'f';
  case NEO_EXPR_MUL:
    return neo_expr_is_const(e->arg[1], &d);
  case NEO_EXPR_FLOORDIV:
  case NEO_EXPR_FLOORMOD:
    return neo_expr_is_const(e->arg[1], &d) && d > 0;
  default:
    return false;
  }
}

/* Quasi-affine, with at most one distinct load in *indirect (none at all if nested). */
static neo_status check_index(checker *c, const neo_expr *e, bool nested,
                              const neo_expr **indirect) {
  if (!index_op(e) || e->lanes != 1)
    return fail_block(c, "an index is not quasi-affine");
  if (e->op == NEO_EXPR_VAR && (e->u.var < 0 || e->u.var >= c->n_axes))
    return fail_block(c, "an index uses an unknown axis");
  if (e->op == NEO_EXPR_LOAD) {
    if (nested || (*indirect && !neo_expr_equal(*indirect, e)))
      return fail_block(c, "an index has more than one indirect load");
    *indirect = e;
    return NEO_OK;
  }
  for (int k = 0; k < e->n_args; k++)
    NEO_TRY(check_index(c, e->arg[k], nested, indirect));
  return NEO_OK;
}

static neo_status check_bounds(checker *c, const neo_expr *e) {
  const neo_shape *shape = &c->te->buffer[e->u.load.buffer].shape;
  for (int d = 0; d < shape->rank; d++) {
    neo_range r =
        neo_expr_range_facts(e->arg[d], c->range, c->n_axes, e->u.load.guard, e->u.load.n_guards);
    if (r.lo > r.hi)
      return NEO_OK; /* the guards never hold */
    if (r.lo < 0 || r.hi >= shape->dim[d])
      return neo_fail(c->ctx, NEO_BAD_INPUT,
                      "te: block B%d: a read of b%d may leave dimension %d (size %" PRId64 ")",
                      c->block, e->u.load.buffer, d, shape->dim[d]);
  }
  return NEO_OK;
}

static neo_status check_load(checker *c, const neo_expr *e, bool nested) {
  int k = e->u.load.buffer;
  if (k < 0 || k >= c->te->n_buffers)
    return fail_block(c, "reads an unknown buffer");
  const neo_te_buffer *buffer = &c->te->buffer[k];
  if (e->n_args != buffer->shape.rank || e->dtype != buffer->dtype || e->lanes != 1)
    return neo_fail(c->ctx, NEO_BAD_INPUT,
                    "te: block B%d: a read of b%d does not fit its type or rank", c->block, k);
  bool made = buffer->role == NEO_TE_TMP || buffer->role == NEO_TE_OUT;
  if (made && (c->last_writer[k] < 0 || c->last_writer[k] >= c->block))
    return neo_fail(c->ctx, NEO_BAD_INPUT, "te: block B%d reads b%d before it is complete",
                    c->block, k);
  const neo_expr *indirect = NULL;
  for (int d = 0; d < e->n_args; d++)
    NEO_TRY(check_index(c, e->arg[d], nested, &indirect));
  for (int g = 0; g < e->u.load.n_guards; g++) {
    const neo_expr *none = NULL;
    NEO_TRY(check_index(c, e->u.load.guard[g].index, true, &none));
  }
  if (indirect) {
    if (neo_dtype_class(indirect->dtype) == 'f' || indirect->dtype == NEO_BOOL)
      return fail_block(c, "an indirect index is not an integer");
    NEO_TRY(check_load(c, indirect, true));
  }
  return check_bounds(c, e);
}

static neo_status check_body(checker *c, const neo_expr *e, int depth) {
  if (depth > MAX_BODY_DEPTH)
    return fail_block(c, "the body is nested too deeply");
  if (e->lanes != 1 || e->op == NEO_EXPR_BROADCAST || e->op == NEO_EXPR_INTRINSIC)
    return fail_block(c, "vectors and intrinsics have no place in a te");
  if (e->op == NEO_EXPR_LOAD)
    return check_load(c, e, false);
  if (e->op == NEO_EXPR_VAR && (e->u.var < 0 || e->u.var >= c->n_axes))
    return fail_block(c, "the body uses an unknown axis");
  for (int k = 0; k < e->n_args; k++)
    NEO_TRY(check_body(c, e->arg[k], depth + 1));
  return NEO_OK;
}

/* ---- writes (3) --------------------------------------------------------------------------------
 */

/* The strides of one dimension form a mixed radix over the axes they belong to. */
static bool dim_is_injective(const checker *c, const neo_affine *a) {
  int64_t coef[NEO_AFFINE_MAX_TERMS], extent[NEO_AFFINE_MAX_TERMS];
  int n = 0;
  for (int k = 0; k < a->n; k++) {
    if (c->b->extent[a->var[k]] == 1)
      continue;
    int64_t s = a->coef[k] < 0 ? -a->coef[k] : a->coef[k];
    int at = n++;
    for (; at > 0 && coef[at - 1] > s; at--) {
      coef[at] = coef[at - 1];
      extent[at] = extent[at - 1];
    }
    coef[at] = s;
    extent[at] = c->b->extent[a->var[k]];
  }
  int64_t reach = 0;
  for (int k = 0; k < n; k++) {
    if (coef[k] <= reach)
      return false;
    reach += coef[k] * (extent[k] - 1);
  }
  return true;
}

static neo_status check_write(checker *c) {
  const neo_te_block *b = c->b;
  const neo_te_buffer *buffer = &c->te->buffer[b->buffer];
  int uses[NEO_TE_MAX_AXES] = {0};
  if (buffer->role != NEO_TE_TMP && buffer->role != NEO_TE_OUT)
    return fail_block(c, "writes an input");
  for (int d = 0; d < buffer->shape.rank; d++) {
    neo_affine a;
    neo_range r;
    if (!b->write[d] || !neo_expr_affine(b->write[d], &a))
      return fail_block(c, "a write index is not affine");
    for (int k = 0; k < a.n; k++) {
      if (a.var[k] < 0 || a.var[k] >= b->n_spatial)
        return fail_block(c, "a write index uses an axis that is not spatial");
      uses[a.var[k]]++;
    }
    if (!neo_expr_range(b->write[d], c->range, c->n_axes, &r) || r.lo < 0 ||
        r.hi >= buffer->shape.dim[d])
      return fail_block(c, "a write may leave its buffer");
    if (!dim_is_injective(c, &a))
      return fail_block(c, "the write map is not injective");
  }
  for (int k = 0; k < b->n_spatial; k++) {
    if (b->extent[k] > 1 && uses[k] != 1)
      return fail_block(c, "the write map is not injective (each axis once)");
  }
  if (buffer->role == NEO_TE_TMP && !neo_te_is_identity_write(c->te, b))
    return fail_block(c, "a tmp buffer needs an identity write map");
  return NEO_OK;
}

static int64_t gcd(int64_t a, int64_t b) {
  while (b) {
    int64_t r = a % b;
    a = b;
    b = r;
  }
  return a < 0 ? -a : a;
}

static bool disjoint(const neo_te *te, const neo_te_block *x, const neo_te_block *y) {
  neo_range rx[NEO_TE_MAX_AXES], ry[NEO_TE_MAX_AXES];
  int nx = neo_te_ranges(x, rx), ny = neo_te_ranges(y, ry);
  for (int d = 0; d < te->buffer[x->buffer].shape.rank; d++) {
    neo_range a, b;
    neo_affine fa, fb;
    if (!neo_expr_range(x->write[d], rx, nx, &a) || !neo_expr_range(y->write[d], ry, ny, &b))
      return false;
    if (a.hi < b.lo || b.hi < a.lo)
      return true;
    if (!neo_expr_affine(x->write[d], &fa) || !neo_expr_affine(y->write[d], &fb))
      return false;
    int64_t g = 0;
    for (int k = 0; k < fa.n; k++)
      g = x->extent[fa.var[k]] > 1 ? gcd(fa.coef[k], g) : g;
    for (int k = 0; k < fb.n; k++)
      g = y->extent[fb.var[k]] > 1 ? gcd(fb.coef[k], g) : g;
    if (g > 1 && neo_floor_mod(fa.base - fb.base, g) != 0)
      return true;
  }
  return false;
}

static neo_status check_cover(neo_ctx *ctx, const neo_te *te, int buffer) {
  int64_t elements, covered = 0;
  int writers = 0;
  neo_shape_elements(&te->buffer[buffer].shape, &elements);
  for (int k = 0; k < te->n_blocks; k++) {
    const neo_te_block *b = &te->block[k];
    if (b->buffer != buffer)
      continue;
    int64_t volume = 1;
    for (int a = 0; a < b->n_spatial; a++)
      volume *= b->extent[a];
    covered += volume;
    writers++;
    for (int j = 0; j < k; j++) {
      if (te->block[j].buffer == buffer && !disjoint(te, &te->block[j], b))
        return neo_fail(ctx, NEO_BAD_INPUT, "te: blocks B%d and B%d both write parts of b%d", j, k,
                        buffer);
    }
  }
  if (te->buffer[buffer].role == NEO_TE_TMP && writers != 1)
    return neo_fail(ctx, NEO_BAD_INPUT, "te: tmp buffer b%d is written by %d blocks, 1 needed",
                    buffer, writers);
  if (covered != elements)
    return neo_fail(ctx, NEO_BAD_INPUT,
                    "te: buffer b%d: %" PRId64 " of %" PRId64 " elements are written", buffer,
                    covered, elements);
  return NEO_OK;
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static neo_status check_block(checker *c) {
  NEO_TRY(check_axes(c));
  c->n_axes = neo_te_ranges(c->b, c->range);
  NEO_TRY(check_write(c));
  if (!c->b->body || c->b->body->dtype != c->te->buffer[c->b->buffer].dtype)
    return fail_block(c, "the body's type is not the written buffer's");
  return check_body(c, c->b->body, 0);
}

neo_status neo_te_check(neo_ctx *ctx, const neo_te *te) {
  checker c = {.ctx = ctx, .te = te};
  if (te->n_blocks < 1)
    return neo_fail(ctx, NEO_BAD_INPUT, "te: no blocks");
  NEO_TRY(check_buffers(ctx, te));
  for (int k = 0; k < te->n_buffers; k++)
    c.last_writer[k] = -1;
  for (int k = 0; k < te->n_blocks; k++) {
    int buffer = te->block[k].buffer;
    if (buffer >= 0 && buffer < te->n_buffers)
      c.last_writer[buffer] = k;
  }
  for (int k = 0; k < te->n_blocks; k++) {
    c.block = k;
    c.b = &te->block[k];
    NEO_TRY(check_block(&c));
  }
  for (int k = 0; k < te->n_buffers; k++) {
    if (te->buffer[k].role == NEO_TE_TMP || te->buffer[k].role == NEO_TE_OUT)
      NEO_TRY(check_cover(ctx, te, k));
  }
  return NEO_OK;
}
