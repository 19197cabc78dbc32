/* frontends/onnx_attention.c: onnxruntime's attention operators (com.microsoft) over ours.
 *
 * All of them end in `attention` of ir/ops.def: heads inside ([batch, sequence, heads * size]), its
 * mask an addend. onnxruntime hides a key by adding mask_filter_value, not an infinity, so that a
 * row with all keys hidden is still a softmax; so do we. Masks have many forms: lengths, ends and
 * starts, or flags of two to four dimensions.
 *
 * GroupQueryAttention: every sequence of a batch has a length of its own, and what was computed
 * before (past) may be a buffer that is longer. Where all of the past is known to be full, as when
 * one sequence is generated token by token, new keys are put behind it; else they are scattered to
 * where each sequence ends, and a mask hides what lies behind. */
#include "frontends/onnx_import.h"

#include <math.h>
#include <string.h>

static int emit(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int emit2(onnx_import *im, onnx_node *node, const char *op, int a, int b) {
  return emit(im, node, op, 2, (int[]){a, b});
}

static int reshape(onnx_import *im, onnx_node *node, int x, int rank, const int64_t *dim) {
  return emit2(im, node, "reshape", x, onnx_make_ints(im, node, "shape", rank, dim));
}

static int transpose(onnx_import *im, onnx_node *node, int x, int rank, const int64_t *perm) {
  neo_node *made = onnx_emit(im, node, "transpose", 1, &x, 1);
  neo_node_set_ints(im->e.graph, made, "perm", rank, perm);
  return made->output[0];
}

static int slice(onnx_import *im, onnx_node *node, int x, int64_t axis, int64_t from, int64_t to) {
  neo_node *made = onnx_emit(im, node, "slice", 1, &x, 1);
  neo_node_set_ints(im->e.graph, made, "axes", 1, &axis);
  neo_node_set_ints(im->e.graph, made, "starts", 1, &from);
  neo_node_set_ints(im->e.graph, made, "ends", 1, &to);
  return made->output[0];
}

static int cast(onnx_import *im, onnx_node *node, int x, neo_dtype dtype) {
  neo_node *made = onnx_emit(im, node, "cast", 1, &x, 1);
  neo_node_set_string(im->e.graph, made, "to", neo_dtype_name(dtype));
  return made->output[0];
}

static int add(onnx_import *im, onnx_node *node, int a, int b) {
  return a == NEO_NO_VALUE ? b : b == NEO_NO_VALUE ? a : emit2(im, node, "add", a, b);
}

/* x[d] of known shapes; 0 of an absent value. */
static int64_t dim(onnx_import *im, int x, int d) {
  const neo_shape *shape = neo_emit_shape(&im->e, x);
  if (!shape)
    return 0;
  d += d < 0 ? shape->rank : 0;
  return d >= 0 && d < shape->rank ? shape->dim[d] : 1;
}

typedef struct heads {
  int64_t n, kv, causal, window; /* window -1: none */
  int64_t batch, queries, keys, past;
  double scale, filter, softcap; /* scale 0: 1 / sqrt(size) */
  neo_dtype dtype;
} heads;

/* ---- masks ----------------------------------------------------------------------------------- */

/* Which keys lengths or ends and starts leave, bool [batch, 1, 1, keys]. */
static int within(onnx_import *im, onnx_node *node, const heads *h, int mask, int64_t n) {
  const int64_t column[4] = {h->batch, 1, 1, 1};
  int64_t total = h->keys + h->past;
  int64_t *at = neo_arena_alloc(im->e.graph->arena, sizeof *at * (size_t)(total + 1));
  for (int64_t k = 0; k < total; k++)
    at[k] = k;
  int key = cast(im, node, onnx_make_ints(im, node, "keys", (int)total, at), NEO_I32);
  int end = reshape(im, node, slice(im, node, mask, 0, 0, h->batch), 4, column);
  int inside = emit2(im, node, "less", key, end);
  if (n != 2 * h->batch)
    return inside;
  int start = reshape(im, node, slice(im, node, mask, 0, h->batch, n), 4, column);
  return emit2(im, node, "and", inside, emit2(im, node, "greater_equal", key, start));
}

/* The addend of a mask input; NEO_NO_VALUE if there is none. */
static neo_status mask_addend(onnx_import *im, onnx_node *node, const heads *h, int mask,
                              int *out) {
  const neo_shape *shape = neo_emit_shape(&im->e, mask);
  int64_t total = h->keys + h->past;
  *out = NEO_NO_VALUE;
  if (mask == NEO_NO_VALUE)
    return NEO_OK;
  if (!shape || shape->rank < 1 || shape->rank > 4)
    return onnx_unsupported(im, node, "a mask of unknown shape");
  neo_shape s = *shape;
  int seen;
  if (s.rank == 1) {
    int64_t n = s.dim[0];
    if (n != h->batch && n != 2 * h->batch && n != 3 * h->batch + 2)
      return onnx_unsupported(im, node, "a mask of %lld elements", (long long)n);
    seen = within(im, node, h, cast(im, node, mask, NEO_I32), n);
  } else {
    if (s.rank == 4) {
      mask = slice(im, node, slice(im, node, mask, 2, h->past, h->past + h->queries), 3, 0, total);
    } else {
      const int64_t flags[4] = {s.dim[0], 1, s.rank == 3 ? s.dim[1] : 1, s.dim[s.rank - 1]};
      mask = reshape(im, node, mask, 4, flags);
    }
    seen = cast(im, node, mask, NEO_BOOL);
  }
  int none = onnx_make_scalar_like(im, node, "seen", h->dtype, 0);
  int hidden = onnx_make_scalar_like(im, node, "hidden", h->dtype, h->filter);
  *out = emit(im, node, "where", 3, (int[]){seen, none, hidden});
  return NEO_OK;
}

/* ---- the common end -------------------------------------------------------------------------- */

typedef struct operands {
  int q, k, v, bias, past_k, past_v;
} operands;

/* `attention` with its outputs y, present key and value. */
static const int *attend(onnx_import *im, onnx_node *node, const heads *h, const operands *o) {
  int in[6] = {o->q, o->k, o->v, o->bias, o->past_k, o->past_v};
  neo_graph *graph = im->e.graph;
  neo_node *made = onnx_emit(im, node, "attention", 6, in, node->n_outputs > 1 ? 3 : 1);
  neo_node_set_int(graph, made, "q_num_heads", h->n);
  neo_node_set_int(graph, made, "kv_num_heads", h->kv);
  neo_node_set_int(graph, made, "is_causal", h->causal != 0);
  if (h->scale != 0)
    neo_node_set_float(graph, made, "scale", h->scale);
  if (h->softcap != 0)
    neo_node_set_float(graph, made, "softcap", h->softcap);
  if (h->window >= 0)
    neo_node_set_int(graph, made, "left_window_size", h->window);
  return neo_arena_copy(graph->arena, made->output, sizeof(int) * (size_t)made->n_outputs);
}

static neo_status read_heads(onnx_import *im, onnx_node *node, heads *h) {
  *h = (heads){.window = -1, .filter = -10000};
  NEO_TRY(onnx_attr_int(im, node, "num_heads", &h->n));
  NEO_TRY(onnx_attr_int(im, node, "unidirectional", &h->causal));
  NEO_TRY(onnx_attr_float(im, node, "scale", &h->scale));
  NEO_TRY(onnx_attr_float(im, node, "mask_filter_value", &h->filter));
  h->kv = h->n;
  return h->n >= 1 ? NEO_OK : onnx_bad(im, node, "num_heads=%lld", (long long)h->n);
}

/* ---- Attention, QAttention ------------------------------------------------------------------- */

/* past [2, batch, heads, positions, size] as key and value. */
static void open_past(onnx_import *im, onnx_node *node, heads *h, int past, operands *o) {
  int64_t size = dim(im, past, -1);
  o->past_k = o->past_v = NEO_NO_VALUE;
  if (past == NEO_NO_VALUE)
    return;
  h->past = dim(im, past, 3);
  const int64_t one[4] = {h->batch, h->n, h->past, size};
  o->past_k = reshape(im, node, slice(im, node, past, 0, 0, 1), 4, one);
  o->past_v = reshape(im, node, slice(im, node, past, 0, 1, 2), 4, one);
}

/* projected [batch, sequence, q + k + v]. */
static neo_status packed_attention(onnx_import *im, onnx_node *node, int projected, const int *more,
                                   heads *h) {
  const int64_t *given;
  int n, mask;
  operands o;
  const neo_shape *shape = neo_emit_shape(&im->e, projected);
  NEO_TRY(onnx_attr_ints(im, node, "qkv_hidden_sizes", &n, &given));
  if (!shape || shape->rank != 3)
    return onnx_unsupported(im, node, "its shapes are not known");
  h->batch = shape->dim[0];
  h->queries = h->keys = shape->dim[1];
  int64_t third = shape->dim[2] / 3, size[3] = {third, third, third}, all = shape->dim[2];
  for (int k = 0; n == 3 && k < 3; k++)
    size[k] = given[k];
  if (size[0] + size[1] + size[2] != all || size[0] % h->n || size[2] % h->n)
    return onnx_bad(im, node, "%lld columns for %lld heads", (long long)all, (long long)h->n);
  h->dtype = neo_emit_dtype(&im->e, projected);
  o.q = slice(im, node, projected, 2, 0, size[0]);
  o.k = slice(im, node, projected, 2, size[0], size[0] + size[1]);
  o.v = slice(im, node, projected, 2, size[0] + size[1], all);
  open_past(im, node, h, more[1], &o);
  NEO_TRY(mask_addend(im, node, h, more[0], &mask));
  o.bias = add(im, node, mask, more[2]);
  const int *made = attend(im, node, h, &o);
  onnx_bind(im, node, 0, made[0]);
  if (node->n_outputs < 2)
    return NEO_OK;
  const int64_t half[5] = {1, h->batch, h->n, h->past + h->keys, size[0] / h->n};
  int parts[2] = {reshape(im, node, made[1], 5, half), reshape(im, node, made[2], 5, half)};
  neo_node *present = onnx_emit(im, node, "concat", 2, parts, 1);
  neo_node_set_int(im->e.graph, present, "axis", 0);
  onnx_bind(im, node, 1, present->output[0]);
  return NEO_OK;
}

/* (x, weights, bias?, mask?, past?, addend?) */
neo_status onnx_ms_attention(onnx_import *im, onnx_node *node) {
  heads h;
  int64_t rotary = 0, shared = 0;
  NEO_TRY(read_heads(im, node, &h));
  NEO_TRY(onnx_attr_int(im, node, "do_rotary", &rotary));
  NEO_TRY(onnx_attr_int(im, node, "past_present_share_buffer", &shared));
  if (rotary || shared || onnx_input(node, 6) != NEO_NO_VALUE)
    return onnx_unsupported(im, node, "rotary or a shared buffer");
  int y = emit2(im, node, "matmul", onnx_input(node, 0), onnx_input(node, 1));
  y = add(im, node, y, onnx_input(node, 2));
  int more[3] = {onnx_input(node, 3), onnx_input(node, 4), onnx_input(node, 5)};
  return packed_attention(im, node, y, more, &h);
}

/* (x, weights, bias, x scale, weight scale, mask?, x zero?, weight zero?, past?) */
neo_status onnx_ms_qattention(onnx_import *im, onnx_node *node) {
  heads h;
  NEO_TRY(read_heads(im, node, &h));
  int product[4] = {onnx_input(node, 0), onnx_input(node, 1), onnx_input(node, 6),
                    onnx_input(node, 7)};
  int sum = cast(im, node, emit(im, node, "matmul_integer", 4, product), NEO_F32);
  int scale = emit2(im, node, "mul", onnx_input(node, 3), onnx_input(node, 4));
  int y = add(im, node, emit2(im, node, "mul", sum, scale), onnx_input(node, 2));
  int more[3] = {onnx_input(node, 5), onnx_input(node, 8), NEO_NO_VALUE};
  return packed_attention(im, node, y, more, &h);
}

/* ---- MultiHeadAttention ---------------------------------------------------------------------- */

/* Part k of n that lie side by side in the dimension before the last: [b, s, heads, n, size]. */
static int unpack(onnx_import *im, onnx_node *node, const heads *h, int packed, int64_t k) {
  const int64_t whole[3] = {h->batch, dim(im, packed, 1), h->n * dim(im, packed, 4)};
  return reshape(im, node, slice(im, node, packed, 3, k, k + 1), 3, whole);
}

/* Keys or values as [batch, keys, heads * size], whatever form they have. */
static int joined(onnx_import *im, onnx_node *node, const heads *h, int x) {
  if (neo_emit_rank(&im->e, x) != 4)
    return x;
  const int64_t whole[3] = {h->batch, dim(im, x, 2), h->n * dim(im, x, 3)};
  return reshape(im, node, transpose(im, node, x, 4, (int64_t[]){0, 2, 1, 3}), 3, whole);
}

static void open_operands(onnx_import *im, onnx_node *node, heads *h, operands *o) {
  int q = onnx_input(node, 0), k = onnx_input(node, 1), v = onnx_input(node, 2);
  h->batch = dim(im, q, 0);
  h->queries = dim(im, q, 1);
  if (k == NEO_NO_VALUE) {
    o->q = unpack(im, node, h, q, 0);
    o->k = unpack(im, node, h, q, 1);
    o->v = unpack(im, node, h, q, 2);
  } else {
    o->q = q;
    o->k = v == NEO_NO_VALUE ? unpack(im, node, h, k, 0) : joined(im, node, h, k);
    o->v = v == NEO_NO_VALUE ? unpack(im, node, h, k, 1) : joined(im, node, h, v);
  }
}

static void add_bias(onnx_import *im, onnx_node *node, int bias, operands *o) {
  int64_t q = dim(im, o->q, 2), k = dim(im, o->k, 2), v = dim(im, o->v, 2);
  if (bias == NEO_NO_VALUE)
    return;
  o->q = add(im, node, o->q, slice(im, node, bias, 0, 0, q));
  o->k = add(im, node, o->k, slice(im, node, bias, 0, q, q + k));
  o->v = add(im, node, o->v, slice(im, node, bias, 0, q + k, q + k + v));
}

/* (q, k?, v?, bias?, mask?, addend?, past key?, past value?) */
neo_status onnx_ms_multi_head(onnx_import *im, onnx_node *node) {
  heads h;
  operands o;
  int mask;
  NEO_TRY(read_heads(im, node, &h));
  for (int k = 0; k < 3; k++)
    if (onnx_input(node, k) != NEO_NO_VALUE && !neo_emit_shape(&im->e, onnx_input(node, k)))
      return onnx_unsupported(im, node, "its shapes are not known");
  if (onnx_input(node, 8) != NEO_NO_VALUE || node->n_outputs > 3)
    return onnx_unsupported(im, node, "a past of a fixed length, or the scores as an output");
  open_operands(im, node, &h, &o);
  add_bias(im, node, onnx_input(node, 3), &o);
  o.past_k = onnx_input(node, 6);
  o.past_v = onnx_input(node, 7);
  h.keys = dim(im, o.k, 1);
  h.past = o.past_k == NEO_NO_VALUE ? 0 : dim(im, o.past_k, 2);
  h.dtype = neo_emit_dtype(&im->e, o.q);
  NEO_TRY(mask_addend(im, node, &h, onnx_input(node, 4), &mask));
  o.bias = add(im, node, mask, onnx_input(node, 5));
  const int *made = attend(im, node, &h, &o);
  for (int k = 0; k < node->n_outputs; k++)
    onnx_bind(im, node, k, made[k]);
  return NEO_OK;
}

/* ---- RotaryEmbedding, GroupQueryAttention ---------------------------------------------------- */

static int rotate(onnx_import *im, onnx_node *node, const int in[4], int64_t n, int64_t interleaved,
                  int64_t turned) {
  neo_node *made = onnx_emit(im, node, "rotary_embedding", 4, in, 1);
  neo_node_set_int(im->e.graph, made, "num_heads", n);
  neo_node_set_int(im->e.graph, made, "interleaved", interleaved);
  neo_node_set_int(im->e.graph, made, "rotary_embedding_dim", turned);
  return made->output[0];
}

enum { MAX_POSITIONS = 1 << 22 };

/* first, first + 1, .. for every sequence, i64 [batch, n]. */
static int positions(onnx_import *im, onnx_node *node, int64_t batch, int64_t n, int64_t first) {
  if (batch < 1 || n < 1 || n > MAX_POSITIONS / batch) {
    onnx_unsupported(im, node, "%lld sequences of %lld positions, up to %d are known",
                     (long long)batch, (long long)n, MAX_POSITIONS);
    batch = n = 1;
  }
  int64_t *at = neo_arena_alloc(im->e.graph->arena, sizeof *at * (size_t)(batch * n + 1));
  for (int64_t k = 0; k < batch * n; k++)
    at[k] = first + k % n;
  const int64_t shape[2] = {batch, n};
  return reshape(im, node, onnx_make_ints(im, node, "positions", (int)(batch * n), at), 2, shape);
}

/* (x, positions [1] or [batch, sequence], cos, sin) */
neo_status onnx_ms_rotary(onnx_import *im, onnx_node *node) {
  int64_t n = 0, interleaved = 0, turned = 0, packed = 0, ignored = 0;
  double scale = 1;
  int in[4] = {onnx_input(node, 0), onnx_input(node, 2), onnx_input(node, 3), onnx_input(node, 1)};
  const neo_shape *shape = neo_emit_shape(&im->e, in[0]);
  NEO_TRY(onnx_attr_int(im, node, "num_heads", &n));
  NEO_TRY(onnx_attr_int(im, node, "interleaved", &interleaved));
  NEO_TRY(onnx_attr_int(im, node, "rotary_embedding_dim", &turned));
  NEO_TRY(onnx_attr_int(im, node, "is_packed_batching", &packed));
  NEO_TRY(onnx_attr_int(im, node, "seq_len", &ignored));
  NEO_TRY(onnx_attr_float(im, node, "scale", &scale));
  if (!shape || packed || scale != 1 || shape->rank < 3)
    return onnx_unsupported(im, node, "packed, scaled, or its shapes are not known");
  int64_t batch = shape->dim[0], steps = shape->dim[shape->rank - 2];
  if (shape->rank == 3 && n == 0)
    n = shape->dim[2] / (2 * dim(im, in[1], 1));
  if (neo_emit_rank(&im->e, in[3]) == 1)
    in[3] = emit2(im, node, "add", positions(im, node, batch, steps, 0), in[3]);
  onnx_bind(im, node, 0, rotate(im, node, in, n, interleaved, turned));
  return NEO_OK;
}

typedef struct group_query {
  heads h;
  int64_t rotary, interleaved;
} group_query;

static neo_status read_group_query(onnx_import *im, onnx_node *node, group_query *g) {
  int64_t smooth = 0, window = -1;
  NEO_TRY(read_heads(im, node, &g->h));
  NEO_TRY(onnx_attr_int(im, node, "kv_num_heads", &g->h.kv));
  NEO_TRY(onnx_attr_float(im, node, "softcap", &g->h.softcap));
  NEO_TRY(onnx_attr_int(im, node, "do_rotary", &g->rotary));
  NEO_TRY(onnx_attr_int(im, node, "rotary_interleaved", &g->interleaved));
  NEO_TRY(onnx_attr_int(im, node, "local_window_size", &window));
  NEO_TRY(onnx_attr_int(im, node, "smooth_softmax", &smooth));
  g->h.causal = 1;
  g->h.window = window > 0 ? window - 1 : -1;
  if (g->h.kv < 1 || g->h.n % g->h.kv)
    return onnx_bad(im, node, "kv_num_heads=%lld", (long long)g->h.kv);
  if (smooth > 0 || onnx_input(node, 11) != NEO_NO_VALUE || node->n_outputs > 3)
    return onnx_unsupported(im, node, "smooth_softmax, sinks, or the scores as an output");
  return NEO_OK;
}

/* The queries, keys and values of the new positions. */
static void open_new(onnx_import *im, onnx_node *node, const heads *h, operands *o) {
  o->q = onnx_input(node, 0);
  o->k = onnx_input(node, 1);
  o->v = onnx_input(node, 2);
  if (o->k != NEO_NO_VALUE)
    return;
  int packed = o->q;
  int64_t size = dim(im, packed, 2) / (h->n + 2 * h->kv);
  o->q = slice(im, node, packed, 2, 0, h->n * size);
  o->k = slice(im, node, packed, 2, h->n * size, (h->n + h->kv) * size);
  o->v = slice(im, node, packed, 2, (h->n + h->kv) * size, (h->n + 2 * h->kv) * size);
}

/* Where the past of each sequence ends, i64 [batch]. */
static int past_ends(onnx_import *im, onnx_node *node, const heads *h) {
  const int64_t flat[1] = {h->batch};
  int end = reshape(im, node, cast(im, node, onnx_input(node, 5), NEO_I64), 1, flat);
  int before = onnx_make_scalar_like(im, node, "new", NEO_I64, (double)(1 - h->queries));
  int none = onnx_make_scalar_like(im, node, "none", NEO_I64, 0);
  return emit2(im, node, "max", emit2(im, node, "add", end, before), none);
}

/* x with `more` zeros behind its dimension d. */
static int lengthened(onnx_import *im, onnx_node *node, int x, int d, int64_t more) {
  int64_t pads[8] = {0};
  if (more <= 0)
    return x;
  pads[4 + d] = more;
  neo_node *made = onnx_emit(im, node, "pad", 1, &x, 1);
  neo_node_set_ints(im->e.graph, made, "pads", 8, pads);
  return made->output[0];
}

/* [batch, positions, heads * size] -> [batch, heads, positions, size] */
static int heads_outside(onnx_import *im, onnx_node *node, const heads *h, int x, int64_t n) {
  const int64_t split[4] = {h->batch, h->queries, n, dim(im, x, 2) / n};
  return transpose(im, node, reshape(im, node, x, 4, split), 4, (int64_t[]){0, 2, 1, 3});
}

/* Which of `total` keys a query sees, as an addend [batch, 1, queries, total]. */
static int ragged_mask(onnx_import *im, onnx_node *node, const heads *h, int ends, int64_t total) {
  const int64_t column[3] = {h->batch, 1, 1}, row[3] = {1, h->queries, 1};
  const int64_t all[4] = {h->batch, 1, h->queries, total};
  int key = positions(im, node, 1, total, 0);
  int at = emit2(im, node, "add", reshape(im, node, ends, 3, column),
                 reshape(im, node, positions(im, node, 1, h->queries, 0), 3, row));
  int seen = emit2(im, node, "less_equal", key, at);
  if (h->window >= 0) {
    int left = onnx_make_scalar_like(im, node, "window", NEO_I64, (double)h->window);
    int first = emit2(im, node, "sub", at, left);
    seen = emit2(im, node, "and", seen, emit2(im, node, "greater_equal", key, first));
  }
  int none = onnx_make_scalar_like(im, node, "seen", h->dtype, 0);
  int hidden = onnx_make_scalar_like(im, node, "hidden", h->dtype, -INFINITY);
  return reshape(im, node, emit(im, node, "where", 3, (int[]){seen, none, hidden}), 4, all);
}

/* New keys or values at the ends of a past that is `total` positions long. */
static int scattered(onnx_import *im, onnx_node *node, int past, int now, int ends, int64_t total) {
  past = lengthened(im, node, past, 2, total - dim(im, past, 2));
  neo_node *made = onnx_emit(im, node, "tensor_scatter", 3, (int[]){past, now, ends}, 1);
  neo_node_set_int(im->e.graph, made, "axis", 2);
  return made->output[0];
}

static neo_status ragged(onnx_import *im, onnx_node *node, heads *h, operands *o, int ends,
                         int64_t total) {
  int64_t size = dim(im, o->v, 2) / h->kv;
  const int64_t back[3] = {h->batch, h->queries, h->n * size};
  int present[2] = {
      scattered(im, node, o->past_k, heads_outside(im, node, h, o->k, h->kv), ends, total),
      scattered(im, node, o->past_v, heads_outside(im, node, h, o->v, h->kv), ends, total)};
  int mask = ragged_mask(im, node, h, ends, total);
  if (o->bias != NEO_NO_VALUE)
    mask =
        emit2(im, node, "add", mask, lengthened(im, node, o->bias, 3, total - dim(im, o->bias, 3)));
  operands inner = {heads_outside(im, node, h, o->q, h->n),
                    present[0],
                    present[1],
                    mask,
                    NEO_NO_VALUE,
                    NEO_NO_VALUE};
  h->causal = 0;
  h->window = -1;
  int y = transpose(im, node, attend(im, node, h, &inner)[0], 4, (int64_t[]){0, 2, 1, 3});
  onnx_bind(im, node, 0, reshape(im, node, y, 3, back));
  for (int k = 1; k < node->n_outputs; k++)
    onnx_bind(im, node, k, present[k - 1]);
  return NEO_OK;
}

/* No past: whatever a buffer holds is left out, and its length kept. */
static neo_status first_prompt(onnx_import *im, onnx_node *node, const heads *h,
                               const operands *o) {
  operands fresh = *o;
  fresh.past_k = fresh.past_v = NEO_NO_VALUE;
  const int *made = attend(im, node, h, &fresh);
  onnx_bind(im, node, 0, made[0]);
  for (int k = 1; k < node->n_outputs; k++)
    onnx_bind(im, node, k, lengthened(im, node, made[k], 2, h->past - h->keys));
  return NEO_OK;
}

typedef enum past_kind { PAST_NONE, PAST_FULL, PAST_RAGGED } past_kind;

/* total: of the longest sequence, -1: not known. */
static past_kind kind_of_past(onnx_import *im, onnx_node *node, const heads *h, int64_t total) {
  const neo_tensor *length = onnx_const(im, onnx_input(node, 5));
  if (h->past == 0 || total == h->keys)
    return PAST_NONE;
  if (total != h->past + h->keys)
    return PAST_RAGGED;
  if (h->batch == 1)
    return PAST_FULL;
  if (!length || (int64_t)(length->size / neo_dtype_size(length->dtype)) != h->batch)
    return PAST_RAGGED;
  for (int64_t b = 0; b < h->batch; b++)
    if (neo_tensor_get_i64(length, b) != total - 1)
      return PAST_RAGGED;
  return PAST_FULL;
}

static void turn_both(onnx_import *im, onnx_node *node, const group_query *g, int at, operands *o) {
  int turn[4] = {o->q, onnx_input(node, 7), onnx_input(node, 8), at};
  int64_t turned = 2 * dim(im, turn[1], 1);
  o->q = rotate(im, node, turn, g->h.n, g->interleaved, turned);
  turn[0] = o->k;
  o->k = rotate(im, node, turn, g->h.kv, g->interleaved, turned);
}

/* (q, k?, v?, past key?, past value?, lengths - 1, total length, cos?, sin?, positions?, addend?)
 */
neo_status onnx_ms_group_query(onnx_import *im, onnx_node *node) {
  group_query g = {.rotary = 0};
  operands o;
  int before = im->e.unsupported.n, ends = NEO_NO_VALUE;
  const neo_shape *shape = neo_emit_shape(&im->e, onnx_input(node, 0));
  NEO_TRY(read_group_query(im, node, &g));
  if (im->e.unsupported.n != before)
    return NEO_OK;
  if (!shape || shape->rank != 3)
    return onnx_unsupported(im, node, "its shapes are not known");
  heads *h = &g.h;
  h->batch = shape->dim[0];
  h->queries = h->keys = shape->dim[1];
  h->dtype = neo_emit_dtype(&im->e, onnx_input(node, 0));
  open_new(im, node, h, &o);
  o.past_k = onnx_input(node, 3);
  o.past_v = onnx_input(node, 4);
  h->past = o.past_k == NEO_NO_VALUE ? 0 : dim(im, o.past_k, 2);
  const neo_tensor *known = onnx_const(im, onnx_input(node, 6));
  int64_t total = known && known->size ? neo_tensor_get_i64(known, 0) : -1;
  if (total >= 0 && (total < h->keys || (h->past == 0 && total != h->keys)))
    return onnx_bad(im, node, "a total of %lld positions, %lld new ones and a past of %lld",
                    (long long)total, (long long)h->keys, (long long)h->past);
  past_kind kind = kind_of_past(im, node, h, total);
  if (kind == PAST_RAGGED)
    ends = past_ends(im, node, h);
  if (g.rotary) {
    const int64_t column[2] = {h->batch, 1};
    int at = onnx_input(node, 9);
    if (at == NEO_NO_VALUE)
      at = positions(im, node, h->batch, h->queries, kind == PAST_FULL ? h->past : 0);
    if (kind == PAST_RAGGED && onnx_input(node, 9) == NEO_NO_VALUE)
      at = emit2(im, node, "add", at, reshape(im, node, ends, 2, column));
    turn_both(im, node, &g, at, &o);
  }
  o.bias = onnx_input(node, 10);
  if (kind == PAST_NONE)
    return first_prompt(im, node, h, &o);
  if (kind == PAST_RAGGED)
    return ragged(im, node, h, &o, ends,
                  total < 0 ? h->past + h->keys : neo_max_i64(total, h->past));
  const int *made = attend(im, node, h, &o);
  for (int k = 0; k < node->n_outputs; k++)
    onnx_bind(im, node, k, made[k]);
  return NEO_OK;
}

/* ---- EmbedLayerNormalization ----------------------------------------------------------------- */

/* (ids, segments?, words, positions, segment rows?, gamma, beta, mask?, position ids?) -> y, mask
 * index, sum */
neo_status onnx_ms_embed(onnx_import *im, onnx_node *node) {
  double epsilon = 9.999999960041972e-13;
  int64_t kind = 0, axis = 1;
  int ids = onnx_input(node, 0), segment = onnx_input(node, 1), at = onnx_input(node, 8);
  int mask = onnx_input(node, 7);
  const neo_shape *shape = neo_emit_shape(&im->e, ids);
  NEO_TRY(onnx_attr_float(im, node, "epsilon", &epsilon));
  NEO_TRY(onnx_attr_int(im, node, "mask_index_type", &kind));
  if (!shape || shape->rank != 2)
    return onnx_unsupported(im, node, "its shapes are not known");
  int64_t batch = shape->dim[0], steps = shape->dim[1];
  int sum = emit2(im, node, "gather", onnx_input(node, 2), ids);
  if (at == NEO_NO_VALUE)
    at = positions(im, node, 1, steps, 0);
  sum = emit2(im, node, "add", sum, emit2(im, node, "gather", onnx_input(node, 3), at));
  if (segment != NEO_NO_VALUE)
    sum = emit2(im, node, "add", sum, emit2(im, node, "gather", onnx_input(node, 4), segment));
  neo_node *norm = onnx_emit(im, node, "layer_norm", 3,
                             (int[]){sum, onnx_input(node, 5), onnx_input(node, 6)}, 1);
  neo_node_set_float(im->e.graph, norm, "epsilon", epsilon);
  onnx_bind(im, node, 0, norm->output[0]);
  onnx_bind(im, node, 2, sum);
  if (node->n_outputs < 2)
    return NEO_OK;
  if (mask == NEO_NO_VALUE) {
    int none = cast(im, node, onnx_make_scalar_like(im, node, "none", NEO_I64, 0), NEO_I32);
    onnx_bind(im, node, 1,
              emit2(im, node, "expand", none, onnx_make_ints(im, node, "batch", 1, &batch)));
    return NEO_OK;
  }
  neo_node *count = onnx_emit(im, node, "reduce_sum", 1, &mask, 1);
  neo_node_set_ints(im->e.graph, count, "axes", 1, &axis);
  neo_node_set_int(im->e.graph, count, "keepdims", 0);
  onnx_bind(im, node, 1, count->output[0]);
  return NEO_OK;
}

/* ---- DynamicQuantizeLSTM --------------------------------------------------------------------- */

/* LSTM's inputs, W and R as integers with their last dimensions swapped, then the scales and zero
 * points of both; our lstm takes those at the end. */
neo_status onnx_dynamic_quantize_lstm(onnx_import *im, onnx_node *node) {
  int in[12];
  for (int k = 0; k < 12; k++)
    in[k] = onnx_input(node, k);
  for (int k = 1; k <= 2; k++)
    in[k] = transpose(im, node, in[k], 3, (int64_t[]){0, 2, 1});
  return onnx_recurrent_with(im, node, 12, in);
}
