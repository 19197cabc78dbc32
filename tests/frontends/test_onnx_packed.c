/* tests/frontends/test_onnx_packed.c: element types that are widened when read, by values worked
 * out by hand from their layouts. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "frontends/onnx_packed.h"

static const struct {
  int32_t type;
  neo_dtype dtype;
  int64_t n;
  size_t bytes;
  uint8_t data[8];
  double values[8];
} rows[] = {
    {17, NEO_F32, 6, 6, {0x38, 0xb8, 0x01, 0x7e, 0x7f, 0x80}, {1, -1, 0x1p-9, 448, NAN, -0.0}},
    {18, NEO_F32, 4, 4, {0x40, 0x80, 0x7f, 0x01}, {1, NAN, 240, 0x1p-10}},
    {19, NEO_F32, 5, 5, {0x3c, 0x7c, 0xfc, 0x7d, 0x7b}, {1, INFINITY, -INFINITY, NAN, 57344}},
    {20, NEO_F32, 3, 3, {0x40, 0x80, 0x7f}, {1, NAN, 57344}},
    {21, NEO_U8, 3, 2, {0xf1, 0x07}, {1, 15, 7}},
    {22, NEO_I8, 3, 2, {0xf1, 0x08}, {1, -1, -8}},
    {25, NEO_U8, 5, 2, {0xe4, 0x02}, {0, 1, 2, 3, 2}},
    {26, NEO_I8, 4, 1, {0xe4}, {0, 1, -2, -1}},
};

static void values_as_worked_out(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  for (int r = 0; r < NEO_COUNT(rows); r++) {
    neo_tensor t;
    neo_dtype dtype;
    assert_true(onnx_packed_dtype(rows[r].type, &dtype));
    assert_int_equal(dtype, rows[r].dtype);
    assert_int_equal(onnx_packed_bytes(rows[r].type, rows[r].n), rows[r].bytes);
    assert_int_equal(neo_tensor_create(&ctx, dtype, &(neo_shape){1, {rows[r].n}}, &t), NEO_OK);
    onnx_packed_store(rows[r].type, rows[r].data, rows[r].n, &t);
    for (int64_t i = 0; i < rows[r].n; i++) {
      double got = neo_tensor_get_f64(&t, i), want = rows[r].values[i];
      if (got != want && !(isnan(got) && isnan(want)))
        fail_msg("type %d, element %d: %g, %g expected", rows[r].type, (int)i, got, want);
    }
    neo_tensor_free(&ctx, &t);
  }
  neo_dtype dtype;
  assert_false(onnx_packed_dtype(1, &dtype));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values_as_worked_out)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
