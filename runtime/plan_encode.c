/* Writes a plan in its binary form; docs/formats/plan.md has it byte by byte. plan_decode.c reads
 * it.
 *
 * The writer checks nothing that the reader checks: a plan that the reader refuses is found by the
 * caller's own decode, which the compiler does before it writes an artifact. */
#include "runtime/plan.h"

#include <string.h>

static void put_text(neo_buf *out, const char *text) {
  size_t length = text ? strlen(text) : 0;
  neo_buf_u32le(out, (uint32_t)length);
  neo_buf_append(out, text ? text : "", length);
}

static void put_i64(neo_buf *out, int64_t v) {
  neo_buf_u64le(out, (uint64_t)v);
}

static void put_value(neo_buf *out, const neo_plan_value *value) {
  put_text(out, value->name);
  neo_buf_u8(out, value->dtype);
  neo_buf_u8(out, value->rank);
  neo_buf_u8(out, (uint8_t)value->storage);
  for (int i = 0; i < value->rank && i < NEO_PLAN_MAX_RANK; i++)
    put_i64(out, value->dim[i]);
  put_i64(out, value->slot);
  put_i64(out, value->bytes);
}

static void put_step(neo_buf *out, const neo_plan_step *step) {
  neo_buf_u8(out, (uint8_t)step->kind);
  neo_buf_u8(out, step->device);
  put_text(out, step->name);
  neo_buf_u32le(out, step->n_args);
  for (uint32_t i = 0; i < step->n_args; i++)
    neo_buf_u32le(out, step->arg[i]);
  neo_buf_u32le(out, step->n_launches);
  for (uint32_t i = 0; i < step->n_launches; i++) {
    neo_buf_u32le(out, step->launch[i].function);
    put_i64(out, step->launch[i].grid);
  }
  put_i64(out, step->work_offset);
  put_i64(out, step->work_bytes);
  put_i64(out, step->scratch_bytes);
  put_text(out, step->runtime);
  put_text(out, step->attributes);
  if (step->kind == NEO_PLAN_BRANCH || step->kind == NEO_PLAN_LOOP)
    neo_buf_u32le(out, step->first);
  if (step->kind == NEO_PLAN_BRANCH)
    neo_buf_u32le(out, step->second);
}

/* What each shape has of its own, after its counts. */
static void put_program(neo_buf *out, const neo_plan *plan) {
  for (uint32_t i = 0; i < plan->n_values; i++)
    put_value(out, &plan->value[i]);
  for (uint32_t i = 0; i < plan->n_inputs; i++)
    neo_buf_u32le(out, plan->input[i]);
  for (uint32_t i = 0; i < plan->n_outputs; i++)
    neo_buf_u32le(out, plan->output[i]);
  for (uint32_t i = 0; i < plan->n_outputs; i++)
    put_text(out, plan->output_name[i]);
  for (uint32_t i = 0; i < plan->n_outputs; i++) {
    neo_buf_u32le(out, plan->output_bounded ? plan->output_bounded[i] : 0);
    neo_buf_u32le(out, plan->output_bounded ? plan->output_count[i] : 0);
  }
  for (uint32_t i = 0; i < plan->n_steps; i++)
    put_step(out, &plan->step[i]);
}

static void put_counts(neo_buf *out, const neo_plan *plan) {
  neo_buf_u32le(out, plan->n_values);
  neo_buf_u32le(out, plan->n_inputs);
  neo_buf_u32le(out, plan->n_outputs);
  neo_buf_u32le(out, plan->n_steps);
}

static void put_rows(neo_buf *out, const neo_plan *plan) {
  put_i64(out, plan->rows);
  if (plan->rows == 0)
    return;
  put_i64(out, plan->rows_least);
  for (uint32_t i = 0; i < plan->n_inputs; i++)
    neo_buf_u32le(out, plan->input_rows[i]);
  for (uint32_t i = 0; i < plan->n_outputs; i++)
    neo_buf_u32le(out, plan->output_rows[i]);
}

/* The first version that can say what this plan says. */
static uint32_t version_of(const neo_plan *plan) {
  return plan->n_more || plan->rows ? NEO_PLAN_VERSION : 3;
}

static void put_body(neo_buf *out, const neo_plan *plan) {
  neo_buf_u32le(out, plan->threads);
  neo_buf_u32le(out, plan->n_more);
  put_i64(out, plan->arena_bytes);
  put_i64(out, plan->scratch_bytes);
  put_i64(out, plan->params_bytes);
  neo_buf_u64le(out, plan->isa);
  put_counts(out, plan);
  put_text(out, plan->arch);
  put_text(out, plan->target);
  put_program(out, plan);
  if (version_of(plan) == 3)
    return;
  put_rows(out, plan);
  for (uint32_t k = 0; k < plan->n_more; k++) {
    put_i64(out, plan->more[k].arena_bytes);
    put_i64(out, plan->more[k].scratch_bytes);
    put_counts(out, &plan->more[k]);
    put_program(out, &plan->more[k]);
    put_rows(out, &plan->more[k]);
  }
}

neo_status neo_plan_encode(neo_ctx *ctx, const neo_plan *plan, neo_buf *out) {
  neo_buf body = {0};
  put_body(&body, plan);
  neo_buf_append(out, NEO_PLAN_MAGIC, 8);
  neo_buf_u32le(out, version_of(plan));
  neo_buf_u32le(out, neo_crc32(0, body.data, body.size));
  neo_buf_u64le(out, body.size);
  neo_buf_append(out, body.data, body.size);
  bool failed = body.failed || out->failed;
  neo_buf_fini(&body);
  return failed ? neo_fail(ctx, NEO_NO_MEMORY, "plan: out of memory while encoding") : NEO_OK;
}
