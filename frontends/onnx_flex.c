/* frontends/onnx_flex.c: FlexAttention: attention whose scores and probabilities pass through
 * graphs of the model's own, which are converted in place. */
#include "frontends/onnx_import.h"

#include <math.h>

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

/* Each head of keys or values for all the query heads that share it. */
static int shared_heads(onnx_import *im, onnx_node *node, int value, int64_t heads, int64_t own) {
  if (heads == own)
    return value;
  int64_t *head = neo_arena_alloc(im->e.graph->arena, sizeof *head * (size_t)heads);
  for (int64_t h = 0; h < heads; h++)
    head[h] = h / (heads / own);
  int in[2] = {value, onnx_make_ints(im, node, "heads", (int)heads, head)};
  neo_node *made = onnx_emit(im, node, "gather", 2, in, 1);
  neo_node_set_int(im->e.graph, made, "axis", 1);
  return made->output[0];
}

static neo_status modify(onnx_import *im, onnx_node *node, const char *name, int *value) {
  const Onnx__Attribute *attr = onnx_attr(node, name);
  if (!attr || !attr->g)
    return NEO_OK;
  if (attr->g->n_input != 1 || attr->g->n_output != 1)
    return onnx_bad(im, node, "%s has %zu inputs and %zu outputs, 1 and 1 expected", name,
                    attr->g->n_input, attr->g->n_output);
  NEO_TRY(onnx_body_pass(im, node, attr->g, value, value));
  return onnx_is_list(*value) ? onnx_bad(im, node, "%s gives a sequence", name) : NEO_OK;
}

neo_status onnx_flex_attention(onnx_import *im, onnx_node *node) {
  static const int64_t swapped[] = {0, 1, 3, 2};
  neo_shape shape[3];
  int64_t precision = 0;
  neo_dtype soft;
  const char *type_name;
  for (int k = 0; k < 3; k++) {
    const neo_shape *known = neo_emit_shape(&im->e, onnx_input(node, k));
    if (!known || known->rank != 4)
      return onnx_unsupported(im, node, "the shape of input %d is not known, or not of rank 4", k);
    shape[k] = *known;
  }
  int64_t heads = shape[0].dim[1], own = shape[1].dim[1];
  if (heads < 1 || heads > 1 << 20 || own < 1 || heads % own != 0 || shape[2].dim[1] != own)
    return onnx_bad(im, node, "%lld query heads, %lld of keys", (long long)heads, (long long)own);
  neo_dtype dtype = neo_emit_dtype(&im->e, onnx_input(node, 0));
  double scale = 1 / sqrt((double)neo_max_i64(shape[0].dim[3], 1));
  soft = dtype == NEO_F64 ? NEO_F64 : NEO_F32;
  NEO_TRY(onnx_attr_float(im, node, "scale", &scale));
  NEO_TRY(onnx_attr_int(im, node, "softmax_precision", &precision));
  if (precision != 0 && onnx_dtype((int32_t)precision, &soft, &type_name) != NEO_OK)
    return onnx_unsupported(im, node, "softmax_precision=%lld", (long long)precision);
  int k = shared_heads(im, node, onnx_input(node, 1), heads, own);
  int v = shared_heads(im, node, onnx_input(node, 2), heads, own);
  neo_node *turn = onnx_emit(im, node, "transpose", 1, &k, 1);
  neo_node_set_ints(im->e.graph, turn, "perm", 4, swapped);
  int s = cast(im, node, emit2(im, node, "matmul", onnx_input(node, 0), turn->output[0]), soft);
  s = emit2(im, node, "mul", s, onnx_make_scalar_like(im, node, "scale", soft, scale));
  NEO_TRY(modify(im, node, "score_mod", &s));
  neo_node *p = onnx_emit(im, node, "softmax", 1, &s, 1);
  neo_node_set_int(im->e.graph, p, "axis", -1);
  int probability = p->output[0];
  NEO_TRY(modify(im, node, "prob_mod", &probability));
  onnx_bind(im, node, 0, emit2(im, node, "matmul", cast(im, node, probability, dtype), v));
  return NEO_OK;
}
