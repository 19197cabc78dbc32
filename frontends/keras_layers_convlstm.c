/* frontends/keras_layers_convlstm.c: ConvLSTM1D, 2D and 3D, and wrappers that do nothing when
 * predicting.
 *
 * A step convolves its input (with the layer's padding, stride and bias) and the state (padding
 * "same", stride 1). Gates stand i f c o in the last dimension of both kernels. Steps are unrolled.
 */
#include "frontends/keras.h"

#include <string.h>

#define MAX_STEPS 1024

typedef struct conv_lstm {
  int n; /* spatial dimensions */
  int64_t steps, filters;
  int64_t kernel[3], stride[3], dilation[3];
} conv_lstm;

static int kernel_of(keras_call *c, int k, int n) {
  int perm[5] = {n + 1, n};
  for (int d = 0; d < n; d++)
    perm[d + 2] = d;
  return keras_permuted(c, k, n + 2, perm, NULL);
}

/* Convolution of the inputs (with their padding, stride and bias) or of the state. */
static int convolve(keras_call *c, const conv_lstm *r, int x, bool state) {
  neo_graph *graph = c->im->e->graph;
  int bias = !state && keras_bool(c, "use_bias", true) ? keras_constant(c, 2, 1) : NEO_NO_VALUE;
  int64_t ones[3] = {1, 1, 1};
  neo_node *node = keras_node(c, "conv", 3, (int[]){x, kernel_of(c, state, r->n), bias}, 1);
  neo_node_set_ints(graph, node, "strides", r->n, state ? ones : r->stride);
  neo_node_set_ints(graph, node, "dilations", r->n, state ? ones : r->dilation);
  if (state || strcmp(keras_text(c, "padding", "valid"), "same") == 0)
    neo_node_set_string(graph, node, "auto_pad", "same_upper");
  return node->output[0];
}

/* Elements [from, to) of an axis. */
static int slice(keras_call *c, int x, int64_t axis, int64_t from, int64_t to) {
  neo_emitter *e = c->im->e;
  int input[4] = {x, neo_emit_ints(e, 1, &from), neo_emit_ints(e, 1, &to),
                  neo_emit_ints(e, 1, &axis)};
  return keras_node(c, "slice", 4, input, 1)->output[0];
}

static int gate(keras_call *c, const conv_lstm *r, int x, int k, const char *key) {
  int part = slice(c, x, 1, k * r->filters, (k + 1) * r->filters);
  return keras_activate(c, key, part, r->n + 2);
}

static int binary(keras_call *c, const char *op, int a, int b) {
  return neo_emit_binary(c->im->e, op, a, b);
}

/* One step: xt [batch, 4 filters, ...]; h and s may be absent at first. */
static void step(keras_call *c, const conv_lstm *r, int xt, int *h, int *s) {
  if (*h != NEO_NO_VALUE)
    xt = binary(c, "add", xt, convolve(c, r, *h, true));
  int i = gate(c, r, xt, 0, "recurrent_activation"), f = gate(c, r, xt, 1, "recurrent_activation");
  int made = binary(c, "mul", i, gate(c, r, xt, 2, "activation"));
  *s = *s == NEO_NO_VALUE ? made : binary(c, "add", binary(c, "mul", f, *s), made);
  *h = binary(c, "mul", gate(c, r, xt, 3, "recurrent_activation"),
              keras_activate(c, "activation", *s, r->n + 2));
}

static bool open_layer(keras_call *c, conv_lstm *r, neo_shape *shape) {
  keras_tensor x = c->input[0];
  const neo_shape *known = neo_emit_shape(c->im->e, x.value);
  *r = (conv_lstm){.n = x.rank - 3, .filters = keras_int(c, "filters", 0)};
  if (!known || r->n < 1 || r->n > 3 || c->n_inputs > 1 || x.masked || keras_channels_first(c)) {
    keras_unsupported(c, known ? "states, a mask, or channels first"
                               : "the input's shape must be bound (--input)");
    return false;
  }
  *shape = *known;
  r->steps = shape->dim[1];
  bool sound = r->steps >= 1 && r->steps <= MAX_STEPS && r->filters >= 1 && r->filters < 1 << 20 &&
               keras_ints(c, "kernel_size", r->n, r->kernel) &&
               keras_ints(c, "strides", r->n, r->stride) &&
               keras_ints(c, "dilation_rate", r->n, r->dilation);
  for (int d = 0; sound && d < r->n; d++)
    sound = r->stride[d] > 0 && r->dilation[d] > 0;
  if (!sound)
    keras_bad(c, "%lld steps, %lld filters, or its window", (long long)r->steps,
              (long long)r->filters);
  return sound;
}

void keras_conv_lstm(keras_call *c) {
  conv_lstm r;
  neo_shape shape;
  neo_emitter *e = c->im->e;
  if (!open_layer(c, &r, &shape))
    return;
  int rank = r.n + 3, h = NEO_NO_VALUE, s = NEO_NO_VALUE;
  bool backwards = keras_bool(c, "go_backwards", false);
  int *all = neo_arena_alloc(c->im->arena, sizeof *all * (size_t)r.steps);
  for (int64_t k = 0; k < r.steps && c->im->status == NEO_OK; k++) {
    int64_t t = backwards ? r.steps - 1 - k : k, one = 1;
    int at = slice(c, c->input[0].value, 1, t, t + 1);
    at = binary(c, "squeeze", at, neo_emit_ints(e, 1, &one));
    step(c, &r, convolve(c, &r, keras_to_channels(c, at, rank - 1), false), &h, &s);
    all[k] = keras_from_channels(c, h, rank - 1);
  }
  if (keras_bool(c, "return_sequences", false)) {
    int64_t one = 1;
    for (int64_t k = 0; k < r.steps && c->im->status == NEO_OK; k++)
      all[k] = binary(c, "unsqueeze", all[k], neo_emit_ints(e, 1, &one));
    neo_node *node = keras_node(c, "concat", (int)r.steps, all, 1);
    neo_node_set_int(e->graph, node, "axis", 1);
    keras_out(c, node->output[0], rank);
  } else {
    keras_out(c, all[r.steps - 1], rank - 1);
  }
  if (keras_bool(c, "return_state", false)) {
    keras_out(c, keras_from_channels(c, h, rank - 1), rank - 1);
    keras_out(c, keras_from_channels(c, s, rank - 1), rank - 1);
  }
}

/* SpectralNormalization: the layer inside, whose kernel is stored as it is used. */
void keras_inner(keras_call *c) {
  keras_call inner = keras_inner_call(c, "layer");
  keras_convert(&inner);
  for (int i = 0; i < inner.n_outputs; i++)
    c->output[c->n_outputs++] = inner.output[i];
}
