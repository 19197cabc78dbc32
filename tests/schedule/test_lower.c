/* Lowering: every schedule of every te below computes what the te's interpreter does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/schedule/schedule_testing.h"

static const char conv_text[] =
    "te 1\n"
    "b0 in f32 [1,5,13,7]\n"
    "b1 const f32 [19,5,3,3]\n"
    "b2 const f32 [19]\n"
    "b3 tmp f32 [1,19,13,7]\n"
    "b4 out f32 [1,19,13,7]\n"
    "B0 b3[i0, i1, i2, i3] s[1,19,13,7] r[5,3,3] add f32:0\n"
    "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<13, 0<=i3+i6-1<7 else 0], b1[i1, i4, i5, i6])\n"
    "B1 b4[0, i1, i2, i3] s[1,19,13,7]\n"
    "  max(add(b3[0, i1, i2, i3], b2[i1]), f32:0)\n";

static void run(const char *te, const char *const *lines, int n) {
  schedule_testing t;
  schedule_testing_begin(&t, te, 7);
  for (int i = 0; i < n; i++)
    schedule_testing_check(&t, lines[i], 2e-5);
  schedule_testing_end(&t);
}

static void naive_computes_every_te(void **state) {
  (void)state;
  const char *names[] = {"conv_relu", "gather", "group_conv", "phases", "scalar", "softmax"};
  for (int i = 0; i < NEO_COUNT(names); i++) {
    char path[512];
    snprintf(path, sizeof(path), NEO_SOURCE_DIR "/tests/data/te/%s.te", names[i]);
    char *text = testing_read(path);
    const char *line = "s1; alg direct";
    run(text, &line, 1);
    free(text);
  }
}

/* What the documentation shows: an NHWC convolution with packed weights and a register tile. */
static const char avx2_line[] =
    "s1; alg pad; lay b0 0,2,3,1; lay b4 0,2,3,1; lay b5 0,2,3,1; pack b1 0/16,1,2,3,0%16; "
    "split B2.1 2 8; split B2.3 6; order B2 0 1.0 2 3.0 3.1 1.1 1.2; vector B2.1.2; "
    "split B1.1 8; order B1 0 2 4 5 6 3 1.0 1.1; vector B1.1.1; at B1 B2 4 reg; parallel B2 3";

static void conv_in_many_ways(void **state) {
  (void)state;
  const char *lines[] = {
      avx2_line,
      "s1; alg direct",
      "s1; alg pad",
      "s1; alg direct; at B0 B1 0 work",
      "s1; alg direct; at B0 B1 4 reg",
      "s1; alg direct; at B0 B1 2 stack",
      "s1; alg direct; at B0 B1 1 work; parallel B1 1",
      "s1; alg direct; at B0 B1 3 stack; parallel B1 3",
      /* the copy inside the convolution's tiles */
      "s1; alg pad; at B0 B1 2 work; at B1 B2 0 work",
      "s1; alg pad; split B2.2 4; order B2 0 2.0 1 2.1 3; at B0 B2 2 work; at B1 B2 3 reg; "
      "order B1 0 1 4 5 6 2 3; parallel B2 2",
      "s1; alg pad; split B2.2 4; order B2 0 2.0 1 2.1 3; at B0 B1 0 stack; at B1 B2 3 work; "
      "parallel B2 2",
      /* tails of every loop kind, guards in the hot loop */
      "s1; alg direct; split B1.1 8; order B1 0 2 3 1.0 1.1; vector B1.1.1; split B0.1 8; "
      "order B0 0 2 3 4 5 6 1.0 1.1; vector B0.1.1; at B0 B1 4 reg; parallel B1 3",
      "s1; alg direct; lay b4 0,1/8,2,3,1%8; split B1.1 8; order B1 0 1.0 2 3 1.1; vector B1.1.1; "
      "split B0.1 8; "
      "order B0 0 2 3 4 5 6 1.0 1.1; vector B0.1.1; at B0 B1 4 reg; parallel B1 4",
      "s1; alg pad; lay b0 0,1/4,2,3,1%4; lay b5 0,1/4,2,3,1%4; lay b4 0,1/8,2,3,1%8; pack b1 "
      "0/8,1,2,3,0%8; "
      "split B2.1 8; split B2.3 3; order B2 0 1.0 2 3.0 3.1 1.1; vector B2.1.1; split B1.1 8; "
      "split B1.4 4; "
      "order B1 0 2 4.0 5 6 4.1 3 1.0 1.1; unroll B1.4.1; vector B1.1.1; at B1 B2 4 reg; parallel "
      "B2 4; "
      "split B0.3 4; order B0 0 1 2 3.0 3.1; vector B0.3.1",
      /* outputs and registers along w: gathers and scatters across layouts */
      "s1; alg pad; split B2.3 4; order B2 0 1 2 3.0 3.1; vector B2.3.1; split B1.3 4; "
      "order B1 0 1 2 4 5 6 3.0 3.1; vector B1.3.1; at B1 B2 4 reg; parallel B2 2",
      "s1; alg pad; lay b4 0,2,3,1; split B2.3 4; order B2 0 1 2 3.0 3.1; vector B2.3.1; split "
      "B1.3 4; "
      "order B1 0 1 2 4 5 6 3.0 3.1; vector B1.3.1; at B1 B2 4 reg",
      "s1; alg direct; split B1.3 4; order B1 0 1 2 3.0 3.1; vector B1.3.1; split B0.3 4; "
      "order B0 0 1 2 4 5 6 3.0 3.1; vector B0.3.1; at B0 B1 4 reg",
      /* roots with register accumulators, three levels, dynamic bounds, prefetch */
      "s1; alg pad; split B1.1 2 8; split B1.3 2 2; order B1 0 2 3.0 1.0 3.1 4 5 6 3.2 1.1 1.2; "
      "unroll B1.3.2; "
      "unroll B1.1.1; vector B1.1.2; lay b3 0,2,3,1; lay b5 0,2,3,1; parallel B1 3; prefetch b1 "
      "B1.4.0 1",
      "s1; alg pad; split B1.2 4 2; split B1.3 3 2; order B1 0 1 2.0 3.0 2.1 3.1 2.2 3.2 4 5 6; "
      "parallel B1 6",
      "s1; alg pad; split B1.2 4 2; split B1.3 3 2; order B1 0 2.0 3.0 2.1 3.1 1 4 5 6 2.2 3.2; "
      "parallel B1 2",
      "s1; alg direct; split B1.1 4 3 2; split B1.2 2 2 2; order B1 0 1.0 2.0 1.1 2.1 1.2 2.2 3 "
      "1.3 2.3; parallel B1 3",
      "s1; alg direct; split B1.1 4 3 2; split B1.2 2 2 2; order B1 0 1.0 2.0 1.1 2.1 1.2 2.2 3 "
      "1.3 2.3; parallel B1 6; "
      "at B0 B1 8 reg",
      /* an uncommon place: reduce loops outside a memory tile */
      "s1; alg pad; order B1 4 5 0 1 2 6 3; split B0.2 2; order B0 0 2.0 1 2.1 3; unroll B0.2.1",
  };
  run(conv_text, lines, NEO_COUNT(lines));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(naive_computes_every_te),
      cmocka_unit_test(conv_in_many_ways),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
