/* frontends/keras_layers_attention.c: MultiHeadAttention and Attention, as matrix products.
 *
 * Heads: kernels [features, heads, size] and [heads, size, features] are seen as matrices; query,
 * key and value become [batch, heads, steps, size]. The query is scaled by 1 / sqrt(size). */
#include "frontends/keras.h"

#include <math.h>
#include <string.h>

static int binary(keras_call *c, const char *op, int a, int b) {
  return neo_emit_binary(c->im->e, op, a, b);
}

/* The input with this keyword, or the k-th positional one; -1: none. */
static int find_input(const keras_call *c, const char *keyword, int k) {
  for (int i = 0; i < c->n_inputs; i++)
    if (c->keyword[i] && strcmp(c->keyword[i], keyword) == 0)
      return i;
  for (int i = 0; i < c->n_inputs; i++)
    if (!c->keyword[i] && k-- == 0)
      return i;
  return -1;
}

static bool flag(const keras_call *c, const char *name) {
  return json_is_true(json_object_get(c->kwargs, name)) ||
         json_is_true(json_object_get(c->config, name));
}

/* x W + b with W = weight k, [features, heads, size]: [batch, steps, heads, size] */
static int project(keras_call *c, int x, int k, bool bias, neo_shape *heads) {
  static const int perm[3] = {0, 1, 2};
  const neo_tensor *w = keras_weight(c, k, 3);
  int64_t columns = w->shape.dim[1] * w->shape.dim[2];
  int y = binary(c, "matmul", x,
                 keras_permuted(c, k, 3, perm, &(neo_shape){2, {w->shape.dim[0], columns}}));
  if (bias)
    y = binary(c, "add", y, keras_permuted(c, k + 1, 2, perm, &(neo_shape){1, {columns}}));
  *heads = (neo_shape){2, {w->shape.dim[1], w->shape.dim[2]}};
  return keras_reshape(c, y, 4, (int64_t[]){0, 0, heads->dim[0], heads->dim[1]});
}

/* softmax(q k^T) v over the last two dimensions; scale 1: none. */
static int attend(keras_call *c, int q, int k_transposed, int v, double scale, int rank) {
  neo_emitter *e = c->im->e;
  if (scale != 1)
    q = binary(c, "mul", q, neo_emit_scalar(e, NEO_F32, scale));
  int scores = binary(c, "matmul", q, k_transposed);
  neo_node *soft = keras_node(c, "softmax", 1, &scores, 1);
  neo_node_set_int(e->graph, soft, "axis", rank - 1);
  return binary(c, "matmul", soft->output[0], v);
}

static bool plain_call(keras_call *c) {
  bool masked = flag(c, "use_causal_mask") || flag(c, "causal");
  for (int i = 0; i < c->n_inputs; i++)
    masked |= c->input[i].masked || (c->keyword[i] && strstr(c->keyword[i], "mask"));
  if (masked)
    keras_unsupported(c, "masks");
  else if (flag(c, "return_attention_scores"))
    keras_unsupported(c, "returned attention scores");
  else if (flag(c, "use_gate") || json_is_integer(json_object_get(c->config, "sliding_window")))
    keras_unsupported(c, "gates or sliding windows");
  else
    return true;
  return false;
}

void keras_multi_head(keras_call *c) {
  int q_at = find_input(c, "query", 0), v_at = find_input(c, "value", 1);
  int k_at = find_input(c, "key", 2);
  bool bias = keras_bool(c, "use_bias", true);
  int step = bias ? 2 : 1;
  neo_shape heads, value_heads;
  neo_emitter *e = c->im->e;
  if (!plain_call(c))
    return;
  v_at = v_at < 0 ? q_at : v_at;
  k_at = k_at < 0 ? v_at : k_at;
  if (q_at < 0 || c->input[q_at].rank != 3 || c->input[v_at].rank != 3 ||
      c->input[k_at].rank != 3) {
    keras_unsupported(c, "inputs that are not of rank 3");
    return;
  }
  int q = project(c, c->input[q_at].value, 0, bias, &heads);
  int k = project(c, c->input[k_at].value, step, bias, &heads);
  int v = project(c, c->input[v_at].value, 2 * step, bias, &value_heads);
  q = neo_emit_transpose(e, q, 4, (int64_t[]){0, 2, 1, 3});
  k = neo_emit_transpose(e, k, 4, (int64_t[]){0, 2, 3, 1});
  v = neo_emit_transpose(e, v, 4, (int64_t[]){0, 2, 1, 3});
  int y = attend(c, q, k, v, 1 / sqrt((double)neo_max_i64(heads.dim[1], 1)), 4);
  y = neo_emit_transpose(e, y, 4, (int64_t[]){0, 2, 1, 3});
  int64_t rows = value_heads.dim[0] * value_heads.dim[1];
  y = keras_reshape(c, y, 3, (int64_t[]){0, 0, rows});
  const neo_tensor *w = keras_weight(c, 3 * step, 3);
  static const int perm[3] = {0, 1, 2};
  y = binary(c, "matmul", y,
             keras_permuted(c, 3 * step, 3, perm, &(neo_shape){2, {rows, w->shape.dim[2]}}));
  y = bias ? binary(c, "add", y, keras_constant(c, 3 * step + 1, 1)) : y;
  keras_out(c, y, 3);
}

void keras_attention(keras_call *c) {
  int k_at = c->n_inputs > 2 ? 2 : 1;
  if (!plain_call(c))
    return;
  if (c->n_inputs < 2 || c->n_inputs > 3 || c->input[0].rank != 3 || c->input[1].rank != 3 ||
      c->input[k_at].rank != 3 || strcmp(keras_text(c, "score_mode", "dot"), "dot") != 0) {
    keras_unsupported(c, "other than query, value and key of rank 3 with score_mode dot");
    return;
  }
  int k = neo_emit_transpose(c->im->e, c->input[k_at].value, 3, (int64_t[]){0, 2, 1});
  int q = c->input[0].value;
  if (keras_bool(c, "use_scale", false))
    q = binary(c, "mul", q, keras_constant(c, 0, 0));
  keras_out(c, attend(c, q, k, c->input[1].value, 1, 3), 3);
}
