/* tests/driver/test_record_target.c: which GPU's records a compilation uses, and that two GPUs do
 * not share any. Nothing here opens a device: the target is of another processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "driver/stages.h"
#include "tests/tuning-db/db_fixture.h"

#define T860 "Mali-T860/ARM/OpenCL_1.2_v1.r18p0/2.0"
#define T860_NEWER "Mali-T860/ARM/OpenCL_1.2_v1.r29p0/2.0"

static neo_target target_of(fixture *f, const char *name, const char *device) {
  neo_target target;
  OK(f, neo_target_find(&f->ctx, name, &target));
  snprintf(target.gpu.device, sizeof target.gpu.device, "%s", device);
  return target;
}

static void put(fixture *f, neo_db *db, int64_t attempt, const char *name, const char *device) {
  sample_workload w;
  char text[NEO_TARGET_TEXT];
  int64_t id;
  const neo_target target = target_of(f, name, device);
  sample_workload_init(&w, 4, 5);
  neo_target_text(&target, text);
  neo_db_trial trial = sample_trial(w.key, 0, attempt, 100 + (double)attempt);
  trial.target = text;
  OK(f, neo_db_put_workload(&f->ctx, db, &w.w));
  OK(f, neo_db_put_trial(&f->ctx, db, &trial, &id));
}

/* `device` expected of the records for the row; NULL: those of none. */
static void expect(fixture *f, neo_db *db, const neo_target *target, const char *device) {
  char got[NEO_TARGET_TEXT], want[NEO_TARGET_TEXT];
  neo_target named = *target;
  if (device)
    snprintf(named.gpu.device, sizeof named.gpu.device, "%s", device);
  neo_target_text(&named, want);
  OK(f, neo_record_target(&f->ctx, target, db, got));
  assert_string_equal(got, want);
}

static void records_are_of_one_gpu(void **state) {
  fixture *f = *state;
  neo_db *db = NULL;
  OK(f, neo_db_open(&f->ctx, "memory:", false, &db));
  const neo_target t860 = target_of(f, "rk3399-gpu", ""), t760 = target_of(f, "rk3288-gpu", "");
  expect(f, NULL, &t860, NULL);
  expect(f, db, &t860, NULL);
  put(f, db, 1, "rk3288-gpu", "Mali-T760/ARM/OpenCL_1.2_v1.r14p0/1.2");
  put(f, db, 2, "rk3399-gpu", "");
  expect(f, db, &t860, NULL);
  put(f, db, 3, "rk3399-gpu", T860);
  expect(f, db, &t860, T860); /* the only one */
  expect(f, db, &t760, "Mali-T760/ARM/OpenCL_1.2_v1.r14p0/1.2");
  put(f, db, 4, "rk3399-gpu", T860_NEWER);
  expect(f, db, &t860, NULL);
  assert_non_null(strstr(f->log.data, "2 GPUs"));
  assert_non_null(strstr(f->log.data, " device=" T860 "'"));
  assert_non_null(strstr(f->log.data, " device=" T860_NEWER "'"));
  const neo_target named = target_of(f, "rk3399-gpu", T860_NEWER);
  expect(f, db, &named, T860_NEWER);
  neo_target processor;
  OK(f, neo_target_find(&f->ctx, "rk3399", &processor));
  expect(f, db, &processor, NULL);
  neo_db_close(db);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(records_are_of_one_gpu, fixture_setup, fixture_teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
