/* ir/rows.h: models whose rows stay apart are seen to, the others are refused with the node's name.
 * Whatever is accepted is also computed: for many rows with rubbish behind, and for few. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "ir/graph.h"
#include "ir/rows.h"

enum { WIDE = 6, NARROW = 4 };

typedef struct built {
  neo_arena arena;
  neo_graph *graph;
  neo_partition partition;
} built;

/* `text` with every @ replaced by the number of rows, and every # by six times it. */
static void build(neo_ctx *ctx, const char *text, int rows, built *out) {
  neo_buf own = {0};
  neo_buf_text(&own, "graph 1 \"g\"\n");
  for (; *text; text++)
    if (*text == '@' || *text == '#')
      neo_buf_printf(&own, "%d", *text == '@' ? rows : 6 * rows);
    else
      neo_buf_append(&own, text, 1);
  neo_arena_init(&out->arena);
  if (neo_graph_parse(ctx, own.data, &out->graph) != NEO_OK ||
      neo_graph_optimise(ctx, out->graph) != NEO_OK ||
      neo_graph_flatten(ctx, out->graph) != NEO_OK ||
      neo_graph_partition(ctx, out->graph, &out->arena, &out->partition) != NEO_OK)
    fail_msg("%s\n%s", ctx->message, own.data);
  neo_buf_fini(&own);
}

static void release(built *b) {
  neo_graph_destroy(b->graph);
  neo_arena_fini(&b->arena);
}

/* Element i of a tensor cut to `rows` slices of dim (1 + dimension): its place in the wide one. */
static int64_t place(const neo_shape *narrow, const neo_shape *wide, int dim, int64_t i) {
  int64_t inner = 1;
  for (int d = dim; dim && d < wide->rank; d++)
    inner *= wide->dim[d];
  if (!dim)
    return i;
  int64_t own = inner * narrow->dim[dim - 1], all = inner * wide->dim[dim - 1];
  return i / own * all + i % own;
}

static void inputs_of(neo_ctx *ctx, const neo_graph *graph, neo_tensor *out) {
  for (int i = 0; i < graph->n_inputs; i++) {
    const neo_value *v = &graph->value[graph->input[i]];
    assert_int_equal(neo_tensor_create(ctx, v->dtype, &v->shape, &out[i]), NEO_OK);
  }
}

/* The narrow result is what the wide one begins with. */
static void compare(neo_ctx *ctx, const built *wide, const built *narrow, const int *input_dim,
                    const int *output_dim) {
  neo_tensor in[2][4], out[2][4];
  inputs_of(ctx, wide->graph, in[0]);
  inputs_of(ctx, narrow->graph, in[1]);
  for (int i = 0; i < wide->graph->n_inputs; i++) {
    int64_t n = 0;
    neo_shape_elements(&in[0][i].shape, &n);
    for (int64_t e = 0; e < n; e++)
      neo_tensor_set_f64(&in[0][i], e, (double)((e * 7 + 3) % 5) - 1.5);
    neo_shape_elements(&in[1][i].shape, &n);
    for (int64_t e = 0; e < n; e++)
      neo_tensor_set_f64(
          &in[1][i], e,
          neo_tensor_get_f64(&in[0][i], place(&in[1][i].shape, &in[0][i].shape, input_dim[i], e)));
  }
  assert_int_equal(neo_graph_interpret(ctx, wide->graph, in[0], out[0]), NEO_OK);
  assert_int_equal(neo_graph_interpret(ctx, narrow->graph, in[1], out[1]), NEO_OK);
  for (int o = 0; o < wide->graph->n_outputs; o++) {
    int64_t n = 0;
    neo_shape_elements(&out[1][o].shape, &n);
    for (int64_t e = 0; e < n; e++) {
      int64_t at = place(&out[1][o].shape, &out[0][o].shape, output_dim[o], e);
      double want = neo_tensor_get_f64(&out[1][o], e), got = neo_tensor_get_f64(&out[0][o], at);
      if (!(fabs(got - want) <= 1e-6))
        fail_msg("output %d, element %d: %g, %g expected", o, (int)e, got, want);
    }
  }
  for (int k = 0; k < 2; k++) {
    for (int i = 0; i < wide->graph->n_inputs; i++)
      neo_tensor_free(ctx, &in[k][i]);
    for (int o = 0; o < wide->graph->n_outputs; o++)
      neo_tensor_free(ctx, &out[k][o]);
  }
}

/* why NULL: accepted. */
static void check(const char *text, const char *why) {
  neo_ctx ctx;
  built wide, narrow;
  int input_dim[4], output_dim[4];
  neo_ctx_init(&ctx, 1);
  build(&ctx, text, WIDE, &wide);
  build(&ctx, text, NARROW, &narrow);
  const neo_rows_of a = {&wide.partition, WIDE}, b = {&narrow.partition, NARROW};
  neo_status status = neo_rows_check(&ctx, &a, &b, input_dim, output_dim);
  if ((status == NEO_OK) != (why == NULL) || (why && !strstr(ctx.message, why)))
    fail_msg("'%s': '%s', '%s' expected", text, ctx.message, why ? why : "");
  if (status == NEO_OK)
    compare(&ctx, &wide, &narrow, input_dim, output_dim);
  else
    assert_int_equal(status, NEO_UNSUPPORTED);
  release(&wide);
  release(&narrow);
}

#define X "%0 input \"x\" f32 [@,4,6]\n"
#define W "%1 const \"w\" f32 [6,3] {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18}\n"
#define UNARY(op, attributes)                                                                      \
  X "%1 \"y\" ? ? = " op "(%0) " attributes " \"node\"\noutput %1 \"y\"\n"

static void rows_stay_apart(void **state) {
  (void)state;
  check(UNARY("relu", ""), NULL);
  check(UNARY("softmax", "{axis=-1}"), NULL);
  check(UNARY("softmax", "{axis=1}"), NULL);
  check(UNARY("transpose", "{perm=[2,0,1]}"), NULL);
  check(UNARY("reduce_mean", "{axes=[1,2], keepdims=0}"), NULL);
  check(UNARY("arg_max", "{axis=1, keepdims=0}"), NULL);
  check(UNARY("flatten", "{axis=1}"), NULL);
  check(UNARY("max_pool", "{kernel_shape=[2], pads=[1,0]}"), NULL);
  check(X W "%2 \"y\" ? ? = matmul(%0, %1) \"node\"\noutput %2 \"y\"\n", NULL);
  check(X "%1 input \"z\" f32 [@,6,2]\n%2 \"y\" ? ? = matmul(%0, %1) \"node\"\noutput %2 \"y\"\n",
        NULL);
  check(X "%1 const \"c\" f32 [1,6] {1,2,3,4,5,6}\n"
          "%2 \"y\" ? ? = add(%0, %1) \"node\"\noutput %2 \"y\"\noutput %0 \"same\"\n",
        NULL);
}

/* Several elements of one row side by side, rows inside of other dimensions. */
static void rows_are_blocks(void **state) {
  (void)state;
  check(X "%1 const \"s\" i64 [2] {-1,6}\n%2 \"a\" ? ? = reshape(%0, %1) \"a\"\n"
          "%3 \"b\" ? ? = softmax(%2) {axis=1} \"b\"\noutput %3 \"y\"\n",
        NULL);
  check("%0 input \"x\" f32 [3,@,2]\n%1 const \"s\" i64 [2] {3,-1}\n"
        "%2 \"a\" ? ? = reshape(%0, %1) \"a\"\n%3 \"y\" ? ? = relu(%2) \"b\"\noutput %3 \"y\"\n",
        NULL);
  check("%0 input \"x\" f32 [3,@,2]\n%1 const \"s\" i64 [2] {-1,2}\n"
        "%2 \"a\" ? ? = reshape(%0, %1) \"a\"\n%3 \"y\" ? ? = relu(%2) \"b\"\noutput %3 \"y\"\n",
        "keep its slices apart");
  check(X "%1 const \"s\" i64 [1] {-1}\n%2 \"a\" ? ? = reshape(%0, %1) \"a\"\n"
          "%3 const \"k\" i64 [] {0}\n%4 \"b\" ? ? = cumsum(%2, %3) \"sums\"\noutput %4 \"y\"\n",
        "'sums'");
}

static void rows_that_mix_are_refused(void **state) {
  (void)state;
  check(UNARY("softmax", "{axis=0}"), "node 'node'");
  check(UNARY("reduce_sum", "{axes=[0], keepdims=1}"), "'node' (reduce_sum)");
  check(UNARY("arg_max", "{axis=0, keepdims=0}"), "'node' (arg_max)");
  check(UNARY("slice", "{starts=[0], ends=[2], axes=[0], steps=[1]}"), "'node' (slice)");
  check(UNARY("slice", "{starts=[-1], ends=[-100], axes=[0], steps=[-1]}"), "'node' (slice)");
  check("%0 input \"x\" f32 [@,2]\n%1 const \"c\" f32 [1,2] {1,2}\n"
        "%2 \"y\" ? ? = concat(%0, %1) {axis=0} \"node\"\noutput %2 \"y\"\n",
        "(concat)");
  check(X "%1 const \"i\" i64 [3] {0,1,2}\n%2 \"y\" ? ? = gather(%0, %1) {axis=0} \"node\"\n"
          "output %2 \"y\"\n",
        "'node' (gather)");
  check("%0 input \"x\" f32 [@,6]\n%1 \"t\" ? ? = transpose(%0) \"t\"\n"
        "%2 \"y\" ? ? = matmul(%1, %0) \"node\"\noutput %2 \"y\"\n",
        "'node' (gemm)");
  check("%0 input \"x\" f32 [@,6]\n%1 input \"p\" i64 [@]\n"
        "%2 \"y\" ? ? = gather(%0, %1) {axis=0} \"node\"\noutput %2 \"y\"\n",
        "'node' (gather)");
}

#define EXTENT                                                                                     \
  X "%1 const \"k\" i64 [] {0}\n%2 \"s\" ? ? = shape(%0) \"s\"\n"                                  \
    "%3 \"n\" ? ? = gather(%2, %1) {axis=0} \"n\"\n"

/* The number of rows as a number: in an expression, in a constant. */
static void extents_that_become_numbers_are_refused(void **state) {
  (void)state;
  check(EXTENT "%4 \"f\" ? ? = cast(%3) {to=\"f32\"} \"f\"\n"
               "%5 \"y\" ? ? = div(%0, %4) \"node\"\noutput %5 \"y\"\n",
        "'node' (div)");
  check(EXTENT "%4 \"f\" ? ? = cast(%3) {to=\"f32\"} \"f\"\n%5 \"y\" ? ? = relu(%0) \"r\"\n"
               "output %5 \"y\"\noutput %4 \"n\"\n",
        "depends on how many there are");
  /* a constant made for each row, of what is the same for all */
  check(EXTENT "%4 const \"c\" f32 [1,4,6] {1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,"
               "22,23,24}\n%5 const \"rest\" i64 [2] {4,6}\n%6 const \"z\" i64 [1] {0}\n"
               "%7 \"n1\" ? ? = unsqueeze(%3, %6) \"u\"\n"
               "%8 \"e\" ? ? = concat(%7, %5) {axis=0} \"e\"\n"
               "%9 \"c2\" ? ? = expand(%4, %8) \"c2\"\n"
               "%10 \"y\" ? ? = concat(%0, %9) {axis=1} \"node\"\noutput %10 \"y\"\n",
        NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_stay_apart),
      cmocka_unit_test(rows_are_blocks),
      cmocka_unit_test(rows_that_mix_are_refused),
      cmocka_unit_test(extents_that_become_numbers_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
