/* tests/driver/test_text_models.c: operators on strings, by the interpreter and compiled: constants
 * and inputs that are strings, results that are, and results of bounded extent. */
#include "tests/driver/model_case.h"

static neo_ctx ctx;

static const char *const text =
    "graph 1 \"g\"\n"
    "%0 input \"x\" str [4]\n"
    "%1 input \"y\" str [1]\n"
    "%2 input \"at\" i64 [3]\n"
    "%3 const \"words\" str [2] {\"Stop\",\"\\xc3\\xa9\"}\n"
    "%4 const \"labels\" str [3] {\"cat\",\"\",\"dog\"}\n"
    "%5 const \"pattern\" str [] {\"[a-c]+\\\\d?\"}\n"
    "%6 \"kept\" ? ? = text_filter(%0, %3) {sensitive=0} \"kept\"\n"
    "%7 \"upper\" ? ? = text_case(%6) {upper=1} \"upper\"\n"
    "%8 \"label\" ? ? = gather(%4, %2) {axis=0} \"label\"\n"
    "%9 \"joined\" ? ? = text_concat(%0, %1) \"joined\"\n"
    "%10 \"same\" ? ? = text_equal(%0, %1) \"same\"\n"
    "%11 \"found\" ? ? = text_find(%0, %4) \"found\"\n"
    "%12 \"matches\" ? ? = text_match(%0, %5) \"matches\"\n"
    "%13 \"chosen\" ? ? = where(%10, %9, %0) \"chosen\"\n"
    "%14 const \"two\" str [2] {\"a b c\",\"d\"}\n"
    "%15 const \"none\" str [] {\"\"}\n"
    "%16 \"parts\" ? ?, %17 \"counts\" ? ? = text_split(%14, %15) \"split\"\n"
    "%18 \"printed\" ? ? = text_print(%2) \"printed\"\n"
    "%19 \"parsed\" ? ? = text_parse(%18) {to=\"i64\"} \"parsed\"\n"
    "%20 \"real\" ? ? = text_parse(%18) {to=\"f64\"} \"real\"\n"
    "%21 \"real32\" ? ? = cast(%20) {to=\"f32\"} \"real32\"\n"
    "%22 const \"half\" f32 [] {0.5}\n"
    "%23 \"more\" ? ? = add(%21, %22) \"more\"\n"
    "%24 \"again\" ? ? = text_print(%23) \"again\"\n"
    "output %7 \"upper\"\n"
    "output %8 \"label\"\n"
    "output %9 \"joined\"\n"
    "output %10 \"same\"\n"
    "output %11 \"found\"\n"
    "output %12 \"matches\"\n"
    "output %13 \"chosen\"\n"
    "output %16 \"parts\"\n"
    "output %17 \"counts\"\n"
    "output %18 \"printed\"\n"
    "output %19 \"parsed\"\n"
    "output %24 \"again\"\n";

enum { N_OUTPUTS = 12 };

typedef struct given {
  const char *x[4], *y[1];
  int64_t at[3];
} given;

/* A value as "a|b|", numbers in decimal. */
static void print_output(neo_buf *out, const char *dtype, int64_t n, const void *data) {
  for (int64_t i = 0; i < n; i++) {
    if (strcmp(dtype, "str") == 0)
      neo_buf_text(out, ((const char *const *)data)[i] ? ((const char *const *)data)[i] : "");
    else if (strcmp(dtype, "i64") == 0)
      neo_buf_printf(out, "%lld", (long long)((const int64_t *)data)[i]);
    else
      neo_buf_printf(out, "%d", ((const uint8_t *)data)[i]);
    neo_buf_text(out, "|");
  }
  neo_buf_text(out, "\n");
}

static void interpreted(const neo_graph *graph, given *g, neo_buf *out) {
  neo_tensor in[3] = {{NEO_STR, {1, {4}}, g->x, sizeof g->x},
                      {NEO_STR, {1, {1}}, g->y, sizeof g->y},
                      {NEO_I64, {1, {3}}, g->at, sizeof g->at}},
             made[N_OUTPUTS];
  must(&ctx, neo_graph_interpret(&ctx, graph, in, made));
  for (int o = 0; o < N_OUTPUTS; o++) {
    int64_t n = 0;
    neo_shape_elements(&made[o].shape, &n);
    print_output(out, neo_dtype_name(made[o].dtype), n, made[o].data);
    neo_tensor_free(&ctx, &made[o]);
  }
}

static void run(neo_rt_session *session, given *g, neo_buf *out) {
  neo_rt_error error = {0};
  rt_must(neo_rt_set_input(session, "x", g->x, sizeof g->x, &error), &error);
  rt_must(neo_rt_set_input(session, "y", g->y, sizeof g->y, &error), &error);
  rt_must(neo_rt_set_input(session, "at", g->at, sizeof g->at, &error), &error);
  rt_must(neo_rt_run(session, &error), &error);
  for (int o = 0; o < N_OUTPUTS; o++) {
    const void *data;
    neo_rt_tensor_info info;
    rt_must(neo_rt_output_shape(session, o, &info), &error);
    rt_must(neo_rt_output(session, o, &data, &error), &error);
    int64_t n = 1;
    for (int d = 0; d < info.rank; d++)
      n *= info.dim[d];
    print_output(out, info.dtype, n, data);
  }
}

static given cases[] = {
    {{"a1", "stop", "\xc3\xa9", "cat"}, {"cat"}, {0, 1, 2}},
    {{"STOP", "stop", "sToP", "\xc3\x89"}, {""}, {2, 2, 0}},
    {{NULL, "b", "abc", "abc12"}, {"b"}, {-1, 0, 1}},
};

static const char *const want[] = {
    "A1|CAT|\ncat||dog|\na1cat|stopcat|\xc3\xa9"
    "cat|catcat|\n0|0|0|1|\n-1|-1|-1|0|\n1|0|0|0|\n"
    "a1|stop|\xc3\xa9|catcat|\na|b|c|d|||\n3|1|\n"
    "0|1|2|\n0|1|2|\n0.5|1.5|2.5|\n",
    "|\ndog|dog|cat|\nSTOP|stop|sToP|\xc3\x89|\n0|0|0|0|\n-1|-1|-1|-1|\n0|0|0|0|\n"
    "STOP|stop|sToP|\xc3\x89|\na|b|c|d|||\n3|1|\n2|2|0|\n2|2|0|\n2.5|2.5|0.5|\n",
    "|B|ABC|ABC12|\ndog|cat||\nb|bb|abcb|abc12b|\n0|1|0|0|\n1|-1|-1|-1|\n0|1|1|0|\n"
    "|bb|abc|abc12|\na|b|c|d|||\n3|1|\n-1|0|1|\n-1|0|1|\n-0.5|0.5|1.5|\n",
};

#define SIMPLE                                                                                     \
  "graph 1 \"g\"\n"                                                                                \
  "%0 input \"x\" str [2]\n%1 \"n\" ? ? = text_parse(%0) {to=\"f64\"} \"n\"\noutput %1 \"n\"\n"

/* Compiles a graph's text into an artifact and makes a session of it. */
static void open_session(const char *scratch, const char *graph, neo_rt_model **model,
                         neo_rt_session **session) {
  char dir[300], path[300];
  neo_rt_error error = {0};
  neo_project project;
  neo_compile_result result;
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  snprintf(path, sizeof path, "%s/text.graph", scratch);
  must(&ctx, neo_file_write(&ctx, path, graph, strlen(graph)));
  neo_project_options options = {.model = path, .threads = 1};
  must(&ctx, neo_project_open(&ctx, &options, &project));
  must(&ctx, neo_compile(&ctx, &project, NULL, &(neo_compile_options){.output = dir}, &result));
  neo_project_close(&project);
  rt_must(neo_rt_load(dir, model, &error), &error);
  rt_must(neo_rt_session_create(*model, NULL, session, &error), &error);
}

static void strings_run(void **state) {
  char scratch[256];
  neo_graph *graph = NULL;
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  (void)state;
  scratch_create(&ctx, scratch);
  open_session(scratch, text, &model, &session);
  for (int k = 0; k < 2 * NEO_COUNT(cases); k++) { /* twice: texts of a run are let go */
    neo_buf got = {0};
    run(session, &cases[k % NEO_COUNT(cases)], &got);
    assert_string_equal(got.data, want[k % NEO_COUNT(cases)]);
    neo_buf_fini(&got);
  }
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  must(&ctx, neo_graph_parse(&ctx, text, &graph));
  must(&ctx, neo_graph_optimise(&ctx, graph));
  neo_buf got = {0};
  interpreted(graph, &cases[0], &got); /* its first output is not cut */
  assert_non_null(strstr(got.data, strchr(want[0], '\n')));
  neo_buf_fini(&got);
  neo_graph_destroy(graph);
  scratch_remove(&ctx, scratch);
}

static void what_is_no_number_is_said(void **state) {
  char scratch[256];
  const char *words[2] = {"7", "ten"};
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  (void)state;
  scratch_create(&ctx, scratch);
  open_session(scratch, SIMPLE, &model, &session);
  rt_must(neo_rt_set_input(session, "x", words, sizeof words, &error), &error);
  assert_int_not_equal(neo_rt_run(session, &error), 0);
  assert_non_null(strstr(error.text, "'ten' is no number"));
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  scratch_remove(&ctx, scratch);
}

static void texts_are_printed_and_parsed(void **state) {
  neo_graph *graph = NULL, *again = NULL;
  neo_buf first = {0}, second = {0};
  (void)state;
  must(&ctx, neo_graph_parse(&ctx, text, &graph));
  neo_graph_print(&first, graph, true);
  must(&ctx, neo_graph_parse(&ctx, first.data, &again));
  neo_graph_print(&second, again, true);
  assert_string_equal(first.data, second.data);
  assert_non_null(strstr(first.data, "{\"cat\",\"\",\"dog\"}"));
  neo_graph_destroy(graph);
  neo_graph_destroy(again);
  neo_buf_fini(&first);
  neo_buf_fini(&second);
}

/* Arithmetic on addresses, or addresses out of numbers, would be a hole. */
static void strings_are_no_numbers(void **state) {
  static const char *const calls[] = {"add(%0, %1)",
                                      "equal(%0, %1)",
                                      "cast(%0) {to=\"i64\"}",
                                      "cast(%2) {to=\"str\"}",
                                      "bitcast(%2) {to=\"str\"}",
                                      "bitcast(%0) {to=\"i64\"}",
                                      "reduce_sum(%0)",
                                      "cumsum(%0, %2)",
                                      "text_case(%2)",
                                      "text_find(%0, %2)",
                                      "text_split(%0, %1)",
                                      "text_match(%0, %3)",
                                      "scatter_elements(%0, %2, %1) {reduction=\"add\"}",
                                      "arg_max(%0)",
                                      "topk(%0) {k=1}",
                                      "text_load(%2, %0)",
                                      "unique(%0)"};
  (void)state;
  for (int i = 0; i < NEO_COUNT(calls); i++) {
    neo_buf graph_text = {0};
    neo_graph *graph = NULL;
    neo_buf_printf(&graph_text,
                   "graph 1 \"g\"\n%%0 input \"x\" str [2]\n%%1 input \"y\" str [2]\n"
                   "%%2 input \"n\" i64 [2]\n%%3 const \"p\" str [] {\"(\"}\n"
                   "%%4 \"z\" ? ? = %s \"z\"\noutput %%4 \"z\"\n",
                   calls[i]);
    must(&ctx, neo_graph_parse(&ctx, graph_text.data, &graph));
    if (neo_pass_infer(&ctx, graph) == NEO_OK)
      fail_msg("%s is accepted", calls[i]);
    neo_ctx_clear(&ctx);
    neo_graph_destroy(graph);
    neo_buf_fini(&graph_text);
  }
}

/* Words behind the end of a filtered text were counted as words that stay. */
static void filtered_words_are_not_filtered_again(void **state) {
  static const char *const calls[] = {"text_filter(%2, %1)", "text_filter(%0, %2)"};
  (void)state;
  for (int i = 0; i < NEO_COUNT(calls); i++) {
    neo_buf graph_text = {0};
    neo_graph *graph = NULL;
    neo_buf_printf(&graph_text,
                   "graph 1 \"g\"\n%%0 input \"x\" str [4]\n"
                   "%%1 const \"words\" str [1] {\"a\"}\n"
                   "%%2 \"y\" ? ? = text_filter(%%0, %%1) \"y\"\n"
                   "%%3 \"z\" ? ? = %s \"z\"\noutput %%3 \"z\"\n",
                   calls[i]);
    must(&ctx, neo_graph_parse(&ctx, graph_text.data, &graph));
    assert_int_equal(neo_pass_infer(&ctx, graph), NEO_UNSUPPORTED);
    assert_non_null(strstr(ctx.message, "known at run time only"));
    neo_ctx_clear(&ctx);
    neo_graph_destroy(graph);
    neo_buf_fini(&graph_text);
  }
}

/* An element is an address of eight bytes. */
static void strings_need_64_bits(void **state) {
  char scratch[256], dir[300], path[300];
  neo_project project;
  neo_compile_result result;
  (void)state;
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  snprintf(path, sizeof path, "%s/text.graph", scratch);
  must(&ctx, neo_file_write(&ctx, path, text, strlen(text)));
  neo_project_options options = {.model = path, .threads = 1, .target = "armv7"};
  must(&ctx, neo_project_open(&ctx, &options, &project));
  neo_compile_options output = {.output = dir};
  assert_int_equal(neo_compile(&ctx, &project, NULL, &output, &result), NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "strings need a processor of 64 bits"));
  neo_ctx_clear(&ctx);
  neo_project_close(&project);
  scratch_remove(&ctx, scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings_run),
      cmocka_unit_test(what_is_no_number_is_said),
      cmocka_unit_test(strings_need_64_bits),
      cmocka_unit_test(texts_are_printed_and_parsed),
      cmocka_unit_test(strings_are_no_numbers),
      cmocka_unit_test(filtered_words_are_not_filtered_again),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
