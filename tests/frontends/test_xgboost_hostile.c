/* tests/frontends/test_xgboost_hostile.c: damaged and hostile XGBoost files: each is a status with
 * a message that names the thing, never a crash, and what is read is sound. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/frontends/hostile_file.h"

#define SEEDS "tests/data/fuzz/xgboost/"

/* Replaces the first `from` in a seed and expects this status and text. */
static void expect_changed(const char *seed, const char *from, const char *to, neo_status want,
                           const char *part) {
  neo_buf file = {0}, changed = {0};
  hostile_load(SEEDS, seed, &file);
  char *at = memmem(file.data, file.size, from, strlen(from));
  assert_non_null(at);
  neo_buf_append(&changed, file.data, (size_t)(at - file.data));
  neo_buf_text(&changed, to);
  neo_buf_append(&changed, at + strlen(from), file.size - (size_t)(at - file.data) - strlen(from));
  hostile_expect(changed.data, changed.size, want, part);
  neo_buf_fini(&file);
  neo_buf_fini(&changed);
}

static void a_cycle_is_refused(void **state) {
  (void)state;
  expect_changed("logistic.json", "\"left_children\":[1,", "\"left_children\":[0,", NEO_BAD_INPUT,
                 "reached twice");
}

static void a_child_outside_of_its_tree_is_refused(void **state) {
  (void)state;
  expect_changed("logistic.json", "\"left_children\":[1,", "\"left_children\":[77,", NEO_BAD_INPUT,
                 "children 77");
}

static void arrays_of_other_length_are_refused(void **state) {
  (void)state;
  expect_changed("logistic.json", "\"default_left\":[0,", "\"default_left\":[0,0,", NEO_BAD_INPUT,
                 "'default_left'");
}

static void an_unknown_objective_is_named(void **state) {
  (void)state;
  expect_changed("logistic.json", "\"name\":\"binary:logistic\"", "\"name\":\"my:own\"",
                 NEO_UNSUPPORTED, "my:own");
}

static void a_feature_that_is_not_there_is_refused(void **state) {
  (void)state;
  expect_changed("logistic.json", "\"split_indices\":[", "\"split_indices\":[9", NEO_BAD_INPUT,
                 "feature");
}

static void too_large_a_category_is_refused(void **state) {
  (void)state;
  expect_changed("categorical.json", "\"categories\":[", "\"categories\":[99999999", NEO_BAD_INPUT,
                 "2^24");
}

static void a_huge_ubjson_array_is_refused(void **state) {
  static const char text[] = "{L\0\0\0\0\0\0\0\7learner[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff";
  (void)state;
  hostile_expect(text, sizeof text - 1, NEO_BAD_INPUT, "UBJSON");
}

static void deep_nesting_is_refused(void **state) {
  neo_buf text = {0};
  (void)state;
  neo_buf_append(&text, "{L\0\0\0\0\0\0\0\7learner", 17);
  for (int i = 0; i < 200000; i++)
    neo_buf_text(&text, "[");
  hostile_expect(text.data, text.size, NEO_BAD_INPUT, "UBJSON");
  neo_buf_clear(&text);
  neo_buf_text(&text, "{\"learner\":");
  for (int i = 0; i < 200000; i++)
    neo_buf_text(&text, "[");
  hostile_expect(text.data, text.size, NEO_BAD_INPUT, "JSON");
  neo_buf_fini(&text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_cycle_is_refused),
      cmocka_unit_test(a_child_outside_of_its_tree_is_refused),
      cmocka_unit_test(arrays_of_other_length_are_refused),
      cmocka_unit_test(an_unknown_objective_is_named),
      cmocka_unit_test(a_feature_that_is_not_there_is_refused),
      cmocka_unit_test(too_large_a_category_is_refused),
      cmocka_unit_test(a_huge_ubjson_array_is_refused),
      cmocka_unit_test(deep_nesting_is_refused),
  };
  return cmocka_run_group_tests(tests, hostile_start, hostile_stop);
}
