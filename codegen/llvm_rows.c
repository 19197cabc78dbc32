/* codegen/llvm_rows.c: which stack buffers need no memory.
 *
 * Lowering has no node for a lane-wise gather: it writes the lanes one by one into a small stack
 * row and loads that row as a vector. In memory that costs a failed store forwarding for each load
 * (a dozen cycles and more). So a small stack buffer that is stored to by scalars only, always at
 * offsets that are constant once unrolled loops are, becomes a set of SSA scalars (as REG buffers
 * are), and a vector load of it a chain of lane insertions. */
#include "codegen/llvm_emitter.h"

enum { MAX_ROW = 64, MAX_STEPS = 20000 };

typedef struct row_finder {
  llvm_emitter *em;
  bool *unrolled; /* per variable: bound to constants */
  int steps;      /* left; expressions are DAGs and this walk is a tree walk */
} row_finder;

static bool is_constant_once_unrolled(const row_finder *f, const neo_expr *offset) {
  neo_affine a;
  if (!neo_expr_affine(offset, &a))
    return false;
  for (int k = 0; k < a.n; k++)
    if (!f->unrolled[a.var[k]])
      return false;
  return true;
}

static void find_in_expr(row_finder *f, const neo_expr *e) {
  if (f->steps-- <= 0)
    return;
  if (e->op == NEO_EXPR_LOAD && !is_constant_once_unrolled(f, e->arg[0]))
    f->em->row[e->u.load.buffer] = false;
  for (int k = 0; k < e->n_args; k++)
    find_in_expr(f, e->arg[k]);
}

static void find_in_list(row_finder *f, const neo_stmt *s) {
  int64_t extent;
  for (; s; s = s->next)
    switch (s->kind) {
    case NEO_STMT_FOR:
      f->unrolled[s->u.loop.var] =
          s->u.loop.unrolled && neo_expr_is_const(s->u.loop.extent, &extent);
      find_in_list(f, s->u.loop.body);
      break;
    case NEO_STMT_LET:
      find_in_list(f, s->u.let.body);
      break;
    case NEO_STMT_IF:
      find_in_expr(f, s->u.branch.cond);
      find_in_list(f, s->u.branch.then);
      find_in_list(f, s->u.branch.otherwise);
      break;
    case NEO_STMT_STORE:
      if (s->u.store.value->lanes != 1 || !is_constant_once_unrolled(f, s->u.store.offset))
        f->em->row[s->u.store.buffer] = false;
      find_in_expr(f, s->u.store.offset);
      find_in_expr(f, s->u.store.value);
      break;
    case NEO_STMT_PREFETCH:
      f->em->row[s->u.prefetch.buffer] = false;
      break;
    case NEO_STMT_BARRIER:
    case NEO_STMT_MATRIX:
      break;
    }
}

void llvm_find_rows(llvm_emitter *em, const neo_stmt *body) {
  row_finder f = {.em = em, .steps = MAX_STEPS};
  f.unrolled = neo_arena_alloc(&em->arena, (size_t)em->nest->n_vars + 1);
  for (int b = 0; b < em->nest->n_buffers; b++)
    em->row[b] =
        em->nest->buffer[b].scope == NEO_SCOPE_STACK && em->nest->buffer[b].elements <= MAX_ROW;
  find_in_list(&f, body);
  for (int b = 0; b < em->nest->n_buffers && f.steps <= 0; b++)
    em->row[b] = false;
}
