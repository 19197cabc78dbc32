/* tests/ir/test_tensor.c: 16-bit floats, shapes, elements and .npy files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/host.h"
#include "ir/tensor.h"

#include <math.h>
#include <string.h>

static neo_ctx ctx;
static char folder[256];

static int start(void **state) {
  (void)state;
  neo_ctx_init(&ctx, 1);
  return neo_dir_temp(&ctx, NULL, folder) == NEO_OK ? 0 : -1;
}

static int stop(void **state) {
  (void)state;
  return neo_dir_remove(&ctx, folder) == NEO_OK ? 0 : -1;
}

/* ---- 16-bit floats ----------------------------------------------------------------------------- */

static void every_half_survives(void **state) {
  (void)state;
  for (uint32_t bits = 0; bits < 65536; bits++) {
    float h = neo_f16_to_f32((uint16_t)bits), b = neo_bf16_to_f32((uint16_t)bits);
    if (!isnan(h))
      assert_int_equal(neo_f32_to_f16(h), bits);
    else
      assert_true(isnan(neo_f16_to_f32(neo_f32_to_f16(h))));
    if (!isnan(b))
      assert_int_equal(neo_f32_to_bf16(b), bits);
    else
      assert_true(isnan(neo_bf16_to_f32(neo_f32_to_bf16(b))));
  }
}

/* Between two neighbours: below the middle goes down, above it up, the middle to the even one. */
static void rounding_is_half_to_even(void **state) {
  (void)state;
  for (uint32_t bits = 0; bits < 0x7bff; bits++) {
    double lo = neo_f16_to_f32((uint16_t)bits), hi = neo_f16_to_f32((uint16_t)(bits + 1)),
           middle = (lo + hi) / 2;
    assert_int_equal(neo_f32_to_f16((float)middle), bits + (bits & 1));
    uint16_t cell;
    neo_tensor t = {.dtype = NEO_F16, .data = &cell, .size = 2};
    neo_tensor_set_f64(&t, 0, nextafter(middle, 1e9)); /* a double rounding would miss this */
    assert_int_equal(cell, bits + 1);
    neo_tensor_set_f64(&t, 0, -nextafter(middle, 0));
    assert_int_equal(cell, 0x8000 | bits);
  }
  assert_int_equal(neo_f32_to_f16(65519), 0x7bff);
  assert_int_equal(neo_f32_to_f16(65520), 0x7c00);
  assert_int_equal(neo_f32_to_bf16(3.4028234e38f), 0x7f80);
}

/* ---- shapes and elements ------------------------------------------------------------------------- */

static void shapes_broadcast_and_overflow(void **state) {
  (void)state;
  neo_shape a = {.rank = 3, .dim = {2, 1, 3}}, b = {.rank = 2, .dim = {4, 1}}, c;
  int64_t n;
  assert_true(neo_shape_broadcast(&a, &b, &c));
  assert_true(neo_shape_equal(&c, &(neo_shape){.rank = 3, .dim = {2, 4, 3}}));
  assert_false(neo_shape_broadcast(&a, &(neo_shape){.rank = 1, .dim = {2}}, &c));
  assert_true(neo_shape_elements(&(neo_shape){0}, &n) && n == 1);
  assert_true(neo_shape_elements(&(neo_shape){.rank = 2, .dim = {0, 5}}, &n) && n == 0);
  assert_false(neo_shape_elements(&(neo_shape){.rank = 1, .dim = {-1}}, &n));
  assert_false(neo_shape_elements(&(neo_shape){.rank = 2, .dim = {INT64_MAX, 2}}, &n));
  assert_false(neo_shape_elements(
      &(neo_shape){.rank = 3, .dim = {INT64_C(1) << 40, INT64_C(1) << 40, 0}}, &n));
}

static void elements_saturate_and_wrap(void **state) {
  (void)state;
  uint64_t cell = 0;
  neo_tensor t = {.dtype = NEO_I8, .data = &cell, .size = 1};
  neo_tensor_set_f64(&t, 0, 300);
  assert_int_equal(neo_tensor_get_i64(&t, 0), 127);
  neo_tensor_set_f64(&t, 0, -1.9);
  assert_int_equal(neo_tensor_get_i64(&t, 0), -1);
  neo_tensor_set_i64(&t, 0, 300);
  assert_int_equal(neo_tensor_get_i64(&t, 0), 44);
  t.dtype = NEO_U64;
  neo_tensor_set_f64(&t, 0, 1e30);
  assert_true(neo_tensor_get_f64(&t, 0) == 18446744073709551616.0);
  t.dtype = NEO_BOOL;
  neo_tensor_set_f64(&t, 0, 0.5);
  assert_int_equal(neo_tensor_get_i64(&t, 0), 1);
  neo_dtype dtype;
  assert_true(neo_dtype_find("float16", &dtype) && dtype == NEO_F16);
  assert_false(neo_dtype_find("complex64", &dtype));
}

/* ---- npy ----------------------------------------------------------------------------------------- */

static const char *path_of(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static void every_type_round_trips(void **state) {
  (void)state;
  static const neo_shape shapes[] = {{0}, {1, {5}}, {3, {2, 3, 4}}, {2, {0, 7}}};
  for (int d = 0; d < NEO_STR; d++) {
    for (int s = 0; s < NEO_COUNT(shapes); s++) {
      neo_tensor t, back;
      assert_int_equal(neo_tensor_create(&ctx, (neo_dtype)d, &shapes[s], &t), NEO_OK);
      for (size_t k = 0; k < t.size / neo_dtype_size(t.dtype); k++)
        neo_tensor_set_i64(&t, (int64_t)k, (int64_t)k % 100);
      assert_int_equal(neo_npy_write(&ctx, path_of("t.npy"), &t), NEO_OK);
      assert_int_equal(neo_npy_read(&ctx, path_of("t.npy"), &back), NEO_OK);
      assert_int_equal(back.dtype, t.dtype);
      assert_true(neo_shape_equal(&back.shape, &t.shape));
      assert_memory_equal(back.data, t.data, t.size);
      neo_tensor_free(&ctx, &t);
      neo_tensor_free(&ctx, &back);
    }
  }
}

static neo_status read_bytes(const char *header, const void *data, size_t size, neo_tensor *out) {
  neo_buf buf = {0};
  neo_buf_append(&buf, "\x93NUMPY\x01\x00", 8);
  neo_buf_u8(&buf, (uint8_t)strlen(header));
  neo_buf_u8(&buf, 0);
  neo_buf_text(&buf, header);
  neo_buf_append(&buf, data, size);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_file_write(&ctx, path_of("raw.npy"), buf.data, buf.size), NEO_OK);
  neo_buf_fini(&buf);
  return neo_npy_read(&ctx, path_of("raw.npy"), out);
}

static void other_orders_are_read(void **state) {
  (void)state;
  neo_tensor t;
  static const uint8_t big[] = {0, 1, 0, 2, 0xff, 0xfe}, columns[] = {1, 2, 3, 4, 5, 6};
  assert_int_equal(
      read_bytes("{'descr': '>i2', 'fortran_order': False, 'shape': (3,), }\n", big, 6, &t),
      NEO_OK);
  assert_int_equal(neo_tensor_get_i64(&t, 1), 2);
  assert_int_equal(neo_tensor_get_i64(&t, 2), -2);
  neo_tensor_free(&ctx, &t);
  assert_int_equal(
      read_bytes("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", columns, 6, &t),
      NEO_OK);
  assert_int_equal(neo_tensor_get_i64(&t, 1), 3);
  assert_int_equal(neo_tensor_get_i64(&t, 3), 2);
  neo_tensor_free(&ctx, &t);
}

static void bad_files_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *header, *why;
    neo_status status;
  } rows[] = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999,), }", "bytes of data",
       NEO_BAD_INPUT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9), }", "too large",
       NEO_BAD_INPUT},
      {"{'descr': '<U0', 'fortran_order': False, 'shape': (9999999999,), }", "too large",
       NEO_BAD_INPUT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "tuple of sizes",
       NEO_BAD_INPUT},
      {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "<c8", NEO_UNSUPPORTED},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "structured",
       NEO_BAD_INPUT},
      {"{'fortran_order': False, 'shape': (1,), }", "descr", NEO_BAD_INPUT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1", "tuple of sizes", NEO_BAD_INPUT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", "8 dim",
       NEO_BAD_INPUT},
  };
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    neo_tensor t;
    neo_status s = read_bytes(rows[k].header, "1234", 4, &t);
    if (s != rows[k].status || !strstr(ctx.message, rows[k].why))
      fail_msg("row %d: status %d '%s'", k, s, ctx.message);
  }
  neo_tensor t;
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_npy_read(&ctx, path_of("absent.npy"), &t), NEO_IO);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_file_write(&ctx, path_of("text.npy"), "hello", 5), NEO_OK);
  assert_int_equal(neo_npy_read(&ctx, path_of("text.npy"), &t), NEO_BAD_INPUT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_half_survives),           cmocka_unit_test(rounding_is_half_to_even),
      cmocka_unit_test(shapes_broadcast_and_overflow), cmocka_unit_test(elements_saturate_and_wrap),
      cmocka_unit_test(every_type_round_trips),        cmocka_unit_test(other_orders_are_read),
      cmocka_unit_test(bad_files_are_refused),
  };
  return cmocka_run_group_tests_name("tensor", tests, start, stop);
}
