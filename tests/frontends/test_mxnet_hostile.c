/* tests/frontends/test_mxnet_hostile.c: damaged and hostile MXNet models: each is a status with a
 * message that names the thing. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "tests/frontends/hostile_file.h"

#define DATA "tests/data/mxnet/ops_mix/"

static neo_buf symbol, params;

static void put(const char *name, const void *data, size_t size) {
  char path[300];
  snprintf(path, sizeof path, "%s/%s", hostile_folder, name);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
}

static neo_status read_model(void) {
  static const neo_binding bindings[] = {{"data", {4, {2, 4, 16, 16}}, false, NEO_F32},
                                         {"data2", {4, {2, 3, 16, 16}}, false, NEO_F32}};
  neo_import_options options = {2, bindings, 64 << 20};
  char path[300];
  neo_graph *graph = NULL;
  snprintf(path, sizeof path, "%s/net-symbol.json", hostile_folder);
  neo_ctx_clear(&hostile_ctx);
  neo_status status = neo_import(&hostile_ctx, path, &options, &graph);
  if (status == NEO_OK && neo_pass_bind(&hostile_ctx, graph, 0, NULL) == NEO_OK)
    status = neo_pass_infer(&hostile_ctx, graph);
  neo_graph_destroy(graph);
  assert_true(status == NEO_OK || hostile_ctx.message[0] != '\0');
  assert_true(status != NEO_INTERNAL && status != NEO_NO_MEMORY);
  return status;
}

static int start(void **state) {
  if (hostile_start(state))
    return -1;
  hostile_load(DATA, "ops_mix-symbol.json", &symbol);
  hostile_load(DATA, "ops_mix-0003.params", &params);
  return 0;
}

static int stop(void **state) {
  neo_buf_fini(&symbol);
  neo_buf_fini(&params);
  return hostile_stop(state);
}

static void sound(void) {
  put("net-symbol.json", symbol.data, symbol.size);
  put("net-0003.params", params.data, params.size);
}

static void a_sound_model_is_read(void **state) {
  (void)state;
  sound();
  assert_int_equal(read_model(), NEO_OK);
}

static void truncated(void **state) {
  (void)state;
  sound();
  for (size_t part = 0; part < 64; part++) {
    put("net-0003.params", params.data, params.size * part / 64);
    assert_int_equal(read_model(), NEO_BAD_INPUT);
  }
  sound();
  for (size_t part = 0; part < 64; part++) {
    put("net-symbol.json", symbol.data, symbol.size * part / 64);
    assert_int_equal(read_model(), NEO_BAD_INPUT);
  }
}

static void expect(const char *json, neo_status want, const char *part) {
  put("net-symbol.json", json, strlen(json));
  neo_status status = read_model();
  if (status != want || !strstr(hostile_ctx.message, part))
    print_message("status %s, message: %s\n", neo_status_name(status), hostile_ctx.message);
  assert_int_equal(status, want);
  assert_non_null(strstr(hostile_ctx.message, part));
}

static void bad_symbols(void **state) {
  (void)state;
  sound();
  expect("{\"nodes\": [], \"arg_nodes\": [], \"heads\": []}", NEO_BAD_INPUT, "no nodes");
  expect("{\"nodes\": [{\"op\": \"relu\", \"name\": \"a\", \"inputs\": [[0,0]]}],"
         "\"arg_nodes\": [], \"heads\": [[0,0]]}",
         NEO_BAD_INPUT, "does not come before it");
  expect("{\"nodes\": [{\"op\": \"null\", \"name\": \"data\", \"inputs\": []}],"
         "\"arg_nodes\": [0], \"heads\": [[7,0]]}",
         NEO_BAD_INPUT, "does not exist");
  expect("{\"nodes\": [{\"op\": \"null\", \"name\": \"data\", \"inputs\": []},"
         "{\"op\": \"Custom\", \"name\": \"c\", \"inputs\": [[0,0]]},"
         "{\"op\": \"Proposal\", \"name\": \"p\", \"inputs\": [[1,0]]}],"
         "\"arg_nodes\": [0], \"heads\": [[2,0]]}",
         NEO_UNSUPPORTED, "2 unsupported");
  expect("{\"nodes\": [{\"op\": \"null\", \"name\": \"data\", \"inputs\": []},"
         "{\"op\": \"transpose\", \"name\": \"t\", \"attrs\": {\"axes\": \"(0, x)\"},"
         "\"inputs\": [[0,0]]}], \"arg_nodes\": [0], \"heads\": [[1,0]]}",
         NEO_BAD_INPUT, "attribute axes is \"(0, x)\"");
}

#define FOREACH(locations, body)                                                                   \
  "{\"nodes\": [{\"op\": \"null\", \"name\": \"data\", \"inputs\": []},"                           \
  "{\"op\": \"_foreach\", \"name\": \"f\", \"attrs\": {\"num_outputs\": \"1\", \"num_out_data\": " \
  "\"1\","                                                                                         \
  "\"in_data_locs\": \"" locations "\", \"in_state_locs\": \"()\", \"remain_locs\": \"()\"},"      \
  "\"inputs\": [[0,0]], \"subgraphs\": [" body "]}], \"arg_nodes\": [0], \"heads\": [[1,0]]}"
#define BODY(arguments, head)                                                                      \
  "{\"nodes\": [{\"op\": \"null\", \"name\": \"x\", \"inputs\": []}], \"arg_nodes\": " arguments   \
  ", \"heads\": " head "}"

static void bad_bodies(void **state) {
  (void)state;
  sound();
  expect(FOREACH("(0,)", BODY("[0]", "[[0,0]]")), NEO_OK, "");
  expect(FOREACH("(0,)", ""), NEO_UNSUPPORTED, "body 0 is absent");
  expect(FOREACH("(3,)", BODY("[0]", "[[0,0]]")), NEO_UNSUPPORTED, "in_data_locs says 3 of 1");
  expect(FOREACH("(0,)", BODY("[0, 0]", "[[0,0]]")), NEO_BAD_INPUT, "2 arguments is given 1");
  expect(FOREACH("(0,)", BODY("[5]", "[[0,0]]")), NEO_BAD_INPUT, "is node 5");
  expect(FOREACH("(0,)", BODY("[0]", "[[0,1]]")), NEO_BAD_INPUT, "does not exist");
  expect(FOREACH("(0,)", BODY("[0]", "[]")), NEO_BAD_INPUT, "0 outputs, 1 are wanted");
}

/* A body that gives many more outputs than a loop may have; every one of them is node 0. */
static void too_many_outputs(void **state) {
  static const char *const ops[] = {"_foreach", "_while_loop", "_cond"};
  enum { N = 5000 };
  (void)state;
  neo_buf heads = {0}, json = {0};
  for (int k = 0; k < N; k++)
    neo_buf_printf(&heads, "%s[0,0]", k ? "," : "");
  for (int k = 0; k < NEO_COUNT(ops); k++) {
    const char *body = "{\"nodes\": [{\"op\": \"null\", \"name\": \"x\", \"inputs\": []}], "
                       "\"arg_nodes\": [0], \"heads\": [";
    neo_buf_clear(&json);
    neo_buf_printf(&json,
                   "{\"nodes\": [{\"op\": \"null\", \"name\": \"data\", \"inputs\": []}, {\"op\": "
                   "\"%s\", \"name\": \"f\", \"attrs\": {\"num_outputs\": \"%d\", "
                   "\"num_out_data\": \"%d\", \"max_iterations\": \"2\", \"in_data_locs\": "
                   "\"(0,)\", \"in_state_locs\": \"()\", \"remain_locs\": \"()\", "
                   "\"cond_input_locs\": \"(0,)\", \"func_input_locs\": \"(0,)\", "
                   "\"then_input_locs\": \"(0,)\", \"else_input_locs\": \"(0,)\", "
                   "\"func_var_locs\": \"()\"}, \"inputs\": [[0,0]], \"subgraphs\": [",
                   ops[k], N, N);
    if (k > 0) /* the condition */
      neo_buf_printf(&json, "%s[0,0]]},", body);
    for (int i = 0; i < (k == 2 ? 2 : 1); i++)
      neo_buf_printf(&json, "%s%s%s]}", i ? "," : "", body, heads.data);
    neo_buf_printf(&json, "]}], \"arg_nodes\": [0], \"heads\": [[1,0]]}");
    expect(json.data, NEO_UNSUPPORTED, "of 5000 outputs");
  }
  neo_buf_fini(&heads);
  neo_buf_fini(&json);
}

static void an_array_of_impossible_size(void **state) {
  (void)state;
  char copy[4096];
  assert_true(params.size <= sizeof copy);
  sound();
  memcpy(copy, params.data, params.size);
  memset(copy + 24 + 12, 0x7f, 6); /* the first array's first dimension */
  put("net-0003.params", copy, params.size);
  assert_int_equal(read_model(), NEO_BAD_INPUT);
  memset(copy + 16, 0xff, 7); /* so many arrays */
  put("net-0003.params", copy, params.size);
  assert_int_equal(read_model(), NEO_BAD_INPUT);
  assert_non_null(strstr(hostile_ctx.message, "more arrays"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_sound_model_is_read), cmocka_unit_test(truncated),
      cmocka_unit_test(bad_symbols),           cmocka_unit_test(bad_bodies),
      cmocka_unit_test(too_many_outputs),      cmocka_unit_test(an_array_of_impossible_size),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
