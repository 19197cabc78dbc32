/* tests/runtime/test_device_opencl.c: the OpenCL driver on PoCL, told to have small groups: what
 * fits runs, what does not is refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "runtime/device.h"
#include "tests/foreign_driver.h"

enum { ITEMS = 64, GROUPS = 3, N = ITEMS * GROUPS };

static const char source[] =
    "__kernel void twice(__global const char *m0, ulong o0, __global char *m1, ulong o1) {\n"
    "  __global const int *b0 = (__global const int *)(m0 + o0);\n"
    "  __global int *b1 = (__global int *)(m1 + o1);\n"
    "  b1[get_global_id(0)] = 2 * b0[get_global_id(0)];\n}\n";

typedef struct source_kernel {
  neo_device_kernel kernel;
  char name[16], program[sizeof source];
} source_kernel;

static source_kernel make_kernel(uint32_t items) {
  source_kernel made = {{.magic = NEO_DEVICE_MAGIC,
                         .items = items,
                         .api = "opencl",
                         .n_args = 2,
                         .name = offsetof(source_kernel, name),
                         .program = offsetof(source_kernel, program),
                         .program_size = sizeof source - 1,
                         .align = 4},
                        "twice",
                        ""};
  memcpy(made.program, source, sizeof source);
  return made;
}

static void must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s", ctx->message);
}

static neo_device *device;

static void groups_that_fit_run(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_device_function *function;
  neo_device_place place[2] = {{NULL, 64}, {NULL, 128}};
  source_kernel kernel = make_kernel(ITEMS);
  int32_t in[N], out[N];
  neo_ctx_init(&ctx, 1);
  for (int i = 0; i < N; i++)
    in[i] = i - 7;
  for (int k = 0; k < 2; k++)
    must(&ctx, neo_device_alloc(&ctx, device, sizeof in + place[k].offset, &place[k].memory));
  must(&ctx, neo_device_write(&ctx, device, &place[0], in, sizeof in));
  must(&ctx, neo_device_load(&ctx, device, &kernel.kernel, &function));
  must(&ctx, neo_device_launch(&ctx, device, function, 0, place)); /* nothing */
  must(&ctx, neo_device_launch(&ctx, device, function, GROUPS, place));
  must(&ctx, neo_device_read(&ctx, device, &place[1], out, sizeof out));
  for (int i = 0; i < N; i++)
    assert_int_equal(out[i], 2 * in[i]);
  for (int k = 0; k < 2; k++)
    neo_device_free(device, place[k].memory);
}

static void larger_groups_are_refused(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_device_function *function;
  source_kernel kernel = make_kernel(ITEMS + 1);
  neo_ctx_init(&ctx, 1);
  assert_int_equal(neo_device_load(&ctx, device, &kernel.kernel, &function), NEO_UNSUPPORTED);
  assert_non_null(strstr(ctx.message, "groups of 65 work-items"));
  assert_non_null(strstr(ctx.message, "at most 64"));
}

static void kernels_have_names(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_device_function *function;
  source_kernel kernel = make_kernel(ITEMS);
  neo_ctx_init(&ctx, 1);
  kernel.name[0] = 'T';
  assert_int_equal(neo_device_load(&ctx, device, &kernel.kernel, &function), NEO_BAD_INPUT);
  assert_non_null(strstr(ctx.message, "no kernel 'Twice'"));
}

static void devices_have_names(void **state) {
  (void)state;
  neo_ctx ctx;
  char again[NEO_DEVICE_IDENTITY] = "";
  neo_ctx_init(&ctx, 1);
  const char *of_driver = strstr(device->identity, "PoCL");
  assert_non_null(of_driver); /* in its version */
  assert_null(strpbrk(device->identity, " ,\n"));
  must(&ctx, neo_device_identify(&ctx, "opencl", again));
  assert_string_equal(again, device->identity);
  assert_string_equal(neo_device_api(0), "opencl");
}

/* Blanks and signs are one '_', what is too long is told apart by its hash. */
static void names_are_words(void **state) {
  (void)state;
  static neo_device some, other;
  char text[400];
  neo_device_name(&some, 3, (const char *[]){" Big  GPU,\n(TM) ", "", "1.2"});
  assert_string_equal(some.identity, "Big_GPU_(TM)/1.2");
  neo_device_name(&some, 1, (const char *[]){""});
  assert_string_equal(some.identity, "unknown");
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  neo_device_name(&some, 1, (const char *[]){text});
  text[sizeof text - 2] = 'y';
  neo_device_name(&other, 1, (const char *[]){text});
  assert_int_equal(strlen(some.identity), NEO_DEVICE_IDENTITY - 1);
  assert_string_not_equal(some.identity, other.identity);
}

int main(void) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  const char *refused = foreign_driver_refused();
  setenv("POCL_MAX_WORK_GROUP_SIZE", "64", 1);
  neo_status status = refused ? NEO_UNSUPPORTED : neo_device_open(&ctx, "opencl", &device);
  if (status == NEO_OK && !strstr(device->name, "pthread") && !strstr(device->name, "cpu"))
    refused = "the device is not PoCL's";
  if (status != NEO_OK || refused) {
    printf("skipped: %s\n", refused ? refused : ctx.message);
    neo_device_close(device);
    return 77;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(groups_that_fit_run), cmocka_unit_test(kernels_have_names),
      cmocka_unit_test(devices_have_names), cmocka_unit_test(names_are_words),
      cmocka_unit_test(larger_groups_are_refused)};
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  neo_device_close(device);
  return failed;
}
