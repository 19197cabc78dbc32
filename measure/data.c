/* Data for measuring: what goes into a kernel and what should come out.
 *
 * Inputs and constants are pseudo-random, a function of (workload key, buffer, seed) only. Float
 * data is nearly normal (the sum of four uniform numbers, in a tenth of the time); where the te
 * takes logarithms, roots or powers it is kept positive, so that references are finite and
 * comparisons mean something. Integer data is small, so that indices stay in range. References are
 * made by whoever runs the widened te. */
#include <math.h>
#include <string.h>

#include "measure/parts.h"

static bool wants_positive(const neo_expr *e) {
  if (e->op == NEO_EXPR_SQRT || e->op == NEO_EXPR_LOG || e->op == NEO_EXPR_POW ||
      e->op == NEO_EXPR_ACOSH)
    return true;
  for (int i = 0; i < e->n_args; i++)
    if (wants_positive(e->arg[i]))
      return true;
  return false;
}

/* Mean 0, variance 1. */
static double bell(neo_rng *rng) {
  uint64_t x = neo_rng_next(rng);
  int64_t sum = (int64_t)((x & 0xffff) + (x >> 16 & 0xffff) + (x >> 32 & 0xffff) + (x >> 48));
  return (double)(sum - 2 * 65535) / 37837.2;
}

static void fill_f32(float *data, int64_t n, neo_rng *rng, bool positive) {
  for (int64_t i = 0; i < n; i++) {
    double v = bell(rng);
    data[i] = (float)(positive ? fabs(v) + 0.1 : v);
  }
}

static void fill(neo_tensor *tensor, neo_rng *rng, bool positive) {
  int64_t n = 0;
  neo_assert(neo_shape_elements(&tensor->shape, &n));
  if (tensor->dtype == NEO_F32) {
    fill_f32(tensor->data, n, rng, positive);
    return;
  }
  for (int64_t i = 0; i < n; i++) {
    char cls = neo_dtype_class(tensor->dtype);
    if (cls == 'f') {
      double v = bell(rng);
      neo_tensor_set_f64(tensor, i, positive ? fabs(v) + 0.1 : v);
    } else if (cls == 'b') {
      neo_tensor_set_i64(tensor, i, (int64_t)neo_rng_below(rng, 2));
    } else {
      neo_tensor_set_i64(tensor, i, (int64_t)neo_rng_below(rng, 4));
    }
  }
}

static neo_status make_tensor(neo_ctx *ctx, const neo_te *te, const char *key, uint64_t seed, int b,
                              neo_tensor *out) {
  bool positive = false;
  neo_rng rng;
  for (int k = 0; k < te->n_blocks; k++)
    positive = positive || wants_positive(te->block[k].body);
  NEO_TRY(neo_tensor_create(ctx, te->buffer[b].dtype, &te->buffer[b].shape, out));
  neo_rng_init(&rng,
               neo_hash64(key, strlen(key)) ^ (seed * 0x9e3779b97f4a7c15u) ^ ((uint64_t)b << 56));
  if (te->buffer[b].role != NEO_TE_OUT)
    fill(out, &rng, positive);
  return NEO_OK;
}

neo_status neo_data_create(neo_ctx *ctx, const neo_te *te, const char *key, uint64_t seed,
                           neo_data *data) {
  for (int b = 0; b < te->n_buffers; b++)
    if (te->buffer[b].role != NEO_TE_TMP && !data->tensor[b].data)
      NEO_TRY(make_tensor(ctx, te, key, seed, b, &data->tensor[b]));
  return NEO_OK;
}

void neo_data_drop_inputs(neo_ctx *ctx, const neo_te *te, neo_data *data) {
  for (int b = 0; b < te->n_buffers; b++)
    if (te->buffer[b].role != NEO_TE_OUT)
      neo_tensor_free(ctx, &data->tensor[b]);
}

size_t neo_data_input_bytes(const neo_te *te, const neo_data *data) {
  size_t sum = 0;
  for (int b = 0; b < te->n_buffers; b++)
    if (te->buffer[b].role != NEO_TE_OUT)
      sum += data->tensor[b].size;
  return sum;
}

void neo_data_destroy(neo_ctx *ctx, const neo_te *te, neo_data *data) {
  for (int b = 0; b < te->n_buffers; b++)
    neo_tensor_free(ctx, &data->tensor[b]);
}

neo_status neo_data_input(neo_ctx *ctx, const neo_tensor *tensor, const neo_layout *layout,
                          void **out, size_t *size) {
  size_t bytes =
      (size_t)neo_layout_elements(layout, &tensor->shape) * neo_dtype_size(tensor->dtype);
  void *packed = neo_aligned_alloc(ctx, bytes);
  if (!packed)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: %zu bytes of data", bytes);
  neo_layout_pack(layout, tensor, packed);
  *out = packed;
  *size = bytes;
  return NEO_OK;
}

/* Padding of a blocked layout is where a packed tensor of ones is zero. */
static void mark_padding(const neo_layout *layout, const neo_tensor *ones, void *scratch,
                         neo_tensor *packed) {
  int64_t n = (int64_t)(packed->size / neo_dtype_size(packed->dtype));
  neo_layout_pack(layout, ones, scratch);
  for (int64_t i = 0; i < n; i++)
    if (((const uint8_t *)scratch)[i] == 0)
      neo_tensor_set_f64(packed, i, NAN);
}

neo_status neo_data_reference(neo_ctx *ctx, const neo_tensor *tensor, const neo_layout *layout,
                              void **out, size_t *size) {
  neo_tensor plain = {0}, ones = {0};
  int64_t n = 0;
  neo_dtype dtype = tensor->dtype == NEO_F32 ? NEO_F32 : NEO_F64;
  neo_assert(neo_shape_elements(&tensor->shape, &n));
  neo_status status = neo_tensor_create(ctx, dtype, &tensor->shape, &plain);
  if (status == NEO_OK)
    status = neo_tensor_create(ctx, NEO_U8, &tensor->shape, &ones);
  void *packed = NULL;
  size_t bytes = 0;
  if (status == NEO_OK) {
    bool is_float = neo_dtype_class(tensor->dtype) == 'f';
    if (tensor->dtype == dtype)
      memcpy(plain.data, tensor->data, tensor->size);
    for (int64_t i = 0; tensor->dtype != dtype && i < n; i++)
      neo_tensor_set_f64(&plain, i,
                         is_float ? neo_tensor_get_f64(tensor, i)
                                  : (double)neo_tensor_get_i64(tensor, i));
    memset(ones.data, 1, ones.size);
    status = neo_data_input(ctx, &plain, layout, &packed, &bytes);
  }
  int64_t elements = (int64_t)(bytes / neo_dtype_size(dtype));
  void *scratch =
      status == NEO_OK && elements > n ? neo_aligned_alloc(ctx, (size_t)elements) : NULL;
  if (scratch) {
    neo_tensor view = {
        .dtype = dtype, .shape = {.rank = 1, .dim = {elements}}, .data = packed, .size = bytes};
    mark_padding(layout, &ones, scratch, &view);
  }
  neo_aligned_free(ctx, scratch);
  neo_tensor_free(ctx, &plain);
  neo_tensor_free(ctx, &ones);
  if (status == NEO_OK) {
    *out = packed;
    *size = bytes;
  }
  return status;
}

neo_status neo_data_transform(neo_ctx *ctx, const neo_pack *pack, const neo_tensor *source,
                              neo_tensor *out) {
  neo_tensor *buffers[NEO_TE_MAX_BUFFERS] = {0};
  neo_tensor in = *source, made = {0};
  neo_status status = NEO_OK;
  for (int b = 0; b < pack->te.n_buffers && status == NEO_OK; b++) {
    if (pack->te.buffer[b].role == NEO_TE_IN)
      buffers[b] = &in;
    if (pack->te.buffer[b].role == NEO_TE_OUT) {
      status = neo_tensor_create(ctx, pack->te.buffer[b].dtype, &pack->te.buffer[b].shape, &made);
      buffers[b] = &made;
    }
  }
  if (status == NEO_OK)
    status = neo_measure_native(ctx, &pack->te, buffers);
  if (status == NEO_OK)
    *out = made;
  else
    neo_tensor_free(ctx, &made);
  return status;
}

double neo_data_magnitude(const neo_tensor *tensor) {
  int64_t n = 0;
  double largest = 0;
  neo_assert(neo_shape_elements(&tensor->shape, &n));
  bool is_float = neo_dtype_class(tensor->dtype) == 'f';
  for (int64_t i = 0; i < n; i++) {
    double v =
        fabs(is_float ? neo_tensor_get_f64(tensor, i) : (double)neo_tensor_get_i64(tensor, i));
    if (isfinite(v) && v > largest)
      largest = v;
  }
  return largest;
}
