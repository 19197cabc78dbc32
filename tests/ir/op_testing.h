/* tests/ir/op_testing.h: one operator as a graph of one node, run in every way there is. */
#ifndef NEO_TESTS_IR_OP_TESTING_H
#define NEO_TESTS_IR_OP_TESTING_H

#include "ir/expand.h"
#include "ir/graph.h"
#include "tests/ir/te_testing.h"

#include <stdlib.h>

#define OP_MAX 12

typedef struct op_run {
  neo_ctx *ctx;
  neo_graph *graph;
  int n_in, n_out; /* graph inputs, node outputs */
  neo_tensor in[OP_MAX], out[OP_MAX];
} op_run;

/* specs: "input f32 [2,3]" or "const i64 [2] {1,2}", up to a NULL; call: "conv(%0, %1) {group=2}".
 * Infers, and fills the inputs with random values. Returns the status of inferring. */
static inline neo_status op_begin(op_run *r, neo_ctx *ctx, const char *call,
                                  const char *const *specs, int n_out) {
  neo_buf text = {0};
  int n = 0;
  *r = (op_run){.ctx = ctx, .n_out = n_out};
  neo_ctx_clear(ctx);
  neo_buf_text(&text, "graph 1 \"t\"\n");
  for (; n < OP_MAX && specs[n]; n++) {
    const char *rest = strchr(specs[n], ' ');
    neo_buf_printf(&text, "%%%d %.*s \"v%d\"%s\n", n, (int)(rest - specs[n]), specs[n], n, rest);
  }
  for (int k = 0; k < n_out; k++)
    neo_buf_printf(&text, "%s%%%d \"y%d\" ? ?", k ? ", " : "", n + k, k);
  neo_buf_printf(&text, " = %s \"node\"\n", call);
  for (int k = 0; k < n_out; k++)
    neo_buf_printf(&text, "output %%%d \"y%d\"\n", n + k, k);
  if (neo_graph_parse(ctx, text.data, &r->graph) != NEO_OK)
    fail_msg("%s\n%s", ctx->message, text.data);
  neo_buf_fini(&text);
  neo_node *node = &r->graph->node[0];
  neo_status s = node->op->infer(ctx, r->graph, node);
  neo_rng rng;
  neo_rng_init(&rng, 99);
  for (int k = 0; s == NEO_OK && k < r->graph->n_inputs; k++) {
    const neo_value *v = &r->graph->value[r->graph->input[k]];
    assert_int_equal(neo_tensor_create(ctx, v->dtype, &v->shape, &r->in[k]), NEO_OK);
    testing_fill(&r->in[k], &rng);
    r->n_in = k + 1;
  }
  return s;
}

static inline void op_end(op_run *r) {
  for (int k = 0; k < r->n_in; k++)
    neo_tensor_free(r->ctx, &r->in[k]);
  for (int k = 0; k < r->n_out; k++)
    neo_tensor_free(r->ctx, &r->out[k]);
  neo_graph_destroy(r->graph);
}

static inline void op_expect_ok(op_run *r, neo_status s, const char *call) {
  if (s != NEO_OK)
    fail_msg("%s: %s", call, r->ctx->message);
}

/* The tensor of a graph value: an input's or a constant's. */
static inline neo_tensor *op_value(op_run *r, int value) {
  for (int k = 0; k < r->graph->n_inputs; k++) {
    if (r->graph->input[k] == value)
      return &r->in[k];
  }
  return r->graph->value[value].constant;
}

/* Interprets te on the run's inputs; in_value[order[b]] says which value buffer b is. */
static inline void op_interpret_te(op_run *r, const neo_te *te, const int *in_value,
                                   const int *order, neo_tensor *out) {
  neo_tensor *buffers[NEO_TE_MAX_BUFFERS] = {NULL};
  int made = 0;
  for (int k = 0; k < te->n_buffers; k++) {
    neo_te_role role = te->buffer[k].role;
    if (role == NEO_TE_IN || role == NEO_TE_CONST)
      buffers[k] = op_value(r, in_value[order ? order[k] : k]);
    if (role == NEO_TE_OUT) {
      assert_int_equal(
          neo_tensor_create(r->ctx, te->buffer[k].dtype, &te->buffer[k].shape, &out[made]), NEO_OK);
      buffers[k] = &out[made++];
    }
  }
  assert_int_equal(made, r->n_out);
  if (neo_te_interpret(r->ctx, te, buffers) != NEO_OK)
    fail_msg("%s", r->ctx->message);
}

static inline void op_compare_and_free(op_run *r, neo_tensor *got, double tolerance) {
  for (int k = 0; k < r->n_out; k++) {
    assert_tensors_close(&got[k], &r->out[k], tolerance);
    neo_tensor_free(r->ctx, &got[k]);
  }
}

/* The te of the node: checks, round trip of the text, canonical form and wide form give what out
 * holds. */
static inline void op_check_te(op_run *r, const char *call, double wide_tolerance) {
  neo_arena arena;
  neo_tensor got[OP_MAX];
  int in_value[NEO_TE_MAX_BUFFERS], order[NEO_TE_MAX_BUFFERS];
  const neo_node *node = &r->graph->node[0];
  neo_arena_init(&arena);
  neo_te *te = neo_arena_alloc(&arena, 3 * sizeof *te), *again = te + 1, *wide = te + 2;
  neo_te_init(te, &arena);
  op_expect_ok(r, node->op->lower(r->ctx, r->graph, node, te, in_value), call);
  op_expect_ok(r, neo_te_check(r->ctx, te), call);
  neo_buf a = {0}, b = {0};
  neo_te_print(&a, te);
  op_expect_ok(r, neo_te_parse(r->ctx, &arena, a.data, again), a.data);
  neo_te_print(&b, again);
  assert_string_equal(a.data, b.data);
  op_expect_ok(r, neo_te_canonicalise(r->ctx, te, order), a.data);
  op_interpret_te(r, te, in_value, order, got);
  op_compare_and_free(r, got, 0);
  op_expect_ok(r, neo_te_widen(r->ctx, again, &arena, wide), a.data);
  op_expect_ok(r, neo_te_check(r->ctx, wide), a.data);
  op_interpret_te(r, wide, in_value, NULL, got);
  op_compare_and_free(r, got, wide_tolerance);
  neo_buf_fini(&a);
  neo_buf_fini(&b);
  neo_arena_fini(&arena);
}

/* Evaluates the node as the interpreter does. */
static inline void op_eval(op_run *r, const char *call) {
  neo_tensor *in[OP_MAX] = {NULL};
  const neo_node *node = &r->graph->node[0];
  for (int k = 0; k < node->n_inputs; k++)
    in[k] = node->input[k] == NEO_NO_VALUE ? NULL : op_value(r, node->input[k]);
  op_expect_ok(r, neo_node_eval(r->ctx, r->graph, node, in, r->out), call);
  r->n_out = node->n_outputs; /* inference may add the count of a bounded result */
}

/* begin, eval, check the te. */
static inline void op_go(op_run *r, neo_ctx *ctx, const char *call, const char *const *specs,
                         int n_out) {
  op_expect_ok(r, op_begin(r, ctx, call, specs, n_out), call);
  op_eval(r, call);
  if (r->graph->node[0].op->lower)
    op_check_te(r, call, 2e-3);
}

#endif
