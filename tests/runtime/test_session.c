/* Loading and running an artifact: the tiny model of tests/runtime/tiny, in every way it can be
 * used and misused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "neo/neo_rt.h"
#include "runtime/cpu.h"
#include "target/target.h"
#include "tests/fail_malloc.h"

#define TINY(name) NEO_BINARY_DIR "/tests/tiny/" name

static neo_rt_model *load(const char *dir) {
  neo_rt_error error = {0};
  neo_rt_model *model = NULL;
  if (neo_rt_load(dir, &model, &error))
    fail_msg("%s", error.text);
  return model;
}

static neo_rt_session *open_session(neo_rt_model *model, int threads, int pool) {
  neo_rt_error error = {0};
  neo_rt_options options = {.threads = threads, .pool = pool};
  neo_rt_session *session = NULL;
  if (neo_rt_session_create(model, &options, &session, &error))
    fail_msg("%s", error.text);
  return session;
}

static const float sample_x[6] = {1, 2, 3, 9, 5, 6};

static void check_outputs(neo_rt_session *session, const float *x, float factor) {
  const void *data;
  static const float bias[3] = {1, 2, 3};
  assert_int_equal(neo_rt_output(session, 0, &data, NULL), 0);
  const float *y = data;
  for (int i = 0; i < 6; i++)
    assert_true(y[i] == (x[i] + bias[i % 3]) * factor);
  assert_int_equal(neo_rt_output(session, 1, &data, NULL), 0);
  const int64_t *best = data;
  for (int row = 0; row < 2; row++)
    for (int i = 0; i < 3; i++)
      assert_true(y[3 * row + best[row]] >= y[3 * row + i]);
}

static void run_once(neo_rt_session *session, const float *x, float factor) {
  neo_rt_error error = {0};
  assert_int_equal(neo_rt_set_input(session, "x", x, 24, &error), 0);
  assert_int_equal(neo_rt_set_input(session, "factor", &factor, 4, &error), 0);
  if (neo_rt_run(session, &error))
    fail_msg("%s", error.text);
  check_outputs(session, x, factor);
}

/* The thread that made a pinned session stayed on one cpu for good. */
static void pinning_ends_with_the_run(void **state) {
  (void)state;
  cpu_set_t before, after;
  assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
  neo_rt_model *model = load(TINY("good"));
  for (int pool = 0; pool <= 2; pool++)
    for (int threads = 1; threads <= 2; threads++) {
      neo_rt_error error = {0};
      neo_rt_options options = {.threads = threads, .pool = pool, .pin = 1};
      neo_rt_session *session = NULL;
      assert_int_equal(neo_rt_session_create(model, &options, &session, &error), 0);
      run_once(session, sample_x, 2);
      assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
      assert_true(CPU_EQUAL(&before, &after));
      neo_rt_session_destroy(session);
      assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
      assert_true(CPU_EQUAL(&before, &after));
    }
  neo_rt_unload(model);
}

static void describes_itself(void **state) {
  (void)state;
  neo_rt_model *model = load(TINY("good"));
  assert_int_equal(neo_rt_inputs(model), 2);
  assert_int_equal(neo_rt_outputs(model), 2);
  assert_int_equal(neo_rt_threads(model), 2);
  const neo_rt_tensor_info *x = neo_rt_input_info(model, 0), *best = neo_rt_output_info(model, 1);
  assert_string_equal(x->name, "x");
  assert_string_equal(x->dtype, "f32");
  assert_int_equal(x->rank, 2);
  assert_int_equal(x->dim[1], 3);
  assert_int_equal(x->bytes, 24);
  assert_string_equal(neo_rt_output_info(model, 0)->name, "y:0");
  assert_string_equal(best->dtype, "i64");
  assert_null(neo_rt_input_info(model, 2));
  assert_null(neo_rt_output_info(model, -1));
  assert_string_equal(neo_rt_step_name(model, 0), "add+mul");
  assert_null(neo_rt_step_name(model, 3));
  assert_int_equal(neo_rt_activation_bytes(model), 128 + 2 * 8);
  assert_non_null(neo_rt_version());
  neo_rt_unload(model);
  neo_rt_unload(NULL);
}

static void runs_with_any_pool(void **state) {
  (void)state;
  neo_rt_model *model = load(TINY("good"));
  static const int threads[] = {0, 1, 2, 5};
  for (int t = 0; t < 4; t++)
    for (int pool = 0; pool <= 2; pool++) {
      neo_rt_session *session = open_session(model, threads[t], pool);
      for (int i = 0; i < 3; i++)
        run_once(session, sample_x, (float)(i - 1));
      neo_rt_session_destroy(session);
    }
  neo_rt_unload(model);
  neo_rt_session_destroy(NULL);
}

static void binds_memory_in_place(void **state) {
  (void)state;
  neo_rt_model *model = load(TINY("good"));
  neo_rt_session *session = open_session(model, 1, 0);
  neo_rt_error error = {0};
  float x[7];
  memcpy(x, sample_x, sizeof(sample_x));
  run_once(session, sample_x, 3);
  assert_int_equal(neo_rt_bind_input(session, 0, x, &error), 0);
  x[0] = 100;
  assert_int_equal(neo_rt_run(session, &error), 0);
  check_outputs(session, x, 3);
  x[5] = -8; /* seen without another bind */
  assert_int_equal(neo_rt_run(session, &error), 0);
  check_outputs(session, x, 3);
  run_once(session, sample_x, 2); /* set_input copies again */
  x[0] = 7;
  assert_int_equal(neo_rt_run(session, &error), 0);
  check_outputs(session, sample_x, 2);
  assert_int_equal(neo_rt_bind_input(session, 0, (char *)x + 1, &error), NEO_RT_USAGE);
  assert_int_equal(neo_rt_bind_input(session, 0, NULL, &error), NEO_RT_USAGE);
  assert_int_equal(neo_rt_bind_input(session, 2, x, &error), NEO_RT_USAGE);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
}

static void expect_text(const neo_rt_error *error, int code, const char *word) {
  assert_int_equal(error->code, code);
  if (!strstr(error->text, word))
    fail_msg("'%s' does not say '%s'", error->text, word);
}

static void wrong_inputs_say_what_is_expected(void **state) {
  (void)state;
  neo_rt_model *model = load(TINY("good"));
  neo_rt_session *session = open_session(model, 1, 0);
  neo_rt_error error = {0};
  assert_int_equal(neo_rt_run(session, &error), NEO_RT_USAGE);
  expect_text(&error, NEO_RT_USAGE, "'x' has not been set");
  neo_rt_set_input(session, "z", sample_x, 24, &error);
  expect_text(&error, NEO_RT_USAGE,
              "no input 'z'; the model's inputs are: 'x' f32[2,3] (24 bytes), 'factor' f32[]");
  neo_rt_set_input(session, "x", sample_x, 20, &error);
  expect_text(&error, NEO_RT_USAGE, "20 bytes given, 24 expected");
  neo_rt_set_input(session, NULL, sample_x, 24, &error);
  expect_text(&error, NEO_RT_USAGE, "no input");
  neo_rt_tensor_info info = {.name = "x", .dtype = "f32", .rank = 2, .dim = {2, 3}};
  assert_int_equal(neo_rt_set_tensor(session, &info, sample_x, &error), 0);
  info.dim[0] = 3;
  neo_rt_set_tensor(session, &info, sample_x, &error);
  expect_text(&error, NEO_RT_USAGE, "'x' f32[3,3]");
  info.dim[0] = 2;
  info.dtype = "f64";
  assert_int_equal(neo_rt_set_tensor(session, &info, sample_x, &error), NEO_RT_USAGE);
  const void *data;
  assert_int_equal(neo_rt_output(session, 2, &data, &error), NEO_RT_USAGE);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
}

static void a_failing_kernel_is_named(void **state) {
  (void)state;
  neo_rt_model *model = load(TINY("good"));
  neo_rt_session *session = open_session(model, 2, 0);
  neo_rt_error error = {0};
  float factor = 13;
  neo_rt_set_input(session, "x", sample_x, 24, &error);
  neo_rt_set_input(session, "factor", &factor, 4, &error);
  assert_int_equal(neo_rt_run(session, &error), NEO_RT_KERNEL);
  expect_text(&error, NEO_RT_KERNEL, "step 'add+mul' failed with 77");
  run_once(session, sample_x, 4);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
}

static void profiles_steps(void **state) {
  (void)state;
  neo_rt_model *model = load(TINY("good"));
  neo_rt_session *session = open_session(model, 1, 0);
  const double *ns = NULL;
  int n = 0;
  run_once(session, sample_x, 2);
  assert_int_equal(neo_rt_profile(session, 1, &ns, &n), 3);
  assert_int_equal(n, 3);
  assert_true(ns[0] == 0.0);
  run_once(session, sample_x, 2);
  assert_true(ns[0] > 0.0 && ns[1] > 0.0 && ns[2] > 0.0);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
}

static void refuses_bad_artifacts(void **state) {
  (void)state;
  static const struct {
    const char *dir;
    int code;
    const char *word;
  } rows[] = {
      {TINY("absent"), NEO_RT_IO, "compiled.so"},
      {TINY("foreign"), NEO_RT_UNSUPPORTED, "compiled for pdp11"},
      {TINY("isa"), NEO_RT_UNSUPPORTED, "lacks bit 40"},
      {TINY("magic"), NEO_RT_BAD_ARTIFACT, "magic"},
      {TINY("abi"), NEO_RT_UNSUPPORTED, "ABI version 99"},
  };
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    neo_rt_model *model = NULL;
    neo_rt_error error = {0};
    assert_int_equal(neo_rt_load(rows[i].dir, &model, &error), rows[i].code);
    expect_text(&error, rows[i].code, rows[i].word);
    assert_null(model);
  }
  neo_rt_model *model = load(TINY("nan_op"));
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  neo_rt_session_create(model, NULL, &session, &error);
  expect_text(&error, NEO_RT_UNSUPPORTED, "no operator 'no_such_op'");
  neo_rt_options options = {.threads = -1};
  assert_int_equal(neo_rt_session_create(model, &options, &session, &error), NEO_RT_USAGE);
  neo_rt_unload(model);
  assert_int_equal(neo_rt_load(NULL, &model, &error), NEO_RT_USAGE);
}

static void write_file(const char *path, const void *data, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(data, 1, size, file), size);
  fclose(file);
}

static size_t read_file(const char *path, char *out, size_t size) {
  FILE *file = fopen(path, "rb");
  assert_non_null(file);
  size_t n = fread(out, 1, size, file);
  fclose(file);
  return n;
}

/* Every byte of compiled.params damaged, and every truncation, is refused. */
static void refuses_damaged_params(void **state) {
  (void)state;
  char dir[] = "/tmp/neo_params_XXXXXX", path[64], link_path[64], bytes[512];
  assert_non_null(mkdtemp(dir));
  snprintf(path, sizeof(path), "%s/compiled.params", dir);
  snprintf(link_path, sizeof(link_path), "%s/compiled.so", dir);
  assert_int_equal(symlink(TINY("good") "/compiled.so", link_path), 0);
  size_t size = read_file(TINY("good") "/compiled.params", bytes, sizeof(bytes));
  neo_rt_model *model = NULL;
  neo_rt_error error = {0};
  for (size_t i = 0; i < size; i++) {
    bool reserved = i >= 28 && i < NEO_RT_MAX_RANK * 8; /* header bytes without meaning yet */
    bytes[i] ^= 0x10;
    write_file(path, bytes, size);
    bytes[i] ^= 0x10;
    int code = neo_rt_load(dir, &model, &error);
    assert_int_equal(code == 0, reserved);
    if (code == 0)
      neo_rt_unload(model);
  }
  for (size_t cut = 0; cut < size; cut += 5) {
    write_file(path, bytes, cut);
    assert_int_not_equal(neo_rt_load(dir, &model, &error), 0);
  }
  unlink(path);
  assert_int_equal(neo_rt_load(dir, &model, &error), NEO_RT_IO);
  unlink(link_path);
  rmdir(dir);
}

static void *run_many(void *argument) {
  neo_rt_session *session = argument;
  for (int i = 0; i < 200; i++) {
    float x[6];
    for (int j = 0; j < 6; j++)
      x[j] = (float)(i + j);
    run_once(session, x, (float)(i % 7));
  }
  return NULL;
}

static void two_models_and_many_threads(void **state) {
  (void)state;
  neo_rt_model *model[2] = {load(TINY("good")), load(TINY("second"))};
  neo_rt_session *session[6];
  pthread_t thread[6];
  for (int i = 0; i < 6; i++)
    session[i] = open_session(model[i % 2], 1 + i % 3, i < 3 ? 1 : 0);
  for (int i = 0; i < 6; i++)
    assert_int_equal(pthread_create(&thread[i], NULL, run_many, session[i]), 0);
  for (int i = 0; i < 6; i++)
    pthread_join(thread[i], NULL);
  for (int i = 0; i < 6; i++)
    neo_rt_session_destroy(session[i]);
  neo_rt_unload(model[0]);
  neo_rt_unload(model[1]);
}

/* One attempt with the n-th allocation failing; is it the last one (nothing failed)? */
static bool attempt(int n) {
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error = {0};
  neo_rt_options options = {.threads = 2, .pool = 1};
  neo_fail_malloc_at(n);
  int code = neo_rt_load(TINY("good"), &model, &error);
  if (code == 0)
    code = neo_rt_session_create(model, &options, &session, &error);
  if (code == 0) /* its error text needs memory too, and may go without */
    assert_int_equal(neo_rt_set_input(session, "wrong", sample_x, 24, &error), NEO_RT_USAGE);
  bool done = neo_fail_malloc_count() == 0;
  neo_fail_malloc_at(0);
  if (session)
    run_once(session, sample_x, 2);
  else
    assert_int_equal(code, NEO_RT_NO_MEMORY);
  neo_rt_session_destroy(session);
  neo_rt_unload(model);
  return done;
}

static void survives_failed_allocations(void **state) {
  (void)state;
  int n = 1;
  while (!attempt(n))
    assert_true(++n < 200);
  assert_true(n > 10);
}

/* The numbers of features are the same in target/ and in the plan. */
static void feature_numbers(void **state) {
  (void)state;
  assert_int_equal((int)NEO_CPU_FEATURE_COUNT, (int)NEO_ISA_COUNT);
#define X(name, text) assert_int_equal((int)NEO_CPU_##name, (int)NEO_ISA_##name);
  NEO_ISA_FEATURES(X)
#undef X
  char names[64];
  neo_cpu_names((uint64_t)1 << NEO_CPU_AVX2 | (uint64_t)1 << NEO_CPU_NEON | (uint64_t)1 << 63,
                names, sizeof(names));
  assert_string_equal(names, "avx2, neon, bit 63");
  neo_cpu_names(UINT64_MAX, names, sizeof(names)); /* cut, not overrun */
  assert_true(strlen(names) < sizeof(names));
  neo_cpu_model(names, sizeof(names));
  assert_true(strlen(names) > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(describes_itself),
      cmocka_unit_test(runs_with_any_pool),
      cmocka_unit_test(pinning_ends_with_the_run),
      cmocka_unit_test(binds_memory_in_place),
      cmocka_unit_test(wrong_inputs_say_what_is_expected),
      cmocka_unit_test(a_failing_kernel_is_named),
      cmocka_unit_test(profiles_steps),
      cmocka_unit_test(refuses_bad_artifacts),
      cmocka_unit_test(refuses_damaged_params),
      cmocka_unit_test(two_models_and_many_threads),
      cmocka_unit_test(survives_failed_allocations),
      cmocka_unit_test(feature_numbers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
