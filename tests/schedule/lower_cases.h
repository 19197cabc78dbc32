/* tests/schedule/lower_cases.h: tes of many shapes for the tests of lowering. */
#ifndef NEO_TESTS_SCHEDULE_LOWER_CASES_H
#define NEO_TESTS_SCHEDULE_LOWER_CASES_H

typedef struct lower_case {
  const char *name, *te;
} lower_case;

static const char te_softmax[] = "te 1\n"
                                 "b0 in f32 [6,37]\n"
                                 "b1 tmp f32 [6]\n"
                                 "b2 tmp f32 [6,37]\n"
                                 "b3 tmp f32 [6]\n"
                                 "b4 out f32 [6,37]\n"
                                 "B0 b1[i0] s[6] r[37] max f32:-inf\n"
                                 "  b0[i0, i1]\n"
                                 "B1 b2[i0, i1] s[6,37]\n"
                                 "  exp(sub(b0[i0, i1], b1[i0]))\n"
                                 "B2 b3[i0] s[6] r[37] add f32:0\n"
                                 "  b2[i0, i1]\n"
                                 "B3 b4[i0, i1] s[6,37]\n"
                                 "  div(b2[i0, i1], b3[i0])\n";

static const lower_case lower_cases[] = {
    {"conv",
     "te 1\n"
     "b0 in f32 [1,5,13,7]\n"
     "b1 const f32 [19,5,3,3]\n"
     "b2 const f32 [19]\n"
     "b3 tmp f32 [1,19,13,7]\n"
     "b4 out f32 [1,19,13,7]\n"
     "B0 b3[i0, i1, i2, i3] s[1,19,13,7] r[5,3,3] add f32:0\n"
     "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<13, 0<=i3+i6-1<7 else 0], b1[i1, i4, i5, i6])\n"
     "B1 b4[0, i1, i2, i3] s[1,19,13,7]\n"
     "  max(add(b3[0, i1, i2, i3], b2[i1]), f32:0)\n"},
    {"strided_conv", "te 1\n"
                     "b0 in f32 [2,6,11,9]\n"
                     "b1 const f32 [10,6,3,2]\n"
                     "b2 out f32 [2,10,6,5]\n"
                     "B0 b2[i0, i1, i2, i3] s[2,10,6,5] r[6,3,2] add f32:0\n"
                     "  mul(b0[i0, i4, i2*2+i5-1, i3*2+i6-1 | 0<=i2*2+i5-1<11, 0<=i3*2+i6-1<9 else "
                     "0], b1[i1, i4, i5, "
                     "i6])\n"},
    {"matmul", "te 1\n"
               "b0 in f32 [13,21]\n"
               "b1 const f32 [21,18]\n"
               "b2 const f32 [18]\n"
               "b3 tmp f32 [13,18]\n"
               "b4 out f32 [13,18]\n"
               "B0 b3[i0, i1] s[13,18] r[21] add f32:0\n"
               "  mul(b0[i0, i2], b1[i2, i1])\n"
               "B1 b4[i0, i1] s[13,18]\n"
               "  add(b3[i0, i1], b2[i1])\n"},
    {"transposed_matmul", "te 1\n"
                          "b0 in f32 [3,7,10]\n"
                          "b1 in f32 [3,9,10]\n"
                          "b2 out f32 [3,7,9]\n"
                          "B0 b2[i0, i1, i2] s[3,7,9] r[10] add f32:0\n"
                          "  mul(b0[i0, i1, i3], b1[i0, i2, i3])\n"},
    {"depthwise",
     "te 1\n"
     "b0 in f32 [1,12,9,10]\n"
     "b1 const f32 [12,1,3,3]\n"
     "b2 tmp f32 [1,12,9,10]\n"
     "b3 out f32 [1,12,9,10]\n"
     "B0 b2[i0, i1, i2, i3] s[1,12,9,10] r[3,3] add f32:0\n"
     "  mul(b0[0, i1, i2+i4-1, i3+i5-1 | 0<=i2+i4-1<9, 0<=i3+i5-1<10 else 0], b1[i1, 0, i4, i5])\n"
     "B1 b3[0, i1, i2, i3] s[1,12,9,10]\n"
     "  min(max(b2[0, i1, i2, i3], f32:0), f32:6)\n"},
    {"softmax", te_softmax},
    {"maxpool", "te 1\n"
                "b0 in f32 [1,7,12,11]\n"
                "b1 out f32 [1,7,6,6]\n"
                "B0 b1[0, i1, i2, i3] s[1,7,6,6] r[3,3] max f32:-inf\n"
                "  b0[0, i1, i2*2+i4-1, i3*2+i5-1 | 0<=i2*2+i4-1<12, 0<=i3*2+i5-1<11 else -inf]\n"},
    {"concat", "te 1\n"
               "b0 in f32 [2,3,5]\n"
               "b1 in f32 [2,4,5]\n"
               "b2 out f32 [2,7,5]\n"
               "B0 b2[i0, i1, i2] s[2,3,5]\n"
               "  b0[i0, i1, i2]\n"
               "B1 b2[i0, i1+3, i2] s[2,4,5]\n"
               "  max(b1[i0, i1, i2], f32:0)\n"},
    {"gather", "te 1\n"
               "b0 in i32 [9]\n"
               "b1 const f32 [10,6]\n"
               "b2 out f32 [9,6]\n"
               "B0 b2[i0, i1] s[9,6]\n"
               "  b1[floormod(cast.i64(b0[i0]), 10), i1]\n"},
    {"upsample", "te 1\n"
                 "b0 in f32 [1,5,4,3]\n"
                 "b1 tmp f32 [1,5,4,3]\n"
                 "b2 out f32 [1,5,8,6]\n"
                 "B0 b1[i0, i1, i2, i3] s[1,5,4,3]\n"
                 "  exp(b0[0, i1, i2, i3])\n"
                 "B1 b2[0, i1, i2, i3] s[1,5,8,6]\n"
                 "  mul(b1[0, i1, floordiv(i2, 2), floordiv(i3, 2)], b0[0, i1, floordiv(i2, 2), "
                 "floordiv(i3, 2)])\n"},
    {"reshape", "te 1\n"
                "b0 in f32 [4,15]\n"
                "b1 out f32 [6,10]\n"
                "B0 b1[i0, i1] s[6,10]\n"
                "  b0[floordiv(i0*10+i1, 15), floormod(i0*10+i1, 15)]\n"},
    {"prologue",
     "te 1\n"
     "b0 in f32 [1,6,8,9]\n"
     "b1 const f32 [7,6,3,3]\n"
     "b2 tmp f32 [1,6,8,9]\n"
     "b3 tmp f32 [1,7,8,9]\n"
     "b4 out f32 [1,7,8,9]\n"
     "B0 b2[i0, i1, i2, i3] s[1,6,8,9]\n"
     "  add(max(b0[0, i1, i2, i3], f32:0), f32:1)\n"
     "B1 b3[i0, i1, i2, i3] s[1,7,8,9] r[6,3,3] add f32:0\n"
     "  mul(b2[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<8, 0<=i3+i6-1<9 else 0], b1[i1, i4, i5, i6])\n"
     "B2 b4[0, i1, i2, i3] s[1,7,8,9]\n"
     "  mul(b3[0, i1, i2, i3], b2[0, 0, i2, i3])\n"},
    {"layernorm", "te 1\n"
                  "b0 in f32 [5,14]\n"
                  "b1 tmp f32 [5]\n"
                  "b2 tmp f32 [5]\n"
                  "b3 out f32 [5,14]\n"
                  "B0 b1[i0] s[5] r[14] add f32:0\n"
                  "  mul(b0[i0, i1], f32:0.0714285746216774)\n"
                  "B1 b2[i0] s[5] r[14] add f32:0\n"
                  "  mul(sub(b0[i0, i1], b1[i0]), sub(b0[i0, i1], b1[i0]))\n"
                  "B2 b3[i0, i1] s[5,14]\n"
                  "  div(sub(b0[i0, i1], b1[i0]), sqrt(add(b2[i0], f32:0.001)))\n"},
    {"integers", "te 1\n"
                 "b0 in u8 [1,8,6,6]\n"
                 "b1 const i8 [9,8]\n"
                 "b2 tmp i32 [1,9,6,6]\n"
                 "b3 out u8 [1,9,6,6]\n"
                 "B0 b2[i0, i1, i2, i3] s[1,9,6,6] r[8] add i32:0\n"
                 "  mul(cast.i32(b0[0, i4, i2, i3]), cast.i32(b1[i1, i4]))\n"
                 "B1 b3[0, i1, i2, i3] s[1,9,6,6]\n"
                 "  cast.u8(min(max(shr(b2[0, i1, i2, i3], i32:2), i32:0), i32:255))\n"},
    {"index_values", "te 1\n"
                     "b0 in f32 [4,11]\n"
                     "b1 out f32 [4,11]\n"
                     "B0 b1[i0, i1] s[4,11]\n"
                     "  select(lt(i1, i0*3), add(b0[i0, i1], cast.f32(i1)), f32:-1)\n"},
    {"scan_pair", "te 1\n"
                  "b0 in f32 [6]\n"
                  "b1 out f32 [12]\n"
                  "B0 b1[i0*2] s[6]\n"
                  "  b0[i0]\n"
                  "B1 b1[i0*2+1] s[6]\n"
                  "  mul(b0[i0], f32:0.5)\n"},
};

#endif
