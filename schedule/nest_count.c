/* Counts what a nest executes: multiply-adds, float operations, bytes touched.
 *
 * Why: the lower bound on a measured time (a candidate cannot be faster than its own work) and
 * features. How: the cost of a statement list is summed over loops. Only variables that occur in a
 * branch condition or a loop's extent change the cost, so only their loops are run through; all
 * others multiply. A list that no such variable touches is counted once. Variables decoded from the
 * grid by lets count as independent loops when their ranges multiply to the grid. A budget bounds
 * the walk on hostile texts. Masked lanes count: the machine executes them. */
#include "schedule/intrinsic.h"
#include "schedule/matrix.h"
#include "schedule/ptr_map.h"

#define MAX_ITERATIONS 100000

typedef struct cost {
  double fmas, flops;
  double touched[NEO_NEST_MAX_BUFFERS]; /* element accesses */
} cost;

typedef struct counter {
  const neo_nest *nest;
  neo_arena arena;
  neo_ptr_map memo; /* list -> list_info */
  bool *matters;    /* per variable */
  int64_t *var;     /* values of the variables that matter */
  int64_t budget; /* iterations still run through; then loops are multiplied by their first pass */
} counter;

static void mark(counter *c, const neo_expr *e) {
  if (e->op == NEO_EXPR_VAR)
    c->matters[e->u.var] = true;
  for (int i = 0; i < e->n_args; i++)
    mark(c, e->arg[i]);
}

static void find_matters(counter *c, const neo_stmt *list) {
  for (; list; list = list->next) {
    if (list->kind == NEO_STMT_FOR) {
      mark(c, list->u.loop.extent);
      find_matters(c, list->u.loop.body);
    } else if (list->kind == NEO_STMT_LET) {
      find_matters(c, list->u.let.body);
    } else if (list->kind == NEO_STMT_IF) {
      mark(c, list->u.branch.cond);
      find_matters(c, list->u.branch.then);
      find_matters(c, list->u.branch.otherwise);
    }
  }
}

typedef struct list_info {
  bool depends; /* does the cost depend on any variable? */
  cost *known;  /* if not: the cost, once counted */
} list_info;

static list_info *info_of(counter *c, const neo_stmt *list);

static bool stmt_depends(counter *c, const neo_stmt *s) {
  int64_t n;
  switch (s->kind) {
  case NEO_STMT_IF:
    return true;
  case NEO_STMT_FOR:
    return !neo_expr_is_const(s->u.loop.extent, &n) || info_of(c, s->u.loop.body)->depends;
  case NEO_STMT_LET:
    return info_of(c, s->u.let.body)->depends;
  default:
    return false;
  }
}

static list_info *info_of(counter *c, const neo_stmt *list) {
  bool first;
  intptr_t *known = neo_ptr_map_at(&c->memo, list ? (const void *)list : (const void *)c, &first);
  if (!first)
    return (list_info *)*known;
  list_info *made = neo_arena_alloc(&c->arena, sizeof(*made));
  *known = (intptr_t)made;
  for (const neo_stmt *s = list; s && !made->depends; s = s->next)
    made->depends = stmt_depends(c, s);
  return made;
}

/* Value of an integer expression over variables that matter. */
static int64_t value_of(const counter *c, const neo_expr *e) {
  neo_scalar args[3] = {{0}};
  if (e->op == NEO_EXPR_CONST)
    return e->u.i;
  if (e->op == NEO_EXPR_VAR)
    return c->var[e->u.var];
  if (e->op == NEO_EXPR_LOAD || e->n_args > 3)
    return 1;
  for (int i = 0; i < e->n_args; i++)
    args[i].i = value_of(c, e->arg[i]);
  return neo_expr_apply(e, args).i;
}

static void add(cost *to, const cost *from, double times) {
  to->fmas += times * from->fmas;
  to->flops += times * from->flops;
  for (int i = 0; i < NEO_NEST_MAX_BUFFERS; i++)
    to->touched[i] += times * from->touched[i];
}

static bool is_float_op(const neo_expr *e) {
  switch (e->op) {
  case NEO_EXPR_CONST:
  case NEO_EXPR_VAR:
  case NEO_EXPR_LOAD:
  case NEO_EXPR_CAST:
  case NEO_EXPR_BITCAST:
  case NEO_EXPR_BROADCAST:
  case NEO_EXPR_SELECT:
  case NEO_EXPR_ISNAN:
    return false;
  default:
    return neo_dtype_class(e->dtype) == 'f';
  }
}

static void count_expr(neo_ptr_map *seen, const neo_expr *e, cost *out) {
  bool first;
  neo_ptr_map_at(seen, e, &first);
  if (!first)
    return;
  bool dot = e->op == NEO_EXPR_INTRINSIC && neo_dtype_class(e->dtype) == 'f';
  if (e->op == NEO_EXPR_FMA || dot) /* one instruction is one FMA, whatever it sums */
    out->fmas += e->lanes;
  if (dot)
    out->flops += 2 * (double)e->lanes * neo_intrinsic_get(e->u.row)->group;
  else if (is_float_op(e))
    out->flops += e->op == NEO_EXPR_FMA ? 2 * e->lanes : e->lanes;
  if (e->op == NEO_EXPR_LOAD) {
    out->touched[e->u.load.buffer] += e->active;
    return;
  }
  for (int i = 0; i < e->n_args; i++)
    count_expr(seen, e->arg[i], out);
}

/* Multiply-adds are counted singly: how many an instruction does at once is the device's. */
static void count_matrix(const neo_matrix_stmt *m, cost *out) {
  const neo_matrix *row = neo_matrix_get(m->row);
  double products = (double)m->rows * m->columns * row->k;
  if (neo_dtype_class(row->acc) == 'f') {
    out->fmas += products;
    out->flops += 2 * products;
  }
  out->touched[m->acc.buffer] += (double)m->rows * m->columns;
  out->touched[m->a.buffer] += (double)m->rows * row->k;
  out->touched[m->b.buffer] += (double)m->columns * row->k;
}

static void count_list(counter *c, const neo_stmt *list, cost *out);

static void count_stmt(counter *c, const neo_stmt *s, cost *out) {
  cost body = {0};
  int64_t n, var;
  switch (s->kind) {
  case NEO_STMT_STORE: {
    neo_ptr_map seen = {.arena = &c->arena};
    count_expr(&seen, s->u.store.value, out);
    out->touched[s->u.store.buffer] += s->u.store.active;
    break;
  }
  case NEO_STMT_FOR:
    n = value_of(c, s->u.loop.extent);
    var = s->u.loop.var;
    if (c->matters[var] && info_of(c, s->u.loop.body)->depends && n <= c->budget) {
      c->budget -= n;
      for (int64_t i = 0; i < n; i++) {
        c->var[var] = i;
        count_list(c, s->u.loop.body, out);
      }
    } else {
      count_list(c, s->u.loop.body, &body);
      add(out, &body, (double)n);
    }
    break;
  case NEO_STMT_LET:
    c->var[s->u.let.var] = value_of(c, s->u.let.value);
    count_list(c, s->u.let.body, out);
    break;
  case NEO_STMT_IF:
    count_list(c, value_of(c, s->u.branch.cond) ? s->u.branch.then : s->u.branch.otherwise, out);
    break;
  case NEO_STMT_MATRIX:
    count_matrix(s->u.matrix, out);
    break;
  case NEO_STMT_PREFETCH:
  case NEO_STMT_BARRIER:
    break;
  }
}

static void count_list(counter *c, const neo_stmt *list, cost *out) {
  list_info *info = info_of(c, list);
  if (info->depends) {
    for (; list; list = list->next)
      count_stmt(c, list, out);
    return;
  }
  if (!info->known) {
    cost *made = neo_arena_alloc(&c->arena, sizeof(*made));
    for (; list; list = list->next)
      count_stmt(c, list, made);
    info->known = made;
  }
  add(out, info->known, 1);
}

/* Extent n of a let's value floormod(floordiv(grid, k), n) and the like; 0 if it is not of that
 * form. */
static int64_t decoded_extent(const neo_expr *e, int grid_var, int64_t grid) {
  int64_t k = 1, n = 0;
  const neo_expr *at = e;
  if (at->op == NEO_EXPR_FLOORMOD && neo_expr_is_const(at->arg[1], &n))
    at = at->arg[0];
  if (at->op == NEO_EXPR_FLOORDIV && neo_expr_is_const(at->arg[1], &k))
    at = at->arg[0];
  if (at->op != NEO_EXPR_VAR || at->u.var != grid_var || k < 1)
    return 0;
  return n ? n : grid / k;
}

/* Runs the decoded variables as loops; the innermost counts the body. */
static void count_decoded(counter *c, const neo_launch *launch, const neo_stmt *s, cost *out) {
  if (!s || s->kind != NEO_STMT_LET || s->next) {
    count_list(c, s, out);
    return;
  }
  int var = s->u.let.var;
  int64_t n = decoded_extent(s->u.let.value, launch->var, launch->grid);
  if (!c->matters[var] || n > c->budget) {
    cost body = {0};
    count_decoded(c, launch, s->u.let.body, &body);
    add(out, &body, (double)n);
    return;
  }
  c->budget -= n;
  for (int64_t i = 0; i < n; i++) {
    c->var[var] = i;
    count_decoded(c, launch, s->u.let.body, out);
  }
}

static void count_groups(counter *c, const neo_launch *launch, cost *out) {
  int64_t product = 1;
  const neo_stmt *s = launch->body;
  for (; s && s->kind == NEO_STMT_LET && !s->next; s = s->u.let.body)
    product *= decoded_extent(s->u.let.value, launch->var, launch->grid);
  if (product == launch->grid && !c->matters[launch->var]) {
    count_decoded(c, launch, launch->body, out);
    return;
  }
  if (!info_of(c, launch->body)->depends || launch->grid > c->budget) {
    cost body = {0};
    count_list(c, launch->body, &body);
    add(out, &body, (double)launch->grid);
    return;
  }
  c->budget -= launch->grid;
  for (int64_t g = 0; g < launch->grid; g++) {
    c->var[launch->var] = g;
    count_list(c, launch->body, out);
  }
}

/* The work-items of a group one by one where what they do depends on their number. */
static void count_launch(counter *c, const neo_launch *launch, cost *out) {
  if (launch->lanes > 1 && info_of(c, launch->body)->depends && launch->lanes <= c->budget) {
    c->budget -= launch->lanes;
    for (int i = 0; i < launch->lanes; i++) {
      c->var[launch->lane_var] = i;
      count_groups(c, launch, out);
    }
    return;
  }
  cost group = {0};
  count_groups(c, launch, &group);
  add(out, &group, launch->lanes);
}

void neo_nest_count(neo_nest *nest) {
  counter c = {.nest = nest, .budget = MAX_ITERATIONS};
  neo_arena_init(&c.arena);
  c.memo.arena = &c.arena;
  c.matters = neo_arena_alloc(&c.arena, (size_t)nest->n_vars + 1);
  c.var = neo_arena_alloc(&c.arena, (size_t)(nest->n_vars + 1) * sizeof(*c.var));
  cost *total = neo_arena_alloc(&c.arena, sizeof(*total));
  for (int i = 0; i < nest->n_launches; i++)
    find_matters(&c, nest->launch[i].body);
  for (int i = 0; i < nest->n_launches; i++)
    count_launch(&c, &nest->launch[i], total);
  nest->fmas = total->fmas;
  nest->flops = total->flops;
  nest->bytes = 0;
  for (int i = 0; i < nest->n_buffers; i++) {
    const neo_nest_buffer *b = &nest->buffer[i];
    double n = total->touched[i] < (double)b->elements ? total->touched[i] : (double)b->elements;
    if (b->scope == NEO_SCOPE_PARAM || b->scope == NEO_SCOPE_WORK)
      nest->bytes += n * (double)neo_dtype_size(b->dtype);
  }
  neo_arena_fini(&c.arena);
}
