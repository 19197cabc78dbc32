/* ir/te.c: building, copying, keying and counting tensor expressions. */
#include "ir/te_internal.h"

#include <string.h>

static const char *const role_names[] = {"in", "const", "tmp", "out"};
static const char *const combine_names[] = {"none", "add", "mul", "max", "min"};

const char *neo_te_role_name(neo_te_role role) {
  return role_names[role];
}
const char *neo_combine_name(neo_combine combine) {
  return combine_names[combine];
}

void neo_te_init(neo_te *te, neo_arena *arena) {
  te->arena = arena;
  te->n_buffers = 0;
  te->n_blocks = 0;
}

int neo_te_add_buffer(neo_te *te, neo_te_role role, neo_dtype dtype, const neo_shape *shape) {
  neo_assert(te->n_buffers < NEO_TE_MAX_BUFFERS);
  te->buffer[te->n_buffers] = (neo_te_buffer){.role = role, .dtype = dtype, .shape = *shape};
  return te->n_buffers++;
}

void neo_te_identity(neo_arena *arena, int rank, const neo_expr **index) {
  for (int d = 0; d < rank; d++)
    index[d] = neo_expr_var(arena, d);
}

neo_te_block *neo_te_add_block(neo_te *te, int buffer) {
  neo_assert(te->n_blocks < NEO_TE_MAX_BLOCKS && buffer < te->n_buffers);
  neo_te_block *b = &te->block[te->n_blocks++];
  const neo_shape *shape = &te->buffer[buffer].shape;
  *b = (neo_te_block){.buffer = buffer, .n_spatial = shape->rank};
  for (int d = 0; d < shape->rank; d++)
    b->extent[d] = shape->dim[d];
  neo_te_identity(te->arena, shape->rank, b->write);
  return b;
}

int neo_te_ranges(const neo_te_block *block, neo_range *range) {
  int n = block->n_spatial + block->n_reduce;
  for (int k = 0; k < n; k++)
    range[k] = (neo_range){0, block->extent[k] - 1};
  return n;
}

int64_t neo_te_volume(const neo_te_block *block) {
  const int64_t limit = INT64_C(1) << 62;
  int64_t v = 1;
  for (int k = 0; k < block->n_spatial + block->n_reduce; k++)
    if (block->extent[k] == 0)
      return 0;
  for (int k = 0; k < block->n_spatial + block->n_reduce; k++) {
    if (v > limit / block->extent[k])
      return limit;
    v *= block->extent[k];
  }
  return v;
}

bool neo_te_is_identity_write(const neo_te *te, const neo_te_block *block) {
  const neo_shape *shape = &te->buffer[block->buffer].shape;
  if (block->n_spatial != shape->rank)
    return false;
  for (int d = 0; d < shape->rank; d++) {
    const neo_expr *w = block->write[d];
    int64_t c;
    bool var = w->op == NEO_EXPR_VAR && w->u.var == d;
    bool unit = shape->dim[d] == 1 && neo_expr_is_const(w, &c) && c == 0;
    if (block->extent[d] != shape->dim[d] || (!var && !unit))
      return false;
  }
  return true;
}

const neo_expr *neo_expr_copy(neo_arena *arena, const neo_expr *e) {
  neo_expr *c = neo_expr_raw(arena, e->op, e->dtype, e->lanes, e->n_args, e->arg);
  const neo_expr **arg = (const neo_expr **)(void *)(c + 1);
  c->active = e->active;
  c->u = e->u;
  for (int k = 0; k < e->n_args; k++)
    arg[k] = neo_expr_copy(arena, e->arg[k]);
  if (e->op == NEO_EXPR_LOAD && e->u.load.n_guards) {
    int n = e->u.load.n_guards;
    neo_guard *guard = neo_arena_copy(arena, e->u.load.guard, sizeof *guard * (size_t)n);
    for (int k = 0; k < n; k++)
      guard[k].index = neo_expr_copy(arena, guard[k].index);
    c->u.load.guard = guard;
  }
  return c;
}

void neo_te_copy(neo_te *out, neo_arena *arena, const neo_te *te) {
  if (out != te)
    memcpy(out, te, sizeof *out);
  out->arena = arena;
  for (int k = 0; k < te->n_blocks; k++) {
    neo_te_block *b = &out->block[k];
    for (int d = 0; d < te->buffer[b->buffer].shape.rank; d++)
      b->write[d] = neo_expr_copy(arena, b->write[d]);
    b->body = neo_expr_copy(arena, b->body);
  }
}

void neo_te_key(const neo_te *te, char out[33]) {
  neo_buf text = {0};
  neo_te_print(&text, te);
  neo_assert(!text.failed);
  neo_key_text(text.data, text.size, out);
  neo_buf_fini(&text);
}

/* ---- counting ----------------------------------------------------------------------------------
 */

static double count_ops(const neo_expr *e) {
  double n = 0;
  switch (e->op) {
  case NEO_EXPR_CONST:
  case NEO_EXPR_VAR:
  case NEO_EXPR_LOAD:
    return 0;
  case NEO_EXPR_CAST:
  case NEO_EXPR_BITCAST:
  case NEO_EXPR_BROADCAST:
  case NEO_EXPR_SELECT:
  case NEO_EXPR_ISNAN:
  case NEO_EXPR_AND:
  case NEO_EXPR_OR:
  case NEO_EXPR_NOT:
  case NEO_EXPR_LT:
  case NEO_EXPR_LE:
  case NEO_EXPR_EQ:
  case NEO_EXPR_NE:
    break;
  case NEO_EXPR_FMA:
    n = 2;
    break;
  default:
    n = 1;
  }
  for (int k = 0; k < e->n_args; k++)
    n += count_ops(e->arg[k]);
  return n;
}

double neo_te_flops(const neo_te *te) {
  double total = 0;
  for (int k = 0; k < te->n_blocks; k++) {
    const neo_te_block *b = &te->block[k];
    double points = 1;
    for (int a = 0; a < b->n_spatial + b->n_reduce; a++)
      points *= (double)b->extent[a];
    total += points * (count_ops(b->body) + (b->n_reduce ? 1 : 0));
  }
  return total;
}

double neo_te_bytes(const neo_te *te) {
  double total = 0;
  for (int k = 0; k < te->n_buffers; k++) {
    int64_t n;
    if (te->buffer[k].role != NEO_TE_TMP && neo_shape_elements(&te->buffer[k].shape, &n))
      total += (double)n * (double)neo_dtype_size(te->buffer[k].dtype);
  }
  return total;
}
