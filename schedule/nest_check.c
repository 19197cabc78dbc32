/* Checks a nest: scopes, types, bounds.
 *
 * Why: every code generator trusts the nest; a bug of lowering must show here, not as a crash on a
 * board. How: one walk with the interval of each variable and the affine facts of enclosing
 * branches and loops (nest_range.c). Each expression node of a statement is visited once.
 *
 * Invariants checked: 1. variables are bound once and used inside their binding; 2. every load,
 * store and prefetch lies in its buffer for all variable values; 3. element types and lanes agree
 * with buffers; 4. REG offsets use variables of unrolled loops only and are multiples of the
 * buffer's lanes; 5. IN and CONST params are not stored to; 6. areas hold their buffers, and stack
 * buffers are small; 7. barriers and matrix instructions stand where all work-items come; 8. a
 * matrix instruction's operands are as schedule/matrix.h says.
 *
 * Not proven: that work-items do not race for elements of SHARED buffers between two barriers, nor
 * that they or groups write apart elsewhere. Lowering puts barriers around every shared block; the
 * interpreter, which sees every access, fails at the first race in SHARED memory, and tests run
 * candidates of all rules through it. */
#include "schedule/intrinsic.h"
#include "schedule/matrix.h"
#include "schedule/nest.h"
#include "schedule/nest_range.h"
#include "schedule/ptr_map.h"

#define MAX_STACK_BYTES 16384

enum { UNBOUND, BOUND, UNROLLED, CLOSED };

typedef struct checker {
  neo_ctx *ctx;
  const neo_nest *nest;
  neo_arena arena;
  neo_facts facts;
  neo_range *range;
  uint8_t *state; /* of each variable */
  bool *varies;   /* of each variable: may it differ between a group's work-items? */
  neo_arena items;
  const int64_t **of_item; /* of each variable: its value by work-item where it follows from that */
  int lanes;               /* of the launch at hand */
  int divergent;           /* statements around that not all work-items may run alike */
  int depth;
  neo_status status;
} checker;

static bool fail(checker *c, const char *what, int64_t value) {
  if (c->status == NEO_OK)
    c->status = neo_fail(c->ctx, NEO_BAD_INPUT, "nest: %s (%lld)", what, (long long)value);
  return false;
}

static bool check_offset(checker *c, int buffer, const neo_expr *offset, int lanes, int active) {
  const neo_nest_buffer *b = &c->nest->buffer[buffer];
  neo_range r;
  if (offset->dtype != NEO_I64 || offset->lanes != 1)
    return fail(c, "offset is not a scalar i64: buffer", buffer);
  if (active < 1 || active > lanes || lanes > NEO_NEST_MAX_LANES)
    return fail(c, "bad number of lanes", lanes);
  if (!neo_facts_range(&c->facts, offset, &r))
    return fail(c, "offset without bounds: buffer", buffer);
  if (r.lo > r.hi)
    return true; /* never reached */
  if (r.lo < 0)
    return fail(c, "access before the start of buffer", buffer);
  if (r.hi + (b->scope == NEO_SCOPE_REG ? lanes : active) > b->elements)
    return fail(c, "access past the end of buffer", buffer);
  return true;
}

/* Invariant 4. */
static bool check_reg(checker *c, int buffer, const neo_expr *offset, int lanes) {
  int step = c->nest->buffer[buffer].lanes;
  neo_affine a;
  if (lanes != step)
    return fail(c, "register access with other lanes than its buffer", buffer);
  if (!neo_expr_affine(offset, &a))
    return fail(c, "register offset is not affine: buffer", buffer);
  if (a.base % step != 0)
    return fail(c, "register offset is not a multiple of its lanes: buffer", buffer);
  for (int i = 0; i < a.n; i++) {
    if (c->state[a.var[i]] != UNROLLED)
      return fail(c, "register offset depends on a loop that is not unrolled: variable", a.var[i]);
    if (a.coef[i] % step != 0)
      return fail(c, "register offset is not a multiple of its lanes: buffer", buffer);
  }
  return true;
}

static bool check_access(checker *c, int buffer, neo_dtype dtype, const neo_expr *offset, int lanes,
                         int active) {
  if (buffer < 0 || buffer >= c->nest->n_buffers)
    return fail(c, "no such buffer", buffer);
  if (c->nest->buffer[buffer].dtype != dtype)
    return fail(c, "element type differs from that of buffer", buffer);
  if (!check_offset(c, buffer, offset, lanes, active))
    return false;
  return c->nest->buffer[buffer].scope != NEO_SCOPE_REG || check_reg(c, buffer, offset, lanes);
}

static bool check_var(checker *c, int var) {
  if (var < 0 || var >= c->nest->n_vars || (c->state[var] != BOUND && c->state[var] != UNROLLED))
    return fail(c, "variable used outside its binding", var);
  return true;
}

static bool check_expr(checker *c, neo_ptr_map *seen, const neo_expr *e) {
  bool first;
  neo_ptr_map_at(seen, e, &first);
  if (!first)
    return true;
  for (int i = 0; i < e->n_args; i++)
    if (!check_expr(c, seen, e->arg[i]))
      return false;
  if (e->lanes < 1 || e->lanes > NEO_NEST_MAX_LANES)
    return fail(c, "bad number of lanes", e->lanes);
  if (e->op == NEO_EXPR_INTRINSIC && !neo_intrinsic_check(e))
    return fail(c, "not as its row of intrinsics.def: intrinsic", e->u.row);
  if (e->op == NEO_EXPR_VAR)
    return check_var(c, e->u.var);
  if (e->op != NEO_EXPR_LOAD)
    return true;
  if (e->u.load.n_guards != 0 || e->n_args != 1)
    return fail(c, "load is not in nest form: buffer", e->u.load.buffer);
  return check_access(c, e->u.load.buffer, e->dtype, e->arg[0], e->lanes, e->active);
}

static bool check_value(checker *c, const neo_expr *e) {
  neo_arena_reset(&c->arena);
  neo_ptr_map seen = {.arena = &c->arena};
  return check_expr(c, &seen, e);
}

/* May the value differ between work-items? What is loaded may. */
static bool varies(const checker *c, const neo_expr *e) {
  if (e->op == NEO_EXPR_VAR)
    return c->varies[e->u.var];
  if (e->op == NEO_EXPR_LOAD)
    return c->lanes > 1;
  for (int i = 0; i < e->n_args; i++)
    if (varies(c, e->arg[i]))
      return true;
  return false;
}

/* Value of an integer expression for one work-item; false if more than its number decides. */
static bool item_value(const checker *c, const neo_expr *e, int item, int64_t *out) {
  neo_scalar args[3] = {{0}};
  if (e->op == NEO_EXPR_CONST || e->op == NEO_EXPR_VAR) {
    const int64_t *known = e->op == NEO_EXPR_VAR ? c->of_item[e->u.var] : NULL;
    *out = e->op == NEO_EXPR_CONST ? e->u.i : known ? known[item] : 0;
    return e->op == NEO_EXPR_CONST || known;
  }
  if (e->op == NEO_EXPR_LOAD || e->n_args > 3)
    return false;
  for (int i = 0; i < e->n_args; i++)
    if (neo_dtype_class(e->arg[i]->dtype) == 'f' || !item_value(c, e->arg[i], item, &args[i].i))
      return false;
  *out = neo_expr_apply(e, args).i;
  return true;
}

static void note_items(checker *c, int var, const neo_expr *value) {
  int64_t first;
  if (!c->varies[var] || !item_value(c, value, 0, &first))
    return;
  int64_t *of_item = neo_arena_alloc(&c->items, sizeof(*of_item) * (size_t)c->lanes);
  for (int i = 0; i < c->lanes; i++)
    item_value(c, value, i, &of_item[i]);
  c->of_item[var] = of_item;
}

static bool open_var(checker *c, int var, neo_range range, int state) {
  if (var < 0 || var >= c->nest->n_vars || c->state[var] != UNBOUND)
    return fail(c, "variable is bound twice or out of range", var);
  c->state[var] = (uint8_t)state;
  c->range[var] = range;
  return true;
}

static bool check_list(checker *c, const neo_stmt *list);

static bool check_for(checker *c, const neo_stmt *s) {
  const neo_expr *extent = s->u.loop.extent;
  int64_t constant;
  neo_range r;
  if (!check_value(c, extent) || extent->dtype != NEO_I64 ||
      !neo_facts_range(&c->facts, extent, &r))
    return fail(c, "loop extent has no bounds: variable", s->u.loop.var);
  if (s->u.loop.unrolled && !neo_expr_is_const(extent, &constant))
    return fail(c, "unrolled loop's extent is not constant: variable", s->u.loop.var);
  if (r.hi < 1)
    return fail(c, "loop never runs: variable", s->u.loop.var);
  int mark = c->facts.n;
  if (!open_var(c, s->u.loop.var, (neo_range){0, r.hi - 1}, s->u.loop.unrolled ? UNROLLED : BOUND))
    return false;
  neo_facts_assume_loop(&c->facts, s->u.loop.var, extent);
  bool apart = varies(c, extent);
  c->divergent += apart;
  c->varies[s->u.loop.var] = false;
  if (!check_list(c, s->u.loop.body))
    return false;
  c->divergent -= apart;
  c->facts.n = mark;
  c->state[s->u.loop.var] = CLOSED;
  return true;
}

static bool check_let(checker *c, const neo_stmt *s) {
  neo_range r;
  if (!check_value(c, s->u.let.value) || s->u.let.value->dtype != NEO_I64 ||
      s->u.let.value->lanes != 1 || !neo_facts_range(&c->facts, s->u.let.value, &r))
    return fail(c, "let without bounds: variable", s->u.let.var);
  int mark = c->facts.n;
  if (!open_var(c, s->u.let.var, r, BOUND))
    return false;
  neo_facts_assume_let(&c->facts, s->u.let.var, s->u.let.value);
  c->varies[s->u.let.var] = varies(c, s->u.let.value);
  note_items(c, s->u.let.var, s->u.let.value);
  if (!check_list(c, s->u.let.body))
    return false;
  c->facts.n = mark;
  c->state[s->u.let.var] = CLOSED;
  return true;
}

static bool check_if(checker *c, const neo_stmt *s) {
  const neo_expr *cond = s->u.branch.cond;
  int mark = c->facts.n;
  if (!check_value(c, cond))
    return false;
  if (cond->dtype != NEO_BOOL || cond->lanes != 1)
    return fail(c, "condition is not a scalar bool", cond->lanes);
  bool apart = varies(c, cond);
  c->divergent += apart;
  neo_facts_assume(&c->facts, cond, true);
  if (!check_list(c, s->u.branch.then))
    return false;
  c->facts.n = mark;
  neo_facts_assume(&c->facts, cond, false);
  if (!check_list(c, s->u.branch.otherwise))
    return false;
  c->divergent -= apart;
  c->facts.n = mark;
  return true;
}

static bool check_store(checker *c, const neo_stmt *s) {
  const neo_expr *value = s->u.store.value;
  int buffer = s->u.store.buffer;
  if (!check_value(c, s->u.store.offset) || !check_value(c, value) ||
      !check_access(c, buffer, value->dtype, s->u.store.offset, value->lanes, s->u.store.active))
    return false;
  const neo_nest_buffer *b = &c->nest->buffer[buffer];
  if (b->scope == NEO_SCOPE_PARAM && !b->writable)
    return fail(c, "store to a read-only param: buffer", buffer);
  if (b->scope == NEO_SCOPE_REG && s->u.store.active != value->lanes)
    return fail(c, "masked store to a register: buffer", buffer);
  return true;
}

/* ---- matrix instructions ------------------------------------------------------------------------------- */

#define MAX_STEP ((int64_t)1 << 32)

/* Its buffer's type, its steps, and that all of `count` places along each step are in the buffer.
 */
static bool check_place(checker *c, const neo_matrix_place *place, neo_dtype dtype,
                        const int *count) {
  neo_range r;
  int64_t last = 0;
  if (!check_value(c, place->offset) || place->offset->dtype != NEO_I64 ||
      place->offset->lanes != 1)
    return fail(c, "a matrix's offset is not a scalar i64: buffer", place->buffer);
  if (place->buffer < 0 || place->buffer >= c->nest->n_buffers ||
      c->nest->buffer[place->buffer].dtype != dtype)
    return fail(c, "a matrix's type is not the row's: buffer", place->buffer);
  for (int i = 0; i < NEO_COUNT(place->step); i++) {
    if (place->step[i] < 0 || place->step[i] > MAX_STEP)
      return fail(c, "a matrix's step out of range", place->step[i]);
    last += (count[i] - 1) * place->step[i];
  }
  if (!neo_facts_range(&c->facts, place->offset, &r))
    return fail(c, "offset without bounds: buffer", place->buffer);
  if (r.lo <= r.hi && (r.lo < 0 || r.hi >= c->nest->buffer[place->buffer].elements - last))
    return fail(c, "a matrix leaves its buffer", place->buffer);
  return true;
}

/* Registers at constants once loops are unrolled, each element once. */
static bool check_tile(checker *c, const neo_matrix_stmt *m) {
  neo_affine a;
  int64_t row = m->acc.step[0], column = m->acc.step[1];
  bool apart = (m->rows == 1 || row >= 1) && (m->columns == 1 || column >= 1) &&
               (m->rows == 1 || m->columns == 1 || row > (m->columns - 1) * column ||
                column > (m->rows - 1) * row);
  if (c->nest->buffer[m->acc.buffer].scope != NEO_SCOPE_REG || !neo_expr_affine(m->acc.offset, &a))
    return fail(c, "a matrix's sums are not in registers: buffer", m->acc.buffer);
  for (int i = 0; i < a.n; i++)
    if (c->state[a.var[i]] != UNROLLED)
      return fail(c, "register offset depends on a loop that is not unrolled: variable", a.var[i]);
  return apart || fail(c, "a matrix's sums overlap: buffer", m->acc.buffer);
}

static bool in_memory(const checker *c, int buffer) {
  neo_scope scope = c->nest->buffer[buffer].scope;
  return scope == NEO_SCOPE_PARAM || scope == NEO_SCOPE_WORK || scope == NEO_SCOPE_SHARED;
}

static bool check_matrix(checker *c, const neo_matrix_stmt *m) {
  if (m->row < 0 || m->row >= neo_matrix_count())
    return fail(c, "no such row of matrices.def", m->row);
  const neo_matrix *row = neo_matrix_get(m->row);
  int r = m->rows, n = m->columns, k = row->k;
  if (r < 1 || r > NEO_MATRIX_MAX_TILE || r % neo_matrix_rows(m->row) || n < 1 ||
      n > NEO_MATRIX_MAX_TILE || n % neo_matrix_columns(m->row))
    return fail(c, "rows and columns of a work-item are not those of the matrix row, rows", r);
  if (!check_place(c, &m->acc, row->acc, (const int[]){r, n, 1}) ||
      !check_place(c, &m->a, row->a, (const int[]){r, k, 1}) ||
      !check_place(c, &m->b, row->b, (const int[]){k, n, 1}) || !check_tile(c, m))
    return false;
  if (!in_memory(c, m->a.buffer) || !in_memory(c, m->b.buffer))
    return fail(c, "a matrix is where not all work-items can read it: buffer", m->a.buffer);
  if (c->divergent > 0)
    return fail(c, "matrix instruction that not all work-items reach, depth", c->depth);
  const char *uneven = neo_matrix_uneven(m, &(neo_matrix_scope){c->lanes, c->varies, c->of_item});
  return !uneven || fail(c, uneven, c->lanes % NEO_MATRIX_WARP ? c->lanes : m->a.buffer);
}

static bool check_stmt(checker *c, const neo_stmt *s) {
  switch (s->kind) {
  case NEO_STMT_FOR:
    return check_for(c, s);
  case NEO_STMT_LET:
    return check_let(c, s);
  case NEO_STMT_IF:
    return check_if(c, s);
  case NEO_STMT_STORE:
    return check_store(c, s);
  case NEO_STMT_PREFETCH:
    return check_value(c, s->u.prefetch.offset) &&
           check_offset(c, s->u.prefetch.buffer, s->u.prefetch.offset, 1, 1);
  case NEO_STMT_BARRIER:
    return c->divergent == 0 || fail(c, "barrier that not all work-items reach, depth", c->depth);
  case NEO_STMT_MATRIX:
    return check_matrix(c, s->u.matrix);
  }
  return fail(c, "unknown statement", s->kind);
}

static bool check_list(checker *c, const neo_stmt *list) {
  if (++c->depth > NEO_NEST_MAX_DEPTH + 1)
    return fail(c, "nested too deeply", c->depth);
  for (; list; list = list->next)
    if (!check_stmt(c, list))
      return false;
  c->depth--;
  return true;
}

static bool check_buffers(checker *c) {
  const neo_nest *nest = c->nest;
  int64_t stack = 0, shared = 0;
  for (int i = 0; i < nest->n_buffers; i++) {
    const neo_nest_buffer *b = &nest->buffer[i];
    int64_t bytes = b->elements * (int64_t)neo_dtype_size(b->dtype);
    int64_t area = b->scope == NEO_SCOPE_WORK ? nest->work_bytes : nest->scratch_bytes;
    bool in_area = b->scope == NEO_SCOPE_WORK || b->scope == NEO_SCOPE_SCRATCH;
    if ((b->scope == NEO_SCOPE_PARAM) != (i < nest->n_params))
      return fail(c, "params come first: buffer", i);
    if (b->elements < 1 || b->lanes < 1 || b->elements % b->lanes != 0)
      return fail(c, "buffer without elements or not a multiple of its lanes", i);
    if (in_area && (b->offset < 0 || b->offset % 64 != 0 || b->offset + bytes > area))
      return fail(c, "buffer outside its area", i);
    stack += b->scope == NEO_SCOPE_STACK ? bytes : 0;
    shared += b->scope == NEO_SCOPE_SHARED ? bytes : 0;
  }
  if (shared > NEO_NEST_MAX_SHARED)
    return fail(c, "shared buffers are too big, bytes", shared);
  return stack <= MAX_STACK_BYTES || fail(c, "stack buffers are too big, bytes", stack);
}

static bool check_launch(checker *c, const neo_launch *launch) {
  if (launch->grid < 1)
    return fail(c, "empty grid", launch->grid);
  if (launch->lanes < 1 || launch->lanes > NEO_NEST_MAX_GROUP)
    return fail(c, "work-items of a group out of range", launch->lanes);
  c->depth = c->facts.n = c->divergent = 0;
  c->lanes = launch->lanes;
  if (!open_var(c, launch->var, (neo_range){0, launch->grid - 1}, BOUND))
    return false;
  if (launch->lanes > 1) {
    if (!open_var(c, launch->lane_var, (neo_range){0, launch->lanes - 1}, BOUND))
      return false;
    c->varies[launch->lane_var] = true;
    int64_t *own = neo_arena_alloc(&c->items, sizeof(*own) * (size_t)c->lanes);
    for (int i = 0; i < c->lanes; i++)
      own[i] = i;
    c->of_item[launch->lane_var] = own;
  }
  if (!check_list(c, launch->body))
    return false;
  c->state[launch->var] = CLOSED;
  if (launch->lanes > 1)
    c->state[launch->lane_var] = CLOSED;
  return true;
}

neo_status neo_nest_check(neo_ctx *ctx, const neo_nest *nest) {
  checker *c = neo_alloc(ctx, sizeof(*c));
  if (!c)
    return neo_fail(ctx, NEO_NO_MEMORY, "nest: no memory to check");
  c->ctx = ctx;
  c->nest = nest;
  c->range = neo_alloc(ctx, (size_t)(nest->n_vars + 1) * sizeof(*c->range));
  c->state = neo_alloc(ctx, (size_t)nest->n_vars + 1);
  c->varies = neo_alloc(ctx, (size_t)nest->n_vars + 1);
  c->of_item = neo_alloc(ctx, (size_t)(nest->n_vars + 1) * sizeof(*c->of_item));
  neo_arena_init(&c->arena);
  neo_arena_init(&c->items);
  c->facts.range = c->range;
  c->facts.n_vars = nest->n_vars;
  if (!c->range || !c->state || !c->varies || !c->of_item)
    c->status = neo_fail(ctx, NEO_NO_MEMORY, "nest: no memory to check");
  bool ok = c->status == NEO_OK && check_buffers(c);
  for (int i = 0; ok && i < nest->n_launches; i++)
    ok = check_launch(c, &nest->launch[i]);
  neo_status status = c->status;
  neo_arena_fini(&c->arena);
  neo_arena_fini(&c->items);
  neo_free(ctx, c->of_item);
  neo_free(ctx, c->range);
  neo_free(ctx, c->state);
  neo_free(ctx, c->varies);
  neo_free(ctx, c);
  return status;
}
