/* frontends/mxnet_flow.c: MXNet's control flow, _foreach, _while_loop and _cond, whose bodies are
 * subgraphs of the node.
 *
 * Lengths are known when a model is read (the data's first extent, max_iterations), so bodies are
 * written out, once for each step. A while loop's steps behind its end leave the variables alone,
 * and their outputs are 0 (MXNet leaves them undefined); of a condition both branches are
 * computed, and one is chosen: they have the same shapes. */
#include "frontends/mxnet_import.h"

enum { MAX_ARGS = 256, MAX_STEPS = 1024 };

/* Indices of an attribute, all within [0, limit); -1: said. */
static int locations(mx_node *node, const char *name, int64_t *out, int limit) {
  int n = mx_ints(node, name, out, MAX_ARGS);
  for (int i = 0; i < n; i++)
    if (out[i] < 0 || out[i] >= limit) {
      mx_unsupported(node, "%s says %lld of %d", name, (long long)out[i], limit);
      return -1;
    }
  return n < 0 ? 0 : n;
}

static int step_of(mx_node *node, int x, int64_t t) {
  neo_emitter *e = &node->im->e;
  int index = neo_emit_int(e, t);
  neo_node *made = neo_emit_node(e, "gather", 2, (int[]){x, index}, 1);
  neo_node_set_int(e->graph, made, "axis", 0);
  return made->output[0];
}

static int stacked(mx_node *node, int n, const int *part) {
  neo_emitter *e = &node->im->e;
  int64_t axis = 0;
  int *row = neo_arena_alloc(e->graph->arena, sizeof *row * (size_t)n);
  for (int i = 0; i < n; i++)
    row[i] = neo_emit_binary(e, "unsqueeze", part[i], neo_emit_ints(e, 1, &axis));
  neo_node *made = neo_emit_node(e, "concat", n, row, 1);
  neo_node_set_int(e->graph, made, "axis", 0);
  return made->output[0];
}

static int where(mx_node *node, int condition, int a, int b) {
  return mx_emit(node, "where", 3, (int[]){condition, a, b})->output[0];
}

/* A condition's only element as a truth. */
static int truth(mx_node *node, int value) {
  neo_emitter *e = &node->im->e;
  return neo_emit_cast(e, neo_emit_reshape(e, value, 0, NULL), NEO_BOOL);
}

static bool sane(mx_node *node, int n_data, int n_out) {
  if (node->n_inputs > MAX_ARGS || n_data < 0 || n_data > n_out || n_out != node->n_outputs ||
      n_out > MAX_ARGS)
    mx_unsupported(node, "%d inputs, %d of %d outputs with data, %d are known", node->n_inputs,
                   n_data, node->n_outputs, MAX_ARGS);
  else
    return true;
  return false;
}

/* Inputs: data, states, others; in_data_locs, in_state_locs, remain_locs say which argument of the
 * body each is. The body gives num_out_data outputs, then the states. */
void mx_foreach(mx_node *node) {
  int64_t at[3][MAX_ARGS];
  static const char *const names[] = {"in_data_locs", "in_state_locs", "remain_locs"};
  int n[3], args[MAX_ARGS], out[MAX_ARGS],
      n_data = (int)neo_min_i64(mx_int(node, "num_out_data", 0), MAX_ARGS + 1);
  for (int k = 0; k < 3; k++)
    if ((n[k] = locations(node, names[k], at[k], node->n_inputs)) < 0)
      return;
  if (!sane(node, n_data, n_data + n[1]) || n[0] < 1 || n[0] + n[1] + n[2] != node->n_inputs)
    return;
  const neo_shape *shape = mx_shape(node, mx_in(node, 0));
  int64_t steps = shape && shape->rank > 0 ? shape->dim[0] : 0;
  if (steps < 1 || steps > MAX_STEPS) {
    if (shape)
      mx_unsupported(node, "%lld steps, 1 to %d are known", (long long)steps, MAX_STEPS);
    return;
  }
  int *kept =
      neo_arena_alloc(node->im->e.graph->arena, sizeof(int) * (size_t)(steps * (n_data + 1)));
  for (int i = 0; i < node->n_inputs; i++)
    args[i] = mx_in(node, i); /* hostile files may name one twice and another never */
  for (int i = 0; i < n[1] + n[2]; i++) {
    int64_t to = i < n[1] ? at[1][i] : at[2][i - n[1]];
    args[to] = mx_in(node, n[0] + i);
  }
  for (int64_t t = 0; t < steps; t++) {
    for (int i = 0; i < n[0]; i++)
      args[at[0][i]] = step_of(node, mx_in(node, i), t);
    if (!mx_subgraph(node, 0, node->n_inputs, args, n_data + n[1], out))
      return;
    for (int i = 0; i < n_data; i++)
      kept[i * steps + t] = out[i];
    for (int i = 0; i < n[1]; i++)
      args[at[1][i]] = out[n_data + i];
  }
  for (int i = 0; i < n_data; i++)
    mx_set(node, i, stacked(node, (int)steps, kept + i * steps));
  for (int i = 0; i < n[1]; i++)
    mx_set(node, n_data + i, out[n_data + i]);
}

typedef struct loop {
  int64_t cond[MAX_ARGS], func[MAX_ARGS], var[MAX_ARGS];
  int n_cond, n_func, n_var, n_data;
  int in[MAX_ARGS], args[MAX_ARGS], out[MAX_ARGS];
} loop;

/* The condition of the variables as they are, bool [], or NEO_NO_VALUE. */
static int condition(mx_node *node, loop *l, int which) {
  for (int i = 0; i < l->n_cond; i++)
    l->args[i] = l->in[l->cond[i]];
  return mx_subgraph(node, which, l->n_cond, l->args, 1, l->out) ? truth(node, l->out[0])
                                                                 : NEO_NO_VALUE;
}

/* One step; its outputs go to kept. active: does the loop still run? */
static bool loop_step(mx_node *node, loop *l, int active, int *kept, int64_t steps) {
  for (int i = 0; i < l->n_func; i++)
    l->args[i] = l->in[l->func[i]];
  if (!mx_subgraph(node, 1, l->n_func, l->args, l->n_data + l->n_var, l->out))
    return false;
  for (int i = 0; i < l->n_data; i++)
    kept[i * steps] = where(node, active, l->out[i], mx_scalar(node, l->out[i], 0));
  for (int i = 0; i < l->n_var; i++) {
    int *var = &l->in[l->func[l->var[i]]];
    *var = where(node, active, l->out[l->n_data + i], *var);
  }
  return true;
}

/* cond_input_locs and func_input_locs say which inputs the arguments are, func_var_locs which of
 * the second are the variables. */
void mx_while_loop(mx_node *node) {
  loop *l = neo_arena_alloc(node->im->e.graph->arena, sizeof *l);
  int64_t steps = mx_int(node, "max_iterations", 0);
  l->n_data = (int)neo_min_i64(mx_int(node, "num_out_data", 0), MAX_ARGS + 1);
  l->n_cond = locations(node, "cond_input_locs", l->cond, node->n_inputs);
  l->n_func = locations(node, "func_input_locs", l->func, node->n_inputs);
  l->n_var = l->n_func < 0 ? -1 : locations(node, "func_var_locs", l->var, l->n_func);
  if (l->n_cond < 0 || l->n_var < 0 || !sane(node, l->n_data, l->n_data + l->n_var))
    return;
  if (steps < 1 || steps > MAX_STEPS) {
    mx_unsupported(node, "%lld iterations, 1 to %d are known", (long long)steps, MAX_STEPS);
    return;
  }
  int *kept =
      neo_arena_alloc(node->im->e.graph->arena, sizeof(int) * (size_t)(steps * (l->n_data + 1)));
  for (int i = 0; i < node->n_inputs; i++)
    l->in[i] = mx_in(node, i);
  int active = NEO_NO_VALUE;
  for (int64_t t = 0; t < steps; t++) {
    int more = condition(node, l, 0);
    if (more == NEO_NO_VALUE)
      return;
    active = active == NEO_NO_VALUE ? more : mx_two(node, "and", active, more);
    if (!loop_step(node, l, active, kept + t, steps))
      return;
  }
  for (int i = 0; i < l->n_data; i++)
    mx_set(node, i, stacked(node, (int)steps, kept + i * steps));
  for (int i = 0; i < l->n_var; i++)
    mx_set(node, l->n_data + i, l->in[l->func[l->var[i]]]);
}

/* Three bodies: the condition, then, else; *_input_locs say which inputs their arguments are. */
void mx_cond(mx_node *node) {
  static const char *const names[] = {"cond_input_locs", "then_input_locs", "else_input_locs"};
  int64_t at[MAX_ARGS];
  int args[MAX_ARGS], out[3][MAX_ARGS], chosen = NEO_NO_VALUE;
  if (!sane(node, 0, node->n_outputs))
    return;
  for (int k = 0; k < 3; k++) {
    int n = locations(node, names[k], at, node->n_inputs);
    if (n < 0)
      return;
    for (int i = 0; i < n; i++)
      args[i] = mx_in(node, (int)at[i]);
    if (!mx_subgraph(node, k, n, args, k ? node->n_outputs : 1, out[k]))
      return;
    if (k == 0)
      chosen = truth(node, out[0][0]);
  }
  for (int i = 0; i < node->n_outputs; i++)
    mx_set(node, i, where(node, chosen, out[1][i], out[2][i]));
}
