/* tests/ir/test_narrow.c: narrow element types: the expressions that cast lowers to against the
 * slow conversions of ir/tensor_narrow.c, over every code and over floats around every value. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "ir/graph.h"

static neo_ctx ctx;

static void cast(neo_tensor *from, neo_dtype to, neo_tensor *out) {
  neo_graph *graph = NULL;
  assert_int_equal(neo_graph_create(&ctx, "g", &graph), NEO_OK);
  int x = neo_graph_add_input(graph, "x", from->dtype, &from->shape);
  neo_node *node = neo_graph_add_node(graph, "cast", "n", 1, &x, 1);
  neo_node_set_string(graph, node, "to", neo_dtype_name(to));
  neo_graph_add_output(graph, node->output[0], "y");
  assert_int_equal(neo_pass_infer(&ctx, graph), NEO_OK);
  assert_int_equal(neo_graph_interpret(&ctx, graph, from, out), NEO_OK);
  neo_graph_destroy(graph);
}

static const neo_dtype floats[] = {NEO_F8E4M3FN,   NEO_F8E4M3FNUZ, NEO_F8E5M2,
                                   NEO_F8E5M2FNUZ, NEO_F8E8M0,     NEO_F4E2M1};

static bool same(double a, double b) {
  return (a == b && signbit(a) == signbit(b)) || (isnan(a) && isnan(b));
}

static void every_code_decodes(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(floats); k++) {
    int n = 1 << neo_narrow_bits(floats[k]);
    neo_tensor codes, wide;
    assert_int_equal(neo_tensor_create(&ctx, floats[k], &(neo_shape){1, {n}}, &codes), NEO_OK);
    for (int c = 0; c < n; c++)
      ((uint8_t *)codes.data)[c] = (uint8_t)c;
    cast(&codes, NEO_F32, &wide);
    for (int c = 0; c < n; c++)
      if (!same(neo_tensor_get_f64(&wide, c), neo_narrow_decode(floats[k], (uint8_t)c)))
        fail_msg("%s: code %d is %g, %g expected", neo_dtype_name(floats[k]), c,
                 neo_tensor_get_f64(&wide, c), neo_narrow_decode(floats[k], (uint8_t)c));
    neo_tensor_free(&ctx, &codes);
    neo_tensor_free(&ctx, &wide);
  }
}

/* Every value, the midpoints between neighbours, and one step to either side of each. */
static void every_rounding(void **state) {
  (void)state;
  enum { PER_CODE = 6 };
  for (int k = 0; k < NEO_COUNT(floats); k++) {
    if (floats[k] == NEO_F8E8M0)
      continue; /* rounds up, not to the nearest: the onnx package's cases */
    int half = 1 << (neo_narrow_bits(floats[k]) - 1), n = 0;
    neo_tensor values, codes;
    assert_int_equal(
        neo_tensor_create(&ctx, NEO_F32, &(neo_shape){1, {2 * half * PER_CODE}}, &values), NEO_OK);
    float *v = values.data;
    for (int c = 0; c < 2 * half; c++) {
      float a = (float)neo_narrow_decode(floats[k], (uint8_t)c);
      float b = (float)neo_narrow_decode(floats[k], (uint8_t)((c + 1) % (2 * half)));
      float middle = isfinite(a) && isfinite(b) ? (a + b) / 2 : 1e9f;
      float around[PER_CODE] = {a,
                                nextafterf(a, 2 * a + 1),
                                middle,
                                nextafterf(middle, 0),
                                nextafterf(middle, INFINITY),
                                -middle};
      for (int i = 0; i < PER_CODE; i++)
        v[n++] = isinf(around[i]) ? 1 : around[i];
    }
    cast(&values, floats[k], &codes);
    for (int i = 0; i < n; i++) {
      double got = neo_tensor_get_f64(&codes, i);
      double want = neo_narrow_decode(floats[k], neo_narrow_encode(floats[k], (double)v[i]));
      if (!same(got, want) && !(isnan(v[i]) && floats[k] == NEO_F4E2M1))
        fail_msg("%s: %.9g became %g, %g expected", neo_dtype_name(floats[k]), (double)v[i], got,
                 want);
    }
    neo_tensor_free(&ctx, &values);
    neo_tensor_free(&ctx, &codes);
  }
}

static void integers_wrap(void **state) {
  (void)state;
  static const double in[] = {-9, -8, -3, -1, 0, 1, 2, 3, 7, 8, 15, 16};
  static const double i4[] = {7, -8, -3, -1, 0, 1, 2, 3, 7, -8, -1, 0},
                      u4[] = {7, 8, 13, 15, 0, 1, 2, 3, 7, 8, 15, 0},
                      i2[] = {-1, 0, 1, -1, 0, 1, -2, -1, -1, 0, -1, 0};
  static const struct {
    neo_dtype to;
    const double *want;
  } rows[] = {{NEO_I4, i4}, {NEO_U4, u4}, {NEO_I2, i2}};
  neo_tensor values, got;
  assert_int_equal(neo_tensor_create(&ctx, NEO_F32, &(neo_shape){1, {NEO_COUNT(in)}}, &values),
                   NEO_OK);
  for (int i = 0; i < NEO_COUNT(in); i++)
    neo_tensor_set_f64(&values, i, in[i]);
  for (int r = 0; r < NEO_COUNT(rows); r++) {
    cast(&values, rows[r].to, &got);
    for (int i = 0; i < NEO_COUNT(in); i++)
      assert_true(neo_tensor_get_f64(&got, i) == rows[r].want[i]);
    neo_tensor_free(&ctx, &got);
  }
  neo_tensor_free(&ctx, &values);
}

static void arithmetic_is_refused(void **state) {
  (void)state;
  neo_graph *graph = NULL;
  neo_shape shape = {1, {3}};
  assert_int_equal(neo_graph_create(&ctx, "g", &graph), NEO_OK);
  int x = neo_graph_add_input(graph, "x", NEO_F8E5M2, &shape);
  neo_node *node = neo_graph_add_node(graph, "add", "n", 2, (int[]){x, x}, 1);
  neo_graph_add_output(graph, node->output[0], "y");
  assert_int_equal(neo_pass_infer(&ctx, graph), NEO_UNSUPPORTED);
  neo_ctx_clear(&ctx);
  neo_graph_destroy(graph);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_code_decodes),
      cmocka_unit_test(every_rounding),
      cmocka_unit_test(integers_wrap),
      cmocka_unit_test(arithmetic_is_refused),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
