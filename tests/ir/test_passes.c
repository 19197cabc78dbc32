/* tests/ir/test_passes.c: every pass on small graphs given as text: what it must do, and that the
 * graph still computes the same numbers by the interpreter. */
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

/* Random inputs; the outputs before. */
typedef struct run {
  neo_graph *graph;
  neo_tensor input[4], before[4];
} run;

static void begin(run *r, const char *body) {
  neo_rng rng;
  neo_rng_init(&rng, 3);
  memset(r, 0, sizeof *r);
  check(neo_graph_parse(&ctx, body, &r->graph));
  check(neo_pass_infer(&ctx, r->graph));
  for (int i = 0; i < r->graph->n_inputs; i++) {
    const neo_value *value = &r->graph->value[r->graph->input[i]];
    int64_t n;
    check(neo_tensor_create(&ctx, value->dtype, &value->shape, &r->input[i]));
    neo_shape_elements(&value->shape, &n);
    for (int64_t k = 0; k < n; k++)
      neo_tensor_set_f64(&r->input[i], k, 2 * neo_rng_normal(&rng));
  }
  check(neo_graph_interpret(&ctx, r->graph, r->input, r->before));
}

/* Same outputs up to rounding; releases everything. */
static void finish(run *r) {
  neo_tensor after[4];
  check(neo_graph_check(&ctx, r->graph));
  check(neo_graph_interpret(&ctx, r->graph, r->input, after));
  for (int i = 0; i < r->graph->n_outputs; i++) {
    int64_t n;
    assert_true(neo_shape_equal(&after[i].shape, &r->before[i].shape));
    neo_shape_elements(&after[i].shape, &n);
    for (int64_t k = 0; k < n; k++) {
      double a = neo_tensor_get_f64(&after[i], k), b = neo_tensor_get_f64(&r->before[i], k);
      if (fabs(a - b) > 1e-5 + 1e-5 * fabs(b))
        fail_msg("output %d, element %lld: %g, %g before", i, (long long)k, a, b);
    }
    neo_tensor_free(&ctx, &after[i]);
    neo_tensor_free(&ctx, &r->before[i]);
  }
  for (int i = 0; i < r->graph->n_inputs; i++)
    neo_tensor_free(&ctx, &r->input[i]);
  neo_graph_destroy(r->graph);
}

/* A line of constants c, c + step, ... as text. */
static void constants(neo_buf *b, int id, const char *shape, int n, double c, double step) {
  neo_buf_printf(b, "%%%d const \"c%d\" f32 %s {", id, id, shape);
  for (int i = 0; i < n; i++) {
    neo_buf_text(b, i ? "," : "");
    neo_buf_double(b, c + step * ((i * 7) % 11));
  }
  neo_buf_text(b, "}\n");
}

static void shape_computations_fold(void **state) {
  (void)state;
  run r;
  begin(&r, "graph 1 \"g\"\n"
            "%0 input \"x\" f32 [2,3,4]\n"
            "%1 const \"zero\" i64 [1] {0}\n"
            "%2 const \"rest\" i64 [1] {-1}\n"
            "%3 \"s\" ? ? = shape(%0) \"s\"\n"
            "%4 \"n\" ? ? = gather(%3, %1) {axis=0} \"n\"\n"
            "%5 \"t\" ? ? = concat(%4, %2) {axis=0} \"t\"\n"
            "%6 \"y\" ? ? = reshape(%0, %5) \"y\"\n"
            "%7 \"z\" ? ? = relu(%6) \"z\"\n"
            "output %7 \"z\"\n");
  check(neo_pass_dce(&ctx, r.graph));
  assert_int_equal(count(r.graph, NULL), 2);
  assert_int_equal(r.graph->value[r.graph->output[0]].shape.dim[1], 12);
  finish(&r);
}

static void batch_norm_folds_into_conv(void **state) {
  (void)state;
  static const char *const heads[] = {
      "%0 input \"x\" f32 [1,4,5,5]\n", "%0 input \"x\" f32 [1,4,5,5]\n",
      "%0 input \"x\" f32 [3,4]\n", "%0 input \"x\" f32 [3,4]\n", "%0 input \"x\" f32 [3,4]\n"};
  static const char *const nodes[] = {
      "%6 \"y\" ? ? = conv(%0, %5) {group=2, pads=[1,1,1,1]} \"y\"\n",
      "%6 \"y\" ? ? = conv_transpose(%0, %5, %1) {group=2, strides=[2,2]} \"y\"\n",
      "%6 \"y\" ? ? = gemm(%0, %5, %1) {alpha=0.5, beta=2.0} \"y\"\n",
      "%6 \"y\" ? ? = gemm(%0, %5) {trans_b=1} \"y\"\n", "%6 \"y\" ? ? = matmul(%0, %5) \"y\"\n"};
  static const char *const shapes[] = {"[6,2,3,3]", "[4,3,3,3]", "[4,6]", "[6,4]", "[4,6]"};
  static const int sizes[] = {108, 108, 24, 24, 24};
  for (int i = 0; i < 5; i++) {
    neo_buf text = {0};
    run r;
    neo_buf_printf(&text, "graph 1 \"g\"\n%s", heads[i]);
    constants(&text, 1, "[6]", 6, 0.5, 0.1);
    constants(&text, 2, "[6]", 6, -0.3, 0.2);
    constants(&text, 3, "[6]", 6, 0.1, -0.05);
    constants(&text, 4, "[6]", 6, 0.7, 0.3);
    constants(&text, 5, shapes[i], sizes[i], -0.2, 0.04);
    neo_buf_text(&text, nodes[i]);
    neo_buf_text(&text, "%7 \"z\" ? ? = batch_norm(%6, %1, %2, %3, %4) {epsilon=0.001} \"z\"\n"
                        "%8 \"r\" ? ? = relu(%7) \"r\"\noutput %8 \"r\"\n");
    begin(&r, text.data);
    check(neo_pass_fold_norm(&ctx, r.graph));
    assert_int_equal(count(r.graph, NULL), 2);
    finish(&r);
    neo_buf_fini(&text);
  }
}

static void channel_arithmetic_folds_into_conv(void **state) {
  (void)state;
  neo_buf text = {0};
  run r;
  neo_buf_text(&text, "graph 1 \"g\"\n%0 input \"x\" f32 [1,2,4,4]\n");
  constants(&text, 1, "[3,2,1,1]", 6, 0.5, 0.1);
  constants(&text, 2, "[3,1,1]", 3, 0.5, 0.5);
  constants(&text, 3, "[1,3,1,1]", 3, 0.3, 0.5);
  constants(&text, 4, "[]", 1, 4, 0);
  neo_buf_text(&text, "%5 \"a\" ? ? = conv(%0, %1) \"a\"\n"
                      "%6 \"b\" ? ? = mul(%2, %5) \"b\"\n"
                      "%7 \"c\" ? ? = sub(%3, %6) \"c\"\n"
                      "%8 \"d\" ? ? = div(%7, %4) \"d\"\n"
                      "%9 \"e\" ? ? = add(%8, %4) \"e\"\noutput %9 \"e\"\n");
  begin(&r, text.data);
  check(neo_pass_fold_norm(&ctx, r.graph));
  assert_int_equal(count(r.graph, NULL), 1);
  finish(&r);
  neo_buf_fini(&text);
}

/* x is needed elsewhere; the constant varies along the width: both stay. */
static void what_must_not_fold(void **state) {
  (void)state;
  neo_buf text = {0};
  run r;
  neo_buf_text(&text, "graph 1 \"g\"\n%0 input \"x\" f32 [1,2,4,4]\n");
  constants(&text, 1, "[4,2,1,1]", 8, 0.5, 0.1);
  constants(&text, 2, "[4]", 4, 0.5, 0.5);
  neo_buf_text(&text, "%3 \"a\" ? ? = conv(%0, %1) \"a\"\n"
                      "%4 \"b\" ? ? = mul(%3, %2) \"b\"\n"
                      "%5 \"c\" ? ? = conv(%0, %1) {pads=[0,0,0,0]} \"c\"\n"
                      "%6 \"d\" ? ? = batch_norm(%5, %2, %2, %2, %2) \"d\"\n"
                      "output %4 \"b\"\noutput %5 \"c\"\noutput %6 \"d\"\n");
  begin(&r, text.data);
  check(neo_pass_fold_norm(&ctx, r.graph));
  assert_int_equal(count(r.graph, "mul"), 2);
  assert_int_equal(count(r.graph, "batch_norm"), 0); /* became mul and add */
  finish(&r);
  neo_buf_fini(&text);
}

static void common_nodes_merge(void **state) {
  (void)state;
  run r;
  begin(&r, "graph 1 \"g\"\n%0 input \"x\" f32 [4]\n"
            "%1 const \"a\" f32 [] {2}\n%2 const \"b\" f32 [] {2}\n"
            "%3 \"p\" ? ? = mul(%0, %1) \"p\"\n%4 \"q\" ? ? = mul(%0, %2) \"q\"\n"
            "%5 \"d\" ? ? = relu(%4) \"dead\"\n"
            "%6 \"s\" ? ? = add(%3, %4) \"s\"\noutput %6 \"s\"\n");
  check(neo_pass_cse(&ctx, r.graph));
  assert_int_equal(count(r.graph, "mul"), 1);
  assert_int_equal(count(r.graph, "relu"), 0);
  finish(&r);
}

static void simplified_to(const char *text, int nodes, const char *op) {
  run r;
  begin(&r, text);
  check(neo_pass_simplify(&ctx, r.graph));
  if (count(r.graph, NULL) != nodes || (op && count(r.graph, op) != 1)) {
    neo_buf b = {0};
    neo_graph_print(&b, r.graph, false);
    print_message("%s", b.data);
    neo_buf_fini(&b);
  }
  assert_int_equal(count(r.graph, NULL), nodes);
  if (op)
    assert_int_equal(count(r.graph, op), 1);
  finish(&r);
}

static void simple_rules(void **state) {
  (void)state;
#define HEAD "graph 1 \"g\"\n%0 input \"x\" f32 [1,4,6,6]\n"
  simplified_to(HEAD "%1 \"a\" ? ? = identity(%0) \"a\"\n%2 \"b\" ? ? = relu(%1) \"b\"\n"
                     "%3 \"c\" ? ? = cast(%2) {to=\"f32\"} \"c\"\noutput %3 \"c\"\n",
                1, "relu");
  simplified_to(HEAD "%1 \"a\" ? ? = identity(%0) \"a\"\noutput %1 \"a\"\n", 1, "identity");
  simplified_to(HEAD "%1 const \"one\" f32 [1] {1}\n%2 const \"zero\" f32 [] {0}\n"
                     "%3 \"a\" ? ? = relu(%0) \"a\"\n%4 \"b\" ? ? = mul(%1, %3) \"b\"\n"
                     "%5 \"c\" ? ? = add(%4, %2) \"c\"\noutput %5 \"c\"\n",
                1, "relu");
}

static void patterns(void **state) {
  (void)state;
  simplified_to(HEAD "%1 const \"three\" f32 [] {3}\n%2 const \"lo\" f32 [] {0}\n"
                     "%3 const \"hi\" f32 [] {6}\n"
                     "%4 \"a\" ? ? = add(%0, %1) \"a\"\n%5 \"b\" ? ? = clip(%4, %2, %3) \"b\"\n"
                     "%6 \"c\" ? ? = mul(%0, %5) \"c\"\n%7 \"d\" ? ? = div(%6, %3) \"d\"\n"
                     "output %7 \"d\"\n",
                1, "hard_swish");
  simplified_to(HEAD "%1 const \"three\" f32 [] {3}\n%2 const \"lo\" f32 [] {0}\n"
                     "%3 const \"hi\" f32 [] {6}\n"
                     "%4 \"a\" ? ? = add(%0, %1) \"a\"\n%5 \"b\" ? ? = clip(%4, %2, %3) \"b\"\n"
                     "%6 \"c\" ? ? = div(%5, %3) \"c\"\n%7 \"d\" ? ? = mul(%0, %6) \"d\"\n"
                     "output %7 \"d\"\n",
                1, "hard_swish");
  simplified_to(HEAD "%1 \"a\" ? ? = sigmoid(%0) \"a\"\n%2 \"b\" ? ? = mul(%0, %1) \"b\"\n"
                     "output %2 \"b\"\n",
                1, "swish");
  simplified_to(HEAD "%1 const \"r\" f32 [] {1.4142135381698608}\n%2 const \"one\" f32 [] {1}\n"
                     "%3 const \"half\" f32 [] {0.5}\n"
                     "%4 \"a\" ? ? = div(%0, %1) \"a\"\n%5 \"b\" ? ? = erf(%4) \"b\"\n"
                     "%6 \"c\" ? ? = add(%5, %2) \"c\"\n%7 \"d\" ? ? = mul(%0, %6) \"d\"\n"
                     "%8 \"e\" ? ? = mul(%7, %3) \"e\"\noutput %8 \"e\"\n",
                1, "gelu");
  simplified_to("graph 1 \"g\"\n%0 input \"x\" f32 [2,3,4]\n"
                "%1 const \"two\" f32 [] {2}\n%2 const \"eps\" f32 [] {0.001}\n"
                "%3 const \"g\" f32 [4] {1,2,3,4}\n%4 const \"b\" f32 [4] {0.5,0.25,1,2}\n"
                "%5 \"m\" ? ? = reduce_mean(%0) {axes=[-1], keepdims=1} \"m\"\n"
                "%6 \"c\" ? ? = sub(%0, %5) \"c\"\n%7 \"q\" ? ? = pow(%6, %1) \"q\"\n"
                "%8 \"v\" ? ? = reduce_mean(%7) {axes=[-1], keepdims=1} \"v\"\n"
                "%9 \"e\" ? ? = add(%8, %2) \"e\"\n%10 \"s\" ? ? = sqrt(%9) \"s\"\n"
                "%11 \"d\" ? ? = div(%6, %10) \"d\"\n%12 \"w\" ? ? = mul(%11, %3) \"w\"\n"
                "%13 \"y\" ? ? = add(%12, %4) \"y\"\noutput %13 \"y\"\n",
                1, "layer_norm");
}

/* Factors of a product's operands go behind it, through what only moves. */
static void factors_go_behind_products(void **state) {
  (void)state;
  static const char *const head = "graph 1 \"g\"\n"
                                  "%0 input \"x\" f32 [2,6,4]\n"
                                  "%1 input \"y\" f32 [2,6,4]\n"
                                  "%2 const \"c\" f32 [] {0.5}\n"
                                  "%3 const \"d\" f32 [1] {4}\n";
  static const struct {
    const char *nodes;
    int factors; /* left before the product */
  } rows[] = {
      {"%4 \"a\" f32 [2,6,4] = mul(%0, %2) \"a\"\n"
       "%5 \"b\" f32 [2,6,4] = div(%1, %3) \"b\"\n"
       "%6 \"s\" f32 [2,2,3,4] = reshape(%5) {shape=[2,2,3,4]} \"s\"\n"
       "%7 \"t\" f32 [2,2,4,3] = transpose(%6) {perm=[0,1,3,2]} \"t\"\n"
       "%8 \"u\" f32 [2,2,3,4] = reshape(%4) {shape=[2,2,3,4]} \"u\"\n"
       "%9 \"z\" f32 [2,2,3,3] = matmul(%8, %7) \"z\"\n"
       "output %9 \"z\"\n",
       0},
      /* someone else reads the scaled value, or what is made of it */
      {"%4 \"a\" f32 [2,6,4] = mul(%0, %2) \"a\"\n"
       "%5 \"t\" f32 [2,4,6] = transpose(%1) {perm=[0,2,1]} \"t\"\n"
       "%6 \"z\" f32 [2,6,6] = matmul(%4, %5) \"z\"\n"
       "output %6 \"z\"\n"
       "output %4 \"a\"\n",
       1},
      {"%4 \"a\" f32 [2,6,4] = mul(%0, %2) \"a\"\n"
       "%5 \"t\" f32 [2,4,6] = transpose(%4) {perm=[0,2,1]} \"t\"\n"
       "%6 \"z\" f32 [2,6,6] = matmul(%1, %5) \"z\"\n"
       "%7 \"w\" f32 [2,4,4] = matmul(%5, %1) \"w\"\n"
       "output %6 \"z\"\n"
       "output %7 \"w\"\n",
       1},
      /* the operator before takes it along */
      {"%4 \"e\" f32 [2,6,4] = exp(%0) \"e\"\n"
       "%5 \"a\" f32 [2,6,4] = mul(%4, %2) \"a\"\n"
       "%6 \"t\" f32 [2,4,6] = transpose(%1) {perm=[0,2,1]} \"t\"\n"
       "%7 \"z\" f32 [2,6,6] = matmul(%5, %6) \"z\"\n"
       "output %7 \"z\"\n",
       1},
      /* one side keeps its number, which the product must not be multiplied by then */
      {"%4 \"e\" f32 [2,6,4] = exp(%0) \"e\"\n"
       "%5 \"a\" f32 [2,6,4] = mul(%4, %2) \"a\"\n"
       "%6 \"u\" f32 [2,3,8] = reshape(%1) {shape=[2,3,8]} \"u\"\n"
       "%7 \"b\" f32 [2,3,8] = mul(%6, %2) \"b\"\n"
       "%8 \"v\" f32 [2,4,6] = reshape(%7) {shape=[2,4,6]} \"v\"\n"
       "%9 \"z\" f32 [2,6,6] = matmul(%5, %8) \"z\"\n"
       "output %9 \"z\"\n",
       1},
      /* the same value twice */
      {"%4 \"a\" f32 [2,4,4] = slice(%0) {axes=[1], starts=[0], ends=[4]} \"a\"\n"
       "%5 \"b\" f32 [2,4,4] = mul(%4, %2) \"b\"\n"
       "%6 \"z\" f32 [2,4,4] = matmul(%5, %5) \"z\"\n"
       "output %6 \"z\"\n",
       1},
      /* half floats are scaled so that the product stays finite */
      {"%4 \"h\" f16 [2,6,4] = cast(%0) {to=\"f16\"} \"h\"\n"
       "%5 const \"k\" f16 [] {0.25}\n"
       "%6 \"u\" f16 [2,3,8] = reshape(%4) {shape=[2,3,8]} \"u\"\n"
       "%7 \"b\" f16 [2,3,8] = mul(%6, %5) \"b\"\n"
       "%8 \"t\" f16 [2,8,3] = transpose(%6) {perm=[0,2,1]} \"t\"\n"
       "%9 \"z\" f16 [2,3,3] = matmul(%7, %8) \"z\"\n"
       "output %9 \"z\"\n",
       1},
  };
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    run r;
    neo_buf text = {0};
    int before = 0;
    neo_buf_printf(&text, "%s%s", head, rows[i].nodes);
    begin(&r, text.data);
    check(neo_pass_scale(&ctx, r.graph));
    check(neo_pass_dce(&ctx, r.graph));
    for (int k = 0; k < r.graph->n_nodes; k++) {
      const neo_node *node = &r.graph->node[k];
      if (strcmp(node->op->name, "matmul") == 0)
        break;
      before += strcmp(node->op->name, "mul") == 0 || strcmp(node->op->name, "div") == 0;
    }
    assert_int_equal(before, rows[i].factors);
    neo_buf_fini(&text);
    finish(&r);
  }
}

static void pads_join_their_reader(void **state) {
  (void)state;
  simplified_to(HEAD "%1 const \"w\" f32 [1,4,1,2] {1,2,3,4,5,6,7,8}\n"
                     "%2 const \"p\" i64 [8] {0,0,1,0,0,0,2,3}\n"
                     "%3 \"a\" ? ? = pad(%0, %2) {mode=\"constant\"} \"a\"\n"
                     "%4 \"b\" ? ? = conv(%3, %1) {pads=[1,0,0,1]} \"b\"\noutput %4 \"b\"\n",
                1, "conv");
  simplified_to(HEAD
                "%1 const \"p\" i64 [8] {0,0,1,1,0,0,1,1}\n"
                "%2 \"a\" ? ? = pad(%0, %1) \"a\"\n"
                "%3 \"b\" ? ? = average_pool(%2) {kernel_shape=[3,3]} \"b\"\noutput %3 \"b\"\n",
                1, "average_pool");
  simplified_to(HEAD
                "%1 const \"p\" i64 [8] {0,0,1,1,0,0,1,1}\n%2 const \"v\" f32 [] {1}\n"
                "%3 \"a\" ? ? = pad(%0, %1, %2) \"a\"\n"
                "%4 \"b\" ? ? = average_pool(%3) {kernel_shape=[3,3]} \"b\"\noutput %4 \"b\"\n",
                2, "pad");
}

/* ---- partition --------------------------------------------------------------------------------- */

/* Interprets group by group and compares with the graph. */
static void run_groups(const run *r, const neo_partition *p) {
  neo_tensor *value = neo_arena_alloc(p->arena, sizeof *value * (size_t)p->graph->n_values);
  bool *made = neo_arena_alloc(p->arena, (size_t)p->graph->n_values);
  for (int i = 0; i < p->graph->n_values; i++)
    if (p->graph->value[i].constant)
      value[i] = *p->graph->value[i].constant;
  for (int i = 0; i < p->graph->n_inputs; i++)
    value[p->graph->input[i]] = r->input[i];
  for (int g = 0; g < p->n_groups; g++) {
    const neo_group *group = &p->group[g];
    neo_tensor *buffers[NEO_TE_MAX_BUFFERS] = {0};
    int arg = 0;
    if (group->kind == NEO_STEP_VIEW) {
      value[group->arg[1]] = value[group->arg[0]];
      value[group->arg[1]].shape = p->graph->value[group->arg[1]].shape;
      continue;
    }
    assert_int_equal(group->kind, NEO_STEP_TE);
    for (int b = 0; b < group->te.n_buffers; b++) {
      if (group->te.buffer[b].role == NEO_TE_TMP)
        continue;
      int id = group->arg[arg++];
      buffers[b] = &value[id];
      if (group->te.buffer[b].role == NEO_TE_OUT) {
        check(neo_tensor_create(&ctx, p->graph->value[id].dtype, &p->graph->value[id].shape,
                                &value[id]));
        made[id] = true;
      }
      assert_non_null(value[id].data);
    }
    assert_int_equal(arg, group->n_args);
    check(neo_te_interpret(&ctx, &group->te, buffers));
  }
  for (int i = 0; i < p->graph->n_outputs; i++) {
    const neo_tensor *got = &value[p->graph->output[i]];
    int64_t n;
    neo_shape_elements(&got->shape, &n);
    for (int64_t k = 0; k < n; k++) {
      double a = neo_tensor_get_f64(got, k), b = neo_tensor_get_f64(&r->before[i], k);
      if (fabs(a - b) > 1e-5 + 1e-5 * fabs(b))
        fail_msg("group output %d, element %lld: %g, %g expected", i, (long long)k, a, b);
    }
  }
  for (int i = 0; i < p->graph->n_values; i++)
    if (made[i])
      neo_tensor_free(&ctx, &value[i]);
}

static void partitioned_into(const char *text, int groups) {
  run r;
  neo_arena arena;
  neo_partition p;
  neo_buf b = {0};
  begin(&r, text);
  neo_arena_init(&arena);
  check(neo_graph_partition(&ctx, r.graph, &arena, &p));
  neo_partition_print(&b, &p);
  if (p.n_groups != groups)
    print_message("%s", b.data);
  assert_int_equal(p.n_groups, groups);
  run_groups(&r, &p);
  neo_buf_fini(&b);
  neo_arena_fini(&arena);
  finish(&r);
}

#define CONV_HEAD                                                                                  \
  "graph 1 \"g\"\n%0 input \"x\" f32 [1,2,4,4]\n"                                                  \
  "%1 const \"w\" f32 [2,2,1,1] {1,2,-3,4}\n%2 const \"b\" f32 [2] {0.5,-1}\n"

static void activations_join_convolutions(void **state) {
  (void)state;
  partitioned_into(CONV_HEAD
                   "%3 \"c\" ? ? = conv(%0, %1, %2) \"c\"\n%4 \"r\" ? ? = relu(%3) \"r\"\n"
                   "output %4 \"r\"\n",
                   1);
  partitioned_into(CONV_HEAD "%3 \"c\" ? ? = conv(%0, %1, %2) \"c\"\n"
                             "%4 \"s\" ? ? = sigmoid(%3) \"s\"\n%5 \"m\" ? ? = mul(%3, %4) \"m\"\n"
                             "output %5 \"m\"\n",
                   1);
  partitioned_into(CONV_HEAD
                   "%3 \"c\" ? ? = conv(%0, %1, %2) \"c\"\n%4 \"m\" ? ? = mul(%3, %3) \"m\"\n"
                   "output %4 \"m\"\n",
                   1);
  /* grouped: its te writes through a map that is not the identity */
  partitioned_into("graph 1 \"g\"\n%0 input \"x\" f32 [1,2,4,4]\n"
                   "%1 const \"w\" f32 [4,1,1,1] {1,2,-3,4}\n"
                   "%2 \"c\" ? ? = conv(%0, %1) {group=2} \"c\"\n%3 \"r\" ? ? = relu(%2) \"r\"\n"
                   "output %3 \"r\"\n",
                   1);
  partitioned_into(CONV_HEAD "%3 \"c\" ? ? = concat(%0, %0) {axis=1} \"c\"\n"
                             "%4 \"r\" ? ? = relu(%3) \"r\"\noutput %4 \"r\"\n",
                   1);
  /* the convolution's own output is needed, too */
  partitioned_into(CONV_HEAD
                   "%3 \"c\" ? ? = conv(%0, %1, %2) \"c\"\n%4 \"r\" ? ? = relu(%3) \"r\"\n"
                   "output %4 \"r\"\noutput %3 \"c\"\n",
                   2);
}

static void residuals_join_the_later_producer(void **state) {
  (void)state;
  partitioned_into(CONV_HEAD "%3 \"a\" ? ? = conv(%0, %1, %2) \"a\"\n"
                             "%4 \"c\" ? ? = relu(%3) \"c\"\n%5 \"d\" ? ? = conv(%4, %1) \"d\"\n"
                             "%6 \"s\" ? ? = add(%4, %5) \"s\"\n%7 \"r\" ? ? = relu(%6) \"r\"\n"
                             "output %7 \"r\"\n",
                   2);
  /* squeeze and excite: the gate multiplies what the first convolution made */
  partitioned_into(CONV_HEAD "%3 \"a\" ? ? = conv(%0, %1, %2) \"a\"\n"
                             "%4 \"h\" ? ? = hard_swish(%3) \"h\"\n"
                             "%5 \"p\" ? ? = global_average_pool(%4) \"p\"\n"
                             "%6 \"f\" ? ? = conv(%5, %1) \"f\"\n%7 \"g\" ? ? = sigmoid(%6) \"g\"\n"
                             "%8 \"m\" ? ? = mul(%4, %7) \"m\"\noutput %8 \"m\"\n",
                   4);
}

static void views_are_steps_of_their_own(void **state) {
  (void)state;
  partitioned_into(CONV_HEAD "%3 \"a\" ? ? = conv(%0, %1, %2) \"a\"\n"
                             "%4 \"f\" ? ? = flatten(%3) {axis=1} \"f\"\n"
                             "%5 \"s\" ? ? = softmax(%4) {axis=-1} \"s\"\noutput %5 \"s\"\n",
                   3);
}

static void one_binding_binds_the_name_everywhere(void **state) {
  (void)state;
  neo_graph *graph = NULL;
  check(neo_graph_parse(&ctx,
                        "graph 1 \"g\"\n%0 input \"a\" f32 [?\"n\",3]\n"
                        "%1 input \"b\" i64 [?\"n\",?\"n\"]\n%2 input \"c\" f32 ?\n"
                        "%3 \"y\" ? ? = relu(%0) \"y\"\noutput %3 \"y\"\n",
                        &graph));
  neo_binding first[] = {{"a", {2, {5, 4}}, false, NEO_F32}};
  assert_int_equal(neo_pass_bind(&ctx, graph, 1, first), NEO_USAGE);
  assert_non_null(strstr(ctx.message, "--input c=<shape>"));
  assert_null(strstr(ctx.message, "--input b"));
  neo_ctx_clear(&ctx);
  neo_binding second[] = {{"c", {0, {0}}, true, NEO_F16}};
  check(neo_pass_bind(&ctx, graph, 1, second));
  assert_int_equal(graph->value[1].shape.dim[1], 5);
  assert_int_equal(graph->value[0].shape.dim[1], 4);
  assert_int_equal(graph->value[2].dtype, NEO_F16);
  neo_binding negative[] = {{"a", {1, {-2}}, false, NEO_F32}};
  assert_int_equal(neo_pass_bind(&ctx, graph, 1, negative), NEO_USAGE);
  neo_ctx_clear(&ctx);
  neo_graph_destroy(graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_binding_binds_the_name_everywhere),
      cmocka_unit_test(shape_computations_fold),
      cmocka_unit_test(batch_norm_folds_into_conv),
      cmocka_unit_test(channel_arithmetic_folds_into_conv),
      cmocka_unit_test(what_must_not_fold),
      cmocka_unit_test(common_nodes_merge),
      cmocka_unit_test(simple_rules),
      cmocka_unit_test(patterns),
      cmocka_unit_test(factors_go_behind_products),
      cmocka_unit_test(pads_join_their_reader),
      cmocka_unit_test(activations_join_convolutions),
      cmocka_unit_test(residuals_join_the_later_producer),
      cmocka_unit_test(views_are_steps_of_their_own),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
