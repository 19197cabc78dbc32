/* tests/ir/test_graph.c: building, printing, reading and checking graphs; memory planning. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ir/graph.h"

static neo_ctx ctx;

static const char *const sound =
    "graph 1 \"a \\\"name\\\"\"\n"
    "%0 input \"x\" f32 [?\"batch\",3,?,8]\n"
    "%1 const \"w\" f32 [2,2] {1,-0.5,inf,0.25}\n"
    "%2 const \"i\" i64 [3] {-1,0,9223372036854775807}\n"
    "%3 const \"s\" f32 [] {6}\n"
    "%4 \"y\" f32 [1,3,8,8] = clip(%0, _, %3) \"c\"\n"
    "%5 \"a\" ? ?, %6 \"a.1\" i64 ? = split(%4, %2) {axis=-1} \"t\"\n"
    "%7 \"z\" ? ? = hard_sigmoid(%5) {alpha=0.25, beta=1.0, empty=[], list=[1,-2], "
    "many=[0.5,1e+30], none=[.], tensor=i64 [2] {3,4}, text=\"q\\\\\\x0a\"} \"h\"\n"
    "%8 \"m\" ? ? = matmul(%7, %1) \"m\"\n"
    "output %8 \"out\"\n"
    "output %6 \"out\"\n";

static void text_round_trip(void **state) {
  (void)state;
  neo_graph *graph = NULL, *again = NULL;
  neo_buf text = {0}, second = {0};
  neo_status status = neo_graph_parse(&ctx, sound, &graph);
  if (status != NEO_OK)
    print_message("%s\n", ctx.message);
  assert_int_equal(status, NEO_OK);
  neo_graph_print(&text, graph, true);
  assert_int_equal(neo_graph_parse(&ctx, text.data, &again), NEO_OK);
  neo_graph_print(&second, again, true);
  assert_string_equal(text.data, second.data);
  assert_string_equal(text.data, sound);
  neo_graph_destroy(graph);
  neo_graph_destroy(again);
  neo_buf_fini(&text);
  neo_buf_fini(&second);
}

static int adopted(neo_graph *graph, const char *name, neo_tensor *out) {
  neo_shape shape = {1, {4}};
  assert_int_equal(neo_tensor_create(&ctx, NEO_F32, &shape, out), NEO_OK);
  neo_graph_adopt(graph, out->data);
  return neo_graph_add_constant(graph, name, out);
}

/* Weights that a pass replaced stayed in memory as long as the graph. */
static void unused_constants_are_dropped(void **state) {
  (void)state;
  neo_graph *graph = NULL;
  neo_shape four = {1, {4}}, two = {1, {2}};
  neo_tensor used, shared, unused, tail;
  assert_int_equal(neo_graph_create(&ctx, "g", &graph), NEO_OK);
  int x = neo_graph_add_input(graph, "x", NEO_F32, &four);
  int w = adopted(graph, "used", &used), s = adopted(graph, "shared", &shared);
  int old = adopted(graph, "unused", &unused);
  tail = (neo_tensor){NEO_F32, two, (char *)shared.data + 8, 8};
  int view = neo_graph_add_constant(graph, "tail", &tail); /* keeps `shared` */
  tail.data = (char *)unused.data + 8;
  int gone = neo_graph_add_constant(graph, "gone", &tail);
  neo_node *node = neo_graph_add_node(graph, "add", "a", 2, (int[2]){x, w}, 1);
  neo_graph_add_output(graph, node->output[0], "y");
  neo_graph_add_output(graph, view, "t");
  ((float *)used.data)[3] = 7;
  ((float *)tail.data)[1] = 9;
  neo_graph_drop_unused(graph);
  assert_ptr_equal(graph->value[w].constant->data, used.data);
  assert_true(((const float *)graph->value[w].constant->data)[3] == 7);
  assert_non_null(graph->value[s].constant);
  assert_non_null(graph->value[view].constant);
  assert_null(graph->value[old].constant);
  assert_null(graph->value[gone].constant);
  neo_graph_drop_unused(graph); /* nothing more, nothing twice */
  neo_graph_destroy(graph);
}

static void damaged_texts_are_named(void **state) {
  (void)state;
  static const char *const texts[] = {
      "",
      "graph 2 \"x\"\n",
      "graph 1 \"x\n",
      "graph 1 \"x\"\n%1 input \"x\" f32 [1]\n",
      "graph 1 \"x\"\n%0 input \"x\" f99 [1]\n",
      "graph 1 \"x\"\n%0 input \"x\" f32 [1,1,1,1,1,1,1,1,1]\n",
      "graph 1 \"x\"\n%0 input \"x\" f32 [-1]\n",
      "graph 1 \"x\"\n%0 const \"x\" f32 [4000000000] {1}\n",
      "graph 1 \"x\"\n%0 const \"x\" f32 [1] {1,2}\n",
      "graph 1 \"x\"\n%0 const \"x\" f32 [2] @sha256:00\n",
      "graph 1 \"x\"\n%0 const \"x\" i8 [1] {1.5}\n",
      "graph 1 \"x\"\n%0 \"y\" ? ? = relu(%0) \"r\"\n",
      "graph 1 \"x\"\n%0 \"y\" ? ? = frobnicate() \"r\"\n",
      "graph 1 \"x\"\n%0 input \"x\" f32 [1]\n%1 \"y\" ? ? = relu(%0, %0) \"r\"\n",
      "graph 1 \"x\"\n%0 input \"x\" f32 [1]\n%1 \"y\" ? ? = relu(_) \"r\"\n",
      "graph 1 \"x\"\n%0 input \"x\" f32 [1]\n%1 \"y\" ? ? = relu(%0) {a=[1,2.0]} \"r\"\n",
      "graph 1 \"x\"\n%0 input \"x\" f32 [1]\n%1 \"y\" ? ? = relu(%0) {a=} \"r\"\n",
      "graph 1 \"x\"\noutput %0 \"y\"\n",
      "graph 1 \"x\"\n\n\noutput",
  };
  for (int i = 0; i < NEO_COUNT(texts); i++) {
    neo_graph *graph = NULL;
    neo_ctx_clear(&ctx);
    neo_status status = neo_graph_parse(&ctx, texts[i], &graph);
    if (status != NEO_BAD_INPUT)
      print_message("text %d: %s\n", i, texts[i]);
    assert_int_equal(status, NEO_BAD_INPUT);
    assert_true(strlen(ctx.message) > 0);
    assert_null(graph);
  }
  neo_ctx_clear(&ctx);
}

static void attributes_are_sorted_and_replaced(void **state) {
  (void)state;
  neo_graph *graph = NULL;
  neo_shape shape = {1, {4}};
  int64_t two[] = {1, 2}, got[4];
  assert_int_equal(neo_graph_create(&ctx, "g", &graph), NEO_OK);
  int x = neo_graph_add_input(graph, "x", NEO_F32, &shape);
  assert_null(neo_graph_add_node(graph, "frobnicate", "n", 1, &x, 1));
  neo_node *node = neo_graph_add_node(graph, "relu", "n", 1, &x, 1);
  neo_node_set_int(graph, node, "b", 1);
  neo_node_set_float(graph, node, "a", 0.5);
  neo_node_set_ints(graph, node, "c", 2, two);
  neo_node_set_string(graph, node, "b", "text");
  assert_int_equal(node->n_attrs, 3);
  assert_string_equal(node->attr[0].name, "a");
  assert_string_equal(neo_node_string(node, "b", ""), "text");
  assert_int_equal(neo_node_int(node, "b", 7), 7);
  assert_true(neo_node_float(node, "a", 0) == 0.5);
  assert_int_equal(neo_node_ints(node, "c", got, 1), 2);
  assert_int_equal(got[0], 1);
  assert_int_equal(neo_node_ints(node, "d", got, 4), 0);
  neo_graph_add_output(graph, node->output[0], "y");
  assert_int_equal(neo_graph_check(&ctx, graph), NEO_OK);
  neo_graph_destroy(graph);
}

static void the_checker_finds_damage(void **state) {
  (void)state;
  for (int kind = 0; kind < 6; kind++) {
    neo_graph *graph = NULL;
    neo_ctx_clear(&ctx);
    assert_int_equal(neo_graph_parse(&ctx, sound, &graph), NEO_OK);
    switch (kind) {
    case 0:
      graph->node[0].input[0] = 99;
      break;
    case 1:
      graph->node[0].input[0] = graph->node[3].output[0];
      break;
    case 2:
      graph->node[1].dead = true;
      break;
    case 3:
      graph->value[1].constant->size = 3;
      break;
    case 4:
      graph->output[0] = 1 << 20;
      break;
    default:
      graph->value[4].output = 1;
    }
    assert_int_equal(neo_graph_check(&ctx, graph), NEO_BAD_INPUT);
    neo_graph_destroy(graph);
  }
  neo_ctx_clear(&ctx);
}

static void plans_do_not_collide(void **state) {
  (void)state;
  enum { N = 200 };
  neo_lifetime item[N];
  neo_rng rng;
  neo_rng_init(&rng, 7);
  for (int round = 0; round < 50; round++) {
    int64_t live[64] = {0}, floor = 0;
    for (int i = 0; i < N; i++) {
      item[i] = (neo_lifetime){.bytes = (int64_t)neo_rng_below(&rng, 5000)};
      item[i].first = (int)neo_rng_below(&rng, 60);
      item[i].last = item[i].first + (int)neo_rng_below(&rng, 4);
      for (int t = item[i].first; t <= item[i].last; t++)
        live[t] += (item[i].bytes + 63) / 64 * 64;
    }
    int64_t total = neo_plan_memory(item, N);
    for (int t = 0; t < 64; t++)
      floor = neo_max_i64(floor, live[t]);
    assert_true(total >= floor && total <= floor * 3 / 2);
    for (int i = 0; i < N; i++) {
      assert_int_equal(item[i].offset % 64, 0);
      assert_true(item[i].offset >= 0 && item[i].offset + item[i].bytes <= total);
      for (int k = 0; k < i; k++) {
        bool in_time = item[i].first <= item[k].last && item[k].first <= item[i].last;
        bool in_space = item[i].offset < item[k].offset + item[k].bytes &&
                        item[k].offset < item[i].offset + item[i].bytes;
        assert_false(in_time && in_space);
      }
    }
  }
  assert_int_equal(neo_plan_memory(NULL, 0), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(text_round_trip),
      cmocka_unit_test(unused_constants_are_dropped),
      cmocka_unit_test(damaged_texts_are_named),
      cmocka_unit_test(attributes_are_sorted_and_replaced),
      cmocka_unit_test(the_checker_finds_damage),
      cmocka_unit_test(plans_do_not_collide),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
