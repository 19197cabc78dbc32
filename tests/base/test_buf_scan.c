/* Growable bytes, bounded reading and text scanning: round trips, limits, hostile input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <locale.h>
#include <math.h>
#include <string.h>

#include "base/core.h"

static void test_buf_grows_and_stays_terminated(void **state) {
  (void)state;
  neo_buf buf = {0};
  for (int i = 0; i < 1000; i++) {
    neo_buf_printf(&buf, "%d,", i);
    assert_int_equal(buf.data[buf.size], '\0');
  }
  assert_int_equal(strlen(buf.data), buf.size);
  assert_int_equal(buf.size, 10 * 2 + 90 * 3 + 900 * 4);
  neo_buf_clear(&buf);
  assert_string_equal(buf.data, "");
  neo_buf_printf(&buf, "%0300d", 7);
  assert_int_equal(buf.size, 300);
  assert_false(buf.failed);
  neo_buf_fini(&buf);
  assert_null(buf.data);
}

static void test_buf_fails_for_good(void **state) {
  (void)state;
  neo_buf buf = {0};
  neo_buf_text(&buf, "kept");
  neo_buf_append(&buf, "", SIZE_MAX / 2);
  assert_true(buf.failed);
  neo_buf_text(&buf, "dropped");
  assert_string_equal(buf.data, "kept");
  neo_buf_fini(&buf);
}

static void test_little_endian_round_trip(void **state) {
  (void)state;
  neo_buf buf = {0};
  neo_buf_u8(&buf, 0xab);
  neo_buf_u32le(&buf, 0x01020304);
  neo_buf_u64le(&buf, 0x1122334455667788);
  assert_int_equal(buf.size, 13);
  assert_int_equal((uint8_t)buf.data[1], 4);
  neo_reader reader = {.data = (const uint8_t *)buf.data, .size = buf.size};
  assert_int_equal(neo_read_u8(&reader), 0xab);
  assert_int_equal(neo_read_u32le(&reader), 0x01020304);
  assert_true(neo_read_u64le(&reader) == 0x1122334455667788);
  assert_false(reader.failed);
  assert_int_equal(neo_read_u8(&reader), 0);
  assert_true(reader.failed);
  neo_buf_fini(&buf);
}

static void test_reader_stays_failed(void **state) {
  (void)state;
  const uint8_t data[6] = {1, 2, 3, 4, 5, 6};
  neo_reader reader = {.data = data, .size = 6};
  assert_null(neo_read_bytes(&reader, SIZE_MAX));
  assert_int_equal(neo_read_u32le(&reader), 0);
  assert_null(neo_read_bytes(&reader, 0));
  neo_reader fresh = {.data = data, .size = 6};
  assert_ptr_equal(neo_read_bytes(&fresh, 6), data);
  assert_non_null(neo_read_bytes(&fresh, 0));
  assert_int_equal(neo_read_u64le(&fresh), 0);
  assert_true(fresh.failed);
}

static void check_double(double v, const char *expected) {
  neo_buf buf = {0};
  neo_buf_double(&buf, v);
  assert_string_equal(buf.data, expected);
  neo_buf_fini(&buf);
}

static void test_double_is_shortest(void **state) {
  (void)state;
  check_double(0.1, "0.1");
  check_double(-0.0, "-0");
  check_double(1.0, "1");
  check_double(1e21, "1e+21");
  check_double(1.0 / 3.0, "0.3333333333333333");
  check_double(5e-324, "5e-324");
  check_double(DBL_MAX, "1.7976931348623157e+308");
  check_double(DBL_MIN, "2.2250738585072014e-308");
  check_double(0x1p-44, "5.684341886080802e-14");
  check_double(9007199254740993.0, "9007199254740992");
  check_double(INFINITY, "inf");
  check_double(-INFINITY, "-inf");
  check_double(NAN, "nan");
}

static void test_double_round_trip_of_random_bits(void **state) {
  (void)state;
  neo_rng rng;
  neo_rng_init(&rng, 11);
  neo_buf buf = {0};
  for (int i = 0; i < 20000; i++) {
    uint64_t bits = neo_rng_next(&rng);
    if (i % 4 == 0)
      bits &= ~(UINT64_C(0x7ff) << 52);
    if (i % 4 == 1)
      bits &= UINT64_C(0xfff) << 52;
    double v, back;
    memcpy(&v, &bits, sizeof(v));
    neo_buf_clear(&buf);
    neo_buf_double(&buf, v);
    neo_scan scan;
    neo_scan_init(&scan, buf.data);
    assert_true(neo_scan_double(&scan, &back));
    assert_true(neo_scan_end(&scan));
    assert_true(isnan(v) ? isnan(back) : memcmp(&v, &back, sizeof(v)) == 0);
  }
  neo_buf_fini(&buf);
}

static void test_double_ignores_the_locale(void **state) {
  (void)state;
  const char *comma_locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
  bool found = false;
  for (int i = 0; i < NEO_COUNT(comma_locales) && !found; i++)
    found = setlocale(LC_NUMERIC, comma_locales[i]) != NULL;
  if (!found)
    print_message("no locale with a decimal comma is installed: tested with \"C\" only\n");
  double v = 0;
  neo_scan scan;
  neo_scan_init(&scan, "1.5");
  bool ok = neo_scan_double(&scan, &v);
  neo_buf buf = {0};
  neo_buf_double(&buf, 2.25);
  setlocale(LC_NUMERIC, "C");
  assert_true(ok && v == 1.5);
  assert_string_equal(buf.data, "2.25");
  neo_buf_fini(&buf);
}

static bool scan_int(const char *text, int64_t *out) {
  neo_scan scan;
  neo_scan_init(&scan, text);
  return neo_scan_int(&scan, out);
}

static void test_scan_int_limits(void **state) {
  (void)state;
  int64_t v = 5;
  assert_true(scan_int(" \t-17x", &v) && v == -17);
  assert_true(scan_int("+3", &v) && v == 3);
  assert_true(scan_int("9223372036854775807", &v) && v == INT64_MAX);
  assert_true(scan_int("-9223372036854775808", &v) && v == INT64_MIN);
  v = 5;
  assert_false(scan_int("9223372036854775808", &v));
  assert_false(scan_int("-9223372036854775809", &v));
  assert_false(scan_int("99999999999999999999999999", &v));
  assert_false(scan_int("", &v));
  assert_false(scan_int("-", &v));
  assert_false(scan_int("\n1", &v));
  assert_int_equal(v, 5);
}

static bool scan_double(const char *text, double *out, const char **rest) {
  neo_scan scan;
  neo_scan_init(&scan, text);
  bool ok = neo_scan_double(&scan, out);
  *rest = scan.at;
  return ok;
}

static void test_scan_double_forms(void **state) {
  (void)state;
  double v;
  const char *rest;
  assert_true(scan_double(" -1.5e3,", &v, &rest) && v == -1500 && *rest == ',');
  assert_true(scan_double("2e", &v, &rest) && v == 2 && *rest == 'e');
  assert_true(scan_double(".5", &v, &rest) && v == 0.5);
  assert_true(scan_double("-inf)", &v, &rest) && v == -INFINITY && *rest == ')');
  assert_true(scan_double("nan", &v, &rest) && isnan(v));
  assert_true(scan_double("1e-400", &v, &rest) && v == 0);
  v = 7;
  assert_false(scan_double("1e400", &v, &rest));
  assert_false(scan_double("infinite", &v, &rest));
  assert_false(scan_double(".", &v, &rest));
  assert_false(scan_double("e5", &v, &rest));
  assert_true(scan_double("0x10", &v, &rest) && v == 0 && *rest == 'x');
}

static void test_scan_lines_and_names(void **state) {
  (void)state;
  neo_scan scan;
  char name[8] = "none";
  neo_scan_init(&scan, "  block_0 = 4 \n\n  toolongname \t\n");
  assert_true(neo_scan_name(&scan, name, sizeof(name)));
  assert_string_equal(name, "block_0");
  assert_false(neo_scan_token(&scan, "=="));
  assert_true(neo_scan_token(&scan, "="));
  int64_t v;
  assert_true(neo_scan_int(&scan, &v) && v == 4);
  assert_false(neo_scan_end(&scan));
  assert_int_equal(scan.line, 1);
  assert_true(neo_scan_newline(&scan));
  assert_true(neo_scan_newline(&scan));
  assert_false(neo_scan_newline(&scan));
  assert_int_equal(scan.line, 3);
  assert_false(neo_scan_name(&scan, name, sizeof(name)));
  assert_string_equal(name, "block_0");
  char longer[32];
  assert_true(neo_scan_name(&scan, longer, sizeof(longer)));
  assert_true(neo_scan_end(&scan));
  assert_int_equal(scan.line, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_buf_grows_and_stays_terminated),
      cmocka_unit_test(test_buf_fails_for_good),
      cmocka_unit_test(test_little_endian_round_trip),
      cmocka_unit_test(test_reader_stays_failed),
      cmocka_unit_test(test_double_is_shortest),
      cmocka_unit_test(test_double_round_trip_of_random_bits),
      cmocka_unit_test(test_double_ignores_the_locale),
      cmocka_unit_test(test_scan_int_limits),
      cmocka_unit_test(test_scan_double_forms),
      cmocka_unit_test(test_scan_lines_and_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
