/* frontends/torch_rnn.c: ATen's recurrent layers as the graph's lstm, gru and rnn, one a layer, and
 * the cells.
 *
 * The graph's operators have ONNX's gate order: i o f g where torch has i f g o, z r n where torch
 * has r z n; the weights are cut and joined accordingly (constants: folded before anything runs).
 */
#include "frontends/torch.h"

#include <string.h>

typedef struct rnn_layer {
  const char *op, *activation;
  int gates;
  int order[4];                  /* torch's gate at each of our places */
  bool bias, both, linear_reset; /* both directions */
  bool projected;                /* lstm: a matrix behind the biases */
  int64_t hidden, out;           /* out: of the state, hidden but for projections */
} rnn_layer;

static const rnn_layer rnn_kinds[] = {
    {"lstm", NULL, 4, {0, 3, 1, 2}},
    {"gru", NULL, 3, {1, 0, 2}, .linear_reset = true},
    {"rnn", "tanh", 1, {0}},
    {"rnn", "relu", 1, {0}},
};

static int reordered(torch *t, const rnn_layer *l, int w) {
  int parts[4];
  if (l->gates == 1)
    return w;
  for (int g = 0; g < l->gates; g++)
    parts[g] = torch_slice_node(t, w, 0, l->order[g] * l->hidden, (l->order[g] + 1) * l->hidden, 1);
  return torch_concat(t, l->gates, parts, 0);
}

enum { INPUT, HIDDEN, BIASES, PROJECTION };

static int weights_of(const rnn_layer *l) {
  return (l->bias ? 4 : 2) + l->projected;
}

/* A weight of the layer's directions, stacked. */
static int stacked(torch *t, const rnn_layer *l, const tv *params, int which) {
  int directions[2], each = weights_of(l), n = l->both ? 2 : 1;
  for (int d = 0; d < n; d++) {
    const tv *p = params + d * each;
    int w =
        which == PROJECTION ? torch_id(t, &p[each - 1]) : reordered(t, l, torch_id(t, &p[which]));
    if (which == BIASES)
      w = torch_concat(t, 2, (int[]){w, reordered(t, l, torch_id(t, &p[3]))}, 0);
    directions[d] = torch_unsqueeze(t, w, 0);
  }
  return torch_concat(t, n, directions, 0);
}

/* One layer: x [steps, batch, in] -> y [steps, batch, directions * hidden], states into *h, *c. */
static int run_layer(torch *t, const rnn_layer *l, int x, const tv *params, int *h, int *c) {
  neo_emitter *e = torch_emitter(t);
  bool lstm = strcmp(l->op, "lstm") == 0;
  int inputs[13];
  for (int k = 0; k < 13; k++)
    inputs[k] = NEO_NO_VALUE;
  inputs[0] = x;
  inputs[1] = stacked(t, l, params, INPUT);
  inputs[2] = stacked(t, l, params, HIDDEN);
  if (l->bias)
    inputs[3] = stacked(t, l, params, BIASES);
  inputs[5] = *h;
  inputs[6] = lstm ? *c : NEO_NO_VALUE;
  if (l->projected)
    inputs[12] = stacked(t, l, params, PROJECTION);
  neo_node *node = neo_emit_node(e, l->op, 13, inputs, lstm ? 3 : 2);
  neo_node_set_string(e->graph, node, "direction", l->both ? "bidirectional" : "forward");
  neo_node_set_int(e->graph, node, "hidden_size", l->hidden);
  if (l->linear_reset)
    neo_node_set_int(e->graph, node, "linear_before_reset", 1);
  if (l->activation)
    neo_node_set_string(e->graph, node, "activations",
                        neo_arena_printf(e->graph->arena, "%s%s%s", l->activation,
                                         l->both ? "," : "", l->both ? l->activation : ""));
  int y = node->output[0];
  *h = node->output[1];
  if (lstm)
    *c = node->output[2];
  if (!l->both)
    return torch_squeeze(t, y, 1);
  int64_t merged[4] = {0, 0, 2 * l->out};
  const neo_shape *shape = torch_shape(t, x);
  if (!shape)
    return x;
  merged[0] = shape->dim[0];
  merged[1] = shape->dim[1];
  y = torch_transpose(t, y, 4, (int64_t[]){0, 2, 1, 3});
  return torch_reshape(t, y, 3, merged);
}

/* What the arguments say of the layers; false, and listed, if it does not fit. */
static bool read_layers(torch *t, torch_call *call, rnn_layer *l) {
  bool lstm = strcmp(l->op, "lstm") == 0;
  int64_t layers = torch_arg_int(call, 4), n = call->arg[2].seq->n;
  l->bias = call->arg[3].i;
  l->both = call->arg[7].i;
  int directions = l->both ? 2 : 1;
  l->projected = lstm && layers >= 1 && n > layers * directions * weights_of(l);
  if (call->arg[6].i && torch_arg_float(call, 5) > 0)
    torch_unsupported(t, call->op, "train=True: export the model in eval() mode");
  else if (layers < 1 || layers > 64 || n != layers * directions * weights_of(l) ||
           (lstm && call->arg[1].seq->n != 2))
    torch_unsupported(t, call->op, "%d weights of %lld layers", (int)n, (long long)layers);
  if (torch_poisoned(t))
    return false;
  int recurrent = torch_id(t, &call->arg[2].seq->item[1]);
  const neo_shape *w = torch_shape(t, recurrent);
  if (!w || w->rank != 2 || torch_want_like(t, torch_arg(t, call, 0), recurrent))
    return false;
  l->out = w->dim[1];
  l->hidden = w->dim[0] / l->gates;
  return true;
}

/* (input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first); hx is a
 * tensor, for lstm the list of h and c. `ours` is the index of the kind. */
tv torch_do_rnn(torch *t, torch_call *call) {
  rnn_layer l = rnn_kinds[call->row->ours[0] - '0'];
  bool lstm = strcmp(l.op, "lstm") == 0, first = call->arg[8].i;
  const tv *params = call->arg[2].seq->item;
  if (!read_layers(t, call, &l))
    return torch_poison();
  int64_t layers = torch_arg_int(call, 4);
  int n = l.both ? 2 : 1, each = n * weights_of(&l), hs[64], cs[64];
  int x = torch_arg(t, call, 0), rank = torch_rank(t, x);
  int h0 = torch_id(t, lstm ? &call->arg[1].seq->item[0] : &call->arg[1]);
  int c0 = lstm ? torch_id(t, &call->arg[1].seq->item[1]) : NEO_NO_VALUE;
  if (rank == 2) { /* without a batch */
    x = torch_unsqueeze(t, x, 1);
    h0 = torch_unsqueeze(t, h0, 1);
    c0 = lstm ? torch_unsqueeze(t, c0, 1) : c0;
  } else if (first) {
    x = torch_transpose(t, x, 3, (int64_t[]){1, 0, 2});
  }
  for (int k = 0; k < layers; k++) {
    hs[k] = torch_slice_node(t, h0, 0, k * n, (k + 1) * n, 1);
    cs[k] = lstm ? torch_slice_node(t, c0, 0, k * n, (k + 1) * n, 1) : NEO_NO_VALUE;
    x = run_layer(t, &l, x, params + k * each, &hs[k], &cs[k]);
  }
  int out[3] = {x, torch_concat(t, (int)layers, hs, 0),
                lstm ? torch_concat(t, (int)layers, cs, 0) : NEO_NO_VALUE};
  if (rank == 2)
    for (int i = 0; i < (lstm ? 3 : 2); i++)
      out[i] = torch_squeeze(t, out[i], 1);
  else if (first)
    out[0] = torch_transpose(t, out[0], 3, (int64_t[]){1, 0, 2});
  return torch_tuple_of(t, lstm ? 3 : 2, out);
}

/* ---- cells ----------------------------------------------------------------------------------------------------- */

/* x w^T + b */
static int affine(torch *t, const tv *x, const tv *w, const tv *b) {
  neo_emitter *e = torch_emitter(t);
  neo_node *node =
      neo_emit_node(e, "gemm", 3, (int[]){torch_id(t, x), torch_id(t, w), torch_id(t, b)}, 1);
  neo_node_set_int(e->graph, node, "trans_b", 1);
  return node->output[0];
}

static int gate(torch *t, int all, int g, int64_t hidden, const char *activation) {
  int part = torch_slice_node(t, all, 1, g * hidden, (g + 1) * hidden, 1);
  return activation ? torch_unary(t, activation, part) : part;
}

static int64_t cell_width(torch *t, torch_call *call, int w) {
  const neo_shape *shape = torch_shape(t, torch_arg(t, call, w));
  return shape && shape->rank == 2 ? shape->dim[1] : -1;
}

/* lstm_cell(input, hx, w_ih, w_hh, b_ih?, b_hh?) -> h, c */
tv torch_do_lstm_cell(torch *t, torch_call *call) {
  const tv *a = call->arg;
  int64_t n = cell_width(t, call, 3);
  if (n < 0 || a[1].seq->n != 2)
    return torch_poison();
  int all = torch_binary(t, "add", affine(t, &a[0], &a[2], &a[4]),
                         affine(t, &a[1].seq->item[0], &a[3], &a[5]));
  int c = torch_binary(t, "mul", gate(t, all, 1, n, "sigmoid"), torch_id(t, &a[1].seq->item[1]));
  int new = torch_binary(t, "mul", gate(t, all, 0, n, "sigmoid"), gate(t, all, 2, n, "tanh"));
  c = torch_binary(t, "add", c, new);
  int h = torch_binary(t, "mul", gate(t, all, 3, n, "sigmoid"), torch_unary(t, "tanh", c));
  return torch_tuple_of(t, 2, (int[]){h, c});
}

/* gru_cell(input, hx, w_ih, w_hh, b_ih?, b_hh?) -> h */
tv torch_do_gru_cell(torch *t, torch_call *call) {
  const tv *a = call->arg;
  int64_t n = cell_width(t, call, 3);
  if (n < 0)
    return torch_poison();
  int x = affine(t, &a[0], &a[2], &a[4]), h = affine(t, &a[1], &a[3], &a[5]),
      old = torch_id(t, &a[1]);
  int r = torch_unary(t, "sigmoid",
                      torch_binary(t, "add", gate(t, x, 0, n, NULL), gate(t, h, 0, n, NULL)));
  int z = torch_unary(t, "sigmoid",
                      torch_binary(t, "add", gate(t, x, 1, n, NULL), gate(t, h, 1, n, NULL)));
  int kept = torch_binary(t, "mul", r, gate(t, h, 2, n, NULL));
  int new = torch_unary(t, "tanh", torch_binary(t, "add", gate(t, x, 2, n, NULL), kept));
  int step = torch_binary(t, "mul", z, torch_binary(t, "sub", old, new));
  return torch_tensor(t, torch_binary(t, "add", new, step));
}

tv torch_do_rnn_cell(torch *t, torch_call *call) {
  const tv *a = call->arg;
  int sum = torch_binary(t, "add", affine(t, &a[0], &a[2], &a[4]), affine(t, &a[1], &a[3], &a[5]));
  return torch_tensor(t, torch_unary(t, call->row->ours, sum));
}
