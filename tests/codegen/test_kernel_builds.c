/* tests/codegen/test_kernel_builds.c: builds in several threads at once give the same bytes;
 * targets that do not run here build too; what cannot be built is an error with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/host.h"
#include "schedule/intrinsic.h"
#include "tests/codegen/kernel_case.h"

#include "tests/arena_fixture.h" /* after headers whose parameters have its names */

enum { THREADS = 4, BUILDS = 20 };

static neo_nest *read_nest(const char *name) {
  char path[512];
  neo_buf text = {0};
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  snprintf(path, sizeof path, "%s/tests/data/nest/%s.nest", NEO_SOURCE_DIR, name);
  assert_int_equal(neo_file_read(&ctx, path, 0, &text), NEO_OK);
  assert_int_equal(neo_nest_parse(&ctx, &arena, text.data, nest), NEO_OK);
  neo_nest_expand_math(nest);
  neo_buf_fini(&text);
  return nest;
}

typedef struct job {
  const neo_nest *nest;
  const neo_target *target;
  const neo_object *expected;
  int same;
} job;

static void *build_often(void *self) {
  job *j = self;
  neo_ctx own;
  neo_ctx_init(&own, 1);
  for (int k = 0; k < BUILDS; k++) {
    neo_object object = {0};
    if (neo_codegen_find("llvm")->build(&own, j->nest, j->target, "sym", &object) != NEO_OK)
      return NULL;
    j->same += object.bytes.size == j->expected->bytes.size &&
               memcmp(object.bytes.data, j->expected->bytes.data, object.bytes.size) == 0 &&
               strcmp(object.code_hash, j->expected->code_hash) == 0;
    neo_object_fini(&object);
  }
  return NULL;
}

static void test_threads(void **state) {
  (void)state;
  neo_target target = kernel_target("x86-64-v3");
  neo_nest *nest = read_nest("matmul_reg");
  neo_object expected = {0};
  assert_int_equal(neo_codegen_find("llvm")->build(&ctx, nest, &target, "sym", &expected), NEO_OK);
  pthread_t thread[THREADS];
  job jobs[THREADS];
  for (int k = 0; k < THREADS; k++) {
    jobs[k] = (job){nest, &target, &expected, 0};
    assert_int_equal(pthread_create(&thread[k], NULL, build_often, &jobs[k]), 0);
  }
  for (int k = 0; k < THREADS; k++) {
    pthread_join(thread[k], NULL);
    assert_int_equal(jobs[k].same, BUILDS);
  }
  neo_object_fini(&expected);
}

static void check_hash(const char *one, const char *other) {
  neo_target v2 = kernel_target(other), v3 = kernel_target(one);
  neo_nest *nest = read_nest("matmul_reg");
  neo_object a = {0}, b = {0}, c = {0};
  const neo_codegen *llvm = neo_codegen_find("llvm");
  assert_int_equal(llvm->build(&ctx, nest, &v3, "one", &a), NEO_OK);
  assert_int_equal(llvm->build(&ctx, nest, &v3, "another_name", &b), NEO_OK);
  assert_int_equal(llvm->build(&ctx, nest, &v2, "one", &c), NEO_OK);
  assert_string_equal(a.code_hash, b.code_hash);
  assert_string_not_equal(a.code_hash, c.code_hash);
  neo_object_fini(&a);
  neo_object_fini(&b);
  neo_object_fini(&c);
}

static void test_hash_is_of_the_code(void **state) {
  (void)state;
  check_hash("x86-64-v3", "x86-64-v2");
  check_hash("x86-64-v3-windows", "x86-64-v2-windows");
}

/* text() also runs LLVM's verifier. */
static void test_other_targets(void **state) {
  static const char *const targets[] = {
      "x86-64-v4", "aarch64",   "rasp5",   "x86-64-v4-windows", "rasp5-android",
      "armv7",     "cortex-a7", "riscv64", "riscv64-v256",      "hexagon"};
  static const char *const nests[] = {"matmul_reg", "vector_tail", "integers", "two_launches",
                                      "math"};
  (void)state;
  for (int t = 0; t < NEO_COUNT(targets); t++)
    for (int n = 0; n < NEO_COUNT(nests); n++) {
      neo_target target = kernel_target(targets[t]);
      neo_nest *nest = read_nest(nests[n]);
      neo_object object = {0};
      neo_buf text = {0};
      if (neo_codegen_find("llvm")->build(&ctx, nest, &target, "sym", &object) != NEO_OK)
        fail_msg("%s %s: %s", targets[t], nests[n], ctx.message);
      assert_int_equal(neo_codegen_find("llvm")->text(&ctx, nest, &target, "sym", &text), NEO_OK);
      assert_non_null(strstr(text.data, "sym_0"));
      neo_buf_fini(&text);
      neo_object_fini(&object);
    }
}

/* 64-byte vectors and mask registers where the target has them, whatever processor it is tuned for.
 */
static void test_avx512(void **state) {
  (void)state;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target("skylake-avx512");
  neo_buf out = {0};
  const char *text = "nest 1\nb0 param f32 21\nb1 param out f32 21\nlaunch i0 1\n"
                     "  b1.x16[0] = neg(b0.x16[0])\n  b1.x16a5[16] = neg(b0.x16a5[16])\n";
  assert_int_equal(neo_nest_parse(&ctx, &arena, text, nest), NEO_OK);
  assert_int_equal(neo_codegen_find("llvm")->text(&ctx, nest, &target, "sym", &out), NEO_OK);
  assert_non_null(strstr(out.data, "%zmm0"));
  assert_non_null(strstr(out.data, "{%k1}"));
  neo_buf_fini(&out);
}

/* Registers as long as the target says, and code for longer ones all the same. */
static void test_scalable_vectors(void **state) {
  (void)state;
  neo_target target = kernel_target("graviton3"), rvv = kernel_target("riscv64-v");
  neo_buf out = {0}, riscv = {0};
  const neo_codegen *llvm = neo_codegen_find("llvm");
  assert_int_equal(llvm->text(&ctx, read_nest("tile_14x2"), &target, "sym", &out), NEO_OK);
  assert_non_null(strstr(out.data, "fmla\tz"));
  assert_non_null(strstr(out.data, "vscale_range(2,16)"));
  assert_int_equal(llvm->text(&ctx, read_nest("matmul_reg"), &rvv, "sym", &riscv), NEO_OK);
  assert_non_null(strstr(riscv.data, "vfmacc."));
  neo_buf_fini(&out);
  neo_buf_fini(&riscv);
}

/* Selected by its bits; of f32 LLVM makes sfmin, which prefers the number. */
static void test_least_of_nan_on_hexagon(void **state) {
  (void)state;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target("hexagon");
  neo_buf out = {0};
  const char *text = "nest 1\nb0 param f32 2\nb1 param out f32 1\nlaunch i0 1\n"
                     "  b1[0] = min(b0[0], b0[1])\n";
  assert_int_equal(neo_nest_parse(&ctx, &arena, text, nest), NEO_OK);
  assert_int_equal(neo_codegen_find("llvm")->text(&ctx, nest, &target, "sym", &out), NEO_OK);
  assert_non_null(strstr(out.data, "sfcmp.gt"));
  assert_null(strstr(out.data, "sfmin"));
  neo_buf_fini(&out);
}

/* Floats of what stands in vectors of integers are a loop over the lanes: LLVM wrote every lane
 * out. */
static void test_floats_by_lane(void **state) {
  (void)state;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target("hexagon-hvx");
  neo_buf out = {0};
  const char *text = "nest 1\nb0 param i32 64\nb1 param out u8 32\nlaunch i0 1\n  b1.x32[0] = "
                     "cast.u8(mul(cast.f32(add(b0.x32[0], b0.x32[32])), bcast.x32(f32:0.5)))\n";
  assert_int_equal(neo_nest_parse(&ctx, &arena, text, nest), NEO_OK);
  assert_int_equal(neo_codegen_find("llvm")->text(&ctx, nest, &target, "sym", &out), NEO_OK);
  assert_non_null(strstr(out.data, ".w = vadd(v"));
  const char *first = strstr(out.data, "= convert_w2sf(");
  assert_non_null(first);
  assert_null(strstr(first + 1, "= convert_w2sf("));
  neo_buf_fini(&out);
}

/* What a loop over the lanes would write before it reads it is read before: as vectors. */
static void test_floats_of_their_own_buffer(void **state) {
  (void)state;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target("hexagon-hvx");
  const char *const offset[] = {"0", "1"};
  for (int k = 0; k < 2; k++) {
    neo_buf out = {0};
    char text[256];
    snprintf(text, sizeof text,
             "nest 1\nb0 param out f32 64\nlaunch i0 1\n  b0.x32[%s] = "
             "mul(b0.x32[0], bcast.x32(f32:0.5))\n",
             offset[k]);
    assert_int_equal(neo_nest_parse(&ctx, &arena, text, nest), NEO_OK);
    assert_int_equal(neo_codegen_find("llvm")->text(&ctx, nest, &target, "sym", &out), NEO_OK);
    assert_int_equal(strstr(out.data, "alloca [32 x float]") != NULL, k);
    neo_buf_fini(&out);
  }
}

/* Loads of all unrolled steps used to move in front of the first: 64 spills, half the speed. */
static void test_large_tile_stays_in_registers(void **state) {
  (void)state;
  neo_target target = kernel_target("znver4");
  neo_buf out = {0};
  assert_int_equal(
      neo_codegen_find("llvm")->text(&ctx, read_nest("tile_14x2"), &target, "sym", &out), NEO_OK);
  assert_non_null(strstr(out.data, "vfmadd231ps"));
  assert_null(strstr(out.data, "Spill"));
  neo_buf_fini(&out);
}

/* Four rows by one vector: 64-bit Arm takes the factors from the lanes of four vectors, each loaded
 * once for four steps; with stores between the steps every scalar is loaded by itself. */
static void test_scalars_are_loaded_together(void **state) {
  (void)state;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target("cortex-a72");
  static const char *const forms[] = {"", "        b2.x4[i3*4] = b1.x4[0]\n"};
  for (int k = 0; k < NEO_COUNT(forms); k++) {
    neo_buf out = {0};
    const char *text = neo_arena_printf(
        &arena,
        "nest 1\nb0 param f32 64\nb1 param f32 64\nb2 param out f32 16\nb3 reg f32 16 x4\n"
        "launch i0 1\n  for i1 4 unroll\n    b3.x4[i1*4] = bcast.x4(f32:0)\n  for i2 4\n"
        "    for i3 4 unroll\n      for i4 4 unroll\n        b3.x4[i4*4] = "
        "fma(bcast.x4(b0[i4*16+i2*4+i3]), b1.x4[i2*16+i3*4], b3.x4[i4*4])\n%s"
        "  for i5 4 unroll\n    b2.x4[i5*4] = b3.x4[i5*4]\n",
        forms[k]);
    if (neo_nest_parse(&ctx, &arena, text, nest) != NEO_OK ||
        neo_codegen_find("llvm")->text(&ctx, nest, &target, "sym", &out) != NEO_OK)
      fail_msg("%s", ctx.message);
    assert_true((strstr(out.data, ".s[3]") != NULL) == (k == 0));
    assert_null(strstr(out.data, "Spill"));
    neo_buf_fini(&out);
  }
}

/* A constant bound is one instruction, as the NaN stays; where the second operand may be a NaN,
 * which must not win, it is a compare and a select. A sum starts with a product. */
static void test_short_forms_of_arm64(void **state) {
  (void)state;
  static const struct {
    const char *expression, *has, *has_not;
  } cases[] = {
      {"min(max(b0.x4[0], bcast.x4(f32:0)), bcast.x4(f32:6))", "fmax\tv", "fcm"},
      {"min(max(b0.x4[0], bcast.x4(f32:0)), bcast.x4(f32:6))", "fmin\tv", "fcm"},
      {"max(b0.x4[0], b0.x4[4])", "fcm", "fmax\tv"},
      {"max(bcast.x4(f32:0), b0.x4[0])", "fmaxnm\tv", "fmax\tv"},
      {"max(b0.x4[0], bcast.x4(f32:nan))", "str\tq", "fmax\tv"},
      {"fma(b0.x4[0], b0.x4[4], bcast.x4(f32:0))", "fmul\tv", "fmla"},
      {"fma(b0.x4[0], b0.x4[4], bcast.x4(f32:1))", "fmla\tv", "fmul"},
  };
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target("cortex-a72");
  for (int k = 0; k < NEO_COUNT(cases); k++) {
    neo_buf out = {0};
    const char *text = neo_arena_printf(
        &arena, "nest 1\nb0 param f32 8\nb1 param out f32 4\nlaunch i0 1\n  b1.x4[0] = %s\n",
        cases[k].expression);
    if (neo_nest_parse(&ctx, &arena, text, nest) != NEO_OK ||
        neo_codegen_find("llvm")->text(&ctx, nest, &target, "sym", &out) != NEO_OK)
      fail_msg("%s: %s", cases[k].expression, ctx.message);
    const char *code = strstr(out.data, "\t.text");
    assert_non_null(code);
    if (!strstr(code, cases[k].has) || strstr(code, cases[k].has_not))
      fail_msg("%s: '%s' expected, '%s' not: %s", cases[k].expression, cases[k].has,
               cases[k].has_not, code);
    neo_buf_fini(&out);
  }
}

/* The assembly of row `row` with `lanes` lanes on the target, into out. */
static void row_text(const char *target_name, const char *row, int lanes, neo_buf *out) {
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target(target_name);
  const neo_intrinsic *r = neo_intrinsic_get(neo_intrinsic_find(row));
  const char *acc = neo_dtype_name(r->acc);
  const char *text = neo_arena_printf(
      &arena,
      "nest 1\nb0 param %s %d\nb1 param %s %d\nb2 param out %s %d\nlaunch i0 1\n"
      "  b2.x%d[0] = intrinsic.%d.%s.x%d(b2.x%d[0], b0.x%d[0], b1.x%d[0])\n",
      neo_dtype_name(r->a), r->group, neo_dtype_name(r->b), r->group * lanes, acc, lanes, lanes,
      neo_intrinsic_find(row), acc, lanes, lanes, r->group, r->group * lanes);
  if (neo_nest_parse(&ctx, &arena, text, nest) != NEO_OK ||
      neo_codegen_find("llvm")->text(&ctx, nest, &target, "sym", out) != NEO_OK)
    fail_msg("%s %s: %s", target_name, row, ctx.message);
}

/* Targets with the instruction get it (this machine may not run it: the text is what we can look
 * at), others pairs of 16 bits or plain code. */
static void test_intrinsics(void **state) {
  (void)state;
  static const struct {
    const char *target, *row;
    int lanes;
    const char *has, *has_not;
  } cases[] = {
      {"cascadelake", "vpdpbusd", 16, "vpdpbusd\t", "vpmaddwd"},
      {"cascadelake", "vpdpbusd", 8, "vpdpbusd\t", "vpmaddwd"},
      {"cascadelake", "vpdpbusd", 4, "vpdpbusd\t", "vpmaddwd"},
      {"alderlake", "vpdpbusd", 8, "{vex}\tvpdpbusd\t", "vpmaddwd"},
      {"alderlake", "vpdpbusd", 4, "{vex}\tvpdpbusd\t", "vpmaddwd"},
      {"znver4", "sdot", 16, "vpdpbusd\t", "vpmaddwd"},
      {"alderlake", "udot", 8, "{vex}\tvpdpbusd\t", "vpmaddwd"},
      {"skylake-avx512", "vpdpbusd", 16, "vpmaddwd\t", "vpdpbusd\t"},
      {"x86-64-v3", "vpdpbusd", 8, "vpmaddwd\t", "vpdpbusd\t"},
      {"x86-64-v2", "sdot", 4, "pmaddwd\t", "vpdpbusd\t"},
      {"rasp5", "sdot", 4, "sdot\tv", "mul\t"},
      {"rasp5", "udot", 4, "udot\tv", "mul\t"},
      {"rasp5", "vpdpbusd", 4, "sdot\tv", "mul\t"},
      {"rasp4b", "sdot", 4, "mla\tv", "sdot\tv"},
      {"hexagon-hvx", "vpdpbusd", 32, ".ub,v", "vmpyi"},
      {"hexagon-hvx", "sdot", 32, "vrmpy(v", ".ub"},
      {"hexagon-hvx", "udot", 32, ".uw += vrmpy(v", "vmpyi"},
      {"znver4", "vdpbf16ps", 16, "vdpbf16ps\t", "vfmadd"},
      {"sapphirerapids", "vdpbf16ps", 8, "vdpbf16ps\t", "vfmadd"},
      {"x86-64-v3", "vdpbf16ps", 8, "vfmadd", "vdpbf16ps\t"},
  };
  for (int k = 0; k < NEO_COUNT(cases); k++) {
    neo_buf out = {0};
    row_text(cases[k].target, cases[k].row, cases[k].lanes, &out);
    if (!strstr(out.data, cases[k].has) || strstr(out.data, cases[k].has_not))
      fail_msg("%s %s x%d: '%s' expected, '%s' not: %s", cases[k].target, cases[k].row,
               cases[k].lanes, cases[k].has, cases[k].has_not, out.data);
    neo_buf_fini(&out);
  }
}

static void assert_fails(const char *generator, const char *target_name, const neo_nest *nest,
                         const char *says) {
  neo_target target = kernel_target(target_name);
  neo_object object = {0};
  neo_ctx_clear(&ctx);
  assert_int_not_equal(neo_codegen_find(generator)->build(&ctx, nest, &target, "sym", &object),
                       NEO_OK);
  if (!strstr(ctx.message, says))
    fail_msg("'%s' does not say '%s'", ctx.message, says);
  assert_null(object.bytes.data);
}

static void test_errors(void **state) {
  (void)state;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  const char *text =
      "nest 1\nb0 param f32 8\nb1 param out f32 8\nlaunch i0 8\n  b1[i0] = exp(b0[i0])\n";
  assert_int_equal(neo_nest_parse(&ctx, &arena, text, nest), NEO_OK);
  assert_fails("llvm", "x86-64-v3", nest, "'exp'");
  assert_fails("c", "x86-64-v3", nest, "'exp'");
  assert_fails("llvm", "generic-c", nest, "architecture 'c'");
  assert_null(neo_codegen_find("fortran"));
}

/* SSE2 has no instruction for floor: LLVM would call floorf, which no kernel may. */
static void test_library_calls_are_found(void **state) {
  (void)state;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target[] = {kernel_target("x86-64-v2"), kernel_target("x86-64-v2-windows")};
  const char *text =
      "nest 1\nb0 param f32 8\nb1 param out f32 8\nlaunch i0 8\n  b1[i0] = floor(b0[i0])\n";
  assert_int_equal(neo_nest_parse(&ctx, &arena, text, nest), NEO_OK);
  for (int k = 0; k < NEO_COUNT(target); k++) {
    neo_object object = {0};
    target[k].isa = 0;
    neo_ctx_clear(&ctx);
    assert_int_equal(neo_codegen_find("llvm")->build(&ctx, nest, &target[k], "sym", &object),
                     NEO_INTERNAL);
    assert_non_null(strstr(ctx.message, "'floorf'"));
  }
}

/* A kernel of the processor where the plan says that it is a GPU's would be found when a session is
 * created, on the device. */
static void test_gpus_have_their_own(void **state) {
  (void)state;
  static const char *const generators[] = {"c", "llvm", "cuda"};
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target("opencl");
  const char *text = "nest 1\nb0 param f32 8\nb1 param out f32 8\nlaunch i0 8\n  b1[i0] = b0[i0]\n";
  assert_int_equal(neo_nest_parse(&ctx, &arena, text, nest), NEO_OK);
  for (int k = 0; k < NEO_COUNT(generators); k++) {
    neo_object object = {0};
    neo_ctx_clear(&ctx);
    assert_int_equal(neo_codegen_find(generators[k])->build(&ctx, nest, &target, "sym", &object),
                     NEO_UNSUPPORTED);
  }
}

/* Many GPUs have no doubles: what has none in a nest has none in their text. */
static void test_gpus_need_no_doubles(void **state) {
  (void)state;
  static const char *const generators[] = {"c", "opencl", "cuda"};
  static const struct {
    const char *name, *sign;
    bool in_c;
  } rows[] = {{"divide", "f64", true}, {"to_half", "double", false}};
  neo_target target = kernel_target("generic-c");
  for (int r = 0; r < NEO_COUNT(rows); r++) {
    neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
    neo_buf nest_text = {0};
    const char *path =
        neo_arena_printf(&arena, "%s/tests/data/nest/%s.nest", NEO_SOURCE_DIR, rows[r].name);
    assert_int_equal(neo_file_read(&ctx, path, 0, &nest_text), NEO_OK);
    assert_int_equal(neo_nest_parse(&ctx, &arena, nest_text.data, nest), NEO_OK);
    for (int g = 0; g < NEO_COUNT(generators); g++) {
      neo_buf text = {0};
      assert_int_equal(neo_codegen_find(generators[g])->text(&ctx, nest, &target, "sym", &text),
                       NEO_OK);
      assert_int_equal(strstr(text.data, rows[r].sign) != NULL, g == 0 && rows[r].in_c);
      neo_buf_fini(&text);
    }
    neo_buf_fini(&nest_text);
  }
}

/* A result may have an input's memory where each element is read by the store that replaces it;
 * then no text in C must promise that they are apart. */
static void test_restrict_is_no_lie(void **state) {
  static const struct {
    const char *store;
    bool promised;
  } cases[] = {{"b2[i0] = add(b0[i0], b1[0])", false}, {"b2[i0] = add(b0[7 - i0], b1[0])", true}};
  (void)state;
  static const char *const generators[] = {"c", "opencl", "cuda"};
  neo_target target = kernel_target("generic-c");
  for (int k = 0; k < NEO_COUNT(cases); k++) {
    neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
    neo_buf text = {0};
    neo_ctx_clear(&ctx);
    if (neo_nest_parse(&ctx, &arena,
                       neo_arena_printf(&arena,
                                        "nest 1\nb0 param f32 8\nb1 param const f32 1\nb2 param "
                                        "out f32 8\nlaunch i0 8\n  %s\n",
                                        cases[k].store),
                       nest) != NEO_OK)
      fail_msg("%s", ctx.message);
    assert_int_equal(neo_nest_may_overwrite(nest, 0, 2), !cases[k].promised);
    for (int g = 0; g < NEO_COUNT(generators); g++) {
      const char *word = g == 2 ? "__restrict__" : "restrict";
      assert_int_equal(neo_codegen_find(generators[g])->text(&ctx, nest, &target, "sym", &text),
                       NEO_OK);
      for (int b = 0; b < 3; b++)
        for (int m = 0; m <= (g > 0); m++) {
          bool found = strstr(text.data, neo_arena_printf(&arena, "*%s %c%d", word, "bm"[m], b));
          if (found != (cases[k].promised || b == 1))
            fail_msg("%s: %s", cases[k].store, text.data);
        }
      neo_buf_clear(&text);
    }
    neo_buf_fini(&text);
  }
}

/* Windows commits a stack page by page: LLVM calls a probe in the prologue of a large frame, which
 * must be in the object, as kernels import nothing. */
static void test_large_frames_are_probed(void **state) {
  (void)state;
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  neo_target target = kernel_target("x86-64-v3-windows");
  neo_object object = {0};
  neo_buf assembly = {0};
  const char *text = "nest 1\nb0 param f32 4000\nb1 param out f32 4000\nb2 stack f32 4000\n"
                     "launch i0 1\n  for i1 4000\n    b2[3999 - i1] = b0[i1]\n"
                     "  for i2 4000\n    b1[i2] = b2[i2]\n";
  neo_ctx_clear(&ctx);
  if (neo_nest_parse(&ctx, &arena, text, nest) != NEO_OK)
    fail_msg("%s", ctx.message);
  const neo_codegen *llvm = neo_codegen_find("llvm");
  assert_int_equal(llvm->build(&ctx, nest, &target, "sym", &object), NEO_OK);
  assert_int_equal(llvm->text(&ctx, nest, &target, "sym", &assembly), NEO_OK);
  assert_non_null(strstr(assembly.data, "callq\t___chkstk_ms"));
  neo_buf_fini(&assembly);
  neo_object_fini(&object);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
      cmocka_unit_test_setup_teardown(test_hash_is_of_the_code, setup, teardown),
      cmocka_unit_test_setup_teardown(test_least_of_nan_on_hexagon, setup, teardown),
      cmocka_unit_test_setup_teardown(test_floats_by_lane, setup, teardown),
      cmocka_unit_test_setup_teardown(test_floats_of_their_own_buffer, setup, teardown),
      cmocka_unit_test_setup_teardown(test_other_targets, setup, teardown),
      cmocka_unit_test_setup_teardown(test_avx512, setup, teardown),
      cmocka_unit_test_setup_teardown(test_scalable_vectors, setup, teardown),
      cmocka_unit_test_setup_teardown(test_large_tile_stays_in_registers, setup, teardown),
      cmocka_unit_test_setup_teardown(test_scalars_are_loaded_together, setup, teardown),
      cmocka_unit_test_setup_teardown(test_short_forms_of_arm64, setup, teardown),
      cmocka_unit_test_setup_teardown(test_intrinsics, setup, teardown),
      cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
      cmocka_unit_test_setup_teardown(test_library_calls_are_found, setup, teardown),
      cmocka_unit_test_setup_teardown(test_gpus_need_no_doubles, setup, teardown),
      cmocka_unit_test_setup_teardown(test_gpus_have_their_own, setup, teardown),
      cmocka_unit_test_setup_teardown(test_restrict_is_no_lie, setup, teardown),
      cmocka_unit_test_setup_teardown(test_large_frames_are_probed, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
