/* ir/pass_flow.c: types of control flow, and making it disappear where it can.
 *
 * `if` with a constant condition becomes the branch taken. A `loop` becomes its iterations where
 * the compiler can follow it: every iteration is inferred on a copy of the body with what the
 * iteration before left (constants and types), so counters, conditions computed from them and
 * states whose shape changes are all known. That is done for short loops because it is faster, and
 * for others only if the loop has no type as a loop (a state grows, a shape depends on i).
 *
 * Everything happens on copies: infer folds shapes into constants, which is wrong for the next
 * iteration's types, and an attempt may fail. What it costs is bounded by the budget, which counts
 * every node inferred inside a graph; nested loops multiply, so a depth limit alone would not do.
 *
 * Invariant: a kept loop's body never reads a constant through its inputs: captured constants were
 * put in their place (reshape's target is a constant inside, too); the input stays, unused. */
#include "ir/flow.h"
#include "ir/pass_internal.h"

#include <inttypes.h>
#include <string.h>

#define SHORT_TRIPS 16
#define SMALL_BODY 64
#define MOST_TRIPS 1024
#define MOST_NODES 65536

typedef struct solver {
  neo_ctx *ctx;
  const neo_graph *graph;
  const neo_node *node;
  neo_flow_budget *budget;
  neo_flow *flow;
} solver;

static neo_status fail(const solver *s, neo_status status, const char *what, int k) {
  return neo_fail(s->ctx, status, "node '%s' (%s): %s %d", s->node->name, s->node->op->name, what,
                  k);
}

/* ---- instances ------------------------------------------------------------------------------- */

/* A copy of a graph, owned by flow. */
static neo_status instance(solver *s, const neo_graph *of, neo_graph **out) {
  neo_flow *flow = s->flow;
  flow->graph =
      neo_arena_grow(&flow->arena, flow->graph, &flow->cap, flow->n + 1, sizeof *flow->graph);
  NEO_TRY(neo_graph_clone(s->ctx, of, out));
  flow->graph[flow->n++] = *out;
  return NEO_OK;
}

static void drop_instances(neo_flow *flow) {
  for (int i = 0; i < flow->n; i++)
    neo_graph_destroy(flow->graph[i]);
  flow->n = 0;
}

void neo_flow_free(neo_flow *flow) {
  drop_instances(flow);
  neo_arena_fini(&flow->arena);
}

/* Input k of an instance has this type; if it is a constant, readers of the input read that. */
static void bind(neo_graph *sub, int k, const neo_value *to, const neo_tensor *constant) {
  int id = sub->input[k];
  sub->value[id].dtype = to->dtype;
  sub->value[id].shape = to->shape;
  memset(sub->value[id].dim_name, 0, sizeof sub->value[id].dim_name);
  if (constant)
    neo_edit_replace(sub, id, neo_graph_add_constant(sub, sub->value[id].name, constant));
}

static void bind_scalar(neo_graph *sub, int k, neo_dtype dtype, const int64_t *v) {
  neo_value type = {.dtype = dtype};
  neo_tensor tensor = {dtype, {0}, neo_arena_alloc(sub->arena, 16), neo_dtype_size(dtype)};
  if (v)
    neo_tensor_set_i64(&tensor, 0, *v);
  bind(sub, k, &type, v ? &tensor : NULL);
}

static neo_status infer_instance(solver *s, neo_graph *sub) {
  if (s->budget->depth == NEO_MAX_GRAPH_DEPTH)
    return fail(s, NEO_UNSUPPORTED, "graphs nest deeper than", NEO_MAX_GRAPH_DEPTH);
  s->budget->depth++;
  neo_status status = neo_infer_within(s->ctx, sub, s->budget);
  s->budget->depth--;
  return status;
}

static int live_nodes(const neo_graph *graph) {
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++)
    n += !graph->node[i].dead;
  return n;
}

static bool has_loop(const neo_graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (!graph->node[i].dead && neo_edit_is(&graph->node[i], "loop"))
      return true;
  return false;
}

static neo_value *make_outputs(solver *s) {
  s->flow->output =
      neo_arena_alloc(&s->flow->arena, sizeof *s->flow->output * (size_t)(s->node->n_outputs + 1));
  return s->flow->output;
}

/* ---- if -------------------------------------------------------------------------------------- */

static neo_status branch(solver *s, const char *name, neo_graph **out) {
  NEO_TRY(instance(s, neo_node_graph(s->node, name), out));
  for (int k = 0; k < (*out)->n_inputs; k++) {
    const neo_value *value = &s->graph->value[s->node->input[k + 1]];
    bind(*out, k, value, value->constant);
  }
  return infer_instance(s, *out);
}

static neo_status same_outputs(const solver *s, const neo_graph *a, const neo_graph *b) {
  for (int i = 0; i < s->node->n_outputs; i++) {
    const neo_value *x = &a->value[a->output[i]], *y = &b->value[b->output[i]];
    neo_buf text = {0};
    if (x->dtype == y->dtype && neo_shape_equal(&x->shape, &y->shape))
      continue;
    neo_buf_printf(&text, "%s", neo_dtype_name(x->dtype));
    neo_shape_print(&text, &x->shape);
    neo_buf_printf(&text, " and %s", neo_dtype_name(y->dtype));
    neo_shape_print(&text, &y->shape);
    neo_status status =
        neo_fail(s->ctx, x->dtype == y->dtype ? NEO_UNSUPPORTED : NEO_BAD_INPUT,
                 "node '%s' (if): output %d is %s in its branches, which only a constant condition "
                 "could decide",
                 s->node->name, i, text.data ? text.data : "of two types");
    neo_buf_fini(&text);
    return status;
  }
  return NEO_OK;
}

/* A branch whose types do not fit for these input shapes is none that the model takes with them, or
 * it would fail there, too: a graph of the other's types that fails when it is run. */
static neo_status cannot_run(solver *s, const char *name, const neo_graph *other, neo_graph **out) {
  const neo_graph *was = neo_node_graph(s->node, name);
  neo_flow *flow = s->flow;
  neo_graph *graph;
  flow->graph =
      neo_arena_grow(&flow->arena, flow->graph, &flow->cap, flow->n + 1, sizeof *flow->graph);
  NEO_TRY(neo_graph_create(s->ctx, was->name, &graph));
  flow->graph[flow->n++] = *out = graph;
  for (int k = 0; k < was->n_inputs; k++) {
    const neo_value *value = &s->graph->value[s->node->input[k + 1]];
    neo_graph_add_input(graph, was->value[was->input[k]].name, value->dtype, &value->shape);
  }
  for (int i = 0; i < s->node->n_outputs; i++) {
    const neo_value *like = &other->value[other->output[i]];
    const char *label = neo_arena_printf(
        graph->arena, "%s: its branch '%s' does not fit the input shapes", s->node->name, name);
    neo_node *node = neo_graph_add_node(graph, "unreachable", label, 0, NULL, 1);
    int value = node->output[0];
    neo_node_set_string(graph, node, "dtype", neo_dtype_name(like->dtype));
    neo_node_set_ints(graph, node, "shape", like->shape.rank, like->shape.dim);
    neo_graph_add_output(graph, value, was->output_name[i]);
  }
  return infer_instance(s, graph);
}

/* Of an instance that could not even be made there is none. */
static void drop_behind(neo_flow *flow, int n) {
  while (flow->n > n)
    neo_graph_destroy(flow->graph[--flow->n]);
}

/* Both branches of an open condition, `else` first; one of them may be such that it cannot run. */
static neo_status both_branches(solver *s, neo_graph **other, neo_graph **taken) {
  neo_ctx *ctx = s->ctx, quiet;
  neo_ctx_fork(&quiet, ctx);
  s->ctx = &quiet;
  neo_status first = branch(s, "else", other);
  s->ctx = ctx;
  if (first == NEO_OK) {
    neo_ctx_fork(&quiet, ctx);
    s->ctx = &quiet;
    neo_status second = branch(s, "then", taken);
    s->ctx = ctx;
    if (second == NEO_OK)
      return NEO_OK;
    drop_behind(s->flow, 1);
    return second == NEO_BAD_INPUT ? cannot_run(s, "then", *other, taken)
                                   : branch(s, "then", taken);
  }
  drop_behind(s->flow, 0);
  if (first != NEO_BAD_INPUT)
    return branch(s, "else", other);
  NEO_TRY(branch(s, "then", taken));
  NEO_TRY(cannot_run(s, "else", *taken, other));
  s->flow->graph[0] = *other;
  s->flow->graph[1] = *taken;
  return NEO_OK;
}

static neo_status solve_if(solver *s) {
  const neo_tensor *cond = s->graph->value[s->node->input[0]].constant;
  neo_graph *taken, *other;
  s->flow->inlined = cond != NULL;
  if (cond) {
    NEO_TRY(branch(s, neo_tensor_get_i64(cond, 0) ? "then" : "else", &taken));
  } else {
    NEO_TRY(both_branches(s, &other, &taken));
    NEO_TRY(same_outputs(s, other, taken));
  }
  neo_value *out = make_outputs(s);
  for (int i = 0; i < s->node->n_outputs; i++)
    out[i] = taken->value[taken->output[i]];
  return NEO_OK;
}

/* ---- loop: unrolled -------------------------------------------------------------------------- */

/* What is known of a condition. */
typedef enum truth { TRUTH_NO, TRUTH_YES, TRUTH_OPEN } truth;

static truth truth_of(const neo_graph *graph, int value) {
  if (value == NEO_NO_VALUE)
    return TRUTH_YES;
  const neo_tensor *t = graph->value[value].constant;
  if (!t)
    return TRUTH_OPEN;
  return neo_tensor_get_i64(t, 0) ? TRUTH_YES : TRUTH_NO;
}

/* INT64_MAX: absent; -1: known at run time only. */
static int64_t trip_limit(const solver *s, const neo_loop_parts *p) {
  if (p->max_trips == NEO_NO_VALUE)
    return INT64_MAX;
  const neo_tensor *t = s->graph->value[p->max_trips].constant;
  return t ? neo_max_i64(0, neo_tensor_get_i64(t, 0)) : -1;
}

static void bind_captures(solver *s, const neo_loop_parts *p, neo_graph *body) {
  for (int k = 2 + p->n_state; k < body->n_inputs; k++) {
    const neo_value *value = &s->graph->value[s->node->input[k]];
    bind(body, k, value, value->constant);
  }
}

/* Iteration i, after the instance `before` (NULL: the first). */
static neo_status iteration(solver *s, const neo_loop_parts *p, int64_t i, const neo_graph *before,
                            neo_graph **out) {
  int64_t yes = 1;
  NEO_TRY(instance(s, p->body, out));
  bind_scalar(*out, 0, NEO_I64, &i);
  bind_scalar(*out, 1, NEO_BOOL, &yes);
  for (int k = 0; k < p->n_state; k++) {
    const neo_value *value =
        before ? &before->value[before->output[1 + k]] : &s->graph->value[s->node->input[2 + k]];
    bind(*out, 2 + k, value, value->constant);
  }
  bind_captures(s, p, *out);
  return infer_instance(s, *out);
}

/* Follows the loop; *done tells whether it ended within these limits. */
static neo_status unroll(solver *s, const neo_loop_parts *p, int64_t most_trips, int most_nodes,
                         bool *done) {
  int64_t limit = trip_limit(s, p), nodes = 0, i = 0;
  truth cond = truth_of(s->graph, p->cond);
  neo_graph *last = NULL;
  *done = false;
  if (limit < 0 || cond == TRUTH_OPEN || (limit != INT64_MAX && limit > most_trips))
    return NEO_OK;
  for (; cond == TRUTH_YES && i < limit; i++) {
    if (i == most_trips || nodes > most_nodes)
      return NEO_OK;
    NEO_TRY(iteration(s, p, i, last, &last));
    nodes += live_nodes(last) + 1;
    cond = truth_of(last, last->output[0]);
    if (cond == TRUTH_OPEN && i + 1 < limit)
      return NEO_OK;
  }
  neo_graph *any = last;
  if (!last && p->n_scan > 0) /* no iteration: only its types */
    NEO_TRY(iteration(s, p, 0, NULL, &any));
  neo_value *out = make_outputs(s);
  for (int k = 0; k < p->n_state; k++)
    out[k] = last ? last->value[last->output[1 + k]] : s->graph->value[s->node->input[2 + k]];
  for (int k = 0; k < p->n_scan; k++) {
    neo_value *to = &out[p->n_state + k];
    *to = any->value[any->output[1 + p->n_state + k]];
    if (to->shape.rank == NEO_MAX_RANK)
      return fail(s, NEO_UNSUPPORTED, "its stacked output has more dimensions than", NEO_MAX_RANK);
    memmove(to->shape.dim + 1, to->shape.dim, sizeof(int64_t) * (size_t)to->shape.rank++);
    to->shape.dim[0] = i;
  }
  if (any != last)
    drop_instances(s->flow);
  s->flow->inlined = *done = true;
  return NEO_OK;
}

/* Stacked outputs must have equal shapes in all iterations. */
static neo_status same_scans(const solver *s, const neo_loop_parts *p) {
  for (int i = 1; i < s->flow->n; i++)
    for (int k = 0; k < p->n_scan; k++) {
      const neo_graph *a = s->flow->graph[0], *b = s->flow->graph[i];
      int at = 1 + p->n_state + k;
      if (!neo_shape_equal(&a->value[a->output[at]].shape, &b->value[b->output[at]].shape))
        return fail(s, NEO_BAD_INPUT, "iterations differ in the shape of stacked output", k);
    }
  return NEO_OK;
}

/* ---- loop: kept ------------------------------------------------------------------------------ */

static neo_status keep(solver *s, const neo_loop_parts *p) {
  neo_graph *body;
  int64_t yes = 1, limit = trip_limit(s, p);
  NEO_TRY(instance(s, p->body, &body));
  bind_scalar(body, 0, NEO_I64, NULL);
  bind_scalar(body, 1, NEO_BOOL, &yes);
  for (int k = 0; k < p->n_state; k++)
    bind(body, 2 + k, &s->graph->value[s->node->input[2 + k]], NULL);
  bind_captures(s, p, body);
  NEO_TRY(infer_instance(s, body));
  neo_value *out = make_outputs(s);
  truth first = truth_of(s->graph, p->cond), next = truth_of(body, body->output[0]);
  s->flow->trips = -1;
  if (first == TRUTH_NO)
    s->flow->trips = 0;
  else if (first == TRUTH_YES && next == TRUTH_NO && limit > 0)
    s->flow->trips = 1;
  else if (first == TRUTH_YES && next == TRUTH_YES && limit != INT64_MAX)
    s->flow->trips = limit;
  for (int k = 0; k < p->n_state; k++) {
    const neo_value *in = &body->value[body->input[2 + k]];
    const neo_value *next_state = &body->value[body->output[1 + k]];
    if (in->dtype != next_state->dtype)
      return fail(s, NEO_BAD_INPUT, "the body changes the type of state", k);
    if (!neo_shape_equal(&in->shape, &next_state->shape))
      return fail(s, NEO_UNSUPPORTED, "the body changes the shape of state", k);
    out[k] = *in;
  }
  for (int k = 0; k < p->n_scan; k++) {
    neo_value *to = &out[p->n_state + k];
    *to = body->value[body->output[1 + p->n_state + k]];
    if (s->flow->trips < 0 || to->shape.rank == NEO_MAX_RANK)
      return fail(s, NEO_UNSUPPORTED,
                  "the number of iterations is only known at run time, which sizes stacked output",
                  k);
    memmove(to->shape.dim + 1, to->shape.dim, sizeof(int64_t) * (size_t)to->shape.rank++);
    to->shape.dim[0] = s->flow->trips;
  }
  return NEO_OK;
}

static neo_status solve_loop(solver *s) {
  neo_loop_parts p = neo_loop_read(s->node);
  neo_ctx *ctx = s->ctx, quiet;
  bool done = false;
  neo_ctx_fork(&quiet, ctx);
  s->ctx = &quiet;
  if (live_nodes(p.body) <= SMALL_BODY && !has_loop(p.body))
    (void)unroll(s, &p, SHORT_TRIPS, SHORT_TRIPS * SMALL_BODY, &done);
  s->ctx = ctx;
  if (done)
    return same_scans(s, &p);
  drop_instances(s->flow);
  neo_status status = keep(s, &p);
  if (status == NEO_OK || status == NEO_NO_MEMORY)
    return status;
  drop_instances(s->flow);
  neo_ctx_clear(&quiet);
  s->ctx = &quiet;
  (void)unroll(s, &p, MOST_TRIPS, MOST_NODES, &done);
  s->ctx = ctx;
  if (!done)
    return status;
  neo_ctx_clear(ctx);
  return same_scans(s, &p);
}

neo_status neo_flow_solve(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                          neo_flow_budget *budget, neo_flow *out) {
  neo_flow flow = {.trips = -1};
  solver s = {ctx, graph, node, budget, &flow};
  NEO_TRY(neo_flow_check(ctx, graph, node));
  neo_arena_init(&flow.arena);
  neo_status status = neo_edit_is(node, "if") ? solve_if(&s) : solve_loop(&s);
  if (status == NEO_OK)
    *out = flow;
  else
    neo_flow_free(&flow);
  return status;
}

/* ---- changing the graph ---------------------------------------------------------------------- */

typedef neo_flow_target splice;

neo_status neo_flow_paste(neo_flow_target *to, const neo_graph *from, int *map) {
  for (int v = 0; v < from->n_values; v++)
    if (from->value[v].constant)
      map[v] = neo_graph_add_constant(to->graph, from->value[v].name, from->value[v].constant);
  for (int i = 0; i < from->n_nodes; i++) {
    const neo_node *node = &from->node[i];
    if (node->dead)
      continue;
    int *in = neo_arena_alloc(to->arena, sizeof *in * (size_t)(node->n_inputs + 1));
    for (int k = 0; k < node->n_inputs; k++)
      in[k] = node->input[k] == NEO_NO_VALUE ? NEO_NO_VALUE : map[node->input[k]];
    neo_node *made = neo_graph_add_node(to->graph, node->op->name, node->name, node->n_inputs, in,
                                        node->n_outputs);
    NEO_TRY(neo_node_copy_attrs(to->ctx, to->graph, made, node));
    for (int k = 0; k < node->n_outputs; k++) {
      neo_value *value = &to->graph->value[made->output[k]];
      const neo_value *was = &from->value[node->output[k]];
      value->dtype = was->dtype;
      value->shape = was->shape;
      value->name = was->name;
      map[node->output[k]] = made->output[k];
    }
  }
  return NEO_OK;
}

static int *new_map(splice *to, const neo_graph *from) {
  return neo_arena_alloc(to->arena, sizeof(int) * (size_t)(from->n_values + 1));
}

static neo_status commit_if(splice *to, int node, neo_flow *flow, int *alias) {
  const neo_graph *from = flow->graph[0];
  int *map = new_map(to, from);
  for (int k = 0; k < from->n_inputs; k++)
    map[from->input[k]] = to->graph->node[node].input[k + 1];
  NEO_TRY(neo_flow_paste(to, from, map));
  for (int i = 0; i < to->graph->node[node].n_outputs; i++)
    alias[to->graph->node[node].output[i]] = map[from->output[i]];
  return NEO_OK;
}

/* The rows of a stacked output become one value. */
static neo_status stack(splice *to, const char *name, const neo_value *type, const int *row,
                        int *out) {
  static const int64_t axis = 0;
  int n = (int)type->shape.dim[0];
  if (n == 0)
    return neo_edit_constant(to->ctx, to->graph, name, type->dtype, &type->shape, out);
  int *in = neo_arena_alloc(to->arena, sizeof *in * (size_t)n);
  for (int i = 0; i < n; i++) {
    neo_node *one = neo_graph_add_node(to->graph, "unsqueeze", name, 1, &row[i], 1);
    neo_node_set_ints(to->graph, one, "axes", 1, &axis);
    in[i] = one->output[0];
    NEO_TRY(one->op->infer(to->ctx, to->graph, one));
  }
  neo_node *all = neo_graph_add_node(to->graph, "concat", name, n, in, 1);
  neo_node_set_int(to->graph, all, "axis", 0);
  *out = all->output[0];
  return all->op->infer(to->ctx, to->graph, all);
}

static neo_status commit_loop(splice *to, int node, neo_flow *flow, int *alias) {
  neo_loop_parts p = neo_loop_read(&to->graph->node[node]);
  const char *name = to->graph->node[node].name;
  const int *outer = to->graph->node[node].input, *output = to->graph->node[node].output;
  int *state = neo_arena_copy(to->arena, outer + 2, sizeof *state * (size_t)p.n_state);
  int *rows = neo_arena_alloc(to->arena, sizeof *rows * (size_t)(flow->n * p.n_scan + 1));
  for (int i = 0; i < flow->n; i++) {
    const neo_graph *from = flow->graph[i];
    int *map = new_map(to, from);
    map[from->input[0]] = map[from->input[1]] = NEO_NO_VALUE; /* constants by now */
    for (int k = 0; k < p.n_state; k++)
      map[from->input[2 + k]] = state[k];
    for (int k = 2 + p.n_state; k < from->n_inputs; k++)
      map[from->input[k]] = outer[k];
    NEO_TRY(neo_flow_paste(to, from, map));
    for (int k = 0; k < p.n_state; k++)
      state[k] = map[from->output[1 + k]];
    for (int k = 0; k < p.n_scan; k++)
      rows[k * flow->n + i] = map[from->output[1 + p.n_state + k]];
  }
  for (int k = 0; k < p.n_state; k++)
    alias[output[k]] = state[k];
  for (int k = 0; k < p.n_scan; k++)
    NEO_TRY(stack(to, name, &flow->output[p.n_state + k], &rows[k * flow->n],
                  &alias[output[p.n_state + k]]));
  return NEO_OK;
}

static void commit_kept(neo_graph *graph, neo_node *node, neo_flow *flow) {
  if (neo_edit_is(node, "if")) {
    neo_node_set_graph(graph, node, "else", flow->graph[0]);
    neo_node_set_graph(graph, node, "then", flow->graph[1]);
  } else {
    neo_node_set_graph(graph, node, "body", flow->graph[0]);
  }
  for (int i = 0; i < node->n_outputs; i++) {
    graph->value[node->output[i]].dtype = flow->output[i].dtype;
    graph->value[node->output[i]].shape = flow->output[i].shape;
  }
}

neo_status neo_flow_commit(neo_ctx *ctx, neo_graph *graph, int node, neo_flow *flow, int *alias) {
  neo_status status = NEO_OK;
  for (int i = 0; i < flow->n; i++)
    neo_graph_own(graph, flow->graph[i]);
  if (!flow->inlined) {
    commit_kept(graph, &graph->node[node], flow);
  } else {
    neo_arena arena;
    neo_arena_init(&arena);
    splice to = {ctx, graph, &arena};
    status = neo_edit_is(&graph->node[node], "if") ? commit_if(&to, node, flow, alias)
                                                   : commit_loop(&to, node, flow, alias);
    graph->node[node].dead = true;
    neo_arena_fini(&arena);
  }
  flow->n = 0;
  return status;
}
