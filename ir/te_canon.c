/* ir/te_canon.c: the canonical form of a te, whose text is hashed into the workload key.
 *
 *   1. In bodies the variable of a unit axis is 0; divisions, comparisons, min and max that the
 * axes' ranges decide are decided; guards that always hold are dropped. The axes stay.
 *   2. A TMP that nobody reads disappears with its block.
 *   3. An elementwise TMP that one block reads disappears into it, unless that would compute it
 * much more often than before (readers that visit it repeatedly, as a convolution does), make the
 * body huge, or lose a proof that reads stay in bounds. Several reads must be of the same element,
 * and cheap to compute (bias and swish: x * sigmoid(x)): code generators compute equal expressions
 * once. Under guards it does so only if its body maps the fill to the fill (relu and zero padding):
 * the guards then move onto its own loads.
 *   4. A write map that is the identity is spelled i0, i1, ...; other maps have 0 for unit axes.
 *   5. Buffers are numbered IN, CONST, TMP, OUT, inside a role by first use; unread inputs
 * disappear. */
#include "ir/te_internal.h"

#include <math.h>
#include <string.h>

#define MAX_BODY 400
#define MAX_COPIES 160 /* nodes of a body that stands in its reader several times */

/* ---- simplifying a block (1, 4)
 * ------------------------------------------------------------------- */

static void unit_axes(neo_te *te, const neo_te_block *b, const neo_expr **map) {
  for (int k = 0; k < b->n_spatial + b->n_reduce; k++)
    map[k] = b->extent[k] == 1 ? neo_expr_index(te->arena, 0) : NULL;
}

static void simplify_block(neo_te *te, neo_te_block *b) {
  const neo_expr *map[NEO_TE_MAX_AXES];
  neo_range range[NEO_TE_MAX_AXES];
  int n = neo_te_ranges(b, range);
  int rank = te->buffer[b->buffer].shape.rank;
  unit_axes(te, b, map);
  b->body = neo_expr_simplify(te->arena, neo_expr_substitute(te->arena, b->body, map, n), range, n);
  if (neo_te_is_identity_write(te, b)) {
    neo_te_identity(te->arena, rank, b->write);
    return;
  }
  for (int d = 0; d < rank; d++)
    b->write[d] = neo_expr_substitute(te->arena, b->write[d], map, n);
}

/* ---- reads -------------------------------------------------------------------------------------
 */

typedef struct reads {
  int buffer, count;
  const neo_expr *first; /* load of the buffer */
  bool differ;           /* another load of it is of another element */
  bool indirect;         /* some load has a load in its indices */
  int depth;
} reads;

static void count_read(void *self, const neo_expr *load) {
  reads *r = self;
  if (load->u.load.buffer == r->buffer) {
    r->count++;
    r->first = r->first ? r->first : load;
    r->differ = r->differ || !neo_expr_equal(r->first, load);
  }
  for (int k = 0; k < load->n_args; k++) {
    reads inner = {.buffer = -1};
    if (load->arg[k]->op != NEO_EXPR_VAR && load->arg[k]->op != NEO_EXPR_CONST)
      neo_expr_visit_loads(load->arg[k], count_read, &inner);
    r->indirect = r->indirect || inner.depth > 0;
  }
  r->depth++;
}

static reads count_reads(const neo_expr *e, int buffer) {
  reads r = {.buffer = buffer};
  neo_expr_visit_loads(e, count_read, &r);
  return r;
}

static int total_reads(const neo_te *te, int buffer) {
  int n = 0;
  for (int k = 0; k < te->n_blocks; k++)
    n += count_reads(te->block[k].body, buffer).count;
  return n;
}

static void remove_block(neo_te *te, int k) {
  memmove(&te->block[k], &te->block[k + 1], sizeof te->block[0] * (size_t)(te->n_blocks - k - 1));
  te->n_blocks--;
}

static bool remove_dead(neo_te *te) {
  bool changed = false;
  for (int k = te->n_blocks - 1; k >= 0; k--) {
    int buffer = te->block[k].buffer;
    if (te->buffer[buffer].role == NEO_TE_TMP && total_reads(te, buffer) == 0) {
      remove_block(te, k);
      changed = true;
    }
  }
  return changed;
}

/* ---- substituting an elementwise TMP (3)
 * ----------------------------------------------------------- */

typedef struct inliner {
  neo_te *te;
  int buffer;               /* the TMP */
  const neo_te_block *from; /* its writer */
  const neo_expr *load;     /* the read being replaced */
  double fill;
  bool failed;
} inliner;

/* The body's own loads, under the guards of the read that it replaces. */
static const neo_expr *guard_load(void *self, const neo_expr *load) {
  inliner *in = self;
  neo_guard guard[2 * NEO_MAX_GUARDS];
  int outer = in->load->u.load.n_guards, own = load->u.load.n_guards;
  bool same_fill = !own || load->u.load.fill == in->fill;
  if (outer + own > NEO_MAX_GUARDS || !same_fill) {
    in->failed = true;
    return NULL;
  }
  memcpy(guard, in->load->u.load.guard, sizeof guard[0] * (size_t)outer);
  if (own)
    memcpy(guard + outer, load->u.load.guard, sizeof guard[0] * (size_t)own);
  return neo_expr_load_guarded(in->te->arena, load->dtype, load->u.load.buffer, load->n_args,
                               load->arg, &(neo_guards){outer + own, guard, in->fill});
}

static const neo_expr *fill_load(void *self, const neo_expr *load) {
  inliner *in = self;
  return neo_expr_const_f(in->te->arena, load->dtype, in->fill);
}

/* The body yields the fill where all of its loads do. */
static bool keeps_fill(inliner *in) {
  const neo_expr *e = neo_expr_map_loads(in->te->arena, in->from->body, fill_load, in);
  if (e->op != NEO_EXPR_CONST)
    return false;
  double v = neo_dtype_class(e->dtype) == 'f' ? e->u.f : (double)e->u.i;
  return v == in->fill && signbit(v) == signbit(in->fill);
}

static const neo_expr *inline_load(void *self, const neo_expr *load) {
  inliner *in = self;
  if (load->u.load.buffer != in->buffer)
    return NULL;
  in->load = load;
  in->fill = load->u.load.fill;
  const neo_expr *e = neo_expr_substitute(in->te->arena, in->from->body, load->arg, load->n_args);
  if (load->u.load.n_guards == 0)
    return e;
  if (count_reads(in->from->body, -1).indirect || !keeps_fill(in)) {
    in->failed = true;
    return NULL;
  }
  return neo_expr_map_loads(in->te->arena, e, guard_load, in);
}

/* No operation that costs more than a few instructions. */
static bool is_cheap(const neo_expr *e) {
  bool cheap = e->op < NEO_EXPR_EXP || e->op > NEO_EXPR_ERF;
  cheap = cheap && e->op != NEO_EXPR_DIV && e->op != NEO_EXPR_MOD && e->op != NEO_EXPR_POW &&
          e->op != NEO_EXPR_SQRT;
  if (e->op == NEO_EXPR_LOAD)
    return true;
  for (int k = 0; cheap && k < e->n_args; k++)
    cheap = is_cheap(e->arg[k]);
  return cheap;
}

static bool worth_inlining(const neo_te_block *from, const neo_te_block *to) {
  int64_t once = neo_te_volume(from), often = neo_te_volume(to);
  bool small = neo_expr_size(from->body) + neo_expr_size(to->body) <= MAX_BODY;
  bool cheap = to->n_reduce == 0 && is_cheap(from->body) && neo_expr_size(from->body) <= 40;
  return small && (often <= 2 * once || cheap);
}

/* Body of block r with TMP `buffer`, written by block w, substituted; false if that may not be. */
static bool inline_into(neo_ctx *ctx, neo_te *te, int w, int r) {
  neo_te_block *to = &te->block[r];
  inliner in = {.te = te, .buffer = te->block[w].buffer, .from = &te->block[w]};
  const neo_expr *before = to->body;
  if (!worth_inlining(in.from, to))
    return false;
  const neo_expr *after = neo_expr_map_loads(te->arena, before, inline_load, &in);
  if (in.failed)
    return false;
  to->body = after;
  simplify_block(te, to);
  neo_ctx probe = *ctx;
  neo_ctx_clear(&probe);
  probe.log = NULL;
  if (neo_te_check(&probe, te) == NEO_OK)
    return true;
  to->body = before;
  return false;
}

/* All of `total` reads of what block w writes are in block r, and may be computed there. */
static bool may_move(const neo_te *te, int w, int r, int total) {
  const neo_expr *body = te->block[w].body;
  reads found = count_reads(te->block[r].body, te->block[w].buffer);
  if (found.count != total || total <= 1)
    return found.count == 1 && total == 1;
  return !found.differ && is_cheap(body) && neo_expr_size(body) * total <= MAX_COPIES;
}

static bool inline_one(neo_ctx *ctx, neo_te *te) {
  for (int w = 0; w < te->n_blocks; w++) {
    const neo_te_block *b = &te->block[w];
    if (te->buffer[b->buffer].role != NEO_TE_TMP || b->n_reduce)
      continue;
    int total = total_reads(te, b->buffer);
    for (int r = w + 1; r < te->n_blocks; r++) {
      if (may_move(te, w, r, total) && inline_into(ctx, te, w, r)) {
        remove_block(te, w);
        return true;
      }
    }
  }
  return false;
}

/* ---- numbering (5)
 * ------------------------------------------------------------------------------- */

typedef struct numbering {
  neo_te *te;
  int n;
  int order[NEO_TE_MAX_BUFFERS];  /* new -> old */
  int number[NEO_TE_MAX_BUFFERS]; /* old -> new, -1: not numbered yet */
  neo_te_role role;
} numbering;

static void number_buffer(numbering *m, int old) {
  if (m->number[old] >= 0 || m->te->buffer[old].role != m->role)
    return;
  m->number[old] = m->n;
  m->order[m->n++] = old;
}

static void number_load(void *self, const neo_expr *load) {
  number_buffer(self, load->u.load.buffer);
}

static const neo_expr *renumber_load(void *self, const neo_expr *load) {
  const numbering *m = self;
  return neo_expr_load_guarded(
      m->te->arena, load->dtype, m->number[load->u.load.buffer], load->n_args, load->arg,
      &(neo_guards){load->u.load.n_guards, load->u.load.guard, load->u.load.fill});
}

static void renumber(neo_te *te, int *order) {
  numbering m = {.te = te};
  neo_te_buffer buffer[NEO_TE_MAX_BUFFERS];
  memset(m.number, -1, sizeof m.number);
  for (int role = NEO_TE_IN; role <= NEO_TE_OUT; role++) {
    m.role = (neo_te_role)role;
    for (int k = 0; k < te->n_blocks; k++) {
      neo_expr_visit_loads(te->block[k].body, number_load, &m);
      number_buffer(&m, te->block[k].buffer);
    }
  }
  for (int k = 0; k < m.n; k++)
    buffer[k] = te->buffer[m.order[k]];
  for (int k = 0; k < te->n_blocks; k++) {
    te->block[k].body = neo_expr_map_loads(te->arena, te->block[k].body, renumber_load, &m);
    te->block[k].buffer = m.number[te->block[k].buffer];
  }
  memcpy(te->buffer, buffer, sizeof buffer[0] * (size_t)m.n);
  te->n_buffers = m.n;
  if (order)
    memcpy(order, m.order, sizeof m.order[0] * (size_t)m.n);
}

/* TMPs whose writers are gone must not count as unwritten while candidates are being checked. */
static void drop_unwritten(neo_te *te, int *order) {
  int inner[NEO_TE_MAX_BUFFERS];
  renumber(te, inner);
  for (int k = 0; k < te->n_buffers; k++)
    inner[k] = order[inner[k]];
  memcpy(order, inner, sizeof inner[0] * (size_t)te->n_buffers);
}

neo_status neo_te_canonicalise(neo_ctx *ctx, neo_te *te, int *order) {
  int total[NEO_TE_MAX_BUFFERS];
  for (int k = 0; k < te->n_buffers; k++)
    total[k] = k;
  for (int k = 0; k < te->n_blocks; k++)
    simplify_block(te, &te->block[k]);
  do {
    while (remove_dead(te))
      continue;
    drop_unwritten(te, total);
  } while (inline_one(ctx, te));
  if (order)
    memcpy(order, total, sizeof total[0] * (size_t)te->n_buffers);
  return neo_te_check(ctx, te);
}
