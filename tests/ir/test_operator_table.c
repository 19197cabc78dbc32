/* tests/ir/test_operator_table.c: every operator against golden values or libm, what operators
 * refuse, and the form that schedules rely on. Each te that they lower to is also checked, printed,
 * parsed, canonicalised and widened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/ir/op_testing.h"

static neo_ctx ctx;

static int setup(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  return 0;
}

#define SPECS(...)                                                                                 \
  (const char *const[]) {                                                                          \
    __VA_ARGS__, NULL                                                                              \
  }

static double get(const neo_tensor *t, int64_t i) {
  return neo_tensor_get_f64(t, i);
}

static void assert_close(double got, double want, const char *what, int64_t at) {
  if (!(fabs(got - want) <= 1e-4 * (1 + fabs(want))) && !(isnan(got) && isnan(want)) && got != want)
    fail_msg("%s: element %d is %.9g, %.9g expected", what, (int)at, got, want);
}

/* ---- unary, against libm ------------------------------------------------------------------------- */

static double sigmoid(double x) {
  return 1 / (1 + exp(-x));
}
static double relu(double x) {
  return x > 0 ? x : 0;
}
static double sign(double x) {
  return (x > 0) - (x < 0);
}
static double softplus(double x) {
  return log1p(exp(x));
}
static double softsign(double x) {
  return x / (1 + fabs(x));
}
static double mish(double x) {
  return x * tanh(softplus(x));
}
static double leaky(double x) {
  return x < 0 ? 0.2 * x : x;
}
static double elu(double x) {
  return x < 0 ? 0.7 * expm1(x) : x;
}
static double celu(double x) {
  return relu(x) + fmin(0, 0.7 * expm1(x / 0.7));
}
static double selu(double x) {
  return 1.05070098 * (x < 0 ? 1.67326324 * expm1(x) : x);
}
static double hard_sigmoid(double x) {
  return fmax(0, fmin(1, 0.3 * x + 0.4));
}
static double hard_swish(double x) {
  return x * fmax(0, fmin(1, x / 6 + 0.5));
}
static double swish(double x) {
  return x * sigmoid(2 * x);
}
static double thresholded(double x) {
  return x > 0.5 ? x : 0;
}
static double shrink(double x) {
  return x < -0.6 ? x + 0.1 : x > 0.6 ? x - 0.1 : 0;
}
static double gelu(double x) {
  return 0.5 * x * (1 + erf(x / sqrt(2)));
}
static double gelu_tanh(double x) {
  return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x)));
}
static double reciprocal(double x) {
  return 1 / x;
}
static double negate(double x) {
  return -x;
}
static double identity(double x) {
  return x;
}
static double clip(double x) {
  return fmin(fmax(x, -0.5), 0.75);
}
static double square(double x) {
  return x * x;
}

static const struct {
  const char *call;
  double (*fn)(double);
} unaries[] = {
    {"abs(%0)", fabs},
    {"neg(%0)", negate},
    {"sign(%0)", sign},
    {"floor(%0)", floor},
    {"ceil(%0)", ceil},
    {"round(%0)", nearbyint},
    {"sqrt(%0)", sqrt},
    {"reciprocal(%0)", reciprocal},
    {"exp(%0)", exp},
    {"log(%0)", log},
    {"erf(%0)", erf},
    {"sin(%0)", sin},
    {"cos(%0)", cos},
    {"tan(%0)", tan},
    {"asin(%0)", asin},
    {"acos(%0)", acos},
    {"atan(%0)", atan},
    {"sinh(%0)", sinh},
    {"cosh(%0)", cosh},
    {"tanh(%0)", tanh},
    {"asinh(%0)", asinh},
    {"acosh(%0)", acosh},
    {"atanh(%0)", atanh},
    {"sigmoid(%0)", sigmoid},
    {"softplus(%0)", softplus},
    {"softsign(%0)", softsign},
    {"relu(%0)", relu},
    {"identity(%0)", identity},
    {"mish(%0)", mish},
    {"leaky_relu(%0) {alpha=0.2}", leaky},
    {"elu(%0) {alpha=0.7}", elu},
    {"celu(%0) {alpha=0.7}", celu},
    {"selu(%0)", selu},
    {"hard_sigmoid(%0) {alpha=0.3, beta=0.4}", hard_sigmoid},
    {"hard_swish(%0)", hard_swish},
    {"swish(%0) {alpha=2.0}", swish},
    {"thresholded_relu(%0) {alpha=0.5}", thresholded},
    {"shrink(%0) {bias=0.1, lambd=0.6}", shrink},
    {"gelu(%0)", gelu},
    {"gelu(%0) {approximate=\"tanh\"}", gelu_tanh},
    {"clip(%0) {max=0.75, min=-0.5}", clip},
    {"clip(%0, %1, %2)", clip},
    {"dropout(%0)", identity},
    {"pow(%0, %3)", square},
    {"cast(%0) {to=\"f64\"}", identity},
};

static void unary_operators_equal_libm(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(unaries); k++) {
    op_run r;
    op_go(&r, &ctx, unaries[k].call,
          SPECS("input f32 [3,50]", "const f32 [] {-0.5}", "const f32 [1] {0.75}",
                "const i32 [] {2}"),
          1);
    for (int64_t i = 0; i < 150; i++)
      assert_close(get(&r.out[0], i), unaries[k].fn(get(&r.in[0], i)), unaries[k].call, i);
    op_end(&r);
  }
}

static void half_floats_round_once(void **state) {
  (void)state;
  op_run r;
  op_go(&r, &ctx, "sigmoid(%0)", SPECS("input f16 [64]"), 1);
  for (int64_t i = 0; i < 64; i++) {
    double want = neo_f16_to_f32(neo_f32_to_f16((float)sigmoid(get(&r.in[0], i))));
    assert_true(fabs(get(&r.out[0], i) - want) <= 0.0005);
  }
  op_end(&r);
  /* 2048 ones in f16: a running f16 sum would stop at 2048, f32 does not round until the end */
  op_go(&r, &ctx, "reduce_sum(%0)", SPECS("input f16 [4096]"), 1);
  op_end(&r);
  op_expect_ok(&r, op_begin(&r, &ctx, "reduce_mean(%0)", SPECS("input f16 [4096]"), 1),
               "reduce_mean");
  for (int64_t i = 0; i < 4096; i++)
    neo_tensor_set_f64(&r.in[0], i, 1);
  op_eval(&r, "reduce_mean");
  assert_true(get(&r.out[0], 0) == 1);
  op_end(&r);
}

/* ---- golden values --------------------------------------------------------------------------------- */

static const struct {
  const char *call;
  const char *specs[10];
  int outputs;
  const char *dtype;
  int64_t shape[5]; /* 0-terminated; {-1}: rank 0 */
  double values[16];
} golden[] = {
#include "tests/ir/golden.def"
#include "tests/ir/golden_expanded.def"
};

static void golden_values(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(golden); k++) {
    op_run r;
    neo_shape shape = {0};
    int64_t n;
    const char *call = golden[k].call;
    op_expect_ok(&r, op_begin(&r, &ctx, call, golden[k].specs, golden[k].outputs), call);
    op_eval(&r, call);
    while (golden[k].shape[0] >= 0 && golden[k].shape[shape.rank]) {
      shape.dim[shape.rank] = golden[k].shape[shape.rank];
      shape.rank++;
    }
    assert_string_equal(neo_dtype_name(r.out[0].dtype), golden[k].dtype);
    if (!neo_shape_equal(&shape, &r.out[0].shape))
      fail_msg("%s: another shape", call);
    neo_shape_elements(&shape, &n);
    for (int64_t i = 0; i < n; i++)
      assert_close(get(&r.out[0], i), golden[k].values[i], call, i);
    if (r.graph->node[0].op->lower)
      op_check_te(&r, call, 1e-4);
    op_end(&r);
  }
}

/* Packed by pass_tree.c and tested with it; made by pass_flow.c, see test_flow.c; strings,
 * see test_text_models.c; pictures, see test_image_models.c. */
static const char *const elsewhere[] = {"tree_table",  "unreachable", "text_load",  "text_concat",
                                        "text_equal",  "text_match",  "text_find",  "text_case",
                                        "text_filter", "text_split",  "text_parse", "text_print",
                                        "cut",         "image_decode"};

static void find_row(void *self, const neo_op *op) {
  size_t n = strlen(op->name);
  bool found = false;
  (void)self;
  for (int k = 0; !found && k < NEO_COUNT(unaries); k++)
    found = strncmp(unaries[k].call, op->name, n) == 0 && unaries[k].call[n] == '(';
  for (int k = 0; !found && k < NEO_COUNT(golden); k++)
    found = strncmp(golden[k].call, op->name, n) == 0 && golden[k].call[n] == '(';
  for (int k = 0; !found && k < NEO_COUNT(elsewhere); k++)
    found = strcmp(elsewhere[k], op->name) == 0;
  if (!found)
    fail_msg("operator %s has no row in this test", op->name);
  assert_true(op->infer && (op->lower || op->eval || op->runtime || neo_expansion_find(op)));
  assert_non_null(strchr("ecvmo", op->fuse));
}

static void every_operator_has_a_row_here(void **state) {
  (void)state;
  neo_op_visit(find_row, NULL);
}

/* ---- what is refused ----------------------------------------------------------------------------- */

static const struct {
  const char *call, *specs[5], *why;
  neo_status status;
} refused[] = {
    {"conv(%0, %1)",
     {"input f32 [1,3,5,5]", "input f32 [4,2,3,3]"},
     "3 input channels",
     NEO_BAD_INPUT},
    {"conv(%0, %1) {strides=[0,1]}",
     {"input f32 [1,3,5,5]", "input f32 [4,3,3,3]"},
     "strides has the value 0",
     NEO_BAD_INPUT},
    {"conv(%0, %1) {pads=[1,1,1]}",
     {"input f32 [1,3,5,5]", "input f32 [4,3,3,3]"},
     "pads has 3 values, 4 expected",
     NEO_BAD_INPUT},
    {"conv(%0, %1)", {"input f32 [1,3,2,2]", "input f32 [4,3,3,3]"}, "window of 3", NEO_BAD_INPUT},
    {"conv(%0, %1)", {"input f32 [1,3,5,5]", "input f16 [4,3,3,3]"}, "f16", NEO_BAD_INPUT},
    {"add(%0, %1)", {"input f32 [2,3]", "input f32 [4]"}, "shapes [2,3] and [4]", NEO_BAD_INPUT},
    {"add(%0, %1)", {"input f32 [2]", "input i32 [2]"}, "i32", NEO_BAD_INPUT},
    {"sqrt(%0)", {"input i32 [2]"}, "not defined for i32", NEO_BAD_INPUT},
    {"matmul(%0, %1)",
     {"input f32 [2,3]", "input f32 [2,3]"},
     "inner dimensions 3 and 2",
     NEO_BAD_INPUT},
    {"reshape(%0, %1)", {"input f32 [6]", "const i64 [2] {4,-1}"}, "6 elements", NEO_BAD_INPUT},
    {"reshape(%0, %1)", {"input f32 [6]", "input i64 [2]"}, "must be a constant", NEO_UNSUPPORTED},
    {"concat(%0, %1) {axis=3}", {"input f32 [6]", "input f32 [6]"}, "axis 3", NEO_BAD_INPUT},
    {"transpose(%0) {perm=[0,0]}", {"input f32 [6,6]"}, "permutation", NEO_BAD_INPUT},
    {"softmax(%0) {axis=2}", {"input f32 [6,6]"}, "axis 2", NEO_BAD_INPUT},
    {"gather(%0, %1)", {"input f32 [6]", "input f32 [1]"}, "indices are f32", NEO_BAD_INPUT},
    {"slice(%0) {ends=[1], starts=[0,1]}", {"input f32 [6]"}, "2 starts, 1 ends", NEO_BAD_INPUT},
    {"resize(%0) {mode=\"area\"}", {"input f32 [6]"}, "mode 'area'", NEO_UNSUPPORTED},
    {"cast(%0) {to=\"string\"}", {"input f32 [6]"}, "string", NEO_UNSUPPORTED},
    {"pad(%0) {pads=[-4,-4]}", {"input f32 [6]"}, "dimension 0 would be -2", NEO_BAD_INPUT},
    {"tile(%0, %1)",
     {"input f32 [6]", "const i64 [1] {9223372036854775807}"},
     "repeats",
     NEO_BAD_INPUT},
    {"expand(%0, %1)", {"input f32 [6]", "const i64 [1] {4}"}, "broadcast", NEO_BAD_INPUT},
    {"split(%0) {split=[4,4]}", {"input f32 [6]"}, "split has 2 values for 1", NEO_BAD_INPUT},
    {"einsum(%0) {equation=\"i$\"}", {"input f32 [6]"}, "equation 'i$'", NEO_UNSUPPORTED},
    {"range(%0, %1, %2)",
     {"const i64 [] {1}", "const i64 [] {2}", "const i64 [] {0}"},
     "by 0",
     NEO_BAD_INPUT},
};

static void bad_nodes_are_named(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(refused); k++) {
    op_run r;
    neo_status s = op_begin(&r, &ctx, refused[k].call, refused[k].specs, 1);
    if (s != refused[k].status || !strstr(ctx.message, refused[k].why) ||
        !strstr(ctx.message, "node 'node' ("))
      fail_msg("%s: status %d, '%s'; '%s' expected", refused[k].call, s, ctx.message,
               refused[k].why);
    op_end(&r);
  }
}

/* ---- the form that schedules rely on ---------------------------------------------------------------- */

static void assert_lowers_to(const char *call, const char *const *specs, const char *want) {
  op_run r;
  neo_arena arena;
  int in_value[NEO_TE_MAX_BUFFERS];
  op_expect_ok(&r, op_begin(&r, &ctx, call, specs, 1), call);
  neo_arena_init(&arena);
  neo_te *te = neo_arena_alloc(&arena, sizeof *te);
  neo_te_init(te, &arena);
  const neo_node *node = &r.graph->node[0];
  op_expect_ok(&r, node->op->lower(&ctx, r.graph, node, te, in_value), call);
  op_expect_ok(&r, neo_te_canonicalise(&ctx, te, NULL), call);
  neo_buf buf = {0};
  neo_te_print(&buf, te);
  assert_string_equal(buf.data, want);
  neo_buf_fini(&buf);
  neo_arena_fini(&arena);
  op_end(&r);
}

static void convolutions_have_the_agreed_form(void **state) {
  (void)state;
  assert_lowers_to(
      "conv(%0, %1, %2) {pads=[1,1,1,1]}",
      SPECS("input f32 [1,8,9,9]", "input f32 [6,8,3,3]", "input f32 [6]"),
      "te 1\nb0 in f32 [1,8,9,9]\nb1 in f32 [6,8,3,3]\nb2 in f32 [6]\nb3 tmp f32 [1,6,9,9]\n"
      "b4 out f32 [1,6,9,9]\n"
      "B0 b3[i0, i1, i2, i3] s[1,6,9,9] r[8,3,3] add f32:0\n"
      "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<9, 0<=i3+i6-1<9 else 0], b1[i1, i4, i5, i6])\n"
      "B1 b4[i0, i1, i2, i3] s[1,6,9,9]\n  add(b3[0, i1, i2, i3], b2[i1])\n");
  assert_lowers_to("conv(%0, %1) {group=8, strides=[2,2]}",
                   SPECS("input f32 [1,8,9,9]", "input f32 [8,1,3,3]"),
                   "te 1\nb0 in f32 [1,8,9,9]\nb1 in f32 [8,1,3,3]\nb2 out f32 [1,8,4,4]\n"
                   "B0 b2[i0, i1, i2, i3] s[1,8,4,4] r[3,3] add f32:0\n"
                   "  mul(b0[0, i1, i2*2+i4, i3*2+i5], b1[i1, 0, i4, i5])\n");
  assert_lowers_to("conv(%0, %1) {group=2}", SPECS("input f32 [1,8,9,9]", "input f32 [6,4,1,1]"),
                   "te 1\nb0 in f32 [1,8,9,9]\nb1 in f32 [6,4,1,1]\nb2 out f32 [1,6,9,9]\n"
                   "B0 b2[0, i1*3+i2, i3, i4] s[1,2,3,9,9] r[4,1,1] add f32:0\n"
                   "  mul(b0[0, i1*4+i5, i3, i4], b1[i1*3+i2, i5, 0, 0])\n");
  assert_lowers_to(
      "matmul(%0, %1)", SPECS("input f32 [2,3,4]", "input f32 [4,5]"),
      "te 1\nb0 in f32 [2,3,4]\nb1 in f32 [4,5]\nb2 out f32 [2,3,5]\n"
      "B0 b2[i0, i1, i2] s[2,3,5] r[4] add f32:0\n  mul(b0[i0, i1, i3], b1[i3, i2])\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(unary_operators_equal_libm, setup),
      cmocka_unit_test_setup(half_floats_round_once, setup),
      cmocka_unit_test_setup(golden_values, setup),
      cmocka_unit_test_setup(every_operator_has_a_row_here, setup),
      cmocka_unit_test_setup(bad_nodes_are_named, setup),
      cmocka_unit_test_setup(convolutions_have_the_agreed_form, setup),
  };
  return cmocka_run_group_tests_name("operator table", tests, NULL, NULL);
}
