/* frontends/onnx_ml_svm.c: ai.onnx.ml's SVMRegressor and SVMClassifier: a kernel of the rows and
 * the support vectors, then a product with their coefficients.
 *
 * A classifier has one machine for each pair of classes i < j. Class i's vectors have their
 * coefficients against j in row j - 1, those of j against i in row i; so a matrix [pairs, vectors],
 * zero where a vector is of neither class, gives all decisions in one product. A decision above
 * 0 is a vote for i. With prob_a and prob_b decisions become probabilities of pairs, and those
 * couple_pairs' probabilities of classes; what the specification leaves open is as in onnxruntime.
 */
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

/* ---- SVMClassifier --------------------------------------------------------------------------- */

typedef struct svm {
  onnx_ml_labels labels;
  const double *params, *vectors, *weights, *rho, *a, *b;
  const int64_t *count; /* vectors of each class */
  int n_params, n_vectors, n_weights, n_rho, n_a, n_b, n_count;
  int64_t classes, pairs, total; /* total: vectors, 0: linear */
} svm;

static neo_status read_svm(onnx_import *im, onnx_node *node, svm *s) {
  NEO_TRY(onnx_ml_read_labels(im, node, "classlabels_ints", &s->labels));
  NEO_TRY(onnx_attr_floats(im, node, "kernel_params", &s->n_params, &s->params));
  NEO_TRY(onnx_attr_floats(im, node, "support_vectors", &s->n_vectors, &s->vectors));
  NEO_TRY(onnx_attr_floats(im, node, "coefficients", &s->n_weights, &s->weights));
  NEO_TRY(onnx_attr_floats(im, node, "rho", &s->n_rho, &s->rho));
  NEO_TRY(onnx_attr_floats(im, node, "prob_a", &s->n_a, &s->a));
  NEO_TRY(onnx_attr_floats(im, node, "prob_b", &s->n_b, &s->b));
  NEO_TRY(onnx_attr_ints(im, node, "vectors_per_class", &s->n_count, &s->count));
  s->classes = s->labels.n > 0 ? s->labels.n : 1;
  s->pairs = s->classes * (s->classes - 1) / 2;
  int64_t most = s->n_vectors; /* a vector has an element at least */
  for (int c = 0; c < s->n_count; c++) {
    if (s->count[c] < 0 || s->count[c] > most - s->total)
      return onnx_bad(im, node, "class %d has %lld vectors", c, (long long)s->count[c]);
    s->total += s->count[c];
  }
  bool linear = s->total == 0;
  if (s->n_rho < 1 || s->n_weights < 1 || (linear && s->n_weights % s->classes) ||
      (!linear && (s->classes < 2 || s->n_count != s->classes || s->n_vectors % s->total ||
                   s->n_weights / s->total < s->classes - 1 || s->n_rho < s->pairs)) ||
      (s->n_a > 0 && (s->n_a < s->pairs || s->n_b < s->pairs)))
    return onnx_bad(im, node, "%lld classes, %d coefficients, %d of rho, %d of %lld vectors",
                    (long long)s->classes, s->n_weights, s->n_rho, s->n_vectors,
                    (long long)s->total);
  return NEO_OK;
}

static int matrix(onnx_import *im, onnx_node *node, int64_t rows, int64_t columns,
                  const double *v) {
  const int64_t shape[2] = {rows, columns};
  return emit2(im, node, "reshape", onnx_make_floats(im, node, "matrix", (int)(rows * columns), v),
               onnx_make_ints(im, node, "shape", 2, shape));
}

/* Coefficients as [pairs, vectors]; votes [classes, pairs] for those above 0 and below. */
static void spread(const svm *s, double *weights, double *above, double *below) {
  int64_t pair = 0, start_i = 0;
  for (int64_t i = 0; i < s->classes; start_i += s->count[i++]) {
    int64_t start_j = start_i + s->count[i];
    for (int64_t j = i + 1; j < s->classes; start_j += s->count[j++], pair++) {
      double *row = weights + pair * s->total;
      for (int64_t k = start_i; k < start_i + s->count[i]; k++)
        row[k] = s->weights[(j - 1) * s->total + k];
      for (int64_t k = start_j; k < start_j + s->count[j]; k++)
        row[k] = s->weights[i * s->total + k];
      above[i * s->pairs + pair] = 1;
      below[j * s->pairs + pair] = 1;
    }
  }
}

/* P(i | i or j) = 1 / (1 + exp(a s + b)), then of classes. */
static int probabilities(onnx_import *im, onnx_node *node, const svm *s, int decisions) {
  int x = emit2(im, node, "mul", decisions, matrix(im, node, 1, s->pairs, s->a));
  x = emit2(im, node, "add", x, matrix(im, node, 1, s->pairs, s->b));
  x = emit(im, node, "neg", 1, &x);
  x = emit(im, node, "sigmoid", 1, &x);
  return emit(im, node, "couple_pairs", 1, &x);
}

static neo_status machines(onnx_import *im, onnx_node *node, const svm *s, int x, int *scores,
                           int *best) {
  neo_arena *arena = im->e.graph->arena;
  const double none[3] = {0, 0, 3};
  size_t table = sizeof(double) * (size_t)(s->classes * s->pairs);
  if (s->pairs > (1 << 20) / s->classes || s->pairs > (1 << 22) / s->total)
    return onnx_unsupported(im, node,
                            "%lld classes with %lld support vectors: their table is too large",
                            (long long)s->classes, (long long)s->total);
  double *weights = neo_arena_alloc(arena, sizeof(double) * (size_t)(s->pairs * s->total));
  double *above = neo_arena_alloc(arena, table), *below = neo_arena_alloc(arena, table);
  spread(s, weights, above, below);
  int rows = matrix(im, node, s->total, s->n_vectors / s->total, s->vectors);
  NEO_TRY(kernel_of(im, node, x, rows, s->n_params >= 3 ? s->params : none, &x));
  x = product(im, node, x, matrix(im, node, s->pairs, s->total, weights));
  int decisions = emit2(im, node, "add", x, matrix(im, node, 1, s->pairs, s->rho));
  int zero = scalar(im, node, 0), one = scalar(im, node, 1);
  int won = emit2(im, node, "greater", decisions, zero);
  int first = emit(im, node, "where", 3, (int[]){won, one, zero}),
      second = emit(im, node, "where", 3, (int[]){won, zero, one});
  *best = emit2(im, node, "add",
                product(im, node, first, matrix(im, node, s->classes, s->pairs, above)),
                product(im, node, second, matrix(im, node, s->classes, s->pairs, below)));
  *scores = s->n_a > 0 ? probabilities(im, node, s, decisions) : decisions;
  return NEO_OK;
}

/* Two classes of a linear model: the second one if any score is large enough. */
static int second_of_two(onnx_import *im, onnx_node *node, const svm *s, int scores, int label) {
  bool positive = true;
  for (int k = 0; k < s->n_weights; k++)
    positive = positive && s->weights[k] >= 0;
  neo_node *most = onnx_emit(im, node, "reduce_max", 1, &scores, 1);
  neo_node_set_ints(im->e.graph, most, "axes", 1, (int64_t[]){1});
  neo_node_set_int(im->e.graph, most, "keepdims", 0);
  int large = emit2(im, node, positive ? "greater_equal" : "greater", most->output[0],
                    scalar(im, node, positive ? 0.5 : 0));
  int second = onnx_make_scalar_like(im, node, "second", NEO_I64, 1);
  return emit(im, node, "where", 3, (int[]){large, second, label});
}

neo_status onnx_svm_classifier(onnx_import *im, onnx_node *node) {
  svm s = {.total = 0};
  const char *post = "NONE";
  int before = im->e.unsupported.n, scores = NEO_NO_VALUE, best = NEO_NO_VALUE;
  NEO_TRY(read_svm(im, node, &s));
  NEO_TRY(onnx_attr_string(im, node, "post_transform", &post));
  neo_node *wide = onnx_emit(im, node, "cast", 1, node->input, 1);
  neo_node_set_string(im->e.graph, wide, "to", "f32");
  int x = wide->output[0];
  if (s.total > 0) {
    NEO_TRY(machines(im, node, &s, x, &scores, &best));
  } else {
    onnx_attr(node, "kernel_type");
    int rows = matrix(im, node, s.classes, s.n_weights / s.classes, s.weights);
    scores = best = emit2(im, node, "add", product(im, node, x, rows), scalar(im, node, s.rho[0]));
  }
  if (im->e.unsupported.n != before)
    return NEO_OK;
  int label = onnx_ml_best(im, node, best);
  if (s.total == 0 && s.classes == 2 && s.n_a < 1)
    label = second_of_two(im, node, &s, scores, label);
  onnx_bind(im, node, 0, onnx_ml_label(im, node, &s.labels, label));
  if (s.total > 0 && s.classes == 2 && s.n_a < 1) {
    bool one = strcmp(post, "NONE") != 0 && strcmp(post, "LOGISTIC") != 0;
    scores = onnx_ml_two_columns(im, node, scores, one);
    if (one) { /* no softmax: they are taken for probabilities */
      onnx_bind(im, node, 1, scores);
      return NEO_OK;
    }
  }
  return onnx_ml_post(im, node, 1, scores);
}
