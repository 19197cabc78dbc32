/* Algorithm "pad": guarded reads of a reduction block go through a padded copy.
 *
 * Why: a guard in the innermost loop of a convolution costs a select per load, and a guard that
 * varies over vector lanes costs a gather. Copying the input once, fill included, makes the hot
 * reads unguarded. How: for each read whose guards are bounds on its own affine indices, the
 * interval of every index over the block's axes gives the padded shape; a copying block goes in
 * front of the reduction block and the read is re-based. Equal copies are shared inside one block.
 */
#include "schedule/algorithm.h"

#include <string.h>

#define MAX_PADS 8

typedef struct pad {
  int source, buffer; /* padded buffer, numbered in the new te */
  neo_range index[NEO_MAX_RANK];
  bool guarded[NEO_MAX_RANK];
  int64_t lo[NEO_MAX_RANK], hi[NEO_MAX_RANK];
  double fill;
} pad;

typedef struct padder {
  neo_te *te; /* being built */
  bool stage;
  const neo_te_block *block;
  neo_range range[NEO_TE_MAX_AXES];
  int n;
  pad pads[MAX_PADS];
} padder;

static bool match_guard(const neo_expr *load, const neo_guard *guard, pad *out) {
  for (int k = 0; k < load->n_args; k++) {
    if (!neo_expr_equal(load->arg[k], guard->index))
      continue;
    out->lo[k] = out->guarded[k] ? neo_max_i64(out->lo[k], guard->lo) : guard->lo;
    out->hi[k] = out->guarded[k] ? neo_min_i64(out->hi[k], guard->hi) : guard->hi;
    out->guarded[k] = true;
    return true;
  }
  return false;
}

/* The padded copy that this load wants; false if it cannot have one. */
static bool describe(const padder *self, const neo_expr *load, pad *out) {
  memset(out, 0, sizeof(*out));
  neo_te_role role = self->te->buffer[load->u.load.buffer].role;
  if (role == NEO_TE_OUT)
    return false;
  if (!self->stage && (load->u.load.n_guards == 0 || role == NEO_TE_CONST))
    return false;
  out->source = load->u.load.buffer;
  out->fill = load->u.load.fill;
  int n_axes = self->block->n_spatial + self->block->n_reduce;
  for (int k = 0; k < load->n_args; k++) {
    neo_affine affine;
    if (!neo_expr_affine(load->arg[k], &affine) ||
        !neo_expr_range(load->arg[k], self->range, n_axes, &out->index[k]))
      return false;
  }
  for (int g = 0; g < load->u.load.n_guards; g++)
    if (!match_guard(load, &load->u.load.guard[g], out))
      return false;
  return true;
}

static bool same_pad(const pad *a, const pad *b, int rank) {
  if (a->source != b->source || memcmp(&a->fill, &b->fill, sizeof(a->fill)) != 0)
    return false;
  for (int k = 0; k < rank; k++)
    if (a->index[k].lo != b->index[k].lo || a->index[k].hi != b->index[k].hi ||
        a->guarded[k] != b->guarded[k] || a->lo[k] != b->lo[k] || a->hi[k] != b->hi[k])
      return false;
  return true;
}

/* b[j + lo | guards else fill] as the body of a block over the padded shape. */
static void add_copy(padder *self, pad *p, int rank) {
  neo_te *te = self->te;
  neo_shape shape = {.rank = rank};
  const neo_expr *index[NEO_MAX_RANK];
  neo_guard guard[NEO_MAX_RANK];
  int n_guards = 0;
  for (int k = 0; k < rank; k++) {
    shape.dim[k] = p->index[k].hi - p->index[k].lo + 1;
    index[k] = neo_expr_binary(te->arena, NEO_EXPR_ADD, neo_expr_var(te->arena, k),
                               neo_expr_index(te->arena, p->index[k].lo));
    if (p->guarded[k])
      guard[n_guards++] = (neo_guard){index[k], p->lo[k], p->hi[k]};
  }
  neo_dtype dtype = te->buffer[p->source].dtype;
  p->buffer = neo_te_add_buffer(te, NEO_TE_TMP, dtype, &shape);
  neo_te_block *block = neo_te_add_block(te, p->buffer);
  block->body = neo_expr_load_guarded(te->arena, dtype, p->source, rank, index,
                                      &(neo_guards){n_guards, guard, p->fill});
}

static const neo_expr *replace_load(void *context, const neo_expr *load) {
  padder *self = context;
  pad wanted;
  if (!describe(self, load, &wanted))
    return NULL;
  int k = 0;
  while (k < self->n && !same_pad(&self->pads[k], &wanted, load->n_args))
    k++;
  if (k == self->n) {
    if (k == MAX_PADS || self->te->n_buffers == NEO_TE_MAX_BUFFERS ||
        self->te->n_blocks + 1 >= NEO_TE_MAX_BLOCKS)
      return NULL;
    add_copy(self, &wanted, load->n_args);
    self->pads[self->n++] = wanted;
  }
  const neo_expr *index[NEO_MAX_RANK];
  for (int i = 0; i < load->n_args; i++)
    index[i] = neo_expr_binary(self->te->arena, NEO_EXPR_SUB, load->arg[i],
                               neo_expr_index(self->te->arena, wanted.index[i].lo));
  return neo_expr_load(self->te->arena, load->dtype, self->pads[k].buffer, load->n_args, index);
}

static bool sums_products(const neo_te_block *block) {
  return block->combine == NEO_COMBINE_ADD && block->body->op == NEO_EXPR_MUL;
}

neo_status neo_algorithm_copy_reads(neo_ctx *ctx, const neo_te *te, bool stage, neo_arena *arena,
                                    neo_te *out) {
  neo_te *from = neo_arena_alloc(arena, sizeof(*from));
  neo_te_copy(from, arena, te);
  neo_te *made = neo_arena_alloc(arena, sizeof(*made));
  *made = *from;
  made->n_blocks = 0;
  int copies = 0;
  for (int b = 0; b < from->n_blocks; b++) {
    neo_te_block block = from->block[b];
    if (block.n_reduce > 0 && (!stage || sums_products(&block))) {
      padder self = {.te = made, .stage = stage, .block = &block};
      for (int a = 0; a < block.n_spatial + block.n_reduce; a++)
        self.range[a] = (neo_range){0, block.extent[a] - 1};
      block.body = neo_expr_map_loads(arena, block.body, replace_load, &self);
      copies += self.n;
    }
    if (made->n_blocks == NEO_TE_MAX_BLOCKS)
      return neo_fail(ctx, NEO_BAD_INPUT, "schedule: alg %s: more than %d blocks",
                      stage ? "stage" : "pad", NEO_TE_MAX_BLOCKS);
    made->block[made->n_blocks++] = block;
  }
  if (copies == 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: alg %s: no read to copy",
                    stage ? "stage" : "pad");
  *out = *made;
  return NEO_OK;
}

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                          neo_te *out, neo_packing *packing) {
  (void)text;
  (void)packing;
  return neo_algorithm_copy_reads(ctx, te, false, arena, out);
}

const neo_algorithm neo_algorithm_pad = {
    "pad", "guarded reads of reductions go through a padded copy", NEO_ACCURACY_EXACT, rewrite};
