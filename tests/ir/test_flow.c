/* tests/ir/test_flow.c: `if` and `loop` as text, in the interpreter, and what inference makes of
 * them: branches chosen, loops unrolled, loops kept, and hostile nesting refused. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ir/graph.h"

static neo_ctx ctx;

static void check(neo_status status) {
  if (status != NEO_OK)
    print_message("%s: %s\n", neo_status_name(status), ctx.message);
  assert_int_equal(status, NEO_OK);
}

static int count(const neo_graph *graph, const char *op) {
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++)
    n += !graph->node[i].dead && strcmp(graph->node[i].op->name, op) == 0;
  return n;
}

static const char *const branches = "graph 1 \"g\"\n"
                                    "%0 input \"c\" bool []\n"
                                    "%1 input \"x\" f32 [3]\n"
                                    "%2 const \"k\" f32 [] {10}\n"
                                    "%3 \"y\" ? ? = if(%0, %1, %2) {else=graph \"e\" {\n"
                                    "  %0 input \"a\" ? ?\n"
                                    "  %1 input \"k\" ? ?\n"
                                    "  %2 \"n\" ? ? = mul(%0, %1) \"n\"\n"
                                    "  output %2 \"n\"\n"
                                    "}, then=graph \"t\" {\n"
                                    "  %0 input \"a\" ? ?\n"
                                    "  %1 input \"k\" ? ?\n"
                                    "  output %0 \"a\"\n"
                                    "}} \"y\"\n"
                                    "output %3 \"y\"\n";

/* s = s + i * x while i < n and c; r collects s. */
static const char *const loop_text =
    "graph 1 \"g\"\n"
    "%%0 input \"x\" f32 [2]\n"
    "%%1 %s\n"
    "%%2 const \"c\" bool [] {1}\n"
    "%%3 const \"s0\" f32 [2] {1,2}\n"
    "%%4 \"s\" ? ?, %%5 \"r\" ? ? = loop(%%1, %%2, %%3, %%0) {body=graph \"b\" {\n"
    "  %%0 input \"i\" ? ?\n"
    "  %%1 input \"c\" ? ?\n"
    "  %%2 input \"s\" ? ?\n"
    "  %%3 input \"x\" ? ?\n"
    "  %%4 \"f\" ? ? = cast(%%0) {to=\"f32\"} \"f\"\n"
    "  %%5 \"m\" ? ? = mul(%%3, %%4) \"m\"\n"
    "  %%6 \"n\" ? ? = add(%%2, %%5) \"n\"\n"
    "  output %%1 \"c\"\n"
    "  output %%6 \"n\"\n"
    "  output %%6 \"row\"\n"
    "}, n_state=1} \"l\"\n"
    "output %%4 \"s\"\n"
    "output %%5 \"r\"\n";

static neo_graph *parse(const char *text) {
  neo_graph *graph = NULL;
  check(neo_graph_parse(&ctx, text, &graph));
  return graph;
}

static void text_round_trip(void **state) {
  (void)state;
  neo_graph *graph = parse(branches), *copy = NULL;
  neo_buf text = {0}, again = {0};
  neo_graph_print(&text, graph, true);
  assert_string_equal(text.data, branches);
  check(neo_graph_clone(&ctx, graph, &copy));
  neo_graph_print(&again, copy, true);
  assert_string_equal(again.data, branches);
  neo_graph_destroy(copy);
  neo_graph_destroy(graph);
  neo_buf_fini(&text);
  neo_buf_fini(&again);
}

static void expect(const neo_graph *graph, neo_tensor *in, int output, int n, const float *want) {
  neo_tensor out[4];
  check(neo_graph_interpret(&ctx, graph, in, out));
  int64_t elements;
  neo_shape_elements(&out[output].shape, &elements);
  assert_int_equal(elements, n);
  for (int i = 0; i < n; i++)
    assert_true((float)neo_tensor_get_f64(&out[output], i) == want[i]);
  for (int i = 0; i < graph->n_outputs; i++)
    neo_tensor_free(&ctx, &out[i]);
}

static void both_branches_run(void **state) {
  (void)state;
  bool c = true;
  float x[3] = {1, -2, 3}, scaled[3] = {10, -20, 30};
  neo_tensor in[2] = {{NEO_BOOL, {0}, &c, 1}, {NEO_F32, {1, {3}}, x, sizeof x}};
  neo_graph *graph = parse(branches);
  check(neo_graph_optimise(&ctx, graph));
  assert_int_equal(count(graph, "if"), 1);
  expect(graph, in, 0, 3, x);
  c = false;
  expect(graph, in, 0, 3, scaled);
  neo_graph_destroy(graph);
}

/* The same graph, its condition a constant. */
static void constant_condition_leaves_one_branch(void **state) {
  (void)state;
  for (int c = 0; c < 2; c++) {
    float x[3] = {1, -2, 3}, scaled[3] = {10, -20, 30};
    neo_tensor in[1] = {{NEO_F32, {1, {3}}, x, sizeof x}};
    neo_buf text = {0};
    const char *rest = strstr(branches, "%2");
    neo_buf_printf(&text, "graph 1 \"g\"\n%%0 input \"x\" f32 [3]\n%%1 const \"c\" bool [] {%d}\n",
                   c);
    neo_buf_text(&text, rest);
    char *call = strstr(text.data, "if(%0, %1,");
    memcpy(call, "if(%1, %0,", 10);
    neo_graph *graph = parse(text.data);
    check(neo_graph_optimise(&ctx, graph));
    assert_int_equal(count(graph, "if"), 0);
    assert_int_equal(graph->n_nodes, 1 - c);
    expect(graph, in, 0, 3, c ? x : scaled);
    neo_graph_destroy(graph);
    neo_buf_fini(&text);
  }
}

static neo_graph *loop_graph(const char *trips) {
  neo_buf text = {0};
  neo_buf_printf(&text, loop_text, trips);
  neo_graph *graph = parse(text.data);
  neo_buf_fini(&text);
  return graph;
}

static void loops_count_and_stack(void **state) {
  (void)state;
  float x[2] = {1, 10}, rows[8] = {1, 2, 2, 12, 4, 32, 7, 62};
  neo_tensor in[1] = {{NEO_F32, {1, {2}}, x, sizeof x}};
  neo_graph *graph = loop_graph("const \"n\" i64 [] {4}");
  check(neo_graph_optimise(&ctx, graph));
  assert_int_equal(count(graph, "loop"), 0);
  expect(graph, in, 1, 8, rows);
  expect(graph, in, 0, 2, rows + 6);
  neo_graph_destroy(graph);
  graph = loop_graph("const \"n\" i64 [] {0}");
  check(neo_graph_optimise(&ctx, graph));
  expect(graph, in, 1, 0, rows);
  expect(graph, in, 0, 2, (float[2]){1, 2});
  neo_graph_destroy(graph);
}

static void long_loops_stay(void **state) {
  (void)state;
  float x[2] = {1, 0}, last[2] = {1 + 99 * 50, 2};
  neo_tensor in[1] = {{NEO_F32, {1, {2}}, x, sizeof x}};
  neo_graph *graph = loop_graph("const \"n\" i64 [] {100}");
  check(neo_graph_optimise(&ctx, graph));
  assert_int_equal(count(graph, "loop"), 1);
  expect(graph, in, 0, 2, last);
  neo_graph_destroy(graph);
  graph = loop_graph("input \"n\" i64 []");
  assert_int_equal(neo_graph_optimise(&ctx, graph), NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "stacked output"));
  neo_ctx_clear(&ctx);
  neo_graph_destroy(graph);
}

/* while (i < 3) s = concat(s, x): the condition is a state, the state grows. */
static void computed_conditions_unroll(void **state) {
  (void)state;
  const char *text = "graph 1 \"g\"\n"
                     "%0 input \"x\" f32 [1]\n"
                     "%1 const \"i\" i64 [] {0}\n"
                     "%2 const \"s\" f32 [1] {7}\n"
                     "%3 \"i\" ? ?, %4 \"s\" ? ? = loop(_, _, %1, %2, %0) {body=graph \"b\" {\n"
                     "  %0 input \"t\" ? ?\n"
                     "  %1 input \"c\" ? ?\n"
                     "  %2 input \"i\" ? ?\n"
                     "  %3 input \"s\" ? ?\n"
                     "  %4 input \"x\" ? ?\n"
                     "  %5 const \"one\" i64 [] {1}\n"
                     "  %6 const \"n\" i64 [] {3}\n"
                     "  %7 \"j\" ? ? = add(%2, %5) \"j\"\n"
                     "  %8 \"g\" ? ? = concat(%3, %4) {axis=0} \"g\"\n"
                     "  %9 \"c\" ? ? = less(%7, %6) \"c\"\n"
                     "  output %9 \"c\"\n"
                     "  output %7 \"j\"\n"
                     "  output %8 \"g\"\n"
                     "}, n_state=2} \"l\"\n"
                     "output %4 \"s\"\n";
  float x[1] = {5};
  neo_tensor in[1] = {{NEO_F32, {1, {1}}, x, sizeof x}};
  neo_graph *graph = parse(text);
  check(neo_graph_optimise(&ctx, graph));
  assert_int_equal(count(graph, "loop"), 0);
  expect(graph, in, 0, 4, (float[4]){7, 5, 5, 5});
  neo_graph_destroy(graph);
}

/* Loops in loops, `depth` of them, each of `trips`. */
static void nest(neo_buf *text, int depth, int trips) {
  neo_buf_text(text, "%0 input \"i\" i64 []\n%1 input \"c\" bool []\n%2 input \"s\" f32 [1]\n");
  if (depth == 0) {
    neo_buf_text(text, "%3 \"n\" ? ? = neg(%2) \"n\"\n");
    neo_buf_text(text, "output %1 \"c\"\noutput %3 \"s\"\n");
    return;
  }
  neo_buf_printf(text,
                 "%%3 const \"n\" i64 [] {%d}\n%%4 \"s\" ? ? = loop(%%3, %%1, %%2) {body=graph "
                 "\"b\" {\n",
                 trips);
  nest(text, depth - 1, trips);
  neo_buf_text(text, "}, n_state=1} \"l\"\noutput %1 \"c\"\noutput %4 \"s\"\n");
}

static void nesting_is_bounded(void **state) {
  (void)state;
  for (int depth = 1; depth <= NEO_MAX_GRAPH_DEPTH + 1; depth++) {
    neo_buf text = {0};
    neo_graph *graph = NULL;
    neo_buf_text(&text, "graph 1 \"g\"\n");
    nest(&text, depth, 16);
    neo_status status = neo_graph_parse(&ctx, text.data, &graph);
    assert_int_equal(status, depth <= NEO_MAX_GRAPH_DEPTH ? NEO_OK : NEO_UNSUPPORTED);
    if (status == NEO_OK)
      check(neo_pass_infer(&ctx, graph));
    neo_ctx_clear(&ctx);
    neo_graph_destroy(graph);
    neo_buf_fini(&text);
  }
}

static void damaged_signatures_are_named(void **state) {
  (void)state;
  static const char *const from[] = {"if(%0, %1, %2)", "then=graph", "  output %2 \"n\"\n",
                                     "c\" bool []"};
  static const char *const to[] = {"if(%0, %1)", "that=graph", "", "c\" f32 []"};
  for (int i = 0; i < NEO_COUNT(from); i++) {
    const char *at = strstr(branches, from[i]);
    neo_buf text = {0};
    neo_buf_append(&text, branches, (size_t)(at - branches));
    neo_buf_text(&text, to[i]);
    neo_buf_text(&text, at + strlen(from[i]));
    neo_graph *graph = parse(text.data);
    assert_int_equal(neo_pass_infer(&ctx, graph), NEO_BAD_INPUT);
    assert_non_null(strstr(ctx.message, "'y'"));
    neo_ctx_clear(&ctx);
    neo_graph_destroy(graph);
    neo_buf_fini(&text);
  }
}

/* The same graph, x of a shape that `else` cannot multiply: it fails when it is taken, not before.
 */
static void a_branch_that_cannot_run_is_no_error(void **state) {
  (void)state;
  bool c = true;
  float x[3] = {1, -2, 3};
  neo_tensor in[2] = {{NEO_BOOL, {0}, &c, 1}, {NEO_F32, {1, {3}}, x, sizeof x}}, out[1];
  neo_buf text = {0};
  const char *at = strstr(branches, "f32 [] {10}");
  neo_buf_append(&text, branches, (size_t)(at - branches));
  neo_buf_text(&text, "f32 [2] {10,20}");
  neo_buf_text(&text, at + strlen("f32 [] {10}"));
  neo_graph *graph = parse(text.data);
  check(neo_graph_optimise(&ctx, graph));
  assert_int_equal(count(graph, "if"), 1);
  expect(graph, in, 0, 3, x);
  c = false;
  assert_int_equal(neo_graph_interpret(&ctx, graph, in, out), NEO_BAD_INPUT);
  assert_non_null(strstr(ctx.message, "'y: its branch 'else' does not fit"));
  neo_ctx_clear(&ctx);
  neo_graph_destroy(graph);
  neo_buf_fini(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_round_trip),
      cmocka_unit_test(both_branches_run),
      cmocka_unit_test(constant_condition_leaves_one_branch),
      cmocka_unit_test(loops_count_and_stack),
      cmocka_unit_test(long_loops_stay),
      cmocka_unit_test(computed_conditions_unroll),
      cmocka_unit_test(nesting_is_bounded),
      cmocka_unit_test(a_branch_that_cannot_run_is_no_error),
      cmocka_unit_test(damaged_signatures_are_named),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
