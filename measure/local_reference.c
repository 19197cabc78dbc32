/* What candidates of a task are compared with: data of two seeds and the outputs of the widened
 * te's naive nest on it, computed on the board, once per task.
 *
 * Memory: inputs and constants are functions of (key, buffer, seed), and are needed only when they
 * are packed in a form that the board has not seen yet. So those of the tasks that were not packed
 * for longest go when all together exceed DATA_BYTES, and are made again when needed. References
 * stay. */
#include <math.h>
#include <string.h>

#include "measure/local.h"

enum { DATA_BYTES = 64 << 20 };

/* ---- data ------------------------------------------------------------------------------------------ */

static size_t data_bytes(const neo_local_task *task) {
  size_t sum = 0;
  for (int c = 0; c < CASES; c++)
    sum += neo_data_input_bytes(&task->te, &task->data[c]);
  return sum;
}

/* The task whose data was not used for longest, `but` excepted; NULL if no other has any. */
static neo_local_task *least_used(const neo_local *self, const neo_local_task *but, size_t *total) {
  neo_local_task *oldest = NULL;
  *total = 0;
  for (int t = 0; t < self->n_tasks; t++) {
    neo_local_task *task = self->task[t];
    size_t bytes = task ? data_bytes(task) : 0;
    *total += bytes;
    if (bytes > 0 && task != but && (!oldest || task->data_used < oldest->data_used))
      oldest = task;
  }
  return oldest;
}

static void drop_old_data(neo_local *self, const neo_local_task *but) {
  size_t total = 0;
  for (;;) {
    neo_local_task *oldest = least_used(self, but, &total);
    if (!oldest || total <= DATA_BYTES)
      return;
    for (int c = 0; c < CASES; c++)
      neo_data_drop_inputs(&self->ctx, &oldest->te, &oldest->data[c]);
  }
}

static neo_status make_data(neo_ctx *ctx, const neo_local *self, neo_local_task *task) {
  for (int c = 0; c < CASES; c++)
    NEO_TRY(neo_data_create(ctx, &task->te, task->key, self->options.seed * CASES + (uint64_t)c,
                            &task->data[c]));
  return NEO_OK;
}

neo_status neo_local_need_data(neo_ctx *ctx, neo_local *self, neo_local_task *task) {
  task->data_used = ++self->data_uses;
  drop_old_data(self, task);
  return make_data(ctx, self, task);
}

/* ---- references ------------------------------------------------------------------------------------ */

static neo_status keep_outputs(neo_ctx *ctx, neo_local_task *task, int c,
                               const neo_job_result *result) {
  uint32_t out = 0;
  if (result->outcome != NEO_OUTCOME_OK)
    return neo_fail(ctx, NEO_INTERNAL, "its reference failed in %s: %s", result->phase,
                    result->text);
  for (int b = 0; b < task->te.n_buffers; b++) {
    neo_tensor *tensor = &task->data[c].tensor[b];
    if (task->te.buffer[b].role != NEO_TE_OUT)
      continue;
    if (out >= result->n_outputs || result->output[out].size != tensor->size)
      return neo_fail(ctx, NEO_INTERNAL, "its reference came back without output %u", out);
    memcpy(tensor->data, result->output[out].data, tensor->size);
    task->magnitude = fmax(task->magnitude, neo_data_magnitude(tensor));
    out++;
  }
  return NEO_OK;
}

/* Runs the widened te's naive nest on the board for one case and keeps its outputs. */
static neo_status run_reference(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                neo_build *build, int c) {
  neo_blob_set *set = neo_alloc(ctx, sizeof *set);
  neo_job *job = neo_alloc(ctx, sizeof *job);
  neo_job_result *result = neo_alloc(ctx, sizeof *result);
  neo_status status =
      set && job && result ? NEO_OK : neo_fail(ctx, NEO_NO_MEMORY, "measuring: its reference");
  neo_data swapped = task->data[0];
  if (status == NEO_OK) {
    job->kind = NEO_JOB_RUN;
    job->threads = (uint32_t)self->options.threads;
    job->n_cases = 1;
    job->timeout_ms = (uint32_t)(60000 + fmin(task->flops / 1e4, 3e6));
    task->data[0] = task->data[c]; /* case 0 of this job is seed c */
    neo_map_fini(&task->blobs);
    status = neo_local_fill_kernel(
        ctx,
        &(neo_shipment){
            .local = self, .task = task, .build = build, .n_cases = 1, .all = true, .set = set},
        &job->kernel);
    neo_map_fini(&task->blobs);
    task->data[0] = swapped;
  }
  if (status == NEO_OK)
    status = neo_local_call(ctx, self, set, job, result);
  if (status == NEO_OK) {
    status = keep_outputs(ctx, task, c, result);
    neo_job_result_fini(result);
  }
  if (set)
    neo_blob_release(ctx, set);
  neo_free(ctx, result);
  neo_free(ctx, job);
  neo_free(ctx, set);
  return status;
}

neo_status neo_local_prepare_references(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                        neo_build **out) {
  neo_te wide;
  neo_schedule naive;
  NEO_TRY(make_data(ctx, self, task));
  NEO_TRY(neo_te_widen(ctx, &task->te, &task->arena, &wide));
  neo_schedule_naive(&naive);
  neo_build *build = neo_build_create(ctx, 0, 0, &wide, &naive);
  build = build ? neo_builder_run(self->builder, build) : NULL;
  if (!build)
    return neo_fail(ctx, NEO_NO_MEMORY, "measuring: its reference");
  *out = build;
  return build->status == NEO_OK ? NEO_OK
                                 : neo_fail(ctx, build->status, "its reference failed in %s: %s",
                                            build->phase, build->text);
}

neo_status neo_local_make_references(neo_ctx *ctx, neo_local *self, neo_local_task *task,
                                     neo_build *build) {
  NEO_TRY(neo_local_need_data(ctx, self, task));
  for (int c = 0; c < CASES; c++)
    NEO_TRY(run_reference(ctx, self, task, build, c));
  return NEO_OK;
}

void neo_local_task_destroy(neo_local *self, neo_local_task *task) {
  if (!task)
    return;
  for (int c = 0; c < CASES; c++)
    neo_data_destroy(&self->ctx, &task->te, &task->data[c]);
  if (task->anchor != task->incumbent)
    neo_build_destroy(task->anchor);
  neo_build_destroy(task->incumbent);
  neo_map_fini(&task->blobs);
  neo_map_fini(&task->codes);
  neo_arena_fini(&task->arena);
  neo_free(&self->ctx, task);
}
