/* Runs a nest, slowly and with every access checked: the oracle for lowering and code generators.
 *
 * Why: a schedule's meaning must be testable without any code generator.
 * How: statements are walked; each expression is flattened once into a list of nodes in evaluation
 * order (it is a DAG), affine offsets as one node. Lanes are evaluated one by one by
 * neo_expr_apply, the semantics shared with te and constant folding. SCRATCH, STACK and REG memory
 * is filled with 0xff (NaN) before each grid index, so that reading what was never written shows.
 *
 * The work-items of a group run one after the other from barrier to barrier: statements that
 * contain a barrier are walked once for all of them, others once for each. Who reads or writes an
 * element of a SHARED buffer that another work-item has written since the last barrier (or writes
 * what another has read) is caught: on a device the outcome would depend on luck. A matrix
 * instruction's operands count as read by others, since a warp's work-items load for each other. */
#include "schedule/intrinsic.h"
#include "schedule/matrix.h"
#include "schedule/ptr_map.h"

#include <string.h>

typedef enum node_kind {
  NODE_CONST,
  NODE_AFFINE,
  NODE_LOAD,
  NODE_BROADCAST,
  NODE_APPLY,
  NODE_INTRINSIC
} node_kind;

typedef struct node {
  node_kind kind;
  const neo_expr *e;
  int arg[3];        /* nodes */
  neo_affine affine; /* NODE_AFFINE */
  neo_scalar *lane;  /* result */
} node;

typedef struct program {
  int n, capacity;
  node *nodes;
} program;

/* Who has used an element of a SHARED buffer since which barrier. */
typedef struct toucher {
  int64_t write_epoch, read_epoch;
  int writer, reader; /* reader MANY: several */
} toucher;

enum { MANY = -1 };

typedef struct runner {
  neo_ctx *ctx;
  const neo_nest *nest;
  neo_arena arena;
  neo_ptr_map programs; /* expression -> program */
  char *memory[NEO_NEST_MAX_BUFFERS];
  char *work, *scratch;
  int64_t *var;
  int lane;                               /* the work-item that runs */
  int64_t epoch;                          /* barriers so far, plus groups */
  char *base[NEO_NEST_MAX_BUFFERS];       /* STACK and REG: of work-item 0 */
  toucher *touched[NEO_NEST_MAX_BUFFERS]; /* SHARED: by element */
  neo_ptr_map barriers;                   /* statement -> 1 + has it a barrier inside? */
  const neo_launch *launch;
  int n_lets; /* around the statement that all work-items walk */
  const neo_stmt *let[NEO_NEST_MAX_DEPTH];
  neo_status status;
} runner;

static bool fail(runner *r, neo_status status, const char *what, int64_t value) {
  if (r->status == NEO_OK)
    r->status = neo_fail(r->ctx, status, "nest: %s (%lld)", what, (long long)value);
  return false;
}

/* ---- memory -------------------------------------------------------------------------------------
 */

static neo_scalar read_element(neo_dtype dtype, const char *at) {
  neo_scalar v = {0, 0};
  uint16_t half;
  float single;
  switch (dtype) {
  case NEO_F32:
    memcpy(&single, at, sizeof(single));
    v.f = (double)single;
    break;
  case NEO_F64:
    memcpy(&v.f, at, sizeof(v.f));
    break;
  case NEO_F16:
    memcpy(&half, at, sizeof(half));
    v.f = (double)neo_f16_to_f32(half);
    break;
  case NEO_BF16:
    memcpy(&half, at, sizeof(half));
    v.f = (double)neo_bf16_to_f32(half);
    break;
  default:
    memcpy(&v.i, at, neo_dtype_size(dtype));
    v = neo_scalar_round(dtype, v);
  }
  return v;
}

static void write_element(neo_dtype dtype, char *at, neo_scalar v) {
  float single = (float)v.f;
  uint16_t half;
  switch (dtype) {
  case NEO_F32:
    memcpy(at, &single, sizeof(single));
    break;
  case NEO_F64:
    memcpy(at, &v.f, sizeof(v.f));
    break;
  case NEO_F16:
    half = neo_f32_to_f16(single);
    memcpy(at, &half, sizeof(half));
    break;
  case NEO_BF16:
    half = neo_f32_to_bf16(single);
    memcpy(at, &half, sizeof(half));
    break;
  default:
    memcpy(at, &v.i, neo_dtype_size(dtype));
  }
}

/* Address of `active` elements at offset, checked. */
static char *address(runner *r, int buffer, int64_t offset, int active) {
  const neo_nest_buffer *b = &r->nest->buffer[buffer];
  if (offset < 0 || offset > b->elements - active) {
    fail(r, NEO_INTERNAL, "run-time access outside buffer", buffer);
    return NULL;
  }
  return r->memory[buffer] + (size_t)offset * neo_dtype_size(b->dtype);
}

/* Notes the use of elements of a SHARED buffer; false at a race. */
static bool note_shared(runner *r, int buffer, int64_t offset, int active, bool write) {
  toucher *t = r->touched[buffer];
  for (int i = 0; t && i < active; i++) {
    toucher *e = &t[offset + i];
    bool written = e->write_epoch == r->epoch, read = e->read_epoch == r->epoch;
    if ((written && e->writer != r->lane) || (write && read && e->reader != r->lane))
      return fail(r, NEO_BAD_INPUT, "work-items race for an element of shared buffer", buffer);
    if (write) {
      e->write_epoch = r->epoch;
      e->writer = r->lane;
    } else {
      e->reader = read && e->reader != r->lane ? MANY : r->lane;
      e->read_epoch = r->epoch;
    }
  }
  return true;
}

/* ---- expressions
 * ---------------------------------------------------------------------------------- */

typedef struct compiler {
  runner *r;
  program *out;
  neo_ptr_map index; /* expression -> node + 1 */
} compiler;

static int flatten(compiler *c, const neo_expr *e);

static node_kind kind_of(const neo_expr *e) {
  switch (e->op) {
  case NEO_EXPR_CONST:
    return NODE_CONST;
  case NEO_EXPR_LOAD:
    return NODE_LOAD;
  case NEO_EXPR_BROADCAST:
    return NODE_BROADCAST;
  case NEO_EXPR_INTRINSIC:
    return NODE_INTRINSIC;
  default:
    return NODE_APPLY;
  }
}

static int flatten_new(compiler *c, const neo_expr *e) {
  node made = {.e = e, .kind = kind_of(e)};
  if (e->op != NEO_EXPR_CONST && neo_expr_affine(e, &made.affine)) {
    made.kind = NODE_AFFINE;
  } else {
    neo_assert(e->n_args <= 3);
    for (int i = 0; i < e->n_args; i++)
      if ((made.arg[i] = flatten(c, e->arg[i])) < 0)
        return -1;
  }
  made.lane = neo_arena_alloc(&c->r->arena, (size_t)e->lanes * sizeof(*made.lane));
  if (e->op == NEO_EXPR_CONST) {
    bool is_float = neo_dtype_class(e->dtype) == 'f';
    for (int i = 0; i < e->lanes; i++)
      made.lane[i] = is_float ? (neo_scalar){.f = e->u.f} : (neo_scalar){.i = e->u.i};
  }
  program *p = c->out;
  p->nodes = neo_arena_grow(&c->r->arena, p->nodes, &p->capacity, p->n + 1, sizeof(*p->nodes));
  p->nodes[p->n] = made;
  return p->n++;
}

static int flatten(compiler *c, const neo_expr *e) {
  bool first;
  intptr_t *known = neo_ptr_map_at(&c->index, e, &first);
  if (!first)
    return (int)*known;
  int made = flatten_new(c, e);
  *neo_ptr_map_at(&c->index, e, &first) = made;
  return made;
}

static program *program_of(runner *r, const neo_expr *e) {
  bool first;
  intptr_t *known = neo_ptr_map_at(&r->programs, e, &first);
  if (!first)
    return (program *)*known;
  program *made = neo_arena_alloc(&r->arena, sizeof(*made));
  *known = (intptr_t)made;
  compiler c = {.r = r, .out = made, .index = {.arena = &r->arena}};
  flatten(&c, e);
  return made;
}

static bool run_load(runner *r, const program *p, const node *n) {
  int buffer = n->e->u.load.buffer;
  int64_t offset = p->nodes[n->arg[0]].lane[0].i;
  const char *at = address(r, buffer, offset, n->e->active);
  if (!at || !note_shared(r, buffer, offset, n->e->active, false))
    return false;
  size_t size = neo_dtype_size(n->e->dtype);
  for (int i = 0; i < n->e->lanes; i++)
    n->lane[i] =
        i < n->e->active ? read_element(n->e->dtype, at + (size_t)i * size) : (neo_scalar){0, 0};
  return true;
}

static void run_apply(const program *p, const node *n) {
  neo_scalar args[3];
  for (int i = 0; i < n->e->lanes; i++) {
    for (int k = 0; k < n->e->n_args; k++) {
      const node *from = &p->nodes[n->arg[k]];
      args[k] = from->lane[from->e->lanes == 1 ? 0 : i];
    }
    n->lane[i] = neo_expr_apply(n->e, args);
  }
}

static void run_intrinsic(const program *p, const node *n) {
  int group = neo_intrinsic_get(n->e->u.row)->group;
  const node *acc = &p->nodes[n->arg[0]], *a = &p->nodes[n->arg[1]], *b = &p->nodes[n->arg[2]];
  for (int i = 0; i < n->e->lanes; i++)
    n->lane[i] = neo_intrinsic_apply(n->e->u.row, acc->lane[i],
                                     a->lane + (a->e->lanes == group ? 0 : group * i),
                                     b->lane + (b->e->lanes == group ? 0 : group * i));
}

static int64_t run_affine(const runner *r, const neo_affine *a) {
  int64_t sum = a->base;
  for (int i = 0; i < a->n; i++)
    sum += a->coef[i] * r->var[a->var[i]];
  return sum;
}

static const neo_scalar *run_expr(runner *r, const neo_expr *e) {
  program *p = program_of(r, e);
  if (r->status != NEO_OK)
    return NULL;
  for (int k = 0; k < p->n; k++) {
    node *n = &p->nodes[k];
    if (n->kind == NODE_AFFINE)
      n->lane[0].i = run_affine(r, &n->affine);
    else if (n->kind == NODE_LOAD && !run_load(r, p, n))
      return NULL;
    else if (n->kind == NODE_APPLY)
      run_apply(p, n);
    else if (n->kind == NODE_INTRINSIC)
      run_intrinsic(p, n);
    else if (n->kind == NODE_BROADCAST)
      for (int i = 0; i < n->e->lanes; i++)
        n->lane[i] = p->nodes[n->arg[0]].lane[0];
  }
  return p->nodes[p->n - 1].lane;
}

/* ---- statements
 * ------------------------------------------------------------------------------------- */

static bool run_list(runner *r, const neo_stmt *list);

static bool run_for(runner *r, const neo_stmt *s) {
  const neo_scalar *extent = run_expr(r, s->u.loop.extent);
  if (!extent)
    return false;
  int64_t n = extent->i;
  for (int64_t i = 0; i < n; i++) {
    r->var[s->u.loop.var] = i;
    if (!run_list(r, s->u.loop.body))
      return false;
  }
  return true;
}

static bool run_store(runner *r, const neo_stmt *s) {
  const neo_scalar *value = run_expr(r, s->u.store.value);
  const neo_scalar *offset = value ? run_expr(r, s->u.store.offset) : NULL;
  char *at = offset ? address(r, s->u.store.buffer, offset->i, s->u.store.active) : NULL;
  if (!at || !note_shared(r, s->u.store.buffer, offset->i, s->u.store.active, true))
    return false;
  neo_dtype dtype = s->u.store.value->dtype;
  for (int i = 0; i < s->u.store.active; i++)
    write_element(dtype, at + (size_t)i * neo_dtype_size(dtype), value[i]);
  return true;
}

/* `n` elements of an operand, from offset on, step apart. */
static bool read_line(runner *r, int buffer, int64_t offset, int64_t step, int n, neo_scalar *out) {
  neo_dtype dtype = r->nest->buffer[buffer].dtype;
  int lane = r->lane;
  bool ok = true;
  r->lane = MANY;
  for (int i = 0; ok && i < n; i++) {
    const char *at = address(r, buffer, offset + i * step, 1);
    ok = at && note_shared(r, buffer, offset + i * step, 1, false);
    if (ok)
      out[i] = read_element(dtype, at);
  }
  r->lane = lane;
  return ok;
}

static bool run_matrix(runner *r, const neo_matrix_stmt *m) {
  const neo_matrix *row = neo_matrix_get(m->row);
  const neo_matrix_place *place[3] = {&m->acc, &m->a, &m->b};
  int64_t at[3];
  neo_scalar a[NEO_MATRIX_MAX_K], b[NEO_MATRIX_MAX_K];
  for (int i = 0; i < 3; i++) {
    const neo_scalar *v = run_expr(r, place[i]->offset);
    if (!v)
      return false;
    at[i] = v->i;
  }
  for (int x = 0; x < m->rows; x++) {
    if (!read_line(r, m->a.buffer, at[1] + x * m->a.step[0], m->a.step[1], row->k, a))
      return false;
    for (int y = 0; y < m->columns; y++) {
      char *acc = address(r, m->acc.buffer, at[0] + x * m->acc.step[0] + y * m->acc.step[1], 1);
      if (!acc || !read_line(r, m->b.buffer, at[2] + y * m->b.step[1], m->b.step[0], row->k, b))
        return false;
      write_element(row->acc, acc, neo_matrix_apply(m->row, read_element(row->acc, acc), a, b));
    }
  }
  return true;
}

static bool run_stmt(runner *r, const neo_stmt *s) {
  const neo_scalar *v;
  switch (s->kind) {
  case NEO_STMT_FOR:
    return run_for(r, s);
  case NEO_STMT_STORE:
    return run_store(r, s);
  case NEO_STMT_IF:
    v = run_expr(r, s->u.branch.cond);
    return v && run_list(r, v->i ? s->u.branch.then : s->u.branch.otherwise);
  case NEO_STMT_LET:
    v = run_expr(r, s->u.let.value);
    if (!v)
      return false;
    r->var[s->u.let.var] = v->i;
    return run_list(r, s->u.let.body);
  case NEO_STMT_PREFETCH:
    v = run_expr(r, s->u.prefetch.offset);
    return v && address(r, s->u.prefetch.buffer, v->i, 1);
  case NEO_STMT_BARRIER:
    r->epoch++;
    return true;
  case NEO_STMT_MATRIX:
    return run_matrix(r, s->u.matrix);
  }
  return fail(r, NEO_INTERNAL, "unknown statement", s->kind);
}

static bool run_list(runner *r, const neo_stmt *list) {
  for (; list; list = list->next)
    if (!run_stmt(r, list))
      return false;
  return true;
}

/* ---- groups
 * ------------------------------------------------------------------------------------------ */

static bool has_barrier(runner *r, const neo_stmt *s) {
  bool first, found = false;
  intptr_t *known = neo_ptr_map_at(&r->barriers, s, &first);
  if (!first)
    return *known == 2;
  const neo_stmt *inside[2] = {NULL, NULL};
  if (s->kind == NEO_STMT_FOR)
    inside[0] = s->u.loop.body;
  else if (s->kind == NEO_STMT_LET)
    inside[0] = s->u.let.body;
  else if (s->kind == NEO_STMT_IF) {
    inside[0] = s->u.branch.then;
    inside[1] = s->u.branch.otherwise;
  }
  found = s->kind == NEO_STMT_BARRIER;
  for (int k = 0; k < 2; k++)
    for (const neo_stmt *in = inside[k]; in; in = in->next)
      found = has_barrier(r, in) || found;
  *neo_ptr_map_at(&r->barriers, s, &first) = found ? 2 : 1;
  return found;
}

/* Its number, its memory, and the variables that follow from its number. */
static bool enter_item(runner *r, int lane) {
  const neo_nest *nest = r->nest;
  r->lane = lane;
  if (r->launch->lanes > 1)
    r->var[r->launch->lane_var] = lane;
  for (int i = 0; i < nest->n_buffers; i++)
    if (r->base[i])
      r->memory[i] = r->base[i] + (size_t)lane * (size_t)nest->buffer[i].elements *
                                      neo_dtype_size(nest->buffer[i].dtype);
  for (int i = 0; i < r->n_lets; i++) {
    const neo_scalar *v = run_expr(r, r->let[i]->u.let.value);
    if (!v)
      return false;
    r->var[r->let[i]->u.let.var] = v->i;
  }
  return true;
}

static bool run_group(runner *r, const neo_stmt *list);

static bool run_together(runner *r, const neo_stmt *s) {
  const neo_scalar *v;
  if (!enter_item(r, 0))
    return false;
  switch (s->kind) {
  case NEO_STMT_FOR:
    v = run_expr(r, s->u.loop.extent);
    for (int64_t i = 0, n = v ? v->i : -1; i < n; i++) {
      r->var[s->u.loop.var] = i;
      if (!run_group(r, s->u.loop.body))
        return false;
    }
    return v != NULL;
  case NEO_STMT_IF:
    v = run_expr(r, s->u.branch.cond);
    return v && run_group(r, v->i ? s->u.branch.then : s->u.branch.otherwise);
  case NEO_STMT_LET:
    r->let[r->n_lets++] = s;
    if (!run_group(r, s->u.let.body))
      return false;
    r->n_lets--;
    return true;
  default:
    return run_stmt(r, s);
  }
}

static bool run_group(runner *r, const neo_stmt *list) {
  for (; list; list = list->next) {
    if (has_barrier(r, list)) {
      if (!run_together(r, list))
        return false;
      continue;
    }
    for (int lane = 0; lane < r->launch->lanes; lane++)
      if (!enter_item(r, lane) || !run_stmt(r, list))
        return false;
  }
  return true;
}

/* ---- the run
 * ----------------------------------------------------------------------------------------- */

static size_t buffer_bytes(const neo_nest_buffer *b) {
  return (size_t)b->elements * neo_dtype_size(b->dtype);
}

/* STACK and REG memory of all work-items; who touches SHARED memory. */
static bool prepare_group(runner *r, int i, size_t most_lanes) {
  const neo_nest_buffer *b = &r->nest->buffer[i];
  bool shared = b->scope == NEO_SCOPE_SHARED;
  r->base[i] = neo_alloc(r->ctx, buffer_bytes(b) * (shared ? 1 : most_lanes));
  r->memory[i] = r->base[i];
  if (!shared)
    return r->base[i] != NULL;
  r->base[i] = NULL;
  r->touched[i] = neo_alloc(r->ctx, (size_t)b->elements * sizeof(toucher));
  return r->memory[i] && r->touched[i];
}

static bool prepare(runner *r, void *const *params) {
  const neo_nest *nest = r->nest;
  size_t most_lanes = 1;
  for (int i = 0; i < nest->n_launches; i++)
    most_lanes = (size_t)neo_max_i64((int64_t)most_lanes, nest->launch[i].lanes);
  r->var = neo_alloc(r->ctx, (size_t)(nest->n_vars + 1) * sizeof(*r->var));
  r->work = neo_alloc(r->ctx, (size_t)nest->work_bytes + 1);
  r->scratch = neo_alloc(r->ctx, (size_t)nest->scratch_bytes + 1);
  if (!r->var || !r->work || !r->scratch)
    return fail(r, NEO_NO_MEMORY, "no memory to interpret, bytes",
                nest->work_bytes + nest->scratch_bytes);
  memset(r->work, 0xff, (size_t)nest->work_bytes);
  for (int i = 0; i < nest->n_buffers; i++) {
    const neo_nest_buffer *b = &nest->buffer[i];
    if (b->scope == NEO_SCOPE_PARAM)
      r->memory[i] = params[i];
    else if (b->scope == NEO_SCOPE_WORK || b->scope == NEO_SCOPE_SCRATCH)
      r->memory[i] = (b->scope == NEO_SCOPE_WORK ? r->work : r->scratch) + b->offset;
    else
      prepare_group(r, i, most_lanes);
    if (!r->memory[i] || (b->scope == NEO_SCOPE_SHARED && !r->touched[i]))
      return fail(r, NEO_NO_MEMORY, "no memory to interpret buffer", i);
  }
  return true;
}

static void poison(runner *r) {
  for (int i = 0; i < r->nest->n_buffers; i++) {
    const neo_nest_buffer *b = &r->nest->buffer[i];
    size_t items = r->base[i] ? (size_t)r->launch->lanes : 1;
    if (b->scope != NEO_SCOPE_PARAM && b->scope != NEO_SCOPE_WORK)
      memset(r->base[i] ? r->base[i] : r->memory[i], 0xff, buffer_bytes(b) * items);
  }
}

static void release(runner *r) {
  for (int i = 0; i < r->nest->n_buffers; i++) {
    neo_free(r->ctx, r->base[i]);
    if (r->nest->buffer[i].scope == NEO_SCOPE_SHARED)
      neo_free(r->ctx, r->memory[i]);
    neo_free(r->ctx, r->touched[i]);
  }
  neo_free(r->ctx, r->var);
  neo_free(r->ctx, r->work);
  neo_free(r->ctx, r->scratch);
  neo_arena_fini(&r->arena);
  neo_free(r->ctx, r);
}

neo_status neo_nest_interpret(neo_ctx *ctx, const neo_nest *nest, void *const *params) {
  runner *r = neo_alloc(ctx, sizeof(*r));
  if (!r)
    return neo_fail(ctx, NEO_NO_MEMORY, "nest: no memory to interpret");
  r->ctx = ctx;
  r->nest = nest;
  neo_arena_init(&r->arena);
  r->programs.arena = r->barriers.arena = &r->arena;
  bool ok = prepare(r, params);
  for (int i = 0; ok && i < nest->n_launches; i++)
    for (int64_t g = 0; ok && g < nest->launch[i].grid; g++) {
      r->launch = &nest->launch[i];
      r->epoch++;
      r->n_lets = 0;
      poison(r);
      r->var[nest->launch[i].var] = g;
      ok = run_group(r, nest->launch[i].body);
    }
  neo_status status = r->status;
  release(r);
  return status;
}
