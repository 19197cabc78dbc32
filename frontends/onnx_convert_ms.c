/* frontends/onnx_convert_ms.c: operators of onnxruntime's own domain that need more than a
 * template: fused activations, quantised operators whose operands depend on attributes. */
#include "frontends/onnx_import.h"

#include <string.h>

static int emit(onnx_import *im, onnx_node *node, const char *op, int n, const int *in) {
  neo_node *made = onnx_emit(im, node, op, n, in, 1);
  return made ? made->output[0] : NEO_NO_VALUE;
}

static int emit2(onnx_import *im, onnx_node *node, const char *op, int a, int b) {
  return emit(im, node, op, 2, (int[]){a, b});
}

/* ---- FusedConv, FusedGemm -------------------------------------------------------------------- */

static const struct {
  const char *name, *op, *first, *second; /* names of its parameters, in order */
} activations[] = {
    {"Relu", "relu", NULL, NULL},
    {"Tanh", "tanh", NULL, NULL},
    {"Sigmoid", "sigmoid", NULL, NULL},
    {"LeakyRelu", "leaky_relu", "alpha", NULL},
    {"Clip", "clip", "min", "max"},
    {"HardSigmoid", "hard_sigmoid", "alpha", "beta"},
    {"HardSwish", "hard_swish", NULL, NULL},
};

static neo_status activate(onnx_import *im, onnx_node *node, int value) {
  const char *name = "";
  const double *params;
  double single[2] = {0.01, 0};
  int n, has = 0;
  NEO_TRY(onnx_attr_string(im, node, "activation", &name));
  NEO_TRY(onnx_attr_floats(im, node, "activation_params", &n, &params));
  if (onnx_attr(node, "activation_alpha")) {
    NEO_TRY(onnx_attr_float(im, node, "activation_alpha", &single[0]));
    NEO_TRY(onnx_attr_float(im, node, "activation_beta", &single[1]));
    has = 2;
  }
  for (int i = 0; i < NEO_COUNT(activations); i++) {
    if (strcmp(activations[i].name, name) != 0)
      continue;
    neo_node *made = onnx_emit(im, node, activations[i].op, 1, &value, 1);
    const double *p = n > 0 ? params : single;
    has = n > 0 ? n : has;
    if (made && activations[i].first && has > 0)
      neo_node_set_float(im->e.graph, made, activations[i].first, p[0]);
    if (made && activations[i].second && has > 1)
      neo_node_set_float(im->e.graph, made, activations[i].second, p[1]);
    if (made)
      onnx_bind(im, node, 0, made->output[0]);
    return NEO_OK;
  }
  if (*name)
    return onnx_unsupported(im, node, "activation '%s'", name);
  onnx_bind(im, node, 0, value);
  return NEO_OK;
}

/* FusedConv's input 3 is added before the activation. */
neo_status onnx_fused_conv(onnx_import *im, onnx_node *node) {
  bool conv = strcmp(node->row->name, "com.microsoft:FusedConv") == 0;
  int in[3] = {onnx_input(node, 0), onnx_input(node, 1), onnx_input(node, 2)};
  neo_node *made = onnx_emit(im, node, conv ? "conv" : "gemm", 3, in, 1);
  if (!made)
    return NEO_OK;
  int value = made->output[0], more = conv ? onnx_input(node, 3) : NEO_NO_VALUE;
  NEO_TRY(onnx_copy_attrs(im, node, made));
  if (more != NEO_NO_VALUE)
    value = emit2(im, node, "add", value, more);
  return activate(im, node, value);
}

/* ---- quantised ------------------------------------------------------------------------------- */

static int transposed(onnx_import *im, onnx_node *node, int value, bool yes) {
  return yes ? emit(im, node, "transpose", 1, &value) : value;
}

/* a, a_scale, a_zero, b, b_scale, b_zero, c?, y_scale?, y_zero?; without y the result is f32. */
neo_status onnx_qgemm(onnx_import *im, onnx_node *node) {
  int64_t ta = 0, tb = 0;
  double alpha = 1;
  NEO_TRY(onnx_attr_int(im, node, "transA", &ta));
  NEO_TRY(onnx_attr_int(im, node, "transB", &tb));
  NEO_TRY(onnx_attr_float(im, node, "alpha", &alpha));
  int in[9], *a = &in[0], *b = &in[3], *scale = &in[1];
  for (int k = 0; k < 9; k++)
    in[k] = onnx_input(node, k);
  *a = transposed(im, node, *a, ta != 0);
  *b = transposed(im, node, *b, tb != 0);
  if (alpha != 1)
    *scale =
        emit2(im, node, "mul", *scale, onnx_make_scalar_like(im, node, "alpha", NEO_F32, alpha));
  if (in[7] != NEO_NO_VALUE) {
    int q[9] = {in[0], in[1], in[2], in[3], in[4], in[5], in[7], in[8], in[6]};
    if (in[8] == NEO_NO_VALUE)
      return onnx_unsupported(im, node, "y_zero_point is absent");
    int y = emit(im, node, "qlinear_matmul", 9, q);
    if (y != NEO_NO_VALUE)
      onnx_bind(im, node, 0, y);
    return NEO_OK;
  }
  int sum = emit(im, node, "matmul_integer", 4, (int[]){in[0], in[3], in[2], in[5]});
  if (in[6] != NEO_NO_VALUE)
    sum = emit2(im, node, "add", sum, in[6]);
  neo_node *cast = onnx_emit(im, node, "cast", 1, &sum, 1);
  neo_node_set_string(im->e.graph, cast, "to", "f32");
  int y = emit2(im, node, "mul", cast->output[0], emit2(im, node, "mul", in[1], in[4]));
  onnx_bind(im, node, 0, y);
  return NEO_OK;
}

/* y_scale, y_zero, then triples. */
neo_status onnx_qlinear_concat(onnx_import *im, onnx_node *node) {
  int n = (node->n_inputs - 2) / 3;
  if (n < 1 || node->n_inputs != 2 + 3 * n)
    return onnx_bad(im, node, "%d inputs", node->n_inputs);
  int *parts = neo_arena_alloc(im->e.graph->arena, sizeof(int) * (size_t)n);
  for (int k = 0; k < n; k++)
    parts[k] = emit(im, node, "dequantize_linear", 3, node->input + 2 + 3 * k);
  neo_node *joined = onnx_emit(im, node, "concat", n, parts, 1);
  NEO_TRY(onnx_copy_attrs(im, node, joined));
  int y = emit(im, node, "quantize_linear", 3,
               (int[]){joined->output[0], onnx_input(node, 0), onnx_input(node, 1)});
  onnx_bind(im, node, 0, y);
  return NEO_OK;
}

neo_status onnx_qlinear_gap(onnx_import *im, onnx_node *node) {
  int64_t last = 0;
  NEO_TRY(onnx_attr_int(im, node, "channels_last", &last));
  if (last)
    return onnx_unsupported(im, node, "channels_last=%lld", (long long)last);
  int x = emit(im, node, "dequantize_linear", 3, node->input);
  x = emit(im, node, "global_average_pool", 1, &x);
  onnx_bind(
      im, node, 0,
      emit(im, node, "quantize_linear", 3, (int[]){x, onnx_input(node, 3), onnx_input(node, 4)}));
  return NEO_OK;
}

/* ---- transformers ---------------------------------------------------------------------------- */

static int swap_last(onnx_import *im, onnx_node *node, int value, int rank) {
  int64_t perm[NEO_MAX_RANK];
  for (int d = 0; d < rank; d++)
    perm[d] = d < rank - 2 ? d : 2 * rank - 3 - d;
  neo_node *made = onnx_emit(im, node, "transpose", 1, &value, 1);
  neo_node_set_ints(im->e.graph, made, "perm", rank, perm);
  return made->output[0];
}

/* The first dimension goes behind those of the batch. */
static int batch_first(onnx_import *im, onnx_node *node, int value, int rank) {
  int64_t perm[NEO_MAX_RANK];
  for (int d = 0; d < rank; d++)
    perm[d] = d < rank - 2 ? d + 1 : d == rank - 2 ? 0 : d;
  neo_node *made = onnx_emit(im, node, "transpose", 1, &value, 1);
  neo_node_set_ints(im->e.graph, made, "perm", rank, perm);
  return made->output[0];
}

/* alpha * a b, either with its last two dimensions swapped. */
neo_status onnx_fused_matmul(onnx_import *im, onnx_node *node) {
  static const char *const flags[2] = {"transA", "transB"}, *const batches[2] = {"transBatchA",
                                                                                 "transBatchB"};
  int in[2] = {onnx_input(node, 0), onnx_input(node, 1)};
  double alpha = 1;
  for (int k = 0; k < 2; k++) {
    int64_t swap = 0, batch = 0;
    NEO_TRY(onnx_attr_int(im, node, flags[k], &swap));
    NEO_TRY(onnx_attr_int(im, node, batches[k], &batch));
    int rank = swap || batch ? neo_emit_rank(&im->e, in[k]) : 2;
    if (in[k] == NEO_NO_VALUE || rank < 2)
      return onnx_unsupported(im, node, "the rank of input %d is not known, or below 2", k);
    if (batch)
      in[k] = batch_first(im, node, in[k], rank);
    if (swap)
      in[k] = swap_last(im, node, in[k], rank);
  }
  NEO_TRY(onnx_attr_float(im, node, "alpha", &alpha));
  int y = emit2(im, node, "matmul", in[0], in[1]);
  if (alpha != 1) {
    neo_dtype dtype = neo_emit_dtype(&im->e, in[0]);
    dtype = dtype == NEO_DTYPE_COUNT ? NEO_F32 : dtype;
    y = emit2(im, node, "mul", y, onnx_make_scalar_like(im, node, "alpha", dtype, alpha));
  }
  onnx_bind(im, node, 0, y);
  return NEO_OK;
}

typedef struct nbits {
  int64_t k, n, bits, block, blocks; /* blocks of each of the n columns */
} nbits;

/* Packed constants as a tensor [rows, per_row] of a narrow type; 4 bits: low ones first. */
static neo_status unpack(onnx_import *im, onnx_node *node, const neo_tensor *packed, const nbits *w,
                         int64_t per_row, int *out) {
  neo_tensor wide;
  int64_t rows = w->n;
  neo_dtype dtype = w->bits == 8 ? NEO_U8 : NEO_U4;
  size_t bytes_per_row = packed->size / (size_t)rows;
  if (packed->dtype != NEO_U8 || bytes_per_row * (w->bits == 8 ? 1 : 2) < (size_t)per_row)
    return onnx_bad(im, node, "%zu bytes of packed values, %lld x %lld needed", packed->size,
                    (long long)rows, (long long)per_row);
  NEO_TRY(neo_tensor_create(im->e.ctx, dtype, &(neo_shape){2, {rows, per_row}}, &wide));
  neo_graph_adopt(im->e.graph, wide.data);
  for (int64_t r = 0; r < rows && w->bits == 8; r++)
    memcpy((uint8_t *)wide.data + r * per_row,
           (const uint8_t *)packed->data + (size_t)r * bytes_per_row, (size_t)per_row);
  for (int64_t r = 0; r < rows && w->bits == 4; r++)
    onnx_packed_store((const uint8_t *)packed->data + (size_t)r * bytes_per_row, per_row,
                      &(neo_tensor){NEO_U4, wide.shape, (uint8_t *)wide.data + r * per_row, 0});
  *out = neo_graph_add_constant(im->e.graph, node->name, &wide);
  return NEO_OK;
}

static neo_status read_nbits(onnx_import *im, onnx_node *node, nbits *w) {
  *w = (nbits){.bits = 4};
  NEO_TRY(onnx_attr_int(im, node, "K", &w->k));
  NEO_TRY(onnx_attr_int(im, node, "N", &w->n));
  NEO_TRY(onnx_attr_int(im, node, "bits", &w->bits));
  NEO_TRY(onnx_attr_int(im, node, "block_size", &w->block));
  onnx_attr(node, "accuracy_level");
  if (w->k < 1 || w->n < 1 || w->block < 1 || w->k > 1 << 24 || w->n > 1 << 24 ||
      w->block > 1 << 20)
    return onnx_bad(im, node, "K=%lld, N=%lld, block_size=%lld", (long long)w->k, (long long)w->n,
                    (long long)w->block);
  w->blocks = (w->k + w->block - 1) / w->block;
  return NEO_OK;
}

/* (a, b u8 [n, blocks, bytes], scales [n * blocks], zeros? u8, order?, bias?): a times the
 * transpose of what b holds: integers of 4 (or 8) bits with a scale and a zero point (8 or 128) per
 * block. */
neo_status onnx_matmul_nbits(onnx_import *im, onnx_node *node) {
  nbits w;
  const neo_tensor *packed = onnx_const(im, onnx_input(node, 1)),
                   *packed_zero = onnx_const(im, onnx_input(node, 3));
  int zero = NEO_NO_VALUE, q;
  NEO_TRY(read_nbits(im, node, &w));
  if (!packed || (w.bits != 4 && w.bits != 8) || onnx_input(node, 4) != NEO_NO_VALUE ||
      (onnx_input(node, 3) != NEO_NO_VALUE && !packed_zero))
    return onnx_unsupported(im, node, "other than constants of 4 or 8 bits in their own order");
  NEO_TRY(unpack(im, node, packed, &w, w.blocks * w.block, &q));
  const int64_t grid[2] = {w.n, w.blocks}, from = 0, axis = 1;
  int target = onnx_make_ints(im, node, "grid", 2, grid);
  int scale = emit2(im, node, "reshape", onnx_input(node, 2), target);
  if (packed_zero) {
    NEO_TRY(unpack(im, node, packed_zero, &w, w.blocks, &zero));
  } else {
    int middle = w.bits == 8 ? onnx_make_scalar_like(im, node, "zero", NEO_U8, 128)
                             : onnx_make_scalar_like(im, node, "zero", NEO_U4, 8);
    zero = emit2(im, node, "expand", middle, target);
  }
  neo_node *wide = onnx_emit(im, node, "dequantize_linear", 3, (int[]){q, scale, zero}, 1);
  neo_node_set_int(im->e.graph, wide, "axis", 1);
  neo_node_set_int(im->e.graph, wide, "block_size", w.block);
  int b = wide->output[0];
  neo_node *cut = onnx_emit(im, node, "slice", 1, &b, 1);
  neo_node_set_ints(im->e.graph, cut, "axes", 1, &axis);
  neo_node_set_ints(im->e.graph, cut, "starts", 1, &from);
  neo_node_set_ints(im->e.graph, cut, "ends", 1, &w.k);
  b = swap_last(im, node, cut->output[0], 2);
  int y = emit2(im, node, "matmul", onnx_input(node, 0), b);
  if (onnx_input(node, 5) != NEO_NO_VALUE)
    y = emit2(im, node, "add", y, onnx_input(node, 5));
  onnx_bind(im, node, 0, y);
  return NEO_OK;
}
