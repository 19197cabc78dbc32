/* frontends/tflite_rnn.c: TFLite's fused recurrent operators, written as their steps.
 *
 * The products of the input with its weights are done for all steps at once; a step then is the
 * product of the state with the recurrent weights and elementwise operators. Everything that the
 * kernel has is there (kernels/lstm_eval.cc): peepholes, coupled input and forget gates, layer
 * normalisation, projection, clipping of cell and projection. States are variables that start from
 * zero in every run. Quantised weights and activations are taken as real numbers. */
#include "frontends/tflite_import.h"

#include <inttypes.h>

#define MAX_STEPS 4096

enum { GATE_I, GATE_F, GATE_C, GATE_O };

/* One direction: where its tensors begin among the operator's inputs. */
typedef struct layer {
  tfl_op *op;
  int weights, recurrent, peephole, bias, projection, norm; /* first input of each; norm -1: none */
  int activation;
  double cell_clip, projection_clip;
  int64_t steps, batch;
  bool backwards;
} layer;

/* ---- small pieces ------------------------------------------------------------------------------------ */

static int two(layer *l, const char *op, int a, int b) {
  return neo_emit_binary(&l->op->im->e, op, a, b);
}

static int one(layer *l, const char *op, int a) {
  return neo_emit_unary(&l->op->im->e, op, a);
}

static bool has(layer *l, int k) {
  return k >= 0 && tfl_input(l->op, k) != NULL;
}

/* a times the transposed weights of input k. */
static int product(layer *l, int a, int k) {
  int w = neo_emit_transpose(&l->op->im->e, tfl_in(l->op, k), 2, (int64_t[]){1, 0});
  return two(l, "matmul", a, w);
}

static int clipped(layer *l, int v, double limit) {
  if (limit <= 0)
    return v;
  neo_node *node = tfl_node(l->op, "clip", 1, &v);
  neo_node_set_float(l->op->im->e.graph, node, "min", -limit);
  neo_node_set_float(l->op->im->e.graph, node, "max", limit);
  return node->output[0];
}

static int activated(layer *l, int v) {
  static const char *const names[] = {[TFL_ACT_RELU] = "relu", [TFL_ACT_TANH] = "tanh"};
  if (l->activation == TFL_ACT_NONE)
    return v;
  if (l->activation == TFL_ACT_RELU6)
    return clipped(l, one(l, "relu", v), 6);
  if (l->activation == TFL_ACT_RELU || l->activation == TFL_ACT_TANH)
    return one(l, names[l->activation], v);
  tfl_unsupported(l->op, "activation %d", l->activation);
  return v;
}

/* Step t of [steps, batch, n]: [batch, n]. */
static int at_step(layer *l, int x, int64_t t) {
  neo_graph *graph = l->op->im->e.graph;
  neo_node *node = tfl_node(l->op, "slice", 1, &x);
  neo_node_set_ints(graph, node, "starts", 1, &t);
  neo_node_set_ints(graph, node, "ends", 1, (int64_t[]){t + 1});
  neo_node_set_ints(graph, node, "axes", 1, (int64_t[]){0});
  x = node->output[0];
  node = tfl_node(l->op, "squeeze", 1, &x);
  neo_node_set_ints(graph, node, "axes", 1, (int64_t[]){0});
  return node->output[0];
}

static int zeros(layer *l, int64_t width) {
  neo_emitter *e = &l->op->im->e;
  int shape = neo_emit_ints(e, 2, (int64_t[]){l->batch, width});
  return two(l, "expand", neo_emit_scalar(e, NEO_F32, 0), shape);
}

/* ---- LSTM --------------------------------------------------------------------------------------------- */

/* (z - mean) / deviation * coefficients, over the last dimension. */
static int normalised(layer *l, int z, int gate) {
  neo_emitter *e = &l->op->im->e;
  int coefficients = tfl_in(l->op, l->norm + gate);
  neo_node *node = neo_emit_node(e, "layer_norm", 2, (int[]){z, coefficients}, 1);
  neo_node_set_int(e->graph, node, "axis", -1);
  neo_node_set_float(e->graph, node, "epsilon", 1e-8);
  return node->output[0];
}

/* What a gate lets through, before its function. */
static int gate(layer *l, int which, int projected, int h, int c) {
  static const int peephole[] = {[GATE_I] = 0, [GATE_F] = 1, [GATE_C] = -1, [GATE_O] = 2};
  int z = two(l, "add", projected, product(l, h, l->recurrent + which));
  int p = peephole[which];
  if (p >= 0 && has(l, l->peephole + p))
    z = two(l, "add", z, two(l, "mul", c, tfl_in(l->op, l->peephole + p)));
  if (has(l, l->norm < 0 ? -1 : l->norm + which))
    z = normalised(l, z, which);
  return has(l, l->bias + which) ? two(l, "add", z, tfl_in(l->op, l->bias + which)) : z;
}

static void lstm_step(layer *l, const int *projected, int *h, int *c) {
  int f = one(l, "sigmoid", gate(l, GATE_F, projected[GATE_F], *h, *c)), i;
  if (projected[GATE_I] == NEO_NO_VALUE)
    i = two(l, "sub", neo_emit_scalar(&l->op->im->e, NEO_F32, 1), f);
  else
    i = one(l, "sigmoid", gate(l, GATE_I, projected[GATE_I], *h, *c));
  int g = activated(l, gate(l, GATE_C, projected[GATE_C], *h, *c));
  *c = clipped(l, two(l, "add", two(l, "mul", f, *c), two(l, "mul", i, g)), l->cell_clip);
  int o = one(l, "sigmoid", gate(l, GATE_O, projected[GATE_O], *h, *c));
  *h = two(l, "mul", o, activated(l, *c));
  if (!has(l, l->projection))
    return;
  *h = product(l, *h, l->projection);
  if (has(l, l->projection + 1))
    *h = two(l, "add", *h, tfl_in(l->op, l->projection + 1));
  *h = clipped(l, *h, l->projection_clip);
}

/* x [steps, batch, n] -> [steps, batch, width]; all steps. */
static int run_lstm(layer *l, int x) {
  neo_emitter *e = &l->op->im->e;
  int projected[4], now[4], *y = neo_arena_alloc(e->graph->arena, sizeof(int) * (size_t)l->steps);
  for (int g = 0; g < 4; g++)
    projected[g] = has(l, l->weights + g) ? product(l, x, l->weights + g) : NEO_NO_VALUE;
  int64_t cells = tfl_dim(l->op, l->recurrent + GATE_F, 0),
          width = tfl_dim(l->op, l->recurrent + GATE_F, 1);
  int h = zeros(l, width), c = zeros(l, cells);
  for (int64_t k = 0; k < l->steps; k++) {
    int64_t t = l->backwards ? l->steps - 1 - k : k;
    for (int g = 0; g < 4; g++)
      now[g] = projected[g] == NEO_NO_VALUE ? NEO_NO_VALUE : at_step(l, projected[g], t);
    lstm_step(l, now, &h, &c);
    neo_node *node = tfl_node(l->op, "unsqueeze", 1, &h);
    neo_node_set_ints(e->graph, node, "axes", 1, (int64_t[]){0});
    y[t] = node->output[0];
  }
  neo_node *node = tfl_node(l->op, "concat", (int)l->steps, y);
  neo_node_set_int(e->graph, node, "axis", 0);
  return node->output[0];
}

/* ---- operators ----------------------------------------------------------------------------------------- */

/* Steps and batch of input 0; false: said. */
static bool read_size(tfl_op *op, bool time_major, layer *l) {
  int64_t a = tfl_dim(op, 0, 0), b = tfl_dim(op, 0, 1);
  l->op = op;
  l->steps = time_major ? a : b;
  l->batch = time_major ? b : a;
  if (tfl_rank(op, 0) == 3 && l->steps >= 1 && l->steps <= MAX_STEPS && l->batch >= 1)
    return true;
  tfl_unsupported(op,
                  "%" PRId64 " steps of batch %" PRId64 "; both must be known, at most %d steps",
                  l->steps, l->batch, MAX_STEPS);
  return false;
}

static int swapped(tfl_op *op, int x, bool time_major) {
  return time_major ? x : neo_emit_transpose(&op->im->e, x, 3, (int64_t[]){1, 0, 2});
}

static bool complete(layer *l) {
  bool all = has(l, l->recurrent + GATE_F) && has(l, l->recurrent + GATE_C) &&
             has(l, l->recurrent + GATE_O) && has(l, l->weights + GATE_F) &&
             has(l, l->weights + GATE_C) && has(l, l->weights + GATE_O);
  if (all && has(l, l->weights) == has(l, l->recurrent))
    return true;
  tfl_unsupported(l->op, "some of its weights are absent");
  return false;
}

static layer layer_at(tfl_op *op, int first, int norm) {
  return (layer){.op = op,
                 .weights = first,
                 .recurrent = first + 4,
                 .peephole = first + 8,
                 .bias = first + 11,
                 .projection = first + 15,
                 .norm = norm,
                 .activation = (int)tfl_option(op, TFL_LSTM_ACTIVATION, NEO_FB_I8, TFL_ACT_NONE),
                 .cell_clip = neo_fb_f32(&op->options, TFL_LSTM_CELL_CLIP, 0),
                 .projection_clip = neo_fb_f32(&op->options, TFL_LSTM_PROJ_CLIP, 0)};
}

void tfl_sequence_lstm(tfl_op *op) {
  bool time_major = tfl_option(op, TFL_LSTM_TIME_MAJOR, NEO_FB_U8, 0) != 0;
  layer l = layer_at(op, 1, op->inputs.n > 20 ? 20 : -1);
  if (!read_size(op, time_major, &l) || !complete(&l))
    return;
  int y = run_lstm(&l, swapped(op, tfl_in(op, 0), time_major));
  tfl_set(op, 0, swapped(op, y, time_major));
}

void tfl_bidirectional_lstm(tfl_op *op) {
  bool time_major = tfl_option(op, TFL_BILSTM_TIME_MAJOR, NEO_FB_U8, 1) != 0,
       merge = tfl_option(op, TFL_BILSTM_MERGE, NEO_FB_U8, 0) != 0;
  layer forward = layer_at(op, 1, -1), back = layer_at(op, 18, -1);
  if (!read_size(op, time_major, &forward) || !read_size(op, time_major, &back) ||
      !complete(&forward) || !complete(&back))
    return;
  if (has(&forward, 39)) {
    tfl_unsupported(op, "an auxiliary input");
    return;
  }
  back.backwards = true;
  int x = swapped(op, tfl_in(op, 0), time_major);
  int y[] = {swapped(op, run_lstm(&forward, x), time_major),
             swapped(op, run_lstm(&back, x), time_major)};
  if (!merge) {
    tfl_set(op, 0, y[0]);
    tfl_set(op, 1, y[1]);
    return;
  }
  neo_node *node = tfl_node(op, "concat", 2, y);
  neo_node_set_int(op->im->e.graph, node, "axis", 2);
  tfl_set(op, 0, node->output[0]);
}

/* Inputs: x, weights, recurrent weights, bias, state. */
void tfl_sequence_rnn(tfl_op *op) {
  neo_emitter *e = &op->im->e;
  bool time_major = tfl_option(op, TFL_RNN_TIME_MAJOR, NEO_FB_U8, 0) != 0;
  layer l = {.activation = (int)tfl_option(op, TFL_RNN_ACTIVATION, NEO_FB_I8, TFL_ACT_NONE)};
  if (!read_size(op, time_major, &l))
    return;
  int *y = neo_arena_alloc(e->graph->arena, sizeof(int) * (size_t)l.steps);
  int x = product(&l, swapped(op, tfl_in(op, 0), time_major), 1), h = zeros(&l, tfl_dim(op, 2, 0));
  x = two(&l, "add", x, tfl_in(op, 3));
  for (int64_t t = 0; t < l.steps; t++) {
    h = activated(&l, two(&l, "add", at_step(&l, x, t), product(&l, h, 2)));
    neo_node *node = tfl_node(op, "unsqueeze", 1, &h);
    neo_node_set_ints(e->graph, node, "axes", 1, (int64_t[]){0});
    y[t] = node->output[0];
  }
  neo_node *node = tfl_node(op, "concat", (int)l.steps, y);
  neo_node_set_int(e->graph, node, "axis", 0);
  tfl_set(op, 0, swapped(op, node->output[0], time_major));
}
