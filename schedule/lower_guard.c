/* Guards that are the same for a whole register tile become branches around its accumulation.
 *
 * Why: padding is a guard on reads. As a select per load it costs more than the multiply-add that
 * it protects; but where a guard depends only on loops outside (the output row and the kernel row,
 * say) all it can do is switch off one step of the reduction. How: inside a reduce loop, a guard is
 * uniform when every axis in its index is down to one value. If the step's contribution would be
 * the reduction's neutral element (fill 0 times a constant or in integers; the initial value of a
 * maximum), the step is put under the guard's condition, and the loads inside know that it holds.
 *
 * A product of 0 and a constant that is not finite is taken for 0. */
#include "schedule/lower.h"

static const neo_expr *strip_casts(const neo_expr *e) {
  while (e->op == NEO_EXPR_CAST)
    e = e->arg[0];
  return e;
}

typedef struct const_query {
  const neo_te *te;
  bool constant;
} const_query;

static void note_role(void *self, const neo_expr *load) {
  const_query *q = self;
  q->constant = q->constant && q->te->buffer[load->u.load.buffer].role == NEO_TE_CONST;
}

/* Is the other factor finite for all we know? */
static bool is_tame(const lowerer *l, const neo_expr *e) {
  const_query q = {l->te, true};
  if (neo_dtype_class(e->dtype) != 'f')
    return true;
  neo_expr_visit_loads(e, note_role, &q);
  return q.constant;
}

/* Does the body contribute nothing where this load is its fill value? */
static bool is_neutral(const lowerer *l, const neo_te_block *te, const neo_expr *load) {
  const neo_expr *body = strip_casts(te->body);
  double fill = load->u.load.fill,
         init = neo_dtype_class(te->body->dtype) == 'f' ? te->init.f : (double)te->init.i;
  if (te->combine == NEO_COMBINE_MAX || te->combine == NEO_COMBINE_MIN)
    return te->body == load && fill == init;
  if (te->combine != NEO_COMBINE_ADD || fill != 0)
    return false;
  if (body == load)
    return true;
  return body->op == NEO_EXPR_MUL &&
         ((strip_casts(body->arg[0]) == load && is_tame(l, body->arg[1])) ||
          (strip_casts(body->arg[1]) == load && is_tame(l, body->arg[0])));
}

/* Is every axis of the index down to one value here? */
static bool is_uniform(const lower_frame *f, const neo_expr *e) {
  if (e->op == NEO_EXPR_LOAD)
    return false;
  if (e->op == NEO_EXPR_VAR)
    return !f->span[e->u.var].left && f->span[e->u.var].size == 1;
  for (int i = 0; i < e->n_args; i++)
    if (!is_uniform(f, e->arg[i]))
      return false;
  return true;
}

typedef struct query {
  lowerer *l;
  const lower_frame *f;
  const neo_expr *all;
} query;

static void note_guards(void *self, const neo_expr *load) {
  query *q = self;
  if (load->u.load.n_guards == 0 || !is_neutral(q->l, q->f->block->te, load))
    return;
  for (int i = 0; i < load->u.load.n_guards; i++) {
    const neo_guard *g = &load->u.load.guard[i];
    const neo_expr *cond = is_uniform(q->f, g->index) ? lower_guard(q->l, q->f, g) : NULL;
    if (cond)
      q->all = q->all ? neo_expr_binary(q->l->arena, NEO_EXPR_AND, q->all, cond) : cond;
  }
}

const neo_expr *lower_step_condition(lowerer *l, const lower_frame *f) {
  query q = {l, f, NULL};
  neo_expr_visit_loads(f->block->te->body, note_guards, &q);
  return q.all;
}
