/* ir/te_widen.c: the same computation in f64, rounded only where an output is stored: the reference
 * that candidates are compared with. Integer computations stay as they are.
 *
 * A TMP of floats becomes f64. A reduction that writes an output directly reduces into a new f64
 * TMP, and a copy block rounds it. So does an output that later blocks read, provided it has one
 * writer with an identity map; the readers of other outputs see rounded values. */
#include "ir/te_internal.h"

#include <string.h>

typedef struct widener {
  const neo_te *te;
  neo_te *out;
  neo_arena *arena;
  int source[NEO_TE_MAX_BUFFERS]; /* buffer that reads of buffer k go to */
} widener;

static bool is_float(neo_dtype dtype) {
  return neo_dtype_class(dtype) == 'f';
}
static bool is_narrow(neo_dtype dtype) {
  return is_float(dtype) && dtype != NEO_F64;
}

static const neo_expr *widen(const widener *w, const neo_expr *e);

static const neo_expr *widen_load(const widener *w, const neo_expr *e) {
  const neo_expr *index[NEO_MAX_RANK];
  neo_guard guard[NEO_MAX_GUARDS];
  int buffer = w->source[e->u.load.buffer];
  neo_dtype dtype = w->out->buffer[buffer].dtype;
  for (int k = 0; k < e->n_args; k++)
    index[k] = neo_expr_copy(w->arena, e->arg[k]);
  for (int k = 0; k < e->u.load.n_guards; k++) {
    guard[k] = e->u.load.guard[k];
    guard[k].index = neo_expr_copy(w->arena, guard[k].index);
  }
  const neo_expr *load =
      neo_expr_load_guarded(w->arena, dtype, buffer, e->n_args, index,
                            &(neo_guards){e->u.load.n_guards, guard, e->u.load.fill});
  return is_float(dtype) ? neo_expr_cast(w->arena, NEO_F64, load) : load;
}

/* Bits are those of the narrow type. */
static const neo_expr *widen_bitcast(const widener *w, const neo_expr *e) {
  const neo_expr *a = widen(w, e->arg[0]);
  a = neo_expr_bitcast(w->arena, e->dtype, neo_expr_cast(w->arena, e->arg[0]->dtype, a));
  return is_float(e->dtype) ? neo_expr_cast(w->arena, NEO_F64, a) : a;
}

/* e with every float in f64: the result has dtype f64 where e is a float, e's dtype elsewhere. */
static const neo_expr *widen(const widener *w, const neo_expr *e) {
  const neo_expr *arg[3];
  switch (e->op) {
  case NEO_EXPR_CONST:
    return is_float(e->dtype) ? neo_expr_const_f(w->arena, NEO_F64, e->u.f)
                              : neo_expr_copy(w->arena, e);
  case NEO_EXPR_VAR:
    return neo_expr_var(w->arena, e->u.var);
  case NEO_EXPR_LOAD:
    return widen_load(w, e);
  case NEO_EXPR_BITCAST:
    return widen_bitcast(w, e);
  case NEO_EXPR_CAST:
    return neo_expr_cast(w->arena, is_float(e->dtype) ? NEO_F64 : e->dtype, widen(w, e->arg[0]));
  default:
    break;
  }
  for (int k = 0; k < e->n_args; k++)
    arg[k] = widen(w, e->arg[k]);
  return neo_expr_rebuild(w->arena, e, arg, NULL);
}

static void count_load(void *self, const neo_expr *load) {
  ++((int *)self)[load->u.load.buffer];
}

/* Outputs that are computed in a wide TMP first: read later, with one identity writer. */
static bool wants_tmp(const neo_te *te, int block) {
  int reads[NEO_TE_MAX_BUFFERS] = {0}, writers = 0;
  const neo_te_block *b = &te->block[block];
  for (int k = 0; k < te->n_blocks; k++) {
    neo_expr_visit_loads(te->block[k].body, count_load, reads);
    writers += te->block[k].buffer == b->buffer;
  }
  return b->n_reduce || (reads[b->buffer] && writers == 1 && neo_te_is_identity_write(te, b));
}

static void copy_writes(const widener *w, neo_te_block *to, const neo_te_block *from) {
  for (int d = 0; d < w->te->buffer[from->buffer].shape.rank; d++)
    to->write[d] = neo_expr_copy(w->arena, from->write[d]);
}

/* TMP <- wide body; OUT <- rounded TMP, through the block's write map. */
static void widen_through_tmp(widener *w, const neo_te_block *b) {
  neo_te *out = w->out;
  const neo_expr *index[NEO_MAX_RANK];
  neo_dtype dtype = w->te->buffer[b->buffer].dtype;
  neo_shape shape = {.rank = b->n_spatial};
  memcpy(shape.dim, b->extent, sizeof shape.dim[0] * (size_t)b->n_spatial);
  int tmp = neo_te_add_buffer(out, NEO_TE_TMP, NEO_F64, &shape);
  neo_te_block *wide = neo_te_add_block(out, tmp);
  memcpy(wide->extent, b->extent, sizeof b->extent);
  wide->n_reduce = b->n_reduce;
  wide->combine = b->combine;
  wide->init = b->init;
  wide->body = widen(w, b->body);
  neo_te_block *round = &out->block[out->n_blocks++];
  *round = *wide;
  round->buffer = b->buffer;
  round->n_reduce = 0;
  round->combine = NEO_COMBINE_NONE;
  round->init = (neo_scalar){0};
  copy_writes(w, round, b);
  neo_te_identity(w->arena, b->n_spatial, index);
  round->body =
      neo_expr_cast(w->arena, dtype, neo_expr_load(w->arena, NEO_F64, tmp, b->n_spatial, index));
  if (neo_te_is_identity_write(w->te, b))
    w->source[b->buffer] = tmp;
}

static void widen_block(widener *w, const neo_te_block *b) {
  neo_te_block *n = &w->out->block[w->out->n_blocks++];
  *n = *b;
  n->body = neo_expr_cast(w->arena, w->out->buffer[b->buffer].dtype, widen(w, b->body));
  copy_writes(w, n, b);
}

neo_status neo_te_widen(neo_ctx *ctx, const neo_te *te, neo_arena *arena, neo_te *out) {
  neo_assert(out != te);
  widener w = {.te = te, .out = out, .arena = arena};
  neo_te_init(out, arena);
  int extra = 0;
  for (int k = 0; k < te->n_buffers; k++) {
    neo_te_buffer b = te->buffer[k];
    bool wide = b.role == NEO_TE_TMP && is_float(b.dtype);
    neo_te_add_buffer(out, b.role, wide ? NEO_F64 : b.dtype, &b.shape);
    w.source[k] = k;
  }
  for (int k = 0; k < te->n_blocks; k++) {
    const neo_te_block *b = &te->block[k];
    bool narrow_out =
        te->buffer[b->buffer].role == NEO_TE_OUT && is_narrow(te->buffer[b->buffer].dtype);
    bool through = narrow_out && wants_tmp(te, k) && b->n_spatial <= NEO_MAX_RANK;
    extra += through;
    if (te->n_buffers + extra > NEO_TE_MAX_BUFFERS || te->n_blocks + extra > NEO_TE_MAX_BLOCKS)
      return neo_fail(ctx, NEO_UNSUPPORTED, "te: too many blocks or buffers to widen");
    if (through)
      widen_through_tmp(&w, b);
    else
      widen_block(&w, b);
  }
  return NEO_OK;
}
