/* tests/frontends/test_tensorflow_hostile.c: damaged and hostile TensorFlow files, and files with
 * things that we lack: each is a status with a message that names the thing. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/host.h"
#include "frontends/frontends.h"

#define DATA NEO_SOURCE_DIR "/tests/data/tensorflow/"

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

/* ---- GraphDefs by hand -------------------------------------------------------------------------- */

static void varint(neo_buf *b, uint64_t v) {
  for (; v >= 128; v >>= 7)
    neo_buf_u8(b, (uint8_t)(v | 128));
  neo_buf_u8(b, (uint8_t)v);
}

static void bytes(neo_buf *b, int field, const void *data, size_t size) {
  varint(b, (uint64_t)field << 3 | 2);
  varint(b, size);
  neo_buf_append(b, data, size);
}

static void text(neo_buf *b, int field, const char *s) {
  bytes(b, field, s, strlen(s));
}

static void number(neo_buf *b, int field, uint64_t v) {
  varint(b, (uint64_t)field << 3);
  varint(b, v);
}

/* An attribute whose value is the message so far in `value`, which is released. */
static void attr(neo_buf *node, const char *key, neo_buf *value) {
  neo_buf entry = {0};
  text(&entry, 1, key);
  bytes(&entry, 2, value->data, value->size);
  bytes(node, 5, entry.data, entry.size);
  neo_buf_fini(&entry);
  neo_buf_fini(value);
}

static void type_attr(neo_buf *node, const char *key, int type) {
  neo_buf value = {0};
  number(&value, 6, (uint64_t)type);
  attr(node, key, &value);
}

static void shape_of(neo_buf *out, int n, const int64_t *dims) {
  for (int i = 0; i < n; i++) {
    neo_buf dim = {0};
    number(&dim, 1, (uint64_t)dims[i]);
    bytes(out, 2, dim.data, dim.size);
    neo_buf_fini(&dim);
  }
}

/* A node without attributes; inputs separated by blanks. */
static void begin_node(neo_buf *node, const char *op, const char *name, const char *inputs) {
  *node = (neo_buf){0};
  text(node, 1, name);
  text(node, 2, op);
  while (*inputs) {
    size_t length = strcspn(inputs, " ");
    bytes(node, 3, inputs, length);
    inputs += length + (inputs[length] == ' ');
  }
}

static void end_node(neo_buf *graph, int field, neo_buf *node) {
  bytes(graph, field, node->data, node->size);
  neo_buf_fini(node);
}

static void add_node(neo_buf *graph, const char *op, const char *name, const char *inputs) {
  neo_buf node;
  begin_node(&node, op, name, inputs);
  type_attr(&node, "T", 1);
  end_node(graph, 1, &node);
}

static void add_placeholder(neo_buf *graph, const char *name, int n, const int64_t *dims) {
  neo_buf node, value = {0}, shape = {0};
  begin_node(&node, "Placeholder", name, "");
  type_attr(&node, "dtype", 1);
  shape_of(&shape, n, dims);
  bytes(&value, 7, shape.data, shape.size);
  attr(&node, "shape", &value);
  neo_buf_fini(&shape);
  end_node(graph, 1, &node);
}

/* A float constant of these dims with `size` bytes of content; -1: one float_val. */
static void add_const(neo_buf *graph, const char *name, int n, const int64_t *dims, int size) {
  static const char zeros[4096];
  neo_buf node, value = {0}, tensor = {0}, shape = {0};
  begin_node(&node, "Const", name, "");
  type_attr(&node, "dtype", 1);
  number(&tensor, 1, 1);
  shape_of(&shape, n, dims);
  bytes(&tensor, 2, shape.data, shape.size);
  if (size >= 0)
    bytes(&tensor, 4, zeros, (size_t)size);
  else
    bytes(&tensor, 5, "\0\0\x80\x3f", 4);
  bytes(&value, 8, tensor.data, tensor.size);
  attr(&node, "value", &value);
  neo_buf_fini(&tensor);
  neo_buf_fini(&shape);
  end_node(graph, 1, &node);
}

static neo_status import_bytes(const void *data, size_t size, const neo_import_options *options,
                               neo_graph **out) {
  char path[300];
  snprintf(path, sizeof path, "%s/model.pb", folder);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_file_write(&ctx, path, data, size), NEO_OK);
  return neo_import(&ctx, path, options, out);
}

static void expect(neo_buf *graph, neo_status want, const char *part) {
  neo_graph *out = NULL;
  neo_import_options options = {.max_model_bytes = 1 << 20};
  neo_status status = import_bytes(graph->data, graph->size, &options, &out);
  if (status != want || (part && !strstr(ctx.message, part)))
    print_message("status %s, message: %s\n", neo_status_name(status), ctx.message);
  assert_int_equal(status, want);
  if (part)
    assert_non_null(strstr(ctx.message, part));
  neo_graph_destroy(out);
  neo_buf_fini(graph);
}

static const int64_t four[] = {4};

static void a_sound_file_is_read(void **state) {
  (void)state;
  neo_buf g = {0};
  add_placeholder(&g, "x", 1, four);
  add_node(&g, "Relu", "y", "x");
  expect(&g, NEO_OK, NULL);
}

/* An id of a complex value is its real part's: whoever does not know must not see it. */
static void complex_numbers_do_not_pass_as_real(void **state) {
  (void)state;
  neo_buf g = {0};
  add_placeholder(&g, "x", 1, (int64_t[]){4});
  add_node(&g, "Complex", "z", "x x");
  add_node(&g, "Conj", "c", "z");
  add_node(&g, "Relu", "y", "c");
  expect(&g, NEO_UNSUPPORTED, "node 'y' (Relu): of complex numbers");
}

static void everything_unsupported_is_listed(void **state) {
  (void)state;
  neo_buf g = {0};
  add_placeholder(&g, "x", 1, four);
  add_node(&g, "Frobnicate", "first", "x");
  add_node(&g, "Defenestrate", "second", "first");
  add_node(&g, "Relu", "y", "second");
  expect(&g, NEO_UNSUPPORTED, "node 'first' (Frobnicate)");
  assert_non_null(strstr(ctx.message, "node 'second' (Defenestrate)"));
}

static void broken_references(void **state) {
  (void)state;
  neo_buf g = {0};
  add_node(&g, "Relu", "y", "ghost");
  expect(&g, NEO_BAD_INPUT, "'ghost'");
  add_placeholder(&g, "x", 1, four);
  add_node(&g, "Relu", "y", "x:7");
  expect(&g, NEO_BAD_INPUT, "x:7");
  add_placeholder(&g, "x", 1, four);
  add_node(&g, "Relu", "y", "x:99999999999999999999");
  expect(&g, NEO_BAD_INPUT, NULL);
  add_placeholder(&g, "x", 1, four);
  add_placeholder(&g, "x", 1, four);
  add_node(&g, "Relu", "y", "x");
  expect(&g, NEO_BAD_INPUT, "two nodes are named 'x'");
}

static void cycles(void **state) {
  (void)state;
  neo_buf g = {0};
  add_placeholder(&g, "x", 1, four);
  add_node(&g, "AddV2", "a", "x b");
  add_node(&g, "AddV2", "b", "x a");
  add_node(&g, "Relu", "y", "b");
  expect(&g, NEO_BAD_INPUT, "depends on itself");
  add_node(&g, "Exit", "e", "x");
  add_placeholder(&g, "x", 1, four);
  expect(&g, NEO_BAD_INPUT, "leaves no loop");
}

static void missing_inputs(void **state) {
  (void)state;
  static const char *const ops[] = {"AddV2",  "Relu",   "Conv2D",  "MatMul", "ConcatV2",
                                    "Switch", "Merge",  "Gather",  "Pack",   "StridedSlice",
                                    "Select", "Split",  "Reshape", "Einsum", "FusedBatchNormV3",
                                    "Enter",  "TopKV2", "Pad",     "OneHot", "TensorListStack"};
  for (int i = 0; i < NEO_COUNT(ops); i++) {
    neo_buf g = {0};
    neo_graph *out = NULL;
    add_node(&g, ops[i], "y", "");
    assert_int_not_equal(import_bytes(g.data, g.size, NULL, &out), NEO_OK);
    neo_buf_fini(&g);
  }
}

static void constants(void **state) {
  (void)state;
  static const int64_t huge[] = {1 << 20, 1 << 20}, over[] = {INT64_MAX / 2, 16}, minus[] = {-5};
  neo_buf g = {0};
  add_const(&g, "c", 1, four, 12);
  add_node(&g, "Relu", "y", "c");
  expect(&g, NEO_BAD_INPUT, "12 bytes, 16 needed");
  add_const(&g, "c", 1, four, 400);
  add_node(&g, "Relu", "y", "c");
  expect(&g, NEO_BAD_INPUT, "400 bytes, 16 needed");
  add_const(&g, "c", 2, huge, -1);
  add_node(&g, "Relu", "y", "c");
  expect(&g, NEO_BAD_INPUT, "max_model_bytes");
  add_const(&g, "c", 2, over, -1);
  add_node(&g, "Relu", "y", "c");
  expect(&g, NEO_BAD_INPUT, "overflows");
  add_const(&g, "c", 1, minus, -1);
  add_node(&g, "Relu", "y", "c");
  expect(&g, NEO_BAD_INPUT, NULL);
}

/* A function that calls itself twice: 2^48 calls unless something bounds them. */
static void recursive_functions(void **state) {
  (void)state;
  neo_buf g = {0}, f = {0}, signature = {0}, arg = {0}, ret = {0}, library = {0}, node;
  text(&signature, 1, "f");
  text(&arg, 1, "a");
  number(&arg, 3, 1);
  bytes(&signature, 2, arg.data, arg.size);
  arg.size = 0;
  text(&arg, 1, "r");
  bytes(&signature, 3, arg.data, arg.size);
  bytes(&f, 1, signature.data, signature.size);
  begin_node(&node, "f", "one", "a");
  end_node(&f, 3, &node);
  begin_node(&node, "f", "two", "one:r:0");
  end_node(&f, 3, &node);
  text(&ret, 1, "r");
  text(&ret, 2, "two:r:0");
  bytes(&f, 4, ret.data, ret.size);
  bytes(&library, 1, f.data, f.size);
  add_placeholder(&g, "x", 1, four);
  add_node(&g, "f", "y", "x");
  bytes(&g, 2, library.data, library.size);
  neo_buf_fini(&f);
  neo_buf_fini(&signature);
  neo_buf_fini(&arg);
  neo_buf_fini(&ret);
  neo_buf_fini(&library);
  expect(&g, NEO_BAD_INPUT, "nested deeper");
}

/* ---- damaged files ------------------------------------------------------------------------------- */

/* Whatever the file says now, importing it ends in a status. */
static void survives(const char *path) {
  neo_graph *graph = NULL;
  neo_import_options options = {.max_model_bytes = 64 << 20};
  neo_ctx_clear(&ctx);
  if (neo_import(&ctx, path, &options, &graph) == NEO_OK) {
    neo_ctx_clear(&ctx);
    assert_int_equal(neo_graph_check(&ctx, graph), NEO_OK);
    neo_graph_destroy(graph);
  } else {
    assert_true(ctx.message[0] != 0);
  }
}

/* Truncations at every 1/64th and bit flips of `file` (below the folder that is imported). */
static void damage(const char *model, const char *file, int flips) {
  char path[300];
  neo_buf whole = {0};
  neo_rng rng;
  neo_rng_init(&rng, 11);
  snprintf(path, sizeof path, "%s/%s", folder, file);
  assert_int_equal(neo_file_read(&ctx, path, 0, &whole), NEO_OK);
  for (int i = 0; i < 64; i++) {
    assert_int_equal(neo_file_write(&ctx, path, whole.data, whole.size * (size_t)i / 64), NEO_OK);
    survives(model);
  }
  for (int i = 0; i < flips; i++) {
    size_t at = (size_t)neo_rng_below(&rng, whole.size);
    uint8_t bit = (uint8_t)(1 << neo_rng_below(&rng, 8));
    ((uint8_t *)whole.data)[at] ^= bit;
    assert_int_equal(neo_file_write(&ctx, path, whole.data, whole.size), NEO_OK);
    survives(model);
    ((uint8_t *)whole.data)[at] ^= bit;
  }
  assert_int_equal(neo_file_write(&ctx, path, whole.data, whole.size), NEO_OK);
  neo_buf_fini(&whole);
}

static void copy(const char *from, const char *to) {
  char path[300];
  neo_buf data = {0};
  snprintf(path, sizeof path, "%s/%s", folder, to);
  assert_int_equal(neo_file_read(&ctx, from, 0, &data), NEO_OK);
  assert_int_equal(neo_file_write(&ctx, path, data.data, data.size), NEO_OK);
  neo_buf_fini(&data);
}

static void damaged_graphs(void **state) {
  (void)state;
  static const char *const cases[] = {"own_gd_while_v1", "own_gd_cond_v1", "own_gd_while",
                                      "own_gd_slices", "graphdef_lstm_dynamic_tf1"};
  char from[300], path[300];
  snprintf(path, sizeof path, "%s/model.pb", folder);
  for (int i = 0; i < NEO_COUNT(cases); i++) {
    snprintf(from, sizeof from, DATA "%s/model.pb", cases[i]);
    copy(from, "model.pb");
    damage(path, "model.pb", 200);
  }
}

static void damaged_saved_model(void **state) {
  (void)state;
  char variables[300];
  snprintf(variables, sizeof variables, "%s/variables", folder);
  assert_int_equal(neo_dir_create(&ctx, variables), NEO_OK);
  copy(DATA "savedmodel_lstm_text/saved_model/saved_model.pb", "saved_model.pb");
  copy(DATA "savedmodel_lstm_text/saved_model/variables/variables.index",
       "variables/variables.index");
  copy(DATA "savedmodel_lstm_text/saved_model/variables/variables.data-00000-of-00001",
       "variables/variables.data-00000-of-00001");
  survives(folder);
  assert_int_equal(ctx.status, NEO_OK);
  damage(folder, "saved_model.pb", 60);
  damage(folder, "variables/variables.index", 100);
  damage(folder, "variables/variables.data-00000-of-00001", 20);
}

/* A value that was changed on disk is found by its checksum. */
static void changed_variable(void **state) {
  (void)state;
  char path[300];
  neo_buf data = {0};
  neo_graph *graph = NULL;
  snprintf(path, sizeof path, "%s/variables/variables.data-00000-of-00001", folder);
  assert_int_equal(neo_file_read(&ctx, path, 0, &data), NEO_OK);
  for (size_t i = 0; i < data.size; i += 64)
    data.data[i] ^= 1;
  assert_int_equal(neo_file_write(&ctx, path, data.data, data.size), NEO_OK);
  neo_buf_fini(&data);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_import(&ctx, folder, NULL, &graph), NEO_BAD_INPUT);
  assert_non_null(strstr(ctx.message, "checksum of tensor"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sound_file_is_read),
      cmocka_unit_test(complex_numbers_do_not_pass_as_real),
      cmocka_unit_test(everything_unsupported_is_listed),
      cmocka_unit_test(broken_references),
      cmocka_unit_test(cycles),
      cmocka_unit_test(missing_inputs),
      cmocka_unit_test(constants),
      cmocka_unit_test(recursive_functions),
      cmocka_unit_test(damaged_graphs),
      cmocka_unit_test(damaged_saved_model),
      cmocka_unit_test(changed_variable),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
