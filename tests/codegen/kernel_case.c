/* tests/codegen/kernel_case.c: see kernel_case.h. */
#include "tests/codegen/kernel_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/host.h"
#include "runtime/device.h"
#include "runtime/runtime.h"
#include "tests/foreign_driver.h"

enum { ZONE = 64, PATTERN = 0xa5 };

typedef struct memory {
  char *block[NEO_NEST_MAX_BUFFERS]; /* red zone, data, red zone */
  void *data[NEO_NEST_MAX_BUFFERS];
} memory;

static size_t buffer_bytes(const neo_nest *nest, int k) {
  return (size_t)nest->buffer[k].elements * neo_dtype_size(nest->buffer[k].dtype);
}

static void memory_init(neo_ctx *ctx, const neo_nest *nest, memory *m) {
  for (int k = 0; k < nest->n_params; k++) {
    size_t bytes = buffer_bytes(nest, k), size = neo_dtype_size(nest->buffer[k].dtype);
    m->block[k] = neo_alloc(ctx, bytes + 2 * ZONE + 2 * size);
    assert_non_null(m->block[k]);
    memset(m->block[k], PATTERN, bytes + 2 * ZONE + 2 * size);
    uintptr_t start = (uintptr_t)(m->block[k] + ZONE);
    m->data[k] = (void *)((start + size - 1) / size * size + size * (start % (2 * size) == 0));
  }
}

static void memory_fini(neo_ctx *ctx, const neo_nest *nest, memory *m) {
  for (int k = 0; k < nest->n_params; k++)
    neo_free(ctx, m->block[k]);
}

static void check_zones(const neo_nest *nest, const memory *m) {
  for (int k = 0; k < nest->n_params; k++) {
    const unsigned char *before = (const unsigned char *)m->data[k] - ZONE;
    const unsigned char *after = (const unsigned char *)m->data[k] + buffer_bytes(nest, k);
    for (int i = 0; i < ZONE; i++)
      if (before[i] != PATTERN || after[i] != PATTERN)
        fail_msg("b%d: bytes outside the buffer were written", k);
  }
}

/* ---- data ---------------------------------------------------------------------------------------- */

/* NEON of 32-bit Arm takes and makes zeros for denormal f32. */
static bool flushes(const kernel_case *c) {
  return strcmp(c->target.arch, "armv7") == 0;
}

static double special_value(neo_rng *rng, neo_dtype dtype, bool flush) {
  double tiny = dtype == NEO_F64 ? 4e-310 : dtype == NEO_F16 ? 3e-7 : flush ? 1e-37 : 1e-40;
  double big = dtype == NEO_F64 ? 1e300 : dtype == NEO_F16 ? 6e4 : 3e38;
  double values[] = {NAN,  INFINITY, -INFINITY, 0.0, -0.0, tiny, -tiny, big,
                     -big, 0.5,      1.5,       2.5, -0.5, -2.5, 1,     -1};
  return values[neo_rng_below(rng, NEO_COUNT(values))];
}

static double random_float(neo_rng *rng, neo_dtype dtype, bool special, bool flush) {
  if (special && neo_rng_below(rng, 4) == 0)
    return special_value(rng, dtype, flush);
  double scale = special ? pow(10, (double)neo_rng_below(rng, 7) - 2) : 1;
  return neo_rng_normal(rng) * scale;
}

static int64_t random_int(neo_rng *rng, neo_dtype dtype, bool special) {
  if (dtype == NEO_BOOL)
    return (int64_t)neo_rng_below(rng, 2);
  if (!special || neo_rng_below(rng, 3) == 0)
    return (int64_t)neo_rng_below(rng, 21) - (neo_dtype_class(dtype) == 'u' ? 0 : 10);
  return (int64_t)(neo_rng_next(rng) >> neo_rng_below(rng, 64));
}

static neo_tensor view(const neo_nest *nest, int k, void *data) {
  return (neo_tensor){
      nest->buffer[k].dtype, {1, {nest->buffer[k].elements}}, data, buffer_bytes(nest, k)};
}

static void fill(const neo_nest *nest, int k, const kernel_case *c, void *data) {
  neo_tensor t = view(nest, k, data);
  neo_rng rng;
  neo_rng_init(&rng, c->seed + (uint64_t)k * 77);
  for (int64_t i = 0; i < nest->buffer[k].elements; i++)
    if (neo_dtype_class(t.dtype) == 'f')
      neo_tensor_set_f64(&t, i, random_float(&rng, t.dtype, c->special, flushes(c)));
    else
      neo_tensor_set_i64(&t, i, random_int(&rng, t.dtype, c->special));
}

/* ---- comparison ---------------------------------------------------------------------------------- */

static double epsilon(neo_dtype dtype) {
  switch (dtype) {
  case NEO_F64:
    return 0x1p-52;
  case NEO_F16:
    return 0x1p-10;
  case NEO_BF16:
    return 0x1p-7;
  default:
    return 0x1p-23;
  }
}

static bool close_enough(neo_dtype dtype, double got, double want, double ulps) {
  if (isnan(got) || isnan(want))
    return isnan(got) && isnan(want);
  if (got == want)
    return ulps > 0 || signbit(got) == signbit(want);
  return fabs(got - want) <= ulps * epsilon(dtype) * fmax(fabs(got), fabs(want));
}

static void compare(const neo_nest *nest, const kernel_case *c, int k, void *got, void *want) {
  neo_tensor a = view(nest, k, got), b = view(nest, k, want);
  bool f = neo_dtype_class(a.dtype) == 'f';
  for (int64_t i = 0; i < nest->buffer[k].elements; i++) {
    double x = neo_tensor_get_f64(&a, i), y = neo_tensor_get_f64(&b, i);
    if (f && close_enough(a.dtype, x, y, c->ulps))
      continue;
    if (f && flushes(c) && a.dtype != NEO_F64 && x == 0 && fabs(y) < 0x1p-126)
      continue;
    if (!f && neo_tensor_get_i64(&a, i) == neo_tensor_get_i64(&b, i))
      continue;
    neo_buf text = {0};
    neo_nest_print(&text, nest);
    print_message("%s\n", text.data);
    neo_buf_fini(&text);
    fail_msg("%s %s: b%d[%lld] is %.17g, %.17g expected", c->codegen->name, c->target.cpu, k,
             (long long)i, x, y);
  }
}

/* ---- running ------------------------------------------------------------------------------------- */

static neo_loaded *load(neo_ctx *ctx, const neo_object *object) {
  neo_loaded *loaded = NULL;
  if (neo_object_load(ctx, (const uint8_t *)object->bytes.data, object->bytes.size, &loaded) !=
      NEO_OK)
    fail_msg("%s", ctx->message);
  return loaded;
}

static void run_here(neo_ctx *ctx, const kernel_case *c, const neo_nest *nest,
                     const neo_object *object, memory *m) {
  neo_loaded *loaded = load(ctx, object);
  char *work = neo_aligned_alloc(ctx, (size_t)nest->work_bytes + 64);
  char *scratch = neo_aligned_alloc(ctx, (size_t)nest->scratch_bytes + 64);
  for (int k = 0; k < nest->n_launches; k++) {
    char name[64];
    snprintf(name, sizeof name, "sym_%d", k);
    neo_kernel_fn fn = neo_object_symbol(loaded, name);
    assert_non_null(fn);
    int64_t grid = nest->launch[k].grid, step = c->chunk ? c->chunk : grid;
    for (int64_t begin = 0; begin < grid; begin += step) {
      neo_kernel_env env = {begin, begin + step < grid ? begin + step : grid, work, scratch, NULL};
      assert_int_equal(fn(&env, m->data, NULL), 0);
    }
    neo_kernel_env nothing = {grid, grid, work, scratch, NULL};
    assert_int_equal(fn(&nothing, m->data, NULL), 0);
  }
  for (int i = 0; i < 64; i++)
    assert_int_equal(work[nest->work_bytes + i] | scratch[nest->scratch_bytes + i], 0);
  neo_aligned_free(ctx, work);
  neo_aligned_free(ctx, scratch);
  neo_object_unload(loaded);
}

/* ---- on a GPU ------------------------------------------------------------------------------------ */

#ifndef KERNEL_CASE_API
#define KERNEL_CASE_API ""
#endif
static const char api[] = KERNEL_CASE_API;

static neo_device *open_device(neo_ctx *ctx) {
  static neo_device *device; /* one for the whole test */
  if (!device)
    (void)neo_device_open(ctx, api, &device);
  return device;
}

int kernel_case_missing(void) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 1);
  const char *refused = foreign_driver_refused();
  if (!api[0] || (!refused && open_device(&ctx)))
    return 0;
  print_message("skipped: %s\n", refused ? refused : ctx.message);
  return 77;
}

static void must(neo_ctx *ctx, neo_status status) {
  if (status != NEO_OK)
    fail_msg("%s", ctx->message);
}

/* Every buffer goes to the device and comes back with the bytes around it. */
static void run_on_device(neo_ctx *ctx, const neo_nest *nest, const neo_object *object, memory *m) {
  neo_device *device = open_device(ctx);
  neo_loaded *loaded = load(ctx, object);
  neo_device_place place[NEO_NEST_MAX_BUFFERS] = {{0}};
  assert_non_null(device);
  for (int k = 0; k < nest->n_params; k++) {
    size_t before = (size_t)((char *)m->data[k] - m->block[k]);
    neo_device_place start = {0};
    must(ctx, neo_device_alloc(ctx, device, before + buffer_bytes(nest, k) + ZONE, &start.memory));
    must(ctx,
         neo_device_write(ctx, device, &start, m->block[k], before + buffer_bytes(nest, k) + ZONE));
    place[k] = (neo_device_place){start.memory, before};
  }
  neo_device_place *work = &place[nest->n_params];
  must(ctx, neo_device_alloc(ctx, device, (size_t)nest->work_bytes, &work->memory));
  for (int k = 0; k < nest->n_launches; k++) {
    char name[64];
    neo_device_function *function;
    snprintf(name, sizeof name, "sym_%d", k);
    const neo_device_kernel *kernel = neo_object_device_kernel(loaded, name);
    assert_non_null(kernel);
    assert_null(neo_object_symbol(loaded, name));
    must(ctx, neo_device_load(ctx, device, kernel, &function));
    must(ctx, neo_device_launch(ctx, device, function, nest->launch[k].grid, place));
  }
  for (int k = 0; k < nest->n_params; k++) {
    neo_device_place start = {place[k].memory, 0};
    must(ctx, neo_device_read(ctx, device, &start, m->block[k],
                              (size_t)place[k].offset + buffer_bytes(nest, k) + ZONE));
    neo_device_free(device, place[k].memory);
  }
  neo_device_free(device, work->memory);
  neo_object_unload(loaded);
}

/* gcc and, where it is installed, clang. */
static void check_warnings(neo_ctx *ctx, const kernel_case *c, const neo_nest *nest) {
  static const char *const compilers[] = {"gcc", "clang"};
  char dir[256], path[300];
  neo_buf text = {0};
  assert_int_equal(c->codegen->text(ctx, nest, &c->target, "sym", &text), NEO_OK);
  assert_int_equal(neo_dir_temp(ctx, NULL, dir), NEO_OK);
  snprintf(path, sizeof path, "%s/nest.c", dir);
  assert_int_equal(neo_file_write(ctx, path, text.data, text.size), NEO_OK);
  for (int k = 0; k < NEO_COUNT(compilers); k++) {
    const char *argv[] = {compilers[k], "-std=c11",      "-Wall", "-Wextra",
                          "-pedantic",  "-fsyntax-only", path,    NULL};
    neo_process_result result = {0};
    neo_ctx attempt;
    neo_ctx_fork(&attempt, ctx);
    if (neo_process_run(&attempt, argv, 60000, &result) != NEO_OK) {
      assert_int_not_equal(k, 0);
      continue;
    }
    if (result.exit_code != 0 || result.output.size)
      fail_msg("%s: %s", compilers[k], result.output.data);
    neo_buf_fini(&result.output);
  }
  assert_int_equal(neo_dir_remove(ctx, dir), NEO_OK);
  neo_buf_fini(&text);
}

void kernel_case_run(neo_ctx *ctx, const kernel_case *c, neo_nest *nest) {
  memory want = {{NULL}}, got = {{NULL}};
  neo_object object = {0};
  if (c->warnings && strcmp(c->codegen->name, "c") == 0 && !neo_nest_is_grouped(nest))
    check_warnings(ctx, c, nest);
  bool gpu = neo_target_is_gpu(&c->target);
  nest->align = gpu && !c->runner ? 1 : 0; /* as memory_init has it; runners know better */

  if (gpu ? nest->scratch_bytes > 0 : neo_nest_is_grouped(nest)) { /* for processors, for GPUs */
    neo_ctx quiet;
    neo_ctx_fork(&quiet, ctx);
    quiet.log = NULL;
    neo_status status = c->codegen->build(&quiet, nest, &c->target, "sym", &object);
    neo_object_fini(&object); /* what is declared only is no reason to refuse */
    assert_true(status == NEO_UNSUPPORTED || (gpu && status == NEO_OK));
    return;
  }
  if (c->codegen->build(ctx, nest, &c->target, "sym", &object) != NEO_OK)
    fail_msg("%s: %s", c->codegen->name, ctx->message);
  assert_int_equal(object.n_launches, nest->n_launches);
  memory_init(ctx, nest, &want);
  memory_init(ctx, nest, &got);
  for (int k = 0; k < nest->n_params; k++) {
    fill(nest, k, c, want.data[k]);
    if (c->runner && nest->buffer[k].writable)
      memset(want.data[k], 0, buffer_bytes(nest, k));
    memcpy(got.data[k], want.data[k], buffer_bytes(nest, k));
  }
  if (neo_nest_interpret(ctx, nest, want.data) != NEO_OK)
    fail_msg("interpreter: %s", ctx->message);
  if (c->runner)
    c->runner->run(c->runner->self, ctx, nest, &object, got.data);
  else if (gpu)
    run_on_device(ctx, nest, &object, &got);
  else
    run_here(ctx, c, nest, &object, &got);
  check_zones(nest, &got);
  for (int k = 0; k < nest->n_params; k++)
    compare(nest, c, k, got.data[k], want.data[k]);
  neo_object_fini(&object);
  memory_fini(ctx, nest, &want);
  memory_fini(ctx, nest, &got);
}

void kernel_case_run_text(neo_ctx *ctx, const kernel_case *c, const char *text) {
  neo_arena arena;
  neo_arena_init(&arena);
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  if (neo_nest_parse(ctx, &arena, text, nest) != NEO_OK)
    fail_msg("%s\n%s", ctx->message, text);
  neo_nest_expand_math(nest);
  kernel_case_run(ctx, c, nest);
  neo_arena_fini(&arena);
}

neo_target kernel_target(const char *name) {
  neo_ctx ctx;
  neo_target target;
  neo_ctx_init(&ctx, 1);
  if (neo_target_find(&ctx, name, &target) != NEO_OK)
    fail_msg("%s", ctx.message);
  return target;
}
