/* Loops: from a block's plan to statements, outermost first.
 *
 * Why: tiles need not divide, blocks are computed inside others, accumulators live in registers;
 * all of that is decided while walking down one block's loops with the span that each axis has
 * left. How: at a loop of stride S over a span of R elements there are q = R / S full iterations
 * and a rest r. Without a rest it is a plain loop. With one, an exact loop (lower.h) is followed by
 * the tail as a second copy of everything inside with size r; a loop that has further serial loops
 * of its axis inside runs q + 1 times and leaves a dynamic rest, whose exact loop deeper down
 * branches on full or tail. Loops of the launch grid cannot be followed by anything: they branch.
 * Loops of one iteration vanish.
 *
 * At a loop position, first the blocks attached there are computed for the region that the rest of
 * the iteration reads, then, before the outermost reduce loop, the accumulators are set; behind the
 * reduce loops they are copied to the buffer if they were registers and the buffer is not.
 *
 * Invariants: 1. where a block is attached all spans are static; 2. code inside is emitted at most
 * twice per axis and exact loop. */
#include "schedule/lower.h"

#include <string.h>

#define MAX_REG_GROUPS 1024
#define MAX_COPIES 16

static const lower_lanes scalar = {.var = -1, .lanes = 1, .active = 1};

static bool emit(lowerer *l, lower_frame *f, int pos, lower_pass pass, lower_list *out);
static bool emit_loops(lowerer *l, lower_frame *f, int pos, lower_pass pass, lower_list *out);

/* ---- bindings -------------------------------------------------------------------------------------------- */

/* A register tile over these spans: dims in order, the vector dim last and padded to whole vectors.
 */
static bool bind_registers(lowerer *l, const lower_frame *f, lower_binding *out, int *nest_buffer) {
  const lower_block *b = f->block;
  int rank = b->te->n_spatial, at = 0;
  lower_binding made = {.shape = {.rank = rank}, .layout = {.n = rank}};
  for (int k = 0; k < rank; k++) {
    if (f->span[k].left)
      return lower_fail(l, "schedule: B%d: the register tile's size is not static along axis %d",
                        b->index, k);
    int64_t size = f->span[k].size;
    made.shape.dim[k] = k == b->vector_axis ? neo_ceil_div(size, b->lanes) * b->lanes : size;
    made.base[k] = f->span[k].base;
    if (k != b->vector_axis)
      made.layout.dim[at++] = (neo_layout_dim){(int8_t)k, ' ', 0};
  }
  if (b->vector_axis >= 0)
    made.layout.dim[at++] = (neo_layout_dim){(int8_t)b->vector_axis, ' ', 0};
  int64_t elements = neo_layout_elements(&made.layout, &made.shape);
  if (elements / b->lanes > MAX_REG_GROUPS)
    return lower_fail(l, "schedule: B%d: a register tile of %lld vectors, %d at most", b->index,
                      (long long)(elements / b->lanes), MAX_REG_GROUPS);
  if (*nest_buffer < 0)
    *nest_buffer =
        lower_new_buffer(l, NEO_SCOPE_REG, l->te->buffer[b->te->buffer].dtype, elements, b->lanes);
  neo_nest_buffer *buffer = &l->nest->buffer[*nest_buffer];
  buffer->elements = neo_max_i64(buffer->elements, elements);
  made.buffer = *nest_buffer;
  *out = made;
  return l->status == NEO_OK;
}

static bool bind_local(lowerer *l, const lower_frame *f) {
  const lower_block *b = f->block;
  int te_buffer = b->te->buffer;
  lower_binding *binding = &l->binding[te_buffer];
  if (b->scope == NEO_SCOPE_REG)
    return bind_registers(l, f, binding, &l->local[te_buffer]);
  lower_binding made = {.shape = {.rank = b->te->n_spatial}};
  const neo_layout *layout = neo_schedule_layout(l->schedule, te_buffer);
  if (layout)
    made.layout = *layout;
  for (int k = 0; k < made.shape.rank; k++) {
    made.shape.dim[k] = f->span[k].size;
    made.base[k] = f->span[k].base;
  }
  if (!neo_layout_fits(&made.layout, &made.shape))
    return lower_fail(l, "schedule: lay b%d: the layout has less places than what B%d computes",
                      te_buffer, b->index);
  int64_t elements = neo_layout_elements(&made.layout, &made.shape) + lower_slack(l, te_buffer);
  if (l->local[te_buffer] < 0)
    l->local[te_buffer] =
        lower_new_buffer(l, b->scope, l->te->buffer[te_buffer].dtype, elements, 1);
  made.buffer = l->local[te_buffer];
  neo_nest_buffer *buffer = &l->nest->buffer[made.buffer];
  buffer->elements = neo_max_i64(buffer->elements, elements);
  *binding = made;
  return l->status == NEO_OK;
}

/* ---- attached blocks ---------------------------------------------------------------------------------------- */

/* The region that all work-items of a group read; readers see their own. */
static void widen(lowerer *l, const lower_frame *readers, int n, lower_frame *out) {
  lower_frame *wide = neo_arena_alloc(l->arena, (size_t)(n + 1) * sizeof(*wide));
  for (int i = 0; i < n; i++) {
    wide[i] = readers[i];
    memcpy(wide[i].span, wide[i].wide, sizeof(wide[i].span));
  }
  lower_region(l, out->block, wide, n, &wide[n]);
  memcpy(out->wide, wide[n].span, sizeof(out->wide));
  if (out->block->scope == NEO_SCOPE_SHARED)
    memcpy(out->span, out->wide, sizeof(out->span));
}

/* Does the block read what one of the consumer's SHARED blocks at this depth makes? */
static bool reads_shared(const lowerer *l, const lower_block *b) {
  for (int x = 0; x < b->index; x++) {
    const lower_block *made = &l->block[x];
    if (!made->inlined && made->consumer == b->consumer && made->depth == b->depth &&
        made->scope == NEO_SCOPE_SHARED && lower_reads(b->te, made->te->buffer))
      return true;
  }
  return false;
}

/* Work-items read what others have written only behind a barrier, and overwrite it only behind one.
 */
static bool emit_one_attached(lowerer *l, lower_frame *f, bool *open, lower_list *out) {
  bool shared = f->block->scope == NEO_SCOPE_SHARED;
  if (shared != *open || (shared && reads_shared(l, f->block)))
    lower_list_add(out, neo_nest_barrier(l->arena));
  *open = shared;
  return bind_local(l, f) && (shared ? lower_shared(l, f, out) : emit(l, f, 0, LOWER_MAIN, out));
}

static bool emit_attached(lowerer *l, lower_frame *f, int pos, lower_list *out) {
  int consumer = f->block->index, n = 0;
  bool direct[NEO_TE_MAX_BLOCKS] = {false};
  for (int x = 0; x < consumer; x++) {
    const lower_block *b = &l->block[x];
    direct[x] = !b->inlined && b->consumer == consumer && b->depth == pos;
    n += direct[x];
  }
  if (n == 0)
    return true;
  lower_frame *readers = neo_arena_alloc(l->arena, (size_t)(consumer + 1) * sizeof(*readers));
  lower_frame *frame_of[NEO_TE_MAX_BLOCKS] = {NULL};
  int n_readers = 0;
  readers[n_readers++] = *f;
  for (int x = consumer - 1; x >= 0; x--) {
    if (l->block[x].inlined || !lower_is_inside(l, x, consumer, pos))
      continue;
    if (!lower_region(l, &l->block[x], readers, n_readers, &readers[n_readers]))
      continue;
    if (l->grouped)
      widen(l, readers, n_readers, &readers[n_readers]);
    frame_of[x] = &readers[n_readers++];
  }
  bool open = false;
  for (int x = 0; x < consumer; x++)
    if (direct[x] && frame_of[x] && !emit_one_attached(l, frame_of[x], &open, out))
      return false;
  if (open)
    lower_list_add(out, neo_nest_barrier(l->arena));
  return true;
}

/* ---- accumulators --------------------------------------------------------------------------------------------- */

/* Without registers of its own, a reduction whose inner spatial loops are all unrolled gets some.
 */
static bool wants_accumulators(const lower_block *b) {
  if (b->consumer >= 0 && b->scope == NEO_SCOPE_REG)
    return false;
  for (int k = b->first_reduce; k < b->n_loops; k++)
    if (!b->loop[k].reduce && !b->loop[k].unroll && !b->loop[k].vector)
      return false;
  return true;
}

static bool emit_reduction(lowerer *l, lower_frame *f, int pos, lower_list *out) {
  lower_binding acc;
  const lower_block *b = f->block;
  if (wants_accumulators(b)) {
    if (!bind_registers(l, f, &acc, &l->accumulator[b->index]))
      return false;
    f->acc = &acc;
  }
  bool ok = emit(l, f, pos, LOWER_INIT, out) && emit_loops(l, f, pos, LOWER_MAIN, out) &&
            (!f->acc || emit(l, f, pos, LOWER_FLUSH, out));
  f->acc = NULL;
  return ok;
}

bool lower_bind_sum(lowerer *l, const lower_frame *f, lower_binding *out) {
  return bind_registers(l, f, out, &l->accumulator[f->block->index]);
}

bool lower_sum(lowerer *l, lower_frame *f, const lower_binding *sum, lower_list *out) {
  int pos = f->block->first_reduce;
  f->acc = sum;
  bool ok = emit(l, f, pos, LOWER_INIT, out) && emit_loops(l, f, pos, LOWER_MAIN, out);
  f->acc = NULL;
  return ok;
}

bool lower_flush(lowerer *l, lower_frame *f, const lower_binding *sum, lower_list *out) {
  f->acc = sum;
  bool ok = lower_store(l, f, LOWER_FLUSH, &scalar, out);
  f->acc = NULL;
  return ok;
}

/* ---- one loop --------------------------------------------------------------------------------------------------- */

typedef struct step {
  lower_frame *f;
  int pos;
  lower_pass pass;
  const lower_loop *loop;
  int64_t stride;
  const lower_lanes *group; /* of the tensorized loop around a vector loop; else NULL */
} step;

static const neo_expr *times(lowerer *l, const neo_expr *v, int64_t stride) {
  return neo_expr_binary(l->arena, NEO_EXPR_MUL, v, neo_expr_index(l->arena, stride));
}

static const neo_expr *plus(lowerer *l, const neo_expr *a, const neo_expr *b) {
  return neo_expr_binary(l->arena, NEO_EXPR_ADD, a, b);
}

static const neo_expr *minus(lowerer *l, const neo_expr *a, const neo_expr *b) {
  return neo_expr_binary(l->arena, NEO_EXPR_SUB, a, b);
}

/* The work-items' spans differ by what the hull is larger; a loop over work-items leaves the hull.
 */
static void narrow_hull(lowerer *l, const step *s, const neo_expr *base, int64_t size,
                        const lower_span *before) {
  const lower_grid *items = s->f->items;
  lower_span *wide = &s->f->wide[s->loop->axis];
  if (!l->grouped || (items && s->pos >= items->first && s->pos < items->first + items->n))
    return;
  wide->base = plus(l, wide->base, minus(l, base, before->base));
  wide->size += size - before->size;
}

/* What is inside, with the loop's axis narrowed to this span; into a new list. */
static bool emit_inside(lowerer *l, const step *s, const neo_expr *base, int64_t size,
                        const neo_expr *left, lower_list *out) {
  lower_span *span = &s->f->span[s->loop->axis], saved = *span;
  lower_span hull = s->f->wide[s->loop->axis];
  narrow_hull(l, s, base, size, &saved);
  *span = (lower_span){base, size, left, saved.left ? saved.total : saved.size};
  bool ok = true;
  if (s->loop->prefetch >= 0 && s->pass == LOWER_MAIN)
    ok = lower_prefetch(l, s->f, s->loop, out);
  ok = ok && emit(l, s->f, s->pos + 1, s->pass, out);
  *span = saved;
  s->f->wide[s->loop->axis] = hull;
  return ok;
}

/* if (cond) {span of size S} else {span of size rest}, the facts known inside. */
static bool emit_branch(lowerer *l, const step *s, const neo_expr *cond, const neo_expr *base,
                        int64_t rest, lower_list *out) {
  lower_list full, tail;
  lower_list_init(&full);
  lower_list_init(&tail);
  int mark = l->facts.n;
  neo_facts_assume(&l->facts, cond, true);
  bool ok = emit_inside(l, s, base, s->stride, NULL, &full);
  l->facts.n = mark;
  neo_facts_assume(&l->facts, cond, false);
  ok = ok && emit_inside(l, s, base, rest, NULL, &tail);
  l->facts.n = mark;
  if (ok && full.head)
    lower_list_add(out, neo_nest_if(l->arena, cond, full.head, tail.head));
  return ok;
}

/* What is inside iteration v of a loop with a dynamic or static rest. */
static bool emit_iteration(lowerer *l, const step *s, const neo_expr *v, lower_list *out) {
  const lower_span *span = &s->f->span[s->loop->axis];
  const neo_expr *at = times(l, v, s->stride);
  const neo_expr *base = plus(l, span->base, at);
  int64_t whole = span->left ? span->total : span->size, rest = whole % s->stride;
  const neo_expr *left = span->left ? span->left : neo_expr_index(l->arena, span->size);
  if (rest == 0)
    return emit_inside(l, s, base, s->stride, NULL, out);
  if (!s->loop->exact)
    return emit_inside(l, s, base, s->stride, minus(l, left, at), out);
  const neo_expr *cond;
  if (span->left)
    cond = neo_expr_binary(l->arena, NEO_EXPR_LE, plus(l, at, neo_expr_index(l->arena, s->stride)),
                           left);
  else
    cond =
        neo_expr_binary(l->arena, NEO_EXPR_LT, v, neo_expr_index(l->arena, span->size / s->stride));
  return emit_branch(l, s, cond, base, rest, out);
}

/* Does the body select by the value of this axis (transforms with one formula per position)? */
static bool selects_by(const neo_expr *e, int axis) {
  if (e->op == NEO_EXPR_EQ && e->arg[0]->op == NEO_EXPR_VAR && e->arg[0]->u.var == axis)
    return true;
  for (int i = 0; e->op != NEO_EXPR_LOAD && i < e->n_args; i++)
    if (selects_by(e->arg[i], axis))
      return true;
  return false;
}

/* One copy per iteration, the loop variable a constant: selects by it fold to one formula each. */
static bool emit_copies(lowerer *l, const step *s, int64_t n, int64_t peeled, lower_list *out) {
  const lower_span *span = &s->f->span[s->loop->axis];
  bool ok = true;
  for (int64_t k = 0; ok && k < n; k++) {
    const neo_expr *v = neo_expr_index(l->arena, k);
    if (peeled > 0)
      ok = emit_inside(l, s, plus(l, span->base, times(l, v, s->stride)), s->stride, NULL, out);
    else
      ok = emit_iteration(l, s, v, out);
  }
  return ok;
}

/* for v in extent { inside }; peeled > 0: the caller emits the tail, all iterations are full. */
static bool emit_for(lowerer *l, const step *s, const neo_expr *extent, int64_t most,
                     int64_t peeled, lower_list *out) {
  const lower_span *span = &s->f->span[s->loop->axis];
  int64_t constant;
  bool unrolled = s->loop->unroll && neo_expr_is_const(extent, &constant);
  if (unrolled && constant <= MAX_COPIES && selects_by(s->f->block->te->body, s->loop->axis))
    return emit_copies(l, s, constant, peeled, out);
  int var = lower_new_var(l, most);
  const neo_expr *v = neo_expr_var(l->arena, var);
  l->unrolled[var] = unrolled;
  lower_list body;
  lower_list_init(&body);
  int mark = l->facts.n;
  neo_facts_assume_loop(&l->facts, var, extent);
  bool ok;
  if (peeled > 0)
    ok = emit_inside(l, s, plus(l, span->base, times(l, v, s->stride)), s->stride, NULL, &body);
  else
    ok = emit_iteration(l, s, v, &body);
  l->facts.n = mark;
  if (ok && body.head)
    lower_list_add(out, neo_nest_for(l->arena, var, extent, unrolled, body.head));
  return ok;
}

/* The first and the last iteration as copies of their own: their base is constant, and what is
 * between them stays away from the borders. A rest that does not divide is the last one. */
static bool emit_peeled(lowerer *l, const step *s, int64_t full, int64_t rest, lower_list *out) {
  lower_span *span = &s->f->span[s->loop->axis], saved = *span;
  const neo_expr *stride = neo_expr_index(l->arena, s->stride);
  const neo_expr *last =
      plus(l, saved.base, times(l, neo_expr_index(l->arena, full - 1), s->stride));
  int64_t between = full - (rest > 0 ? 1 : 2);
  if (!emit_inside(l, s, saved.base, s->stride, NULL, out))
    return false;
  span->base = plus(l, saved.base, stride);
  bool ok = between == 0   ? true
            : between == 1 ? emit_inside(l, s, span->base, s->stride, NULL, out)
                           : emit_for(l, s, neo_expr_index(l->arena, between), between, 1, out);
  *span = saved;
  if (ok && rest > 0)
    return emit_inside(l, s, plus(l, last, stride), rest, NULL, out);
  return ok && emit_inside(l, s, last, s->stride, NULL, out);
}

static bool emit_static_loop(lowerer *l, const step *s, lower_list *out) {
  lower_span span = s->f->span[s->loop->axis];
  int64_t full = span.size / s->stride, rest = span.size % s->stride;
  if (full + (rest > 0) == 1)
    return emit_inside(l, s, span.base, span.size, NULL, out);
  if (s->loop->peel && full > 1 && (rest == 0 || s->loop->exact || s->loop->unroll))
    return emit_peeled(l, s, full, rest, out);
  if (rest == 0)
    return emit_for(l, s, neo_expr_index(l->arena, full), full, 0, out);
  if (!s->loop->exact && !s->loop->unroll)
    return emit_for(l, s, neo_expr_index(l->arena, full + 1), full + 1, 0, out);
  const neo_expr *end = plus(l, span.base, neo_expr_index(l->arena, full * s->stride));
  if (full == 1) {
    if (!emit_inside(l, s, span.base, s->stride, NULL, out))
      return false;
  } else if (!emit_for(l, s, neo_expr_index(l->arena, full), full, rest, out)) {
    return false;
  }
  return emit_inside(l, s, end, rest, NULL, out);
}

/* Iterations that begin inside what is left: min(most, ceil(left / stride)). */
static bool emit_dynamic_loop(lowerer *l, const step *s, lower_list *out) {
  const lower_span *span = &s->f->span[s->loop->axis];
  int64_t most = neo_ceil_div(span->size, s->stride);
  if (most == 1)
    return emit_iteration(l, s, neo_expr_index(l->arena, 0), out);
  const neo_expr *up = plus(l, span->left, neo_expr_index(l->arena, s->stride - 1));
  const neo_expr *needed = neo_expr_floordiv(l->arena, up, s->stride, NULL, 0);
  const neo_expr *extent =
      neo_expr_binary(l->arena, NEO_EXPR_MIN, neo_expr_index(l->arena, most), needed);
  return emit_for(l, s, extent, most, 0, out);
}

static bool emit_vector(lowerer *l, const step *s, lower_list *out) {
  lower_span *span = &s->f->span[s->loop->axis], saved = *span;
  lower_lanes lanes = {.var = -1, .lanes = s->f->block->lanes, .active = (int)saved.size};
  if (s->group)
    lanes = (lower_lanes){-1,
                          lanes.lanes,
                          lanes.active,
                          s->group->tensor,
                          s->group->group_var,
                          s->group->group_active};
  if (saved.left || saved.size > lanes.lanes)
    return lower_fail(l, "schedule: B%d: the vector loop's size is not static", s->f->block->index);
  lanes.var = lower_new_var(l, lanes.active);
  span->base = plus(l, saved.base, neo_expr_var(l->arena, lanes.var));
  bool ok = lower_store(l, s->f, s->pass, &lanes, out);
  *span = saved;
  return ok;
}

/* A tensorized loop and the vector loop in it are one statement. */
static bool emit_tensor(lowerer *l, const step *s, lower_list *out) {
  const lower_block *b = s->f->block;
  lower_span *span = &s->f->span[s->loop->axis], saved = *span;
  lower_lanes lanes = {.var = -1, .lanes = 1, .active = 1, .tensor = s->loop->tensor};
  if (saved.left)
    return lower_fail(l, "schedule: B%d: the tensorized loop's size is not static", b->index);
  lanes.group_active = (int)saved.size;
  lanes.group_var = lower_new_var(l, saved.size);
  span->base = plus(l, saved.base, neo_expr_var(l->arena, lanes.group_var));
  bool ok;
  if (s->pos + 1 < b->n_loops) {
    step inner = {.f = s->f, .pos = s->pos + 1, .pass = s->pass, .loop = &b->loop[s->pos + 1]};
    inner.stride = 1;
    inner.group = &lanes;
    ok = emit_vector(l, &inner, out);
  } else {
    ok = lower_store(l, s->f, s->pass, &lanes, out);
  }
  *span = saved;
  return ok;
}

/* ---- the grid --------------------------------------------------------------------------------------------------------- */

/* Value of grid loop `pos`: its digit of the grid index. *out_var < 0: no variable is needed. */
static const neo_expr *grid_digit(lowerer *l, const step *s, lower_grid *grid, int *out_var,
                                  const neo_expr **out_value) {
  int64_t n = grid->extent[s->pos], below = 1, above = 1;
  for (int k = grid->first; k < s->pos; k++)
    above *= grid->extent[k];
  for (int k = s->pos + 1; k < grid->first + grid->n; k++)
    below *= grid->extent[k];
  *out_var = grid->digit[s->pos] = -1;
  if (n == 1)
    return neo_expr_index(l->arena, 0);
  const neo_expr *digit = neo_expr_var(l->arena, grid->var);
  grid->digit[s->pos] = grid->var;
  if (n == grid->total)
    return digit;
  digit = neo_expr_floordiv(l->arena, digit, below, NULL, 0);
  if (above > 1)
    digit = neo_expr_floormod(l->arena, digit, n, NULL, 0);
  *out_value = digit;
  *out_var = grid->digit[s->pos] = lower_new_var(l, n);
  return neo_expr_var(l->arena, *out_var);
}

static bool emit_grid_loop(lowerer *l, const step *s, lower_grid *grid, lower_list *out) {
  lower_span span = s->f->span[s->loop->axis];
  if (!span.left && grid->extent[s->pos] == 1)
    return emit_inside(l, s, span.base, span.size, NULL, out);
  int var, mark = l->facts.n;
  const neo_expr *value, *v = grid_digit(l, s, grid, &var, &value);
  lower_list body;
  lower_list_init(&body);
  const neo_expr *cond = NULL;
  if (span.left) {
    cond = neo_expr_binary(l->arena, NEO_EXPR_LT, times(l, v, s->stride), span.left);
    neo_facts_assume(&l->facts, cond, true);
  }
  bool ok = emit_iteration(l, s, v, &body);
  l->facts.n = mark;
  if (!ok || !body.head)
    return ok;
  neo_stmt *made = cond ? neo_nest_if(l->arena, cond, body.head, NULL) : body.head;
  lower_list_add(out, var >= 0 ? neo_nest_let(l->arena, var, value, made) : made);
  return true;
}

/* The innermost loop of a reduction whose parts are of several work-items: this one's. */
static bool emit_part(lowerer *l, const step *s, lower_list *out) {
  const lower_block *b = s->f->block;
  lower_span span = s->f->span[s->loop->axis];
  int64_t parts = b->axis[s->loop->axis].factor[s->loop->level];
  const neo_expr *v = neo_expr_var(l->arena, s->f->part), *cond = NULL;
  if (span.left || span.size < parts)
    cond = neo_expr_binary(l->arena, NEO_EXPR_LT, v,
                           span.left ? span.left : neo_expr_index(l->arena, span.size));
  lower_list body;
  lower_list_init(&body);
  int mark = l->facts.n;
  if (cond)
    neo_facts_assume(&l->facts, cond, true);
  bool ok = emit_inside(l, s, plus(l, span.base, v), 1, NULL, &body);
  l->facts.n = mark;
  if (ok && body.head)
    lower_list_add(out, cond ? neo_nest_if(l->arena, cond, body.head, NULL) : body.head);
  return ok;
}

/* ---- the walk -------------------------------------------------------------------------------------------------------- */

static bool emit_loop(lowerer *l, lower_frame *f, int pos, lower_pass pass, lower_list *out) {
  const lower_loop *loop = &f->block->loop[pos];
  step s = {f, pos, pass, loop, f->block->axis[loop->axis].stride[loop->level], NULL};
  if (pass != LOWER_MAIN && loop->reduce)
    return emit(l, f, pos + 1, pass, out);
  if (f->part > 0 && pos == f->block->n_loops - 1)
    return emit_part(l, &s, out);
  if (loop->matrix && pass == LOWER_MAIN)
    return lower_matrix(l, f, pos, out);
  if (loop->tensor)
    return emit_tensor(l, &s, out);
  if (loop->vector)
    return emit_vector(l, &s, out);
  if (f->grid && pos < f->block->parallel)
    return emit_grid_loop(l, &s, f->grid, out);
  if (f->items && pos < f->block->parallel + f->block->group)
    return emit_grid_loop(l, &s, f->items, out);
  return f->span[loop->axis].left ? emit_dynamic_loop(l, &s, out) : emit_static_loop(l, &s, out);
}

/* From loop `pos` inwards, without what comes before that loop. */
static bool emit_loops(lowerer *l, lower_frame *f, int pos, lower_pass pass, lower_list *out) {
  return pos == f->block->n_loops ? lower_store(l, f, pass, &scalar, out)
                                  : emit_loop(l, f, pos, pass, out);
}

/* The rest of a reduction's step, under the guards that decide whether it does anything. */
static bool emit_step(lowerer *l, lower_frame *f, int pos, const neo_expr *cond, lower_list *out) {
  int64_t known;
  if (neo_expr_is_const(cond, &known) && !known)
    return true;
  lower_list body;
  lower_list_init(&body);
  int mark = l->facts.n;
  neo_facts_assume(&l->facts, cond, true);
  bool ok = emit_attached(l, f, pos, &body) && emit_loops(l, f, pos, LOWER_MAIN, &body);
  l->facts.n = mark;
  if (ok && body.head)
    lower_list_add(out, neo_nest_if(l->arena, cond, body.head, NULL));
  return ok;
}

/* Everything from loop `pos` of the frame's block inwards. */
static bool emit(lowerer *l, lower_frame *f, int pos, lower_pass pass, lower_list *out) {
  const lower_block *b = f->block;
  if (l->status != NEO_OK)
    return false;
  if (pass != LOWER_MAIN)
    return emit_loops(l, f, pos, pass, out);
  if (b->te->n_reduce > 0 && pos > b->first_reduce) {
    const neo_expr *cond = lower_step_condition(l, f);
    if (cond)
      return emit_step(l, f, pos, cond, out);
  }
  if (!emit_attached(l, f, pos, out))
    return false;
  if (f->items && b->items > 1 && pos == b->parallel)
    return lower_shared(l, f, out);
  if (pos == b->first_reduce && b->te->n_reduce > 0)
    return emit_reduction(l, f, pos, out);
  return emit_loops(l, f, pos, pass, out);
}

/* ---- launches -------------------------------------------------------------------------------------------------------- */

/* Iterations of each grid loop: sizes of spans only shrink to the stride of the loop outside. */
static void measure_grid(const lower_block *b, lower_grid *grid, lower_grid *items) {
  int64_t bound[NEO_TE_MAX_AXES];
  for (int a = 0; a < b->n_axes; a++)
    bound[a] = b->te->extent[a];
  *grid = (lower_grid){.n = b->parallel, .total = 1};
  *items = (lower_grid){.first = b->parallel, .n = b->group, .total = 1};
  for (int k = 0; k < b->parallel + b->group; k++) {
    int axis = b->loop[k].axis;
    lower_grid *into = k < b->parallel ? grid : items;
    int64_t stride = b->axis[axis].stride[b->loop[k].level];
    into->extent[k] = neo_ceil_div(bound[axis], stride);
    bound[axis] = neo_min_i64(bound[axis], stride);
    into->total *= into->extent[k];
  }
  items->total = neo_max_i64(items->total, b->items);
}

bool lower_root(lowerer *l, const lower_block *b) {
  neo_nest *nest = l->nest;
  if (nest->n_launches == NEO_NEST_MAX_LAUNCHES)
    return lower_fail(l, "schedule: more than %d launches", NEO_NEST_MAX_LAUNCHES);
  lower_grid grid, items;
  measure_grid(b, &grid, &items);
  if (items.total > NEO_NEST_MAX_GROUP)
    return lower_fail(l, "schedule: group B%d: %lld work-items, %d at most", b->index,
                      (long long)items.total, NEO_NEST_MAX_GROUP);
  neo_launch *launch = &nest->launch[nest->n_launches++];
  launch->grid = grid.total;
  launch->var = grid.var = lower_new_var(l, grid.total);
  launch->lanes = (int)items.total;
  launch->lane_var = items.var = items.total > 1 ? lower_new_var(l, items.total) : -1;
  l->items = &items;
  lower_frame *f = neo_arena_alloc(l->arena, sizeof(*f));
  f->block = b;
  f->grid = &grid;
  f->items = &items;
  for (int a = 0; a < b->n_axes; a++)
    f->span[a] = f->wide[a] = (lower_span){neo_expr_index(l->arena, 0), b->te->extent[a], NULL, 0};
  lower_list body;
  lower_list_init(&body);
  l->facts.n = 0;
  bool ok = emit(l, f, 0, LOWER_MAIN, &body);
  launch->body = body.head;
  return ok;
}
