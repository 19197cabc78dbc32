/* An artifact of several shapes: which one a run takes, rows that are filled up, outputs that are
 * cut. tests/runtime/tiny, variant shapes: x f32[4,3], also for 3 rows, and x f32[2,3]. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/core.h"
#include "neo/neo_rt.h"

typedef struct fixture {
  neo_rt_model *model;
  neo_rt_session *session;
} fixture;

static int open_fixture(void **state) {
  static fixture f;
  neo_rt_error error = {0};
  neo_rt_options options = {.threads = 2};
  if (neo_rt_load(NEO_BINARY_DIR "/tests/tiny/shapes", &f.model, &error) ||
      neo_rt_session_create(f.model, &options, &f.session, &error))
    fail_msg("%s", error.text);
  *state = &f;
  return 0;
}

static int close_fixture(void **state) {
  fixture *f = *state;
  neo_rt_session_destroy(f->session);
  neo_rt_unload(f->model);
  return 0;
}

static float sample(int rows, int i) {
  return (float)(10 * rows + i * 7 % 5);
}

static void check(neo_rt_session *session, int rows, float factor) {
  static const float bias[3] = {1, 2, 3};
  neo_rt_tensor_info shape;
  const void *data = NULL;
  assert_int_equal(neo_rt_output_shape(session, 0, &shape), 0);
  assert_int_equal(shape.dim[0], rows);
  assert_int_equal(shape.dim[1], 3);
  assert_int_equal(shape.bytes, 12 * rows);
  assert_int_equal(neo_rt_output(session, 0, &data, NULL), 0);
  const float *y = data;
  for (int i = 0; i < 3 * rows; i++)
    assert_true(y[i] == (sample(rows, i) + bias[i % 3]) * factor);
  assert_int_equal(neo_rt_output_shape(session, 1, &shape), 0);
  assert_int_equal(shape.dim[0], rows);
  assert_int_equal(neo_rt_output(session, 1, &data, NULL), 0);
  const int64_t *best = data;
  for (int r = 0; r < rows; r++)
    for (int i = 0; i < 3; i++)
      assert_true(y[3 * r + best[r]] >= y[3 * r + i]);
}

static void run(fixture *f, int rows, float factor) {
  float x[12];
  neo_rt_error error = {0};
  for (int i = 0; i < 3 * rows; i++)
    x[i] = sample(rows, i);
  if (neo_rt_set_input(f->session, "x", x, (size_t)rows * 12, &error) ||
      neo_rt_set_input(f->session, "factor", &factor, 4, &error) || neo_rt_run(f->session, &error))
    fail_msg("%d rows: %s", rows, error.text);
  check(f->session, rows, factor);
}

static void describes_its_shapes(void **state) {
  fixture *f = *state;
  int64_t least = 0;
  assert_int_equal(neo_rt_shapes(f->model), 2);
  assert_int_equal(neo_rt_input_info(f->model, 0)->dim[0], 4);
  assert_int_equal(neo_rt_shape_input(f->model, 1, 0)->dim[0], 2);
  assert_int_equal(neo_rt_shape_output(f->model, 1, 1)->bytes, 16);
  assert_null(neo_rt_shape_input(f->model, 2, 0));
  assert_null(neo_rt_shape_output(f->model, 0, 2));
  assert_int_equal(neo_rt_shape_rows(f->model, 0, 0, &least), 1);
  assert_int_equal(least, 3);
  assert_int_equal(neo_rt_shape_rows(f->model, 0, 1, &least), 0);
  assert_int_equal(neo_rt_shape_rows(f->model, 1, 0, &least), 0);
  assert_int_equal(neo_rt_shape_rows(f->model, 7, 0, &least), 0);
  assert_string_equal(neo_rt_step_name(f->model, 3), "add+mul");
  assert_null(neo_rt_step_name(f->model, 6));
}

static void a_run_takes_the_shape_of_its_inputs(void **state) {
  static const int rows[] = {4, 2, 3, 3, 2, 4, 3};
  for (int i = 0; i < NEO_COUNT(rows); i++)
    run(*state, rows[i], (float)(i + 1));
}

/* Three rows in the caller's memory: nothing behind them is read, what it writes there is seen. */
static void bound_memory_has_a_shape(void **state) {
  fixture *f = *state;
  neo_rt_error error = {0};
  float x[9], factor = 3;
  neo_rt_tensor_info info = {.name = "x", .dtype = "f32", .rank = 2, .dim = {3, 3}};
  assert_int_equal(neo_rt_set_input(f->session, "factor", &factor, 4, &error), 0);
  assert_int_equal(neo_rt_bind_tensor(f->session, &info, x, &error), 0);
  for (int turn = 0; turn < 2; turn++) {
    for (int i = 0; i < 9; i++)
      x[i] = turn ? sample(3, i) : -1;
    assert_int_equal(neo_rt_run(f->session, &error), 0);
  }
  check(f->session, 3, 3);
  info.dim[0] = 2;
  assert_int_equal(neo_rt_bind_tensor(f->session, &info, x, &error), 0);
  for (int i = 0; i < 6; i++)
    x[i] = sample(2, i);
  assert_int_equal(neo_rt_bind_input(f->session, 0, x, &error), 0); /* keeps its shape */
  assert_int_equal(neo_rt_run(f->session, &error), 0);
  check(f->session, 2, 3);
  assert_int_equal(neo_rt_bind_tensor(f->session, &info, (char *)x + 1, &error), NEO_RT_USAGE);
  assert_int_equal(neo_rt_bind_tensor(f->session, &info, NULL, &error), NEO_RT_USAGE);
}

static void other_shapes_are_refused(void **state) {
  fixture *f = *state;
  neo_rt_error error = {0};
  float x[15] = {0};
  static const size_t bytes[] = {0, 12, 60, 28};
  for (int i = 0; i < NEO_COUNT(bytes); i++) {
    assert_int_equal(neo_rt_set_input(f->session, "x", x, bytes[i], &error), NEO_RT_USAGE);
    assert_non_null(strstr(error.text, "'x' f32[3..4,3] [2,3], 'factor' f32[]"));
  }
  neo_rt_tensor_info info = {.name = "x", .dtype = "f32", .rank = 2, .dim = {1, 3}};
  assert_int_equal(neo_rt_set_tensor(f->session, &info, x, &error), NEO_RT_USAGE);
  assert_non_null(strstr(error.text, "input does not fit: 'x' f32[1,3]"));
  run(f, 3, 2); /* it still works */
}

static void profiles_the_shape_that_ran(void **state) {
  fixture *f = *state;
  const double *ns = NULL;
  int n = 0;
  assert_int_equal(neo_rt_profile(f->session, 1, &ns, &n), 6);
  run(f, 2, 2);
  assert_true(ns[0] == 0.0 && ns[3] > 0.0 && ns[5] > 0.0);
  run(f, 4, 2);
  assert_true(ns[0] > 0.0 && ns[3] == 0.0);
  neo_rt_profile(f->session, 0, NULL, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(describes_its_shapes),
      cmocka_unit_test(a_run_takes_the_shape_of_its_inputs),
      cmocka_unit_test(bound_memory_has_a_shape),
      cmocka_unit_test(other_shapes_are_refused),
      cmocka_unit_test(profiles_the_shape_that_ran),
  };
  return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
