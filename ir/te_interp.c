/* ir/te_interp.c: evaluates a te on row-major tensors: the oracle, and constant folding.
 *
 * A block's body becomes a tape: its distinct subexpressions in post-order, each with one slot. A
 * tape is run for up to LANES points of one axis at a time (the batch axis), so that dispatch costs
 * little. What an operation means is neo_expr_apply; the few written out here are the same, faster.
 *
 * Order of a reduction: the reduce axes ascend like nested loops, rounding after every step. The
 * batch axis is a spatial one, or, where those are short, the innermost reduce axis, whose points
 * are then combined one after the other. */
#include "ir/te_internal.h"

#include <string.h>

#define LANES 128
#define SHORT_AXIS 16

typedef union cell {
  double f;
  int64_t i;
} cell;

typedef struct tape_node {
  const neo_expr *e;
  int *arg;   /* slots of e's arguments */
  int *guard; /* slots of e's guard indices */
} tape_node;

typedef struct tape {
  neo_arena *arena;
  int n, cap;
  tape_node *node;
  cell *slot; /* n rows of LANES, set before running */
} tape;

typedef struct machine {
  neo_ctx *ctx;
  neo_arena arena; /* of one block */
  const neo_te *te;
  neo_tensor tensor[NEO_TE_MAX_BUFFERS];
  bool owned[NEO_TE_MAX_BUFFERS];
} machine;

/* ---- building ----------------------------------------------------------------------------------
 */

static int tape_add(tape *t, const neo_expr *e) {
  for (int k = 0; k < t->n; k++) {
    if (t->node[k].e == e || (t->node[k].e->op == e->op && neo_expr_equal(t->node[k].e, e)))
      return k;
  }
  tape_node node = {.e = e};
  if (e->n_args)
    node.arg = neo_arena_alloc(t->arena, sizeof(int) * (size_t)e->n_args);
  for (int k = 0; k < e->n_args; k++)
    node.arg[k] = tape_add(t, e->arg[k]);
  int n_guards = e->op == NEO_EXPR_LOAD ? e->u.load.n_guards : 0;
  if (n_guards)
    node.guard = neo_arena_alloc(t->arena, sizeof(int) * (size_t)n_guards);
  for (int k = 0; k < n_guards; k++)
    node.guard[k] = tape_add(t, e->u.load.guard[k].index);
  t->node = neo_arena_grow(t->arena, t->node, &t->cap, t->n + 1, sizeof *t->node);
  t->node[t->n] = node;
  return t->n++;
}

static cell *slot_of(const tape *t, int k) {
  return t->slot + (size_t)k * LANES;
}

/* ---- running -----------------------------------------------------------------------------------
 */

static void load_elements(const neo_tensor *tensor, const int64_t *at, cell *out, int n) {
  const void *p = tensor->data;
#define GATHER(type, field)                                                                        \
  for (int k = 0; k < n; k++)                                                                      \
    out[k].field = ((const type *)p)[at[k]];                                                       \
  break
  switch (tensor->dtype) {
  case NEO_F32:
    GATHER(float, f);
  case NEO_F64:
    GATHER(double, f);
  case NEO_I8:
    GATHER(int8_t, i);
  case NEO_U8:
    GATHER(uint8_t, i);
  case NEO_I32:
    GATHER(int32_t, i);
  case NEO_I64:
    GATHER(int64_t, i);
  default:
    for (int k = 0; k < n; k++) {
      if (neo_dtype_class(tensor->dtype) == 'f')
        out[k].f = neo_tensor_get_f64(tensor, at[k]);
      else
        out[k].i = neo_tensor_get_i64(tensor, at[k]);
    }
  }
#undef GATHER
}

static void flat_offsets(const tape *t, const neo_tensor *tensor, const int *index, int64_t *at,
                         int n) {
  memset(at, 0, sizeof *at * (size_t)n);
  for (int d = 0; d < tensor->shape.rank; d++) {
    const cell *x = slot_of(t, index[d]);
    int64_t size = tensor->shape.dim[d];
    for (int k = 0; k < n; k++)
      at[k] = at[k] * size + x[k].i;
  }
}

static void run_load(const machine *m, const tape *t, const tape_node *node, cell *out, int n) {
  const neo_expr *e = node->e;
  const neo_tensor *tensor = &m->tensor[e->u.load.buffer];
  int64_t at[LANES];
  bool masked[LANES];
  flat_offsets(t, tensor, node->arg, at, n);
  if (e->u.load.n_guards == 0) {
    load_elements(tensor, at, out, n);
    return;
  }
  memset(masked, 0, sizeof masked);
  for (int g = 0; g < e->u.load.n_guards; g++) {
    const cell *x = slot_of(t, node->guard[g]);
    for (int k = 0; k < n; k++)
      masked[k] = masked[k] || x[k].i < e->u.load.guard[g].lo || x[k].i >= e->u.load.guard[g].hi;
  }
  for (int k = 0; k < n; k++)
    at[k] = masked[k] ? 0 : at[k];
  load_elements(tensor, at, out, n);
  cell fill = {.f = e->u.load.fill};
  if (neo_dtype_class(e->dtype) != 'f')
    fill.i = (int64_t)e->u.load.fill;
  for (int k = 0; k < n; k++)
    out[k] = masked[k] ? fill : out[k];
}

static void run_generic(const neo_expr *e, const cell *const *arg, cell *out, int n) {
  bool float_out = neo_dtype_class(e->dtype) == 'f', float_in[3] = {0};
  for (int a = 0; a < e->n_args; a++)
    float_in[a] = neo_dtype_class(e->arg[a]->dtype) == 'f';
  for (int k = 0; k < n; k++) {
    neo_scalar x[3] = {{0}};
    for (int a = 0; a < e->n_args; a++) {
      if (float_in[a])
        x[a].f = arg[a][k].f;
      else
        x[a].i = arg[a][k].i;
    }
    neo_scalar v = neo_expr_apply(e, x);
    if (float_out)
      out[k].f = v.f;
    else
      out[k].i = v.i;
  }
}

#define EACH(field, value)                                                                         \
  do {                                                                                             \
    for (int k = 0; k < n; k++)                                                                    \
      out[k].field = (value);                                                                      \
    return true;                                                                                   \
  } while (0)

static bool run_f32(neo_expr_op op, const cell *a, const cell *b, cell *out, int n) {
  switch (op) {
  case NEO_EXPR_ADD:
    EACH(f, (double)(float)(a[k].f + b[k].f));
  case NEO_EXPR_SUB:
    EACH(f, (double)(float)(a[k].f - b[k].f));
  case NEO_EXPR_MUL:
    EACH(f, (double)(float)(a[k].f * b[k].f));
  case NEO_EXPR_MAX:
    EACH(f, a[k].f < b[k].f ? b[k].f : a[k].f);
  case NEO_EXPR_MIN:
    EACH(f, b[k].f < a[k].f ? b[k].f : a[k].f);
  default:
    return false;
  }
}

static bool run_f64(neo_expr_op op, const cell *a, const cell *b, cell *out, int n) {
  switch (op) {
  case NEO_EXPR_ADD:
    EACH(f, a[k].f + b[k].f);
  case NEO_EXPR_SUB:
    EACH(f, a[k].f - b[k].f);
  case NEO_EXPR_MUL:
    EACH(f, a[k].f * b[k].f);
  default:
    return false;
  }
}

static bool run_i64(neo_expr_op op, const cell *a, const cell *b, cell *out, int n) {
  switch (op) {
  case NEO_EXPR_ADD:
    EACH(i, neo_wrap_add(a[k].i, b[k].i));
  case NEO_EXPR_MUL:
    EACH(i, neo_wrap_mul(a[k].i, b[k].i));
  case NEO_EXPR_MAX:
    EACH(i, a[k].i < b[k].i ? b[k].i : a[k].i);
  case NEO_EXPR_MIN:
    EACH(i, b[k].i < a[k].i ? b[k].i : a[k].i);
  default:
    return false;
  }
}

static void run_binary(const neo_expr *e, const cell *a, const cell *b, cell *out, int n) {
  bool done = e->dtype == NEO_F32   ? run_f32(e->op, a, b, out, n)
              : e->dtype == NEO_F64 ? run_f64(e->op, a, b, out, n)
              : e->dtype == NEO_I64 ? run_i64(e->op, a, b, out, n)
                                    : false;
  const cell *arg[3] = {a, b};
  if (!done)
    run_generic(e, arg, out, n);
}

/* All nodes but variables and constants, whose slots are set before. */
static void tape_run(const machine *m, const tape *t, int n) {
  for (int k = 0; k < t->n; k++) {
    const tape_node *node = &t->node[k];
    const neo_expr *e = node->e;
    cell *out = slot_of(t, k);
    const cell *arg[3] = {NULL};
    switch (e->op) {
    case NEO_EXPR_CONST:
    case NEO_EXPR_VAR:
      break;
    case NEO_EXPR_LOAD:
      run_load(m, t, node, out, n);
      break;
    default:
      for (int a = 0; a < e->n_args && a < 3; a++)
        arg[a] = slot_of(t, node->arg[a]);
      if (e->n_args == 2)
        run_binary(e, arg[0], arg[1], out, n);
      else
        run_generic(e, arg, out, n);
    }
  }
}

/* ---- blocks ------------------------------------------------------------------------------------
 */

typedef struct runner {
  machine *m;
  const neo_te_block *b;
  tape body, write;
  int write_slot[NEO_MAX_RANK];
  int result; /* slot of the body's value */
  int batch;  /* the axis whose points fill the lanes, -1: all extents are 1 */
  neo_expr combine;
  int64_t at[NEO_TE_MAX_AXES];
  cell acc[LANES];
} runner;

static int widest(const neo_te_block *b, int from, int to) {
  int best = -1;
  for (int k = from; k < to; k++) {
    if (b->extent[k] > 1 && (best < 0 || b->extent[k] >= b->extent[best]))
      best = k;
  }
  return best;
}

static int choose_batch(const neo_te_block *b) {
  int s = widest(b, 0, b->n_spatial), last = b->n_spatial + b->n_reduce - 1;
  bool reduce = b->n_reduce && b->extent[last] > 1;
  int64_t width = s < 0 ? 1 : b->extent[s];
  return reduce && width < SHORT_AXIS && b->extent[last] > width ? last : s;
}

static void tape_slots(runner *r, tape *t) {
  t->slot = neo_arena_alloc(&r->m->arena, sizeof(cell) * LANES * (size_t)(t->n ? t->n : 1));
  for (int k = 0; k < t->n; k++) {
    const neo_expr *e = t->node[k].e;
    cell *out = slot_of(t, k);
    for (int j = 0; e->op == NEO_EXPR_CONST && j < LANES; j++) {
      if (neo_dtype_class(e->dtype) == 'f')
        out[j].f = e->u.f;
      else
        out[j].i = e->u.i;
    }
  }
}

static void set_variables(const runner *r, const tape *t, int n) {
  for (int k = 0; k < t->n; k++) {
    const neo_expr *e = t->node[k].e;
    if (e->op != NEO_EXPR_VAR)
      continue;
    cell *out = slot_of(t, k);
    int step = e->u.var == r->batch ? 1 : 0;
    for (int j = 0; j < n; j++)
      out[j].i = r->at[e->u.var] + step * j;
  }
}

/* The next point of axes [from, to) without the batch axis; false after the last. */
static bool next_point(runner *r, int from, int to) {
  for (int k = to - 1; k >= from; k--) {
    if (k == r->batch)
      continue;
    if (++r->at[k] < r->b->extent[k])
      return true;
    r->at[k] = 0;
  }
  return false;
}

static void store(runner *r, const cell *value, int n) {
  neo_tensor *tensor = &r->m->tensor[r->b->buffer];
  int64_t at[LANES];
  set_variables(r, &r->write, n);
  tape_run(r->m, &r->write, n);
  flat_offsets(&r->write, tensor, r->write_slot, at, n);
  if (tensor->dtype == NEO_F32) {
    for (int k = 0; k < n; k++)
      ((float *)tensor->data)[at[k]] = (float)value[k].f;
    return;
  }
  for (int k = 0; k < n; k++) {
    if (neo_dtype_class(tensor->dtype) == 'f')
      neo_tensor_set_f64(tensor, at[k], value[k].f);
    else
      neo_tensor_set_i64(tensor, at[k], value[k].i);
  }
}

static void init_acc(runner *r, int n) {
  bool f = neo_dtype_class(r->combine.dtype) == 'f';
  for (int k = 0; k < n; k++) {
    if (f)
      r->acc[k].f = r->b->init.f;
    else
      r->acc[k].i = r->b->init.i;
  }
}

static const cell *run_body(runner *r, int n) {
  set_variables(r, &r->body, n);
  tape_run(r->m, &r->body, n);
  return slot_of(&r->body, r->result);
}

/* The lanes run along a spatial axis. */
static void run_spatial_chunk(runner *r, int n) {
  const neo_te_block *b = r->b;
  if (!b->n_reduce) {
    store(r, run_body(r, n), n);
    return;
  }
  init_acc(r, n);
  do
    run_binary(&r->combine, r->acc, run_body(r, n), r->acc, n);
  while (next_point(r, b->n_spatial, b->n_spatial + b->n_reduce));
  store(r, r->acc, n);
}

/* The lanes run along the innermost reduce axis. */
static void run_reduce_point(runner *r) {
  const neo_te_block *b = r->b;
  init_acc(r, 1);
  do {
    for (int64_t at = 0; at < b->extent[r->batch]; at += LANES) {
      int n = (int)neo_min_i64(LANES, b->extent[r->batch] - at);
      r->at[r->batch] = at;
      const cell *value = run_body(r, n);
      for (int k = 0; k < n; k++)
        run_binary(&r->combine, r->acc, value + k, r->acc, 1);
    }
  } while (next_point(r, b->n_spatial, b->n_spatial + b->n_reduce));
  store(r, r->acc, 1);
}

static void run_points(runner *r) {
  const neo_te_block *b = r->b;
  do {
    if (r->batch >= b->n_spatial) {
      run_reduce_point(r);
      continue;
    }
    int64_t extent = r->batch < 0 ? 1 : b->extent[r->batch];
    for (int64_t at = 0; at < extent; at += LANES) {
      if (r->batch >= 0)
        r->at[r->batch] = at;
      run_spatial_chunk(r, (int)neo_min_i64(LANES, extent - at));
    }
  } while (next_point(r, 0, b->n_spatial));
}

static void run_block(machine *m, const neo_te_block *b) {
  static const neo_expr_op combine_op[] = {NEO_EXPR_CONST, NEO_EXPR_ADD, NEO_EXPR_MUL, NEO_EXPR_MAX,
                                           NEO_EXPR_MIN};
  neo_arena_reset(&m->arena);
  runner *r = neo_arena_alloc(&m->arena, sizeof *r);
  r->m = m;
  r->b = b;
  r->body.arena = r->write.arena = &m->arena;
  r->result = tape_add(&r->body, b->body);
  for (int d = 0; d < m->te->buffer[b->buffer].shape.rank; d++)
    r->write_slot[d] = tape_add(&r->write, b->write[d]);
  r->batch = choose_batch(b);
  const neo_expr *args[2] = {b->body, b->body};
  r->combine = (neo_expr){
      .op = combine_op[b->combine], .dtype = b->body->dtype, .lanes = 1, .n_args = 2, .arg = args};
  tape_slots(r, &r->body);
  tape_slots(r, &r->write);
  run_points(r);
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static neo_status bind(machine *m, neo_tensor *const *buffers) {
  for (int k = 0; k < m->te->n_buffers; k++) {
    const neo_te_buffer *b = &m->te->buffer[k];
    if (b->role == NEO_TE_TMP) {
      NEO_TRY(neo_tensor_create(m->ctx, b->dtype, &b->shape, &m->tensor[k]));
      m->owned[k] = true;
      continue;
    }
    if (!buffers[k] || neo_dtype_storage(buffers[k]->dtype) != b->dtype ||
        !neo_shape_equal(&buffers[k]->shape, &b->shape))
      return neo_fail(m->ctx, NEO_USAGE, "te: the tensor for buffer b%d has another type or shape",
                      k);
    m->tensor[k] = *buffers[k];
    m->tensor[k].dtype = b->dtype;
  }
  return NEO_OK;
}

neo_status neo_te_interpret(neo_ctx *ctx, const neo_te *te, neo_tensor *const *buffers) {
  NEO_TRY(neo_te_check(ctx, te));
  machine *m = neo_alloc(ctx, sizeof *m);
  if (!m)
    return neo_fail(ctx, NEO_NO_MEMORY, "te: no memory to interpret");
  m->ctx = ctx;
  m->te = te;
  neo_arena_init(&m->arena);
  neo_status s = bind(m, buffers);
  for (int k = 0; s == NEO_OK && k < te->n_blocks; k++)
    run_block(m, &te->block[k]);
  for (int k = 0; k < te->n_buffers; k++) {
    if (m->owned[k])
      neo_tensor_free(ctx, &m->tensor[k]);
  }
  neo_arena_fini(&m->arena);
  neo_free(ctx, m);
  return s;
}
