/* ir/ops_flow.c: `if` and `loop`: their signature, types and evaluation.
 *
 * Evaluation runs the graphs with the interpreter. It checks what it hands over, since a graph read
 * from text may claim any types; a loop that does not end is refused after MAX_TRIPS. */
#include "ir/flow.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

#define MAX_TRIPS ((int64_t)1 << 24)

bool neo_flow_is(const neo_node *node) {
  return neo_edit_is(node, "if") || neo_edit_is(node, "loop");
}

/* ---- signature ----------------------------------------------------------------------------------- */

static neo_status check_if(neo_ctx *ctx, const neo_node *node) {
  static const char *const names[] = {"else", "then"};
  for (int i = 0; i < 2; i++) {
    const neo_graph *branch = neo_node_graph(node, names[i]);
    if (!branch)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "attribute '%s' is not a graph", names[i]);
    if (branch->n_inputs != node->n_inputs - 1 || branch->n_outputs < node->n_outputs)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                         "branch '%s' has %d inputs and %d outputs, %d and %d expected", names[i],
                         branch->n_inputs, branch->n_outputs, node->n_inputs - 1, node->n_outputs);
  }
  return NEO_OK;
}

neo_loop_parts neo_loop_read(const neo_node *node) {
  neo_loop_parts p = {.body = neo_node_graph(node, "body")};
  p.n_state = (int)neo_node_int(node, "n_state", 0);
  p.n_capture = node->n_inputs - 2 - p.n_state;
  p.n_scan = p.body ? p.body->n_outputs - 1 - p.n_state : 0;
  p.max_trips = node->input[0];
  p.cond = node->input[1];
  return p;
}

static neo_status check_loop(neo_ctx *ctx, const neo_node *node) {
  int64_t n_state = neo_node_int(node, "n_state", -1);
  if (n_state < 0 || n_state > node->n_inputs - 2)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "n_state is %" PRId64 ", 0 to %d expected",
                       n_state, node->n_inputs - 2);
  neo_loop_parts p = neo_loop_read(node);
  if (!p.body)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "attribute 'body' is not a graph");
  if (p.body->n_inputs != node->n_inputs || p.n_scan < 0 || node->n_outputs != p.n_state + p.n_scan)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                       "%d inputs, %d outputs and %d states do not fit a body of %d inputs and %d "
                       "outputs",
                       node->n_inputs, node->n_outputs, p.n_state, p.body->n_inputs,
                       p.body->n_outputs);
  return NEO_OK;
}

static neo_status check_scalar(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int k,
                               neo_dtype dtype) {
  const neo_value *v = neo_op_in(graph, node, k);
  int64_t n;
  if (v && v->dtype != NEO_DTYPE_COUNT && v->shape.rank >= 0 &&
      (v->dtype != dtype || !neo_shape_elements(&v->shape, &n) || n != 1))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is not one %s", k,
                       neo_dtype_name(dtype));
  return NEO_OK;
}

neo_status neo_flow_check(neo_ctx *ctx, const neo_graph *graph, const neo_node *node) {
  bool loop = neo_op_is(node, "loop");
  NEO_TRY(loop ? check_loop(ctx, node) : check_if(ctx, node));
  for (int k = loop ? 2 : 0; k < node->n_inputs; k++)
    if (node->input[k] == NEO_NO_VALUE)
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is absent", k);
  if (loop)
    NEO_TRY(check_scalar(ctx, graph, node, 0, NEO_I64));
  return check_scalar(ctx, graph, node, loop ? 1 : 0, NEO_BOOL);
}

/* ---- types --------------------------------------------------------------------------------------- */

/* Types only: readers ask for them before anything may change. */
static neo_status infer_flow(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_flow flow;
  neo_flow_budget budget = NEO_FLOW_BUDGET;
  NEO_TRY(neo_flow_solve(ctx, graph, node, &budget, &flow));
  for (int i = 0; i < node->n_outputs; i++)
    neo_op_set(graph, node, i, flow.output[i].dtype, &flow.output[i].shape);
  neo_flow_free(&flow);
  return NEO_OK;
}

neo_status neo_infer_if(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  return infer_flow(ctx, graph, node);
}

neo_status neo_infer_loop(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  return infer_flow(ctx, graph, node);
}

neo_status neo_infer_unreachable(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  neo_shape shape = {0};
  neo_dtype dtype;
  shape.rank = neo_node_ints(node, "shape", shape.dim, NEO_MAX_RANK);
  if (shape.rank < 0 || shape.rank > NEO_MAX_RANK ||
      !neo_dtype_find(neo_node_string(node, "dtype", ""), &dtype))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "it has no dtype and shape");
  neo_op_set(graph, node, 0, dtype, &shape);
  return NEO_OK;
}

neo_status neo_eval_unreachable(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                neo_tensor *const *in, neo_tensor *out) {
  (void)graph;
  (void)in;
  (void)out;
  return neo_op_fail(ctx, node, NEO_BAD_INPUT, "it was reached");
}

/* ---- evaluation ---------------------------------------------------------------------------------- */

static neo_status check_tensor(neo_ctx *ctx, const neo_node *node, const neo_tensor *tensor,
                               neo_dtype dtype, const neo_shape *shape) {
  if (tensor->dtype == dtype && neo_shape_equal(&tensor->shape, shape))
    return NEO_OK;
  neo_buf text = {0};
  neo_buf_printf(&text, "%s", neo_dtype_name(tensor->dtype));
  neo_shape_print(&text, &tensor->shape);
  neo_buf_printf(&text, " where %s", dtype < NEO_DTYPE_COUNT ? neo_dtype_name(dtype) : "?");
  neo_shape_print(&text, shape);
  neo_status status =
      neo_op_fail(ctx, node, NEO_BAD_INPUT, "%s is expected", text.data ? text.data : "a type");
  neo_buf_fini(&text);
  return status;
}

static void free_all(neo_ctx *ctx, neo_tensor *tensor, int n) {
  for (int i = 0; i < n; i++)
    neo_tensor_free(ctx, &tensor[i]);
}

/* Inputs are checked against what the graph says of them. */
static neo_status call(neo_ctx *ctx, const neo_node *node, const neo_graph *graph,
                       const neo_tensor *in, neo_tensor *out) {
  for (int k = 0; k < graph->n_inputs; k++) {
    const neo_value *v = &graph->value[graph->input[k]];
    NEO_TRY(check_tensor(ctx, node, &in[k], v->dtype, &v->shape));
  }
  return neo_graph_interpret(ctx, graph, in, out);
}

/* Moves a result to where it belongs. */
static neo_status deliver(neo_ctx *ctx, const neo_node *node, const neo_tensor *from,
                          neo_tensor *to) {
  NEO_TRY(check_tensor(ctx, node, from, to->dtype, &to->shape));
  memcpy(to->data, from->data, to->size);
  return NEO_OK;
}

neo_status neo_eval_if(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                       neo_tensor *const *in, neo_tensor *out) {
  NEO_TRY(neo_flow_check(ctx, graph, node));
  NEO_TRY(check_tensor(ctx, node, in[0], NEO_BOOL, &in[0]->shape));
  if (in[0]->size != 1)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "the condition has %zu elements", in[0]->size);
  const neo_graph *branch = neo_node_graph(node, neo_tensor_get_i64(in[0], 0) ? "then" : "else");
  neo_arena arena;
  neo_arena_init(&arena);
  neo_tensor *args = neo_arena_alloc(&arena, sizeof *args * (size_t)(branch->n_inputs + 1));
  neo_tensor *made = neo_arena_alloc(&arena, sizeof *made * (size_t)(branch->n_outputs + 1));
  for (int k = 0; k < branch->n_inputs; k++)
    args[k] = *in[k + 1];
  neo_status status = call(ctx, node, branch, args, made);
  for (int k = 0; status == NEO_OK && k < node->n_outputs; k++)
    status = deliver(ctx, node, &made[k], &out[k]);
  free_all(ctx, made, branch->n_outputs);
  neo_arena_fini(&arena);
  return status;
}

typedef struct loop_run {
  neo_ctx *ctx;
  const neo_node *node;
  neo_loop_parts p;
  int64_t max_trips;
  neo_tensor *args, *made; /* body's inputs and outputs */
  neo_tensor *state;       /* owned; empty before the first iteration */
} loop_run;

/* Row i of a stacked output. */
static neo_status deliver_row(loop_run *r, int64_t i, const neo_tensor *from, neo_tensor *to) {
  if (to->shape.rank != from->shape.rank + 1 || i >= to->shape.dim[0] || to->dtype != from->dtype ||
      memcmp(to->shape.dim + 1, from->shape.dim, sizeof(int64_t) * (size_t)from->shape.rank) != 0)
    return neo_op_fail(r->ctx, r->node, NEO_BAD_INPUT,
                       "iteration %" PRId64 " does not fit its stacked output", i);
  if (from->size)
    memcpy((char *)to->data + (size_t)i * from->size, from->data, from->size);
  return NEO_OK;
}

static neo_status run_iteration(loop_run *r, int64_t i, bool *cond, neo_tensor *out) {
  int n_state = r->p.n_state;
  r->args[0] = (neo_tensor){NEO_I64, {0}, &i, sizeof i};
  r->args[1] = (neo_tensor){NEO_BOOL, {0}, cond, 1};
  for (int k = 0; k < 2; k++)
    r->args[k].shape = r->p.body->value[r->p.body->input[k]].shape;
  NEO_TRY(call(r->ctx, r->node, r->p.body, r->args, r->made));
  neo_status status = NEO_OK;
  if (r->made[0].dtype != NEO_BOOL || r->made[0].size != 1)
    status = neo_op_fail(r->ctx, r->node, NEO_BAD_INPUT, "the body's condition is not one bool");
  for (int k = 0; status == NEO_OK && k < r->p.n_scan; k++)
    status = deliver_row(r, i, &r->made[1 + n_state + k], &out[n_state + k]);
  if (status != NEO_OK) {
    free_all(r->ctx, r->made, r->p.body->n_outputs);
    return status;
  }
  *cond = neo_tensor_get_i64(&r->made[0], 0) != 0;
  for (int k = 0; k < n_state; k++) {
    neo_tensor_free(r->ctx, &r->state[k]);
    r->state[k] = r->args[2 + k] = r->made[1 + k];
  }
  neo_tensor_free(r->ctx, &r->made[0]);
  free_all(r->ctx, r->made + 1 + n_state, r->p.n_scan);
  return NEO_OK;
}

static neo_status run_loop(loop_run *r, bool cond, neo_tensor *out) {
  int64_t i = 0;
  for (; cond && i < r->max_trips; i++) {
    if (i == MAX_TRIPS)
      return neo_op_fail(r->ctx, r->node, NEO_UNSUPPORTED, "more than %" PRId64 " iterations",
                         MAX_TRIPS);
    NEO_TRY(run_iteration(r, i, &cond, out));
  }
  for (int k = 0; k < r->p.n_scan; k++)
    if (out[r->p.n_state + k].shape.rank < 1 || out[r->p.n_state + k].shape.dim[0] != i)
      return neo_op_fail(r->ctx, r->node, NEO_UNSUPPORTED,
                         "%" PRId64 " iterations where its stacked output has another number", i);
  for (int k = 0; k < r->p.n_state; k++)
    NEO_TRY(deliver(r->ctx, r->node, &r->args[2 + k], &out[k]));
  return NEO_OK;
}

neo_status neo_eval_loop(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                         neo_tensor *const *in, neo_tensor *out) {
  NEO_TRY(neo_flow_check(ctx, graph, node));
  loop_run r = {.ctx = ctx, .node = node, .p = neo_loop_read(node), .max_trips = INT64_MAX};
  bool scalars = (!in[0] || in[0]->size == sizeof(int64_t)) && (!in[1] || in[1]->size == 1);
  for (int k = 0; k < 2; k++) {
    int64_t n = 0;
    scalars &= neo_shape_elements(&r.p.body->value[r.p.body->input[k]].shape, &n) && n == 1;
  }
  if (!scalars)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "max_trips, cond or i is not a scalar");
  neo_arena arena;
  neo_arena_init(&arena);
  size_t n_in = (size_t)r.p.body->n_inputs + 1, n_out = (size_t)r.p.body->n_outputs + 1;
  r.args = neo_arena_alloc(&arena, sizeof *r.args * n_in);
  r.made = neo_arena_alloc(&arena, sizeof *r.made * n_out);
  r.state = neo_arena_alloc(&arena, sizeof *r.state * ((size_t)r.p.n_state + 1));
  for (int k = 2; k < node->n_inputs; k++)
    r.args[k] = *in[k];
  if (in[0])
    r.max_trips = neo_tensor_get_i64(in[0], 0);
  neo_status status = run_loop(&r, !in[1] || neo_tensor_get_i64(in[1], 0), out);
  free_all(ctx, r.state, r.p.n_state);
  neo_arena_fini(&arena);
  return status;
}
