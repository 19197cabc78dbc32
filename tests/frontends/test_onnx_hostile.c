/* tests/frontends/test_onnx_hostile.c: damaged and hostile ONNX files, and files with things that
 * we lack: each is a status with a message that names the thing. Run under a memory limit. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/host.h"
#include "frontends/frontends.h"
#include "tests/frontends/onnx_build.h"

static neo_ctx ctx;
static char folder[256];

static int start(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  return neo_dir_temp(&ctx, NULL, folder) == NEO_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  return neo_dir_remove(&ctx, folder) == NEO_OK ? 0 : -1;
}

static neo_status import_bytes(const void *data, size_t size, neo_graph **out) {
  char path[300];
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_file_write(&ctx, path, data, size), NEO_OK);
  return neo_import(&ctx, path, NULL, out);
}

/* Imports what was built; the status and a part of the message must be these. */
static void expect(onnx_build *m, neo_status want, const char *part) {
  neo_graph *graph = NULL;
  neo_status status = import_bytes(m->model.data, m->model.size, &graph);
  if (status != want || (part && !strstr(ctx.message, part)))
    print_message("status %s, message: %s\n", neo_status_name(status), ctx.message);
  assert_int_equal(status, want);
  if (part)
    assert_non_null(strstr(ctx.message, part));
  neo_graph_destroy(graph);
  build_fini(m);
}

static const int64_t four[] = {4};

static void begin(onnx_build *m) {
  *m = (onnx_build){0};
  add_opset(m, "", 17);
  add_input(m, "x", 1, four);
}

static void a_sound_file_is_read(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "Relu", "r", "x", "y", NULL);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_OK, NULL);
}

static void nodes_out_of_order_are_sorted(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "Relu", "r2", "a", "y", NULL);
  add_node(&m, "Relu", "r1", "x", "a", NULL);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_OK, NULL);
}

static void a_cycle(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "Add", "first", "x b", "a", NULL);
  add_node(&m, "Add", "second", "x a", "b", NULL);
  add_output(&m, "b");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "depends on its own output");
}

static void a_node_that_reads_itself(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "Relu", "r", "y", "y", NULL);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "depends on its own output");
}

static void a_dangling_input(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "Relu", "r", "ghost", "y", NULL);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "'ghost'");
}

static void a_dangling_output(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_output(&m, "ghost");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "'ghost'");
}

static void a_name_defined_twice(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "Relu", "r1", "x", "y", NULL);
  add_node(&m, "Relu", "r2", "x", "y", NULL);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "'y' is defined twice");
  begin(&m);
  add_node(&m, "Relu", "r1", "x", "x", NULL);
  add_output(&m, "x");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, NULL);
}

static void negative_dims(void **state) {
  (void)state;
  onnx_build m = {0};
  const int64_t dim[] = {-5};
  add_opset(&m, "", 17);
  add_input(&m, "x", 1, dim);
  add_output(&m, "x");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "dimension -5");
  begin(&m);
  add_tensor(&m, build_tensor("w", 1, 1, dim, "", 0));
  add_output(&m, "x");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "'w' has dimension -5");
}

static void sizes_that_overflow(void **state) {
  (void)state;
  onnx_build m;
  const int64_t dim[] = {(int64_t)1 << 40, (int64_t)1 << 40};
  begin(&m);
  add_tensor(&m, build_tensor("w", 1, 2, dim, "abcd", 4));
  add_output(&m, "x");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "overflows");
}

static void four_gigabytes_claimed(void **state) {
  (void)state;
  onnx_build m;
  const int64_t dim[] = {1 << 30};
  begin(&m);
  add_tensor(&m, build_tensor("w", 1, 1, dim, NULL, 0));
  add_output(&m, "x");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "'w' has 0 values, 1073741824 needed");
  begin(&m);
  add_tensor(&m, build_tensor("w", 1, 1, dim, "abcdabcd", 8));
  add_output(&m, "x");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "'w' has 8 bytes of data");
}

static void a_forged_place_of_data(void **state) {
  (void)state;
  onnx_build m;
  const int64_t dim[] = {64};
  begin(&m);
  neo_buf tensor = build_tensor("w", 1, 1, dim, NULL, 0);
  put_int(&tensor, 18998, 1 << 20); /* our own fields are not taken from files */
  put_int(&tensor, 18999, 256);
  put_message(&m.graph, 5, &tensor);
  add_output(&m, "x");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "'w' has 0 values");
}

static void external_data_outside(void **state) {
  (void)state;
  static const char *const places[] = {"../secret", "/etc/passwd", "a/../../b",
                                       "",          "..",          "missing"};
  const int64_t dim[] = {1};
  for (int i = 0; i < NEO_COUNT(places); i++) {
    onnx_build m;
    neo_buf tensor = build_tensor("w", 1, 1, dim, NULL, 0), entry = {0};
    begin(&m);
    put_text(&entry, 1, "location");
    put_text(&entry, 2, places[i]);
    put_message(&tensor, 13, &entry);
    put_int(&tensor, 14, 1);
    put_message(&m.graph, 5, &tensor);
    add_output(&m, "x");
    finish_model(&m);
    expect(&m, NEO_BAD_INPUT, "'w'");
  }
}

static void external_data_through_a_link(void **state) {
  (void)state;
  char link_path[300];
  const int64_t dim[] = {1};
  onnx_build m;
  neo_buf tensor = build_tensor("w", 1, 1, dim, NULL, 0), entry = {0};
  snprintf(link_path, sizeof link_path, "%s/link", folder);
  assert_int_equal(symlink("/proc/self/exe", link_path), 0);
  begin(&m);
  put_text(&entry, 1, "location");
  put_text(&entry, 2, "link");
  put_message(&tensor, 13, &entry);
  put_int(&tensor, 14, 1);
  put_message(&m.graph, 5, &tensor);
  add_output(&m, "x");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "links outside");
}

static void external_data_beside(void **state) {
  (void)state;
  char path[300];
  const int64_t dim[] = {2};
  onnx_build m;
  for (int offset = 0; offset <= 8; offset += 4) {
    neo_buf tensor = build_tensor("w", 1, 1, dim, NULL, 0), entry = {0};
    char text[16];
    snprintf(path, sizeof path, "%s/weights", folder);
    assert_int_equal(neo_file_write(&ctx, path, "0123456789ab", 12), NEO_OK);
    begin(&m);
    put_text(&entry, 1, "location");
    put_text(&entry, 2, "weights");
    put_message(&tensor, 13, &entry);
    snprintf(text, sizeof text, "%d", offset);
    put_text(&entry, 1, "offset");
    put_text(&entry, 2, text);
    put_message(&tensor, 13, &entry);
    put_int(&tensor, 14, 1);
    put_message(&m.graph, 5, &tensor);
    add_output(&m, "w");
    finish_model(&m);
    if (offset < 8)
      expect(&m, NEO_OK, NULL);
    else
      expect(&m, NEO_BAD_INPUT, "8 needed");
  }
}

/* Names of different lengths put the data at every alignment: in place or copied, the numbers are
 * right. */
static void raw_data_at_any_alignment(void **state) {
  (void)state;
  float w[64];
  const int64_t dim[] = {64};
  for (int i = 0; i < 64; i++)
    w[i] = (float)i * 0.5f;
  for (int length = 1; length <= 8; length++) {
    onnx_build m;
    neo_graph *graph = NULL;
    char name[16] = "wwwwwwww";
    name[length] = 0;
    begin(&m);
    neo_buf tensor = build_tensor(name, 1, 1, dim, w, sizeof w);
    add_tensor(&m, tensor);
    add_output(&m, name);
    finish_model(&m);
    assert_int_equal(import_bytes(m.model.data, m.model.size, &graph), NEO_OK);
    const neo_tensor *got = graph->value[graph->output[0]].constant;
    assert_int_equal(got->size, sizeof w);
    assert_int_equal((uintptr_t)got->data % 4, 0);
    assert_memory_equal(got->data, w, sizeof w);
    neo_graph_destroy(graph);
    build_fini(&m);
  }
}

static void every_truncation(void **state) {
  (void)state;
  onnx_build m;
  const float w[32] = {1};
  const int64_t dim[] = {32};
  begin(&m);
  add_tensor(&m, build_tensor("w", 1, 1, dim, w, sizeof w));
  neo_buf attr = build_attr_int("axis", 0);
  add_node(&m, "Concat", "c", "w w", "y", &attr);
  add_output(&m, "y");
  finish_model(&m);
  for (size_t size = 0; size < m.model.size; size++) {
    neo_graph *graph = NULL;
    neo_status status = import_bytes(m.model.data, size, &graph);
    assert_int_equal(status, NEO_BAD_INPUT);
    assert_null(graph);
  }
  build_fini(&m);
}

/* If in If in If ...: 4 levels of messages each. */
static void deep_nesting(void **state) {
  (void)state;
  neo_buf inner = {0};
  put_text(&inner, 2, "leaf");
  for (int i = 0; i < 3000; i++) {
    neo_buf attr = {0}, node = {0}, graph = {0};
    put_text(&attr, 1, "then_branch");
    put_message(&attr, 6, &inner);
    put_text(&node, 4, "If");
    put_message(&node, 5, &attr);
    put_message(&graph, 1, &node);
    inner = graph;
    if (i == 100 || i == 2999) {
      neo_buf model = {0};
      neo_graph *graph_out = NULL;
      put_int(&model, 1, 8);
      put_bytes(&model, 7, inner.data, inner.size);
      assert_int_equal(import_bytes(model.data, model.size, &graph_out), NEO_BAD_INPUT);
      assert_non_null(strstr(ctx.message, "nested deeper"));
      neo_buf_fini(&model);
    }
  }
  neo_buf_fini(&inner);
}

static void put_function(onnx_build *m, const char *name, const char *calls) {
  neo_buf f = {0}, opset = {0};
  put_text(&f, 1, name);
  put_text(&f, 10, "local");
  put_text(&f, 4, "a");
  put_text(&f, 5, "b");
  for (int i = 0; i < 10; i++) {
    char in[16], out[16];
    snprintf(in, sizeof in, i ? "t%d" : "a", i);
    snprintf(out, sizeof out, i < 9 ? "t%d" : "b", i + 1);
    neo_buf node = build_node(calls, "call", in, out, NULL);
    if (strcmp(calls, "Relu") != 0)
      put_text(&node, 7, "local");
    put_message(&f, 7, &node);
  }
  put_text(&opset, 1, "local");
  put_int(&opset, 2, 1);
  put_message(&f, 9, &opset);
  put_text(&opset, 1, "");
  put_int(&opset, 2, 17);
  put_message(&f, 9, &opset);
  put_message(&m->model, 25, &f);
}

/* Ten functions, each calling the next ten times: 10^10 nodes. */
static void functions_that_explode(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_opset(&m, "local", 1);
  for (int i = 0; i < 10; i++) {
    char name[8], next[8];
    snprintf(name, sizeof name, "f%d", i);
    snprintf(next, sizeof next, "f%d", i + 1);
    put_function(&m, name, i < 9 ? next : "Relu");
  }
  neo_buf node = build_node("f0", "n", "x", "y", NULL);
  put_text(&node, 7, "local");
  put_message(&m.graph, 1, &node);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "bodies nested");
}

static void a_function_that_calls_itself(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_opset(&m, "local", 1);
  put_function(&m, "f", "f");
  neo_buf node = build_node("f", "n", "x", "y", NULL);
  put_text(&node, 7, "local");
  put_message(&m.graph, 1, &node);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "bodies nested");
}

static void a_function_is_inlined(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_opset(&m, "local", 1);
  put_function(&m, "f", "Relu");
  neo_buf node = build_node("f", "n", "x", "y", NULL);
  put_text(&node, 7, "local");
  put_message(&m.graph, 1, &node);
  add_output(&m, "y");
  finish_model(&m);
  neo_graph *graph = NULL;
  assert_int_equal(import_bytes(m.model.data, m.model.size, &graph), NEO_OK);
  assert_int_equal(graph->n_nodes, 10);
  neo_graph_destroy(graph);
  build_fini(&m);
}

/* A branch: one node that reads the outer x. */
static void put_branch(neo_buf *node, const char *name, const char *op) {
  neo_buf graph = {0}, attr = {0};
  neo_buf inner = build_node(op, "inner", "x", "z", NULL), out = build_value("z", 1, 1, four);
  put_message(&graph, 1, &inner);
  put_message(&graph, 12, &out);
  put_text(&attr, 1, name);
  put_int(&attr, 20, 5);
  put_message(&attr, 6, &graph);
  put_message(node, 5, &attr);
}

static void a_constant_if_is_its_branch(void **state) {
  (void)state;
  for (uint8_t condition = 0; condition < 2; condition++) {
    onnx_build m;
    neo_graph *graph = NULL;
    begin(&m);
    add_tensor(&m, build_tensor("c", 9, 0, NULL, &condition, 1));
    neo_buf node = build_node("If", "if", "c", "y", NULL);
    put_branch(&node, "then_branch", "Relu");
    put_branch(&node, "else_branch", "Tanh");
    put_message(&m.graph, 1, &node);
    add_output(&m, "y");
    finish_model(&m);
    assert_int_equal(import_bytes(m.model.data, m.model.size, &graph), NEO_OK);
    assert_int_equal(graph->n_nodes, 1);
    assert_string_equal(graph->node[0].op->name, condition ? "relu" : "tanh");
    neo_graph_destroy(graph);
    build_fini(&m);
  }
}

static void all_unsupported_things_in_one_error(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "Frobnicate", "first", "x", "a", NULL);
  add_node(&m, "Relu", "fine", "a", "b", NULL);
  neo_buf attr = build_attr_int("sparkle", 1);
  add_node(&m, "Relu", "second", "x", "c", &attr);
  add_node(&m, "ImageDecoder", "third", "b", "d", NULL);
  add_output(&m, "d");
  finish_model(&m);
  neo_graph *graph = NULL;
  assert_int_equal(import_bytes(m.model.data, m.model.size, &graph), NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "node 'first' (Frobnicate, opset 17)"));
  assert_non_null(strstr(ctx.message, "node 'second' (Relu, opset 17): attribute 'sparkle'"));
  assert_non_null(strstr(ctx.message, "node 'third' (ImageDecoder, opset 17)"));
  assert_null(strstr(ctx.message, "fine"));
  build_fini(&m);
}

static int lines_logged;

static void count_line(void *self, neo_log_level level, const char *text) {
  (void)self;
  (void)level;
  lines_logged += strstr(text, "Frobnicate") != NULL;
}

static void a_long_list_is_logged(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  for (int i = 0; i < 100; i++) {
    char out[16];
    snprintf(out, sizeof out, "y%d", i);
    add_node(&m, "Frobnicate", out, "x", out, NULL);
  }
  add_output(&m, "y1");
  finish_model(&m);
  lines_logged = 0;
  ctx.log = count_line;
  expect(&m, NEO_UNSUPPORTED, "100 unsupported");
  ctx.log = NULL;
  assert_int_equal(lines_logged, 100);
}

static void opsets_out_of_range(void **state) {
  (void)state;
  onnx_build m = {0};
  add_opset(&m, "", 29);
  add_input(&m, "x", 1, four);
  add_node(&m, "Relu", "r", "x", "y", NULL);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_UNSUPPORTED, "1 to 28 are known");
}

static void sequences_out_of_place(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "SequenceConstruct", "s", "x", "q", NULL);
  add_node(&m, "Relu", "r", "q", "y", NULL);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_UNSUPPORTED, "input 0 is a sequence");
  begin(&m);
  add_node(&m, "SequenceEmpty", "s", "", "q", NULL);
  add_node(&m, "SequenceErase", "e", "q", "p", NULL);
  add_output(&m, "p");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "outside a sequence of 0");
  begin(&m);
  add_node(&m, "SequenceLength", "l", "x", "n", NULL);
  add_output(&m, "n");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "not a sequence");
}

static void wrong_attribute_type(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  neo_buf attr = {0};
  put_text(&attr, 1, "axis");
  put_int(&attr, 20, 7);
  add_node(&m, "Softmax", "s", "x", "y", &attr);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "attribute 'axis' has type 7");
}

static void too_many_inputs(void **state) {
  (void)state;
  onnx_build m;
  begin(&m);
  add_node(&m, "Relu", "r", "x x x", "y", NULL);
  add_output(&m, "y");
  finish_model(&m);
  expect(&m, NEO_BAD_INPUT, "3 inputs");
}

static void other_files(void **state) {
  (void)state;
  static const char *const texts[] = {"", "hello world",
                                      "\x7f"
                                      "ELF....",
                                      "PK\x03\x04", "\x08"};
  for (int i = 0; i < NEO_COUNT(texts); i++) {
    neo_graph *graph = NULL;
    assert_int_equal(import_bytes(texts[i], strlen(texts[i]), &graph), NEO_BAD_INPUT);
  }
  neo_graph *graph = NULL;
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_import(&ctx, "/nonexistent/model.onnx", NULL, &graph), NEO_IO);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sound_file_is_read),
      cmocka_unit_test(nodes_out_of_order_are_sorted),
      cmocka_unit_test(a_cycle),
      cmocka_unit_test(a_node_that_reads_itself),
      cmocka_unit_test(a_dangling_input),
      cmocka_unit_test(a_dangling_output),
      cmocka_unit_test(a_name_defined_twice),
      cmocka_unit_test(negative_dims),
      cmocka_unit_test(sizes_that_overflow),
      cmocka_unit_test(four_gigabytes_claimed),
      cmocka_unit_test(a_forged_place_of_data),
      cmocka_unit_test(external_data_outside),
      cmocka_unit_test(external_data_through_a_link),
      cmocka_unit_test(external_data_beside),
      cmocka_unit_test(raw_data_at_any_alignment),
      cmocka_unit_test(every_truncation),
      cmocka_unit_test(deep_nesting),
      cmocka_unit_test(functions_that_explode),
      cmocka_unit_test(a_function_that_calls_itself),
      cmocka_unit_test(a_function_is_inlined),
      cmocka_unit_test(a_constant_if_is_its_branch),
      cmocka_unit_test(all_unsupported_things_in_one_error),
      cmocka_unit_test(a_long_list_is_logged),
      cmocka_unit_test(opsets_out_of_range),
      cmocka_unit_test(sequences_out_of_place),
      cmocka_unit_test(wrong_attribute_type),
      cmocka_unit_test(too_many_inputs),
      cmocka_unit_test(other_files),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
