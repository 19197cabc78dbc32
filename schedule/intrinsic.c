/* The rows of schedule/intrinsics.def: what they match and what they mean.
 *
 * Why: an instruction that sums four products is neither a te operator nor something that code
 * generators should find again in scalar code; a schedule names it, and everyone who reads nests
 * asks here what it computes. */
#include "schedule/intrinsic.h"

#include <math.h>
#include <string.h>

#define NEO_BIT(name) (UINT64_C(1) << NEO_ISA_##name)
static const neo_intrinsic rows[] = {
#define NEO_INTRINSIC_ROW(name, acc, a, b, group, isa, about)                                      \
  {#name, about, NEO_##acc, NEO_##a, NEO_##b, group, isa},
#include "schedule/intrinsics.def"
#undef NEO_INTRINSIC_ROW
};
#undef NEO_BIT

int neo_intrinsic_count(void) {
  return NEO_COUNT(rows);
}

const neo_intrinsic *neo_intrinsic_get(int row) {
  neo_assert(row >= 0 && row < NEO_COUNT(rows));
  return &rows[row];
}

int neo_intrinsic_find(const char *name) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, name) == 0)
      return i;
  return -1;
}

bool neo_intrinsic_native(int row, const neo_target *target) {
  return (neo_intrinsic_get(row)->isa & target->isa) != 0;
}

/* cast.acc(load), or the load itself where it has that type. */
static const neo_expr *factor_of(const neo_expr *e, neo_dtype acc) {
  if (e->op == NEO_EXPR_CAST && e->dtype == acc)
    e = e->arg[0];
  return e->op == NEO_EXPR_LOAD ? e : NULL;
}

bool neo_intrinsic_match(int row, const neo_te_block *block, const neo_expr **out_a,
                         const neo_expr **out_b) {
  const neo_intrinsic *r = neo_intrinsic_get(row);
  const neo_expr *body = block->body;
  if (block->n_reduce == 0 || block->combine != NEO_COMBINE_ADD || body->op != NEO_EXPR_MUL ||
      body->dtype != r->acc)
    return false;
  const neo_expr *a = factor_of(body->arg[0], r->acc), *b = factor_of(body->arg[1], r->acc);
  if (!a || !b)
    return false;
  if (a->dtype != r->a || b->dtype != r->b) {
    const neo_expr *swapped = a;
    a = b;
    b = swapped;
  }
  if (a->dtype != r->a || b->dtype != r->b)
    return false;
  *out_a = a;
  *out_b = b;
  return true;
}

/* The same value in every lane? */
static bool is_uniform(const neo_expr *e) {
  return e->op == NEO_EXPR_BROADCAST ? e->arg[0]->lanes == 1 : e->op == NEO_EXPR_CONST;
}

/* A load, or one that a condition of all lanes replaces by a constant. */
static bool operand_fits(const neo_expr *e, neo_dtype dtype, int group, int lanes) {
  const neo_expr *load = e;
  if (e->op == NEO_EXPR_SELECT && is_uniform(e->arg[0]) && is_uniform(e->arg[2]))
    load = e->arg[1];
  return load->op == NEO_EXPR_LOAD && e->dtype == dtype && load->lanes == e->lanes &&
         (e->lanes == group || e->lanes == group * lanes);
}

bool neo_intrinsic_check(const neo_expr *e) {
  if (e->u.row < 0 || e->u.row >= NEO_COUNT(rows) || e->n_args != 3)
    return false;
  const neo_intrinsic *r = &rows[e->u.row];
  return e->dtype == r->acc && e->arg[0]->dtype == r->acc && e->arg[0]->lanes == e->lanes &&
         operand_fits(e->arg[1], r->a, r->group, e->lanes) &&
         operand_fits(e->arg[2], r->b, r->group, e->lanes);
}

neo_scalar neo_intrinsic_apply(int row, neo_scalar acc, const neo_scalar *a, const neo_scalar *b) {
  const neo_intrinsic *r = neo_intrinsic_get(row);
  if (neo_dtype_class(r->acc) == 'f') {
    float sum = (float)acc.f;
    for (int j = r->group - 1; j >= 0; j--)
      sum = fmaf((float)a[j].f, (float)b[j].f, sum);
    return (neo_scalar){.f = (double)sum};
  }
  int64_t sum = acc.i;
  for (int j = 0; j < r->group; j++)
    sum += a[j].i * b[j].i;
  return neo_scalar_round(r->acc, (neo_scalar){.i = sum});
}
