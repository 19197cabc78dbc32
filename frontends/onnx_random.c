/* frontends/onnx_random.c: operators that draw random numbers, which happens when types become
 * known while compiling (random_like in ir/ops.def): every run of an artifact sees the same ones.
 * Dropout and BatchNormalization in training mode, as far as they are functions of their inputs. */
#include "frontends/onnx_import.h"

#include <math.h>
#include <string.h>

static int emit(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int emit2(onnx_import *im, onnx_node *node, const char *op, int a, int b) {
  return emit(im, node, op, 2, (int[]){a, b});
}

static int cast(onnx_import *im, onnx_node *node, int value, neo_dtype dtype) {
  neo_node *made = onnx_emit(im, node, "cast", 1, &value, 1);
  neo_node_set_string(im->e.graph, made, "to", neo_dtype_name(dtype));
  im->e.graph->value[made->output[0]].dtype = dtype;
  return made->output[0];
}

/* Attribute dtype, else `otherwise` (which may be NEO_DTYPE_COUNT: as the input). False after a
 * line in the list. */
static neo_status wanted_type(onnx_import *im, onnx_node *node, neo_dtype otherwise, bool *ok,
                              neo_dtype *out) {
  int64_t code = 0;
  const char *type_name;
  *out = otherwise;
  *ok = true;
  NEO_TRY(onnx_attr_int(im, node, "dtype", &code));
  if (code == 0)
    return NEO_OK;
  *ok = onnx_dtype(code < 0 || code > 1000 ? -1 : (int32_t)code, out, &type_name) == NEO_OK;
  return *ok ? NEO_OK : onnx_unsupported(im, node, "dtype=%lld (%s)", (long long)code, type_name);
}

/* Uniform in [a, a + b), or normal of mean a and deviation b. */
typedef struct distribution {
  const char *kind;
  neo_dtype dtype; /* NEO_DTYPE_COUNT: the input's */
  double a, b;
} distribution;

/* Numbers in the shape of `like`. The seed, where there is none, is the node's name's. */
static neo_status draw(onnx_import *im, onnx_node *node, int like, distribution d, int *out) {
  double seed = 0;
  bool seeded = onnx_attr(node, "seed") != NULL;
  int64_t state = 1469598103;
  if (seeded && onnx_attr(node, "seed")->has_i)
    NEO_TRY(onnx_attr_int(im, node, "seed", &state));
  else if (seeded)
    NEO_TRY(onnx_attr_float(im, node, "seed", &seed));
  for (const char *c = node->name; !seeded && *c; c++)
    state = (state * 31 + (uint8_t)*c) % 2147483647;
  neo_node *made = onnx_emit(im, node, "random_like", 1, &like, 1);
  if (!made)
    return NEO_OK;
  neo_node_set_string(im->e.graph, made, "kind", d.kind);
  neo_node_set_int(im->e.graph, made, "seed", state + (int64_t)seed);
  neo_node_set_float(im->e.graph, made, "low", d.a);
  neo_node_set_float(im->e.graph, made, "scale", d.b);
  if (d.dtype != NEO_DTYPE_COUNT) {
    neo_node_set_string(im->e.graph, made, "dtype", neo_dtype_name(d.dtype));
    im->e.graph->value[made->output[0]].dtype = d.dtype;
  }
  *out = made->output[0];
  return NEO_OK;
}

/* RandomUniform and RandomNormal, and of the shape of an input. */
neo_status onnx_random(onnx_import *im, onnx_node *node) {
  bool uniform = strstr(node->row->name, "Uniform") != NULL, ok;
  bool like = strstr(node->row->name, "Like") != NULL;
  double a = 0, b = 1;
  neo_dtype dtype;
  const int64_t *shape;
  int n, x = onnx_input(node, 0), y = NEO_NO_VALUE;
  NEO_TRY(onnx_attr_float(im, node, uniform ? "low" : "mean", &a));
  NEO_TRY(onnx_attr_float(im, node, uniform ? "high" : "scale", &b));
  NEO_TRY(wanted_type(im, node, like ? NEO_DTYPE_COUNT : NEO_F32, &ok, &dtype));
  if (!like) {
    NEO_TRY(onnx_attr_ints(im, node, "shape", &n, &shape));
    if (n < 0)
      return onnx_bad(im, node, "no attribute 'shape'");
    int target = onnx_make_ints(im, node, "shape", n, shape);
    x = emit(im, node, "constant_of_shape", 1, &target);
  }
  if (x == NEO_NO_VALUE)
    return onnx_bad(im, node, "no input");
  NEO_TRY(draw(im, node, x,
               (distribution){uniform ? "uniform" : "normal", dtype, a, uniform ? b - a : b}, &y));
  if (ok && y != NEO_NO_VALUE)
    onnx_bind(im, node, 0, y);
  return NEO_OK;
}

/* 1 with the probability that the input says. */
neo_status onnx_bernoulli(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0), u = NEO_NO_VALUE;
  neo_dtype dtype;
  bool ok;
  if (x == NEO_NO_VALUE)
    return onnx_bad(im, node, "no input");
  NEO_TRY(wanted_type(im, node, neo_emit_dtype(&im->e, x), &ok, &dtype));
  if (ok && dtype == NEO_DTYPE_COUNT)
    return onnx_unsupported(im, node, "the type of its input is not known");
  NEO_TRY(draw(im, node, x, (distribution){"uniform", NEO_DTYPE_COUNT, 0, 1}, &u));
  if (ok && u != NEO_NO_VALUE)
    onnx_bind(im, node, 0, cast(im, node, emit2(im, node, "less", u, x), dtype));
  return NEO_OK;
}

/* Samples of each row's distribution, which is given as logarithms: how many of the cumulated
 * probabilities lie below a random number. */
neo_status onnx_multinomial(onnx_import *im, onnx_node *node) {
  int64_t samples = 1, last = 1;
  neo_dtype dtype;
  bool ok;
  int x = onnx_input(node, 0), u = NEO_NO_VALUE;
  NEO_TRY(onnx_attr_int(im, node, "sample_size", &samples));
  NEO_TRY(wanted_type(im, node, NEO_I32, &ok, &dtype));
  const neo_shape *shape = x == NEO_NO_VALUE ? NULL : neo_emit_shape(&im->e, x);
  if (!shape || shape->rank != 2 || samples < 1 || shape->dim[1] < 1)
    return onnx_unsupported(im, node,
                            "the shape of its input is not known, or not [batch, classes]");
  const int64_t form[2] = {shape->dim[0], samples};
  int64_t classes = shape->dim[1];
  int p = emit(im, node, "softmax", 1, &x);
  int sums = emit2(im, node, "cumsum", cast(im, node, p, NEO_F32),
                   onnx_make_ints(im, node, "axis", 1, &last));
  int target = onnx_make_ints(im, node, "shape", 2, form);
  NEO_TRY(draw(im, node, emit(im, node, "constant_of_shape", 1, &target),
               (distribution){"uniform", NEO_F32, 0, 1}, &u));
  int row = emit2(im, node, "unsqueeze", sums, onnx_make_ints(im, node, "axes", 1, &(int64_t){1}));
  int column = emit2(im, node, "unsqueeze", u, onnx_make_ints(im, node, "axes", 1, &(int64_t){2}));
  int below = cast(im, node, emit2(im, node, "less_equal", row, column), NEO_I64);
  neo_node *count = onnx_emit(im, node, "reduce_sum", 1, &below, 1);
  neo_node_set_ints(im->e.graph, count, "axes", 1, &(int64_t){2});
  neo_node_set_int(im->e.graph, count, "keepdims", 0);
  int most = onnx_make_scalar_like(im, node, "last", NEO_I64, (double)(classes - 1));
  int y = emit2(im, node, "min", count->output[0], most);
  if (ok)
    onnx_bind(im, node, 0, cast(im, node, y, dtype));
  return NEO_OK;
}

/* Training: what is kept grows by 1 / (1 - ratio). */
neo_status onnx_dropout_training(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0), ratio = onnx_input(node, 1), u = NEO_NO_VALUE;
  const neo_tensor *given = neo_emit_const(&im->e, ratio);
  double rate = given && given->size ? neo_tensor_get_f64(given, 0) : 0.5;
  neo_dtype dtype = neo_emit_dtype(&im->e, x);
  if ((ratio != NEO_NO_VALUE && !given) || dtype == NEO_DTYPE_COUNT || rate < 0 || rate >= 1)
    return onnx_unsupported(im, node, "in training its ratio must be a constant in [0, 1)");
  NEO_TRY(draw(im, node, x, (distribution){"uniform", NEO_F32, 0, 1}, &u));
  if (u == NEO_NO_VALUE)
    return NEO_OK;
  int keep =
      emit2(im, node, "greater_equal", u, onnx_make_scalar_like(im, node, "ratio", NEO_F32, rate));
  int grown =
      emit2(im, node, "mul", x, onnx_make_scalar_like(im, node, "scale", dtype, 1 / (1 - rate)));
  int zero = onnx_make_scalar_like(im, node, "zero", dtype, 0);
  onnx_bind(im, node, 0, emit(im, node, "where", 3, (int[]){keep, grown, zero}));
  if (node->n_outputs > 1)
    onnx_bind(im, node, 1, keep);
  return NEO_OK;
}

/* momentum * old + (1 - momentum) * now */
static int running(onnx_import *im, onnx_node *node, int old, int now, double momentum) {
  neo_dtype dtype = neo_emit_dtype(&im->e, old);
  dtype = dtype == NEO_DTYPE_COUNT ? NEO_F32 : dtype;
  int kept = emit2(im, node, "mul", old, onnx_make_scalar_like(im, node, "m", dtype, momentum));
  int added =
      emit2(im, node, "mul", now, onnx_make_scalar_like(im, node, "m", dtype, 1 - momentum));
  return emit2(im, node, "add", kept, added);
}

/* Normalises by the batch's own mean and variance, and moves the running ones. */
neo_status onnx_batch_norm_training(onnx_import *im, onnx_node *node) {
  int x = onnx_input(node, 0), rank = x == NEO_NO_VALUE ? -1 : neo_emit_rank(&im->e, x), n = 0;
  int64_t axes[NEO_MAX_RANK];
  double epsilon = 9.999999747378752e-06, momentum = 0.8999999761581421;
  NEO_TRY(onnx_attr_float(im, node, "epsilon", &epsilon));
  NEO_TRY(onnx_attr_float(im, node, "momentum", &momentum));
  if (rank < 2)
    return onnx_unsupported(im, node, "in training the rank of its input must be known");
  for (int d = 0; d < rank; d++)
    if (d != 1)
      axes[n++] = d;
  int list = onnx_make_ints(im, node, "axes", n, axes);
  int mean = emit2(im, node, "reduce_mean", x, list);
  int off = emit2(im, node, "sub", x, mean);
  int variance = emit2(im, node, "reduce_mean", emit2(im, node, "mul", off, off), list);
  int flat[2] = {emit2(im, node, "squeeze", mean, list),
                 emit2(im, node, "squeeze", variance, list)};
  int in[5] = {x, onnx_input(node, 1), onnx_input(node, 2), flat[0], flat[1]};
  neo_node *made = onnx_emit(im, node, "batch_norm", 5, in, 1);
  if (!made)
    return NEO_OK;
  neo_node_set_float(im->e.graph, made, "epsilon", epsilon);
  onnx_bind(im, node, 0, made->output[0]);
  for (int k = 1; k < 3 && k < node->n_outputs; k++)
    onnx_bind(im, node, k, running(im, node, onnx_input(node, 2 + k), flat[k - 1], momentum));
  return NEO_OK;
}
