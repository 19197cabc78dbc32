/* Algorithm "wide": factors of 16 bits are cast once, not at each product.
 *
 * Why: models of f16 sum products of casts, sum of cast.f32(x) * cast.f32(y). A register tile reads
 * each factor many times; where a cast is an instruction of its own, and a scalar factor cannot be
 * taken from a lane any more, that is slower than f32. How: constants are packed as f32; other
 * factors go through f32 copies in front of the sum. With "pad=1" guarded reads go through padded
 * copies, as in algorithm pad, which are then f32 themselves. Values do not change. */
#include "schedule/algorithm.h"

#include <string.h>

#define MAX_PACKS 8

typedef struct widener {
  neo_arena *arena;
  neo_te *te; /* being built */
  neo_packing *packing;
  int at; /* block whose factors are being cast */
  int made;
} widener;

typedef struct read_count {
  int buffer, n;
} read_count;

static void count_read(void *self, const neo_expr *load) {
  read_count *count = self;
  count->n += load->u.load.buffer == count->buffer;
}

static int count_reads(const neo_te *te, int buffer) {
  read_count count = {buffer, 0};
  for (int k = 0; k < te->n_blocks; k++)
    neo_expr_visit_loads(te->block[k].body, count_read, &count);
  return count.n;
}

/* The load of cast.f32(load), of 16 bits; NULL: something else. */
static const neo_expr *narrow_load(const neo_expr *e) {
  if (e->op != NEO_EXPR_CAST || e->dtype != NEO_F32 || e->arg[0]->op != NEO_EXPR_LOAD)
    return NULL;
  neo_dtype dtype = e->arg[0]->dtype;
  return dtype == NEO_F16 || dtype == NEO_BF16 ? e->arg[0] : NULL;
}

static const neo_expr *wide_load(const widener *s, const neo_expr *load, int buffer) {
  neo_guards guards = {load->u.load.n_guards, load->u.load.guard, load->u.load.fill};
  return neo_expr_load_guarded(s->arena, NEO_F32, buffer, load->n_args, load->arg, &guards);
}

/* cast.f32 of the whole buffer, element by element. */
static const neo_expr *cast_element(neo_arena *arena, neo_dtype dtype, int buffer, int rank) {
  const neo_expr *index[NEO_MAX_RANK];
  for (int d = 0; d < rank; d++)
    index[d] = neo_expr_var(arena, d);
  return neo_expr_cast(arena, NEO_F32, neo_expr_load(arena, dtype, buffer, rank, index));
}

static void pack_wide(widener *s, int buffer) {
  neo_te_buffer *b = &s->te->buffer[buffer];
  if (!s->packing->pack)
    s->packing->pack = neo_arena_alloc(s->arena, sizeof(*s->packing->pack) * MAX_PACKS);
  neo_pack *pack = &s->packing->pack[s->packing->n++];
  pack->buffer = pack->source = buffer;
  pack->has_te = true;
  neo_te_init(&pack->te, s->arena);
  int in = neo_te_add_buffer(&pack->te, NEO_TE_IN, b->dtype, &b->shape);
  int out = neo_te_add_buffer(&pack->te, NEO_TE_OUT, NEO_F32, &b->shape);
  neo_te_add_block(&pack->te, out)->body = cast_element(s->arena, b->dtype, in, b->shape.rank);
  b->dtype = NEO_F32;
}

/* The one block without a sum that writes this TMP; NULL if that is not so. */
static neo_te_block *writer_of(const widener *s, int buffer) {
  for (int k = 0; k < s->at; k++)
    if (s->te->block[k].buffer == buffer)
      return s->te->block[k].n_reduce == 0 ? &s->te->block[k] : NULL;
  return NULL;
}

/* A copy in front of the block; -1: no room. */
static int add_copy(widener *s, int buffer) {
  neo_te *te = s->te;
  if (te->n_blocks + 1 >= NEO_TE_MAX_BLOCKS || te->n_buffers == NEO_TE_MAX_BUFFERS)
    return -1;
  neo_te_buffer from = te->buffer[buffer];
  int made = neo_te_add_buffer(te, NEO_TE_TMP, NEO_F32, &from.shape);
  neo_te_block copy = *neo_te_add_block(te, made);
  copy.body = cast_element(s->arena, from.dtype, buffer, from.shape.rank);
  memmove(&te->block[s->at + 1], &te->block[s->at],
          sizeof(copy) * (size_t)(te->n_blocks - 1 - s->at));
  te->block[s->at++] = copy;
  return made;
}

static const neo_expr *widen_factor(widener *s, const neo_expr *e) {
  const neo_expr *load = narrow_load(e);
  if (!load)
    return e;
  int buffer = load->u.load.buffer;
  neo_te_buffer *b = &s->te->buffer[buffer];
  bool sole = count_reads(s->te, buffer) == 1;
  neo_te_block *writer = b->role == NEO_TE_TMP ? writer_of(s, buffer) : NULL;
  if (b->role == NEO_TE_CONST && sole && s->packing->n < MAX_PACKS) {
    pack_wide(s, buffer);
  } else if (writer && sole) {
    writer->body = neo_expr_cast(s->arena, NEO_F32, writer->body);
    b->dtype = NEO_F32;
  } else if ((buffer = add_copy(s, buffer)) < 0) {
    return e;
  }
  s->made++;
  return wide_load(s, load, buffer);
}

static bool sums_products(const neo_te_block *b) {
  return b->combine == NEO_COMBINE_ADD && b->body->op == NEO_EXPR_MUL && b->body->dtype == NEO_F32;
}

static neo_status rewrite(neo_ctx *ctx, const neo_te *te, const char *text, neo_arena *arena,
                          neo_te *out, neo_packing *packing) {
  widener s = {.arena = arena, .packing = packing};
  int64_t pad = 0;
  s.te = neo_arena_alloc(arena, sizeof(*s.te));
  if (neo_algorithm_param(text, "pad", &pad) && pad)
    NEO_TRY(neo_algorithm_copy_reads(ctx, te, false, arena, s.te));
  else
    neo_te_copy(s.te, arena, te);
  for (s.at = 0; s.at < s.te->n_blocks; s.at++) {
    const neo_expr *body = s.te->block[s.at].body;
    if (!sums_products(&s.te->block[s.at]) || neo_expr_equal(body->arg[0], body->arg[1]))
      continue;
    const neo_expr *x = widen_factor(&s, body->arg[0]), *y = widen_factor(&s, body->arg[1]);
    s.te->block[s.at].body = neo_expr_binary(arena, NEO_EXPR_MUL, x, y);
  }
  if (s.made == 0)
    return neo_fail(ctx, NEO_BAD_INPUT, "schedule: alg wide: no sum of products of 16 bits");
  *out = *s.te;
  return NEO_OK;
}

const neo_algorithm neo_algorithm_wide = {"wide", "factors of 16 bits are cast to f32 once",
                                          NEO_ACCURACY_EXACT, rewrite};
