/* tests/codegen/matrix_product.h: nests with a matrix instruction, for tests of generators. */
#ifndef NEO_TESTS_MATRIX_PRODUCT_H
#define NEO_TESTS_MATRIX_PRODUCT_H

#include "schedule/matrix.h"

/* A product of matrices of one group: warps along both, two steps of k, operands with places
 * between their rows and columns. */
typedef struct matrix_product {
  int row, rows, columns, warps_y, warps_x, pad_a, pad_b;
  bool shared, along_k; /* B's k's are neighbours */
} matrix_product;

static inline int matrix_product_padded(int n, int lanes) {
  return (n + lanes - 1) / lanes * lanes;
}

static inline void matrix_product_print(const matrix_product *p, neo_buf *out) {
  const neo_matrix *r = neo_matrix_get(p->row);
  int lanes = 32 * p->warps_y * p->warps_x, m = 8 * p->rows * p->warps_y;
  int n = 4 * p->columns * p->warps_x, k = 2 * r->k, wide = k + p->pad_a;
  int step_k = p->along_k ? 1 : n + p->pad_b, step_n = p->along_k ? k + p->pad_b : 1;
  int size_a = matrix_product_padded(m * wide, lanes);
  int size_b = matrix_product_padded(p->along_k ? n * step_n : k * step_k, lanes);
  neo_buf_printf(out, "nest 1\nb0 param %s %d\nb1 param %s %d\nb2 param out %s %d\n",
                 neo_dtype_name(r->a), size_a, neo_dtype_name(r->b), size_b, neo_dtype_name(r->acc),
                 m * n);
  neo_buf_printf(out, "b3 shared %s %d\nb4 shared %s %d\nb5 reg %s %d x1\n", neo_dtype_name(r->a),
                 size_a, neo_dtype_name(r->b), size_b, neo_dtype_name(r->acc),
                 p->rows * p->columns);
  neo_buf_printf(out, "launch i0 1 lanes i1 %d\n", lanes);
  neo_buf_printf(out, "  for i2 %d\n    b3[i2*%d+i1] = b0[i2*%d+i1]\n", size_a / lanes, lanes,
                 lanes);
  neo_buf_printf(out, "  for i3 %d\n    b4[i3*%d+i1] = b1[i3*%d+i1]\n", size_b / lanes, lanes,
                 lanes);
  neo_buf_printf(out,
                 "  barrier\n  let i4 = floordiv(i1, %d)\n    let i5 = floormod(floordiv(i1, 32), "
                 "%d)\n      let i6 = floormod(floordiv(i1, 4), 8)\n        let i7 = floormod(i1, "
                 "4)\n",
                 32 * p->warps_x, p->warps_x);
  neo_buf_printf(out, "          for i8 %d unroll\n            b5[i8] = %s\n", p->rows * p->columns,
                 r->acc == NEO_F32 ? "f32:0.5" : "i32:3");
  neo_buf_printf(out, "          for i9 2\n            mma %s %dx%d b5[0; %d, 1] += ", r->name,
                 p->rows, p->columns, p->columns);
  neo_buf_printf(out, "b%d[i4*%d+i6*%d+i9*%d; %d, 1] * ", p->shared ? 3 : 0, 8 * p->rows * wide,
                 p->rows * wide, r->k, wide);
  neo_buf_printf(out, "b%d[i5*%d+i7*%d+i9*%d; %d, %d, %d]\n", p->shared ? 4 : 1,
                 4 * p->columns * step_n, p->columns * step_n, r->k * step_k, step_k, step_n,
                 p->columns * step_n);
  neo_buf_printf(out, "          for i10 %d unroll\n            for i11 %d unroll\n", p->rows,
                 p->columns);
  neo_buf_printf(out, "              b2[i4*%d+i6*%d+i10*%d+i5*%d+i7*%d+i11] = b5[i10*%d+i11]\n",
                 8 * p->rows * n, p->rows * n, n, 4 * p->columns, p->columns, p->columns);
}

#endif
