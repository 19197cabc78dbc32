/* frontends/mxnet_rnn.c: MXNet's fused RNN operator.
 *
 * One flat vector holds all parameters: for each layer, for each direction: input weights [G * H,
 * I], hidden weights [G * H, H]; after all of them, in the same order, input biases and hidden
 * biases [G * H]. Gates are i, f, g, o for LSTM and r, z, n for GRU (whose reset applies to the
 * product: linear_before_reset); the IR wants i, o, f, g and z, r, n. Each layer is one lstm, gru
 * or rnn over both directions. */
#include "frontends/mxnet_import.h"

#include <inttypes.h>
#include <string.h>

typedef struct fused {
  mx_node *node;
  const char *op;
  bool tanh;
  int gates, layers, directions;
  const int64_t *order; /* of the IR's gates among MXNet's */
  int64_t hidden, width, seq, batch;
  int params;
  int64_t next; /* place in the parameters */
} fused;

static bool read_mode(fused *f) {
  static const int64_t lstm[] = {0, 3, 1, 2}, gru[] = {1, 0, 2}, one[] = {0};
  const char *mode = mx_text(f->node, "mode", "");
  f->tanh = true;
  if (strcmp(mode, "lstm") == 0) {
    f->op = "lstm";
    f->gates = 4;
    f->order = lstm;
  } else if (strcmp(mode, "gru") == 0) {
    f->op = "gru";
    f->gates = 3;
    f->order = gru;
  } else if (strcmp(mode, "rnn_tanh") == 0 || strcmp(mode, "rnn_relu") == 0) {
    f->op = "rnn";
    f->gates = 1;
    f->order = one;
    f->tanh = mode[4] == 't';
  } else {
    mx_unsupported(f->node, "mode %s", mode);
    return false;
  }
  return true;
}

static bool read_fused(mx_node *node, fused *f) {
  *f = (fused){.node = node};
  const neo_shape *x = mx_shape(node, mx_in(node, 0)), *p = mx_shape(node, mx_in(node, 1));
  if (!read_mode(f) || !x || !p)
    return false;
  if (mx_text(node, "projection_size", NULL) || mx_text(node, "lstm_state_clip_min", NULL) ||
      mx_text(node, "lstm_state_clip_max", NULL) || mx_bool(node, "use_sequence_length", false)) {
    mx_unsupported(node, "projection, clipping or lengths");
    return false;
  }
  f->layers = (int)neo_min_i64(mx_int(node, "num_layers", 0), 1000);
  f->directions = mx_bool(node, "bidirectional", false) ? 2 : 1;
  f->hidden = mx_int(node, "state_size", 0);
  f->params = mx_in(node, 1);
  if (x->rank != 3 || p->rank != 1 || f->layers < 1 || f->hidden < 1 || f->hidden > 1 << 20) {
    mx_unsupported(node, "input of rank %d, %d layers, state_size %" PRId64, x->rank, f->layers,
                   f->hidden);
    return false;
  }
  f->seq = x->dim[0];
  f->batch = x->dim[1];
  f->width = x->dim[2];
  return true;
}

static int piece(fused *f, int x, int64_t axis, int64_t from, int64_t to) {
  neo_graph *graph = f->node->im->e.graph;
  neo_node *made = mx_emit(f->node, "slice", 1, &x);
  neo_node_set_ints(graph, made, "starts", 1, &from);
  neo_node_set_ints(graph, made, "ends", 1, &to);
  neo_node_set_ints(graph, made, "axes", 1, &axis);
  return made->output[0];
}

static int join(fused *f, int n, const int *parts, int64_t axis) {
  neo_node *made = mx_emit(f->node, "concat", n, parts);
  neo_node_set_int(f->node->im->e.graph, made, "axis", axis);
  return made->output[0];
}

/* The next [gates * hidden, width] of the parameters with gates in the IR's order, as [1, ..,
 * width]; width 0: a bias, [1, ..]. */
static int take(fused *f, int64_t width) {
  int parts[4];
  int64_t size = f->hidden * (width ? width : 1);
  for (int g = 0; g < f->gates; g++) {
    int64_t from = f->next + f->order[g] * size;
    parts[g] = piece(f, f->params, 0, from, from + size);
  }
  f->next += f->gates * size;
  int all = f->gates > 1 ? join(f, f->gates, parts, 0) : parts[0];
  int64_t shape[] = {1, f->gates * f->hidden, width};
  return neo_emit_reshape(&f->node->im->e, all, width ? 3 : 2, shape);
}

/* Initial state of a layer, [directions, batch, hidden]; absent if it is all zeros. */
static int initial(fused *f, int k, int layer) {
  mx_node *node = f->node;
  int64_t n;
  int state = mx_in(node, k);
  if (state == NEO_NO_VALUE)
    return NEO_NO_VALUE;
  const neo_tensor *tensor = neo_emit_const(&node->im->e, state);
  bool zero = tensor && neo_shape_elements(&tensor->shape, &n);
  for (int64_t i = 0; zero && i < n; i++)
    zero = neo_tensor_get_f64(tensor, i) == 0;
  if (zero)
    return NEO_NO_VALUE;
  int part = piece(f, state, 0, layer * f->directions, (layer + 1) * f->directions);
  int64_t shape[] = {f->directions, f->batch, f->hidden};
  return mx_two(node, "expand", part, neo_emit_ints(&node->im->e, 3, shape));
}

static void set_attributes(fused *f, neo_node *made) {
  neo_graph *graph = f->node->im->e.graph;
  neo_node_set_int(graph, made, "hidden_size", f->hidden);
  neo_node_set_string(graph, made, "direction", f->directions == 2 ? "bidirectional" : "forward");
  if (strcmp(f->op, "gru") == 0)
    neo_node_set_int(graph, made, "linear_before_reset", 1);
  if (!f->tanh)
    neo_node_set_string(graph, made, "activations", f->directions == 2 ? "relu,relu" : "relu");
}

typedef struct weights {
  int w, r, b;
} weights;

static void read_layers(fused *f, weights *w) {
  int part[2], other[2];
  for (int l = 0; l < f->layers; l++) {
    for (int d = 0; d < f->directions; d++) {
      part[d] = take(f, l ? f->hidden * f->directions : f->width);
      other[d] = take(f, f->hidden);
    }
    w[l].w = f->directions == 2 ? join(f, 2, part, 0) : part[0];
    w[l].r = f->directions == 2 ? join(f, 2, other, 0) : other[0];
  }
  for (int l = 0; l < f->layers; l++) {
    for (int d = 0; d < f->directions; d++) {
      int in = take(f, 0);
      part[d] = join(f, 2, (int[]){in, take(f, 0)}, 1);
    }
    w[l].b = f->directions == 2 ? join(f, 2, part, 0) : part[0];
  }
}

/* Y [seq, directions, batch, hidden] -> [seq, batch, directions * hidden]. */
static int sequence(fused *f, int y) {
  neo_emitter *e = &f->node->im->e;
  y = neo_emit_transpose(e, y, 4, (int64_t[]){0, 2, 1, 3});
  return neo_emit_reshape(e, y, 3, (int64_t[]){f->seq, f->batch, f->directions * f->hidden});
}

void mx_rnn(mx_node *node) {
  fused f;
  if (!read_fused(node, &f))
    return;
  neo_arena *arena = node->im->e.graph->arena;
  weights *w = neo_arena_alloc(arena, sizeof *w * (size_t)f.layers);
  int *last_h = neo_arena_alloc(arena, sizeof(int) * (size_t)f.layers),
      *last_c = neo_arena_alloc(arena, sizeof(int) * (size_t)f.layers), x = mx_in(node, 0);
  bool lstm = strcmp(f.op, "lstm") == 0;
  read_layers(&f, w);
  for (int l = 0; l < f.layers; l++) {
    int inputs[7] = {x, w[l].w, w[l].r, w[l].b, NEO_NO_VALUE, NEO_NO_VALUE, NEO_NO_VALUE};
    inputs[5] = initial(&f, 2, l);
    if (lstm)
      inputs[6] = initial(&f, 3, l);
    neo_node *made = neo_emit_node(&node->im->e, f.op, lstm ? 7 : 6, inputs, lstm ? 3 : 2);
    set_attributes(&f, made);
    last_h[l] = made->output[1];
    last_c[l] = lstm ? made->output[2] : NEO_NO_VALUE;
    x = sequence(&f, made->output[0]);
  }
  mx_set(node, 0, x);
  if (node->n_outputs > 1)
    mx_set(node, 1, f.layers > 1 ? join(&f, f.layers, last_h, 0) : last_h[0]);
  if (node->n_outputs > 2 && lstm)
    mx_set(node, 2, f.layers > 1 ? join(&f, f.layers, last_c, 0) : last_c[0]);
}
