/* Matrix instructions: a reduce loop and the register tile inside it as one statement.
 *
 * Why: to a nest the instruction is what each work-item does with its own tile (schedule/matrix.h),
 * so the loops around it, copies of operands, accumulators and epilogues are those of any register
 * tile. What is left to do is to see that the work-items of a warp stand as the instruction wants
 * them, and to find the operands' places and steps.
 * How: the group's two innermost loops have 8 and 4 items. The factor that moves with the first of
 * them and not with the second is A, the other one B; the tile's axes that only A uses are rows,
 * those that only B uses columns, one of each at most. Offsets are affine in a variable for each;
 * their coefficients are the steps. neo_nest_check then proves what was found. */
#include "schedule/lower.h"
#include "schedule/matrix.h"

#include <string.h>

enum { ROW, COLUMN, DEEP, STEPS }; /* DEEP: along k */

typedef struct matrix {
  lowerer *l;
  lower_frame *f;
  const neo_matrix *row;
  const neo_expr *a, *b; /* loads */
  int axis[STEPS];       /* of the block; -1: of one element */
  int var[STEPS];
} matrix;

static bool fail(const matrix *m, const char *what) {
  return lower_fail(m->l, "schedule: tensorize B%d: %s", m->f->block->index, what);
}

static bool uses_axis(const neo_expr *load, int axis) {
  for (int k = 0; k < load->n_args; k++)
    if (neo_expr_uses_var(load->arg[k], axis))
      return true;
  return false;
}

/* ---- who is who ------------------------------------------------------------------------------------- */

/* Offset of a factor at the start of the tile; NULL: failed. */
static const neo_expr *place_of(const matrix *m, const neo_expr *load) {
  const lower_binding *binding = &m->l->binding[load->u.load.buffer];
  if (binding->buffer < 0) {
    fail(m, "a factor is read before anything computes it");
    return NULL;
  }
  if (lower_is_guarded(m->l, m->f, load)) {
    fail(m, "a factor has padding that is not in a copy");
    return NULL;
  }
  return lower_place(m->l, m->f, binding, load->arg);
}

/* Does it move with the 8 work-items of a column (g) and not with the 4 of a row (t)? */
static bool moves_with(const neo_expr *offset, int var, int other) {
  return neo_expr_uses_var(offset, var) && !neo_expr_uses_var(offset, other);
}

static bool find_factors(matrix *m) {
  const lower_grid *items = m->l->items;
  int last = items->first + items->n - 1;
  const neo_expr *x, *y;
  if (items->n < 2 || items->extent[last - 1] != NEO_MATRIX_ROW_ITEMS ||
      items->extent[last] != NEO_MATRIX_COLUMN_ITEMS)
    return fail(m, "the two innermost loops of the group are not of 8 and 4 work-items");
  int g = items->digit[last - 1], t = items->digit[last];
  bool sums = neo_matrix_factors(m->f->block->te, &x, &y);
  neo_assert(sums);
  const neo_expr *at_x = place_of(m, x), *at_y = at_x ? place_of(m, y) : NULL;
  if (!at_y)
    return false;
  bool in_order = moves_with(at_x, g, t) && moves_with(at_y, t, g);
  if (!in_order && !(moves_with(at_y, g, t) && moves_with(at_x, t, g)))
    return fail(m, "one factor has to move with the group's loop of 8 work-items only, the other "
                   "one with that of 4 only");
  m->a = in_order ? x : y;
  m->b = in_order ? y : x;
  return (m->a->dtype == m->row->a && m->b->dtype == m->row->b) ||
         fail(m, "the factor of the loop of 8 work-items is not of the row's first type");
}

static bool find_axes(matrix *m) {
  const neo_te_block *te = m->f->block->te;
  for (int a = 0; a < te->n_spatial; a++) {
    const lower_span *span = &m->f->span[a];
    if (span->left)
      return fail(m, "the tile's size is not static");
    if (span->size == 1)
      continue;
    bool of_a = uses_axis(m->a, a), of_b = uses_axis(m->b, a);
    int *axis = &m->axis[of_a ? ROW : COLUMN];
    if (of_a == of_b || *axis >= 0)
      return fail(m, "the tile has not one axis of each factor");
    *axis = a;
  }
  return true;
}

/* ---- places and steps ------------------------------------------------------------------------------- */

/* `full`: offset with a variable for each step, `base` the same with zeros. */
static bool measure(const matrix *m, const neo_expr *full, const neo_expr *base, int64_t *step) {
  neo_affine a, b;
  if (!neo_expr_affine(full, &a) || !neo_expr_affine(base, &b))
    return fail(m, "a factor's place is not affine");
  for (int i = 0; i < STEPS; i++)
    step[i] = m->var[i] < 0 ? 0 : neo_affine_coef(&a, m->var[i]);
  for (int i = 0; i < a.n; i++) {
    bool own = a.var[i] == m->var[ROW] || a.var[i] == m->var[COLUMN] || a.var[i] == m->var[DEEP];
    if (!own && neo_affine_coef(&b, a.var[i]) != a.coef[i])
      return fail(m, "a factor's place is not affine");
  }
  return a.base == b.base || fail(m, "a factor's place is not affine");
}

static void fill(neo_matrix_place *place, int buffer, const neo_expr *base, int64_t first,
                 int64_t second) {
  place->buffer = buffer;
  place->offset = base;
  place->step[0] = first;
  place->step[1] = second;
}

/* The places with the tile's variables in the spans. */
static bool find_places(matrix *m, const lower_binding *acc, neo_matrix_stmt *out) {
  lowerer *l = m->l;
  lower_span saved[STEPS];
  const neo_te_block *te = m->f->block->te;
  const neo_expr *base[3], *full[3];
  int64_t step[3][STEPS];
  base[0] = lower_place(l, m->f, acc, te->write);
  base[1] = place_of(m, m->a);
  base[2] = place_of(m, m->b);
  for (int i = 0; i < STEPS; i++) {
    m->var[i] = -1;
    if (m->axis[i] < 0)
      continue;
    lower_span *span = &m->f->span[m->axis[i]];
    saved[i] = *span;
    m->var[i] = lower_new_var(l, span->size);
    span->base =
        neo_expr_binary(l->arena, NEO_EXPR_ADD, span->base, neo_expr_var(l->arena, m->var[i]));
    span->size = 1;
  }
  full[0] = lower_place(l, m->f, acc, te->write);
  full[1] = place_of(m, m->a);
  full[2] = place_of(m, m->b);
  for (int i = 0; i < STEPS; i++)
    if (m->axis[i] >= 0)
      m->f->span[m->axis[i]] = saved[i];
  for (int i = 0; i < 3; i++)
    if (!base[i] || !full[i] || !measure(m, full[i], base[i], step[i]))
      return false;
  fill(&out->acc, acc->buffer, base[0], step[0][ROW], step[0][COLUMN]);
  fill(&out->a, l->binding[m->a->u.load.buffer].buffer, base[1], step[1][ROW], step[1][DEEP]);
  fill(&out->b, l->binding[m->b->u.load.buffer].buffer, base[2], step[2][DEEP], step[2][COLUMN]);
  const lower_grid *items = l->items;
  neo_affine b;
  neo_expr_affine(base[2], &b);
  out->b.step[2] = neo_affine_coef(&b, items->digit[items->first + items->n - 1]);
  return true;
}

static bool check_tile(const matrix *m, const neo_matrix_stmt *made) {
  if (made->rows % neo_matrix_rows(made->row) || made->columns % neo_matrix_columns(made->row) ||
      made->rows > NEO_MATRIX_MAX_TILE || made->columns > NEO_MATRIX_MAX_TILE)
    return lower_fail(m->l,
                      "schedule: tensorize B%d: a tile of %d rows and %d columns, multiples of %d "
                      "and %d needed, %d at most",
                      m->f->block->index, made->rows, made->columns, neo_matrix_rows(made->row),
                      neo_matrix_columns(made->row), NEO_MATRIX_MAX_TILE);
  if (m->l->nest->buffer[made->acc.buffer].scope != NEO_SCOPE_REG)
    return fail(m, "the sums are not in registers");
  for (int i = 0; i < 2; i++)
    if (made->acc.step[i] < 0 || made->a.step[i] < 0 || made->b.step[i] < 0 || made->b.step[2] < 0)
      return fail(m, "a factor is walked backwards");
  return true;
}

bool lower_matrix(lowerer *l, lower_frame *f, int pos, lower_list *out) {
  const lower_loop *loop = &f->block->loop[pos];
  int row = loop->matrix - 1;
  matrix m = {.l = l, .f = f, .row = neo_matrix_get(row), .axis = {-1, -1, loop->axis}};
  const lower_span *deep = &f->span[loop->axis];
  if (l->status != NEO_OK)
    return false;
  if (deep->left || deep->size != m.row->k)
    return fail(&m, "the loop's extent does not divide its axis");
  const lower_binding *acc = f->acc ? f->acc : &l->binding[f->block->te->buffer];
  neo_matrix_stmt made = {.row = row};
  if (!find_factors(&m) || !find_axes(&m) || !find_places(&m, acc, &made))
    return false;
  made.rows = m.axis[ROW] < 0 ? 1 : (int)neo_min_i64(f->span[m.axis[ROW]].size, INT32_MAX);
  made.columns = m.axis[COLUMN] < 0 ? 1 : (int)neo_min_i64(f->span[m.axis[COLUMN]].size, INT32_MAX);
  if (!check_tile(&m, &made))
    return false;
  lower_list_add(out, neo_nest_matrix(l->arena, &made));
  return true;
}
