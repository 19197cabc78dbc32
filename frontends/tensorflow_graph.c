/* frontends/tensorflow_graph.c: TensorFlow graphs as nodes with names, and their evaluation.
 *
 * Evaluation has two phases. From the wanted outputs backwards a depth-first walk with its own
 * stack (files choose the depth) orders the nodes that are needed; then each is converted once, and
 * its values are kept in the scope. Control dependencies are not followed: inference has no side
 * effects that matter. A loop frame of TensorFlow 1 is one step of this order, at its Exit
 * nodes. */
#include "frontends/tensorflow_import.h"

#include <string.h>

static const char *text_or_empty(const char *text) {
  return text ? text : "";
}

/* ---- names ------------------------------------------------------------------------------------------- */

neo_status tf_graph_index(tf_import *im, tf_graph *g, size_t n, Tf__Node **node,
                          const Tf__FunctionDef *function) {
  *g = (tf_graph){.n = (int)n, .node = node, .function = function};
  if (n > TF_MAX_NODES)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: a graph of %zu nodes", n);
  for (size_t i = 0; i < n; i++) {
    const char *name = text_or_empty(node[i]->name);
    if (neo_map_get(&g->index, name))
      return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: two nodes are named '%s'", name);
    if (!neo_map_put(&g->index, name, (void *)(intptr_t)(i + 1)))
      return neo_fail(im->ctx, NEO_NO_MEMORY, "tensorflow: out of memory");
  }
  const Tf__Signature *signature = function ? function->signature : NULL;
  for (size_t i = 0; signature && i < signature->n_input_arg; i++)
    if (!neo_map_put(&g->args, text_or_empty(signature->input_arg[i]->name),
                     (void *)(intptr_t)(i + 1)))
      return neo_fail(im->ctx, NEO_NO_MEMORY, "tensorflow: out of memory");
  return NEO_OK;
}

void tf_graph_fini(tf_graph *g) {
  neo_map_fini(&g->index);
  neo_map_fini(&g->args);
}

/* The place of an output argument among those of the operator; 0 where it has but one. */
static int output_place(const Tf__Node *pb, const char *name, size_t length) {
  const tf_row *row = tf_row_find(text_or_empty(pb->op));
  int place = 0;
  for (const char *at = row ? row->outputs : ""; *at; place++) {
    size_t word = strcspn(at, " ");
    if (word == length && memcmp(at, name, length) == 0)
      return place;
    at += word + strspn(at + word, " ");
  }
  return 0;
}

static bool parse_place(const char *text, int *out) {
  neo_scan scan;
  int64_t v;
  neo_scan_init(&scan, text);
  if (!neo_scan_int(&scan, &v) || v < 0 || v > INT32_MAX / 2 || !neo_scan_end(&scan))
    return false;
  *out = (int)v;
  return true;
}

/* "node", "node:2" in graphs; "argument", "node:output_arg:2" in functions. */
neo_status tf_resolve(tf_import *im, const tf_graph *g, const char *text, tf_ref *out) {
  char room[256];
  size_t length = strcspn(text, ":");
  char *name = length < sizeof room ? room : neo_arena_strndup(&im->arena, text, length);
  if (name == room) {
    memcpy(room, text, length);
    room[length] = 0;
  }
  const char *rest = text[length] ? text + length + 1 : NULL;
  int arg = rest ? 0 : (int)(intptr_t)neo_map_get(&g->args, name);
  int node = (int)(intptr_t)neo_map_get(&g->index, name), output = 0;
  if (g->function && arg > 0) {
    *out = (tf_ref){-1, arg - 1};
    return NEO_OK;
  }
  if (node == 0)
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: '%s' names no node", text);
  if (rest && g->function) {
    size_t word = strcspn(rest, ":");
    output = output_place(g->node[node - 1], rest, word);
    int within = 0;
    if (rest[word] && !parse_place(rest + word + 1, &within))
      return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: '%s' names no output", text);
    output += within;
  } else if (rest && !parse_place(rest, &output)) {
    return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: '%s' names no output", text);
  }
  *out = (tf_ref){node - 1, output};
  return NEO_OK;
}

/* ---- scopes ------------------------------------------------------------------------------------------ */

void tf_scope_init(tf_scope *scope, const tf_graph *g, int depth) {
  *scope = (tf_scope){.graph = g, .depth = depth};
  neo_arena_init(&scope->arena);
  scope->out = neo_arena_alloc(&scope->arena, sizeof *scope->out * (size_t)(g->n + 1));
  scope->n_out = neo_arena_alloc(&scope->arena, sizeof *scope->n_out * (size_t)(g->n + 1));
}

void tf_scope_fini(tf_scope *scope) {
  neo_arena_fini(&scope->arena);
}

tf_value tf_scope_value(const tf_scope *scope, const tf_ref *ref) {
  const tf_value absent = {TF_ABSENT};
  if (ref->node < 0)
    return ref->output < scope->n_args ? scope->arg[ref->output] : absent;
  const tf_value *out = scope->out[ref->node];
  int n = scope->n_out[ref->node];
  if (ref->output < n)
    return out[ref->output];
  return n > 0 && (out[0].kind == TF_DEAD || out[0].kind == TF_BAD) ? out[0] : absent;
}

void tf_scope_bind(tf_scope *scope, int node, int output, tf_value value) {
  if (output >= scope->n_out[node]) {
    tf_value *grown = neo_arena_alloc(&scope->arena, sizeof *grown * (size_t)(output + 1));
    if (scope->n_out[node] > 0)
      memcpy(grown, scope->out[node], sizeof *grown * (size_t)scope->n_out[node]);
    scope->out[node] = grown;
    scope->n_out[node] = output + 1;
  }
  scope->out[node][output] = value;
}

/* ---- order ------------------------------------------------------------------------------------------- */

typedef struct walk {
  tf_import *im;
  tf_scope *scope;
  neo_arena arena;
  uint8_t *state; /* 0 new, 1 on the stack, 2 done */
  int *order, n_order;
  struct {
    int node, next, n;
    const char *const *dep;
  } * stack;
} walk;

static void push(walk *w, int depth, int node) {
  const Tf__Node *pb = w->scope->graph->node[node];
  w->state[node] = 1;
  w->stack[depth].node = node;
  w->stack[depth].next = 0;
  w->stack[depth].n = (int)pb->n_input;
  w->stack[depth].dep = (const char *const *)pb->input;
  if (tf_is_exit(pb))
    w->stack[depth].n = tf_exit_deps(w->im, w->scope->graph, node, &w->stack[depth].dep);
}

static bool is_ready(const walk *w, const tf_ref *ref) {
  if (ref->node < 0 || w->state[ref->node] == 2)
    return true;
  return tf_scope_value(w->scope, ref).kind != TF_ABSENT;
}

static neo_status visit(walk *w, int root) {
  int depth = 0;
  push(w, 0, root);
  while (depth >= 0) {
    int node = w->stack[depth].node;
    if (w->stack[depth].next == w->stack[depth].n) {
      w->state[node] = 2;
      w->order[w->n_order++] = node;
      depth--;
      continue;
    }
    const char *text = w->stack[depth].dep[w->stack[depth].next++];
    tf_ref ref;
    if (*text == '^')
      continue;
    NEO_TRY(tf_resolve(w->im, w->scope->graph, text, &ref));
    if (is_ready(w, &ref))
      continue;
    if (w->state[ref.node] == 1)
      return neo_fail(w->im->ctx, NEO_BAD_INPUT, "tensorflow: node '%s' depends on itself",
                      text_or_empty(w->scope->graph->node[ref.node]->name));
    push(w, ++depth, ref.node);
  }
  return NEO_OK;
}

static neo_status find_order(walk *w, int n, const tf_ref *ref) {
  size_t room = (size_t)w->scope->graph->n + 1;
  w->state = neo_arena_alloc(&w->arena, room);
  w->order = neo_arena_alloc(&w->arena, sizeof(int) * room);
  w->stack = neo_arena_alloc(&w->arena, sizeof *w->stack * room);
  for (int i = 0; i < n; i++)
    if (!is_ready(w, &ref[i]))
      NEO_TRY(visit(w, ref[i].node));
  return NEO_OK;
}

static neo_status fetch_in(walk *w, int n, const char *const *text, tf_value *out) {
  tf_ref *ref = neo_arena_alloc(&w->arena, sizeof *ref * (size_t)(n + 1));
  for (int i = 0; i < n; i++)
    NEO_TRY(tf_resolve(w->im, w->scope->graph, text[i], &ref[i]));
  NEO_TRY(find_order(w, n, ref));
  for (int i = 0; i < w->n_order; i++) {
    if (++w->im->evaluated > TF_MAX_NODES)
      return neo_fail(w->im->ctx, NEO_BAD_INPUT,
                      "tensorflow: calls and loops expand to more than %d nodes", TF_MAX_NODES);
    NEO_TRY(tf_node_convert(w->im, w->scope, w->order[i]));
  }
  for (int i = 0; i < n; i++) {
    out[i] = tf_scope_value(w->scope, &ref[i]);
    if (out[i].kind == TF_ABSENT)
      return neo_fail(w->im->ctx, NEO_BAD_INPUT, "tensorflow: '%s' names no output of its node",
                      text[i]);
  }
  return NEO_OK;
}

neo_status tf_fetch(tf_import *im, tf_scope *scope, int n, const char *const *text, tf_value *out) {
  walk w = {.im = im, .scope = scope};
  neo_arena_init(&w.arena);
  neo_status status = fetch_in(&w, n, text, out);
  neo_arena_fini(&w.arena);
  return status;
}

/* ---- functions --------------------------------------------------------------------------------------- */

neo_status tf_function(tf_import *im, const char *name, const tf_graph **out) {
  tf_graph *g = neo_map_get(&im->functions, name);
  const Tf__FunctionDef *f = neo_map_get(&im->library, name);
  *out = g;
  if (g || !f)
    return NEO_OK;
  for (size_t i = 0; i < f->signature->n_input_arg + f->signature->n_output_arg; i++) {
    const Tf__Arg *arg = i < f->signature->n_input_arg
                             ? f->signature->input_arg[i]
                             : f->signature->output_arg[i - f->signature->n_input_arg];
    if ((arg->number_attr && *arg->number_attr) || (arg->type_list_attr && *arg->type_list_attr))
      return neo_fail(im->ctx, NEO_UNSUPPORTED, "tensorflow: function '%s' has list arguments",
                      name);
  }
  g = neo_arena_alloc(&im->arena, sizeof *g);
  neo_status status = tf_graph_index(im, g, f->n_node, f->node, f);
  if (status == NEO_OK && !neo_map_put(&im->functions, name, g))
    status = neo_fail(im->ctx, NEO_NO_MEMORY, "tensorflow: out of memory");
  if (status == NEO_OK)
    *out = g;
  else
    tf_graph_fini(g);
  return status;
}

neo_status tf_result_text(tf_import *im, const tf_graph *f, int k, const char **out) {
  const Tf__FunctionDef *pb = f->function;
  const char *name = text_or_empty(pb->signature->output_arg[k]->name);
  for (size_t i = 0; i < pb->n_ret; i++)
    if (strcmp(text_or_empty(pb->ret[i]->key), name) == 0 && pb->ret[i]->value) {
      *out = pb->ret[i]->value;
      return NEO_OK;
    }
  return neo_fail(im->ctx, NEO_BAD_INPUT, "tensorflow: function '%s' does not return '%s'",
                  text_or_empty(pb->signature->name), name);
}

neo_status tf_call(tf_import *im, const tf_graph *f, const tf_scope *from, int n_args,
                   const tf_value *arg, tf_value *out) {
  const Tf__Signature *signature = f->function->signature;
  const char *name = text_or_empty(signature->name);
  tf_scope scope;
  if (from->depth >= TF_MAX_DEPTH)
    return neo_fail(im->ctx, NEO_BAD_INPUT,
                    "tensorflow: function '%s': calls nested deeper than %d", name, TF_MAX_DEPTH);
  if ((size_t)n_args != signature->n_input_arg)
    return neo_fail(im->ctx, NEO_BAD_INPUT,
                    "tensorflow: function '%s' is called with %d arguments, %zu expected", name,
                    n_args, signature->n_input_arg);
  tf_scope_init(&scope, f, from->depth + 1);
  scope.arg = arg;
  scope.n_args = n_args;
  const char **text = neo_arena_alloc(&scope.arena, sizeof *text * (signature->n_output_arg + 1));
  neo_status status = NEO_OK;
  for (size_t i = 0; status == NEO_OK && i < signature->n_output_arg; i++)
    status = tf_result_text(im, f, (int)i, &text[i]);
  if (status == NEO_OK)
    status = tf_fetch(im, &scope, (int)signature->n_output_arg, text, out);
  tf_scope_fini(&scope);
  return status;
}
