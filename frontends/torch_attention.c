/* frontends/torch_attention.c: ATen's fused transformer operators, written as the operators they
 * fuse. torch takes these fast paths where no gradient is asked for. */
#include "frontends/torch.h"

#include <math.h>
#include <string.h>

static tv apply(torch *t, const char *op, int n, const tv *args) {
  return torch_call_op(t, op, &(torch_args){.n = n, .arg = args});
}

static tv ints(torch *t, int n, const int64_t *v) {
  tv list = torch_seq_new(t, TV_LIST, 0, NULL);
  for (int i = 0; i < n; i++)
    torch_seq_add(t, list.seq, torch_int(v[i]));
  return list;
}

static tv linear(torch *t, tv x, tv w, tv b) {
  return apply(t, "linear", 3, (tv[]){x, w, b});
}

/* [batch, length, width] -> [batch, heads, length, width / heads] */
static tv heads_of(torch *t, tv x, const neo_shape *shape, int64_t heads) {
  int64_t width = shape->dim[2] / heads;
  tv split = ints(t, 4, (int64_t[]){shape->dim[0], -1, heads, width});
  x = apply(t, "reshape", 2, (tv[]){x, split});
  return apply(t, "transpose", 3, (tv[]){x, torch_int(1), torch_int(2)});
}

/* A mask where true means not to look, as one for scaled_dot_product_attention. */
static tv allowed(torch *t, tv mask, bool padding) {
  if (mask.kind == TV_NONE)
    return mask;
  int id = torch_id(t, &mask);
  bool is_bool = torch_dtype_of(t, id) == NEO_BOOL;
  if (padding && torch_rank(t, id) == 2)
    for (int i = 0; i < 2; i++)
      mask = apply(t, "unsqueeze", 2, (tv[]){mask, torch_int(1)});
  return is_bool ? apply(t, "logical_not", 1, &mask) : mask;
}

typedef struct attention {
  tv q, k, v, in_weight, in_bias, out_weight, out_bias, mask;
  int64_t heads;
  bool padding; /* the mask is [batch, keys] */
} attention;

static tv attend(torch *t, const attention *a) {
  tv q = a->q, k = a->k, v = a->v;
  const neo_shape *shape = torch_shape(t, torch_id(t, &q));
  if (!shape)
    return torch_poison();
  neo_shape s = *shape;
  if (s.rank != 3 || a->heads < 1 || s.dim[2] % a->heads != 0)
    return torch_unsupported(t, "attention", "rank %d, %lld heads", s.rank, (long long)a->heads);
  tv *parts[3] = {&q, &k, &v};
  for (int i = 0; i < 3; i++) {
    tv from = torch_int(i * s.dim[2]), to = torch_int((i + 1) * s.dim[2]), one = torch_int(1);
    tv w = apply(t, "slice", 5, (tv[]){a->in_weight, torch_int(0), from, to, one});
    tv b = a->in_bias.kind == TV_NONE
               ? a->in_bias
               : apply(t, "slice", 5, (tv[]){a->in_bias, torch_int(0), from, to, one});
    *parts[i] = heads_of(t, linear(t, *parts[i], w, b), &s, a->heads);
  }
  tv out =
      apply(t, "scaled_dot_product_attention", 4, (tv[]){q, k, v, allowed(t, a->mask, a->padding)});
  out = apply(t, "transpose", 3, (tv[]){out, torch_int(1), torch_int(2)});
  out = apply(t, "reshape", 2, (tv[]){out, ints(t, 3, (int64_t[]){s.dim[0], -1, s.dim[2]})});
  return linear(t, out, a->out_weight, a->out_bias);
}

/* (query, key, value, embed_dim, num_head, qkv_weight, qkv_bias, proj_weight, proj_bias, mask?,
 * need_weights, average_attn_weights, mask_type?) -> output, weights */
tv torch_do_native_mha(torch *t, torch_call *call) {
  const tv *a = call->arg;
  attention at = {a[0],
                  a[1],
                  a[2],
                  a[5],
                  a[6],
                  a[7],
                  a[8],
                  a[9],
                  torch_arg_int(call, 4),
                  a[12].kind == TV_INT && a[12].i == 1};
  tv pair[2] = {attend(t, &at), torch_poison()};
  return torch_seq_new(t, TV_TUPLE, 2, pair);
}

/* (src, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias, use_gelu, norm_first,
 * eps, norm_weight_1, norm_bias_1, norm_weight_2, norm_bias_2, ffn_weight_1, ffn_bias_1,
 * ffn_weight_2, ffn_bias_2, mask?, mask_type?) */
tv torch_do_encoder_layer(torch *t, torch_call *call) {
  const tv *a = call->arg;
  int64_t width = torch_arg_int(call, 1);
  tv x = a[0], shape = ints(t, 1, &width), y;
  bool first = a[8].i;
  tv norm1[5] = {x, shape, a[10], a[11], a[9]}, norm2[5] = {x, shape, a[12], a[13], a[9]};
  y = first ? apply(t, "layer_norm", 5, norm1) : x;
  attention at = {y,
                  y,
                  y,
                  a[3],
                  a[4],
                  a[5],
                  a[6],
                  a[18],
                  torch_arg_int(call, 2),
                  a[19].kind == TV_INT && a[19].i == 1};
  x = apply(t, "add", 2, (tv[]){x, attend(t, &at)});
  norm1[0] = x;
  x = first ? x : apply(t, "layer_norm", 5, norm1);
  norm2[0] = x;
  y = first ? apply(t, "layer_norm", 5, norm2) : x;
  y = linear(t, y, a[14], a[15]);
  y = apply(t, a[7].i ? "gelu" : "relu", 1, &y);
  x = apply(t, "add", 2, (tv[]){x, linear(t, y, a[16], a[17])});
  norm2[0] = x;
  return first ? x : apply(t, "layer_norm", 5, norm2);
}
