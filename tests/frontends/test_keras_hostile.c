/* tests/frontends/test_keras_hostile.c: damaged Keras files, and configurations with what we lack
 * or what makes no sense: each is a status with a message that names the layer. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/frontends/hostile_file.h"

#define SEEDS "tests/data/fuzz/keras/"

/* The configuration lies in the .h5 as plain text: replaces text by text of the same length. */
static void expect_changed(const char *from, const char *to, neo_status want, const char *part) {
  neo_buf file = {0};
  hostile_load(SEEDS, "functional.h5", &file);
  assert_int_equal(strlen(from), strlen(to));
  char *at = memmem(file.data, file.size, from, strlen(from));
  assert_non_null(at);
  memcpy(at, to, strlen(to));
  hostile_expect(file.data, file.size, want, part);
  neo_buf_fini(&file);
}

static void an_unknown_layer_is_named(void **state) {
  (void)state;
  expect_changed("\"class_name\": \"Conv1D\"", "\"class_name\": \"Conv9D\"", NEO_UNSUPPORTED,
                 "Conv9D");
}

static void an_unknown_activation_is_named(void **state) {
  (void)state;
  expect_changed("\"activation\": \"linear\"", "\"activation\": \"linoar\"", NEO_UNSUPPORTED,
                 "linoar");
}

static void a_kernel_of_another_size_is_refused(void **state) {
  (void)state;
  expect_changed("\"units\": 2", "\"units\": 7", NEO_BAD_INPUT, "(LSTM)");
}

static void a_layer_that_uses_itself_is_refused(void **state) {
  (void)state;
  expect_changed("[\"x\", 0, 0]}}]", "[\"y\", 0, 0]}}]", NEO_BAD_INPUT, "cannot be computed");
}

static void an_argument_of_a_function_is_refused_by_the_name_of_its_node(void **state) {
  neo_buf file = {0};
  (void)state;
  hostile_load("tests/data/keras/h5_arguments_k2/", "model.h5", &file);
  char *at = memmem(file.data, file.size, "\"batch_dims\": 0", 15);
  assert_non_null(at);
  at[14] = '1';
  hostile_expect(file.data, file.size, NEO_UNSUPPORTED, "node 'tf.compat.v1.gather'");
  neo_buf_fini(&file);
}

static void weights_without_a_model_are_named(void **state) {
  neo_buf file = {0};
  (void)state;
  hostile_load(SEEDS, "sequential.h5", &file);
  char *at = memmem(file.data, file.size, "model_config", 12);
  assert_non_null(at);
  memcpy(at, "modul_config", 12);
  hostile_expect(file.data, file.size, NEO_UNSUPPORTED, "weights without a model");
  neo_buf_fini(&file);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_unknown_layer_is_named),
      cmocka_unit_test(an_unknown_activation_is_named),
      cmocka_unit_test(a_kernel_of_another_size_is_refused),
      cmocka_unit_test(a_layer_that_uses_itself_is_refused),
      cmocka_unit_test(an_argument_of_a_function_is_refused_by_the_name_of_its_node),
      cmocka_unit_test(weights_without_a_model_are_named),
  };
  return cmocka_run_group_tests(tests, hostile_start, hostile_stop);
}
