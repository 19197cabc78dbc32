/* frontends/tensorflow_loop.c: While, and the loop frames of TensorFlow 1 (Enter, Merge, Switch,
 * NextIteration, Exit).
 *
 * Both kinds of loop are one thing here (tf_loop): states, a condition and a body to evaluate. If
 * the number of iterations follows from constants, and they are not too many, the body is evaluated
 * once for each; otherwise it stays a loop (tensorflow_kept.c). */
#include "frontends/tensorflow_flow.h"

#include <string.h>

#define MAX_TRIPS 100000  /* counted */
#define MAX_UNROLLED 1024 /* iterations */
#define MAX_UNROLLED_NODES 20000
#define MAX_FRAME_WORK 100000000 /* states of a frame, times nodes of its graph */

static const char *text_or_empty(const char *text) {
  return text ? text : "";
}

static bool op_is(const Tf__Node *pb, const char *op) {
  return strcmp(text_or_empty(pb->op), op) == 0;
}

/* ---- loop frames ------------------------------------------------------------------------------------- */

bool tf_is_exit(const Tf__Node *pb) {
  return op_is(pb, "Exit") || op_is(pb, "RefExit");
}

/* The node that input k of a node points to, if it is of that kind; else -1. */
static int source_of(tf_import *im, const tf_graph *g, int node, size_t k, const char *op) {
  tf_ref ref;
  const Tf__Node *pb = node >= 0 ? g->node[node] : NULL;
  if (!pb || k >= pb->n_input || *pb->input[k] == '^' ||
      tf_resolve(im, g, pb->input[k], &ref) != NEO_OK || ref.node < 0)
    return -1;
  return op_is(g->node[ref.node], op) ? ref.node : -1;
}

static const Tf__Value *attr_of(const Tf__Node *pb, const char *name) {
  return tf_attr(&(tf_node){.pb = pb}, name);
}

static bool same_frame(const Tf__Node *a, const Tf__Node *b) {
  const Tf__Value *x = attr_of(a, "frame_name"), *y = attr_of(b, "frame_name");
  return x && y && x->has_s && y->has_s && x->s.len == y->s.len &&
         memcmp(x->s.data, y->s.data, x->s.len) == 0;
}

/* The frame that an Exit leaves, named by one of its Enter nodes; -1 if it is not sound. */
static int enter_of_exit(tf_import *im, const tf_graph *g, int exit) {
  int merge = source_of(im, g, source_of(im, g, exit, 0, "Switch"), 0, "Merge");
  return source_of(im, g, merge, 0, "Enter");
}

int tf_exit_deps(tf_import *im, const tf_graph *g, int node, const char *const **out) {
  int enter = enter_of_exit(im, g, node), n = 0;
  const char **text = neo_arena_alloc(&im->arena, sizeof *text * (size_t)(g->n + 1));
  for (int i = 0; enter >= 0 && i < g->n; i++)
    if (op_is(g->node[i], "Enter") && same_frame(g->node[i], g->node[enter]) &&
        g->node[i]->n_input > 0)
      text[n++] = g->node[i]->input[0];
  *out = text;
  return n;
}

static neo_status add_state(tf_import *im, const tf_graph *g, tf_frame *f, int merge) {
  struct tf_frame_state s = {source_of(im, g, merge, 0, "Enter"), merge, -1, -1, NULL};
  int next = source_of(im, g, merge, 1, "NextIteration");
  if (next < 0 || g->node[next]->n_input < 1)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: node '%s': a loop without an iteration",
                    text_or_empty(g->node[merge]->name));
  s.next = g->node[next]->input[0];
  for (int i = 0; i < g->n; i++) {
    if (op_is(g->node[i], "Switch") && source_of(im, g, i, 0, "Merge") == merge) {
      int cond = source_of(im, g, i, 1, "LoopCond");
      s.swtch = cond >= 0 ? i : s.swtch;
      if (cond >= 0 && g->node[cond]->n_input > 0)
        f->cond = g->node[cond]->input[0];
    }
    if (tf_is_exit(g->node[i]) && s.swtch >= 0 && source_of(im, g, i, 0, "Switch") == s.swtch)
      s.exit = i;
  }
  for (int i = 0; i < g->n && s.exit < 0; i++)
    if (tf_is_exit(g->node[i]) && s.swtch >= 0 && source_of(im, g, i, 0, "Switch") == s.swtch)
      s.exit = i;
  f->state = neo_arena_grow(&im->arena, f->state, &f->cap, f->n + 1, sizeof *f->state);
  f->state[f->n++] = s;
  return NEO_OK;
}

static neo_status read_frame(tf_import *im, const tf_graph *g, int exit, tf_frame *f) {
  int enter = enter_of_exit(im, g, exit);
  int64_t states = 0;
  memset(f, 0, sizeof *f);
  if (enter < 0)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: node '%s' (Exit) leaves no loop",
                    text_or_empty(g->node[exit]->name));
  for (int i = 0; i < g->n; i++) {
    int from = op_is(g->node[i], "Merge") ? source_of(im, g, i, 0, "Enter") : -1;
    if (from >= 0 && same_frame(g->node[from], g->node[enter])) {
      if (++states * g->n > MAX_FRAME_WORK)
        return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: a loop with too many states");
      NEO_TRY(add_state(im, g, f, i));
    }
    const Tf__Value *constant = attr_of(g->node[i], "is_constant");
    if (op_is(g->node[i], "Enter") && same_frame(g->node[i], g->node[enter]) && constant &&
        constant->b) {
      f->constant = neo_arena_grow(&im->arena, f->constant, &f->cap_const, f->n_const + 1,
                                   sizeof *f->constant);
      f->constant[f->n_const++] = i;
    }
  }
  if (!f->cond)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: node '%s' (Exit): a loop without LoopCond",
                    text_or_empty(g->node[exit]->name));
  return NEO_OK;
}

/* ---- loops of either kind ---------------------------------------------------------------------------- */

static void bind_frame(const tf_loop *loop, tf_scope *scope, const tf_value *state) {
  const tf_frame *f = loop->frame;
  scope->arg = loop->node->scope->arg;
  scope->n_args = loop->node->scope->n_args;
  for (int i = 0; i < f->n; i++) {
    tf_scope_bind(scope, f->state[i].merge, 0, state[i]);
    if (f->state[i].swtch < 0)
      continue;
    tf_scope_bind(scope, f->state[i].swtch, 0, (tf_value){.kind = TF_OPAQUE});
    tf_scope_bind(scope, f->state[i].swtch, 1, state[i]);
  }
  for (int i = 0; i < f->n_const; i++)
    tf_scope_bind(scope, f->constant[i], 0, state[f->n + i]);
}

static neo_status step_frame(tf_import *im, const tf_loop *loop, tf_scope *scope,
                             const tf_step *s) {
  const tf_frame *f = loop->frame;
  bind_frame(loop, scope, s->state);
  if (s->cond)
    NEO_TRY(tf_fetch(im, scope, 1, &f->cond, s->cond));
  if (!s->want)
    return NEO_OK;
  const char **text = neo_arena_alloc(&scope->arena, sizeof *text * (size_t)(f->n + 1));
  tf_value *value = neo_arena_alloc(&scope->arena, sizeof *value * (size_t)(f->n + 1));
  int n = 0;
  for (int i = 0; i < f->n; i++)
    if (s->want[i])
      text[n++] = f->state[i].next;
  NEO_TRY(tf_fetch(im, scope, n, text, value));
  for (int i = f->n - 1; i >= 0; i--)
    if (s->want[i])
      s->next[i] = value[--n];
  return NEO_OK;
}

/* One function of a While, only those results that are wanted. */
static neo_status step_function(tf_import *im, const tf_loop *loop, const tf_graph *g,
                                const tf_step *s) {
  const Tf__FunctionDef *pb = g->function;
  tf_scope scope;
  if (pb->signature->n_input_arg != (size_t)loop->n)
    return tf_bad(im, loop->node, "function '%s' has %zu arguments, %d expected",
                  text_or_empty(pb->signature->name), pb->signature->n_input_arg, loop->n);
  tf_scope_init(&scope, g, loop->node->scope->depth + 1);
  scope.arg = s->state;
  scope.n_args = loop->n;
  const char **text =
      neo_arena_alloc(&scope.arena, sizeof *text * (pb->signature->n_output_arg + 1));
  tf_value *value =
      neo_arena_alloc(&scope.arena, sizeof *value * (pb->signature->n_output_arg + 1));
  bool cond = g == loop->cond && s->cond;
  int n = 0;
  neo_status status = NEO_OK;
  for (size_t i = 0; status == NEO_OK && i < pb->signature->n_output_arg; i++)
    if (cond || s->want[i])
      status = tf_result_text(im, g, (int)i, &text[n++]);
  if (status == NEO_OK)
    status = tf_fetch(im, &scope, n, text, value);
  n = 0;
  for (size_t i = 0; status == NEO_OK && i < pb->signature->n_output_arg; i++)
    if (cond || s->want[i])
      *(cond ? s->cond : &s->next[i]) = value[n++];
  tf_scope_fini(&scope);
  return status;
}

neo_status tf_loop_step(tf_import *im, const tf_loop *loop, const tf_step *s) {
  if (loop->frame) {
    tf_scope scope;
    tf_scope_init(&scope, loop->node->scope->graph, loop->node->scope->depth + 1);
    neo_status status = step_frame(im, loop, &scope, s);
    tf_scope_fini(&scope);
    return status;
  }
  if (s->cond)
    NEO_TRY(step_function(im, loop, loop->cond, &(tf_step){.state = s->state, .cond = s->cond}));
  if (s->want)
    NEO_TRY(step_function(im, loop, loop->body,
                          &(tf_step){.state = s->state, .want = s->want, .next = s->next}));
  return NEO_OK;
}

/* Is the next value of state i the state itself? Followed through Identity nodes. */
bool tf_loop_is_invariant(tf_import *im, const tf_loop *loop, int i) {
  const tf_graph *g = loop->frame ? loop->node->scope->graph : loop->body;
  const char *text = NULL;
  tf_ref ref;
  if (loop->frame)
    text = loop->frame->state[i].next;
  else if (tf_result_text(im, g, i, &text) != NEO_OK)
    return false;
  for (int steps = 0; steps < 64 && tf_resolve(im, g, text, &ref) == NEO_OK; steps++) {
    if (ref.node < 0)
      return ref.output == i;
    if (loop->frame && ref.node == loop->frame->state[i].swtch)
      return ref.output == 1;
    if (!op_is(g->node[ref.node], "Identity") || g->node[ref.node]->n_input < 1)
      return false;
    text = g->node[ref.node]->input[0];
  }
  return false;
}

/* How often the body runs, if only counters decide it: -1 if that is not known. */
static neo_status count_trips(tf_import *im, const tf_loop *loop, int64_t *out) {
  int total = loop->n + loop->n_shared;
  neo_arena scratch;
  neo_arena_init(&scratch);
  tf_value *state = neo_arena_copy(&scratch, loop->start, sizeof *state * (size_t)(total + 1));
  tf_value *next = neo_arena_copy(&scratch, loop->start, sizeof *state * (size_t)(total + 1));
  bool *counter = neo_arena_alloc(&scratch, sizeof *counter * (size_t)(loop->n + 1)), go = true;
  neo_status status = NEO_OK;
  for (int i = 0; i < loop->n; i++) {
    const neo_tensor *t = state[i].kind == TF_TENSOR ? neo_emit_const(im->e, state[i].id) : NULL;
    counter[i] = t && t->shape.rank == 0 && neo_dtype_class(t->dtype) != 'f' &&
                 !tf_loop_is_invariant(im, loop, i);
  }
  *out = -1;
  for (int64_t trips = 0; status == NEO_OK && go && trips <= MAX_TRIPS; trips++) {
    tf_value cond;
    bool more;
    status = tf_loop_step(im, loop, &(tf_step){state, NULL, &cond, NULL});
    go = status == NEO_OK && cond.kind == TF_TENSOR && tf_const_predicate(im, cond.id, &more);
    if (go && !more) {
      *out = trips;
      break;
    }
    if (go)
      status = tf_loop_step(im, loop, &(tf_step){state, counter, NULL, next});
    for (int i = 0; i < loop->n && go; i++)
      if (counter[i])
        state[i] = next[i];
  }
  neo_arena_fini(&scratch);
  return status;
}

neo_status tf_loop_results(tf_loop *loop, const tf_value *state) {
  for (int i = 0; i < loop->n; i++) {
    if (loop->frame) {
      if (loop->frame->state[i].exit >= 0)
        tf_scope_bind(loop->node->scope, loop->frame->state[i].exit, 0, state[i]);
    } else {
      loop->node->out[i] = state[i];
    }
  }
  return NEO_OK;
}

neo_status tf_loop_unsupported(tf_import *im, tf_loop *loop, const char *why) {
  tf_value *bad = neo_arena_alloc(&im->arena, sizeof *bad * (size_t)(loop->n + 1));
  for (int i = 0; i < loop->n; i++)
    bad[i].kind = TF_BAD;
  if (why)
    tf_unsupported(im, loop->node, "%s", why);
  return tf_loop_results(loop, bad);
}

static neo_status unroll(tf_import *im, tf_loop *loop, int64_t trips) {
  int total = loop->n + loop->n_shared;
  bool *want = neo_arena_alloc(&im->arena, sizeof *want * (size_t)(loop->n + 1));
  tf_value *a = neo_arena_copy(&im->arena, loop->start, sizeof *a * (size_t)(total + 1));
  tf_value *b = neo_arena_copy(&im->arena, loop->start, sizeof *b * (size_t)(total + 1));
  for (int i = 0; i < loop->n; i++)
    want[i] = true;
  for (int64_t k = 0; k < trips; k++) {
    NEO_TRY(tf_loop_step(im, loop, &(tf_step){a, want, NULL, b}));
    tf_value *swap = a;
    a = b;
    b = swap;
  }
  return tf_loop_results(loop, a);
}

static neo_status convert_loop(tf_import *im, tf_loop *loop) {
  int64_t trips, nodes = loop->frame ? 4 * loop->n : loop->body->n;
  for (int i = 0; i < loop->n + loop->n_shared; i++)
    if (loop->start[i].kind == TF_BAD || loop->start[i].kind == TF_DEAD) {
      tf_value *all = neo_arena_alloc(&im->arena, sizeof *all * (size_t)(loop->n + 1));
      for (int k = 0; k < loop->n; k++)
        all[k].kind = loop->start[i].kind;
      return tf_loop_results(loop, all);
    }
  if (im->e->unsupported.n > 0) /* nothing is known to be constant any more */
    return tf_loop_unsupported(im, loop, NULL);
  NEO_TRY(count_trips(im, loop, &trips));
  if (trips >= 0 && trips <= MAX_UNROLLED && trips * nodes <= MAX_UNROLLED_NODES)
    return unroll(im, loop, trips);
  tf_value first = {0};
  if (trips < 0)
    NEO_TRY(tf_loop_step(im, loop, &(tf_step){loop->start, NULL, &first, NULL}));
  if (trips < 0 && first.kind != TF_TENSOR)
    return tf_loop_unsupported(im, loop,
                               im->e->unsupported.n > 0 ? NULL : "its condition is no tensor");
  return tf_loop_keep(im, loop, trips, &first);
}

neo_status tf_while(tf_import *im, tf_node *node) {
  tf_loop loop = {.node = node, .n = node->n_inputs, .start = node->in};
  NEO_TRY(tf_function_attr(im, node, "cond", &loop.cond));
  NEO_TRY(tf_function_attr(im, node, "body", &loop.body));
  if (tf_result_count(loop.body) != loop.n || tf_result_count(loop.cond) != 1)
    return tf_bad(im, node, "its functions do not fit its %d states", loop.n);
  tf_outputs(im, node, loop.n);
  return convert_loop(im, &loop);
}

/* Exit: the whole loop, at the first of its exits. */
neo_status tf_exit(tf_import *im, tf_node *node) {
  const tf_scope *scope = node->scope;
  tf_frame f;
  if (scope->depth >= TF_MAX_DEPTH)
    return tf_bad(im, node, "loops nested deeper than %d", TF_MAX_DEPTH);
  if (scope->n_out[node->index] > 0)
    return NEO_OK;
  NEO_TRY(read_frame(im, scope->graph, node->index, &f));
  tf_loop loop = {.node = node, .n = f.n, .n_shared = f.n_const, .frame = &f};
  loop.start = neo_arena_alloc(&im->arena, sizeof *loop.start * (size_t)(f.n + f.n_const + 1));
  for (int i = 0; i < f.n + f.n_const; i++) {
    int enter = i < f.n ? f.state[i].enter : f.constant[i - f.n];
    const Tf__Node *pb = scope->graph->node[enter];
    tf_ref ref;
    if (pb->n_input < 1)
      return tf_bad(im, node, "its loop has an Enter without an input");
    NEO_TRY(tf_resolve(im, scope->graph, pb->input[0], &ref));
    loop.start[i] = tf_scope_value(scope, &ref);
    if (loop.start[i].kind == TF_ABSENT)
      return tf_bad(im, node, "'%s' names no output", pb->input[0]);
  }
  NEO_TRY(convert_loop(im, &loop));
  if (scope->n_out[node->index] == 0)
    return tf_bad(im, node, "it leaves no loop");
  node->out = NULL;
  node->n_outputs = 0;
  return NEO_OK;
}
