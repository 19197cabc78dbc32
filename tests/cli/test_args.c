/* Command lines: bindings, durations, options, exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/commands.h"

static neo_binding bind(const char *text) {
  neo_ctx ctx;
  neo_binding out;
  static neo_arena arena;
  neo_ctx_init(&ctx, 1);
  neo_arena_fini(&arena);
  neo_arena_init(&arena);
  assert_int_equal(cli_binding(&ctx, &arena, text, NULL, &out), NEO_OK);
  return out;
}

static void bindings(void **state) {
  (void)state;
  neo_binding b = bind("x=1,3,224,224");
  assert_string_equal(b.name, "x");
  assert_int_equal(b.shape.rank, 4);
  assert_int_equal(b.shape.dim[3], 224);
  assert_false(b.has_dtype);
  b = bind("serving/in:0=8:int64");
  assert_string_equal(b.name, "serving/in:0");
  assert_int_equal(b.dtype, NEO_I64);
  b = bind("sr=:int64");
  assert_int_equal(b.shape.rank, 0);
  assert_true(b.has_dtype);
}

static void bad_bindings_are_named(void **state) {
  (void)state;
  static const char *const bad[] = {
      "x", "=1", "x=1,", "x=,", "x=1,,2", "x=a", "x=-1", "x=1:f33", "x=1,2,3,4,5,6,7,8,9"};
  for (int i = 0; i < NEO_COUNT(bad); i++) {
    neo_ctx ctx;
    neo_binding out;
    neo_arena arena;
    neo_ctx_init(&ctx, 1);
    neo_arena_init(&arena);
    assert_int_equal(cli_binding(&ctx, &arena, bad[i], NULL, &out), NEO_USAGE);
    assert_non_null(strstr(ctx.message, bad[i]));
    neo_arena_fini(&arena);
  }
}

static void durations(void **state) {
  (void)state;
  neo_ctx ctx;
  double s = 0;
  neo_ctx_init(&ctx, 1);
  assert_int_equal(cli_duration(&ctx, "10m", &s), NEO_OK);
  assert_true(s == 600);
  assert_int_equal(cli_duration(&ctx, "90", &s), NEO_OK);
  assert_true(s == 90);
  assert_int_equal(cli_duration(&ctx, "1.5h", &s), NEO_OK);
  assert_true(s == 5400);
  assert_int_equal(cli_duration(&ctx, "10 parsecs", &s), NEO_USAGE);
}

static void file_names(void **state) {
  (void)state;
  char out[64];
  cli_file_name("a/b:0", out, sizeof out);
  assert_string_equal(out, "a_b_0");
}

static int exit_code(int argc, char **argv) {
  return cli_main(&cli_neo, argc, argv);
}

static void exit_codes(void **state) {
  (void)state;
  assert_int_equal(exit_code(2, (char *[]){"neo", "fly", NULL}), NEO_USAGE);
  assert_int_equal(exit_code(2, (char *[]){"neo", "compile", NULL}), NEO_USAGE);
  assert_int_equal(exit_code(4, (char *[]){"neo", "targets", "--colour", "x", NULL}), NEO_USAGE);
  assert_int_equal(exit_code(3, (char *[]){"neo", "compile", "--help", NULL}), NEO_OK);
  assert_int_equal(exit_code(2, (char *[]){"neo", "targets", NULL}), NEO_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bindings), cmocka_unit_test(bad_bindings_are_named),
      cmocka_unit_test(durations), cmocka_unit_test(file_names), cmocka_unit_test(exit_codes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
