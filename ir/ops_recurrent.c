/* ir/ops_recurrent.c: lstm, gru and rnn, written as contractions and elementwise operators.
 *
 * The projection of the inputs does not depend on the state, so it is one gemm over all steps; what
 * is left of a step is a gemm of the state with R, whose addend is the step's slice of that
 * projection, and elementwise operators that fuse. Steps are unrolled.
 *
 * A mask in the place of the lengths, bool [batch, steps]: a step that is off leaves the state
 * alone and repeats the output before it (at first zero, and always so with masked_zero).
 *
 * Sequences of different lengths: a step at or after an element's end leaves its state alone and
 * its output zero. Walking backwards the same rule starts each element at its own last step, which
 * is what reversing within the length means.
 *
 * Quantised weights (8 bits with a scale and a zero point per direction or column): what they are
 * multiplied with is quantised as it comes, the inputs all at once, the state at every step.
 *
 * Gates lie in W, R and B as ONNX orders them: lstm i o f c, gru z r h, rnn i; B is Wb then Rb; P
 * is i o f. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <inttypes.h>
#include <string.h>

#define MAX_STEPS 1024

enum {
  IN_X,
  IN_W,
  IN_R,
  IN_B,
  IN_LENS,
  IN_H,
  IN_C,
  IN_P,
  IN_W_SCALE, /* quantised W and R, each with scale and zero point, [directions] or [directions, n]
               */
  IN_W_ZERO,
  IN_R_SCALE,
  IN_R_ZERO,
  IN_PROJECTION /* lstm: [directions, out, hidden]; the state and Y are `out` wide, R's columns, too
                 */
};

typedef struct recurrent {
  char kind; /* l g r */
  int n_gates, n_directions, n_activations;
  bool batch_first;
  int64_t steps, batch, in, hidden, out; /* out: of h and Y, hidden but for projections */
} recurrent;

static neo_status check_dims(neo_ctx *ctx, const neo_graph *graph, const neo_node *node, int k,
                             const neo_shape *want) {
  const neo_value *v = neo_op_in(graph, node, k);
  if (v && !neo_shape_equal(&v->shape, want))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT,
                       "input %d has rank %d or a dimension that does not fit", k, v->shape.rank);
  return NEO_OK;
}

static neo_shape state_shape(const recurrent *r, int64_t width) {
  int64_t d = r->n_directions;
  return r->batch_first ? (neo_shape){3, {r->batch, d, width}}
                        : (neo_shape){3, {d, r->batch, width}};
}

/* Types and shapes of all inputs but X. */
static neo_status check_operands(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 const recurrent *r) {
  int64_t d = r->n_directions, h = r->hidden, g = r->n_gates;
  neo_shape first = state_shape(r, r->out), cell = state_shape(r, h);
  bool quantised = neo_op_in(graph, node, IN_W_SCALE) != NULL;
  for (int k = quantised ? IN_B : IN_W; k <= IN_P; k++)
    if (k != IN_LENS)
      NEO_TRY(neo_op_same_dtype(ctx, graph, node, IN_X, k));
  for (int k = IN_W_SCALE; quantised && k <= IN_R_ZERO; k++)
    if (!neo_op_in(graph, node, k))
      return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is absent", k);
  NEO_TRY(check_dims(ctx, graph, node, IN_W, &(neo_shape){3, {d, g * h, r->in}}));
  NEO_TRY(check_dims(ctx, graph, node, IN_R, &(neo_shape){3, {d, g * h, r->out}}));
  NEO_TRY(check_dims(ctx, graph, node, IN_PROJECTION, &(neo_shape){3, {d, r->out, h}}));
  NEO_TRY(neo_op_same_dtype(ctx, graph, node, IN_X, IN_PROJECTION));
  NEO_TRY(check_dims(ctx, graph, node, IN_B, &(neo_shape){2, {d, 2 * g * h}}));
  const neo_value *lens = neo_op_in(graph, node, IN_LENS);
  neo_shape each = {1, {r->batch}}, mask = {2, {r->batch, r->steps}};
  NEO_TRY(check_dims(ctx, graph, node, IN_LENS, lens && lens->dtype == NEO_BOOL ? &mask : &each));
  NEO_TRY(check_dims(ctx, graph, node, IN_H, &first));
  NEO_TRY(check_dims(ctx, graph, node, IN_C, &cell));
  return check_dims(ctx, graph, node, IN_P, &(neo_shape){2, {d, 3 * h}});
}

static neo_status read_recurrent(neo_ctx *ctx, const neo_graph *graph, const neo_node *node,
                                 recurrent *r) {
  const neo_value *x = neo_op_in(graph, node, IN_X), *w = neo_op_in(graph, node, IN_W),
                  *state = neo_op_in(graph, node, IN_R);
  const char *direction = neo_node_string(node, "direction", "forward");
  r->kind = node->op->name[0];
  r->n_gates = r->kind == 'l' ? 4 : r->kind == 'g' ? 3 : 1;
  r->n_activations = r->kind == 'l' ? 3 : r->kind == 'g' ? 2 : 1;
  r->n_directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
  r->batch_first = neo_node_int(node, "layout", 0) != 0;
  if (r->n_directions == 1 && strcmp(direction, "forward") != 0 &&
      strcmp(direction, "reverse") != 0)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "direction '%s'", direction);
  if (x->shape.rank != 3 || w->shape.rank != 3 || state->shape.rank != 3)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "X, W and R must have three dimensions");
  if (neo_dtype_class(x->dtype) != 'f')
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "not defined for %s", neo_dtype_name(x->dtype));
  r->steps = x->shape.dim[r->batch_first];
  r->batch = x->shape.dim[!r->batch_first];
  r->in = x->shape.dim[2];
  r->hidden = r->out = state->shape.dim[2];
  const neo_value *projection = neo_op_in(graph, node, IN_PROJECTION);
  if (projection && (r->kind != 'l' || projection->shape.rank != 3))
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "input %d is no projection", IN_PROJECTION);
  if (projection)
    r->hidden = projection->shape.dim[2];
  int64_t h = r->hidden;
  if (h < 1 || r->in < 1 || neo_node_int(node, "hidden_size", h) != h)
    return neo_op_fail(ctx, node, NEO_BAD_INPUT, "R says hidden_size %" PRId64, h);
  return check_operands(ctx, graph, node, r);
}

neo_status neo_infer_recurrent(neo_ctx *ctx, neo_graph *graph, neo_node *node) {
  recurrent r;
  NEO_TRY(neo_op_check_inputs(ctx, graph, node));
  NEO_TRY(read_recurrent(ctx, graph, node, &r));
  if (r.steps > MAX_STEPS)
    return neo_op_fail(ctx, node, NEO_UNSUPPORTED, "%" PRId64 " steps, at most %d", r.steps,
                       MAX_STEPS);
  neo_dtype dtype = neo_op_in(graph, node, IN_X)->dtype;
  int64_t d = r.n_directions;
  neo_shape all = r.batch_first ? (neo_shape){4, {r.batch, r.steps, d, r.out}}
                                : (neo_shape){4, {r.steps, d, r.batch, r.out}};
  neo_shape last = state_shape(&r, r.out), cell = state_shape(&r, r.hidden);
  neo_op_set(graph, node, 0, dtype, &all);
  neo_op_set(graph, node, 1, dtype, &last);
  neo_op_set(graph, node, 2, dtype, &cell);
  return NEO_OK;
}

/* ---- activations ----------------------------------------------------------------------------- */

typedef struct activation {
  char name[24];
  double alpha, beta;
} activation;

static const struct {
  const char *name, *op;
  int takes; /* 1 alpha, 2 alpha and beta */
  double alpha, beta;
} kinds[] = {
    {"sigmoid", "sigmoid", 0, 0, 0},
    {"tanh", "tanh", 0, 0, 0},
    {"relu", "relu", 0, 0, 0},
    {"softsign", "softsign", 0, 0, 0},
    {"softplus", "softplus", 0, 0, 0},
    {"leakyrelu", "leaky_relu", 1, 0.009999999776482582, 0},
    {"thresholdedrelu", "thresholded_relu", 1, 1, 0},
    {"elu", "elu", 1, 1, 0},
    {"hardsigmoid", "hard_sigmoid", 2, 0.20000000298023224, 0.5},
    {"affine", NULL, 2, 1, 0},
    {"scaledtanh", NULL, 2, 1, 1},
};

static int find_kind(const char *name) {
  for (int k = 0; k < NEO_COUNT(kinds); k++)
    if (strcmp(kinds[k].name, name) == 0)
      return k;
  return -1;
}

/* The activations of all directions, in order; alphas and betas are given to those that take one.
 */
static neo_status read_activations(neo_expander *x, const recurrent *r, activation *out) {
  static const char *const defaults[] = {"sigmoid", "tanh", "tanh"};
  const char *at = neo_node_string(&x->node, "activations", "");
  const neo_attr *alpha = neo_node_attr(&x->node, "activation_alpha"),
                 *beta = neo_node_attr(&x->node, "activation_beta");
  int n = r->n_activations * r->n_directions, next_alpha = 0, next_beta = 0;
  for (int i = 0; i < n; i++) {
    size_t length = strcspn(at, ",");
    const char *name = defaults[(r->kind == 'r') + i % r->n_activations];
    out[i] = (activation){0};
    if (length >= sizeof out[i].name)
      return neo_xp_fail(x, NEO_UNSUPPORTED, "activations '%s'", at);
    memcpy(out[i].name, length ? at : name, length ? length : strlen(name) + 1);
    at += length + (at[length] == ',');
    int kind = find_kind(out[i].name);
    if (kind < 0)
      return neo_xp_fail(x, NEO_UNSUPPORTED, "activation '%s'", out[i].name);
    out[i].alpha = kinds[kind].alpha;
    out[i].beta = kinds[kind].beta;
    if (kinds[kind].takes >= 1 && alpha && next_alpha < alpha->n)
      out[i].alpha = alpha->floats[next_alpha++];
    if (kinds[kind].takes >= 2 && beta && next_beta < beta->n)
      out[i].beta = beta->floats[next_beta++];
  }
  return NEO_OK;
}

static int apply(neo_expander *x, const activation *a, int v) {
  int kind = find_kind(a->name);
  double clip = neo_node_float(&x->node, "clip", 0);
  if (clip > 0)
    v = neo_xp_op(x, "clip", 1, &v,
                  NEO_XP_ATTRS(NEO_XP_FLOAT("min", -clip), NEO_XP_FLOAT("max", clip)));
  if (strcmp(a->name, "affine") == 0)
    return neo_xp_c(x, "add", neo_xp_c(x, "mul", v, a->alpha), a->beta);
  if (strcmp(a->name, "scaledtanh") == 0)
    return neo_xp_c(x, "mul", neo_xp_1(x, "tanh", neo_xp_c(x, "mul", v, a->beta)), a->alpha);
  const neo_attr *attr = kinds[kind].takes == 2 ? NEO_XP_ATTRS(NEO_XP_FLOAT("alpha", a->alpha),
                                                               NEO_XP_FLOAT("beta", a->beta))
                                                : NEO_XP_ATTRS(NEO_XP_FLOAT("alpha", a->alpha));
  return neo_xp_op(x, kinds[kind].op, 1, &v, kinds[kind].takes ? attr : NULL);
}

/* ---- one direction --------------------------------------------------------------------------- */

/* Quantised weights of one direction. */
typedef struct quantised {
  int scale, zero; /* [] or [n]; absent: the weights are no integers */
} quantised;

typedef struct direction {
  const recurrent *r;
  activation act[3];
  int projected; /* [steps, batch, gates * hidden]: X W^T and what bias is added outside */
  int weights, hidden_weights; /* R [gates * hidden, out]; gru: z and r, then h */
  int projection;              /* [out, hidden], or absent */
  quantised state_scale;       /* of R; lstm only */
  int hidden_bias;             /* gru, linear_before_reset: Rbh */
  int peephole[3];             /* i o f, [hidden] */
  int lengths;                 /* i64 [batch, 1], or absent */
  int mask, y;                 /* bool [batch, steps], or absent; what Y held last */
  int h, c;                    /* state [batch, out], [batch, hidden] */
} direction;

/* Row d of an input of shape [directions, ...]. */
static int row_of(neo_expander *x, int k, int d) {
  int v = neo_xp_in(x, k);
  return v == NEO_NO_VALUE ? v : neo_xp_at(x, v, 0, d);
}

static int gate(neo_expander *x, const recurrent *r, int v, int k, int n) {
  return neo_xp_slice(x, v, neo_xp_rank(x, v) - 1, k * r->hidden, (k + n) * r->hidden);
}

static int start_state(neo_expander *x, const recurrent *r, int k, int d) {
  int64_t width = k == IN_H ? r->out : r->hidden;
  int v = neo_xp_in(x, k);
  neo_tensor *zero;
  if (v == NEO_NO_VALUE)
    return neo_xp_constant(x, neo_xp_dtype(x, neo_xp_in(x, IN_X)),
                           &(neo_shape){2, {r->batch, width}}, &zero);
  return neo_xp_at(x, v, r->batch_first, d);
}

static quantised read_quantised(neo_expander *x, int k, int d) {
  quantised q = {NEO_NO_VALUE, NEO_NO_VALUE};
  if (neo_xp_in(x, k) == NEO_NO_VALUE)
    return q;
  q.scale = neo_xp_at(x, neo_xp_in(x, k), 0, d);
  q.zero = neo_xp_at(x, neo_xp_in(x, k + 1), 0, d);
  return q;
}

/* gemm(a, w^T) where w is quantised: so is a, all of it with one scale. */
static int quantised_product(neo_expander *x, int a, int w, quantised q, int addend) {
  int made[3];
  w = neo_xp_transpose(x, w, 2, (int64_t[]){1, 0});
  neo_xp_emit(x, &(neo_xp_call){"dynamic_quantize_linear", 1, &a, 3, NULL}, made);
  int sum = neo_xp_op(x, "matmul_integer", 4, (int[]){made[0], w, made[2], q.zero}, NULL);
  int scale = neo_xp_2(x, "mul", made[1], q.scale);
  int y = neo_xp_2(x, "mul", neo_xp_cast(x, sum, NEO_F32), scale);
  return addend == NEO_NO_VALUE ? y : neo_xp_2(x, "add", y, addend);
}

/* gemm(a, w^T) with an addend that broadcasts, or none. */
static int product(neo_expander *x, int a, int w, quantised q, int addend) {
  if (q.scale != NEO_NO_VALUE)
    return quantised_product(x, a, w, q, addend);
  return neo_xp_op(x, "gemm", 3, (int[]){a, w, addend}, NEO_XP_ATTRS(NEO_XP_INT("trans_b", 1)));
}

/* Both biases; with linear_before_reset gru's Rbh stays inside. */
static int outer_bias(neo_expander *x, direction *d, int bias) {
  const recurrent *r = d->r;
  d->hidden_bias = NEO_NO_VALUE;
  if (bias == NEO_NO_VALUE)
    return bias;
  int wb = gate(x, r, bias, 0, r->n_gates), rb = gate(x, r, bias, r->n_gates, r->n_gates);
  if (r->kind != 'g' || neo_node_int(&x->node, "linear_before_reset", 0) == 0)
    return neo_xp_2(x, "add", wb, rb);
  d->hidden_bias = gate(x, r, rb, 2, 1);
  int zr = neo_xp_2(x, "add", gate(x, r, wb, 0, 2), gate(x, r, rb, 0, 2));
  return neo_xp_concat(x, 0, 2, (int[]){zr, gate(x, r, wb, 2, 1)});
}

static void open_direction(neo_expander *x, const recurrent *r, int at, direction *d) {
  int64_t h = r->hidden, gates = r->n_gates * h;
  int input = neo_xp_in(x, IN_X), lengths = neo_xp_in(x, IN_LENS), peephole = row_of(x, IN_P, at);
  d->r = r;
  if (r->batch_first)
    input = neo_xp_transpose(x, input, 3, (int64_t[]){1, 0, 2});
  input = neo_xp_reshape(x, input, 2, (int64_t[]){r->steps * r->batch, r->in});
  d->state_scale = read_quantised(x, IN_R_SCALE, at);
  int projected = product(x, input, row_of(x, IN_W, at), read_quantised(x, IN_W_SCALE, at),
                          outer_bias(x, d, row_of(x, IN_B, at)));
  d->projected = neo_xp_reshape(x, projected, 3, (int64_t[]){r->steps, r->batch, gates});
  d->weights = row_of(x, IN_R, at);
  d->projection = row_of(x, IN_PROJECTION, at);
  d->hidden_weights = NEO_NO_VALUE;
  if (r->kind == 'g') {
    d->hidden_weights = neo_xp_slice(x, d->weights, 0, 2 * h, 3 * h);
    d->weights = neo_xp_slice(x, d->weights, 0, 0, 2 * h);
  }
  for (int k = 0; k < 3; k++)
    d->peephole[k] = peephole == NEO_NO_VALUE ? peephole : gate(x, r, peephole, k, 1);
  d->lengths = d->mask = d->y = NEO_NO_VALUE;
  if (lengths != NEO_NO_VALUE && neo_xp_dtype(x, lengths) == NEO_BOOL)
    d->mask = lengths;
  else if (lengths != NEO_NO_VALUE)
    d->lengths = neo_xp_reshape(x, neo_xp_cast(x, lengths, NEO_I64), 2, (int64_t[]){r->batch, 1});
  d->h = start_state(x, r, IN_H, at);
  d->c = r->kind == 'l' ? start_state(x, r, IN_C, at) : NEO_NO_VALUE;
}

static int with_peephole(neo_expander *x, int gate_value, int peephole, int c) {
  return peephole == NEO_NO_VALUE ? gate_value
                                  : neo_xp_2(x, "add", gate_value, neo_xp_2(x, "mul", peephole, c));
}

static void lstm_step(neo_expander *x, const direction *d, int xt, int *h, int *c) {
  const recurrent *r = d->r;
  int all = product(x, d->h, d->weights, d->state_scale, xt);
  int i = apply(x, &d->act[0], with_peephole(x, gate(x, r, all, 0, 1), d->peephole[0], d->c));
  int f = NEO_NO_VALUE;
  if (neo_node_int(&x->node, "input_forget", 0))
    f = neo_xp_2(x, "sub", neo_xp_scalar(x, neo_xp_dtype(x, i), 1), i);
  else
    f = apply(x, &d->act[0], with_peephole(x, gate(x, r, all, 2, 1), d->peephole[2], d->c));
  int g = apply(x, &d->act[1], gate(x, r, all, 3, 1));
  *c = neo_xp_2(x, "add", neo_xp_2(x, "mul", f, d->c), neo_xp_2(x, "mul", i, g));
  int o = apply(x, &d->act[0], with_peephole(x, gate(x, r, all, 1, 1), d->peephole[1], *c));
  activation last = d->act[2];
  *h = neo_xp_2(x, "mul", o, apply(x, &last, *c));
  if (d->projection != NEO_NO_VALUE)
    *h = product(x, *h, d->projection, (quantised){NEO_NO_VALUE, NEO_NO_VALUE}, NEO_NO_VALUE);
}

static void gru_step(neo_expander *x, const direction *d, int xt, int *h) {
  const recurrent *r = d->r;
  int zr = apply(x, &d->act[0], product(x, d->h, d->weights, d->state_scale, gate(x, r, xt, 0, 2)));
  int z = gate(x, r, zr, 0, 1), reset = gate(x, r, zr, 1, 1), own = gate(x, r, xt, 2, 1), made;
  if (neo_node_int(&x->node, "linear_before_reset", 0)) {
    int linear = product(x, d->h, d->hidden_weights, d->state_scale, d->hidden_bias);
    made = neo_xp_2(x, "add", own, neo_xp_2(x, "mul", reset, linear));
  } else {
    made = product(x, neo_xp_2(x, "mul", reset, d->h), d->hidden_weights, d->state_scale, own);
  }
  made = apply(x, &d->act[1], made);
  /* (1 - z) made + z h */
  int keep = neo_xp_2(x, "mul", z, neo_xp_2(x, "sub", d->h, made));
  *h = neo_xp_2(x, "add", made, keep);
}

/* Step t: the new state; returns what Y holds. */
static int step(neo_expander *x, direction *d, int64_t t) {
  int xt = neo_xp_at(x, d->projected, 0, t), h = NEO_NO_VALUE, c = NEO_NO_VALUE, y;
  if (d->r->kind == 'l')
    lstm_step(x, d, xt, &h, &c);
  else if (d->r->kind == 'g')
    gru_step(x, d, xt, &h);
  else
    h = apply(x, &d->act[0], product(x, d->h, d->weights, d->state_scale, xt));
  y = h;
  if (d->lengths != NEO_NO_VALUE || d->mask != NEO_NO_VALUE) {
    int active = d->mask != NEO_NO_VALUE ? neo_xp_slice(x, d->mask, 1, t, t + 1)
                                         : neo_xp_c(x, "greater", d->lengths, (double)t);
    int otherwise = d->y != NEO_NO_VALUE ? d->y : neo_xp_scalar(x, neo_xp_dtype(x, h), 0);
    y = neo_xp_3(x, "where", active, h, otherwise);
    if (d->mask != NEO_NO_VALUE && neo_node_int(&x->node, "masked_zero", 0) == 0)
      d->y = y;
    h = neo_xp_3(x, "where", active, h, d->h);
    c = c == NEO_NO_VALUE ? c : neo_xp_3(x, "where", active, c, d->c);
  }
  d->h = h;
  d->c = c;
  return y;
}

/* All steps; returns Y of the direction as [steps, batch, hidden], or nothing if it is not wanted.
 */
static int run_direction(neo_expander *x, direction *d, bool backwards, bool wanted) {
  const recurrent *r = d->r;
  int *y = neo_arena_alloc(x->graph->arena, sizeof(int) * (size_t)(r->steps + 1));
  for (int64_t k = 0; k < r->steps && x->status == NEO_OK; k++) {
    int64_t t = backwards ? r->steps - 1 - k : k;
    y[t] = step(x, d, t);
    if (wanted)
      y[t] = neo_xp_unsqueeze(x, y[t], 0);
  }
  return wanted && r->steps > 0 && x->status == NEO_OK ? neo_xp_concat(x, 0, (int)r->steps, y)
                                                       : NEO_NO_VALUE;
}

/* ---- the layer ------------------------------------------------------------------------------- */

neo_status neo_expand_recurrent(neo_expander *x) {
  recurrent r;
  activation act[6];
  int y[2], h[2], c[2];
  NEO_TRY(read_recurrent(x->ctx, x->graph, &x->node, &r));
  NEO_TRY(read_activations(x, &r, act));
  bool reverse = neo_op_string_is(&x->node, "direction", "forward", "reverse");
  bool wanted = neo_xp_wants(x, 0);
  if (r.steps == 0)
    return neo_xp_fail(x, NEO_UNSUPPORTED, "a sequence of no steps");
  for (int k = 0; k < r.n_directions; k++) {
    direction d;
    memcpy(d.act, act + k * r.n_activations, sizeof *act * (size_t)r.n_activations);
    open_direction(x, &r, k, &d);
    y[k] = run_direction(x, &d, reverse || k == 1, wanted);
    h[k] = neo_xp_unsqueeze(x, d.h, r.batch_first);
    c[k] = r.kind == 'l' ? neo_xp_unsqueeze(x, d.c, r.batch_first) : NEO_NO_VALUE;
    if (wanted) /* [steps, batch, hidden] -> [steps, 1, batch, hidden] or [batch, steps, 1, hidden]
                 */
      y[k] = neo_xp_unsqueeze(
          x, r.batch_first ? neo_xp_transpose(x, y[k], 3, (int64_t[]){1, 0, 2}) : y[k],
          r.batch_first ? 2 : 1);
  }
  x->out[0] = wanted ? neo_xp_concat(x, r.batch_first ? 2 : 1, r.n_directions, y) : x->out[0];
  if (neo_xp_wants(x, 1))
    x->out[1] = neo_xp_concat(x, r.batch_first, r.n_directions, h);
  if (neo_xp_wants(x, 2) && r.kind == 'l')
    x->out[2] = neo_xp_concat(x, r.batch_first, r.n_directions, c);
  return x->status;
}
