/* tests/driver/test_tune_opencl.c: a tuning run for a GPU: candidates are built as OpenCL C,
 * verified against references of the processor, timed on the device, and chosen by the next
 * compilation. */
#define MODEL_CASE_TARGET "opencl"
#include "tests/driver/model_case.h"

enum { TRIALS = 5 };

static void tunes_and_compiles(void **state) {
  (void)state;
  neo_ctx ctx;
  model_case c;
  neo_project project;
  neo_db *db = NULL;
  neo_tune_result result;
  neo_compile_result compiled;
  char scratch[256], dir[300];
  neo_ctx_init(&ctx, 1);
  case_load(&ctx, "mnist_cnn_op13", &c);
  case_project(&ctx, &c, 1, 0, &project);
  must(&ctx, neo_db_open(&ctx, "memory:", false, &db));
  neo_tune_options options = {
      .trials = TRIALS, .seed = 1, .board_program = NEO_BINARY_DIR "/bin/neo-board"};
  must(&ctx, neo_tune(&ctx, &project, db, &options, &result));
  assert_int_equal(result.trials, TRIALS);
  assert_int_equal(result.ok, TRIALS);
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  must(&ctx, neo_compile(&ctx, &project, db, &(neo_compile_options){.output = dir}, &compiled));
  assert_true(compiled.hits >= 1);
  case_run(&c, dir, 1);
  scratch_remove(&ctx, scratch);
  neo_project_close(&project);
  neo_db_close(db);
  case_release(&ctx, &c);
}

int main(void) {
  if (case_missing())
    return 77;
  const struct CMUnitTest tests[] = {cmocka_unit_test(tunes_and_compiles)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
