/* tests/codegen/test_cuda.c: CUDA C of nests for GPUs, compiled by NVRTC for every architecture
 * that Neo has a target for; ptxas, where it is installed, accepts the PTX. Values are checked by
 * the OpenCL tests: both languages are printed by the same functions from the same nests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/host.h"
#include "codegen/cuda_nvrtc.h"
#include "neo/abi.h"
#include "runtime/runtime.h"
#include "tests/codegen/kernel_case.h"
#include "tests/codegen/matrix_product.h"
#include "tests/foreign_driver.h"

static const char *const models[] = {"sm_53", "sm_62", "sm_70", "sm_72", "sm_75",
                                     "sm_80", "sm_86", "sm_87", "sm_90"};
static const char *const nests[] = {"matmul_group", "softmax_group", "scale",       "math",
                                    "gather",       "integers",      "vector_tail", "dot",
                                    "matmul_reg",   "divide",        "wide_group"};

static neo_nest *load(neo_ctx *ctx, neo_arena *arena, const char *name) {
  char path[512];
  neo_buf text = {0};
  neo_nest *nest = neo_arena_alloc(arena, sizeof *nest);
  snprintf(path, sizeof path, "%s/tests/data/nest/%s.nest", NEO_SOURCE_DIR, name);
  assert_int_equal(neo_file_read(ctx, path, 0, &text), NEO_OK);
  if (neo_nest_parse(ctx, arena, text.data, nest) != NEO_OK)
    fail_msg("%s: %s", name, ctx->message);
  neo_nest_expand_math(nest);
  neo_buf_fini(&text);
  return nest;
}

/* The loaded object's kernel. */
static const neo_device_kernel *build(neo_ctx *ctx, const neo_nest *nest, const char *model,
                                      neo_object *object, neo_loaded **loaded) {
  neo_target target = kernel_target("cuda");
  snprintf(target.gpu.model, sizeof target.gpu.model, "%s", model);
  if (neo_codegen_find("cuda")->build(ctx, nest, &target, "k", object) != NEO_OK ||
      neo_object_load(ctx, (const uint8_t *)object->bytes.data, object->bytes.size, loaded) !=
          NEO_OK)
    fail_msg("%s: %s", model, ctx->message);
  const neo_device_kernel *kernel = neo_object_device_kernel(*loaded, "k_0");
  assert_non_null(kernel);
  assert_string_equal(kernel->api, "cuda");
  assert_string_equal((const char *)kernel + kernel->name, "k_0");
  assert_int_equal(kernel->items, nest->launch[0].lanes);
  return kernel;
}

static void cubins_for_every_architecture(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_arena arena;
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  for (int m = 0; m < NEO_COUNT(models); m++)
    for (int n = 0; n < (m == 0 ? NEO_COUNT(nests) : 1); n++) {
      neo_object object = {0};
      neo_loaded *loaded = NULL;
      neo_nest *nest = load(&ctx, &arena, nests[n]);
      const neo_device_kernel *kernel = build(&ctx, nest, models[m], &object, &loaded);
      const uint8_t *elf = (const uint8_t *)kernel + kernel->program;
      assert_memory_equal(elf, "\177ELF", 4);
      assert_int_equal(elf[18] | elf[19] << 8, 190); /* EM_CUDA */
      neo_object_unload(loaded);
      neo_object_fini(&object);
    }
  neo_arena_fini(&arena);
}

static void ptxas_accepts(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_arena arena;
  char dir[256], path[300], out[300];
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  assert_int_equal(neo_dir_temp(&ctx, NULL, dir), NEO_OK);
  snprintf(path, sizeof path, "%s/k.ptx", dir);
  snprintf(out, sizeof out, "%s/k.cubin", dir);
  bool found = true;
  for (int n = 0; n < NEO_COUNT(nests) && found; n++) {
    neo_object object = {0};
    neo_loaded *loaded = NULL;
    neo_nest *nest = load(&ctx, &arena, nests[n]);
    const neo_device_kernel *kernel = build(&ctx, nest, "compute_80", &object, &loaded);
    const char *ptx = (const char *)kernel + kernel->program;
    assert_non_null(strstr(ptx, ".visible .entry k_0"));
    assert_int_equal(neo_file_write(&ctx, path, ptx, strlen(ptx)), NEO_OK);
    static const char *const where[] = {NEO_BINARY_DIR "/lib/ptxas", "ptxas"};
    neo_process_result result = {0};
    found = false;
    for (int k = 0; k < NEO_COUNT(where) && !found; k++) {
      const char *argv[] = {where[k], "--gpu-name=sm_80", path, "-o", out, NULL};
      neo_ctx attempt;
      neo_ctx_fork(&attempt, &ctx);
      found = neo_process_run(&attempt, argv, 60000, &result) == NEO_OK;
    }
    if (found && result.exit_code != 0)
      fail_msg("%s: ptxas: %s", nests[n], result.output.data);
    neo_buf_fini(&result.output);
    neo_object_unload(loaded);
    neo_object_fini(&object);
  }
  assert_int_equal(neo_dir_remove(&ctx, dir), NEO_OK);
  neo_arena_fini(&arena);
  if (!found) {
    print_message("ptxas is not installed\n");
    skip();
  }
}

static neo_status compile_matrix(neo_ctx *ctx, const neo_nest *nest, const char *model,
                                 neo_buf *out) {
  neo_buf text = {0};
  neo_target target = kernel_target("cuda");
  assert_int_equal(neo_codegen_find("cuda")->text(ctx, nest, &target, "k", &text), NEO_OK);
  neo_status status = cuda_nvrtc_compile(ctx, text.data, model, out);
  neo_buf_fini(&text);
  return status;
}

/* Every matrix instruction assembles for the architecture that the table says and for the newest,
 * and for none before. */
static void matrix_rows(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_arena arena;
  neo_ctx_init(&ctx, 1);
  neo_arena_init(&arena);
  ctx.log = NULL;
  for (int r = 0; r < neo_matrix_count(); r++) {
    const neo_matrix *row = neo_matrix_get(r);
    matrix_product p = {r, 2 * neo_matrix_rows(r), 4, 2, 1, 8, 8, true, true};
    char model[3][16], ptx[16], name[64];
    neo_buf text = {0}, out = {0};
    neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
    matrix_product_print(&p, &text);
    if (neo_nest_parse(&ctx, &arena, text.data, nest) != NEO_OK)
      fail_msg("%s", ctx.message);
    snprintf(model[0], sizeof model[0], "sm_%d", row->sm);
    snprintf(model[1], sizeof model[1], "sm_90");
    snprintf(model[2], sizeof model[2], "sm_%d", row->sm == 80 ? 75 : 72);
    snprintf(ptx, sizeof ptx, "compute_%d", row->sm);
    snprintf(name, sizeof name, "mma.sync.aligned.m%dn%dk%d.row.col.", row->m, row->n, row->k);
    for (int m = 0; m < 3; m++) {
      neo_ctx_clear(&ctx);
      neo_buf_fini(&out);
      out = (neo_buf){0};
      neo_status status = compile_matrix(&ctx, nest, model[m], &out);
      if ((status == NEO_OK) != (m < 2))
        fail_msg("%s for %s: %s", row->name, model[m], ctx.message);
    }
    neo_ctx_clear(&ctx);
    neo_buf_fini(&out);
    out = (neo_buf){0};
    assert_int_equal(compile_matrix(&ctx, nest, ptx, &out), NEO_OK);
    int n = 0;
    for (const char *at = out.data; (at = strstr(at, name)); at++)
      n++;
    assert_int_equal(n % (p.rows / neo_matrix_rows(r) * 2), 0); /* of each step of k */
    assert_true(n > 0);
    assert_null(strstr(out.data, ".local")); /* registers, not memory */
    neo_buf_fini(&out);
    neo_buf_fini(&text);
  }
  neo_arena_fini(&arena);
}

static void errors_are_told(void **state) {
  (void)state;
  neo_ctx ctx;
  neo_buf out = {0};
  neo_ctx_init(&ctx, 1);
  ctx.log = NULL;
  assert_int_equal(cuda_nvrtc_compile(&ctx, "nonsense", "sm_53", &out), NEO_INTERNAL);
  assert_non_null(strstr(ctx.message, "nest.cu(1)"));
  neo_ctx_clear(&ctx);
  assert_int_equal(cuda_nvrtc_compile(&ctx, "", "sm_1", &out), NEO_UNSUPPORTED);
  neo_ctx_clear(&ctx);
  assert_int_equal(cuda_nvrtc_compile(&ctx, "", "mali", &out), NEO_UNSUPPORTED);
  neo_buf_fini(&out);
}

int main(void) {
  neo_ctx ctx;
  neo_buf out = {0};
  neo_ctx_init(&ctx, 1);
  const char *refused = foreign_driver_refused();
  neo_status status = refused ? NEO_UNSUPPORTED : cuda_nvrtc_compile(&ctx, "", "sm_53", &out);
  neo_buf_fini(&out);
  if (status == NEO_UNSUPPORTED) {
    print_message("skipped: %s\n", refused ? refused : ctx.message);
    return 77;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(cubins_for_every_architecture),
                                     cmocka_unit_test(ptxas_accepts), cmocka_unit_test(matrix_rows),
                                     cmocka_unit_test(errors_are_told)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
