/* The table of runtime operators and what they share: attributes as text, argument counts,
 * ordering.
 *
 * Why attributes are text: the plan stays one format while operators come and go; they are parsed
 * once per session, so a run does not pay for it. An attribute that the row does not know is an
 * error: it would be silently ignored semantics. */
#include "runtime/ops.h"

#include <string.h>

#define X(row) extern const neo_op neo_op_##row;
#include "runtime/runtime_ops.def"
#undef X

static const neo_op *const rows[] = {
#define X(row) &neo_op_##row,
#include "runtime/runtime_ops.def"
#undef X
};

const neo_op *neo_runtime_op_find(const char *name) {
  for (int i = 0; i < NEO_COUNT(rows); i++)
    if (strcmp(rows[i]->name, name) == 0)
      return rows[i];
  return NULL;
}

/* Up to the blank behind it; quoted text may have blanks. */
static void skip_text(neo_scan *scan) {
  bool quoted = false;
  for (; *scan->at && (quoted || *scan->at != ' '); scan->at++) {
    if (quoted && *scan->at == '\\' && scan->at[1])
      scan->at++;
    else if (*scan->at == '"')
      quoted = !quoted;
  }
}

static neo_status parse_value(neo_ctx *ctx, neo_scan *scan, const neo_op *op, int i,
                              neo_op_call *call) {
  if (op->attribute[i].kind == 't') {
    skip_text(scan);
    return NEO_OK;
  }
  bool integer = op->attribute[i].kind != 'r';
  bool read =
      integer ? neo_scan_int(scan, &call->integer[i]) : neo_scan_double(scan, &call->real[i]);
  if (!read || (*scan->at != '\0' && *scan->at != ' '))
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: attribute '%s' is not %s: '%.40s'", op->name,
                    op->attribute[i].name, integer ? "an integer" : "a number", scan->at);
  return NEO_OK;
}

static int attribute_find(const neo_op *op, const char *name) {
  for (int i = 0; op->attribute[i].name; i++)
    if (strcmp(op->attribute[i].name, name) == 0)
      return i;
  return -1;
}

neo_status neo_op_parse(neo_ctx *ctx, const neo_op *op, const char *text, neo_op_call *call) {
  bool given[NEO_OP_MAX_ATTRIBUTES] = {false};
  neo_scan scan;
  neo_scan_init(&scan, text);
  while (!neo_scan_end(&scan)) {
    char name[64];
    if (!neo_scan_name(&scan, name, sizeof(name)) || !neo_scan_token(&scan, "="))
      return neo_fail(ctx, NEO_BAD_INPUT, "%s: attributes are not 'k=v ...': '%.80s'", op->name,
                      text);
    int i = attribute_find(op, name);
    if (i < 0 || given[i])
      return neo_fail(ctx, NEO_UNSUPPORTED, "%s: attribute '%s' is %s", op->name, name,
                      i < 0 ? "unknown" : "given twice");
    NEO_TRY(parse_value(ctx, &scan, op, i, call));
    given[i] = true;
  }
  for (int i = 0; op->attribute[i].name; i++) {
    if (given[i])
      continue;
    if (op->attribute[i].kind == 'I')
      return neo_fail(ctx, NEO_BAD_INPUT, "%s: attribute '%s' is missing", op->name,
                      op->attribute[i].name);
    call->integer[i] = (int64_t)op->attribute[i].fallback;
    call->real[i] = op->attribute[i].fallback;
  }
  return NEO_OK;
}

static bool is_writable(const neo_plan_value *value) {
  return value->storage == NEO_STORE_OUTPUT || value->storage == NEO_STORE_ARENA;
}

/* With optional inputs and outputs the split is the one that both ranges allow; rows are made so
 * that it is unique. */
static bool split_arguments(const neo_op *op, const neo_plan_step *step, neo_op_call *call) {
  for (int outputs = op->min_outputs; outputs <= op->max_outputs; outputs++) {
    int64_t inputs = (int64_t)step->n_args - outputs;
    if (inputs < op->min_inputs || inputs > op->max_inputs)
      continue;
    call->n_inputs = (int)inputs;
    call->n_outputs = outputs;
    return true;
  }
  return false;
}

neo_status neo_op_prepare(neo_ctx *ctx, const neo_plan_step *step,
                          const neo_plan_value *const *value, neo_op_call *call) {
  const neo_op *op = neo_runtime_op_find(step->runtime);
  if (!op)
    return neo_fail(ctx, NEO_UNSUPPORTED, "step '%s': this runtime has no operator '%s'",
                    step->name, step->runtime);
  memset(call, 0, sizeof(*call));
  call->op = op;
  call->value = value;
  if (!split_arguments(op, step, call))
    return neo_fail(ctx, NEO_BAD_INPUT, "step '%s': %s with %u arguments", step->name, op->name,
                    (unsigned)step->n_args);
  for (int i = call->n_inputs; i < (int)step->n_args; i++)
    if (!is_writable(value[i]))
      return neo_fail(ctx, NEO_BAD_INPUT, "step '%s': output %d is not writable", step->name,
                      i - call->n_inputs);
  NEO_TRY(neo_op_parse(ctx, op, step->attributes, call));
  return op->check(ctx, call);
}

static int order_f64(double a, double b) {
  bool nan_a = a != a, nan_b = b != b;
  if (nan_a || nan_b)
    return nan_a - nan_b;
  return (a > b) - (a < b);
}

int neo_op_compare(const void *data, int dtype, int64_t i, int64_t j) {
  if (dtype == NEO_RT_I64) {
    const int64_t *v = data;
    return (v[i] > v[j]) - (v[i] < v[j]);
  }
  if (dtype == NEO_RT_U64) {
    const uint64_t *v = data;
    return (v[i] > v[j]) - (v[i] < v[j]);
  }
  if (dtype == NEO_RT_F32) {
    const float *v = data;
    return order_f64((double)v[i], (double)v[j]);
  }
  return order_f64(neo_rt_element(data, dtype, i), neo_rt_element(data, dtype, j));
}

neo_status neo_runtime_op_axis(neo_ctx *ctx, const char *op, const neo_plan_value *value,
                               int64_t axis, int64_t out[3]) {
  int64_t at = axis < 0 ? axis + value->rank : axis;
  if (at < 0 || at >= value->rank)
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: axis %lld of a tensor of rank %d", op, (long long)axis,
                    value->rank);
  out[0] = out[2] = 1;
  for (int i = 0; i < at; i++)
    out[0] *= value->dim[i];
  for (int i = (int)at + 1; i < value->rank; i++)
    out[2] *= value->dim[i];
  out[1] = value->dim[at];
  return NEO_OK;
}
