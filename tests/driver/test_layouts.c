/* tests/driver/test_layouts.c: which memory layouts the values of a graph get
 * (driver/choose_layouts.c), and that kernels agree about them. */
#include "tests/driver/graph_case.h"

static neo_ctx ctx;

/* x -> softmax -> depthwise 3x3 of stride 2 -> softmax; channels are `channels`. */
static void write_graph(const char *path, int channels, int size, neo_buf *text) {
  neo_buf_printf(text,
                 "graph 1 \"g\"\n%%0 input \"x\" f32 [1,%d,%d,%d]\n"
                 "%%1 const \"w\" f32 [%d,1,3,3] {",
                 channels, size, size, channels);
  for (int i = 0; i < channels * 9; i++)
    neo_buf_printf(text, "%s%d", i ? "," : "", i % 5 - 2);
  neo_buf_printf(text,
                 "}\n%%2 \"a\" f32 [1,%d,%d,%d] = softmax(%%0) {axis=1} \"a\"\n"
                 "%%3 \"b\" f32 [1,%d,%d,%d] = conv(%%2, %%1) {group=%d, pads=[1,1,1,1], "
                 "strides=[2,2]} \"b\"\n"
                 "%%4 \"c\" f32 [1,%d,%d,%d] = softmax(%%3) {axis=1} \"c\"\noutput %%4 \"c\"\n",
                 channels, size, size, channels, size / 2, size / 2, channels, channels, size / 2,
                 size / 2);
  must(&ctx, neo_file_write(&ctx, path, text->data, text->size));
}

static int count_blocked(const neo_project *project, int lanes) {
  int n = 0;
  for (int v = 0; v < project->graph->n_values; v++) {
    const neo_layout *layout = &project->value_layout[v];
    for (int i = 0; i < layout->n; i++)
      if (layout->dim[i].part == '/') {
        assert_true(layout->dim[i].dim == 1 && layout->dim[i].factor == lanes);
        n++;
      }
  }
  return n;
}

static int blocked_on(const char *target, int channels, int lanes) {
  char scratch[256], path[300];
  neo_buf text = {0};
  neo_project project;
  scratch_create(&ctx, scratch);
  snprintf(path, sizeof path, "%s/case.graph", scratch);
  write_graph(path, channels, 112, &text);
  neo_project_options options = {.model = path, .threads = 1, .target = target};
  must(&ctx, neo_project_open(&ctx, &options, &project));
  int n = count_blocked(&project, lanes);
  neo_project_close(&project);
  neo_buf_fini(&text);
  scratch_remove(&ctx, scratch);
  return n;
}

/* A depthwise kernel works through 16 of 96 channels at a time. */
static void depthwise_values_are_blocked(void **state) {
  (void)state;
  assert_true(blocked_on("znver4", 96, 16) > 0);
  assert_int_equal(blocked_on("znver4", 100, 16), 0); /* no whole number of vectors */
}

/* Whatever the layouts are here: results are the interpreter's. */
static void kernels_agree(void **state) {
  (void)state;
  static const int channels[] = {32, 48, 96, 20};
  char scratch[256], path[300], dir[300];
  scratch_create(&ctx, scratch);
  snprintf(path, sizeof path, "%s/case.graph", scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  for (int i = 0; i < NEO_COUNT(channels); i++) {
    neo_buf text = {0};
    neo_graph *graph = NULL;
    neo_project project;
    neo_compile_result result;
    neo_rt_model *model = NULL;
    neo_rt_session *session = NULL;
    neo_rt_error error = {0};
    write_graph(path, channels[i], 56, &text);
    must(&ctx, neo_graph_parse(&ctx, text.data, &graph));
    neo_project_options options = {.model = path, .threads = 1 + i % 2};
    must(&ctx, neo_project_open(&ctx, &options, &project));
    must(&ctx, neo_compile(&ctx, &project, NULL, &(neo_compile_options){.output = dir}, &result));
    neo_project_close(&project);
    rt_must(neo_rt_load(dir, &model, &error), &error);
    rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
    graph_runs(&ctx, graph, session, model, 7);
    neo_rt_session_destroy(session);
    neo_rt_unload(model);
    neo_graph_destroy(graph);
    neo_buf_fini(&text);
  }
  scratch_remove(&ctx, scratch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(depthwise_values_are_blocked),
      cmocka_unit_test(kernels_agree),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
