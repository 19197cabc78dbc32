/* tests/schedule/space_cases.h: small tes of every shape that rules must take, as te text. */
#ifndef NEO_TESTS_SPACE_CASES_H
#define NEO_TESTS_SPACE_CASES_H

typedef struct space_case {
  const char *name, *te;
} space_case;

static const space_case space_cases[] = {
    {"conv3x3 relu",
     "te 1\nb0 in f32 [1,5,7,9]\nb1 const f32 [20,5,3,3]\nb2 const f32 [20]\nb3 tmp f32 "
     "[1,20,7,9]\n"
     "b4 out f32 [1,20,7,9]\n"
     "B0 b3[i0, i1, i2, i3] s[1,20,7,9] r[5,3,3] add f32:0\n"
     "  mul(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<7, 0<=i3+i6-1<9 else 0], b1[i1, i4, i5, i6])\n"
     "B1 b4[i0, i1, i2, i3] s[1,20,7,9]\n  max(add(b3[0, i1, i2, i3], b2[i1]), f32:0)\n"},
    {"conv1x1 residual",
     "te 1\nb0 in f32 [1,12,5,6]\nb1 in f32 [1,17,5,6]\nb2 const f32 [17,12,1,1]\nb3 tmp f32 "
     "[1,17,5,6]\n"
     "b4 out f32 [1,17,5,6]\n"
     "B0 b3[i0, i1, i2, i3] s[1,17,5,6] r[12] add f32:0\n  mul(b0[0, i4, i2, i3], b2[i1, i4, 0, "
     "0])\n"
     "B1 b4[i0, i1, i2, i3] s[1,17,5,6]\n  add(b3[0, i1, i2, i3], b1[0, i1, i2, i3])\n"},
    {"conv5x5", "te 1\nb0 in f32 [1,3,6,7]\nb1 const f32 [18,3,5,5]\nb2 out f32 [1,18,6,7]\n"
                "B0 b2[i0, i1, i2, i3] s[1,18,6,7] r[3,5,5] add f32:0\n"
                "  mul(b0[0, i4, i2+i5-2, i3+i6-2 | 0<=i2+i5-2<6, 0<=i3+i6-2<7 else 0], b1[i1, i4, "
                "i5, i6])\n"},
    {"conv1x7", "te 1\nb0 in f32 [1,5,3,9]\nb1 const f32 [17,5,1,7]\nb2 out f32 [1,17,3,9]\n"
                "B0 b2[i0, i1, i2, i3] s[1,17,3,9] r[5,1,7] add f32:0\n"
                "  mul(b0[0, i4, i2, i3+i6-3 | 0<=i3+i6-3<9 else 0], b1[i1, i4, 0, i6])\n"},
    {"conv7x1", "te 1\nb0 in f32 [1,5,9,3]\nb1 const f32 [17,5,7,1]\nb2 out f32 [1,17,9,3]\n"
                "B0 b2[i0, i1, i2, i3] s[1,17,9,3] r[5,7,1] add f32:0\n"
                "  mul(b0[0, i4, i2+i5-3, i3 | 0<=i2+i5-3<9 else 0], b1[i1, i4, i5, 0])\n"},
    {"conv1x3", "te 1\nb0 in f32 [1,4,3,10]\nb1 const f32 [20,4,1,3]\nb2 out f32 [1,20,3,10]\n"
                "B0 b2[i0, i1, i2, i3] s[1,20,3,10] r[4,1,3] add f32:0\n"
                "  mul(b0[0, i4, i2, i3+i6-1 | 0<=i3+i6-1<10 else 0], b1[i1, i4, 0, i6])\n"},
    {"conv3x3 stride 2",
     "te 1\nb0 in f32 [1,3,11,13]\nb1 const f32 [9,3,3,3]\nb2 out f32 [1,9,5,6]\n"
     "B0 b2[i0, i1, i2, i3] s[1,9,5,6] r[3,3,3] add f32:0\n"
     "  mul(b0[0, i4, i2*2+i5, i3*2+i6], b1[i1, i4, i5, i6])\n"},
    {"depthwise",
     "te 1\nb0 in f32 [1,19,6,7]\nb1 const f32 [19,1,3,3]\nb2 out f32 [1,19,6,7]\n"
     "B0 b2[i0, i1, i2, i3] s[1,19,6,7] r[3,3] add f32:0\n"
     "  mul(b0[0, i1, i2+i4-1, i3+i5-1 | 0<=i2+i4-1<6, 0<=i3+i5-1<7 else 0], b1[i1, 0, i4, i5])\n"},
    {"grouped conv", "te 1\nb0 in f32 [1,8,5,5]\nb1 const f32 [12,4,3,3]\nb2 out f32 [1,12,3,3]\n"
                     "B0 b2[i0, i1, i2, i3] s[1,12,3,3] r[4,3,3] add f32:0\n"
                     "  mul(b0[0, floordiv(i1, 6)*4+i4, i2+i5, i3+i6], b1[i1, i4, i5, i6])\n"},
    {"conv in groups",
     "te 1\nb0 in f32 [1,6,5,5]\nb1 const f32 [20,3,3,3]\nb2 tmp f32 [1,2,10,3,3]\n"
     "b3 out f32 [1,20,3,3]\n"
     "B0 b2[i0, i1, i2, i3, i4] s[1,2,10,3,3] r[3,3,3] add f32:0\n"
     "  mul(b0[0, i1*3+i5, i3+i6, i4+i7], b1[i1*10+i2, i5, i6, i7])\n"
     "B1 b3[i0, i1*10+i2, i3, i4] s[1,2,10,3,3]\n  max(b2[0, i1, i2, i3, i4], f32:0)\n"},
    {"conv transpose phases",
     "te 1\nb0 in f32 [1,4,3,5]\nb1 const f32 [4,9,1,2]\nb2 tmp f32 [1,9,3,5]\n"
     "b3 tmp f32 [1,9,3,5]\nb4 out f32 [1,9,3,10]\n"
     "B0 b2[i0, i1, i2, i3] s[1,9,3,5] r[4] add f32:0\n"
     "  mul(b0[0, i4, i2, i3], b1[i4, i1, 0, 0])\n"
     "B1 b4[i0, i1, i2, i3*2] s[1,9,3,5]\n  b2[0, i1, i2, i3]\n"
     "B2 b3[i0, i1, i2, i3] s[1,9,3,5] r[4] add f32:0\n"
     "  mul(b0[0, i4, i2, i3], b1[i4, i1, 0, 1])\n"
     "B3 b4[i0, i1, i2, i3*2+1] s[1,9,3,5]\n  b3[0, i1, i2, i3]\n"},
    {"one channel, every second",
     "te 1\nb0 in f32 [1,6,5,9]\nb1 const f32 [6]\nb2 tmp f32 [1,1,5,9]\n"
     "b3 out f32 [1,1,5,18]\n"
     "B0 b2[i0, i1, i2, i3] s[1,1,5,9] r[6] add f32:0\n  mul(b0[0, i4, i2, i3], b1[i4])\n"
     "B1 b3[i0, i1, i2, i3*2] s[1,1,5,9]\n"
     "  div(f32:1, add(exp(neg(b2[0, 0, i2, i3])), f32:1))\n"
     "B2 b3[i0, i1, i2, i3*2+1] s[1,1,5,9]\n  exp(b0[0, 0, i2, i3])\n"},
    {"matmul const", "te 1\nb0 in f32 [13,10]\nb1 const f32 [10,21]\nb2 out f32 [13,21]\n"
                     "B0 b2[i0, i1] s[13,21] r[10] add f32:0\n  mul(b0[i0, i2], b1[i2, i1])\n"},
    {"matmul of halves",
     "te 1\nb0 in f32 [7,64]\nb1 const f32 [64,64]\nb2 const f32 [64]\nb3 tmp f32 [7,64]\n"
     "b4 out f32 [7,64]\n"
     "B0 b3[i0, i1] s[7,64] r[64] add f32:0\n  mul(b0[i0, i2], b1[i2, i1])\n"
     "B1 b4[i0, i1] s[7,64]\n  max(add(b3[i0, i1], b2[i1]), f32:0)\n"},
    {"conv1x1 of halves",
     "te 1\nb0 in f32 [1,64,3,4]\nb1 const f32 [64,64,1,1]\nb2 out f32 [1,64,3,4]\n"
     "B0 b2[i0, i1, i2, i3] s[1,64,3,4] r[64] add f32:0\n"
     "  mul(b0[0, i4, i2, i3], b1[i1, i4, 0, 0])\n"},
    {"fully connected", "te 1\nb0 in f32 [1,24]\nb1 const f32 [30,24]\nb2 const f32 [30]\nb3 tmp "
                        "f32 [1,30]\nb4 out f32 [1,30]\n"
                        "B0 b3[i0, i1] s[1,30] r[24] add f32:0\n  mul(b0[0, i2], b1[i1, i2])\n"
                        "B1 b4[i0, i1] s[1,30]\n  add(b3[0, i1], b2[i1])\n"},
    {"attention scores",
     "te 1\nb0 in f32 [2,7,6]\nb1 in f32 [2,9,6]\nb2 tmp f32 [2,7,9]\nb3 out f32 [2,7,9]\n"
     "B0 b2[i0, i1, i2] s[2,7,9] r[6] add f32:0\n  mul(b0[i0, i1, i3], b1[i0, i2, i3])\n"
     "B1 b3[i0, i1, i2] s[2,7,9]\n  mul(b2[i0, i1, i2], f32:0.125)\n"},
    {"max pool", "te 1\nb0 in f32 [1,11,9,9]\nb1 out f32 [1,11,5,5]\n"
                 "B0 b1[i0, i1, i2, i3] s[1,11,5,5] r[3,3] max f32:-inf\n"
                 "  b0[0, i1, i2*2+i4-1, i3*2+i5-1 | 0<=i2*2+i4-1<9, 0<=i3*2+i5-1<9 else -inf]\n"},
    {"global pool", "te 1\nb0 in f32 [1,18,4,5]\nb1 tmp f32 [1,18,1,1]\nb2 out f32 [1,18,1,1]\n"
                    "B0 b1[i0, i1, i2, i3] s[1,18,1,1] r[4,5] add f32:0\n  b0[0, i1, i4, i5]\n"
                    "B1 b2[i0, i1, i2, i3] s[1,18,1,1]\n  mul(b1[0, i1, 0, 0], f32:0.05)\n"},
    {"softmax", "te 1\nb0 in f32 [6,21]\nb1 tmp f32 [6]\nb2 tmp f32 [6,21]\nb3 tmp f32 [6]\nb4 out "
                "f32 [6,21]\n"
                "B0 b1[i0] s[6] r[21] max f32:-inf\n  b0[i0, i1]\n"
                "B1 b2[i0, i1] s[6,21]\n  exp(sub(b0[i0, i1], b1[i0]))\n"
                "B2 b3[i0] s[6] r[21] add f32:0\n  b2[i0, i1]\n"
                "B3 b4[i0, i1] s[6,21]\n  div(b2[i0, i1], b3[i0])\n"},
    {"layer norm", "te 1\nb0 in f32 [5,19]\nb1 const f32 [19]\nb2 tmp f32 [5]\nb3 tmp f32 [5]\nb4 "
                   "out f32 [5,19]\n"
                   "B0 b2[i0] s[5] r[19] add f32:0\n  mul(b0[i0, i1], f32:0.0526315789)\n"
                   "B1 b3[i0] s[5] r[19] add f32:0\n"
                   "  mul(sub(b0[i0, i1], b2[i0]), sub(b0[i0, i1], b2[i0]))\n"
                   "B2 b4[i0, i1] s[5,19]\n"
                   "  mul(div(sub(b0[i0, i1], b2[i0]), sqrt(add(b3[i0], f32:0.0001))), b1[i1])\n"},
    {"reduce rows",
     "te 1\nb0 in f32 [9,83]\nb1 out f32 [9]\nB0 b1[i0] s[9] r[83] add f32:0\n  b0[i0, i1]\n"},
    {"add broadcast",
     "te 1\nb0 in f32 [2,5,3,7]\nb1 const f32 [5,1,1]\nb2 out f32 [2,5,3,7]\n"
     "B0 b2[i0, i1, i2, i3] s[2,5,3,7]\n  add(b0[i0, i1, i2, i3], b1[i1, 0, 0])\n"},
    {"transpose",
     "te 1\nb0 in f32 [13,17]\nb1 out f32 [17,13]\nB0 b1[i0, i1] s[17,13]\n  b0[i1, i0]\n"},
    {"concat", "te 1\nb0 in f32 [1,5,4,3]\nb1 in f32 [1,6,4,3]\nb2 out f32 [1,11,4,3]\n"
               "B0 b2[i0, i1, i2, i3] s[1,5,4,3]\n  b0[0, i1, i2, i3]\n"
               "B1 b2[i0, i1+5, i2, i3] s[1,6,4,3]\n  max(b1[0, i1, i2, i3], f32:0)\n"},
    {"gather", "te 1\nb0 in f32 [10,7]\nb1 in i64 [4]\nb2 out f32 [4,7]\nB0 b2[i0, i1] s[4,7]\n  "
               "b0[max(min(b1[i0], 9), 0), i1]\n"},
    {"resize",
     "te 1\nb0 in f32 [1,3,4,5]\nb1 out f32 [1,3,8,10]\n"
     "B0 b1[i0, i1, i2, i3] s[1,3,8,10]\n  b0[0, i1, floordiv(i2, 2), floordiv(i3, 2)]\n"},
    {"conv transpose",
     "te 1\nb0 in f32 [1,4,3,5]\nb1 const f32 [4,9,2,2]\nb2 out f32 [1,9,6,10]\n"
     "B0 b2[i0, i1, i2, i3] s[1,9,6,10] r[4] add f32:0\n"
     "  mul(b0[0, i4, floordiv(i2, 2), floordiv(i3, 2) | 0<=floordiv(i2, 2)<3, "
     "0<=floordiv(i3, 2)<5 else 0], b1[i4, i1, floormod(i2, 2), floormod(i3, 2)])\n"},
    {"two outputs", "te 1\nb0 in f32 [6,8]\nb1 const f32 [8,12]\nb2 tmp f32 [6,12]\nb3 out f32 "
                    "[6,12]\nb4 out f32 [6,12]\n"
                    "B0 b2[i0, i1] s[6,12] r[8] add f32:0\n  mul(b0[i0, i2], b1[i2, i1])\n"
                    "B1 b3[i0, i1] s[6,12]\n  max(b2[i0, i1], f32:0)\n"
                    "B2 b4[i0, i1] s[6,12]\n  neg(b2[i0, i1])\n"},
    {"int8 matmul",
     "te 1\nb0 in i8 [6,16]\nb1 const i8 [16,20]\nb2 out i32 [6,20]\n"
     "B0 b2[i0, i1] s[6,20] r[16] add i32:0\n  mul(cast.i32(b0[i0, i2]), cast.i32(b1[i2, i1]))\n"},
    {"conv3x3 u8 s8", /* vpdpbusd; channels are no multiple of a group */
     "te 1\nb0 in u8 [1,6,5,7]\nb1 const i8 [19,6,3,3]\nb2 const f32 [19]\nb3 tmp i32 "
     "[1,19,5,7]\nb4 out u8 [1,19,5,7]\n"
     "B0 b3[i0, i1, i2, i3] s[1,19,5,7] r[6,3,3] add i32:0\n"
     "  mul(cast.i32(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<5, 0<=i3+i6-1<7 else 3]), "
     "cast.i32(b1[i1, i4, i5, i6]))\n"
     "B1 b4[i0, i1, i2, i3] s[1,19,5,7]\n"
     "  cast.u8(round(max(mul(cast.f32(b3[0, i1, i2, i3]), b2[i1]), f32:0)))\n"},
    {"first conv u8 s8", /* groups along the kernel's row, the last one of three */
     "te 1\nb0 in u8 [1,3,11,12]\nb1 const i8 [10,3,7,7]\nb2 out i32 [1,10,6,6]\n"
     "B0 b2[i0, i1, i2, i3] s[1,10,6,6] r[3,7,7] add i32:0\n"
     "  mul(cast.i32(b0[0, i4, i2*2+i5-3, i3*2+i6-3 | 0<=i2*2+i5-3<11, 0<=i3*2+i6-3<12 else 9]), "
     "cast.i32(b1[i1, i4, i5, i6]))\n"},
    {"int8 matmul transposed", /* sdot */
     "te 1\nb0 in i8 [7,30]\nb1 const i8 [20,30]\nb2 out i32 [7,20]\n"
     "B0 b2[i0, i1] s[7,20] r[30] add i32:0\n  mul(cast.i32(b0[i0, i2]), cast.i32(b1[i1, i2]))\n"},
    {"uint8 matmul", /* udot */
     "te 1\nb0 in u8 [2,5,16]\nb1 const u8 [16,12]\nb2 out i32 [2,5,12]\n"
     "B0 b2[i0, i1, i2] s[2,5,12] r[16] add i32:0\n"
     "  mul(cast.i32(b1[i3, i2]), cast.i32(b0[i0, i1, i3]))\n"},
    {"f16 matmul",
     "te 1\nb0 in f16 [9,144]\nb1 const f16 [144,21]\nb2 tmp f32 [9,21]\nb3 out f16 [9,21]\n"
     "B0 b2[i0, i1] s[9,21] r[144] add f32:0\n"
     "  mul(cast.f32(b0[i0, i2]), cast.f32(b1[i2, i1]))\n"
     "B1 b3[i0, i1] s[9,21]\n  cast.f16(b2[i0, i1])\n"},
    {"f16 conv3x3",
     "te 1\nb0 in f16 [1,16,7,9]\nb1 const f16 [20,16,3,3]\nb2 const f16 [20]\n"
     "b3 tmp f32 [1,20,7,9]\nb4 out f16 [1,20,7,9]\n"
     "B0 b3[i0, i1, i2, i3] s[1,20,7,9] r[16,3,3] add f32:0\n"
     "  mul(cast.f32(b0[0, i4, i2+i5-1, i3+i6-1 | 0<=i2+i5-1<7, 0<=i3+i6-1<9 else 0]), "
     "cast.f32(b1[i1, i4, i5, i6]))\n"
     "B1 b4[i0, i1, i2, i3] s[1,20,7,9]\n"
     "  cast.f16(max(cast.f32(cast.f16(add(b3[0, i1, i2, i3], cast.f32(b2[i1])))), f32:0))\n"},
    {"f16 depthwise",
     "te 1\nb0 in f16 [1,19,6,9]\nb1 const f16 [19,1,3,3]\nb2 in f16 [1,19,6,9]\n"
     "b3 tmp f32 [1,19,6,9]\nb4 out f16 [1,19,6,9]\n"
     "B0 b3[i0, i1, i2, i3] s[1,19,6,9] r[3,3] add f32:0\n"
     "  mul(cast.f32(b0[0, i1, i2+i4-1, i3+i5-1 | 0<=i2+i4-1<6, 0<=i3+i5-1<9 else 0]), "
     "cast.f32(b1[i1, 0, i4, i5]))\n"
     "B1 b4[i0, i1, i2, i3] s[1,19,6,9]\n"
     "  cast.f16(add(cast.f32(cast.f16(b3[0, i1, i2, i3])), cast.f32(b2[0, i1, i2, i3])))\n"},
    {"bf16 matmul", /* vdpbf16ps */
     "te 1\nb0 in bf16 [9,15]\nb1 const bf16 [15,21]\nb2 tmp f32 [9,21]\nb3 out bf16 [9,21]\n"
     "B0 b2[i0, i1] s[9,21] r[15] add f32:0\n"
     "  mul(cast.f32(b0[i0, i2]), cast.f32(b1[i2, i1]))\n"
     "B1 b3[i0, i1] s[9,21]\n  cast.bf16(b2[i0, i1])\n"},
    {"softmax over channels",
     "te 1\nb0 in f32 [2,11,3,13]\nb1 tmp f32 [2,3,13]\nb2 tmp f32 [2,11,3,13]\nb3 tmp f32 "
     "[2,3,13]\nb4 out f32 [2,11,3,13]\n"
     "B0 b1[i0, i1, i2] s[2,3,13] r[11] max f32:-inf\n  b0[i0, i3, i1, i2]\n"
     "B1 b2[i0, i1, i2, i3] s[2,11,3,13]\n  exp(sub(b0[i0, i1, i2, i3], b1[i0, i2, i3]))\n"
     "B2 b3[i0, i1, i2] s[2,3,13] r[11] add f32:0\n  b2[i0, i3, i1, i2]\n"
     "B3 b4[i0, i1, i2, i3] s[2,11,3,13]\n  div(b2[i0, i1, i2, i3], b3[i0, i2, i3])\n"},
    {"softmax of all", "te 1\nb0 in f32 [37]\nb1 tmp f32 []\nb2 tmp f32 []\nb3 out f32 [37]\n"
                       "B0 b1[] s[] r[37] max f32:-inf\n  b0[i0]\n"
                       "B1 b2[] s[] r[37] add f32:0\n  exp(sub(b0[i0], b1[]))\n"
                       "B2 b3[i0] s[37]\n  div(exp(sub(b0[i0], b1[])), b2[])\n"},
    {"matrix by vector", "te 1\nb0 in f32 [1,40]\nb1 in f32 [13,40]\nb2 out f32 [1,13]\n"
                         "B0 b2[i0, i1] s[1,13] r[40] add f32:0\n  mul(b0[0, i2], b1[i1, i2])\n"},
    {"dot product", "te 1\nb0 in f32 [1,70]\nb1 const f32 [70]\nb2 out f32 [1,1]\n"
                    "B0 b2[i0, i1] s[1,1] r[70] add f32:0\n  mul(b0[0, i2], b1[i2])\n"},
    {"gram matrix", /* a factor twice, moved by different axes */
     "te 1\nb0 in f32 [9,21]\nb1 out f32 [9,9]\n"
     "B0 b1[i0, i1] s[9,9] r[21] add f32:0\n  mul(b0[i0, i2], b0[i1, i2])\n"},
    {"sums of squares", /* a factor twice, the same */
     "te 1\nb0 in f32 [6,4,10]\nb1 out f32 [6,4]\n"
     "B0 b1[i0, i1] s[6,4] r[10] add f32:0\n  mul(b0[i0, i1, i2], b0[i0, i1, i2])\n"},
    {"scalar", "te 1\nb0 in f32 []\nb1 out f32 []\nB0 b1[] s[]\n  neg(b0[])\n"},
};

#endif
