/* tests/measure/test_builder.c: the build pool against code generators that do not come back. */
#include <setjmp.h> /* cmocka.h wants it */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "measure/parts.h"

static const char *const copy = "te 1\n"
                                "b0 in f32 [64]\n"
                                "b1 out f32 [64]\n"
                                "B0 b1[i0] s[64]\n"
                                "  b0[i0]\n";

static atomic_int stuck, waiting;

static void sleep_ms(int ms) {
  struct timespec time = {ms / 1000, ms % 1000 * 1000000L};
  nanosleep(&time, NULL);
}

/* Every build is stuck while `stuck` is set. */
static neo_status stuck_build(neo_ctx *ctx, const neo_nest *nest, const neo_target *target,
                              const char *symbol, neo_object *out) {
  (void)nest, (void)target, (void)symbol;
  if (atomic_load(&stuck)) {
    atomic_fetch_add(&waiting, 1);
    while (atomic_load(&stuck))
      sleep_ms(2);
    atomic_fetch_sub(&waiting, 1);
  }
  neo_buf_text(&out->bytes, "code");
  return out->bytes.failed ? neo_fail(ctx, NEO_NO_MEMORY, "object") : NEO_OK;
}

static const neo_codegen generator = {"stuck", stuck_build, NULL};

typedef struct fixture {
  neo_ctx ctx;
  neo_arena arena;
  neo_te te;
  neo_target target;
  neo_schedule naive;
  neo_builder *builder;
} fixture;

static void must(fixture *f, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s: %s", neo_status_name(status), f->ctx.message);
}

/* What comes back has all the time of a busy machine; given up is only what is stuck. */
enum { STUCK_MS = 3000, NEVER_MS = 600000 };

static void open_pool(fixture *f, int threads, int timeout_ms) {
  memset(f, 0, sizeof *f);
  neo_ctx_init(&f->ctx, 1);
  neo_arena_init(&f->arena);
  must(f, neo_target_find(&f->ctx, NULL, &f->target));
  must(f, neo_te_parse(&f->ctx, &f->arena, copy, &f->te));
  neo_schedule_naive(&f->naive);
  neo_builder_options options = {
      .threads = threads, .codegen = &generator, .target = &f->target, .timeout_ms = timeout_ms};
  must(f, neo_builder_create(&f->ctx, &options, &f->builder));
}

static void submit(fixture *f, uint64_t id) {
  neo_build *build = neo_build_create(&f->ctx, id, 0, &f->te, &f->naive);
  assert_non_null(build);
  neo_builder_submit(f->builder, build);
}

static neo_build *take(fixture *f) {
  neo_build *build = neo_builder_take(f->builder, 60000);
  assert_non_null(build);
  return build;
}

static void let_go(void) {
  atomic_store(&stuck, 0);
  for (int i = 0; i < 30000 && atomic_load(&waiting) > 0; i++)
    sleep_ms(2);
}

/* One stuck build stopped the run for ever. */
static void a_stuck_build_is_given_up(void **state) {
  (void)state;
  fixture f;
  open_pool(&f, 1, STUCK_MS);
  atomic_store(&stuck, 1);
  submit(&f, 7);
  neo_build *failed = take(&f);
  assert_int_equal(failed->id, 7);
  assert_int_equal(failed->status, NEO_INTERNAL);
  assert_string_equal(failed->phase, "build");
  assert_non_null(strstr(failed->text, "given up"));
  assert_int_equal(neo_builder_busy(f.builder), 0);
  assert_int_equal(neo_builder_given_up(f.builder), 1);
  neo_build_destroy(failed);
  let_go();
  submit(&f, 8); /* by the thread in its place */
  neo_build *good = take(&f);
  assert_int_equal(good->id, 8);
  assert_int_equal(good->status, NEO_OK);
  neo_build_destroy(good);
  for (int i = 0; i < 30000 && neo_builder_given_up(f.builder) > 0; i++)
    sleep_ms(2);
  assert_int_equal(neo_builder_given_up(f.builder), 0);
  neo_builder_destroy(f.builder);
  neo_arena_fini(&f.arena);
}

/* Closing does not wait; what the thread needs outlives the pool and the task. */
static void closing_leaves_stuck_builds_behind(void **state) {
  (void)state;
  fixture f;
  open_pool(&f, 2, STUCK_MS);
  atomic_store(&stuck, 1);
  submit(&f, 1);
  submit(&f, 2);
  submit(&f, 3);
  for (int i = 0; i < 30000 && atomic_load(&waiting) < 2; i++)
    sleep_ms(2);
  neo_builder_destroy(f.builder);
  assert_true(atomic_load(&waiting) >= 2);
  neo_arena_fini(&f.arena); /* of the te */
  let_go();
  sleep_ms(50); /* the last of them frees the pool: the leak checker looks */
}

static void a_build_that_is_waited_for_is_given_up(void **state) {
  (void)state;
  fixture f;
  open_pool(&f, 1, STUCK_MS);
  neo_builder_pause(f.builder, true);
  neo_build *build = neo_build_create(&f.ctx, 5, 0, &f.te, &f.naive);
  build = neo_builder_run(f.builder, build); /* paused or not */
  assert_non_null(build);
  assert_int_equal(build->status, NEO_OK);
  neo_build_destroy(build);
  atomic_store(&stuck, 1);
  build = neo_builder_run(f.builder, neo_build_create(&f.ctx, 6, 0, &f.te, &f.naive));
  assert_non_null(build);
  assert_int_equal(build->id, 6);
  assert_int_equal(build->status, NEO_INTERNAL);
  neo_build_destroy(build);
  let_go();
  neo_builder_destroy(f.builder);
  neo_arena_fini(&f.arena);
}

/* Settled and paused: what is timed then has the machine to itself. */
static void settling_waits_for_what_runs(void **state) {
  (void)state;
  fixture f;
  open_pool(&f, 1, NEVER_MS);
  atomic_store(&stuck, 1);
  submit(&f, 1);
  submit(&f, 2);
  for (int i = 0; i < 30000 && atomic_load(&waiting) < 1; i++)
    sleep_ms(2);
  neo_builder_pause(f.builder, true);
  atomic_store(&stuck, 0);
  neo_builder_settle(f.builder);
  assert_int_equal(atomic_load(&waiting), 0);
  assert_int_equal(neo_builder_busy(f.builder), 1); /* the second is held back */
  neo_builder_pause(f.builder, false);
  neo_builder_settle(f.builder);
  assert_int_equal(neo_builder_busy(f.builder), 0);
  neo_builder_destroy(f.builder);
  neo_arena_fini(&f.arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_stuck_build_is_given_up),
      cmocka_unit_test(closing_leaves_stuck_builds_behind),
      cmocka_unit_test(a_build_that_is_waited_for_is_given_up),
      cmocka_unit_test(settling_waits_for_what_runs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
