/* Instructions -> one plan per block: loops in order, their marks, where the block is computed.
 *
 * Why: everything that can be wrong with a line is said here, naming the instruction, so that
 * emission can trust the plan. How: defaults first (each axis one level, axes in order, a root),
 * then the instructions in order, then the checks and what follows from them: loops that register
 * tiles need unrolled, and the loops at which a tail must be split off so that everything inside
 * has static sizes. */
#include "schedule/intrinsic.h"
#include "schedule/lower.h"
#include "schedule/matrix.h"

#include <string.h>

static bool instr_fail(lowerer *l, int i, const char *what) {
  neo_schedule *one = neo_alloc(l->ctx, sizeof(*one));
  neo_buf text = {0};
  if (one) {
    one->n = 1;
    one->instr[0] = l->schedule->instr[i];
    neo_schedule_print(&text, one);
  }
  lower_fail(l, "schedule: instruction %d (%s): %s", i, text.data ? text.data : "?", what);
  neo_buf_fini(&text);
  neo_free(l->ctx, one);
  return false;
}

/* ---- defaults --------------------------------------------------------------------------------------- */

static void default_axis(lower_block *b, int a) {
  b->axis[a].n_levels = 1;
  b->axis[a].stride[0] = 1;
}

static void default_block(lowerer *l, int k) {
  lower_block *b = &l->block[k];
  b->index = k;
  b->te = &l->te->block[k];
  b->n_axes = b->te->n_spatial + b->te->n_reduce;
  b->lanes = 1;
  b->vector_axis = b->consumer = -1;
  for (int a = 0; a < b->n_axes; a++)
    default_axis(b, a);
}

static lower_loop make_loop(const lower_block *b, int axis, int level) {
  lower_loop loop = {.axis = (int8_t)axis, .level = (int8_t)level, .prefetch = -1};
  loop.reduce = axis >= b->te->n_spatial;
  return loop;
}

static bool default_order(lowerer *l, lower_block *b) {
  if (b->n_loops > 0)
    return true;
  for (int a = 0; a < b->n_axes; a++)
    for (int j = 0; j < b->axis[a].n_levels; j++) {
      if (b->n_loops == LOWER_MAX_LOOPS)
        return lower_fail(l, "schedule: B%d has more than %d loops", b->index, LOWER_MAX_LOOPS);
      b->loop[b->n_loops++] = make_loop(b, a, j);
    }
  return true;
}

/* ---- instructions ------------------------------------------------------------------------------------- */

static bool apply_split(lowerer *l, int i, lower_block *b) {
  const neo_instr *instr = &l->schedule->instr[i];
  if (instr->axis >= b->n_axes)
    return instr_fail(l, i, "no such axis");
  lower_axis *axis = &b->axis[instr->axis];
  if (axis->n_levels != 1 || b->n_loops > 0)
    return instr_fail(l, i, "axis is already split or ordered");
  axis->n_levels = instr->n_args + 1;
  int64_t stride = 1;
  for (int j = instr->n_args; j >= 0; j--) {
    axis->stride[j] = stride;
    axis->factor[j] = j > 0 ? instr->arg[j - 1] : 0;
    if (j > 0 && stride > ((int64_t)1 << 40) / axis->factor[j])
      return instr_fail(l, i, "factors are too big");
    stride *= j > 0 ? axis->factor[j] : 1;
  }
  return true;
}

static bool apply_order(lowerer *l, int i, lower_block *b) {
  const neo_instr *instr = &l->schedule->instr[i];
  int next[NEO_TE_MAX_AXES] = {0}, expected = 0;
  if (b->n_loops > 0)
    return instr_fail(l, i, "the block is already ordered");
  for (int k = 0; k < instr->n_args; k++) {
    int axis = instr->arg[k] / 16, level = instr->arg[k] % 16;
    if (axis >= b->n_axes || level != next[axis] || level >= b->axis[axis].n_levels)
      return instr_fail(l, i, "a loop is missing, repeated or out of level order");
    next[axis]++;
    b->loop[b->n_loops++] = make_loop(b, axis, level);
  }
  for (int a = 0; a < b->n_axes; a++)
    expected += b->axis[a].n_levels;
  return b->n_loops == expected || instr_fail(l, i, "not every loop of the block is named");
}

static lower_loop *find_loop(lower_block *b, int axis, int level) {
  for (int k = 0; k < b->n_loops; k++)
    if (b->loop[k].axis == axis && b->loop[k].level == level)
      return &b->loop[k];
  return NULL;
}

static bool apply_vector(lowerer *l, int i, lower_block *b) {
  const neo_instr *instr = &l->schedule->instr[i];
  lower_loop *loop = find_loop(b, instr->axis, instr->level);
  if (!loop || loop != &b->loop[b->n_loops - 1] || loop->reduce)
    return instr_fail(l, i, "not the innermost, spatial loop of the block");
  if (instr->level != b->axis[instr->axis].n_levels - 1 || (instr->level == 0 && b->consumer >= 0))
    return instr_fail(l, i, "not the last level of its axis");
  int64_t extent =
      instr->level > 0 ? b->axis[instr->axis].factor[instr->level] : b->te->extent[instr->axis];
  if (extent > NEO_NEST_MAX_LANES)
    return instr_fail(l, i, "more lanes than vectors can have");
  if (extent == 1)
    return true;
  loop->vector = true;
  b->lanes = (int)extent;
  b->vector_axis = instr->axis;
  return true;
}

/* The loop and the unrolled ones in it become a matrix instruction: what of that the block alone
 * decides; the rest is said by lower_matrix.c. */
static bool apply_matrix(lowerer *l, int i, lower_block *b, int row) {
  const neo_instr *instr = &l->schedule->instr[i];
  const neo_matrix *m = neo_matrix_get(row);
  lower_loop *loop = find_loop(b, instr->axis, instr->level);
  const neo_expr *x, *y;
  if (!loop || !loop->reduce || b->tensor || b->matrix ||
      instr->level != b->axis[instr->axis].n_levels - 1)
    return instr_fail(l, i, "not the last level of a reduce axis");
  int64_t extent =
      instr->level > 0 ? b->axis[instr->axis].factor[instr->level] : b->te->extent[instr->axis];
  if (extent != m->k)
    return instr_fail(l, i, "the loop's extent is not the k of the matrix row");
  if (!neo_matrix_factors(b->te, &x, &y) || b->te->body->dtype != m->acc ||
      !((x->dtype == m->a && y->dtype == m->b) || (x->dtype == m->b && y->dtype == m->a)))
    return instr_fail(l, i, "the block does not sum such products");
  if (l->target && strcmp(l->target->gpu.api, "cuda") == 0 && !neo_matrix_native(row, l->target))
    return instr_fail(l, i, "the target's architecture has no such instruction");
  b->matrix = loop->matrix = (int8_t)(row + 1);
  return true;
}

static bool apply_tensorize(lowerer *l, int i, lower_block *b) {
  const neo_instr *instr = &l->schedule->instr[i];
  lower_loop *loop = find_loop(b, instr->axis, instr->level);
  int row = neo_intrinsic_find(instr->name);
  const neo_expr *x, *y;
  if (row < 0 && neo_matrix_find(instr->name) >= 0)
    return apply_matrix(l, i, b, neo_matrix_find(instr->name));
  if (row < 0)
    return instr_fail(l, i, "no such intrinsic or matrix row");
  if (!loop || !loop->reduce || b->tensor || b->matrix || instr->level < 1 ||
      instr->level != b->axis[instr->axis].n_levels - 1)
    return instr_fail(l, i, "not the last of several levels of a reduce axis");
  if (b->axis[instr->axis].factor[instr->level] != neo_intrinsic_get(row)->group)
    return instr_fail(l, i, "the loop's extent is not the group of the intrinsic");
  if (!neo_intrinsic_match(row, b->te, &x, &y))
    return instr_fail(l, i, "the block does not sum such products");
  b->tensor = loop->tensor = (int8_t)(row + 1);
  loop->unroll = true;
  return true;
}

static bool apply_at(lowerer *l, int i, lower_block *b) {
  const neo_instr *instr = &l->schedule->instr[i];
  int consumer = instr->arg[0];
  if (consumer >= l->te->n_blocks || consumer <= b->index)
    return instr_fail(l, i, "the consumer is not a later block");
  if (l->te->buffer[b->te->buffer].role != NEO_TE_TMP || b->consumer >= 0)
    return instr_fail(l, i, "the block writes no tmp or is already attached");
  b->consumer = consumer;
  b->depth = instr->arg[1];
  b->scope = (neo_scope)instr->arg[2];
  return true;
}

static bool apply_prefetch(lowerer *l, int i, lower_block *b) {
  const neo_instr *instr = &l->schedule->instr[i];
  lower_loop *loop = find_loop(b, instr->axis, instr->level);
  if (!loop || instr->buffer >= l->te->n_buffers || loop->vector)
    return instr_fail(l, i, "no such loop or buffer");
  loop->prefetch = instr->buffer;
  loop->ahead = instr->arg[0];
  return true;
}

static bool apply_block(lowerer *l, int i, lower_block *b) {
  const neo_instr *instr = &l->schedule->instr[i];
  lower_loop *loop;
  switch (instr->kind) {
  case NEO_INSTR_SPLIT:
    return apply_split(l, i, b);
  case NEO_INSTR_ORDER:
    return apply_order(l, i, b);
  case NEO_INSTR_VECTOR:
    return apply_vector(l, i, b);
  case NEO_INSTR_AT:
    return apply_at(l, i, b);
  case NEO_INSTR_PREFETCH:
    return apply_prefetch(l, i, b);
  case NEO_INSTR_TENSORIZE:
    return apply_tensorize(l, i, b);
  case NEO_INSTR_INLINE:
    b->inlined = true;
    return true;
  case NEO_INSTR_UNROLL:
    loop = find_loop(b, instr->axis, instr->level);
    if (!loop)
      return instr_fail(l, i, "no such loop");
    loop->unroll = true;
    return true;
  case NEO_INSTR_PEEL:
    loop = find_loop(b, instr->axis, instr->level);
    if (!loop || loop->reduce)
      return instr_fail(l, i, "no such spatial loop");
    loop->peel = true;
    return true;
  case NEO_INSTR_PARALLEL:
    if (instr->arg[0] > b->n_loops)
      return instr_fail(l, i, "more loops than the block has");
    b->parallel = instr->arg[0];
    return true;
  case NEO_INSTR_GROUP:
    if (instr->arg[0] > b->n_loops)
      return instr_fail(l, i, "more loops than the block has");
    b->group = instr->arg[0];
    b->items = instr->n_args > 1 ? instr->arg[1] : 0;
    l->grouped = true;
    return (b->group == 0) == (b->items > 1) ||
           instr_fail(l, i, "either loops of the group, or how many work-items");
  default:
    return instr_fail(l, i, "not supported by the lowering");
  }
}

/* Of an attached block only a region is in memory: its size is known when that is emitted. */
static bool is_local(const lowerer *l, int te_buffer) {
  for (int k = 0; k < l->te->n_blocks; k++)
    if (l->te->block[k].buffer == te_buffer && l->block[k].consumer >= 0)
      return true;
  return false;
}

static bool apply_layout(lowerer *l, int i) {
  const neo_instr *instr = &l->schedule->instr[i];
  if (instr->buffer >= l->te->n_buffers)
    return instr_fail(l, i, "no such buffer");
  const neo_te_buffer *buffer = &l->te->buffer[instr->buffer];
  if ((instr->kind == NEO_INSTR_PACK) != (buffer->role == NEO_TE_CONST))
    return instr_fail(l, i, "pack is for constants, lay for all other buffers");
  int rank = 0;
  for (int k = 0; k < instr->layout.n; k++)
    rank = instr->layout.dim[k].dim >= rank ? instr->layout.dim[k].dim + 1 : rank;
  if (rank != buffer->shape.rank)
    return instr_fail(l, i, "the layout has another rank than the buffer");
  return is_local(l, instr->buffer) || neo_layout_fits(&instr->layout, &buffer->shape) ||
         instr_fail(l, i, "the layout has less places than the buffer");
}

static bool apply(lowerer *l, int i) {
  const neo_instr *instr = &l->schedule->instr[i];
  switch (instr->kind) {
  case NEO_INSTR_ALG:
    return i == 0 || instr_fail(l, i, "alg is not first");
  case NEO_INSTR_LAY:
  case NEO_INSTR_PACK:
    return apply_layout(l, i);
  case NEO_INSTR_CHOOSE:
    return instr_fail(l, i, "choose is for workloads without a te");
  default:
    if (instr->block < 0 || instr->block >= l->te->n_blocks)
      return instr_fail(l, i, "no such block");
    return apply_block(l, i, &l->block[instr->block]);
  }
}

/* ---- checks -------------------------------------------------------------------------------------------- */

bool lower_is_inside(const lowerer *l, int block, int consumer, int depth) {
  for (int k = block; l->block[k].consumer >= 0; k = l->block[k].consumer)
    if (l->block[k].consumer == consumer)
      return l->block[k].depth >= depth;
  return false;
}

typedef struct read_query {
  int buffer;
  bool found;
} read_query;

static void note_read(void *self, const neo_expr *load) {
  read_query *query = self;
  query->found = query->found || load->u.load.buffer == query->buffer;
}

bool lower_reads(const neo_te_block *block, int buffer) {
  read_query query = {buffer, false};
  neo_expr_visit_loads(block->body, note_read, &query);
  return query.found;
}

int64_t lower_slack(const lowerer *l, int te_buffer) {
  int64_t most = 0;
  for (int k = 0; k < l->te->n_blocks; k++) {
    const lower_block *b = &l->block[k];
    if (!b->inlined && b->tensor && lower_reads(b->te, te_buffer))
      most = neo_max_i64(most, neo_intrinsic_get(b->tensor - 1)->group - 1);
  }
  return l->te->buffer[te_buffer].role == NEO_TE_TMP ? most : 0;
}

/* A reduction that work-items compute together: its innermost loop is theirs. */
static bool check_parts(lowerer *l, const lower_block *b) {
  if (b->te->n_reduce == 0)
    return true;
  const lower_loop *last = &b->loop[b->n_loops - 1];
  int64_t parts = last->level > 0 ? b->axis[last->axis].factor[last->level] : 0;
  bool inner = last->reduce && last->level == b->axis[last->axis].n_levels - 1 && !last->unroll;
  for (int k = b->first_reduce; k < b->n_loops; k++)
    inner = inner && b->loop[k].reduce;
  if (!inner || b->lanes > 1 || b->tensor || b->matrix || parts < 2 || (parts & (parts - 1)))
    return lower_fail(l,
                      "schedule: B%d: a reduction that work-items share has a power of two of them "
                      "for its innermost loop, and none but reduce loops around that",
                      b->index);
  return true;
}

/* What all work-items compute together must be the same region for all of them. */
static bool check_shared(lowerer *l, const lower_block *b) {
  const lower_block *c = &l->block[b->consumer];
  if (!check_parts(l, b))
    return false;
  for (int k = c->consumer < 0 ? c->parallel + c->group : 0; k < b->depth; k++)
    if (!c->loop[k].reduce)
      return lower_fail(l, "schedule: at B%d: shared inside a loop of one work-item of B%d",
                        b->index, c->index);
  const lower_block *root = c->consumer >= 0 ? &l->block[c->consumer] : c;
  if (root->consumer >= 0 || (c != root && c->depth != root->parallel + root->group))
    return lower_fail(l, "schedule: at B%d: B%d is inside a loop of one work-item", b->index,
                      c->index);
  return root->group > 0 || root->items > 1 ||
         lower_fail(l, "schedule: at B%d: shared, but B%d has no group", b->index, root->index);
}

static bool check_attached(lowerer *l, const lower_block *b) {
  const lower_block *c = &l->block[b->consumer];
  if (c->inlined || b->depth > c->n_loops || b->depth < c->parallel + c->group)
    return lower_fail(l, "schedule: at B%d: depth %d does not fit B%d", b->index, b->depth,
                      c->index);
  if (b->parallel + b->group > 0)
    return lower_fail(l, "schedule: parallel B%d: the block is attached", b->index);
  if (b->scope == NEO_SCOPE_SHARED && !check_shared(l, b))
    return false;
  bool in_turn = c->items > 1 || (c->consumer >= 0 && c->scope == NEO_SCOPE_SHARED);
  if (in_turn && (b->scope != NEO_SCOPE_SHARED || c->items <= 1 || b->depth != c->parallel))
    return lower_fail(l, "schedule: at B%d: B%d is computed by work-items in turn", b->index,
                      c->index);
  if (c->n_loops > 0 && b->depth == c->n_loops && c->lanes > 1)
    return lower_fail(l, "schedule: at B%d: inside the vector loop of B%d", b->index, c->index);
  for (int k = 0; k < l->te->n_blocks; k++)
    if (!l->block[k].inlined && k != c->index && lower_reads(l->block[k].te, b->te->buffer) &&
        !lower_is_inside(l, k, c->index, b->depth))
      return lower_fail(l, "schedule: at B%d: B%d also reads the buffer, outside of B%d", b->index,
                        k, c->index);
  return true;
}

/* Inside of the loop: its work-items' tile, nothing else. */
static bool check_matrix(lowerer *l, const lower_block *b) {
  int k = 0;
  while (!b->loop[k].matrix)
    k++;
  for (k++; k < b->n_loops; k++)
    if (b->loop[k].reduce || !(b->loop[k].unroll || b->loop[k].vector))
      return lower_fail(
          l, "schedule: tensorize B%d: a loop is inside that is none of a register tile", b->index);
  return true;
}

static bool check_block(lowerer *l, lower_block *b) {
  if (b->inlined)
    return b->consumer < 0 || lower_fail(l, "schedule: B%d is inlined and attached", b->index);
  b->first_reduce = b->n_loops;
  for (int k = b->n_loops - 1; k >= 0; k--)
    if (b->loop[k].reduce)
      b->first_reduce = k;
  int outer = b->parallel + b->group;
  if (b->items > 1 && !check_parts(l, b))
    return false;
  if (outer > b->first_reduce)
    return lower_fail(l, "schedule: parallel B%d: a reduce loop is among the outer %d", b->index,
                      outer);
  int innermost = b->n_loops - 1 - (b->n_loops > 0 && b->loop[b->n_loops - 1].vector);
  if (b->tensor && !b->loop[innermost].tensor)
    return lower_fail(l, "schedule: tensorize B%d: a loop is inside that is not the vector loop",
                      b->index);
  for (int k = 0; k < outer; k++) {
    if (b->loop[k].vector)
      return lower_fail(l, "schedule: parallel B%d: the vector loop is among the outer %d",
                        b->index, outer);
    b->loop[k].unroll = false;
  }
  return true;
}

/* ---- what follows ---------------------------------------------------------------------------------------- */

/* Integer division by a masked lane's zero would trap: such bodies stay scalar. */
static bool divides(const neo_expr *e) {
  bool integer = neo_dtype_class(e->dtype) != 'f';
  bool division = e->op == NEO_EXPR_DIV || e->op == NEO_EXPR_MOD || e->op == NEO_EXPR_FLOORDIV ||
                  e->op == NEO_EXPR_FLOORMOD;
  if (integer && division && e->arg[1]->op != NEO_EXPR_CONST)
    return true;
  for (int i = 0; i < e->n_args; i++)
    if (divides(e->arg[i]))
      return true;
  return false;
}

static void scalar_if_dividing(lower_block *b) {
  if (b->lanes == 1 || !divides(b->te->body))
    return;
  b->lanes = 1;
  b->vector_axis = -1;
  b->loop[b->n_loops - 1].vector = false;
}

typedef struct axis_query {
  int buffer;
  bool axis[NEO_TE_MAX_AXES];
} axis_query;

static void mark_axes(const neo_expr *e, bool *axis) {
  if (e->op == NEO_EXPR_VAR)
    axis[e->u.var] = true;
  for (int i = 0; i < e->n_args; i++)
    mark_axes(e->arg[i], axis);
}

static void note_axes(void *self, const neo_expr *load) {
  axis_query *query = self;
  if (load->u.load.buffer == query->buffer)
    for (int k = 0; k < load->n_args; k++)
      mark_axes(load->arg[k], query->axis);
}

/* Loops of `reader` from `from` on whose axes index the register buffer. */
static void unroll_reader(lower_block *reader, int from, int buffer) {
  axis_query query = {.buffer = buffer};
  neo_expr_visit_loads(reader->te->body, note_axes, &query);
  for (int k = from; k < reader->n_loops; k++)
    if (query.axis[reader->loop[k].axis] && !reader->loop[k].vector)
      reader->loop[k].unroll = true;
}

static void unroll_registers(lowerer *l, lower_block *b) {
  if (b->consumer < 0 || b->scope != NEO_SCOPE_REG)
    return;
  for (int k = 0; k < b->n_loops; k++)
    if (!b->loop[k].reduce && !b->loop[k].vector)
      b->loop[k].unroll = true;
  for (int k = 0; k < l->te->n_blocks; k++) {
    lower_block *reader = &l->block[k];
    if (k == b->consumer)
      unroll_reader(reader, b->depth, b->te->buffer);
    else if (!reader->inlined && lower_is_inside(l, k, b->consumer, b->depth))
      unroll_reader(reader, 0, b->te->buffer);
  }
}

static bool has_loop(const lower_block *b, int axis, int from, int to, bool serial_only) {
  for (int k = from; k < to; k++)
    if (b->loop[k].axis == axis && (!serial_only || !(b->loop[k].unroll || b->loop[k].vector)))
      return true;
  return false;
}

/* A loop is exact where no serial loop of its axis is deeper, or where it is the last of its axis
 * before another block is attached or the accumulators are set up: there sizes must be static. */
static void find_exact(lowerer *l, lower_block *b) {
  for (int k = 0; k < b->n_loops; k++) {
    int axis = b->loop[k].axis;
    b->loop[k].exact = !has_loop(b, axis, k + 1, b->n_loops, true);
    if (k < b->first_reduce && !has_loop(b, axis, k + 1, b->first_reduce, false))
      b->loop[k].exact = true;
    for (int x = 0; x < l->te->n_blocks; x++) {
      const lower_block *attached = &l->block[x];
      if (!attached->inlined && attached->consumer == b->index && k < attached->depth &&
          !has_loop(b, axis, k + 1, attached->depth, false))
        b->loop[k].exact = true;
    }
  }
}

/* Instructions that others build on come first, whatever their order in the line. */
enum { PHASE_SPLIT, PHASE_ORDER, PHASE_PLACE, PHASE_MARK, PHASES };

static int phase_of(neo_instr_kind kind) {
  switch (kind) {
  case NEO_INSTR_SPLIT:
    return PHASE_SPLIT;
  case NEO_INSTR_ORDER:
    return PHASE_ORDER;
  case NEO_INSTR_AT:
    return PHASE_PLACE;
  default:
    return PHASE_MARK;
  }
}

static bool apply_phase(lowerer *l, int phase) {
  for (int i = 0; i < l->schedule->n; i++)
    if (phase_of(l->schedule->instr[i].kind) == phase && !apply(l, i))
      return false;
  for (int k = 0; phase == PHASE_ORDER && k < l->te->n_blocks; k++)
    if (!default_order(l, &l->block[k]))
      return false;
  return true;
}

bool lower_plan(lowerer *l) {
  for (int k = 0; k < l->te->n_blocks; k++)
    default_block(l, k);
  for (int phase = 0; phase < PHASES; phase++)
    if (!apply_phase(l, phase))
      return false;
  for (int k = 0; k < l->te->n_blocks; k++)
    if (!check_block(l, &l->block[k]))
      return false;
  for (int k = 0; k < l->te->n_blocks; k++) {
    if (l->block[k].inlined)
      continue;
    if (l->block[k].consumer >= 0 && !check_attached(l, &l->block[k]))
      return false;
    scalar_if_dividing(&l->block[k]);
  }
  for (int k = 0; k < l->te->n_blocks; k++)
    if (!l->block[k].inlined)
      unroll_registers(l, &l->block[k]);
  for (int k = 0; k < l->te->n_blocks; k++)
    if (!l->block[k].inlined && l->block[k].matrix && !check_matrix(l, &l->block[k]))
      return false;
  for (int k = 0; k < l->te->n_blocks; k++)
    if (!l->block[k].inlined)
      find_exact(l, &l->block[k]);
  return true;
}
