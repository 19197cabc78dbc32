/* ir/expr_linear.c: the normal form of scalar i64 sums, base + sum coef * atom.
 *
 * As a tree it is (((t1 + t2) + ...) + base), each t an atom or atom * constant, atoms in ascending
 * order (variables by number first, then by structure). All arithmetic is modulo 2^64, as i64 data
 * in a body wraps too. */
#include "ir/expr_internal.h"

#include <string.h>

void neo_linear_init(neo_linear *l, neo_arena *arena) {
  l->arena = arena;
  l->base = 0;
  l->n = 0;
  l->cap = NEO_LINEAR_INLINE;
  l->term = l->room;
}

static int term_order(const neo_expr *a, const neo_expr *b) {
  if (a->op == NEO_EXPR_VAR && b->op == NEO_EXPR_VAR)
    return a->u.var - b->u.var;
  return neo_expr_compare(a, b);
}

void neo_linear_add_term(neo_linear *l, const neo_expr *atom, int64_t coef) {
  if (coef == 0)
    return;
  int k = l->n;
  while (k > 0 && term_order(l->term[k - 1].atom, atom) > 0)
    k--;
  if (k > 0 && term_order(l->term[k - 1].atom, atom) == 0) {
    l->term[k - 1].coef = neo_wrap_add(l->term[k - 1].coef, coef);
    if (l->term[k - 1].coef == 0) {
      memmove(&l->term[k - 1], &l->term[k], sizeof *l->term * (size_t)(l->n - k));
      l->n--;
    }
    return;
  }
  if (l->n == l->cap) {
    neo_linear_term *more = neo_arena_alloc(l->arena, sizeof *more * (size_t)l->cap * 2);
    memcpy(more, l->term, sizeof *more * (size_t)l->n);
    l->term = more;
    l->cap *= 2;
  }
  memmove(&l->term[k + 1], &l->term[k], sizeof *l->term * (size_t)(l->n - k));
  l->term[k] = (neo_linear_term){atom, coef};
  l->n++;
}

void neo_linear_add(neo_linear *l, const neo_expr *e, int64_t coef) {
  int64_t c;
  for (; e->op == NEO_EXPR_ADD; e = e->arg[0])
    neo_linear_add(l, e->arg[1], coef);
  if (neo_expr_is_const(e, &c))
    l->base = neo_wrap_add(l->base, neo_wrap_mul(c, coef));
  else if (e->op == NEO_EXPR_MUL && neo_expr_is_const(e->arg[1], &c))
    neo_linear_add(l, e->arg[0], neo_wrap_mul(c, coef));
  else
    neo_linear_add_term(l, e, coef);
}

const neo_expr *neo_linear_expr(const neo_linear *l) {
  const neo_expr *sum = NULL;
  for (int k = 0; k < l->n; k++) {
    const neo_expr *t = l->term[k].atom;
    if (l->term[k].coef != 1) {
      const neo_expr *arg[2] = {t, neo_expr_index(l->arena, l->term[k].coef)};
      t = neo_expr_raw(l->arena, NEO_EXPR_MUL, NEO_I64, 1, 2, arg);
    }
    const neo_expr *arg[2] = {sum, t};
    sum = sum ? neo_expr_raw(l->arena, NEO_EXPR_ADD, NEO_I64, 1, 2, arg) : t;
  }
  if (!sum)
    return neo_expr_index(l->arena, l->base);
  if (l->base == 0)
    return sum;
  const neo_expr *arg[2] = {sum, neo_expr_index(l->arena, l->base)};
  return neo_expr_raw(l->arena, NEO_EXPR_ADD, NEO_I64, 1, 2, arg);
}
