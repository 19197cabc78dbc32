/* frontends/keras_layers_rnn.c: LSTM, GRU, SimpleRNN, RNN of cells, Bidirectional, TimeDistributed.
 *
 * Onto lstm, gru and rnn of the IR with layout 1 (batch first). Keras' gates stand i f c o (LSTM)
 * and z r h (GRU) in columns of [in, gates * units]; ours i o f c and z r h in rows. Our reverse
 * direction keeps the steps where the input has them; a Keras layer that goes backwards gives them
 * as it made them, so its sequence is turned around. A GRU with reset_after has two rows of bias
 * and is linear_before_reset. A mask stands where ours has lengths. */
#include "frontends/keras.h"

#include <string.h>

typedef struct cell {
  const char *op;
  int gates, first; /* first: number of its first weight */
  int64_t in, units;
  bool bias, reverse;
  int order[4]; /* our gate -> Keras' gate */
} cell;

static neo_tensor new_tensor(keras_call *c, const neo_shape *shape) {
  neo_tensor t = {0};
  neo_status status = neo_tensor_create(c->im->ctx, NEO_F32, shape, &t);
  if (status == NEO_OK)
    neo_graph_adopt(c->im->e->graph, t.data);
  else if (c->im->status == NEO_OK)
    c->im->status = status;
  return t;
}

/* Weight k [rows, gates * units] as [1, gates * units, rows] in our order of gates. */
static int kernel(keras_call *c, const cell *r, int k, int64_t rows) {
  const neo_tensor *from = keras_weight(c, k, 2);
  int64_t all = r->gates * r->units;
  if (from->shape.dim[0] != rows || from->shape.dim[1] != all)
    return keras_bad(c, "weight %d is not [%lld, %lld]", k, (long long)rows, (long long)all);
  neo_tensor to = new_tensor(c, &(neo_shape){3, {1, all, rows}});
  float *out = to.data;
  for (int g = 0; out && g < r->gates; g++)
    for (int64_t u = 0; u < r->units; u++)
      for (int64_t i = 0; i < rows; i++)
        *out++ = ((const float *)from->data)[i * all + r->order[g] * r->units + u];
  return neo_emit_tensor(c->im->e, neo_arena_printf(c->im->arena, "%s.w%d", c->name, k), &to);
}

/* [gates * units] or [2, gates * units] as [1, 2 * gates * units]. */
static int bias(keras_call *c, const cell *r, int k, bool both) {
  const neo_tensor *from = keras_weight(c, k, both ? 2 : 1);
  int64_t all = r->gates * r->units;
  if (from->shape.dim[both] != all || (both && from->shape.dim[0] != 2))
    return keras_bad(c, "its bias does not have %lld values", (long long)all);
  neo_tensor to = new_tensor(c, &(neo_shape){2, {1, 2 * all}});
  for (int half = 0; to.data && half <= both; half++)
    for (int g = 0; g < r->gates; g++)
      memcpy((float *)to.data + half * all + g * r->units,
             (const float *)from->data + half * all + r->order[g] * r->units,
             sizeof(float) * (size_t)r->units);
  return neo_emit_tensor(c->im->e, neo_arena_printf(c->im->arena, "%s.b", c->name), &to);
}

static bool add_activation(keras_call *c, const char *key, const char *otherwise, neo_buf *names,
                           double *alpha, int *n_alpha) {
  static const char *const known[][2] = {
      {"tanh", "tanh"},         {"sigmoid", "sigmoid"}, {"hard_sigmoid", "hardsigmoid"},
      {"relu", "relu"},         {"linear", "affine"},   {"softsign", "softsign"},
      {"softplus", "softplus"}, {"elu", "elu"}};
  const char *name = keras_text(c, key, otherwise);
  for (int i = 0; i < NEO_COUNT(known); i++) {
    if (strcmp(known[i][0], name) != 0)
      continue;
    neo_buf_printf(names, "%s%s", names->size ? "," : "", known[i][1]);
    if (strcmp(name, "hard_sigmoid") == 0)
      alpha[(*n_alpha)++] = keras_is_3(c) ? 1.0 / 6 : 0.2;
    if (strcmp(name, "linear") == 0 || strcmp(name, "elu") == 0)
      alpha[(*n_alpha)++] = 1;
    return true;
  }
  neo_emit_unsupported(c->im->e, c->class_name, "%s '%.32s'", key, name);
  return false;
}

static void set_activations(keras_call *c, const cell *r, neo_node *node) {
  neo_buf names = {0};
  double alpha[3];
  int n = 0;
  bool known =
      r->gates == 1 || add_activation(c, "recurrent_activation", "sigmoid", &names, alpha, &n);
  for (int i = r->gates == 4 ? 2 : 1; known && i > 0; i--)
    known = add_activation(c, "activation", "tanh", &names, alpha, &n);
  if (known && names.data)
    neo_node_set_string(c->im->e->graph, node, "activations", names.data);
  if (known && n > 0)
    neo_node_set_floats(c->im->e->graph, node, "activation_alpha", n, alpha);
  neo_buf_fini(&names);
}

static int squeeze(keras_call *c, int x, int64_t axis) {
  neo_node *node = keras_node(c, "squeeze", 1, &x, 1);
  neo_node_set_ints(c->im->e->graph, node, "axes", 1, &axis);
  return node->output[0];
}

static int state(keras_call *c, int k) {
  int axes = neo_emit_ints(c->im->e, 1, (int64_t[]){1});
  return neo_emit_binary(c->im->e, "unsqueeze", c->input[k].value, axes);
}

static bool open_cell(keras_call *c, cell *r) {
  static const int lstm[4] = {0, 3, 1, 2}, plain[4] = {0, 1, 2, 3};
  const keras_row *row = keras_row_find(c->class_name);
  if (!row || !row->op || row->convert != keras_rnn) {
    keras_unsupported(c, "not a known recurrent layer");
    return false;
  }
  r->op = row->op;
  r->gates = row->op[0] == 'l' ? 4 : row->op[0] == 'g' ? 3 : 1;
  memcpy(r->order, r->gates == 4 ? lstm : plain, sizeof r->order);
  r->units = keras_int(c, "units", 0);
  r->bias = keras_bool(c, "use_bias", true);
  r->in = keras_weight(c, r->first, 2)->shape.dim[0];
  if (r->units >= 1 && r->units <= 1 << 20 && c->input[0].rank == 3)
    return true;
  keras_bad(c, "%lld units, input of rank %d", (long long)r->units, c->input[0].rank);
  return false;
}

/* Inputs after the first that are states; at most cap. */
static int states(const keras_call *c, int cap, int *out) {
  int n = 0;
  for (int i = 1; i < c->n_inputs && n < cap; i++)
    if (!c->keyword[i] || strcmp(c->keyword[i], "initial_state") == 0)
      out[n++] = i;
  return n;
}

/* out: the sequence [batch, steps, units] in the input's order, last h, last c. from: which inputs
 * are the states at first, or NULL. */
static void run_cell(keras_call *c, const cell *r, int n_states, const int *from, int *out) {
  bool both = r->gates == 3 && keras_bool(c, "reset_after", true);
  if (r->gates == 3 && r->bias && r->first + 2 < c->weights.n)
    both = c->weights.n > 0 && keras_bool(c, "reset_after", false);
  int input[7] = {c->input[0].value,
                  kernel(c, r, r->first, r->in),
                  kernel(c, r, r->first + 1, r->units),
                  r->bias ? bias(c, r, r->first + 2, both) : NEO_NO_VALUE,
                  keras_mask(c),
                  NEO_NO_VALUE,
                  NEO_NO_VALUE};
  for (int i = 0; i < n_states && i < 2; i++)
    input[5 + i] = state(c, from[i]);
  neo_node *node = keras_node(c, r->op, 7, input, r->gates == 4 ? 3 : 2);
  neo_graph *graph = c->im->e->graph;
  neo_node_set_int(graph, node, "hidden_size", r->units);
  neo_node_set_int(graph, node, "layout", 1);
  if (keras_bool(c, "zero_output_for_mask", false))
    neo_node_set_int(graph, node, "masked_zero", 1);
  neo_node_set_string(graph, node, "direction", r->reverse ? "reverse" : "forward");
  if (both)
    neo_node_set_int(graph, node, "linear_before_reset", 1);
  set_activations(c, r, node);
  int y = node->output[0], h = node->n_outputs > 1 ? node->output[1] : y,
      s = node->n_outputs > 2 ? node->output[2] : h;
  out[0] = squeeze(c, y, 2);
  out[1] = squeeze(c, h, 1);
  out[2] = r->gates == 4 ? squeeze(c, s, 1) : out[1];
}

static int turn_around(keras_call *c, int x) {
  neo_emitter *e = c->im->e;
  int input[5] = {x, neo_emit_ints(e, 1, (int64_t[]){-1}),
                  neo_emit_ints(e, 1, (int64_t[]){INT32_MIN}), neo_emit_ints(e, 1, (int64_t[]){1}),
                  neo_emit_ints(e, 1, (int64_t[]){-1})};
  return keras_node(c, "slice", 5, input, 1)->output[0];
}

/* What a recurrent layer gives: c has its configuration, out what run_cell made. */
static void give(keras_call *c, const cell *r, const int *out) {
  bool sequence = keras_bool(c, "return_sequences", false);
  int mask = keras_mask(c);
  keras_out(c, !sequence ? out[1] : r->reverse ? turn_around(c, out[0]) : out[0], sequence ? 3 : 2);
  /* Keras 2 hands it on even where the sequence is turned around */
  if (sequence && mask != NEO_NO_VALUE && (!r->reverse || !keras_is_3(c))) {
    c->output[0].masked = true;
    c->output[0].mask = mask;
  }
  if (keras_bool(c, "return_state", false)) {
    keras_out(c, out[1], 2);
    if (r->gates == 4)
      keras_out(c, out[2], 2);
  }
}

void keras_rnn(keras_call *c) {
  cell r = {.reverse = keras_bool(c, "go_backwards", false)};
  int out[3], from[2];
  if (!open_cell(c, &r))
    return;
  run_cell(c, &r, states(c, 2, from), from, out);
  give(c, &r, out);
}

/* The layer that is this cell, called on `x`; its configuration is the cell's. */
static bool cell_call(const keras_call *c, const json_t *config, keras_call *out) {
  static const char *const names[][2] = {
      {"LSTMCell", "LSTM"}, {"GRUCell", "GRU"}, {"SimpleRNNCell", "SimpleRNN"}};
  const char *class_name = json_string_value(json_object_get(config, "class_name"));
  *out = *c;
  for (int i = 0; class_name && i < NEO_COUNT(names); i++)
    if (strcmp(names[i][0], class_name) == 0) {
      out->class_name = names[i][1];
      out->config = json_object_get(config, "config");
      out->n_outputs = 0;
      return true;
    }
  return false;
}

/* RNN(cell) and RNN([cell, ...]): a stack is its cells one behind the other, each over all steps.
 */
void keras_rnn_of_cells(keras_call *c) {
  const json_t *top = json_object_get(c->config, "cell");
  const json_t *cells = json_object_get(json_object_get(top, "config"), "cells");
  int n = json_is_array(cells) ? (int)json_array_size(cells) : 1, out[3] = {0}, from[2] = {0};
  bool backwards = keras_bool(c, "go_backwards", false), last = false;
  cell r = {0};
  keras_tensor x = c->input[0];
  if (n > 1 && (c->n_inputs > 1 || keras_bool(c, "return_state", false))) {
    keras_unsupported(c, "states or a mask of several cells");
    return;
  }
  for (int i = 0; i < n; i++) {
    keras_call one;
    if (!cell_call(c, json_is_array(cells) ? json_array_get(cells, (size_t)i) : top, &one)) {
      keras_unsupported(c, "a cell that is not LSTMCell, GRUCell or SimpleRNNCell");
      return;
    }
    one.input[0] = x;
    last = i == n - 1;
    r = (cell){.first = r.first + (i ? 2 + r.bias : 0), .reverse = backwards};
    if (!open_cell(&one, &r))
      return;
    run_cell(&one, &r, states(c, 2, from), from, out);
    x = (keras_tensor){.value = out[0], .rank = 3};
  }
  if (last)
    give(c, &r, out);
}

void keras_cudnn(keras_call *c) {
  keras_unsupported(c,
                    "saved for one kind of GPU; load and save it with tf.keras 2 as LSTM or GRU");
}

/* ---- wrappers ------------------------------------------------------------------------------------------ */

static void merge(keras_call *c, const int *a, const int *b, int rank) {
  static const char *const modes[][2] = {{"sum", "add"}, {"mul", "mul"}, {"ave", "mean"}};
  const char *mode = keras_text(c, "merge_mode", NULL);
  int pair[2] = {*a, *b};
  if (!mode) {
    keras_out(c, *a, rank);
    keras_out(c, *b, rank);
    return;
  }
  if (strcmp(mode, "concat") == 0) {
    neo_node *node = keras_node(c, "concat", 2, pair, 1);
    neo_node_set_int(c->im->e->graph, node, "axis", rank - 1);
    keras_out(c, node->output[0], rank);
    return;
  }
  for (int i = 0; i < NEO_COUNT(modes); i++)
    if (strcmp(mode, modes[i][0]) == 0) {
      keras_out(c, keras_node(c, modes[i][1], 2, pair, 1)->output[0], rank);
      return;
    }
  keras_unsupported(c, "merge_mode '%.32s'", mode);
}

void keras_bidirectional(keras_call *c) {
  keras_call forward = keras_inner_call(c, "layer");
  keras_call backward = keras_inner_call(
      c, json_is_object(json_object_get(c->config, "backward_layer")) ? "backward_layer" : "layer");
  cell f = {0}, b = {.first = c->weights.n / 2};
  int out[2][3], from[4], n = states(c, 4, from), mask = keras_mask(c);
  bool sequence = keras_bool(&forward, "return_sequences", false);
  f.reverse = keras_bool(&forward, "go_backwards", false);
  b.reverse = !f.reverse;
  if (!open_cell(&forward, &f) || !open_cell(&backward, &b) || n % 2) {
    c->n_outputs = 0;
    keras_out(c, c->input[0].value, c->input[0].rank);
    return;
  }
  run_cell(&forward, &f, n / 2, from, out[0]);
  run_cell(&backward, &b, n / 2, from + n / 2, out[1]);
  merge(c, &out[0][!sequence], &out[1][!sequence], sequence ? 3 : 2);
  for (int i = 0; sequence && mask != NEO_NO_VALUE && i < c->n_outputs; i++) {
    c->output[i].masked = true;
    c->output[i].mask = mask;
  }
  for (int i = 0; keras_bool(&forward, "return_state", false) && i < 2; i++) {
    keras_out(c, out[i][1], 2);
    if (f.gates == 4)
      keras_out(c, out[i][2], 2);
  }
}

static bool is_pointwise(const char *name) {
  static const char *const names[] = {"Dense",
                                      "Activation",
                                      "ReLU",
                                      "LeakyReLU",
                                      "ELU",
                                      "Dropout",
                                      "Softmax",
                                      "LayerNormalization",
                                      "BatchNormalization",
                                      "Rescaling"};
  for (int i = 0; i < NEO_COUNT(names); i++)
    if (strcmp(names[i], name) == 0)
      return true;
  return false;
}

/* Step by step is the same as all steps together in the batch. */
void keras_time_distributed(keras_call *c) {
  keras_call inner = keras_inner_call(c, "layer");
  keras_tensor x = c->input[0];
  if (is_pointwise(inner.class_name)) {
    keras_convert(&inner);
    if (inner.n_outputs > 0)
      keras_out(c, inner.output[0].value, inner.output[0].rank);
    return;
  }
  const neo_shape *known = neo_emit_shape(c->im->e, x.value);
  if (!known || x.rank < 3) {
    keras_unsupported(c, "the input's shape must be bound (--input)");
    return;
  }
  neo_shape shape = *known;
  int64_t merged[NEO_MAX_RANK] = {-1};
  for (int d = 2; d < x.rank; d++)
    merged[d - 1] = shape.dim[d];
  inner.n_inputs = 1;
  inner.input[0] =
      (keras_tensor){.value = keras_reshape(c, x.value, x.rank - 1, merged), .rank = x.rank - 1};
  keras_convert(&inner);
  const neo_shape *after = neo_emit_shape(c->im->e, inner.output[0].value);
  if (!after || after->rank < 1 || after->rank >= NEO_MAX_RANK) {
    keras_unsupported(c, "the shape of its layer's output is not known");
    return;
  }
  int rank = after->rank + 1;
  int64_t split[NEO_MAX_RANK] = {shape.dim[0], shape.dim[1]};
  for (int d = 2; d < rank; d++)
    split[d] = after->dim[d - 1];
  keras_out(c, keras_reshape(c, inner.output[0].value, rank, split), rank);
}
