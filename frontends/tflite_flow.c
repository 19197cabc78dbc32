/* frontends/tflite_flow.c: TFLite's control flow and variables.
 *
 * IF and WHILE name subgraphs; they become the IR's `if` and `loop`, whose graphs are read from
 * those subgraphs. What is constant outside is constant inside, too. A WHILE has a condition of its
 * own: it is written once before the loop and once at the end of the body. State that the body
 * hands through unchanged is a capture.
 *
 * A graph has no memory between runs. A variable (VAR_HANDLE names it) that the model assigns
 * becomes an input of its name, and an output NAME:next that holds what the model leaves in it: the
 * caller hands it to the next run. Its first value is what the subgraph of CALL_ONCE assigns;
 * reading the model logs what that is. A variable that only CALL_ONCE assigns is a constant. */
#include "frontends/complex.h"
#include "frontends/tflite_import.h"

#include <inttypes.h>
#include <string.h>

enum { CODE_CALL_ONCE = 129, CODE_VAR_HANDLE = 142, CODE_ASSIGN = 144 };

/* ---- graphs within graphs --------------------------------------------------------------------------- */

/* What was set aside while a body is read. */
typedef struct outside {
  neo_graph *graph;
  int inferred;
  const char *scope;
  neo_status failed;
} outside;

static bool enter(tfl_import *im, outside *saved) {
  neo_graph *graph;
  neo_status status = neo_graph_create(im->e.ctx, "body", &graph);
  if (status != NEO_OK) {
    im->fb.status = status;
    return false;
  }
  graph->budget = im->e.graph->budget;
  *saved = (outside){im->e.graph, im->e.inferred, im->e.scope, im->e.failed};
  im->e.graph = graph;
  im->e.inferred = 0;
  im->bodies++;
  return true;
}

/* What could not be inferred with a counter unknown is no error: the loop may be unrolled. */
static neo_graph *leave(tfl_import *im, const outside *saved) {
  neo_graph *graph = im->e.graph;
  if (im->e.failed != saved->failed && tfl_ok(im))
    neo_ctx_clear(im->e.ctx);
  im->e.failed = saved->failed;
  im->e.graph = saved->graph;
  im->e.inferred = saved->inferred;
  im->e.scope = saved->scope;
  im->bodies--;
  return graph;
}

/* Operands of IF and WHILE: the outer tensors. */
typedef struct operands {
  int n, *value;
  tfl_tensor **tensor;
} operands;

static bool read_operands(tfl_op *op, int first, operands *out) {
  neo_arena *arena = op->im->e.graph->arena;
  out->n = (int)op->inputs.n - first;
  if (out->n < 0)
    return false;
  out->value = neo_arena_alloc(arena, sizeof(int) * ((size_t)out->n + 1));
  out->tensor = neo_arena_alloc(arena, sizeof *out->tensor * ((size_t)out->n + 1));
  for (int i = 0; i < out->n; i++) {
    out->tensor[i] = tfl_input(op, first + i);
    out->value[i] = NEO_NO_VALUE;
    if (out->tensor[i] && !out->tensor[i]->handle)
      out->value[i] = tfl_value(op->im, out->tensor[i]);
  }
  return tfl_ok(op->im);
}

/* An input of the body like an outer value; constants come in as constants. */
static int import_value(tfl_import *im, const neo_graph *outer, int value, bool constants) {
  const neo_value *v = &outer->value[value];
  if (v->constant && constants)
    return neo_emit_tensor(&im->e, v->name, v->constant);
  return neo_graph_add_input(im->e.graph, v->name ? v->name : "", v->dtype, &v->shape);
}

static bool open_body(tfl_import *im, int64_t subgraph, int n, tfl_scope *scope) {
  if (!tfl_open_scope(im, subgraph, scope))
    return false;
  if (scope->inputs.n != n)
    tfl_broken(im, "subgraph %" PRId64 " has %" PRId64 " inputs, %d are given", subgraph,
               scope->inputs.n, n);
  return tfl_ok(im);
}

static void bind(tfl_import *im, tfl_scope *scope, int i, int value, const tfl_tensor *from) {
  tfl_tensor *t = tfl_tensor_at(im, scope, neo_fb_element(&scope->inputs, NEO_FB_I32, i));
  if (!t)
    return;
  t->value = value;
  t->handle = from ? from->handle : NULL;
}

static int result(tfl_import *im, tfl_scope *scope, int i) {
  int value =
      tfl_value(im, tfl_tensor_at(im, scope, neo_fb_element(&scope->outputs, NEO_FB_I32, i)));
  if (value != NEO_NO_VALUE && neo_complex_is(&im->e, value))
    neo_emit_unsupported(&im->e, "IF or WHILE", "whose body gives complex numbers");
  return value;
}

/* ---- IF ------------------------------------------------------------------------------------------------ */

static neo_graph *branch(tfl_op *op, int64_t subgraph, const operands *in) {
  tfl_import *im = op->im;
  outside saved;
  tfl_scope scope;
  if (!enter(im, &saved))
    return NULL;
  if (open_body(im, subgraph, in->n, &scope)) {
    for (int i = 0; i < in->n; i++)
      bind(im, &scope, i,
           in->value[i] == NEO_NO_VALUE ? NEO_NO_VALUE
                                        : import_value(im, saved.graph, in->value[i], true),
           in->tensor[i]);
    tfl_convert_scope(im, &scope);
    if (scope.outputs.n != op->outputs.n)
      tfl_broken(im, "IF has %" PRId64 " outputs, its branch %" PRId64, op->outputs.n,
                 scope.outputs.n);
    for (int i = 0; i < scope.outputs.n && tfl_ok(im); i++)
      neo_graph_add_output(im->e.graph, result(im, &scope, i), "");
  }
  return leave(im, &saved);
}

static void set_results(tfl_op *op, const neo_node *node, int n, const int *which) {
  const int *made =
      neo_arena_copy(op->im->e.graph->arena, node->output, sizeof(int) * (size_t)node->n_outputs);
  for (int i = 0; i < n; i++)
    tfl_set_raw(op, i, made[which ? which[i] : i]);
}

/* The graphs belong to the node from here on. */
static void emit_if(tfl_op *op, const operands *in, neo_graph *then, neo_graph *otherwise) {
  neo_emitter *e = &op->im->e;
  int *inputs = neo_arena_alloc(e->graph->arena, sizeof(int) * ((size_t)in->n + 1)), n = 0;
  inputs[n++] = neo_emit_reshape(e, tfl_raw(op, 0), 0, NULL);
  for (int i = 0; i < in->n; i++)
    if (in->value[i] != NEO_NO_VALUE && !e->graph->value[in->value[i]].constant)
      inputs[n++] = in->value[i];
  neo_node *node = neo_emit_node(e, "if", n, inputs, (int)op->outputs.n);
  neo_node_set_graph(e->graph, node, "then", then);
  neo_node_set_graph(e->graph, node, "else", otherwise);
  set_results(op, node, (int)op->outputs.n, NULL);
}

void tfl_if(tfl_op *op) {
  operands in;
  if (!read_operands(op, 1, &in))
    return;
  neo_emit_infer(&op->im->e); /* what is constant now is so for both branches and the node */
  neo_graph *then = branch(op, tfl_option(op, 0, NEO_FB_I32, 0), &in), *otherwise = NULL;
  if (then && tfl_ok(op->im))
    otherwise = branch(op, tfl_option(op, 1, NEO_FB_I32, 0), &in);
  if (otherwise && tfl_ok(op->im)) {
    emit_if(op, &in, then, otherwise);
    return;
  }
  neo_graph_destroy(then);
  neo_graph_destroy(otherwise);
}

/* ---- WHILE --------------------------------------------------------------------------------------------- */

/* Which operands the body changes: those are states, the others captures. */
static int find_states(tfl_import *im, tfl_scope *body, const operands *in, bool *changes) {
  int n = 0;
  for (int i = 0; i < in->n; i++) {
    changes[i] = in->value[i] != NEO_NO_VALUE && neo_fb_element(&body->inputs, NEO_FB_I32, i) !=
                                                     neo_fb_element(&body->outputs, NEO_FB_I32, i);
    n += changes[i];
  }
  (void)im;
  return n;
}

/* The condition subgraph over these values, written into the graph at hand. */
static int condition(tfl_import *im, int64_t subgraph, const operands *in, const int *value) {
  tfl_scope scope;
  if (!open_body(im, subgraph, in->n, &scope))
    return NEO_NO_VALUE;
  for (int i = 0; i < in->n; i++)
    bind(im, &scope, i, value[i], in->tensor[i]);
  tfl_convert_scope(im, &scope);
  if (scope.outputs.n != 1)
    tfl_broken(im, "a WHILE's condition has %" PRId64 " outputs", scope.outputs.n);
  if (!tfl_ok(im))
    return NEO_NO_VALUE;
  return neo_emit_reshape(&im->e, result(im, &scope, 0), 0, NULL);
}

/* Inputs: iteration, condition, states, captures; constants are no captures. */
static void body_inputs(tfl_import *im, tfl_scope *scope, const neo_graph *outer,
                        const operands *in, const bool *changes) {
  neo_shape none = {0};
  neo_graph_add_input(im->e.graph, "iteration", NEO_I64, &none);
  neo_graph_add_input(im->e.graph, "condition", NEO_BOOL, &none);
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < in->n; i++)
      if (in->value[i] != NEO_NO_VALUE && changes[i] == (pass == 0))
        bind(im, scope, i, import_value(im, outer, in->value[i], pass == 1), in->tensor[i]);
  for (int i = 0; i < in->n; i++)
    if (in->value[i] == NEO_NO_VALUE)
      bind(im, scope, i, NEO_NO_VALUE, in->tensor[i]);
}

static void body_outputs(tfl_op *op, tfl_scope *scope, const operands *in, const bool *changes) {
  tfl_import *im = op->im;
  int *value = neo_arena_alloc(im->e.graph->arena, sizeof(int) * ((size_t)in->n + 1));
  for (int i = 0; i < in->n && tfl_ok(im); i++)
    value[i] = in->value[i] == NEO_NO_VALUE ? NEO_NO_VALUE : result(im, scope, i);
  if (!tfl_ok(im))
    return;
  int again = condition(im, tfl_option(op, 0, NEO_FB_I32, 0), in, value);
  if (again == NEO_NO_VALUE)
    return;
  neo_graph_add_output(im->e.graph, again, "");
  for (int i = 0; i < in->n; i++)
    if (changes[i])
      neo_graph_add_output(im->e.graph, value[i], "");
}

static neo_graph *loop_body(tfl_op *op, const operands *in, bool *changes, int *n_state) {
  tfl_import *im = op->im;
  outside saved;
  tfl_scope scope;
  if (!enter(im, &saved))
    return NULL;
  if (open_body(im, tfl_option(op, 1, NEO_FB_I32, 0), in->n, &scope)) {
    if (scope.outputs.n != in->n)
      tfl_broken(im, "a WHILE's body has %d inputs and %" PRId64 " outputs", in->n,
                 scope.outputs.n);
    *n_state = find_states(im, &scope, in, changes);
    body_inputs(im, &scope, saved.graph, in, changes);
    tfl_convert_scope(im, &scope);
    if (tfl_ok(im))
      body_outputs(op, &scope, in, changes);
  }
  return leave(im, &saved);
}

static void emit_loop(tfl_op *op, const operands *in, const bool *changes, int n_state,
                      neo_graph *body, int first) {
  neo_emitter *e = &op->im->e;
  int *inputs = neo_arena_alloc(e->graph->arena, sizeof(int) * ((size_t)in->n + 3)), n = 2, at = 0;
  inputs[0] = NEO_NO_VALUE;
  inputs[1] = first;
  for (int pass = 0; pass < 2; pass++)
    for (int i = 0; i < in->n; i++)
      if (in->value[i] != NEO_NO_VALUE && changes[i] == (pass == 0) &&
          (pass == 0 || !e->graph->value[in->value[i]].constant))
        inputs[n++] = in->value[i];
  neo_node *node = neo_emit_node(e, "loop", n, inputs, n_state);
  neo_node_set_int(e->graph, node, "n_state", n_state);
  neo_node_set_graph(e->graph, node, "body", body);
  const int *made =
      neo_arena_copy(e->graph->arena, node->output, sizeof(int) * ((size_t)n_state + 1));
  for (int i = 0; i < in->n; i++)
    if (in->value[i] != NEO_NO_VALUE)
      tfl_set_raw(op, i, changes[i] ? made[at++] : in->value[i]);
}

void tfl_while(tfl_op *op) {
  tfl_import *im = op->im;
  operands in;
  int n_state = 0;
  if (!read_operands(op, 0, &in))
    return;
  bool *changes = neo_arena_alloc(im->e.graph->arena, (size_t)in.n + 1);
  int first = condition(im, tfl_option(op, 0, NEO_FB_I32, 0), &in, in.value);
  if (first == NEO_NO_VALUE)
    return;
  neo_emit_infer(&im->e);
  neo_graph *body = loop_body(op, &in, changes, &n_state);
  if (body && tfl_ok(im))
    emit_loop(op, &in, changes, n_state, body, first);
  else
    neo_graph_destroy(body);
}

/* ---- variables -------------------------------------------------------------------------------------------- */

static tfl_variable *variable(tfl_import *im, const char *name) {
  for (tfl_variable *v = im->variables; v; v = v->next)
    if (strcmp(v->name, name) == 0)
      return v;
  tfl_variable *v = neo_arena_alloc(im->main->arena, sizeof *v);
  v->name = neo_arena_strdup(im->main->arena, name);
  v->state = v->value = NEO_NO_VALUE;
  v->next = im->variables;
  im->variables = v;
  return v;
}

static int code_of(tfl_import *im, const neo_fb_table *op) {
  neo_fb_table code =
      neo_fb_element_table(&im->codes, neo_fb_int(op, TFL_OPERATOR_CODE, NEO_FB_U32, 0));
  int64_t old = neo_fb_int(&code, TFL_CODE_OLD, NEO_FB_I8, 0),
          built_in = neo_fb_int(&code, TFL_CODE_BUILTIN, NEO_FB_I32, 0);
  return (int)(old > built_in ? old : built_in);
}

static const char *handle_name(const neo_fb_table *op) {
  neo_fb_table options = neo_fb_child(op, TFL_OPERATOR_OPTIONS);
  const char *name = neo_fb_string(&options, 1);
  return name && *name ? name : "variable";
}

/* Assigned in this subgraph: the handle is made in it, too. */
static void find_assigned(tfl_import *im, int64_t subgraph) {
  neo_fb_table table = neo_fb_element_table(&im->subgraphs, subgraph);
  neo_fb_vector operators = neo_fb_field_vector(&table, TFL_GRAPH_OPERATORS, 4);
  for (int64_t i = 0; i < operators.n && tfl_ok(im); i++) {
    neo_fb_table op = neo_fb_element_table(&operators, i);
    if (code_of(im, &op) != CODE_ASSIGN)
      continue;
    neo_fb_vector inputs = neo_fb_field_vector(&op, TFL_OPERATOR_INPUTS, 4);
    int64_t handle = neo_fb_element(&inputs, NEO_FB_I32, 0);
    for (int64_t k = 0; k < i && tfl_ok(im); k++) {
      neo_fb_table maker = neo_fb_element_table(&operators, k);
      neo_fb_vector outputs = neo_fb_field_vector(&maker, TFL_OPERATOR_OUTPUTS, 4);
      if (code_of(im, &maker) == CODE_VAR_HANDLE && outputs.n > 0 &&
          neo_fb_element(&outputs, NEO_FB_I32, 0) == handle)
        variable(im, handle_name(&maker))->assigned = true;
    }
  }
}

void tfl_find_states(tfl_import *im) {
  im->main = im->e.graph;
  find_assigned(im, 0);
}

void tfl_add_states(tfl_import *im) {
  for (const tfl_variable *v = im->variables; v && tfl_ok(im); v = v->next)
    if (v->state != NEO_NO_VALUE)
      neo_graph_add_output(im->e.graph, v->value,
                           neo_arena_printf(im->e.graph->arena, "%s:next", v->name));
}

void tfl_call_once(tfl_op *op) {
  tfl_import *im = op->im;
  tfl_scope scope;
  bool before = im->initialising;
  if (im->bodies > 0) {
    tfl_unsupported(op, "inside of IF or WHILE");
    return;
  }
  if (!tfl_open_scope(im, tfl_option(op, 0, NEO_FB_I32, 0), &scope))
    return;
  im->initialising = true;
  tfl_convert_scope(im, &scope);
  im->initialising = before;
}

void tfl_var_handle(tfl_op *op) {
  tfl_tensor *t = tfl_output(op, 0);
  if (t)
    t->handle = variable(op->im, handle_name(&op->table));
}

static tfl_variable *handle_of(tfl_op *op) {
  const tfl_tensor *t = tfl_input(op, 0);
  if (t && t->handle && op->im->bodies == 0)
    return t->handle;
  tfl_unsupported(op, t && t->handle ? "inside of IF or WHILE" : "of no variable");
  return NULL;
}

static void announce(tfl_import *im, const tfl_variable *v) {
  int64_t n;
  bool same = v->initial.data && neo_shape_elements(&v->initial.shape, &n) && n > 0;
  for (int64_t i = 1; same && i < n; i++)
    same = neo_tensor_get_f64(&v->initial, i) == neo_tensor_get_f64(&v->initial, 0);
  if (same)
    neo_log(im->e.ctx, NEO_LOG_INFO,
            "tflite: variable '%s' is an input and, for the next run, output '%s:next'; it starts "
            "as all %g",
            v->name, v->name, neo_tensor_get_f64(&v->initial, 0));
  else
    neo_log(im->e.ctx, NEO_LOG_INFO,
            "tflite: variable '%s' is an input and, for the next run, output '%s:next'", v->name,
            v->name);
}

void tfl_read_variable(tfl_op *op) {
  tfl_import *im = op->im;
  const tfl_tensor *t = tfl_output(op, 0);
  tfl_variable *v = handle_of(op);
  if (!v || !t)
    return;
  if (v->value == NEO_NO_VALUE && v->assigned && t->dtype < NEO_DTYPE_COUNT) {
    const neo_shape *shape = v->initial.data ? &v->initial.shape : &t->shape;
    v->state = v->value = neo_emit_input(&im->e, v->name, t->dtype, shape);
    announce(im, v);
  } else if (v->value == NEO_NO_VALUE && v->initial.data) {
    v->value = neo_emit_tensor(&im->e, v->name, &v->initial);
  }
  if (v->value == NEO_NO_VALUE)
    tfl_unsupported(op, "variable '%s' has no value", v->name);
  else
    tfl_set_raw(op, 0, v->value);
}

void tfl_assign_variable(tfl_op *op) {
  tfl_variable *v = handle_of(op);
  int value = tfl_raw(op, 1);
  if (!v || value == NEO_NO_VALUE)
    return;
  if (!op->im->initialising) {
    v->value = value;
    return;
  }
  const neo_tensor *tensor = neo_emit_const(&op->im->e, value);
  if (tensor)
    v->initial = *tensor;
  else
    tfl_unsupported(op, "variable '%s' starts with what is not a constant", v->name);
}
