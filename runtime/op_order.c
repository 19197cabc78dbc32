/* top_k, arg_max, arg_min: selection along one axis.
 *
 * Algorithm: top_k keeps a heap of the best k seen, worst on top, so a slice of n costs n log k and
 * k words of memory; among equals the lower index wins, which is what ONNX asks. Slices are
 * independent and are spread over the workers. Tensors are dense row-major: [outer][n][inner]. */
#include "runtime/ops.h"

#include <string.h>

static int64_t dense_bytes(const neo_plan_value *v) {
  int64_t bytes = (int64_t)neo_rt_dtype_size(v->dtype);
  for (int i = 0; i < v->rank; i++)
    bytes *= v->dim[i];
  return bytes;
}

static neo_status check_dense(neo_ctx *ctx, const neo_op_call *call) {
  for (int i = 0; i < call->n_inputs + call->n_outputs; i++)
    if (call->value[i]->bytes < dense_bytes(call->value[i]))
      return neo_fail(ctx, NEO_BAD_INPUT, "%s: argument %d has %lld bytes, its shape needs %lld",
                      call->op->name, i, (long long)call->value[i]->bytes,
                      (long long)dense_bytes(call->value[i]));
  return NEO_OK;
}

/* ---- top_k ------------------------------------------------------------------------------------ */

enum { TOPK_K, TOPK_AXIS, TOPK_LARGEST, TOPK_SORTED };
static const neo_op_attribute top_k_attributes[] = {
    {"k", 'I', 0}, {"axis", 'i', -1}, {"largest", 'i', 1}, {"sorted", 'i', 1}, {NULL, 0, 0}};

static neo_status top_k_check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *x = call->value[0], *values = call->value[1], *indices = call->value[2];
  int64_t shape[3], k = call->integer[TOPK_K];
  NEO_TRY(neo_runtime_op_axis(ctx, "top_k", x, call->integer[TOPK_AXIS], shape));
  NEO_TRY(check_dense(ctx, call));
  if (k < 0 || k > shape[1])
    return neo_fail(ctx, NEO_BAD_INPUT, "top_k: k is %lld, the axis has %lld elements",
                    (long long)k, (long long)shape[1]);
  int64_t elements = shape[0] * k * shape[2], size = (int64_t)neo_rt_dtype_size(x->dtype);
  if (values->dtype != x->dtype || values->bytes < elements * size ||
      indices->dtype != NEO_RT_I64 || indices->bytes < elements * 8)
    return neo_fail(ctx, NEO_BAD_INPUT, "top_k: outputs do not fit %lld elements",
                    (long long)elements);
  call->work_bytes = (size_t)k * sizeof(int64_t);
  return NEO_OK;
}

typedef struct selection {
  const void *data;
  int dtype, sign;
  int64_t base, stride;
} selection;

/* Is index a to be preferred to b? */
static bool better(const selection *s, int64_t a, int64_t b) {
  int order =
      s->sign * neo_op_compare(s->data, s->dtype, s->base + a * s->stride, s->base + b * s->stride);
  return order != 0 ? order > 0 : a < b;
}

/* Restores the heap (worst on top) below `at`. */
static void sift_down(const selection *s, int64_t *heap, int64_t n, int64_t at) {
  for (;;) {
    int64_t child = 2 * at + 1, moved = heap[at];
    if (child >= n)
      return;
    if (child + 1 < n && better(s, heap[child], heap[child + 1]))
      child++;
    if (better(s, heap[child], moved))
      return;
    heap[at] = heap[child];
    heap[child] = moved;
    at = child;
  }
}

static void select_best(const selection *s, int64_t n, int64_t k, int64_t *heap) {
  for (int64_t i = 0; i < k; i++)
    heap[i] = i;
  for (int64_t i = k / 2; i-- > 0;)
    sift_down(s, heap, k, i);
  for (int64_t i = k; i < n; i++)
    if (better(s, i, heap[0])) {
      heap[0] = i;
      sift_down(s, heap, k, 0);
    }
  for (int64_t last = k - 1; last > 0; last--) {
    int64_t worst = heap[0];
    heap[0] = heap[last];
    heap[last] = worst;
    sift_down(s, heap, last, 0);
  }
}

static void top_k_part(void *self, int worker, int64_t begin, int64_t end) {
  const neo_op_call *call = self;
  int64_t shape[3], k = call->integer[TOPK_K];
  neo_ctx unused = {0};
  const neo_plan_value *x = call->value[0];
  if (neo_runtime_op_axis(&unused, "top_k", x, call->integer[TOPK_AXIS], shape) != NEO_OK)
    return;
  int64_t *heap = (int64_t *)(call->work + (size_t)worker * call->work_bytes);
  size_t size = neo_rt_dtype_size(x->dtype);
  char *values = call->data[1];
  int64_t *indices = call->data[2];
  for (int64_t slice = begin; slice < end; slice++) {
    int64_t outer = slice / shape[2], inner = slice % shape[2];
    selection s = {call->data[0], x->dtype, call->integer[TOPK_LARGEST] ? 1 : -1,
                   outer * shape[1] * shape[2] + inner, shape[2]};
    select_best(&s, shape[1], k, heap);
    for (int64_t i = 0; i < k; i++) {
      int64_t to = (outer * k + i) * shape[2] + inner, from = s.base + heap[i] * s.stride;
      memcpy(values + (size_t)to * size, (const char *)call->data[0] + (size_t)from * size, size);
      indices[to] = heap[i];
    }
  }
}

static void top_k_run(const neo_op_call *call) {
  const neo_plan_value *x = call->value[0];
  int64_t shape[3];
  neo_ctx unused = {0};
  if (call->integer[TOPK_K] > 0 &&
      neo_runtime_op_axis(&unused, "top_k", x, call->integer[TOPK_AXIS], shape) == NEO_OK)
    neo_pool_run(call->pool, shape[0] * shape[2], top_k_part, (void *)(uintptr_t)call);
}

const neo_op neo_op_top_k = {"top_k", 1, 1, 2, 2, top_k_attributes, top_k_check, top_k_run, NULL};

/* ---- arg_max, arg_min --------------------------------------------------------------------------- */

enum { ARG_AXIS, ARG_LAST };
static const neo_op_attribute arg_attributes[] = {{"axis", 'i', 0}, {"last", 'i', 0}, {NULL, 0, 0}};

static neo_status arg_check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *index = call->value[1];
  int64_t shape[3];
  NEO_TRY(neo_runtime_op_axis(ctx, call->op->name, call->value[0], call->integer[ARG_AXIS], shape));
  NEO_TRY(check_dense(ctx, call));
  int64_t slices = shape[0] * shape[2];
  if ((index->dtype != NEO_RT_I64 && index->dtype != NEO_RT_I32) ||
      index->bytes < slices * (int64_t)neo_rt_dtype_size(index->dtype) || (slices && shape[1] == 0))
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: the output does not fit %lld slices of %lld",
                    call->op->name, (long long)slices, (long long)shape[1]);
  return NEO_OK;
}

static void arg_run(const neo_op_call *call, int sign) {
  const neo_plan_value *x = call->value[0];
  int64_t shape[3];
  neo_ctx unused = {0};
  if (neo_runtime_op_axis(&unused, call->op->name, x, call->integer[ARG_AXIS], shape) != NEO_OK)
    return;
  int least = call->integer[ARG_LAST] ? 0 : 1; /* how much better a later element must be */
  for (int64_t slice = 0; slice < shape[0] * shape[2]; slice++) {
    int64_t base = slice / shape[2] * shape[1] * shape[2] + slice % shape[2], best = 0;
    for (int64_t i = 1; i < shape[1]; i++)
      if (sign * neo_op_compare(call->data[0], x->dtype, base + i * shape[2],
                                base + best * shape[2]) >=
          least)
        best = i;
    if (call->value[1]->dtype == NEO_RT_I64)
      ((int64_t *)call->data[1])[slice] = best;
    else
      ((int32_t *)call->data[1])[slice] = (int32_t)best;
  }
}

static void arg_max_run(const neo_op_call *call) {
  arg_run(call, 1);
}
static void arg_min_run(const neo_op_call *call) {
  arg_run(call, -1);
}

const neo_op neo_op_arg_max = {"arg_max", 1, 1, 1, 1, arg_attributes, arg_check, arg_max_run, NULL};
const neo_op neo_op_arg_min = {"arg_min", 1, 1, 1, 1, arg_attributes, arg_check, arg_min_run, NULL};

/* ---- nonzero ------------------------------------------------------------------------------------ */

static const neo_op_attribute no_attributes[] = {{NULL, 0, 0}};

/* Output i64 [rank, M]: the first columns are the indices of non-zero elements in order, the rest
 * -1. A second output, i64 of one element, is their number (all of them, even when M is smaller).
 */
static neo_status nonzero_check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *x = call->value[0], *out = call->value[1];
  NEO_TRY(check_dense(ctx, call));
  if (out->dtype != NEO_RT_I64 || out->rank != 2 || out->dim[0] != x->rank)
    return neo_fail(ctx, NEO_BAD_INPUT, "nonzero: the output must be i64 [%d, n]", x->rank);
  if (call->n_outputs == 2 && (call->value[2]->dtype != NEO_RT_I64 || call->value[2]->bytes < 8))
    return neo_fail(ctx, NEO_BAD_INPUT, "nonzero: the count must be one i64");
  return NEO_OK;
}

static void nonzero_run(const neo_op_call *call) {
  const neo_plan_value *x = call->value[0];
  int64_t room = call->value[1]->dim[1], found = 0, elements = 1;
  int64_t *out = call->data[1];
  for (int i = 0; i < x->rank; i++)
    elements *= x->dim[i];
  memset(out, 0xff, (size_t)(room * x->rank) * sizeof(*out));
  for (int64_t i = 0; i < elements; i++) {
    if (neo_rt_element(call->data[0], x->dtype, i) == 0.0)
      continue;
    int64_t rest = i;
    for (int axis = x->rank - 1; axis >= 0 && found < room; axis--) {
      out[axis * room + found] = rest % x->dim[axis];
      rest /= x->dim[axis];
    }
    found++;
  }
  if (call->n_outputs == 2)
    *(int64_t *)call->data[2] = found;
}

const neo_op neo_op_nonzero = {"nonzero",     1,           1,   1, 2, no_attributes,
                               nonzero_check, nonzero_run, NULL};

/* ---- unreachable ---------------------------------------------------------------------------------- */

static const neo_op_attribute unreachable_attributes[] = {
    {"dtype", 't', 0}, {"shape", 't', 0}, {NULL, 0, 0}};

static neo_status unreachable_check(neo_ctx *ctx, neo_op_call *call) {
  (void)ctx;
  (void)call;
  return NEO_OK;
}

/* In place of a branch that does not fit the input shapes; the step's name says which. */
static int32_t unreachable_run(const neo_op_call *call) {
  (void)call;
  return 1;
}

const neo_op neo_op_unreachable = {
    "unreachable", 0, 0, 1, 1, unreachable_attributes, unreachable_check, NULL, unreachable_run};
