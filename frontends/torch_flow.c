/* frontends/torch_flow.c: loops of TorchScript whose length depends on the data, as the graph's
 * `loop`.
 *
 * The body is walked once in a graph of its own. Variables that it sets and that existed before are
 * the loop's state: tensors and numbers, of one type and shape throughout. A while loop's condition
 * is evaluated before it and again at the end of the body. */
#include "frontends/torch_script.h"

#include <string.h>

typedef struct loop {
  neo_emitter emitter;
  torch_frame frame;
  ts_env env;
  int n; /* states */
  const char *name[TS_MAX_NAMES];
  int first[TS_MAX_NAMES];    /* their values before the loop */
  int last[TS_MAX_NAMES + 1]; /* in the body's graph: the condition, then the states */
} loop;

static int condition_of(script *s, ts_env *env, const ts_stmt *stmt) {
  tv v = ts_eval(s, env, stmt->value);
  int id = torch_cast(&s->t, torch_id(&s->t, &v), NEO_BOOL);
  return torch_reshape(&s->t, id, 0, NULL);
}

/* The states among the names that the body sets; false: one cannot be. */
static bool find_states(script *s, ts_env *env, const ts_stmt *stmt, loop *l) {
  const char *names[TS_MAX_NAMES];
  int n = 0;
  ts_collect_names(&stmt->body, names, &n);
  for (int i = 0; i < n; i++) {
    const tv *v = neo_map_get(&env->names, names[i]);
    if (!v)
      continue;
    if (v->kind != TV_TENSOR && !torch_is_number(v)) {
      torch_unsupported(&s->t, "loop",
                        "'%s', a %s, changes in a loop whose length depends on the data", names[i],
                        torch_kind_name(v));
      return false;
    }
    l->name[l->n] = names[i];
    l->first[l->n++] = torch_id(&s->t, v);
  }
  return true;
}

static tv body_input(script *s, loop *l, const char *name, neo_dtype dtype,
                     const neo_shape *shape) {
  return torch_tensor(&s->t, neo_graph_add_input(l->emitter.graph, name, dtype, shape));
}

/* Walks the body; its outputs are in l->last. */
static void walk_body(script *s, const ts_stmt *stmt, loop *l) {
  const neo_graph *outer = l->frame.parent->emitter->graph;
  neo_shape scalar = {0};
  tv i = body_input(s, l, "i", NEO_I64, &scalar);
  body_input(s, l, "condition", NEO_BOOL, &scalar);
  for (int k = 0; k < l->n; k++) {
    const neo_value *from = &outer->value[l->first[k]];
    ts_set_local(s, &l->env, l->name[k], body_input(s, l, l->name[k], from->dtype, &from->shape));
  }
  if (stmt->kind == TS_FOR && stmt->target[0]->kind == TS_NAME)
    ts_set_local(s, &l->env, stmt->target[0]->text, i);
  ts_run_block(s, &l->env, &stmt->body);
  if (s->raised || s->t.failed != NEO_OK)
    return;
  l->last[0] =
      stmt->kind == TS_WHILE ? condition_of(s, &l->env, stmt) : torch_scalar(&s->t, NEO_BOOL, 1);
  for (int k = 0; k < l->n; k++) {
    const neo_value *from = &outer->value[l->first[k]];
    const tv *v = neo_map_get(&l->env.names, l->name[k]);
    int id = torch_cast(&s->t, torch_id(&s->t, v), from->dtype);
    const neo_shape *shape = torch_shape_peek(&s->t, id);
    if (shape && !neo_shape_equal(shape, &from->shape))
      torch_unsupported(&s->t, "loop",
                        "'%s' changes its shape in a loop whose length depends on the data",
                        l->name[k]);
    l->last[k + 1] = id;
  }
}

static void emit_loop(script *s, ts_env *env, loop *l, int trips, int condition) {
  neo_emitter *e = torch_emitter(&s->t);
  int inputs[2 + TS_MAX_NAMES + 256] = {trips, condition}, n = 2;
  for (int k = 0; k < l->n; k++)
    inputs[n++] = l->first[k];
  for (int i = 0; i < l->frame.n_captures && n < NEO_COUNT(inputs); i++)
    if (!l->emitter.graph->value[l->frame.inner[i]].constant)
      inputs[n++] = l->frame.outer[i];
  torch_refuse_complex(&s->t, e, l->n, l->first);
  torch_refuse_complex(&s->t, &l->emitter, l->n + 1, l->last);
  for (int k = 0; k <= l->n; k++)
    neo_graph_add_output(l->emitter.graph, l->last[k], k ? l->name[k - 1] : "condition");
  neo_emit_infer(&l->emitter);
  neo_node *node = neo_emit_node(e, "loop", n, inputs, l->n);
  neo_node_set_int(e->graph, node, "n_state", l->n);
  neo_node_set_graph(e->graph, node, "body", l->emitter.graph);
  l->emitter.graph = NULL;
  for (int k = 0; k < l->n; k++)
    ts_set_local(s, env, l->name[k], torch_tensor(&s->t, node->output[k]));
}

void ts_loop_on_data(script *s, ts_env *env, const ts_stmt *stmt, const tv *trips) {
  loop *l = neo_arena_alloc(&s->t.arena, sizeof *l);
  int n = NEO_NO_VALUE, condition = NEO_NO_VALUE;
  if (!find_states(s, env, stmt, l))
    return;
  if (l->n == 0)
    return; /* it changes nothing */
  if (trips)
    n = torch_reshape(&s->t, torch_cast(&s->t, torch_id(&s->t, trips), NEO_I64), 0, NULL);
  else
    condition = condition_of(s, env, stmt);
  if (torch_poisoned(&s->t) ||
      neo_emitter_init(&l->emitter, s->t.ctx, s->t.source, "body") != NEO_OK)
    return;
  neo_emit_infer(torch_emitter(&s->t));
  l->emitter.scope = torch_emitter(&s->t)->scope;
  l->frame = (torch_frame){.parent = s->t.frame, .emitter = &l->emitter};
  l->env.what = env->what;
  ts_copy_names(s, &l->env, env, stmt);
  s->t.frame = &l->frame;
  walk_body(s, stmt, l);
  s->t.frame = l->frame.parent;
  neo_map_fini(&l->env.names);
  if (s->raised) {
    s->raised = false;
    torch_unsupported(&s->t, "loop", "raises inside: %s", s->message);
  }
  if (!torch_poisoned(&s->t))
    emit_loop(s, env, l, n, condition);
  ts_end_frame(s, &l->emitter);
}
