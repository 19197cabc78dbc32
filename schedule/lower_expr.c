/* Bodies: te expressions -> nest expressions, and the stores of one element or vector.
 *
 * Why: here logical indices become flat offsets, guards become clamped offsets and selects, and a
 * vector loop becomes vector loads, broadcasts or gathers. How: an axis variable is the base of its
 * span, so an index is substituted and re-simplified with the known ranges, made relative to the
 * buffer's binding and laid out. Inside a vector loop with variable v an offset that does not use v
 * is a scalar load and a broadcast; off + v is a vector load; anything else, or a guard that varies
 * over the lanes, is a gather: the lanes are loaded one by one into a STACK row and the row is
 * loaded as a vector. A store whose offset is not off + v is spilled to a row and scattered
 * likewise.
 *
 * Invariants: 1. no load leaves its buffer, even where a select discards its value; 2. tails load
 * only active lanes, unless the buffer is known to extend past them (padded layouts). */
#include "schedule/intrinsic.h"
#include "schedule/lower.h"

typedef struct converter {
  lowerer *l;
  const lower_frame *f;
  const lower_lanes *lanes;
  lower_list *out; /* gathers go here, before the store */
  int rows;        /* gather rows used by this statement */
} converter;

static const neo_expr *convert(converter *c, const neo_expr *e);

/* ---- statements, variables, buffers ------------------------------------------------------------------- */

void lower_list_init(lower_list *list) {
  list->head = NULL;
  list->tail = &list->head;
}

void lower_list_add(lower_list *list, neo_stmt *stmt) {
  *list->tail = stmt;
  while (*list->tail)
    list->tail = &(*list->tail)->next;
}

int lower_new_var(lowerer *l, int64_t extent) {
  if (l->nest->n_vars == LOWER_MAX_VARS) {
    lower_fail(l, "schedule: more than %d loops in all", LOWER_MAX_VARS);
    return LOWER_MAX_VARS - 1;
  }
  l->range[l->nest->n_vars] = (neo_range){0, extent - 1};
  l->facts.n_vars = l->nest->n_vars + 1;
  return l->nest->n_vars++;
}

int lower_new_buffer(lowerer *l, neo_scope scope, neo_dtype dtype, int64_t elements, int lanes) {
  neo_nest *nest = l->nest;
  if (nest->n_buffers == NEO_NEST_MAX_BUFFERS) {
    lower_fail(l, "schedule: more than %d buffers", NEO_NEST_MAX_BUFFERS);
    return 0;
  }
  l->launch_of[nest->n_buffers] = nest->n_launches - 1;
  nest->buffer[nest->n_buffers] =
      (neo_nest_buffer){.scope = scope, .dtype = dtype, .elements = elements, .lanes = lanes};
  return nest->n_buffers++;
}

/* ---- indices ------------------------------------------------------------------------------------------------ */

static const neo_expr *convert_load_scalar(converter *c, const neo_expr *load);

/* An index with axes replaced, floordiv and floormod simplified by the known ranges. */
static const neo_expr *convert_index(converter *c, const neo_expr *e) {
  neo_arena *arena = c->l->arena;
  int64_t d;
  const neo_expr *arg[3];
  if (e->op == NEO_EXPR_CONST)
    return e;
  if (e->op == NEO_EXPR_VAR)
    return c->f->span[e->u.var].base;
  if (e->op == NEO_EXPR_LOAD)
    return convert_load_scalar(c, e);
  for (int i = 0; i < e->n_args && i < 3; i++)
    arg[i] = convert_index(c, e->arg[i]);
  if (e->op == NEO_EXPR_FLOORDIV && neo_expr_is_const(arg[1], &d) && d > 0)
    return neo_expr_floordiv(arena, arg[0], d, c->l->range, c->l->nest->n_vars);
  if (e->op == NEO_EXPR_FLOORMOD && neo_expr_is_const(arg[1], &d) && d > 0)
    return neo_expr_floormod(arena, arg[0], d, c->l->range, c->l->nest->n_vars);
  if (e->op == NEO_EXPR_CAST)
    return neo_expr_cast(arena, e->dtype, arg[0]);
  if (e->op == NEO_EXPR_SELECT)
    return neo_expr_select(arena, arg[0], arg[1], arg[2]);
  return e->n_args == 1 ? neo_expr_unary(arena, e->op, arg[0])
                        : neo_expr_binary(arena, e->op, arg[0], arg[1]);
}

static const neo_expr *flat_offset(converter *c, const lower_binding *binding,
                                   const neo_expr *const *index) {
  lowerer *l = c->l;
  const neo_expr *relative[NEO_MAX_RANK];
  for (int k = 0; k < binding->shape.rank; k++) {
    relative[k] = convert_index(c, index[k]);
    if (binding->base[k])
      relative[k] = neo_expr_binary(l->arena, NEO_EXPR_SUB, relative[k], binding->base[k]);
  }
  return neo_layout_offset(l->arena, &binding->layout, &binding->shape, relative, l->range,
                           l->nest->n_vars);
}

static const neo_expr *both(neo_arena *arena, const neo_expr *a, const neo_expr *b) {
  return a && b ? neo_expr_binary(arena, NEO_EXPR_AND, a, b) : a ? a : b;
}

static const neo_expr *unproven(converter *c, const neo_guard *g) {
  neo_arena *arena = c->l->arena;
  const neo_expr *index = convert_index(c, g->index), *low = NULL, *high = NULL;
  neo_range r;
  bool known = neo_facts_range(&c->l->facts, index, &r);
  if (!known || r.lo < g->lo)
    low = neo_expr_binary(arena, NEO_EXPR_LE, neo_expr_index(arena, g->lo), index);
  if (!known || r.hi >= g->hi)
    high = neo_expr_binary(arena, NEO_EXPR_LT, index, neo_expr_index(arena, g->hi));
  return both(arena, low, high);
}

/* The guards that the known ranges do not prove, as one condition; NULL if none is left. */
static const neo_expr *guard_condition(converter *c, const neo_expr *load) {
  const neo_expr *all = NULL;
  for (int i = 0; i < load->u.load.n_guards; i++)
    all = both(c->l->arena, all, unproven(c, &load->u.load.guard[i]));
  return all;
}

/* ---- loads ---------------------------------------------------------------------------------------------------- */

static const neo_expr *constant_of(neo_arena *arena, neo_dtype dtype, neo_scalar v) {
  return neo_dtype_class(dtype) == 'f' ? neo_expr_const_f(arena, dtype, v.f)
                                       : neo_expr_const_i(arena, dtype, v.i);
}

static const neo_expr *fill_of(neo_arena *arena, const neo_expr *load) {
  double fill = load->u.load.fill;
  if (neo_dtype_class(load->dtype) == 'f')
    return neo_expr_const_f(arena, load->dtype, fill);
  return neo_expr_cast(arena, load->dtype, neo_expr_const_f(arena, NEO_F64, fill));
}

static const lower_binding *bound(converter *c, int buffer) {
  const lower_binding *binding = &c->l->binding[buffer];
  if (binding->buffer < 0)
    lower_fail(c->l, "schedule: b%d is read before anything computes it", buffer);
  return binding;
}

const neo_expr *lower_guard(lowerer *l, const lower_frame *f, const neo_guard *guard) {
  static const lower_lanes scalar = {.var = -1, .lanes = 1, .active = 1};
  converter c = {.l = l, .f = f, .lanes = &scalar};
  return unproven(&c, guard);
}

bool lower_is_guarded(lowerer *l, const lower_frame *f, const neo_expr *load) {
  for (int i = 0; i < load->u.load.n_guards; i++)
    if (lower_guard(l, f, &load->u.load.guard[i]))
      return true;
  return false;
}

const neo_expr *lower_place(lowerer *l, const lower_frame *f, const lower_binding *binding,
                            const neo_expr *const *index) {
  static const lower_lanes scalar = {.var = -1, .lanes = 1, .active = 1};
  converter c = {.l = l, .f = f, .lanes = &scalar};
  return flat_offset(&c, binding, index);
}

/* Registers are read as they were written: whole groups, at offsets that unrolling makes constant.
 */
static bool fits_registers(const lowerer *l, int buffer, const neo_expr *offset, int lanes) {
  const neo_nest_buffer *b = &l->nest->buffer[buffer];
  neo_affine a;
  if (b->scope != NEO_SCOPE_REG)
    return true;
  if (b->lanes != lanes || !neo_expr_affine(offset, &a) || a.base % lanes != 0)
    return false;
  for (int i = 0; i < a.n; i++)
    if (a.coef[i] % lanes != 0 || !l->unrolled[a.var[i]])
      return false;
  return true;
}

/* Offset and value of a load of `lanes` elements; cond may be NULL. */
static const neo_expr *guarded(converter *c, const neo_expr *load, int buffer,
                               const neo_expr *offset, const neo_expr *cond, lower_lanes lanes) {
  neo_arena *arena = c->l->arena;
  if (cond)
    offset = neo_expr_select(arena, cond, offset, neo_expr_index(arena, 0));
  if (!fits_registers(c->l, buffer, offset, lanes.lanes))
    lower_fail(c->l, "schedule: B%d does not read b%d's registers as they are written",
               c->f->block->index, load->u.load.buffer);
  const neo_expr *value =
      neo_expr_load_vector(arena, load->dtype, buffer, offset, lanes.lanes, lanes.active);
  return cond ? neo_expr_select(arena, cond, value, fill_of(arena, load)) : value;
}

static const lower_lanes scalar_lanes = {.var = -1, .lanes = 1, .active = 1};

/* A STACK row that this statement does not use yet. */
static int take_row(converter *c, neo_dtype dtype) {
  lowerer *l = c->l;
  int ordinal = c->rows++;
  for (int i = 0; i < l->n_rows; i++)
    if (l->row[i].dtype == dtype && l->row[i].lanes == c->lanes->lanes &&
        l->row[i].ordinal == ordinal)
      return l->row[i].buffer;
  int made = lower_new_buffer(l, NEO_SCOPE_STACK, dtype, c->lanes->lanes, 1);
  if (l->n_rows < LOWER_MAX_ROWS)
    l->row[l->n_rows++] = (lower_row){dtype, c->lanes->lanes, ordinal, made};
  return made;
}

/* Into a STACK row, lane by lane; then the row as a vector. `value` is scalar and uses the vector
 * variable. */
static const neo_expr *gather(converter *c, const neo_expr *value) {
  lowerer *l = c->l;
  int lane = lower_new_var(l, c->lanes->active), vector = c->lanes->var;
  int row = take_row(c, value->dtype);
  const neo_expr **map = neo_arena_alloc(l->arena, (size_t)(vector + 1) * sizeof(*map));
  map[vector] = neo_expr_var(l->arena, lane);
  const neo_expr *one = neo_expr_substitute(l->arena, value, map, vector + 1);
  neo_stmt *store = neo_nest_store(l->arena, row, map[vector], one, 1);
  lower_list_add(c->out, neo_nest_for(l->arena, lane, neo_expr_index(l->arena, c->lanes->active),
                                      true, store));
  return neo_expr_load_vector(l->arena, value->dtype, row, neo_expr_index(l->arena, 0),
                              c->lanes->lanes, c->lanes->active);
}

static const neo_expr *convert_load_scalar(converter *c, const neo_expr *load) {
  const lower_binding *binding = bound(c, load->u.load.buffer);
  if (c->l->status != NEO_OK)
    return neo_expr_const_i(c->l->arena, load->dtype, 0);
  const neo_expr *offset = flat_offset(c, binding, load->arg);
  return guarded(c, load, binding->buffer, offset, guard_condition(c, load), scalar_lanes);
}

/* offset with the vector variable taken out, if it is that plus the variable; else NULL. */
static const neo_expr *contiguous(lowerer *l, const neo_expr *offset, int var) {
  const neo_expr *v = neo_expr_var(l->arena, var);
  const neo_expr *rest = neo_expr_binary(l->arena, NEO_EXPR_SUB, offset, v);
  return neo_expr_uses_var(rest, var) ? NULL : rest;
}

/* Lanes to load at this offset: all of them where memory is known to be there, else the active
 * ones. */
static lower_lanes lanes_at(converter *c, const lower_binding *binding, const neo_expr *offset) {
  lower_lanes lanes = *c->lanes;
  const neo_nest_buffer *b = &c->l->nest->buffer[binding->buffer];
  neo_range r;
  if (b->scope == NEO_SCOPE_REG)
    lanes.active = lanes.lanes;
  else if (lanes.active < lanes.lanes && neo_facts_range(&c->l->facts, offset, &r) &&
           r.hi + lanes.lanes <= b->elements && lanes.lanes <= b->elements)
    lanes.active = lanes.lanes;
  return lanes;
}

static const neo_expr *convert_load(converter *c, const neo_expr *load) {
  lowerer *l = c->l;
  const lower_binding *binding = bound(c, load->u.load.buffer);
  if (c->lanes->var < 0 || l->status != NEO_OK)
    return convert_load_scalar(c, load);
  int var = c->lanes->var;
  const neo_expr *offset = flat_offset(c, binding, load->arg);
  const neo_expr *cond = guard_condition(c, load);
  bool varies = cond && neo_expr_uses_var(cond, var);
  if (!varies && !neo_expr_uses_var(offset, var))
    return guarded(c, load, binding->buffer, offset, cond, scalar_lanes);
  const neo_expr *start = varies ? NULL : contiguous(l, offset, var);
  if (start)
    return guarded(c, load, binding->buffer, start, cond, lanes_at(c, binding, start));
  if (l->nest->buffer[binding->buffer].scope == NEO_SCOPE_REG) {
    lower_fail(l, "schedule: B%d reads register buffer b%d across lanes", c->f->block->index,
               load->u.load.buffer);
    return neo_expr_const_i(l->arena, load->dtype, 0);
  }
  return gather(c, guarded(c, load, binding->buffer, offset, cond, scalar_lanes));
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static const neo_expr *convert_var(converter *c, const neo_expr *e) {
  const neo_expr *value = c->f->span[e->u.var].base;
  if (c->lanes->var >= 0 && neo_expr_uses_var(value, c->lanes->var))
    return gather(c, value);
  return value;
}

static const neo_expr *convert(converter *c, const neo_expr *e) {
  neo_arena *arena = c->l->arena;
  const neo_expr *arg[3];
  switch (e->op) {
  case NEO_EXPR_CONST:
    return e;
  case NEO_EXPR_VAR:
    return convert_var(c, e);
  case NEO_EXPR_LOAD:
    return convert_load(c, e);
  case NEO_EXPR_INTRINSIC:
    lower_fail(c->l, "schedule: intrinsic in the body of B%d", c->f->block->index);
    return e;
  default:
    break;
  }
  for (int i = 0; i < e->n_args && i < 3; i++)
    arg[i] = convert(c, e->arg[i]);
  switch (e->op) {
  case NEO_EXPR_CAST:
    return neo_expr_cast(arena, e->dtype, arg[0]);
  case NEO_EXPR_BITCAST:
    return neo_expr_bitcast(arena, e->dtype, arg[0]);
  case NEO_EXPR_SELECT:
    return neo_expr_select(arena, arg[0], arg[1], arg[2]);
  case NEO_EXPR_FMA:
    return neo_expr_fma(arena, arg[0], arg[1], arg[2]);
  default:
    return e->n_args == 1 ? neo_expr_unary(arena, e->op, arg[0])
                          : neo_expr_binary(arena, e->op, arg[0], arg[1]);
  }
}

/* ---- dot products ---------------------------------------------------------------------------------------------- */

/* An operand of a tensorized statement: `lanes` elements of memory, whole groups. */
typedef struct operand {
  const neo_expr *value;
  bool zero; /* what a group lacks in a tail is 0 */
} operand;

/* Stored in blocks of whole groups, so that zeros follow the last element? */
static bool padded(const converter *c, const lower_binding *binding, int group) {
  if (binding->layout.n == 0)
    return false;
  const neo_layout_dim *last = &binding->layout.dim[binding->layout.n - 1];
  return last->part == '%' && last->factor % group == 0 &&
         c->l->nest->buffer[binding->buffer].constant;
}

static bool is_padded(converter *c, const neo_expr *load, int group) {
  const lower_binding *binding = bound(c, load->u.load.buffer);
  return c->l->status == NEO_OK && padded(c, binding, group);
}

/* `whole`: what a tail lacks is multiplied by 0 anyway, so it may be read where memory is there. */
static bool make_operand(converter *c, const neo_expr *load, int group, bool whole, operand *out) {
  lowerer *l = c->l;
  const lower_binding *binding = bound(c, load->u.load.buffer);
  if (l->status != NEO_OK)
    return false;
  const lower_lanes *at = c->lanes;
  const neo_expr *offset = flat_offset(c, binding, load->arg), *cond = guard_condition(c, load);
  const neo_expr *start = contiguous(l, offset, at->group_var);
  bool moves = at->var >= 0 && neo_expr_uses_var(offset, at->var);
  bool odd = cond && (neo_expr_uses_var(cond, at->group_var) ||
                      (at->var >= 0 && neo_expr_uses_var(cond, at->var)));
  for (int k = 0; start && moves && k < group; k++)
    start = neo_expr_binary(l->arena, NEO_EXPR_SUB, start, neo_expr_var(l->arena, at->var));
  if (!start || odd || (at->var >= 0 && neo_expr_uses_var(start, at->var)) ||
      l->nest->buffer[binding->buffer].scope == NEO_SCOPE_REG)
    return lower_fail(l, "schedule: tensorize B%d: b%d is not in groups of %d", c->f->block->index,
                      load->u.load.buffer, group);
  lower_lanes lanes = {.var = -1, .lanes = group, .active = at->group_active};
  neo_range r;
  if (moves) {
    lanes.lanes = group * at->lanes;
    lanes.active = group * (at->active - 1) + at->group_active;
  }
  if ((moves || whole) && neo_facts_range(&l->facts, start, &r) &&
      r.hi + lanes.lanes <= l->nest->buffer[binding->buffer].elements)
    lanes.active = lanes.lanes;
  out->value = guarded(c, load, binding->buffer, start, cond, lanes);
  out->zero = padded(c, binding, group) ||
              (!moves && lanes.active < group && (!cond || load->u.load.fill == 0));
  return l->status == NEO_OK;
}

/* acc + products of the group. In a tail the products of what is not there must be 0. */
static const neo_expr *tensor_value(converter *c, const neo_expr *acc) {
  int row = c->lanes->tensor - 1;
  const neo_intrinsic *r = neo_intrinsic_get(row);
  const neo_expr *a, *b;
  operand x, y;
  bool matches = neo_intrinsic_match(row, c->f->block->te, &a, &b);
  neo_assert(matches);
  bool is_float = neo_dtype_class(r->acc) == 'f';
  if (!make_operand(c, a, r->group, !is_float && is_padded(c, b, r->group), &x) ||
      !make_operand(c, b, r->group, !is_float && is_padded(c, a, r->group), &y))
    return acc;
  if (c->lanes->group_active < r->group && !(is_float ? x.zero && y.zero : x.zero || y.zero))
    lower_fail(c->l, "schedule: tensorize B%d: the last group is not padded", c->f->block->index);
  const neo_expr *arg[3] = {acc, x.value, y.value};
  return neo_expr_intrinsic(c->l->arena, row, r->acc, c->lanes->lanes, 3, arg);
}

/* ---- stores ------------------------------------------------------------------------------------------------------- */

const neo_expr *lower_combine(neo_arena *arena, neo_combine how, const neo_expr *acc,
                              const neo_expr *v) {
  switch (how) {
  case NEO_COMBINE_MUL:
    return neo_expr_binary(arena, NEO_EXPR_MUL, acc, v);
  case NEO_COMBINE_MAX:
    return neo_expr_binary(arena, NEO_EXPR_MAX, acc, v);
  case NEO_COMBINE_MIN:
    return neo_expr_binary(arena, NEO_EXPR_MIN, acc, v);
  default:
    break;
  }
  if (v->op == NEO_EXPR_MUL && neo_dtype_class(v->dtype) == 'f')
    return neo_expr_fma(arena, v->arg[0], v->arg[1], acc);
  return neo_expr_binary(arena, NEO_EXPR_ADD, acc, v);
}

/* Lane by lane from a STACK row to wherever the offsets point. */
static void scatter(converter *c, int buffer, const neo_expr *offset, const neo_expr *value) {
  lowerer *l = c->l;
  int vector = c->lanes->var;
  int row = take_row(c, value->dtype);
  lower_list_add(c->out,
                 neo_nest_store(l->arena, row, neo_expr_index(l->arena, 0), value, value->lanes));
  int lane = lower_new_var(l, c->lanes->active);
  const neo_expr **map = neo_arena_alloc(l->arena, (size_t)(vector + 1) * sizeof(*map));
  map[vector] = neo_expr_var(l->arena, lane);
  const neo_expr *one = neo_expr_load_vector(l->arena, value->dtype, row, map[vector], 1, 1);
  neo_stmt *store = neo_nest_store(l->arena, buffer,
                                   neo_expr_substitute(l->arena, offset, map, vector + 1), one, 1);
  lower_list_add(c->out, neo_nest_for(l->arena, lane, neo_expr_index(l->arena, c->lanes->active),
                                      true, store));
}

/* The value of the accumulator (or of the buffer that serves as one) at this offset. */
static const neo_expr *read_back(converter *c, const lower_binding *binding, const neo_expr *offset,
                                 neo_dtype dtype) {
  lowerer *l = c->l;
  if (c->lanes->var < 0)
    return neo_expr_load_vector(l->arena, dtype, binding->buffer, offset, 1, 1);
  const neo_expr *start = contiguous(l, offset, c->lanes->var);
  if (!start)
    return gather(c, neo_expr_load_vector(l->arena, dtype, binding->buffer, offset, 1, 1));
  lower_lanes lanes = lanes_at(c, binding, start);
  return neo_expr_load_vector(l->arena, dtype, binding->buffer, start, lanes.lanes, lanes.active);
}

static const neo_expr *element_value(converter *c, lower_pass pass, const lower_binding *target,
                                     const neo_expr *offset) {
  const neo_te_block *te = c->f->block->te;
  neo_arena *arena = c->l->arena;
  neo_dtype dtype = c->l->te->buffer[te->buffer].dtype;
  const neo_expr *index[NEO_TE_MAX_AXES];
  for (int a = 0; a < te->n_spatial; a++)
    index[a] = neo_expr_var(arena, a);
  if (pass == LOWER_INIT)
    return constant_of(arena, dtype, te->init);
  if (pass == LOWER_FLUSH)
    return read_back(c, c->f->acc, flat_offset(c, c->f->acc, index), dtype);
  if (c->lanes->tensor)
    return tensor_value(c, read_back(c, target, offset, dtype));
  const neo_expr *value = convert(c, te->body);
  if (te->n_reduce == 0 || c->l->status != NEO_OK)
    return value;
  return lower_combine(arena, te->combine, read_back(c, target, offset, dtype), value);
}

bool lower_store(lowerer *l, const lower_frame *f, lower_pass pass, const lower_lanes *lanes,
                 lower_list *out) {
  const neo_te_block *te = f->block->te;
  converter c = {.l = l, .f = f, .lanes = lanes, .out = out};
  const lower_binding *target = f->acc && pass != LOWER_FLUSH ? f->acc : &l->binding[te->buffer];
  const neo_expr *offset = flat_offset(&c, target, te->write);
  const neo_expr *value = element_value(&c, pass, target, offset);
  if (l->status != NEO_OK)
    return false;
  if (lanes->var < 0) {
    if (!fits_registers(l, target->buffer, offset, 1))
      return lower_fail(l, "schedule: B%d's registers are not addressed by constants",
                        f->block->index);
    lower_list_add(out, neo_nest_store(l->arena, target->buffer, offset, value, 1));
    return true;
  }
  value = neo_expr_broadcast(l->arena, value, lanes->lanes);
  const neo_expr *start = contiguous(l, offset, lanes->var);
  bool reg = l->nest->buffer[target->buffer].scope == NEO_SCOPE_REG;
  if (start && !fits_registers(l, target->buffer, start, lanes->lanes))
    return lower_fail(l, "schedule: B%d's registers are not addressed by constants",
                      f->block->index);
  if (start)
    lower_list_add(out, neo_nest_store(l->arena, target->buffer, start, value,
                                       reg ? lanes->lanes : lanes->active));
  else if (reg)
    return lower_fail(l, "schedule: B%d writes registers across lanes", f->block->index);
  else
    scatter(&c, target->buffer, offset, value);
  return l->status == NEO_OK;
}

/* ---- prefetch ------------------------------------------------------------------------------------------------------- */

typedef struct prefetch_query {
  int buffer;
  const neo_expr *load;
} prefetch_query;

static void find_load(void *self, const neo_expr *load) {
  prefetch_query *query = self;
  if (!query->load && load->u.load.buffer == query->buffer)
    query->load = load;
}

bool lower_prefetch(lowerer *l, const lower_frame *f, const lower_loop *loop, lower_list *out) {
  prefetch_query query = {loop->prefetch, NULL};
  neo_expr_visit_loads(f->block->te->body, find_load, &query);
  if (!query.load || l->binding[loop->prefetch].buffer < 0)
    return lower_fail(l, "schedule: prefetch: B%d does not read b%d", f->block->index,
                      loop->prefetch);
  lower_frame ahead = *f;
  lower_span *span = &ahead.span[loop->axis];
  int64_t step = f->block->axis[loop->axis].stride[loop->level] * loop->ahead;
  span->base = neo_expr_binary(l->arena, NEO_EXPR_ADD, span->base, neo_expr_index(l->arena, step));
  converter c = {.l = l, .f = &ahead, .lanes = &scalar_lanes, .out = out};
  const lower_binding *binding = &l->binding[loop->prefetch];
  if (l->nest->buffer[binding->buffer].scope == NEO_SCOPE_REG)
    return true;
  const neo_expr *offset = flat_offset(&c, binding, query.load->arg);
  int64_t last = l->nest->buffer[binding->buffer].elements - 1;
  offset = neo_expr_binary(l->arena, NEO_EXPR_MAX, neo_expr_index(l->arena, 0), offset);
  offset = neo_expr_binary(l->arena, NEO_EXPR_MIN, offset, neo_expr_index(l->arena, last));
  lower_list_add(out, neo_nest_prefetch(l->arena, binding->buffer, offset));
  return true;
}
