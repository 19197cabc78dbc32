/* tests/schedule/matrix_cases.h: tes that matrix instructions of GPUs fit. */
#ifndef NEO_TESTS_MATRIX_CASES_H
#define NEO_TESTS_MATRIX_CASES_H

#include "tests/schedule/space_cases.h"

/* For matrix instructions of the architecture. */
static const struct {
  space_case c;
  const char *target, *row; /* which it should pick */
} matrix_cases[] = {
    {{"f16 matmul", "te 1\nb0 in f16 [32,48]\nb1 const f16 [48,64]\nb2 const f16 [64]\n"
                    "b3 tmp f32 [32,64]\nb4 out f16 [32,64]\n"
                    "B0 b3[i0, i1] s[32,64] r[48] add f32:0\n"
                    "  mul(cast.f32(b0[i0, i2]), cast.f32(b1[i2, i1]))\n"
                    "B1 b4[i0, i1] s[32,64]\n"
                    "  cast.f16(max(add(b3[i0, i1], cast.f32(b2[i1])), f32:0))\n"},
     "cuda-sm80",
     "m16n8k16_f16"},
    {{"f16 matmul transposed", "te 1\nb0 in f16 [2,32,72]\nb1 in f16 [2,32,72]\n"
                               "b2 tmp f32 [2,32,32]\nb3 out f16 [2,32,32]\n"
                               "B0 b2[i0, i1, i2] s[2,32,32] r[72] add f32:0\n"
                               "  mul(cast.f32(b0[i0, i1, i3]), cast.f32(b1[i0, i2, i3]))\n"
                               "B1 b3[i0, i1, i2] s[2,32,32]\n  cast.f16(b2[i0, i1, i2])\n"},
     "cuda",
     "m16n8k8_f16"},
    {{"f16 conv3x3", "te 1\nb0 in f16 [1,16,6,16]\nb1 const f16 [32,16,3,3]\n"
                     "b2 tmp f32 [1,32,3,8]\nb3 out f16 [1,32,3,8]\n"
                     "B0 b2[i0, i1, i2, i3] s[1,32,3,8] r[16,3,3] add f32:0\n"
                     "  mul(cast.f32(b0[0, i4, i2*2+i5-1, i3*2+i6-1 | 0<=i2*2+i5-1<6, "
                     "0<=i3*2+i6-1<16 else 0]), cast.f32(b1[i1, i4, i5, i6]))\n"
                     "B1 b3[i0, i1, i2, i3] s[1,32,3,8]\n  cast.f16(b2[0, i1, i2, i3])\n"},
     "cuda-sm90",
     "m16n8k16_f16"},
    {{"bf16 matmul of matrices", "te 1\nb0 in bf16 [64,72]\nb1 const bf16 [72,48]\n"
                                 "b2 tmp f32 [64,48]\nb3 out f32 [64,48]\n"
                                 "B0 b2[i0, i1] s[64,48] r[72] add f32:0\n"
                                 "  mul(cast.f32(b0[i0, i2]), cast.f32(b1[i2, i1]))\n"
                                 "B1 b3[i0, i1] s[64,48]\n  max(b2[i0, i1], f32:0)\n"},
     "cuda-sm80",
     "m16n8k8_bf16"},
    {{"conv3x3 u8 s8 of matrices",
      "te 1\nb0 in u8 [1,32,5,16]\nb1 const i8 [16,32,3,3]\nb2 const f32 [16]\n"
      "b3 tmp i32 [1,16,5,16]\nb4 out u8 [1,16,5,16]\n"
      "B0 b3[i0, i1, i2, i3] s[1,16,5,16] r[32,3,3] add i32:0\n"
      "  mul(cast.i32(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<5, 0<=i3+i6-1<16 else 3]), "
      "cast.i32(b1[i1, i4, i5, i6]))\n"
      "B1 b4[i0, i1, i2, i3] s[1,16,5,16]\n"
      "  cast.u8(round(max(mul(cast.f32(b3[0, i1, i2, i3]), b2[i1]), f32:0)))\n"},
     "cuda-sm80",
     NULL},
    {{"uint8 matmul of matrices", "te 1\nb0 in u8 [24,32]\nb1 const u8 [32,40]\n"
                                  "b2 tmp i32 [24,40]\nb3 out i32 [24,40]\n"
                                  "B0 b2[i0, i1] s[24,40] r[32] add i32:0\n"
                                  "  mul(cast.i32(b0[i0, i2]), cast.i32(b1[i2, i1]))\n"
                                  "B1 b3[i0, i1] s[24,40]\n  add(b2[i0, i1], i32:7)\n"},
     "cuda",
     "m8n8k16_u8u8"},
};

#endif
