/* tests/schedule/test_matrix.c: matrix instructions in nests and in schedules: what they compute,
 * and what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schedule/matrix.h"
#include "tests/schedule/schedule_testing.h"

#include "tests/arena_fixture.h" /* after headers whose parameters have its names */

/* ---- the statement ------------------------------------------------------------------------------------ */

static char *text_of(const char *name) {
  char path[512];
  snprintf(path, sizeof(path), NEO_SOURCE_DIR "/tests/data/nest/%s.nest", name);
  return testing_read(path);
}

static void statement_computes(void **state) {
  (void)state;
  char *text = text_of("matrix_f16");
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  if (neo_nest_parse(&ctx, &arena, text, nest) != NEO_OK)
    fail_msg("%s", ctx.message);
  neo_buf printed = {0};
  neo_nest_print(&printed, nest);
  assert_string_equal(printed.data, text);
  neo_buf_fini(&printed);
  free(text);
  uint16_t a[512], b[256];
  float c[512];
  for (int i = 0; i < 512; i++)
    a[i] = neo_f32_to_f16((float)(i * 7 % 23) - 11);
  for (int i = 0; i < 256; i++)
    b[i] = neo_f32_to_f16((float)(i * 5 % 17) * 0.25f);
  void *params[] = {a, b, c};
  assert_int_equal(neo_nest_interpret(&ctx, nest, params), NEO_OK);
  for (int row = 0; row < 32; row++)
    for (int col = 0; col < 16; col++) {
      float sum = 1;
      for (int k = 0; k < 16; k++)
        sum += neo_f16_to_f32(a[row * 16 + k]) * neo_f16_to_f32(b[k * 16 + col]);
      assert_true(c[row * 16 + col] == sum);
    }
  assert_true(nest->fmas == 32 * 16 * 16);
  assert_true(nest->bytes == 512 * 2 + 256 * 2 + 512 * 4);
  assert_true(neo_nest_is_grouped(nest));
}

/* The text of matrix_f16 with `from` replaced by `to`. */
static neo_status parse_changed(const char *from, const char *to, const char *also,
                                const char *by) {
  char *text = text_of("matrix_f16");
  const char *pair[2][2] = {{from, to}, {also, by}};
  neo_buf made = {0};
  for (int i = 0; i < 2; i++) {
    char *at = pair[i][0] ? strstr(text, pair[i][0]) : NULL;
    if (!pair[i][0])
      continue;
    assert_non_null(at);
    made = (neo_buf){0};
    neo_buf_append(&made, text, (size_t)(at - text));
    neo_buf_text(&made, pair[i][1]);
    neo_buf_text(&made, at + strlen(pair[i][0]));
    free(text);
    text = malloc(made.size + 1);
    memcpy(text, made.data, made.size + 1);
    neo_buf_fini(&made);
  }
  neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
  neo_ctx_clear(&ctx);
  neo_status status = neo_nest_parse(&ctx, &arena, text, nest);
  free(text);
  return status;
}

static void statement_is_checked(void **state) {
  (void)state;
  static const struct {
    const char *from, *to, *also, *by, *why;
  } rows[] = {
      {"m16n8k16_f16", "m16n8k17_f16", NULL, NULL, "no such row"},
      {"m16n8k16_f16", "m16n8k16_bf16", NULL, NULL, "type is not the row's"},
      {"2x4", "1x4", NULL, NULL, "not those of the matrix row"},
      {"2x4", "2x3", NULL, NULL, "not those of the matrix row"},
      {"2x4", "2x4000", NULL, NULL, "out of range"},
      {"b0[i2*256+i3*32; 16, 1]", "b0[i2*256+i3*32; 17, 1]", NULL, NULL, "leaves its buffer"},
      {"b3[0; 4, 1]", "b3[0; 4, 2]", NULL, NULL, "leaves its buffer"},
      {"b3[0; 4, 1]", "b3[0; 2, 1]", NULL, NULL, "overlap"},
      {"b3[0; 4, 1]", "b3[i4; 1, 2]", "b3 reg f32 8 x1", "b3 reg f32 16 x1", "not unrolled"},
      {"b3[0; 4, 1]", "b2[0; 4, 1]", NULL, NULL, "not in registers"},
      {"b3[0; 4, 1]", "b3[0; 4]", NULL, NULL, "step expected"},
      {" += ", " = ", NULL, NULL, "'+= A' expected"},
      {"lanes i1 64", "lanes i1 48", NULL, NULL, "whole warps"},
      /* A differs between work-items of the same rows */
      {"b0[i2*256+i3*32; 16, 1]", "b0[i2*256+i4*64; 16, 1]", NULL, NULL, "matrix A's place"},
      {"b0[i2*256+i3*32; 16, 1]", "b0[i1; 16, 1]", NULL, NULL, "matrix A's place"},
      {"b1[i4*4; 16, 1, 4]", "b1[i4*4; 16, 1, 3]", NULL, NULL, "matrix B's place"},
      {"b1[i4*4; 16, 1, 4]", "b1[i3; 16, 1, 4]", NULL, NULL, "matrix B's place"},
      {"let i4 = floormod(i1, 4)", "let i4 = floormod(floordiv(i1, 8), 4)", NULL, NULL,
       "matrix B's place"},
      /* a place that what was loaded decides */
      {"let i4 = floormod(i1, 4)", "let i4 = max(0, min(3, cast.i64(b2[i1])))", NULL, NULL,
       "does not follow"},
      {"        mma", "        if lt(i1, 60)\n          mma", NULL, NULL,
       "not all work-items reach"},
      {"b0 param f16 512", "b0 param f16 512", "b0[i2*256", "b3[i2*256", "type is not the row's"},
  };
  for (int i = 0; i < NEO_COUNT(rows); i++) {
    if (parse_changed(rows[i].from, rows[i].to, rows[i].also, rows[i].by) != NEO_BAD_INPUT)
      fail_msg("%d: accepted", i);
    if (!strstr(ctx.message, rows[i].why))
      fail_msg("%d: '%s' is not in: %s", i, rows[i].why, ctx.message);
  }
  /* the columns of two warps may be elsewhere, and any order of the digits of warps */
  assert_int_equal(parse_changed("i2*256+i3*32; 16", "i3*32; 16", "b1[i4*4;", "b1[i2*0+i4*4;"),
                   NEO_OK);
}

/* Another work-item of the warp loads what this one has just stored. */
static void races_are_caught(void **state) {
  (void)state;
  static const char text[] =
      "nest 1\nb0 param out f32 128\nb1 shared f16 128\nb2 shared f16 128\nb3 reg f32 4 x1\n"
      "launch i0 1 lanes i1 32\n"
      "  let i2 = floordiv(i1, 4)\n"
      "    let i3 = floormod(i1, 4)\n"
      "      for i4 4\n"
      "        b1[i1+i4*32] = f16:1\n"
      "        b2[i1+i4*32] = f16:2\n"
      "        b3[0] = f32:0\n"
      "      %s\n"
      "      b3[1] = f32:0\n"
      "      b3[2] = f32:0\n"
      "      b3[3] = f32:0\n"
      "      mma m16n8k8_f16 2x2 b3[0; 2, 1] += b1[i2*16; 8, 1] * b2[i3*16; 1, 8, 16]\n"
      "      for i5 4 unroll\n"
      "        b0[i1*4+i5] = b3[i5]\n";
  for (int barrier = 0; barrier < 2; barrier++) {
    char *whole = neo_arena_printf(&arena, text, barrier ? "barrier" : "prefetch b0[0]");
    neo_nest *nest = neo_arena_alloc(&arena, sizeof(*nest));
    if (neo_nest_parse(&ctx, &arena, whole, nest) != NEO_OK)
      fail_msg("%s", ctx.message);
    float out[128];
    void *params[] = {out};
    assert_int_equal(neo_nest_interpret(&ctx, nest, params), barrier ? NEO_OK : NEO_BAD_INPUT);
    if (barrier)
      assert_true(out[0] == 16 && out[127] == 16);
    else
      assert_non_null(strstr(ctx.message, "race"));
    neo_ctx_clear(&ctx);
  }
}

static void rows_are_of_architectures(void **state) {
  (void)state;
  neo_target target;
  assert_int_equal(neo_target_find(&ctx, "cuda", &target), NEO_OK); /* sm_75 */
  assert_true(neo_matrix_native(neo_matrix_find("m16n8k8_f16"), &target));
  assert_true(neo_matrix_native(neo_matrix_find("m8n8k16_u8s8"), &target));
  assert_false(neo_matrix_native(neo_matrix_find("m16n8k16_f16"), &target));
  assert_int_equal(neo_target_find(&ctx, "cuda-sm70", &target), NEO_OK);
  for (int r = 0; r < neo_matrix_count(); r++)
    assert_false(neo_matrix_native(r, &target));
  assert_int_equal(neo_target_find(&ctx, "cuda-sm90", &target), NEO_OK);
  for (int r = 0; r < neo_matrix_count(); r++)
    assert_true(neo_matrix_native(r, &target));
  assert_int_equal(neo_target_find(&ctx, "opencl", &target), NEO_OK);
  assert_false(neo_matrix_native(0, &target));
  neo_scalar wraps = {.i = INT32_MAX}, one[32] = {{.i = 1}};
  int row = neo_matrix_find("m8n8k16_s8s8");
  assert_int_equal(neo_matrix_apply(row, wraps, one, one).i, INT32_MIN);
}

/* ---- schedules ---------------------------------------------------------------------------------------- */

#define GEMM(a, b, acc, out, value)                                                                \
  "te 1\nb0 in " a " [64,64]\nb1 const " b " [64,48]\nb2 const " acc " [48]\n"                     \
  "b3 tmp " acc " [64,48]\nb4 out " out " [64,48]\n"                                               \
  "B0 b3[i0, i1] s[64,48] r[64] add " acc ":0\n"                                                   \
  "  mul(cast." acc "(b0[i0, i2]), cast." acc "(b1[i2, i1]))\n"                                    \
  "B1 b4[i0, i1] s[64,48]\n  " value "\n"

static const char gemm_f16[] =
    GEMM("f16", "f16", "f32", "f16", "cast.f16(max(add(b3[i0, i1], b2[i1]), f32:0))");
static const char gemm_bf16[] = GEMM("bf16", "bf16", "f32", "f32", "add(b3[i0, i1], b2[i1])");
static const char gemm_u8s8[] = GEMM("u8", "i8", "i32", "i32", "add(b3[i0, i1], b2[i1])");
static const char gemm_u8u8[] = GEMM("u8", "u8", "i32", "i32", "add(b3[i0, i1], b2[i1])");

/* Two rows and two columns of a work-item, two warps along each axis; k in blocks of 32. */
#define TILE(rows, columns)                                                                        \
  "split B3.0 2 8 " rows "; split B3.1 2 4 " columns                                               \
  "; order B3 0.0 1.0 0.1 1.1 0.2 1.2 0.3 1.3; parallel B3 2; group B3 4; vector B3.1.3; "         \
  "at B2 B3 6 reg; split B2.1 " columns "; vector B2.1.1; "
#define DEEP(per_block, k, row)                                                                    \
  "split B2.2 " per_block " " k "; order B2 2.0 2.1 2.2 0 1.0 1.1; tensorize B2.2.2 " row "; "     \
  "at B0 B2 1 shared; at B1 B2 1 shared"

static const char conv_f16[] =
    "te 1\n"
    "b0 in f16 [1,16,8,16]\n"
    "b1 const f16 [32,16,3,3]\n"
    "b2 tmp f32 [1,32,8,16]\n"
    "b3 out f16 [1,32,8,16]\n"
    "B0 b2[i0, i1, i2, i3] s[1,32,8,16] r[16,3,3] add f32:0\n"
    "  mul(cast.f32(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<8, 0<=i3+i6-1<16 else 0]), "
    "cast.f32(b1[i1, i4, i5, i6]))\n"
    "B1 b3[i0, i1, i2, i3] s[1,32,8,16]\n"
    "  cast.f16(max(b2[0, i1, i2, i3], f32:0))\n";

static const struct {
  const char *te, *line;
} computed[] = {
    /* rows of A and columns of B in k, with and without places between them */
    {gemm_f16, "s1; alg stage; lay b5 0,1~40; lay b6 1,0~40; " TILE("2", "2")
                   DEEP("2", "16", "m16n8k16_f16")},
    {gemm_f16, "s1; alg stage; lay b6 1,0; " TILE("4", "6") DEEP("2", "8", "m16n8k8_f16")},
    /* k is not innermost in memory */
    {gemm_f16, "s1; alg stage; " TILE("2", "2") DEEP("4", "16", "m16n8k16_f16")},
    {gemm_bf16, "s1; alg stage; lay b5 0,1~24; lay b6 1,0~24; " TILE("2", "6")
                    DEEP("1", "16", "m16n8k16_bf16")},
    {gemm_bf16, "s1; alg stage; " TILE("2", "2") DEEP("1", "8", "m16n8k8_bf16")},
    {gemm_u8s8, "s1; alg stage; lay b5 0,1~80; lay b6 1,0~80; " TILE("1", "2")
                    DEEP("4", "16", "m8n8k16_u8s8")},
    {gemm_u8s8, "s1; alg stage; lay b5 0,1~80; lay b6 1,0~80; " TILE("2", "2")
                    DEEP("2", "32", "m16n8k32_u8s8")},
    {gemm_u8u8, "s1; alg stage; " TILE("2", "2") DEEP("1", "32", "m16n8k32_u8u8")},
    /* the other factor is A: rows of the group's loop of 8 are columns of the output */
    {gemm_u8s8, "s1; alg stage; split B3.0 2 4 2; split B3.1 8 2; "
                "order B3 0.0 1.0 0.1 1.1 0.2 0.3 1.2; parallel B3 2; group B3 3; "
                "at B2 B3 5 reg; unroll B3.0.3; split B2.2 16; order B2 2.0 2.1 0 1; "
                "tensorize B2.2.1 m8n8k16_s8u8; at B0 B2 1 shared; at B1 B2 1 shared"},
    /* from the device's memory */
    {gemm_f16, "s1; alg direct; split B1.0 2 8 2; split B1.1 2 4 2; order B1 0.0 1.0 0.1 1.1 0.2 "
               "1.2 0.3 1.3; parallel B1 2; group B1 4; at B0 B1 6 reg; split B0.2 16; "
               "order B0 2.0 2.1 1 0; tensorize B0.2.1 m16n8k16_f16"},
    /* the reduction is the launch; what it sums is copied whole */
    {gemm_u8u8, "s1; alg stage; split B2.0 8 1; split B2.1 4 2; split B2.2 16; order B2 0.0 1.0 "
                "0.1 1.1 2.0 2.1 0.2 1.2; parallel B2 2; group B2 2; unroll B2.1.2; unroll B2.0.2; "
                "tensorize B2.2.1 m8n8k16_u8u8; at B0 B2 4 shared; at B1 B2 4 shared; "
                "parallel B3 1; group B3 1"},
    {conv_f16,
     "s1; alg stage; lay b4 0,2,3,1~24; lay b5 0,2,3,1~24; split B3.1 8 2; split B3.3 4 4; "
     "order B3 0 2 1.0 3.0 1.1 3.1 1.2 3.2; parallel B3 4; group B3 2; vector B3.3.2; "
     "at B2 B3 6 reg; split B2.3 4; split B2.4 16; order B2 4.0 5 6 4.1 0 2 1 3.0 3.1; "
     "vector B2.3.1; tensorize B2.4.1 m16n8k16_f16; at B0 B2 1 shared; at B1 B2 1 shared"},
};

static void schedules_compute(void **state) {
  (void)state;
  for (int i = 0; i < NEO_COUNT(computed); i++) {
    schedule_testing t;
    schedule_testing_begin(&t, computed[i].te, (uint64_t)i);
    schedule_testing_check(&t, computed[i].line, 4e-3);
    schedule_testing_end(&t);
  }
}

static void schedules_are_refused(void **state) {
  (void)state;
  static const struct {
    const char *te, *line, *target, *why;
  } rows[] = {
      {gemm_f16, "s1; alg stage; " TILE("2", "2") DEEP("2", "16", "m16n8k16_f61"), NULL,
       "no such intrinsic or matrix row"},
      {gemm_f16, "s1; alg stage; " TILE("2", "2") DEEP("2", "8", "m16n8k16_f16"), NULL,
       "not the k of the matrix row"},
      {gemm_f16, "s1; alg stage; " TILE("2", "2") DEEP("2", "16", "m16n8k16_bf16"), NULL,
       "does not sum such products"},
      {gemm_u8s8, "s1; alg stage; " TILE("2", "2") DEEP("2", "16", "m8n8k16_u8u8"), NULL,
       "does not sum such products"},
      {gemm_u8s8, "s1; alg stage; " TILE("2", "2") DEEP("2", "16", "m8n8k16_s8u8"), NULL,
       "not of the row's first type"},
      {gemm_f16, "s1; alg stage; " TILE("1", "2") DEEP("2", "16", "m16n8k16_f16"), NULL,
       "multiples of 2 and 2 needed"},
      {gemm_f16, "s1; alg stage; " TILE("2", "3") DEEP("2", "16", "m16n8k16_f16"), NULL,
       "multiples of 2 and 2 needed"},
      {gemm_f16, "s1; alg stage; " TILE("2", "2") DEEP("2", "16", "m16n8k16_f16"), "cuda",
       "architecture has no such instruction"},
      {gemm_f16,
       "s1; alg stage; split B3.0 4 2; split B3.1 8 2; order B3 0.0 1.0 0.1 1.1 0.2 1.2; "
       "parallel B3 2; group B3 2; at B2 B3 4 reg; split B2.2 16; order B2 2.0 2.1 0 1; "
       "tensorize B2.2.1 m16n8k16_f16; at B0 B2 1 shared; at B1 B2 1 shared",
       NULL, "not of 8 and 4 work-items"},
      {gemm_f16,
       "s1; alg stage; split B3.0 8 4 2; order B3 0.0 1 0.1 0.2 0.3; parallel B3 2; group B3 2; "
       "at B2 B3 4 reg; split B2.2 16; order B2 2.0 2.1 0 1; tensorize B2.2.1 m16n8k16_f16; "
       "at B0 B2 1 shared; at B1 B2 1 shared",
       NULL, "one factor has to move with"},
      {gemm_f16,
       "s1; alg stage; " TILE("2", "2") "split B2.2 16; order B2 2.0 2.1 0 1.0 1.1; tensorize "
                                        "B2.2.0 m16n8k16_f16; at B0 B2 1 shared; at B1 B2 1 shared",
       NULL, "not the last level"},
      {gemm_f16,
       "s1; alg stage; " TILE(
           "2", "2") "split B2.2 16 2; order B2 2.0 2.1 2.2 0 1.0 1.1; "
                     "tensorize B2.2.1 m16n8k16_f16; at B0 B2 1 shared; at B1 B2 1 shared",
       NULL, "not the last level"},
      {gemm_f16, "s1; alg stage; lay b5 0,1~24; " TILE("2", "2") DEEP("2", "16", "m16n8k16_f16"),
       NULL, "less places than what B0 computes"},
      {conv_f16,
       "s1; alg direct; split B1.1 8 2; split B1.3 4 4; order B1 0 2 1.0 3.0 1.1 3.1 1.2 3.2; "
       "parallel B1 4; group B1 2; at B0 B1 6 reg; split B0.4 16; order B0 4.0 5 6 4.1 0 2 1 3; "
       "tensorize B0.4.1 m16n8k16_f16",
       NULL, "padding that is not in a copy"},
  };
  for (int k = 0; k < NEO_COUNT(rows); k++) {
    schedule_testing t;
    schedule_testing_begin(&t, rows[k].te, 1);
    neo_schedule line;
    neo_nest *nest = neo_arena_alloc(&t.arena, sizeof(*nest));
    neo_target target;
    if (rows[k].target)
      assert_int_equal(neo_target_find(&t.ctx, rows[k].target, &target), NEO_OK);
    if (neo_schedule_parse(&t.ctx, rows[k].line, &line) != NEO_OK)
      fail_msg("%d: %s", k, t.ctx.message);
    if (neo_schedule_lower(&t.ctx, t.te, &line, rows[k].target ? &target : NULL, &t.arena, nest) !=
        NEO_BAD_INPUT)
      fail_msg("%d lowers", k);
    if (!strstr(t.ctx.message, rows[k].why))
      fail_msg("%d: '%s' is not in: %s", k, rows[k].why, t.ctx.message);
    schedule_testing_end(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(statement_computes, setup, teardown),
      cmocka_unit_test_setup_teardown(statement_is_checked, setup, teardown),
      cmocka_unit_test_setup_teardown(races_are_caught, setup, teardown),
      cmocka_unit_test_setup_teardown(rows_are_of_architectures, setup, teardown),
      cmocka_unit_test(schedules_compute),
      cmocka_unit_test(schedules_are_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
