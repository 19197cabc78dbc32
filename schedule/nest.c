/* Constructors of nest statements.
 *
 * Why: lowering, the parser and tests build the same few statements.
 * How: arena nodes; lists are chained through ->next by the caller. */
#include "schedule/nest.h"

static neo_stmt *make(neo_arena *arena, neo_stmt_kind kind) {
  neo_stmt *stmt = neo_arena_alloc(arena, sizeof(*stmt));
  stmt->kind = kind;
  return stmt;
}

neo_stmt *neo_nest_for(neo_arena *arena, int var, const neo_expr *extent, bool unrolled,
                       neo_stmt *body) {
  neo_stmt *stmt = make(arena, NEO_STMT_FOR);
  stmt->u.loop.var = var;
  stmt->u.loop.extent = extent;
  stmt->u.loop.unrolled = unrolled;
  stmt->u.loop.body = body;
  return stmt;
}

neo_stmt *neo_nest_let(neo_arena *arena, int var, const neo_expr *value, neo_stmt *body) {
  neo_stmt *stmt = make(arena, NEO_STMT_LET);
  stmt->u.let.var = var;
  stmt->u.let.value = value;
  stmt->u.let.body = body;
  return stmt;
}

neo_stmt *neo_nest_if(neo_arena *arena, const neo_expr *cond, neo_stmt *then, neo_stmt *otherwise) {
  neo_stmt *stmt = make(arena, NEO_STMT_IF);
  stmt->u.branch.cond = cond;
  stmt->u.branch.then = then;
  stmt->u.branch.otherwise = otherwise;
  return stmt;
}

neo_stmt *neo_nest_store(neo_arena *arena, int buffer, const neo_expr *offset,
                         const neo_expr *value, int active) {
  neo_stmt *stmt = make(arena, NEO_STMT_STORE);
  stmt->u.store.buffer = buffer;
  stmt->u.store.offset = offset;
  stmt->u.store.value = value;
  stmt->u.store.active = active;
  return stmt;
}

neo_stmt *neo_nest_prefetch(neo_arena *arena, int buffer, const neo_expr *offset) {
  neo_stmt *stmt = make(arena, NEO_STMT_PREFETCH);
  stmt->u.prefetch.buffer = buffer;
  stmt->u.prefetch.offset = offset;
  return stmt;
}

neo_stmt *neo_nest_barrier(neo_arena *arena) {
  return make(arena, NEO_STMT_BARRIER);
}

bool neo_nest_is_grouped(const neo_nest *nest) {
  bool grouped = false;
  for (int i = 0; i < nest->n_launches; i++)
    grouped = grouped || nest->launch[i].lanes > 1;
  for (int i = 0; i < nest->n_buffers; i++)
    grouped = grouped || nest->buffer[i].scope == NEO_SCOPE_SHARED;
  return grouped;
}
