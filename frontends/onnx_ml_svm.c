/* frontends/onnx_ml_svm.c: ai.onnx.ml's SVMRegressor: a kernel of the rows and the support vectors,
 * then a product with their coefficients. */
#include "frontends/onnx_ml.h"

#include <string.h>

static int emit(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int emit2(onnx_import *im, onnx_node *node, const char *op, int a, int b) {
  return emit(im, node, op, 2, (int[]){a, b});
}

static int scalar(onnx_import *im, onnx_node *node, double v) {
  return onnx_make_scalar_like(im, node, "c", NEO_F32, v);
}

static int row_sum(onnx_import *im, onnx_node *node, int x) {
  neo_node *made = onnx_emit(im, node, "reduce_sum_square", 1, &x, 1);
  neo_node_set_ints(im->e.graph, made, "axes", 1, (int64_t[]){1});
  return made->output[0];
}

/* x y^T */
static int product(onnx_import *im, onnx_node *node, int x, int y) {
  neo_node *made = onnx_emit(im, node, "gemm", 2, (int[]){x, y}, 1);
  neo_node_set_int(im->e.graph, made, "trans_b", 1);
  return made->output[0];
}

/* params: gamma, coef0, degree. [rows, vectors]. */
static neo_status kernel_of(onnx_import *im, onnx_node *node, int x, int vectors, const double *p,
                            int *out) {
  const char *name = "LINEAR";
  NEO_TRY(onnx_attr_string(im, node, "kernel_type", &name));
  int dot = product(im, node, x, vectors);
  *out = dot;
  if (strcmp(name, "LINEAR") == 0)
    return NEO_OK;
  if (strcmp(name, "RBF") == 0) {
    int own = row_sum(im, node, x), other = row_sum(im, node, vectors);
    other = emit(im, node, "transpose", 1, &other);
    int far = emit2(im, node, "sub", emit2(im, node, "add", own, other),
                    emit2(im, node, "mul", dot, scalar(im, node, 2)));
    far = emit2(im, node, "mul", far, scalar(im, node, -p[0]));
    *out = emit(im, node, "exp", 1, &far);
    return NEO_OK;
  }
  int line = emit2(im, node, "add", emit2(im, node, "mul", dot, scalar(im, node, p[0])),
                   scalar(im, node, p[1]));
  if (strcmp(name, "POLY") == 0)
    *out = emit2(im, node, "pow", line, scalar(im, node, p[2]));
  else if (strcmp(name, "SIGMOID") == 0)
    *out = emit(im, node, "tanh", 1, &line);
  else
    return onnx_unsupported(im, node, "kernel_type '%s'", name);
  return NEO_OK;
}

neo_status onnx_svm_regressor(onnx_import *im, onnx_node *node) {
  const double *params, *vectors, *weights, *rho;
  int n_params, n_vectors, n_weights, n_rho, y;
  int64_t count = 0, one_class = 0;
  NEO_TRY(onnx_attr_floats(im, node, "kernel_params", &n_params, &params));
  NEO_TRY(onnx_attr_floats(im, node, "support_vectors", &n_vectors, &vectors));
  NEO_TRY(onnx_attr_floats(im, node, "coefficients", &n_weights, &weights));
  NEO_TRY(onnx_attr_floats(im, node, "rho", &n_rho, &rho));
  NEO_TRY(onnx_attr_int(im, node, "n_supports", &count));
  NEO_TRY(onnx_attr_int(im, node, "one_class", &one_class));
  const double none[3] = {0, 0, 3};
  params = n_params >= 3 ? params : none;
  if (n_weights < 1 || n_rho < 1 || (count > 0 && (n_weights != count || n_vectors % count)))
    return onnx_bad(im, node, "%d coefficients, %d of rho, %d of %lld vectors", n_weights, n_rho,
                    n_vectors, (long long)count);
  neo_node *wide = onnx_emit(im, node, "cast", 1, node->input, 1);
  neo_node_set_string(im->e.graph, wide, "to", "f32");
  int x = wide->output[0];
  if (count > 0) {
    const int64_t shape[2] = {count, n_vectors / count};
    int rows = emit2(im, node, "reshape", onnx_make_floats(im, node, "vectors", n_vectors, vectors),
                     onnx_make_ints(im, node, "shape", 2, shape));
    NEO_TRY(kernel_of(im, node, x, rows, params, &x));
  }
  const int64_t row[2] = {1, n_weights};
  int w = emit2(im, node, "reshape", onnx_make_floats(im, node, "coefficients", n_weights, weights),
                onnx_make_ints(im, node, "row", 2, row));
  y = emit2(im, node, "add", product(im, node, x, w), scalar(im, node, rho[0]));
  if (one_class) {
    int inside = emit2(im, node, "greater", y, scalar(im, node, 0));
    y = emit(im, node, "where", 3, (int[]){inside, scalar(im, node, 1), scalar(im, node, -1)});
  }
  return onnx_ml_post(im, node, 0, y);
}
