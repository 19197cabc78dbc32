/* The te before loops: the algorithm's rewrite, outputs as elementwise blocks, inlining.
 *
 * Why: the lowering wants one uniform shape: every OUT is written by a block without reduction, so
 * that accumulators always live in a TMP that can be attached to registers. How: a reduction that
 * writes an OUT gets a TMP of its spatial shape and a copying block with the old write map after
 * it. Inlining substitutes a block's body into its readers; a guard of such a read becomes guards
 * on the loads of the body (so that nothing is read out of bounds) and a select of the fill value.
 */
#include "schedule/algorithm.h"
#include "schedule/lower.h"

/* ---- outputs ------------------------------------------------------------------------------------------ */

static neo_status split_output(neo_ctx *ctx, neo_te *te, int b) {
  neo_te_block *reduction = &te->block[b];
  if (te->n_blocks == NEO_TE_MAX_BLOCKS || te->n_buffers == NEO_TE_MAX_BUFFERS ||
      reduction->n_spatial > NEO_MAX_RANK)
    return neo_fail(ctx, NEO_UNSUPPORTED, "schedule: no room to split output block B%d", b);
  neo_dtype dtype = te->buffer[reduction->buffer].dtype;
  neo_shape shape = {.rank = reduction->n_spatial};
  const neo_expr *index[NEO_MAX_RANK];
  neo_te_block copy = *reduction;
  for (int a = 0; a < shape.rank; a++) {
    shape.dim[a] = reduction->extent[a];
    index[a] = neo_expr_var(te->arena, a);
    reduction->write[a] = index[a];
  }
  reduction->buffer = neo_te_add_buffer(te, NEO_TE_TMP, dtype, &shape);
  copy.n_reduce = 0;
  copy.combine = NEO_COMBINE_NONE;
  copy.init = (neo_scalar){0, 0};
  copy.body = neo_expr_load(te->arena, dtype, reduction->buffer, shape.rank, index);
  for (int k = te->n_blocks; k > b + 1; k--)
    te->block[k] = te->block[k - 1];
  te->block[b + 1] = copy;
  te->n_blocks++;
  return NEO_OK;
}

static neo_status split_outputs(neo_ctx *ctx, neo_te *te) {
  for (int b = 0; b < te->n_blocks; b++)
    if (te->block[b].n_reduce > 0 && te->buffer[te->block[b].buffer].role == NEO_TE_OUT)
      NEO_TRY(split_output(ctx, te, b));
  return NEO_OK;
}

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const neo_schedule *schedule,
                          neo_arena *arena, neo_te *out, neo_packing *packing) {
  if (schedule->n < 1 || schedule->instr[0].kind != NEO_INSTR_ALG)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: the first instruction is not 'alg'");
  neo_te *made = neo_arena_alloc(arena, sizeof(*made));
  NEO_TRY(neo_algorithm_rewrite(ctx, te, schedule->instr[0].name, arena, made, packing));
  NEO_TRY(split_outputs(ctx, made));
  *out = *made;
  return NEO_OK;
}

neo_status neo_schedule_rewrite(neo_ctx *ctx, const neo_te *te, const neo_schedule *schedule,
                                neo_arena *arena, neo_te *out) {
  return rewrite(ctx, te, schedule, arena, out, NULL);
}

/* ---- packing ------------------------------------------------------------------------------------------ */

static const neo_pack *find_pack(const neo_packing *packing, int buffer) {
  for (int i = 0; i < packing->n; i++)
    if (packing->pack[i].buffer == buffer)
      return &packing->pack[i];
  return NULL;
}

neo_status neo_schedule_packing(neo_ctx *ctx, const neo_te *te, const neo_schedule *schedule,
                                neo_arena *arena, neo_packing *out) {
  neo_te *made = neo_arena_alloc(arena, sizeof(*made));
  neo_packing transformed = {0, NULL}, all = {0, NULL};
  NEO_TRY(rewrite(ctx, te, schedule, arena, made, &transformed));
  for (int b = 0; b < made->n_buffers; b++)
    all.n += made->buffer[b].role == NEO_TE_CONST;
  all.pack = neo_arena_alloc(arena, (size_t)(all.n + 1) * sizeof(*all.pack));
  int n = 0;
  for (int b = 0; b < made->n_buffers; b++) {
    if (made->buffer[b].role != NEO_TE_CONST)
      continue;
    neo_pack *pack = &all.pack[n++];
    const neo_pack *given = find_pack(&transformed, b);
    const neo_layout *layout = neo_schedule_layout(schedule, b);
    if (given) {
      *pack = *given;
    } else {
      pack->buffer = pack->source = b;
    }
    if (layout)
      pack->layout = *layout;
  }
  *out = all;
  return NEO_OK;
}

/* ---- inlining ----------------------------------------------------------------------------------------- */

typedef struct inliner {
  neo_te *te;
  const neo_te_block *block; /* whose body is substituted */
  const neo_expr *outer;     /* the read being replaced, whose guards its loads inherit */
  bool failed;
} inliner;

static const neo_expr *guard_load(void *context, const neo_expr *load) {
  inliner *self = context;
  int n = load->u.load.n_guards, more = self->outer->u.load.n_guards;
  neo_guard guard[NEO_MAX_GUARDS];
  if (n + more > NEO_MAX_GUARDS) {
    self->failed = true;
    return NULL;
  }
  for (int i = 0; i < n; i++)
    guard[i] = load->u.load.guard[i];
  for (int i = 0; i < more; i++)
    guard[n + i] = self->outer->u.load.guard[i];
  return neo_expr_load_guarded(
      self->te->arena, load->dtype, load->u.load.buffer, load->n_args, load->arg,
      &(neo_guards){n + more, guard, n ? load->u.load.fill : self->outer->u.load.fill});
}

static const neo_expr *guard_condition(neo_arena *arena, const neo_expr *load) {
  const neo_expr *all = neo_expr_const_i(arena, NEO_BOOL, 1);
  for (int i = 0; i < load->u.load.n_guards; i++) {
    const neo_guard *g = &load->u.load.guard[i];
    const neo_expr *low =
        neo_expr_binary(arena, NEO_EXPR_LE, neo_expr_index(arena, g->lo), g->index);
    const neo_expr *high =
        neo_expr_binary(arena, NEO_EXPR_LT, g->index, neo_expr_index(arena, g->hi));
    all =
        neo_expr_binary(arena, NEO_EXPR_AND, all, neo_expr_binary(arena, NEO_EXPR_AND, low, high));
  }
  return all;
}

static const neo_expr *constant_of(neo_arena *arena, neo_dtype dtype, double v) {
  if (neo_dtype_class(dtype) == 'f')
    return neo_expr_const_f(arena, dtype, v);
  return neo_expr_const_i(arena, dtype, (int64_t)v);
}

static const neo_expr *inline_load(void *context, const neo_expr *load) {
  inliner *self = context;
  neo_arena *arena = self->te->arena;
  if (load->u.load.buffer != self->block->buffer)
    return NULL;
  const neo_expr *body = neo_expr_substitute(arena, self->block->body, load->arg, load->n_args);
  if (load->u.load.n_guards == 0)
    return body;
  self->outer = load;
  bool plain = body->op == NEO_EXPR_LOAD && body->u.load.n_guards == 0;
  const neo_expr *guarded = neo_expr_map_loads(arena, body, guard_load, self);
  if (plain)
    return guarded;
  return neo_expr_select(arena, guard_condition(arena, load), guarded,
                         constant_of(arena, load->dtype, load->u.load.fill));
}

static neo_status inline_block(neo_ctx *ctx, neo_te *te, int b) {
  inliner self = {.te = te, .block = &te->block[b]};
  if (te->block[b].n_reduce > 0 || te->buffer[te->block[b].buffer].role != NEO_TE_TMP)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: inline B%d: not an elementwise block of a tmp",
                    b);
  for (int k = b + 1; k < te->n_blocks; k++)
    te->block[k].body = neo_expr_map_loads(te->arena, te->block[k].body, inline_load, &self);
  if (self.failed)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: inline B%d: too many guards", b);
  return NEO_OK;
}

neo_status neo_lower_inline(neo_ctx *ctx, const neo_schedule *schedule, neo_te *te) {
  for (int i = 0; i < schedule->n; i++) {
    const neo_instr *instr = &schedule->instr[i];
    if (instr->kind != NEO_INSTR_INLINE)
      continue;
    if (instr->block >= te->n_blocks)
      return neo_fail(ctx, NEO_BAD_INPUT, "schedule: inline B%d: no such block", instr->block);
    NEO_TRY(inline_block(ctx, te, instr->block));
  }
  return NEO_OK;
}
