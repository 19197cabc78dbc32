/* frontends/keras_layers_more.c: Keras layers that are nobody's core: adaptive pools, locally
 * connected layers, bins and vocabularies of integers, embeddings that are read both ways. */
#include <string.h>

#include "frontends/keras_ops.h"

typedef struct window {
  int64_t from, to, step;
} window;

static int slice(keras_call *c, int x, int64_t axis, window w) {
  neo_emitter *e = c->im->e;
  int input[5] = {x, neo_emit_ints(e, 1, &w.from), neo_emit_ints(e, 1, &w.to),
                  neo_emit_ints(e, 1, &axis), neo_emit_ints(e, 1, &w.step)};
  return keras_node(c, "slice", 5, input, 1)->output[0];
}

static int concat(keras_call *c, int n, const int *parts, int64_t axis) {
  neo_node *node = keras_node(c, "concat", n, parts, 1);
  neo_node_set_int(c->im->e->graph, node, "axis", axis);
  return node->output[0];
}

static int reduce(keras_call *c, const char *op, int x, int64_t axis, bool keep) {
  neo_node *node = keras_node(c, op, 1, &x, 1);
  neo_node_set_ints(c->im->e->graph, node, "axes", 1, &axis);
  neo_node_set_int(c->im->e->graph, node, "keepdims", keep);
  return node->output[0];
}

/* ---- adaptive pools -------------------------------------------------------------------------------- */

/* Window o of an axis: [o * in / out, ceil((o + 1) * in / out)); axis by axis, whose windows are
 * the same for all others. op: the reduction. */
void keras_op_adaptive_pool(keras_call *c, const char *op) {
  int rank = c->input[0].rank, n = rank - 2, parts[256];
  int64_t out[3];
  int x = keras_to_channels(c, c->input[0].value, rank);
  const neo_shape *known = neo_emit_shape(c->im->e, x);
  if (n < 1 || n > 3 || !known || !keras_ints(c, "output_size", n, out)) {
    keras_unsupported(c, known ? "its output_size" : "the input's shape must be bound (--input)");
    return;
  }
  neo_shape shape = *known;
  for (int d = 0; d < n; d++) {
    int64_t in = shape.dim[2 + d];
    if (out[d] < 1 || out[d] > NEO_COUNT(parts)) {
      keras_unsupported(c, "%lld windows", (long long)out[d]);
      return;
    }
    for (int64_t o = 0; o < out[d]; o++) {
      int part =
          slice(c, x, 2 + d, (window){o * in / out[d], neo_ceil_div((o + 1) * in, out[d]), 1});
      parts[o] = reduce(c, op, part, 2 + d, true);
    }
    x = concat(c, (int)out[d], parts, 2 + d);
  }
  keras_out(c, keras_from_channels(c, x, rank), rank);
}

void keras_adaptive_pool(keras_call *c) {
  keras_op_adaptive_pool(c, keras_row_find(c->class_name)->op);
}

/* ---- locally connected ------------------------------------------------------------------------------- */

typedef struct windows {
  int n; /* spatial dimensions */
  int64_t kernel[2], stride[2], out[2];
} windows;

/* Taps of every window side by side, [batch, windows, taps * channels]. */
static int patches(keras_call *c, int x, const windows *w, int64_t channels) {
  int64_t taps = 1, all = 1;
  for (int d = 0; d < w->n; d++) {
    taps *= w->kernel[d];
    all *= w->out[d];
  }
  int *parts = neo_arena_alloc(c->im->arena, sizeof *parts * (size_t)taps);
  for (int64_t k = 0; k < taps; k++) {
    int64_t rest = k;
    parts[k] = x;
    for (int d = w->n; d-- > 0; rest /= w->kernel[d]) {
      int64_t from = rest % w->kernel[d], to = from + (w->out[d] - 1) * w->stride[d] + 1;
      parts[k] = slice(c, parts[k], 1 + d, (window){from, to, w->stride[d]});
    }
    parts[k] = keras_reshape(c, parts[k], 3, (int64_t[]){0, all, channels});
  }
  return concat(c, (int)taps, parts, 2);
}

/* kernel [windows, taps * channels, filters], bias [windows.., filters] */
void keras_locally_connected(keras_call *c) {
  neo_emitter *e = c->im->e;
  int rank = c->input[0].rank, n = rank - 2;
  windows w = {.n = n};
  const neo_shape *known = neo_emit_shape(e, c->input[0].value);
  if (!known || n < 1 || n > 2 || keras_channels_first(c) ||
      keras_int(c, "implementation", 1) != 1 || !keras_ints(c, "kernel_size", n, w.kernel) ||
      !keras_ints(c, "strides", n, w.stride)) {
    keras_unsupported(c, known ? "implementation, data_format or sizes"
                               : "the input's shape must be bound (--input)");
    return;
  }
  neo_shape shape = *known;
  int64_t taps = 1;
  for (int d = 0; d < n; d++) {
    bool sound = w.kernel[d] >= 1 && w.stride[d] >= 1 && w.kernel[d] <= shape.dim[1 + d];
    taps *= sound ? w.kernel[d] : 0;
    w.out[d] = sound ? (shape.dim[1 + d] - w.kernel[d]) / w.stride[d] + 1 : 0;
  }
  if (taps < 1 || taps > 1024) {
    keras_unsupported(c, "%lld taps", (long long)taps);
    return;
  }
  int x = patches(c, c->input[0].value, &w, shape.dim[rank - 1]);
  neo_node *node = keras_node(c, "einsum", 2, (int[]){x, keras_constant(c, 0, 3)}, 1);
  neo_node_set_string(e->graph, node, "equation", "bwi,wif->bwf");
  shape.dim[rank - 1] = keras_int(c, "filters", 1);
  for (int d = 0; d < n; d++)
    shape.dim[1 + d] = w.out[d];
  int y = keras_reshape(c, node->output[0], rank, shape.dim);
  if (keras_bool(c, "use_bias", true))
    y = neo_emit_binary(e, "add", y, keras_constant(c, 1, rank - 1));
  keras_out(c, keras_activate(c, "activation", y, rank), rank);
}

/* ---- integers ------------------------------------------------------------------------------------------ */

/* Numbers of a list in the configuration; -1: it holds something else, or too many. */
static int numbers_of(const json_t *list, double *out, int cap) {
  int n =
      json_is_array(list) && json_array_size(list) <= (size_t)cap ? (int)json_array_size(list) : -1;
  for (int i = 0; i < n; i++) {
    if (!json_is_number(json_array_get(list, (size_t)i)))
      return -1;
    out[i] = json_number_value(json_array_get(list, (size_t)i));
  }
  return n;
}

enum { MAX_ENTRIES = 4096 };

/* As many bin_boundaries as are not above. */
void keras_discretization(keras_call *c) {
  neo_emitter *e = c->im->e;
  double *bound = neo_arena_alloc(c->im->arena, sizeof *bound * MAX_ENTRIES);
  int n = numbers_of(json_object_get(c->config, "bin_boundaries"), bound, MAX_ENTRIES);
  int64_t last = -1;
  if (n < 1 || strcmp(keras_text(c, "output_mode", "int"), "int") != 0) {
    keras_unsupported(c, "output_mode, or boundaries that are not in its configuration");
    return;
  }
  int x = neo_emit_cast(e, c->input[0].value, NEO_F32);
  x = neo_emit_binary(e, "unsqueeze", x, neo_emit_ints(e, 1, &last));
  int below = neo_emit_binary(e, "greater_equal", x, neo_emit_floats(e, n, bound));
  int rank = c->input[0].rank;
  keras_out(c, reduce(c, "reduce_sum", neo_emit_cast(e, below, NEO_I64), last, false), rank);
  c->output[0].dtype = NEO_I64;
}

/* The place of an integer in the vocabulary, behind the mask's and those of the unknown ones. */
void keras_integer_lookup(keras_call *c) {
  neo_emitter *e = c->im->e;
  int64_t *key = neo_arena_alloc(c->im->arena, sizeof *key * MAX_ENTRIES), last = -1;
  const json_t *entries = json_object_get(c->config, "vocabulary");
  int n = json_array_size(entries) <= MAX_ENTRIES ? (int)json_array_size(entries) : -1;
  bool masked = json_is_integer(json_object_get(c->config, "mask_token"));
  if (n < 1 || keras_int(c, "num_oov_indices", 1) != 1 || keras_bool(c, "invert", false) ||
      strcmp(keras_text(c, "output_mode", "int"), "int") != 0) {
    keras_unsupported(c, "a vocabulary that is not in its configuration, several unknown indices, "
                         "invert or output_mode");
    return;
  }
  for (int i = 0; i < n; i++) {
    const json_t *entry = json_array_get(entries, (size_t)i);
    if (!json_is_integer(entry)) {
      keras_unsupported(c, "a vocabulary of other things than integers");
      return;
    }
    key[i] = json_integer_value(entry);
  }
  int x = neo_emit_cast(e, c->input[0].value, NEO_I64);
  int wide = neo_emit_binary(e, "unsqueeze", x, neo_emit_ints(e, 1, &last));
  int hit = neo_emit_cast(e, neo_emit_binary(e, "equal", wide, neo_emit_ints(e, n, key)), NEO_I64);
  for (int i = 0; i < n; i++)
    key[i] = 1 + i; /* 0, where nothing is equal, is the unknown one's */
  int at = reduce(c, "reduce_sum", neo_emit_binary(e, "mul", hit, neo_emit_ints(e, n, key)), last,
                  false);
  if (masked) { /* its own place is 0, all others are one further */
    int none = neo_emit_int(e, keras_int(c, "mask_token", 0)), zero = neo_emit_int(e, 0);
    int further = neo_emit_binary(e, "add", at, neo_emit_int(e, 1));
    at = keras_node(c, "where", 3, (int[]){neo_emit_binary(e, "equal", x, none), zero, further}, 1)
             ->output[0];
  }
  keras_out(c, at, c->input[0].rank);
  c->output[0].dtype = NEO_I64;
}

/* An embedding, or with reverse=True the scores of every row. */
void keras_reversible_embedding(keras_call *c) {
  neo_emitter *e = c->im->e;
  if (!json_is_true(json_object_get(c->kwargs, "reverse"))) {
    keras_embedding(c);
    return;
  }
  double cap = keras_number(c, "logit_soft_cap", 0);
  int rank = c->input[0].rank;
  bool tied = keras_bool(c, "tie_weights", true);
  int table = keras_constant(c, tied ? 0 : 1, 2);
  if (tied)
    table = neo_emit_transpose(e, table, 2, (int64_t[]){1, 0});
  int y = neo_emit_binary(e, "matmul", c->input[0].value, table);
  if (cap > 0) {
    int limit = neo_emit_scalar(e, NEO_F32, cap);
    y = neo_emit_unary(e, "tanh", neo_emit_binary(e, "div", y, limit));
    y = neo_emit_binary(e, "mul", y, limit);
  }
  keras_out(c, y, rank);
}
