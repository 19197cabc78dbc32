/* The rows of schedule/matrices.def: what they match and mean, and their statement in a nest.
 *
 * Why: a tensor core multiplies matrices that the work-items of a warp hold together; whoever
 * schedules, checks, interprets or prints that asks here what one work-item's part of it is. */
#include "schedule/matrix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const neo_matrix rows[] = {
#define NEO_MATRIX_ROW(name, acc, a, b, m, n, k, sm)                                               \
  {#name, NEO_##acc, NEO_##a, NEO_##b, m, n, k, sm},
#include "schedule/matrices.def"
#undef NEO_MATRIX_ROW
};

int neo_matrix_count(void) {
  return NEO_COUNT(rows);
}

const neo_matrix *neo_matrix_get(int row) {
  neo_assert(row >= 0 && row < NEO_COUNT(rows));
  return &rows[row];
}

int neo_matrix_find(const char *name) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i].name, name) == 0)
      return i;
  return -1;
}

int neo_matrix_rows(int row) {
  return neo_matrix_get(row)->m / NEO_MATRIX_ROW_ITEMS;
}

int neo_matrix_columns(int row) {
  return neo_matrix_get(row)->n / NEO_MATRIX_COLUMN_ITEMS;
}

bool neo_matrix_native(int row, const neo_target *target) {
  const char *number = strchr(target->gpu.model, '_');
  return strcmp(target->gpu.api, "cuda") == 0 && number &&
         strtol(number + 1, NULL, 10) >= neo_matrix_get(row)->sm;
}

/* ---- matching and meaning --------------------------------------------------------------------------- */

/* cast.acc(load), or the load itself where it has that type. */
static const neo_expr *factor_of(const neo_expr *e, neo_dtype acc) {
  if (e->op == NEO_EXPR_CAST && e->dtype == acc)
    e = e->arg[0];
  return e->op == NEO_EXPR_LOAD ? e : NULL;
}

bool neo_matrix_factors(const neo_te_block *block, const neo_expr **out_x, const neo_expr **out_y) {
  const neo_expr *body = block->body;
  if (block->n_reduce == 0 || block->combine != NEO_COMBINE_ADD || body->op != NEO_EXPR_MUL)
    return false;
  const neo_expr *x = factor_of(body->arg[0], body->dtype),
                 *y = factor_of(body->arg[1], body->dtype);
  if (!x || !y)
    return false;
  *out_x = x;
  *out_y = y;
  return true;
}

neo_scalar neo_matrix_apply(int row, neo_scalar acc, const neo_scalar *a, const neo_scalar *b) {
  const neo_matrix *r = neo_matrix_get(row);
  if (neo_dtype_class(r->acc) == 'f') {
    float sum = (float)acc.f;
    for (int j = 0; j < r->k; j++)
      sum = fmaf((float)a[j].f, (float)b[j].f, sum);
    return (neo_scalar){.f = (double)sum};
  }
  int64_t sum = acc.i;
  for (int j = 0; j < r->k; j++)
    sum += a[j].i * b[j].i;
  return neo_scalar_round(r->acc, (neo_scalar){.i = sum});
}

/* ---- the statement ---------------------------------------------------------------------------------- */

neo_stmt *neo_nest_matrix(neo_arena *arena, const neo_matrix_stmt *made) {
  neo_stmt *stmt = neo_arena_alloc(arena, sizeof(*stmt));
  stmt->kind = NEO_STMT_MATRIX;
  stmt->u.matrix = neo_arena_copy(arena, made, sizeof(*made));
  return stmt;
}

/* The part of an offset that differs between work-items; false: it does not follow from the
 * work-item's number. */
static bool varying_part(const neo_affine *a, const neo_matrix_scope *scope, int lane,
                         int64_t *out) {
  *out = 0;
  for (int i = 0; i < a->n; i++) {
    if (!scope->varies[a->var[i]])
      continue;
    if (!scope->value[a->var[i]])
      return false;
    *out =
        (int64_t)((uint64_t)*out + (uint64_t)a->coef[i] * (uint64_t)scope->value[a->var[i]][lane]);
  }
  return true;
}

const char *neo_matrix_uneven(const neo_matrix_stmt *s, const neo_matrix_scope *scope) {
  neo_affine a, b;
  int64_t here_a = 0, here_b = 0, row_a = 0, warp_b = 0;
  if (scope->lanes % NEO_MATRIX_WARP != 0)
    return "a matrix instruction in a group that is not whole warps, work-items";
  if (!neo_expr_affine(s->a.offset, &a) || !neo_expr_affine(s->b.offset, &b))
    return "a matrix's place is not affine: buffer";
  for (int lane = 0; lane < scope->lanes; lane++) {
    int t = lane % NEO_MATRIX_COLUMN_ITEMS;
    if (!varying_part(&a, scope, lane, &here_a) || !varying_part(&b, scope, lane, &here_b))
      return "a matrix's place does not follow from the work-item's number: buffer";
    row_a = t == 0 ? here_a : row_a;
    warp_b = lane % NEO_MATRIX_WARP == 0 ? here_b : warp_b;
    if (here_a != row_a)
      return "matrix A's place differs between work-items of the same rows: buffer";
    if ((uint64_t)here_b != (uint64_t)warp_b + (uint64_t)t * (uint64_t)s->b.step[2])
      return "matrix B's place is not a step from one work-item's columns to the next: buffer";
  }
  return NULL;
}
