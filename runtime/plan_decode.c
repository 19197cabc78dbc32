/* Reads a plan's binary form, docs/formats/plan.md, into one heap block.
 *
 * Why one block: a model has one plan that never changes; one allocation can fail in one place and
 * is freed in one. Its size is IN_MEMORY bytes for each byte of the file, and every count is
 * bounded by the number of bytes that follow it, so a short file cannot ask for much memory.
 *
 * Invariants that hold after a decode, so that the executor checks nothing at run time:
 * 1. Every value id, function number, input and output number is in range.
 * 2. Every arena and parameter value lies inside the arena or the parameters, at a multiple of its
 *    element size; every workspace lies inside the arena at a multiple of 64.
 * 3. Inputs, outputs: every number has its value, and the bytes of all values in its memory are
 *    those of the dense tensor.
 * 4. No step writes where it must not: a copy's and a runtime op's destination is not an input or a
 * parameter.
 * 5. A bounded output's dimension exists and its count is one i64.
 * 6. The steps that a branch or loop owns lie inside the range it stands in; they nest at most
 *    NEO_PLAN_MAX_DEPTH deep.
 * 7. All shapes have the first's inputs and outputs but for dimensions. The rows of a shape, if it
 *    has any, are a dimension of an input and divide their dimension of each output. */
#include "runtime/model.h"
#include "runtime/plan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/dtype.h"

enum {
  MAX_TEXT = 1 << 16,
  MAX_THREADS = 1024,
  MIN_VALUE = 23, /* bytes of the smallest value and step in the file */
  MIN_STEP = 46,
  MIN_SHAPE = 40, /* of one more shape */
  IN_MEMORY = 7,  /* bytes of the block for one byte of the file */
};
/* Texts, arguments and launches take less than that, with up to 7 bytes of alignment for each of
 * their counts (4 bytes). */
static_assert(sizeof(neo_plan_value) + 8 <= IN_MEMORY * MIN_VALUE, "the block's bound");
static_assert(sizeof(neo_plan_step) + 48 <= IN_MEMORY * MIN_STEP, "the block's bound");
static_assert(sizeof(neo_plan) + 64 <= IN_MEMORY * MIN_SHAPE, "the block's bound");
#define MAX_BYTES ((int64_t)1 << 46)

typedef struct decoder {
  neo_ctx *ctx;
  neo_reader in;
  char *block;
  size_t used, capacity;
  uint64_t n_functions;
  uint32_t version;
  neo_plan *plan; /* of the shape being read */
} decoder;

static neo_status truncated(decoder *d) {
  return neo_fail(d->ctx, NEO_BAD_INPUT, "plan: ends too early, at byte %zu", d->in.at);
}

static neo_status out_of_range(decoder *d, const char *what, uint32_t index, int64_t value) {
  return neo_fail(d->ctx, NEO_BAD_INPUT, "plan: %s of entry %u is %lld: out of range", what,
                  (unsigned)index, (long long)value);
}

static size_t left(const decoder *d) {
  return d->in.size - d->in.at;
}

/* Room in the block; NULL only if the bound below were wrong. */
static void *take(decoder *d, size_t count, size_t size) {
  size_t at = (d->used + 7) / 8 * 8;
  if (at > d->capacity || count > (d->capacity - at) / size)
    return NULL;
  d->used = at + count * size;
  return d->block + at;
}

static neo_status read_text(decoder *d, const char **out) {
  uint32_t length = neo_read_u32le(&d->in);
  if (d->in.failed || length > left(d))
    return truncated(d);
  const uint8_t *text = neo_read_bytes(&d->in, length);
  if (length > MAX_TEXT || (length && (!text || memchr(text, '\0', length))))
    return neo_fail(d->ctx, NEO_BAD_INPUT, "plan: a text of %u bytes is damaged", (unsigned)length);
  char *copy = take(d, length + 1, 1);
  if (!copy)
    return neo_fail(d->ctx, NEO_INTERNAL, "plan: block too small");
  if (length)
    memcpy(copy, text, length);
  copy[length] = '\0';
  *out = copy;
  return NEO_OK;
}

static neo_status read_bytes_field(decoder *d, const char *what, int64_t *out) {
  int64_t v = (int64_t)neo_read_u64le(&d->in);
  if (d->in.failed)
    return truncated(d);
  if (v < 0 || v > MAX_BYTES)
    return out_of_range(d, what, 0, v);
  *out = v;
  return NEO_OK;
}

static neo_status check_header(decoder *d) {
  const uint8_t *magic = neo_read_bytes(&d->in, 8);
  uint32_t version = neo_read_u32le(&d->in), crc = neo_read_u32le(&d->in);
  uint64_t size = neo_read_u64le(&d->in);
  if (d->in.failed)
    return truncated(d);
  if (memcmp(magic, NEO_PLAN_MAGIC, 8) != 0)
    return neo_fail(d->ctx, NEO_BAD_INPUT, "plan: bad magic");
  if (version != 3 && version != NEO_PLAN_VERSION)
    return neo_fail(d->ctx, NEO_UNSUPPORTED, "plan: version %u, this runtime reads 3 and %d",
                    (unsigned)version, NEO_PLAN_VERSION);
  d->version = version;
  if (size != left(d))
    return neo_fail(d->ctx, NEO_BAD_INPUT, "plan: %zu bytes follow the header, it says %llu",
                    left(d), (unsigned long long)size);
  if (neo_crc32(0, d->in.data + d->in.at, left(d)) != crc)
    return neo_fail(d->ctx, NEO_BAD_INPUT, "plan: checksum does not match");
  return NEO_OK;
}

/* Room for the whole plan, and its first shape. */
static neo_status allocate(decoder *d) {
  d->capacity = sizeof(neo_plan) + 128 + IN_MEMORY * d->in.size;
  d->block = neo_alloc(d->ctx, d->capacity);
  if (!d->block)
    return neo_fail(d->ctx, NEO_NO_MEMORY, "plan: out of memory (%zu bytes)", d->capacity);
  d->plan = take(d, 1, sizeof(neo_plan));
  return NEO_OK;
}

static neo_status read_head(decoder *d) {
  neo_plan *p = d->plan;
  p->threads = neo_read_u32le(&d->in);
  p->n_more = neo_read_u32le(&d->in);
  if (p->n_more >= (d->version == 3 ? 1 : NEO_PLAN_MAX_SHAPES) || p->n_more > left(d) / MIN_SHAPE)
    return out_of_range(d, "further shapes", 0, p->n_more);
  NEO_TRY(read_bytes_field(d, "arena bytes", &p->arena_bytes));
  NEO_TRY(read_bytes_field(d, "scratch bytes", &p->scratch_bytes));
  NEO_TRY(read_bytes_field(d, "params bytes", &p->params_bytes));
  p->isa = neo_read_u64le(&d->in);
  if (d->in.failed)
    return truncated(d);
  if (p->threads < 1 || p->threads > MAX_THREADS)
    return out_of_range(d, "threads", 0, p->threads);
  return NEO_OK;
}

static neo_status read_counts(decoder *d) {
  neo_plan *p = d->plan;
  p->n_values = neo_read_u32le(&d->in);
  p->n_inputs = neo_read_u32le(&d->in);
  p->n_outputs = neo_read_u32le(&d->in);
  p->n_steps = neo_read_u32le(&d->in);
  if (d->in.failed)
    return truncated(d);
  size_t rest = left(d);
  if (p->n_values > rest / MIN_VALUE || p->n_steps > rest / MIN_STEP || p->n_inputs > rest / 4 ||
      p->n_outputs > rest / 16)
    return neo_fail(d->ctx, NEO_BAD_INPUT,
                    "plan: %u values, %u inputs, %u outputs, %u steps do not fit in %zu bytes",
                    (unsigned)p->n_values, (unsigned)p->n_inputs, (unsigned)p->n_outputs,
                    (unsigned)p->n_steps, rest);
  p->value = take(d, p->n_values, sizeof(*p->value));
  p->step = take(d, p->n_steps, sizeof(*p->step));
  p->input = take(d, p->n_inputs, sizeof(*p->input));
  p->output = take(d, p->n_outputs, sizeof(*p->output));
  p->output_name = take(d, p->n_outputs, sizeof(*p->output_name));
  p->output_bounded = take(d, p->n_outputs, sizeof(*p->output_bounded));
  p->output_count = take(d, p->n_outputs, sizeof(*p->output_count));
  p->input_rows = take(d, p->n_inputs, sizeof(*p->input_rows));
  p->output_rows = take(d, p->n_outputs, sizeof(*p->output_rows));
  if (!p->value || !p->step || !p->input || !p->output || !p->output_name || !p->output_bounded ||
      !p->output_count || !p->input_rows || !p->output_rows)
    return neo_fail(d->ctx, NEO_INTERNAL, "plan: block too small");
  return NEO_OK;
}

static neo_status read_shape(decoder *d, uint32_t id, neo_plan_value *v, int64_t *out_dense) {
  int64_t dense = (int64_t)neo_rt_dtype_size(v->dtype);
  bool empty = false;
  for (int i = 0; i < v->rank; i++) {
    int64_t dim = (int64_t)neo_read_u64le(&d->in);
    if (dim < 0 || dim > MAX_BYTES)
      return out_of_range(d, "dim", id, dim);
    v->dim[i] = dim;
    empty = empty || dim == 0;
    if (dim > 0 && dense > MAX_BYTES / dim)
      return out_of_range(d, "size", id, dim);
    dense *= dim > 0 ? dim : 1;
  }
  *out_dense = empty ? 0 : dense;
  return NEO_OK;
}

static neo_status check_range(decoder *d, uint32_t id, const neo_plan_value *v, int64_t limit) {
  if (v->slot < 0 || v->slot > limit || v->bytes > limit - v->slot)
    return out_of_range(d, "place", id, v->slot);
  if (v->slot % (int64_t)neo_rt_dtype_size(v->dtype) != 0)
    return out_of_range(d, "alignment", id, v->slot);
  return NEO_OK;
}

static neo_status check_place(decoder *d, uint32_t id, const neo_plan_value *v, int64_t dense) {
  const neo_plan *p = d->plan;
  if (v->bytes < 0 || v->bytes > MAX_BYTES)
    return out_of_range(d, "bytes", id, v->bytes);
  switch (v->storage) {
  case NEO_STORE_INPUT:
  case NEO_STORE_OUTPUT:
    if (v->slot < 0 || v->slot >= (v->storage == NEO_STORE_INPUT ? p->n_inputs : p->n_outputs))
      return out_of_range(d, "slot", id, v->slot);
    return v->bytes == dense ? NEO_OK : out_of_range(d, "bytes", id, v->bytes);
  case NEO_STORE_ARENA:
    return check_range(d, id, v, p->arena_bytes);
  case NEO_STORE_PARAM:
    return check_range(d, id, v, p->params_bytes);
  }
  return out_of_range(d, "storage", id, v->storage);
}

static neo_status read_value(decoder *d, uint32_t id) {
  neo_plan_value *v = &d->plan->value[id];
  int64_t dense = 0;
  NEO_TRY(read_text(d, &v->name));
  v->dtype = neo_read_u8(&d->in);
  v->rank = neo_read_u8(&d->in);
  v->storage = (neo_storage)neo_read_u8(&d->in);
  if (!neo_rt_dtype_size(v->dtype))
    return out_of_range(d, "dtype", id, v->dtype);
  if (v->rank > NEO_PLAN_MAX_RANK)
    return out_of_range(d, "rank", id, v->rank);
  NEO_TRY(read_shape(d, id, v, &dense));
  v->slot = (int64_t)neo_read_u64le(&d->in);
  v->bytes = (int64_t)neo_read_u64le(&d->in);
  if (d->in.failed)
    return truncated(d);
  return check_place(d, id, v, dense);
}

static neo_status read_id(decoder *d, const char *what, uint32_t index, uint32_t *out) {
  uint32_t id = neo_read_u32le(&d->in);
  if (d->in.failed)
    return truncated(d);
  if (id >= d->plan->n_values)
    return out_of_range(d, what, index, id);
  *out = id;
  return NEO_OK;
}

static bool scalar(const decoder *d, uint32_t id, int dtype) {
  const neo_plan_value *v = &d->plan->value[id];
  return v->dtype == dtype && v->bytes >= (int64_t)neo_rt_dtype_size(dtype);
}

static neo_status read_bounds(decoder *d) {
  neo_plan *p = d->plan;
  for (uint32_t i = 0; i < p->n_outputs; i++) {
    p->output_bounded[i] = neo_read_u32le(&d->in);
    NEO_TRY(read_id(d, "count", i, &p->output_count[i]));
    const neo_plan_value *v = &p->value[p->output[i]];
    if (p->output_bounded[i] && (v->storage != NEO_STORE_OUTPUT || v->slot != i))
      return out_of_range(d, "bounded output", i, v->storage);
    if (p->output_bounded[i] > p->value[p->output[i]].rank ||
        (p->output_bounded[i] ? !scalar(d, p->output_count[i], NEO_RT_I64)
                              : p->output_count[i] != 0))
      return out_of_range(d, "bounded dimension", i, p->output_bounded[i]);
  }
  return NEO_OK;
}

static neo_status read_interface(decoder *d) {
  neo_plan *p = d->plan;
  for (uint32_t i = 0; i < p->n_inputs; i++) {
    NEO_TRY(read_id(d, "input", i, &p->input[i]));
    const neo_plan_value *v = &p->value[p->input[i]];
    if (v->storage != NEO_STORE_INPUT || v->slot != i)
      return out_of_range(d, "input", i, p->input[i]);
  }
  for (uint32_t i = 0; i < p->n_outputs; i++) {
    NEO_TRY(read_id(d, "output", i, &p->output[i]));
    const neo_plan_value *v = &p->value[p->output[i]];
    if (v->bytes < (int64_t)neo_rt_dense_bytes(v))
      return out_of_range(d, "output's bytes", i, (int64_t)v->bytes);
  }
  for (uint32_t i = 0; i < p->n_outputs; i++)
    NEO_TRY(read_text(d, &p->output_name[i]));
  NEO_TRY(read_bounds(d));
  for (uint32_t id = 0; id < p->n_values; id++) {
    const neo_plan_value *v = &p->value[id];
    const uint32_t *back = v->storage == NEO_STORE_INPUT    ? p->input
                           : v->storage == NEO_STORE_OUTPUT ? p->output
                                                            : NULL;
    if (back &&
        (p->value[back[v->slot]].slot != v->slot || p->value[back[v->slot]].storage != v->storage ||
         p->value[back[v->slot]].bytes != v->bytes))
      return out_of_range(d, "slot", id, v->slot);
  }
  return NEO_OK;
}

static neo_status read_args(decoder *d, uint32_t index, neo_plan_step *step) {
  step->n_args = neo_read_u32le(&d->in);
  if (d->in.failed || step->n_args > left(d) / 4)
    return truncated(d);
  step->arg = take(d, step->n_args, sizeof(*step->arg));
  if (!step->arg)
    return neo_fail(d->ctx, NEO_INTERNAL, "plan: block too small");
  for (uint32_t i = 0; i < step->n_args; i++)
    NEO_TRY(read_id(d, "argument", index, &step->arg[i]));
  return NEO_OK;
}

static neo_status read_launches(decoder *d, uint32_t index, neo_plan_step *step) {
  step->n_launches = neo_read_u32le(&d->in);
  if (d->in.failed || step->n_launches > left(d) / 12)
    return truncated(d);
  step->launch = take(d, step->n_launches, sizeof(*step->launch));
  if (!step->launch)
    return neo_fail(d->ctx, NEO_INTERNAL, "plan: block too small");
  for (uint32_t i = 0; i < step->n_launches; i++) {
    neo_plan_launch *l = &step->launch[i];
    l->function = neo_read_u32le(&d->in);
    l->grid = (int64_t)neo_read_u64le(&d->in);
    if (l->function >= d->n_functions)
      return out_of_range(d, "function", index, l->function);
    if (l->grid < 0 || l->grid > MAX_BYTES)
      return out_of_range(d, "grid", index, l->grid);
  }
  return NEO_OK;
}

static bool writable(const decoder *d, uint32_t id) {
  neo_storage storage = d->plan->value[id].storage;
  return storage == NEO_STORE_ARENA || storage == NEO_STORE_OUTPUT;
}

static bool check_copy(const decoder *d, const neo_plan_step *s) {
  if (s->n_args < 2 || s->n_args > 3 || !writable(d, s->arg[1]))
    return false;
  int64_t from = d->plan->value[s->arg[0]].bytes, to = d->plan->value[s->arg[1]].bytes;
  if (s->n_args == 2)
    return from == to;
  return scalar(d, s->arg[2], NEO_RT_I64) && (from == 0 ? to == 0 : to % from == 0);
}

static neo_status check_device(decoder *d, uint32_t index, const neo_plan_step *s) {
  if (s->device <= (s->kind == NEO_PLAN_LAUNCH ? 1 : 0))
    return NEO_OK;
  return neo_fail(d->ctx, NEO_UNSUPPORTED, "plan: step %u is for device %u, not known here",
                  (unsigned)index, (unsigned)s->device);
}

static neo_status check_step(decoder *d, uint32_t index, const neo_plan_step *s) {
  const neo_plan *p = d->plan;
  NEO_TRY(check_device(d, index, s));
  if (s->work_bytes < 0 || s->work_offset < -1 || s->work_offset > p->arena_bytes ||
      (s->work_offset >= 0 &&
       (s->work_offset % 64 || s->work_bytes > p->arena_bytes - s->work_offset)))
    return out_of_range(d, "workspace", index, s->work_offset);
  if (s->scratch_bytes < 0 || s->scratch_bytes > p->scratch_bytes)
    return out_of_range(d, "scratch bytes", index, s->scratch_bytes);
  if (s->kind >= NEO_PLAN_LAUNCH && s->kind <= NEO_PLAN_LOOP &&
      (s->kind == NEO_PLAN_LAUNCH) != (s->n_launches > 0))
    return out_of_range(d, "launches", index, s->n_launches);
  switch (s->kind) {
  case NEO_PLAN_LAUNCH:
    return NEO_OK;
  case NEO_PLAN_COPY:
    return check_copy(d, s) ? NEO_OK : out_of_range(d, "copy", index, s->n_args);
  case NEO_PLAN_BRANCH:
    return s->n_args == 1 && scalar(d, s->arg[0], NEO_RT_BOOL)
               ? NEO_OK
               : out_of_range(d, "branch", index, s->n_args);
  case NEO_PLAN_LOOP:
    return s->n_args == 3 && scalar(d, s->arg[0], NEO_RT_I64) &&
                   scalar(d, s->arg[1], NEO_RT_BOOL) && scalar(d, s->arg[2], NEO_RT_I64) &&
                   writable(d, s->arg[2])
               ? NEO_OK
               : out_of_range(d, "loop", index, s->n_args);
  case NEO_PLAN_RUNTIME:
    if (s->n_args == 0 || !s->runtime[0] || !writable(d, s->arg[s->n_args - 1]))
      return out_of_range(d, "runtime op", index, s->n_args);
    return NEO_OK;
  }
  return neo_fail(d->ctx, NEO_UNSUPPORTED, "plan: step %u has kind %d, unknown to this runtime",
                  (unsigned)index, (int)s->kind);
}

static neo_status read_step(decoder *d, uint32_t index) {
  neo_plan_step *s = &d->plan->step[index];
  s->kind = (neo_plan_step_kind)neo_read_u8(&d->in);
  s->device = neo_read_u8(&d->in);
  NEO_TRY(read_text(d, &s->name));
  NEO_TRY(read_args(d, index, s));
  NEO_TRY(read_launches(d, index, s));
  s->work_offset = (int64_t)neo_read_u64le(&d->in);
  s->work_bytes = (int64_t)neo_read_u64le(&d->in);
  s->scratch_bytes = (int64_t)neo_read_u64le(&d->in);
  NEO_TRY(read_text(d, &s->runtime));
  NEO_TRY(read_text(d, &s->attributes));
  if (s->kind == NEO_PLAN_BRANCH || s->kind == NEO_PLAN_LOOP)
    s->first = neo_read_u32le(&d->in);
  if (s->kind == NEO_PLAN_BRANCH)
    s->second = neo_read_u32le(&d->in);
  if (d->in.failed)
    return truncated(d);
  return check_step(d, index, s);
}

/* Invariant 6, for steps [at, end). */
static neo_status check_nesting(decoder *d, uint32_t at, uint32_t end, int depth) {
  while (at < end) {
    const neo_plan_step *s = &d->plan->step[at++];
    if (s->first > end - at || s->second > end - at - s->first)
      return out_of_range(d, "owned steps", at - 1, s->first);
    if (s->first + s->second > 0 && depth == NEO_PLAN_MAX_DEPTH)
      return out_of_range(d, "depth", at - 1, depth);
    if (s->first)
      NEO_TRY(check_nesting(d, at, at + s->first, depth + 1));
    if (s->second)
      NEO_TRY(check_nesting(d, at + s->first, at + s->first + s->second, depth + 1));
    at += s->first + s->second;
  }
  return NEO_OK;
}

/* ---- shapes -------------------------------------------------------------------------------- */

static neo_status read_input_rows(decoder *d) {
  neo_plan *p = d->plan;
  bool any = false;
  for (uint32_t i = 0; i < p->n_inputs; i++) {
    uint32_t dim = p->input_rows[i] = neo_read_u32le(&d->in);
    const neo_plan_value *v = &p->value[p->input[i]];
    if (dim > v->rank || (dim && v->dim[dim - 1] != p->rows))
      return out_of_range(d, "rows of input", i, dim);
    any = any || dim;
  }
  return any ? NEO_OK : out_of_range(d, "rows", 0, p->rows);
}

static neo_status read_rows(decoder *d) {
  neo_plan *p = d->plan;
  NEO_TRY(read_bytes_field(d, "rows", &p->rows));
  if (p->rows == 0)
    return NEO_OK;
  NEO_TRY(read_bytes_field(d, "least rows", &p->rows_least));
  if (p->rows_least < 1 || p->rows_least > p->rows)
    return out_of_range(d, "least rows", 0, p->rows_least);
  NEO_TRY(read_input_rows(d));
  for (uint32_t i = 0; i < p->n_outputs; i++) {
    uint32_t dim = p->output_rows[i] = neo_read_u32le(&d->in);
    const neo_plan_value *v = &p->value[p->output[i]];
    if (dim > v->rank || (dim && (v->dim[dim - 1] % p->rows || v->storage != NEO_STORE_OUTPUT ||
                                  v->slot != i || dim == p->output_bounded[i])))
      return out_of_range(d, "rows of output", i, dim);
  }
  return d->in.failed ? truncated(d) : NEO_OK;
}

/* Invariant 7. */
static neo_status check_like_first(decoder *d, const neo_plan *first) {
  const neo_plan *p = d->plan;
  if (p->n_inputs != first->n_inputs || p->n_outputs != first->n_outputs)
    return out_of_range(d, "interface", 0, p->n_inputs);
  for (uint32_t i = 0; i < p->n_inputs; i++) {
    const neo_plan_value *a = &first->value[first->input[i]], *b = &p->value[p->input[i]];
    if (a->dtype != b->dtype || a->rank != b->rank || strcmp(a->name, b->name) != 0)
      return out_of_range(d, "another shape's input", i, b->bytes);
  }
  for (uint32_t i = 0; i < p->n_outputs; i++) {
    const neo_plan_value *a = &first->value[first->output[i]], *b = &p->value[p->output[i]];
    if (a->dtype != b->dtype || strcmp(first->output_name[i], p->output_name[i]) != 0)
      return out_of_range(d, "another shape's output", i, b->bytes);
  }
  return NEO_OK;
}

static neo_status read_program(decoder *d) {
  const neo_plan *p = d->plan;
  for (uint32_t i = 0; i < p->n_values; i++)
    NEO_TRY(read_value(d, i));
  NEO_TRY(read_interface(d));
  for (uint32_t i = 0; i < p->n_steps; i++)
    NEO_TRY(read_step(d, i));
  return check_nesting(d, 0, p->n_steps, 0);
}

static neo_status read_more(decoder *d, neo_plan *first, uint32_t k) {
  neo_plan *p = d->plan = &first->more[k];
  p->threads = first->threads;
  p->params_bytes = first->params_bytes;
  p->isa = first->isa;
  p->arch = first->arch;
  p->target = first->target;
  NEO_TRY(read_bytes_field(d, "arena bytes", &p->arena_bytes));
  NEO_TRY(read_bytes_field(d, "scratch bytes", &p->scratch_bytes));
  NEO_TRY(read_counts(d));
  NEO_TRY(read_program(d));
  NEO_TRY(read_rows(d));
  return check_like_first(d, first);
}

static neo_status read_shapes(decoder *d) {
  neo_plan *first = d->plan;
  NEO_TRY(read_rows(d));
  if (first->n_more == 0 && first->rows == 0)
    return neo_fail(d->ctx, NEO_BAD_INPUT, "plan: version %u for what version 3 can say",
                    (unsigned)d->version);
  first->more = take(d, first->n_more, sizeof(*first->more));
  if (!first->more)
    return neo_fail(d->ctx, NEO_INTERNAL, "plan: block too small");
  for (uint32_t k = 0; k < first->n_more; k++)
    NEO_TRY(read_more(d, first, k));
  d->plan = first;
  return NEO_OK;
}

static neo_status decode(decoder *d) {
  NEO_TRY(check_header(d));
  NEO_TRY(allocate(d));
  NEO_TRY(read_head(d));
  NEO_TRY(read_counts(d));
  NEO_TRY(read_text(d, &d->plan->arch));
  NEO_TRY(read_text(d, &d->plan->target));
  NEO_TRY(read_program(d));
  if (d->version > 3)
    NEO_TRY(read_shapes(d));
  if (left(d) != 0)
    return neo_fail(d->ctx, NEO_BAD_INPUT, "plan: %zu bytes after the last step", left(d));
  return NEO_OK;
}

neo_status neo_plan_decode(neo_ctx *ctx, const uint8_t *data, size_t size, uint64_t n_functions,
                           neo_plan **out) {
  decoder d = {.ctx = ctx, .in = {.data = data, .size = size}, .n_functions = n_functions};
  neo_status status = decode(&d);
  if (status == NEO_OK)
    *out = d.plan;
  else
    neo_free(ctx, d.block);
  return status;
}

void neo_plan_free(neo_ctx *ctx, neo_plan *plan) {
  neo_free(ctx, plan);
}
