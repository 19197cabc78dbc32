/* tests/driver/test_tune_opencl.c: a tuning run for a GPU: candidates are built as OpenCL C,
 * verified against references of the processor, timed on the device, and chosen by the next
 * compilation. */
#define MODEL_CASE_TARGET "opencl"
#include "driver/stages.h"
#include "tests/driver/model_case.h"

enum { TRIALS = 5 };

static char measured_on[NEO_GPU_DEVICE];

static bool take_device(void *self, const char *text) {
  (void)self;
  const char *device = strstr(text, " device=");
  assert_non_null(device);
  assert_int_equal(measured_on[0], 0); /* one only */
  snprintf(measured_on, sizeof measured_on, "%s", device + strlen(" device="));
  return true;
}

/* A GPU that is not the target's is not measured on. */
static void another_gpu_is_refused(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_target target;
  neo_measurer *measurer = NULL;
  const neo_measure_options options = {.threads = 1,
                                       .board_program = NEO_BINARY_DIR "/bin/neo-board"};
  neo_ctx_init(&ctx, 1);
  must(&ctx, neo_target_find(&ctx, "opencl", &target));
  snprintf(target.gpu.model, sizeof target.gpu.model, "mali-t860");
  assert_int_equal(neo_measurer_open(&ctx, "local", &target, &options, &measurer), NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "the target is for mali-t860"));
}

static void tunes_and_compiles(void **state) {
  (void)state;
  neo_ctx ctx;
  model_case c;
  neo_project project;
  neo_db *db = NULL;
  neo_tune_result result;
  neo_compile_result compiled;
  char scratch[256], dir[300], other[300];
  neo_ctx_init(&ctx, 1);
  case_load(&ctx, "mnist_cnn_op13", &c);
  case_project(&ctx, &c, 1, 0, &project);
  must(&ctx, neo_db_open(&ctx, "memory:", false, &db));
  neo_tune_options options = {
      .trials = TRIALS, .seed = 1, .board_program = NEO_BINARY_DIR "/bin/neo-board"};
  must(&ctx, neo_tune(&ctx, &project, db, &options, &result));
  measured_on[0] = '\0';
  must(&ctx, neo_db_visit_targets(&ctx, db, take_device, NULL));
  assert_int_equal(result.trials, TRIALS);
  assert_int_equal(result.ok, TRIALS);
  scratch_create(&ctx, scratch);
  snprintf(dir, sizeof dir, "%s/artifact", scratch);
  snprintf(other, sizeof other, "%s/other", scratch);
  must(&ctx, neo_compile(&ctx, &project, db, &(neo_compile_options){.output = dir}, &compiled));
  assert_true(compiled.hits >= 1);
  assert_true(neo_target_fits_device(&project.target, measured_on));
  /* what was measured here is nothing to another GPU */
  snprintf(project.target.gpu.device, sizeof project.target.gpu.device, "another");
  neo_target_text(&project.target, project.record_target);
  must(&ctx, neo_compile(&ctx, &project, db, &(neo_compile_options){.output = other}, &compiled));
  assert_int_equal(compiled.hits + compiled.near, 0);
  case_run(&c, dir, 1);
  scratch_remove(&ctx, scratch);
  neo_project_close(&project);
  neo_db_close(db);
  case_release(&ctx, &c);
}

int main(void) {
  if (case_missing())
    return 77;
  const struct CMUnitTest tests[] = {cmocka_unit_test(another_gpu_is_refused),
                                     cmocka_unit_test(tunes_and_compiles)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
