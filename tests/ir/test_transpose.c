/* tests/ir/test_transpose.c: transposes move through every operator that pass_transpose.def knows:
 * small graphs of an NHWC model's shape, how many transposes are left, and that the numbers stay.
 */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
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
    n += !graph->node[i].dead && (!op || strcmp(graph->node[i].op->name, op) == 0);
  return n;
}

static void fill(const neo_graph *graph, neo_tensor *input) {
  neo_rng rng;
  neo_rng_init(&rng, 5);
  for (int i = 0; i < graph->n_inputs; i++) {
    const neo_value *value = &graph->value[graph->input[i]];
    int64_t n;
    check(neo_tensor_create(&ctx, value->dtype, &value->shape, &input[i]));
    neo_shape_elements(&value->shape, &n);
    for (int64_t k = 0; k < n; k++)
      neo_tensor_set_f64(&input[i], k,
                         neo_dtype_class(value->dtype) == 'f' ? 2 * neo_rng_normal(&rng)
                                                              : (double)neo_rng_below(&rng, 2));
  }
}

static void compare(const neo_tensor *a, const neo_tensor *b) {
  int64_t n;
  assert_int_equal(a->dtype, b->dtype);
  assert_true(neo_shape_equal(&a->shape, &b->shape));
  neo_shape_elements(&a->shape, &n);
  for (int64_t k = 0; k < n; k++) {
    double x = neo_tensor_get_f64(a, k), y = neo_tensor_get_f64(b, k);
    if (!(fabs(x - y) <= 1e-5 + 1e-5 * fabs(y)) && !(isnan(x) && isnan(y)))
      fail_msg("element %lld: %g, %g before", (long long)k, x, y);
  }
}

static void show(const neo_graph *graph) {
  neo_buf b = {0};
  neo_graph_print(&b, graph, false);
  print_message("%s", b.data);
  neo_buf_fini(&b);
}

/* The text with its values numbered in the order of their definitions, as the parser wants them. */
static char *numbered(neo_buf *b, const char *text) {
  int fresh[16], n = 0;
  memset(fresh, -1, sizeof fresh);
  for (const char *at = text; *at; at++) {
    char one[2] = {*at, 0};
    neo_buf_text(b, one);
    if (*at != '%')
      continue;
    int id = 0;
    for (; at[1] >= '0' && at[1] <= '9'; at++)
      id = id * 10 + at[1] - '0';
    fresh[id] = fresh[id] < 0 ? n++ : fresh[id];
    neo_buf_printf(b, "%d", fresh[id]);
  }
  return b->data;
}

/* Runs the whole optimiser, or the pass alone, and wants so many transposes to be left. */
static void left_after(neo_status (*pass)(neo_ctx *, neo_graph *), const char *text, int want) {
  neo_graph *graph;
  neo_tensor input[4], before[4], after[4];
  neo_buf b = {0};
  check(neo_graph_parse(&ctx, numbered(&b, text), &graph));
  neo_buf_fini(&b);
  check(neo_pass_infer(&ctx, graph));
  fill(graph, input);
  check(neo_graph_interpret(&ctx, graph, input, before));
  check(pass(&ctx, graph));
  check(neo_graph_check(&ctx, graph));
  if (count(graph, "transpose") != want)
    show(graph);
  assert_int_equal(count(graph, "transpose"), want);
  check(neo_graph_interpret(&ctx, graph, input, after));
  for (int i = 0; i < graph->n_outputs; i++) {
    compare(&after[i], &before[i]);
    neo_tensor_free(&ctx, &after[i]);
    neo_tensor_free(&ctx, &before[i]);
  }
  /* types the pass set must be those that inference finds */
  check(neo_pass_infer(&ctx, graph));
  check(neo_graph_interpret(&ctx, graph, input, after));
  for (int i = 0; i < graph->n_outputs; i++)
    neo_tensor_free(&ctx, &after[i]);
  for (int i = 0; i < graph->n_inputs; i++)
    neo_tensor_free(&ctx, &input[i]);
  neo_graph_destroy(graph);
}

/* x [2,3,4,5] as NCHW, seen as NHWC [2,4,5,3] by the lines, which make %9 of it; y is 2nd input. */
#define NHWC "graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4,5]\n%1 input \"y\" f32 [2,3,4,5]\n"
#define T2 "%2 \"t\" ? ? = transpose(%0) {perm=[0,2,3,1]} \"t\"\n"
#define T3 "%3 \"u\" ? ? = transpose(%1) {perm=[0,2,3,1]} \"u\"\n"
#define BACK                                                                                       \
  "%10 \"b\" ? ? = transpose(%9) {perm=[0,3,1,2]} \"b\"\n%11 \"r\" ? ? = relu(%10) \"r\"\n"        \
  "output %11 \"r\"\n"
#define STAY "output %9 \"r\"\n"

static void passes(const char *text, int want) {
  left_after(neo_pass_transpose, text, want);
}

static void elementwise(void **state) {
  (void)state;
  passes(NHWC T2 "%9 \"o\" ? ? = sigmoid(%2) \"o\"\n" BACK, 0);
  passes(NHWC T2 "%9 \"o\" ? ? = cast(%2) {to=\"f64\"} \"o\"\n" BACK, 0);
  passes(NHWC T2 "%3 const \"lo\" f32 [] {0}\n%9 \"o\" ? ? = clip(%2, %3) \"o\"\n" BACK, 0);
  passes(NHWC T2 T3 "%9 \"o\" ? ? = add(%2, %3) \"o\"\n" BACK, 0);
  passes(NHWC T2 T3
         "%4 \"c\" ? ? = less(%2, %3) \"c\"\n%9 \"o\" ? ? = where(%4, %3, %2) \"o\"\n" BACK,
         0);
  passes(NHWC T2 "%3 const \"c\" f32 [3] {1,-2,3}\n%9 \"o\" ? ? = mul(%2, %3) \"o\"\n" BACK, 0);
  passes(NHWC T2 "%3 const \"c\" f32 [5,1] {1,-2,3,4,5}\n%9 \"o\" ? ? = sub(%3, %2) \"o\"\n" BACK,
         0);
  passes(NHWC T2 "%3 const \"c\" f32 [] {2}\n%9 \"o\" ? ? = max(%2, %3, %2) \"o\"\n" BACK, 0);
}

/* A gate [n,1,1,c] made of a vector, as squeeze and excitation has it; a smaller operand that is
 * really moved; one as large, which must not be. */
static void mixed_operands(void **state) {
  (void)state;
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4,5]\n%1 input \"y\" f32 [2,3]\n" T2
         "%3 const \"s\" i64 [4] {2,1,1,3}\n%4 \"v\" ? ? = reshape(%1, %3) \"v\"\n"
         "%9 \"o\" ? ? = mul(%2, %4) \"o\"\n" BACK,
         0);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4,5]\n%1 input \"y\" f32 [2,4,1,3]\n" T2
         "%9 \"o\" ? ? = mul(%2, %1) \"o\"\n" BACK,
         1);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4,5]\n%1 input \"y\" f32 [2,4,5,3]\n" T2
         "%9 \"o\" ? ? = mul(%2, %1) \"o\"\n" BACK,
         2);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4,5]\n%1 input \"y\" f32 [3]\n" T2
         "%9 \"o\" ? ? = mul(%2, %1) \"o\"\n" BACK,
         0);
}

static void with_axes(void **state) {
  (void)state;
  passes(NHWC T2 "%9 \"o\" ? ? = softmax(%2) {axis=-1} \"o\"\n" BACK, 0);
  passes(NHWC T2 "%9 \"o\" ? ? = reduce_mean(%2) {axes=[1,2]} \"o\"\n" BACK, 0);
  passes(NHWC T2 "%3 const \"a\" i64 [2] {1,2}\n"
                 "%9 \"o\" ? ? = reduce_max(%2, %3) {keepdims=0} \"o\"\n" STAY,
         0);
  passes(NHWC T2 "%9 \"o\" ? ? = reduce_sum(%2) {axes=[3], keepdims=0} \"o\"\n" STAY, 0);
  passes(NHWC T2 "%9 \"o\" ? ? = reduce_sum(%2) {axes=[1], keepdims=0} \"o\"\n" STAY, 1);
  passes(NHWC T2 "%9 \"o\" ? ? = reduce_sum(%2) {keepdims=0} \"o\"\n" STAY, 0);
  passes(NHWC T2 "%9 \"o\" ? ? = arg_max(%2) {axis=-1, keepdims=0} \"o\"\n" STAY, 0);
  passes(NHWC T2 "%3 const \"a\" i64 [] {3}\n%9 \"o\" ? ? = cumsum(%2, %3) \"o\"\n" BACK, 0);
  passes(NHWC T2 T3 "%9 \"o\" ? ? = concat(%2, %3) {axis=3} \"o\"\n" BACK, 0);
  passes(NHWC T2 "%3 \"p\" ? ?, %4 \"q\" ? ? = split(%2) {axis=1, num_outputs=2} \"p\"\n"
                 "%9 \"o\" ? ? = add(%3, %4) \"o\"\n" BACK,
         0);
  passes(NHWC T2
         "%3 const \"i\" i64 [2] {2,0}\n%9 \"o\" ? ? = gather(%2, %3) {axis=3} \"o\"\n" BACK,
         0);
  passes(NHWC T2 "%3 const \"i\" i64 [] {1}\n%9 \"o\" ? ? = gather(%2, %3) {axis=3} \"o\"\n" STAY,
         0);
  passes(NHWC T2 "%3 const \"i\" i64 [2,2] {1,0,2,2}\n"
                 "%9 \"o\" ? ? = gather(%2, %3) {axis=3} \"o\"\n" STAY,
         1);
}

static void with_sizes(void **state) {
  (void)state;
  passes(NHWC T2 "%3 const \"s\" i64 [2] {1,0}\n%4 const \"e\" i64 [2] {3,-1}\n"
                 "%5 const \"a\" i64 [2] {1,-1}\n"
                 "%9 \"o\" ? ? = slice(%2, %3, %4, %5) \"o\"\n" BACK,
         0);
  passes(NHWC T2 "%9 \"o\" ? ? = slice(%2) {starts=[0,1,0,1], ends=[9,9,2,9]} \"o\"\n" BACK, 0);
  passes(NHWC T2
         "%3 const \"p\" i64 [8] {0,1,2,0,0,0,1,0}\n%9 \"o\" ? ? = pad(%2, %3) \"o\"\n" BACK,
         0);
  passes(NHWC T2 "%9 \"o\" ? ? = pad(%2) {pads=[0,1,2,0,0,0,1,0], value=1.5} \"o\"\n" BACK, 0);
  passes(NHWC T2 "%3 const \"p\" i64 [4] {1,2,0,1}\n%4 const \"a\" i64 [2] {2,1}\n"
                 "%9 \"o\" ? ? = pad(%2, %3, _, %4) {mode=\"reflect\"} \"o\"\n" BACK,
         0);
  passes(NHWC T2 "%3 const \"s\" i64 [4] {1,2,1,3}\n%9 \"o\" ? ? = tile(%2, %3) \"o\"\n" BACK, 0);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4,1]\n" T2
         "%3 const \"s\" i64 [4] {2,4,6,3}\n%9 \"o\" ? ? = expand(%2, %3) \"o\"\n" BACK,
         0);
  passes(NHWC T2 "%3 const \"s\" f32 [4] {1,2,2,1}\n"
                 "%9 \"o\" ? ? = resize(%2, _, %3) {mode=\"nearest\"} \"o\"\n" BACK,
         0);
  passes(NHWC T2 "%3 const \"s\" i64 [2] {8,5}\n"
                 "%9 \"o\" ? ? = resize(%2, _, _, %3) {mode=\"linear\", axes=[1,2]} \"o\"\n" BACK,
         0);
}

static void views(void **state) {
  (void)state;
  /* [2,4,5,3] -> [2,20,3]: height and width stay together */
  passes(NHWC T2 "%3 const \"s\" i64 [3] {2,20,3}\n%4 \"v\" ? ? = reshape(%2, %3) \"v\"\n"
                 "%9 \"o\" ? ? = transpose(%4) {perm=[0,2,1]} \"o\"\n" STAY,
         0);
  passes(NHWC T2 "%3 const \"s\" i64 [6] {2,1,2,2,5,3}\n%4 \"v\" ? ? = reshape(%2, %3) \"v\"\n"
                 "%9 \"o\" ? ? = transpose(%4) {perm=[0,5,1,2,3,4]} \"o\"\n" STAY,
         0);
  /* nearest upsampling of the width, written as unsqueeze, tile and reshape */
  passes(NHWC T2 "%3 \"e\" ? ? = unsqueeze(%2) {axes=[3]} \"e\"\n"
                 "%4 const \"m\" i64 [5] {1,1,1,2,1}\n%5 \"m\" ? ? = tile(%3, %4) \"m\"\n"
                 "%6 const \"s\" i64 [4] {2,4,10,3}\n%9 \"o\" ? ? = reshape(%5, %6) \"o\"\n" BACK,
         0);
  /* [2,4,5,3] -> [2,4,15]: width and channels mix */
  passes(NHWC T2 "%3 const \"s\" i64 [3] {2,4,15}\n%9 \"v\" ? ? = reshape(%2, %3) \"v\"\n" STAY, 1);
  passes(NHWC T2 "%9 \"v\" ? ? = flatten(%2) \"v\"\n" STAY, 1);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,1,1]\n" T2
         "%9 \"v\" ? ? = flatten(%2) \"v\"\n" STAY,
         0);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,1,5]\n" T2
         "%3 \"s\" ? ? = squeeze(%2) {axes=[1]} \"s\"\n"
         "%9 \"o\" ? ? = transpose(%3) {perm=[0,2,1]} \"o\"\n" STAY,
         0);
  passes(NHWC T2 "%3 \"s\" ? ? = unsqueeze(%2) {axes=[1]} \"s\"\n"
                 "%9 \"o\" ? ? = transpose(%3) {perm=[0,1,4,2,3]} \"o\"\n" STAY,
         0);
}

static void products(void **state) {
  (void)state;
  neo_buf text = {0};
  for (int trans_b = 0; trans_b < 2; trans_b++) {
    text.size = 0;
    neo_buf_text(&text, "graph 1 \"g\"\n%0 input \"x\" f32 [2,3,2,2]\n" T2);
    neo_buf_printf(&text, "%%3 const \"w\" f32 %s {", trans_b ? "[2,12]" : "[12,2]");
    for (int i = 0; i < 24; i++)
      neo_buf_printf(&text, "%s%d", i ? "," : "", i % 7 - 3);
    neo_buf_text(&text, "}\n%4 \"f\" ? ? = flatten(%2) \"f\"\n%9 \"o\" ? ? = gemm(%4, %3)");
    neo_buf_printf(&text, " {trans_b=%d} \"o\"\n", trans_b);
    neo_buf_text(&text, STAY);
    passes(text.data, 0);
  }
  neo_buf_fini(&text);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3]\n%1 input \"y\" f32 [4,3]\n"
         "%2 \"t\" ? ? = transpose(%1) {perm=[1,0]} \"t\"\n"
         "%9 \"o\" ? ? = matmul(%0, %2) \"o\"\n" STAY,
         0);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [3,2]\n%1 input \"y\" f32 [3,4]\n"
         "%2 \"t\" ? ? = transpose(%0) {perm=[1,0]} \"t\"\n"
         "%9 \"o\" ? ? = gemm(%2, %1) \"o\"\n" STAY,
         0);
}

/* The whole optimiser on an NHWC network with borders, a residual sum and a padded convolution. */
static void network(void **state) {
  (void)state;
  neo_buf text = {0};
  neo_buf_text(&text,
               "graph 1 \"g\"\n%0 input \"x\" f32 [1,6,6,2]\n%1 const \"w\" f32 [2,2,3,3] {");
  for (int i = 0; i < 36; i++)
    neo_buf_printf(&text, "%s%d", i ? "," : "", i % 5 - 2);
  neo_buf_text(&text, "}\n%2 const \"b\" f32 [2] {0.5,-1}\n%3 const \"h\" f32 [] {0.5}\n"
                      "%4 \"s\" ? ? = mul(%0, %3) \"s\"\n"
                      "%5 \"p\" ? ? = pad(%4) {pads=[0,1,1,0,0,1,1,0]} \"p\"\n"
                      "%6 \"t\" ? ? = transpose(%5) {perm=[0,3,1,2]} \"t\"\n"
                      "%7 \"c\" ? ? = conv(%6, %1) \"c\"\n"
                      "%8 \"u\" ? ? = transpose(%7) {perm=[0,2,3,1]} \"u\"\n"
                      "%9 \"a\" ? ? = add(%8, %2) \"a\"\n%10 \"r\" ? ? = relu(%9) \"r\"\n"
                      "%11 \"v\" ? ? = transpose(%10) {perm=[0,3,1,2]} \"v\"\n"
                      "%12 \"d\" ? ? = conv(%11, %1) {pads=[1,1,1,1]} \"d\"\n"
                      "%13 \"w\" ? ? = transpose(%12) {perm=[0,2,3,1]} \"w\"\n"
                      "%14 \"e\" ? ? = add(%13, %10) \"e\"\noutput %14 \"e\"\n");
  left_after(neo_graph_optimise, text.data, 2);
  neo_graph *graph;
  check(neo_graph_parse(&ctx, text.data, &graph));
  check(neo_pass_infer(&ctx, graph));
  check(neo_graph_optimise(&ctx, graph));
  assert_int_equal(count(graph, "pad"), 0);
  neo_graph_destroy(graph);
  neo_buf_fini(&text);
}

/* Pairs, chains, and values that outputs name. */
static void cancel(void **state) {
  (void)state;
  passes(NHWC T2 "%9 \"o\" ? ? = identity(%2) \"o\"\n" BACK, 0);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4,5]\n" T2
         "%9 \"o\" ? ? = transpose(%2) {perm=[0,3,1,2]} \"o\"\n" STAY,
         0);
  passes("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4,5]\n" T2
         "%3 \"r\" ? ? = relu(%2) \"r\"\noutput %2 \"t\"\noutput %3 \"r\"\n",
         2);
  passes(
      "graph 1 \"g\"\n%0 input \"x\" f32 [2,3]\n%1 \"t\" ? ? = transpose(%0) \"t\"\n"
      "%2 \"u\" ? ? = transpose(%1) \"u\"\n%3 \"v\" ? ? = transpose(%2) \"v\"\noutput %3 \"v\"\n",
      1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elementwise), cmocka_unit_test(mixed_operands), cmocka_unit_test(with_axes),
      cmocka_unit_test(with_sizes),  cmocka_unit_test(views),          cmocka_unit_test(products),
      cmocka_unit_test(network),     cmocka_unit_test(cancel)};
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
