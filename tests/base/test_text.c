/* tests/base/test_text.c: what operators on strings are made of. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static neo_ctx ctx;

static char *room(void *left, size_t bytes) {
  int *n = left;
  return (*n)-- > 0 ? test_malloc(bytes) : NULL;
}

static void patterns_match_whole_texts(void **state) {
  static const struct {
    const char *pattern, *text;
    bool matches;
  } rows[] = {
      {"a*b", "aaab", true},
      {"a*b", "aaabc", false},
      {"", "", true},
      {"(\\W|^)[\\w.\\-]{0,25}@(yahoo|gmail)\\.com(\\W|$)", "account@gmail.com", true},
      {"(\\W|^)[\\w.\\-]{0,25}@(yahoo|gmail)\\.com(\\W|$)", "account@hotmail.com", false},
      {"www\\.[\\w.-]+\\.\\bcom\\b", "www.google.com", true},
      {"www\\.[\\w.-]+\\.\\bcom\\b", "www.facebook.org", false},
      {"a{2,3}", "a", false},
      {"a{2,3}", "aaa", true},
      {"a{2,3}", "aaaa", false},
      {"a{2,}", "aaaaa", true},
      {"a{0}b", "b", true},
      {"x{2", "x{2", true},
      {"(ab|c)+?d", "ababcd", true},
      {"a|b|cd", "cd", true},
      {"(a|)b", "b", true},
      {"(?:a?){3}a{3}", "aaa", true},
      {"[^\u00e9]", "\u00e9", false},
      {".", "\u00e9", true},
      {".", "\n", false},
      {"[\u03b1-\u03c9]+", "\u03bb\u03bc", true},
      {"\\x41\\d\\s\\D\\S", "A7 xy", true},
      {"[[:alpha:]_]+[^]]", "ab_]", false},
      {"\\x{1f600}\\B", "\U0001f600", true},
  };
  (void)state;
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_text_pattern *pattern = NULL;
    assert_int_equal(neo_text_pattern_create(&ctx, rows[i].pattern, &pattern), NEO_OK);
    if (neo_text_match(pattern, rows[i].text) != rows[i].matches)
      fail_msg("'%s' and '%s'", rows[i].pattern, rows[i].text);
    neo_text_pattern_destroy(&ctx, pattern);
  }
}

/* A backtracking matcher would not end. */
static void matching_is_linear(void **state) {
  neo_text_pattern *pattern = NULL;
  char text[2001];
  (void)state;
  memset(text, 'a', 2000);
  text[2000] = 0;
  assert_int_equal(neo_text_pattern_create(&ctx, "(a*)*(a|aa)*b", &pattern), NEO_OK);
  assert_false(neo_text_match(pattern, text));
  neo_text_pattern_destroy(&ctx, pattern);
}

static void wrong_patterns_are_named(void **state) {
  static const struct {
    const char *pattern, *why;
    neo_status status;
  } rows[] = {
      {"(a", "not closed", NEO_BAD_INPUT},
      {"a)", "a parenthesis too many", NEO_BAD_INPUT},
      {"*a", "nothing to repeat", NEO_BAD_INPUT},
      {"[a", "not closed", NEO_BAD_INPUT},
      {"a{5,2}", "wrong counts", NEO_BAD_INPUT},
      {"\\q", "not known", NEO_BAD_INPUT},
      {"(?=a)", "not known", NEO_BAD_INPUT},
      {"a\\", "backslash", NEO_BAD_INPUT},
      {"[b-a]", "a range", NEO_BAD_INPUT},
      {"((a{100}){100}){100}", "too large", NEO_UNSUPPORTED},
  };
  (void)state;
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_text_pattern *pattern = NULL;
    neo_ctx_clear(&ctx);
    assert_int_equal(neo_text_pattern_create(&ctx, rows[i].pattern, &pattern), rows[i].status);
    if (!strstr(ctx.message, rows[i].why))
      fail_msg("'%s': %s", rows[i].pattern, ctx.message);
  }
  char deep[4001];
  neo_text_pattern *pattern = NULL;
  memset(deep, '(', 4000);
  deep[4000] = 0;
  assert_int_equal(neo_text_pattern_create(&ctx, deep, &pattern), NEO_UNSUPPORTED);
}

/* A group behind 64 alternatives was said to be nested too deep. */
static void groups_stand_behind_many_alternatives(void **state) {
  neo_text_pattern *pattern = NULL;
  neo_buf text = {0};
  (void)state;
  for (int k = 0; k < 100; k++)
    neo_buf_text(&text, "ab|");
  neo_buf_text(&text, "(c|d)e");
  neo_buf_u8(&text, 0);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_text_pattern_create(&ctx, text.data, &pattern), NEO_OK);
  assert_true(neo_text_match(pattern, "de") && neo_text_match(pattern, "ab"));
  assert_false(neo_text_match(pattern, "e"));
  neo_text_pattern_destroy(&ctx, pattern);
  neo_buf_fini(&text);
}

static void texts_are_split(void **state) {
  static const struct {
    const char *text, *delimiter;
    int64_t most;
    const char *parts; /* each behind a | */
  } rows[] = {{"a.b..c", ".", -1, "|a|b||c"},
              {"  a  b c ", "", -1, "|a|b|c"},
              {"", "-", -1, "|"},
              {"", "", -1, ""},
              {"a-b-c", "-", 1, "|a|b-c"},
              {"a", "-", 0, "|a"},
              {" a  b c ", "", 1, "|a|b c"},
              {NULL, NULL, -1, ""},
              {"--", "--", -1, "||"}};
  (void)state;
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_text_parts parts = {0};
    neo_buf made = {0};
    const char *start;
    size_t length;
    neo_buf_append(&made, "", 0);
    while (neo_text_next(&parts, rows[i].text, rows[i].delimiter, rows[i].most, &start, &length)) {
      neo_buf_text(&made, "|");
      neo_buf_append(&made, start, length);
    }
    neo_buf_u8(&made, 0);
    assert_string_equal(made.data, rows[i].parts);
    neo_buf_fini(&made);
  }
}

static void expect(const char *got, const char *want) {
  assert_non_null(got);
  assert_string_equal(got, want);
  test_free((void *)(uintptr_t)got);
}

static void texts_are_made_where_there_is_room(void **state) {
  int left = 6;
  neo_text_room in = {room, &left};
  (void)state;
  expect(neo_text_concat("ab", NULL, in), "ab");
  expect(neo_text_concat("a", "\u00e9", in), "a\u00e9");
  expect(neo_text_change_case("a\u00c9\u044f\u03b2 Z\u0451\u00f7", NEO_TEXT_UPPER, in),
         "A\u00c9\u042f\u0392 Z\u0401\u00f7");
  expect(neo_text_change_case("A\u00c9\u042f Z", NEO_TEXT_LOWER, in), "a\u00e9\u044f z");
  expect(neo_text_change_case("\u03c3\u03b1\u03c2", NEO_TEXT_UPPER, in), "\u03a3\u0391\u03a3");
  expect(neo_text_change_case("\u03a3\u03c2", NEO_TEXT_LOWER, in), "\u03c3\u03c2");
  assert_null(neo_text_concat("a", "b", in));
  assert_null(neo_text_change_case("a", NEO_TEXT_UPPER, in));
  assert_true(neo_text_same(NULL, ""));
  assert_false(neo_text_same("a", "b"));
}

static void numbers_are_read_and_written(void **state) {
  static const struct {
    const char *text;
    double value;
  } rows[] = {{" 12 ", 12}, {"-2.5e-3", -2.5e-3}, {"+INF", INFINITY}, {"-infinity", -INFINITY}};
  static const char *const none[] = {"", "1 2", "x", "1e", "nano", "0x10"};
  int left = 5;
  neo_text_room in = {room, &left};
  double real;
  int64_t whole = 3;
  (void)state;
  for (int i = 0; i < NEO_COUNT(rows); i++)
    assert_true(neo_text_to_real(rows[i].text, &real) && real == rows[i].value);
  assert_true(neo_text_to_real("NaN", &real) && isnan(real));
  for (int i = 0; i < NEO_COUNT(none); i++)
    assert_false(neo_text_to_real(none[i], &real));
  assert_true(neo_text_to_int("-9223372036854775808", &whole) && whole == INT64_MIN);
  assert_false(neo_text_to_int("9223372036854775808", &whole) || neo_text_to_int("1.5", &whole));
  expect(neo_text_of_real(1.0 / 3, 8, in), "0.33333333");
  expect(neo_text_of_real(-1e20, 8, in), "-1e+20");
  expect(neo_text_of_real(NAN, 8, in), "NaN");
  expect(neo_text_of_real(-INFINITY, 8, in), "-INF");
  expect(neo_text_of_int(INT64_MIN, in), "-9223372036854775808");
  assert_null(neo_text_of_int(1, in));
}

static void elements_are_broadcast(void **state) {
  const int64_t out[3] = {2, 3, 4}, in[2] = {3, 1};
  (void)state;
  for (int64_t i = 0; i < 24; i++) {
    assert_int_equal(neo_text_broadcast(i, 3, out, 2, in), i / 4 % 3);
    assert_int_equal(neo_text_broadcast(i, 3, out, 0, NULL), 0);
    assert_int_equal(neo_text_broadcast(i, 3, out, 3, out), i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(patterns_match_whole_texts),
      cmocka_unit_test(matching_is_linear),
      cmocka_unit_test(wrong_patterns_are_named),
      cmocka_unit_test(groups_stand_behind_many_alternatives),
      cmocka_unit_test(texts_are_split),
      cmocka_unit_test(texts_are_made_where_there_is_room),
      cmocka_unit_test(numbers_are_read_and_written),
      cmocka_unit_test(elements_are_broadcast),
  };
  neo_ctx_init(&ctx, 1);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
