/* Operators on strings; ir/ops_text.c says what they are.
 *
 * An element is a pointer: to a text of the artifact's parameters (text_load), of the caller's
 * input, or to one made here, which lives in the session's blocks of texts until its next run. */
#include <string.h>

#include "base/text.h"
#include "runtime/ops.h"

#define BLOCK_BYTES 65536

struct neo_op_block {
  neo_op_block *next;
  size_t used, size;
  char bytes[];
};

static char *texts_get(void *self, size_t bytes) {
  neo_op_texts *texts = self;
  neo_op_block *block = texts->first;
  if (!block || bytes > block->size - block->used) {
    neo_ctx ctx;
    size_t size = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    neo_ctx_init(&ctx, 0);
    block = neo_alloc(&ctx, sizeof *block + size);
    if (!block)
      return NULL;
    *block = (neo_op_block){texts->first, 0, size};
    texts->first = block;
  }
  block->used += bytes;
  return block->bytes + block->used - bytes;
}

/* The newest block is kept: the next run may need as much. */
void neo_op_texts_reset(neo_op_texts *texts, bool all) {
  neo_ctx ctx;
  neo_ctx_init(&ctx, 0);
  while (texts->first && (all || texts->first->next)) {
    neo_op_block *gone = all ? texts->first : texts->first->next;
    if (all)
      texts->first = gone->next;
    else
      texts->first->next = gone->next;
    neo_free(&ctx, gone);
  }
  if (texts->first)
    texts->first->used = 0;
}

static int64_t count_of(const neo_plan_value *v) {
  int64_t n = 1;
  for (int d = 0; d < v->rank; d++)
    n *= v->dim[d];
  return n;
}

static const char *element(const neo_op_call *call, int k, int64_t i) {
  return neo_text_of(((const char *const *)call->data[k])[i]);
}

/* Types by argument, 's' for strings, 'l' i64, 'b' bool, 'u' u8; memory as their shapes say. */
static neo_status check_types(neo_ctx *ctx, const neo_op_call *call, const char *types) {
  for (int k = 0; k < call->n_inputs + call->n_outputs && types[k]; k++) {
    const neo_plan_value *v = call->value[k];
    int want = types[k] == 's'   ? NEO_RT_STR
               : types[k] == 'l' ? NEO_RT_I64
               : types[k] == 'b' ? NEO_RT_BOOL
                                 : NEO_RT_U8;
    if (v->dtype != want || v->bytes < count_of(v) * (int64_t)neo_rt_dtype_size(want))
      return neo_fail(ctx, NEO_BAD_INPUT, "%s: argument %d is not %s of its shape's size",
                      call->op->name, k, neo_rt_dtype_name(want));
  }
  return NEO_OK;
}

/* As check_types, and the output has as many elements as the first input. */
static neo_status check_same(neo_ctx *ctx, const neo_op_call *call, const char *types) {
  NEO_TRY(check_types(ctx, call, types));
  if (count_of(call->value[0]) != count_of(call->value[call->n_inputs]))
    return neo_fail(ctx, NEO_BAD_INPUT, "%s: the output's shape is not the input's",
                    call->op->name);
  return NEO_OK;
}

static const neo_op_attribute no_attributes[] = {{NULL, 0, 0}};

/* ---- text_load ------------------------------------------------------------------------------- */

static neo_status load_check(neo_ctx *ctx, neo_op_call *call) {
  return check_same(ctx, call, "lus");
}

static int32_t load_run(const neo_op_call *call) {
  const int64_t *at = call->data[0];
  const char *bytes = call->data[1];
  int64_t n = count_of(call->value[0]), size = call->value[1]->dim[0];
  if (size < 1 || bytes[size - 1] != 0)
    return 1;
  for (int64_t i = 0; i < n; i++) {
    if (at[i] < 0 || at[i] >= size)
      return 1;
    ((const char **)call->data[2])[i] = bytes + at[i];
  }
  return 0;
}

const neo_op neo_op_text_load = {"text_load",   2,          2,    1,       1,
                                 no_attributes, load_check, NULL, load_run};

/* ---- text_concat, text_equal ----------------------------------------------------------------- */

static neo_status pair_shapes(neo_ctx *ctx, const neo_op_call *call) {
  const neo_plan_value *out = call->value[2];
  for (int k = 0; k < 2; k++) {
    const neo_plan_value *in = call->value[k];
    bool fits = in->rank <= out->rank;
    for (int d = 0; fits && d < in->rank; d++)
      fits = in->dim[d] == 1 || in->dim[d] == out->dim[d + out->rank - in->rank];
    if (!fits)
      return neo_fail(ctx, NEO_BAD_INPUT, "%s: input %d does not broadcast", call->op->name, k);
  }
  return NEO_OK;
}

static neo_status concat_check(neo_ctx *ctx, neo_op_call *call) {
  NEO_TRY(check_types(ctx, call, "sss"));
  return pair_shapes(ctx, call);
}

static neo_status equal_check(neo_ctx *ctx, neo_op_call *call) {
  NEO_TRY(check_types(ctx, call, "ssb"));
  return pair_shapes(ctx, call);
}

static const char *operand(const neo_op_call *call, int k, int64_t i) {
  const neo_plan_value *in = call->value[k], *out = call->value[2];
  return element(call, k, neo_text_broadcast(i, out->rank, out->dim, in->rank, in->dim));
}

static int32_t concat_run(const neo_op_call *call) {
  neo_text_room room = {texts_get, call->texts};
  for (int64_t i = 0, n = count_of(call->value[2]); i < n; i++) {
    const char *made = neo_text_concat(operand(call, 0, i), operand(call, 1, i), room);
    if (!made)
      return NEO_NO_MEMORY;
    ((const char **)call->data[2])[i] = made;
  }
  return 0;
}

static void equal_run(const neo_op_call *call) {
  for (int64_t i = 0, n = count_of(call->value[2]); i < n; i++)
    ((uint8_t *)call->data[2])[i] = neo_text_same(operand(call, 0, i), operand(call, 1, i));
}

const neo_op neo_op_text_concat = {"text_concat", 2,    2,         1, 1, no_attributes,
                                   concat_check,  NULL, concat_run};
const neo_op neo_op_text_equal = {"text_equal",  2,           2,         1,   1,
                                  no_attributes, equal_check, equal_run, NULL};

/* ---- text_match, text_find ------------------------------------------------------------------- */

static neo_status match_check(neo_ctx *ctx, neo_op_call *call) {
  NEO_TRY(check_same(ctx, call, "ssb"));
  if (count_of(call->value[1]) != 1)
    return neo_fail(ctx, NEO_BAD_INPUT, "text_match: one pattern expected");
  return NEO_OK;
}

static int32_t match_run(const neo_op_call *call) {
  neo_ctx ctx;
  neo_text_pattern *pattern = NULL;
  neo_ctx_init(&ctx, 0);
  neo_status status = neo_text_pattern_create(&ctx, element(call, 1, 0), &pattern);
  for (int64_t i = 0, n = count_of(call->value[0]); status == NEO_OK && i < n; i++)
    ((uint8_t *)call->data[2])[i] = neo_text_match(pattern, element(call, 0, i));
  neo_text_pattern_destroy(&ctx, pattern);
  return (int32_t)status;
}

static neo_status find_check(neo_ctx *ctx, neo_op_call *call) {
  return check_same(ctx, call, "ssl");
}

static void find_run(const neo_op_call *call) {
  int64_t keys = count_of(call->value[1]);
  for (int64_t i = 0, n = count_of(call->value[0]); i < n; i++) {
    int64_t at = 0;
    while (at < keys && !neo_text_same(element(call, 0, i), element(call, 1, at)))
      at++;
    ((int64_t *)call->data[2])[i] = at < keys ? at : -1;
  }
}

const neo_op neo_op_text_match = {"text_match",  2,           2,    1,        1,
                                  no_attributes, match_check, NULL, match_run};
const neo_op neo_op_text_find = {"text_find",   2,          2,        1,   1,
                                 no_attributes, find_check, find_run, NULL};

/* ---- text_case, text_filter ------------------------------------------------------------------ */

static const neo_op_attribute case_attributes[] = {{"upper", 'i', 0}, {NULL, 0, 0}};

static neo_status case_check(neo_ctx *ctx, neo_op_call *call) {
  return check_same(ctx, call, "ss");
}

static int32_t case_run(const neo_op_call *call) {
  neo_text_room room = {texts_get, call->texts};
  for (int64_t i = 0, n = count_of(call->value[0]); i < n; i++) {
    const char *made = neo_text_change_case(
        element(call, 0, i), call->integer[0] ? NEO_TEXT_UPPER : NEO_TEXT_LOWER, room);
    if (!made)
      return NEO_NO_MEMORY;
    ((const char **)call->data[1])[i] = made;
  }
  return 0;
}

const neo_op neo_op_text_case = {"text_case",     1,          1,    1,       1,
                                 case_attributes, case_check, NULL, case_run};

static const neo_op_attribute filter_attributes[] = {{"sensitive", 'i', 1}, {NULL, 0, 0}};

static neo_status filter_check(neo_ctx *ctx, neo_op_call *call) {
  NEO_TRY(check_same(ctx, call, "sssl"));
  if (count_of(call->value[0]) < 1)
    return neo_fail(ctx, NEO_BAD_INPUT, "text_filter: no words");
  return NEO_OK;
}

/* 1: it stays, 0: it does not, -1: no memory. */
static int stays(const neo_op_call *call, int64_t i) {
  neo_text_room room = {texts_get, call->texts};
  const char *x = element(call, 0, i);
  if (!call->integer[0])
    x = neo_text_change_case(x, NEO_TEXT_LOWER, room);
  for (int64_t k = 0, n = count_of(call->value[1]); x && k < n; k++) {
    const char *word = element(call, 1, k);
    if (!call->integer[0])
      word = neo_text_change_case(word, NEO_TEXT_LOWER, room);
    if (!word)
      return -1;
    if (neo_text_same(x, word))
      return 0;
  }
  return x ? 1 : -1;
}

static int32_t filter_run(const neo_op_call *call) {
  const char **out = call->data[2];
  int64_t found = 0, n = count_of(call->value[0]);
  for (int64_t i = 0; i < n; i++) {
    int kept = stays(call, i);
    if (kept < 0)
      return NEO_NO_MEMORY;
    if (kept)
      out[found++] = element(call, 0, i);
  }
  if (found == 0)
    out[found++] = "";
  for (int64_t i = found; i < n; i++)
    out[i] = "";
  *(int64_t *)call->data[3] = found;
  return 0;
}

const neo_op neo_op_text_filter = {"text_filter", 2,    2,         2, 2, filter_attributes,
                                   filter_check,  NULL, filter_run};

/* ---- text_parse, text_print ------------------------------------------------------------------ */

static const neo_op_attribute parse_attributes[] = {{"to", 't', 0}, {NULL, 0, 0}};

static neo_status parse_check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *in = call->value[0], *out = call->value[1];
  NEO_TRY(check_types(ctx, call, "s"));
  if ((out->dtype != NEO_RT_F64 && out->dtype != NEO_RT_I64) || count_of(in) != count_of(out) ||
      out->bytes < 8 * count_of(out))
    return neo_fail(ctx, NEO_BAD_INPUT, "text_parse: f64 or i64 of the input's shape expected");
  return NEO_OK;
}

static int32_t parse_run(const neo_op_call *call) {
  bool real = call->value[1]->dtype == NEO_RT_F64;
  for (int64_t i = 0, n = count_of(call->value[0]); i < n; i++) {
    const char *text = element(call, 0, i);
    if (real ? !neo_text_to_real(text, (double *)call->data[1] + i)
             : !neo_text_to_int(text, (int64_t *)call->data[1] + i)) {
      snprintf(call->message, NEO_OP_MESSAGE_BYTES, "'%.60s' is no number", text);
      return NEO_BAD_INPUT;
    }
  }
  return 0;
}

static neo_status print_check(neo_ctx *ctx, neo_op_call *call) {
  const neo_plan_value *in = call->value[0], *out = call->value[1];
  int dtype = in->dtype;
  if ((dtype != NEO_RT_F32 && dtype != NEO_RT_F64 && dtype != NEO_RT_I64) ||
      in->bytes < count_of(in) * (int64_t)neo_rt_dtype_size(dtype) || out->dtype != NEO_RT_STR ||
      count_of(in) != count_of(out) || out->bytes < 8 * count_of(out))
    return neo_fail(ctx, NEO_BAD_INPUT, "text_print: f32, f64 or i64 to strings expected");
  return NEO_OK;
}

static int32_t print_run(const neo_op_call *call) {
  neo_text_room room = {texts_get, call->texts};
  int dtype = call->value[0]->dtype;
  for (int64_t i = 0, n = count_of(call->value[0]); i < n; i++) {
    const char *made = dtype == NEO_RT_I64
                           ? neo_text_of_int(((const int64_t *)call->data[0])[i], room)
                           : neo_text_of_real(neo_rt_element(call->data[0], dtype, i), 8, room);
    if (!made)
      return NEO_NO_MEMORY;
    ((const char **)call->data[1])[i] = made;
  }
  return 0;
}

const neo_op neo_op_text_parse = {"text_parse",     1,           1,    1,        1,
                                  parse_attributes, parse_check, NULL, parse_run};
const neo_op neo_op_text_print = {"text_print",  1,           1,    1,        1,
                                  no_attributes, print_check, NULL, print_run};
