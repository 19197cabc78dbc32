/* frontends/keras_layers_attention.c: MultiHeadAttention, GroupQueryAttention, Attention and
 * AdditiveAttention, as matrix products.
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

static int unsqueeze(keras_call *c, int x, int64_t axis) {
  return binary(c, "unsqueeze", x, neo_emit_ints(c->im->e, 1, &axis));
}

static int both(keras_call *c, int a, int b) {
  return a == NEO_NO_VALUE ? b : b == NEO_NO_VALUE ? a : binary(c, "and", a, b);
}

/* The mask of input `at`, or the one with this keyword: bool [batch, steps], or nothing. */
static int mask_of(keras_call *c, const char *keyword, int at) {
  for (int i = 0; i < c->n_inputs; i++)
    if (c->keyword[i] && strcmp(c->keyword[i], keyword) == 0)
      return neo_emit_cast(c->im->e, c->input[i].value, NEO_BOOL);
  return at >= 0 && c->input[at].masked ? c->input[at].mask : NEO_NO_VALUE;
}

/* bool [steps of q, steps of v], the lower triangle; nothing if a shape is not known. */
static int causal(keras_call *c, int q, int v) {
  neo_emitter *e = c->im->e;
  neo_tensor t;
  const neo_shape *a = neo_emit_shape(e, c->input[q].value),
                  *b = neo_emit_shape(e, c->input[v].value);
  if (!a || !b || a->rank < 2 || b->rank < 2) {
    keras_unsupported(c, "the shapes of causal attention must be bound (--input)");
    return NEO_NO_VALUE;
  }
  int64_t rows = a->dim[1], columns = b->dim[1];
  if (neo_tensor_create(c->im->ctx, NEO_BOOL, &(neo_shape){2, {rows, columns}}, &t) != NEO_OK) {
    keras_unsupported(c, "%lld x %lld steps", (long long)rows, (long long)columns);
    return NEO_NO_VALUE;
  }
  neo_graph_adopt(e->graph, t.data);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t k = 0; k < columns; k++)
      ((uint8_t *)t.data)[i * columns + k] = k <= i;
  return neo_emit_tensor(e, neo_arena_printf(c->im->arena, "%s.causal", c->name), &t);
}

/* softmax(q k^T) v over the last two dimensions; scale 1: none. mask: bool, broadcasts to the
 * scores; *weights: what the softmax gives. */
static int attend(keras_call *c, int scores, int v, int mask, int rank, int *weights) {
  neo_emitter *e = c->im->e;
  if (mask != NEO_NO_VALUE) {
    int off = binary(c, "sub", scores, neo_emit_scalar(e, NEO_F32, 1e9));
    scores = keras_node(c, "where", 3, (int[]){mask, scores, off}, 1)->output[0];
  }
  neo_node *soft = keras_node(c, "softmax", 1, &scores, 1);
  neo_node_set_int(e->graph, soft, "axis", rank - 1);
  *weights = soft->output[0];
  return binary(c, "matmul", *weights, v);
}

static int product(keras_call *c, int q, int k_transposed, double scale) {
  if (scale != 1)
    q = binary(c, "mul", q, neo_emit_scalar(c->im->e, NEO_F32, scale));
  return binary(c, "matmul", q, k_transposed);
}

static bool plain_call(keras_call *c) {
  if (!flag(c, "use_gate") && !json_is_integer(json_object_get(c->config, "sliding_window")))
    return true;
  keras_unsupported(c, "gates or sliding windows");
  return false;
}

typedef struct attention_inputs {
  int q, k, v; /* numbers of inputs */
  int mask;    /* bool, rank 4: [batch, heads, q, v], dimensions of 1 where they broadcast */
} attention_inputs;

static bool read_heads(keras_call *c, attention_inputs *in) {
  in->q = find_input(c, "query", 0);
  in->v = find_input(c, "value", 1);
  in->k = find_input(c, "key", 2);
  in->v = in->v < 0 ? in->q : in->v;
  in->k = in->k < 0 ? in->v : in->k;
  if (in->q < 0 || c->input[in->q].rank != 3 || c->input[in->v].rank != 3 ||
      c->input[in->k].rank != 3) {
    keras_unsupported(c, "inputs that are not of rank 3");
    return false;
  }
  int rows = mask_of(c, "query_mask", in->q), columns = mask_of(c, "value_mask", in->v);
  int keys = in->k == in->v ? mask_of(c, "key_mask", -1) : mask_of(c, "key_mask", in->k);
  int given = find_input(c, "attention_mask", c->n_inputs), mask = NEO_NO_VALUE;
  if (rows != NEO_NO_VALUE)
    mask = unsqueeze(c, rows, 2);
  if (columns != NEO_NO_VALUE)
    mask = both(c, mask, unsqueeze(c, columns, 1));
  if (keys != NEO_NO_VALUE)
    mask = both(c, mask, unsqueeze(c, keys, 1));
  if (flag(c, "use_causal_mask"))
    mask = both(c, mask, unsqueeze(c, causal(c, in->q, in->v), 0));
  in->mask = mask == NEO_NO_VALUE ? mask : unsqueeze(c, mask, 1);
  if (given >= 0) {
    int m = neo_emit_cast(c->im->e, c->input[given].value, NEO_BOOL), rank = c->input[given].rank;
    for (; rank < 4; rank++)
      m = unsqueeze(c, m, rank == 3 ? 1 : 0);
    in->mask = both(c, in->mask, m);
  }
  return true;
}

/* [batch, heads of k, steps, size]: each head as often as there are heads of q. */
static int repeat_heads(keras_call *c, int x, int64_t heads, int64_t of) {
  neo_emitter *e = c->im->e;
  if (heads == of || heads < 1)
    return x;
  neo_tensor t;
  if (neo_tensor_create(c->im->ctx, NEO_I32, &(neo_shape){1, {of}}, &t) != NEO_OK)
    return x;
  neo_graph_adopt(e->graph, t.data);
  for (int64_t i = 0; i < of; i++)
    ((int32_t *)t.data)[i] = (int32_t)(i * heads / of);
  int index = neo_emit_tensor(e, neo_arena_printf(c->im->arena, "%s.heads", c->name), &t);
  neo_node *node = keras_node(c, "gather", 2, (int[]){x, index}, 1);
  neo_node_set_int(e->graph, node, "axis", 1);
  return node->output[0];
}

/* MultiHeadAttention, and GroupQueryAttention, whose keys and values have fewer heads. */
void keras_multi_head(keras_call *c) {
  attention_inputs in;
  bool bias = keras_bool(c, "use_bias", true);
  int step = bias ? 2 : 1, weights;
  neo_shape heads, key_heads, value_heads;
  neo_emitter *e = c->im->e;
  if (!plain_call(c) || !read_heads(c, &in))
    return;
  int q = project(c, c->input[in.q].value, 0, bias, &heads);
  int k = project(c, c->input[in.k].value, step, bias, &key_heads);
  int v = project(c, c->input[in.v].value, 2 * step, bias, &value_heads);
  q = neo_emit_transpose(e, q, 4, (int64_t[]){0, 2, 1, 3});
  k = neo_emit_transpose(e, k, 4, (int64_t[]){0, 2, 3, 1});
  v = neo_emit_transpose(e, v, 4, (int64_t[]){0, 2, 1, 3});
  if (key_heads.dim[0] < 1 || heads.dim[0] % key_heads.dim[0] ||
      value_heads.dim[0] != key_heads.dim[0]) {
    keras_bad(c, "%lld heads of queries, %lld of keys, %lld of values", (long long)heads.dim[0],
              (long long)key_heads.dim[0], (long long)value_heads.dim[0]);
    return;
  }
  k = repeat_heads(c, k, key_heads.dim[0], heads.dim[0]);
  v = repeat_heads(c, v, value_heads.dim[0], heads.dim[0]);
  int scores = product(c, q, k, 1 / sqrt((double)neo_max_i64(heads.dim[1], 1)));
  int y = attend(c, scores, v, in.mask, 4, &weights);
  y = neo_emit_transpose(e, y, 4, (int64_t[]){0, 2, 1, 3});
  int64_t rows = heads.dim[0] * value_heads.dim[1];
  y = keras_reshape(c, y, 3, (int64_t[]){0, 0, rows});
  const neo_tensor *w = keras_weight(c, 3 * step, 3);
  static const int perm[3] = {0, 1, 2};
  y = binary(c, "matmul", y,
             keras_permuted(c, 3 * step, 3, perm, &(neo_shape){2, {rows, w->shape.dim[2]}}));
  y = bias ? binary(c, "add", y, keras_constant(c, 3 * step + 1, 1)) : y;
  keras_out(c, y, 3);
  if (flag(c, "return_attention_scores"))
    keras_out(c, weights, 4);
}

/* tanh(q + k) summed with weights: [batch, q, k]. */
static int additive_scores(keras_call *c, int q, int k) {
  int sum =
      neo_emit_unary(c->im->e, "tanh", binary(c, "add", unsqueeze(c, q, 2), unsqueeze(c, k, 1)));
  if (keras_bool(c, "use_scale", true))
    sum = binary(c, "mul", sum, keras_constant(c, 0, 1));
  neo_node *node = keras_node(c, "reduce_sum", 1, &sum, 1);
  neo_node_set_ints(c->im->e->graph, node, "axes", 1, (int64_t[]){-1});
  neo_node_set_int(c->im->e->graph, node, "keepdims", 0);
  return node->output[0];
}

/* score_mode concat: tanh(scale (q + k)) summed over its features, times a weight. */
static int concat_scores(keras_call *c, int q, int k) {
  bool scaled = keras_bool(c, "use_scale", false);
  int sum = binary(c, "add", unsqueeze(c, q, 2), unsqueeze(c, k, 1));
  if (scaled)
    sum = binary(c, "mul", sum, keras_constant(c, 0, 0));
  sum = neo_emit_unary(c->im->e, "tanh", sum);
  neo_node *node = keras_node(c, "reduce_sum", 1, &sum, 1);
  neo_node_set_ints(c->im->e->graph, node, "axes", 1, (int64_t[]){-1});
  neo_node_set_int(c->im->e->graph, node, "keepdims", 0);
  int y = node->output[0];
  return binary(c, "mul", y, keras_constant(c, scaled, 0));
}

static bool all_of_rank_3(const keras_call *c, int key) {
  const char *mode = keras_text(c, "score_mode", "dot");
  return c->input[0].rank == 3 && c->input[1].rank == 3 && c->input[key].rank == 3 &&
         (strcmp(mode, "dot") == 0 || strcmp(mode, "concat") == 0);
}

/* Attention and AdditiveAttention of [query, value, key]. The masks are those of query and value.
 */
void keras_attention(keras_call *c) {
  int tensors = 0, masks[2] = {NEO_NO_VALUE, NEO_NO_VALUE}, n_masks = 0, weights;
  for (int i = 0; i < c->n_inputs; i++)
    if (!c->keyword[i])
      tensors++;
    else if (strcmp(c->keyword[i], "mask") == 0 && n_masks < 2)
      masks[n_masks++] = neo_emit_cast(c->im->e, c->input[i].value, NEO_BOOL);
  for (int i = 0; n_masks == 0 && i < 2 && i < tensors; i++)
    masks[i] = c->input[i].masked ? c->input[i].mask : NEO_NO_VALUE;
  int k_at = tensors > 2 ? 2 : 1;
  bool additive = strcmp(c->class_name, "AdditiveAttention") == 0;
  bool sum = strcmp(keras_text(c, "score_mode", "dot"), "concat") == 0;
  if (tensors < 2 || tensors > 3 || n_masks == 1 || !all_of_rank_3(c, k_at)) {
    keras_unsupported(c, "other than query, value and key of rank 3");
    return;
  }
  int q = c->input[0].value, k = c->input[k_at].value, scores;
  if (additive) {
    scores = additive_scores(c, q, k);
  } else if (sum) {
    scores = concat_scores(c, q, k);
  } else {
    if (keras_bool(c, "use_scale", false))
      q = binary(c, "mul", q, keras_constant(c, 0, 0));
    scores = product(c, q, neo_emit_transpose(c->im->e, k, 3, (int64_t[]){0, 2, 1}), 1);
  }
  int mask = masks[1] == NEO_NO_VALUE ? masks[1] : unsqueeze(c, masks[1], 1);
  if (flag(c, "use_causal_mask") || flag(c, "causal"))
    mask = both(c, mask, unsqueeze(c, causal(c, 0, 1), 0));
  int y = attend(c, scores, c->input[1].value, mask, 3, &weights);
  if (masks[0] != NEO_NO_VALUE)
    y = binary(c, "mul", y, neo_emit_cast(c->im->e, unsqueeze(c, masks[0], 2), NEO_F32));
  keras_out(c, y, 3);
  if (flag(c, "return_attention_scores"))
    keras_out(c, weights, 3);
}
