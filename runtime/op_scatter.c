/* scatter_rows: a copy of a matrix with rows replaced by, or combined with, rows of another, in
 * order. Rows that do not exist are skipped: indices are data.
 *
 * Serial: updates of one row must keep their order, and the copy is most of the work. */
#include "runtime/ops.h"

#include <string.h>

enum { REDUCTION };
static const neo_op_attribute attributes[] = {{"reduction", 'i', 0}, {NULL, 0, 0}};

static neo_status check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *data = call->value[0], *rows = call->value[1], *updates = call->value[2],
                       *out = call->value[3];
  int64_t how = call->integer[REDUCTION], size = (int64_t)neo_rt_dtype_size(data->dtype);
  if (data->rank != 2 || updates->rank != 2 || rows->rank != 1 || rows->dtype != NEO_RT_I64 ||
      updates->dim[0] != rows->dim[0] || updates->dim[1] != data->dim[1] ||
      updates->dtype != data->dtype || out->dtype != data->dtype)
    return neo_fail(ctx, NEO_BAD_INPUT, "scatter_rows: data, rows and updates do not fit");
  if (data->bytes < data->dim[0] * data->dim[1] * size ||
      out->bytes < data->dim[0] * data->dim[1] * size ||
      updates->bytes < updates->dim[0] * updates->dim[1] * size || rows->bytes < rows->dim[0] * 8)
    return neo_fail(ctx, NEO_BAD_INPUT, "scatter_rows: an argument is smaller than its shape");
  if (how < 0 || how > 4 ||
      (how &&
       (data->dtype == NEO_RT_F16 || data->dtype == NEO_RT_BF16 || data->dtype >= NEO_RT_BOOL)))
    return neo_fail(ctx, NEO_UNSUPPORTED, "scatter_rows: reduction %lld of %s", (long long)how,
                    neo_rt_dtype_name(data->dtype));
  return NEO_OK;
}

#define COMBINE(name, type, wide)                                                                  \
  static void name(void *to, const void *from, int64_t n, int64_t how) {                           \
    type *a = to;                                                                                  \
    const type *b = from;                                                                          \
    for (int64_t i = 0; i < n; i++)                                                                \
      a[i] = how == 1      ? (type)((wide)a[i] + (wide)b[i])                                       \
             : how == 2    ? (type)((wide)a[i] * (wide)b[i])                                       \
             : how == 3    ? (b[i] > a[i] ? b[i] : a[i])                                           \
             : b[i] < a[i] ? b[i]                                                                  \
                           : a[i];                                                                 \
  }
COMBINE(combine_f32, float, float)
COMBINE(combine_f64, double, double)
COMBINE(combine_i8, int8_t, uint64_t)
COMBINE(combine_i16, int16_t, uint64_t)
COMBINE(combine_i32, int32_t, uint64_t)
COMBINE(combine_i64, int64_t, uint64_t)
COMBINE(combine_u8, uint8_t, uint64_t)
COMBINE(combine_u16, uint16_t, uint64_t)
COMBINE(combine_u32, uint32_t, uint64_t)
COMBINE(combine_u64, uint64_t, uint64_t)
#undef COMBINE

typedef void (*combine_fn)(void *to, const void *from, int64_t n, int64_t how);
static const combine_fn combine[NEO_RT_DTYPE_COUNT] = {
    [NEO_RT_F32] = combine_f32, [NEO_RT_F64] = combine_f64, [NEO_RT_I8] = combine_i8,
    [NEO_RT_I16] = combine_i16, [NEO_RT_I32] = combine_i32, [NEO_RT_I64] = combine_i64,
    [NEO_RT_U8] = combine_u8,   [NEO_RT_U16] = combine_u16, [NEO_RT_U32] = combine_u32,
    [NEO_RT_U64] = combine_u64,
};

static void run(const neo_op_call *call) {
  const neo_plan_value *data = call->value[0];
  int64_t n = data->dim[0], inner = data->dim[1], how = call->integer[REDUCTION];
  size_t bytes = (size_t)inner * neo_rt_dtype_size(data->dtype);
  const int64_t *rows = call->data[1];
  char *out = call->data[3];
  const char *updates = call->data[2];
  if (bytes == 0)
    return;
  memcpy(out, call->data[0], (size_t)n * bytes);
  for (int64_t m = 0; m < call->value[1]->dim[0]; m++) {
    if (rows[m] < 0 || rows[m] >= n)
      continue;
    char *to = out + (size_t)rows[m] * bytes;
    if (how == 0)
      memcpy(to, updates + (size_t)m * bytes, bytes);
    else
      combine[data->dtype](to, updates + (size_t)m * bytes, inner, how);
  }
}

const neo_op neo_op_scatter_rows = {"scatter_rows", 3, 3, 1, 1, attributes, check, run, NULL};
