/* frontends/tensorflow_flow.c: control flow: calls, Switch and Merge, If, While, and the loop
 * frames of TensorFlow 1 (Enter, Merge, Switch, NextIteration, Exit).
 *
 * Both kinds of loop are one thing here (tf_loop): states, a condition and a body to evaluate. If
 * the number of iterations follows from constants, and they are not too many, the body is evaluated
 * once for each; otherwise it becomes the body graph of an operator `loop`. What the body leaves
 * unchanged is then a capture, a list it only reads is captured as the tensor it came from, and a
 * list it writes at the loop's counter is a scan output.
 *
 * A Switch on a constant makes one of its outputs dead; on a computed predicate both go on, marked
 * with the predicate, and their Merge selects. */
#include "frontends/tensorflow_convert.h"

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

static neo_status set_all(tf_node *node, tf_kind kind) {
  for (int k = 0; k < node->n_outputs; k++)
    node->out[k] = (tf_value){.kind = kind};
  return NEO_OK;
}

/* ---- calls ------------------------------------------------------------------------------------------- */

static neo_status function_of(tf_import *im, const tf_node *node, const char *attr,
                              const tf_graph **out) {
  const Tf__Value *v = tf_attr(node, attr);
  if (!v || !v->func || !v->func->name)
    return tf_bad(im, node, "attribute '%s' names no function", attr);
  NEO_TRY(tf_function(im, v->func->name, out));
  return *out ? NEO_OK : tf_bad(im, node, "there is no function '%s'", v->func->name);
}

static int n_results(const tf_graph *f) {
  return (int)f->function->signature->n_output_arg;
}

neo_status tf_partitioned_call(tf_import *im, tf_node *node) {
  const tf_graph *f;
  NEO_TRY(function_of(im, node, "f", &f));
  tf_outputs(im, node, n_results(f));
  return tf_call(im, f, node->scope, node->n_inputs, node->in, node->out);
}

/* ---- graphs within the graph ------------------------------------------------------------------------- */

/* While a body is built: the emitter of the graph around it. */
typedef struct inner {
  neo_emitter e, *outer;
  int outer_generation;
} inner;

static neo_status inner_begin(tf_import *im, inner *in, const char *name) {
  NEO_TRY(neo_emitter_init(&in->e, im->ctx, im->source, name));
  in->e.graph->budget = im->e->graph->budget;
  in->outer = im->e;
  in->outer_generation = im->generation;
  in->e.scope = im->e->scope;
  im->e = &in->e;
  im->generation = ++im->last_generation;
  return NEO_OK;
}

/* Back to the outer graph. What was unsupported inside is so outside. */
static void inner_end(tf_import *im, inner *in) {
  im->e = in->outer;
  im->generation = in->outer_generation;
  if (in->e.unsupported.n > 0) {
    neo_buf_append(&im->e->unsupported.text, in->e.unsupported.text.data,
                   in->e.unsupported.text.size);
    im->e->unsupported.n += in->e.unsupported.n;
  }
  if (im->e->failed == NEO_OK)
    im->e->failed = in->e.failed;
  neo_unsupported_fini(&in->e.unsupported);
}

/* An input of the inner graph with the type of this value of the outer one. */
static int inner_input(tf_import *im, inner *in, int like) {
  neo_shape unknown = {.rank = -1};
  neo_dtype dtype = NEO_DTYPE_COUNT;
  if (like != NEO_NO_VALUE) {
    const neo_shape *shape = neo_emit_shape(in->outer, like);
    dtype = neo_emit_dtype(in->outer, like);
    unknown = shape ? *shape : unknown;
  }
  return neo_graph_add_input(im->e->graph, in->outer->scope, dtype, &unknown);
}

/* ---- If ---------------------------------------------------------------------------------------------- */

static bool const_predicate(tf_import *im, int value, bool *out) {
  const neo_tensor *tensor = neo_emit_const(im->e, value);
  int64_t n;
  if (!tensor || !neo_shape_elements(&tensor->shape, &n) || n != 1)
    return false;
  *out = neo_tensor_get_f64(tensor, 0) != 0;
  return true;
}

/* The branch as a graph whose inputs are the captures. */
static neo_status branch_graph(tf_import *im, tf_node *node, const tf_graph *f, neo_graph **out) {
  inner in;
  int n = node->n_inputs - 1;
  tf_value *arg = neo_arena_alloc(&im->arena, sizeof *arg * (size_t)(n + 1));
  tf_value *result = neo_arena_alloc(&im->arena, sizeof *result * (size_t)(n_results(f) + 1));
  NEO_TRY(inner_begin(im, &in, "branch"));
  for (int i = 0; i < n; i++) {
    arg[i] = node->in[i + 1];
    if (arg[i].kind == TF_TENSOR)
      arg[i] = (tf_value){.kind = TF_TENSOR, .id = inner_input(im, &in, node->in[i + 1].id)};
  }
  neo_status status = tf_call(im, f, node->scope, n, arg, result);
  for (int i = 0; status == NEO_OK && i < n_results(f); i++) {
    int id = NEO_NO_VALUE;
    if (result[i].kind == TF_VARIABLE)
      status = tf_variable_read(im, node, result[i].id, &id);
    if (result[i].kind == TF_TENSOR)
      id = result[i].id;
    if (id == NEO_NO_VALUE)
      tf_unsupported(im, node, "a branch gives something else than tensors");
    else
      neo_graph_add_output(im->e->graph, tf_emit_written(im, id), "");
  }
  inner_end(im, &in);
  *out = in.e.graph;
  return status;
}

static neo_status kept_if(tf_import *im, tf_node *node, const tf_graph *yes, const tf_graph *no) {
  neo_graph *then_graph = NULL, *else_graph = NULL;
  int n = 0, *inputs = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)node->n_inputs);
  for (int i = 0; i < node->n_inputs; i++)
    if (node->in[i].kind == TF_TENSOR)
      inputs[n++] = node->in[i].id;
    else if (node->in[i].kind == TF_LIST)
      return tf_unsupported(im, node, "a list goes into a branch");
  neo_status status = branch_graph(im, node, yes, &then_graph);
  if (status == NEO_OK)
    status = branch_graph(im, node, no, &else_graph);
  if (status != NEO_OK || im->e->unsupported.n > 0) {
    neo_graph_destroy(then_graph);
    neo_graph_destroy(else_graph);
    set_all(node, TF_BAD);
    return status;
  }
  neo_node *made = neo_emit_node(im->e, "if", n, inputs, node->n_outputs);
  neo_node_set_graph(im->e->graph, made, "then", then_graph);
  neo_node_set_graph(im->e->graph, made, "else", else_graph);
  for (int k = 0; k < node->n_outputs; k++)
    tf_set(node, k, made->output[k]);
  return NEO_OK;
}

neo_status tf_if(tf_import *im, tf_node *node) {
  const tf_graph *yes, *no;
  bool taken;
  NEO_TRY(function_of(im, node, "then_branch", &yes));
  NEO_TRY(function_of(im, node, "else_branch", &no));
  if (n_results(yes) != n_results(no) || node->n_inputs < 1)
    return tf_bad(im, node, "its branches differ in their results");
  tf_outputs(im, node, n_results(yes));
  if (const_predicate(im, tf_in(node, 0), &taken))
    return tf_call(im, taken ? yes : no, node->scope, node->n_inputs - 1, node->in + 1, node->out);
  if (node->in[0].kind != TF_TENSOR)
    return tf_unsupported(im, node, "its condition is no tensor");
  return kept_if(im, node, yes, no);
}

/* ---- Switch, Merge ----------------------------------------------------------------------------------- */

/* Switch(data, predicate) -> false, true */
neo_status tf_switch(tf_import *im, tf_node *node) {
  bool taken;
  if (node->n_inputs < 2)
    return tf_bad(im, node, "it lacks an input");
  node->out[0] = node->out[1] = node->in[0];
  if (const_predicate(im, tf_in(node, 1), &taken)) {
    node->out[taken ? 0 : 1] = (tf_value){.kind = TF_DEAD};
  } else if (node->in[0].kind == TF_TENSOR && node->in[1].kind == TF_TENSOR) {
    node->out[0].pred = node->out[1].pred = node->in[1].id + 1;
    node->out[0].side = false;
    node->out[1].side = true;
  } else if (node->in[0].kind == TF_TENSOR) {
    set_all(node, TF_BAD);
  }
  return NEO_OK;
}

neo_status tf_merge(tf_import *im, tf_node *node) {
  tf_value live[2];
  int n = 0;
  tf_outputs(im, node, 2);
  node->out[0] = node->out[1] = (tf_value){.kind = TF_DEAD};
  for (int k = 0; k < node->n_inputs; k++) {
    if (node->in[k].kind == TF_DEAD)
      continue;
    if (n < 2)
      live[n] = node->in[k];
    n++;
  }
  if (n == 0)
    return NEO_OK;
  node->out[0] = live[0];
  node->out[1] = (tf_value){.kind = TF_OPAQUE};
  if (n == 1 || live[0].kind == TF_BAD)
    return NEO_OK;
  const tf_value *marked = live[0].pred ? &live[0] : &live[1];
  const tf_value *other = marked == live ? &live[1] : &live[0];
  if (n > 2 || live[0].kind != TF_TENSOR || live[1].kind != TF_TENSOR || !marked->pred ||
      (other->pred == marked->pred && other->side == marked->side))
    return tf_unsupported(im, node, "it joins branches of different conditions");
  int yes = marked->side ? marked->id : other->id, no = marked->side ? other->id : marked->id;
  return tf_set1(
      node, neo_emit_node(im->e, "where", 3, (int[]){marked->pred - 1, yes, no}, 1)->output[0]);
}

/* ---- loop frames ------------------------------------------------------------------------------------- */

typedef struct frame {
  int n, cap, n_const, cap_const;
  struct frame_state {
    int enter, merge, swtch, exit; /* exit -1: nobody wants it */
    const char *next;              /* what NextIteration takes */
  } * state;
  int *constant; /* Enter nodes of values that all iterations share */
  const char *cond;
} frame;

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

static neo_status add_state(tf_import *im, const tf_graph *g, frame *f, int merge) {
  struct frame_state s = {source_of(im, g, merge, 0, "Enter"), merge, -1, -1, NULL};
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

static neo_status read_frame(tf_import *im, const tf_graph *g, int exit, frame *f) {
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

typedef struct tf_loop {
  tf_node *node;
  int n; /* states; a frame's constants come behind them */
  int n_shared;
  const tf_graph *cond, *body; /* While */
  frame *frame;                /* TensorFlow 1 */
  tf_value *start;             /* n + n_shared */
} tf_loop;

/* Evaluates the condition (want_cond) and the next states that `want` marks (NULL: none). */
typedef struct step {
  const tf_value *state;
  const bool *want;
  tf_value *cond, *next;
} step;

static void bind_frame(const tf_loop *loop, tf_scope *scope, const tf_value *state) {
  const frame *f = loop->frame;
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

static neo_status step_frame(tf_import *im, const tf_loop *loop, tf_scope *scope, const step *s) {
  const frame *f = loop->frame;
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
                                const step *s) {
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

static neo_status take_step(tf_import *im, const tf_loop *loop, const step *s) {
  if (loop->frame) {
    tf_scope scope;
    tf_scope_init(&scope, loop->node->scope->graph, loop->node->scope->depth + 1);
    neo_status status = step_frame(im, loop, &scope, s);
    tf_scope_fini(&scope);
    return status;
  }
  if (s->cond)
    NEO_TRY(step_function(im, loop, loop->cond, &(step){.state = s->state, .cond = s->cond}));
  if (s->want)
    NEO_TRY(step_function(im, loop, loop->body,
                          &(step){.state = s->state, .want = s->want, .next = s->next}));
  return NEO_OK;
}

/* Is the next value of state i the state itself? Followed through Identity nodes. */
static bool is_invariant(tf_import *im, const tf_loop *loop, int i) {
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
    counter[i] =
        t && t->shape.rank == 0 && neo_dtype_class(t->dtype) != 'f' && !is_invariant(im, loop, i);
  }
  *out = -1;
  for (int64_t trips = 0; status == NEO_OK && go && trips <= MAX_TRIPS; trips++) {
    tf_value cond;
    bool more;
    status = take_step(im, loop, &(step){state, NULL, &cond, NULL});
    go = status == NEO_OK && cond.kind == TF_TENSOR && const_predicate(im, cond.id, &more);
    if (go && !more) {
      *out = trips;
      break;
    }
    if (go)
      status = take_step(im, loop, &(step){state, counter, NULL, next});
    for (int i = 0; i < loop->n && go; i++)
      if (counter[i])
        state[i] = next[i];
  }
  neo_arena_fini(&scratch);
  return status;
}

static neo_status give_results(tf_loop *loop, const tf_value *state) {
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

static neo_status loop_unsupported(tf_import *im, tf_loop *loop, const char *why) {
  tf_value *bad = neo_arena_alloc(&im->arena, sizeof *bad * (size_t)(loop->n + 1));
  for (int i = 0; i < loop->n; i++)
    bad[i].kind = TF_BAD;
  if (why)
    tf_unsupported(im, loop->node, "%s", why);
  return give_results(loop, bad);
}

static neo_status unroll(tf_import *im, tf_loop *loop, int64_t trips) {
  int total = loop->n + loop->n_shared;
  bool *want = neo_arena_alloc(&im->arena, sizeof *want * (size_t)(loop->n + 1));
  tf_value *a = neo_arena_copy(&im->arena, loop->start, sizeof *a * (size_t)(total + 1));
  tf_value *b = neo_arena_copy(&im->arena, loop->start, sizeof *b * (size_t)(total + 1));
  for (int i = 0; i < loop->n; i++)
    want[i] = true;
  for (int64_t k = 0; k < trips; k++) {
    NEO_TRY(take_step(im, loop, &(step){a, want, NULL, b}));
    tf_value *swap = a;
    a = b;
    b = swap;
  }
  return give_results(loop, a);
}

/* ---- loops that stay loops --------------------------------------------------------------------------- */

/* What each state of the loop is to the operator `loop`. */
typedef enum role {
  STATE,   /* a tensor that changes */
  CAPTURE, /* a tensor that does not */
  SOURCE,  /* a list that is only read: its tensor is a capture */
  SCAN,    /* a list that is written */
  OTHER    /* variables, strings */
} role;

typedef struct kept {
  tf_loop *loop;
  role *role;
  int n_inputs, *input; /* of the operator: max_trips, cond, states, captures */
  tf_value *inside;     /* the loop's states within the body */
  int n_states, n_scans;
  int64_t trips; /* -1: the condition decides */
  bool *last;    /* a scan of which only the last row counts */
  int64_t *from; /* a scan's first place: the items before it were written before the loop */
} kept;

static neo_status assign_role(tf_import *im, kept *k, int i) {
  tf_loop *loop = k->loop;
  const tf_value *v = &loop->start[i];
  bool invariant = i >= loop->n || is_invariant(im, loop, i);
  if (v->kind == TF_TENSOR)
    k->role[i] = invariant ? CAPTURE : STATE;
  else if (v->kind == TF_LIST && invariant && !v->list->item && v->list->source != NEO_NO_VALUE)
    k->role[i] = SOURCE;
  else if (v->kind == TF_LIST && !invariant && !v->list->logged)
    k->role[i] = SCAN;
  else
    k->role[i] = OTHER;
  if (k->role[i] == OTHER && (!invariant || v->kind == TF_LIST))
    return loop_unsupported(im, loop, "a loop with a list that it reads and writes");
  return NEO_OK;
}

static void add_body_input(tf_import *im, inner *in, kept *k, int i) {
  const tf_value *outer = &k->loop->start[i];
  int id = outer->kind == TF_LIST ? outer->list->source : outer->id;
  const neo_tensor *constant = k->role[i] == STATE ? NULL : neo_emit_const(in->outer, id);
  int inside =
      constant ? neo_emit_tensor(im->e, in->outer->scope, constant) : inner_input(im, in, id);
  if (!constant)
    k->input[k->n_inputs++] = id;
  k->inside[i] = (tf_value){.kind = TF_TENSOR, .id = inside};
  if (k->role[i] == SOURCE) {
    tf_list *list = neo_arena_copy(&im->arena, outer->list, sizeof *list);
    list->source = inside;
    k->inside[i] = tf_list_value(list);
  }
}

static void make_body_inputs(tf_import *im, inner *in, kept *k) {
  int total = k->loop->n + k->loop->n_shared;
  neo_graph_add_input(im->e->graph, "i", NEO_I64, &(neo_shape){0});
  neo_graph_add_input(im->e->graph, "cond", NEO_BOOL, &(neo_shape){0});
  for (int i = 0; i < total; i++)
    if (k->role[i] == STATE) {
      add_body_input(im, in, k, i);
      k->n_states++;
    }
  for (int i = 0; i < total; i++) {
    if (k->role[i] == CAPTURE || k->role[i] == SOURCE)
      add_body_input(im, in, k, i);
    if (k->role[i] == OTHER)
      k->inside[i] = k->loop->start[i];
    if (k->role[i] == SCAN) {
      tf_list *list = neo_arena_copy(&im->arena, k->loop->start[i].list, sizeof *list);
      list->logged = true;
      k->inside[i] = tf_list_value(list);
    }
  }
}

/* Does the value, within the body, count iterations: a state that grows by 1? Its start, else -1.
 */
static int64_t counts_from(tf_import *im, const inner *in, const kept *k, const tf_value *next,
                           int value) {
  for (int i = 0; i < k->loop->n; i++) {
    if (k->role[i] != STATE || k->inside[i].id != value || next[i].kind != TF_TENSOR)
      continue;
    const neo_tensor *start = neo_emit_const(in->outer, k->loop->start[i].id);
    int made_by = im->e->graph->value[next[i].id].node;
    const neo_node *add = made_by >= 0 ? &im->e->graph->node[made_by] : NULL;
    if (!start || !add || strcmp(add->op->name, "add") != 0)
      return -1;
    int other = add->input[0] == value ? add->input[1] : add->input[0];
    const neo_tensor *by = neo_emit_const(im->e, other);
    if ((add->input[0] != value && add->input[1] != value) || !by || by->size == 0 ||
        start->size == 0 || neo_tensor_get_i64(by, 0) != 1)
      return -1;
    return neo_tensor_get_i64(start, 0);
  }
  return -1;
}

/* Do the iterations write each item of the list that is not written yet, in order? */
static bool fills_list(const kept *k, const tf_list *list, int64_t from) {
  if (from < 0 || k->trips < 0 || from + k->trips != list->n)
    return false;
  for (int64_t i = 0; i < from; i++)
    if (!list->item || list->item[i] == NEO_NO_VALUE)
      return false;
  return true;
}

/* The body's outputs: the condition, the states, the scans. */
static bool make_body_outputs(tf_import *im, const inner *in, kept *k, const tf_value *next,
                              const tf_value *cond) {
  neo_graph *g = im->e->graph;
  int go = k->trips < 0 ? cond->id : g->input[1];
  if (k->trips < 0 && cond->kind != TF_TENSOR)
    return false;
  neo_graph_add_output(g, tf_emit_written(im, go), "cond");
  for (int i = 0; i < k->loop->n; i++) {
    if (k->role[i] == STATE && next[i].kind != TF_TENSOR)
      return false;
    if (k->role[i] == STATE)
      neo_graph_add_output(g, tf_emit_written(im, next[i].id), "state");
  }
  for (int i = 0; i < k->loop->n; i++) {
    if (k->role[i] != SCAN)
      continue;
    const tf_write *w = next[i].kind == TF_LIST ? next[i].list->log : NULL;
    const neo_tensor *place = w ? neo_emit_const(im->e, w->index) : NULL;
    if (!w || w->before)
      return false;
    k->last[i] = place && place->size > 0 && neo_tensor_get_i64(place, 0) == 0 &&
                 next[i].list->n == 1 && k->trips > 0;
    if (!k->last[i]) {
      k->from[i] = counts_from(im, in, k, next, w->index);
      if (!fills_list(k, k->loop->start[i].list, k->from[i]))
        return false;
    }
    neo_graph_add_output(g, tf_emit_written(im, w->item), "scan");
    k->n_scans++;
  }
  return true;
}

static neo_status build_body(tf_import *im, inner *in, kept *k, bool *sound) {
  tf_loop *loop = k->loop;
  int total = loop->n + loop->n_shared;
  tf_value *next = neo_arena_alloc(&im->arena, sizeof *next * (size_t)(total + 1)), cond = {0};
  bool *want = neo_arena_alloc(&im->arena, sizeof *want * (size_t)(loop->n + 1));
  make_body_inputs(im, in, k);
  memcpy(next, k->inside, sizeof *next * (size_t)total);
  for (int i = 0; i < loop->n; i++)
    want[i] = k->role[i] == STATE || k->role[i] == SCAN;
  NEO_TRY(take_step(im, loop, &(step){k->inside, want, NULL, next}));
  if (k->trips < 0) {
    tf_value *after = neo_arena_copy(&im->arena, next, sizeof *after * (size_t)total);
    for (int i = 0; i < loop->n; i++)
      if (k->role[i] == SCAN)
        after[i] = k->inside[i];
    NEO_TRY(take_step(im, loop, &(step){after, NULL, &cond, NULL}));
  }
  *sound = make_body_outputs(im, in, k, next, &cond);
  return NEO_OK;
}

static neo_status results_of_kept(tf_import *im, kept *k, const neo_node *made) {
  tf_loop *loop = k->loop;
  tf_value *result = neo_arena_copy(&im->arena, loop->start, sizeof *result * (size_t)loop->n);
  int *output = neo_arena_copy(&im->arena, made->output, sizeof(int) * (size_t)made->n_outputs);
  int state = 0, scan = k->n_states;
  for (int i = 0; i < loop->n; i++) {
    if (k->role[i] == STATE)
      result[i] = (tf_value){.kind = TF_TENSOR, .id = output[state++]};
    if (k->role[i] != SCAN)
      continue;
    tf_list *list = neo_arena_copy(&im->arena, loop->start[i].list, sizeof *list);
    int rows = output[scan++];
    if (k->from[i] > 0) {
      int before;
      list->n = (int)k->from[i];
      tf_list_stack(im, loop->node, list, &before);
      rows = tf_emit_concat(im, 2, (int[]){before, rows}, 0);
    }
    list->item = NULL;
    list->n = -1;
    list->source = rows;
    if (k->last[i]) {
      int from = neo_emit_ints(im->e, 1, (int64_t[]){-1});
      neo_node *row = neo_emit_node(im->e, "gather", 2, (int[]){list->source, from}, 1);
      neo_node_set_int(im->e->graph, row, "axis", 0);
      list->source = row->output[0];
    }
    result[i] = tf_list_value(list);
  }
  return give_results(loop, result);
}

/* first: the condition before the first iteration, unless trips says how many there are. */
static neo_status keep(tf_import *im, tf_loop *loop, int64_t trips, const tf_value *first) {
  inner in;
  int total = loop->n + loop->n_shared;
  bool sound = false;
  kept k = {.loop = loop, .trips = trips};
  k.role = neo_arena_alloc(&im->arena, sizeof *k.role * (size_t)(total + 1));
  k.input = neo_arena_alloc(&im->arena, sizeof(int) * (size_t)(total + 2));
  k.inside = neo_arena_alloc(&im->arena, sizeof *k.inside * (size_t)(total + 1));
  k.last = neo_arena_alloc(&im->arena, sizeof *k.last * (size_t)(total + 1));
  k.from = neo_arena_alloc(&im->arena, sizeof *k.from * (size_t)(total + 1));
  int before = im->e->unsupported.n;
  for (int i = 0; i < total; i++)
    NEO_TRY(assign_role(im, &k, i));
  if (im->e->unsupported.n != before)
    return NEO_OK;
  k.input[0] = trips >= 0 ? neo_emit_int(im->e, trips) : NEO_NO_VALUE;
  k.input[1] = trips >= 0 ? NEO_NO_VALUE : first->id;
  k.n_inputs = 2;
  NEO_TRY(inner_begin(im, &in, "body"));
  neo_status status = build_body(im, &in, &k, &sound);
  inner_end(im, &in);
  if (status != NEO_OK || !sound || im->e->unsupported.n > 0) {
    neo_graph_destroy(in.e.graph);
    NEO_TRY(status);
    return loop_unsupported(im, loop,
                            im->e->unsupported.n > 0
                                ? NULL
                                : "a loop whose lists are not written once an iteration, in order");
  }
  neo_node *made = neo_emit_node(im->e, "loop", k.n_inputs, k.input, k.n_states + k.n_scans);
  neo_node_set_graph(im->e->graph, made, "body", in.e.graph);
  neo_node_set_int(im->e->graph, made, "n_state", k.n_states);
  return results_of_kept(im, &k, made);
}

static neo_status convert_loop(tf_import *im, tf_loop *loop) {
  int64_t trips, nodes = loop->frame ? 4 * loop->n : loop->body->n;
  for (int i = 0; i < loop->n + loop->n_shared; i++)
    if (loop->start[i].kind == TF_BAD || loop->start[i].kind == TF_DEAD) {
      tf_value *all = neo_arena_alloc(&im->arena, sizeof *all * (size_t)(loop->n + 1));
      for (int k = 0; k < loop->n; k++)
        all[k].kind = loop->start[i].kind;
      return give_results(loop, all);
    }
  if (im->e->unsupported.n > 0) /* nothing is known to be constant any more */
    return loop_unsupported(im, loop, NULL);
  NEO_TRY(count_trips(im, loop, &trips));
  if (trips >= 0 && trips <= MAX_UNROLLED && trips * nodes <= MAX_UNROLLED_NODES)
    return unroll(im, loop, trips);
  tf_value first = {0};
  if (trips < 0)
    NEO_TRY(take_step(im, loop, &(step){loop->start, NULL, &first, NULL}));
  if (trips < 0 && first.kind != TF_TENSOR)
    return loop_unsupported(im, loop,
                            im->e->unsupported.n > 0 ? NULL : "its condition is no tensor");
  return keep(im, loop, trips, &first);
}

neo_status tf_while(tf_import *im, tf_node *node) {
  tf_loop loop = {.node = node, .n = node->n_inputs, .start = node->in};
  NEO_TRY(function_of(im, node, "cond", &loop.cond));
  NEO_TRY(function_of(im, node, "body", &loop.body));
  if (n_results(loop.body) != loop.n || n_results(loop.cond) != 1)
    return tf_bad(im, node, "its functions do not fit its %d states", loop.n);
  tf_outputs(im, node, loop.n);
  return convert_loop(im, &loop);
}

/* Exit: the whole loop, at the first of its exits. */
neo_status tf_exit(tf_import *im, tf_node *node) {
  const tf_scope *scope = node->scope;
  frame f;
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

/* Enter, NextIteration, LoopCond outside of what a loop evaluates. */
neo_status tf_pass(tf_import *im, tf_node *node) {
  if (node->n_inputs < 1)
    return tf_bad(im, node, "it lacks its input");
  node->out[0] = node->in[0];
  return NEO_OK;
}

/* Placeholders of what is pruned or never read: NoOp, Assert, strings. */
neo_status tf_opaque(tf_import *im, tf_node *node) {
  (void)im;
  return set_all(node, TF_OPAQUE);
}
