/* tests/driver/test_flow_models.c: graphs with control flow and with results that overwrite their
 * inputs, compiled and run on one and two threads, against the interpreter on the graph as written.
 */
#include "tests/driver/graph_case.h"

static neo_ctx ctx;

typedef struct flow_case {
  const char *name, *text;
  int loops, branches; /* steps of that kind in the plan */
} flow_case;

static const flow_case cases[] = {
    /* both branches compute; one returns a capture, one a constant; nested */
    {"if",
     "graph 1 \"g\"\n"
     "%0 input \"c\" bool []\n"
     "%1 input \"d\" bool []\n"
     "%2 input \"x\" f32 [4,6]\n"
     "%3 \"h\" f32 [4,6] = tanh(%2) \"h\"\n"
     "%4 \"a\" f32 [4,6], %5 \"b\" f32 [2] = if(%0, %3, %1, %2) {else=graph \"e\" {\n"
     "  %0 input \"h\" f32 [4,6]\n"
     "  %1 input \"d\" bool []\n"
     "  %2 input \"x\" f32 [4,6]\n"
     "  %3 const \"k\" f32 [2] {5,7}\n"
     "  %4 \"r\" f32 [4,6] = if(%1, %0, %2) {else=graph \"ee\" {\n"
     "    %0 input \"h\" f32 [4,6]\n"
     "    %1 input \"x\" f32 [4,6]\n"
     "    output %0 \"h\"\n"
     "  }, then=graph \"et\" {\n"
     "    %0 input \"h\" f32 [4,6]\n"
     "    %1 input \"x\" f32 [4,6]\n"
     "    %2 \"m\" f32 [4,6] = mul(%0, %1) \"m\"\n"
     "    output %2 \"m\"\n"
     "  }} \"inner\"\n"
     "  output %4 \"r\"\n"
     "  output %3 \"k\"\n"
     "}, then=graph \"t\" {\n"
     "  %0 input \"h\" f32 [4,6]\n"
     "  %1 input \"d\" bool []\n"
     "  %2 input \"x\" f32 [4,6]\n"
     "  %3 const \"axes\" i64 [1] {1}\n"
     "  %4 const \"shape\" i64 [1] {2}\n"
     "  %5 const \"s\" i64 [1] {0}\n"
     "  %6 const \"e\" i64 [1] {2}\n"
     "  %7 \"s\" f32 [4,6] = softmax(%0) {axis=-1} \"s\"\n"
     "  %8 \"sum\" f32 [4] = reduce_sum(%2, %3) {keepdims=0} \"sum\"\n"
     "  %9 \"b\" f32 [2] = slice(%8, %5, %6) \"b\"\n"
     "  output %7 \"s\"\n"
     "  output %9 \"b\"\n"
     "}} \"if\"\n"
     "%6 \"y\" f32 [4,6] = add(%4, %3) \"y\"\n"
     "output %6 \"y\"\n"
     "output %4 \"a\"\n"
     "output %5 \"b\"\n",
     0, 2},
    /* 20 trips, a matmul, states that swap, rows, a capture that lives through the loop */
    {"loop",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [2,4]\n"
     "%1 input \"w\" f32 [4,4]\n"
     "%2 const \"n\" i64 [] {20}\n"
     "%3 \"t\" f32 [4,4] = tanh(%1) \"t\"\n"
     "%4 \"z\" f32 [2,4] = neg(%0) \"z\"\n"
     "%5 \"p\" f32 [2,4], %6 \"q\" f32 [2,4], %7 \"rows\" f32 [20,2,4] = loop(%2, _, %0, %4, %3) "
     "{body=graph \"b\" {\n"
     "  %0 input \"i\" i64 []\n"
     "  %1 input \"c\" bool []\n"
     "  %2 input \"p\" f32 [2,4]\n"
     "  %3 input \"q\" f32 [2,4]\n"
     "  %4 input \"w\" f32 [4,4]\n"
     "  %5 const \"yes\" bool [] {1}\n"
     "  %6 \"f\" f32 [] = cast(%0) {to=\"f32\"} \"f\"\n"
     "  %7 \"m\" f32 [2,4] = matmul(%2, %4) \"m\"\n"
     "  %8 \"a\" f32 [2,4] = add(%7, %6) \"a\"\n"
     "  %9 \"s\" f32 [2,4] = sin(%8) \"s\"\n"
     "  %10 \"d\" f32 [2,4] = add(%9, %3) \"d\"\n"
     "  output %5 \"c\"\n"
     "  output %3 \"q\"\n"
     "  output %9 \"s\"\n"
     "  output %10 \"d\"\n"
     "}, n_state=2} \"loop\"\n"
     "output %5 \"p\"\n"
     "output %6 \"q\"\n"
     "output %7 \"rows\"\n",
     1, 0},
    /* while sum(x) < 100: x = x * 2, with a branch inside; trips from the data */
    {"while",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [3]\n"
     "%1 input \"n\" i64 []\n"
     "%2 const \"zero\" f32 [] {0}\n"
     "%3 \"s\" f32 [3], %4 \"k\" f32 [] = loop(%1, _, %0, %2) {body=graph \"b\" {\n"
     "  %0 input \"i\" i64 []\n"
     "  %1 input \"c\" bool []\n"
     "  %2 input \"x\" f32 [3]\n"
     "  %3 input \"k\" f32 []\n"
     "  %4 const \"two\" f32 [] {2}\n"
     "  %5 const \"limit\" f32 [] {100}\n"
     "  %6 \"a\" f32 [3] = abs(%2) \"a\"\n"
     "  %7 \"m\" f32 [3] = mul(%2, %4) \"m\"\n"
     "  %8 \"sum\" f32 [] = reduce_sum(%6) {keepdims=0} \"sum\"\n"
     "  %9 \"c\" bool [] = less(%8, %5) \"c\"\n"
     "  %10 \"k\" f32 [] = if(%9, %3) {else=graph \"e\" {\n"
     "    %0 input \"k\" f32 []\n"
     "    output %0 \"k\"\n"
     "  }, then=graph \"t\" {\n"
     "    %0 input \"k\" f32 []\n"
     "    %1 const \"one\" f32 [] {1}\n"
     "    %2 \"k\" f32 [] = add(%0, %1) \"k\"\n"
     "    output %2 \"k\"\n"
     "  }} \"count\"\n"
     "  output %9 \"c\"\n"
     "  output %7 \"x\"\n"
     "  output %10 \"k\"\n"
     "}, n_state=2} \"while\"\n"
     "output %3 \"s\"\n"
     "output %4 \"k\"\n",
     1, 1},
    /* extents from the data, one of them not the leading one */
    {"bounded",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [5,7]\n"
     "%1 const \"zero\" f32 [] {0.1}\n"
     "%2 const \"row\" i64 [] {1}\n"
     "%3 \"p\" bool [5,7] = greater(%0, %1) \"p\"\n"
     "%4 \"at\" i64 [2,35] = nonzero(%3) \"at\"\n"
     "%5 \"f\" f32 [2,35] = cast(%4) {to=\"f32\"} \"f\"\n"
     "%6 \"c\" i64 [35] = gather(%4, %2) {axis=0} \"c\"\n"
     "%7 \"r\" f32 [5,35] = gather(%0, %6) {axis=1} \"r\"\n"
     "%8 \"s\" f32 [5,35] = sin(%7) \"s\"\n"
     "%9 \"t\" i64 [35,2] = transpose(%4) {perm=[1,0]} \"t\"\n"
     "%10 \"g\" f32 [35] = gather_nd(%0, %9) \"g\"\n"
     "%11 \"u\" f32 [2,35], %12 \"v\" f32 [3,35] = split(%8) {axis=0, split=[2,3]} \"p\"\n"
     "%13 \"w\" f32 [3,35] = exp(%12) \"w\"\n"
     "output %5 \"f\"\n"
     "output %8 \"s\"\n"
     "output %10 \"g\"\n"
     "output %13 \"w\"\n",
     0, 0},
    /* k is an input; rows of what is found go through products, norms and reductions */
    {"top",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [13]\n"
     "%1 input \"k\" i64 [1]\n"
     "%2 input \"table\" f32 [13,6]\n"
     "%3 input \"w\" f32 [6,5]\n"
     "%4 const \"axes\" i64 [1] {1}\n"
     "%5 \"best\" f32 [13], %6 \"at\" i64 [13] = topk(%0, %1) {axis=0} \"top\"\n"
     "%7 \"rows\" f32 [13,6] = gather(%2, %6) {axis=0} \"rows\"\n"
     "%8 \"p\" f32 [13,5] = matmul(%7, %3) \"p\"\n"
     "%9 \"s\" f32 [13,5] = softmax(%8) {axis=-1} \"s\"\n"
     "%10 \"m\" f32 [13] = reduce_max(%9, %4) {keepdims=0} \"m\"\n"
     "%11 \"t\" f32 [13] = add(%10, %5) \"t\"\n"
     "output %11 \"t\"\n"
     "output %9 \"s\"\n"
     "output %5 \"best\"\n",
     0, 0},
    /* of all above a threshold the best four that hardly overlap, or nothing if there are none */
    {"choice",
     "graph 1 \"g\"\n"
     "%0 input \"boxes\" f32 [20,4]\n"
     "%1 input \"scores\" f32 [20]\n"
     "%2 const \"least\" f32 [] {0.9}\n"
     "%3 const \"zero\" i64 [1] {0}\n"
     "%4 const \"four\" i64 [1] {4}\n"
     "%5 const \"lead\" i64 [2] {0,1}\n"
     "%6 const \"all\" i64 [] {100}\n"
     "%7 const \"iou\" f32 [] {0.3}\n"
     "%8 const \"box\" i64 [] {2}\n"
     "%9 \"p\" ? ? = greater(%1, %2) \"p\"\n"
     "%10 \"at\" ? ? = nonzero(%9) \"at\"\n"
     "%11 \"i\" ? ? = squeeze(%10, %3) \"i\"\n"
     "%12 \"b\" ? ? = gather(%0, %11) {axis=0} \"b\"\n"
     "%13 \"s\" ? ? = gather(%1, %11) {axis=0} \"s\"\n"
     "%14 \"n\" ? ? = size(%13) \"n\"\n"
     "%15 \"k\" ? ? = min(%14, %4) \"k\"\n"
     "%16 \"best\" ? ?, %17 \"order\" ? ? = topk(%13, %15) {axis=0} \"best\"\n"
     "%18 \"few\" ? ? = gather(%12, %17) {axis=0} \"few\"\n"
     "%19 \"some\" ? ? = cast(%14) {to=\"bool\"} \"some\"\n"
     "%20 \"keep\" ? ? = if(%19, %18, %16, %3, %5, %6, %7, %8) {else=graph \"e\" {\n"
     "  %0 input \"b\" ? ?\n"
     "  %1 input \"s\" ? ?\n"
     "  %2 input \"zero\" ? ?\n"
     "  %3 input \"lead\" ? ?\n"
     "  %4 input \"all\" ? ?\n"
     "  %5 input \"iou\" ? ?\n"
     "  %6 input \"box\" ? ?\n"
     "  %7 const \"none\" i64 [0] {}\n"
     "  output %7 \"none\"\n"
     "}, then=graph \"t\" {\n"
     "  %0 input \"b\" ? ?\n"
     "  %1 input \"s\" ? ?\n"
     "  %2 input \"zero\" ? ?\n"
     "  %3 input \"lead\" ? ?\n"
     "  %4 input \"all\" ? ?\n"
     "  %5 input \"iou\" ? ?\n"
     "  %6 input \"box\" ? ?\n"
     "  %7 \"bb\" ? ? = unsqueeze(%0, %2) \"bb\"\n"
     "  %8 \"ss\" ? ? = unsqueeze(%1, %3) \"ss\"\n"
     "  %9 \"rows\" ? ? = non_max_suppression(%7, %8, %4, %5) \"nms\"\n"
     "  %10 \"keep\" ? ? = gather(%9, %6) {axis=1} \"keep\"\n"
     "  output %10 \"keep\"\n"
     "}} \"keep\"\n"
     "%21 \"y\" ? ? = gather(%18, %20) {axis=0} \"y\"\n"
     "%22 \"most\" ? ? = reduce_sum(%13) {keepdims=0} \"most\"\n"
     "output %21 \"y\"\n"
     "output %22 \"most\"\n",
     0, 0},
    /* a residual: the last add may write over r, which no other step needs any more */
    {"overwrite",
     "graph 1 \"g\"\n"
     "%0 input \"x\" f32 [64,64]\n"
     "%1 input \"w\" f32 [64,64]\n"
     "%2 \"r\" f32 [64,64] = matmul(%0, %1) \"r\"\n"
     "%3 \"a\" f32 [64,64] = matmul(%2, %1) \"a\"\n"
     "%4 \"b\" f32 [64,64] = matmul(%3, %0) \"b\"\n"
     "%5 \"c\" f32 [64,64] = add(%4, %2) \"c\"\n"
     "%6 \"d\" f32 [64,64] = matmul(%5, %0) \"d\"\n"
     "output %6 \"d\"\n",
     0, 0},
};

/* How many steps of this kind compiled_model.json shows, and its arena. */
static int count_steps(const char *dir, const char *kind, int64_t *arena) {
  char path[400];
  neo_buf text = {0};
  json_t *model = NULL;
  int n = 0;
  snprintf(path, sizeof path, "%s/compiled_model.json", dir);
  must(&ctx, neo_file_read(&ctx, path, 0, &text));
  must(&ctx, neo_json_parse(&ctx, path, text.data, text.size, &model));
  json_t *steps = json_object_get(model, "steps"), *step;
  size_t i;
  json_array_foreach(steps, i, step) n +=
      strcmp(json_string_value(json_object_get(step, "kind")), kind) == 0;
  *arena = json_integer_value(json_object_get(model, "arena_bytes"));
  json_decref(model);
  neo_buf_fini(&text);
  return n;
}

static void compile_case(const flow_case *c, const char *scratch, int threads, const char *dir) {
  char path[300];
  neo_project project;
  neo_compile_result result;
  snprintf(path, sizeof path, "%s/%s.graph", scratch, c->name);
  must(&ctx, neo_file_write(&ctx, path, c->text, strlen(c->text)));
  neo_project_options options = {.model = path, .threads = threads, .target = case_target()};
  must(&ctx, neo_project_open(&ctx, &options, &project));
  must(&ctx, neo_compile(&ctx, &project, NULL, &(neo_compile_options){.output = dir}, &result));
  neo_project_close(&project);
}

static void case_runs(void **state) {
  const flow_case *c = *state;
  char scratch[256], dir[300];
  neo_graph *graph = NULL;
  int64_t arena = 0;
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  must(&ctx, neo_graph_parse(&ctx, c->text, &graph));
  if (strcmp(c->name, "bounded") == 0 || strcmp(c->name, "top") == 0 ||
      strcmp(c->name, "choice") == 0) /* inference says what is bounded */
    must(&ctx, neo_pass_infer(&ctx, graph));
  for (int threads = 1; threads <= (case_target() ? 1 : 2); threads++) {
    neo_rt_model *model = NULL;
    neo_rt_session *session = NULL;
    neo_rt_error error = {0};
    compile_case(c, scratch, threads, dir);
    assert_int_equal(count_steps(dir, "loop", &arena), c->loops);
    assert_int_equal(count_steps(dir, "branch", &arena), c->branches);
    /* r, a; a's place is then free for the add's left; two workers leave r, which was read before
     */
    if (strcmp(c->name, "overwrite") == 0 && threads == 1 && !case_target())
      assert_true(arena < 3 * 64 * 64 * 4);
    rt_must(neo_rt_load(dir, &model, &error), &error);
    rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
    for (uint64_t seed = 0; seed < 8; seed++)
      graph_runs(&ctx, graph, session, model, seed * 10);
    neo_rt_session_destroy(session);
    neo_rt_unload(model);
  }
  neo_graph_destroy(graph);
  scratch_remove(&ctx, scratch);
}

/* Names of the graph, an input, a node and an output that are no UTF-8, as damaged files have. */
static const flow_case odd_names = {"odd",
                                    "graph 1 \"g\\xff\"\n"
                                    "%0 input \"x\\xe9\" f32 [4]\n"
                                    "%1 \"y\\x80\" f32 [4] = neg(%0) \"n\\xfe\"\n"
                                    "output %1 \"z\\xc3\"\n",
                                    0, 0};

static void odd_names_are_compiled(void **state) {
  char scratch[256], dir[300], path[400];
  neo_buf meta = {0};
  (void)state;
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  compile_case(&odd_names, scratch, 1, dir);
  snprintf(path, sizeof path, "%s/compiled.meta", dir);
  must(&ctx, neo_file_read(&ctx, path, 0, &meta));
  assert_non_null(strstr(meta.data, "\"g?\""));
  assert_non_null(strstr(meta.data, "\"x?\""));
  neo_buf_fini(&meta);
  scratch_remove(&ctx, scratch);
}

/* `else` cannot add [2] to [4,6]; the artifact runs as long as it is not taken. */
static const flow_case half = {"half",
                               "graph 1 \"g\"\n"
                               "%0 input \"c\" bool []\n"
                               "%1 input \"x\" f32 [4,6]\n"
                               "%2 const \"k\" f32 [2] {5,7}\n"
                               "%3 \"y\" ? ? = if(%0, %1, %2) {else=graph \"e\" {\n"
                               "  %0 input \"x\" ? ?\n"
                               "  %1 input \"k\" ? ?\n"
                               "  %2 \"s\" ? ? = add(%0, %1) \"s\"\n"
                               "  output %2 \"s\"\n"
                               "}, then=graph \"t\" {\n"
                               "  %0 input \"x\" ? ?\n"
                               "  %1 input \"k\" ? ?\n"
                               "  %2 \"m\" ? ? = neg(%0) \"m\"\n"
                               "  output %2 \"m\"\n"
                               "}} \"choice\"\n"
                               "output %3 \"y\"\n",
                               0, 1};

static void a_branch_that_does_not_fit_fails_when_taken(void **state) {
  char scratch[256], dir[300];
  float x[24] = {3};
  const void *y;
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  (void)state;
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  compile_case(&half, scratch, 1, dir);
  rt_must(neo_rt_load(dir, &model, &error), &error);
  rt_must(neo_rt_session_create(model, NULL, &session, &error), &error);
  rt_must(neo_rt_set_input(session, "x", x, sizeof x, &error), &error);
  rt_must(neo_rt_set_input(session, "c", &(bool){true}, 1, &error), &error);
  rt_must(neo_rt_run(session, &error), &error);
  rt_must(neo_rt_output(session, 0, &y, &error), &error);
  assert_true(*(const float *)y == -3);
  rt_must(neo_rt_set_input(session, "c", &(bool){false}, 1, &error), &error);
  assert_int_equal(neo_rt_run(session, &error), NEO_RT_KERNEL);
  assert_non_null(strstr(error.text, "choice: its branch 'else' does not fit"));
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  scratch_remove(&ctx, scratch);
}

int main(void) {
  if (case_missing())
    return 77;
  struct CMUnitTest tests[NEO_COUNT(cases) + 2];
  neo_ctx_init(&ctx, 1);
  for (int i = 0; i < NEO_COUNT(cases); i++)
    tests[i] = (struct CMUnitTest){
        .name = cases[i].name, .test_func = case_runs, .initial_state = (void *)&cases[i]};
  tests[NEO_COUNT(cases)] =
      (struct CMUnitTest)cmocka_unit_test(a_branch_that_does_not_fit_fails_when_taken);
  tests[NEO_COUNT(cases) + 1] = (struct CMUnitTest)cmocka_unit_test(odd_names_are_compiled);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
