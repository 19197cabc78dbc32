/* ir/ops_attention.c: attention and rotary_embedding (ONNX opset 23 to 25), written as
 * contractions, additions and a softmax.
 *
 * Heads are never moved: with heads inside (rank 3 inputs are [batch, sequence, heads * size]) or
 * outside (rank 4: [batch, heads, sequence, size]) the two products are einsums over the layout
 * that is there, and several query heads that share a key head are one more letter: b batch, g key
 * heads, r query heads of one, q query and k key positions, d and e sizes. */
#include "ir/expand.h"
#include "ir/ops_internal.h"
#include "ir/ops_table.h"

#include <math.h>
#include <string.h>

enum { IN_Q, IN_K, IN_V, IN_MASK, IN_PAST_K, IN_PAST_V, IN_LENGTHS };

typedef struct attention {
  bool inside; /* heads are inside */
  int64_t batch, queries, keys, heads, groups, size, value_size, past;
  int q, k, v; /* q [b,q,g,r,d] or [b,g,r,q,d]; k, v [b,k,g,d] or [b,g,k,d] */
  int lengths; /* [batch,1,1,1] i64, or absent */
  neo_dtype dtype;
} attention;

static neo_status read_attention(neo_expander *x, attention *a) {
  int q = neo_xp_in(x, IN_Q), k = neo_xp_in(x, IN_K), v = neo_xp_in(x, IN_V);
  int rank = neo_xp_rank(x, q);
  a->inside = rank == 3;
  if ((rank != 3 && rank != 4) || neo_xp_rank(x, k) != rank || neo_xp_rank(x, v) != rank)
    return neo_xp_fail(x, NEO_BAD_INPUT, "query, key and value of ranks %d, %d, %d", rank,
                       neo_xp_rank(x, k), neo_xp_rank(x, v));
  a->dtype = neo_xp_dtype(x, q);
  a->batch = neo_xp_dim(x, q, 0);
  a->queries = neo_xp_dim(x, q, -2);
  a->keys = neo_xp_dim(x, k, -2);
  a->heads = a->inside ? neo_node_int(&x->node, "q_num_heads", 0) : neo_xp_dim(x, q, 1);
  a->groups = a->inside ? neo_node_int(&x->node, "kv_num_heads", 0) : neo_xp_dim(x, k, 1);
  if (a->heads < 1 || a->groups < 1 || a->heads % a->groups)
    return neo_xp_fail(x, NEO_BAD_INPUT, "%lld query heads for %lld key heads", (long long)a->heads,
                       (long long)a->groups);
  a->size = neo_xp_dim(x, q, -1) / (a->inside ? a->heads : 1);
  a->value_size = neo_xp_dim(x, v, -1) / (a->inside ? a->groups : 1);
  return NEO_OK;
}

/* past and new along the positions, [b,g,k,d]. */
static int with_past(neo_expander *x, const attention *a, int past, int now, int64_t size) {
  if (a->inside) {
    now = neo_xp_reshape(x, now, 4, (int64_t[]){a->batch, a->keys, a->groups, size});
    now = neo_xp_transpose(x, now, 4, (int64_t[]){0, 2, 1, 3});
  }
  return past == NEO_NO_VALUE ? now : neo_xp_concat(x, 2, 2, (int[]){past, now});
}

static void open_operands(neo_expander *x, attention *a) {
  int64_t r = a->heads / a->groups;
  int past_k = neo_xp_in(x, IN_PAST_K), past_v = neo_xp_in(x, IN_PAST_V);
  int lengths = neo_xp_in(x, IN_LENGTHS);
  a->q = neo_xp_in(x, IN_Q);
  a->k = neo_xp_in(x, IN_K);
  a->v = neo_xp_in(x, IN_V);
  a->past = past_k == NEO_NO_VALUE ? 0 : neo_xp_dim(x, past_k, 2);
  bool cached = past_k != NEO_NO_VALUE || neo_xp_wants(x, 1) || neo_xp_wants(x, 2);
  if (a->inside) {
    a->q = neo_xp_reshape(x, a->q, 5, (int64_t[]){a->batch, a->queries, a->groups, r, a->size});
  } else {
    a->q = neo_xp_reshape(x, a->q, 5, (int64_t[]){a->batch, a->groups, r, a->queries, a->size});
  }
  if (cached) {
    a->k = with_past(x, a, past_k, a->k, a->size);
    a->v = with_past(x, a, past_v, a->v, a->value_size);
    x->out[1] = a->k;
    x->out[2] = a->v;
  } else if (a->inside) {
    a->k = neo_xp_reshape(x, a->k, 4, (int64_t[]){a->batch, a->keys, a->groups, a->size});
    a->v = neo_xp_reshape(x, a->v, 4, (int64_t[]){a->batch, a->keys, a->groups, a->value_size});
  }
  a->keys += a->past;
  a->lengths = NEO_NO_VALUE;
  if (lengths != NEO_NO_VALUE)
    a->lengths =
        neo_xp_reshape(x, neo_xp_cast(x, lengths, NEO_I64), 4, (int64_t[]){a->batch, 1, 1, 1});
}

static int einsum(neo_expander *x, const char *equation, int a, int b) {
  return neo_xp_op(x, "einsum", 2, (int[]){a, b},
                   NEO_XP_ATTRS(NEO_XP_STRING("equation", equation)));
}

/* ---- what is added to the scores ------------------------------------------------------------- */

/* 0 where allowed, else -infinity. */
static int bias_of(neo_expander *x, const attention *a, int allowed) {
  return neo_xp_3(x, "where", allowed, neo_xp_scalar(x, a->dtype, 0),
                  neo_xp_scalar(x, a->dtype, -INFINITY));
}

static int sum_of(neo_expander *x, int a, int b) {
  return a == NEO_NO_VALUE ? b : b == NEO_NO_VALUE ? a : neo_xp_2(x, "add", a, b);
}

static int both(neo_expander *x, int a, int b) {
  return a == NEO_NO_VALUE ? b : neo_xp_2(x, "and", a, b);
}

/* Which pairs the causal order and the window allow, [q,k] or [b,1,q,k]; or nothing. */
static int allowed_pairs(neo_expander *x, const attention *a) {
  int64_t left = neo_node_int(&x->node, "left_window_size", -1),
          right = neo_node_int(&x->node, "right_window_size", -1);
  bool causal = neo_node_int(&x->node, "is_causal", 0) != 0;
  int allowed = NEO_NO_VALUE;
  if (!causal && left < 0 && right < 0)
    return allowed;
  int key = neo_xp_iota(x, NEO_I64, a->keys);
  int at = neo_xp_c(x, "add", neo_xp_iota(x, NEO_I64, a->queries), (double)a->past);
  at = neo_xp_reshape(x, at, 2, (int64_t[]){a->queries, 1});
  if (a->lengths != NEO_NO_VALUE && a->past == 0)
    at = neo_xp_2(x, "add", at, neo_xp_c(x, "sub", a->lengths, (double)a->queries));
  int ahead = neo_xp_2(x, "sub", key, at); /* j - (i + offset) */
  if (causal)
    allowed = neo_xp_c(x, "less_equal", ahead, 0);
  if (left >= 0)
    allowed = both(x, allowed, neo_xp_c(x, "greater_equal", ahead, -(double)left));
  if (right >= 0)
    allowed = both(x, allowed, neo_xp_c(x, "less_equal", ahead, (double)right));
  return allowed;
}

/* The mask input as an addend over all keys. */
static int mask_bias(neo_expander *x, const attention *a) {
  int mask = neo_xp_in(x, IN_MASK), rank = neo_xp_rank(x, mask);
  int64_t pads[2 * NEO_MAX_RANK] = {0};
  if (mask == NEO_NO_VALUE)
    return mask;
  if (neo_xp_dtype(x, mask) == NEO_BOOL)
    mask = bias_of(x, a, mask);
  mask = neo_xp_cast(x, mask, a->dtype);
  int64_t missing = a->keys - neo_xp_dim(x, mask, -1);
  if (missing <= 0 || rank == 0)
    return mask;
  pads[2 * rank - 1] = missing;
  return neo_xp_op(
      x, "pad", 1, &mask,
      NEO_XP_ATTRS(NEO_XP_INTS("pads", 2 * rank, pads), NEO_XP_FLOAT("value", -INFINITY)));
}

static int all_bias(neo_expander *x, const attention *a) {
  int allowed = allowed_pairs(x, a), bias = mask_bias(x, a);
  if (allowed != NEO_NO_VALUE)
    bias = sum_of(x, bias, bias_of(x, a, allowed));
  if (a->lengths != NEO_NO_VALUE) {
    int inside = neo_xp_2(x, "less", neo_xp_iota(x, NEO_I64, a->keys), a->lengths);
    bias = sum_of(x, bias, bias_of(x, a, inside));
  }
  return bias;
}

/* Can the bias of a whole row be -infinity? Not by the causal order alone. */
static bool may_mask_rows(const neo_expander *x, const attention *a) {
  return neo_xp_in(x, IN_MASK) != NEO_NO_VALUE || a->lengths != NEO_NO_VALUE ||
         neo_node_int(&x->node, "left_window_size", -1) >= 0 ||
         neo_node_int(&x->node, "right_window_size", -1) >= 0;
}

/* ---- the operator ---------------------------------------------------------------------------- */

static int scores_of(neo_expander *x, const attention *a) {
  bool moved = a->inside && neo_xp_rank(x, a->k) == 4 && neo_xp_dim(x, a->k, 1) == a->groups &&
               x->out[1] != NEO_NO_VALUE;
  double scale = neo_node_float(&x->node, "scale", 1 / sqrt((double)a->size));
  double softcap = neo_node_float(&x->node, "softcap", 0);
  const char *equation = !a->inside ? "bgrqd,bgkd->bgrqk"
                         : moved    ? "bqgrd,bgkd->bgrqk"
                                    : "bqgrd,bkgd->bgrqk";
  int s = einsum(x, equation, neo_xp_c(x, "mul", a->q, scale), a->k);
  if (softcap > 0)
    s = neo_xp_c(x, "mul", neo_xp_1(x, "tanh", neo_xp_c(x, "div", s, softcap)), softcap);
  return neo_xp_reshape(x, s, 4, (int64_t[]){a->batch, a->heads, a->queries, a->keys});
}

neo_status neo_expand_attention(neo_expander *x) {
  attention a = {0};
  NEO_TRY(read_attention(x, &a));
  open_operands(x, &a);
  int64_t r = a.heads / a.groups, mode = neo_node_int(&x->node, "qk_matmul_output_mode", 0);
  int scores = scores_of(x, &a), bias = all_bias(x, &a);
  int biased = sum_of(x, scores, bias);
  int p = neo_xp_op(x, "softmax", 1, &biased, NEO_XP_ATTRS(NEO_XP_INT("axis", -1)));
  if (may_mask_rows(x, &a)) {
    int none = neo_xp_c(x, "equal", neo_xp_reduce(x, "reduce_max", bias, -1, true), -INFINITY);
    p = neo_xp_3(x, "where", none, neo_xp_scalar(x, a.dtype, 0), p);
  }
  x->out[3] = mode == 2 ? biased : mode == 3 ? p : scores;
  bool cached = x->out[2] != NEO_NO_VALUE;
  p = neo_xp_reshape(x, p, 5, (int64_t[]){a.batch, a.groups, r, a.queries, a.keys});
  const char *equation = !a.inside ? "bgrqk,bgke->bgrqe"
                         : cached  ? "bgrqk,bgke->bqgre"
                                   : "bgrqk,bkge->bqgre";
  int y = einsum(x, equation, p, neo_xp_cast(x, a.v, a.dtype));
  if (a.inside)
    y = neo_xp_reshape(x, y, 3, (int64_t[]){a.batch, a.queries, a.heads * a.value_size});
  else
    y = neo_xp_reshape(x, y, 4, (int64_t[]){a.batch, a.heads, a.queries, a.value_size});
  x->out[0] = y;
  return x->status;
}

/* ---- rotary_embedding ------------------------------------------------------------------------ */

/* Rows of a cache for every position as [batch, sequence, 1, half]. */
static int cache_rows(neo_expander *x, int cache, int positions) {
  if (positions != NEO_NO_VALUE)
    cache = neo_xp_gather(x, cache, positions, 0);
  return neo_xp_unsqueeze(x, cache, 2);
}

neo_status neo_expand_rotary_embedding(neo_expander *x) {
  int in = neo_xp_in(x, 0), rank = neo_xp_rank(x, in), positions = neo_xp_in(x, 3);
  neo_shape shape = neo_xp_shape(x, in);
  bool interleaved = neo_node_int(&x->node, "interleaved", 0) != 0;
  int64_t heads = neo_node_int(&x->node, "num_heads", 0);
  if (rank != 3 && rank != 4)
    return neo_xp_fail(x, NEO_BAD_INPUT, "input of rank %d", rank);
  if (rank == 3 && (heads < 1 || shape.dim[2] % heads))
    return neo_xp_fail(x, NEO_BAD_INPUT, "%lld heads", (long long)heads);
  int v = in;
  if (rank == 4)
    v = neo_xp_transpose(x, in, 4, (int64_t[]){0, 2, 1, 3});
  else
    v = neo_xp_reshape(x, in, 4,
                       (int64_t[]){shape.dim[0], shape.dim[1], heads, shape.dim[2] / heads});
  int64_t size = neo_xp_dim(x, v, 3), turned = neo_node_int(&x->node, "rotary_embedding_dim", 0);
  turned = turned > 0 ? turned : size;
  if (turned > size || turned % 2)
    return neo_xp_fail(x, NEO_BAD_INPUT, "rotary_embedding_dim=%lld", (long long)turned);
  int cos_rows = cache_rows(x, neo_xp_in(x, 1), positions);
  int sin_rows = cache_rows(x, neo_xp_in(x, 2), positions);
  int rest = turned < size ? neo_xp_slice(x, v, 3, turned, size) : NEO_NO_VALUE, a, b;
  int part = neo_xp_slice(x, v, 3, 0, turned);
  neo_shape pairs = neo_xp_shape(x, part);
  pairs.rank = 5;
  pairs.dim[3] = interleaved ? turned / 2 : 2;
  pairs.dim[4] = interleaved ? 2 : turned / 2;
  int split = neo_xp_reshape_to(x, part, &pairs);
  a = neo_xp_at(x, split, interleaved ? 4 : 3, 0);
  b = neo_xp_at(x, split, interleaved ? 4 : 3, 1);
  int real = neo_xp_2(x, "sub", neo_xp_2(x, "mul", cos_rows, a), neo_xp_2(x, "mul", sin_rows, b));
  int imag = neo_xp_2(x, "add", neo_xp_2(x, "mul", sin_rows, a), neo_xp_2(x, "mul", cos_rows, b));
  int at = interleaved ? 4 : 3;
  int joined = neo_xp_concat(x, at, 2,
                             (int[]){neo_xp_unsqueeze(x, real, at), neo_xp_unsqueeze(x, imag, at)});
  pairs.rank = 4;
  pairs.dim[3] = turned;
  v = neo_xp_reshape_to(x, joined, &pairs);
  if (rest != NEO_NO_VALUE)
    v = neo_xp_concat(x, 3, 2, (int[]){v, rest});
  x->out[0] = rank == 4 ? neo_xp_transpose(x, v, 4, (int64_t[]){0, 2, 1, 3})
                        : neo_xp_reshape_to(x, v, &shape);
  return x->status;
}

/* ---- linear_attention ------------------------------------------------------------------------ */

enum { LIN_Q, LIN_K, LIN_V, LIN_STATE, LIN_DECAY, LIN_BETA };

/* Step t of [batch, steps, heads * size] as f32 [batch, heads, size]; size 0: whatever is left. */
static int head_step(neo_expander *x, int v, int64_t t, int64_t heads) {
  int64_t batch = neo_xp_dim(x, v, 0), size = neo_xp_dim(x, v, 2) / heads;
  return neo_xp_cast(
      x, neo_xp_reshape(x, neo_xp_at(x, v, 1, t), 3, (int64_t[]){batch, heads, size}), NEO_F32);
}

/* One step: the state [batch, heads, dk, dv] in *state; returns what the step reads, [b, q heads,
 * dv]. */
static int linear_step(neo_expander *x, int64_t t, int64_t q_heads, int64_t heads, int *state) {
  const char *rule = neo_node_string(&x->node, "update_rule", "gated_delta");
  int q = head_step(x, neo_xp_in(x, LIN_Q), t, q_heads),
      k = head_step(x, neo_xp_in(x, LIN_K), t, heads);
  int v = head_step(x, neo_xp_in(x, LIN_V), t, heads), beta = neo_xp_in(x, LIN_BETA);
  int64_t batch = neo_xp_dim(x, q, 0), size = neo_xp_dim(x, q, 2);
  double scale = neo_node_float(&x->node, "scale", 0);
  if (strstr(rule, "gated")) {
    int decay = neo_xp_1(x, "exp", head_step(x, neo_xp_in(x, LIN_DECAY), t, heads));
    *state = neo_xp_2(x, "mul", *state, neo_xp_unsqueeze(x, decay, 3));
  }
  if (strstr(rule, "delta")) {
    int known = einsum(x, "bhdm,bhd->bhm", *state, k);
    int64_t per = neo_xp_dim(x, beta, 2);
    int b = neo_xp_reshape(x, neo_xp_cast(x, neo_xp_at(x, beta, 1, t), NEO_F32), 3,
                           (int64_t[]){batch, per, 1});
    v = neo_xp_2(x, "mul", b, neo_xp_2(x, "sub", v, known));
  }
  int added = neo_xp_2(x, "mul", neo_xp_unsqueeze(x, k, 3), neo_xp_unsqueeze(x, v, 2));
  *state = neo_xp_2(x, "add", *state, added);
  q = neo_xp_reshape(x, q, 4, (int64_t[]){batch, heads, q_heads / heads, size});
  int y = einsum(x, "bgrd,bgdm->bgrm", q, *state);
  y = neo_xp_c(x, "mul", y, scale != 0 ? scale : 1 / sqrt((double)size));
  return neo_xp_reshape(x, y, 3, (int64_t[]){batch, 1, q_heads * neo_xp_dim(x, y, 3)});
}

neo_status neo_expand_linear_attention(neo_expander *x) {
  int q = neo_xp_in(x, LIN_Q), v = neo_xp_in(x, LIN_V), state = neo_xp_in(x, LIN_STATE);
  const char *rule = neo_node_string(&x->node, "update_rule", "gated_delta");
  int64_t q_heads = neo_node_int(&x->node, "q_num_heads", 0),
          heads = neo_node_int(&x->node, "kv_num_heads", 0);
  int64_t batch = neo_xp_dim(x, q, 0), steps = neo_xp_dim(x, q, 1);
  if (neo_xp_rank(x, q) != 3 || neo_xp_rank(x, v) != 3 || heads < 1 || q_heads % heads ||
      q_heads < 1)
    return neo_xp_fail(x, NEO_BAD_INPUT, "%lld query heads for %lld key heads", (long long)q_heads,
                       (long long)heads);
  if ((strstr(rule, "gated") && neo_xp_in(x, LIN_DECAY) == NEO_NO_VALUE) ||
      (strstr(rule, "delta") && neo_xp_in(x, LIN_BETA) == NEO_NO_VALUE))
    return neo_xp_fail(x, NEO_BAD_INPUT, "update_rule '%s' lacks an input", rule);
  if (steps < 1 || steps > 512)
    return neo_xp_fail(x, NEO_UNSUPPORTED, "%lld steps, 1 to 512 are known", (long long)steps);
  neo_dtype kept = state == NEO_NO_VALUE ? neo_xp_dtype(x, q) : neo_xp_dtype(x, state);
  neo_tensor *zero;
  if (state == NEO_NO_VALUE)
    state = neo_xp_constant(
        x, NEO_F32,
        &(neo_shape){4, {batch, heads, neo_xp_dim(x, q, 2) / q_heads, neo_xp_dim(x, v, 2) / heads}},
        &zero);
  state = neo_xp_cast(x, state, NEO_F32);
  int *y = neo_arena_alloc(x->graph->arena, sizeof(int) * (size_t)steps);
  for (int64_t t = 0; t < steps && x->status == NEO_OK; t++)
    y[t] = linear_step(x, t, q_heads, heads, &state);
  NEO_TRY(x->status);
  x->out[0] = neo_xp_cast(x, neo_xp_concat(x, 1, (int)steps, y), neo_xp_dtype(x, q));
  x->out[1] = neo_xp_cast(x, state, kept);
  return x->status;
}
