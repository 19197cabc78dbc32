/* tests/frontends/test_onnx_packed.c: narrow element types as files pack them, by values worked out
 * by hand from their layouts. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "frontends/onnx_packed.h"

static const struct {
  neo_dtype dtype;
  int64_t n;
  size_t bytes;
  uint8_t data[8];
  double values[8];
} rows[] = {
    {NEO_F8E4M3FN, 6, 6, {0x38, 0xb8, 0x01, 0x7e, 0x7f, 0x80}, {1, -1, 0x1p-9, 448, NAN, -0.0}},
    {NEO_F8E4M3FNUZ, 4, 4, {0x40, 0x80, 0x7f, 0x01}, {1, NAN, 240, 0x1p-10}},
    {NEO_F8E5M2, 5, 5, {0x3c, 0x7c, 0xfc, 0x7d, 0x7b}, {1, INFINITY, -INFINITY, NAN, 57344}},
    {NEO_F8E5M2FNUZ, 3, 3, {0x40, 0x80, 0x7f}, {1, NAN, 57344}},
    {NEO_F8E8M0, 4, 4, {0x7f, 0x80, 0x00, 0xff}, {1, 2, 0x1p-127, NAN}},
    {NEO_F4E2M1, 5, 3, {0x21, 0xf7, 0x09}, {0.5, 1, 6, -6, -0.5}},
    {NEO_U4, 3, 2, {0xf1, 0x07}, {1, 15, 7}},
    {NEO_I4, 3, 2, {0xf1, 0x08}, {1, -1, -8}},
    {NEO_U2, 5, 2, {0xe4, 0x02}, {0, 1, 2, 3, 2}},
    {NEO_I2, 4, 1, {0xe4}, {0, 1, -2, -1}},
};

static void values_as_worked_out(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  for (int r = 0; r < NEO_COUNT(rows); r++) {
    neo_tensor t;
    assert_int_equal(onnx_packed_bytes(neo_narrow_bits(rows[r].dtype), rows[r].n), rows[r].bytes);
    assert_int_equal(neo_tensor_create(&ctx, rows[r].dtype, &(neo_shape){1, {rows[r].n}}, &t),
                     NEO_OK);
    onnx_packed_store(rows[r].data, rows[r].n, &t);
    for (int64_t i = 0; i < rows[r].n; i++) {
      double got = neo_tensor_get_f64(&t, i), want = rows[r].values[i];
      if (got != want && !(isnan(got) && isnan(want)))
        fail_msg("%s, element %d: %g, %g expected", neo_dtype_name(rows[r].dtype), (int)i, got,
                 want);
    }
    neo_tensor_free(&ctx, &t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(values_as_worked_out)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
