/* codegen/llvm_by_lane.c: floats of a processor whose vectors have integers only (Hexagon), taken
 * out of vectors before a nest becomes LLVM IR.
 *
 * Why: sums of products of bytes are made in vectors, and what a quantised layer does with them
 * (scale, round, clamp) is floats. LLVM would write out such vectors lane by lane, each lane's
 * instructions anew: megabytes of code, minutes to build. How: a store of such a value becomes a
 * loop over its lanes. Parts that are integers are still made as vectors, stored to a local array
 * and read from there.
 *
 * Expressions may be shared, so what each node became is remembered for the statement at hand. */
#include "codegen/llvm_emitter.h"

#include <string.h>

enum { BUCKETS = 256 };

typedef struct node {
  const neo_expr *expr, *lane; /* lane: of the loop's lane; NULL: not asked for yet */
  bool floats;                 /* somewhere in it */
  struct node *next;
} node;

typedef struct splitter {
  neo_arena *arena;
  neo_nest *nest;
  node *bucket[BUCKETS];
  const neo_stmt *store; /* that becomes a loop */
  const neo_expr *index; /* of the lane */
  neo_stmt **tail;       /* where statements are added */
} splitter;

static node *find_node(splitter *s, const neo_expr *e) {
  node **at = &s->bucket[((uintptr_t)e >> 4) % BUCKETS];
  while (*at && (*at)->expr != e)
    at = &(*at)->next;
  if (*at)
    return *at;
  node *n = neo_arena_alloc(s->arena, sizeof *n);
  *n = (node){.expr = e, .floats = neo_dtype_class(e->dtype) == 'f'};
  *at = n;
  for (int k = 0; k < e->n_args && e->op != NEO_EXPR_LOAD; k++)
    n->floats = find_node(s, e->arg[k])->floats || n->floats;
  return n;
}

static bool has_room(const splitter *s) {
  return s->nest->n_buffers < NEO_NEST_MAX_BUFFERS;
}

/* Stores the vector to an array of its own; what the lane reads of it. */
static const neo_expr *spill(splitter *s, const neo_expr *e) {
  int buffer = s->nest->n_buffers++;
  s->nest->buffer[buffer] = (neo_nest_buffer){
      .scope = NEO_SCOPE_STACK, .dtype = e->dtype, .elements = e->lanes, .lanes = 1};
  *s->tail = neo_nest_store(s->arena, buffer, neo_expr_index(s->arena, 0), e, e->lanes);
  s->tail = &(*s->tail)->next;
  return neo_expr_load(s->arena, e->dtype, buffer, 1, &s->index);
}

/* May the loop read an element at a time? Not from registers, nor from what its own stores change
 * before it comes there: each element is read where it is stored, or the buffer is another one. */
static bool is_readable(const splitter *s, const neo_expr *load) {
  int buffer = load->u.load.buffer;
  bool in_place = buffer == s->store->u.store.buffer;
  return s->nest->buffer[buffer].scope != NEO_SCOPE_REG && load->active == load->lanes &&
         (!in_place || neo_expr_equal(load->arg[0], s->store->u.store.offset));
}

static const neo_expr *lane_of(splitter *s, const neo_expr *e);

/* NULL: no room for another array. */
static const neo_expr *make_lane(splitter *s, const neo_expr *e, bool floats) {
  if (e->lanes == 1)
    return e;
  if (e->op == NEO_EXPR_BROADCAST)
    return e->arg[0];
  bool direct = e->op == NEO_EXPR_LOAD && floats && is_readable(s, e);
  if (!direct && (!floats || e->op == NEO_EXPR_LOAD || e->op == NEO_EXPR_INTRINSIC))
    return has_room(s) ? spill(s, e) : NULL;
  neo_expr *copy = neo_arena_alloc(s->arena, sizeof *copy);
  const neo_expr **arg = neo_arena_alloc(s->arena, sizeof *arg * (size_t)(e->n_args + 1));
  for (int k = 0; k < e->n_args; k++) {
    arg[k] = direct ? neo_expr_binary(s->arena, NEO_EXPR_ADD, e->arg[k], s->index)
                    : lane_of(s, e->arg[k]);
    if (!arg[k])
      return NULL;
  }
  *copy = *e;
  copy->lanes = copy->active = 1;
  copy->arg = arg;
  return copy;
}

static const neo_expr *lane_of(splitter *s, const neo_expr *e) {
  node *n = find_node(s, e);
  if (!n->lane)
    n->lane = make_lane(s, e, n->floats);
  return n->lane;
}

/* The store by lanes; false: it stays as it is. */
static bool split_store(splitter *s, const neo_stmt *store) {
  const neo_expr *value = store->u.store.value;
  bool in_register = s->nest->buffer[store->u.store.buffer].scope == NEO_SCOPE_REG;
  if (value->lanes == 1 || in_register)
    return false;
  s->store = store;
  memset(s->bucket, 0, sizeof s->bucket);
  if (!find_node(s, value)->floats)
    return false;
  int var = s->nest->n_vars++;
  s->index = neo_expr_var(s->arena, var);
  const neo_expr *lane = lane_of(s, value);
  if (!lane)
    return false;
  const neo_expr *offset = neo_expr_binary(s->arena, NEO_EXPR_ADD, store->u.store.offset, s->index);
  neo_stmt *loop = neo_arena_alloc(s->arena, sizeof *loop);
  *loop = (neo_stmt){.kind = NEO_STMT_FOR};
  loop->u.loop.var = var;
  loop->u.loop.extent = neo_expr_index(s->arena, store->u.store.active);
  loop->u.loop.body = neo_nest_store(s->arena, store->u.store.buffer, offset, lane, 1);
  *s->tail = loop;
  s->tail = &loop->next;
  return true;
}

static neo_stmt *split_list(splitter *s, const neo_stmt *list) {
  neo_stmt *first = NULL, **outer = s->tail;
  s->tail = &first;
  for (const neo_stmt *stmt = list; stmt; stmt = stmt->next) {
    if (stmt->kind == NEO_STMT_STORE && split_store(s, stmt))
      continue;
    neo_stmt *copy = neo_arena_alloc(s->arena, sizeof *copy);
    *copy = *stmt;
    copy->next = NULL;
    *s->tail = copy;
    s->tail = &copy->next;
    if (stmt->kind == NEO_STMT_FOR)
      copy->u.loop.body = split_list(s, stmt->u.loop.body);
    if (stmt->kind == NEO_STMT_LET)
      copy->u.let.body = split_list(s, stmt->u.let.body);
    if (stmt->kind == NEO_STMT_IF) {
      copy->u.branch.then = split_list(s, stmt->u.branch.then);
      copy->u.branch.otherwise = split_list(s, stmt->u.branch.otherwise);
    }
  }
  s->tail = outer;
  return first;
}

const neo_nest *llvm_by_lane(neo_arena *arena, const neo_nest *nest, const neo_target *target) {
  if (!neo_target_has(target, NEO_ISA_HVX))
    return nest;
  splitter s = {.arena = arena, .nest = neo_arena_alloc(arena, sizeof *s.nest)};
  *s.nest = *nest;
  for (int k = 0; k < nest->n_launches; k++)
    s.nest->launch[k].body = split_list(&s, nest->launch[k].body);
  return s.nest;
}
