/* tests/runtime/test_device_cuda.c: the CUDA driver against a libcuda that checks every argument
 * (fake_cuda.c): what the driver does is accepted, and what must fail fails as it should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "neo/neo_rt.h"
#include "runtime/harness.h"

enum { N = 96, ITEMS = 32 };

static const char image[] = "FAKE\nadd 32 4 add\nbreak 32 4 fail\n";

typedef struct image_kernel {
  neo_device_kernel kernel;
  char bytes[256];
} image_kernel;

static void make_kernel(image_kernel *out, const char *name, const char *program) {
  *out = (image_kernel){{.magic = NEO_DEVICE_MAGIC,
                         .items = ITEMS,
                         .api = "cuda",
                         .n_args = 4,
                         .name = sizeof(neo_device_kernel),
                         .program = sizeof(neo_device_kernel) + 64,
                         .program_size = strlen(program),
                         .align = NEO_DEVICE_ALIGN},
                        ""};
  strncpy(out->bytes, name, 63);
  strncpy(out->bytes + 64, program, sizeof(out->bytes) - 65);
}

typedef void (*report_fn)(int *violations, int *left, int *launches);

static void report(int *violations, int *left, int *launches) {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  assert_non_null(library);
  report_fn fn = (report_fn)(uintptr_t)dlsym(library, "fake_cuda_report");
  assert_non_null(fn); /* else this is a real one */
  fn(violations, left, launches);
}

static void must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s", ctx->message);
}

static void launches_what_it_should(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_device *device = NULL;
  neo_device_function *function, *again, *broken;
  neo_device_place place[4] = {{0}};
  image_kernel add, fails;
  float a[N], b[N], c[N] = {0};
  int violations, left, launches;
  neo_ctx_init(&ctx, 1);
  must(&ctx, neo_device_open(&ctx, "cuda", &device));
  assert_string_equal(device->name, "no device at all");
  for (int i = 0; i < N; i++) {
    a[i] = (float)i;
    b[i] = 0.5f;
  }
  for (int k = 0; k < 4; k++) {
    place[k].offset = k < 3 ? 64u * (unsigned)k : 0;
    must(&ctx, neo_device_alloc(&ctx, device, sizeof a + place[k].offset, &place[k].memory));
  }
  must(&ctx, neo_device_write(&ctx, device, &place[0], a, sizeof a));
  must(&ctx, neo_device_write(&ctx, device, &place[1], b, sizeof b));
  make_kernel(&add, "add", image);
  make_kernel(&fails, "break", image);
  must(&ctx, neo_device_load(&ctx, device, &add.kernel, &function));
  must(&ctx, neo_device_load(&ctx, device, &add.kernel, &again));
  must(&ctx, neo_device_load(&ctx, device, &fails.kernel, &broken));
  must(&ctx, neo_device_launch(&ctx, device, function, N / ITEMS, place));
  must(&ctx, neo_device_finish(&ctx, device));
  must(&ctx, neo_device_read(&ctx, device, &place[2], c, sizeof c));
  for (int i = 0; i < N; i++)
    assert_true(c[i] == (float)i + 0.5f);
  must(&ctx, neo_device_copy(&ctx, device, &place[2], &place[0], sizeof c));
  must(&ctx, neo_device_launch(&ctx, device, again, N / ITEMS, place));
  must(&ctx, neo_device_read(&ctx, device, &place[2], c, sizeof c));
  assert_true(c[N - 1] == (float)N);
  assert_int_equal(neo_device_launch(&ctx, device, broken, 1, place), NEO_INTERNAL);
  assert_non_null(strstr(ctx.message, "cuLaunchKernel failed with 719"));
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_device_launch(&ctx, device, function, INT64_C(1) << 40, place),
                   NEO_UNSUPPORTED);
  neo_ctx_clear(&ctx);
  assert_int_equal(neo_device_launch(&ctx, device, function, -1, place), NEO_UNSUPPORTED);
  neo_ctx_clear(&ctx);
  must(&ctx, neo_device_launch(&ctx, device, function, 0, place)); /* nothing */
  for (int k = 0; k < 4; k++)
    neo_device_free(device, place[k].memory);
  neo_device_close(device);
  report(&violations, &left, &launches);
  assert_int_equal(violations, 0);
  assert_int_equal(left, 0);
  assert_int_equal(launches, 3);
}

static void refuses(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_device *device = NULL;
  neo_device_function *function;
  neo_device_memory *memory = NULL;
  image_kernel kernel;
  int violations, left, launches;
  neo_ctx_init(&ctx, 1);
  must(&ctx, neo_device_open(&ctx, "cuda", &device));
  assert_int_equal(neo_device_alloc(&ctx, device, (size_t)1 << 40, &memory), NEO_NO_MEMORY);
  neo_ctx_clear(&ctx);
  make_kernel(&kernel, "add", "no image");
  assert_int_equal(neo_device_load(&ctx, device, &kernel.kernel, &function), NEO_BAD_INPUT);
  neo_ctx_clear(&ctx);
  make_kernel(&kernel, "absent", image);
  assert_int_equal(neo_device_load(&ctx, device, &kernel.kernel, &function), NEO_BAD_INPUT);
  assert_non_null(strstr(ctx.message, "no kernel 'absent'"));
  assert_string_equal(device->identity, "no_device_at_all/sm_75/driver_12040");
  neo_ctx_clear(&ctx);
  make_kernel(&kernel, "add", image);
  memcpy(kernel.kernel.api, "opencl", 7);
  assert_int_equal(neo_device_load(&ctx, device, &kernel.kernel, &function), NEO_BAD_INPUT);
  neo_ctx_clear(&ctx);
  make_kernel(&kernel, "add", image);
  kernel.kernel.items = 2000;
  assert_int_equal(neo_device_load(&ctx, device, &kernel.kernel, &function), NEO_BAD_INPUT);
  neo_device_close(device);
  report(&violations, &left, &launches);
  assert_int_equal(violations, 0);
  assert_int_equal(left, 0);
}

/* An incumbent is timed without a run before: its kernel works on what was loaded all the same, not
 * on what the device's memory happened to hold. */
static void timed_kernels_have_their_data(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_device *device = NULL;
  neo_device_function *function;
  neo_harness_memory *memory[2];
  neo_timing timing;
  image_kernel add;
  float a[N], b[N], c[N];
  neo_ctx_init(&ctx, 1);
  must(&ctx, neo_device_open(&ctx, "cuda", &device));
  make_kernel(&add, "add", image);
  must(&ctx, neo_device_load(&ctx, device, &add.kernel, &function));
  for (int i = 0; i < N; i++) {
    a[i] = (float)i;
    b[i] = 0.25f;
  }
  const int64_t grid = N / ITEMS, bytes[3] = {sizeof a, sizeof b, sizeof c};
  const uint8_t role[3] = {0, 2, 1};
  const void *data[3] = {a, b, NULL};
  const size_t size[3] = {sizeof a, sizeof b, 0};
  const neo_verify_case from = {data, size};
  const neo_harness_kernel kernel = {.n_launches = 1,
                                     .grid = &grid,
                                     .n_buffers = 3,
                                     .bytes = bytes,
                                     .role = role,
                                     .device = device,
                                     .function = &function};
  for (int k = 0; k < 2; k++) {
    must(&ctx, neo_harness_memory_create(&ctx, &kernel, 1, &memory[k]));
    must(&ctx, neo_harness_memory_load(&ctx, memory[k], role, &from));
  }
  const neo_timing_policy policy = {.min_batch_ns = 1, .max_batches = 2, .max_total_ns = 1e6};
  must(&ctx, neo_harness_time(&ctx, NULL, memory[0], memory[1], &policy, &timing));
  for (int k = 0; k < 2; k++) {
    must(&ctx, neo_device_read(&ctx, device, &memory[k]->place[2], c, sizeof c));
    for (int i = 0; i < N; i++)
      assert_true(c[i] == (float)i + 0.25f);
    neo_harness_memory_destroy(memory[k]);
  }
  neo_device_close(device);
}

/* Each step that launches a kernel has as many buffers as it takes, not only the first. */
static void steps_fit_their_kernels(void **state) {
  (void)state;
  neo_rt_model *model = NULL;
  neo_rt_session *session = NULL;
  neo_rt_error error;
  assert_int_equal(neo_rt_load(NEO_BINARY_DIR "/tests/tiny/device", &model, &error), 0);
  assert_int_not_equal(neo_rt_session_create(model, NULL, &session, &error), 0);
  assert_non_null(strstr(error.text, "a kernel of 5 blocks for 2 buffers"));
  neo_rt_unload(model);
}

/* The fake would not let mistakes pass: one of each that the driver must not make. */
static void the_fake_sees_mistakes(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_device *device = NULL;
  neo_device_function *function;
  neo_device_place place[4] = {{0}}, beyond;
  image_kernel kernel;
  char bytes[64] = {0};
  int before, after, left, launches;
  neo_ctx_init(&ctx, 1);
  must(&ctx, neo_device_open(&ctx, "cuda", &device));
  for (int k = 0; k < 4; k++)
    must(&ctx, neo_device_alloc(&ctx, device, 64, &place[k].memory));
  make_kernel(&kernel, "add", image);
  must(&ctx, neo_device_load(&ctx, device, &kernel.kernel, &function));
  report(&before, &left, &launches);
  beyond = (neo_device_place){place[0].memory, 32};
  assert_int_equal(neo_device_write(&ctx, device, &beyond, bytes, 64), NEO_INTERNAL);
  assert_int_equal(neo_device_read(&ctx, device, &beyond, bytes, 64), NEO_INTERNAL);
  assert_int_equal(neo_device_copy(&ctx, device, &place[0], &beyond, 32 + 1), NEO_INTERNAL);
  assert_int_equal(neo_device_launch(&ctx, device, function, 1, place),
                   NEO_INTERNAL); /* 64 < 128 */
  report(&after, &left, &launches);
  assert_true(after - before >= 4);
  for (int k = 0; k < 4; k++)
    neo_device_free(device, place[k].memory);
  neo_device_close(device);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(launches_what_it_should), cmocka_unit_test(refuses),
      cmocka_unit_test(timed_kernels_have_their_data), cmocka_unit_test(steps_fit_their_kernels),
      cmocka_unit_test(the_fake_sees_mistakes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
