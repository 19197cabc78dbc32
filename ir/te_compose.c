/* ir/te_compose.c: appends one te to another: the step that fusion is made of.
 *
 * The producer's output `out` becomes a TMP, which must have one writer with an identity write map.
 * Where it has not (a grouped convolution writes channel g * K + k; the phases of a transposed
 * convolution and the parts of a concatenation are several blocks), the output falls into pieces:
 * one TMP per writing block, shaped like that block's spatial axes. A consumer block that reads it
 * element by element is then repeated per piece, over the piece's axes: its axis d is replaced by
 * what the writer puts into dimension d. Its own output inherits the piece's write map, and its
 * TMPs the piece's shape, so chains work. */
#include "ir/te_internal.h"

#include <string.h>

#define MAX_PIECES 32

typedef struct piece {
  int n;
  int64_t extent[NEO_MAX_RANK];
  const neo_expr *write[NEO_MAX_RANK]; /* dimension of the original output <- the piece's axes */
} piece;

typedef struct append {
  neo_te *te;
  const neo_te *consumer;
  int out, in;
  int map[NEO_TE_MAX_BUFFERS];    /* consumer buffer -> te buffer */
  bool split[NEO_TE_MAX_BUFFERS]; /* consumer buffers that exist as pieces */
  int n_pieces;                   /* 0: `out` stays whole */
  piece piece[MAX_PIECES];
  int piece_buffer[NEO_TE_MAX_BUFFERS][MAX_PIECES]; /* of split buffers: te buffers */
  int current;                                      /* the piece being written, -1: none */
} append;

/* ---- may it be done? (nothing is changed before this says yes)
 * ------------------------------------ */

typedef struct search {
  const append *a;
  int buffer; /* the buffer looked for */
  const neo_te_block *block;
  bool found, elementwise;
} search;

static bool is_axis(const neo_expr *e, int axis, int64_t extent) {
  int64_t c;
  return (e->op == NEO_EXPR_VAR && e->u.var == axis) ||
         (extent == 1 && neo_expr_is_const(e, &c) && c == 0);
}

static void find_split_reads(void *self, const neo_expr *load) {
  search *s = self;
  if (!s->a->split[load->u.load.buffer])
    return;
  s->found = true;
  bool ok = load->u.load.n_guards == 0 && load->n_args == s->block->n_spatial;
  for (int d = 0; ok && d < load->n_args; d++)
    ok = is_axis(load->arg[d], d, s->block->extent[d]);
  s->elementwise = s->elementwise && ok;
}

static bool reads_split(const append *a, const neo_te_block *b, bool *elementwise) {
  search s = {.a = a, .block = b, .elementwise = b->n_reduce == 0};
  neo_expr_visit_loads(b->body, find_split_reads, &s);
  const neo_shape *shape = &a->consumer->buffer[a->in].shape;
  s.elementwise = s.elementwise && b->n_spatial == shape->rank;
  for (int d = 0; s.elementwise && d < shape->rank; d++)
    s.elementwise = b->extent[d] == shape->dim[d];
  *elementwise = s.elementwise;
  return s.found;
}

static void find_reads(void *self, const neo_expr *load) {
  search *s = self;
  s->found = s->found || load->u.load.buffer == s->buffer;
}

static bool is_read(const neo_te *te, int buffer) {
  search s = {.buffer = buffer};
  for (int k = 0; k < te->n_blocks; k++)
    neo_expr_visit_loads(te->block[k].body, find_reads, &s);
  return s.found;
}

/* Fills in the pieces of `out`, one per writer; false if there are too many or one has too many
 * axes. */
static bool collect_pieces(append *a) {
  const neo_te *te = a->te;
  int rank = te->buffer[a->out].shape.rank;
  for (int k = 0; k < te->n_blocks; k++) {
    const neo_te_block *b = &te->block[k];
    if (b->buffer != a->out)
      continue;
    if (a->n_pieces == MAX_PIECES || b->n_spatial > NEO_MAX_RANK)
      return false;
    piece *p = &a->piece[a->n_pieces++];
    p->n = b->n_spatial;
    memcpy(p->extent, b->extent, sizeof p->extent[0] * (size_t)p->n);
    memcpy(p->write, b->write, sizeof p->write[0] * (size_t)rank);
  }
  return a->n_pieces > 0;
}

/* Every consumer block that touches a split buffer must be elementwise; its TMP splits, too. */
static bool plan_split(append *a) {
  int blocks = a->te->n_blocks, buffers = a->te->n_buffers + a->n_pieces - 1;
  for (int k = 0; k < a->consumer->n_blocks; k++) {
    const neo_te_block *b = &a->consumer->block[k];
    bool elementwise, touched = reads_split(a, b, &elementwise);
    if (touched && !elementwise)
      return false;
    bool tmp = a->consumer->buffer[b->buffer].role == NEO_TE_TMP;
    a->split[b->buffer] = touched && tmp;
    blocks += touched ? a->n_pieces : 1;
    buffers += touched && tmp ? a->n_pieces : 0;
  }
  return blocks <= NEO_TE_MAX_BLOCKS && buffers + a->consumer->n_buffers <= NEO_TE_MAX_BUFFERS;
}

static bool one_identity_writer(const neo_te *te, int buffer) {
  int writers = 0;
  bool identity = false;
  for (int k = 0; k < te->n_blocks; k++) {
    if (te->block[k].buffer == buffer) {
      writers++;
      identity = neo_te_is_identity_write(te, &te->block[k]);
    }
  }
  return writers == 1 && identity;
}

static bool feasible(append *a, bool keep, const int *shared) {
  const neo_te *te = a->te, *c = a->consumer;
  const neo_te_buffer *from = &te->buffer[a->out], *to = &c->buffer[a->in];
  if (from->dtype != to->dtype || !neo_shape_equal(&from->shape, &to->shape))
    return false;
  if (te->n_buffers + c->n_buffers > NEO_TE_MAX_BUFFERS ||
      te->n_blocks + c->n_blocks > NEO_TE_MAX_BLOCKS)
    return false;
  if (keep || from->role != NEO_TE_OUT || one_identity_writer(te, a->out))
    return true;
  if (is_read(te, a->out) || !collect_pieces(a))
    return false;
  for (int k = 0; k < c->n_buffers; k++)
    a->split[k] = k == a->in || (shared && shared[k] == a->out);
  return plan_split(a);
}

/* ---- doing it ----------------------------------------------------------------------------------
 */

static neo_shape piece_shape(const piece *p) {
  neo_shape s = {.rank = p->n};
  memcpy(s.dim, p->extent, sizeof s.dim[0] * (size_t)p->n);
  return s;
}

/* `out` becomes piece 0; further pieces are new buffers; the writers write their own, whole. */
static void split_output(append *a, int *pieces) {
  neo_te *te = a->te;
  int at = 0;
  for (int k = 0; k < te->n_blocks; k++) {
    neo_te_block *b = &te->block[k];
    if (b->buffer != a->out || at == a->n_pieces)
      continue;
    neo_shape shape = piece_shape(&a->piece[at]);
    neo_dtype dtype = te->buffer[a->out].dtype;
    pieces[at] = at == 0 ? a->out : neo_te_add_buffer(te, NEO_TE_TMP, dtype, &shape);
    neo_te_identity(te->arena, shape.rank, b->write);
    b->buffer = pieces[at];
    at++;
    /* `out` keeps its old number while the other writers are still found by it */
    if (b->buffer == a->out)
      b->buffer = -1;
  }
  for (int k = 0; k < te->n_blocks; k++)
    te->block[k].buffer = te->block[k].buffer < 0 ? a->out : te->block[k].buffer;
  te->buffer[a->out].shape = piece_shape(&a->piece[0]);
}

static void add_buffers(append *a, const int *shared) {
  const neo_te *c = a->consumer;
  for (int k = 0; k < c->n_buffers; k++) {
    const neo_te_buffer *b = &c->buffer[k];
    if (k == a->in) {
      a->map[k] = a->out;
    } else if (shared && shared[k] >= 0) {
      a->map[k] = shared[k];
    } else if (a->split[k]) {
      for (int p = 0; p < a->n_pieces; p++) {
        neo_shape shape = piece_shape(&a->piece[p]);
        a->piece_buffer[k][p] = neo_te_add_buffer(a->te, b->role, b->dtype, &shape);
      }
      a->map[k] = a->piece_buffer[k][0];
    } else {
      a->map[k] = neo_te_add_buffer(a->te, b->role, b->dtype, &b->shape);
    }
  }
}

static const neo_expr *move_load(void *self, const neo_expr *load) {
  const append *a = self;
  neo_arena *arena = a->te->arena;
  int k = load->u.load.buffer;
  if (a->current >= 0 && a->split[k]) {
    const neo_expr *index[NEO_MAX_RANK];
    int n = a->piece[a->current].n;
    neo_te_identity(arena, n, index);
    return neo_expr_load(arena, load->dtype, a->piece_buffer[k][a->current], n, index);
  }
  return neo_expr_load_guarded(
      arena, load->dtype, a->map[k], load->n_args, load->arg,
      &(neo_guards){load->u.load.n_guards, load->u.load.guard, load->u.load.fill});
}

static void move_block(append *a, const neo_te_block *b) {
  neo_te *te = a->te;
  neo_te_block *n = &te->block[te->n_blocks++];
  *n = *b;
  n->buffer = a->map[b->buffer];
  a->current = -1;
  n->body = neo_expr_map_loads(te->arena, neo_expr_copy(te->arena, b->body), move_load, a);
  for (int d = 0; d < a->consumer->buffer[b->buffer].shape.rank; d++)
    n->write[d] = neo_expr_copy(te->arena, b->write[d]);
}

/* b over the axes of piece p. */
static void move_block_piece(append *a, const neo_te_block *b, int p) {
  neo_te *te = a->te;
  const piece *q = &a->piece[p];
  neo_te_block *n = &te->block[te->n_blocks++];
  *n = (neo_te_block){.n_spatial = q->n};
  memcpy(n->extent, q->extent, sizeof q->extent[0] * (size_t)q->n);
  a->current = p;
  const neo_expr *body = neo_expr_copy(te->arena, b->body);
  body = neo_expr_substitute(te->arena, body, q->write, b->n_spatial);
  n->body = neo_expr_map_loads(te->arena, body, move_load, a);
  if (a->split[b->buffer]) {
    n->buffer = a->piece_buffer[b->buffer][p];
    neo_te_identity(te->arena, q->n, n->write);
    return;
  }
  n->buffer = a->map[b->buffer];
  for (int d = 0; d < a->consumer->buffer[b->buffer].shape.rank; d++)
    n->write[d] = neo_expr_substitute(te->arena, neo_expr_copy(te->arena, b->write[d]), q->write,
                                      b->n_spatial);
}

static void move_blocks(append *a) {
  for (int k = 0; k < a->consumer->n_blocks; k++) {
    const neo_te_block *b = &a->consumer->block[k];
    bool elementwise;
    if (!a->n_pieces || !reads_split(a, b, &elementwise)) {
      move_block(a, b);
      continue;
    }
    for (int p = 0; p < a->n_pieces; p++)
      move_block_piece(a, b, p);
  }
}

neo_status neo_te_append(neo_ctx *ctx, neo_te *te, int out, const neo_te *consumer, int in,
                         const neo_te_append_options *options) {
  static const neo_te_append_options none = {0};
  options = options ? options : &none;
  const int *shared = options->shared;
  append *a = neo_alloc(ctx, sizeof *a);
  if (!a)
    return neo_fail(ctx, NEO_NO_MEMORY, "te: no memory to append");
  a->te = te;
  a->consumer = consumer;
  a->out = out;
  a->in = in;
  a->current = -1;
  if (!feasible(a, options->keep, shared)) {
    neo_free(ctx, a);
    return NEO_UNSUPPORTED;
  }
  int pieces[MAX_PIECES];
  if (a->n_pieces)
    split_output(a, pieces);
  if (!options->keep && te->buffer[out].role == NEO_TE_OUT)
    te->buffer[out].role = NEO_TE_TMP;
  for (int k = 0; k < consumer->n_buffers; k++) {
    if (a->n_pieces && (k == in || (shared && shared[k] == out)))
      memcpy(a->piece_buffer[k], pieces, sizeof pieces);
  }
  add_buffers(a, shared);
  move_blocks(a);
  if (options->buffer_map)
    memcpy(options->buffer_map, a->map, sizeof a->map);
  neo_free(ctx, a);
  return NEO_OK;
}

/* ---- hiding an output ---------------------------------------------------------------------------- */

/* Cuts te in two behind the last block that writes `buffer`: the rest reads everything written
 * before as an input. Buffers keep their numbers in both; TMPs that only the rest uses are `fresh`
 * there. */
static void cut(const neo_te *te, int buffer, neo_te *first, neo_te *rest, bool *fresh) {
  int last = -1;
  for (int k = 0; k < te->n_blocks; k++)
    last = te->block[k].buffer == buffer ? k : last;
  *first = *rest = *te;
  first->n_blocks = last + 1;
  rest->n_blocks = te->n_blocks - last - 1;
  memcpy(rest->block, te->block + last + 1, sizeof te->block[0] * (size_t)rest->n_blocks);
  for (int k = 0; k < te->n_buffers; k++)
    fresh[k] = te->buffer[k].role == NEO_TE_TMP;
  for (int k = 0; k <= last; k++) {
    fresh[te->block[k].buffer] = false;
    rest->buffer[te->block[k].buffer].role = NEO_TE_IN;
  }
}

neo_status neo_te_hide(neo_ctx *ctx, neo_te *te, int buffer) {
  if (one_identity_writer(te, buffer)) {
    te->buffer[buffer].role = NEO_TE_TMP;
    return NEO_OK;
  }
  neo_te *parts = neo_alloc(ctx, 2 * sizeof *parts);
  if (!parts)
    return neo_fail(ctx, NEO_NO_MEMORY, "te: no memory to hide a buffer");
  bool fresh[NEO_TE_MAX_BUFFERS];
  int shared[NEO_TE_MAX_BUFFERS];
  cut(te, buffer, &parts[0], &parts[1], fresh);
  for (int k = 0; k < te->n_buffers; k++)
    shared[k] = fresh[k] ? -1 : k;
  neo_status s = neo_te_append(ctx, &parts[0], buffer, &parts[1], buffer,
                               &(neo_te_append_options){.shared = shared});
  if (s == NEO_OK)
    *te = parts[0];
  neo_free(ctx, parts);
  return s;
}
