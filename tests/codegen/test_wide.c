/* tests/codegen/test_wide.c: vector accesses in the text of kernels for GPUs, and in PTX. Values
 * are checked by test_kernel_nests_opencl (wide_group.nest) and by the spaces' tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/host.h"
#include "codegen/cuda_nvrtc.h"
#include "tests/arena_fixture.h"
#include "tests/codegen/kernel_case.h"
#include "tests/foreign_driver.h"

static const neo_nest *parse(const char *text) {
  neo_nest *nest = neo_arena_alloc(&arena, sizeof *nest);
  if (neo_nest_parse(&ctx, &arena, text, nest) != NEO_OK)
    fail_msg("%s\n%s", ctx.message, text);
  return nest;
}

static void print(const char *generator, const neo_nest *nest, neo_buf *out) {
  neo_target target = kernel_target(generator);
  if (neo_codegen_find(generator)->text(&ctx, nest, &target, "k", out) != NEO_OK)
    fail_msg("%s", ctx.message);
}

static int count(const char *text, const char *part) {
  int n = 0;
  for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
    n++;
  return n;
}

/* ---- what is printed ------------------------------------------------------------------------- */

typedef struct wide_case {
  const char *align, *buffers, *statement;
  /* NULL: no vector access at all. In the kernel, "|" between what has to be there. */
  const char *opencl, *cuda;
} wide_case;

#define F32 "b0 param f32 4096\nb1 param out f32 4096\n"
#define F16 "b0 param f16 4096\nb1 param out f16 4096\n"
#define I8 "b0 param i8 4096\nb1 param out i8 4096\n"

static const wide_case cases[] = {
    /* what is only moved */
    {"", F32, "b1.x4[i0*4] = b0.x4[i0*4+64]",
     "vstore4(vload4(0, &b0[i0 * 4 + 64]), 0, &b1[i0 * 4]);",
     "copy_wide<4>(&b1[i0 * 4], &b0[i0 * 4 + 64]);"},
    {"", I8, "b1.x16[i0*16] = b0.x16[i0*16]",
     "vstore16(vload16(0, &b0[i0 * 16]), 0, &b1[i0 * 16]);",
     "copy_wide<16>(&b1[i0 * 16], &b0[i0 * 16]);"},
    {"", F16, "b1.x8[i0*8] = b0.x8[i0*8]", "vstore8(vload8(0, &b0[i0 * 8]), 0, &b1[i0 * 8]);",
     "copy_wide<8>(&b1[i0 * 8], &b0[i0 * 8]);"},
    /* 16 bytes at a time; OpenCL knows what its device has */
    {"", F32, "b1.x8[i0*8] = b0.x8[i0*8]", "vstore8(vload8(0, &b0[i0 * 8]), 0, &b1[i0 * 8]);",
     "copy_wide<4>(&b1[i0 * 8], &b0[i0 * 8]);|copy_wide<4>(&b1[i0 * 8 + 4], &b0[i0 * 8 + 4]);"},
    {"", F32, "b1.x8[i0*8] = neg(b0.x8[i0*8])",
     "const float8 v0 = vload8(0, &b0[i0 * 8]);|(-v0.s7)",
     "v0_0 = *(const wide<4, float> *)&b0[i0 * 8];|v0_1 = *(const wide<4, float> *)&b0[i0 * 8 + "
     "4];|"
     "*(wide<4, float> *)&b1[i0 * 8] = {{(-v0_0.at[0]), |"
     "*(wide<4, float> *)&b1[i0 * 8 + 4] = {{(-v0_1.at[0]), |(-v0_1.at[3])"},
    /* once, though it is used twice */
    {"", F32, "b1.x4[i0*4] = mul(b0.x4[i0*4], b0.x4[i0*4])",
     "const float4 v0 = vload4(0, &b0[i0 * 4]);|vload4|"
     "vstore4((float4)((v0.s0 * v0.s0), (v0.s1 * v0.s1), (v0.s2 * v0.s2), (v0.s3 * v0.s3)), 0, "
     "&b1[i0 * 4]);",
     "const wide<4, float> v0 = *(const wide<4, float> *)&b0[i0 * 4];|&b0[|"
     "*(wide<4, float> *)&b1[i0 * 4] = {{(v0.at[0] * v0.at[0]), (v0.at[1] * v0.at[1]), "
     "(v0.at[2] * v0.at[2]), (v0.at[3] * v0.at[3])}};"},
    /* CUDA: as wide as is proven, else elements */
    {"", F32, "b1.x4[i0*4] = neg(b0.x4[i0*4+2])", "vload4(0, &b0[i0 * 4 + 2])",
     "v0_0 = *(const wide<2, float> *)&b0[i0 * 4 + 2];|"
     "v0_1 = *(const wide<2, float> *)&b0[i0 * 4 + 2 + 2];|"
     "*(wide<4, float> *)&b1[i0 * 4] = {{(-v0_0.at[0]), (-v0_0.at[1]), (-v0_1.at[0]), "},
    {"", F32, "b1.x4[i0*4] = neg(b0.x4[i0*4+1])", "vload4(0, &b0[i0 * 4 + 1])",
     "*(wide<4, float> *)&b1[i0 * 4] = {{(-b0[i0 * 4 + 1 + 0]), (-b0[i0 * 4 + 1 + 1]), "},
    {"", F32, "b1.x4[i0*3] = b0.x4[i0*5]", "vstore4(vload4(0, &b0[i0 * 5]), 0, &b1[i0 * 3]);",
     NULL},
    {"", F32, "b1.x2[floordiv(i0, 4)*2+1] = neg(b0.x2[floormod(i0, 8)*6])", "vload2(0, &b0[",
     "v0 = *(const wide<2, float> *)&b0[floormod_i32(i0, 8) * 6];|"
     "b1[floordiv_i32(i0, 4) * 2 + 1] = (-v0.at[0]);|"
     "b1[floordiv_i32(i0, 4) * 2 + 1 + 1] = (-v0.at[1]);"},
    {"", F32, "b1.x4[max(i0*8-16, 0)] = neg(b0.x4[min(i0*4, 256)])", "vload4(0, &b0[",
     "v0 = *(const wide<4, float> *)&b0[|*(wide<4, float> *)&b1["},
    /* buffers that begin anywhere, or at 8 bytes */
    {" align 4", F32, "b1.x4[i0*4] = b0.x4[i0*4]", "vload4(0, &b0[i0 * 4])", NULL},
    {" align 8", F32, "b1.x4[i0*4] = b0.x4[i0*4]", "vload4(0, &b0[i0 * 4])",
     "copy_wide<2>(&b1[i0 * 4], &b0[i0 * 4]);|copy_wide<2>(&b1[i0 * 4 + 2], &b0[i0 * 4 + 2]);"},
    {" align 1", I8 "b2 shared i8 64\n", "b2.x4[0] = b0.x4[i0*4]\n  b1.x4[i0*4] = neg(b2.x4[0])",
     "vstore4(vload4(0, &b0[i0 * 4]), 0, &b2[0]);|const char4 v0 = vload4(0, &b2[0]);",
     "const wide<4, int8_t> v0 = *(const wide<4, int8_t> *)&b2[0];"},
    /* work memory begins at 16 bytes whatever the rest does */
    {" align 4", F32 "b2 work f32 1024 @0\n", "b2.x4[0] = neg(b2.x4[4])", "vload4(0, &b2[4])",
     "v0 = *(const wide<4, float> *)&b2[4];|*(wide<4, float> *)&b2[0] = {{"},
    /* masked lanes, registers, numbers of lanes that are no power of two */
    {"", F32, "b1.x4a3[i0*4] = b0.x4a3[i0*4]", NULL, NULL},
    {"", F32 "b2 reg f32 8 x4\n", "b2.x4[0] = neg(b2.x4[4])", NULL, NULL},
    {"", F32 "b2 reg f32 8 x4\n", "b2.x4[0] = add(b2.x4[0], b0.x4[i0*4])",
     "const float4 v0 = vload4(0, &b0[i0 * 4]);|b2[0 + 1] = (b2[0 + 1] + v0.s1);",
     "const wide<4, float> v0 = *|b2[0 + 1] = (b2[0 + 1] + v0.at[1]);"},
    {"", F32, "b1.x4[i0*4] = add(b0.x4[i0*4], b0.x4a2[i0*4+1])",
     "(v0.s1 + b0[i0 * 4 + 1 + 1]), (v0.s2 + 0)",
     "(v0.at[1] + b0[i0 * 4 + 1 + 1]), (v0.at[2] + 0)"},
    {"", F32, "b1.x6[i0*6] = b0.x6[i0*6]",
     "vstore2(vload2(0, &b0[i0 * 6 + 4]), 0, &b1[i0 * 6 + 4]);",
     "copy_wide<2>(&b1[i0 * 6 + 4], &b0[i0 * 6 + 4]);"},
    {"", F32, "b1.x3[i0*3] = b0.x3[i0*3]", NULL, NULL},
    /* booleans are made 0 or 1; halves are numbers only where they are computed with */
    {"", "b0 param bool 64\nb1 param out bool 64\n", "b1.x4[i0*4] = b0.x4[i0*4]",
     "const uchar4 v0 =|(uchar4)((v0.s0 != 0), (v0.s1 != 0), ", "= {{(v0.at[0] != 0), "},
    {"", F16, "b1.x8[i0*8] = neg(b0.x8[i0*8])",
     "const ushort8 v0 =|(ushort8)(f32_to_f16((-f16_to_f32(v0.s0))), ",
     "*(wide<8, uint16_t> *)&b1[i0 * 8] = {{f32_to_f16((-f16_to_f32(v0.at[0]))), "},
    /* what reads elsewhere in the buffer that is stored to: all of it is read first */
    {"", "b0 param out f32 4096\n", "b0.x4[i0*4] = b0.x4[i0*4+1]",
     "vstore4(vload4(0, &b0[i0 * 4 + 1]), 0, &b0[i0 * 4]);",
     "= {{b0[i0 * 4 + 1 + 0], b0[i0 * 4 + 1 + 1], "},
    {"", "b0 param out f32 4096\n", "b0.x4[i0*3] = b0.x4[i0*4]",
     "vstore4(vload4(0, &b0[i0 * 4]), 0, &b0[i0 * 3]);", NULL},
};

static void check(const wide_case *c, const char *generator, const char *wanted) {
  char text[1024], want[400];
  neo_buf out = {0};
  snprintf(text, sizeof text, "nest 1%s\n%slaunch i0 8\n  %s\n", c->align, c->buffers,
           c->statement);
  print(generator, parse(text), &out);
  const char *kernel = strstr(out.data, "k_0(");
  assert_non_null(kernel);
  if (!wanted && (strstr(kernel, "vload") || strstr(kernel, "wide<")))
    fail_msg("%s: elements expected:\n%s", text, kernel);
  snprintf(want, sizeof want, "%s", wanted ? wanted : "");
  for (char *part = want, *next; part && *part; part = next) {
    next = strchr(part, '|');
    if (next)
      *next++ = '\0';
    if (count(kernel, part) != 1)
      fail_msg("%s: '%s' expected once:\n%s", text, part, kernel);
  }
  neo_buf_fini(&out);
}

static void vectors_are_printed(void **state) {
  (void)state;
  for (int k = 0; k < NEO_COUNT(cases); k++) {
    check(&cases[k], "opencl", cases[k].opencl);
    check(&cases[k], "cuda", cases[k].cuda);
  }
}

static void shared_buffers_are_aligned(void **state) {
  (void)state;
  const neo_nest *nest =
      parse("nest 1\n" F32 "b2 shared f32 64\nlaunch i0 8\n  b2.x4[0] = b0.x4[i0*4]\n"
            "  b1.x4[i0*4] = b2.x4[0]\n");
  static const char *const wanted[][2] = {
      {"opencl", "__local __attribute__((aligned(16))) float b2[64];"},
      {"cuda", "__shared__ __align__(16) float b2[64];"}};
  for (int k = 0; k < NEO_COUNT(wanted); k++) {
    neo_buf out = {0};
    print(wanted[k][0], nest, &out);
    if (!strstr(out.data, wanted[k][1]))
      fail_msg("%s", out.data);
    neo_buf_fini(&out);
  }
}

static void alignments_round_trip(void **state) {
  (void)state;
  static const char text[] = "nest 1 align 8\nb0 param out f32 8\nlaunch i0 8\n  b0[i0] = f32:0\n";
  static const char *const bad[] = {"nest 1 align 3\n", "nest 1 align 0\n", "nest 1 align 128\n",
                                    "nest 1 align\n"};
  const neo_nest *nest = parse(text);
  neo_buf out = {0};
  assert_int_equal(nest->align, 8);
  neo_nest_print(&out, nest);
  assert_string_equal(out.data, text);
  neo_buf_fini(&out);
  for (int k = 0; k < NEO_COUNT(bad); k++) {
    neo_nest parsed;
    neo_ctx_clear(&ctx);
    assert_int_equal(neo_nest_parse(&ctx, &arena, bad[k], &parsed), NEO_BAD_INPUT);
  }
  neo_ctx_clear(&ctx);
}

/* ---- what NVRTC makes of it ------------------------------------------------------------------ */

static void ptx_has_vector_accesses(void **state) {
  (void)state;
  static const struct {
    const char *buffers, *statement, *load, *store;
  } rows[] = {
      /* the first may be in place, so that its memory is not constant */
      {F32, "b1.x4[i0*4] = b0.x4[i0*4]", "ld.global.v4.f32", "st.global.v4.f32"},
      {F32, "b1.x4[i0*4] = mul(b0.x4[i0*4], b0.x4[i0*4+4])", "ld.global.nc.v4.f32",
       "st.global.v4.f32"},
      {F16, "b1.x8[i0*8] = neg(b0.x8[i0*8+8])", "ld.global.nc.v4.u32", "st.global.v4.u32"},
      {I8, "b1.x16[i0*16] = neg(b0.x16[i0*16+16])", "ld.global.nc.v4.u32", "st.global.v4.u32"},
  };
  static const char *const models[] = {"compute_53", "compute_90"};
  neo_buf probe = {0};
  const char *refused = foreign_driver_refused();
  if (refused || cuda_nvrtc_compile(&ctx, "", models[0], &probe) == NEO_UNSUPPORTED) {
    print_message("%s\n", refused ? refused : ctx.message);
    neo_ctx_clear(&ctx);
    skip();
  }
  neo_buf_fini(&probe);
  for (int k = 0; k < NEO_COUNT(rows) * NEO_COUNT(models); k++) {
    neo_buf source = {0}, ptx = {0};
    int r = k / NEO_COUNT(models);
    print("cuda",
          parse(neo_arena_printf(&arena, "nest 1\n%slaunch i0 8\n  %s\n", rows[r].buffers,
                                 rows[r].statement)),
          &source);
    if (cuda_nvrtc_compile(&ctx, source.data, models[k % NEO_COUNT(models)], &ptx) != NEO_OK)
      fail_msg("%s\n%s", ctx.message, source.data);
    neo_buf_append(&ptx, "", 1);
    if (!strstr(ptx.data, rows[r].load) || !strstr(ptx.data, rows[r].store) ||
        strstr(ptx.data, ".local"))
      fail_msg("%s: %s and %s expected:\n%s", rows[r].statement, rows[r].load, rows[r].store,
               ptx.data);
    neo_buf_fini(&source);
    neo_buf_fini(&ptx);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(vectors_are_printed, setup, teardown),
      cmocka_unit_test_setup_teardown(shared_buffers_are_aligned, setup, teardown),
      cmocka_unit_test_setup_teardown(alignments_round_trip, setup, teardown),
      cmocka_unit_test_setup_teardown(ptx_has_vector_accesses, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
