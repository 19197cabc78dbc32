/* Facts about a te that schedule rules and the analytic model ask for: accesses, strides, costs.
 *
 * Why: rules decide by how an axis moves through memory, not by operator names, so that a fused
 * operator which no one foresaw is scheduled as well as a plain convolution. How: each block's
 * store and distinct loads become dim x axis coefficient tables. Quasi-affine dims keep 1 for every
 * axis they use and are marked. */
#include "schedule/sketch.h"

#include <string.h>

#define MAX_ACCESS 48

typedef struct collector {
  const neo_te *te;
  int n_axes, n;
  const neo_expr *load[MAX_ACCESS];
  bool indirect[MAX_ACCESS];
} collector;

/* e, a / d, a % m or a / d % m with affine a: its parts. */
static bool split_index(const neo_expr *e, neo_affine *affine, int64_t *divide, int64_t *modulo) {
  if (e->op == NEO_EXPR_FLOORMOD && neo_expr_is_const(e->arg[1], modulo) && *modulo > 0)
    e = e->arg[0];
  else
    *modulo = 0;
  if (e->op == NEO_EXPR_FLOORDIV && neo_expr_is_const(e->arg[1], divide) && *divide > 0)
    e = e->arg[0];
  else
    *divide = 0;
  return neo_expr_affine(e, affine);
}

static void index_access(neo_access *out, int dim, const neo_expr *index, int n_axes) {
  neo_affine affine;
  int64_t divide, modulo;
  bool known = split_index(index, &affine, &divide, &modulo);
  out->affine[dim] = known && divide == 0 && modulo == 0;
  if (known) {
    out->divide[dim] = divide;
    out->modulo[dim] = modulo;
    out->from_zero |= (uint32_t)(affine.base == 0) << dim;
  }
  for (int a = 0; a < n_axes; a++) {
    out->coef[dim][a] = known ? neo_affine_coef(&affine, a) : neo_expr_uses_var(index, a);
    out->axes[dim] |= (uint32_t)(out->coef[dim][a] != 0) << a;
  }
  out->base[dim] = out->affine[dim] ? affine.base : 0;
}

static void note_indirect(void *self, const neo_expr *load) {
  (void)load;
  *(bool *)self = true;
}

static bool has_load(const neo_expr *e) {
  bool found = false;
  neo_expr_visit_loads(e, note_indirect, &found);
  return found;
}

static void collect(void *context, const neo_expr *load) {
  collector *self = context;
  for (int i = 0; i < self->n; i++)
    if (neo_expr_equal(self->load[i], load))
      return;
  if (self->n < MAX_ACCESS)
    self->load[self->n++] = load;
}

static neo_access load_access(const neo_te *te, const neo_expr *load, int n_axes) {
  neo_access out = {.buffer = load->u.load.buffer,
                    .rank = te->buffer[load->u.load.buffer].shape.rank};
  out.guarded = load->u.load.n_guards > 0;
  for (int g = 0; g < load->u.load.n_guards; g++)
    for (int a = 0; a < n_axes; a++)
      if (neo_expr_uses_var(load->u.load.guard[g].index, a))
        out.guard_axes |= UINT32_C(1) << a;
  for (int k = 0; k < out.rank && k < load->n_args; k++) {
    index_access(&out, k, load->arg[k], n_axes);
    if (!out.affine[k] && has_load(load->arg[k]))
      out.indirect = true;
  }
  return out;
}

static double op_cost(neo_expr_op op) {
  switch (op) {
  case NEO_EXPR_CONST:
  case NEO_EXPR_VAR:
  case NEO_EXPR_LOAD:
  case NEO_EXPR_BROADCAST:
    return 0;
  case NEO_EXPR_DIV:
  case NEO_EXPR_MOD:
  case NEO_EXPR_SQRT:
    return 6;
  case NEO_EXPR_EXP:
  case NEO_EXPR_LOG:
    return 14;
  case NEO_EXPR_SIN:
  case NEO_EXPR_COS:
  case NEO_EXPR_TANH:
  case NEO_EXPR_SINH:
  case NEO_EXPR_COSH:
  case NEO_EXPR_ERF:
    return 24;
  case NEO_EXPR_TAN:
  case NEO_EXPR_ASIN:
  case NEO_EXPR_ACOS:
  case NEO_EXPR_ATAN:
  case NEO_EXPR_ASINH:
  case NEO_EXPR_ACOSH:
  case NEO_EXPR_ATANH:
  case NEO_EXPR_POW:
    return 40;
  default:
    return 1;
  }
}

static double body_cost(const neo_expr *e) {
  double sum = op_cost(e->op);
  if (e->op == NEO_EXPR_LOAD)
    return e->u.load.n_guards * 0.15;
  for (int i = 0; i < e->n_args; i++)
    sum += body_cost(e->arg[i]);
  return sum;
}

/* select(axis == 0, f0, select(axis == 1, f1, ...)): the number of formulas and their mean cost. */
static int count_formulas(const neo_expr *e, double *mean) {
  int n = 1;
  double sum = 0;
  for (; e->op == NEO_EXPR_SELECT && e->arg[0]->op == NEO_EXPR_EQ &&
         e->arg[0]->arg[0]->op == NEO_EXPR_VAR;
       e = e->arg[2], n++)
    sum += body_cost(e->arg[1]);
  *mean = (sum + body_cost(e)) / n;
  return n;
}

static const neo_expr *strip_cast(const neo_expr *e) {
  while (e->op == NEO_EXPR_CAST)
    e = e->arg[0];
  return e;
}

/* A factor of a contraction: a load, through casts and (quantised) subtraction of a constant. */
static const neo_expr *factor_load(const neo_expr *e) {
  e = strip_cast(e);
  if (e->op == NEO_EXPR_SUB && strip_cast(e->arg[1])->op == NEO_EXPR_CONST)
    e = strip_cast(e->arg[0]);
  return e->op == NEO_EXPR_LOAD ? e : NULL;
}

static bool is_contraction(const neo_te_block *block) {
  if (block->combine != NEO_COMBINE_ADD)
    return false;
  const neo_expr *body = strip_cast(block->body);
  if (body->op != NEO_EXPR_MUL)
    return false;
  const neo_expr *a = factor_load(body->arg[0]), *b = factor_load(body->arg[1]);
  return a && b && !neo_expr_equal(a, b);
}

static void block_facts(neo_arena *arena, const neo_te *te, const neo_te_block *block,
                        neo_block_facts *out) {
  int n_axes = block->n_spatial + block->n_reduce;
  collector loads = {.te = te, .n_axes = n_axes};
  neo_expr_visit_loads(block->body, collect, &loads);
  out->access = neo_arena_alloc(arena, sizeof(neo_access) * (size_t)(loads.n + 1));
  neo_access *store = &out->access[0];
  store->buffer = block->buffer;
  store->store = true;
  store->rank = te->buffer[block->buffer].shape.rank;
  for (int k = 0; k < store->rank; k++)
    index_access(store, k, block->write[k], n_axes);
  for (int i = 0; i < loads.n; i++)
    out->access[i + 1] = load_access(te, loads.load[i], n_axes);
  out->n_access = loads.n + 1;
  out->contraction = block->n_reduce > 0 && is_contraction(block);
  out->formulas = count_formulas(block->body, &out->ops);
  out->ops += (block->n_reduce > 0 && !out->contraction);
}

void neo_facts_find(neo_arena *arena, const neo_te *te, neo_facts *out) {
  memset(out, 0, sizeof(*out));
  out->te = te;
  for (int b = 0; b < te->n_buffers; b++)
    out->writer[b] = out->reader[b] = -1;
  for (int k = 0; k < te->n_blocks; k++) {
    block_facts(arena, te, &te->block[k], &out->block[k]);
    if (out->writer[te->block[k].buffer] < 0)
      out->writer[te->block[k].buffer] = k;
    for (int i = 1; i < out->block[k].n_access; i++) {
      int buffer = out->block[k].access[i].buffer;
      if (out->reader[buffer] != k)
        out->n_readers[buffer]++;
      out->reader[buffer] = k;
    }
  }
}

bool neo_access_uses(const neo_access *access, int axis) {
  uint32_t all = 0;
  for (int d = 0; d < access->rank; d++)
    all |= access->axes[d];
  return all >> axis & 1;
}

static bool dim_is_only(const neo_access *access, int dim, int axis) {
  for (int a = 0; a < NEO_TE_MAX_AXES; a++)
    if (a != axis && access->coef[dim][a] != 0)
      return false;
  return true;
}

int neo_access_dim(const neo_access *access, int axis) {
  int found = -1;
  for (int d = 0; d < access->rank; d++) {
    if (access->coef[d][axis] == 0)
      continue;
    if (found >= 0 || !access->affine[d] || access->coef[d][axis] != 1)
      return -1;
    found = d;
  }
  return found;
}

/* Stride of one logical dim for a step of `axis`. */
static int64_t dim_stride(const neo_access *access, const neo_layout *layout,
                          const neo_shape *shape, int dim, int axis, int lanes) {
  int64_t stride = 1, found = NEO_STRIDE_ODD;
  for (int i = layout->n - 1; i >= 0; i--) {
    const neo_layout_dim *p = &layout->dim[i];
    if (p->dim == dim && p->part == ' ')
      found = stride * access->coef[dim][axis];
    if (p->dim == dim && p->part == '%' && access->coef[dim][axis] == 1 && p->factor % lanes == 0 &&
        access->base[dim] % lanes == 0 && dim_is_only(access, dim, axis))
      found = stride;
    stride *= neo_layout_extent(p, shape);
  }
  return found;
}

/* Of a quotient or remainder of the axis alone, whose steps lie between aligned groups of lanes. */
static int64_t cut_stride(const neo_access *access, const neo_layout *layout,
                          const neo_shape *shape, int dim, int axis, int lanes) {
  bool plain = access->from_zero >> dim & 1 && access->coef[dim][axis] == 1 &&
               dim_is_only(access, dim, axis);
  if (plain && access->divide[dim] > 0)
    return access->divide[dim] % lanes == 0 ? 0 : NEO_STRIDE_ODD;
  if (plain && access->modulo[dim] > 0 && access->modulo[dim] % lanes == 0)
    return dim_stride(access, layout, shape, dim, axis, lanes);
  return NEO_STRIDE_ODD;
}

int64_t neo_access_stride(const neo_access *access, const neo_te *te, const neo_layout *layout,
                          int axis, int lanes) {
  const neo_shape *shape = &te->buffer[access->buffer].shape;
  neo_layout row_major = {0};
  if (layout->n == 0) {
    for (int d = 0; d < shape->rank; d++)
      row_major.dim[d] = (neo_layout_dim){(int8_t)d, ' ', 0};
    row_major.n = shape->rank;
    layout = &row_major;
  }
  int64_t sum = 0;
  for (int d = 0; d < access->rank; d++) {
    if (access->coef[d][axis] == 0)
      continue;
    int64_t stride = access->affine[d] ? dim_stride(access, layout, shape, d, axis, lanes)
                                       : cut_stride(access, layout, shape, d, axis, lanes);
    if (stride == NEO_STRIDE_ODD)
      return NEO_STRIDE_ODD;
    sum += stride;
  }
  return sum;
}

bool neo_access_maps_axes(const neo_access *read, const neo_te_block *out, const neo_te_block *red,
                          int *out_of_red) {
  bool used[NEO_TE_MAX_AXES] = {false};
  for (int d = 0; d < read->rank; d++) {
    int of = -1;
    for (int a = 0; a < out->n_spatial; a++) {
      if (read->coef[d][a] == 0)
        continue;
      if (!read->affine[d] || read->coef[d][a] != 1 || of >= 0 || used[a])
        return false;
      of = a;
      used[a] = true;
    }
    if (read->base[d] != 0 || red->extent[d] != (of < 0 ? 1 : out->extent[of]))
      return false;
    out_of_red[d] = of;
  }
  for (int a = 0; a < out->n_spatial; a++)
    if (!used[a] && out->extent[a] > 1)
      return false;
  return true;
}
